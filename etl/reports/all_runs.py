"""The parts of the dashboard that look over many runs."""

from collections.abc import Callable, Sequence
from statistics import median

from etl.history.audit import IN_USE, SUCCESS
from etl.history.summary import STATUSES, RunSummary
from etl.reports.charts import Axis, Point, axis_for, bars_under_lanes, curve
from etl.reports.page import (
    NOTHING,
    Markup,
    escaped,
    folded,
    isolated,
    joined,
    section,
    shortened,
    table,
)
from etl.reports.run_states import marked, outcome_of
from etl.words import UNKNOWN, count_words, instant_words, percent_words, seconds_words

Runs = Sequence[RunSummary]
Figure = Callable[[RunSummary], float | None]

# How many runs the success rate looks back, and what is usual is taken from.
RECENT_RUNS = 30
_RUNS_SHOWN = 20
_MOST_STAGES = 6
_SHORT_NAME = 24
_SHORT_MESSAGE = 160
_OTHER = "other"
_DAY = len("2024-01-20")
_SMALL = 64
# Below it an average is told with its digits after the point.
_WHOLE_FROM = 10


def success_rate(runs: Runs) -> float | None:
    """The share of clean runs among the latest; None without any.

    A run that found the warehouse in use did not run, and does not count.
    """
    recent = recent_rated(runs)
    return sum(run.status == SUCCESS for run in recent) / len(recent) if recent else None


def recent_rated(runs: Runs) -> Runs:
    """The runs that the success rate is taken from."""
    return [run for run in runs if run.status != IN_USE][-RECENT_RUNS:]


def usual(runs: Runs, like: RunSummary, figure: Figure) -> float | None:
    """The median of a figure over the recent runs before one, of its mode and environment."""
    kind = (like.mode, like.environment)
    before = runs[: next((i for i, run in enumerate(runs) if run is like), len(runs))]
    alike = [run for run in before if run.has_loads and (run.mode, run.environment) == kind]
    values = [value for run in alike[-RECENT_RUNS:] if (value := figure(run)) is not None]
    return median(values) if values else None


def history_curve(title: str, runs: Runs, figure: Figure, *, axis: Axis) -> Markup:
    """A figure of each run as a line, its last value and the median beside the title."""
    values = [figure(run) for run in runs]
    points = [Point(value, when=when) for value, when in zip(values, days(runs), strict=True)]
    known = [value for value in values if value is not None]
    middle = median(known) if len(known) > 1 else None
    words = f"last {axis.say(known[-1])}" if known else UNKNOWN
    words += f", median {axis.say(middle)}" if middle is not None else ""
    return captioned(title, words, curve(points, axis, usual=middle))


def captioned(title: str, words: str, chart: Markup) -> Markup:
    """A chart with its title and a few words."""
    return Markup(
        f"<figure><figcaption><h3>{isolated(title)}</h3><span>{escaped(words)}</span>"
        f"</figcaption>{chart}</figure>"
    )


def days(runs: Runs) -> list[str]:
    """A label on the x axis for each run: its day, or its hour when all are of one day."""
    words = [instant_words(run.started_at) for run in runs]
    one_day = len(runs) > 1 and len({word[:_DAY] for word in words}) == 1
    return [word[_DAY + 1 :] or word if one_day else word[:_DAY] for word in words]


# --- over time -------------------------------------------------------------------------------


def over_time(runs: Runs) -> Markup:
    """How runs ended, how long they took, how fast each stage was."""
    first, last = instant_words(runs[0].started_at), instant_words(runs[-1].started_at)
    lead = f"{count_words(len(runs))} runs from {first} to {last} UTC, the latest on the right."
    if len(runs) == 1:
        lead = "One run so far; each further run adds to these charts."
    charts = joined([_rate(runs), _records(runs), *_speeds(runs)], by="\n")
    body = Markup(f'{_outcomes(runs)}<div class="trio apart">{charts}</div>')
    return section("over-time", "Over time", body, lead=escaped(lead))


def _outcomes(runs: Runs) -> Markup:
    lanes = [status for status in STATUSES if any(run.status == status for run in runs)]
    lanes += [_OTHER] if any(run.status not in STATUSES for run in runs) else []
    points = [
        Point(
            value=None if run.status == IN_USE else run.seconds,
            state=outcome_of(run.status).state,
            lane=lanes.index(run.status if run.status in STATUSES else _OTHER),
            tooltip=_tooltip(run),
            when=when,
        )
        for run, when in zip(runs, days(runs), strict=True)
    ]
    counts = [
        (lane, sum(point.lane == index for point in points)) for index, lane in enumerate(lanes)
    ]
    words = ", ".join(f"{_plain(lane)} {count_words(count)}" for lane, count in counts)
    taken = [point.value for point in points]
    axis = axis_for(taken, seconds_words, summary=f"Runs: {words}", height=120)
    words += (
        f"; longest {seconds_words(max(t for t in taken if t is not None))}" if axis.cut else ""
    )
    named = [(outcome_of(lane).state, escaped(_plain(lane))) for lane in lanes]
    return captioned("Outcome and duration", words, bars_under_lanes(points, axis, lanes=named))


def _plain(status: str) -> str:
    return shortened(status.replace("_", " "), _SHORT_NAME)


def _tooltip(run: RunSummary) -> str:
    return f"{instant_words(run.started_at)} {_plain(run.status)}, {seconds_words(run.seconds)}"


def _rate(runs: Runs) -> Markup:
    rates = [success_rate(runs[: count + 1]) for count in range(len(runs))]
    points = [Point(rate, when=when) for rate, when in zip(rates, days(runs), strict=True)]
    latest = percent_words(rates[-1])
    words = f"last {latest}, over up to {RECENT_RUNS} runs each time"
    axis = Axis(1.0, percent_words, f"Success rate, {words}", height=_SMALL)
    return captioned("Success rate", words, curve(points, axis))


def _records(runs: Runs) -> Markup:
    def records(run: RunSummary) -> float | None:
        return run.total("rows_read")

    title = "Records read"
    axis = axis_for(map(records, runs), rows_words, summary=f"{title} by each run", height=_SMALL)
    return history_curve(title, runs, records, axis=axis)


def _speeds(runs: Runs) -> list[Markup]:
    names = dict.fromkeys(stage.name for run in reversed(runs) for stage in run.stages)
    return [_speed(runs, name) for name in list(names)[:_MOST_STAGES]]


def _speed(runs: Runs, name: str) -> Markup:
    def speed(run: RunSummary) -> float | None:
        return next((s.records_per_second for s in run.stages if s.name == name), None)

    title = f"Rows per second, {shortened(name, _SHORT_NAME)}"
    axis = axis_for(map(speed, runs), rows_words, summary=title, height=_SMALL)
    return history_curve(title, runs, speed, axis=axis)


def rows_words(value: float) -> str:
    """A number of rows, which an average can have made a fraction.

    Example:
        >>> rows_words(12345.6), rows_words(0.25)
        ('12,346', '0.25')
    """
    return f"{value:,.0f}" if value >= _WHOLE_FROM or float(value).is_integer() else f"{value:.3g}"


# --- the list of runs ------------------------------------------------------------------------


def list_of_runs(runs: Runs) -> Markup:
    """Every run as a row, the latest first; what the charts show, to be read and copied."""
    newest = list(reversed(runs))
    first, older = newest[:_RUNS_SHOWN], newest[_RUNS_SHOWN:]
    names = _NAMES if len({run.environment for run in runs}) > 1 else _NAMES[:-1]
    headings = [*names, *(name for name, _ in _COLUMNS)]
    rows = [_signed_row(run, len(names)) for run in first]
    texts = range(len(names))
    shown = table("The latest runs", [*headings, "Message"], rows, texts=(*texts, len(headings)))
    if not older:
        return section("runs", "Runs", shown)
    rest = table("Earlier runs", headings, (_row(run, len(names)) for run in older), texts=texts)
    more = folded(f"{count_words(len(older))} earlier runs", rest)
    return section("runs", "Runs", joined([shown, more]))


def _signed_row(run: RunSummary, names: int) -> list[Markup]:
    started, _, *others = _row(run, names)
    outcome = marked(outcome_of(run.status).state, _plain(run.status))
    return [started, outcome, *others, _words(run)]


def _words(run: RunSummary) -> Markup:
    message = shortened((run.error or next(iter(run.attention), "")), _SHORT_MESSAGE)
    words = isolated(message.replace("\n", " "))
    return Markup(f'<div class="words">{words}</div>') if words else NOTHING


def _row(run: RunSummary, names: int) -> list[Markup]:
    words = (instant_words(run.started_at), *map(_plain, (run.status, run.mode, run.environment)))
    return [*map(isolated, words[:names]), *(escaped(say(run)) for _, say in _COLUMNS)]


def _checks_words(run: RunSummary) -> str:
    return f"{run.checks_passed} of {len(run.checks)}" if run.checks else UNKNOWN


_NAMES = ("Started, UTC", "Outcome", "Mode", "Environment")
_COLUMNS: tuple[tuple[str, Callable[[RunSummary], str]], ...] = (
    ("Took", lambda run: seconds_words(run.seconds)),
    ("Read", lambda run: count_words(run.total("rows_read"))),
    ("Inserted", lambda run: count_words(run.total("rows_inserted"))),
    ("Updated", lambda run: count_words(run.total("rows_updated"))),
    ("Rejected", lambda run: count_words(run.total("rows_rejected"))),
    ("Checks", _checks_words),
)

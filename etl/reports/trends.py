"""Figures over many runs: what is usual, the success rate, and their charts."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from statistics import median

from markupsafe import Markup

from etl.history.audit import IN_USE, SUCCESS
from etl.history.summary import STATUSES, RunSummary
from etl.reports.charts import Axis, Point, axis_for, bars_under_lanes, curve
from etl.reports.headline import headline, judged_checks
from etl.reports.page import rows_words, shortened
from etl.words import count_words, instant_words, percent_words, seconds_words

Runs = Sequence[RunSummary]
Figure = Callable[[RunSummary], float | None]

# How many runs the success rate looks back, and what is usual is taken from.
RECENT_RUNS = 30
# A line through fewer says less than their figures in the list of runs.
FEWEST_RUNS = 5

_MOST_STAGES = 6
_MOST_SCORES = 8
_SHORT_NAME = 24
_OTHER = "other"
_DAY = len("2024-01-20")
_SMALL = 64
_TALL = 120
_BEST_SCORE = 100.0
_BELOW_BEST = 99.9
_SCORE_STEP = 10


@dataclass(frozen=True)
class Chart:
    """A chart with its title and a few words beside it; `keys` are colours and what they mean."""

    title: str
    words: str
    picture: Markup
    keys: tuple[tuple[str, str], ...] = ()


def success_rate(runs: Runs) -> float | None:
    """Return the share of clean runs among the latest; None without any.

    A run that found the warehouse in use did not run, and does not count.
    """
    recent = recent_rated(runs)
    return sum(run.status == SUCCESS for run in recent) / len(recent) if recent else None


def recent_rated(runs: Runs) -> Runs:
    """Return the runs that the success rate is taken from."""
    return [run for run in runs if run.status != IN_USE][-RECENT_RUNS:]


def usual(runs: Runs, like: RunSummary, figure: Figure) -> float | None:
    """Return the median of a figure over the recent runs before one, of its kind."""
    kind = (like.mode, like.environment)
    before = runs[: next((i for i, run in enumerate(runs) if run is like), len(runs))]
    alike = [run for run in before if run.has_loads and (run.mode, run.environment) == kind]
    values = [value for run in alike[-RECENT_RUNS:] if (value := figure(run)) is not None]
    return median(values) if values else None


def rejected(run: RunSummary) -> float | None:
    """Return how many records a run rejected."""
    return run.total("rows_rejected")


def anchor(run: RunSummary) -> str:
    """Return the id of what the page has of a run.

    Example:
        >>> anchor(RunSummary(run_id="20240120T143045.000007Z"))
        'r20240120143045000007'
    """
    return "r" + "".join(letter for letter in run.run_id if letter in "0123456789")


def over_time(runs: Runs, anchors: Collection[str] = ()) -> list[Chart]:
    """Return how runs ended and how long they took, then how each figure went.

    Args:
        runs: oldest first.
        anchors: ids that the page has, so that links to them arrive.
    """
    charts = [_outcomes(runs, anchors), _rate(runs), _records(runs), *_speeds(runs)]
    return [chart for chart in charts if chart is not None]


def quality_trends(run: RunSummary, runs: Runs) -> list[Chart]:
    """Return how the checks and the scores of a run went over the runs."""
    axis = Axis(1.0, percent_words, "Share of checks passed in each run", height=_SMALL)
    charts = [history("Checks passed", runs, _share_passed, axis=axis)]
    charts += [_score_trend(name, runs) for name in list(run.scores)[:_MOST_SCORES]]
    return [chart for chart in charts if chart is not None]


def rejects_trend(runs: Runs) -> Chart | None:
    """Return how many records each run rejected."""
    title = "Rejected records of each run"
    axis = axis_for(map(rejected, runs), rows_words, summary=title, height=_TALL)
    return history("Over time", runs, rejected, axis=axis)


def history(title: str, runs: Runs, figure: Figure, *, axis: Axis) -> Chart | None:
    """Return a figure of each run as a line, with its last value and the median; None for few runs.

    Args:
        title: of the chart; plain text.
        runs: oldest first.
        figure: what is drawn.
        axis: the y axis.
    """
    values = [figure(run) for run in runs]
    known = [value for value in values if value is not None]
    if len(known) < FEWEST_RUNS:
        return None
    points = [Point(value, when=when) for value, when in zip(values, _days(runs), strict=True)]
    middle = median(known)
    words = f"last {axis.say(known[-1])}, median {axis.say(middle)}"
    return Chart(title, words, curve(points, axis, usual=middle))


def _days(runs: Runs) -> list[str]:
    """A label for each run: its day, or its hour when all are of one day."""
    words = [instant_words(run.started_at) for run in runs]
    one_day = len(runs) > 1 and len({word[:_DAY] for word in words}) == 1
    return [word[_DAY + 1 :] or word if one_day else word[:_DAY] for word in words]


def _outcomes(runs: Runs, anchors: Collection[str]) -> Chart:
    lanes = [status for status in STATUSES if any(run.status == status for run in runs)]
    lanes += [_OTHER] if any(run.status not in STATUSES for run in runs) else []
    points = [
        Point(
            value=None if run.status == IN_USE else run.seconds,
            state=_state(run.status),
            lane=lanes.index(run.status if run.status in STATUSES else _OTHER),
            tooltip=f"{instant_words(run.started_at)} {plain(run.status)}, "
            f"{seconds_words(run.seconds)}",
            when=when,
            link=own if (own := anchor(run)) in anchors else "",
        )
        for run, when in zip(runs, _days(runs), strict=True)
    ]
    counts = [(lane, sum(p.lane == index for p in points)) for index, lane in enumerate(lanes)]
    words = ", ".join(f"{plain(lane)} {count_words(count)}" for lane, count in counts)
    axis = axis_for(
        [p.value for p in points], seconds_words, summary=f"Runs: {words}", height=_TALL
    )
    named = [(_state(lane), plain(lane)) for lane in lanes]
    return Chart("Outcome and duration", words, bars_under_lanes(points, axis, lanes=named))


def _state(status: str) -> str:
    return headline(RunSummary(run_id="", status=status)).state


def plain(status: str) -> str:
    """Return the word for a status or a mode."""
    return shortened(status.replace("_", " "), _SHORT_NAME)


def _rate(runs: Runs) -> Chart | None:
    if len(runs) < FEWEST_RUNS:
        return None
    rates = [success_rate(runs[: count + 1]) for count in range(len(runs))]
    points = [Point(rate, when=when) for rate, when in zip(rates, _days(runs), strict=True)]
    words = f"last {percent_words(rates[-1])}, over up to {RECENT_RUNS} runs each time"
    axis = Axis(1.0, percent_words, f"Success rate, {words}", height=_SMALL)
    return Chart("Success rate", words, curve(points, axis))


def _records(runs: Runs) -> Chart | None:
    def records(run: RunSummary) -> float | None:
        return run.total("rows_read")

    title = "Records read"
    axis = axis_for(map(records, runs), rows_words, summary=f"{title} by each run", height=_SMALL)
    return history(title, runs, records, axis=axis)


def _speeds(runs: Runs) -> list[Chart | None]:
    names = dict.fromkeys(
        stage.name for run in reversed(runs) for stage in run.stages if stage.records_per_second
    )
    return [_speed(runs, name) for name in list(names)[:_MOST_STAGES]]


def _speed(runs: Runs, name: str) -> Chart | None:
    def speed(run: RunSummary) -> float | None:
        return next((s.records_per_second for s in run.stages if s.name == name), None)

    title = f"Records per second, {plain(name)}"
    axis = axis_for(map(speed, runs), rows_words, summary=title, height=_SMALL)
    return history(title, runs, speed, axis=axis)


def _share_passed(run: RunSummary) -> float | None:
    judged = judged_checks(run.checks)
    return sum(check.passed for check in judged) / len(judged) if judged else None


def _score_trend(name: str, runs: Runs) -> Chart | None:
    def score(run: RunSummary) -> float | None:
        return run.scores.get(name)

    title = f"Score, {plain(name)}"
    lowest = min((value for run in runs if (value := score(run)) is not None), default=0.0)
    bottom = max(0.0, lowest // _SCORE_STEP * _SCORE_STEP - (lowest == _BEST_SCORE) * _SCORE_STEP)
    axis = Axis(_BEST_SCORE, score_words, f"{title} of each run", bottom=bottom, height=_SMALL)
    return history(title, runs, score, axis=axis)


def score_words(value: float) -> str:
    """Return a score, 0 to 100.

    Example:
        >>> score_words(98.437), score_words(99.99), score_words(100.0)
        ('98.4', '99.9', '100')
    """
    shown = value if value >= _BEST_SCORE else min(value, _BELOW_BEST)
    return f"{shown:.1f}".removesuffix(".0")

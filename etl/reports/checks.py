"""Quality checks and scores as the pages show them; shares as percentages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from etl.history.judged import Check
from etl.reports.charts import share_bar
from etl.reports.headline import broken_checks, state_of_check
from etl.reports.trends import score_words
from etl.words import UNKNOWN, counted, percent_words

_MOST_EXAMPLES = 5
_MOST_SCORES = 24
_BEST_SCORE = 100.0


@dataclass(frozen=True)
class CheckRow:
    """A check in words."""

    state: str
    status: str
    name: str
    dimension: str
    severity: str
    value: str
    limit: str
    message: str
    examples: tuple[str, ...]


def check_row(check: Check) -> CheckRow:
    """Return a check in words."""
    say = percent_words if _is_share(check) else _plain
    examples = check.details.get("examples")
    listed = examples if isinstance(examples, Sequence) and not isinstance(examples, str) else ()
    return CheckRow(
        state_of_check(check), check.status, check.name, _text(check, "dimension"),
        _text(check, "severity"), say(check.value), say(check.threshold), check.message,
        tuple(str(example) for example in listed[:_MOST_EXAMPLES]),
    )  # fmt: skip


def _text(check: Check, name: str) -> str:
    value = check.details.get(name)
    return value if isinstance(value, str) else ""


def _is_share(check: Check) -> bool:
    """Whether its figure is a part of the rows: no count lies between 0 and 1."""
    return any(figure and 0 < figure < 1 for figure in (check.value, check.threshold))


def _plain(figure: float | None) -> str:
    return UNKNOWN if figure is None else f"{figure:,.6g}"


@dataclass(frozen=True)
class Checks:
    """The checks of a run: those to look at, all others, and how much of the tables they saw."""

    broken: tuple[CheckRow, ...]
    others: tuple[CheckRow, ...]
    scope: str


def checks_in_words(checks: Sequence[Check]) -> Checks:
    """Return the checks to look at, and those that passed or did not apply."""
    broken = broken_checks(checks)
    others = [check for check in checks if check not in broken]
    return Checks(tuple(map(check_row, broken)), tuple(map(check_row, others)), scope_words(checks))


def scope_words(checks: Sequence[Check]) -> str:
    """Say when all checks were last made on the whole tables; empty where that is not known.

    Example:
        >>> moments = ("2026-11-20T02:00:00", "2026-11-24T02:00:00.5")
        >>> scope_words([Check("a", "passed", "", details={"whole_at": each}) for each in moments])
        'on the whole tables last at 2026-11-20 02:00 UTC; since then 1 check on what was written'
        >>> scope_words([Check("a", "passed", "", details={"whole_at": moments[0]})])
        'on the whole tables'
    """
    moments = sorted(moment for check in checks if (moment := _text(check, "whole_at")))
    if not moments:
        return ""
    earlier = [moment for moment in moments if moment < moments[-1]]
    if not earlier:
        return "on the whole tables"
    last = earlier[0][:16].replace("T", " ")
    made = counted(len(earlier), "check")
    return f"on the whole tables last at {last} UTC; since then {made} on what was written"


@dataclass(frozen=True)
class Score:
    """A score of a source or a table; its dimensions in words, as far as they are known."""

    name: str
    score: str
    bar: Markup
    dimensions: str


def scores(
    found: Mapping[str, float], dimensions: Mapping[str, Mapping[str, float]]
) -> list[Score]:
    """Return the scores with their bars."""
    return [
        Score(
            name, score_words(score), share_bar([("f-good", score / _BEST_SCORE)]),
            ", ".join(f"{each} {score_words(n)}" for each, n in dimensions.get(name, {}).items()),
        )
        for name, score in list(found.items())[:_MOST_SCORES]
    ]  # fmt: skip

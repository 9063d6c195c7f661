"""How a run ended, in one line: what a person must know, with a sign and a colour for it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from etl.history.audit import (
    ATTENTION,
    FAILED,
    HELD_BACK,
    IN_USE,
    INTERRUPTED,
    KILLED,
    SKIPPED,
    SUCCESS,
)
from etl.history.judged import Check
from etl.history.mart_outcomes import BUILT, CURRENT, UPDATED
from etl.history.summary import RunSummary
from etl.words import UNKNOWN, counted

GOOD, WARN, BAD, IDLE = "good", "warn", "bad", "idle"

_PASSED = "passed"
# The status of a check whose finding is worth to know, and nothing to look at.
_NOTED = "info"
_MOST_NAMES = 3


@dataclass(frozen=True)
class Headline:
    """How a run ended: `state` is good, warn, bad or idle; a run that goes well is all green."""

    state: str
    text: str


_ENDED = {
    FAILED: Headline(BAD, "Failed"),
    INTERRUPTED: Headline(BAD, "Interrupted"),
    KILLED: Headline(BAD, "Killed before it could end"),
    IN_USE: Headline(IDLE, "Did not run: the warehouse was in use"),
    UNKNOWN: Headline(IDLE, "Nobody knows how it ended"),
}


def headline(run: RunSummary) -> Headline:
    """Return what a person must know of a run.

    Example:
        >>> headline(RunSummary(run_id="r1", status="success"))
        Headline(state='good', text='Loaded and clean')
    """
    if run.status not in (SUCCESS, ATTENTION):
        return _ENDED.get(run.status, Headline(IDLE, f"Status: {run.status}"))
    findings = list(_findings(run))
    rejected = run.total("rows_rejected")
    refused = [counted(rejected, "record") + " rejected"] if rejected else []
    if not findings and run.status == ATTENTION:
        findings = ["with something to look at"]
    if findings:
        return Headline(WARN, f"Loaded, but {_listed([*findings, *refused])}")
    return Headline(GOOD, f"Loaded, {refused[0]}" if refused else "Loaded and clean")


def _findings(run: RunSummary) -> Iterator[str]:
    held = [each.source for each in run.failed_sources if each.status == HELD_BACK]
    failed = [each.source for each in run.failed_sources if each.status != HELD_BACK]
    if held:
        yield f"{_names(held)} held back"
    if failed:
        yield f"{_names(failed)} not loaded"
    broken = broken_checks(run.checks)
    errors = sum(check.failed for check in broken)
    if errors:
        yield f"{counted(errors, 'check')} failed"
    if len(broken) > errors:
        yield f"{counted(len(broken) - errors, 'check')} with a warning"
    if run.anomalies:
        yield counted(len(run.anomalies), "unusual figure")


def _names(names: Sequence[str]) -> str:
    many = len(names) > _MOST_NAMES or any(len(name) > 24 for name in names)  # noqa: PLR2004  # no longer a name
    return counted(len(names), "source") if many else _listed(names)


def _listed(parts: Sequence[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def broken_checks(checks: Sequence[Check]) -> list[Check]:
    """Return the checks to look at, those that failed first."""
    broken = [check for check in judged_checks(checks) if check.status != _PASSED]
    return sorted(broken, key=lambda check: not check.failed)


def judged_checks(checks: Sequence[Check]) -> list[Check]:
    """Return the checks that passed or were broken; what was not judged does not count."""
    return [check for check in checks if _is_judged(check)]


def _is_judged(check: Check) -> bool:
    return check.status != _NOTED and check.details.get("judged") is not False


def state_of_check(check: Check) -> str:
    """Return the state that a check is shown in."""
    if not _is_judged(check):
        return IDLE
    return GOOD if check.passed else BAD if check.failed else WARN


def state_of_load(status: str) -> str:
    """Return the state that the load of a source, or a mart, is shown in."""
    return {
        "loaded": GOOD, "dry run": IDLE, HELD_BACK: WARN, SKIPPED: WARN,
        **dict.fromkeys((BUILT, UPDATED, CURRENT), GOOD),
    }.get(status, BAD)  # fmt: skip

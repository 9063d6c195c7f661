"""What was checked of the records of a source before they were loaded, each with pass or fail."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from etl.history.judged import Check
from etl.history.outcomes import SourceOutcome
from etl.rejects import (
    BAD_TEXT,
    DUPLICATE,
    MALFORMED,
    MISSING,
    OUT_OF_RANGE,
    REFUSED,
    RULE,
    UNREADABLE,
)
from etl.words import count_words

if TYPE_CHECKING:
    from etl.history.summary import RunSummary

# By name: what is checked, in which classes records are rejected for it, and its dimension.
_CHECKS: Mapping[str, tuple[str, tuple[str, ...], str]] = {
    "structure": ("can be taken apart", (MALFORMED, BAD_TEXT), "validity"),
    "schema": ("fit the types of the columns", (UNREADABLE, OUT_OF_RANGE), "validity"),
    "required": ("have the required values", (MISSING,), "completeness"),
    "rules": ("keep the rules of the source", (RULE,), "consistency"),
    "references": ("name keys that there are, and are taken by the database", (REFUSED,),
                   "integrity"),
    "unique": ("have a key of their own", (DUPLICATE,), "uniqueness"),
}  # fmt: skip
_PASSED, _WARNING, _FAILED = "passed", "warning", "failed"


def checks_before_loading(run: "RunSummary") -> tuple[Check, ...]:
    """Return what was checked of the records of each source, and what the gate has found."""
    found = (each for source in run.sources for each in _of_source(run, source))
    return tuple(found)


def _of_source(run: "RunSummary", source: SourceOutcome) -> Iterator[Check]:
    table = run.table(source.table)
    read = table.count("rows_read") if table else None
    if not source.unchanged_since and (source.loaded or source.findings):
        for name, (words, classes, dimension) in _CHECKS.items():
            wrong = _rejected(run, source.source, classes)
            if DUPLICATE in classes:  # which are no rejected ones
                wrong = (table and table.count("rows_duplicate")) or 0
            yield _check(f"{source.source}.{name}", words, (read, wrong), dimension)
    for finding in source.findings:
        details = {"table": source.table, "dimension": "gate", "severity": "critical"}
        yield Check(finding.full_name, _FAILED, finding.message, details=details)
    if source.message and not source.findings:
        details = {"table": source.table, "dimension": "gate", "severity": "critical"}
        yield Check(f"{source.source}.readable", _FAILED, source.message, details=details)


def _rejected(run: "RunSummary", source: str, classes: tuple[str, ...]) -> int:
    rejects = run.rejects or ()
    return sum(
        each.rows or 0 for each in rejects if each.source == source and each.error_class in classes
    )


def _check(name: str, words: str, figures: tuple[int | None, int], dimension: str) -> Check:
    read, wrong = figures
    found = f"all but {wrong:,} of {count_words(read)}" if wrong else f"all {count_words(read)}"
    details = {"dimension": dimension, "severity": _WARNING, "rows_checked": read,
               "rows_wrong": wrong}  # fmt: skip
    status = _WARNING if wrong else _PASSED
    return Check(name, status, f"records that {words}: {found}", wrong, 0, details)

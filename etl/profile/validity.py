"""Which records of a staged file are valid: every value is what its column mostly holds.

A column of which nine in ten values are numbers or dates is one of numbers or dates, and its other
values are wrong. Besides, columns of usual names keep the usual rules.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb

from etl.profile.figures import ColumnFigures, Profile
from etl.profile.groups import unreadable_times
from etl.profile.staged import ROWS, Staged, StagedColumn
from etl.rules.usual import usual_rules

# A column is one of numbers, or dates, when so many of its values are.
MOSTLY = 0.9


@dataclass(frozen=True)
class Violation:
    """A rule, and how many records break it."""

    column: str
    rule: str
    records: int


@dataclass(frozen=True)
class Validity:
    """How many staged records keep all rules, and which rules are broken."""

    valid: int
    violations: tuple[Violation, ...]


@dataclass(frozen=True)
class _Check:
    column: str
    rule: str
    broken: str


def count_validity(
    database: duckdb.DuckDBPyConnection, staged: Staged, profile: Profile
) -> Validity:
    """Count the staged records that keep all rules.

    Args:
        database: that holds them.
        staged: what they are.
        profile: what was counted of them.
    """
    pairs = zip(staged.columns, profile.columns, strict=True)
    checks = [check for pair in pairs for check in _checks(database, *pair, staged.decimal)]
    if not checks:
        return Validity(staged.rows, ())
    counts = ", ".join(f"count(*) FILTER ({check.broken})" for check in checks)
    any_broken = " OR ".join(f"coalesce({check.broken}, false)" for check in checks)
    query = f"SELECT count(*) FILTER (NOT ({any_broken})), {counts} FROM {ROWS}"
    ((valid, *broken),) = database.execute(query).fetchall()
    found = (
        Violation(check.column, check.rule, records)
        for check, records in zip(checks, broken, strict=True)
        if records
    )
    return Validity(valid, tuple(found))


def _checks(
    database: duckdb.DuckDBPyConnection, each: StagedColumn, figures: ColumnFigures, decimal: str
) -> Iterator[_Check]:
    number = _as_number(each, decimal)
    if figures.kind == "text":
        if is_mostly(figures.numbers, figures.values):
            broken = f"{each.place} IS NOT NULL AND {number} IS NULL"
            yield _Check(each.name, "is a number", broken)
        elif is_mostly(figures.times, figures.values):
            table = unreadable_times(database, each)
            broken = f"{each.place} IN (SELECT v FROM {table})"
            yield _Check(each.name, "is a date", broken)
    for rule in usual_rules([each.name]):
        value = number if rule.is_number else f"CAST({each.place} AS VARCHAR)"
        yield _Check(each.name, rule.name, f"NOT ({rule.check.format(value=value)})")


def _as_number(each: StagedColumn, decimal: str) -> str:
    text = f"trim(CAST({each.place} AS VARCHAR))"
    point = f"replace({text}, ',', '.')" if decimal == "," else text
    return f"TRY_CAST({point} AS DOUBLE)"


def is_mostly(some: int, values: int) -> bool:
    """Return whether some of the values are so many that the others are exceptions.

    Example:
        >>> is_mostly(9, 10), is_mostly(10, 10), is_mostly(5, 10)
        (True, False, False)
    """
    return MOSTLY * values <= some < values


def listed(violations: Sequence[Violation]) -> list[dict[str, object]]:
    """Return violations as JSON holds them."""
    return [{"column": v.column, "rule": v.rule, "records": v.records} for v in violations]

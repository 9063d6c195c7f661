"""The counting of a profile: each column is grouped once, and everything follows from its groups.

Sorting and grouping go to the disk where memory ends, so that a column of any size is counted
exactly.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import duckdb

from etl.profile.figures import MOST_PATTERNS, MOST_VALUES, ColumnFigures, Profile
from etl.profile.groups import (
    NUMBERS,
    PATTERNS,
    TEXTS,
    TIMES,
    VALUES,
    count_times,
    group_patterns,
    group_values,
)
from etl.profile.staged import ROWS, Staged, StagedColumn
from etl.rules.spreads import METHODS, fence
from etl.schema.table import Kind

_LONGEST_VALUE = 200


def count_profile(
    database: duckdb.DuckDBPyConnection, staged: Staged, *, name: str, kind: str, now: datetime
) -> Profile:
    """Count staged records.

    Args:
        database: that holds them.
        staged: what they are.
        name: of the profile.
        kind: file or table.
        now: the present moment, UTC.
    """
    columns = tuple(_count_column(database, staged, each) for each in staged.columns)
    by_place = dict(zip((each.place for each in staged.columns), columns, strict=True))
    return Profile(
        name, kind, now.replace(tzinfo=UTC).isoformat(timespec="seconds"), staged.rows, columns,
        staged.unreadable, tuple(each.name for each in staged.key), staged.key_assumed,
        _key_duplicates(database, staged, by_place),
        _record_duplicates(database, staged, by_place),
    )  # fmt: skip


# --- duplicates ----------------------------------------------------------------------------


def _key_duplicates(
    database: duckdb.DuckDBPyConnection, staged: Staged, counted: Mapping[str, ColumnFigures]
) -> int:
    if len(staged.key) == 1:
        figures = counted[staged.key[0].place]
        return figures.values - figures.distinct
    return _repeated(database, [each.place for each in staged.key]) if staged.key else 0


def _record_duplicates(
    database: duckdb.DuckDBPyConnection, staged: Staged, counted: Mapping[str, ColumnFigures]
) -> int:
    if any(figures.distinct == staged.rows for figures in counted.values()):
        return 0
    return _repeated(database, [each.place for each in staged.columns])


def _repeated(database: duckdb.DuckDBPyConnection, places: Sequence[str]) -> int:
    """Records beyond the first with the same values; a record without any value is none."""
    listed = ", ".join(places)
    some = " OR ".join(f"{place} IS NOT NULL" for place in places)
    return _number(
        database,
        f"""
SELECT coalesce(sum(n - 1), 0) FROM (
    SELECT count(*) AS n FROM {ROWS} WHERE {some} GROUP BY {listed} HAVING count(*) > 1
)""",
    )


def _number(database: duckdb.DuckDBPyConnection, query: str) -> int:
    return int(_row(database, query)[0])


def _row(database: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    (row,) = database.execute(query).fetchall()
    return tuple(row)


# --- one column ----------------------------------------------------------------------------


def _count_column(
    database: duckdb.DuckDBPyConnection, staged: Staged, each: StagedColumn
) -> ColumnFigures:
    kind = group_values(database, each, staged.decimal)
    base: dict[str, Any] = {"name": each.name, "kind": kind.value, "rows": staged.rows}
    base |= _frequencies(database, staged.rows)
    if kind in NUMBERS:
        base |= _of_numbers(database, base["rows"] - base["nulls"])
    if kind in (*NUMBERS, *TIMES):
        base["percentiles"] = percentiles(database, base["rows"] - base["nulls"])
    if kind in NUMBERS and base["percentiles"]:
        base["outliers"] = outliers(database, base["percentiles"])
    if kind is Kind.TEXT or (each.as_text and kind in TIMES):
        base |= _of_texts(database)
    if kind is Kind.TEXT and not base["numbers"]:
        base["times"] = count_times(database)
    return ColumnFigures(**base)


def _frequencies(database: duckdb.DuckDBPyConnection, rows: int) -> dict[str, Any]:
    distinct, singles, values, lowest, highest = _row(
        database,
        f"""
SELECT count(*), count(*) FILTER (n = 1), coalesce(sum(n), 0)::BIGINT,
    min(v)::VARCHAR, max(v)::VARCHAR FROM {VALUES}""",
    )
    frequent = database.execute(f"""
SELECT v::VARCHAR, n FROM {VALUES} WHERE n > 1 OR {distinct} <= {MOST_VALUES}
ORDER BY n DESC, v LIMIT {MOST_VALUES}""")
    return {
        "nulls": rows - values, "distinct": distinct, "singles": singles,
        "lowest": _cut(lowest), "highest": _cut(highest),
        "frequent": tuple((_cut(value), n) for value, n in frequent.fetchall()),
    }  # fmt: skip


def _cut(text: str | None) -> str | None:
    is_long = text is not None and len(text) > _LONGEST_VALUE
    return f"{text[:_LONGEST_VALUE]}…" if text and is_long else text


def _of_numbers(database: duckdb.DuckDBPyConnection, values: int) -> dict[str, Any]:
    if not values:
        return {}
    mean, deviation = _row(
        database,
        f"""
WITH m AS (SELECT sum(v::DOUBLE * n) / {values} AS mean FROM {VALUES})
SELECT any_value(mean), sqrt(sum(n * (v::DOUBLE - mean) ** 2) / nullif({values} - 1, 0))
FROM {VALUES}, m""",
    )
    return {"mean": _rounded(mean), "deviation": _rounded(deviation)}


def _rounded(figure: float | None) -> float | None:
    """Without the last digits, which depend on the order in which threads add up."""
    return None if figure is None else float(f"{figure:.12g}")


def _of_texts(database: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    padded, shortest, mean, longest, numbers = _row(
        database,
        f"""
SELECT coalesce(sum(n) FILTER (v <> trim(v)), 0)::BIGINT, min(length(v)),
    sum(length(v) * n) / sum(n), max(length(v)),
    coalesce(sum(n) FILTER (TRY_CAST(v AS DOUBLE) IS NOT NULL), 0)::BIGINT FROM {TEXTS}""",
    )
    group_patterns(database)
    found = database.execute(f"""
SELECT v, n FROM {PATTERNS} ORDER BY n DESC, v LIMIT {MOST_PATTERNS}""").fetchall()
    return {
        "padded": padded, "numbers": numbers, "patterns": tuple(found),
        "lengths": () if shortest is None else (shortest, _rounded(mean), longest),
        "pattern_count": _number(database, f"SELECT count(*) FROM {PATTERNS}"),
    }  # fmt: skip


# --- quantiles and outliers ------------------------------------------------------------------


def percentiles(database: duckdb.DuckDBPyConnection, values: int) -> tuple[str, ...]:
    """Return the values at or below which 0 to 100 per cent of the records lie.

    Args:
        database: that holds the grouped values.
        values: how many records have one.
    """
    if not values:
        return ()
    # of all values only those at which another per cent begins
    found = database.execute(f"""
SELECT v::VARCHAR, upto FROM (
    SELECT v, n, sum(n) OVER (ORDER BY v)::BIGINT AS upto FROM {VALUES}
) WHERE upto = n OR upto * 100 // {values} > (upto - n) * 100 // {values}
    OR (upto - n) * 100 % {values} = 0
ORDER BY upto""").fetchall()
    reached = [upto * 100 for _, upto in found]
    return tuple(found[bisect_left(reached, per * values)][0] for per in range(101))


def outliers(database: duckdb.DuckDBPyConnection, found: Sequence[str]) -> dict[str, int]:
    """Return by method how many records lie outside; see `docs/profile.md`.

    Args:
        database: that holds the grouped values.
        found: their percentiles.
    """
    fences = {
        method: fence(
            method, lambda per: float(found[per]), partial(_median_distance, database)
        )
        for method in METHODS
    }  # fmt: skip
    usable = {method: each for method, each in fences.items() if each}
    if not usable:
        return {}
    counts = ", ".join(
        f"coalesce(sum(n) FILTER (v < {each.low!r} OR v > {each.high!r}), 0)::BIGINT"
        for each in usable.values()
    )
    as_double = f"(SELECT v::DOUBLE AS v, n FROM {VALUES})"
    return dict(zip(usable, _row(database, f"SELECT {counts} FROM {as_double}"), strict=True))


def _median_distance(database: duckdb.DuckDBPyConnection, median: float) -> float:
    """The median of the distances from a value."""
    return float(
        _row(
            database,
            f"""
WITH d AS (SELECT abs(v::DOUBLE - {median!r}) AS d, sum(n) AS n FROM {VALUES} GROUP BY 1),
u AS (SELECT d, sum(n) OVER (ORDER BY d) AS upto, sum(n) OVER () AS total FROM d)
SELECT min(d) FILTER (2 * upto >= total) FROM u""",
        )[0]
    )

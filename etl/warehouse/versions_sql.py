"""The statements that turn states which were seen into versions; the same idea on every engine.

For the keys that a load changes, all states known are put in the order of time, neighbours that are
equal become one version, and each ends where the next begins. `rows` is the table that holds the
staged records of a source.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from etl.engines.ddl import create_temporary_as
from etl.engines.dialect import (
    Dialect,
    any_differs,
    column_differs,
    is_false,
    is_true,
    listed,
    quoted,
    quoted_table,
    record_key,
    same_key,
    sql_type,
    temporary,
)
from etl.schema.table import Column, Kind, Role, Table
from etl.schema.versioned import (
    HOLDS_FROM,
    IS_CURRENT,
    IS_REMOVED,
    NEVER,
    VALID_FROM,
    VALID_TO,
    VERSION_ID,
    observation_table,
    previous_name,
)
from etl.warehouse.staging_sql import not_staged

# Temporary tables of one load: states that are new or differ, the same among their neighbours, and
# the versions that follow. Their own columns have a space, so that no record's has the name.
CHANGED, COMPARED, TIMELINE = "changed_state", "compared_state", "version_line"
_IS_NEW, _AT_SNAPSHOT = '"is new"', '"at snapshot"'
_PLACE, _WAS_REMOVED, _NEXT = '"place in time"', '"was removed"', '"next from"'


@dataclass(frozen=True)
class Snapshot:
    """Records that were staged, and how they were seen.

    Attributes:
        rows, rejected: tables of the staged records, and of the keys of rejected ones.
        seen_at: when; records hold from then on that do not say since when they do.
        whole: what is not among them is gone.
        sparse: a state that equals the one before need not be kept, as a state is known of every
            key at every moment of a snapshot.
        newest: nothing is known that is later.
        fresh: all that is known is earlier, and no record says of itself since when it holds.
        first: nothing is known at all.
    """

    rows: str
    rejected: str
    seen_at: datetime
    whole: bool
    sparse: bool
    newest: bool = True
    fresh: bool = False
    first: bool = False


# --- words -------------------------------------------------------------------------------


def moment(dialect: Dialect, at: datetime) -> str:
    """Return a moment as SQL.

    Example:
        >>> from etl.engines.duckdb import DUCKDB
        >>> moment(DUCKDB, datetime(2024, 1, 20))
        "CAST('2024-01-20 00:00:00.000000' AS TIMESTAMP)"
    """
    return f"CAST('{at:%Y-%m-%d %H:%M:%S.%f}' AS {dialect.types[Kind.TIMESTAMP]})"


def _flag(dialect: Dialect, condition: str) -> str:
    truth = f"CASE WHEN {condition} THEN {dialect.true} ELSE {dialect.false} END"
    return f"CAST({truth} AS {dialect.types[Kind.BOOLEAN]})"


def _constant(dialect: Dialect, *, true: bool) -> str:
    value = dialect.true if true else dialect.false
    return f"CAST({value} AS {dialect.types[Kind.BOOLEAN]})"


def _marks(dialect: Dialect, *, gone: bool, at_snapshot: bool) -> str:
    """What a state is: whether the key is gone, and whether a snapshot says since when."""
    is_gone, is_seen = (_constant(dialect, true=each) for each in (gone, at_snapshot))
    return f"{is_gone} AS {_GONE}, {is_seen} AS {_AT_SNAPSHOT}"


def _key(table: Table, alias: str) -> str:
    return ", ".join(f"{alias}.{quoted(name)}" for name in table.key)


def _brought(table: Table) -> tuple[Column, ...]:
    return table.with_role(Role.SOURCE)


def guarded_columns(table: Table) -> tuple[Column, ...]:
    """Return what records bring besides that by which they are distinguished."""
    return tuple(c for c in _brought(table) if c.name not in table.identity)


def _observed(table: Table) -> tuple[Column, ...]:
    names = {column.name for column in _brought(table)}
    return tuple(c for c in observation_table(table).columns if c.name in names)


def _versioning(table: Table) -> tuple[Column, ...]:
    """The columns a difference in which opens a version."""
    latest = table.versions.latest if table.versions else ()
    return tuple(c for c in guarded_columns(table) if c.name not in latest)


def _latest(table: Table) -> tuple[Column, ...]:
    latest = table.versions.latest if table.versions else ()
    return tuple(c for c in guarded_columns(table) if c.name in latest)


def _observations(table: Table) -> str:
    return quoted_table(observation_table(table).name)


def _same_state(table: Table, left: str, right: str) -> str:
    return f"{same_key(table, left, right)} AND {left}.{_HOLDS} = {right}.{_HOLDS}"


_HOLDS, _GONE, _ID = quoted(HOLDS_FROM), quoted(IS_REMOVED), quoted(VERSION_ID)


# --- what is known -----------------------------------------------------------------------


def newest_state(table: Table) -> str:
    """Return the query for the latest moment of which a state is known."""
    return f"SELECT max({_HOLDS}) FROM {_observations(table)};"


def next_snapshot() -> str:
    """Return the query for the first whole snapshot after another. Parameters: table, moment."""
    return 'SELECT min("seen_at") FROM "etl_snapshot" WHERE "table_name" = ? AND "seen_at" > ?;'


def _known(dialect: Dialect, table: Table, seen: Snapshot) -> str:
    """The states that held when the records were seen, of all keys that were not gone."""
    if seen.newest:
        names = ", ".join(_as_observed(dialect, column) for column in _brought(table))
        current = is_true(dialect, quoted(IS_CURRENT))
        return f"(SELECT {names} FROM {quoted_table(table.name)} WHERE {current})"
    return f"""(
        SELECT {listed(_brought(table))} FROM (
            SELECT o.*, row_number() OVER (
                PARTITION BY {_key(table, "o")} ORDER BY o.{_HOLDS} DESC) AS {_PLACE}
            FROM {_observations(table)} AS o WHERE o.{_HOLDS} <= {moment(dialect, seen.seen_at)}
        ) AS latest WHERE {_PLACE} = 1 AND {is_false(dialect, _GONE)})"""


def _as_observed(dialect: Dialect, column: Column) -> str:
    """The column with the collation that observations have."""
    name = quoted(column.name)
    bare = column.kind is not Kind.TEXT or column.exact or not dialect.exact
    return name if bare else f"{name}{dialect.exact} AS {name}"


# --- what has changed --------------------------------------------------------------------


def create_changed(dialect: Dialect, table: Table, seen: Snapshot) -> str:
    """Return what makes the table of states that staged records add or correct.

    Keys that are missing in a whole snapshot are gone as of then. One that is known to be gone, and
    comes with the time of an earlier change, is back as of then.
    """
    since = table.versions.valid_from if table.versions else ""
    parts = [_records(dialect, table, seen)]
    if seen.whole and not seen.first:
        parts.append(_missing(dialect, table, seen))
    if seen.whole and since and not seen.first:
        parts.append(_returned(dialect, table, seen))
    return _create_changed(dialect, table, parts, alone=seen.fresh)


def create_removed(dialect: Dialect, table: Table, removed: str) -> str:
    """Return the same for keys that a table lists with the moment at which each was removed.

    Args:
        dialect: the engine's.
        table: the versioned table.
        removed: name of a table such as `versioned.ended_key_table`.
    """
    columns = ", ".join(
        f"r.{quoted(c.name)}" if c.name in table.key
        else f"{_nothing(dialect, c)} AS {quoted(c.name)}"
        for c in _observed(table)
    )  # fmt: skip
    part = f"""SELECT CAST(NULL AS {dialect.types[Kind.BIGINT]}) AS "source_row", {columns},
        r.{_HOLDS}, {_marks(dialect, gone=True, at_snapshot=False)}
    FROM {quoted(removed)} AS r"""
    return _create_changed(dialect, table, [part])


def _nothing(dialect: Dialect, column: Column) -> str:
    collation = dialect.exact if column.kind is Kind.TEXT else ""
    kind = sql_type(dialect, replace(column, exact=False, collation=""))
    return f"CAST(NULL AS {kind}){collation}"


def _create_changed(
    dialect: Dialect, table: Table, parts: Iterable[str], *, alone: bool = False
) -> str:
    found = "\n    UNION ALL\n    ".join(parts)
    observations, columns = _observations(table), listed(_observed(table), "f.")
    own = f'f."source_row", {columns}, f.{_HOLDS}, f.{_GONE}, f.{_AT_SNAPSHOT}'
    number = 'coalesce(n."last", 0) + row_number() OVER (ORDER BY f."source_row")'
    last = f'CROSS JOIN (SELECT max({_ID}) AS "last" FROM {observations}) AS n'
    if alone:
        query = f"""SELECT {number} AS {_ID}, {own}, {_constant(dialect, true=True)} AS {_IS_NEW}
FROM (
    {found}
) AS f
{last}"""
        return create_temporary_as(dialect, CHANGED, query)
    query = f"""SELECT CASE WHEN o.{_ID} IS NULL THEN {number} ELSE o.{_ID} END AS {_ID},
    {own}, {_flag(dialect, f"o.{_ID} IS NULL")} AS {_IS_NEW}
FROM (
    {found}
) AS f
LEFT JOIN {observations} AS o ON {_same_state(table, "o", "f")}
{last}
WHERE o.{_ID} IS NULL OR o.{_GONE} <> f.{_GONE} OR {_others_differ(dialect, table)}"""
    return create_temporary_as(dialect, CHANGED, query)


def _others_differ(dialect: Dialect, table: Table) -> str:
    """Condition: a state `f` is there as `o`, with other values; of one that is gone none count."""
    if not (columns := guarded_columns(table)):
        return "1 = 0"
    differing = any_differs(dialect, columns, "o", "f")
    return f"({is_false(dialect, f'f.{_GONE}')} AND {differing})"


def _records(dialect: Dialect, table: Table, seen: Snapshot) -> str:
    since = table.versions.valid_from if table.versions else ""
    at = f"s.{quoted(since)}" if since else moment(dialect, seen.seen_at)
    holds = f"CAST({at} AS {dialect.types[Kind.TIMESTAMP]})" if since else at
    own = f"""SELECT s."source_row", {listed(_brought(table), "s.")}, {holds} AS {_HOLDS},
        {_marks(dialect, gone=False, at_snapshot=not since)}
    FROM {quoted(seen.rows)} AS s"""
    if not seen.sparse or seen.first:
        return own
    known, first = _known(dialect, table, seen), quoted(table.key[0])
    columns = guarded_columns(table)
    differing = f" OR {any_differs(dialect, columns, 'k', 's')}" if columns else ""
    return f"""{own}
    LEFT JOIN {known} AS k ON {same_key(table, "k", "s")}
    WHERE k.{first} IS NULL{differing}"""


def _missing(dialect: Dialect, table: Table, seen: Snapshot) -> str:
    observed = observation_table(table)
    key = record_key(dialect, _keyed(observed, table), "k")
    return f"""SELECT CAST(NULL AS {dialect.types[Kind.BIGINT]}) AS "source_row",
        {listed(_brought(table), "k.")}, {moment(dialect, seen.seen_at)} AS {_HOLDS},
        {_marks(dialect, gone=True, at_snapshot=True)}
    FROM {_known(dialect, table, seen)} AS k
    WHERE {not_staged(table, seen.rows, "k")}
        AND {key} NOT IN (SELECT "record_key" FROM {quoted(seen.rejected)})"""


def _keyed(observed: Table, table: Table) -> Table:
    return Table(observed.name, "", table.key, observed.columns)


def _returned(dialect: Dialect, table: Table, seen: Snapshot) -> str:
    since = quoted(table.versions.valid_from if table.versions else "")
    at, key = moment(dialect, seen.seen_at), _key(table, "x")
    return f"""SELECT s."source_row", {listed(_brought(table), "s.")}, {at} AS {_HOLDS},
        {_marks(dialect, gone=False, at_snapshot=True)}
    FROM (
        SELECT x.*, row_number() OVER (PARTITION BY {key} ORDER BY x.{since} DESC) AS {_PLACE}
        FROM {quoted(seen.rows)} AS x
    ) AS s
    JOIN (
        SELECT {key}, x.{_HOLDS}, x.{_GONE},
            row_number() OVER (PARTITION BY {key} ORDER BY x.{_HOLDS} DESC) AS {_PLACE}
        FROM {_observations(table)} AS x
        WHERE x.{_HOLDS} <= {at} AND EXISTS (SELECT 1 FROM {_observations(table)} AS g
            WHERE {same_key(table, "g", "x")} AND {is_true(dialect, f"g.{_GONE}")})
    ) AS g ON {same_key(table, "g", "s")}
    WHERE s.{_PLACE} = 1 AND g.{_PLACE} = 1 AND {is_true(dialect, f"g.{_GONE}")}
        AND s.{since} < g.{_HOLDS}"""


def add_states_of_next(dialect: Dialect, table: Table, seen: Snapshot, following: datetime) -> str:
    """Return what adds, for a snapshot that comes late, what the one after it has shown.

    That one need not have kept a state that was the same as the one before it then.

    Args:
        dialect: the engine's.
        table: the versioned table.
        seen: the late one.
        following: when the one after it was seen.
    """
    changed, observations = temporary(dialect, CHANGED), _observations(table)
    at, later = moment(dialect, seen.seen_at), moment(dialect, following)
    columns = ", ".join(
        f"{'c' if c.name in table.key else 'k'}.{quoted(c.name)}" for c in _brought(table)
    )
    between = f"{{alias}}.{_HOLDS} > {at} AND {{alias}}.{_HOLDS} <= {later}"
    unknown = f"k.{quoted(table.key[0])} IS NULL"
    names = f'{_ID}, "source_row", {listed(_observed(table))}, {_HOLDS}, {_GONE}'
    return f"""INSERT INTO {changed} ({names}, {_AT_SNAPSHOT}, {_IS_NEW})
SELECT n."last" + row_number() OVER (ORDER BY c.{_ID}),
    CAST(NULL AS {dialect.types[Kind.BIGINT]}), {columns}, {later},
    {_flag(dialect, unknown)}, {_constant(dialect, true=True)}, {_constant(dialect, true=True)}
FROM {changed} AS c
CROSS JOIN (SELECT max({_ID}) AS "last" FROM (
    SELECT max({_ID}) AS {_ID} FROM {observations} UNION ALL
    SELECT max({_ID}) AS {_ID} FROM {changed}) AS ids) AS n
LEFT JOIN {_known(dialect, table, seen)} AS k ON {same_key(table, "k", "c")}
WHERE {is_true(dialect, f"c.{_AT_SNAPSHOT}")} AND c.{_HOLDS} = {at}
    AND NOT EXISTS (SELECT 1 FROM {observations} AS o
        WHERE {same_key(table, "o", "c")} AND {between.format(alias="o")})
    AND NOT EXISTS (SELECT 1 FROM {changed} AS d
        WHERE {same_key(table, "d", "c")} AND {between.format(alias="d")});"""


# --- the order of time -------------------------------------------------------------------


def create_compared(dialect: Dialect, table: Table, *, rebuilt: bool = False) -> str:
    """Return what makes the table of all states of the keys that change, each with the one before.

    Args:
        dialect: the engine's.
        table: the versioned table.
        rebuilt: of all keys that there are.
    """
    observed, changed = _observed(table), temporary(dialect, CHANGED)
    columns = listed(observed)
    touched = f"EXISTS (SELECT 1 FROM {changed} AS c WHERE {same_key(table, 'c', 'o')}) AND "
    in_time = f"OVER (PARTITION BY {_key(table, 'seen')} ORDER BY seen.{_HOLDS})"
    gone_last = f"CASE WHEN {is_true(dialect, f'seen.{_GONE}')} THEN 1 ELSE 0 END"
    latest = f"OVER (PARTITION BY {_key(table, 'seen')} ORDER BY {gone_last}, seen.{_HOLDS} DESC)"
    windows = [
        f"row_number() {in_time} AS {_PLACE}",
        f"lag(seen.{_GONE}) {in_time} AS {_WAS_REMOVED}",
        *(f"lag(seen.{quoted(c.name)}) {in_time} AS {_was(n)}"
          for n, c in enumerate(guarded_columns(table))),
        *(f"first_value(seen.{quoted(c.name)}) {latest} AS {_now(n)}"
          for n, c in enumerate(_latest(table))),
    ]  # fmt: skip
    computed = ",\n    ".join(windows)
    query = f"""SELECT seen.*,
    {computed}
FROM (
    SELECT o.{_ID}, CAST(NULL AS {dialect.types[Kind.BIGINT]}) AS "source_row",
        {listed(observed, "o.")}, o.{_HOLDS}, o.{_GONE}
    FROM {_observations(table)} AS o
    WHERE {"" if rebuilt else touched}NOT EXISTS (
        SELECT 1 FROM {changed} AS c WHERE c.{_ID} = o.{_ID})
    UNION ALL
    SELECT {_ID}, "source_row", {columns}, {_HOLDS}, {_GONE} FROM {changed}
) AS seen"""
    return create_temporary_as(dialect, COMPARED, query)


def _was(number: int) -> str:
    return f'"was {number}"'


def _now(number: int) -> str:
    return f'"now {number}"'


def _opens(dialect: Dialect, table: Table) -> str:
    """Condition: a state is not the same as the one before it."""
    numbers = {column.name: n for n, column in enumerate(guarded_columns(table))}
    differing = [
        column_differs(dialect, c, quoted(c.name), _was(numbers[c.name]))
        for c in _versioning(table)
    ]
    return " OR ".join([f"{_PLACE} = 1", f"{_GONE} <> {_WAS_REMOVED}", *differing])


def create_timeline(dialect: Dialect, table: Table) -> str:
    """Return what makes the table of the versions of the keys that change."""
    key, columns = _key(table, "kept"), listed(_version_columns(table))
    previous = "".join(f",\n        {each}" for each in _previous_values(dialect, table))
    named = ", ".join(_version_value(table, column) for column in _version_columns(table))
    ended = f"line.{_NEXT}"
    query = f"""SELECT {columns}, {quoted(VALID_FROM)},
    coalesce({ended}, {moment(dialect, NEVER)}) AS {quoted(VALID_TO)},
    {_flag(dialect, f"{ended} IS NULL")} AS {quoted(IS_CURRENT)}
FROM (
    SELECT {named}, kept.{_HOLDS} AS {quoted(VALID_FROM)}, kept.{_GONE},
        lead(kept.{_HOLDS}) OVER (PARTITION BY {key} ORDER BY kept.{_HOLDS}) AS {_NEXT}
    FROM (
        SELECT c.*{previous} FROM {temporary(dialect, COMPARED)} AS c
    ) AS kept
    WHERE {_opens(dialect, table)}
) AS line
WHERE {is_false(dialect, f"line.{_GONE}")}"""
    return create_temporary_as(dialect, TIMELINE, query)


def _version_columns(table: Table) -> tuple[Column, ...]:
    """All columns but those of the span, which are computed."""
    return tuple(c for c in table.columns if c.name not in (VALID_FROM, VALID_TO, IS_CURRENT))


def _version_value(table: Table, column: Column) -> str:
    latest = [each.name for each in _latest(table)]
    if column.name in latest:
        return f"kept.{_now(latest.index(column.name))} AS {quoted(column.name)}"
    return f"kept.{quoted(column.name)}"


def _previous_values(dialect: Dialect, table: Table) -> Iterator[str]:
    """The newest value of a column that is not its latest one."""
    names = table.versions.with_previous if table.versions else ()
    for number, column in enumerate(_latest(table)):
        if column.name in names:
            own = f"c.{quoted(column.name)}"
            other = column_differs(dialect, column, own, f"c.{_now(number)}")
            rank = f"CASE WHEN {is_false(dialect, f'c.{_GONE}')} AND {other} THEN 0 ELSE 1 END"
            part = f"PARTITION BY {_key(table, 'c')}"
            found = f"first_value({own}) OVER ({part} ORDER BY {rank}, c.{_HOLDS} DESC)"
            yield (
                f"CASE WHEN min({rank}) OVER ({part}) = 0 THEN {found} END "
                f"AS {quoted(previous_name(column.name))}"
            )


# --- counting ----------------------------------------------------------------------------


def count_states(dialect: Dialect, table: Table, seen: Snapshot) -> str:
    """Return the query for what records do, and a snapshot besides.

    Its result is one row: staged records, those that change something, those of them that open a
    version; keys that are gone; states that are corrected.
    """
    changed, line = temporary(dialect, CHANGED), temporary(dialect, TIMELINE)
    opened = f"""SELECT count(DISTINCT c."source_row") FROM {changed} AS c
    JOIN {line} AS t ON t.{_ID} = c.{_ID} WHERE {is_true(dialect, f"c.{_IS_NEW}")}"""
    gone = (
        f'SELECT count(*) FROM {changed} AS c WHERE c."source_row" IS NULL '
        f"AND {is_true(dialect, f'c.{_GONE}')} AND c.{_HOLDS} = {moment(dialect, seen.seen_at)}"
    )
    corrected = f"SELECT count(*) FROM {changed} AS c WHERE {is_false(dialect, f'c.{_IS_NEW}')}"
    return f"""SELECT (SELECT count(*) FROM {quoted(seen.rows)}),
    (SELECT count(DISTINCT c."source_row") FROM {changed} AS c),
    ({opened}),
    ({gone}),
    ({corrected});"""


def count_changed_columns(dialect: Dialect, table: Table) -> str:
    """Return the query for how many records differ in a column from the state before them."""
    counts = ",\n    ".join(
        f"coalesce(sum(CASE WHEN {column_differs(dialect, c, quoted(c.name), _was(n))} "
        "THEN 1 ELSE 0 END), 0)"
        for n, c in enumerate(guarded_columns(table))
    )
    return f"""SELECT {counts}
FROM {temporary(dialect, COMPARED)}
WHERE "source_row" IS NOT NULL AND {is_false(dialect, _WAS_REMOVED)}
    AND {is_false(dialect, _GONE)};"""


def count_changed(dialect: Dialect) -> str:
    """Return the query for how many states are new or differ."""
    return f"SELECT count(*) FROM {temporary(dialect, CHANGED)};"


# --- writing -----------------------------------------------------------------------------


def insert_states(dialect: Dialect, table: Table) -> str:
    """Return what keeps the states that are new. Parameter: run."""
    columns = f"{_ID}, {listed(_observed(table))}, {_HOLDS}, {_GONE}"
    return f"""INSERT INTO {_observations(table)} ({columns}, "run_id")
SELECT {columns}, ? FROM {temporary(dialect, CHANGED)} WHERE {is_true(dialect, _IS_NEW)};"""


def correct_states(dialect: Dialect, table: Table) -> str:
    """Return what corrects those that were known otherwise. Parameter: run."""
    values = [c for c in _observed(table) if c.name not in table.key]
    names = [*(quoted(c.name) for c in values), _GONE]
    sets = ", ".join(f"{name} = source.{name}" for name in names)
    return f"""MERGE INTO {_observations(table)}{dialect.locked} AS target
USING (SELECT * FROM {temporary(dialect, CHANGED)} WHERE {is_false(dialect, _IS_NEW)}) AS source
ON target.{_ID} = source.{_ID}
WHEN MATCHED THEN UPDATE SET {sets}, "run_id" = ?;"""


def delete_versions(dialect: Dialect, table: Table, *, rebuilt: bool = False) -> str:
    """Return what removes versions that are none any more, of the keys that change or of all."""
    target, changed = quoted_table(table.name), temporary(dialect, CHANGED)
    touched = (
        f"EXISTS (SELECT 1 FROM {changed} AS c WHERE {same_key(table, 'c', target)})\n    AND "
    )
    return f"""DELETE FROM {target}
WHERE {"" if rebuilt else touched}NOT EXISTS (
        SELECT 1 FROM {temporary(dialect, TIMELINE)} AS t WHERE t.{_ID} = {target}.{_ID});"""


def merge_spans(dialect: Dialect, table: Table) -> str:
    """Return what ends versions that are there at another moment, or lets them go on."""
    return _merge(dialect, table, [table.column(name) for name in (VALID_TO, IS_CURRENT)])


def merge_values(dialect: Dialect, table: Table) -> str:
    """Return what writes other values into versions that are there."""
    spans = (VERSION_ID, VALID_FROM, VALID_TO, IS_CURRENT)
    return _merge(dialect, table, [c for c in table.columns if c.name not in spans])


def _merge(dialect: Dialect, table: Table, columns: Sequence[Column]) -> str:
    sets = ",\n    ".join(f"{quoted(c.name)} = source.{quoted(c.name)}" for c in columns)
    return f"""MERGE INTO {quoted_table(table.name)}{dialect.locked} AS target
USING {temporary(dialect, TIMELINE)} AS source
ON target.{_ID} = source.{_ID}
WHEN MATCHED AND {any_differs(dialect, columns, "target", "source")} THEN UPDATE SET
    {sets};"""


def insert_versions(dialect: Dialect, table: Table) -> str:
    """Return what adds the versions that are not there."""
    target = quoted_table(table.name)
    return f"""INSERT INTO {target} ({listed(table.columns)})
SELECT {listed(table.columns, "t.")} FROM {temporary(dialect, TIMELINE)} AS t
WHERE NOT EXISTS (SELECT 1 FROM {target} AS v WHERE v.{_ID} = t.{_ID});"""


# --- checking ----------------------------------------------------------------------------


def count_of(query: str) -> str:
    """Return the query for how many rows another one has."""
    return f"SELECT count(*) FROM (\n{query}\n) AS found;"


def faulty_versions(dialect: Dialect, table: Table, *, touched: bool = False) -> str:
    """Return the query for keys whose versions overlap, leave a gap or have no clear end.

    A gap is none while the key was gone. Its result has `broken_key`, once per fault.

    Args:
        dialect: the engine's.
        table: the versioned table.
        touched: only of the keys that change.
    """
    start, end, current = quoted(VALID_FROM), quoted(VALID_TO), quoted(IS_CURRENT)
    changed = temporary(dialect, CHANGED)
    only = f"\n    WHERE EXISTS (SELECT 1 FROM {changed} AS c WHERE {same_key(table, 'c', 'v')})"
    never = f"v.{end} = {moment(dialect, NEVER)}"
    return f"""SELECT {record_key(dialect, table, "v")} AS "broken_key" FROM (
    SELECT {_key(table, "v")}, v.{start}, v.{end}, v.{current},
        lead(v.{start}) OVER (PARTITION BY {_key(table, "v")} ORDER BY v.{start}) AS {_NEXT}
    FROM {quoted_table(table.name)} AS v{only if touched else ""}
) AS v
WHERE v.{end} <= v.{start} OR v.{_NEXT} < v.{end}
    OR ({is_true(dialect, f"v.{current}")} AND NOT {never})
    OR ({is_false(dialect, f"v.{current}")} AND {never})
    OR (v.{_NEXT} > v.{end} AND NOT EXISTS (SELECT 1 FROM {_observations(table)} AS o
        WHERE {same_key(table, "o", "v")} AND {is_true(dialect, f"o.{_GONE}")}
            AND o.{_HOLDS} = v.{end}))"""

"""The queries of the gate: what it counts in staged records, and in the table they are for.

`rows` is the name of the table that holds the staged records of a source.
"""

from collections.abc import Iterable, Mapping

from etl.engines.dialect import Dialect, quoted, quoted_table
from etl.schema.table import Column, Table
from etl.warehouse.staging_sql import live_rows, not_staged


def count_unread(dialect: Dialect, table: Table, rows: str) -> str:
    """Return the query for how many rows a full refresh removes or empties, as `live_rows`."""
    return f"""SELECT count(*) FROM {quoted_table(table.name)} AS target
WHERE {live_rows(dialect, table)}
    AND {not_staged(table, rows)};"""


def _counted(columns: Iterable[Column]) -> str:
    return "".join(f", count({quoted(column.name)})" for column in columns)


def count_staged_values(columns: Iterable[Column], rows: str) -> str:
    """Return the query for how many staged records there are, and how many have each column."""
    return f"SELECT count(*){_counted(columns)} FROM {quoted(rows)};"


def count_known_values(dialect: Dialect, table: Table, columns: Iterable[Column]) -> str:
    """Return the query for how many rows there are, and how many have each column, likewise.

    Its parameters are those of `live_rows`.
    """
    return (
        f"SELECT count(*){_counted(columns)} FROM {quoted_table(table.name)} AS target "
        f"WHERE {live_rows(dialect, table)};"
    )


def count_needing_placeholders(table: Table, rows: str, waiting: Mapping[str, str]) -> str:
    """Return the query for how many staged records name a key of which nothing is known.

    Args:
        table: the table of the staged records.
        rows: where they stand.
        waiting: by table, where records of the same run stand that are not merged yet.
    """
    unknown = [
        _unknown(column, parent, waiting.get(parent.name, ""))
        for column, parent in table.references
        if parent.placeholder
    ]
    return f"""SELECT count(*) FROM {quoted(rows)} AS s
WHERE {" OR ".join(unknown)};"""


def count_float_ids(
    dialect: Dialect, *, column: Column, rows: str, parent: Table, waiting: str = ""
) -> str:
    """Return the query for how many staged ids such as `1001.0` are known as `1001`, and one.

    Args:
        dialect: of the warehouse.
        column: the ids.
        rows: where the staged records stand.
        parent: the table that knows ids.
        waiting: where records for it stand that are not merged yet.
    """
    own, key = f"s.{quoted(column.name)}", quoted(parent.key[0])
    real = f" AND d.{quoted(parent.placeholder)} = {dialect.false}" if parent.placeholder else ""
    known = [(parent.name, real), *([(waiting, "")] if waiting else [])]

    def is_known(value: str) -> str:
        places = (f"EXISTS (SELECT 1 FROM {quoted_table(place)} AS d WHERE {value} = {own}{only})"
                  for place, only in known)  # fmt: skip
        return f"({' OR '.join(places)})"

    whole = is_known(f"CONCAT(d.{key}, '.0')")
    return f"""SELECT count(*), min({own}) FROM {quoted(rows)} AS s
WHERE {own} LIKE '%.0' AND {whole} AND NOT {is_known(f"d.{key}")};"""


def _unknown(column: Column, parent: Table, waiting: str) -> str:
    own = f"s.{quoted(column.name)}"
    key = quoted(parent.key[0])
    places = [parent.name, *([waiting] if waiting else [])]
    missing = " AND ".join(
        f"NOT EXISTS (SELECT 1 FROM {quoted_table(place)} AS d WHERE d.{key} = {own})"
        for place in places
    )
    return f"({missing})" if column.required else f"({own} IS NOT NULL AND {missing})"

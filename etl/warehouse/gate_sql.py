"""The queries of the gate: what it counts in staged records, and in the table they are for.

`rows` is the name of the table that holds the staged records of a source.
"""

from collections.abc import Iterable, Mapping

from etl.engines.dialect import Dialect, quoted, quoted_table
from etl.schema.tables import Column, Table
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


def _unknown(column: Column, parent: Table, waiting: str) -> str:
    own = f"s.{quoted(column.name)}"
    key = quoted(parent.key[0])
    places = [parent.name, *([waiting] if waiting else [])]
    missing = " AND ".join(
        f"NOT EXISTS (SELECT 1 FROM {quoted_table(place)} AS d WHERE d.{key} = {own})"
        for place in places
    )
    return f"({missing})" if column.required else f"({own} IS NOT NULL AND {missing})"

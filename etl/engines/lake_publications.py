"""What is published in a lakehouse: which versions of the tables belong together."""

import json
from dataclasses import dataclass, field

import duckdb
import pyarrow as pa

from etl.engines.dialect import quoted, quoted_table, text_literal
from etl.engines.duckdb import DuckdbSession
from etl.engines.lake_tables import Lake
from etl.errors import LoadingError

PUBLISHED = "etl_published"

COLUMNS = pa.schema(
    [
        ("publication", pa.int64()),
        ("run_id", pa.string()),
        ("published_at", pa.timestamp("us")),
        ("table_name", pa.string()),
        ("version", pa.int64()),
        ("rows", pa.int64()),
        ("definition", pa.string()),
    ]
)


@dataclass(frozen=True)
class Published:
    """A table as the last publication has it.

    Attributes:
        version: of its Delta table.
        rows: how many it has.
        definition: how the working copy's table is made.
    """

    version: int
    rows: int
    definition: str


@dataclass(frozen=True)
class Publication:
    """The last publication of a lakehouse.

    Attributes:
        lake_id: the lakehouse; empty before the first publication.
        version: of `etl_published`; -1 before the first.
        number: of the publication.
        tables: by name, in the order in which they were made.
        kept: the rows of `etl_published`.
    """

    lake_id: str = ""
    version: int = -1
    number: int = 0
    tables: dict[str, Published] = field(default_factory=dict)
    kept: pa.Table | None = None


def last_publication(lake: Lake) -> Publication:
    """Return the last publication of a lakehouse.

    Raises:
        LoadingError: it cannot be read.
    """
    found = lake.table(PUBLISHED)
    if found is None:
        return Publication()
    kept = found.blocks().read_all().cast(COLUMNS)
    rows = kept.sort_by([("publication", "ascending")]).to_pylist()
    number = rows[-1]["publication"] if rows else 0
    tables = {
        row["table_name"]: Published(row["version"], row["rows"], row["definition"])
        for row in rows
        if row["publication"] == number
    }
    return Publication(found.id, found.version, number, tables, kept)


def create_table(db: DuckdbSession, name: str, definition: str) -> None:
    """Make a table of the working copy, in the place of the one there is.

    Args:
        db: the working copy.
        name: of the table.
        definition: its columns as `etl_published` has them, which is not trusted.

    Raises:
        LoadingError: it is no definition of columns.
    """
    found = json.loads(definition)
    columns = ", ".join(
        f"{quoted(column)} {kind}{' NOT NULL' if required else ''}"
        f"{f' DEFAULT ({default})' if default is not None else ''}"
        for column, kind, required, default in found["columns"]
    )
    statement = f"CREATE OR REPLACE TABLE {quoted_table(name)} ({columns});"
    parsed = duckdb.extract_statements(statement)
    if [each.type for each in parsed] != [duckdb.StatementType.CREATE]:
        raise LoadingError(f"{PUBLISHED} has no definition of {name} that can be used")
    if "." in name:
        db.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(name.split('.', 1)[0])};")
    db.execute(statement)
    if found["comment"] is not None:
        db.execute(f"COMMENT ON TABLE {quoted_table(name)} IS {text_literal(found['comment'])};")

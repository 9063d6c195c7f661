"""How a table of a lakehouse is divided into files, and which files its rows should be in.

A part is what falls into one span of time, or shares a digit of a hash. Its file is named after
it, the number of its rows and a sum over them that knows no order, so that the names say what is
in the files: a part whose name is there already is not written again.
"""

import json
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from etl.cloud.objects import send
from etl.cloud.paths import is_cloud
from etl.engines.dialect import quoted, quoted_table, text_literal
from etl.engines.duckdb import DuckdbSession
from etl.engines.lake_place import LakePlace
from etl.errors import LoadingError
from etl.libraries import parquet

PART_ROWS = 250_000  # a table with more of them is divided
_SUFFIX = ".parquet"
_WRITTEN_BY_LOADS = ("created_date", "updated_date", "valid_to")
_TIMES = ("DATE", "TIMESTAMP")
# As whole numbers: texts of times would cost more than everything else.
_UNITS = (
    "year({name})",
    "year({name}) * 100 + month({name})",
    "year({name}) * 10000 + month({name}) * 100 + day({name})",
)
_RUN_ID, _RUN_UNITS = "run_id", (4, 6, 8)  # its year, month and day
_STORED = {
    *("VARCHAR", "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE"),
    *("DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "BLOB"),
}


class StoredColumn(NamedTuple):
    """A column as the working copy has it: name, type, whether it may not be empty, default."""

    name: str
    type: str
    required: bool
    default: str | None


@dataclass(frozen=True)
class Part:
    """Some rows of a table.

    Attributes:
        label: the span of time, or the digit.
        rows: how many.
        checksum: over all of their columns, in whatever order.
    """

    label: str
    rows: int
    checksum: int

    @property
    def tag(self) -> str:
        """What the name of its file begins with.

        Example:
            >>> Part("202401", 31, 255).tag
            '202401_31_ff'
        """
        return f"{self.label}_{self.rows}_{self.checksum:x}"


def tag_of(path: str) -> str:
    """Return the tag in the name of a file; of a file of others its whole name.

    Example:
        >>> tag_of("202401_31_ff_0a1b2c3d.parquet"), tag_of("part-0001.parquet")
        ('202401_31_ff', 'part-0001.parquet')
    """
    tag, _, rest = path.rpartition("_")
    return tag if tag.count("_") == 2 and rest.endswith(_SUFFIX) else path  # noqa: PLR2004


def stored_columns(db: DuckdbSession, table: str) -> list[StoredColumn]:
    """Return the columns of a table of the working copy.

    Raises:
        LoadingError: one of them has a type that Delta tables have not.
    """
    schema, _, name = table.rpartition(".")
    rows = db.query(
        "SELECT column_name, data_type, NOT is_nullable, column_default FROM duckdb_columns() "
        "WHERE database_name = current_database() AND schema_name = ? AND table_name = ? "
        "ORDER BY column_index;",
        (schema or "main", name),
    )
    columns = [StoredColumn(*row) for row in rows]
    for column in columns:
        if column.type not in _STORED and not column.type.startswith("DECIMAL("):
            raise LoadingError(
                f"column {column.name} of {table} is {column.type}, which a lakehouse cannot hold",
                next_step="give it a type such as TIMESTAMP, DECIMAL(18, 2) or VARCHAR",
            )
    return columns


@dataclass(frozen=True)
class Division:
    """A table of the working copy, and the expression that says which part a row is in."""

    db: DuckdbSession
    table: str
    columns: tuple[StoredColumn, ...]
    label: str

    def parts(self) -> list[Part]:
        """Return the parts that the table has now."""
        listed = ", ".join(quoted(column.name) for column in self.columns)
        rows = self.db.query(
            f"SELECT {self.label} AS part, count(*), sum(hash({listed}))::HUGEINT "  # noqa: S608  # our own names, quoted
            f"FROM {quoted_table(self.table)} GROUP BY part ORDER BY part;"
        )
        return [Part(str(label), int(count), int(checksum)) for label, count, checksum in rows]

    def write(self, part: Part, place: LakePlace) -> "WrittenFile":
        """Write the file of a part into the folder of its table.

        It is not in the table yet, and a killed process may leave it half written; no name is used
        twice.
        """
        name = f"{part.tag}_{secrets.token_hex(4)}{_SUFFIX}"
        target = place.folder(self.table) / name
        if not is_cloud(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            return self._copied(part, target)
        with tempfile.TemporaryDirectory(prefix="etl-upload-") as folder:
            written = self._copied(part, Path(folder, name))
            send(Path(folder, name), target)
            return written

    def _copied(self, part: Part, file: Path) -> "WrittenFile":
        where = f"{self.label} = {text_literal(part.label)}"
        self.db.execute(
            f"COPY (SELECT * FROM {quoted_table(self.table)} WHERE {where}) "  # noqa: S608  # our own names, quoted
            f"TO {text_literal(str(file))} (FORMAT parquet, COMPRESSION zstd);"
        )
        with file.open("rb") as written:
            os.fsync(written.fileno())
        return WrittenFile(file.name, file.stat().st_size, _statistics(file))


@dataclass(frozen=True)
class WrittenFile:
    """A Parquet file, not in its table yet: name, size in bytes, what readers may skip it by."""

    name: str
    size: int
    statistics: str

    @property
    def written_at(self) -> int:
        """The present moment, in milliseconds."""
        return int(time.time() * 1000)


def divided(db: DuckdbSession, table: str) -> Division:
    """Return how a table is divided: not at all, or by time, or by a hash of its first column."""
    columns = tuple(stored_columns(db, table))
    rows = int(db.query(f"SELECT count(*) FROM {quoted_table(table)};")[0][0])  # noqa: S608  # our own name, quoted
    label = "'all'"
    if rows > PART_ROWS:
        label = _by_time(db, table, columns, rows) or _by_hash(columns, rows)
    return Division(db, table, columns, label)


def _by_time(
    db: DuckdbSession, table: str, columns: tuple[StoredColumn, ...], rows: int
) -> str | None:
    """The coarsest span of time that gives parts of a good size; else the finest."""
    label = None
    for label in _spans(columns):
        found = db.query(f"SELECT count(DISTINCT {label}) FROM {quoted_table(table)};")  # noqa: S608  # our own names, quoted
        if found[0][0] * PART_ROWS >= rows:
            break
    return label


def _spans(columns: tuple[StoredColumn, ...]) -> Iterator[str]:
    for column in columns:
        name = quoted(column.name)
        if column.name == _RUN_ID:
            yield from (f"coalesce(left({name}, {digits}), 'none')" for digits in _RUN_UNITS)
            return
        if column.type in _TIMES and column.name not in _WRITTEN_BY_LOADS:
            yield from (f"coalesce({unit.format(name=name)}, 0)" for unit in _UNITS)
            return


def _by_hash(columns: tuple[StoredColumn, ...], rows: int) -> str:
    parts = 1 << (rows // PART_ROWS).bit_length()
    return f"printf('%04d', (hash({quoted(columns[0].name)}) % {parts})::INTEGER)"


def _statistics(file: Path) -> str:
    """What Delta's log has of a file: its rows, empty values, and bounds of dates and numbers."""
    found = parquet().read_metadata(file)
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    empty: dict[str, int] = {}
    for index in range(found.num_columns):
        name = found.schema.column(index).name
        groups = [found.row_group(n).column(index).statistics for n in range(found.num_row_groups)]
        if not all(group is not None and group.has_null_count for group in groups):
            continue
        empty[name] = sum(group.null_count for group in groups)
        bounds = [(group.min, group.max) for group in groups if group.has_min_max]
        texts = [(_bound(least), _bound(most)) for least, most in bounds]
        if len(bounds) == len(groups) and bounds and texts[0][0] is not None:
            low[name] = _bound(min(least for least, _ in bounds))
            high[name] = _bound(max(most for _, most in bounds))
    return json.dumps(
        {"numRecords": found.num_rows, "minValues": low, "maxValues": high, "nullCount": empty}
    )


def _bound(value: Any) -> Any:
    if isinstance(value, bool):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value if isinstance(value, int) else None

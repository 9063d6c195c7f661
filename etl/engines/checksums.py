"""What a block of records adds up to, in the same figures that SQL Server gives of its rows."""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from etl.engines.dialect import Dialect, quoted
from etl.schema.columns import WIDEST_TEXT
from etl.schema.table import Column, Kind, Role, Table

_DAY_ZERO = (date(2000, 1, 1) - date(1970, 1, 1)).days
_MICROSECONDS_A_DAY = 86_400_000_000


# Texts are hashed; the sum of floating-point numbers depends on their order.
_NOT_SUMMED = (Kind.TEXT, Kind.DOUBLE)

# The longest text of a number or a time.
NUMBER_WIDTH = 41

# What servers hash of a text: SQL Server UTF-16, Babelfish UTF-8.
ENCODINGS = ("utf-16-le", "utf-8")


def encoding_of(text: str, digest: bytes) -> str:
    """Return in which encoding a text has a SHA-256.

    Raises:
        LookupError: in none that is known.

    Example:
        >>> encoding_of("é", hashlib.sha256("é".encode("utf-16-le")).digest())
        'utf-16-le'
    """
    for encoding in ENCODINGS:
        if hashlib.sha256(text.encode(encoding)).digest() == digest:
            return encoding
    raise LookupError("the server hashes texts in an encoding that is not known")


def block_checksum(table: Table, block: pa.RecordBatch, encoding: str) -> list[int]:
    """Return the figures of `server_checksum`, but for a block: rows, texts, other columns.

    Args:
        table: the table into which the records will be merged.
        block: its staged columns.
        encoding: in which the server hashes texts.

    Example:
        >>> from etl.schema.arrow import staged_schema
        >>> from etl.schema.star import PRODUCT_DIM
        >>> schema = staged_schema(PRODUCT_DIM)
        >>> block = pa.Table.from_pylist([{"quantity": 3}], schema=schema).to_batches()[0]
        >>> rows, texts, price, cost, quantity, inferred = block_checksum(
        ...     PRODUCT_DIM, block, "utf-8"
        ... )
        >>> rows, price, cost, quantity, inferred
        (1, 0, 0, 3, 0)
    """
    columns = table.with_role(Role.SOURCE)
    texts = [block.column(c.name) for c in columns if c.kind is Kind.TEXT]
    figures = [block.num_rows, _text_sum(texts, encoding, block.num_rows)]
    for column in columns:
        figures += _figures(column.kind, block.column(column.name))
    return figures


def _text_sum(texts: list[pa.Array], encoding: str, rows: int) -> int:
    if not texts:
        return rows * _first_bytes(b"")
    filled = [pc.fill_null(text, "") for text in texts]
    joined = pc.binary_join_element_wise(*filled, "|").to_pylist()
    return sum(_first_bytes(text.encode(encoding)) for text in joined)


def _first_bytes(text: bytes) -> int:
    digest = hashlib.sha256(text).digest()
    return int.from_bytes(digest[:4], "big", signed=True)


def _figures(kind: Kind, values: pa.Array) -> Iterator[int]:
    if kind in _NOT_SUMMED:
        return
    if kind is Kind.TIMESTAMP:
        micros = values.cast(pa.int64()).drop_null().to_pylist()
        yield sum(micro // _MICROSECONDS_A_DAY - _DAY_ZERO for micro in micros)
        yield sum(micro % _MICROSECONDS_A_DAY for micro in micros)
    elif kind is Kind.DATE:
        days = values.cast(pa.int32()).drop_null()
        yield _sum(days.cast(pa.int64())) - _DAY_ZERO * len(days)
    elif kind is Kind.DECIMAL:
        wide = values.cast(pa.decimal128(38, values.type.scale))
        yield int((pc.sum(wide).as_py() or 0) * 10**values.type.scale)
    else:
        yield _sum(values)


def _sum(values: pa.Array) -> int:
    return int(pc.sum(values).as_py() or 0)


# --- the same in T-SQL ---------------------------------------------------------------------

# A text whose bytes differ in every encoding, to find out which one a server hashes.
PROBE = "a\u00e9\u6f22"


def probe_encoding() -> str:
    """Return the query for what the server makes of `PROBE`: its SHA-256."""
    return f"SELECT HASHBYTES('SHA2_256', N'{PROBE}');"


def server_checksum(
    dialect: Dialect, table: Table, stage: str, *, where: str = '"run_id" = ?'
) -> str:
    """Return the query for what the server holds of staged rows, in figures. Parameter: the run.

    It has one row: how many rows; the sum of the first four bytes of each row's SHA-256 over
    its texts; then a sum per other column, in its order. Whole numbers throughout, of dates
    days, of timestamps seconds and then microseconds. For SQL Server.

    Args:
        dialect: the engine's.
        table: the table into which the records will be merged.
        stage: the staging table.
        where: which rows count.
    """
    columns = table.with_role(Role.SOURCE)
    figures = [_hash(dialect, columns), *(figure for c in columns for figure in _sql_figures(c))]
    sums = ",\n    ".join(f"sum(CAST({figure} AS DECIMAL(38, 0)))" for figure in figures)
    return f"SELECT count(*),\n    {sums}\nFROM {quoted(stage)} WHERE {where};"


def _hash(dialect: Dialect, columns: Iterable[Column]) -> str:
    texts = [c for c in columns if c.kind is Kind.TEXT]
    joined = " + N'|' + ".join(_filled(dialect, c) for c in texts) or "N''"
    whole = " + ".join([*long_start(texts), joined])
    first_bytes = f"CAST(HASHBYTES('SHA2_256', {whole}) AS BINARY(4))"
    return f"CAST({first_bytes} AS INT)"


def _filled(dialect: Dialect, column: Column) -> str:
    # texts of two collations cannot be put together (SQL Server's errors 451 and 468)
    exact = dialect.exact if column.collation else ""
    return f"coalesce({quoted(column.name)}{exact}, N'')"


def long_start(columns: Iterable[Column]) -> list[str]:
    """Return what a text has to begin with that is put together of columns.

    SQL Server cuts it off at the widest text that has a width, unless a part of it has none.

    Example:
        >>> long_start([Column("note", "", Kind.TEXT, width=4000)] * 2), long_start([])
        (["CAST(N'' AS NVARCHAR(MAX))"], [])
    """
    whole = sum(max(column.width, NUMBER_WIDTH) + 1 for column in columns)
    return ["CAST(N'' AS NVARCHAR(MAX))"] if whole > WIDEST_TEXT else []


def _sql_figures(column: Column) -> tuple[str, ...]:
    own = quoted(column.name)
    if column.kind is Kind.DECIMAL:
        return (f"{own} * {10**column.scale}",)
    if column.kind is Kind.DATE:
        return (f"DATEDIFF(DAY, '2000-01-01', {own})",)
    if column.kind is Kind.TIMESTAMP:
        day = f"DATEDIFF(DAY, '2000-01-01', {own})"
        return (f"CAST({day} AS BIGINT)", _microseconds_of_day(own))
    return () if column.kind in _NOT_SUMMED else (own,)


def _microseconds_of_day(own: str) -> str:
    seconds = (
        f"(DATEPART(HOUR, {own}) * 3600 + DATEPART(MINUTE, {own}) * 60 + DATEPART(SECOND, {own}))"
    )
    return f"CAST({seconds} AS BIGINT) * 1000000 + DATEPART(MICROSECOND, {own})"

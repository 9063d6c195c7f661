"""The values of a column, and in how many records each stands: what a profile is counted from."""

from collections.abc import Iterator
from functools import reduce

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from etl.engines.duckdb import arrow_blocks
from etl.profile.patterns import patterns_of
from etl.profile.staged import ROWS, StagedColumn
from etl.rules.dates import DateReading, OrderEvidence, order_evidence, read_timestamps
from etl.rules.found_types import TypeFinder
from etl.schema.table import Column, Kind

NUMBERS = (Kind.INTEGER, Kind.BIGINT, Kind.DECIMAL, Kind.DOUBLE)
TIMES = (Kind.DATE, Kind.TIMESTAMP)
# Tables of a value `v` and its records `n`: as they are written, and in the type of the column.
TEXTS, VALUES, PATTERNS = "written_values", "typed_values", "patterns"
_TYPED, _READ = "typed", "read_times"
_CHUNK_ROWS = 50_000


def group_values(
    database: duckdb.DuckDBPyConnection, each: StagedColumn, decimal: str = "."
) -> Kind:
    """Group a column by its values, and return their type.

    Args:
        database: that holds the records.
        each: the column.
        decimal: the decimal mark of texts.

    Returns:
        The type of the column; text where its dates contradict each other.
    """
    database.execute(f"""
CREATE OR REPLACE TABLE {TEXTS} AS
SELECT {each.place} AS v, count(*) AS n FROM {ROWS} WHERE {each.place} IS NOT NULL GROUP BY 1""")
    column, source = each.column, TEXTS
    if each.as_text:
        column = _found_type(database, decimal)
    kind = column.kind
    if each.as_text and kind in TIMES:
        kind, source = _read_times(database, kind)
    elif each.as_text and kind is not Kind.TEXT:
        source = _grouped(database, _TYPED, _typed(column, decimal), TEXTS)
    database.execute(f"CREATE OR REPLACE VIEW {VALUES} AS FROM {source}")
    return kind


def _found_type(database: duckdb.DuckDBPyConnection, decimal: str) -> Column:
    finder = TypeFinder("v", decimal=decimal)
    for block in _texts(database):
        finder.look(block)
    (column,) = finder.columns()
    return column


def _grouped(database: duckdb.DuckDBPyConnection, name: str, expression: str, source: str) -> str:
    database.execute(f"""
CREATE OR REPLACE TABLE {name} AS
SELECT {expression} AS v, sum(n)::BIGINT AS n FROM {source} GROUP BY 1""")
    return name


def _typed(column: Column, decimal: str) -> str:
    text = "replace(trim(v), ',', '.')" if decimal == "," else "trim(v)"
    if column.kind is Kind.BOOLEAN:
        return f"lower({text}) IN ('true', 'yes')"
    if column.kind is Kind.DECIMAL:
        return f"CAST({text} AS DECIMAL({column.precision}, {column.scale}))"
    return f"CAST({text} AS {'DOUBLE' if column.kind is Kind.DOUBLE else 'BIGINT'})"


def _read_times(database: duckdb.DuckDBPyConnection, kind: Kind) -> tuple[Kind, str]:
    database.execute(f"CREATE OR REPLACE TABLE {_READ} (v TIMESTAMP, n BIGINT)")
    reading = _reading(database)
    for block in _texts(database):
        times = read_timestamps(block["v"], reading)
        if times.null_count:
            return Kind.TEXT, TEXTS
        # DuckDB finds it by its name
        read_block = pa.table({"v": times, "n": block["n"]})  # noqa: F841
        database.execute(f"INSERT INTO {_READ} SELECT * FROM read_block")
    sql_type = "DATE" if kind is Kind.DATE else "TIMESTAMP"
    return kind, _grouped(database, _TYPED, f"CAST(v AS {sql_type})", _READ)


def count_times(database: duckdb.DuckDBPyConnection) -> int:
    """Return how many records hold a text that is a date, where at least half of a sample do."""
    probe = next(_texts(database), None)
    if probe is None or 2 * _readable(probe, DateReading()) < probe.num_rows:
        return 0
    reading = _reading(database)
    return sum(_readable(block, reading, weighted=True) for block in _texts(database))


def _readable(block: pa.RecordBatch, reading: DateReading, *, weighted: bool = False) -> int:
    read = pc.is_valid(read_timestamps(block["v"], reading))
    return int(pc.sum(block["n"].filter(read)).as_py() or 0) if weighted else int(read.true_count)


def unreadable_times(database: duckdb.DuckDBPyConnection, each: StagedColumn) -> str:
    """Return the name of a table with the texts of a column that are no dates."""
    name = f"no_time_{each.place}"
    group_values(database, each)
    database.execute(f"CREATE OR REPLACE TABLE {name} (v VARCHAR)")
    reading = _reading(database)
    for block in _texts(database):
        odd = block.filter(pc.is_null(read_timestamps(block["v"], reading)))
        # DuckDB finds it by its name
        odd_texts = pa.table({"v": odd["v"]})  # noqa: F841
        database.execute(f"INSERT INTO {name} SELECT v FROM odd_texts")
    return name


def _reading(database: duckdb.DuckDBPyConnection) -> DateReading:
    """In the order that all of them prove."""
    proof = (order_evidence(block["v"]) for block in _texts(database))
    return DateReading(reduce(OrderEvidence.plus, proof, OrderEvidence()).order)


def _texts(database: duckdb.DuckDBPyConnection) -> Iterator[pa.RecordBatch]:
    with database.cursor() as reading:  # while the first one inserts
        yield from arrow_blocks(reading, f"SELECT v, n FROM {TEXTS}", chunk_rows=_CHUNK_ROWS)


def group_patterns(database: duckdb.DuckDBPyConnection) -> None:
    """Group the texts of a column by their patterns."""
    database.execute(f"CREATE OR REPLACE TABLE {_READ} (v VARCHAR, n BIGINT)")
    for block in _texts(database):
        patterns = pa.table({"v": patterns_of(block["v"]), "n": block["n"]})
        # DuckDB finds it by its name
        grouped = patterns.group_by("v").aggregate([("n", "sum")])  # noqa: F841
        database.execute(f"INSERT INTO {_READ} SELECT v, n_sum FROM grouped")
    _grouped(database, PATTERNS, "v", _READ)

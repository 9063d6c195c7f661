"""Bulk copy into SQL Server: Arrow straight to TDS, by mssql-python, over a connection of its own.

It stands outside every transaction of the session, and the package has been seen to put values
into the wrong column without an error, behind a server whose catalog it misreads. So whoever
copies must compare what the server holds with what was sent.
"""

from collections.abc import Sequence

import pyarrow as pa

from etl.engines import mssql_driver
from etl.engines.dialect import quoted_table
from etl.engines.engine import Part
from etl.engines.sql_server_inserts import columns_of
from etl.errors import LoadingError
from etl.schema.arrow import arrow_type
from etl.schema.table import Kind, Table
from etl.settings.connection_strings import joined, parse

# Below 8,000 bytes the package fails ("dest is out of bounds"); encrypted, 16,383 is the most.
_PACKET_BYTES = 16_000
_DATA_SOURCES = ("dsn", "filedsn")


class BulkCopy:
    """Copies rows into permanent tables.

    Args:
        connection_string: of the warehouse.

    Raises:
        LoadingError: it cannot be done from here.
    """

    def __init__(self, connection_string: str) -> None:
        pairs = parse(connection_string)
        if any(keyword.lower() in _DATA_SOURCES for keyword, _ in pairs):
            raise LoadingError("a data source (DSN) does not say to which server it leads")
        if not mssql_driver.is_installed():
            raise LoadingError("mssql-python is not installed (pip install mssql-python)")
        kept = [pair for pair in pairs if pair[0].lower() not in ("driver", "packetsize")]
        self._text = joined([*kept, ("PacketSize", str(_PACKET_BYTES))])
        self._connection: mssql_driver.Connection | None = None

    def copy(self, table: Table, parts: Sequence[Part]) -> None:
        """Copy blocks into a table, each row with the constants of its block.

        Args:
            table: all of its columns are written, by name.
            parts: the blocks.

        Raises:
            LoadingError: the server or the package refuses; some rows may be in.
        """
        rows = with_constants(table, parts)
        try:
            if self._connection is None:
                self._connection = mssql_driver.connect(self._text, autocommit=True, timeout=15)
            self._copy(quoted_table(table.name), rows)
        except mssql_driver.Error as error:
            raise LoadingError(f"bulk copy failed: {error.args[-1]}") from error

    def _copy(self, name: str, rows: pa.Table) -> None:
        assert self._connection is not None  # noqa: S101  # for mypy
        # Checks and triggers take part: leaving them out would need the right to alter the table.
        self._connection.cursor().bulkcopy_arrow(
            name, rows, column_mappings=self.mappings(rows), table_lock=True, timeout=0,
            keep_nulls=True, check_constraints=True, fire_triggers=True,
        )  # fmt: skip

    def mappings(self, rows: pa.Table) -> list[str] | None:
        """Return by which names the columns are found; None for their places."""
        return list(rows.column_names)

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def with_constants(table: Table, parts: Sequence[Part]) -> pa.Table:
    """Return blocks and their constants as one table, in the types of the columns.

    Example:
        >>> from etl.schema.table import Column
        >>> columns = Column("run", "", Kind.TEXT, width=9), Column("n", "", Kind.INTEGER)
        >>> rows = pa.record_batch({"n": [1, 2]})
        >>> with_constants(Table("t", "", (), columns), [(rows, {"run": "r"})]).to_pydict()
        {'run': ['r', 'r'], 'n': [1, 2]}
    """
    fields = [(c.name, pa.int32() if c.kind is Kind.INTEGER else arrow_type(c))
              for c in table.columns]  # fmt: skip
    blocks = []
    for part in parts:
        given = columns_of(part)
        arrays = [given[name].cast(kind) for name, kind in fields]
        blocks.append(pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields)))
    return pa.Table.from_batches(blocks)

"""Records of a database, of any kind that can be read."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace

import pyarrow as pa

from etl.errors import CircuitOpenError, ExtractionError, ValidationError
from etl.rejects import reject_block
from etl.resilience.circuit_breaker import CircuitBreaker
from etl.resilience.retry import retry_with_backoff
from etl.resilience.transient import is_transient
from etl.rules.blocks import Block
from etl.schema.arrow import text_schema
from etl.schema.table import Column
from etl.sources.csv_header import comparable, listed
from etl.sources.databases.asked import Asked, AskedExtent
from etl.sources.databases.driver import Connection, Driver, Found, Target
from etl.sources.databases.registry import driver_of
from etl.sources.partitions import Extent
from etl.sources.pieces import QueryPart
from etl.sources.several import moved
from etl.sources.watch import Watch
from etl.sources.window import EVERYTHING, AnyWindow


def database_breaker(failures: int = 5, recovery_s: float = 60.0) -> CircuitBreaker:
    """Return what leaves a database alone that cannot be reached."""
    return CircuitBreaker(failures, recovery_s, name="database", counts=is_transient)


@dataclass(frozen=True)
class DatabaseRecords:
    """Records of a table, view, query or collection, columns of text.

    Attributes:
        place: where they are, without secrets.
        what: of them, without a window.
        rename: name in the database = column.
        defaults: by column that the database may lack, its text.
        split_by: the column by which it is divided; empty: none.
        part: the part that is read; None: all of it.
    """

    target: Target
    place: str
    what: Asked
    rename: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    breaker: CircuitBreaker = field(default_factory=database_breaker)
    trace: None = None
    split_by: str = ""
    part: QueryPart | None = None

    def asked(self, window: AnyWindow) -> str:
        """Return what the database is asked."""
        return self.what.within(window).sql(self._driver.quote)

    def names(self) -> tuple[str, ...]:
        """Return the names of all columns, as the database has them."""
        return tuple(found.name for found in self._described())

    def known_columns(self, names: Mapping[str, str], key: Sequence[str]) -> dict[str, Column]:
        """Return the columns of a table that is made for these, where the database says the types.

        Args:
            names: by name in the database, that in the table.
            key: of the table.
        """
        columns = (
            found.column(names[found.name], is_key=names[found.name] in key)
            for found in self._described()
            if found.name in names
        )
        return {column.name: column for column in columns if column is not None}

    def _described(self) -> Sequence[Found]:
        with closing(self._connected()) as connection:
            return connection.columns(self.what.within(EVERYTHING))

    def blocks(self, columns: Sequence[str], window: AnyWindow, watch: Watch) -> Iterator[Block]:
        """Stream the records of a window.

        Raises:
            FileNotFoundError: there is no such file of an embedded database.
            ExtractionError: the database cannot be reached, refuses, or goes on the way.
            ValidationError: it lacks a column, or has one that no text can be made of.
        """
        asked, row = self._asked_for(window), 1
        with closing(self._connected()) as connection:
            found = connection.columns(asked)
            by_column = self._matched(columns, found)
            wanted = list(dict.fromkeys(by_column.values()))
            for texts in connection.blocks(asked, wanted):
                block = self._block(texts, columns, by_column, row)
                yield moved(block, self.part.number) if self.part else block
                row += texts.num_rows

    def _asked_for(self, window: AnyWindow) -> Asked:
        if self.part is None:
            return self.what.within(window)
        by = replace(self.what, cursor=self.split_by)
        return replace(by.within(self.part.window), nulls=self.part.nulls)

    def extent(self, window: AnyWindow) -> Extent | None:
        """Return what there is to divide; None where nothing can be.

        Raises:
            ETLError: the database cannot be asked.
        """
        if self._driver.lacks or not self.split_by:
            return None
        asked_for = window if self.what.cursor else EVERYTHING
        by = replace(self.what, cursor=self.split_by).within(asked_for)
        asked = AskedExtent(by.table, by.query, by.cursor, by.start, by.after, by.whole)
        with closing(self._connected()) as connection, closing(connection.values(asked)) as rows:
            first, last, count = next(rows).values()
        return Extent(first, last, int(count))

    def _block(
        self, texts: pa.RecordBatch, columns: Sequence[str], by_column: Mapping[str, Found],
        row: int,
    ) -> Block:  # fmt: skip
        arrays = [
            texts.column(by_column[name].name)
            if name in by_column
            else pa.repeat(pa.scalar(self.defaults.get(name), pa.string()), texts.num_rows)
            for name in columns
        ]
        numbers = pa.array(range(row, row + texts.num_rows), pa.int64())
        records = pa.RecordBatch.from_arrays([numbers, *arrays], ["source_row", *columns])
        return Block(records, reject_block(tuple(columns), []), texts.num_rows)

    @property
    def _driver(self) -> Driver:
        return driver_of(self.target.connection_string, self.target.setting)

    def _connected(self) -> Connection:
        return _connected(self._driver, self.target, self.breaker)

    def _matched(self, columns: Sequence[str], found: Sequence[Found]) -> dict[str, Found]:
        known = {comparable(column): column for column in columns}
        known |= {comparable(name): column for name, column in self.rename.items()}
        pairs = ((known.get(comparable(each.name), ""), each) for each in found)
        matched = {column: each for column, each in pairs if column in columns}
        self._require(columns, matched, found)
        if self._driver.lacks:
            missing = (column for column in columns if column not in matched)
            sources = {column: name for name, column in self.rename.items()}
            matched |= {column: Found(sources.get(column, column)) for column in missing}
        return matched

    def _require(
        self, columns: Sequence[str], matched: Mapping[str, Found], found: Sequence[Found]
    ) -> None:
        missing = [c for c in columns if c not in matched and c not in self.defaults]
        what = self.what.table or "the query"
        if missing and not self._driver.lacks:
            raise ValidationError(
                f"{what} of {self.target.setting} lacks {listed(missing)}; "
                f"found {listed([each.name for each in found])}",
                next_step="add the columns, or set rename for this source",
            )
        for column, each in matched.items():
            if not each.readable:
                raise ValidationError(
                    f"{what} of {self.target.setting}: {column} has the type {each.type_name}, "
                    "which no column of a table can hold",
                    next_step="leave it out by columns of the load, or convert it in a query",
                )

    def originals(self, losers: pa.Table, columns: Sequence[str]) -> pa.Table:
        """Return them as they were staged."""
        # a database cannot be asked again for the same rows
        return losers.select(["source_row", *columns]).cast(text_schema(columns))


@retry_with_backoff(max_retries=3, backoff_factor=2.0)
def _connected(driver: Driver, target: Target, breaker: CircuitBreaker) -> Connection:
    """Connect; several attempts, as long as the breaker lets them."""
    try:
        with breaker:
            return driver.connect(target)
    except CircuitOpenError as error:
        raise ExtractionError(str(error)) from error

"""One change of a source, and blocks of them: the columns of the row, and what happened to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import NamedTuple

import pyarrow as pa

from etl.rejects import reject_block
from etl.rules.blocks import Block
from etl.schema.arrow import arrow_schema, text_schema
from etl.schema.work_tables import CHANGE_COLUMNS
from etl.sources.csv_header import comparable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)


class Change(NamedTuple):
    """One change.

    Attributes:
        row: of the source, unique in it.
        kind: row, removed or cleared, see `etl.schema.work_tables`.
        values: by column, its text; of what is removed at least the key.
        position: its place among all changes; greater ones come later.
        time: when the source made it, UTC.
    """

    row: int
    kind: str
    values: Mapping[str, str | None]
    position: str
    time: datetime | None = None


@dataclass(frozen=True)
class Naming:
    """Which column of the load takes a column of the source.

    Attributes:
        columns: of the load.
        rename: name in the source = column.

    Example:
        >>> naming = Naming(("order_id",), {"Nr": "order_id"})
        >>> naming.of("Order ID"), naming.of("Nr"), naming.of("note")
        ('order_id', 'order_id', None)
    """

    columns: tuple[str, ...]
    rename: Mapping[str, str]

    @cached_property
    def _known(self) -> dict[str, str]:
        known = {comparable(column): column for column in self.columns}
        return known | {comparable(name): column for name, column in self.rename.items()}

    @cached_property
    def _found(self) -> dict[str, str | None]:
        return {}

    def of(self, name: str) -> str | None:
        """Return the column of a name; None where nobody wants it."""
        if name not in self._found:
            self._found[name] = self._known.get(comparable(name))
        return self._found[name]

    def named(self, values: Mapping[str, object]) -> dict[str, object]:
        """Return the values that are wanted, by their columns."""
        pairs = ((self.of(name), value) for name, value in values.items())
        return {column: value for column, value in pairs if column}


def change_block(
    columns: Sequence[str],
    changes: Sequence[Change],
    rejected: Sequence[Mapping[str, object]] = (),
    *,
    examined: int | None = None,
) -> Block:
    """Return changes as a block: the columns of the row as text, then those of a change.

    Args:
        columns: of the load.
        changes: those that can be read.
        rejected: rows of `etl.rejects.reject_block` for those that cannot.
        examined: how many records of the source were looked at; as many as there are.

    Example:
        >>> block = change_block(["id"], [Change(1, "removed", {"id": "7"}, "0005")])
        >>> [column.to_pylist() for column in block.records.columns]
        [[1], ['7'], ['0005'], ['removed'], [None]]
    """
    rows = pa.array([each.row for each in changes], pa.int64())
    texts = [pa.array([each.values.get(n) for each in changes], pa.string()) for n in columns]
    about = zip(*((each.position, each.kind, each.time) for each in changes), strict=True)
    schema = arrow_schema(CHANGE_COLUMNS)
    listed = list(about) or [()] * len(schema)
    arrays = [pa.array(values, f.type) for values, f in zip(listed, schema, strict=True)]
    whole = pa.schema([*text_schema(columns), *schema])
    records = pa.RecordBatch.from_arrays([rows, *texts, *arrays], schema=whole)
    count = len(changes) + len(rejected) if examined is None else examined
    return Block(records, reject_block(tuple(columns), rejected), count)


def time_of(microseconds: int | None) -> datetime | None:
    """Return a moment, given its microseconds since 1970; None where it lies out of reach.

    Example:
        >>> time_of(1_700_000_000_000_000)
        datetime.datetime(2023, 11, 14, 22, 13, 20)
        >>> print(time_of(10**30))
        None
    """
    try:
        return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return None

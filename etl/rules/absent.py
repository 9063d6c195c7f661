"""Columns that a record does not carry: they keep what the warehouse holds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import pyarrow as pa

from etl.schema.table import Table

Key: TypeAlias = tuple[Any, ...]
Row: TypeAlias = Mapping[str, Any]
# Given columns of keys, returns the rows of the warehouse that have them.
Known = Callable[[pa.Table], Mapping[Key, Row]]


def fill_absent(
    table: Table,
    values: Mapping[str, pa.Array],
    present: Mapping[str, pa.Array],
    *,
    failed: pa.Array,
    known: Known,
) -> dict[str, pa.Array]:
    """Return the columns of records, with what a record does not carry taken from its row.

    Records of one key build on each other in their order, as if each were merged by itself.

    Args:
        table: into which they go.
        values: its columns.
        present: by column that may be absent, the records that carry it, with a value or without.
        failed: the records that are rejected, on which nothing builds.
        known: looks rows up in the warehouse.
    """
    names = [name for name, carried in present.items() if carried.false_count]
    if not names:
        return dict(values)
    keys = list(zip(*(values[name].to_pylist() for name in table.key), strict=True))
    usable = [not each for each in failed.to_pylist()]
    rows = dict(known(_wanted(table, values, usable)))
    columns = {name: values[name].to_pylist() for name in names}
    carried = {name: present[name].to_pylist() for name in names}
    required = [name for name in names if table.column(name).required]
    for place in (place for place, use in enumerate(usable) if use):
        before = rows.get(keys[place], {})
        for name in names:
            if not carried[name][place]:
                columns[name][place] = before.get(name)
        if all(columns[name][place] is not None for name in required):
            rows[keys[place]] = {name: columns[name][place] for name in names}
    return {**values, **{n: pa.array(c, values[n].type) for n, c in columns.items()}}


def _wanted(table: Table, values: Mapping[str, pa.Array], usable: Sequence[bool]) -> pa.Table:
    keys = pa.table({name: values[name] for name in table.key})
    found: pa.Table = keys.filter(pa.array(usable, pa.bool_())).group_by(list(table.key))
    return found.aggregate([])

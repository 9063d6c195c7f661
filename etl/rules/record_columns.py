"""Single columns of records of any kind: read as Arrow arrays, replaced, and rows chosen.

Only values that change are replaced, so that all others keep the type they came in.
"""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from etl.rules.records import DictRecords, FrameRecords, Records, pandas_frame, records_of

# By column, in which rows values change, and all values of it.
Changes = Mapping[str, tuple[pa.Array, pa.Array]]


def column_of(records: Records, name: str) -> pa.Array | None:
    """Return a column as an array, NaN as null; None where its values have several types.

    Example:
        >>> column_of(records_of([{"n": 1.5}, {"n": float("nan")}, {}]), "n").to_pylist()
        [1.5, None, None]
    """
    values = records.column(name)
    if not isinstance(values, pa.Array):
        try:
            values = pa.array(values)
        except (pa.ArrowException, UnicodeError):
            return None
    if pa.types.is_null(values.type):
        return values.cast(pa.string())
    if pa.types.is_floating(values.type):
        values = pc.if_else(pc.is_nan(values), None, values)
    return values


def changed(given: object, changes: Changes, rows: Sequence[int] | None = None) -> Any:
    """Return records in the kind that was given, with some values replaced.

    Args:
        given: the records, which stay as they are.
        changes: what is replaced.
        rows: which of the records, from 0; all of them when left out.

    Example:
        >>> is_odd, values = pa.array([False, True]), pa.array([0, 9])
        >>> changed([{"n": 1, "m": "a"}, {"n": 2}], {"n": (is_odd, values)})
        [{'n': 1, 'm': 'a'}, {'n': 9}]
    """
    records = records_of(given)
    if isinstance(records, DictRecords):
        return _changed_dicts(records, changes, rows)
    return _changed_frame(given, records, changes, rows)


def _changed_dicts(
    records: DictRecords, changes: Changes, rows: Sequence[int] | None
) -> list[dict[str, Any]]:
    found = [dict(row) for row in records.rows]
    for name, (where, values) in changes.items():
        places = pc.indices_nonzero(pc.fill_null(where, False)).to_pylist()
        for place, value in zip(places, values.filter(where).to_pylist(), strict=True):
            found[place][name] = value
    return found if rows is None else [found[row] for row in rows]


def _changed_frame(
    given: Any, records: FrameRecords, changes: Changes, rows: Sequence[int] | None
) -> Any:
    # see `records_of` for why it is not imported above
    narwhals = importlib.import_module("narwhals")
    frame = narwhals.from_native(given, eager_only=True)
    columns = {n: values for n, (where, values) in changes.items() if where.true_count}
    if columns:
        table, backend = pa.table(columns), frame.implementation
        native = pandas_frame(table) if backend.is_pandas() else (
            narwhals.from_arrow(table, backend=backend).to_native())  # fmt: skip
        if backend.is_pandas():
            native.index = given.index
        new = narwhals.from_native(native, eager_only=True)
        frame = frame.with_columns(*(new[name] for name in columns))
    return (frame if rows is None else frame[list(rows)]).to_native()

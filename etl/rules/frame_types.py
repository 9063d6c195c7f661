"""The columns of a table that is made for records which have no table yet."""

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from etl.errors import TransformationError
from etl.rules.columns import as_text_column
from etl.rules.values import utf16_length
from etl.schema.columns import WIDEST_TEXT
from etl.schema.table import Column, Kind

# Widths that a text column gets: the first that holds what is there with room to grow.
_WIDTHS = (20, 50, 100, 200, 500, 1000, 2000, WIDEST_TEXT)
_ROOM = 1.5
_LEAST_DIGITS = 18  # of decimals whose precision is only that of the values at hand


def columns_of(
    found: Iterable[tuple[str, Any]], key: Sequence[str], *, declared: bool = True
) -> tuple[Column, ...]:
    """Return the columns that hold records.

    Args:
        found: each column with its values, an Arrow array or a list.
        key: the columns of the key, which are required.
        declared: whether decimals come with a precision that somebody has chosen.

    Raises:
        TransformationError: a column holds lists, structs or binary values.

    Example:
        >>> values = [("id", pa.array([1, 2])), ("name", pa.array(["Ann", None]))]
        >>> [(c.name, c.kind.value, c.width) for c in columns_of(values, ["id"])]
        [('id', 'bigint', 0), ('name', 'text', 20)]
    """
    return tuple(_column(name, values, name in key, declared) for name, values in found)


def _column(name: str, values: Any, is_key: bool, declared: bool) -> Column:
    if not isinstance(values, pa.Array):
        _refuse(name, {type(v).__name__ for v in values} & {"list", "dict", "bytes"})
        longest = max((utf16_length(str(v)) for v in values if v is not None), default=0)
        return _text(name, longest, is_key)
    kind = values.type
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        _refuse(name, {str(kind)})
    if pa.types.is_decimal(kind) or kind == pa.uint64():
        precision, scale = (kind.precision, kind.scale) if pa.types.is_decimal(kind) else (20, 0)
        digits = precision if declared else max(precision, min(_LEAST_DIGITS + scale, 38))
        return Column(name, "", Kind.DECIMAL, precision=min(digits, 38), scale=scale,
                      required=is_key)  # fmt: skip
    for check, found in _KINDS:
        if check(kind):
            return Column(name, "", found, required=is_key)
    return _text(name, _longest(values), is_key)


def _refuse(name: str, found: set[str]) -> None:
    if found:
        raise TransformationError(
            f"column {name} holds values of the type {', '.join(sorted(found))}",
            choices="texts, numbers, flags, dates, times",
            next_step="leave it out, or make a text of it",
        )


def _is_small(kind: pa.DataType) -> bool:
    wide = (pa.int64(), pa.uint32())
    return bool(pa.types.is_integer(kind)) and kind not in wide


_KINDS = (
    (pa.types.is_boolean, Kind.BOOLEAN),
    (_is_small, Kind.INTEGER),
    (pa.types.is_integer, Kind.BIGINT),
    (pa.types.is_floating, Kind.DOUBLE),
    (pa.types.is_date, Kind.DATE),
    (pa.types.is_timestamp, Kind.TIMESTAMP),
)


def _longest(values: pa.Array) -> int:
    """UTF-16 code units of the longest text; each character beyond ASCII counted as two."""
    text = as_text_column(values)
    letters = pc.max(pc.utf8_length(text)).as_py() or 0
    is_plain = pc.all(pc.string_is_ascii(text)).as_py()
    return letters if is_plain or is_plain is None else 2 * letters


def text_column_width(longest: int) -> int:
    """Return the width of a column whose longest text has so many UTF-16 code units.

    Example:
        >>> text_column_width(8), text_column_width(60)
        (20, 100)
    """
    wanted = min(longest * _ROOM, WIDEST_TEXT)
    return next(width for width in _WIDTHS if width >= wanted)


def _text(name: str, longest: int, is_key: bool) -> Column:
    width = text_column_width(longest)
    return Column(name, "", Kind.TEXT, width=width, required=is_key, exact=is_key)

"""The key of a record as one text, as the engines make it too (`dialect.record_key`)."""

from collections.abc import Callable, Mapping
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from etl.rules.columns import by_distinct, is_missing
from etl.schema.table import Kind, Table


def record_keys(table: Table, values: Mapping[str, pa.Array]) -> pa.Array:
    """Return the keys of records; null where a part is missing.

    Args:
        table: whose key it is.
        values: the columns of the key, in their types.

    Example:
        >>> from etl.schema.table import Column
        >>> columns = (Column("nr", "", Kind.INTEGER), Column("place", "", Kind.TEXT, width=9))
        >>> table = Table("orders", "", ("place", "nr"), columns)
        >>> values = {"nr": pa.array([7, None]), "place": pa.array(["A", "B"])}
        >>> record_keys(table, values).to_pylist()
        ['A|7', None]
    """
    texts = [_TEXTS[table.column(name).kind](values[name]) for name in table.key]
    return texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, "|")


def shown_keys(table: Table, values: Mapping[str, pa.Array], texts: pa.RecordBatch) -> pa.Array:
    """Return the keys, of records whose key cannot be read what stands in its place.

    Args:
        table: whose key it is.
        values: its columns in their types.
        texts: the same columns as the source wrote them.
    """
    known = record_keys(table, values)
    if not known.null_count:
        return known
    written = [pc.fill_null(texts.column(name), "") for name in table.key]
    as_written = pc.utf8_trim_whitespace(pc.binary_join_element_wise(*written, "|"))
    missing = is_missing(texts.column(table.key[0])) if len(table.key) == 1 else None
    shown = as_written if missing is None else pc.if_else(missing, None, as_written)
    return pc.if_else(pc.is_null(known), shown, known)


def _as_it_is(column: pa.Array) -> pa.Array:
    return column.cast(pa.string())


def _plain_decimal(value: Decimal) -> str:
    return format(value, "f")  # Arrow writes small ones with an exponent


_TEXTS: Mapping[Kind, Callable[[pa.Array], pa.Array]] = {
    Kind.TEXT: _as_it_is,
    Kind.INTEGER: _as_it_is,
    Kind.BIGINT: _as_it_is,
    Kind.DECIMAL: lambda column: by_distinct(column, _plain_decimal, pa.string()),
    Kind.DOUBLE: _as_it_is,
    Kind.BOOLEAN: _as_it_is,
    Kind.DATE: _as_it_is,
    Kind.TIMESTAMP: lambda column: pc.strftime(column, "%Y-%m-%d %H:%M:%S"),
}

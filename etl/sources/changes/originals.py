"""Changes that are set aside, as their source would write them."""

from collections.abc import Sequence

import pyarrow as pa

from etl.schema.arrow import text_schema


def as_staged(losers: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Return staged changes as texts: a log cannot be asked again for the same ones.

    Args:
        losers: the staged changes.
        columns: of the load.
    """
    return losers.select(["source_row", *columns]).cast(text_schema(columns))

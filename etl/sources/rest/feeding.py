"""Sales, read from an interface instead of a file."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from etl.rules.blocks import Block
from etl.sources.rest.declared import RestRecords
from etl.sources.watch import Watch
from etl.sources.window import Window

_STATUS = "status"


def read_interface_sales(
    records: RestRecords, columns: Sequence[str], window: Window, watch: Watch
) -> Iterator[Block]:
    """Read sales with their status, empty texts for what is missing, as a file has them."""
    for block in records.blocks((*columns, _STATUS), window, watch):
        row, *texts = block.records.columns
        filled = [row, *(pc.fill_null(text, "") for text in texts)]
        rejected = block.rejected.drop_columns([_STATUS])
        whole = pa.RecordBatch.from_arrays(filled, block.records.schema.names)
        yield replace(block, records=whole, rejected=rejected)

"""A block: the piece of a source that travels from extraction to transformation."""

from dataclasses import dataclass

import pyarrow as pa

from etl.rejects import MALFORMED, reject_block
from etl.sources.csv_reader import CsvBlock, MalformedRecord


@dataclass(frozen=True)
class Block:
    """A piece of a source.

    Attributes:
        records: `source_row` and the source's columns.
        rejected: records that could not be taken apart, see `rejected_records`.
        examined: how many records of the source were looked at for this block, wanted or not.
    """

    records: pa.RecordBatch
    rejected: pa.RecordBatch
    examined: int

    @property
    def rows(self) -> int:
        """Records read: wanted ones and rejected ones."""
        return int(self.records.num_rows + self.rejected.num_rows)


def csv_block(block: CsvBlock, columns: tuple[str, ...]) -> Block:
    """A piece of a CSV file as a block of a source with these columns."""
    rejected = [_malformed_row(record) for record in block.malformed]
    examined = block.records.num_rows + len(rejected)
    return Block(block.records, reject_block(columns, rejected), examined)


def _malformed_row(record: MalformedRecord) -> dict[str, object]:
    return {
        "source_row": record.source_row,
        "error_class": MALFORMED,
        "reason": record.reason,
        "raw_record": record.raw_text,
    }

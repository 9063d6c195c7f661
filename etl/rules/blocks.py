"""The two blocks: a piece of a source as it was read, and the same piece ready to be staged."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

import pyarrow as pa

from etl.rejects import one_block


@dataclass(frozen=True)
class Block:
    """A piece of a source, from extraction to transformation.

    Attributes:
        records: `source_row` and the source's columns.
        rejected: records that could not be split into their fields, see `rejects.reject_schema`.
        examined: how many records of the source were looked at for this block, wanted or not.
        most_to_come: how many more records the source can have; None where that is unknown.
        position: how much of the source had been read with it, in the unit of its meter.
    """

    records: pa.RecordBatch
    rejected: pa.RecordBatch
    examined: int
    most_to_come: int | None = None
    position: int = 0

    @property
    def rows(self) -> int:
        """Records read: wanted ones and rejected ones."""
        return int(self.records.num_rows + self.rejected.num_rows)


@dataclass(frozen=True)
class LoadBlock:
    """A transformed block: what can be staged of it, and what was rejected.

    Attributes:
        accepted: `source_row` and the staged columns of the table.
        rejected: records that cannot be loaded, see `etl.rejects.reject_schema`.
        notes: how many accepted records had a flaw that does not cost them their place.
        unparsed: how many of the rejected ones could not even be split into their fields.
        examined: records of the source that extraction looked at for it.
        returns: how many of the rejected ones are returns.
        returned: the sum of their amounts.
        position: how much of the source had been read with it, in the unit of its meter.
    """

    accepted: pa.RecordBatch
    rejected: pa.RecordBatch
    notes: Mapping[str, int]
    unparsed: int = 0
    examined: int = 0
    returns: int = 0
    returned: Decimal = Decimal(0)
    position: int = 0

    @property
    def rows(self) -> int:
        """Records read."""
        return int(self.accepted.num_rows + self.rejected.num_rows)

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return int(self.accepted.nbytes + self.rejected.nbytes)

    def noting(self, notes: Mapping[str, int]) -> "LoadBlock":
        """Return the block with further notes."""
        return replace(self, notes={**self.notes, **notes}) if notes else self

    def with_unparsed(self, unparsed: pa.RecordBatch, examined: int) -> "LoadBlock":
        """Return the block together with the records that could not be split.

        Args:
            unparsed: those records, as rejected ones.
            examined: records of the source that extraction looked at.
        """
        parts = [each for each in (unparsed, self.rejected) if each.num_rows]
        rejected = one_block(parts) if len(parts) > 1 else (parts or [self.rejected])[0]
        return replace(self, rejected=rejected, unparsed=unparsed.num_rows, examined=examined)

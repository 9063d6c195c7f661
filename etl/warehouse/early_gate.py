"""The gate before the end of a source: what can no longer meet its reject limit is given up.

A malformed record costs a hundred times what a good one does, so that a file of nothing else would
keep a run for hours before the gate could say so.
"""

from dataclasses import dataclass

from etl.errors import HeldBackError
from etl.findings import REJECT_RATE
from etl.rules.blocks import Block
from etl.warehouse.gate import finding_of, held_back

# Until so many are malformed the source is read on: a person gets all of them in one file.
MOST_WANTED = 1000


@dataclass
class EarlyGate:
    """Counts the records of a source that cannot be split into their fields.

    Attributes:
        source: its name.
        limit: largest share of records that may be rejected, 0 to 1.
    """

    source: str
    limit: float
    examined: int = 0
    unparsed: int = 0

    def look(self, block: Block) -> HeldBackError | None:
        """Count a block, and return why the source need not be read on.

        The share is smallest when all that can follow is good, so none is given up that the gate
        would let pass in the end.
        """
        return self.count(block.examined, block.rejected.num_rows, block.most_to_come)

    def count(self, examined: int, unparsed: int, to_come: int | None) -> HeldBackError | None:
        """Count records, and return why the source need not be read on.

        Args:
            examined: how many there were.
            unparsed: how many of them cannot be split into their fields.
            to_come: how many more there can be; None where that is unknown.
        """
        self.examined += examined
        self.unparsed += unparsed
        if to_come is None or self.unparsed < MOST_WANTED:
            return None
        least = self.unparsed / (self.examined + to_come)
        if least <= self.limit:
            return None
        return held_back(self.source, [finding_of(self.source, REJECT_RATE, self._message(least))])

    def _message(self, least: float) -> str:
        return (
            f"{self.unparsed} of the first {self.examined} records rejected, a rate of at least "
            f"{least:.1%} whatever follows, where MAX_REJECT_RATE allows {self.limit:.1%}; it was "
            "not read further"
        )

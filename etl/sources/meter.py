"""How much of a source has been read, and how much there is."""

from dataclasses import dataclass

BYTES, ROWS = "bytes", "rows"


@dataclass
class Meter:
    """Filled by whoever reads a source.

    Attributes:
        unit: bytes of a file as it lies there, or rows of a query.
        done: how many were read.
        total: how many there are; None where that is unknown.
    """

    unit: str = BYTES
    done: int = 0
    total: int | None = None

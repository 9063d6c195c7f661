"""Where the rows of a CSV file begin, so that single ones are read again without the others."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BufferedReader

import numpy as np
from numpy.typing import NDArray

from etl.sources.csv_lines import Ints

# Of a longer file nothing is remembered: four bytes for each row, so at most 64 MB.
MOST_ROWS = 2**24


@dataclass(frozen=True)
class _Part:
    """Rows that follow each other, and where each begins within their bytes."""

    first_row: int
    offset: int  # of the first of them in the file
    starts: NDArray[np.uint32]
    size: int

    def texts(self, data: bytes, rows: Ints) -> Iterator[bytes]:
        """Yield some of the rows, each up to where the next one begins."""
        ends = np.append(self.starts[1:], np.uint32(self.size))
        index = rows - self.first_row
        for start, end in zip(self.starts[index].tolist(), ends[index].tolist(), strict=True):
            yield data[start:end]


@dataclass
class RowPlaces:
    """The places of all rows of a file, in its order."""

    _parts: list[_Part] = field(default_factory=list)
    _rows: int = 0

    def add(self, first_row: int, offset: int, starts: Ints, size: int) -> None:
        """Remember where further rows begin.

        Args:
            first_row: the number of the first.
            offset: where it begins in the file, in bytes.
            starts: where each begins, from there.
            size: of all of them, in bytes.
        """
        self._rows += len(starts)
        if self._rows > MOST_ROWS:
            self._parts.clear()
        elif len(starts):
            self._parts.append(_Part(first_row, offset, starts.astype(np.uint32), size))

    def texts(self, file: BufferedReader, rows: Ints) -> bytes | None:
        """Read some rows, one behind the other; None when the places of one are not known.

        Args:
            file: the open file.
            rows: their numbers, in order.
        """
        if self._rows > MOST_ROWS or not self._parts or not file.seekable():
            return None
        firsts = np.array([part.first_row for part in self._parts])
        places = np.searchsorted(firsts, rows, side="right") - 1
        last = self._parts[-1]
        if len(rows) and (places[0] < 0 or rows[-1] >= last.first_row + len(last.starts)):
            return None
        found: list[bytes] = []
        for place in np.unique(places):
            part = self._parts[place]
            file.seek(part.offset)
            found += part.texts(file.read(part.size), rows[places == place])
        return b"".join(found)

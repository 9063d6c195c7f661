"""Where the wanted columns are in the lines of a CSV file, and which lines hold no record."""

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from etl.sources.csv_lines import Ints, Lines

_MARK, _BLANK, _PAREN = b"\xef ("
_ROWS_AFFECTED = re.compile(rb"\([0-9]+ rows? affected\)")


@dataclass(frozen=True)
class KnownHeader:
    """What a part of a file must know of what stands before it; it pickles.

    Attributes:
        nothing_yet: there were only empty lines since the header.
        encoding: of the file.
    """

    layout: "Layout"
    nothing_yet: bool
    encoding: str


@dataclass(frozen=True)
class Layout:
    """Where the wanted columns are in the file."""

    names: tuple[str, ...]
    positions: Mapping[str, int]
    width: int
    delimiter: int
    header: bytes
    defaults: Mapping[str, str]

    def narrowed(self, names: tuple[str, ...]) -> "Layout":
        """Return where some of the columns stand."""
        positions = {name: place for name, place in self.positions.items() if name in names}
        return replace(self, names=names, positions=positions)

    def parse(self, text: bytes) -> tuple[list[pa.Array], list[tuple[int, int]]]:
        """Take records apart, with Arrow.

        Returns:
            The wanted columns, and of each record left out for its number of fields its index
            among all records and that number.
        """
        if not text:  # which Arrow refuses
            return [pa.array([], pa.string()) for _ in self.positions], []
        wrong: list[tuple[int, int]] = []

        def skip(row: arrow_csv.InvalidRow) -> str:
            wrong.append((row.number - 1, row.actual_columns))  # Arrow counts records from 1
            return "skip"

        if text.startswith(codecs.BOM_UTF8):
            text = b"\n" + text  # at the very start Arrow would take it off
        table = arrow_csv.read_csv(
            pa.BufferReader(text),
            # All in one block, and without threads, with which Arrow would not number the rows.
            read_options=arrow_csv.ReadOptions(
                use_threads=False, block_size=len(text) + 1, column_names=self._labels()
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=chr(self.delimiter), newlines_in_values=True, invalid_row_handler=skip
            ),
            convert_options=self._as_text(),
        )
        return [_one_array(column) for column in table.columns], wrong

    def _labels(self) -> list[str]:
        return [str(position) for position in range(self.width)]  # names in a file may repeat

    def _as_text(self) -> arrow_csv.ConvertOptions:
        wanted = [str(position) for position in self.positions.values()]
        return arrow_csv.ConvertOptions(
            include_columns=wanted,
            column_types=dict.fromkeys(wanted, pa.string()),
            check_utf8=False,  # done for the whole block, left-out columns included
        )

    def batch(self, rows: Ints, arrays: list[pa.Array]) -> pa.RecordBatch:
        """Put the row numbers before the columns."""
        found = dict(zip(self.positions, arrays, strict=True))
        columns = [found[n] if n in found else self._default(n, len(rows)) for n in self.names]
        names = ["source_row", *self.names]
        return pa.RecordBatch.from_arrays([pa.array(rows, pa.int64()), *columns], names=names)

    def _default(self, name: str, count: int) -> pa.Array:
        return pa.repeat(pa.scalar(self.defaults.get(name, ""), pa.string()), count)

    def no_records(self, lines: Lines, *, first: bool) -> list[int]:
        """Find the lines that hold no record: empty ones, the header again, sqlcmd's own lines.

        Args:
            lines: the lines.
            first: whether the first of them follows the header.
        """
        codes = np.frombuffer(lines.data, dtype=np.uint8)
        begins, sizes = codes[lines.starts], lines.ends - lines.starts
        marked = begins == _MARK
        again = (sizes == len(self.header) + len(codecs.BOM_UTF8) * marked) & (
            marked | (begins == self.header[0])
        )
        suspects = again | (begins == self.delimiter) | (begins == _BLANK) | (begins == _PAREN)
        chosen = np.flatnonzero(suspects)
        texts = zip(chosen.tolist(), lines.texts(chosen), strict=True)
        found = [line for line, text in texts if self._is_no_record(text)]
        return [*self._ruler(lines, np.flatnonzero(sizes)[:1]), *found] if first else found

    def _is_no_record(self, text: bytes) -> bool:
        mark = bytes([self.delimiter])
        if mark in text and not text.translate(None, mark + b" \t"):
            return True
        again = text.removeprefix(codecs.BOM_UTF8) == self.header
        return again or _ROWS_AFFECTED.fullmatch(text) is not None

    def _ruler(self, lines: Lines, first: Ints) -> list[int]:
        """The line after the header, when it is one of dashes."""
        text = b"".join(lines.texts(first))
        dashes = b"--" in text and not text.translate(None, bytes([self.delimiter]) + b"- ")
        return [int(line) for line in first if dashes]


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()

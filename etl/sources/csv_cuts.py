"""Cutting a CSV file where rows begin, so that each part can be read alone.

The whole file is looked at for it, once and in bounded memory: which lines start a row depends on
every quote before them. The lines are those of `csv_lines`, the header is found by the reader
itself, so that a part is read as the same lines of the whole are.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from etl.errors import ExtractionError, ValidationError
from etl.rules.blocks import Block
from etl.sources.compressed import decompressed
from etl.sources.csv_blocks import Reader
from etl.sources.csv_encoding import encoding_of, utf8_pieces
from etl.sources.csv_format import CsvFormat, Target
from etl.sources.csv_layout import KnownHeader, Layout
from etl.sources.csv_lines import Ints, Lines, find_rows
from etl.sources.csv_reader import MOST_READ_BYTES, with_kept
from etl.sources.file_encoding import FileEncoding, file_encoding
from etl.sources.file_signature import FileSignature, file_signature
from etl.sources.file_text import marked_encoding
from etl.sources.files import content_chunks, open_source
from etl.sources.pieces import Cut
from etl.sources.several import SourceFile
from etl.sources.watch import Watch


@dataclass(frozen=True)
class CsvColumns:
    """What is read of a CSV file; what a header is found by.

    Attributes:
        columns: of the source.
        besides: further ones.
        csv_format: how the file is written.
    """

    columns: tuple[str, ...]
    csv_format: CsvFormat
    besides: tuple[str, ...] = ()

    def target(self, path: Path) -> Target:
        """Return what is wanted of a file."""
        return with_kept(Target(path, self.columns, self.besides, self.csv_format, Watch()))


def cut_csv(file: SourceFile, target_bytes: int, wanted: CsvColumns) -> Sequence[Cut]:
    """Cut a CSV file into parts, and fill its trace.

    Args:
        file: the file.
        target_bytes: about how many bytes a part has; it is never less.
        wanted: what is read of it.

    Returns:
        The parts in order; none where it cannot be cut: it is small, compressed or has a fault,
        which reading it reports.
    """
    with suppress(ExtractionError, ValidationError, FileNotFoundError):
        signature = file_signature(file.path)
        if signature.size > target_bytes:
            return _cut(file, target_bytes, wanted.target(file.path), signature)
    return ()


def _cut(
    file: SourceFile, target_bytes: int, target: Target, signature: FileSignature
) -> Sequence[Cut]:
    with open_source(file.path) as opened:
        content = decompressed(opened, file.path)
        spelled = marked_encoding(content) or target.csv_format.encoding
        encoding = file_encoding(encoding_of(content, target), content.peek(4)[:4])
        if content is not opened or encoding is None:
            return ()
        chunks = content_chunks(opened, content, file.path, size=MOST_READ_BYTES, trace=file.trace)
        cutter = _Cutter(target, target_bytes, encoding)
        if encoding.is_utf8:
            cutter.remember_places()
        else:
            chunks = utf8_pieces(chunks, target, spelled)
        for chunk, last in chunks:
            cutter.feed(chunk, last=last)
        file.trace.places = cutter.places
    return tuple(cutter.cuts(signature))


@dataclass(frozen=True)
class _Place:
    """Where a row begins: at which byte of the file and of its text, and what is known there."""

    offset: int
    at: int
    row: int
    known: KnownHeader | None = None


class _Cutter(Reader):
    """Reads a file for nothing but the places at which it can be cut.

    Args:
        target: what is wanted of which file.
        size: of a part, in bytes, at least.
        encoding: of the file.
    """

    def __init__(self, target: Target, size: int, encoding: FileEncoding) -> None:
        super().__init__(target, None)
        self._size, self._encoding = size, encoding
        self._begins = [_Place(0, 0, 1)]
        self._taken = encoding.mark  # bytes of the file before `_rest`

    def cuts(self, signature: FileSignature) -> Iterator[Cut]:
        """Yield the parts of the file, once all of it was read; none if there is but one."""
        if len(self._begins) == 1:
            return
        places = [*self._begins, _Place(signature.size, self._offset, self._row)]
        for place, after in pairwise(places):
            yield Cut(
                place.offset, after.offset, place.row, after.row - place.row, signature,
                known=place.known,
                warnings=() if place.offset else tuple(self._target.watch.warnings),
            )  # fmt: skip

    def _forget(self, size: int, rows: int) -> None:
        self._taken += self._encoding.size_of(self._rest[:size])
        super()._forget(size, rows)

    def _read_records(self, layout: Layout, *, last: bool) -> Block | None:
        """Count the rows, and note where parts begin."""
        lines = self._split(last=last)
        is_row, used = find_rows(lines, layout.width, last=last)
        filled = np.flatnonzero((lines.ends > lines.starts)[: len(is_row)])
        self._note(layout, lines, np.flatnonzero(is_row), filled)
        self._nothing_yet = self._nothing_yet and not filled.size
        self._remember(lines, is_row, used)
        self._forget(used, int(is_row.sum()))
        return None

    def _note(self, layout: Layout, lines: Lines, rows: Ints, filled: Ints) -> None:
        starts = lines.starts[rows]
        while True:
            wanted = self._begins[-1].at + self._size - self._offset
            place = int(np.searchsorted(starts, wanted))
            if place == len(starts):
                return
            start = int(starts[place])
            offset = self._taken + self._encoding.size_of(lines.data[:start])
            nothing_yet = self._nothing_yet and not (filled < rows[place]).any()
            known = KnownHeader(layout, nothing_yet, self._encoding.of_parts)
            self._begins.append(_Place(offset, self._offset + start, self._row + place, known))

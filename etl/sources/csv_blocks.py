"""Pieces of a CSV file turned into blocks: first its header, then good and malformed records."""

import codecs
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.errors import ExtractionError, ValidationError
from etl.rejects import MALFORMED, reject_schema
from etl.rules.blocks import Block
from etl.rules.checks import DECIMAL_COMMA
from etl.rules.texts import has_decimal_comma
from etl.sources.csv_encoding import first_bad_byte
from etl.sources.csv_format import Target
from etl.sources.csv_header import MOST_LINES_ABOVE, Header, find_header, listed
from etl.sources.csv_layout import KnownHeader, Layout
from etl.sources.csv_lines import (
    ANY_WIDTH,
    COMMA,
    MOST_LINES,
    Fault,
    Ints,
    Lines,
    Mask,
    Record,
    begun_before,
    find_lines,
    limited,
    sift,
    take_record,
    whole_lines,
    width_reason,
)
from etl.sources.csv_places import RowPlaces
from etl.sources.file_text import undecodable
from etl.sources.pieces import Cut

# Lines in which the header is looked for; it may itself run over several.
HEADER_LINES = MOST_LINES_ABOVE + MOST_LINES


@dataclass
class CsvPlaces:
    """Where the rows of a file that was read to its end are, and its columns."""

    layout: Layout
    rows: RowPlaces


def delimiter_byte(path: Path, delimiter: str) -> int:
    """Return the byte of a delimiter; one that separates nothing is refused."""
    if not delimiter.isascii() or delimiter in '"\r\n\0':
        what = f"{path}: {delimiter!r} cannot separate fields"
        raise ExtractionError(what, choices="one ASCII character that is no quote and no line end")
    return ord(delimiter)


class Reader:
    """Turns the pieces of one file into blocks; keeps what a piece leaves unfinished.

    Args:
        target: what is wanted of which file.
        only_rows: the rows that are wanted; None: all.
        cut: the part of the file that is read; None: all of it.
    """

    def __init__(self, target: Target, only_rows: Ints | None, cut: Cut | None = None) -> None:
        self._target, self._path = target, target.path
        self._format, self._only_rows = target.csv_format, only_rows
        self._nothing_yet = True  # but empty lines, since the header
        self._layout: Layout | None = None
        self._rest = b""
        self._row = cut.first_row if cut else 1  # of the first line of `_rest`
        self._offset = cut.start if cut else 0  # of `_rest` in the file
        self._end: int | None = None  # of the part
        self._places: RowPlaces | None = None
        if cut and isinstance(cut.known, KnownHeader):
            self._layout, self._nothing_yet = cut.known.layout, cut.known.nothing_yet

    def remember_places(self) -> None:
        """Begin to remember where rows are: these bytes are those of the file."""
        self._places = RowPlaces()

    @property
    def places(self) -> CsvPlaces | None:
        """Where the rows are that were read; None when that was not to be remembered."""
        if self._layout is None or self._places is None:
            return None
        return CsvPlaces(self._layout, self._places)

    def end_here(self) -> None:
        """Take what has come so far for the part; what comes now only helps to judge its end."""
        self._end = self._offset + len(self._rest)

    @property
    def is_done(self) -> bool:
        """Whether nothing of the part is left to be judged."""
        return self._end is not None and self._offset >= self._end

    def feed(self, piece: bytes, *, last: bool) -> Block | None:
        """Take the next piece of the file; None when it completes no record."""
        self._rest += piece
        try:
            return self._next_block(last=last)
        except ExtractionError:
            if self._layout is None and b"\0" in self._rest:
                what = f"{self._path} is no text: it holds NUL bytes and no header was found"
                step = "check that it is a CSV file; if it is UTF-16, "
                step += f"{self._format.set_encoding} utf-16-le"
                raise ExtractionError(what, next_step=step) from None
            raise

    def most_to_come(self, size: int) -> int:
        """How many records a file of so many bytes can have from here on, at the most.

        A record has at least a character, and a byte behind each field; the last one lacks that.
        """
        width = self._layout.width if self._layout else 1
        return (size - self._offset + 1) // (width + 1)

    def _next_block(self, *, last: bool) -> Block | None:
        if self._layout is None:
            self._layout = self._find_header(last=last)
        block = None
        if self._layout is not None and self._rest:
            block = self._read_records(self._layout, last=last)
        if len(self._rest) - whole_lines(self._rest) > self._format.longest_line_bytes:
            raise self._line_too_long(self._row)
        return block

    def _find_header(self, *, last: bool) -> Layout | None:
        if not self._offset and self._rest.startswith(codecs.BOM_UTF8):
            self._forget(len(codecs.BOM_UTF8), 0)
        lines = self._split(last=last)
        filled = np.flatnonzero(lines.ends > lines.starts)
        if not filled.size:
            if last:
                wanted = listed(self._target.names)
                what = f"{self._path} is empty; wanted a header with {wanted}"
                raise ValidationError(what, next_step="check the export that writes it")
            self._forget_above(lines, len(lines))
            return None
        if self._target.csv_format.header.skip_rows is None and filled[0]:
            self._forget_above(lines, int(filled[0]))
            lines = self._split(last=last)
        return self._read_header(lines, last=last)

    def _forget_above(self, lines: Lines, count: int) -> None:
        if self._target.csv_format.header.skip_rows is None:
            self._forget(int(lines.nexts[count - 1]) if count else 0, count)

    def _read_header(self, lines: Lines, *, last: bool) -> Layout | None:
        count = min(len(lines), HEADER_LINES)
        texts = [text.decode(errors="replace") for text in lines.texts(np.arange(count))]
        try:
            found = find_header(texts, self._target.names, self._target.header_options)
        except ValidationError as error:
            if not last and count < HEADER_LINES:
                return None
            looked_at = lines.data[: int(lines.nexts[count - 1])]
            self._refuse_bad_bytes(looked_at, lines, self._rows_of(lines))
            first = take_record(lines, 0, ANY_WIDTH, last=last)
            if first is not None and first.fault:
                raise self._unreadable_header(first.fault) from None
            what = f"{self._path}: {error.what}"
            raise ValidationError(what, next_step=error.next_step) from None
        lines = replace(lines, delimiter=delimiter_byte(self._path, found.delimiter))
        header = take_record(lines, found.line, ANY_WIDTH, last=last)
        if header is None:
            return None
        return self._take_header(lines, found, header)

    def _unreadable_header(self, fault: str) -> ValidationError:
        what = f"{self._path}: the header cannot be read: {fault}"
        return ValidationError(what, next_step="correct the quotes in the header")

    def _rows_of(self, lines: Lines) -> Ints:
        return np.arange(len(lines)) + self._row

    def _take_header(self, lines: Lines, found: Header, header: Record) -> Layout:
        size = int(lines.nexts[header.last_line])
        self._refuse_bad_bytes(lines.data[:size], lines, self._rows_of(lines))
        if header.fault:
            raise self._unreadable_header(header.fault)
        text = lines.data[int(lines.starts[found.line]) : int(lines.ends[header.last_line])]
        self._forget(size, found.line + 1)
        self._target.report(found)
        return Layout(
            self._target.names, found.positions, len(header.fields), lines.delimiter,
            header=text, defaults=self._target.csv_format.defaults,
        )  # fmt: skip

    def _split(self, *, last: bool) -> Lines:
        size = len(self._rest) if last else whole_lines(self._rest)
        return find_lines(self._rest[:size], self._layout.delimiter if self._layout else COMMA)

    def _forget(self, size: int, rows: int) -> None:
        self._rest = self._rest[size:]
        self._offset += size
        self._row += rows

    def _read_records(self, layout: Layout, *, last: bool) -> Block | None:
        lines = self._split(last=last)
        skip = layout.no_records(lines, first=self._nothing_yet)
        sifted = sift(lines, layout.width, last=last, skip=skip)
        if self._end is not None:
            sifted = begun_before(sifted, lines, self._end - self._offset)
        self._target.watch.counts["skipped_rows"] += len(sifted.skipped)
        self._nothing_yet = self._nothing_yet and not _any_filled(lines, len(sifted.is_row))
        rows = np.cumsum(sifted.is_row) + (self._row - 1)
        self._refuse_long_lines(lines, rows)
        self._refuse_bad_bytes(lines.data[: sifted.used], lines, rows)
        if self._only_rows is not None:
            sifted = limited(sifted, lines, np.isin(rows, self._only_rows))
        arrays, wrong = layout.parse(sifted.good)
        places = np.flatnonzero(sifted.is_record)
        faults = sifted.faults + _width_faults(places, wrong, layout.width)
        good = np.delete(places, [index for index, _ in wrong])
        self._remember(lines, sifted.is_row, sifted.used)
        self._forget(sifted.used, int(sifted.is_row.sum()))
        if not (good.size or faults):
            return None
        records = layout.batch(rows[good], arrays)
        rejected = _malformed(self._target.columns, lines, rows, faults)
        return Block(records, rejected, records.num_rows + rejected.num_rows)

    def _remember(self, lines: Lines, is_row: Mask, used: int) -> None:
        if self._places is not None:
            starts = lines.starts[: len(is_row)][is_row]
            self._places.add(self._row, self._offset, starts, used)

    def _refuse_long_lines(self, lines: Lines, rows: Ints) -> None:
        limit = self._format.longest_line_bytes
        long = np.flatnonzero((lines.ends - lines.starts)[: len(rows)] > limit)
        if long.size:
            raise self._line_too_long(int(rows[long[0]]))

    def _line_too_long(self, row: int) -> ExtractionError:
        limit = self._format.longest_line_bytes
        what = f"{self._path}: row {row} has a line of more than {limit} bytes"
        return ExtractionError(what, next_step="is this a CSV file? Check what wrote it")

    def _refuse_bad_bytes(self, data: bytes, lines: Lines, rows: Ints) -> None:
        bad = first_bad_byte(data)
        if bad is not None:
            row = rows[np.searchsorted(lines.nexts, bad, side="right")]
            raise undecodable(
                self._path,
                "utf-8",
                self._offset + bad,
                data[bad],
                next_step=self._format.other_encoding + self._further_fault(lines),
                where=f"row {row}",
            )

    def _further_fault(self, lines: Lines) -> str:
        """What else would hold the file up, so that nobody finds that out run by run."""
        layout, numbers = self._layout, self._format.numbers
        if layout is None or not numbers:
            return ""
        some = lines.texts(np.arange(min(len(lines), MOST_LINES)))
        rows = csv.reader(
            (line.decode("latin-1") for line in some), delimiter=chr(layout.delimiter)
        )
        places = [layout.positions[name] for name in numbers if name in layout.positions]
        texts = [row[place] for row in rows for place in places if place < len(row)]
        commas = pc.any(has_decimal_comma(pa.array(texts, pa.string()))).as_py()
        return f". A number {DECIMAL_COMMA}, too" if commas else ""


def _any_filled(lines: Lines, count: int) -> bool:
    """Whether any of the first lines holds something."""
    return bool((lines.ends[:count] > lines.starts[:count]).any())


_TYPOGRAPHIC_QUOTES = re.compile(b"|".join(quote.encode() for quote in "\u201c\u201d\u201e"))
_TYPOGRAPHIC = "; it has typographic quotes, which enclose no field: write straight ones"


def _width_faults(places: Ints, wrong: Sequence[tuple[int, int]], width: int) -> list[Fault]:
    """The records that Arrow left out for their number of fields."""
    if not wrong:
        return []
    indices, found = (list(column) for column in zip(*wrong, strict=True))
    reasons = {count: width_reason(count, width) for count in set(found)}
    lines = places[indices].tolist()
    return [(line, reasons[count]) for line, count in zip(lines, found, strict=True)]


def _malformed(
    columns: tuple[str, ...], lines: Lines, rows: Ints, faults: Sequence[Fault]
) -> pa.RecordBatch:
    """Malformed records as a block of rejected ones, in the order of the file."""
    if not faults:
        return pa.RecordBatch.from_pylist([], reject_schema(columns))
    chosen, reasons = zip(*sorted(faults), strict=True)
    places = np.array(chosen, np.int64)
    texts = lines.texts(places)
    reasons = tuple(
        reason + _TYPOGRAPHIC if _TYPOGRAPHIC_QUOTES.search(text) else reason
        for reason, text in zip(reasons, texts, strict=True)
    )
    known = {
        "source_row": pa.array(rows[places], pa.int64()),
        "error_class": pa.repeat(MALFORMED, len(places)),
        "reason": pa.array(reasons, pa.string()),
        "raw_record": pa.array(texts, pa.binary()).cast(pa.string()),
    }
    nulls, schema = pa.nulls(len(places), pa.string()), reject_schema(columns)
    arrays = [known.get(name, nulls) for name in schema.names]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)

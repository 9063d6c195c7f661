"""CSV as a stream of Arrow blocks, in which a damaged record costs only itself.

Arrow, pandas and DuckDB let a quote that is never closed swallow the good records after it. Here
the lines are looked at first, all at once with numpy. A line whose quotes are all where RFC 4180
puts them is *clean*, a record on its own. Every other line, with whatever lines its record runs
over, is tried against an exact pattern. What fits stays, what does not is set aside with its
reason, and Arrow takes apart what is left, where no quote can do harm any more.
"""

import codecs
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BufferedReader, BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv as arrow_csv

from etl.errors import ExtractionError, ValidationError
from etl.sources.files import (
    FileTrace,
    byte_chunks,
    open_source,
    text_chunks,
    undecodable,
    wide_encoding,
)

# A record over more lines than this is taken for a quote that was never closed. An address has a
# handful of lines, a pasted e-mail some dozens; the bound is what a lost quote may cost in time.
MOST_LINES = 50
# The same bound in bytes, so that fifty very long lines do not have to be held in memory. It does
# not follow `longest_line_bytes`: the records of a file must not depend on how it is read.
MOST_RECORD_BYTES = 16 * 2**20

# What is read at a time, and becomes a block. Larger ones are no faster (tried: 8 and 16 MiB), and
# of each a handful of copies is in memory.
MOST_READ_BYTES = 4 * 2**20

# Lines that a block holds at the most, or about. A line that is malformed becomes Python objects of
# some 500 bytes, so a file of nothing but line ends would otherwise need gigabytes for a block.
MOST_BLOCK_LINES = 200_000

_LF, _CR, _QUOTE, _COMMA = b'\n\r",'
_UNCLOSED, _TEXT_AFTER_QUOTE = "unclosed", "text after quote"
_SET_ENCODING = "set CSV_ENCODING to the encoding of the file, such as cp1252 or utf-16"
_SHOWN_NAMES, _SHOWN_CHARACTERS = 20, 40  # how much of a header a message lists
_ANY_WIDTH = 0  # for the header itself

# A quoted field, or one that does not start with a quote. Possessive, so that a quote that is
# missing is noticed in one pass.
_FIELD = re.compile(rb'"([^"]*+(?:""[^"]*+)*+)"|(?!")[^,\r\n]*+')

# What may stand before an opening and after a closing quote. Another quote may, too: a doubled
# quote reads as one field closed and opened again.
_EDGE = np.zeros(256, dtype=np.bool_)
_EDGE[[_LF, _CR, _QUOTE, _COMMA]] = True

_Ints = npt.NDArray[np.int64]
_Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class MalformedRecord:
    """A record that cannot be taken apart into its fields.

    Args:
        source_row: the row that a spreadsheet shows; the header is 1.
        raw_text: the text that is given up, without its line end.
        found_fields: the fields begun when it was certain that the record is malformed.
        expected_fields: the fields of the header.
        reason: what is wrong, for a person.
    """

    source_row: int
    raw_text: str
    found_fields: int
    expected_fields: int
    reason: str


@dataclass(frozen=True)
class CsvBlock:
    """What one block of a CSV file holds.

    Args:
        records: `source_row` (int64) and the wanted columns (text, never null).
        malformed: the records that had to be given up, by row.
    """

    records: pa.RecordBatch
    malformed: tuple[MalformedRecord, ...]


def read_csv_blocks(
    path: Path,
    *,
    columns: tuple[str, ...],
    encoding: str = "utf-8",
    longest_line_bytes: int = 16 * 2**20,
    only_rows: _Ints | None = None,
    trace: FileTrace | None = None,
) -> Iterator[CsvBlock]:
    r"""Read a CSV file block by block.

    The file is opened when the first block is asked for, and closed at the end, at an error and
    when the iterator is closed. The header is row 1, every record is one row, a blank line is a
    row without a record; lines end with LF, CR LF or CR. A record that runs over more than
    `MOST_LINES` lines, or over several and turns out malformed, costs only its first line.

    Args:
        path: the file.
        columns: the wanted columns, in the wanted order. The header is compared without regard
            to case and surrounding white space; other columns are left out.
        encoding: how the text is encoded. UTF-8 may start with a byte order mark.
        longest_line_bytes: the longest line that is accepted. So much is read at a time, but no
            more than `MOST_READ_BYTES`.
        only_rows: the source rows that are wanted, when not all are; the others are found, but
            not taken apart, and malformed ones are left out.
        trace: is told the size and the SHA-256 of the file.

    Yields:
        Blocks with at least one record, good or malformed. A file with nothing but a header
        has none.

    Raises:
        FileNotFoundError: there is no such file.
        ExtractionError: the file cannot be opened or read, is no text in this encoding, has a
            longer line, or changed while it was read.
        ValidationError: the file is empty, or its header lacks or repeats a wanted column.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "customers.csv")
        ...     _ = path.write_text('email,customer_id\na@b.de,C1\n"lost,C2\nc@d.de,C3\n')
        ...     (block,) = read_csv_blocks(path, columns=("customer_id",))
        >>> block.records.to_pydict()
        {'source_row': [2, 4], 'customer_id': ['C1', 'C3']}
        >>> block.malformed[0].raw_text
        '"lost,C2'
    """
    with open_source(path) as file:
        reader = _Reader(path, columns, longest_line_bytes, only_rows)
        size = min(longest_line_bytes, MOST_READ_BYTES)
        pieces = byte_chunks(file, path, size=size, trace=trace)
        for piece, last in _utf8_pieces(file, path, encoding, pieces):
            for part, is_last in _parts_of_few_lines(piece):
                block = reader.feed(part, last=last and is_last)
                if block is not None:
                    yield block


def _parts_of_few_lines(piece: bytes) -> Iterator[tuple[bytes, bool]]:
    """A piece in parts of about `MOST_BLOCK_LINES` lines, and whether a part is the last one."""
    codes = np.frombuffer(piece, dtype=np.uint8)  # numpy counts in half the time
    marks = np.count_nonzero(codes == _LF) + np.count_nonzero(codes == _CR)
    count = 1 + int(marks) // MOST_BLOCK_LINES
    size = len(piece) // count + 1
    for start in range(0, len(piece) or 1, size):
        yield piece[start : start + size], start + size >= len(piece)


def _utf8_pieces(
    file: BufferedReader, path: Path, encoding: str, pieces: Iterator[tuple[bytes, bool]]
) -> Iterator[tuple[bytes, bool]]:
    """Read the file as UTF-8; what is UTF-8 already is checked later, block by block."""
    known = _known_encoding(path, encoding)
    wide = wide_encoding(file)
    if wide and not known.startswith(("utf-16", "utf-32")):
        what = f"{path} starts with the byte order mark of {wide}, but is read as {encoding}"
        raise ExtractionError(what, next_step=f"set CSV_ENCODING={wide}")
    if known in {"utf-8", "utf-8-sig"}:
        yield from pieces
        return
    for text, last in text_chunks(pieces, path, encoding=encoding, next_step=_SET_ENCODING):
        yield _as_utf8(text, path, encoding), last


def _known_encoding(path: Path, encoding: str) -> str:
    try:
        TextIOWrapper(BytesIO(), encoding)  # refuses what is no text encoding, such as hex
        return codecs.lookup(encoding).name
    except LookupError:
        what = f"{path} cannot be read as {encoding!r}, which is no encoding that Python knows"
        raise ExtractionError(what, next_step=_SET_ENCODING) from None


def _as_utf8(text: str, path: Path, encoding: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:  # some encodings, such as utf-7, can spell half a pair
        what = f"{path}: {error.object[error.start]!r}, read as {encoding}, is no character"
        raise ExtractionError(what, next_step=_SET_ENCODING) from error


@dataclass(frozen=True)
class _Lines:
    """The lines of some text, and where each starts, where its text ends, where the next starts."""

    data: bytes
    starts: _Ints
    ends: _Ints
    nexts: _Ints

    def __len__(self) -> int:
        return len(self.starts)

    def text(self, line: int) -> str:
        return self.data[self.starts[line] : self.ends[line]].decode()


def _find_lines(data: bytes) -> _Lines:
    codes = np.frombuffer(data, dtype=np.uint8)
    if b"\r" in data:
        marks = np.flatnonzero((codes == _LF) | (codes == _CR))
        paired = (codes[marks] == _LF) & (codes[marks - 1] == _CR) & (marks > 0)
        ends = marks[~paired]
        nexts = ends + 1
        nexts += (codes[ends] == _CR) & (codes.take(nexts, mode="clip") == _LF)
    else:
        ends = np.flatnonzero(codes == _LF)
        nexts = ends + 1
    if data and data[-1] not in b"\r\n":
        ends, nexts = np.append(ends, len(data)), np.append(nexts, len(data))
    return _Lines(data, np.append(0, nexts[:-1])[: len(ends)], ends, nexts)


def _whole_lines(data: bytes) -> int:
    """How many bytes are whole lines; a CR at the very end may yet be followed by its LF."""
    line_feed = data.rfind(b"\n")
    return max(line_feed, data.rfind(b"\r", line_feed + 1, len(data) - 1)) + 1


def _unclean_lines(lines: _Lines) -> list[int]:
    """Find the lines that are no record on their own, or have a quote where none belongs."""
    codes = np.frombuffer(lines.data, dtype=np.uint8)
    quotes = np.flatnonzero(codes == _QUOTE)
    if not quotes.size:
        return []
    first = np.searchsorted(quotes, lines.starts)
    counts = np.diff(first, append=quotes.size)
    opening = np.zeros(quotes.size, dtype=np.bool_)
    opening[::2] = True  # every other one opens, counted within its line
    opening ^= np.repeat(first % 2 == 1, counts)
    neighbours = quotes + np.where(opening, np.int8(-1), np.int8(1))
    fine = _EDGE[codes.take(neighbours, mode="clip")]  # the first and last byte see themselves
    unclean = counts % 2 == 1
    unclean[np.searchsorted(lines.starts, quotes[~fine], side="right") - 1] = True
    found: list[int] = np.flatnonzero(unclean).tolist()
    return found


@dataclass(frozen=True)
class _Record:
    """A record that was taken apart, or given up for a reason."""

    fields: list[bytes]
    last_line: int
    fault: str = ""


def _window(lines: _Lines, line: int) -> int:
    """Where the text ends that a record may take that starts at a line."""
    return int(lines.nexts[min(line + MOST_LINES, len(lines)) - 1])


def _last_line(lines: _Lines, line: int, record: re.Pattern[bytes]) -> int | None:
    """Find the last line of the good record that starts at a line; None when it is not good."""
    start = int(lines.starts[line])
    match = record.match(lines.data, start, _window(lines, line))
    if match is None:
        return None
    end, last = match.end(), line
    while lines.ends[last] < end:
        last += 1
    return None if last > line and end - start > MOST_RECORD_BYTES else last


def _take_fields(
    data: bytes, start: int, *, first_end: int, stop: int, most: int
) -> tuple[list[bytes], int, str]:
    """Take one record apart, up to its line end; a fault ends it early.

    Once a record that left its first line has too many fields, more of it need not be read.
    """
    fields: list[bytes] = []
    position = start
    while True:
        match = _FIELD.match(data, position, stop)
        if match is None:
            return [*fields, b""], stop, _UNCLOSED
        quoted = match[1]
        fields.append(match[0] if quoted is None else quoted.replace(b'""', b'"'))
        position = match.end()
        if position == stop or data[position] in b"\r\n":
            return fields, position, ""
        if data[position] != _COMMA:
            return fields, position, _TEXT_AFTER_QUOTE
        if len(fields) > most and position > first_end:
            return fields, position, ""
        position += 1


def _take_record(lines: _Lines, line: int, width: int, *, last: bool) -> _Record | None:
    """Take the record apart that starts at a line; None when more of the file is needed."""
    start, first_end = int(lines.starts[line]), int(lines.ends[line])
    fields, end, fault = _take_fields(
        lines.data,
        start,
        first_end=first_end,
        stop=_window(lines, line),
        most=width or sys.maxsize,
    )
    runs_on, too_long = end > first_end, end - start > MOST_RECORD_BYTES
    too_many = line + MOST_LINES <= len(lines)
    if fault == _UNCLOSED and not (last or too_long or too_many):
        return None
    if fault == _TEXT_AFTER_QUOTE:
        reason = f"text after the closing quote of field {len(fields)}"
    elif fault == _UNCLOSED or (runs_on and too_long):
        reason = _unclosed_reason(len(fields), too_long=too_long, too_many=too_many)
    elif width not in {_ANY_WIDTH, len(fields)}:
        reason = _width_reason(len(fields), width) + (" (over several lines)" if runs_on else "")
    else:
        return _Record(fields, int(np.searchsorted(lines.ends, end)))
    return _Record(fields, line, reason)


def _unclosed_reason(field: int, *, too_long: bool, too_many: bool) -> str:
    within = f"within {MOST_LINES} lines" if too_many else "before the end of the file"
    if too_long:
        within = f"within {MOST_RECORD_BYTES} bytes"
    return f"the quote that opens field {field} is not closed {within}"


def _width_reason(found: int, expected: int) -> str:
    return f"{found} field{'s' * (found != 1)} where {expected} are expected"


_Fault = tuple[int, int, str]  # line, fields found, reason


def _judge(
    lines: _Lines, layout: "_Layout", *, last: bool
) -> tuple[list[tuple[int, int]], list[_Fault], int]:
    """Look at the unclean lines.

    Returns:
        The lines that belong to the record before them, from and to; the malformed records; and
        how many lines are done with, since the others need more of the file.
    """
    inner: list[tuple[int, int]] = []
    faults: list[_Fault] = []
    resume = 0
    for line in _unclean_lines(lines):
        if line < resume:
            continue  # it belongs to the record before
        last_line = _last_line(lines, line, layout.record)
        if last_line is None:
            record = _take_record(lines, line, layout.width, last=last)
            if record is None:
                return inner, faults, line
            faults.append((line, len(record.fields), record.fault))
        elif last_line > line:
            resume = last_line + 1
            inner.append((line + 1, resume))
    return inner, faults, len(lines)


@dataclass(frozen=True)
class _Sifted:
    """Lines in which every quote has its match; the malformed records are set aside."""

    good: bytes
    is_row: _Mask  # the line starts a row
    is_record: _Mask  # the line starts a record that is in `good`
    faults: list[_Fault]
    used: int  # bytes of the text that are done with


def _sift(lines: _Lines, layout: "_Layout", *, last: bool) -> _Sifted:
    inner, faults, done = _judge(lines, layout, last=last)
    is_row = np.ones(len(lines), dtype=np.bool_)
    for start, stop in inner:
        is_row[start:stop] = False
    is_record = is_row & (lines.ends > lines.starts)
    lost = [line for line, _, _ in faults]
    is_record[lost] = False
    used = int(lines.nexts[done - 1]) if done else 0
    good = _without(lines, lost, used)
    return _Sifted(good, is_row[:done], is_record[:done], faults, used)


def _without(lines: _Lines, lost: list[int], used: int) -> bytes:
    """Cut some lines out of the first bytes of the text."""
    kept_from = [0, *lines.nexts[lost].tolist()]
    kept_to = [*lines.starts[lost].tolist(), used]
    return b"".join(lines.data[a:b] for a, b in zip(kept_from, kept_to, strict=True))


def _limited(sifted: _Sifted, lines: _Lines, wanted: _Mask) -> _Sifted:
    """Only the records whose first line is wanted."""
    is_record = sifted.is_record & wanted
    firsts = np.flatnonzero(sifted.is_row)
    starts = lines.starts[firsts]
    ends = np.append(starts[1:], sifted.used)  # a row goes up to the next one
    chosen = is_record[firsts]
    pieces = zip(starts[chosen].tolist(), ends[chosen].tolist(), strict=True)
    good = b"".join(lines.data[start:end] for start, end in pieces)
    return replace(sifted, good=good, is_record=is_record, faults=[])


@dataclass(frozen=True)
class _Layout:
    """Where the wanted columns stand in the file."""

    names: tuple[str, ...]
    positions: tuple[int, ...]
    width: int
    record: re.Pattern[bytes]  # a good record, up to its line end

    def parse(self, text: bytes) -> tuple[list[pa.Array], list[tuple[int, int]]]:
        """Take records apart, with Arrow.

        Returns:
            The wanted columns, and of each record left out for its number of fields its index
            among all records and that number.
        """
        if not text:  # which Arrow refuses
            return [pa.array([], pa.string()) for _ in self.names], []
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
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
            convert_options=self._as_text(),
        )
        return [_one_array(column) for column in table.columns], wrong

    def _labels(self) -> list[str]:
        return [str(position) for position in range(self.width)]  # names in a file may repeat

    def _as_text(self) -> arrow_csv.ConvertOptions:
        wanted = [str(position) for position in self.positions]
        return arrow_csv.ConvertOptions(
            include_columns=wanted,
            column_types=dict.fromkeys(wanted, pa.string()),
            check_utf8=False,  # done for the whole block, left-out columns included
        )

    def batch(self, rows: _Ints, arrays: list[pa.Array]) -> pa.RecordBatch:
        """Put the row numbers before the columns."""
        names = ["source_row", *self.names]
        return pa.RecordBatch.from_arrays([pa.array(rows, pa.int64()), *arrays], names=names)


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _find_columns(path: Path, header: list[str], wanted: tuple[str, ...]) -> _Layout:
    found = [_comparable(name) for name in header]
    keys = [_comparable(name) for name in wanted]
    missing = [name for name, key in zip(wanted, keys, strict=True) if key not in found]
    if missing:
        what = f"{path}: the header lacks {_listed(missing)}; found {_listed(header)}"
        raise ValidationError(f"{what}; wanted {_listed(wanted)}", next_step=_missing_hint(header))
    repeated = [name for name, key in zip(wanted, keys, strict=True) if found.count(key) > 1]
    if repeated:
        what = f"{path}: the header names {_listed(repeated)} more than once"
        raise ValidationError(what, next_step="rename or remove all but one")
    field = _FIELD.pattern
    record = re.compile(rb"(?:%b)(?:,(?:%b)){%d}(?=[\r\n]|\Z)" % (field, field, len(header) - 1))
    return _Layout(wanted, tuple(found.index(key) for key in keys), len(header), record)


def _comparable(name: str) -> str:
    return name.strip().casefold()


def _listed(names: Sequence[str]) -> str:
    listed = ", ".join(repr(name[:_SHOWN_CHARACTERS]) for name in names[:_SHOWN_NAMES])
    return listed + (f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else "")


def _missing_hint(header: list[str]) -> str:
    if len(header) == 1:
        for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")):
            if separator in header[0]:
                return f"the header seems to be separated by {name}; save it with commas"
    return "add the column, or correct its name in the header"


def _first_bad_byte(data: bytes) -> int | None:
    """Find the first byte that is no UTF-8; Arrow looks eight times as fast as Python decodes."""
    ends = pa.py_buffer(np.array([0, len(data)], dtype=np.int32))
    try:
        pa.Array.from_buffers(pa.string(), 1, [None, ends, pa.py_buffer(data)]).validate(full=True)
    except pa.ArrowInvalid:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            return error.start
    return None


class _Reader:
    """Turns the pieces of one file into blocks; keeps what a piece leaves unfinished."""

    def __init__(
        self, path: Path, columns: tuple[str, ...], line_bytes: int, only_rows: _Ints | None
    ) -> None:
        self._path, self._columns, self._line_bytes = path, columns, line_bytes
        self._only_rows = only_rows
        self._layout: _Layout | None = None
        self._rest = b""
        self._row = 1  # of the first line of `_rest`
        self._offset = 0  # of `_rest` in the file

    def feed(self, piece: bytes, *, last: bool) -> CsvBlock | None:
        """Take the next piece of the file; None when it completes no record."""
        self._rest += piece
        try:
            return self._next_block(last=last)
        except ExtractionError:
            if self._layout is None and b"\0" in self._rest:
                what = f"{self._path} is no text: it holds NUL bytes and no header was found"
                step = "check that it is a CSV file; for UTF-16 set CSV_ENCODING=utf-16-le"
                raise ExtractionError(what, next_step=step) from None
            raise

    def _next_block(self, *, last: bool) -> CsvBlock | None:
        if self._layout is None:
            self._layout = self._find_header(last=last)
        block = None
        if self._layout is not None and self._rest:
            block = self._read_records(self._layout, last=last)
        if len(self._rest) - _whole_lines(self._rest) > self._line_bytes:
            raise self._line_too_long(self._row)
        return block

    def _find_header(self, *, last: bool) -> _Layout | None:
        if not self._offset and self._rest.startswith(codecs.BOM_UTF8):
            self._forget(len(codecs.BOM_UTF8), 0)
        lines = self._split(last=last)
        filled = np.flatnonzero(lines.ends > lines.starts)
        if filled.size:
            return self._read_header(lines, int(filled[0]), last=last)
        if last:
            what = f"{self._path} is empty; wanted a header with {_listed(self._columns)}"
            raise ValidationError(what, next_step="check the export that writes it")
        self._forget(len(lines.data), len(lines))
        return None

    def _read_header(self, lines: _Lines, line: int, *, last: bool) -> _Layout | None:
        header = _take_record(lines, line, _ANY_WIDTH, last=last)
        if header is None:
            return None
        size = int(lines.nexts[header.last_line])
        self._refuse_bad_bytes(lines.data[:size], lines, np.arange(len(lines)) + self._row)
        if header.fault:
            what = f"{self._path}: the header cannot be read: {header.fault}"
            raise ValidationError(what, next_step="correct the quotes in the header")
        self._forget(size, line + 1)
        return _find_columns(self._path, [name.decode() for name in header.fields], self._columns)

    def _split(self, *, last: bool) -> _Lines:
        size = len(self._rest) if last else _whole_lines(self._rest)
        return _find_lines(self._rest[:size])

    def _forget(self, size: int, rows: int) -> None:
        self._rest = self._rest[size:]
        self._offset += size
        self._row += rows

    def _read_records(self, layout: _Layout, *, last: bool) -> CsvBlock | None:
        lines = self._split(last=last)
        sifted = _sift(lines, layout, last=last)
        rows = np.cumsum(sifted.is_row) + (self._row - 1)
        self._refuse_long_lines(lines, rows)
        self._refuse_bad_bytes(lines.data[: sifted.used], lines, rows)
        if self._only_rows is not None:
            sifted = _limited(sifted, lines, np.isin(rows, self._only_rows))
        arrays, wrong = layout.parse(sifted.good)
        places = np.flatnonzero(sifted.is_record)
        narrow = [(int(places[i]), found, _width_reason(found, layout.width)) for i, found in wrong]
        malformed = tuple(
            MalformedRecord(int(rows[line]), lines.text(line), found, layout.width, reason)
            for line, found, reason in sorted([*sifted.faults, *narrow])
        )
        good = np.delete(places, [index for index, _ in wrong])
        self._forget(sifted.used, int(sifted.is_row.sum()))
        if not (good.size or malformed):
            return None
        return CsvBlock(layout.batch(rows[good], arrays), malformed)

    def _refuse_long_lines(self, lines: _Lines, rows: _Ints) -> None:
        long = np.flatnonzero((lines.ends - lines.starts)[: len(rows)] > self._line_bytes)
        if long.size:
            raise self._line_too_long(int(rows[long[0]]))

    def _line_too_long(self, row: int) -> ExtractionError:
        what = f"{self._path}: row {row} has a line of more than {self._line_bytes} bytes"
        return ExtractionError(what, next_step="is this a CSV file? Check what wrote it")

    def _refuse_bad_bytes(self, data: bytes, lines: _Lines, rows: _Ints) -> None:
        bad = _first_bad_byte(data)
        if bad is not None:
            row = rows[np.searchsorted(lines.nexts, bad, side="right")]
            raise undecodable(
                self._path,
                "utf-8",
                self._offset + bad,
                data[bad],
                next_step=_SET_ENCODING,
                where=f"row {row}",
            )

"""CSV as a stream of Arrow blocks, in which a damaged record costs only itself.

Arrow, pandas and DuckDB let a quote that is never closed swallow the good records after it. Here
`csv_lines` looks at the lines first and sets the malformed ones aside; Arrow takes apart what is
left, where no quote can do harm any more.
"""

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader, BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv

from etl.errors import ExtractionError, ValidationError
from etl.rejects import MALFORMED, reject_schema
from etl.rules.blocks import Block
from etl.sources.csv_lines import (
    ANY_WIDTH,
    Fault,
    Ints,
    Lines,
    count_lines,
    find_lines,
    limited,
    sift,
    take_record,
    whole_lines,
    width_reason,
)
from etl.sources.files import (
    FileTrace,
    byte_chunks,
    open_source,
    text_chunks,
    undecodable,
    wide_encoding,
)

# What is read at a time, and becomes a block. Larger ones are no faster (tried: 8 and 16 MiB), and
# of each a handful of copies is in memory.
MOST_READ_BYTES = 4 * 2**20

# Lines that a block holds at the most, or about. A malformed line passes through some Python
# objects, so a file of nothing but very short lines would otherwise need gigabytes for a block.
MOST_BLOCK_LINES = 200_000

_SHOWN_NAMES, _SHOWN_CHARACTERS = 20, 40  # how much of a header a message lists


@dataclass(frozen=True)
class CsvFormat:
    """How a CSV file is written.

    Attributes:
        encoding: how the text is encoded; UTF-8 may start with a byte order mark.
        longest_line_bytes: the longest line that is accepted. So much is read at a time, but no
            more than `MOST_READ_BYTES`.
        set_encoding: how a person gives another encoding, to be followed by its name.
    """

    encoding: str = "utf-8"
    longest_line_bytes: int = 16 * 2**20
    set_encoding: str = "set CSV_ENCODING to"

    @property
    def other_encoding(self) -> str:
        """What to do when the file is no text in this encoding."""
        return f"{self.set_encoding} the encoding of the file, such as cp1252 or utf-16"


PLAIN = CsvFormat()


def read_csv_blocks(
    path: Path,
    columns: tuple[str, ...],
    *,
    besides: tuple[str, ...] = (),
    csv_format: CsvFormat = PLAIN,
    only_rows: Ints | None = None,
    trace: FileTrace | None = None,
) -> Iterator[Block]:
    r"""Read a CSV file block by block.

    The file is opened when the first block is asked for, and closed at the end, at an error and
    when the iterator is closed. The header is row 1, every record is one row, a blank line is a
    row without a record; lines end with LF, CR LF or CR. A record that runs over more than
    `MOST_LINES` lines, or over several and turns out malformed, costs only its first line.

    Args:
        path: the file.
        columns: the source's columns, in the wanted order. The header is compared without regard
            to case and surrounding white space; other columns are left out.
        besides: further columns to read, which rejected records do not show.
        csv_format: how the file is written.
        only_rows: the source rows that are wanted, when not all are; the others are found, but
            not taken apart, and malformed ones are left out.
        trace: is filled with the size and the SHA-256 of the file.

    Yields:
        Blocks with at least one record, good (text, never null) or malformed. A file with
        nothing but a header has none.

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
        ...     (block,) = read_csv_blocks(path, ("customer_id",))
        >>> block.records.to_pydict()
        {'source_row': [2, 4], 'customer_id': ['C1', 'C3']}
        >>> block.rejected["raw_record"].to_pylist()
        ['"lost,C2']
    """
    with open_source(path) as file:
        reader = _Reader(_Target(path, columns, besides), csv_format, only_rows)
        size = min(csv_format.longest_line_bytes, MOST_READ_BYTES)
        pieces = byte_chunks(file, path, size=size, trace=trace)
        for piece, last in _utf8_pieces(file, path, csv_format, pieces):
            for part, is_last in _parts_of_few_lines(piece):
                block = reader.feed(part, last=last and is_last)
                if block is not None:
                    yield block


def _parts_of_few_lines(piece: bytes) -> Iterator[tuple[bytes, bool]]:
    """A piece in parts of about `MOST_BLOCK_LINES` lines, and whether a part is the last one."""
    count = 1 + count_lines(piece) // MOST_BLOCK_LINES
    size = len(piece) // count + 1
    for start in range(0, len(piece) or 1, size):
        yield piece[start : start + size], start + size >= len(piece)


def _utf8_pieces(
    file: BufferedReader, path: Path, csv_format: CsvFormat, pieces: Iterator[tuple[bytes, bool]]
) -> Iterator[tuple[bytes, bool]]:
    """Read the file as UTF-8; what is UTF-8 already is checked later, block by block."""
    encoding, step = csv_format.encoding, csv_format.other_encoding
    known = _known_encoding(path, csv_format)
    wide = wide_encoding(file)
    if wide and not known.startswith(("utf-16", "utf-32")):
        what = f"{path} starts with the byte order mark of {wide}, but is read as {encoding}"
        raise ExtractionError(what, next_step=f"{csv_format.set_encoding} {wide}")
    if known in {"utf-8", "utf-8-sig"}:
        yield from pieces
        return
    for text, last in text_chunks(pieces, path, encoding=encoding, next_step=step):
        yield _as_utf8(text, path, csv_format), last


def _known_encoding(path: Path, csv_format: CsvFormat) -> str:
    encoding = csv_format.encoding
    try:
        TextIOWrapper(BytesIO(), encoding)  # refuses what is no text encoding, such as hex
        return codecs.lookup(encoding).name
    except LookupError:
        what = f"{path} cannot be read as {encoding!r}, which is no encoding that Python knows"
        raise ExtractionError(what, next_step=csv_format.other_encoding) from None


def _as_utf8(text: str, path: Path, csv_format: CsvFormat) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:  # some encodings, such as utf-7, can spell half a pair
        found = error.object[error.start]
        what = f"{path}: {found!r}, read as {csv_format.encoding}, is no character"
        raise ExtractionError(what, next_step=csv_format.other_encoding) from error


@dataclass(frozen=True)
class _Target:
    """What is wanted of which file."""

    path: Path
    columns: tuple[str, ...]
    besides: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.columns, *self.besides)


@dataclass(frozen=True)
class _Layout:
    """Where the wanted columns stand in the file."""

    names: tuple[str, ...]
    positions: tuple[int, ...]
    width: int

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

    def batch(self, rows: Ints, arrays: list[pa.Array]) -> pa.RecordBatch:
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
    return _Layout(wanted, tuple(found.index(key) for key in keys), len(header))


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

    def __init__(self, target: _Target, csv_format: CsvFormat, only_rows: Ints | None) -> None:
        self._target, self._path = target, target.path
        self._format, self._only_rows = csv_format, only_rows
        self._layout: _Layout | None = None
        self._rest = b""
        self._row = 1  # of the first line of `_rest`
        self._offset = 0  # of `_rest` in the file

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

    def _next_block(self, *, last: bool) -> Block | None:
        if self._layout is None:
            self._layout = self._find_header(last=last)
        block = None
        if self._layout is not None and self._rest:
            block = self._read_records(self._layout, last=last)
        if len(self._rest) - whole_lines(self._rest) > self._format.longest_line_bytes:
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
            what = f"{self._path} is empty; wanted a header with {_listed(self._target.names)}"
            raise ValidationError(what, next_step="check the export that writes it")
        self._forget(len(lines.data), len(lines))
        return None

    def _read_header(self, lines: Lines, line: int, *, last: bool) -> _Layout | None:
        header = take_record(lines, line, ANY_WIDTH, last=last)
        if header is None:
            return None
        size = int(lines.nexts[header.last_line])
        self._refuse_bad_bytes(lines.data[:size], lines, np.arange(len(lines)) + self._row)
        if header.fault:
            what = f"{self._path}: the header cannot be read: {header.fault}"
            raise ValidationError(what, next_step="correct the quotes in the header")
        self._forget(size, line + 1)
        names = [name.decode() for name in header.fields]
        return _find_columns(self._path, names, self._target.names)

    def _split(self, *, last: bool) -> Lines:
        size = len(self._rest) if last else whole_lines(self._rest)
        return find_lines(self._rest[:size])

    def _forget(self, size: int, rows: int) -> None:
        self._rest = self._rest[size:]
        self._offset += size
        self._row += rows

    def _read_records(self, layout: _Layout, *, last: bool) -> Block | None:
        lines = self._split(last=last)
        sifted = sift(lines, layout.width, last=last)
        rows = np.cumsum(sifted.is_row) + (self._row - 1)
        self._refuse_long_lines(lines, rows)
        self._refuse_bad_bytes(lines.data[: sifted.used], lines, rows)
        if self._only_rows is not None:
            sifted = limited(sifted, lines, np.isin(rows, self._only_rows))
        arrays, wrong = layout.parse(sifted.good)
        places = np.flatnonzero(sifted.is_record)
        faults = sifted.faults + _width_faults(places, wrong, layout.width)
        good = np.delete(places, [index for index, _ in wrong])
        self._forget(sifted.used, int(sifted.is_row.sum()))
        if not (good.size or faults):
            return None
        records = layout.batch(rows[good], arrays)
        rejected = _malformed(self._target.columns, lines, rows, faults)
        return Block(records, rejected, records.num_rows + rejected.num_rows)

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
        bad = _first_bad_byte(data)
        if bad is not None:
            row = rows[np.searchsorted(lines.nexts, bad, side="right")]
            raise undecodable(
                self._path,
                "utf-8",
                self._offset + bad,
                data[bad],
                next_step=self._format.other_encoding,
                where=f"row {row}",
            )


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
    known = {
        "source_row": pa.array(rows[places], pa.int64()),
        "error_class": pa.repeat(MALFORMED, len(places)),
        "reason": pa.array(reasons, pa.string()),
        "raw_record": pa.array(lines.texts(places), pa.binary()).cast(pa.string()),
    }
    nulls, schema = pa.nulls(len(places), pa.string()), reject_schema(columns)
    arrays = [known.get(name, nulls) for name in schema.names]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)

"""CSV as a stream of Arrow blocks, in which a damaged record costs only itself.

Arrow, pandas and DuckDB let a quote that is never closed swallow the good records after it. Here
`csv_lines` looks at the lines first and sets the malformed ones aside; Arrow takes apart what is
left, where no quote can do harm any more.
"""

import codecs
import csv
import re
from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from io import BufferedReader, BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from etl.errors import ExtractionError, ValidationError
from etl.rejects import MALFORMED, reject_block, reject_schema
from etl.rules.blocks import Block
from etl.rules.checks import DECIMAL_COMMA
from etl.rules.texts import has_decimal_comma
from etl.sources.compressed import decompressed
from etl.sources.csv_header import (
    MOST_LINES_ABOVE,
    Header,
    HeaderOptions,
    comparable,
    find_header,
    listed,
)
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
    count_lines,
    find_lines,
    limited,
    sift,
    take_record,
    whole_lines,
    width_reason,
)
from etl.sources.csv_places import RowPlaces
from etl.sources.files import (
    UTF8,
    FileTrace,
    content_chunks,
    marked_encoding,
    open_source,
    size_of,
    text_chunks,
    undecodable,
)
from etl.sources.parts import part_chunks, refuse_another
from etl.sources.pieces import Cut
from etl.sources.several import SourceFile
from etl.sources.watch import Watch

# What is read at a time, and becomes a block. Larger ones are no faster (tried: 8 and 16 MiB), and
# of each a handful of copies is in memory.
MOST_READ_BYTES = 4 * 2**20

# Lines that a block holds at the most, or about. A malformed line passes through some Python
# objects, so a file of nothing but very short lines would otherwise need gigabytes for a block.
MOST_BLOCK_LINES = 200_000

# Lines in which the header is looked for; it may itself run over several.
HEADER_LINES = MOST_LINES_ABOVE + MOST_LINES


@dataclass(frozen=True)
class CsvFormat:
    """How a CSV file is written.

    Attributes:
        encoding: how the text is encoded; UTF-8 may start with a byte order mark.
        longest_line_bytes: the longest line that is accepted. So much is read at a time, but no
            more than `MOST_READ_BYTES`.
        set_encoding: how a person gives another encoding, to be followed by its name.
        header: what is known of the header.
        defaults: values of columns that the file may lack.
        numbers: columns of numbers whose decimal mark was not set.
        keep_extra: whether columns that are not wanted are read besides.
        refuse_extra: whether columns that are not wanted are an error.
    """

    encoding: str = "utf-8"
    longest_line_bytes: int = 16 * 2**20
    set_encoding: str = "set CSV_ENCODING to"
    header: HeaderOptions = field(default_factory=HeaderOptions)
    defaults: Mapping[str, str] = field(default_factory=dict)
    numbers: tuple[str, ...] = ()
    refuse_extra: bool = False
    keep_extra: bool = False

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
    trace: FileTrace | None = None,
    watch: Watch | None = None,
) -> Iterator[Block]:
    r"""Read a CSV file block by block.

    The file is opened when the first block is asked for, and closed at the end, at an error and
    when the iterator is closed. Compression, encoding, delimiter and header are found
    (`compressed`, `csv_header`). Every record is one row, a blank line is a row without a record,
    and so is one of nothing but delimiters, a header that comes again, and what sqlcmd writes
    besides; these are counted. Lines end with LF, CR LF or CR. A record that runs over more than
    `MOST_LINES` lines, or over several and turns out malformed, costs only its first line.

    Args:
        path: the file.
        columns: the source's columns, in the wanted order; others are left out.
        besides: further columns to read, which rejected records do not show.
        csv_format: how the file is written.
        trace: is filled with the size and the SHA-256 of the file.
        watch: notices what the file is like.

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
    target = Target(path, columns, besides, csv_format, watch or Watch()).with_kept()
    return _read_blocks(target, Reader(target, None), trace)


def read_csv_file(
    file: SourceFile,
    columns: tuple[str, ...],
    *,
    besides: tuple[str, ...] = (),
    csv_format: CsvFormat = PLAIN,
    watch: Watch | None = None,
) -> Iterator[Block]:
    """Read a CSV file of a source, or a part of it, see `read_csv_blocks`.

    Args:
        file: the file.
        columns: the source's columns.
        besides: further columns to read.
        csv_format: how the file is written.
        watch: notices what the file is like.
    """
    target = Target(file.path, columns, besides, csv_format, watch or Watch()).with_kept()
    if file.cut is not None:
        return _read_part(target, file.cut)
    return _read_blocks(target, Reader(target, None), file.trace)


def extra_names(
    path: Path, columns: tuple[str, ...], csv_format: CsvFormat = PLAIN
) -> tuple[str, ...]:
    """Return the names of the columns of a file that are not wanted; none before a record.

    Args:
        path: the file.
        columns: those that are wanted.
        csv_format: how the file is written.

    Raises:
        FileNotFoundError: there is no such file.
        ExtractionError: it cannot be read.
        ValidationError: it lacks a column that is wanted.
    """
    target = Target(path, columns, (), replace(csv_format, refuse_extra=False), Watch())
    with closing(_read_blocks(target, Reader(target, None), None)) as blocks:
        next(blocks, None)
    names = {comparable(name): name for name in target.watch.extra if _has_name(name)}
    repeated = Counter(map(comparable, target.watch.extra))
    return tuple(name for words, name in names.items() if repeated[words] == 1)


def _has_name(name: str) -> bool:
    return any(character.isalnum() for character in name)


def read_csv_rows(
    path: Path,
    columns: tuple[str, ...],
    only_rows: Ints,
    *,
    csv_format: CsvFormat = PLAIN,
    trace: FileTrace | None = None,
) -> Iterator[Block]:
    """Read single rows of a CSV file, see `read_csv_blocks`.

    Args:
        path: the file.
        columns: the source's columns.
        only_rows: the source rows that are wanted, in order; the others are found, but not taken
            apart, and malformed ones are left out.
        csv_format: how the file is written.
        trace: of an earlier reading, which may know where the rows are.
    """
    known = _at_places(path, columns, only_rows, trace.places) if trace else None
    if known is not None:
        return iter([known])
    target = Target(path, columns, (), csv_format, Watch())
    return _read_blocks(target, Reader(target, only_rows), None)


@dataclass
class CsvPlaces:
    """Where the rows of a file that was read to its end are, and its columns."""

    layout: Layout
    rows: RowPlaces


def _at_places(
    path: Path, columns: tuple[str, ...], only_rows: Ints, places: object
) -> Block | None:
    """The good records of some rows; None when they are not known, or no longer there."""
    if not isinstance(places, CsvPlaces):
        return None
    with open_source(path) as file:
        text = places.rows.texts(file, only_rows)
    if text is None or _first_bad_byte(text) is not None:
        return None
    layout = places.layout.narrowed(columns)
    try:
        arrays, wrong = layout.parse(text)
    except pa.ArrowInvalid:
        return None
    if wrong or any(len(each) != len(only_rows) for each in arrays):
        return None
    records = layout.batch(only_rows, arrays)
    return Block(records, reject_block(columns, []), records.num_rows)


def _read_blocks(
    target: "Target", reader: "Reader", trace: FileTrace | None
) -> Generator[Block, None, None]:
    path = target.path
    with open_source(path) as file:
        size = min(target.csv_format.longest_line_bytes, MOST_READ_BYTES)
        content = decompressed(file, path)
        if content is not file:
            target.watch.facts["compressed"] = None
        encoding = marked_encoding(content) or target.csv_format.encoding
        is_utf8 = encoding_of(content, target) in UTF8
        total = size_of(file) if is_utf8 and content is file else None
        if trace is not None and is_utf8 and content is file:
            reader.remember_places()
        pieces = content_chunks(file, content, path, size=size, trace=trace)
        for piece, last in pieces if is_utf8 else utf8_pieces(pieces, target, encoding):
            for part, is_last in _parts_of_few_lines(piece):
                block = reader.feed(part, last=last and is_last)
                if block is not None:
                    yield replace(block, most_to_come=total and reader.most_to_come(total))
        if trace is not None:
            trace.places = reader.places


def _read_part(target: "Target", cut: Cut) -> Iterator[Block]:
    """Read on behind the end of a part only as far as its last records need it to be judged."""
    reader = Reader(target, None, cut)
    target.watch.warnings.update(dict.fromkeys(cut.warnings))
    with open_source(target.path) as file:
        refuse_another(target.path, cut.signature)
        for piece, ends_part, last in _utf8_part(target, cut, file):
            for part, is_last in _parts_of_few_lines(piece):
                block = reader.feed(part, last=last and is_last)
                if block is not None:
                    yield block
            if ends_part:
                reader.end_here()
            if reader.is_done:
                return


def _utf8_part(
    target: "Target", cut: Cut, file: BufferedReader
) -> Iterator[tuple[bytes, bool, bool]]:
    """The bytes of a part and of what follows it, see `part_chunks`, as UTF-8."""
    known = cut.known if isinstance(cut.known, KnownHeader) else None
    encoding = known.encoding if known else marked_encoding(file) or target.csv_format.encoding
    size = min(target.csv_format.longest_line_bytes, MOST_READ_BYTES)
    chunks = part_chunks(file, target.path, cut, size=size)
    if _known_encoding(target.path, encoding, target.csv_format) in UTF8:
        yield from chunks
        return
    target = replace(target, watch=Watch()) if known else target  # the first part says it
    ends: list[bool] = []
    bare = _noting_ends(chunks, ends)
    for data, last in utf8_pieces(bare, target, encoding, start=cut.start):
        yield data, ends.pop(), last


def _noting_ends(
    chunks: Iterator[tuple[bytes, bool, bool]], ends: list[bool]
) -> Iterator[tuple[bytes, bool]]:
    for chunk, ends_part, last in chunks:
        ends.append(ends_part)
        yield chunk, last


def _parts_of_few_lines(piece: bytes) -> Iterator[tuple[bytes, bool]]:
    """A piece in parts of about `MOST_BLOCK_LINES` lines, and whether a part is the last one."""
    count = 1 + count_lines(piece) // MOST_BLOCK_LINES
    size = len(piece) // count + 1
    for start in range(0, len(piece) or 1, size):
        yield piece[start : start + size], start + size >= len(piece)


def utf8_pieces(
    pieces: Iterator[tuple[bytes, bool]], target: "Target", encoding: str, *, start: int = 0
) -> Iterator[tuple[bytes, bool]]:
    """Read another encoding as UTF-8; what is UTF-8 already is checked later, block by block.

    Args:
        pieces: bytes of the file, and whether they are the last ones.
        target: the file.
        encoding: as it is marked or given.
        start: where the bytes begin in the file.
    """
    path, csv_format = target.path, target.csv_format
    known = _known_encoding(path, encoding, csv_format)
    target.watch.facts[encoding.upper() if known.startswith("utf") else encoding] = None
    if not known.startswith("utf"):
        pieces = _watched_for_utf8(pieces, target, encoding)
    step = csv_format.other_encoding
    for text, last in text_chunks(pieces, path, encoding=encoding, next_step=step, start=start):
        yield _as_utf8(text, path, csv_format), last


def _watched_for_utf8(
    pieces: Iterator[tuple[bytes, bool]], target: "Target", encoding: str
) -> Iterator[tuple[bytes, bool]]:
    """Warn of a file that is read as another encoding, although all of it is UTF-8."""
    decoder, suspect, others = codecs.getincrementaldecoder("utf-8")(), True, False
    for piece, last in pieces:
        if suspect:
            others = others or not piece.isascii()
            try:
                decoder.decode(piece, final=last)
            except UnicodeDecodeError:
                suspect = False
        yield piece, last
    if suspect and others:
        target.watch.warnings[
            f"{target.path.name} is read as {encoding}, but all of it is valid UTF-8; "
            f"if names look wrong, {target.csv_format.set_encoding} utf-8"
        ] = None


def delimiter_byte(path: Path, delimiter: str) -> int:
    """Return the byte of a delimiter; one that separates nothing is refused."""
    if not delimiter.isascii() or delimiter in '"\r\n\0':
        what = f"{path}: {delimiter!r} cannot separate fields"
        raise ExtractionError(what, choices="one ASCII character that is no quote and no line end")
    return ord(delimiter)


def encoding_of(content: BufferedReader, target: "Target") -> str:
    """Return the name of the encoding of a file, as Python calls it.

    Args:
        content: what is inside the file, at its first byte.
        target: the file, and which encoding was given.

    Raises:
        ExtractionError: Python does not know it.
    """
    encoding = marked_encoding(content) or target.csv_format.encoding
    return _known_encoding(target.path, encoding, target.csv_format)


def _known_encoding(path: Path, encoding: str, csv_format: CsvFormat) -> str:
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
class Target:
    """What is wanted of which file."""

    path: Path
    columns: tuple[str, ...]
    besides: tuple[str, ...]
    csv_format: CsvFormat
    watch: Watch

    @property
    def header_options(self) -> HeaderOptions:
        """What is known of the header; a column with a default may be missing."""
        options = self.csv_format.header
        return replace(options, optional=options.optional | self.csv_format.defaults.keys())

    def with_kept(self) -> "Target":
        """Return the same with the columns that are kept besides, of this file."""
        if not self.csv_format.keep_extra:
            return self
        names = extra_names(self.path, self.names, self.csv_format)
        return replace(self, besides=(*self.besides, *names))

    def report(self, header: Header) -> None:
        """Say what the header is like, or refuse the columns that nobody wants."""
        if header.extra and self.csv_format.refuse_extra:
            what = f"{self.path}: the header has columns that the table lacks: "
            step = 'remove them, or set extra = "report" for this source'
            raise ValidationError(what + listed(header.extra), next_step=step)
        self.watch.facts.update(dict.fromkeys(header.findings))
        self.watch.extra += header.extra
        if header.extra:
            self.watch.facts[f"columns that are not loaded: {listed(header.extra)}"] = None

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are read."""
        return (*self.columns, *self.besides)


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
        bad = _first_bad_byte(data)
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

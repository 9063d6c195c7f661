"""CSV as a stream of Arrow blocks, in which a damaged record costs only itself.

Arrow, pandas and DuckDB let a quote that is never closed swallow the good records after it. Here
`csv_lines` looks at the lines first and sets the malformed ones aside; Arrow takes apart what is
left, where no quote can do harm any more.
"""

from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import replace
from io import BufferedReader
from pathlib import Path

import pyarrow as pa

from etl.rejects import reject_block
from etl.rules.blocks import Block
from etl.sources.compressed import decompressed
from etl.sources.csv_blocks import CsvPlaces, Reader
from etl.sources.csv_encoding import encoding_of, first_bad_byte, known_encoding, utf8_pieces
from etl.sources.csv_format import PLAIN, CsvFormat, Target
from etl.sources.csv_header import comparable
from etl.sources.csv_layout import KnownHeader
from etl.sources.csv_lines import Ints, count_lines
from etl.sources.file_text import UTF8, marked_encoding
from etl.sources.files import FileTrace, content_chunks, open_source, size_of
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
    target = with_kept(Target(path, columns, besides, csv_format, watch or Watch()))
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
    target = with_kept(Target(file.path, columns, besides, csv_format, watch or Watch()))
    if file.cut is not None:
        return _read_part(target, file.cut)
    return _read_blocks(target, Reader(target, None), file.trace)


def with_kept(target: Target) -> Target:
    """Return the same with the columns that are kept besides, of this file."""
    if not target.csv_format.keep_extra:
        return target
    names = extra_names(target.path, target.names, target.csv_format)
    return replace(target, besides=(*target.besides, *names))


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


def _at_places(
    path: Path, columns: tuple[str, ...], only_rows: Ints, places: object
) -> Block | None:
    """The good records of some rows; None when they are not known, or no longer there."""
    if not isinstance(places, CsvPlaces):
        return None
    with open_source(path) as file:
        text = places.rows.texts(file, only_rows)
    if text is None or first_bad_byte(text) is not None:
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
    target: Target, reader: Reader, trace: FileTrace | None
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


def _read_part(target: Target, cut: Cut) -> Iterator[Block]:
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
    target: Target, cut: Cut, file: BufferedReader
) -> Iterator[tuple[bytes, bool, bool]]:
    """The bytes of a part and of what follows it, see `part_chunks`, as UTF-8."""
    known = cut.known if isinstance(cut.known, KnownHeader) else None
    encoding = known.encoding if known else marked_encoding(file) or target.csv_format.encoding
    size = min(target.csv_format.longest_line_bytes, MOST_READ_BYTES)
    chunks = part_chunks(file, target.path, cut, size=size)
    if known_encoding(target.path, encoding, target.csv_format) in UTF8:
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

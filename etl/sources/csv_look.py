"""How a CSV file looks of which nothing is known: its encoding, its delimiter, its header.

Where the wanted names are known, `csv_header` finds the header by them. Here there are none yet:
the delimiter is the one that takes most lines apart alike, the header the first of those lines.
"""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from etl.errors import ConfigurationError, ETLError
from etl.sources.compressed import decompressed
from etl.sources.csv_header import DELIMITERS, SEPARATOR_LINE, HeaderOptions
from etl.sources.file_text import marked_encoding
from etl.sources.files import open_source

_LOOKED_AT_BYTES = 2**18
_LOOKED_AT_LINES = 200
_UTF8, _WESTERN = "utf-8", "cp1252"


@dataclass(frozen=True)
class CsvLook:
    """How a CSV file looks.

    Attributes:
        encoding: by its mark, else UTF-8 where that reads it, else cp1252.
        delimiter: between the fields.
        skip_rows: lines above the header.
        names: of its columns, as the file writes them.
    """

    encoding: str
    delimiter: str
    skip_rows: int
    names: tuple[str, ...]


def look_at_csv(path: Path, encoding: str = "", options: HeaderOptions | None = None) -> CsvLook:
    r"""Look at the beginning of a CSV file.

    Args:
        path: the file, perhaps compressed.
        encoding: if it is known.
        options: what is known of the header.

    Raises:
        ConfigurationError: it cannot be read, or holds nothing.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "kunden.csv")
        ...     _ = path.write_bytes("Kunden\n\nNr;Ort\n1;K\xf6ln\n".encode("cp1252"))
        ...     look_at_csv(path)
        CsvLook(encoding='cp1252', delimiter=';', skip_rows=2, names=('Nr', 'Ort'))
    """
    encoding, text = _beginning(path, encoding)
    lines = text.splitlines()[:_LOOKED_AT_LINES]
    options = options or HeaderOptions()
    candidates = list(_candidates(lines, options))
    if not candidates:
        raise ConfigurationError(f"{path} holds no header", next_step="declare its columns")
    best = max(candidates, key=lambda found: found[0])
    return CsvLook(encoding, *best[1:])


def read_beginning(path: Path) -> tuple[bytes, str]:
    """Return the first bytes of what is inside a file, and the encoding that they are marked with.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        with open_source(path) as file:
            content = decompressed(file, path)
            marked = marked_encoding(content)
            return content.read(_LOOKED_AT_BYTES), marked
    except (ETLError, OSError) as error:
        raise ConfigurationError(f"{path} cannot be looked at: {error}") from error


def _beginning(path: Path, known: str) -> tuple[str, str]:
    data, marked = read_beginning(path)
    encoding = marked or known or (_UTF8 if _is_utf8(data) else _WESTERN)
    return encoding, data.decode(encoding, "replace").removeprefix("\ufeff")


def _is_utf8(data: bytes) -> bool:
    try:
        data[: data.rfind(b"\n") + 1 or None].decode(_UTF8)
    except UnicodeDecodeError:
        return False
    return True


# How many lines a delimiter takes apart alike and into how many fields; then what a look has.
_Candidate = tuple[tuple[int, int], str, int, tuple[str, ...]]


def _candidates(lines: Sequence[str], options: HeaderOptions) -> Iterator[_Candidate]:
    named = SEPARATOR_LINE.fullmatch(lines[0].strip()) if lines else None
    given = options.delimiter or (named[1] if named else "")
    first = options.skip_rows if options.skip_rows is not None else int(named is not None)
    for delimiter in [given] if given else DELIMITERS:
        records = [(line, cells) for line, cells in _records(lines, delimiter, first) if any(cells)]
        widths = Counter(len(cells) for _, cells in records)
        if not widths:
            continue
        width, count = max(widths.items(), key=lambda found: (found[0] > 1, found[1], found[0]))
        if options.skip_rows is not None:
            width, count = len(records[0][1]), 1
        line, cells = next(record for record in records if len(record[1]) == width)
        yield (count if width > 1 else 0, width), delimiter, line, tuple(map(str.strip, cells))


def _records(lines: Sequence[str], delimiter: str, first: int) -> Iterator[tuple[int, list[str]]]:
    """Each record with the number of its first line."""
    reader = csv.reader(iter(lines[first:]), delimiter=delimiter)
    line = first
    try:
        for cells in reader:
            yield line, cells
            line = first + reader.line_num
    except csv.Error:
        return

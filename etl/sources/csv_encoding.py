"""The bytes of a CSV file as UTF-8, in whatever encoding it is written."""

import codecs
from collections.abc import Iterator
from io import BufferedReader, BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pyarrow as pa

from etl.errors import ExtractionError
from etl.sources.csv_format import CsvFormat, Target
from etl.sources.file_text import marked_encoding, text_chunks


def utf8_pieces(
    pieces: Iterator[tuple[bytes, bool]], target: Target, encoding: str, *, start: int = 0
) -> Iterator[tuple[bytes, bool]]:
    """Read another encoding as UTF-8; what is UTF-8 already is checked later, block by block.

    Args:
        pieces: bytes of the file, and whether they are the last ones.
        target: the file.
        encoding: as it is marked or given.
        start: where the bytes begin in the file.
    """
    path, csv_format = target.path, target.csv_format
    known = known_encoding(path, encoding, csv_format)
    target.watch.facts[encoding.upper() if known.startswith("utf") else encoding] = None
    if not known.startswith("utf"):
        pieces = _watched_for_utf8(pieces, target, encoding)
    step = csv_format.other_encoding
    for text, last in text_chunks(pieces, path, encoding=encoding, next_step=step, start=start):
        yield _as_utf8(text, path, csv_format), last


def _watched_for_utf8(
    pieces: Iterator[tuple[bytes, bool]], target: Target, encoding: str
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


def encoding_of(content: BufferedReader, target: Target) -> str:
    """Return the name of the encoding of a file, as Python calls it.

    Args:
        content: what is inside the file, at its first byte.
        target: the file, and which encoding was given.

    Raises:
        ExtractionError: Python does not know it.
    """
    encoding = marked_encoding(content) or target.csv_format.encoding
    return known_encoding(target.path, encoding, target.csv_format)


def known_encoding(path: Path, encoding: str, csv_format: CsvFormat) -> str:
    """Return the name of an encoding, as Python calls it.

    Raises:
        ExtractionError: Python does not know it.
    """
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


def first_bad_byte(data: bytes) -> int | None:
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

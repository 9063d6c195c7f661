"""The text of a source file: the encoding that it marks, and its bytes decoded piece by piece."""

import codecs
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from etl.errors import ExtractionError

# The longer marks first: the one of UTF-16 is the beginning of that of UTF-32.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8"),
)
UTF8 = frozenset({"utf-8", "utf-8-sig"})  # as Python calls them
_NARROW = (True, False, True, False)  # which bytes of two ASCII characters in UTF-16 are not 0


def marked_encoding(file: BufferedReader) -> str:
    """Find out the encoding from the start of a file, where that leaves no doubt.

    That is a byte order mark, or two ASCII characters as UTF-16 writes them. Nothing is consumed.

    Args:
        file: a file at its first byte.

    Returns:
        `utf-8`, `utf-16`, `utf-16-le`, `utf-16-be`, `utf-32`, or empty when that is open.
    """
    start = file.peek(4)[:4]
    marked = next((name for mark, name in _MARKS if start.startswith(mark)), "")
    if marked or len(start) < len(_NARROW):
        return marked
    halves: dict[tuple[bool, ...], str] = {_NARROW: "utf-16-le", _NARROW[::-1]: "utf-16-be"}
    return halves.get(tuple(bool(byte) for byte in start), "")


def text_chunks(
    chunks: Iterator[tuple[bytes, bool]],
    path: Path,
    *,
    encoding: str,
    next_step: str,
    start: int = 0,
) -> Iterator[tuple[str, bool]]:
    """Decode pieces of a file; a character may be cut by the border between two of them.

    Args:
        chunks: what `byte_chunks` yields.
        path: the file's name, for messages.
        encoding: a text encoding that Python knows.
        next_step: what to do when a byte does not decode.
        start: where the first of them begins in the file, in bytes.

    Yields:
        Each piece as text, and whether it is the last one; any may be empty.

    Raises:
        ExtractionError: a byte does not decode.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    read = start
    for chunk, last in chunks:
        read += len(chunk)
        try:
            text = decoder.decode(chunk, final=last)
        except UnicodeDecodeError as error:
            # The decoder puts kept bytes before the chunk, so count from the end that both share.
            offset = read - len(error.object) + error.start
            found = error.object[error.start]
            raise undecodable(path, encoding, offset, found, next_step=next_step) from error
        except UnicodeError as error:
            raise ExtractionError(f"{path}: {error}", next_step=next_step) from error
        yield text, last


def undecodable(  # the four facts of the message, and what to do
    path: Path, encoding: str, offset: int, found: int, *, next_step: str, where: str = ""
) -> ExtractionError:
    """Describe a byte that is no text in the encoding.

    Args:
        path: the file.
        encoding: the encoding that was tried.
        offset: the byte's place in the file, from 0.
        found: the byte.
        next_step: what to do about it.
        where: the place in the reader's own terms, such as ``row 7``.

    Returns:
        The error to raise.

    Example:
        >>> print(undecodable(Path("a.csv"), "utf-8", 12, 0xE9, next_step="save it as UTF-8"))
        a.csv: byte 0xE9 at offset 12 is no utf-8 text. Next: save it as UTF-8.
    """
    place = f"offset {offset}" + (f" ({where})" if where else "")
    what = f"{path}: byte 0x{found:02X} at {place} is no {encoding} text"
    return ExtractionError(what, next_step=next_step)

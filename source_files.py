"""Opening and decoding a source file: the checks and the messages that every file reader shares."""

import codecs
import os
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from errors import ExtractionError

# The longer marks first: the one of UTF-16 is the beginning of that of UTF-32.
_WIDE_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def open_source(path: Path) -> BufferedReader:
    """Open a source file for reading bytes.

    Args:
        path: the file.

    Returns:
        The open file; the caller closes it.

    Raises:
        FileNotFoundError: there is no such file.
        ExtractionError: it is a directory, or must not or cannot be opened.

    Example:
        >>> open_source(Path("no_such_folder/customers.csv"))
        Traceback (most recent call last):
        FileNotFoundError: no file no_such_folder/customers.csv. Next: put it there ...
    """
    try:
        return path.open("rb")
    except FileNotFoundError:
        what = f"no file {path}. Next: put it there or correct the path."
        raise FileNotFoundError(what) from None
    except OSError as error:
        raise _cannot_open(path, error) from error


def _cannot_open(path: Path, error: OSError) -> ExtractionError:
    if os.path.isdir(path):  # noqa: PTH112 Path.is_dir raises where a folder may not be entered
        what, step = f"{path} is a directory, a file is wanted", "name the file inside it"
    elif isinstance(error, PermissionError):
        what = f"{path} may not be read by this user (permission denied)"
        step = "give the user that runs the pipeline the right to read it"
    else:
        what, step = f"{path} cannot be opened: {error.strerror}", "check the path"
    return ExtractionError(what, next_step=step)


def wide_encoding(file: BufferedReader) -> str:
    """Tell UTF-16 and UTF-32 by the mark at the start of a file; nothing is consumed.

    Args:
        file: a file at its first byte.

    Returns:
        ``"utf-16"``, ``"utf-32"``, or ``""`` when the file starts with neither mark.
    """
    start = file.peek(4)
    return next((name for mark, name in _WIDE_MARKS if start.startswith(mark)), "")


def byte_chunks(file: BufferedReader, path: Path, *, size: int) -> Iterator[tuple[bytes, bool]]:
    """Read a file piece by piece.

    Args:
        file: the open file.
        path: its name, for messages.
        size: bytes to read at a time.

    Yields:
        Each piece, and whether it is the last one; the last one may be empty.

    Raises:
        ExtractionError: the medium fails while it is read.
    """
    last = False
    while not last:
        try:
            chunk = file.read(size)
        except OSError as error:
            what = f"{path} can be opened but not read: {error.strerror}"
            raise ExtractionError(what, next_step="check the disk or the share") from error
        last = len(chunk) < size  # a buffered file comes up short only at its end
        yield chunk, last


def text_chunks(
    chunks: Iterator[tuple[bytes, bool]], path: Path, *, encoding: str, next_step: str
) -> Iterator[tuple[str, bool]]:
    """Decode pieces of a file; a character may be cut by the border between two of them.

    Args:
        chunks: what `byte_chunks` yields.
        path: the file's name, for messages.
        encoding: a text encoding that Python knows.
        next_step: what to do when a byte does not decode.

    Yields:
        Each piece as text, and whether it is the last one; any may be empty.

    Raises:
        ExtractionError: a byte does not decode.
    """
    decoder = codecs.getincrementaldecoder(encoding)()
    read = 0
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

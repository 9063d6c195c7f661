"""Reading a part of a file, perhaps on another machine than the one that has cut it."""

from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path

from etl.errors import ExtractionError
from etl.sources.file_signature import FileSignature, file_signature
from etl.sources.files import read_some
from etl.sources.pieces import Cut

# What is read at a time behind the end of a part.
_AHEAD_BYTES = 2**16


def part_chunks(
    file: BufferedReader, path: Path, cut: Cut, *, size: int
) -> Iterator[tuple[bytes, bool, bool]]:
    """Read a part of a file piece by piece, and what follows it as long as more is asked for.

    Args:
        file: the open file.
        path: its name, for messages.
        cut: the part.
        size: bytes to read at a time.

    Yields:
        Each piece, whether it ends the part, and whether it ends the file.

    Raises:
        ExtractionError: the medium fails while it is read.
    """
    file.seek(cut.start)
    at, last = cut.start, False
    while not last:
        wanted = min(size, cut.end - at) if at < cut.end else _AHEAD_BYTES
        chunk = read_some(file, path, wanted)
        at += len(chunk)
        last = at >= cut.signature.size or not chunk
        yield chunk, at == cut.end, last


def part_alone(
    file: BufferedReader, path: Path, cut: Cut, *, size: int
) -> Iterator[tuple[bytes, bool]]:
    """Read a part of a file piece by piece, see `part_chunks`.

    Yields:
        Each piece, and whether it is the last one of the part.
    """
    for chunk, ends_part, last in part_chunks(file, path, cut, size=size):
        yield chunk, ends_part or last
        if ends_part:
            return


def refuse_another(path: Path, before: FileSignature) -> None:
    """Refuse a file that is not the one that was looked at before.

    Raises:
        FileNotFoundError: there is no such file.
        ExtractionError: it has another size, or was written at another time.
    """
    now = file_signature(path)
    if (before.size, before.mtime_ns, before.tag) != (now.size, now.mtime_ns, now.tag):
        raise ExtractionError(
            f"{path} changed since it was cut into pieces: it was {before}, now {now}",
            next_step="run again once it is written; every machine must see the same file",
        )

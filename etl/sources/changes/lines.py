"""The lines of a file, compressed or not, one by one and none of them too long for memory."""

from collections.abc import Iterator
from pathlib import Path

from etl.sources.compressed import decompressed
from etl.sources.files import FileTrace, content_chunks, open_source

MOST_LINE_BYTES = 16 * 2**20
_CHUNK_BYTES = 2**20
_MARK = b"\xef\xbb\xbf"


def read_lines(path: Path, trace: FileTrace | None = None) -> Iterator[tuple[int, bytes | None]]:
    r"""Read the lines of a file.

    Args:
        path: the file.
        trace: is filled with what was read.

    Yields:
        The number of each line, from 1, and its bytes; None where there are too many of them.

    Raises:
        FileNotFoundError: there is no such file.
        ExtractionError: it cannot be read, or is damaged.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "events.jsonl")
        ...     _ = path.write_bytes(b"1\n\n2")
        ...     list(read_lines(path))
        [(1, b'1'), (2, b''), (3, b'2')]
    """
    with open_source(path) as file:
        content = decompressed(file, path)
        rest, number, skipping = b"", 0, False
        for chunk, last in content_chunks(file, content, path, size=_CHUNK_BYTES, trace=trace):
            *lines, rest = (rest + chunk).split(b"\n")
            if last and (rest or skipping):
                lines.append(rest)
            for line in lines:
                number += 1
                yield number, None if skipping else _plain(line, number)
                skipping = False
            if len(rest) > MOST_LINE_BYTES:
                rest, skipping = b"", True


def _plain(line: bytes, number: int) -> bytes:
    return line.removeprefix(_MARK if number == 1 else b"").strip()

"""Cutting JSON Lines between records; any other JSON document is one part.

In JSON two values without a comma between them stand at the top level, and no text holds a line
break. So where every line begins with a brace and ends with one, records begin where lines do.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO

from etl.errors import ExtractionError, ValidationError
from etl.sources.compressed import decompressed
from etl.sources.file_signature import FileSignature, file_signature
from etl.sources.file_text import marked_encoding
from etl.sources.files import content_chunks, open_source
from etl.sources.json_reader import JsonShape, count_values, holds_json_lines
from etl.sources.pieces import Cut
from etl.sources.several import SourceFile

_READ_BYTES = 4 * 2**20
# A record is given up at a quarter of it.
_MOST_LINE_BYTES = 64 * 2**20
_SEVERAL = re.compile(rb"\}[ \t\r]*\{")
_SPACE = b" \t\r\n"


def cut_json_lines(
    file: SourceFile,
    target_bytes: int,
    shape: JsonShape,
    members: dict[str, object] | None = None,
) -> Sequence[Cut]:
    """Cut a file of JSON Lines into parts, and fill its trace.

    Args:
        file: the file.
        target_bytes: about how many bytes a part has; it is never less.
        shape: what is known of the document.
        members: of the first record, see `read_json_items`.

    Returns:
        The parts in order; none where it cannot be cut: it is small, compressed, another document,
        has records over several lines or a fault, which reading it reports.
    """
    with suppress(ExtractionError, ValidationError, FileNotFoundError):
        signature = file_signature(file.path)
        if signature.size > target_bytes and holds_json_lines(file.path, shape, members):
            return _cut(file, target_bytes, signature)
    return ()


def _cut(file: SourceFile, target_bytes: int, signature: FileSignature) -> Sequence[Cut]:
    with open_source(file.path) as opened:
        content = decompressed(opened, file.path)
        if content is not opened or marked_encoding(content) not in ("", "utf-8"):
            return ()
        cutter = _Cutter(target_bytes)
        for chunk, last in content_chunks(
            opened, content, file.path, size=_READ_BYTES, trace=file.trace
        ):
            if not cutter.feed(chunk, last=last):
                return ()
    return tuple(cutter.cuts(signature))


@dataclass(frozen=True)
class _Place:
    """Where a part begins: at which byte, with which record, on which line."""

    offset: int = 0
    record: int = 1
    line: int = 1


@dataclass
class _Cutter:
    size: int
    places: list[_Place] = field(default_factory=lambda: [_Place()])
    at: _Place = field(default_factory=_Place)
    rest: bytes = b""

    def feed(self, chunk: bytes, *, last: bool) -> bool:
        """Take the next bytes of the file; False when it cannot be cut."""
        data = self.rest + chunk
        end = len(data) if last else data.rfind(b"\n") + 1
        self.rest = data[end:]
        return len(self.rest) <= _MOST_LINE_BYTES and self._take(data[:end])

    def cuts(self, signature: FileSignature) -> Iterator[Cut]:
        """Yield the parts, once all of the file was read; none if there is but one."""
        ends = [*self.places[1:], self.at]
        for place, end in zip(self.places, ends, strict=True) if len(ends) > 1 else ():
            yield Cut(
                place.offset, end.offset, place.record, end.record - place.record, signature,
                place.line,
            )  # fmt: skip

    def _take(self, text: bytes) -> bool:
        """Count the records of whole lines, and note where parts begin."""
        for line in BytesIO(text):
            if self.at.offset - self.places[-1].offset >= self.size:
                self.places.append(self.at)
            records = _records_in(line if self.at.offset else line.removeprefix(BOM_UTF8))
            if records is None:
                return False
            at = self.at
            self.at = _Place(at.offset + len(line), at.record + records, at.line + 1)
        return True


def _records_in(line: bytes) -> int | None:
    """How many records a line holds; None when it does not hold whole ones."""
    bare = line.strip(_SPACE)
    if not bare:
        return 0
    if not (bare.startswith(b"{") and bare.endswith(b"}")):
        return None
    return count_values(bare) if _SEVERAL.search(bare) else 1

"""Where in the bytes of a file a place of its text is, if its encoding tells."""

import codecs
import re
from dataclasses import dataclass

import numpy as np

from etl.sources.file_text import UTF8

# Each of their bytes is one character.
_CODE_PAGES = re.compile(r"ascii|cp(125\d|437|85\d|86\d)|iso8859-\d+|koi8-\w|mac-\w+")
_UNIT_BYTES = {"utf-16": 2, "utf-32": 4}
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
# How UTF-8 marks a byte that goes on with a character, and one that begins one of four bytes.
_LEADING_BITS, _CONTINUES, _BEGINS_FOUR = 0xC0, 0x80, 0xF0


@dataclass(frozen=True)
class FileEncoding:
    """The encoding of a file, by which a place in its text is one in its bytes.

    Attributes:
        of_parts: as it is called within the file, where no mark says how bytes are ordered.
        mark: bytes of that mark.
        unit: bytes of its smallest part.
    """

    of_parts: str
    mark: int = 0
    unit: int = 1

    @property
    def is_utf8(self) -> bool:
        """Whether its text is UTF-8 as it is."""
        return self.of_parts in UTF8

    def size_of(self, text: bytes) -> int:
        r"""Return how many bytes of the file some text takes.

        Args:
            text: as UTF-8.

        Example:
            >>> FileEncoding("utf-16-le", unit=2).size_of("\U0001f600".encode())
            4
        """
        if self.is_utf8:
            return len(text)
        codes = np.frombuffer(text, np.uint8)
        units = int(np.count_nonzero((codes & _LEADING_BITS) != _CONTINUES))
        if self.unit == _UNIT_BYTES["utf-16"]:  # which has two for what UTF-8 writes as four
            units += int(np.count_nonzero(codes >= _BEGINS_FOUR))
        return units * self.unit


def file_encoding(name: str, start: bytes) -> FileEncoding | None:
    r"""Return the encoding of a file; None when places in its text do not tell places in it.

    Args:
        name: as Python calls it.
        start: the first four bytes of the file.

    Example:
        >>> file_encoding("utf-16", b"\xfe\xff\0a").of_parts
        'utf-16-be'
        >>> file_encoding("shift_jis", b"a,b\n")
    """
    if name in UTF8 or _CODE_PAGES.fullmatch(name):
        return FileEncoding(name)
    unit = _UNIT_BYTES.get(name[:6])
    if unit is None:
        return None
    if name not in _UNIT_BYTES:
        return FileEncoding(name, 0, unit)
    orders = (order for mark, order in _MARKS if start.startswith(mark) and name in order)
    order = next(orders, None)
    return FileEncoding(order, unit, unit) if order else None

"""A window that slides over the text of a JSON file, out of which values are taken one by one.

Why not ijson: measured, 100,000 nested brackets make its prefixes grow to tens of gigabytes until
the process is killed; it refuses the NaN that Python itself writes; and its errors name no line.
"""

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path

from etl.errors import ExtractionError

# A longer value is given up, like a CSV line: it must be in memory whole, several times over while
# it is decoded. A product has some hundreds of characters; this leaves room for embedded pictures.
MOST_VALUE_CHARS = 16 * 2**20
# The longest that can be cut by the end of the window and then looks wrong rather than
# unfinished: \ud83d\ude00, half of it gone.
_CUT_MARGIN = 12
# A number may go on after the window: of "1.5e+7" its end may hide all from the point or the e.
_NUMBER_MARGIN = 2
_WHITE_SPACE = " \t\n\r"
_NO_SPACE = re.compile(r"[^ \t\n\r]")
_NUMBER_STARTS = frozenset("-0123456789")
_UNTERMINATED = "unterminated string"  # how the decoder calls a text without an end, anywhere


def _integer(digits: str) -> int | Decimal:
    try:
        return int(digits)
    except ValueError:  # Python turns no more than 4,300 digits into an int
        return Decimal(digits)


def _fraction(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent of 19 digits or more
        return text


_DECODER = json.JSONDecoder(parse_float=_fraction, parse_int=_integer, parse_constant=str)


class TextWindow:
    """A window that slides over the text of a file.

    Args:
        path: the file, for messages.
        chunks: its text.
        line: number of the first one.
    """

    def __init__(self, path: Path, chunks: Iterator[str], *, line: int = 1) -> None:
        self.path = path
        # the key of the array while in it, and the items read: for messages
        self.array: str | None = None
        self.items = 0
        self._chunks = chunks
        self._text = ""
        self._at = 0
        self._line, self._column = line, 1  # of the first character of `_text`

    def drop_byte_order_mark(self) -> None:
        """Leave out the mark with which a text may begin."""
        if self._more(1) and self._text.startswith("\ufeff"):
            self._at = 1

    def peek(self) -> str:
        """Find the next character that is no white space, without taking it; "" at the end."""
        while True:
            match = _NO_SPACE.search(self._text, self._at)
            if match:
                self._at = match.start()
                return match[0]
            self._at = len(self._text)
            if not self._more(1):
                return ""

    def take(self, choices: str) -> str:
        """Take the next character, which must be one of the choices."""
        character = self.peek()
        if not character or character not in choices:
            raise self.broken("expecting " + " or ".join(repr(choice) for choice in choices))
        self._at += 1
        return character

    def value(self) -> object:
        """Take the next value."""
        may_go_on = self.peek() in _NUMBER_STARTS
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except RecursionError:
                raise self.broken("nested too deeply") from None
            except json.JSONDecodeError as error:
                if self._may_be_cut(error) and self._double():
                    continue
                raise self.broken(error.msg.lower(), error.pos) from None
            if not (may_go_on and end + _NUMBER_MARGIN >= len(self._text) and self._double()):
                self._at = end
                return value

    def broken(self, fault: str, at: int | None = None) -> ExtractionError:
        """Describe a fault of the file, by default at the next character."""
        at = self._at if at is None else at
        line, column = self._place(at)
        inside = "" if self.array is None else f", in {self._item()}"
        step = "correct the file there"
        if not self._text[at:].strip(_WHITE_SPACE) or fault.startswith(_UNTERMINATED):
            fault, step = f"the file ends too early, {fault}", "check that the export has finished"
        what = f"{self.path}: line {line}, column {column}{inside}: {fault}"
        return ExtractionError(f"{what} ({self.items} items read before)", next_step=step)

    def _item(self) -> str:
        of = f" of {self.array!r}" if self.array else ""
        return f"item {self.items + 1}{of}"

    def _may_be_cut(self, error: json.JSONDecodeError) -> bool:
        near_end = error.pos + _CUT_MARGIN >= len(self._text)
        return near_end or error.msg.lower().startswith(_UNTERMINATED)

    def _double(self) -> bool:
        """Read as much again as there is, so that a large item is not decoded too often."""
        if len(self._text) - self._at >= MOST_VALUE_CHARS:
            raise self._too_long()
        return self._more(len(self._text) - self._at)

    def _too_long(self) -> ExtractionError:
        line, column = self._place(self._at)
        inside = "a value" if self.array is None else self._item()
        return ExtractionError(
            f"{self.path}: line {line}, column {column}: {inside} is longer than "
            f"{MOST_VALUE_CHARS:,} characters ({self.items} items read before)",
            next_step="check what wrote it; a quote or bracket may be missing",
        )

    def _more(self, least: int) -> bool:
        """Let go of what was taken and read on, at least so many characters; False at the end."""
        pieces, read = [self._text[self._at :]], 0
        for text in self._chunks:
            pieces.append(text)
            read += len(text)
            if read >= least:
                break
        if read:  # else all places in the window stay as they are
            self._line, self._column = self._place(self._at)
            self._text, self._at = "".join(pieces), 0
        return read > 0

    def _place(self, at: int) -> tuple[int, int]:
        """Line and column, from 1, of a place in the window."""
        before = self._text.rfind("\n", 0, at)
        column = self._column + at if before < 0 else at - before
        return self._line + self._text.count("\n", 0, at), column


def keys_of(window: TextWindow) -> Iterator[str]:
    """Walk over the members of an object whose brace is taken; the caller takes each value."""
    if window.peek() == "}":
        window.take("}")
        return
    closing = ","
    while closing == ",":
        if window.peek() != '"':
            raise window.broken("expecting a key in double quotes")
        key = window.value()
        window.take(":")
        yield str(key)
        closing = window.take(",}")


def elements_of(window: TextWindow) -> Iterator[object]:
    """Walk over the elements of an array whose bracket is taken."""
    if window.peek() == "]":
        window.take("]")
        return
    closing = ","
    while closing == ",":
        value = window.value()
        closing = window.take(",]")  # before that is seen, the end of the file may have cut it
        yield value

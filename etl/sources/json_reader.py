"""The items of a large array in a JSON file, one by one, with the standard library's decoder.

Why not ijson: measured, 100,000 nested brackets make its prefixes grow to tens of gigabytes until
the process is killed; it refuses the NaN that Python itself writes; and its errors name no line.
Here a window of text slides over the file and `json.JSONDecoder.raw_decode` takes one item after
the other out of it.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path

from etl.errors import ExtractionError, ValidationError
from etl.sources.files import FileTrace, byte_chunks, open_source, text_chunks, wide_encoding

# A longer value is given up, like a CSV line: it must be in memory whole, several times over while
# it is decoded. A product has some hundreds of characters; this leaves room for embedded pictures.
MOST_VALUE_CHARS = 16 * 2**20

_SAVE_AS_UTF8 = "save the file as UTF-8"
_SHOWN_KEYS, _SHOWN_CHARACTERS = 10, 40  # how much of the top level a message lists
# The longest that can be cut by the end of the window and then looks wrong rather than
# unfinished: \ud83d\ude00, half of it gone.
_CUT_MARGIN = 12
# A number may go on after the window: of "1.5e+7" its end may hide all from the point or the e.
_NUMBER_MARGIN = 2
_WHITE_SPACE = " \t\n\r"
_NO_SPACE = re.compile(r"[^ \t\n\r]")
_NUMBER_STARTS = frozenset("-0123456789")
_UNTERMINATED = "unterminated string"  # how the decoder calls a text without an end, anywhere

_KINDS = {"[": "an array", '"': "a text", "t": "true", "f": "false", "n": "null", "{": "an object"}
_KINDS |= dict.fromkeys("-0123456789", "a number") | {"N": "NaN", "I": "Infinity"}


@dataclass(frozen=True, slots=True)
class JsonItem:
    """One item of the array.

    Args:
        position: its place among the items, from 1.
        value: what `json.loads` makes of it, but numbers with a fraction or an exponent are
            `Decimal`, and NaN, Infinity and -Infinity are the text that stands in the file.
    """

    position: int
    value: object


def read_json_items(
    path: Path,
    array_key: str,
    *,
    chunk_chars: int = 2**20,
    trace: FileTrace | None = None,
    members: dict[str, object] | None = None,
) -> Iterator[JsonItem]:
    """Read the items of one top-level array of a JSON object, without holding the file.

    Other keys may stand before and after; their values are checked and dropped, member by member.
    If the key is repeated, the items of all its arrays come, counted on. The file is opened when
    the first item is asked for, and closed at the end, at an error and when the iterator is
    closed. An item comes only once the comma or bracket after it has been seen, but a fault
    further on is found only when the reading gets there.

    Args:
        path: the file, UTF-8 with or without a byte order mark.
        array_key: the key of the array.
        chunk_chars: how much is read at a time, at most this many characters.
        trace: is told the size and the SHA-256 of the file.
        members: by `key.name`, members of other top-level objects; those that are found replace
            the values there.

    Yields:
        The items, in the order of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ExtractionError: the file cannot be opened or read, is no UTF-8 or no JSON, ends too
            early, nests too deeply, holds a value longer than `MOST_VALUE_CHARS`, or changed
            while it was read.
        ValidationError: the file is empty, its top level is no object, or the key is missing or
            holds no array.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "products.json")
        ...     _ = path.write_text('{"version": 1, "products": [{"price": 1.10}, NaN]}')
        ...     [item.value for item in read_json_items(path, "products")]
        [{'price': Decimal('1.10')}, 'NaN']
    """
    with open_source(path) as file:
        wide = wide_encoding(file)
        if wide:
            what = f"{path} starts with the byte order mark of {wide}, UTF-8 is wanted"
            raise ExtractionError(what, next_step=_SAVE_AS_UTF8)
        chunks = byte_chunks(file, path, size=chunk_chars, trace=trace)
        texts = text_chunks(chunks, path, encoding="utf-8", next_step=_SAVE_AS_UTF8)
        window = _Window(path, (text for text, _ in texts))
        yield from _items(window, array_key, {} if members is None else members)


def _items(window: "_Window", array_key: str, members: dict[str, object]) -> Iterator[JsonItem]:
    _enter_object(window)
    others: list[str] = []
    found = False
    for key in _keys(window):
        if key == array_key:
            found = True
            _enter_array(window, array_key)
            for value in _elements(window):
                window.items += 1
                yield JsonItem(window.items, value)
            window.array = ""
        else:
            if len(others) <= _SHOWN_KEYS:
                others.append(key)
            _skip_value(window, key, members)
    if window.peek():
        raise window.broken("more text after the end of the object")
    if not found:
        raise _key_missing(window.path, array_key, others)


def _enter_object(window: "_Window") -> None:
    window.drop_byte_order_mark()
    start = window.peek()
    if not start:
        what = f"{window.path} is empty, a JSON object is wanted"
        raise ValidationError(what, next_step="check the export that writes it")
    if start != "{":
        found = _KINDS.get(start, f"text that starts with {start!r}")
        what = f"the top level of {window.path} is {found}, a JSON object is wanted"
        raise ValidationError(what, next_step="check that it is the right file")
    window.take("{")


def _enter_array(window: "_Window", array_key: str) -> None:
    start = window.peek()
    if start in _KINDS and start != "[":
        what = f"{window.path}: {array_key!r} is {_KINDS[start]}, an array is wanted"
        raise ValidationError(what, next_step="check the export that writes it")
    window.take("[")
    window.array = array_key


def _key_missing(path: Path, array_key: str, others: list[str]) -> ValidationError:
    listed = ", ".join(repr(key[:_SHOWN_CHARACTERS]) for key in others[:_SHOWN_KEYS])
    if len(others) > _SHOWN_KEYS:
        listed += " and more"
    what = f"{path} has no top-level key {array_key!r}, found {listed or 'no keys at all'}"
    return ValidationError(what, next_step="check the export that writes it")


def _keys(window: "_Window") -> Iterator[str]:
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


def _elements(window: "_Window") -> Iterator[object]:
    """Walk over the elements of an array whose bracket is taken."""
    if window.peek() == "]":
        window.take("]")
        return
    closing = ","
    while closing == ",":
        value = window.value()
        closing = window.take(",]")  # before that is seen, the end of the file may have cut it
        yield value


def _skip_value(window: "_Window", key: str, members: dict[str, object]) -> None:
    start = window.peek()
    if start == "[":
        window.take("[")
        for _ in _elements(window):
            pass
    elif start == "{":
        window.take("{")
        for name in _keys(window):
            value = window.value()
            if (full_name := f"{key}.{name}") in members:
                members[full_name] = value
    else:
        window.value()


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


class _Window:
    """A window that slides over the text of a file.

    Args:
        path: the file, for messages.
        chunks: its text.
    """

    def __init__(self, path: Path, chunks: Iterator[str]) -> None:
        self.path = path
        self.array = ""  # the key of the array while in it, and the items read: for messages
        self.items = 0
        self._chunks = chunks
        self._text = ""
        self._at = 0
        self._line, self._column = 1, 1  # of the first character of `_text`

    def drop_byte_order_mark(self) -> None:
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
        inside = f", in item {self.items + 1} of {self.array!r}" if self.array else ""
        step = "correct the file there"
        if not self._text[at:].strip(_WHITE_SPACE) or fault.startswith(_UNTERMINATED):
            fault, step = f"the file ends too early, {fault}", "check that the export has finished"
        what = f"{self.path}: line {line}, column {column}{inside}: {fault}"
        return ExtractionError(f"{what} ({self.items} items read before)", next_step=step)

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
        inside = f"item {self.items + 1} of {self.array!r}" if self.array else "a value"
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

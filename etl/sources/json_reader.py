"""The items of a large array in a JSON file, one by one, with the standard library's decoder.

Why not ijson: measured, 100,000 nested brackets make its prefixes grow to tens of gigabytes until
the process is killed; it refuses the NaN that Python itself writes; and its errors name no line.
Here a window of text slides over the file and `json.JSONDecoder.raw_decode` takes one item after
the other out of it.
"""

import json
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path

from etl.errors import ExtractionError, ValidationError
from etl.sources.compressed import decompressed
from etl.sources.files import FileTrace, content_chunks, marked_encoding, open_source, text_chunks
from etl.sources.parts import part_alone, refuse_another
from etl.sources.pieces import Cut
from etl.sources.watch import Watch

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
_LINES = "JSON Lines"
_PART_BYTES = 2**20
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


@dataclass(frozen=True)
class JsonShape:
    """What is known of a document before it is read.

    Attributes:
        array_key: the top-level key of the records.
        id_member: takes the key where an object holds the records by their ids; empty: no such.
        columns: names of which a record has some, by which an object of records is recognised.
    """

    array_key: str
    id_member: str = ""
    columns: frozenset[str] = frozenset()


def read_json_items(
    path: Path,
    shape: JsonShape | str,
    *,
    chunk_chars: int = 2**20,
    trace: FileTrace | None = None,
    members: dict[str, object] | None = None,
    watch: Watch | None = None,
) -> Iterator[JsonItem]:
    """Read the records of a JSON document one by one, without holding the file.

    They are the items of the array under the key; or, where that key is missing, of an array at
    the top level, of JSON Lines, of the only array under another key, or the members of an object
    that holds them by id. Where only the end shows which, the file is read a second time.

    Other keys may stand before and after; their values are checked and dropped, member by member.
    If the key is repeated, the items of all its arrays come, counted on. The file is opened when
    the first item is asked for, and closed at the end, at an error and when the iterator is
    closed. An item comes only once the comma or bracket after it has been seen, but a fault
    further on is found only when the reading gets there.

    Args:
        path: the file, UTF-8 or UTF-16, perhaps compressed.
        shape: the key of the array, and what else is known.
        chunk_chars: how much is read at a time, at most this many characters.
        trace: is filled with the size and the SHA-256 of the file.
        members: by `key.name`, members of other top-level objects; those that are found replace
            the values there.
        watch: notices what the file is like.

    Yields:
        The items, in the order of the file.

    Raises:
        FileNotFoundError: there is no such file.
        ExtractionError: the file cannot be opened or read, is no text or no JSON, ends too
            early, nests too deeply, holds a value longer than `MOST_VALUE_CHARS`, or changed
            while it was read.
        ValidationError: the file is empty, its top level is neither object nor array, or nothing
            in it can be the records.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "products.json")
        ...     _ = path.write_text('{"version": 1, "products": [{"price": 1.10}, NaN]}')
        ...     [item.value for item in read_json_items(path, "products")]
        [{'price': Decimal('1.10')}, 'NaN']
    """
    shape = JsonShape(shape) if isinstance(shape, str) else shape
    watch = watch or Watch()
    with _opened(path, chunk_chars, trace, watch) as window:
        others = yield from _items(window, shape, {} if members is None else members, watch)
    if others is not None:
        with _opened(path, chunk_chars, trace, watch) as window:
            yield from _read_anew(window, shape, others, watch)


def read_json_part(path: Path, cut: Cut, watch: Watch | None = None) -> Iterator[JsonItem]:
    """Read the records of a part of JSON Lines, see `read_json_items`.

    Args:
        path: the file.
        cut: the part.
        watch: notices what the file is like.
    """
    (watch or Watch()).facts[_LINES] = None
    with open_source(path) as file:
        refuse_another(path, cut.signature)
        chunks = part_alone(file, path, cut, size=_PART_BYTES)
        texts = text_chunks(
            chunks, path, encoding="utf-8", next_step=_SAVE_AS_UTF8, start=cut.start
        )
        window = _Window(path, (text for text, _ in texts), line=cut.line)
        window.items = cut.first_row - 1
        if not cut.start:
            window.drop_byte_order_mark()
        yield from _lines(window)


def holds_json_lines(
    path: Path, shape: JsonShape, members: dict[str, object] | None = None
) -> bool:
    """Return whether a file holds JSON Lines, which its first record shows.

    Args:
        path: the file.
        shape: what is known of the document.
        members: of the first record, see `read_json_items`.

    Raises:
        FileNotFoundError: there is no such file.
        ExtractionError: it cannot be read so far.
        ValidationError: it is no JSON document.
    """
    with _opened(path, _PART_BYTES, None, Watch()) as window:
        items = _items(window, shape, {} if members is None else members, Watch())
        try:
            next(items)
        except StopIteration as end:
            return end.value is not None and end.value.lines
    return False


def count_values(text: bytes) -> int | None:
    """Return how many JSON values are in a text, one after the other; None: it is no JSON.

    Example:
        >>> count_values(b'{"a": "} {"} {"b": 1}'), count_values(b"{} {")
        (2, None)
    """
    try:
        window = _Window(Path(), iter([text.decode()]))
        return sum(1 for _ in _lines(window))
    except (ExtractionError, UnicodeDecodeError):
        return None


@contextmanager
def _opened(
    path: Path, chunk_chars: int, trace: FileTrace | None, watch: Watch
) -> Iterator["_Window"]:
    with open_source(path) as file:
        content = decompressed(file, path)
        if content is not file:
            watch.facts["compressed"] = None
        encoding = marked_encoding(content) or "utf-8"
        chunks = content_chunks(file, content, path, size=chunk_chars, trace=trace)
        texts = text_chunks(chunks, path, encoding=encoding, next_step=_SAVE_AS_UTF8)
        window = _Window(path, (text for text, _ in texts))
        window.drop_byte_order_mark()
        yield window


@dataclass
class _Others:
    """The members at the top level of an object that has not the key that is wanted."""

    keys: list[str] = field(default_factory=list)
    arrays: list[str] = field(default_factory=list)
    all_objects: bool = True
    like_records: bool = False
    lines: bool = False  # more objects follow


def _items(
    window: "_Window", shape: JsonShape, members: dict[str, object], watch: Watch
) -> Generator[JsonItem, None, _Others | None]:
    """The records, or what else there is at the top level."""
    if window.peek() == "[":
        watch.facts["JSON array"] = None
        yield from _array(window, "")
        _refuse_more(window, "array")
        return None
    _enter_object(window)
    others, found = _Others(), False
    for key in _keys(window):
        if key == shape.array_key:
            found = True
            yield from _records_under(window, shape, watch)
        else:
            _look_at_other(window, key, others, shape=shape, members=members)
    if found:
        _refuse_more(window, "object")
        return None
    others.lines = window.peek() == "{" or shape.id_member in others.keys
    if not others.lines:
        _refuse_more(window, "object")
    return others


def _refuse_more(window: "_Window", kind: str) -> None:
    if window.peek():
        raise window.broken(f"more text after the end of the {kind}")


def _records_under(window: "_Window", shape: JsonShape, watch: Watch) -> Iterator[JsonItem]:
    if window.peek() == "{" and shape.id_member:
        watch.facts[f"JSON object keyed by {shape.id_member}"] = None
        window.take("{")
        yield from _keyed(window, shape)
    else:
        yield from _array(window, shape.array_key)


def _array(window: "_Window", key: str) -> Iterator[JsonItem]:
    _enter_array(window, key)
    for value in _elements(window):
        window.items += 1
        yield JsonItem(window.items, value)
    window.array = None


def _keyed(window: "_Window", shape: JsonShape) -> Iterator[JsonItem]:
    for key in _keys(window):
        value = window.value()
        if isinstance(value, dict) and shape.id_member not in value:
            value = {shape.id_member: key, **value}
        window.items += 1
        yield JsonItem(window.items, value)


def _look_at_other(
    window: "_Window", key: str, others: _Others, *, shape: JsonShape, members: dict[str, object]
) -> None:
    if len(others.keys) <= _SHOWN_KEYS or key == shape.id_member:
        others.keys.append(key)
    start = window.peek()
    if start == "[":
        others.arrays.append(key)
    others.all_objects = others.all_objects and start == "{"
    names = _skip_value(window, key, members)
    others.like_records = others.like_records or not shape.columns.isdisjoint(names)


def _read_anew(
    window: "_Window", shape: JsonShape, others: _Others, watch: Watch
) -> Iterator[JsonItem]:
    if others.lines:
        watch.facts[_LINES] = None
        yield from _lines(window)
    elif shape.id_member and others.all_objects and others.like_records:
        watch.facts[f"JSON object keyed by {shape.id_member}"] = None
        window.take("{")
        yield from _keyed(window, shape)
    elif len(others.arrays) == 1:
        watch.facts[f"records under {others.arrays[0]!r}"] = None
        yield from _under_other_key(window, others.arrays[0])
    else:
        raise _key_missing(window.path, shape.array_key, others)


def _lines(window: "_Window") -> Iterator[JsonItem]:
    while window.peek():
        value = window.value()
        window.items += 1
        yield JsonItem(window.items, value)


def _under_other_key(window: "_Window", wanted: str) -> Iterator[JsonItem]:
    window.take("{")
    for key in _keys(window):
        if key == wanted:
            yield from _array(window, wanted)
        else:
            _skip_value(window, key, {})


def _enter_object(window: "_Window") -> None:
    start = window.peek()
    if not start:
        what = f"{window.path} is empty, a JSON object is wanted"
        raise ValidationError(what, next_step="check the export that writes it")
    if start != "{":
        found = _KINDS.get(start, f"text that starts with {start!r}")
        what = f"the top level of {window.path} is {found}, a JSON object or array is wanted"
        raise ValidationError(what, next_step="check that it is the right file")
    window.take("{")


def _enter_array(window: "_Window", array_key: str) -> None:
    start = window.peek()
    if start in _KINDS and start != "[":
        what = f"{window.path}: {array_key!r} is {_KINDS[start]}, an array is wanted"
        raise ValidationError(what, next_step="check the export that writes it")
    window.take("[")
    window.array = array_key


def _key_missing(path: Path, array_key: str, others: _Others) -> ValidationError:
    listed = ", ".join(repr(key[:_SHOWN_CHARACTERS]) for key in others.keys[:_SHOWN_KEYS])
    if len(others.keys) > _SHOWN_KEYS:
        listed += " and more"
    what = f"{path} has no top-level key {array_key!r}, found {listed or 'no keys at all'}"
    step = "check the export that writes it"
    if len(others.arrays) > 1:
        arrays = ", ".join(repr(key[:_SHOWN_CHARACTERS]) for key in others.arrays[:_SHOWN_KEYS])
        step = f"name the member that holds the records, one of {arrays}: set records"
    return ValidationError(what, next_step=step)


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


def _skip_value(window: "_Window", key: str, members: dict[str, object]) -> set[str]:
    """Take a value and drop it; the names of its members are returned."""
    names: set[str] = set()
    start = window.peek()
    if start == "[":
        window.take("[")
        for _ in _elements(window):
            pass
    elif start == "{":
        window.take("{")
        for name in _keys(window):
            value = window.value()
            if len(names) <= _SHOWN_KEYS:
                names.add(name)
            if (full_name := f"{key}.{name}") in members:
                members[full_name] = value
    else:
        window.value()
    return names


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
        line: number of the first one.
    """

    def __init__(self, path: Path, chunks: Iterator[str], *, line: int = 1) -> None:
        self.path = path
        self.array: str | None = (
            None  # the key of the array while in it, and the items read: for messages
        )
        self.items = 0
        self._chunks = chunks
        self._text = ""
        self._at = 0
        self._line, self._column = line, 1  # of the first character of `_text`

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

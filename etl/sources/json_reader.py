"""The records of a JSON document, one by one, wherever in it they are.

A window of text slides over the file (`json_window`), and the standard library's decoder takes one
value after the other out of it.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from etl.errors import ExtractionError, ValidationError
from etl.sources.compressed import decompressed
from etl.sources.file_text import marked_encoding, text_chunks
from etl.sources.files import FileTrace, content_chunks, open_source
from etl.sources.json_window import TextWindow, elements_of, keys_of
from etl.sources.parts import part_alone, refuse_another
from etl.sources.pieces import Cut
from etl.sources.watch import Watch

_SAVE_AS_UTF8 = "save the file as UTF-8"
SHOWN_KEYS, _SHOWN_CHARACTERS = 10, 40  # how much of the top level a message lists
_LINES = "JSON Lines"
_PART_BYTES = 2**20

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
        window = TextWindow(path, (text for text, _ in texts), line=cut.line)
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
        window = TextWindow(Path(), iter([text.decode()]))
        return sum(1 for _ in _lines(window))
    except (ExtractionError, UnicodeDecodeError):
        return None


@contextmanager
def _opened(
    path: Path, chunk_chars: int, trace: FileTrace | None, watch: Watch
) -> Iterator[TextWindow]:
    with open_source(path) as file:
        content = decompressed(file, path)
        if content is not file:
            watch.facts["compressed"] = None
        encoding = marked_encoding(content) or "utf-8"
        chunks = content_chunks(file, content, path, size=chunk_chars, trace=trace)
        texts = text_chunks(chunks, path, encoding=encoding, next_step=_SAVE_AS_UTF8)
        window = TextWindow(path, (text for text, _ in texts))
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
    window: TextWindow, shape: JsonShape, members: dict[str, object], watch: Watch
) -> Generator[JsonItem, None, _Others | None]:
    """The records, or what else there is at the top level."""
    if window.peek() == "[":
        watch.facts["JSON array"] = None
        yield from _array(window, "")
        _refuse_more(window, "array")
        return None
    _enter_object(window)
    others, found = _Others(), False
    for key in keys_of(window):
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


def _refuse_more(window: TextWindow, kind: str) -> None:
    if window.peek():
        raise window.broken(f"more text after the end of the {kind}")


def _records_under(window: TextWindow, shape: JsonShape, watch: Watch) -> Iterator[JsonItem]:
    if window.peek() == "{" and shape.id_member:
        watch.facts[f"JSON object keyed by {shape.id_member}"] = None
        window.take("{")
        yield from _keyed(window, shape)
    else:
        yield from _array(window, shape.array_key)


def _array(window: TextWindow, key: str) -> Iterator[JsonItem]:
    _enter_array(window, key)
    for value in elements_of(window):
        window.items += 1
        yield JsonItem(window.items, value)
    window.array = None


def _keyed(window: TextWindow, shape: JsonShape) -> Iterator[JsonItem]:
    for key in keys_of(window):
        value = window.value()
        if isinstance(value, dict) and shape.id_member not in value:
            value = {shape.id_member: key, **value}
        window.items += 1
        yield JsonItem(window.items, value)


def _look_at_other(
    window: TextWindow, key: str, others: _Others, *, shape: JsonShape, members: dict[str, object]
) -> None:
    if len(others.keys) <= SHOWN_KEYS or key == shape.id_member:
        others.keys.append(key)
    start = window.peek()
    if start == "[":
        others.arrays.append(key)
    others.all_objects = others.all_objects and start == "{"
    names = _skip_value(window, key, members)
    others.like_records = others.like_records or not shape.columns.isdisjoint(names)


def _read_anew(
    window: TextWindow, shape: JsonShape, others: _Others, watch: Watch
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


def _lines(window: TextWindow) -> Iterator[JsonItem]:
    while window.peek():
        value = window.value()
        window.items += 1
        yield JsonItem(window.items, value)


def _under_other_key(window: TextWindow, wanted: str) -> Iterator[JsonItem]:
    window.take("{")
    for key in keys_of(window):
        if key == wanted:
            yield from _array(window, wanted)
        else:
            _skip_value(window, key, {})


def _enter_object(window: TextWindow) -> None:
    start = window.peek()
    if not start:
        what = f"{window.path} is empty, a JSON object is wanted"
        raise ValidationError(what, next_step="check the export that writes it")
    if start != "{":
        found = _KINDS.get(start, f"text that starts with {start!r}")
        what = f"the top level of {window.path} is {found}, a JSON object or array is wanted"
        raise ValidationError(what, next_step="check that it is the right file")
    window.take("{")


def _enter_array(window: TextWindow, array_key: str) -> None:
    start = window.peek()
    if start in _KINDS and start != "[":
        what = f"{window.path}: {array_key!r} is {_KINDS[start]}, an array is wanted"
        raise ValidationError(what, next_step="check the export that writes it")
    window.take("[")
    window.array = array_key


def _key_missing(path: Path, array_key: str, others: _Others) -> ValidationError:
    listed = ", ".join(repr(key[:_SHOWN_CHARACTERS]) for key in others.keys[:SHOWN_KEYS])
    if len(others.keys) > SHOWN_KEYS:
        listed += " and more"
    what = f"{path} has no top-level key {array_key!r}, found {listed or 'no keys at all'}"
    step = "check the export that writes it"
    if len(others.arrays) > 1:
        arrays = ", ".join(repr(key[:_SHOWN_CHARACTERS]) for key in others.arrays[:SHOWN_KEYS])
        step = f"name the member that holds the records, one of {arrays}: set records"
    return ValidationError(what, next_step=step)


def _skip_value(window: TextWindow, key: str, members: dict[str, object]) -> set[str]:
    """Take a value and drop it; the names of its members are returned."""
    names: set[str] = set()
    start = window.peek()
    if start == "[":
        window.take("[")
        for _ in elements_of(window):
            pass
    elif start == "{":
        window.take("{")
        for name in keys_of(window):
            value = window.value()
            if len(names) <= SHOWN_KEYS:
                names.add(name)
            if (full_name := f"{key}.{name}") in members:
                members[full_name] = value
    else:
        window.value()
    return names

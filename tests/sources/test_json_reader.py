"""How the items of a large JSON array are read: every rule by name, and any document."""

import contextlib
import gzip
import json
import os
import tracemalloc
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import ExtractionError, ValidationError
from etl.sources import json_window
from etl.sources.json_reader import JsonItem, JsonShape, read_json_items
from etl.sources.watch import Watch


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "products.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: Path, *, chunk_chars: int = 2**20) -> list[object]:
    items = list(read_json_items(path, "products", chunk_chars=chunk_chars))
    assert [item.position for item in items] == list(range(1, len(items) + 1))
    return [item.value for item in items]


def message_of(path: Path, *, chunk_chars: int = 2**20) -> str:
    """Read a file that cannot be read, and give what the error says."""
    with pytest.raises(ExtractionError) as caught:
        read(path, chunk_chars=chunk_chars)
    assert "products.json" in str(caught.value)
    return str(caught.value)


# ---------------------------------------------------------------- items


def test_items_come_in_order_and_are_counted_from_one(tmp_path: Path) -> None:
    path = write(tmp_path, '{"products": [{"id": "P1"}, {"id": "P2"}]}')
    assert list(read_json_items(path, "products")) == [
        JsonItem(1, {"id": "P1"}),
        JsonItem(2, {"id": "P2"}),
    ]


def test_an_empty_array_has_no_items(tmp_path: Path) -> None:
    assert read(write(tmp_path, '{"products": [ ]}')) == []


def test_other_keys_may_stand_before_and_after(tmp_path: Path) -> None:
    text = '{"a": {"products": [1], "x": {}}, "b": [[2], {}], "products": [3], "c": {}, "d": []}'
    assert read(write(tmp_path, text)) == [3]


def test_a_repeated_array_key_gives_the_items_of_all_its_arrays(tmp_path: Path) -> None:
    assert read(write(tmp_path, '{"products": [1, 2], "x": 0, "products": [3]}')) == [1, 2, 3]


def test_fractions_and_exponents_are_decimals_and_integers_are_integers(tmp_path: Path) -> None:
    values = read(write(tmp_path, '{"products": [1.10, 1e2, 3, -0, [0.30]]}'))
    assert [repr(value) for value in values] == [
        "Decimal('1.10')",
        "Decimal('1E+2')",
        "3",
        "0",
        "[Decimal('0.30')]",
    ]


@pytest.mark.parametrize("chunk_chars", [1, 2, 3, 100])
def test_numbers_without_a_value_arrive_as_their_text(tmp_path: Path, chunk_chars: int) -> None:
    text = json.dumps({"products": [float("nan"), {"price": float("inf")}, -float("inf")]})
    path = write(tmp_path, text)
    assert read(path, chunk_chars=chunk_chars) == ["NaN", {"price": "Infinity"}, "-Infinity"]


def test_an_integer_of_any_length_can_be_read(tmp_path: Path) -> None:
    digits = "9" * 5000
    assert read(write(tmp_path, f'{{"products": [{digits}, -{digits}]}}')) == [
        Decimal(digits),
        Decimal("-" + digits),
    ]


def test_a_number_beyond_any_decimal_arrives_as_its_text(tmp_path: Path) -> None:
    text = "1e99999999999999999999"
    assert read(write(tmp_path, f'{{"products": [{text}, 1]}}')) == [text, 1]


@pytest.mark.parametrize("number", ["0", "-12.5e+30", "123456", "1.0E-7"])
def test_a_number_cut_by_the_border_of_a_chunk_is_whole(tmp_path: Path, number: str) -> None:
    path = write(tmp_path, f'{{"products": [{number},{number}  ]}}')
    for chunk_chars in range(1, 40):
        assert read(path, chunk_chars=chunk_chars) == [Decimal(number)] * 2


def test_an_item_much_larger_than_a_chunk_is_whole(tmp_path: Path) -> None:
    item = {"name": "x" * 300_000, "list": [{"n": number} for number in range(20_000)]}
    path = write(tmp_path, json.dumps({"products": [item, 1]}))
    assert read(path, chunk_chars=16) == [item, 1]


def test_only_as_much_is_kept_as_a_chunk_and_the_largest_item_need(tmp_path: Path) -> None:
    many = ", ".join(['{"id": "P1", "price": 1.25}'] * 50_000)
    path = write(tmp_path, f'{{"before": [{many}], "products": [{many}]}}')
    tracemalloc.start()
    count = sum(1 for _ in read_json_items(path, "products", chunk_chars=2**14))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 50_000
    assert peak < 2**19 < path.stat().st_size / 5


# ---------------------------------------------------------------- damaged files


def test_a_fault_is_named_with_line_column_and_item(tmp_path: Path) -> None:
    path = write(tmp_path, '{\n "products": [\n  {"id": 1},\n  {"id" 2}\n' + " " * 50 + "]}")
    for chunk_chars in (1, 7, 1000):
        message = message_of(path, chunk_chars=chunk_chars)
        assert "line 4, column 9, in item 2 of 'products': expecting ':' delimiter" in message
        assert "(1 items read before)" in message


def test_a_fault_in_the_middle_does_not_pull_the_rest_into_memory(tmp_path: Path) -> None:
    path = write(tmp_path, '{"products": [{"id" 1}, ' + '"xxxxxxxxxxxx", ' * 200_000 + "1]}")
    tracemalloc.start()
    message_of(path, chunk_chars=1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**17


@pytest.mark.parametrize(
    "text",
    [
        '{"products": [1, 2',
        '{"products": [1, 2]',
        '{"products": [1, "tw',
        '{"products": [1, {"id": tr',
        '{"products": [1, {"id": 2',
        '{"products": [1], "other',
        '{"products": [1], "other": {"x": 1',
    ],
)
def test_a_file_that_ends_too_early_says_where_and_how_many_items_it_had(
    tmp_path: Path, text: str
) -> None:
    message = message_of(write(tmp_path, text))
    assert "line 1, column" in message
    assert "items read before" in message


def test_a_file_that_ends_too_early_is_distinguished_from_one_with_a_fault(tmp_path: Path) -> None:
    assert "ends too early" in message_of(write(tmp_path, '{"products": [1, 2 \n'))
    assert "ends too early" in message_of(write(tmp_path, '{"products": ["one, 2, 3, 4, 5]}'))
    assert "ends too early" not in message_of(write(tmp_path, '{"products": [1 2]}'))


@pytest.mark.parametrize("rest", ["x", "{}", "]", ",", "\0"])
def test_text_after_the_object_is_an_error(tmp_path: Path, rest: str) -> None:
    path = write(tmp_path, f'{{"products": [1]}}\n {rest}')
    assert "line 2, column 2: more text after the end of the object" in message_of(path)


@pytest.mark.parametrize(
    "text",
    [
        '{"products": [1,]}',
        '{"products": [,1]}',
        '{"products": [1;2]}',
        '{"products": [01]}',
        '{"products": [1] "x": 2}',
        '{"products": [1],}',
        '{"products" [1]}',
        "{products: [1]}",
        "{1: [1]}",
        '{"products": ["a\nb"]}',
        '{"products": [1], "x": [1 2]}',
        '{"products": [1], "x": {"y": 1,}}',
        '{"products": [1}',
        '{"products": ]}',
    ],
)
def test_what_is_no_json_is_an_error(tmp_path: Path, text: str) -> None:
    for chunk_chars in (1, 5, 1000):
        assert "line " in message_of(write(tmp_path, text), chunk_chars=chunk_chars)


@pytest.mark.parametrize("bracket", ["[", '{"x":'])
@pytest.mark.parametrize("chunk_chars", [16, 2**20])
def test_brackets_nested_too_deeply_end_in_an_error_and_not_in_much_memory(
    tmp_path: Path, bracket: str, chunk_chars: int
) -> None:
    path = write(tmp_path, f'{{"products": [{{}},\n {bracket * 100_000}')
    tracemalloc.start()
    message = message_of(path, chunk_chars=chunk_chars)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "line 2, column 2, in item 2 of 'products': nested too deeply" in message
    assert peak < 2**23


def test_other_keys_nested_too_deeply_are_an_error_too(tmp_path: Path) -> None:
    path = write(tmp_path, '{"metadata": ' + "[" * 100_000)
    assert "nested too deeply" in message_of(path)


# ---------------------------------------------------------------- another structure


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('"x"', "a text"),
        ("-1", "a number"),
        ("true", "true"),
        ("null", "null"),
        ("<products>", "text that starts with '<'"),
        ("\0\0", r"text that starts with '\x00'"),
    ],
)
def test_a_top_level_that_is_no_object_is_named(tmp_path: Path, text: str, found: str) -> None:
    with pytest.raises(ValidationError) as caught:
        read(write(tmp_path, text))
    assert f"products.json is {found}, a JSON object or array is wanted" in str(caught.value)


def test_a_missing_key_is_named_beside_the_keys_that_were_found(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"no top-level key 'products', found 'items', 'n'\."):
        read(write(tmp_path, '{"items": [1], "n": []}'))
    with pytest.raises(ValidationError, match="found no keys at all"):
        read(write(tmp_path, "{}"))


def test_a_message_lists_only_the_first_of_many_keys(tmp_path: Path) -> None:
    text = json.dumps({f"key{number}" + "x" * 500: 0 for number in range(5000)})
    with pytest.raises(ValidationError, match=r"'key9x*' and more") as caught:
        read(write(tmp_path, text))
    assert "key10" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    ("text", "found"), [("{}", "an object"), ("null", "null"), ("7", "a number"), ("NaN", "NaN")]
)
def test_a_key_that_holds_no_array_is_named(tmp_path: Path, text: str, found: str) -> None:
    with pytest.raises(ValidationError, match=f"'products' is {found}, an array is wanted"):
        read(write(tmp_path, f'{{"products": {text}}}'))


@pytest.mark.parametrize("content", [b"", b" \n\t\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_an_empty_file_is_called_empty(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValidationError, match=r"products.json is empty, a JSON object is wanted"):
        read(write(tmp_path, content))


# ---------------------------------------------------------------- files and encodings


@pytest.mark.parametrize("chunk_chars", [1, 2, 100])
def test_utf8_is_read_with_and_without_a_byte_order_mark(tmp_path: Path, chunk_chars: int) -> None:
    content = '{"products": ["ü€😀\ufeff"]}'.encode()
    for mark in (b"", b"\xef\xbb\xbf"):
        assert read(write(tmp_path, mark + content), chunk_chars=chunk_chars) == ["ü€😀\ufeff"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_utf16_and_utf32_are_recognised_by_their_mark(tmp_path: Path, encoding: str) -> None:
    assert read(write(tmp_path, '{"products": ["ü"]}'.encode(encoding))) == ["ü"]


RECORD = {"id": "P1", "price": 1}
SHAPES = [
    ([RECORD], "JSON array"),
    ({"products": {"P1": {"price": 1}}}, "JSON object keyed by id"),
    ({"P1": {"price": 1}}, "JSON object keyed by id"),
    ({"n": {"price": 1}, "items": [RECORD]}, "records under 'items'"),
    (RECORD, "JSON Lines"),
]


@pytest.mark.parametrize(("document", "fact"), SHAPES)
@pytest.mark.parametrize("chunk_chars", [1, 16, 2**20])
def test_records_are_found_in_whatever_shape_they_come(
    tmp_path: Path, document: object, fact: str, chunk_chars: int
) -> None:
    shape, watch = JsonShape("products", "id", frozenset({"price"})), Watch()
    path = write(tmp_path, json.dumps(document, indent=1))
    items = read_json_items(path, shape, chunk_chars=chunk_chars, watch=watch)
    assert [item.value for item in items] == [RECORD]
    assert list(watch.facts) == [fact]


@pytest.mark.parametrize("chunk_chars", [1, 16, 2**20])
def test_json_lines_are_read_one_by_one(tmp_path: Path, chunk_chars: int) -> None:
    lines = "\n".join(json.dumps({"id": number}) for number in range(5))
    path = write(tmp_path, gzip.compress(f"\ufeff{lines}\n\n".encode()))
    items = read_json_items(path, JsonShape("products", "id"), chunk_chars=chunk_chars)
    assert [item.value for item in items] == [{"id": number} for number in range(5)]


def test_several_arrays_are_ambiguous_and_the_setting_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, '{"a": [1], "b": [2]}')
    with pytest.raises(ValidationError, match="one of 'a', 'b': set records"):
        list(read_json_items(path, JsonShape("products", "id")))


@pytest.mark.parametrize("chunk_chars", [1, 16, 100])
def test_a_byte_that_is_no_utf8_is_named_with_its_place(tmp_path: Path, chunk_chars: int) -> None:
    path = write(tmp_path, '{"products": ["René"]}'.encode("latin-1"))
    message = message_of(path, chunk_chars=chunk_chars)
    assert "byte 0xE9 at offset 18 is no utf-8 text" in message


def test_a_missing_file_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*gone.json"):
        read(tmp_path / "gone.json")


def test_a_directory_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExtractionError, match="is a directory, a file is wanted"):
        read(tmp_path)


def is_open(path: Path) -> bool:
    """Look for the file among the first descriptors of this process."""
    for descriptor in range(256):
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return True
    return False


def test_the_file_is_closed_when_the_reading_is_abandoned_or_fails(tmp_path: Path) -> None:
    path = write(tmp_path, '{"products": [1, 2, x]}')
    items = read_json_items(path, "products")
    next(items)
    assert is_open(path)
    items.close()  # type: ignore[attr-defined]  # every generator has it, an Iterator need not
    assert not is_open(path)
    message_of(path)
    assert not is_open(path)


# ---------------------------------------------------------------- any document

texts = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(["", '"\\/[{', "😀\n"])
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
layouts = st.sampled_from([(None, ",", ":"), (2, " ,\r\n", " :\t"), ("\t", ",      ", ": ")])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("documents")


@settings(max_examples=300, deadline=None)
@given(
    before=st.dictionaries(texts, values, max_size=2),
    products=st.lists(st.dictionaries(texts, values, max_size=4) | values, max_size=5),
    after=st.dictionaries(texts, values, max_size=2),
    layout=layouts,
    ascii_only=st.booleans(),
    chunk_chars=st.integers(1, 50) | st.just(2**20),
)
def test_any_document_comes_out_as_the_standard_library_reads_it(  # noqa: PLR0913, PLR0917 drawn
    folder: Path,
    before: dict[str, object],
    products: list[object],
    after: dict[str, object],
    layout: tuple[int | str | None, str, str],
    ascii_only: bool,
    chunk_chars: int,
) -> None:
    document = before | {"products": products} | after
    indent, comma, colon = layout
    text = json.dumps(document, indent=indent, separators=(comma, colon), ensure_ascii=ascii_only)
    expected = json.loads(text, parse_float=Decimal, parse_constant=str)["products"]
    actual = read(write(folder, text), chunk_chars=chunk_chars)
    assert repr(actual) == repr(expected)


DOCUMENT = (
    '{"v": [1, {"x": "y"}], "products": [{"id": "Pü1", "n": -1.5e+3, "l": [true, null]},\n'
    ' 12, 1.25e7, "te\\u00fcxt", NaN, [], {}], "metadata": {"date": "2024-01-20", "n": [[]]}}'
).encode()


@pytest.mark.parametrize("chunk_chars", [1, 10, 1000])
def test_a_document_cut_anywhere_is_an_error_and_never_yields_a_wrong_item(
    folder: Path, chunk_chars: int
) -> None:
    whole = read(write(folder, DOCUMENT))
    assert len(whole) == 7
    for size in range(len(DOCUMENT)):
        items: list[object] = []
        with pytest.raises(ExtractionError):
            collect(write(folder, DOCUMENT[:size]), chunk_chars, items)
        assert repr(items) == repr(whole[: len(items)])


def collect(path: Path, chunk_chars: int, items: list[object]) -> None:
    """Keep what comes before the error, too."""
    for item in read_json_items(path, "products", chunk_chars=chunk_chars):
        items.append(item.value)


@settings(max_examples=300, deadline=None)
@given(
    tokens=st.lists(
        st.sampled_from([*'{}[],:"\\ 1-.e\n', "tru", "e", "NaN", '"products"', "[]", "\\u12", "é"]),
        max_size=30,
    ),
    chunk_chars=st.integers(1, 20),
)
def test_any_text_is_read_as_json_or_ends_in_an_error_of_this_package(
    folder: Path, tokens: list[str], chunk_chars: int
) -> None:
    text = '{"products": [' + "".join(tokens)
    path = write(folder, text)
    try:
        expected = json.loads(text, parse_float=Decimal, parse_constant=str)
    except ValueError:
        message_of(path, chunk_chars=chunk_chars)
    else:
        assert len(read(path, chunk_chars=chunk_chars)) >= len(expected["products"])


@pytest.mark.parametrize("value", ['"{}"', '{{"a": ["{}"]}}'])
def test_a_value_that_is_too_long_is_an_error_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setattr(json_window, "MOST_VALUE_CHARS", 1000)
    path = tmp_path / "products.json"
    path.write_text('{"products": [1,\n' + value.format("x" * 5000) + "]}", encoding="utf-8")
    items = read_json_items(path, "products", chunk_chars=64)
    assert next(items).value == 1
    wanted = "line 2, column 1: item 2 of 'products' is longer than 1,000 characters"
    with pytest.raises(ExtractionError, match=wanted):
        next(items)


def test_a_value_as_long_as_allowed_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_window, "MOST_VALUE_CHARS", 1000)
    path = tmp_path / "products.json"
    path.write_text('{"products": ["' + "x" * 990 + '"]}', encoding="utf-8")
    (item,) = read_json_items(path, "products", chunk_chars=64)
    assert item.value == "x" * 990

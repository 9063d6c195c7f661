"""What exports do to texts is undone and counted, and done twice it changes nothing."""

import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.rules.texts import (
    NULL_WORDS,
    TextOptions,
    in_e_notation,
    is_null_word,
    normalised_keys,
    prepared,
    with_decimal_points,
)

ODD_TEXTS = st.one_of(
    st.none(),
    st.sampled_from(
        [*NULL_WORDS, "Null", ' "x"', '="C1"', "'C1", "''", '=""', "\u200b", "1,5", ","]
    ),
    st.text("Ce\u0301\u200b\ufeff='\" ,.1", max_size=6),
)


def text(values: list[str | None]) -> pa.Array:
    return pa.array(values, pa.string())


@pytest.mark.parametrize("word", NULL_WORDS)
def test_a_null_word_is_missing_also_with_blanks_around_it(word: str) -> None:
    assert is_null_word(text([word, f"  {word} ", f"x{word}", word + word])).to_pylist() == [
        True, True, False, False,
    ]  # fmt: skip


def test_a_name_may_be_null_or_none() -> None:
    block = pa.record_batch({"name": ["Null", "None", "\\N", "<NULL>"], "city": ["None"] * 4})
    found = prepared(block, TextOptions(names=["name"]))
    assert found.records.to_pydict() == {
        "name": ["Null", "None", None, None], "city": [None] * 4,
    }  # fmt: skip
    assert found.notes == {"null_words": 6}


def test_null_words_are_those_of_the_source() -> None:
    block = pa.record_batch({"city": ["-", "NULL"]})
    assert prepared(block, TextOptions(null_words=("-",))).records.to_pydict() == {
        "city": [None, "NULL"]
    }


def test_whole_numbers_written_as_floats_are_counted_and_read_where_that_is_set() -> None:
    block = pa.record_batch({"id": ["1001.0", "7", "C1.0", "1.50", None], "n": ["2.0"] * 5})
    seen = prepared(block, TextOptions(keys=["id"]))
    assert seen.records.equals(block)
    assert seen.notes == {"float_ids": 1}
    whole = prepared(block, TextOptions(keys=["id"], whole_ids=True))
    assert whole.records.to_pydict() == {
        "id": ["1001", "7", "C1.0", "1.50", None], "n": ["2.0"] * 5,
    }  # fmt: skip
    assert whole.notes == {"whole_ids": 1}


@pytest.mark.parametrize(
    ("key", "normal"),
    [
        ("C1", "C1"), ("\u200bC4", "C4"), ("\u200e C7", "C7"), ('="C010"', "C010"),
        ("'C009", "C009"), ("''C", "C"),
        ("Ce\u0301006", "C\u00e9006"), ("=C1", "=C1"), ("'", "'"), ("O'Neil", "O'Neil"),
    ],
)  # fmt: skip
def test_a_key_loses_what_is_not_seen_of_it(key: str, normal: str) -> None:
    keys, changed = normalised_keys(text([key, None]))
    assert keys.to_pylist() == [normal, None]
    assert changed == (key != normal)


def test_columns_that_are_no_text_are_left() -> None:
    block = pa.record_batch({"source_row": [2], "id": ["C1"]})
    assert prepared(block, TextOptions(keys=["id", "source_row"])).records.equals(block)


def test_an_id_that_a_spreadsheet_has_rounded_is_recognised() -> None:
    assert in_e_notation(text(["7.30012E+11", "7,30012e11", "12E", "1.5"])).to_pylist() == [
        True, True, False, False,
    ]  # fmt: skip


@given(st.lists(ODD_TEXTS, max_size=8))
def test_done_twice_it_changes_nothing(values: list[str | None]) -> None:
    options = TextOptions(keys=["key"], numbers=["number"], decimal=",")
    block = pa.record_batch({"key": text(values), "number": text(values)})
    once = prepared(block, options)
    twice = prepared(once.records, options)
    assert twice.records.equals(once.records)
    assert twice.notes == {}


@given(st.lists(ODD_TEXTS, max_size=8))
def test_keys_are_in_normal_form_without_marks(values: list[str | None]) -> None:
    for key in normalised_keys(text(values))[0].to_pylist():
        assert key is None or unicodedata.is_normalized("NFC", key)
        assert key is None or not any(unicodedata.category(c) == "Cf" for c in key)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3))
def test_a_number_with_a_comma_is_the_number_with_a_point(number: object) -> None:
    written = f"{number:f}"
    assert with_decimal_points(text([written.replace(".", ",")])).to_pylist() == [written]

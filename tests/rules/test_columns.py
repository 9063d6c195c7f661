"""What a clean field looks like, and that a column gets what each of its values would get."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from field_oracles import is_email
from hypothesis import given
from hypothesis import strategies as st

from etl.rules import columns as rules
from etl.rules import values as value_rules
from etl.rules.dates import read_dates, read_timestamps
from etl.rules.values import phone_of

WHITE_SPACE = "".join(chr(code) for code in range(0x110000) if chr(code).isspace())

# Letters whose capital or small form has another length or is not the way back.
AWKWARD = "ßẞİ\u0131ǰŉΐᾷẚǆﬁΣς\u017f\u212aª\u02bc\u02be\u0345\u0301e\u0301"
text_or_null = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(AWKWARD))


def texts(pieces: str | Sequence[str], *, most: int = 12) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(pieces), max_size=most).map("".join)


def columns(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values | st.none(), max_size=12)


def strings(*values: str | None) -> pa.Array:
    return pa.array(values, pa.string())


def each(rule: Callable[[Any], object], values: Sequence[Any]) -> list[object]:
    return [None if value is None else rule(value) for value in values]


# --- text --------------------------------------------------------------------------------


@pytest.mark.parametrize("space", WHITE_SPACE, ids=ascii)
def test_every_white_space_of_python_is_trimmed_and_collapsed(space: str) -> None:
    assert rules.clean_text(strings(f"{space}a{space}{space}b{space}")).to_pylist() == [
        f"a{space}{space}b"
    ]
    assert rules.clean_name(strings(f"{space}ann{space}{space}lee{space}")).to_pylist() == [
        "Ann Lee"
    ]


def test_only_empty_text_is_missing() -> None:
    given_texts = strings("", " \t", None, "NA", "Null", "0", "\u200b")
    assert rules.clean_text(given_texts).to_pylist() == [
        None, None, None, "NA", "Null", "0", "\u200b",
    ]  # fmt: skip
    assert rules.is_missing(given_texts).to_pylist() == [True] * 3 + [False] * 4


@given(columns(texts(WHITE_SPACE + "ab\u200bé\x00") | text_or_null))
def test_a_column_is_trimmed_like_its_values(values: list[str | None]) -> None:
    cleaned = rules.clean_text(strings(*values))
    assert cleaned.to_pylist() == each(value_rules.trimmed, values)
    assert rules.clean_text(cleaned).equals(cleaned)


@pytest.mark.parametrize(
    ("given_name", "wanted"),
    [
        ("JOHN SMITH", "John Smith"),
        (" jane   doe ", "Jane Doe"),
        ("o'neil", "O'Neil"),
        ("O\u2019BRIEN", "O\u2019Brien"),
        ("MEN'S", "Men's"),
        ("MEN\u2019S", "Men\u2019s"),
        ("7's", "7'S"),
        ("o'ẞ", "O'ẞ"),
        ("d'a'b", "D'a'b"),
        ("'t hooft", "'T Hooft"),
        ("o'n2", "O'n2"),
        ("van-der-berg", "Van-Der-Berg"),
        ("2nd", "2Nd"),
        ("straße", "Straße"),
        ("ǆep", "ǅep"),
        ("ΟΔΟΣ", "Οδος"),
        ("İBRAHİM DİLEK", "İbrahi̇m Di̇lek"),
        ("RENE\u0301E", "Rene\u0301e"),
        ("rene\u0301's", "Rene\u0301's"),
        ("  ", None),
    ],
)
def test_names_are_in_title_case(given_name: str, wanted: str | None) -> None:
    assert value_rules.name_of(given_name) == wanted
    assert rules.clean_name(strings(given_name)).to_pylist() == [wanted]


@given(text_or_null.filter(lambda text: not set("'\u2019\u02be\u0345").intersection(text)))
def test_without_apostrophes_and_combining_accents_title_case_is_that_of_python(text: str) -> None:
    if not any("\u0300" <= character <= "\u036f" for character in text.title()):
        assert value_rules.title_cased(text) == text.title()


@given(columns(texts(f"aB'\u2019- 1_\t\x00{AWKWARD}") | text_or_null))
def test_a_column_of_names_is_cleaned_like_its_values(values: list[str | None]) -> None:
    names = rules.clean_name(strings(*values))
    assert names.to_pylist() == each(value_rules.name_of, values)
    assert rules.clean_name(names).equals(names)


@given(texts(f"aB'\u2019- 1_\t\x00{AWKWARD}") | text_or_null)
def test_title_case_is_idempotent(text: str) -> None:
    titled = value_rules.title_cased(text)
    assert value_rules.title_cased(titled) == titled


def test_every_ascii_pair_is_put_in_title_case_as_the_rule_says() -> None:
    ascii_characters = [chr(code) for code in range(128)]
    values = [f"{a}{b}c" for a in ascii_characters for b in ascii_characters]
    assert rules.clean_name(strings(*values)).to_pylist() == each(value_rules.name_of, values)


# --- e-mail ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "email",
    [
        "john.smith@email.com", "o'neil+tag@a-b.example", "{x}|y~z@q.info", "1@2.ab",
        "a@xn--bcher-kva.example", "a@b.co.uk",
    ],
)  # fmt: skip
def test_an_address_with_local_part_and_domain_is_valid(email: str) -> None:
    assert is_email(email)
    assert rules.email_is_valid(strings(email)).to_pylist() == [True]


@pytest.mark.parametrize(
    "email",
    [
        "", "a", "a@b", "a@b.c", "@b.com", ".a@b.com", "a.@b.com", "a..b@c.com", "a@-b.com",
        "a@b-.com", "a@b..com", "a@b.com.", "a b@c.com", "a@@b.com", "a@b.c1", "é@b.com",
        "a@b.com\n", "A@b.com", "a@b_c.com",
    ],
)  # fmt: skip
def test_other_text_is_not(email: str) -> None:
    assert not is_email(email)
    assert rules.email_is_valid(strings(email, None)).to_pylist() == [False, False]


@given(columns(texts("aB1.@-_ éK\n") | texts(["a", "@b", ".com", "-", ".", " ", "İ"])))
def test_a_column_of_addresses_is_cleaned_and_judged_like_its_values(
    values: list[str | None],
) -> None:
    emails = rules.clean_email(strings(*values))
    lowered = [(value or "").strip().lower() for value in values]
    assert emails.to_pylist() == [text or None for text in lowered]
    assert rules.email_is_valid(emails).to_pylist() == [is_email(text) for text in lowered]
    assert rules.clean_email(emails).equals(emails)


# --- phone -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_number", "wanted", "valid"),
    [
        ("(555) 123-4567", "(555) 123-4567", True),
        ("555.123.4567", "(555) 123-4567", True),
        ("+1 555 123 4567", "(555) 123-4567", True),
        ("25551234567", "25551234567", False),
        ("5551234", "555-1234", False),
        (" 555-1234 ", "555-1234", False),
        ("555-1234 x5", "555-1234 ext 5", False),
        ("55-1234 x1 x2", "55-1234 x1 x2", False),
        ("555x1234 555 ext. 1", "(555) 123-4555 ext 1", True),
        ("+49 30 901820", "+49 30 901820", True),
        (" ext. 7 ", "ext. 7", False),
        ("\u0665\u0665\u0665\u0661\u0662\u0663\u0664",) * 2 + (False,),
        (" ", None, False),
    ],
)
def test_phone_numbers_are_formatted_by_their_digits(
    given_number: str, wanted: str | None, valid: bool
) -> None:
    assert phone_of(given_number) == (wanted, valid)
    numbers, full = rules.clean_phone(strings(given_number, "1", given_number))
    assert numbers.to_pylist() == [wanted, "1", wanted]
    assert full.to_pylist() == [valid, False, valid]


def test_a_default_area_code_completes_seven_digits_only() -> None:
    numbers, valid = rules.clean_phone(strings("555-1234", "2065551234", "55-1234", None), "425")
    assert numbers.to_pylist() == ["(425) 555-1234", "(206) 555-1234", "55-1234", None]
    assert valid.to_pylist() == [True, True, False, False]


@given(
    columns(
        texts(["1", "5", "555", "1234", "-", " ", "x", " EXT.", "+", "\n", "\u0665", "é", "\x00"])
    ),
    st.sampled_from([None, "425"]),
)
def test_a_column_of_numbers_is_formatted_like_its_values(
    values: list[str | None], area_code: str | None
) -> None:
    numbers, valid = rules.clean_phone(strings(*values), area_code)
    wanted = [phone_of(value or "", area_code) for value in values]
    assert list(zip(numbers.to_pylist(), valid.to_pylist(), strict=True)) == wanted
    again, still_valid = rules.clean_phone(numbers, area_code)
    assert again.equals(numbers)
    assert still_valid.equals(valid)


def test_a_part_of_a_column_is_cleaned_like_the_part_it_is() -> None:
    whole = strings("x", "5551234", None, "2065551234", "a\x00", "")
    part = whole[1:4]
    assert rules.clean_phone(part)[0].to_pylist() == ["555-1234", None, "(206) 555-1234"]
    assert rules.has_bad_text(part).to_pylist() == [False] * 3
    assert rules.has_bad_text(whole[3:]).to_pylist() == [False, True, False]


# --- numbers -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("199.99", "199.99"), (" 7 ", "7.00"), ("+5", "5.00"), (".5", "0.50"), ("5.", "5.00"),
        ("2e1", "20.00"), ("1.005", "1.01"), ("-1.005", "-1.01"), ("1.0049999", "1.00"),
        ("-0.004", "0.00"), ("9999999999.994", "9999999999.99"), ("0e99999999999999999999", "0.00"),
        ("1e-99999999999999999999", "0.00"), ("007", "7.00"),
    ],
)  # fmt: skip
def test_money_is_rounded_to_the_cent_half_away_from_zero(text: str, wanted: str) -> None:
    reading = rules.read_decimals(strings(text), 12, 2)
    assert reading.values.to_pylist() == [Decimal(wanted)]


@pytest.mark.parametrize(
    "text", ["$5", "1,000", "NaN", "Infinity", "1_000", "0x10", "1e", ".", "\u0661", "true"]
)
def test_other_text_is_no_number(text: str) -> None:
    for reading in (rules.read_decimals(strings(text), 12, 2), rules.read_integers(strings(text))):
        assert reading.unreadable.to_pylist() == [True]
        assert reading.values.to_pylist() == [None]


@pytest.mark.parametrize(
    "text",
    ["9999999999.995", "1e10", "-1e400", "1e99999999999999999999", str(2**128 + 5), "9" * 400],
)  # Arrow itself reads the last two as 5 and -1
def test_a_number_with_more_digits_than_the_column_is_out_of_range(text: str) -> None:
    reading = rules.read_decimals(strings(text), 12, 2)
    assert reading.out_of_range.to_pylist() == [True]
    assert reading.values.to_pylist() == [None]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("2", 2), ("2.0", 2), ("2e1", 20), ("-2147483648", -(2**31)), ("2147483647", 2**31 - 1)],
)
def test_a_whole_number_may_be_written_as_a_decimal(text: str, wanted: int) -> None:
    assert rules.read_integers(strings(text)).values.to_pylist() == [wanted]


@pytest.mark.parametrize("text", ["2147483648", "-2147483649", "1e400", "9e99999999999999999999"])
def test_whole_numbers_have_32_bits(text: str) -> None:
    assert rules.read_integers(strings(text)).out_of_range.to_pylist() == [True]


@pytest.mark.parametrize("text", ["2.5", "1e-1", "2147483648.5", "1e-99999999999999999999"])
def test_a_fraction_is_no_whole_number(text: str) -> None:
    assert rules.read_integers(strings(text)).unreadable.to_pylist() == [True]


number_texts = (
    texts(["-", "+", "0", "1", "9", "99999", "995", ".", "e", "E", "x", " ", "_", ","], most=8)
    | st.decimals(allow_nan=False, allow_infinity=False).map(str)
    | st.integers().map(str)
    | st.integers(1, 9).map(lambda turns: str(turns * 2**128 + 7))
)


@given(columns(number_texts), st.sampled_from([(12, 2), (18, 2), (9, 4)]))
def test_a_column_of_decimals_is_read_like_its_values(
    values: list[str | None], size: tuple[int, int]
) -> None:
    reading = rules.read_decimals(strings(*values), *size)
    read = each(lambda text: value_rules.decimal_of(text, *size), values)
    assert reading.values.to_pylist() == read
    numbers = each(value_rules.number_of, values)
    assert reading.missing.to_pylist() == [not (text or "").strip() for text in values]
    for text, number, value, unreadable, beyond in zip(
        values, numbers, read, reading.unreadable.to_pylist(), reading.out_of_range.to_pylist(),
        strict=True,
    ):  # fmt: skip
        present = bool(text and text.strip())
        assert unreadable == (present and number is None)
        assert beyond == (present and number is not None and value is None)
    assert rules.read_decimals(reading.values, *size).values.equals(reading.values)


@given(columns(number_texts))
def test_a_column_of_integers_is_read_like_its_values(values: list[str | None]) -> None:
    reading = rules.read_integers(strings(*values))
    assert reading.values.to_pylist() == each(value_rules.integer_of, values)
    assert rules.read_integers(reading.values).values.equals(reading.values)


@given(st.lists(st.floats() | st.none()))
def test_a_float_is_read_by_its_shortest_notation(values: list[float | None]) -> None:
    reading = rules.read_decimals(pa.array(values, pa.float64()), 18, 2)
    wanted = each(lambda value: value_rules.decimal_of(repr(value), 18, 2), values)
    assert reading.values.to_pylist() == wanted


@pytest.mark.parametrize(
    "column",
    [
        pa.array([Decimal("1.005"), Decimal(7)], pa.decimal128(10, 3)),
        pa.array([Decimal("1.005"), Decimal(7)], pa.decimal128(20, 6)),
        pa.array([Decimal("1.005"), Decimal(7)], pa.decimal256(60, 20)),
        pa.array(["1.005", "7"], pa.large_string()),
        pa.array(["1.005", "7"]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type),
)
def test_decimals_come_as_text_or_typed(column: pa.Array) -> None:
    reading = rules.read_decimals(column, 12, 2)
    assert reading.values.to_pylist() == [Decimal("1.01"), Decimal("7.00")]
    assert rules.read_integers(column).values.to_pylist() == [None, 7]


@pytest.mark.parametrize("kind", [pa.int8(), pa.int32(), pa.int64(), pa.uint64()], ids=str)
def test_integers_come_typed(kind: pa.DataType) -> None:
    column = pa.array([7, None], kind)
    assert rules.read_integers(column).values.to_pylist() == [7, None]
    assert rules.read_decimals(column, 12, 2).values.to_pylist() == [Decimal("7.00"), None]


def test_typed_numbers_are_held_to_the_range_of_the_column() -> None:
    assert rules.read_integers(pa.array([2**31])).out_of_range.to_pylist() == [True]
    large = pa.array([Decimal(10) ** 10], pa.decimal128(20, 2))
    assert rules.read_decimals(large, 12, 2).out_of_range.to_pylist() == [True]


@given(
    st.lists(
        st.decimals(-1000, 1000, places=5)
        | st.sampled_from(["-1.005", "1.005", "-1.015", "99.995", "-99.995", "99.9949"]).map(
            Decimal
        )
    )
)
def test_computed_decimals_are_rounded_like_read_ones(values: list[Decimal]) -> None:
    fitted, beyond = rules.fit_decimals(pa.array(values, pa.decimal128(20, 5)), 4, 2)
    with localcontext(rounding=ROUND_HALF_UP):
        rounded = [value.quantize(Decimal("0.01")) for value in values]
    assert beyond.to_pylist() == [abs(value) >= 100 for value in rounded]
    assert fitted.to_pylist() == [value if abs(value) < 100 else None for value in rounded]


# --- what a server stores ----------------------------------------------------------------


@given(columns(texts("aé漢😀", most=4)), st.integers(0, 5))
def test_width_is_counted_in_utf16_units(values: list[str | None], width: int) -> None:
    wanted = [value is not None and len(value.encode("utf-16-le")) // 2 > width for value in values]
    assert rules.utf16_too_long(strings(*values), width).to_pylist() == wanted


@given(columns(texts("a\x00é")))
def test_a_nul_is_bad_text(values: list[str | None]) -> None:
    wanted = ["\x00" in (value or "") for value in values]
    assert rules.has_bad_text(strings(*values)).to_pylist() == wanted
    assert rules.has_bad_text(pa.array(values, pa.large_string())).to_pylist() == wanted


def test_numbers_hold_no_bad_text() -> None:
    assert rules.has_bad_text(pa.array([0, 1])).to_pylist() == [False, False]


# --- scalars as text ---------------------------------------------------------------------


class Colour(str):
    """A text of a class of its own."""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None), (" a ", " a "), (Colour("red"), "red"), (True, "true"), (False, "false"),
        (7, "7"), (0.1, "0.1"), (np.float64(1.5), "1.5"), (np.int64(7), "7"),
        (Decimal("1.50"), "1.50"), (date(33, 1, 5), "0033-01-05"),
        (datetime(2024, 1, 5, 10), "2024-01-05T10:00:00"), (10**5000, "1" + "0" * 5000),
        (float("nan"), "nan"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_scalars_become_the_text_a_source_would_have_written(
    value: object, text: str | None
) -> None:
    assert value_rules.as_text(value) == text


@pytest.mark.parametrize("value", [{}, []])
def test_what_is_no_scalar_has_no_text(value: object) -> None:
    with pytest.raises(TypeError, match="a single value is wanted"):
        value_rules.as_text(value)


def test_half_a_character_is_found() -> None:
    assert value_rules.has_lone_surrogate("a\ud800")
    assert not value_rules.has_lone_surrogate("a😀")


@pytest.mark.parametrize(
    "clean",
    [
        rules.clean_text, rules.clean_name, rules.clean_email, read_dates,
        read_timestamps, rules.email_is_valid, rules.has_bad_text, rules.is_missing,
        lambda column: rules.clean_phone(column, "425")[0],
        lambda column: rules.read_decimals(column, 12, 2).values,
        lambda column: rules.read_integers(column).values,
        lambda column: rules.utf16_too_long(column, 3),
    ],
)  # fmt: skip
def test_empty_and_missing_columns_are_no_trouble(clean: Callable[[pa.Array], pa.Array]) -> None:
    assert len(clean(pa.array([], pa.string()))) == 0
    assert clean(strings(None)).to_pylist() in ([None], [False], [True])

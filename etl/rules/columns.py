"""The field cleaners over whole Arrow columns: text, names, e-mail, phone, numbers.

They give the same results as `value_rules`, where each rule stands once: kernels do the plain
values, and what is not plain goes through the rule, once per distinct value. Missing is null.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from etl.rules.values import (
    COUNTRY_CODE,
    DIGIT,
    EMAIL,
    EXTENSION,
    FOREIGN_DIGITS,
    FULL_DIGITS,
    FULL_NUMBER,
    INTEGER_BITS,
    LOCAL_DIGITS,
    STANDARD_NUMBER,
    decimal_of,
    integer_of,
    is_whole,
    local_template,
    name_of,
    number_of,
    utf16_length,
)
from etl.schema.columns import KEY_WIDTH

_WHITE_SPACE = "".join(chr(code) for code in range(0x3001) if chr(code).isspace())


def as_text_column(column: pa.Array) -> pa.Array:
    """A column of any scalar type as text; timestamps with a zone as their wall clock."""
    if pa.types.is_string(column.type):
        return column
    if pa.types.is_timestamp(column.type) and column.type.tz:
        column = pc.local_timestamp(column)
    return column.cast(pa.string())


def clean_text(column: pa.Array) -> pa.Array:
    """Trims; what is empty then becomes null.

    Example:
        >>> clean_text(pa.array([" a b ", " ", None])).to_pylist()
        ['a b', None, None]
    """
    text = pc.utf8_trim(as_text_column(column), characters=_WHITE_SPACE)
    empty = pc.equal(text, "")
    return pc.if_else(empty, None, text) if empty.true_count else text


def is_missing(column: pa.Array) -> pa.Array:
    """Where nothing is left after trimming."""
    return pc.is_null(clean_text(column))


def by_distinct(column: pa.Array, rule: Callable[[Any], object], kind: pa.DataType) -> pa.Array:
    """A rule for one value over a column, computed once per distinct value; null stays null.

    Args:
        column: any column that can be dictionary encoded.
        rule: from one value to one value.
        kind: the type of the result.

    Example:
        >>> by_distinct(pa.array(["b", None, "b"]), str.upper, pa.string()).to_pylist()
        ['B', None, 'B']
    """
    encoded = column.dictionary_encode()
    values = pa.array([rule(value) for value in encoded.dictionary.to_pylist()], kind)
    return values.take(encoded.indices)


def _where_plain(
    column: pa.Array,
    plain: pa.Array,
    kernel: Callable[[pa.Array], pa.Array],
    others: Callable[[pa.Array], pa.Array],
) -> pa.Array:
    """The kernel for plain values, another for the others; nulls count as plain."""
    odd = pc.fill_null(pc.invert(plain), False)
    if not odd.true_count:
        return kernel(column)
    easy = kernel(pc.if_else(odd, None, column))
    return pc.replace_with_mask(easy, odd, others(column.filter(odd)).cast(easy.type))


def _each(rule: Callable[[Any], object], kind: pa.DataType) -> Callable[[pa.Array], pa.Array]:
    """A rule for one value as one for a column."""
    return lambda column: by_distinct(column, rule, kind)


# ASCII without apostrophes, single spaces between words.
_PLAIN_NAME = "^[!-&(-~]+(?: [!-&(-~]+)*$"


def clean_name(column: pa.Array) -> pa.Array:
    """Trimmed, single spaces, title case, see `name_of`.

    Example:
        >>> clean_name(pa.array(["  JANE   o'neil ", ""])).to_pylist()
        ["Jane O'Neil", None]
    """
    text = as_text_column(column)
    plain = pc.match_substring_regex(text, _PLAIN_NAME)
    return _where_plain(text, plain, pc.ascii_title, _each(name_of, pa.string()))


def clean_email(column: pa.Array) -> pa.Array:
    """Trims and lowers.

    Example:
        >>> clean_email(pa.array([" John@Email.COM "])).to_pylist()
        ['john@email.com']
    """
    text = clean_text(column)
    lower = _each(str.lower, pa.string())
    return _where_plain(text, pc.string_is_ascii(text), pc.ascii_lower, lower)


def email_is_valid(emails: pa.Array) -> pa.Array:
    """Which cleaned texts have the form of an e-mail address; missing ones have not.

    Example:
        >>> email_is_valid(pa.array(["a@b.org", "a@b", None])).to_pylist()
        [True, False, False]
    """
    return pc.fill_null(pc.match_substring_regex(emails, f"^(?:{EMAIL})$"), False)


def clean_phone(
    column: pa.Array, default_area_code: str | None = None
) -> tuple[pa.Array, pa.Array]:
    """Return phone numbers in standard form, and which of them are full ones.

    Args:
        column: numbers in any notation.
        default_area_code: three digits that stand in when there are only seven.

    Example:
        >>> phones, valid = clean_phone(pa.array(["555.123.4567", "5551234", "-"]))
        >>> phones.to_pylist(), valid.to_pylist()
        (['(555) 123-4567', '555-1234', '-'], [True, False, False])
    """
    text = clean_text(column)
    odd = pc.fill_null(pc.match_substring_regex(text, _ODD_PHONE), False)
    if not odd.true_count:
        return _plain_phones(text, default_area_code)
    phones, valid = _plain_phones(pc.if_else(odd, None, text), default_area_code)
    numbers, full = _odd_phones(text.filter(odd), default_area_code)
    return pc.replace_with_mask(phones, odd, numbers), pc.replace_with_mask(valid, odd, full)


# A country code other than 1.
_FOREIGN = r"^\+[^0-9]*[02-9]"
# That, or an extension.
_ODD_PHONE = _FOREIGN + "|[xX]"
_EXTENSION = f"^(?i:{EXTENSION.pattern})$"
_STANDARD = f"^(?:{STANDARD_NUMBER})$"


def _odd_phones(text: pa.Array, default_area_code: str | None) -> tuple[pa.Array, pa.Array]:
    """The phone numbers that are foreign or may have an extension, as `phone_of` reads them."""
    foreign = pc.match_substring_regex(text, _FOREIGN)
    parts = pc.extract_regex(pc.if_else(foreign, None, text), _EXTENSION)
    number, extension = (pc.struct_field(parts, name) for name in ("number", "extension"))
    phones, full = _plain_phones(pc.coalesce(number, text), default_area_code)
    twice = pc.fill_null(pc.match_substring_regex(number, _EXTENSION), False)
    extended = pc.and_not(pc.match_substring_regex(phones, _STANDARD), twice)
    with_extension = pc.binary_join_element_wise(phones, extension, " ext ")
    phones = pc.if_else(pc.is_null(extension), phones, pc.if_else(extended, with_extension, text))
    full = pc.and_(full, pc.or_(pc.is_null(extension), extended))
    return pc.if_else(foreign, text, phones), pc.if_else(foreign, _may_be_foreign(text), full)


def _may_be_foreign(text: pa.Array) -> pa.Array:
    counts = np.diff(_digits_of(text)[1])
    return pa.array((counts >= FOREIGN_DIGITS.start) & (counts < FOREIGN_DIGITS.stop))


def _plain_phones(text: pa.Array, default_area_code: str | None) -> tuple[pa.Array, pa.Array]:
    digits, starts = _digits_of(pc.fill_null(text, ""))
    lengths, starts = np.diff(starts), starts[:-1]
    eleven = np.flatnonzero(lengths == FULL_DIGITS + 1)
    prefixed = np.zeros(len(text), dtype=bool)
    prefixed[eleven] = digits[starts[eleven]] == ord(COUNTRY_CODE)
    full, local = (lengths == FULL_DIGITS) | prefixed, lengths == LOCAL_DIGITS
    template = local_template(default_area_code)
    text = _format_digits(text, full, digits, starts + prefixed, FULL_NUMBER)
    text = _format_digits(text, local, digits, starts, template)
    return text, pa.array(full | local if default_area_code else full)


def bytes_of(column: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Return the UTF-8 bytes of a text column and where each value starts, without a copy."""
    _, offsets, data = column.buffers()
    if not len(column) or data is None:
        return np.zeros(0, np.uint8), np.zeros(len(column) + 1, np.int32)
    starts = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return np.frombuffer(data, np.uint8)[starts[0] : starts[-1]], starts - starts[0]


def _digits_of(column: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The ASCII digits of a text column and where those of each value start."""
    data, starts = bytes_of(column)
    is_digit = (data - np.uint8(ord("0"))) < 10  # noqa: PLR2004  # smaller bytes wrap around
    digits_before = np.zeros(len(data) + 1, np.int32)
    np.cumsum(is_digit, out=digits_before[1:])
    return data[is_digit], digits_before[starts]


def _format_digits(
    text: pa.Array,
    rows: NDArray[np.bool_],
    digits: NDArray[np.uint8],
    starts: NDArray[np.int32],
    template: str,
) -> pa.Array:
    """The text, in these rows replaced by the template with the row's digits filled in."""
    if not rows.any():
        return text
    first = starts[rows]
    filled = np.tile(np.frombuffer(template.encode(), np.uint8), (len(first), 1))
    places = [place for place, character in enumerate(template) if character == DIGIT]
    for nth, place in enumerate(places):
        filled[:, place] = digits[first + nth]
    offsets = np.arange(len(first) + 1, dtype=np.int32) * len(template)
    values = pa.StringArray.from_buffers(len(first), pa.py_buffer(offsets), pa.py_buffer(filled))
    return pc.replace_with_mask(text, pa.array(rows), values)


@dataclass(frozen=True)
class Reading:
    """A column that was read, and what became of the values that could not be.

    Attributes:
        values: null where one of the others is true.
        missing: there was nothing to read.
        unreadable: there was something else than what is wanted.
        out_of_range: it was read and is larger than the column.
    """

    values: pa.Array
    missing: pa.Array
    unreadable: pa.Array
    out_of_range: pa.Array


_DECIMAL128_DIGITS = 38  # that surely fit


def read_decimals(column: pa.Array, precision: int, scale: int) -> Reading:
    """Exact numbers, rounded half away from zero, see `decimal_of`.

    Args:
        column: text, or numbers of any type; floats by their shortest notation.
        precision: digits in all that the column holds.
        scale: of these, digits after the point.

    Example:
        >>> reading = read_decimals(pa.array(["1.005", "1,5", "1e9"]), 6, 2)
        >>> reading.values.to_pylist(), reading.unreadable.to_pylist()
        ([Decimal('1.01'), None, None], [False, True, False])
    """
    kind = pa.decimal128(precision, scale)
    given = column.type
    if (
        pa.types.is_decimal(given)
        and given.scale <= scale
        and given.precision - given.scale <= precision - scale
    ):
        return _all_read(column.cast(kind))
    text = clean_text(column)
    try:
        return _all_read(_cast_decimals(text, kind))
    except pa.ArrowInvalid:  # refuses more digits than the column has, and what is no number
        pattern = rf"^-?[0-9]{{1,{precision - scale}}}(?:\.[0-9]{{0,{scale}}})?$"
        values = _where_plain(
            text,
            pc.match_substring_regex(text, pattern),
            lambda plain: plain.cast(kind),
            _each(lambda value: decimal_of(value, precision, scale), kind),
        )
        return _reading(text, values, lambda value: number_of(value) is not None)


def _cast_decimals(text: pa.Array, kind: pa.DataType) -> pa.Array:
    """Arrow's own reading, which loses what exceeds 128 bits: so many digits are refused."""
    longest = pc.max(pc.binary_length(text)).as_py() or 0
    if longest > _DECIMAL128_DIGITS:
        raise pa.ArrowInvalid(f"{longest} digits, where {_DECIMAL128_DIGITS} are read")
    return text.cast(kind)


def read_integers(column: pa.Array) -> Reading:
    """Whole numbers of 32 bits, as int64, see `integer_of`.

    Args:
        column: text, or numbers of any type.

    Example:
        >>> reading = read_integers(pa.array(["2", "2.5", "1e10"]))
        >>> reading.values.to_pylist(), reading.out_of_range.to_pylist()
        ([2, None, None], [False, False, True])
    """
    if pa.types.is_signed_integer(column.type) and column.type.bit_width <= INTEGER_BITS:
        return _all_read(column.cast(pa.int64()))
    text = clean_text(column)
    plain = pc.match_substring_regex(text, "^-?[0-9]{1,9}$")
    values = _where_plain(
        text, plain, lambda plain: plain.cast(pa.int64()), _each(integer_of, pa.int64())
    )
    return _reading(text, values, _is_whole_number)


_BIGINT_DIGITS = 19  # of 2**63


def read_bigints(column: pa.Array) -> Reading:
    """Whole numbers of 64 bits.

    Args:
        column: text, or numbers of any type.

    Example:
        >>> reading = read_bigints(pa.array(["9223372036854775807", "2.5", "1e30"]))
        >>> reading.values.to_pylist(), reading.out_of_range.to_pylist()
        ([9223372036854775807, None, None], [False, False, True])
    """
    if pa.types.is_signed_integer(column.type):
        return _all_read(column.cast(pa.int64()))
    reading = read_decimals(column, _BIGINT_DIGITS, 0)
    fraction = pc.match_substring_regex(clean_text(column), r"\.[0-9]*[1-9]")
    fraction = pc.fill_null(fraction, False)
    largest = pa.scalar(2**63 - 1, pa.decimal128(_BIGINT_DIGITS, 0))
    wide = pc.fill_null(pc.greater(pc.abs(reading.values), largest), False)
    values = pc.if_else(pc.or_(wide, fraction), None, reading.values).cast(pa.int64())
    unreadable = pc.or_(reading.unreadable, fraction)
    return Reading(values, reading.missing, unreadable, pc.or_(reading.out_of_range, wide))


def read_doubles(column: pa.Array) -> Reading:
    """Floating-point numbers; what is not finite is unreadable, NaN is missing.

    Args:
        column: text, or numbers of any type.

    Example:
        >>> reading = read_doubles(pa.array(["1.5", "1e3", "one"]))
        >>> reading.values.to_pylist(), reading.unreadable.to_pylist()
        ([1.5, 1000.0, None], [False, False, True])
    """
    kind, given = pa.float64(), column.type
    if not (pa.types.is_floating(given) or pa.types.is_integer(given)):
        column = clean_text(column)
    try:
        found = column.cast(kind, safe=False)
    except pa.ArrowInvalid:
        found = by_distinct(column, _double_of, kind)
    missing = pc.or_(pc.is_null(column), pc.fill_null(pc.is_nan(found), False))
    values = pc.if_else(pc.is_finite(found), found, None)
    none = no_rows(len(column))
    return Reading(values, missing, pc.and_not(pc.is_null(values), missing), none)


def _double_of(text: str) -> float | None:
    number = number_of(text)
    return None if number is None else float(number)


def _is_whole_number(text: str) -> bool:
    number = number_of(text)
    return number is not None and is_whole(number)


def _all_read(values: pa.Array) -> Reading:
    none = no_rows(len(values))
    return Reading(values, pc.is_null(values), none, none)


def _reading(text: pa.Array, values: pa.Array, is_number: Callable[[str], bool]) -> Reading:
    lost = pc.and_(pc.is_null(values), pc.is_valid(text))
    if not lost.true_count:
        return _all_read(values)
    readable = pc.fill_null(by_distinct(pc.if_else(lost, text, None), is_number, pa.bool_()), False)
    return Reading(values, pc.is_null(text), pc.and_not(lost, readable), readable)


def no_rows(length: int) -> pa.Array:
    """A mask that is true nowhere."""
    return pa.repeat(pa.scalar(False), length)


def fit_decimals(column: pa.Array, precision: int, scale: int) -> tuple[pa.Array, pa.Array]:
    """Computed decimals rounded half away from zero to a column's scale.

    Returns:
        The values, null where they have more digits than the column; and where that is.

    Example:
        >>> computed = pa.array([Decimal("-1.005"), Decimal("99.995")], pa.decimal128(10, 3))
        >>> [part.to_pylist() for part in fit_decimals(computed, 4, 2)]
        [[Decimal('-1.01'), None], [False, True]]
    """
    if column.type.scale > scale:
        column = pc.round(column, ndigits=scale, round_mode="half_towards_infinity")
    too_large = pc.fill_null(
        pc.greater_equal(pc.abs(column), pa.scalar(Decimal(10) ** (precision - scale))), False
    )
    if too_large.true_count:
        column = pc.if_else(too_large, None, column)
    return column.cast(pa.decimal128(precision, scale)), too_large


def utf16_too_long(column: pa.Array, width: int) -> pa.Array:
    """Which texts need more than `width` UTF-16 code units.

    Example:
        >>> utf16_too_long(pa.array(["ab", "😀", "abc", None]), 2).to_pylist()
        [False, False, True, False]
    """
    # UTF-8 never takes fewer bytes than UTF-16 takes units
    suspects = pc.fill_null(pc.greater(pc.binary_length(column), width), False)
    if not suspects.true_count:
        return suspects
    long = by_distinct(column.filter(suspects), lambda text: utf16_length(text) > width, pa.bool_())
    return pc.replace_with_mask(suspects, suspects, long)


def has_bad_text(column: pa.Array) -> pa.Array:
    r"""Which texts hold a NUL. A lone surrogate cannot stand in an Arrow string at all.

    Example:
        >>> has_bad_text(pa.array(["a", "a\x00", None])).to_pylist()
        [False, True, False]
    """
    if not _is_text(column.type):
        return no_rows(len(column))
    text = as_text_column(column)
    if bytes_of(text)[0].all():  # far quicker than the kernel
        return no_rows(len(column))
    return pc.fill_null(pc.match_substring(text, "\x00"), False)


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_dictionary(kind)
    )


def storable_keys(rows: pa.RecordBatch, width: int = KEY_WIDTH) -> pa.RecordBatch:
    r"""The rows whose `record_key` a column can hold; any other key is in no warehouse.

    Left out are those without a key, those with a NUL, and those that are too wide.

    Example:
        >>> keys = ["C1", None, "C\0", "C" * 51]
        >>> storable_keys(pa.record_batch({"record_key": keys})).to_pylist()
        [{'record_key': 'C1'}]
    """
    rows = rows.filter(pc.is_valid(rows.column("record_key")))
    rows = rows.filter(pc.invert(pc.match_substring(rows.column("record_key"), "\0")))
    return rows.filter(pc.invert(utf16_too_long(rows.column("record_key"), width)))

"""What a field must look like: text, names, e-mail, phone, dates, numbers.

Each rule stands once, as a plain function over one value (the first half of this module). The
column functions (the second half) give the same results for a whole Arrow column: kernels do
the plain values, and what is not plain goes through the rule, once per distinct value. Every
rule is idempotent: cleaning what is clean changes nothing.

Missing means None or null. White space is what `str.isspace` says.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

INTEGER_BITS = 32  # INTEGER on every engine

# --- rules for one value -----------------------------------------------------------------


def as_text(value: object) -> str | None:
    """A scalar of any type as the text a source would have written.

    Raises:
        TypeError: the value is a dict or a list.

    Example:
        >>> [as_text(value) for value in (None, " a ", True, 1.50, Decimal("1.50"))]
        [None, ' a ', 'true', '1.5', '1.50']
        >>> as_text(datetime(2024, 1, 15, 10, 30))
        '2024-01-15T10:30:00'
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return float.__repr__(value)  # numpy's own repr says np.float64(1.5)
    if isinstance(value, int):
        return str(Decimal(value))  # str refuses integers of more than 4,300 digits
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict | list):
        raise TypeError(f"a single value is wanted, not a {type(value).__name__}")
    return str(value)


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def has_lone_surrogate(text: str) -> bool:
    r"""Whether the text holds half of a character, which cannot be written as UTF-8.

    Example:
        >>> has_lone_surrogate("a\ud83d"), has_lone_surrogate("a😀")
        (True, False)
    """
    return _LONE_SURROGATE.search(text) is not None


def trimmed(text: str) -> str | None:
    """The text without white space around it; None when nothing is left.

    Example:
        >>> trimmed(" NA "), trimmed("  ")
        ('NA', None)
    """
    return text.strip() or None


def collapsed(text: str) -> str:
    """Trimmed, and every run of white space inside made one space."""
    return " ".join(text.split())


_APOSTROPHES = ("'", "\u2019")
# Combining accents, and the half ring into which the capital of ẚ falls apart.
_MARKS = "\u0300-\u036f\u02be"
_MARK = re.compile(f"[{_MARKS}]")
_LETTERS = re.compile(f"[^{_MARKS}][{_MARKS}]*|[{_MARKS}]+")


def title_cased(text: str) -> str:
    """`str.title`, but small after an apostrophe unless two letters or more follow.

    And an accent belongs to the letter before it, whereas `str.title` begins a new word after a
    combining one. That shows where é is written as two characters, and in what lowering has
    taken apart: it makes DİLEK `Di̇lek`, and of that `Di̇Lek`.

    Example:
        >>> [title_cased(text) for text in ("o'neil", "MEN'S", "van-der-berg", "DİLEK")]
        ["O'Neil", "Men's", 'Van-Der-Berg', 'Di̇lek']
    """
    titled = text.title()
    if _MARK.search(titled):
        titled = "".join(_title_word(word) for word in _words(text))
    if any(apostrophe in titled for apostrophe in _APOSTROPHES):
        titled = _small_after_apostrophes(titled)
    return titled


def _words(text: str) -> list[str]:
    """Runs of characters that have a case, with their accents, and what stands between."""
    starts: list[int] = []
    in_word = False
    for at, character in enumerate(text):
        cased = character.islower() or character.isupper() or character.istitle()
        if not (in_word and (cased or _MARK.match(character))):
            starts.append(at)
            in_word = cased
    return [text[start:end] for start, end in pairwise([*starts, len(text)])]


def _title_word(word: str) -> str:
    return word[0].title() + word.lower()[len(word[0].lower()) :]


def _small_after_apostrophes(titled: str) -> str:
    letters = _LETTERS.findall(titled)  # each with its accents
    is_letter = [letter[0].isalpha() for letter in letters] + [False]
    for at in range(2, len(letters)):
        alone = is_letter[at] and not is_letter[at + 1]
        if alone and letters[at - 1] in _APOSTROPHES and is_letter[at - 2]:
            letters[at] = _small(letters[at])
    return "".join(letters)


def _small(letter: str) -> str:
    small = letter.lower()
    # the capital of ß is two letters, so that ẞ would not come back as one
    return small if len(small.title()) == len(small) else letter


def name_of(text: str) -> str | None:
    """Trimmed, single spaces, title case; None when nothing is left.

    Example:
        >>> name_of(" JANE   o'neil ")
        "Jane O'Neil"
    """
    return title_cased(collapsed(text)) or None


_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_EMAIL = rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+[a-z]{{2,}}"


def is_email(text: str) -> bool:
    """Whether a cleaned text has the form of an e-mail address.

    Example:
        >>> is_email("john.smith@email.com"), is_email("john@localhost")
        (True, False)
    """
    return re.fullmatch(_EMAIL, text) is not None


_DIGIT = "#"
_FULL_NUMBER = "(###) ###-####"
_LOCAL_NUMBER = "###-####"
_FULL_DIGITS = _FULL_NUMBER.count(_DIGIT)
_LOCAL_DIGITS = _LOCAL_NUMBER.count(_DIGIT)
_COUNTRY_CODE = "1"  # of the North American numbering plan


def _local_template(default_area_code: str | None) -> str:
    return f"({default_area_code}) {_LOCAL_NUMBER}" if default_area_code else _LOCAL_NUMBER


def phone_of(text: str, default_area_code: str | None = None) -> tuple[str | None, bool]:
    """The phone number in standard form, and whether it is a full one.

    Args:
        text: in any notation.
        default_area_code: three digits that stand in when there are only seven.

    Returns:
        The number and True; as far as it could be read and False; (None, False) when missing.

    Example:
        >>> phone_of("1-800-555-1234"), phone_of("5551234"), phone_of("5551234", "425")
        (('(800) 555-1234', True), ('555-1234', False), ('(425) 555-1234', True))
        >>> phone_of(" ext. 12 ")
        ('ext. 12', False)
    """
    digits = re.sub("[^0-9]", "", text)
    if len(digits) == _FULL_DIGITS + 1:
        digits = digits.removeprefix(_COUNTRY_CODE)
    if len(digits) == _FULL_DIGITS:
        return _filled_in(_FULL_NUMBER, digits), True
    if len(digits) == _LOCAL_DIGITS:
        return _filled_in(_local_template(default_area_code), digits), bool(default_area_code)
    return trimmed(text), False


def _filled_in(template: str, digits: str) -> str:
    return template.replace(_DIGIT, "{}").format(*digits)


_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july",
    "august", "september", "october", "november", "december",
)  # fmt: skip
_MONTH_NUMBERS = {
    name: number for number, full in enumerate(_MONTHS, 1) for name in (full, full[:3])
}
_DATE_FORMS = (
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})",
    r"(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})/(?P<year>[0-9]{4})",
    r"(?P<day>[0-9]{1,2}) (?P<name>[A-Za-z]+) (?P<year>[0-9]{4})",
    r"(?P<name>[A-Za-z]+) (?P<day>[0-9]{1,2}), (?P<year>[0-9]{4})",
)
_TIME = (
    r"(?:T|\s+)(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})"
    r"(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]+))?)?"
    r"(?: ?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?))?"
)
_TIMESTAMPS = tuple(re.compile(f"{form}(?:{_TIME})?") for form in _DATE_FORMS)


def timestamp_of(text: str) -> datetime | None:
    """A date, with or without a time, in one of the four forms; None when it is none.

    Slashes are month first. An offset is dropped: the wall clock is kept, to the microsecond.

    Example:
        >>> timestamp_of("2024-01-15T10:30:00.5Z")
        datetime.datetime(2024, 1, 15, 10, 30, 0, 500000)
        >>> timestamp_of("02/01/2024") == timestamp_of("1 Feb 2024") == timestamp_of("Feb 1, 2024")
        True
        >>> timestamp_of("2024-02-30") is timestamp_of("yesterday") is None
        True
    """
    text = text.strip()
    for form in _TIMESTAMPS:
        if match := form.fullmatch(text):
            return _timestamp_of_parts(match.groupdict())
    return None


def _timestamp_of_parts(parts: dict[str, str | None]) -> datetime | None:
    month = parts.get("month") or _MONTH_NUMBERS.get((parts.get("name") or "").lower(), 0)
    fraction = (parts["fraction"] or "")[:6].ljust(6, "0")
    try:
        return datetime(  # the wall clock, wherever it hangs
            year=int(parts["year"] or 0),
            month=int(month),
            day=int(parts["day"] or 0),
            hour=int(parts["hour"] or 0),
            minute=int(parts["minute"] or 0),
            second=int(parts["second"] or 0),
            microsecond=int(fraction),
        )
    except ValueError:
        return None


_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# Wide enough for DECIMAL(38, s), the widest column there is; traps nothing but what cannot be.
_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)
_INTEGER_END = 2 ** (INTEGER_BITS - 1)


def number_of(text: str) -> Decimal | None:
    """The exact value of a number written plainly or with an exponent; None when it is none.

    Example:
        >>> number_of(" 1.50 "), number_of("2e1"), number_of("$5"), number_of("NaN")
        (Decimal('1.50'), Decimal('2E+1'), None, None)
    """
    text = text.strip()
    if not _NUMBER.fullmatch(text):
        return None
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent of 19 digits or more
        return _beyond_exponents(text)


def _beyond_exponents(text: str) -> Decimal:
    mantissa, _, exponent = text.lower().partition("e")
    if not Decimal(mantissa):
        return Decimal(0)
    return Decimal("1e-999999") if exponent.startswith("-") else Decimal("Infinity")


def decimal_of(text: str, precision: int, scale: int) -> Decimal | None:
    """A number rounded half away from zero; None when it is none, or has too many digits.

    Args:
        text: the number.
        precision: digits in all that the column holds.
        scale: of these, digits after the point.

    Example:
        >>> decimal_of("-1.005", 12, 2), decimal_of("1e10", 12, 2)
        (Decimal('-1.01'), None)
    """
    number = number_of(text)
    end = Decimal(1).scaleb(precision - scale)
    if number is None or number.copy_abs() >= end:
        return None
    rounded = number.quantize(Decimal(1).scaleb(-scale), context=_EXACT)
    return rounded if rounded.copy_abs() < end else None


def integer_of(text: str) -> int | None:
    """A whole number of 32 bits, however it is written; None when it is none.

    Example:
        >>> integer_of("2"), integer_of("2.0"), integer_of("2e1"), integer_of("2.5")
        (2, 2, 20, None)
    """
    number = number_of(text)
    if number is None or not is_whole(number) or not -_INTEGER_END <= number < _INTEGER_END:
        return None
    return int(number)


def is_whole(number: Decimal) -> bool:
    """Whether nothing but zeros stands after the point."""
    return number == number.to_integral_value()


def utf16_length(text: str) -> int:
    """Length in UTF-16 code units, as SQL Server counts NVARCHAR.

    Example:
        >>> utf16_length("é"), utf16_length("😀")
        (1, 2)
    """
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


# --- the same for columns ----------------------------------------------------------------

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
    rule: Callable[[Any], object],
) -> pa.Array:
    """The kernel for plain values, the rule for the others; nulls count as plain."""
    odd = pc.fill_null(pc.invert(plain), False)
    if not odd.true_count:
        return kernel(column)
    easy = kernel(pc.if_else(odd, None, column))
    return pc.replace_with_mask(easy, odd, by_distinct(column.filter(odd), rule, easy.type))


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
    return _where_plain(text, plain, pc.ascii_title, name_of)


def clean_email(column: pa.Array) -> pa.Array:
    """Trims and lowers.

    Example:
        >>> clean_email(pa.array([" John@Email.COM "])).to_pylist()
        ['john@email.com']
    """
    text = clean_text(column)
    return _where_plain(text, pc.string_is_ascii(text), pc.ascii_lower, str.lower)


def email_is_valid(emails: pa.Array) -> pa.Array:
    """Which cleaned texts have the form of an e-mail address; missing ones have not.

    Example:
        >>> email_is_valid(pa.array(["a@b.org", "a@b", None])).to_pylist()
        [True, False, False]
    """
    return pc.fill_null(pc.match_substring_regex(emails, f"^(?:{_EMAIL})$"), False)


def clean_phone(
    column: pa.Array, default_area_code: str | None = None
) -> tuple[pa.Array, pa.Array]:
    """Phone numbers in standard form and which of them are full ones, see `phone_of`.

    Args:
        column: numbers in any notation.
        default_area_code: three digits that stand in when there are only seven.

    Example:
        >>> phones, valid = clean_phone(pa.array(["555.123.4567", "5551234", "-"]))
        >>> phones.to_pylist(), valid.to_pylist()
        (['(555) 123-4567', '555-1234', '-'], [True, False, False])
    """
    text = clean_text(column)
    digits, starts = _digits_of(pc.fill_null(text, ""))
    lengths, starts = np.diff(starts), starts[:-1]
    eleven = np.flatnonzero(lengths == _FULL_DIGITS + 1)
    prefixed = np.zeros(len(text), dtype=bool)
    prefixed[eleven] = digits[starts[eleven]] == ord(_COUNTRY_CODE)
    full, local = (lengths == _FULL_DIGITS) | prefixed, lengths == _LOCAL_DIGITS
    template = _local_template(default_area_code)
    text = _format_digits(text, full, digits, starts + prefixed, _FULL_NUMBER)
    text = _format_digits(text, local, digits, starts, template)
    return text, pa.array(full | local if default_area_code else full)


def _bytes_of(column: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The UTF-8 bytes of a text column and where each value starts, without a copy."""
    _, offsets, data = column.buffers()
    if not len(column) or data is None:
        return np.zeros(0, np.uint8), np.zeros(len(column) + 1, np.int32)
    starts = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    return np.frombuffer(data, np.uint8)[starts[0] : starts[-1]], starts - starts[0]


def _digits_of(column: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """The ASCII digits of a text column and where those of each value start."""
    data, starts = _bytes_of(column)
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
    places = [place for place, character in enumerate(template) if character == _DIGIT]
    for nth, place in enumerate(places):
        filled[:, place] = digits[first + nth]
    offsets = np.arange(len(first) + 1, dtype=np.int32) * len(template)
    values = pa.StringArray.from_buffers(len(first), pa.py_buffer(offsets), pa.py_buffer(filled))
    return pc.replace_with_mask(text, pa.array(rows), values)


_MICROSECONDS = pa.timestamp("us")
# What the cast reads rightly: ISO, a day that exists (29 February does not always).
_PLAIN_TIMESTAMP = (
    r"^[1-9][0-9]{3}-"
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    r"(?:[ T](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?)?$"
)


_ISO_LENGTHS = frozenset({10, 16, 19, 26, None})


def read_timestamps(column: pa.Array) -> pa.Array:
    """Wall clock times to the microsecond; null where missing or unreadable, see `timestamp_of`.

    Args:
        column: text, dates, or timestamps of any unit, with or without a zone.

    Example:
        >>> read_timestamps(pa.array(["2024-01-15", "01/15/2024 10:30", "?"])).to_pylist()[1]
        datetime.datetime(2024, 1, 15, 10, 30)
    """
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return _timestamps_of_typed(column)
    text = clean_text(column)
    if _all_iso(text):
        try:
            return text.cast(_MICROSECONDS)
        except pa.ArrowInvalid:
            pass  # one of them is none, and costs the others a look at their pattern
    plain = pc.match_substring_regex(text, _PLAIN_TIMESTAMP)
    return _where_plain(text, plain, lambda values: values.cast(_MICROSECONDS), timestamp_of)


def _all_iso(text: pa.Array) -> bool:
    """Whether the cast takes none of these for a date that the rule does not.

    By their lengths they have no time, or one with minutes, seconds or six digits of fraction.
    """
    lengths = pc.unique(pc.binary_length(text)).to_pylist()
    return _ISO_LENGTHS.issuperset(lengths) and not pc.any(pc.starts_with(text, "0")).as_py()


# The first second of the year 1 and the last of 9999, counted from 1970.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
_TICKS = {"s": 1, "ms": 1_000, "us": 1_000_000}  # ns ends in 2262


def _timestamps_of_typed(column: pa.Array) -> pa.Array:
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s" if pa.types.is_date32(column.type) else "ms"))
    elif column.type.tz:
        column = pc.local_timestamp(column)
    if column.type.unit == "ns":
        return pc.floor_temporal(column, unit="microsecond").cast(_MICROSECONDS)
    ticks, count = _TICKS[column.type.unit], column.cast(pa.int64())
    known = pc.and_(
        pc.greater_equal(count, _FIRST_SECOND * ticks),
        pc.less(count, (_LAST_SECOND + 1) * ticks),
    )  # an engine's infinity is no date
    return pc.if_else(known, column, None).cast(_MICROSECONDS)


def read_dates(column: pa.Array) -> pa.Array:
    """The dates of `read_timestamps`.

    Example:
        >>> read_dates(pa.array(["15 Jan 2024 23:59"])).to_pylist()
        [datetime.date(2024, 1, 15)]
    """
    return read_timestamps(column).cast(pa.date32())


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
        return _all_read(text.cast(kind))
    except pa.ArrowInvalid:  # refuses more digits than the column has, and what is no number
        pattern = rf"^-?[0-9]{{1,{precision - scale}}}(?:\.[0-9]{{0,{scale}}})?$"
        values = _where_plain(
            text,
            pc.match_substring_regex(text, pattern),
            lambda plain: plain.cast(kind),
            lambda value: decimal_of(value, precision, scale),
        )
        return _reading(text, values, lambda value: number_of(value) is not None)


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
    values = _where_plain(text, plain, lambda plain: plain.cast(pa.int64()), integer_of)
    return _reading(text, values, _is_whole_number)


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
    if _bytes_of(text)[0].all():  # far quicker than the kernel
        return no_rows(len(column))
    return pc.fill_null(pc.match_substring(text, "\x00"), False)


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_string_view(kind)
        or pa.types.is_dictionary(kind)
    )

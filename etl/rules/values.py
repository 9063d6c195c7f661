"""What a field must look like, as plain functions over one value: the definition of each rule.

Every rule is idempotent: cleaning what is clean changes nothing. `field_rules` applies them to
whole columns. Missing means None. White space is what `str.isspace` says.
"""

import re
from datetime import date
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from itertools import pairwise

INTEGER_BITS = 32  # INTEGER on every engine


def as_text(value: object) -> str | None:
    """A scalar of any type as the text a source would have written.

    Raises:
        TypeError: the value is a dict or a list.

    Example:
        >>> [as_text(value) for value in (None, " a ", True, 1.50, Decimal("1.50"))]
        [None, ' a ', 'true', '1.5', '1.50']
        >>> as_text(date(2024, 1, 15))
        '2024-01-15'
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


def comparable_status(status: object) -> str:
    """Return the status of a sale as it is compared: in lower case, without blanks around it.

    Example:
        >>> comparable_status(" Completed "), comparable_status(None)
        ('completed', '')
    """
    return str(status or "").strip().lower()


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
EMAIL = rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+[a-z]{{2,}}"


DIGIT = "#"
FULL_NUMBER = "(###) ###-####"
_LOCAL_NUMBER = "###-####"
FULL_DIGITS = FULL_NUMBER.count(DIGIT)
LOCAL_DIGITS = _LOCAL_NUMBER.count(DIGIT)
COUNTRY_CODE = "1"  # of the North American numbering plan


def local_template(default_area_code: str | None) -> str:
    """How a number of seven digits is written, `DIGIT` standing for each."""
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
        >>> phone_of(" ext. 12 "), phone_of("555 123 4567 x9"), phone_of("+49 30 901820")
        (('ext. 12', False), ('(555) 123-4567 ext 9', True), ('+49 30 901820', True))
    """
    if is_foreign(text):
        return trimmed(text), len(_digits(text)) in FOREIGN_DIGITS
    if match := EXTENSION.fullmatch(text.strip()):
        number, valid = phone_of(match["number"], default_area_code)
        if number and _is_standard(number):
            return f"{number} ext {match['extension']}", valid
        return trimmed(text), False
    digits = _digits(text)
    if len(digits) == FULL_DIGITS + 1:
        digits = digits.removeprefix(COUNTRY_CODE)
    if len(digits) == FULL_DIGITS:
        return _filled_in(FULL_NUMBER, digits), True
    if len(digits) == LOCAL_DIGITS:
        return _filled_in(local_template(default_area_code), digits), bool(default_area_code)
    return trimmed(text), False


# With a country code, as E.164 counts them; fewer than 8 are none of a subscriber.
FOREIGN_DIGITS = range(8, 16)
STANDARD_NUMBER = r"(?:\([0-9]{3}\) )?[0-9]{3}-[0-9]{4}"
EXTENSION = re.compile(
    r"(?P<number>.*[0-9)])[ ,;]*(?:extension|ext|x)[.: ]*(?P<extension>[0-9]{1,6})", re.IGNORECASE
)


def _digits(text: str) -> str:
    return re.sub("[^0-9]", "", text)


def is_foreign(text: str) -> bool:
    """Return whether a phone number has a + and a country code other than 1.

    Example:
        >>> is_foreign("+49 30 901820"), is_foreign("+1 555 123 4567"), is_foreign("49 30 901820")
        (True, False, False)
    """
    digits = _digits(text)
    return text.strip().startswith("+") and bool(digits) and digits[0] != COUNTRY_CODE


def _is_standard(number: str) -> bool:
    """Whether a number was brought into its standard form."""
    return re.fullmatch(STANDARD_NUMBER, number) is not None


def _filled_in(template: str, digits: str) -> str:
    return template.replace(DIGIT, "{}").format(*digits)


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

"""The rules of the pipeline, written as slowly and as plainly as possible.

This is the reference: text in, rows out, one record at a time, nothing clever. The pipeline is
compared with it; where a rule is in doubt, read it here. It imports nothing of the project.

It is read from top to bottom: single values, then one record of each source, then what a run
does to the three tables.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, TypeVar
from unicodedata import category, normalize

Record = Mapping[str, str | None]
SourceRow = tuple[int, Record]
Row = dict[str, Any]
Window = tuple[datetime, datetime]
T = TypeVar("T")

CUSTOMER_SOURCE = (
    "customer_id", "first_name", "last_name", "email", "phone", "address", "segment",
    "registration_date",
)  # fmt: skip
PRODUCT_SOURCE = (
    "product_id", "name", "category", "brand", "model", "price", "cost", "quantity", "warehouse",
)  # fmt: skip
SALE_SOURCE = (
    "transaction_id", "customer_id", "product_id", "quantity", "unit_price", "discount_amount",
    "transaction_date", "sales_rep_id",
)  # fmt: skip

COLUMNS = {
    "customer_dim": (
        "customer_id", "name", "first_name", "last_name", "email", "email_valid", "phone",
        "phone_valid", "address", "segment", "source_segment", "registration_date", "is_inferred",
    ),
    "product_dim": (
        "product_id", "name", "category", "source_category", "brand", "model", "price", "cost",
        "price_category", "quantity", "inventory_status", "warehouse", "is_inferred",
    ),
    "sales_fact": (
        "transaction_id", "customer_id", "product_id", "quantity", "unit_price", "discount_amount",
        "total_amount", "profit_amount", "profit_margin", "commission", "value_tier",
        "customer_status", "transaction_date", "sales_rep_id",
    ),
}  # fmt: skip
KEYS = {"customer_dim": "customer_id", "product_dim": "product_id", "sales_fact": "transaction_id"}
DIMENSIONS = ("customer_dim", "product_dim")
RESTATED = ("profit_amount", "profit_margin", "customer_status")


@dataclass(frozen=True)
class Settings:
    """The settings that change a value."""

    default_area_code: str | None = None
    default_cost_ratio: Decimal | None = None
    commission_rate: Decimal = Decimal("0.03")
    loads_returns: bool = False


@dataclass(frozen=True)
class Rejected:
    """Why a record is not loaded: the class of the error and the first field that has it."""

    error_class: str
    field: str


class RejectedError(Exception):
    """Ends the cleaning of one record."""

    def __init__(self, error_class: str, field_name: str) -> None:
        super().__init__(error_class, field_name)
        self.rejected = Rejected(error_class, field_name)


# --- single values: text -------------------------------------------------------------------------


def trim(text: str | None) -> str | None:
    """The text without white space around it; None when nothing is left: that is missing."""
    return (text or "").strip() or None


def collapse(text: str) -> str:
    """Every run of white space becomes one space."""
    return " ".join(text.split())


# Combining accents, and the half ring that the capital of U+1E9A leaves behind.
_ACCENT = "[\u0300-\u036f\u02be]"
_LETTER_WITH_ACCENTS = re.compile(rf"(?!{_ACCENT}).{_ACCENT}*|{_ACCENT}+", re.DOTALL)


def title_case(text: str) -> str:
    """`str.title`, but a lone letter after an apostrophe stays small, and accents end no word.

    Example:
        >>> title_case("o'neil's van-der-berg"), title_case("E\u0301MILE") == "E\u0301mile"
        ("O'Neil's Van-Der-Berg", True)
    """
    titled = text.title()
    if re.search(_ACCENT, titled):
        titled = "".join(_capitalised(word) for word in _words(text))
    letters = _LETTER_WITH_ACCENTS.findall(titled)
    return "".join(
        _small(letter) if _is_alone_after_apostrophe(letters, place) else letter
        for place, letter in enumerate(letters)
    )


def _words(text: str) -> list[str]:
    """Each run of letters with a case, their accents among them; each other character alone."""
    words = [""]
    for letter in text:
        if _has_case(words[-1][:1]) and (_has_case(letter) or re.match(_ACCENT, letter)):
            words[-1] += letter
        else:
            words.append(letter)
    return words


def _has_case(letter: str) -> bool:
    return letter.islower() or letter.isupper() or letter.istitle()


def _capitalised(word: str) -> str:
    return word[:1].title() + word.lower()[len(word[:1].lower()) :]


def _small(letter: str) -> str:
    """The small form, when the letter comes back from it: sharp s does not."""
    return letter.lower() if len(letter.lower().title()) == len(letter.lower()) else letter


def _is_alone_after_apostrophe(letters: Sequence[str], place: int) -> bool:
    """Whether a letter follows (letter, apostrophe) and is itself followed by no letter."""
    before, after = letters[max(place - 2, 0) : place], letters[place + 1 : place + 2]
    follows = len(before) == 2 and before[0][0].isalpha() and before[1] in ("'", "\u2019")
    alone = letters[place][0].isalpha() and not any(letter[0].isalpha() for letter in after)
    return follows and alone


def clean_name(text: str | None) -> str | None:
    """Trimmed, collapsed, in title case.

    Example:
        >>> clean_name("  JANE   doe ")
        'Jane Doe'
    """
    return title_case(collapse(text)) if text and trim(text) else None


def join_name(first: str | None, last: str | None) -> str | None:
    """First and last name with one space between, or the one that is there."""
    return " ".join(part for part in (first, last) if part) or None


_EMAIL_WORD = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_EMAIL = re.compile(
    rf"{_EMAIL_WORD}(\.{_EMAIL_WORD})*@([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{{2,}}"
)


def clean_email(text: str | None) -> tuple[str | None, bool]:
    """The address in lower case, and whether it has the form of one."""
    trimmed = trim(text)
    if trimmed is None:
        return None, False
    return trimmed.lower(), _EMAIL.fullmatch(trimmed.lower()) is not None


def clean_phone(  # noqa: PLR0911  # a case after the other
    text: str | None, area_code: str | None = None
) -> tuple[str | None, bool]:
    """The number in its standard form, and whether it is a full one.

    Example:
        >>> clean_phone("1-555-123-4567"), clean_phone("5551234"), clean_phone("5551234", "212")
        (('(555) 123-4567', True), ('555-1234', False), ('(212) 555-1234', True))
    """
    trimmed = trim(text)
    digits = "".join(letter for letter in trimmed or "" if letter in "0123456789")
    if trimmed and trimmed[0] == "+" and digits and digits[0] != "1":
        return trimmed, 8 <= len(digits) <= 15
    parts = re.split(r"[ ,;]*(?:extension|ext|x)[.: ]*(?=[0-9]{1,6}\Z)", trimmed or "", flags=re.I)
    if len(parts) == 2 and parts[0][-1:] in tuple("0123456789)"):
        number, valid = clean_phone(parts[0], area_code)
        if number and re.fullmatch(r"(\([0-9]{3}\) )?[0-9]{3}-[0-9]{4}", number):
            return f"{number} ext {parts[1]}", valid
        return trimmed, False
    if len(digits) == 11 and digits.startswith("1"):
        digits = digits[1:]
    if len(digits) == 10:
        return f"({digits[:3]}) {digits[3:6]}-{digits[6:]}", True
    if len(digits) == 7 and area_code:
        return f"({area_code}) {digits[:3]}-{digits[3:]}", True
    if len(digits) == 7:
        return f"{digits[:3]}-{digits[3:]}", False
    return trimmed, False


def utf16_units(text: str) -> int:
    """How long SQL Server finds the text: an emoji counts two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


# --- single values: dates and numbers ------------------------------------------------------------

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_GAP = "[ \t\u00a0\u2009\u202f]"
_DATE_FORMS = (
    r"(?P<year>[0-9]{4})[-/.](?P<month>[0-9]{1,2})[-/.](?P<day>[0-9]{1,2})",
    r"(?P<year>[0-9]{4})(?P<month>[0-9]{2})(?P<day>[0-9]{2})",
    r"(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})[/.](?P<year>[0-9]{4})",
    r"(?P<day>[0-9]{1,2})[.](?P<month>[0-9]{1,2})[/.](?P<year>[0-9]{4})",
    rf"(?P<day>[0-9]{{1,2}})(-|{_GAP})(?P<month>[A-Za-z]+)(-|{_GAP})(?P<year>[0-9]{{4}})",
    rf"(?P<month>[A-Za-z]+){_GAP}+(?P<day>[0-9]{{1,2}}),?{_GAP}+(?P<year>[0-9]{{4}})",
)
_TIME = (
    r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})"
    r"(:(?P<second>[0-9]{2})([.:](?P<fraction>[0-9]+))?)?"
    rf"({_GAP}*(?P<half>AM|PM|am|pm|Am|Pm|aM|pM))?"
)
_OFFSET = rf"{_GAP}*(?P<offset>Z|UTC|GMT|[+-][0-9]{{2}}(:?[0-9]{{2}})?)"
_DATE_PATTERNS = [re.compile(rf"{form}((T|,?{_GAP}+){_TIME}({_OFFSET})?)?") for form in _DATE_FORMS]


def read_timestamp(text: str | None) -> datetime | None:
    """The moment that the text names, an offset converted to UTC; None when it cannot be read.

    Dates between slashes are month first, between dots day first: no file here proves another
    order.

    Example:
        >>> read_timestamp("Jan 5, 2024 10:30 +02:00")
        datetime.datetime(2024, 1, 5, 8, 30)
    """
    clock = _clock_and_offset(text)
    return None if clock is None else clock[0] - clock[1]


def read_day(text: str | None) -> date | None:
    """The day that the text names, whatever day it was elsewhere.

    Example:
        >>> read_day("Jan 5, 2024 23:30 -08:00")
        datetime.date(2024, 1, 5)
    """
    clock = _clock_and_offset(text)
    return None if clock is None else clock[0].date()


def _clock_and_offset(text: str | None) -> tuple[datetime, timedelta] | None:
    for pattern in _DATE_PATTERNS:
        match = pattern.fullmatch(trim(text) or "")
        if match:
            return _parts_read(match.groupdict())
    return None


def _parts_read(parts: Mapping[str, str | None]) -> tuple[datetime, timedelta] | None:
    """Clock and offset; None when there is no such day or hour."""
    month = _month_number(parts["month"] or "")
    year, day, minute, second = (
        int(parts[name] or 0) for name in ("year", "day", "minute", "second")
    )
    microsecond = int((parts["fraction"] or "").ljust(6, "0")[:6])
    try:
        hour = _hour(int(parts["hour"] or 0), (parts["half"] or "").lower())
        wall = datetime(year, month, day, hour, minute, second, microsecond)
        offset = _offset(parts["offset"] or "Z")
        wall - offset  # must be a moment, too
    except (ValueError, OverflowError):
        return None
    return wall, offset


def _hour(number: int, half: str) -> int:
    """The hour of 24; after noon and midnight the twelfth comes first."""
    if not half:
        return number
    if not 1 <= number <= 12:
        raise ValueError
    return number % 12 + (12 if half == "pm" else 0)


def _offset(text: str) -> timedelta:
    """How far a clock is ahead of UTC."""
    if text in ("Z", "UTC", "GMT"):
        return timedelta(0)
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 23 or minutes > 59:
        raise ValueError
    ahead = timedelta(hours=hours, minutes=minutes)
    return ahead if text[0] == "+" else -ahead


def _month_number(text: str) -> int:
    """1 to 12 for a number, a name or its first three letters; 0 for what is no month."""
    if text.isdigit():
        return int(text)
    for number, name in enumerate(_MONTHS, start=1):
        if text.lower() in (name, name[:3]):
            return number
    return 0


_NUMBER = re.compile(r"([+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))(?:[eE]([+-]?[0-9]+))?")
# Enough digits that no sum below is ever rounded on the way, and an exponent beyond which
# every number is out of every range, or nothing.
_EXACT = Context(prec=30_000)
_LARGEST_EXPONENT = 9_999
# A quotient of two amounts in cents differs from the middle of two fractions by more than 1E-30.
_QUOTIENT = Context(prec=60)


def read_number(text: str | None) -> Decimal | None:
    """The exact number that the text tells; None when it cannot be read.

    Example:
        >>> read_number(" 1.50 "), read_number("2e1"), read_number("$5"), read_number("NaN")
        (Decimal('1.50'), Decimal('2E+1'), None, None)
    """
    match = _NUMBER.fullmatch(trim(text) or "")
    if match is None:
        return None
    exponent = int(match[2] or 0)
    exponent = max(-_LARGEST_EXPONENT, min(exponent, _LARGEST_EXPONENT))
    return Decimal(f"{match[1]}e{exponent}")


def round_half_away(number: Decimal, places: int) -> Decimal:
    """Rounded to decimal places, halves away from zero; there is no minus zero.

    Example:
        >>> round_half_away(Decimal("-1.005"), 2)
        Decimal('-1.01')
    """
    rounded = number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP, context=_EXACT)
    return rounded if rounded else rounded.copy_abs()


# --- one column of a record ----------------------------------------------------------------------


def _refuse_bad_text(record: Record, columns: Iterable[str]) -> None:
    """No server stores a NUL or a lone surrogate."""
    for column in columns:
        text = record.get(column) or ""
        if any(letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in text):
            raise RejectedError("bad_text", column)


def _is_storable(key: str) -> bool:
    """Whether a key column can hold it; no row has another key, none is remembered."""
    return "\0" not in key and utf16_units(key) <= 50


NULL_WORDS = ("NULL", "null", "\\N", "NaN", "nan", "NaT", "None", "<NULL>")
NAMES = ("first_name", "last_name")
ID_COLUMNS = ("customer_id", "product_id", "transaction_id")


def plain_record(record: Record) -> Record:
    """The record with null words as missing values, and keys without what nobody sees of them."""
    plain = dict(record)
    for column, value in record.items():
        words = ("\\N", "<NULL>") if column in NAMES else NULL_WORDS
        in_json = column in ("price", "cost", "quantity") and "transaction_id" not in record
        if trim(value) in words and not (in_json and trim(value) in ("NaN", "nan")):
            plain[column] = None
        elif value is not None and column in ID_COLUMNS:
            plain[column] = visible(value)
    return plain


def visible(key: str) -> str:
    """Composed, without marks of no width, and out of the wrapping of a spreadsheet.

    Example:
        >>> visible('="007"'), visible("'C1"), visible("\u200bC1")
        ('007', 'C1', 'C1')
    """
    composed = normalize("NFC", key)
    key = normalize("NFC", "".join(sign for sign in composed if category(sign) != "Cf"))
    while True:
        before, key = key, key.strip()
        if key.startswith('="') and key.endswith('"') and len(key) > 3:
            key = key[2:-1]
        elif key.startswith("'") and len(key) > 1:
            key = key[1:]
        if key == before:
            return key


def _required(column: str, value: T | None) -> T:
    if value is None:
        raise RejectedError("missing", column)
    return value


def _fitting(column: str, text: str | None, width: int) -> str | None:
    """The cleaned text, when the warehouse's column is wide enough for it."""
    if text is not None and utf16_units(text) > width:
        raise RejectedError("out_of_range", column)
    return text


def _text(record: Record, column: str, width: int) -> str | None:
    return _fitting(column, trim(record.get(column)), width)


def _key(record: Record, column: str) -> str:
    key = _required(column, _text(record, column, 50))
    if re.fullmatch(r"[0-9]([.,][0-9]+)?[eE]\+?[0-9]+", key):
        raise RejectedError("unreadable", column)
    return key


def _number(record: Record, column: str) -> Decimal | None:
    """None when it is missing."""
    if trim(record.get(column)) is None:
        return None
    number = read_number(record.get(column))
    if number is None:
        raise RejectedError("unreadable", column)
    return number


def _money(record: Record, column: str, digits: int) -> Decimal | None:
    """An amount in cents with at most so many digits before the point, not negative."""
    amount = _signed_money(record, column, digits)
    if amount is not None and amount < 0:
        raise RejectedError("rule", column)
    return amount


def _signed_money(record: Record, column: str, digits: int) -> Decimal | None:
    number = _number(record, column)
    return None if number is None else _in_range(column, round_half_away(number, 2), digits)


def _in_range(column: str, amount: Decimal, digits: int) -> Decimal:
    if abs(amount) >= Decimal(10) ** digits:
        raise RejectedError("out_of_range", column)
    return amount


def _integer(record: Record, column: str, least: int = -(2**31)) -> int | None:
    """A whole number of 32 bits, not below `least`."""
    number = _number(record, column)
    if number is None:
        return None
    if number != number.to_integral_value():
        raise RejectedError("unreadable", column)
    if not -(2**31) <= number < 2**31:
        raise RejectedError("out_of_range", column)
    if number < least:
        raise RejectedError("rule", column)
    return int(number)


def _moment(record: Record, column: str) -> datetime:
    text = _required(column, trim(record.get(column)))
    moment = read_timestamp(text)
    if moment is None:
        raise RejectedError("unreadable", column)
    return moment


# --- one record of each source -------------------------------------------------------------------
# All columns are searched for bad text first; then the columns are checked in the source's order;
# then what depends on several of them. The first fault found is the one reported.

Cleaner = Callable[[Record, Settings], Row]


def _row_or_rejected(clean: Cleaner, record: Record, settings: Settings) -> Row | Rejected:
    try:
        _refuse_bad_text(record, [column for column in record if column != "status"])
        return clean(plain_record(record), settings)
    except RejectedError as error:
        return error.rejected


def clean_customer(record: Record, settings: Settings) -> Row | Rejected:
    """One customer, as it stands in the dimension."""
    return _row_or_rejected(_customer, record, settings)


def clean_product(record: Record, settings: Settings) -> Row | Rejected:
    """One product, as it stands in the dimension."""
    return _row_or_rejected(_product, record, settings)


def clean_sale(record: Record, settings: Settings) -> Row | Rejected:
    """One sale, without the columns that depend on other records."""
    return _row_or_rejected(_sale, record, settings)


def _customer(record: Record, settings: Settings) -> Row:
    row: Row = {"customer_id": _key(record, "customer_id")}
    row["first_name"] = _fitting("first_name", clean_name(record.get("first_name")), 100)
    row["last_name"] = _fitting("last_name", clean_name(record.get("last_name")), 100)
    row["name"] = join_name(row["first_name"], row["last_name"])
    row["email"], row["email_valid"] = clean_email(record.get("email"))
    _fitting("email", row["email"], 320)
    phone = clean_phone(record.get("phone"), settings.default_area_code)
    row["phone"], row["phone_valid"] = phone
    _fitting("phone", row["phone"], 50)
    row["address"] = _text(record, "address", 500)
    row["registration_date"] = read_day(record.get("registration_date"))
    row["source_segment"] = _text(record, "segment", 100)
    row["segment"] = _fitting("segment", enhanced_segment(row), 100)
    row["is_inferred"] = False
    return row


def enhanced_segment(row: Row) -> str:
    """The segment that the profile of a customer earns; the order of the rules matters."""
    needed = ("first_name", "last_name", "email", "source_segment")
    if any(row[column] is None for column in needed):
        return "Incomplete Profile"
    given = collapse(row["source_segment"])
    if given.lower() == "premium" and row["phone"]:
        return "Premium Plus"
    complete = row["email_valid"] and row["phone"] and row["address"] and row["registration_date"]
    if given.lower() == "standard" and complete:
        return "Standard Plus"
    return title_case(given)


def _product(record: Record, settings: Settings) -> Row:
    row: Row = {"product_id": _key(record, "product_id")}
    row["name"] = _text(record, "name", 400)
    row["source_category"] = _text(record, "category", 100)
    row["category"] = _fitting("category", standard_category(row["source_category"]), 100)
    row["brand"] = _text(record, "brand", 200)
    row["model"] = _text(record, "model", 200)
    row["price"] = _money(record, "price", 10)
    row["cost"] = _cost(record, row["price"], settings)
    row["price_category"] = price_category(row["price"])
    row["quantity"] = _integer(record, "quantity", least=0)
    row["inventory_status"] = inventory_status(row["quantity"])
    row["warehouse"] = _text(record, "warehouse", 100)
    row["is_inferred"] = False
    return row


_CATEGORIES = {
    "electronics": "Electronics",
    "tech": "Electronics",
    "technology": "Electronics",
    "clothing": "Apparel",
    "apparel": "Apparel",
    "fashion": "Apparel",
    "books": "Books",
    "literature": "Books",
    "reading": "Books",
}


def standard_category(given: str | None) -> str | None:
    """The category of the taxonomy, or the source's own in title case."""
    if given is None:
        return None
    return _CATEGORIES.get(collapse(given).lower(), title_case(collapse(given)))


def _cost(record: Record, price: Decimal | None, settings: Settings) -> Decimal | None:
    """The cost given, or else the share of the price that the settings assume."""
    cost = _money(record, "cost", 10)
    if cost is not None or price is None or settings.default_cost_ratio is None:
        return cost
    assumed = _EXACT.multiply(price, settings.default_cost_ratio)
    return _in_range("cost", round_half_away(assumed, 2), 10)


def price_category(price: Decimal | None) -> str:
    """By half-open ranges: [200, oo), [50, 200), below 50."""
    if price is None:
        return "Unknown"
    if price >= 200:
        return "Premium"
    return "Mid-Range" if price >= 50 else "Budget"


def inventory_status(quantity: int | None) -> str:
    """By units in stock: above 100, 50 to 100, 10 to 49, below 10."""
    if quantity is None:
        return "Unknown"
    if quantity > 100:
        return "Well Stocked"
    if quantity >= 50:
        return "Moderate Stock"
    return "Low Stock" if quantity >= 10 else "Critical Stock"


def _sale(record: Record, settings: Settings) -> Row:
    row: Row = {
        "transaction_id": _key(record, "transaction_id"),
        "customer_id": _key(record, "customer_id"),
        "product_id": _key(record, "product_id"),
        "quantity": _required("quantity", _integer(record, "quantity")),
        "unit_price": _required("unit_price", _signed_money(record, "unit_price", 10)),
        "discount_amount": _signed_money(record, "discount_amount", 16) or Decimal("0.00"),
        "transaction_date": _moment(record, "transaction_date"),
        "sales_rep_id": _text(record, "sales_rep_id", 50),
    }
    _refuse_returns(row, settings)
    row["total_amount"] = _total(row)
    commission = _EXACT.multiply(row["total_amount"], settings.commission_rate)
    row["commission"] = _in_range("commission", round_half_away(commission, 2), 16)
    row["value_tier"] = "Return" if row["quantity"] < 0 else value_tier(row["total_amount"])
    return row


def _refuse_returns(row: Row, settings: Settings) -> None:
    """A negative quantity is a return, and a negative price is none that can be loaded."""
    quantity, price = row["quantity"], row["unit_price"]
    if quantity < 0 <= price and not settings.loads_returns:
        raise RejectedError("return", "quantity")
    if price < 0 < quantity:
        raise RejectedError("return", "unit_price")
    if quantity == 0:
        raise RejectedError("rule", "quantity")
    if price < 0:
        raise RejectedError("rule", "unit_price")


def _total(row: Row) -> Decimal:
    """What the customer paid; a discount lies between nothing and the gross, also of a return."""
    gross: Decimal = row["quantity"] * row["unit_price"]
    if not min(gross, 0) <= row["discount_amount"] <= max(gross, 0):
        raise RejectedError("rule", "discount_amount")
    return _in_range("total_amount", gross - row["discount_amount"], 16)


def value_tier(total: Decimal) -> str:
    """By half-open ranges: [500, oo), [100, 500), below 100."""
    if total >= 500:
        return "High Value"
    return "Medium Value" if total >= 100 else "Low Value"


# --- all records of one source -------------------------------------------------------------------


@dataclass
class Read:
    """What came of the records of one source."""

    read: int = 0
    accepted: dict[str, Row] = field(default_factory=dict)
    rejected: list[tuple[int, Rejected]] = field(default_factory=list)
    duplicates: list[int] = field(default_factory=list)
    rejected_keys: set[str] = field(default_factory=set)


def read_customers(records: Sequence[SourceRow], settings: Settings) -> Read:
    """The customers that are accepted; of one key, the last in the file."""
    return _read(records, "customer_dim", lambda record: clean_customer(record, settings))


def read_products(records: Sequence[SourceRow], settings: Settings) -> Read:
    """The products that are accepted; of one key, the last in the file."""
    return _read(records, "product_dim", lambda record: clean_product(record, settings))


def read_sales(
    records: Sequence[SourceRow], settings: Settings, window: Window | None = None
) -> Read:
    """The completed sales of the window that are accepted; of one key, the latest."""
    asked_for = [(place, record) for place, record in records if _is_asked_for(record, window)]
    return _read(asked_for, "sales_fact", lambda record: clean_sale(record, settings))


def _is_asked_for(record: Record, window: Window | None) -> bool:
    """Completed and in the window, or with a date of which nobody can say."""
    record = plain_record(record)
    if (record.get("status", "completed") or "").strip().lower() != "completed":
        return False
    moment = read_timestamp(record.get("transaction_date"))
    return moment is None or _is_within(moment, window)


def _is_within(moment: datetime, window: Window | None) -> bool:
    return window is None or window[0] <= moment <= window[1]


def _read(
    records: Sequence[SourceRow], table: str, clean: Callable[[Record], Row | Rejected]
) -> Read:
    """Reject first; then one record of each key wins, the others are duplicates."""
    read = Read(read=len(records))
    candidates: dict[str, list[tuple[int, Row]]] = {}
    for source_row, record in records:
        cleaned = clean(record)
        if isinstance(cleaned, Rejected):
            read.rejected.append((source_row, cleaned))
            key = trim(plain_record(record).get(KEYS[table]))
            read.rejected_keys.update([key] if key and _is_storable(key) else [])
        else:
            candidates.setdefault(cleaned[KEYS[table]], []).append((source_row, cleaned))
    for key, rivals in candidates.items():
        *losers, (_, read.accepted[key]) = sorted(rivals, key=_precedence)
        read.duplicates.extend(source_row for source_row, _ in losers)
    return read


_SALES_ORDER = (
    "transaction_date", "customer_id", "product_id", "quantity", "unit_price", "discount_amount",
    "sales_rep_id",
)  # fmt: skip


def _precedence(candidate: tuple[int, Row]) -> tuple[Any, ...]:
    """What orders records of one key: the last one wins. A missing value comes first."""
    source_row, row = candidate
    columns = _SALES_ORDER if "transaction_id" in row else ()
    return (*((row[column] is not None, row[column]) for column in columns), source_row)


# --- the warehouse -------------------------------------------------------------------------------


@dataclass
class Counts:
    """What a load did to one table; the second to sixth count add up to `read`."""

    read: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    duplicate: int = 0
    inferred: int = 0
    restated: int = 0
    vanished: int = 0
    removed: int = 0
    column_changes: dict[str, int] = field(default_factory=dict)


def placeholder(table: str, key: str) -> Row:
    """A dimension row of which only the key is known."""
    return {**dict.fromkeys(COLUMNS[table]), KEYS[table]: key, "is_inferred": True}


def profit(sale: Row, cost: Decimal | None) -> tuple[Decimal | None, Decimal | None]:
    """Amount and margin; nothing while the cost is unknown."""
    if cost is None:
        return None, None
    amount: Decimal = sale["total_amount"] - sale["quantity"] * cost
    return amount, margin(amount, sale["total_amount"])


def margin(amount: Decimal, total: Decimal) -> Decimal | None:
    """The profit as a fraction of the total; nothing at total 0 and where no column holds it."""
    if total == 0:
        return None
    fraction = round_half_away(_QUOTIENT.divide(amount, total), 4)
    return fraction if abs(fraction) <= Decimal("99999.9999") else None


def _sorted_rows(table: str, rows: Mapping[str, Row]) -> list[Row]:
    return [{column: rows[key][column] for column in COLUMNS[table]} for key in sorted(rows)]


class Warehouse:
    """The three tables, and what runs do to them."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Row]] = {table: {} for table in KEYS}
        self.counts: dict[str, Counts] = {}  # of the last run or load, for every table
        self._before: dict[str, dict[str, Row]] = {}
        self._written: set[str] = set()  # the sales that the run inserted or updated

    def load_customers(
        self, records: Sequence[SourceRow], settings: Settings, full_refresh: bool = False
    ) -> Counts:
        """Load customers alone; `counts` tells what that did to the other tables."""
        return self.run(records, None, None, settings, None, full_refresh)["customer_dim"]

    def load_products(
        self, records: Sequence[SourceRow], settings: Settings, full_refresh: bool = False
    ) -> Counts:
        """Load products alone; `counts` tells what that did to the other tables."""
        return self.run(None, records, None, settings, None, full_refresh)["product_dim"]

    def load_sales(
        self,
        records: Sequence[SourceRow],
        settings: Settings,
        full_refresh: bool = False,
        window: Window | None = None,
    ) -> Counts:
        """Load sales alone; `counts` tells what that did to the other tables."""
        return self.run(None, None, records, settings, window, full_refresh)["sales_fact"]

    def run(
        self,
        customers: Sequence[SourceRow] | None,
        products: Sequence[SourceRow] | None,
        sales: Sequence[SourceRow] | None,
        settings: Settings,
        window: Window | None = None,
        full_refresh: bool = False,
    ) -> dict[str, Counts]:
        """A whole run; a source that is None failed, and its table is left alone."""
        reads: dict[str, Read] = {}
        if customers is not None:
            reads["customer_dim"] = read_customers(customers, settings)
        if products is not None:
            reads["product_dim"] = read_products(products, settings)
        if sales is not None:
            reads["sales_fact"] = read_sales(sales, settings, window)
        return self._apply(reads, window, full_refresh)

    def reprocess(
        self, table: str, records: Sequence[SourceRow], settings: Settings
    ) -> dict[str, Counts]:
        """Load single records that were mended; what is not among them has not vanished."""
        readers = {
            "customer_dim": read_customers, "product_dim": read_products, "sales_fact": read_sales,
        }  # fmt: skip
        counts = self._apply({table: readers[table](records, settings)}, None, full_refresh=False)
        counts[table].vanished = 0
        return counts

    def final_tables(self) -> dict[str, list[Row]]:
        """The rows of every table by key, all columns but the audit columns."""
        return {table: _sorted_rows(table, rows) for table, rows in self.tables.items()}

    def _apply(
        self, reads: Mapping[str, Read], window: Window | None, full_refresh: bool
    ) -> dict[str, Counts]:
        self._before = deepcopy(self.tables)
        self._written = set()
        self.counts = {table: Counts() for table in KEYS}
        for table, read in reads.items():
            self._merge(table, read)
            self._count_vanished(table, read, window if table == "sales_fact" else None)
        if full_refresh and "sales_fact" in reads:
            self._remove_unread_sales(reads["sales_fact"])
        for table in DIMENSIONS:
            self._infer(table)
            if full_refresh and table in reads:
                self._infer_again(table, reads[table])
            self._remove_idle_placeholders(table)
        self._restate()
        return self.counts

    def _merge(self, table: str, read: Read) -> None:
        """Write what is new or differs in a column that came with the record."""
        counts = self.counts[table]
        counts.read, counts.rejected = read.read, len(read.rejected)
        counts.duplicate = len(read.duplicates)
        changes: Counter[str] = Counter()
        for key, row in read.accepted.items():
            old = self._before[table].get(key)
            differing = [column for column in row if old and row[column] != old[column]]
            changes.update(differing)
            counts.inserted += old is None
            counts.updated += bool(differing)
            counts.unchanged += old is not None and not differing
            if old is None or differing:
                self._write(table, key, row)
        counts.column_changes = dict(changes)

    def _write(self, table: str, key: str, row: Row) -> None:
        self.tables[table][key] = row
        if table == "sales_fact":
            self._written.add(key)

    def _count_vanished(self, table: str, read: Read, window: Window | None) -> None:
        """Rows that were there, whose key the source no longer has."""
        in_source = read.accepted.keys() | read.rejected_keys
        for key, row in self._before[table].items():
            expected = not row.get("is_inferred")
            if table == "sales_fact":
                expected = _is_within(row["transaction_date"], window)
            self.counts[table].vanished += expected and key not in in_source

    def _remove_unread_sales(self, read: Read) -> None:
        for key in self.tables["sales_fact"].keys() - read.accepted.keys():
            self._remove("sales_fact", key)

    def _remove(self, table: str, key: str) -> None:
        del self.tables[table][key]
        self.counts[table].removed += 1

    def _referenced(self, table: str) -> set[str]:
        """The keys of the dimension that sales name."""
        return {sale[KEYS[table]] for sale in self.tables["sales_fact"].values()}

    def _infer(self, table: str) -> None:
        """A placeholder for every customer or product that only a sale has named."""
        for key in self._referenced(table) - self.tables[table].keys():
            self.tables[table][key] = placeholder(table, key)
            self.counts[table].inferred += 1

    def _infer_again(self, table: str, read: Read) -> None:
        """On a full refresh, what was not read is known only by the sales that name it."""
        referenced = self._referenced(table)
        for key in self.tables[table].keys() - read.accepted.keys():
            known = not self.tables[table][key]["is_inferred"]
            self.counts[table].restated += known and key in referenced
            self.tables[table][key] = placeholder(table, key)

    def _remove_idle_placeholders(self, table: str) -> None:
        """A placeholder that no sale names has no reason to be there."""
        for key in self.tables[table].keys() - self._referenced(table):
            if self.tables[table][key]["is_inferred"]:
                self._remove(table, key)

    def _restate(self) -> None:
        """Compute anew what depends on other records, for every sale there is."""
        sales = self.tables["sales_fact"]
        first_sales = self._first_sales()
        for key, sale in sales.items():
            sale["customer_status"] = "First-time" if key in first_sales else "Repeat"
            cost = self.tables["product_dim"][sale["product_id"]]["cost"]
            sale["profit_amount"], sale["profit_margin"] = profit(sale, cost)
        for key in (self._before["sales_fact"].keys() & sales.keys()) - self._written:
            old, new = self._before["sales_fact"][key], sales[key]
            self.counts["sales_fact"].restated += any(old[name] != new[name] for name in RESTATED)

    def _first_sales(self) -> set[str]:
        """The earliest sale of every customer; of several at one moment, the lowest id.

        A return is none.
        """
        firsts: dict[str, str] = {}
        sales = [sale for sale in self.tables["sales_fact"].values() if sale["quantity"] > 0]
        for sale in sorted(sales, key=lambda row: (row["transaction_date"], row["transaction_id"])):
            firsts.setdefault(sale["customer_id"], sale["transaction_id"])
        return set(firsts.values())

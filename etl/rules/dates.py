"""Dates and times as people write them, over whole Arrow columns and over one value.

ISO, also without dashes; slashes and dots, whose order a file proves or a setting fixes; names of
months; hours of one digit, AM and PM. A time with an offset is converted to one zone, any other
keeps its wall clock, to the microsecond. Whatever is none of these is null.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from etl.rules.columns import bytes_of, clean_text, no_rows

DAY_FIRST: Literal["day first"] = "day first"
MONTH_FIRST: Literal["month first"] = "month first"
DateOrder = Literal["day first", "month first"]

_MICROSECONDS = pa.timestamp("us")
_DAY_US = 86_400_000_000
_FIRST_US = -719_162 * _DAY_US  # 0001-01-01, counted from 1970
_END_US = 2_932_897 * _DAY_US  # 10000-01-01
_ARROW_ZONES_END_US = 24_472 * _DAY_US  # 2037-01-01; Arrow knows no summer time from then on
_MICROSECOND = timedelta(microseconds=1)

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july",
    "august", "september", "october", "november", "december",
)  # fmt: skip
_MONTH_NAMES = (*_MONTHS, *(name[:3] for name in _MONTHS))

# The patterns are the same for Python and for Arrow (RE2), where every group needs a name.
# Word processors and some libraries of dates write blanks that do not break.
_BLANK = "[ \t\u00a0\u2009\u202f]"
_UTC = "Z|UTC|GMT"
_TIME = (
    rf"(?P<clock>(?:T|,?{_BLANK}+)(?P<hour>[0-9]{{1,2}}):(?P<minute>[0-9]{{2}})"
    r"(?P<s>:(?P<second>[0-9]{2})(?P<f>[.:](?P<fraction>[0-9]+))?)?"
    rf"{_BLANK}*(?P<half>[AaPp][Mm])?"
    rf"{_BLANK}*(?P<offset>{_UTC}|[+-][0-9]{{2}}:?[0-9]{{2}}|[+-][0-9]{{2}})?)?"
)
_ISO = r"(?P<year>[0-9]{4})[-/.](?P<month>[0-9]{1,2})[-/.](?P<day>[0-9]{1,2})"
_COMPACT = r"(?P<year>[0-9]{4})(?P<month>[0-9]{2})(?P<day>[0-9]{2})"
_NUMBERED = (
    r"(?P<first>[0-9]{1,2})(?P<mark>[/.])(?P<second_number>[0-9]{1,2})[/.](?P<year>[0-9]{4})"
)
_DAY_NAMED = (
    rf"(?P<day>[0-9]{{1,2}})(?:-|{_BLANK})(?P<name>[A-Za-z]+)(?:-|{_BLANK})(?P<year>[0-9]{{4}})"
)
_MONTH_NAMED = rf"(?P<name>[A-Za-z]+){_BLANK}+(?P<day>[0-9]{{1,2}}),?{_BLANK}+(?P<year>[0-9]{{4}})"
_FORMS = tuple(f"^{form}{_TIME}$" for form in (_ISO, _COMPACT, _NUMBERED, _DAY_NAMED, _MONTH_NAMED))
_ORDERED = f"^{_NUMBERED}(?:(?:[T,]|{_BLANK}).*)?$"
# Days since 1899-12-30 as Excel counts them: 20000 is in 1954, 79999 in 2119.
_EXCEL_SERIAL = r"^[2-7][0-9]{4}(?:\.[0-9]+)?$"


@dataclass(frozen=True)
class DateReading:
    """How dates of a source are read.

    Attributes:
        order: of numbers between slashes or dots; None reads slashes month first, dots day first.
        zone: to which a time with an offset is converted.
        on_the_spot: whether a text with an offset keeps its wall clock instead.
    """

    order: DateOrder | None = None
    zone: str = "UTC"
    on_the_spot: bool = False

    def day_is_first(self, mark: str) -> bool:
        """Return whether the first number of a date with such marks is the day.

        Example:
            >>> DateReading().day_is_first("/"), DateReading().day_is_first(".")
            (False, True)
        """
        return self.order == DAY_FIRST if self.order else mark == "."


AS_FOUND = DateReading()


@dataclass(frozen=True)
class OrderEvidence:
    """What the dates of a source prove about the order of day and month.

    Attributes:
        day_first: dates whose first number is no month.
        month_first: dates whose second number is none.
        ambiguous: dates that another order would turn into another day.
        dotted: how many of those are written with dots, which are read day first without proof.
    """

    day_first: int = 0
    month_first: int = 0
    ambiguous: int = 0
    dotted: int = 0

    def plus(self, other: "OrderEvidence") -> "OrderEvidence":
        """Return both together."""
        return OrderEvidence(
            self.day_first + other.day_first,
            self.month_first + other.month_first,
            self.ambiguous + other.ambiguous,
            self.dotted + other.dotted,
        )

    def misread_as(self, order: DateOrder) -> int:
        """Return how many ambiguous dates another order has read that now turns out to be this.

        Example:
            >>> OrderEvidence(ambiguous=3, dotted=1).misread_as(MONTH_FIRST)
            1
        """
        return self.dotted if order == MONTH_FIRST else self.ambiguous - self.dotted

    @property
    def order(self) -> DateOrder | None:
        """The order that is proven; None without proof, or with proof of both."""
        if bool(self.day_first) == bool(self.month_first):
            return None
        return DAY_FIRST if self.day_first else MONTH_FIRST

    @property
    def contradicts(self) -> bool:
        """Whether no single order reads all of them."""
        return bool(self.day_first and self.month_first)


def order_evidence(column: pa.Array) -> OrderEvidence:
    """Count what the dates of a column prove about the order of day and month.

    Args:
        column: texts; any other column proves nothing.

    Example:
        >>> order_evidence(pa.array(["13/01/2024", "1.2.2024", "03/03/2024", "2024-01-05"]))
        OrderEvidence(day_first=1, month_first=0, ambiguous=1, dotted=1)
    """
    if not pa.types.is_string(column.type) or not _has_marks(column):
        return OrderEvidence()
    # begins with one or two digits: fractions of a second after an ISO date are none
    found = pc.match_substring_regex(column, "^[^0-9]*[0-9]{1,2}[/.]")
    suspects = column.filter(pc.fill_null(found, False))
    parts = pc.extract_regex(clean_text(suspects), _ORDERED)
    parts = parts.filter(pc.is_valid(parts))
    if not len(parts):
        return OrderEvidence()
    first, second = _numbers(parts, "first"), _numbers(parts, "second_number")
    months = 12
    ambiguous = (first <= months) & (second <= months) & (first != second)
    return OrderEvidence(
        int(((first > months) & (second <= months)).sum()),
        int(((second > months) & (first <= months)).sum()),
        int(ambiguous.sum()),
        int((ambiguous & _are_dotted(parts)).sum()),
    )


def _are_dotted(parts: pa.Array) -> NDArray[np.bool_]:
    dots: NDArray[np.bool_] = pc.equal(pc.struct_field(parts, "mark"), ".").to_numpy(
        zero_copy_only=False
    )
    return dots


def _has_marks(column: pa.Array) -> bool:
    """Whether a slash or a dot stands anywhere in the column; far quicker than a pattern."""
    data, _ = bytes_of(column)
    return bool((data == ord("/")).any() or (data == ord(".")).any())


_PROOFS: dict[DateOrder, str] = {
    DAY_FIRST: r"^\s*(1[3-9]|[2-9][0-9])[/.](0?[1-9]|1[0-2])[/.][0-9]{4}",
    MONTH_FIRST: r"^\s*(0?[1-9]|1[0-2])[/.](1[3-9]|[2-9][0-9])[/.][0-9]{4}",
}


def date_that_proves(column: pa.Array, order: DateOrder) -> str:
    """Return the first text that can only be read in an order; empty when there is none.

    Example:
        >>> date_that_proves(pa.array(["01/02/2024", "13/01/2024"]), DAY_FIRST)
        '13/01/2024'
    """
    proof = pc.fill_null(pc.match_substring_regex(column, _PROOFS[order]), False)
    found = column.filter(proof)
    return str(found[0]).strip() if len(found) else ""


def looks_like_serial(column: pa.Array) -> pa.Array:
    """Return which texts look like a date as Excel counts them, in days since 1899-12-30.

    Example:
        >>> looks_like_serial(pa.array(["45293.5", "2024-01-15", None])).to_pylist()
        [True, False, False]
    """
    if not pa.types.is_string(column.type):
        return no_rows(len(column))
    return pc.fill_null(pc.match_substring_regex(clean_text(column), _EXCEL_SERIAL), False)


# --- columns -----------------------------------------------------------------------------

# What the cast reads rightly, and quickly: ISO with a time of minutes, seconds or six digits more,
# of a day that exists (29 February does not always).
_PLAIN = (
    r"^[1-9][0-9]{3}-"
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    r"(?:[ T](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?)?$"
)
_ISO_LENGTHS = frozenset({10, 16, 19, 26, None})
_TICKS = {"s": 1, "ms": 1_000, "us": 1_000_000}  # ns ends in 2262


def read_timestamps(column: pa.Array, reading: DateReading = AS_FOUND) -> pa.Array:
    """Read a column as times to the microsecond; null where missing or unreadable.

    Args:
        column: text, dates, or timestamps of any unit; one with a zone is converted to the zone
            of the reading.
        reading: order and zone.

    Example:
        >>> read_timestamps(pa.array(["2024-01-15", "01/15/2024 9:30 PM", "?"])).to_pylist()[1]
        datetime.datetime(2024, 1, 15, 21, 30)
    """
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return _typed(column, reading.zone)
    text = clean_text(column)
    if _all_iso(text):
        try:
            return text.cast(_MICROSECONDS)
        except pa.ArrowInvalid:
            pass  # one of them is none, and costs the others a look at their parts
    plain = pc.fill_null(pc.match_substring_regex(text, _PLAIN), True)
    if not plain.true_count:
        return _read_distinct(text, reading)
    known = pc.if_else(plain, text, None).cast(_MICROSECONDS)
    odd = pc.invert(plain)
    return pc.replace_with_mask(known, odd, _read_distinct(text.filter(odd), reading))


def _read_distinct(text: pa.Array, reading: DateReading) -> pa.Array:
    encoded = text.dictionary_encode()  # a date without a time comes again and again
    return _read_forms(encoded.dictionary, reading).take(encoded.indices)


def read_dates(column: pa.Array, reading: DateReading = AS_FOUND) -> pa.Array:
    """Read a column as days: of a time with an offset the day on the spot.

    Args:
        column: what `read_timestamps` takes.
        reading: order, and zone of a timestamp with a zone.

    Example:
        >>> read_dates(pa.array(["15 Jan 2024 23:59 -08:00"])).to_pylist()
        [datetime.date(2024, 1, 15)]
    """
    return read_timestamps(column, replace(reading, on_the_spot=True)).cast(pa.date32())


def _all_iso(text: pa.Array) -> bool:
    """Whether the cast takes none of these for a date that the rule does not."""
    lengths = pc.unique(pc.binary_length(text)).to_pylist()
    if not _ISO_LENGTHS.issuperset(lengths):
        return False
    return not pc.any(pc.or_(pc.starts_with(text, "0"), pc.match_substring(text, "Z"))).as_py()


def _read_forms(text: pa.Array, reading: DateReading) -> pa.Array:
    """Try the forms one after the other, each on what none before it has read."""
    micros = np.zeros(len(text), np.int64)
    known = np.zeros(len(text), np.bool_)
    rows = np.flatnonzero(pc.is_valid(text).to_numpy(zero_copy_only=False))
    for form in _FORMS:
        if not rows.size:
            break
        parts = pc.extract_regex(text.take(pa.array(rows)), form)
        matched = pc.is_valid(parts).to_numpy(zero_copy_only=False)
        found = rows[matched]
        if found.size:
            micros[found], known[found] = _micros(parts.filter(pa.array(matched)), reading)
        rows = rows[~matched]
    return pa.array(micros, pa.int64(), mask=~known).cast(_MICROSECONDS)


def _numbers(parts: pa.Array, name: str) -> NDArray[np.int64]:
    """A part as numbers, 0 where it is empty."""
    text = pc.struct_field(parts, name)
    if pc.any(pc.equal(text, "")).as_py():
        text = pc.if_else(pc.equal(text, ""), "0", text)
    numbers: NDArray[np.int64] = text.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return numbers


def _micros(parts: pa.Array, reading: DateReading) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Microseconds since 1970 of what a form has matched, and which of them exist."""
    year, (month, day) = _numbers(parts, "year"), _months_and_days(parts, reading)
    hour, fine = _hours(parts)
    minute, second = _numbers(parts, "minute"), _numbers(parts, "second")
    fine &= (minute < 60) & (second < 60) & (year > 0)  # noqa: PLR2004  # of an hour, of a minute
    fine &= (month >= 1) & (month <= 12) & (day >= 1) & (day <= _days_in(year, month))  # noqa: PLR2004
    seconds = ((_days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second
    micros = seconds * 1_000_000 + _fractions(parts)
    return _shifted(parts, micros, fine, reading)


def _months_and_days(
    parts: pa.Array, reading: DateReading
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    names = {parts.type.field(index).name for index in range(parts.type.num_fields)}
    if "mark" in names:
        first, second = _numbers(parts, "first"), _numbers(parts, "second_number")
        dotted = pc.equal(pc.struct_field(parts, "mark"), ".").to_numpy(zero_copy_only=False)
        day_first = np.where(dotted, reading.day_is_first("."), reading.day_is_first("/"))
        return np.where(day_first, second, first), np.where(day_first, first, second)
    if "name" in names:
        lower = pc.ascii_lower(pc.struct_field(parts, "name"))
        index = pc.fill_null(pc.index_in(lower, pa.array(_MONTH_NAMES)), -1)
        places = index.to_numpy(zero_copy_only=False).astype(np.int64)
        return np.where(places < 0, 0, places % 12 + 1), _numbers(parts, "day")
    return _numbers(parts, "month"), _numbers(parts, "day")


def _hours(parts: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    hour = _numbers(parts, "hour")
    half = pc.ascii_lower(pc.struct_field(parts, "half"))
    afternoon = pc.equal(half, "pm").to_numpy(zero_copy_only=False)
    halved = pc.not_equal(half, "").to_numpy(zero_copy_only=False)
    noon = 12
    fine = np.where(halved, (hour >= 1) & (hour <= noon), hour < 2 * noon)
    return np.where(halved, hour % noon + noon * afternoon, hour), fine


def _days_in(year: NDArray[np.int64], month: NDArray[np.int64]) -> NDArray[np.int64]:
    days = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    found: NDArray[np.int64] = days[np.clip(month, 0, 12)] + (leap & (month == 2))  # noqa: PLR2004  # February
    return found


def _days_since_1970(
    year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Days of the Gregorian calendar; counts years from March, so that the leap day is the last."""
    march_year = year - (month <= 2)  # noqa: PLR2004  # January and February
    since_march = (month + 9) % 12
    leaps = march_year // 4 - march_year // 100 + march_year // 400
    return 365 * march_year + leaps + (153 * since_march + 2) // 5 + day - 719_469


def _fractions(parts: pa.Array) -> NDArray[np.int64]:
    text = pc.utf8_slice_codeunits(pc.struct_field(parts, "fraction"), 0, 6)
    numbers: NDArray[np.int64] = (
        pc.utf8_rpad(text, 6, "0").cast(pa.int64()).to_numpy(zero_copy_only=False)
    )
    return numbers


def _shifted(
    parts: pa.Array, micros: NDArray[np.int64], fine: NDArray[np.bool_], reading: DateReading
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The times with an offset in the zone; the others keep their wall clock."""
    offset = pc.struct_field(parts, "offset")
    zoned = pc.not_equal(offset, "").to_numpy(zero_copy_only=False)
    if zoned.any():
        digits_alone = pc.replace_substring(offset, ":", "")
        signed = pc.replace_substring_regex(digits_alone, f"^(?:{_UTC})?$", "+0000")
        digits = pc.utf8_rpad(pc.utf8_slice_codeunits(signed, 1), 4, "0").cast(pa.int64())
        number = digits.to_numpy(zero_copy_only=False)
        fine = fine & (number // 100 < 24) & (number % 100 < 60)  # noqa: PLR2004  # hours, minutes
        minutes = number // 100 * 60 + number % 100
        ahead = pc.starts_with(signed, "+").to_numpy(zero_copy_only=False)
        utc = micros + np.where(ahead, -minutes, minutes) * 60_000_000
        fine = fine & (utc >= _FIRST_US) & (utc < _END_US)
        if not reading.on_the_spot:
            there = _wall_clock(np.where(fine, utc, 0), reading.zone)
            micros = np.where(zoned & fine, there, micros)
    return micros, fine & (micros >= _FIRST_US) & (micros < _END_US)


def _wall_clock(utc: NDArray[np.int64], zone: str) -> NDArray[np.int64]:
    if zone == "UTC":
        return utc
    there = pa.array(utc).cast(pa.timestamp("us", tz="UTC")).cast(pa.timestamp("us", tz=zone))
    local = pc.local_timestamp(there).cast(pa.int64())
    clock: NDArray[np.int64] = np.array(local.to_numpy(zero_copy_only=False))
    for row in np.flatnonzero(utc >= _ARROW_ZONES_END_US):
        clock[row] = _wall_clock_of(int(utc[row]), zone)
    return clock


def _wall_clock_of(utc: int, zone: str) -> int:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=utc)
    return utc + (moment.astimezone(ZoneInfo(zone)).utcoffset() or timedelta()) // _MICROSECOND


def _typed(column: pa.Array, zone: str) -> pa.Array:
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s" if pa.types.is_date32(column.type) else "ms"))
    elif column.type.tz:
        there = pa.timestamp(column.type.unit, tz=zone)
        column = pc.local_timestamp(column.cast(there))
    if column.type.unit == "ns":
        return pc.floor_temporal(column, unit="microsecond").cast(_MICROSECONDS)
    ticks, count = _TICKS[column.type.unit], column.cast(pa.int64())
    known = pc.and_(  # an engine's infinity is no date
        pc.greater_equal(count, _FIRST_US // 1_000_000 * ticks),
        pc.less(count, _END_US // 1_000_000 * ticks),
    )
    return pc.if_else(known, column, None).cast(_MICROSECONDS)

"""Figures and foreign text put into words for people: counts, times, sizes, untrusted text."""

from datetime import datetime, timedelta

UNKNOWN = "unknown"

_MINUTE_S = 60
_HOUR_S = 3600
_TENTHS_BELOW_S = 10
_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB")
_KILO = 1000


def count_words(count: int | None) -> str:
    """Return a count with its thousands set apart.

    Example:
        >>> count_words(1234567), count_words(None)
        ('1,234,567', 'unknown')
    """
    return UNKNOWN if count is None else f"{count:,}"


def seconds_words(seconds: float | None) -> str:
    """Return a duration in the unit that suits it.

    Example:
        >>> [seconds_words(s) for s in (0.234, 9.96, 75, 7384, None)]
        ['0.23 s', '10 s', '1 min 15 s', '2 h 3 min', 'unknown']
        >>> seconds_words(119.6)
        '2 min'
    """
    if seconds is None:
        return UNKNOWN
    if seconds < 1:
        return f"{seconds:.2f} s" if seconds else "0 s"
    if seconds < _TENTHS_BELOW_S:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    whole = round(seconds)
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return _two_units(whole, _MINUTE_S, names=("min", "s"))
    return _two_units(round(whole / _MINUTE_S), _MINUTE_S, names=("h", "min"))


def _two_units(small: int, per_large: int, *, names: tuple[str, str]) -> str:
    large, rest = divmod(small, per_large)
    return f"{large:,} {names[0]} {rest} {names[1]}" if rest else f"{large:,} {names[0]}"


def duration_words(seconds: float) -> str:
    """Return a duration in full words, for running text.

    Example:
        >>> duration_words(145.2), duration_words(0.42), duration_words(3660)
        ('2 minutes 25 seconds', '0.4 seconds', '1 hour 1 minute')
    """
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} seconds"
    minutes, rest = divmod(int(seconds), _MINUTE_S)
    hours, minutes = divmod(minutes, _MINUTE_S)
    units = (("hour", hours), ("minute", minutes), ("second", 0 if hours else rest))
    return " ".join(counted(count, name) for name, count in units if count)


def age_words(span: timedelta) -> str:
    """Return how long ago something was, in the unit that fits.

    Example:
        >>> [age_words(timedelta(hours=hours)) for hours in (30, 72, 0.01)]
        ['30 hours', '3 days', '0 minutes']
    """
    minutes = max(0, int(span.total_seconds() // _MINUTE_S))  # a clock may have gone back
    units = ((2 * 24 * 60, 24 * 60, "day"), (2 * 60, 60, "hour"), (0, 1, "minute"))
    return next(counted(minutes // unit, name) for least, unit, name in units if minutes >= least)


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, in the plural unless there is one.

    Example:
        >>> counted(1, "run"), counted(1200, "record")
        ('1 run', '1,200 records')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def bytes_words(size: int | None) -> str:
    """Return a size in the unit that suits it.

    Example:
        >>> [bytes_words(n) for n in (12, 15300, 2_500_000, None)]
        ['12 B', '15.3 kB', '2.5 MB', 'unknown']
    """
    if size is None:
        return UNKNOWN
    amount, unit = float(size), 0
    while amount >= _KILO and unit < len(_BYTE_UNITS) - 1:
        amount, unit = amount / _KILO, unit + 1
    return f"{amount:,.1f}".removesuffix(".0") + f" {_BYTE_UNITS[unit]}"


def percent_words(share: float | None) -> str:
    """Return a share as a percentage that says 100 % and 0 % only when it is exactly that.

    Example:
        >>> [percent_words(s) for s in (1, 0.9999, 0.934, 0.0004, 0, None)]
        ['100%', '99.9%', '93.4%', '0.1%', '0%', 'unknown']
    """
    if share is None:
        return UNKNOWN
    if share in (0, 1):
        return f"{share:.0%}"
    return f"{min(max(share, 0.001), 0.999):.1%}".replace(".0%", "%")


def instant_words(instant: datetime | None) -> str:
    """Return a moment to the minute, without its zone.

    Example:
        >>> instant_words(datetime(2024, 1, 20, 2, 30, 15))
        '2024-01-20 02:30'
    """
    return UNKNOWN if instant is None else f"{instant:%Y-%m-%d %H:%M}"


# Control characters move the cursor, end a line or turn text around; a terminal obeys them, and
# so does a browser. Half a surrogate pair cannot be written as UTF-8 at all.
_UNPRINTABLE = (
    *range(0x20),
    *range(0x7F, 0xA0),
    *range(0x2028, 0x202F),  # line and paragraph separator, bidirectional embeddings
    *range(0x2066, 0x206A),  # bidirectional isolates
    *range(0xD800, 0xE000),  # surrogates
)
_ESCAPES = {code: ascii(chr(code))[1:-1] for code in _UNPRINTABLE}


def printable(text: str) -> str:
    r"""Return the text on one line, with every character that would be obeyed shown as its escape.

    Args:
        text: anything, such as a value from a source or the message of a driver.

    Example:
        >>> printable("cod\u202egpj")
        'cod\\u202egpj'
        >>> printable("naïve 日本")
        'naïve 日本'
    """
    return text.translate(_ESCAPES)

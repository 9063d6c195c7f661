"""Figures for people: counts, seconds, bytes, instants."""

from datetime import datetime

UNKNOWN = "unknown"

_MINUTE_S = 60
_HOUR_S = 3600
_TENTHS_BELOW_S = 10
_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB")
_KILO = 1000


def count_words(count: int | None) -> str:
    """A count with its thousands set apart.

    Example:
        >>> count_words(1234567), count_words(None)
        ('1,234,567', 'unknown')
    """
    return UNKNOWN if count is None else f"{count:,}"


def seconds_words(seconds: float | None) -> str:
    """A duration in the unit that suits it.

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


def bytes_words(size: int | None) -> str:
    """A size in the unit that suits it.

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
    """A share as a percentage that says 100 % and 0 % only when it is exactly that.

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
    """A moment to the minute, without its zone.

    Example:
        >>> instant_words(datetime(2024, 1, 20, 2, 30, 15))
        '2024-01-20 02:30'
    """
    return UNKNOWN if instant is None else f"{instant:%Y-%m-%d %H:%M}"

"""What is made of a value of an interface before it is a column of text."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

# Currencies without a hundredth, and with a thousandth (ISO 4217, as payment services count them).
_WHOLE = (
    "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "UGX", "VND", "VUV",
    "XAF", "XOF", "XPF",
)  # fmt: skip
_THOUSANDTHS = ("BHD", "JOD", "KWD", "OMR", "TND")
_DECIMALS = {**dict.fromkeys(_WHOLE, 0), **dict.fromkeys(_THOUSANDTHS, 3)}
_USUAL_DECIMALS = 2
_PLAIN_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?")


def converted(conversion: str, values: Sequence[Any], records: Sequence[Any]) -> list[Any]:
    """Return the values of a column as a conversion makes them; what it cannot read stays.

    Args:
        conversion: `unix` makes a time of seconds since 1970, `utc` says that a time without a zone
            is UTC, `minor units` makes an amount of cents by the `currency` of the record, `sum`
            the sum of a list, `first words` and `last word` the parts of a name.
        values: one per record.
        records: the records.

    Example:
        >>> converted("unix", ["1705737600", None], [{}, {}])
        ['2024-01-20T08:00:00+00:00', None]
        >>> converted("utc", ["2024-01-20T08:00:00"], [{}])
        ['2024-01-20T08:00:00Z']
        >>> converted("minor units", ["1999", "500"], [{"currency": "usd"}, {"currency": "jpy"}])
        ['19.99', '500']
        >>> converted("sum", [["1.10", "2"], []], [{}, {}])
        ['3.10', '0']
        >>> converted("first words", ["Jenny van Rosen"], [{}])
        ['Jenny van']
    """
    make = _CONVERSIONS[conversion]
    pairs = zip(values, records, strict=True)
    return [None if value is None else make(value, record) for value, record in pairs]


def _moment(value: Any, _record: Any) -> Any:
    try:
        return datetime.fromtimestamp(float(value), UTC).isoformat()
    except (TypeError, ValueError, OverflowError, OSError):
        return value


def _utc(value: Any, _record: Any) -> Any:
    plain = isinstance(value, str) and _PLAIN_TIME.fullmatch(value)
    return f"{value}Z" if plain else value


def _amount(value: Any, record: Any) -> Any:
    currency = str(record.get("currency") or "").upper() if isinstance(record, dict) else ""
    try:
        return str(Decimal(value).scaleb(-_DECIMALS.get(currency, _USUAL_DECIMALS)))
    except (TypeError, ValueError, InvalidOperation):
        return value


def _sum(value: Any, _record: Any) -> Any:
    members = value if isinstance(value, list) else [value]
    try:
        return str(sum((Decimal(each) for each in members if each is not None), Decimal(0)))
    except (TypeError, ValueError, InvalidOperation):
        return value


def _first_words(value: Any, _record: Any) -> Any:
    return value.strip().rpartition(" ")[0] if isinstance(value, str) else value


def _last_word(value: Any, _record: Any) -> Any:
    return value.strip().rpartition(" ")[2] if isinstance(value, str) else value


_CONVERSIONS: dict[str, Callable[[Any, Any], Any]] = {
    "unix": _moment,
    "utc": _utc,
    "minor units": _amount,
    "sum": _sum,
    "first words": _first_words,
    "last word": _last_word,
}

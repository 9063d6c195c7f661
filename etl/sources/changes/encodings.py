"""How change events write numbers, dates and times: by their schema, or as it was declared.

The names of types are Debezium's and those of Kafka Connect. Source: Debezium, "Data type mappings"
of its connectors.
"""

import base64
import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from etl.rejects import UNREADABLE
from etl.rules.records import BadValueError, storable

Decoder = Callable[[Any], object]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)
_SHOWN = 80
_DAY = 86_400_000_000  # microseconds
UNAVAILABLE = "__debezium_unavailable_value"
_UNAVAILABLE_BYTES = base64.b64encode(UNAVAILABLE.encode()).decode()


def is_unavailable(value: object) -> bool:
    """Return whether an event stands for a value that it does not bring."""
    return value in (UNAVAILABLE, _UNAVAILABLE_BYTES)


def _decimal(value: str, scale: int) -> str:
    unscaled = int.from_bytes(base64.b64decode(value, validate=True), "big", signed=True)
    digits = tuple(map(int, str(abs(unscaled))))
    return format(Decimal((int(unscaled < 0), digits, -scale)), "f")  # exact, whatever the length


def _any_scale(value: Mapping[str, Any]) -> str:
    return _decimal(value["value"], int(value["scale"]))


def _days(value: int) -> str:
    return (date(1970, 1, 1) + timedelta(days=value)).isoformat()


def _moment(value: int, per_second: int) -> str:
    micros = value * 1_000_000 // per_second  # a nanosecond is finer than any column
    return (_EPOCH + timedelta(microseconds=micros)).isoformat(" ")


def _time(value: int, per_second: int) -> str:
    micros = value * 1_000_000 // per_second
    if not 0 <= micros <= _DAY:  # 24:00:00 is a time in PostgreSQL
        raise ValueError(value)
    seconds, rest = divmod(micros, 1_000_000)
    minutes, second = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{second:02}" + (f".{rest:06}" if rest else "")


def _bytes(value: str) -> str:
    return base64.b64decode(value, validate=True).hex()


def _bits(value: str, length: int = 0) -> str:
    data = base64.b64decode(value, validate=True)
    return format(int.from_bytes(data, "little"), f"0{length or 8 * len(data)}b")


_DECLARED: Mapping[str, Decoder] = {
    "days": _days,
    "seconds": partial(_moment, per_second=1),
    "milliseconds": partial(_moment, per_second=10**3),
    "microseconds": partial(_moment, per_second=10**6),
    "nanoseconds": partial(_moment, per_second=10**9),
    "time in milliseconds": partial(_time, per_second=10**3),
    "time in microseconds": partial(_time, per_second=10**6),
    "time in nanoseconds": partial(_time, per_second=10**9),
    "base64": _bytes,
    "bits": _bits,
}
_CONNECT, _DEBEZIUM = "org.apache.kafka.connect.data.", "io.debezium.time."
_BY_TYPE = {
    f"{_CONNECT}Date": "days", f"{_DEBEZIUM}Date": "days",
    f"{_CONNECT}Time": "time in milliseconds", f"{_DEBEZIUM}Time": "time in milliseconds",
    f"{_DEBEZIUM}MicroTime": "time in microseconds",
    f"{_DEBEZIUM}NanoTime": "time in nanoseconds",
    f"{_CONNECT}Timestamp": "milliseconds", f"{_DEBEZIUM}Timestamp": "milliseconds",
    f"{_DEBEZIUM}MicroTimestamp": "microseconds", f"{_DEBEZIUM}NanoTimestamp": "nanoseconds",
}  # fmt: skip


def declared_decoder(encoding: str) -> Decoder:
    """Return what reads values of an encoding of `etl.settings.change_options`.

    Example:
        >>> declared_decoder("decimal(2)")("BNI="), declared_decoder("days")(19737)
        ('12.34', '2024-01-15')
    """
    if encoding.startswith("decimal("):
        return partial(_decimal, scale=int(encoding[len("decimal(") : -1]))
    return _DECLARED[encoding]


def schema_decoder(field: Mapping[str, Any]) -> Decoder | None:
    """Return what reads the values of a field of a schema; None for plain ones.

    Example:
        >>> field = {"type": "int64", "name": "io.debezium.time.MicroTimestamp"}
        >>> schema_decoder(field)(1705314600000000)
        '2024-01-15 10:30:00'
    """
    name, parameters = field.get("name"), field.get("parameters") or {}
    if name in _BY_TYPE:
        return _DECLARED[_BY_TYPE[name]]
    if name == f"{_CONNECT}Decimal":
        return partial(_decimal, scale=int(parameters.get("scale", 0)))
    if name == "io.debezium.data.VariableScaleDecimal":
        return _any_scale
    if name == "io.debezium.data.Bits":
        return partial(_bits, length=int(parameters.get("length", 0)))
    return _bytes if field.get("type") == "bytes" else None


def text_of(column: str, value: object, decoder: Decoder | None) -> str | None:
    """Return a value of an event as text.

    Args:
        column: for the message.
        value: as JSON has it.
        decoder: of the column; None: the value is plain.

    Raises:
        BadValueError: it cannot be read.

    Example:
        >>> text_of("total", {"scale": 2, "value": "BNI="}, None), text_of("tags", ["a"], None)
        ('12.34', '["a"]')
    """
    try:
        if decoder is not None and value is not None:
            return storable(column, decoder(value))
        if isinstance(value, dict) and value.keys() == {"scale", "value"}:
            return _any_scale(value)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        shown = json.dumps(value, default=str, ensure_ascii=True)[:_SHOWN]
        raise BadValueError(UNREADABLE, column, f"{column} cannot be decoded: {shown}") from error
    if isinstance(value, dict | list):
        return json.dumps(value, default=str, ensure_ascii=False)
    return storable(column, value)

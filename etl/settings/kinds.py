"""What the value of a setting can be: its type, its limits, and how its text is read."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, SkipValidation
from pydantic.fields import FieldInfo

from etl.cloud.paths import cloud_path
from etl.settings.connection_strings import file_of


@dataclass(frozen=True)
class Kind:
    """What a value has to be, in plain words, and how its text is read.

    `read` takes the text and the base folder; it raises ValueError or LookupError.
    """

    words: str
    read: Callable[[str, Path], object] = lambda text, base_dir: text
    secret: bool = False


def _matching(pattern: str) -> Callable[[str, Path], str]:
    def read(text: str, base_dir: Path) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError
        return text

    return read


# "C:\new" in double quotes becomes a line break, and a quote that is closed only further down
# swallows the settings between
_one_line = _matching(r"[^\x00-\x1f\x7f]+")
_one_line_secret = _matching(r"[^\x00\r\n]+")
_address = _matching(r"[^@\s,;<>]+@[^@\s,;<>]+")
# which engines there are is not known here: a form that none of them takes is refused by them
_connection_form = _matching(r"[a-z][a-z0-9+.-]*://(?!/?$)[^\x00\r\n]+|[A-Za-z][\w ]*=[^\x00\r\n]*")


def read_connection(text: str, base_dir: Path) -> str:
    """Return a connection string, the path of a file counted from a folder.

    Raises:
        ValueError: it has no form that an engine knows.

    Example:
        >>> read_connection("duckdb:///shop.duckdb", Path("/srv"))
        'duckdb:////srv/shop.duckdb'
    """
    path = file_of(_connection_form(text, base_dir))
    if not path or path == ":memory:":
        return text
    return text.removesuffix(path) + (base_dir / path).as_posix()


def _folder(text: str, base_dir: Path) -> Path:
    # a folder whose name is literally ~ or ${HOME} or s3: is never what was meant
    if re.search(r"^~|\$\{|[\x00-\x1f]|^[A-Za-z][A-Za-z0-9+.-]+://", text):
        raise ValueError
    return base_dir / text


def read_place(text: str, base_dir: Path) -> Path:
    """Return a folder, or what stands for one in a cloud.

    Raises:
        ValueError: it is neither.

    Example:
        >>> str(read_place("s3://shop/in/", Path("/srv"))), str(read_place("in", Path("/srv")))
        ('s3://shop/in', '/srv/in')
    """
    return cloud_path(text) or _folder(text, base_dir)


def _source_file(text: str, base_dir: Path) -> str:
    cloud_path(text)  # raises where it is an address of no bucket
    return _one_line(text, base_dir)


def _encoding(text: str, base_dir: Path) -> str:
    "a".encode(text)  # knows more than codecs.lookup, which also finds base64
    return text


def _zone(text: str, base_dir: Path) -> str:
    return ZoneInfo(text).key


def _addresses(text: str, base_dir: Path) -> tuple[str, ...]:
    return tuple(_address(part.strip(), base_dir) for part in text.split(","))


# fmt: off
Text = Annotated[str, Kind("text without line breaks and other control characters", _one_line)]
SchemaName = Annotated[str, Kind(
    "the name of a schema: letters, digits and _", _matching(r"[^\W\d]\w*"))]
Secret = Annotated[SecretStr, Kind("text on one line", _one_line_secret, secret=True)]
Connection = Annotated[SecretStr, Kind(
    "duckdb:///path, duckdb:///:memory:, delta:///path, postgresql://... or an ODBC string "
    "Name=value;...",
    read_connection, secret=True)]
Webhook = Annotated[SecretStr, Kind(
    "an address that begins with https://",
    _matching(r"https://\S+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?(/\S*)?"), secret=True)]
LineageAddress = Annotated[str, Kind(
    "an address that begins with file:///, https:// or http://, or kafka://broker/topic",
    _matching(r"file:///\S+|https?://[^\s/@]+(/\S*)?|kafka://[^\s/@]+/[\w.-]+"))]
WebAddress = Annotated[str, Kind(
    "an address that begins with https:// or http://", _matching(r"https?://[^\s/@]+(/\S*)?"))]
Folder = Annotated[Path, Kind("a folder, spelt out: ~ and ${...} are not replaced", _folder)]
# pydantic would refuse a path in a cloud, which is none of this machine
Place = Annotated[Path, SkipValidation(), Kind(
    "a folder, spelt out: ~ and ${...} are not replaced; or s3://bucket/folder, or "
    "abfs://container@account.dfs.core.windows.net/folder", read_place)]
SourceFile = Annotated[str, Kind(
    "a name below INPUT_DIR, or s3://bucket/name, or "
    "abfs://container@account.dfs.core.windows.net/name", _source_file)]
FileMode = Annotated[str, Kind(
    "rights such as 0600 or 0640, reading and writing for the owner among them",
    _matching("0?6[046][046]"))]
Encoding = Annotated[str, Kind("a text encoding that Python knows, such as utf-8", _encoding)]
TimeZone = Annotated[str, Kind("a time zone such as UTC or Europe/Berlin", _zone)]
Hour = Annotated[str, Kind(
    "a time of day such as 06:00", _matching("([01][0-9]|2[0-3]):[0-5][0-9]"))]
AreaCode = Annotated[str, Kind("three digits", _matching("[0-9]{3}"))]
Memory = Annotated[str, Kind(
    "a size such as 512MB or 1GB", _matching(r"[0-9]+(\.[0-9]+)? ?[KMGTkmgt][Ii]?[Bb]"))]
Positive = Annotated[int, Field(ge=1), Kind("a whole number, 1 or more")]
Count = Annotated[int, Field(ge=0), Kind("a whole number, 0 or more")]
Days = Annotated[int, Field(ge=0, le=3650), Kind("a whole number of days from 0 to 3650")]
Port = Annotated[int, Field(ge=1, le=65535), Kind("a port number from 1 to 65535")]
Number = Annotated[float, Field(ge=0), Kind("a number, 0 or more")]
Share = Annotated[float, Field(ge=0, le=1), Kind("a fraction from 0 to 1, such as 0.1")]
# more decimals would not fit the exact numbers in which money is multiplied
Rate = Annotated[Decimal, Field(ge=0, le=1, decimal_places=6), Kind(
    "a fraction from 0 to 1, such as 0.03, of at most six decimals")]
Ratio = Annotated[Decimal, Field(ge=0, le=10, decimal_places=6), Kind(
    "a number from 0 to 10, such as 0.6, of at most six decimals")]
Switch = Annotated[bool, Kind("yes or no")]
Encrypt = Annotated[Literal["yes", "no", "strict"], Kind(
    "yes, no or strict", lambda text, _: text.lower())]
Authentication = Annotated[
    Literal["sql", "entra-password", "entra-service-principal", "entra-managed-identity",
            "entra-default"],
    Kind("sql, entra-password, entra-service-principal, entra-managed-identity or entra-default",
         lambda text, _: text.lower())]
Intent = Annotated[Literal["ReadWrite", "ReadOnly"], Kind(
    "ReadWrite or ReadOnly",
    lambda text, _: {"readwrite": "ReadWrite", "readonly": "ReadOnly"}.get(text.lower(), text))]
Upsert = Annotated[Literal["merge", "update-insert"], Kind(
    "merge or update-insert", lambda text, _: text.lower())]
WhereRead = Annotated[Literal["local", "spark"], Kind(
    "local or spark", lambda text, _: text.lower())]
Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], Kind(
    "DEBUG, INFO, WARNING, ERROR or CRITICAL", lambda text, _: text.upper())]
Mode = Annotated[Literal["simulate", "send"], Kind(
    "simulate or send", lambda text, _: text.lower())]
Returns = Annotated[Literal["reject", "load"], Kind(
    "reject or load", lambda text, _: text.lower())]
DeadLetters = Annotated[Literal["files", "table"], Kind(
    "files or table", lambda text, _: text.lower())]
Address = Annotated[str, Kind("an e-mail address", _address)]
Addresses = Annotated[tuple[str, ...], Kind("e-mail addresses, commas between", _addresses)]
# fmt: on


def kind_of(info: FieldInfo) -> Kind:
    """Return the `Kind` of a declared setting."""
    # pydantic lifts the metadata out of `Kind`, and leaves it inside `Kind | None`
    inside = (getattr(part, "__metadata__", ()) for part in get_args(info.annotation))
    parts = (*info.metadata, *(part for metadata in inside for part in metadata))
    return next(part for part in parts if isinstance(part, Kind))

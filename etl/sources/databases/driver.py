"""What a driver is: how a database is reached, described, and read as blocks of text.

Each driver is one file of this room whose `DRIVER` says all of this; `registry.py` lists them. A
driver is imported when a source needs it, and not before.
"""

import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from etl import libraries
from etl.engines.dialect import quoted
from etl.errors import ExtractionError
from etl.schema.columns import WIDEST_TEXT
from etl.schema.table import Column, Kind
from etl.sources.databases.asked import Asked, Quote

_MOST_DIGITS = 38


@dataclass(frozen=True)
class Found:
    """A column of what is read.

    Attributes:
        type_name: as the database calls it.
        kind: what a table that is made for it holds; None: the values say it.
        readable: whether its values have a text; False for shapes and the like.
    """

    name: str
    type_name: str = ""
    kind: Kind | None = None
    width: int = 0
    precision: int = 0
    scale: int = 0
    readable: bool = True

    def column(self, name: str, *, is_key: bool) -> Column | None:
        """Return the column of a table that is made for it, None where the values must say it.

        Example:
            >>> Found("No", "varchar(9)", Kind.TEXT, width=9).column("no", is_key=False).width
            9
        """
        if self.kind is None or (self.kind is Kind.TEXT and not 0 < self.width <= WIDEST_TEXT):
            return None
        if self.kind is Kind.DECIMAL and not 0 <= self.scale <= self.precision <= _MOST_DIGITS:
            return None
        exact = is_key and self.kind is Kind.TEXT
        return Column(
            name, "", self.kind, self.width, self.precision, self.scale, required=is_key,
            exact=exact,
        )  # fmt: skip


@dataclass(frozen=True)
class Target:
    """Where it is read, and how.

    Attributes:
        setting: that holds the connection string, for messages.
        zone: to which times with an offset are converted.
        chunk_rows: about how many rows a block has.
    """

    connection_string: str = field(repr=False)
    setting: str
    zone: str = "UTC"
    chunk_rows: int = 50_000

    @property
    def next_step(self) -> str:
        """What to do about a query that is refused."""
        return f"check {self.setting}, and the table, query and cursor of the source"


class Connection(Protocol):
    """An open connection to a database, from which one thing is read."""

    def columns(self, asked: Asked) -> Sequence[Found]:
        """Return the columns of what is asked for.

        Raises:
            ExtractionError: the database refuses; the driver's error is the cause.
        """

    def blocks(self, asked: Asked, columns: Sequence[Found]) -> Iterator[pa.RecordBatch]:
        """Stream some columns of what is asked for, as texts under their own names.

        Raises:
            ExtractionError: the database refuses, or the connection is lost on the way.
        """

    def values(self, asked: Asked) -> Generator[dict[str, Any], None, None]:
        """Stream records as the driver gives them, by column.

        Raises:
            ExtractionError: as for `blocks`.
        """

    def close(self) -> None:
        """Close it, whatever is still to come."""


@dataclass(frozen=True)
class Driver:
    """A kind of database that can be read.

    Attributes:
        name: of the database, for messages.
        form: of its connection strings.
        accepts: whether a connection string is one of its own.
        connect: opens a connection.
        lacks: whether records may lack columns, as documents do.
        quote: puts a name into the quotation marks of the database.
    """

    name: str
    form: str
    accepts: Callable[[str], bool]
    connect: Callable[[Target], Connection]
    lacks: bool = False
    quote: Quote = quoted


def library(name: str, extra: str) -> Any:
    """Return a library of an extra.

    Raises:
        ConfigurationError: it is not installed.

    Example:
        >>> library("no_such_driver", "mysql")
        Traceback (most recent call last):
        etl.errors.ConfigurationError: this source needs no_such_driver. Next: ...
    """
    return libraries.library(name, needed_by="this source", extra=extra)


_TYPE = re.compile(r"\s*([a-z0-9_ ]*[a-z0-9_])\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?")


def declared(name: str, type_name: str, kinds: Mapping[str, Kind]) -> Found:
    """Return a column as its declared type describes it.

    Args:
        name: of the column.
        type_name: such as `varchar(20)` or `DECIMAL(12, 2)`.
        kinds: by type in small letters, what it holds.

    Example:
        >>> declared("total", "DECIMAL(12, 2)", {"decimal": Kind.DECIMAL}).scale
        2
    """
    match = _TYPE.match(type_name.lower())
    kind = kinds.get(match[1]) if match else None
    first, second = (int(match[2] or 0), int(match[3] or 0)) if match else (0, 0)
    if kind is Kind.DECIMAL:
        # without digits it is a number of any size
        return Found(name, type_name, kind if first else None, precision=first, scale=second)
    return Found(name, type_name, kind, width=first if kind is Kind.TEXT else 0)


def texts_of(names: Sequence[str], batch: pa.RecordBatch, place: str) -> pa.RecordBatch:
    """Return a block under the names that are wanted, once it is known to hold text.

    Raises:
        ExtractionError: a value is no UTF-8.
    """
    for name, column in zip(names, batch.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            raise ExtractionError(
                f"{place}: column {name} holds bytes that are no UTF-8 text",
                next_step="convert the column in a query of the source",
            ) from None
    return pa.RecordBatch.from_arrays(batch.columns, list(names))

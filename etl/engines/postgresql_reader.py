"""Sales out of PostgreSQL, rows at a time."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from decimal import Decimal
from typing import Any

from etl.engines.postgresql_client import (
    connect,
    errors_as_sentences,
    numbered_marks,
    server_cursor,
)
from etl.errors import ExtractionError

_MONEY = 790  # its number in pg_type, the same on every server


def amount_of(text: str, digits: int) -> Decimal:
    """Return the amount of a value of type `money`, which comes as its locale writes it.

    Args:
        text: the value.
        digits: after the point, of which the locale has as many in every amount.

    Example:
        >>> amount_of("-$1,299.00", 2), amount_of("1.299,50 €", 2), amount_of("($5)", 0)
        (Decimal('-1299.00'), Decimal('1299.50'), Decimal('-5'))
    """
    number = Decimal("".join(filter(str.isdecimal, text))).scaleb(-digits)
    return -number if set("-(\u2212") & set(text) else number


class PostgresReader:
    """A connection to read from; see `engine.Reader`.

    Args:
        connection_string: `postgresql://...`.
        setting: where it was set, for messages.

    Raises:
        ExtractionError: the server cannot be reached; the driver's error is the cause.
    """

    ticks_finer = False

    def __init__(self, connection_string: str, setting: str) -> None:
        self._connection = connect(connection_string, setting, raised=ExtractionError)
        self._next_step = f"check {setting}, and that the table has the columns of the query"
        self._cursor: Any = None
        self._money: dict[int, int] = {}  # place of a column, digits after the point
        self._stack = ExitStack()

    def keeps_offset(self, table: str, column: str) -> bool:
        """Return false: a time is compared in the zone of the session, with offset or without."""
        del table, column
        return False

    def query(self, sql: str, params: Sequence[object]) -> None:
        """Run the query; its rows stay on the server until they are fetched."""
        with self._errors():
            self._connection.autocommit = False  # a cursor of the server ends with a transaction
            self._connection.read_only = True
            self._cursor = self._stack.enter_context(server_cursor(self._connection, "sales"))
            self._cursor.execute(numbered_marks(sql), params)
            self._money = self._columns_of_money()

    def _columns_of_money(self) -> dict[int, int]:
        columns = enumerate(self._cursor.description or ())
        places = [place for place, column in columns if column.type_code == _MONEY]
        if not places:
            return {}
        (nothing,) = self._connection.execute("SELECT CAST(0 AS money)::text").fetchone()
        return dict.fromkeys(places, sum(map(str.isdecimal, nothing)) - 1)

    @property
    def columns(self) -> Sequence[str]:
        """The names of the columns of the query."""
        return [column[0] for column in self._cursor.description or ()]

    def fetchmany(self, rows: int) -> list[Any]:
        """Return the next rows, none at the end."""
        with self._errors():
            found = list(self._cursor.fetchmany(rows))
        return [self._with_amounts(row) for row in found] if self._money else found

    def _with_amounts(self, row: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(
            amount_of(value, self._money[place])
            if place in self._money and isinstance(value, str) else value
            for place, value in enumerate(row)
        )  # fmt: skip

    def close(self) -> None:
        """Close cursor and connection."""
        self._stack.close()
        self._connection.close()

    def _errors(self) -> AbstractContextManager[None]:
        return errors_as_sentences(raised=ExtractionError, next_step=self._next_step)

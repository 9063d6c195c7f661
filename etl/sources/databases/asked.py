"""What a database is asked: a table or a query, and by its cursor the records of a window."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from etl.engines.dialect import quoted
from etl.sources.window import EVERY_NUMBER, EVERYTHING, AnyWindow, Numbers

_TICK = timedelta(microseconds=1)
_ALIAS = "asked"

Moment = datetime | int
Quote = Callable[[str], str]


@dataclass(frozen=True)
class Asked:
    """What is read.

    Attributes:
        table: a table, view or collection, with its schema or without; empty: there is a query.
        query: with two question marks it takes the first value of a window and the one after its
            last.
        cursor: the column by which records of a window are found; empty: all are read.
        start: its first value that is wanted; None: from the beginning.
        after: the first one that is not wanted any more; None: to the end.
        whole: the widest window there is, which replaces ends that are open.
        nulls: whether records without a value of the cursor are wanted besides.
    """

    table: str = ""
    query: str = ""
    cursor: str = ""
    start: Moment | None = None
    after: Moment | None = None
    whole: tuple[Moment, Moment] = (EVERYTHING.start, EVERYTHING.end)
    nulls: bool = False

    def within(self, window: AnyWindow) -> "Asked":
        """Return the same, for the records of a window alone.

        Example:
            >>> Asked(table="orders", cursor="id").within(Numbers(5, EVERY_NUMBER.end)).params
            (5,)
        """
        everything, tick = (EVERY_NUMBER, 1) if isinstance(window, Numbers) else (EVERYTHING, _TICK)
        start = window.start if window.start > everything.start else None  # type: ignore[operator]
        after = window.end + tick if window.end < everything.end else None  # type: ignore[operator]
        return Asked(
            self.table, self.query, self.cursor, start, after, (everything.start, everything.end)
        )

    @property
    def params(self) -> tuple[Moment, ...]:
        """The values for the question marks of `sql`."""
        if "?" in self.query:
            ends = zip((self.start, self.after), self.whole, strict=True)
            return tuple(widest if end is None else end for end, widest in ends)
        return tuple(end for end in (self.start, self.after) if self.cursor and end is not None)

    def sql(self, quote: Quote = quoted) -> str:
        """Return the SELECT, a question mark for each parameter.

        Args:
            quote: puts a name into the quotation marks of the database.

        Example:
            >>> window = Numbers(5, EVERY_NUMBER.end)
            >>> Asked(table="dbo.orders", cursor="id").within(window).sql()
            'SELECT * FROM "dbo"."orders" WHERE "id" >= ?'
        """
        if "?" in self.query or not self._conditions(quote):
            return self.query or f"SELECT * FROM {self._table(quote)}"  # noqa: S608  # a quoted name
        asked = f"({self.query}\n) AS {_ALIAS}" if self.query else self._table(quote)
        return f"SELECT * FROM {asked} WHERE {' AND '.join(self._conditions(quote))}"  # noqa: S608  # likewise

    def nothing(self, quote: Quote = quoted) -> str:
        """Return the SELECT for the columns alone."""
        return self.selecting("*", quote) + " WHERE 1 = 0"

    def selecting(self, expressions: str, quote: Quote = quoted) -> str:
        """Return the SELECT of expressions over the columns of `sql`."""
        return f"SELECT {expressions} FROM ({self.sql(quote)}\n) AS {_ALIAS}"  # noqa: S608  # expressions of quoted names

    def _conditions(self, quote: Quote) -> list[str]:
        if not self.cursor:
            return []
        column, ends = quote(self.cursor), ((">=", self.start), ("<", self.after))
        found = [f"{column} {sign} ?" for sign, end in ends if end is not None]
        return [f"({' AND '.join(found)} OR {column} IS NULL)"] if found and self.nulls else found

    def _table(self, quote: Quote) -> str:
        return ".".join(map(quote, self.table.split(".")))


@dataclass(frozen=True)
class AskedExtent(Asked):
    """Asks for the first and last value of the cursor, and for how many records there are."""

    def sql(self, quote: Quote = quoted) -> str:
        """Return the SELECT, a question mark for each parameter.

        Example:
            >>> AskedExtent("orders", cursor="id").sql().split(" FROM ")[0]
            'SELECT MIN("id") AS a, MAX("id") AS b, COUNT(*) AS c'
        """
        column = quote(self.cursor)
        values = f"MIN({column}) AS a, MAX({column}) AS b, COUNT(*) AS c"
        return f"SELECT {values} FROM ({super().sql(quote)}\n) AS {_ALIAS}"  # noqa: S608  # a quoted name

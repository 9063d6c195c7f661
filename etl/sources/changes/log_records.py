"""What a log says of one row, whatever wrote it down, and how that becomes changes of a load."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from etl.rejects import MISSING
from etl.rules.records import BadValueError, storable
from etl.schema.work_tables import CLEARED, REMOVED, ROW
from etl.sources.changes.change import Change, Naming


class Unsent(Enum):
    """Stands for a value that an update has not changed and that the log does not repeat."""

    UNSENT = "unsent"


Value = str | None | Unsent


@dataclass(frozen=True)
class LogRecord:
    """One record of a log about a table.

    Attributes:
        kind: row, removed or cleared.
        new: the row as it is, by the names of the source; empty where there is none.
        old: the row, or its key, as it was; empty where the log does not say.
        time: when it was committed, UTC.
    """

    kind: str
    new: Mapping[str, Value]
    old: Mapping[str, Value]
    time: datetime | None = None


@dataclass(frozen=True)
class LogForm:
    """How records of a log become changes of a load.

    Attributes:
        key: the columns of the key.
        naming: which column takes which of the source.
        remedy: how the source is made to log what a change needs.
    """

    key: tuple[str, ...]
    naming: Naming
    remedy: str = ""

    def changes(self, record: LogRecord, row: int) -> Iterator[Change]:
        """Yield the changes of a record: a changed key is a removal and a row.

        Args:
            record: of the log.
            row: its number; the next one must be free as well.

        Raises:
            BadValueError: the log does not say what is needed.
        """
        position = f"{row:020}"
        if record.kind == CLEARED:
            yield Change(row, CLEARED, {}, position, record.time)
            return
        old = self._key_of(record.old)
        if record.kind == REMOVED:
            if not old:
                raise BadValueError(
                    MISSING, self.key[0], f"a removal without {' and '.join(self.key)} of what was "
                    f"removed; {self.remedy}",
                )  # fmt: skip
            yield Change(row, REMOVED, old, position, record.time)
            return
        new = self._texts(record)
        if old and any(old[name] != new.get(name) for name in self.key):
            yield Change(row, REMOVED, old, position, record.time)
        yield Change(row + 1, ROW, new, f"{row + 1:020}", record.time)

    def _key_of(self, image: Mapping[str, Value]) -> dict[str, str | None]:
        """The key in an old row; empty where it is not there whole."""
        named = self.naming.named(image)
        key = {n: v for n in self.key if isinstance(v := named.get(n), str)}
        return {n: storable(n, v) for n, v in key.items()} if len(key) == len(self.key) else {}

    def _texts(self, record: LogRecord) -> dict[str, str | None]:
        old = self.naming.named(record.old)
        found: dict[str, str | None] = {}
        for column, value in self.naming.named(record.new).items():
            known = old.get(column, Unsent.UNSENT) if value is Unsent.UNSENT else value
            if known is Unsent.UNSENT:
                raise BadValueError(
                    MISSING, column,
                    f"{column} was not changed and is not in the log; {self.remedy}",
                )  # fmt: skip
            found[column] = storable(column, known)
        return found

"""Rejected records that are kept to be tried again, and what a load does to them.

Each is open, or stays for a person, until a run loads it (resolved) or a newer record of its key
comes (superseded). What a load makes of them is computed here, from plain values, and written in
the transaction of the load.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from etl.rejects import DUPLICATE, MALFORMED, REASON_COLUMNS, RETURN, places
from etl.schema.audit import ETL_DEAD_LETTER
from etl.schema.table import Table

OPEN = "open"
PERSON = "person"
RESOLVED = "resolved"
SUPERSEDED = "superseded"
UNSETTLED = (OPEN, PERSON)

# Set aside on purpose: nothing is wrong with them.
_NO_FAULT = (DUPLICATE, RETURN)
_RAW = "raw_record"
# Of one record, in characters, so that all that are kept fit into memory.
_LONGEST_RECORD = 20_000
_SHOWN_CHARACTERS = 2_000
_KEY_WIDTH = ETL_DEAD_LETTER.column("record_key").width

# By key, the row of its newest record that a load has taken.
Accepted = Mapping[str, int]


@dataclass(frozen=True)
class Letter:
    """A rejected record; the columns of `etl_dead_letter`."""

    letter_id: str
    table_name: str
    source: str
    record_key: str | None
    error_class: str
    field: str | None
    reason: str | None
    source_file: str | None
    source_row: int | None
    place: int
    record: str
    date_order: str | None
    first_seen: datetime
    first_run_id: str
    run_id: str
    tried_at: datetime
    tried_run_id: str
    attempts: int = 1
    state: str = OPEN
    closed_at: datetime | None = None
    closed_run_id: str | None = None

    @property
    def values(self) -> dict[str, str]:
        """What the source wrote, by column; empty for a record that cannot be taken apart."""
        known: dict[str, str] = json.loads(self.record)
        return {} if self.error_class == MALFORMED else known

    @property
    def age(self) -> tuple[str, int]:
        """By which of two records of one key the newer is known."""
        return self.run_id, self.place

    def closed(self, state: str, reading: "Reading") -> "Letter":
        """It, as resolved or superseded by a run."""
        return replace(self, state=state, closed_at=reading.now, closed_run_id=reading.run_id)


@dataclass(frozen=True)
class Reading:
    """What a load did that decides of rejected records.

    Attributes:
        now: UTC.
        accepted: the keys that it has taken, of those that rejected records have.
        is_partial: it read single records that a person has looked at.
        replaces: what it did not read has left the table.
        attempts: tries after which a record stays for a person.
        most: most records of a table that are kept open.
    """

    run_id: str
    now: datetime
    accepted: Accepted = field(default_factory=dict)
    is_partial: bool = False
    replaces: bool = False
    attempts: int = 3
    most: int = 10_000

    @property
    def closing(self) -> str:
        """What a record is whose key it has taken: what a person corrected is resolved."""
        return RESOLVED if self.is_partial else SUPERSEDED


class Letters(Protocol):
    """Takes the rejected records of a load, and says what it makes of those that are kept."""

    left_out: int

    def write(self, rejected: pa.RecordBatch) -> None:
        """Add a block of rejected records."""

    def keys(self) -> Iterable[str]:
        """The keys of its records."""

    def settled(self, known: Mapping[str, Letter], reading: Reading) -> list[Letter]:
        """Return what has changed; `known` are those kept of the table, by their id."""


@dataclass(frozen=True)
class Origin:
    """Where the records of a source are read.

    Attributes:
        files: names of its files; of a database one that stands for it.
        is_whole: whether the run reads all that the source has.
        date_order: of day and month, once the source was read; None where nothing proves it.
    """

    files: Sequence[str] = ()
    is_whole: bool = False
    date_order: Callable[[], str | None] = lambda: None


class NewLetters:
    """The rejected records of one source in one run.

    Args:
        table: of the source.
        source: its name.
        run_id: the run.
        now: UTC.
        origin: where it is read.
        most: how many it keeps.

    Attributes:
        left_out: how many records were too many to be kept.
    """

    def __init__(
        self, table: Table, source: str, *, run_id: str, now: datetime,
        origin: Origin, most: int = 10_000,
    ) -> None:  # fmt: skip
        self.left_out = 0
        self._table, self._source, self._origin = table, source, origin
        self._run_id, self._now = run_id, now
        self._most = most
        self._found: dict[str, Letter] = {}
        self._beyond = 0

    def write(self, rejected: pa.RecordBatch) -> None:
        """Add a block of rejected records; of equal ones the last counts."""
        at_fault = pc.invert(pc.is_in(rejected.column("error_class"), pa.array(_NO_FAULT)))
        rejected = rejected.filter(at_fault)
        room = max(self._most - len(self._found), 0)
        self._beyond += max(rejected.num_rows - room, 0)
        numbers, rows = places(rejected.column("source_row"))
        found = zip(rejected.slice(0, room).to_pylist(), numbers, rows, strict=False)
        for row, number, within in found:
            letter = self._letter(row, number.as_py(), within.as_py())
            if len(letter.record) > _LONGEST_RECORD:
                self._beyond += 1
            else:
                self._found[letter.letter_id] = letter

    def _letter(self, row: Mapping[str, Any], number: int | None, within: int | None) -> Letter:
        record = _record(row)
        return Letter(
            letter_id=_digest(self._table.name, record), table_name=self._table.name,
            source=self._source, record_key=_kept_key(row["record_key"]),
            error_class=row["error_class"], field=row["field"], reason=_plain(row["reason"]),
            source_file=self._file(number or 0), source_row=within, place=row["source_row"] or 0,
            record=record, date_order=None,
            first_seen=self._now, first_run_id=self._run_id, run_id=self._run_id,
            tried_at=self._now, tried_run_id=self._run_id,
        )  # fmt: skip

    def _file(self, number: int) -> str | None:
        files = self._origin.files
        return files[number] if number < len(files) else None

    def keys(self) -> Iterable[str]:
        """The keys of its records."""
        return filter(None, (letter.record_key for letter in self._found.values()))

    def settled(self, known: Mapping[str, Letter], reading: Reading) -> list[Letter]:
        """Return what has changed."""
        again = [self._again(known[name], new) for name, new in self._found.items()
                 if name in known]  # fmt: skip
        fresh = [new for name, new in self._found.items() if name not in known]
        others = [old for name, old in known.items() if name not in self._found]
        newer = {*reading.accepted, *self.keys()}
        overtaken = [old for old in others if self._is_overtaken(old, newer, reading)]
        room = max(reading.most - (len(known) - len(overtaken)), 0)
        self.left_out = self._beyond + max(len(fresh) - room, 0)
        read = [self._judged(each, reading) for each in (*again, *fresh[:room])]
        return [*(old.closed(reading.closing, reading) for old in overtaken), *read]

    def _again(self, old: Letter, new: Letter) -> Letter:
        """A record that is kept, as the run has read it once more."""
        tried = old.attempts + (old.tried_run_id != self._run_id)
        return replace(
            new, first_seen=old.first_seen, first_run_id=old.first_run_id, attempts=tried
        )

    def _is_overtaken(self, old: Letter, newer: Set[str], reading: Reading) -> bool:
        """Whether the run has read what is newer than a record that it has not read."""
        if reading.replaces:
            return True
        if old.record_key is None:  # only the whole source says that it is gone
            return self._origin.is_whole
        return old.record_key in newer

    def _judged(self, letter: Letter, reading: Reading) -> Letter:
        newest = reading.accepted.get(letter.record_key or "")
        if newest is not None and (self._table.rank or newest > letter.place):
            return letter.closed(SUPERSEDED, reading)
        order = self._origin.date_order()  # known once the source was read
        return replace(letter, date_order=order, state=_state(letter, self._table, reading))


class NoLetters:
    """Of a load whose rejected records are not kept: what it has taken is newer all the same."""

    left_out = 0

    def write(self, rejected: pa.RecordBatch) -> None:
        """Keep none."""

    def keys(self) -> Iterable[str]:
        """None."""
        return ()

    def settled(self, known: Mapping[str, Letter], reading: Reading) -> list[Letter]:
        """Return what newer records were loaded for."""
        return [
            old.closed(reading.closing, reading) for old in known.values()
            if reading.replaces or old.record_key in reading.accepted
        ]  # fmt: skip


NO_LETTERS = NoLetters()


@dataclass(frozen=True)
class Retry:
    """Kept records of one source that a run tries once more.

    Attributes:
        tried: by the row that each has in this run, with the key that it has by today's rules.
        overtaken: those that are not tried, since newer ones were read.
    """

    tried: Mapping[int, Letter]
    overtaken: tuple[Letter, ...] = ()


class TriedLetters:
    """Kept records that a run tries once more.

    Args:
        table: into which they would be loaded.
        retry: the records.
    """

    def __init__(self, table: Table, retry: Retry) -> None:
        self.left_out = 0
        self._table, self._tried, self._overtaken = table, retry.tried, retry.overtaken
        self._rejected: dict[int, Mapping[str, Any]] = {}

    def write(self, rejected: pa.RecordBatch) -> None:
        """Note which of them are rejected again, or gave way to another one of their key."""
        for row in rejected.select(["source_row", *REASON_COLUMNS]).to_pylist():
            self._rejected[row["source_row"]] = row

    def keys(self) -> Iterable[str]:
        """The keys are known: the load takes all that it does not reject."""
        return ()

    def settled(self, known: Mapping[str, Letter], reading: Reading) -> list[Letter]:
        """Return what has changed."""
        loaded = {row: each for row, each in self._tried.items() if row not in self._rejected}
        newest = _newest(loaded.values())
        changed = {each.letter_id: self._outcome(row, each, reading)
                   for row, each in self._tried.items()}  # fmt: skip
        changed |= {each.letter_id: each.closed(SUPERSEDED, reading) for each in self._overtaken}
        for old in (*known.values(), *changed.values()):
            since = newest.get(old.record_key or "")
            present = changed.get(old.letter_id, old)
            older = since is not None and (bool(self._table.rank) or old.age < since)
            if older and present.state in UNSETTLED:
                changed[old.letter_id] = present.closed(SUPERSEDED, reading)
        return list(changed.values())

    def _outcome(self, row: int, letter: Letter, reading: Reading) -> Letter:
        tried = replace(letter, attempts=letter.attempts + 1, tried_at=reading.now,
                        tried_run_id=reading.run_id)  # fmt: skip
        found = self._rejected.get(row)
        if found is None:
            return tried.closed(RESOLVED, reading)
        if found["error_class"] == DUPLICATE:
            return tried.closed(SUPERSEDED, reading)
        reason = {name: found[name] for name in ("error_class", "field")}
        tried = replace(tried, **reason, reason=_plain(found["reason"]))
        return replace(tried, state=_state(tried, self._table, reading))


def may_be_tried(letter: Letter, table: Table) -> bool:
    """Whether a record can be tried without a person.

    A record that could not be taken apart has no columns to try; without a key, or in a feed of
    changes, nobody knows what is newer.
    """
    return letter.error_class != MALFORMED and bool(table.key) and table.feed is None


def _state(letter: Letter, table: Table, reading: Reading) -> str:
    tired = letter.attempts >= reading.attempts
    return PERSON if tired or not may_be_tried(letter, table) else OPEN


def _newest(letters: Iterable[Letter]) -> dict[str, tuple[str, int]]:
    newest: dict[str, tuple[str, int]] = {}
    for each in letters:
        if each.record_key:
            newest[each.record_key] = max(each.age, newest.get(each.record_key, each.age))
    return newest


def _record(row: Mapping[str, Any]) -> str:
    aside = {"source_row", *REASON_COLUMNS}
    values = {name: text for name, text in row.items() if name not in aside and text}
    if row["error_class"] == MALFORMED:
        values = {_RAW: (row[_RAW] or "")[:_SHOWN_CHARACTERS]}
    return json.dumps(values, ensure_ascii=False, sort_keys=True)


def _digest(table_name: str, record: str) -> str:
    return hashlib.sha256(f"{table_name}\n{record}".encode()).hexdigest()


def _kept_key(key: str | None) -> str | None:
    """The key; none where the column cannot hold it, so that no row has it either."""
    if not key or "\0" in key or len(key.encode("utf-16-le")) > 2 * _KEY_WIDTH:
        return None
    return key


def _plain(text: str | None) -> str | None:
    return text.replace("\0", "") if text else text

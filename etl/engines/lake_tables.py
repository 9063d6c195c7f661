"""The Delta tables of a lakehouse: their versions and files, who wrote them, and one commit.

A commit is made only onto the version that was looked at; when somebody else was faster, it fails.
"""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from etl.cloud.paths import is_cloud
from etl.engines.dialect import quoted_table
from etl.engines.lake_parts import Division, Part, WrittenFile, tag_of
from etl.engines.lake_place import LakePlace, delta
from etl.errors import ETLError, LoadingError, WarehouseInUseError

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")  # in errors of the library
# Stands in each commit of ours.
MARK = "nightly_etl"
_FOR_EVER = 36_500  # days


@dataclass(frozen=True)
class LakeTable:
    """One version of a Delta table.

    Attributes:
        name: the table's.
        found: the library's object.
    """

    name: str
    found: Any

    @property
    def version(self) -> int:
        """The number of the version."""
        return int(self.found.version())

    @property
    def id(self) -> str:
        """What no other table is called."""
        return str(self.found.metadata().id)

    @property
    def files(self) -> dict[str, int]:
        """The paths of its files, with their sizes in bytes."""
        actions = pa.table(self.found.get_add_actions(flatten=True))
        sizes = actions["size_bytes"].to_pylist()
        return dict(zip(actions["path"].to_pylist(), sizes, strict=True))

    @property
    def schema(self) -> Any:
        """Its columns."""
        return self.found.schema()

    def blocks(self) -> pa.RecordBatchReader:
        """Return its rows, some at a time."""
        return pa.RecordBatchReader.from_stream(self.found.scan())

    def written_since(self, version: int) -> list[Mapping[str, Any]]:
        """Return the notes of the commits after a version, the newest first."""
        return list(self.found.history(self.version - version))


def is_ours(commit: Mapping[str, Any]) -> bool:
    """Return whether a commit was made by a publication."""
    return MARK in commit


def commit_words(commit: Mapping[str, Any]) -> str:
    """Return what a commit was, for messages.

    Example:
        >>> commit_words({"version": 7, "operation": "DELETE", "engineInfo": "delta-rs:1.6"})
        'version 7 (DELETE, by delta-rs:1.6)'
    """
    engine = commit.get("engineInfo") or commit.get("clientVersion") or "an unknown engine"
    return f"version {commit.get('version')} ({commit.get('operation', 'unknown')}, by {engine})"


@dataclass(frozen=True)
class Lake:
    """The Delta tables of a place.

    Attributes:
        place: where they are.
        keep_days: for how long what older versions need is kept; 0: for ever.
    """

    place: LakePlace
    keep_days: int = 0

    def table(self, name: str, version: int | None = None) -> LakeTable | None:
        """Return a version of a table, the newest by default; None where there is no such table.

        Raises:
            LoadingError: it cannot be read.
        """
        library, errors = delta(), delta("deltalake.exceptions")
        try:
            with said(name):
                found = library.DeltaTable(
                    self.place.uri(name), version=version,
                    storage_options=dict(self.place.options),
                )  # fmt: skip
        except LoadingError as error:
            if isinstance(error.__cause__, errors.TableNotFoundError) and version is None:
                return None
            raise
        return LakeTable(name, found)

    def publish(self, division: Division, now: LakeTable | None, note: str) -> tuple[int, int]:
        """Bring the files of a table to what the working copy has.

        Args:
            division: the table of the working copy.
            now: the version of the Delta table on which the commit is to stand; None for none.
            note: of the publication, for the commit.

        Returns:
            The version that has exactly those rows, the one there was when nothing differs, and how
            many rows that is.

        Raises:
            WarehouseInUseError: somebody else has committed meanwhile.
            LoadingError: it cannot be written.
        """
        parts = division.parts()
        if now is None or now.schema != _schema_of(division):
            version = self._replaced(division, parts, now, note)
        else:
            version = self._renewed(division, parts, now, note)
        return version, sum(part.rows for part in parts)

    def _renewed(self, division: Division, parts: Sequence[Part], now: LakeTable, note: str) -> int:
        """Puts the parts that differ in the place of what they were."""
        there = {tag_of(path): (path, size) for path, size in now.files.items()}
        wanted = {part.tag: part for part in parts}
        new = [part for tag, part in wanted.items() if tag not in there]
        gone = [file for tag, file in there.items() if tag not in wanted]
        if not new and not gone:
            return now.version
        with said(division.table):
            added = [division.write(part, self.place) for part in new]
            now.found.create_write_transaction(
                [*map(_added, added), *(_removed(*file) for file in gone)], "append", now.schema,
                commit_properties=_properties(note),
            )  # fmt: skip
        return _next(now)

    def _replaced(
        self, division: Division, parts: Sequence[Part], now: LakeTable | None, note: str
    ) -> int:
        """Makes a table, or one with other columns in the place of it."""
        with said(division.table):
            self._make_folder(division.table)
            added = [division.write(part, self.place) for part in parts]
            delta("deltalake.transaction").create_table_with_add_actions(
                self.place.uri(division.table), _schema_of(division), list(map(_added, added)),
                mode="error" if now is None else "overwrite",
                configuration={"delta.logRetentionDuration": self._kept},
                storage_options=dict(self.place.options), commit_properties=_properties(note),
            )  # fmt: skip
        return _next(now)

    def write_whole(self, name: str, rows: pa.Table, now: LakeTable | None, note: str) -> int:
        """Put rows in the place of those of a small table.

        Raises:
            WarehouseInUseError: somebody else has committed meanwhile.
            LoadingError: it cannot be written.
        """
        version = _next(now)  # the library moves its object on to the commit
        with said(name):
            self._make_folder(name)
            delta().write_deltalake(
                self.place.uri(name) if now is None else now.found, rows,
                mode="error" if now is None else "overwrite",
                storage_options=dict(self.place.options), commit_properties=_properties(note),
            )  # fmt: skip
        return version

    @property
    def _kept(self) -> str:
        return f"interval {self.keep_days or _FOR_EVER} days"

    def tidy(self, name: str) -> int:
        """Remove the files of a table that no version of the last days needs.

        Returns:
            The newest version then: the library notes what it does as versions of their own.
        """
        table = self.table(name)
        if table is None or not self.keep_days:
            return table.version if table else 0
        with said(name):
            table.found.vacuum(
                self.keep_days * 24, dry_run=False, enforce_retention_duration=False, full=True,
                commit_properties=_properties("tidied"),
            )  # fmt: skip
        return table.version

    def _make_folder(self, name: str) -> None:
        if not is_cloud(self.place.root):
            self.place.folder(name).mkdir(parents=True, exist_ok=True)


def _next(now: LakeTable | None) -> int:
    """The version of a commit that stands on another one: no other number is tried."""
    return now.version + 1 if now else 0


def _schema_of(division: Division) -> Any:
    listed = f"SELECT * FROM {quoted_table(division.table)} LIMIT 0;"  # noqa: S608  # our own name, quoted
    arrow = division.db.arrow(listed).schema
    return delta().Schema.from_arrow(arrow)


def _added(file: WrittenFile) -> Any:
    action = delta("deltalake.transaction").AddAction
    return action(file.name, file.size, {}, file.written_at, True, file.statistics)


def _removed(path: str, size: int) -> Any:
    action = delta("deltalake.transaction").RemoveAction
    return action(path, True, int(time.time() * 1000), size, {})


def _properties(note: str) -> Any:
    return delta().CommitProperties(custom_metadata={MARK: note}, max_commit_retries=0)


@contextmanager
def said(table: str) -> Iterator[None]:
    """Put the library's errors into a sentence.

    Raises:
        WarehouseInUseError: somebody else has committed to the table meanwhile.
        LoadingError: anything else.
    """
    errors = delta("deltalake.exceptions")
    try:
        yield
    except errors.CommitFailedError as error:
        raise WarehouseInUseError(
            f"somebody else has committed to {table} of the lakehouse while it was published; "
            "nothing of it was overwritten",
            next_step="see that only one run at a time loads this lakehouse, and run again",
        ) from error
    except ETLError:
        raise
    except (errors.DeltaError, OSError, ValueError) as error:
        words = " ".join(_COLOURS.sub("", str(error)).split())
        raise LoadingError(
            f"{table} of the lakehouse cannot be read or written: {words}",
            next_step="check the folder, the credentials and the room on the disk, and run again; "
            "what was not published is published then",
        ) from error

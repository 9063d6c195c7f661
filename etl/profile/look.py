"""From a name to a profile: a file, a table of the warehouse, or a profile that was written."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from etl.cloud.objects import is_there
from etl.engines.database import DatabaseManager
from etl.errors import ConfigurationError, ETLError
from etl.history.runs import utc_now
from etl.profile.counting import count_profile
from etl.profile.figures import FILE, TABLE, Profile, is_profile, read_profile
from etl.profile.staged import Staged, scratch_database, stage_file, stage_table
from etl.profile.validity import Validity, count_validity
from etl.schema.table import Table
from etl.settings.config import Config
from etl.warehouse.own_tables import find_table

_MOST_NAMED = 12


@dataclass(frozen=True)
class Counting:
    """How it is counted.

    Attributes:
        folder: where the engine may write; the system's folder of temporary files by default.
        memory_limit: of the engine; beyond it the disk is used.
        now: the present moment, UTC; the clock's when left out.
    """

    folder: Path | None = None
    memory_limit: str = "384MB"
    now: datetime | None = None

    @contextmanager
    def database(self, name: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a database to count in, for the records of a name."""
        with self._scratch() as scratch, scratch_database(scratch, self.memory_limit) as database:
            try:
                yield database
            except duckdb.OutOfMemoryException as error:
                raise ETLError(
                    f"{name} cannot be counted within DUCKDB_MEMORY_LIMIT, {self.memory_limit}: "
                    f"{str(error).splitlines()[0]}",
                    next_step="raise DUCKDB_MEMORY_LIMIT, or make room on the disk",
                ) from error

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        if self.folder is not None:
            yield self.folder
            return
        with TemporaryDirectory(prefix="etl-profile-") as made:
            yield Path(made)

    def count(
        self, database: duckdb.DuckDBPyConnection, staged: Staged, name: str, kind: str
    ) -> Profile:
        """Count staged records."""
        return count_profile(database, staged, name=name, kind=kind, now=self.now or utc_now())


_BY_DEFAULT = Counting()


def profile_file(
    path: Path, *, key: Sequence[str] = (), counting: Counting = _BY_DEFAULT
) -> Profile:
    """Profile a CSV, JSON or Parquet file, or read a profile that was written of one.

    Args:
        path: of the file, perhaps compressed.
        key: columns that should distinguish its records.
        counting: how it is counted.

    Raises:
        ConfigurationError: it cannot be read, has no records, or lacks a column of the key.

    Example:
        >>> found = profile_file(Path("data/input/customers.csv"), key=["customer_id"])
        >>> found.rows, found.key_duplicates, found.column("email").nulls
        (155, 5, 4)
    """
    if path.is_file() and is_profile(path):
        return read_profile(path)
    with counting.database(path.name) as database:
        staged = stage_file(database, path).with_key(key)
        return counting.count(database, staged, path.name, FILE)


def judge_file(
    path: Path, *, key: Sequence[str] = (), counting: Counting = _BY_DEFAULT
) -> tuple[Profile, Validity]:
    """Profile a file, and count its valid records; the arguments are those of `profile_file`.

    Raises:
        ConfigurationError: likewise.
    """
    with counting.database(path.name) as database:
        staged = stage_file(database, path).with_key(key)
        profile = counting.count(database, staged, path.name, FILE)
        return profile, count_validity(database, staged, profile)


def profile_table(
    db: DatabaseManager, table: Table, *, key: Sequence[str] = (),
    counting: Counting = _BY_DEFAULT,
) -> Profile:  # fmt: skip
    """Profile a table of the warehouse; the arguments are those of `profile_file`.

    Raises:
        ConfigurationError: it has no rows, or lacks a column of the key.
    """
    with counting.database(table.name) as database:
        staged = stage_table(database, db, table).with_key(key)
        return counting.count(database, staged, table.name, TABLE)


def profile_named(
    config: Config, name: str, *, key: Sequence[str] = (), folder: Path | None = None
) -> Profile:
    """Profile what a name stands for: a file here or in INPUT_DIR, else a table of the warehouse.

    Args:
        config: the settings.
        name: a path, or a table.
        key: columns that should distinguish the records.
        folder: where the engine may write meanwhile.

    Raises:
        ConfigurationError: there is neither, or it cannot be read.
    """
    counting = Counting(folder, config.processing.duckdb_memory_limit)
    for path in (Path(name), config.files.at(name)):
        if is_there(path) and not path.is_dir():
            return profile_file(path, key=key, counting=counting)
    with DatabaseManager.from_config(config, read_only=True) as db:
        table = find_table(db, name)
        if table is None:
            known = sorted(db.table_names(), key=lambda each: (each.startswith("etl_"), each))
            raise ConfigurationError(
                f"{name} is no file, here or in {config.files.input_dir}, and no table of the "
                "warehouse", choices=", ".join(known[:_MOST_NAMED]) or "files: it has no tables",
            )  # fmt: skip
        return profile_table(db, table, key=key, counting=counting)

"""What of the working copy is published in the lakehouse, and what is not yet.

The table `etl_published` says which versions of the tables belong together; a publication is done
once its rows are there. The working copy notes in the schema `etl_lake` which of them it has, and,
in the transaction that changes a table, that the table has changed. So whatever is killed when, the
next run publishes what is missing; and a working copy that is lost, damaged or behind is loaded
anew from what was published last.
"""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import pyarrow as pa

from etl.engines.dialect import quoted, quoted_table
from etl.engines.duckdb import DuckdbSession
from etl.engines.lake_notes import makes_tables, only_reads, touched_by
from etl.engines.lake_parts import divided, stored_columns, tag_of
from etl.engines.lake_publications import (
    COLUMNS,
    PUBLISHED,
    Publication,
    Published,
    create_table,
    last_publication,
)
from etl.engines.lake_tables import Lake, LakeTable, commit_words, is_ours
from etl.errors import LoadingError, WarehouseInUseError

logger = logging.getLogger(__name__)

SCHEMA = "etl_lake"
_KEPT = 1_000  # publications in `etl_published`
_TIDIED = 10  # every so many versions of a table
_RUN_TABLE, _AUDIT = "etl_run", "etl_"

_OWN_TABLES = f"""CREATE SCHEMA IF NOT EXISTS {SCHEMA};
CREATE TABLE IF NOT EXISTS {SCHEMA}.base (lake_id VARCHAR, publication BIGINT);
CREATE TABLE IF NOT EXISTS {SCHEMA}.held (table_name VARCHAR, version BIGINT);
CREATE TABLE IF NOT EXISTS {SCHEMA}.changed (table_name VARCHAR);"""


class LakeBook:
    """Keeps a working copy and its lakehouse alike.

    Args:
        db: the working copy.
        lake: the lakehouse.
    """

    def __init__(self, db: DuckdbSession, lake: Lake) -> None:
        self._db, self._lake = db, lake
        self._last = Publication()
        self._seen: dict[str, int] = {}  # newest version of each table, as far as is known
        self._tables: set[str] | None = None  # read when they are asked for
        self._marks: set[str] | None = None  # likewise, those that have changed

    # --- noting what changes -------------------------------------------------------------

    def note(self, sql: str) -> None:
        """Note the tables that a statement may change, in its transaction and before it."""
        if only_reads(sql):
            return
        self._mark(touched_by(sql, self._names()))
        if makes_tables(sql):
            self._tables = None

    def forget(self) -> None:
        """Read anew what is noted, after a transaction was taken back."""
        self._tables = self._marks = None

    def _names(self) -> set[str]:
        if self._tables is None:
            self._tables = set(self._made())
        return self._tables

    def _changed(self) -> set[str]:
        if self._marks is None:
            rows = self._db.query(f"SELECT table_name FROM {SCHEMA}.changed;")  # noqa: S608  # our own name
            self._marks = {name for (name,) in rows}
        return self._marks

    def _mark(self, names: Iterable[str]) -> None:
        for name in set(names) - self._changed():
            self._db.execute(f"INSERT INTO {SCHEMA}.changed VALUES (?);", (name,))  # noqa: S608  # our own name
            self._changed().add(name)

    def _made(self) -> list[str]:
        """The tables of the working copy, in the order in which they were made."""
        rows = self._db.query(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE NOT temporary "
            "AND database_name = current_database() AND schema_name <> ? ORDER BY table_oid;",
            (SCHEMA,),
        )
        return [name if schema == "main" else f"{schema}.{name}" for schema, name in rows]

    # --- from the lakehouse --------------------------------------------------------------

    def is_current(self) -> bool:
        """Return whether the working copy has what was published last, or more."""
        self._last = last_publication(self._lake)
        return self._base() == (self._last.lake_id, self._last.number) and not any(
            self._foreign(name) for name in self._last.tables
        )

    def settle(self) -> None:
        """Bring the working copy to what was published last, unless it is what comes next.

        Raises:
            LoadingError: the lakehouse cannot be read.
        """
        self._db.execute(_OWN_TABLES)
        self._last = last_publication(self._lake)
        foreign = {name for name in self._last.tables if self._foreign(name)}
        moved = self._base() != (self._last.lake_id, self._last.number)
        if moved or foreign:
            self._load(self._behind(foreign, moved=moved), foreign)
        self._mark(self._newer())

    def _newer(self) -> list[str]:
        """The tables of which there is more than was published: somebody did not finish."""
        return [n for n, last in self._last.tables.items() if self._seen[n] != last.version]

    def _base(self) -> tuple[str, int]:
        try:
            rows = self._db.query(f"SELECT lake_id, publication FROM {SCHEMA}.base;")  # noqa: S608  # our own name
        except LoadingError:  # read only, and nothing was ever noted
            return "", -1
        return rows[0] if rows else ("", 0)

    def _foreign(self, name: str) -> bool:
        """Whether somebody else has written a table since it was published; that is reported."""
        table, version = self._lake.table(name), self._last.tables[name].version
        if table is None:
            raise LoadingError(
                f"{name} is not in the lakehouse any more",
                next_step=f"restore its folder, or remove {PUBLISHED} too and run --full-refresh",
            )
        self._seen[name] = table.version
        if table.version == version:
            return False
        commits = table.written_since(version)
        others = [commit for commit in commits if not is_ours(commit)]
        if (others or len(commits) < table.version - version) and self._differ(table, version):
            listed = ", ".join(map(commit_words, reversed(others)))
            logger.warning(
                "%s of the lakehouse was written by somebody else: %s; the run goes on from there",
                name, listed,
            )  # fmt: skip
            return True
        return False

    def _differ(self, table: LakeTable, version: int) -> bool:
        try:
            before = self._lake.table(table.name, version)
        except LoadingError:  # its log is gone
            return True
        return before is None or (before.files, before.schema) != (table.files, table.schema)

    def _behind(self, foreign: set[str], *, moved: bool) -> list[str]:
        """The tables that have to be loaded anew; unpublished changes of the copy are given up."""
        changed, made = self._changed(), set(self._made())
        if changed and not moved:
            logger.warning(
                "what the last run had not published is read again: the lakehouse was written since"
            )
        return [
            name
            for name in self._last.tables
            if name in foreign or name not in made or not self._is_same(name, changed)
        ]

    def _is_same(self, name: str, changed: set[str]) -> bool:
        """Whether the copy of a table has the rows that were published."""
        published = self._last.tables[name]
        if self._held().get(name) == published.version and name not in changed:
            return True
        table = self._lake.table(name, published.version)
        if table is None or self._definition(name) != published.definition:
            return False
        wanted = {part.tag for part in divided(self._db, name).parts()}
        return wanted == set(map(tag_of, table.files))

    def _held(self) -> dict[str, int]:
        """The versions that the working copy had when it was last like the lakehouse."""
        if self._base()[0] != self._last.lake_id:
            return {}
        return dict(self._db.query(f"SELECT table_name, version FROM {SCHEMA}.held;"))  # noqa: S608  # our own name

    def _load(self, names: Sequence[str], foreign: set[str]) -> None:
        with self._transaction():
            for name in set(self._made()) - set(self._last.tables):
                self._db.execute(f"DROP TABLE {quoted_table(name)};")
            for name in names:
                version = None if name in foreign else self._last.tables[name].version
                self._load_table(name, version)
            self._settled()
        self._tables = None
        if names:
            logger.info("loaded from the lakehouse: %s", ", ".join(names))

    def _settled(self) -> None:
        """Note that the working copy is as the last publication, and nothing else has changed."""
        self._db.execute(f"DELETE FROM {SCHEMA}.changed;")  # noqa: S608  # our own name
        self._db.execute(f"DELETE FROM {SCHEMA}.base;")  # noqa: S608  # our own name
        self._db.execute(f"DELETE FROM {SCHEMA}.held;")  # noqa: S608  # our own name
        for name, published in self._last.tables.items():
            held = (name, published.version)
            self._db.execute(f"INSERT INTO {SCHEMA}.held VALUES (?, ?);", held)  # noqa: S608  # our own name
        base = (self._last.lake_id, self._last.number)
        self._db.execute(f"INSERT INTO {SCHEMA}.base VALUES (?, ?);", base)  # noqa: S608  # our own name
        self._marks = None

    def _load_table(self, name: str, version: int | None) -> None:
        table = self._lake.table(name, version)
        if table is None:
            raise LoadingError(f"{name} is not in the lakehouse any more")
        create_table(self._db, name, self._last.tables[name].definition)
        blocks = table.blocks()  # DuckDB finds it by its name
        columns = {column.name for column in stored_columns(self._db, name)}
        for field_ in blocks.schema:
            if field_.name not in columns:
                self._add_column(name, field_)
        listed = ", ".join(map(quoted, blocks.schema.names))
        self._db.connection.execute(
            f"INSERT INTO {quoted_table(name)} ({listed}) SELECT {listed} FROM blocks;"  # noqa: S608  # our own names, quoted
        )

    def _add_column(self, name: str, added: pa.Field) -> None:
        empty = pa.table({added.name: pa.array([], added.type)})  # noqa: F841  # found by its name
        ((_, kind, *_rest),) = self._db.connection.execute(
            "DESCRIBE SELECT * FROM empty;"
        ).fetchall()
        self._db.execute(
            f"ALTER TABLE {quoted_table(name)} ADD COLUMN {quoted(added.name)} {kind};"
        )

    # --- to the lakehouse ----------------------------------------------------------------

    def publish(self) -> None:
        """Publish the tables that have changed; nothing where none of them has.

        Raises:
            WarehouseInUseError: somebody else has published, or written one of them, meanwhile.
            LoadingError: the lakehouse cannot be written; the next run publishes what is missing.
        """
        made = _in_order(self._made(), list(self._last.tables))
        waiting = self._changed() | (set(made) ^ set(self._last.tables))
        if not waiting:
            return
        now = self._lake.table(PUBLISHED)
        version = now.version if now else -1
        if version != self._last.version and self._number() != self._last.number:
            raise WarehouseInUseError(
                "another run has published in this lakehouse meanwhile",
                next_step="see that only one run at a time loads it, and run again",
            )
        note = f"publication {self._last.number + 1}"
        tables = {name: self._publish_table(name, waiting, note) for name in made}
        if tables != self._last.tables:
            before = self._last.tables
            self._finish(tables, now, note)
            self._tidy(name for name in tables if tables[name] != before.get(name))
        with self._transaction():
            self._settled()

    def _tidy(self, written: Iterable[str]) -> None:
        """Remove what old versions of tables needed, now and then; that never fails a run."""
        due = [name for name in written if self._last.tables[name].version % _TIDIED == _TIDIED - 1]
        for name in due:
            try:
                self._seen[name] = self._lake.tidy(name)
            except LoadingError as error:
                logger.warning("old files of %s are not removed: %s", name, error.what)

    def _number(self) -> int:
        return last_publication(self._lake).number

    def _publish_table(self, name: str, waiting: set[str], note: str) -> Published:
        if name not in waiting:
            return self._last.tables[name]
        now = self._lake.table(name)
        self._require_ours(name, now)
        version, rows = self._lake.publish(divided(self._db, name), now, note)
        self._seen[name] = version
        return Published(version, rows, self._definition(name))

    def _require_ours(self, name: str, now: LakeTable | None) -> None:
        """Refuse to commit onto what somebody else has written since it was looked at."""
        if now is None or now.version == self._seen.get(name):
            return
        commits = now.written_since(self._seen.get(name, -1))
        others = [commit for commit in commits if not is_ours(commit)]
        if others:
            raise WarehouseInUseError(
                f"{name} of the lakehouse was written by somebody else: "
                f"{', '.join(map(commit_words, reversed(others)))}; nothing of it was overwritten",
                next_step="run again: the run goes on from what they wrote"
                if name in self._seen
                else f"move its folder away, or load into another one than {self._lake.place.root}",
            )

    def _finish(self, tables: dict[str, Published], now: LakeTable | None, note: str) -> None:
        number = self._last.number + 1
        rows = self._rows_of(tables, number)
        if self._last.kept is not None:
            recent = pa.compute.greater(self._last.kept["publication"], number - _KEPT)
            rows = pa.concat_tables([self._last.kept.filter(recent), rows])
        version = self._lake.write_whole(PUBLISHED, rows, now, note)
        if version % _TIDIED == _TIDIED - 1:
            self._lake.tidy(PUBLISHED)
        written = now or self._lake.table(PUBLISHED)
        self._last = Publication(written.id if written else "", version, number, tables, rows)

    def _rows_of(self, tables: dict[str, Published], number: int) -> pa.Table:
        at = datetime.now(UTC).replace(tzinfo=None)
        run_id = self._run_id()
        rows = [
            {"publication": number, "run_id": run_id, "published_at": at, "table_name": name,
             "version": published.version, "rows": published.rows,
             "definition": published.definition}
            for name, published in tables.items()
        ]  # fmt: skip
        return pa.Table.from_pylist(rows, COLUMNS)

    def _run_id(self) -> str | None:
        if _RUN_TABLE not in self._made():
            return None
        found = self._db.query(f"SELECT max(run_id) FROM {_RUN_TABLE};")  # noqa: S608  # our own name
        return found[0][0] if found else None

    def _definition(self, name: str) -> str:
        schema, _, bare = name.rpartition(".")
        note = self._db.query(
            "SELECT comment FROM duckdb_tables() WHERE database_name = current_database() "
            "AND schema_name = ? AND table_name = ?;",
            (schema or "main", bare),
        )
        columns = [list(column) for column in stored_columns(self._db, name)]
        return json.dumps({"columns": columns, "comment": note[0][0]})

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.begin()
        try:
            yield
            self._db.commit()
        except BaseException:
            self._db.rollback()
            self.forget()
            raise


def _in_order(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """What others refer to first, as it was made, and last what is noted of the runs."""
    places = {name: place for place, name in enumerate(known)}
    return sorted(names, key=lambda name: (name.startswith(_AUDIT), places.get(name, len(places))))

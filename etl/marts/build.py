"""Building marts, each in one transaction of its own: whole, or where loads have touched it.

A mart that fails leaves what was there, and what reads it is skipped; the load stays.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from etl.engines import ddl
from etl.engines.database import DatabaseManager
from etl.engines.dialect import count_rows, insert_row, quoted, quoted_table, text_literal
from etl.errors import ETLError, LoadingError, WarehouseInUseError
from etl.history.audit import FAILED, SKIPPED
from etl.history.mart_outcomes import BUILT, CURRENT, UPDATED, MartOutcome
from etl.history.runs import utc_now
from etl.marts.plan import Mart, MartPlan
from etl.marts.statements import GRAINS
from etl.schema.audit import ETL_MART, ETL_TOUCHED, MART_TABLES
from etl.schema.star import STAR_TABLES
from etl.schema.table import Table, referrers
from etl.schema.views import notes_of
from etl.warehouse.tables import Catalog, read_catalog

logger = logging.getLogger(__name__)

# Of a mart of which more is touched, all is built: a scan is cheaper than looking rows up.
_MOST_TOUCHED = 0.3

Retried = Callable[[Callable[[], MartOutcome]], MartOutcome]


@dataclass(frozen=True)
class _State:
    """What a mart was built of last."""

    run_id: str = ""
    definition: str = ""
    rows: int = 0


@dataclass
class Builder:
    """Builds the marts of one run.

    Attributes:
        db: the warehouse.
        plan: the marts.
        run_id: the run whose loads are committed.
        retried: does a build again after an error that may pass.
        wanted: the names of those to build; None for all.
        missing: the loads of the run that did not come, by name, and how they fared.
    """

    db: DatabaseManager
    plan: MartPlan
    run_id: str
    retried: Retried
    wanted: Collection[str] | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    _failed: set[str] = field(default_factory=set)

    def build(self) -> tuple[MartOutcome, ...]:
        """Build those that are wanted and not as the tables are.

        Raises:
            WarehouseInUseError: it was lost to another run.
        """
        broken = [each for each in self.plan.broken if self._is_wanted(each.name)]
        outcomes = [self._broken(each.name, each.error) for each in broken]
        marts = [mart for mart in self.plan.marts if self._is_wanted(mart.name)]
        after = {node.name: node.after for node in self.plan.nodes}
        if marts:
            _make_tables(self.db)
        outcomes += [replace(self._one(m, after[m.name]), after=after[m.name]) for m in marts]
        if marts:
            self._clean()
        return tuple(outcomes)

    def _is_wanted(self, name: str) -> bool:
        return self.wanted is None or name in self.wanted

    def _broken(self, name: str, error: ETLError) -> MartOutcome:
        self._failed.add(name)
        return MartOutcome(name, FAILED, seconds=0.0, message=str(error))

    def _one(self, mart: Mart, after: Sequence[str]) -> MartOutcome:
        started = time.perf_counter()
        if words := self._lacks(after):
            self._failed.add(mart.name)
            return MartOutcome(mart.name, SKIPPED, seconds=0.0, message=words)
        try:
            return self.retried(lambda: self._build(mart, started))
        except WarehouseInUseError:
            raise
        except ETLError as error:
            self._failed.add(mart.name)
            seconds = round(time.perf_counter() - started, 3)
            return MartOutcome(mart.name, FAILED, seconds=seconds, message=str(error))

    def _lacks(self, after: Sequence[str]) -> str:
        """What a mart reads and was not filled in this run, in words; loads before marts."""
        missing = [f"{name} ({self.missing[name]})" for name in after if name in self.missing]
        if missing:
            return f"not loaded in this run: {', '.join(missing)}"
        failed = [name for name in after if name in self._failed]
        return f"it reads {', '.join(failed)}" if failed else ""

    def _build(self, mart: Mart, started: float) -> MartOutcome:
        state, definition = _state_of(self.db, mart), _definition_of(mart)
        catalog = read_catalog(self.db, [mart.name])
        with self.db.transaction():
            as_known = _make_ready(self.db, mart, catalog, state)
            known = state if state and as_known and state.definition == definition else _State()
            status = self._fill(mart, known)
            rows = _rows_in(self.db, mart.table) if status != CURRENT else known.rows
            if status != CURRENT:
                _require_key(self.db, mart.table)
                self._keep(mart, _State(self.run_id, definition, rows))
        seconds = round(time.perf_counter() - started, 3)
        logger.info("mart %s: %s, %d rows, %.2f s", mart.name, status, rows, seconds)
        return MartOutcome(mart.name, status, rows, seconds)

    def _fill(self, mart: Mart, known: _State) -> str:
        whole, touched = self._changed(mart, known)
        if not (whole or touched):
            return CURRENT
        if not whole and mart.query.file.grain and self._fill_touched(mart, known):
            return UPDATED
        self.db.execute(mart.statements.clear())
        self.db.execute(mart.insert)
        return BUILT

    def _changed(self, mart: Mart, known: _State) -> tuple[bool, bool]:
        """Whether it is to be built whole, and whether changes of it are noted."""
        watched = {table.name for table in self.plan.loaded} | {*mart.parents}
        if (
            not known.run_id
            or not mart.query.is_lasting
            or not watched.issuperset(mart.query.tables)
            or any(_run_of(self.db, name) > known.run_id for name in mart.parents)
        ):
            return True, True
        noted, nowhere = self.db.query(_pending(mart, self.plan), (known.run_id,))[0]
        return bool(nowhere), bool(noted)

    def _fill_touched(self, mart: Mart, known: _State) -> bool:
        """Build what was touched anew; False, and nothing is done, where that is too much."""
        statements = mart.statements
        self.db.execute(ddl.drop_temporary(self.db.dialect, GRAINS))
        self.db.execute(statements.create_grains(known.run_id))
        if self.db.value(statements.count_touched()) > _MOST_TOUCHED * known.rows:
            return False
        self.db.execute(statements.clear_touched())
        self.db.execute(statements.insert(touched=True))
        return True

    def _keep(self, mart: Mart, state: _State) -> None:
        watched = json.dumps(_watched(mart, self.plan))
        row = (mart.name, state.run_id, state.definition, watched, state.rows, utc_now())
        self.db.execute(f'DELETE FROM {quoted(ETL_MART.name)} WHERE "mart" = ?;', (mart.name,))
        self.db.execute(insert_row(ETL_MART), row)

    def _clean(self) -> None:
        """Forget what all marts have seen; those without a file are built anew when it is back."""
        names = ", ".join(text_literal(mart.name) for mart in self.plan.marts)
        marts, touched = quoted(ETL_MART.name), quoted(ETL_TOUCHED.name)
        first = f'(SELECT min("run_id") FROM {marts} WHERE "run_id" <> \'\')'
        gone = f'SET "run_id" = \'\', "watched" = \'{{}}\' WHERE "mart" NOT IN ({names})'
        try:
            with self.db.transaction():
                self.db.execute(f"UPDATE {marts} {gone};")
                self.db.execute(f'DELETE FROM {touched} WHERE "run_id" <= {first};')
        except LoadingError as error:  # the next run does it
            logger.warning("what marts have seen of earlier runs is kept: %s", error)


def _make_tables(db: DatabaseManager) -> None:
    there = read_catalog(db, []).columns
    for table in MART_TABLES:
        if table.name not in there:
            db.execute(ddl.create_table(db.dialect, table))
            _describe(db, table)


def _describe(db: DatabaseManager, table: Table) -> None:
    """Keep what a table means beside it."""
    if notes := ddl.comments(db.dialect, notes_of([table], [])):
        db.execute(notes)


def _definition_of(mart: Mart) -> str:
    texts = (mart.insert, mart.query.file.grain, repr(mart.table))
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()


def _watched(mart: Mart, plan: MartPlan) -> dict[str, list[str]]:
    """The columns that a mart reads, by table; those that name a record it reads among them."""
    found: dict[str, set[str]] = {}
    for table in (each for each in plan.loaded if each.name in mart.query.tables):
        found.setdefault(table.name, set()).update(mart.query.columns_of(table))
        for child, column in referrers(table, STAR_TABLES):
            found.setdefault(child.name, set()).add(column.name)
    return {name: sorted(columns) for name, columns in found.items()}


def _state_of(db: DatabaseManager, mart: Mart) -> _State | None:
    query = f'SELECT "run_id", "definition", "rows" FROM {quoted(ETL_MART.name)} WHERE "mart" = ?;'
    found = db.query(query, (mart.name,))
    return _State(*found[0]) if found else None


def _run_of(db: DatabaseManager, name: str) -> str:
    query = f'SELECT "run_id" FROM {quoted(ETL_MART.name)} WHERE "mart" = ?;'
    found = db.query(query, (name,))
    return str(found[0][0]) if found else ""


def _pending(mart: Mart, plan: MartPlan) -> str:
    """How many changes are noted of what a mart reads, and how many without saying where."""
    names = ", ".join(text_literal(name) for name in _watched(mart, plan)) or "''"
    nowhere = '"day" IS NULL AND "customer_id" IS NULL AND "product_id" IS NULL'
    return (
        f"SELECT count(*), count(CASE WHEN {nowhere} THEN 1 END) "
        f'FROM {quoted(ETL_TOUCHED.name)} WHERE "run_id" > ? AND "table_name" IN ({names});'
    )


def _make_ready(db: DatabaseManager, mart: Mart, catalog: Catalog, state: _State | None) -> bool:
    """Make the table of a mart as it must be; return whether what it holds is of use.

    Raises:
        LoadingError: there is a table of that name that no mart has made.
    """
    found = catalog.columns.get(mart.name)
    if found is not None and state is None:
        _require_empty(db, mart, is_view=mart.name in catalog.views)
    table, target = mart.table, quoted_table(mart.name)
    fits = found is not None and list(found) == list(table.names) and all(
        found[column.name].holds(column, db.dialect) for column in table.columns
    )  # fmt: skip
    if fits:
        return True
    if found is not None:
        db.execute(f"DROP TABLE {target};")
    db.execute(ddl.create_table(db.dialect, table))
    _describe(db, table)
    return False


def _require_empty(db: DatabaseManager, mart: Mart, *, is_view: bool) -> None:
    if is_view or _rows_in(db, mart.table):
        raise LoadingError(
            f"there is {'a view' if is_view else 'a table with rows'} {mart.name} already that no "
            f"mart has made ({mart.query.file.path})",
            next_step="rename the file, or what is in the way",
        )


def _rows_in(db: DatabaseManager, table: Table) -> int:
    return int(db.value(count_rows(table.name)))


def _require_key(db: DatabaseManager, table: Table) -> None:
    """Make sure that no two rows have one key, where the engine does not by itself."""
    if db.dialect.has_keys or not table.key:
        return
    key = ", ".join(map(quoted, table.key))
    query = (
        f"SELECT {key} FROM {quoted_table(table.name)} GROUP BY {key} HAVING count(*) > 1 LIMIT 1;"
    )
    for row in db.query(query):
        raise LoadingError(
            f"two rows have the key {', '.join(map(str, row))}",
            next_step=f"correct the query, or its line `-- key: {', '.join(table.key)}`",
        )

"""Whether the warehouse can be used: opened for reading only, without its lock, and not changed."""

import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from etl.engines import ddl
from etl.engines.database import DatabaseManager
from etl.engines.engine import Access
from etl.engines.schemas import Schemas
from etl.errors import ETLError
from etl.history.kept_letters import count_letters
from etl.history.runs import utc_now
from etl.marts.plan import MartPlan, plan_marts
from etl.monitoring.health.adopted import adopted_checks
from etl.monitoring.health.files import may_access, shown_path, warehouse_file
from etl.monitoring.health.findings import PASSED, WARNING, Check, failed, guarded
from etl.monitoring.health.runs import error_checks, last_run_checks
from etl.schema.audit import ETL_DEAD_LETTER
from etl.schema.table import Table
from etl.settings.config import Config
from etl.warehouse.own_history import built_in_tables
from etl.warehouse.own_loads import own_loads
from etl.warehouse.tables import (
    CORRECT_SCHEMA,
    Differences,
    permanent_tables,
    schema_differences,
)
from etl.words import counted

# A batch of a load takes some ten round trips: at 200 ms each, 2 s for what else takes half of one.
_SLOW_MS = 200
_ROUND_TRIPS = 5
_TABLES_SHOWN = 3


def database_checks(config: Config) -> Iterator[Check]:
    """Connect to the warehouse; check engine, answers, tables, rights and earlier runs."""
    path = warehouse_file(config)
    if path is not None and not path.exists():
        message = f"{shown_path(path, config)} is not there; made by the first run"
        yield Check("database", WARNING, message=message)
        return
    access = Access(
        read_only=True,
        memory_limit=config.processing.duckdb_memory_limit,
        schemas=Schemas.of(config),
    )
    with DatabaseManager(config.database.connection_string, access=access) as db:
        loaded, faults = _loaded(db, config)
        yield from faults
        looks: tuple[tuple[str, Callable[[], Iterable[Check]]], ...] = (
            ("database", partial(_engine, db)),
            ("latency", partial(_latency, db)),
            ("tables", partial(_tables, db, loaded)),
            ("adopted table", partial(adopted_checks, db, loaded)),
            ("permissions", partial(_permissions, db, path, loaded)),
            ("last run", partial(last_run_checks, db)),
            ("rejected records", partial(_letters, db)),
            ("recent errors", partial(error_checks, db, config)),
        )
        for name, look in looks:
            yield from guarded(name, look)


def _loaded(db: DatabaseManager, config: Config) -> tuple[Sequence[Table], Sequence[Check]]:
    """The tables that runs load and build, and what hinders declared loads and marts."""
    try:
        own = tuple(each.whole for each in own_loads(db, config))
    except ETLError as error:
        check = failed("declared loads", error.what, error.next_step)
        return built_in_tables(config), (check,)
    loaded = (*built_in_tables(config), *own)
    if not config.processing.marts:
        return loaded, ()
    plan = plan_marts(config.base_dir, db.dialect, loaded)
    return (*loaded, *plan.tables), tuple(_marts(plan))


def _marts(plan: MartPlan) -> Iterator[Check]:
    for each in plan.broken:
        yield failed("marts", each.error.what, each.error.next_step or "correct the file")
    if not plan.broken:
        count = counted(len(plan.marts), "mart")
        yield Check("marts", PASSED, len(plan.marts), message=f"{count} can be built")


def _engine(db: DatabaseManager) -> Iterator[Check]:
    facts = db.session.facts()
    message = f"{facts['server']}, driver {facts['driver']}"
    yield Check("database", PASSED, facts["server"], message=message)
    if reason := facts.get("read_only"):
        yield failed(
            "writable", f"nothing can be written to it: {reason}",
            "connect to a server, with a login, that may be written to (DB_CONNECTION_STRING)",
        )  # fmt: skip
    user = facts.get("used_by", "")
    message = f"in use by {user}: a run would wait or end" if user else "no other run works in it"
    yield Check("in use", WARNING if user else PASSED, user or None, message=message)


def _letters(db: DatabaseManager) -> Iterator[Check]:
    """The rejected records that are kept, where there are any."""
    if ETL_DEAD_LETTER.name not in db.table_names():
        return
    for each in count_letters(db):
        status = WARNING if each.person else PASSED
        yield Check("rejected records", status, each.person, 0, each.words(utc_now()))


def _latency(db: DatabaseManager) -> Iterator[Check]:
    measured = round(statistics.median(_round_trip_ms(db) for _ in range(_ROUND_TRIPS)), 2)
    status = WARNING if measured > _SLOW_MS else PASSED
    message = f"{measured} ms for a round trip, median of {_ROUND_TRIPS}"
    yield Check("latency", status, measured, _SLOW_MS, message)


def _round_trip_ms(db: DatabaseManager) -> float:
    start = time.perf_counter()
    db.query("SELECT 1;")
    return (time.perf_counter() - start) * 1000


def _tables(db: DatabaseManager, loaded: Sequence[Table]) -> Iterator[Check]:
    """What a load would find: tables and columns that are missing, and what is in its way."""
    found = schema_differences(db, loaded)
    wanted = len(permanent_tables(db.dialect, loaded))
    yield _missing_tables(db, [table.name for table in found.tables], wanted)
    if found.columns:
        names = ", ".join(f"{table.name}.{column.name}" for table, column in found.columns)
        count = counted(len(found.columns), "column")
        yield _missing(db, "columns", f"{count} missing: {names}", len(found.columns))
    if (found.views or found.notes) and not found.tables:
        yield _missing_for_readers(db, found)
    if found.problems:
        yield failed(
            "schema", "; ".join(found.problems), CORRECT_SCHEMA,
            value=len(found.problems), threshold=0,
        )  # fmt: skip
    for warning in found.warnings:
        yield Check("schema", WARNING, message=warning)


def _missing_for_readers(db: DatabaseManager, found: Differences) -> Check:
    """Views and comments: no load needs them, so that it is never more than a warning."""
    names = [view.name for view in found.views]
    names += [counted(len(found.notes), "comment")] if found.notes else []
    missing = _missing(db, "views", f"{', '.join(names)} missing", len(names))
    return replace(missing, status=WARNING)


def _missing_tables(db: DatabaseManager, missing: Sequence[str], wanted: int) -> Check:
    if not missing:
        return Check("tables", PASSED, 0, 0, f"all {wanted} are there")
    names = f" ({', '.join(missing)})" if len(missing) < wanted else ""
    return _missing(db, "tables", f"{len(missing)} of {wanted} are missing{names}", len(missing))


def _missing(db: DatabaseManager, name: str, what: str, count: int) -> Check:
    if _may_create(db):
        return Check(name, WARNING, count, 0, f"{what}; made by the next run")
    return failed(
        name, f"{what}, or hidden from this login, which may not make them",
        "have what --print-schema prints run by someone who may, and give the login the role "
        "in it", value=count, threshold=0,
    )  # fmt: skip


def _may_create(db: DatabaseManager) -> bool:
    query = ddl.may_create_query(db.dialect)
    return not query or bool(db.value(query))


def _permissions(
    db: DatabaseManager, path: Path | None, loaded: Sequence[Table]
) -> Iterator[Check]:
    if path is not None:
        yield _file_permission(path)
        return
    known = db.table_names()
    tables = [table for table in permanent_tables(db.dialect, loaded) if table.name in known]
    query = ddl.rights_query(db.dialect, tables)
    lacking = {name: _lacking(has) for name, *has in db.query(query)} if query else {}
    yield _rights(lacking, may_create=_may_create(db))


def _file_permission(path: Path) -> Check:
    if may_access(path, os.W_OK):
        return Check("permissions", PASSED, message=f"{path.name} may be read and written")
    return failed(
        "permissions", f"{path} may not be written by this user",
        "give the user that runs the pipeline the right to write it",
    )  # fmt: skip


def _lacking(has: Sequence[object]) -> list[str]:
    return [right for right, given in zip(ddl.RIGHTS, has, strict=True) if not given]


def _rights(lacking: Mapping[str, Sequence[str]], *, may_create: bool) -> Check:
    short = {name: rights for name, rights in lacking.items() if rights}
    count = sum(map(len, short.values()))
    figures = {"value": count, "threshold": 0}
    if not short:
        rights = f"{', '.join(ddl.RIGHTS)} on {len(lacking)} tables" if lacking else ""
        create = f"{'' if may_create else 'not '}CREATE TABLE"
        message = ", ".join(filter(None, (rights, create)))
        return Check("permissions", PASSED, message=message, **figures)
    named = [f"{name} ({', '.join(rights)})" for name, rights in short.items()]
    more = f" and {len(named) - _TABLES_SHOWN} more" if len(named) > _TABLES_SHOWN else ""
    return failed(
        "permissions", f"the login lacks rights on {', '.join(named[:_TABLES_SHOWN])}{more}",
        "have it given the role that --print-schema makes", **figures,
    )  # fmt: skip

"""Several loads at once: the same tables, audit rows and report as one after the other."""

import logging
import re
import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from engines import Engine
from load_projects import declared, write
from pipeline_runs import Project

from etl.engines.database import DatabaseManager
from etl.engines.engine import Access
from etl.errors import LoadingError, WarehouseInUseError
from etl.history.summary import RunSummary
from etl.pipeline.schedule import run_in_order
from etl.pipeline.side_by_side import _Threads
from etl.warehouse.filling import LEAST_ROWS

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "input"
# regions - stores - shifts - tills, and two facts that make placeholders of the same customers
LOADS = {
    "regions": (), "stores": ("regions",), "shifts": ("stores",), "tills": ("shifts",),
    "suppliers": (), "visits": ("customer",), "calls": ("customer",),
}  # fmt: skip
TABLES = {"customer": "customer_dim"}


def project_in(folder: Path, workers: int) -> Project:
    """Ten loads: the built-in three, and seven of one's own."""
    made = Project(folder, LOAD_WORKERS=str(workers), RETRY_BACKOFF_FACTOR="0",
                   MAX_PLACEHOLDER_RATE="1")  # fmt: skip
    shutil.copytree(SAMPLE, made.input, dirs_exist_ok=True)
    (folder / "pipeline.toml").write_text(
        "\n".join(declared(*load, TABLES) for load in LOADS.items()), encoding="utf-8"
    )
    for name, parents in LOADS.items():
        write(made, name, parents, 2)
    return made


def fail_in_the_middle(project: Project) -> RunSummary:
    """A first run, and a second one without the file of the stores."""
    project.run()
    for name, parents in LOADS.items():
        write(project, name, parents, 3)
    (project.input / "stores.csv").unlink()
    return project.run()


def audit_rows(project: Project) -> dict[str, list[tuple[Any, ...]]]:
    counts = ("read", "inserted", "updated", "unchanged", "rejected", "duplicate", "inferred",
              "restated", "vanished", "removed")  # fmt: skip
    listed = ", ".join(f"rows_{name}" for name in counts)
    return {
        "loads": project.query(
            f"SELECT table_name, batches, {listed} FROM etl_load ORDER BY run_id, table_name"
        ),
        "lineage": project.query(
            "SELECT table_name, status, rows_read FROM etl_lineage ORDER BY run_id, table_name"
        ),
        "runs": project.query("SELECT status FROM etl_run ORDER BY run_id"),
    }


def reported(summary: RunSummary) -> dict[str, Any]:
    sources = [(s.source, s.status, plain(s.message), s.warnings, s.after) for s in summary.sources]
    return {
        "sources": sources, "attention": list(map(plain, summary.attention)),
        "notices": summary.notices, "exit_code": summary.exit_code, "rejects": summary.rejects,
    }  # fmt: skip


def plain(text: str) -> str:
    """A text without folders and run ids."""
    return re.sub(r"run \S+|/\S+/", "", text)


def test_ten_loads_with_a_failing_one_fare_the_same_with_one_and_with_four(
    tmp_path: Path, server: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    found = {}
    for workers in (1, 4):
        project = project_in(tmp_path / str(workers), workers)
        caplog.clear()
        with caplog.at_level(logging.INFO, "etl.pipeline.fared"):
            summary = fail_in_the_middle(project)
        lines = [plain(record.message) for record in caplog.records
                 if record.name == "etl.pipeline.fared"]  # fmt: skip
        own = {name: project.query(f"SELECT * FROM {name} ORDER BY id")
               for name in ("regions", "stores", "shifts", "tills")}  # fmt: skip
        rows = {name: [row[:2] for row in table] for name, table in own.items()}
        found[workers] = (project.tables(), rows, audit_rows(project), reported(summary), lines)
    one, four = found[1], found[4]
    statuses = {source: status for source, status, *_ in one[3]["sources"]}
    assert [name for name, status in statuses.items() if status == "skipped"] == [
        "shifts", "tills"
    ]  # fmt: skip
    assert statuses["stores"] == "failed" and statuses["suppliers"] == "loaded"
    assert one[0]["customer_dim"][0]["customer_id"] == "1"  # a placeholder of both facts
    for mine, theirs in zip(one, four, strict=True):
        assert mine == theirs


def test_two_loads_work_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=30)

    def meet(_name: str) -> None:
        both.wait()

    threads = _Threads(meet)
    assert list(run_in_order({"a": [], "b": []}, threads, 2)) == ["a", "b"]


def test_the_embedded_engine_has_one_writer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "etl.pipeline.loads"):
        summary = project_in(tmp_path, 4).run()
    assert "LOAD_WORKERS is 4, but DuckDB has one writer: it has no effect" in caplog.messages
    assert {source.status for source in summary.sources} == {"loaded"}
    with DatabaseManager("duckdb:///:memory:") as db, pytest.raises(LoadingError, match="writer"):
        db.beside()


# --- lost connections ------------------------------------------------------------------------

ONCE = """CREATE SEQUENCE {name}; CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF nextval('{name}') = 1 THEN PERFORM {what}; END IF; RETURN NEW; END $$;
CREATE TRIGGER {name} BEFORE INSERT ON stores FOR EACH ROW EXECUTE FUNCTION {name}();"""
OWN = "pg_terminate_backend(pg_backend_pid())"
THAT_OF_THE_RUN = """pg_terminate_backend(l.pid) FROM pg_locks AS l
JOIN pg_namespace AS n ON l.objid::bigint = hashtext(n.nspname)::bigint & 4294967295
WHERE l.locktype = 'advisory' AND l.mode = 'ExclusiveLock' AND n.nspname = current_schema()"""


@pytest.mark.usefixtures("postgresql")
@pytest.mark.parametrize("what", [OWN, THAT_OF_THE_RUN], ids=["of a load", "of the run"])
def test_a_lost_connection_harms_no_other_load(tmp_path: Path, what: str) -> None:
    project = project_in(tmp_path, 4)
    project.run(*only("regions", "stores"))
    with DatabaseManager(project.connection_string) as db:
        db.execute(ONCE.format(name="kills", what=what))
    for name, parents in LOADS.items():
        write(project, name, parents, 3)
    names = ("regions", "stores", "shifts", "suppliers")
    summary = project.run(*only(*names))
    assert {s.source: s.status for s in summary.sources} == dict.fromkeys(names, "loaded")
    assert summary.exit_code == 0
    assert project.query("SELECT is_called FROM kills") == [(True,)]
    assert project.query("SELECT count(*) FROM shifts") == [(3,)]


def only(*names: str) -> list[str]:
    return [word for name in names for word in ("--only", name)]


def test_loads_keep_other_runs_out_when_the_run_has_lost_its_connection(server: Engine) -> None:
    connection = server.new_database()
    with DatabaseManager(connection) as run:
        first, second = run.beside(), run.beside()
        waited: list[float] = []

        def leave(seconds: float) -> None:
            waited.append(seconds)
            first.__exit__(None, None, None)

        first.__enter__()
        run.session.close()
        with pytest.raises(WarehouseInUseError), DatabaseManager(connection):
            pytest.fail("another run got in")
        run._sleep = leave  # it gets the warehouse back once the first load is over
        with second:
            assert waited and second.value("SELECT 1") == 1
            assert first._session is None
    with DatabaseManager(connection, access=Access(lock_wait_s=30)) as other:
        assert other.value("SELECT 1") == 1


@pytest.mark.usefixtures("postgresql")
def test_what_a_load_waits_for_ends_when_the_run_is_interrupted(postgresql: Engine) -> None:
    errors: list[LoadingError] = []
    with DatabaseManager(postgresql.new_database()) as run:

        def wait_long(_name: str) -> None:
            with run.beside() as db, pytest.raises(LoadingError, match="canceling") as caught:
                db.query("SELECT pg_sleep(600)")
            errors.append(caught.value)

        threads = _Threads(wait_long)
        threads.begin("sales")
        threads.finish(run.cancel_beside)
    assert len(errors) == 1


@pytest.mark.usefixtures("postgresql")
def test_first_loads_of_large_tables_with_one_parent_do_not_wait_for_each_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """To drop and make a foreign key locks the other table, so those stay where loads share it."""
    project = project_in(tmp_path, 4)
    rows = "\n".join(f"{n},1" for n in range(LEAST_ROWS))
    names = ("depots", "shops", "stalls")
    text = [declared("regions", ())]
    for name in names:
        text.append(declared("stores", LOADS["stores"]).replace("stores", name))
        (project.input / f"{name}.csv").write_text(f"id,regions_id\n{rows}\n")
    (tmp_path / "pipeline.toml").write_text("\n".join(text))
    with caplog.at_level(logging.INFO, "etl.warehouse.filling"):
        summary = project.run(*only("regions", *names))
    assert {source.status for source in summary.sources} == {"loaded"}
    made = [m for m in caplog.messages if "made after filling" in m]
    assert sorted(made) == [f"{name}: 1 indexes and keys made after filling it" for name in names]
    keys = "SELECT count(*) FROM pg_constraint WHERE contype = '{}' AND conrelid = '{}'::regclass"
    for name in names:
        assert project.query(keys.format("f", name)) == [(1,)]
        assert project.query(keys.format("p", name)) == [(1,)]

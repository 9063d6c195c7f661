"""The health check: what it finds, what it says to do, and that it changes nothing."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

import duckdb
import engines
import pytest
from pipeline_runs import Project, command

from etl.engines.database import DatabaseManager
from etl.engines.sql_server_dialect import SQL_SERVER
from etl.history.runs import utc_now
from etl.monitoring.health.files import space_check
from etl.schema.source_columns import SALES_COLUMNS
from etl.settings.connection_strings import joined, parse
from etl.warehouse.tables import create_tables, permanent_tables
from etl_pipeline import pipeline_health_check

if sys.platform != "win32":
    import resource

NOBODY = 65534
SECRET = "Zz9 }{;=%s[/red]"  # noqa: S105  # of nothing

Report = dict[str, Any]


@pytest.fixture
def project(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Project]:
    """A project that has never run, embedded unless the class of the test says otherwise."""
    with engines.using(engines.current() if request.cls else engines.DUCKDB):
        yield Project(tmp_path, LOG_LEVEL="ERROR")


@pytest.fixture
def loaded(project: Project) -> Project:
    """A project that has run once."""
    assert project.run()["exit_code"] == 0
    return project


def found(report: Report, name: str) -> Report:
    """The one check of that name."""
    (check,) = [check for check in report["checks"] if check["name"] == name]
    return dict(check)


def not_passed(report: Report) -> dict[str, str]:
    """The checks with something to tell, latency aside: the machine may be busy."""
    return {
        check["name"]: check["status"]
        for check in report["checks"]
        if check["status"] != "passed" and check["name"] != "latency"
    }


def health(project: Project) -> Report:
    """What is found; whatever fails has a next step."""
    report = pipeline_health_check(project.config())
    for check in report["checks"]:
        assert list(check) == ["name", "status", "value", "threshold", "message"]
        assert check["status"] != "failed" or "Next: " in check["message"]
    return report


# --- on every engine -----------------------------------------------------------------------


@pytest.mark.usefixtures("every_engine")
class TestOnEveryEngine:
    def test_a_fresh_project_is_degraded_and_may_run(self, project: Project) -> None:
        report = health(project)
        assert (report["status"], report["exit_code"]) == ("degraded", 0)
        expected = {"tables", "last run"} if project.engine.is_server else {"database"}
        assert not_passed(report) == dict.fromkeys(expected, "warning")
        assert "first run" in str(report) or "next run" in str(report)

    def test_a_loaded_project_is_healthy_and_nothing_is_changed(self, loaded: Project) -> None:
        before = snapshot(loaded)
        report = health(loaded)
        assert not_passed(report) == {}
        assert report["exit_code"] == 0
        assert found(report, "last run")["value"] == "success"
        assert found(report, "latency")["value"] < 10_000
        server, driver = found(report, "database")["message"].split(", driver ")
        assert re.search(r"\d\.\d", server)
        assert re.search(r"\d\.\d", driver)
        assert snapshot(loaded) == before

    def test_a_success_that_is_old_and_a_run_that_failed_are_warnings(
        self, loaded: Project
    ) -> None:
        with DatabaseManager(loaded.connection_string) as db:
            finished = utc_now() - timedelta(hours=26, minutes=30)
            db.execute('UPDATE "etl_run" SET "finished_at" = ?;', (finished,))
            report_run(db, "29990101T000000.000000Z", "failed")
        report = health(loaded)
        assert not_passed(report) == {"last run": "warning", "last success": "warning"}
        assert report["exit_code"] == 0
        assert (found(report, "last success")["value"], found(report, "last run")["value"]) == (
            26.5, "failed",
        )  # fmt: skip

    def test_a_killed_run_is_reported_from_one_at_work(self, loaded: Project) -> None:
        with DatabaseManager(loaded.connection_string) as db:
            report_run(db, "29990101T000000.000000Z", "running")
        assert found(health(loaded), "last run")["value"] == "killed"

    def test_a_table_that_is_missing_is_named(self, loaded: Project) -> None:
        with DatabaseManager(loaded.connection_string) as db:
            db.execute('DROP TABLE "etl_quality";')
        check = found(health(loaded), "tables")
        assert (check["status"], check["value"]) == ("warning", 1)
        assert "etl_quality" in check["message"]

    def test_columns_of_an_older_warehouse_and_what_is_in_the_way_are_named(
        self, loaded: Project
    ) -> None:
        with DatabaseManager(loaded.connection_string) as db:
            db.execute('ALTER TABLE "customer_dim" DROP COLUMN "phone_valid";')
            db.execute('DROP TABLE "etl_quality";')
            db.execute('CREATE VIEW "etl_quality" AS SELECT "run_id" FROM "etl_run";')
        report = health(loaded)
        columns = found(report, "columns")
        assert (columns["status"], columns["value"]) == ("warning", 1)
        assert "customer_dim.phone_valid; made by the next run" in columns["message"]
        schema = found(report, "schema")
        assert (schema["status"], schema["value"]) == ("failed", 1)
        assert "etl_quality is a view where a table is needed" in schema["message"]

    def test_a_warehouse_in_use_is_reported_and_the_other_checks_are_made(
        self, loaded: Project
    ) -> None:
        with in_use(loaded) as who:
            report = health(loaded)
        (check,) = [check for check in report["checks"] if "in use by" in check["message"]]
        assert check["status"] == "warning"
        assert who in check["message"]
        # a server answers nevertheless; a file that is locked cannot be looked into
        assert report["exit_code"] == (0 if loaded.engine.is_server else 4)
        assert found(report, "log folder")["status"] == "passed"

    def test_a_source_that_is_missing_fails(self, loaded: Project) -> None:
        (loaded.input / "products.json").unlink()
        report = health(loaded)
        assert not_passed(report) == {"products file": "failed"}
        assert found(report, "products file")["message"].startswith("no file ")
        assert (report["status"], report["exit_code"]) == ("unhealthy", 1)


def report_run(db: DatabaseManager, run_id: str, status: str) -> None:
    now = utc_now()
    row = (run_id, "dev", "incremental", now, now, status, now, None, None)
    marks = ", ".join("?" for _ in row)
    db.execute(f'INSERT INTO "etl_run" VALUES ({marks});', row)


def snapshot(project: Project) -> dict[str, object]:
    files = {
        str(path): (path.read_bytes(), path.stat().st_mtime_ns) if path.is_file() else b""
        for path in project.folder.rglob("*")
    }
    tables = sorted(project.query("SELECT TABLE_NAME FROM INFORMATION_SCHEMA.TABLES;"))
    return files | {"": (tables, project.query('SELECT * FROM "etl_run";'))}


@contextmanager
def in_use(project: Project) -> Iterator[str]:
    """Somebody else has the warehouse; yields a word that names them."""
    if project.engine.is_server:
        with DatabaseManager(project.connection_string):
            yield "another run"
        return
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(project.warehouse)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline()
        yield f"process {process.pid}"
        process.communicate("\n")


# --- SQL Server ----------------------------------------------------------------------------


@pytest.mark.usefixtures("sql_server")
class TestOnSqlServer:
    def test_a_wrong_password_fails_alone_and_is_not_shown(self, project: Project) -> None:
        pairs = dict(parse(project.settings["DB_CONNECTION_STRING"])) | {"PWD": SECRET}
        project.settings["DB_CONNECTION_STRING"] = joined(pairs.items())
        report = health(project)
        assert not_passed(report) == {"database": "failed"}
        assert "DB_PASSWORD" in found(report, "database")["message"]
        assert SECRET not in str(report)
        assert report["exit_code"] == 1

    def test_a_login_without_rights_is_reported_which_it_lacks(self, project: Project) -> None:
        with DatabaseManager(project.connection_string) as db:
            create_tables(db)
            with login_without_rights(project, db) as login:
                before = health(project)
                on_all_tables(db, f"GRANT SELECT, INSERT ON {{}} TO {login};")
                after = health(project)
                on_all_tables(db, f"REVOKE SELECT, INSERT ON {{}} FROM {login};")
        hidden = found(before, "tables")
        assert hidden["status"] == "failed"
        assert "--print-schema" in hidden["message"]
        assert found(after, "tables")["status"] == "passed"
        lacking = found(after, "permissions")
        tables = len(permanent_tables(SQL_SERVER))  # on each, UPDATE and DELETE are missing
        assert (lacking["status"], lacking["value"]) == ("failed", 2 * tables)
        assert "customer_dim (UPDATE, DELETE)" in lacking["message"]
        assert found(after, "in use")["status"] == "warning"  # this test is in it


@contextmanager
def login_without_rights(project: Project, db: DatabaseManager) -> Iterator[str]:
    """The project logs in as somebody who may connect and nothing else; yields the name."""
    login, password = f"etl_test_{os.getpid()}", "N0thing-allowed"
    db.execute(f"CREATE LOGIN {login} WITH PASSWORD = '{password}';")
    db.execute(f"CREATE USER {login} FOR LOGIN {login};")
    pairs = dict(parse(project.connection_string)) | {"UID": login, "PWD": password}
    project.settings["DB_CONNECTION_STRING"] = joined(pairs.items())
    try:
        yield login
    finally:
        db.execute(f"DROP USER {login};")
        db.execute(f"DROP LOGIN {login};")


def on_all_tables(db: DatabaseManager, statement: str) -> None:
    for name in sorted(db.table_names()):
        db.execute(statement.format(f'"{name}"'))


# --- sources -------------------------------------------------------------------------------


def sales_database(path: Path, *columns: str) -> str:
    with duckdb.connect(str(path)) as connection:
        listed = ", ".join(f"{column} VARCHAR" for column in columns)
        others = "quantity INTEGER, transaction_date TIMESTAMP"
        connection.execute(f"CREATE TABLE sales_transactions ({listed}, {others})")
    return f"duckdb:///{path}"


COLUMNS = tuple(n for n in SALES_COLUMNS if n not in ("quantity", "transaction_date"))


@pytest.mark.parametrize(
    ("columns", "status", "reported"),
    [
        ((*COLUMNS, "status"), "passed", "can be run"),
        (COLUMNS, "failed", "status"),
    ],
    ids=["complete", "a column is missing"],
)
def test_the_sales_query_is_tried_on_its_database(
    project: Project, columns: tuple[str, ...], status: str, reported: str
) -> None:
    source = sales_database(project.folder / "sales.duckdb", *columns)
    project.settings["SALES_DB_CONNECTION_STRING"] = source
    report = health(project)
    check = found(report, "sales source")
    assert check["status"] == status
    assert reported in check["message"]
    assert "sales file" not in {check["name"] for check in report["checks"]}


def test_a_sales_database_that_cannot_be_reached_fails(project: Project) -> None:
    project.settings["SALES_DB_CONNECTION_STRING"] = "Driver={No such one};PWD={hidden};"
    report = health(project)
    assert found(report, "sales source")["status"] == "failed"
    assert report["exit_code"] == 1


def test_a_source_is_reported_with_its_size_and_age(project: Project) -> None:
    path = project.input / "customers.csv"
    path.write_bytes(b"x" * 2500)
    os.utime(path, (time.time() - 3 * 86400 - 60,) * 2)
    check = found(health(project), "customers file")
    assert (check["value"], check["message"]) == (2500, "customers.csv: 2.5 kB, 3 days old")


def test_a_source_without_a_byte_fails(project: Project) -> None:
    (project.input / "customers.csv").write_bytes(b"")
    check = found(health(project), "customers file")
    assert (check["status"], check["value"]) == ("failed", 0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_pipe_is_not_read(project: Project) -> None:
    (project.input / "customers.csv").unlink()
    os.mkfifo(project.input / "customers.csv")
    assert "pipe" in found(health(project), "customers file")["message"]


# --- folders -------------------------------------------------------------------------------


def test_a_folder_below_a_file_cannot_be_made(project: Project) -> None:
    (project.folder / "file").write_text("in the way")
    project.settings["LOG_DIR"] = str(project.folder / "file" / "logs")
    check = found(health(project), "log folder")
    assert check["status"] == "failed"
    assert f"{project.folder / 'file'} is not a folder" in check["message"]
    assert "set LOG_DIR to" in check["message"]


@pytest.fixture
def folder_for_all() -> Iterator[Path]:
    """A folder that other users may enter."""
    if not hasattr(os, "geteuid"):
        pytest.skip("needs Unix permissions")
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def health_for_nobody(project: Project) -> Report:
    """What is found by a user who may do little; root may everything, so it steps down."""
    config, user = project.config(), os.geteuid()
    os.seteuid(NOBODY if user == 0 else user)
    try:
        return pipeline_health_check(config)
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("below", ["", "made/later"])
def test_a_folder_that_may_not_be_written_fails(
    project: Project, folder_for_all: Path, below: str
) -> None:
    folder_for_all.chmod(0o555)
    project.settings["ARCHIVE_DIR"] = str(folder_for_all / below)
    check = found(health_for_nobody(project), "archive folder")
    assert check["status"] == "failed"
    assert f"may not write to {folder_for_all}" in check["message"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits of POSIX")
def test_a_folder_that_permissions_allow_and_writing_refuses_fails(project: Project) -> None:
    project.logs.mkdir()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # as on a full disk
    try:
        report = pipeline_health_check(project.config())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    check = found(report, "log folder")
    assert check["status"] == "failed"
    assert "too large" in check["message"]
    assert not list(project.logs.iterdir())


@pytest.mark.parametrize(
    ("megabytes", "status"),
    [(99, "failed"), (100, "warning"), (999, "warning"), (1000, "passed")],
)
def test_free_space_is_checked_against_what_a_run_needs(megabytes: int, status: str) -> None:
    check = space_check("log folder", "logs", megabytes * 1_000_000)
    assert (check.status, check.value) == (status, megabytes)


# --- the warehouse file --------------------------------------------------------------------


def test_a_file_that_is_no_warehouse_fails_alone(project: Project) -> None:
    project.warehouse.parent.mkdir(parents=True)
    project.warehouse.write_text("no database " * 2000)
    assert not_passed(health(project)) == {"database": "failed"}


def test_a_warehouse_elsewhere_has_its_folder_looked_at(project: Project) -> None:
    (project.folder / "file").write_text("in the way")
    project.settings["DB_CONNECTION_STRING"] = f"duckdb:///{project.folder}/file/w.duckdb"
    assert found(health(project), "warehouse folder")["status"] == "failed"


def test_a_warehouse_that_may_only_be_read_fails(project: Project, folder_for_all: Path) -> None:
    warehouse = folder_for_all / "warehouse.duckdb"
    project.settings["DB_CONNECTION_STRING"] = f"duckdb:///{warehouse}"
    duckdb.connect(str(warehouse)).close()
    warehouse.chmod(0o444)
    check = found(health_for_nobody(project), "permissions")
    assert check["status"] == "failed"
    assert "may not be written" in check["message"]


def test_a_warehouse_in_memory_is_looked_at_too(project: Project) -> None:
    project.settings["DB_CONNECTION_STRING"] = "duckdb:///:memory:"
    assert not_passed(health(project)) == {"tables": "warning", "last run": "warning"}


# --- settings, and the command -------------------------------------------------------------


def hostile(project: Project) -> None:
    """Secrets everywhere, in places that are named when something is wrong."""
    server = joined([("Driver", "No such driver"), ("Server", "[red]x[/]"), ("PWD", SECRET)])
    project.settings |= {
        "DB_CONNECTION_STRING": server,
        "SALES_DB_CONNECTION_STRING": f"postgresql://etl:{'geheim%40'}@[::1/dwh",
        "SMTP_USERNAME": "etl",
        "SMTP_PASSWORD": "sesame",
        "SLACK_WEBHOOK_URL": "https://hooks.example.com/T0/B0/xyzzy",
        "LOG_DIR": str(project.folder / "sesame"),
    }


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["table", "json"])
def test_no_secret_is_printed_whatever_fails(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
) -> None:
    hostile(project)
    assert command(project, monkeypatch, "--health-check", *options) == 1
    reported = "".join("".join(capsys.readouterr()).split())
    for secret in (SECRET, "geheim", "sesame", "xyzzy"):
        assert "".join(secret.split()) not in reported
        assert json.dumps(secret)[1:-1].replace(" ", "") not in reported
    assert "Traceback" not in reported
    assert "***" in reported


def test_one_json_object_is_printed(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(project, monkeypatch, "--health-check", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["status"] == "degraded"
    assert {check["status"] for check in report["checks"]} == {"passed", "warning"}


def test_the_table_is_plain_and_fits_80_columns(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.settings["PRODUCTS_FILE"] = "[/red].json"  # would be markup
    assert command(project, monkeypatch, "--health-check") == 1
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "\x1b" not in printed
    assert re.search(r"products file +│ failed", printed)
    assert "[/red].json" in re.sub(r"[\s│]", "", printed)
    assert "unhealthy, exit code 1" in printed


def test_a_warehouse_in_use_ends_the_command_with_4(
    loaded: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with in_use(loaded) as who:
        assert command(loaded, monkeypatch, "--health-check", "--json") == 4
    assert who in capsys.readouterr().out


def test_settings_that_cannot_be_used_are_all_listed(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.settings |= {"BATCH_SIZE": "many", "SMTP_PORT": "none"}
    assert command(project, monkeypatch, "--health-check") == 2
    reported = capsys.readouterr().err
    assert "BATCH_SIZE" in reported
    assert "SMTP_PORT" in reported
    report = pipeline_health_check()  # the same settings, from the environment
    assert (report["status"], report["exit_code"]) == ("unhealthy", 2)
    assert "SMTP_PORT" in found(report, "configuration")["message"]


def test_nothing_is_made_in_a_fresh_project(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(project.folder.rglob("*"))
    assert command(project, monkeypatch, "--health-check") == 0
    assert sorted(project.folder.rglob("*")) == before


def test_a_health_check_is_no_run(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command(project, monkeypatch, "--health-check", "--full-refresh") == 2


# --- alerts ----------------------------------------------------------------------------------


@contextmanager
def listening() -> Iterator[int]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def closed_port() -> int:
    with listening() as port:
        return port


def send_mail(project: Project, port: int) -> None:
    project.settings |= {
        "ALERT_MODE": "send", "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(port),
        "ALERT_EMAIL_FROM": "etl@example.com", "ALERT_EMAIL_TO": "ops@example.com",
    }  # fmt: skip


def test_a_mail_server_that_can_be_reached_passes(project: Project) -> None:
    with listening() as port:
        send_mail(project, port)
        assert found(health(project), "mail server")["status"] == "passed"


def test_a_mail_server_that_cannot_be_reached_fails(project: Project) -> None:
    send_mail(project, closed_port())
    report = health(project)
    check = found(report, "mail server")
    assert (check["status"], report["exit_code"]) == ("failed", 1)
    assert "refused" in check["message"]
    assert "SMTP_HOST" in check["message"]


def test_a_webhook_is_connected_to_and_never_shown(project: Project) -> None:
    project.settings |= {
        "ALERT_MODE": "send",
        "SLACK_WEBHOOK_URL": f"https://127.0.0.1:{closed_port()}/services/T0/{SECRET[:3]}",
    }
    report = health(project)
    assert found(report, "webhook")["status"] == "failed"
    assert "/services" not in json.dumps(report)


def test_a_webhook_that_speaks_no_tls_fails(project: Project) -> None:
    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"220 mail\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        answering = Thread(target=answer, args=(server,))
        answering.start()
        port = server.getsockname()[1]
        url = f"https://127.0.0.1:{port}/services/T0"
        project.settings |= {"ALERT_MODE": "send", "SLACK_WEBHOOK_URL": url}
        check = found(health(project), "webhook")
        answering.join()
    assert check["status"] == "failed"


def test_simulated_alerts_need_no_network(project: Project) -> None:
    send_mail(project, closed_port())
    project.settings["ALERT_MODE"] = "simulate"
    names = {check["name"] for check in health(project)["checks"]}
    assert not names & {"mail server", "webhook"}


# --- earlier runs ----------------------------------------------------------------------------


def test_errors_that_come_back_are_reported_with_their_trend(loaded: Project) -> None:
    for _ in range(3):
        loaded.run()
    (loaded.input / "products.json").unlink()
    for _ in range(3):
        loaded.run()
    check = found(health(loaded), "recent errors")
    assert check["status"] == "warning"
    assert "products: no file" in check["message"]
    assert "new" in check["message"]


def test_without_the_warehouse_the_journal_knows_the_last_success(loaded: Project) -> None:
    loaded.warehouse.write_text("no warehouse at all" * 1000)
    report = health(loaded)
    assert found(report, "database")["status"] == "failed"
    assert found(report, "last success")["status"] == "passed"
    assert found(report, "recent errors")["value"] == 0


def test_without_the_journal_the_warehouse_knows_the_errors(loaded: Project) -> None:
    (loaded.output / "run_journal.jsonl").unlink()
    with DatabaseManager(loaded.connection_string) as db:
        report_run(db, "29990101T000000.000000Z", "failed")
    assert found(health(loaded), "recent errors")["value"] == 1


def test_a_library_that_telemetry_needs_and_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "etl.telemetry.prometheus", None)
    project = Project(tmp_path, METRICS_FILE=str(tmp_path / "m.prom"))
    report = pipeline_health_check(project.config())
    (found,) = (check for check in report["checks"] if check["name"] == "telemetry")
    assert found["status"] == "failed"
    assert "METRICS_FILE needs" in found["message"] and "pip install" in found["message"]

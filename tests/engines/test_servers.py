"""What servers have in common: lost connections, locks, refused rows, rights, values.

A connection is cut on a real socket, by a proxy between the driver and the server.
"""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from engines import DUCKDB, Server, using
from pipeline_runs import Project, ended, linger_until, start
from server_projects import Tables, assert_balanced, project_in, staged_rows
from server_proxy import AFTER, BEFORE, DURING, HOLD, Plan, Proxy

from data_loading import load_customers, load_products, load_sales
from data_transformation import (
    enrich_product_data,
    process_sales_transactions,
    standardize_customer_data,
)
from etl.engines.database import DatabaseManager
from etl.engines.engine import Access
from etl.engines.registry import engine_of
from etl.errors import LoadingError, WarehouseInUseError
from etl.resilience.transient import is_data_error, is_transient
from etl.warehouse.tables import schema_script

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """The tables that the embedded engine makes of the sample."""
    with using(DUCKDB):
        project = project_in(tmp_path_factory.mktemp("undisturbed"))
        assert project.run()["exit_code"] == 0
        return project.tables()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return project_in(tmp_path / "project")


@pytest.fixture
def database(server: Server) -> str:
    return server.new_database()


# --- batches -------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_rows", [7, 100, 1_000_000])
def test_any_batch_size_makes_the_same_tables(
    project: Project, undisturbed: Tables, batch_rows: int
) -> None:
    project.settings["BATCH_SIZE"] = str(batch_rows)
    summary = project.run()
    assert summary["exit_code"] == 0
    assert project.tables() == undisturbed
    assert_balanced(project)
    batched = engine_of(project.connection_string).dialect.batched
    for counts in summary["tables"].values():
        staged = counts["rows_read"] - counts["rows_rejected"] - counts["rows_duplicate"]
        batches = -(-staged // batch_rows) if batched else 1
        assert counts["batches"] >= batches
    again = project.run("--full-refresh")
    for counts in again["tables"].values():
        assert not counts["rows_inserted"] + counts["rows_updated"] + counts["rows_restated"]
    assert staged_rows(project) == 0


def test_what_the_embedded_engine_counts_a_server_counts_as_well(
    project: Project, tmp_path: Path
) -> None:
    found = project.run()["tables"]
    with using(DUCKDB):
        expected = project_in(tmp_path / "embedded").run()["tables"]
    for table, counts in expected.items():
        for name in ("batches", "seconds"):
            found[table].pop(name)
            counts.pop(name)
        assert found[table] == counts


# --- lost connections ----------------------------------------------------------------------


def behind(project: Project, proxy: Proxy) -> None:
    """Sends the project's connection through the proxy."""
    connection = project.settings["DB_CONNECTION_STRING"]
    project.settings["DB_CONNECTION_STRING"] = server_of(project).through(connection, proxy.port)


def proxy_to(project: Project, plan: Plan) -> Proxy:
    return Proxy(server_of(project).address(project.settings["DB_CONNECTION_STRING"]), plan)


def server_of(project: Project) -> Server:
    assert isinstance(project.engine, Server)
    return project.engine


@dataclass(frozen=True)
class Measured:
    """What an undisturbed run sends to the server."""

    commits: int
    messages: int


@pytest.fixture(scope="module")
def measured(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    project = project_in(tmp_path_factory.mktemp("measured"), BATCH_SIZE="60")
    with proxy_to(project, Plan()) as proxy:
        behind(project, proxy)
        assert project.run()["exit_code"] == 0
        return Measured(*map(int, proxy.ended()))


@pytest.mark.parametrize(
    ("share", "verdict"),
    [(0.25, AFTER), (0.25, BEFORE), (0.5, DURING), (0.6, AFTER), (0.8, BEFORE), (1.0, AFTER)],
)
def test_a_commit_whose_connection_is_cut_is_neither_lost_nor_done_twice(
    project: Project, undisturbed: Tables, measured: Measured, share: float, verdict: str
) -> None:
    direct = dict(project.settings)
    project.settings["BATCH_SIZE"] = "60"
    number = max(2, round(measured.commits * share))  # the first makes the tables
    with proxy_to(project, Plan(at_commit=number, verdict=verdict)) as proxy:
        behind(project, proxy)
        summary = project.run()
        assert proxy.ended()[0] == "cut"
    project.settings |= direct
    assert summary["exit_code"] == 0
    assert project.tables() == undisturbed
    assert_balanced(project)


@pytest.mark.parametrize("verdict", [BEFORE, DURING, AFTER])
@pytest.mark.parametrize("number", [4])
def test_a_full_refresh_whose_connection_is_cut_is_done_once_as_well(
    project: Project, undisturbed: Tables, number: int, verdict: str
) -> None:
    direct = dict(project.settings)
    with proxy_to(project, Plan(at_commit=number, verdict=verdict)) as proxy:
        behind(project, proxy)
        summary = project.run("--full-refresh")
        assert proxy.ended()[0] == "cut"
    project.settings |= direct
    assert summary["exit_code"] == 0
    assert project.tables() == undisturbed
    assert_balanced(project)


# Of the messages of a run; `KILLS=2000` cuts after every one of them.
CUTS = int(os.environ.get("KILLS", "4"))


@pytest.mark.parametrize("share", [(n + 0.5) / CUTS for n in range(CUTS)])
def test_where_the_server_stays_away_the_next_run_makes_up_for_it(
    project: Project, undisturbed: Tables, measured: Measured, share: float
) -> None:
    direct = dict(project.settings)
    project.settings |= {"BATCH_SIZE": "60", "MAX_RETRIES": "1"}
    plan = Plan(at_message=1 + int(measured.messages * share), for_good=True)
    with proxy_to(project, plan) as proxy:
        behind(project, proxy)
        try:
            code = project.run()["exit_code"]
        except LoadingError as error:
            code = error.exit_code
    assert code in (1, 3)
    project.settings |= direct
    assert project.run()["exit_code"] == 0
    assert project.tables() == undisturbed
    assert_balanced(project)
    assert not project.query("SELECT * FROM etl_run WHERE status = 'running'")


def test_a_server_that_answers_late_is_waited_for(project: Project, undisturbed: Tables) -> None:
    with proxy_to(project, Plan(delay_s=0.2)) as proxy:
        behind(project, proxy)
        assert project.run()["exit_code"] == 0
        commits, _ = map(int, proxy.ended())
    assert commits > 1


def test_a_server_that_cannot_be_reached_is_named_with_what_to_do(project: Project) -> None:
    with proxy_to(project, Plan()) as proxy:
        behind(project, proxy)
    with pytest.raises(
        LoadingError, match=r"(?s)reach|connect.*Next: check"
    ):  # nobody listens there
        project.run()


# --- the lock ------------------------------------------------------------------------------


@pytest.mark.parametrize(("wait_s", "codes"), [("0", [0, 4]), ("60", [0, 0])])
def test_of_two_runs_at_once_the_second_waits_as_long_as_it_may_or_ends_with_code_4(
    project: Project, undisturbed: Tables, wait_s: str, codes: list[int]
) -> None:
    direct = dict(project.settings)
    with proxy_to(project, Plan(at_commit=1, verdict=HOLD)) as proxy:
        behind(project, proxy)
        first = start(project, "--date", "2024-01-20")
        assert proxy.next_word() == HOLD  # it has the lock, and cannot end before it is allowed
        project.settings |= direct | {"LOCK_WAIT_SECONDS": wait_s}
        second = start(project, "--start-date", "2024-01-21", "--end-date", "2024-12-31")
        linger_until(second, lambda: "waiting up to" in log_of(project))
        proxy.allow()
        ended_runs = [ended(first), ended(second)]
    assert [each.returncode for each in ended_runs] == codes
    if codes == [0, 4]:
        assert "in use by another run" in ended_runs[1].stderr
    assert len(project.query("SELECT run_id FROM etl_run")) == codes.count(0)
    assert_balanced(project)
    assert project.run("--full-refresh")["exit_code"] == 0
    assert project.tables() == undisturbed


def log_of(project: Project) -> str:
    path = project.logs / "etl_pipeline.log"
    return path.read_text("utf-8") if path.exists() else ""


def test_a_run_waits_for_the_other_when_it_may(database: str) -> None:
    waits: list[float] = []
    access = Access(lock_wait_s=2.5)
    with DatabaseManager(database) as other:

        def sleep(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 2:
                other.__exit__(None, None, None)

        with DatabaseManager(database, access=access, sleep=sleep) as db:
            assert db.value("SELECT 42") == 42
    assert waits == [1.0, 1.0]


def test_it_waits_no_longer_than_it_may(database: str) -> None:
    waits: list[float] = []
    access = Access(lock_wait_s=2.5)
    with DatabaseManager(database), pytest.raises(WarehouseInUseError):
        DatabaseManager(database, access=access, sleep=waits.append).__enter__()
    assert waits == [1.0, 1.0, 0.5]


def test_whoever_only_reads_keeps_nobody_out(database: str) -> None:
    with DatabaseManager(database), DatabaseManager(database, access=Access(read_only=True)) as db:
        assert db.value("SELECT 42") == 42


def test_a_run_that_has_lost_the_lock_to_another_one_ends_with_code_4(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "etl.engines.database._GHOST_S", 0.5
    )  # how long it would take the other for its own
    direct = project.settings["DB_CONNECTION_STRING"]
    # until the other one has it
    project.settings |= {"MAX_RETRIES": "10000", "BREAKER_FAILURE_THRESHOLD": "20000"}
    others: list[DatabaseManager] = []

    def seize(proxy: Proxy) -> None:
        assert proxy.next_word() == "cut"
        others.append(DatabaseManager(direct, access=Access(lock_wait_s=60)).__enter__())
        proxy.allow()

    with proxy_to(project, Plan(at_commit=4, for_good=True)) as proxy:
        behind(project, proxy)
        thread = threading.Thread(target=seize, args=(proxy,), daemon=True)
        thread.start()
        with pytest.raises(WarehouseInUseError) as caught:
            project.run()
    thread.join(60)
    (other,) = others
    other.__exit__(None, None, None)
    assert caught.value.exit_code == 4


# --- rows that the server refuses ----------------------------------------------------------


@pytest.mark.parametrize("table", ["customer_dim", "stage_customer_dim"])
def test_a_row_that_a_constraint_refuses_is_rejected_and_all_others_load(
    project: Project, undisturbed: Tables, table: str
) -> None:
    project.settings |= {"BATCH_SIZE": "60", "MAX_REJECT_RATE": "0.2"}
    with DatabaseManager(project.connection_string) as db:
        load_customers([], db)
        db.execute(f"ALTER TABLE {table} ADD CONSTRAINT no_mill CHECK (address NOT LIKE '%Mill%')")
    summary = project.run()
    refused = [row for row in project.rejected("customers") if row["error_class"] == "refused"]
    mill = [row for row in undisturbed["customer_dim"] if "Mill" in (row["address"] or "")]
    assert mill
    assert [row["record_key"] for row in refused] == sorted(row["customer_id"] for row in mill)
    assert all("no_mill" in row["reason"] for row in refused)
    assert all("mill" in row["address"].lower() for row in refused)
    loaded = [row["customer_id"] for row in project.tables()["customer_dim"]]
    placeholders = {row["customer_id"] for row in project.tables()["customer_dim"]
                    if row["is_inferred"]}  # fmt: skip
    others = {row["customer_id"] for row in undisturbed["customer_dim"]}
    assert set(loaded) | {row["customer_id"] for row in mill} == others
    assert {row["customer_id"] for row in mill} & set(loaded) <= placeholders
    assert summary["exit_code"] == 0
    assert_balanced(project)


def test_a_constraint_that_refuses_too_many_rows_holds_the_source_back(project: Project) -> None:
    with DatabaseManager(project.connection_string) as db:
        load_customers([], db)
        db.execute("ALTER TABLE customer_dim ADD CONSTRAINT none CHECK (first_name IS NULL)")
    summary = project.run()
    assert summary["exit_code"] == 3
    held = summary["sources"][0]
    assert "refuses every record of customer_dim that was tried" in held["error"]
    assert "none" in held["error"]
    assert len(re.findall(r"C\d{3}", held["error"].partition(": ")[0])) == 3
    assert project.rejected("customers") == [
        row for row in project.rejected("customers") if row["error_class"] != "refused"
    ]
    assert summary["sources"][2]["status"] == "loaded"


def test_a_constraint_that_refuses_part_of_the_rows_holds_back_after_the_limit(
    project: Project,
) -> None:
    with DatabaseManager(project.connection_string) as db:
        load_customers([], db)
        db.execute("ALTER TABLE customer_dim ADD CONSTRAINT few CHECK (first_name < 'F')")
    summary = project.run()
    assert summary["exit_code"] == 3
    assert "refuses too many records" in summary["sources"][0]["error"]


# --- what goes in comes out ----------------------------------------------------------------

TEXTS = [
    "漢字 😀 é ß ﷺ", "e\u0301 + \u00e9", "'; DROP TABLE customer_dim; --", "a" * 300,
    "x" * 499 + "é", "line\nbreak\ttab", "ς Σ İ \u0131", "\U0010ffff", '"quoted"', "50% _[x]^",
]  # fmt: skip


@pytest.fixture
def db(database: str) -> Iterator[DatabaseManager]:
    with DatabaseManager(database) as manager:
        yield manager


@pytest.mark.parametrize("text", TEXTS)
def test_text_comes_out_as_it_went_in(db: DatabaseManager, text: str) -> None:
    for _ in range(2):
        result = load_customers([{"customer_id": "C1", "address": text}], db)
    assert db.query("SELECT address FROM customer_dim") == [(text,)]
    assert (result["inserted"], result["updated"], result["unchanged"]) == (0, 0, 1)


@pytest.mark.parametrize(
    ("before", "after"),
    [("mill", "Mill"), ("mill", "m\u0131ll"), ("e\u0301", "\u00e9"), ("漢", "字")],
)
def test_texts_that_a_collation_may_take_for_equal_are_distinguished(
    db: DatabaseManager, before: str, after: str
) -> None:
    for address in (before, after):
        result = load_customers([{"customer_id": "C1", "address": address}], db)
    assert result["changed_columns"] == {"address": 1}
    assert db.query("SELECT address FROM customer_dim") == [(after,)]


def test_keys_that_differ_in_case_are_two_rows(db: DatabaseManager) -> None:
    load_customers([{"customer_id": "c1"}, {"customer_id": "C1"}], db)
    assert db.query("SELECT customer_id FROM customer_dim ORDER BY customer_id") == [
        ("C1",), ("c1",)
    ]  # fmt: skip


def test_figures_and_moments_come_out_to_the_last_place(db: DatabaseManager) -> None:
    price, moment = Decimal("9999999999.99"), datetime(9999, 12, 31, 23, 59, 59, 999999)
    product = {"product_id": "P1", "name": "n", "category": "tech", "price": price,
               "cost": Decimal("0.01"), "quantity": 2_147_483_647}  # fmt: skip
    sale = {"transaction_id": "T1", "customer_id": "C1", "product_id": "P1", "quantity": 1_000_000,
            "unit_price": price, "discount_amount": Decimal("0.99"),
            "transaction_date": moment}  # fmt: skip
    load_products(enrich_product_data([product]), db)
    load_customers(standardize_customer_data([
        {"customer_id": "C1", "registration_date": "0001-01-01"}
    ]), db)  # fmt: skip
    load_sales(process_sales_transactions([sale], [], []), db)
    assert db.query("SELECT price, cost, quantity FROM product_dim") == [
        (price, Decimal("0.01"), 2_147_483_647)
    ]
    assert db.query("SELECT registration_date FROM customer_dim") == [(date(1, 1, 1),)]
    total = 1_000_000 * price - Decimal("0.99")
    assert db.query("SELECT total_amount, profit_amount, transaction_date FROM sales_fact") == [
        (total, total - 1_000_000 * Decimal("0.01"), moment)
    ]


# --- errors of the server ------------------------------------------------------------------


def test_a_deadlock_passes_and_the_batch_is_done_again(db: DatabaseManager, database: str) -> None:
    db.execute("CREATE TABLE pairs (k INT PRIMARY KEY, n INT)")
    db.execute("INSERT INTO pairs VALUES (1, 0), (2, 0)")
    update = "UPDATE pairs SET n = n + 1 WHERE k = ?"
    other = DatabaseManager(database, access=Access(read_only=True))
    errors: list[BaseException] = []

    def cross() -> None:
        try:
            with other.transaction():
                other.execute(update, (2,))
                met.wait(20)
                other.execute(update, (1,))
        except LoadingError as error:
            errors.append(error)

    met = threading.Barrier(2)
    with other:
        thread = threading.Thread(target=cross)
        thread.start()
        try:
            with db.transaction():
                db.execute(update, (1,))
                met.wait(20)
                db.execute(update, (2,))
        except LoadingError as error:
            errors.append(error)
        thread.join(60)
    (victim,) = errors
    assert is_transient(victim)
    assert not is_data_error(victim)


@dataclass(frozen=True)
class Waiting:
    """How long a session waits for a lock, and what it can say of who has it."""

    settings: str
    says: str


WAITING = {
    "PostgreSQL": Waiting(
        "SET lock_timeout = '200ms'",
        r"locked by session \d+ of \w+( on [\d./]+)?, which has locked pairs: "
        r"UPDATE \"pairs\" SET n = 7.*or end that session",
    ),
    # Babelfish lacks the view that knows it
    "SQL Server": Waiting("SET LOCK_TIMEOUT 200", r"(session \d+ of|cannot be seen)"),
}


@pytest.mark.parametrize("in_transaction", [True, False])
def test_a_lock_that_is_not_got_in_time_passes_and_who_has_it_is_named(
    db: DatabaseManager, database: str, server: Server, in_transaction: bool
) -> None:
    waiting = WAITING[server.name]
    db.execute("CREATE TABLE pairs (k INT PRIMARY KEY, n INT)")
    db.execute("INSERT INTO pairs VALUES (1, 0)")
    other = DatabaseManager(database, access=Access(read_only=True))
    db.execute(waiting.settings)
    with other, other.transaction():
        other.execute('UPDATE "pairs" SET n = 7')
        opened = db.transaction if in_transaction else nullcontext
        with pytest.raises(LoadingError, match=waiting.says) as caught, opened():
            db.execute('UPDATE "pairs" SET n = 8')
    assert is_transient(caught.value)
    assert not is_data_error(caught.value)
    db.execute('UPDATE "pairs" SET n = 9')  # the connection is as good as before


def test_a_row_that_does_not_fit_is_the_fault_of_the_data(db: DatabaseManager) -> None:
    db.execute("CREATE TABLE small (k INT PRIMARY KEY, t VARCHAR(3))")
    db.execute("INSERT INTO small VALUES (1, 'abc')")
    for statement in (
        "INSERT INTO small VALUES (1, 'x')",
        "INSERT INTO small VALUES (2, 'abcd')",
    ):
        with pytest.raises(LoadingError) as caught:
            db.execute(statement)
        assert is_data_error(caught.value)
        assert not is_transient(caught.value)


def test_a_statement_that_is_wrong_is_nobodys_data_and_does_not_pass(db: DatabaseManager) -> None:
    with pytest.raises(LoadingError) as caught:
        db.execute("SELECT * FROM there_is_no_such_table")
    assert not is_data_error(caught.value)
    assert not is_transient(caught.value)


# --- rights --------------------------------------------------------------------------------


@pytest.fixture
def login(project: Project, server: Server) -> Iterator[str]:
    """A login that may use the project's database and nothing in it; the project uses it."""
    admin, name = project.connection_string, f"etl_login_{os.getpid()}"
    project.settings["DB_CONNECTION_STRING"] = server.create_login(admin, name)
    yield name
    server.drop_login(admin, name)


def test_a_login_that_may_create_nothing_loads_what_a_dba_has_prepared(
    tmp_path: Path, undisturbed: Tables, server: Server
) -> None:
    project = project_in(tmp_path / "project")
    admin, name = project.connection_string, f"etl_login_{os.getpid()}"
    with DatabaseManager(admin) as db:  # what a DBA does
        db.execute(schema_script(admin))
        db.execute(schema_script(admin))  # it may be run again
    project.settings["DB_CONNECTION_STRING"] = server.create_login(admin, name)
    try:
        with DatabaseManager(admin) as db:
            db.execute(server.let_load(name))
        with DatabaseManager(project.connection_string) as db, pytest.raises(LoadingError):
            db.execute("CREATE TABLE not_allowed (n INT)")
        assert project.run()["exit_code"] == 0
        assert project.run("--full-refresh")["exit_code"] == 0
        assert project.tables() == undisturbed
    finally:
        server.drop_login(admin, name)


@pytest.mark.usefixtures("login")
def test_a_login_that_may_not_create_what_is_missing_is_shown_what_a_dba_can_do(
    project: Project,
) -> None:
    with pytest.raises(LoadingError, match=r"customer_dim.*--print-schema"):
        project.run()


# --- looking only --------------------------------------------------------------------------


def test_a_dry_run_on_an_empty_server_counts_everything_as_new_and_makes_nothing(
    project: Project,
) -> None:
    summary = project.run("--dry-run")
    assert summary["tables"]["customer_dim"]["rows_inserted"] == 148
    assert summary["tables"]["sales_fact"]["rows_inserted"] == 327
    with DatabaseManager(project.connection_string, access=Access(read_only=True)) as db:
        assert db.table_names() == set()


def test_a_dry_run_beside_a_run_writes_nothing(project: Project) -> None:
    project.run()
    before = project.query("SELECT count(*) FROM etl_run"), project.tables()
    with DatabaseManager(project.connection_string):
        summary = project.run("--dry-run")
    assert summary["tables"]["sales_fact"]["rows_unchanged"] == 29
    assert (project.query("SELECT count(*) FROM etl_run"), project.tables()) == before
    assert staged_rows(project) == 0

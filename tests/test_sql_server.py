"""What is particular to a server: batches, lost connections, locks, refused rows, rights, types.

All of it needs a server, named by TEST_SQLSERVER_CONNECTION_STRING.
"""

import shutil
import threading
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from engines import DUCKDB, SQL_SERVER, Engine, using
from pipeline_runs import Project, ended, start
from tds_proxy import AFTER, BEFORE, Plan, Proxy

import odbc_connections
from data_loading import load_customers, load_products, load_sales
from data_transformation import (
    enrich_product_data,
    process_sales_transactions,
    standardize_customer_data,
)
from database import Access, DatabaseManager
from errors import LoadingError, WarehouseInUseError
from odbc_strings import joined, parse
from resilience import is_data_error, is_transient
from star_schema import STAR_TABLES
from warehouse import schema_script

pytestmark = pytest.mark.usefixtures("sql_server")

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "input"
Tables = dict[str, list[dict[str, Any]]]


def project_in(folder: Path, **settings: str) -> Project:
    project = Project(folder, LOG_LEVEL="CRITICAL", RETRY_BACKOFF_FACTOR="0", **settings)
    shutil.copytree(SAMPLE, project.input, dirs_exist_ok=True)
    return project


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
def database(sql_server: Engine) -> str:
    return sql_server.new_database()


def assert_balanced(project: Project) -> None:
    assert not project.query(
        "SELECT * FROM etl_load WHERE rows_read <> rows_inserted + rows_updated + rows_unchanged"
        " + rows_rejected + rows_duplicate"
    )
    for table in STAR_TABLES:
        audited = project.query(
            "SELECT sum(rows_inserted + rows_inferred - rows_removed) FROM etl_load"
            f" WHERE table_name = '{table.name}'"
        )
        assert audited == project.query(f"SELECT count(*) FROM {table.name}"), table.name


def staged_rows(project: Project) -> int:
    return sum(
        count
        for table in STAR_TABLES
        for name in (f"stage_{table.name}", f"rejected_{table.name}")
        for ((count,),) in [project.query(f"SELECT count(*) FROM {name}")]
    )


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
    for counts in summary["tables"].values():
        staged = counts["rows_read"] - counts["rows_rejected"] - counts["rows_duplicate"]
        assert counts["batches"] >= -(-staged // batch_rows)
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
    """Sends the project's connection through the proxy, unencrypted so that it can be read."""
    pairs = [
        pair
        for pair in parse(project.settings["DB_CONNECTION_STRING"])
        if pair[0].lower() not in ("server", "encrypt")
    ]
    server = ("Server", f"127.0.0.1,{proxy.port}")
    project.settings["DB_CONNECTION_STRING"] = joined((server, ("Encrypt", "no"), *pairs))


def address_of(project: Project) -> tuple[str, int]:
    (server,) = [
        value
        for name, value in parse(project.settings["DB_CONNECTION_STRING"])
        if name.lower() == "server"
    ]
    host, _, port = server.partition(",")
    return host, int(port or 1433)


@pytest.mark.parametrize("verdict", [BEFORE, AFTER])
@pytest.mark.parametrize("number", [2, 4, 6, 9, 13])
def test_a_commit_whose_connection_is_cut_is_neither_lost_nor_done_twice(
    project: Project, undisturbed: Tables, number: int, verdict: str
) -> None:
    direct = dict(project.settings)
    project.settings["BATCH_SIZE"] = "60"
    with Proxy(address_of(project), Plan(at_commit=number, verdict=verdict)) as proxy:
        behind(project, proxy)
        summary = project.run()
        assert proxy.told()[0] == "cut"
    project.settings |= direct
    assert summary["exit_code"] == 0
    assert project.tables() == undisturbed
    assert_balanced(project)


@pytest.mark.parametrize("verdict", [BEFORE, AFTER])
@pytest.mark.parametrize("number", [3, 8])
def test_a_full_refresh_whose_connection_is_cut_is_done_once_as_well(
    project: Project, undisturbed: Tables, number: int, verdict: str
) -> None:
    direct = dict(project.settings)
    with Proxy(address_of(project), Plan(at_commit=number, verdict=verdict)) as proxy:
        behind(project, proxy)
        summary = project.run("--full-refresh")
        assert proxy.told()[0] == "cut"
    project.settings |= direct
    assert summary["exit_code"] == 0
    assert project.tables() == undisturbed
    assert_balanced(project)


@pytest.fixture(scope="module")
def messages(sql_server: Engine, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many messages an undisturbed run sends to the server."""
    project = project_in(tmp_path_factory.mktemp("measured"), BATCH_SIZE="60")
    with Proxy(address_of(project), Plan()) as proxy:
        behind(project, proxy)
        assert project.run()["exit_code"] == 0
        return int(proxy.told()[-1])


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_where_the_server_stays_away_the_next_run_makes_up_for_it(
    project: Project, undisturbed: Tables, messages: int, share: float
) -> None:
    direct = dict(project.settings)
    project.settings |= {"BATCH_SIZE": "60", "MAX_RETRIES": "1"}
    plan = Plan(at_message=int(messages * share), for_good=True)
    with Proxy(address_of(project), plan) as proxy:
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


# --- the lock ------------------------------------------------------------------------------


def test_of_two_runs_at_once_one_loads_and_the_other_ends_with_code_4(
    project: Project, undisturbed: Tables
) -> None:
    both = [start(project), start(project)]
    results = [ended(process) for process in both]
    assert sorted(result.returncode for result in results) == [0, 4]
    (loser,) = [result for result in results if result.returncode == 4]
    assert "in use by another run" in loser.stderr
    assert project.tables() == undisturbed
    assert len(project.query("SELECT run_id FROM etl_run")) == 1


def test_a_run_waits_for_the_other_when_it_is_told_to(database: str) -> None:
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


def test_it_waits_no_longer_than_it_is_told_to(database: str) -> None:
    waits: list[float] = []
    access = Access(lock_wait_s=2.5)
    with DatabaseManager(database), pytest.raises(WarehouseInUseError):
        DatabaseManager(database, access=access, sleep=waits.append).__enter__()
    assert waits == [1.0, 1.0, 0.5]


def test_whoever_only_reads_keeps_nobody_out(database: str) -> None:
    with DatabaseManager(database), DatabaseManager(database, access=Access(read_only=True)) as db:
        assert db.value("SELECT 42") == 42


def test_a_run_that_has_lost_the_lock_to_another_one_ends_with_code_4(project: Project) -> None:
    direct = project.settings["DB_CONNECTION_STRING"]
    # until the other one has it
    project.settings |= {"MAX_RETRIES": "10000", "BREAKER_FAILURE_THRESHOLD": "20000"}
    others: list[DatabaseManager] = []

    def seize(proxy: Proxy) -> None:
        assert proxy.next_word() == "cut"
        others.append(DatabaseManager(direct, access=Access(lock_wait_s=60)).__enter__())
        proxy.allow()

    with Proxy(address_of(project), Plan(at_commit=4, for_good=True)) as proxy:
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
    project.settings["BATCH_SIZE"] = "60"
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
        db.execute("ALTER TABLE customer_dim ADD CONSTRAINT none CHECK (is_inferred = 1)")
    summary = project.run()
    assert summary["exit_code"] == 3
    held = summary["sources"][0]
    assert "refuses too many records" in held["error"]
    assert summary["sources"][2]["status"] == "loaded"


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
def test_texts_that_a_collation_may_take_for_equal_are_told_apart(
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


def test_a_row_that_does_not_fit_is_the_fault_of_the_data(db: DatabaseManager) -> None:
    db.execute("CREATE TABLE small (k INT PRIMARY KEY, t NVARCHAR(3))")
    db.execute("INSERT INTO small VALUES (1, N'abc')")
    for statement in (
        "INSERT INTO small VALUES (1, N'x')",
        "INSERT INTO small VALUES (2, N'abcd')",
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

PASSWORD = "Only-for-tests-1!"  # noqa: S105  # of a login that lasts as long as a test


@pytest.fixture
def login(project: Project) -> Iterator[str]:
    """A login with a user in the project's database and no rights."""
    name = "etl_" + dict(parse(project.connection_string))["Database"]
    admin = project.connection_string
    with DatabaseManager(admin) as db:
        db.execute(f"CREATE LOGIN {name} WITH PASSWORD = '{PASSWORD}'")
        db.execute(f"CREATE USER {name} FOR LOGIN {name}")
    yield name
    with DatabaseManager(admin, access=Access(lock_wait_s=30)) as db:
        db.execute(f"DROP USER {name}")
        db.execute(f"DROP LOGIN {name}")


def test_a_login_that_may_create_nothing_loads_what_a_dba_has_prepared(
    project: Project, undisturbed: Tables, login: str
) -> None:
    prepare(project, login)
    as_login(project, login)
    with DatabaseManager(project.connection_string) as db, pytest.raises(LoadingError):
        db.execute("CREATE TABLE not_allowed (n INT)")
    assert project.run()["exit_code"] == 0
    assert project.run("--full-refresh")["exit_code"] == 0
    assert project.tables() == undisturbed


def test_a_login_that_may_not_create_what_is_missing_is_told_what_a_dba_can_do(
    project: Project, login: str
) -> None:
    as_login(project, login)
    with pytest.raises(LoadingError, match=r"customer_dim.*--print-schema"):
        project.run()


def as_login(project: Project, login: str) -> None:
    pairs = [
        pair for pair in parse(project.connection_string) if pair[0].lower() not in ("uid", "pwd")
    ]
    project.settings["DB_CONNECTION_STRING"] = joined((*pairs, ("UID", login), ("PWD", PASSWORD)))


def prepare(project: Project, login: str) -> None:
    """What a DBA does: the printed script, and the role for the login."""
    with DatabaseManager(project.connection_string) as db:
        db.execute(schema_script(project.connection_string))
        db.execute(f"ALTER ROLE etl_loader ADD MEMBER {login}")


# --- sales from a server -------------------------------------------------------------------

SHOP = """CREATE TABLE sales_transactions (transaction_id VARCHAR(20), customer_id NVARCHAR(20),
    product_id CHAR(8), quantity INT, unit_price DECIMAL(12, 2), discount_amount MONEY,
    transaction_date DATETIME2(7), sales_rep_id NVARCHAR(20), status NVARCHAR(20))"""

SOLD = [
    ("T1", "C1", "P1", 2, Decimal("9.99"), None, datetime(2024, 1, 20), "漢字", "completed"),
    ("T2", "C1", "P1", 1, Decimal("9.99"), Decimal("0.99"),
     datetime(2024, 1, 20, 23, 59, 59, 999999), None, "completed  "),
    ("T3", "C1", "P1", 1, Decimal("9.99"), None, datetime(2024, 1, 21), None, "completed"),
    ("T4", "C1", "P1", 1, Decimal("9.99"), None, datetime(2024, 1, 20, 8), None, "Completed"),
    ("T5", "C1", "P1", 1, Decimal("9.99"), None, datetime(2024, 1, 20, 8), None, "pending"),
    ("T6", "C1", "P1", 1, Decimal("9.99"), None,
     datetime(2024, 1, 19, 23, 59, 59, 999999), None, "completed"),
]  # fmt: skip


@pytest.mark.parametrize("chunk_rows", [1, 4, 1000])
def test_sales_are_read_from_a_server_to_the_last_instant_of_a_day(
    project: Project, sql_server: Engine, chunk_rows: int
) -> None:
    shop = sql_server.new_database()
    with DatabaseManager(shop) as db:
        db.execute(SHOP)
        db.execute_batch(f"INSERT INTO sales_transactions VALUES ({', '.join('?' * 9)})", SOLD)
    project.settings |= {"SALES_DB_CONNECTION_STRING": shop, "CHUNK_ROWS": str(chunk_rows)}
    assert project.run("--date", "2024-01-20")["exit_code"] == 0
    query = "SELECT transaction_id, total_amount, sales_rep_id, transaction_date FROM sales_fact"
    assert sorted(project.query(query)) == [
        ("T1", Decimal("19.98"), "漢字", SOLD[0][6]),
        ("T2", Decimal("9.00"), None, SOLD[1][6]),
    ]
    project.run()
    assert project.query("SELECT count(*) FROM sales_fact") == [(4,)]


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


def test_the_driver_is_one_of_microsofts(database: str) -> None:
    connection = odbc_connections.connect(database)
    assert "msodbcsql" in odbc_connections.driver_in_use(connection).lower()
    connection.close()
    assert SQL_SERVER.is_server

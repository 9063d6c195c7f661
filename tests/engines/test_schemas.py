"""Tables in schemas that are set: all of them and no others, with rights, beside other sets."""

import os
from pathlib import Path

import pytest
from engines import DUCKDB, Server, using
from pipeline_runs import Project
from server_projects import Tables, project_in

from etl.engines.database import DatabaseManager
from etl.engines.engine import Access
from etl.engines.registry import engine_of
from etl.engines.schemas import Schemas
from etl.errors import LoadingError, WarehouseInUseError
from etl.monitoring.health.report import pipeline_health_check
from etl.schema.star import STAR_TABLES
from etl.warehouse.tables import create_tables, permanent_tables, schema_script

HERE, BESIDE = "etl_dw", "etl_work"
_WHERE = """SELECT TABLE_SCHEMA, TABLE_NAME FROM INFORMATION_SCHEMA.TABLES
WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA
    NOT IN ('pg_catalog', 'information_schema', 'sys')"""
ORDERS = """[loads.orders]
source = {{ path = "orders.csv" }}
table = "{table}"
key = ["order_id"]
columns = {{ order_id = "text(20)", amount = "decimal(12, 2)" }}
"""


def in_schemas(folder: Path, server: Server, **settings: str) -> Project:
    project = project_in(folder, **settings)
    project.settings |= {"DB_SCHEMA": HERE, "DB_CONNECTION_STRING": server.database_alone()}
    return project


@pytest.fixture
def project(tmp_path: Path, server: Server) -> Project:
    return in_schemas(tmp_path / "project", server)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    with using(DUCKDB):
        project = project_in(tmp_path_factory.mktemp("undisturbed"))
        project.run()
        return project.tables()


def places(project: Project) -> dict[str, str]:
    """The schema of each table of the database."""
    return {table: schema for schema, table in project.query(_WHERE)}


def rows(project: Project, undisturbed: Tables) -> Tables:
    """What the tables of the schema hold, as `Project.tables` has it."""
    found = {}
    for table in STAR_TABLES:
        columns = list(undisturbed[table.name][0])
        names = ", ".join(f'"{column}"' for column in columns)
        query = f'SELECT {names} FROM "{HERE}"."{table.name}" ORDER BY "{table.key[0]}"'
        found[table.name] = [dict(zip(columns, row, strict=True)) for row in project.query(query)]
    return found


def test_everything_lies_in_the_schema_that_is_set(project: Project, undisturbed: Tables) -> None:
    """The login's own schema has a table in the way, which no statement may find."""
    with DatabaseManager(project.connection_string) as db:
        db.execute("CREATE TABLE sales_fact (something_else INT)")
    project.settings["DB_STAGING_SCHEMA"] = BESIDE
    assert project.run()["exit_code"] == 0
    assert rows(project, undisturbed) == undisturbed
    again = project.run("--full-refresh")
    changed = [c["rows_inserted"] + c["rows_updated"] for c in again["tables"].values()]
    assert (again["exit_code"], changed) == (0, [0, 0, 0])
    project.run("--dry-run")
    found = places(project)
    staging = {name for name in found if name.startswith(("stage_", "rejected_"))}
    dialect = engine_of(project.connection_string).dialect
    wanted = {table.name for table in permanent_tables(dialect)}
    ours = {name for name in wanted if found.get(name) in (HERE, BESIDE)}
    assert ours | {"sales_fact"} == wanted
    assert {found[name] for name in staging} == {BESIDE}
    assert {found[name] for name in ours - staging - {"sales_fact"}} == {HERE}
    assert len(project.query(f'SELECT * FROM "{HERE}"."sales_enriched"')) == len(
        undisturbed["sales_fact"]
    )


def test_a_declared_load_has_a_schema_of_its_own_or_that_of_all(
    project: Project, tmp_path: Path
) -> None:
    (project.input / "orders.csv").write_text("order_id,amount\nA,1.50\nB,2\n")
    project.settings["PIPELINE_FILE"] = str(tmp_path / "pipeline.toml")
    for table in ("orders", "shop.orders"):
        (tmp_path / "pipeline.toml").write_text(ORDERS.format(table=table))
        loaded = project.run()
        assert loaded["exit_code"] == 0
        assert loaded["tables"][table]["rows_inserted"] == 2
        assert project.run()["tables"][table]["rows_unchanged"] == 2
    for schema in (HERE, "shop"):
        assert project.query(f"SELECT count(*) FROM {schema}.orders") == [(2,)]


MARTS = ("daily_revenue", "monthly_active_customers", "customer_value", "cohorts",
         "product_performance", "sales_wide")  # fmt: skip


def test_marts_lie_in_the_schema_that_is_set_and_read_from_it(
    project: Project, tmp_path: Path
) -> None:
    """The login's own schema has tables in the way; the second run builds what was touched."""
    with DatabaseManager(project.connection_string) as db:
        for name in ("sales_fact", "daily_revenue", "etl_touched"):
            db.execute(f"CREATE TABLE {name} (something_else INT)")
    with using(DUCKDB):
        embedded = project_in(tmp_path / "embedded")
    for each in (project, embedded):
        each.settings["MARTS"] = "yes"
        each.run()
        sales = each.input / "sales_transactions.csv"
        sales.write_text(sales.read_text("utf-8").replace(",completed", ",cancelled", 1), "utf-8")
        customers = each.input / "customers.csv"
        customers.write_text(customers.read_text("utf-8").replace("C002", "C902"), "utf-8")
        assert {mart["status"] for mart in each.run("--full-refresh")["marts"]} == {"built"}
        customers.write_text(customers.read_text("utf-8").replace("C902", "C002"), "utf-8")
        assert "updated" in {mart["status"] for mart in each.run()["marts"]}
    found = places(project)
    in_the_way = {"sales_fact", "daily_revenue", "etl_touched"}
    assert {found[name] for name in {*MARTS, "etl_mart"} - in_the_way} == {HERE}
    for name in MARTS:
        counted = embedded.query(f"SELECT count(*) FROM {name}")
        assert project.query(f'SELECT count(*) FROM "{HERE}"."{name}"') == counted
    revenue = 'SELECT "day", "revenue", "orders" FROM {} ORDER BY "day"'
    assert project.query(revenue.format(f'"{HERE}"."daily_revenue"')) == embedded.query(
        revenue.format("daily_revenue")
    )


def test_what_is_printed_gives_a_login_all_that_a_run_needs(
    project: Project, server: Server
) -> None:
    admin, name = project.connection_string, f"etl_in_schema_{os.getpid()}"
    schemas = Schemas(HERE, BESIDE)
    project.settings["DB_STAGING_SCHEMA"] = BESIDE
    with DatabaseManager(admin) as db:
        for _ in range(2):  # it may be run again
            db.execute(schema_script(admin, schemas=schemas))
    project.settings["DB_CONNECTION_STRING"] = server.create_login(admin, name)
    try:
        with DatabaseManager(admin) as db:
            db.execute(server.let_load(name))
        assert [project.run(*args)["exit_code"] for args in ((), ("--full-refresh",))] == [0, 0]
        found = pipeline_health_check(project.config())
        checks = {check["name"]: check["status"] for check in found["checks"]}
        assert (checks["tables"], checks["permissions"]) == ("passed", "passed")
    finally:
        server.drop_login(admin, name)


def test_a_set_in_another_schema_is_named_and_no_second_one_is_made(project: Project) -> None:
    project.run()
    project.settings["DB_SCHEMA"] = "another"
    with pytest.raises(LoadingError, match=f"in schema another, and there are some in {HERE}"):
        project.run()
    assert "another" not in set(places(project).values())
    with DatabaseManager(project.connection_string) as db:  # a second warehouse, if that is meant
        db.execute(schema_script(project.connection_string, schemas=Schemas("another")))
    assert project.run()["tables"]["sales_fact"]["rows_inserted"] == 327
    assert project.query("SELECT count(*) FROM another.sales_fact") == [(327,)]


def test_two_runs_in_one_schema_keep_each_other_out(server: Server) -> None:
    access = Access(schemas=Schemas(HERE))
    connection = server.database_alone()
    with DatabaseManager(connection, access=access) as db:
        with pytest.raises(WarehouseInUseError):
            DatabaseManager(connection, access=access).__enter__()
        create_tables(db)
    with DatabaseManager(connection, access=access), pytest.raises(WarehouseInUseError):
        DatabaseManager(connection, access=access).__enter__()  # now that the schema is there


def test_an_embedded_warehouse_needs_no_schema(tmp_path: Path) -> None:
    with using(DUCKDB):
        project = project_in(tmp_path / "project", DB_SCHEMA=HERE)
    assert project.run()["exit_code"] == 0
    assert project.query("SELECT count(*) FROM sales_fact") == [(327,)]

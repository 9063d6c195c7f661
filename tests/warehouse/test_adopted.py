"""Tables that a DBA has made: what is loaded, and what is named beforehand with its correction."""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from engines import DUCKDB, Engine, using
from pipeline_runs import Project
from server_projects import Tables, project_in

from data_loading import load_customers
from etl.engines import ddl
from etl.engines.database import DatabaseManager
from etl.engines.dialect import sql_type
from etl.engines.sql_server_dialect import SQL_SERVER
from etl.errors import LoadingError
from etl.monitoring.health.adopted import of_feature
from etl.monitoring.health.report import pipeline_health_check
from etl.schema.star import CUSTOMER_DIM, PRODUCT_DIM, SALES_FACT, STAR_TABLES
from etl.warehouse.code_pages import CodePage
from etl.warehouse.tables import create_tables, schema_differences

# By table and column, the line of the DBA in place of ours; other names are added.
Lines = Mapping[tuple[str, str], str]


def make_tables(db: DatabaseManager, lines: Lines) -> None:
    """Makes the tables of the star as a DBA has them."""
    for table in STAR_TABLES:
        text = ddl.create_table(db.dialect, table)
        for (name, column), line in lines.items():
            if name != table.name:
                continue
            pattern = rf'(?m)^    "{column}" .*?(?=,?$)'
            text, replaced = re.subn(pattern, f"    {line}", text)
            if not replaced:
                text = text.replace(" (\n", f" (\n    {line},\n", 1)
        db.execute(text)


@pytest.fixture
def db(server: Engine) -> Iterator[DatabaseManager]:
    with DatabaseManager(server.new_database()) as manager:
        yield manager


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    with using(DUCKDB):
        project = project_in(tmp_path_factory.mktemp("embedded"))
        project.run()
        return project.tables()


def adopted(report: Mapping[str, Any], *names: str) -> list[dict[str, Any]]:
    return [check for check in report["checks"] if check["name"] in names]


# --- what works ------------------------------------------------------------------------------

WIDER: dict[str, Lines] = {
    "SQL Server": {
        ("customer_dim", "surrogate"): '"surrogate" INT IDENTITY NOT NULL',
        ("customer_dim", "phone"): '"phone" NVARCHAR(200) COLLATE Latin1_General_CI_AS NULL',
        ("customer_dim", "address"): '"address" NVARCHAR(MAX) NULL',
        ("customer_dim", "email"): '"email" VARCHAR(400) NULL',
        ("product_dim", "quantity"): '"quantity" BIGINT NULL',
        ("product_dim", "price"): '"price" DECIMAL(38, 6) NULL',
        ("product_dim", "doubled"): '"doubled" AS ("cost" * 2) PERSISTED',
        ("sales_fact", "total_amount"): '"total_amount" DECIMAL(24, 4) NOT NULL',
        ("sales_fact", "profit_margin"): '"profit_margin" DECIMAL(18, 9) NULL',
        ("sales_fact", "loaded_by"): '"loaded_by" NVARCHAR(30) DEFAULT N\'etl\' NOT NULL',
    },
    "PostgreSQL": {
        ("customer_dim", "surrogate"): '"surrogate" INT GENERATED ALWAYS AS IDENTITY',
        ("customer_dim", "phone"): '"phone" TEXT NULL',
        ("customer_dim", "address"): '"address" VARCHAR NULL',
        ("product_dim", "quantity"): '"quantity" BIGINT NULL',
        ("product_dim", "price"): '"price" DECIMAL(38, 6) NULL',
        ("product_dim", "cost"): '"cost" NUMERIC NULL',
        ("product_dim", "doubled"):
            '"doubled" DECIMAL(20, 2) GENERATED ALWAYS AS ("cost" * 2) STORED',
        ("sales_fact", "total_amount"): '"total_amount" DECIMAL(24, 4) NOT NULL',
        ("sales_fact", "profit_margin"): '"profit_margin" DECIMAL(18, 9) NULL',
        ("sales_fact", "loaded_by"): '"loaded_by" VARCHAR(30) DEFAULT \'etl\' NOT NULL',
    },
}  # fmt: skip


@pytest.mark.usefixtures("server")
def test_wider_types_and_columns_that_fill_themselves_are_loaded(
    tmp_path: Path, embedded: Tables
) -> None:
    project = project_in(tmp_path / "project")
    with DatabaseManager(project.connection_string) as db:
        make_tables(db, WIDER[db.dialect.name])
    assert project.run()["exit_code"] == 0
    assert project.tables() == embedded
    again = project.run("--full-refresh")["tables"]
    for counts in again.values():
        assert not counts["rows_inserted"] + counts["rows_updated"] + counts["rows_restated"]
    assert project.query("SELECT count(DISTINCT surrogate) FROM customer_dim") == [
        (len(embedded["customer_dim"]),)
    ]
    report = pipeline_health_check(project.config())
    assert report["exit_code"] == 0, report


@pytest.mark.usefixtures("sql_server")
def test_a_record_with_letters_that_a_column_does_not_hold_is_rejected(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", MAX_REJECT_RATE="1")
    lines = {
        ("customer_dim", "address"): '"address" VARCHAR(500) NULL',
        ("customer_dim", "phone"): '"phone" VARCHAR(50) COLLATE Cyrillic_General_CI_AS NULL',
    }
    with DatabaseManager(project.connection_string) as db:
        make_tables(db, lines)
    rows = [("C1", "Zoë's €"), ("C2", "漢字"), ("C3", None), ("C4", "Mill Ж")]
    project.write(customers=[{"customer_id": key, "address": text} for key, text in rows])
    assert project.run()["tables"]["customer_dim"]["rows_rejected"] == 2
    kept = "SELECT customer_id, address FROM customer_dim ORDER BY customer_id"
    assert project.query(kept) == [rows[0], rows[2]]
    refused = project.rejected("customers")
    assert [row["record_key"] for row in refused] == ["C2", "C4"]
    assert "address has letters that its column (cp1252 in 500 bytes)" in refused[0]["reason"]
    assert project.run("--full-refresh")["tables"]["customer_dim"]["rows_unchanged"] == 2
    warned = adopted(pipeline_health_check(project.config()), "schema")
    assert [check["status"] for check in warned] == ["warning", "warning"]
    assert 'ALTER TABLE "customer_dim" ALTER COLUMN "address" NVARCHAR(500) NULL;' in str(warned)


@pytest.mark.parametrize(
    ("text", "lacks"), [("é€", False), ("ж", True), ("\x81", True), ("Zoë", False), ("", False)]
)
def test_letters_are_those_of_the_code_page(text: str, lacks: bool) -> None:
    assert CodePage("name", "cp1252", -1).lacks(text) == lacks


# --- what does not work ------------------------------------------------------------------------

NOT_HELD: dict[str, dict[tuple[str, str], tuple[str, str]]] = {
    "SQL Server": {
        ("customer_dim", "phone"): ('"phone" NVARCHAR(49) NULL', "nvarchar(49)"),
        ("customer_dim", "segment"): ('"segment" NCHAR(100) NULL', "nchar(100)"),
        ("customer_dim", "registration_date"): ('"registration_date" DATETIME NULL', "datetime"),
        ("product_dim", "price"): ('"price" MONEY NULL', "money"),
        ("product_dim", "cost"): ('"cost" FLOAT NULL', "float"),
        ("product_dim", "quantity"): ('"quantity" DECIMAL(9, 0) NULL', "decimal"),
        ("sales_fact", "transaction_date"): ('"transaction_date" DATETIME2(3) NOT NULL',
                                             "datetime2(3)"),
        ("sales_fact", "sales_rep_id"): ('"sales_rep_id" UNIQUEIDENTIFIER NULL',
                                         "uniqueidentifier"),
        ("sales_fact", "commission"): ('"commission" DECIMAL(18, 1) NULL', "decimal(18, 1)"),
        ("sales_fact", "profit_amount"): ('"profit_amount" AS ("quantity" * 2) PERSISTED',
                                          "computed"),
    },
    "PostgreSQL": {
        ("customer_dim", "phone"): ('"phone" VARCHAR(49) NULL', "character varying(49)"),
        ("customer_dim", "segment"): ('"segment" CHAR(100) NULL', "character(100)"),
        ("product_dim", "price"): ('"price" REAL NULL', "real"),
        ("sales_fact", "transaction_date"): ('"transaction_date" TIMESTAMP(3) NOT NULL',
                                             "timestamp without time zone(3)"),
        ("sales_fact", "commission"): ('"commission" DECIMAL(18, 1) NULL', "numeric(18, 1)"),
        ("sales_fact", "profit_amount"): (
            '"profit_amount" DECIMAL(18, 2) GENERATED ALWAYS AS ("quantity" * 2) STORED',
            "computed"),
    },
}  # fmt: skip


def test_what_a_column_does_not_hold_is_named_with_the_statement_that_corrects_it(
    db: DatabaseManager,
) -> None:
    wrong = NOT_HELD[db.dialect.name]
    make_tables(db, {place: line for place, (line, _) in wrong.items()})
    problems = schema_differences(db).problems
    assert len(problems) == len(wrong), problems
    for (table, column), (_, words) in wrong.items():
        (problem,) = [p for p in problems if p.startswith(f"{table}.{column} ")]
        assert words in problem
        assert f'ALTER TABLE "{table}" ' in problem
    with pytest.raises(LoadingError, match="ALTER TABLE"):
        load_customers([{"customer_id": "C1"}], db)
    for problem in problems:
        db.execute(corrected(db, problem))
    create_tables(db)
    assert schema_differences(db).problems == ()
    assert load_customers([{"customer_id": "C1"}], db)["inserted"] == 1


def corrected(db: DatabaseManager, problem: str) -> str:
    """The statement that a problem names; the test server knows no NULL in it."""
    found = re.search(r"ALTER TABLE [^;]+;", problem)
    assert found, problem
    dialect = "tsql" if db.dialect is SQL_SERVER else "postgres"
    sqlglot.parse_one(found[0], read=dialect)
    return re.sub(r"( NOT)? NULL;$", ";", found[0])


def test_a_key_of_another_collation_is_named_with_what_holds_it(sql_server: Engine) -> None:
    name = CUSTOMER_DIM.key[0]
    with DatabaseManager(sql_server.new_database()) as db:
        make_tables(db, {
            ("customer_dim", name):
                f'"{name}" NVARCHAR(50) COLLATE Latin1_General_CI_AS NOT NULL',
            ("product_dim", "product_id"): '"product_id" VARCHAR(50) NOT NULL',
        })  # fmt: skip
        first, second = schema_differences(db).problems
    assert "COLLATE Latin1_General_100_BIN2 is needed" in first
    assert "ci_as" in first.lower()
    assert "drop " in first
    assert "pk_customer_dim" in first
    assert "product_dim.product_id is varchar(50)" in second


def test_a_key_of_another_collation_is_named_on_postgresql_too(postgresql: Engine) -> None:
    with DatabaseManager(postgresql.new_database()) as db:
        make_tables(db, {
            ("customer_dim", "customer_id"): '"customer_id" VARCHAR(50) COLLATE ucs_basic NOT NULL',
            ("product_dim", "product_id"): '"product_id" VARCHAR(50) NOT NULL',
        })  # fmt: skip
        (problem,) = schema_differences(db).problems
    assert problem.startswith("customer_dim.customer_id is character varying(50) COLLATE ucs_basic")
    assert 'ALTER COLUMN "customer_id" TYPE VARCHAR(50) COLLATE "C";' in problem


def test_values_that_must_be_there_for_the_dba_are_warned_of(db: DatabaseManager) -> None:
    wide = sql_type(db.dialect, CUSTOMER_DIM.column("email"))
    make_tables(db, {
        ("customer_dim", "email"): f'"email" {wide} NOT NULL',
        ("product_dim", "quantity"): '"quantity" SMALLINT NULL',
    })  # fmt: skip
    found = schema_differences(db)
    assert found.problems == ()
    assert re.search(r"customer_dim.email must not be empty.*ALTER", found.warnings[0])
    assert re.search(r"quantity is smallint.*32,767.*ALTER", found.warnings[1])


# --- features of tables --------------------------------------------------------------------------


def features(project: Project) -> dict[str, tuple[str, str]]:
    report = pipeline_health_check(project.config())
    return {
        check["value"]: (check["status"], check["message"])
        for check in adopted(report, "adopted table")
    }


@pytest.mark.usefixtures("sql_server")
def test_what_does_not_reach_a_table_and_a_key_without_an_index_are_named(tmp_path: Path) -> None:
    project = project_in(tmp_path / "project")
    with DatabaseManager(project.connection_string) as db:
        create_tables(db)
        db.execute("CREATE TRIGGER nowhere ON product_dim INSTEAD OF INSERT AS BEGIN RETURN END")
        db.execute("ALTER TABLE sales_fact DROP CONSTRAINT pk_sales_fact")
        db.execute(
            "CREATE TABLE basket (product_id NVARCHAR(50) COLLATE Latin1_General_100_BIN2 "
            "REFERENCES product_dim (product_id) ON DELETE CASCADE)"
        )
    found = features(project)
    assert found["INSTEAD OF trigger"][0] == "failed"
    assert found["cascading foreign key"][0] == "warning"
    assert 'DISABLE TRIGGER "nowhere" ON "product_dim";' in found["INSTEAD OF trigger"][1]
    assert 'ON "sales_fact" ("transaction_id");' in found["no unique key"][1]
    with DatabaseManager(project.connection_string) as db:
        created = re.search(r"CREATE UNIQUE INDEX .*;", found["no unique key"][1])
        assert created
        db.execute(created[0])
    assert "no unique key" not in features(project)


@pytest.mark.parametrize(
    ("feature", "status", "words"),
    [
        ("temporal", "passed", "adds a row to its history"),
        ("columnstore", "passed", "delta store"),
        ("partitioned", "passed", "primary key"),
        ("filtered unique index", "warning", "error 2601"),
        ("indexed view", "warning", "DBCC CHECKDB"),
        ("cascading foreign key", "warning", "NO ACTION"),
        ("memory-optimized", "failed", "MEMORY_OPTIMIZED"),
    ],
)
def test_features_that_only_sql_server_has_are_judged(
    feature: str, status: str, words: str
) -> None:
    check = of_feature("customer_dim", feature, "it")
    assert (check.status, check.value) == (status, feature)
    assert words in check.message


def test_beside_merge_alone_is_of_no_matter_without_it() -> None:
    for feature in ("filtered unique index", "indexed view"):
        assert "SQL_SERVER_UPSERT=update-insert" in of_feature("t", feature, "it").message
        assert of_feature("t", feature, "it", merges=False).status == "passed"


def test_each_query_of_the_catalog_is_t_sql() -> None:
    adopts = SQL_SERVER.adopts
    for query in (adopts.supplied, adopts.code_pages, adopts.dependents, adopts.features,
                  adopts.unique_keys):  # fmt: skip
        sqlglot.parse_one(query, read="tsql", error_level=sqlglot.ErrorLevel.RAISE)


@pytest.mark.usefixtures("server")
def test_tables_of_ours_have_no_feature_to_speak_of(tmp_path: Path) -> None:
    project = project_in(tmp_path / "project")
    with DatabaseManager(project.connection_string) as db:
        create_tables(db)
    assert features(project) == {}


def test_a_partitioned_table_is_loaded(tmp_path: Path, embedded: Tables, server: Engine) -> None:
    project = project_in(tmp_path / "project")
    with DatabaseManager(project.connection_string) as db:
        if db.dialect is SQL_SERVER:
            db.execute(
                "CREATE PARTITION FUNCTION by_key (NVARCHAR(50)) AS RANGE RIGHT FOR VALUES"
                " (N'T00100')"
            )
            db.execute("CREATE PARTITION SCHEME parts AS PARTITION by_key ALL TO ([PRIMARY])")
            parted = ') ON parts ("transaction_id");'
        else:
            parted = ") PARTITION BY HASH (transaction_id);"
        for table in (CUSTOMER_DIM, PRODUCT_DIM):
            db.execute(ddl.create_table(db.dialect, table))
        text = ddl.create_table(db.dialect, SALES_FACT)
        text = re.sub(r'(?ms),\n    CONSTRAINT "pk_.*?\n\);', f"\n{parted}", text)
        db.execute(text)
        if db.dialect is not SQL_SERVER:
            for number in range(2):
                db.execute(
                    f"CREATE TABLE sales_{number} PARTITION OF sales_fact FOR VALUES WITH"
                    f" (MODULUS 2, REMAINDER {number})"
                )
    assert project.run()["exit_code"] == 0
    assert project.tables() == embedded
    found = features(project)
    assert found["no unique key"][0] == "warning"
    if server.name == "PostgreSQL":
        assert found["partitioned"][0] == "passed"


@pytest.mark.usefixtures("sql_server")
def test_declared_loads_take_columns_of_a_code_page_and_leave_out_what_fills_itself(
    tmp_path: Path,
) -> None:
    project = Project(tmp_path / "project")
    with DatabaseManager(project.connection_string) as db:
        db.execute(
            "CREATE TABLE dbo.orders (number INT IDENTITY NOT NULL, id VARCHAR(20) NOT NULL"
            " PRIMARY KEY, note VARCHAR(20), amount DECIMAL(9, 3), at DATETIME2(6))"
        )
    (project.input / "orders.csv").write_text(
        "id,note,amount,at\nA,plain,1.5,2024-01-20 10:00:00\nB,漢字,2.25,\n", encoding="utf-8"
    )
    (project.folder / "pipeline.toml").write_text(
        '[loads.orders]\nsource = { path = "orders.csv" }\ntable = "dbo.orders"\n'
        "guards = { max_reject_rate = 1 }\n"
    )
    project.run("--only", "orders")
    assert project.query("SELECT number, id, note, amount, at FROM dbo.orders") == [
        (1, "A", "plain", Decimal("1.500"), datetime(2024, 1, 20, 10))
    ]

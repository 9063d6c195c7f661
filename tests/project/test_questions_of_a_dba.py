"""What docs/sql-server.md answers a DBA: its queries run, its way out leaves nothing."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from engines import Engine

from etl.engines import adoption, ddl, sql_server
from etl.engines.database import DatabaseManager
from etl.engines.sql_server_dialect import SQL_SERVER
from etl.errors import LoadingError
from etl.history.audit_rows import write_row
from etl.schema.audit import ETL_MART, MART_TABLES
from etl.warehouse.tables import create_tables, permanent_tables

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "sql-server.md").read_text(encoding="utf-8")
ANSWERS = re.split(r"^## ", PAGE, flags=re.MULTILINE)[
    [part.split("\n")[0] for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)].index(
        "What a DBA asks before production"
    )
]
BLOCKS = re.findall(r"^```sql\n(.*?)^```", ANSWERS, re.MULTILINE | re.DOTALL)
QUERIES = [block for block in BLOCKS if block.startswith("SELECT")]

# What the relative of SQL Server on which this runs here does not have.
BABELFISH_LACKS = (
    "dm_db_log_space_usage", "dm_db_session_space_usage", "dm_exec_query_stats",
    "dm_exec_requests", "dm_tran_locks", "dm_db_partition_stats",
)  # fmt: skip


@pytest.fixture(scope="module")
def db(sql_server: Engine) -> Iterator[DatabaseManager]:
    with DatabaseManager(sql_server.new_database()) as manager:
        create_tables(manager)
        for table in MART_TABLES:
            manager.execute(ddl.create_table(SQL_SERVER, table))
        yield manager


@pytest.mark.parametrize("query", QUERIES, ids=[" ".join(q.split()[1:5]) for q in QUERIES])
def test_a_query_runs(db: DatabaseManager, query: str) -> None:
    try:
        db.query(query)
    except LoadingError:
        lacking = [name for name in BABELFISH_LACKS if name in query]
        if "babelfish" not in str(db.value("SELECT @@VERSION")).lower() or not lacking:
            raise
        pytest.skip(f"Babelfish has no {lacking[0]}")


def test_nothing_is_left_after_what_removes_it(db: DatabaseManager) -> None:
    listings = [query for query in QUERIES if "DROP TABLE" in query]
    db.execute("CREATE TABLE somebody_elses (n INT)")
    db.execute("CREATE TABLE daily_revenue (n INT)")
    built = {"mart": "daily_revenue", "run_id": "", "definition": "", "watched": "{}", "rows": 0}
    write_row(db, ETL_MART, {**built, "built_at": datetime(2024, 1, 1)})
    statements = [statement for listing in listings for (statement,) in db.query(listing)]
    ours = (*permanent_tables(SQL_SERVER), *MART_TABLES)
    assert len(statements) == 1 + len(ours)
    before, after = (block for block in BLOCKS if block.startswith("DROP"))
    for statement in (before, *statements, after):
        db.execute(statement)
    assert db.table_names() == {"somebody_elses"}


# --- the oldest version -------------------------------------------------------------------------

# By the version that brought them: functions and syntax that no older one knows.
NEWER_THAN_2016 = re.compile(
    r"\b(STRING_AGG|TRIM|CONCAT_WS|TRANSLATE"  # 2017
    r"|APPROX_COUNT_DISTINCT"  # 2019
    r"|GREATEST|LEAST|DATETRUNC|DATE_BUCKET|GENERATE_SERIES|JSON_OBJECT|JSON_ARRAY|BIT_COUNT"
    r"|LEFT_SHIFT|RIGHT_SHIFT|IGNORE\s+NULLS|IS\s+(NOT\s+)?DISTINCT\s+FROM"
    r"|WINDOW\s+\w+\s+AS"  # 2022
    r"|REGEXP_\w+|UNISTR|CURRENT_DATE|JSON_OBJECTAGG|PRODUCT)\s*(\(|\b)",  # 2025
    re.IGNORECASE,
)


def texts() -> Iterator[tuple[str, str]]:
    for path in sorted((ROOT / "tests" / "warehouse" / "tsql").glob("*.sql")):
        yield path.name, path.read_text(encoding="utf-8")
    for module in (sql_server, adoption):
        for name, value in vars(module).items():
            if isinstance(value, str) and name.isupper() and "POSTGRESQL" not in name:
                yield f"{module.__name__}.{name}", value


def test_no_statement_is_newer_than_the_oldest_version_that_is_stated() -> None:
    assert "SQL Server 2019 or later" in ANSWERS
    assert "newer than 2016" in ANSWERS
    found = {name: match[0] for name, text in texts()
             if (match := NEWER_THAN_2016.search(re.sub(r"N?'[^']*'|--.*", "", text)))}  # fmt: skip
    assert found == {}
    assert NEWER_THAN_2016.search("SELECT a IS NOT DISTINCT FROM b, LEAST(1, 2)")

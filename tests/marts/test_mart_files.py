"""Files of marts that can and cannot be used, and what is said of them; no warehouse is needed."""

from pathlib import Path

import pytest

from etl.engines.duckdb import DUCKDB
from etl.engines.postgresql_dialect import POSTGRESQL
from etl.engines.sql_server_dialect import SQL_SERVER
from etl.marts.files import MartError, mart_paths, read_mart
from etl.marts.plan import MartPlan, plan_marts
from etl.schema.star import STAR_TABLES
from etl.schema.table import Column, Kind, Table


@pytest.fixture(autouse=True)
def without_the_programs(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Parse the files of the test alone, unless it asks for those of the program."""
    if "of_the_program" not in request.fixturenames:
        monkeypatch.setattr("etl.marts.files.MARTS", Path("/none"))


@pytest.fixture
def of_the_program() -> None:
    """The test has the marts of the program too."""


ORDERS = Table("shop.orders", "", ("id",), (Column("id", "", Kind.BIGINT, required=True),))


def planned(base: Path, **files: str) -> MartPlan:
    folder = base / "marts"
    folder.mkdir(exist_ok=True)
    for name, sql in files.items():
        (folder / f"{name}.sql").write_text(sql, encoding="utf-8")
    return plan_marts(base, DUCKDB, (*STAR_TABLES, ORDERS))


def fault(base: Path, sql: str) -> str:
    """What is said of a file `m`, without the path of its folder."""
    (broken,) = planned(base, m=sql).broken
    return broken.error.what.replace(f"{base / 'marts'}/", "")


def columns(base: Path, select: str) -> list[Column]:
    plan = planned(base, m=select)
    assert plan.broken == ()
    return list(next(mart.table for mart in plan.marts if mart.name == "m").columns)


ONE = "SELECT count(*) AS n FROM sales_fact"


@pytest.mark.usefixtures("of_the_program")
def test_those_of_the_program_can_be_built(tmp_path: Path) -> None:
    plan = plan_marts(tmp_path, DUCKDB, STAR_TABLES)
    assert plan.broken == ()
    assert {mart.name for mart in plan.marts} == {
        "cohorts", "customer_value", "daily_revenue", "monthly_active_customers",
        "product_performance", "sales_wide",
    }  # fmt: skip
    assert all(mart.table.key and mart.table.description for mart in plan.marts)


def test_each_comes_after_those_that_it_reads(tmp_path: Path) -> None:
    plan = planned(tmp_path, a="SELECT n FROM b", b="SELECT n FROM z", z=ONE)
    order = [mart.name for mart in plan.marts if mart.name in "abz"]
    assert order == ["z", "b", "a"]


@pytest.mark.usefixtures("of_the_program")
def test_a_file_of_ones_own_stands_in_place_of_the_programs(tmp_path: Path) -> None:
    plan = planned(tmp_path, cohorts=ONE)
    assert next(mart.table.names for mart in plan.marts if mart.name == "cohorts") == ("n",)


@pytest.mark.usefixtures("of_the_program")
def test_a_file_of_comments_leaves_the_mart_out(tmp_path: Path) -> None:
    plan = planned(tmp_path, cohorts="-- we need no cohorts\n\n")
    assert plan.broken == ()
    assert "cohorts" not in {mart.name for mart in plan.marts}


@pytest.mark.parametrize("sql, said", [
    ("SELECT n\nFROM sales_facts", "m.sql, line 2: no table 'sales_facts'; "
     "did you mean 'sales_fact'?"),
    ("SELECT (1\n", "m.sql, line 1: Expecting )"),
    ("SELECT 1 AS a;\nSELECT 2 AS b", "m.sql: a mart is one SELECT"),
    ("DELETE FROM sales_fact", "m.sql: a mart is one SELECT"),
    ("SELECT\n  nothing\nFROM sales_fact", "m.sql, line 2: Binder Error"),
    ("SELECT 1 AS a, 2 AS a FROM sales_fact", "m.sql: two of its columns have the same name"),
    ("-- key: b\nSELECT 1 AS a FROM sales_fact", "m.sql: key: it has no column b"),
    ("-- d\n-- incremental: week\n" + ONE, "m.sql, line 2: incremental: one of day, "
     "customer_id, product_id, not 'week'"),
    ("-- incremental: day\n" + ONE, "m.sql: incremental: it has no column day"),
    ("-- incremental: day\nSELECT day FROM date_dim JOIN m2 ON 1 = 1", "m.sql, line 2: no table"),
    ("-- incremental: day\nSELECT started_at AS day\nFROM etl_run", "m.sql, line 3: incremental, "
     "and reads etl_run"),
    ("SELECT [1] AS a FROM sales_fact", "m.sql: column a is INTEGER[], which not every engine has"),
    ("SELECT\n  sum(total_amount) / count(*) AS a FROM sales_fact", "m.sql, line 2: a quotient "
     "that engines round differently"),
    ("SELECT CAST(sum(total_amount) / 2 AS DOUBLE) AS a FROM sales_fact", "m.sql, line 1: the type "
     "of a quotient is not a DECIMAL"),
    ("SELECT n FROM m", "m.sql, line 1: a circle: m reads m"),
])  # fmt: skip
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, sql: str, said: str) -> None:
    assert fault(tmp_path, sql).startswith(said)


def test_a_mart_cannot_have_the_name_of_a_table(tmp_path: Path) -> None:
    plan = planned(tmp_path, sales_fact=ONE)
    assert "sales_fact is a table of the program itself" in str(plan.broken[0].error)


def test_the_name_of_a_file_must_be_one_of_a_table(tmp_path: Path) -> None:
    plan = planned(tmp_path, **{"my mart": ONE})
    assert "small letters, digits and _" in str(plan.broken[0].error)


def test_all_in_a_circle_are_named_and_the_others_are_built(tmp_path: Path) -> None:
    plan = planned(tmp_path, a="SELECT n FROM b", b="SELECT n\nFROM a", c=ONE)
    assert {each.name: str(each.error).split("/")[-1] for each in plan.broken} == {
        "a": "a.sql, line 1: a circle: a reads b reads a",
        "b": "b.sql, line 2: a circle: a reads b reads a",
    }
    assert "c" in {mart.name for mart in plan.marts}


def test_what_reads_a_broken_one_is_named_too(tmp_path: Path) -> None:
    plan = planned(tmp_path, a="SELECT nothing FROM sales_fact", b="SELECT *\nFROM a")
    assert "it reads a, which cannot be built" in str(plan.broken[1].error)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "marts").mkdir()
    path = tmp_path / "marts" / "m.sql"
    path.write_bytes(b"SELECT '\xff'")
    assert path in mart_paths(tmp_path)
    with pytest.raises(MartError, match="cannot be read"):
        read_mart(path)


# --- columns -------------------------------------------------------------------------------


@pytest.mark.parametrize("expression, width", [
    ("c.name", 201),
    ("c.customer_id", 50),
    ("coalesce(c.segment, 'none')", 104),
    ("c.first_name || ' ' || c.last_name", 201),
    ("CAST(c.name AS VARCHAR(20))", 20),
    ("CASE WHEN c.email_valid THEN 'yes' ELSE 'no' END", 5 + 41),
    ("q.label", 100),
    ("strftime(c.registration_date, '%Y')", 41 + 2),
])  # fmt: skip
def test_a_text_is_as_wide_as_what_it_is_made_of(
    tmp_path: Path, expression: str, width: int
) -> None:
    (column,) = columns(
        tmp_path,
        "WITH q AS (SELECT customer_id, segment AS label FROM customer_dim) "
        f"SELECT {expression} AS x FROM customer_dim AS c JOIN q ON q.customer_id = c.customer_id",
    )
    assert (column.kind, column.width) == (Kind.TEXT, width)


def test_a_text_from_nowhere_may_have_any_length(tmp_path: Path) -> None:
    (column,) = columns(tmp_path, "SELECT printf('%d', 1) || x.a AS b FROM (SELECT 'a' AS a) AS x")
    assert column.width > 4000 or column.width < 10


def test_types_are_those_of_the_engine_that_reads_the_file(tmp_path: Path) -> None:
    found = columns(
        tmp_path,
        "SELECT *, count(*) AS n, sum(id) AS s, CAST(1 AS DECIMAL(9, 4)) AS d, now() > now() AS f, "
        "CAST('2024-01-01' AS DATE) AS day, avg(id) AS a FROM shop.orders GROUP BY ALL",
    )
    kinds = [(column.name, column.kind, column.precision, column.scale) for column in found]
    assert kinds == [
        ("id", Kind.BIGINT, 0, 0), ("n", Kind.BIGINT, 0, 0), ("s", Kind.DECIMAL, 38, 0),
        ("d", Kind.DECIMAL, 9, 4), ("f", Kind.BOOLEAN, 0, 0), ("day", Kind.DATE, 0, 0),
        ("a", Kind.DOUBLE, 0, 0),
    ]  # fmt: skip


# --- translated ------------------------------------------------------------------------------


@pytest.mark.parametrize("expression, postgres, t_sql", [
    ("date_trunc('month', s.transaction_date)", "DATE_TRUNC('MONTH', \"s\".\"transaction_date\")",
     'DATEFROMPARTS(YEAR("s"."transaction_date"), MONTH("s"."transaction_date"), 1)'),
    ("date_diff('day', s.created_date, s.updated_date)",
     '(CAST("s"."updated_date" AS DATE) - CAST("s"."created_date" AS DATE))',
     'DATEDIFF(DAY, "s"."created_date", "s"."updated_date")'),
    ("date_diff('month', s.created_date, s.updated_date)",
     '(CAST((EXTRACT(YEAR FROM "s"."updated_date") - EXTRACT(YEAR FROM "s"."created_date")) * 12 '
     '+ EXTRACT(MONTH FROM "s"."updated_date") - EXTRACT(MONTH FROM "s"."created_date") '
     "AS BIGINT))",
     'DATEDIFF(MONTH, "s"."created_date", "s"."updated_date")'),
    ("CAST(s.quantity AS VARCHAR(20))", 'CAST("s"."quantity" AS VARCHAR(20))',
     'CAST("s"."quantity" AS NVARCHAR(20))'),
    ("CAST(s.quantity AS VARCHAR)", 'CAST("s"."quantity" AS TEXT)',
     'CAST("s"."quantity" AS NVARCHAR(MAX))'),
    ("'[' || s.value_tier || ']'", "'[' || \"s\".\"value_tier\" || ']'",
     "'[' + \"s\".\"value_tier\" + ']'"),
])  # fmt: skip
def test_what_engines_write_differently_is_translated(
    tmp_path: Path, expression: str, postgres: str, t_sql: str
) -> None:
    planned(tmp_path, m=f"SELECT {expression} AS x FROM sales_fact AS s")
    for dialect, wanted in ((POSTGRESQL, postgres), (SQL_SERVER, t_sql)):
        plan = plan_marts(tmp_path, dialect, STAR_TABLES)
        insert = next(mart.insert for mart in plan.marts if mart.name == "m")
        assert f"SELECT {wanted} AS" in insert

"""The queries of the page on BI tools, on every engine, and its notebook."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from engines import Engine
from pipeline_runs import Project
from sqlglot import ErrorLevel

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "bi.md").read_text(encoding="utf-8")
QUERIES = dict(
    re.findall(r"^### (\d+)\. [^\n]*\n\n```sql\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)
)
# Those whose rows are parts of all revenue, and in which column it stands.
PARTS = {"1": 2, "3": 2, "4": 1, "5": 1, "7": 3, "8": 3, "9": 2}


@pytest.fixture(scope="module")
def loaded(every_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A warehouse into which the sample is loaded."""
    project = Project(tmp_path_factory.mktemp("bi"), INPUT_DIR=str(ROOT / "data" / "input"))
    assert project.run()["exit_code"] == 0
    return project


def test_there_are_ten_queries() -> None:
    assert list(QUERIES) == [str(number) for number in range(1, 11)]


@pytest.mark.parametrize("number", QUERIES)
def test_a_query_answers(loaded: Project, number: str) -> None:
    rows = loaded.query(QUERIES[number])
    assert rows
    if number in PARTS:
        ((revenue,),) = loaded.query('SELECT sum("total_amount") FROM "sales_fact"')
        assert sum(Decimal(str(row[PARTS[number]])) for row in rows) == Decimal(str(revenue))


def answers(loaded: Project, number: str) -> list[tuple[Any, ...]]:
    return loaded.query(QUERIES[number])


def test_days_without_a_sale_are_shown(loaded: Project) -> None:
    days = answers(loaded, "3")
    assert len(days) == 31


def test_the_ten_best_products_are_ten_and_in_order(loaded: Project) -> None:
    best = answers(loaded, "6")
    assert [row[0] for row in best] == list(range(1, 11))
    assert [row[4] for row in best] == sorted((row[4] for row in best), reverse=True)


def test_the_shares_of_the_categories_make_up_the_whole(loaded: Project) -> None:
    assert abs(sum(row[2] for row in answers(loaded, "5")) - 100) <= Decimal("0.5")


@pytest.mark.parametrize("number", QUERIES)
def test_a_query_is_understood_as_t_sql(number: str) -> None:
    tree = sqlglot.parse_one(QUERIES[number], read="tsql", error_level=ErrorLevel.RAISE)
    assert not list(tree.find_all(sqlglot.exp.Limit, sqlglot.exp.Command))

"""The quality checks: what each finds, what it does to the run, and where it is reported."""

import json
import re
from datetime import date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from engines import SQL_SERVER, Engine
from pipeline_runs import Project, Record, command

from data_loading import validate_loaded_data
from etl.engines.database import DatabaseManager
from etl.engines.duckdb import DUCKDB
from etl.errors import LoadingError
from etl.quality.checks import run_data_quality_checks
from etl.quality.rules import all_rules
from etl.reports.quality import HTML_REPORT, JSON_REPORT, html_report
from etl.resilience.transient import is_data_error

pytestmark = pytest.mark.usefixtures("every_engine")

NOW = datetime(2024, 1, 22, 2)

CUSTOMERS: list[Record] = [
    {"customer_id": f"C{n}", "first_name": "Ann", "last_name": "Lee", "email": f"c{n}@example.com",
     "phone": "555-606-2670", "address": "Mill Court 43", "segment": "standard",
     "registration_date": "2020-07-22"}
    for n in range(1, 13)
]  # fmt: skip
PRODUCTS: list[Record] = [
    {"product_id": f"P{n}", "name": "Lamp", "category": "Tech", "brand": "B", "model": "M",
     "price": "60.00", "cost": "20.00", "quantity": "12", "warehouse": "W"}
    for n in range(1, 5)
]  # fmt: skip
SALES: list[Record] = [
    {"transaction_id": f"T{n:02}", "customer_id": f"C{n}", "product_id": f"P{1 + n % 4}",
     "quantity": "2", "unit_price": "60.00", "discount_amount": "1.00",
     "transaction_date": "2024-01-20", "sales_rep_id": "R1"}
    for n in range(1, 13)
]  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, LOG_LEVEL="CRITICAL")
    project.write(CUSTOMERS, PRODUCTS, SALES)
    return project


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, every_engine: Engine) -> Project:
    """A project that has run once, for others to begin like it."""
    project = Project(tmp_path_factory.mktemp(every_engine.name), LOG_LEVEL="CRITICAL")
    project.write(CUSTOMERS, PRODUCTS, SALES)
    assert project.run()["exit_code"] == 0
    return project


@pytest.fixture
def loaded(project: Project, once: Project) -> Project:
    """A project in which good data are loaded."""
    project.load_like(once)
    return project


def checks_of(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in result["checks"]}


def checked(project: Project, *damage: str, now: datetime = NOW) -> dict[str, Any]:
    """What the checks find once somebody has done damage behind the pipeline's back."""
    with DatabaseManager(project.connection_string) as db:
        for statement in damage:
            try:
                db.execute(statement)
            except LoadingError as error:
                assert is_data_error(error), error
                pytest.skip("the server refuses it")
        return run_data_quality_checks(db, now=now)


# --- what is found ---------------------------------------------------------------------------


def test_good_data_pass_every_check_with_full_scores(loaded: Project) -> None:
    result = checked(loaded)
    assert {check["status"] for check in result["checks"]} == {"passed"}
    assert result["passed"]
    assert result["scores"] == dict.fromkeys(
        ["customers", "products", "sales", "customer_dim", "product_dim", "sales_fact"], 100
    )


def test_an_empty_warehouse_passes(tmp_path: Path) -> None:
    result = checked(Project(tmp_path))
    assert {check["status"] for check in result["checks"]} == {"passed"}
    assert {check["dimension"] for check in result["checks"]} == {
        "completeness", "validity", "consistency", "timeliness", "uniqueness", "integrity",
        "reconciliation",
    }  # fmt: skip


# By rule: the damage, the figure found, and the status that follows.
DAMAGE = {
    "customer_dim.row_count": ("DELETE FROM sales_fact; DELETE FROM customer_dim", 12, "failed"),
    "customer_dim.accounted": (
        "UPDATE etl_load SET rows_inserted = 5 WHERE table_name = 'customer_dim'", 7, "failed",
    ),
    "customer_dim.unique": ("INSERT INTO customer_dim SELECT * FROM customer_dim", 12, "failed"),
    "customer_dim.name_missing": (
        "UPDATE customer_dim SET name = NULL WHERE customer_id = 'C7'", 0.0833, "warning",
    ),
    "customer_dim.email_missing": ("UPDATE customer_dim SET email = NULL", 1, "warning"),
    "customer_dim.phone_missing": ("UPDATE customer_dim SET phone = NULL", 1, "info"),
    "customer_dim.email_valid": ("UPDATE customer_dim SET email_valid = FALSE", 1, "warning"),
    "customer_dim.registration_date_in_future": (
        "UPDATE customer_dim SET registration_date = '2024-01-24' WHERE customer_id = 'C7'", 1,
        "warning",
    ),
    "customer_dim.inferred": ("UPDATE customer_dim SET is_inferred = TRUE", 1, "warning"),
    "product_dim.amounts": ("UPDATE product_dim SET price = -1", 4, "failed"),
    "product_dim.category_known": ("UPDATE product_dim SET category = 'Toys'", 1, "info"),
    "product_dim.cost_above_price": ("UPDATE product_dim SET cost = 61", 1, "warning"),
    "product_dim.price_category": ("UPDATE product_dim SET price = 49.99", 4, "failed"),
    "product_dim.inventory_status": ("UPDATE product_dim SET quantity = 101", 4, "failed"),
    "sales_fact.amounts": ("UPDATE sales_fact SET discount_amount = 120.01", 12, "failed"),
    "sales_fact.total_amount": ("UPDATE sales_fact SET total_amount = 1", 12, "failed"),
    "sales_fact.value_tier": ("UPDATE sales_fact SET value_tier = 'Low Value'", 12, "failed"),
    "sales_fact.profit": ("UPDATE sales_fact SET profit_amount = 1", 12, "failed"),
    "sales_fact.customer_status": (
        "UPDATE sales_fact SET customer_status = 'Repeat'", 12, "failed",
    ),
    "sales_fact.product_id": ("DELETE FROM product_dim WHERE product_id = 'P1'", 3, "failed"),
    "sales_fact.transaction_date_in_future": (
        "UPDATE sales_fact SET transaction_date = '2024-01-24' WHERE transaction_id = 'T03'", 1,
        "warning",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_with_its_figure_and_examples(loaded: Project, name: str) -> None:
    damage, figure, status = DAMAGE[name]
    if loaded.engine is SQL_SERVER:
        damage = damage.replace("FALSE", "0").replace("TRUE", "1")
    result = checked(loaded, *damage.split("; "))
    check = checks_of(result)[name]
    assert (check["value"], check["status"]) == (figure, status)
    assert result["passed"] == (
        not [each for each in result["checks"] if each["status"] == "failed"]
    )
    assert check["message"]
    counted = name.endswith((".row_count", ".accounted"))
    assert len(check["examples"]) == (0 if counted else min(10, check["rows_wrong"]))
    assert check["examples"] == sorted(check["examples"])


def test_at_most_ten_keys_are_given_as_examples_and_none_where_all_is_well(
    loaded: Project,
) -> None:
    found = checks_of(checked(loaded, "UPDATE sales_fact SET total_amount = 1"))
    assert found["sales_fact.total_amount"]["examples"] == [f"T{n:02}" for n in range(1, 11)]
    assert found["sales_fact.amounts"]["examples"] == []


def test_a_wrong_share_lowers_the_score_of_its_table_alone(loaded: Project) -> None:
    result = checked(loaded, "UPDATE customer_dim SET email = NULL WHERE customer_id < 'C2'")
    assert 90 < result["scores"]["customer_dim"] < 100
    assert result["scores"]["product_dim"] == 100
    assert result["dimension_scores"]["customer_dim"]["uniqueness"] == 100


def test_rejected_records_lower_the_score_of_their_source(project: Project) -> None:
    project.write([*CUSTOMERS[:9], {"first_name": "Nobody"}], PRODUCTS, SALES)
    assert project.run()["quality"]["scores"]["customers"] == 90


def test_validation_is_those_checks_whose_failure_is_an_error(loaded: Project) -> None:
    with DatabaseManager(loaded.connection_string) as db:
        names = {check["name"] for check in validate_loaded_data(db)["checks"]}
    rules = {r.full_name for r in all_rules(DUCKDB) if r.severity in ("critical", "error")}
    assert names == rules


def test_every_rule_is_checked(project: Project) -> None:
    found = checks_of(checked(project))
    assert set(found) == {rule.full_name for rule in all_rules(DUCKDB)}


# --- timeliness ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "status"), [(0, "passed"), (3, "passed"), (4, "warning"), (365, "warning"),
                         (366, "info")],
)  # fmt: skip
def test_the_newest_sale_is_checked_against_the_clock(
    loaded: Project, days: int, status: str
) -> None:
    found = checks_of(checked(loaded, now=datetime(2024, 1, 20, 23) + timedelta(days=days)))
    check = found["sales_fact.newest_sale_age"]
    assert (check["value"], check["status"]) == (days, status)


def test_rows_deleted_by_hand_are_loaded_and_counted_anew_by_a_full_refresh(
    loaded: Project,
) -> None:
    with DatabaseManager(loaded.connection_string) as db:
        db.execute("DELETE FROM sales_fact WHERE transaction_id IN ('T01', 'T02')")
    again = loaded.run()
    assert again["tables"]["sales_fact"]["rows_inserted"] == 2
    check = checks_of(again["quality"])["sales_fact.row_count"]
    assert (again["exit_code"], check["status"], check["value"]) == (3, "failed", 2)
    assert "--full-refresh" in check["message"]
    summary = loaded.run("--full-refresh")
    assert summary["exit_code"] == 0
    counts = summary["tables"]["sales_fact"]
    assert (counts["rows_inserted"], counts["rows_removed"]) == (0, 2)
    assert loaded.run()["exit_code"] == 0


def test_a_shop_that_sells_once_a_week_is_late_after_more_than_a_week(project: Project) -> None:
    weekly = [
        {"transaction_id": f"T{n}", "customer_id": "C1", "product_id": "P1", "quantity": "1",
         "unit_price": "5", "transaction_date": f"{date(2024, 1, 1) + timedelta(weeks=n)}"}
        for n in range(12)
    ]  # fmt: skip
    project.write(sales=weekly)
    project.run()
    newest = datetime(2024, 1, 1) + timedelta(weeks=11)
    for days, status in ((7, "passed"), (8, "warning")):
        found = checks_of(checked(project, now=newest + timedelta(days=days)))
        assert found["sales_fact.newest_sale_age"]["status"] == status


def test_data_older_than_a_year_are_not_judged_and_cost_no_score(loaded: Project) -> None:
    result = checked(loaded, now=datetime(2025, 6, 1))
    check = checks_of(result)["sales_fact.newest_sale_age"]
    assert (check["status"], check["judged"]) == ("info", False)
    assert "timeliness" not in result["dimension_scores"]["sales_fact"]
    assert result["scores"]["sales_fact"] == 100.0


def test_a_run_for_a_day_long_past_is_not_late_for_that(project: Project) -> None:
    project.run("--date", "2024-01-21")
    project.run("--date", "2024-01-20")
    result = checked(project, now=datetime(2024, 6, 1))
    assert checks_of(result)["sales_fact.newest_sale_age"]["status"] == "passed"


@pytest.mark.parametrize(
    ("stated", "age"),
    [("2024-01-15", 7), ("2024-01-21T23:00:00Z", 1), ("some day", 0), (None, 0), (20240115, 0)],
)
def test_the_products_file_says_how_old_it_is(project: Project, stated: object, age: int) -> None:
    path = project.input / "products.json"
    content = json.loads(path.read_text("utf-8"))
    content["metadata"]["extract_date"] = stated
    path.write_text(json.dumps(content), encoding="utf-8")
    project.run()
    check = checks_of(checked(project))["product_dim.extract_age"]
    assert (check["value"], check["status"]) == (age, "warning" if age > 3 else "passed")


# --- what follows ----------------------------------------------------------------------------


def test_a_failed_check_asks_for_a_person_and_a_warning_does_not(project: Project) -> None:
    project.run()
    nameless = [{**customer, "first_name": None, "last_name": None} for customer in CUSTOMERS]
    project.write(nameless, PRODUCTS, SALES)
    summary = project.run("--accept", "customers.empty_column")
    assert summary["exit_code"] == 0
    assert checks_of(summary["quality"])["customer_dim.name_missing"]["status"] == "warning"
    with DatabaseManager(project.connection_string) as db:
        db.execute("UPDATE sales_fact SET value_tier = 'None' WHERE transaction_id = 'T03'")
        db.execute("UPDATE sales_fact SET transaction_date = '2023-12-01'")
    summary = project.run("--date", "2024-01-01")
    assert summary["exit_code"] == 3
    assert not summary["quality"]["passed"]
    (line,) = [line for line in summary["attention"] if "value_tier" in line]
    assert line.startswith("check sales_fact.value_tier: rows of sales_fact whose value_tier")


def test_the_console_reports_warnings_and_notes(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write([{**c, "first_name": None, "last_name": None} for c in CUSTOMERS], [], SALES)
    assert command(project, monkeypatch, "--verbose") == 0
    reported = capsys.readouterr().out
    assert (
        "warning: check customer_dim.name_missing: rows of customer_dim without name: " in reported
    )
    assert "note: check sales_fact.newest_sale_age: the newest sale is of 2024-01-20" in reported


def test_checks_and_scores_are_rows_of_the_warehouse(project: Project) -> None:
    summary = project.run()
    rows = project.query("SELECT name, status, severity, dimension FROM etl_quality ORDER BY name")
    checks = {check["name"] for check in summary["quality"]["checks"]}
    assert {name for name, *_ in rows} == checks | {
        f"{name}.score" for name in summary["quality"]["scores"]
    }
    scores = dict(project.query("SELECT name, value FROM etl_quality WHERE dimension = 'score'"))
    assert scores["customer_dim.score"] == summary["quality"]["scores"]["customer_dim"]


# --- the report ------------------------------------------------------------------------------


class Page(HTMLParser):
    """What a page refers to and says."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_report_of_the_newest_run_is_there_as_json_and_as_a_page(project: Project) -> None:
    project.run()
    summary = project.run()
    folder = project.output / "quality"
    assert {path.name for path in folder.iterdir()} == {JSON_REPORT, HTML_REPORT}
    report = json.loads((folder / JSON_REPORT).read_text("utf-8"))
    assert report["run_id"] == summary["run_id"]
    assert report["checks"] == summary["quality"]["checks"]
    page = Page((folder / HTML_REPORT).read_text("utf-8"))
    assert summary["run_id"] in page.words
    assert all(check["name"] in page.words for check in report["checks"])


def test_the_page_stands_alone_in_light_and_dark(project: Project) -> None:
    project.run()
    text = (project.output / "quality" / HTML_REPORT).read_text("utf-8")
    page = Page(text)
    assert {link[0] for link in page.links} == {"#"}  # within the page
    assert "script" not in page.tags
    assert not re.search(r"url\(|@import|https?://", text)
    assert re.search(r"color-scheme: ?light dark", text)
    assert re.search(r"prefers-color-scheme: ?dark", text)


def test_what_comes_from_the_data_is_escaped_in_the_page() -> None:
    hostile = "<script>alert(1)</script>\"'&"
    check = {
        "name": hostile, "status": "failed", "dimension": hostile, "severity": "error",
        "value": 1, "threshold": 0, "message": hostile, "examples": [hostile],
    }  # fmt: skip
    report = {"run_id": hostile, "passed": False, "checks": [check], "window": hostile,
              "scores": {hostile: 1.0}, "anomalies": [
                  {"severity": hostile, "type": hostile, "message": hostile}]}  # fmt: skip
    text = html_report(report)
    page = Page(text)
    assert "script" not in page.tags
    assert "<script" not in text
    assert page.words.count(hostile) >= 8


def test_a_report_that_cannot_be_written_is_reported_and_the_run_goes_on(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    project.output.mkdir(parents=True, exist_ok=True)
    (project.output / "quality").write_text("a file where the folder should be")
    assert project.run()["exit_code"] == 0
    assert "the quality report is not written" in caplog.text

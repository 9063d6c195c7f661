"""Checks of loaded tables that `pipeline.toml` declares stand beside the built-in ones."""

import json
from pathlib import Path

import pytest
from engines import Engine
from pipeline_runs import Project

from etl.errors import ConfigurationError
from etl.history.summary import RunSummary
from etl.history.validation import checks_before_loading

SALES = [
    {"transaction_id": f"T{n}", "customer_id": "C1", "product_id": "P1", "quantity": "1",
     "unit_price": str(n), "transaction_date": "2024-01-01"}
    for n in range(1, 11)
]  # fmt: skip
CHECKS = """
[checks.cheap]
table = "sales_fact"
check = "total_amount < 10 -- euros"
severity = "error"
max_share = 0.05
message = "sales of ten or more"

[checks.few_pieces]
table = "sales_fact"
check = "quantity < 5"
weight = 3

[checks.named]
table = "customer_dim"
check = "name <> '{x}'"
among = "is_inferred = {FALSE}"
dimension = "completeness"
"""


def run(folder: Path, checks: str, **settings: str) -> tuple[Project, RunSummary]:
    project = Project(folder, PIPELINE_FILE=str(folder / "pipeline.toml"), **settings)
    (folder / "pipeline.toml").write_text(checks, encoding="utf-8")
    project.write([{"customer_id": "C1"}], [{"product_id": "P1"}], SALES)
    return project, project.run()


def check_named(summary: RunSummary, name: str) -> dict[str, object]:
    (found,) = (check for check in summary["quality"]["checks"] if check["name"] == name)
    return dict(found)


def test_own_checks_are_counted_like_the_built_in_ones(
    tmp_path: Path, every_engine: Engine
) -> None:
    true = "0" if every_engine.name == "SQL Server" else "FALSE"
    project, summary = run(tmp_path, CHECKS.replace("{FALSE}", true))
    cheap = check_named(summary, "sales_fact.cheap")
    assert (cheap["status"], cheap["value"], cheap["threshold"]) == ("failed", 0.1, 0.05)
    assert cheap["examples"] == ["T10"]
    assert cheap["message"] == "sales of ten or more: 1 of 10 (10.0%, limit 5%)"
    assert check_named(summary, "sales_fact.few_pieces")["status"] == "passed"
    # a name that is missing is neither equal nor different
    assert check_named(summary, "customer_dim.named")["status"] == "passed"
    assert summary["exit_code"] == 3
    kept = project.query('SELECT "status" FROM "etl_quality" WHERE "name" = \'sales_fact.cheap\'')
    assert kept == [("failed",)]


def test_weights_move_the_scores(tmp_path: Path) -> None:
    checks = CHECKS.replace("{FALSE}", "FALSE")
    _, plain = run(tmp_path / "a", checks.replace("weight = 3", ""))
    _, weighed = run(tmp_path / "b", checks)
    # sales_fact has three built-in checks of validity: amounts, dates in the future, and these two
    of_plain = plain["quality"]["dimension_scores"]["sales_fact"]["validity"]
    of_weighed = weighed["quality"]["dimension_scores"]["sales_fact"]["validity"]
    assert (of_plain, of_weighed) == (97.5, 98.33)
    _, alone = run(tmp_path / "c", checks + _ONLY_VALIDITY)
    assert alone["quality"]["scores"]["sales_fact"] == 98.33


_ONLY_VALIDITY = """
[scores]
completeness = 0
consistency = 0
timeliness = 0
uniqueness = 0
integrity = 0
reconciliation = 0
"""


def test_tables_of_ones_own_have_checks_and_a_score(tmp_path: Path) -> None:
    project = Project(tmp_path, PIPELINE_FILE=str(tmp_path / "pipeline.toml"))
    (project.input / "visits.csv").write_text("nr,shop\n1,North\n2,\n", encoding="utf-8")
    (tmp_path / "pipeline.toml").write_text(
        """
[loads.visits]
table = "visit"
key = ["nr"]
source.path = "visits.csv"
columns = { nr = "integer", shop = "text(9)" }
[checks.shops]
table = "visit"
check = "shop IS NOT NULL"
dimension = "completeness"
""",
        encoding="utf-8",
    )
    summary = project.run("--only", "visits")
    found = check_named(summary, "visit.shops")
    assert (found["status"], found["value"], found["examples"]) == ("warning", 1, ["2"])
    dimensions = summary["quality"]["dimension_scores"]["visit"]
    assert dimensions == {"reconciliation": 100, "completeness": 75, "uniqueness": 100}
    assert summary["quality"]["scores"]["visit"] == 91.67


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ('table = "sale"\ncheck = "1 = 1"', "'sale' is loaded by nothing. Choices: customer_dim"),
        ('table = "sales_fact"\ncheck = "a ? b"', "no question mark"),
        ('table = "sales_fact"\ncheck = "x"\nmax_share = 0.1\nmax_rows = 1', "only one of them"),
        ('table = "sales_fact"\ncheck = "x"\nseverity = "fatal"', "'fatal' is none of"),
        ('table = "sales_fact"', "check: missing"),
    ],
)
def test_what_is_wrong_with_a_check_is_said_with_its_place(
    tmp_path: Path, declared: str, words: str
) -> None:
    with pytest.raises(ConfigurationError) as error:
        run(tmp_path, f"[checks.odd]\n{declared}\n")
    assert words in str(error.value) and "checks.odd" in str(error.value)


def test_a_condition_that_cannot_be_evaluated_stops_a_run_before_it_begins(tmp_path: Path) -> None:
    project, _ = run(tmp_path, "")
    (tmp_path / "pipeline.toml").write_text(
        '[checks.odd]\ntable = "sales_fact"\ncheck = "colour = 1"\n', encoding="utf-8"
    )
    with pytest.raises(ConfigurationError, match=r"checks\.odd\.check: cannot be evaluated"):
        project.run()


def test_a_condition_that_fails_for_a_value_is_a_broken_check(tmp_path: Path) -> None:
    _, summary = run(tmp_path, """
[checks.odd]
table = "sales_fact"
check = "CAST(transaction_id AS INTEGER) > 0"
severity = "error"
""")  # fmt: skip
    found = check_named(summary, "sales_fact.odd")
    assert found["status"] == "failed"
    assert str(found["message"]).startswith("cannot be evaluated: ")


# --- before the load --------------------------------------------------------------------------


def test_each_check_of_the_records_before_loading_passes_or_fails(tmp_path: Path) -> None:
    odd = [
        {**SALES[0], "transaction_id": "T20", "unit_price": "many"},
        {**SALES[0], "transaction_id": "T21", "quantity": "0"},
        {**SALES[0], "transaction_id": "", "quantity": "1"},
        SALES[1],
    ]
    project = Project(tmp_path)
    project.write([{"customer_id": "C1"}], [{"product_id": "P1"}], [*SALES, *odd])
    summary = project.run("--accept", "sales")
    found = {check.name: (check.status, check.value) for check in checks_before_loading(summary)}
    assert found == {
        **{f"customers.{name}": ("passed", 0) for name in _NAMES},
        **{f"products.{name}": ("passed", 0) for name in _NAMES},
        "sales.structure": ("passed", 0), "sales.schema": ("warning", 1),
        "sales.required": ("warning", 1), "sales.rules": ("warning", 1),
        "sales.references": ("passed", 0), "sales.unique": ("warning", 1),
    }  # fmt: skip
    report = json.loads((project.output / "quality" / "quality_report.json").read_text("utf-8"))
    assert [each["name"] for each in report["validation"]] == list(found)
    page = (project.output / "quality" / "quality_report.html").read_text("utf-8")
    assert "Records before loading" in page and "sales.<wbr>" not in page.split("<main>")[0]


_NAMES = ("structure", "schema", "required", "rules", "references", "unique")


def test_what_holds_a_source_back_is_a_failed_check(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write([{"customer_id": "C1"}], [{"product_id": "P1"}], SALES)
    project.run()
    project.write([], [{"product_id": "P1"}], SALES)
    failed = [c for c in checks_before_loading(project.run()) if c.status == "failed"]
    assert [check.name for check in failed] == ["customers.no_records"]

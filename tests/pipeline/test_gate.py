"""What holds a source back, what it says, and what lets it pass once."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from gate_records import Sources, customers, drawn, products, sales
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pipeline_runs import ACCEPT_ALL, Project, Record, command

from etl.findings import FINDINGS
from etl.sources import csv_reader

every_engine = pytest.mark.usefixtures("every_engine")

SOURCES = ("customers", "products", "sales")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """One that has loaded 12 customers, 6 products and 20 sales."""
    loaded = Project(tmp_path, LOG_LEVEL="ERROR")
    loaded.write(customers(12), products(6), sales(20))
    assert loaded.run()["exit_code"] == 0
    return loaded


def everything(project: Project) -> dict[str, list[tuple[Any, ...]]]:
    """All of the star schema, the stamps of the loads too."""
    return {
        table: project.query(f'SELECT * FROM "{table}" ORDER BY 1')
        for table in ("customer_dim", "product_dim", "sales_fact")
    }


def found(summary: Mapping[str, Any]) -> list[str]:
    """The findings of a run by their full names."""
    return [
        f"{source['source']}.{finding['name']}"
        for source in summary["sources"]
        for finding in source["findings"]
    ]


def assert_held(project: Project, *argv: str, by: Sequence[str]) -> Mapping[str, Any]:
    """The run is held back by these findings, and says how they pass; nothing is changed."""
    before = everything(project)
    summary = project.run(*argv)
    assert found(summary) == list(by)
    assert summary["exit_code"] == 3
    held = {name.partition(".")[0] for name in by}
    after = everything(project)
    tables = {"customers": "customer_dim", "products": "product_dim", "sales": "sales_fact"}
    for source in held:
        assert after[tables[source]] == before[tables[source]]
    assert [name for name in by if f"--accept {name}" not in summary["error"]] == []
    return summary


def assert_accepted(project: Project, *argv: str, names: Sequence[str]) -> Mapping[str, Any]:
    """With these names the same run loads, and says what was accepted."""
    words = [word for name in names for word in ("--accept", name)]
    summary = project.run(*argv, *words)
    assert (summary["exit_code"], found(summary)) == (0, [])
    assert len([line for line in summary["notices"] if line.endswith("; accepted")]) == len(names)
    return summary


# --- the findings ------------------------------------------------------------------------


def test_an_emptied_snapshot_is_held_back(project: Project) -> None:
    project.write([], products(6), sales(20))
    summary = assert_held(project, by=["customers.no_records"])
    assert "no records, where the last load of the whole source had 12" in summary["error"]
    assert_accepted(project, names=["customers.no_records"])
    assert project.run()["exit_code"] == 0  # it is no news any more


def test_emptied_files_are_held_back_and_nothing_failed(project: Project) -> None:
    project.write()
    assert_held(project, by=[f"{source}.no_records" for source in SOURCES])


@every_engine
def test_a_full_refresh_over_emptied_files_removes_nothing(project: Project) -> None:
    project.write()
    names = [f"{source}.{what}" for source in SOURCES for what in ("no_records", "removed_rows")]
    summary = assert_held(project, "--full-refresh", by=names)
    assert "would remove 20 of 20 rows of sales_fact" in summary["error"]
    assert project.run("--full-refresh", *ACCEPT_ALL)["exit_code"] == 0
    assert [len(rows) for rows in everything(project).values()] == [0, 0, 0]


def test_a_day_without_sales_is_no_emptied_file(project: Project) -> None:
    assert project.run("--date", "2023-01-01")["exit_code"] == 0


def test_a_first_load_may_be_empty(tmp_path: Path) -> None:
    assert Project(tmp_path, LOG_LEVEL="ERROR").run()["exit_code"] == 0


def test_a_snapshot_cut_short_is_held_back(project: Project) -> None:
    project.write(customers(5), products(3), sales(20))
    summary = assert_held(project, by=["customers.fewer_records"])
    assert "5 records, where the last load had 12" in summary["error"]
    assert_accepted(project, names=["customers.fewer_records"])


def test_the_share_of_the_last_load_is_a_setting(project: Project) -> None:
    project.settings["MIN_ROWS_RATE"] = "0.3"
    project.write(customers(5), products(6), sales(20))
    assert project.run()["exit_code"] == 0


@pytest.mark.parametrize(("rate", "exit_code"), [("0.3", 0), ("0.5", 3)])
def test_a_source_may_have_a_limit_of_its_own(project: Project, rate: str, exit_code: int) -> None:
    (project.folder / "pipeline.toml").write_text(
        f"[sources.customers.guards]\nmin_rows_rate = {rate}\n", encoding="utf-8"
    )
    project.settings["MIN_ROWS_RATE"] = "1"
    project.write(customers(5), products(6), sales(20))
    assert project.run()["exit_code"] == exit_code


@every_engine
def test_a_run_that_touched_a_table_for_its_sales_is_no_load_of_it(project: Project) -> None:
    (project.input / "customers.csv").unlink()
    more = [*sales(20), *sales(1, first=30, customer_id="C77")]
    project.settings["MAX_PLACEHOLDER_RATE"] = "1"
    project.write(customers(12), products(6), more)
    (project.input / "customers.csv").unlink()
    assert project.run()["exit_code"] == 3
    project.write([], products(6), more)
    assert_held(project, by=["customers.no_records"])


@pytest.mark.parametrize(("kept", "names"), [(16, []), (15, ["sales.removed_rows"])])
def test_a_full_refresh_removes_a_fifth_of_a_table_at_most(
    project: Project, kept: int, names: Sequence[str]
) -> None:
    project.write(customers(12), products(6), sales(kept))
    if names:
        assert_held(project, "--full-refresh", by=names)
    assert_accepted(project, "--full-refresh", names=names)
    assert project.query("SELECT count(*) FROM sales_fact") == [(kept,)]


@every_engine
def test_rows_that_would_become_placeholders_count_as_removed(project: Project) -> None:
    renamed = [{**each, "customer_id": f"X{n}"} for n, each in enumerate(customers(12))]
    project.write(renamed, products(6), sales(20))
    assert_held(project, "--full-refresh", by=["customers.removed_rows"])


@every_engine
def test_a_column_that_lost_all_values_is_held_back(project: Project) -> None:
    project.write(customers(12, phone=""), products(6, brand="", price=""), sales(20))
    summary = assert_held(project, by=["customers.empty_column", "products.empty_column"])
    assert "no record has a value in phone (12 of 12 rows have one)" in summary["error"]
    assert "brand (6 of 6 rows have one), price (6 of 6" in summary["error"]
    assert_accepted(project, names=["customers.empty_column", "products.empty_column"])
    assert project.query("SELECT count(phone) FROM customer_dim") == [(0,)]


def test_no_records_and_empty_columns_pass_where_a_source_allows_them(project: Project) -> None:
    guards = 'guards.min_rows_rate = 0\nguards.may_be_empty = ["brand"]\n'
    (project.folder / "pipeline.toml").write_text(
        "".join(f"[sources.{name}]\n{guards}" for name in ("customers", "products")), "utf-8"
    )
    project.write([], products(6, brand=""), sales(20))
    assert project.run()["exit_code"] == 0
    project.write(customers(12), products(6, price=""), sales(20))
    assert_held(project, by=["products.empty_column"])


def test_a_column_that_few_rows_have_may_be_empty(project: Project) -> None:
    half = [*customers(6), *customers(12, phone="")[6:]]
    project.write(half, products(6), sales(20))
    assert project.run()["exit_code"] == 0
    project.write(customers(12, phone=""), products(6), sales(20))
    assert project.run()["exit_code"] == 0


def test_few_sales_without_a_value_may_be_chance(project: Project) -> None:
    project.write(customers(12), products(6), [*sales(20), *sales(9, first=21, sales_rep_id="")])
    assert project.run("--date", "2024-01-22")["exit_code"] == 0


@every_engine
def test_too_many_unknown_customers_hold_sales_back(project: Project) -> None:
    unknown = sales(4, first=21, customer_id="C1.0", transaction_date="2024-02-01")
    project.write(customers(12), products(6), [*sales(20), *unknown])
    known = ["--date", "2024-02-01"]
    summary = assert_held(project, *known, by=["sales.placeholders"])
    assert "4 of 4 records name a key that customer_dim or product_dim lacks" in summary["error"]
    assert_accepted(project, *known, names=["sales.placeholders"])
    assert project.run(*known)["exit_code"] == 0  # they have their placeholder now


@every_engine
def test_customers_of_the_same_run_are_known(project: Project) -> None:
    more = sales(20, first=21, customer_id="C13", product_id="P7")
    project.write(customers(13), products(7), [*sales(20), *more])
    for argv in (["--dry-run"], ["--full-refresh"], []):
        assert project.run(*argv)["exit_code"] == 0


def floats(records: Sequence[Record], *names: str) -> list[Record]:
    """The ids as pandas writes a column of numbers in which one is missing."""
    return [
        {**record, **{name: f"{(record[name] or '')[1:]}.0" for name in names}}
        for record in records
    ]


def whole(records: Sequence[Record], *names: str) -> list[Record]:
    return [{**record, **{name: (record[name] or "")[1:] for name in names}} for record in records]


@every_engine
@pytest.mark.parametrize("argv", [(), ("--full-refresh",)])
def test_ids_with_a_point_beside_ids_without_are_held_back(
    tmp_path: Path, argv: tuple[str, ...]
) -> None:
    project = Project(tmp_path, LOG_LEVEL="ERROR")
    project.write(
        whole(customers(12), "customer_id"), products(6), floats(sales(20), "customer_id")
    )
    summary = project.run(*argv)
    assert summary["exit_code"] == 3
    assert found(summary) == ["sales.float_ids"]
    (error,) = (each["error"] for each in summary["sources"] if each["error"])
    assert "in 20 records, such as 1.0, which customer_dim has as 1" in error
    assert "whole_ids = true" in error
    assert project.query("SELECT count(*) FROM sales_fact") == [(0,)]
    project.settings["PIPELINE_FILE"] = str(tmp_path / "pipeline.toml")
    (tmp_path / "pipeline.toml").write_text("[sources.sales]\nwhole_ids = true\n")
    assert project.run(*argv)["exit_code"] == 0
    assert project.query("SELECT count(*) FROM customer_dim WHERE is_inferred = TRUE") == [(0,)]


def test_keys_that_got_a_point_are_held_back(tmp_path: Path) -> None:
    project = Project(tmp_path, LOG_LEVEL="ERROR")
    project.write(whole(customers(12), "customer_id"))
    assert project.run()["exit_code"] == 0
    project.write(floats(customers(12), "customer_id"))
    assert_held(project, by=["customers.float_ids"])


def test_ids_that_all_have_a_point_are_loaded_and_reported(tmp_path: Path) -> None:
    project = Project(tmp_path, LOG_LEVEL="ERROR")
    project.write(
        floats(customers(12), "customer_id"), products(6), floats(sales(20), "customer_id")
    )
    summary = project.run()
    assert summary["exit_code"] == 0
    assert "12 ids written with a point, such as 1001.0" in str(summary["sources"][0])


def test_a_first_load_may_need_any_placeholders(tmp_path: Path) -> None:
    project = Project(tmp_path, LOG_LEVEL="ERROR")
    project.write([], [], sales(20))
    assert project.run()["exit_code"] == 0


@every_engine
def test_duplicates_with_other_contents_count_as_rejected(project: Project) -> None:
    others = customers(2, first_name="Bob")
    project.write([*customers(12), *others], products(6), sales(20))
    summary = assert_held(project, by=["customers.conflicting_duplicates"])
    assert "2 of 14 records have the customer_id of another one" in summary["error"]
    assert_accepted(project, names=["customers.conflicting_duplicates"])


def test_identical_duplicates_do_not_hold_a_source_back(project: Project) -> None:
    project.write([*customers(12), *customers(12)], products(6), sales(20))
    summary = project.run()
    assert summary["exit_code"] == 0
    assert summary["tables"]["customer_dim"]["rows_duplicate"] == 12


def test_the_reject_limit_is_a_finding_that_says_why_records_were_rejected(
    project: Project,
) -> None:
    project.write([*customers(10), *customers(2, customer_id="")], products(6), sales(20))
    summary = assert_held(project, by=["customers.reject_rate"])
    assert "allows 10.0%, most often: customer_id must not be empty (2)" in summary["error"]
    assert_accepted(project, names=["customers.reject_rate"])


def test_a_rate_that_is_of_more_records_than_were_read_says_so(project: Project) -> None:
    undated = sales(5, transaction_date="unknown")
    undated = [{**sale, "transaction_id": f"U{n}"} for n, sale in enumerate(undated)]
    project.write(customers(12), products(6), [*sales(20), *undated])
    summary = assert_held(project, "--date", "2031-01-01", by=["sales.reject_rate"])
    assert (
        "5 of 5 records rejected, a rate of 20.0% (unreadable ones counted among all "
        "25 of the source) where MAX_REJECT_RATE allows 10.0%"
    ) in summary["error"]


def test_all_findings_of_a_source_are_reported_at_once(project: Project) -> None:
    bad = [*customers(2, phone=""), *customers(2, customer_id="", phone="")]
    project.write(bad, products(6), sales(20))
    names = ["customers.reject_rate", "customers.fewer_records", "customers.empty_column"]
    summary = assert_held(project, by=names)
    assert summary["error"].count("held back") == 1
    assert_held(project, "--accept", names[0], by=names[1:])
    assert project.run("--accept", "customers")["exit_code"] == 0


def test_a_dry_run_says_what_would_be_held_back(project: Project) -> None:
    project.write([], products(6), sales(20))
    assert_held(project, "--dry-run", by=["customers.no_records"])


# --- the whole ---------------------------------------------------------------------------


def test_an_unknown_name_ends_with_code_2_and_says_the_choices(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(project, monkeypatch, "--accept", "sales", "--accept", "sales.no_such") == 2
    said = capsys.readouterr().err
    assert "no --accept sales.no_such" in said
    assert [name for name in ("customers", *FINDINGS) if name not in said] == []


def test_the_command_the_page_and_the_alert_say_what_was_found(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write([], products(6), sales(20))
    assert command(project, monkeypatch) == 3
    assert "--accept customers.no_records" in " ".join(capsys.readouterr().err.split())
    page = (project.output / "dashboard.html").read_text(encoding="utf-8")
    alerts = (project.logs / "alerts" / "email_alerts.log").read_text(encoding="utf-8")
    for text in (page, alerts):
        words = " ".join(text.split())
        assert "no records, where the last load" in words
        assert "--accept customers.no_records" in words


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn(9), drawn(9), st.sampled_from(((), ("--full-refresh",))))
def test_held_back_is_as_it_was_and_accepted_is_as_without_a_gate(
    first: Sources, second: Sources, argv: Sequence[str]
) -> None:
    with TemporaryDirectory() as folder:
        gated = Project(Path(folder, "gated"), LOG_LEVEL="CRITICAL")
        free = Project(
            Path(folder, "free"), LOG_LEVEL="CRITICAL", MAX_REJECT_RATE="1", MIN_ROWS_RATE="0",
            MAX_REMOVED_RATE="1", MAX_PLACEHOLDER_RATE="1",
        )  # fmt: skip
        gated.run()
        for given_sources in (first, second):
            for project in (gated, free):
                project.write(*given_sources)
            before = everything(gated)
            summary = gated.run(*argv)
            if {source["status"] for source in summary["sources"]} == {"held back"}:
                assert everything(gated) == before
            assert summary["exit_code"] == (3 if found(summary) else 0), json.dumps(dict(summary))
            gated.run(*argv, *ACCEPT_ALL)
            free.run(*argv, *ACCEPT_ALL)
            assert gated.tables() == free.tables()


# --- statuses ----------------------------------------------------------------------------

JANUARY = ("--start-date", "2024-01-01", "--end-date", "2024-01-31")


def test_a_status_is_compared_without_case_and_blanks(project: Project) -> None:
    changed = sales(20)
    for n, status in enumerate((" Completed", "COMPLETED", "completed\t", "Shipped", "")):
        changed[n] = {**changed[n], "status": status}
    project.write(customers(12), products(6), changed)
    summary = project.run(*JANUARY)
    assert (summary["exit_code"], summary["notices"]) == (0, [])
    assert summary["tables"]["sales_fact"]["rows_read"] == 18
    assert summary["sources"][2]["skipped"] == {"Shipped": 1, "(none)": 1}


def test_sales_left_out_are_those_of_the_window(project: Project) -> None:
    shipped = sales(3, first=21, transaction_date="2024-02-01", status="shipped")
    project.write(customers(12), products(6), [*sales(20), *shipped])
    assert project.run("--date", "2024-01-02")["sources"][2]["skipped"] == {}
    both = ["--start-date", "2024-01-01", "--end-date", "2024-02-01"]
    assert project.run(*both)["sources"][2]["skipped"] == {"shipped": 3}


def test_sales_of_an_unknown_status_alone_are_held_back(project: Project) -> None:
    project.write(customers(12), products(6), sales(20, status="paid"))
    summary = assert_held(project, *JANUARY, by=["sales.left_out_for_status"])
    assert "every record was left out for its status: 20 paid" in summary["error"]
    assert summary["sources"][2]["skipped"] == {"paid": 20}
    assert project.run(*JANUARY, "--accept", "sales.left_out_for_status")["exit_code"] == 0


def test_more_sales_left_out_than_loaded_are_a_warning(project: Project) -> None:
    project.write(customers(12), products(6), [*sales(9), *sales(20, status="paid")[9:]])
    summary = project.run(*JANUARY)
    assert summary["exit_code"] == 0
    assert summary["notices"] == ["sales: 11 of 20 left out for their status: 11 paid"]


def test_other_statuses_and_returns_than_those_of_earlier_rows_are_a_notice(
    project: Project,
) -> None:
    (project.folder / "pipeline.toml").write_text(
        '[sources.sales]\nstatuses = ["Paid", "completed"]\n', encoding="utf-8"
    )
    project.settings["RETURNS"] = "load"
    returns, statuses = project.run()["notices"]
    assert "RETURNS is load, but rows of sales_fact were computed with reject" in returns
    assert "statuses of [sources.sales] is completed, paid, but rows" in statuses
    assert project.run("--full-refresh")["notices"] == []


# --- returns -----------------------------------------------------------------------------


def test_returns_are_set_aside_outside_the_reject_limit(project: Project) -> None:
    back = [*sales(3, quantity="-1", unit_price="533.8333"), *sales(17, first=4)]
    project.write(customers(12), products(6), back)
    summary = project.run(*JANUARY)
    assert summary["exit_code"] == 0
    assert summary["notices"] == ["sales: 3 returns rejected, -1601.49; RETURNS=load loads them"]
    assert {(r["error_class"], r["field"]) for r in project.rejected("sales")} == {
        ("return", "quantity")
    }
    assert summary["tables"]["sales_fact"]["rows_rejected"] == 3


@pytest.mark.parametrize("setting", ["reject", "load"])
def test_a_negative_price_is_a_return_that_is_never_loaded(project: Project, setting: str) -> None:
    project.settings["RETURNS"] = setting
    project.write(customers(12), products(6), [*sales(20), *sales(9, first=21, unit_price="-5")])
    summary = project.run(*JANUARY)
    assert summary["exit_code"] == 0
    assert "9 returns rejected, -90.00" in summary["notices"][0]
    assert ("RETURNS=load" in summary["notices"][0]) == (setting == "reject")


@every_engine
def test_returns_are_loaded_with_negative_amounts_and_are_no_first_sale(tmp_path: Path) -> None:
    project = Project(tmp_path, LOG_LEVEL="ERROR", RETURNS="load")
    gone = sales(1, customer_id="C9", quantity="-3", discount_amount="-1")  # and no sale besides
    back = sales(1, first=2, customer_id="C1", quantity="-1", transaction_date="2024-01-01")
    sold = sales(2, first=3, customer_id="C1", transaction_date="2024-01-02")
    project.write(customers(12), products(6), [*gone, *back, *sold])
    summary = project.run()
    assert (summary["exit_code"], summary["notices"]) == (0, [])
    columns = "transaction_id, total_amount, profit_amount, profit_margin, commission, value_tier"
    found = project.query(f"SELECT {columns}, customer_status FROM sales_fact ORDER BY 1")
    assert [tuple(map(str, row)) for row in found] == [
        ("T1", "-29.00", "1.00", "-0.0345", "-0.87", "Return", "Repeat"),
        ("T2", "-10.00", "0.00", "0.0000", "-0.30", "Return", "Repeat"),
        ("T3", "20.00", "0.00", "0.0000", "0.60", "Low Value", "First-time"),
        ("T4", "20.00", "0.00", "0.0000", "0.60", "Low Value", "Repeat"),
    ]
    sold[0] = {**sold[0], "quantity": "-2"}  # it turns out to have been a return
    project.write(customers(12), products(6, cost="12"), [*gone, *back, *sold])
    assert project.run()["exit_code"] == 0
    statuses = project.query("SELECT transaction_id, customer_status FROM sales_fact ORDER BY 1")
    assert statuses == [("T1", "Repeat"), ("T2", "Repeat"), ("T3", "Repeat"), ("T4", "First-time")]
    margins = "SELECT transaction_id, profit_amount, profit_margin FROM sales_fact ORDER BY 1"
    assert [tuple(map(str, row)) for row in project.query(margins)] == [
        ("T1", "7.00", "-0.2414"),
        ("T2", "2.00", "-0.2000"),
        ("T3", "4.00", "-0.2000"),
        ("T4", "-4.00", "-0.2000"),
    ]


@pytest.mark.parametrize("discount", ["1", "-21"])
def test_the_discount_of_a_return_lies_between_its_gross_and_nothing(
    project: Project, discount: str
) -> None:
    project.settings |= {"RETURNS": "load", "MAX_REJECT_RATE": "1"}
    project.write(customers(12), products(6), sales(4, quantity="-2", discount_amount=discount))
    assert project.run(*JANUARY)["tables"]["sales_fact"]["rows_rejected"] == 4


# --- before the end ----------------------------------------------------------------------


def nothing_but_quotes(project: Project, lines: int) -> Path:
    path = project.input / "customers.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(customers(1)[0]) + ",address\n" + '"\n' * lines)
    return path


def test_a_source_that_cannot_meet_its_reject_limit_is_not_read_to_its_end(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_reader, "MOST_READ_BYTES", 4096)
    lines = 100_000
    nothing_but_quotes(project, lines)
    summary = assert_held(project, by=["customers.reject_rate"])
    counts = summary["tables"]["customer_dim"]
    assert 1000 <= counts["rows_rejected"] == counts["rows_read"] < lines / 5
    assert f"{counts['rows_read']} of the first {counts['rows_read']} records" in summary["error"]
    assert "it was not read further" in summary["error"]
    assert len(project.rejected("customers")) == counts["rows_rejected"]
    assert summary["tables"]["sales_fact"]["rows_read"]


def test_a_source_whose_rejected_records_are_accepted_is_read_to_its_end(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_reader, "MOST_READ_BYTES", 4096)
    nothing_but_quotes(project, 10_000)
    names = ["customers.reject_rate", "customers.fewer_records"]
    words = [word for name in names for word in ("--accept", name)]
    summary = project.run(*words)
    assert len(project.rejected("customers")) == 10_000
    assert summary["tables"]["customer_dim"]["rows_rejected"] == 10_000

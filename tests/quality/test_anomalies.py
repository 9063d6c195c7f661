"""What is unusual about a run: what is reported, and what is not."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pipeline_runs import Project

from etl.engines.database import DatabaseManager
from etl.errors import ETLError
from etl.history.runs import FULL_REFRESH, INCREMENTAL, RunPlan
from etl.quality.anomalies import MIN_RUNS, baseline, detect_data_anomalies, without_early_volume
from etl.sources.window import EVERYTHING

NORMAL = [98, 103, 100, 99, 101, 100, 102, 97, 100, 104]


def found(metric: str, figure: float, earlier: Sequence[float]) -> list[dict[str, Any]]:
    current = {"tables": {"sales_fact": {metric: figure}}}
    return detect_data_anomalies(current, {"tables": {"sales_fact": {metric: list(earlier)}}})


def test_a_day_with_a_tenth_of_the_usual_rows_is_critical() -> None:
    (anomaly,) = found("rows_read", 10, NORMAL)
    assert anomaly == {
        "type": "volume", "table": "sales_fact", "severity": "critical", "metric": "rows_read",
        "figure": 10, "expected": 100, "threshold": 60, "runs": 10,
        "message": "sales_fact: 10 records read, usually 100 (unusual below 60)",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "figure", "usual", "kind", "severity"),
    [
        ("rows_read", 0, 100, "volume", "critical"),
        ("rows_read", 1000, 100, "volume", "warning"),
        ("rows_inserted", 5, 40, "volume", "critical"),
        ("error_rate", 0.06, 0.01, "error_rate", "critical"),
        ("error_rate", 0.035, 0.01, "error_rate", "warning"),
        ("quality_score", 80, 97, "quality", "critical"),
        ("quality_score", 94.5, 97, "quality", "warning"),
        ("seconds", 300, 60, "duration", "warning"),
    ],
)
def test_each_kind_is_found_with_its_severity(
    metric: str, figure: float, usual: float, kind: str, severity: str
) -> None:
    (anomaly,) = found(metric, figure, [usual] * 10)
    assert (anomaly["type"], anomaly["severity"]) == (kind, severity)


@pytest.mark.parametrize("usual", [100, 100.0, Decimal(100), (100,) * 10, [100] * 10])
def test_the_usual_figure_may_be_one_number_or_those_of_earlier_runs(usual: Any) -> None:
    current = {"tables": {"sales_fact": {"rows_read": 10}}}
    (anomaly,) = detect_data_anomalies(current, {"tables": {"sales_fact": {"rows_read": usual}}})
    assert (anomaly["severity"], anomaly["expected"]) == ("critical", 100)
    current["tables"]["sales_fact"]["rows_read"] = 101
    assert not detect_data_anomalies(current, {"tables": {"sales_fact": {"rows_read": usual}}})


@pytest.mark.parametrize(
    ("current", "baseline", "named"),
    [
        ({"sales_fact": {"rows_read": 1}}, {}, "'sales_fact'"),
        ({}, {"table": {}}, "'table'"),
        ({"tables": {"sales_fact": {"row_count": 1}}}, {}, "'row_count'"),
        ({"tables": {"sales_fact": 7}}, {}, "sales_fact is 7"),
        ({"tables": {"sales_fact": {"rows_read": "many"}}}, {}, "rows_read is 'many'"),
        ({"tables": {"sales_fact": {"rows_read": float("nan")}}}, {}, "rows_read is nan"),
        ({}, {"tables": {"sales_fact": {"rows_read": [1, None]}}}, "rows_read is None"),
        ({"tables": [1]}, {}, "no tables"),
        (None, {}, "no tables"),
    ],
)
def test_what_is_not_known_is_refused_with_a_sentence(
    current: Any, baseline: Any, named: str
) -> None:
    with pytest.raises(ETLError, match="anomalies cannot be looked for") as caught:
        detect_data_anomalies(current, baseline)
    assert named in str(caught.value)
    assert caught.value.choices


@pytest.mark.parametrize(
    ("metric", "figure", "usual"),
    [
        ("rows_read", 101, 100),
        ("rows_read", 70, 100),
        ("rows_read", 3, 1),
        ("error_rate", 0.011, 0.01),
        ("error_rate", 0, 0.3),  # fewer errors than ever are no alarm
        ("quality_score", 96.9, 97),
        ("quality_score", 100, 50),
        ("seconds", 9, 0.3),
        ("seconds", 1, 600),
    ],
)
def test_a_history_without_scatter_does_not_cry_at_a_small_or_a_good_change(
    metric: str, figure: float, usual: float
) -> None:
    assert found(metric, figure, [usual] * 10) == []


def test_nothing_is_said_before_every_weekday_has_been_seen() -> None:
    assert MIN_RUNS == 7
    assert found("rows_read", 10, [100] * 6) == []
    assert len(found("rows_read", 10, [100] * 7)) == 1


def test_weekends_are_a_pattern_and_no_anomaly() -> None:
    weeks = [100, 100, 100, 100, 100, 30, 30] * 3
    assert found("rows_read", 30, weeks) == []
    assert len(found("rows_read", 10, weeks)) == 1


def test_one_odd_run_in_the_history_hides_nothing_and_changes_nothing() -> None:
    assert len(found("rows_read", 10, [50_000, *NORMAL])) == 1
    assert len(found("rows_read", 10, [10, *NORMAL])) == 1
    assert found("rows_read", 100, [50_000, *NORMAL]) == []


def test_a_poor_day_is_reported_once_though_read_and_new_rows_both_show_it() -> None:
    current = {"tables": {"sales_fact": {"rows_read": 10, "rows_inserted": 10}}}
    known = {"tables": {"sales_fact": {"rows_read": NORMAL, "rows_inserted": NORMAL}}}
    assert [a["metric"] for a in detect_data_anomalies(current, known)] == ["rows_read"]


def test_the_critical_ones_come_first_and_the_same_figures_give_the_same_list() -> None:
    current = {"tables": {"all": {"seconds": 500}, "sales_fact": {"rows_read": 1}}}
    known = {"tables": {"all": {"seconds": [50] * 9}, "sales_fact": {"rows_read": NORMAL}}}
    first = detect_data_anomalies(current, known)
    assert [a["severity"] for a in first] == ["critical", "warning"]
    assert first == detect_data_anomalies(current, known)


@pytest.mark.parametrize("known", [{}, {"tables": {}}, {"tables": {"sales_fact": {}}}])
def test_without_a_history_nothing_is_said(known: dict[str, Any]) -> None:
    assert detect_data_anomalies({"tables": {"sales_fact": {"rows_read": 0}}}, known) == []
    assert detect_data_anomalies({}, known) == []


# --- from the history of real runs ---------------------------------------------------------


def sales_of(day: int, rows: int) -> list[dict[str, str | None]]:
    return [
        {"transaction_id": f"T{day:02}-{n}", "customer_id": "C1", "product_id": "P1",
         "quantity": "1", "unit_price": "10.00", "transaction_date": f"2024-01-{day:02}"}
        for n in range(rows)
    ]  # fmt: skip


def test_a_poor_day_after_ten_normal_ones_is_in_the_summary(tmp_path: Path) -> None:
    project = Project(tmp_path, LOG_LEVEL="ERROR")
    rows = {day: 40 + day % 3 for day in range(1, 11)} | {11: 4}
    project.write(sales=[sale for day, count in rows.items() for sale in sales_of(day, count)])
    reported = {day: project.run("--date", f"2024-01-{day:02}")["anomalies"] for day in rows}
    (anomaly,) = reported.pop(11)
    assert (anomaly["type"], anomaly["table"]) == ("volume", "sales_fact")
    assert anomaly["severity"] == "critical"
    assert anomaly["figure"] == 4
    assert not any(reported.values())


def plan(mode: str, *, run_id: str = "29990101T000000.000000Z") -> RunPlan:
    return RunPlan(run_id, "dev", mode, EVERYTHING, datetime(2024, 1, 31))


def test_the_baseline_is_of_successful_runs_of_the_same_kind(tmp_path: Path) -> None:
    project = Project(tmp_path, LOG_LEVEL="CRITICAL")
    project.write(sales=sales_of(1, 3))
    project.run("--full-refresh")
    project.run()
    (project.input / "products.json").unlink()
    project.run("--full-refresh")
    with DatabaseManager(project.connection_string) as db:
        usual = baseline(db, plan(FULL_REFRESH))
        assert baseline(db, plan(FULL_REFRESH, run_id="0"))["runs"] == 0
    assert usual["runs"] == 1
    assert usual["tables"]["sales_fact"]["rows_read"] == [3]
    assert len(usual["tables"]["all"]["seconds"]) == 1
    assert 0 < usual["tables"]["customer_dim"]["quality_score"][0] <= 100


def test_a_run_again_soon_after_is_not_checked_against_a_whole_day_of_new_sales() -> None:
    nights = [datetime(2024, 1, day, 2) for day in range(1, 9)]
    metrics = {"sales_fact": {"rows_inserted": 0.0, "rows_read": 9.0}}
    again = without_early_volume(metrics, nights[-1] + timedelta(hours=1), nights)
    assert again == {"sales_fact": {"rows_read": 9.0}}
    assert without_early_volume(metrics, nights[-1] + timedelta(days=1), nights) == metrics


def test_a_feed_that_brings_nothing_new_is_reported_by_a_plain_run() -> None:
    known = {"tables": {"sales_fact": {"rows_inserted": NORMAL}}}
    (anomaly,) = detect_data_anomalies({"tables": {"sales_fact": {"rows_inserted": 0}}}, known)
    assert anomaly["message"] == "sales_fact: 0 new rows, usually 100 (unusual below 60)"
    assert plan(INCREMENTAL).moves_watermark

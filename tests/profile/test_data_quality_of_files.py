"""The public face of quality figures: what is valid, what it scores, how it is written."""

import csv
import json
from pathlib import Path

import pytest

from etl.data_quality import QualityMetrics, analyze_csv_quality, compare_quality
from etl.errors import ConfigurationError

GOOD = [f"O{n},{n % 5 + 1},{n}.50,2024-01-{n + 1:02d},a{n}@x.org" for n in range(27)]
BAD = [
    "O27,two,1.00,2024-01-01,a@x.org",  # no number
    "O28,0,1.00,2024-01-01,a@x.org",  # no piece
    "O29,1,-1.00,yesterday,a@x.org",  # a negative price, and no date
    "O30,1,,2024-01-01,nobody",  # no address; a missing price is no fault of validity
    "O30,1,1.00,2024-01-01,a@x.org",  # the key of another one
    "broken",
]


def metrics_of(folder: Path, *lines: str) -> QualityMetrics:
    path = folder / "orders.csv"
    header = "order_id,quantity,price,placed_on,email"
    path.write_text("\n".join((header, *lines)) + "\n", encoding="utf-8")
    return analyze_csv_quality(path)


def test_records_are_valid_that_can_be_read_and_keep_all_rules(tmp_path: Path) -> None:
    found = metrics_of(tmp_path, *GOOD, *BAD)
    assert (found.total_records, found.valid_records, found.invalid_records) == (33, 28, 5)
    assert [(v.column, v.rule, v.records) for v in found.violations] == [
        ("quantity", "is a number", 1),
        ("quantity", "is positive", 1),
        ("price", "is not negative", 1),
        ("placed_on", "is a date", 1),
        ("email", "is an e-mail address", 1),
    ]
    assert (found.duplicate_records, found.null_counts["price"]) == (1, 1)


def test_the_overall_score_weighs_the_three_others(tmp_path: Path) -> None:
    found = metrics_of(tmp_path, *GOOD, *BAD)
    scores = (found.completeness_score, found.validity_score, found.consistency_score)
    assert scores == (99.38, 84.85, 96.88)
    assert found.overall_score == round(0.4 * 99.38 + 0.4 * 84.85 + 0.2 * 96.88, 2)
    other = analyze_csv_quality(tmp_path / "orders.csv", weights={"validity": 2})
    assert other.overall_score == other.validity_score


def test_a_clean_file_scores_100(tmp_path: Path) -> None:
    assert metrics_of(tmp_path, *GOOD).overall_score == 100


def test_the_summary_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    metrics_of(tmp_path, *GOOD, *BAD).print_summary()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "orders.csv: 93.07 of 100"
    assert "  33 records: 28 valid, 5 invalid, 1 duplicates" in lines
    assert "  quantity is positive: not so in 1" in lines


def test_a_report_is_written_as_its_name_ends(tmp_path: Path) -> None:
    found = metrics_of(tmp_path, *GOOD, *BAD)
    report = json.loads(found.save_report(tmp_path / "quality.json").read_text("utf-8"))
    assert report["overall_score"] == found.overall_score
    assert report["field_statistics"]["price"]["nulls"] == 1
    with found.save_report(tmp_path / "quality.csv").open(encoding="utf-8") as file:
        assert [row["name"] for row in csv.DictReader(file)] == list(found.null_counts)
    page = found.save_dashboard(tmp_path / "quality.html").read_text("utf-8")
    assert "quantity is positive" in page and "consistency" in page and "<script" not in page


def test_two_files_are_compared_by_their_figures(tmp_path: Path) -> None:
    before, after = metrics_of(tmp_path, *GOOD, *BAD), metrics_of(tmp_path, *GOOD)
    assert compare_quality(before, after)["valid_records"] == {
        "before": 28, "after": 27, "change": -1,
    }  # fmt: skip


def test_an_unknown_score_is_refused(tmp_path: Path) -> None:
    metrics_of(tmp_path, *GOOD)
    with pytest.raises(ConfigurationError, match=r"no score beauty\. Choices: completeness"):
        analyze_csv_quality(tmp_path / "orders.csv", weights={"beauty": 1})

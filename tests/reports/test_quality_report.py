"""The quality report shows what comes from the data, and obeys none of it."""

import json
from pathlib import Path
from typing import Any

from hostile_entries import with_every_text
from sample_journal import sample_journal

from etl.reports.quality import HTML_REPORT, html_report, write_report

# What moves a cursor, ends a line, turns text around or is no character at all.
OBEYED = [
    *map(chr, (*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A))),
    "\udfff", "\ud800",
]  # fmt: skip


def report_of(text: str) -> dict[str, Any]:
    """A report in which every text is this one, the names of the scores too."""
    entry = sample_journal(5, last="attention")[-1]
    quality = entry["quality"]
    facts = {"run_id": "", "environment": "", "window": "", "warehouse": "", "finished_at": ""}
    whole = with_every_text(lambda _: text, {**facts, **quality, "anomalies": entry["anomalies"]})
    whole |= {"scores": {text: 90.0}, "dimension_scores": {text: {text: 80.0}}}
    check = {**whole["checks"][0], "status": "failed", "examples": [text]}
    return {**whole, "passed": False, "checks": [check, *whole["checks"]]}


def test_no_control_character_and_no_turned_text_gets_into_the_page() -> None:
    for obeyed in OBEYED:
        page = html_report(report_of(f"before{obeyed}after"))
        assert obeyed not in page or obeyed == "\n", ascii(obeyed)
        assert f"before{obeyed}after" not in page, ascii(obeyed)
        assert f"before{ascii(obeyed)[1:-1]}after" in page


def test_a_page_of_such_texts_can_be_written(tmp_path: Path) -> None:
    text = "".join(OBEYED)
    report = report_of(text)
    anomalies = report.pop("anomalies")
    as_json, page = write_report(tmp_path, report, anomalies)
    assert page.name == HTML_REPORT
    assert not set(page.read_text("utf-8")) & set(OBEYED) - {"\n"}
    assert json.loads(as_json.read_text("utf-8"))["run_id"] == text

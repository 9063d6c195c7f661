"""The quality checks of a run as files: JSON for programs, HTML for people."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from etl.files import write_atomically
from etl.history.judged import Anomaly, Check
from etl.reports.checks import checks_in_words, scores
from etl.reports.headline import BAD, GOOD, WARN
from etl.reports.page import render
from etl.words import counted

JSON_REPORT, HTML_REPORT = "quality_report.json", "quality_report.html"

_FACTS = ("run_id", "environment", "window", "warehouse", "finished_at")


def write_report(
    folder: Path, report: Mapping[str, Any], anomalies: Sequence[Mapping[str, Any]] = ()
) -> tuple[Path, Path]:
    """Write the report of the newest run, each file whole or not at all.

    Args:
        folder: where it goes; made when missing.
        report: `run_id`, `environment`, `window`, `warehouse`, `finished_at`, and what
            `run_data_quality_checks` returned; `validation`, what was checked of the records
            before they were loaded.
        anomalies: what `detect_data_anomalies` returned.

    Returns:
        The JSON file and the HTML file.

    Raises:
        OSError: a file cannot be written.
    """
    content = {**report, "anomalies": list(anomalies)}
    text = json.dumps(content, indent=2, default=str) + "\n"
    return (
        write_atomically(folder / JSON_REPORT, text),
        write_atomically(folder / HTML_REPORT, html_report(content)),
    )


def html_report(report: Mapping[str, Any]) -> str:
    """Return the report as one page that needs nothing else; everything from the data is escaped.

    Example:
        >>> page = html_report({"run_id": "<r1>", "passed": True, "checks": [], "scores": {}})
        >>> "&lt;r1&gt;" in page, "<r1>" in page
        (True, False)
    """
    checks = checks_in_words([Check.from_dict(check) for check in report["checks"]])
    before = checks_in_words([Check.from_dict(each) for each in report.get("validation", ())])
    state, verdict = _verdict(passed=report["passed"], to_look_at=len(checks.broken))
    page = render(
        "quality_report.html",
        run_id=report["run_id"],
        state=state,
        verdict=verdict,
        facts=[(name.replace("_", " "), report[name]) for name in _FACTS if name in report],
        checks=checks,
        before=(*before.broken, *before.others),
        anomalies=[Anomaly.from_dict(each) for each in report.get("anomalies", ())],
        scores=scores(report.get("scores") or {}, report.get("dimension_scores") or {}),
    )
    return str(page)


def _verdict(*, passed: bool, to_look_at: int) -> tuple[str, str]:
    found = f"{counted(to_look_at, 'check')} to look at"
    if not passed:
        return BAD, f"Failed: {found}"
    return (WARN, f"Passed, {found}") if to_look_at else (GOOD, "Passed")

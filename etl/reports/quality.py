"""The quality checks of a run as files: JSON for programs, HTML for people."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from etl.files import write_atomically

JSON_REPORT, HTML_REPORT = "quality_report.json", "quality_report.html"

_STYLE = """
:root { color-scheme: light dark; --line: #d0d7de; --soft: #57606a; --panel: #f6f8fa;
  --passed: #1a7f37; --info: #0969da; --warning: #9a6700; --failed: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --line: #3d444d; --soft: #9198a1; --panel: #151b23;
  --passed: #3fb950; --info: #4493f8; --warning: #d29922; --failed: #f85149; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
  background: Canvas; color: CanvasText; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p.facts { color: var(--soft); margin: .25rem 0 1.5rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; color: var(--soft); padding-bottom: .25rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem;
  border-bottom: 1px solid var(--line); }
th { background: var(--panel); } td.number, th.number { text-align: right;
  font-variant-numeric: tabular-nums; }
td.name { font-family: ui-monospace, monospace; font-size: .9em; }
.passed { color: var(--passed); } .info { color: var(--info); }
.warning { color: var(--warning); font-weight: 600; } .failed, .critical { color: var(--failed);
  font-weight: 600; }
code { overflow-wrap: anywhere; }
"""
_ORDER = {"failed": 0, "warning": 1, "info": 2, "passed": 3}


def write_report(
    folder: Path, report: Mapping[str, Any], anomalies: Sequence[Mapping[str, Any]] = ()
) -> tuple[Path, Path]:
    """Writes the report of the newest run, each file whole or not at all.

    Args:
        folder: where it goes; made when missing.
        report: `run_id`, `environment`, `window`, `warehouse`, `finished_at`, and what
            `run_data_quality_checks` returned.
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
    """The report as one page that needs nothing else; everything from the data is escaped.

    Example:
        >>> page = html_report({"run_id": "<r1>", "passed": True, "checks": [], "scores": {}})
        >>> "&lt;r1&gt;" in page, "<r1>" in page
        (True, False)
    """
    run_id = escape(str(report["run_id"]))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Data quality, run {run_id}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Data quality: {_verdict(report)}</h1>\n{_facts(report)}"
        f"{_scores(report)}{_anomalies(report)}{_checks(report)}</body>\n</html>\n"
    )


def _verdict(report: Mapping[str, Any]) -> str:
    if not report["passed"]:
        return '<span class="failed">failed</span>'
    told = sum(check["status"] != "passed" for check in report["checks"])
    word = f'passed, <span class="warning">{told} to look at</span>' if told else "passed"
    return f'<span class="passed">{word}</span>'


def _facts(report: Mapping[str, Any]) -> str:
    names = ("run_id", "environment", "window", "warehouse", "finished_at")
    facts = [
        f"{name.replace('_', ' ')}: {escape(str(report[name]))}" for name in names if name in report
    ]
    return f'<p class="facts">{" · ".join(facts)}</p>\n'


def _scores(report: Mapping[str, Any]) -> str:
    dimensions: Mapping[str, Mapping[str, float]] = report.get("dimension_scores") or {}
    names = sorted({name for parts in dimensions.values() for name in parts})
    rows = [
        [(scored, "name"), (f"{score:.1f}", "number"),
         *((_score(dimensions.get(scored, {}), name), "number") for name in names)]
        for scored, score in (report.get("scores") or {}).items()
    ]  # fmt: skip
    return _table(
        "Scores", ["source or table", "score", *names], rows,
        "0 to 100. Of a source: the share of its records that were not rejected. Of a table: the "
        "mean over its dimensions, each the mean share of rows that keep its rules.",
    )  # fmt: skip


def _score(scores: Mapping[str, float], name: str) -> str:
    return f"{scores[name]:.1f}" if name in scores else ""


def _anomalies(report: Mapping[str, Any]) -> str:
    rows = [
        [(each["severity"], each["severity"]), (each["type"], ""), (each["message"], "")]
        for each in report.get("anomalies", ())
    ]
    headings = ["severity", "type", "what is unusual"]
    return _table("Anomalies", headings, rows, "held against earlier runs of the same kind")


def _checks(report: Mapping[str, Any]) -> str:
    ordered = sorted(report["checks"], key=lambda c: (_ORDER.get(c["status"], 0), c["name"]))
    rows = [
        [(check["status"], check["status"]), (check["name"], "name"), (check["dimension"], ""),
         (check["severity"], ""), (f"{check['value']:g}", "number"),
         (f"{check['threshold']:g}", "number"), (check["message"], ""),
         (", ".join(check["examples"]), "name")]
        for check in ordered
    ]  # fmt: skip
    headings = ["status", "check", "of", "severity", "value", "passes up to", "finding", "examples"]
    return _table("Checks", headings, rows, "what failed comes first")


def _table(
    title: str, headings: Sequence[str], rows: Sequence[Sequence[tuple[str, str]]], caption: str
) -> str:
    """A table of cells, each with its text and its class; nothing when there are no rows."""
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in headings)
    body = "\n".join(f"<tr>{''.join(_cell(*cell) for cell in row)}</tr>" for row in rows)
    return (
        f'<h2>{escape(title)}</h2>\n<div class="scroll"><table>\n'
        f"<caption>{escape(caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>\n"
    )


def _cell(text: str, kind: str) -> str:
    return f'<td class="{escape(kind)}">{escape(text)}</td>' if kind else f"<td>{escape(text)}</td>"

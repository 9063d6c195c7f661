"""What a person sees: progress while it runs, and the summary at the end."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from etl.history.runs import flaws_in_words

_COUNTS = (
    ("read", "rows_read"),
    ("inserted", "rows_inserted"),
    ("updated", "rows_updated"),
    ("unchanged", "rows_unchanged"),
    ("rejected", "rows_rejected"),
    ("duplicates", "rows_duplicate"),
)
_LAST_COUNT = "duplicates"
# What a check that fails nothing is called, by its status.
_REPORTED = {"warning": "warning", "info": "note"}
_EXTRAS = (
    ("inferred", "rows_inferred"),
    ("restated", "rows_restated"),
    ("vanished", "rows_vanished"),
    ("removed", "rows_removed"),
)


@contextmanager
def progress(names: tuple[str, ...], *, enabled: bool) -> Iterator[Callable[[str, int], None]]:
    """Shows rows read per source on a terminal; elsewhere nothing, the log lines tell.

    Args:
        names: the sources.
        enabled: False when the output is for a program.

    Yields:
        A function that takes a source and how many more rows were read.
    """
    console = Console(stderr=True)
    if not (enabled and console.is_terminal):
        yield lambda source, rows: None
        return
    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description:<10}"),
        TextColumn("{task.completed:>12,} rows read"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        tasks = {name: bars.add_task(name, total=None) for name in names}
        yield lambda source, rows: bars.advance(tasks[source], rows)


def _stdout() -> Console:
    if isinstance(sys.stdout, TextIOWrapper):  # a header may be quoted in any script
        sys.stdout.reconfigure(errors="backslashreplace")
    return Console(file=sys.stdout, highlight=False)


def print_health(report: Mapping[str, Any]) -> None:
    """Prints what a health check has found on stdout, as a table."""
    colours = {"passed": "green", "warning": "yellow", "failed": "red"}
    table = Table(header_style="bold")
    for heading in ("check", "status", "finding"):
        table.add_column(heading, overflow="fold")
    for check in report["checks"]:
        status = Text(check["status"], style=colours[check["status"]])
        # as Text, since what is in brackets would be taken for markup
        table.add_row(check["name"], status, Text(check["message"]))
    console = _stdout()
    console.print(table)
    console.print(f"{report['status']}, exit code {report['exit_code']}", markup=False)


def print_summary(summary: Mapping[str, Any]) -> None:
    """Prints the summary of a run on stdout, as tables."""
    console = _stdout()
    console.print()
    console.print(_counts_table(summary))
    for anomaly in summary["anomalies"]:
        console.print(f"UNUSUAL {anomaly['message']}", markup=False, soft_wrap=True)
    console.print(_stages_table(summary))
    for line in _closing_lines(summary):
        console.print(line, markup=False, soft_wrap=True)


def _counts_table(summary: Mapping[str, Any]) -> Table:
    sources = summary["sources"]
    counts = [summary["tables"][source["table"]] for source in sources]
    table = Table(title=_title(summary), title_justify="left", header_style="bold")
    table.add_column("")
    for source in sources:
        table.add_column(source["source"], justify="right")
    table.add_row("table", *(source["table"] for source in sources))
    table.add_row("status", *(_status(source["status"]) for source in sources), end_section=True)
    extras = [(name, key) for name, key in _EXTRAS if any(row[key] for row in counts)]
    for name, key in (*_COUNTS, *extras):
        table.add_row(name, *(f"{row[key]:,}" for row in counts), end_section=name == _LAST_COUNT)
    table.add_row("seconds", *(f"{row['seconds']:.2f}" for row in counts))
    return table


def _title(summary: Mapping[str, Any]) -> str:
    return f"{summary['environment']}, {summary['window']}"


def _status(status: str) -> str:
    colour = {"loaded": "green", "dry run": "cyan"}.get(status, "red")
    return f"[{colour}]{status}[/{colour}]"


def _stages_table(summary: Mapping[str, Any]) -> Table:
    table = Table(header_style="bold")
    table.add_column("stage")
    for name in ("seconds", "records", "errors", "error rate", "records/s"):
        table.add_column(name, justify="right")
    for name, stage in summary["metrics"]["stages"].items():
        table.add_row(
            name, f"{stage['seconds']:.2f}", f"{stage['records']:,}", f"{stage['errors']:,}",
            f"{stage['error_rate']:.1%}", f"{stage['records_per_second']:,.0f}",
        )  # fmt: skip
    return table


def _closing_lines(summary: Mapping[str, Any]) -> Iterator[str]:
    metrics = summary["metrics"]
    yield (
        f"{metrics['total_records']:,} records in {metrics['total_seconds']:.1f} s, "
        f"peak memory {metrics['peak_memory_mb']:.0f} MB"
    )
    yield f"warehouse: {summary['warehouse']}"
    for source in summary["sources"]:
        if source["rejected_file"]:
            yield f"rejected {source['source']}: {source['rejected_file']}"
    for source in summary["sources"]:
        if source["notes"]:
            yield f"{source['source']} loaded with {flaws_in_words(source['notes'])}"
    for check in summary["quality"]["checks"]:
        if check["status"] in _REPORTED:
            yield f"{_REPORTED[check['status']]}: check {check['name']}: {check['message']}"
    for path in summary["exported"]:
        yield f"exported: {path}"
    if summary["page"]:
        yield f"page over the latest runs: {summary['page']}"
    for line in summary["attention"]:
        yield f"LOOK AT {line}"
    yield f"run {summary['run_id']}: {summary['status']}, exit code {summary['exit_code']}"

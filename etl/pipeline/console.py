"""What a person sees: progress while it runs, and the summary at the end."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from etl.history.runs import flaws_in_words
from etl.history.summary import RunSummary, SourceOutcome, TableCounts
from etl.reports.checks import scope_words
from etl.words import count_words

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
    ("not loaded", "rows_not_loaded"),
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


@contextmanager
def output() -> Iterator[None]:
    """Print on stdout; a reader who stops early, such as `head`, ends it without an error."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # what is still in the buffer must not fail at the end of the process
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Stdout(Console):
    def on_broken_pipe(self) -> None:  # by itself it would end the process with code 1
        raise BrokenPipeError


def _stdout() -> Console:
    if isinstance(sys.stdout, TextIOWrapper):  # a header may be quoted in any script
        sys.stdout.reconfigure(errors="backslashreplace")
    return _Stdout(file=sys.stdout, highlight=False)


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


def print_summary(summary: RunSummary) -> None:
    """Print the summary of a run on stdout, as tables."""
    console = _stdout()
    console.print()
    console.print(_counts_table(summary))
    for anomaly in summary.anomalies:
        console.print(f"unusual: {anomaly.message}", markup=False, soft_wrap=True)
    console.print(_stages_table(summary))
    for line in _closing_lines(summary):
        console.print(line, markup=False, soft_wrap=True)


def _counts_table(summary: RunSummary) -> Table:
    tables = [table for s in summary.sources if (table := summary.table(s.table))]
    shown = Table(title=_title(summary), title_justify="left", header_style="bold")
    shown.add_column("")
    for each in tables:
        shown.add_column(each.source, justify="right")
    shown.add_row("table", *(each.name for each in tables))
    shown.add_row("status", *(_status(each.status) for each in tables), end_section=True)
    extras = [(name, key) for name, key in _EXTRAS if any(each.count(key) for each in tables)]
    for name, key in (*_COUNTS, *extras):
        shown.add_row(name, *_counts(tables, key), end_section=name == _LAST_COUNT)
    shown.add_row("seconds", *(f"{each.seconds or 0:.2f}" for each in tables))
    return shown


def _counts(tables: Iterable[TableCounts], name: str) -> Iterator[str]:
    return (count_words(table.count(name)) for table in tables)


def _title(summary: RunSummary) -> str:
    return f"{summary.environment}, {summary.window}"


def _status(status: str) -> str:
    colour = {"loaded": "green", "dry run": "cyan"}.get(status, "red")
    return f"[{colour}]{status}[/{colour}]"


def _stages_table(summary: RunSummary) -> Table:
    table = Table(header_style="bold")
    table.add_column("stage")
    for name in ("seconds", "records", "errors", "error rate", "records/s"):
        table.add_column(name, justify="right")
    for stage in summary.stages:
        counts = [count_words(stage.records), count_words(stage.errors)]
        rates = [f"{stage.error_rate or 0:.1%}", f"{stage.records_per_second or 0:,.0f}"]
        if not stage.records:  # validation looks at tables, not at records
            counts[0], rates = "", ["", ""]
        table.add_row(stage.name, f"{stage.seconds or 0:.2f}", *counts, *rates)
    return table


def _closing_lines(summary: RunSummary) -> Iterator[str]:
    yield (
        f"{count_words(summary.measured.records)} records in {summary.seconds or 0:.1f} s, "
        f"peak memory {summary.peak_memory_mb or 0:.0f} MB"
    )
    yield f"warehouse: {summary.warehouse}"
    for source in summary.sources:
        if source.rejected_file:
            yield f"rejected {source.source}: {source.rejected_file}"
    for source in summary.sources:
        if source.notes:
            yield f"{source.source} loaded with {flaws_in_words(source.notes)}"
    for source in summary.sources:
        yield from _noticed(source)
    yield from _checked(summary)
    for path in summary.exported:
        yield f"exported: {path}"
    if summary.page:
        yield f"page over the latest runs: {summary.page}"
    for line in summary.notices:
        yield f"note: {line}"
    for line in summary.attention:
        yield f"WARNING: {line}"
    yield f"run {summary.run_id}: {summary.status}, exit code {summary.exit_code}"


def _noticed(source: SourceOutcome) -> Iterator[str]:
    if source.unchanged_since:
        yield f"{source.source}: unchanged since run {source.unchanged_since}, not loaded again"
    if source.found:
        yield f"{source.source}: {', '.join(source.found)}"
    yield from (f"note: {source.source}: {warning}" for warning in source.warnings)


def _checked(summary: RunSummary) -> Iterator[str]:
    if scope := scope_words(summary.checks):
        yield f"checked {scope}"
    for check in summary.checks:
        if check.status in _REPORTED:
            yield f"{_REPORTED[check.status]}: check {check.name}: {check.message}"

"""The summary of a run as a person reads it: one table, what needs somebody, and a last line."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from etl.errors import EXIT_OK
from etl.history.audit import LOADED, PREVIEWED
from etl.history.judged import Check
from etl.history.mart_outcomes import marts_words
from etl.history.outcomes import SourceOutcome, TableCounts
from etl.history.runs import flaws_in_words
from etl.history.summary import RunSummary
from etl.pipeline.stages import EXTRACTION, LOADING, TRANSFORMATION, VALIDATION
from etl.reports.checks import scope_words
from etl.words import count_words, counted, printable, seconds_words

_COUNTS = (
    ("read", "rows_read"),
    ("inserted", "rows_inserted"),
    ("updated", "rows_updated"),
    ("unchanged", "rows_unchanged"),
    ("rejected", "rows_rejected"),
    ("duplicates", "rows_duplicate"),
)
# shown where there are any
_EXTRAS = (
    ("superseded", "rows_superseded"),
    ("removals", "rows_removals"),
    ("not loaded", "rows_not_loaded"),
    ("inferred", "rows_inferred"),
    ("restated", "rows_restated"),
    ("vanished", "rows_vanished"),
    ("removed", "rows_removed"),
)
_ORDER = {name: n for n, name in enumerate((EXTRACTION, TRANSFORMATION, LOADING, VALIDATION))}
_STATUS_STYLES = {LOADED: "green", PREVIEWED: "cyan"}
_BAD, _DOUBTFUL, _NOTED = "bold red", "yellow", "cyan"
_FIRST_WIDTH, _COLUMN_WIDTH = 22, 14  # of the table, at the most


@dataclass(frozen=True)
class _Said:
    """One thing to say: what it is, about what, and further lines such as paths."""

    label: str
    text: str
    style: str = _NOTED
    more: tuple[str, ...] = ()


def print_summary(
    summary: RunSummary, console: Console, *, again: str = "", verbose: bool = False
) -> None:
    """Print the summary of a run.

    Args:
        summary: of the run.
        console: where to.
        again: the command that does the same run once more.
        verbose: whether to say also what needs nobody.
    """
    _print_counts(summary, console)
    for said in _needed(summary):
        _print_said(console, said)
    if verbose:
        for said in _further(summary):
            _print_said(console, said)
        console.print(_stages_table(summary))
    if summary.exit_code != EXIT_OK and again:
        _print_said(console, _Said("then run", again, _BAD))
    _print_last(summary, console)


def _print_said(console: Console, said: _Said) -> None:
    text = Text.assemble((f"{said.label}: ", said.style), printable(said.text))
    console.print(text, soft_wrap=True)
    for line in said.more:
        console.print(Text(f"  {printable(line)}"), soft_wrap=True)


def _print_last(summary: RunSummary, console: Console) -> None:
    measured = summary.measured
    style = "bold green" if summary.exit_code == EXIT_OK else _BAD
    console.print(
        Text.assemble(
            (summary.status, style),
            f": {counted(measured.records or 0, 'record')} in {seconds_words(summary.seconds)}, "
            f"{measured.records_per_second or 0:,.0f} records/s, exit code {summary.exit_code}",
        ),
        soft_wrap=True,
    )


# --- the table ---------------------------------------------------------------------------


def _print_counts(summary: RunSummary, console: Console) -> None:
    title = f"{summary.environment}, {summary.window}, run {summary.run_id}"
    console.print(Text(title, style="bold"), soft_wrap=True)
    pairs = [(each, table) for each in summary.sources if (table := summary.table(each.table))]
    most = max((console.width - _FIRST_WIDTH) // _COLUMN_WIDTH, 1)
    for start in range(0, len(pairs), most):
        console.print(_counts_table(pairs[start : start + most]))


def _counts_table(pairs: Sequence[tuple[SourceOutcome, TableCounts]]) -> Table:
    shown = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    shown.add_column("")
    for source, _ in pairs:
        shown.add_column(Text(source.source), justify="right")
    tables = [table for _, table in pairs]
    shown.add_row("status", *(Text(s.status, style=_style_of(s.status)) for s, _ in pairs))
    extras = [(name, key) for name, key in _EXTRAS if any(each.count(key) for each in tables)]
    for name, key in (*_COUNTS, *extras):
        shown.add_row(name, *(_figure(table.count(key)) for table in tables))
    for status in dict.fromkeys(each for source, _ in pairs for each in source.skipped):
        counts = (_figure(n) if (n := s.skipped.get(status)) else "" for s, _ in pairs)
        shown.add_row(Text(f"left out: {printable(status)}", overflow="ellipsis"), *counts)
    shown.add_row("seconds", *(f"{each.seconds or 0:.2f}" for each in tables))
    return shown


def _style_of(status: str) -> str:
    return _STATUS_STYLES.get(status, _BAD)


def _figure(count: int | None) -> Text:
    return Text(count_words(count), style="" if count else "dim")


# --- what needs somebody -----------------------------------------------------------------


def _needed(summary: RunSummary) -> Iterator[_Said]:
    """Errors first, then what to look at, then what to know."""
    sources = summary.sources
    for source in summary.failed_sources:
        yield _Said(source.status, source.named_message, _BAD, _paths(source))
    for check in summary.failed_checks:
        yield _Said("check failed", _of_check(check), _BAD)
    yield from (_Said("look at", line, _BAD) for line in _other_attention(summary))
    for check in summary.checks:
        if check.status == "warning":
            yield _Said("warning", f"check {_of_check(check)}", _DOUBTFUL)
    yield from (_Said("unusual", each.message, _DOUBTFUL) for each in summary.anomalies)
    for source in sources:
        yield from (
            _Said("look at", f"{source.source}: {each}", _DOUBTFUL) for each in source.warnings
        )
    yield from (_Said("note", line) for line in summary.notices)
    if summary.marts:
        yield _Said("marts", marts_words(summary.marts))
    for source in sources:
        if source.loaded and source.rejected_file:
            yield _Said(f"rejected {source.source}", source.rejected_file, _DOUBTFUL)
    yield from (_Said("exported", path) for path in summary.exported)


def _paths(source: SourceOutcome) -> tuple[str, ...]:
    return (f"rejected records: {source.rejected_file}",) if source.rejected_file else ()


def _of_check(check: Check) -> str:
    return f"{check.name}: {check.message}"


def _other_attention(summary: RunSummary) -> Iterator[str]:
    """What of the attention is neither a source nor a check."""
    said = {source.named_message for source in summary.failed_sources}
    said |= {f"check {_of_check(check)}" for check in summary.failed_checks}
    return (line for line in summary.attention if line not in said)


# --- what needs nobody -------------------------------------------------------------------


def _further(summary: RunSummary) -> Iterator[_Said]:
    for source in summary.sources:
        if source.unchanged_since:
            since = f"unchanged since run {source.unchanged_since}, not loaded again"
            yield _Said(source.source, since)
        if source.found:
            yield _Said(source.source, ", ".join(source.found))
        if source.notes:
            yield _Said(source.source, f"loaded with {flaws_in_words(source.notes)}")
    if scope := scope_words(summary.checks):
        yield _Said("checked", scope)
    for check in summary.checks:
        if check.status == "info":
            yield _Said("note", f"check {_of_check(check)}")
    yield _Said("warehouse", summary.warehouse)
    if summary.page:
        yield _Said("page over the latest runs", summary.page)
    yield _Said("peak memory", f"{summary.peak_memory_mb or 0:.0f} MB")


def _stages_table(summary: RunSummary) -> Table:
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    table.add_column("stage")
    for name in ("seconds", "records", "errors", "error rate", "records/s"):
        table.add_column(name, justify="right")
    for stage in sorted(summary.stages, key=lambda stage: _ORDER.get(stage.name, len(_ORDER))):
        counts = [count_words(stage.records), count_words(stage.errors)]
        rates = [f"{stage.error_rate or 0:.1%}", f"{stage.records_per_second or 0:,.0f}"]
        if not stage.records:  # validation looks at tables, not at records
            counts[0], rates = "", ["", ""]
        table.add_row(stage.name, f"{stage.seconds or 0:.2f}", *counts, *rates)
    return table

"""The summary of a run that came to its end."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from etl.errors import EXIT_ATTENTION, EXIT_FAILED, EXIT_OK
from etl.history import audit
from etl.history.judged import Anomaly, Check
from etl.history.letter_counts import LetterCounts
from etl.history.measured import Measured
from etl.history.outcomes import SourceOutcome, TableCounts
from etl.history.records import error_text, without_secrets
from etl.history.runs import Applied, LoadCounts
from etl.history.summary import RunSummary
from etl.pipeline.context import RunContext
from etl.pipeline.marts import NO_MARTS, Marts
from etl.quality.judge import NOT_JUDGED, Judged
from etl.reports.dashboard import DASHBOARD
from etl.schema.table import Table
from etl.warehouse.own_loads import tables_of

_STATUS = {
    EXIT_OK: audit.SUCCESS,
    EXIT_ATTENTION: audit.ATTENTION,
    EXIT_FAILED: audit.FAILED,
}


@dataclass
class Findings:
    """What a run finds besides the records of its sources.

    Attributes:
        attention: what a person has to look at.
        notices: what a person should know, but need not do anything about.
        letters: by source, how many rejected records are kept.
    """

    attention: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    exported: list[Path] = field(default_factory=list)
    judged: Judged = NOT_JUDGED
    marts: Marts = NO_MARTS
    letters: tuple[LetterCounts, ...] = ()


def summarize(
    run: RunContext, outcomes: Sequence[SourceOutcome], applied: Applied, findings: Findings
) -> RunSummary:
    """Return the summary of a run.

    Args:
        run: the run.
        outcomes: how each source fared.
        applied: what the loads did to the tables.
        findings: what else was found.
    """
    judged = findings.judged
    attention = (*findings.attention, *_attention(outcomes, judged), *findings.marts.attention)
    exit_code = _exit_code(outcomes, attention)
    summary = replace(
        run.record.base(),
        status=_STATUS[exit_code],
        exit_code=exit_code,
        error=error_text(outcomes),
        sources=tuple(outcomes),
        tables=tuple(_table_counts(table, outcomes, applied) for table in tables_of(run.own)),
        column_changes=applied.column_changes,
        checks=tuple(map(Check.of, judged.quality["checks"])),
        scores=judged.quality["scores"],
        dimension_scores=judged.quality["dimension_scores"],
        anomalies=tuple(map(Anomaly.of, judged.anomalies)),
        attention=attention,
        notices=(*run.ledger.notices, *findings.notices),
        measured=Measured.from_dict(run.metrics.generate_summary_report()),
        marts=findings.marts.outcomes,
        dead_letters=findings.letters,
        exported=tuple(map(str, findings.exported)),
        page="" if run.args.dry_run else str(run.output / DASHBOARD),
    )
    return without_secrets(summary, run.config)


def _exit_code(outcomes: Sequence[SourceOutcome], attention: Sequence[str]) -> int:
    if not outcomes:  # such as a day asked of a load that only adds what is new
        return EXIT_ATTENTION if attention else EXIT_OK
    if all(outcome.status == audit.HELD_BACK for outcome in outcomes):
        return EXIT_ATTENTION  # nothing failed: the warehouse was left as it was on purpose
    if not any(outcome.loaded for outcome in outcomes):
        return EXIT_FAILED
    return EXIT_ATTENTION if attention else EXIT_OK


def _attention(outcomes: Sequence[SourceOutcome], judged: Judged) -> Iterator[str]:
    for outcome in outcomes:
        if outcome.message:
            yield outcome.named_message
    for check in judged.failed:
        yield f"check {check['name']}: {check['message']}"


def _table_counts(table: Table, outcomes: Sequence[SourceOutcome], applied: Applied) -> TableCounts:
    outcome = next((outcome for outcome in outcomes if outcome.table == table.name), None)
    counts = applied.of(table)
    if outcome is None or outcome.loaded:
        not_loaded = 0
    else:
        read = outcome.counts or LoadCounts()
        not_loaded = read.rows_read - read.accounted
        counts = counts.plus(read)
    known = asdict(counts) | {"rows_not_loaded": not_loaded}
    whose = (outcome.source, outcome.status) if outcome else ()
    return TableCounts(table.name, known, known.pop("seconds"), *whose)

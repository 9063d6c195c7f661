"""How a source fared: its outcome, its lines in the log, and where its rows came from.

An outcome is made in silence; `report` writes it into the log once the source is over, for sources
that work side by side in the order of the graph.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from etl import process
from etl.cloud.objects import is_there
from etl.errors import HeldBackError, WarehouseInUseError
from etl.history.audit import HELD_BACK, LOADED, PREVIEWED, SKIPPED, SOURCE_FAILED
from etl.history.lineage import counts_of, facts_of
from etl.history.outcomes import SourceOutcome
from etl.history.runs import Applied, LoadCounts, Staged, flaws_in_words
from etl.history.traced import Lineage, LineageFile
from etl.monitoring.logs import IN_SUMMARY
from etl.pipeline.context import RunContext
from etl.pipeline.source import Source
from etl.pipeline.stages import EXTRACTION, LOADING
from etl.rejects import file_name
from etl.rules.cleaning import CLIP, COUNT, MAKE_MISSING
from etl.rules.declared import MADE_UP
from etl.sources.corrected import OVERTAKEN
from etl.sources.several import SourceFile
from etl.warehouse import apply as warehouse
from etl.warehouse.cleaning import OUTLIERS
from etl.words import counted

logger = logging.getLogger(__name__)


# --- its outcome -----------------------------------------------------------------------------


def previewed(run: RunContext, source: Source, staged: Staged) -> SourceOutcome:
    """Return how a source would fare."""
    counts = warehouse.preview(run.db, staged)
    return SourceOutcome(
        source.name, source.table.name, PREVIEWED, counts, notes=staged.notes,
        skipped=dict(source.feed.left_out),
    )  # fmt: skip


def loaded(run: RunContext, source: Source, staged: Staged, *, applied: Applied) -> SourceOutcome:
    """Return the outcome of a source that is committed."""
    return SourceOutcome(
        source.name, source.table.name, LOADED, applied.of(source.table),
        rejected_file=_rejected_file(run, source), notes=staged.notes,
        skipped=dict(source.feed.left_out),
    )  # fmt: skip


def held_back(
    run: RunContext, source: Source, error: HeldBackError, counts: LoadCounts
) -> SourceOutcome:
    """Return the outcome of a source that may not be loaded."""
    process.raise_if_asked()
    return SourceOutcome(
        source.name, source.table.name, HELD_BACK, counts, error, str(error),
        rejected_file=_rejected_file(run, source), findings=error.findings,
        skipped=dict(source.feed.left_out),
    )  # fmt: skip


def failed(source: Source, error: Exception, *, read: int) -> SourceOutcome:
    """Return the outcome of a source that could not be loaded.

    Raises:
        WarehouseInUseError: it was lost to another run, for every source.
    """
    process.raise_if_asked()
    if isinstance(error, WarehouseInUseError):
        raise error
    text = str(error) or type(error).__name__
    counts = LoadCounts(rows_read=read)
    return SourceOutcome(source.name, source.table.name, SOURCE_FAILED, counts, error, text)


def skipped(source: Source, missing: str) -> SourceOutcome:
    """Return the outcome of a source without what it needs.

    Args:
        source: the source.
        missing: what was not loaded.
    """
    message = f"{source.name} refers to {missing}, not loaded in this run; the next run loads it"
    return SourceOutcome(source.name, source.table.name, SKIPPED, LoadCounts(), message=message)


def _rejected_file(run: RunContext, source: Source) -> str:
    if run.rejected_folder is None:
        return ""
    path = run.rejected_folder / file_name(run.plan.run_id, source.name)
    return str(path) if is_there(path) else ""


# --- its lines in the log --------------------------------------------------------------------


def report(source: Source, outcome: SourceOutcome) -> None:
    """Write into the log how a source fared."""
    _REPORTS[outcome.status](source, outcome)


def _report_loaded(source: Source, outcome: SourceOutcome) -> None:
    counts = outcome.counts or LoadCounts()
    extra = {"source": source.name, "stage": LOADING}
    if outcome.unchanged_since:
        logger.info(
            "%s: unchanged since run %s, not loaded again: %d read, %d unchanged, %d rejected, "
            "%d duplicates", source.name, outcome.unchanged_since, counts.rows_read,
            counts.rows_unchanged, counts.rows_rejected, counts.rows_duplicate, extra=extra,
        )  # fmt: skip
        return
    logger.info(
        "%s: %d read, %d inserted, %d updated, %d unchanged, %d rejected, %d duplicates",
        source.name, counts.rows_read, counts.rows_inserted, counts.rows_updated,
        counts.rows_unchanged, counts.rows_rejected, counts.rows_duplicate, extra=extra,
    )  # fmt: skip
    if source.table.feed:
        logger.info(
            "%s: of these %d superseded, %d removals; %d rows removed", source.name,
            counts.rows_superseded, counts.rows_removals, counts.rows_removed, extra=extra,
        )  # fmt: skip
    if outcome.notes:
        flaws = flaws_in_words(outcome.notes)
        logger.info("%s loaded with %s", source.name, flaws, extra=extra)


def _report_held_back(source: Source, outcome: SourceOutcome) -> None:
    _log_error(source, outcome, outcome.message)


def _report_failed(source: Source, outcome: SourceOutcome) -> None:
    _log_error(source, outcome, f"{source.name} failed: {outcome.message}")


def _log_error(source: Source, outcome: SourceOutcome, message: str) -> None:
    extra = {"source": source.name, **IN_SUMMARY}
    logger.error("%s", message, exc_info=outcome.error, extra=extra)


def _report_skipped(source: Source, outcome: SourceOutcome) -> None:
    extra = {"source": source.name, **IN_SUMMARY}
    logger.warning("skipped: %s", outcome.message, extra=extra)


def _say_nothing(_source: Source, _outcome: SourceOutcome) -> None:
    """A dry run has its summary."""


_REPORTS: Mapping[str, Callable[[Source, SourceOutcome], None]] = {
    LOADED: _report_loaded,
    HELD_BACK: _report_held_back,
    SOURCE_FAILED: _report_failed,
    SKIPPED: _report_skipped,
    PREVIEWED: _say_nothing,
}


# --- what was noticed of it ------------------------------------------------------------------

_EXPLAINED = {  # by note: what is counted, and what was done about it
    "null_words": ("null word", " read as missing"),
    "normalised_keys": (
        "normalised key", ": marks without a width or a spreadsheet's wrapping removed"
    ),
    "float_ids": (
        "id", " written with a point, such as 1001.0; whole_ids = true for this source reads 1001"
    ),
    OVERTAKEN: ("rejected record", " skipped: a later run has read its key, and that is newer"),
    "whole_ids": ("id", " written with a point, such as 1001.0, read as whole numbers"),
}  # fmt: skip


def with_findings(source: Source, outcome: SourceOutcome) -> SourceOutcome:
    """Report once how the source is written, and what of that a person should look at."""
    extra = {"source": source.name, "stage": EXTRACTION, **IN_SUMMARY}
    facts = (*source.watch.facts, *source.written)
    explained = [f"{counted(count, noun)}{done}"
                 for name, (noun, done) in _EXPLAINED.items()
                 if (count := outcome.notes.get(name))]  # fmt: skip
    broken = [f"{counted(outcome.notes[note], 'record')} broke rule {name}: {check}"
              for name, check in source.rules.items()
              if (note := f"break_rule_{name}") in outcome.notes]  # fmt: skip
    warnings = (*explained, *broken, *_cleaned(source, outcome.notes), *source.watch.warnings)
    if facts:
        logger.info("%s: %s", Path(source.feed.path).name, ", ".join(facts), extra=extra)
    for warning in warnings:
        logger.warning("%s: %s", source.name, warning, extra=extra)
    return replace(outcome, found=facts, warnings=warnings, after=source.after)


_ACTIONS = {COUNT: "", MAKE_MISSING: ", made missing", CLIP: ", clipped"}


def _cleaned(source: Source, notes: Mapping[str, int | None]) -> Iterator[str]:
    """What was made up, and which outliers there were."""
    for name, strategy in source.made_up.items():
        if made := notes.get(f"{MADE_UP}{name}"):
            yield f"{name}: {counted(made, 'value')} made by {strategy}"
    for each in source.cleaning.outliers:
        if outside := notes.get(f"{OUTLIERS}{each.column}"):
            yield (
                f"{each.column}: {counted(outside, 'outlier')} by {each.method}"
                f"{_ACTIONS[each.action]}"
            )


def lineage_of(source: Source, outcome: SourceOutcome) -> Lineage:
    """Return where the rows of a source came from, and how it fared.

    Of a file, size and hash are known only when it was read whole and did not change meanwhile.
    """
    whole = outcome.status in (LOADED, HELD_BACK)
    facts = facts_of(source.feed.traced if whole else None, source.window)
    counts = counts_of(outcome.counts or LoadCounts())
    origin = (source.feed.path, source.feed.query)
    files = source.feed.files.files if source.feed.files and source.feed.files.names else ()
    return Lineage(
        source.name, source.table.name, *origin, outcome.status, counts, **facts,
        files=tuple(map(_lineage_file, files)) if whole else (),
    )  # fmt: skip


def _lineage_file(file: SourceFile) -> LineageFile:
    trace = file.trace
    times = {"modified_at": trace.modified_at, "extracted_at": trace.extracted_at}
    return LineageFile(str(file.path), file.rows, trace.bytes, trace.sha256 or "", times)

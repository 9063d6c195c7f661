"""The sources of a run: read side by side, loaded one after the other.

Each source is read and transformed in threads of its own, a few blocks ahead of the load. A
source that fails does not stop the others.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from etl import process
from etl.cloud.objects import is_there
from etl.errors import ETLError, HeldBackError, WarehouseInUseError
from etl.findings import Finding
from etl.history.audit import HELD_BACK, LOADED, PREVIEWED, SKIPPED, SOURCE_FAILED
from etl.history.lineage import counts_of, facts_of
from etl.history.outcomes import SourceOutcome
from etl.history.runs import Applied, LoadCounts, Staged, flaws_in_words
from etl.history.traced import Lineage, LineageFile
from etl.monitoring.logs import IN_SUMMARY, log_context
from etl.pipeline.context import RunContext
from etl.pipeline.progress import CHECKING, DUPLICATES, MERGING
from etl.pipeline.reading import Readers
from etl.pipeline.set_aside import (
    SetAside,
    duplicate_records,
    load_of,
    refused_records,
    rejected_file,
    set_aside,
)
from etl.pipeline.sources import Source
from etl.pipeline.stages import EXTRACTION, LOADING, TRANSFORMATION
from etl.pipeline.unchanged import Recognised, input_of, recognise, restate
from etl.rejects import RejectedFile, file_name
from etl.rules.cleaning import CLIP, COUNT, MAKE_MISSING
from etl.rules.declared import MADE_UP
from etl.sources.several import SourceFile
from etl.sources.watch import with_proven_order
from etl.warehouse import apply as warehouse
from etl.warehouse.cleaning import OUTLIERS
from etl.warehouse.gate import Examined, pass_gate
from etl.warehouse.intake import Fill, Intake, Tally, stage_source
from etl.warehouse.transactions import load_staged
from etl.words import counted

logger = logging.getLogger(__name__)

_Loaded = tuple[SourceOutcome, Applied]


def run_loads(run: RunContext) -> tuple[tuple[SourceOutcome, ...], Applied]:
    """Load the sources and return how each fared; only errors of the run itself are raised."""
    run.metrics.record_totals(read=0, rejected=0)  # records are those of sources
    run.stages.start(EXTRACTION, TRANSFORMATION)
    recognised = {source.name: recognise(run, source) for source in run.sources}
    readers = Readers(run)
    for source in run.sources:
        if not recognised[source.name]:
            readers.begin(source)
    refresh = run.plan.full_refresh and not run.args.dry_run
    load = _refresh_all if refresh else partial(_load_each, recognised=recognised)
    try:
        outcomes, applied = load(run, readers)
    finally:
        readers.close()
        run.stages.end(EXTRACTION, TRANSFORMATION, LOADING)
    outcomes = [
        _with_findings(source, outcome)
        for source, outcome in zip(run.sources, outcomes, strict=True)
    ]
    for source, outcome in zip(run.sources, outcomes, strict=True):
        run.ledger.lineage[source.name] = _lineage(source, outcome)
    return tuple(outcomes), applied


_EXPLAINED = {  # by note: what is counted, and what was done about it
    "null_words": ("null word", " read as missing"),
    "normalised_keys": (
        "normalised key", ": marks without a width or a spreadsheet's wrapping removed"
    ),
    "float_ids": (
        "id", " written with a point, such as 1001.0; whole_ids = true for this source reads 1001"
    ),
    "whole_ids": ("id", " written with a point, such as 1001.0, read as whole numbers"),
}  # fmt: skip


def _with_findings(source: Source, outcome: SourceOutcome) -> SourceOutcome:
    """Say once how the source is written, and what of that a person should look at."""
    extra = {"source": source.name, "stage": EXTRACTION, **IN_SUMMARY}
    facts = (*source.watch.facts, *source.written)
    explained = [f"{counted(outcome.notes[name], noun)}{done}"
                 for name, (noun, done) in _EXPLAINED.items() if name in outcome.notes]  # fmt: skip
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


def _lineage(source: Source, outcome: SourceOutcome) -> Lineage:
    """Where the rows of a source came from, and how it fared.

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


def _load_each(
    run: RunContext, readers: Readers, *, recognised: Mapping[str, Recognised | None]
) -> tuple[Sequence[SourceOutcome], Applied]:
    outcomes, total, previewed = list[SourceOutcome](), Applied(), list[Staged]()
    for source in run.sources:
        outcome, applied = (
            _skipped(source, outcomes, readers)
            or _restate_source(run, source, recognised[source.name])
            or _load_source(run, source, readers, previewed)
        )
        run.progress.end(source.name, outcome.status)
        outcomes.append(outcome)
        total = total.plus(applied)
    return outcomes, total


def _skipped(
    source: Source, outcomes: Iterable[Staged | SourceOutcome], readers: Readers
) -> _Loaded | None:
    """Leaves a source out when one that it needs was not loaded in this run."""
    missing = [each for each in outcomes if isinstance(each, SourceOutcome)
               and not each.loaded and each.source in source.needs]  # fmt: skip
    if not missing:
        return None
    readers.leave(source)
    names = " and ".join(each.source for each in missing)
    message = f"{source.name} refers to {names}, not loaded in this run; the next run loads it"
    logger.warning("skipped: %s", message, extra={"source": source.name, **IN_SUMMARY})
    skipped = SourceOutcome(source.name, source.table.name, SKIPPED, LoadCounts(), message=message)
    return skipped, Applied()


def _restate_source(run: RunContext, source: Source, same: Recognised | None) -> _Loaded | None:
    """Counts a source that its table holds already; None when it must be loaded."""
    if same is None:
        return None
    process.raise_if_asked()
    run.stages.start(LOADING)
    try:
        with log_context(source=source.name, stage=LOADING):
            return restate(run, source, same)
    except Exception as error:  # noqa: BLE001  # the other sources go on; it is logged and reported
        return _failed(source, error, read=0), Applied()


def _load_source(
    run: RunContext, source: Source, readers: Readers, previewed: list[Staged]
) -> _Loaded:
    staged = _stage(run, source, readers, waiting=previewed)
    if not readers.waiting:  # it was the last one to be read
        run.stages.end(EXTRACTION, TRANSFORMATION)
    if isinstance(staged, SourceOutcome):
        return staged, Applied()
    if run.args.dry_run:
        previewed.append(staged)
        return _previewed(run, source, staged), Applied()
    try:
        applied = _apply(run, [staged])
    except HeldBackError as error:  # the database refused too many of its records
        return _held_back(run, source, error, _refused_counts(run, source, staged)), Applied()
    except Exception as error:  # noqa: BLE001  # the other sources go on; it is logged and reported
        return _failed(source, error, read=staged.rows_read), Applied()
    return _loaded(run, source, staged, applied=applied), applied


def _refresh_all(run: RunContext, readers: Readers) -> tuple[Sequence[SourceOutcome], Applied]:
    results: list[Staged | SourceOutcome] = []
    staged: list[Staged] = []
    for source in run.sources:
        skipped = _skipped(source, results, readers)
        results.append(skipped[0] if skipped else _stage(run, source, readers, waiting=staged))
        staged = [result for result in results if isinstance(result, Staged)]
    run.stages.end(EXTRACTION, TRANSFORMATION)
    applied = _apply(run, staged) if staged else Applied()
    outcomes = [
        _loaded(run, source, result, applied=applied) if isinstance(result, Staged) else result
        for source, result in zip(run.sources, results, strict=True)
    ]
    for outcome in outcomes:
        run.progress.end(outcome.source, outcome.status)
    return outcomes, applied


# --- one source ------------------------------------------------------------------------------


@dataclass
class _Attempt:
    """What the latest attempt to stage a source has found."""

    tally: Tally = field(default_factory=Tally)
    duplicates: int = 0

    @property
    def counts(self) -> LoadCounts:
        return LoadCounts(
            rows_read=self.tally.read,
            rows_rejected=self.tally.all_rejected,
            rows_duplicate=self.duplicates,
        )


def _stage(
    run: RunContext, source: Source, readers: Readers, *, waiting: Sequence[Staged]
) -> Staged | SourceOutcome:
    """Stage a source, anew from its beginning when a transient error interrupts it.

    Args:
        run: the run.
        source: the source.
        readers: those that read ahead.
        waiting: the sources of the run that are staged and not merged yet.
    """
    attempt = _Attempt()
    try:
        with log_context(source=source.name, stage="staging"):
            stage = partial(_stage_once, run, source, readers, attempt)
            staged = run.retried(with_proven_order)(stage)
            run.progress.step(source.name, CHECKING)
            accepted = _pass_gate(run, source, staged, tally=attempt.tally, waiting=waiting)
            notices = list(_notices(run, source, attempt.tally))
            run.ledger.notices += notices
            if attempt.tally.sketching:
                run.ledger.sketches[source.table.name] = attempt.tally.sketching.sketches
            # what a person has let pass once is looked at again
            known = None if accepted else input_of(run, source, staged, notices)
            return replace(staged, input=known)
    except HeldBackError as error:
        return _held_back(run, source, error, attempt.counts)
    except Exception as error:  # noqa: BLE001  # the other sources go on; it is logged and reported
        return _failed(source, error, read=attempt.tally.read)
    finally:
        tally = attempt.tally
        run.metrics.record_totals(read=tally.read, rejected=tally.all_rejected)


def _stage_once(run: RunContext, source: Source, readers: Readers, attempt: _Attempt) -> Staged:
    attempt.tally, attempt.duplicates = Tally(), 0
    reading = readers.take(source)
    rejects = rejected_file(run, source)
    try:
        with closing(reading):
            intake = _intake(run, source, reading.fill, set_aside(run, source, rejects))
            run.db.revive()
            staged = stage_source(load_of(run), source.table, replace(intake, tally=attempt.tally))
            attempt.duplicates = staged.rows_duplicate
        _publish(run, source, rejects)
    except HeldBackError:  # given up before its end: a person looks at what it rejected so far
        _publish(run, source, rejects)
        raise
    finally:
        rejects.discard()
    return replace(staged, notes={**source.skipped, **+source.watch.counts, **staged.notes})


def _intake(run: RunContext, source: Source, fill: Fill, rejects: SetAside) -> Intake:
    return Intake(
        fill, rejects, partial(duplicate_records, source), partial(refused_records, source),
        cleaning=source.cleaning, repeated=partial(duplicate_records, source),
        window=source.window, partial=source.partial, staged=_staged_before(run),
        moment=source.moment,
        reached=source.feed.reached,
        on_read=lambda: run.progress.step(source.name, DUPLICATES),
    )  # fmt: skip


def _staged_before(run: RunContext) -> tuple[str, ...]:
    """The tables whose records wait to be merged together with those of the other sources."""
    waits = run.plan.full_refresh or run.args.dry_run
    return tuple(source.table.name for source in run.sources) if waits else ()


def _publish(run: RunContext, source: Source, rejects: RejectedFile) -> None:
    rejects.publish()
    run.ledger.rejects[source.name] = rejects.reasons


def _pass_gate(
    run: RunContext, source: Source, staged: Staged, *, tally: Tally, waiting: Sequence[Staged]
) -> list[Finding]:
    if source.partial:  # single records that a person has looked at
        return []
    examined = Examined(
        source.name, load_of(run), staged, tally, limits=run.limits_of(source),
        snapshot=source.snapshot, from_file=source.feed.traced is not None,
        left_out=source.feed.left_out, waiting=waiting,
    )  # fmt: skip
    accepted = run.kept(lambda: pass_gate(examined, run.args.accept))
    for finding in accepted:
        run.ledger.notices.append(f"{source.name}: {finding.message}; accepted")
        logger.warning(
            "%s accepted: %s", finding.full_name, finding.message,
            extra={"source": source.name, **IN_SUMMARY},
        )  # fmt: skip
    return accepted


def _notices(run: RunContext, source: Source, tally: Tally) -> Iterator[str]:
    """Yield what a person should know of the records that were left out."""
    if tally.returns:
        loaded = run.config.processing.returns == "load"
        yield (
            f"{source.name}: {tally.returns} returns rejected, {tally.returned}; "
            + ("they have a negative price" if loaded else "RETURNS=load loads them")
        )
    left_out = source.feed.left_out
    skipped = sum(left_out.values())
    if skipped > tally.read:
        by_status = ", ".join(f"{n} {status}" for status, n in left_out.items())
        yield (
            f"{source.name}: {skipped} of {skipped + tally.read} left out for their status: "
            f"{by_status}"
        )


def _apply(run: RunContext, staged: list[Staged]) -> Applied:
    process.raise_if_asked()
    run.stages.start(LOADING)
    started = time.perf_counter()
    for each in staged:
        run.progress.step(each.table.source, MERGING)
    with log_context(stage=LOADING):
        applied = load_staged(load_of(run), staged)
    _let_forget(run, staged)
    seconds = time.perf_counter() - started
    records = sum(applied.of(each.table).rows_read for each in staged)
    run.metrics.add(LOADING, seconds=seconds, record_count=records, error_count=0)
    return applied


def _let_forget(run: RunContext, staged: Sequence[Staged]) -> None:
    """Lets feeds forget what is committed; one that cannot gives it again, which does no harm."""
    by_table = {source.table.name: source for source in run.sources}
    for each in staged:
        source, position = by_table[each.table.name], each.folded.position if each.folded else ""
        if not position:
            continue
        try:
            source.feed.loaded(position)
        except ETLError as error:
            logger.warning(
                "%s is loaded, but its source keeps what was read: %s", source.name, error,
                extra={"source": source.name, **IN_SUMMARY},
            )  # fmt: skip


# --- how it fared ----------------------------------------------------------------------------


def _previewed(run: RunContext, source: Source, staged: Staged) -> SourceOutcome:
    counts = warehouse.preview(run.db, staged)
    return SourceOutcome(
        source.name, source.table.name, PREVIEWED, counts, notes=staged.notes,
        skipped=dict(source.feed.left_out),
    )  # fmt: skip


def _loaded(run: RunContext, source: Source, staged: Staged, *, applied: Applied) -> SourceOutcome:
    counts = applied.of(source.table)
    logger.info(
        "%s: %d read, %d inserted, %d updated, %d unchanged, %d rejected, %d duplicates",
        source.name, counts.rows_read, counts.rows_inserted, counts.rows_updated,
        counts.rows_unchanged, counts.rows_rejected, counts.rows_duplicate,
        extra={"source": source.name, "stage": LOADING},
    )  # fmt: skip
    if staged.folded:
        logger.info(
            "%s: of these %d superseded, %d removals; %d rows removed", source.name,
            counts.rows_superseded, counts.rows_removals, counts.rows_removed,
            extra={"source": source.name, "stage": LOADING},
        )  # fmt: skip
    if staged.notes:
        logger.info(
            "%s loaded with %s", source.name, flaws_in_words(staged.notes),
            extra={"source": source.name, "stage": LOADING},
        )  # fmt: skip
    return SourceOutcome(
        source.name, source.table.name, LOADED, counts,
        rejected_file=_rejected_file(run, source), notes=staged.notes,
        skipped=dict(source.feed.left_out),
    )  # fmt: skip


def _refused_counts(run: RunContext, source: Source, staged: Staged) -> LoadCounts:
    rejected = sum(run.ledger.rejects.get(source.name, {}).values())
    return LoadCounts(
        rows_read=staged.rows_read, rows_rejected=rejected, rows_duplicate=staged.rows_duplicate
    )


def _held_back(
    run: RunContext, source: Source, error: HeldBackError, counts: LoadCounts
) -> SourceOutcome:
    process.raise_if_asked()
    _log_failure(source, error, str(error))
    return SourceOutcome(
        source.name, source.table.name, HELD_BACK, counts, error, str(error),
        rejected_file=_rejected_file(run, source), findings=error.findings,
        skipped=dict(source.feed.left_out),
    )  # fmt: skip


def _failed(source: Source, error: Exception, *, read: int) -> SourceOutcome:
    process.raise_if_asked()
    if isinstance(error, WarehouseInUseError):  # it was lost to another run, for every source
        raise error
    text = str(error) or type(error).__name__
    _log_failure(source, error, f"{source.name} failed: {text}")
    counts = LoadCounts(rows_read=read)
    return SourceOutcome(source.name, source.table.name, SOURCE_FAILED, counts, error, text)


def _log_failure(source: Source, error: Exception, message: str) -> None:
    extra = {"source": source.name, **IN_SUMMARY}
    logger.error("%s", message, exc_info=error, extra=extra)


def _rejected_file(run: RunContext, source: Source) -> str:
    if run.rejected_folder is None:
        return ""
    path = run.rejected_folder / file_name(run.plan.run_id, source.name)
    return str(path) if is_there(path) else ""

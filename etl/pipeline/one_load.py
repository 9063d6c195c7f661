"""One source from its blocks to its commit: staged, looked at by the gate, merged."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial

from etl import process
from etl.errors import ETLError, HeldBackError
from etl.findings import Finding
from etl.history.outcomes import SourceOutcome
from etl.history.runs import Applied, LoadCounts, Staged
from etl.monitoring.logs import IN_SUMMARY, log_context
from etl.pipeline.context import RunContext
from etl.pipeline.fared import failed, held_back, loaded, previewed
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
from etl.pipeline.source import Source
from etl.pipeline.stages import EXTRACTION, LOADING, TRANSFORMATION
from etl.pipeline.unchanged import Recognised, input_of, restate
from etl.rejects import RejectedFile
from etl.sources.watch import with_proven_order
from etl.warehouse.gate import Examined, pass_gate
from etl.warehouse.intake import Fill, Intake, Tally, stage_source
from etl.warehouse.loading import load_staged

logger = logging.getLogger(__name__)

Loaded = tuple[SourceOutcome, Applied]


def restate_source(run: RunContext, source: Source, same: Recognised | None) -> Loaded | None:
    """Count a source that its table holds already; return None when it must be loaded."""
    if same is None:
        return None
    process.raise_if_asked()
    run.stages.start(LOADING)
    try:
        with log_context(source=source.name, stage=LOADING):
            return restate(run, source, same)
    except Exception as error:  # noqa: BLE001  # the other sources go on; it is logged and reported
        return failed(source, error, read=0), Applied()


def load_source(run: RunContext, source: Source, readers: Readers, waiting: list[Staged]) -> Loaded:
    """Stage a source and merge it; in a dry run count what that would do.

    Args:
        run: the run.
        source: the source.
        readers: those that read ahead; its own leaves them.
        waiting: what was staged before and not merged; takes what a dry run stages.
    """
    staged = stage(run, source, readers, waiting=waiting)
    if not readers.waiting:  # it was the last one to be read
        run.stages.end(EXTRACTION, TRANSFORMATION)
    if isinstance(staged, SourceOutcome):
        return staged, Applied()
    if run.args.dry_run:
        waiting.append(staged)
        return previewed(run, source, staged), Applied()
    try:
        applied = apply(run, [staged])
    except HeldBackError as error:  # the database refused too many of its records
        return held_back(run, source, error, _refused_counts(run, source, staged)), Applied()
    except Exception as error:  # noqa: BLE001  # the other sources go on; it is logged and reported
        return failed(source, error, read=staged.rows_read), Applied()
    return loaded(run, source, staged, applied=applied), applied


def _refused_counts(run: RunContext, source: Source, staged: Staged) -> LoadCounts:
    rejected = sum(run.ledger.rejects.get(source.name, {}).values())
    return LoadCounts(
        rows_read=staged.rows_read, rows_rejected=rejected, rows_duplicate=staged.rows_duplicate
    )


# --- staging ---------------------------------------------------------------------------------


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


def stage(
    run: RunContext, source: Source, readers: Readers, *, waiting: Sequence[Staged]
) -> Staged | SourceOutcome:
    """Stage a source, anew from its beginning when a transient error interrupts it.

    Args:
        run: the run.
        source: the source.
        readers: those that read ahead; its own leaves them.
        waiting: the sources of the run that are staged and not merged yet.

    Returns:
        What is staged; how the source fared where that may not be loaded.
    """
    attempt = _Attempt()
    try:
        with log_context(source=source.name, stage="staging"):
            once = partial(_stage_once, run, source, readers, attempt)
            staged = run.retried(with_proven_order)(once)
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
        return held_back(run, source, error, attempt.counts)
    except Exception as error:  # noqa: BLE001  # the other sources go on; it is logged and reported
        return failed(source, error, read=attempt.tally.read)
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
        are_loaded = run.config.processing.returns == "load"
        yield (
            f"{source.name}: {tally.returns} returns rejected, {tally.returned}; "
            + ("they have a negative price" if are_loaded else "RETURNS=load loads them")
        )
    left_out = source.feed.left_out
    skipped = sum(left_out.values())
    if skipped > tally.read:
        by_status = ", ".join(f"{n} {status}" for status, n in left_out.items())
        yield (
            f"{source.name}: {skipped} of {skipped + tally.read} left out for their status: "
            f"{by_status}"
        )


# --- merging ---------------------------------------------------------------------------------


def apply(run: RunContext, staged: list[Staged]) -> Applied:
    """Merge staged sources; return the counts, which are committed."""
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

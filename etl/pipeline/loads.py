"""The sources of a run: read side by side, loaded one after the other or several at once.

Each source is read and transformed in threads of its own, a few blocks ahead of the load. A
source that fails does not stop the others.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from etl.history.outcomes import SourceOutcome
from etl.history.runs import Applied, Staged
from etl.pipeline.context import RunContext
from etl.pipeline.fared import lineage_of, loaded, report, skipped, with_findings
from etl.pipeline.one_load import Loaded, apply, load_source, restate_source, stage
from etl.pipeline.reading import Readers
from etl.pipeline.schedule import lacking
from etl.pipeline.side_by_side import load_side_by_side
from etl.pipeline.source import Source
from etl.pipeline.stages import EXTRACTION, LOADING, TRANSFORMATION
from etl.pipeline.unchanged import Recognised, recognise

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _One:
    """How one source is loaded; see `side_by_side.Load`.

    Attributes:
        readers: those that read ahead.
        recognised: by source, what is known of a file that was loaded before.
        previewed: what a dry run has staged.
    """

    readers: Readers
    recognised: Mapping[str, Recognised | None]
    previewed: list[Staged] = field(default_factory=list)

    def skipped(self, source: Source, before: Iterable[Staged | SourceOutcome]) -> Loaded | None:
        """Leave a source out when one that it needs was not loaded in this run."""
        fared = {o.source: o.loaded for o in before if isinstance(o, SourceOutcome)}
        missing = lacking(source.needs, fared)
        if not missing:
            return None
        self.readers.leave(source)
        return skipped(source, " and ".join(missing)), Applied()

    def loaded(self, run: RunContext, source: Source) -> Loaded:
        """Load a source; restate it where its table has the same file already."""
        same = restate_source(run, source, self.recognised[source.name])
        return same or load_source(run, source, self.readers, self.previewed)


def run_loads(run: RunContext) -> tuple[tuple[SourceOutcome, ...], Applied]:
    """Load the sources and return how each fared; only errors of the run itself are raised."""
    run.metrics.record_totals(read=0, rejected=0)  # records are those of sources
    run.stages.start(EXTRACTION, TRANSFORMATION)
    recognised = {source.name: recognise(run, source) for source in run.sources}
    readers = Readers(run)
    for source in run.sources:
        if not recognised[source.name]:
            readers.begin(source)
    try:
        outcomes, applied = _load(run, _One(readers, recognised))
    finally:
        readers.close()
        run.stages.end(EXTRACTION, TRANSFORMATION, LOADING)
    outcomes = [
        with_findings(source, outcome)
        for source, outcome in zip(run.sources, outcomes, strict=True)
    ]
    for source, outcome in zip(run.sources, outcomes, strict=True):
        run.ledger.lineage[source.name] = lineage_of(source, outcome)
    return tuple(outcomes), applied


def _load(run: RunContext, one: _One) -> tuple[Sequence[SourceOutcome], Applied]:
    if run.plan.full_refresh and not run.args.dry_run:
        return _refresh_all(run, one)
    workers = _at_once(run)
    return load_side_by_side(run, one, workers) if workers > 1 else _load_each(run, one)


def _at_once(run: RunContext) -> int:
    """How many sources may be loaded at the same time."""
    asked, many = run.config.processing.load_workers, run.db.engine.many_writers
    if asked > 1 and not many:
        name = run.db.dialect.name
        logger.info("LOAD_WORKERS is %d, but %s has one writer: it has no effect", asked, name)
    return min(asked, len(run.sources)) if many and not run.args.dry_run else 1


def _load_each(run: RunContext, one: _One) -> tuple[Sequence[SourceOutcome], Applied]:
    outcomes, total = list[SourceOutcome](), Applied()
    for source in run.sources:
        outcome, applied = one.skipped(source, outcomes) or one.loaded(run, source)
        run.progress.end(source.name, outcome.status)
        report(source, outcome)
        outcomes.append(outcome)
        total = total.plus(applied)
    return outcomes, total


def _refresh_all(run: RunContext, one: _One) -> tuple[Sequence[SourceOutcome], Applied]:
    results: list[Staged | SourceOutcome] = []
    for source in run.sources:
        result = _staged_or_skipped(run, source, one, results)
        results.append(result)
        if isinstance(result, SourceOutcome):
            report(source, result)
    run.stages.end(EXTRACTION, TRANSFORMATION)
    staged = _those_staged(results)
    applied = apply(run, staged) if staged else Applied()
    outcomes = [
        _refreshed(run, source, result, applied)
        for source, result in zip(run.sources, results, strict=True)
    ]
    for outcome in outcomes:
        run.progress.end(outcome.source, outcome.status)
    return outcomes, applied


def _staged_or_skipped(
    run: RunContext, source: Source, one: _One, results: Sequence[Staged | SourceOutcome]
) -> Staged | SourceOutcome:
    left_out = one.skipped(source, results)
    if left_out:
        return left_out[0]
    return stage(run, source, one.readers, waiting=_those_staged(results))


def _those_staged(results: Iterable[Staged | SourceOutcome]) -> list[Staged]:
    return [result for result in results if isinstance(result, Staged)]


def _refreshed(
    run: RunContext, source: Source, result: Staged | SourceOutcome, applied: Applied
) -> SourceOutcome:
    if isinstance(result, SourceOutcome):
        return result
    outcome = loaded(run, source, result, applied=applied)
    report(source, outcome)
    return outcome

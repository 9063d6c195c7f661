"""What a run is to do: its id, its window, its sources; and what earlier runs left to be said."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from difflib import get_close_matches
from pathlib import Path

import pyarrow as pa

from etl.cloud.paths import FORMS, cloud_path
from etl.engines.database import DatabaseManager
from etl.errors import ConfigurationError
from etl.findings import FINDINGS, NO_RECORDS, unknown_names
from etl.history import audit, settings_used, watermarks
from etl.history.outcomes import SourceOutcome
from etl.history.read_keys import oldest_kept, read_since
from etl.history.records import missed_runs, record_missed
from etl.history.runs import FULL_REFRESH, INCREMENTAL, REPROCESS, RunPlan, utc_now
from etl.marts.graph import mart_names
from etl.pipeline.arguments import EVERY_REJECT, Arguments, mode_of, window_of
from etl.pipeline.context import RunContext
from etl.pipeline.kept_columns import keeping, star_tables
from etl.pipeline.own_sources import own_sources
from etl.pipeline.retrying import sources_to_retry
from etl.pipeline.source import Source
from etl.pipeline.sources import corrected_source, read_anew, rule_settings, sources_of
from etl.quality.rules import newest_sale
from etl.rules.record_keys import record_keys
from etl.schema.source_columns import SOURCE_COLUMNS
from etl.schema.star import SALES_FACT
from etl.schema.table import Table
from etl.settings.config import Config
from etl.sources.corrected import CorrectedFile, read_corrected
from etl.sources.window import (
    EVERYTHING,
    AnyWindow,
    Numbers,
    Window,
    counts_up,
    everything_of,
    hull,
    since_number,
)
from etl.warehouse.own_history import with_memory
from etl.warehouse.own_loads import OwnLoad
from etl.warehouse.own_tables import open_tables
from etl.warehouse.staging import known_texts

logger = logging.getLogger(__name__)

_TICK = timedelta(microseconds=1)


def plan_run(
    db: DatabaseManager, config: Config, args: Arguments, own: Sequence[OwnLoad] = ()
) -> RunPlan:
    """Make the tables that are missing, complete the history, and plan the run."""
    marts = mart_names(config.base_dir)
    require_only((*args.only, *args.skip, *args.from_load), own, marts)
    require_accepted(args.accept, own)
    open_tables(db, [each.whole for each in own], star_tables(db, config))
    started_at = utc_now()
    if not args.dry_run:
        _complete_history(db, config, mode_of(args), started_at)
    run_id = audit.next_run_id(db, started_at)
    window = _window(db, config, args)
    return RunPlan(run_id, config.environment, mode_of(args), window, started_at)


def _complete_history(db: DatabaseManager, config: Config, mode: str, now: datetime) -> None:
    """Write down how earlier runs ended that could not do so themselves."""
    missed = missed_runs(config)
    errors = {run["run_id"]: run["error"] for run in missed}
    for killed in audit.mark_killed(db, now, errors):
        logger.warning(
            "run %s (%s, %s) was killed; what it had not committed was rolled back%s",
            killed.run_id, killed.mode, killed.window, _advice(killed, mode),
        )  # fmt: skip
    for run in record_missed(db, missed):
        logger.warning(
            "run %s ended without reaching the warehouse (%s); it is in the history now: %s",
            run["run_id"], run["status"], run["error"],
        )  # fmt: skip


def _advice(killed: audit.PastRun, mode: str) -> str:
    if mode == INCREMENTAL and killed.mode in audit.RELOADED:
        return "; this run reloads its sales"
    return "" if killed.mode in (INCREMENTAL, mode) else "; run it again"


def _window(db: DatabaseManager, config: Config, args: Arguments) -> Window:
    lag_days = config.processing.watermark_lag_days
    return _window_of_table(db, args, SALES_FACT, lag_days=lag_days)


def _window_of_table(
    db: DatabaseManager, args: Arguments, table: Table, *, lag_days: int
) -> Window:
    """The records of a table that are asked for: of a plain run, those since its last one."""
    watermark = watermarks.read_watermark(db, table)
    window = window_of(args, watermark=watermark, lag_days=lag_days)
    if mode_of(args) == INCREMENTAL and table.key:
        for missed in audit.windows_to_reload(db, table):
            logger.info("reloaded: %s, which an earlier run did not load", missed)
            window = hull(window, missed)
    return window


def planned_sources(run: RunContext) -> tuple[Source, ...]:
    """Return the sources that a run reads."""
    if run.plan.mode == REPROCESS:
        every = run.args.reprocess_rejected == EVERY_REJECT
        return sources_to_retry(run, lambda: _known(run)) if every else (_corrected(run),)
    own = [_going_on(run, each) for each in run.own if _is_read(run, each)]
    tables = {table.source: table for table in star_tables(run.db, run.config)}
    declared = sources_of(run.config, run.plan.window)
    pipeline = run.config.pipeline
    found = tuple(keeping(source, tables[source.name], pipeline) for source in declared)
    found += own_sources(own, run.config, {each.name: _own_window(run, each) for each in own})
    wanted = _wanted(run, found)
    return tuple(source for source in found if source.name in wanted)


def _wanted(run: RunContext, found: Sequence[Source]) -> set[str]:
    """The names of the sources that are asked for; of all that are switched on otherwise."""
    args = run.args
    names = {source.name for source in found if _is_enabled(run, source.name)}
    if args.only or args.from_load:
        names = {*args.only, *_and_those_after(found, args.from_load)}
    return names - {*args.skip}


def _and_those_after(found: Sequence[Source], names: Sequence[str]) -> set[str]:
    """These sources and all that refer to them, directly or not; they come in that order."""
    reached = {*names}
    for source in found:
        if reached & {*source.after}:
            reached.add(source.name)
    return reached


def _is_enabled(run: RunContext, name: str) -> bool:
    pipeline = run.config.pipeline
    load = pipeline.loads.get(name)
    return load.source.enabled if load else pipeline.source(name).enabled


def _is_read(run: RunContext, own: OwnLoad) -> bool:
    """Whether a run reads a load; records of a span of days would be added once more."""
    by_time = own.table.key and not counts_up(own.table)
    if by_time or not own.table.window or run.plan.mode in (INCREMENTAL, FULL_REFRESH):
        return True
    logger.info(
        "%s left out: %s", own.name,
        "it adds records, and a run of single days would do so again"
        if not own.table.key else "its records are asked for by number, not by day",
    )  # fmt: skip
    return False


def _going_on(run: RunContext, own: OwnLoad) -> OwnLoad:
    """A feed of changes, from where the last load of it has ended."""
    if own.changes is None:
        return own
    position = "" if run.plan.full_refresh else watermarks.read_position(run.db, own.table).position
    return replace(own, records=own.changes.after(position))


def _own_window(run: RunContext, own: OwnLoad) -> AnyWindow:
    if not own.table.window:
        return run.plan.window
    if counts_up(own.table):
        return _numbers(run, own)
    window = _window_of_table(run.db, run.args, own.table, lag_days=own.options.lag_days)
    if own.table.key or window == EVERYTHING:
        return window
    return replace(window, start=window.start + _TICK)  # what was added must not come again


def _numbers(run: RunContext, own: OwnLoad) -> Numbers:
    """The records of a load that are asked for by number."""
    reached = watermarks.read_number(run.db, own.table) if run.plan.mode == INCREMENTAL else None
    window = since_number(reached, own.options.lag_ids)
    if own.table.key or reached is None:
        return window
    return replace(window, start=window.start + 1)  # what was added must not come again


def _corrected(run: RunContext) -> Source:
    """The corrected records of a rejected file, without those that a later run has read."""
    own = {each.name: each.declaration.columns for each in run.own}
    corrected = read_corrected(_rejected_path(run), own)
    source = _source_named(run, corrected.source)
    table = source.table
    if lacking := [name for name in table.key if name in corrected.absent] or not table.key:
        what = ", ".join(lacking) if isinstance(lacking, list) else "a key, as its table has none"
        raise ConfigurationError(
            f"{corrected.path} lacks {what}, without which nobody knows which record a row corrects"
        )
    corrected = replace(corrected, keyed=lambda records: _keys_as_texts(source, records))
    _require_remembered(run, corrected)
    later = read_since(run.db, table, corrected.keys())
    for (key, run_id), later_run in later.items():
        logger.info("%s of run %s skipped: run %s has read it since", key, run_id, later_run)
    kept = corrected.without(later)
    if kept.absent:
        keys = pa.Table.from_batches([source.read_keys(kept.records)])
        kept = kept.completed(known_texts(run.db, table, keys))
    return corrected_source(source, kept)


def _require_remembered(run: RunContext, corrected: CorrectedFile) -> None:
    """Refuse rows so old that nobody knows any more whether newer ones were rejected since."""
    days = run.config.processing.correction_days
    oldest = min(corrected.run_ids, default="")
    if oldest and oldest < oldest_kept(run.plan.started_at, days):
        raise ConfigurationError(
            f"{corrected.path} has rows that run {oldest} has rejected; which keys were rejected "
            f"is remembered for {days} days (CORRECTION_DAYS)",
            next_step="correct the records in their source, or leave those rows out",
        )


def _rejected_path(run: RunContext) -> Path:
    given = run.args.reprocess_rejected or ""
    try:
        return cloud_path(given, run.config.clouds.access) or Path(given)
    except ValueError as error:
        raise ConfigurationError(f"--reprocess-rejected: {error}", choices=FORMS) from None


def _source_named(run: RunContext, name: str) -> Source:
    return next(source for source in _known(run) if source.name == name)


def _known(run: RunContext) -> tuple[Source, ...]:
    """All sources that there are, with everything that they have."""
    own = own_sources(
        run.own, run.config, {each.name: everything_of(each.table) for each in run.own}
    )
    built_in = (replace(source, table=with_memory(source.table, run.config))
                for source in sources_of(run.config, EVERYTHING))  # fmt: skip
    return (*built_in, *own)


def _keys_as_texts(source: Source, records: pa.RecordBatch) -> pa.Array:
    keys = source.read_keys(records)
    return record_keys(source.table, {name: keys.column(name) for name in source.table.key})


def require_only(only: Sequence[str], own: Sequence[OwnLoad], marts: Sequence[str] = ()) -> None:
    """Check that there are the sources and marts which are asked for.

    Raises:
        ConfigurationError: there is one of no such name.
    """
    known = [*SOURCE_COLUMNS, *(each.name for each in own), *marts]
    if odd := [name for name in only if name not in known]:
        near = get_close_matches(odd[0], known, n=1)
        raise ConfigurationError(
            f"no source or mart {', '.join(odd)}", choices=", ".join(known),
            next_step=f"did you mean {near[0]}?" if near else "",
        )  # fmt: skip


def require_accepted(accepted: Sequence[str], own: Sequence[OwnLoad]) -> None:
    """Check that there are the sources and findings that are accepted.

    Raises:
        ConfigurationError: there is one of no such name.
    """
    sources = [*SOURCE_COLUMNS, *(each.name for each in own)]
    if unknown := unknown_names(accepted, sources):
        raise ConfigurationError(
            f"no --accept {' '.join(unknown)}",
            choices=f"{', '.join(sources)}, or one of them with a finding, such as "
            f"customers.{NO_RECORDS}: {', '.join(FINDINGS)}",
        )


# --- what a person should know ---------------------------------------------------------------


def notices_of_settings(run: RunContext) -> Iterator[str]:
    """Yield which settings of the rules differ from those that earlier rows were computed with."""
    present = rule_settings(run.config)
    for table, settings in settings_used.read_settings(run.db).items():
        for name, values in settings.items():
            value = present.get(table, {}).get(name)
            others = [other or "none" for other in values if other != value]
            if value is not None and others:
                yield (
                    f"{name} is {value or 'not set'}, but rows of {table} were computed with "
                    f"{', '.join(others)}. Next: restate them with --full-refresh"
                )


def sales_not_read(run: RunContext, outcomes: Sequence[SourceOutcome]) -> Iterator[str]:
    """Yield that sales lie between the newest loaded one and the window, if none was read.

    Args:
        run: the run, after its loads.
        outcomes: how its sources fared.
    """
    none_read = any(
        outcome.table == SALES_FACT.name and outcome.loaded and not _read_by(outcome)
        for outcome in outcomes
    )
    if run.plan.mode != INCREMENTAL or not none_read:
        return
    newest, start = run.db.value(newest_sale(), (run.plan.started_at,)), run.plan.window.start
    if newest is None or newest >= start:
        return
    (sales,) = (source for source in planned_sources(run) if source.table.name == SALES_FACT.name)
    between = Window(newest + _TICK, start - _TICK)
    if missed := read_anew(run.config, sales, between):
        yield (
            f"sales: none was read, but the source has {missed} after the newest one in the "
            f"warehouse, of {newest:%Y-%m-%d}, and before {start:%Y-%m-%d}, where this run began: "
            "the watermark lies ahead of the data. Next: load them with "
            f"--start-date {newest:%Y-%m-%d} --end-date {start:%Y-%m-%d}"
        )


def _read_by(outcome: SourceOutcome) -> int:
    return outcome.counts.rows_read if outcome.counts else 0

"""The rejected records that are kept, as sources of a run that tries them once more."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from typing import cast

import pyarrow as pa

from etl.errors import ConfigurationError
from etl.history.dead_letters import Letter, Retry, may_be_tried
from etl.history.kept_letters import unsettled_letters
from etl.history.read_keys import read_since
from etl.history.runs import run_id_after, time_of
from etl.pipeline.context import RunContext
from etl.pipeline.source import Feed, Source
from etl.rejects import reject_block
from etl.rules.blocks import Block, LoadBlock
from etl.rules.cleaning import NOTHING_TO_CLEAN
from etl.rules.dates import DateOrder
from etl.rules.record_keys import record_keys
from etl.schema.audit import ETL_DEAD_LETTER
from etl.sources.corrected import OVERTAKEN

# Makes the sources of a run anew, all that there are.
Sources = Callable[[], Sequence[Source]]


def sources_to_retry(run: RunContext, sources: Sources) -> tuple[Source, ...]:
    """Return the rejected records that are open as sources, in the order in which they load.

    Args:
        run: the run.
        sources: of the run.

    Raises:
        ConfigurationError: rejected records are not kept in the warehouse.
    """
    if run.config.processing.dead_letters == "files":
        raise ConfigurationError(
            "--reprocess-rejected without a file goes over etl_dead_letter, where none are kept",
            next_step="set DEAD_LETTERS=table, or name a rejected file",
        )
    letters = [each for each in unsettled_letters(run.db)
               if each.attempts < run.limits.letter_attempts]  # fmt: skip
    found = (_retried(run, source, letters, sources) for source in sources())
    return tuple(filter(None, found))


def _retried(
    run: RunContext, source: Source, letters: Sequence[Letter], sources: Sources
) -> Source | None:
    """The open records of a source as a source; None where there are none."""
    table = source.table
    own = [each for each in letters
           if each.table_name == table.name and may_be_tried(each, table)]  # fmt: skip
    if not own:
        return None
    own.sort(key=lambda each: (each.date_order or "", *each.age))
    reading = {order: _reading(source.name, order, sources)
               for order in {each.date_order for each in own}}  # fmt: skip
    named = [each for order, group in groupby(own, lambda each: each.date_order)
             for each in _with_keys(reading[order], list(group))]  # fmt: skip
    late = _read_since(run, source, [now for old, now in zip(own, named, strict=True)
                                     if old.record_key != now.record_key])  # fmt: skip
    ids = {each.letter_id for each in late}
    tried = sorted((each for each in named if each.letter_id not in ids), key=lambda each: each.age)
    return _source(source, Retry(dict(enumerate(tried, 1)), tuple(late)), reading)


def _reading(name: str, order: str | None, sources: Sources) -> Source:
    """The source, reading dates in the order that its file had unless that is set."""
    source = next(each for each in sources() if each.name == name)
    watch = source.watch
    if watch.dates.order is None:
        watch.dates = replace(watch.dates, order=cast(DateOrder | None, order))
    return source


def _records(source: Source, letters: Sequence[Letter], first: int = 1) -> pa.RecordBatch:
    values = [each.values for each in letters]
    rows = pa.array(range(first, first + len(letters)), pa.int64())
    texts = [pa.array([row.get(name) for row in values], pa.string()) for name in source.columns]
    return pa.RecordBatch.from_arrays([rows, *texts], ["source_row", *source.columns])


def _with_keys(source: Source, letters: Sequence[Letter]) -> list[Letter]:
    """The records with the keys that they have by the rules of today."""
    keys = source.read_keys(_records(source, letters))
    texts = record_keys(source.table, {n: keys.column(n) for n in source.table.key})
    return [replace(each, record_key=key)
            for each, key in zip(letters, texts.to_pylist(), strict=True)]  # fmt: skip


def _read_since(run: RunContext, source: Source, letters: Sequence[Letter]) -> list[Letter]:
    """Which of them were read since, or with them, by keys that nobody knew of then."""
    keys = [(each.record_key, _before(each.run_id)) for each in letters if each.record_key]
    later = read_since(run.db, source.table, keys) if keys else {}
    return [each for each in letters if (each.record_key, _before(each.run_id)) in later]


def _before(run_id: str) -> str:
    return run_id_after(time_of(run_id) - timedelta(microseconds=1), None)


def _source(source: Source, retry: Retry, reading: Mapping[str | None, Source]) -> Source:
    def transform(block: pa.RecordBatch) -> LoadBlock:
        (first, *_) = block.column("source_row").to_pylist() or [0]
        order = retry.tried[first].date_order if first else next(iter(reading))
        return reading[order].transform(block)

    return replace(
        source, feed=_feed(source, retry), partial=True, moment=None, cleaning=NOTHING_TO_CLEAN,
        skipped={OVERTAKEN: len(retry.overtaken)} if retry.overtaken else {},
        transform=transform, retry=retry,
    )  # fmt: skip


def _feed(source: Source, retry: Retry) -> Feed:
    tried = list(retry.tried.values())

    def blocks() -> Iterator[Block]:
        first, none = 1, reject_block(source.columns, ())
        for _, group in groupby(tried, lambda each: each.date_order):
            records = _records(source, list(group), first)
            first += records.num_rows
            yield Block(records, none, records.num_rows)
        if not tried:
            yield Block(_records(source, ()), none, 0)

    def originals(losers: pa.Table) -> pa.Table:
        rows = losers["source_row"].to_pylist()
        parts = [_records(source, [retry.tried[row]], row) for row in rows]
        return pa.Table.from_batches(parts, _records(source, ()).schema)

    return Feed(blocks, originals, ETL_DEAD_LETTER.name)

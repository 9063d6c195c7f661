"""Reading a source: extracted by one thread, transformed by others, a few blocks ahead."""

import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import partial

from etl.findings import REJECT_RATE
from etl.monitoring.logs import log_context
from etl.pipeline.context import RunContext
from etl.pipeline.in_order import in_order, threads_of
from etl.pipeline.read_ahead import ReadAhead
from etl.pipeline.sources import Source
from etl.pipeline.stages import EXTRACTION, TRANSFORMATION
from etl.rules.blocks import Block, LoadBlock
from etl.warehouse.early_gate import EarlyGate
from etl.warehouse.gate import finding_of

# What may wait of each source between reading and loading: so much of the sources that come later
# is read while the load leaves a processor idle. More gained nothing (tried: 32, 64, 128 MiB).
READ_AHEAD_BYTES = 16 * 2**20


def start_reading(run: RunContext, source: Source) -> ReadAhead[LoadBlock]:
    """Begin to read and transform a source."""
    with log_context(source=source.name):
        return ReadAhead(
            lambda: _transformed(run, source), f"transform-{source.name}",
            size=lambda block: block.nbytes, room=READ_AHEAD_BYTES,
        )  # fmt: skip


def _transformed(run: RunContext, source: Source) -> Iterator[LoadBlock]:
    """The blocks of a source, transformed while the next one is read by another thread."""
    with ReadAhead(lambda: _extracted(run, source), f"read-{source.name}", room=1) as blocks:
        threads = threads_of(run.config.processing.workers)
        yield from in_order(partial(_transform, run, source), blocks, threads=threads)


def _transform(run: RunContext, source: Source, block: Block) -> LoadBlock:
    started = time.perf_counter()
    with log_context(stage=TRANSFORMATION):
        transformed = source.transform(block.records)
    run.metrics.add(
        TRANSFORMATION, seconds=time.perf_counter() - started,
        record_count=block.records.num_rows, error_count=transformed.rejected.num_rows,
    )  # fmt: skip
    loaded = transformed.with_unparsed(block.rejected, block.examined)
    return replace(loaded, position=block.position)


def _extracted(run: RunContext, source: Source) -> Iterator[Block]:
    """The blocks of a source, up to the one after which its reject limit cannot be met."""
    gate = _early_gate(run, source)
    blocks = _measured(run, source)
    for block in blocks:
        yield block
        error = gate.look(block) if gate else None
        if error is not None:
            blocks.close()  # the error keeps this frame
            raise error


def _early_gate(run: RunContext, source: Source) -> EarlyGate | None:
    gate = EarlyGate(source.name, run.limits_of(source).max_reject_rate)
    accepted = finding_of(source.name, REJECT_RATE, "").is_accepted(run.args.accept)
    return None if accepted or source.partial else gate


def _measured(run: RunContext, source: Source) -> Generator[Block, None, None]:
    blocks = None
    while True:
        started, read, errors = time.perf_counter(), 0, 1
        try:
            with log_context(stage=EXTRACTION):
                blocks = blocks or source.feed.read()
                block = next(blocks, None)
            read, errors = (block.rows, block.rejected.num_rows) if block else (0, 0)
        finally:  # a source that cannot be read counts as one error
            run.metrics.add(
                EXTRACTION, seconds=time.perf_counter() - started, record_count=read,
                error_count=errors,
            )  # fmt: skip
        if block is None:
            return
        yield replace(block, position=source.feed.meter.done)

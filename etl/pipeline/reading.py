"""Reading a source on this machine: extracted by one thread, transformed by others, ahead."""

import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import partial

from etl.findings import REJECT_RATE
from etl.monitoring.logs import log_context
from etl.monitoring.metrics import ETLMetrics
from etl.pipeline.context import Reading, RunContext
from etl.pipeline.in_order import in_order, threads_of
from etl.pipeline.read_ahead import ReadAhead
from etl.pipeline.source import Source
from etl.pipeline.stages import EXTRACTION, TRANSFORMATION
from etl.rules.blocks import Block, LoadBlock
from etl.warehouse.early_gate import EarlyGate
from etl.warehouse.gate import finding_of
from etl.warehouse.intake import from_blocks

# What may wait of each source between reading and loading: so much of the sources that come later
# is read while the load leaves a processor idle. More gained nothing (tried: 32, 64, 128 MiB).
READ_AHEAD_BYTES = 16 * 2**20


class Readers:
    """The sources of a run that are read already, or will be.

    Args:
        run: the run.
    """

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._begun: dict[str, Reading] = {}

    def begin(self, source: Source) -> None:
        """Begin to read a source, before it is wanted."""
        self._begun[source.name] = self._run.start(self._run, source)

    def take(self, source: Source) -> Reading:
        """Return a source that is read from its beginning; whoever takes it closes it."""
        return self._begun.pop(source.name, None) or self._run.start(self._run, source)

    def leave(self, source: Source) -> None:
        """Stop reading a source that nobody wants any more."""
        if reading := self._begun.pop(source.name, None):
            reading.close()

    @property
    def waiting(self) -> bool:
        """Whether there are some that were begun and not taken yet."""
        return bool(self._begun)

    def close(self) -> None:
        """Stop reading all that was not taken."""
        for reading in self._begun.values():
            reading.close()


def start_reading(run: RunContext, source: Source) -> Reading:
    """Begin to read and transform a source in threads of this process."""
    with log_context(source=source.name):
        ahead = ReadAhead(
            lambda: _transformed(run, source), f"transform-{source.name}",
            size=lambda block: block.nbytes, room=READ_AHEAD_BYTES,
        )  # fmt: skip
    taken = run.progress.taken_in(source.name, ahead, lambda: source.feed.meter)
    return Reading(from_blocks(taken), ahead.close)


def _transformed(run: RunContext, source: Source) -> Iterator[LoadBlock]:
    """The blocks of a source, transformed while the next one is read by another thread."""
    with ReadAhead(lambda: _extracted(run, source), f"read-{source.name}", room=1) as blocks:
        threads = threads_of(run.config.processing.workers)
        yield from in_order(partial(transform, source, run.metrics), blocks, threads=threads)


def transform(source: Source, metrics: ETLMetrics, block: Block) -> LoadBlock:
    """Apply the rules of a source to a block of it, and measure that."""
    started = time.perf_counter()
    with log_context(stage=TRANSFORMATION):
        transformed = source.transform(block.records)
    metrics.add(
        TRANSFORMATION, seconds=time.perf_counter() - started,
        record_count=block.records.num_rows, error_count=transformed.rejected.num_rows,
    )  # fmt: skip
    loaded = transformed.with_unparsed(block.rejected, block.examined)
    return replace(loaded, position=block.position)


def _extracted(run: RunContext, source: Source) -> Iterator[Block]:
    """The blocks of a source, up to the one after which its reject limit cannot be met."""
    gate = early_gate(run, source)
    blocks = measured(source, run.metrics)
    for block in blocks:
        yield block
        error = gate.look(block) if gate else None
        if error is not None:
            blocks.close()  # the error keeps this frame
            raise error


def early_gate(run: RunContext, source: Source) -> EarlyGate | None:
    """Return what gives a source up before its end; None where it passes whatever is rejected."""
    gate = EarlyGate(source.name, run.limits_of(source).max_reject_rate)
    accepted = finding_of(source.name, REJECT_RATE, "").is_accepted(run.args.accept)
    return None if accepted or source.partial else gate


def measured(source: Source, metrics: ETLMetrics) -> Generator[Block, None, None]:
    """Read the blocks of a source, and measure that."""
    blocks = None
    while True:
        started, read, errors = time.perf_counter(), 0, 1
        try:
            with log_context(stage=EXTRACTION):
                blocks = blocks or source.feed.read()
                block = next(blocks, None)
            read, errors = (block.rows, block.rejected.num_rows) if block else (0, 0)
        finally:  # a source that cannot be read counts as one error
            metrics.add(
                EXTRACTION, seconds=time.perf_counter() - started, record_count=read,
                error_count=errors,
            )  # fmt: skip
        if block is None:
            return
        yield replace(block, position=source.feed.meter.done)

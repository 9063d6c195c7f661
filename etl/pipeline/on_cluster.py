"""The sources of a run, read piece by piece on a cluster; what follows happens here, as ever.

The pieces are given out a wave at a time, so that a source that is given up is not read on, and
what is kept of it here does not grow with the number of its pieces.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from etl import process
from etl.cluster.parts import read_part
from etl.cluster.spark import OnceStarted, Spark, require_spark, spark_application
from etl.cluster.targets import Target, target_of
from etl.pipeline.arguments import Arguments
from etl.pipeline.context import Reading, RunContext, Starting
from etl.pipeline.in_order import in_order
from etl.pipeline.pieces import pieces_of, recipe_of, take_outcomes
from etl.pipeline.piecework import PieceDone, Piecework
from etl.pipeline.reading import early_gate, start_reading
from etl.pipeline.source import Source
from etl.pipeline.workspace import clear_leftovers, scratch_folder
from etl.settings.config import Config
from etl.sources.meter import Meter
from etl.sources.pieces import Piece
from etl.warehouse.intake import Intake, Tally
from etl.warehouse.staging import Staging

_WAVES = 2  # under way at once, so that no machine waits for the last piece of one
_PIECES_EACH = 4  # of a wave, for each task that there is room for


@dataclass(frozen=True)
class OnCluster:
    """Begins to read sources on a cluster.

    Attributes:
        cluster: the cluster, started when it is first needed.
        folder: that all machines see.
        piece_bytes: about how many bytes a piece has.
    """

    cluster: OnceStarted[Spark[Any, Any]]
    folder: Path
    piece_bytes: int

    def __call__(self, run: RunContext, source: Source) -> Reading:
        """Begin to read a source; one that only this process can read is read here."""
        pieces = pieces_of(source, self.piece_bytes)
        if any(piece.here for piece in pieces):
            return start_reading(run, source)
        cluster = self.cluster()
        reading = _PiecesRead(run, source, pieces, cluster, self.folder)
        return Reading(reading.fill, close=lambda: None)  # it ends with its last wave


@dataclass(frozen=True)
class _PiecesRead:
    run: RunContext
    source: Source
    pieces: Sequence[Piece]
    cluster: Spark[Any, Any]
    folder: Path

    def fill(self, staging: Staging, intake: Intake) -> None:
        target = self._target().opened(staging, [piece.number for piece in self.pieces])
        work = Piecework(
            recipe_of(self.source, self.run.config, self.run.own), target, self.folder,
            self.source.watch.dates.order, intake.tally.sketching is not None,
        )  # fmt: skip
        done = list[PieceDone]()
        for each in self._in_order(work):
            self._take(each, staging, intake)
            target.take(staging, each.staged)
            done.append(replace(each, tally=Tally()))  # it is counted
        outcomes = [each.outcome for each in done if each.outcome is not None]
        take_outcomes(self.source, self.pieces, outcomes)
        target.close(staging, [each.staged for each in done])

    def _target(self) -> Target:
        run = self.run
        return target_of(
            run.db, self.source.table, run_id=run.plan.run_id, batch_rows=run.limits.batch_rows,
            folder=self.folder,
        )  # fmt: skip

    def _in_order(self, work: Piecework) -> Iterator[PieceDone]:
        """What is known of each piece, in the order of the source, until one speaks against it."""
        size = _PIECES_EACH * self.cluster.at_once
        numbered = [(piece.number, piece) for piece in self.pieces]
        waves = [numbered[n : n + size] for n in range(0, len(numbered), size)]
        found = in_order(partial(self.cluster.run, work), waves, threads=_WAVES)
        meter = Meter(total=sum(piece.size or 0 for piece in self.pieces) or None)
        try:
            each = (done for wave in found for done in wave)
            placed = self._up_to_fault(each)
            yield from self.run.progress.taken_in(self.source.name, placed, lambda: meter)
        except BaseException:
            self.cluster.cancel()
            raise

    def _up_to_fault(self, found: Iterator[PieceDone]) -> Iterator[PieceDone]:
        gate, position = early_gate(self.run, self.source), 0
        to_come = sum(piece.rows or 0 for piece in self.pieces)
        is_known = all(piece.rows is not None for piece in self.pieces)
        for piece, done in zip(self.pieces, found, strict=False):
            process.raise_if_asked()
            if done.fault is not None:
                raise done.fault from done.cause
            position += piece.size or 0
            yield replace(done, position=position)
            to_come -= piece.rows or 0
            tally = done.tally
            error = gate and gate.count(
                tally.examined, tally.unparsed, to_come if is_known else None
            )
            if error:
                raise error

    def _take(self, done: PieceDone, staging: Staging, intake: Intake) -> None:
        intake.tally.include(done.tally)
        for name, figures in done.stages.items():
            self.run.metrics.add(
                name, seconds=figures["seconds"], record_count=int(figures["records"]),
                error_count=int(figures["errors"]),
            )  # fmt: skip
        if done.rejected:
            path = self.folder / done.rejected
            for rejected in read_part(path):
                intake.reject(staging, rejected)
            path.unlink(missing_ok=True)


@contextmanager
def opened(config: Config, args: Arguments, scratch: Path) -> Iterator[Starting]:
    """Return what begins to read sources on a cluster of Spark.

    Args:
        config: the settings.
        args: the arguments, which win.
        scratch: folder of the run's own.

    Raises:
        ConfigurationError: Spark is not installed.
    """
    require_spark()
    cluster, folder = config.cluster, scratch
    with ExitStack() as stack:
        if cluster.spark_scratch is not None:
            own = cluster.spark_scratch / config.environment
            clear_leftovers(own)
            folder = stack.enter_context(scratch_folder(own))
        master = args.spark_master or cluster.spark_master
        start = partial(spark_application, master, config.logging.log_dir)
        once = OnceStarted(lambda: stack.enter_context(start()))
        yield OnCluster(once, folder, cluster.spark_piece_mb * 2**20)

"""What another process does with a piece of a source: it reads, cleans and stages it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from etl.cluster.parts import PartFile
from etl.cluster.targets import Mark, Sink, Staged, Target
from etl.files import private_files
from etl.history.sketches import Sketching
from etl.monitoring.metrics import ETLMetrics
from etl.pipeline.pieces import Recipe, outcome_of
from etl.pipeline.reading import measured, transform
from etl.pipeline.set_aside import refused_records
from etl.pipeline.source import Source
from etl.resilience.transient import is_transient
from etl.rules.dates import DateOrder
from etl.sources.pieces import Piece, PieceOutcome
from etl.sources.watch import with_proven_order
from etl.warehouse.intake import Tally, stage_block
from etl.warehouse.shared_staging import StagedShare

_NOTHING = Staged(StagedShare(0, 0))


@dataclass(frozen=True)
class PieceDone:
    """What is known of a piece that was staged; a few hundred bytes, whatever its size.

    Attributes:
        piece: its number.
        tally: its totals.
        staged: where its accepted records are.
        rejected: the name of the file of its rejected ones; empty when there are none.
        outcome: what was noticed; None where it could not be read to its end.
        stages: what the stages have done.
        fault: why it could not be staged.
        cause: of that.
        position: how much of the source has been read with it, in bytes.
    """

    piece: int
    tally: Tally = field(default_factory=Tally)
    staged: Staged = _NOTHING
    rejected: str = ""
    outcome: PieceOutcome | None = None
    stages: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    fault: Exception | None = None
    cause: BaseException | None = None
    position: int = 0

    @property
    def rows(self) -> int:
        """Records read."""
        return self.tally.read


@dataclass(frozen=True)
class Piecework:
    """What is done with each piece of a source.

    Attributes:
        recipe: makes the source again.
        target: where its records are staged.
        folder: takes the rejected ones.
        order: of day and month, where a reading has proven one.
        counted: whether it is counted how the values of the columns are distributed.
    """

    recipe: Recipe
    target: Target
    folder: Path
    order: DateOrder | None
    counted: bool

    def __call__(self, piece: Piece, mark: Mark) -> PieceDone:
        """Read, clean and stage a piece.

        An error of the source is a result: it would be the same each time. One that may pass is
        raised as long as the piece will be tried again.
        """
        with private_files(self.recipe.config.files.file_permissions):
            try:
                source = self.recipe.source(piece, self.order)
                return with_proven_order(lambda: self._stage(source, piece, mark))
            except Exception as error:
                if is_transient(error) and not mark.is_last:
                    raise
                return PieceDone(piece.number, fault=error, cause=error.__cause__)

    def _stage(self, source: Source, piece: Piece, mark: Mark) -> PieceDone:
        metrics, tally = ETLMetrics(), Tally()
        tally.sketching = Sketching(source.table) if self.counted else None
        rejects = PartFile(self.folder / f"{source.name}-{mark}.rejected.parquet")
        with self.target.sink(mark) as sink, rejects:
            self._fill(source, sink, rejects, tally=tally, metrics=metrics)
            staged = sink.staged
        return PieceDone(
            piece.number, tally, staged, rejects.name, outcome_of(source, piece),
            metrics.stage_metrics,
        )  # fmt: skip

    def _fill(
        self, source: Source, sink: Sink, rejects: PartFile, *, tally: Tally, metrics: ETLMetrics
    ) -> None:
        for block in measured(source, metrics):
            loaded = transform(source, metrics, block)
            tally.add(loaded)
            for rejected in stage_block(sink, loaded, partial(refused_records, source), tally):
                rejects.write(rejected)

"""What another process does with a piece of a source: it reads, cleans and stages it."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from etl.cluster.parts import PartFile
from etl.cluster.targets import Mark, Sink, Staged, Target
from etl.files import private_files
from etl.history.sketches import Sketching
from etl.pipeline.pieces import Recipe, outcome_of
from etl.pipeline.reading import measured, transform
from etl.pipeline.set_aside import refused_records
from etl.pipeline.sources import Source
from etl.resilience.transient import is_transient
from etl.rules.dates import DateOrder
from etl.sources.pieces import Piece, PieceOutcome
from etl.sources.watch import with_proven_order
from etl.warehouse.intake import Refusal, Tally, stage_block
from etl.warehouse.shared_staging import StagedShare


@dataclass
class StageFigures:
    """What a stage has done: in how many seconds, with how many records and errors."""

    seconds: float = 0.0
    record_count: int = 0
    error_count: int = 0


class Measured:
    """Takes what stages did, to be passed on."""

    def __init__(self) -> None:
        self.stages: dict[str, StageFigures] = defaultdict(StageFigures)

    def add(self, stage_name: str, *, seconds: float, record_count: int, error_count: int) -> None:
        """Add to what a stage did."""
        figures = self.stages[stage_name]
        figures.seconds += seconds
        figures.record_count += record_count
        figures.error_count += error_count


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
    stages: Mapping[str, StageFigures] = field(default_factory=dict)
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
        counted, tally = Measured(), Tally()
        tally.sketching = Sketching(source.table) if self.counted else None
        rejects = PartFile(self.folder / f"{source.name}-{mark}.rejected.parquet")
        with self.target.sink(mark) as sink, rejects:
            self._fill(source, sink, rejects, tally=tally, counted=counted)
            staged = sink.staged
        return PieceDone(
            piece.number, tally, staged, rejects.name, outcome_of(source, piece),
            dict(counted.stages),
        )  # fmt: skip

    def _fill(
        self, source: Source, sink: Sink, rejects: PartFile, *, tally: Tally, counted: Measured
    ) -> None:
        for block in measured(source, counted):
            loaded = transform(source, counted, block)
            tally.add(loaded)
            for rejected in stage_block(sink, loaded, _refusal(source), tally):
                rejects.write(rejected)


def _refusal(source: Source) -> Refusal:
    return partial(refused_records, source)

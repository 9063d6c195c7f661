"""Reads a source whole and in pieces, as other processes would, to compare the two."""

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from etl.pipeline.pieces import Recipe, outcome_of, pieces_of, recipe_of, take_outcomes
from etl.pipeline.source import Source
from etl.pipeline.sources import sources_of
from etl.rules.blocks import Block
from etl.rules.dates import DateOrder
from etl.settings.config import Config
from etl.sources.pieces import Piece, PieceOutcome
from etl.sources.watch import OrderProvenError, with_proven_order
from etl.sources.window import EVERYTHING, Window
from etl.warehouse.own_loads import OwnLoad

Rows = list[dict[str, Any]]


@dataclass
class Reading:
    """What a source gave, in an order that does not depend on its blocks."""

    records: Rows = field(default_factory=list)
    rejected: Rows = field(default_factory=list)
    accepted: Rows = field(default_factory=list)
    refused: Rows = field(default_factory=list)
    examined: int = 0

    def add(self, source: Source, block: Block) -> None:
        loaded = source.transform(block.records)
        for rows, batch in (
            (self.records, block.records), (self.rejected, block.rejected),
            (self.accepted, loaded.accepted), (self.refused, loaded.rejected),
        ):  # fmt: skip
            rows.extend(batch.to_pylist())
        self.examined += block.examined

    def plus(self, other: "Reading") -> "Reading":
        return Reading(
            self.records + other.records, self.rejected + other.rejected,
            self.accepted + other.accepted, self.refused + other.refused,
            self.examined + other.examined,
        )  # fmt: skip

    def ordered(self) -> "Reading":
        rows = (self.records, self.rejected, self.accepted, self.refused)
        found = [sorted(each, key=_row) for each in rows]
        return Reading(found[0], found[1], found[2], found[3], self.examined)


def _row(row: Mapping[str, Any]) -> int:
    return int(row["source_row"])


def read_source(source: Source) -> Reading:
    """Read it, again where a date proves the order."""

    def once() -> Reading:
        found = Reading()
        for block in source.feed.read():
            found.add(source, block)
        return found

    return with_proven_order(once)


def read_piece(
    recipe: Recipe, piece: Piece, order: DateOrder | None = None
) -> tuple[Reading, PieceOutcome]:
    """Read a piece with what has come through a pipe, and send back what would."""
    recipe, piece = pickle.loads(pickle.dumps((recipe, piece)))  # noqa: S301  # our own
    part = recipe.source(piece, order)
    found = read_source(part)
    outcome: PieceOutcome = pickle.loads(pickle.dumps(outcome_of(part, piece)))  # noqa: S301  # likewise
    return found, outcome


def to_read_again(source: Source, outcomes: Sequence[PieceOutcome]) -> tuple[int, ...]:
    """The numbers of the pieces whose dates were read in another order than proven."""
    order = source.watch.dates.order
    return tuple(each.number for each in outcomes if not each.noticed.fits(order))


def read_in_pieces(source: Source, recipe: Recipe, pieces: Sequence[Piece]) -> Reading:
    """Read all pieces, and those again that were read in another order of day and month."""
    readings: dict[int, Reading] = {}
    outcomes: dict[int, PieceOutcome] = {}

    def read(piece: Piece, order: DateOrder | None = None) -> None:
        readings[piece.number], outcomes[piece.number] = read_piece(recipe, piece, order)

    for piece in reversed(pieces):  # in whichever order they come
        read(piece)
    try:
        take_outcomes(source, pieces, list(outcomes.values()))
    except OrderProvenError:
        for number in to_read_again(source, list(outcomes.values())):
            read(pieces[number], source.watch.dates.order)
        take_outcomes(source, pieces, list(outcomes.values()))
    total = Reading()
    for piece in pieces:
        total = total.plus(readings[piece.number])
    return total


def noticed_of(source: Source) -> dict[str, Any]:
    """What a source knows of itself once it was read."""
    watch, feed = source.watch, source.feed
    files = feed.files.files if feed.files else ()
    return {
        "order": watch.dates.order, "facts": list(watch.facts), "warnings": list(watch.warnings),
        "counts": +watch.counts, "extra": watch.extra, "left out": feed.left_out,
        "files": [(f.rows, f.trace.bytes, f.trace.sha256, f.trace.modified_at, f.trace.extracted_at)
                  for f in files],
    }  # fmt: skip


def source_of(config: Config, name: str, window: Window = EVERYTHING) -> Source:
    return next(each for each in sources_of(config, window) if each.name == name)


def assert_pieces_are_the_whole(
    config: Config, name: str, target_bytes: int, window: Window = EVERYTHING
) -> tuple[Piece, ...]:
    """Compare a built-in source with its pieces, which are returned."""
    return assert_divided(lambda: source_of(config, name, window), config, target_bytes)


def assert_divided(
    make: Callable[[], Source], config: Config, target_bytes: int, own: Sequence[OwnLoad] = ()
) -> tuple[Piece, ...]:
    """Compare a source with its pieces, which are returned."""
    whole, divided = make(), make()
    expected = outcome_or_error(lambda: read_source(whole).ordered())
    pieces = pieces_of(divided, target_bytes)
    recipe = recipe_of(divided, config, own)
    found = outcome_or_error(lambda: read_in_pieces(divided, recipe, pieces).ordered())
    assert found == expected
    if isinstance(expected, Reading):
        assert noticed_of(divided) == noticed_of(whole)
    return pieces


def outcome_or_error(work: Callable[[], Any]) -> Any:
    """What it returns, or which error it raises."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001  # whatever it is, both must raise it
        return type(error)

"""A source in pieces that other processes read, and what they found put together again.

The process that has the source divides it and passes on a recipe, by which any other process makes
the same source again, for a piece of it alone. What it yields are blocks as ever; what it notices
comes back as an outcome.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import cast

from etl.errors import ExtractionError
from etl.pipeline.kept_columns import keeping
from etl.pipeline.own_sources import own_sources
from etl.pipeline.source import Feed, Source
from etl.pipeline.sources import sources_of
from etl.rules.blocks import Block
from etl.rules.dates import DateOrder
from etl.schema.table import Table
from etl.settings.config import Config
from etl.sources.declared import CsvRecords, JsonRecords, Records
from etl.sources.division import FileDivision, QueryDivision
from etl.sources.files import FileTrace
from etl.sources.meter import ROWS, Meter
from etl.sources.own_records import own_records
from etl.sources.pieces import (
    TARGET_BYTES,
    FilePart,
    Part,
    Piece,
    PieceOutcome,
    QueryPart,
    in_order,
)
from etl.sources.sales_reading import count_by_name
from etl.sources.several import SourceFiles
from etl.sources.window import AnyWindow, Window
from etl.warehouse.own_loads import OwnLoad


@dataclass(frozen=True)
class Recipe:
    """All that another process needs to make a source again; it pickles, with the secrets in it.

    Attributes:
        name: of the source.
        config: the settings, with the files that were chosen.
        window: of the records asked for.
        table: what it is loaded into.
        own: the declared load; None: the source is built in.
    """

    name: str
    config: Config
    window: AnyWindow
    table: Table
    own: OwnLoad | None = None

    def source(self, piece: Piece, order: DateOrder | None = None) -> Source:
        """Make the source again, of a piece alone.

        Its watch notices the piece; what only the whole can say is left to `take_outcomes`.

        Args:
            piece: the piece.
            order: of day and month, where other pieces have proven one.

        Raises:
            ConfigurationError: the settings do not hold in this process.
        """
        whole = self._whole()
        whole.watch.partial = True
        if order is not None and whole.watch.dates.order is None:
            whole.watch.dates = replace(whole.watch.dates, order=order)
        return replace(whole, feed=_feed_of_part(whole.feed, piece))

    def _whole(self) -> Source:
        if self.own is not None:
            own = self.own
            if not isinstance(own.records, CsvRecords | JsonRecords):
                records = own_records(self.config, self.name, own.options)
                own = replace(own, records=records)
            return own_sources((own,), self.config, {self.name: self.window})[0]
        found = sources_of(self.config, cast(Window, self.window))
        source = next(each for each in found if each.name == self.name)
        return keeping(source, self.table, self.config.pipeline)


def recipe_of(source: Source, config: Config, own: Sequence[OwnLoad] = ()) -> Recipe:
    """Return the recipe of a source.

    Args:
        source: the source, as a run reads it.
        config: the settings of the run.
        own: the declared loads of the run.
    """
    load = next((each for each in own if each.name == source.name), None)
    if load is not None:
        load = replace(load, records=_light(load.records))
    files = source.feed.files
    if load is None and files is not None:
        config = config.choosing(source.name, [file.path for file in files.files])
    return Recipe(source.name, config, source.window, source.table, load)


def _light(records: Records) -> Records:
    """Records as they travel: what was remembered of a file may be large."""
    if isinstance(records, CsvRecords | JsonRecords):
        paths = [file.path for file in records.files.files]
        return replace(records, files=SourceFiles.of(*paths))
    return cast(Records, None)  # they hold locks; made anew from their options


def pieces_of(source: Source, target_bytes: int = TARGET_BYTES) -> tuple[Piece, ...]:
    """Divide a source.

    Files are read once for that, in bounded memory, and their traces are filled. What cannot be
    cut is one piece; whoever reads it says what is wrong with it, if something is.

    Args:
        source: the source.
        target_bytes: about how many bytes a piece has.

    Returns:
        At least one piece, in the order of the source.
    """
    if source.table.feed or source.partial:
        return (Piece(source.name, 0, here=True),)
    parts = _parts_of(source.feed, target_bytes) or (None,)
    return tuple(Piece(source.name, number, part) for number, part in enumerate(parts))


def _parts_of(feed: Feed, target_bytes: int) -> Sequence[Part]:
    if isinstance(feed.division, FileDivision) and feed.files is not None:
        return tuple(feed.division.parts(feed.files, target_bytes))
    if isinstance(feed.division, QueryDivision):
        return feed.division.parts(target_bytes)
    return ()


def _feed_of_part(feed: Feed, piece: Piece) -> Feed:
    part, division, rows = piece.part, feed.division, Meter(ROWS)
    if isinstance(part, FilePart) and isinstance(division, FileDivision) and feed.files:
        files = feed.files.part(part.number, part.cut)
        return replace(feed, read=lambda: division.read(files), files=files, trace=files.only_trace)
    if isinstance(part, QueryPart) and isinstance(division, QueryDivision):
        return replace(feed, read=lambda: _counted(division.read(part), rows), rows=rows)
    return feed


def _counted(blocks: Iterator[Block], meter: Meter) -> Iterator[Block]:
    meter.done = 0
    for block in blocks:
        meter.done += block.examined
        yield block


# --- what was found ------------------------------------------------------------------------


def outcome_of(part: Source, piece: Piece) -> PieceOutcome:
    """Return what the reading of a piece has found, once it has ended.

    Args:
        part: the source that `Recipe.source` has made.
        piece: the piece.
    """
    feed, trace, rows = part.feed, None, part.feed.rows.done
    if isinstance(piece.part, FilePart) and feed.files is not None:
        file = feed.files.files[piece.part.number]
        trace, rows = replace(file.trace, places=None), file.rows
    return PieceOutcome(
        piece.number, part.watch.noticed(piece.file), rows, dict(feed.left_out), trace
    )


def take_outcomes(
    source: Source, pieces: Sequence[Piece], outcomes: Sequence[PieceOutcome]
) -> None:
    """Notice all that the readings of the pieces have found, as if the source had been read here.

    Args:
        source: that was divided.
        pieces: all of them.
        outcomes: one for each.

    Raises:
        OrderProvenError: together the pieces prove an order of day and month in which some were
            not read; the watch of the source has it, and the source is to be read again.
        ExtractionError: the parts of a query gave fewer records than were counted before.
        HeldBackError: together they prove both orders.
        ValueError: a piece has no outcome, or more than one.
    """
    found = in_order(pieces, outcomes)
    feed = source.feed
    feed.left_out.clear()
    for file in feed.files.files if feed.files else ():
        file.rows = 0
    for piece, outcome in found:
        for status, count in outcome.left_out.items():
            count_by_name(feed.left_out, status, count)
        if isinstance(piece.part, FilePart) and feed.files is not None:
            file = feed.files.files[piece.part.number]
            file.rows += outcome.rows
            _fill(file.trace, outcome.trace)
    _require_counted(found)
    source.watch.merge([outcome.noticed for _, outcome in found])


def _require_counted(found: Sequence[tuple[Piece, PieceOutcome]]) -> None:
    """The parts of a query are asked for one by one: what moves between them may be missed."""
    counted = [piece.part.counted for piece, _ in found if isinstance(piece.part, QueryPart)]
    read = sum(outcome.rows for _, outcome in found)
    if counted and read < counted[0]:
        raise ExtractionError(
            f"{found[0][0].source}: {read} records came where {counted[0]} were counted; some "
            "were changed or deleted while the parts of the query were read",
            next_step="run again",
        )


def _fill(trace: FileTrace, found: FileTrace | None) -> None:
    for each in fields(FileTrace) if found else ():
        value = getattr(found, each.name)
        if value is not None and each.name not in ("meter", "places"):
            setattr(trace, each.name, value)

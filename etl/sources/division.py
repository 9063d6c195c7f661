"""How a source is divided: which parts it has, and how one of them is read."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from etl.errors import ETLError
from etl.rules.blocks import Block
from etl.sources.csv_cuts import CsvColumns, cut_csv
from etl.sources.databases.records import DatabaseRecords
from etl.sources.declared import CsvRecords, JsonRecords, Records
from etl.sources.json_cuts import cut_json_lines
from etl.sources.partitions import Extent
from etl.sources.pieces import Cut, FilePart, QueryPart
from etl.sources.several import SourceFile, SourceFiles
from etl.sources.window import AnyWindow

# Cuts a file into parts of about so many bytes; none: it is one part.
CutFile = Callable[[SourceFile, int], Sequence[Cut]]


def uncut(_file: SourceFile, _target_bytes: int) -> Sequence[Cut]:
    """Leave a file whole."""
    return ()


@dataclass(frozen=True)
class FileDivision:
    """How a source of files is divided.

    Attributes:
        read: reads them, or the part that is chosen of them.
        cut: cuts one of them, and fills its trace; a fault of it is left to reading.
    """

    read: Callable[[SourceFiles], Iterator[Block]]
    cut: CutFile = uncut

    def parts(self, files: SourceFiles, target_bytes: int) -> Iterator[FilePart]:
        """Yield the parts of the files, in order.

        Args:
            files: of the source.
            target_bytes: about how many bytes a part has.
        """
        for number, file in enumerate(files.files):
            for cut in self.cut(file, target_bytes) or (None,):
                yield FilePart(number, file.path, cut)


@dataclass(frozen=True)
class QueryDivision:
    """How a query is divided, into windows within its own.

    Attributes:
        window: its own.
        extent: asks what there is to divide; None: nothing can be.
        read: reads a part.
    """

    window: AnyWindow
    extent: Callable[[], Extent | None]
    read: Callable[[QueryPart], Iterator[Block]]

    def parts(self, target_bytes: int) -> Sequence[QueryPart]:
        """Return the parts; none where it cannot be divided, or asked."""
        with suppress(ETLError, OSError):
            extent = self.extent()
            return list(extent.parts(self.window, target_bytes)) if extent else ()
        return ()


Division = FileDivision | QueryDivision


def csv_division(
    read: Callable[[SourceFiles], Iterator[Block]], wanted: CsvColumns
) -> FileDivision:
    """Return how a source of CSV files is divided.

    Args:
        read: reads them.
        wanted: what is read of them.
    """
    return FileDivision(read, lambda file, size: cut_csv(file, size, wanted))


def division_of(
    records: Records,
    columns: Sequence[str],
    read: Callable[[Records], Iterator[Block]],
    *,
    window: AnyWindow,
) -> Division | None:
    """Return how records are divided; None: they are read as a whole.

    Args:
        records: of a source.
        columns: of it.
        read: reads them as that source.
        window: which of them are asked for.
    """
    if isinstance(records, DatabaseRecords):
        return QueryDivision(
            window, lambda: records.extent(window), lambda part: read(replace(records, part=part))
        )
    if not isinstance(records, CsvRecords | JsonRecords):
        return None

    def of_files(files: SourceFiles) -> Iterator[Block]:
        return read(replace(records, files=files))

    if isinstance(records, CsvRecords):
        return csv_division(of_files, CsvColumns(tuple(columns), records.csv_format))
    shape = records.form.shape
    return FileDivision(of_files, lambda file, size: cut_json_lines(file, size, shape))

"""How a source is divided: which parts it has, and how one of them is read."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from etl.rules.blocks import Block
from etl.sources.declared import CsvRecords, JsonRecords, Records
from etl.sources.pieces import Cut, FilePart
from etl.sources.several import SourceFile, SourceFiles

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


def division_of(
    records: Records, read: Callable[[Records], Iterator[Block]]
) -> FileDivision | None:
    """Return how records are divided; None: they are read as a whole.

    Args:
        records: of a source.
        read: reads them as that source.
    """
    if isinstance(records, CsvRecords | JsonRecords):
        return FileDivision(lambda files: read(replace(records, files=files)))
    return None

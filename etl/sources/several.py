"""Several files as one source: read one after the other, each with its own rows and trace.

A record's row is unique within the source, see `etl.rejects.places`; of a source with one file it
is the row in that file.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from etl.cloud.paths import is_cloud
from etl.errors import ETLError, ExtractionError, ValidationError
from etl.rejects import ROWS_OF_A_FILE, places
from etl.rules.blocks import Block
from etl.sources.files import FileTrace
from etl.sources.meter import Meter
from etl.sources.noticed import in_common
from etl.sources.pieces import Cut
from etl.sources.watch import Watch

_BLOCKING = (ExtractionError, ValidationError, FileNotFoundError)


@dataclass
class SourceFile:
    """One file of a source.

    Attributes:
        path: the file.
        trace: what was read of it.
        rows: how many of its records were read.
        cut: the part of it that is read; None: all of it.
    """

    path: Path
    trace: FileTrace = field(default_factory=FileTrace)
    rows: int = 0
    cut: Cut | None = None


# Reads a file or a part of it, and fills its trace.
ReadOne = Callable[[SourceFile], Iterator[Block]]


def _size_of(file: SourceFile) -> int:
    if is_cloud(file.path):  # known once it is read: asking costs a request each time
        return file.trace.meter.total or 0
    return file.path.stat().st_size


@dataclass(frozen=True)
class SourceFiles:
    """The files of a source, oldest first.

    Attributes:
        files: at least one.
        only: number of the one that is read; None: all are.
    """

    files: tuple[SourceFile, ...]
    only: int | None = None

    @classmethod
    def of(cls, *paths: Path, trace: FileTrace | None = None) -> "SourceFiles":
        """Return files that were not read yet.

        Args:
            *paths: the files.
            trace: is filled with what was read of the first.
        """
        files = tuple(map(SourceFile, paths))
        return cls((replace(files[0], trace=trace), *files[1:]) if trace else files)

    def part(self, number: int, cut: Cut | None) -> "SourceFiles":
        """Return the same files, of which one is read, or a part of it; nothing is read yet.

        Args:
            number: of the file, from 0.
            cut: the part; None: all of it.
        """
        files = [SourceFile(file.path) for file in self.files]
        files[number].cut = cut
        return SourceFiles(tuple(files), number)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the files where there are several; none of a single one."""
        return tuple(file.path.name for file in self.files) if len(self.files) > 1 else ()

    @property
    def only_trace(self) -> FileTrace | None:
        """What was read of the file; None where there are several."""
        return self.files[0].trace if len(self.files) == 1 else None

    @property
    def trace(self) -> FileTrace:
        """What was read of all of them: of several, the hash is that of their hashes."""
        traces = [file.trace for file in self.files]
        if len(traces) == 1:
            return traces[0]
        if not all(trace.sha256 for trace in traces):
            return FileTrace()
        hashes = "".join(trace.sha256 or "" for trace in traces)
        return FileTrace(
            sum(trace.bytes or 0 for trace in traces),
            hashlib.sha256(hashes.encode()).hexdigest(),
            max((t.modified_at for t in traces if t.modified_at), default=None),
            max((t.extracted_at for t in traces if t.extracted_at), default=None),
        )

    @property
    def meter(self) -> Meter:
        """How much of all of them was read."""
        meters = [file.trace.meter for file in self.files]
        return Meter(done=sum(meter.done for meter in meters), total=self._size())

    def _size(self) -> int | None:
        try:
            return sum(map(_size_of, self.files))
        except OSError:  # reading says why
            return None

    def read(self, read_one: ReadOne, watch: Watch) -> Iterator[Block]:
        """Read all of them as one source.

        Args:
            read_one: reads each.
            watch: notices what each is like; it has begun.

        Raises:
            ExtractionError: some cannot be read; the message has what is wrong with each.
        """
        found: dict[str, tuple[str, ...]] = {}
        for number, file in enumerate(self.files):
            if self.only not in {None, number}:
                continue
            file.rows = 0
            try:
                for block in read_one(file):
                    file.rows += block.rows
                    yield moved(block, number) if self.names else block
            except _BLOCKING as error:
                raise self._all_faults(number, error, read_one) from error
            found[file.path.name] = tuple(watch.facts)
            watch.facts.clear()
        watch.facts.update(dict.fromkeys(in_common(found)))

    def _all_faults(self, number: int, first: Exception, read_one: ReadOne) -> Exception:
        """The fault, together with those that the beginnings of the later files show."""
        faults = [str(first)]
        for file in self.files[number + 1 :] if self.only is None else ():
            try:
                with suppress(StopIteration):
                    next(read_one(SourceFile(file.path)))
            except _BLOCKING as error:
                faults.append(str(error))
            except ETLError:
                pass  # what is noticed of its dates does not count, since nothing is loaded
        return first if len(faults) == 1 else ExtractionError(" | ".join(faults))

    def originals(
        self, rows: pa.Array, find: Callable[[SourceFile, pa.Array], pa.Table]
    ) -> pa.Table:
        """Find records as they stand in their files.

        Args:
            rows: of the records within the source.
            find: reads the records of some rows of a file.
        """
        numbers, within = places(rows)
        parts = []
        for number, file in enumerate(self.files):
            wanted = within.filter(pc.equal(numbers, number))
            if len(wanted) or len(self.files) == 1:
                found = find(file, wanted)
                row = pc.add(found["source_row"], number * ROWS_OF_A_FILE)
                parts.append(found.set_column(0, "source_row", row))
        return pa.concat_tables(parts)


def moved(block: Block, number: int) -> Block:
    """Return a block of a file with the rows that it has within the source.

    Args:
        block: the block.
        number: of the file, from 0.
    """
    above = number * ROWS_OF_A_FILE
    records, rejected = (_moved_rows(each, above) for each in (block.records, block.rejected))
    return replace(block, records=records, rejected=rejected, most_to_come=None)


def _moved_rows(records: pa.RecordBatch, above: int) -> pa.RecordBatch:
    place = records.schema.get_field_index("source_row")
    rows = pc.add(records.column(place), pa.scalar(above, pa.int64()))
    return records.set_column(place, records.schema.field(place), rows)

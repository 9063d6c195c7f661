"""Files of records that one process writes for another: there whole, under a name of its own.

Every attempt at a piece writes under another name, so that none is ever replaced. They are Parquet,
in a folder that all machines see.
"""

from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa

from etl.files import AtomicFile
from etl.libraries import parquet

_COMPRESSION = "lz4"  # it costs least, and the files live for minutes
_READ_ROWS = 50_000


class PartFile:
    """A file of records; without any it is not made.

    As a context manager it is put in its place at the end, or removed after an error.

    Args:
        path: of the file; its folder is there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: AtomicFile | None = None
        self._writer: Any = None

    def write(self, block: pa.RecordBatch) -> None:
        """Add records, all of the same columns."""
        if not block.num_rows:
            return
        if self._writer is None:
            self._file = AtomicFile(self._path)
            self._writer = parquet().ParquetWriter(
                self._file.file, block.schema, compression=_COMPRESSION, store_schema=True
            )
        self._writer.write_batch(block)

    @property
    def name(self) -> str:
        """Its name; empty when it has no records."""
        return self._path.name if self._writer else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is None or self._writer is None:
            return
        try:
            with suppress(Exception) if kind else nullcontext():
                self._writer.close()  # also after an error: else it would write when it is deleted
            if kind is None:
                self._file.commit()
        finally:
            self._file.discard()


def read_part(path: Path) -> Iterator[pa.RecordBatch]:
    """Read a file of records block by block."""
    with parquet().ParquetFile(path) as file:
        yield from file.iter_batches(_READ_ROWS)

"""Where the records of a declared load are read: a file of any form, or a query of a database."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import pyarrow as pa

from etl.rules.blocks import Block
from etl.schema.table import Column
from etl.sources.csv_format import PLAIN, CsvFormat
from etl.sources.csv_look import look_at_csv, read_beginning
from etl.sources.csv_reader import read_csv_file
from etl.sources.customers import read_csv_originals
from etl.sources.files import FileTrace
from etl.sources.flat_json import JsonForm, names_in_json, read_flat_json, read_flat_json_rows
from etl.sources.json_reader import JsonShape
from etl.sources.several import SourceFiles
from etl.sources.watch import Watch
from etl.sources.window import EVERYTHING, AnyWindow


class Records(Protocol):
    """Records of one source, columns of text."""

    @property
    def place(self) -> str:
        """Where they are, without secrets."""

    @property
    def trace(self) -> FileTrace | None:
        """What was read of a file; None for what is no file."""

    def asked(self, window: AnyWindow) -> str:
        """Return what a database is asked for a window; empty for a file."""

    def names(self) -> tuple[str, ...]:
        """Return the names of all columns, as the source writes them."""

    def blocks(self, columns: Sequence[str], window: AnyWindow, watch: Watch) -> Iterator[Block]:
        """Read columns, block by block; of a database the records of the window alone."""

    def originals(self, losers: pa.Table, columns: Sequence[str]) -> pa.Table:
        """Return staged records as the source wrote them."""


@runtime_checkable
class Described(Protocol):
    """Records whose source knows the types of their columns."""

    def known_columns(self, names: Mapping[str, str], key: Sequence[str]) -> dict[str, Column]:
        """Return columns of a table that is made for them, as far as the source says their types.

        Args:
            names: by name in the source, that in the table.
            key: of the table.
        """


@dataclass(frozen=True)
class _OfFiles:
    """Records of one file or of several.

    Attributes:
        pattern: how several are called in the settings.
    """

    files: SourceFiles
    pattern: str = ""

    @property
    def place(self) -> str:
        """The path, or the pattern of several."""
        return self.pattern if self.files.names else str(self.newest)

    @property
    def newest(self) -> Path:
        """The newest file."""
        return self.files.files[-1].path

    @property
    def trace(self) -> FileTrace | None:
        """What was read of the file; None where there are several."""
        return self.files.only_trace

    def asked(self, _window: AnyWindow) -> str:
        """Nothing is asked."""
        return ""


@dataclass(frozen=True)
class CsvRecords(_OfFiles):
    """Records of CSV files."""

    csv_format: CsvFormat = PLAIN

    def names(self) -> tuple[str, ...]:
        """Return the names in the header."""
        return look_at_csv(self.newest, self.csv_format.encoding, self.csv_format.header).names

    def blocks(self, columns: Sequence[str], _window: AnyWindow, watch: Watch) -> Iterator[Block]:
        """Read the files; all of them, whatever the window."""
        yield from self.files.read(
            lambda file: read_csv_file(
                file, tuple(columns), csv_format=self.csv_format, watch=watch
            ),
            watch,
        )

    def originals(self, losers: pa.Table, columns: Sequence[str]) -> pa.Table:
        """Read single records of the files again."""
        return self.files.originals(
            losers["source_row"].combine_chunks(),
            lambda file, rows: read_csv_originals(
                file, tuple(columns), rows=rows, csv_format=self.csv_format
            ),
        )


@dataclass(frozen=True)
class JsonRecords(_OfFiles):
    """Records of JSON files, or of files with a JSON record on each line."""

    form: JsonForm = field(default_factory=lambda: JsonForm(JsonShape("")))

    def names(self) -> tuple[str, ...]:
        """Return the names of all members."""
        return names_in_json(self.newest, self.form.shape)

    def blocks(self, columns: Sequence[str], _window: AnyWindow, watch: Watch) -> Iterator[Block]:
        """Read the files; all of them, whatever the window."""
        yield from self.files.read(
            lambda file: read_flat_json(file, columns, self.form, watch=watch), watch
        )

    def originals(self, losers: pa.Table, columns: Sequence[str]) -> pa.Table:
        """Read single records of the files again."""
        return self.files.originals(
            losers["source_row"].combine_chunks(),
            lambda file, rows: read_flat_json_rows(file.path, columns, self.form, rows),
        )


def files_of(records: Records) -> SourceFiles | None:
    """Return the files of records; None for those of a database or an interface."""
    found = getattr(records, "files", None)
    return found if isinstance(found, SourceFiles) else None


def all_texts(records: Records, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield all records of a source, columns of text; those that cannot be read are left out."""
    for block in records.blocks(columns, EVERYTHING, Watch()):
        yield block.records


def holds_json(path: Path) -> bool:
    """Return whether a file, perhaps compressed, holds JSON, by the first character in it.

    Raises:
        ConfigurationError: it cannot be read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "orders.txt")
        ...     _ = path.write_text(' {"order_id": 1}')
        ...     holds_json(path)
        True
    """
    data, marked = read_beginning(path)
    start = data.decode(marked or "utf-8", "replace").removeprefix("\ufeff").lstrip()
    return start[:1] in ("{", "[")

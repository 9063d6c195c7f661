"""A file of any form of which nothing is known: its records, as a look at it shows them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from etl.rules.blocks import Block
from etl.sources.csv_format import CsvFormat
from etl.sources.csv_header import HeaderOptions
from etl.sources.csv_look import look_at_csv
from etl.sources.declared import CsvRecords, JsonRecords, Records, holds_json
from etl.sources.flat_json import JsonForm
from etl.sources.json_reader import JsonShape
from etl.sources.several import SourceFiles
from etl.sources.watch import Watch
from etl.sources.window import EVERYTHING


@dataclass(frozen=True)
class AnyFile:
    """A file, and what was seen in it.

    Attributes:
        names: of its columns, as the file writes them.
        options: of its source, as `pipeline.toml` has them.
        delimiter: between the fields of a CSV file; empty for JSON.
        records: its columns by `columns`.
    """

    names: tuple[str, ...]
    options: Mapping[str, Any]
    delimiter: str
    records: Records

    @property
    def columns(self) -> tuple[str, ...]:
        """Names that any engine takes, one for each column: two may have one name in the file."""
        return tuple(f"c{number}" for number in range(len(self.names)))

    def blocks(self) -> Iterator[Block]:
        """Read all of it, columns of text."""
        yield from self.records.blocks(self.columns, EVERYTHING, Watch())


def any_file(path: Path) -> AnyFile:
    r"""Look at the beginning of a file.

    Args:
        path: CSV or JSON of any form, perhaps compressed.

    Raises:
        ConfigurationError: it cannot be read, or holds nothing.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "stock.csv")
        ...     _ = path.write_text("sku;on hand\nA1;5\n")
        ...     found = any_file(path)
        ...     found.names, found.delimiter, next(found.blocks()).records.to_pylist()
        (('sku', 'on hand'), ';', [{'source_row': 2, 'c0': 'A1', 'c1': '5'}])
    """
    return _json(path) if holds_json(path) else _csv(path)


def _json(path: Path) -> AnyFile:
    records = JsonRecords(SourceFiles.of(path), form=JsonForm(JsonShape(path.stem)))
    found = AnyFile(records.names(), {}, "", records)
    renamed = dict(zip(found.names, found.columns, strict=True))
    return replace(found, records=replace(records, form=replace(records.form, rename=renamed)))


def _csv(path: Path) -> AnyFile:
    seen = look_at_csv(path)
    options = {"encoding": seen.encoding} if seen.encoding == "cp1252" else {}
    header = HeaderOptions(seen.delimiter, seen.skip_rows)
    form = CsvFormat(encoding=seen.encoding, header=header)
    records = CsvRecords(SourceFiles.of(path), csv_format=form)
    found = AnyFile(records.names(), options, seen.delimiter, records)
    header = replace(header, rename=dict(zip(found.names, found.columns, strict=True)))
    return replace(found, records=replace(records, csv_format=replace(form, header=header)))

"""Reading a rejected file again, after a person has corrected it.

The rows of the file go through the same rules as any other record. Left out are duplicates,
which were no fault, and keys that a later run has read, because what it read is newer.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc

from etl.errors import ConfigurationError
from etl.rejects import DUPLICATE, MALFORMED, reject_block, unguarded_cell
from etl.rules.blocks import Block
from etl.rules.columns import clean_text
from etl.schema.source_columns import KEPT_AS, SOURCE_COLUMNS
from etl.sources.files import FileTrace, byte_chunks, open_source

# What a row must have besides the source's own columns.
_NEEDED = ("run_id", "source", "error_class")

# What spreadsheets put between columns, by the language they are set to.
_SEPARATORS = (",", ";", "\t")
_CHUNK_BYTES = 2**20

# A note.
OVERTAKEN = "rows skipped because a later run has read them"


@dataclass(frozen=True)
class CorrectedFile:
    """A rejected file as it was read.

    Attributes:
        source: customers, products or sales.
        records: `source_row` (of this file) and the source's columns.
        run_ids: for each record, the run that rejected it.
        rejected: rows that still cannot be taken apart.
        skipped: how many rows were left out, by reason.
        path: the file.
        trace: what was read of it.
        absent: columns of the source that the file lacks.
        keyed: gives the keys of records, null where they have none.
    """

    source: str
    records: pa.RecordBatch
    run_ids: tuple[str, ...]
    rejected: pa.RecordBatch
    skipped: Counter[str] = field(default_factory=Counter)
    path: Path = Path()
    trace: FileTrace = field(default_factory=FileTrace)
    absent: tuple[str, ...] = ()
    keyed: Callable[[pa.RecordBatch], pa.Array] = lambda records: clean_text(records.column(1))

    def keys(self) -> list[tuple[str, str]]:
        """The key of each record that has one, and the run that rejected it."""
        keys = self.keyed(self.records).to_pylist()
        return [(key, run) for key, run in zip(keys, self.run_ids, strict=True) if key]

    def without(self, later: dict[tuple[str, str], str]) -> "CorrectedFile":
        """The file without the keys that a later run has read.

        Args:
            later: by key and run, the run that has read the key since.
        """
        keys = self.keyed(self.records).to_pylist()
        wanted = [pair not in later for pair in zip(keys, self.run_ids, strict=True)]
        kept = tuple(run for run, keep in zip(self.run_ids, wanted, strict=True) if keep)
        skipped = Counter(self.skipped)
        skipped[OVERTAKEN] += wanted.count(False)
        records = self.records.filter(pa.array(wanted, pa.bool_()))
        return replace(self, records=records, run_ids=kept, skipped=skipped)

    def completed(self, known: Mapping[str, Mapping[str, str | None]]) -> "CorrectedFile":
        """Return the file with the columns that it lacks, as the warehouse holds them.

        Args:
            known: by key, the texts of a row of the warehouse.
        """
        keys = self.keyed(self.records).to_pylist()
        records, kept_as = self.records, KEPT_AS.get(self.source, {})
        for name in self.absent:
            texts = [known.get(key, {}).get(kept_as.get(name, name)) for key in keys]
            place = records.schema.get_field_index(name)
            records = records.set_column(place, name, pa.array(texts, pa.string()))
        return replace(self, records=records)

    def blocks(self) -> Iterator[Block]:
        """The file as a source."""
        yield Block(self.records, self.rejected, self.records.num_rows + self.rejected.num_rows)

    def originals(self, losers: pa.Table) -> pa.Table:
        """The records of duplicates as they stand in the file."""
        rows = pc.is_in(self.records.column("source_row"), value_set=losers["source_row"])
        return pa.Table.from_batches([self.records.filter(rows)])


def read_corrected(
    path: Path, own: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> CorrectedFile:
    """Reads a rejected file.

    Args:
        path: the file, with commas, semicolons or tabs between the columns.
        own: by source that a user has declared, its columns.

    Raises:
        ConfigurationError: there is no such file, or it is no file of rejected records.
    """
    trace = FileTrace()
    try:
        with open_source(path) as raw:
            pieces = byte_chunks(raw, path, size=_CHUNK_BYTES, trace=trace)
            text = b"".join(piece for piece, _ in pieces).decode("utf-8-sig")
    except FileNotFoundError as error:
        raise ConfigurationError(str(error)) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path} is no UTF-8 text", next_step="save it as CSV UTF-8"
        ) from error
    rows = list(_rows(path, text))
    columns = {**SOURCE_COLUMNS, **own}
    return replace(_corrected(path, rows[0], rows[1:], columns), path=path, trace=trace)


def _rows(path: Path, text: str) -> Iterator[list[str]]:
    separator = max(_SEPARATORS, key=text.partition("\n")[0].count)
    csv.field_size_limit(2**31 - 1)
    try:
        rows = list(csv.reader(StringIO(text, newline=""), delimiter=separator))
    except csv.Error as error:
        raise ConfigurationError(f"{path} is no CSV file: {error}") from error
    if not rows or not set(_NEEDED) <= set(rows[0]):
        raise ConfigurationError(
            f"{path} is no file of rejected records: it lacks the columns {', '.join(_NEEDED)}",
            choices="the files in OUTPUT_DIR/<env>/rejected, corrected",
            next_step="give such a file",
        )
    yield from ([unguarded_cell(cell) for cell in row] for row in rows)


def _corrected(
    path: Path,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    known: Mapping[str, tuple[str, ...]],
) -> CorrectedFile:
    places = [(n, row) for n, row in enumerate(rows, 2) if any(row)]
    whole = [
        (n, dict(zip(header, row, strict=True))) for n, row in places if len(row) == len(header)
    ]
    source = _source_of(path, [row["source"] for _, row in whole], known)
    columns = known[source]
    _require_key(path, header, columns[0])
    present = [name for name in columns if name in header]
    duplicates = sum(row["error_class"] == DUPLICATE for _, row in whole)
    corrected = [(n, row) for n, row in whole if row["error_class"] != DUPLICATE]
    empty = [n for n, row in corrected if not any(row[name].strip() for name in present)]
    taken = [(n, row) for n, row in corrected if n not in set(empty)]
    rejected = [_unfilled(n) for n in empty]
    rejected += [_malformed(n, row) for n, row in places if len(row) != len(header)]
    return CorrectedFile(
        source,
        _block(taken, columns),
        tuple(row["run_id"] for _, row in taken),
        reject_block(columns, rejected),
        Counter({"duplicates skipped": duplicates}),
        absent=tuple(name for name in columns if name not in header),
    )


def _source_of(path: Path, names: Sequence[str], known: Iterable[str]) -> str:
    found = sorted(set(names))
    if len(found) != 1 or found[0] not in known:
        raise ConfigurationError(
            f"the column source of {path} says {', '.join(found) or 'nothing'}",
            choices=f"one of {', '.join(known)}, the same in every row",
            next_step="give one file per source",
        )
    return found[0]


def _require_key(path: Path, header: Sequence[str], key: str) -> None:
    if key not in header:
        raise ConfigurationError(
            f"{path} lacks the column {key}",
            next_step="keep it: without the key nobody knows which record a row corrects",
        )


def _block(rows: Sequence[tuple[int, dict[str, str]]], columns: Sequence[str]) -> pa.RecordBatch:
    places = pa.array([n for n, _ in rows], pa.int64())
    texts = [pa.array([row.get(name) for _, row in rows], pa.string()) for name in columns]
    return pa.RecordBatch.from_arrays([places, *texts], ["source_row", *columns])


def _unfilled(row: int) -> dict[str, object]:
    reason = "the columns of the record are empty; fill them in, raw_record is only shown"
    return {"source_row": row, "error_class": MALFORMED, "reason": reason}


def _malformed(row: int, cells: Sequence[str]) -> dict[str, object]:
    reason = "the row has another number of columns than the header"
    raw = ",".join(cells)
    return {"source_row": row, "error_class": MALFORMED, "reason": reason, "raw_record": raw}

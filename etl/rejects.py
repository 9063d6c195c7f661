"""Records that cannot be loaded: their shape, and the file a person corrects them in."""

import codecs
import hashlib
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from etl.cloud.faults import CloudError
from etl.cloud.objects import AtomicObject, atomic, is_there, open_bytes
from etl.files import AtomicFile
from etl.schema.arrow import text_schema

# Why a record was not loaded. `duplicate` is no fault of the record: another of its key won.
MALFORMED = "malformed"  # the record cannot be taken apart into its fields
MISSING = "missing"  # a value that is required is empty
UNREADABLE = "unreadable"  # a value is no number or no date
OUT_OF_RANGE = "out_of_range"  # a number or text is larger than its column
BAD_TEXT = "bad_text"  # a NUL or a lone surrogate, which no server stores
RULE = "rule"  # the values contradict a rule of the business
REFUSED = "refused"  # the database did not take the row, for what a constraint or trigger said
RETURN = "return"  # goods that came back, which are not loaded unless RETURNS=load
DUPLICATE = "duplicate"

# How much of a value is shown beside the reason; the record has it whole.
VALUE_CHARACTERS = 200

REASON_COLUMNS = (
    "record_key",
    "error_class",
    "field",
    "value",
    "reason",
    "raw_record",
)


def reject_schema(source_columns: tuple[str, ...]) -> pa.Schema:
    """Return the Arrow schema of a block of rejected records.

    The source's own columns follow as text, so that each stands in a cell of its own;
    `raw_record` holds the text of a record that could not be taken apart.

    Args:
        source_columns: the columns of the source, in its order.

    Example:
        >>> reject_schema(("customer_id",)).names[:3]
        ['source_row', 'record_key', 'error_class']
    """
    return text_schema((*REASON_COLUMNS, *source_columns))


def reject_block(
    source_columns: tuple[str, ...], rows: Sequence[Mapping[str, object]]
) -> pa.RecordBatch:
    """Return a block of rejected records from plain rows; what a row lacks is empty.

    Example:
        >>> row = {"source_row": 7, "error_class": MALFORMED, "reason": "3 fields, not 8"}
        >>> reject_block(("customer_id",), [row]).num_rows
        1
    """
    return pa.RecordBatch.from_pylist(list(rows), schema=reject_schema(source_columns))


# More than any file has: the row of a record within a source of several files is that within its
# file, and so often the number of the file, from 0.
ROWS_OF_A_FILE = 2**32


def places(rows: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return the numbers of the files of some rows of a source, and the rows within these.

    Example:
        >>> [part.to_pylist() for part in places(pa.array([7, 2**32 + 2]))]
        [[0, 1], [7, 2]]
    """
    one = pa.scalar(ROWS_OF_A_FILE, pa.int64())
    numbers = pc.divide(rows, one)
    return numbers, pc.subtract(rows, pc.multiply(numbers, one))


def one_block(blocks: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Several blocks of rejected records as one, in the order of the source.

    Args:
        blocks: at least one.
    """
    table = pa.Table.from_batches(blocks).sort_by("source_row").combine_chunks()
    return (table.to_batches() or blocks)[0]


def file_name(run_id: str, source: str) -> str:
    """Name of the file of a run's rejected records of one source.

    Example:
        >>> file_name("20240120T143045.000007Z", "sales")
        'sales_20240120T143045.000007Z.csv'
    """
    return f"{source}_{run_id}.csv"


# Spreadsheets take a cell that begins with one of these for a formula. Source: OWASP, "CSV
# Injection"; the wide forms are what some of them fold to the same.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_GUARD = "'"


# Where a cell may begin: what separates cells and rows, besides the comma, where a spreadsheet is
# set to semicolons or tabs, for which our quotes count as characters.
_BEGINS = ";\t\r\n"
_DANGEROUS = "[" + re.escape("".join((*_FORMULA_STARTS, _GUARD))) + "]"
_SUSPICIOUS = rf"(?:^|[{_BEGINS}]){_DANGEROUS}"
_TO_GUARD = re.compile(rf"(?:\A|(?<=[{_BEGINS}]))(?={_DANGEROUS})")
_TO_UNGUARD = re.compile(rf"(?:\A|(?<=[{_BEGINS}])){_GUARD}")


def guarded_cell(text: str | None) -> str:
    """Return a cell that no spreadsheet takes for a formula, whatever separates its columns.

    `unguarded_cell` gives the text back.

    Example:
        >>> guarded_cell("=1+1"), guarded_cell("'tis"), guarded_cell("Ann"), guarded_cell(None)
        ("'=1+1", "''tis", 'Ann', '')
        >>> guarded_cell("x;=1+1;y")
        "x;'=1+1;y"
    """
    return _TO_GUARD.sub(_GUARD, text or "")


def guarded_cells(column: pa.Array) -> pa.Array:
    """Return a column of texts with `guarded_cell` applied; nulls stay."""
    dangerous = pc.fill_null(pc.match_substring_regex(column, _SUSPICIOUS), False)
    if dangerous.true_count:
        guarded = [guarded_cell(text) for text in column.filter(dangerous).to_pylist()]
        column = pc.replace_with_mask(column, dangerous, pa.array(guarded, column.type))
    return column


def _cells(column: pa.Array) -> pa.Array:
    """The cells of a column; what is empty is null, which is written as an empty cell."""
    guarded = guarded_cells(column)
    return pc.if_else(pc.equal(guarded, ""), None, guarded)


def unguarded_cell(cell: str) -> str:
    """Return the text of a cell.

    Example:
        >>> unguarded_cell("'=1+1"), unguarded_cell("''tis"), unguarded_cell("Ann")
        ('=1+1', "'tis", 'Ann')
    """
    return _TO_UNGUARD.sub("", cell)


def reasons_of(rejected: pa.RecordBatch) -> Counter[tuple[str, str]]:
    """Return how many records of a block were rejected per error class and field, duplicates aside.

    Example:
        >>> block = reject_block((), [{"error_class": MISSING, "field": "customer_id"}])
        >>> reasons_of(block)
        Counter({('missing', 'customer_id'): 1})
    """
    keys = ["error_class", "field"]
    groups = pa.Table.from_batches([rejected]).group_by(keys).aggregate([([], "count_all")])
    return Counter({
        (row["error_class"], row["field"] or ""): row["count_all"]
        for row in groups.to_pylist()
        if row["error_class"] != DUPLICATE
    })  # fmt: skip


def faults_of(rejected: pa.RecordBatch) -> Counter[str]:
    """Return how many records of a block were rejected per reason, without those at no fault.

    Example:
        >>> block = reject_block((), [{"error_class": MISSING, "reason": "email is empty"}])
        >>> faults_of(block)
        Counter({'email is empty': 1})
    """
    no_fault = pa.array((DUPLICATE, RETURN))
    at_fault = pc.invert(pc.is_in(rejected.column("error_class"), no_fault))
    counted = pc.value_counts(rejected.column("reason").filter(at_fault)).to_pylist()
    return Counter({each["values"] or "": each["counts"] for each in counted})


def _csv_lines(block: pa.RecordBatch) -> pa.Buffer:
    lines = pa.BufferOutputStream()
    options = arrow_csv.WriteOptions(include_header=False, eol="\r\n")  # RFC 4180
    arrow_csv.write_csv(block, lines, options)
    return lines.getvalue()


_COPIED_BYTES = 2**20


@dataclass(frozen=True)
class Published:
    """A rejected file that is in place: how many records stand in it, and their SHA-256."""

    rows: int
    sha256: str


def published(path: Path, rows: int) -> Published:
    """Look at a rejected file that was just published, or at none."""
    if not rows:
        return Published(0, "")
    with open_bytes(path) as file:
        return Published(rows, hashlib.file_digest(file, "sha256").hexdigest())


def republish(
    folder: Path, source: str, known: Published, *, earlier: str, run_id: str
) -> Published | None:
    """Write the rejected file of an earlier run once more, as that of this run.

    Args:
        folder: where rejected files are.
        source: the source.
        known: the file of the earlier run.
        earlier: that run.
        run_id: this run.

    Returns:
        The new file; None, and nothing is written, when the earlier one is not there as it was.
    """
    if not known.rows:
        return known
    path, old, new = folder / file_name(earlier, source), earlier.encode(), run_id.encode()
    with suppress(OSError, CloudError), open_bytes(path) as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != known.sha256:
            return None
        file.seek(0)
        return _copied(file, folder / file_name(run_id, source), known.rows, ids=(old, new))
    return None


def _copied(file: BinaryIO, path: Path, rows: int, *, ids: tuple[bytes, bytes]) -> Published | None:
    """Copies a file with another run id; None when that stands elsewhere than once a record."""
    copy, digest, found = atomic(path), hashlib.sha256(), 0
    try:
        for piece in _pieces(file, ids[0]):
            found += piece.count(ids[0])
            replaced = piece.replace(*ids)
            digest.update(replaced)
            copy.file.write(replaced)
        if found != rows:
            return None
        copy.commit()
    finally:
        copy.discard()
    return Published(rows, digest.hexdigest())


def _pieces(file: BinaryIO, whole: bytes) -> Iterator[bytes]:
    """The file in pieces that end behind a line break, so that none cuts `whole` in two."""
    rest = b""
    while piece := file.read(_COPIED_BYTES):
        lines, end, rest = (rest + piece).rpartition(b"\n")
        yield lines + end
    yield rest


class RejectedFile:
    """The rejected records of one source in one run: a CSV that is there whole or not at all.

    It is written under a temporary name and renamed into place by `publish`, which must come
    before the commit that depends on it; what is written after that joins it with the next
    `publish`. Nothing is created while nothing is rejected. The byte-order mark lets
    spreadsheets read it as UTF-8.

    Args:
        folder: where it goes; None counts only and writes nothing.
        run_id: the run.
        source: customers, products or sales.
        files: names of its files where there are several; each row then names its own.

    Attributes:
        rows: how many were written.
        reasons: how many per error class and field, duplicates aside.
    """

    def __init__(
        self, folder: Path | None, run_id: str, source: str, files: Sequence[str] = ()
    ) -> None:
        self.rows = 0
        self.reasons: Counter[tuple[str, str]] = Counter()
        self._folder, self._run_id, self._source = folder, run_id, source
        self._files = pa.array(files, pa.string())
        self._file: AtomicFile | AtomicObject | None = None

    def write(self, rejected: pa.RecordBatch) -> None:
        """Add a block of rejected records."""
        self.rows += rejected.num_rows
        self.reasons.update(reasons_of(rejected))
        if self._folder is None or not rejected.num_rows:
            return
        lines = self._lines_of(rejected)
        try:
            self._opened(lines.schema.names).write(_csv_lines(lines))
        except OSError as error:
            error.filename = error.filename or str(self._path)
            raise

    def _lines_of(self, rejected: pa.RecordBatch) -> pa.RecordBatch:
        rows, *texts = rejected.columns
        _, *names = rejected.schema.names
        numbers, within = places(rows)
        facts = {
            name: pa.repeat(text, rejected.num_rows)
            for name, text in (("run_id", self._run_id), ("source", self._source))
        }
        if len(self._files):
            facts["source_file"] = _cells(self._files.take(numbers))
        facts |= {"source_row": within, **dict(zip(names, map(_cells, texts), strict=True))}
        return pa.RecordBatch.from_pydict(facts)

    def publish(self) -> Path | None:
        """Put the file in place, safe on the disk; return its path, None when there is none."""
        file, self._file = self._file, None
        if file is None:
            return None
        file.commit()
        return self._path

    def discard(self) -> None:
        """Remove what was written so far; do nothing after `publish`."""
        if self._file is not None:
            self._file.discard()
        self._file, self.rows = None, 0

    @property
    def _path(self) -> Path:
        assert self._folder is not None  # noqa: S101  # for mypy: only called when there is a file
        return self._folder / file_name(self._run_id, self._source)

    def _opened(self, header: Sequence[str]) -> BinaryIO:
        if self._file is None:
            self._file = atomic(self._path)
            if is_there(self._path):  # it goes on from what was published
                with open_bytes(self._path) as published:
                    shutil.copyfileobj(published, self._file.file)
            else:
                self._file.file.write(codecs.BOM_UTF8)
                self._file.file.write(",".join(header).encode() + b"\r\n")
        return self._file.file

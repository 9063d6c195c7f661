"""Staged records that are not loaded, as rejected ones: duplicates, and what the database refuses.

They go into the rejected file with the values that the source wrote.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from etl.errors import ExtractionError
from etl.history.dead_letters import NO_LETTERS, Letters, NewLetters, Origin, TriedLetters
from etl.pipeline.context import RunContext
from etl.pipeline.source import Source
from etl.pipeline.sources import rule_settings
from etl.rejects import DUPLICATE, REFUSED, VALUE_CHARACTERS, RejectedFile, reject_schema
from etl.rules.record_keys import record_keys
from etl.schema.table import Table
from etl.warehouse.load import Load
from etl.warehouse.own_loads import tables_of

logger = logging.getLogger(__name__)


def load_of(run: RunContext) -> Load:
    """Return what the warehouse needs to know of a run to load its sources."""
    settings = rule_settings(run.config)
    return Load(run.db, run.plan, run.limits, partial(_refuse, run), settings,
                tuple(tables_of(run.own)), run.ledger.letters)  # fmt: skip


def _refuse(run: RunContext, table: Table, refused: pa.Table, reason: str) -> None:
    """Add a record to the rejected file that is there, before that is committed."""
    (source,) = (source for source in run.sources if source.table is table)
    rejects, rejected = rejected_file(run, source), refused_records(source, refused, reason)
    try:
        rejects.write(rejected)
        if (letters := run.ledger.letters.get(table.name)) is not None:
            letters.write(rejected)
        rejects.publish()
        run.ledger.rejects.setdefault(source.name, Counter()).update(rejects.reasons)
    finally:
        rejects.discard()
    logger.warning("%s: the database refused a record: %s", source.name, reason)


@dataclass(frozen=True)
class SetAside:
    """The rejected records of a source: those in its file, and those that are kept besides."""

    file: RejectedFile
    letters: Letters

    def write(self, rejected: pa.RecordBatch) -> None:
        """Add a block of them."""
        self.file.write(rejected)
        self.letters.write(rejected)


def set_aside(run: RunContext, source: Source, file: RejectedFile) -> SetAside:
    """Return what takes the rejected records of a source while it is read from its beginning."""
    letters = _letters(run, source)
    if letters is not NO_LETTERS:
        run.ledger.letters[source.table.name] = letters
    return SetAside(file, letters)


def _letters(run: RunContext, source: Source) -> Letters:
    if source.retry is not None:
        return TriedLetters(source.table, source.retry)
    if run.config.processing.dead_letters == "files":
        return NO_LETTERS
    files = source.feed.files
    origin = Origin(
        [str(file.path) for file in files.files] if files else [source.feed.path],
        is_whole=source.snapshot and not source.partial,
        date_order=lambda: source.watch.dates.order,
    )
    return NewLetters(
        source.table, source.name, run_id=run.plan.run_id, now=run.plan.started_at, origin=origin,
        most=run.limits.letter_limit,
    )  # fmt: skip


def rejected_file(run: RunContext, source: Source) -> RejectedFile:
    """Return the file for the rejected records of a source."""
    files = source.feed.files.names if source.feed.files else ()
    return RejectedFile(run.rejected_folder, run.plan.run_id, source.name, files)


def duplicate_records(source: Source, losers: pa.Table, reason: str = "") -> pa.RecordBatch:
    """Return staged records as rejected ones, because another one took precedence.

    Args:
        source: the source.
        losers: the staged records.
        reason: why; that their key is that of the other when left out.
    """
    key = " and ".join(source.table.key)
    reason = reason or f"another record of this {key} took precedence"
    return _rejected(source, losers, error_class=DUPLICATE, reason=reason)


def refused_records(
    source: Source, refused: pa.Table, reason: str | pa.Array, field: str = ""
) -> pa.RecordBatch:
    """Return staged records as rejected ones, because the database refused them.

    Args:
        source: the source.
        refused: the staged records.
        reason: for all of them, or for each.
        field: the column to blame; the key when left out.
    """
    return _rejected(source, refused, error_class=REFUSED, reason=reason, field=field)


def _rejected(
    source: Source,
    staged: pa.Table,
    *,
    error_class: str,
    reason: str | pa.Array,
    field: str = "",
) -> pa.RecordBatch:
    field = field or source.columns[0]
    originals = source.feed.originals(staged)
    keys = {name: _one_array(staged[name]) for name in source.table.key}
    _require_unchanged(source, originals, keys)
    given = {name: _one_array(originals[name]).cast(pa.string()) for name in source.columns}
    facts = {
        "source_row": _one_array(originals["source_row"]),
        "record_key": record_keys(source.table, keys) if keys else given[field],
        "value": pc.utf8_slice_codeunits(given[field], 0, VALUE_CHARACTERS),
        "error_class": _repeated(error_class, originals.num_rows),
        "field": _repeated(field, originals.num_rows),
        "reason": _repeated(reason, originals.num_rows) if isinstance(reason, str) else reason,
        "raw_record": _repeated(None, originals.num_rows),
        **given,
    }
    schema = reject_schema(source.columns)
    return pa.RecordBatch.from_pydict({n: facts[n] for n in schema.names}, schema=schema)


def _require_unchanged(source: Source, originals: pa.Table, keys: Mapping[str, pa.Array]) -> None:
    (found,) = originals.combine_chunks().to_batches() or [None]
    if found is None or not keys:
        return
    now = source.read_keys(found)
    if any(now.column(name) != keys[name] for name in keys):
        raise ExtractionError(
            f"{source.name}: the file changed between two readings",
            next_step="run again once it is written",
        )


def _repeated(text: str | None, rows: int) -> pa.Array:
    return pa.array([text] * rows, pa.string())


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)

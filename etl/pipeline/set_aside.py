"""Staged records that are not loaded, as rejected ones: duplicates, and what the database refuses.

They go into the rejected file with the values that the source wrote.
"""

import logging
from collections import Counter
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from etl.errors import ExtractionError
from etl.pipeline.context import RunContext
from etl.pipeline.own_loads import tables_of
from etl.pipeline.sources import Source, rule_settings
from etl.rejects import DUPLICATE, REFUSED, RejectedFile, reject_schema
from etl.rules import columns as field_rules
from etl.schema.tables import Table
from etl.warehouse.transactions import Load

logger = logging.getLogger(__name__)


def load_of(run: RunContext) -> Load:
    """Return what the warehouse needs to know of a run to load its sources."""
    settings = rule_settings(run.config)
    return Load(run.db, run.plan, run.limits, partial(_refuse, run), settings,
                tuple(tables_of(run.own)))  # fmt: skip


def _refuse(run: RunContext, table: Table, refused: pa.Table, reason: str) -> None:
    """Add a record to the rejected file that is there, before that is committed."""
    (source,) = (source for source in run.sources if source.table is table)
    rejects = RejectedFile(run.rejected_folder, run.plan.run_id, source.name)
    try:
        rejects.write(refused_records(source, refused, reason))
        rejects.publish()
        run.ledger.rejects.setdefault(source.name, Counter()).update(rejects.reasons)
    finally:
        rejects.discard()
    logger.warning("%s: the database refused a record: %s", source.name, reason)


def duplicate_records(source: Source, losers: pa.Table) -> pa.RecordBatch:
    """Return staged records as rejected ones, because another record of their key was later."""
    reason = f"another record of this {' and '.join(source.table.key)} took precedence"
    return _rejected(source, losers, error_class=DUPLICATE, reason=reason)


def refused_records(source: Source, refused: pa.Table, reason: str) -> pa.RecordBatch:
    """Return staged records as rejected ones, because the database refused them."""
    return _rejected(source, refused, error_class=REFUSED, reason=reason)


def _rejected(source: Source, staged: pa.Table, *, error_class: str, reason: str) -> pa.RecordBatch:
    key, originals = source.columns[0], source.feed.originals(staged)
    known = _one_array(staged[key])
    is_text = pa.types.is_string(known.type)
    if is_text and field_rules.clean_text(_one_array(originals[key])) != known:
        raise ExtractionError(
            f"{source.name}: the file changed between two readings",
            next_step="run again once it is written",
        )
    fixed = {"error_class": error_class, "field": key, "reason": reason, "raw_record": None}
    facts = {
        "source_row": originals["source_row"],
        "record_key": pc.utf8_trim_whitespace(originals[key]),
        "value": originals[key],
        **{name: _repeated(text, originals.num_rows) for name, text in fixed.items()},
        **{name: originals[name].cast(pa.string()) for name in source.columns},
    }
    schema = reject_schema(source.columns)
    return pa.Table.from_pydict(facts, schema=schema).combine_chunks().to_batches()[0]


def _repeated(text: str | None, rows: int) -> pa.Array:
    return pa.array([text] * rows, pa.string())


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)

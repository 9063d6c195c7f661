"""Changes of a table that a user has declared: rows as records are, removals by their key alone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from etl.rejects import one_block, reject_schema
from etl.rules.blocks import LoadBlock
from etl.rules.declared import Declaration, transform_declared
from etl.schema.arrow import arrow_schema, staged_schema
from etl.schema.work_tables import CHANGE_COLUMNS, CLEARED, REMOVED, ROW

_CHANGE = arrow_schema(CHANGE_COLUMNS)


def transform_changes(block: pa.RecordBatch, declaration: Declaration) -> LoadBlock:
    """Type and check a block of changes.

    Args:
        block: `source_row`, columns of the declaration as text, and those of a change. Without
            these, rows that somebody has corrected, which nothing is known of.
        declaration: of the load.

    Returns:
        Accepted changes, those that are no row with nothing but the key, and the rejected ones.
    """
    whole = _with_change(block)
    kinds = whole.column("change_kind")
    rows, removed, cleared = (
        whole.filter(pc.equal(kinds, kind)) for kind in (ROW, REMOVED, CLEARED)
    )
    parts = [_typed(rows, declaration), _typed(removed, keys_alone(declaration)), _bare(cleared)]
    return _joined([part for part in parts if part.rows] or parts[:1], declaration)


def keys_alone(declaration: Declaration) -> Declaration:
    """Return what a load does to a record of which the key alone counts."""
    table = declaration.table
    keys = tuple(table.column(name) for name in table.key)
    return replace(
        declaration, table=replace(table, columns=keys), conditions=(), computed={}, needed=(),
        defaults={n: text for n, text in declaration.defaults.items() if n in table.key},
    )  # fmt: skip


def _with_change(block: pa.RecordBatch) -> pa.RecordBatch:
    if "change_kind" in block.schema.names:
        return block
    for field in _CHANGE:
        value = ROW if field.name == "change_kind" else None
        block = block.append_column(field, pa.array([value] * block.num_rows, field.type))
    return block


def _typed(block: pa.RecordBatch, declaration: Declaration) -> LoadBlock:
    given = [name for name in declaration.columns if name in block.schema.names]
    plain = block.select(["source_row", *given])
    found = transform_declared(plain, declaration)
    places = pc.index_in(found.accepted.column("source_row"), block.column("source_row"))
    accepted = found.accepted
    for field in _CHANGE:
        accepted = accepted.append_column(field, block.column(field.name).take(places))
    return replace(found, accepted=accepted)


def _bare(block: pa.RecordBatch) -> LoadBlock:
    rejected = pa.RecordBatch.from_pylist([], schema=reject_schema(()))
    return LoadBlock(block.select(["source_row", *_CHANGE.names]), rejected, {})


def _joined(parts: Sequence[LoadBlock], declaration: Declaration) -> LoadBlock:
    staged = [pa.field("source_row", pa.int64()), *staged_schema(declaration.table), *_CHANGE]
    accepted = _in_shape([part.accepted for part in parts], pa.schema(staged))
    shape = reject_schema(declaration.columns)
    rejected = [_filled(part.rejected, shape) for part in parts if part.rejected.num_rows]
    notes = sum((Counter(part.notes) for part in parts), Counter[str]())
    none = pa.RecordBatch.from_pylist([], schema=shape)
    return LoadBlock(accepted, one_block(rejected) if rejected else none, dict(notes))


def _in_shape(blocks: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    table = pa.Table.from_batches([_filled(block, schema) for block in blocks], schema)
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=schema)


def _filled(block: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """A block with all columns of a schema, empty ones where it has none."""
    arrays = [
        block.column(field.name)
        if field.name in block.schema.names
        else pa.nulls(block.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)

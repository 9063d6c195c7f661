"""Columns that a built-in source has and its table lacks, kept where that is set: `extra = "keep"`.

The table gets them, nullable; later loads fill them. A file without them leaves them as they are.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from etl.engines.database import DatabaseManager
from etl.errors import ETLError
from etl.pipeline.feeds import further_names
from etl.pipeline.source import Source
from etl.rejects import REASON_COLUMNS, one_block, reject_schema
from etl.rules.blocks import LoadBlock
from etl.rules.declared import MADE_UP, Declaration, transform_declared
from etl.schema.columns import WIDEST_TEXT
from etl.schema.star import STAR_TABLES
from etl.schema.table import Column, Kind, Table
from etl.settings.config import Config
from etl.settings.pipeline_file import PipelineFile
from etl.settings.pipeline_reading import PipelineFileError
from etl.warehouse.own_cleaning import cleaning_of, made_up, problems_of_cleaning, steps_of
from etl.warehouse.own_history import with_memory
from etl.warehouse.own_loads import identifier
from etl.warehouse.own_tables import find_table, require_names

logger = logging.getLogger(__name__)


def star_tables(db: DatabaseManager, config: Config) -> tuple[Table, ...]:
    """Return the tables of the built-in loads, with the columns of their sources that are kept.

    Those whose versions are kept have a table for these beside. A kept column that is there already
    keeps its type. Where nothing may be written, one that is not there is left out.

    Raises:
        LoadingError: a column has a name that no table can have.
    """
    kept = (_with_kept(db, table, _kept_names(config, table)) for table in STAR_TABLES)
    return tuple(with_memory(table, config) for table in kept)


def _kept_names(config: Config, table: Table) -> tuple[str, ...]:
    """The columns that the table is to get; none of a file that cannot be read."""
    options = config.pipeline.source(table.source)
    if options.extra != "keep" or not options.enabled:
        return ()
    if not config.source_files.get(table.source):
        logger.warning('%s is no file: extra = "keep" does nothing for it', table.source)
        return ()
    try:
        names = further_names(config, table.source)
    except (ETLError, OSError):  # reading it says what is wrong
        return ()
    own = {name.lower() for name in table.names}
    found = {name.lower(): name for name in map(identifier, names) if name}
    return tuple(name for lower, name in found.items() if lower not in own)


def _with_kept(db: DatabaseManager, table: Table, names: Sequence[str]) -> Table:
    if not names:
        return table
    existing = find_table(db, table.name)
    known = {column.name: column for column in existing.columns} if existing else {}
    kept = [
        replace(known[name], required=False, description="kept from the source")
        if name in known else _text(name)
        for name in names if name in known or not db.access.read_only
    ]  # fmt: skip
    whole = replace(table, columns=(*table.columns, *kept))
    require_names(whole)
    return whole


def _text(name: str) -> Column:
    return Column(name, "kept from the source", Kind.TEXT, width=WIDEST_TEXT)


def keeping(source: Source, table: Table, pipeline: PipelineFile) -> Source:
    """Return a source whose records bring what its table has besides, cleaned as is declared.

    Args:
        source: as it is declared.
        table: its table, with the columns that are kept.
        pipeline: says how they are cleaned.

    Raises:
        PipelineFileError: what it says cannot be done.
    """
    options = pipeline.source(source.name)
    kept = [column for column in table.columns if column.name not in source.table.names]
    cleanable = [column.name for column in kept]
    if problems := [
        pipeline.problem(("sources", source.name, *at), words)
        for at, words in problems_of_cleaning(options, table, cleanable)
    ]:
        raise PipelineFileError(pipeline.path, problems)
    source = replace(source, table=table, cleaning=cleaning_of(options), made_up=made_up(options))
    if not kept:
        return source
    declaration = Declaration(Table(table.name, "", (), tuple(kept)), steps=steps_of(options))
    words = f"columns kept: {', '.join(cleanable)}"
    return replace(
        source, written=(*source.written, words),
        transform=lambda block: _with_values(block, source, declaration),
    )  # fmt: skip


def _with_values(block: pa.RecordBatch, source: Source, declaration: Declaration) -> LoadBlock:
    further = transform_declared(_renamed(block), declaration)
    if further.rejected.num_rows:
        rows = pc.is_in(block.column("source_row"), further.rejected.column("source_row"))
        refused, block = block.filter(rows), block.filter(pc.invert(rows))
        loaded = source.transform(block)
        rejected = one_block([loaded.rejected, _as_rejected(refused, further.rejected, source)])
        loaded = replace(loaded, rejected=rejected)
    else:
        loaded = source.transform(block)
    joined = replace(loaded, accepted=_joined(loaded.accepted, further.accepted))
    return joined.noting(_made_up(block, loaded, declaration))


def _made_up(block: pa.RecordBatch, loaded: LoadBlock, declaration: Declaration) -> dict[str, int]:
    """How many values were made up in the records that are loaded."""
    if all(each.constant is None for each in declaration.steps.values()):
        return {}
    kept = pc.is_in(block.column("source_row"), loaded.accepted.column("source_row"))
    notes = transform_declared(_renamed(block.filter(kept)), declaration).notes
    return {name: count for name, count in notes.items() if name.startswith(MADE_UP)}


def _renamed(block: pa.RecordBatch) -> pa.RecordBatch:
    """The block with the names that columns have in a table; of two with one, the first."""
    arrays: dict[str, pa.Array] = {}
    for name, column in zip(block.schema.names, block.columns, strict=True):
        arrays.setdefault(identifier(name), column)
    return pa.RecordBatch.from_pydict(arrays)


def _as_rejected(block: pa.RecordBatch, rejected: pa.RecordBatch, source: Source) -> pa.RecordBatch:
    """Rejected records of the kept columns as those of the source, in the order of the block."""
    places = pc.index_in(block.column("source_row"), rejected.column("source_row"))
    facts: Mapping[str, pa.Array] = {
        name: rejected.column(name).take(places) for name in REASON_COLUMNS
    }
    values = {name: block.column(name).cast(pa.string()) for name in source.columns}
    keys = {"record_key": pc.utf8_trim_whitespace(values[source.columns[0]])}
    found = {"source_row": block.column("source_row"), **facts, **values, **keys}
    schema = reject_schema(source.columns)
    return pa.RecordBatch.from_arrays([found[name] for name in schema.names], schema=schema)


def _joined(accepted: pa.RecordBatch, further: pa.RecordBatch) -> pa.RecordBatch:
    places = pc.index_in(accepted.column("source_row"), further.column("source_row"))
    columns = dict(_columns(accepted)) | {
        name: column.take(places) for name, column in _columns(further) if name != "source_row"
    }
    row = columns.pop("source_row")
    return pa.RecordBatch.from_pydict({**columns, "source_row": row})


def _columns(block: pa.RecordBatch) -> Iterator[tuple[str, pa.Array]]:
    yield from zip(block.schema.names, block.columns, strict=True)

"""The three sources on their way: read side by side, loaded one after the other.

Each source is read and transformed in a thread of its own, a few blocks ahead of the load. A
source that fails does not stop the others.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from etl import process
from etl.engines.database import DatabaseManager
from etl.errors import ExtractionError, HeldBackError, WarehouseInUseError
from etl.history.audit import HELD_BACK, LOADED, PREVIEWED, SOURCE_FAILED
from etl.history.lineage import Ledger, counts_of, facts_of
from etl.history.runs import Applied, LoadCounts, RunPlan, Staged, flaws_in_words
from etl.history.summary import Lineage, SourceOutcome
from etl.monitoring.logs import log_context
from etl.monitoring.metrics import ETLMetrics
from etl.pipeline.read_ahead import ReadAhead
from etl.rejects import DUPLICATE, REFUSED, RejectedFile, file_name, reject_schema
from etl.resilience.retry import retry_with_backoff
from etl.rules import columns as field_rules
from etl.rules.blocks import Block, LoadBlock
from etl.rules.business import Rules, transform_customers, transform_products, transform_sales
from etl.schema.source_columns import CUSTOMER_COLUMNS, PRODUCT_COLUMNS, SALES_COLUMNS
from etl.schema.tables import CUSTOMER_DIM, PRODUCT_DIM, SALES_FACT, Table
from etl.settings.config import Config
from etl.sources.corrected import CorrectedFile
from etl.sources.csv_reader import CsvFormat
from etl.sources.customers import read_csv_originals, read_customers
from etl.sources.files import FileTrace
from etl.sources.products import read_product_originals, read_products
from etl.sources.sales import CSV_SCHEME, SalesReading, read_sales, sales_breaker, sales_query
from etl.sources.window import EVERYTHING, Window
from etl.warehouse import apply as warehouse
from etl.warehouse.intake import Intake, check_reject_limit, stage_source
from etl.warehouse.transactions import Limits, Load, load_staged

logger = logging.getLogger(__name__)

# What may wait of each source between reading and loading: so much of the sources that come later
# is read while the load leaves a processor idle. More gained nothing (tried: 32, 64, 128 MiB).
READ_AHEAD_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Source:
    """One source: how to read it, how to transform it, and where it goes.

    Attributes:
        partial: it is not all that the source has: it passes no gate, and nothing has vanished.
        skipped: how many of its records were left out on purpose, by reason.
        path: the file, or the database without its secrets.
        query: what the database is asked; empty for a file.
        trace: what was read of the file.
    """

    name: str
    table: Table
    columns: tuple[str, ...]
    window: Window
    read: Callable[[], Iterator[Block]]
    transform: Callable[[pa.RecordBatch], LoadBlock]
    originals: Callable[[pa.Table], pa.Table]
    partial: bool = False
    skipped: Mapping[str, int] = field(default_factory=dict)
    path: str = ""
    query: str = ""
    trace: FileTrace | None = None


@dataclass(frozen=True)
class Run:
    """What the loads of one run share."""

    db: DatabaseManager
    config: Config
    plan: RunPlan
    metrics: ETLMetrics
    dry_run: bool = False
    on_progress: Callable[[str, int], None] = lambda source, rows: None
    rejected_folder: Path | None = None
    ledger: Ledger = field(default_factory=Ledger)


def sources_of(config: Config, window: Window, scratch: str = "") -> tuple[Source, ...]:
    """The three sources as the settings describe them, in the order in which they load.

    Args:
        config: the settings.
        window: of the sales asked for.
        scratch: folder to which the sorting of a sales file may spill; made when needed.
    """
    rules = Rules(
        default_area_code=config.processing.default_area_code,
        default_cost_ratio=config.processing.default_cost_ratio,
        commission_rate=config.processing.commission_rate,
    )
    files, written = config.files, CsvFormat(encoding=config.files.csv_encoding)
    customers, products = FileTrace(), FileTrace()
    return (
        Source(
            "customers", CUSTOMER_DIM, CUSTOMER_COLUMNS, window,
            read=lambda: read_customers(files.customers_path, csv_format=written, trace=customers),
            transform=lambda block: transform_customers(block, rules),
            originals=lambda losers: read_csv_originals(
                files.customers_path,
                CUSTOMER_COLUMNS,
                rows=losers["source_row"],
                csv_format=written,
            ),
            path=str(files.customers_path), trace=customers,
        ),
        Source(
            "products", PRODUCT_DIM, PRODUCT_COLUMNS, window,
            read=lambda: read_products(files.products_path, trace=products),
            transform=lambda block: transform_products(block, rules),
            originals=lambda losers: read_product_originals(
                files.products_path, losers["source_row"]
            ),
            path=str(files.products_path), trace=products,
        ),
        _sales_source(config, window, rules, scratch),
    )  # fmt: skip


def _sales_source(config: Config, window: Window, rules: Rules, scratch: str) -> Source:
    files, written = config.files, CsvFormat(encoding=config.files.csv_encoding)
    configured = config.database.sales_db_connection_string
    connection = configured.get_secret_value() if configured else f"{CSV_SCHEME}{files.sales_path}"

    reading = SalesReading(
        chunk_rows=config.processing.chunk_rows,
        csv_format=written,
        memory_limit=config.processing.duckdb_memory_limit,
        scratch=scratch,
        breaker=sales_breaker(
            config.processing.breaker_failure_threshold, config.processing.breaker_recovery_seconds
        ),
        trace=None if configured else FileTrace(),
    )

    def originals(losers: pa.Table) -> pa.Table:
        if configured:  # a query cannot be asked again for the same rows
            return losers.select(["source_row", *SALES_COLUMNS])
        return read_csv_originals(
            files.sales_path, SALES_COLUMNS, rows=losers["source_row"], csv_format=written
        )

    return Source(
        "sales", SALES_FACT, SALES_COLUMNS, window,
        read=lambda: read_sales(connection, window, reading),
        transform=lambda block: transform_sales(block, rules),
        originals=originals,
        path=config.database.sales_display_name or str(files.sales_path),
        query=sales_query() if configured else "",
        trace=reading.trace,
    )  # fmt: skip


def reprocessed_source(config: Config, corrected: CorrectedFile) -> Source:
    """A mended rejected file as a source."""
    (regular,) = [s for s in sources_of(config, EVERYTHING) if s.name == corrected.source]
    return replace(
        regular,
        read=corrected.blocks,
        originals=corrected.originals,
        partial=True,
        skipped={reason: rows for reason, rows in corrected.skipped.items() if rows},
        path=str(corrected.path),
        query="",
        trace=corrected.trace,
    )


def run_loads(run: Run, sources: Sequence[Source]) -> tuple[tuple[SourceOutcome, ...], Applied]:
    """Loads sources and says how each fared; only errors of the run itself are raised."""
    readers = {source.name: _start_reading(run, source) for source in sources}
    try:
        if run.plan.full_refresh and not run.dry_run:
            return _refresh_all(run, sources, readers)
        loaded = [_load_source(run, source, readers) for source in sources]
    finally:
        for reader in readers.values():
            reader.close()
    total = Applied()
    for _, applied in loaded:
        total = total.plus(applied)
    return tuple(outcome for outcome, _ in loaded), total


def lineage_of(source: Source, outcome: SourceOutcome) -> Lineage:
    """Where the rows of a source came from, and what became of it.

    What was read of a file is told only when it was read whole and did not change meanwhile.
    """
    whole = outcome.status in (LOADED, HELD_BACK)
    facts = facts_of(source.trace if whole else None, source.window)
    counts = counts_of(outcome.counts or LoadCounts())
    return Lineage(
        source.name, source.table.name, source.path, source.query, outcome.status, counts, **facts
    )


_Readers = dict[str, ReadAhead[LoadBlock]]


def _load_source(run: Run, source: Source, readers: _Readers) -> tuple[SourceOutcome, Applied]:
    staged = _stage(run, source, readers)
    if isinstance(staged, SourceOutcome):
        return staged, Applied()
    if run.dry_run:
        counts = warehouse.preview(run.db, staged)
        previewed = SourceOutcome(
            source.name, source.table.name, PREVIEWED, counts, notes=staged.notes
        )
        return previewed, Applied()
    try:
        applied = _apply(run, [staged], [source])
    except Exception as error:  # noqa: BLE001  # the other sources go on; it is logged and told
        return _failed(source, error), Applied()
    return _loaded(run, source, staged, applied=applied), applied


def _refresh_all(
    run: Run, sources: Sequence[Source], readers: _Readers
) -> tuple[tuple[SourceOutcome, ...], Applied]:
    results = [_stage(run, source, readers) for source in sources]
    staged = [result for result in results if isinstance(result, Staged)]
    applied = _apply(run, staged, sources) if staged else Applied()
    outcomes = [
        result
        if isinstance(result, SourceOutcome)
        else _loaded(run, source, result, applied=applied)
        for source, result in zip(sources, results, strict=True)
    ]
    return tuple(outcomes), applied


def _loaded(run: Run, source: Source, staged: Staged, *, applied: Applied) -> SourceOutcome:
    path = (run.rejected_folder or Path()) / file_name(run.plan.run_id, source.name)
    rejected_file = str(path) if path.exists() else ""
    counts = applied.of(source.table)
    logger.info(
        "%s: %d read, %d inserted, %d updated, %d unchanged, %d rejected, %d duplicates",
        source.name, counts.rows_read, counts.rows_inserted, counts.rows_updated,
        counts.rows_unchanged, counts.rows_rejected, counts.rows_duplicate,
        extra={"source": source.name},
    )  # fmt: skip
    if staged.notes:
        logger.info(
            "%s loaded with %s",
            source.name,
            flaws_in_words(staged.notes),
            extra={"source": source.name},
        )
    return SourceOutcome(
        source.name, source.table.name, LOADED, counts,
        rejected_file=rejected_file, notes=staged.notes,
    )  # fmt: skip


def _failed(source: Source, error: Exception) -> SourceOutcome:
    process.raise_if_asked()
    if isinstance(error, WarehouseInUseError):  # it was lost to another run, for every source
        raise error
    held_back = isinstance(error, HeldBackError)
    logger.error(
        "%s%s", "" if held_back else f"{source.name} failed: ", error,
        exc_info=error, extra={"source": source.name},
    )  # fmt: skip
    status = HELD_BACK if held_back else SOURCE_FAILED
    text = str(error) or type(error).__name__
    return SourceOutcome(source.name, source.table.name, status, LoadCounts(), error, text)


def _load_of(run: Run, sources: Sequence[Source]) -> Load:
    processing = run.config.processing
    limits = Limits(
        batch_rows=processing.batch_size,
        max_retries=processing.max_retries,
        retry_backoff_factor=processing.retry_backoff_factor,
        max_reject_rate=processing.max_reject_rate,
    )
    return Load(run.db, run.plan, limits, partial(_refuse, run, sources), rule_settings(run.config))


def rule_settings(config: Config) -> dict[str, dict[str, str]]:
    """Return by table the settings that its rows are computed with, as texts; empty: not set."""
    processing = config.processing
    named: dict[str, dict[str, object]] = {
        CUSTOMER_DIM.name: {"DEFAULT_AREA_CODE": processing.default_area_code},
        PRODUCT_DIM.name: {"DEFAULT_COST_RATIO": processing.default_cost_ratio},
        SALES_FACT.name: {"COMMISSION_RATE": processing.commission_rate},
    }
    return {
        table: {name: "" if value is None else str(value) for name, value in settings.items()}
        for table, settings in named.items()
    }


def _refuse(
    run: Run, sources: Sequence[Source], table: Table, refused: pa.Table, reason: str
) -> None:
    """Adds a record to the rejected file that is there, before that is committed."""
    (source,) = [source for source in sources if source.table is table]
    rejects = RejectedFile(run.rejected_folder, run.plan.run_id, source.name)
    try:
        rejects.write(_refused(source, refused, reason))
        rejects.publish()
        run.ledger.rejects.setdefault(source.name, Counter()).update(rejects.reasons)
    finally:
        rejects.discard()
    logger.warning("%s: a record was refused: %s", source.name, reason)


def _apply(run: Run, staged: list[Staged], sources: Sequence[Source]) -> Applied:
    process.raise_if_asked()
    started = time.perf_counter()
    with log_context(stage="loading"):
        applied = load_staged(_load_of(run, sources), staged)
    for each in staged:
        run.metrics.add(
            "loading", seconds=0.0, record_count=applied.of(each.table).rows_read, error_count=0
        )
    run.metrics.add("loading", seconds=time.perf_counter() - started, record_count=0, error_count=0)
    return applied


def _stage(run: Run, source: Source, readers: _Readers) -> Staged | SourceOutcome:
    """Stages a source, anew from its beginning when a transient error interrupts it."""
    processing = run.config.processing
    retry = retry_with_backoff(processing.max_retries, processing.retry_backoff_factor)
    try:
        with log_context(source=source.name, stage="staging"):
            return retry(lambda: _stage_once(run, source, readers))()
    except Exception as error:  # noqa: BLE001  # the other sources go on; it is logged and told
        return _failed(source, error)


def _stage_once(run: Run, source: Source, readers: _Readers) -> Staged:
    reader = readers.pop(source.name, None) or _start_reading(run, source)
    folder = None if run.dry_run else run.rejected_folder
    rejects = RejectedFile(folder, run.plan.run_id, source.name)
    try:
        with reader:
            intake = Intake(
                reader, rejects, partial(_duplicates, source), partial(_refused, source),
                window=source.window, partial=source.partial,
            )  # fmt: skip
            run.db.revive()
            staged, reject_rate = stage_source(_load_of(run, [source]), source.table, intake)
        rejects.publish()
        run.ledger.rejects[source.name] = rejects.reasons
    finally:
        rejects.discard()
    run.metrics.record_totals(read=staged.rows_read, rejected=staged.rows_rejected)
    if not source.partial:
        limit = run.config.processing.max_reject_rate
        check_reject_limit(source.name, staged, reject_rate=reject_rate, max_reject_rate=limit)
    return replace(staged, notes={**source.skipped, **staged.notes})


def _start_reading(run: Run, source: Source) -> ReadAhead[LoadBlock]:
    with log_context(source=source.name):
        return ReadAhead(
            lambda: _transformed(run, source), f"transform-{source.name}",
            size=lambda block: block.nbytes, room=READ_AHEAD_BYTES,
        )  # fmt: skip


def _transformed(run: Run, source: Source) -> Iterator[LoadBlock]:
    """The blocks of a source, transformed while the next one is read by another thread."""
    with ReadAhead(lambda: _extracted(run, source), f"read-{source.name}", room=1) as blocks:
        for block in blocks:
            started = time.perf_counter()
            with log_context(stage="transformation"):
                transformed = source.transform(block.records)
            run.metrics.add(
                "transformation", seconds=time.perf_counter() - started,
                record_count=block.records.num_rows, error_count=transformed.rejected.num_rows,
            )  # fmt: skip
            run.on_progress(source.name, block.rows)
            yield transformed.with_unparsed(block.rejected, block.examined)


def _extracted(run: Run, source: Source) -> Iterator[Block]:
    blocks = source.read()
    while True:
        started = time.perf_counter()
        with log_context(stage="extraction"):
            block = next(blocks, None)
        if block is None:
            return
        run.metrics.add(
            "extraction", seconds=time.perf_counter() - started, record_count=block.rows,
            error_count=block.rejected.num_rows,
        )  # fmt: skip
        yield block


def _one_array(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _duplicates(source: Source, losers: pa.Table) -> pa.RecordBatch:
    reason = f"another record of this {source.table.key[0]} took precedence"
    return _set_aside(source, losers, error_class=DUPLICATE, reason=reason)


def _refused(source: Source, refused: pa.Table, reason: str) -> pa.RecordBatch:
    return _set_aside(source, refused, error_class=REFUSED, reason=reason)


def _set_aside(
    source: Source, staged: pa.Table, *, error_class: str, reason: str
) -> pa.RecordBatch:
    """Staged records as rejected ones, with the values that the source wrote."""
    key = source.table.key[0]
    originals = source.originals(staged)
    rows = originals.num_rows
    if field_rules.clean_text(_one_array(originals[key])) != _one_array(staged[key]):
        raise ExtractionError(
            f"{source.name}: the file changed between two readings",
            next_step="run again once it is written",
        )
    told = {
        "source_row": originals["source_row"],
        "record_key": pc.utf8_trim_whitespace(originals[key]),
        "error_class": pa.array([error_class] * rows, pa.string()),
        "field": pa.array([key] * rows, pa.string()),
        "value": originals[key],
        "reason": pa.array([reason] * rows, pa.string()),
        "raw_record": pa.nulls(rows, pa.string()),
    }
    values = {name: originals[name].cast(pa.string()) for name in source.columns}
    schema = reject_schema(source.columns)
    return pa.Table.from_pydict(told | values, schema=schema).combine_chunks().to_batches()[0]

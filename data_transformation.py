"""Transformation of records: lists of dicts, DataFrames or Arrow tables in, the same kind out.

The rules are those of the pipeline: its column functions, and for the join of sales with customers
and products the statements of the warehouse, here over the records alone.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Dict, List

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from etl.engines.ddl import drop_temporary
from etl.engines.duckdb import DUCKDB, open_duckdb
from etl.rules import columns as field_rules
from etl.rules.blocks import LoadBlock
from etl.rules.business import DEFAULT_RULES, Rules
from etl.rules.customers import split_names, transform_customers
from etl.rules.products import transform_products
from etl.rules.records import Records, block_from_records, records_of
from etl.rules.sales import transform_sales
from etl.schema.arrow import arrow_schema
from etl.schema.source_columns import COMPLETED, CUSTOMER_COLUMNS, PRODUCT_COLUMNS, SALES_COLUMNS
from etl.schema.star import CUSTOMER_DIM, PRODUCT_DIM, SALES_FACT
from etl.schema.table import Role, Table
from etl.warehouse import restated, staging_sql, star_sql

logger = logging.getLogger(__name__)

_STAGED = "staged_sale"  # the table of sales in the join


@dataclass(frozen=True)
class _Source:
    """What the functions need to know of a source.

    Attributes:
        columns: what is read of a record.
        money: columns in which a float makes the record's money floats.
        originals: by column, the one that keeps the source's own value after transformation.
        prepared: what happens to the block of some records before its rules.
    """

    name: str
    columns: tuple[str, ...]
    transform: Callable[[pa.RecordBatch, Rules], LoadBlock]
    money: tuple[str, ...] = ()
    originals: Mapping[str, str] = field(default_factory=dict)
    prepared: Callable[[pa.RecordBatch, Records], pa.RecordBatch] = lambda block, _records: block


def _completed(block: pa.RecordBatch, records: Records) -> pa.RecordBatch:
    """Only the completed sales; a record that carries no status is one."""
    rows = pc.subtract(block.column("source_row"), 1)
    status = field_rules.clean_text(block.column("status"))
    completed = pc.fill_null(pc.equal(pc.utf8_lower(status), COMPLETED), False)
    return block.filter(pc.or_(completed, pc.invert(records.present("status").take(rows))))


_CUSTOMERS = _Source(
    "customers", (*CUSTOMER_COLUMNS, "name"), transform_customers,
    originals={"segment": "source_segment"}, prepared=lambda block, _records: split_names(block),
)  # fmt: skip
_PRODUCTS = _Source(
    "products", PRODUCT_COLUMNS, transform_products,
    money=("price", "cost"), originals={"category": "source_category"},
)  # fmt: skip
_SALES = _Source(
    "transactions", (*SALES_COLUMNS, "status"), transform_sales,
    money=("unit_price", "discount_amount"), prepared=_completed,
)  # fmt: skip


def _read(source: _Source, given: object) -> Records:
    return records_of(given, source.name, source.originals)


def _transformed(source: _Source, records: Records, rules: Rules) -> LoadBlock:
    """The records, `source_row` counting from 1; what was rejected is logged."""
    block, unfit = block_from_records(records, source.columns)
    loaded = source.transform(source.prepared(block, records), rules)
    unfit = unfit.select(loaded.rejected.schema.names)
    loaded = loaded.with_unparsed(unfit, len(records))
    _warn_of_rejected(source.name, len(records), loaded.rejected)
    return loaded


def _warn_of_rejected(name: str, processed: int, rejected: pa.RecordBatch) -> None:
    if rejected.num_rows:
        reasons = Counter(rejected.column("reason").to_pylist()).most_common()
        listed_reasons = "; ".join(f"{reason} ({count})" for reason, count in reasons)
        logger.warning(
            "%d of %d %s rejected: %s", rejected.num_rows, processed, name, listed_reasons
        )


def _log_metrics(name: str, processed: int, errors: int, started: float) -> None:
    seconds = time.perf_counter() - started
    metrics = {"records": processed, "errors": errors, "seconds": seconds}
    logger.info("%d %s transformed, %d rejected, %.3f s", processed, name, errors, seconds,
                extra=metrics)  # fmt: skip


def _face(source: _Source, given: object, rules: Rules) -> List[Dict[str, Any]]:
    started, records = time.perf_counter(), _read(source, given)
    loaded = _transformed(source, records, rules)
    result: List[Dict[str, Any]] = records.like(loaded.accepted, source.money)
    _log_metrics(source.name, len(records), loaded.rejected.num_rows, started)
    return result


def standardize_customer_data(
    customers: List[Dict],  # type: ignore[type-arg]  # the public signature is fixed
    *,
    rules: Rules = DEFAULT_RULES,
) -> List[Dict]:  # type: ignore[type-arg]
    """Standardise customers: names, e-mail, phone, date and segment.

    Applied to its own result it gives the same again. Records without a `customer_id`, with
    text that is too long or that no server stores are left out and counted in the log.

    Args:
        customers: a list of dicts, a pandas or polars DataFrame, or an Arrow table with the
            columns of `CUSTOMER_COLUMNS`; one `name` may stand for both names. Not changed.
        rules: what the business has set.

    Returns:
        Records with the columns of `customer_dim`, in the kind that was given.

    Raises:
        TransformationError: the records are of another kind.

    Example:
        >>> record = {"customer_id": "C001", "first_name": "JOHN", "last_name": " smith",
        ...           "email": "John@Email.COM", "phone": "555-1234", "segment": "Premium"}
        >>> customer = standardize_customer_data([record])[0]
        >>> customer["name"], customer["email"], customer["segment"]
        ('John Smith', 'john@email.com', 'Premium Plus')
    """
    return _face(_CUSTOMERS, customers, rules)


def enrich_product_data(
    products: List[Dict],  # type: ignore[type-arg]  # the public signature is fixed
    *,
    rules: Rules = DEFAULT_RULES,
) -> List[Dict]:  # type: ignore[type-arg]
    """Enrich products: price category, inventory status, standard category.

    Applied to its own result it gives the same again. Where a float came in as price or cost,
    floats come out, else Decimals.

    Args:
        products: records of any kind (as for `standardize_customer_data`) with the columns of
            `PRODUCT_COLUMNS`. Not changed.
        rules: what the business has set.

    Returns:
        Records with the columns of `product_dim`, in the kind that was given; without those that
        were rejected, which are counted in the log.

    Raises:
        TransformationError: the records are of another kind.

    Example:
        >>> record = {"product_id": "P001", "category": "Tech", "price": 199.99, "quantity": 150}
        >>> product = enrich_product_data([record])[0]
        >>> product["category"], product["price_category"], product["inventory_status"]
        ('Electronics', 'Mid-Range', 'Well Stocked')
    """
    return _face(_PRODUCTS, products, rules)


def process_sales_transactions(
    transactions: List[Dict],  # type: ignore[type-arg]  # the public signature is fixed
    customers: List[Dict],  # type: ignore[type-arg]
    products: List[Dict],  # type: ignore[type-arg]
    *,
    rules: Rules = DEFAULT_RULES,
) -> List[Dict]:  # type: ignore[type-arg]
    """Calculate and classify completed sales, and join them with customers and products.

    A sale of an unknown customer or product is kept; what depends on the product's cost is None
    then. Records with another `status` than completed are skipped. Of the records with one
    transaction_id the last counts. First-time is a customer's earliest sale among these records.

    Args:
        transactions: records of any kind (as for `standardize_customer_data`) with the columns
            of `SALES_COLUMNS`. Not changed.
        customers: raw or transformed records, of any kind.
        products: raw or transformed records, of any kind; `cost` gives the profit.
        rules: what the business has set.

    Returns:
        Records with the columns of `sales_fact`, in the kind and order of the transactions.

    Raises:
        TransformationError: one of the three is of another kind.

    Example:
        >>> sale = {"transaction_id": "T1", "customer_id": "C1", "product_id": "P1",
        ...         "quantity": "2", "unit_price": "100.00", "transaction_date": "2024-01-20"}
        >>> product = {"product_id": "P1", "cost": "60"}
        >>> row = process_sales_transactions([sale], [{"customer_id": "C1"}], [product])[0]
        >>> row["total_amount"], row["profit_amount"], row["profit_margin"], row["customer_status"]
        (Decimal('200.00'), Decimal('80.00'), Decimal('0.4000'), 'First-time')
    """
    started = time.perf_counter()
    sales = _read(_SALES, transactions)
    known = {CUSTOMER_DIM: _read(_CUSTOMERS, customers), PRODUCT_DIM: _read(_PRODUCTS, products)}
    loaded = _transformed(_SALES, sales, rules)
    rows = [
        _transformed(source, records, rules).accepted
        for source, records in zip((_CUSTOMERS, _PRODUCTS), known.values(), strict=True)
    ]
    joined = _joined(loaded.accepted, dict(zip(known, rows, strict=True)))
    logger.info(
        "%d transactions of another status skipped, %d duplicates",
        len(sales) - loaded.rows, loaded.accepted.num_rows - joined.num_rows,
    )  # fmt: skip
    _log_metrics("transactions", len(sales), loaded.rejected.num_rows, started)
    result: List[Dict[str, Any]] = sales.like(joined, _SALES.money)
    return result


def _joined(sales: pa.RecordBatch, dimensions: Mapping[Table, pa.RecordBatch]) -> pa.Table:
    """The sales with the columns that follow from other records, as the warehouse joins them."""
    columns = arrow_schema(SALES_FACT.with_role(Role.SOURCE, Role.RESTATED))
    schema = pa.schema([("source_row", pa.int64()), *columns])
    with closing(open_duckdb(":memory:")) as db:
        _create(db, _STAGED, sales)
        _create(db, SALES_FACT.name, sales.slice(0, 0))  # no other sales are known
        for table, rows in dimensions.items():
            _create(db, table.name, rows)
        _drop_outranked(db, SALES_FACT, _STAGED)
        _drop_outranked(db, PRODUCT_DIM, PRODUCT_DIM.name)
        for each in restated.restated_by(SALES_FACT):
            for temporary in (each.touched, *each.before_merge):
                db.execute(temporary.create(DUCKDB, _STAGED))
        _log_unknown(db)
        source = restated.merge_source(DUCKDB, SALES_FACT, _STAGED)
        found = db.sql(f"FROM {source} AS s").order('"source_row"')
        table = found.select(*(field.name for field in schema)).to_arrow_table()
    return table.cast(schema)


def _create(db: duckdb.DuckDBPyConnection, name: str, rows: pa.RecordBatch) -> None:
    db.from_arrow(pa.Table.from_batches([rows])).create(name)


def _drop_outranked(db: duckdb.DuckDBPyConnection, table: Table, rows: str) -> None:
    """Keeps one row per key, the one that a load would keep."""
    db.execute(staging_sql.create_duplicates(DUCKDB, table, rows))
    db.execute(staging_sql.delete_duplicates(DUCKDB, rows))
    db.execute(drop_temporary(DUCKDB, staging_sql.DUPLICATES))


def _log_unknown(db: duckdb.DuckDBPyConnection) -> None:
    for column, parent in SALES_FACT.references:
        counted = star_sql.staged_without_parent(column, parent, rows=_STAGED)
        ((unknown,),) = db.execute(counted).fetchall()
        logger.info("%d transactions of %s that are not known", unknown, parent.source)

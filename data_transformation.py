"""Transformation of plain records: lists of dicts in, lists of dicts out.

These are faces over the column functions of `business_rules`, so that a rule stands once. Only
the one for sales joins, because in the pipeline the warehouse does that.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, Dict, List

import pyarrow as pa

from etl.errors import TransformationError
from etl.rejects import one_block
from etl.rules.blocks import LoadBlock
from etl.rules.business import (
    DEFAULT_RULES,
    Rules,
    transform_customers,
    transform_products,
    transform_sales,
)
from etl.rules.records import block_from_records
from etl.schema.source_columns import COMPLETED, CUSTOMER_COLUMNS, PRODUCT_COLUMNS, SALES_COLUMNS
from etl.schema.tables import FIRST_TIME, REPEAT, SALES_FACT, Role

logger = logging.getLogger(__name__)

MARGIN_LIMIT = Decimal("99999.9999")
_MARGIN_STEP = Decimal("0.0001")
_EXACT = Context(prec=50, rounding=ROUND_HALF_UP)  # amounts have at most 22 digits


@dataclass(frozen=True)
class _Source:
    """What the faces need to know of a source.

    Attributes:
        money: columns in which a float makes the record's money floats.
        enhanced: by column, the one that keeps the source's own value after transformation.
    """

    name: str
    columns: tuple[str, ...]
    transform: Callable[[pa.RecordBatch, Rules], LoadBlock]
    money: tuple[str, ...] = ()
    enhanced: tuple[tuple[str, str], ...] = ()


_CUSTOMERS = _Source(
    "customers",
    CUSTOMER_COLUMNS,
    transform_customers,
    enhanced=(("segment", "source_segment"),),
)
_PRODUCTS = _Source(
    "products",
    PRODUCT_COLUMNS,
    transform_products,
    money=("price", "cost"),
    enhanced=(("category", "source_category"),),
)
_SALES = _Source(
    "transactions", SALES_COLUMNS, transform_sales, money=("unit_price", "discount_amount")
)


def _require_records(name: str, records: object) -> None:
    if not isinstance(records, list):
        raise TransformationError(
            f"{name} is a {type(records).__name__}", choices="a list of dicts"
        )
    for place, record in enumerate(records):
        if not isinstance(record, dict):
            raise TransformationError(
                f"{name}[{place}] is a {type(record).__name__}", choices="a list of dicts"
            )


def _transform_records(
    source: _Source, records: Sequence[Mapping[str, Any]], rules: Rules
) -> tuple[pa.RecordBatch, int]:
    """The accepted records, `source_row` counting from 1, and how many were rejected."""
    given = [_as_given(source, record) for record in records]
    block, unfit = block_from_records(given, source.columns)
    transformed = source.transform(block, rules)
    rejected = one_block([unfit, transformed.rejected])
    _warn_of_rejected(source.name, len(records), rejected)
    return transformed.accepted, rejected.num_rows


def _as_given(source: _Source, record: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record with the source's own values, when it has been transformed before."""
    kept = {name: record[own] for name, own in source.enhanced if own in record}
    return {**record, **kept} if kept else record


def _warn_of_rejected(name: str, processed: int, rejected: pa.RecordBatch) -> None:
    if not rejected.num_rows:
        return
    reasons = Counter(rejected.column("reason").to_pylist()).most_common()
    told = "; ".join(f"{reason} ({count})" for reason, count in reasons)
    logger.warning("%d of %d %s rejected: %s", rejected.num_rows, processed, name, told)


def _row_of(source: _Source, row: Mapping[str, Any], record: Mapping[str, Any]) -> Dict[str, Any]:
    """A row as the caller gets it: floats for money where floats came in."""
    as_float = any(isinstance(record.get(name), float) for name in source.money)
    return {
        name: float(value) if as_float and isinstance(value, Decimal) else value
        for name, value in row.items()
        if name != "source_row"
    }


def _log_metrics(name: str, processed: int, errors: int, started: float) -> None:
    seconds = time.perf_counter() - started
    metrics = {"records": processed, "errors": errors, "seconds": seconds}
    logger.info("%d %s transformed, %d rejected, %.3f s", processed, name, errors, seconds,
                extra=metrics)  # fmt: skip


def _face(source: _Source, records: List[Dict[str, Any]], rules: Rules) -> List[Dict[str, Any]]:
    started = time.perf_counter()
    _require_records(source.name, records)
    accepted, rejected = _transform_records(source, records, rules)
    rows = accepted.to_pylist()
    result = [_row_of(source, row, records[row["source_row"] - 1]) for row in rows]
    _log_metrics(source.name, len(records), rejected, started)
    return result


def standardize_customer_data(
    customers: List[Dict],  # type: ignore[type-arg]  # the public signature is fixed
    *,
    rules: Rules = DEFAULT_RULES,
) -> List[Dict]:  # type: ignore[type-arg]
    """Standardises customers: names, e-mail, phone, date and segment.

    Applied to its own result it gives the same again. Records without a `customer_id`, with
    text that is too long or that no server stores are left out and counted in the log.

    Args:
        customers: records with the keys of `CUSTOMER_COLUMNS`; left as they are.
        rules: what the business has set.

    Returns:
        Records with the columns of `customer_dim`.

    Raises:
        TransformationError: not a list of dicts.

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
    """Enriches products: price category, inventory status, standard category.

    Applied to its own result it gives the same again. Where a float came in as price or cost,
    floats come out, else Decimals.

    Args:
        products: flat records with the keys of `PRODUCT_COLUMNS`; left as they are.
        rules: what the business has set.

    Returns:
        Records with the columns of `product_dim`; without those that were rejected, which are
        counted in the log.

    Raises:
        TransformationError: not a list of dicts.

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
    """Calculates and classifies completed sales and joins them with customers and products.

    A sale of an unknown customer or product is kept; what depends on the product's cost is None
    then. Records with another `status` than completed are skipped. Of the records with one
    transaction_id the last counts. First-time is a customer's earliest sale among these records.

    Args:
        transactions: records with the keys of `SALES_COLUMNS`; left as they are.
        customers: raw or transformed records.
        products: raw or transformed records; `cost` gives the profit.
        rules: what the business has set.

    Returns:
        Records with the columns of `sales_fact`, in the order in which they came.

    Raises:
        TransformationError: one of the three is not a list of dicts.

    Example:
        >>> sale = {"transaction_id": "T1", "customer_id": "C1", "product_id": "P1",
        ...         "quantity": "2", "unit_price": "100.00", "transaction_date": "2024-01-20"}
        >>> product = {"product_id": "P1", "cost": "60"}
        >>> row = process_sales_transactions([sale], [{"customer_id": "C1"}], [product])[0]
        >>> row["total_amount"], row["profit_amount"], row["profit_margin"], row["customer_status"]
        (Decimal('200.00'), Decimal('80.00'), Decimal('0.4000'), 'First-time')
    """
    started = time.perf_counter()
    given = {"transactions": transactions, "customers": customers, "products": products}
    for name, records in given.items():
        _require_records(name, records)
    completed = [record for record in transactions if _is_completed(record)]
    accepted, rejected = _transform_records(_SALES, completed, rules)
    sales = _latest(accepted.to_pylist())
    _add_profits(sales, _transform_records(_PRODUCTS, products, rules)[0])
    _add_customer_status(sales, _transform_records(_CUSTOMERS, customers, rules)[0])
    logger.info(
        "%d transactions of another status skipped, %d duplicates",
        len(transactions) - len(completed), accepted.num_rows - len(sales),
    )  # fmt: skip
    _log_metrics("transactions", len(transactions), rejected, started)
    return [_sale_row(sale, completed[sale["source_row"] - 1]) for sale in sales]


def _is_completed(record: Mapping[str, Any]) -> bool:
    status = record.get("status", COMPLETED)
    return isinstance(status, str) and status.strip() == COMPLETED


# Of the records with one transaction_id, the greatest by these is the last.
def _latest(sales: Iterable[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """One sale per transaction_id, in the order in which they came."""
    latest: dict[str, Dict[str, Any]] = {}
    for sale in sales:
        key = sale["transaction_id"]
        latest[key] = max(latest.get(key, sale), sale, key=_sales_order)
    return sorted(latest.values(), key=lambda sale: int(sale["source_row"]))


def _sales_order(sale: Mapping[str, Any]) -> tuple[tuple[bool, Any], ...]:
    return tuple((sale[name] is not None, sale[name]) for name in SALES_FACT.rank)


def _add_profits(sales: Iterable[Dict[str, Any]], products: pa.RecordBatch) -> None:
    ids, costs = products.column("product_id"), products.column("cost")
    cost_of = dict(zip(ids.to_pylist(), costs.to_pylist(), strict=True))
    unknown = 0
    for sale in sales:
        unknown += sale["product_id"] not in cost_of
        profit, margin = _profit(sale, cost_of.get(sale["product_id"]))
        sale["profit_amount"], sale["profit_margin"] = profit, margin
    logger.info("%d transactions of products that are not known", unknown)


def _profit(sale: Mapping[str, Any], cost: Decimal | None) -> tuple[Decimal | None, Decimal | None]:
    if cost is None:
        return None, None
    total = sale["total_amount"]
    profit = _EXACT.subtract(total, _EXACT.multiply(sale["quantity"], cost))
    if not total:
        return profit, None
    margin = _EXACT.divide(profit, total).quantize(_MARGIN_STEP, context=_EXACT)
    return profit, margin if abs(margin) <= MARGIN_LIMIT else None


def _add_customer_status(sales: Iterable[Dict[str, Any]], customers: pa.RecordBatch) -> None:
    known = set(customers.column("customer_id").to_pylist())
    unknown = 0
    seen: set[str] = set()
    for sale in sorted(sales, key=lambda sale: (sale["transaction_date"], sale["transaction_id"])):
        customer = sale["customer_id"]
        unknown += customer not in known
        sale["customer_status"] = REPEAT if customer in seen else FIRST_TIME
        seen.add(customer)
    logger.info("%d transactions of customers that are not known", unknown)


def _sale_row(sale: Mapping[str, Any], record: Mapping[str, Any]) -> Dict[str, Any]:
    columns = SALES_FACT.with_role(Role.SOURCE, Role.RESTATED)
    return _row_of(_SALES, {column.name: sale[column.name] for column in columns}, record)

"""The business rules: from a source's columns of text to the columns of its table.

A block goes in, two come out: the records that keep the rules, typed and cleaned, and the
others, each with the first reason for which it was rejected. The functions that take and return
lists of dicts are faces over the same column functions. What needs other records (who bought
first, what a product costs now) is left to SQL when loading; only the face for sales joins here.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Any, Dict, List

import pyarrow as pa
import pyarrow.compute as pc

import field_rules
from errors import TransformationError
from field_rules import Reading
from record_blocks import block_from_records
from record_checks import Checks, Transformed, range_words
from rejected_records import OUT_OF_RANGE, RULE, one_block
from sources import COMPLETED, CUSTOMER_COLUMNS, PRODUCT_COLUMNS, SALES_COLUMNS
from star_schema import (
    CUSTOMER_DIM,
    FIRST_TIME,
    PRODUCT_DIM,
    REPEAT,
    SALES_FACT,
    SALES_RANK,
    Column,
    Role,
)

logger = logging.getLogger(__name__)

SALES_REQUIRED = (
    "transaction_id", "customer_id", "product_id", "quantity", "unit_price", "transaction_date",
)  # fmt: skip

# --- the numbers and names of the business -----------------------------------------------

# Lowest value of each class, highest class first; what is below all of them is the last name.
PRICE_CATEGORIES = ((Decimal(200), "Premium"), (Decimal(50), "Mid-Range"))
LOWEST_PRICE_CATEGORY = "Budget"
INVENTORY_STATUSES = ((101, "Well Stocked"), (50, "Moderate Stock"), (10, "Low Stock"))
LOWEST_INVENTORY_STATUS = "Critical Stock"
VALUE_TIERS = ((Decimal(500), "High Value"), (Decimal(100), "Medium Value"))
LOWEST_VALUE_TIER = "Low Value"
UNKNOWN = "Unknown"

CATEGORY_ALIASES = {
    "Electronics": ("Electronics", "Tech", "Technology"),
    "Apparel": ("Clothing", "Apparel", "Fashion"),
    "Books": ("Books", "Literature", "Reading"),
}

PREMIUM, STANDARD = "premium", "standard"
PREMIUM_PLUS, STANDARD_PLUS = "Premium Plus", "Standard Plus"
INCOMPLETE_PROFILE = "Incomplete Profile"

COMMISSION_RATE = Decimal("0.03")
MARGIN_LIMIT = Decimal("99999.9999")
_MARGIN_STEP = Decimal("0.0001")
_EXACT = Context(prec=50, rounding=ROUND_HALF_UP)  # amounts have at most 22 digits

# 18 digits of an amount and 19 of a rate make the 38 that Arrow's product of the two can hold.
_RATE_DIGITS = 19


@dataclass(frozen=True)
class Rules:
    """What a business may set for itself.

    Attributes:
        default_area_code: three digits for phone numbers that come without, or None.
        default_cost_ratio: cost as a share of the price where it is not given, or None.
        commission_rate: the sales representative's share of a sale.

    Raises:
        TransformationError: a ratio or rate is no number of at most 19 digits.
    """

    default_area_code: str | None = None
    default_cost_ratio: Decimal | None = None
    commission_rate: Decimal = COMMISSION_RATE

    def __post_init__(self) -> None:
        for name in ("default_cost_ratio", "commission_rate"):
            rate = getattr(self, name)
            if rate is not None and not _is_rate(rate):
                raise TransformationError(
                    f"{name} is {rate}", choices=f"a number of at most {_RATE_DIGITS} digits"
                )


def _is_rate(rate: Decimal) -> bool:
    if not rate.is_finite():
        return False
    return len(format(rate.copy_abs(), "f").replace(".", "")) <= _RATE_DIGITS


DEFAULT_RULES = Rules()


# --- values ------------------------------------------------------------------------------


def _tier(values: pa.Array, bounds: Iterable[tuple[object, str]], lowest: str) -> pa.Array:
    """The name of the first class whose lowest value is reached; null where there is none."""
    names: Any = lowest
    for bound, name in reversed(tuple(bounds)):
        names = pc.if_else(pc.greater_equal(values, pa.scalar(bound)), name, names)
    return names


def _times(amounts: pa.Array, rate: Decimal) -> pa.Array:
    scale = len(format(rate, "f").partition(".")[2])
    return pc.multiply(amounts, pa.scalar(rate, pa.decimal128(_RATE_DIGITS, scale)))


def _decimals(block: pa.RecordBatch, column: Column) -> Reading:
    return field_rules.read_decimals(block.column(column.name), column.precision, column.scale)


# --- customers ---------------------------------------------------------------------------


def transform_customers(block: pa.RecordBatch, rules: Rules = DEFAULT_RULES) -> Transformed:
    """Cleans and judges a block of customers.

    Args:
        block: `source_row` and `CUSTOMER_COLUMNS`.
        rules: what the business has set.

    Example:
        >>> record = {"customer_id": "C1", "first_name": "jane", "last_name": "o'neil",
        ...           "email": "J@B.org", "segment": "premium", "phone": "4255550100"}
        >>> block, _ = block_from_records([record], CUSTOMER_COLUMNS)
        >>> customer = transform_customers(block).accepted.to_pylist()[0]
        >>> customer["name"], customer["phone"], customer["segment"]
        ("Jane O'Neil", '(425) 555-0100', 'Premium Plus')
    """
    values = _customer_values(block, rules)
    checks = Checks(block, CUSTOMER_COLUMNS)
    checks.missing({"customer_id": pc.is_null(values["customer_id"])})
    checks.bad_text()
    checks.columns_fit(CUSTOMER_DIM, values, {})
    registered = values["registration_date"]
    notes = {
        "invalid_emails": pc.and_not(pc.is_valid(values["email"]), values["email_valid"]),
        "invalid_phones": pc.and_not(pc.is_valid(values["phone"]), values["phone_valid"]),
        "unreadable_registration_dates": _unreadable(block.column("registration_date"), registered),
    }
    return checks.result(CUSTOMER_DIM, values, notes)


def _unreadable(column: pa.Array, values: pa.Array) -> pa.Array:
    if not values.null_count:
        return field_rules.no_rows(len(values))
    return pc.and_not(pc.is_null(values), field_rules.is_missing(column))


def _customer_values(block: pa.RecordBatch, rules: Rules) -> dict[str, pa.Array]:
    values = {
        "customer_id": field_rules.clean_text(block.column("customer_id")),
        "first_name": field_rules.clean_name(block.column("first_name")),
        "last_name": field_rules.clean_name(block.column("last_name")),
        "email": field_rules.clean_email(block.column("email")),
        "address": field_rules.clean_text(block.column("address")),
        "source_segment": field_rules.clean_text(block.column("segment")),
        "registration_date": field_rules.read_dates(block.column("registration_date")),
        "is_inferred": field_rules.no_rows(block.num_rows),
    }
    values["name"] = _full_name(values["first_name"], values["last_name"])
    values["email_valid"] = field_rules.email_is_valid(values["email"])
    values["phone"], values["phone_valid"] = field_rules.clean_phone(
        block.column("phone"), rules.default_area_code
    )
    values["segment"] = _enhanced_segment(values)
    return values


def _full_name(first: pa.Array, last: pa.Array) -> pa.Array:
    # null_handling="skip" would drop the rows in which both are null (Arrow 26)
    return pc.coalesce(pc.binary_join_element_wise(first, last, " "), first, last)


def _enhanced_segment(values: Mapping[str, pa.Array]) -> pa.Array:
    """The first of these that holds: incomplete, premium with phone, complete standard, as given.

    A complete name is both of its parts. A phone number counts as provided also when it is not a
    full one, an e-mail address must be valid to complete a profile.
    """
    source, phone = values["source_segment"], pc.is_valid(values["phone"])
    segment = field_rules.by_distinct(source, _comparable, pa.string())
    incomplete = _any_null([values["first_name"], values["last_name"], values["email"], source])
    complete = pc.and_not(
        pc.and_(phone, values["email_valid"]),
        _any_null([values["address"], values["registration_date"]]),
    )
    cases = pc.make_struct(
        incomplete,
        pc.and_(pc.equal(segment, PREMIUM), phone),
        pc.and_(pc.equal(segment, STANDARD), complete),
    )
    as_given = field_rules.by_distinct(source, field_rules.name_of, pa.string())
    return pc.case_when(cases, INCOMPLETE_PROFILE, PREMIUM_PLUS, STANDARD_PLUS, as_given)


def _comparable(text: str) -> str:
    return field_rules.collapsed(text).lower()


def _any_null(columns: Sequence[pa.Array]) -> pa.Array:
    missing = pc.is_null(columns[0])
    for column in columns[1:]:
        missing = pc.or_(missing, pc.is_null(column))
    return missing


# --- products ----------------------------------------------------------------------------

_CATEGORIES = {
    _comparable(alias): standard for standard, names in CATEGORY_ALIASES.items() for alias in names
}


def standard_category(text: str) -> str:
    """The category of the taxonomy, or in title case what is not in it.

    Example:
        >>> standard_category("tech"), standard_category("GARDEN  tools")
        ('Electronics', 'Garden Tools')
    """
    own_name = field_rules.title_cased(field_rules.collapsed(text))
    return _CATEGORIES.get(_comparable(text), own_name)


def transform_products(block: pa.RecordBatch, rules: Rules = DEFAULT_RULES) -> Transformed:
    """Cleans, classifies and judges a block of products.

    Args:
        block: `source_row` and `PRODUCT_COLUMNS`.
        rules: what the business has set.

    Example:
        >>> record = {"product_id": "P1", "category": "tech", "price": "199.995", "quantity": 49}
        >>> block, _ = block_from_records([record], PRODUCT_COLUMNS)
        >>> product = transform_products(block).accepted.to_pylist()[0]
        >>> product["category"], product["price_category"], product["inventory_status"]
        ('Electronics', 'Premium', 'Low Stock')
    """
    readings = {
        "price": _decimals(block, PRODUCT_DIM.column("price")),
        "cost": _decimals(block, PRODUCT_DIM.column("cost")),
        "quantity": field_rules.read_integers(block.column("quantity")),
    }
    checks = Checks(block, PRODUCT_COLUMNS)
    values = _product_values(block, readings)
    checks.missing({"product_id": pc.is_null(values["product_id"])})
    checks.bad_text()
    checks.columns_fit(PRODUCT_DIM, values, readings)
    for field in readings:
        negative = pc.less(values[field], pa.scalar(0))
        checks.add(negative, RULE, field, f"{field} must not be negative")
    if rules.default_cost_ratio is not None:
        values["cost"] = _assumed_costs(readings, rules.default_cost_ratio, checks)
    category = values["category"]
    standard = pc.is_in(category, value_set=pa.array(CATEGORY_ALIASES))
    notes = {
        "categories_outside_taxonomy": pc.and_not(pc.is_valid(category), standard),
        "missing_costs": pc.is_null(values["cost"]),
    }
    return checks.result(PRODUCT_DIM, values, notes)


def _assumed_costs(readings: Mapping[str, Reading], ratio: Decimal, checks: Checks) -> pa.Array:
    """The costs, a share of the price where none is given."""
    cost, price = readings["cost"], readings["price"].values
    shares = _times(pc.if_else(cost.missing, price, None), ratio)
    return pc.coalesce(cost.values, _fitting(PRODUCT_DIM.column("cost"), shares, checks))


def _fitting(column: Column, computed: pa.Array, checks: Checks) -> pa.Array:
    """Computed amounts in their column's type; rejects those that are too large for it."""
    values, too_large = field_rules.fit_decimals(computed, column.precision, column.scale)
    checks.add(too_large, OUT_OF_RANGE, column.name, range_words(column), computed=computed)
    return values


def _product_values(block: pa.RecordBatch, readings: Mapping[str, Reading]) -> dict[str, pa.Array]:
    texts = ("product_id", "name", "brand", "model", "warehouse")
    values = {name: field_rules.clean_text(block.column(name)) for name in texts}
    source_category = field_rules.clean_text(block.column("category"))
    price, quantity = readings["price"].values, readings["quantity"].values
    tier = _tier(price, PRICE_CATEGORIES, LOWEST_PRICE_CATEGORY)
    status = _tier(quantity, INVENTORY_STATUSES, LOWEST_INVENTORY_STATUS)
    return values | {
        "source_category": source_category,
        "category": field_rules.by_distinct(source_category, standard_category, pa.string()),
        "price": price,
        "cost": readings["cost"].values,
        "quantity": quantity,
        "price_category": pc.fill_null(tier, UNKNOWN),
        "inventory_status": pc.fill_null(status, UNKNOWN),
        "is_inferred": field_rules.no_rows(block.num_rows),
    }


# --- sales -------------------------------------------------------------------------------

AT_LEAST_ONE = "quantity must be a whole number of at least 1"
DISCOUNT_WITHIN_GROSS = "discount_amount must not be larger than quantity x unit_price"

_NO_DISCOUNT = pa.scalar(Decimal(0), SALES_FACT.column("discount_amount").arrow_type)
_INT64_DIGITS = 19


def transform_sales(block: pa.RecordBatch, rules: Rules = DEFAULT_RULES) -> Transformed:
    """Reads, calculates and judges a block of completed sales.

    Args:
        block: `source_row` and `SALES_COLUMNS`, as text or as a database has typed them.
        rules: what the business has set.

    Example:
        >>> record = {"transaction_id": "T1", "customer_id": "C1", "product_id": "P1",
        ...           "quantity": 3, "unit_price": "199.99", "transaction_date": "01/20/2024"}
        >>> block, _ = block_from_records([record], SALES_COLUMNS)
        >>> sale = transform_sales(block).accepted.to_pylist()[0]
        >>> sale["total_amount"], sale["commission"], sale["value_tier"]
        (Decimal('599.97'), Decimal('18.00'), 'High Value')
    """
    texts = ("transaction_id", "customer_id", "product_id", "sales_rep_id")
    values = {name: field_rules.clean_text(block.column(name)) for name in texts}
    readings = _sales_readings(block)
    missing = {name: pc.is_null(values[name]) for name in texts}
    missing |= {name: reading.missing for name, reading in readings.items()}
    checks = Checks(block, SALES_COLUMNS)
    checks.missing({name: missing[name] for name in SALES_REQUIRED})
    checks.bad_text()
    checks.columns_fit(SALES_FACT, values, readings)
    values |= {name: reading.values for name, reading in readings.items()}
    _calculate_sales(values, rules, checks)
    return checks.result(SALES_FACT, values, {})


def _sales_readings(block: pa.RecordBatch) -> dict[str, Reading]:
    dates = field_rules.read_timestamps(block.column("transaction_date"))
    unreadable = _unreadable(block.column("transaction_date"), dates)
    missing = pc.and_not(pc.is_null(dates), unreadable)
    nowhere = field_rules.no_rows(block.num_rows)
    return {
        "quantity": field_rules.read_integers(block.column("quantity")),
        "unit_price": _decimals(block, SALES_FACT.column("unit_price")),
        "discount_amount": _decimals(block, SALES_FACT.column("discount_amount")),
        "transaction_date": Reading(dates, missing, unreadable, nowhere),
    }


def _calculate_sales(values: dict[str, pa.Array], rules: Rules, checks: Checks) -> None:
    """Adds the amounts to the values and rejects what contradicts itself or is too large."""
    quantity, price = values["quantity"], values["unit_price"]
    discount = pc.coalesce(values["discount_amount"], _NO_DISCOUNT)
    gross = pc.multiply(quantity.cast(pa.decimal128(_INT64_DIGITS)), price)
    negative = "{} must not be negative".format
    checks.add(pc.less(quantity, pa.scalar(1)), RULE, "quantity", AT_LEAST_ONE)
    checks.add(pc.less(price, pa.scalar(0)), RULE, "unit_price", negative("unit_price"))
    checks.add(
        pc.less(discount, pa.scalar(0)), RULE, "discount_amount", negative("discount_amount")
    )
    checks.add(pc.greater(discount, gross), RULE, "discount_amount", DISCOUNT_WITHIN_GROSS)
    values["discount_amount"] = discount
    total = pc.subtract(gross, discount)
    values["total_amount"] = _fitting(SALES_FACT.column("total_amount"), total, checks)
    commission = _times(values["total_amount"], rules.commission_rate)
    values["commission"] = _fitting(SALES_FACT.column("commission"), commission, checks)
    values["value_tier"] = _tier(values["total_amount"], VALUE_TIERS, LOWEST_VALUE_TIER)


# --- lists of dicts ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Source:
    """What the faces need to know of a source.

    Attributes:
        money: columns in which a float makes the record's money floats.
        enhanced: by column, the one that keeps the source's own value after transformation.
    """

    name: str
    columns: tuple[str, ...]
    transform: Callable[[pa.RecordBatch, Rules], Transformed]
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
    return tuple((sale[name] is not None, sale[name]) for name in SALES_RANK)


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

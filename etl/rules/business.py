"""The business rules: from a source's columns of text to the columns of its table.

A block goes in, two come out: the records that keep the rules, typed and cleaned, and the
others, each with the first reason for which it was rejected. What needs other records (who bought
first, what a product costs now) is left to SQL when loading.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from etl.errors import TransformationError
from etl.rejects import OUT_OF_RANGE, RULE
from etl.rules import columns as field_rules
from etl.rules import values as value_rules
from etl.rules.blocks import LoadBlock
from etl.rules.checks import Checks, range_words
from etl.rules.columns import Reading
from etl.schema.arrow import arrow_type
from etl.schema.source_columns import CUSTOMER_COLUMNS, PRODUCT_COLUMNS, SALES_COLUMNS
from etl.schema.tables import CUSTOMER_DIM, PRODUCT_DIM, SALES_FACT, Column

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


def transform_customers(block: pa.RecordBatch, rules: Rules = DEFAULT_RULES) -> LoadBlock:
    """Cleans and judges a block of customers.

    Args:
        block: `source_row` and `CUSTOMER_COLUMNS`.
        rules: what the business has set.

    Example:
        >>> from etl.rules.records import block_from_records
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
    as_given = field_rules.by_distinct(source, value_rules.name_of, pa.string())
    return pc.case_when(cases, INCOMPLETE_PROFILE, PREMIUM_PLUS, STANDARD_PLUS, as_given)


def _comparable(text: str) -> str:
    return value_rules.collapsed(text).lower()


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
    own_name = value_rules.title_cased(value_rules.collapsed(text))
    return _CATEGORIES.get(_comparable(text), own_name)


def transform_products(block: pa.RecordBatch, rules: Rules = DEFAULT_RULES) -> LoadBlock:
    """Cleans, classifies and judges a block of products.

    Args:
        block: `source_row` and `PRODUCT_COLUMNS`.
        rules: what the business has set.

    Example:
        >>> from etl.rules.records import block_from_records
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

_INT64_DIGITS = 19


def transform_sales(block: pa.RecordBatch, rules: Rules = DEFAULT_RULES) -> LoadBlock:
    """Reads, calculates and judges a block of completed sales.

    Args:
        block: `source_row` and `SALES_COLUMNS`, as text or as a database has typed them.
        rules: what the business has set.

    Example:
        >>> from etl.rules.records import block_from_records
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
    no_discount = pa.scalar(Decimal(0), arrow_type(SALES_FACT.column("discount_amount")))
    discount = pc.coalesce(values["discount_amount"], no_discount)
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

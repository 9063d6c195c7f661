"""What the business has set: bounds, names and rates, and how the rules of the sources use them.

The rules themselves stand in `customers`, `products` and `sales`. Each takes a block and returns
the records that keep the rules, typed and cleaned, and the others, each with the first reason for
which it was rejected. What needs other records (who bought first, what a product costs now) is
left to SQL when loading.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from etl.errors import TransformationError
from etl.rejects import OUT_OF_RANGE, UNREADABLE
from etl.rules import columns as field_rules
from etl.rules import values as value_rules
from etl.rules.checks import Checks, range_words
from etl.rules.columns import Reading
from etl.rules.dates import AS_FOUND, DateReading
from etl.rules.texts import NULL_WORDS, Prepared, TextOptions, in_e_notation, prepared
from etl.schema.table import Column

# --- the numbers and names of the business -----------------------------------------------

# Lowest value of each class, highest class first; what is below all of them is the last name.
PRICE_CATEGORIES = ((Decimal(200), "Premium"), (Decimal(50), "Mid-Range"))
LOWEST_PRICE_CATEGORY = "Budget"
INVENTORY_STATUSES = ((101, "Well Stocked"), (50, "Moderate Stock"), (10, "Low Stock"))
LOWEST_INVENTORY_STATUS = "Critical Stock"
VALUE_TIERS = ((Decimal(500), "High Value"), (Decimal(100), "Medium Value"))
LOWEST_VALUE_TIER = "Low Value"
RETURN_TIER = "Return"
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
        loads_returns: whether sales of a negative quantity are loaded, or else rejected.
        dates: how dates are read.
        null_words: texts that stand for a missing value.
        decimal: the decimal mark.
        whole_ids: whether ids such as `1001.0` are read as whole numbers.

    Raises:
        TransformationError: a ratio or rate is no number of at most 19 digits.
    """

    default_area_code: str | None = None
    default_cost_ratio: Decimal | None = None
    commission_rate: Decimal = COMMISSION_RATE
    loads_returns: bool = False
    dates: DateReading = AS_FOUND
    null_words: tuple[str, ...] = NULL_WORDS
    decimal: str = "."
    whole_ids: bool = False

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


# --- texts ---

# By source, what its columns are to `texts.prepared`.
CUSTOMER_TEXTS = TextOptions(keys=("customer_id",), names=("first_name", "last_name"))
PRODUCT_TEXTS = TextOptions(
    keys=("product_id",), numbers=("price", "cost", "quantity"), nan_is_wrong=True
)
SALES_TEXTS = TextOptions(
    keys=("transaction_id", "customer_id", "product_id"),
    numbers=("quantity", "unit_price", "discount_amount"),
)
E_NOTATION = (
    "{} is a number in E-notation: a spreadsheet has rounded this id; export the column as text"
)


def prepared_texts(block: pa.RecordBatch, texts: TextOptions, rules: Rules) -> Prepared:
    """Return the block with its texts as the rules expect them."""
    options = replace(
        texts, null_words=rules.null_words, decimal=rules.decimal, whole_ids=rules.whole_ids
    )
    return prepared(block, options)


def refuse_e_notation(checks: Checks, block: pa.RecordBatch, keys: Iterable[str]) -> None:
    """Reject the records of which a spreadsheet has rounded a key."""
    for key in keys:
        column = block.column(key)
        if pa.types.is_string(column.type):
            rows = in_e_notation(field_rules.clean_text(column))
            checks.add(rows, UNREADABLE, key, E_NOTATION.format(key))


# --- values ------------------------------------------------------------------------------


def tier_of(values: pa.Array, bounds: Iterable[tuple[object, str]], lowest: str) -> pa.Array:
    """Return the name of the first class whose lowest value is reached; null for no value."""
    names: Any = lowest
    for bound, name in reversed(tuple(bounds)):
        names = pc.if_else(pc.greater_equal(values, pa.scalar(bound)), name, names)
    return names


def times(amounts: pa.Array, rate: Decimal) -> pa.Array:
    """Return the exact products of amounts and a rate."""
    scale = len(format(rate, "f").partition(".")[2])
    return pc.multiply(amounts, pa.scalar(rate, pa.decimal128(_RATE_DIGITS, scale)))


def read_amounts(block: pa.RecordBatch, column: Column) -> Reading:
    """Read the amounts of a column of the block that has the name of the table's."""
    return field_rules.read_decimals(block.column(column.name), column.precision, column.scale)


def unreadable(column: pa.Array, values: pa.Array) -> pa.Array:
    """Return where a column holds something, but nothing could be read."""
    if not values.null_count:
        return field_rules.no_rows(len(values))
    return pc.and_not(pc.is_null(values), field_rules.is_missing(column))


def comparable(text: str) -> str:
    """Return a name as it is compared: single spaces, lower case."""
    return value_rules.collapsed(text).lower()


def fitted(column: Column, computed: pa.Array, checks: Checks) -> pa.Array:
    """Return computed amounts in their column's type; reject those that are too large for it."""
    values, too_large = field_rules.fit_decimals(computed, column.precision, column.scale)
    checks.add(too_large, OUT_OF_RANGE, column.name, range_words(column), computed=computed)
    return values

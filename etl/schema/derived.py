"""From which columns of its source each column of a table is made; the others bear the same name.

What follows from several records, such as a customer's earliest sale, names the columns by which
these are found.
"""

from collections.abc import Mapping

from etl.schema.source_columns import SOURCE_COLUMNS
from etl.schema.table import Role, Table

Inputs = tuple[str, ...]

_DERIVED: Mapping[str, Mapping[str, Inputs]] = {
    "customer_dim": {
        "name": ("first_name", "last_name"),
        "email_valid": ("email",),
        "phone_valid": ("phone",),
        "segment": ("segment", "first_name", "last_name", "email", "phone", "address",
                    "registration_date"),
        "source_segment": ("segment",),
    },
    "product_dim": {
        "source_category": ("category",),
        "price_category": ("price",),
        "inventory_status": ("quantity",),
    },
    "sales_fact": {
        "discount_amount": ("discount_amount",),
        "total_amount": ("quantity", "unit_price", "discount_amount"),
        "profit_amount": ("quantity", "unit_price", "discount_amount", "product_id"),
        "profit_margin": ("quantity", "unit_price", "discount_amount", "product_id"),
        "commission": ("quantity", "unit_price", "discount_amount"),
        "value_tier": ("quantity", "unit_price", "discount_amount"),
        "customer_status": ("customer_id", "transaction_date", "transaction_id", "quantity"),
    },
}  # fmt: skip


def inputs_of(table: Table) -> dict[str, Inputs]:
    """Return for each column of a table the columns of its source that it is made from.

    Args:
        table: one that a source feeds. Columns that the load itself writes have no inputs.

    Example:
        >>> from etl.schema.star import CUSTOMER_DIM
        >>> inputs_of(CUSTOMER_DIM)["name"], inputs_of(CUSTOMER_DIM)["phone"]
        (('first_name', 'last_name'), ('phone',))
    """
    derived = _DERIVED.get(table.name, {})
    known = SOURCE_COLUMNS.get(table.source, table.names)
    columns = table.with_role(Role.SOURCE, Role.RESTATED)
    return {
        column.name: derived.get(column.name, (column.name,))
        for column in columns
        if column.name in derived or column.name in known
    }

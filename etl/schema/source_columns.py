"""The three sources: the columns in which their records come."""

CUSTOMER_COLUMNS = (
    "customer_id", "first_name", "last_name", "email",
    "phone", "address", "segment", "registration_date",
)  # fmt: skip
PRODUCT_COLUMNS = (
    "product_id", "name", "category", "brand", "model",
    "price", "cost", "quantity", "warehouse",
)  # fmt: skip
SALES_COLUMNS = (
    "transaction_id", "customer_id", "product_id", "quantity", "unit_price",
    "discount_amount", "transaction_date", "sales_rep_id",
)  # fmt: skip

# The status of the sales that are loaded.
COMPLETED = "completed"

# Columns of a source whose values stand in the warehouse under another name; the column of their
# own name holds what the rules made of them.
KEPT_AS: dict[str, dict[str, str]] = {
    "customers": {"segment": "source_segment"},
    "products": {"category": "source_category"},
    "sales": {},
}

SOURCE_COLUMNS = {
    "customers": CUSTOMER_COLUMNS,
    "products": PRODUCT_COLUMNS,
    "sales": SALES_COLUMNS,
}

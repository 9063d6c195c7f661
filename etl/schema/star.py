"""The tables that the built-in loads fill: customers, products, sales, and the days."""

from etl.schema.columns import KEY_WIDTH, flag, key, money, number, text, time
from etl.schema.table import Column, Default, Index, Kind, Role, Table

_WRITTEN = (
    time(
        "created_date",
        "when the row was first loaded, UTC",
        required=True,
        role=Role.CREATED,
        default=Default.NOW,
    ),
    time(
        "updated_date",
        "when a value of it last changed, UTC",
        required=True,
        role=Role.UPDATED,
        default=Default.NOW,
    ),
)
_INFERRED = flag(
    "is_inferred",
    "true while only sales have named it and its own record has not come",
    required=True,
    default=Default.FALSE,
)

CUSTOMER_DIM = Table(
    "customer_dim", "one row per customer", ("customer_id",), source="customers",
    placeholder="is_inferred",
    columns=(
        key("customer_id", "key, as in the source, trimmed"),
        text("name", "first and last name with one space between", width=201),
        text("first_name", "in title case", width=100),
        text("last_name", "in title case", width=100),
        # 64 + 1 + 255, the longest address of RFC 5321
        text("email", "in lower case, kept also when it is not valid", width=320),
        flag("email_valid", "whether the address has the form of one; false when missing"),
        text("phone", "(XXX) XXX-XXXX where the digits allow it, else as given", width=50),
        flag("phone_valid", "whether it is a full number of ten digits; false when missing"),
        text("address", "trimmed", width=500),
        text("segment", "enhanced segment", width=100),
        text("source_segment", "segment as given, trimmed", width=100),
        Column("registration_date", "empty when missing or unreadable", Kind.DATE),
        _INFERRED,
        *_WRITTEN,
    ),
)  # fmt: skip

PRODUCT_DIM = Table(
    "product_dim", "one row per product", ("product_id",), source="products",
    placeholder="is_inferred",
    columns=(
        key("product_id", "key, as in the source, trimmed"),
        text("name", "trimmed", width=400),
        text("category", "standard category, or the source's own in title case", width=100),
        text("source_category", "category as given, trimmed", width=100),
        text("brand", "trimmed", width=200),
        text("model", "trimmed", width=200),
        money("price", "list price", precision=12),
        money("cost", "unit cost; empty while unknown", precision=12),
        text("price_category", "Premium, Mid-Range, Budget or Unknown", width=20),
        Column("quantity", "units in stock", Kind.INTEGER),
        text("inventory_status", "Well Stocked, Moderate, Low, Critical Stock, Unknown", width=20),
        text("warehouse", "trimmed", width=100),
        _INFERRED,
        *_WRITTEN,
    ),
)  # fmt: skip

SALES_FACT = Table(
    "sales_fact", "one row per completed sale", ("transaction_id",), source="sales",
    window="transaction_date",
    rank=("transaction_date", "customer_id", "product_id", "quantity", "unit_price",
          "discount_amount", "sales_rep_id"),
    columns=(
        key("transaction_id", "key, as in the source, trimmed"),
        key("customer_id", "who bought", references=CUSTOMER_DIM),
        key("product_id", "what was sold", references=PRODUCT_DIM),
        Column("quantity", "units sold; negative: units returned", Kind.INTEGER, required=True),
        money("unit_price", "price of one unit", precision=12, required=True),
        money("discount_amount", "off the whole line, 0 when none; of a return at most 0",
               required=True),
        money("total_amount", "quantity x unit_price - discount_amount", required=True),
        # 2,147,483,647 units at a cost of 10 digits before the point need 20
        money("profit_amount", "total_amount - quantity x cost; empty while the cost is unknown",
               precision=22, role=Role.RESTATED),
        Column("profit_margin",
               "profit_amount / total_amount as a fraction; empty at total 0, while the cost is "
               "unknown, and beyond +/-99999.9999",
               Kind.DECIMAL, precision=9, scale=4, role=Role.RESTATED),
        money("commission", "share of the sales representative", required=True),
        text("value_tier", "High Value, Medium Value, Low Value; Return for units returned",
              width=20, required=True),
        text("customer_status",
              "First-time for a customer's earliest sale, else Repeat; Repeat for returns",
              width=20, required=True, role=Role.RESTATED),
        time("transaction_date", "wall clock of the sale, to the microsecond", required=True),
        text("sales_rep_id", "who sold", width=KEY_WIDTH),
        *_WRITTEN,
    ),
    indexes=(
        Index(("customer_id", "transaction_date"),
              "a customer's earliest sale; whether a customer is still named by a sale",
              included=("customer_status",)),
        Index(("product_id",),
              "the sales of a product whose cost changed; whether a product is still named"),
        Index(("transaction_date",), "the sales of a window that are no longer in the source"),
    ),
)  # fmt: skip

DATE_DIM = Table(
    "date_dim", "one row per day, whole years from the first sale to the newest", ("day",),
    columns=(
        Column("day", "key; the date of a sale's transaction_date", Kind.DATE, required=True),
        number("date_key", "the day as a number, 20240120"),
        number("year", "calendar year"),
        number("quarter", "1 to 4"),
        number("month", "1 to 12"),
        text("month_name", "January to December", width=9, required=True),
        text("year_month", "2024-01; sorts by time", width=7, required=True),
        number("week", "ISO week, 1 to 53"),
        number("week_year", "the year that the ISO week belongs to"),
        number("day_of_month", "1 to 31"),
        number("day_of_year", "1 to 366"),
        number("day_of_week", "1 for Monday to 7 for Sunday"),
        text("day_name", "Monday to Sunday", width=9, required=True),
        flag("is_weekend", "Saturday or Sunday", required=True),
        flag("is_month_end", "last day of its month", required=True),
    ),
)  # fmt: skip

# What a sale is to its customer.
FIRST_TIME, REPEAT = "First-time", "Repeat"

# In the order in which references allow them to be loaded.
STAR_TABLES = (CUSTOMER_DIM, PRODUCT_DIM, SALES_FACT)

"""The yardstick: one hand-written DuckDB `MERGE ... SELECT` a table, straight from the files.

What a good engineer would write who wants speed and nothing else: the same rules as SQL
expressions, no keys, no staging, no counts, no rejected file, no history. Rules of which SQL can
say no more than the common case are kept to that case: title case knows letters and apostrophes;
white space is trimmed where the generated data has some; phone numbers keep to North America.

    python benchmarks/hand_written.py WAREHOUSE SOURCES MODE

MODE is `everything`, `refresh` (and remove what was not read), a day such as 2024-01-31, or
`before`: all days but that one.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb

# Rules that stand in several places.
_MACROS = r"""
CREATE OR REPLACE TEMPORARY MACRO clean(t) AS
    nullif(trim(t, ' ' || chr(9) || chr(10) || chr(13) || chr(160)), '');
CREATE OR REPLACE TEMPORARY MACRO single_spaced(t) AS
    nullif(trim(regexp_replace(t, '[\s\x{00a0}]+', ' ', 'g')), '');
CREATE OR REPLACE TEMPORARY MACRO title(t) AS nullif(array_to_string(list_transform(
    regexp_extract_all(lower(t), '\p{L}+(?:[''\x{2019}]\p{L}(?:[^\p{L}]|$))?|[^\p{L}]+'),
    lambda w: upper(w[1]) || w[2:]), ''), '');
CREATE OR REPLACE TEMPORARY MACRO moment(t) AS coalesce(try_cast(t AS TIMESTAMP),
    try_strptime(t, ['%m/%d/%Y %H:%M', '%d %b %Y %H:%M', '%m/%d/%Y', '%d %b %Y',
        '%b %d, %Y']));
CREATE OR REPLACE TEMPORARY MACRO whole(t) AS CASE
    WHEN try_cast(t AS DECIMAL(18, 6)) = trunc(try_cast(t AS DECIMAL(18, 6)))
    THEN try_cast(t AS INTEGER) END;
CREATE OR REPLACE TEMPORARY MACRO money(t) AS try_cast(t AS DECIMAL(12, 2));
"""

_CSV = "header = true, auto_detect = false, delim = ',', quote = '\"', escape = '\"'"

# The names are few and many customers have each, so that they are worked out once each.
_CUSTOMERS = """
MERGE INTO customer_dim AS target USING (
    WITH text AS MATERIALIZED (
        SELECT row_number() OVER () AS source_row, clean(customer_id) AS customer_id,
            first_name, last_name, lower(clean(email)) AS email, clean(phone) AS phone,
            regexp_replace(phone, '[^0-9]', '', 'g') AS digits, clean(address) AS address,
            clean(segment) AS source_segment,
            CAST(moment(clean(registration_date)) AS DATE) AS registered
        FROM read_csv('{sources}/customers.csv', {csv}, ignore_errors = true, columns = {{
            'customer_id': 'VARCHAR', 'first_name': 'VARCHAR', 'last_name': 'VARCHAR',
            'email': 'VARCHAR', 'phone': 'VARCHAR', 'address': 'VARCHAR', 'segment': 'VARCHAR',
            'registration_date': 'VARCHAR'}})
        WHERE clean(customer_id) IS NOT NULL
    ), names AS (
        SELECT given, title(single_spaced(given)) AS name
        FROM (SELECT first_name AS given FROM text UNION SELECT last_name FROM text)
    ), read AS (
        SELECT source_row, customer_id, f.name AS first_name, l.name AS last_name,
            coalesce(f.name || ' ' || l.name, f.name, l.name) AS name, email,
            coalesce(regexp_full_match(email, '{email}'), false) AS email_valid,
            CASE WHEN length(digits) = 11 AND digits[1] = '1' THEN digits[2:] ELSE digits END AS d,
            phone AS given_phone, address, source_segment, registered
        FROM text
        LEFT JOIN names AS f ON f.given = first_name
        LEFT JOIN names AS l ON l.given = last_name
    ), phoned AS (
        SELECT *, CASE length(d)
                WHEN 10 THEN '(' || d[1:3] || ') ' || d[4:6] || '-' || d[7:10]
                WHEN 7 THEN d[1:3] || '-' || d[4:7]
                ELSE given_phone END AS phone,
            coalesce(length(d) = 10, false) AS phone_valid
        FROM read
    )
    SELECT customer_id, name, first_name, last_name, email, email_valid, phone, phone_valid,
        address, CASE
            WHEN first_name IS NULL OR last_name IS NULL OR email IS NULL
                OR source_segment IS NULL THEN 'Incomplete Profile'
            WHEN lower(source_segment) = 'premium' AND phone IS NOT NULL THEN 'Premium Plus'
            WHEN lower(source_segment) = 'standard' AND email_valid AND phone IS NOT NULL
                AND address IS NOT NULL AND registered IS NOT NULL THEN 'Standard Plus'
            ELSE title(source_segment) END AS segment,
        source_segment, registered AS registration_date, false AS is_inferred
    FROM phoned
    WHERE length(customer_id) <= 50 AND coalesce(length(first_name), 0) <= 100
        AND coalesce(length(last_name), 0) <= 100 AND coalesce(length(email), 0) <= 320
        AND coalesce(length(phone), 0) <= 50 AND coalesce(length(address), 0) <= 500
        AND coalesce(length(source_segment), 0) <= 100
    QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY source_row DESC) = 1
) AS source ON target.customer_id = source.customer_id
"""

_PRODUCTS = """
MERGE INTO product_dim AS target USING (
    WITH items AS (
        SELECT unnest(products) AS item FROM read_json('{sources}/products.json',
            columns = {{'products': 'JSON[]'}}, maximum_object_size = {json_bytes})
    ), text AS (
        SELECT row_number() OVER () AS source_row, json_transform(item, '{{
            "product_id": "VARCHAR", "name": "VARCHAR", "category": "VARCHAR",
            "specifications": {{"brand": "VARCHAR", "model": "VARCHAR", "price": "VARCHAR",
                "cost": "VARCHAR"}},
            "inventory": {{"quantity": "VARCHAR", "warehouse": "VARCHAR"}}}}') AS p
        FROM items
    ), read AS (
        SELECT source_row, clean(p.product_id) AS product_id, clean(p.name) AS name,
            clean(p.category) AS source_category, clean(p.specifications.brand) AS brand,
            clean(p.specifications.model) AS model,
            clean(p.specifications.price) AS given_price, money(given_price) AS price,
            clean(p.specifications.cost) AS given_cost, money(given_cost) AS cost,
            clean(p.inventory.quantity) AS given_quantity, whole(given_quantity) AS quantity,
            clean(p.inventory.warehouse) AS warehouse
        FROM text
    ), categories AS (
        SELECT source_category, CASE
            WHEN lower(single_spaced(source_category)) IN ('electronics', 'tech', 'technology')
                THEN 'Electronics'
            WHEN lower(single_spaced(source_category)) IN ('clothing', 'apparel', 'fashion')
                THEN 'Apparel'
            WHEN lower(single_spaced(source_category)) IN ('books', 'literature', 'reading')
                THEN 'Books'
            ELSE title(single_spaced(source_category)) END AS category
        FROM (SELECT DISTINCT source_category FROM read)
    )
    SELECT product_id, name, category, source_category, brand, model, price, cost,
        CASE WHEN price >= 200 THEN 'Premium' WHEN price >= 50 THEN 'Mid-Range'
            WHEN price < 50 THEN 'Budget' ELSE 'Unknown' END AS price_category,
        quantity, CASE WHEN quantity > 100 THEN 'Well Stocked'
            WHEN quantity >= 50 THEN 'Moderate Stock' WHEN quantity >= 10 THEN 'Low Stock'
            WHEN quantity < 10 THEN 'Critical Stock' ELSE 'Unknown' END AS inventory_status,
        warehouse, false AS is_inferred
    FROM read LEFT JOIN categories USING (source_category)
    WHERE product_id IS NOT NULL AND length(product_id) <= 50
        AND coalesce(length(name), 0) <= 400 AND coalesce(length(source_category), 0) <= 100
        AND coalesce(length(brand), 0) <= 200 AND coalesce(length(model), 0) <= 200
        AND coalesce(length(warehouse), 0) <= 100
        AND (given_price IS NULL OR price >= 0) AND (given_cost IS NULL OR cost >= 0)
        AND (given_quantity IS NULL OR quantity >= 0)
    QUALIFY row_number() OVER (PARTITION BY product_id ORDER BY source_row DESC) = 1
) AS source ON target.product_id = source.product_id
"""

_SALES = """
CREATE OR REPLACE TEMPORARY TABLE new_sale AS
WITH trimmed AS MATERIALIZED (
    SELECT clean(transaction_id) AS transaction_id, clean(customer_id) AS customer_id,
        clean(product_id) AS product_id, clean(quantity) AS quantity,
        clean(unit_price) AS unit_price, clean(discount_amount) AS discount_amount,
        clean(transaction_date) AS transaction_date, clean(sales_rep_id) AS sales_rep_id
    FROM read_csv('{sources}/sales_transactions.csv', {csv}, columns = {{
        'transaction_id': 'VARCHAR', 'customer_id': 'VARCHAR', 'product_id': 'VARCHAR',
        'quantity': 'VARCHAR', 'unit_price': 'VARCHAR', 'discount_amount': 'VARCHAR',
        'transaction_date': 'VARCHAR', 'sales_rep_id': 'VARCHAR', 'status': 'VARCHAR'}})
    WHERE clean(status) = 'completed'
), text AS MATERIALIZED (
    SELECT transaction_id, customer_id, product_id, whole(quantity) AS quantity,
        money(unit_price) AS unit_price, sales_rep_id, moment(transaction_date) AS transaction_date,
        CASE WHEN discount_amount IS NULL THEN 0 ELSE try_cast(discount_amount AS DECIMAL(18, 2))
            END AS discount_amount
    FROM trimmed
)
SELECT transaction_id, customer_id, product_id, quantity, unit_price, discount_amount,
    CAST(quantity * unit_price - discount_amount AS DECIMAL(18, 2)) AS total_amount,
    CAST(round(quantity * unit_price * 0.03 - discount_amount * 0.03, 2) AS DECIMAL(18, 2))
        AS commission,
    CASE WHEN total_amount >= 500 THEN 'High Value' WHEN total_amount >= 100 THEN 'Medium Value'
        ELSE 'Low Value' END AS value_tier,
    transaction_date, sales_rep_id
FROM text
WHERE quantity >= 1 AND unit_price >= 0 AND discount_amount >= 0
    AND discount_amount <= quantity * unit_price
    AND transaction_id IS NOT NULL AND customer_id IS NOT NULL AND product_id IS NOT NULL
    AND length(transaction_id) <= 50 AND length(customer_id) <= 50 AND length(product_id) <= 50
    AND coalesce(length(sales_rep_id), 0) <= 50
    AND transaction_date BETWEEN '{start}' AND '{end}';
DELETE FROM new_sale WHERE rowid IN (
    SELECT rowid FROM new_sale
    WHERE transaction_id IN (
        SELECT transaction_id FROM new_sale GROUP BY transaction_id HAVING count(*) > 1)
    QUALIFY row_number() OVER (PARTITION BY transaction_id ORDER BY transaction_date DESC,
        customer_id DESC, product_id DESC, quantity DESC, unit_price DESC, discount_amount DESC,
        sales_rep_id DESC NULLS LAST, rowid DESC) > 1);
"""

# What depends on other records: the customer's earliest sale, the product's present cost.
_SALES_MERGE = """
MERGE INTO sales_fact AS target USING (
    WITH first AS (
        SELECT customer_id, arg_min(transaction_id, (transaction_date, transaction_id)) AS first_id
        FROM {known} GROUP BY customer_id
    ), priced AS (
        SELECT s.*, CAST(s.total_amount - s.quantity * p.cost AS DECIMAL(22, 2)) AS profit_amount,
            CASE WHEN f.first_id = s.transaction_id THEN 'First-time' ELSE 'Repeat' END
                AS customer_status
        FROM new_sale AS s
        LEFT JOIN product_dim AS p USING (product_id) LEFT JOIN first AS f USING (customer_id)
    )
    SELECT *, CAST(sign(profit_amount)
        * ((20000 * CAST(abs(profit_amount) * 100 AS HUGEINT) + CAST(total_amount * 100 AS HUGEINT))
            // (2 * nullif(CAST(total_amount * 100 AS HUGEINT), 0))) * 0.0001 AS DECIMAL(9, 4))
        AS profit_margin
    FROM priced
) AS source ON target.transaction_id = source.transaction_id
"""
# Of a day the sales that are known already count as well, and theirs may no longer be the first.
_KNOWN = """(SELECT customer_id, transaction_id, transaction_date FROM new_sale UNION ALL
    SELECT customer_id, transaction_id, transaction_date FROM sales_fact
    WHERE customer_id IN (SELECT customer_id FROM new_sale)
        AND transaction_id NOT IN (SELECT transaction_id FROM new_sale))"""
_RESTATE = """
UPDATE sales_fact SET customer_status = 'Repeat', updated_date = now()
WHERE customer_status = 'First-time'
    AND transaction_id NOT IN (SELECT transaction_id FROM new_sale)
    AND (customer_id, transaction_id) NOT IN (
        SELECT customer_id, arg_min(transaction_id, (transaction_date, transaction_id))
        FROM sales_fact WHERE customer_id IN (SELECT customer_id FROM new_sale)
        GROUP BY customer_id)
    AND customer_id IN (SELECT customer_id FROM new_sale);
"""

# Rows of customers and products that only sales name.
_INFER = """
INSERT INTO {table} ({key}, is_inferred, created_date, updated_date)
SELECT DISTINCT {key}, true, now(), now() FROM new_sale
WHERE {key} NOT IN (SELECT {key} FROM {table});
"""

_EMAIL = (
    r"[a-z0-9!#$%&''*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&''*+/=?^_`{|}~-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}"
)

_TABLES = {
    "customer_dim": {
        "customer_id": "VARCHAR", "name": "VARCHAR", "first_name": "VARCHAR",
        "last_name": "VARCHAR", "email": "VARCHAR", "email_valid": "BOOLEAN", "phone": "VARCHAR",
        "phone_valid": "BOOLEAN", "address": "VARCHAR", "segment": "VARCHAR",
        "source_segment": "VARCHAR", "registration_date": "DATE", "is_inferred": "BOOLEAN",
    },
    "product_dim": {
        "product_id": "VARCHAR", "name": "VARCHAR", "category": "VARCHAR",
        "source_category": "VARCHAR", "brand": "VARCHAR", "model": "VARCHAR",
        "price": "DECIMAL(12, 2)", "cost": "DECIMAL(12, 2)", "price_category": "VARCHAR",
        "quantity": "INTEGER", "inventory_status": "VARCHAR", "warehouse": "VARCHAR",
        "is_inferred": "BOOLEAN",
    },
    "sales_fact": {
        "transaction_id": "VARCHAR", "customer_id": "VARCHAR", "product_id": "VARCHAR",
        "quantity": "INTEGER", "unit_price": "DECIMAL(12, 2)",
        "discount_amount": "DECIMAL(18, 2)", "total_amount": "DECIMAL(18, 2)",
        "profit_amount": "DECIMAL(22, 2)", "profit_margin": "DECIMAL(9, 4)",
        "commission": "DECIMAL(18, 2)", "value_tier": "VARCHAR", "customer_status": "VARCHAR",
        "transaction_date": "TIMESTAMP", "sales_rep_id": "VARCHAR",
    },
}  # fmt: skip


def statements(sources: Path, mode: str) -> Iterator[str]:
    """All statements of one run, in their order; what lies between is one transaction."""
    values = {
        "sources": sources, "csv": _CSV, "email": _EMAIL,
        "json_bytes": (sources / "products.json").stat().st_size + 1,
        "start": "0001-01-01", "end": "9999-12-31 23:59:59.999999",
    }  # fmt: skip
    whole = mode in ("everything", "refresh", "before")
    if mode == "before":
        values |= {"end": "2024-01-30 23:59:59.999999"}
    elif not whole:
        values |= {"start": mode, "end": f"{mode} 23:59:59.999999"}
    yield _MACROS
    for table, columns in _TABLES.items():
        lines = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        yield (
            f"CREATE TABLE IF NOT EXISTS {table} ({lines}, created_date TIMESTAMP, "
            "updated_date TIMESTAMP);"
        )
    yield "BEGIN;"
    yield _CUSTOMERS.format(**values) + _actions("customer_dim", mode)
    yield _PRODUCTS.format(**values) + _actions("product_dim", mode)
    yield _SALES.format(**values)
    yield _SALES_MERGE.format(known="new_sale" if whole else _KNOWN) + _actions("sales_fact", mode)
    if not whole:
        yield _RESTATE
    for table in ("customer_dim", "product_dim"):
        yield _INFER.format(table=table, key=next(iter(_TABLES[table])))
    yield "COMMIT;"


def _actions(table: str, mode: str) -> str:
    key, *others = _TABLES[table]
    names = [key, *others]
    differs = " OR ".join(f"target.{name} IS DISTINCT FROM source.{name}" for name in others)
    sets = ", ".join(f"{name} = source.{name}" for name in others)
    removed = ""
    if mode == "refresh":
        kept = "" if table == "sales_fact" else " AND NOT target.is_inferred"
        removed = f"WHEN NOT MATCHED BY SOURCE{kept} THEN DELETE"
    values = ", ".join(f"source.{name}" for name in names)
    update = f"WHEN MATCHED AND ({differs}) THEN UPDATE SET {sets}, updated_date = now()"
    insert = f"INSERT ({', '.join(names)}, created_date, updated_date)"
    return f"{update} WHEN NOT MATCHED THEN {insert} VALUES ({values}, now(), now()) {removed};"


def load(warehouse: str, sources: Path, mode: str) -> None:
    """Runs it once."""
    with duckdb.connect(warehouse) as connection:
        for statement in statements(sources, mode):
            connection.execute(statement)


if __name__ == "__main__":
    load(sys.argv[1], Path(sys.argv[2]), sys.argv[3])

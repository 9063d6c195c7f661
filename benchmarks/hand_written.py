"""The yardstick: what a DuckDB expert would write who wants speed and nothing else.

The same rules and results as SQL expressions over the files, no keys, no counts, no rejected file,
no history. What makes it fast: temporary tables in the order of the file, whose rowid stands for
the row; a flag where a filter would be pushed down and evaluated again; names titled once per
distinct value; a cheap trim before the slow one; INSERT into an empty table; margins in BIGINT.
Rules of which SQL can say no more than the common case are kept to that case: title case knows
letters and apostrophes, phone numbers keep to North America, margins to what BIGINT holds.

    python benchmarks/hand_written.py WAREHOUSE SOURCES MODE

MODE is `everything`, `refresh` (and remove what was not read), a day such as 2024-01-31, or
`before`: all days but that one.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb

# Rules that stand in several places. `trimmed` takes a text without blanks around it.
_MACROS = r"""
CREATE OR REPLACE TEMPORARY MACRO slow_clean(t) AS
    nullif(trim(t, ' ' || chr(9) || chr(10) || chr(13) || chr(160)), '');
CREATE OR REPLACE TEMPORARY MACRO trimmed(t) AS CASE
    WHEN contains(t, chr(9)) OR contains(t, chr(10)) OR contains(t, chr(13))
        OR contains(t, chr(160)) THEN slow_clean(t)
    ELSE nullif(t, '') END;
CREATE OR REPLACE TEMPORARY MACRO single_spaced(t) AS
    nullif(trim(regexp_replace(t, '[\s\x{00a0}]+', ' ', 'g')), '');
CREATE OR REPLACE TEMPORARY MACRO slow_title(t) AS nullif(array_to_string(list_transform(
    regexp_extract_all(lower(t), '\p{L}+(?:[''\x{2019}]\p{L}(?:[^\p{L}]|$))?|[^\p{L}]+'),
    lambda w: upper(left(w, 1)) || substr(w, 2)), ''), '');
CREATE OR REPLACE TEMPORARY MACRO local_moment(t) AS CASE substr(t, 3, 1)
    WHEN '/' THEN try_strptime(t, ['%m/%d/%Y', '%m/%d/%Y %H:%M'])
    WHEN ' ' THEN try_strptime(t, ['%d %b %Y', '%d %b %Y %H:%M'])
    ELSE coalesce(try_cast(t AS TIMESTAMP), try_strptime(t, ['%b %d, %Y',
        '%m/%d/%Y %H:%M', '%d %b %Y %H:%M', '%m/%d/%Y', '%d %b %Y'])) END;
CREATE OR REPLACE TEMPORARY MACRO moment(t) AS CASE
    WHEN substr(t, -3, 1) = ':' AND substr(t, -6, 1) IN ('+', '-')
        THEN try_cast(left(t, -6) AS TIMESTAMP) - CAST(substr(t, -6, 1) || '1' AS INTEGER)
            * CAST(substr(t, -5) || ':00' AS INTERVAL)
    ELSE local_moment(t) END;
CREATE OR REPLACE TEMPORARY MACRO whole(t) AS CASE
    WHEN length(t) < 10 AND try_cast(t AS INTEGER) IS NOT NULL AND instr(t, '.') = 0
        THEN try_cast(t AS INTEGER)
    WHEN try_cast(t AS DECIMAL(18, 6)) = trunc(try_cast(t AS DECIMAL(18, 6)))
        THEN try_cast(t AS INTEGER) END;
CREATE OR REPLACE TEMPORARY MACRO money(t) AS try_cast(t AS DECIMAL(12, 2));
"""

_CSV = "header = true, auto_detect = false, delim = ',', quote = '\"', escape = '\"'"

# Of equal keys the last one stays; the others are found by their rowid.
_LOST = """
CREATE TEMPORARY TABLE lost_{name} AS SELECT rowid AS lost FROM new_{name}
    WHERE ok AND {key} IN (
        SELECT {key} FROM new_{name} WHERE ok GROUP BY {key} HAVING count(*) > 1)
    QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {order}rowid DESC) > 1;
"""
_KEPT = "ok AND {alias}rowid NOT IN (SELECT lost FROM lost_{name})"

_CUSTOMERS = """
CREATE TEMPORARY TABLE new_customer AS
WITH raw AS (
    SELECT trim(customer_id) AS customer_id, first_name, last_name, trim(email) AS email,
        trim(phone) AS phone, trim(address) AS address, trim(segment) AS segment,
        trim(registration_date) AS registration_date
    FROM read_csv('{sources}/customers.csv', {csv}, ignore_errors = true, columns = {{
        'customer_id': 'VARCHAR', 'first_name': 'VARCHAR', 'last_name': 'VARCHAR',
        'email': 'VARCHAR', 'phone': 'VARCHAR', 'address': 'VARCHAR', 'segment': 'VARCHAR',
        'registration_date': 'VARCHAR'}})
), text AS (
    SELECT trimmed(customer_id) AS customer_id, first_name, last_name,
        lower(trimmed(email)) AS email, trimmed(phone) AS given_phone,
        trimmed(address) AS address, CASE WHEN contains(phone, 'x')
            THEN regexp_extract(phone, '(?i)(?:ext\\.?|x) ?([0-9]+)$', 1) ELSE '' END AS extension,
        regexp_replace(CASE WHEN extension <> ''
            THEN regexp_replace(phone, '(?i)(?:ext\\.?|x) ?[0-9]+$', '') ELSE phone END,
            '[^0-9]+', '', 'g') AS digits,
        trimmed(segment) AS source_segment, trimmed(registration_date) AS registered
    FROM raw
), read AS (
    SELECT *, coalesce(regexp_full_match(email, '{email}'), false) AS email_valid,
        CASE WHEN strlen(digits) = 11 AND left(digits, 1) = '1' THEN substr(digits, 2)
            ELSE digits END AS d,
        CAST(moment(registered) AS DATE) AS registration_date
    FROM text
)
SELECT customer_id, first_name, last_name, email, email_valid, CASE strlen(d)
        WHEN 10 THEN '(' || left(d, 3) || ') ' || substr(d, 4, 3) || '-' || substr(d, 7)
            || CASE WHEN extension <> '' THEN ' ext ' || extension ELSE '' END
        WHEN 7 THEN left(d, 3) || '-' || substr(d, 4) ELSE given_phone END AS phone,
    coalesce(strlen(d) = 10, false) AS phone_valid, address, source_segment, registration_date,
    coalesce(strlen(customer_id) <= 50 AND strlen(coalesce(first_name, '')) <= 100
        AND strlen(coalesce(last_name, '')) <= 100 AND strlen(coalesce(email, '')) <= 320
        AND strlen(coalesce(given_phone, '')) <= 50 AND strlen(coalesce(address, '')) <= 500
        AND strlen(coalesce(source_segment, '')) <= 100, false) AS ok
FROM read;
CREATE TEMPORARY TABLE names AS
SELECT given, slow_title(single_spaced(given)) AS name, lower(given) AS low FROM (
    SELECT first_name AS given FROM new_customer UNION SELECT last_name FROM new_customer
    UNION SELECT source_segment FROM new_customer);
"""
_NAMED = """(
    SELECT customer_id, coalesce(f.name || ' ' || l.name, f.name, l.name) AS name,
        f.name AS first_name, l.name AS last_name, email, email_valid, phone, phone_valid,
        address, CASE
            WHEN f.name IS NULL OR l.name IS NULL OR email IS NULL OR source_segment IS NULL
                THEN 'Incomplete Profile'
            WHEN s.low = 'premium' AND phone IS NOT NULL THEN 'Premium Plus'
            WHEN s.low = 'standard' AND email_valid AND phone IS NOT NULL
                AND address IS NOT NULL AND registration_date IS NOT NULL THEN 'Standard Plus'
            ELSE s.name END AS segment,
        source_segment, registration_date, false AS is_inferred
    FROM new_customer AS c LEFT JOIN names AS f ON f.given = c.first_name
    LEFT JOIN names AS l ON l.given = c.last_name
    LEFT JOIN names AS s ON s.given = c.source_segment
    WHERE {kept})"""

_PRODUCTS = """
CREATE TEMPORARY TABLE new_product AS
WITH rows AS (
    SELECT unnest(products) AS item FROM read_json('{sources}/products.json',
        columns = {{'products': 'JSON[]'}}, maximum_object_size = {json_bytes})
), items AS (
    SELECT json_transform(item, '{{"product_id": "VARCHAR", "name": "VARCHAR",
        "category": "VARCHAR", "specifications": {{"brand": "VARCHAR", "model": "VARCHAR",
        "price": "VARCHAR", "cost": "VARCHAR"}},
        "inventory": {{"quantity": "VARCHAR", "warehouse": "VARCHAR"}}}}') AS p FROM rows
), read AS (
    SELECT slow_clean(p.product_id) AS product_id, slow_clean(p.name) AS name,
        slow_clean(p.category) AS source_category, slow_clean(p.specifications.brand) AS brand,
        slow_clean(p.specifications.model) AS model,
        slow_clean(p.specifications.price) AS given_price, money(given_price) AS price,
        slow_clean(p.specifications.cost) AS given_cost, money(given_cost) AS cost,
        slow_clean(p.inventory.quantity) AS given_quantity, whole(given_quantity) AS quantity,
        slow_clean(p.inventory.warehouse) AS warehouse,
        lower(single_spaced(source_category)) AS low
    FROM items
)
SELECT product_id, name, CASE
        WHEN low IN ('electronics', 'tech', 'technology') THEN 'Electronics'
        WHEN low IN ('clothing', 'apparel', 'fashion') THEN 'Apparel'
        WHEN low IN ('books', 'literature', 'reading') THEN 'Books'
        ELSE slow_title(single_spaced(source_category)) END AS category,
    source_category, brand, model, price, cost,
    CASE WHEN price >= 200 THEN 'Premium' WHEN price >= 50 THEN 'Mid-Range'
        WHEN price < 50 THEN 'Budget' ELSE 'Unknown' END AS price_category,
    quantity, CASE WHEN quantity > 100 THEN 'Well Stocked' WHEN quantity >= 50
        THEN 'Moderate Stock' WHEN quantity >= 10 THEN 'Low Stock' WHEN quantity < 10
        THEN 'Critical Stock' ELSE 'Unknown' END AS inventory_status,
    warehouse, false AS is_inferred,
    coalesce(product_id IS NOT NULL AND length(product_id) <= 50
        AND coalesce(length(name), 0) <= 400 AND coalesce(length(source_category), 0) <= 100
        AND coalesce(length(brand), 0) <= 200 AND coalesce(length(model), 0) <= 200
        AND coalesce(length(warehouse), 0) <= 100 AND (given_price IS NULL OR price >= 0)
        AND (given_cost IS NULL OR cost >= 0)
        AND (given_quantity IS NULL OR quantity >= 0), false) AS ok
FROM read;
"""
_GOOD_PRODUCTS = "(SELECT * FROM new_product WHERE {kept})"

_SALES = """
CREATE TEMPORARY TABLE new_sale AS
WITH raw AS (
    SELECT trim(transaction_id) AS transaction_id, trim(customer_id) AS customer_id,
        trim(product_id) AS product_id, trim(quantity) AS quantity, unit_price,
        trim(discount_amount) AS discount, trim(transaction_date) AS transaction_date,
        trim(sales_rep_id) AS sales_rep_id
    FROM read_csv('{sources}/sales_transactions.csv', {csv}, columns = {{
        'transaction_id': 'VARCHAR', 'customer_id': 'VARCHAR', 'product_id': 'VARCHAR',
        'quantity': 'VARCHAR', 'unit_price': 'VARCHAR', 'discount_amount': 'VARCHAR',
        'transaction_date': 'VARCHAR', 'sales_rep_id': 'VARCHAR', 'status': 'VARCHAR'}})
    WHERE status = 'completed' OR lower(slow_clean(status)) = 'completed'
), text AS (
    SELECT trimmed(transaction_id) AS transaction_id, trimmed(customer_id) AS customer_id,
        trimmed(product_id) AS product_id, trimmed(quantity) AS given_quantity, unit_price,
        trimmed(discount) AS discount, trimmed(transaction_date) AS given_date,
        trimmed(sales_rep_id) AS sales_rep_id
    FROM raw
), typed AS (
    SELECT transaction_id, customer_id, product_id, whole(given_quantity) AS quantity,
        money(unit_price) AS unit_price,
        CASE WHEN discount IS NULL THEN 0 ELSE try_cast(discount AS DECIMAL(18, 2)) END
            AS discount_amount,
        moment(given_date) AS transaction_date, sales_rep_id
    FROM text
)
SELECT *, coalesce(quantity >= 1 AND unit_price >= 0 AND discount_amount >= 0
    AND discount_amount <= quantity * unit_price AND customer_id IS NOT NULL
    AND product_id IS NOT NULL AND strlen(transaction_id) <= 50 AND strlen(customer_id) <= 50
    AND strlen(product_id) <= 50 AND strlen(coalesce(sales_rep_id, '')) <= 50
    AND transaction_date BETWEEN '{start}' AND '{end}', false) AS ok
FROM typed;
"""
_SALE_ORDER = (
    "transaction_date DESC, customer_id DESC, product_id DESC, quantity DESC, unit_price DESC, "
    "discount_amount DESC, sales_rep_id DESC NULLS LAST, "
)

# The earliest sale of each customer; where several are as early, the one of the smallest id.
_FIRST = """
CREATE TEMPORARY TABLE first_sale AS
SELECT customer_id, min(transaction_date) AS first_date,
    arg_min(transaction_id, transaction_date) AS first_id
FROM {known} GROUP BY customer_id;
CREATE TEMPORARY TABLE tie AS
SELECT s.customer_id, min(s.transaction_id) AS first_id
FROM {known} AS s JOIN first_sale AS f USING (customer_id)
WHERE s.transaction_date = f.first_date GROUP BY s.customer_id HAVING count(*) > 1;
UPDATE first_sale SET first_id = tie.first_id FROM tie
WHERE first_sale.customer_id = tie.customer_id AND first_sale.first_id <> tie.first_id;
"""
_READ = "(SELECT transaction_id, customer_id, transaction_date FROM new_sale WHERE {kept})"
_KNOWN = """(
    SELECT transaction_id, customer_id, transaction_date FROM new_sale WHERE {kept}
    UNION ALL
    SELECT transaction_id, customer_id, transaction_date FROM sales_fact
    WHERE customer_id IN (SELECT customer_id FROM new_sale WHERE ok)
        AND transaction_id NOT IN (SELECT transaction_id FROM new_sale WHERE ok))"""

_PRICED = """(
    SELECT *, CAST(sign(profit_amount) * ((20000 * CAST(abs(profit_amount) * 100 AS BIGINT)
            + CAST(total_amount * 100 AS BIGINT))
            // (2 * nullif(CAST(total_amount * 100 AS BIGINT), 0))) * 0.0001
        AS DECIMAL(9, 4)) AS profit_margin
    FROM (
        SELECT t.*, CAST(t.total_amount - t.quantity * p.cost AS DECIMAL(22, 2))
                AS profit_amount,
            CASE WHEN f.first_id = t.transaction_id THEN 'First-time' ELSE 'Repeat' END
                AS customer_status
        FROM (
            SELECT *, CAST(quantity * unit_price - discount_amount AS DECIMAL(18, 2))
                    AS total_amount,
                CAST(round(total_amount * 0.03, 2) AS DECIMAL(18, 2)) AS commission,
                CASE WHEN total_amount >= 500 THEN 'High Value'
                    WHEN total_amount >= 100 THEN 'Medium Value' ELSE 'Low Value' END
                    AS value_tier
            FROM new_sale WHERE {kept}) AS t
        LEFT JOIN product_dim AS p USING (product_id)
        LEFT JOIN first_sale AS f USING (customer_id)))"""

# After the sales of one day: their customers' other sales, which may no longer be the earliest.
_RESTATE = """
UPDATE sales_fact SET customer_status = 'Repeat', updated_date = now() FROM first_sale AS f
WHERE sales_fact.customer_id = f.customer_id AND customer_status = 'First-time'
    AND f.first_id <> transaction_id;
"""

# Rows of customers and products that only sales name.
_INFER = """
INSERT INTO {table} ({key}, is_inferred, created_date, updated_date)
SELECT DISTINCT {key}, true, now(), now() FROM new_sale
WHERE {kept} AND {key} NOT IN (SELECT {key} FROM {table});
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


def statements(sources: Path, mode: str, *, is_empty: bool) -> Iterator[str]:
    """All statements of one run after those that make the tables, in their order."""
    values = {
        "sources": sources, "csv": _CSV, "email": _EMAIL,
        "json_bytes": (sources / "products.json").stat().st_size + 1, **_window(mode),
    }  # fmt: skip
    fill = _insert if is_empty else _merge
    kept = {name: _KEPT.format(name=name, alias="") for name in ("product", "sale")}
    customers = _NAMED.format(kept=_KEPT.format(name="customer", alias="c."))
    yield _CUSTOMERS.format(**values)
    yield _LOST.format(name="customer", key="customer_id", order="")
    yield fill("customer_dim", customers, mode)
    yield "DROP TABLE new_customer;" + _PRODUCTS.format(**values)
    yield _LOST.format(name="product", key="product_id", order="")
    yield fill("product_dim", _GOOD_PRODUCTS.format(kept=kept["product"]), mode)
    yield _SALES.format(**values)
    yield _LOST.format(name="sale", key="transaction_id", order=_SALE_ORDER)
    is_whole = is_empty or mode in ("everything", "refresh")
    known = (_READ if is_whole else _KNOWN).format(kept=kept["sale"])
    yield _FIRST.format(known=known)
    yield fill("sales_fact", _PRICED.format(kept=kept["sale"]), mode)
    if not is_whole:
        yield _RESTATE
    for table in ("customer_dim", "product_dim"):
        yield _INFER.format(table=table, key=next(iter(_TABLES[table])), kept=kept["sale"])


def _window(mode: str) -> dict[str, str]:
    if mode == "before":
        return {"start": "0001-01-01", "end": "2024-01-30 23:59:59.999999"}
    if mode in ("everything", "refresh"):
        return {"start": "0001-01-01", "end": "9999-12-31 23:59:59.999999"}
    return {"start": mode, "end": f"{mode} 23:59:59.999999"}


def _insert(table: str, source: str, _mode: str) -> str:
    columns = ", ".join(_TABLES[table])
    return f"INSERT INTO {table} SELECT {columns}, now(), now() FROM {source};"  # noqa: S608  # ours


def _merge(table: str, source: str, mode: str) -> str:
    key, *others = _TABLES[table]
    names = [key, *others]
    differs = " OR ".join(f"target.{name} IS DISTINCT FROM source.{name}" for name in others)
    sets = ", ".join(f"{name} = source.{name}" for name in others)
    removed = ""
    if mode == "refresh":
        kept = "" if table == "sales_fact" else " AND NOT target.is_inferred"
        removed = f"WHEN NOT MATCHED BY SOURCE{kept} THEN DELETE"
    values = ", ".join(f"source.{name}" for name in names)
    merge = f"MERGE INTO {table} AS target USING {source} AS source"
    update = f"WHEN MATCHED AND ({differs}) THEN UPDATE SET {sets}, updated_date = now()"
    insert = f"INSERT ({', '.join(names)}, created_date, updated_date)"
    return (
        f"{merge} ON target.{key} = source.{key} {update} "
        f"WHEN NOT MATCHED THEN {insert} VALUES ({values}, now(), now()) {removed};"
    )


def load(warehouse: str, sources: Path, mode: str) -> None:
    """Runs it once."""
    with duckdb.connect(warehouse) as connection:
        connection.execute(_MACROS)
        for table, columns in _TABLES.items():
            lines = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {table} ({lines}, created_date TIMESTAMP, "
                "updated_date TIMESTAMP);"
            )
        is_empty = not connection.execute("SELECT 1 FROM customer_dim LIMIT 1;").fetchall()
        connection.execute("BEGIN;")
        for statement in statements(sources, mode, is_empty=is_empty):
            connection.execute(statement)
        connection.execute("COMMIT;")


if __name__ == "__main__":
    load(sys.argv[1], Path(sys.argv[2]), sys.argv[3])

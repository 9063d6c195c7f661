"""Marts over three million sales: built as a run builds them, and by one statement of an expert.

    python benchmarks/marts.py --sales 3000000 --rounds 3

For each mart both are measured in turn, in one process, on one DuckDB file with the memory limit of
a run: CPU seconds, and how many times as much the run's way takes. The expert's statement is what
one would write by hand into `CREATE TABLE ... AS`, without a key, a check of it or quotients that
are exact. A line is printed only when both tables have as many rows and the same sum. In the end
a night of new sales is loaded, and the marts are brought up to date.
"""

import argparse
import resource
import statistics
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from measuring import ROOT, BenchmarkError, at_least_one, exit_code_of
from rich.console import Console

sys.path[:0] = [str(ROOT)]

from data_loading import load_sales  # noqa: E402  # the path comes first
from etl.engines.database import DatabaseManager  # noqa: E402
from etl.engines.engine import Access  # noqa: E402
from etl.history.audit import next_run_id  # noqa: E402
from etl.history.mart_outcomes import MartOutcome  # noqa: E402
from etl.history.runs import utc_now  # noqa: E402
from etl.marts.build import Builder  # noqa: E402
from etl.marts.plan import MartPlan, plan_marts  # noqa: E402
from etl.schema.star import STAR_TABLES  # noqa: E402
from etl.warehouse.tables import create_tables  # noqa: E402

WANTED = 1.5

_VALUE = """SELECT customer_id, orders, CAST(revenue / orders AS DECIMAL(18, 2)) AS
    average_order_value, CAST(orders / months AS DECIMAL(14, 4)) AS orders_per_month,
    CAST(revenue / orders * orders / months * 36 AS DECIMAL(24, 2)) AS lifetime_value,
    first_order, last_order, CAST(items / orders AS DECIMAL(18, 2)) AS items_per_order
FROM (SELECT *, greatest(last_order - first_order, 30.4375) / 30.4375 AS months FROM (
    SELECT customer_id, count(*) FILTER (quantity > 0) AS orders, sum(total_amount) AS revenue,
        sum(quantity) AS items, min(transaction_date) FILTER (quantity > 0)::DATE AS first_order,
        max(transaction_date) FILTER (quantity > 0)::DATE AS last_order
    FROM sales_fact GROUP BY customer_id) WHERE orders > 0)"""

# By mart: what an expert writes, and the column whose sum both must have.
EXPERT = {
    "daily_revenue": ("""SELECT transaction_date::DATE AS day,
    count(*) FILTER (quantity > 0) AS orders, sum(quantity) AS items, sum(total_amount) AS revenue,
    sum(profit_amount) AS profit, count(*) FILTER (customer_status = 'First-time') AS new_customers
FROM sales_fact GROUP BY day""", "revenue"),
    "monthly_active_customers": ("""SELECT date_trunc('month', transaction_date)::DATE AS month,
    count(DISTINCT customer_id) AS customers FROM sales_fact WHERE quantity > 0 GROUP BY month""",
                                 "customers"),
    "customer_value": (_VALUE, "orders"),
    "cohorts": ("""SELECT date_trunc('month', first_order)::DATE AS cohort_month, month,
    sum(bought) AS customers, sum(revenue) AS revenue
FROM (SELECT customer_id, date_trunc('month', transaction_date)::DATE AS month,
        max(quantity > 0)::INTEGER AS bought, sum(total_amount) AS revenue
    FROM sales_fact GROUP BY customer_id, month)
JOIN (SELECT customer_id, min(transaction_date) AS first_order FROM sales_fact
    WHERE quantity > 0 GROUP BY customer_id) USING (customer_id) GROUP BY cohort_month, month""",
                "revenue"),
    "product_performance": ("""SELECT product_id, name, category, brand, orders, customers, items,
    revenue, discounts, profit, CAST(profit / revenue AS DECIMAL(18, 4)) AS profit_margin,
    CAST(revenue / items AS DECIMAL(18, 2)) AS average_price, first_sale, last_sale
FROM product_dim LEFT JOIN (
    SELECT product_id, count(*) FILTER (quantity > 0) AS orders,
        count(DISTINCT customer_id) FILTER (quantity > 0) AS customers, sum(quantity) AS items,
        sum(total_amount) AS revenue, sum(discount_amount) AS discounts,
        sum(profit_amount) AS profit, min(transaction_date)::DATE AS first_sale,
        max(transaction_date)::DATE AS last_sale
    FROM sales_fact GROUP BY product_id) USING (product_id)""", "revenue"),
    "sales_wide": ("""SELECT transaction_id, transaction_date, transaction_date::DATE AS day,
    date_trunc('month', transaction_date)::DATE AS month, customer_id, c.name AS customer_name,
    segment, registration_date, transaction_date::DATE - registration_date AS days_registered,
    transaction_date::DATE - min(IF(s.quantity > 0, transaction_date::DATE, NULL))
        OVER (PARTITION BY customer_id) AS days_since_first_order,
    transaction_date::DATE - max(IF(s.quantity > 0, transaction_date::DATE, NULL)) OVER (
        customer_so_far ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS days_since_previous,
    count(*) FILTER (s.quantity > 0) OVER (
        customer_so_far ROWS UNBOUNDED PRECEDING) AS orders_so_far,
    customer_status, product_id, p.name AS product_name, category, brand, price_category,
    s.quantity, unit_price, discount_amount, total_amount, profit_amount, profit_margin,
    commission, value_tier, sales_rep_id
FROM sales_fact AS s JOIN customer_dim AS c USING (customer_id)
JOIN product_dim AS p USING (product_id)
WINDOW customer_so_far AS (PARTITION BY customer_id ORDER BY transaction_date, transaction_id)""",
                   "orders_so_far"),
}  # fmt: skip


def fill(db: DatabaseManager, sales: int) -> None:
    """Fill the star: a customer for three sales, a product for thirty, three years."""
    create_tables(db)
    stamps = "TIMESTAMP '2024-01-01' AS created_date, TIMESTAMP '2024-01-01' AS updated_date"
    customers, products = max(sales // 3, 1), max(sales // 30, 1)
    db.execute(f"""INSERT INTO customer_dim BY NAME SELECT 'C' || i AS customer_id,
    'Name ' || i AS name, 'Standard' AS segment, FALSE AS is_inferred, {stamps},
    DATE '2015-01-01' + CAST(hash(i) % 2000 AS INTEGER) AS registration_date
FROM range({customers}) AS t (i)""")  # noqa: S608  # a number
    db.execute(f"""INSERT INTO product_dim BY NAME SELECT 'P' || i AS product_id,
    'Product ' || i AS name, 'Category ' || (i % 20) AS category, 'Brand ' || (i % 300) AS brand,
    10.00 AS price, 5.00 AS cost, 'Budget' AS price_category, FALSE AS is_inferred, {stamps}
FROM range({products}) AS t (i)""")  # noqa: S608  # a number
    db.execute(f"""INSERT INTO sales_fact BY NAME SELECT *,
    CASE WHEN row_number() OVER (PARTITION BY customer_id ORDER BY transaction_date,
        transaction_id) = 1 THEN 'First-time' ELSE 'Repeat' END AS customer_status
FROM (SELECT 'T' || lpad(i::VARCHAR, 9, '0') AS transaction_id,
    'C' || (hash(i * 7) % {customers}) AS customer_id,
    'P' || (hash(i * 13) % {products}) AS product_id, 1 + hash(i * 17) % 5 AS quantity,
    (100 + hash(i * 23) % 9900) / 100 AS unit_price, 0 AS discount_amount,
    (1 + hash(i * 17) % 5) * ((100 + hash(i * 23) % 9900) / 100) AS total_amount,
    4.99 AS profit_amount, 0.4995 AS profit_margin, 0.3 AS commission, 'Low Value' AS value_tier,
    TIMESTAMP '2021-01-01' + INTERVAL (hash(i * 19) % 94608000) SECOND AS transaction_date,
    'R' || (i % 50) AS sales_rep_id, {stamps} FROM range({sales}) AS t (i))
ORDER BY transaction_id""")  # noqa: S608  # numbers


def cpu_s() -> float:
    """CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measured(work: Callable[[], object]) -> float:
    """CPU seconds of one piece of work."""
    before = cpu_s()
    work()
    return cpu_s() - before


def build(db: DatabaseManager, plan: MartPlan) -> tuple[MartOutcome, ...]:
    """Build the marts of a plan as a run does."""
    outcomes = Builder(db, plan, next_run_id(db, utc_now()), lambda work: work()).build()
    if failed := [each.named_message for each in outcomes if each.failed]:
        raise BenchmarkError("; ".join(failed))
    return outcomes


def compare(db: DatabaseManager, plan: MartPlan, rounds: int) -> Iterator[tuple[str, float, float]]:
    """Yield each mart with the median CPU seconds of the expert's statement and of the run's."""
    for mart in plan.marts:
        alone = MartPlan((mart,), (), plan.loaded)
        times = [_in_turn(db, alone) for _ in range(rounds)]
        expert, ours = zip(*times, strict=True)
        yield mart.name, statistics.median(expert), statistics.median(ours)


def _in_turn(db: DatabaseManager, plan: MartPlan) -> tuple[float, float]:
    name = plan.marts[0].name
    query, column = EXPERT[name]
    by_hand = measured(lambda: db.execute(f"CREATE OR REPLACE TABLE by_hand AS {query}"))
    if "etl_mart" in db.table_names():  # so that it is built whole once more
        db.execute("UPDATE etl_mart SET run_id = ''")
    ours = measured(lambda: build(db, plan))
    _require_equal(db, name, column)
    db.execute("DROP TABLE by_hand")
    return by_hand, ours


def _require_equal(db: DatabaseManager, mart: str, column: str) -> None:
    figures = f'SELECT count(*), sum("{column}") FROM'
    found, wanted = db.query(f"{figures} {mart}"), db.query(f"{figures} by_hand")
    if found != wanted:
        raise BenchmarkError(f"{mart}: {found} where the expert's has {wanted}")


def night(sales: int) -> list[dict[str, object]]:
    """Sales of a new day, of customers and products that are known."""
    at = datetime(2024, 1, 1, 12, tzinfo=UTC).replace(tzinfo=None)
    return [
        {
            "transaction_id": f"N{n}", "customer_id": f"C{n}", "product_id": f"P{n % 100}",
            "quantity": 1, "unit_price": Decimal("9.99"), "discount_amount": Decimal(0),
            "total_amount": Decimal("9.99"), "commission": Decimal("0.30"),
            "value_tier": "Low Value", "sales_rep_id": "R1",
            "transaction_date": at + timedelta(microseconds=n),
        }
        for n in range(sales)
    ]  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sales", type=at_least_one, default=3_000_000)
    parser.add_argument("--night", type=at_least_one, default=30_000)
    parser.add_argument("--rounds", type=at_least_one, default=3)
    parser.add_argument("--folder", type=Path, help="for the warehouse")
    given = parser.parse_args()
    console = Console(width=100)
    with TemporaryDirectory(dir=given.folder) as folder:
        access = Access(memory_limit="384MB", temp_directory=f"{folder}/spilled")
        with DatabaseManager(f"duckdb:///{folder}/marts.duckdb", access=access) as db:
            _measure(db, given, console)


def _measure(db: DatabaseManager, given: argparse.Namespace, console: Console) -> None:
    fill(db, given.sales)
    plan = plan_marts(Path("/none"), db.dialect, STAR_TABLES)
    console.print("| Mart | expert, CPU s | run, CPU s | ratio |\n|---|---|---|---|")
    sums = [0.0, 0.0]
    for name, expert, ours in compare(db, plan, given.rounds):
        sums = [sums[0] + expert, sums[1] + ours]
        console.print(f"| `{name}` | {expert:.2f} | {ours:.2f} | {ours / max(expert, 1e-9):.2f} |")
    ratio = sums[1] / max(sums[0], 1e-9)
    met = "met" if ratio <= WANTED else "missed"
    console.print(f"| all | {sums[0]:.2f} | {sums[1]:.2f} | {ratio:.2f}, {WANTED} wanted: {met} |")
    build(db, plan)
    load_sales(night(min(given.night, given.sales // 3 or 1)), db)
    outcomes: list[MartOutcome] = []
    used = measured(lambda: outcomes.extend(build(db, plan)))
    statuses = ", ".join(f"{each.name} {each.status}" for each in outcomes)
    console.print(f"After a night of new sales: {used:.2f} CPU s ({statuses})")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))

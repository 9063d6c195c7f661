"""dlt and pandas as loaders into DuckDB: each takes the records through the project's own rules.

    python benchmarks/other_loaders.py {dlt,to_sql} WAREHOUSE SOURCES MODE

MODE as in `hand_written.py`, and `before` for all days but the last.
"""

import os
import sys
from collections.abc import Iterator
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from bench_data import DAY_BEFORE, ROOT

sys.path.append(str(ROOT))

from etl.rules.customers import transform_customers
from etl.rules.products import transform_products
from etl.rules.sales import transform_sales
from etl.schema.star import STAR_TABLES
from etl.schema.table import Table
from etl.sources.customers import read_customers
from etl.sources.products import read_products
from etl.sources.sales import read_sales
from etl.sources.sales_reading import CSV_SCHEME
from etl.sources.window import EVERYTHING, Window, parse_day, whole_days


def window_of(mode: str) -> Window:
    """The sales that a mode takes."""
    if mode == "before":
        return whole_days(datetime.min.date(), parse_day(DAY_BEFORE))
    return EVERYTHING if mode in ("everything", "refresh") else whole_days(*[parse_day(mode)] * 2)


def rows_of(table: Table, sources: Path, mode: str) -> pa.Table:
    """The accepted records of a source; of equal keys one, since an upsert takes no two."""
    sales = f"{CSV_SCHEME}{sources / 'sales_transactions.csv'}"
    reading = {
        "customers": lambda: read_customers(sources / "customers.csv"),
        "products": lambda: read_products(sources / "products.json"),
        "sales": lambda: read_sales(sales, window_of(mode)),
    }
    rule = {
        "customers": transform_customers,
        "products": transform_products,
        "sales": transform_sales,
    }
    rows = pa.Table.from_batches(
        [rule[table.source](block.records).accepted for block in reading[table.source]()]
    )
    return _without_duplicates(table, rows).drop_columns(["source_row"])


def _without_duplicates(table: Table, rows: pa.Table) -> pa.Table:
    """The last of the file; of sales the latest, then the one with the largest discount."""
    key = table.key[0]
    counts = rows.group_by(key).aggregate([(key, "count")])
    repeated = counts.filter(pc.greater(counts[f"{key}_count"], 1))[key].combine_chunks()
    is_repeated = pc.is_in(rows[key], value_set=repeated)
    ranked = ("transaction_date", "customer_id", "product_id", "quantity", "unit_price",
              "discount_amount")  # fmt: skip
    order = [*(ranked if table.source == "sales" else ()), "source_row"]
    some = rows.filter(is_repeated).sort_by([(name, "ascending") for name in order])
    some = some.append_column("place", pa.array(range(some.num_rows)))
    last = some.group_by(key).aggregate([("place", "max")])["place_max"]
    kept = some.take(last).drop_columns(["place"])
    return pa.concat_tables([rows.filter(pc.invert(is_repeated)), kept])


# ---- dlt ----


def run_dlt(warehouse: str, sources: Path, mode: str) -> None:
    """`pipeline.run` of Arrow tables with the upsert strategy; a refresh replaces the tables."""
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL"}
    dlt = import_module("dlt")
    upsert = {"disposition": "merge", "strategy": "upsert"}
    pipeline = dlt.pipeline(
        "bench",
        pipelines_dir=str(Path(warehouse).parent / "dlt"),
        destination=dlt.destinations.duckdb(warehouse),
        dataset_name="main",
    )
    resources = [
        dlt.resource(
            _chunks(table, sources, mode),
            name=table.name,
            primary_key=table.key[0],
            write_disposition="replace" if mode == "refresh" else upsert,
        )
        for table in STAR_TABLES
    ]
    pipeline.run(resources)


def _chunks(table: Table, sources: Path, mode: str) -> Iterator[pa.Table]:
    rows = rows_of(table, sources, mode)
    for start in range(0, rows.num_rows, 500_000):
        yield rows.slice(start, 500_000)


# ---- pandas ----


def run_to_sql(warehouse: str, sources: Path, mode: str) -> None:
    """`DataFrame.to_sql` over ADBC, which is DuckDB's fastest way in from pandas."""
    pandas: Any = import_module("pandas")
    connect = import_module("adbc_driver_duckdb.dbapi").connect
    exists = "replace" if mode == "refresh" else "append"
    with connect(warehouse) as connection:
        for table in STAR_TABLES:
            frame = rows_of(table, sources, mode).to_pandas(types_mapper=pandas.ArrowDtype)
            frame.to_sql(table.name, connection, if_exists=exists, index=False)
        connection.commit()


if __name__ == "__main__":
    run = {"dlt": run_dlt, "to_sql": run_to_sql}[sys.argv[1]]
    run(sys.argv[2], Path(sys.argv[3]), sys.argv[4])

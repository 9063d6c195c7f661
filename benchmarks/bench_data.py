"""The files of a benchmark: as dirty as real exports, any size, the same for the same seed.

They are written as a stream, and again with a tenth of the records changed. One kind of dirt is
left out, as the hand-written MERGE could not be compared: behind a quote that is never closed,
DuckDB's reader loses good records.
"""

import sys
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "scripts"))

import make_sample_data as sample  # noqa: E402

Sizes = sample.Sizes

LAST_DAY, FIRST_DAY, DAY_BEFORE = "2024-01-31", "2024-01-01", "2024-01-30"
_CUSTOMERS, _PRODUCTS, _SALES = "customers.csv", "products.json", "sales_transactions.csv"
MASTERS = (_CUSTOMERS, _PRODUCTS)
_PRODUCT_SHARE = 10  # customers for each product
_CHANGED = 7  # last digit of the ids of a tenth


def _is_changed(record_id: str | None) -> bool:
    return bool(record_id) and str(record_id).strip().endswith(str(_CHANGED))


def _moved(customer: sample.Customer) -> sample.Customer:
    moved = customer._replace(address="1 New Road", segment="Basic")
    return moved if _is_changed(customer.customer_id) else customer


def _restocked(product: sample.Product) -> sample.Product:
    changed = product._replace(quantity=7, cost=3.21)
    return changed if _is_changed(product.product_id) else product


def _corrected(sale: sample.Sale) -> sample.Sale:
    changed = sale._replace(sales_rep_id="R99", discount_amount="0.01")
    return changed if _is_changed(sale.transaction_id) else sale


def sizes_of(customers: int, sales: int) -> Sizes:
    """Records per file, a product for ten customers."""
    return Sizes(customers, max(customers // _PRODUCT_SHARE, 1), sales)


def write_first(folder: Path, sizes: Sizes, seed: int) -> None:
    """Writes the three files once, into a folder that is made."""
    folder.mkdir(parents=True)
    sample.write_customers(folder / _CUSTOMERS, sizes, seed, open_quotes=False)
    sample.write_products(folder / _PRODUCTS, sizes, seed)
    sample.write_sales(folder / _SALES, sizes, seed)


def write_sources(folder: Path, sizes: Sizes, seed: int) -> tuple[Path, Path]:
    """Writes the three files twice; returns both folders, the second with a tenth changed."""
    first, changed = folder / "first", folder / "changed"
    write_first(first, sizes, seed)
    changed.mkdir()
    write_changed_masters(changed, sizes, seed)
    sample.write_sales(changed / _SALES, sizes, seed, edit=_corrected)
    return first, changed


def write_changed_masters(folder: Path, sizes: Sizes, seed: int) -> None:
    """Writes customers and products with a tenth changed."""
    sample.write_customers(folder / _CUSTOMERS, sizes, seed, edit=_moved, open_quotes=False)
    sample.write_products(folder / _PRODUCTS, sizes, seed, edit=_restocked)


def write_sales_of(path: Path, sizes: Sizes, seed: int, day: date) -> None:
    """Writes sales of one day, with ids of that day."""

    def on_day(sale: sample.Sale) -> sample.Sale:
        time = f"{day} 12:00:{sum(map(ord, sale.transaction_id)) % 60:02}"
        return sale._replace(transaction_id=f"{day}-{sale.transaction_id}", transaction_date=time)

    sample.write_sales(path, sizes, seed, edit=on_day)

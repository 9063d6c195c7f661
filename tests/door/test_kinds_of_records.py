"""The functions that transform take every kind of records and give the same kind back."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from data_transformation import (
    enrich_product_data,
    process_sales_transactions,
    standardize_customer_data,
)

KINDS = {
    "dicts": list, "pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.Table.from_pylist,
}  # fmt: skip
CUSTOMERS: list[dict[str, Any]] = [
    {"customer_id": "C1", "first_name": "JANE", "last_name": "o'neil", "email": "J@B.org",
     "phone": "4255550100", "segment": "premium", "address": None, "registration_date": None},
    {"customer_id": None, "first_name": "x", "last_name": None, "email": None, "phone": None,
     "segment": None, "address": None, "registration_date": None},
]  # fmt: skip
PRODUCTS = [{"product_id": "P1", "category": "tech", "price": 199.99, "cost": 120.5, "quantity": 9}]
SALES = [
    {"transaction_id": "T2", "customer_id": "C1", "product_id": "P1", "quantity": 2,
     "unit_price": 200.0, "transaction_date": "2024-01-21", "status": "completed"},
    {"transaction_id": "T1", "customer_id": "C1", "product_id": "P9", "quantity": 1,
     "unit_price": 50.0, "transaction_date": "2024-01-20", "status": "completed"},
    {"transaction_id": "T3", "customer_id": "C1", "product_id": "P1", "quantity": 1,
     "unit_price": 50.0, "transaction_date": "2024-01-19", "status": "pending"},
]  # fmt: skip
CALLS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "customers": (lambda made: standardize_customer_data(made(CUSTOMERS)), 1),
    "products": (lambda made: enrich_product_data(made(PRODUCTS)), 1),
    "sales": (
        lambda made: process_sales_transactions(made(SALES), made(CUSTOMERS), made(PRODUCTS)), 2,
    ),
}  # fmt: skip


def dicts_of(result: Any) -> list[dict[str, Any]]:
    if isinstance(result, pd.DataFrame):
        result = pa.Table.from_pandas(result)
    elif isinstance(result, pl.DataFrame):
        result = result.to_arrow()
    return result if isinstance(result, list) else result.to_pylist()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", CALLS)
def test_every_kind_gives_the_same_rows_in_its_own_kind(kind: str, call: str) -> None:
    function, rows = CALLS[call]
    result = function(KINDS[kind])
    assert type(result) is type(KINDS[kind]([{}]))
    assert len(result) == rows
    assert dicts_of(result) == function(list)


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_of_every_kind_can_be_transformed_again(kind: str) -> None:
    once = standardize_customer_data(KINDS[kind](CUSTOMERS))
    assert dicts_of(standardize_customer_data(once)) == dicts_of(once)
    once = enrich_product_data(KINDS[kind](PRODUCTS))
    assert dicts_of(enrich_product_data(once)) == dicts_of(once)


def test_kinds_may_be_mixed() -> None:
    frame = process_sales_transactions(pl.DataFrame(SALES), CUSTOMERS, pd.DataFrame(PRODUCTS))  # type: ignore[arg-type]
    assert dicts_of(frame) == process_sales_transactions(SALES, CUSTOMERS, PRODUCTS)
    assert isinstance(frame, pl.DataFrame)


@pytest.mark.parametrize("kind", KINDS)
def test_sales_without_a_status_are_completed_ones(kind: str) -> None:
    sales = [{k: v for k, v in sale.items() if k != "status"} for sale in SALES]
    assert len(process_sales_transactions(KINDS[kind](sales), [], [])) == 3


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("jane doe", "Jane", "Doe"),
        ("MARY ANN  smith", "Mary Ann", "Smith"),
        ("ludwig van beethoven", "Ludwig", "Van Beethoven"),
        ("maria de la cruz", "Maria", "De La Cruz"),
        ("o'neil, jane", "Jane", "O'Neil"),
        ("sammy davis jr.", "Sammy", "Davis Jr."),
        ("davis, jr.", "Davis,", "Jr."),
        ("madonna", "Madonna", None),
        ("van gogh", "Van", "Gogh"),
        (" ", None, None),
        (None, None, None),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_one_name_is_split_into_two(
    kind: str, name: str | None, first: str | None, last: str | None
) -> None:
    once = standardize_customer_data(KINDS[kind]([{"customer_id": "C1", "name": name}]))
    (row,) = dicts_of(once)
    assert (row["first_name"], row["last_name"]) == (first, last)
    assert row["name"] == (" ".join(part for part in (first, last) if part) or None)
    assert dicts_of(standardize_customer_data(once)) == [row]


def test_first_and_last_name_win_over_one_name() -> None:
    record = {"customer_id": "C1", "first_name": "Ann", "last_name": None, "name": "Bob Lee"}
    assert standardize_customer_data([record])[0]["name"] == "Ann"

"""Which columns a column is made from: declared, and found by changing one input at a time."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from data_transformation import (
    enrich_product_data,
    process_sales_transactions,
    standardize_customer_data,
)
from etl.schema.derived import inputs_of
from etl.schema.star import CUSTOMER_DIM, PRODUCT_DIM, SALES_FACT
from etl.schema.table import Role, Table

CUSTOMER = {
    "customer_id": "C1", "first_name": "Ann", "last_name": "Lee", "email": "ann@example.com",
    "phone": "2125550100", "address": "1 Road", "segment": "standard",
    "registration_date": "2024-01-20",
}  # fmt: skip
PRODUCT = {
    "product_id": "P1", "name": "Lamp", "category": "Home", "brand": "B", "model": "M",
    "price": "60.00", "cost": "20.00", "quantity": "20", "warehouse": "W",
}  # fmt: skip
SALE = {
    "transaction_id": "T1", "customer_id": "C1", "product_id": "P1", "quantity": "2",
    "unit_price": "60.00", "discount_amount": "1.00", "transaction_date": "2024-01-20 10:00:00",
    "sales_rep_id": "R1", "status": "completed",
}  # fmt: skip
OTHERS: dict[str, tuple[str, ...]] = {
    "email": ("bob@example.org", "no address", ""),
    "phone": ("2125550199", "12", ""),
    "segment": ("basic", "premium", ""),
    "registration_date": ("2024-02-01", ""),
    "address": ("2 Road", ""),
    "first_name": ("Bob", ""),
    "last_name": ("Ray", ""),
    "price": ("300.00", "10.00"),
    "quantity": ("3", "200", "12"),
    "cost": ("30.00",),
    "unit_price": ("700.00", "61.00"),
    "discount_amount": ("50.00", ""),
    "category": ("Garden",),
    "transaction_date": ("2024-01-21 10:00:00",),
}

Clean = Callable[[list[dict[str, Any]]], Any]


TABLES: tuple[tuple[Table, dict[str, str], Clean], ...] = (
    (CUSTOMER_DIM, CUSTOMER, standardize_customer_data),
    (PRODUCT_DIM, PRODUCT, enrich_product_data),
    (SALES_FACT, SALE, lambda records: process_sales_transactions(records, [], [])),
)


def changed(record: dict[str, str], clean: Clean) -> Iterator[tuple[str, str]]:
    """The pairs of output and input of which the first changes with the second."""
    (before,) = clean([dict(record)])
    for name in record:
        for value in OTHERS.get(name, ("Other",)):
            for row in clean([record | {name: value}]):
                yield from ((output, name) for output in before if row[output] != before[output])


@pytest.mark.parametrize(("table", "record", "clean"), TABLES, ids=[t.name for t, _, _ in TABLES])
def test_a_column_changes_with_those_that_are_declared_and_with_no_others(
    table: Table, record: dict[str, str], clean: Clean
) -> None:
    restated = {column.name for column in table.with_role(Role.RESTATED)}
    declared = {
        (output, name)
        for output, names in inputs_of(table).items()
        for name in names
        if output not in restated
    }
    found = {pair for pair in changed(record, clean) if pair[0] not in restated}
    assert found == declared


@pytest.mark.parametrize("table", [CUSTOMER_DIM, PRODUCT_DIM, SALES_FACT], ids=lambda t: t.name)
def test_every_column_has_inputs_but_those_that_the_load_writes(table: Table) -> None:
    written = {column.name for column in table.columns} - inputs_of(table).keys()
    assert written <= {"is_inferred", "created_date", "updated_date"}

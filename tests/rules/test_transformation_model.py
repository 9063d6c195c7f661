"""Columns transformed at once against the slow reference, one record at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple
from decimal import Decimal
from typing import Any

import model
import pyarrow as pa
import pytest
import record_strategies as draw
from hypothesis import given, settings
from hypothesis import strategies as st

from data_transformation import (
    enrich_product_data,
    process_sales_transactions,
    standardize_customer_data,
)
from etl.rules.blocks import LoadBlock
from etl.rules.business import Rules
from etl.rules.customers import transform_customers
from etl.rules.products import transform_products
from etl.rules.records import block_from_records
from etl.rules.sales import transform_sales
from etl.schema.source_columns import CUSTOMER_COLUMNS, PRODUCT_COLUMNS, SALES_COLUMNS

Record = Mapping[str, str | None]
Records = list[dict[str, Any]]
Clean = Callable[[Record, model.Settings], dict[str, Any] | model.Rejected]
Transform = Callable[[pa.RecordBatch, Rules], LoadBlock]

# An example is up to 25 records and, one column at a time, their faults; other work may slow it.
examples = settings(max_examples=20, deadline=None)
business_settings = st.builds(
    model.Settings,
    st.sampled_from([None, "425"]),
    st.sampled_from([None, Decimal("0.6"), Decimal("0.3335"), Decimal(2)]),
    st.sampled_from([Decimal("0.03"), Decimal("0.125"), Decimal(2), Decimal(0)]),
    st.booleans(),
)

CLEAN_CUSTOMER: Record = {"customer_id": "C1"}
CLEAN_PRODUCT: Record = {"product_id": "P1"}
CLEAN_SALE: Record = {
    "transaction_id": "T1", "customer_id": "C1", "product_id": "P1", "quantity": "1",
    "unit_price": "10", "transaction_date": "2024-01-01",
}  # fmt: skip


def compare(
    records: Sequence[Record],
    transform: Transform,
    columns: tuple[str, ...],
    clean: Clean,
    given_settings: model.Settings,
) -> None:
    """Equal accepted rows, and the same records rejected.

    Which fault of several is reported first is not the model's to say.
    """
    block, unfit = block_from_records(records, columns)
    result = transform(block, Rules(*astuple(given_settings)))
    cleaned = {place: clean(record, given_settings) for place, record in enumerate(records, 1)}
    rejected = {place for place, row in cleaned.items() if isinstance(row, model.Rejected)}
    assert {*unfit["source_row"].to_pylist(), *result.rejected["source_row"].to_pylist()} == (
        rejected
    )
    assert result.accepted.to_pylist() == [
        {**row, "source_row": place} for place, row in cleaned.items() if isinstance(row, dict)
    ]


def compare_faults(
    records: Sequence[Record],
    clean_record: Record,
    transform: Transform,
    columns: tuple[str, ...],
    clean: Clean,
) -> None:
    """Equal class and field where one column only is at fault: each in an else clean record."""
    single = [
        {**clean_record, column: record.get(column)} for record in records for column in columns
    ]
    block, unfit = block_from_records(single, columns)
    rejected = transform(block, Rules()).rejected.to_pylist() + unfit.to_pylist()
    reported = {row["source_row"]: (row["error_class"], row["field"]) for row in rejected}
    cleaned = [clean(record, model.Settings()) for record in single]
    wanted = {
        place: astuple(row)
        for place, row in enumerate(cleaned, 1)
        if isinstance(row, model.Rejected)
    }
    assert reported == wanted


@examples
@given(draw.customers(), business_settings)
def test_customers_are_those_of_the_model(records: Records, given_settings: Any) -> None:
    arguments = (transform_customers, CUSTOMER_COLUMNS, model.clean_customer)
    compare(records, *arguments, given_settings)
    compare_faults(records, CLEAN_CUSTOMER, *arguments)


@examples
@given(draw.products(surrogates=True), business_settings)
def test_products_are_those_of_the_model(records: Records, given_settings: Any) -> None:
    arguments = (transform_products, PRODUCT_COLUMNS, model.clean_product)
    compare(records, *arguments, given_settings)
    compare_faults(records, CLEAN_PRODUCT, *arguments)


@examples
@given(draw.sales(), business_settings)
def test_sales_are_those_of_the_model(records: Records, given_settings: Any) -> None:
    arguments = (transform_sales, SALES_COLUMNS, model.clean_sale)
    compare(records, *arguments, given_settings)
    compare_faults(records, CLEAN_SALE, *arguments)


def numbered(records: Records) -> list[tuple[int, Record]]:
    return list(enumerate(records, 1))


@examples
@given(draw.customers(), draw.products(), draw.sales())
def test_joined_sales_are_the_facts_of_the_model(
    customers: Records, products: Records, sales: Records
) -> None:
    warehouse = model.Warehouse()
    warehouse.run(numbered(customers), numbered(products), numbered(sales), model.Settings())
    facts = process_sales_transactions(sales, customers, products)
    assert (
        sorted(facts, key=lambda row: str(row["transaction_id"]))
        == (warehouse.final_tables()["sales_fact"])
    )


@pytest.mark.parametrize(
    "records", [draw.customers(), draw.products()], ids=["customers", "products"]
)
@examples
@given(st.data())
def test_what_is_clean_stays_as_it_is(
    records: st.SearchStrategy[Records], data: st.DataObject
) -> None:
    drawn = data.draw(records)
    face = enrich_product_data if drawn and "product_id" in drawn[0] else standardize_customer_data
    once = face(drawn)
    assert face(once) == once
    assert face(drawn) == once

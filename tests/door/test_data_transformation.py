"""The business rules: what becomes of a record, and why one is rejected."""

import copy
import logging
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from data_transformation import (
    enrich_product_data,
    process_sales_transactions,
    standardize_customer_data,
)
from etl.errors import TransformationError
from etl.rejects import reject_schema
from etl.rules.blocks import LoadBlock
from etl.rules.business import Rules
from etl.rules.customers import transform_customers
from etl.rules.products import transform_products
from etl.rules.records import block_from_records
from etl.rules.sales import transform_sales
from etl.schema.arrow import staged_schema
from etl.schema.source_columns import CUSTOMER_COLUMNS, PRODUCT_COLUMNS, SALES_COLUMNS
from etl.schema.star import CUSTOMER_DIM, PRODUCT_DIM, SALES_FACT
from etl.schema.table import Role, Table

Record = dict[str, Any]

CUSTOMER: Record = {
    "customer_id": "C1", "first_name": "JOHN", "last_name": "smith", "email": "John@Email.com",
    "phone": "555-123-4567", "address": "123 Main St", "segment": "Premium",
    "registration_date": "2024-01-15",
}  # fmt: skip
PRODUCT: Record = {
    "product_id": "P1", "name": "Headphones", "category": "Tech", "brand": "TechCorp",
    "model": "WH-1000", "price": "199.99", "cost": "120.00", "quantity": "150",
    "warehouse": "WH-001",
}  # fmt: skip
SALE: Record = {
    "transaction_id": "T1", "customer_id": "C1", "product_id": "P1", "quantity": "3",
    "unit_price": "199.99", "discount_amount": "10.00", "transaction_date": "2024-01-20 14:30:00",
    "sales_rep_id": "R1",
}  # fmt: skip


Transform = Callable[[pa.RecordBatch, Rules], LoadBlock]
SOURCES: dict[str, tuple[tuple[str, ...], Transform]] = {  # a sale has all three keys
    "transaction_id": (SALES_COLUMNS, transform_sales),
    "product_id": (PRODUCT_COLUMNS, transform_products),
    "customer_id": (CUSTOMER_COLUMNS, transform_customers),
}


def transformed(record: Mapping[str, Any], rules: Rules | None = None) -> LoadBlock:
    return of_records([record], rules)


def of_records(records: list[Any], rules: Rules | None = None) -> LoadBlock:
    columns, transform = next(SOURCES[key] for key in SOURCES if key in records[0])
    block, unfit = block_from_records(records, columns)
    assert not unfit.num_rows
    return transform(block, rules or Rules())


def accepted(record: Mapping[str, Any], rules: Rules | None = None) -> Record:
    result = transformed(record, rules)
    assert result.rejected.to_pylist() == []
    row: Record = result.accepted.to_pylist()[0]
    return row


def rejected(record: Mapping[str, Any], rules: Rules | None = None) -> tuple[str, str]:
    result = transformed(record, rules)
    assert result.accepted.num_rows == 0
    row = result.rejected.to_pylist()[0]
    return row["error_class"], row["field"]


# --- customers ---------------------------------------------------------------------------


def test_a_customer_is_standardised() -> None:
    assert accepted(CUSTOMER) == {
        "customer_id": "C1", "name": "John Smith", "first_name": "John", "last_name": "Smith",
        "email": "john@email.com", "email_valid": True, "phone": "(555) 123-4567",
        "phone_valid": True, "address": "123 Main St", "segment": "Premium Plus",
        "source_segment": "Premium", "registration_date": date(2024, 1, 15), "is_inferred": False,
        "source_row": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("first", "last", "name"),
    [("ann", "lee", "Ann Lee"), ("ann", " ", "Ann"), (None, "lee", "Lee"), ("", None, None)],
)
def test_a_name_is_made_of_the_parts_that_are_there(
    first: str | None, last: str | None, name: str | None
) -> None:
    assert accepted(CUSTOMER | {"first_name": first, "last_name": last})["name"] == name


@pytest.mark.parametrize(
    ("changes", "segment"),
    [
        ({"segment": " PREMIUM "}, "Premium Plus"),
        ({"segment": "premium", "phone": "ext. 7"}, "Premium Plus"),
        ({"segment": "premium", "phone": ""}, "Premium"),
        ({"segment": "standard"}, "Standard Plus"),
        ({"segment": "standard", "email": "john@"}, "Standard"),
        ({"segment": "standard", "phone": ""}, "Standard"),
        ({"segment": "standard", "phone": "555-1234"}, "Standard Plus"),
        ({"segment": "standard", "address": " "}, "Standard"),
        ({"segment": "standard", "registration_date": "soon"}, "Standard"),
        ({"segment": "gold  member"}, "Gold Member"),
        ({"segment": "vip's"}, "Vip's"),
        ({"segment": ""}, "Incomplete Profile"),
        ({"segment": "premium", "email": " "}, "Incomplete Profile"),
        ({"segment": "premium", "first_name": "", "last_name": ""}, "Incomplete Profile"),
    ],
)
def test_the_segment_follows_from_the_profile(changes: Record, segment: str) -> None:
    customer = accepted(CUSTOMER | changes)
    assert customer["segment"] == segment
    assert customer["source_segment"] == ((CUSTOMER | changes)["segment"].strip() or None)


def test_an_invalid_address_and_an_unreadable_date_are_kept_and_counted() -> None:
    flawed = CUSTOMER | {"email": "john@", "phone": "x", "registration_date": "soon"}
    result = of_records([flawed, CUSTOMER, CUSTOMER | {"registration_date": " ", "email": ""}])
    assert result.accepted.column("email").to_pylist() == ["john@", "john@email.com", None]
    assert result.accepted.column("email_valid").to_pylist() == [False, True, False]
    assert result.accepted.column("registration_date").null_count == 2
    assert result.notes == {
        "invalid_emails": 1, "invalid_phones": 1, "unreadable_registration_dates": 1,
    }  # fmt: skip


def test_flaws_of_rejected_records_are_not_counted() -> None:
    result = transformed(CUSTOMER | {"customer_id": " ", "email": "john@"})
    assert result.notes["invalid_emails"] == 0


def test_the_default_area_code_completes_phone_numbers() -> None:
    local = CUSTOMER | {"phone": "555-1234"}
    assert accepted(local)["phone_valid"] is False
    assert accepted(local, Rules(default_area_code="425"))["phone"] == "(425) 555-1234"


# --- products ----------------------------------------------------------------------------


def test_a_product_is_enriched() -> None:
    assert accepted(PRODUCT) == {
        "product_id": "P1", "name": "Headphones", "category": "Electronics",
        "source_category": "Tech", "brand": "TechCorp", "model": "WH-1000",
        "price": Decimal("199.99"), "cost": Decimal("120.00"), "price_category": "Mid-Range",
        "quantity": 150, "inventory_status": "Well Stocked", "warehouse": "WH-001",
        "is_inferred": False, "source_row": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("price", "category"),
    [
        ("200", "Premium"), ("199.995", "Premium"), ("199.99", "Mid-Range"), ("50", "Mid-Range"),
        ("49.995", "Mid-Range"), ("49.99", "Budget"), ("-0.004", "Budget"), (" ", "Unknown"),
    ],
)  # fmt: skip
def test_the_price_category_follows_the_price_to_the_cent(price: str, category: str) -> None:
    assert accepted(PRODUCT | {"price": price})["price_category"] == category


@pytest.mark.parametrize(
    ("quantity", "status"),
    [
        ("101", "Well Stocked"), ("100", "Moderate Stock"), ("50", "Moderate Stock"),
        ("49", "Low Stock"), ("10", "Low Stock"), ("9", "Critical Stock"), ("0", "Critical Stock"),
        (None, "Unknown"),
    ],
)  # fmt: skip
def test_the_inventory_status_follows_the_quantity(quantity: str | None, status: str) -> None:
    assert accepted(PRODUCT | {"quantity": quantity})["inventory_status"] == status


@pytest.mark.parametrize(
    ("given_category", "category"),
    [
        ("TECHNOLOGY", "Electronics"), (" clothing ", "Apparel"), ("reading", "Books"),
        ("home  &  GARDEN", "Home & Garden"), ("men's shoes", "Men's Shoes"), ("", None),
    ],
)  # fmt: skip
def test_categories_are_mapped_to_the_taxonomy(given_category: str, category: str | None) -> None:
    product = accepted(PRODUCT | {"category": given_category})
    assert product["category"] == category
    assert product["source_category"] == (given_category.strip() or None)


def test_categories_outside_the_taxonomy_are_counted() -> None:
    records = [PRODUCT | {"category": category} for category in ("tech", "toys", "", "Garden")]
    assert of_records(records).notes["categories_outside_taxonomy"] == 2


@pytest.mark.parametrize(
    ("price", "cost", "wanted"),
    [("10.01", "", "6.01"), ("10.01", "0", "0.00"), ("", "", None)],
)
def test_a_cost_ratio_stands_in_for_a_cost_that_is_missing(
    price: str, cost: str, wanted: str | None
) -> None:
    product = accepted(
        PRODUCT | {"price": price, "cost": cost}, Rules(default_cost_ratio=Decimal("0.6"))
    )
    assert product["cost"] == (wanted and Decimal(wanted))


def test_without_a_ratio_a_missing_cost_stays_missing_and_is_counted() -> None:
    result = transformed(PRODUCT | {"cost": ""})
    assert result.accepted.column("cost").to_pylist() == [None]
    assert result.notes["missing_costs"] == 1


# --- sales -------------------------------------------------------------------------------


def test_a_sale_is_calculated() -> None:
    assert accepted(SALE) == {
        "transaction_id": "T1", "customer_id": "C1", "product_id": "P1", "quantity": 3,
        "unit_price": Decimal("199.99"), "discount_amount": Decimal("10.00"),
        "total_amount": Decimal("589.97"), "commission": Decimal("17.70"),
        "value_tier": "High Value", "transaction_date": datetime(2024, 1, 20, 14, 30),
        "sales_rep_id": "R1", "source_row": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("price", "discount", "total", "tier"),
    [
        ("500", "", "500.00", "High Value"), ("500", "0.01", "499.99", "Medium Value"),
        ("100", None, "100.00", "Medium Value"), ("99.994", "0", "99.99", "Low Value"),
        ("99.995", "0", "100.00", "Medium Value"), ("5", "5", "0.00", "Low Value"),
    ],
)  # fmt: skip
def test_the_tier_follows_the_total_to_the_cent(
    price: str, discount: str | None, total: str, tier: str
) -> None:
    changes = {"quantity": "1", "unit_price": price, "discount_amount": discount}
    sale = accepted(SALE | changes)
    assert (sale["total_amount"], sale["value_tier"]) == (Decimal(total), tier)


@pytest.mark.parametrize(
    ("total", "rate", "commission"),
    [
        ("0.50", "0.03", "0.02"), ("0.49", "0.03", "0.01"), ("100", "0.125", "12.50"),
        ("9", "2", "18.00"),
    ],
)  # fmt: skip
def test_the_commission_is_rounded_to_the_cent(total: str, rate: str, commission: str) -> None:
    record = SALE | {"quantity": "1", "unit_price": total, "discount_amount": ""}
    sale = accepted(record, Rules(commission_rate=Decimal(rate)))
    assert sale["commission"] == Decimal(commission)


def test_a_database_may_have_typed_the_columns() -> None:
    as_text, _ = block_from_records([SALE], SALES_COLUMNS)
    typed = {
        "quantity": pa.array([3]),
        "unit_price": pa.array([Decimal("199.9900")], pa.decimal128(19, 4)),
        "discount_amount": pa.array([10.0]),
        "transaction_date": pa.array([datetime(2024, 1, 20, 14, 30)], pa.timestamp("ns")),
    }
    columns = {name: typed.get(name, as_text.column(name)) for name in as_text.schema.names}
    assert transform_sales(pa.RecordBatch.from_pydict(columns)).accepted.to_pylist() == [
        accepted(SALE)
    ]


# --- rejecting ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "changes", "wanted"),
    [
        (CUSTOMER, {"customer_id": " "}, ("missing", "customer_id")),
        (CUSTOMER, {"customer_id": "x" * 51}, ("out_of_range", "customer_id")),
        (CUSTOMER, {"first_name": "ß" * 100 + "x"}, ("out_of_range", "first_name")),
        (CUSTOMER, {"email": "x" * 321}, ("out_of_range", "email")),
        (CUSTOMER, {"phone": "😀" * 26}, ("out_of_range", "phone")),
        (CUSTOMER, {"segment": "x" * 101}, ("out_of_range", "segment")),
        (CUSTOMER, {"registration_date": "a\0"}, ("bad_text", "registration_date")),
        (PRODUCT, {"product_id": None}, ("missing", "product_id")),
        (PRODUCT, {"price": "$5"}, ("unreadable", "price")),
        (PRODUCT, {"price": "NaN"}, ("unreadable", "price")),
        (PRODUCT, {"price": "1e10"}, ("out_of_range", "price")),
        (PRODUCT, {"cost": "-0.01"}, ("rule", "cost")),
        (PRODUCT, {"price": "-0.005"}, ("rule", "price")),
        (PRODUCT, {"quantity": "-1"}, ("rule", "quantity")),
        (PRODUCT, {"quantity": "1.5"}, ("unreadable", "quantity")),
        (PRODUCT, {"quantity": "2147483648"}, ("out_of_range", "quantity")),
        (PRODUCT, {"category": "x" * 101}, ("out_of_range", "category")),
        (PRODUCT, {"category": "a" + " " * 100 + "b"}, ("out_of_range", "category")),
        (SALE, {"transaction_id": ""}, ("missing", "transaction_id")),
        (SALE, {"customer_id": ""}, ("missing", "customer_id")),
        (SALE, {"product_id": None}, ("missing", "product_id")),
        (SALE, {"quantity": ""}, ("missing", "quantity")),
        (SALE, {"unit_price": ""}, ("missing", "unit_price")),
        (SALE, {"transaction_date": " "}, ("missing", "transaction_date")),
        (SALE, {"transaction_date": "soon"}, ("unreadable", "transaction_date")),
        (SALE, {"quantity": "0"}, ("rule", "quantity")),
        (SALE, {"quantity": "1.5"}, ("unreadable", "quantity")),
        (SALE, {"unit_price": "-1"}, ("return", "unit_price")),
        (SALE, {"quantity": "-1"}, ("return", "quantity")),
        (SALE, {"quantity": "-1", "unit_price": "-1"}, ("rule", "unit_price")),
        (SALE, {"discount_amount": "-1"}, ("rule", "discount_amount")),
        (SALE, {"discount_amount": "599.98"}, ("rule", "discount_amount")),
        (SALE, {"discount_amount": "ten"}, ("unreadable", "discount_amount")),
        (SALE, {"sales_rep_id": "x" * 51}, ("out_of_range", "sales_rep_id")),
        (SALE, {"quantity": "2e9", "unit_price": "9e9"}, ("out_of_range", "total_amount")),
    ],
)
def test_what_breaks_a_rule_is_rejected(
    record: Record, changes: Record, wanted: tuple[str, str]
) -> None:
    assert rejected(record | changes) == wanted


@pytest.mark.parametrize(
    "changes",
    [
        {"customer_id": "x" * 50}, {"first_name": "ß" * 99}, {"phone": "😀" * 25},
        {"segment": "x" * 100}, {"first_name": "x" * 100, "last_name": "y" * 100},
    ],
    ids=" ".join,
)  # fmt: skip
def test_text_may_fill_its_column(changes: Record) -> None:
    assert accepted(CUSTOMER | changes)["customer_id"]


def test_computed_amounts_that_are_too_large_are_rejected() -> None:
    ratio, rate = Rules(default_cost_ratio=Decimal(2)), Rules(commission_rate=Decimal(10) ** 16)
    dear = PRODUCT | {"price": "9999999999.99", "cost": ""}
    assert rejected(dear, ratio) == ("out_of_range", "cost")
    assert rejected(SALE, rate) == ("out_of_range", "commission")
    huge = transformed(SALE | {"quantity": "2e9", "unit_price": "9e9", "discount_amount": ""})
    assert huge.rejected.column("value").to_pylist() == ["18000000000000000000.00"]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"quantity": "x\0", "transaction_date": ""}, ("missing", "transaction_date")),
        ({"quantity": "x", "sales_rep_id": "\0"}, ("bad_text", "sales_rep_id")),
        ({"quantity": "0", "discount_amount": "x"}, ("unreadable", "discount_amount")),
        ({"quantity": "x", "customer_id": "y" * 51}, ("out_of_range", "customer_id")),
        ({"quantity": "0", "unit_price": "-1"}, ("rule", "quantity")),
    ],
    ids=" ".join,
)
def test_the_first_failing_check_is_reported(changes: Record, wanted: tuple[str, str]) -> None:
    assert rejected(SALE | changes) == wanted


def test_a_rejected_record_shows_what_came_and_what_to_do() -> None:
    result = transformed(SALE | {"transaction_id": " T1 ", "quantity": " 0 "})
    assert result.rejected.to_pylist() == [
        {
            **SALE, "source_row": 1, "record_key": "T1", "error_class": "rule",
            "field": "quantity", "value": " 0 ",
            "reason": "quantity must be a whole number of at least 1", "raw_record": None,
            "transaction_id": " T1 ", "quantity": " 0 ",
        }
    ]  # fmt: skip


def test_typed_values_are_shown_as_text() -> None:
    block, _ = block_from_records([SALE], SALES_COLUMNS)
    columns = {name: block.column(name) for name in block.schema.names}
    columns["quantity"] = pa.array([0])
    columns["transaction_date"] = pa.array([datetime(2024, 1, 20)], pa.timestamp("us"))
    row = transform_sales(pa.RecordBatch.from_pydict(columns)).rejected.to_pylist()[0]
    assert (row["value"], row["quantity"]) == ("0", "0")
    assert row["transaction_date"] == "2024-01-20 00:00:00.000000"


def test_a_long_value_is_cut_but_the_record_is_whole() -> None:
    row = transformed(CUSTOMER | {"email": "x" * 400}).rejected.to_pylist()[0]
    assert row["value"] == "x" * 200
    assert row["email"] == "x" * 400


def test_a_block_is_parted_and_both_parts_keep_the_order_of_the_source() -> None:
    ids = ["C1", "", "x" * 51, "C4", "a\0", " "]
    result = of_records([CUSTOMER | {"customer_id": key} for key in ids])
    assert result.accepted.column("source_row").to_pylist() == [1, 4]
    assert result.rejected.column("source_row").to_pylist() == [2, 3, 5, 6]
    assert result.rejected.column("error_class").to_pylist() == [
        "missing", "out_of_range", "bad_text", "missing",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("transform", "table", "columns"),
    [
        (transform_customers, CUSTOMER_DIM, CUSTOMER_COLUMNS),
        (transform_products, PRODUCT_DIM, PRODUCT_COLUMNS),
        (transform_sales, SALES_FACT, SALES_COLUMNS),
    ],
)
@pytest.mark.parametrize("records", [[], [{}], [CUSTOMER | PRODUCT | SALE]], ids=len)
def test_the_columns_are_those_of_the_schema_whatever_came(
    transform: Transform,
    table: Table,
    columns: tuple[str, ...],
    records: list[Record],
) -> None:
    result = transform(block_from_records(records, columns)[0], Rules())
    wanted = staged_schema(table).append(pa.field("source_row", pa.int64()))
    assert result.accepted.schema == wanted
    assert result.rejected.schema == reject_schema(columns)
    assert result.accepted.num_rows + result.rejected.num_rows == len(records)


@pytest.mark.parametrize("rate", ["NaN", "0." + "3" * 20])
def test_a_rate_must_be_a_number_of_some_digits(rate: str) -> None:
    with pytest.raises(TransformationError, match="commission_rate"):
        Rules(commission_rate=Decimal(rate))


# --- records into blocks -----------------------------------------------------------------


def test_values_that_no_block_can_hold_reject_their_record() -> None:
    records: list[Record] = [
        {"id": " 1 "},
        {"id": " 2 ", "name": {"a": 1}},
        {"id": 3, "name": "a\ud800"},
        {},
    ]
    block, unfit = block_from_records(records, ("id", "name"))
    assert block.to_pylist() == [
        {"source_row": 1, "id": " 1 ", "name": None}, {"source_row": 4, "id": None, "name": None},
    ]  # fmt: skip
    reported = unfit.select(["source_row", "record_key", "error_class", "field", "value", "id"])
    assert reported.to_pylist() == [
        {"source_row": 2, "record_key": "2", "error_class": "malformed", "field": "name",
         "value": "{'a': 1}", "id": " 2 "},
        {"source_row": 3, "record_key": "3", "error_class": "bad_text", "field": "name",
         "value": "a\\ud800", "id": "3"},
    ]  # fmt: skip


# --- lists of dicts ----------------------------------------------------------------------

FACES = [
    (standardize_customer_data, CUSTOMER, CUSTOMER_DIM),
    (enrich_product_data, PRODUCT, PRODUCT_DIM),
    (lambda sales: process_sales_transactions(sales, [CUSTOMER], [PRODUCT]), SALE, SALES_FACT),
]


@pytest.mark.parametrize(("face", "record", "table"), FACES)
def test_a_face_returns_the_columns_of_the_table(
    face: Callable[[list[Record]], list[Record]], record: Record, table: Table
) -> None:
    columns = table.with_role(Role.SOURCE, Role.RESTATED)
    assert [list(row) for row in face([record])] == [[column.name for column in columns]]


@pytest.mark.parametrize(("face", "record", "table"), FACES)
def test_a_face_leaves_its_input_alone_and_takes_its_own_output(
    face: Callable[[list[Record]], list[Record]], record: Record, table: Table
) -> None:
    records = [record | {"price": 1.5, "unit_price": 200.5}, record | {table.key[0]: "2"}]
    before = copy.deepcopy(records)
    once = face(records)
    assert records == before
    assert face(once) == once
    assert face([]) == []


def test_an_enhanced_segment_or_category_is_not_enhanced_again() -> None:
    segments = ["premium", "standard", "gold", ""]
    once = standardize_customer_data([CUSTOMER | {"segment": segment} for segment in segments])
    assert [row["segment"] for row in once] == [
        "Premium Plus", "Standard Plus", "Gold", "Incomplete Profile",
    ]  # fmt: skip
    assert standardize_customer_data(once) == once
    products = enrich_product_data([PRODUCT | {"category": "tech"}])
    assert enrich_product_data(products) == products


@pytest.mark.parametrize(("face", "record", "table"), FACES)
def test_a_face_leaves_out_and_logs_what_is_rejected(
    face: Callable[[list[Record]], list[Record]],
    record: Record,
    table: Table,
    caplog: pytest.LogCaptureFixture,
) -> None:
    key = table.key[0]
    bad: list[Record] = [record | {key: ""}, record | {key: []}, record | {key: "\ud800"}]
    with caplog.at_level(logging.INFO, "data_transformation"):
        assert len(face([record, *bad])) == 1
    assert f"3 of 4 {caplog.records[0].args[2]} rejected" in caplog.text  # type: ignore[index]
    assert f"{key} must not be empty (1)" in caplog.text
    metrics = caplog.records[-1]
    assert (metrics.levelname, metrics.records, metrics.errors) == ("INFO", 4, 3)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("face", "record", "table"), FACES)
@pytest.mark.parametrize("wrong", [None, "abc", {"a": 1}, ({},), [{}, 5]], ids=repr)
def test_a_face_wants_a_list_of_dicts(
    face: Callable[[Any], object], record: Record, table: Table, wrong: object
) -> None:
    with pytest.raises(TransformationError, match="a list of dicts"):
        face(wrong)


def test_money_comes_out_as_it_came_in() -> None:
    floats, decimals = enrich_product_data(
        [PRODUCT | {"price": 199.99}, PRODUCT | {"price": Decimal("199.99"), "cost": 120}]
    )
    assert (floats["price"], floats["cost"]) == (199.99, 120.0)
    assert isinstance(floats["cost"], float)
    assert isinstance(decimals["price"], Decimal)
    assert isinstance(decimals["cost"], Decimal)
    sale = process_sales_transactions([SALE | {"unit_price": 199.99}], [], [PRODUCT])[0]
    assert (sale["total_amount"], sale["profit_amount"], sale["profit_margin"]) == (
        589.97, 229.97, 0.3898,
    )  # fmt: skip


def test_rules_reach_the_faces() -> None:
    rules = Rules("425", Decimal("0.5"), Decimal("0.1"))
    local = standardize_customer_data([CUSTOMER | {"phone": "5551234"}], rules=rules)
    assert local[0]["phone"] == "(425) 555-1234"
    products = [PRODUCT | {"cost": None, "price": "100"}]
    assert enrich_product_data(products, rules=rules)[0]["cost"] == Decimal("50.00")
    sale = process_sales_transactions([SALE], [], products, rules=rules)[0]
    assert sale["profit_amount"] == Decimal("439.97")
    assert sale["commission"] == Decimal("59.00")


# --- joining -----------------------------------------------------------------------------


def processed(*changes: Record, products: list[Record] | None = None) -> list[Record]:
    sales = [SALE | change for change in changes]
    return process_sales_transactions(
        sales, [CUSTOMER], [PRODUCT] if products is None else products
    )


def test_profit_follows_from_the_cost_of_the_product() -> None:
    sale = processed({})[0]
    assert sale["profit_amount"] == Decimal("229.97")
    assert sale["profit_margin"] == Decimal("0.3898")


@pytest.mark.parametrize(
    ("price", "cost", "profit", "margin"),
    [
        ("3", "2.99985", "0.00", "0.0000"), ("8", "7.9996", "0.00", "0.0000"),
        ("16", "15.99", "0.01", "0.0006"), ("0", "5", "-5.00", None),
        ("0.01", "999.99", "-999.98", "-99998.0000"), ("0.01", "1000.01", "-1000.00", None),
        ("10", "", None, None), ("10", "x", None, None),
    ],
)  # fmt: skip
def test_a_margin_is_a_fraction_where_there_is_one(
    price: str, cost: str, profit: str | None, margin: str | None
) -> None:
    change = {"quantity": 1, "unit_price": price, "discount_amount": None}
    sale = processed(change, products=[PRODUCT | {"cost": cost}])[0]
    assert sale["profit_amount"] == (profit and Decimal(profit))
    assert sale["profit_margin"] == (margin and Decimal(margin))


def test_of_two_products_with_one_key_the_last_gives_the_cost() -> None:
    sale = processed({}, products=[PRODUCT | {"cost": "1"}, PRODUCT | {"cost": "100"}])[0]
    assert sale["profit_amount"] == Decimal("289.97")


def test_customers_and_products_may_have_been_transformed_before() -> None:
    raw = process_sales_transactions([SALE], [CUSTOMER], [PRODUCT])
    customers, products = standardize_customer_data([CUSTOMER]), enrich_product_data([PRODUCT])
    assert process_sales_transactions([SALE], customers, products) == raw


def test_sales_of_unknown_customers_and_products_are_kept_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "data_transformation"):
        _, second = processed({}, {"transaction_id": "T2", "customer_id": "C9", "product_id": "P9"})
    assert (second["profit_amount"], second["profit_margin"]) == (None, None)
    assert second["customer_status"] == "First-time"
    assert "1 transactions of products that are not known" in caplog.text
    assert "1 transactions of customers that are not known" in caplog.text


def test_the_earliest_sale_of_a_customer_is_the_first() -> None:
    sales = processed(
        {"transaction_id": "T3", "transaction_date": "2024-01-02"},
        {"transaction_id": "T2", "transaction_date": "2024-01-01"},
        {"transaction_id": "T1", "transaction_date": "2024-01-01", "customer_id": " C1 "},
        {"transaction_id": "T0", "transaction_date": "2024-01-03", "customer_id": "c1"},
    )
    assert [(sale["transaction_id"], sale["customer_status"]) for sale in sales] == [
        ("T3", "Repeat"), ("T2", "Repeat"), ("T1", "First-time"), ("T0", "First-time"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "kept"),
    [("completed", 1), (" completed\t", 1), ("COMPLETED", 1), ("pending", 0), ("", 0), (None, 0)],
)
def test_only_completed_sales_count(status: str | None, kept: int) -> None:
    assert len(processed({"status": status})) == kept


@pytest.mark.parametrize(
    ("changes", "wins"),
    [
        ({"transaction_date": "2024-01-19"}, False),
        ({"transaction_date": "2024-01-21"}, True),
        ({"customer_id": "C2"}, True),
        ({"customer_id": "C0"}, False),
        ({"product_id": "P0", "quantity": "9"}, False),
        ({"quantity": "10"}, True),
        ({"unit_price": "1000"}, True),
        ({"discount_amount": ""}, False),
        ({"sales_rep_id": None}, False),
        ({"sales_rep_id": "R2"}, True),
        ({"sales_rep_id": "R1 "}, True),
    ],
)
def test_of_sales_with_one_id_the_greatest_wins(changes: Record, wins: bool) -> None:
    other = SALE | {"product_id": "P1"} | changes
    alone = process_sales_transactions([other], [], [])
    both = process_sales_transactions([SALE, other], [], [])
    assert both == (alone if wins else process_sales_transactions([SALE], [], []))
    assert process_sales_transactions([other, SALE], [], []) == both

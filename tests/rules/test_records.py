"""Records of every kind become the same block, and a result comes back in the kind given."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from etl.errors import TransformationError
from etl.rules.records import block_from_records, records_of, staged_from_records
from etl.schema.star import CUSTOMER_DIM, PRODUCT_DIM

RECORDS: list[dict[str, Any]] = [
    {"product_id": "P1", "name": "Über", "price": 199.99, "quantity": 150},
    {"product_id": "P2", "name": None, "price": None, "quantity": 9},
]
FRAMES = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.Table.from_pylist}
KINDS = {"dicts": list, **FRAMES}
Make = Callable[[list[dict[str, Any]]], Any]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_records_gives_the_same_staged_rows(kind: str) -> None:
    block, rejected = staged_from_records(PRODUCT_DIM, KINDS[kind](RECORDS))
    expected, _ = staged_from_records(PRODUCT_DIM, RECORDS)
    assert rejected.num_rows == 0
    assert block.to_pylist() == expected.to_pylist()
    assert block["price"].to_pylist() == [Decimal("199.99"), None]


@pytest.mark.parametrize("kind", KINDS)
def test_a_result_comes_back_in_the_kind_that_was_given(kind: str) -> None:
    given = KINDS[kind](RECORDS)
    block, _ = staged_from_records(PRODUCT_DIM, given)
    result = records_of(given).like(block)
    assert type(result) is type(given)
    again = records_of(result)
    assert again.column("product_id") in (["P1", "P2"], pa.array(["P1", "P2"]))
    assert "source_row" not in again.names


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("price", "wanted"), [(2.5, float), (Decimal("2.50"), Decimal)])
def test_money_is_of_the_type_that_was_given(kind: str, price: object, wanted: type) -> None:
    given = KINDS[kind]([{"product_id": "P1", "price": price, "cost": None}])
    block, _ = staged_from_records(PRODUCT_DIM, given)
    result = records_of(given).like(block, ("price", "cost"))
    assert type(records_of(result).record(0)["price"]) is wanted


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_that_is_not_there_is_missing_and_not_present(kind: str) -> None:
    records = records_of(KINDS[kind](RECORDS))
    block, _ = block_from_records(records, ("product_id", "brand"))
    assert block["brand"].null_count == 2
    assert records.present("brand").to_pylist() == [False, False]
    assert records.present("price").to_pylist() == [True, True]


def test_what_pandas_calls_missing_is_missing() -> None:
    frame = pd.DataFrame({
        "customer_id": ["C1", "C2", "C3", "C4"],
        "name": pd.Series(["Ann", float("nan"), pd.NA, None], dtype=object),
        "registration_date": pd.to_datetime(pd.Series(["2024-01-15", None, None, None])),
        "phone_valid": [True, None, False, None],
    })  # fmt: skip
    block, rejected = staged_from_records(CUSTOMER_DIM, frame)
    assert rejected.num_rows == 0
    assert block["name"].to_pylist() == ["Ann", None, None, None]
    assert block["registration_date"].to_pylist() == [date(2024, 1, 15), None, None, None]
    assert block["phone_valid"].to_pylist() == [True, None, False, None]


@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES)
def test_a_nan_among_floats_is_missing(make: Make) -> None:
    frame = make([{"product_id": "P1", "price": float("nan")}])
    block, rejected = staged_from_records(PRODUCT_DIM, frame)
    assert (rejected.num_rows, block["price"].to_pylist()) == (0, [None])


def test_whole_numbers_that_pandas_made_floats_are_keys_without_a_fraction() -> None:
    frame = pd.DataFrame({"customer_id": [7, None], "name": ["Ann", "Bob"]})
    block, rejected = staged_from_records(CUSTOMER_DIM, frame)
    assert block["customer_id"].to_pylist() == ["7"]
    assert rejected["reason"].to_pylist() == ["customer_id must not be empty"]


def test_a_column_of_several_types_is_read_value_by_value() -> None:
    moment = datetime(2024, 1, 20, 14, 30)
    values = pd.Series([1, "x", [2], None, "\ud83d", moment], dtype=object)
    block, rejected = block_from_records(pd.DataFrame({"id": values}), ("id",))
    assert block["id"].to_pylist() == ["1", "x", None, "2024-01-20T14:30:00"]
    assert rejected["source_row"].to_pylist() == [3, 5]
    assert rejected["error_class"].to_pylist() == ["malformed", "bad_text"]


@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES)
def test_nested_values_of_a_frame_are_rejected(make: Make) -> None:
    block, rejected = block_from_records(make([{"id": "A", "n": [1]}]), ("id", "n"))
    assert (block.num_rows, rejected["reason"].to_pylist()) == (0, ["n must be a single value"])
    assert rejected["record_key"].to_pylist() == ["A"]


def test_categories_are_read_as_their_texts() -> None:
    frame = pl.DataFrame({"id": pl.Series(["A", "B", "A"], dtype=pl.Categorical)})
    for given in (frame, frame.to_pandas(), frame.to_arrow()):
        assert block_from_records(given, ("id",))[0]["id"].to_pylist() == ["A", "B", "A"]


def test_types_of_a_pandas_result_do_not_depend_on_missing_values() -> None:
    def types(records: list[dict[str, Any]]) -> dict[str, str]:
        frame = pd.DataFrame(records)
        result = records_of(frame).like(staged_from_records(PRODUCT_DIM, frame)[0])
        return {name: str(kind) for name, kind in result.dtypes.items()}

    whole = types([{"product_id": "P1", "quantity": 5, "name": "a"}])
    assert whole == types([{"product_id": "P1", "quantity": None, "name": None}])
    assert (whole["quantity"], whole["is_inferred"]) == ("Int64", "boolean")


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("C1,Ann", "customers is a str"),
        ({"customer_id": "C1"}, "customers is a dict"),
        (None, "customers is a NoneType"),
        ([{}, "C1"], "customers[1] is a str"),
        (pd.Series(["C1"]), "customers is a Series"),
        (pl.LazyFrame({"customer_id": ["C1"]}), "customers is a LazyFrame"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "customers is a DataFrame"),
    ],
)
def test_what_is_no_records_is_refused_by_its_kind(given: object, named: str) -> None:
    with pytest.raises(TransformationError, match="Choices: a list of dicts") as caught:
        records_of(given, "customers")
    assert caught.value.what.startswith(named)


@pytest.mark.parametrize("kind", KINDS)
def test_no_records_at_all_give_an_empty_block(kind: str) -> None:
    given = KINDS[kind]([])
    block, rejected = staged_from_records(PRODUCT_DIM, given)
    assert (block.num_rows, rejected.num_rows) == (0, 0)
    assert len(records_of(records_of(given).like(block))) == 0

"""The public face of the transformations: any kind of records in, the same kind out."""

import copy
from decimal import Decimal
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import TransformationError
from etl.rules.steps import STEPS
from etl.transform import (
    apply_steps,
    clean_rows,
    find_outliers,
    handle_nulls,
    impute,
    remove_duplicates,
    standardize_states,
    trim_whitespace,
)

ROWS: list[dict[str, Any]] = [
    {"id": "1", "state": "new york", "price": 10.0, "quantity": 1},
    {"id": "2", "state": " TX ", "price": None, "quantity": 2},
    {"id": "2", "state": "", "price": 20.0, "quantity": None},
    {"id": "3", "state": "NULL", "price": 90.0, "quantity": 5},
]
KINDS = {
    "list of dicts": copy.deepcopy,
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "Arrow": pa.Table.from_pylist,
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def as_rows(records: Any) -> list[dict[str, Any]]:
    """Records of any kind as dicts, missing values as None."""
    if isinstance(records, pd.DataFrame):
        records = pa.Table.from_pandas(records, preserve_index=False)
    if isinstance(records, pl.DataFrame):
        return records.to_dicts()
    rows: list[dict[str, Any]] = records if isinstance(records, list) else records.to_pylist()
    return [{n: None if v != v else v for n, v in row.items()} for row in rows]  # noqa: PLR0124  # NaN


@every_kind
def test_every_kind_of_records_comes_back_in_its_kind(kind: str) -> None:
    given_rows = KINDS[kind](ROWS)
    before = as_rows(copy.deepcopy(given_rows))
    cleaned, report = clean_rows(
        given_rows, remove_dupes=True, key_fields=["id"], imputation_strategy="mean",
        validate_rules=True, return_quality_report=True,
    )  # fmt: skip
    assert type(cleaned) is type(given_rows)
    assert as_rows(given_rows) == before
    assert as_rows(cleaned) == [
        {"id": "1", "state": "new york", "price": 10.0, "quantity": 1},
        {"id": "2", "state": None, "price": 20.0, "quantity": 3},
        {"id": "3", "state": None, "price": 90.0, "quantity": 5},
    ]
    assert (report["duplicate_records"], report["imputed"]) == (1, {"quantity": 1})


@every_kind
def test_each_function_gives_the_same_for_every_kind(kind: str) -> None:
    rows = KINDS[kind](ROWS)
    assert [row["state"] for row in as_rows(standardize_states(rows))] == [
        "NY", "TX", None, "NULL",
    ]  # fmt: skip
    assert [row["state"] for row in as_rows(handle_nulls(rows))] == ["new york", " TX ", None, None]
    assert [row["id"] for row in as_rows(remove_duplicates(rows, ["id"]))] == ["1", "2", "3"]
    assert len(as_rows(remove_duplicates(rows))) == 4
    assert find_outliers(rows, "price", "median deviation") == [3]
    found = impute(rows, {"price": "median", "quantity": "forward"})
    assert [row["price"] for row in as_rows(found.rows)] == [10, 20, 20, 90]
    assert [row["quantity"] for row in as_rows(found.rows)] == [1, 2, 2, 5]
    assert found.made == {"price": 1, "quantity": 1}


def test_a_column_that_does_not_change_keeps_its_type_and_the_index_of_the_frame() -> None:
    frame = pd.DataFrame(
        {"id": pd.Categorical(["a", "b"]), "n": [1.0, None]}, index=pd.Index(["x", "y"])
    )
    found = impute(frame, {"n": "mean"}).rows
    assert list(found.index) == ["x", "y"]
    assert str(found["id"].dtype) == "category"


def test_dicts_need_not_have_the_same_keys() -> None:
    rows = [{"a": 1}, {"b": " x "}, {"a": None, "b": "y"}]
    assert trim_whitespace(rows) == [{"a": 1}, {"b": "x"}, {"a": None, "b": "y"}]
    assert impute(rows, {"a": "mode"}).rows == [{"a": 1}, {"b": " x ", "a": 1}, {"a": 1, "b": "y"}]


@pytest.mark.parametrize(
    ("values", "strategy", "made"),
    [
        ([1, None, 2], "mean", 2),  # whole numbers are rounded, halves away from zero
        ([Decimal("1.00"), None, Decimal("2.01")], "mean", Decimal("1.51")),
        (["1.00", "", "2.01"], "mean", "1.505"),  # numbers that stand as texts
        (["1", None, "4"], "median", "2.5"),
        ([1.5, None, 1.5, 9.0], "mode", 1.5),
        (["b", None, "a"], "mode", "b"),  # of several the first
        ([None, 5, None], "forward", 5),
        ([7, None], "default", 0),
        ([True, None, True], "mode", True),
    ],
)
def test_values_are_made_up(values: list[Any], strategy: str, made: object) -> None:
    found = impute([{"v": value} for value in values], {"v": strategy})
    place = (
        len(values) - 1 if strategy == "forward" else [v in (None, "") for v in values].index(True)
    )
    assert found.rows[place]["v"] == made and type(found.rows[place]["v"]) is type(made)


def test_nothing_is_made_up_of_nothing() -> None:
    found = impute([{"v": None}, {"v": None}], {"v": "mean"})
    assert (found.rows, found.made) == ([{"v": None}, {"v": None}], {"v": 0})


def test_constants_are_given_by_column() -> None:
    found = impute([{"v": None, "w": 1}], {"v": "constant"}, constants={"v": "x"})
    assert found.rows == [{"v": "x", "w": 1}]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: impute([{"v": "x"}, {}], {"v": "mean"}), "v holds no numbers, which mean needs"),
        (lambda: impute([{"v": 1}], {"w": "mean"}), "no column 'w'"),
        (lambda: impute([{"v": 1}], {"v": "magic"}), "no strategy 'magic'"),
        (lambda: apply_steps([{"v": "1"}], {"v": ["bleach"]}), "no step 'bleach'"),
        (lambda: remove_duplicates([{"v": 1}], ["w"]), "no column 'w'"),
        (lambda: find_outliers([{"v": "x"}], "v"), "v holds no numbers"),
        (lambda: impute([{"v": 1}, {"v": "a"}], {"v": "mode"}), "values of several types"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_an_error_that_says_so(call: Any, words: str) -> None:
    with pytest.raises(TransformationError) as error:
        call()
    assert words in str(error.value)


def test_records_that_break_a_usual_rule_are_left_out_and_listed() -> None:
    rows = [
        {"email": "a@x.org", "quantity": "1", "total": "5"},
        {"email": "nobody", "quantity": "0", "total": "5"},
        {"email": None, "quantity": "many", "total": "-5"},
    ]
    cleaned, report = clean_rows(rows, validate_rules=True, return_quality_report=True)
    assert cleaned == rows[:1]
    assert [(e["row"], e["field"], e["rule"]) for e in report["validation_errors"]] == [
        (1, "email", "is an e-mail address"),
        (1, "quantity", "is positive"),
        (2, "quantity", "is positive"),
        (2, "quantity", "is at most 10,000"),
        (2, "total", "is not negative"),
    ]
    assert (report["valid_records"], report["invalid_records"]) == (1, 2)
    assert report["overall_score"] == round(
        0.4 * report["completeness_score"] + 0.4 * report["validity_score"]
        + 0.2 * report["consistency_score"], 2,
    )  # fmt: skip


@settings(max_examples=25)
@given(
    texts=st.lists(
        st.none() | st.text("aB é.\tß", max_size=8) | st.sampled_from(["N. Y.", "oHIO"])
    ),
    step=st.sampled_from(sorted(STEPS)),
)
def test_a_step_gives_the_same_again_and_does_not_see_other_records(
    texts: list[str | None], step: str
) -> None:
    column = pa.array(texts, pa.string())
    once = STEPS[step](column)
    assert STEPS[step](once) == once
    alone = [STEPS[step](column.slice(n, 1)).to_pylist()[0] for n in range(len(texts))]
    assert once.to_pylist() == alone


@settings(max_examples=25)
@given(
    rows=st.lists(
        st.fixed_dictionaries({
            "nr": st.sampled_from(["1", "2", " 1", None]),
            "price": st.none() | st.sampled_from([1.0, 2.5, 1e3]),
            "state": st.none() | st.sampled_from([" utah", "UT", "NULL", "x  y"]),
        }),
        min_size=1, max_size=8,
    ),
    strategy=st.sampled_from(["default", "mean", "median", "mode", "forward"]),
)  # fmt: skip
def test_cleaned_records_stay_as_they_are_when_they_are_cleaned_again(
    rows: list[dict[str, Any]], strategy: str
) -> None:
    once = clean_rows(rows, remove_dupes=True, imputation_strategy=strategy, validate_rules=True)
    twice = clean_rows(once, imputation_strategy=strategy, validate_rules=True)
    assert twice == once

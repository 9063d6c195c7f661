"""Records of a declared table are typed and checked, and rejected with their reasons."""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.errors import TransformationError
from etl.rules.declared import (
    Condition,
    Declaration,
    faults_of_expressions,
    transform_declared,
)
from etl.schema.table import Column, Kind, Table

Record = Mapping[str, str | None]

KEY = Column("order_id", "key", Kind.TEXT, width=5, required=True)
ORDERS = Table(
    "orders", "orders", ("order_id",),
    columns=(
        KEY,
        Column("note", "", Kind.TEXT, width=4),
        Column("items", "", Kind.INTEGER),
        Column("big", "", Kind.BIGINT),
        Column("total", "", Kind.DECIMAL, precision=6, scale=2),
        Column("paid", "", Kind.BOOLEAN),
        Column("due", "", Kind.DATE),
        Column("placed", "", Kind.TIMESTAMP, required=True),
    ),
)  # fmt: skip
GOOD: dict[str, str | None] = {
    "order_id": "A1", "note": " x ", "items": "2", "big": "9223372036854775807", "total": "1.005",
    "paid": "Yes", "due": "31.01.2024", "placed": "2024-01-31T10:00:00+01:00",
}  # fmt: skip


def block_of(*records: Record) -> pa.RecordBatch:
    names = list(GOOD)
    arrays = {name: pa.array([r.get(name) for r in records], pa.string()) for name in names}
    rows = pa.array(range(2, len(records) + 2), pa.int64())
    return pa.RecordBatch.from_pydict({"source_row": rows, **arrays})


def accepted(*records: Record, **declared: Any) -> list[dict[str, Any]]:
    found = transform_declared(block_of(*records), Declaration(ORDERS, **declared))
    rows: list[dict[str, Any]] = found.accepted.to_pylist()
    return rows


def rejected(*records: Record, **declared: Any) -> list[tuple[str, str]]:
    found = transform_declared(block_of(*records), Declaration(ORDERS, **declared)).rejected
    return list(
        zip(
            found.column("error_class").to_pylist(), found.column("reason").to_pylist(), strict=True
        )
    )


def test_a_record_is_typed_by_the_columns_of_its_table() -> None:
    assert accepted(GOOD) == [{
        "order_id": "A1", "note": "x", "items": 2, "big": 2**63 - 1, "total": Decimal("1.01"),
        "paid": True, "due": date(2024, 1, 31), "placed": datetime(2024, 1, 31, 9), "source_row": 2,
    }]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "error_class", "reason"),
    [
        ({"order_id": " "}, "missing", "order_id must not be empty"),
        ({"placed": None}, "missing", "placed must not be empty"),
        ({"note": "abcde"}, "out_of_range", "note must have at most 4 characters"),
        ({"items": "2.5"}, "unreadable", "items must be a whole number"),
        ({"items": "2147483648"}, "out_of_range", "items must lie between -2,147,"),
        ({"big": "9223372036854775808"}, "out_of_range", "big must lie between -9,223,"),
        ({"big": "1.5"}, "unreadable", "big must be a whole number"),
        ({"total": "10000"}, "out_of_range", "total must lie between"),
        ({"total": "1,5"}, "unreadable", "total has a decimal comma"),
        ({"paid": "maybe"}, "unreadable", "paid must be true or false"),
        ({"due": "31.02.2024"}, "unreadable", "due must be a date"),
        ({"order_id": "A\0"}, "bad_text", "order_id must not hold a NUL"),
    ],
)
def test_a_value_that_does_not_fit_rejects_its_record(
    change: dict[str, str | None], error_class: str, reason: str
) -> None:
    ((found_class, found_reason),) = rejected(GOOD | change, GOOD)
    assert found_class == error_class
    assert found_reason.startswith(reason)


def test_a_column_that_is_absent_is_missing_or_has_its_default() -> None:
    block = block_of(GOOD).drop_columns(["paid", "note"])
    declared = Declaration(ORDERS, defaults={"paid": "no"})
    row = transform_declared(block, declared).accepted.to_pylist()[0]
    assert (row["paid"], row["note"]) == (False, None)


def test_a_value_that_is_missing_is_computed_from_the_others() -> None:
    computed = {"total": "items * 2.5 -- each", "note": "upper(order_id)"}
    rows = accepted(GOOD | {"total": "", "note": None}, GOOD, computed=computed)
    assert [(row["total"], row["note"]) for row in rows] == [
        (Decimal("5.00"), "A1"), (Decimal("1.01"), "x")
    ]  # fmt: skip
    ((error_class, _),) = rejected(GOOD | {"note": ""}, computed={"note": "repeat('x', 5)"})
    assert error_class == "out_of_range"


def test_exports_write_nothing_keys_and_numbers_in_their_own_ways() -> None:
    (row,) = accepted(
        GOOD | {"order_id": '="A1"', "note": "\\N", "total": "1,5", "items": "NULL"}, decimal=","
    )
    assert (row["order_id"], row["note"], row["total"], row["items"]) == (
        "A1", None, Decimal("1.50"), None
    )  # fmt: skip
    ((_, reason),) = rejected(GOOD | {"order_id": "7E+3"})
    assert "E-notation" in reason


def test_the_key_of_a_rejected_record_is_that_of_the_table() -> None:
    key = (Column("day", "", Kind.DATE, required=True), Column("nr", "", Kind.INTEGER))
    table = Table("visits", "", ("day", "nr"), (*key, Column("n", "", Kind.INTEGER, required=True)))
    texts = {"day": ["31.01.2024", "never"], "nr": ["007", "8"], "n": ["", "1"]}
    block = pa.record_batch({"source_row": [2, 3], **texts})
    found = transform_declared(block, Declaration(table)).rejected
    assert found.column("record_key").to_pylist() == ["2024-01-31|7", "never|8"]


def test_a_record_that_breaks_a_rule_is_rejected_with_it() -> None:
    conditions = (Condition("positive", "total >= 0 -- refunds come apart"),)
    records = (GOOD, GOOD | {"order_id": "A2", "total": "-1"}, GOOD | {"total": None})
    assert [row["order_id"] for row in accepted(*records, conditions=conditions)] == ["A1", "A1"]
    ((error_class, reason),) = rejected(*records, conditions=conditions)
    assert error_class == "rule"
    assert reason.startswith("rule positive is broken: total >= 0")


def test_a_rule_that_warns_is_counted() -> None:
    conditions = (Condition("small", "total < 1", rejects=False),)
    found = transform_declared(block_of(GOOD, GOOD), Declaration(ORDERS, conditions))
    assert found.notes == {"break_rule_small": 2}
    assert found.accepted.num_rows == 2


@pytest.mark.parametrize("check", ["totl > 0", "total >", "read_csv('x.csv')", "total; DROP x"])
def test_a_rule_that_is_no_expression_over_the_columns_is_refused(check: str) -> None:
    declared = Declaration(ORDERS, (Condition("r", check),), computed={"note": check})
    faults = list(faults_of_expressions(declared))
    assert [(part, name) for part, name, _ in faults] == [("rules", "r"), ("defaults", "note")]
    assert "is no SQL expression over the columns order_id, note," in faults[0][2]


def test_a_rule_that_fails_for_a_value_says_so() -> None:
    with pytest.raises(TransformationError, match="a rule or default of orders failed"):
        accepted(GOOD, conditions=(Condition("r", "CAST(note AS INTEGER) > 0"),))


VALUES = st.one_of(
    st.none(),
    st.sampled_from(
        ["", " ", "1", "-1", "2.50", "1e3", "yes", "off", "2024-01-31", "x" * 9, "NaN"]
    ),
    st.text(max_size=6),
)
RECORDS = st.lists(st.fixed_dictionaries(dict.fromkeys(GOOD, VALUES)), max_size=12)
RULES = (Condition("r", "items > 0 OR note = 'x'"), Condition("w", "paid", rejects=False))


@given(RECORDS, st.integers(1, 12))
def test_every_record_is_accepted_or_rejected_however_it_is_split(
    records: list[Record], size: int
) -> None:
    block, declaration = block_of(*records), Declaration(ORDERS, RULES)
    whole = transform_declared(block, declaration)
    assert whole.accepted.num_rows + whole.rejected.num_rows == len(records)
    parts = [
        transform_declared(block.slice(start, size), declaration)
        for start in range(0, len(records), size)
    ]
    assert [r for p in parts for r in p.accepted.to_pylist()] == whole.accepted.to_pylist()
    assert [r for p in parts for r in p.rejected.to_pylist()] == whole.rejected.to_pylist()

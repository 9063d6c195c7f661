"""Staged records are cleaned as a whole as a slow model cleans them, on every engine alike."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pyarrow as pa
import pytest
from engines import DUCKDB, Engine
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.engines import ddl
from etl.engines.database import DatabaseManager
from etl.rules.cleaning import Cleaning, Duplicates, Imputed, Outliers
from etl.schema.arrow import staged_schema
from etl.schema.table import Column, Kind, Table
from etl.warehouse.cleaning import Found, cleaned

ORDERS = Table(
    "orders", "", ("id",),
    (
        Column("id", "", Kind.TEXT, width=10, required=True, exact=True),
        Column("city", "", Kind.TEXT, width=20, exact=True),
        Column("pieces", "", Kind.INTEGER),
        Column("total", "", Kind.DECIMAL, precision=12, scale=2),
        Column("weight", "", Kind.DOUBLE),
        Column("paid", "", Kind.BOOLEAN),
    ),
)  # fmt: skip
STAGED = tuple(replace(column, required=False) for column in ORDERS.columns)
STAGE = Table("stage_orders", "", (), (Column("source_row", "", Kind.BIGINT), *STAGED))

Record = dict[str, Any]


def record(row: int, **values: Any) -> Record:
    names = [column.name for column in ORDERS.columns]
    return {"source_row": row, **dict.fromkeys(names), "id": f"O{row}", **values}


def connection_of(engine: Engine) -> str:
    return engine.new_database() if engine.is_server else "duckdb:///:memory:"


class Cleaned:
    """What cleaning has left of staged records, set aside, and counted."""

    def __init__(self, db: DatabaseManager, records: Sequence[Record], cleaning: Cleaning) -> None:
        schema = pa.schema([pa.field("source_row", pa.int64()), *staged_schema(ORDERS)])
        db.execute(ddl.drop_temporary(db.dialect, STAGE.name))
        stage = ddl.temporary_table(db.dialect, STAGE)
        db.execute(ddl.create_temporary(db.dialect, stage))
        db.append(stage, pa.RecordBatch.from_pylist(list(records), schema=schema))
        self.notes = Counter[str]()
        self.found: list[Found] = list(cleaned(db, ORDERS, stage.name, cleaning, self.notes))
        names = ", ".join(f'"{name}"' for name in schema.names)
        rows = db.query(f'SELECT {names} FROM "{stage.name}" ORDER BY "source_row"')
        self.left = [dict(zip(schema.names, row, strict=True)) for row in rows]

    def values(self, name: str) -> list[Any]:
        return [row[name] for row in self.left]

    @property
    def rows(self) -> list[int]:
        return [row["source_row"] for row in self.left]


@pytest.fixture(scope="module")
def memory() -> Iterator[DatabaseManager]:
    with DatabaseManager(connection_of(DUCKDB)) as db:
        yield db


# --- a slow model ----------------------------------------------------------------------------


def model_of(values: Sequence[Decimal | None], strategy: str) -> list[Decimal | None]:
    known = [value for value in values if value is not None]
    if not known:
        return list(values)
    if strategy == "forward":
        return [
            next((v for v in reversed(values[: n + 1]) if v is not None), None)
            for n in range(len(values))
        ]
    ordered = sorted(known)
    middle = (ordered[(len(known) - 1) // 2] + ordered[len(known) // 2]) / 2
    made = {
        "mean": sum(known, Decimal(0)) / len(known), "median": middle,
        "mode": max(known, key=lambda v: (known.count(v), -known.index(v))),
    }[strategy].quantize(Decimal("0.01"), ROUND_HALF_UP)  # fmt: skip
    return [made if value is None else value for value in values]


_TOTALS = st.lists(
    st.none() | st.decimals(-50, 50, places=2) | st.sampled_from([Decimal("7.50"), Decimal(1)]),
    min_size=1, max_size=12,
)  # fmt: skip


@settings(max_examples=15)
@given(totals=_TOTALS, strategy=st.sampled_from(["mean", "median", "mode", "forward"]))
def test_values_are_made_up_as_the_model_makes_them_up(
    totals: list[Decimal | None], strategy: str, memory: DatabaseManager
) -> None:
    records = [record(n, total=total) for n, total in enumerate(totals)]
    found = Cleaned(memory, records, Cleaning(imputed=(Imputed("total", strategy),)))
    wanted = model_of(totals, strategy)
    assert found.values("total") == wanted
    assert found.notes["imputed_total"] == totals.count(None) - wanted.count(None)


def model_bounds(values: Sequence[Decimal], method: str) -> tuple[Decimal, Decimal] | None:
    ordered = sorted(values)

    def at(per: int) -> Decimal:
        return ordered[max(1, math.ceil(per * len(ordered) / 100)) - 1]

    if method == "median deviation":
        distances = sorted(abs(value - at(50)) for value in ordered)
        reach = distances[math.ceil(len(ordered) / 2) - 1] * Decimal("3.5") / Decimal("0.6745")
        return (at(50) - reach, at(50) + reach) if reach else None
    low, high = (at(1), at(99)) if method == "quantile" else (at(25), at(75))
    reach = (high - low) * (1 if method == "quantile" else Decimal("1.5"))
    return (low - reach, high + reach) if reach else None


@settings(max_examples=15)
@given(
    totals=st.lists(
        st.decimals(0, 20, places=2) | st.sampled_from([Decimal(-90), Decimal(500)]),
        min_size=1, max_size=15,
    ),
    method=st.sampled_from(["quantile", "iqr", "median deviation"]),
)  # fmt: skip
def test_outliers_are_taken_away_as_the_model_takes_them_away(
    totals: list[Decimal], method: str, memory: DatabaseManager
) -> None:
    records = [record(n, total=total) for n, total in enumerate(totals)]
    found = Cleaned(memory, records, Cleaning(outliers=(Outliers("total", method, "missing"),)))
    bounds = model_bounds(totals, method)
    kept = [t if bounds is None or bounds[0] <= t <= bounds[1] else None for t in totals]
    assert found.values("total") == kept
    assert found.notes["outliers_total"] == kept.count(None)


# --- on every engine -------------------------------------------------------------------------

SOME = [
    record(2, city="Rome", pieces=1, total=Decimal("1.50"), weight=0.1, paid=True),
    record(3, city="rome", pieces=2, total=Decimal("2.00"), weight=0.2, paid=False),
    record(4),
    record(5, city="Rome", pieces=2, total=Decimal("2.05"), weight=0.7),
    record(6, city="Rome", pieces=4, total=Decimal("2.50"), weight=1e6),
    record(7, pieces=1000, total=Decimal("900.00"), weight=0.7),
]


@pytest.fixture(scope="module")
def database(every_engine: Engine) -> Iterator[DatabaseManager]:
    with DatabaseManager(connection_of(every_engine)) as db:
        yield db


@pytest.mark.parametrize(
    ("column", "strategy", "made"),
    [
        ("pieces", "mean", 202), ("pieces", "median", 2), ("pieces", "mode", 2),
        ("total", "mean", Decimal("181.61")), ("total", "median", Decimal("2.05")),
        ("total", "mode", Decimal("1.50")), ("weight", "mode", 0.7),
        ("weight", "mean", math.fsum([0.1, 0.2, 0.7, 1e6, 0.7]) / 5),
        ("city", "mode", "Rome"), ("city", "forward", "rome"), ("paid", "forward", False),
        ("paid", "mode", True),
    ],
)  # fmt: skip
def test_every_kind_of_value_is_made_up_alike(
    database: DatabaseManager, column: str, strategy: str, made: object
) -> None:
    found = Cleaned(database, SOME, Cleaning(imputed=(Imputed(column, strategy),)))
    assert found.left[2][column] == made


@pytest.mark.parametrize("column", ["pieces", "total", "weight"])
def test_outliers_of_every_kind_are_clipped_alike(database: DatabaseManager, column: str) -> None:
    found = Cleaned(database, SOME, Cleaning(outliers=(Outliers(column, "iqr", "clip"),)))
    row, bound = {"pieces": (5, 7.0), "total": (5, 3.25), "weight": (4, 1.45)}[column]
    assert float(found.left[row][column]) == pytest.approx(bound)
    assert found.notes == {f"outliers_{column}": 1}


def test_rejected_outliers_are_set_aside_with_the_bounds(database: DatabaseManager) -> None:
    found = Cleaned(database, SOME, Cleaning(outliers=(Outliers("total", "iqr", "reject"),)))
    (set_aside,) = found.found
    assert set_aside.rows["source_row"].to_pylist() == [7]
    assert set_aside.reason.startswith("total is an outlier by iqr: it must lie between 1.25 and")
    assert found.rows == [2, 3, 4, 5, 6]


def test_duplicates_by_columns_leave_the_last_and_those_without_a_value(
    database: DatabaseManager,
) -> None:
    found = Cleaned(database, SOME, Cleaning(Duplicates(("city", "pieces"))))
    assert (found.rows, found.found) == ([2, 3, 4, 5, 6, 7], [])
    by_city = Cleaned(database, SOME, Cleaning(Duplicates(("city",), keep="first")))
    assert by_city.rows == [2, 3, 4, 7]
    (set_aside,) = by_city.found
    assert set_aside.is_duplicate and set_aside.rows["source_row"].to_pylist() == [5, 6]
    assert set_aside.reason == "another record of this city took precedence"


def test_duplicates_by_content_take_missing_values_for_equal(database: DatabaseManager) -> None:
    twice = [record(2, id="A"), record(3, id="A"), record(4, id="A", city="Rome"), record(5)]
    found = Cleaned(database, twice, Cleaning(Duplicates()))
    assert found.rows == [3, 4, 5]


def test_a_required_value_that_cannot_be_made_up_rejects_its_record(
    memory: DatabaseManager,
) -> None:
    records = [record(2, id=None), record(3, id="B")]
    found = Cleaned(memory, records, Cleaning(imputed=(Imputed("id", "forward"),)))
    (set_aside,) = found.found
    assert (set_aside.reason, set_aside.field, found.rows) == ("id must not be empty", "id", [3])

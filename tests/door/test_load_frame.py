"""Any frame into a table of one's own: upsert, append, replace, with true counts."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd  # type: ignore[import-untyped,unused-ignore]
import polars as pl
import pyarrow as pa
import pytest
from engines import Engine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_loading import DatabaseManager, load_frame
from etl.errors import HeldBackError, LoadingError, TransformationError
from etl.schema.table import Kind

MEMORY = "duckdb:///:memory:"


@pytest.fixture
def db(every_engine: Engine) -> Iterator[DatabaseManager]:
    connection = every_engine.new_database() if every_engine.is_server else MEMORY
    with DatabaseManager(connection) as manager:
        yield manager


def counts(loaded: dict[str, Any]) -> dict[str, int]:
    names = ("processed", "inserted", "updated", "unchanged", "failed", "duplicates", "removed")
    found = {name: loaded[name] for name in names}
    balance = found["inserted"] + found["updated"] + found["unchanged"]
    assert balance + found["failed"] + found["duplicates"] == found["processed"]
    return {name: rows for name, rows in found.items() if rows and name != "processed"}


def wide(rows: range) -> pa.Table:
    """20 columns of all kinds."""
    numbers = pa.array(rows, pa.int64())
    texts = [pa.array([f"{name} {n % 97}" for n in rows]) for name in ("city", "team", "note")]
    money = pa.array([Decimal(n % 1000) / 4 for n in rows], pa.decimal128(12, 2))
    halves = pa.array([n / 2 for n in rows], pa.float64())
    flags = pa.array([n % 3 == 0 for n in rows])
    days = pa.array([date(2024, 1, 1) + timedelta(n % 300) for n in rows])
    times = pa.array([datetime(2024, 1, 1) + timedelta(seconds=n) for n in rows])
    others = [*texts, money, halves, flags, days, times]
    arrays = [numbers, *others, *others, *others[:3]]
    return pa.table(arrays, names=["order_id", *(f"c{n}" for n in range(1, len(arrays)))])


@pytest.mark.usefixtures("every_engine")
def test_a_frame_of_twenty_columns_is_merged_with_true_counts(db: DatabaseManager) -> None:
    rows = 20_000 if db.dialect.has_keys else 100_000  # many blocks; a server takes its time
    frame = wide(range(rows))
    assert frame.num_columns == 20
    assert counts(load_frame(frame, "orders", db, key=["order_id"])) == {"inserted": rows}
    assert counts(load_frame(frame, "orders", db)) == {"unchanged": rows}

    changed = frame.to_pydict()["c1"][: rows // 2]
    changed[:1000] = [f"{text}!" for text in changed[:1000]]
    half = frame.slice(0, rows // 2).set_column(1, "c1", pa.array(changed))
    loaded = load_frame(pa.concat_tables([half, wide(range(rows, rows + 500))]), "orders", db)
    assert counts(loaded) == {"inserted": 500, "updated": 1000, "unchanged": rows // 2 - 1000}
    assert loaded["changed_columns"] == {"c1": 1000}
    assert db.value('SELECT count(*) FROM "orders"') == rows + 500


FRAME = pd.DataFrame(
    {
        "order_id": [1, 2, 3],
        "note": ["a", None, " é "],
        "rate": [0.1, None, 3.0],
        "total": [Decimal("1.10"), None, Decimal("22.25")],
        "placed_at": [datetime(2024, 1, 1, 10, 30), None, datetime(2024, 1, 3)],
        "paid": [True, False, True],
    }
)
ROWS_OF_FRAME = [
    (1, "a", 0.1, Decimal("1.10"), datetime(2024, 1, 1, 10, 30), True),
    (2, None, None, None, None, False),
    (3, "é", 3.0, Decimal("22.25"), datetime(2024, 1, 3), True),
]


def stored(db: DatabaseManager, table: str = "orders") -> list[tuple[Any, ...]]:
    return db.query(f"SELECT * FROM {table} ORDER BY 1, 2")


@pytest.mark.usefixtures("every_engine")
def test_every_kind_of_frame_is_the_same_to_the_table(db: DatabaseManager) -> None:
    dicts = [
        {name: None if pd.isna(value) else value for name, value in row.items()}
        for row in FRAME.to_dict("records")
    ]
    for n, frame in enumerate((FRAME, pl.from_pandas(FRAME), pa.Table.from_pandas(FRAME), dicts)):
        assert counts(load_frame(frame, f"orders{n}", db, key="order_id")) == {"inserted": 3}
        assert stored(db, f"orders{n}") == ROWS_OF_FRAME
        assert counts(load_frame(FRAME, f"orders{n}", db)) == {"unchanged": 3}


@pytest.mark.usefixtures("every_engine")
def test_an_existing_table_gives_columns_key_and_stamps(db: DatabaseManager) -> None:
    text, moment = db.dialect.types[Kind.TEXT], db.dialect.types[Kind.TIMESTAMP]
    db.execute(
        f"CREATE TABLE orders (line INTEGER, order_id {text.format(width=20)}, "
        f"note {text.format(width=9)}, created_date {moment} NOT NULL, updated_date {moment}, "
        "PRIMARY KEY (order_id, line))"
    )
    frame = pl.DataFrame({"order_id": ["O1", "O1"], "line": [1, 2], "note": ["a", "b"]})
    assert counts(load_frame(frame, "orders", db)) == {"inserted": 2}
    first = db.query("SELECT created_date, updated_date FROM orders ORDER BY line")
    assert None not in first[0]
    changed = pl.DataFrame({"order_id": ["O1", "O1"], "line": [1, 2], "note": ["a", "c"]})
    assert counts(load_frame(changed, "orders", db)) == {"updated": 1, "unchanged": 1}
    then = db.query("SELECT created_date, updated_date FROM orders ORDER BY line")
    assert then[0] == first[0]
    assert then[1][0] == first[1][0]
    assert then[1][1] > first[1][1]


@pytest.mark.usefixtures("every_engine")
def test_what_does_not_fit_is_reported_with_its_reason(db: DatabaseManager) -> None:
    db.execute(
        "CREATE TABLE orders (order_id INTEGER PRIMARY KEY, placed DATE, total DECIMAL(4, 2))"
    )
    frame = pd.DataFrame(
        {"order_id": ["1", None, "x", "4"], "placed": ["2024-01-01", None, None, "soon"],
         "total": [1, 2, 3, 4]}
    )  # fmt: skip
    loaded = load_frame(frame, "orders", db, chunk_rows=1)
    assert counts(loaded) == {"inserted": 1, "failed": 3}
    assert [each["error"].partition(":")[0] for each in loaded["errors"]] == [
        "order_id", "order_id", "placed"
    ]  # fmt: skip
    assert loaded["errors"][1]["order_id"] == "x"


@pytest.mark.usefixtures("every_engine")
def test_columns_that_the_frame_lacks_are_left_as_they_are(db: DatabaseManager) -> None:
    load_frame(FRAME, "orders", db, key="order_id")
    part = FRAME[["order_id", "paid"]].assign(paid=[True, True, True])
    assert counts(load_frame(part, "orders", db)) == {"updated": 1, "unchanged": 2}
    assert stored(db)[0] == ROWS_OF_FRAME[0]


@pytest.mark.usefixtures("every_engine")
def test_replace_ends_with_exactly_these_rows(db: DatabaseManager) -> None:
    load_frame(FRAME, "orders", db, key="order_id")
    new = FRAME.iloc[1:].assign(note=["b", "é"])
    loaded = load_frame(new, "orders", db, mode="replace")
    assert counts(loaded) == {"updated": 1, "unchanged": 1, "removed": 1}
    assert [row[:2] for row in stored(db)] == [(2, "b"), (3, "é")]


@pytest.mark.usefixtures("every_engine")
def test_append_adds_every_record_without_a_key(db: DatabaseManager) -> None:
    frame = pl.DataFrame({"day": [date(2024, 1, 1)] * 2, "clicks": [5, 5]})
    for _ in range(2):
        assert counts(load_frame(frame, "clicks", db, mode="append")) == {"inserted": 2}
    assert stored(db, "clicks") == [(date(2024, 1, 1), 5)] * 4


@pytest.mark.usefixtures("every_engine")
def test_a_schema_is_part_of_the_name(db: DatabaseManager, request: pytest.FixtureRequest) -> None:
    schema = f"own_{abs(hash(request.node.name)) % 10**6}"
    db.execute(f"CREATE SCHEMA {schema}")
    try:
        load_frame(FRAME, "orders", db, key="order_id")
        name = f"{schema}.orders"
        assert counts(load_frame(FRAME.iloc[:1], name, db, key="order_id")) == {"inserted": 1}
        assert counts(load_frame(FRAME, name, db)) == {"inserted": 2, "unchanged": 1}
        assert counts(load_frame(FRAME.iloc[:1], name, db, mode="replace")) == {
            "removed": 2, "unchanged": 1
        }  # fmt: skip
        assert len(stored(db)) == 3
    finally:
        if not db.dialect.batched:  # a server of SQL Server's drops its whole database
            db.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.mark.usefixtures("every_engine")
def test_a_limit_that_is_given_holds_a_frame_back_whole(db: DatabaseManager) -> None:
    load_frame(FRAME, "orders", db, key="order_id")
    fewer, before = FRAME.iloc[:1], stored(db)
    with pytest.raises(HeldBackError, match="mode replace would remove 2 of 3 rows") as held:
        load_frame(fewer, "orders", db, mode="replace", max_removed_rate=0.5)
    assert [finding.name for finding in held.value.findings] == ["removed_rows"]
    assert stored(db) == before
    found = load_frame(fewer, "orders", db, mode="replace", max_removed_rate=0.7)
    assert found["removed"] == 2
    keyless = pl.DataFrame({"order_id": [7, None, None]})
    with pytest.raises(HeldBackError, match="2 of 3 records rejected"):
        load_frame(keyless, "orders", db, max_reject_rate=0.5)
    assert len(stored(db)) == 1


def test_an_unknown_column_is_named_with_what_was_meant() -> None:
    with DatabaseManager(MEMORY) as db:
        load_frame(FRAME, "orders", db, key="order_id")
        with pytest.raises(LoadingError, match=r"no column totl.*did you mean total") as caught:
            load_frame(FRAME.rename(columns={"total": "totl"}), "orders", db)
        assert "nothing was loaded" in str(caught.value)
        assert stored(db) == ROWS_OF_FRAME


@pytest.mark.parametrize(
    ("frame", "table", "options", "error"),
    [
        (FRAME, "orders", {}, (LoadingError, "has no key")),
        (FRAME, "orders", {"key": "id"}, (LoadingError, "lacks id")),
        (FRAME, "a b", {"key": "order_id"}, (LoadingError, "no name of a table")),
        (FRAME, "orders", {"key": "order_id", "mode": "upsert"}, (ValueError, "no mode")),
        (FRAME, "orders", {"key": "order_id", "chunk_rows": 0}, (ValueError, "at least 1")),
        (FRAME, "orders", {"key": "order_id", "chunks": 3}, (TypeError, "chunks")),
        (FRAME.rename(columns={"note": 7}), "orders", {"key": "order_id"}, (LoadingError, "7")),
        (pa.table({"id": [1], "l": [[2]]}), "orders", {"key": "id"}, (TransformationError, "list")),
        (pa.table({"id": [1], "Batch": [2]}), "orders", {"key": "id"}, (LoadingError, "Batch")),
        (pa.table({"id": [1], "n" * 51: [2]}), "orders", {"key": "id"}, (LoadingError, "50 char")),
        (3, "orders", {"key": "id"}, (TransformationError, "int")),
    ],
)
def test_what_cannot_be_loaded_is_refused_and_makes_no_table(
    frame: Any, table: str, options: dict[str, Any], error: tuple[type[Exception], str]
) -> None:
    with DatabaseManager(MEMORY) as db:
        with pytest.raises(error[0], match=error[1]):
            load_frame(frame, table, db, **options)
        assert db.table_names() == set()


def test_a_view_is_no_table() -> None:
    with DatabaseManager(MEMORY) as db:
        db.execute("CREATE VIEW orders AS SELECT 1 AS order_id")
        with pytest.raises(LoadingError, match="is a view"):
            load_frame(FRAME, "orders", db)


# --- against a model ---------------------------------------------------------------------

Record = tuple[str | None, int | None, str | None]
RECORDS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c", "A", "a ", None]),
        st.sampled_from([1, 2, None]),
        st.sampled_from(["x", "y", "", None]),
    ),
    max_size=8,
)


def expected(before: dict[Any, Any], records: list[Record], mode: str) -> dict[Any, Any]:
    """What the table holds, one record after the other."""
    keyed = [(r[0].strip() if r[0] else None, r[1], r[2] or None) for r in records]
    new = {(r[0], r[1]): r[2] for r in keyed if r[0] and r[1] is not None}
    return new if mode == "replace" else {**before, **new}


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(RECORDS, st.sampled_from(["merge", "replace"])), min_size=1, max_size=4),
    st.integers(1, 9),
)
def test_any_chunk_size_and_order_ends_like_the_model(
    loads: list[tuple[list[Record], str]], chunk_rows: int
) -> None:
    schema = pa.schema([("code", pa.string()), ("line", pa.int64()), ("note", pa.string())])
    model: dict[Any, Any] = {}
    with DatabaseManager(MEMORY) as db:
        for records, mode in loads:
            frame = pa.Table.from_pylist(
                [dict(zip(schema.names, record, strict=True)) for record in records], schema
            )
            before, model = model, expected(model, records, mode)
            loaded = load_frame(frame, "own", db, key=["code", "line"], mode=mode,
                                chunk_rows=chunk_rows)  # fmt: skip
            found = counts(loaded)
            assert {(c, n): t for c, n, t in stored(db, "own")} == model
            assert found.get("inserted", 0) == len(model.keys() - before.keys())
            assert found.get("removed", 0) == len(before.keys() - model.keys())
            again = load_frame(frame, "own", db, key=["code", "line"], mode=mode)
            assert not again["inserted"] + again["updated"] + again["removed"]

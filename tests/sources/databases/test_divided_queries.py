"""A table of a database is read in parts, by a column that counts up or has times."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from engines import DUCKDB, POSTGRESQL, using
from order_databases import SHOPS, Order, Shop
from piece_reading import noticed_of, read_piece, read_source, source_of
from pipeline_runs import Project

from etl.engines.database import DatabaseManager
from etl.errors import ExtractionError
from etl.pipeline.own_sources import own_sources
from etl.pipeline.pieces import pieces_of, recipe_of, take_outcomes
from etl.pipeline.source import Source
from etl.sources.partitions import ROW_BYTES, divided
from etl.sources.pieces import Piece
from etl.sources.window import EVERY_NUMBER, EVERYTHING, AnyWindow, Numbers, Window
from etl.warehouse.own_loads import OwnLoad, own_loads

START = datetime(2024, 1, 1, 10)
LOAD = """
[loads.sold]
source = { connection = "SHOP_DB", table = "orders" }
table = "sold"
key = ["id"]
columns = { id = "integer", note = "text(40)", total = "decimal(12, 2)", changed = "timestamp" }
"""
BY_TIME = LOAD + 'cursor = "changed"\n'
BY_ID = LOAD + 'cursor = "id"\n'
ORDERS: list[Order] = [
    (n, f"n{n}", Decimal(n), START + timedelta(hours=n, microseconds=n)) for n in range(40)
]


@pytest.fixture(autouse=True)
def embedded() -> Iterator[None]:
    with using(DUCKDB):
        yield


def project_of(shop: Shop, folder: Path, declared: str) -> Project:
    (folder / "pipeline.toml").write_text(declared, encoding="utf-8")
    toml = str(folder / "pipeline.toml")
    return Project(folder, PIPELINE_FILE=toml, SHOP_DB=shop.connection, MAX_RETRIES="0")


def loads_of(project: Project) -> tuple[OwnLoad, ...]:
    with DatabaseManager("duckdb:///:memory:") as db:
        return own_loads(db, project.config())


def ids_of(rows: Sequence[dict[str, Any]]) -> list[str]:
    return sorted(row["id"] for row in rows)


def assert_parts_are_the_whole(source: Source, project: Project, own: Sequence[OwnLoad]) -> None:
    pieces, recipe = pieces_of(source, 10 * ROW_BYTES), recipe_of(source, project.config(), own)
    assert len(pieces) > 1
    readings, outcomes = zip(*(read_piece(recipe, piece) for piece in pieces), strict=True)
    take_outcomes(source, pieces, outcomes)
    records = [row for reading in readings for row in reading.records]
    assert ids_of(records) == ids_of(read_source(source).records)
    assert len({row["source_row"] for row in records}) == len(records)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb", "sqlite", "duckdb"])
@pytest.mark.parametrize(
    ("declared", "window"),
    [
        (LOAD, EVERYTHING),
        (BY_ID, Numbers(5, EVERY_NUMBER.end)),
        (BY_TIME, Window(START + timedelta(hours=3), EVERYTHING.end)),
    ],
)
def test_a_table_in_parts_is_the_whole_table(
    kind: str, declared: str, window: AnyWindow, tmp_path: Path
) -> None:
    shop = SHOPS[kind](tmp_path)
    shop.make(ORDERS)
    project = project_of(shop, tmp_path, declared)
    own = loads_of(project)
    (source,) = own_sources(own, project.config(), {"sold": window})
    if kind == "sqlite" and declared == BY_TIME:  # it keeps times as texts
        assert pieces_of(source, 10 * ROW_BYTES) == (Piece("sold", 0),)
    else:
        assert_parts_are_the_whole(source, project, own)


def test_records_without_a_value_of_the_cursor_are_in_one_part(tmp_path: Path) -> None:
    shop = SHOPS["duckdb"](tmp_path)
    shop.make([*ORDERS, (98, "x", None, None), (99, "y", None, None)])  # type: ignore[list-item]
    project = project_of(shop, tmp_path, BY_TIME)
    own = loads_of(project)
    (source,) = own_sources(own, project.config(), {"sold": EVERYTHING})
    assert_parts_are_the_whole(source, project, own)


def test_a_record_that_moves_between_the_parts_is_missed_by_nobody_in_silence(
    tmp_path: Path,
) -> None:
    shop = SHOPS["duckdb"](tmp_path)
    shop.make(ORDERS)
    project = project_of(shop, tmp_path, BY_ID)
    own = loads_of(project)
    (source,) = own_sources(own, project.config(), {"sold": EVERY_NUMBER})
    pieces, recipe = pieces_of(source, 10 * ROW_BYTES), recipe_of(source, project.config(), own)
    outcomes = [read_piece(recipe, piece)[1] for piece in pieces[1:]]
    shop.run("UPDATE orders SET id = 39 WHERE id = ?", [[0]])
    outcomes.append(read_piece(recipe, pieces[0])[1])
    with pytest.raises(ExtractionError, match="sold: 39 records came where 40 were counted"):
        take_outcomes(source, pieces, outcomes)


def test_what_cannot_be_asked_is_one_piece(tmp_path: Path) -> None:
    shop = SHOPS["duckdb"](tmp_path)
    shop.make(ORDERS)
    project = project_of(shop, tmp_path, BY_ID)
    (source,) = own_sources(loads_of(project), project.config(), {"sold": EVERY_NUMBER})
    shop.run("DROP TABLE orders", [])
    assert pieces_of(source, ROW_BYTES) == (Piece("sold", 0),)


@pytest.mark.parametrize(
    ("first", "last", "window"),
    [
        (1, 100, EVERY_NUMBER), (5, 5, EVERY_NUMBER), (5, 6, Numbers(5, 9)), (-7, 7, EVERYTHING),
        (Decimal(1), Decimal(9), EVERY_NUMBER), (date(2024, 1, 1), date(2024, 3, 1), EVERYTHING),
        (START, START, EVERYTHING), (START, datetime.max, Window(START, EVERYTHING.end)),
    ],
)  # fmt: skip
def test_parts_of_a_window_follow_each_other(first: Any, last: Any, window: AnyWindow) -> None:
    for count in (1, 2, 3, 7):
        parts = divided(window, first, last, count)
        tick: Any = 1 if isinstance(parts[0], Numbers) else timedelta(microseconds=1)
        assert 1 <= len(parts) <= count
        edges: list[tuple[Any, Any]] = [(each.start, each.end) for each in parts]
        assert all(after[0] == part[1] + tick for part, after in pairwise(edges))
        assert all(edge == tuple(sorted(edge)) for edge in edges)
        whole = EVERY_NUMBER if isinstance(parts[0], Numbers) else EVERYTHING
        expected = window if isinstance(window, type(parts[0])) else whole
        assert (parts[0].start, parts[-1].end) == (expected.start, expected.end)


def test_sales_of_a_server_in_parts_are_those_of_the_whole(tmp_path: Path) -> None:
    with using(POSTGRESQL):
        connection = POSTGRESQL.new_database()
    with DatabaseManager(connection) as db:
        db.execute(
            "CREATE TABLE sales_transactions (transaction_id text, customer_id text, "
            "product_id text, quantity int, unit_price numeric, discount_amount numeric, "
            "transaction_date timestamptz, sales_rep_id text, status text)"
        )
        db.execute(
            "INSERT INTO sales_transactions SELECT 'T' || n, 'C1', 'P1', 1, 5, NULL, "
            "timestamptz '2024-01-01 00:00+02' + n * interval '7 hours', 'R1', "
            "CASE WHEN n % 5 = 0 THEN 'open' ELSE 'completed' END FROM generate_series(1, 60) n"
        )
    project = Project(tmp_path, SALES_DB_CONNECTION_STRING=connection)
    config = project.config()
    for window in (EVERYTHING, Window(START, START + timedelta(days=9))):
        whole, source = source_of(config, "sales", window), source_of(config, "sales", window)
        expected = read_source(whole).records
        pieces, recipe = pieces_of(source, 5 * ROW_BYTES), recipe_of(source, config)
        assert len(pieces) > 3
        readings, outcomes = zip(*(read_piece(recipe, piece) for piece in pieces), strict=True)
        take_outcomes(source, pieces, outcomes)
        found = [row["transaction_id"] for reading in readings for row in reading.records]
        assert found == [row["transaction_id"] for row in expected]
        assert noticed_of(source)["left out"] == noticed_of(whole)["left out"] != {}

"""A source in pieces gives what the whole gives, wherever the pieces are read."""

import json
import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from cloud_servers import Cloud
from piece_reading import (
    assert_divided,
    assert_pieces_are_the_whole,
    read_piece,
    source_of,
    to_read_again,
)
from pipeline_runs import write_csv

from etl.engines.database import DatabaseManager
from etl.errors import HeldBackError
from etl.pipeline.own_sources import own_sources
from etl.pipeline.pieces import pieces_of, recipe_of, take_outcomes
from etl.settings.config import Config, load_config
from etl.sources.pieces import FilePart
from etl.sources.watch import OrderProvenError
from etl.sources.window import EVERY_NUMBER, Numbers
from etl.warehouse.own_loads import own_loads

ROOT = Path(__file__).resolve().parents[2]
CASES = Path(__file__).resolve().parents[1] / "cases"
BUILT_IN = ("customers", "products", "sales")


def config_of(folder: Path, **settings: str) -> Config:
    settings = {"INPUT_DIR": str(folder), "OUTPUT_DIR": str(folder / "output"), **settings}
    return load_config("dev", base_dir=folder, environ=settings)


def with_pipeline(tmp_path: Path, folder: Path, text: str) -> Config:
    path = tmp_path / "pipeline.toml"
    path.write_text(text, encoding="utf-8")
    return config_of(folder, PIPELINE_FILE=str(path))


EUROPEAN = """
[sources.customers]
encoding = "cp1252"
[sources.sales]
encoding = "cp1252"
decimal = ","
"""
PIPELINES: Mapping[str, str] = {"01_eu_excel": EUROPEAN}


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir() if path.is_dir()))
def test_inputs_as_people_have_them_are_read_in_pieces_as_they_are_whole(
    case: str, tmp_path: Path
) -> None:
    for number, name in enumerate(BUILT_IN):
        config = with_pipeline(tmp_path, CASES / case, PIPELINES.get(case, ""))
        assert_pieces_are_the_whole(config, name, 100 + number)


def test_duplicates_are_read_again_where_the_source_was_divided(tmp_path: Path) -> None:
    lines = [f"C{number % 7},Ann,,,,,,2024-01-0{number % 7 + 1}\n" for number in range(30)]
    (tmp_path / "customers.csv").write_text(f"{NAMES}\n{''.join(lines)}")
    source = source_of(config_of(tmp_path), "customers")
    assert len(pieces_of(source, 50)) > 10
    losers = pa.table({"source_row": pa.array([3, 20, 31], pa.int64())})
    found = source.feed.originals(losers)
    assert found["customer_id"].to_pylist() == ["C1", "C4", "C1"]


# --- the order of day and month -----------------------------------------------------------

NAMES = "customer_id,first_name,last_name,email,phone,address,segment,registration_date"


def customers_with(folder: Path, dates: Sequence[str]) -> Config:
    lines = [f"C{number},Ann,,,,,,{date}\n" for number, date in enumerate(dates)]
    (folder / "customers.csv").write_text(f"{NAMES}\n{''.join(lines)}")
    return config_of(folder)


@pytest.mark.parametrize(
    "dates",
    [
        ["02/01/2024"] * 9 + ["13/01/2024"],  # the last piece proves it for all
        ["2.1.2024"] * 9 + ["01/13/2024"],
        ["02/01/2024", "01/13/2024"] * 5,  # by default read as proven
        ["02/01/2024"] * 9,  # no proof at all
        ["13/01/2024"] + ["02/01/2024"] * 9,
        ["2024-01-02"] * 9 + ["13/01/2024"],
    ],
)
def test_the_order_of_dates_is_that_of_all_pieces(tmp_path: Path, dates: list[str]) -> None:
    config = customers_with(tmp_path, dates)
    assert len(assert_pieces_are_the_whole(config, "customers", 1)) == len(dates) + 1


def test_only_pieces_that_were_read_otherwise_are_read_again(tmp_path: Path) -> None:
    config = customers_with(tmp_path, ["02/01/2024", "2024-01-05", "2.1.2024", "13/01/2024"])
    source = source_of(config, "customers")
    pieces, recipe = pieces_of(source, 1), recipe_of(source, config)
    outcomes = [read_piece(recipe, piece)[1] for piece in pieces]
    with pytest.raises(OrderProvenError, match="registration_date is day first, as '13/01/2024'"):
        take_outcomes(source, pieces, outcomes)
    assert to_read_again(source, outcomes) == (1,)


def test_pieces_that_prove_both_orders_hold_the_source_back(tmp_path: Path) -> None:
    config = customers_with(tmp_path, ["13/01/2024", "2024-01-05", "01/13/2024"])
    source = source_of(config, "customers")
    pieces, recipe = pieces_of(source, 1), recipe_of(source, config)
    outcomes = [read_piece(recipe, piece)[1] for piece in pieces]
    with pytest.raises(HeldBackError, match="'13/01/2024' can only be day first, '01/13/2024'"):
        take_outcomes(source, pieces, outcomes)


# --- statuses, outcomes -------------------------------------------------------------------


def test_statuses_are_named_as_far_as_they_are_in_the_whole(tmp_path: Path) -> None:
    statuses = [f"s{number}" for number in range(15)] * 2 + [
        f"t{number % 30}" for number in range(60)
    ]
    names = "transaction_id,customer_id,product_id,quantity,unit_price,discount_amount"
    lines = [f"T{n},C1,P1,1,1,,2024-01-02,R1,{status}\n" for n, status in enumerate(statuses)]
    header = f"{names},transaction_date,sales_rep_id,status\n"
    (tmp_path / "sales_transactions.csv").write_text(header + "".join(lines))
    assert_pieces_are_the_whole(config_of(tmp_path), "sales", 400)


def test_a_piece_has_one_outcome(tmp_path: Path) -> None:
    config = customers_with(tmp_path, ["2024-01-05"] * 3)
    source = source_of(config, "customers")
    pieces, recipe = pieces_of(source, 1), recipe_of(source, config)
    outcomes = [read_piece(recipe, piece)[1] for piece in pieces]
    for wrong in (outcomes[1:], [*outcomes, outcomes[0]], [outcomes[0], *outcomes[:-1]]):
        with pytest.raises(ValueError, match="outcomes of 4 pieces"):
            take_outcomes(source, pieces, wrong)


# --- another process ----------------------------------------------------------------------

ELSEWHERE = """
import pickle, sys
from etl.pipeline.pieces import outcome_of
recipe, piece = pickle.load(sys.stdin.buffer)
part = recipe.source(piece)
rows = [row for block in part.feed.read() for row in block.records.column("source_row").to_pylist()]
secret = recipe.config.database.sales_db_connection_string.get_secret_value()
sys.stdout.buffer.write(pickle.dumps((rows, secret, outcome_of(part, piece))))
"""


def test_a_piece_is_read_by_another_process_that_has_only_recipe_and_piece(tmp_path: Path) -> None:
    customers_with(tmp_path, ["2024-01-05"] * 9)
    config = config_of(tmp_path, SALES_DB_CONNECTION_STRING="postgresql://etl:hidden@nowhere/db")
    source = source_of(config, "customers")
    piece, recipe = pieces_of(source, 50)[2], recipe_of(source, config)
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE], input=pickle.dumps((recipe, piece)), check=True,
        capture_output=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    rows, connection, outcome = pickle.loads(done.stdout)  # noqa: S301  # our own
    assert isinstance(piece.part, FilePart)
    assert piece.part.cut
    assert rows[0] == piece.part.cut.first_row
    assert connection == "postgresql://etl:hidden@nowhere/db"
    assert (outcome.number, outcome.rows) == (2, piece.rows)
    assert "hidden" not in repr(recipe)


def test_the_files_are_those_that_were_chosen_whatever_has_come_since(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"c{number}.csv").write_text(f"{NAMES}\nC{number},Ann,,,,,,\n")
    config = with_pipeline(
        tmp_path, tmp_path, '[sources.customers]\npath = "c*.csv"\nwhich = "all"\n'
    )
    source = source_of(config, "customers")
    pieces, recipe = pieces_of(source), recipe_of(source, config)
    (tmp_path / "c0.csv").write_text(f"{NAMES}\nC0,Ann,,,,,,\n")
    found = [read_piece(recipe, piece)[0].records for piece in pieces]
    assert [[row["customer_id"] for row in rows] for rows in found] == [["C1"], ["C2"]]


@pytest.mark.parametrize("cloud", ["s3"], indirect=True)
def test_a_part_of_an_object_is_asked_for_alone(tmp_path: Path, cloud: Cloud, bucket: str) -> None:
    lines = "".join(f"C{number},Ann,,,,,,2024-01-05\n" for number in range(200))
    cloud.put(bucket, "in/customers.csv", f"{NAMES}\n{lines}".encode())
    folder = f"{cloud.address.format(bucket)}/in"
    config = config_of(tmp_path, **{**cloud.settings, "INPUT_DIR": folder})
    assert len(assert_pieces_are_the_whole(config, "customers", 2000)) == 3


# --- loads that users declare -------------------------------------------------------------

DECLARED = """
[loads.orders]
source = { path = "orders.*" }
table = "orders"
key = ["id"]
cursor = "id"
columns = { id = "bigint", placed = "date", note = "text(20)" }
references = {}
"""


ORDERS = [
    {"id": str(n), "placed": f"{n % 12 + 1}/{n % 28 + 1}/2024", "note": "x\ny", "more": "1"}
    for n in (*range(1, 30), 40)
]


@pytest.mark.parametrize("window", [EVERY_NUMBER, Numbers(3, EVERY_NUMBER.end)])
@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_a_declared_load_is_read_in_pieces_as_it_is_whole(
    tmp_path: Path, form: str, window: Numbers
) -> None:
    if form == "csv":
        write_csv(tmp_path / "orders.csv", tuple(ORDERS[0]), ORDERS)
    else:
        lines = "".join(json.dumps(order) + "\n" for order in ORDERS)
        (tmp_path / "orders.ndjson").write_text(lines)
    config = with_pipeline(tmp_path, tmp_path, DECLARED)
    with DatabaseManager("duckdb:///:memory:") as db:
        own = own_loads(db, config)
    pieces = assert_divided(
        lambda: own_sources(own, config, {"orders": window})[0], config, 100, own
    )
    assert len(pieces) > 3


@pytest.mark.parametrize("extra", ["report", "keep", "refuse"])
def test_products_on_lines_are_cut_but_where_only_the_whole_shows_their_columns(
    tmp_path: Path, extra: str
) -> None:
    records = [
        {"product_id": f"P{n}", "name": "desk", "specifications": {"price": n}} for n in range(9)
    ]
    records[0]["metadata"] = {"extract_date": "2024-01-02"}
    records[5]["colour"] = "red"
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (tmp_path / "products.json").write_text(lines)
    config = with_pipeline(tmp_path, tmp_path, f'[sources.products]\nextra = "{extra}"\n')
    pieces = assert_pieces_are_the_whole(config, "products", 100)
    assert len(pieces) == (1 if extra == "keep" else 5)


def test_a_recipe_does_not_grow_with_the_rows_that_were_counted(tmp_path: Path) -> None:
    sizes = []
    for orders in (ORDERS[:2], ORDERS * 100):
        write_csv(tmp_path / "orders.csv", tuple(ORDERS[0]), orders)
        config = with_pipeline(tmp_path, tmp_path, DECLARED)
        with DatabaseManager("duckdb:///:memory:") as db:
            own = own_loads(db, config)
        (source,) = own_sources(own, config, {"orders": EVERY_NUMBER})
        assert len(pieces_of(source, 20)) > 1
        sizes.append(len(pickle.dumps(recipe_of(source, config, own))))
    assert sizes[0] == sizes[1]

"""Any files that the strategies draw give in pieces what they give as a whole."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from piece_reading import assert_pieces_are_the_whole
from pipeline_runs import Record, write_csv
from record_strategies import Records, customers, sales

from etl.schema.source_columns import CUSTOMER_COLUMNS, SALES_COLUMNS
from etl.settings.config import Config, load_config
from etl.sources.window import whole_days

COLUMNS = {"customers": CUSTOMER_COLUMNS, "sales": (*SALES_COLUMNS, "status")}
FILES = {"customers": "customers", "sales": "sales_transactions"}
# What is done to a file on its way.
LOST_QUOTE, TRUNCATED, HEADER_AGAIN, UNTOUCHED = "lost quote", "truncated", "header again", ""
DAMAGES = st.sampled_from([UNTOUCHED, UNTOUCHED, LOST_QUOTE, TRUNCATED, HEADER_AGAIN])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pieces")


def damaged(path: Path, damage: str, at: float) -> None:
    lines = path.read_bytes().split(b"\r\n")
    place = 1 + int(at * (len(lines) - 1))
    if damage == LOST_QUOTE:
        lines[place:place] = [b'"lost,' + b"x," * 5]
    if damage == TRUNCATED:
        lines[place:] = [b"".join(lines[place:])[:20]]
    if damage == HEADER_AGAIN:
        lines[place:place] = [lines[0]]
    path.write_bytes(b"\r\n".join(lines))


def files_of(folder: Path, name: str, parts: Sequence[Sequence[Record]]) -> Config:
    """Settings by which all parts are read, each from a file of its own."""
    for old in folder.glob("*.csv"):
        old.unlink()
    for number, records in enumerate(parts):
        write_csv(folder / f"{FILES[name]}_{number}.csv", COLUMNS[name], records)
    pipeline = folder / "pipeline.toml"
    pipeline.write_text(f'[sources.{name}]\npath = "{FILES[name]}_*.csv"\nwhich = "all"\n')
    environ = {"INPUT_DIR": str(folder), "OUTPUT_DIR": str(folder), "PIPELINE_FILE": str(pipeline)}
    return load_config("dev", base_dir=folder, environ=environ)


def several(records: Records) -> SearchStrategy[list[list[dict[str, str]]]]:
    return st.lists(records, min_size=1, max_size=2)


@settings(max_examples=10, deadline=None)
@given(parts=several(customers()), damage=DAMAGES, at=st.floats(0, 1), size=st.integers(10, 400))
def test_any_customers_in_pieces_are_those_of_the_whole(
    folder: Path, parts: list[list[dict[str, str]]], damage: str, at: float, size: int
) -> None:
    config = files_of(folder, "customers", parts)
    damaged(sorted(folder.glob("*.csv"))[-1], damage, at)
    assert_pieces_are_the_whole(config, "customers", size)


@settings(max_examples=10, deadline=None)
@given(
    parts=several(sales()), damage=DAMAGES, at=st.floats(0, 1), size=st.integers(10, 400),
    day=st.sampled_from([None, 2, 3]),
)  # fmt: skip
def test_any_sales_in_pieces_are_those_of_the_whole(
    folder: Path,
    parts: list[list[dict[str, str]]],
    damage: str,
    at: float,
    size: int,
    day: int | None,
) -> None:
    config = files_of(folder, "sales", parts)
    damaged(sorted(folder.glob("*.csv"))[0], damage, at)
    if day is None:
        assert_pieces_are_the_whole(config, "sales", size)
    else:
        first = date(2024, 1, day)
        assert_pieces_are_the_whole(config, "sales", size, whole_days(first, first))

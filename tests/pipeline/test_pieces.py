"""A source in pieces gives what the whole gives, wherever the pieces are read."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pytest
from piece_reading import assert_pieces_are_the_whole, source_of

from etl.pipeline.pieces import pieces_of
from etl.settings.config import Config, load_config

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
    names = "customer_id,first_name,last_name,email,phone,address,segment,registration_date"
    lines = [f"C{number % 7},Ann,,,,,,2024-01-0{number % 7 + 1}\n" for number in range(30)]
    (tmp_path / "customers.csv").write_text(f"{names}\n{''.join(lines)}")
    source = source_of(config_of(tmp_path), "customers")
    assert len(pieces_of(source, 50)) > 10
    losers = pa.table({"source_row": pa.array([3, 20, 31], pa.int64())})
    found = source.feed.originals(losers)
    assert found["customer_id"].to_pylist() == ["C1", "C4", "C1"]

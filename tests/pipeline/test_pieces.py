"""A source in pieces gives what the whole gives, wherever the pieces are read."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from piece_reading import assert_pieces_are_the_whole

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

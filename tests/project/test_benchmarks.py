"""The benchmarks that need nothing but the pipeline run and report what they promise."""

import subprocess
import sys
from pathlib import Path

import pytest
from postgres_server import binaries

ROOT = Path(__file__).resolve().parents[2]


def test_the_scaling_table_has_a_line_for_each_size_and_scenario(tmp_path: Path) -> None:
    sizes = ["--customers", "40", "--sales", "90", "--products", "7", "--times", "1"]
    command = [sys.executable, "benchmarks/scaling.py", *sizes, "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    head, _, *lines = [line.strip("|").split("|") for line in done.stdout.splitlines()]
    assert [cell.strip() for cell in head[:2]] == ["Customers / products / sales", "Scenario"]
    assert [[cell.strip() for cell in line[:2]] for line in lines] == [
        ["40 / 7 / 90", "first load"],
        ["40 / 7 / 90", "rerun, nothing changed"],
    ]
    assert not list(tmp_path.iterdir())


def test_each_night_has_a_line(tmp_path: Path) -> None:
    sizes = ["--customers", "40", "--sales", "90", "--night", "9", "--nights", "2"]
    command = [sys.executable, "benchmarks/nights.py", *sizes, "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    _, _, *lines, summary = done.stdout.splitlines()
    assert [line.split("|")[1].strip() for line in lines] == ["first load", "1", "2"]
    assert summary.startswith("CPU s of a quiet night: ")
    assert not list(tmp_path.iterdir())


def test_an_interface_is_loaded_twice(tmp_path: Path) -> None:
    sizes = ["--records", "600", "--rounds", "1", "--tools", "pipeline"]
    command = [sys.executable, "benchmarks/rest_load.py", *sizes, "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.count("pipeline") == 2
    assert not list(tmp_path.iterdir())


def test_a_frame_is_loaded_with_the_counts_that_are_true() -> None:
    command = [sys.executable, "benchmarks/frame_load.py", "--rows", "300"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [line.split()[0] for line in done.stdout.splitlines()]
    assert lines[:4] == ["DuckDB,", "first", "again", "1"], done.stderr


def test_versions_are_those_of_an_expert(tmp_path: Path) -> None:
    sizes = ["--customers", "300", "--rounds", "1", "--folder", str(tmp_path)]
    command = [sys.executable, "benchmarks/history_load.py", *sizes]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.count("the package") == 1, done.stderr
    assert not list(tmp_path.iterdir())


def test_marts_are_compared_with_what_an_expert_writes(tmp_path: Path) -> None:
    sizes = ["--sales", "90", "--rounds", "1", "--folder", str(tmp_path)]
    command = [sys.executable, "benchmarks/marts.py", *sizes]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    marts = {path.stem for path in (ROOT / "marts").glob("*.sql")}
    assert {line.split("`")[1] for line in done.stdout.splitlines() if "`" in line} == marts
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not binaries(), reason="no PostgreSQL server is installed")
def test_every_way_into_postgresql_brings_all_rows() -> None:
    command = [sys.executable, "benchmarks/postgresql_bulk.py", "--rows", "200"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| 200 |") == 6

"""A disk that fails at any call, and a power cut that loses what was not safe on it.

Every write, rename, fsync, truncation and creation of a file below the output folder is counted;
one of them fails. After it the next run ends like an undisturbed one. A power cut is replayed from
copies of the warehouse and its log at each fsync: what was written after them is lost.

A few of the calls by default, spread over a run; `KILLS=100000` takes every one of them.
"""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pipeline_runs import Project, ended, start

SHIM = Path(__file__).resolve().parent.parent / "disk_faults.c"
COMPILER = shutil.which("gcc") or shutil.which("cc")
MOST = int(os.environ.get("KILLS", "3"))

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs LD_PRELOAD"),
    pytest.mark.skipif(not COMPILER, reason="needs a C compiler"),
]

CUSTOMERS = [{"customer_id": f"C{n}", "first_name": "Ann", "email": f"a{n}@b.de"} for n in range(9)]
PRODUCTS = [{"product_id": f"P{n}", "price": "9.50", "cost": "4"} for n in range(5)]
SALES = [
    {"transaction_id": f"T{n}", "customer_id": f"C{n % 9}", "product_id": f"P{n % 6}",
     "quantity": "0" if n == 7 else "2", "unit_price": "9.50",
     "transaction_date": f"2024-01-{n % 28 + 1:02}"}
    for n in range(40)
]  # fmt: skip
CHANGED = [{**sale, "unit_price": "8"} for sale in SALES[:10]] + SALES[12:]

Tables = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Place:
    """A project that has loaded once, and what a second run makes of changed sources."""

    folder: Path
    shim: Path
    tables: Tables

    def project(self, folder: Path, state: str) -> Project:
        project = _project(folder)
        if state == "loaded":
            shutil.copytree(self.folder / "loaded" / "output", folder / "output")
        return project

    def run(self, project: Project, **faults: object) -> subprocess.CompletedProcess[str]:
        environ = {name: str(value) for name, value in faults.items()}
        environ |= {"LD_PRELOAD": str(self.shim), "FAULT_DIR": str(project.output)}
        return ended(start(project, environ=environ))

    def calls(self, folder: Path, state: str) -> int:
        """How many calls an undisturbed run makes."""
        project = self.project(folder, state)
        assert self.run(project, FAULT_REPORT=folder / "report").returncode == 0
        assert project.tables() == self.tables
        return int((folder / "report").read_text())


def _project(folder: Path, sales: Any = CHANGED) -> Project:
    project = Project(folder, LOG_LEVEL="CRITICAL", MAX_REJECT_RATE="0.5")
    project.write(CUSTOMERS, PRODUCTS, sales)
    return project


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("disk")
    shim = folder / "disk_faults.so"
    command = [str(COMPILER), "-shared", "-fPIC", "-o", str(shim), str(SHIM), "-ldl", "-lpthread"]
    subprocess.run(command, check=True)
    loaded = _project(folder / "loaded", SALES)
    assert loaded.run()["exit_code"] == 0
    undisturbed = _project(folder / "undisturbed")
    shutil.copytree(loaded.output.parent, undisturbed.output.parent)
    assert undisturbed.run()["exit_code"] == 0
    return Place(folder, shim, undisturbed.tables())


def spread(total: int) -> Iterator[int]:
    """Numbers from 1 to the total, evenly, the first and the last among them."""
    count = min(MOST, total)
    yield from sorted({1 + round(n * (total - 1) / max(count - 1, 1)) for n in range(count)})


def assert_next_run_ends_like_an_undisturbed_one(project: Project, expected: Tables) -> None:
    summary = project.run()
    assert summary["exit_code"] == 0, summary["attention"]
    assert project.tables() == expected
    assert not list(project.output.rglob("*.part"))
    assert not list((project.output / "scratch").iterdir())


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
def test_after_a_call_that_fails_the_next_run_ends_like_an_undisturbed_one(
    place: Place, tmp_path: Path, code: int
) -> None:
    total = place.calls(tmp_path / "counted", "loaded")
    assert total > 20
    for number in spread(total):
        project = place.project(tmp_path / str(number), "loaded")
        result = place.run(project, FAULT_AT=number, FAULT_ERRNO=code)
        assert result.returncode in (0, 1, 3), (number, result.stderr)
        assert "Traceback" not in result.stderr, number
        assert_next_run_ends_like_an_undisturbed_one(project, place.tables)


@pytest.mark.parametrize("torn", [False, True], ids=["lost", "torn"])
def test_after_a_power_cut_the_next_run_ends_like_an_undisturbed_one(
    place: Place, tmp_path: Path, torn: bool
) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    whole = place.project(tmp_path / "whole", "loaded")
    assert place.run(whole, FAULT_COPIES=copies).returncode == 0
    kept = sorted(copies.iterdir())
    assert kept
    for number in spread(len(kept)):
        project = place.project(tmp_path / str(number), "loaded")
        cut_power(project, kept[:number], torn=torn)
        assert_next_run_ends_like_an_undisturbed_one(project, place.tables)


def cut_power(project: Project, safe: list[Path], *, torn: bool) -> None:
    """Puts back what was safe of each file; torn, the latest one lacks half of what it gained."""
    for copy in safe:  # the later ones replace the earlier ones
        target = project.output / copy.name.partition(".")[2]
        before = target.read_bytes() if target.exists() else b""
        content = copy.read_bytes()
        if torn and copy is safe[-1] and len(content) > len(before):
            content = content[: (len(before) + len(content)) // 2]
        target.write_bytes(content)

"""Killed at any moment, the next run makes the warehouse as if nothing had happened.

Three kills on each engine by default; `KILLS=300 KILL_SEED=7 pytest -n0 tests/test_kills.py` for
more and others. Each kill draws its moment from the seed and its own number.
"""

import csv
import io
import itertools
import json
import os
import random
import shutil
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pytest
from engines import Engine
from make_sample_data import Sizes, write_customers, write_products, write_sales
from pipeline_runs import Project, ended, linger, linger_until, read_csv, start

from etl.errors import LoadingError
from etl.history.journal import JOURNAL
from etl.history.summary import RunSummary
from etl.pipeline.left import LEFT
from etl.reports.business import BUSINESS
from etl.reports.dashboard import DASHBOARD
from etl.reports.quality import HTML_REPORT, JSON_REPORT
from etl.schema.star import STAR_TABLES

pytestmark = [
    pytest.mark.usefixtures("every_engine"),
    pytest.mark.skipif(
        os.name == "nt", reason="Windows ends a process otherwise, and keeps its files open longer"
    ),
]

KILLS = int(os.environ.get("KILLS", "3"))
SEED = int(os.environ.get("KILL_SEED", "20240120"))

SIZES = Sizes(customers=1600, products=720, sales=4200)
STATES = ("empty", "loaded", "changed")
MODES = {
    "plain": (),
    "full refresh": ("--full-refresh",),
    "one day": ("--date", "2024-01-20"),
}
SITUATIONS = list(itertools.product(STATES, MODES))

# Most runs are hit while they load; the others anywhere, while Python starts as well.
SHARE_ANYWHERE = 0.2
SHARE_CHANGED = 0.1
SHARE_GONE = 0.01


# --- sources -------------------------------------------------------------------------------


def write_sources(folder: Path, seed: int) -> None:
    folder.mkdir()
    write_customers(folder / "customers.csv", SIZES, seed)
    write_products(folder / "products.json", SIZES, seed)
    write_sales(folder / "sales_transactions.csv", SIZES, seed)


def change_sources(folder: Path, others: Path) -> None:
    """A tenth of the records becomes that of the other folder, and some are gone."""
    chance = random.Random(SEED)  # noqa: S311  # no secret
    for name in ("customers.csv", "sales_transactions.csv"):
        mixed = mix(whole_lines(folder / name), whole_lines(others / name), chance)
        (folder / name).write_text("".join(mixed), encoding="utf-8", newline="")
    path = folder / "products.json"
    both = [json.loads((each / path.name).read_text("utf-8")) for each in (folder, others)]
    both[0]["products"] = mix(both[0]["products"], both[1]["products"], chance)
    path.write_text(json.dumps(both[0]), encoding="utf-8")


def whole_lines(path: Path) -> list[str]:
    """The header, and the records that stand on one line and can be read."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = file.read().splitlines(keepends=True)
    fields = len(lines[0].split(","))
    return [line for line in lines if line.count('"') == 0 and fields_of(line) == fields]


def fields_of(line: str) -> int:
    return len(next(csv.reader(io.StringIO(line)), []))


def mix(records: list[Any], others: list[Any], chance: random.Random) -> list[Any]:
    mixed = records[:1]
    for number, record in enumerate(records[1:], 1):
        drawn = chance.random()
        if drawn < SHARE_GONE:
            continue
        changed = drawn < SHARE_GONE + SHARE_CHANGED and number < len(others)
        mixed.append(others[number] if changed else record)
    return mixed


# --- what an undisturbed project makes of them ---------------------------------------------


@dataclass(frozen=True)
class Undisturbed:
    """What a run leaves that nobody disturbs."""

    window: str
    tables: dict[str, list[dict[str, Any]]]
    rejected: dict[str, list[dict[str, str]]]


class Stage:
    """The three states of a project before the run that is killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sources = {state: folder / f"sources {state}" for state in STATES}
        write_sources(self.sources["loaded"], seed=1)
        write_sources(folder / "others", seed=2)
        self.sources["empty"] = self.sources["loaded"]
        shutil.copytree(self.sources["loaded"], self.sources["changed"])
        change_sources(self.sources["changed"], folder / "others")
        self._undisturbed: dict[tuple[str, str], Undisturbed] = {}

    def project(self, state: str, folder: Path) -> Project:
        project = self._project(state, folder)
        if state != "empty":
            project.load_like(self._loaded)
        return project

    def _project(self, state: str, folder: Path) -> Project:
        return Project(
            folder, INPUT_DIR=str(self.sources[state]), LOG_LEVEL="CRITICAL", MAX_REJECT_RATE="0.5",
            MAX_REMOVED_RATE="1",  # many lines of the changed sources are gone
            # a server takes a moment to notice that a client is gone
            LOCK_WAIT_SECONDS="30",
        )  # fmt: skip

    @cached_property
    def _loaded(self) -> Project:
        project = self._project("loaded", self.folder / "loaded")
        assert project.run()["exit_code"] == 0
        return project

    @cached_property
    def seconds(self) -> tuple[float, float]:
        """How long a run takes until it loads, and from there to its end."""
        project = self.project("empty", self.folder / "measured")
        begun = time.perf_counter()
        process = start(project)
        wait_until_it_loads(process, project)
        loading = time.perf_counter()
        assert ended(process).returncode == 0
        return loading - begun, time.perf_counter() - loading

    def undisturbed(self, state: str, mode: str) -> Undisturbed:
        if (state, mode) not in self._undisturbed:
            project = self.project(state, self.folder / f"{state} {mode}")
            summary = project.run(*MODES[mode])
            self._undisturbed[state, mode] = Undisturbed(
                summary["window"], project.tables(), rejected_by(summary)
            )
        return self._undisturbed[state, mode]


def rejected_by(summary: RunSummary) -> dict[str, list[dict[str, str]]]:
    """The rejected records of a run by source, without its id."""
    return {
        source["source"]: [
            {name: value for name, value in record.items() if name != "run_id"}
            for record in read_csv(Path(source["rejected_file"]))
        ]
        for source in summary["sources"]
        if source["rejected_file"]
    }


@pytest.fixture(scope="module")
def stage(every_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("kills"))


# --- killing -------------------------------------------------------------------------------


def wait_until_it_loads(process: subprocess.Popen[str], project: Project) -> None:
    """The first line of the log comes when the run begins."""
    log = project.logs / "etl_pipeline.log"
    linger_until(process, lambda: log.exists() and log.stat().st_size > 0)


def kill(project: Project, mode: str, stage: Stage, chance: random.Random) -> str:
    """Starts a run, kills it at some moment, and says when that was."""
    starting, loading = stage.seconds
    scratch = project.folder / "scratch"
    scratch.mkdir()
    process = start(project, *MODES[mode], environ={"TMPDIR": str(scratch)})
    begun = time.perf_counter()
    if chance.random() < SHARE_ANYWHERE:
        linger(process, chance.uniform(0, starting + loading))
    else:
        wait_until_it_loads(process, project)
        linger(process, chance.uniform(0, loading))
    process.kill()
    moment = time.perf_counter() - begun
    return f"{mode}, ended with {ended(process).returncode} after {moment:.3f} s"


def unfinished_run(project: Project) -> str | None:
    """The run that the warehouse holds for running."""
    looked_at = project if project.engine.is_server else copy_of(project)
    try:
        found = looked_at.query("SELECT run_id FROM etl_run WHERE status = 'running'")
    except (LoadingError, duckdb.CatalogException):  # it did not get that far
        return None
    return found[0][0] if found else None


def copy_of(project: Project) -> Project:
    """A copy of the file, which opening might change."""
    copy = Project(project.folder / "copy")
    copy.warehouse.parent.mkdir(parents=True)
    for path in project.warehouse.parent.glob("warehouse.duckdb*"):
        if path.is_file():
            shutil.copy(path, copy.warehouse.parent)
    return copy


# --- what must hold afterwards -------------------------------------------------------------


def assert_audit_is_consistent(project: Project) -> None:
    unbalanced = project.query(
        "SELECT * FROM etl_load WHERE rows_read <> rows_inserted + rows_updated + rows_unchanged"
        " + rows_rejected + rows_duplicate"
    )
    assert not unbalanced
    for table in STAR_TABLES:
        (counted,) = project.query(f"SELECT count(*) FROM {table.name}")
        audited = project.query(
            "SELECT coalesce(sum(rows_inserted + rows_inferred - rows_removed), 0) FROM etl_load"
            f" WHERE table_name = '{table.name}'"
        )
        assert audited == [counted], table.name
    assert not project.query("SELECT * FROM etl_run WHERE status = 'running'")
    assert not project.query("SELECT * FROM etl_run WHERE finished_at IS NULL")


def assert_nothing_is_left_behind(project: Project) -> None:
    files = {path for path in project.output.rglob("*") if path.is_file()}
    known = set((project.output / "rejected").glob("*.csv"))
    known |= {project.output / "quality" / name for name in (JSON_REPORT, HTML_REPORT)}
    known |= {
        project.output / name for name in (JOURNAL, f"{JOURNAL}.lock", DASHBOARD, BUSINESS, LEFT)
    }
    assert files - known == (set() if project.engine.is_server else {project.warehouse})
    assert not list((project.output / "scratch").glob("*"))
    assert not list(project.output.glob("*.tmp"))
    assert not list((project.folder / "scratch").iterdir())


def assert_rejected_files_are_complete(summary: RunSummary, expected: Undisturbed) -> None:
    rejected = rejected_by(summary)
    for source in summary["sources"]:
        counts, name = summary["tables"][source["table"]], source["source"]
        classes = Counter(record["error_class"] for record in rejected.get(name, []))
        assert classes["duplicate"] == counts["rows_duplicate"]
        assert classes.total() - classes["duplicate"] == counts["rows_rejected"]
        if name != "sales" or summary["window"] == expected.window:
            assert rejected.get(name) == expected.rejected.get(name)


def assert_the_killed_run_is_reported(project: Project, killed: str) -> None:
    ((status,),) = project.query(f"SELECT status FROM etl_run WHERE run_id = '{killed}'")
    assert status in ("killed", "recovered")
    lines = (project.folder / "later logs" / "etl_pipeline.log").read_text("utf-8").splitlines()
    assert any(killed in json.loads(line)["message"] for line in lines)


@pytest.mark.parametrize("number", range(KILLS))
def test_after_a_kill_the_next_run_makes_what_an_undisturbed_one_makes(
    stage: Stage, tmp_path: Path, number: int
) -> None:
    state, mode = SITUATIONS[number % len(SITUATIONS)]
    expected = stage.undisturbed(state, mode)
    project = stage.project(state, tmp_path / "project")
    chance = random.Random(f"{SEED}-{number}")  # noqa: S311  # no secret
    moment = kill(project, mode, stage, chance)
    print(f"seed {SEED}, kill {number}: {state}, {moment}")  # noqa: T201  # shown when it fails
    killed = unfinished_run(project)
    project.settings["LOG_DIR"] = str(project.folder / "later logs")
    summary = project.run(*MODES[mode])
    assert summary["exit_code"] == 0
    assert project.tables() == expected.tables
    assert_audit_is_consistent(project)
    assert_nothing_is_left_behind(project)
    assert_rejected_files_are_complete(summary, expected)
    if killed:
        assert_the_killed_run_is_reported(project, killed)

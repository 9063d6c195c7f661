"""Whatever files a declared load is given, it ends as a slow model says, and its counts add up.

The model loads one record after the other into a dict. It knows nothing of blocks, staging or SQL.
More histories: HISTORIES=100 python -m pytest tests/pipeline/test_own_histories.py
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import pytest
from engines import Engine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pipeline_runs import Project, write_csv

from etl.engines.database import DatabaseManager
from etl.history.audit import require_balance
from etl.history.records import RunRecord
from etl.monitoring.metrics import ETLMetrics
from etl.pipeline.arguments import mode_of
from etl.pipeline.command_line import parse_arguments
from etl.pipeline.context import RunContext
from etl.pipeline.loads import run_loads
from etl.pipeline.planning import plan_run, planned_sources
from etl.pipeline.reading import start_reading
from etl.pipeline.stages import Stages
from etl.sources import csv_reader, flat_json
from etl.warehouse.own_loads import own_loads

COLUMNS = ("nr", "place", "n", "owner")
Record = Mapping[str, str]
Key = tuple[int, str]
COUNTS = ("read", "rejected", "duplicate", "inserted", "updated", "unchanged", "removed")

FIELDS = {
    "nr": st.sampled_from(["1", "2", "03", " 4 ", "", "x", "NULL", "2"]),
    "place": st.sampled_from(["A", "B", "\u00c4 b", "", '="A"']),
    "n": st.sampled_from(["0", "5", "7.0", "-1", "y", ""]),
    "owner": st.sampled_from(["", "o1", "o2", "o9"]),
}
FILES = st.lists(st.fixed_dictionaries(FIELDS), max_size=9)
NIGHTS = st.lists(
    st.tuples(FILES, st.sampled_from(["csv", "json"]), st.sampled_from([1, 2, 1000])),
    min_size=1, max_size=3,
)  # fmt: skip

PIPELINE = """
[loads.owner]
source.path = "owners.csv"
table = "owner"
key = ["owner"]
columns = {{ owner = "text(9)" }}

[loads.visit]
source.path = "visits.{format}"
table = "{table}"
mode = "{mode}"
key = ["nr", "place"]
columns = {{ nr = "integer", place = "text(9)", n = "integer", owner = "text(9)" }}
references = {{ owner = "owner" }}
rules.positive = {{ check = "n >= 0" }}
"""


@dataclass
class Model:
    """The table as it should be, and what the last load of it should have counted."""

    replaces: bool
    rows: dict[Key, tuple[int | None, str | None]] = field(default_factory=dict)

    def load(self, records: Sequence[Record]) -> dict[str, int]:
        read = [self._read(record) for record in records]
        accepted = dict(found for found in read if found)
        counts = {
            "read": len(records),
            "rejected": read.count(None),
            "duplicate": len(records) - read.count(None) - len(accepted),
            "inserted": len(accepted.keys() - self.rows.keys()),
            "updated": sum(self.rows.get(k, v) != v for k, v in accepted.items()),
            "unchanged": sum(self.rows.get(k) == v for k, v in accepted.items()),
        }
        kept = {} if self.replaces else self.rows
        counts["removed"] = len(self.rows.keys() - accepted.keys()) if self.replaces else 0
        self.rows = {**kept, **accepted}
        return counts

    @staticmethod
    def _read(record: Record) -> tuple[Key, tuple[int | None, str | None]] | None:
        nr, place = record["nr"].strip(), record["place"].strip('="')
        n, owner = record["n"].removesuffix(".0"), record["owner"]
        if not (nr.isdecimal() and place and n in ("", "0", "5", "7") and owner != "o9"):
            return None
        return (int(nr), place), (int(n) if n else None, owner or None)


def write(project: Project, records: Sequence[Record], file_format: str) -> None:
    path = project.input / f"visits.{file_format}"
    if file_format == "csv":
        write_csv(path, COLUMNS, records)
    else:
        path.write_text(json.dumps({"visits": records}), encoding="utf-8")


@pytest.fixture(scope="module")
def project(every_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp(every_engine.name.lower().replace(" ", "_"))
    quiet = {"MAX_REJECT_RATE": "1", "PIPELINE_FILE": str(folder / "pipeline.toml")}
    project = Project(folder, **quiet)
    (project.input / "owners.csv").write_text("owner\no1\no2\n", encoding="utf-8")
    (folder / "pipeline.toml").touch()
    return project


def load(project: Project, db: DatabaseManager) -> dict[str, int]:
    """A run without all that comes before and after its loads."""
    config = project.config()
    args = parse_arguments(["--only", "owner", "--only", "visit", "--accept", "visit"])
    own = own_loads(db, config)
    plan, metrics = plan_run(db, config, args, own), ETLMetrics()
    record = RunRecord(config, mode_of(args), plan.window)
    run = RunContext(config, args, db, plan, record, metrics, Stages(metrics), start_reading,
                     project.folder, own)  # fmt: skip
    outcomes, _ = run_loads(replace(run, sources=planned_sources(run)))
    assert [outcome.message for outcome in outcomes] == ["", ""]
    counts = outcomes[1].counts
    assert counts is not None
    assert counts.accounted == counts.rows_read
    require_balance(db, plan.run_id)
    return {name: getattr(counts, f"rows_{name}") for name in COUNTS}


_numbers = count(1)


@pytest.mark.parametrize("mode", ["merge", "replace"])
@settings(
    max_examples=int(os.environ.get("HISTORIES", "3")), deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(nights=NIGHTS)
def test_a_declared_load_ends_as_the_model_says(
    project: Project, mode: str, nights: Sequence[tuple[Sequence[Record], str, int]]
) -> None:
    name, model = f"visit_{next(_numbers)}", Model(mode == "replace")
    with (
        pytest.MonkeyPatch.context() as patched,
        DatabaseManager.from_config(project.config()) as db,
    ):
        for records, file_format, size in nights:
            patched.setattr(csv_reader, "MOST_READ_BYTES", 16 * size)
            patched.setattr(flat_json, "_BLOCK_ROWS", size)
            declare(project, format=file_format, mode=mode, table=name)
            write(project, records, file_format)
            assert load(project, db) == model.load(records)
            assert load(project, db) == model.load(records)  # twice equals once
            assert table(db, name) == model.rows


def declare(project: Project, **names: str) -> None:
    path = project.folder / "pipeline.toml"
    path.write_text(PIPELINE.format(**names), encoding="utf-8")


def table(db: DatabaseManager, name: str) -> dict[Key, tuple[int | None, str | None]]:
    rows = db.query(f'SELECT nr, place, n, owner FROM "{name}"')
    return {(nr, place): (n, owner) for nr, place, n, owner in rows}

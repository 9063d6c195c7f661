"""Runs the real pipeline on files in a temporary folder, and looks at what it left."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import engines

from etl.engines.database import DatabaseManager
from etl.engines.engine import Access
from etl.history.summary import RunSummary
from etl.pipeline.command_line import parse_arguments
from etl.schema.source_columns import CUSTOMER_COLUMNS, SALES_COLUMNS
from etl.schema.star import STAR_TABLES
from etl.schema.table import Role
from etl.settings.config import Config, load_config
from etl_pipeline import main, run_etl_pipeline

Record = Mapping[str, str | None]

# Lets everything pass that the gate may find.
ACCEPT_ALL = tuple(
    word for table in STAR_TABLES for word in ("--accept", table.source)
)  # fmt: skip

COMMAND = Path(__file__).resolve().parent.parent / "etl_pipeline.py"

_SPECIFICATIONS = ("brand", "model", "price", "cost")
_INVENTORY = ("quantity", "warehouse")


def write_csv(path: Path, columns: Sequence[str], records: Sequence[Record]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for record in records:
            writer.writerow([record.get(column) or "" for column in columns])


def write_customers(folder: Path, records: Sequence[Record]) -> None:
    write_csv(folder / "customers.csv", CUSTOMER_COLUMNS, records)


def write_sales(folder: Path, records: Sequence[Record]) -> None:
    completed = [{"status": "completed", **record} for record in records]
    write_csv(folder / "sales_transactions.csv", (*SALES_COLUMNS, "status"), completed)


def write_products(folder: Path, records: Sequence[Record]) -> None:
    nested = {"products": [_nested(record) for record in records], "metadata": {"version": "1.2"}}
    (folder / "products.json").write_text(json.dumps(nested), encoding="utf-8")


def _nested(record: Record) -> dict[str, Any]:
    flat = {
        name: value for name, value in record.items() if name not in (*_SPECIFICATIONS, *_INVENTORY)
    }
    return flat | {
        "specifications": {name: record.get(name) for name in _SPECIFICATIONS},
        "inventory": {name: record.get(name) for name in _INVENTORY},
    }


class Project:
    """A project folder of its own: sources, settings, warehouse, logs."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.input = folder / "input"
        self.output = folder / "output" / "dev"  # what the dev environment makes
        self.logs = folder / "logs"
        self.input.mkdir(parents=True, exist_ok=True)
        self.settings = {
            "INPUT_DIR": str(self.input),
            "OUTPUT_DIR": str(self.output.parent),
            "LOG_DIR": str(self.logs),
            **settings,
        }
        self.engine = engines.current()
        if self.engine is engines.SQL_SERVER:
            for name, usual in (("BULK", "no"), ("UPSERT", "merge")):
                asked = os.environ.get(f"TEST_SQLSERVER_{name}", usual)
                self.settings.setdefault(f"SQL_SERVER_{name}", asked)
        if self.engine.is_server:
            self.settings["DB_CONNECTION_STRING"] = self.engine.new_database()
        if self.engine is engines.LAKEHOUSE:
            self.settings.setdefault("DB_CONNECTION_STRING", f"delta:///{self.lake}")
        self.write()

    def write(
        self,
        customers: Sequence[Record] = (),
        products: Sequence[Record] = (),
        sales: Sequence[Record] = (),
    ) -> None:
        write_customers(self.input, customers)
        write_products(self.input, products)
        write_sales(self.input, sales)

    @property
    def lake(self) -> Path:
        return self.output / "lake"

    @property
    def warehouse(self) -> Path:
        folder = self.lake / "_work" if self.engine is engines.LAKEHOUSE else self.output
        return folder / "warehouse.duckdb"

    @property
    def connection_string(self) -> str:
        return self.config().database.connection_string.get_secret_value()

    def load_like(self, other: "Project") -> None:
        """Puts this project into the state of one that has run once."""
        if not self.engine.is_server:
            shutil.copytree(other.output, self.output)
            return
        mine, self.settings["INPUT_DIR"] = self.settings["INPUT_DIR"], other.settings["INPUT_DIR"]
        self.run()
        self.settings["INPUT_DIR"] = mine

    def config(self, env: str = "dev") -> Config:
        return load_config(env, base_dir=self.folder, environ=self.settings)

    def run(self, *argv: str) -> RunSummary:
        args = parse_arguments(argv)
        return run_etl_pipeline(self.config(args.env), args)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        access = Access(read_only=True, cloud=self.config().clouds.access)
        with DatabaseManager(self.connection_string, access=access) as db:
            return db.query(sql)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """All rows of the star schema, sorted by key, without the audit columns."""
        return {table.name: self._rows(table.name) for table in STAR_TABLES}

    def _rows(self, name: str) -> list[dict[str, Any]]:
        table = next(table for table in STAR_TABLES if table.name == name)
        columns = [c.name for c in table.columns if c.role not in (Role.CREATED, Role.UPDATED)]
        listed = ", ".join(f'"{column}"' for column in columns)
        rows = self.query(f'SELECT {listed} FROM "{name}" ORDER BY "{table.key[0]}"')
        return [dict(zip(columns, row, strict=True)) for row in rows]

    def rejected(self, source: str) -> list[dict[str, str]]:
        """All rejected records of a source, of all runs."""
        files = sorted((self.output / "rejected").glob(f"{source}_*.csv"))
        return [record for path in files for record in read_csv(path)]


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def unchanged(summary: RunSummary) -> dict[str, str]:
    """By source, the run since which it is unchanged; those that were loaded are left out."""
    return {
        source["source"]: source["unchanged_since"]
        for source in summary["sources"]
        if source["unchanged_since"]
    }


def reported(summary: RunSummary, project: Project) -> dict[str, Any]:
    """What a run says, without moments, sizes of its own, and that it did not load a file.

    Nor in how many transactions it did it.
    """
    run_id = summary["run_id"]
    text = json.dumps({
        "tables": {
            name: {k: n for k, n in counts.items() if k not in ("seconds", "batches")}
            for name, counts in summary["tables"].items()
        },
        "sources": [{**source, "unchanged_since": ""} for source in summary["sources"]],
        **{name: summary[name] for name in (
            "status", "exit_code", "notices", "attention", "rejects", "column_changes")},
        "lineage": [
            {**each, "recorded_at": "", "modified_at": ""} for each in summary["lineage"]
        ],
        "quality": [[check["name"], check["value"]] for check in summary["quality"]["checks"]
                    if not check["name"].endswith("_age")],
    }, default=str)  # fmt: skip
    files = {
        path.name: read_csv(path) for path in (project.output / "rejected").glob(f"*_{run_id}.csv")
    }
    rejected = json.loads(json.dumps(files).replace(run_id, "RUN"))
    return {**json.loads(text.replace(run_id, "RUN").replace(str(project.folder), "")),
            "rejected": rejected}  # fmt: skip


def command(project: Project, monkeypatch: Any, *argv: str) -> int:
    """The command itself in this process, its settings in the environment."""
    for name, value in project.settings.items():
        monkeypatch.setenv(name, value)
    return main(argv)


def start(
    project: Project, *argv: str, environ: Mapping[str, str] | None = None, launcher: str = ""
) -> subprocess.Popen[str]:
    """The command as a process of its own, its settings in the environment.

    A launcher is a line of Python that runs first, such as one that lowers a limit.
    """
    goes_on = "import os, sys; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    before = ["-c", f"{launcher}; {goes_on}"] if launcher else []
    return subprocess.Popen(
        [sys.executable, *before, str(COMMAND), *argv],
        env={**os.environ, **project.settings, **(environ or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="backslashreplace",
    )


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """Waits for the end of a process and returns what it said."""
    with process:
        out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def linger(process: subprocess.Popen[str], seconds: float) -> None:
    """Lets a process run on for a while, or to its end if that comes first."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def linger_until(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Lets a process run on until it has done something, or to its end."""
    while process.poll() is None and not condition():
        linger(process, 0.002)

"""Versions of a million customers of whom a tenth has changed, against what an expert writes.

Both begin with the same staged records in the same DuckDB file, each in a process of its own, and
must end with the same versions. The expert's statements keep no states that were seen, so that
they can take nothing that comes late; they are the best of two: one MERGE, or UPDATE and INSERT.
"""

import argparse
import shutil
import statistics
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from measuring import ROOT, at_least_one, exit_code_of, run_measured, working_folder
from rich.console import Console
from rich.table import Table as Shown

sys.path.insert(0, str(ROOT))

from etl.engines.database import DatabaseManager  # the path comes first
from etl.history.runs import Staged
from etl.schema.star import STAR_TABLES
from etl.schema.table import Column, Kind, Role, Table
from etl.schema.versioned import versioned
from etl.schema.versions import Versions
from etl.schema.work_tables import staging_table
from etl.warehouse.tables import create_tables
from etl.warehouse.versions import keep_versions

_text = [("name", 100), ("email", 100), ("phone", 30), ("segment", 30), ("city", 50)]
PLAIN = Table(
    "customer", "", ("customer_id",), replaced=True,
    columns=(
        Column("customer_id", "", Kind.TEXT, width=20, required=True, exact=True),
        *(Column(name, "", Kind.TEXT, width=width) for name, width in _text),
        Column("balance", "", Kind.DECIMAL, precision=12, scale=2),
        Column("registered", "", Kind.DATE),
    ),
)  # fmt: skip
CUSTOMER = versioned(PLAIN, Versions())
NAMES = [column.name for column in PLAIN.columns]
VALUES = NAMES[1:]
STAGE = staging_table(CUSTOMER).name
FIRST, SECOND = "20240120T020000.000000Z", "20240121T020000.000000Z"
NIGHT = "TIMESTAMP '2024-01-21 02:00:00'"
NEVER = "TIMESTAMP '9999-12-31'"


# --- what is loaded ----------------------------------------------------------------------


def _stage(db: DatabaseManager, customers: int, *, changed: bool) -> None:
    """Fills the staging table with all customers; every tenth lives elsewhere on the second day."""
    city = "CASE WHEN n % 10 = 3 THEN 'Rome' ELSE 'City ' || n % 997 END" if changed else (
        "'City ' || n % 997")  # fmt: skip
    db.execute(f"DROP TABLE IF EXISTS {STAGE}")
    db.execute(
        f"CREATE TEMPORARY TABLE {STAGE} AS SELECT n + 1 AS source_row, 'C' || n AS customer_id, "  # noqa: S608
        "'First' || n % 5000 || ' Last' || n % 7919 AS name, "
        "'mail' || n || '@example.com' AS email, "
        "'(555) ' || (1000000 + n) AS phone, 'Segment ' || n % 5 AS segment, "
        f"{city} AS city, CAST(n % 100000 AS DECIMAL(12, 2)) / 4 AS balance, "
        "DATE '2015-01-01' + CAST(n % 3000 AS INTEGER) AS registered "
        f"FROM range({customers}) AS t(n)"
    )
    db.execute("CREATE TEMPORARY TABLE IF NOT EXISTS rejected_customer (record_key VARCHAR)")


def _staged(customers: int, run_id: str) -> Staged:
    staged = Staged(CUSTOMER, STAGE, "rejected_customer", customers, 0, 0)
    return replace(staged, run_id=run_id)


def _make(path: Path, customers: int) -> None:
    """Makes a warehouse that has the first day."""
    with DatabaseManager(f"duckdb:///{path}") as db:
        create_tables(db, (*STAR_TABLES, CUSTOMER))
        _stage(db, customers, changed=False)
        with db.transaction():
            keep_versions(db, _staged(customers, FIRST), whole=True)
        db.execute("CHECKPOINT")


# --- the second day ----------------------------------------------------------------------

_DIFFERS = " OR ".join(f'h."{name}" IS DISTINCT FROM s."{name}"' for name in VALUES)
_LISTED = ", ".join(NAMES)
_NEW = f"version_id, {_LISTED}, valid_from, valid_to, is_current"


def _by_merge(db: DatabaseManager, _customers: int) -> None:
    columns = ", ".join(f"s.{name}" for name in NAMES)
    db.execute(f"""MERGE INTO customer AS h USING (
    SELECT s.customer_id AS match, 0 AS version_id, {columns} FROM {STAGE} AS s
    UNION ALL
    SELECT NULL, (SELECT max(version_id) FROM customer) + row_number() OVER (), {columns}
    FROM {STAGE} AS s JOIN customer AS h ON h.customer_id = s.customer_id AND h.is_current
    WHERE {_DIFFERS}
) AS s ON h.customer_id = s.match AND h.is_current
WHEN MATCHED AND ({_DIFFERS}) THEN UPDATE SET valid_to = {NIGHT}, is_current = FALSE
WHEN NOT MATCHED THEN INSERT ({_NEW})
    VALUES (s.version_id, {columns}, {NIGHT}, {NEVER}, TRUE)""")  # noqa: S608


def _by_update_and_insert(db: DatabaseManager, _customers: int) -> None:
    columns = ", ".join(f"s.{name}" for name in NAMES)
    with db.transaction():
        db.execute(f"""CREATE TEMPORARY TABLE changed AS
SELECT h.version_id AS old, {columns} FROM {STAGE} AS s
LEFT JOIN customer AS h ON h.customer_id = s.customer_id AND h.is_current
WHERE h.customer_id IS NULL OR {_DIFFERS}""")  # noqa: S608
        db.execute(f"""UPDATE customer SET valid_to = {NIGHT}, is_current = FALSE
FROM changed WHERE customer.version_id = changed.old""")  # noqa: S608
        db.execute(f"""INSERT INTO customer ({_NEW})
SELECT (SELECT max(version_id) FROM customer) + row_number() OVER (), {_LISTED}, {NIGHT}, {NEVER},
    TRUE FROM changed""")  # noqa: S608


def _by_the_package(db: DatabaseManager, customers: int) -> None:
    with db.transaction():
        keep_versions(db, _staged(customers, SECOND), whole=True)


def _nothing(_db: DatabaseManager, _customers: int) -> None:
    """What all of them need: a process, the file, the staged records."""


WAYS: Mapping[str, Callable[[DatabaseManager, int], None]] = {
    "nothing": _nothing,
    "one MERGE": _by_merge,
    "UPDATE and INSERT": _by_update_and_insert,
    "the package": _by_the_package,
}


def _checksum(path: Path) -> str:
    columns = ", ".join(c.name for c in CUSTOMER.columns if c.role is Role.SOURCE)
    with DatabaseManager(f"duckdb:///{path}") as db:
        return str(db.query(
            f"SELECT count(*), sum(hash({columns}, valid_from, valid_to, is_current)) "  # noqa: S608
            "FROM customer"
        ))  # fmt: skip


# --- measuring ---------------------------------------------------------------------------


def _compare(args: argparse.Namespace) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    with working_folder(args.folder) as folder:
        first = folder / "first.duckdb"
        _make(first, args.customers)
        sums = {}
        for _ in range(args.rounds):
            for name in WAYS:
                path = folder / "second.duckdb"
                shutil.copyfile(first, path)
                command = [__file__, "--way", name, "--file", str(path),
                           "--customers", str(args.customers)]  # fmt: skip
                seconds[name].append(run_measured(command, folder / "log.txt").cpu_s)
                sums[name] = _checksum(path)
    del sums["nothing"]
    if len(set(sums.values())) > 1:
        raise SystemExit(f"the versions differ: {sums}")
    _show(seconds)


def _show(seconds: Mapping[str, list[float]]) -> None:
    base = statistics.median(seconds["nothing"])
    own = {n: statistics.median(s) - base for n, s in seconds.items() if n != "nothing"}
    best = min(cpu_s for name, cpu_s in own.items() if name != "the package")
    shown = Shown(title="CPU seconds beyond those of opening the file and staging")
    for title in ("", "CPU s", "times the best SQL"):
        shown.add_column(title)
    for name, cpu_s in own.items():
        shown.add_row(name, f"{cpu_s:.2f}", f"{cpu_s / best:.2f}")
    Console().print(shown)


def _one(args: argparse.Namespace) -> None:
    with DatabaseManager(f"duckdb:///{args.file}") as db:
        _stage(db, args.customers, changed=True)
        WAYS[args.way](db, args.customers)


def main() -> int:
    """Compare them, or do it one way."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--customers", type=at_least_one, default=1_000_000, metavar="N")
    made.add_argument("--rounds", type=at_least_one, default=3, metavar="N")
    made.add_argument("--folder", type=Path, help="where to work (a temporary folder)")
    made.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    made.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    args = made.parse_args()
    return exit_code_of(lambda: _one(args) if args.way else _compare(args))


if __name__ == "__main__":
    sys.exit(main())

"""Make up the journal of so many nightly runs, and write the page over it.

    python scripts/sample_journal.py 30 page.html

The same number of runs and seed give the same journal. The tests and the pictures in the README
use it; nothing of it comes from a real warehouse.
"""

import hashlib
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from etl.reports.business_charts import Amount, Business  # noqa: E402  # needs the path
from etl.reports.dashboard import dashboard  # noqa: E402
from etl.reports.samples import Sample  # noqa: E402

Entry = dict[str, Any]

FIRST_NIGHT = datetime(2025, 3, 1, 2, 0, tzinfo=UTC)

_SOURCES = (
    ("customers", "customer_dim", "data/input/customers.csv"),
    ("products", "product_dim", "data/input/products.json"),
    ("sales", "sales_fact", "data/input/sales_transactions.csv"),
)
_REASONS = (
    ("customers", "malformed", ""),
    ("customers", "missing", "customer_id"),
    ("products", "rule", "price"),
    ("products", "unreadable", "quantity"),
    ("sales", "rule", "quantity"),
    ("sales", "unreadable", "transaction_date"),
    ("sales", "rule", "discount_amount"),
)
_COLUMNS = {
    "customer_dim": ("email", "phone", "address", "segment", "source_segment"),
    "product_dim": ("price", "price_category", "quantity", "inventory_status"),
    "sales_fact": ("discount_amount", "total_amount", "profit_amount"),
}
_REJECTED = {
    "customers": (
        Sample("118", "", "customer_id", "", "customer_id is required"),
        Sample("2041", "", "", "C02040,Ann,Lee,ann@example.com", "4 fields, not 8"),
    ),
    "sales": (
        Sample("77", "T0081977", "quantity", "0", "quantity must not be 0"),
        Sample("345", "T0082245", "transaction_date", "2025-02-30", "no such date"),
        Sample("801", "T0082701", "discount_amount", "99.00", "the discount is above the gross"),
    ),
}
_CATEGORIES = {"Electronics": 0.44, "Home": 0.27, "Sports": 0.17, "Books": 0.09, "unknown": 0.03}
_SEGMENTS = {"Premium Plus": 0.38, "Standard Plus": 0.31, "Basic": 0.22, "Incomplete Profile": 0.09}

_CHECKS = ("row_count", "unique", "required")
_SCORES = {"completeness": 98.4, "validity": 94.0, "uniqueness": 99.2, "consistency": 99.8}
# One run in so many is not a clean one.
_ODD_NIGHTS = {"attention": 0.04, "failed": 0.02, "in_use": 0.015, "killed": 0.005}


def sample_journal(nights: int, *, seed: int = 1, last: str = "success") -> list[Entry]:
    """Return the entries of so many nights, oldest first.

    Args:
        nights: how many.
        seed: what the figures are drawn from.
        last: how the last run ended.

    Example:
        >>> [entry["status"] for entry in sample_journal(2, last="failed")]
        ['success', 'failed']
    """
    random = Random(seed)  # noqa: S311  # sample figures, no secret
    entries = []
    for night in range(nights):
        started = FIRST_NIGHT + timedelta(days=night, seconds=random.uniform(0, 20))
        status = last if night == nights - 1 else _status(random, night)
        entries.append(_entry(random, night, started, status))
    return entries


def _status(random: Random, night: int) -> str:
    if night == 0:
        return "success"
    drawn = random.random()
    for status, share in _ODD_NIGHTS.items():
        drawn -= share
        if drawn < 0:
            return status
    return "success"


def _entry(random: Random, night: int, started: datetime, status: str) -> Entry:
    loads = status in ("success", "attention")
    seconds = _seconds(random, night) if loads else random.uniform(0.2, 4)
    error = {
        "failed": "the warehouse cannot be reached: Login timeout expired (HYT00).\n"
        "Next: see that the server runs and that DB_SERVER names it.",
        "in_use": "the warehouse is in use by duckdb, process 4711. Next: end it or wait.",
    }.get(status, "")
    entry = {
        "run_id": started.strftime("%Y%m%dT%H%M%S.%fZ"),
        "environment": "prod",
        "mode": "full_refresh" if night == 0 else "incremental",
        "status": status,
        "exit_code": {"success": 0, "attention": 3, "in_use": 4}.get(status, 1),
        "started_at": started.isoformat(),
        "finished_at": (started + timedelta(seconds=seconds)).isoformat(),
        "error": error,
    }
    return entry | _load(random, night, started, status, seconds) if loads else entry


def _seconds(random: Random, night: int) -> float:
    weekly = 1.25 if night % 7 == 0 else 1.0
    return (24 + night * 0.03) * weekly * random.lognormvariate(0, 0.08)


def _load(random: Random, night: int, started: datetime, status: str, seconds: float) -> Entry:
    rejects = [row for row in _rejects(random, night, status) if row["rows"]]
    rejected = {row["source"] for row in rejects}
    tables = {
        table: _counts(random, night, table, sum(r["rows"] for r in rejects if r["source"] == name))
        for name, table, _ in _SOURCES
    }
    held = status == "attention"
    quality = _quality(random, night, held)
    attention = [
        f"check {c['name']}: {c['message']}" for c in quality["checks"] if c["status"] != "passed"
    ]
    return {
        "window": f"sales from {started - timedelta(days=3):%Y-%m-%d} on" if night else "all sales",
        "warehouse": "DWH01/Sales",
        "sources": [
            {"source": name, "table": table, "status": "loaded", "error": "", "notes": {},
             "rejected_file": f"data/output/prod/rejected/{name}_{started:%Y%m%dT%H%M%S}.csv"
             if name in rejected else ""}
            for name, table, _ in _SOURCES
        ],
        "tables": tables,
        "column_changes": _column_changes(random, tables),
        "quality": quality,
        "attention": attention,
        "anomalies": _anomalies(night, held),
        "metrics": _metrics(random, tables, seconds),
        "rejects": rejects,
        "lineage": [_traced(source, tables, started, random) for source in _SOURCES],
        "exported": [],
    }  # fmt: skip


def _rejects(random: Random, night: int, status: str) -> list[Entry]:
    flood = 6 if status == "attention" else 1
    rejects = []
    for place, (source, error_class, field) in enumerate(_REASONS):
        rows = round(random.expovariate(1 / (4 + 3 * place)) * flood) if (night + place) % 3 else 0
        reason = {"source": source, "error_class": error_class, "field": field}
        rejects.append({**reason, "rows": rows})
    return rejects


def _counts(random: Random, night: int, table: str, rejected: int) -> dict[str, float]:
    size = {"customer_dim": 48_000, "product_dim": 5_200, "sales_fact": 9_400}[table]
    present = size + night * size // 900
    fresh = size // 3 if table == "sales_fact" else size // 600
    inserted = present if night == 0 else round(fresh * random.lognormvariate(0, 0.3))
    updated = 0 if night == 0 else round(size / 150 * random.lognormvariate(0, 0.5))
    unchanged = 0 if night == 0 else present - updated
    duplicate = random.randrange(0, 9)
    return {
        "rows_read": inserted + updated + unchanged + rejected + duplicate,
        "rows_inserted": inserted,
        "rows_updated": updated,
        "rows_unchanged": unchanged,
        "rows_rejected": rejected,
        "rows_duplicate": duplicate,
        "rows_inferred": random.randrange(0, 4) if table != "sales_fact" else 0,
        "rows_restated": random.randrange(0, 40) if table == "sales_fact" else 0,
        "rows_vanished": 0,
        "rows_removed": 0,
        "batches": 1,
        "seconds": round(present / 6000 * random.lognormvariate(0, 0.1), 3),
    }


def _column_changes(random: Random, tables: dict[str, dict[str, float]]) -> dict[str, Entry]:
    changed = {}
    for table, columns in _COLUMNS.items():
        updated = int(tables[table]["rows_updated"])
        if updated:
            changed[table] = {c: random.randrange(1, updated + 1) for c in columns}
    return changed


def _quality(random: Random, night: int, failed: bool) -> Entry:
    names = [f"{table}.{check}" for _, table, _ in _SOURCES for check in _CHECKS]
    checks = [
        {"name": name, "status": "passed", "value": 0, "threshold": 0,
         "message": f"0 rows of {name.split('.')[0]} break it"}
        for name in names
    ]  # fmt: skip
    if failed:
        checks[2] |= {
            "status": "failed", "value": 37, "severity": "critical", "examples": ["C00417"],
            "message": "37 rows of customer_dim lack a required value",
        }  # fmt: skip
    scores = {
        name: round(min(100.0, base + random.gauss(0, 0.25) - (4 if failed else 0)), 2)
        for name, base in _SCORES.items()
    }
    return {"passed": not failed, "checks": checks, "scores": scores}


def _anomalies(night: int, failed: bool) -> list[Entry]:
    if not failed:
        return []
    message = f"3.1 times the rejected records of the {min(night, 30)} runs before"
    return [
        {"type": "reject_rate", "table": "customer_dim", "severity": "warning", "message": message}
    ]


def _metrics(random: Random, tables: dict[str, dict[str, float]], seconds: float) -> Entry:
    records = int(sum(table["rows_read"] for table in tables.values()))
    shares = {"extraction": 0.2, "transformation": 0.15, "loading": 0.6, "validation": 0.05}
    stages = {}
    for name, share in shares.items():
        took = seconds * share * random.lognormvariate(0, 0.1)
        rows = records if name != "validation" else 0
        stages[name] = {
            "seconds": took, "records": rows, "errors": 0, "error_rate": 0.0,
            "records_per_second": rows / took,
        }  # fmt: skip
    return {
        "total_seconds": seconds,
        "total_records": records,
        "total_errors": 0,
        "error_rate": 0.0,
        "records_per_second": records / seconds,
        "stages": stages,
        "unfinished_stages": [],
        "peak_memory_mb": 231.5,
    }


def _traced(
    source: tuple[str, str, str],
    tables: dict[str, dict[str, float]],
    started: datetime,
    random: Random,
) -> Entry:
    name, table, path = source
    rows = int(tables[table]["rows_read"])
    return {
        "source": name,
        "path": path,
        "bytes": rows * random.randrange(80, 120),
        "sha256": hashlib.sha256(f"{path} {started}".encode()).hexdigest(),
        "modified_at": (started - timedelta(hours=1)).isoformat(),
        "rows": rows,
        "target": table,
    }


def held_back(entry: Entry) -> Entry:
    """Return a run with its first source held back: too many of its records were rejected."""
    first, *others = entry["sources"]
    counts = entry["tables"][first["table"]]
    read, refused = counts["rows_read"], counts["rows_read"] // 5
    none = {name: 0 for name in counts if name.startswith("rows_")}
    message = f"{refused:,} of {read:,} records were rejected (20.0%, up to 10% pass)"
    tables = {**entry["tables"], first["table"]: {
        **counts, **none, "rows_read": read, "rows_rejected": refused}}  # fmt: skip
    return {
        **entry, "status": "attention", "exit_code": 3, "tables": tables, "error": message,
        "sources": [{**first, "status": "held back", "error": message}, *others],
        "attention": [f"{first['source']}: {message}"],
        "rejects": [
            {"source": first["source"], "error_class": "missing", "field": "customer_id",
             "rows": refused},
            *(row for row in entry["rejects"] if row["source"] != first["source"]),
        ],
    }  # fmt: skip


def sample_business(until: date, *, seed: int = 1) -> Business:
    """Return made-up figures of a year of sales."""
    random = Random(seed)  # noqa: S311  # sample figures, no secret
    days = []
    for back in reversed(range(395)):
        day = until - timedelta(days=back)
        weekend = 1.6 if day.weekday() >= 5 else 1.0  # noqa: PLR2004  # Saturday
        sales = round(130 * weekend * (1 - back / 1200) * random.lognormvariate(0, 0.18))
        days.append(Amount(str(day), Decimal(sales * 8713) / 100, sales))
    names = list(dict.fromkeys(day.name[:7] for day in days))[-13:]
    months = [_month(name, [day for day in days if day.name[:7] == name]) for name in names]
    whole = sum(month.revenue for month in months)
    sold = sum(month.sales for month in months)

    def groups(shares: dict[str, float]) -> tuple[Amount, ...]:
        return tuple(
            Amount(name, round(whole * Decimal(share), 2), round(sold * share))
            for name, share in shares.items()
        )

    return Business(until, tuple(days[-60:]), tuple(months), groups(_CATEGORIES), groups(_SEGMENTS))


def _month(name: str, days: list[Amount]) -> Amount:
    revenue, sales = sum((day.revenue for day in days), Decimal(0)), sum(day.sales for day in days)
    return Amount(name, revenue, sales, sales // 9, sales // 3)


def sample_page(nights: int, *, last: str = "success") -> str:
    """Return the page over so many made-up nights, with all its parts.

    Args:
        nights: how many.
        last: how the last run ended; `held back` is one with a source that was held back.
    """
    journal = sample_journal(nights, last="attention" if last == "held back" else last)
    if last == "held back":
        journal[-1] = held_back(journal[-1])
    until = (FIRST_NIGHT + timedelta(days=nights - 2)).date()
    return dashboard(journal, business=sample_business(until), samples=_REJECTED)


def main(nights: str = "30", path: str = "dashboard.html", last: str = "success") -> None:
    """Write a page over so many made-up nights."""
    Path(path).write_text(sample_page(int(nights), last=last), encoding="utf-8", newline="\n")
    print(f"{path}: {Path(path).stat().st_size:,} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Records from an interface over HTTP into DuckDB: the pipeline beside dlt's rest_api.

    python benchmarks/rest_load.py --records 100000 --rounds 3

The interface is a server on loopback, in a process of its own: pages of 250 orders by a Link
header, ready-made, so that it costs the same for both. Each load is a process with its start and
imports; rows and a checksum over all columns are compared after each.
"""

import argparse
import json
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb
from measuring import (
    BenchmarkError,
    Measured,
    at_least_one,
    exit_code_of,
    figures_of,
    run_measured,
    working_folder,
)
from rich.console import Console
from rich.table import Table

PAGE = 250
_PIPELINE_TOML = """\
[loads.orders]
table = "orders"
key = ["id"]
columns = {{ id = "bigint", email = "text(100)", total_price = "decimal(12, 2)", \
currency = "text(3)", created_at = "timestamp", customer_id = "bigint", note = "text(200)" }}

[loads.orders.source]
type = "rest"
url = "{url}/orders"
records = "orders"
paging.kind = "link"
rename = {{ "customer.id" = "customer_id" }}
"""
# The rest of an order that nobody wants, as interfaces send it.
_BALLAST = {f"member_{n}": {"amount": "1.00", "currency_code": "USD"} for n in range(10)}
_CHECKSUM = """SELECT count(*), sum(id), sum(total_price), sum(customer_id), min(email), max(note),
    count(DISTINCT currency), min(created_at)::varchar FROM {table}"""


# --- the interface ---------------------------------------------------------------------------


def order(number: int) -> dict[str, object]:
    """One order of the interface."""
    return {
        "id": number, "email": f"c{number % 5000}@example.com", "currency": "USD",
        "total_price": f"{number % 977}.{number % 100:02}", "note": f"order {number % 1000}",
        "created_at": f"2024-01-{number % 28 + 1:02}T10:{number % 60:02}:00Z",
        "customer": {"id": number % 5000, "tags": ["a", "b"]}, **_BALLAST,
    }  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    pages: list[bytes]

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        number = int(query.get("page_info", ["0"])[0])
        body = self.pages[number]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if number + 1 < len(self.pages):
            host = self.headers["Host"]
            self.send_header("Link", f'<http://{host}/orders?page_info={number + 1}>; rel="next"')
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Says nothing."""


def _serve(records: int, caller: Connection) -> None:
    orders = [order(number) for number in range(1, records + 1)]
    _Handler.pages = [
        json.dumps({"orders": orders[start : start + PAGE]}).encode()
        for start in range(0, records, PAGE)
    ]
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    caller.send(server.server_port)
    caller.recv()  # until it is done
    server.shutdown()


@contextmanager
def interface(records: int) -> Iterator[str]:
    """The interface at work in a process of its own; yields its address."""
    context = get_context("spawn")
    ours, its = context.Pipe()
    process = context.Process(target=_serve, args=(records, its))
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        ours.send(None)
        process.join()


# --- the loads -------------------------------------------------------------------------------


def run_dlt(warehouse: str, url: str) -> None:
    """Dlt's rest_api: the same paging, key and upsert; nested objects are not unpacked."""
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL"}
    dlt, rest_api = import_module("dlt"), import_module("dlt.sources.rest_api")

    def flat(record: dict[str, Any]) -> dict[str, Any]:
        wanted = ("id", "email", "total_price", "currency", "created_at", "note")
        found = {name: record[name] for name in wanted}
        return {**found, "customer_id": record["customer"]["id"]}

    columns = {"total_price": {"data_type": "decimal", "precision": 12, "scale": 2}}
    source = rest_api.rest_api_source({
        "client": {"base_url": url, "paginator": "header_link"},
        "resources": [{
            "name": "orders", "primary_key": "id", "columns": columns,
            "write_disposition": {"disposition": "merge", "strategy": "upsert"},
            "endpoint": {"path": "orders", "data_selector": "orders"},
            "processing_steps": [{"map": flat}],
        }],
    })  # fmt: skip
    pipeline = dlt.pipeline(
        "bench", pipelines_dir=str(Path(warehouse).parent / "dlt"),
        destination=dlt.destinations.duckdb(warehouse), dataset_name="main",
    )  # fmt: skip
    pipeline.run(source)


def load_pipeline(folder: Path, url: str) -> Measured:
    """The pipeline, all of it: rejected files, gate, counts, history."""
    (folder / "pipeline.toml").write_text(_PIPELINE_TOML.format(url=url), encoding="utf-8")
    own = {
        "OUTPUT_DIR": str(folder / "output"), "LOG_DIR": str(folder / "logs"),
        "PIPELINE_FILE": str(folder / "pipeline.toml"), "LOG_LEVEL": "ERROR",
        "DB_CONNECTION_STRING": f"duckdb:///{folder / 'warehouse.duckdb'}",
    }  # fmt: skip
    command = ["etl_pipeline.py", "--only", "orders", "--json"]
    return run_measured(command, folder / "log.txt", own)


def load_dlt(folder: Path, url: str) -> Measured:
    """The same with dlt."""
    command = [__file__, "--dlt", str(folder / "warehouse.duckdb"), url]
    return run_measured(command, folder / "log.txt")


LOADS = {"pipeline": load_pipeline, "dlt rest_api": load_dlt}


def checksum(folder: Path) -> tuple[object, ...]:
    """What was loaded."""
    with duckdb.connect(str(folder / "warehouse.duckdb"), read_only=True) as warehouse:
        found = warehouse.execute(_CHECKSUM.format(table="orders")).fetchone()
    return tuple(str(value)[:19] for value in found or ())


def compare(records: int, rounds: int, tools: Sequence[str], given: Path | None) -> None:
    """Load with each tool in turns, a first time and again, and print the medians."""
    found: dict[tuple[str, str], list[Measured]] = {}
    sums = set()
    with interface(records) as url:
        for _ in range(rounds):
            for name in tools:
                with working_folder(given) as folder:
                    for scenario in ("first load", "again"):
                        found.setdefault((scenario, name), []).append(LOADS[name](folder, url))
                    sums.add(checksum(folder))
    if len(sums) != 1:
        raise BenchmarkError(f"the tools loaded different records: {sums}")
    _print(records, found)


def _print(records: int, found: dict[tuple[str, str], list[Measured]]) -> None:
    table = Table("load", "tool", "seconds", "CPU s", "CPU ratio", "peak MB",
                  title=f"{records:,} records over HTTP")  # fmt: skip
    for scenario in ("first load", "again"):
        measured = {name: runs for (part, name), runs in found.items() if part == scenario}
        ours = median(each.cpu_s for each in next(iter(measured.values())))
        for name, runs in measured.items():
            table.add_row(scenario, name, *figures_of(runs, ours, decimals=2))
    Console().print(table)


def main() -> int:
    """The command."""
    if sys.argv[1:2] == ["--dlt"]:
        run_dlt(*sys.argv[2:4])
        return 0
    parser = argparse.ArgumentParser(description="the pipeline beside dlt, over HTTP")
    parser.add_argument("--records", type=at_least_one, default=100_000, metavar="N")
    parser.add_argument("--rounds", type=at_least_one, default=3, metavar="N")
    parser.add_argument("--tools", nargs="+", choices=LOADS, default=[*LOADS])
    parser.add_argument("--folder", type=Path, help="where to work (a temporary folder)")
    args = parser.parse_args()
    return exit_code_of(lambda: compare(args.records, args.rounds, args.tools, args.folder))


if __name__ == "__main__":
    sys.exit(main())

"""Interfaces as the sources of declared loads: incremental by a cursor that moves with its load."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pipeline_runs import Project, command
from rest_server import Answer, Asked, RestServer, as_json, by_link, cut, refused, rest_server

from etl.settings.pipeline_reading import read_pipeline_file
from etl_pipeline import main

ORDERS = """
[loads.orders]
table = "shop_order"
key = ["order_id"]
{mode}
cursor = "updated_at"
{lag}
columns.order_id = "integer"
columns.customer_id = "text(20)"
columns.total = "decimal(12, 2)"
columns.updated_at = "timestamp"
rules.positive = {{ check = "total >= 0" }}

[loads.orders.source]
type = "rest"
url = "{url}/orders"
paging.kind = "link"
rename = {{ "id" = "order_id", "customer.id" = "customer_id" }}
since.param = "updated_at_min"
"""
START = datetime(2024, 1, 1)


@pytest.fixture(scope="module")
def at_work() -> Iterator[RestServer]:
    with rest_server() as server:
        yield server


@pytest.fixture
def server(at_work: RestServer) -> RestServer:
    at_work.faults, at_work.calls, at_work.routes = {}, [], {}
    return at_work


def order(number: int, hour: int, total: object = "1.50") -> dict[str, Any]:
    at = START + timedelta(hours=hour)
    return {"id": number, "customer": {"id": f"C{number % 3}"}, "total": total,
            "updated_at": f"{at.isoformat()}Z"}  # fmt: skip


class Shop:
    """A shop whose orders change, and which gives those since an instant."""

    def __init__(self, server: RestServer, size: int = 2) -> None:
        self.orders: dict[int, dict[str, Any]] = {}
        self.size = size
        server.routes["/orders"] = self.answer

    def change(self, *orders: dict[str, Any]) -> None:
        self.orders |= {each["id"]: each for each in orders}

    def answer(self, asked: Asked) -> Answer:
        since = asked.params.get("updated_at_min", "")
        found = [o for o in self.orders.values() if o["updated_at"] >= since]
        return by_link(sorted(found, key=lambda o: str(o["updated_at"])), self.size)(asked)


def project(folder: Path, server: RestServer, mode: str = "", lag: str = "") -> Project:
    made = Project(
        folder, LOG_LEVEL="CRITICAL", RETRY_BACKOFF_FACTOR="0", MAX_RETRIES="1",
        MAX_REJECT_RATE="0.5", PIPELINE_FILE=str(folder / "pipeline.toml"),
    )  # fmt: skip
    text = ORDERS.format(url=server.url, mode=mode, lag=lag)
    (folder / "pipeline.toml").write_text(text, encoding="utf-8")
    return made


def run(made: Project, *argv: str) -> Any:
    return made.run("--only", "orders", *argv)


def loaded(made: Project) -> list[tuple[Any, ...]]:
    return made.query(
        "SELECT order_id, customer_id, total, updated_at FROM shop_order ORDER BY 1, 4"
    )


def wanted(shop: Shop) -> list[tuple[Any, ...]]:
    return [
        (o["id"], o["customer"]["id"], pytest.approx(float(o["total"])),
         datetime.fromisoformat(o["updated_at"]).replace(tzinfo=None))
        for o in sorted(shop.orders.values(), key=lambda o: int(o["id"]))
    ]  # fmt: skip


@pytest.mark.usefixtures("every_engine")
def test_a_run_asks_for_what_is_new_since_the_last_good_one(
    server: RestServer, tmp_path: Path
) -> None:
    shop = Shop(server)
    shop.change(*(order(n, n) for n in range(1, 6)))
    made = project(tmp_path, server)
    first = run(made)["tables"]["shop_order"]
    assert (first["rows_read"], first["rows_inserted"]) == (5, 5)
    assert server.calls[0].params == {}

    shop.change(order(2, 9, "7"), order(6, 8), order(7, 10, "-1"))
    server.calls = []
    again = run(made)["tables"]["shop_order"]
    assert server.calls[0].params["updated_at_min"] == "2024-01-01T05:00:00Z"
    assert (again["rows_inserted"], again["rows_updated"], again["rows_rejected"]) == (1, 1, 1)
    del shop.orders[7]
    assert loaded(made) == wanted(shop)
    lineage = "SELECT path, query, bytes FROM etl_lineage ORDER BY run_id DESC"
    path, query, size = made.query(lineage)[0]
    assert (path, query) == (f"{server.url}/orders", "updated_at_min=2024-01-01T05:00:00Z")
    assert size > 0
    (rejected,) = made.rejected("orders")
    assert rejected["reason"] == "rule positive is broken: total >= 0"
    assert rejected["customer_id"] == "C1"


def test_a_source_that_fails_moves_no_cursor_and_loads_nothing(
    server: RestServer, tmp_path: Path
) -> None:
    shop = Shop(server)
    shop.change(*(order(n, n) for n in range(1, 6)))
    made = project(tmp_path, server)
    server.faults = {3: refused(503), 4: refused(503)}
    assert run(made).exit_code == 1
    assert loaded(made) == []
    server.faults, server.calls = {}, []
    assert run(made).exit_code == 0
    assert server.calls[0].params == {}
    assert loaded(made) == wanted(shop)


def test_late_records_are_found_by_the_lag(server: RestServer, tmp_path: Path) -> None:
    shop = Shop(server)
    shop.change(order(1, 100))
    made = project(tmp_path, server, lag="lag_days = 2")
    run(made)
    shop.change(order(2, 60))  # committed late, forty hours back
    server.calls = []
    run(made)
    assert server.calls[0].params["updated_at_min"] == "2024-01-03T04:00:00Z"
    assert loaded(made) == wanted(shop)


def test_records_that_are_added_come_once_though_the_interface_gives_its_last_ones_again(
    server: RestServer, tmp_path: Path
) -> None:
    shop = Shop(server)
    shop.change(order(1, 1), order(2, 2))
    made = project(tmp_path, server, mode='mode = "append"')
    run(made)
    shop.change(order(3, 3))
    assert run(made)["tables"]["shop_order"]["rows_read"] == 1
    assert run(made)["tables"]["shop_order"]["rows_read"] == 0
    assert loaded(made) == wanted(shop)


def test_a_full_refresh_asks_for_everything_and_a_backfill_for_its_days(
    server: RestServer, tmp_path: Path
) -> None:
    shop = Shop(server)
    shop.change(*(order(n, 12 * n) for n in range(1, 6)))
    made = project(tmp_path, server)
    run(made)
    server.calls = []
    backfill = run(made, "--date", "2024-01-02")["tables"]["shop_order"]
    assert server.calls[0].params["updated_at_min"] == "2024-01-02T00:00:00Z"
    assert (backfill["rows_read"], backfill["rows_unchanged"]) == (2, 2)  # of the day alone
    del shop.orders[1]
    server.calls = []
    refreshed = made.run("--full-refresh", "--only", "orders")["tables"]["shop_order"]
    assert server.calls[0].params == {}
    assert refreshed["rows_removed"] == 1
    assert loaded(made) == wanted(shop)


CHANGES = st.lists(
    st.lists(st.tuples(st.integers(1, 6), st.integers(0, 2)), max_size=4), min_size=2, max_size=4
)
FAULTS = st.dictionaries(st.integers(1, 8), st.sampled_from([cut, refused(500)]), max_size=5)


@given(changes=CHANGES, faults=st.lists(FAULTS, min_size=4, max_size=4), size=st.integers(1, 3))
@settings(max_examples=4, phases=[Phase.explicit, Phase.generate])  # an example is several runs
def test_syncs_with_faults_between_changes_end_as_one_undisturbed_sync(
    at_work: RestServer, changes: Any, faults: list[Any], size: int
) -> None:
    """Each night some orders change, and some calls fail; some nights fail altogether."""
    shop, hour = Shop(at_work, size), 0
    with TemporaryDirectory() as folder:
        made = project(Path(folder), at_work)
        for changed, night in zip(changes, faults, strict=False):
            for number, cents in changed:
                hour += 1
                shop.change(order(number, hour, f"{cents}.25"))
            at_work.faults, at_work.calls = night, []
            run(made)
        at_work.faults = {}
        run(made)
        assert loaded(made) == wanted(shop)


@pytest.mark.usefixtures("every_engine")
def test_columns_are_found_where_none_are_declared(server: RestServer, tmp_path: Path) -> None:
    server.routes["/things"] = by_link([{"id": 1, "at": {"day": "2024-01-02"}, "n": 1.25}], 9)
    made = project(tmp_path, server)
    (tmp_path / "pipeline.toml").write_text(
        f'[loads.orders]\ntable = "thing"\nkey = ["id"]\n'
        f'source = {{ type = "rest", url = "{server.url}/things", paging.kind = "link" }}\n',
        encoding="utf-8",
    )
    assert run(made).exit_code == 0
    found = made.query("SELECT * FROM thing")
    assert [str(value) for value in found[0]] == ["1", "2024-01-02", "1.25"]


# --- state -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("every_engine")
def test_the_state_is_shown_and_forgotten_after_a_question(
    server: RestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    shop = Shop(server)
    shop.change(order(1, 30), order(2, 60))
    made = project(tmp_path, server, lag="lag_days = 1")
    for name, value in made.settings.items():
        monkeypatch.setenv(name, value)

    def said(*argv: str, answer: str = "") -> str:
        monkeypatch.setattr("sys.stdin", StringIO(answer))
        assert main(argv) == 0
        return " ".join(capsys.readouterr().out.split())

    def states() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(said("--state", "--json"))
        return found

    assert [(s["source"], s["reached"]) for s in states()] == [("sales", None), ("orders", None)]
    assert "nothing to forget" in said("--reset-state", "orders")
    run_id = run(made)["run_id"]
    assert states()[1] == {
        "source": "orders", "table": "shop_order", "cursor": "updated_at", "lag_days": 1,
        "reached": "2024-01-03 12:00:00", "next_from": "2024-01-02 12:00:00", "run_id": run_id,
        "lag_ids": 0,
    }  # fmt: skip
    assert "2024-01-03 12:00:00" in said("--state")
    for answer in ("", "n\n", "\n"):
        assert "nothing was changed" in said("--reset-state", "orders", answer=answer)
    assert states()[1]["run_id"] == run_id
    assert "forgotten" in said("--reset-state", "orders", answer="y\n")
    assert states()[1]["reached"] is None
    server.calls = []
    assert run(made)["tables"]["shop_order"]["rows_unchanged"] == 2
    assert server.calls[0].params == {}
    assert "forgotten" in said("--reset-state", "orders", "--yes")


def test_a_source_without_a_state_is_named(
    server: RestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    made = project(tmp_path, server)
    assert command(made, monkeypatch, "--reset-state", "order") == 2
    assert (
        "no source 'order' is read by a cursor, or gives changes. Choices: sales, orders"
        in capsys.readouterr().err
    )


# --- docs/rest.md ----------------------------------------------------------------------------

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "rest.md").read_text(encoding="utf-8")


def example(name: str) -> str:
    return PAGE.partition(f"<!-- {name} -->\n```toml\n")[2].partition("```")[0]


def test_the_example_of_the_documentation_asks_as_it_says(
    server: RestServer, tmp_path: Path
) -> None:
    orders = [{**order(n, 0), "updated_at": f"2024-01-15T0{n + 7}:00:00Z"} for n in range(1, 4)]
    orders[2]["updated_at"] = "2024-01-15T10:00:00Z"

    def answer(asked: Asked) -> Answer:
        start = int(asked.params.get("after", "c0")[1:])
        end = start + 2
        following = f"c{end}" if end < len(orders) else None
        return as_json({"data": orders[start:end], "meta": {"next": following}})

    server.routes["/v1/orders"] = answer
    made = project(tmp_path, server)
    made.settings |= {"CRM_TOKEN": "s3cr3t"}
    text = example("example").replace("https://crm.example.com", server.url)
    (tmp_path / "pipeline.toml").write_text(text, encoding="utf-8")
    assert run(made).exit_code == 0
    assert run(made).exit_code == 0
    asked = [f"GET {call.path}?{urlencode(call.params, safe=':')}" for call in server.calls[:3]]
    assert "\n".join(asked) in PAGE
    assert {call.headers["Authorization"] for call in server.calls} == {"Bearer s3cr3t"}
    assert made.query("SELECT count(*) FROM crm_order") == [(3,)]


def test_the_shop_of_the_documentation_is_declared(tmp_path: Path) -> None:
    (tmp_path / "pipeline.toml").write_text(example("shops"), encoding="utf-8")
    declared = read_pipeline_file(tmp_path / "pipeline.toml", tmp_path)
    assert {s.type for s in declared.sources.values()} == {"shopify"}

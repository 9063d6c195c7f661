"""Shops and other interfaces as sources of a run: loaded like files, counted, traced, held back."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline_runs import Project
from rest_server import HTML, RestServer, as_json, by_last_id, by_link, cut, refused, rest_server
from shop_answers import (
    SHOPIFY_CUSTOMERS,
    SHOPIFY_ORDERS,
    SHOPIFY_PRODUCTS,
    STRIPE_CHARGES,
    STRIPE_CUSTOMERS,
    WOO_CUSTOMERS,
    WOO_ORDERS,
    WOO_PRODUCTS,
)

from etl.errors import ConfigurationError
from etl.monitoring.health.report import pipeline_health_check

SHOPIFY = "/admin/api/2025-10"
WOO = "/wp-json/wc/v3"
FAST = "rate_limit = { calls = 1000 }"


@pytest.fixture(scope="module")
def at_work() -> Iterator[RestServer]:
    with rest_server() as server:
        yield server


@pytest.fixture
def server(at_work: RestServer) -> RestServer:
    at_work.faults, at_work.calls, at_work.routes = {}, [], {}
    return at_work


def project(folder: Path, pipeline: str, **settings: str) -> Project:
    made = Project(folder, LOG_LEVEL="ERROR", RETRY_BACKOFF_FACTOR="0",
                   PIPELINE_FILE=str(folder / "pipeline.toml"), **settings)  # fmt: skip
    (folder / "pipeline.toml").write_text(pipeline, encoding="utf-8")
    return made


def shop(server: RestServer, kind: str, *names: str) -> str:
    return "".join(
        f'[sources.{name}]\ntype = "{kind}"\nurl = "{server.url}"\n{FAST}\n' for name in names
    )


def money(*amounts: str) -> tuple[Decimal, ...]:
    return tuple(Decimal(amount) for amount in amounts)


def customers(made: Project) -> list[tuple[Any, ...]]:
    return made.query(
        "SELECT customer_id, name, email, phone, address, segment, registration_date::varchar "
        "FROM customer_dim WHERE NOT is_inferred ORDER BY 1"
    )


def products(made: Project) -> list[tuple[Any, ...]]:
    return made.query(
        "SELECT product_id, name, category, brand, model, price, quantity FROM product_dim "
        "WHERE NOT is_inferred ORDER BY 1"
    )


def sales(made: Project) -> list[tuple[Any, ...]]:
    return made.query(
        "SELECT transaction_id, customer_id, product_id, quantity, unit_price, discount_amount, "
        "total_amount, transaction_date::varchar FROM sales_fact ORDER BY 1"
    )


def test_shopify(server: RestServer, tmp_path: Path) -> None:
    server.routes = {
        f"{SHOPIFY}/customers.json": by_link(SHOPIFY_CUSTOMERS, 1, "customers"),
        f"{SHOPIFY}/products.json": by_link(SHOPIFY_PRODUCTS, 9, "products"),
        f"{SHOPIFY}/orders.json": by_link(SHOPIFY_ORDERS, 2, "orders"),
    }
    pipeline = shop(server, "shopify", "customers", "products", "sales")
    made = project(tmp_path, pipeline, **{"SHOPIFY_ACCESS_TOKEN": "shpat_s3cr3t"})
    summary = made.run()
    assert {s["status"] for s in summary["sources"]} == {"loaded"}, summary["sources"]
    assert customers(made) == [
        ("2", "Ann Lee", None, None, None, "Incomplete Profile", "2023-06-02"),
        ("207119551", "Bob Norman", "bob.norman@example.com", "(613) 612-0707",
         "Chestnut St 92, 40202, Louisville, United States", "Premium Plus", "2023-06-01"),
    ]  # fmt: skip
    assert products(made) == [
        ("632910392", "IPod Nano", "Electronics", "Apple", "N-PINK", Decimal("199.00"), 30)
    ]
    at = "2024-01-10 16:00:00"
    assert sales(made) == [
        ("11", "207119551", "632910392", 2, *money("199.00", "5.00", "393.00"), at),
        ("12", "207119551", "custom-item", 2, *money("10.00", "0.00", "20.00"), at),
        ("21", "guest", "632910392", 2, *money("199.00", "0.00", "398.00"), at),
    ]  # fmt: skip
    assert {call.headers["X-Shopify-Access-Token"] for call in server.calls} == {"shpat_s3cr3t"}
    assert {call.params.get("limit") for call in server.calls} <= {"250", "1", "2"}
    assert_traced(made, server.url, "shpat_s3cr3t")

    server.calls = []
    again = made.run()
    assert all(not t["rows_updated"] and not t["rows_inserted"] for t in again["tables"].values())
    asked = [c.params for c in server.calls if c.path.endswith("orders.json")]
    assert asked[0]["created_at_min"] == "2024-01-07T16:00:00Z"  # the newest less three days
    assert "created_at_max" not in asked[0]
    made.run("--date", "2024-01-10", "--only", "sales")
    last = server.calls[-2].params
    assert (last["created_at_min"], last["created_at_max"]) == (
        "2024-01-10T00:00:00Z", "2024-01-11T00:00:00Z"
    )  # fmt: skip


def assert_traced(made: Project, url: str, secret: str) -> None:
    """The lineage says where from, and no file says the secret."""
    found = made.query("SELECT path, query, bytes, sha256 FROM etl_lineage")
    assert len(found) == 3
    for path, _, size, sha256 in found:
        assert path.startswith(url) and size > 0 and len(sha256) == 64
    for file in made.folder.rglob("*"):
        if file.is_file() and file.name != "pipeline.toml":
            assert secret.encode() not in file.read_bytes(), file


def test_woocommerce(server: RestServer, tmp_path: Path) -> None:
    server.routes = {
        f"{WOO}/customers": by_link(WOO_CUSTOMERS, 9),
        f"{WOO}/products": by_link(WOO_PRODUCTS, 1),
        f"{WOO}/orders": by_link(WOO_ORDERS, 1),
    }
    pipeline = shop(server, "woocommerce", "customers", "products", "sales")
    made = project(tmp_path, pipeline, SOURCE_TIME_ZONE="America/Sao_Paulo",
                   **{"WOOCOMMERCE_KEY": "ck_1", "WOOCOMMERCE_SECRET": "cs_s3cr3t"})  # fmt: skip
    summary = made.run()
    assert {s["status"] for s in summary["sources"]} == {"loaded"}, summary["sources"]
    assert customers(made) == [
        ("25", "John Doe", "john.doe@example.com", "(555) 555-5555",
         "969 Market, 94103, San Francisco, US", "Customer", "2023-03-21"),
    ]  # fmt: skip
    assert [row[:4] for row in products(made)] == [
        ("22", "Album", "Music", None), ("93", "Ship Your Idea", "Apparel", None)
    ]  # fmt: skip
    at = "2024-01-10 16:28:02"
    assert sales(made) == [
        ("315", "25", "93", 2, *money("3.00", "0.00", "6.00"), at),
        ("316", "25", "22", 1, *money("12.50", "0.00", "12.50"), at),
    ]
    (sold,) = (s for s in summary["sources"] if s["source"] == "sales")
    assert sold["skipped"] == {"processing": 1}
    assert_traced(made, server.url, "cs_s3cr3t")
    made.run("--only", "sales")
    assert server.calls[-2].params["after"] == "2024-01-07T19:28:01Z"  # it leaves out the second


def test_stripe(server: RestServer, tmp_path: Path) -> None:
    server.routes = {
        "/v1/customers": by_last_id(STRIPE_CUSTOMERS, 9),
        "/v1/charges": by_last_id(STRIPE_CHARGES, 1),
    }
    made = project(
        tmp_path, shop(server, "stripe", "customers", "sales"), STRIPE_API_KEY="sk_s3cr3t"
    )
    made.write()
    summary = made.run("--only", "customers", "--only", "sales")
    assert {s["status"] for s in summary["sources"]} == {"loaded"}, summary["sources"]
    assert customers(made) == [
        ("cus_9s6XKzkNRiz8i3", "Jenny M. Rosen", "jenny@example.com", None, None,
         "Premium", "2017-01-04"),
    ]  # fmt: skip
    at = "2024-01-18 16:00:00"
    assert sales(made) == [
        ("ch_1", "cus_9s6XKzkNRiz8i3", "P1", 1, *money("10.99", "0.00", "10.99"), at),
        ("ch_2", "guest", "stripe-charge", 1, *money("500.00", "0.00", "500.00"), at),
    ]  # fmt: skip
    assert {call.headers["Authorization"] for call in server.calls} == {"Bearer sk_s3cr3t"}
    # both sources are read side by side
    assert [found for found in server.params("starting_after") if found] == ["ch_1", "ch_2"]


# --- what goes wrong -------------------------------------------------------------------------

CRM = """
[sources.sales]
type = "rest"
url = "{url}/sales"
records = "data"
paging = {{ kind = "last_id", more = "has_more" }}
auth = {{ setting = "CRM_TOKEN" }}
rename = {{ "id" = "transaction_id", "lines.0.product" = "product_id" }}
defaults = {{ discount_amount = "0", sales_rep_id = "" }}
"""


def sale(number: int) -> dict[str, Any]:
    return {
        "id": f"T{number:03}", "customer_id": f"C{number % 3}", "quantity": number % 4 + 1,
        "unit_price": 9.99, "transaction_date": f"2024-01-{number % 28 + 1:02}T10:00:00Z",
        "status": "completed", "lines": [{"product": "P1"}],
    }  # fmt: skip


def crm(server: RestServer, folder: Path, count: int = 12) -> Project:
    server.routes["/sales"] = by_last_id([sale(n) for n in range(count)], 3)
    made = project(
        folder, CRM.format(url=server.url), MAX_RETRIES="1", **{"CRM_TOKEN": "t0p-s3cr3t"}
    )
    made.write(customers=[{"customer_id": "C0", "first_name": "Ann"}],
               products=[{"product_id": "P1", "name": "Tea", "price": "9.99"}])  # fmt: skip
    return made


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({3: refused(401)}, "have expired: renew them and set CRM_TOKEN"),
        ({2: HTML}, "answers with a web page, where JSON is wanted"),
        ({2: refused(503), 3: cut}, "2 times in a row"),
        ({4: as_json({"data": [{"id": "T9"}], "has_more": False})}, "the interface has changed"),
    ],
)  # fmt: skip
def test_a_source_that_fails_on_the_way_loads_nothing_and_the_others_go_on(
    server: RestServer, tmp_path: Path, faults: dict[int, Any], said: str
) -> None:
    made = crm(server, tmp_path)
    server.faults = faults
    summary = made.run()
    assert summary.exit_code == 3
    (sold,) = (s for s in summary["sources"] if s["source"] == "sales")
    assert sold["status"] == "failed"
    assert said in sold["error"] and "\n" not in sold["error"]
    assert sales(made) == []
    assert len(customers(made)) == 1
    for file in made.folder.rglob("*.log"):
        assert "t0p-s3cr3t" not in file.read_text(encoding="utf-8")

    server.faults = {}
    assert made.run().exit_code == 0
    assert len(sales(made)) == 12


def test_a_setting_that_is_missing_ends_the_run_before_it_begins(
    server: RestServer, tmp_path: Path
) -> None:
    made = crm(server, tmp_path)
    del made.settings["CRM_TOKEN"]
    with pytest.raises(ConfigurationError, match=r"sources\.sales: CRM_TOKEN is not set.*Next:"):
        made.run()
    assert server.calls == []


FAULTS = st.sampled_from([cut, refused(500), refused(429)])


@given(st.dictionaries(st.integers(1, 9), FAULTS, min_size=4))
@settings(max_examples=3)
def test_an_interrupted_and_repeated_sync_equals_one_undisturbed_sync(
    at_work: RestServer, faults: dict[int, Any]
) -> None:
    with TemporaryDirectory() as folder:
        at_work.faults, at_work.calls = faults, []
        made = crm(at_work, Path(folder))
        runs = [made.run("--only", "sales", "--log-level", "CRITICAL")]
        while runs[-1].exit_code:
            assert len(runs) < 6
            assert sales(made) == []
            runs.append(made.run("--only", "sales", "--log-level", "CRITICAL"))
        assert [row[0] for row in sales(made)] == [f"T{n:03}" for n in range(12)]
        assert sum(run["tables"]["sales_fact"]["rows_inserted"] for run in runs) == 12


def test_duplicates_are_in_the_rejected_file_with_their_values(
    server: RestServer, tmp_path: Path
) -> None:
    made = crm(server, tmp_path)
    server.routes["/sales"] = by_last_id([sale(1), {**sale(2), "id": "T001"}, sale(3)], 9)
    made.run("--accept", "sales")
    (rejected,) = made.rejected("sales")
    assert (rejected["error_class"], rejected["transaction_id"]) == ("duplicate", "T001")
    assert rejected["unit_price"] == "9.99"


def test_a_dry_run_and_a_health_check_need_no_file(server: RestServer, tmp_path: Path) -> None:
    made = crm(server, tmp_path)
    (made.input / "sales_transactions.csv").unlink()
    assert made.run("--dry-run")["tables"]["sales_fact"]["rows_inserted"] == 12
    made.settings["ARCHIVE_DIR"] = str(tmp_path / "archive")
    assert made.run().exit_code == 0
    report = pipeline_health_check(made.config())
    failed = [check["name"] for check in report["checks"] if check["status"] == "failed"]
    assert failed == []

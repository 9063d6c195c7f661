"""Interfaces for scripts: their records as lists of dicts."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any

import pytest
from rest_server import RestServer, as_json, by_last_id, by_link, refused, rest_server
from shop_answers import SHOPIFY_ORDERS, STRIPE_CHARGES, WOO_ORDERS

from etl.api_ingest import API_TYPES, fetch_from_api, iterate_api
from etl.errors import ConfigurationError, ExtractionError

FAST = {"rate_limit_calls": 1000, "rate_limit_window": 1, "backoff_factor": 0}


@pytest.fixture
def server() -> Iterator[RestServer]:
    with rest_server() as server:
        yield server


def test_shopify_as_the_specification_shows_it(server: RestServer) -> None:
    server.routes["/admin/api/2025-10/orders.json"] = by_link(SHOPIFY_ORDERS, 2, "orders")
    server.faults = {1: refused(500)}
    config = {"type": "shopify", "shop_url": server.url, "access_token": "token", **FAST}
    orders = fetch_from_api("shopify", config)
    assert [order["id"] for order in orders] == [1, 2, 3]
    assert orders[0]["line_items"][0]["tax_lines"][0]["rate"] == Decimal("0.06")
    assert server.calls[-1].headers["X-Shopify-Access-Token"] == "token"


def test_a_shop_is_encrypted_unless_it_is_this_machine() -> None:
    config = {"shop_url": "http://mystore.example.com", "access_token": "token"}
    with pytest.raises(ConfigurationError, match="is not encrypted"):
        fetch_from_api("shopify", config)


def test_woocommerce_and_what_is_new(server: RestServer) -> None:
    server.routes["/wp-json/wc/v3/orders"] = by_link(WOO_ORDERS, 9)
    config = {"url": server.url, "consumer_key": "ck", "consumer_secret": "cs", **FAST,
              "since": datetime(2024, 1, 20, 8, tzinfo=UTC)}  # fmt: skip
    assert len(fetch_from_api("woocommerce", config)) == 2
    assert server.calls[0].params["modified_after"] == "2024-01-20T07:59:59Z"


def test_stripe_and_another_resource(server: RestServer) -> None:
    server.routes["/v1/charges"] = by_last_id(STRIPE_CHARGES, 2)
    server.routes["/v1/customers"] = by_last_id([{"id": "cus_1"}], 2)
    config = {"url": server.url, "api_key": "sk", **FAST}
    assert [charge["id"] for charge in fetch_from_api("stripe", config)] == ["ch_1", "ch_2", "ch_3"]
    assert fetch_from_api("stripe", {**config, "resource": "customers"}) == [{"id": "cus_1"}]


def pages(count: int) -> Any:
    def answer(asked: Any) -> Any:
        number = int(asked.params["page"])
        assert asked.params["page_size"] == "100"
        return as_json({"results": [{"n": number}], "has_more": number < count})

    return answer


def test_pages_and_one_answer(server: RestServer) -> None:
    server.routes["/v1/things"] = pages(3)
    config = {"base_url": server.url, "endpoint": "/v1/things", "auth_token": "t", **FAST}
    assert fetch_from_api("paginated", config) == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert {call.headers["Authorization"] for call in server.calls} == {"Bearer t"}
    server.routes["/v1/all"] = lambda _: as_json([{"n": 1}])
    assert fetch_from_api("generic", {"url": f"{server.url}/v1/all"}) == [{"n": 1}]
    assert "Authorization" not in server.calls[-1].headers


def test_records_come_as_they_are_asked_for(server: RestServer) -> None:
    server.routes["/v1/things"] = pages(10**9)
    config = {"url": f"{server.url}/v1/things", **FAST}
    assert list(islice(iterate_api("paginated", config), 3)) == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert len(server.calls) == 3


@pytest.mark.parametrize(
    ("kind", "config", "said"),
    [
        ("ebay", {}, "no type of interface 'ebay'. Choices: shopify"),
        ("shopify", {"shop_url": "https://a.example.com"}, "SHOPIFY_ACCESS_TOKEN is not set"),
        ("shopify", {"access_token": "t"}, "type 'shopify' needs url"),
        ("stripe", {"api_key": "k", "resource": "products"}, "stripe has no products"),
        ("rest", {"url": "https://a.example.com", "tokn": 1}, "unknown .*: tokn"),
    ],
)
def test_what_the_configuration_lacks_is_named(
    kind: str, config: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        fetch_from_api(kind, config)


def test_all_types_are_known() -> None:
    assert set(API_TYPES) == {"shopify", "woocommerce", "stripe", "rest", "paginated"}


def test_a_wrong_token_is_said(server: RestServer) -> None:
    server.faults = {1: refused(401)}
    config = {"url": server.url, "api_key": "sk_s3cr3t", **FAST}
    with pytest.raises(ExtractionError, match="401 Unauthorized") as caught:
        fetch_from_api("stripe", config)
    assert "s3cr3t" not in str(caught.value)

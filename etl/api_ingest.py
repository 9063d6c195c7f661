"""Records of shops and of other interfaces over HTTP, as lists of dicts.

A run reads the same interfaces as streams of blocks, declared in `pipeline.toml`; these functions
are for scripts and notebooks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Dict, List

from pydantic import SecretStr, ValidationError

from etl.errors import ConfigurationError
from etl.settings.pipeline_file import SourceOptions
from etl.settings.rest_options import SHOP_TYPES
from etl.sources.rest.client import decode_exact
from etl.sources.rest.credentials import Find
from etl.sources.rest.declared import declared_access, declared_reading
from etl.sources.rest.reader import RestReading, read_pages
from etl.sources.rest.shops import SHOPS
from etl.sources.window import EVERYTHING, Window

_GENERIC, _PAGINATED = "rest", "paginated"
API_TYPES = (*SHOP_TYPES, _GENERIC, _PAGINATED)
_NAMES_OF_TYPES = {"generic": _GENERIC, "json": _GENERIC}
_RESOURCES = {"shopify": "orders", "woocommerce": "orders", "stripe": "charges"}
_BY_PAGE = {"kind": "page", "more": "has_more", "size": 100}
_KEYS = frozenset((
    "type", "url", "base_url", "shop_url", "store_url", "endpoint", "resource", "access_token",
    "api_key", "api_secret", "consumer_key", "consumer_secret", "auth_token", "params", "paging",
    "records", "since", "since_param", "rate_limit_calls", "rate_limit_window", "timeout",
    "max_retries", "backoff_factor",
))  # fmt: skip


def fetch_from_api(api_type: str, config: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Fetch all records of an interface: every page, with retries, at the pace that is set.

    Args:
        api_type: `shopify`, `woocommerce`, `stripe`; `rest` for one answer of JSON, `paginated`
            for pages by number (`page`, `page_size`, `results`, `has_more`) unless `paging` says
            otherwise.
        config: `shop_url` (or `url`); the credentials: `access_token` (Shopify), `consumer_key`
            and `consumer_secret` (WooCommerce), `api_key` (Stripe), `auth_token` (a bearer
            token); `resource`, such as `orders`, which is the default, or `charges`; `params`;
            `records`, the path of the records; `paging`, as in `pipeline.toml`; `since`, a
            datetime (UTC without a zone) from which on records are wanted, asked for as
            `since_param` or as the shop does; `rate_limit_calls` in `rate_limit_window` seconds;
            `timeout` in seconds; `max_retries`; `backoff_factor`.

    Returns:
        The records as the interface writes them, numbers with a fraction as Decimal.

    Raises:
        ConfigurationError: there is no such type, the configuration lacks something, or the
            libraries of the extra `rest` are not installed.
        ExtractionError: the interface cannot be read.

    Example:
        >>> fetch_from_api("shopfy", {})
        Traceback (most recent call last):
        etl.errors.ConfigurationError: no type of interface 'shopfy'. Choices: shopify, ...
    """
    return list(iterate_api(api_type, config))


def iterate_api(api_type: str, config: Mapping[str, Any]) -> Iterator[Dict[str, Any]]:
    """Yield the records of an interface page by page, without holding all of them.

    Args:
        api_type: see `fetch_from_api`.
        config: see `fetch_from_api`.

    Raises:
        ConfigurationError: see `fetch_from_api`.
        ExtractionError: see `fetch_from_api`.
    """
    kind = _NAMES_OF_TYPES.get(api_type, api_type)
    if kind not in API_TYPES:
        raise ConfigurationError(f"no type of interface {api_type!r}", choices=", ".join(API_TYPES))
    if odd := sorted(config.keys() - _KEYS):
        raise ConfigurationError(
            f"unknown in the configuration of {kind}: {', '.join(odd)}",
            choices=", ".join(sorted(_KEYS)),
        )
    window = EVERYTHING
    if isinstance(since := config.get("since"), datetime):
        moment = since.astimezone(UTC).replace(tzinfo=None) if since.tzinfo else since
        window = Window(moment, EVERYTHING.end)
    for page in read_pages(_reading(kind, config), window):
        yield from page


def fetch_from_shopify(config: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Fetch records of a Shopify shop; see `fetch_from_api`."""
    return fetch_from_api("shopify", config)


def fetch_from_woocommerce(config: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Fetch records of a WooCommerce shop; see `fetch_from_api`."""
    return fetch_from_api("woocommerce", config)


def fetch_from_stripe(config: Mapping[str, Any]) -> List[Dict[str, Any]]:
    """Fetch records of a Stripe account; see `fetch_from_api`."""
    return fetch_from_api("stripe", config)


def _reading(kind: str, config: Mapping[str, Any]) -> RestReading:
    try:
        options = SourceOptions.model_validate(dict(_options(kind, config)))
    except ValidationError as error:
        said = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise ConfigurationError(f"the configuration of {kind}: {said}") from None
    reading = declared_reading(options)
    access = declared_access(options, reading.request.url, _finder(config))
    limits = {name: config[name] for name in ("max_retries", "backoff_factor") if name in config}
    return replace(reading, access=replace(access, decode=decode_exact, **limits))


def _options(kind: str, config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "type", kind if kind in SHOPS else "rest"
    yield "params", config.get("params", {})
    yield "timeout_seconds", config.get("timeout", 60.0)
    yield "records", config.get("records", "results" if kind == _PAGINATED else "")
    if url := _url(config):
        yield "url", url
    if kind in SHOPS:
        yield "resource", config.get("resource", _RESOURCES[kind])
    elif _finder(config)("AUTH_TOKEN"):
        yield "auth", {"setting": "AUTH_TOKEN"}
    if "paging" in config or kind == _PAGINATED:
        yield "paging", config.get("paging", _BY_PAGE)
    if "since_param" in config:
        yield "since", {"param": config["since_param"]}
    if "rate_limit_calls" in config:
        seconds = config.get("rate_limit_window", 1)
        yield "rate_limit", {"calls": config["rate_limit_calls"], "seconds": seconds}


def _url(config: Mapping[str, Any]) -> str:
    names = ("url", "base_url", "shop_url", "store_url")
    url = next((str(config[name]) for name in names if config.get(name)), "")
    url = url if not url or "://" in url else f"https://{url}"
    endpoint = str(config.get("endpoint", ""))
    return f"{url.rstrip('/')}/{endpoint.lstrip('/')}" if endpoint else url


_SECRETS = {
    "SHOPIFY_ACCESS_TOKEN": ("access_token", "api_key"),
    "WOOCOMMERCE_KEY": ("consumer_key", "api_key"),
    "WOOCOMMERCE_SECRET": ("consumer_secret", "api_secret"),
    "STRIPE_API_KEY": ("api_key", "access_token"),
    "AUTH_TOKEN": ("auth_token", "access_token", "api_key"),
}


def _finder(config: Mapping[str, Any]) -> Find:
    """Credentials by the setting that would hold them in a run."""

    def find(setting: str) -> SecretStr | None:
        found = (config[name] for name in _SECRETS[setting] if config.get(name))
        return next((SecretStr(str(value)) for value in found), None)

    return find

"""Shopify, WooCommerce and Stripe: where their records are, how they page, what is what.

Each is a declaration. What a user sets in `pipeline.toml` wins over it, part by part.

The shapes are those of Shopify's Admin interface (REST, 2025-10), WooCommerce's (`wc/v3`) and
Stripe's (`v1`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from etl.errors import ConfigurationError
from etl.settings.rest_options import Auth, Paging, RateLimit, Since

_LINES = "line_items"


@dataclass(frozen=True)
class Resource:
    """A kind of record of a shop.

    Attributes:
        path: behind the address of the shop.
        records: path of the records in a page.
        params: of each call.
        since: how it is asked for what has changed.
    """

    path: str
    records: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    since: Since | None = None


@dataclass(frozen=True)
class Feeding:
    """How a resource becomes the records of a built-in source; paths by column.

    Attributes:
        resource: its name.
        each: the member whose items become a record each.
        values: by column, what is made of its value.
        defaults: texts for what may be missing.
        since: how it is asked for a window; None: as the resource is.
        statuses: of the sales that are loaded.
    """

    resource: str
    paths: Mapping[str, str]
    each: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    since: Since | None = None
    statuses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shop:
    """A kind of shop.

    Attributes:
        url: its address where all shops of the kind have the same.
        rate_limit: how often it may be asked, unless that is set.
        sources: by name of a built-in source, how it is fed.
    """

    auth: Auth
    paging: Paging
    rate_limit: RateLimit
    resources: Mapping[str, Resource]
    sources: Mapping[str, Feeding]
    url: str = ""


_SHOPIFY_SINCE = Since(param="updated_at_min", until_param="updated_at_max")
_WOO_SINCE = Since(param="modified_after", until_param="modified_before", exclusive=True)
_STRIPE_SINCE = Since(param="created[gte]", until_param="created[lte]", format="unix")
_SHOPIFY_PATH = "/admin/api/2025-10/"
_WOO_PATH = "/wp-json/wc/v3/"
_WOO_PARAMS = {"orderby": "id", "order": "asc", "dates_are_gmt": "true"}

SHOPS: dict[str, Shop] = {
    "shopify": Shop(
        Auth(kind="header", name="X-Shopify-Access-Token", setting="SHOPIFY_ACCESS_TOKEN"),
        Paging(kind="link", size=250), RateLimit(calls=2),
        resources={
            "orders": Resource(f"{_SHOPIFY_PATH}orders.json", "orders", {"status": "any"},
                               _SHOPIFY_SINCE),
            "customers": Resource(f"{_SHOPIFY_PATH}customers.json", "customers",
                                  since=_SHOPIFY_SINCE),
            "products": Resource(f"{_SHOPIFY_PATH}products.json", "products",
                                 since=_SHOPIFY_SINCE),
        },
        sources={
            "customers": Feeding("customers", {
                "customer_id": "id",
                "address": "default_address.address1 + default_address.zip + default_address.city"
                " + default_address.country",
                "segment": "tags", "registration_date": "created_at",
            }, defaults={"email": "", "phone": "", "address": "", "segment": ""}),
            "products": Feeding("products", {
                "product_id": "id", "name": "title", "category": "product_type",
                "brand": "vendor", "model": "variants.0.sku", "price": "variants.0.price",
                "quantity": "variants.inventory_quantity",
            }, values={"quantity": "sum"}, defaults={"cost": "", "warehouse": ""}),
            "sales": Feeding("orders", {
                "transaction_id": f"{_LINES}.id", "customer_id": "customer.id",
                "product_id": f"{_LINES}.product_id", "quantity": f"{_LINES}.quantity",
                "unit_price": f"{_LINES}.price",
                "discount_amount": f"{_LINES}.discount_allocations.amount",
                "transaction_date": "created_at", "sales_rep_id": "user_id",
                "status": "financial_status",
            }, _LINES, {"discount_amount": "sum"},
                {"customer_id": "guest", "product_id": "custom-item", "discount_amount": "0",
                 "sales_rep_id": ""},
                Since(param="created_at_min", until_param="created_at_max"),
                ("paid", "partially_refunded")),
        },
    ),
    "woocommerce": Shop(
        Auth(kind="basic", username_setting="WOOCOMMERCE_KEY", setting="WOOCOMMERCE_SECRET"),
        Paging(kind="link", size=100, size_param="per_page"), RateLimit(calls=10),
        resources={name: Resource(f"{_WOO_PATH}{name}", params=params, since=since)
                   for name, params, since in (
                       ("orders", _WOO_PARAMS, _WOO_SINCE),
                       ("products", _WOO_PARAMS, _WOO_SINCE),
                       # customers cannot be asked for what has changed
                       ("customers", {"orderby": "id", "order": "asc", "role": "all"}, None))},
        sources={
            "customers": Feeding("customers", {
                "customer_id": "id", "phone": "billing.phone",
                "address": "billing.address_1 + billing.postcode + billing.city + billing.country",
                "segment": "role", "registration_date": "date_created_gmt",
            }, values={"registration_date": "utc"}, defaults={"phone": "", "address": ""}),
            "products": Feeding("products", {
                "product_id": "id", "category": "categories.0.name", "brand": "brands.0.name",
                "model": "sku", "quantity": "stock_quantity",
            }, defaults={"cost": "", "brand": "", "warehouse": ""}),
            "sales": Feeding("orders", {
                "transaction_id": f"{_LINES}.id", "customer_id": "customer_id",
                "product_id": f"{_LINES}.product_id", "quantity": f"{_LINES}.quantity",
                # what was paid for a piece, discounts included
                "unit_price": f"{_LINES}.price", "transaction_date": "date_created_gmt",
            }, _LINES, {"transaction_date": "utc"}, {"discount_amount": "0", "sales_rep_id": ""},
                Since(param="after", until_param="before", exclusive=True), ("completed",)),
        },
    ),
    "stripe": Shop(
        Auth(kind="bearer", setting="STRIPE_API_KEY"),
        Paging(kind="last_id", size=100, more="has_more"), RateLimit(calls=25),
        resources={name: Resource(f"/v1/{name}", "data", since=_STRIPE_SINCE)
                   for name in ("charges", "customers")},
        sources={
            "customers": Feeding("customers", {
                "customer_id": "id", "first_name": "name", "last_name": "name",
                "address": "address.line1 + address.postal_code + address.city + address.country",
                "segment": "metadata.segment", "registration_date": "created",
            }, values={"first_name": "first words", "last_name": "last word",
                       "registration_date": "unix"},
                defaults={"phone": "", "segment": "", "address": ""}),
            "sales": Feeding("charges", {
                "transaction_id": "id", "customer_id": "customer",
                "product_id": "metadata.product_id", "unit_price": "amount",
                "transaction_date": "created", "sales_rep_id": "metadata.sales_rep_id",
            }, "", {"unit_price": "minor units", "transaction_date": "unix"},
                {"product_id": "stripe-charge", "quantity": "1", "discount_amount": "0",
                 "customer_id": "guest", "sales_rep_id": ""},
                _STRIPE_SINCE, ("succeeded",)),
        },
        url="https://api.stripe.com",
    ),
}  # fmt: skip


def resource_of(kind: str, name: str) -> Resource:
    """Return a resource of a kind of shop.

    Raises:
        ConfigurationError: the shop has no such resource.

    Example:
        >>> resource_of("stripe", "charges").path
        '/v1/charges'
    """
    resources = SHOPS[kind].resources
    if name not in resources:
        raise ConfigurationError(f"{kind} has no {name}", choices=", ".join(resources))
    return resources[name]


def feeding_of(kind: str, source: str) -> Feeding:
    """Return how a built-in source is fed by a kind of shop.

    Raises:
        ConfigurationError: the shop feeds no such source.
    """
    sources = SHOPS[kind].sources
    if source not in sources:
        raise ConfigurationError(f"{kind} has no {source}", choices=", ".join(sources))
    return sources[source]

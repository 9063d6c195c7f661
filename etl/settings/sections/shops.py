"""The credentials of shops."""

from etl.settings.kinds import (
    Secret,
)
from etl.settings.sections.section import Section, setting

# laid out by hand, as a table
# fmt: off


class ShopConfig(Section):
    """Shops: credentials of those that pipeline.toml reads; it may name further settings."""

    shopify_access_token: Secret | None = setting(
        None, "access token of a Shopify app, for type = \"shopify\"")
    woocommerce_key: Secret | None = setting(
        None, "consumer key of WooCommerce's interface, for type = \"woocommerce\"")
    woocommerce_secret: Secret | None = setting(None, "consumer secret of WOOCOMMERCE_KEY")
    stripe_api_key: Secret | None = setting(
        None, "secret or restricted key of Stripe, for type = \"stripe\"")

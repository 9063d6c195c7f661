"""How records are read from a paged interface over HTTP, as `pipeline.toml` declares it."""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

SHOP_TYPES = ("shopify", "woocommerce", "stripe")
REST_TYPES = ("rest", *SHOP_TYPES)
PATH_JOINT = " + "  # between paths whose texts are joined


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine itself.

    Example:
        >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("localhost.example.com")
        (True, True, False)
    """
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.username or parts.password:
        raise ValueError("it holds a login; name the setting that holds it in auth")
    if not parts.hostname or parts.scheme not in ("https", "http") or re.search(r"\s", text):
        raise ValueError(f"{text!r} is no address such as https://api.example.com/v1/orders")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError(f"{text!r} is not encrypted; write https://")
    return text


def _setting_name(text: str) -> str:
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", text):
        raise ValueError(f"{text!r} is no name of a setting, such as SHOP_TOKEN")
    return text


Url = Annotated[str, AfterValidator(_url)]
SettingName = Annotated[str, AfterValidator(_setting_name)]
Count = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Auth(_Part):
    """Who asks: what is sent along, and which setting holds it."""

    kind: Literal["bearer", "basic", "header", "query"] = Field(
        default="bearer", description="Authorization header, login, another header, or parameter"
    )
    setting: SettingName = Field(description="setting that holds the token or password")
    username_setting: SettingName | None = Field(
        default=None, description="setting that holds the user name of a login"
    )
    name: str = Field(default="", description="of the header or of the parameter")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind in ("header", "query") and not self.name:
            raise ValueError(f"kind {self.kind!r} needs name, that of the {self.kind}")
        if self.kind == "basic" and not self.username_setting:
            raise ValueError("kind 'basic' needs username_setting")
        return self


class Paging(_Part):
    """How one page leads to the next."""

    kind: Literal["none", "page", "offset", "cursor", "last_id", "link"] = Field(
        default="none",
        description="page number, offset, cursor or address in the answer, id of the last record, "
        "or Link header",
    )
    param: str = Field(default="", description="parameter that asks for a page")
    size_param: str = Field(default="", description="parameter that asks for a size")
    size: Count | None = Field(default=None, description="records asked for per page")
    first: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="first page number or offset"
    )
    next: str = Field(default="", description="path of the cursor or address of the next page")
    more: str = Field(default="", description="path of the flag that says whether more follows")
    id: str = Field(default="id", description="path of the id in a record")
    most_pages: Count = Field(default=100_000, description="pages after which reading is given up")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind == "cursor" and not self.next:
            raise ValueError("kind 'cursor' needs next, the path of the cursor in the answer")
        return self


class Since(_Part):
    """How the interface is asked for what is new."""

    param: str = Field(description="parameter that takes the cursor, such as updated_at_min")
    until_param: str = Field(default="", description="parameter that takes the end of a window")
    format: Literal["iso", "unix", "date"] = Field(
        default="iso", description="how a time is written"
    )
    exclusive: bool = Field(
        default=False, description="whether it leaves out what is exactly as old as asked for"
    )


class RateLimit(_Part):
    """How often the interface may be asked."""

    calls: Count = Field(description="number of calls")
    seconds: Annotated[float, Field(gt=0)] = Field(default=1.0, description="in so many seconds")


Conversion = Literal["unix", "utc", "minor units", "sum", "first words", "last word"]


class RestOptions(_Part):
    """What a source says that is asked over HTTP."""

    type: (
        Literal[
            "rest", "shopify", "woocommerce", "stripe", "debezium", "postgresql_slot",
            "change_tracking", "cdc", "change_table",
        ]
        | None
    ) = Field(
        default=None,
        description="an interface over HTTP, one of the shops that are known, or a feed of changes",
    )  # fmt: skip
    url: Url | None = Field(default=None, description="address of the records, or of the shop")
    resource: Literal["orders", "customers", "products", "charges"] | None = Field(
        default=None, description="what is read of a shop"
    )
    auth: Auth | None = Field(default=None, description="credentials, from settings")
    params: Mapping[str, str | int | bool] = Field(
        default={}, description="parameters of every call"
    )
    paging: Paging = Field(default_factory=Paging, description="how one page leads to the next")
    each: str = Field(
        default="", description="member whose items become a record each, such as line_items"
    )
    values: Mapping[str, Conversion] = Field(
        default={}, description="column = what is made of its value"
    )
    since: Since | None = Field(default=None, description="how it is asked for what is new")
    rate_limit: RateLimit | None = Field(default=None, description="how often it may be asked")
    timeout_seconds: Annotated[float, Field(gt=0)] = Field(
        default=60.0, description="seconds without an answer after which a call is made again"
    )

    @property
    def is_rest(self) -> bool:
        """Whether it is read over HTTP."""
        return self.type in REST_TYPES

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        odd = self.model_fields_set & set(RestOptions.model_fields) - {"type"}
        if not self.is_rest and odd:
            raise ValueError(f'{", ".join(sorted(odd))} need type, such as type = "rest"')
        if self.type in ("rest", "shopify", "woocommerce") and self.url is None:
            raise ValueError(f"type {self.type!r} needs url")
        if self.type == "rest" and self.resource:
            raise ValueError("resource belongs to a shop; type 'rest' names it in url")
        return self

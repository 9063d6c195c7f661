"""Logins by Entra ID: which credential, which token, and how the driver gets it."""

import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from etl.engines import entra, mssql_driver, odbc
from etl.errors import ConfigurationError, LoadingError
from etl.settings.config import load_config
from etl.settings.connection_strings import parse
from etl.settings.sections.section import SettingsError

SECRET = "hunter2;}x"  # noqa: S105  # of nobody
BASE = {"DB_SERVER": "sql1.database.windows.net", "DB_DATABASE": "dwh"}
SERVICE = {**BASE, "DB_AUTHENTICATION": "entra-service-principal", "DB_TENANT_ID": "t1",
           "DB_USERNAME": "app1", "DB_PASSWORD": SECRET}  # fmt: skip


class Fake:
    """A credential that is asked for a token."""

    def __init__(self, *made: str) -> None:
        self.made, self.scopes = made, list[str]()

    def get_token(self, scope: str) -> Any:
        self.scopes.append(scope)
        return SimpleNamespace(token="ey\u00e9")  # noqa: S106  # likewise


def string_of(tmp_path: Path, settings: dict[str, str]) -> str:
    config = load_config(base_dir=tmp_path, environ=settings)
    return config.database.connection_string.get_secret_value()


# --- the token ---------------------------------------------------------------------------------


def test_a_token_is_a_length_in_bytes_and_utf_16() -> None:
    made = entra.token_bytes("eyJ0")
    assert made == b"\x08\x00\x00\x00e\x00y\x00J\x000\x00"
    assert struct.unpack("<I", made[:4])[0] == len(made) - 4
    assert entra.ACCESS_TOKEN == 1256


def test_the_driver_gets_the_token_and_no_login_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def connect(text: str, **options: Any) -> Any:
        given.update(text=text, **options)
        raise mssql_driver.Error("28000", "[28000] no (18456)")

    monkeypatch.setattr(entra.attributes, "__defaults__", (Fake,))
    monkeypatch.setattr(mssql_driver, "connect", connect)
    with pytest.raises(LoadingError, match="the login failed") as caught:
        odbc.connect(string_of(tmp_path, {**SERVICE, "DB_DRIVER": "mssql-python"}))
    assert given["attrs_before"] == {1256: entra.token_bytes("ey\u00e9")}
    names = [name.lower() for name, _ in parse(given["text"])]
    assert names == ["server", "database", "encrypt", "trustservercertificate"]
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        ("entra-service-principal", ("entra-service-principal", "t1", "app1", SECRET)),
        ("entra-password", ("entra-password", "t1", "app1", SECRET)),
        ("entra-managed-identity", ("entra-managed-identity", "t1", "app1", SECRET)),
    ],
)
def test_what_is_set_makes_the_credential(tmp_path: Path, kind: str, made: tuple[str, ...]) -> None:
    asked: list[Fake] = []

    def credentials(*arguments: str) -> Fake:
        asked.append(Fake(*arguments))
        return asked[-1]

    pairs = parse(string_of(tmp_path, {**SERVICE, "DB_AUTHENTICATION": kind.upper()}))
    assert entra.attributes(pairs, credentials) == {1256: entra.token_bytes("ey\u00e9")}
    assert (asked[0].made, asked[0].scopes) == (made, ["https://database.windows.net/.default"])


def test_an_ordinary_login_asks_for_nothing(tmp_path: Path) -> None:
    settings = {**BASE, "DB_USERNAME": "etl", "DB_PASSWORD": SECRET}
    assert entra.attributes(parse(string_of(tmp_path, settings)), Fake) == {}
    microsofts = "Server=s;Authentication=ActiveDirectoryMsi"
    assert entra.attributes(parse(microsofts), Fake) == {}
    assert odbc.target_of(parse(f"Driver=mssql-python;{microsofts}"), []).text == microsofts


@pytest.mark.parametrize("kind", entra.KINDS)
def test_each_kind_is_one_of_azure_identity(kind: str) -> None:
    azure = pytest.importorskip("azure.identity", reason="no azure-identity")
    wanted = {
        entra.PASSWORD: azure.UsernamePasswordCredential,
        entra.SERVICE: azure.ClientSecretCredential,
        entra.MANAGED: azure.ManagedIdentityCredential,
        entra.DEFAULT: azure.DefaultAzureCredential,
    }
    with pytest.warns(DeprecationWarning) if kind == entra.PASSWORD else _quiet():
        made = entra.credential(kind, "tenant", "user", "secret")
    assert isinstance(made, wanted[kind])


def _quiet() -> Any:
    return pytest.MonkeyPatch.context()


# --- what is missing or refused ------------------------------------------------------------------


@pytest.fixture
def service(tmp_path: Path) -> Iterator[str]:
    yield string_of(tmp_path, SERVICE)


def test_what_a_kind_needs_is_asked_for_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        string_of(tmp_path, {**BASE, "DB_AUTHENTICATION": "entra-password"})
    problems = " ".join(caught.value.problems)
    for name in ("DB_TENANT_ID", "DB_USERNAME", "DB_PASSWORD"):
        assert name in problems
    with pytest.raises(ConfigurationError, match="TenantId"):
        entra.attributes(parse("Server=s;Authentication=entra-password;UID=u;PWD=p"), Fake)


def test_a_token_that_is_not_given_is_an_error_without_the_secret(service: str) -> None:
    class Refusing(Fake):
        def get_token(self, scope: str) -> Any:
            raise ValueError(f"AADSTS7000215: wrong secret {SECRET} for {scope}")

    with pytest.raises(LoadingError, match="AADSTS7000215") as caught:
        entra.attributes(parse(service), Refusing)
    assert "DB_TENANT_ID" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__context__ is None


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(entra, "import_module", missing)
    entra.credential.cache_clear()
    with pytest.raises(LoadingError, match=r"pip install -r requirements-entra\.txt"):
        entra.credential(entra.MANAGED, "", "", "")


# --- availability groups -------------------------------------------------------------------------


def test_intent_and_several_subnets_reach_the_driver_where_they_are_set(tmp_path: Path) -> None:
    settings = {**BASE, "DB_APPLICATION_INTENT": "readonly", "DB_MULTI_SUBNET_FAILOVER": "yes"}
    assert parse(string_of(tmp_path, settings))[-2:] == (
        ("ApplicationIntent", "ReadOnly"), ("MultiSubnetFailover", "yes"),
    )  # fmt: skip
    assert "Intent" not in string_of(tmp_path, BASE)


def test_a_managed_identity_needs_no_name(tmp_path: Path) -> None:
    settings = {**BASE, "DB_AUTHENTICATION": "entra-managed-identity"}
    pairs = dict(parse(string_of(tmp_path, settings)))
    assert pairs["Authentication"] == "entra-managed-identity"
    assert not {"UID", "Trusted_Connection"} & pairs.keys()

"""How `pipeline.toml` declares an interface over HTTP, and where its credentials come from."""

from pathlib import Path

import pytest

from etl.errors import ConfigurationError
from etl.settings.config import Config, load_config, masked_settings, secrets_of
from etl.settings.layers import MASK
from etl.settings.pipeline_reading import PipelineFileError, read_pipeline_file

LOAD = """
[loads.orders]
table = "orders"
key = ["id"]
source.type = "rest"
source.url = "https://api.example.com/orders"
"""


def config(folder: Path, text: str, **environ: str) -> Config:
    (folder / "pipeline.toml").write_text(text, encoding="utf-8")
    return load_config("dev", base_dir=folder, environ=environ)


def problems(folder: Path, text: str) -> str:
    path = folder / "pipeline.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PipelineFileError) as caught:
        read_pipeline_file(path)
    return "\n".join(caught.value.problems)


def test_an_interface_is_declared_like_any_source(tmp_path: Path) -> None:
    source = config(tmp_path, LOAD).pipeline.loads["orders"].source
    assert source.is_rest
    assert (source.paging.kind, source.timeout_seconds) == ("none", 60)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('url = "http://api.example.com/orders"', "is not encrypted; write https://"),
        ('url = "http://127.0.0.1.example.com/"', "is not encrypted"),
        ('url = "https://me:word@api.example.com/"', "it holds a login"),
        ('url = "ftp://api.example.com/"', "is no address"),
    ],
)
def test_an_address_is_encrypted_and_holds_no_login(tmp_path: Path, line: str, said: str) -> None:
    text = LOAD.replace('url = "https://api.example.com/orders"', line)
    found = problems(tmp_path, text)
    assert said in found and "line 6" in found
    assert "word" not in found


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:1", "[::1]:80"])
def test_only_this_machine_is_asked_without_encryption(tmp_path: Path, host: str) -> None:
    text = LOAD.replace("https://api.example.com", f"http://{host}")
    assert config(tmp_path, text).pipeline.loads["orders"].source.url == f"http://{host}/orders"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('source.paging.kind = "cursor"', "needs next"),
        ('source.paging.kind = "pages"', "is none of"),
        ('source.auth = { setting = "TOKEN", kind = "header" }', "needs name"),
        ('source.auth = { setting = "TOKEN", kind = "basic" }', "needs username_setting"),
        ('source.auth = { setting = "s3cr3t" }', "is no name of a setting"),
        ('source.path = "orders.csv"', "only one of them"),
        ('source.resource = "orders"', "belongs to a shop"),
        ('source.values = { id = "hex" }', "is none of"),
        ("source.timeout_secs = 3", "did you mean 'timeout_seconds'"),
    ],
)
def test_what_is_missing_or_contradicts_is_reported(tmp_path: Path, lines: str, said: str) -> None:
    assert said in problems(tmp_path, LOAD + lines)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('{ type = "shopify", resource = "orders" }', "needs url"),
        ('{ path = "a.csv", params = { a = 1 } }', "params need type"),
    ],
)
def test_a_shop_needs_its_parts(tmp_path: Path, source: str, said: str) -> None:
    text = f'[loads.a]\ntable = "a"\nkey = ["id"]\nsource = {source}\n'
    assert said in problems(tmp_path, text)


AUTH = 'source.auth = { setting = "CRM_TOKEN", kind = "bearer" }\n'


@pytest.mark.parametrize("place", [".env", ".env.dev", "environ"])
def test_a_named_setting_is_read_in_the_layers_of_all_others(tmp_path: Path, place: str) -> None:
    environ = {"CRM_TOKEN": "s3cr3t-token"} if place == "environ" else {}
    if not environ:
        (tmp_path / place).write_text("CRM_TOKEN=s3cr3t-token\n", encoding="utf-8")
    found = config(tmp_path, LOAD + AUTH, **environ)
    secret = found.secret("CRM_TOKEN")
    assert secret is not None and secret.get_secret_value() == "s3cr3t-token"
    assert "s3cr3t-token" in secrets_of(found)
    assert "s3cr3t-token" in found.alerts.secrets
    assert "s3cr3t" not in repr(found)


def test_a_declared_secret_is_found_by_its_name_and_a_public_setting_is_not(tmp_path: Path) -> None:
    found = config(tmp_path, "", STRIPE_API_KEY="sk_test_1", LOG_LEVEL="INFO")
    secret = found.secret("STRIPE_API_KEY")
    assert secret is not None and secret.get_secret_value() == "sk_test_1"
    assert masked_settings(found)["STRIPE_API_KEY"] == MASK
    assert found.secret("LOG_LEVEL") is None
    assert found.secret("CRM_TOKEN") is None


def test_a_file_that_cannot_be_used_is_reported_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        config(tmp_path, "[loads")
    assert str(caught.value).count("it is no TOML") == 1

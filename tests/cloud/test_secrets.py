"""Secrets that stores hold: fetched once, hidden like any other, each failure one line."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from alert_servers import serving
from cloud_servers import Cloud, aws_settings, boto_client, refusing

from etl.cloud.access import CloudAccess
from etl.cloud.faults import CloudError
from etl.cloud.secrets import SecretStores
from etl.errors import ConfigurationError
from etl.settings.config import Config, load_config, masked_settings, secrets_of
from etl.settings.layers import MASK

PASSWORD = "p;w}d-of-the-night"  # noqa: S105  # made up
DATABASE = {"username": "etl", "password": PASSWORD, "port": 1433}
SERVER = {"DB_SERVER": "sql1", "DB_DATABASE": "dwh", "DB_USERNAME": "etl"}


@pytest.fixture(scope="module")
def kept(s3: Cloud) -> Cloud:
    """The same stand-in, with secrets in its two stores."""
    secrets = boto_client("secretsmanager", s3.settings)
    secrets.create_secret(Name="prod/etl/db", SecretString=json.dumps(DATABASE))
    secrets.create_secret(Name="plain", SecretString=PASSWORD)
    secrets.create_secret(Name="bytes", SecretBinary=b"\x00\x01")
    parameters = boto_client("ssm", s3.settings)
    parameters.put_parameter(Name="/etl/prod/slack", Value="https://hooks.slack.com/services/T/B/x",
                             Type="SecureString")  # fmt: skip
    return s3


def load(cloud: Cloud, **environ: str) -> Config:
    settings = {**cloud.settings, "RETRY_BACKOFF_FACTOR": "0", **environ}
    return load_config("dev", base_dir=Path("/none"), environ=settings)


def problems(cloud: Cloud, **environ: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(cloud, **environ)
    return str(caught.value).split("\n- ")[1:]


def test_a_setting_takes_what_a_store_holds(kept: Cloud) -> None:
    config = load(
        kept, **SERVER, DB_PASSWORD="secret://aws/prod/etl/db#password",  # noqa: S106
        SLACK_WEBHOOK_URL="secret://aws-ssm/etl/prod/slack",
        STRIPE_API_KEY="secret://aws/plain",
    )  # fmt: skip
    connection = config.database.connection_string.get_secret_value()
    assert "PWD={p;w}}d-of-the-night}" in connection
    assert config.alerts.can_slack
    assert config.secret("STRIPE_API_KEY").get_secret_value() == PASSWORD  # type: ignore[union-attr]


def test_a_fetched_secret_is_hidden_like_any_other(kept: Cloud) -> None:
    config = load(kept, **SERVER, DB_PASSWORD="secret://aws/prod/etl/db#password")  # noqa: S106
    assert PASSWORD in secrets_of(config)
    assert masked_settings(config)["DB_PASSWORD"] == MASK
    assert PASSWORD not in repr(config) and "night" not in str(config.database)


def test_settings_that_pipeline_toml_names_come_from_a_store_too(
    kept: Cloud, tmp_path: Path
) -> None:
    text = '[loads.a]\ntable = "a"\nsource = { connection = "CRM_DB", table = "a" }\n'
    (tmp_path / "pipeline.toml").write_text(text, encoding="utf-8")
    boto_client("secretsmanager", kept.settings).create_secret(
        Name="crm", SecretString="postgresql://etl:x@db1/crm"
    )
    environ = {**kept.settings, "CRM_DB": "secret://aws/crm"}
    config = load_config("dev", base_dir=tmp_path, environ=environ)
    assert config.secret("CRM_DB").get_secret_value().endswith("db1/crm")  # type: ignore[union-attr]


def test_each_secret_is_asked_for_once(kept: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    stores = SecretStores(kept.access)
    first = stores.value("secret://aws/prod/etl/db#username")
    boto_client("secretsmanager", kept.settings).update_secret(
        SecretId="prod/etl/db", SecretString=json.dumps({**DATABASE, "password": "later"})
    )
    try:
        assert first == "etl"
        assert stores.value("secret://aws/prod/etl/db#port") == "1433"
        assert stores.value("secret://aws/prod/etl/db#password") == PASSWORD
    finally:
        boto_client("secretsmanager", kept.settings).update_secret(
            SecretId="prod/etl/db", SecretString=json.dumps(DATABASE)
        )
    assert PASSWORD not in caplog.text and "later" not in caplog.text
    assert logging.getLogger("botocore").level == logging.WARNING


WRONG = [
    ("secret://aws/none", "secret://aws/none: there is nothing of this name"),
    ("secret://aws-ssm/none", "secret://aws-ssm/none: there is nothing of this name"),
    ("secret://aws/prod/etl/db#pass", "has no 'pass', only username, password, port. Next: corr"),
    ("secret://aws/prod/etl/db", "several values (username, password, port). Next: name one of"),
    ("secret://aws/plain#password", "has no 'password', no JSON document"),
    ("secret://aws/bytes", "holds bytes"),
    ("secret://azure/vault", "secret://azure/vault names no vault and secret"),
    ("secret://gcp/x", "secret://gcp/... is no address of a secret. Next: write secret://aws/NAME"),
    ("secret://p;w}d", "secret://p;w}d/... is no address of a secret"),
]


@pytest.mark.parametrize(("address", "words"), WRONG)
def test_what_is_wrong_with_a_secret_is_one_line(kept: Cloud, address: str, words: str) -> None:
    (line,) = problems(kept, **SERVER, DB_PASSWORD=address)
    assert line.startswith("DB_PASSWORD (environment): ") and words in line
    assert "\n" not in line and PASSWORD not in line


def test_only_secret_settings_come_from_a_store(kept: Cloud) -> None:
    (line,) = problems(kept, **SERVER, SMTP_HOST="secret://aws/plain")
    assert line.startswith("SMTP_HOST (environment): only passwords, tokens and connection strings")


REFUSALS = [
    ("AccessDeniedException", "may not be used with these credentials"),
    ("UnrecognizedClientException", "the service does not know these credentials"),
    ("ExpiredTokenException", "the credentials have expired"),
]


@pytest.mark.parametrize(("code", "words"), REFUSALS)
def test_each_refusal_of_a_store_is_one_line_with_the_next_step(code: str, words: str) -> None:
    with refusing(400, code, as_json=True) as server:
        cloud = Cloud("s3", aws_settings(f"http://127.0.0.1:{server.server_port}"), "", None)
        (line,) = problems(cloud, **SERVER, DB_PASSWORD="secret://aws/x")  # noqa: S106
    assert words in line and "Next: " in line and server.asked == 1


def test_a_busy_store_is_asked_again() -> None:
    with refusing(400, "ThrottlingException", as_json=True) as server:
        cloud = Cloud("s3", aws_settings(f"http://127.0.0.1:{server.server_port}"), "", None)
        (line,) = problems(cloud, **SERVER, DB_PASSWORD="secret://aws/x")  # noqa: S106
    assert "did not answer as it should" in line and server.asked == 4


def test_without_region_or_credentials_that_is_what_is_reported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(CloudError, match=r"no region is set .*Next: set AWS_REGION"):
        SecretStores(CloudAccess(max_retries=0)).value("secret://aws/x")
    with pytest.raises(CloudError, match=r"no credentials were found .*Next: give the machine"):
        SecretStores(CloudAccess(aws_region="eu-central-1", max_retries=0)).value("secret://aws/x")


# --- Azure -------------------------------------------------------------------------------


class _Vault(BaseHTTPRequestHandler):
    """Answers as Key Vault is documented to: first asks to log in, then gives the secret."""

    server: "_VaultServer"

    def log_message(self, *_args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.paths.append(self.path.partition("?")[0])
        given = self.headers.get("Authorization", "")
        if given != "Bearer a-token":
            self._answer(401, {"error": {"code": "Unauthorized", "message": "log in"}}, {
                "WWW-Authenticate": 'Bearer authorization="https://login.example.com/tenant", '
                f'resource="https://0.0.1:{self.server.server_port}"'})  # fmt: skip
        elif self.path.startswith("/secrets/db/"):
            found = {"value": PASSWORD, "id": f"https://{self.headers['Host']}/secrets/db/1"}
            self._answer(200, found, {})
        else:
            wrong = {"code": "SecretNotFound", "message": "A secret with (name/id) x was not found"}
            self._answer(404, {"error": wrong}, {})

    def _answer(self, status: int, document: object, headers: dict[str, str]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class _VaultServer(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Vault)
        self.paths: list[str] = []


@contextmanager
def _vault(certificates: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[_VaultServer]:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.authority))
    server = _VaultServer()
    server.socket = certificates.server_context().wrap_socket(server.socket, server_side=True)
    token = SimpleNamespace(token="a-token", expires_on=2**40)  # noqa: S106
    identity = SimpleNamespace(get_token=lambda *_scopes, **_options: token)
    monkeypatch.setattr("azure.identity.DefaultAzureCredential", lambda: identity)
    with serving(server):
        yield server


def test_a_secret_of_a_key_vault_is_fetched_by_its_own_library(
    certificates: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against an answer of ours in the form that the service documents; the login is made up."""
    with _vault(certificates, monkeypatch) as server:
        stores = SecretStores(CloudAccess(max_retries=0))
        place = f"secret://azure/127.0.0.1:{server.server_port}"
        assert stores.value(f"{place}/db") == PASSWORD
        with pytest.raises(CloudError, match="there is nothing of this name"):
            stores.value(f"{place}/none")
        assert server.paths[0] == "/secrets/db/"

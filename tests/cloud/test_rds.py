"""PostgreSQL over TLS, as RDS and Azure offer it, and logins by a token of IAM."""

from collections.abc import Iterator
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from certificates import Certificates
from postgres_server import PostgresServer, binaries

from etl.cloud import rds
from etl.cloud.faults import CloudError
from etl.cloud.rds import with_login_token
from etl.engines.database import DatabaseManager
from etl.errors import LoadingError
from etl.resilience.transient import is_transient

HOST = "db1.abc123.eu-central-1.rds.amazonaws.com"


@pytest.fixture(scope="module")
def server(certificates: Certificates) -> Iterator[PostgresServer]:
    """A server that lets nobody in without TLS and a password."""
    if binaries() is None:
        pytest.skip("PostgreSQL's binaries are not installed: apt install postgresql")
    with PostgresServer(certificate=(certificates.server, certificates.key)) as found:
        found.execute("CREATE ROLE nightly LOGIN PASSWORD 'a-token/of%IAM+1'")
        found.require_passwords("nightly")
        yield found


def url(server: PostgresServer, who: str, **parameters: object) -> str:
    given = "&".join(f"{name}={value}" for name, value in parameters.items())
    return f"postgresql://{who}@localhost:{server.port}/postgres?{given}"


PASSWORD = "a-token%2Fof%25IAM%2B1"  # noqa: S105  # made up


def test_a_server_is_verified_by_its_certificate_and_name(
    server: PostgresServer, certificates: Certificates
) -> None:
    known = {"sslmode": "verify-full", "sslrootcert": certificates.authority}
    with DatabaseManager(url(server, f"nightly:{PASSWORD}", **known)) as db:
        encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        assert db.value(encrypted) is True


def test_a_certificate_of_another_authority_is_refused_in_one_line(
    server: PostgresServer, certificates: Certificates
) -> None:
    wrong = {"sslmode": "verify-full", "sslrootcert": certificates.stranger}
    with (
        pytest.raises(
            LoadingError, match=r"certificate verify failed.*Next: name .*sslrootcert"
        ) as caught,
        DatabaseManager(url(server, f"nightly:{PASSWORD}", **wrong)),
    ):
        pass
    assert not is_transient(caught.value)
    assert "\n" not in str(caught.value) and PASSWORD not in str(caught.value)


def test_a_certificate_for_another_name_is_refused_in_one_line(
    server: PostgresServer, certificates: Certificates
) -> None:
    known = {
        "sslmode": "verify-full", "sslrootcert": certificates.authority, "hostaddr": "127.0.0.1",
    }  # fmt: skip
    other = url(server, f"nightly:{PASSWORD}", **known).replace("localhost", "db.example.com")
    with (
        pytest.raises(LoadingError, match=r"does not match host name.*Next: name the server as"),
        DatabaseManager(other),
    ):
        pass


def test_a_missing_file_of_the_authority_is_named(server: PostgresServer) -> None:
    wrong = {"sslmode": "verify-full", "sslrootcert": "/no/such/file.pem"}
    with (
        pytest.raises(LoadingError, match=r"/no/such/file.pem.*Next: name .*sslrootcert"),
        DatabaseManager(url(server, f"nightly:{PASSWORD}", **wrong)),
    ):
        pass


# --- logins by a token -------------------------------------------------------------------


def test_a_token_is_the_password_of_a_connection(
    server: PostgresServer, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server takes it for a password; that IAM would, nobody has tried."""
    monkeypatch.setattr(rds, "_token", lambda *_: "a-token/of%IAM+1")
    known = {"login": "aws-iam", "sslmode": "verify-full", "sslrootcert": certificates.authority}
    with DatabaseManager(url(server, "nightly", **known)) as db:
        assert db.value("SELECT current_user") == "nightly"


def test_a_token_is_signed_for_the_server_and_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """By AWS's own library, without a network: the region is that of the server's name."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIATEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-real-secret")
    found = urlsplit(with_login_token(
        f"postgresql://nightly%40x@{HOST}:5433/dwh?login=aws-iam&sslmode=verify-full"
    ))  # fmt: skip
    token = unquote(found.password or "")
    asked = parse_qs(token.partition("?")[2])
    assert token.startswith(f"{HOST}:5433/?") and asked["DBUser"] == ["nightly@x"]
    assert "/eu-central-1/rds-db/" in asked["X-Amz-Credential"][0]
    assert asked["X-Amz-Expires"] == ["900"]
    assert (found.username, found.port, found.path) == ("nightly%40x", 5433, "/dwh")
    assert found.query == "sslmode=verify-full"


@pytest.mark.parametrize("given", ["nightly:secret@db1", "db1"])
def test_a_url_that_has_a_password_or_no_user_is_refused(given: str) -> None:
    with pytest.raises(CloudError, match="wants a URL with a user, a server and no password"):
        with_login_token(f"postgresql://{given}/dwh?login=aws-iam")

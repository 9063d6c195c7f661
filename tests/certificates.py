"""Certificates for servers on loopback, made by OpenSSL: an authority, a server, a stranger."""

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Certificates:
    """Files of certificates.

    Attributes:
        authority: who has signed the server's.
        stranger: an authority that has signed nothing.
        server: of `localhost` and 127.0.0.1.
        key: of the server.
    """

    authority: Path
    stranger: Path
    server: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server, self.key)
        return context


def make_certificates(folder: Path) -> Certificates:
    if shutil.which("openssl") is None:
        pytest.skip("OpenSSL's command is not installed")
    for name in ("authority", "stranger"):
        _openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                 "-nodes", "-days", "3", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
                 "-out", f"{name}.pem", "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
    _openssl(folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "3", "-subj", "/CN=localhost", "-keyout", "server.key",
             "-out", "server.pem", "-CA", "authority.pem", "-CAkey", "authority.key",
             "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
             "-addext", "basicConstraints=critical,CA:FALSE")  # fmt: skip
    (folder / "server.key").chmod(0o600)
    names = ("authority.pem", "stranger.pem", "server.pem", "server.key")
    return Certificates(*(folder / name for name in names))


def _openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)  # noqa: S607

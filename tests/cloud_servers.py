"""Stand-ins of AWS and Azure on loopback: moto's server, Azurite, and one that misbehaves."""

import json
import logging
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from alert_servers import serving

from etl.cloud.access import CloudAccess
from etl.cloud.paths import CloudPath, cloud_path

REGION = "eu-central-1"
ROOT = Path(__file__).resolve().parent.parent
# Azurite's own, published in its documentation.
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


@dataclass(frozen=True)
class Cloud:
    """A stand-in of a cloud.

    Attributes:
        settings: with which it is reached.
        address: of a bucket or container, with a place for its name.
        client: of the service's own library, by which tests put things there.
    """

    name: str
    settings: dict[str, str]
    address: str
    client: Any = field(repr=False)

    @property
    def access(self) -> CloudAccess:
        given = {
            "AWS_REGION": "aws_region", "AWS_ENDPOINT_URL": "aws_endpoint_url",
            "AWS_ACCESS_KEY_ID": "aws_access_key_id",
            "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key",
            "AZURE_STORAGE_CONNECTION_STRING": "azure_storage",
        }  # fmt: skip
        known = {given[name]: value for name, value in self.settings.items() if name in given}
        return CloudAccess(**known, max_retries=3, backoff_factor=0.0)

    def path(self, text: str) -> CloudPath:
        found = cloud_path(self.address.format(text), self.access)
        assert found is not None
        return found

    def new_bucket(self, name: str) -> str:
        if self.name == "s3":
            there = {"LocationConstraint": REGION}
            self.client.create_bucket(Bucket=name, CreateBucketConfiguration=there)
        else:
            self.client.create_container(name)
        return self.address.format(name)

    def put(self, bucket: str, key: str, content: bytes) -> None:
        if self.name == "s3":
            self.client.put_object(Bucket=bucket, Key=key, Body=content)
        else:
            self.client.get_blob_client(bucket, key).upload_blob(content, overwrite=True)

    def get(self, bucket: str, key: str) -> bytes:
        if self.name == "s3":
            return bytes(self.client.get_object(Bucket=bucket, Key=key)["Body"].read())
        return bytes(self.client.get_blob_client(bucket, key).download_blob().readall())

    def keys(self, bucket: str) -> list[str]:
        if self.name == "s3":
            found = self.client.list_objects_v2(Bucket=bucket).get("Contents", [])
            return sorted(each["Key"] for each in found)
        return sorted(each.name for each in self.client.get_container_client(bucket).list_blobs())


@contextmanager
def moto_server() -> Iterator[Cloud]:
    """Runs moto's server in this process; it stands for S3, secrets, logs and metrics."""
    server = import_module("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    # it logs each call, also the one that brings a log line, whose sender waits for its answer
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server.start()
    try:
        host, port = server.get_host_and_port()
        settings = aws_settings(f"http://{host}:{port}")
        yield Cloud("s3", settings, "s3://{}", boto_client("s3", settings))
    finally:
        server.stop()


def aws_settings(endpoint: str) -> dict[str, str]:
    return {
        "AWS_REGION": REGION, "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "AKIATEST", "AWS_SECRET_ACCESS_KEY": "not-a-real-secret",
    }  # fmt: skip


def boto_client(service: str, settings: dict[str, str]) -> Any:
    return import_module("boto3").client(
        service, region_name=settings["AWS_REGION"], endpoint_url=settings["AWS_ENDPOINT_URL"],
        aws_access_key_id=settings["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=settings["AWS_SECRET_ACCESS_KEY"],
    )  # fmt: skip


def target_of(cloud: Cloud) -> tuple[str, int]:
    """Host and port of a stand-in."""
    text = "".join(cloud.settings.values())
    port = text.rpartition("127.0.0.1:")[2]
    return "127.0.0.1", int("".join(c for c in port.partition("/")[0] if c.isdigit())[:5])


def through(cloud: Cloud, port: int) -> Cloud:
    """The same stand-in, reached by another port."""
    _, old = target_of(cloud)
    settings = {n: v.replace(f":{old}", f":{port}") for n, v in cloud.settings.items()}
    return replace(cloud, settings=settings)


# --- Azurite -----------------------------------------------------------------------------


@cache
def azurite() -> str:
    """The command of Azurite: where AZURITE says, or as npm has installed it; empty for none."""
    local = ROOT / "node_modules" / ".bin" / "azurite-blob"
    named = os.environ.get("AZURITE") or (str(local) if local.exists() else "")
    return named or shutil.which("azurite-blob") or ""


@contextmanager
def azurite_server() -> Iterator[Cloud]:
    """Runs Azurite as a process of its own; what it holds lies in memory."""
    if not azurite():
        pytest.skip("Azurite is not installed: npm install azurite")
    port = _free_port()
    command = [
        azurite(), "--silent", "--inMemoryPersistence", "--skipApiVersionCheck",
        "--disableTelemetry", "--blobHost", "127.0.0.1", "--blobPort", str(port),
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            _until_it_listens(process)
            settings = {"AZURE_STORAGE_CONNECTION_STRING": azurite_string(port)}
            blobs = import_module("azure.storage.blob").BlobServiceClient
            with blobs.from_connection_string(*settings.values()) as client:
                address = f"abfs://{{}}@{AZURITE_ACCOUNT}.dfs.core.windows.net"
                yield Cloud("azure", settings, address, client)
        finally:
            process.terminate()
            process.communicate(timeout=20)


def azurite_string(port: int, key: str = AZURITE_KEY) -> str:
    return (
        f"DefaultEndpointsProtocol=http;AccountName={AZURITE_ACCOUNT};AccountKey={key};"
        f"BlobEndpoint=http://127.0.0.1:{port}/{AZURITE_ACCOUNT};"
    )


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as found:
        return int(found.getsockname()[1])


def _until_it_listens(process: subprocess.Popen[str]) -> None:
    assert process.stdout
    for line in process.stdout:
        if "successfully listens" in line:
            return
    raise AssertionError(f"Azurite ended with {process.wait()}")


# --- one that misbehaves -----------------------------------------------------------------


class _Refusing(BaseHTTPRequestHandler):
    server: "RefusingServer"

    def log_message(self, *_args: object) -> None:
        pass

    def _refuse(self) -> None:
        self.server.asked += 1
        body = b"" if self.command == "HEAD" else self.server.body
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_PUT = do_POST = _refuse  # noqa: N815  # names of http.server


class RefusingServer(ThreadingHTTPServer):
    """Answers every call with one error, as S3 words it, or as the newer services do.

    The answer to a look at an object has no words.
    """

    def __init__(self, status: int, code: str, *, as_json: bool) -> None:
        super().__init__(("127.0.0.1", 0), _Refusing)
        self.status, self.asked = status, 0
        words = f"<Error><Code>{code}</Code><Message>In words.</Message></Error>"
        if as_json:
            words = json.dumps({"__type": code, "message": "In words."})
        self.body = words.encode()


@contextmanager
def refusing(status: int, code: str, *, as_json: bool = False) -> Iterator[RefusingServer]:
    with serving(RefusingServer(status, code, as_json=as_json)) as server:
        yield server


class CuttingProxy:
    """Hands calls on to a server, and cuts some of its answers in the middle.

    Args:
        server: host and port.
        cut: which of the answers of at least `longest` bytes are cut, counted from 1.
        longest: bytes after which an answer is cut.
    """

    def __init__(self, server: tuple[str, int], cut: frozenset[int], longest: int) -> None:
        self._server, self._cut, self._longest = server, cut, longest
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.long_answers = self.cuts = 0

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._hand_on, args=(client,), daemon=True).start()

    def end(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _hand_on(self, client: socket.socket) -> None:
        with closing(client), socket.create_connection(self._server) as server:
            sent = [0]  # bytes of the answer to the last call; a connection has many
            ask = threading.Thread(target=_ask, args=(client, server, sent), daemon=True)
            ask.start()
            with suppress(OSError):
                self._answer(client, server, sent)
            for each in (client, server):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            ask.join()

    def _answer(self, client: socket.socket, server: socket.socket, sent: list[int]) -> None:
        while data := server.recv(65536):
            before, sent[0] = sent[0], sent[0] + len(data)
            if before < self._longest <= sent[0]:
                self.long_answers += 1
                if self.long_answers in self._cut:
                    self.cuts += 1
                    client.sendall(data[: len(data) // 2])
                    return
            client.sendall(data)


def _ask(client: socket.socket, server: socket.socket, sent: list[int]) -> None:
    with suppress(OSError):
        while data := client.recv(65536):
            sent[0] = 0
            server.sendall(data)


@contextmanager
def cutting(server: tuple[str, int], cut: set[int], longest: int) -> Iterator[CuttingProxy]:
    proxy = CuttingProxy(server, frozenset(cut), longest)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.end()
        thread.join()

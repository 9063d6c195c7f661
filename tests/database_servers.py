"""MariaDB from Debian's package, and a server that answers as MongoDB does, on loopback.

Each is started at most once per process of the tests, in a temporary folder, and has a guard
beside it that ends it with the process, whatever the end of that is (Ctrl-C, SIGKILL).
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pymysql
import pymysql.cursors
import pytest
from pymongo import MongoClient
from pymongo.errors import PyMongoError

PASSWORD = "p@ss/wo:rd%"  # noqa: S105  # of servers that live as long as a test
_QUOTED = "p%40ss%2Fwo%3Ard%25"

# Its standard input ends with the process that holds the other end of the pipe.
_GUARD = """
import os, shutil, signal, sys, time
sys.stdin.read()
try:
    os.kill(int(sys.argv[1]), signal.SIGKILL)
except OSError:
    pass
shutil.rmtree(sys.argv[2], ignore_errors=True)
"""


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])


class _Server:
    """A program that serves a port, until `close`."""

    def __init__(self, folder: Path, command: list[str], user: str | None = None) -> None:
        self.folder = folder
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, user=user, cwd=folder, start_new_session=True
            )
        self._guard = subprocess.Popen(
            [sys.executable, "-c", _GUARD, str(self._process.pid), str(folder)],
            stdin=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def wait_until(self, answers: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not answers():
            alive = self._process.poll() is None
            assert alive and time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)  # until a process of its own is ready

    def close(self) -> None:
        self._process.kill()
        self._process.wait(60)
        self._guard.communicate()  # it removes the folder


# --- MariaDB -----------------------------------------------------------------------------


def _program(name: str) -> str:
    return shutil.which(name) or name


class MariaDb:
    """A server with the user etl, a database per test, and a certificate if it is given one."""

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        folder = Path(tempfile.mkdtemp(prefix="etl-mariadb-"))
        self._socket, self.port, self._count = folder / "s", free_port(), 0
        user = "mysql" if os.geteuid() == 0 else None
        if user:
            shutil.chown(folder, user)
        subprocess.run(
            [_program("mariadb-install-db"), "--no-defaults", f"--datadir={folder}/data",
             "--skip-test-db", "--auth-root-authentication-method=normal"],
            check=True, capture_output=True, user=user, cwd=folder,
        )  # fmt: skip
        tls = [f"--ssl-cert={certificate[0]}", f"--ssl-key={certificate[1]}"] if certificate else []
        self._server = _Server(folder, [
            _program("mariadbd"), "--no-defaults", f"--datadir={folder}/data",
            f"--socket={self._socket}", f"--port={self.port}",
            "--bind-address=127.0.0.1", "--innodb-buffer-pool-size=16M",
            "--innodb-flush-log-at-trx-commit=0", "--skip-name-resolve", *tls,
        ], user)  # fmt: skip
        self._server.wait_until(self._answers)
        self.execute(f"CREATE USER etl@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'",
                     "GRANT ALL ON *.* TO etl@'127.0.0.1'")  # fmt: skip

    def _answers(self) -> bool:
        if not self._socket.exists():
            return False
        try:
            self._connect().close()
        except pymysql.Error:
            return False
        return True

    def _connect(self, database: str = "") -> Any:
        return pymysql.connect(
            unix_socket=str(self._socket), user="root", database=database or None, autocommit=True
        )

    def execute(self, *statements: str, database: str = "") -> list[tuple[Any, ...]]:
        """Runs statements as root, and returns the rows of the last."""
        with self._connect(database) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def execute_many(self, sql: str, rows: Sequence[Sequence[Any]], database: str) -> None:
        with self._connect(database) as connection, connection.cursor() as cursor:
            cursor.executemany(sql, rows)

    def new_database(self) -> str:
        self._count += 1
        name = f"shop{self._count}"
        self.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return name

    def url(self, database: str, port: int = 0, password: str = _QUOTED) -> str:
        return f"mysql://etl:{password}@127.0.0.1:{port or self.port}/{database}"

    def close(self) -> None:
        self._server.close()


@cache
def _mariadb() -> MariaDb | None:
    return MariaDb() if shutil.which("mariadbd") else None


def mariadb_server() -> MariaDb:
    """The server of this process; without the program the test is skipped."""
    found = _mariadb()
    return found or pytest.skip("there is no MariaDB server (Debian: apt install mariadb-server)")


# --- MongoDB -----------------------------------------------------------------------------


class MongoDb:
    """SecantusDB, which speaks MongoDB's protocol, without the server of MongoDB."""

    def __init__(self, program: Path) -> None:
        folder = Path(tempfile.mkdtemp(prefix="etl-mongodb-"))
        self.port, self._count = free_port(), 0
        self._server = _Server(folder, [
            str(program), "--storage-path", str(folder / "data"), "--port", str(self.port),
            "--host", "127.0.0.1", "--standalone", "--log-level", "ERROR",
        ])  # fmt: skip
        self.client: MongoClient[dict[str, Any]] = MongoClient(
            f"mongodb://127.0.0.1:{self.port}", serverSelectionTimeoutMS=100
        )
        self._server.wait_until(self._answers)

    def _answers(self) -> bool:
        try:
            self.client.admin.command("ping")
        except PyMongoError:
            return False
        return True

    def new_database(self) -> str:
        self._count += 1
        return f"shop{self._count}"

    def url(self, database: str, port: int = 0) -> str:
        return f"mongodb://127.0.0.1:{port or self.port}/{database}"

    def close(self) -> None:
        self.client.close()
        self._server.close()


@cache
def _mongodb() -> MongoDb | None:
    program = Path(sys.executable).with_name("secantusd-py")
    return MongoDb(program) if program.exists() else None


def mongodb_server() -> MongoDb:
    """The server of this process; without the program the test is skipped."""
    return _mongodb() or pytest.skip("there is no SecantusDB (pip install secantusdb)")


def stop_database_servers() -> None:
    """Ends those that were started."""
    for start in (_mariadb, _mongodb):
        if start.cache_info().currsize and (server := start()):
            server.close()


# --- a connection that breaks ------------------------------------------------------------


@contextmanager
def cut_after(port: int, sent: int) -> Iterator[int]:
    """A port that hands on to another, and breaks a connection after so many bytes of answers."""
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(subprocess.Popen(
            [sys.executable, __file__, str(port), str(sent)], stdout=subprocess.PIPE, text=True
        ))  # fmt: skip
        stack.callback(process.kill)
        assert process.stdout
        yield int(process.stdout.readline())


def _serve(port: int, sent: int) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)  # noqa: T201  # to the test that has started it

    def hand_on(source: socket.socket, target: socket.socket, left: int) -> None:
        with contextlib.suppress(OSError):
            while left > 0 and (data := source.recv(min(left, 65536))):
                target.sendall(data)
                left -= len(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    while True:
        client, _ = listener.accept()
        server = socket.create_connection(("127.0.0.1", port))
        for pair in ((client, server, 1 << 60), (server, client, sent)):
            threading.Thread(target=hand_on, args=pair, daemon=True).start()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))

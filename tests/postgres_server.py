"""A PostgreSQL server of the tests' own, in a temporary folder, from the installed binaries.

A guard beside it waits for the end of the process that started it, whatever that end is (Ctrl-C,
SIGKILL), and stops a server that is still there.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import psycopg

# Debian keeps them out of the PATH, a folder per version.
_DEBIAN = Path("/usr/lib/postgresql")
_USER = "etl"
_PRIVATE = {"unix_socket_directories": "", "listen_addresses": "127.0.0.1"}
# A test server may lose everything when the machine crashes; the pipeline's promises are about
# processes and connections.
_CARELESS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "64MB",
    "max_connections": "40",
    "autovacuum": "off",
    "wal_level": "logical",  # for replication slots
}

# Its standard input ends with the process that holds the other end of the pipe.
_GUARD = """
import os, pathlib, shutil, signal, sys, time
sys.stdin.read()
pid_file = pathlib.Path(sys.argv[1], "data", "postmaster.pid")
try:
    server = int(pid_file.read_text().splitlines()[0])
    os.kill(server, signal.SIGQUIT)
    for _ in range(600):
        os.kill(server, 0)
        time.sleep(0.05)
except (OSError, IndexError, ValueError):
    pass
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""


@cache
def binaries() -> Path | None:
    """The folder of the newest installed server, None without one."""
    folders = [path.parent for path in _DEBIAN.glob("*/bin/postgres")]
    found = shutil.which("postgres")
    on_path = Path(found).parent if found else None
    return max(folders, key=lambda path: float(path.parent.name), default=on_path)


class PostgresServer:
    """A server on a free port; it is stopped, and its folder removed, by `close`.

    Args:
        durable: whether what is committed outlasts the server's processes.
        certificate: files of its certificate and key; with them it also answers over TLS.
        as_installed: with PostgreSQL's own settings, for honest figures: what is committed is on
            the disk.
    """

    def __init__(
        self, *, durable: bool = False, as_installed: bool = False,
        certificate: tuple[Path, Path] | None = None,
    ) -> None:  # fmt: skip
        careless = {} if as_installed else _CARELESS
        kept = {"synchronous_commit": "on"} if durable else {}
        encrypted = {"ssl": "on"} if certificate else {}
        self._settings = _PRIVATE | careless | kept | encrypted
        found = binaries()
        assert found, "there is no PostgreSQL server on this machine"
        self._binaries = found
        # not below pytest's folder, which is closed to the user under whom the server runs
        self._folder = Path(tempfile.mkdtemp(prefix="etl-postgresql-"))
        self._data = self._folder / "data"
        self._user = _other_user()
        if self._user:
            shutil.chown(self._folder, self._user)
        self._guard = subprocess.Popen(
            [sys.executable, "-c", _GUARD, self._folder],
            stdin=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self._run("initdb", "--no-sync", "--auth=trust", f"--username={_USER}", "--encoding=UTF8",
                  "--locale=C.UTF-8", f"--pgdata={self._data}")  # fmt: skip
        for name, file in zip(("server.crt", "server.key"), certificate or (), strict=False):
            self._give(name, file.read_bytes())
        self.port = _free_port()
        self.start()

    def _give(self, name: str, content: bytes) -> None:
        """Writes a file of the server's own folder."""
        path = self._data / name
        path.write_bytes(content)
        path.chmod(0o600)
        if self._user:
            shutil.chown(path, self._user)

    def require_passwords(self, user: str) -> None:
        """Lets a user in with a password alone, and over TLS alone."""
        known = (self._data / "pg_hba.conf").read_bytes()
        rules = f"hostssl all {user} all scram-sha-256\nhost all {user} all reject\n"
        self._give("pg_hba.conf", rules.encode() + known)
        self.execute("SELECT pg_reload_conf()")

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._binaries / program, *arguments], check=True, capture_output=True,
            user=self._user, cwd=self._folder,
        )  # fmt: skip

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        settings = [f"-c{name}={value}" for name, value in self._settings.items()]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", f"-D{self._data}", f"-p{self.port}", *settings],
                stdout=log, stderr=log, user=self._user, cwd=self._folder,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < deadline, self.log

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url).close()
        except psycopg.OperationalError:
            time.sleep(0.02)  # until a process of its own is ready
            return False
        return True

    @property
    def log(self) -> str:
        """What it has written so far."""
        return (self._folder / "log").read_text("utf-8", errors="replace")

    def kill(self) -> None:
        """SIGKILL to the server, and to those of its processes that serve connections."""
        children = psutil.Process(self._process.pid).children()
        self._process.kill()
        self._process.wait()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children)  # a server does not start while one of them has its memory

    @property
    def url(self) -> str:
        """The connection string of the server."""
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/postgres"

    def execute(self, statement: str) -> None:
        """Runs one statement on it."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def close(self) -> None:
        """Stops it, and removes its folder."""
        self._process.send_signal(signal.SIGQUIT)  # at once: nothing of it is wanted any more
        self._process.wait(timeout=60)
        self._guard.communicate()  # it removes the folder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        self.close()


def _other_user() -> str | None:
    """A server refuses to run as root: the user that Debian's package makes, or nobody."""
    if os.name != "posix" or os.geteuid() != 0:
        return None
    known = Path("/etc/passwd").read_text("utf-8")
    return "postgres" if "\npostgres:" in known else "nobody"


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return int(listener.getsockname()[1])

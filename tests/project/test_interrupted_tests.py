"""Whoever interrupts the tests is left with no server: not by Ctrl-C, and not by SIGKILL."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from postgres_server import binaries

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.skipif(
    os.name != "posix" or binaries() is None, reason="no PostgreSQL server is installed"
)

A_TEST_THAT_WAITS = """
import os, signal
from pathlib import Path
from engines import own_server

def test_it_waits() -> None:
    server = own_server()
    folder = Path(os.environ["WAITING_IN"])
    (folder / "server.part").write_text(str(server._process.pid))
    (folder / "server.part").rename(folder / "server")
    signal.pause()
"""


@pytest.fixture
def tests(tmp_path: Path, workers: int) -> Iterator[subprocess.Popen[bytes]]:
    """A run of tests, one of which has started a server and waits."""
    file = tmp_path / "test_waiting.py"
    file.write_text(A_TEST_THAT_WAITS, encoding="utf-8")
    own = [f"--rootdir={ROOT}", f"-c{ROOT / 'pyproject.toml'}", f"-n{workers}"]
    plugins = ["-p", "no:cacheprovider", "-p", "conftest"]
    environment = {**os.environ, "WAITING_IN": str(tmp_path), "PYTHONPATH": str(ROOT / "tests")}
    environment.pop("PYTEST_XDIST_WORKER", None)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *own, *plugins, str(file)],
        cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def server_of(tests: subprocess.Popen[bytes], folder: Path) -> psutil.Process:
    """The server that the tests have started."""
    while not (folder / "server").exists():
        with suppress(subprocess.TimeoutExpired):
            tests.wait(0.05)
            pytest.fail("the tests ended before they had a server")
    return psutil.Process(int((folder / "server").read_text("utf-8")))


@pytest.mark.parametrize(
    ("workers", "number"),
    [
        pytest.param(1, signal.SIGINT, id="Ctrl-C, in a worker"),
        pytest.param(0, signal.SIGKILL, id="SIGKILL, in the process itself"),
    ],
)
def test_no_server_is_left_behind(
    tests: subprocess.Popen[bytes], number: signal.Signals, tmp_path: Path
) -> None:
    server = server_of(tests, tmp_path)
    assert server.is_running()
    tests.send_signal(number)
    tests.wait(timeout=60)
    assert psutil.wait_procs([server], timeout=60)[1] == []

"""A proxy on loopback between a driver and its server, which delays and cuts on purpose.

It is a process of its own: while pyodbc waits for an answer, no other thread of its process runs.
What it is to do comes as JSON, and what it did it prints in lines.
"""

import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Self

# What ends a transaction, as drivers write it. To SQL Server in a batch of text, or as a request
# of its own; to PostgreSQL as a query.
_COMMIT_TEXT = "COMMIT TRAN".encode("utf-16-le")
_COMMIT_QUERY = b"Q\x00\x00\x00\x0bCOMMIT\x00"
_TRANSACTION_REQUEST = 14  # type of a TDS packet
_COMMIT = (7).to_bytes(2, "little")  # TM_COMMIT_XACT, behind a header of 8 bytes and 22 more

BEFORE, DURING, AFTER, HOLD = "before", "during", "after", "hold"


@dataclass(frozen=True)
class Plan:
    """When to cut.

    Attributes:
        at_commit: at which of the commits, 0 for none.
        at_message: at which of the messages to the server, 0 for none.
        verdict: before it is handed on, during that, when the server has half of it, or after,
            when the server has answered. Hold is not to cut, but to keep it until `allow`.
        for_good: whether nobody is let in any more, until `allow`.
        delay_s: how long each commit is held back, in seconds.
    """

    at_commit: int = 0
    at_message: int = 0
    verdict: str = BEFORE
    for_good: bool = False
    delay_s: float = 0.0


class Proxy:
    """Hands everything on, but for what the plan says.

    Args:
        server: host and port of the server.
        plan: when to cut.
    """

    def __init__(self, server: tuple[str, int], plan: Plan) -> None:
        given = json.dumps({"server": server, **asdict(plan)})
        self._process = subprocess.Popen(
            [sys.executable, __file__, given],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.port = int(self.next_word())

    def next_word(self) -> str:
        """What it tells next: `cut` or `hold`, at the end how many commits and messages came."""
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def allow(self) -> None:
        """Lets callers in again, and hands on what is held."""
        assert self._process.stdin
        self._process.stdin.write("allow\n")
        self._process.stdin.flush()

    def ended(self) -> list[str]:
        """Ends it, and returns what it has printed since."""
        out, _ = self._process.communicate("", timeout=20)
        return out.split()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        with self._process:  # closes its pipes
            self._process.kill()


# --- in its own process --------------------------------------------------------------------


def is_commit(data: bytes) -> bool:
    """Whether bytes on their way to the server ask for a commit."""
    if _COMMIT_TEXT in data or _COMMIT_QUERY in data:
        return True
    return data[:1] == bytes([_TRANSACTION_REQUEST]) and data[30:32] == _COMMIT


class _Serving:
    def __init__(self, server: tuple[str, int], plan: Plan) -> None:
        self._server, self._plan = server, plan
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._messages = self._commits = 0
        self._refusing = False
        self._allowed = threading.Event()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []

    def run(self) -> None:
        _tell(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()
        for _ in sys.stdin:
            self._refusing = False
            self._allowed.set()
        _tell(self._commits)
        _tell(self._messages)

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            if self._refusing:
                client.close()
                continue
            server = socket.create_connection(self._server)
            self._pairs.append((client, server))
            heard = threading.Event()
            for work in (_answers, self._requests):
                threading.Thread(target=work, args=(client, server, heard), daemon=True).start()

    def _verdict(self, data: bytes) -> str:
        self._messages += 1
        if is_commit(data):
            self._commits += 1
            time.sleep(self._plan.delay_s)
        commit = is_commit(data) and self._commits == self._plan.at_commit
        if not commit and self._messages != self._plan.at_message:
            return ""
        if self._plan.verdict == HOLD:
            _tell(HOLD)
            self._allowed.wait()
            return ""
        self._refusing = self._plan.for_good
        _tell("cut")
        return self._plan.verdict

    def _requests(
        self, client: socket.socket, server: socket.socket, heard: threading.Event
    ) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                verdict = self._verdict(data)
                if verdict == BEFORE:
                    break
                if verdict == DURING:
                    server.sendall(data[: len(data) // 2])
                    break
                heard.clear()
                if verdict == AFTER:
                    _close(client)  # nobody takes the answer
                server.sendall(data)
                if verdict:
                    heard.wait(10)  # only when it answers it has done what it was asked
                    break
        _close(client, server)
        if self._refusing:
            for pair in self._pairs:
                _close(*pair)


def _answers(client: socket.socket, server: socket.socket, heard: threading.Event) -> None:
    with suppress(OSError):
        while data := server.recv(65536):
            heard.set()
            client.sendall(data)
    _close(client)


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


def _tell(word: object) -> None:
    print(word, flush=True)  # noqa: T201  # to the test that has started it


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    host, port = given.pop("server")
    _Serving((host, port), Plan(**given)).run()

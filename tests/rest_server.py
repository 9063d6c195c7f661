"""A server on loopback that pages through records, and misbehaves where it is asked to."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from alert_servers import serving

Params = dict[str, str]
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Asked:
    """A call as it arrived."""

    path: str
    params: Params
    headers: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """An answer.

    Attributes:
        cut: how much of the body is sent before the connection ends; None: all of it.
        silent: nothing is sent until the server ends.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))
    cut: float | None = None
    silent: bool = False


def as_json(document: object, **headers: str) -> Answer:
    return Answer(json.dumps(document).encode(), headers={**JSON, **headers})


class _Handler(BaseHTTPRequestHandler):
    server: "RestServer"
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a body waits 40 ms for its headers to be confirmed

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        params = {n: v[-1] for n, v in parse_qs(url.query, keep_blank_values=True).items()}
        answer = self.server.answer(Asked(url.path, params, dict(self.headers)))
        if answer.silent:
            self.server.ended.wait()
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        share = 1.0 if answer.cut is None else answer.cut
        self.wfile.write(answer.body[: int(len(answer.body) * share)])
        self.close_connection = self.close_connection or answer.cut is not None

    def log_message(self, *_args: object) -> None:
        """Says nothing."""


class RestServer(ThreadingHTTPServer):
    """Answers calls by their path; `faults` come in place of the answers of their numbers, from 1.

    Attributes:
        routes: by path, what answers.
        calls: all that have arrived.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.routes: dict[str, Callable[[Asked], Answer]] = {}
        self.faults: dict[int, Answer | Callable[[Answer], Answer]] = {}
        self.calls: list[Asked] = []
        self.ended = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_args: object) -> None:
        """Connections that end early are what tests want."""

    def answer(self, asked: Asked) -> Answer:
        with self._lock:
            self.calls.append(asked)
            fault = self.faults.get(len(self.calls))
        if isinstance(fault, Answer):
            return fault
        route = self.routes.get(asked.path)
        found = route(asked) if route else Answer(b'{"error": "not here"}', 404)
        return fault(found) if fault else found

    def params(self, name: str) -> list[str | None]:
        """A parameter of each call."""
        return [call.params.get(name) for call in self.calls]


@contextmanager
def rest_server() -> Iterator[RestServer]:
    """A server at work in a thread."""
    with serving(RestServer()) as server:
        try:
            yield server
        finally:
            server.ended.set()


# --- faults --------------------------------------------------------------------------------


def refused(status: int, **headers: str) -> Answer:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(b'{"message": "not now"}', status, {**JSON, **names})


def cut(answer: Answer) -> Answer:
    """The same, but the connection ends in the middle."""
    return Answer(answer.body, answer.status, answer.headers, cut=0.5)


def cut_unseen(answer: Answer) -> Answer:
    """Half of the JSON, as if it were all: a proxy that lost the rest."""
    return Answer(answer.body[: len(answer.body) // 2], answer.status, answer.headers)


HTML = Answer(b"<!doctype html><p>Log in</p>", headers={"Content-Type": "text/html"})
SILENCE = Answer(silent=True)


# --- kinds of paging -------------------------------------------------------------------------

Records = Sequence[Any]
Kind = Callable[[Records, int], Callable[[Asked], Answer]]


def by_page(records: Records, size: int) -> Callable[[Asked], Answer]:
    def answer(asked: Asked) -> Answer:
        start = (int(asked.params.get("page", "1")) - 1) * size
        return as_json({"results": records[start : start + size]})

    return answer


def by_offset(records: Records, size: int) -> Callable[[Asked], Answer]:
    def answer(asked: Asked) -> Answer:
        start = int(asked.params.get("offset", "0"))
        return as_json({"results": records[start : start + size]})

    return answer


def by_cursor(records: Records, size: int) -> Callable[[Asked], Answer]:
    def answer(asked: Asked) -> Answer:
        start = int(asked.params.get("cursor", "c0").removeprefix("c"))
        end = start + size
        following = f"c{end}" if end < len(records) else None
        return as_json({"results": records[start:end], "meta": {"next": following}})

    return answer


def by_last_id(records: Records, size: int) -> Callable[[Asked], Answer]:
    """As Stripe does: a list object, its id of the last record leads on."""

    def answer(asked: Asked) -> Answer:
        after = asked.params.get("starting_after")
        ids = [str(record["id"]) for record in records]
        start = ids.index(after) + 1 if after else 0
        page = records[start : start + size]
        more = start + size < len(records)
        return as_json({"object": "list", "url": asked.path, "has_more": more, "data": page})

    return answer


def by_link(records: Records, size: int, member: str = "") -> Callable[[Asked], Answer]:
    """As Shopify and WooCommerce do: a Link header leads on."""

    def answer(asked: Asked) -> Answer:
        start = int(asked.params.get("page_info", "0"))
        page = records[start : start + size]
        headers = {}
        if start + size < len(records):
            host = asked.headers["Host"]
            query = urlencode({**asked.params, "limit": size, "page_info": start + size})
            headers["Link"] = f'<http://{host}{asked.path}?{query}>; rel="next"'
        return as_json({member: page} if member else page, **headers)

    return answer

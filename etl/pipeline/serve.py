"""The page over the runs on 127.0.0.1, which shows a run under way and refreshes at its end."""

import json
from contextlib import suppress
from datetime import datetime
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from etl.errors import EXIT_OK, ConfigurationError
from etl.history.journal import JOURNAL, read_entries
from etl.pipeline.workspace import running_since
from etl.reports.business import BUSINESS
from etl.reports.dashboard import DASHBOARD, MOST_RUNS, page_of
from etl.reports.page import LIVE_SCRIPT
from etl.words import duration_words

HOST = "127.0.0.1"
_NAMES = (HOST, "localhost")


def serve(folder: Path, port: int) -> int:
    """Show the page of an environment until the process is asked to end.

    Args:
        folder: of the environment.
        port: on 127.0.0.1; 0 takes a free one.

    Returns:
        The exit code.

    Raises:
        ConfigurationError: the port is taken.
    """
    with server(folder, port) as http, suppress(KeyboardInterrupt):
        address = f"http://{HOST}:{http.server_address[1]}/"
        print(f"{address}  (Ctrl-C ends it)", flush=True)  # noqa: T201  # the answer
        http.serve_forever()
    return EXIT_OK


def server(folder: Path, port: int) -> ThreadingHTTPServer:
    """Return the server, bound and not yet serving.

    Raises:
        ConfigurationError: the port is taken.
    """
    try:
        return ThreadingHTTPServer((HOST, port), partial(_Handler, folder=folder))
    except (OSError, OverflowError) as error:
        raise ConfigurationError(
            f"the page cannot be served on {HOST}:{port}: {error}",
            next_step="give another port, such as --serve 8123",
        ) from error


def live(folder: Path, now: datetime) -> dict[str, str]:
    """Return what changes while the page is open: its version, and a run under way in words."""
    files = [folder / name for name in (DASHBOARD, JOURNAL, BUSINESS)]
    stats = [path.stat() for path in files if path.exists()]
    version = "-".join(f"{stat.st_mtime_ns:x}.{stat.st_size:x}" for stat in stats)
    since = running_since(folder)
    seconds = max(0.0, (now - since).total_seconds()) if since else 0.0
    return {
        "version": version,
        "words": f"A run is under way, for {duration_words(seconds)} now." if since else "",
    }


class _Handler(BaseHTTPRequestHandler):
    """Answers GET for the page, its script and what is new; nothing else, and only locally."""

    def __init__(self, *args: object, folder: Path) -> None:
        self._folder = folder
        super().__init__(*args)  # type: ignore[arg-type]  # as the server calls it

    def do_GET(self) -> None:  # the name that http.server looks for
        host, _, _ = self.headers.get("Host", "").partition(":")
        answers = {"/": self._page, "/live.js": self._script, "/live": self._live}
        answer = answers.get(self.path)
        if host not in _NAMES:  # a page from elsewhere that calls itself this one
            self.send_error(HTTPStatus.FORBIDDEN)
        elif answer is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            self._send(*answer())

    def _page(self) -> tuple[str, str]:
        entries = read_entries(self._folder / JOURNAL, most=MOST_RUNS)
        return "text/html", page_of(entries, self._folder, live=True)

    def _script(self) -> tuple[str, str]:
        return "text/javascript", LIVE_SCRIPT

    def _live(self) -> tuple[str, str]:
        return "application/json", json.dumps(live(self._folder, datetime.now()))

    def _send(self, kind: str, text: str) -> None:
        content = text.encode("utf-8", "backslashreplace")
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep the terminal quiet."""

"""A mail server and a webhook on loopback, which keep what they are sent."""

import base64
import json
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Smtp(socketserver.StreamRequestHandler):
    """Just enough of SMTP."""

    server: "MailServer"

    def handle(self) -> None:
        if self.server.greeting:
            self._say(self.server.greeting)
        while line := self.rfile.readline():
            word, _, rest = line.decode("ascii").strip().partition(" ")
            self.server.commands.append(word.upper())
            if not self._answer(word.upper(), rest):
                return

    def finish(self) -> None:
        super().finish()
        self.connection.close()  # an encrypted one is another than the server knows of

    def _say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode("ascii"))

    def _answer(self, word: str, rest: str) -> bool:
        scripted = self.server.answers.pop(word, "")
        if scripted == "hang up":
            return False
        if scripted:
            self._say(scripted)
        elif word == "EHLO":
            starttls = "250-STARTTLS\r\n" if self.server.tls else ""
            self._say(f"250-test\r\n{starttls}250-AUTH PLAIN\r\n250 8BITMIME")
        elif word == "STARTTLS":
            self._say("220 go ahead")
            return self._encrypt()
        elif word == "AUTH":
            self.server.logins.append(base64.b64decode(rest.split(" ")[1]).decode("utf-8"))
            self._say("235 welcome")
        elif word == "DATA":
            self._say("354 go ahead")
            self._receive()
        else:
            self._say("221 bye" if word == "QUIT" else "250 ok")
        return word != "QUIT"

    def _encrypt(self) -> bool:
        assert self.server.tls
        try:
            self.connection = self.server.tls.wrap_socket(self.connection, server_side=True)
        except (ssl.SSLError, OSError):  # the client does not trust us
            return False
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)
        return True

    def _receive(self) -> None:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b"."))
        raw = b"".join(lines)
        self.server.raw.append(raw)
        message = message_from_bytes(raw, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.server.messages.append(message)
        self._say("250 taken")


class MailServer(socketserver.ThreadingTCPServer):
    """Keeps messages, logins and commands; `answers` are given once, to the command they name."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Smtp)
        self.tls = tls
        self.greeting = "220 test ESMTP"
        self.messages: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.logins: list[str] = []
        self.commands: list[str] = []
        self.answers: dict[str, str] = {}

    def handle_error(self, *_args: object) -> None:
        """Connections that end early are what tests want."""

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Hook(BaseHTTPRequestHandler):
    server: "Webhook"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append(json.loads(body))
        status, text = self.server.answers.pop(0) if self.server.answers else (200, "ok")
        self.send_response(status)
        if status == 302:
            self.send_header("Location", self.server.url)
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Says nothing."""


class Webhook(ThreadingHTTPServer):
    """Keeps what is posted; `answers` are given in their order, then 200."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Hook)
        self.posts: list[dict[str, Any]] = []
        self.answers: list[tuple[int, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/services/T000/B000/verysecretpart"


@contextmanager
def serving(server: Any) -> Iterator[Any]:
    """The server at work in a thread."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

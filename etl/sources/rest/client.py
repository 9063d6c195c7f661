"""One page after the other from one server: asked in turn, again when an answer fails to come.

A page counts once it is there whole and is JSON. Whatever else arrives, such as half of a body, is
thrown away and asked for again, so that nothing is missing and nothing comes twice.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

from etl.errors import CircuitOpenError, ExtractionError
from etl.resilience.circuit_breaker import CircuitBreaker
from etl.resilience.retry import RetryEvent, log_retry, retry_with_backoff
from etl.settings.rest_options import is_loopback
from etl.sources.rest.credentials import NONE, Credentials
from etl.sources.rest.library import library
from etl.sources.rest.pace import Pace, retry_after_s
from etl.version import VERSION

MOST_BODY_BYTES = 64 * 2**20
_LONGEST_PAGE = 10  # times the timeout: a server that sends a byte now and then is given up
_SHOWN_CHARACTERS = 200
_PASSING = frozenset({408, 425, 429})
_PERMANENT_ABOVE_500 = frozenset({501, 505})
_TOO_MANY = 429
_LEAST_ERROR = 400
_LEAST_SERVER_ERROR = 500


def _number(text: str) -> str:
    """A number as it is written; one with an exponent as plain digits, as in files."""
    return str(Decimal(text)) if "e" in text or "E" in text else text


# Numbers stay the texts that the source wrote: exact, and ready to be columns of text.
decode_texts = json.JSONDecoder(parse_float=_number, parse_int=str, parse_constant=str).decode
decode_exact = json.JSONDecoder(parse_float=Decimal, parse_constant=str).decode


@dataclass(frozen=True)
class Request:
    """What is asked for: an address of the server, and the parameters besides its own."""

    url: str
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """The address without its parameters, for messages."""
        return urlsplit(self.url)._replace(query="", fragment="").geturl()

    def full_url(self, secret: Mapping[str, str]) -> str:
        """Return the address with all its parameters; of those of one name the last counts."""
        parts = urlsplit(self.url)
        own = {**self.params, **secret}
        pairs = [(n, v) for n, v in parse_qsl(parts.query, keep_blank_values=True) if n not in own]
        query = urlencode([*pairs, *own.items()])
        return parts._replace(query=query, fragment="").geturl()


@dataclass(frozen=True)
class Page:
    """A page that has arrived whole.

    Attributes:
        document: the JSON in it; None where the answer has no body.
        next_url: where the Link header says that the next page is; empty: it does not.
        body: as it came.
    """

    request: Request
    document: Any
    next_url: str
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Access:
    """How a server is asked.

    Attributes:
        timeout_s: seconds without an answer after which a call has failed.
        max_retries: further attempts after a failure that may pass.
        backoff_factor: how many times longer each wait is than the one before.
        breaker: prevents calls to a server that fails again and again.
        pace: how often it may be asked; None: as often as it answers.
        decode: reads the JSON of a page.
        sleep: waits for a number of seconds.
        now: the present moment, for dates in `Retry-After`.
    """

    credentials: Credentials = NONE
    timeout_s: float = 60.0
    max_retries: int = 3
    backoff_factor: float = 2.0
    breaker: CircuitBreaker = field(default_factory=lambda: server_breaker("server"))
    pace: Pace | None = None
    decode: Callable[[str], Any] = decode_texts
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


def server_breaker(
    name: str, failure_threshold: int = 5, recovery_seconds: float = 60.0
) -> CircuitBreaker:
    """Return a breaker for a server; that it asks for patience is an answer, and no failure."""
    return CircuitBreaker(
        failure_threshold, recovery_seconds, name=name,
        counts=lambda error: isinstance(error, NoPageError) and not error.is_patience,
    )  # fmt: skip


class NoPageError(ExtractionError):
    """A call failed, and may succeed when it is made again."""

    def __init__(self, what: str, retry_after_s: float | None = None, status: int = 0) -> None:
        super().__init__(what)
        self.retry_after_s = retry_after_s
        self.is_patience = status == _TOO_MANY


@contextmanager
def open_client(access: Access, url: str) -> Iterator["Client"]:
    """Open connections to the server of an address; they are closed at the end.

    Args:
        access: how it is asked.
        url: the address; no other server is ever asked.

    Raises:
        ConfigurationError: the libraries are not installed.
    """
    httpx = library("httpx")
    # a proxy of the environment knows no way to this machine
    trust = not is_loopback(urlsplit(url).hostname or "")
    headers = {"Accept": "application/json", "User-Agent": f"nightly-etl/{VERSION}"}
    encrypted = url.startswith("https://")  # else no certificates need be loaded, which takes long
    with httpx.Client(
        timeout=access.timeout_s, trust_env=trust, headers=headers, verify=encrypted
    ) as connections:
        yield Client(access, connections, origin_of(url))


def origin_of(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port of an address.

    Example:
        >>> origin_of("https://API.example.com/v1") == origin_of("https://api.example.com:443/")
        True
    """
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, (parts.hostname or ""), port


class Client:
    """Asks one server for pages.

    Args:
        access: how it is asked.
        connections: of the library.
        origin: of the server.
    """

    def __init__(self, access: Access, connections: Any, origin: tuple[str, str, int]) -> None:
        self._access, self._connections, self._origin = access, connections, origin
        self._attempts = 0
        self._retried = retry_with_backoff(
            access.max_retries, access.backoff_factor, exceptions=NoPageError,
            sleep=access.sleep, on_retry=_log_retry,
        )(self._attempt)  # fmt: skip

    def get(self, request: Request) -> Page:
        """Return a page.

        Raises:
            ExtractionError: it does not come, or is none; says what was answered.
        """
        self._require_origin(request.url)
        self._attempts = 0
        try:
            return self._retried(request)
        except NoPageError as error:
            raise self._given_up(error) from None  # the source is not read anew for it
        except CircuitOpenError as error:
            raise ExtractionError(str(error)) from None

    def _given_up(self, error: NoPageError) -> ExtractionError:
        asked = error.retry_after_s
        if asked is not None and self._attempts <= self._access.max_retries:
            return ExtractionError(
                f"{error.what}, and asks to wait {asked:.0f} s",
                next_step="run again after that, or lower rate_limit of the source",
            )
        often = f", {self._attempts} times in a row" if self._attempts > 1 else ""
        return ExtractionError(
            f"{error.what}{often}",
            next_step="run again later: nothing of this source was loaded, and the next run "
            "begins where the last good one ended",
        )

    def _require_origin(self, url: str) -> None:
        try:
            origin = origin_of(url)
        except ValueError:  # no number is a port, for instance
            origin = ("", "no valid address", 0)
        if origin != self._origin:
            raise ExtractionError(
                f"the next page lies on another server than the first: {origin[1]}, which is not "
                "asked",
                next_step="set url of the source to that server if it is the right one",
            )

    def _attempt(self, request: Request) -> Page:
        self._attempts += 1
        if self._access.pace is not None:
            self._access.pace.wait()
        with self._access.breaker:
            return self._asked(request)

    def _asked(self, request: Request) -> Page:
        httpx, credentials = library("httpx"), self._access.credentials
        url = request.full_url(credentials.params)
        try:
            with self._connections.stream("GET", url, headers=credentials.headers) as response:
                body = self._body(response, request)
        except httpx.TimeoutException:
            seconds = self._access.timeout_s
            raise NoPageError(f"{request.place} does not answer within {seconds:g} s") from None
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise self._broken(request, error) from None
        self._judge(request, response, body)
        link = response.links.get("next", {}).get("url", "")
        next_url = urljoin(url, link) if link else ""
        return Page(request, self._document(request, response, body), next_url, body)

    def _body(self, response: Any, request: Request) -> bytes:
        pieces, size, begun = [], 0, time.monotonic()
        for piece in response.iter_bytes():
            size += len(piece)
            pieces.append(piece)
            if size > MOST_BODY_BYTES:
                raise ExtractionError(
                    f"a page of {request.place} has more than {MOST_BODY_BYTES // 2**20} MiB",
                    next_step="ask for fewer records per page: paging.size",
                )
            if time.monotonic() - begun > _LONGEST_PAGE * self._access.timeout_s:
                raise library("httpx").ReadTimeout("")
        return b"".join(pieces)

    def _broken(self, request: Request, error: Exception) -> ExtractionError:
        said = self._access.credentials.hidden(str(error) or type(error).__name__)
        if "CERTIFICATE_VERIFY_FAILED" in said:
            return ExtractionError(
                f"{request.place}: the certificate of the server is not trusted: {said}",
                next_step="name the authority that has signed it in SSL_CERT_FILE",
            )
        return NoPageError(f"{request.place}: {said}")

    def _judge(self, request: Request, response: Any, body: bytes) -> None:
        status = response.status_code
        if response.is_success:
            return
        answered = f"{request.place} answers {status} {_phrase(status)}".rstrip()
        if _may_pass(status):
            after = retry_after_s(response.headers.get("Retry-After"), self._access.now())
            raise NoPageError(answered, after, status)
        if response.is_redirect:
            raise ExtractionError(
                f"{answered}, to {self._shown_place(response.headers.get('Location', ''))}",
                next_step="set url of the source to that address; no other one is followed",
            )
        said = self._said(response, body)
        raise ExtractionError(
            f"{answered}{said}", next_step=self._step(status), code=f"http_{status}"
        )

    def _shown_place(self, location: str) -> str:
        return self._access.credentials.hidden(Request(location).place)

    def _step(self, status: int) -> str:
        setting = self._access.credentials.setting
        steps = {
            401: f"the credentials are wrong or have expired: renew them and set {setting}"
            if setting else "it wants credentials: set auth of the source",
            403: f"give the credentials of {setting or 'this source'} the right to read this",
            404: "correct url of the source",
        }  # fmt: skip
        return steps.get(status, "correct url, params or since of the source")

    def _said(self, response: Any, body: bytes) -> str:
        if "json" not in response.headers.get("Content-Type", ""):
            return ""
        text = " ".join(body.decode("utf-8", "replace").split())[:_SHOWN_CHARACTERS]
        shown = "".join(c if c.isprintable() else " " for c in text)
        return f": {self._access.credentials.hidden(shown)}" if shown else ""

    def _document(self, request: Request, response: Any, body: bytes) -> Any:
        if not body.strip():
            return None
        if body.lstrip()[:1] == b"<" or "html" in response.headers.get("Content-Type", ""):
            raise ExtractionError(
                f"{request.place} answers with a web page, where JSON is wanted",
                next_step="correct url of the source; or its credentials, where it shows a login",
            )
        try:
            return self._access.decode(body.decode("utf-8-sig"))
        except UnicodeDecodeError:
            raise ExtractionError(
                f"{request.place} answers with text that is no UTF-8", next_step="correct url"
            ) from None
        except RecursionError:
            raise ExtractionError(
                f"{request.place} answers with JSON that is nested too deeply",
                next_step="correct url",
            ) from None
        except json.JSONDecodeError as error:  # cut where the connection itself seemed whole
            raise NoPageError(
                f"{request.place} answers with JSON that is broken at character {error.pos + 1} "
                f"of {len(body)}"
            ) from None


def _may_pass(status: int) -> bool:
    server = status >= _LEAST_SERVER_ERROR and status not in _PERMANENT_ABOVE_500
    return status in _PASSING or server


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _log_retry(event: RetryEvent) -> None:
    log_retry(RetryEvent(event.attempt, event.wait_s, event.error, "page"))

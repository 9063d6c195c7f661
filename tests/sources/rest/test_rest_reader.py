"""An interface is read page by page: nothing missing, nothing twice, whatever the server does."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from rest_server import (
    HTML,
    SILENCE,
    Answer,
    RestServer,
    as_json,
    by_cursor,
    by_last_id,
    by_link,
    by_offset,
    by_page,
    cut,
    cut_unseen,
    refused,
    rest_server,
)

from etl.errors import ExtractionError, ValidationError
from etl.settings.rest_options import Auth, Paging
from etl.sources.files import FileTrace
from etl.sources.rest.client import Access, Request, server_breaker
from etl.sources.rest.credentials import credentials_of
from etl.sources.rest.pace import Pace
from etl.sources.rest.reader import RestReading, read_rest
from etl.sources.rest.records import RecordForm

KINDS = {
    "page": (by_page, Paging(kind="page", size=3), "results"),
    "offset": (by_offset, Paging(kind="offset", size=3), "results"),
    "cursor": (by_cursor, Paging(kind="cursor", next="meta.next"), "results"),
    "last_id": (by_last_id, Paging(kind="last_id", more="has_more"), "data"),
    "link": (by_link, Paging(kind="link"), ""),
}
NOW = datetime(2024, 1, 20, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def at_work() -> Iterator[RestServer]:
    with rest_server() as server:
        yield server


@pytest.fixture
def server(at_work: RestServer) -> RestServer:
    at_work.faults, at_work.calls = {}, []
    return at_work


def records(count: int) -> list[dict[str, Any]]:
    return [{"id": n, "total": f"{n}.50", "customer": {"id": f"C{n % 5}"}} for n in range(1, count)]


class Waits:
    """Takes the place of time."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def access(self, **options: Any) -> Access:
        free = server_breaker("server", 99)
        return Access(**{"sleep": self.seconds.append, "now": lambda: NOW, "timeout_s": 5.0,
                         "breaker": free, **options})  # fmt: skip


def reading(
    server: RestServer, kind: str, waits: Waits | None = None, **options: Any
) -> RestReading:
    _, paging, path = KINDS[kind]
    return RestReading(
        (waits or Waits()).access(**options), Request(f"{server.url}/orders"), paging, path,
        RecordForm({"customer_id": "customer.id"}),
    )  # fmt: skip


COLUMNS = ("id", "total", "customer_id")


def read(what: RestReading, columns: tuple[str, ...] = COLUMNS) -> list[tuple[Any, ...]]:
    return [row for block in read_rest(what, columns) for row in
            zip(*(block.records.column(n).to_pylist() for n in columns), strict=True)]  # fmt: skip


def as_rows(wanted: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(str(r["id"]), r["total"], r["customer"]["id"]) for r in wanted]


Fault = Answer | Callable[[Answer], Answer]
FAULTS: st.SearchStrategy[Fault] = st.sampled_from([
    refused(429, Retry_After="2"), refused(500), refused(503), cut, cut_unseen,
])  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=15)
def test_every_record_comes_once_whatever_happens_on_the_way(
    at_work: RestServer, kind: str, data: st.DataObject
) -> None:
    wanted = records(data.draw(st.integers(0, 20)))
    make, _, _ = KINDS[kind]
    at_work.calls = []
    at_work.routes["/orders"] = make(wanted, data.draw(st.integers(1, 7)))
    # of four attempts three may fail
    numbers = st.integers(1, 30).filter(lambda n: n % 4)
    at_work.faults = data.draw(st.dictionaries(numbers, FAULTS, max_size=12))
    trace = FileTrace()
    what = reading(at_work, kind)
    rows: list[tuple[Any, ...]] = []
    places: list[int] = []
    for block in read_rest(what, COLUMNS, trace=trace):
        places += block.records.column("source_row").to_pylist()
        rows += zip(*(block.records.column(n).to_pylist() for n in COLUMNS), strict=True)
    assert rows == as_rows(wanted)
    assert places == list(range(1, len(wanted) + 1))
    assert trace.sha256 and trace.bytes


def test_retry_after_is_obeyed_exactly(server: RestServer) -> None:
    waits = Waits()
    server.routes["/orders"] = by_page(records(3), 9)
    server.faults = {
        1: refused(429, Retry_After="7"),
        2: refused(503, Retry_After="Sat, 20 Jan 2024 08:00:31 GMT"),
        3: refused(429, Retry_After="Sat, 20 Jan 2024 07:00:00 GMT"),
    }
    assert len(read(reading(server, "page", waits))) == 2
    assert waits.seconds == [7, 31, 0]


def test_a_wait_that_is_too_long_ends_the_reading(server: RestServer) -> None:
    waits = Waits()
    server.faults = {1: refused(429, Retry_After="86400")}
    with pytest.raises(ExtractionError, match=r"answers 429 .*asks to wait 86400 s.*run again"):
        read(reading(server, "page", waits))
    assert waits.seconds == []
    assert len(server.calls) == 1


def test_a_server_that_goes_on_failing_is_given_up(server: RestServer) -> None:
    server.faults = dict.fromkeys(range(1, 99), refused(502))
    with pytest.raises(ExtractionError, match=r"/orders answers 502 Bad Gateway, 4 times in a row"):
        read(reading(server, "link"))
    assert len(server.calls) == 4


def test_one_attempt_is_not_counted(server: RestServer) -> None:
    server.faults = {1: refused(503)}
    with pytest.raises(ExtractionError, match=r"answers 503 Service Unavailable\. Next: run again"):
        read(reading(server, "link", max_retries=0))


def test_a_server_that_stays_silent_is_given_up(server: RestServer) -> None:
    server.faults = dict.fromkeys(range(1, 3), SILENCE)
    with pytest.raises(ExtractionError, match=r"does not answer within 0\.05 s, 2 times in a row"):
        read(reading(server, "link", timeout_s=0.05, max_retries=1))


def test_a_server_that_is_not_there_is_named() -> None:
    with rest_server() as gone:
        what = reading(gone, "page")
    with pytest.raises(ExtractionError, match=r"127\.0\.0\.1:\d+/orders: .*4 times in a row"):
        read(what)


def test_the_breaker_ends_calls_to_a_server_that_fails_for_all(server: RestServer) -> None:
    server.faults = dict.fromkeys(range(1, 99), refused(500))
    breaker = server_breaker("127.0.0.1", 6)
    for _ in range(3):
        with pytest.raises(ExtractionError):
            read(reading(server, "page", breaker=breaker))
    assert len(server.calls) == 6


def test_patience_that_is_asked_for_opens_no_circuit(server: RestServer) -> None:
    server.routes["/orders"] = by_page(records(3), 9)
    server.faults = dict.fromkeys(range(1, 4), refused(429, Retry_After="1"))
    assert len(read(reading(server, "page", breaker=server_breaker("x", 1)))) == 2


def test_no_more_calls_are_made_than_the_limit_allows(server: RestServer) -> None:
    now, waits = [0.0], list[float]()

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    server.routes["/orders"] = by_link(records(11), 1)
    pace = Pace(4, 60, clock=lambda: now[0], sleep=sleep)
    assert len(read(reading(server, "link", pace=pace))) == 10
    assert len(server.calls) == 10
    assert round(sum(waits)) == 120  # 4, 4 and 2 of them


# --- what no second attempt cures ------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (HTML, r"answers with a web page, where JSON is wanted\. Next: correct url"),
        (Answer(b"<h1>hi</h1>"), "answers with a web page"),
        (refused(401), r"answers 401 Unauthorized: .*not now.*Next: the credentials are wrong or "
         "have expired: renew them and set TOKEN"),
        (refused(403), r"403 Forbidden.* right to read this"),
        (refused(404), r"404 Not Found.*Next: correct url"),
        (refused(400), r"400 Bad Request.*not now.*correct url, params or since"),
        (refused(301, Location="https://login.example.com/?next=1"),
         r"answers 301 Moved Permanently, to https://login\.example\.com/\. Next: set url"),
        (as_json({"error": "expired"}),
         r"page 1 of .* has no 'results'; found error\. Next: set records"),
        (as_json({"results": {"id": 1}}), "has no 'results'"),
        (as_json("ok"), "has no 'results'"),
        (Answer(b'{"results": ' + b"[" * 99_999 + b"]" * 99_999 + b"}"), "nested too deeply"),
        (Answer(b'{"results": ["\xe4"]}'), "no UTF-8"),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_one_clear_line(server: RestServer, answer: Answer, said: str) -> None:
    server.faults = {1: answer}
    credentials = credentials_of(Auth(setting="TOKEN"), lambda _: SecretStr("s3cr3t"))
    with pytest.raises(ExtractionError, match=said) as caught:
        read(reading(server, "page", credentials=credentials))
    assert len(server.calls) == 1
    assert "\n" not in str(caught.value)


def test_a_token_that_expires_on_the_way_ends_the_reading(server: RestServer) -> None:
    server.routes["/orders"] = by_link(records(9), 2)
    server.faults = {3: refused(401)}
    with pytest.raises(ExtractionError, match="it wants credentials"):
        read(reading(server, "link"))


@pytest.mark.parametrize("kind", ["page", "offset"])
def test_a_server_that_ignores_the_page_is_noticed(server: RestServer, kind: str) -> None:
    server.routes["/orders"] = lambda _: as_json({"results": records(4)})
    with pytest.raises(ExtractionError, match=r"page 2 .* has the records of page 1 once more"):
        read(reading(server, kind))


def test_a_page_that_leads_to_itself_is_noticed(server: RestServer) -> None:
    link = {"Link": f'<{server.url}/orders>; rel="next"'}
    server.routes["/orders"] = lambda _: as_json([], **link)
    with pytest.raises(ExtractionError, match=r"page 2 .* leads back to a page that was read"):
        read(reading(server, "link"))


def test_pages_without_an_end_are_given_up(server: RestServer) -> None:
    server.routes["/orders"] = lambda asked: as_json({"results": [{"id": asked.params["page"]}]})
    what = reading(server, "page")
    few = RestReading(what.access, what.request, Paging(kind="page", most_pages=5), "results")
    with pytest.raises(ExtractionError, match="more than 5 pages"):
        read(few, ("id",))


@pytest.mark.parametrize(
    "link",
    [
        "https://127.0.0.1/next",
        "http://evil.example.com/next",
        "//evil.example.com/",
        "http://x:y/",
    ],
)
def test_no_other_server_is_asked(server: RestServer, link: str) -> None:
    server.routes["/orders"] = lambda _: as_json(records(2), Link=f'<{link}>; rel="next"')
    with pytest.raises(ExtractionError, match="another server than the first"):
        read(reading(server, "link"))
    assert len(server.calls) == 1


def test_a_relative_link_is_followed(server: RestServer) -> None:
    server.routes["/orders"] = lambda _: as_json(records(2), Link='</more?a=1>; rel="next"')
    server.routes["/more"] = lambda _: as_json(records(3)[1:])
    assert [row[0] for row in read(reading(server, "link"))] == ["1", "2"]


def test_a_page_that_is_too_large_is_refused(
    server: RestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.sources.rest.client.MOST_BODY_BYTES", 100)
    server.routes["/orders"] = by_link(records(99), 50)
    with pytest.raises(ExtractionError, match="ask for fewer records per page"):
        read(reading(server, "link"))


# --- credentials -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("auth", "header", "param"),
    [
        (Auth(setting="TOKEN"), ("Authorization", "Bearer s3cr3t"), None),
        (Auth(kind="basic", username_setting="USER", setting="TOKEN"),
         ("Authorization", "Basic bWU6czNjcjN0"), None),
        (Auth(kind="header", name="X-Key", setting="TOKEN"), ("X-Key", "s3cr3t"), None),
        (Auth(kind="query", name="key", setting="TOKEN"), None, "s3cr3t"),
    ],
)  # fmt: skip
def test_credentials_go_with_every_call_and_are_never_shown(
    server: RestServer, auth: Auth, header: tuple[str, str] | None, param: str | None,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level("DEBUG")
    credentials = credentials_of(
        auth, lambda name: SecretStr({"TOKEN": "s3cr3t", "USER": "me"}[name])
    )
    server.routes["/orders"] = by_link(records(4), 2)
    server.faults = {2: refused(503), 3: Answer(b'{"a": "s3cr3t is wrong"}', 400)}
    what = reading(server, "link", credentials=credentials)
    with pytest.raises(ExtractionError, match=r"\*\*\* is wrong") as caught:
        read(what)
    for call in server.calls:
        assert header is None or call.headers[header[0]] == header[1]
        assert call.params.get("key") == param
    shown = f"{caught.value}{caplog.text}{what}{what.question()}{what.place}"
    assert "s3cr3t" not in shown and "bWU6" not in shown


# --- shapes ----------------------------------------------------------------------------------


def test_a_field_that_vanishes_on_a_later_page_ends_the_reading(server: RestServer) -> None:
    changed = [{"id": 9, "amount": "1", "customer": {"id": "C1"}}]
    server.routes["/orders"] = by_link([*records(5), *changed], 2)
    said = r"no record of page 3 .*has total, and every .* before had it: .* found amount, cust"
    with pytest.raises(ValidationError, match=said):
        read(reading(server, "link"))


def test_a_field_that_only_some_records_have_may_be_missing(server: RestServer) -> None:
    some: list[Any] = [{"id": 8}, {"id": 9, "total": None}, {"id": 10}, {"id": 11}]
    server.routes["/orders"] = by_link([*records(2), *some], 2)
    found = [row[1] for row in read(reading(server, "link"))]
    assert found == ["1.50", None, None, None, None]


def test_a_field_that_no_record_has_is_named_with_what_there_is(server: RestServer) -> None:
    server.routes["/orders"] = by_link(records(3), 9)
    with pytest.raises(
        ValidationError, match=r"no record of .* has sum; found customer, id, total"
    ):
        read(reading(server, "link"), ("id", "sum"))


def test_numbers_are_exact_and_odd_records_are_rejected_one_by_one(server: RestServer) -> None:
    body = (
        b'[{"id": 12345678901234567890, "total": 1.10}, {"id": 2, "total": 1.005E+2},'
        b' {"id": {"$oid": "x"}, "total": 1}, "text", {"id": 5, "total": "\\ud83d"},'
        b' {"id": true, "total": null}]'
    )
    server.routes["/orders"] = lambda _: Answer(body)
    (block,) = read_rest(reading(server, "link"), ("id", "total"))
    assert block.records.to_pylist() == [
        {"source_row": 1, "id": "12345678901234567890", "total": "1.10"},
        {"source_row": 2, "id": "2", "total": "100.5"},
        {"source_row": 6, "id": "true", "total": None},
    ]
    reasons = [(r["source_row"], r["reason"]) for r in block.rejected.to_pylist()]
    assert reasons == [
        (3, "id must be a single value"),
        (4, "a record must be an object"),
        (5, "total must not hold half a surrogate pair"),
    ]


def test_a_record_of_each_item(server: RestServer) -> None:
    orders = [
        {"id": 1, "lines": [{"sku": "a"}, {"sku": "b"}]}, {"id": 2, "lines": []},
        {"id": 3, "lines": [{"sku": "c"}]}, {"id": 4, "lines": "none"},
    ]  # fmt: skip
    server.routes["/orders"] = by_link(orders, 3)
    what = reading(server, "link")
    form = RecordForm({"sku": "lines.sku"}, each="lines")
    each = RestReading(what.access, what.request, what.paging, "", form)
    assert read(each, ("id", "sku")) == [("1", "a"), ("1", "b"), ("3", "c")]


def test_pages_are_put_together_to_blocks(
    server: RestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.sources.rest.reader.BLOCK_ROWS", 5)
    server.routes["/orders"] = by_link(records(12), 2)
    blocks = [block.records.num_rows for block in read_rest(reading(server, "link"), COLUMNS)]
    assert blocks == [6, 5]

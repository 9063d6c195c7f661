"""An interface read page by page as blocks, from its first page to its last."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from etl.errors import ExtractionError, ValidationError
from etl.rejects import one_block, reject_block
from etl.rules.blocks import Block
from etl.settings.rest_options import Paging, Since
from etl.sources.files import FileTrace
from etl.sources.rest.client import Access, Page, Request, open_client
from etl.sources.rest.paging import first_request, next_request
from etl.sources.rest.paths import look_up
from etl.sources.rest.records import Flattener, RecordForm, exploded
from etl.sources.window import EVERYTHING, Window

# Records per block: pages are small, and a block costs the rules as much as thousands of records.
BLOCK_ROWS = 10_000


@dataclass(frozen=True)
class RestReading:
    """How an interface is read.

    Attributes:
        access: how its server is asked.
        request: what is asked for, without what asks for a page.
        paging: how one page leads to the next.
        records: path of the records in a page; empty: the page is the list.
        form: how columns are found in a record.
        since: how it is asked for what is new; None: it gives everything.
        zone: of the times in a window.
    """

    access: Access
    request: Request
    paging: Paging = field(default_factory=Paging)
    records: str = ""
    form: RecordForm = field(default_factory=RecordForm)
    since: Since | None = None
    zone: str = "UTC"

    @property
    def place(self) -> str:
        """Where it is, without anything secret."""
        return self.request.place

    def question(self, window: Window = EVERYTHING) -> str:
        """Return what is asked for, without anything secret, for the lineage."""
        asked = first_request(self.paging, self._asked(window)).params
        return "&".join(f"{name}={value}" for name, value in asked.items())

    def _asked(self, window: Window) -> Request:
        params = dict(self.request.params)
        if self.since is not None:
            beyond = _SECOND if self.since.exclusive else timedelta(0)
            if window.start > EVERYTHING.start + _SECOND:
                start = window.start - beyond
                params[self.since.param] = _cursor_text(self.since, start, self.zone)
            if window.end < EVERYTHING.end - _SECOND and self.since.until_param:
                end = window.end + max(beyond, _rest_of_second(window.end))
                params[self.since.until_param] = _cursor_text(self.since, end, self.zone)
        return replace(self.request, params=params)

    def first(self, window: Window) -> Request:
        """Return the request for the first page of a window."""
        return first_request(self.paging, self._asked(window))


_SECOND = timedelta(seconds=1)


def _rest_of_second(moment: datetime) -> timedelta:
    """What is missing to the next whole second, to which a moment is asked for."""
    return _SECOND if moment.microsecond else timedelta(0)


def _cursor_text(since: Since, moment: datetime, zone: str) -> str:
    at = moment.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    if since.format == "unix":
        return str(int(at.timestamp()))
    return at.strftime("%Y-%m-%d" if since.format == "date" else "%Y-%m-%dT%H:%M:%SZ")


def read_rest(
    reading: RestReading,
    columns: Sequence[str],
    window: Window = EVERYTHING,
    *,
    trace: FileTrace | None = None,
) -> Iterator[Block]:
    """Read an interface as a stream of blocks.

    Args:
        reading: how it is read.
        columns: those that are wanted, the key first.
        window: of the records that are asked for, where it can be asked.
        trace: is filled with the size and the SHA-256 of all bodies.

    Raises:
        ConfigurationError: the libraries are not installed.
        ExtractionError: a page does not come, or comes again and again.
        ValidationError: the answers have another shape.
    """
    flattener, row, waiting = Flattener(columns, reading.form, reading.place), 1, _Waiting(columns)
    for page in read_pages(reading, window, trace=trace):
        records = exploded(page, reading.form.each)
        if not records:
            continue
        waiting.blocks.append(flattener.block(records, row))
        row += len(records)
        if waiting.rows >= BLOCK_ROWS:
            yield waiting.taken()
    if waiting.blocks:
        yield waiting.taken()


class _Waiting:
    """Blocks of single pages that wait to be one of many."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.blocks: list[Block] = []
        self._columns = tuple(columns)

    @property
    def rows(self) -> int:
        return sum(block.examined for block in self.blocks)

    def taken(self) -> Block:
        blocks, self.blocks = self.blocks, []
        table = pa.Table.from_batches([block.records for block in blocks]).combine_chunks()
        records = (table.to_batches() or [blocks[0].records])[0]
        rejected = [block.rejected for block in blocks if block.rejected.num_rows]
        none = reject_block(self._columns, [])
        return Block(records, one_block(rejected) if rejected else none,
                     sum(block.examined for block in blocks))  # fmt: skip


def read_pages(
    reading: RestReading, window: Window = EVERYTHING, *, trace: FileTrace | None = None
) -> Iterator[list[Any]]:
    """Yield the records of each page as they stand there.

    Args:
        reading: how the interface is read.
        window: of the records that are asked for, where it can be asked.
        trace: is filled with the size and the SHA-256 of all bodies.

    Raises:
        ExtractionError: a page does not come, or comes again and again.
        ValidationError: the records are not where they should be.
    """
    seen, digest, size = _Seen(reading), hashlib.sha256(), 0
    request: Request | None = reading.first(window)
    with open_client(reading.access, reading.request.url) as client:
        while request is not None:
            seen.require_new(request)
            page = client.get(request)
            digest.update(page.body)
            size += len(page.body)
            records = _records_of(page, reading.records, seen.pages)
            seen.require_new_records(records)
            yield records
            request = next_request(reading.paging, page, records)
    if trace is not None:
        trace.bytes, trace.sha256 = size, digest.hexdigest()


def _records_of(page: Page, path: str, number: int) -> list[Any]:
    if page.document is None:
        return []
    found = look_up(page.document, path)
    if isinstance(found, list):
        return found
    names = ", ".join(page.document) if isinstance(page.document, dict) else "no object"
    where = f"{path!r}" if path else "a list of records"
    raise ValidationError(
        f"page {number} of {page.request.place} has no {where}; found {names[:200]}",
        next_step="set records of the source to the member that holds the list",
    )


class _Seen:
    """Which pages have come, so that a server that repeats itself is noticed."""

    def __init__(self, reading: RestReading) -> None:
        self.pages = 0
        self._reading = reading
        self._requests: set[int] = set()
        self._contents: dict[int, int] = {}

    def require_new(self, request: Request) -> None:
        self.pages += 1
        most = self._reading.paging.most_pages
        if self.pages > most:
            raise ExtractionError(
                f"{self._reading.place} has more than {most:,} pages",
                next_step="ask for more records per page, or set paging.most_pages",
            )
        asked = hash((request.url, *sorted(request.params.items())))
        if asked in self._requests:
            raise self._repeated("leads back to a page that was read before")
        self._requests.add(asked)

    def require_new_records(self, records: Sequence[Any]) -> None:
        if not records:
            return
        content = hash((repr(records[0]), repr(records[-1]), len(records)))
        with suppress(KeyError):
            before = self._contents[content]
            raise self._repeated(f"has the records of page {before} once more")
        self._contents[content] = self.pages

    def _repeated(self, what: str) -> ExtractionError:
        return ExtractionError(
            f"page {self.pages} of {self._reading.place} {what}; nothing was loaded",
            next_step="correct paging of the source: its kind and param, or set more to the member "
            "that says whether another page follows",
        )

"""An interface as `pipeline.toml` declares it, by itself or as one of the shops that are known."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from etl.errors import ConfigurationError
from etl.rules.blocks import Block
from etl.rules.dates import DateReading, read_timestamps
from etl.schema.source_columns import KEPT_AS
from etl.settings.config import Config
from etl.settings.pipeline_file import SourceOptions, texts_of
from etl.sources.files import FileTrace
from etl.sources.rest.client import Access, Request, server_breaker
from etl.sources.rest.credentials import Find, credentials_of
from etl.sources.rest.pace import shared_pace
from etl.sources.rest.reader import RestReading, read_pages, read_rest
from etl.sources.rest.records import RecordForm, exploded, flat_names
from etl.sources.rest.shops import SHOPS, Feeding, Resource, Shop, feeding_of, resource_of
from etl.sources.watch import Watch
from etl.sources.window import EVERYTHING, AnyWindow, Window


@dataclass(frozen=True)
class RestRecords:
    """Records of an interface, columns of text.

    Attributes:
        source: the built-in source that it feeds; empty: a load of one's own.
        cursor: the column of time by which records are new; empty: there is none.
    """

    reading: RestReading
    source: str = ""
    cursor: str = ""
    trace: FileTrace = field(default_factory=FileTrace)

    @property
    def place(self) -> str:
        """Where they are, without anything secret."""
        return self.reading.place

    def asked(self, window: AnyWindow) -> str:
        """Return what is asked for, without anything secret."""
        return self.reading.question(_of_times(window))

    def first_page(self) -> int:
        """Ask for the first page, once, and return how many records are in it."""
        access = replace(self.reading.access, max_retries=0)
        return len(next(read_pages(replace(self.reading, access=access)), []))

    def lacking(self, texts: Mapping[str, str]) -> "RestRecords":
        """Return the same records, of which some columns may be missing.

        Args:
            texts: by column, what stands in its place; what was declared for it wins.
        """
        form = self.reading.form
        form = replace(form, defaults={**texts, **form.defaults})
        return replace(self, reading=replace(self.reading, form=form))

    def names(self) -> tuple[str, ...]:
        """Return the names of the single values in the first records, points before nested ones."""
        for page in read_pages(self.reading):
            records = exploded(page, self.reading.form.each)
            found = dict.fromkeys(name for record in records for name in flat_names(record))
            return tuple(dict.fromkeys((*found, *self.reading.form.paths.values())))
        return ()

    def blocks(self, columns: Sequence[str], window: AnyWindow, watch: Watch) -> Iterator[Block]:
        """Read columns, block by block; the records of the window alone.

        The interface is asked for them as far as it can be; what it gives besides, such as those
        of the same second, is left out by the cursor.
        """
        watch.begin()
        times = _of_times(window)
        for block in read_rest(self.reading, columns, times, trace=self.trace):
            yield self._within(block, times) if self.cursor in columns else block

    def _within(self, block: Block, window: Window) -> Block:
        """Of a block the records of the window, and those whose cursor cannot be read."""
        if window == EVERYTHING:
            return block
        times = read_timestamps(block.records.column(self.cursor), DateReading(zone=self.zone))
        start, end = (pa.scalar(end, times.type) for end in (window.start, window.end))
        within = pc.and_(pc.greater_equal(times, start), pc.less_equal(times, end))
        return replace(block, records=block.records.filter(pc.fill_null(within, True)))

    @property
    def zone(self) -> str:
        """The zone of the times of a window."""
        return self.reading.zone

    def originals(self, losers: pa.Table, columns: Sequence[str]) -> pa.Table:
        """Return staged records; an interface cannot be asked again for the same ones."""
        kept_as = KEPT_AS.get(self.source, {})
        rows = {name: losers[kept_as.get(name, name)].cast(pa.string()) for name in columns}
        return pa.table({"source_row": losers["source_row"], **rows})


def _of_times(window: AnyWindow) -> Window:
    """The window; an interface is not asked by numbers, but for everything."""
    return window if isinstance(window, Window) else EVERYTHING


def rest_records(
    options: SourceOptions, config: Config, source: str = "", *, cursor: str = ""
) -> RestRecords:
    """Return the records of an interface that is declared.

    Args:
        options: its declaration.
        config: the settings, which hold its credentials.
        source: the built-in source that it feeds; empty: a load of one's own.
        cursor: the column of time by which records are new; empty: there is none.

    Raises:
        ConfigurationError: the declaration or the settings lack something.
    """
    zone = options.time_zone or config.processing.source_time_zone
    reading = declared_reading(options, source)
    processing, server = config.processing, urlsplit(reading.request.url).hostname or ""
    breaker = server_breaker(
        server, processing.breaker_failure_threshold, processing.breaker_recovery_seconds
    )
    access = declared_access(options, reading.request.url, config.secret)
    access = replace(
        access, max_retries=processing.max_retries, breaker=breaker,
        backoff_factor=processing.retry_backoff_factor,
    )  # fmt: skip
    return RestRecords(replace(reading, access=access, zone=zone), source, cursor)


def statuses_of(options: SourceOptions) -> tuple[str, ...]:
    """Return the statuses of the sales that are loaded from a shop; empty: not said."""
    if options.type not in SHOPS or options.statuses:
        return options.statuses or ()
    return feeding_of(options.type, "sales").statuses


def declared_access(options: SourceOptions, url: str, find: Find) -> Access:
    """Return how the server of an interface is asked: credentials, pace and patience.

    Args:
        options: its declaration.
        url: its address.
        find: returns the value of a setting.

    Raises:
        ConfigurationError: a setting has no value.
    """
    shop, server = SHOPS.get(str(options.type)), urlsplit(url)
    auth = options.auth or (shop.auth if shop else None)
    limit = options.rate_limit or (shop.rate_limit if shop else None)
    pace = shared_pace(server.netloc, limit.calls, limit.seconds) if limit else None
    return Access(credentials_of(auth, find), options.timeout_seconds, pace=pace)


def declared_reading(options: SourceOptions, source: str = "") -> RestReading:
    """Return what an interface is asked for, without the access to it.

    Args:
        options: its declaration.
        source: the built-in source that it feeds; empty: a load of one's own.

    Raises:
        ConfigurationError: the declaration lacks something.
    """
    if options.type in SHOPS:
        return _of_shop(SHOPS[options.type], options, source)
    return _reading(options, Resource(""), None)


def _of_shop(shop: Shop, options: SourceOptions, source: str) -> RestReading:
    kind = str(options.type)
    feeding = feeding_of(kind, source) if source else None
    name = options.resource or (feeding.resource if feeding else "")
    if not name:
        raise ConfigurationError(f"{kind} needs resource", choices=", ".join(shop.resources))
    resource = resource_of(kind, name)
    url = f"{(options.url or shop.url).rstrip('/')}{resource.path}"
    paging = shop.paging.model_copy(update=_given(options.paging))
    whole = options.model_copy(update={"url": url, "paging": paging})
    return _reading(whole, resource, feeding if feeding and feeding.resource == name else None)


def _given(part: object) -> dict[str, object]:
    names: set[str] = getattr(part, "model_fields_set", set())
    return {name: getattr(part, name) for name in names}


def _reading(options: SourceOptions, resource: Resource, feeding: Feeding | None) -> RestReading:
    params = {**resource.params, **texts_of(options.params)}
    usual = feeding.since if feeding and feeding.since else resource.since
    return RestReading(
        Access(), Request(str(options.url), params), options.paging,
        options.records or resource.records, _form(options, feeding), options.since or usual,
    )  # fmt: skip


def _form(options: SourceOptions, feeding: Feeding | None) -> RecordForm:
    own = RecordForm(
        {column: path for path, column in options.rename.items()}, options.each, options.values,
        texts_of(options.defaults),
    )  # fmt: skip
    if feeding is None:
        return own
    return RecordForm(
        _over(feeding.paths, own.paths), own.each or feeding.each,
        _over(feeding.values, own.values), _over(feeding.defaults, own.defaults),
    )  # fmt: skip


def _over(usual: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    return {**usual, **own}

"""Sales that come as texts: the query's conditions over whole blocks."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from etl.rejects import MISSING, UNREADABLE, one_block, reject_block
from etl.rules import columns as field_rules
from etl.rules.blocks import Block
from etl.rules.checks import SERIAL
from etl.rules.dates import looks_like_serial, read_timestamps
from etl.rules.texts import is_null_word
from etl.schema.source_columns import SALES_COLUMNS
from etl.sources.sales_reading import ReadTexts, SalesReading, no_rejects
from etl.sources.watch import Watch
from etl.sources.window import Window


class SalesTexts:
    """Sales as texts: those of the window that count, and how many of it do not."""

    def __init__(self, read: ReadTexts, window: Window, reading: SalesReading) -> None:
        self.read, self.window, self.reading = read, window, reading
        self.watch = reading.watch or Watch()
        self._statuses = pa.array(sorted(reading.wanted), pa.string())

    def blocks(self) -> Iterator[Block]:
        """Their blocks, each oldest first, with timestamps."""
        self.watch.begin()
        for block in self.read():
            yield from self._chosen(block)
        self.watch.end_dates("transaction_date")

    def _chosen(self, block: Block) -> Iterator[Block]:
        status = field_rules.clean_text(block.records.column("status"))
        counts = pc.is_in(pc.utf8_lower(status), value_set=self._statuses)
        dates = self._dates(block.records.column("transaction_date"))
        within = self._in_window(dates)
        self._leave_out(status.filter(pc.and_not(within, counts)))
        undated = _undated(block.records, pc.and_(counts, pc.is_null(dates)))
        records = _dated(block.records, dates, pc.and_(within, counts))
        rejected = one_block([block.rejected, undated])
        return _parts(replace(block, records=records, rejected=rejected), self.reading.chunk_rows)

    def _dates(self, texts: pa.Array) -> pa.Array:
        nulls = is_null_word(texts, self.reading.null_words)
        texts = pc.if_else(nulls, "", texts) if nulls.true_count else texts
        self.watch.see_dates("transaction_date", texts)
        return read_timestamps(texts, self.watch.dates)

    def _in_window(self, dates: pa.Array) -> pa.Array:
        start, end = (pa.scalar(end, dates.type) for end in (self.window.start, self.window.end))
        within = pc.and_(pc.greater_equal(dates, start), pc.less_equal(dates, end))
        return pc.fill_null(within, False)

    def _leave_out(self, statuses: pa.Array) -> None:
        for entry in statuses.value_counts().to_pylist():
            self.reading.leave_out(entry["values"], entry["counts"])


def _dated(records: pa.RecordBatch, dates: pa.Array, chosen: pa.Array) -> pa.RecordBatch:
    """The chosen records without their status, by date and then as they were read."""
    names = [name for name in records.schema.names if name != "status"]
    values = {name: records.column(name) for name in names} | {"transaction_date": dates}
    found = pa.RecordBatch.from_pydict(values).filter(chosen)
    found = found.select(_in_order(names))
    return found.take(pc.sort_indices(found.column("transaction_date")))


def _in_order(names: Sequence[str]) -> list[str]:
    known = ("source_row", *SALES_COLUMNS)
    return [*known, *(name for name in names if name not in known)]


def _parts(block: Block, chunk_rows: int) -> Iterator[Block]:
    """A block in parts of so many records; what was rejected and examined is in the first."""
    rest = block
    for start in range(0, block.records.num_rows, chunk_rows):
        yield replace(rest, records=block.records.slice(start, chunk_rows))
        rest = replace(rest, rejected=no_rejects(), examined=0)
    if rest.examined:  # nothing of it is wanted
        yield rest


def _undated(records: pa.RecordBatch, undated: pa.Array) -> pa.RecordBatch:
    found = records.filter(undated).select(["source_row", *SALES_COLUMNS])
    serial = looks_like_serial(found.column("transaction_date")).to_pylist()
    rows = zip(found.to_pylist(), serial, strict=True)
    return reject_block(SALES_COLUMNS, [_undated_row(*each) for each in rows])


_NO_DATE = (
    "is no date, so no window holds it; write YYYY-MM-DD or YYYY-MM-DD HH:MM:SS, or fix the order "
    "of day and month with date_order"
)


def _undated_row(row: dict[str, Any], serial: bool) -> dict[str, object]:
    value = row["transaction_date"]
    return row | {
        "record_key": row["transaction_id"].strip(),
        "error_class": UNREADABLE if value.strip() else MISSING,
        "field": "transaction_date",
        "value": value[:200],
        "reason": f"transaction_date {SERIAL if serial else _NO_DATE}",
    }

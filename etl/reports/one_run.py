"""What the page shows of one run: what to know, main figures, ways of the records, checks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from statistics import median

from markupsafe import Markup

from etl.history.judged import Anomaly, Check
from etl.history.outcomes import Reason, TableCounts
from etl.history.summary import RunSummary
from etl.history.traced import Lineage
from etl.reports.charts import flow, share_bar
from etl.reports.headline import (
    BAD,
    IDLE,
    WARN,
    broken_checks,
    headline,
    judged_checks,
    state_of_load,
)
from etl.reports.page import NOTHING, rows_words, shortened
from etl.reports.trends import RECENT_RUNS, Runs, recent_rated, success_rate, usual
from etl.words import (
    UNKNOWN,
    bytes_words,
    count_words,
    counted,
    instant_words,
    percent_words,
    seconds_words,
)

_MOST_TABLES = 12
_MOST_NOTES = 20
_MOST_REASONS = 20
_SHORT_NAME = 60
_SHORT_HASH = 12

# What a record can come to: name of its count, word, colour.
_FATES = (
    ("rows_inserted", "inserted", "f-inserted"),
    ("rows_updated", "updated", "f-updated"),
    ("rows_unchanged", "unchanged", "f-unchanged"),
    ("rows_rejected", "rejected", "f-rejected"),
    ("rows_duplicate", "duplicates", "f-duplicate"),
    ("rows_superseded", "superseded", "f-idle"),
    ("rows_removals", "gone", "f-plain"),
)
# Counts outside the balance of a run, shown where there are any.
_EXTRAS = (
    ("rows_inferred", "placeholders for keys that sales name"),
    ("rows_restated", "restated"),
    ("rows_vanished", "vanished from the source"),
    ("rows_removed", "removed"),
)


@dataclass(frozen=True)
class Note:
    """One thing to know about a run; `link` is the part of the page that has more of it."""

    state: str
    text: str
    link: str = ""


@dataclass(frozen=True)
class Fact:
    """One main figure, with what to compare it with."""

    name: str
    value: str
    detail: str


# --- what to know ----------------------------------------------------------------------------


def notes(run: RunSummary) -> list[Note]:
    """Return what a person has to look at, each message once.

    The messages of checks stand with the checks.
    """
    broken = broken_checks(run.checks)
    found = [*_messages(run, broken), *_of_checks(broken), *map(_unusual, run.anomalies)]
    return list(dict.fromkeys(found))[:_MOST_NOTES]


def _of_checks(broken: Sequence[Check]) -> Iterator[Note]:
    if broken:
        names = ", ".join(shortened(check.name, _SHORT_NAME) for check in broken[:_MOST_TABLES])
        words = f"{counted(len(broken), 'check')} to look at: {names}"
        yield Note(BAD if broken[0].failed else WARN, words, link="quality")


def _messages(run: RunSummary, broken: Sequence[Check]) -> Iterator[Note]:
    state = headline(run).state
    if run.error and not any(source.message for source in run.failed_sources):
        yield Note(state if state in (BAD, IDLE) else WARN, run.error)
    for source in run.failed_sources:
        if source.message:
            yield Note(state_of_load(source.status), source.named_message)
    said = [run.error, *(source.message for source in run.failed_sources)]
    said += [check.message for check in broken]
    for line in run.attention:
        if not any(words and words in line for words in said):
            yield Note(WARN, line)


def _unusual(found: Anomaly) -> Note:
    where = f" in {shortened(found.table, _SHORT_NAME)}" if found.table else ""
    kind = shortened(found.kind.replace("_", " "), _SHORT_NAME)
    return Note(WARN, f"Unusual {kind}{where}: {found.message}")


# --- its main figures ------------------------------------------------------------------------


def facts(run: RunSummary, runs: Runs) -> list[Fact]:
    """Return the main figures of a run, compared with those before."""
    middle = usual(runs, run, attrgetter("seconds"))
    took = Fact("Took", seconds_words(run.seconds), _usually(middle, seconds_words))
    loads = _load_facts(run, runs) if run.has_loads else [_last_load_fact(runs)]
    return [_rate_fact(runs), took, *loads]


def _rate_fact(runs: Runs) -> Fact:
    recent = recent_rated(runs)
    clean = sum(run.status == "success" for run in recent)
    detail = f"{clean} clean of the last {len(recent)}" if recent else "no run counts yet"
    return Fact("Success rate", percent_words(success_rate(runs)), detail)


def _usually(middle: float | None, say: Callable[[float], str]) -> str:
    return f"usually {say(middle)}" if middle is not None else "no earlier run like it"


def _load_facts(run: RunSummary, runs: Runs) -> list[Fact]:
    read, rejected = run.total("rows_read"), run.total("rows_rejected")
    middle = usual(runs, run, lambda one: one.total("rows_read"))
    share = rejected / read if read and rejected is not None else None
    new, changed = run.total("rows_inserted"), run.total("rows_updated")
    written = new + changed if new is not None and changed is not None else None
    detail = f"{count_words(new)} new, {count_words(changed)} changed"
    return [
        Fact("Records read", count_words(read), _usually(middle, rows_words)),
        Fact("Rows written", count_words(written), detail),
        Fact("Rejected", count_words(rejected), f"{percent_words(share)} of what was read"),
        _checks_fact(run),
    ]


def _checks_fact(run: RunSummary) -> Fact:
    judged, broken = len(judged_checks(run.checks)), len(broken_checks(run.checks))
    if not judged:
        return Fact("Checks passed", UNKNOWN, "none was run")
    detail = f"{count_words(broken)} to look at" if broken else "all of them"
    return Fact("Checks passed", f"{judged - broken} of {judged}", detail)


def _last_load_fact(runs: Runs) -> Fact:
    loaded = last_load(runs)
    if loaded is None:
        return Fact("Last load", "none", "no run so far has loaded anything")
    day, _, hour = instant_words(loaded.started_at).partition(" ")
    return Fact("Last load", day, f"{hour} UTC, {shortened(loaded.status, _SHORT_NAME)}")


def last_load(runs: Runs) -> RunSummary | None:
    """Return the latest run that says what it did to the tables."""
    return next((run for run in reversed(runs) if run.has_loads), None)


# --- the ways of its records -----------------------------------------------------------------


@dataclass(frozen=True)
class End:
    """Records that ended alike: how many, in which colour, and the height of their lane."""

    rows: int
    word: str
    colour: str
    height: float = 0.0


@dataclass(frozen=True)
class Origin:
    """A file or a query that records came from."""

    name: str
    details: str


@dataclass(frozen=True)
class Route:
    """The way of the records of one table, from their sources to their ends."""

    sources: str
    table: str
    status: str
    state: str
    took: float | None
    origins: tuple[Origin, ...]
    picture: Markup
    ends: tuple[End, ...]
    extras: str
    remarks: tuple[str, ...] = ()


def routes(run: RunSummary) -> list[Route]:
    """Return the way of the records into each table, in the order of the sources."""
    order = {one.target: index for index, one in reversed(list(enumerate(run.lineage)))}
    traced = sorted(run.lineage, key=lambda one: (order[one.target], one.target))
    groups = [(name, list(group)) for name, group in groupby(traced, attrgetter("target"))]
    return [
        replace(_route(group, run.table(name)), remarks=tuple(_remarks(run, name)))
        for name, group in groups[:_MOST_TABLES]
    ]


def _remarks(run: RunSummary, table: str) -> Iterator[str]:
    """What the sources of a table were like, and what of it a person should look at."""
    for source in run.sources:
        if source.table != table:
            continue
        if source.unchanged_since:
            since = shortened(source.unchanged_since, _SHORT_NAME)
            yield f"The same file as run {since} loaded, so nothing of it was loaded again."
        if source.skipped:
            listed = [f"{count_words(n)} {name}" for name, n in source.skipped.items()]
            yield f"Left out for their status: {', '.join(listed[:_MOST_TABLES])}."
        if source.found:
            yield f"Found: {', '.join(source.found[:_MOST_TABLES])}."
        yield from source.warnings[:_MOST_TABLES]


def _route(traced: Sequence[Lineage], loaded: TableCounts | None) -> Route:
    ends = _ends(traced, loaded)
    drawn = flow([(end.colour, end.rows) for end in ends])
    heights = zip(ends, drawn.lanes, strict=True)
    status = loaded.status if loaded else UNKNOWN
    return Route(
        sources=", ".join(dict.fromkeys(shortened(one.source, _SHORT_NAME) for one in traced)),
        table=traced[0].target,
        status=status,
        state=IDLE if status == UNKNOWN else state_of_load(status),
        took=loaded.seconds if loaded else None,
        origins=tuple(map(_origin, traced[:_MOST_TABLES])),
        picture=drawn.picture if ends else NOTHING,
        ends=tuple(End(end.rows, end.word, end.colour, height) for end, height in heights),
        extras=_extras(loaded),
    )


def _ends(traced: Sequence[Lineage], loaded: TableCounts | None) -> list[End]:
    """How all records that were read ended; those of a source that is not loaded too."""
    ends = []
    if loaded is not None:
        ends = [_end(loaded.count(name) or 0, word, colour) for name, word, colour in _FATES]
        read = loaded.count("rows_read") or 0
        ends.append(End(max(0, read - sum(end.rows for end in ends)), "not loaded", "f-idle"))
    else:
        ends = [End(sum(one.rows or 0 for one in traced), "records", "f-plain")]
    return [end for end in ends if end.rows]


def _end(rows: int, word: str, colour: str) -> End:
    return End(rows, "duplicate" if (rows, word) == (1, "duplicates") else word, colour)


def _extras(loaded: TableCounts | None) -> str:
    if loaded is None:
        return ""
    counted = [(loaded.count(name), word) for name, word in _EXTRAS]
    return ", ".join(f"{count_words(rows)} {word}" for rows, word in counted if rows)


def _origin(traced: Lineage) -> Origin:
    facts = [f"{count_words(traced.rows)} records"]
    if traced.size_bytes is not None:
        facts.append(bytes_words(traced.size_bytes))
    if traced.modified_at is not None:
        facts.append(f"modified {instant_words(traced.modified_at)} UTC")
    if traced.sha256:
        facts.append(f"SHA-256 {shortened(traced.sha256, _SHORT_HASH + 1)}")
    return Origin(traced.origin or traced.source, ", ".join(facts))


@dataclass(frozen=True)
class ColumnChange:
    """In how many rows of a table a column changed."""

    column: str
    table: str
    rows: int | None
    bar: Markup


def changed_columns(run: RunSummary) -> list[ColumnChange]:
    """Return the columns that changed, by table, those with most rows first."""
    changed = [
        (table, column, rows)
        for table, columns in run.column_changes.items()
        for column, rows in columns.items()
        if rows != 0
    ]
    most = max((rows or 0 for _, _, rows in changed), default=0) or 1
    return [
        ColumnChange(column, table, rows, share_bar([("f-updated", (rows or 0) / most)]))
        for table, column, rows in sorted(changed, key=lambda one: (one[0], -(one[2] or 0), one[1]))
    ]


# --- its rejects -----------------------------------------------------------------------------


@dataclass(frozen=True)
class ReasonRow:
    """How many records were rejected for one reason, and how many usually are."""

    source: str
    error_class: str
    field: str
    rows: int
    bar: Markup
    usual: float
    found: int


@dataclass(frozen=True)
class Reasons:
    """Reasons of this run and of those before it; `hidden` did not fit."""

    rows: tuple[ReasonRow, ...]
    runs: int
    hidden: int


def reasons(run: RunSummary, runs: Runs) -> Reasons | None:
    """Return the reasons of the rejects, compared with the latest runs; None when unknown."""
    if run.rejects is None:
        return None
    now = run.rejected_by_reason()
    recent = [one.rejected_by_reason() for one in runs if one.rejects is not None][-RECENT_RUNS:]
    known = {reason for tally in (now, *recent) for reason in tally}
    ordered = sorted(known, key=lambda reason: (-now.get(reason, 0), reason))
    most = max(now.values(), default=0) or 1
    rows = [_reason(reason, now.get(reason, 0), most, recent) for reason in ordered[:_MOST_REASONS]]
    return Reasons(tuple(rows), len(recent), len(ordered) - len(rows))


def _reason(reason: Reason, rows: int, most: int, recent: Sequence[dict[Reason, int]]) -> ReasonRow:
    return ReasonRow(
        *reason, rows, share_bar([("f-rejected", rows / most)]),
        float(median(tally.get(reason, 0) for tally in recent)),
        sum(reason in tally for tally in recent),
    )  # fmt: skip


# --- where its time went ---------------------------------------------------------------------


@dataclass(frozen=True)
class StageRow:
    """One measured stage with its part of the time of all stages."""

    name: str
    seconds: float | None
    records: int | None
    speed: float | None
    share: float | None
    bar: Markup


def stages(run: RunSummary) -> list[StageRow]:
    """Return the stages of a run with their parts of its time."""
    whole = sum(stage.seconds or 0 for stage in run.stages)
    return [
        StageRow(
            stage.name, stage.seconds, stage.records, stage.records_per_second,
            stage.seconds / whole if whole and stage.seconds is not None else None,
            share_bar([("f-plain", (stage.seconds or 0) / (whole or 1))]),
        )
        for stage in run.stages[:_MOST_TABLES]
    ]  # fmt: skip

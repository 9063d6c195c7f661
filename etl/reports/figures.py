"""The figures of one run, read from its journal entry; what is missing or damaged is unknown.

An entry may come from a failed run that knew little, from an older version, or from a file that
somebody has edited. Reading it never raises: each value is what it should be, or None.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from etl.history.audit import ATTENTION, FAILED, IN_USE, INTERRUPTED, KILLED, SUCCESS
from etl.words import UNKNOWN

# Source, class of error, field.
Reason = tuple[str, str, str]

STATUSES = (SUCCESS, ATTENTION, FAILED, INTERRUPTED, KILLED, IN_USE)

# Beyond these an entry is damaged, or nobody would read on.
_LARGEST_COUNT = 10**15
_LONGEST_NAME = 300
_LONGEST_MESSAGE = 1200
_MOST_ITEMS = 500


@dataclass(frozen=True)
class TableFigures:
    """What happened to one table: counts by the names of `etl_load`, None where unknown."""

    name: str
    counts: Mapping[str, int | None]
    seconds: float | None
    source: str = UNKNOWN
    status: str = UNKNOWN

    def count(self, name: str) -> int | None:
        """One count, such as `rows_inserted`."""
        return self.counts.get(name)


@dataclass(frozen=True)
class Stage:
    """One measured stage."""

    name: str
    seconds: float | None
    records: int | None
    records_per_second: float | None


@dataclass(frozen=True)
class Check:
    """One quality check."""

    name: str
    status: str
    message: str

    @property
    def passed(self) -> bool:
        """Whether there is nothing to look at."""
        return self.status == "passed"


@dataclass(frozen=True)
class Anomaly:
    """Something that is unlike the runs before."""

    kind: str
    table: str
    severity: str
    message: str


@dataclass(frozen=True)
class Reject:
    """How many records were rejected for one reason."""

    source: str
    error_class: str
    field: str
    rows: int | None

    @property
    def reason(self) -> Reason:
        """What makes it the same reason in another run."""
        return self.source, self.error_class, self.field


@dataclass(frozen=True)
class Lineage:
    """Where the rows of one table came from."""

    source: str
    origin: str
    target: str
    rows: int | None = None
    size_bytes: int | None = None
    sha256: str = ""
    modified_at: datetime | None = None


@dataclass(frozen=True)
class RunFigures:
    """One run as its journal entry tells it."""

    run_id: str
    environment: str
    mode: str
    window: str
    status: str
    warehouse: str
    exit_code: int | None
    error: str
    started_at: datetime | None
    finished_at: datetime | None
    seconds: float | None
    peak_memory_mb: float | None
    tables: tuple[TableFigures, ...]
    column_changes: tuple[tuple[str, tuple[tuple[str, int | None], ...]], ...]
    attention: tuple[str, ...]
    anomalies: tuple[Anomaly, ...]
    checks: tuple[Check, ...]
    scores: Mapping[str, float]
    stages: tuple[Stage, ...]
    rejects: tuple[Reject, ...] | None
    lineage: tuple[Lineage, ...]
    exported: tuple[str, ...] = field(default=())

    @property
    def has_loads(self) -> bool:
        """Whether it tells what it did to the tables."""
        return bool(self.tables)

    def total(self, count: str) -> int | None:
        """One count over all tables; None when no table knows it."""
        known = [n for table in self.tables if (n := table.count(count)) is not None]
        return sum(known) if known else None

    @property
    def checks_passed(self) -> int:
        """How many of its checks passed."""
        return sum(check.passed for check in self.checks)

    def rejected_by_reason(self) -> dict[Reason, int]:
        """How many records it rejected for each reason."""
        rows: dict[Reason, int] = {}
        for reject in self.rejects or ():
            rows[reject.reason] = rows.get(reject.reason, 0) + (reject.rows or 0)
        return rows


def run_figures(entry: object) -> RunFigures:
    """Reads a journal entry.

    Args:
        entry: a mapping as the journal holds it, or whatever a damaged journal has in its place.

    Example:
        >>> run = run_figures({"run_id": "r1", "status": "failed", "metrics": "?"})
        >>> run.status, run.seconds, run.total("rows_read")
        ('failed', None, None)
    """
    known = _mapping(entry)
    metrics = _mapping(known.get("metrics"))
    quality = _mapping(known.get("quality"))
    started, finished = _instant(known.get("started_at")), _instant(known.get("finished_at"))
    return RunFigures(
        run_id=_name(known.get("run_id")),
        environment=_name(known.get("environment")),
        mode=_name(known.get("mode")),
        window=_name(known.get("window"), missing=""),
        status=_name(known.get("status")),
        warehouse=_name(known.get("warehouse")),
        exit_code=_count(known.get("exit_code")),
        error=_message(known.get("error")),
        started_at=started or _instant_of_id(known.get("run_id")),
        finished_at=finished,
        seconds=_seconds(metrics, started, finished),
        peak_memory_mb=_number(metrics.get("peak_memory_mb")),
        tables=_tables(known),
        column_changes=_column_changes(known),
        attention=tuple(_message(line) for line in _items(known.get("attention"))),
        anomalies=tuple(map(_anomaly, _items(known.get("anomalies")))),
        checks=tuple(map(_check, _items(quality.get("checks")))),
        scores=_scores(quality),
        stages=tuple(_stage(name, figures) for name, figures in _pairs(metrics.get("stages"))),
        rejects=_rejects(known),
        lineage=_lineage(known),
        exported=tuple(_name(path) for path in _items(known.get("exported"))),
    )


# --- parts of an entry -----------------------------------------------------------------------


def _seconds(
    metrics: Mapping[str, object], started: datetime | None, finished: datetime | None
) -> float | None:
    measured = _number(metrics.get("total_seconds"))
    if measured is None and started and finished and finished >= started:
        return (finished - started).total_seconds()
    return measured


def _tables(entry: Mapping[str, object]) -> tuple[TableFigures, ...]:
    loads = [_mapping(source) for source in _items(entry.get("sources"))]
    source_of = {_name(load.get("table")): load for load in loads}
    tables = []
    for name, value in _pairs(entry.get("tables")):
        figures, load = _mapping(value), source_of.get(name, {})
        counts = {key: _count(count) for key, count in _pairs(figures) if key.startswith("rows_")}
        source, status = _name(load.get("source")), _name(load.get("status"))
        tables.append(TableFigures(name, counts, _number(figures.get("seconds")), source, status))
    return tuple(tables)


def _column_changes(
    entry: Mapping[str, object],
) -> tuple[tuple[str, tuple[tuple[str, int | None], ...]], ...]:
    return tuple(
        (table, tuple((column, _count(rows)) for column, rows in _pairs(columns)))
        for table, columns in _pairs(entry.get("column_changes"))
    )


def _anomaly(value: object) -> Anomaly:
    known = _mapping(value)
    return Anomaly(
        kind=_name(known.get("type")),
        table=_name(known.get("table"), missing=""),
        severity=_name(known.get("severity")),
        message=_message(known.get("message")),
    )


def _check(value: object) -> Check:
    known = _mapping(value)
    return Check(
        _name(known.get("name")), _name(known.get("status")), _message(known.get("message"))
    )


def _scores(quality: Mapping[str, object]) -> Mapping[str, float]:
    numbers = {name: _number(score) for name, score in _pairs(quality.get("scores"))}
    return {name: n for name, n in numbers.items() if n is not None and n <= 100}  # noqa: PLR2004  # a score is 0..100


def _stage(name: str, value: object) -> Stage:
    known = _mapping(value)
    return Stage(
        name,
        seconds=_number(known.get("seconds")),
        records=_count(known.get("records")),
        records_per_second=_number(known.get("records_per_second")),
    )


def _rejects(entry: Mapping[str, object]) -> tuple[Reject, ...] | None:
    if not isinstance(entry.get("rejects"), Sequence):
        return None
    return tuple(map(_reject, _items(entry.get("rejects"))))


def _reject(value: object) -> Reject:
    known = _mapping(value)
    return Reject(
        source=_name(known.get("source")),
        error_class=_name(known.get("error_class")),
        field=_name(known.get("field"), missing=""),
        rows=_count(known.get("rows")),
    )


def _lineage(entry: Mapping[str, object]) -> tuple[Lineage, ...]:
    traced = tuple(map(_traced, _items(entry.get("lineage"))))
    if traced:
        return traced
    return tuple(
        Lineage(table.source, "", table.name, table.count("rows_read"))
        for table in _tables(entry)
        if table.source != UNKNOWN
    )


def _traced(value: object) -> Lineage:
    known = _mapping(value)
    return Lineage(
        source=_name(known.get("source")),
        origin=_name(known.get("path") or known.get("query"), missing=""),
        target=_name(known.get("target")),
        rows=_count(known.get("rows")),
        size_bytes=_count(known.get("bytes")),
        sha256=_name(known.get("sha256"), missing=""),
        modified_at=_instant(known.get("modified_at")),
    )


# --- single values ---------------------------------------------------------------------------


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _items(value: object) -> Sequence[object]:
    listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return value[:_MOST_ITEMS] if listed else ()  # type: ignore[index]  # a sequence, as asked


def _pairs(value: object) -> list[tuple[str, object]]:
    return [(_name(key), item) for key, item in list(_mapping(value).items())[:_MOST_ITEMS]]


def _name(value: object, *, missing: str = UNKNOWN) -> str:
    return _text(value, _LONGEST_NAME) or missing


def _message(value: object) -> str:
    return _text(value, _LONGEST_MESSAGE)


def _text(value: object, longest: int) -> str:
    if not isinstance(value, str):
        number = _number(value)
        value = "" if number is None else f"{number:g}"
    return value if len(value) <= longest else value[: longest - 1] + "…"


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    usable = 0 <= value <= _LARGEST_COUNT and math.isfinite(value)
    return float(value) if usable else None


def _count(value: object) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number.is_integer() else None


def _instant(value: object) -> datetime | None:
    """UTC without a zone; text without a zone is UTC already."""
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
        zoned = instant is not None and instant.tzinfo is not None
        return instant.astimezone(UTC).replace(tzinfo=None) if instant and zoned else instant
    except (ValueError, OverflowError):
        return None


def _instant_of_id(run_id: object) -> datetime | None:
    """A run id begins with its start."""
    return _instant(run_id[:15] if isinstance(run_id, str) else None)

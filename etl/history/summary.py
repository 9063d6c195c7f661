"""The summary of a run: what the pipeline returns, prints, alerts about and keeps.

`as_dict` is what `--json` prints and the journal stores. `from_dict` reads it back: what an older
version, a failed run or somebody's editor left out or damaged is unknown (None), never an error.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from etl.errors import EXIT_FAILED
from etl.findings import Finding
from etl.history.audit import (
    ATTENTION,
    FAILED,
    IN_USE,
    INTERRUPTED,
    KILLED,
    LOADED,
    PREVIEWED,
    SUCCESS,
)
from etl.history.entries import (
    count_of,
    instant_of,
    items_of,
    mapping_of,
    message_of,
    name_of,
    number_of,
    pairs_of,
)
from etl.history.runs import LoadCounts
from etl.words import UNKNOWN

STATUSES = (SUCCESS, ATTENTION, FAILED, INTERRUPTED, KILLED, IN_USE)
_BEST_SCORE = 100

# Source, class of error, field.
Reason = tuple[str, str, str]


def _texts(entry: object) -> tuple[str, ...]:
    return tuple(message_of(text) for text in items_of(entry))


@dataclass(frozen=True)
class SourceOutcome:
    """How one source fared.

    Attributes:
        counts: of its records, also when it was held back; None when read from a journal.
        error: what it failed with or was held back by; None when read from a journal.
        message: the error in words, without secrets; empty when it loaded.
        rejected_file: path; empty when no record was rejected.
        notes: counts of flaws that did not cost a record its place.
        found: what was found out about how it is written.
        warnings: what of that a person should look at.
        findings: what the gate held it back for.
        skipped: how many records were left out for their status, by status.
        unchanged_since: the run that loaded the same file, where it was not loaded again.
    """

    source: str
    table: str
    status: str
    counts: LoadCounts | None = None
    error: BaseException | None = field(default=None, compare=False)
    message: str = ""
    rejected_file: str = ""
    notes: Mapping[str, int] = field(default_factory=dict)
    found: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    unchanged_since: str = ""

    @property
    def loaded(self) -> bool:
        """Whether its records are in the warehouse, or would be after a dry run."""
        return self.status in (LOADED, PREVIEWED)

    @property
    def named_message(self) -> str:
        """The error in words, behind the name of the source unless it begins with it."""
        named = self.message.startswith(f"{self.source} ")
        return self.message if named else f"{self.source}: {self.message}"

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "source": self.source, "table": self.table, "status": self.status,
            "error": self.message, "rejected_file": self.rejected_file, "notes": dict(self.notes),
            "found": list(self.found), "warnings": list(self.warnings),
            "findings": [{"name": f.name, "message": f.message} for f in self.findings],
            "skipped": dict(self.skipped), "unchanged_since": self.unchanged_since,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, entry: object) -> "SourceOutcome":
        """Read it back."""
        known = mapping_of(entry)
        source = name_of(known.get("source"))
        return cls(
            source, name_of(known.get("table")), name_of(known.get("status")),
            message=message_of(known.get("error")), notes=_known_counts(known.get("notes")),
            rejected_file=name_of(known.get("rejected_file"), missing=""),
            found=_texts(known.get("found")), warnings=_texts(known.get("warnings")),
            findings=_findings(source, known.get("findings")),
            skipped=_known_counts(known.get("skipped")),
            unchanged_since=name_of(known.get("unchanged_since"), missing=""),
        )  # fmt: skip


@dataclass(frozen=True)
class TableCounts:
    """What happened to one table: counts by the names of `etl_load`, None where unknown."""

    name: str
    counts: Mapping[str, int | None]
    seconds: float | None
    source: str = UNKNOWN
    status: str = UNKNOWN

    def count(self, name: str) -> int | None:
        """Return one count, such as `rows_inserted`."""
        return self.counts.get(name)

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**self.counts, "seconds": self.seconds}


@dataclass(frozen=True)
class Stage:
    """One measured stage."""

    name: str
    seconds: float | None
    records: int | None
    records_per_second: float | None
    errors: int | None = None
    error_rate: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "seconds": self.seconds, "records": self.records, "errors": self.errors,
            "error_rate": self.error_rate, "records_per_second": self.records_per_second,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, name: str, entry: object) -> "Stage":
        """Read it back."""
        known = mapping_of(entry)
        return cls(
            name, number_of(known.get("seconds")), count_of(known.get("records")),
            number_of(known.get("records_per_second")), count_of(known.get("errors")),
            number_of(known.get("error_rate")),
        )  # fmt: skip


@dataclass(frozen=True)
class Check:
    """One quality check; `details` has all that `run_data_quality_checks` says of it."""

    name: str
    status: str
    message: str
    value: float | None = None
    threshold: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def passed(self) -> bool:
        """Whether there is nothing to look at."""
        return self.status == "passed"

    @property
    def failed(self) -> bool:
        """Whether a person has to look at it."""
        return self.status == "failed"

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        own = {"name": self.name, "status": self.status, "message": self.message}
        return {**self.details, **own, "value": self.value, "threshold": self.threshold}

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> "Check":
        """Take it from what `run_data_quality_checks` returns."""
        names = ("name", "status", "message", "value", "threshold")
        return cls(**{name: details[name] for name in names}, details=details)

    @classmethod
    def from_dict(cls, entry: object) -> "Check":
        """Read it back."""
        known = mapping_of(entry)
        return cls(
            name_of(known.get("name")), name_of(known.get("status")),
            message_of(known.get("message")), number_of(known.get("value")),
            number_of(known.get("threshold")), details=known,
        )  # fmt: skip


@dataclass(frozen=True)
class Anomaly:
    """Something unlike the runs before; `details` has all that `detect_data_anomalies` says."""

    kind: str
    table: str
    severity: str
    message: str
    details: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        own = {"table": self.table, "severity": self.severity, "message": self.message}
        return {**self.details, "type": self.kind, **own}

    @classmethod
    def of(cls, details: Mapping[str, Any]) -> "Anomaly":
        """Take it from what `detect_data_anomalies` returns."""
        own = {name: details[name] for name in ("table", "severity", "message")}
        return cls(details["type"], **own, details=details)

    @classmethod
    def from_dict(cls, entry: object) -> "Anomaly":
        """Read it back."""
        known = mapping_of(entry)
        return cls(
            name_of(known.get("type")), name_of(known.get("table"), missing=""),
            name_of(known.get("severity")), message_of(known.get("message")), details=known,
        )  # fmt: skip


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

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "source": self.source, "error_class": self.error_class, "field": self.field,
            "rows": self.rows,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, entry: object) -> "Reject":
        """Read it back."""
        known = mapping_of(entry)
        return cls(
            name_of(known.get("source")), name_of(known.get("error_class")),
            name_of(known.get("field"), missing=""), count_of(known.get("rows")),
        )  # fmt: skip


_LINEAGE_TIMES = ("window_start", "window_end", "modified_at", "extracted_at", "recorded_at")


@dataclass(frozen=True)
class LineageFile:
    """One of several files of a source.

    Attributes:
        path: the file.
        rows: how many of its records were read.
        size_bytes: as it was read.
        sha256: of those bytes.
        times: modified_at and extracted_at, as far as known.
    """

    path: str
    rows: int | None
    size_bytes: int | None = None
    sha256: str = ""
    times: Mapping[str, datetime | None] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        facts = {
            "path": self.path, "rows": self.rows, "bytes": self.size_bytes,
            "sha256": self.sha256 or None,
            **{name: moment and moment.isoformat() for name, moment in self.times.items()},
        }  # fmt: skip
        return {name: value for name, value in facts.items() if value is not None}

    @classmethod
    def from_dict(cls, entry: object) -> "LineageFile":
        """Read it back."""
        known = mapping_of(entry)
        return cls(
            name_of(known.get("path")), count_of(known.get("rows")),
            count_of(known.get("bytes")), name_of(known.get("sha256"), missing=""),
            {name: instant_of(known.get(name)) for name in ("modified_at", "extracted_at")},
        )  # fmt: skip


@dataclass(frozen=True)
class Lineage:
    """Where the rows of one table came from.

    Attributes:
        source: customers, products or sales; for a load by hand the file's name.
        target: the table.
        path: the file, or the database without its secrets.
        query: what the database was asked; empty for a file.
        status: loaded, held back or failed.
        counts: by the names of `etl_load`.
        size_bytes: of the file as it was read; None for a database, or a file not read whole.
        sha256: of those bytes.
        times: window_start, window_end, modified_at, extracted_at, recorded_at, as far as known.
        files: of a source of several files, each; size and hash are then those of all of them.
    """

    source: str
    target: str
    path: str = ""
    query: str = ""
    status: str = LOADED
    counts: Mapping[str, int | None] = field(default_factory=dict)
    size_bytes: int | None = None
    sha256: str = ""
    times: Mapping[str, datetime | None] = field(default_factory=dict)
    files: tuple[LineageFile, ...] = ()

    @property
    def origin(self) -> str:
        """The file, the database, or what it was asked."""
        return self.path or self.query

    @property
    def rows(self) -> int | None:
        """How many records were read."""
        return self.counts.get("rows_read")

    @property
    def modified_at(self) -> datetime | None:
        """When the file was last written, UTC."""
        return self.times.get("modified_at")

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it: moments in ISO form, what is not known left out."""
        facts = {
            "source": self.source, "target": self.target, "rows": self.rows, "status": self.status,
            "path": self.path, "query": self.query or None, "bytes": self.size_bytes,
            "sha256": self.sha256 or None, **self.counts,
            **{name: moment and moment.isoformat() for name, moment in self.times.items()},
            "files": [file.as_dict() for file in self.files] or None,
        }  # fmt: skip
        return {name: value for name, value in facts.items() if value is not None}

    @classmethod
    def from_dict(cls, entry: object) -> "Lineage":
        """Read it back."""
        known = mapping_of(entry)
        return cls(
            name_of(known.get("source")), name_of(known.get("target")),
            name_of(known.get("path"), missing=""), name_of(known.get("query"), missing=""),
            name_of(known.get("status")),
            counts={"rows_read": count_of(known.get("rows")), **_row_counts(known)},
            size_bytes=count_of(known.get("bytes")),
            sha256=name_of(known.get("sha256"), missing=""),
            times={name: instant_of(known.get(name)) for name in _LINEAGE_TIMES},
            files=_read(LineageFile.from_dict, known.get("files")),
        )  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """What the metrics of a run say of the whole of it.

    Attributes:
        records: records read from the sources.
        errors: those of them that were rejected.
    """

    seconds: float | None = None
    records: int | None = None
    errors: int | None = None
    peak_memory_mb: float | None = None
    stages: tuple[Stage, ...] = ()

    @property
    def error_rate(self) -> float | None:
        """The share of the records that were rejected."""
        if self.records is None or self.errors is None:
            return None
        return self.errors / max(self.records, self.errors) if self.errors else 0.0

    @property
    def records_per_second(self) -> float | None:
        """How fast the whole run was."""
        if self.records is None or self.seconds is None:
            return None
        return self.records / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """As `ETLMetrics.generate_summary_report` returns it."""
        return {
            "total_seconds": self.seconds, "total_records": self.records,
            "total_errors": self.errors, "error_rate": self.error_rate,
            "records_per_second": self.records_per_second,
            "stages": {stage.name: stage.as_dict() for stage in self.stages},
            "peak_memory_mb": self.peak_memory_mb,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, entry: object) -> "Measured":
        """Take it from what `ETLMetrics.generate_summary_report` returns, or read it back."""
        known = mapping_of(entry)
        return cls(
            number_of(known.get("total_seconds")), count_of(known.get("total_records")),
            count_of(known.get("total_errors")), number_of(known.get("peak_memory_mb")),
            tuple(Stage.from_dict(name, stage) for name, stage in pairs_of(known.get("stages"))),
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RunSummary(Mapping[str, Any]):
    """One run. It reads like its `as_dict` too: `summary["status"]`.

    Attributes:
        window: which sales it took, in words; window_start and window_end are its ends.
        error: what ended the run, or its sources, in words; empty when nothing did.
        started_at: UTC, like finished_at.
        tables: what happened to each table, those of sources that were held back too.
        column_changes: by table, in how many rows each column changed.
        attention: what a person has to look at.
        notices: what a person should know, but need not do anything about.
        scores: 0 to 100, by source and by table.
        dimension_scores: of each table, by dimension.
        rejects: rejected records by reason; None when unknown.
        exported: paths.
        page: path of the page over the latest runs; empty when none is written.
        in_history: whether the warehouse knows how the run ended.
    """

    run_id: str
    environment: str = UNKNOWN
    mode: str = UNKNOWN
    window: str = ""
    window_start: datetime | None = None
    window_end: datetime | None = None
    status: str = UNKNOWN
    exit_code: int | None = None
    error: str = ""
    warehouse: str = UNKNOWN
    started_at: datetime | None = None
    finished_at: datetime | None = None
    sources: tuple[SourceOutcome, ...] = ()
    tables: tuple[TableCounts, ...] = ()
    column_changes: Mapping[str, Mapping[str, int | None]] = field(default_factory=dict)
    checks: tuple[Check, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    dimension_scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    anomalies: tuple[Anomaly, ...] = ()
    attention: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    measured: Measured = field(default_factory=Measured)
    rejects: tuple[Reject, ...] | None = None
    lineage: tuple[Lineage, ...] = ()
    exported: tuple[str, ...] = ()
    page: str = ""
    in_history: bool = False

    # --- figures -------------------------------------------------------------------------

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        known, started, finished = self.measured.seconds, self.started_at, self.finished_at
        if known is None and started and finished and finished >= started:
            return (finished - started).total_seconds()
        return known

    @property
    def peak_memory_mb(self) -> float | None:
        """The most memory it had, MiB."""
        return self.measured.peak_memory_mb

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Its measured stages."""
        return self.measured.stages

    @property
    def has_loads(self) -> bool:
        """Whether it says what it did to the tables."""
        return bool(self.tables)

    def total(self, count: str) -> int | None:
        """Return one count over all tables; None when no table knows it."""
        known = [n for table in self.tables if (n := table.count(count)) is not None]
        return sum(known) if known else None

    def table(self, name: str) -> TableCounts | None:
        """Return what happened to one table."""
        return next((table for table in self.tables if table.name == name), None)

    @property
    def failed_checks(self) -> tuple[Check, ...]:
        """The checks that a person has to look at."""
        return tuple(check for check in self.checks if check.failed)

    @property
    def failed_sources(self) -> tuple[SourceOutcome, ...]:
        """The sources that failed or were held back."""
        return tuple(source for source in self.sources if not source.loaded)

    @property
    def records_loaded(self) -> int | None:
        """Records of loaded sources that were not rejected."""
        loaded = {source.table for source in self.sources if source.loaded}
        counts = [
            (table.count("rows_read"), table.count("rows_rejected"))
            for table in self.tables
            if table.name in loaded
        ]
        known = [read - rejected for read, rejected in counts if None not in (read, rejected)]  # type: ignore[operator]  # none is None
        return sum(known) if len(known) == len(counts) else None

    @property
    def success_rate(self) -> float | None:
        """The share of the records read that were loaded; 0 for a failed run, None if unknown."""
        if self.exit_code == EXIT_FAILED:
            return 0.0
        read, loaded = self.measured.records, self.records_loaded
        return loaded / read if read and loaded is not None else None

    def rejected_by_reason(self) -> dict[Reason, int]:
        """Return how many records it rejected for each reason."""
        rows: dict[Reason, int] = {}
        for reject in self.rejects or ():
            rows[reject.reason] = rows.get(reject.reason, 0) + (reject.rows or 0)
        return rows

    # --- as a mapping --------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        return self.as_dict()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.as_dict())

    def __len__(self) -> int:
        return len(self.as_dict())

    # --- as JSON -------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON holds of it: the object that `--json` prints.

        Example:
            >>> run = RunSummary(run_id="r1", status="success", exit_code=0)
            >>> RunSummary.from_dict(run.as_dict()) == run, run["status"]
            (True, 'success')
        """
        return {
            "run_id": self.run_id,
            "environment": self.environment,
            "mode": self.mode,
            "window": self.window,
            "window_start": self.window_start and self.window_start.isoformat(),
            "window_end": self.window_end and self.window_end.isoformat(),
            "status": self.status,
            "exit_code": self.exit_code,
            "error": self.error,
            "warehouse": self.warehouse,
            "started_at": _utc(self.started_at),
            "finished_at": _utc(self.finished_at),
            "sources": [source.as_dict() for source in self.sources],
            "tables": {table.name: table.as_dict() for table in self.tables},
            "column_changes": {name: dict(rows) for name, rows in self.column_changes.items()},
            "quality": self.quality(),
            "anomalies": [anomaly.as_dict() for anomaly in self.anomalies],
            "attention": list(self.attention),
            "notices": list(self.notices),
            "metrics": self.measured.as_dict(),
            "rejects": None if self.rejects is None else [r.as_dict() for r in self.rejects],
            "lineage": [each.as_dict() for each in self.lineage],
            "exported": list(self.exported),
            "page": self.page,
            "in_history": self.in_history,
        }

    def quality(self) -> dict[str, Any]:
        """Return what `run_data_quality_checks` returned."""
        return {
            "passed": not self.failed_checks,
            "checks": [check.as_dict() for check in self.checks],
            "scores": dict(self.scores),
            "dimension_scores": {name: dict(s) for name, s in self.dimension_scores.items()},
        }

    @classmethod
    def from_dict(cls, entry: object) -> "RunSummary":
        """Read a summary back from the journal; what is missing or damaged is unknown.

        Args:
            entry: a mapping as the journal holds it, or whatever a damaged one has in its place.

        Example:
            >>> run = RunSummary.from_dict({"run_id": "r1", "status": "failed", "metrics": "?"})
            >>> run.run_id, run.status, run.seconds, run.tables
            ('r1', 'failed', None, ())
        """
        known = mapping_of(entry)
        tables, lineage = _tables(known), _read(Lineage.from_dict, known.get("lineage"))
        return cls(
            run_id=name_of(known.get("run_id")),
            environment=name_of(known.get("environment")),
            mode=name_of(known.get("mode")),
            window=name_of(known.get("window"), missing=""),
            window_start=instant_of(known.get("window_start")),
            window_end=instant_of(known.get("window_end")),
            status=name_of(known.get("status")),
            exit_code=count_of(known.get("exit_code")),
            error=message_of(known.get("error")),
            warehouse=name_of(known.get("warehouse")),
            started_at=instant_of(known.get("started_at")) or _start_of(known.get("run_id")),
            finished_at=instant_of(known.get("finished_at")),
            sources=_read(SourceOutcome.from_dict, known.get("sources")),
            tables=tables,
            column_changes={n: _counts(c) for n, c in pairs_of(known.get("column_changes"))},
            **_judged(mapping_of(known.get("quality"))),
            anomalies=_read(Anomaly.from_dict, known.get("anomalies")),
            attention=_read(message_of, known.get("attention")),
            notices=_read(message_of, known.get("notices")),
            measured=Measured.from_dict(known.get("metrics")),
            rejects=_rejects(known.get("rejects")),
            lineage=lineage or tuple(_traced(t) for t in tables if t.source != UNKNOWN),
            exported=_read(name_of, known.get("exported")),
            page=name_of(known.get("page"), missing=""),
            in_history=known.get("in_history") is True,
        )


# --- reading back ----------------------------------------------------------------------------


def _findings(source: str, value: object) -> tuple[Finding, ...]:
    found = map(mapping_of, items_of(value))
    return tuple(
        Finding(source, name_of(each.get("name")), message_of(each.get("message")))
        for each in found
    )


def _read(read: Any, value: object) -> tuple[Any, ...]:
    return tuple(map(read, items_of(value)))


def _utc(moment: datetime | None) -> str | None:
    return moment.replace(tzinfo=UTC).isoformat() if moment else None


def _start_of(run_id: object) -> datetime | None:
    """A run id begins with its start."""
    return instant_of(run_id[:15] if isinstance(run_id, str) else None)


def _counts(value: object) -> dict[str, int | None]:
    return {name: count_of(count) for name, count in pairs_of(value)}


def _known_counts(value: object) -> dict[str, int]:
    return {name: n for name, n in _counts(value).items() if n is not None}


def _row_counts(value: object) -> dict[str, int | None]:
    counts = _counts(value).items()
    return {name: n for name, n in counts if name.startswith("rows_") or name == "batches"}


def _tables(entry: Mapping[str, object]) -> tuple[TableCounts, ...]:
    sources = {
        source.table: source for source in _read(SourceOutcome.from_dict, entry.get("sources"))
    }
    tables = []
    for name, value in pairs_of(entry.get("tables")):
        seconds, source = number_of(mapping_of(value).get("seconds")), sources.get(name)
        whose = (source.source, source.status) if source else ()
        tables.append(TableCounts(name, _row_counts(value), seconds, *whose))
    return tuple(tables)


def _traced(table: TableCounts) -> Lineage:
    """What a run without lineage says of it."""
    return Lineage(table.source, table.name, counts={"rows_read": table.count("rows_read")})


def _rejects(value: object) -> tuple[Reject, ...] | None:
    return _read(Reject.from_dict, value) if isinstance(value, Sequence) else None


def _judged(quality: Mapping[str, object]) -> dict[str, Any]:
    dimensions = pairs_of(quality.get("dimension_scores"))
    return {
        "checks": _read(Check.from_dict, quality.get("checks")),
        "scores": _scores(quality.get("scores")),
        "dimension_scores": {name: _scores(scores) for name, scores in dimensions},
    }


def _scores(value: object) -> dict[str, float]:
    numbers = {name: number_of(score) for name, score in pairs_of(value)}
    return {name: n for name, n in numbers.items() if n is not None and n <= _BEST_SCORE}

"""The summary of a run: what the pipeline returns, prints, alerts about and keeps.

`as_dict` is what `--json` prints and the journal stores. `from_dict` reads it back: what an older
version, a failed run or somebody's editor left out or damaged is unknown (None), never an error.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from etl.errors import EXIT_FAILED
from etl.history.audit import (
    ATTENTION,
    FAILED,
    IN_USE,
    INTERRUPTED,
    KILLED,
    SUCCESS,
)
from etl.history.entries import (
    all_of,
    count_of,
    counts_in,
    instant_of,
    mapping_of,
    message_of,
    name_of,
    number_of,
    pairs_of,
    row_counts_in,
)
from etl.history.judged import Anomaly, Check
from etl.history.letter_counts import LetterCounts
from etl.history.mart_outcomes import MartOutcome
from etl.history.measured import Measured, Stage
from etl.history.outcomes import Reason, Reject, SourceOutcome, TableCounts
from etl.history.traced import Lineage
from etl.words import UNKNOWN

STATUSES = (SUCCESS, ATTENTION, FAILED, INTERRUPTED, KILLED, IN_USE)
_BEST_SCORE = 100


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
        marts: how each fared; none when none were to be built.
        dead_letters: by source, how many rejected records are kept; empty where there are none.
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
    marts: tuple[MartOutcome, ...] = ()
    dead_letters: tuple[LetterCounts, ...] = ()
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
            "marts": [each.as_dict() for each in self.marts],
            "dead_letters": [each.as_dict() for each in self.dead_letters],
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
        tables, lineage = _tables(known), all_of(Lineage.from_dict, known.get("lineage"))
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
            sources=all_of(SourceOutcome.from_dict, known.get("sources")),
            tables=tables,
            column_changes={n: counts_in(c) for n, c in pairs_of(known.get("column_changes"))},
            **_judged(mapping_of(known.get("quality"))),
            anomalies=all_of(Anomaly.from_dict, known.get("anomalies")),
            attention=all_of(message_of, known.get("attention")),
            notices=all_of(message_of, known.get("notices")),
            measured=Measured.from_dict(known.get("metrics")),
            rejects=_rejects(known.get("rejects")),
            lineage=lineage or tuple(_traced(t) for t in tables if t.source != UNKNOWN),
            marts=all_of(MartOutcome.from_dict, known.get("marts")),
            dead_letters=all_of(LetterCounts.from_dict, known.get("dead_letters")),
            exported=all_of(name_of, known.get("exported")),
            page=name_of(known.get("page"), missing=""),
            in_history=known.get("in_history") is True,
        )


# --- reading back ----------------------------------------------------------------------------


def _utc(moment: datetime | None) -> str | None:
    return moment.replace(tzinfo=UTC).isoformat() if moment else None


def _start_of(run_id: object) -> datetime | None:
    """A run id begins with its start."""
    return instant_of(run_id[:15] if isinstance(run_id, str) else None)


def _tables(entry: Mapping[str, object]) -> tuple[TableCounts, ...]:
    sources = {
        source.table: source for source in all_of(SourceOutcome.from_dict, entry.get("sources"))
    }
    tables = []
    for name, value in pairs_of(entry.get("tables")):
        seconds, source = number_of(mapping_of(value).get("seconds")), sources.get(name)
        whose = (source.source, source.status) if source else ()
        tables.append(TableCounts(name, row_counts_in(value), seconds, *whose))
    return tuple(tables)


def _traced(table: TableCounts) -> Lineage:
    """What a run without lineage says of it."""
    return Lineage(table.source, table.name, counts={"rows_read": table.count("rows_read")})


def _rejects(value: object) -> tuple[Reject, ...] | None:
    return all_of(Reject.from_dict, value) if isinstance(value, Sequence) else None


def _judged(quality: Mapping[str, object]) -> dict[str, Any]:
    dimensions = pairs_of(quality.get("dimension_scores"))
    return {
        "checks": all_of(Check.from_dict, quality.get("checks")),
        "scores": _scores(quality.get("scores")),
        "dimension_scores": {name: _scores(scores) for name, scores in dimensions},
    }


def _scores(value: object) -> dict[str, float]:
    numbers = {name: number_of(score) for name, score in pairs_of(value)}
    return {name: n for name, n in numbers.items() if n is not None and n <= _BEST_SCORE}

"""How long a run took, how much it read and how fast: the whole of it, and its stages."""

from dataclasses import dataclass
from typing import Any

from etl.history.entries import (
    count_of,
    mapping_of,
    number_of,
    pairs_of,
)


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

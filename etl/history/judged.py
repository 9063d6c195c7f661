"""What was judged of the tables that a run loaded: quality checks and anomalies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from etl.history.entries import (
    mapping_of,
    message_of,
    name_of,
    number_of,
)


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

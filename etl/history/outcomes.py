"""How the sources of a run fared: what became rows, and what was rejected for which reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from etl.findings import Finding
from etl.history.audit import (
    LOADED,
    PREVIEWED,
)
from etl.history.entries import (
    count_of,
    items_of,
    known_counts_in,
    mapping_of,
    message_of,
    name_of,
    texts_of,
)
from etl.history.runs import LoadCounts
from etl.words import UNKNOWN

# Source, class of error, field.
Reason = tuple[str, str, str]


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
        after: the sources that are loaded before it.
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
    after: tuple[str, ...] = ()

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
            "after": list(self.after),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, entry: object) -> "SourceOutcome":
        """Read it back."""
        known = mapping_of(entry)
        source = name_of(known.get("source"))
        return cls(
            source, name_of(known.get("table")), name_of(known.get("status")),
            message=message_of(known.get("error")), notes=known_counts_in(known.get("notes")),
            rejected_file=name_of(known.get("rejected_file"), missing=""),
            found=texts_of(known.get("found")), warnings=texts_of(known.get("warnings")),
            findings=_findings(source, known.get("findings")),
            skipped=known_counts_in(known.get("skipped")),
            unchanged_since=name_of(known.get("unchanged_since"), missing=""),
            after=texts_of(known.get("after")),
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


def _findings(source: str, value: object) -> tuple[Finding, ...]:
    found = map(mapping_of, items_of(value))
    return tuple(
        Finding(source, name_of(each.get("name")), message_of(each.get("message")))
        for each in found
    )

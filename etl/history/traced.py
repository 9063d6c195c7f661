"""Where the rows of a table came from, as a run keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from etl.history.audit import (
    LOADED,
)
from etl.history.entries import (
    all_of,
    count_of,
    instant_of,
    mapping_of,
    name_of,
    row_counts_in,
)

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
            counts={"rows_read": count_of(known.get("rows")), **row_counts_in(known)},
            size_bytes=count_of(known.get("bytes")),
            sha256=name_of(known.get("sha256"), missing=""),
            times={name: instant_of(known.get(name)) for name in _LINEAGE_TIMES},
            files=all_of(LineageFile.from_dict, known.get("files")),
        )  # fmt: skip

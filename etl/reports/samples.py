"""Some of the rejected records of a run, read from its files for the page."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from etl.history.summary import RunSummary
from etl.rejects import DUPLICATE, unguarded_cell

_MOST_SAMPLES = 5
_MOST_LOOKED_AT = 2000


@dataclass(frozen=True)
class Sample:
    """One rejected record."""

    row: str
    key: str
    field: str
    value: str
    reason: str


# By the name of the source.
Samples = Mapping[str, Sequence[Sample]]


def samples_of(run: RunSummary, folder: Path) -> Samples:
    """Read some of the records that a run rejected: the first of each reason, then others.

    Args:
        run: the run.
        folder: where its rejected files are; no other file is read.
    """
    return {
        each.source: _samples(folder, each.rejected_file)
        for each in run.sources
        if each.rejected_file
    }


def _samples(folder: Path, rejected_file: str) -> tuple[Sample, ...]:
    path = folder / Path(rejected_file).name
    try:
        with path.open(encoding="utf-8-sig", errors="backslashreplace", newline="") as lines:
            rows = list(islice(csv.DictReader(lines), _MOST_LOOKED_AT))
    except (OSError, ValueError, csv.Error):
        return ()
    ordered = sorted(_by_turn(rows), key=lambda one: one[0])
    return tuple(_sample(row) for _, row in ordered[:_MOST_SAMPLES])


def _by_turn(rows: list[dict[str, str]]) -> Iterator[tuple[tuple[bool, int], dict[str, str]]]:
    """Each record with its turn: duplicates last, and first the first of each reason."""
    seen: dict[tuple[str, str], int] = {}
    for row in rows:
        error_class, field = _cell(row, "error_class"), _cell(row, "field")
        turn = seen[error_class, field] = seen.get((error_class, field), 0) + 1
        yield (error_class == DUPLICATE, turn), row


def _sample(row: dict[str, str]) -> Sample:
    value = _cell(row, "value") or _cell(row, "raw_record")
    key, reason = _cell(row, "record_key"), _cell(row, "reason")
    return Sample(_cell(row, "source_row"), key, _cell(row, "field"), value, reason)


def _cell(row: dict[str, str], name: str) -> str:
    return unguarded_cell(row.get(name) or "")

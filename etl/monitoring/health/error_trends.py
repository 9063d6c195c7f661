"""Which errors were the most common of late, and whether they become more or fewer."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

RISING, FALLING, STEADY, NEW, GONE = "rising", "falling", "steady", "new", "gone"

RUNS = 30
# By how much the newer half must differ from the older one to be told as a change.
_CHANGE = 1.5

# What differs between two tellings of one error: numbers, and what is quoted or a path.
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|(?<!\S)\S*[/\\]\S+|\b[0-9A-Fa-f]{8,}\b|\d[\d.,:]*")
_SHOWN_CHARACTERS = 120


@dataclass(frozen=True)
class ErrorTrend:
    """One kind of error over some runs.

    Attributes:
        kind: `run` for what ended a run or one of its sources, `record` for rejected records.
        error: what it is; for a run's error its first sentence, without what differs each time.
        source: of the records; empty for a run.
        count: how often in all: runs, or records.
        runs: in how many runs.
        recent: how often in the newer half of the runs.
        earlier: how often in the older half.
        trend: rising, falling, steady, new (only in the newer half) or gone (only in the older).
        last_run: the newest run that had it.
    """

    kind: str
    error: str
    source: str
    count: int
    runs: int
    recent: int
    earlier: int
    trend: str
    last_run: str

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)


def with_history(
    entries: Sequence[Mapping[str, Any]], runs: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """The entries of the journal, and runs of the warehouse's history that it lacks, by start.

    Args:
        entries: of the journal.
        runs: `run_id`, `status` and `error` of `etl_run`.

    Example:
        >>> with_history([{"run_id": "b"}], [{"run_id": "a"}, {"run_id": "b"}])
        [{'run_id': 'a'}, {'run_id': 'b'}]
    """
    known = {entry["run_id"] for entry in entries}
    lacking = [run for run in runs if run["run_id"] not in known]
    return sorted([*entries, *lacking], key=lambda entry: str(entry["run_id"]))


_Key = tuple[str, str, str]


def common_errors(entries: Sequence[Mapping[str, Any]], *, runs: int = RUNS) -> list[ErrorTrend]:
    """The errors of the last runs, the most common first.

    Args:
        entries: of the journal, oldest first (`run_journal.read_entries`).
        runs: how many of the last ones to look at.

    Returns:
        What ended runs and sources first, then why records were rejected.

    Example:
        >>> entries = [{"run_id": f"r{n}", "error": "no file a.csv"} for n in range(3)]
        >>> (found,) = common_errors([{"run_id": "r", "error": ""}, *entries])
        >>> found.error, found.count, found.recent, found.earlier, found.trend
        ('no file a.csv', 3, 2, 1, 'rising')
    """
    last = entries[-runs:]
    counted = [Counter(dict(_errors(entry))) for entry in last]
    half = len(last) // 2
    keys = {key for counts in counted for key in counts}
    found = [_trend(key, last, counted, half) for key in keys]
    return sorted(found, key=lambda e: (e.kind != "run", -e.count, e.source, e.error))


def _errors(entry: Mapping[str, Any]) -> Iterator[tuple[_Key, int]]:
    for error in _told(entry):
        yield ("run", _without_details(error), ""), 1
    for reject in entry.get("rejects") or ():
        if isinstance(reject, Mapping):
            words = f"{reject.get('error_class', '')} {reject.get('field', '')}".strip()
            yield ("record", words, str(reject.get("source", ""))), int(reject.get("rows") or 0)


def _told(entry: Mapping[str, Any]) -> Iterator[str]:
    """What ended the run, or its sources, each with its name."""
    named = [
        f"{source.get('source')}: {source['error']}"
        for source in entry.get("sources") or ()
        if isinstance(source, Mapping) and source.get("error")
    ]
    yield from named or filter(None, str(entry.get("error") or "").split(" | "))


def _without_details(error: str) -> str:
    r"""The first sentence, with everything that differs from time to time left out.

    Example:
        >>> _without_details("sales held back: 31 of 100 rejected. Next: mend the source.")
        'sales held back: … of … rejected'
    """
    first = re.split(r"\. |\n", error, maxsplit=1)[0].rstrip(".")
    return _QUOTED.sub("…", first)[:_SHOWN_CHARACTERS]


def _trend(
    key: _Key,
    entries: Sequence[Mapping[str, Any]],
    counted: Sequence[Counter[_Key]],
    half: int,
) -> ErrorTrend:
    counts = [each[key] for each in counted]
    # of an odd number of runs the one in the middle is left out, so that the halves compare
    earlier, recent = sum(counts[:half]), sum(counts[len(counts) - half :])
    having = [entry for entry, count in zip(entries, counts, strict=True) if count]
    kind, error, source = key
    return ErrorTrend(
        kind, error, source, sum(counts), len(having), recent, earlier,
        _direction(earlier, recent), str(having[-1].get("run_id", "")),
    )  # fmt: skip


def _direction(earlier: int, recent: int) -> str:
    if earlier == recent:
        return STEADY
    if not earlier or not recent:
        return NEW if recent else GONE
    if recent >= _CHANGE * earlier:
        return RISING
    return FALLING if earlier >= _CHANGE * recent else STEADY

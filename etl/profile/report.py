"""A profile as files: JSON for programs, HTML for people; of two profiles side by side."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from markupsafe import Markup

from etl.files import write_atomically
from etl.profile.compare import Difference, compare
from etl.profile.figures import FILE, QUANTILES, ColumnFigures, Profile
from etl.profile.findings import Finding, findings
from etl.reports.charts import share_bar, spread
from etl.reports.checks import scores as score_rows
from etl.reports.headline import GOOD, WARN
from etl.reports.page import render
from etl.words import count_words, counted, percent_words

_SHOWN_VALUES, _SHOWN_PATTERNS = 5, 5
_NOTHING = "-"
_DIGITS = 6


def write_profile(
    folder: Path, profile: Profile, against: Profile | None = None, *, name: str = ""
) -> tuple[Path, Path]:
    """Write a profile, each file whole or not at all.

    Args:
        folder: where it goes; made when missing.
        profile: what was counted.
        against: an earlier one, or one of another file, to stand beside it.
        name: of the files; that of the profile when left out.

    Returns:
        The JSON file and the HTML file.

    Raises:
        OSError: a file cannot be written.
    """
    stem = name or file_stem(profile.name)
    text = json.dumps(profile.as_dict(), indent=1, ensure_ascii=False) + "\n"
    return (
        write_atomically(folder / f"{stem}.json", text),
        write_atomically(folder / f"{stem}.html", profile_page(profile, against)),
    )


def file_stem(name: str) -> str:
    """Return the name of a file or table as the beginning of a file's name.

    Example:
        >>> file_stem("dbo.orders"), file_stem("Orders 2024.csv.gz")
        ('dbo.orders', 'Orders_2024.csv.gz')
    """
    return re.sub(r"[^\w.-]+", "_", name)


@dataclass(frozen=True)
class _Row:
    """A column in words."""

    name: str
    kind: str
    missing: str
    missing_bar: Markup
    distinct: str
    lowest: str
    highest: str
    mean: str
    median: str
    picture: Markup
    quantiles: tuple[tuple[str, str], ...]
    frequent: tuple[tuple[str, str, Markup], ...]
    patterns: tuple[tuple[str, str, Markup], ...]
    pattern_count: int
    outliers: tuple[tuple[str, str], ...]
    lengths: str


def profile_page(
    profile: Profile, against: Profile | None = None, *,
    scores: Mapping[str, float] = MappingProxyType({}), broken: Sequence[tuple[str, int]] = (),
) -> str:  # fmt: skip
    """Return a profile as one page that needs nothing else; everything from the data is escaped.

    Args:
        profile: what was counted.
        against: what stands beside it.
        scores: by name, 0 to 100.
        broken: rules, and how many records break each.

    Example:
        >>> one = Profile("<a>.csv", FILE, "2026-01-01", 1, (ColumnFigures("id", "text", 1),))
        >>> page = profile_page(one)
        >>> "&lt;a&gt;.csv" in page, "<a>" in page, "<script" in page
        (True, False, False)
    """
    found = findings(profile)
    changes = compare(against, profile) if against else ()
    state, verdict = _verdict(found, changes, compared=against is not None)
    return str(render(
        "profile.html", name=profile.name, state=state, verdict=verdict, facts=_facts(profile),
        findings=found, scores=score_rows(scores, {}), broken=broken,
        columns=[_row(column) for column in profile.columns],
        against=against, changes=[_change(each) for each in changes],
        counts=_counts(against, profile) if against else (),
    ))  # fmt: skip


def _verdict(
    found: Sequence[Finding], changes: Sequence[Difference], *, compared: bool
) -> tuple[str, str]:
    moved = sum(bool(change.words) for change in changes)
    parts = [f"{counted(len(found), 'thing')} to look at"] if found else []
    if compared:
        parts.append(f"{counted(moved, 'column')} changed" if moved else "no column changed")
    words = ", ".join(parts) or "nothing stands out"
    return (WARN if found or moved else GOOD), words[0].upper() + words[1:]


def _facts(profile: Profile) -> list[tuple[str, str]]:
    duplicates = counted(profile.record_duplicates, "record")
    facts = [
        ("records", count_words(profile.rows)), ("columns", count_words(len(profile.columns))),
        ("equal to another record", duplicates),
    ]  # fmt: skip
    if profile.kind == FILE:
        facts.append(("unreadable", counted(profile.unreadable, "line")))
    if profile.key:
        words = counted(profile.key_duplicates, "record")
        facts.append((f"with the {', '.join(profile.key)} of another", words))
    return [*facts, ("counted at", f"{profile.made_at[:16].replace('T', ' ')} UTC")]


def _row(column: ColumnFigures) -> _Row:
    return _Row(
        column.name, column.kind, percent_words(column.null_share),
        share_bar([("f-rejected", column.null_share)]), count_words(column.distinct),
        _value(column.lowest), _value(column.highest), figure_words(column.mean),
        _value(column.quantile("median")), _picture(column),
        tuple((name, _value(column.quantile(name))) for name in QUANTILES if column.percentiles),
        _counted(column.frequent[:_SHOWN_VALUES], column.values),
        _counted(column.patterns[:_SHOWN_PATTERNS], column.values), column.pattern_count,
        tuple((method, count_words(rows)) for method, rows in column.outliers.items()),
        _lengths(column.lengths),
    )  # fmt: skip


def _picture(column: ColumnFigures) -> Markup:
    """How the values spread; of texts, how much the most frequent ones cover."""
    if column.percentiles and column.kind not in ("date", "timestamp"):
        return spread([float(value) for value in column.percentiles])
    shares = [("f-plain", rows / column.values) for _, rows in column.frequent[:1]]
    return share_bar(shares)


def _counted(found: Sequence[tuple[str, int]], values: int) -> tuple[tuple[str, str, Markup], ...]:
    return tuple(
        (value, count_words(rows), share_bar([("f-plain", rows / values)])) for value, rows in found
    )


def _lengths(lengths: Sequence[float]) -> str:
    if not lengths:
        return ""
    shortest, mean, longest = lengths
    return f"{shortest:g} to {longest:g} characters, {mean:.1f} on average"


def _value(text: str | None) -> str:
    return _NOTHING if text is None else text


def figure_words(figure: float | None) -> str:
    """Return a computed figure with the digits that say something.

    Example:
        >>> figure_words(1234.5678), figure_words(0.00123456789), figure_words(None)
        ('1,234.57', '0.00123457', '-')
    """
    return _NOTHING if figure is None else f"{figure:,.{_DIGITS}g}"


# --- side by side --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Change:
    """A column in two profiles, in words: pairs of what was and what is."""

    name: str
    words: tuple[str, ...]
    pairs: Mapping[str, tuple[str, str]]
    distance: str
    bar: Markup


def _change(each: Difference) -> _Change:
    both = (each.was, each.now)
    distance = each.distance or 0.0
    return _Change(
        each.name, each.words,
        {
            "Type": _both(c.kind if c else _NOTHING for c in both),
            "Missing": _both(percent_words(c.null_share) if c else _NOTHING for c in both),
            "Distinct": _both(count_words(c.distinct) if c else _NOTHING for c in both),
            "Mean": _both(figure_words(c.mean) if c else _NOTHING for c in both),
            "Median": _both(_value(c.quantile("median")) if c else _NOTHING for c in both),
        },
        _NOTHING if each.distance is None else percent_words(each.distance),
        share_bar([("f-updated", distance)]),
    )  # fmt: skip


def _both(words: Iterable[str]) -> tuple[str, str]:
    was, now = words
    return was, now


def _counts(was: Profile, now: Profile) -> list[tuple[str, str, str]]:
    names = {
        "records": "rows", "equal to another record": "record_duplicates",
        "with the key of another": "key_duplicates", "unreadable lines": "unreadable",
    }  # fmt: skip
    return [
        (words, count_words(getattr(was, name)), count_words(getattr(now, name)))
        for words, name in names.items()
    ]

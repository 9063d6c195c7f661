"""How good the data of a CSV file are: scores, figures of each field, reports.

from etl.data_quality import analyze_csv_quality

metrics = analyze_csv_quality("data/processed/orders.csv")
metrics.print_summary()
metrics.save_report("reports/quality.json")
"""

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any

from etl.errors import ConfigurationError
from etl.files import write_atomically
from etl.profile.figures import Profile
from etl.profile.look import judge_file
from etl.profile.report import profile_page
from etl.profile.validity import Violation, listed
from etl.rules.usual import SCORE_WEIGHTS


@dataclass(frozen=True)
class QualityMetrics:
    """How good the data of a file are.

    Attributes:
        profile: what was counted of its columns.
        valid_records: records that could be read and break no rule.
        violations: rules that are broken, and by how many records.
        weights: by score, how much it weighs in the overall one.
    """

    profile: Profile
    valid_records: int
    violations: tuple[Violation, ...]
    weights: Mapping[str, float]

    @property
    def total_records(self) -> int:
        """Records and lines that cannot be taken apart."""
        return self.profile.rows + self.profile.unreadable

    @property
    def invalid_records(self) -> int:
        """Records that break a rule, and lines that cannot be taken apart."""
        return self.total_records - self.valid_records

    @property
    def duplicate_records(self) -> int:
        """Records that repeat another one: its key, or all of it."""
        return max(self.profile.key_duplicates, self.profile.record_duplicates)

    @property
    def null_counts(self) -> dict[str, int]:
        """By field, how many records have no value in it."""
        return {column.name: column.nulls for column in self.profile.columns}

    @property
    def completeness_score(self) -> float:
        """The share of all values that are there, 0 to 100."""
        cells = self.profile.rows * len(self.profile.columns)
        return _score(cells - sum(self.null_counts.values()), cells)

    @property
    def validity_score(self) -> float:
        """The share of the records that are valid, 0 to 100."""
        return _score(self.valid_records, self.total_records)

    @property
    def consistency_score(self) -> float:
        """The share of the records that repeat no other one, 0 to 100."""
        return _score(self.profile.rows - self.duplicate_records, self.profile.rows)

    @cached_property
    def overall_score(self) -> float:
        """The mean of the three scores by their weights, 0 to 100."""
        weighed = sum(getattr(self, f"{n}_score") * weight for n, weight in self.weights.items())
        return float(round(weighed / sum(self.weights.values()), 2))

    @property
    def field_statistics(self) -> dict[str, dict[str, Any]]:
        """By field, what was counted of it."""
        return {column.name: asdict(column) for column in self.profile.columns}

    def as_dict(self) -> dict[str, Any]:
        """Return what the report holds."""
        names = ("total_records", "valid_records", "invalid_records", "duplicate_records",
                 "null_counts", "completeness_score", "validity_score", "consistency_score",
                 "overall_score")  # fmt: skip
        return {
            "file": self.profile.name, **{name: getattr(self, name) for name in names},
            "weights": dict(self.weights), "validation_errors": listed(self.violations),
            "field_statistics": self.field_statistics,
        }  # fmt: skip

    def summary(self) -> str:
        """Return the figures and what is broken, a line each."""
        lines = [f"{self.profile.name}: {self.overall_score:g} of 100"]
        lines += [f"  {name} {getattr(self, f'{name}_score'):g}" for name in self.weights]
        lines.append(
            f"  {self.total_records:,} records: {self.valid_records:,} valid, "
            f"{self.invalid_records:,} invalid, {self.duplicate_records:,} duplicates"
        )
        missing = {name: nulls for name, nulls in self.null_counts.items() if nulls}
        lines += [f"  {name}: {nulls:,} without a value" for name, nulls in missing.items()]
        lines += [f"  {v.column} {v.rule}: not so in {v.records:,}" for v in self.violations]
        return "\n".join(lines)

    def print_summary(self) -> None:
        """Print the summary on stdout."""
        sys.stdout.write(f"{self.summary()}\n")

    def save_report(self, path: str | Path) -> Path:
        """Write the report: as a page for `.html`, a row per field for `.csv`, else as JSON.

        Returns:
            The path.

        Raises:
            OSError: it cannot be written.
        """
        target = Path(path)
        text = _WRITERS.get(target.suffix.lower(), _as_json)(self)
        return write_atomically(target, text)

    def save_dashboard(self, path: str | Path) -> Path:
        """Write the page, whatever the path ends in."""
        return write_atomically(Path(path), _as_page(self))


def _score(good: int, of: int) -> float:
    return round(100 * good / of, 2) if of else 100.0


def _as_json(metrics: QualityMetrics) -> str:
    return json.dumps(metrics.as_dict(), indent=2, ensure_ascii=False) + "\n"


def _as_csv(metrics: QualityMetrics) -> str:
    names = ("name", "kind", "rows", "nulls", "distinct", "lowest", "highest", "mean", "deviation")
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([getattr(each, name) for name in names] for each in metrics.profile.columns)
    return text.getvalue()


def _as_page(metrics: QualityMetrics) -> str:
    names = (*metrics.weights, "overall")
    return profile_page(
        metrics.profile,
        scores={name: getattr(metrics, f"{name}_score") for name in names},
        broken=[(f"{v.column} {v.rule}", v.records) for v in metrics.violations],
    )


_WRITERS = {".html": _as_page, ".csv": _as_csv}


def analyze_csv_quality(
    path: str | Path, *, key: Sequence[str] = (), weights: Mapping[str, float] | None = None
) -> QualityMetrics:
    """Count how good the data of a file are.

    A record is valid when it can be read, when each value is what its column mostly holds, and
    when columns of usual names keep the usual rules (`etl.rules.usual`).

    Args:
        path: CSV, JSON or Parquet, compressed or not.
        key: columns that should distinguish its records; found by their names when left out.
        weights: of the scores completeness, validity and consistency in the overall one.

    Raises:
        ConfigurationError: the file cannot be read or has no records, or there is no such score
            or column.

    Example:
        >>> metrics = analyze_csv_quality("data/input/sales_transactions.csv")
        >>> metrics.total_records, metrics.duplicate_records, metrics.validity_score
        (420, 3, 97.38)
        >>> print(metrics.summary().splitlines()[-1])
          transaction_date is a date: not so in 4
    """
    chosen = dict(weights or SCORE_WEIGHTS)
    if odd := [name for name in chosen if name not in SCORE_WEIGHTS]:
        raise ConfigurationError(f"no score {odd[0]}", choices=", ".join(SCORE_WEIGHTS))
    profile, validity = judge_file(Path(path), key=key)
    return QualityMetrics(profile, validity.valid, validity.violations, chosen)


def compare_quality(before: QualityMetrics, after: QualityMetrics) -> dict[str, dict[str, float]]:
    """Return how the figures of a file have changed, such as by cleaning it.

    Args:
        before: of the one file.
        after: of the other.

    Returns:
        By figure a dict of `before`, `after` and `change`.

    Example:
        >>> metrics = analyze_csv_quality("data/input/customers.csv")
        >>> compare_quality(metrics, metrics)["overall_score"]["change"]
        0.0
    """
    names = ("total_records", "valid_records", "duplicate_records", "completeness_score",
             "validity_score", "consistency_score", "overall_score")  # fmt: skip
    pairs = {name: (getattr(before, name), getattr(after, name)) for name in names}
    return {
        name: {"before": was, "after": now, "change": round(now - was, 2)}
        for name, (was, now) in pairs.items()
    }

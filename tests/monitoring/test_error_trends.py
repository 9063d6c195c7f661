"""The most common errors of late, and where they are going."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from etl.monitoring.health.runs import common_errors


def runs(counts: Sequence[int], **reject: str) -> list[Mapping[str, Any]]:
    """Runs that rejected so many records each."""
    return [
        {"run_id": f"r{place:02}", "error": "",
         "rejects": [{**reject, "rows": count}] if count else []}
        for place, count in enumerate(counts)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("counts", "trend"),
    [
        ([1, 1, 1, 1], "steady"),
        ([4, 4, 5, 4], "steady"),
        ([1, 2, 4, 8], "rising"),
        ([8, 4, 2, 1], "falling"),
        ([0, 0, 0, 3], "new"),
        ([3, 0, 0, 0], "gone"),
        ([9, 9, 500, 9, 9], "steady"),  # the run in the middle belongs to neither half
    ],
)
def test_the_newer_half_is_checked_against_the_older(counts: list[int], trend: str) -> None:
    (found,) = common_errors(runs(counts, source="sales", error_class="rule", field="quantity"))
    assert (found.trend, found.count, found.runs) == (trend, sum(counts), sum(map(bool, counts)))
    assert (found.kind, found.source, found.error) == ("record", "sales", "rule quantity")


def test_only_the_last_runs_count() -> None:
    (found,) = common_errors(runs([50, 1, 1], source="s", error_class="rule", field="q"), runs=2)
    assert found.count == 2


def test_what_ended_runs_comes_first_and_the_most_common_before_the_others() -> None:
    entries: list[Mapping[str, Any]] = [
        {"run_id": "a", "error": "disk full",
         "rejects": [{"source": "sales", "error_class": "rule", "field": "q", "rows": 99}]},
        {"run_id": "b", "error": "no server"},
        {"run_id": "c", "error": "no server"},
    ]  # fmt: skip
    assert [each.error for each in common_errors(entries)] == ["no server", "disk full", "rule q"]


def test_the_same_error_is_one_though_its_figures_and_paths_differ() -> None:
    errors = [
        "cannot open /data/a1.csv: line 7, column 9. Next: look",
        "cannot open /data/b2.csv: line 12, column 1. Next: look",
    ]
    entries = [{"run_id": str(n), "error": error} for n, error in enumerate(errors)]
    (found,) = common_errors(entries)
    assert (found.count, found.last_run) == (2, "1")
    assert found.error == "cannot open … line … column …"


def test_an_error_of_a_source_is_reported_with_its_name() -> None:
    sources = [{"source": "products", "error": "no file"}, {"source": "sales", "error": ""}]
    entry = {"run_id": "a", "error": "no file", "sources": sources}
    assert [each.error for each in common_errors([entry])] == ["products: no file"]


@pytest.mark.parametrize(
    "entry", [{}, {"error": None, "rejects": None}, {"rejects": [7]}, {"sources": ["x"]}]
)
def test_what_somebody_edited_is_no_error(entry: dict[str, Any]) -> None:
    assert common_errors([{"run_id": "a", **entry}]) == []


def test_no_runs_have_no_errors() -> None:
    assert common_errors([]) == []

"""Several threads work on items; the results come in the order of the items."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline_runs import Project, reported

from etl.pipeline.in_order import in_order
from etl.sources import csv_reader

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "input"


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(threads: int) -> None:
    assert list(in_order(lambda n: n * n, range(50), threads=threads)) == [n * n for n in range(50)]


def test_a_result_waits_for_the_one_before_it_which_is_slower() -> None:
    second_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 1:
            assert second_is_done.wait(10)
        if item == 2:
            second_is_done.set()
        return item

    assert list(in_order(work, [1, 2, 3], threads=2)) == [1, 2, 3]


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_of_the_items_is_raised_after_the_results_before_it(threads: int) -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        raise ZeroDivisionError

    results = in_order(str, items(), threads=threads)
    assert [next(results), next(results)] == ["1", "2"]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_of_the_work_is_raised_in_its_place(threads: int) -> None:
    results = in_order(lambda n: 1 // n, [1, 0, 1], threads=threads)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_no_more_items_are_taken_ahead_than_there_are_threads() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    results = in_order(str, items(), threads=3)
    next(results)
    assert len(taken) == 3
    results.close()  # type: ignore[attr-defined]  # a generator
    assert not [each.name for each in threading.enumerate() if each.name.startswith("rules")]


@pytest.mark.parametrize("workers", ["2", "3"])
def test_a_run_is_the_same_with_any_number_of_workers(
    tmp_path: Path, workers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_reader, "MOST_READ_BYTES", 2_000)  # some twenty blocks of the sample
    one, several = (
        Project(tmp_path / name, INPUT_DIR=str(SAMPLE), WORKERS=name) for name in ("1", workers)
    )
    assert reported(one.run(), one) == reported(several.run(), several)
    assert one.tables() == several.tables()

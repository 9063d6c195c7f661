"""Reading ahead in a thread."""

import threading
from collections.abc import Iterator

import pytest

from etl.pipeline.read_ahead import ReadAhead


def test_items_arrive_in_order() -> None:
    with ReadAhead(lambda: iter(range(100)), "numbers") as reader:
        assert list(reader) == list(range(100))


def test_what_the_source_raises_is_raised_after_the_items_before_it() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    with ReadAhead(numbers, "numbers") as reader:
        items = iter(reader)
        assert next(items) == 1
        with pytest.raises(ZeroDivisionError):
            next(items)


def assert_read_ahead(sizes: list[int], expected: int, *, room: int) -> None:
    """While nobody takes any, so many items of these sizes are read."""
    taken = []
    reached = threading.Event()

    def items() -> Iterator[int]:
        for size in sizes:
            taken.append(size)
            if len(taken) == expected:
                reached.set()
            yield size

    with ReadAhead(items, "numbers", size=lambda size: size, room=room):
        assert reached.wait(5)
        assert len(taken) == expected


def test_it_reads_on_while_there_is_room() -> None:
    assert_read_ahead([1] * 100, 4, room=3)  # three wait, and one is in hand


def test_the_room_is_for_what_the_items_take() -> None:
    assert_read_ahead([50, 40, 20, 1, 1], 4, room=100)  # the third is begun while 90 wait


def test_an_item_larger_than_the_room_is_read_all_the_same() -> None:
    with ReadAhead(lambda: iter([7, 8, 9]), "numbers", size=lambda size: size, room=1) as reader:
        assert list(reader) == [7, 8, 9]


def test_closing_early_closes_the_source_and_ends_the_thread() -> None:
    closed = threading.Event()

    def numbers() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    reader = ReadAhead(numbers, "endless")
    assert next(iter(reader)) == 1
    reader.close()
    assert closed.wait(5)
    assert "endless" not in {thread.name for thread in threading.enumerate()}

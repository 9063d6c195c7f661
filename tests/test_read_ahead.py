"""Reading ahead in a thread."""

import threading
from collections.abc import Iterator

import pytest

from read_ahead import ReadAhead


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


def test_no_more_than_the_queue_holds_is_read_ahead() -> None:
    taken = []
    waiting = threading.Event()

    def numbers() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            if number == 3:
                waiting.set()
            yield number

    with ReadAhead(numbers, "numbers", max_blocks=3):
        assert waiting.wait(5)
        assert taken == [0, 1, 2, 3]  # three in the queue, one in hand


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

"""A source is read again only when a proven order reads dates that went before in another way."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import HeldBackError
from etl.rules.dates import DAY_FIRST, MONTH_FIRST, DateOrder, DateReading, read_timestamps
from etl.sources.watch import OrderProvenError, Watch, with_proven_order


@pytest.mark.parametrize(
    ("before", "proof", "again"),
    [
        ("02/01/2024", "01/13/2024", False),  # slashes are read month first anyway
        ("02/01/2024", "13/01/2024", True),
        ("2.1.2024", "13/01/2024", False),  # dots day first
        ("2.1.2024", "01/13/2024", True),
        ("02/02/2024", "13/01/2024", False),
        ("2024-01-02", "13/01/2024", False),
    ],
)
def test_a_proof_asks_for_another_reading_only_where_it_changes_a_date(
    before: str, proof: str, again: bool
) -> None:
    watch = Watch()
    watch.see_dates("sold", pa.array([before]))
    if again:
        with pytest.raises(OrderProvenError, match=proof):
            watch.see_dates("sold", pa.array([proof]))
    else:
        watch.see_dates("sold", pa.array([proof]))
    assert watch.dates.order == (MONTH_FIRST if proof.startswith("01") else DAY_FIRST)


# --- parts of a source ---

DATES = st.sampled_from(
    ["", "2024-01-05", "02/02/2024", "02/01/2024", "2.1.2024", "13/01/2024", "01/13/2024", "x"]
)


Parts = list[list[str]]


def seen(parts: Parts, *, partial: bool, order: DateOrder | None = None) -> Watch:
    """A watch that has read these blocks, again where a date proves the order."""
    watch = Watch(partial=partial)
    watch.dates = replace(watch.dates, order=order)

    def read() -> None:
        watch.begin()
        for part in parts:
            watch.see_dates("sold", pa.array(part, pa.string()))
        watch.end_dates("sold")

    with_proven_order(read)
    return watch


def values(parts: Parts, orders: Sequence[DateOrder | None]) -> list[object]:
    """The dates as they were read."""
    readings = (replace(Watch().dates, order=order) for order in orders)
    pairs = zip(parts, readings, strict=True)
    return [read_timestamps(pa.array(p, pa.string()), r).to_pylist() for p, r in pairs]


def in_parts(parts: Parts) -> tuple[Watch, list[object]]:
    """Watches that have read a block each, merged."""
    noticed = [seen([part], partial=True).noticed() for part in parts]
    watch = Watch()
    try:
        watch.merge(noticed)
    except OrderProvenError:
        order = watch.dates.order
        noticed = [
            each if each.fits(order) else seen([part], partial=True, order=order).noticed()
            for part, each in zip(parts, noticed, strict=True)
        ]
        watch.merge(noticed)
    return watch, values(parts, [each.order for each in noticed])


def whole(parts: Parts) -> tuple[Watch, list[object]]:
    watch = seen(parts, partial=False)
    return watch, values(parts, [watch.dates.order] * len(parts))


def said(read: Callable[[Parts], tuple[Watch, list[object]]], parts: Parts) -> tuple[object, ...]:
    try:
        watch, found = read(parts)
    except HeldBackError as error:
        return (str(error),)
    return (watch.dates.order, list(watch.facts), list(watch.warnings), found)


@settings(max_examples=200, deadline=None)
@given(parts=st.lists(st.lists(DATES, max_size=4), min_size=1, max_size=5))
def test_dates_in_parts_are_read_as_in_the_whole_and_the_same_is_said_of_them(parts: Parts) -> None:
    assert said(in_parts, parts) == said(whole, parts)


def test_parts_read_in_the_order_that_a_setting_gives_are_never_read_again() -> None:
    given_order = DateReading(DAY_FIRST, "UTC")
    parts = [Watch(given_order, partial=True) for _ in range(2)]
    for each, text in zip(parts, ("01/13/2024", "13/01/2024"), strict=True):
        each.see_dates("sold", pa.array([text]))
    watch = Watch(given_order)
    watch.merge([each.noticed() for each in parts])
    assert watch.dates.order == DAY_FIRST
    assert not watch.facts

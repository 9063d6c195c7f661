"""Charts drawn from figures: what is drawn is measured and compared with the figures."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.reports.charts import (
    Axis,
    Column,
    Point,
    axis_for,
    bars_under_lanes,
    columns,
    curve,
    flow,
    nice_top,
    share_bar,
)

AXIS = Axis(10.0, "{:g} s".format, "durations", height=100)


def bars(svg: str, state: str = "good") -> list[tuple[int, float]]:
    """Place and height of each bar."""
    (d,) = re.findall(rf'class="took {state}" d="([^"]*)"', svg)
    return [(int(x), -float(v)) for x, v in re.findall(r"M(\d+) [\d.]+h8v(-?[\d.]+)h-8z", d)]


def heights(svg: str) -> list[float]:
    """How many pixels from the top each point of a curve is."""
    (d,) = re.findall(r'class="curve[ \w]*" d="M\d+ ([^"]*)"', svg)
    first, *steps = re.split(r"l\d+ ", d)
    found = [float(first)]
    for step in steps:
        found.append(round(found[-1] + float(step), 1))
    return found


def test_a_bar_is_as_high_as_its_value() -> None:
    svg = bars_under_lanes([Point(5.0), Point(None), Point(10.0)], AXIS, lanes=[])
    assert bars(svg) == [(1, 50.0), (21, 100.0)]


def test_a_run_has_a_tick_in_the_lane_of_its_outcome() -> None:
    points = [Point(1.0, lane=0), Point(1.0, "bad", lane=1), Point(1.0, lane=0)]
    lanes = [("good", "success"), ("bad", "failed")]
    svg = bars_under_lanes(points, AXIS, lanes=lanes)
    assert 'class="lane dots good" d="M5 11v0M25 11v0"' in svg
    assert 'class="lane dots bad" d="M15 33v0"' in svg


def test_a_run_shows_what_it_was_when_pointed_at() -> None:
    svg = bars_under_lanes([Point(1.0, tooltip="a<b")], AXIS, lanes=[])
    assert "<title>a&lt;b</title>" in svg


def test_a_curve_passes_through_its_values_and_over_those_that_are_missing() -> None:
    svg = curve([Point(0.0), Point(2.5), Point(None), Point(10.0)], AXIS)
    assert heights(svg) == [100.0, 75.0, 0.0]
    assert "l20 -75" in svg  # the missing one has its place


def test_a_curve_without_values_has_an_axis_still() -> None:
    svg = curve([Point(None)], AXIS)
    assert "curve" not in svg
    assert "10 s" in svg


@pytest.mark.parametrize("runs", [2, 3, 24, 400])
def test_the_first_and_the_last_run_are_labelled(runs: int) -> None:
    svg = curve([Point(1.0, when=f"day {n}") for n in range(runs)], AXIS)
    assert "day 0<" in svg
    assert f"day {runs - 1}<" in svg


def test_one_value_far_above_the_others_is_cut_off_and_the_axis_says_so() -> None:
    values = [10.0, 12.0, 11.0, 10.0, 9.0, 400.0]
    axis = axis_for(values, "{:g} s".format, summary="", height=100)
    svg = curve([Point(value) for value in values], axis)
    assert axis.top < 40
    assert f"≥ {axis.top:g} s<" in svg
    assert heights(svg)[-1] == 0


@pytest.mark.parametrize(
    "values", [[], [None], [0.0], [3.0, 400.0], [1.0, 2.0, 3.0, 4.0, 5.0, 9.0]]
)
def test_nothing_is_cut_off_without_need(values: list[float | None]) -> None:
    axis = axis_for(values, str, summary="")
    assert axis.top >= max((v for v in values if v is not None), default=0)
    assert not axis.cut


@pytest.mark.parametrize("largest", [1e-9, 0.07, 0.3, 1, 7.1, 99, 100, 101, 12345, 1e15])
def test_an_axis_ends_at_or_a_little_above_the_largest_value(largest: float) -> None:
    assert largest <= nice_top(largest) * (1 + 1e-9)
    assert nice_top(largest) <= 2 * largest


def test_the_parts_of_a_bar_are_as_wide_as_their_shares() -> None:
    svg = share_bar([("f-inserted", 0.25), ("f-rejected", 0.5)])
    assert re.findall(r'class="(f-\w+)" x="([\d.]+)" width="([\d.]+)"', svg) == [
        ("f-inserted", "0", "25"),
        ("f-rejected", "25", "50"),
    ]


def bands(svg: str) -> list[tuple[float, float]]:
    """How wide each band of a flow is where it begins and where it ends, pixels."""
    found = []
    for d in re.findall(r'<path class="f-[^"]*" d="([^"]*)"', svg):
        figures = [float(figure) for figure in re.findall(r"-?[\d.]+(?:e-?\d+)?", d)]
        start, end, far_end, near_end = figures[1], figures[7], figures[9], figures[15]
        found.append((near_end - start, far_end - end))
    return found


COUNTS = st.lists(st.integers(1, 10**6), min_size=1, max_size=6)


@given(COUNTS)
def test_each_band_of_a_flow_is_as_wide_as_its_figure_at_both_ends(counts: list[int]) -> None:
    drawn = bands(flow([("f-plain", count) for count in counts]).picture)
    for count, (start, end) in zip(counts, drawn, strict=True):
        share = count / sum(counts)
        assert start == pytest.approx(96 * share, abs=2e-3)
        assert end == pytest.approx(96 * share, abs=2e-3)


def test_148_of_160_records_are_a_band_of_so_much_of_the_whole() -> None:
    widths, _ = bands(flow([("f-inserted", 148), ("f-rejected", 12)]).picture)
    assert widths == pytest.approx((96 * 148 / 160, 96 * 148 / 160))


@given(COUNTS)
def test_the_bands_of_a_flow_do_not_overlap_and_have_room_for_their_words(
    counts: list[int],
) -> None:
    drawn = flow([("f-plain", count) for count in counts])
    assert all(lane >= 27 for lane in drawn.lanes)
    edges = []
    for d in re.findall(r'<path class="f-[^"]*" d="([^"]*)"', drawn.picture):
        figures = [float(figure) for figure in re.findall(r"-?[\d.]+(?:e-?\d+)?", d)]
        edges.append((figures[7], figures[9]))
    assert all(upper[1] <= lower[0] + 1e-3 for upper, lower in pairwise(edges))


def test_a_band_too_thin_to_be_seen_has_a_thread_along_it() -> None:
    svg = flow([("f-plain", 1_000_000), ("f-rejected", 1)]).picture
    assert re.findall(r'class="thread (t[\w-]+)"', svg) == ["tf-rejected"]


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=20))
def test_the_parts_of_a_column_are_as_high_as_their_figures(
    figures: list[tuple[int, int]],
) -> None:
    axis = Axis(2_000_000.0, str, "amounts", height=1000)
    svg = columns([Column("day", parts) for parts in figures], axis, colours=["low", "high"])
    for place, colour in enumerate(("low", "high")):
        drawn = re.findall(r"M(\d+) [\d.]+h8v(-?[\d.]+)h-8z", path_of(svg, colour))
        heights = {int(x) // 10: -float(height) for x, height in drawn}
        for index, parts in enumerate(figures):
            assert heights.get(index, 0) == pytest.approx(parts[place] / 2000, abs=0.11)


def path_of(svg: str, style: str) -> str:
    return "".join(re.findall(rf'<path class="{style}" d="([^"]*)"', svg))

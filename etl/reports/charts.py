"""Charts as inline SVG: pure functions from figures to markup, drawn without a script.

A chart is as wide as its place and keeps its height: its x axis counts slots and is stretched by
the browser, its y axis is in pixels. Texts stand beside the picture as HTML, so that they are
never stretched and a phone shows them at the size of all other text.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from etl.reports.page import NOTHING, Markup, escaped, joined

# Units of x per slot; a bar leaves a little of its slot free.
_SLOT = 10
_BAR = 8
# With fewer runs than this the bars would be slabs.
_FEWEST_SLOTS = 24
_LANE_HEIGHT = 22
# A value so many times what nine in ten stay below would flatten them: it is cut off.
_FAR_ABOVE = 4
_FEWEST_TO_CUT = 5
_ROOM = 1.5
_MOST_DOTS = 60
_STROKE = 14
_ROUND_STEPS = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)
# Labels of the x axis nearer to its end than this, in per cent, do not stand centred.
_EDGE = 12
# The flow is this long; a stream of few records is still seen.
_FLOW = 100
_THINNEST = 3.0
_FAN_OUT = 0.8


@dataclass(frozen=True)
class Point:
    """One run on the x axis.

    Attributes:
        value: its height in the chart; None when there is none.
        state: good, warn, bad or idle; says the colour.
        lane: which lane its tick stands in, from the top.
        tooltip: what a mouse finds there; plain text.
        when: its label on the x axis; plain text.
    """

    value: float | None
    state: str = "good"
    lane: int = 0
    tooltip: str = ""
    when: str = ""


@dataclass(frozen=True)
class Axis:
    """The y axis of a chart.

    Attributes:
        top: value at the upper edge.
        say: a value in words.
        summary: what the chart shows, for those who cannot see it; plain text.
        bottom: value at the lower edge.
        height: pixels between both.
        above: pixels of lanes over the upper edge.
        cut: values above the upper edge are cut off there.
    """

    top: float
    say: Callable[[float], str]
    summary: str
    bottom: float = 0.0
    height: int = 96
    above: int = 0
    cut: bool = False

    def y(self, value: float) -> float:
        """Pixels from the top of the picture; a value outside stands at the edge."""
        share = (value - self.bottom) / ((self.top - self.bottom) or 1.0)
        return round(self.above + self.height * (1 - min(max(share, 0.0), 1.0)), 1)


def axis_for(
    values: Iterable[float | None],
    say: Callable[[float], str],
    *,
    summary: str,
    height: int = 96,
) -> Axis:
    """An axis from zero up over all values, or over all but a few that would flatten the others.

    Args:
        values: what the chart shows.
        say: a value in words.
        summary: what the chart shows, in plain text.
        height: pixels.

    Example:
        >>> axis_for([10.0] * 30 + [900.0], str, summary="").top
        15.0
    """
    known = sorted(value for value in values if value is not None)
    largest = known[-1] if known else 0.0
    common = known[(len(known) - 1) * 9 // 10] if known else 0.0
    cut = len(known) >= _FEWEST_TO_CUT and 0 < common * _FAR_ABOVE < largest
    top = nice_top(common * _ROOM if cut else largest)
    return Axis(top, say, summary, height=height, cut=cut)


def nice_top(largest: float) -> float:
    """A round number at or above the largest value, for the upper edge of a chart.

    Example:
        >>> nice_top(0.23), nice_top(37), nice_top(0)
        (0.3, 40.0, 1.0)
    """
    if largest <= 0:
        return 1.0
    magnitude = 10.0 ** math.floor(math.log10(largest))
    step = next((s for s in _ROUND_STEPS if s * magnitude >= largest * (1 - 1e-9)), 10)
    return float(f"{step * magnitude:g}")


def bars_under_lanes(
    points: Sequence[Point], axis: Axis, *, lanes: Sequence[tuple[str, Markup]]
) -> Markup:
    """A bar per run, and above it a tick in the lane of its outcome.

    Args:
        points: the runs, oldest first.
        axis: y axis of the bars; its `above` is set here.
        lanes: state and name of each lane, from the top.

    Example:
        >>> svg = bars_under_lanes([Point(2.0)], Axis(2, str, "runs"), lanes=[])
        >>> '<path class="took good" d="M1 96h8v-96h-8z"/>' in svg
        True
    """
    axis = _below(axis, lanes)
    shapes = [_ticks(points, index, state) for index, (state, _) in enumerate(lanes)]
    shapes += [_bars(points, axis, state) for state in sorted({p.state for p in points})]
    hits = joined(_hit(index, point, axis) for index, point in enumerate(points))
    names = [
        Markup(f'<span style="top:{_lane_y(index):g}px">{name}</span>')
        for index, (_, name) in enumerate(lanes)
    ]
    return _plot(points, axis, Markup(f"{joined(shapes)}{hits}"), names=joined(names))


def curve(points: Sequence[Point], axis: Axis, *, usual: float | None = None) -> Markup:
    """A line over the runs that have a value, with a dot at the last.

    Args:
        points: the runs, oldest first.
        axis: the y axis.
        usual: where a dotted line marks what is usual.

    Example:
        >>> '<path class="curve" d="M5 96l10 -48"/>' in curve(
        ...     [Point(0.0), Point(1.0)], Axis(2, str, "runs"))
        True
    """
    places = [
        (index * _SLOT + _SLOT // 2, axis.y(point.value))
        for index, point in enumerate(points)
        if point.value is not None
    ]
    if not places:
        return _plot(points, axis, NOTHING)
    last_x, last_y = places[-1]
    style = "curve" if len(places) <= _MOST_DOTS else "curve fine"
    line = Markup(
        f'<path class="{style}" d="{_line(places)}"/><path class="dot" d="M{last_x} {last_y:g}h0"/>'
    )
    mark = _level(axis.y(usual), points, "usual") if usual is not None else NOTHING
    return _plot(points, axis, Markup(f"{mark}{line}"))


def share_bar(parts: Sequence[tuple[str, float]]) -> Markup:
    """One bar of parts beside each other; the figures stand next to it, so it has no text.

    Args:
        parts: colour class and share (0..1) of each.

    Example:
        >>> '<rect class="f-plain" x="0" width="50" height="10"/>' in share_bar([("f-plain", 0.5)])
        True
    """
    shapes, x = [], 0.0
    for colour, share in parts:
        width = 100 * share
        shapes.append(f'<rect class="{colour}" x="{x:.4g}" width="{width:.4g}" height="10"/>')
        x += width
    return Markup(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="back" width="100" height="10"/>{"".join(shapes)}</svg>'
    )


def key(colour: str) -> Markup:
    """The small square that says which colour a word has in a chart."""
    return Markup(
        '<svg class="key" viewBox="0 0 1 1" aria-hidden="true">'
        f'<rect class="{colour}" width="1" height="1"/></svg>'
    )


def flow(parts: Sequence[tuple[str, int]], *, down: bool = False) -> Markup:
    """A stream of records that parts into its fates, each of which ends in a lane of equal width.

    Args:
        parts: colour class and number of records of each fate.
        down: it runs from top to bottom, not from left to right.

    Example:
        >>> flow([("f-plain", 3), ("f-rejected", 1)]).count("<path")
        2
    """
    total = sum(rows for _, rows in parts) or 1
    lane = _FLOW / (len(parts) or 1)
    starts = _starts([rows / total for _, rows in parts])
    shapes = []
    for index, (colour, rows) in enumerate(parts):
        thick = max(lane * _FAN_OUT * rows / total, _THINNEST)
        centre = lane * (index + 0.5)
        band = (*starts[index], centre - thick / 2, centre + thick / 2)
        shapes.append(f'<path class="{colour}" d="{_band(band, down=down)}"/>')
    return Markup(
        f'<svg class="flow" viewBox="0 0 {_FLOW} {_FLOW}" preserveAspectRatio="none" '
        f'aria-hidden="true">{"".join(shapes)}</svg>'
    )


# --- parts of a flow -------------------------------------------------------------------------


def _starts(shares: Sequence[float]) -> list[tuple[float, float]]:
    """Where each band begins; bands too thin to be seen are widened at the others' cost."""
    widened = [max(share * _FLOW, _THINNEST) for share in shares]
    scale, edge, starts = _FLOW / (sum(widened) or 1), 0.0, []
    for width in widened:
        starts.append((edge, edge + width * scale))
        edge += width * scale
    return starts


def _band(edges: tuple[float, float, float, float], *, down: bool) -> str:
    start, start_end, end, end_end = edges
    near, far, half = 0, _FLOW, _FLOW / 2
    corners = [
        (near, start), (half, start), (half, end), (far, end),
        (far, end_end), (half, end_end), (half, start_end), (near, start_end),
    ]  # fmt: skip
    texts = [f"{y:.4g} {x:.4g}" if down else f"{x:.4g} {y:.4g}" for x, y in corners]
    return "M{}C{} {} {}L{}C{} {} {}z".format(*texts)


# --- parts of a plot -------------------------------------------------------------------------


def _below(axis: Axis, lanes: Sequence[object]) -> Axis:
    above = len(lanes) * _LANE_HEIGHT + (_LANE_HEIGHT // 2 if lanes else 0)
    return replace(axis, above=above)


def _lane_y(index: int) -> float:
    return (index + 0.5) * _LANE_HEIGHT


def _ticks(points: Sequence[Point], lane: int, state: str) -> Markup:
    """Dots where there is room for them, strokes where there is not."""
    half = 0 if len(points) <= _MOST_DOTS else _STROKE // 2
    d = "".join(
        f"M{index * _SLOT + _SLOT // 2} {_lane_y(lane) - half:g}v{2 * half}"
        for index, point in enumerate(points)
        if point.lane == lane
    )
    shape = "stroke" if half else "dots"
    return Markup(
        f'{_level(_lane_y(lane), points, "grid")}<path class="lane {shape} {state}" d="{d}"/>'
    )


def _bars(points: Sequence[Point], axis: Axis, state: str) -> Markup:
    foot, side = axis.y(axis.bottom), (_SLOT - _BAR) // 2
    d = "".join(
        f"M{index * _SLOT + side} {foot:g}h{_BAR}v{axis.y(p.value) - foot:g}h-{_BAR}z"
        for index, p in enumerate(points)
        if p.state == state and p.value is not None
    )
    return Markup(f'<path class="took {state}" d="{d}"/>') if d else NOTHING


def _hit(index: int, point: Point, axis: Axis) -> Markup:
    return Markup(
        f'<rect class="hit" x="{index * _SLOT}" width="{_SLOT}" '
        f'height="{axis.above + axis.height}"><title>{escaped(point.tooltip)}</title></rect>'
    )


def _line(places: Sequence[tuple[int, float]]) -> str:
    x, y = places[0]
    steps = (
        f"l{then[0] - now[0]} {round(then[1] - now[1], 1):g}" for now, then in pairwise(places)
    )
    return f"M{x} {y:g}" + "".join(steps)


def _slots(points: Sequence[Point]) -> int:
    return max(len(points), _FEWEST_SLOTS)


def _level(y: float, points: Sequence[Point], style: str) -> Markup:
    return Markup(f'<path class="{style}" d="M0 {y:g}H{_slots(points) * _SLOT}"/>')


def _plot(
    points: Sequence[Point], axis: Axis, shapes: Markup, *, names: Markup = NOTHING
) -> Markup:
    height = axis.above + axis.height
    levels = (axis.top, (axis.top + axis.bottom) / 2, axis.bottom)
    lines = joined(
        _level(axis.y(level), points, "grid base" if level == axis.bottom else "grid")
        for level in levels
    )
    texts = joined(
        Markup(f'<span style="top:{axis.y(level):g}px">{escaped(_level_words(axis, level))}</span>')
        for level in levels
    )
    return Markup(
        f'<div class="plot"><div class="ys" aria-hidden="true">{names}{texts}</div>\n'
        f'<svg role="img" aria-label="{escaped(axis.summary)}" height="{height}" '
        f'viewBox="0 0 {_slots(points) * _SLOT} {height}" preserveAspectRatio="none">'
        f'{lines}{shapes}</svg>\n<div class="xs" aria-hidden="true">{_dates(points)}</div></div>'
    )


def _level_words(axis: Axis, level: float) -> str:
    return f"≥ {axis.say(level)}" if axis.cut and level == axis.top else axis.say(level)


def _dates(points: Sequence[Point]) -> Markup:
    """The first, the middle and the last label, as far as they have room."""
    wanted = [0, len(points) // 2, len(points) - 1] if len(points) >= _FEWEST_SLOTS else [0]
    return joined(_date(index, points) for index in wanted if points)


def _date(index: int, points: Sequence[Point]) -> Markup:
    at = 100 * (index + 0.5) / _slots(points)
    place = "first" if at < _EDGE else "last" if at > 100 - _EDGE else "mid"
    left = {"first": 0.0, "last": 100.0}.get(place, at)
    text = escaped(points[index].when)
    return Markup(f'<span class="{place}" style="left:{left:.4g}%">{text}</span>')

"""Charts as inline SVG: pure functions from figures to markup, drawn without a script.

A chart is as wide as its place and keeps its height: its x axis counts slots and is stretched by
the browser, its y axis is in pixels. Texts stand beside the picture as HTML, so that they are
never stretched and a phone shows them at the size of all other text.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from markupsafe import Markup

from etl.reports.page import NOTHING, escaped

# Units of x per slot; a bar leaves a little of its slot free.
_SLOT = 10
_BAR = 8
_SIDE = (_SLOT - _BAR) // 2
# With fewer runs, or fewer days or months, than this the bars would be slabs.
_FEWEST_SLOTS = 24
_FEWEST_COLUMNS = 8
_FEWEST_IN_LINE = 2
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
# A flow of all records is so many pixels wide; a label needs so many.
_FLOW = 96.0
_LABEL = 27.0
_ACROSS = 100
# A band thinner than this, in pixels, has a thread of one pixel along it.
_THREAD = 1.5


@dataclass(frozen=True)
class Point:
    """One run on the x axis.

    Attributes:
        value: its height in the chart; None when there is none.
        state: good, warn, bad or idle; says the colour.
        lane: which lane its tick stands in, from the top.
        tooltip: what a mouse finds there; plain text.
        when: its label on the x axis; plain text.
        link: the id of the part of the page that has more of it.
    """

    value: float | None
    state: str = "good"
    lane: int = 0
    tooltip: str = ""
    when: str = ""
    link: str = ""


@dataclass(frozen=True)
class Column:
    """One column of a chart of amounts, with its parts from the bottom up."""

    when: str
    parts: tuple[float, ...]
    tooltip: str = ""


@dataclass(frozen=True)
class Flow:
    """A drawn flow: the picture, and the height in pixels of the lane that each band ends in."""

    picture: Markup
    lanes: tuple[float, ...]


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
        """Return pixels from the top of the picture; a value outside stands at the edge."""
        share = (value - self.bottom) / ((self.top - self.bottom) or 1.0)
        return round(self.above + self.height * (1 - min(max(share, 0.0), 1.0)), 1)


def axis_for(
    values: Iterable[float | None],
    say: Callable[[float], str],
    *,
    summary: str,
    height: int = 96,
) -> Axis:
    """Return an axis from zero up over all values, or over all but a few that flatten the others.

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
    """Return a round number at or above the largest value, for the upper edge of a chart.

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
    points: Sequence[Point], axis: Axis, *, lanes: Sequence[tuple[str, str]]
) -> Markup:
    """Draw a bar per run, and above it a tick in the lane of its outcome.

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
    shapes += [
        _rectangles(
            [(i, axis.bottom, p.value or 0.0) for i, p in enumerate(points) if p.state == state],
            axis, f"took {state}",
        )
        for state in sorted({point.state for point in points})
    ]  # fmt: skip
    names = [
        Markup('<span style="top:{:g}px">{}</span>').format(_lane_y(index), escaped(name))
        for index, (_, name) in enumerate(lanes)
    ]
    return _plot(points, axis, NOTHING.join(shapes), names=NOTHING.join(names), pointed=True)


def columns(bars: Sequence[Column], axis: Axis, *, colours: Sequence[str]) -> Markup:
    """Draw amounts as columns of one or more parts.

    Args:
        bars: from left to right.
        axis: the y axis.
        colours: the colour class of each part, from the bottom.

    Example:
        >>> svg = columns([Column("May", (1.0, 1.0))], Axis(2, str, "s"), colours=["a", "b"])
        >>> '<path class="b" d="M1 48h8v-48h-8z"/>' in svg
        True
    """
    shapes = [
        _rectangles(
            [(index, sum(bar.parts[:place]), bar.parts[place]) for index, bar in enumerate(bars)],
            axis, colour,
        )
        for place, colour in enumerate(colours)
    ]  # fmt: skip
    points = [Point(None, when=bar.when, tooltip=bar.tooltip) for bar in bars]
    return _plot(points, axis, NOTHING.join(shapes), fewest=_FEWEST_COLUMNS, pointed=True)


def curve(points: Sequence[Point], axis: Axis, *, usual: float | None = None) -> Markup:
    """Draw a line over the runs that have a value, with a dot at the last.

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
    slots = _slots(len(points), _FEWEST_IN_LINE)
    if not places:
        return _plot(points, axis, NOTHING, fewest=_FEWEST_IN_LINE)
    style = "curve" if len(places) <= _MOST_DOTS else "curve fine"
    mark = _level(axis.y(usual), slots, "usual") if usual is not None else NOTHING
    line = _path(style, _line(places)) + _path("dot", "M{} {:g}h0".format(*places[-1]))
    return _plot(points, axis, mark + line, fewest=_FEWEST_IN_LINE)


def share_bar(parts: Sequence[tuple[str, float]]) -> Markup:
    """Draw one bar of parts beside each other; the figures stand next to it, so it has no text.

    Args:
        parts: colour class and share (0..1) of each.

    Example:
        >>> '<rect class="f-plain" x="0" width="50" height="10"/>' in share_bar([("f-plain", 0.5)])
        True
    """
    shapes, x = [], 0.0
    for colour, share in parts:
        shape = Markup('<rect class="{}" x="{:.4g}" width="{:.4g}" height="10"/>')
        shapes.append(shape.format(colour, x, 100 * share))
        x += 100 * share
    return Markup(
        '<svg class="bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="back" width="100" height="10"/>{}</svg>'
    ).format(NOTHING.join(shapes))


_SPREAD_BARS = 24
_SPREAD_HEIGHT = 24


def spread(percentiles: Sequence[float]) -> Markup:
    """Draw how numbers spread between their first and their 99th percentile, as narrow bars.

    Args:
        percentiles: 101 of them, in order; the figures stand beside it, so it has no text.

    Example:
        >>> str(spread(range(101))).count("<rect")
        24
    """
    low, high = percentiles[1], percentiles[-2]
    if low >= high:
        return share_bar([("f-plain", 1.0)])
    step = (high - low) / _SPREAD_BARS
    edges = [low + step * number for number in range(_SPREAD_BARS)] + [high]
    shares = [bisect_right(percentiles, edge) for edge in edges]
    heights = [after - before for before, after in pairwise([0, *shares[1:]])]
    scale = _SPREAD_HEIGHT / max(heights)
    shape = Markup('<rect class="f-plain" x="{}" y="{:.4g}" width="{}" height="{:.4g}"/>')
    bars = [
        shape.format(_SLOT * n + _SIDE, _SPREAD_HEIGHT - each * scale, _BAR, each * scale)
        for n, each in enumerate(heights)
    ]
    return Markup(
        '<svg class="spread" viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true">'
        "{}</svg>"
    ).format(_SLOT * _SPREAD_BARS, _SPREAD_HEIGHT, NOTHING.join(bars))


def flow(parts: Sequence[tuple[str, int]]) -> Flow:
    """Draw a stream of records that parts into its fates; each band is as wide as its share.

    A thread of one pixel shows where a band goes that is too thin to be seen.

    Args:
        parts: colour class and number of records of each fate.

    Example:
        >>> flow([("f-plain", 3), ("f-rejected", 1)]).lanes
        (72.0, 27.0)
    """
    total = sum(rows for _, rows in parts) or 1
    widths = [_FLOW * rows / total for _, rows in parts]
    lanes = tuple(max(width, _LABEL) for width in widths)
    start, lane, shapes = (sum(lanes) - sum(widths)) / 2, 0.0, []
    for (colour, _), width, height in zip(parts, widths, lanes, strict=True):
        shapes.append(_band(colour, start, lane + (height - width) / 2, width))
        start, lane = start + width, lane + height
    picture = Markup(
        '<svg class="flow" height="{0:g}" viewBox="0 0 {1} {0:g}" preserveAspectRatio="none" '
        'aria-hidden="true">{2}</svg>'
    ).format(lane, _ACROSS, NOTHING.join(shapes))
    return Flow(picture, lanes)


# --- parts of a flow -------------------------------------------------------------------------


def _band(colour: str, start: float, end: float, width: float) -> Markup:
    """Draw a band from left to right; its upper edge goes from `start` to `end`."""
    there = f"M0 {start:.6g}{_bend(_ACROSS, start, end)}"
    back = f"L{_ACROSS} {end + width:.6g}{_bend(0, end + width, start + width)}z"
    if width >= _THREAD:
        return _path(colour, there + back)
    first, last = start + width / 2, end + width / 2
    thread = _path(f"thread t{colour}", f"M0 {first:.6g}{_bend(_ACROSS, first, last)}")
    return _path(colour, there + back) + thread


def _bend(x: int, y_from: float, y_to: float) -> str:
    half = _ACROSS // 2
    return f"C{half} {y_from:.6g} {half} {y_to:.6g} {x} {y_to:.6g}"


# --- parts of a plot -------------------------------------------------------------------------


def _path(style: str, d: str) -> Markup:
    return Markup('<path class="{}" d="{}"/>').format(style, d) if d else NOTHING


def _below(axis: Axis, lanes: Sequence[object]) -> Axis:
    above = len(lanes) * _LANE_HEIGHT + (_LANE_HEIGHT // 2 if lanes else 0)
    return replace(axis, above=above)


def _lane_y(index: int) -> float:
    return (index + 0.5) * _LANE_HEIGHT


def _ticks(points: Sequence[Point], lane: int, state: str) -> Markup:
    """Draw dots where there is room for them, strokes where there is not."""
    half = 0 if len(points) <= _MOST_DOTS else _STROKE // 2
    d = "".join(
        f"M{index * _SLOT + _SLOT // 2} {_lane_y(lane) - half:g}v{2 * half}"
        for index, point in enumerate(points)
        if point.lane == lane
    )
    level = _level(_lane_y(lane), _slots(len(points)), "grid")
    return level + _path(f"lane {'stroke' if half else 'dots'} {state}", d)


def _rectangles(parts: Iterable[tuple[int, float, float]], axis: Axis, style: str) -> Markup:
    """Draw rectangles of one colour: the slot of each, where it begins, and how high it is."""
    d = "".join(
        f"M{index * _SLOT + _SIDE} {axis.y(foot):g}h{_BAR}"
        f"v{axis.y(foot + height) - axis.y(foot):g}h-{_BAR}z"
        for index, foot, height in parts
        if height > 0
    )
    return _path(style, d)


def _hit(index: int, point: Point, height: int) -> Markup:
    """Draw what shows a tooltip, and leads to the part of the page that has more."""
    shape = Markup('<path d="M{} 0h{}v{}h-{}z"/><title>{}</title>').format(
        index * _SLOT, _SLOT, height, _SLOT, escaped(point.tooltip)
    )
    if not point.link:
        return Markup("<g>{}</g>").format(shape)
    return Markup('<a href="#{}" tabindex="-1">{}</a>').format(point.link, shape)


def _line(places: Sequence[tuple[int, float]]) -> str:
    x, y = places[0]
    steps = (
        f"l{then[0] - now[0]} {round(then[1] - now[1], 1):g}" for now, then in pairwise(places)
    )
    return f"M{x} {y:g}" + "".join(steps)


def _slots(count: int, fewest: int = _FEWEST_SLOTS) -> int:
    return max(count, fewest)


def _level(y: float, slots: int, style: str) -> Markup:
    return _path(style, f"M0 {y:g}H{slots * _SLOT}")


def _plot(
    points: Sequence[Point],
    axis: Axis,
    shapes: Markup,
    *,
    names: Markup = NOTHING,
    fewest: int = _FEWEST_SLOTS,
    pointed: bool = False,
) -> Markup:
    """Put a picture into its frame: levels and their words, labels below, what a mouse finds."""
    height, slots = axis.above + axis.height, _slots(len(points), fewest)
    levels = (axis.top, (axis.top + axis.bottom) / 2, axis.bottom)
    lines = NOTHING.join(
        _level(axis.y(each), slots, "grid base" if each == axis.bottom else "grid")
        for each in levels
    )
    texts = NOTHING.join(
        Markup('<span style="top:{:g}px">{}</span>').format(axis.y(each), _words(axis, each))
        for each in levels
    )
    hits = NOTHING.join(_hit(i, point, height) for i, point in enumerate(points) if pointed)
    frame = f'height="{height}" viewBox="0 0 {slots * _SLOT} {height}" preserveAspectRatio="none"'
    return Markup(
        '<div class="plot"><div class="ys" aria-hidden="true">{names}{texts}</div>\n'
        '<svg role="img" aria-label="{summary}" {frame}>{shapes}</svg>{hits}\n'
        '<div class="xs" aria-hidden="true">{dates}</div></div>'
    ).format(
        names=names, texts=texts, summary=escaped(axis.summary), frame=_safe(frame),
        shapes=lines + shapes, dates=_dates(points, slots),
        hits=_layer(hits, frame) if hits else NOTHING,
    )  # fmt: skip


def _safe(attributes: str) -> Markup:
    return Markup(attributes)  # noqa: S704  # numbers alone


def _layer(hits: Markup, frame: str) -> Markup:
    """A layer over the picture, for the mouse alone: keyboards find the same in the list."""
    return Markup('<svg class="hits" aria-hidden="true" {}>{}</svg>').format(_safe(frame), hits)


def _words(axis: Axis, level: float) -> str:
    return f"≥ {axis.say(level)}" if axis.cut and level == axis.top else axis.say(level)


def _dates(points: Sequence[Point], slots: int) -> Markup:
    """Write the first, the middle and the last label, as far as they have room."""
    full = len(points) >= slots
    wanted = (0, len(points) // 2, len(points) - 1) if full else (0, len(points) - 1)
    near = len(points) < slots / 2
    places = dict.fromkeys(wanted[:1] if near else wanted)
    return NOTHING.join(_date(index, points[index].when, slots) for index in places if points)


def _date(index: int, when: str, slots: int) -> Markup:
    at = 100 * (index + 0.5) / slots
    place = "first" if at < _EDGE else "last" if at > 100 - _EDGE else "mid"
    left = {"first": 0.0, "last": 100.0}.get(place, at)
    return Markup('<span class="{}" style="left:{:.4g}%">{}</span>').format(
        place, left, escaped(when)
    )

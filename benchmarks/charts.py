"""A small bar chart as SVG text, so that the benchmarks need no drawing library."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

_COLORS = ("#1b6ca8", "#e07b39", "#6a994e", "#9a6fb0")
_LEFT, _WIDTH, _BAR, _GAP, _TOP = 210, 620, 16, 18, 64


class Bar(NamedTuple):
    """One value of a group."""

    name: str
    value: float


def bar_chart(
    groups: Mapping[str, Sequence[Bar]], names: Sequence[str], title: str, *, unit: str
) -> str:
    """Groups of horizontal bars under a title and a legend.

    Args:
        groups: by heading, the bars.
        names: all that can be in a group, each with a color of its own.
        title: stands above.
        unit: stands behind each value.

    Example:
        >>> svg = bar_chart({"load": [Bar("a", 2.0)]}, ["a"], "A & B", unit="s")
        >>> svg.startswith("<svg"), "A &amp; B" in svg, "2.0 s" in svg
        (True, True, True)
    """
    largest = max((bar.value for bars in groups.values() for bar in bars), default=1.0)
    lines, y = [*_legend(names)], _TOP
    for heading, bars in groups.items():
        lines.append(_text(_LEFT - 8, y + len(bars) * _BAR / 2 + 4, heading, anchor="end"))
        for bar in bars:
            width = bar.value / largest * (_WIDTH - _LEFT)
            color = _COLORS[names.index(bar.name) % len(_COLORS)]
            lines.append(
                f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR - 2}" '
                f'fill="{color}"/>'
            )
            lines.append(_text(_LEFT + width + 4, y + _BAR - 5, f"{bar.value:.1f} {unit}"))
            y += _BAR
        y += _GAP
    return "\n".join([_head(y, title), *lines, "</svg>\n"])


def _head(height: float, title: str) -> str:
    size = f'width="{_WIDTH + 80}" height="{height}"'
    background = '<rect width="100%" height="100%" fill="#ffffff"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" '
        f'font-size="11">\n{background}\n{_text(8, 20, title, size=14)}'
    )


def _legend(names: Sequence[str]) -> list[str]:
    lines = []
    for place, name in enumerate(names):
        x = 8 + place * 150
        lines.append(f'<rect x="{x}" y="34" width="12" height="12" fill="{_COLORS[place]}"/>')
        lines.append(_text(x + 18, 44, name))
    return lines


def _text(x: float, y: float, text: str, *, anchor: str = "start", size: int = 11) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}">'
        f"{escape(text)}</text>"
    )

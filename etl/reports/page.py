"""The frame of every HTML page that a run writes, and its building blocks.

A page is one file without scripts, fonts or pictures from elsewhere: it opens from disk, out of
an e-mail and without a network. `Markup` is text that is safe to stand in it; data becomes
`Markup` only by way of `escaped`, which the type checker watches over.
"""

import html
from collections.abc import Collection, Iterable, Sequence
from typing import NewType

from etl.reports.page_style import STYLE
from etl.words import printable

Markup = NewType("Markup", str)

NOTHING = Markup("")

# Nothing is fetched and nothing runs, even if something unsafe should ever stand in the page.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def escaped(value: object) -> Markup:
    r"""Data as text of a page or of an attribute in double quotes; never as markup.

    Example:
        >>> escaped("<b>\x00 & more")
        '&lt;b&gt;\\x00 &amp; more'
    """
    return Markup(html.escape(printable(str(value))))


def shortened(text: str, limit: int) -> str:
    """The text, cut to so many characters.

    Example:
        >>> shortened("abcdef", 4)
        'abc…'
    """
    return text if len(text) <= limit else text[: limit - 1] + "…"


def isolated(value: object) -> Markup:
    """Data within a line: text that runs from right to left does not turn its neighbours around.

    Example:
        >>> isolated("a&b"), isolated("\u05d0")
        ('a&amp;b', '<bdi>\u05d0</bdi>')
    """
    text = escaped(value)
    return text if text.isascii() else Markup(f"<bdi>{text}</bdi>")


def breakable(value: object) -> Markup:
    """The name of a column or a table; a narrow screen may break it after an underscore.

    Example:
        >>> breakable("customer_dim")
        'customer_<wbr>dim'
    """
    return Markup(isolated(value).replace("_", "_<wbr>"))


def joined(parts: Iterable[Markup], *, by: str = "") -> Markup:
    """Parts one after another."""
    return Markup(by.join(parts))


def page(title: str, body: Markup) -> str:
    """A whole page.

    Args:
        title: what the tab of a browser shows; plain text.
        body: headings and sections.

    Example:
        >>> page("Runs", Markup("<h1>Runs</h1>")).startswith("<!DOCTYPE html>")
        True
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{escaped(title)}</title>\n<style>\n{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def section(name: str, heading: str, body: Markup, *, lead: Markup = NOTHING) -> Markup:
    """A part of a page with its heading.

    Args:
        name: what links within the page point to.
        heading: plain text.
        body: what stands below.
        lead: a sentence between both.
    """
    intro = f'<p class="lead">{lead}</p>' if lead else ""
    return Markup(
        f'<section id="{escaped(name)}" aria-labelledby="{escaped(name)}-heading">\n'
        f'<h2 id="{escaped(name)}-heading">{escaped(heading)}</h2>{intro}\n{body}\n</section>\n'
    )


def table(
    caption: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[Markup]],
    *,
    texts: Collection[int] = (0,),
) -> Markup:
    """A table that scrolls by itself where the screen is too narrow; the first cell heads its row.

    Args:
        caption: what it shows; plain text, for those who cannot see the heading above.
        headings: one per column; plain text.
        rows: cells.
        texts: places of the columns that hold text; all others hold numbers.

    Example:
        >>> "<td>1</td>" in table("counts", ["name", "rows"], [[escaped("a"), escaped(1)]])
        True
    """
    head = joined(
        Markup(f'<th scope="col"{_kind(index, texts)}>{breakable(heading)}</th>')
        for index, heading in enumerate(headings)
    )
    body = joined((_row(row, texts) for row in rows), by="\n")
    return Markup(
        f'<div class="scroll" role="region" aria-label="{escaped(caption)}" tabindex="0"><table>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _row(cells: Sequence[Markup], texts: Collection[int]) -> Markup:
    first, *others = cells
    rest = joined(
        Markup(f"<td{_kind(index, texts)}>{cell}</td>")
        for index, cell in enumerate(others, start=1)
    )
    return Markup(f'<tr><th scope="row">{first}</th>{rest}</tr>')


def _kind(index: int, texts: Collection[int]) -> str:
    return ' class="t"' if index in texts else ""


def folded(summary: str, body: Markup) -> Markup:
    """What a reader may open; it needs no script."""
    return Markup(f"<details><summary>{escaped(summary)}</summary>\n{body}\n</details>")

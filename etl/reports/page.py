"""The frame of every page that a run writes: templates that escape whatever they are given.

A page is one file without scripts, fonts or pictures from elsewhere: it opens from disk, out of
an e-mail and without a network. Text from outside stays text: the templates escape markup, and
characters that a browser would obey are shown as their escapes.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape

from etl.templates import templates
from etl.words import (
    bytes_words,
    count_words,
    instant_words,
    percent_words,
    printable,
    seconds_words,
)

NOTHING = Markup("")

_TEMPLATES = Path(__file__).parent / "templates"
# What a served page runs; a page on disk runs nothing.
LIVE_SCRIPT = (_TEMPLATES / "live.js").read_text("utf-8")

# Below it an average is shown with its digits after the point.
_WHOLE_FROM = 10


def render(template: str, **values: Any) -> Markup:
    """Fill a template.

    Args:
        template: the name of its file.
        values: what it shows; a name that it asks for and that is missing is an error.

    Example:
        >>> "No run has been written down yet" in render("no_runs.html")
        True
    """
    return Markup(_environment().get_template(template).render(values))  # noqa: S704  # autoescaped


def macro(template: str, name: str) -> Callable[..., Markup]:
    """Return one macro of a template as a function."""
    found: Callable[..., Markup] = getattr(_environment().get_template(template).module, name)
    return found


def escaped(value: object) -> Markup:
    r"""Return data as text of a page or of an attribute in quotes; never as markup.

    Example:
        >>> str(escaped("<b>\x00 & more"))
        '&lt;b&gt;\\x00 &amp; more'
    """
    return value if isinstance(value, Markup) else escape(printable(str(value)))


def shortened(text: str, limit: int) -> str:
    """Return the text, cut to so many characters.

    Example:
        >>> shortened("abcdef", 4)
        'abc…'
    """
    return text if len(text) <= limit else text[: limit - 1] + "…"


def isolated(value: object) -> Markup:
    r"""Return data within a line: right-to-left text does not turn its neighbours around.

    Example:
        >>> str(isolated("a&b")), str(isolated("\u05d0"))
        ('a&amp;b', '<bdi>\u05d0</bdi>')
    """
    text = escaped(value)
    return text if text.isascii() else Markup("<bdi>{}</bdi>").format(text)


def breakable(value: object) -> Markup:
    """Return the name of a column or table; a narrow screen may break it after an underscore.

    Example:
        >>> str(breakable("customer_dim"))
        'customer_<wbr>dim'
    """
    return isolated(value).replace("_", Markup("_<wbr>"))


def lines(message: str) -> Markup:
    """Return a message with its line ends kept."""
    return Markup("\n").join(map(isolated, message.replace("\t", "    ").splitlines()))


def rows_words(value: float | None) -> str:
    """Return a number of rows, which an average can have made a fraction.

    Example:
        >>> rows_words(12345.6), rows_words(0.25)
        ('12,346', '0.25')
    """
    if value is None:
        return count_words(None)
    return f"{value:,.0f}" if value >= _WHOLE_FROM or float(value).is_integer() else f"{value:.3g}"


@cache
def _environment() -> Environment:
    environment = templates(_TEMPLATES, autoescape=True, finalize=escaped)
    environment.filters |= {
        "number": count_words, "duration": seconds_words, "size": bytes_words,
        "percent": percent_words, "moment": instant_words, "average": rows_words,
        "short": shortened, "isolated": isolated, "breakable": breakable, "lines": lines,
    }  # fmt: skip
    style = (_TEMPLATES / "style.css").read_text("utf-8")
    environment.globals["live"] = False
    environment.globals["style"] = Markup(style)  # noqa: S704  # a file of ours
    return environment

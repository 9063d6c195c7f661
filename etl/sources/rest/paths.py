"""Paths into a JSON document: `data.items`, `customer.id`, `variants.0.price`, `a + b`."""

from collections.abc import Callable
from typing import Any

from etl.settings.rest_options import PATH_JOINT

_ABSENT = object()
Look = Callable[[Any], Any]


def look_up(document: object, path: str) -> Any:
    """Return what stands at a path; None where nothing does.

    A number is a place in a list. A name looks into each member of a list and gives a list. Of
    several paths with ` + ` between, the texts that are there are joined with commas.

    Args:
        document: the JSON.
        path: names and numbers with points between; empty: the document itself.

    Example:
        >>> order = {"customer": {"id": 7}, "lines": [{"price": "1.10"}, {"price": "2"}]}
        >>> look_up(order, "customer.id"), look_up(order, "lines.0.price"), look_up(order, "x.y")
        (7, '1.10', None)
        >>> look_up(order, "lines.price")
        ['1.10', '2']
        >>> look_up({"city": "Bonn", "street": "Am Hof 1"}, "street + zip + city")
        'Am Hof 1, Bonn'
    """
    return path_reader(path)(document)


def path_reader(path: str) -> Look:
    """Return a function that looks a path up; see `look_up`."""
    if PATH_JOINT in path:
        readers = [path_reader(part.strip()) for part in path.split(PATH_JOINT)]
        return lambda document: _joined([read(document) for read in readers])
    parts = path.split(".") if path else []
    if len(parts) == 1 and not parts[0].isdecimal():
        name = parts[0]  # nearly all of them, so it pays to be quick
        return lambda document: document.get(name) if isinstance(document, dict) else None
    return lambda document: _plain(_walk(document, parts))


def is_absent(document: object, path: str) -> bool:
    """Return whether an object on a path lacks its member; one that is null is there.

    Example:
        >>> is_absent({"customer": None}, "customer.id"), is_absent({}, "customer.id")
        (False, True)
    """
    joined = (part.strip() for part in path.split(PATH_JOINT))
    return all(_walk(document, part.split(".")) is _ABSENT for part in joined)


def _plain(found: Any) -> Any:
    return None if found is _ABSENT else found


def _walk(document: Any, parts: list[str]) -> Any:
    for place, part in enumerate(parts):
        if isinstance(document, dict):
            document = document.get(part, _ABSENT)
        elif isinstance(document, list) and part.isdecimal():
            document = document[int(part)] if int(part) < len(document) else None
        elif isinstance(document, list):
            return [_plain(_walk(each, parts[place:])) for each in document]
        else:
            return None if document is None else _ABSENT
        if document is _ABSENT:
            return _ABSENT
    return document


def _joined(values: list[Any]) -> str | None:
    texts = [str(value).strip() for value in values if value is not None]
    return ", ".join(text for text in texts if text) or None

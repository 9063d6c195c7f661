"""Where in a TOML file a key stands, so that a fault can be reported with its line."""

import re
from collections.abc import Iterator, Sequence

_HEADER = re.compile(r"\[+(.*?)\]+\s*(?:#.*)?")
_PART = re.compile(r'"((?:[^"\\]|\\.)*)"|\'([^\']*)\'|([^\s."\'=]+)')

Place = tuple[str | int, ...]


def line_of(lines: Sequence[str], place: Place) -> int:
    """Return the line of a place, or of the nearest part around it that has one; 1 for none.

    Args:
        lines: of the file.
        place: the keys that lead to it.

    Example:
        >>> text = ['[loads.orders]', 'source.path = "a.csv"', 'key = ["x"]']
        >>> line_of(text, ("loads", "orders", "key")), line_of(text, ("loads", "orders", "source"))
        (3, 2)
    """
    wanted = [str(part) for part in place]
    found, depth = 1, 0
    for number, names in _named(lines):
        shared = _shared(names, wanted)
        if shared > depth and shared in (len(names), len(wanted)):
            found, depth = number, shared
    return found


def _shared(names: Sequence[str], wanted: Sequence[str]) -> int:
    pairs = zip(names, wanted, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(names), len(wanted)))


def _named(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Each line that names a key, with all keys that lead to it."""
    header: list[str] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if match := _HEADER.fullmatch(text):
            header = _parts(match[1])
            yield number, header
        elif "=" in text and not text.startswith("#"):
            yield number, [*header, *_parts(text.partition("=")[0])]


def _parts(dotted: str) -> list[str]:
    return [quoted or literal or bare for quoted, literal, bare in _PART.findall(dotted)]

"""Where the header of a CSV file stands, what separates its fields, and which column is which.

What the evidence leaves no doubt about is found: the delimiter that yields the wanted names, lines
above the header, Excel's `sep=` line, names in other spellings. Everything else is an error that
says what was found, what was wanted, and which setting decides.
"""

import csv
import difflib
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from types import MappingProxyType

from etl.errors import ValidationError

DELIMITERS = MappingProxyType({",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"})
# Titles, dates and blank lines above a header fill a page at the most.
MOST_LINES_ABOVE = 50
_SHOWN_NAMES, _SHOWN_CHARACTERS = 20, 40  # how much of a header a message lists
SEPARATOR_LINE = re.compile(r"sep=(.)", re.IGNORECASE)
# Blanks, underscores, hyphens and points, and what is not seen: Cf holds marks without a width.
_FILLERS = re.compile(r"[\s_.\-]+")


@dataclass(frozen=True)
class HeaderOptions:
    """What is known about a header before it is looked for.

    Attributes:
        delimiter: between the fields; empty to find it.
        skip_rows: lines above the header; None to find them.
        rename: name in the file = column.
        optional: columns that may be missing.
    """

    delimiter: str = ""
    skip_rows: int | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Header:
    """A header that was found.

    Attributes:
        line: number of its first line, from 0.
        lines: how many lines it has.
        delimiter: between the fields.
        names: as the file writes them.
        positions: by column, the number of its field.
        extra: names of columns that are not wanted, as `rename` or else the file has them.
    """

    line: int
    lines: int
    delimiter: str
    names: tuple[str, ...]
    positions: Mapping[str, int]
    extra: tuple[str, ...]

    @property
    def findings(self) -> tuple[str, ...]:
        """What is unusual about it, in words.

        Example:
            >>> find_header(["sep=;", "Kunde;id"], ("id",)).findings
            ('semicolons', '1 line above the header')
        """
        found = [] if self.delimiter == "," else [delimiter_words(self.delimiter)]
        if self.line:
            found.append(f"{self.line} line{'s' * (self.line != 1)} above the header")
        return tuple(found)


def delimiter_words(delimiter: str) -> str:
    """Return the name of a delimiter, for people.

    Example:
        >>> delimiter_words(";"), delimiter_words("^")
        ('semicolons', "'^'")
    """
    return DELIMITERS.get(delimiter, repr(delimiter))


def comparable(name: str) -> str:
    """Return a name as names are compared: without case, blanks, underscores and marks.

    Example:
        >>> comparable("Customer ID") == comparable("customer_id") == comparable("CUSTOMER-ID")
        True
    """
    seen = "".join(c for c in unicodedata.normalize("NFC", name) if unicodedata.category(c) != "Cf")
    return _FILLERS.sub("", seen).casefold()


def find_header(
    lines: Sequence[str], columns: Sequence[str], options: HeaderOptions | None = None
) -> Header:
    """Find the header among the first lines of a file.

    Args:
        lines: the first lines, without their ends.
        columns: the columns that are wanted.
        options: what is known already.

    Returns:
        The first line that has all columns, but for optional ones, with whichever delimiter.

    Raises:
        ValidationError: no line has them, or one of them stands there twice; the message has no
            file name.

    Example:
        >>> header = find_header(["Export of May", "", "ID;E-Mail"], ("email", "id"))
        >>> header.line, header.delimiter, dict(header.positions)
        (2, ';', {'id': 0, 'email': 1})
    """
    options = options or HeaderOptions()
    others: list[Header] = []
    for _, of_line in groupby(_candidates(lines, columns, options), key=lambda found: found.line):
        candidates = list(of_line)
        found = [each for each in candidates if not _missing(each, columns, options)]
        if found:
            header = max(found, key=lambda candidate: len(candidate.names))
            _refuse_repeated(header, columns, options)
            return header
        others += candidates
    raise _no_header(others, columns, options)


def _candidates(
    lines: Sequence[str], columns: Sequence[str], options: HeaderOptions
) -> Iterator[Header]:
    """Every line that may be the header, taken apart with every delimiter that may be meant."""
    named = SEPARATOR_LINE.fullmatch(lines[0].strip("\ufeff \r\n")) if lines else None
    delimiters = [options.delimiter] if options.delimiter else [named[1]] if named else DELIMITERS
    first = options.skip_rows if options.skip_rows is not None else int(named is not None)
    last = first + 1 if options.skip_rows is not None else first + MOST_LINES_ABOVE
    for line in range(first, min(last, len(lines))):
        for delimiter in delimiters:
            candidate = _taken_apart(lines, line, delimiter)
            if candidate:
                yield _placed(candidate, columns, options)


def _taken_apart(lines: Sequence[str], line: int, delimiter: str) -> Header | None:
    reader = csv.reader(iter(lines[line:]), delimiter=delimiter)
    try:
        names = tuple(next(reader))
    except csv.Error:
        return None
    if not any(character.isalnum() for name in names for character in name):
        return None
    return Header(line, reader.line_num, delimiter, names, {}, ())


def _placed(candidate: Header, columns: Sequence[str], options: HeaderOptions) -> Header:
    """The candidate with the places of the columns that it has."""
    known, wanted = _known_names(columns, options), set(columns)
    positions: dict[str, int] = {}
    extra = []
    for position, name in enumerate(candidate.names):
        column = known.get(comparable(name))
        if column not in wanted:
            extra.append(column or name)
        else:
            positions.setdefault(column, position)
    return Header(
        candidate.line, candidate.lines, candidate.delimiter, candidate.names, positions,
        tuple(extra),
    )  # fmt: skip


def _known_names(columns: Sequence[str], options: HeaderOptions) -> dict[str, str]:
    """The column of each name that is known, as names are compared."""
    known = {comparable(column): column for column in columns}
    return known | {comparable(name): column for name, column in options.rename.items()}


def _missing(candidate: Header, columns: Sequence[str], options: HeaderOptions) -> list[str]:
    needed = (column for column in columns if column not in options.optional)
    return [column for column in needed if column not in candidate.positions]


def _refuse_repeated(header: Header, columns: Sequence[str], options: HeaderOptions) -> None:
    known = _known_names(columns, options)
    taken = [known.get(comparable(name)) for name in header.names]
    repeated = sorted({column for column in taken if column and taken.count(column) > 1})
    if repeated:
        raise ValidationError(
            f"the header names {listed(repeated)} more than once: {listed(header.names)}",
            next_step="rename or remove all but one of them in the file",
        )


def _no_header(
    candidates: Sequence[Header], columns: Sequence[str], options: HeaderOptions
) -> ValidationError:
    if not candidates:
        return ValidationError(
            f"no header was found; wanted {listed(columns)}",
            next_step="check the export that writes the file",
        )
    best = max(candidates, key=lambda c: (len(c.positions), -c.line, len(c.names)))
    missing = _missing(best, columns, options)
    place = f"line {best.line + 1}" if len(best.positions) else "the first lines"
    return ValidationError(
        f"the header lacks {listed(missing)}; found {listed(best.names)} in {place}; "
        f"wanted {listed(columns)}",
        next_step=_hint(missing, best),
    )


def _hint(missing: Sequence[str], best: Header) -> str:
    pairs = []
    for column in missing:
        near = difflib.get_close_matches(comparable(column), [comparable(n) for n in best.extra])
        name = next((n for n in best.extra if near and comparable(n) == near[0]), None)
        if name is not None:
            pairs.append(f'"{name}" = "{column}"')
    if pairs:
        return f"if that is what is meant, set rename = {{ {', '.join(pairs)} }} for this source"
    return "add the columns to the file, or set rename, delimiter or skip_rows for this source"


def listed(names: Sequence[str]) -> str:
    """Return names for a message, long and many ones cut short.

    Example:
        >>> listed(["a", "b"])
        "'a', 'b'"
    """
    shown = ", ".join(repr(name[:_SHOWN_CHARACTERS]) for name in names[:_SHOWN_NAMES])
    return shown + (f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else "")

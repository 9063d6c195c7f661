"""The records in the lines of a CSV text: which lines are good, and what is wrong with the others.

All lines are looked at at once with numpy. A line whose quotes are all where RFC 4180 puts them is
*clean*, a record on its own. Every other line, with whatever lines its record runs over, is tried
against an exact pattern. What fits stays, what does not is set aside with its reason.
"""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

# A record over more lines than this is taken for a quote that was never closed. An address has a
# handful of lines, a pasted e-mail some dozens; the bound is what a lost quote may cost in time.
MOST_LINES = 50
# The same bound in bytes, so that fifty very long lines do not have to be held in memory. It does
# not follow the longest line: the records of a file must not depend on how it is read.
MOST_RECORD_BYTES = 16 * 2**20

ANY_WIDTH = 0  # for the header itself

_LF, _CR, _QUOTE, COMMA = b'\n\r",'
_UNCLOSED, _TEXT_AFTER_QUOTE = "unclosed", "text after quote"

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@cache
def _field(delimiter: int) -> re.Pattern[bytes]:
    """A quoted field, or one that does not start with a quote.

    Possessive, so that a quote that is missing is noticed in one pass.
    """
    mark = re.escape(bytes([delimiter]))
    return re.compile(rb'"([^"]*+(?:""[^"]*+)*+)"|(?!")[^%b\r\n]*+' % mark)


@cache
def _edge(delimiter: int) -> Mask:
    """What may stand before an opening and after a closing quote.

    Another quote may, too: a doubled quote reads as one field closed and opened again.
    """
    edge = np.zeros(256, dtype=np.bool_)
    edge[[_LF, _CR, _QUOTE, delimiter]] = True
    return edge


@cache
def record_pattern(width: int, delimiter: int = COMMA) -> re.Pattern[bytes]:
    """Return what a good record of so many fields looks like, up to its line end."""
    field, mark = _field(delimiter).pattern, re.escape(bytes([delimiter]))
    pattern = rb"(?:%b)(?:%b(?:%b)){%d}(?=[\r\n]|\Z)" % (field, mark, field, width - 1)
    return re.compile(pattern)


def count_lines(data: bytes) -> int:
    """Return about how many lines a text has; CR LF counts twice."""
    codes = np.frombuffer(data, dtype=np.uint8)  # numpy counts in half the time
    return int(np.count_nonzero(codes == _LF) + np.count_nonzero(codes == _CR))


@dataclass(frozen=True)
class Lines:
    """The lines of some text, and where each starts, where its text ends, where the next starts."""

    data: bytes
    starts: Ints
    ends: Ints
    nexts: Ints
    delimiter: int = COMMA  # between the fields, as a byte

    def __len__(self) -> int:
        return len(self.starts)

    def texts(self, chosen: Ints) -> list[bytes]:
        """Return the texts of some lines, without their line ends."""
        places = zip(self.starts[chosen].tolist(), self.ends[chosen].tolist(), strict=True)
        return [self.data[start:end] for start, end in places]


def find_lines(data: bytes, delimiter: int = COMMA) -> Lines:
    """Find the lines of a text; they end with LF, CR LF or CR, the last one with nothing, too."""
    codes = np.frombuffer(data, dtype=np.uint8)
    if b"\r" in data:
        marks = np.flatnonzero((codes == _LF) | (codes == _CR))
        paired = (codes[marks] == _LF) & (codes[marks - 1] == _CR) & (marks > 0)
        ends = marks[~paired]
        nexts = ends + 1
        nexts += (codes[ends] == _CR) & (codes.take(nexts, mode="clip") == _LF)
    else:
        ends = np.flatnonzero(codes == _LF)
        nexts = ends + 1
    if data and data[-1] not in b"\r\n":
        ends, nexts = np.append(ends, len(data)), np.append(nexts, len(data))
    return Lines(data, np.append(0, nexts[:-1])[: len(ends)], ends, nexts, delimiter)


def whole_lines(data: bytes) -> int:
    """Return how many bytes are whole lines; a CR at the very end may be half of a CR LF."""
    line_feed = data.rfind(b"\n")
    return max(line_feed, data.rfind(b"\r", line_feed + 1, len(data) - 1)) + 1


def _unclean_lines(lines: Lines) -> list[int]:
    """Find the lines that are no record on their own, or have a quote where none belongs."""
    codes = np.frombuffer(lines.data, dtype=np.uint8)
    quotes = np.flatnonzero(codes == _QUOTE)
    if not quotes.size:
        return []
    first = np.searchsorted(quotes, lines.starts)
    counts = np.diff(first, append=quotes.size)
    opening = np.zeros(quotes.size, dtype=np.bool_)
    opening[::2] = True  # every other one opens, counted within its line
    opening ^= np.repeat(first % 2 == 1, counts)
    neighbours = quotes + np.where(opening, np.int8(-1), np.int8(1))
    # the first and last byte see themselves
    fine = _edge(lines.delimiter)[codes.take(neighbours, mode="clip")]
    unclean = counts % 2 == 1
    unclean[np.searchsorted(lines.starts, quotes[~fine], side="right") - 1] = True
    found: list[int] = np.flatnonzero(unclean).tolist()
    return found


@dataclass(frozen=True)
class Record:
    """A record that was taken apart, or given up for a reason."""

    fields: list[bytes]
    last_line: int
    fault: str = ""


def _window(lines: Lines, line: int) -> int:
    """Where the text ends that a record may take that starts at a line."""
    return int(lines.nexts[min(line + MOST_LINES, len(lines)) - 1])


def _last_line(lines: Lines, line: int, record: re.Pattern[bytes]) -> int | None:
    """Find the last line of the good record that starts at a line; None when it is not good."""
    start = int(lines.starts[line])
    match = record.match(lines.data, start, _window(lines, line))
    if match is None:
        return None
    end, last = match.end(), line
    while lines.ends[last] < end:
        last += 1
    return None if last > line and end - start > MOST_RECORD_BYTES else last


def _take_fields(
    lines: Lines, start: int, *, first_end: int, stop: int, most: int
) -> tuple[list[bytes], int, str]:
    """Take one record apart, up to its line end; a fault ends it early.

    Once a record that left its first line has too many fields, more of it need not be read.
    """
    fields: list[bytes] = []
    data, field, position = lines.data, _field(lines.delimiter), start
    while True:
        match = field.match(data, position, stop)
        if match is None:
            return [*fields, b""], stop, _UNCLOSED
        quoted = match[1]
        fields.append(match[0] if quoted is None else quoted.replace(b'""', b'"'))
        position = match.end()
        if position == stop or data[position] in b"\r\n":
            return fields, position, ""
        if data[position] != lines.delimiter:
            return fields, position, _TEXT_AFTER_QUOTE
        if len(fields) > most and position > first_end:
            return fields, position, ""
        position += 1


def take_record(lines: Lines, line: int, width: int, *, last: bool) -> Record | None:
    """Take the record apart that starts at a line; None when more of the file is needed."""
    start, first_end = int(lines.starts[line]), int(lines.ends[line])
    fields, end, fault = _take_fields(
        lines,
        start,
        first_end=first_end,
        stop=_window(lines, line),
        most=width or sys.maxsize,
    )
    runs_on, too_long = end > first_end, end - start > MOST_RECORD_BYTES
    too_many = line + MOST_LINES <= len(lines)
    if fault == _UNCLOSED and not (last or too_long or too_many):
        return None
    if fault == _TEXT_AFTER_QUOTE:
        reason = f"text after the closing quote of field {len(fields)}"
    elif fault == _UNCLOSED or (runs_on and too_long):
        reason = _unclosed_reason(len(fields), too_long=too_long, too_many=too_many)
    elif width not in {ANY_WIDTH, len(fields)}:
        reason = width_reason(len(fields), width) + (" (over several lines)" if runs_on else "")
    else:
        return Record(fields, int(np.searchsorted(lines.ends, end)))
    return Record(fields, line, reason)


def _unclosed_reason(field: int, *, too_long: bool, too_many: bool) -> str:
    within = f"within {MOST_LINES} lines" if too_many else "before the end of the file"
    if too_long:
        within = f"within {MOST_RECORD_BYTES} bytes"
    return f"the quote that opens field {field} is not closed {within}"


def width_reason(found: int, expected: int) -> str:
    """Say that a record has another number of fields than the header."""
    return f"{found} field{'s' * (found != 1)} where {expected} are expected"


Fault = tuple[int, str]  # line, reason


def _judge(
    lines: Lines, width: int, *, last: bool
) -> tuple[list[tuple[int, int]], list[Fault], int]:
    """Look at the unclean lines.

    Returns:
        The lines that belong to the record before them, from and to; the malformed records; and
        how many lines are done with, since the others need more of the file.
    """
    inner: list[tuple[int, int]] = []
    faults: list[Fault] = []
    resume = 0
    for line in _unclean_lines(lines):
        if line < resume:
            continue  # it belongs to the record before
        last_line = _last_line(lines, line, record_pattern(width, lines.delimiter))
        if last_line is None:
            record = take_record(lines, line, width, last=last)
            if record is None:
                return inner, faults, line
            faults.append((line, record.fault))
        elif last_line > line:
            resume = last_line + 1
            inner.append((line + 1, resume))
    return inner, faults, len(lines)


def find_rows(lines: Lines, width: int, *, last: bool) -> tuple[Mask, int]:
    """Find the lines that start a row, see `sift`.

    Returns:
        Of the lines that are done with, whether they start one; and how many bytes these are.
    """
    inner, _, done = _judge(lines, width, last=last)
    return _row_starts(inner, done), int(lines.nexts[done - 1]) if done else 0


def _row_starts(inner: Sequence[tuple[int, int]], count: int) -> Mask:
    is_row = np.ones(count, dtype=np.bool_)
    for start, stop in inner:
        is_row[start:stop] = False
    return is_row


@dataclass(frozen=True)
class Sifted:
    """Lines in which every quote has its match; the malformed records are set aside."""

    good: bytes
    is_row: Mask  # the line starts a row
    is_record: Mask  # the line starts a record that is in `good`
    faults: list[Fault]
    skipped: list[int]  # lines that are rows, but no records
    used: int  # bytes of the text that are done with


def sift(lines: Lines, width: int, *, last: bool, skip: Sequence[int] = ()) -> Sifted:
    """Set the malformed records apart from the good ones.

    Args:
        lines: whole lines, from the start of a record on.
        width: how many fields a record has.
        last: whether the file ends with these lines.
        skip: lines that are no records, if they start a row.
    """
    inner, faults, done = _judge(lines, width, last=last)
    is_row = _row_starts(inner, len(lines))
    is_record = is_row & (lines.ends > lines.starts)
    malformed = [line for line, _ in faults]
    skipped = [line for line in skip if line < done and is_record[line]]
    is_record[malformed + skipped] = False
    used = int(lines.nexts[done - 1]) if done else 0
    good = _without(lines, sorted(malformed + skipped), used)
    return Sifted(good, is_row[:done], is_record[:done], faults, skipped, used)


def _without(lines: Lines, cut: list[int], used: int) -> bytes:
    """Cut some lines out of the first bytes of the text."""
    kept_from = [0, *lines.nexts[cut].tolist()]
    kept_to = [*lines.starts[cut].tolist(), used]
    return b"".join(lines.data[a:b] for a, b in zip(kept_from, kept_to, strict=True))


def limited(sifted: Sifted, lines: Lines, wanted: Mask) -> Sifted:
    """Keep only the records whose first line is wanted."""
    is_record = sifted.is_record & wanted
    firsts = np.flatnonzero(sifted.is_row)
    starts = lines.starts[firsts]
    ends = np.append(starts[1:], sifted.used)  # a row goes up to the next one
    chosen = is_record[firsts]
    pieces = zip(starts[chosen].tolist(), ends[chosen].tolist(), strict=True)
    good = b"".join(lines.data[start:end] for start, end in pieces)
    return replace(sifted, good=good, is_record=is_record, faults=[], skipped=[])


def begun_before(sifted: Sifted, lines: Lines, size: int) -> Sifted:
    """Keep only the rows that start within so many bytes, which end where a row does."""
    if sifted.used <= size:
        return sifted
    count = int(np.searchsorted(lines.starts, size))
    faults = [fault for fault in sifted.faults if fault[0] < count]
    skipped = [line for line in sifted.skipped if line < count]
    good = _without(lines, sorted([*(line for line, _ in faults), *skipped]), size)
    return Sifted(good, sifted.is_row[:count], sifted.is_record[:count], faults, skipped, size)

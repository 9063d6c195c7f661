"""Reads CSV text character by character: the slow, obvious model of the reader."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Taken:
    """What the model takes from the text: a record or a malformed one."""

    fields: list[str]
    found: int
    lines: int
    good: bool


def model_lines(text: str) -> list[tuple[str, str]]:
    """Cut text into lines, each with its line end."""
    lines, line, at = [], "", 0
    while at < len(text):
        end = "\r\n" if text.startswith("\r\n", at) else text[at]
        if end in ("\r\n", "\n", "\r"):
            lines.append((line, end))
            line, at = "", at + len(end)
        else:
            line, at = line + end, at + 1
    return [*lines, (line, "")] if line else lines


def model_record(lines: list[tuple[str, str]], width: int) -> Taken:
    """Read the first record of some lines, character by character."""
    fields: list[str] = []
    value, state = "", "start"
    for number, (line, end) in enumerate(lines[:50], start=1):
        for character in line:
            if state == "quoted":
                if character == '"':
                    state = "closed"
                else:
                    value += character
            elif character == ",":
                fields.append(value)
                value, state = "", "start"
                if number > 1 and len(fields) > width:
                    return Taken(fields, len(fields), 1, good=False)
            elif state == "closed":
                if character != '"':
                    return Taken(fields, len(fields) + 1, 1, good=False)
                value, state = value + '"', "quoted"
            elif state == "start" and character == '"':
                state = "quoted"
            else:
                value, state = value + character, "plain"
        if state != "quoted":
            fields.append(value)
            good = len(fields) == width
            return Taken(fields, len(fields), number if good else 1, good)
        value += end
    return Taken(fields, len(fields) + 1, 1, good=False)


def model_row_starts(text: str, width: int) -> list[int]:
    """Where each row begins of a text whose first line is a header, in characters."""
    lines, at, starts = model_lines(text), 0, list[int]()
    used = 1  # of the header
    while lines:
        starts.append(at)
        at += sum(len(line) + len(end) for line, end in lines[:used])
        lines = lines[used:]
        used = _lines_of_row(lines, width) if lines else 0
    return starts


def _lines_of_row(lines: list[tuple[str, str]], width: int) -> int:
    return model_record(lines, width).lines if _is_record(lines[0][0]) else 1


def _is_record(line: str) -> bool:
    return bool(line and not ("," in line and not line.strip(", \t")))


def model(text: str, width: int) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Read text whose first line is a header."""
    lines, row = model_lines(text)[1:], 2
    good: list[tuple[object, ...]] = []
    malformed: list[tuple[object, ...]] = []
    while lines:
        used = 1
        if _is_record(lines[0][0]):
            taken = model_record(lines, width)
            used = taken.lines
            if taken.good:
                good.append((row, *taken.fields))
            else:
                malformed.append((row, lines[0][0], taken.found))
        lines, row = lines[used:], row + 1
    return good, malformed


HEADERS = {1: "a", 2: "a,b", 3: "a,b,c"}
TOKENS = [
    '"',
    '"',
    '""',
    ",",
    ",",
    '","',
    "\n",
    "\r",
    "\r\n",
    "x",
    " ",
    "\0",
    "ü",
    "\ufeff",
    "x,y\n",
]

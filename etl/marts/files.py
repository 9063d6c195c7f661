"""The SQL files of marts: where they lie, and what the comments at their head say.

The file `marts/daily_revenue.sql` makes the table `daily_revenue`. A file of one's own stands for
the one of the same name that comes with the program; without a statement, that mart is not built.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from etl.errors import ConfigurationError
from etl.places import MARTS
from etl.warehouse.touched import DAY

FOLDER = "marts"
GRAINS = (DAY, "customer_id", "product_id")

_NAME = re.compile(r"[a-z_][a-z0-9_]{0,49}")
_HEAD = re.compile(r"--\s*(key|incremental)\s*:\s*(.*?)\s*")


class MartError(ConfigurationError):
    """A file of a mart cannot be used.

    Args:
        path: the file.
        line: of it; 0 for the whole.
        what: what is wrong.
        next_step: what to do about it.
    """

    def __init__(self, path: Path, line: int, what: str, next_step: str = "") -> None:
        place = f"{path}, line {line}" if line else str(path)
        super().__init__(f"{place}: {what}", next_step=next_step)


@dataclass(frozen=True)
class MartFile:
    """One file, as it was read.

    Attributes:
        name: of the mart and its table.
        sql: the whole text, comments too, so that lines can be named.
        description: the first line of comment.
        key: the columns that are the key of its rows; none: rows have none.
        grain: the column by which it is brought up to date: `day`, `customer_id` or
            `product_id`; empty: it is always built whole.
    """

    name: str
    path: Path
    sql: str
    description: str = ""
    key: tuple[str, ...] = ()
    grain: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether it has no statement, so that the mart is not built."""
        lines = (line.strip() for line in self.sql.splitlines())
        return all(not line or line.startswith("--") for line in lines)


def mart_paths(base_dir: Path) -> tuple[Path, ...]:
    """Return the files of marts, sorted by name.

    Args:
        base_dir: the folder of `.env`, whose `marts/` has those of the user.
    """
    folders = (MARTS, base_dir / FOLDER)
    found = {path.stem: path for folder in folders for path in sorted(folder.glob("*.sql"))}
    return tuple(found[name] for name in sorted(found))


def read_mart(path: Path) -> MartFile:
    """Read a file and the comments at its head.

    Raises:
        MartError: it cannot be read, or its name or a comment cannot be used.
    """
    if not _NAME.fullmatch(path.stem):
        raise MartError(path, 0, "the name of a mart is of small letters, digits and _")
    try:
        sql = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MartError(path, 0, f"it cannot be read: {error}") from error
    said = {word: (line, names) for line, word, names in _head(sql)}
    line, grain = said.get("incremental", (0, ()))
    if line and (len(grain) != 1 or grain[0] not in GRAINS):
        choices = ", ".join(GRAINS)
        raise MartError(path, line, f"incremental: one of {choices}, not {', '.join(grain)!r}")
    key = said.get("key", (0, ()))[1]
    return MartFile(path.stem, path, sql, _description(sql), key, grain[0] if grain else "")


def _head(sql: str) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """The declarations in the comments: line, word, names."""
    for number, line in enumerate(sql.splitlines(), 1):
        if found := _HEAD.fullmatch(line.strip()):
            yield number, found[1], tuple(filter(None, re.split(r"[\s,]+", found[2])))


def _description(sql: str) -> str:
    first = sql.lstrip().partition("\n")[0]
    is_text = first.startswith("--") and not _HEAD.fullmatch(first.strip())
    return first.lstrip("- ").rstrip(". ") if is_text else ""

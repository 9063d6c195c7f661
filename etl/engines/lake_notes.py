"""Which tables of a working copy a statement may change."""

import re
from collections.abc import Iterable

_NAME = r'(?P<name>(?:"(?:[^"]|"")+"|\w+)(?:\.(?:"(?:[^"]|"")+"|\w+))*)'
# Statements that change no table that stays, those that change the one they name, and those after
# which there may be other tables. Of any other one, every table that it mentions may be changed.
_READS = re.compile(
    r"\s*(SELECT|FROM|EXPLAIN|DESCRIBE|CHECKPOINT|SHOW|PRAGMA|SET|"
    r"CREATE\s+(OR\s+REPLACE\s+)?(TEMP|TEMPORARY|VIEW|SCHEMA|MACRO)|"
    r"COMMENT\s+ON\s+(COLUMN|VIEW))\s", re.IGNORECASE,
)  # fmt: skip
_WRITES = re.compile(
    r"\s*(INSERT\s+INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO|TRUNCATE(\s+TABLE)?|DROP\s+TABLE|"
    r"ALTER\s+TABLE|COMMENT\s+ON\s+TABLE|CREATE\s+TABLE)"
    rf"(\s+IF\s+(NOT\s+)?EXISTS)?\s+{_NAME}", re.IGNORECASE,
)  # fmt: skip
_MAKES = re.compile(r"\s*(CREATE|DROP|ALTER)\s", re.IGNORECASE)


def only_reads(sql: str) -> bool:
    """Return whether a statement changes no table that stays.

    Example:
        >>> only_reads("SELECT * FROM sales;"), only_reads("DELETE FROM sales;")
        (True, False)
    """
    return _READS.match(sql) is not None


def touched_by(sql: str, names: Iterable[str]) -> set[str]:
    """Return those of some tables that a statement may change that does not only read.

    Example:
        >>> sorted(touched_by('UPDATE "sales" SET n = 1;', ["sales", "shop.sales", "costs"]))
        ['sales', 'shop.sales']
    """
    found, whole = _WRITES.match(sql), sql.lower()
    if found is None:
        return {name for name in names if _bare(name) in whole}
    words = [part.strip('"').lower() for part in found["name"].split(".")]
    return {name for name in names if _bare(name) in words}


def makes_tables(sql: str) -> bool:
    """Return whether there may be other tables after a statement that does not only read.

    Example:
        >>> makes_tables("DROP TABLE t;"), makes_tables("DELETE FROM t;")
        (True, False)
    """
    return _WRITES.match(sql) is None or _MAKES.match(sql) is not None


def _bare(name: str) -> str:
    return name.rpartition(".")[2].lower()

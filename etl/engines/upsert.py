"""A MERGE as the two statements that come to the same: an UPDATE, then an INSERT.

For SQL Server, whose MERGE has known defects beside indexed views, filtered unique indexes and
cascading foreign keys. Both run in the transaction of the caller, and the key ranges stay locked to
its end, so that nobody comes between.
"""

import re
from collections.abc import Sequence

Bound = tuple[str, tuple[object, ...]]

# The form in which the package writes every MERGE into a table that stays.
_MERGE = re.compile(
    r"""MERGE\ INTO\ (?P<table>\S+)(?P<locked>\ WITH\ \([^)]*\))?\ AS\ target\n
    USING\ (?P<source>.*?)\ AS\ source\n
    ON\ (?P<same>[^\n]*)
    (?:\nWHEN\ MATCHED(?:\ AND\ (?P<differs>.*?))?\ THEN\s+UPDATE\ SET\s+(?P<sets>.*?))?
    (?:\nWHEN\ NOT\ MATCHED\ THEN\s+INSERT\ \((?P<columns>[^)]*)\)\s+VALUES\ \((?P<values>.*?)\))?
    (?P<option>\nOPTION\ \([^)]*\))?;""",
    re.DOTALL | re.VERBOSE,
)


def as_pair(sql: str, params: Sequence[object] = ()) -> list[Bound]:
    """Return the statements to run in place of a MERGE; any other statement as it is.

    Args:
        sql: a statement.
        params: its parameters: those of the update, then those of the insert.

    Example:
        >>> merge = '''MERGE INTO "t" AS target
        ... USING "s" AS source
        ... ON target."k" = source."k"
        ... WHEN MATCHED AND target."v" <> source."v" THEN UPDATE SET "v" = source."v", "at" = ?
        ... WHEN NOT MATCHED THEN INSERT ("k", "at") VALUES (source."k", ?);'''
        >>> for text, values in as_pair(merge, (1, 2)):
        ...     print(text, values)
        UPDATE target SET "v" = source."v", "at" = ?
        FROM "t" AS target
        JOIN "s" AS source ON target."k" = source."k"
        WHERE target."v" <> source."v"; (1,)
        INSERT INTO "t" ("k", "at")
        SELECT source."k", ?
        FROM "s" AS source
        WHERE NOT EXISTS (SELECT 1 FROM "t" AS target WHERE target."k" = source."k"); (2,)
    """
    found = _MERGE.fullmatch(sql.strip())
    if found is None:
        return [(sql, tuple(params))]
    part = {name: text or "" for name, text in found.groupdict().items()}
    texts = [_update(part)] if part["sets"] else []
    texts += [_insert(part)] if part["columns"] else []
    marks = part["sets"].count("?")
    first = tuple(params[:marks]) if part["sets"] else ()
    bound = [first, tuple(params[len(first) :])] if len(texts) > 1 else [tuple(params)]
    return list(zip(texts, bound, strict=True))


# The names are those of the MERGE, which has quoted them.


def _update(part: dict[str, str]) -> str:
    where = f"\nWHERE {part['differs']}" if part["differs"] else ""
    return (
        f"UPDATE target SET {part['sets']}\n"  # noqa: S608
        f"FROM {part['table']} AS target{part['locked']}\n"
        f"JOIN {part['source']} AS source ON {part['same']}{where}{part['option']};"
    )


def _insert(part: dict[str, str]) -> str:
    return (
        f"INSERT INTO {part['table']} ({part['columns']})\n"  # noqa: S608
        f"SELECT {part['values']}\n"
        f"FROM {part['source']} AS source\n"
        f"WHERE NOT EXISTS (SELECT 1 FROM {part['table']} AS target{part['locked']} "
        f"WHERE {part['same']}){part['option']};"
    )

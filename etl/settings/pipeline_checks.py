"""What in a `pipeline.toml` does not go together, though each part of it can be read."""

import difflib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from etl.cloud.paths import FORMS, cloud_path, is_address, is_cloud
from etl.schema.star import STAR_TABLES
from etl.schema.versioned import TAKEN
from etl.settings.change_options import FROM_FILES
from etl.settings.history_options import HistoryOptions
from etl.settings.pipeline_file import (
    BUILT_IN_LOADS,
    IDENTIFIER,
    BuiltInSource,
    LoadOptions,
    OwnCheck,
    SourceOptions,
)
from etl.settings.toml_places import Place

NAME_WIDTH = 20  # of sources in the audit tables
FED_MODES = ("merge", "history")  # into which changes can be loaded
_TIMES, _NUMBERS = ("date", "timestamp"), ("integer", "bigint")
_LAGS = {"lag_days": "lag_ids", "lag_ids": "lag_days"}

# A place of the file, and what is wrong there.
Problem = tuple[Place, str]


def problems_of_loads(loads: Mapping[str, LoadOptions]) -> Iterator[Problem]:
    """Yield what is wrong with loads, each by itself and together."""
    for name, load in loads.items():
        place = ("loads", name)
        for at, words in _problems_of_load(name, load):
            yield (*place, *at), words
    yield from _tables_taken_twice(loads)
    if cycle := _cycle(loads):
        names = " -> ".join(cycle)
        yield ("loads", cycle[0], "references"), f"a circle of references: {names}"


def _problems_of_load(name: str, load: LoadOptions) -> Iterator[Problem]:
    if not IDENTIFIER.fullmatch(name) or len(name) > NAME_WIDTH:
        yield (), f"a load is named by at most {NAME_WIDTH} letters, digits and _"
    if name in BUILT_IN_LOADS:
        yield (
            (),
            (
                "has the name of a built-in load; settings of its source belong into "
                f"[sources.{name}]"
            ),
        )
    yield from _odd_columns(load)
    yield from _odd_cursor(load)
    yield from _odd_source(load.source)
    yield from _odd_feed(load)
    yield from _odd_history(load)


def _odd_columns(load: LoadOptions) -> Iterator[Problem]:
    if load.mode != "append" and load.columns and not load.key:
        yield (
            ("key",),
            (f"missing: mode {load.mode} needs the columns that tell one record from another"),
        )
    named: dict[Place, Iterable[str]] = {
        ("key",): load.key,
        ("references",): load.references,
        ("cursor",): (load.cursor,) if load.cursor else (),
        ("defaults",): load.defaults,
        ("source", "rename"): load.source.rename.values(),
        ("source", "defaults"): load.source.defaults,
        ("history", "types"): load.history.types,
        ("history", "valid_from"): filter(None, [load.history.valid_from]),
    }
    for place, columns in named.items() if load.columns else ():
        for column in columns:
            if column not in load.columns:
                yield place, f"{column!r} is no column{nearest(column, load.columns)}"


def _odd_cursor(load: LoadOptions) -> Iterator[Problem]:
    kind = load.columns.get(load.cursor or "", _TIMES[0])
    if kind not in (*_TIMES, *_NUMBERS):
        wanted = "a date, a timestamp or a whole number"
        yield ("cursor",), f"{load.cursor!r} is {kind}, where {wanted} is needed"
    for lag, others in (("lag_days", _NUMBERS), ("lag_ids", _TIMES)):
        if getattr(load, lag) and not load.cursor:
            yield (lag,), "needs cursor, the column that it is about"
        if getattr(load, lag) and load.columns.get(load.cursor or "") in others:
            yield (lag,), f"{load.cursor!r} is {kind}: {_LAGS[lag]} instead"
        if getattr(load, lag) and load.mode == "append":
            yield (lag,), "mode append would add the same records again: leave it out"
    if load.source.is_rest and kind in _NUMBERS:
        yield ("cursor",), "an interface is asked by a date or a timestamp, not by a number"
    if load.cursor and load.mode == "replace":
        yield ("cursor",), "mode replace reads everything: leave cursor out"


def _odd_history(load: LoadOptions) -> Iterator[Problem]:
    history = load.history
    if load.changes and load.mode in ("append", "history"):
        yield ("changes",), f"mode {load.mode} changes no row: leave it out"
    if load.mode != "history":
        if history != HistoryOptions():
            yield ("history",), f"belongs to mode history, not to {load.mode}"
        return
    since = history.versions(load.cursor or load.source.changed_at).valid_from
    for name in history.types:
        if name in (*load.key, since):
            yield ("history", "types"), f"{name!r} says which version it is, and has no type"
    for name in (*load.columns, *load.source.rename.values()):
        if name in TAKEN:
            yield ("columns",), f"{name!r} is a column of the versions: rename it"
    kind = load.columns.get(since, _TIMES[0])
    if kind not in _TIMES:
        yield (
            ("history", "valid_from"),
            f"{since!r} is {kind}, where a date or a timestamp is needed",
        )


def problems_of_source(name: str, source: BuiltInSource) -> Iterator[Problem]:
    """Yield what is wrong with the source of a built-in load."""
    yield from _odd_database(name, source)
    if source.history is None:
        return
    table = next(each for each in STAR_TABLES if each.source == name)
    if table.window:
        yield ("history",), f"{name} have none: what happened stays as it is"
    if source.history.valid_from:
        yield ("history", "valid_from"), f"{name} have no such column: leave it out"
    for column in source.history.types:
        if column not in table.names or column in table.key:
            names = [c.name for c in table.guarded if c.name != table.placeholder]
            yield ("history", "types"), f"{column!r} is no column{nearest(column, names)}"


def _odd_database(name: str, source: BuiltInSource) -> Iterator[Problem]:
    """What does not go together of a built-in source that is read from a database."""
    asked = [part for part in ("table", "query") if getattr(source, part)]
    others = [part for part in ("path", "type") if getattr(source, part)]
    if (source.connection or asked) and name == "sales":
        yield (
            ("connection",),
            "sales of a database are read by SALES_DB_CONNECTION_STRING: leave it out",
        )
    elif source.connection and (len(asked) != 1 or others):
        found = " and ".join([*asked, *others]) or "none of them"
        yield ("connection",), f"needs table or query, and no other source; found {found}"
    elif asked and not source.connection:
        yield (asked[0],), "needs connection, the name of a setting"
    if "?" in source.query:
        yield ("query",), f"{name} are read whole, so that no question mark stands for a time"


def _odd_feed(load: LoadOptions) -> Iterator[Problem]:
    source = load.source
    if not source.is_feed:
        return
    if load.mode not in FED_MODES:
        yield ("mode",), f"changes need mode {' or '.join(FED_MODES)}, not {load.mode}"
    if load.cursor:
        yield ("cursor",), "changes have a position of their own: leave it out"
    if source.changed_at and load.columns and source.changed_at not in load.columns:
        at = ("source", "changed_at")
        yield at, f"{source.changed_at!r} is no column{nearest(source.changed_at, load.columns)}"
    wanted = ("path",) if source.type in FROM_FILES else ("connection", "table")
    for name in wanted:
        if not getattr(source, name):
            yield ("source",), f"type {source.type!r} needs {name}"
    for name in {"path", "connection", "query"} - set(wanted):
        if getattr(source, name):
            yield ("source", name), f"type {source.type!r} has none"


def _odd_source(source: SourceOptions) -> Iterator[Problem]:
    if source.is_feed:
        return
    given = [part for part in ("path", "table", "query") if getattr(source, part)]
    if source.is_rest:
        if given:
            yield ("source",), f"type {source.type!r} and {given[0]}: only one of them"
    elif len(given) != 1:
        found = " and ".join(given) or "none of them"
        yield (
            ("source",),
            (f"needs path, connection with table or query, or type with url; found {found}"),
        )
    elif given != ["path"] and not source.connection:
        yield ("source",), f"{given[0]} needs connection, the name of a setting"
    elif given == ["path"] and source.connection:
        yield ("source", "connection"), "a file needs none"
    if source.query.count("?") not in (0, 2):
        yield (
            ("source", "query"),
            ("has two question marks, for the first instant and the one after the last, or none"),
        )


def _tables_taken_twice(loads: Mapping[str, LoadOptions]) -> Iterator[Problem]:
    taken = {table: f"the built-in load {name}" for name, table in BUILT_IN_LOADS.items()}
    for name, load in loads.items():
        other = next((by for table, by in taken.items() if _is_same(table, load.table)), "")
        if other:
            yield ("loads", name, "table"), f"{load.table!r} is loaded by {other}"
        taken.setdefault(load.table, f"[loads.{name}]")


def _is_same(table: str, other: str) -> bool:
    """Whether two names may mean one table: one without a schema can be in any."""
    (schema, _, name), (other_schema, _, other_name) = (
        each.lower().rpartition(".") for each in (table, other)
    )
    return name == other_name and (schema == other_schema or not (schema and other_schema))


# --- files -------------------------------------------------------------------------------


def problems_of_path(pattern: str, folder: Path) -> str:
    """Return what is wrong with the path of a source; empty when nothing is.

    Args:
        pattern: as it was declared.
        folder: INPUT_DIR, which it must not leave.
    """
    if is_cloud(folder) or is_address(pattern):
        return _problem_in_cloud(pattern)
    base = Path(os.path.normpath(folder))
    path = Path(os.path.normpath(base / pattern))
    if not path.is_relative_to(base):
        return f"{pattern!r} leads out of INPUT_DIR, {base}, below which files are read"
    if "{date" not in pattern and any(mark in pattern for mark in "*?["):
        found = [each for each in base.glob(str(path.relative_to(base))) if each.is_file()]
        if not found:
            return f"no file matches {path}"
        path = found[0]
    if path.exists() and not os.access(path, os.R_OK):
        return f"{path} may not be read by this user"
    return ""


def _problem_in_cloud(pattern: str) -> str:
    """What can be seen without asking the cloud; whether the object is there, the run finds."""
    try:
        cloud_path(pattern if is_address(pattern) else f"s3://bucket/{pattern}")
    except ValueError as error:
        return f"{error}; wanted {FORMS}"
    return ""


# --- references --------------------------------------------------------------------------


def arrows(loads: Mapping[str, LoadOptions]) -> dict[str, set[str]]:
    """Return by load the other loads whose tables it refers to."""
    by_table = {load.table.lower(): name for name, load in loads.items()}
    return {
        name: {
            by_table[target.lower()]
            for target in load.references.values()
            if target.lower() in by_table and by_table[target.lower()] != name
        }
        for name, load in loads.items()
    }


def _cycle(loads: Mapping[str, LoadOptions]) -> Sequence[str]:
    try:
        TopologicalSorter(arrows(loads)).prepare()
    except CycleError as error:
        return [str(name) for name in reversed(error.args[1])]
    return []


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the nearest of the known names, or all of them, as the end of a message.

    Example:
        >>> nearest("kye", ["key", "mode"]), nearest("x", ["key", "mode"])
        ("; did you mean 'key'?", '. Choices: key, mode')
    """
    names = list(known)
    near = difflib.get_close_matches(name.lower(), names, n=1)
    return f"; did you mean {near[0]!r}?" if near else f". Choices: {', '.join(names)}"


# --- checks of loaded tables ----------------------------------------------------------------

_CHECK_WIDTH = 40  # of their names, which stand behind that of the table in the history


def problems_of_check(name: str, check: OwnCheck) -> Iterator[Problem]:
    """Yield what is wrong with a check of a loaded table."""
    if not IDENTIFIER.fullmatch(name) or len(name) > _CHECK_WIDTH:
        yield (), f"a check is named by at most {_CHECK_WIDTH} letters, digits and _"
    if check.max_share is not None and check.max_rows is not None:
        yield ("max_rows",), "max_share and max_rows: only one of them"
    for part in ("check", "among"):
        if "?" in getattr(check, part) or ";" in getattr(check, part):
            yield (part,), "a condition holds no question mark and no semicolon"

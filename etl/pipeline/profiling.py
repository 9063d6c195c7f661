"""Profiles: asked for in place of a run, and kept of the tables after their loads."""

import json
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Literal

from rich.box import SIMPLE_HEAD
from rich.table import Table as Printed
from rich.text import Text

from etl.errors import EXIT_OK, ConfigurationError, ETLError
from etl.history.audit import LOADED
from etl.history.outcomes import SourceOutcome
from etl.pipeline import console
from etl.pipeline.arguments import Arguments
from etl.pipeline.context import RunContext
from etl.pipeline.kept_columns import star_tables
from etl.pipeline.workspace import PROFILES, scratch_folder
from etl.profile.compare import compare
from etl.profile.figures import ColumnFigures, Profile, read_profile
from etl.profile.findings import findings
from etl.profile.look import Counting, profile_named, profile_table
from etl.profile.report import file_stem, write_profile
from etl.reports.page import shortened
from etl.schema.table import Table
from etl.settings.config import Config
from etl.words import count_words, counted, percent_words, printable

logger = logging.getLogger(__name__)

KEPT_PROFILES = 30  # of each table
_SHOWN = 14  # characters of a value


def profile(config: Config, args: Arguments) -> int:
    """Profile a file or table, write it, and print it.

    Returns:
        The exit code.

    Raises:
        ETLError: it cannot be read, or the report cannot be written.
    """
    folder = config.files.environment_dir / PROFILES
    with scratch_folder(None) as scratch:
        found = profile_named(config, args.profile or "", key=args.key, folder=scratch)
        against = _other(config, args, found, scratch) if args.against else None
    try:
        written = write_profile(folder, found, against)
    except OSError as error:
        raise ETLError(f"{folder} cannot be written: {error.strerror or error}") from error
    with console.output():
        if args.json:
            print(json.dumps(_as_json(found, against), indent=1))  # noqa: T201  # the answer
        else:
            _print(found, against, written)
    return EXIT_OK


def _other(config: Config, args: Arguments, found: Profile, scratch: Path) -> Profile:
    name = args.against or ""
    kept = config.files.environment_dir / PROFILES / f"{file_stem(found.name)}_{name}.json"
    if kept.is_file():
        return read_profile(kept)
    return profile_named(config, name, key=args.key, folder=scratch)


def _as_json(found: Profile, against: Profile | None) -> dict[str, object]:
    notes = [{"column": each.column, "finding": each.words} for each in findings(found)]
    if against is None:
        return {**found.as_dict(), "findings": notes}
    changes = [
        {"column": each.name, "distance": each.distance, "changes": list(each.words)}
        for each in compare(against, found)
    ]
    return {**found.as_dict(), "findings": notes, "against": against.name, "changes": changes}


# --- printed -------------------------------------------------------------------------------


def _print(found: Profile, against: Profile | None, written: tuple[Path, Path]) -> None:
    out = console.stdout()
    out.print(_columns_table(found))
    for each in findings(found):
        place = f"{each.column}: " if each.column else ""
        out.print(Text(printable(f"{place}{each.words}")), soft_wrap=True)
    for change in compare(against, found) if against else ():
        for words in change.words:
            out.print(Text(printable(f"{change.name}: {words}"), style="yellow"), soft_wrap=True)
    duplicates = counted(found.record_duplicates, "equal record")
    out.print(Text(f"{counted(found.rows, 'record')}, {duplicates}"))
    for path in written:
        out.print(Text(str(path)), soft_wrap=True)


_HEADINGS = ("column", "type", "missing", "distinct", "lowest", "median", "highest")
_WORDS = 2  # columns of words, before those of figures


def _columns_table(found: Profile) -> Printed:
    table = Printed(header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for number, heading in enumerate(_HEADINGS):
        side: Literal["left", "right"] = "left" if number < _WORDS else "right"
        table.add_column(heading, justify=side, no_wrap=True, overflow="ellipsis")
    for column in found.columns:
        table.add_row(*(Text(printable(cell)) for cell in _cells(column)))
    return table


def _cells(column: ColumnFigures) -> Iterator[str]:
    yield from (column.name, column.kind, percent_words(column.null_share))
    yield count_words(column.distinct)
    for value in (column.lowest, column.quantile("median"), column.highest):
        yield "-" if value is None else shortened(value, _SHOWN)


# --- after a load --------------------------------------------------------------------------


def profile_loads(run: RunContext, outcomes: tuple[SourceOutcome, ...]) -> None:
    """Profile the tables that were loaded and for which that is asked; no failure fails the run."""
    loaded = {each.table for each in outcomes if each.status == LOADED}
    tables = (*star_tables(run.db, run.config), *(each.whole for each in run.own))
    for table in tables:
        if table.name in loaded and _is_asked(run, table):
            try:
                _keep_profile(run, table)
            except (ETLError, OSError) as error:
                logger.error("%s has no new profile: %s", table.name, error, exc_info=True)


def _is_asked(run: RunContext, table: Table) -> bool:
    own = next((each.options.source for each in run.own if each.name == table.source), None)
    source = own or run.config.pipeline.source(table.source)
    return source.profile or run.config.processing.profile_loads


def _keep_profile(run: RunContext, table: Table) -> None:
    """Write a profile of the run, and the newest one of the table beside the one before."""
    folder, stem = run.output / PROFILES, file_stem(table.name)
    found = run.kept(partial(
        profile_table, run.db, table,
        counting=Counting(run.scratch, run.config.processing.duckdb_memory_limit),
    ))  # fmt: skip
    before = folder / f"{stem}.json"
    try:
        against = read_profile(before) if before.is_file() else None
    except ConfigurationError as error:
        logger.warning("%s stands beside no earlier profile: %s", table.name, error)
        against = None
    _, page = write_profile(folder, found, against)
    write_profile(folder, found, against, name=f"{stem}_{run.plan.run_id}")
    for old in _kept(folder, stem)[:-KEPT_PROFILES]:
        for path in (old, old.with_suffix(".html")):
            path.unlink(missing_ok=True)
    logger.info("%s: profile %s", table.name, page)


def _kept(folder: Path, stem: str) -> list[Path]:
    """The profiles of earlier runs, oldest first: run ids sort by their start."""
    return sorted(folder.glob(f"{stem}_[0-9]*T*Z.json"))

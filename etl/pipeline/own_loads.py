"""Loads that users declare in `pipeline.toml`: their tables, types and rules, before they run."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
from pydantic import BaseModel

from etl.engines.database import DatabaseManager
from etl.errors import ConfigurationError, LoadingError
from etl.rules.declared import Condition, Declaration, require_conditions
from etl.rules.frame_types import columns_of
from etl.schema.tables import STAR_TABLES, Column, Kind, Table
from etl.settings.config import Config
from etl.settings.pipeline_file import LoadOptions
from etl.sources.csv_reader import CsvFormat, read_csv_sample
from etl.warehouse.own_tables import find_table, loaded_part, require_names

_NAME_WIDTH = 20  # of sources in the audit tables
# What a run carries out so far of the options of a load and of its source.
_CARRIED_OUT = {"source", "table", "key", "mode", "columns", "references", "rules", "guards"}
_OF_SOURCE = {"path", "encoding", "rename", "defaults"}
_OF_GUARDS = {"max_reject_rate"}


@dataclass(frozen=True)
class OwnLoad:
    """A declared load.

    Attributes:
        whole: the table with all its columns and its key, as it is made when it is missing.
        names: by column of the table, the one of the file.
        max_reject_rate: its own limit; None: that of the settings.
    """

    name: str
    whole: Table
    declaration: Declaration
    path: Path
    names: Mapping[str, str]
    csv_format: CsvFormat
    max_reject_rate: float | None = None

    @property
    def table(self) -> Table:
        """What the load writes of its table."""
        return self.declaration.table


def own_loads(db: DatabaseManager, config: Config) -> tuple[OwnLoad, ...]:
    """Return the declared loads, those that others refer to first.

    Raises:
        ConfigurationError: some cannot be carried out; all problems are listed.
    """
    problems: list[str] = []
    found: dict[str, OwnLoad] = {}
    for name, options in config.pipeline.loads.items():
        try:
            _require_carried_out(name, options)
            found[name] = _own_load(db, config, name, options, [o.whole for o in found.values()])
        except (ConfigurationError, LoadingError) as error:
            problems.append(f"loads.{name}: {error}")
    if problems:
        listed = "".join(f"\n- {problem}" for problem in problems)
        raise ConfigurationError(f"the declared loads cannot be carried out:{listed}")
    return tuple(found.values())


def _require_carried_out(name: str, options: LoadOptions) -> None:
    parts: tuple[tuple[str, BaseModel, set[str]], ...] = (
        ("", options, _CARRIED_OUT),
        ("source.", options.source, _OF_SOURCE),
        ("guards.", options.guards, _OF_GUARDS),
    )
    odd = [f"{at}{n}" for at, part, known in parts for n in sorted(part.model_fields_set - known)]
    if odd:
        raise ConfigurationError(f"{', '.join(odd)} cannot be carried out yet")
    if len(name) > _NAME_WIDTH:
        raise ConfigurationError(f"the name has more than {_NAME_WIDTH} characters")


def _own_load(
    db: DatabaseManager, config: Config, name: str, options: LoadOptions, others: Sequence[Table]
) -> OwnLoad:
    source = options.source
    path = _path_of(config, source.path)
    csv_format = CsvFormat(encoding=source.encoding or config.files.csv_encoding)
    columns, existing = _columns(db, options, path, csv_format)
    known = {table.name: table for table in (*STAR_TABLES, *others)}
    columns = tuple(
        replace(c, references=_parent(db, options.references.get(c.name), known)) for c in columns
    )
    key = options.key or (existing.key if existing else ())
    _require_key(options, key, columns)
    whole = Table(options.table, f"loaded by {name}", () if options.mode == "append" else key,
                  _with_existing(columns, existing), source=name)  # fmt: skip
    table = loaded_part(whole, [c.name for c in columns], options.mode)
    require_names(table)
    rules = (Condition(n, r.check, r.severity == "reject") for n, r in options.rules.items())
    defaults = {n: _text_of(value) for n, value in source.defaults.items()}
    declaration = Declaration(table, tuple(rules), defaults)
    require_conditions(declaration)
    given = {column: file for file, column in source.rename.items()}
    names = {n: given.get(n, n) for n in declaration.columns if n not in defaults}
    rate = options.guards.max_reject_rate
    return OwnLoad(name, whole, declaration, path, names, csv_format, rate)


def _text_of(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _path_of(config: Config, pattern: str) -> Path:
    """The file, of several that match the newest."""
    plain = config.files.input_dir / pattern
    if not re.search(r"[*?\[]", pattern):
        return plain
    found = sorted(config.files.input_dir.glob(pattern), key=lambda each: each.stat().st_mtime_ns)
    if not found:
        raise ConfigurationError(f"no file matches {plain}", next_step="correct source.path")
    return found[-1]


_TYPE = re.compile(r"(\w+)(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?")


def _declared_column(name: str, text: str, key: Sequence[str]) -> Column:
    match = _TYPE.fullmatch(text)
    assert match is not None  # noqa: S101  # for mypy: the file has been checked
    kind, first, second = Kind(match[1]), int(match[2] or 0), int(match[3] or 0)
    is_key = name in key
    if kind is Kind.TEXT:
        return Column(name, "", kind, width=first, required=is_key, exact=is_key)
    return Column(name, "", kind, precision=first, scale=second, required=is_key)


def _columns(
    db: DatabaseManager, options: LoadOptions, path: Path, csv_format: CsvFormat
) -> tuple[tuple[Column, ...], Table | None]:
    existing = find_table(db, options.table)
    if options.columns:
        declared = (_declared_column(n, t, options.key) for n, t in options.columns.items())
        return tuple(declared), existing
    header, sample = read_csv_sample(path, csv_format)
    names = [options.source.rename.get(name, name) for name in header]
    names += [name for name in options.source.defaults if name not in names]
    if existing:
        known = {column.name: column for column in existing.columns}
        return tuple(known[name] for name in names if name in known), existing
    arrays = dict(zip(names, sample, strict=False))
    texts = ((name, arrays.get(name, pa.nulls(0, pa.string()))) for name in names)
    return columns_of(texts, options.key), None


def _with_existing(columns: Sequence[Column], existing: Table | None) -> tuple[Column, ...]:
    """All columns of the table: of those that are there what the load declares of them."""
    if existing is None:
        return tuple(columns)
    own = {column.name: column for column in columns}
    others = (c for c in existing.columns if c.name not in own)
    return (*columns, *others)


def _parent(db: DatabaseManager, name: str | None, known: Mapping[str, Table]) -> Table | None:
    if name is None:
        return None
    parent = known.get(name) or find_table(db, name)
    if parent is None or len(parent.key) != 1:
        raise ConfigurationError(
            f"it refers to {name}, which is no table with a key of one column",
            choices=", ".join(known),
        )
    return parent


def _require_key(options: LoadOptions, key: Sequence[str], columns: Sequence[Column]) -> None:
    names = [column.name for column in columns]
    missing = [name for name in key if name not in names]
    if missing or (not key and options.mode != "append"):
        raise ConfigurationError(
            f"key: {', '.join(missing)} is no column" if missing else "key: missing",
            choices=", ".join(names),
        )


def tables_of(own: Sequence[OwnLoad]) -> Iterator[Table]:
    """Yield the tables of the built-in loads and of these, in the order in which they load."""
    yield from STAR_TABLES
    for each in own:
        yield each.table

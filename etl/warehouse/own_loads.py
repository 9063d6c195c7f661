"""Loads that users declare in `pipeline.toml`: their tables, types and rules, before they run."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from etl.engines.database import DatabaseManager
from etl.engines.engine import Access
from etl.engines.schemas import Schemas
from etl.errors import ETLError
from etl.rules.declared import Condition, Declaration, faults_of_expressions
from etl.rules.found_types import TypeFinder
from etl.rules.texts import NULL_WORDS
from etl.schema.star import STAR_TABLES
from etl.schema.table import Column, Kind, Table
from etl.schema.tables import ALL_TABLES
from etl.settings.config import Config
from etl.settings.pipeline_checks import nearest
from etl.settings.pipeline_file import LoadOptions, texts_of
from etl.settings.pipeline_reading import PipelineFileError
from etl.settings.toml_places import Place
from etl.sources.changes.declared import Changes
from etl.sources.csv_header import comparable
from etl.sources.declared import Described, Records, all_texts
from etl.sources.own_records import own_records
from etl.warehouse.own_cleaning import problems_of_cleaning, steps_of
from etl.warehouse.own_history import find_for_mode, require_carried, with_versions
from etl.warehouse.own_tables import find_table, loaded_part, require_names

_CURSORS = (Kind.DATE, Kind.TIMESTAMP, Kind.INTEGER, Kind.BIGINT)


@dataclass(frozen=True)
class OwnLoad:
    """A declared load.

    Attributes:
        whole: the table with all its columns and its key, as it is made when it is missing.
        options: as they were declared.
        records: where they are read.
        limits: its own ones, by the name that `Limits` has for them.
    """

    name: str
    whole: Table
    options: LoadOptions
    declaration: Declaration
    records: Records
    limits: Mapping[str, Any] = field(default_factory=dict)

    @property
    def table(self) -> Table:
        """What the load writes of its table."""
        return self.declaration.table

    @property
    def changes(self) -> Changes | None:
        """Its records, where they are changes."""
        return cast(Changes, self.records) if self.table.feed else None

    @property
    def snapshot(self) -> bool:
        """Whether each reading gives all that the source has, so that fewer are a finding."""
        return self.table.replaced or "min_rows_rate" in self.limits


class _OddError(Exception):
    """A place of a load, and what is wrong there."""

    def __init__(self, place: Place, words: str) -> None:
        super().__init__(words)
        self.place = place


def own_loads(db: DatabaseManager, config: Config) -> tuple[OwnLoad, ...]:
    """Return the declared loads, those that others refer to first.

    Raises:
        PipelineFileError: some cannot be carried out; all problems are listed with their lines.
    """
    pipeline, problems = config.pipeline, list[str]()
    found: dict[str, OwnLoad] = {}
    for name, options in pipeline.loads.items():
        declaring = _Declaring(db, config, name, options, [load.whole for load in found.values()])
        try:
            found[name] = declaring.load()
        except _OddError as odd:
            problems.append(pipeline.problem(("loads", name, *odd.place), str(odd)))
        except ETLError as error:
            problems.append(pipeline.problem(("loads", name), str(error)))
        odd_ones = declaring.problems(found[name]) if name in found else ()
        problems += [pipeline.problem(("loads", name, *at), words) for at, words in odd_ones]
    if problems:
        raise PipelineFileError(pipeline.path, problems)
    return tuple(found.values())


@dataclass(frozen=True)
class _Declaring:
    """Makes a load of what is declared, of its table and of its source."""

    db: DatabaseManager
    config: Config
    name: str
    options: LoadOptions
    others: Sequence[Table]

    def load(self) -> OwnLoad:
        options = self.options
        if options.table.rpartition(".")[2].lower() in {table.name for table in ALL_TABLES}:
            raise _OddError(("table",), f"{options.table!r} is a table of the program itself")
        records = own_records(self.config, self.name, options)
        existing = find_for_mode(self.db, options.table, options.mode)
        columns = self._columns(records, existing)
        key = options.key or (existing.key if existing else ())
        whole = Table(
            options.table, f"loaded by {self.name}", () if options.mode == "append" else key,
            _with_existing(self._referring(columns, key), existing), source=self.name,
            feed=getattr(records, "feed", None),
            logged=options.changes.logged if options.changes else None,
        )  # fmt: skip
        if options.mode == "history":
            require_carried(existing, columns)
            whole = self._with_versions(whole)
        table = loaded_part(whole, [column.name for column in columns], options.mode)
        require_names(table)
        if options.cursor:
            table = replace(table, window=options.cursor, rank=(options.cursor,))
        guards = options.guards.model_dump(exclude_none=True)
        return OwnLoad(self.name, whole, options, self._declaration(table), records, guards)

    def _with_versions(self, table: Table) -> Table:
        history, cursor = self.options.history, self.options.cursor
        since = cursor or self.options.source.changed_at
        return with_versions(table, history.versions(since), closes=history.closes(cursor))

    def problems(self, load: OwnLoad) -> Iterator[tuple[Place, str]]:
        """What does not go together now that the columns are known."""
        names = [column.name for column in load.declaration.table.columns]
        options, key = self.options, self.options.key or load.whole.key
        if not key and options.mode != "append":
            yield ("key",), f"missing: {load.whole.name} has none. Choices: {', '.join(names)}"
        named: dict[Place, Sequence[str]] = {
            ("key",): key, ("cursor",): (options.cursor,) if options.cursor else (),
            ("references",): tuple(options.references), ("defaults",): tuple(options.defaults),
            ("source", "defaults"): tuple(options.source.defaults),
        }  # fmt: skip
        odd = [(at, name) for at, columns in named.items() for name in columns if name not in names]
        for at, name in odd:
            yield at, f"{name!r} is no column{nearest(name, names)}"
        if odd:
            return
        yield from problems_of_cleaning(options, load.declaration.table, names)
        if options.cursor and load.table.column(options.cursor).kind not in _CURSORS:
            yield ("cursor",), f"{options.cursor!r} is no date, no timestamp and no whole number"
        for part, name, words in faults_of_expressions(load.declaration):
            yield (part, name), words

    def _declaration(self, table: Table) -> Declaration:
        options, source = self.options, self.options.source
        rules = (Condition(n, r.check, r.severity == "reject") for n, r in options.rules.items())
        known = set(table.names)
        return Declaration(
            table, tuple(rules),
            {n: text for n, text in texts_of(source.defaults).items() if n in known},
            {n: expression for n, expression in options.defaults.items() if n in known},
            null_words=_null_words(options), decimal=source.decimal or ".",
            needed=(options.cursor,) if options.cursor in known else (),
            steps={n: steps for n, steps in steps_of(options).items() if n in known},
            made_up=frozenset(n for n, each in options.clean.items() if each.impute),
        )  # fmt: skip

    # --- columns ---

    def _columns(self, records: Records, existing: Table | None) -> tuple[Column, ...]:
        """The declared ones; else those of the source that the table has, or all of them."""
        options = self.options
        if options.columns and options.source.extra != "keep":
            return tuple(_declared_column(n, t, options.key) for n, t in options.columns.items())
        known = {n: _declared_column(n, t, options.key) for n, t in options.columns.items()}
        if existing:
            known = {column.name: column for column in existing.columns} | known
        try:
            sources = self._names(records, known)
        except (ETLError, OSError):
            if not existing:
                raise
            sources = {name: name for name in known}  # reading says what is wrong, of it alone
        computed = (*options.source.defaults, *options.defaults)
        names = list(dict.fromkeys((*sources.values(), *computed)))
        new = [name for name in names if name not in known]
        if existing and options.source.extra != "keep":
            return tuple(known[name] for name in names if name in known)
        found = self._found(records, {n: c for n, c in sources.items() if c in new}, new)
        wanted = dict.fromkeys((*options.columns, *names))
        return tuple({**known, **found}[name] for name in wanted)

    def _names(self, records: Records, known: Mapping[str, Column]) -> dict[str, str]:
        """By name in the source, the name that the table has or is to have."""
        source = self.options.source
        by_form = {comparable(name): name for name in known}
        by_form |= {comparable(name): column for name, column in source.rename.items()}
        names = {n: by_form.get(comparable(n)) or identifier(n) for n in records.names()}
        return {name: column for name, column in names.items() if column}

    def _found(
        self, records: Records, sources: Mapping[str, str], names: Sequence[str]
    ) -> dict[str, Column]:
        """New columns: as the source declares them, the others by the values that they hold."""
        if not names:
            return {}
        known = (
            records.known_columns(sources, self.options.key)
            if isinstance(records, Described)
            else {}
        )
        unknown = [name for name in names if name not in known]
        words, decimal = _null_words(self.options), self.options.source.decimal or "."
        finder = TypeFinder(unknown, decimal=decimal, null_words=words)
        for block in all_texts(records, unknown) if unknown else ():
            finder.look(block)
        return known | {column.name: column for column in finder.columns(self.options.key)}

    # --- references ---

    def _referring(self, columns: Sequence[Column], key: Sequence[str]) -> tuple[Column, ...]:
        own = Table(self.options.table, "", tuple(key), tuple(columns))
        known = {table.name: table for table in (*STAR_TABLES, *self.others, own)}
        return tuple(replace(c, references=self._parent(c.name, known)) for c in columns)

    def _parent(self, column: str, known: Mapping[str, Table]) -> Table | None:
        name = self.options.references.get(column)
        if name is None:
            return None
        by_name = {each.lower(): table for each, table in known.items()}
        parent = by_name.get(name.lower()) or find_table(self.db, name)
        if parent is None and self._is_loaded_elsewhere(name):
            return None  # by a load whose own faults are reported
        if parent is None or len(parent.key) != 1:
            raise _OddError(
                ("references", column),
                f"{column} refers to {name}, which is no table with a key of one column"
                f"{nearest(name, known)}",
            )
        return parent

    def _is_loaded_elsewhere(self, name: str) -> bool:
        loads = self.config.pipeline.loads.values()
        return any(load.table.lower() == name.lower() for load in loads)


def _null_words(options: LoadOptions) -> tuple[str, ...]:
    words = options.source.null_words
    return NULL_WORDS if words is None else words


def identifier(name: str) -> str:
    """Return the name of a column that a header is about; empty when there is nothing in it.

    Example:
        >>> identifier(" Order No. "), identifier("2024"), identifier("customer.id")
        ('Order_No', '_2024', 'customer_id')
    """
    words = re.sub(r"\W+", "_", name).strip("_")
    return f"_{words}" if words[:1].isdigit() else words


_TYPE = re.compile(r"(\w+)(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?")


def _declared_column(name: str, text: str, key: Sequence[str]) -> Column:
    match = _TYPE.fullmatch(text)
    assert match is not None  # noqa: S101  # for mypy: the file has been checked
    kind, first, second = Kind(match[1]), int(match[2] or 0), int(match[3] or 0)
    is_key = name in key
    if kind is Kind.TEXT:
        return Column(name, "", kind, width=first, required=is_key, exact=is_key)
    return Column(name, "", kind, precision=first, scale=second, required=is_key)


def _with_existing(columns: Sequence[Column], existing: Table | None) -> tuple[Column, ...]:
    """All columns of the table: of those that are there what the load declares of them."""
    if existing is None:
        return tuple(columns)
    own = {column.name: column for column in columns}
    others = (c for c in existing.columns if c.name not in own)
    return (*columns, *others)


def tables_of(own: Sequence[OwnLoad]) -> Iterator[Table]:
    """Yield the tables of the built-in loads and of these, in the order in which they load."""
    yield from STAR_TABLES
    for each in own:
        yield each.table


def own_tables(config: Config) -> tuple[Table, ...]:
    """Return the tables of the declared loads, whole, as they are in the warehouse or are to be.

    Raises:
        ETLError: the warehouse cannot be asked, or some loads cannot be carried out.
    """
    if not config.pipeline.loads:
        return ()
    access = Access(read_only=True, empty_if_missing=True, schemas=Schemas.of(config))
    with DatabaseManager(config.database.connection_string, access=access) as db:
        return tuple(each.whole for each in own_loads(db, config))

"""`pipeline.toml`: how sources differ from the default, and which tables are loaded besides.

The file is parsed by `tomllib` and checked as a whole: every problem is listed at once, with its
line, before anything starts. What a key means stands once, in the declarations below; the JSON
Schema for editors is made from them.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from etl.errors import ConfigurationError
from etl.settings.rest_options import RestOptions

BUILT_IN_LOADS = {"customers": "customer_dim", "products": "product_dim", "sales": "sales_fact"}

# How a type of a column is written, and what its numbers mean.
COLUMN_TYPES = (
    "text(LENGTH)", "integer", "bigint", "decimal(PRECISION, SCALE)", "double", "boolean",
    "date", "timestamp",
)  # fmt: skip
_TYPE = re.compile(
    r"text\(\s*(?P<width>[1-9]\d{0,3})\s*\)|integer|bigint|double|boolean|date|timestamp"
    r"|decimal\(\s*(?P<precision>[1-9]\d?)\s*,\s*(?P<scale>\d{1,2})\s*\)"
)
_WIDEST_TEXT = 4000  # NVARCHAR(n) of SQL Server ends there
_MOST_DIGITS = 38  # DECIMAL of DuckDB and of SQL Server
_IDENTIFIER = re.compile(r"[^\W\d]\w{0,127}")


class PipelineFileError(ConfigurationError):
    """A `pipeline.toml` that cannot be used; `problems` has a line for each fault."""

    def __init__(self, path: Path, problems: Iterable[str]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        lines = "".join(f"\n- {problem}" for problem in self.problems)
        super().__init__(f"{path} cannot be used:{lines}", next_step="correct these places")


def _one_of(pattern: re.Pattern[str], wanted: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"{text!r} is not {wanted}")
        return text

    return AfterValidator(check)


def _column_type(text: str) -> str:
    match = _TYPE.fullmatch(text.strip().lower())
    if match is None:
        near = difflib.get_close_matches(text.lower(), [c.partition("(")[0] for c in COLUMN_TYPES])
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{text!r} is no type{hint} Choices: {', '.join(COLUMN_TYPES)}")
    if match["width"] and int(match["width"]) > _WIDEST_TEXT:
        raise ValueError(f"{text!r}: a text has at most {_WIDEST_TEXT} characters")
    if match["precision"] and not int(match["scale"]) <= int(match["precision"]) <= _MOST_DIGITS:
        raise ValueError(f"{text!r}: at most {_MOST_DIGITS} digits, and no more of them decimals")
    return text.strip().lower()


def _encoding(text: str) -> str:
    try:
        "a".encode(text)
    except LookupError:
        raise ValueError(f"{text!r} is no encoding, such as utf-8, cp1252 or utf-16") from None
    return text


def _zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, OSError):
        raise ValueError(f"{text!r} is no time zone, such as Europe/Berlin or UTC") from None
    return text


Name = Annotated[str, _one_of(_IDENTIFIER, "a name of letters, digits and _")]
TableName = Annotated[
    str,
    _one_of(
        re.compile(rf"({_IDENTIFIER.pattern}\.)?{_IDENTIFIER.pattern}"), "table or schema.table"
    ),
]
ColumnType = Annotated[str, AfterValidator(_column_type)]
Encoding = Annotated[str, AfterValidator(_encoding)]
Zone = Annotated[str, AfterValidator(_zone)]
Delimiter = Annotated[str, Field(min_length=1, max_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
DateOrder = Literal["day first", "month first"]


class _Part(BaseModel):
    """A table of the file: nothing in it is unknown, and nothing changes later."""

    model_config = ConfigDict(frozen=True, extra="forbid")


P = TypeVar("P", bound=_Part)


class SourceOptions(RestOptions, _Part):
    """How one source is read; what is left out is found in the file, or the default holds."""

    path: str = Field(
        default="", description="file or pattern, relative to INPUT_DIR, such as exports/*.csv"
    )
    which: Literal["newest", "all"] = Field(
        default="newest",
        description="of several files that match: the newest, or all, oldest first",
    )
    format: Literal["csv", "json", "jsonl"] | None = Field(
        default=None, description="format of the file; found from its content"
    )
    delimiter: Delimiter | None = Field(
        default=None, description="between the fields of a CSV file; found from its header"
    )
    encoding: Encoding | None = Field(
        default=None, description="encoding; found from a byte order mark, else UTF-8"
    )
    decimal: Literal[".", ","] | None = Field(default=None, description="decimal mark of numbers")
    date_order: DateOrder | None = Field(
        default=None,
        description="of dates such as 03/04/2024; found from the dates of the whole file",
    )
    time_zone: Zone | None = Field(
        default=None, description="to which times with an offset are converted; SOURCE_TIME_ZONE"
    )
    null_words: tuple[str, ...] | None = Field(
        default=None, description="texts that stand for a missing value"
    )
    whole_ids: bool = Field(
        default=False, description="read ids such as 1001.0 as whole numbers, here 1001"
    )
    skip_rows: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="lines above the header; found from the header"
    )
    records: str = Field(default="", description="member of a JSON document that holds the records")
    rename: Mapping[str, str] = Field(
        default={}, description="column of the file = column of the table"
    )
    defaults: Mapping[str, str | int | float | bool] = Field(
        default={}, description="values of columns that the source does not have"
    )
    extra: Literal["report", "keep", "refuse"] = Field(
        default="report", description="columns that the table does not have"
    )
    statuses: tuple[str, ...] | None = Field(
        default=None, description="statuses of the sales that are loaded, compared without case"
    )
    connection: str = Field(
        default="", description="name of the setting that holds the connection string"
    )
    table: str = Field(default="", description="table or view of the database to read")
    query: str = Field(default="", description="query of the database to read, instead of a table")


class Rule(_Part):
    """A condition that every record of a load must meet."""

    check: Annotated[str, Field(min_length=1)] = Field(
        description="SQL expression over the columns, true for a good record"
    )
    severity: Literal["reject", "warning"] = Field(
        default="reject", description="what happens to a record that breaks it"
    )


class Guards(_Part):
    """Limits beyond which a source is held back."""

    max_reject_rate: Share | None = Field(
        default=None, description="largest share of rejected records"
    )
    min_rows_rate: Share | None = Field(
        default=None, description="smallest number of records, as a share of the last load"
    )
    max_removed_rate: Share | None = Field(
        default=None, description="largest share of rows that a full refresh may remove"
    )


class LoadOptions(_Part):
    """A table of one's own."""

    source: SourceOptions
    table: TableName
    key: tuple[Name, ...] = Field(
        default=(), description="columns that tell one record from another"
    )
    mode: Literal["merge", "append", "replace"] = Field(
        default="merge", description="upsert by key, add every record, or make the table anew"
    )
    cursor: Name | None = Field(
        default=None, description="column that grows, for incremental loads"
    )
    lag_days: Annotated[int, Field(ge=0, le=3650)] = Field(
        default=0, description="days before the last cursor that are read once more"
    )
    columns: Mapping[Name, ColumnType] = Field(
        default={},
        description="type of each column; from the target table or the source when left out",
    )
    references: Mapping[Name, TableName] = Field(
        default={}, description="column = table it refers to"
    )
    rules: Mapping[str, Rule] = Field(default={}, description="conditions on each record")
    guards: Guards = Guards()


@dataclass(frozen=True)
class PipelineFile:
    """What `pipeline.toml` declares; empty without one.

    Attributes:
        sources: by name of a built-in load, how its source differs from the default.
        loads: by name, tables besides the built-in ones, those that others refer to first.
    """

    sources: Mapping[str, SourceOptions]
    loads: Mapping[str, LoadOptions]

    @property
    def named_settings(self) -> tuple[str, ...]:
        """The settings besides the declared ones that hold its connections and credentials."""
        sources = (*self.sources.values(), *(load.source for load in self.loads.values()))
        names = (n for each in sources for n in (each.connection, *each.named_settings) if n)
        return tuple(dict.fromkeys(names))

    def source(self, name: str) -> SourceOptions:
        """Return how a built-in source is read.

        Example:
            >>> NO_PIPELINE_FILE.source("customers").which
            'newest'
        """
        return self.sources.get(name, SourceOptions())


NO_PIPELINE_FILE = PipelineFile({}, {})


def read_pipeline_file(path: Path) -> PipelineFile:
    r"""Read and check a `pipeline.toml`.

    Args:
        path: the file.

    Returns:
        Its declarations, the loads in an order in which each comes after those it refers to.

    Raises:
        PipelineFileError: it cannot be read or used; each problem is named with its line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "pipeline.toml")
        ...     _ = path.write_text('[sources.customers]\ndecimal = ","\n')
        ...     read_pipeline_file(path).source("customers").decimal
        ','
    """
    text = _text_of(path)
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PipelineFileError(path, [f"it is no TOML: {error}"]) from None
    declared = _Declared(text)
    declared.check(given)
    if declared.problems:
        raise PipelineFileError(path, declared.in_order())
    return PipelineFile(declared.sources, _in_order_of_references(declared.loads))


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PipelineFileError(path, [f"it cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError:
        raise PipelineFileError(path, ["it is no UTF-8 text"]) from None


Place = tuple[str | int, ...]


class _Declared:
    """The declarations of a file as far as they can be read, and what is wrong with the others."""

    def __init__(self, text: str) -> None:
        self.sources: dict[str, SourceOptions] = {}
        self.loads: dict[str, LoadOptions] = {}
        self.problems: list[tuple[int, str]] = []
        self._lines = text.splitlines()

    def check(self, given: Mapping[str, Any]) -> None:
        """Read the parts one by one, so that a fault in one does not hide those of the others."""
        for name in given.keys() - {"sources", "loads"}:
            self._report((name,), f"unknown{_nearest(name, ['sources', 'loads'])}")
        for name, part in self._tables(given, "sources"):
            if name not in BUILT_IN_LOADS:
                hint = _nearest(name, BUILT_IN_LOADS)
                self._report(("sources", name), f"unknown source{hint}; a table of your own is "
                             f"declared as [loads.{name}]")  # fmt: skip
            elif (source := self._part(("sources", name), SourceOptions, part)) is not None:
                self.sources[name] = source
        for name, part in self._tables(given, "loads"):
            load = self._part(("loads", name), LoadOptions, part)
            if load is not None:
                self.loads[name] = load
        self._check_loads()

    def in_order(self) -> list[str]:
        """Return the problems in the order of the file."""
        return [text for _, text in sorted(self.problems)]

    def _tables(self, given: Mapping[str, Any], name: str) -> Iterator[tuple[str, Any]]:
        part = given.get(name, {})
        if isinstance(part, Mapping):
            yield from part.items()
        else:
            self._report((name,), f"must be tables, such as [{name}.orders]")

    def _part(self, place: Place, kind: type[P], given: Any) -> P | None:
        try:
            return kind.model_validate(given)
        except ValidationError as error:
            for detail in error.errors():
                self._report((*place, *detail["loc"]), _in_words(kind, detail))
            return None

    def _check_loads(self) -> None:
        for name, load in self.loads.items():
            self._check_columns(name, load)
            self._check_source(name, load)
        self._check_tables()
        cycle = _cycle(self.loads)
        if cycle:
            names = " -> ".join(cycle)
            self._report(("loads", cycle[0], "references"), f"a circle of references: {names}")

    def _check_columns(self, name: str, load: LoadOptions) -> None:
        if load.mode == "merge" and load.columns and not load.key:
            self._report(("loads", name, "key"), "missing: mode merge needs the columns that tell "
                         "one record from another")  # fmt: skip
        if not load.columns:
            return
        wanted = {"key": load.key, "references": tuple(load.references),
                  "cursor": (load.cursor,) if load.cursor else ()}  # fmt: skip
        for part, columns in wanted.items():
            for column in columns:
                if column not in load.columns:
                    hint = _nearest(column, load.columns)
                    self._report(("loads", name, part), f"{column!r} is no column{hint}")

    def _check_source(self, name: str, load: LoadOptions) -> None:
        source = load.source
        given = [part for part in ("path", "table", "query") if getattr(source, part)]
        place = ("loads", name, "source")
        if source.is_rest:
            if given:
                self._report(place, f"type {source.type!r} and {given[0]}: only one of them")
        elif len(given) != 1:
            found = " and ".join(given) or "none of them"
            self._report(
                place,
                f"needs path, connection with table or query, or type with url; found {found}",
            )
        elif given != ["path"] and not source.connection:
            self._report(place, f"{given[0]} needs connection, the name of a setting")

    def _check_tables(self) -> None:
        taken = {table: f"the built-in load {name}" for name, table in BUILT_IN_LOADS.items()}
        for name, load in self.loads.items():
            table = load.table.lower().rpartition(".")[2]
            if name in BUILT_IN_LOADS:
                self._report(("loads", name), "has the name of a built-in load; settings of its "
                             f"source belong into [sources.{name}]")  # fmt: skip
            if table in taken:
                self._report(
                    ("loads", name, "table"), f"{load.table!r} is loaded by {taken[table]}"
                )
            taken.setdefault(table, f"[loads.{name}]")

    def _report(self, place: Place, words: str) -> None:
        line = _line_of(self._lines, place)
        dotted = ".".join(str(part) for part in place)
        self.problems.append((line, f"line {line}, {dotted}: {words}"))


def _in_words(kind: type[BaseModel], detail: ErrorDetails) -> str:
    if detail["type"] == "extra_forbidden":
        fields = _fields_at(kind, detail["loc"][:-1])
        return f"unknown{_nearest(str(detail['loc'][-1]), fields)}"
    if detail["type"] == "missing":
        return "missing"
    if detail["type"] == "literal_error":
        return f"{detail['input']!r} is none of {detail['ctx']['expected']}"
    return detail["msg"].removeprefix("Value error, ")


def _fields_at(kind: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    """The keys that are known at a place of a declaration."""
    for part in place:
        info = kind.model_fields.get(str(part))
        inside = info.annotation if info else None
        kinds = [k for k in (inside, *get_args(inside)) if isinstance(k, type)]
        kind = next((k for k in kinds if issubclass(k, BaseModel)), kind)
    return list(kind.model_fields)


def _nearest(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(name.lower(), names, n=1)
    return f"; did you mean {near[0]!r}?" if near else f". Choices: {', '.join(names)}"


def _line_of(lines: Sequence[str], place: Place) -> int:
    """The line of a place, or of the nearest part around it that has one; 1 for none."""
    names = [str(part) for part in place]
    found, header, deepest = 1, [], 0
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith("["):
            header = _parts_of(text.strip("[] "))
            shared = min(len(names), len(header))
            if names[:shared] == header[:shared] and (shared == len(header) or found == 1):
                found = number
        elif names[: len(header)] == header:
            at = [*header, *_parts_of(text.partition("=")[0])]
            if deepest < len(at) and at == names[: len(at)]:
                found, deepest = number, len(at)
    return found


def _parts_of(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]


def _arrows(loads: Mapping[str, LoadOptions]) -> dict[str, set[str]]:
    """By load, the loads whose tables it refers to."""
    by_table = {load.table.lower(): name for name, load in loads.items()}
    return {
        name: {
            by_table[target.lower()]
            for target in load.references.values()
            if target.lower() in by_table and by_table[target.lower()] != name
        }
        for name, load in loads.items()
    }


def _cycle(loads: Mapping[str, LoadOptions]) -> list[str]:
    try:
        TopologicalSorter(_arrows(loads)).prepare()
    except CycleError as error:
        return [str(name) for name in reversed(error.args[1])]
    return []


def _in_order_of_references(loads: Mapping[str, LoadOptions]) -> dict[str, LoadOptions]:
    """The loads, each after those it refers to; otherwise in the order of the file."""
    arrows, ordered = _arrows(loads), dict[str, LoadOptions]()

    def add(name: str) -> None:
        if name not in ordered:
            for other in sorted(arrows[name], key=list(loads).index):
                add(other)
            ordered[name] = loads[name]

    for name in loads:
        add(name)
    return ordered


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of `pipeline.toml`, for editors.

    Example:
        >>> sorted(json_schema()["properties"])
        ['loads', 'sources']
    """
    return _Whole.model_json_schema()


class _Sources(_Part):
    customers: SourceOptions = SourceOptions()
    products: SourceOptions = SourceOptions()
    sales: SourceOptions = SourceOptions()


class _Whole(_Part):
    """Sources and loads of the nightly ETL."""

    sources: _Sources = _Sources()
    loads: Mapping[str, LoadOptions] = {}

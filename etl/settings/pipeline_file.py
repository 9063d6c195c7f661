"""`pipeline.toml`: how sources differ from the default, and which tables are loaded besides.

What a key means stands once, in the declarations below; the JSON Schema for editors is made from
them. `pipeline_reading` reads the file, `pipeline_checks` says what in it does not go together.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

from etl.settings.change_options import ChangeOptions
from etl.settings.history_options import ChangeLog, History, HistoryOptions
from etl.settings.rest_options import RestOptions
from etl.settings.toml_places import Place, line_of

BUILT_IN_LOADS = {"customers": "customer_dim", "products": "product_dim", "sales": "sales_fact"}

# How a type of a column is written, and what its numbers mean.
COLUMN_TYPES = (
    "text(LENGTH)", "integer", "bigint", "decimal(PRECISION, SCALE)", "double", "boolean",
    "date", "timestamp",
)  # fmt: skip
# Names that databases and languages have for them.
_ELSEWHERE = {
    "varchar": "text", "nvarchar": "text", "char": "text", "string": "text", "str": "text",
    "int": "integer", "long": "bigint", "int64": "bigint", "float": "double", "real": "double",
    "numeric": "decimal", "number": "decimal", "money": "decimal", "bool": "boolean",
    "bit": "boolean", "datetime": "timestamp", "datetime2": "timestamp",
}  # fmt: skip
_TYPE = re.compile(
    r"text\(\s*(?P<width>[1-9]\d{0,3})\s*\)|integer|bigint|double|boolean|date|timestamp"
    r"|decimal\(\s*(?P<precision>[1-9]\d?)\s*,\s*(?P<scale>\d{1,2})\s*\)"
)
# The same without names of groups, which JSON Schema does not have.
_IN_SCHEMA = re.sub(r"\?P<\w+>", "", _TYPE.pattern)
_WIDEST_TEXT = 4000  # NVARCHAR(n) of SQL Server ends there
_MOST_DIGITS = 38  # DECIMAL of DuckDB and of SQL Server
IDENTIFIER = re.compile(r"[^\W\d]\w{0,127}")


def _one_of(pattern: re.Pattern[str], wanted: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"{text!r} is not {wanted}")
        return text

    return AfterValidator(check)


def _likely_type(text: str) -> str:
    """The type that is probably meant, in full; empty when none is like it."""
    word = text.strip().lower().partition("(")[0]
    types = {full.partition("(")[0]: full for full in COLUMN_TYPES}
    near = difflib.get_close_matches(_ELSEWHERE.get(word, word), types, n=1)
    return types[near[0]] if near else ""


def _column_type(text: str) -> str:
    match = _TYPE.fullmatch(text.strip().lower())
    if match is None:
        near = _likely_type(text)
        hint = f"; did you mean {near}?" if near else "."
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
    except (LookupError, ValueError, OSError):  # not known, no name at all, or that of a folder
        raise ValueError(f"{text!r} is no time zone, such as Europe/Berlin or UTC") from None
    return text


Name = Annotated[str, _one_of(IDENTIFIER, "a name of letters, digits and _")]
TableName = Annotated[
    str,
    _one_of(re.compile(rf"({IDENTIFIER.pattern}\.)?{IDENTIFIER.pattern}"), "table or schema.table"),
]
ColumnType = Annotated[
    str,
    AfterValidator(_column_type),
    WithJsonSchema({"type": "string", "pattern": f"^({_IN_SCHEMA})$"}),
]
Encoding = Annotated[str, AfterValidator(_encoding)]
HourOfDay = Annotated[
    str, _one_of(re.compile("([01][0-9]|2[0-3]):[0-5][0-9]"), "a time of day such as 06:00")
]
Zone = Annotated[str, AfterValidator(_zone)]
Delimiter = Annotated[str, Field(min_length=1, max_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
DateOrder = Literal["day first", "month first"]


class _Part(BaseModel):
    """A table of the file: nothing in it is unknown, and nothing changes later."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def texts_of(values: Mapping[str, str | int | float | bool]) -> dict[str, str]:
    """Return single values as a file would have them written.

    Example:
        >>> texts_of({"active": True, "rate": 1.5, "segment": "Standard"})
        {'active': 'true', 'rate': '1.5', 'segment': 'Standard'}
    """
    return {n: str(v).lower() if isinstance(v, bool) else str(v) for n, v in values.items()}


class SourceOptions(RestOptions, ChangeOptions, _Part):
    """How one source is read; what is left out is found in the file, or the default holds."""

    enabled: bool = Field(default=True, description="whether runs load it")
    path: str = Field(
        default="",
        description="file or pattern, relative to INPUT_DIR, such as exports/*.csv or "
        "sales_{date}.csv, where {date} is the day of the run",
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
        default={}, description="values of columns that the source does not have, or has empty"
    )
    extra: Literal["report", "keep", "refuse"] = Field(
        default="report", description="columns that the table does not have"
    )
    profile: bool = Field(
        default=False, description="profile the table after each load; PROFILE_LOADS: all tables"
    )
    due: HourOfDay | None = Field(
        default=None, description="hour by which it should have succeeded, such as 06:00; SLA_TIME"
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
    severity: Literal["reject", "warn", "warning"] = Field(
        default="reject", description="a record that breaks it is rejected, or loaded and counted"
    )


class ColumnCleaning(_Part):
    """How the values of one column are cleaned."""

    steps: tuple[Literal["trim", "lower", "upper", "title", "state_code"], ...] = Field(
        default=(), description="done to each value, one after the other"
    )
    null_words: tuple[str, ...] = Field(
        default=(), description="texts that stand for a missing value, besides those of the source"
    )
    constant: str | int | float | bool | None = Field(
        default=None, description="value in place of a missing one"
    )
    impute: Literal["mean", "median", "mode", "forward"] | None = Field(
        default=None,
        description="makes up missing values: from all values of the source, or forward, the value "
        "of the record before",
    )
    outliers: Literal["quantile", "iqr", "median deviation"] | None = Field(
        default=None, description="the method by which numbers are outliers"
    )
    action: Literal["count", "missing", "clip", "reject"] = Field(
        default="count", description="what is done with outliers"
    )


class Repeated(_Part):
    """Which records are the same, besides those with one key."""

    by: tuple[Name, ...] | Literal["content"] = Field(
        description="columns; or content, all of them"
    )
    keep: Literal["first", "last"] = Field(default="last", description="which of them is loaded")


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
    max_placeholder_rate: Share | None = Field(
        default=None, description="largest share of records that may need a placeholder"
    )
    may_be_empty: tuple[Name, ...] = Field(
        default=(), description="columns that no record needs a value in, though the table has some"
    )


class _Cleaned(_Part):
    """What is cleaned of a source."""

    clean: Mapping[Name, ColumnCleaning] = Field(
        default={},
        description="by column, how its values are cleaned; of a built-in source those that "
        'extra = "keep" keeps',
    )
    duplicates: Repeated | None = Field(
        default=None, description="records that count as duplicates besides those with one key"
    )


class BuiltInSource(SourceOptions, _Cleaned):
    """The source of a built-in load."""

    guards: Guards = Field(default_factory=Guards)
    history: History = Field(
        default=None, description="keep every version of a row in a table beside: true, or how"
    )
    changes: ChangeLog = Field(
        default=None, description="note who changed what in etl_row_change: true, or for how long"
    )

    @model_validator(mode="after")
    def _is_no_feed(self) -> Self:
        if self.is_feed:
            raise ValueError(f"type {self.type!r} belongs to a load of one's own, [loads.NAME]")
        return self


class LoadOptions(_Cleaned):
    """A table of one's own."""

    source: SourceOptions
    table: TableName
    key: tuple[Name, ...] = Field(
        default=(), description="columns that tell one record from another"
    )
    mode: Literal["merge", "append", "replace", "history"] = Field(
        default="merge",
        description="upsert by key, add every record, make the table anew, or keep every version",
    )
    history: HistoryOptions = Field(
        default_factory=HistoryOptions, description="how versions come about, for mode history"
    )
    changes: ChangeLog = Field(
        default=None, description="note who changed what in etl_row_change: true, or for how long"
    )
    cursor: Name | None = Field(
        default=None,
        description="column of times, or of whole numbers such as an id, that grows: a run reads "
        "the records since the last",
    )
    lag_days: Annotated[int, Field(ge=0, le=3650)] = Field(
        default=0, description="days before the last cursor that are read once more"
    )
    lag_ids: Annotated[int, Field(ge=0)] = Field(
        default=0, description="numbers below the last cursor that are read once more"
    )
    report_gaps: bool = Field(
        default=True, description="whether numbers that are missing in the cursor are reported"
    )
    columns: Mapping[Name, ColumnType] = Field(
        default={},
        description="type of each column; from the target table or the source when left out",
    )
    defaults: Mapping[Name, str] = Field(
        default={}, description="SQL expression over the columns for a value that is missing"
    )
    references: Mapping[Name, TableName] = Field(
        default={}, description="column = table it refers to"
    )
    rules: Mapping[str, Rule] = Field(default={}, description="conditions on each record")
    guards: Guards = Field(default_factory=Guards)


Dimension = Literal[
    "completeness", "validity", "consistency", "timeliness", "uniqueness", "integrity",
    "reconciliation",
]  # fmt: skip


class OwnCheck(_Part):
    """A check of a loaded table, beside the built-in ones."""

    table: TableName = Field(description="a table of the warehouse that runs load")
    check: Annotated[str, Field(min_length=1)] = Field(
        description="SQL condition over a row, in the words of the warehouse's engine, true for a "
        "good row; one that is neither true nor false is good"
    )
    among: str = Field(default="", description="SQL condition of the rows that are looked at")
    severity: Literal["critical", "error", "warning", "info"] = Field(
        default="warning",
        description="what a broken check is: critical and error end the run with exit code 3",
    )
    max_share: Share | None = Field(
        default=None, description="largest share of the rows looked at that may break it"
    )
    max_rows: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="largest number of rows that may break it; none by default"
    )
    dimension: Dimension = Field(
        default="validity", description="of the quality of the table, for its score"
    )
    weight: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=1.0, description="in the score of its dimension; each built-in check has 1"
    )
    message: str = Field(default="", description="what the rows are that break it")


Weight = Annotated[float, Field(ge=0, le=1000)]


class ScoreWeights(_Part):
    """How much each dimension weighs in the score of a table; those left out weigh 1."""

    completeness: Weight | None = None
    validity: Weight | None = None
    consistency: Weight | None = None
    timeliness: Weight | None = None
    uniqueness: Weight | None = None
    integrity: Weight | None = None
    reconciliation: Weight | None = None


@dataclass(frozen=True)
class PipelineFile:
    """What `pipeline.toml` declares; empty without one.

    Attributes:
        sources: by name of a built-in load, how its source differs from the default.
        loads: by name, tables besides the built-in ones, those that others refer to first.
        path: the file.
        lines: of it.
        checks: by name, checks of loaded tables beside the built-in ones.
        score_weights: by dimension, how much it weighs in the score of a table; others weigh 1.
    """

    sources: Mapping[str, BuiltInSource]
    loads: Mapping[str, LoadOptions]
    path: Path = Path()
    lines: tuple[str, ...] = ()
    checks: Mapping[str, OwnCheck] = field(default_factory=dict)
    score_weights: Mapping[str, float] = field(default_factory=dict)

    def source(self, name: str) -> BuiltInSource:
        """Return how a built-in source is read.

        Example:
            >>> NO_PIPELINE_FILE.source("customers").which
            'newest'
        """
        return self.sources.get(name, BuiltInSource.model_construct())

    def problem(self, place: Place, words: str) -> str:
        """Return what is wrong at a place of the file, with its line.

        Example:
            >>> PipelineFile({}, {}, lines=("", "[loads.a]")).problem(("loads", "a"), "no key")
            'line 2, loads.a: no key'
        """
        return f"line {line_of(self.lines, place)}, {'.'.join(map(str, place))}: {words}"


NO_PIPELINE_FILE = PipelineFile({}, {})


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of `pipeline.toml`, for editors.

    Example:
        >>> sorted(json_schema()["properties"])
        ['checks', 'loads', 'scores', 'sources']
    """
    return _Whole.model_json_schema()


class _Sources(_Part):
    customers: BuiltInSource = Field(default_factory=BuiltInSource)
    products: BuiltInSource = Field(default_factory=BuiltInSource)
    sales: BuiltInSource = Field(default_factory=BuiltInSource)


class _Whole(_Part):
    """Sources and loads of the nightly ETL."""

    sources: _Sources = Field(default_factory=_Sources)
    loads: Mapping[str, LoadOptions] = {}
    checks: Mapping[str, OwnCheck] = {}
    scores: ScoreWeights = Field(default_factory=ScoreWeights)

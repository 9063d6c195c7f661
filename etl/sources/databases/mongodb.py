"""MongoDB: documents of a collection, nested members under names with points."""

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import pyarrow as pa

from etl.engines.engine import driver_text
from etl.errors import ConfigurationError, ExtractionError
from etl.sources.databases.asked import Asked, Moment
from etl.sources.databases.driver import Driver, Found, Target, library
from etl.sources.databases.rows import in_utc, text_block
from etl.sources.rest.paths import path_reader
from etl.sources.rest.records import flat_names

_SCHEMES = ("mongodb://", "mongodb+srv://")
_LOOKED_AT = 1000  # documents, in which the names of columns are found
_WAIT_MS = 15_000
_FORM = "mongodb://user:password@host/database?tls=true&tlsCAFile=/path/ca.pem"
# Types of BSON that are no values: code, patterns, the ends of all orders.
_NO_VALUES = ("Code", "Regex", "MinKey", "MaxKey", "DBRef", "Timestamp")
_NOT_ALLOWED = 13


class MongoConnection:
    """See `driver.Connection`."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._errors_of = library("pymongo.errors", "mongodb")
        client = library("pymongo", "mongodb").MongoClient
        with self._errors():
            self._client = client(
                target.connection_string, tz_aware=True, **_unless_given(
                    target.connection_string, serverSelectionTimeoutMS=_WAIT_MS,
                    connectTimeoutMS=_WAIT_MS, appname="etl_pipeline",
                ),
            )  # fmt: skip
            self._database = self._client.get_default_database()

    def columns(self, asked: Asked) -> Sequence[Found]:
        """Return the names in the first documents; types are found in the values."""
        self._require(asked)
        with self._errors():
            documents = list(self._find(asked).limit(_LOOKED_AT))
        names = dict.fromkeys(name for each in documents for name in _names(each))
        return [Found(name) for name in names]

    def blocks(self, asked: Asked, columns: Sequence[Found]) -> Iterator[pa.RecordBatch]:
        """Stream the documents, some thousands at a time."""
        names = [column.name for column in columns]
        waiting: list[Any] = []
        with self._errors():
            for document in self._find(asked, names):
                waiting.append(document)
                if len(waiting) >= self._target.chunk_rows:
                    yield self._block(waiting, names)
                    waiting = []
        if waiting:
            yield self._block(waiting, names)

    def _require(self, asked: Asked) -> None:
        """A collection that is missing would be read as an empty one."""
        if asked.query:
            raise ConfigurationError(
                "MongoDB is not asked by a query", next_step="name the collection in table"
            )
        with self._errors():
            known = self._database.list_collection_names()
        if asked.table not in known:
            raise ExtractionError(
                f"{self._target.setting} has no collection {asked.table!r}",
                choices=", ".join(sorted(known)[:12]), next_step="correct table of the source",
            )  # fmt: skip

    def _find(self, asked: Asked, names: Sequence[str] = ()) -> Any:
        ends = {sign: self._end(end) for sign, end in (("$gte", asked.start), ("$lt", asked.after))
                if end is not None}  # fmt: skip
        wanted = {asked.cursor: ends} if asked.cursor and ends else {}
        fields = {"_id": 0, **dict.fromkeys(_outermost(names), 1)} if names else None
        return self._database[asked.table].find(wanted, fields)

    def _end(self, end: Moment) -> Moment:
        return in_utc(end, self._target.zone) if isinstance(end, datetime) else end

    def _block(self, documents: Sequence[Any], names: Sequence[str]) -> pa.RecordBatch:
        readers = [path_reader(name) for name in names]
        columns = [
            [_plain(name, read(document)) for document in documents]
            for name, read in zip(names, readers, strict=True)
        ]
        return text_block(names, columns, self._target.zone)

    def values(self, asked: Asked) -> Generator[dict[str, Any], None, None]:
        """Stream records with Python values."""
        self._require(asked)
        with self._errors():
            yield from self._find(asked)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        errors = self._errors_of
        try:
            yield
        except (errors.PyMongoError, ValueError) as error:
            lost = isinstance(error, errors.ConnectionFailure)
            text = driver_text(error).partition(", Timeout:")[0].partition(", full error:")[0]
            raise ExtractionError(
                f"MongoDB refused: {text}", next_step=self._next_step(error, lost=lost)
            ) from (ConnectionError(text) if lost else error)

    def _next_step(self, error: Exception, *, lost: bool) -> str:
        setting = self._target.setting
        if lost:
            return f"check host and port, TLS, and that the server runs ({setting})"
        if isinstance(error, self._errors_of.ConfigurationError):
            return f"name the database: {_FORM} ({setting})"
        if getattr(error, "code", 0) in (18, _NOT_ALLOWED):
            return f"correct user or password, authSource, or the rights of the user ({setting})"
        return self._target.next_step


def _unless_given(url: str, **defaults: object) -> dict[str, object]:
    given = url.lower()
    return {name: value for name, value in defaults.items() if f"{name.lower()}=" not in given}


def _names(document: Mapping[str, Any]) -> Iterator[str]:
    yield from flat_names(document)
    yield from (name for name, value in document.items() if isinstance(value, list))


def _outermost(names: Sequence[str]) -> list[str]:
    """The names without those that lie in another one, which the server refuses."""
    known = set(names)
    return [name for name in names if not any(
        name[:place] in known for place, mark in enumerate(name) if mark == "."
    )]  # fmt: skip


def _plain(name: str, value: Any) -> Any:
    if type(value).__name__ in _NO_VALUES:
        raise ExtractionError(
            f"{name} holds a value of type {type(value).__name__}, which has no text",
            next_step="leave it out by columns of the load, or read a view that converts it",
        )
    return json.loads(json.dumps(value, default=str)) if isinstance(value, dict | list) else value


DRIVER = Driver(
    "MongoDB", _FORM, lambda text: text.startswith(_SCHEMES), MongoConnection, lacks=True
)

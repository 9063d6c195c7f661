"""Whether the sources can be read: the files, and the database of sales."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path

from etl.engines import dialect as sql_dialects
from etl.engines.odbc import OdbcSource
from etl.engines.odbc_connections import with_driver
from etl.errors import ExtractionError
from etl.monitoring.health.findings import PASSED, Check, failed, guarded, size_text, span_text
from etl.settings.config import Config
from etl.sources.files import file_signature, open_source
from etl.sources.sales import read_sales
from etl.sources.window import EVERYTHING, Window

_NO_TIME = Window(EVERYTHING.end, EVERYTHING.start)  # ends before it begins: no sale is in it


def sales_source_checks(config: Config) -> Iterator[Check]:
    """Connects to the database of sales, if there is one, and asks it for none."""
    secret = config.database.sales_db_connection_string
    if secret is None:
        return
    connection = secret.get_secret_value()
    if "://" in connection:
        for _ in read_sales(connection, _NO_TIME):
            pass
    else:
        _ask_for_no_sales(connection)
    told = "connects, and the query for sales can be run"
    yield Check("sales source", PASSED, message=told)


def _ask_for_no_sales(connection: str) -> None:
    """Runs the query once: a run tries again when it fails, here it is told how it is now."""
    params = (_NO_TIME.start, _NO_TIME.end)
    with closing(OdbcSource(with_driver(connection))) as source:
        source.query(sql_dialects.sales_query(), params)


def file_checks(config: Config) -> Iterator[Check]:
    """Opens each source file, and tells its size and age."""
    files = config.files
    sources = {"customers file": files.customers_path, "products file": files.products_path}
    if config.database.sales_db_connection_string is None:
        sources["sales file"] = files.sales_path
    for name, path in sources.items():
        yield from guarded(name, partial(_source_file, name, path))


def _source_file(name: str, path: Path) -> Iterator[Check]:
    if path.is_fifo():  # what is read of it here, the run would miss
        yield Check(name, PASSED, message=f"{path.name} is a pipe, read by the run alone")
        return
    with open_source(path) as file:
        empty = not _first_byte(path, file.read)
    if empty:
        step = "have it written again; it has at least a header"
        yield failed(name, f"{path} is empty", step, value=0)
        return
    signature = file_signature(path)
    age = span_text(timedelta(seconds=time.time() - signature.mtime_ns / 1e9))
    told = f"{path.name}: {size_text(signature.size)}, {age} old"
    yield Check(name, PASSED, signature.size, message=told)


def _first_byte(path: Path, read: Callable[[int], bytes]) -> bytes:
    try:
        return read(1)
    except OSError as error:
        what = f"{path} can be opened but not read: {error.strerror}"
        raise ExtractionError(what, next_step="check the disk or the share") from error

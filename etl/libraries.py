"""Libraries that few runs need: imported when what needs them is switched on, and not before."""

from importlib import import_module
from typing import Any

from etl.errors import ConfigurationError


def library(name: str, *, needed_by: str, extra: str) -> Any:
    """Import a library of an extra.

    Args:
        name: of the module.
        needed_by: what cannot be done without it, in words, for the message.
        extra: of the package that brings it; `requirements-<extra>.txt` has the same.

    Raises:
        ConfigurationError: it is not installed.

    Example:
        >>> library("json", needed_by="the example", extra="none").loads("[1]")
        [1]
        >>> library("no_such_library", needed_by="METRICS_FILE", extra="prometheus")
        Traceback (most recent call last):
        etl.errors.ConfigurationError: METRICS_FILE needs no_such_library. Next: pip install ...
    """
    try:
        return import_module(name)
    except ImportError as error:
        missing = (error.name or name).partition(".")[0]
        raise ConfigurationError(
            f"{needed_by} needs {missing}",
            next_step=f"pip install 'nightly-etl[{extra}]', or -r requirements-{extra}.txt in a "
            "checkout",
            code="driver_missing",
        ) from error


def parquet() -> Any:
    """Return `pyarrow.parquet`, which comes with Arrow and takes a moment to import.

    Example:
        >>> parquet().ParquetFile.__name__
        'ParquetFile'
    """
    return import_module("pyarrow.parquet")

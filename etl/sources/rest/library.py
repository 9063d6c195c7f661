"""The libraries of the extra `rest`, imported when a source is read over HTTP, and not before."""

import logging
from importlib import import_module
from typing import Any

from etl.errors import ConfigurationError

# They log addresses with all their parameters, credentials among them.
_TALKATIVE = ("httpx", "httpcore")


def library(name: str) -> Any:
    """Return a library of the extra.

    Raises:
        ConfigurationError: it is not installed.

    Example:
        >>> library("httpx").Client.__name__
        'Client'
        >>> library("no_such_library")
        Traceback (most recent call last):
        etl.errors.ConfigurationError: a source of type rest needs no_such_library. Next: ...
    """
    try:
        found = import_module(name)
    except ImportError as error:
        raise ConfigurationError(
            f"a source of type rest needs {name}",
            next_step="pip install 'nightly-etl[rest]', or -r requirements-rest.txt in a checkout",
            code="driver_missing",
        ) from error
    for talkative in _TALKATIVE:
        logging.getLogger(talkative).setLevel(logging.WARNING)
    return found

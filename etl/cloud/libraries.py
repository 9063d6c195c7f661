"""The libraries of the extras `aws` and `azure`, imported when they are used, and not before."""

import logging
from typing import Any

from etl.libraries import library

# At INFO they log every request, with parts of what is in it.
_TALKATIVE = ("azure", "botocore", "boto3", "s3transfer", "urllib3")
AWS, AZURE = "aws", "azure"
_NEEDED_BY = {AWS: "what is kept at AWS", AZURE: "what is kept at Azure"}


def cloud_library(name: str, extra: str) -> Any:
    """Return a library of an extra.

    Args:
        name: of the module.
        extra: `aws` or `azure`.

    Raises:
        ConfigurationError: it is not installed.

    Example:
        >>> cloud_library("no_such_library", AWS)
        Traceback (most recent call last):
        etl.errors.ConfigurationError: what is kept at AWS needs no_such_library. Next: ...
    """
    found = library(name, needed_by=_NEEDED_BY[extra], extra=extra)
    for talkative in _TALKATIVE:
        logging.getLogger(talkative).setLevel(logging.WARNING)
    return found

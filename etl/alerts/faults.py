"""What an error and its causes are called, in the same words every time."""

import errno

from etl.errors import causes


def fault_key(error: BaseException) -> str:
    """Return a key that differs with the cause of an error: by it alerts are held back.

    Example:
        >>> from etl.errors import LoadingError
        >>> fault_key(LoadingError("no driver", code="driver_missing"))
        'LoadingError.driver_missing'
        >>> fault_key(OSError(28, "No space left on device"))
        'OSError.ENOSPC'
    """
    parts = [
        part for each in causes(error) for part in (type(each).__name__, code_of(each)) if part
    ]
    return ".".join(dict.fromkeys(parts))


def code_of(error: BaseException) -> str:
    """Return the stable word for the kind of an error: its code, SQLSTATE or errno."""
    number = error.errno if isinstance(error, OSError) else None
    known = (
        getattr(error, "code", None),
        getattr(error, "sqlstate", None),
        errno.errorcode.get(number) if number else None,
    )
    return next((code for code in known if isinstance(code, str) and code), "")

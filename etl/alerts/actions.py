"""What to do about an error, by its kind."""

import re

from etl.alerts.faults import code_of
from etl.errors import ETLError, causes
from etl.places import command

CONNECTION, DRIVER, MISSING_FILE, MALFORMED = "connection", "driver", "missing file", "malformed"
HELD_BACK, IN_USE, DISK, MEMORY = "held back", "in use", "disk", "memory"
CONFIGURATION, QUALITY, REFUSED, UNKNOWN = "configuration", "quality", "refused", "unknown"

# The kind of an error by its code, its errno or a class in its chain of causes. The first line
# that fits counts: what is about the machine stands before what is about the stage.
_KINDS: tuple[tuple[str, frozenset[str]], ...] = (
    (IN_USE, frozenset({"WarehouseInUseError"})),
    (HELD_BACK, frozenset({"HeldBackError"})),
    (DRIVER, frozenset({"driver_missing", "driver_unfit", "odbc_missing", "package_missing"})),
    (DISK, frozenset({"ENOSPC", "EDQUOT", "EFBIG", "EROFS", "DiskFull", "IOException"})),
    (MEMORY, frozenset({"MemoryError", "OutOfMemory", "OutOfMemoryException"})),
    (
        CONNECTION,
        frozenset({
            "CircuitOpenError", "ConnectionError", "ConnectionRefusedError", "TimeoutError",
            "OperationalError", "InterfaceError", "gaierror", "DatabaseConnectionError",
        }),
    ),
    (MISSING_FILE, frozenset({"FileNotFoundError"})),
    (DISK, frozenset({"PermissionError"})),
    (CONFIGURATION, frozenset({"ConfigurationError", "SettingsError"})),
    (QUALITY, frozenset({"QualityCheckFailed"})),
    (MALFORMED, frozenset({
        "ValidationError", "ExtractionError", "JSONDecodeError", "UnicodeError", "ParserError",
    })),
    (REFUSED, frozenset({"LoadingError", "ProgrammingError", "DataError", "IntegrityError"})),
)  # fmt: skip

_AGAIN = "Run the pipeline again; it loads what is missing: {again}"
_ROLLED_BACK = "Run the pipeline again; what was not committed was rolled back: {again}"
_CHECK = "Check what a run needs: {program} --health-check"
_ACTIONS = {
    CONNECTION: (
        "Check that the database server runs and answers: {program} --health-check",
        "Check name, port and firewall between this host and the server",
        "Check that the login is neither locked nor expired",
        _AGAIN,
    ),
    DRIVER: (
        "Install what the error names, for the user and the Python that run the pipeline",
        "Check it: {program} --health-check",
        _AGAIN,
    ),
    MISSING_FILE: (
        "Check the job that delivers the file: did it run, and to the right folder?",
        "Check INPUT_DIR and the name of the file in the settings, and the rights of this user",
        _AGAIN,
    ),
    MALFORMED: (
        "Open the source at the place that the error names, and compare it with the last good one",
        "Have it delivered again by whoever writes it",
        _AGAIN,
    ),
    HELD_BACK: (
        "Open the file of rejected records: it names row, field, value and reason",
        "Find out what changed at the source since the last successful run, and have it corrected",
        _AGAIN,
    ),
    IN_USE: (
        "See which process the message names, and whether it still works",
        "End it, or wait for it; a reader that keeps a DuckDB file open counts too",
        "Set LOCK_WAIT_SECONDS, or start the runs further apart",
        _AGAIN,
    ),
    DISK: (
        "Make room on the disk that the error names, or give this user the right to write there",
        "See how much is free: {program} --health-check",
        _ROLLED_BACK,
    ),
    MEMORY: (
        "See what else takes memory on this host",
        "Lower CHUNK_ROWS and DUCKDB_MEMORY_LIMIT",
        _ROLLED_BACK,
    ),
    CONFIGURATION: (
        "Correct the setting or the argument that the error names; .env.example explains each",
        "Check it: {program} --health-check",
    ),
    QUALITY: (
        "Compare the figure with those of the last runs, in the tables etl_load and etl_quality",
        "Check the source: was it delivered whole, and once?",
        "If the tables are wrong, load them again: {program} --full-refresh",
    ),
    REFUSED: (
        "Read the message of the database: a right, a table, or the values of a record",
        "Check tables and rights: {program} --health-check",
        _ROLLED_BACK,
    ),
    UNKNOWN: (
        "Read the stack trace, and the lines of this run in the log file",
        _CHECK,
        _ROLLED_BACK,
    ),
}


def kind_of_error(error: BaseException | str) -> str:
    """Return the kind of an error, which decides what is to be done about it.

    Args:
        error: the error, or the names of its class and of those that caused it.

    Example:
        >>> kind_of_error(FileNotFoundError("data/input/customers.csv"))
        'missing file'
        >>> kind_of_error("ExtractionError caused by pyodbc.OperationalError")
        'connection'
    """
    if isinstance(error, str):
        names = set(re.findall(r"\w+", error))
    else:
        chain = list(causes(error))
        names = {cls.__name__ for each in chain for cls in type(each).__mro__}
        names |= {code_of(each) for each in chain}
    return next((kind for kind, signs in _KINDS if signs & names), UNKNOWN)


def recommended_actions(
    error: BaseException | str, *, program: str = "", again: str = ""
) -> tuple[str, ...]:
    """Return what to do about an error: its own next step first, then what fits its kind.

    Args:
        error: the error, or the names of its class and of those that caused it.
        program: the command of the pipeline, with its environment if there is one.
        again: the command that does the same run again; `program` alone when left out.

    Example:
        >>> from etl.errors import ConfigurationError
        >>> recommended_actions(ConfigurationError("BATCH_SIZE = 'x'", next_step="correct it"))[0]
        'Correct it'
    """
    own = error.next_step if isinstance(error, ETLError) else ""
    steps = [f"{own[0].upper()}{own[1:]}"] if own else []
    return (*steps, *_filled(kind_of_error(error), program, again))


def quality_actions(*, program: str = "") -> tuple[str, ...]:
    """Return what to do about figures that look wrong."""
    return _filled(QUALITY, program)


def _filled(kind: str, program: str, again: str = "") -> tuple[str, ...]:
    program = program or command()
    return tuple(step.format(program=program, again=again or program) for step in _ACTIONS[kind])

"""What to do about an error: the steps that an alert recommends, by the kind of the error."""

import re
from dataclasses import dataclass

CONNECTION = "connection"
MISSING_FILE = "missing file"
MALFORMED = "malformed source"
HELD_BACK = "held back"
IN_USE = "in use"
DISK = "disk"
CONFIGURATION = "configuration"
QUALITY = "quality"
REFUSED = "refused by the database"
MEMORY = "memory"
UNKNOWN = "unknown"


@dataclass(frozen=True)
class _Sign:
    """How an error of a kind is known: by its class, or by words of its message."""

    kind: str
    classes: str = ""
    words: str = ""

    def fits(self, error_type: str, message: str) -> bool:
        by_class = bool(self.classes) and re.search(self.classes, error_type) is not None
        return by_class or (bool(self.words) and re.search(self.words, message, re.I) is not None)


# The first that fits counts: words that tell of the machine before classes that tell of the stage.
_SIGNS = (
    _Sign(IN_USE, "WarehouseInUse"),
    _Sign(HELD_BACK, "HeldBack"),
    _Sign(DISK, words=r"no space left|disk quota|file too large|read-only file system|disk full"),
    _Sign(MEMORY, "MemoryError|OutOfMemory", r"out of memory"),
    _Sign(
        CONNECTION,
        r"CircuitOpen|Connection|Timeout|OperationalError|InterfaceError|gaierror",
        r"login timeout|cannot be reached|connection (was )?(refused|reset|lost|closed)"
        r"|circuit open|communication link|login failed|\[08\w{3}\]|\[HYT0\d\]|\[28000\]"
        r"|could not connect",
    ),
    _Sign(MISSING_FILE, "FileNotFound", r"does not exist|no file|no such file"),
    _Sign(CONFIGURATION, "ConfigurationError|SettingsError"),
    _Sign(QUALITY, "Quality|Anomal|_anomaly|^(volume|performance|quality)"),
    _Sign(MALFORMED, "ValidationError|ExtractionError|JSON|Unicode|Parser"),
    _Sign(REFUSED, "LoadingError|CommitUnknown|ProgrammingError|DataError|IntegrityError"),
)

_ACTIONS = {
    CONNECTION: (
        "Check that the database server runs and answers: python etl_pipeline.py --health-check",
        "Check name, port and firewall between this host and the server",
        "Check that the login is neither locked nor expired",
        "Run the pipeline again; what was not loaded is taken up",
    ),
    MISSING_FILE: (
        "Look at the job that delivers the file: did it run, and to the right folder?",
        "Check INPUT_DIR and the name of the file in the settings, and the rights of this user",
        "Run the pipeline again once the file is there; it loads what is missing",
    ),
    MALFORMED: (
        "Open the source at the place that the error names, and compare it with the last good one",
        "Have it delivered again by whoever writes it",
        "Run the pipeline again; the other sources need nothing",
    ),
    HELD_BACK: (
        "Open the rejected file in OUTPUT_DIR/rejected: it names row, field, value and reason",
        "Find out what changed at the source since the last successful run, and have it mended",
        "If so many rejected records are right, raise MAX_REJECT_RATE, and run the pipeline again",
    ),
    IN_USE: (
        "See which process the message names, and whether it still works",
        "End it, or wait for it; a reader that keeps a DuckDB file open counts too",
        "Set LOCK_WAIT_SECONDS, or start the runs further apart",
    ),
    DISK: (
        "Make room on the disk that the error names, or give the user the right to write there",
        "See how much is free: python etl_pipeline.py --health-check",
        "Run the pipeline again; what was not committed was rolled back",
    ),
    MEMORY: (
        "See what else takes memory on this host",
        "Lower CHUNK_ROWS and DUCKDB_MEMORY_LIMIT",
        "Run the pipeline again; what was not committed was rolled back",
    ),
    CONFIGURATION: (
        "Correct the setting or the argument that the error names; .env.example explains each",
        "Check it: python etl_pipeline.py --health-check",
    ),
    QUALITY: (
        "Compare the figure with those of the last runs, in the tables etl_load and etl_quality",
        "Look at the source: was it delivered whole, and once?",
        "If the tables are wrong, load them anew: python etl_pipeline.py --full-refresh",
    ),
    REFUSED: (
        "Read the message of the database: a right, a table, or the values of a record",
        "Check tables and rights: python etl_pipeline.py --health-check",
        "Run the pipeline again; what was not committed was rolled back",
    ),
    UNKNOWN: (
        "Read the stack trace, and the lines of this run in the log file",
        "Check what a run needs: python etl_pipeline.py --health-check",
        "Run the pipeline again; what was not committed was rolled back",
    ),
}


def kind_of_error(error_type: str, message: str) -> str:
    """The kind of an error, for what is to be done about it.

    Example:
        >>> kind_of_error("FileNotFoundError", "data/input/customers.csv")
        'missing file'
        >>> kind_of_error("ExtractionError", "[08001] TCP Provider: connection refused")
        'connection'
    """
    fitting = (sign.kind for sign in _SIGNS if sign.fits(error_type, message))
    return next(fitting, UNKNOWN)


def recommended_actions(error_type: str, message: str) -> tuple[str, ...]:
    """What to do about an error: its own next step first, then what fits errors of its kind.

    Args:
        error_type: its class, with those it was caused by.
        message: what it says.

    Example:
        >>> recommended_actions("ConfigurationError", "BATCH_SIZE = 'x'. Next: correct it.")[0]
        'Correct it'
    """
    own = re.findall(r"Next: (.+?)(?:\.(?=\s|$)|$)", message)
    steps = [f"{step[0].upper()}{step[1:]}" for step in own[:1]]
    return (*steps, *_ACTIONS[kind_of_error(error_type, message)])


def quality_actions() -> tuple[str, ...]:
    """What to do about figures that look wrong."""
    return _ACTIONS[QUALITY]

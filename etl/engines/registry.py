"""The engines there are; whoever needs one asks here by its connection string."""

from pathlib import Path

from etl.engines import delta, duckdb, postgresql, sql_server
from etl.engines.engine import Engine
from etl.errors import ConfigurationError
from etl.resilience.transient import register_codes

ENGINES: tuple[Engine, ...] = (
    duckdb.ENGINE,
    delta.ENGINE,
    postgresql.ENGINE,
    sql_server.ENGINE,
)

for _engine in ENGINES:
    register_codes(_engine.codes)


def engine_of(connection_string: str, setting: str = "DB_CONNECTION_STRING") -> Engine:
    """Return the engine whose connection string it is.

    Args:
        connection_string: what was configured.
        setting: where, for messages.

    Raises:
        ConfigurationError: none of the engines there are. The string is not shown: it may hold a
            password.

    Example:
        >>> engine_of("duckdb:///data/output/dev/warehouse.duckdb").dialect.name
        'DuckDB'
    """
    for engine in ENGINES:
        if engine.accepts(connection_string):
            return engine
    names = ", ".join(engine.dialect.name for engine in ENGINES)
    raise ConfigurationError(
        f"{setting} names no engine that is known; known are {names}",
        choices=", ".join(engine.form for engine in ENGINES),
        next_step=f"correct {setting}",
        code="unknown_engine",
    )


def database_file(connection_string: str) -> Path | None:
    """Return the file of an embedded database; None for a server, and for one in memory."""
    return engine_of(connection_string).file_of(connection_string)

"""Reading from a database: connected with retries, and left when it cannot be reached."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from etl.engines.engine import Reader
from etl.engines.registry import engine_of
from etl.errors import CircuitOpenError, ConfigurationError, ExtractionError
from etl.resilience.circuit_breaker import CircuitBreaker
from etl.resilience.retry import retry_with_backoff


@dataclass(frozen=True)
class ServerQuery:
    """What is read of which database.

    Attributes:
        connection_string: of a database server.
        setting: where that was set, for messages.
        sql: the query, with a `?` per parameter.
        params_for: returns its parameters, which may depend on what is connected to.
    """

    connection_string: str = field(repr=False)
    setting: str
    sql: str
    params_for: Callable[[Reader], Sequence[object]]


@retry_with_backoff(max_retries=3, backoff_factor=2.0)
def open_query(query: ServerQuery, breaker: CircuitBreaker) -> Reader:
    """Connect and run the query; several attempts, as long as the breaker lets them.

    Returns:
        The reader of its rows, to be closed by the caller.

    Raises:
        ConfigurationError: the connection string is not one of a server.
        ExtractionError: the database cannot be reached or refuses the query; the driver's error
            is the cause.
    """
    try:
        with breaker:
            return run_query(query)
    except CircuitOpenError as error:
        raise ExtractionError(str(error)) from error


def run_query(query: ServerQuery) -> Reader:
    """Connect and run the query once; see `open_query`."""
    connect = engine_of(query.connection_string, query.setting).reader
    if connect is None:
        raise ConfigurationError(f"{query.setting} names a file, where a server is wanted")
    reader = connect(query.connection_string, query.setting)
    try:
        reader.query(query.sql, query.params_for(reader))
    except BaseException:
        reader.close()
        raise
    return reader

"""The databases that can be read; whoever needs one asks here by its connection string."""

from etl.errors import ConfigurationError
from etl.sources.databases import duckdb, mongodb, mysql, odbc, postgresql, sqlite
from etl.sources.databases.driver import Driver

DRIVERS: tuple[Driver, ...] = (
    postgresql.DRIVER, mysql.DRIVER, sqlite.DRIVER, duckdb.DRIVER, mongodb.DRIVER, odbc.DRIVER
)  # fmt: skip


def driver_of(connection_string: str, setting: str) -> Driver:
    """Return the driver for a connection string.

    Args:
        connection_string: what was configured.
        setting: where, for messages.

    Raises:
        ConfigurationError: there is none. The string is not shown: it may hold a password.

    Example:
        >>> driver_of("mariadb://db1/shop", "SHOP_DB").name
        'MySQL'
    """
    found = next((driver for driver in DRIVERS if driver.accepts(connection_string)), None)
    if found is None:
        raise ConfigurationError(
            f"{setting} names no database that is known",
            choices=", ".join(driver.form for driver in DRIVERS),
            next_step=f"correct {setting}",
        )
    return found

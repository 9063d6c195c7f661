"""The tables of the warehouse: which there must be, and how they come about."""

from etl.engines import dialect as sql_dialects
from etl.engines.database import DatabaseManager, dialect_of
from etl.errors import LoadingError
from etl.schema.tables import ALL_TABLES, Table, staging_tables


def permanent_tables(dialect: sql_dialects.Dialect) -> tuple[Table, ...]:
    """The tables that stay in the warehouse, in the order in which references allow them."""
    return (*ALL_TABLES, *(staging_tables() if dialect.stages_permanently else ()))


def create_tables(db: DatabaseManager) -> None:
    """Creates the tables that are missing; never drops or alters one.

    For a warehouse that is open for reading only, empty temporary ones stand in for those that
    are missing, and for those through which rows would go.
    """
    known = db.table_names()
    if db.access.read_only:
        known -= {table.name for table in staging_tables()}
    missing = [table for table in permanent_tables(db.dialect) if table.name not in known]
    if not missing:
        return
    try:
        with db.transaction():
            for table in missing:
                _create(db, table)
    except LoadingError as error:
        names = ", ".join(table.name for table in missing)
        raise LoadingError(
            f"missing tables cannot be created ({names}): {error}",
            next_step="have somebody who may create tables run what --print-schema prints",
        ) from error


def _create(db: DatabaseManager, table: Table) -> None:
    if db.access.read_only:
        db.create_stand_in(table)
        return
    db.execute(sql_dialects.create_table(db.dialect, table))


def schema_script(connection_string: str) -> str:
    """The DDL of all tables as one script, in the dialect of a connection string."""
    dialect = dialect_of(connection_string)
    tables = permanent_tables(dialect)
    statements = [sql_dialects.create_table(dialect, table) for table in tables]
    script = [dialect.script_start, *statements, sql_dialects.grants(dialect, tables)]
    return "\n\n".join(part for part in script if part)

"""The tables of the warehouse: which there must be, how they come about and are kept up."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from etl.engines import ddl
from etl.engines.database import DatabaseManager
from etl.engines.dialect import SCHEMAS_OF, Dialect, catalog_of
from etl.engines.engine import Access
from etl.engines.registry import engine_of
from etl.engines.schemas import NO_SCHEMAS, Schemas
from etl.errors import LoadingError
from etl.schema.audit import AUDIT_TABLES, ETL_RUN
from etl.schema.star import STAR_TABLES
from etl.schema.table import Column, Table
from etl.schema.tables import derived_tables, staging_tables
from etl.schema.versioned import with_observations
from etl.schema.views import Note, View, notes_of, views_of
from etl.warehouse.adopted import Adopting, FoundColumn, Obstacle, supplied_columns

logger = logging.getLogger(__name__)

_RUN_SCRIPT = "have somebody who may change tables run what --print-schema prints"


def permanent_tables(dialect: Dialect, loaded: Sequence[Table] = STAR_TABLES) -> tuple[Table, ...]:
    """Return the tables that stay, in the order in which references allow them.

    Args:
        dialect: the engine's.
        loaded: the tables into which sources are loaded.
    """
    staging = staging_tables(loaded) if dialect.stages_permanently else ()
    kept = with_observations(loaded)
    return (*kept, *derived_tables(loaded), *AUDIT_TABLES, *staging)


def schema_script(
    connection_string: str,
    upgrade: str = "",
    loaded: Sequence[Table] = STAR_TABLES,
    *,
    schemas: Schemas = NO_SCHEMAS,
) -> str:
    """Return the DDL of tables, views and comments as one script.

    Args:
        connection_string: of the warehouse, for its dialect.
        upgrade: what an existing warehouse needs besides, from `upgrade_script`.
        loaded: the tables into which sources are loaded.
        schemas: in which the tables lie that are named without one.
    """
    dialect = engine_of(connection_string).dialect_in(schemas)
    tables = permanent_tables(dialect, loaded)
    views = views_of(tables)
    script = [
        dialect.script_start,
        *ddl.create_schemas(dialect, tables),
        *(ddl.create_table(dialect, table) for table in tables),
        upgrade,
        *(ddl.create_view(dialect, view) for view in views),
        ddl.comments(dialect, notes_of(tables, views)),
        ddl.grants(dialect, tables),
    ]
    return "\n\n".join(part for part in script if part)


def upgrade_script(
    connection_string: str,
    loaded: Sequence[Table] = STAR_TABLES,
    *,
    schemas: Schemas = NO_SCHEMAS,
) -> str:
    """Return what adds the columns that an existing warehouse lacks, as it is now.

    Where it cannot be looked at, the script is a comment that says so.

    Args:
        connection_string: of the warehouse.
        loaded: the tables into which sources are loaded.
        schemas: in which the tables lie that are named without one.
    """
    access = Access(read_only=True, schemas=schemas)
    try:
        with DatabaseManager(connection_string, access=access) as db:
            found = schema_differences(db, loaded)
            return "\n".join(_added(db.dialect, found))
    except LoadingError as error:
        reason = " ".join(str(error).split())
        return f"-- Columns that an existing warehouse lacks are not shown: {reason}"


# --- what there is -----------------------------------------------------------------------


@dataclass(frozen=True)
class Differences:
    """How a warehouse differs from what a load needs.

    Attributes:
        tables: that are missing; a load creates them.
        columns: that are missing, each with its table; a load adds them.
        views: that are missing.
        notes: that tables, views and columns lack.
        problems: what only a person can change, a sentence each.
        warnings: what is loaded, but not every record, a sentence each.
    """

    tables: tuple[Table, ...] = ()
    columns: tuple[tuple[Table, Column], ...] = ()
    views: tuple[View, ...] = ()
    notes: tuple[Note, ...] = ()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def statements(self, dialect: Dialect) -> list[str]:
        """Return the DDL that creates and adds what is missing."""
        created = [ddl.create_table(dialect, table) for table in self.tables]
        schemas = ddl.create_schemas(dialect, self.tables)
        return [*schemas, *created, *_added(dialect, self)]


def _added(dialect: Dialect, found: Differences) -> list[str]:
    return [ddl.add_column(dialect, table, column) for table, column in found.columns]


def schema_differences(db: DatabaseManager, loaded: Sequence[Table] = STAR_TABLES) -> Differences:
    """Compare the tables of a warehouse with their declarations; change nothing.

    Columns that are there besides are ignored, and so are wider types.

    Args:
        db: the warehouse.
        loaded: the tables into which sources are loaded.
    """
    wanted = permanent_tables(db.dialect, loaded)
    views = views_of(wanted)
    catalog = read_catalog(db, (table.name for table in wanted), with_supplied=True)
    # what is computed is made anew where it is not as it must be
    known = [table for table in wanted if table.name in catalog.columns and not table.computed]
    elsewhere = [] if ETL_RUN.name in catalog.columns else _elsewhere(db)
    obstacles = list(_obstacles(db, known, catalog))
    return Differences(
        tables=tuple(table for table in wanted if table.name not in catalog.columns),
        columns=tuple(
            (table, column)
            for table in known
            if table.name not in catalog.views
            for column in table.columns
            if column.name not in catalog.columns[table.name]
        ),
        views=tuple(view for view in views if view.name not in catalog.columns),
        notes=_missing_notes(db, notes_of(wanted, views)),
        problems=(*elsewhere, *(str(found) for found in obstacles if found.stops)),
        warnings=tuple(str(found) for found in obstacles if not found.stops),
    )


def _obstacles(
    db: DatabaseManager, known: Iterable[Table], catalog: "Catalog"
) -> Iterator[Obstacle]:
    adopting = Adopting(db)
    for table in known:
        if table.name in catalog.views:
            yield Obstacle(f"{table.name} is a view where a table is needed")
        else:
            yield from adopting.obstacles(table, catalog.columns[table.name])


def _elsewhere(db: DatabaseManager) -> list[str]:
    """Say that the tables lie in another schema, so that no second set is made unnoticed."""
    own = db.dialect.own_schema
    found = db.query(SCHEMAS_OF.format(own=own), (ETL_RUN.name,)) if own else []
    if not found:
        return []
    schemas = ", ".join(schema for schema, _ in found)
    return [
        f"the tables would be made in schema {found[0][1]}, and there are some in {schemas} "
        f"already: set DB_SCHEMA={found[0][0]}, or, for a second warehouse, make its tables by "
        "what --print-schema prints"
    ]


def _missing_notes(db: DatabaseManager, notes: Iterable[Note]) -> tuple[Note, ...]:
    """The notes that are not there; what somebody else has noted stays as it is.

    A view that has one has those of its columns, which not every server shows.
    """
    wanted = tuple(notes)
    there = {tuple(row) for row in db.query(db.dialect.commented)} if wanted else set()
    return tuple(note for note in wanted if (note.name, note.place) not in there)


@dataclass(frozen=True)
class Catalog:
    """Tables and views by the names that a load can use for them.

    Attributes:
        columns: of each, by name.
        schemas: in which each lies.
        views: those that are no tables.
    """

    columns: dict[str, dict[str, FoundColumn]] = field(default_factory=dict)
    schemas: dict[str, str] = field(default_factory=dict)
    views: set[str] = field(default_factory=set)

    def add(self, name: str, schema: str, kind: str, column: dict[str, FoundColumn]) -> None:
        """Add a column, unless the name means a table of another schema."""
        if self.schemas.setdefault(name, schema) == schema:
            self.columns.setdefault(name, {}).update(column)
            self.views.update([name] if "VIEW" in kind else [])


def read_catalog(
    db: DatabaseManager, names: Iterable[str], *, with_supplied: bool = False
) -> Catalog:
    """Return what each unqualified name means, and each that names a schema.

    Args:
        db: the warehouse.
        names: of tables that are looked for; the schemas that they name are looked into.
        with_supplied: whether it is asked too which columns the server fills by itself.
    """
    schemas = sorted({name.partition(".")[0] for name in names if "." in name})
    found, supplied = Catalog(), supplied_columns(db) if with_supplied else {}
    for schema, table, kind, visible, column, *rest in db.query(catalog_of(db.dialect, schemas)):
        filled = supplied.get((schema, table, column), "")
        described = {column: replace(FoundColumn(*rest), supplied=filled)}
        place = db.dialect.placed(table)
        if place == f"{schema}.{table}" or (visible and place == table):
            found.add(table, schema, kind, described)
        if schema in schemas:
            found.add(f"{schema}.{table}", schema, kind, described)
    return found


# --- making it so ------------------------------------------------------------------------


CORRECT_SCHEMA = (
    "change the type or give a default (ALTER TABLE), or rename what is in the way, so that it is "
    "made anew"
)


def create_tables(db: DatabaseManager, loaded: Sequence[Table] = STAR_TABLES) -> None:
    """Create the tables and add the columns that are missing; drop nothing, alter no column.

    Views and notes are made too, if this login may; nothing that is loaded depends on them.

    For a warehouse that is open for reading only, empty temporary tables are used in place of
    those that are missing, and of those through which rows would go.

    Args:
        db: the warehouse.
        loaded: the tables into which sources are loaded.

    Raises:
        LoadingError: something differs that only a person can change, or this login may not
            create tables; nothing is written.
    """
    found = schema_differences(db, loaded)
    if found.problems:
        raise LoadingError(
            f"the tables are not as they must be: {'; '.join(found.problems)}",
            next_step=f"{CORRECT_SCHEMA}; nothing was written",
        )
    if db.access.read_only:
        _replace_missing(db, found, loaded)
        return
    if found.tables or found.columns:
        _make(db, found)
    _describe(db, found)


def _replace_missing(db: DatabaseManager, found: Differences, loaded: Sequence[Table]) -> None:
    staging = list(staging_tables(loaded)) if db.dialect.stages_permanently else []
    columns = [(table, column) for table, column in found.columns if table not in staging]
    if columns:
        raise LoadingError(
            f"the warehouse lacks columns ({_column_names(columns)}), and is open for reading only",
            next_step="load it once, which adds them",
        )
    for table in dict.fromkeys((*found.tables, *staging)):
        db.create_empty(table)


def _make(db: DatabaseManager, found: Differences) -> None:
    names = ", ".join(table.name for table in found.tables)
    columns = _column_names(found.columns)
    try:
        with db.transaction():
            for statement in found.statements(db.dialect):
                db.execute(statement)
    except LoadingError as error:
        missing = " and ".join(part for part in (names, columns) if part)
        raise LoadingError(
            f"missing tables or columns cannot be created ({missing}): {error}",
            next_step=_RUN_SCRIPT,
        ) from error
    if columns:
        logger.warning("columns that the warehouse lacked were added: %s", columns)


def _describe(db: DatabaseManager, found: Differences) -> None:
    """Make views and notes, which people and BI tools read."""
    made = [ddl.create_view(db.dialect, view) for view in found.views]
    notes = ddl.comments(db.dialect, found.notes) if found.notes else ""
    for statement in filter(None, (*made, notes)):
        try:
            with db.transaction():
                db.execute(statement)
        except LoadingError as error:
            if not db.session.is_alive():
                raise
            logger.info("this login may not add views or comments to the warehouse: %s", error)


def _column_names(columns: Iterable[tuple[Table, Column]]) -> str:
    return ", ".join(f"{table.name}.{column.name}" for table, column in columns)

"""What is particular to tables that a DBA has made: what works as it is, and what does not."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from etl.engines.database import DatabaseManager
from etl.engines.dialect import quoted, quoted_table
from etl.monitoring.health.findings import PASSED, WARNING, Check, failed
from etl.schema.table import Table
from etl.warehouse.tables import read_catalog

# By feature: what there is to know of it where a load works with it.
_WORKS = {
    "temporal": "each update of a load adds a row to its history",
    "columnstore": "batches of less than 102,400 rows wait in its delta store",
    "partitioned": "the primary key must hold the column that parts it",
}
# What a load works with, but somebody should look at.
_DOUBTFUL = {
    "filtered unique index": "MERGE has failed on such indexes (error 2601 without a duplicate); "
    "set SQL_SERVER_UPSERT=update-insert, or drop it",
    "indexed view": "MERGE has left such views wrong on older versions; set "
    "SQL_SERVER_UPSERT=update-insert, and check the view with DBCC CHECKDB ... WITH "
    "EXTENDED_LOGICAL_CHECKS",
    "cascading foreign key": "what a load deletes takes the rows that name it along, uncounted, "
    "and MERGE has failed beside such keys; make it NO ACTION, or at least set "
    "SQL_SERVER_UPSERT=update-insert",
    "rule": "it rewrites what a load writes",
}
# What is doubtful for a MERGE alone.
_BESIDE_MERGE = frozenset({"filtered unique index", "indexed view"})
# What a load cannot write, and what corrects it.
_CANNOT = {
    "memory-optimized": "MERGE does not write such tables: make it again without "
    "MEMORY_OPTIMIZED = ON",
    "INSTEAD OF trigger": "the rows of a load would go through it, or nowhere: "
    "DISABLE TRIGGER {name} ON {table};",
    "foreign": "it lies on another server: make it a table of this one",
}


def adopted_checks(db: DatabaseManager, loaded: Sequence[Table]) -> Iterator[Check]:
    """Check features of the tables that are loaded, and that a unique index holds each key."""
    adopts = db.dialect.adopts
    if not adopts.features:
        return
    schemas = read_catalog(db, (table.name for table in loaded)).schemas
    there = {(schemas[t.name], t.name.rpartition(".")[2]): t for t in loaded if t.name in schemas}
    for schema, name, feature, what in db.query(adopts.features):
        if (schema, name) in there:
            loaded_as = there[schema, name].name
            yield of_feature(loaded_as, feature, what, merges=not db.access.update_insert)
    unique: dict[tuple[str, str], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for schema, name, index, column in db.query(adopts.unique_keys):
        unique[schema, name][index].add(column)
    for place, table in there.items():
        if table.key and not any(c <= set(table.key) for c in unique[place].values()):
            yield _without_unique_key(table)


def of_feature(table: str, feature: str, name: str, *, merges: bool = True) -> Check:
    """Return what there is to know of a feature of a table.

    Args:
        table: its name.
        feature: as the catalog query of the engine names it.
        name: of the index, the view or the trigger.
        merges: whether rows are written by MERGE.
    """
    place = f"{table} ({feature} {name})" if name != table else f"{table} ({feature})"
    if feature in _CANNOT:
        words = _CANNOT[feature].format(name=quoted(name), table=quoted_table(table))
        return failed("adopted table", f"{place} cannot be loaded", words, value=feature)
    if feature in _BESIDE_MERGE and not merges:
        message = f"{place} can be loaded: rows are written by UPDATE and INSERT, not by MERGE"
        return Check("adopted table", PASSED, feature, message=message)
    doubtful = feature in _DOUBTFUL
    words = _DOUBTFUL[feature] if doubtful else _WORKS[feature]
    message = f"{place} can be loaded: {words}"
    return Check("adopted table", WARNING if doubtful else PASSED, feature, message=message)


def _without_unique_key(table: Table) -> Check:
    key, name = ", ".join(map(quoted, table.key)), quoted(f"uq_{table.plain_name}")
    return Check(
        "adopted table", WARNING, "no unique key",
        message=f"{table.name} has no unique index on its key: each batch reads all of it, and "
        f"nothing keeps a second row of a key out: CREATE UNIQUE INDEX {name} ON "
        f"{quoted_table(table.name)} ({key});",
    )  # fmt: skip

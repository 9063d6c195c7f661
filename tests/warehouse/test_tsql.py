"""The T-SQL to the letter, and read by a parser, for where no SQL Server is at hand.

`tests/warehouse/tsql` holds the statements that are sent to SQL Server, a file each. A change of
one shows in its file; when it is meant, rewrite the files:

    UPDATE_TSQL=1 python -m pytest -n0 tests/warehouse/test_tsql.py
"""

import difflib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import cache, reduce
from pathlib import Path
from typing import TypeVar

import pytest
import sqlglot
from collations import Collations, ConflictError
from sqlglot import ErrorLevel, exp

from etl.engines import checksums, ddl, sql_server
from etl.engines import dialect as sql_dialects
from etl.engines.schemas import Schemas
from etl.engines.sql_server_dialect import SQL_SERVER
from etl.engines.sql_server_inserts import insert_text
from etl.engines.upsert import as_pair
from etl.history import kept_letters, read_keys
from etl.history.runs import READS_WHOLE_SOURCES
from etl.marts.plan import plan_marts
from etl.quality import rule_sql
from etl.quality import rules as quality_rules
from etl.rules.cleaning import Duplicates
from etl.schema.audit import AUDIT_TABLES
from etl.schema.star import CUSTOMER_DIM, PRODUCT_DIM, SALES_FACT, STAR_TABLES
from etl.schema.table import Column, Feed, Index, Kind, Role, Table
from etl.schema.versioned import ended_key_table, observation_table, versioned
from etl.schema.versions import Versions
from etl.schema.views import HISTORY_VIEWS, VIEWS
from etl.schema.work_tables import (
    batch_table,
    changed_key_table,
    corrected_key_table,
    key_table,
    rejected_key_table,
    removed_table,
    staging_table,
)
from etl.sources.sales_queries import sales_query
from etl.warehouse import (
    calendar,
    changes_sql,
    cleaning_sql,
    delta_sql,
    gate_sql,
    reconcile,
    restated,
    row_changes_sql,
    staging_sql,
    star_sql,
    touched,
    versions_sql,
)
from etl.warehouse.tables import permanent_tables, schema_script
from etl.warehouse.versions_sql import Snapshot

FOLDER = Path(__file__).with_name("tsql")
DIMENSIONS = (CUSTOMER_DIM, PRODUCT_DIM)
PERMANENT = permanent_tables(SQL_SERVER)
BINARY = "COLLATE Latin1_General_100_BIN2"

# A table of somebody's own: in a schema, its key in a collation that somebody chose.
OWN = Table(
    "sales.order_item", "", ("order_id", "line"), replaced=True,
    columns=(
        Column("order_id", "", Kind.TEXT, width=20, required=True,
               collation="Latin1_General_CI_AS"),
        Column("line", "", Kind.INTEGER, required=True),
        Column("weight", "", Kind.DOUBLE),
        Column("note", "", Kind.TEXT, width=4000),
    ),
)  # fmt: skip
ADDED = replace(OWN, name="sales.click", key=())
FED = replace(OWN, feed=Feed.ANY_ORDER)
# One that keeps versions, as records say since when they hold, and one that is seen in snapshots.
_SHOP = Table(
    "sales.shop", "", ("shop_id",),
    columns=(
        Column("shop_id", "", Kind.TEXT, width=20, required=True, exact=True),
        Column("since", "", Kind.DATE),
        Column("city", "", Kind.TEXT, width=50),
        Column("level", "", Kind.INTEGER),
        Column("mail", "", Kind.TEXT, width=50),
    ),
)  # fmt: skip
SHOP = versioned(_SHOP, Versions("since", ("level",), ("mail",)))
SEEN_SHOP = versioned(replace(_SHOP, name="sales.seen_shop"), Versions())
OWN_NAMES = {
    table.name.partition(".")[2]
    for each in (OWN, ADDED, SHOP, SEEN_SHOP)
    for table in (each, observation_table(each))
}

# --- the statements ----------------------------------------------------------------------


def _stage(table: Table) -> str:
    return staging_table(table, permanent=True).name


def _rejected(table: Table) -> str:
    return rejected_key_table(table).name


def _temporary(table: Table) -> Table:
    return ddl.temporary_table(SQL_SERVER, table)


def _batch(table: Table) -> str:
    return _temporary(batch_table(table)).name


def _staging(table: Table) -> Iterator[tuple[str, str]]:
    """The statements about staged rows of a table."""
    stage, rejected = staging_table(table, permanent=True), rejected_key_table(table)
    sent = [stage.column(c.name) for c in table.with_role(Role.SOURCE)]
    sent += [stage.column(name) for name in ("source_row", "run_id", "batch")]
    rows, one = stage.name, _temporary(batch_table(table))
    yield "insert_staged", insert_text(stage, sent, {})
    yield "insert_rejected_key", insert_text(rejected, rejected.columns, {})
    yield "clear_staging", sql_dialects.clear(SQL_SERVER, rows)
    yield "clear_batch", sql_dialects.clear_temporary(SQL_SERVER, one.name)
    yield "refresh_statistics", sql_dialects.refresh_statistics(SQL_SERVER, rows)
    yield "sums", reconcile.sums_of(table, rows)
    yield "checksum", checksums.server_checksum(SQL_SERVER, table, rows)
    yield "repeated_keys", staging_sql.repeated_keys(table, rows)
    yield "create_duplicates", staging_sql.create_duplicates(SQL_SERVER, table, rows)
    yield "select_duplicates", staging_sql.select_duplicates(SQL_SERVER, table)
    yield "delete_duplicates", staging_sql.delete_duplicates(SQL_SERVER, rows)
    yield "create_batch", ddl.create_temporary(SQL_SERVER, one)
    yield "drop_batch", ddl.drop_temporary(SQL_SERVER, batch_table(table).name)
    yield "select_batches", staging_sql.select_batches(rows)
    yield "select_batch_rows", staging_sql.select_batch_rows(rows)
    yield "fill_batch", staging_sql.fill_batch(table, stage=rows, batch=one.name)
    yield "fill_whole", staging_sql.fill_whole(table, stage=rows, keyed=one.name)
    yield "select_staged_row", staging_sql.select_staged_row(table, rows)
    keys = _temporary(key_table(table))
    yield "create_keys", ddl.create_temporary(SQL_SERVER, keys)
    yield "select_rows_of_keys", staging_sql.select_rows_of_keys(SQL_SERVER, table, keys.name)
    yield "delete_staged_row", staging_sql.delete_staged_row(rows)


def _loading(table: Table) -> Iterator[tuple[str, str]]:
    """The statements that bring staged rows into a table, and speak of the result."""
    rows, batch = _stage(table), _batch(table)
    yield "classify", delta_sql.classify(SQL_SERVER, table, batch)
    yield "merge", star_sql.merge(SQL_SERVER, table, batch, part=True)
    yield "has_rows", sql_dialects.has_rows(table.name, SQL_SERVER.locked)
    yield "insert_new", star_sql.insert_new(SQL_SERVER, table, rows)
    yield "count_live", staging_sql.count_live(SQL_SERVER, table)
    yield "rows_state", staging_sql.rows_state(SQL_SERVER, table)
    rejected = _rejected(table)
    yield (
        "count_vanished",
        staging_sql.count_vanished(SQL_SERVER, table, rows=rows, rejected=rejected),
    )
    yield "count_unread", gate_sql.count_unread(SQL_SERVER, table, rows)
    columns = table.guarded
    yield "count_staged_values", gate_sql.count_staged_values(columns, rows)
    yield "count_known_values", gate_sql.count_known_values(SQL_SERVER, table, columns)
    yield "count_conflicting", staging_sql.count_conflicting(SQL_SERVER, table, rows)
    yield "delete_unread", star_sql.delete_unread(table, rows, STAR_TABLES)
    yield (
        "record_rejected_keys",
        read_keys.record_rejected_keys_sql(SQL_SERVER, table, _rejected(table)),
    )
    yield "record_staged_keys", read_keys.record_staged_keys_sql(SQL_SERVER, table, rows)
    corrected, modes = _temporary(corrected_key_table(table)).name, READS_WHOLE_SOURCES
    yield (
        "read_since",
        read_keys.read_since_sql(SQL_SERVER, table, corrected=corrected, modes=modes),
    )
    yield "count_rows", sql_dialects.count_rows(table.name)
    yield "select_all", sql_dialects.select_all(table)


def _placeholders(dimension: Table) -> Iterator[tuple[str, str]]:
    """The statements about rows of a dimension that only sales have named."""
    dialect, sales = SQL_SERVER, _batch(SALES_FACT)
    ((column, parent),) = (found for found in SALES_FACT.references if found[1] is dimension)
    yield "insert_inferred", star_sql.insert_inferred(dialect, column, parent, rows=sales)
    orphans = star_sql.delete_orphaned_inferred(dialect, dimension, STAR_TABLES)
    yield "delete_orphaned_inferred", orphans
    unread = star_sql.reinfer_unread(dialect, dimension, _stage(dimension), STAR_TABLES)
    yield "reinfer_unread", unread
    yield "staged_without_parent", star_sql.staged_without_parent(column, parent, rows=sales)


def _restating() -> Iterator[tuple[str, str]]:
    """The statements about what depends on more than one record."""
    dialect, sales, products = SQL_SERVER, SALES_FACT, PRODUCT_DIM
    yield "touched_customers", restated.create_touched_customers(dialect, _batch(sales))
    yield "touched_by_removal", restated.touch_customers_of_removed(dialect, _stage(sales))
    yield "first_sales", restated.create_first_sales(dialect, _batch(sales))
    yield "restated_status", restated.create_restated_status(dialect)
    yield "touched_products", restated.create_touched_products(dialect, _batch(products))
    yield "unread_products", restated.touch_unread_products(dialect, _stage(products))
    yield "restated_profit", restated.create_restated_profit(dialect)
    waiting = {CUSTOMER_DIM.name: _stage(CUSTOMER_DIM)}
    yield (
        "needing_placeholders",
        gate_sql.count_needing_placeholders(sales, _stage(sales), waiting),
    )
    yield "drop_duplicates", ddl.drop_temporary(dialect, staging_sql.DUPLICATES)
    yield "merge_restated_status", restated.merge_restated(dialect, restated.STATUS)
    yield "merge_restated_profit", restated.merge_restated(dialect, restated.PROFIT)


def _cleaning() -> Iterator[tuple[str, str]]:
    """The statements that clean staged rows as a whole."""
    rows, column, bounds = _stage(OWN), "weight", ("(-1.5)", "20")
    repeated = {"columns": Duplicates(("note",), keep="first"), "content": Duplicates()}
    for name, duplicates in repeated.items():
        text = cleaning_sql.create_repeated(SQL_SERVER, OWN, rows, duplicates)
        yield f"create_repeated_by_{name}", text
    yield "create_outside", cleaning_sql.create_outside(SQL_SERVER, rows, column, bounds)
    yield "create_missing", cleaning_sql.create_missing(SQL_SERVER, rows, column)
    yield "select_set_aside", cleaning_sql.select_set_aside(SQL_SERVER, OWN)
    yield "delete_set_aside", cleaning_sql.delete_set_aside(SQL_SERVER, rows)
    yield "count_values", cleaning_sql.count_values(rows, column)
    yield "sum_of", cleaning_sql.sum_of(rows, "line").format(scale=0)
    yield "values_at", cleaning_sql.values_at(rows, f'abs("{column}" - 1.5)', [1, 25])
    yield "most_frequent", cleaning_sql.most_frequent(rows, column)
    yield "fill_missing", cleaning_sql.fill_missing(rows, column)
    yield "fill_forward", cleaning_sql.fill_forward(rows, column)
    yield "make_missing", cleaning_sql.make_missing(rows, column, bounds)
    yield "clip", cleaning_sql.clip(rows, column, bounds)
    yield "count_outside", cleaning_sql.count_outside(rows, column, bounds)


def _others() -> Iterator[tuple[str, str]]:
    yield "schema", schema_script("Server=x;Database=y")
    for view in (*VIEWS, *HISTORY_VIEWS):
        yield f"view_{view.name}", f"{ddl.view_query(view)};"
    yield "commented", SQL_SERVER.commented
    yield "calendar_spans", calendar.spans()
    yield "clear_calendar", calendar.clear_calendar()
    yield (
        "create_corrected_key",
        ddl.create_temporary(SQL_SERVER, _temporary(corrected_key_table(CUSTOMER_DIM))),
    )
    yield "probe_encoding", checksums.probe_encoding()
    yield "newest_staged_sales_fact", staging_sql.newest_staged(SALES_FACT, _stage(SALES_FACT))
    yield "sales_query", sales_query()
    for table in AUDIT_TABLES:
        yield f"insert_row_{table.name}", sql_dialects.insert_row(table)
    yield "forget_read_keys", read_keys.FORGET_READ_KEYS
    yield "letter_keys", kept_letters.staged_keys_sql(SQL_SERVER, OWN, _stage(OWN), 2)
    yield "letter_keys_removed", kept_letters.removed_keys_sql(SQL_SERVER, OWN, _stage(OWN), 2)
    yield "blockers", sql_server._BLOCKERS
    yield "newest_sale", quality_rules.newest_sale()


def _own() -> Iterator[tuple[str, str]]:
    """The statements of a table of somebody's own."""
    for name, text in (*_staging(OWN), *_loading(OWN)):
        yield f"{name}_{OWN.plain_name}", text
    yield "own_table", ddl.create_table(SQL_SERVER, OWN)
    yield "own_table_staging", ddl.create_table(SQL_SERVER, staging_table(OWN, permanent=True))
    yield "own_table_without_key", ddl.create_table(SQL_SERVER, ADDED)
    yield "add_without_key", star_sql.insert_new(SQL_SERVER, ADDED, _batch(ADDED))
    condition = star_sql.without_parent(OWN.column("line"), OWN, staged=_stage(OWN))
    yield (
        "select_without_parent",
        star_sql.select_without_parent(OWN, condition, rows=_stage(OWN)),
    )
    yield "delete_without_parent", star_sql.delete_without_parent(condition, rows=_stage(OWN))
    yield "catalog", sql_dialects.catalog_of(SQL_SERVER, ["sales"])
    yield "primary_key", sql_dialects.PRIMARY_KEY


def _changes() -> Iterator[tuple[str, str]]:
    """The statements about changes of a table of somebody's own."""
    rows, removed = _stage(FED), removed_table(FED)
    yield "staged_changes", ddl.create_table(SQL_SERVER, staging_table(FED, permanent=True))
    yield "removed_keys", ddl.create_table(SQL_SERVER, removed)
    yield "changed_keys", ddl.create_table(SQL_SERVER, changed_key_table(FED))
    yield "newest_position", changes_sql.newest_position(rows)
    yield "newest_clearing", changes_sql.newest_clearing(rows)
    yield "clearing_row", changes_sql.clearing_row(rows)
    yield "delete_before", changes_sql.delete_before(rows)
    yield "delete_overtaken", changes_sql.delete_overtaken(FED, rows)
    yield "newest_changes", staging_sql.create_duplicates(SQL_SERVER, FED, rows)
    yield "set_removals_aside", changes_sql.set_removals_aside(FED, rows)
    yield "delete_removals", changes_sql.delete_removals(rows)
    yield "forget_cleared", changes_sql.forget_cleared(FED)
    yield "remember_cleared", changes_sql.remember_cleared(SQL_SERVER, FED, rows)
    yield "forget_keys", changes_sql.forget_keys(FED, rows)
    aside = removed.name
    yield "remember_keys", changes_sql.remember_keys(SQL_SERVER, FED, aside, removed=True)
    yield "delete_removed", changes_sql.delete_removed(SQL_SERVER, FED, [*STAR_TABLES, FED])
    yield "count_kept", changes_sql.count_kept(SQL_SERVER, FED)
    yield "forget_removed", changes_sql.forget_removed(SQL_SERVER, FED)
    ended = _temporary(ended_key_table(FED)).name
    yield "fill_ended", changes_sql.fill_ended(FED, removed.name, ended)


def _versions() -> Iterator[tuple[str, str]]:
    """The statements of tables that keep versions."""
    dialect = SQL_SERVER
    seen = Snapshot(
        _stage(SHOP), _rejected(SHOP), datetime(2024, 1, 20, 2), whole=True, sparse=False
    )
    for name, text in _of_versions(SHOP, seen):
        yield f"{name}_shop", text
    late = replace(seen, rows=_stage(SEEN_SHOP), rejected=_rejected(SEEN_SHOP), sparse=True,
                   newest=False)  # fmt: skip
    yield "changed_seen_shop", versions_sql.create_changed(dialect, SEEN_SHOP, late)
    fresh = replace(late, newest=True, fresh=True)
    yield "changed_fresh", versions_sql.create_changed(dialect, SEEN_SHOP, fresh)
    first = replace(fresh, first=True)
    yield "changed_first", versions_sql.create_changed(dialect, SEEN_SHOP, first)
    following = datetime(2024, 1, 21, 2)
    next_states = versions_sql.add_states_of_next(dialect, SEEN_SHOP, late, following)
    yield "states_of_next_seen_shop", next_states
    yield "compared_rebuilt", versions_sql.create_compared(dialect, SEEN_SHOP, rebuilt=True)
    yield "timeline_seen_shop", versions_sql.create_timeline(dialect, SEEN_SHOP)
    yield "delete_versions_rebuilt", versions_sql.delete_versions(dialect, SEEN_SHOP, rebuilt=True)
    yield "insert_versions", versions_sql.insert_versions(dialect, SEEN_SHOP)
    yield "next_snapshot", versions_sql.next_snapshot()
    yield "count_changed", versions_sql.count_changed(dialect)


def _noting() -> Iterator[tuple[str, str]]:
    """The statements that note who changed what."""
    dialect = SQL_SERVER
    before = row_changes_sql.create_before(dialect, OWN, _stage(OWN), may_remove=True)
    yield "row_change_before", before
    yield "row_change_inserted", row_changes_sql.note_inserted(dialect, OWN)
    yield "row_change_removed", row_changes_sql.note_removed(dialect, OWN)
    for number, column in enumerate(CUSTOMER_DIM.guarded):
        if column.name in ("name", "email_valid", "registration_date"):
            text = row_changes_sql.note_column(dialect, CUSTOMER_DIM, number)
            yield f"row_change_{column.name}", text
    yield "row_change_forgotten", row_changes_sql.forget_before()


def _of_versions(table: Table, seen: Snapshot) -> Iterator[tuple[str, str]]:
    dialect = SQL_SERVER
    yield "versions", ddl.create_table(dialect, table)
    yield "observations", ddl.create_table(dialect, observation_table(table))
    yield "create_batch", ddl.create_temporary(dialect, _temporary(batch_table(table)))
    yield "repeated_keys", staging_sql.repeated_keys(table, seen.rows)
    yield "create_duplicates", staging_sql.create_duplicates(dialect, table, seen.rows)
    yield "count_live", staging_sql.count_live(dialect, table)
    yield "select_all", sql_dialects.select_all(table)
    yield "newest_state", versions_sql.newest_state(table)
    yield "changed", versions_sql.create_changed(dialect, table, seen)
    ended = _temporary(ended_key_table(table))
    yield "ended_keys", ddl.create_temporary(dialect, ended)
    yield "changed_by_removals", versions_sql.create_removed(dialect, table, ended.name)
    yield "compared", versions_sql.create_compared(dialect, table)
    yield "timeline", versions_sql.create_timeline(dialect, table)
    yield "count_states", versions_sql.count_states(dialect, table, seen)
    yield "count_changed_columns", versions_sql.count_changed_columns(dialect, table)
    yield "insert_states", versions_sql.insert_states(dialect, table)
    yield "merge_states", versions_sql.correct_states(dialect, table)
    yield "delete_versions", versions_sql.delete_versions(dialect, table)
    yield "merge_spans", versions_sql.merge_spans(dialect, table)
    yield "merge_values", versions_sql.merge_values(dialect, table)
    faulty = versions_sql.faulty_versions(dialect, table, touched=True)
    yield "faulty_versions", versions_sql.count_of(faulty)


def _quality() -> Iterator[tuple[str, str]]:
    """The statements that check the tables against the quality rules."""
    for table in STAR_TABLES:
        rules = quality_rules.ROW_RULES[table.name]
        query = rule_sql.count_broken_rows(SQL_SERVER, table, rules)
        yield f"quality_{table.name}", query
        for row_rule in quality_rules.ROW_RULES[table.name]:
            name = f"examples_{table.name}_{row_rule.name}"
            yield name, rule_sql.row_rule_examples(SQL_SERVER, row_rule)
    for rule in quality_rules.set_rules(SQL_SERVER):
        name = rule.full_name.replace(".", "_")
        yield f"quality_{name}", rule_sql.set_rule_count(rule)
        yield f"quality_since_{name}", rule_sql.set_rule_count_since(rule)
        yield f"examples_{name}", rule_sql.set_rule_examples(rule)


def _marts() -> Iterator[tuple[str, str]]:
    """The statements that build the marts of the program."""
    for mart in plan_marts(Path("/none"), SQL_SERVER, STAR_TABLES).marts:
        yield f"mart_{mart.name}", f"{mart.insert};"
        if not mart.query.file.grain:
            continue
        statements = mart.statements
        yield f"mart_grains_{mart.name}", statements.create_grains("20240120T020000.000000Z")
        yield f"mart_count_touched_{mart.name}", statements.count_touched()
        yield f"mart_clear_touched_{mart.name}", statements.clear_touched()
        yield f"mart_touched_{mart.name}", f"{statements.insert(touched=True)};"
    sales = SALES_FACT
    places = touched.changed_places(SQL_SERVER, sales, _batch(sales), sales.guarded)
    yield "touched_places", touched._insert(sales, places)
    for table in plan_marts(Path("/none"), SQL_SERVER, STAR_TABLES).tables:
        yield f"own_table_{table.name}", ddl.create_table(SQL_SERVER, table)


def _statements() -> Iterator[tuple[str, str]]:
    for table in STAR_TABLES:
        for name, text in (*_staging(table), *_loading(table)):
            yield f"{name}_{table.name}", text
    for dimension in DIMENSIONS:
        for name, text in _placeholders(dimension):
            yield f"{name}_{dimension.name}", text
    yield from _restating()
    yield from _others()
    yield from _own()
    yield from _versions()
    yield from _noting()
    yield from _changes()
    yield from _cleaning()
    yield from _quality()
    yield from _marts()


STATEMENTS = dict(_statements())
# What replaces each MERGE with SQL_SERVER_UPSERT=update-insert.
PAIRS = {
    name: "\n".join(statement for statement, _ in as_pair(text))
    for name, text in STATEMENTS.items()
    if text.startswith("MERGE") and " AS target" in text
}
STATEMENTS |= {f"update_insert_{name}": text for name, text in PAIRS.items()}
MERGES = {table: STATEMENTS[f"merge_{table.name}"] for table in STAR_TABLES}

every_merge = pytest.mark.parametrize("table", STAR_TABLES, ids=lambda table: table.name)


# --- to the letter -----------------------------------------------------------------------


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_is_what_its_file_says(name: str) -> None:
    """With UPDATE_TSQL=1 in the environment the file is rewritten instead."""
    path, text = FOLDER / f"{name}.sql", STATEMENTS[name] + "\n"
    if os.environ.get("UPDATE_TSQL") == "1":
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    pinned = path.read_text(encoding="utf-8") if path.exists() else ""
    assert text == pinned, _difference(path, pinned, text)


def _difference(path: Path, pinned: str, text: str) -> str:
    lines = difflib.unified_diff(
        pinned.splitlines(), text.splitlines(), f"tsql/{path.name}", "generated", lineterm=""
    )
    meant = "if it is meant: UPDATE_TSQL=1 python -m pytest -n0 tests/warehouse/test_tsql.py"
    return "\n".join([f"tests/warehouse/tsql/{path.name} says otherwise; {meant}", *lines])


def test_no_file_is_left_of_a_statement_that_is_gone() -> None:
    left = {path.name for path in FOLDER.iterdir()} - {f"{name}.sql" for name in STATEMENTS}
    assert not left, f"no statement has these files of {FOLDER}, remove them: {sorted(left)}"


# --- as a parser reads it ----------------------------------------------------------------

_Node = TypeVar("_Node", bound=exp.Expr)

# sqlglot knows no CREATE ROLE in T-SQL, no cursor, and reads no text that is executed.
UNREAD = re.compile(
    r"IF DATABASE_PRINCIPAL_ID\(N'etl_loader'\) IS NULL\nCREATE ROLE etl_loader;"
    r"|\nOPTION \(LOOP JOIN\)(?=;)|IF HAS_PERMS_BY_NAME\(.*;$"
    r"|DECLARE @kind .*?\nDEALLOCATE notes;|IF OBJECT_ID\(N'\w+', N'V'\).*?'\);",
    re.DOTALL,
)


def _split(script: str) -> Iterator[str]:
    """The statements of a script: blocks, and what else ends a line with a semicolon."""
    for part in script.split("\n\n"):
        yield from [part] if "\nBEGIN\n" in part else re.split(r"(?<=;)\n+", part.strip())


@cache
def _trees(name: str) -> tuple[exp.Expr, ...]:
    """The statements under a name as trees, all but the role's."""
    texts = _split(UNREAD.sub("", STATEMENTS[name]))
    return tuple(
        sqlglot.parse_one(text, read="tsql", error_level=ErrorLevel.RAISE) for text in texts if text
    )


def _found(name: str, *kinds: type[_Node]) -> Iterator[_Node]:
    """The nodes of these kinds in the trees under a name."""
    for tree in _trees(name):
        yield from tree.find_all(*kinds)


def _everywhere(*kinds: type[_Node]) -> Iterator[tuple[str, _Node]]:
    """The nodes of these kinds in all statements, each with its statement's name."""
    return ((name, node) for name in STATEMENTS for node in _found(name, *kinds))


# What is not about our tables: scripts that name schemas themselves, catalogs, and the source.
FOREIGN = {"schema", "catalog", "primary_key", "commented", "sales_query", "blockers"}


@pytest.mark.parametrize("name", sorted({*STATEMENTS} - FOREIGN))
def test_every_table_gets_the_schema_that_is_set_and_nothing_else_does(name: str) -> None:
    schemas = Schemas("dw", "work")
    sql = schemas.qualified(UNREAD.sub("", STATEMENTS[name]))
    for text in filter(None, _split(sql)):
        for table in sqlglot.parse_one(text, read="tsql").find_all(exp.Table):
            staged = table.name.startswith(("stage_", "rejected_", "removed_"))
            wanted = "work" if staged else "sales" if table.name in OWN_NAMES else "dw"
            is_temporary = table.this.args.get("temporary")
            is_named_here = table.name == "target" or table.name.startswith("etl_with_")
            if is_temporary or is_named_here:  # an alias that is updated, a name in WITH
                wanted = ""
            assert table.db == wanted, table.sql()
    assert re.sub(r'"(dw|work)"\.', "", sql) == UNREAD.sub("", STATEMENTS[name])


def test_the_script_of_a_schema_names_it_everywhere() -> None:
    script = schema_script("Server=x;Database=y", schemas=Schemas("dw", "work"))
    for table in PERMANENT:
        schema = "work" if table.is_staging else "dw"
        assert f"IF OBJECT_ID(N'{schema}.{table.name}', N'U') IS NULL" in script
        assert f'CREATE TABLE "{schema}"."{table.name}" (' in script
        assert f'DELETE ON "{schema}"."{table.name}" TO etl_loader;' in script
    assert script.index('CREATE SCHEMA "work"') < script.index("CREATE TABLE")
    assert not re.search(r'\b(TABLE|REFERENCES|FROM|JOIN|VIEW|ON) "[^"]+"(?! = |[."])', script)


def test_in_place_of_a_merge_both_statements_take_its_parameters_in_order() -> None:
    for name in PAIRS:
        marks = STATEMENTS[name].count("?")
        bound = as_pair(STATEMENTS[name], tuple(range(marks)))
        assert [text.count("?") for text, _ in bound] == [len(values) for _, values in bound], name
        assert [value for _, values in bound for value in values] == list(range(marks)), name
        assert not any("MERGE" in text for text, _ in bound), name
    both = [name for name in PAIRS if "WHEN NOT MATCHED" in STATEMENTS[name]]
    assert all(len(as_pair(STATEMENTS[name])) == 2 for name in both)
    assert {f"merge_{table.name}" for table in STAR_TABLES} <= set(both)


def test_every_statement_is_understood() -> None:
    assert [(name, command.sql()) for name, command in _everywhere(exp.Command)] == []


def test_the_role_is_made_once_and_gets_rights_on_every_table() -> None:
    assert STATEMENTS["schema"].count("CREATE ROLE etl_loader;") == 1
    granted = [grant.args["securable"].name for grant in _found("schema", exp.Grant)]
    assert granted == [table.name for table in PERMANENT]


def _code(text: str) -> str:
    """Without comments and the insides of literals."""
    return re.sub(r"--[^\n]*|(?<=')[^'\n]*(?=')", "", text)


CODE = {name: _code(UNREAD.sub("", text)) for name, text in STATEMENTS.items()}


def test_every_statement_ends_with_a_semicolon_and_its_line() -> None:
    assert [name for name, text in STATEMENTS.items() if not text.endswith(";")] == []
    assert [name for name, code in CODE.items() if re.search(r";(?!\n|$)", code)] == []


OTHER_DIALECTS = re.compile(
    r"\b(LIMIT|TRUE|FALSE|TEMPORARY|RETURNING|ILIKE|BOOLEAN|VARCHAR|TIMESTAMP|GREATEST|LEAST)\b"
    r"|\|\||::|//|\bIS (NOT )?DISTINCT FROM\b|\bNULLS (FIRST|LAST)\b",
    re.IGNORECASE,
)


def test_no_statement_has_anything_of_other_dialects() -> None:
    assert [name for name, code in CODE.items() if OTHER_DIALECTS.search(code)] == []


def test_temporary_names_are_quoted() -> None:
    assert [name for name, code in CODE.items() if re.search(r'(?<!")#', code)] == []


def test_no_aggregate_is_taken_of_a_subquery_or_an_aggregate() -> None:
    """SQL Server's error 130."""
    for name, aggregate in _everywhere(exp.AggFunc):
        inside = [node for node in aggregate.walk() if isinstance(node, exp.Query | exp.AggFunc)]
        assert inside == [aggregate], name


def test_window_functions_stand_in_select_lists_only() -> None:
    """SQL Server's error 4108."""
    clauses = (exp.Select, exp.Where, exp.Having, exp.Group, exp.Join)
    for name, window in _everywhere(exp.Window):
        assert isinstance(window.find_ancestor(*clauses), exp.Select), name


def test_only_whole_results_and_windows_are_ordered() -> None:
    """SQL Server's error 1033: no ORDER BY in derived tables and subqueries."""
    for name, order in _everywhere(exp.Order):
        if not isinstance(order.parent, exp.Window):
            assert order.find_ancestor(exp.Subquery, exp.Exists, exp.In) is None, name


def test_derived_tables_and_their_columns_are_named_once() -> None:
    """SQL Server's errors 102, 8155 and 8156."""
    for name, derived in _everywhere(exp.Subquery):
        if isinstance(derived.parent, exp.From | exp.Join | exp.Merge):
            columns = [column.output_name for column in derived.this.selects]
            assert derived.alias, name
            assert all(columns), name
            assert len(set(columns)) == len(columns), name


def test_what_is_selected_beside_an_aggregate_is_grouped() -> None:
    """SQL Server's error 8120."""
    for name, select in _everywhere(exp.Select):
        grouped = select.args["group"].expressions if select.args.get("group") else []
        if grouped or any(map(_aggregates, select.selects)):
            alone = (column for column in select.selects if not _aggregates(column))
            assert {c.unalias().sql() for c in alone} <= {c.sql() for c in grouped}, name


def _aggregates(column: exp.Expr) -> bool:
    """Whether a column is computed from several rows that become one."""
    found = column.find_all(exp.AggFunc)
    return any(
        not each.find_ancestor(exp.Window) or each.find_ancestor(exp.Order) for each in found
    )


# --- MERGE -------------------------------------------------------------------------------


def _merge(text: str) -> exp.Merge:
    tree = sqlglot.parse_one(UNREAD.sub("", text), read="tsql", error_level=ErrorLevel.RAISE)
    assert isinstance(tree, exp.Merge)
    return tree


def _branches(merge: exp.Merge) -> list[exp.When]:
    return list(merge.args["whens"].expressions)


def _names(nodes: Iterable[exp.Expr]) -> list[str]:
    return [node.name for node in nodes]


@pytest.mark.parametrize("name", [name for name in STATEMENTS if name.startswith("merge_")])
def test_a_merge_locks_its_target_against_other_writers(name: str) -> None:
    (merge,) = _found(name, exp.Merge)
    (hints,) = merge.this.args["hints"]
    assert sorted(_names(hints.expressions)) == ["HOLDLOCK", "UPDLOCK"]
    assert (merge.this.alias, merge.args["using"].alias) == ("target", "source")
    assert STATEMENTS[name].count(";") == 1


@every_merge
def test_a_merge_joins_the_batch_by_the_key(table: Table) -> None:
    merge = _merge(MERGES[table])
    assert merge.this.name == table.name
    assert merge.args["on"].sql() == f'target."{table.key[0]}" = source."{table.key[0]}"'
    read = {source.name for source in merge.args["using"].find_all(exp.Table)}
    assert _batch(table).removeprefix("#") in read


@every_merge
def test_a_merge_updates_what_differs_and_inserts_what_is_new(table: Table) -> None:
    matched, missing = _branches(_merge(MERGES[table]))
    assert [matched.args["matched"], missing.args["matched"]] == [True, False]
    assert not matched.args["source"]
    assert not missing.args["source"]
    assert matched.args["condition"]
    assert missing.args.get("condition") is None
    assert isinstance(matched.args["then"], exp.Update)
    assert isinstance(missing.args["then"], exp.Insert)


def _columns(nodes: Iterable[exp.Expr]) -> list[tuple[str, str]]:
    """The columns of expressions, each with its table's alias; a collation has none."""
    columns = (column for node in nodes for column in node.find_all(exp.Column))
    return [(column.table, column.name) for column in columns if column.table]


@every_merge
def test_the_guard_compares_each_column_of_the_source_with_itself(table: Table) -> None:
    condition = _branches(_merge(MERGES[table]))[0].args["condition"]
    unequal = list(condition.find_all(exp.NEQ, bfs=False))
    sides = [
        _columns(part) for part in ([u.this for u in unequal], [u.expression for u in unequal])
    ]
    guarded = [c.name for c in table.with_role(Role.SOURCE) if c.name not in table.key]
    assert [sorted(side) for side in sides] == [
        sorted((alias, name) for name in guarded) for alias in ("target", "source")
    ]
    assert [name for _, name in sides[0]] == [name for _, name in sides[1]]


@every_merge
def test_the_guard_sees_a_value_come_and_go(table: Table) -> None:
    condition = _branches(_merge(MERGES[table]))[0].args["condition"]
    nulls = _columns(is_null.this for is_null in condition.find_all(exp.Is))
    optional = [c.name for c in table.with_role(Role.SOURCE) if not c.required]
    assert sorted(nulls) == sorted(
        (alias, name) for name in optional for alias in ("source", "source", "target", "target")
    )


@every_merge
def test_a_merge_never_sets_a_key_or_the_date_of_creation(table: Table) -> None:
    update = _branches(_merge(MERGES[table]))[0].args["then"]
    changed = [pair.this.name for pair in update.expressions]
    assert changed == [n for n in table.names if n not in (*table.key, "created_date")]


@every_merge
def test_a_merge_inserts_every_column(table: Table) -> None:
    insert = _branches(_merge(MERGES[table]))[1].args["then"]
    values = [value.name or "?" for value in insert.expression.expressions]
    assert _names(insert.this.expressions) == list(table.names)
    assert values == [*table.names[:-2], "?", "?"]


@every_merge
def test_a_merge_takes_three_times_as_its_only_parameters(table: Table) -> None:
    assert MERGES[table].count("?") == 3
    assert len(list(_merge(MERGES[table]).find_all(exp.Placeholder))) == 3


@pytest.mark.parametrize("name", ["merge_restated_status", "merge_restated_profit"])
def test_restating_only_updates(name: str) -> None:
    (merge,) = _found(name, exp.Merge)
    (matched,) = _branches(merge)
    *restated, updated = [pair.this.name for pair in matched.args["then"].expressions]
    assert {SALES_FACT.column(column).role for column in restated} == {Role.RESTATED}
    assert updated == "updated_date"
    assert STATEMENTS[name].count("?") == 1


# --- types, collations and sizes ---------------------------------------------------------


@dataclass(frozen=True)
class Declared:
    """A column as DDL declares it."""

    kind: str
    collation: str

    @property
    def is_text(self) -> bool:
        return "CHAR" in self.kind


@cache
def _declared(name: str) -> dict[str, dict[str, Declared]]:
    return {
        create.this.this.name: {column.name: _column(column) for column in create.this.expressions
                                if isinstance(column, exp.ColumnDef)}
        for create in _found(name, exp.Create) if create.args["kind"] == "TABLE"
    }  # fmt: skip


def _column(column: exp.ColumnDef) -> Declared:
    kinds = [constraint.args["kind"].sql("tsql") for constraint in column.args["constraints"]]
    collations = [kind for kind in kinds if kind.startswith("COLLATE")]
    return Declared(column.args["kind"].sql("tsql"), "".join(collations))


def _tables() -> dict[str, dict[str, Declared]]:
    """The tables that stay."""
    return _declared("schema")


def _work_tables() -> Iterator[dict[str, Declared]]:
    """The tables through which rows go."""
    for table in STAR_TABLES:
        yield _tables()[_stage(table)]
        yield _tables()[_rejected(table)]
        yield from _declared(f"create_batch_{table.name}").values()
    yield from _declared("create_corrected_key").values()


def test_the_schema_has_every_table_with_every_column() -> None:
    assert {t: list(columns) for t, columns in _tables().items()} == {
        table.name: list(table.names) for table in PERMANENT
    }


def test_every_text_has_a_size_that_fits_into_a_row() -> None:
    texts = "\n".join(STATEMENTS.values()).replace("CAST(N'' AS NVARCHAR(MAX))", "")
    texts = texts.replace('"record" NVARCHAR(MAX)', "")  # a record of any source, whole
    sizes = re.findall(r"\bN?VARCHAR\b\s*\(?(\w*)", texts)
    assert all(size.isdigit() and 0 < int(size) <= 4000 for size in sizes)


@pytest.mark.parametrize("table", PERMANENT, ids=lambda table: table.name)
def test_keys_compare_by_code_point(table: Table) -> None:
    keys = {*table.key, *(c.name for c in table.columns if c.references or c.name == "record_key")}
    declared = [_tables()[table.name][key] for key in keys]
    assert {column.collation for column in declared if column.is_text} <= {BINARY}


def test_work_tables_do_not_take_the_collation_of_the_server() -> None:
    texts = [c for columns in _work_tables() for c in columns.values() if c.is_text]
    assert {column.collation for column in texts} == {BINARY}


def _read_all(collations: Collations) -> Iterator[str]:
    """The statements in which two collations meet."""
    for name in STATEMENTS:
        for tree in _trees(name):
            try:
                collations.read(tree)
            except ConflictError as error:
                yield f"{name}: {error}"


def test_no_statement_brings_texts_of_two_collations_together() -> None:
    """SQL Server's errors 451 and 468, which its relatives do not know."""
    collations = Collations()
    list(_read_all(collations))  # which tables there are
    assert list(_read_all(collations)) == []


_TEXTS_OF_TWO = """CREATE TABLE "t" ("k" INT, "own" NVARCHAR(9), "exact" NVARCHAR(9) {0});
SELECT * INTO "#made" FROM (SELECT x.* FROM "t" AS x) AS made;"""


@pytest.mark.parametrize(
    "text",
    [
        'SELECT t."k" FROM "t" AS t JOIN "#made" AS m ON t."own" = m."exact";',
        'SELECT "own" + "exact" AS "both" FROM "t";',
        'SELECT HASHBYTES(\'SHA2_256\', CONCAT("own", \'|\', "exact")) AS "hash" FROM "t";',
        'SELECT coalesce(t."own", t."exact") AS "any" FROM "t" AS t;',
        'SELECT CASE WHEN t."k" = 1 THEN t."own" ELSE t."exact" END AS "any" FROM "t" AS t;',
        'SELECT "own" FROM "t" UNION ALL SELECT "exact" FROM "#made";',
        'SELECT "k" FROM "t" WHERE "own" NOT IN (SELECT "exact" FROM "#made");',
        'DELETE FROM "t" WHERE EXISTS (SELECT 1 FROM "#made" AS m WHERE m."own" = "t"."exact");',
        'MERGE INTO "t" AS target USING "#made" AS source ON target."own" = source."exact" '
        'WHEN MATCHED THEN UPDATE SET "k" = source."k";',
    ],
)
def test_texts_of_two_collations_are_found(text: str) -> None:
    """Where both columns have the same one, nothing is found."""
    for collation, found in ((BINARY, True), ("", False)):
        collations = Collations()
        for each in _split(_TEXTS_OF_TWO.format(collation)):
            collations.read(sqlglot.parse_one(each, read="tsql"))
        with pytest.raises(ConflictError) if found else nullcontext():
            collations.read(sqlglot.parse_one(text, read="tsql"))


def test_a_text_that_says_its_collation_meets_any_other() -> None:
    collations = Collations()
    for each in _split(_TEXTS_OF_TWO.format(BINARY)):
        collations.read(sqlglot.parse_one(each, read="tsql"))
    text = f'SELECT "k" FROM "t" WHERE "own" {BINARY} = "exact" AND "own" = \'a\';'
    collations.read(sqlglot.parse_one(text, read="tsql"))


def test_a_foreign_key_has_the_type_of_the_key_it_refers_to() -> None:
    """SQL Server's errors 1753 and 1757."""
    for column, parent in SALES_FACT.references:
        own, other = _tables()[SALES_FACT.name], _tables()[parent.name]
        assert own[column.name] == other[parent.key[0]]


@pytest.mark.parametrize("name", [name for name in STATEMENTS if name.startswith("create_")])
def test_constraints_of_temporary_tables_have_no_names(name: str) -> None:
    """Names of constraints are unique in tempdb, whichever session made them."""
    assert "CONSTRAINT" not in STATEMENTS[name]


# Bytes of a stored value, from the documentation of the types.
FIXED_BYTES = {
    Kind.INTEGER: 4, Kind.BIGINT: 8, Kind.BOOLEAN: 1, Kind.DATE: 3, Kind.TIMESTAMP: 8,
}  # fmt: skip


def _bytes(column: Column) -> int:
    if column.kind is Kind.TEXT:
        return 2 * column.width
    if column.kind is Kind.DECIMAL:
        return next(size for digits, size in ((9, 5), (19, 9), (28, 13), (38, 17))
                    if column.precision <= digits)  # fmt: skip
    return FIXED_BYTES[column.kind]


def _sum_of_bytes(table: Table, names: Iterable[str]) -> int:
    return sum(_bytes(table.column(name)) for name in names)


@pytest.mark.parametrize("table", PERMANENT, ids=lambda table: table.name)
def test_a_clustered_key_has_at_most_900_bytes(table: Table) -> None:
    assert _sum_of_bytes(table, table.key) <= 900


@pytest.mark.parametrize(
    ("table", "index"), [(table, index) for table in PERMANENT for index in table.indexes]
)
def test_an_index_with_the_key_it_points_by_has_at_most_1700_bytes(
    table: Table, index: Index
) -> None:
    assert _sum_of_bytes(table, {*index.columns, *table.key}) <= 1700


@pytest.mark.parametrize("table", PERMANENT, ids=lambda table: table.name)
def test_a_row_stays_on_its_page_but_for_one_long_text(table: Table) -> None:
    """8,060 bytes; a text pushed off the page leaves 24. A staged row is never pushed off."""
    widths = sorted(_bytes(column) for column in table.columns)
    assert sum(widths[:-1]) + 24 <= 8060
    assert sum(widths) <= 8060 or table.name in ("etl_run", "etl_dead_letter")


@pytest.mark.parametrize("table", STAR_TABLES, ids=lambda table: table.name)
def test_the_hashed_texts_of_a_row_are_not_cut_off(table: Table) -> None:
    """Sized texts joined are cut off, without an error, at 4,000 characters."""
    texts = [c.width for c in table.with_role(Role.SOURCE) if c.kind is Kind.TEXT]
    assert sum(texts) + len(texts) - 1 <= 4000


# --- decimal arithmetic ------------------------------------------------------------------


@dataclass(frozen=True)
class Number:
    """An exact number as SQL Server types it.

    Attributes:
        places: digits behind the point that its values need; below 0 when they end in zeros.
        largest: no value is further from 0.
    """

    precision: int
    scale: int
    places: int
    largest: Decimal

    def checked(self) -> "Number":
        """Itself, if none of its values overflows or loses a digit."""
        assert self.precision <= 38
        assert self.largest < Decimal(10) ** (self.precision - self.scale)
        assert self.places <= self.scale
        return self


def _stored(column: Column) -> Number:
    if column.kind is Kind.INTEGER:
        return Number(10, 0, 0, Decimal(2**31))
    whole = column.precision - column.scale
    largest = Decimal(10) ** whole - Decimal(10) ** -column.scale
    return Number(column.precision, column.scale, column.scale, largest)


def _stored_numbers(table: Table) -> dict[str, Number]:
    numeric = (Kind.INTEGER, Kind.DECIMAL)
    return {column.name: _stored(column) for column in table.columns if column.kind in numeric}


def _fitted(precision: int, scale: int, *, multiplied: bool) -> tuple[int, int]:
    """A type of more than 38 digits, as the server cuts it: the scale gives way, not below 6."""
    if precision <= 38:
        return precision, scale
    whole = precision - scale
    return 38, max(38 - whole, min(scale, 6) if multiplied else 0)


def _added(x: Number, y: Number) -> Number:
    whole, scale = max(x.precision - x.scale, y.precision - y.scale), max(x.scale, y.scale)
    size = _fitted(whole + scale + 1, scale, multiplied=False)
    return Number(*size, max(x.places, y.places), x.largest + y.largest)


def _multiplied(x: Number, y: Number) -> Number:
    size = _fitted(x.precision + y.precision + 1, x.scale + y.scale, multiplied=True)
    return Number(*size, x.places + y.places, x.largest * y.largest)


def _remainder(x: Number, y: Number) -> Number:
    whole, scale = min(x.precision - x.scale, y.precision - y.scale), max(x.scale, y.scale)
    return Number(whole + scale, scale, max(x.places, y.places), min(x.largest, y.largest))


def _divided(x: Number, y: Number) -> Number:
    """Of whole numbers without remainder, which is how the statements divide."""
    assert max(x.places, y.places) <= 0
    scale = max(6, x.scale + y.precision + 1)
    size = _fitted(x.precision - x.scale + y.scale + scale, scale, multiplied=True)
    return Number(*size, 0, x.largest)


OPERATIONS: Mapping[type[exp.Expr], Callable[[Number, Number], Number]] = {
    exp.Add: _added, exp.Sub: _added, exp.Mul: _multiplied, exp.Div: _divided, exp.Mod: _remainder,
}  # fmt: skip
Known = Mapping[tuple[str, str], Number]


@dataclass(frozen=True)
class Arithmetic:
    """Types the numbers of a query.

    Attributes:
        wide: whether a whole number in the text counts as an INT of ten digits, as it may once
            the server has made a parameter of it; else it has the digits that are written.
    """

    wide: bool

    def columns(self, select: exp.Expr) -> dict[str, Number]:
        """The numbers that a query selects, by name; those that a CASE guards are left out."""
        assert isinstance(select, exp.Select)
        known = self._sources(select)
        numbers: dict[str, Number] = {}
        for column in select.selects:
            if isinstance(column, exp.Column) and column.is_star:
                numbers |= {name: n for (alias, name), n in known.items() if alias == column.table}
            elif not column.find(exp.Case) and column.output_name.rpartition("_")[2] != "id":
                numbers[column.output_name] = self.number(column.unalias(), known)
        return numbers

    def _sources(self, select: exp.Select) -> Known:
        joined = [select.args["from_"].this, *(join.this for join in select.args.get("joins", []))]
        return {(source.alias, name): number for source in joined
                for name, number in self._source(source).items()}  # fmt: skip

    def _source(self, source: exp.Expr) -> dict[str, Number]:
        if isinstance(source, exp.Subquery):
            return self.columns(source.this)
        (table,) = [table for table in STAR_TABLES if source.name.endswith(table.name)]
        return _stored_numbers(table)

    def number(self, node: exp.Expr, known: Known) -> Number:
        """The type and bounds of an expression."""
        if operation := OPERATIONS.get(type(node)):
            sides = (self.number(side, known) for side in (node.this, node.expression))
            return reduce(operation, sides).checked()
        if isinstance(node, exp.Column):
            return known[node.table, node.name]
        if isinstance(node, exp.Literal):
            return self._literal(node.name)
        return _called(node, self.number(node.this, known)).checked()

    def _literal(self, text: str) -> Number:
        value = Decimal(text).normalize()
        places = -int(value.as_tuple().exponent)
        whole = len(text.partition(".")[0].lstrip("0"))
        scale = len(text.partition(".")[2])
        precision = 10 if self.wide and not scale else whole + scale
        return Number(precision, scale, places, value)


def _called(function: exp.Expr, value: Number) -> Number:
    """The result of a function of one number."""
    match function:
        case exp.Cast():
            precision, scale = (int(part.name) for part in function.to.expressions)
            return replace(value, precision=precision, scale=scale)
        case exp.Abs():
            return replace(value, precision=38)
        case exp.Sign():
            return replace(value, precision=38, places=0, largest=Decimal(1))
        case exp.Paren() | exp.Nullif():
            return value
    raise NotImplementedError(repr(function))


@pytest.mark.parametrize("wide", [False, True], ids=["minimal literals", "INT literals"])
@pytest.mark.parametrize("name", ["restated_profit", "quality_sales_fact_profit"])
def test_the_margin_neither_overflows_nor_loses_a_digit(name: str, wide: bool) -> None:
    """By the server's rules for the types of results, whatever the largest stored values."""
    (rated,) = [d for d in _found(name, exp.Subquery) if d.alias == "rated"]
    numbers = Arithmetic(wide).columns(rated.this)
    assert (numbers["profit_amount"].places, numbers["ratio"].places) == (2, 4)


def test_the_margin_is_divided_without_remainder() -> None:
    """So that nothing is left for the server to round or cut off."""
    for _, division in _everywhere(exp.Div):
        dividend, divisor = division.this.unnest(), division.expression
        assert isinstance(dividend, exp.Sub)
        assert dividend.expression == exp.Mod(this=dividend.this, expression=divisor)


def test_the_total_is_checked_without_overflow_or_loss() -> None:
    found = _found("examples_sales_fact_total_amount", exp.Where)
    (where,) = (each for each in found if isinstance(each.this, exp.NEQ))
    known = {("", name): number for name, number in _stored_numbers(SALES_FACT).items()}
    assert Arithmetic(False).number(where.this.expression, known).scale == 2


def test_a_text_without_limit_has_the_type_for_it() -> None:
    note = Column("note", "", Kind.TEXT, width=2**30 - 1)
    assert sql_dialects.sql_type(SQL_SERVER, note) == "NVARCHAR(MAX)"

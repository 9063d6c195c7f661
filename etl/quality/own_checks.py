"""Checks of loaded tables that `pipeline.toml` declares, as rules; and what in them is wrong."""

from collections.abc import Iterator, Sequence

from etl.engines.database import DatabaseManager
from etl.errors import LoadingError
from etl.quality.rule import RowRule
from etl.quality.rule_sql import count_broken_rows
from etl.schema.table import Table
from etl.settings.pipeline_checks import nearest
from etl.settings.pipeline_file import OwnCheck, PipelineFile
from etl.settings.pipeline_reading import PipelineFileError
from etl.warehouse.tables import read_catalog


def own_rules(pipeline: PipelineFile, tables: Sequence[Table]) -> tuple[RowRule, ...]:
    """Return the declared checks as rules.

    Args:
        pipeline: declares them.
        tables: those that runs load.

    Raises:
        PipelineFileError: one is of no such table.
    """
    by_name = {table.name.lower(): table for table in tables}
    problems = [
        pipeline.problem(
            ("checks", name, "table"),
            f"{check.table!r} is loaded by nothing{nearest(check.table, by_name)}",
        )
        for name, check in pipeline.checks.items()
        if check.table.lower() not in by_name
    ]
    if problems:
        raise PipelineFileError(pipeline.path, problems)
    return tuple(
        own_rule(name, check, by_name[check.table.lower()])
        for name, check in pipeline.checks.items()
    )


def own_rule(name: str, check: OwnCheck, table: Table) -> RowRule:
    r"""Return a declared check as a rule.

    Example:
        >>> from etl.engines.duckdb import DUCKDB
        >>> from etl.schema.star import SALES_FACT
        >>> rule = own_rule("cheap", OwnCheck(table="sales_fact", check="total_amount < 9"),
        ...                 SALES_FACT)
        >>> rule.full_name, rule.broken(DUCKDB)
        ('sales_fact.cheap', 'NOT (total_amount < 9\n)')
    """
    share = check.max_share is not None
    limit = check.max_share if check.max_share is not None else check.max_rows or 0
    return RowRule(
        name, table, check.dimension, check.severity, limit,
        check.message or f"rows of {table.name} that break {check.check}", share=share,
        weight=check.weight, wrong=f"NOT ({_plain(check.check)})",
        among=f"({_plain(check.among)})" if check.among else "",
    )  # fmt: skip


def _plain(condition: str) -> str:
    """A condition whose braces are none of the placeholders of rules."""
    # a comment at its end must not swallow what follows
    return condition.replace("{", "{{").replace("}", "}}") + "\n"


def require_own_rules(
    db: DatabaseManager, pipeline: PipelineFile, rules: Sequence[RowRule], there: Sequence[str]
) -> None:
    """Refuse checks that are no conditions over their tables, before a run begins.

    Args:
        db: the warehouse.
        pipeline: declares them.
        rules: the checks.
        there: names of the tables that exist; what others will have is not known yet.

    Raises:
        PipelineFileError: some cannot be evaluated.
    """
    problems = [
        pipeline.problem(("checks", rule.name, "check"), f"cannot be evaluated: {words}")
        for rule in rules
        if rule.table.name in there and (words := fault_of(db, rule))
    ]
    if problems:
        raise PipelineFileError(pipeline.path, problems)


def tables_there(db: DatabaseManager, rules: Sequence[RowRule]) -> Iterator[str]:
    """Yield the names of the tables of rules that exist."""
    names = {rule.table.name for rule in rules}
    yield from read_catalog(db, names).columns


def fault_of(db: DatabaseManager, rule: RowRule) -> str:
    """Return what is wrong with the condition of a rule; empty when nothing is."""
    query = count_broken_rows(db.dialect, rule.table, [rule]).removesuffix(";")
    try:
        db.query(f"{query} WHERE 1 = 0;")
    except LoadingError as error:
        return str(error).partition("\n")[0]
    return ""

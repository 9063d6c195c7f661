"""How much of the tables a run checks: all of them, or what it has written.

A rule that no row has broken when it was last checked can only be broken by rows that were written
since. Where nobody but this run has written, those are its own, found by `updated_date`. Where
anything of that is in doubt, everything is looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from etl.engines.database import DatabaseManager
from etl.engines.dialect import quoted
from etl.history import audit
from etl.history.runs import Applied, RunPlan
from etl.quality.rule import Rule
from etl.quality.rules import partial_rules
from etl.schema.star import SALES_FACT, STAR_TABLES
from etl.schema.table import Table


@dataclass(frozen=True)
class Scope:
    """Which rows are checked.

    Attributes:
        since: those written from this moment on, UTC; None: all.
        whole_at: by name of a rule, when it was last checked on the whole table.
        declared: further tables that are checked, by what is declared of them.
    """

    since: datetime | None = None
    whole_at: Mapping[str, datetime] = field(default_factory=dict)
    declared: tuple[Table, ...] = ()

    def has_proven(self, rule: Rule) -> bool:
        """Whether a rule need only be checked for what was written since."""
        return self.since is not None and rule.full_name in self.whole_at


EVERYTHING = Scope()


def scope_of(
    db: DatabaseManager, plan: RunPlan, applied: Applied, *, whole_days: int, now: datetime
) -> Scope:
    """Return what a run has to check after its loads.

    Args:
        db: the open warehouse, which nobody else has written since the last run was checked.
        plan: the run.
        applied: what its sources did.
        whole_days: how many days a check of the whole tables is good for; 0: none.
        now: the present moment, UTC.
    """
    if plan.full_refresh or whole_days == 0:
        return EVERYTHING
    scope = _since_last_check(db, plan, now - timedelta(days=whole_days))
    if scope.since is None or _somebody_wrote(db) or _is_missing_rows(db, scope.since, applied):
        return EVERYTHING
    return scope


_LAST_CHECK = """SELECT "name", "value", "whole_at", "run_id" FROM "etl_quality"
WHERE "run_id" = (SELECT max("run_id") FROM "etl_quality" WHERE "run_id" < ?);"""


def _since_last_check(db: DatabaseManager, plan: RunPlan, oldest: datetime) -> Scope:
    """What the run has written, unless the last check left something to be looked at."""
    found = {name: facts for name, *facts in db.query(_LAST_CHECK, (plan.run_id,))}
    proven: dict[str, datetime] = {}
    for rule in partial_rules(db.dialect):
        value, whole_at, run_id = found.get(rule.full_name, (1, None, ""))
        if value or whole_at is None or whole_at < oldest:
            return EVERYTHING
        proven[rule.full_name] = whole_at
    return EVERYTHING if _touches_unwritten(db, run_id) else Scope(plan.started_at, proven)


# Rows may be wrong that were not written: what they name is gone, or whose sale came before.
_REMOVED = 'SELECT count(*) FROM "etl_load" WHERE "run_id" > ? AND "rows_removed" > 0;'
_MOVED = """SELECT count(*) FROM "etl_column_change"
WHERE "run_id" > ? AND "table_name" = ? AND "column_name" = 'customer_id';"""


def _touches_unwritten(db: DatabaseManager, run_id: str) -> bool:
    moved = db.value(_MOVED, (run_id, SALES_FACT.name))
    return bool(db.value(_REMOVED, (run_id,)) or moved)


def _somebody_wrote(db: DatabaseManager) -> bool:
    """Whether there are more or fewer rows than the audited loads have left."""
    expected = audit.expected_rows(db)
    return any(
        int(db.value(f"SELECT count(*) FROM {quoted(table.name)};"))  # noqa: S608  # our own names
        != expected.get(table.name, 0)
        for table in STAR_TABLES
    )


def _is_missing_rows(db: DatabaseManager, since: datetime, applied: Applied) -> bool:
    """Whether rows of this run were stamped with an earlier moment: a clock was set back."""
    for table in STAR_TABLES:
        counts = applied.of(table)
        written = counts.rows_inserted + counts.rows_updated
        query = f'SELECT count(*) FROM {quoted(table.name)} WHERE "updated_date" >= ?;'  # noqa: S608  # likewise
        if written and int(db.value(query, (since,))) < written:
            return True
    return False

"""The loaded tables checked against the quality rules, and a score for each table and source."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Dict

from etl.engines.database import DatabaseManager
from etl.errors import LoadingError
from etl.history import audit as run_history
from etl.history import lineage
from etl.history.runs import LoadCounts, utc_now
from etl.quality import rule_sql
from etl.quality import rules as quality_rules
from etl.quality.rule import DEMANDING, INFO, RowRule, Rule, SetRule
from etl.quality.scope import EVERYTHING, Scope
from etl.resilience.transient import is_transient
from etl.schema.star import STAR_TABLES
from etl.schema.table import Table
from etl.warehouse.reconcile import Sums
from etl.warehouse.tables import create_tables

NO_WEIGHTS: Mapping[str, float] = MappingProxyType({})
NO_SUMS: Mapping[str, Sums] = MappingProxyType({})
PASSED, FAILED = "passed", "failed"  # else what the severity says: warning or info


@dataclass(frozen=True)
class QualityCheck:
    """What a rule has found.

    Attributes:
        status: passed; else failed, warning or info, by the severity of the rule.
        value: the figure found: a share or a count.
        threshold: the largest figure that passes.
        examples: some keys of what is wrong, only where the rule is broken.
        rows_checked: how many rows were looked at.
        rows_wrong: how many of them break the rule.
        judged: whether it counts for the scores; nothing known and history are not judged.
        whole_at: when it was last checked on the whole table, UTC.
        weight: in the score of its dimension.
    """

    name: str
    table: str
    dimension: str
    severity: str
    status: str
    value: float
    threshold: float
    message: str
    examples: tuple[str, ...] = ()
    rows_checked: int = 0
    rows_wrong: int = 0
    judged: bool = True
    whole_at: datetime | None = None
    weight: float = 1.0

    @property
    def share_right(self) -> float:
        """The part of what was looked at that keeps the rule, 0 to 1."""
        if not self.rows_checked:
            return 1.0 if self.status == PASSED else 0.0
        return max(0.0, 1 - self.rows_wrong / self.rows_checked)

    def as_dict(self) -> dict[str, Any]:
        """As the summary and the report hold it."""
        whole_at = self.whole_at.isoformat() if self.whole_at else None
        return asdict(self) | {"examples": list(self.examples), "whole_at": whole_at}


@dataclass(frozen=True)
class _Found:
    """A rule, how many rows were checked against it, and how many break it."""

    rule: Rule
    checked: int
    wrong: int
    message: str = ""
    examples: tuple[str, ...] = ()
    value: float | None = None
    judged: bool = True
    whole_at: datetime | None = None

    @property
    def figure(self) -> float:
        if self.value is not None:
            return self.value
        if not self.rule.share:
            return self.wrong
        return round(self.wrong / self.checked, 4) if self.checked else 0.0


def run_data_quality_checks(
    db_manager: DatabaseManager,
    *,
    now: datetime | None = None,
    scope: Scope = EVERYTHING,
    own: Sequence[RowRule] = (),
    weights: Mapping[str, float] = NO_WEIGHTS,
    sums: Mapping[str, Sums] = NO_SUMS,
) -> Dict[str, Any]:
    """Check the loaded tables against the quality rules.

    Completeness, validity, consistency, timeliness, uniqueness, references, and whether the rows
    are those that the loads have counted. A rule of severity `critical` or `error` that is broken
    fails the run; `warning` and `info` are only reported.

    Args:
        db_manager: the open warehouse; missing tables are created.
        now: the present moment, UTC; the clock's when left out.
        scope: which rows are looked at where that is enough; all of them by default.
        own: rules beside the built-in ones.
        weights: by dimension, how much it weighs in the score of a table; others weigh 1.
        sums: by table and column, the sum of the source and that of its rows.

    Returns:
        `passed`; `checks`, a list of `name`, `status` (passed, info, warning, failed), `value`,
        `threshold`, `message`, `table`, `dimension`, `severity`, `examples` (up to ten keys of
        what is wrong), `rows_checked`, `rows_wrong`, `whole_at`; `scores`, 0 to 100 by the name
        of the source and of the table; and `dimension_scores` of each table.

    Example:
        >>> with DatabaseManager("duckdb:///:memory:") as db:
        ...     result = run_data_quality_checks(db)
        >>> result["passed"], result["scores"]["sales_fact"]
        (True, 100.0)
    """
    create_tables(db_manager)
    return quality_of(
        db_manager, now or utc_now(), scope=scope, own=own, weights=weights, sums=sums
    )


def quality_of(
    db: DatabaseManager,
    now: datetime,
    *,
    scope: Scope,
    own: Sequence[RowRule],
    weights: Mapping[str, float],
    sums: Mapping[str, Sums],
) -> Dict[str, Any]:
    """Return the same as `run_data_quality_checks`, of a warehouse that has all its tables."""
    checks = quality_checks(db, now, scope=scope, own=own, sums=sums)
    dimensions = dimension_scores(checks)
    return {
        "passed": all(check.status != FAILED for check in checks),
        "checks": [check.as_dict() for check in checks],
        "scores": scores(db, dimensions, weights, scope.declared),
        "dimension_scores": dimensions,
    }


def quality_checks(
    db: DatabaseManager,
    now: datetime,
    *,
    demanding: bool = False,
    scope: Scope = EVERYTHING,
    own: Sequence[RowRule] = (),
    sums: Mapping[str, Sums] = NO_SUMS,
) -> list[QualityCheck]:
    """Check the tables, as they are, against every rule.

    Args:
        db: the open warehouse.
        now: the present moment, UTC.
        demanding: only the rules whose breach is an error.
        scope: which rows are looked at where that is enough.
        own: rules beside the built-in ones.
        sums: by table and column, the sum of the source and that of its rows.
    """
    looking = _Looking(
        db, now, scope, run_history.expected_rows(db), run_history.newest_loads(db),
        run_history.newest_run(db), sums,
    )  # fmt: skip
    found = [
        each
        for table in (*STAR_TABLES, *scope.declared)
        for each in _of_table(looking, table)
        if not demanding or each.rule.severity in DEMANDING
    ]
    found += [_own_rule(db, rule) for rule in own]
    return [_check(each, now) for each in found]


def _check(found: _Found, now: datetime) -> QualityCheck:
    rule = found.rule
    broken = found.figure > rule.threshold
    status = PASSED
    if broken:
        status = FAILED if rule.severity in DEMANDING else rule.severity
    return QualityCheck(
        rule.full_name, rule.table.name, rule.dimension, rule.severity, status,
        found.figure, rule.threshold, found.message or _in_words(found),
        found.examples, found.checked, found.wrong, found.judged, found.whole_at or now,
        rule.weight,
    )  # fmt: skip


def _in_words(found: _Found) -> str:
    rule = found.rule
    if not rule.share:
        return f"{rule.meaning}: {found.wrong:,}"
    limit = f"{found.figure:.1%}, limit {rule.threshold:.0%}"
    return f"{rule.meaning}: {found.wrong:,} of {found.checked:,} ({limit})"


# --- counting ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Looking:
    """What all rules are checked with.

    Attributes:
        expected: rows that the audited loads have left, by table.
        loads: what the newest load of each table counted.
        newest: the run that began last.
    """

    db: DatabaseManager
    now: datetime
    scope: Scope
    expected: Mapping[str, int]
    loads: Mapping[str, LoadCounts]
    newest: run_history.PastRun | None
    sums: Mapping[str, Sums]


def _of_table(looking: _Looking, table: Table) -> Iterator[_Found]:
    db = looking.db
    rows, *by_rule = _row_rules(db, table, looking)
    if table in STAR_TABLES:  # others may write the tables that users bring
        yield rows
    yield _accounted(table, looking.loads.get(table.name, LoadCounts()))
    sums = looking.sums.get(table.name, {})
    if sums or table in STAR_TABLES:
        yield _summed(table, sums)
    yield from by_rule
    for rule in quality_rules.set_rules_of(db.dialect, table):
        yield _set_rule(db, rule, rows.checked, looking.scope)
    yield from _timeliness(looking, table)


def _row_rules(db: DatabaseManager, table: Table, looking: _Looking) -> Iterator[_Found]:
    """One pass over the table: how many rows it has, and what its row rules say."""
    rules, now, scope = quality_rules.row_rules_of(table), looking.now, looking.scope
    keep_it = _kept_since(db, table, scope)
    looked_at = [rule for rule in rules if rule not in keep_it]
    query = rule_sql.count_broken_rows(db.dialect, table, looked_at)
    (row,) = db.query(query, _moments(now, sum(rule.params for rule in looked_at)))
    rows, *counts = map(int, row)
    figures = dict(zip((rule.name for rule in looked_at), _pairs(counts), strict=True))
    yield _row_count(table, rows, looking.expected.get(table.name, 0))
    for rule in rules:
        if rule in keep_it:
            yield _Found(rule, rows, 0, whole_at=scope.whole_at[rule.full_name])
        else:
            yield _row_rule(db, rule, figures[rule.name], now)


def _summed(table: Table, sums: Sums) -> _Found:
    """Whether the numbers of a source that was loaded add up to those of its rows."""
    wrong = {name: pair for name, pair in sums.items() if pair[0] != pair[1]}
    listed = ", ".join(f"{name} {source} in the source, {target} in the table"
                       for name, (source, target) in wrong.items())  # fmt: skip
    message = f"sums of {table.name} differ: {listed}" if wrong else ""
    return _Found(quality_rules.sums_rule(table), 0, len(wrong), message)


def _own_rule(db: DatabaseManager, rule: RowRule) -> _Found:
    """What a rule beside the built-in ones says; one that cannot be asked is broken."""
    query = rule_sql.count_broken_rows(db.dialect, rule.table, [rule])
    try:
        ((_, checked, wrong),) = db.query(query)
        found = _Found(rule, int(checked), int(wrong))
        if found.figure <= rule.threshold or not rule.table.key:
            return found
        examples = db.query(rule_sql.row_rule_examples(db.dialect, rule))
        return replace(found, examples=_keys(examples))
    except LoadingError as error:
        if is_transient(error):
            raise
        words = f"cannot be evaluated: {str(error).splitlines()[0]}"
        return _Found(rule, 0, 0, words, value=rule.threshold + 1)


def _kept_since(db: DatabaseManager, table: Table, scope: Scope) -> list[RowRule]:
    """The rules that no row breaks which was written since the moment of the scope."""
    rules = [rule for rule in quality_rules.row_rules_of(table)
             if rule.is_partial and scope.has_proven(rule)]  # fmt: skip
    if not rules:
        return []
    query = rule_sql.count_broken_rows(db.dialect, table, rules, since=True)
    _, *counts = db.query(query, (scope.since,))[0]
    return [rule for rule, (_, wrong) in zip(rules, _pairs(counts), strict=True) if not wrong]


def _pairs(figures: Sequence[int]) -> list[tuple[int, int]]:
    return list(zip(figures[::2], figures[1::2], strict=True))


def _row_rule(
    db: DatabaseManager, rule: RowRule, figures: tuple[int, int], now: datetime
) -> _Found:
    checked, wrong = figures
    found = _Found(rule, checked, wrong)
    if found.figure > rule.threshold and rule.table.key:
        return replace(found, examples=_row_examples(db, rule, now))
    return found


def _moments(now: datetime, count: int) -> tuple[datetime, ...]:
    # wall clocks run up to 14 hours ahead of UTC
    return (now + timedelta(days=1),) * count


def _row_examples(db: DatabaseManager, rule: RowRule, now: datetime) -> tuple[str, ...]:
    query = rule_sql.row_rule_examples(db.dialect, rule)
    return _keys(db.query(query, _moments(now, rule.params)))


def _keys(rows: Iterable[Sequence[object]]) -> tuple[str, ...]:
    return tuple(str(key) for (key,) in rows)


def _set_rule(db: DatabaseManager, rule: SetRule, rows: int, scope: Scope) -> _Found:
    # one statement each: together they took a server longer to compile
    if scope.has_proven(rule):
        query = rule_sql.set_rule_count_since(rule)
        if not db.value(query, (scope.since,) * rule.moments):
            return _Found(rule, rows, 0, whole_at=scope.whole_at[rule.full_name])
    wrong = int(db.value(rule_sql.set_rule_count(rule)))
    examples = _keys(db.query(rule_sql.set_rule_examples(rule))) if wrong else ()
    return _Found(rule, rows, wrong, examples=examples)


def _row_count(table: Table, rows: int, expected: int) -> _Found:
    wrong = abs(rows - expected)
    message = f"{table.name} has {rows:,} rows, its audited loads left {expected:,}"
    if rows < expected:
        message += ": somebody else has deleted some; --full-refresh loads and counts them anew"
    return _Found(quality_rules.row_count_rule(table), rows, wrong, message)


def _accounted(table: Table, load: LoadCounts) -> _Found:
    lost = abs(load.rows_read - load.accounted)
    return _Found(quality_rules.accounted_rule(table), load.rows_read, lost)


# --- timeliness --------------------------------------------------------------------------


def _timeliness(looking: _Looking, table: Table) -> Iterator[_Found]:
    """How old the data are at the end of what the newest run was asked for, or by now.

    A run for a day long past is not late for that.
    """
    db, now, newest = looking.db, looking.now, looking.newest
    end = min(newest.window.end, now) if newest else now
    if table is quality_rules.EXTRACT_AGE.table:
        made = lineage.extracted_at(db, table)
        yield _age(quality_rules.EXTRACT_AGE, made, end, "the products file says it is")
    if table is quality_rules.NEWEST_SALE_AGE.table:
        limit = end if end < now else now + timedelta(days=1)
        sold = db.value(quality_rules.newest_sale(), (limit,))
        yield _age(_sale_age_rule(db, sold), sold, end, "the newest sale is")


def _sale_age_rule(db: DatabaseManager, newest: datetime | None) -> Rule:
    """The rule with the longest gap between days with sales as its limit, where that is known."""
    rule = quality_rules.NEWEST_SALE_AGE
    if newest is None:
        return rule
    span = (newest - timedelta(days=quality_rules.USUAL_DAYS), newest + timedelta(microseconds=1))
    days = [day for (day,) in db.query(quality_rules.days_with_sales(), span)]
    usual = quality_rules.usual_gap(days)
    return rule if usual is None else replace(rule, threshold=max(rule.threshold, usual))


def _age(rule: Rule, since: datetime | None, end: datetime, subject: str) -> _Found:
    if since is None:
        return _Found(rule, 0, 0, f"not known: {rule.meaning}", value=0, judged=False)
    days = max(0, (end.date() - since.date()).days)
    message = f"{subject} of {since:%Y-%m-%d}, {days:,} days before {end:%Y-%m-%d}"
    if days > quality_rules.HISTORY_DAYS:
        message += ": taken as history, not judged as late"
        rule = replace(rule, severity=INFO)
        return _Found(rule, 0, 0, message, value=days, judged=False)
    return _Found(rule, 0, 0, f"{message} (limit {rule.threshold:g})", value=days)


# --- scores ------------------------------------------------------------------------------


def dimension_scores(checks: Sequence[QualityCheck]) -> dict[str, dict[str, float]]:
    """By table and dimension, the mean share of rows that keep its rules, 0 to 100."""
    tables = dict.fromkeys((*(t.name for t in STAR_TABLES), *(check.table for check in checks)))
    return {name: _dimensions(name, checks) for name in tables}


def scores(
    db: DatabaseManager,
    dimensions: Mapping[str, Mapping[str, float]],
    weights: Mapping[str, float] = NO_WEIGHTS,
    declared: Sequence[Table] = (),
) -> dict[str, float]:
    """Return how good the data are, 0 to 100, by the name of the source and of the table.

    Of a table, the mean over its dimensions; of a source, the share of the records of its newest
    load that were not rejected.
    """
    newest, tables = run_history.newest_loads(db), (*STAR_TABLES, *declared)
    loads = {table.source: newest.get(table.name) for table in tables}
    sources = {
        source: round(100 * (1 - load.rows_rejected / load.rows_read), 2)
        for source, load in loads.items()
        if load is not None
    }
    return sources | {
        name: _mean((score, weights.get(dimension, 1.0)) for dimension, score in parts.items())
        for name, parts in dimensions.items()
    }


def _dimensions(table: str, checks: Sequence[QualityCheck]) -> dict[str, float]:
    shares: dict[str, list[tuple[float, float]]] = {}
    for check in checks:
        if check.table == table and check.judged:
            weighed = (100 * check.share_right, check.weight)
            shares.setdefault(check.dimension, []).append(weighed)
    return {dimension: _mean(values) for dimension, values in shares.items()}


def _mean(weighed: Iterable[tuple[float, float]]) -> float:
    """The mean of figures by their weights; 100 of none."""
    figures = list(weighed)
    whole = sum(weight for _, weight in figures)
    if not whole:
        return 100.0
    return round(sum(figure * weight for figure, weight in figures) / whole, 2)

"""The gate: what is looked at in a staged source before anything of it can be seen.

A source passes when nothing is found, or when a person has accepted what is found. Otherwise all
findings are reported at once, and its table stays as it was.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from etl import findings as names
from etl.errors import HeldBackError
from etl.findings import Finding
from etl.history import audit
from etl.history.runs import Staged
from etl.schema.table import Column, Kind, Table
from etl.sources.window import everything_of, is_everything
from etl.warehouse import gate_sql, staging_sql
from etl.warehouse.apply import removes_unread
from etl.warehouse.intake import Tally
from etl.warehouse.load import Limits, Load

# In fewer records of a part of the source it may be chance that all of them lack a value.
_FEW_RECORDS = 10
_REASONS = 2  # named in a message; the rejected file has all


@dataclass(frozen=True)
class Examined:
    """A staged source, and what the gate looks at besides.

    Attributes:
        source: its name.
        tally: the counts of its records.
        limits: of this source.
        snapshot: whether each reading gives all that the source has.
        from_file: whether all records of the source were looked at, wanted or not.
        left_out: by status, how many records were not wanted for it.
        waiting: sources of the same run that will be merged before it, and are not yet.
    """

    source: str
    load: Load
    staged: Staged
    tally: Tally
    limits: Limits
    snapshot: bool = True
    from_file: bool = False
    left_out: Mapping[str, int] = field(default_factory=dict)
    waiting: Sequence[Staged] = ()

    @property
    def table(self) -> Table:
        """The table it is for."""
        return self.staged.table

    @cached_property
    def last_read(self) -> int:
        """How many records the last load of all of it has read; 0 before the first."""
        return audit.last_whole_read(self.load.db, self.table) or 0

    @cached_property
    def known(self) -> int:
        """How many rows the table has whose record the source should still have."""
        return self.count(staging_sql.count_live(self.load.db.dialect, self.table))

    def count(self, query: str) -> int:
        """Return the answer to a query over the rows of the table."""
        return int(self.load.db.value(query, self.everything))

    @property
    def everything(self) -> tuple[object, ...]:
        """The parameters of `live_rows`: the table's whole window, where it has one."""
        whole = everything_of(self.table)
        return (whole.start, whole.end) if self.table.window else ()


def pass_gate(examined: Examined, accepted: Collection[str] = ()) -> list[Finding]:
    """Return the findings that are accepted.

    Args:
        examined: the source.
        accepted: sources and findings such as `customers.no_records` that may pass.

    Raises:
        HeldBackError: there are others; its `findings` has all of them.
    """
    found = list(findings_of(examined))
    held = [finding for finding in found if not finding.is_accepted(accepted)]
    if not held:
        return found
    raise held_back(examined.source, held)


def held_back(source: str, held: Sequence[Finding]) -> HeldBackError:
    """Return the error that says why a source is held back, and what to do.

    Args:
        source: its name.
        held: what was found.
    """
    return HeldBackError(
        f"{source} held back: {'; '.join(each.message for each in held)}; nothing of it was loaded",
        next_step=_next_step(held),
        findings=held,
    )


def _next_step(held: Sequence[Finding]) -> str:
    remedies = dict.fromkeys(finding.remedy for finding in held)
    accept = " ".join(f"--accept {finding.full_name}" for finding in held)
    return f"{'; '.join(remedies)}; {accept} lets it pass once"


def findings_of(examined: Examined) -> Iterator[Finding]:
    """Yield all that speaks against loading a source."""
    for rule in RULES:
        if message := rule.look(examined):
            yield Finding(examined.source, rule.name, message, rule.remedy)


def finding_of(source: str, name: str, message: str) -> Finding:
    """Return a finding with the remedy of its rule.

    Args:
        source: its name.
        name: one of `etl.findings.FINDINGS`.
        message: what was counted, and the limit.
    """
    (remedy,) = (rule.remedy for rule in RULES if rule.name == name)
    return Finding(source, name, message, remedy)


# --- the rules ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rule:
    """One thing that the gate looks at; `look` returns what it found, or an empty text."""

    name: str
    look: Callable[[Examined], str]
    remedy: str


def _at_fault(examined: Examined) -> int:
    return examined.staged.rows_rejected - examined.staged.rows_returned


def _rejected(examined: Examined) -> str:
    rate, limit = examined.tally.reject_rate, examined.limits.max_reject_rate
    if rate <= limit:
        return ""
    return (
        f"{_at_fault(examined)} of {examined.staged.rows_read} records rejected, "
        f"a rate of {rate:.1%}{_wholes(examined.tally)} where MAX_REJECT_RATE allows "
        f"{limit:.1%}{_reasons(examined.tally)}"
    )


def _wholes(tally: Tally) -> str:
    """Say of what the rate is a share, where it is not of the records that were read."""
    if not tally.unparsed or tally.examined <= tally.read:
        return ""
    return f" (unreadable ones counted among all {tally.examined} of the source)"


def _reasons(tally: Tally) -> str:
    """Return the most frequent reasons, so that nobody opens a file to learn of a common one."""
    counted = [f"{reason} ({count})" for reason, count in tally.faults.most_common(_REASONS)]
    return f", most often: {', '.join(counted)}" if counted else ""


def _conflicting(examined: Examined) -> str:
    tally, limit = examined.tally, examined.limits.max_reject_rate
    if not tally.conflicting or tally.reject_rate > limit:
        return ""
    rate = tally.reject_rate + tally.conflicting / tally.read
    if rate <= limit:
        return ""
    return (
        f"{tally.conflicting} of {tally.read} records have the {examined.table.key[0]} of another "
        f"one and different contents, with {_at_fault(examined)} rejected ones a rate of "
        f"{rate:.1%} where MAX_REJECT_RATE allows {limit:.1%}"
    )


def _is_whole(examined: Examined) -> bool:
    return examined.snapshot or is_everything(examined.staged.window)


def _no_records(examined: Examined) -> str:
    tally = examined.tally
    any_there = tally.read or tally.examined or examined.left_out
    if not examined.limits.min_rows_rate or examined.table.feed:
        return ""  # no changes are no fault
    if any_there or not (examined.from_file or _is_whole(examined)) or not examined.last_read:
        return ""
    return f"no records, where the last load of the whole source had {examined.last_read}"


def _fewer(examined: Examined) -> str:
    read, rate = examined.staged.rows_read, examined.limits.min_rows_rate
    if not examined.snapshot or not read or read >= rate * examined.last_read:
        return ""
    return (
        f"{read} records, where the last load had {examined.last_read} and MIN_ROWS_RATE wants at "
        f"least {rate:.0%} of that"
    )


def _removed(examined: Examined) -> str:
    limit = examined.limits.max_removed_rate
    folded = examined.staged.folded
    is_removing = examined.load.plan.full_refresh or removes_unread(examined.staged)
    if folded:  # rows that a change names by their key may go
        is_removing = bool(folded.cleared)
    if not is_removing:
        return _ended(examined)
    if not examined.table.key or limit >= 1 or not examined.known:
        return ""
    query = gate_sql.count_unread(examined.load.db.dialect, examined.table, examined.staged.rows)
    removed = examined.count(query)
    if removed <= limit * examined.known:
        return ""
    return (
        f"the {_load_in_words(examined)} would remove {removed} of "
        f"{examined.known} rows of {examined.table.name}, {removed / examined.known:.1%} "
        f"where MAX_REMOVED_RATE allows {limit:.1%}"
    )


def _load_in_words(examined: Examined) -> str:
    if examined.staged.folded:
        return "change that empties the table"
    mode = "history" if examined.table.versions else "replace"
    return "full refresh" if examined.load.plan.full_refresh else f"load in mode {mode}"


def _ended(examined: Examined) -> str:
    """Return what a table of versions beside it would lose, though no row of its own goes."""
    beside, staged = examined.table.history, examined.staged
    if beside is None or not beside.replaced or staged.partial:
        return ""
    return _removed(replace(examined, staged=replace(staged, table=beside)))


def _emptied(examined: Examined) -> str:
    columns = [
        column for column in examined.table.guarded
        if not column.required and column.kind is not Kind.BOOLEAN
        and column.name not in examined.limits.may_be_empty
    ]  # fmt: skip
    empty = _empty_columns(examined, columns)
    if not empty:
        return ""
    query = gate_sql.count_known_values(examined.load.db.dialect, examined.table, empty)
    rows, *counts = examined.load.db.query(query, examined.everything)[0]
    had = {c.name: n for c, n in zip(empty, counts, strict=True) if 2 * n > rows}
    if not had:
        return ""
    counted = ", ".join(f"{name} ({n} of {rows} rows have one)" for name, n in had.items())
    return f"no record has a value in {counted}"


def _empty_columns(examined: Examined, columns: Sequence[Column]) -> list[Column]:
    query = gate_sql.count_staged_values(columns, examined.staged.rows)
    rows, *counts = examined.load.db.query(query)[0]
    if rows < (1 if examined.snapshot else _FEW_RECORDS):
        return []
    return [column for column, count in zip(columns, counts, strict=True) if not count]


def _left_out(examined: Examined) -> str:
    if examined.tally.read or not examined.left_out:
        return ""
    counted = ", ".join(f"{n} {status}" for status, n in examined.left_out.items())
    return f"every record was left out for its status: {counted}"


def _placeholders(examined: Examined) -> str:
    limit, load, staged = examined.limits.max_placeholder_rate, examined.load, examined.staged
    parents = [parent.name for _, parent in examined.table.references if parent.placeholder]
    accepted = staged.rows_staged
    is_first = audit.newest_load(load.db, examined.table) is None
    if not parents or not accepted or limit >= 1 or is_first:
        return ""
    waiting = {each.table.name: each.rows for each in examined.waiting}
    query = gate_sql.count_needing_placeholders(examined.table, staged.rows, waiting)
    unknown = int(load.db.value(query))
    if unknown <= limit * accepted:
        return ""
    return (
        f"{unknown} of {accepted} records name a key that {' or '.join(parents)} lacks, "
        f"{unknown / accepted:.1%} where MAX_PLACEHOLDER_RATE allows {limit:.1%}"
    )


def _float_ids(examined: Examined) -> str:
    if not examined.tally.notes["float_ids"]:
        return ""
    table = examined.table
    known = [(column, parent) for column, parent in table.references if len(parent.key) == 1]
    known += [(table.column(table.key[0]), table)] if len(table.key) == 1 else []
    texts = ((column, parent) for column, parent in known if column.kind is Kind.TEXT)
    return "; ".join(filter(None, (_floats_in(examined, *each) for each in texts)))


def _floats_in(examined: Examined, column: Column, parent: Table) -> str:
    waiting = {each.table.name: each.rows for each in examined.waiting}
    query = gate_sql.count_float_ids(
        examined.load.db.dialect, column=column, rows=examined.staged.rows, parent=parent,
        waiting=waiting.get(parent.name, ""),
    )  # fmt: skip
    count, one = examined.load.db.query(query)[0]
    if not count:
        return ""
    return (
        f"{column.name} is a number with a point in {count} records, such as {one}, which "
        f"{parent.name} has as {one.removesuffix('.0')}"
    )


RULES = (
    _Rule(
        names.REJECT_RATE, _rejected,
        "look at the rejected file, correct the source, or raise MAX_REJECT_RATE",
    ),
    _Rule(
        names.CONFLICTING_DUPLICATES, _conflicting,
        "look at the duplicates in the rejected file, and let the source send each key once",
    ),
    _Rule(names.NO_RECORDS, _no_records, "look whether the export was cut short"),
    _Rule(
        names.FEWER_RECORDS, _fewer,
        "look whether the export was cut short, or lower MIN_ROWS_RATE",
    ),
    _Rule(
        names.REMOVED_ROWS, _removed, "look whether the source is whole, or raise MAX_REMOVED_RATE"
    ),
    _Rule(
        names.EMPTY_COLUMN, _emptied,
        "look whether the column was renamed or is no longer exported, or name it in may_be_empty "
        "of the source's guards",
    ),
    _Rule(
        names.LEFT_OUT_FOR_STATUS, _left_out,
        "look at the statuses that the source writes now, and name those that count",
    ),
    _Rule(
        names.PLACEHOLDERS, _placeholders,
        "look how the source writes the keys, whether customers and products are whole, or raise "
        "MAX_PLACEHOLDER_RATE",
    ),
    _Rule(
        names.FLOAT_IDS, _float_ids,
        "export the ids as whole numbers or text (pandas: astype('Int64')), or set whole_ids = "
        "true for this source in pipeline.toml",
    ),
)  # fmt: skip

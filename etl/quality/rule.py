"""What a rule of a loaded table is: about single rows, or about more than one."""

from dataclasses import dataclass

from etl.engines.dialect import Dialect
from etl.schema.table import Table

COMPLETENESS, VALIDITY, CONSISTENCY = "completeness", "validity", "consistency"
TIMELINESS, UNIQUENESS = "timeliness", "uniqueness"
INTEGRITY, RECONCILIATION = "integrity", "reconciliation"

# What a broken rule does: the first two end the run with exit code 3, the others are reported.
CRITICAL, ERROR, WARNING, INFO = "critical", "error", "warning", "info"
DEMANDING = (CRITICAL, ERROR)


@dataclass(frozen=True)
class Rule:
    """One rule of one table.

    Attributes:
        threshold: the largest figure with which it is kept.
        meaning: what the figure counts.
        share: the figure is a share of the rows looked at, else a count.
        weight: in the score of its dimension.
    """

    name: str
    table: Table
    dimension: str
    severity: str
    threshold: float
    meaning: str
    share: bool = False
    weight: float = 1.0

    @property
    def full_name(self) -> str:
        """The name under which it is reported and kept: `table.name`."""
        return f"{self.table.name}.{self.name}"


@dataclass(frozen=True)
class RowRule(Rule):
    """A rule about single rows.

    Attributes:
        wrong: condition of a row that breaks it; `{true}`, `{false}` are the truth values, and a
            `?` stands for the moment up to which a date is not in the future.
        among: condition of the rows that are looked at; empty for all.
    """

    wrong: str = ""
    among: str = ""

    def broken(self, dialect: Dialect) -> str:
        """Condition: the row is looked at, and breaks the rule."""
        both = f"{self.among} AND ({self.wrong})" if self.among else self.wrong
        return both.format(true=dialect.true, false=dialect.false)

    @property
    def params(self) -> int:
        """How many moments its condition takes."""
        return self.wrong.count("?")

    @property
    def is_partial(self) -> bool:
        """Whether rows that keep it go on doing so as long as nobody writes them.

        A share needs all rows. Only of a table that grows with time is it worth while.
        """
        return bool(self.table.window) and not (self.share or self.params or self.among)


@dataclass(frozen=True)
class SetRule(Rule):
    """A rule about more than one row.

    Attributes:
        query: gives the keys that break it as `broken_key`.
        count: query for how many there are, where there is a faster one.
        since: the same as `query`, for rows that were written since a moment, and those that
            follow from them.
        moments: how often that takes the moment.
    """

    query: str = ""
    count: str = ""
    since: str = ""
    moments: int = 1


WRITTEN_SINCE = '"updated_date" >= ?'

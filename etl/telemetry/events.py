"""What happens in a run, as it is passed to whoever reports it to other systems."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from etl.history.records import StageTimes
from etl.history.runs import RunPlan
from etl.history.summary import RunSummary
from etl.schema.star import STAR_TABLES
from etl.schema.table import Table
from etl.settings.config import Config


@dataclass(frozen=True)
class RunStarted:
    """A run begins to load.

    Attributes:
        config: the settings.
        plan: what it is to do.
    """

    config: Config
    plan: RunPlan


@dataclass(frozen=True)
class RunEnded:
    """A run has ended, however it did.

    Attributes:
        config: the settings.
        run: its summary.
        earlier: the summaries of the runs before it, oldest first.
        tables: that there are, declared ones among them.
        stage_times: start and end of its stages, UTC; of a run of this process.
    """

    config: Config
    run: RunSummary
    earlier: Sequence[RunSummary] = ()
    tables: Sequence[Table] = STAR_TABLES
    stage_times: StageTimes = field(default_factory=dict)

    def table(self, name: str) -> Table | None:
        """Return the table of that name, None for one that is not declared any more."""
        return next((table for table in self.tables if table.name == name), None)

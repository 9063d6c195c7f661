"""The marts of a run: built once its loads are committed, and never a reason to undo them."""

import logging
from dataclasses import dataclass

from etl.errors import ETLError, WarehouseInUseError
from etl.history.audit import FAILED
from etl.history.mart_outcomes import MartOutcome
from etl.marts.build import Builder
from etl.marts.plan import MartPlan, plan_marts
from etl.monitoring.logs import IN_SUMMARY
from etl.pipeline.context import RunContext
from etl.pipeline.kept_columns import star_tables
from etl.pipeline.progress import BUILDING
from etl.schema.tables import Table

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Marts:
    """The marts of a run.

    Attributes:
        outcomes: how each fared.
        tables: of those that are as the loaded tables are.
    """

    outcomes: tuple[MartOutcome, ...] = ()
    tables: tuple[Table, ...] = ()

    @property
    def attention(self) -> list[str]:
        """What a person has to look at."""
        return [outcome.named_message for outcome in self.outcomes if outcome.failed]


NO_MARTS = Marts()


def build_marts(run: RunContext) -> Marts:
    """Build the marts if this run is to; what hinders one is logged, and in its outcome.

    Args:
        run: the run, whose loads are committed.

    Raises:
        WarehouseInUseError: another run has taken the warehouse meanwhile.
    """
    asked = run.args.marts
    if not (run.config.processing.marts if asked is None else asked):
        return NO_MARTS
    run.progress.step("marts", BUILDING)
    marts = _built(run)
    for line in marts.attention:
        logger.error("%s", line, extra=IN_SUMMARY)
    return marts


def _built(run: RunContext) -> Marts:
    try:
        plan = run.kept(lambda: _plan_of(run))
        outcomes = Builder(run.db, plan, run.plan.run_id, run.kept).build()
    except WarehouseInUseError:
        raise
    except ETLError as error:  # the loads are committed
        return Marts((MartOutcome("all", FAILED, seconds=0.0, message=str(error)),))
    failed = {outcome.name for outcome in outcomes if outcome.failed}
    return Marts(outcomes, tuple(m.table for m in plan.marts if m.name not in failed))


def _plan_of(run: RunContext) -> MartPlan:
    loaded = (*star_tables(run.db, run.config), *(each.whole for each in run.own))
    return plan_marts(run.config.base_dir, run.db.dialect, loaded)

"""The marts of a run: built once its loads are committed, and never a reason to undo them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from etl.errors import ETLError, WarehouseInUseError
from etl.history.audit import FAILED
from etl.history.mart_outcomes import MartOutcome, faults_in_words
from etl.history.outcomes import SourceOutcome
from etl.marts.build import Builder
from etl.marts.graph import Asked, mart_names
from etl.marts.plan import MartPlan, plan_marts
from etl.monitoring.logs import IN_SUMMARY
from etl.pipeline.arguments import Arguments
from etl.pipeline.context import RunContext
from etl.pipeline.kept_columns import star_tables
from etl.pipeline.progress import BUILDING
from etl.schema.table import Table
from etl.settings.config import Config

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
        return list(faults_in_words(self.outcomes))


NO_MARTS = Marts()


def asked_marts(config: Config, args: Arguments) -> Asked:
    """Return which marts are asked for: all, those that are named, those after what is named."""
    everything = config.processing.marts if args.marts is None else args.marts
    return Asked(everything, args.only, args.from_load, args.skip)


def build_marts(run: RunContext, outcomes: Sequence[SourceOutcome] = ()) -> Marts:
    """Build the marts if this run is to; what hinders one is logged, and in its outcome.

    Args:
        run: the run, whose loads are committed.
        outcomes: how those fared; a mart that reads what did not come is left out.

    Raises:
        WarehouseInUseError: another run has taken the warehouse meanwhile.
    """
    asked = asked_marts(run.config, run.args)
    named = {*asked.only, *asked.start} & {*mart_names(run.config.base_dir)}
    if not (asked.all or named):
        return NO_MARTS
    if asked.start:  # of the loads, with those that refer to them
        asked = replace(asked, start=(*asked.start, *(each.source for each in outcomes)))
    run.progress.step("marts", BUILDING)
    marts = _built(run, asked, {each.source: each.status for each in outcomes if not each.loaded})
    for line in marts.attention:
        logger.error("%s", line, extra=IN_SUMMARY)
    return marts


def _built(run: RunContext, asked: Asked, missing: Mapping[str, str]) -> Marts:
    try:
        plan = run.kept(lambda: _plan_of(run))
        wanted = asked.wanted(plan.nodes)
        builder = Builder(run.db, plan, run.plan.run_id, run.kept, wanted, missing)
        outcomes = builder.build()
    except WarehouseInUseError:
        raise
    except ETLError as error:  # the loads are committed
        return Marts((MartOutcome("all", FAILED, seconds=0.0, message=str(error)),))
    made = {outcome.name for outcome in outcomes if not outcome.failed}
    return Marts(outcomes, tuple(m.table for m in plan.marts if m.name in made))


def _plan_of(run: RunContext) -> MartPlan:
    loaded = (*star_tables(run.db, run.config), *(each.whole for each in run.own))
    return plan_marts(run.config.base_dir, run.db.dialect, loaded)

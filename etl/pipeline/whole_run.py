"""A run with all that is around it: its log, its alerts, the rights of its files."""

import logging
from functools import partial

from etl.alerts.run_alerts import with_alerts
from etl.cloud.cloudwatch_logs import CloudWatchHandler
from etl.files import private_files
from etl.history.runs import utc_now
from etl.history.summary import RunSummary
from etl.monitoring.logs import close_logging, log_context, setup_logging
from etl.pipeline.arguments import Arguments, arguments_of_run
from etl.pipeline.run import run_job
from etl.settings.config import Config
from etl.settings.sections.logging import LoggingConfig

logger = logging.getLogger(__name__)


def whole_run(config: Config, asked: Arguments, *, before_summary: bool = False) -> RunSummary:
    """Do a run: log it, alert whom it concerns, and return its summary.

    Args:
        config: the settings.
        asked: the arguments, checked.
        before_summary: whether a person will be shown the summary on this console.

    Raises:
        WarehouseInUseError: another process works in the warehouse.
        ETLError: the run failed as a whole; a source that fails alone is in the summary.
    """
    run = partial(_logged, config, asked, before_summary=before_summary)
    with private_files(config.files.file_permissions), log_context(stage="pipeline"):
        try:
            return with_alerts(
                config, run, quiet=asked.dry_run, arguments=arguments_of_run(asked),
            )  # fmt: skip
        finally:
            close_logging()


def _logged(
    config: Config, args: Arguments, critical_handler: logging.Handler, *, before_summary: bool
) -> RunSummary:
    setup_logging(
        _logging_config(config, args), critical_handler=critical_handler,
        before_summary=before_summary, further=_sent_elsewhere(config),
    )  # fmt: skip
    if config.files.is_sample:
        logger.info("data/input is empty: this run loads the sample that comes with the program")
    return run_job(config, args)


def _logging_config(config: Config, args: Arguments) -> LoggingConfig:
    if not args.log_level:
        return config.logging
    return config.logging.model_copy(update={"log_level": args.log_level})


def _sent_elsewhere(config: Config) -> list[logging.Handler]:
    group = config.telemetry.cloudwatch_log_group
    if group is None:
        return []
    stream = f"{config.environment}/{utc_now():%Y-%m-%dT%H%M%S.%f}Z"
    return [CloudWatchHandler(config.clouds.access, group, stream)]

"""A run as a function of AWS Lambda: an event asks for it, its summary is the answer.

The function's handler is `etl.pipeline.aws_lambda.handler`. What the service limits is in
`docs/clouds.md`; before its time is up, the run is rolled back and ends with an error.
"""

import os
from collections.abc import Mapping
from typing import Any, Protocol

from etl import process
from etl.errors import ConfigurationError, ETLError
from etl.pipeline.arguments import Arguments, check_arguments
from etl.pipeline.whole_run import whole_run
from etl.settings.config import load_config

# Seconds before the end of the function's time at which its run is stopped: to roll back, to write
# the history and to alert. A batch that is being merged on SQL Server ends first.
MARGIN_S = 20.0
# Only there may a function write; a setting of the same name wins.
DEFAULTS = {"LOG_DIR": "/tmp/nightly-etl/logs", "WORK_DIR": "/tmp/nightly-etl/work"}  # noqa: S108
_ENVIRONMENT = "prod"
_OPTIONS = (
    "env", "date", "start_date", "end_date", "full_refresh", "dry_run", "only", "no_skip",
    "validate", "accept", "reprocess_rejected", "export", "log_level",
)  # fmt: skip


class Context(Protocol):
    """What Lambda says of a call."""

    def get_remaining_time_in_millis(self) -> int:
        """Return how long the function may still work."""


class OutOfTimeError(ETLError):
    """The run was stopped because the function may not work any longer."""


def handler(event: Mapping[str, Any] | None, context: Context) -> dict[str, Any]:
    """Do the run that an event asks for.

    Args:
        event: arguments by the names of the command line, such as `{"env": "prod", "date":
            "2024-01-20"}`. An event of EventBridge has them in `detail`; one of S3 has none.
        context: of the call.

    Returns:
        The summary, as `--json` prints it. Its `exit_code` is 0, or 3 where something is to be
        looked at.

    Raises:
        OutOfTimeError: the function may not work any longer; what was not committed is rolled
            back, and the next run goes on from there.
        ConfigurationError: the event or the settings cannot be used.
        ETLError: the run failed; so Lambda counts an error, and retries or alarms as it is set.
    """
    asked = arguments_of(event or {})
    seconds = context.get_remaining_time_in_millis() / 1000 - MARGIN_S
    if seconds <= 0:
        raise _out_of_time()
    config = load_config(asked.env, environ={**DEFAULTS, **os.environ})
    try:
        with process.ending_after(seconds):
            return whole_run(config, asked).as_dict()
    except KeyboardInterrupt:
        raise _out_of_time() from None


def arguments_of(event: Mapping[str, Any]) -> Arguments:
    """Return the arguments that an event asks for.

    Raises:
        ConfigurationError: there is no such argument, or they contradict each other.

    Example:
        >>> arguments_of({"source": "aws.events", "detail": {"date": "2024-01-20"}}).date
        '2024-01-20'
        >>> arguments_of({"Records": [{"s3": {}}]}).env
        'prod'
    """
    given = event.get("detail", {}) if "source" in event else event
    options = {"env": _ENVIRONMENT, **given}
    options.pop("Records", None)
    if unknown := options.keys() - set(_OPTIONS):
        raise ConfigurationError(
            f"the event asks for {', '.join(sorted(unknown))}", choices=", ".join(_OPTIONS)
        )
    asked = Arguments.of(None, **options)
    check_arguments(asked)
    return asked


def _out_of_time() -> OutOfTimeError:
    return OutOfTimeError(
        f"the run was stopped {MARGIN_S:.0f} s before the function's limit of time; what was not "
        "committed is rolled back",
        next_step="give the function more time or memory, load fewer days at a time with "
        "start_date and end_date, or run it in a container without such a limit",
    )

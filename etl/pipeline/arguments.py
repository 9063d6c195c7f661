"""The command line: what can be asked for, and what is refused at once."""

import argparse
import shlex
import sys
from collections.abc import Sequence
from datetime import datetime

from etl.errors import ConfigurationError
from etl.history.runs import BACKFILL, FULL_REFRESH, INCREMENTAL, ONE_DATE, REPROCESS
from etl.pipeline.completion import SHELLS, completion_script
from etl.places import COMMAND, command, is_called_by_name
from etl.sources.window import EVERYTHING, Window, parse_day, since_watermark, whole_days
from etl.version import VERSION

_EXAMPLES = """\
examples:
  python etl_pipeline.py
      new and changed sales since the last run; customers and products whole
  python etl_pipeline.py --env dev --date 2024-01-20
      the sales of one day
  python etl_pipeline.py --start-date 2024-01-01 --end-date 2024-01-31
      the sales of a month again (backfill)
  python etl_pipeline.py --env prod --full-refresh
      everything; what is no longer in the sources leaves the warehouse
  python etl_pipeline.py --reprocess-rejected data/output/dev/rejected/customers_corrected.csv
      the rejected records of that file, after a person has mended them
  python etl_pipeline.py --dry-run --json
      what a run would change, as JSON; writes nothing
  python etl_pipeline.py --env prod --health-check
      whether a run could begin now; 1 when a check failed, 0 with warnings only
  python etl_pipeline.py --env prod --serve
      the page over the runs in a browser, on this machine alone; it refreshes after each run

exit codes:
  0 loaded and clean
  1 failed
  2 wrong usage or configuration
  3 loaded, with something to look at: a source failed or was held back, or a check failed
  4 the warehouse is in use by another process
"""

INIT = "init"
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser, so that the documentation can be checked against it."""
    parser = argparse.ArgumentParser(
        prog=COMMAND if is_called_by_name() else "etl_pipeline.py",
        description="Load customers, products and sales into the warehouse.",
        epilog=_EXAMPLES.replace("python etl_pipeline.py", command()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "command", nargs="?", choices=[INIT],
        help="make .env.example and the data folders here, and do nothing else",
    )  # fmt: skip
    parser.add_argument("--version", action="version", version=f"{COMMAND} {VERSION}")
    parser.add_argument(
        "--env", choices=["dev", "test", "prod"], default="dev",
        help="which .env.<env> to use on top of .env (default: dev)",
    )  # fmt: skip
    _add_window(parser)
    _add_output(parser)
    return parser


def _add_window(parser: argparse.ArgumentParser) -> None:
    which = parser.add_argument_group("which sales (default: from the last run's watermark on)")
    which.add_argument("--date", metavar="D", help="the sales of one day (YYYY-MM-DD)")
    which.add_argument("--start-date", metavar="D", help="the sales from this day (YYYY-MM-DD)")
    which.add_argument("--end-date", metavar="D", help="to this day, both included (YYYY-MM-DD)")
    which.add_argument(
        "--full-refresh", action="store_true",
        help="all sales, and remove what is no longer in the sources",
    )  # fmt: skip


def _add_output(parser: argparse.ArgumentParser) -> None:
    what = parser.add_argument_group("what to do with it")
    what.add_argument(
        "--dry-run", action="store_true",
        help="say what would be inserted, updated and left; write nothing",
    )  # fmt: skip
    what.add_argument(
        "--reprocess-rejected", metavar="FILE",
        help="load the records of a rejected file that were corrected, and nothing else",
    )  # fmt: skip
    what.add_argument(
        "--export", choices=["csv", "parquet"],
        help="also write the loaded tables to OUTPUT_DIR/<env>/processed; in csv a text that a "
        "spreadsheet would run as a formula gets an apostrophe in front, parquet is exact",
    )  # fmt: skip
    what.add_argument(
        "--print-schema", action="store_true", help="print the tables as SQL, and do nothing else"
    )
    what.add_argument(
        "--health-check", action="store_true",
        help="look at database, sources and folders, and do nothing else",
    )  # fmt: skip
    what.add_argument(
        "--serve", nargs="?", const=8000, type=int, metavar="PORT",
        help="show the page over the runs on 127.0.0.1 (default port: 8000), and do nothing else",
    )  # fmt: skip
    what.add_argument("--json", action="store_true", help="the summary as JSON on stdout")
    what.add_argument(
        "--log-level", choices=LOG_LEVELS, type=str.upper,
        help="what the console shows (default: LOG_LEVEL)",
    )  # fmt: skip
    what.add_argument(
        "--print-completion", action=_PrintCompletion, choices=SHELLS,
        help="print a script that completes this command in that shell, and do nothing else",
    )  # fmt: skip


class _PrintCompletion(argparse.Action):
    """Prints the script and ends, as --help does."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        sys.stdout.write(completion_script(parser, str(values)))
        parser.exit()


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Reads the arguments.

    Raises:
        SystemExit: with code 2 for wrong usage, 0 after --help.

    Example:
        >>> parse_arguments(["--env", "test", "--date", "2024-01-20"]).date
        '2024-01-20'
    """
    return build_parser().parse_args(argv)


def arguments_of_run(args: argparse.Namespace) -> str:
    """Return the arguments, besides the environment, with which the same run is done again.

    Example:
        >>> arguments_of_run(parse_arguments(["--date", "2024-01-20", "--log-level", "debug"]))
        '--date 2024-01-20'
    """
    words: list[str] = []
    for name in ("date", "start_date", "end_date", "full_refresh", "reprocess_rejected"):
        if value := getattr(args, name, None):
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return shlex.join(words)


def mode_of(args: argparse.Namespace) -> str:
    """Which kind of run is asked for.

    Raises:
        ConfigurationError: two kinds at once, or a span with one end.

    Example:
        >>> mode_of(parse_arguments(["--full-refresh"]))
        'full_refresh'
    """
    one_end = args.start_date is None or args.end_date is None
    span = not (args.start_date is None and args.end_date is None)
    asked = [
        name
        for name, given in (
            ("--date", args.date is not None),
            ("--start-date/--end-date", span),
            ("--full-refresh", args.full_refresh),
            ("--reprocess-rejected", args.reprocess_rejected is not None),
            ("--health-check", args.health_check),
            ("--serve", getattr(args, "serve", None) is not None),
            (INIT, getattr(args, "command", None) == INIT),
        )
        if given
    ]
    if len(asked) > 1:
        raise ConfigurationError(f"{' and '.join(asked)} exclude each other", next_step="give one")
    if span and one_end:
        raise ConfigurationError("a span needs both ends", choices="--start-date D --end-date D")
    if args.date is not None:
        return ONE_DATE
    if args.reprocess_rejected is not None:
        return REPROCESS
    return BACKFILL if span else FULL_REFRESH if args.full_refresh else INCREMENTAL


def check_arguments(args: argparse.Namespace) -> None:
    """Refuses arguments that cannot be carried out, before anything is opened.

    Raises:
        ConfigurationError: a date is none, a span is upside down, two kinds of run at once.
    """
    window_of(args, watermark=None, lag_days=0)


def window_of(args: argparse.Namespace, *, watermark: datetime | None, lag_days: int) -> Window:
    """Which sales the run takes.

    Args:
        args: the arguments.
        watermark: how far earlier runs have read.
        lag_days: how many days before the watermark to read again.

    Raises:
        ConfigurationError: a date is none, or the start is after the end.

    Example:
        >>> args = parse_arguments(["--date", "2024-01-20"])
        >>> print(window_of(args, watermark=None, lag_days=3))
        sales of 2024-01-20
    """
    mode = mode_of(args)
    if mode == ONE_DATE:
        day = parse_day(args.date)
        return whole_days(day, day)
    if mode == BACKFILL:
        first = parse_day(args.start_date, "--start-date")
        return whole_days(first, parse_day(args.end_date, "--end-date"))
    if mode == INCREMENTAL:
        return since_watermark(watermark, lag_days)
    return EVERYTHING

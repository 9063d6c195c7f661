"""The command line: what can be asked for, and what is refused at once."""

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

from etl.errors import ConfigurationError
from etl.history.runs import BACKFILL, FULL_REFRESH, INCREMENTAL, ONE_DATE, REPROCESS
from etl.pipeline.completion import SHELLS, completion_script
from etl.places import COMMAND, ENVIRONMENTS, command, is_called_by_name
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
  python etl_pipeline.py --accept customers.fewer_records
      once more, after a person has seen that the customers held back are right
  python etl_pipeline.py --reprocess-rejected data/output/dev/rejected/customers_corrected.csv
      the rejected records of that file, after a person has corrected them
  python etl_pipeline.py --reprocess-rejected
      all rejected records that are open, by the rules and settings of today
  python etl_pipeline.py init exports/customers.csv exports/products.ndjson exports/orders.csv
      how these files could be loaded: writes pipeline.toml and .env, then shows a dry run
  python etl_pipeline.py --dry-run --json
      what a run would change, as JSON; writes nothing
  python etl_pipeline.py --env prod --health-check
      whether a run could begin now; 1 when a check failed, 0 with warnings only
  python etl_pipeline.py --profile exports/orders.csv --against exports/orders_old.csv
      what is in a file, and what has changed since another one: a page and JSON
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
EXPORTS = ("csv", "parquet")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
GRAPHS = ("mermaid", "svg", "json")
WHERE_READ = ("local", "spark")
_CHOICES = {
    "env": ENVIRONMENTS, "export": EXPORTS, "log_level": LOG_LEVELS, "graph": GRAPHS,
    "engine": WHERE_READ,
}  # fmt: skip


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
        help="make .env.example and the data folders here; given files, look at them, write "
        "pipeline.toml and .env for them, and show what a run would do",
    )  # fmt: skip
    parser.add_argument("files", nargs="*", metavar="FILE", help="for init: what is to be loaded")
    parser.add_argument("--version", action="version", version=f"{COMMAND} {VERSION}")
    parser.add_argument(
        "--env", choices=ENVIRONMENTS, default="dev",
        help="which .env.<env> to use on top of .env (default: dev)",
    )  # fmt: skip
    _add_window(parser)
    _add_work(parser)
    _add_instead(parser)
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


def _add_work(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what to do with it")
    group.add_argument(
        "--dry-run", action="store_true",
        help="say what would be inserted, updated and left; write nothing",
    )  # fmt: skip
    _add_choice(group)
    _add_care(group)
    _add_machines(group)
    group.add_argument(
        "--marts", action=argparse.BooleanOptionalAction,
        help="build the marts after the load, or not (default: MARTS)",
    )  # fmt: skip
    group.add_argument(
        "--export", choices=EXPORTS,
        help="also write the loaded tables to OUTPUT_DIR/<env>/processed; in csv a text that a "
        "spreadsheet would run as a formula gets an apostrophe in front, parquet is exact",
    )  # fmt: skip


def _add_choice(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--only", metavar="NAME", action="append",
        help="load this source alone: customers, products, sales or a load of pipeline.toml; or "
        "build this mart; may be given several times",
    )  # fmt: skip
    group.add_argument(
        "--skip", metavar="NAME", action="append",
        help="load all but this source, or build all but this mart; may be given several times",
    )  # fmt: skip
    group.add_argument(
        "--from", metavar="NAME", action="append", dest="from_load",
        help="load this source and those that refer to it, such as after a correction, with the "
        "marts that read them, or this mart and those that read it; may be given several times",
    )  # fmt: skip


def _add_machines(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--engine", choices=WHERE_READ,
        help="where sources are read, cleaned and staged: by this process, or by the machines of "
        "a Spark cluster (default: ENGINE)",
    )  # fmt: skip
    group.add_argument(
        "--spark-master", metavar="URL",
        help="the cluster, such as spark://host:7077 or local[*] (default: SPARK_MASTER)",
    )  # fmt: skip


def _add_care(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--validate", action="store_true",
        help="check the whole tables, not only what was written since they were last proven",
    )  # fmt: skip
    group.add_argument(
        "--no-skip", action="store_true",
        help="load a source file also when it is the one that was loaded last",
    )  # fmt: skip
    group.add_argument(
        "--accept", metavar="NAME", action="append",
        help="load a source once although it would be held back: customers.no_records for one "
        "finding, customers for all of a source; may be given several times",
    )  # fmt: skip
    group.add_argument(
        "--reprocess-rejected", nargs="?", const=EVERY_REJECT, metavar="FILE",
        help="load the records of a rejected file that were corrected, and nothing else; without "
        "a file, try all rejected records that are open once more (DEAD_LETTERS=table)",
    )  # fmt: skip


def _add_instead(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("instead of a run")
    group.add_argument(
        "--health-check", action="store_true",
        help="look at database, sources and folders",
    )  # fmt: skip
    _add_profile(group)
    _add_prints(group)
    _add_state(group)
    group.add_argument(
        "--serve", nargs="?", const=8000, type=int, metavar="PORT",
        help="show the page over the runs on 127.0.0.1 (default port: 8000)",
    )  # fmt: skip
    group.add_argument(
        "--print-completion", action=_PrintCompletion, choices=SHELLS,
        help="print a script that completes this command in that shell",
    )  # fmt: skip


def _add_profile(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--profile", metavar="NAME",
        help="count what is in a file or in a table of the warehouse, and write it as a page",
    )  # fmt: skip
    group.add_argument(
        "--against", metavar="NAME",
        help="another file or table to stand beside it, or the run whose profile of it was kept",
    )  # fmt: skip
    group.add_argument(
        "--key", metavar="COLUMN", action="append",
        help="of that file or table, a column that should distinguish its records; may be given "
        "several times",
    )  # fmt: skip


def _add_prints(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--check-sla", action="store_true",
        help="alert about loads that have not succeeded by their hour, and end with 3 then",
    )  # fmt: skip
    group.add_argument(
        "--graph", choices=GRAPHS,
        help="print the loads, with --marts the marts too, and what each waits for, with how the "
        "last run went: as a diagram for Mermaid, as a picture, or as data for a scheduler",
    )  # fmt: skip
    group.add_argument("--print-schema", action="store_true", help="print the tables as SQL")
    group.add_argument(
        "--timescale", action="store_true",
        help="with --print-schema, on PostgreSQL: also what makes a hypertable of the mart "
        "sales_wide, with continuous aggregates, where TimescaleDB is installed",
    )  # fmt: skip


def _add_state(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--state", action="store_true",
        help="show how far each source has been read",
    )  # fmt: skip
    group.add_argument(
        "--reset-state", metavar="NAME",
        help="after a question, forget how far a source has been read, so that the next run reads "
        "all of it",
    )  # fmt: skip
    group.add_argument("--yes", action="store_true", help="answer that question")


def _add_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what it prints")
    group.add_argument("--json", action="store_true", help="the summary as JSON on stdout")
    group.add_argument(
        "-v", "--verbose", action="store_true",
        help="the summary with what needs nobody: stages, memory, how the sources are written",
    )  # fmt: skip
    group.add_argument(
        "--log-level", choices=LOG_LEVELS, type=str.upper,
        help="from which level on the console shows log lines (default: LOG_LEVEL; on a terminal "
        "those that the summary does not repeat)",
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


# Of --reprocess-rejected: no file, but all records that are open.
EVERY_REJECT = ""


@dataclass(frozen=True)
class Arguments:
    """What is asked of a run; each has the default of the command line."""

    command: str | None = None
    files: tuple[str, ...] = ()
    env: str = "dev"
    date: str | None = None
    start_date: str | None = None
    end_date: str | None = None
    full_refresh: bool = False
    dry_run: bool = False
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    from_load: tuple[str, ...] = ()
    no_skip: bool = False
    validate: bool = False
    accept: tuple[str, ...] = ()
    reprocess_rejected: str | None = None
    marts: bool | None = None
    export: str | None = None
    engine: str | None = None
    spark_master: str | None = None
    profile: str | None = None
    against: str | None = None
    key: tuple[str, ...] = ()
    print_schema: bool = False
    timescale: bool = False
    health_check: bool = False
    graph: str | None = None
    check_sla: bool = False
    state: bool = False
    reset_state: str | None = None
    yes: bool = False
    serve: int | None = None
    json: bool = False
    log_level: str | None = None
    verbose: bool = False

    @classmethod
    def of(cls, given: object = None, **options: object) -> "Arguments":
        """Take arguments from an object that has some of them as attributes.

        Args:
            given: such as a parser's namespace; what it lacks, or has as None, takes its default.
            **options: single arguments, which win over those of the object. A date may be text
                (YYYY-MM-DD) or a date.

        Raises:
            TypeError: there is no argument of that name.

        Example:
            >>> Arguments.of(argparse.Namespace(env="test", full_refresh=True)).env
            'test'
            >>> Arguments.of(date=datetime(2024, 1, 20).date()).date
            '2024-01-20'
        """
        names = [each.name for each in fields(cls)]
        if unknown := options.keys() - set(names):
            raise TypeError(
                f"no argument {', '.join(sorted(unknown))}; there are {', '.join(names[1:])}"
            )
        known = {name: getattr(given, name, None) for name in names} | options
        return cls(**{name: _as_text(v) for name, v in known.items() if v is not None})


def _as_text(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(value)
    return value if isinstance(value, str | int) else str(value)


def parse_arguments(argv: Sequence[str]) -> Arguments:
    """Read the arguments of the command line.

    Raises:
        SystemExit: with code 2 for wrong usage, 0 after --help.

    Example:
        >>> parse_arguments(["--env", "test", "--date", "2024-01-20"]).date
        '2024-01-20'
    """
    return Arguments.of(build_parser().parse_args(argv))


def arguments_of_run(args: Arguments) -> str:
    """Return the arguments, besides the environment, with which the same run is done again.

    Example:
        >>> arguments_of_run(parse_arguments(["--date", "2024-01-20", "--log-level", "debug"]))
        '--date 2024-01-20'
    """
    words: list[str] = []
    for name in ("date", "start_date", "end_date", "full_refresh", "reprocess_rejected"):
        value = getattr(args, name)
        if value is not None and value is not False:
            words += [f"--{name.replace('_', '-')}", *([] if value in (True, "") else [value])]
    words += ["--no-skip"] if args.no_skip else []
    words += ["--validate"] if args.validate else []
    words += ["--engine", args.engine] if args.engine else []
    words += ["--spark-master", args.spark_master] if args.spark_master else []
    words += [] if args.marts is None else ["--marts" if args.marts else "--no-marts"]
    for flag, names in (("--only", args.only), ("--skip", args.skip), ("--from", args.from_load)):
        words += [word for name in names for word in (flag, name)]
    words += [word for name in args.accept for word in ("--accept", name)]
    return shlex.join(words)


def _has_span(args: Arguments) -> bool:
    return args.start_date is not None or args.end_date is not None


# What is asked for, and the kind of run that it makes; none of them goes with another.
_ASKED: tuple[tuple[str, str, Callable[[Arguments], object]], ...] = (
    ("--date", ONE_DATE, lambda args: args.date is not None),
    ("--start-date/--end-date", BACKFILL, _has_span),
    ("--full-refresh", FULL_REFRESH, lambda args: args.full_refresh),
    ("--reprocess-rejected", REPROCESS, lambda args: args.reprocess_rejected is not None),
    ("--profile", INCREMENTAL, lambda args: args.profile is not None),
    ("--health-check", INCREMENTAL, lambda args: args.health_check),
    ("--graph", INCREMENTAL, lambda args: args.graph is not None),
    ("--check-sla", INCREMENTAL, lambda args: args.check_sla),
    ("--state", INCREMENTAL, lambda args: args.state),
    ("--reset-state", INCREMENTAL, lambda args: args.reset_state is not None),
    ("--serve", INCREMENTAL, lambda args: args.serve is not None),
    (INIT, INCREMENTAL, lambda args: args.command == INIT),
)


def mode_of(args: Arguments) -> str:
    """Return which kind of run is asked for.

    Raises:
        ConfigurationError: two kinds at once, or a span with one end.

    Example:
        >>> mode_of(parse_arguments(["--full-refresh"]))
        'full_refresh'
    """
    asked = [(name, mode) for name, mode, given in _ASKED if given(args)]
    if len(asked) > 1:
        names = " and ".join(name for name, _ in asked)
        raise ConfigurationError(f"{names} exclude each other", next_step="give one")
    mode = asked[0][1] if asked else INCREMENTAL
    if mode == BACKFILL and None in (args.start_date, args.end_date):
        raise ConfigurationError("a span needs both ends", choices="--start-date D --end-date D")
    return mode


def check_arguments(args: Arguments) -> None:
    """Refuse arguments that cannot be carried out, before anything is opened.

    Raises:
        ConfigurationError: no such choice, no such date, a span upside down, two kinds of run.
    """
    for name, choices in _CHOICES.items():
        value = getattr(args, name)
        if value is not None and value not in choices:
            flag = f"--{name.replace('_', '-')}"
            raise ConfigurationError(f"no {flag} {value!r}", choices=", ".join(choices))
    if args.profile is None and (args.against or args.key):
        flag = "--against" if args.against else "--key"
        raise ConfigurationError(f"{flag} goes with --profile", next_step="give both")
    if args.timescale and not args.print_schema:
        raise ConfigurationError("--timescale goes with --print-schema", next_step="give both")
    excluding = [(f"--only {name}", f"--skip {name}") for name in args.only if name in args.skip]
    excluding += [("--dry-run", "--export")] if args.dry_run and args.export else []
    for one, other in excluding:
        raise ConfigurationError(f"{one} and {other} exclude each other", next_step="give one")
    window_of(args, watermark=None, lag_days=0)


def days_of(args: Arguments) -> tuple[date, date] | None:
    """Return the days that the run is asked for; None when it is not asked for any.

    Example:
        >>> days_of(parse_arguments(["--date", "2024-01-20"]))
        (datetime.date(2024, 1, 20), datetime.date(2024, 1, 20))
    """
    if mode_of(args) not in (ONE_DATE, BACKFILL):
        return None
    window = window_of(args, watermark=None, lag_days=0)
    return window.start.date(), window.end.date()


def window_of(args: Arguments, *, watermark: datetime | None, lag_days: int) -> Window:
    """Return which sales the run takes.

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
        day = parse_day(args.date or "")
        return whole_days(day, day)
    if mode == BACKFILL:
        first = parse_day(args.start_date or "", "--start-date")
        return whole_days(first, parse_day(args.end_date or "", "--end-date"))
    if mode == INCREMENTAL:
        return since_watermark(watermark, lag_days)
    return EVERYTHING

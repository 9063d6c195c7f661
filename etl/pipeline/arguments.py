"""What can be asked of the command, and what is refused at once."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

from etl.errors import ConfigurationError
from etl.history.runs import BACKFILL, FULL_REFRESH, INCREMENTAL, ONE_DATE, REPROCESS
from etl.places import ENVIRONMENTS
from etl.sources.window import EVERYTHING, Window, parse_day, since_watermark, whole_days

INIT = "init"
EXPORTS = ("csv", "parquet")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
GRAPHS = ("mermaid", "svg", "json")
WHERE_READ = ("local", "spark")
_CHOICES = {
    "env": ENVIRONMENTS, "export": EXPORTS, "log_level": LOG_LEVELS, "graph": GRAPHS,
    "engine": WHERE_READ,
}  # fmt: skip

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
            >>> from argparse import Namespace
            >>> Arguments.of(Namespace(env="test", full_refresh=True)).env
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


def arguments_of_run(args: Arguments) -> str:
    """Return the arguments, besides the environment, with which the same run is done again.

    Example:
        >>> arguments_of_run(Arguments(date="2024-01-20", log_level="DEBUG"))
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
        >>> mode_of(Arguments(full_refresh=True))
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
        >>> days_of(Arguments(date="2024-01-20"))
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
        >>> args = Arguments(date="2024-01-20")
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

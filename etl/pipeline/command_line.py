"""The command line: its options, what they are called, and the help."""

import argparse
import sys
from collections.abc import Sequence

from etl.pipeline.arguments import (
    EVERY_REJECT,
    EXPORTS,
    GRAPHS,
    INIT,
    LOG_LEVELS,
    WHERE_READ,
    Arguments,
)
from etl.pipeline.completion import SHELLS, completion_script
from etl.places import COMMAND, ENVIRONMENTS, command, is_called_by_name
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


def parse_arguments(argv: Sequence[str]) -> Arguments:
    """Read the arguments of the command line.

    Raises:
        SystemExit: with code 2 for wrong usage, 0 after --help.

    Example:
        >>> parse_arguments(["--env", "test", "--date", "2024-01-20"]).date
        '2024-01-20'
    """
    return Arguments.of(build_parser().parse_args(argv))

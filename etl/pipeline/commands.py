"""What the command does in place of a run: print the schema, look into the state, and the like."""

import json
from pathlib import Path

from etl.alerts.sla import alert_of_missed, deadlines, shown_rows
from etl.engines.database import DatabaseManager
from etl.engines.registry import engine_of
from etl.engines.schemas import Schemas
from etl.errors import EXIT_ATTENTION, EXIT_OK, ETLError
from etl.history.runs import utc_now
from etl.marts.plan import plan_marts
from etl.marts.timescale import timescale_script
from etl.monitoring.health.report import pipeline_health_check
from etl.pipeline import console, profiling
from etl.pipeline.arguments import Arguments
from etl.pipeline.begin import begin_in, begin_with
from etl.pipeline.graph import graph_text
from etl.pipeline.marts import asked_marts
from etl.pipeline.serve import serve
from etl.places import working_folder
from etl.settings.config import Config, load_config
from etl.warehouse.own_history import built_in_tables
from etl.warehouse.own_loads import own_tables
from etl.warehouse.state import forget_state, read_states, state_of
from etl.warehouse.tables import schema_script, upgrade_script


def begin(args: Arguments) -> bool:
    """Set up a folder, or propose how files could be loaded.

    Returns:
        Whether a dry run is to show what loading them would do.

    Raises:
        ETLError: a file cannot be made.
    """
    folder = working_folder()
    try:
        if args.files:
            known = load_config(args.env).files.input_dir
            print(*begin_with(folder, [Path(name) for name in args.files], known), sep="\n")
        else:
            print(*begin_in(folder), sep="\n")
    except OSError as error:
        raise ETLError(f"{error.filename} cannot be made: {error.strerror}") from error
    return bool(args.files)


def print_schema(config: Config, args: Arguments) -> int:
    """Print what creates the tables, or what an older warehouse lacks.

    Returns:
        The exit code.
    """
    connection = config.database.connection_string.get_secret_value()
    loaded, schemas = (*built_in_tables(config), *own_tables(config)), Schemas.of(config)
    dialect, more = engine_of(connection).dialect_in(schemas), list[str]()
    if args.timescale:
        more.append(timescale_script(dialect))
    if args.timescale or (config.processing.marts if args.marts is None else args.marts):
        plan = plan_marts(config.base_dir, dialect, loaded)
        loaded = (*loaded, *plan.tables)
        more += [f"-- {each.error}" for each in plan.broken]
    with console.output():
        upgrade = upgrade_script(connection, loaded, schemas=schemas)
        print(schema_script(connection, upgrade, loaded, schemas=schemas), *more, sep="\n\n")
    return EXIT_OK


def show_state(config: Config, args: Arguments) -> int:
    """Print how far each source has been read.

    Returns:
        The exit code.
    """
    with DatabaseManager.from_config(config, read_only=True) as db:
        states = read_states(db, config)
    with console.output():
        if args.json:
            print(json.dumps([state.as_dict() for state in states], indent=2))
        else:
            console.print_states(states)
    return EXIT_OK


def reset_state(config: Config, args: Arguments) -> int:
    """Forget how far a source has been read, once a person has agreed.

    Returns:
        The exit code.
    """
    with DatabaseManager.from_config(config) as db:
        state = state_of(read_states(db, config), args.reset_state or "")
        if state.reached is None:
            print(f"{state.source}: nothing to forget, the next run reads all of it")
            return EXIT_OK
        if not (
            args.yes
            or console.asked(
                f"{state.source} has been read up to {state.reached}. "
                "Forget that, and read all of it in the next run?"
            )
        ):
            print("nothing was changed")
            return EXIT_OK
        forget_state(db, state)
    print(f"{state.source}: forgotten; the next run reads all of it")
    return EXIT_OK


def print_graph(config: Config, args: Arguments) -> int:
    """Print which loads refer to which.

    Returns:
        The exit code.
    """
    with console.output():
        marts = asked_marts(config, args).all
        print(graph_text(config, args.graph or "", marts=marts))
    return EXIT_OK


def check_health(config: Config, args: Arguments) -> int:
    """Print whether a run could begin now.

    Returns:
        The exit code.
    """
    report = pipeline_health_check(config)
    with console.output():
        if args.json:
            print(json.dumps(report, indent=2))
        else:
            console.print_health(report)
    return int(report["exit_code"])


def check_sla(config: Config, args: Arguments) -> int:
    """Print which loads have succeeded by their hour, and alert about the others.

    Returns:
        The exit code.
    """
    found = deadlines(config, utc_now())
    missed = [each for each in found if not each.met]
    alert_of_missed(config, missed)
    with console.output():
        if args.json:
            print(json.dumps([each.as_dict() for each in found], indent=2))
        else:
            console.print_rows(list(shown_rows(found)))
    return EXIT_ATTENTION if missed else EXIT_OK


def profile(config: Config, args: Arguments) -> int:
    """Profile a file or table, write it, and print it.

    Returns:
        The exit code.

    Raises:
        ETLError: it cannot be read, or the report cannot be written.
    """
    return profiling.profile(config, args)


def serve_page(config: Config, args: Arguments) -> int:
    """Show the page over the runs in a browser, until a person ends it.

    Returns:
        The exit code.
    """
    return serve(config.files.environment_dir, args.serve or 0)

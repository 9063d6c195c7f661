"""Printing on stdout: a reader that stops early, and what a health check has found."""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from etl.monitoring.logs import PIPELINE_LOG
from etl.warehouse.state import SourceState


@contextmanager
def output() -> Iterator[None]:
    """Print on stdout; a reader who stops early, such as `head`, ends it without an error."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        # what is still in the buffer must not fail at the end of the process
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Stdout(Console):
    def on_broken_pipe(self) -> None:  # by itself it would end the process with code 1
        raise BrokenPipeError


def stdout() -> Console:
    """Return stdout as a console that never fails at a character."""
    if isinstance(sys.stdout, TextIOWrapper):  # a header may be quoted in any script
        sys.stdout.reconfigure(errors="backslashreplace")
    return _Stdout(file=sys.stdout, highlight=False)


def print_health(report: Mapping[str, Any]) -> None:
    """Prints what a health check has found on stdout, as a table."""
    colours = {"passed": "green", "warning": "yellow", "failed": "red"}
    table = Table(header_style="bold")
    for heading in ("check", "status", "finding"):
        table.add_column(heading, overflow="fold")
    for check in report["checks"]:
        status = Text(check["status"], style=colours[check["status"]])
        # as Text, since what is in brackets would be taken for markup
        table.add_row(check["name"], status, Text(check["message"]))
    console = stdout()
    console.print(table)
    console.print(f"{report['status']}, exit code {report['exit_code']}", markup=False)


def print_states(states: Sequence[SourceState]) -> None:
    """Print on stdout how far each source has been read, as a table."""
    print_rows([
        {"source": state.source, "by": state.cursor,
         "read up to": "" if state.reached is None else str(state.reached),
         "the next run reads": state.next_words}
        for state in states
    ])  # fmt: skip


def print_rows(rows: Sequence[Mapping[str, str]]) -> None:
    """Print on stdout rows with the same columns, as a table."""
    table = Table(header_style="bold")
    for heading in rows[0] if rows else ():
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row.values()))
    stdout().print(table)


def asked(question: str) -> bool:
    """Ask a person on the terminal; without one, or without an answer, the answer is no."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        stdout().print()
        return False


def is_watched() -> bool:
    """Return whether a person sees what is written on stderr."""
    return Console(stderr=True).is_terminal


def print_next(log_dir: Path, again: str) -> None:
    """Print on stderr where to read on after a run that failed, and how to run it again.

    Args:
        log_dir: where the log files are.
        again: the command that does the same run once more.
    """
    if sys.stderr is not None:
        log = (log_dir / PIPELINE_LOG).absolute()
        sys.stderr.write(f"the log: {log}\nthen run: {again}\n")

"""Where the program works, how it is called, and what travels with it.

In a checkout it works in the project folder, from whatever directory it is called. Installed, it
works in the current folder, and the sample data lie in the package.
"""

import shlex
import sys
from pathlib import Path

COMMAND = "nightly-etl"
# Each has a folder, a warehouse and an .env file of its own.
ENVIRONMENTS = ("dev", "test", "prod")
_PACKAGE = Path(__file__).resolve().parent
SAMPLE = _PACKAGE / "sample"  # the build puts it there: a checkout has none
INSTALLED = SAMPLE.is_dir()
MARTS = _PACKAGE / "mart_files" if INSTALLED else _PACKAGE.parent / "marts"


def working_folder() -> Path:
    """Return the folder of `.env`, from which relative paths count too."""
    return Path.cwd() if INSTALLED else _PACKAGE.parent


def is_called_by_name() -> bool:
    """Return whether this process is the installed command, rather than a script or a library."""
    return Path(sys.argv[0]).stem == COMMAND


def command() -> str:
    """Return how to call the pipeline again, as help and messages name it.

    Example:
        >>> command()
        'python etl_pipeline.py'
    """
    return COMMAND if is_called_by_name() else "python etl_pipeline.py"


def command_line(environment: str, arguments: str = "") -> str:
    """Return what to type, in whatever folder, to call the pipeline again.

    Args:
        environment: dev, test or prod.
        arguments: further ones of the command line.
    """
    folder = working_folder()
    called = f"python {shlex.quote(str(folder / 'etl_pipeline.py'))}"
    if command() == COMMAND:
        called = f"cd {shlex.quote(str(folder))} && {COMMAND}"
    return f"{called} --env {environment} {arguments}".rstrip()

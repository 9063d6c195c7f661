"""`init`: makes the files and folders with which a user begins, and says what comes next."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from etl.places import command
from etl.settings.config import load_config
from etl.settings.example import env_example_text

# A file that is there already stays as it is.
FILES: Mapping[str, Callable[[], str]] = {".env.example": env_example_text}
FOLDERS = ("data/input", "data/output")


def begin_in(folder: Path) -> Iterator[str]:
    """Make what is missing, and yield a line for each thing and for what comes next.

    Raises:
        OSError: the folder cannot be written.
    """
    for name, text in FILES.items():
        path = folder / name
        yield f"{path}: {'left as it is' if path.exists() else 'made'}"
        if not path.exists():
            path.write_text(text(), encoding="utf-8")
    for name in FOLDERS:
        path = folder / name
        yield f"{path}: {'left as it is' if path.exists() else 'made'}"
        path.mkdir(parents=True, exist_ok=True)
    yield from _next_steps(folder)


def _next_steps(folder: Path) -> Iterator[str]:
    files = load_config("dev", base_dir=folder, environ={}).files
    names = (files.customers_file, files.products_file, files.sales_file)
    yield "next:"
    yield f"  put {', '.join(names)} into {files.output_dir.parent / 'input'}"
    yield "  copy .env.example to .env, and set there what differs"
    yield f"  {command()} --health-check"
    yield f"  {command()}"

"""`init`: makes the files and folders with which a user begins, and says what comes next.

Given files, it looks at them and proposes how they are loaded. Nothing that is there is written
over.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from etl.cloud.paths import is_cloud
from etl.errors import ConfigurationError
from etl.pipeline.proposals import as_toml, look, propose
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


# --- from files --------------------------------------------------------------------------

PIPELINE, SETTINGS = "pipeline.toml", ".env"


def begin_with(folder: Path, files: Sequence[Path], input_dir: Path | None = None) -> Iterator[str]:
    """Write `pipeline.toml` and `.env` for files, and yield a line for each thing.

    Args:
        folder: where they go.
        files: what is to be loaded.
        input_dir: INPUT_DIR as it is set now.

    Raises:
        ConfigurationError: a file cannot be read.
        OSError: the folder cannot be written.
    """
    paths = [Path(os.path.normpath(path.absolute())) for path in files]  # comparable without ..
    if missing := [path for path in paths if not path.is_file()]:
        raise ConfigurationError(f"no file {', '.join(map(str, missing))}")
    source = _folder_of(paths, input_dir)
    proposals = propose([look(path, source) for path in paths])
    for each in proposals:
        yield f"{each.part}.{each.name}: {each.reason}"
    yield from _write(folder / PIPELINE, as_toml(proposals))
    yield from _write(folder / SETTINGS, _settings_for(folder, source))


def _folder_of(paths: Sequence[Path], input_dir: Path | None) -> Path:
    """INPUT_DIR, if all files lie below it; else the folder that they share."""
    here = input_dir is not None and not is_cloud(input_dir)
    if here and all(path.is_relative_to(str(input_dir)) for path in paths):
        return Path(str(input_dir))
    return Path(os.path.commonpath([path.parent for path in paths]))


def _settings_for(folder: Path, source: Path) -> str:
    inside = source.is_relative_to(folder)
    shown = source.relative_to(folder) if inside else source
    return (
        "# Written by init; .env.example, and docs/settings.md, explain all settings.\n"
        f"INPUT_DIR={shown.as_posix()}\n"
    )


def _write(path: Path, text: str) -> Iterator[str]:
    if path.exists():
        yield f"{path}: left as it is; nothing that is there is written over"
        return
    path.write_text(text, encoding="utf-8")
    yield f"{path}: made"

"""Jinja2 templates of a room: strict, and compiled once, as Python compiles its modules."""

import sys
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket

from etl.files import write_atomically


def templates(folder: Path, **options: Any) -> Environment:
    """Return the templates of a folder; a name that a template lacks is an error.

    Args:
        folder: where they are.
        **options: of the environment, such as `autoescape`.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "greeting.txt").write_text("Hello {{ name }}")
        ...     templates(Path(folder)).get_template("greeting.txt").render(name="Ann")
        'Hello Ann'
    """
    return Environment(  # noqa: S701  # whoever writes markup sets autoescape
        loader=FileSystemLoader(folder), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, bytecode_cache=_Compiled(folder / "__pycache__"), **options,
    )  # fmt: skip


class _Compiled(BytecodeCache):
    """Compiled templates beside the others, if this user may write there.

    To compile those of the page takes 0.25 s of CPU, half of what a small run needs besides.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load_bytecode(self, bucket: Bucket) -> None:
        with suppress(OSError), self._path(bucket).open("rb") as file:
            bucket.load_bytecode(file)

    def dump_bytecode(self, bucket: Bucket) -> None:
        if sys.dont_write_bytecode:
            return
        code = BytesIO()
        bucket.write_bytecode(code)
        with suppress(OSError):  # a package that root has installed; a full disk
            self._folder.mkdir(exist_ok=True)
            write_atomically(self._path(bucket), code.getvalue())

    def _path(self, bucket: Bucket) -> Path:
        return self._folder / f"{bucket.key}.jinja"

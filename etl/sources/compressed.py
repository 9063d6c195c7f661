"""Compressed files as the bytes inside them: gzip, bzip2, xz, zstd, and zip with one member."""

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from etl.errors import ExtractionError


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...


# What each format begins with, and what reads it.
_ZIP = b"PK\x03\x04"
_FORMATS: dict[bytes, Callable[[Any], _Stream]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
    b"\x28\xb5\x2f\xfd": lambda file: pa.CompressedInputStream(file, "zstd"),
}
_AS_CSV = "save the sheet as 'CSV UTF-8' in Excel"
_WEB_PAGE = ("a web page", "open it: it may ask for a login, or name an error")
# What other files begin with that are often exported or downloaded in place of the wanted one.
_OTHERS = {
    b"\xd0\xcf\x11\xe0": ("an old workbook of Excel (.xls) or another Office file", _AS_CSV),
    b"PAR1\x15": ("a Parquet file", "export CSV or JSON, or load it as a DataFrame by load_frame"),
    b"%PDF-": ("a PDF", "export CSV or JSON"),
    b"<!doctype html": _WEB_PAGE,
    b"<html": _WEB_PAGE,
}
_OFFICE_MEMBER = "[Content_Types].xml"  # in every file of Office Open XML
_START = 64  # bytes that show what a file is, blanks before it included
_DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, pa.ArrowException)


def decompressed(file: BufferedReader, path: Path) -> BufferedReader:
    """Open what is inside a compressed file; any other file is given back as it is.

    Args:
        file: the open file, at its first byte.
        path: its name, for messages.

    Returns:
        A reader of the bytes inside; reading raises ExtractionError where the file is damaged.

    Raises:
        ExtractionError: it is no zip that can be opened, or one with another number of members, or
            a file of a kind that is never CSV or JSON.

    Example:
        >>> import io
        >>> packed = BufferedReader(io.BytesIO(gzip.compress(b"customer_id")))
        >>> decompressed(packed, Path("customers.csv.gz")).read()
        b'customer_id'
    """
    start = file.peek(_START)
    if start.startswith(_ZIP):
        return BufferedReader(_Inside(_only_member(file, path), path))
    for mark, opened in _FORMATS.items():
        if start.startswith(mark):
            return BufferedReader(_Inside(opened(file), path))
    _refuse_others(start, path)
    return file


def _refuse_others(start: bytes, path: Path) -> None:
    for mark, (kind, next_step) in _OTHERS.items():
        if start.lstrip().lower().startswith(mark.lower()):
            raise ExtractionError(f"{path} is {kind}, not a CSV or JSON file", next_step=next_step)


def _only_member(file: BufferedReader, path: Path) -> _Stream:
    try:
        archive = zipfile.ZipFile(file)
        members = [member for member in archive.infolist() if _is_of_the_user(member)]
        if len(members) == 1:
            return archive.open(members[0])
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:  # or encrypted
        raise _damaged(path, error) from error
    if any(member.filename == _OFFICE_MEMBER for member in members):
        raise ExtractionError(
            f"{path} is a workbook of Excel or another Office file, not a CSV or JSON file",
            next_step=_AS_CSV,
        )
    names = ", ".join(repr(member.filename) for member in members[:5]) or "none"
    raise ExtractionError(
        f"{path} is a zip with {len(members)} files, one is wanted: {names}",
        next_step="unpack it, or pack each file into a zip of its own",
    )


def _is_of_the_user(member: zipfile.ZipInfo) -> bool:
    """Whether a member is neither a folder nor what macOS adds: __MACOSX/._x and .DS_Store."""
    hidden = any(part.startswith((".", "__MACOSX")) for part in Path(member.filename).parts)
    return not member.is_dir() and not hidden


class _Inside(RawIOBase):
    """The bytes inside a compressed file; damage is an error of the source."""

    def __init__(self, stream: _Stream, path: Path) -> None:
        self._stream, self._path = stream, path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except _DAMAGED as error:
            if getattr(error, "errno", None):  # the medium fails, not the format
                raise
            raise _damaged(self._path, error) from error
        buffer[: len(data)] = data
        return len(data)


def _damaged(path: Path, error: Exception) -> ExtractionError:
    return ExtractionError(
        f"{path} cannot be decompressed: {error or type(error).__name__}",
        next_step="check that it was copied whole, or unpack it by hand",
    )

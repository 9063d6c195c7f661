"""Compressed sources are read as what is inside them; damage is an error that names the file."""

import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.errors import ExtractionError
from etl.sources.compressed import decompressed

PATH = Path("customers.csv.x")
TEXT = b"customer_id,email\n" + b"".join(b"C%06d,a@b.org\n" % n for n in range(30_000))


def zipped(data: bytes, *names: str) -> bytes:
    target = BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, data)
    return target.getvalue()


def zstd(data: bytes) -> bytes:
    target = pa.BufferOutputStream()
    with pa.CompressedOutputStream(target, "zstd") as stream:
        stream.write(data)
    return bytes(target.getvalue())


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "gzip of two members": lambda data: gzip.compress(data[:100]) + gzip.compress(data[100:]),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
    "zip": lambda data: zipped(data, "inside.csv"),
}


def reader(data: bytes) -> BufferedReader:
    return BufferedReader(BytesIO(data))


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_a_compressed_file_is_read_as_what_is_inside(pack: Callable[[bytes], bytes]) -> None:
    file = reader(pack(TEXT))
    inside = decompressed(file, PATH)
    assert inside.read(10) + inside.read() == TEXT


@given(st.sampled_from(sorted(set(PACKED) - {"gzip of two members"})), st.binary(max_size=300))
def test_whatever_is_packed_comes_out(name: str, data: bytes) -> None:
    assert decompressed(reader(PACKED[name](data)), PATH).read() == data


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
def test_a_file_that_is_cut_short_is_an_error_that_names_it(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(TEXT)
    with pytest.raises(ExtractionError, match=r"customers\.csv\.x cannot be decompressed"):
        decompressed(reader(packed[: len(packed) // 2]), PATH).read()


def test_a_zip_with_two_files_is_refused_with_their_names() -> None:
    with pytest.raises(ExtractionError, match=r"a zip with 2 files, one is wanted: 'a\.csv', 'b"):
        decompressed(reader(zipped(TEXT, "a.csv", "b.csv")), PATH)


def test_what_macos_adds_to_a_zip_is_not_counted() -> None:
    packed = zipped(TEXT, "data/inside.csv", "__MACOSX/data/._inside.csv", "data/.DS_Store")
    assert decompressed(reader(packed), PATH).read() == TEXT


def test_a_workbook_is_named_as_one() -> None:
    packed = zipped(TEXT, "[Content_Types].xml", "xl/workbook.xml")
    with pytest.raises(ExtractionError, match=r"a workbook of Excel .* save the sheet as 'CSV"):
        decompressed(reader(packed), PATH)


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1", r"an old workbook of Excel .* save the sheet as 'CSV"),
        (b"PAR1\x15\x04", "a Parquet file"),
        (b"%PDF-1.7", "a PDF"),
        (b"\r\n<!DOCTYPE html>\n<html>", "a web page, .* a login"),
        (b"<HTML><body>404 Not Found", "a web page"),
    ],
)
def test_a_file_of_another_kind_is_named_as_what_it_is(start: bytes, kind: str) -> None:
    with pytest.raises(ExtractionError, match=rf"customers\.csv\.x is {kind}"):
        decompressed(reader(start + b"\0" * 100), PATH)


def test_any_other_file_is_given_back_as_it_is() -> None:
    file = reader(TEXT)
    assert decompressed(file, PATH) is file


def test_a_disk_that_fails_is_not_taken_for_damage() -> None:
    class Failing(io.RawIOBase):
        def __init__(self) -> None:
            self.pieces = [gzip.compress(TEXT)[:5000]]

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            if not self.pieces:
                raise OSError(5, "Input/output error")
            data = self.pieces.pop()[: len(buffer)]
            buffer[: len(data)] = data
            return len(data)

    with pytest.raises(OSError, match="Input/output error"):
        decompressed(BufferedReader(Failing()), PATH).read()

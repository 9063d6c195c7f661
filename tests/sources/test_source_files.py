"""A source file that changes while it is read gives no mixture of old and new."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from etl.errors import ExtractionError
from etl.sources.csv_format import CsvFormat
from etl.sources.csv_reader import read_csv_blocks
from etl.sources.file_signature import FileSignature, file_signature
from etl.sources.files import open_source
from etl.sources.json_reader import read_json_items

NUMBERS = range(1000, 5000)  # four digits each, and far more than is buffered at a time
LONG_AGO = 1_705_737_600_000_000_000  # 2024-01-20 08:00 UTC; no change here can be that old

Reader = Callable[[Path], Iterator[object]]


def csv_text(word: str) -> str:
    return "a,b\n" + "".join(f"{number},{word}\n" for number in NUMBERS)


def json_text(word: str) -> str:
    return json.dumps({"products": [{"a": number, "b": word} for number in NUMBERS]})


def read_csv(path: Path) -> Iterator[object]:
    return read_csv_blocks(path, ("a", "b"), csv_format=CsvFormat(longest_line_bytes=64))


def read_json(path: Path) -> Iterator[object]:
    return read_json_items(path, "products", chunk_chars=64)


def old_file(path: Path, text: str) -> Path:
    path.write_text(text)
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return path


def extend(path: Path) -> None:
    with path.open("a") as file:
        file.write("9999,new\n")


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def write_over(path: Path) -> None:
    """Other values, the same size, the same file."""
    text = path.read_text().replace("old", "new")
    with path.open("r+") as file:
        file.write(text)


def extend_and_set_time_back(path: Path) -> None:
    """As tools do that copy a file together with its time."""
    extend(path)
    os.utime(path, ns=(LONG_AGO, LONG_AGO))


def replace(path: Path) -> None:
    beside = path.with_name("beside")
    beside.write_text(path.read_text().replace("old", "new"))
    beside.replace(path)


def replace_by_twin(path: Path) -> None:
    """Neither size nor time tell the files apart."""
    old_file(path.with_name("beside"), path.read_text()).replace(path)


def remove(path: Path) -> None:
    path.unlink()


WRITES = [extend, extend_and_set_time_back, cut_off, write_over, replace, replace_by_twin]
CHANGES = [*WRITES, remove]
READERS = [
    pytest.param(read_csv, csv_text, id="csv"),
    pytest.param(read_json, json_text, id="json"),
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("read", "text"), READERS)
def test_a_change_between_two_blocks_is_an_error_that_says_what_to_do(
    tmp_path: Path, read: Reader, text: Callable[[str], str], change: Callable[[Path], None]
) -> None:
    path = old_file(tmp_path / "source", text("old"))
    blocks = read(path)
    next(blocks)
    change(path)
    with pytest.raises(ExtractionError, match="changed while it was read") as caught:
        list(blocks)
    reported = str(caught.value)
    assert reported.startswith(str(path))
    assert "bytes, written 2024-01-20T08:00:00" in reported
    assert "Next: run again once it is written" in reported
    assert "renamed" in reported


@pytest.mark.parametrize(("read", "text"), READERS)
def test_a_file_that_stays_is_read_to_its_end(
    tmp_path: Path, read: Reader, text: Callable[[str], str]
) -> None:
    path = old_file(tmp_path / "source", text("old"))
    assert len(list(read(path))) >= len(NUMBERS) // 10


@pytest.mark.parametrize(("read", "text"), READERS)
def test_another_reader_is_no_change(
    tmp_path: Path, read: Reader, text: Callable[[str], str]
) -> None:
    path = old_file(tmp_path / "source", text("old"))
    blocks = read(path)
    next(blocks)
    os.utime(path, ns=(LONG_AGO + 10**9, LONG_AGO))  # the time of access alone
    assert list(blocks)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("read", "text"), READERS)
def test_an_iterator_that_nobody_reads_on_is_silent(
    tmp_path: Path, read: Reader, text: Callable[[str], str], change: Callable[[Path], None]
) -> None:
    path = old_file(tmp_path / "source", text("old"))
    blocks = read(path)
    next(blocks)
    change(path)
    assert isinstance(blocks, Iterator)
    blocks.close()  # type: ignore[attr-defined]  # both readers are generators
    assert not list(blocks)


def test_a_link_that_is_turned_to_another_file_is_a_change(tmp_path: Path) -> None:
    for name in ("monday", "tuesday"):
        old_file(tmp_path / name, csv_text("old"))
    link = tmp_path / "latest"
    link.symlink_to("monday")
    blocks = read_csv(link)
    next(blocks)
    link.unlink()
    link.symlink_to("tuesday")
    with pytest.raises(ExtractionError, match="another file is there"):
        list(blocks)


def test_a_change_counts_also_when_it_comes_after_the_last_byte(tmp_path: Path) -> None:
    path = old_file(tmp_path / "source", "a,b\n1,old\n")
    blocks = read_csv_blocks(path, ("a", "b"))
    next(blocks)  # the only one
    extend(path)  # whoever wrote it has not finished yet
    with pytest.raises(ExtractionError, match="changed while it was read"):
        list(blocks)


def test_a_fault_that_comes_from_a_change_is_called_a_change(tmp_path: Path) -> None:
    path = old_file(tmp_path / "source", json_text("old"))
    items = read_json(path)
    next(items)
    cut_off(path)
    with pytest.raises(ExtractionError, match="changed while it was read") as caught:
        list(items)
    assert "the file ends too early" in str(caught.value.__cause__)


def test_a_fault_of_an_unchanged_file_stays_what_it_is(tmp_path: Path) -> None:
    path = old_file(tmp_path / "source", json_text("old")[:-20])
    with pytest.raises(ExtractionError, match="the file ends too early"):
        list(read_json(path))


def test_any_other_exception_of_the_reader_goes_before_a_change(tmp_path: Path) -> None:
    path = old_file(tmp_path / "source", "text")
    with pytest.raises(KeyError), open_source(path) as file:
        remove(path)
        raise KeyError(file.read())


def test_the_file_is_closed_whatever_happens(tmp_path: Path) -> None:
    path = old_file(tmp_path / "source", "text")
    with pytest.raises(ExtractionError), open_source(path) as file:
        remove(path)
    assert file.closed


# ---------------------------------------------------------------- signatures


@pytest.mark.parametrize("change", WRITES)
def test_a_signature_differs_after_any_change(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = old_file(tmp_path / "source", "old old old")
    before, kept = file_signature(path), path.open()  # held open, so that its number stays taken
    assert file_signature(path) == before
    change(path)
    kept.close()
    assert file_signature(path) != before


def test_the_signature_of_no_file_is_the_built_in_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*nothing\. Next: put it there"):
        file_signature(tmp_path / "nothing")


def test_a_signature_can_be_read_by_people(tmp_path: Path) -> None:
    signature = FileSignature(device=5, inode=7, size=1234, mtime_ns=LONG_AGO + 1_999)
    assert str(signature) == "1,234 bytes, written 2024-01-20T08:00:00.000001+00:00"
    assert repr(signature) == f"FileSignature({signature}, inode 7 on device 5)"


@pytest.mark.parametrize("mtime_ns", [10**30, -(10**30), -1])
def test_a_time_from_a_damaged_disk_can_be_shown(mtime_ns: int) -> None:
    assert FileSignature(1, 2, 3, mtime_ns).modified

"""Single records of a CSV file are read again from where they stand, and are the same."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.errors import ExtractionError
from etl.rules.blocks import Block
from etl.sources import csv_places
from etl.sources.csv_format import CsvFormat
from etl.sources.csv_reader import read_csv_blocks, read_csv_rows
from etl.sources.files import FileTrace

COLUMNS = ("a", "b")
FIELDS = ["1", "ä", '"x\ny"', '"u""u"', '"', "", "漢", '"open', " "]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "gb18030"]
Records = list[dict[str, object]]


def records_of(blocks: list[Block]) -> Records:
    return [row for block in blocks for row in block.records.to_pylist()]


def read_twice(path: Path, written: CsvFormat, wanted: list[int]) -> tuple[Records, Records]:
    """Those of the wanted rows that are records: as they are among all, and read again."""
    trace = FileTrace()
    blocks = read_csv_blocks(path, COLUMNS, besides=("c",), csv_format=written, trace=trace)
    among_all = [row for row in records_of(list(blocks)) if row["source_row"] in wanted]
    rows = np.array([row["source_row"] for row in among_all], np.int64)
    again = read_csv_rows(path, COLUMNS, rows, csv_format=written, trace=trace)
    return [{k: v for k, v in row.items() if k != "c"} for row in among_all], records_of(
        list(again)
    )


@given(
    rows=st.lists(st.lists(st.sampled_from(FIELDS), min_size=2, max_size=3), max_size=12),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(ENCODINGS),
    block_bytes=st.sampled_from([24, 2**20]),
    wanted=st.sets(st.integers(2, 30)),
)
def test_records_are_the_same_whatever_the_file_is_like(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[str]],
    end: str,
    encoding: str,
    block_bytes: int,
    wanted: set[int],
) -> None:
    path = tmp_path_factory.mktemp("places") / "customers.csv"
    text = end.join(["c,b,a", *(",".join(row) for row in rows), "3,2,1"])
    path.write_bytes(text.encode(encoding))
    written = CsvFormat(encoding.removesuffix("-sig"), block_bytes)
    among_all, again = read_twice(path, written, sorted(wanted))
    assert again == among_all


def with_records(folder: Path, count: int) -> tuple[Path, FileTrace]:
    """A file of so many records, read once."""
    path, trace = folder / "customers.csv", FileTrace()
    path.write_text("a,b\n" + "".join(f"{n},x\n" for n in range(10, 10 + count)), encoding="utf-8")
    list(read_csv_blocks(path, COLUMNS, trace=trace))
    return path, trace


def read_again(path: Path, trace: FileTrace, row: int) -> Records:
    return records_of(list(read_csv_rows(path, COLUMNS, np.array([row]), trace=trace)))


def test_what_stands_around_a_record_is_not_looked_at_again(tmp_path: Path) -> None:
    path, trace = with_records(tmp_path, 5)
    path.write_bytes(path.read_bytes().replace(b"10,x\n", b"\xff\xff\xff\xff\n"))
    assert read_again(path, trace, 4) == [{"source_row": 4, "a": "12", "b": "x"}]


def test_a_file_that_became_shorter_is_read_from_its_beginning(tmp_path: Path) -> None:
    path, trace = with_records(tmp_path, 5)
    path.write_text("a,b\n7,y\n", encoding="utf-8")
    assert read_again(path, trace, 6) == []
    assert read_again(path, trace, 2) == [{"source_row": 2, "a": "7", "b": "y"}]


def test_of_a_compressed_file_no_places_are_remembered(tmp_path: Path) -> None:
    plain, trace = with_records(tmp_path, 5)
    packed, of_packed = tmp_path / "packed.csv.gz", FileTrace()
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    list(read_csv_blocks(packed, COLUMNS, trace=of_packed))
    assert trace.places is not None
    assert of_packed.places is None
    assert read_again(packed, of_packed, 4) == read_again(plain, trace, 4)


def test_of_a_file_with_very_many_rows_no_places_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_places, "MOST_ROWS", 4)
    path, trace = with_records(tmp_path, 5)
    path.write_bytes(path.read_bytes().replace(b"10,x\n", b"\xff\xff\xff\xff\n"))
    with pytest.raises(ExtractionError, match="row 2"):
        read_again(path, trace, 4)

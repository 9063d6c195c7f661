"""A CSV file is cut where rows begin, and its parts are read as the same rows of the whole are."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from csv_model import HEADERS, TOKENS, model_row_starts
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import ExtractionError
from etl.rules.blocks import Block
from etl.sources.csv_cuts import CsvColumns, cut_csv
from etl.sources.csv_format import PLAIN, CsvFormat
from etl.sources.csv_lines import MOST_LINES
from etl.sources.csv_reader import read_csv_file
from etl.sources.pieces import Cut
from etl.sources.several import SourceFile
from etl.sources.watch import Watch


@dataclass
class Found:
    """What was read, whatever the blocks."""

    records: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    examined: int = 0

    def add(self, blocks: Sequence[Block]) -> None:
        for block in blocks:
            self.records += block.records.to_pylist()
            self.rejected += block.rejected.to_pylist()
            self.examined += block.examined


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "customers.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def cuts_of(
    path: Path, size: int, columns: tuple[str, ...] = ("a", "b"), form: CsvFormat = PLAIN
) -> Sequence[Cut]:
    return cut_csv(SourceFile(path), size, CsvColumns(columns, form))


def read_whole(path: Path, columns: tuple[str, ...] = ("a", "b")) -> tuple[Found, int]:
    found, watch = Found(), Watch()
    found.add(list(read_csv_file(SourceFile(path), columns, watch=watch)))
    return found, watch.counts["skipped_rows"]


def read_parts(
    path: Path, cuts: Sequence[Cut], columns: tuple[str, ...] = ("a", "b"), block_bytes: int = 2**20
) -> tuple[Found, int]:
    found, watch = Found(), Watch()
    for cut in cuts or (None,):
        file = SourceFile(path, cut=cut)
        form = CsvFormat(longest_line_bytes=block_bytes)
        blocks = list(read_csv_file(file, columns, csv_format=form, watch=watch))
        assert cut is None or sum(block.rows for block in blocks) <= cut.rows
        found.add(blocks)
    return found, watch.counts["skipped_rows"]


def assert_same(path: Path, size: int, columns: tuple[str, ...] = ("a", "b")) -> Sequence[Cut]:
    cuts = cuts_of(path, size, columns)
    assert read_parts(path, cuts, columns) == read_whole(path, columns)
    return cuts


# ------------------------------------------------------------------------ where it is cut


def test_a_quoted_line_break_is_no_place_to_cut(tmp_path: Path) -> None:
    path = written(tmp_path, 'a,b\n1,"x\ny"\n2,z\n')
    cuts = assert_same(path, 1)
    assert [(cut.start, cut.first_row) for cut in cuts] == [(0, 1), (4, 2), (12, 3)]


def test_a_lost_quote_costs_only_its_record_at_a_cut_too(tmp_path: Path) -> None:
    lines = [f"{number},x" for number in range(60)]
    for at in (0, 3, 30, 59):
        lost = [*lines[:at], f'"{at},x', *lines[at + 1 :]]
        path = written(tmp_path, "\n".join(["a,b", *lost, ""]))
        for size in (1, 7, 100):
            assert_same(path, size)
        found, _ = read_parts(path, cuts_of(path, 1))
        assert [row["source_row"] for row in found.rejected] == [at + 2]
        assert len(found.records) == 59


def test_a_reason_does_not_depend_on_where_a_part_ends(tmp_path: Path) -> None:
    path = written(tmp_path, 'a,b\n"1,x\n2,y\n3"z,z\n4,w\n')
    cuts = assert_same(path, 1)
    (fault,) = read_parts(path, cuts)[0].rejected
    assert fault["reason"] == "text after the closing quote of field 1"


def test_the_rows_of_a_part_are_at_least_its_records(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b\n" + "1,2\n\n,\n" * 20)
    cuts = assert_same(path, 10)
    assert sum(cut.rows for cut in cuts) == 61
    assert [cut.start for cut in cuts[1:]] == [cut.end for cut in cuts[:-1]]
    assert cuts[-1].end == path.stat().st_size


def test_a_line_of_dashes_is_a_ruler_after_the_header_alone(tmp_path: Path) -> None:
    for text in ("a,b\n--,--\n1,2\n--,--\n", "a,b\n\n\n--,--\n1,2\n", "a,b\n,\n--,--\n1,2\n"):
        path = written(tmp_path, text)
        for size in (1, 5, 6, 9):
            assert_same(path, size)


def test_a_header_below_other_lines_comes_again_in_any_part(tmp_path: Path) -> None:
    text = "Export of May\n\n" + "a;b\n1;2\n" * 30
    path = written(tmp_path, text)
    assert len(assert_same(path, 12)) > 10


def test_a_byte_order_mark_belongs_to_the_first_part(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffa,b\n" + "1,ü\n" * 9)
    assert len(assert_same(path, 3)) == 10


# ------------------------------------------------------------------------ what is not cut


@pytest.mark.parametrize("content", ["", "a,b\n", "a\n1\n", "a,b\n1,2\n" * 3])
def test_what_is_small_or_has_a_fault_is_one_part(tmp_path: Path, content: str) -> None:
    size = 1 if len(content) < 20 else 1000
    assert cuts_of(written(tmp_path, content), size) == ()


def test_a_file_that_is_not_there_is_left_to_reading(tmp_path: Path) -> None:
    assert cuts_of(tmp_path / "none.csv", 1) == ()


# ------------------------------------------------------------------------ the file as a whole


def test_cutting_traces_the_file(tmp_path: Path) -> None:
    content = b"a,b\n" + b"1,2\n" * 1000
    file = SourceFile(written(tmp_path, content))
    cut_csv(file, 100, CsvColumns(("a", "b"), CsvFormat()))
    assert file.trace.bytes == len(content)
    assert file.trace.sha256 == hashlib.sha256(content).hexdigest()


def test_a_file_that_was_written_since_it_was_cut_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b\n" + "1,2\n" * 10)
    cuts = cuts_of(path, 8)
    os.utime(path, ns=(1, 1))
    with pytest.raises(ExtractionError, match="changed since it was cut into pieces"):
        read_parts(path, cuts)


def test_a_part_is_read_without_the_rest_of_the_file(tmp_path: Path) -> None:
    """Bytes that are no text are in the others."""
    good = "a,b\n" + "1,2\n" * 10
    path = written(tmp_path, good)
    cuts = cuts_of(path, 8)
    stamp = path.stat()
    content = bytearray(good.encode())
    content[cuts[3].start] = 0xFF
    path.write_bytes(content)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    for number, cut in enumerate(cuts):
        if number != 3:
            read_parts(path, [cut])
    with pytest.raises(ExtractionError, match=rf"byte 0xFF at offset {cuts[3].start} \(row 7\)"):
        read_parts(path, [cuts[3]])


# ------------------------------------------------------------------------ any text


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cuts")


@settings(max_examples=150, deadline=None)
@given(
    tokens=st.lists(st.sampled_from(TOKENS), max_size=60),
    width=st.sampled_from([1, 2, 3]),
    size=st.integers(1, 40),
    block_bytes=st.sampled_from([64, 2**20]),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_any_text_in_parts_is_read_as_the_whole(
    folder: Path, tokens: list[str], width: int, size: int, block_bytes: int, line_end: str
) -> None:
    text = HEADERS[width] + line_end + "".join(tokens)
    columns = tuple(HEADERS[width].split(","))
    path = written(folder, text)
    cuts = cuts_of(path, size, columns)
    expected = read_whole(path, columns)
    longest = max(len(line.encode()) for line in text.splitlines())
    assert read_parts(path, cuts, columns, max(block_bytes, longest)) == expected


@settings(max_examples=100, deadline=None)
@given(
    tokens=st.lists(st.sampled_from(TOKENS), max_size=60),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_a_cut_can_be_made_at_every_row_of_the_model(
    folder: Path, tokens: list[str], line_end: str
) -> None:
    text = "a,b" + line_end + "x" + "".join(tokens)
    starts = [len(text[:at].encode()) for at in model_row_starts(text, 2)]
    cuts = cuts_of(written(folder, text), 1)
    assert [cut.start for cut in cuts] == starts
    assert [cut.first_row for cut in cuts] == list(range(1, len(starts) + 1))


@settings(max_examples=100, deadline=None)
@given(
    lines=st.lists(
        st.sampled_from(["", "x", '"', 'x,"', '",y', "x,y", '"x","y"']), max_size=4 * MOST_LINES
    ),
    size=st.integers(1, 200),
)
def test_long_runs_of_lines_in_parts_are_read_as_the_whole(
    folder: Path, lines: list[str], size: int
) -> None:
    path = written(folder, "\n".join(["a,b", *lines]))
    assert_same(path, size)


# ------------------------------------------------------------------------ other encodings


def read_encoded(path: Path, cuts: Sequence[Cut | None], form: CsvFormat) -> tuple[Found, Watch]:
    found, watch = Found(), Watch()
    for cut in cuts:
        file = SourceFile(path, cut=cut)
        found.add(list(read_csv_file(file, ("a", "b"), csv_format=form, watch=watch)))
    return found, watch


WHOLE: Sequence[Cut | None] = (None,)
ENCODINGS = ("cp1252", "iso-8859-15", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig")


@settings(max_examples=80, deadline=None)
@given(
    tokens=st.lists(st.sampled_from([*TOKENS, "\U0001f600", "\u20ac"]), max_size=40),
    encoding=st.sampled_from(ENCODINGS),
    size=st.integers(1, 60),
)
def test_any_text_in_any_encoding_in_parts_is_read_as_the_whole(
    folder: Path, tokens: list[str], encoding: str, size: int
) -> None:
    content = ("a,b\nx" + "".join(tokens)).encode(encoding, "replace")
    path, form = written(folder, content), CsvFormat(encoding)
    cuts = cuts_of(path, size, form=form)
    (whole, seen), (parts, noticed) = (
        read_encoded(path, each, form) for each in (WHOLE, cuts or WHOLE)
    )
    assert parts == whole
    assert (noticed.facts, noticed.warnings, +noticed.counts) == (
        seen.facts, seen.warnings, +seen.counts,
    )  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_each_of_these_encodings_is_cut(tmp_path: Path, encoding: str) -> None:
    content = ("a,b\n" + '"x\ny",\u20ac\n' * 20).encode(encoding, "replace")
    form = CsvFormat(encoding)
    cuts = cuts_of(written(tmp_path, content), 1, form=form)
    assert len(cuts) == 21
    assert cuts[-1].end == len(content)


def test_an_order_of_bytes_that_nothing_shows_is_not_guessed(tmp_path: Path) -> None:
    path = written(tmp_path, "\u20ac,b\n1,2\n3,4\n".encode("utf-16-le"))
    assert cuts_of(path, 1, ("\u20ac", "b"), CsvFormat("utf-16")) == ()


@pytest.mark.parametrize("encoding", ["utf-7", "shift_jis", "gb18030"])
def test_an_encoding_whose_characters_have_no_places_is_one_part(
    tmp_path: Path, encoding: str
) -> None:
    path = written(tmp_path, "a,b\n1,2\n3,4\n".encode(encoding))
    assert cuts_of(path, 1, form=CsvFormat(encoding)) == ()


@pytest.mark.parametrize("last", ["\u00fc".encode(), b"\xfc"])
def test_only_the_whole_file_shows_that_it_is_another_encoding(tmp_path: Path, last: bytes) -> None:
    path = written(tmp_path, b"a,b\n" + "1,\u00fc\n".encode() * 9 + b"2," + last + b"\n")
    form = CsvFormat("cp1252")
    cuts = cuts_of(path, 8, form=form)
    assert len(cuts) > 3
    _, noticed = read_encoded(path, cuts, form)
    _, seen = read_encoded(path, WHOLE, form)
    assert noticed.warnings == seen.warnings
    assert bool(seen.warnings) == (len(last) > 1)

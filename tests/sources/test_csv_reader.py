"""How CSV files are read: every rule by name, and all of them against a slow, obvious model."""

import bz2
import contextlib
import gzip
import hashlib
import lzma
import os
import re
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from csv_model import HEADERS, TOKENS, model, model_lines
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import ExtractionError, ValidationError
from etl.rejects import MALFORMED
from etl.rules.blocks import Block
from etl.sources import csv_reader
from etl.sources.csv_format import CsvFormat
from etl.sources.csv_header import HeaderOptions
from etl.sources.csv_lines import MOST_LINES, MOST_RECORD_BYTES
from etl.sources.csv_reader import read_csv_blocks, read_csv_rows
from etl.sources.files import FileTrace
from etl.sources.watch import Watch

Row = tuple[int, str, str]  # source row, a, b
NOBODY = 65534


# ---------------------------------------------------------------- reading in a test


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "customers.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


class Malformed(NamedTuple):
    source_row: int
    raw_text: str
    reason: str


def read(path: Path, *, encoding: str = "utf-8", block_bytes: int = 2**20) -> list[Block]:
    return list(read_csv_blocks(path, ("a", "b"), csv_format=CsvFormat(encoding, block_bytes)))


def rows_of(blocks: list[Block]) -> list[Row]:
    return [
        (row["source_row"], row["a"], row["b"])
        for block in blocks
        for row in block.records.to_pylist()
    ]


def malformed_of(blocks: list[Block]) -> list[Malformed]:
    return [malformed for block in blocks for malformed in malformed_of_block(block)]


def malformed_of_block(block: Block) -> list[Malformed]:
    rejected = block.rejected
    assert set(rejected["error_class"].to_pylist()) <= {MALFORMED}
    columns = ("source_row", "raw_record", "reason")
    return [
        Malformed(*row) for row in zip(*(rejected[c].to_pylist() for c in columns), strict=True)
    ]


def read_text(folder: Path, content: str | bytes) -> tuple[list[Row], list[tuple[int, str]]]:
    """Read `content`: the good rows, and row and raw text of the malformed ones."""
    blocks = read(write(folder, content))
    return rows_of(blocks), [(bad.source_row, bad.raw_text) for bad in malformed_of(blocks)]


# ---------------------------------------------------------------- what a record is


def test_the_wanted_columns_come_in_the_wanted_order_and_others_are_left_out(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, "b,x,a\n1,2,3\n")
    (block,) = read_csv_blocks(path, ("a", "b"))
    assert block.records.schema == pa.schema(
        [("source_row", pa.int64()), ("a", pa.string()), ("b", pa.string())]
    )
    assert block.records.to_pylist() == [{"source_row": 2, "a": "3", "b": "1"}]


def test_an_empty_cell_is_empty_text_and_never_null(tmp_path: Path) -> None:
    blocks = read(write(tmp_path, 'a,b\n,""\nNA,null\n'))
    assert rows_of(blocks) == [(2, "", ""), (3, "NA", "null")]
    assert [column.null_count for column in blocks[0].records.columns] == [0, 0, 0]


def test_white_space_around_a_value_is_kept(tmp_path: Path) -> None:
    assert read_text(tmp_path, 'a,b\n x , "y"\n') == ([(2, " x ", ' "y"')], [])


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_every_kind_of_line_end_ends_a_record(tmp_path: Path, line_end: str) -> None:
    text = line_end.join(["a,b", "1,2", '"3","4"', "", "5,6"])
    assert read_text(tmp_path, text) == ([(2, "1", "2"), (3, "3", "4"), (5, "5", "6")], [])


def test_line_ends_may_be_mixed_in_one_file(tmp_path: Path) -> None:
    good, _ = read_text(tmp_path, "a,b\r1,2\r\n3,4\n\r5,6")
    assert good == [(2, "1", "2"), (3, "3", "4"), (5, "5", "6")]


def test_blank_lines_count_as_rows_but_are_no_records(tmp_path: Path) -> None:
    assert read_text(tmp_path, "\n\na,b\n\n1,2\n\n\n") == ([(5, "1", "2")], [])


def test_a_line_of_spaces_is_not_blank(tmp_path: Path) -> None:
    assert read_text(tmp_path, "a,b\n  \n1,2\n") == ([(3, "1", "2")], [(2, "  ")])


def test_a_quoted_line_break_belongs_to_the_value_and_starts_no_row(tmp_path: Path) -> None:
    good, bad = read_text(tmp_path, 'a,b\n"one\r\n\ntwo",2\n3,"x\ry"\n4,5\n')
    assert good == [(2, "one\r\n\ntwo", "2"), (3, "3", "x\ry"), (4, "4", "5")]
    assert bad == []


def test_a_doubled_quote_inside_quotes_is_one_quote(tmp_path: Path) -> None:
    good, _ = read_text(tmp_path, 'a,b\n"6"" pipe",""""\n')
    assert good == [(2, '6" pipe', '"')]


def test_a_quote_in_the_middle_of_a_value_is_just_a_character(tmp_path: Path) -> None:
    good, bad = read_text(tmp_path, 'a,b\n6" pipe,x""y"\n1,2\n')
    assert (good, bad) == ([(2, '6" pipe', 'x""y"'), (3, "1", "2")], [])


def test_a_quoted_comma_separates_nothing(tmp_path: Path) -> None:
    assert read_text(tmp_path, 'a,b\n"1,2",3\n') == ([(2, "1,2", "3")], [])


def test_a_nul_inside_a_value_is_data(tmp_path: Path) -> None:
    assert read_text(tmp_path, 'a,b\n1\0,\0\n"\0",2\n')[0] == [(2, "1\0", "\0"), (3, "\0", "2")]


def test_a_byte_order_mark_inside_the_file_is_data(tmp_path: Path) -> None:
    good, _ = read_text(tmp_path, "a,b\n\ufeff1,2\n\ufeff3,\ufeff\n")
    assert good == [(2, "\ufeff1", "2"), (3, "\ufeff3", "\ufeff")]


def test_the_last_line_needs_no_line_end(tmp_path: Path) -> None:
    assert read_text(tmp_path, 'a,b\n1,"2"') == ([(2, "1", "2")], [])


# ---------------------------------------------------------------- malformed records


def test_a_wrong_number_of_fields_costs_the_record_and_the_file_goes_on(tmp_path: Path) -> None:
    blocks = read(write(tmp_path, 'a,b\n1\n2,3\n"4",5,6\r\n7,8\n'))
    assert rows_of(blocks) == [(3, "2", "3"), (5, "7", "8")]
    assert malformed_of(blocks) == [
        Malformed(2, "1", "1 field where 2 are expected"),
        Malformed(4, '"4",5,6', "3 fields where 2 are expected"),
    ]


def test_text_after_a_closing_quote_costs_its_line(tmp_path: Path) -> None:
    blocks = read(write(tmp_path, 'a,b\n1,"2"x\n3,4\n'))
    assert rows_of(blocks) == [(3, "3", "4")]
    assert malformed_of(blocks) == [
        Malformed(2, '1,"2"x', "text after the closing quote of field 2")
    ]


def test_text_after_the_closing_quote_of_a_long_value_costs_only_its_first_line(
    tmp_path: Path,
) -> None:
    good, bad = read_text(tmp_path, 'a,b\n1,"2\n3,4\n5,6"x\n7,8\n')
    assert good == [(3, "3", "4"), (4, "5", '6"x'), (5, "7", "8")]
    assert bad == [(2, '1,"2')]


def test_a_quote_never_closed_costs_only_its_line(tmp_path: Path) -> None:
    blocks = read(write(tmp_path, 'a,b\n1,"2\n3,4\n5,6\n'))
    assert rows_of(blocks) == [(3, "3", "4"), (4, "5", "6")]
    assert malformed_of(blocks) == [
        Malformed(
            2, '1,"2', "the quote that opens field 2 is not closed before the end of the file"
        )
    ]


def test_a_lost_quote_does_not_swallow_the_quoted_records_after_it(tmp_path: Path) -> None:
    good, bad = read_text(tmp_path, 'a,b\n1,"2\n"3","4"\n"5","6"\n')
    assert (good, bad) == ([(3, "3", "4"), (4, "5", "6")], [(2, '1,"2')])


def test_a_long_record_with_too_many_fields_costs_only_its_first_line(tmp_path: Path) -> None:
    blocks = read(write(tmp_path, 'a,b\n1,"2\n3","4\n5",6,7\n8,9\n'))
    assert rows_of(blocks) == [(5, "8", "9")]
    assert [bad.raw_text for bad in malformed_of(blocks)] == ['1,"2', '3","4', '5",6,7']
    assert malformed_of(blocks)[0].reason == "3 fields where 2 are expected (over several lines)"


def test_a_long_record_with_too_few_fields_costs_only_its_first_line(tmp_path: Path) -> None:
    assert read_text(tmp_path, 'a,b\n"1\n2"\n3,4\n') == ([(4, "3", "4")], [(2, '"1'), (3, '2"')])


def test_a_record_may_run_over_fifty_lines(tmp_path: Path) -> None:
    value = "\n" * (MOST_LINES - 1)
    assert read_text(tmp_path, f'a,b\n"{value}",2\n3,4\n') == ([(2, value, "2"), (3, "3", "4")], [])


def test_a_record_over_more_than_fifty_lines_costs_only_its_first_line(tmp_path: Path) -> None:
    filler = [f"{number},x" for number in range(MOST_LINES - 1)]
    text = "\n".join(["a,b", '"lost', *filler, '",2', "3,4"])
    blocks = read(write(tmp_path, text))
    assert rows_of(blocks)[:2] == [(3, "0", "x"), (4, "1", "x")]
    assert [row[0] for row in rows_of(blocks)] == [*range(3, MOST_LINES + 2), MOST_LINES + 3]
    first, second = malformed_of(blocks)
    assert (first.source_row, first.raw_text) == (2, '"lost')
    assert first.reason == "the quote that opens field 1 is not closed within 50 lines"
    assert (second.source_row, second.raw_text) == (MOST_LINES + 2, '",2')


def test_a_record_over_several_lines_has_a_bound_in_bytes_too(tmp_path: Path) -> None:
    half = "x" * (MOST_RECORD_BYTES // 2)
    path = write(tmp_path, f'a,b\n1,"{half}\n{half}"\n3,4\n')
    for size in (MOST_RECORD_BYTES // 2 + 8, 2**26):
        blocks = read(path, block_bytes=size)
        assert [bad.source_row for bad in malformed_of(blocks)] == [2, 3]
        assert rows_of(blocks) == [(4, "3", "4")]


def test_an_open_quote_is_given_up_before_fifty_huge_lines_are_held_in_memory(
    tmp_path: Path,
) -> None:
    line = "x" * (MOST_RECORD_BYTES // 4)
    path = write(tmp_path, f'a,b\n1,"{line}\n' + f"{line}\n" * 8)
    blocks = read(path, block_bytes=len(line) + 8)
    assert len(malformed_of(blocks[:1])) < 8
    assert [bad.source_row for bad in malformed_of(blocks)] == list(range(2, 11))


def test_a_malformed_row_keeps_its_own_text_among_blank_lines_and_long_records(
    tmp_path: Path,
) -> None:
    good, bad = read_text(tmp_path, 'a,b\n\n"1\n1",2\n\n\nbad ü\r\n3,4\n"\n')
    assert good == [(3, "1\n1", "2"), (7, "3", "4")]
    assert bad == [(6, "bad ü"), (8, '"')]


def test_a_file_of_malformed_records_only_has_blocks_without_records(tmp_path: Path) -> None:
    blocks = read(write(tmp_path, 'a,b\n1\n"\n'))
    assert rows_of(blocks) == []
    assert blocks[0].records.schema.names == ["source_row", "a", "b"]
    assert len(malformed_of(blocks)) == 2


# ---------------------------------------------------------------- the header


def test_header_names_are_trimmed_and_compared_without_case(tmp_path: Path) -> None:
    assert read_text(tmp_path, ' A ,"B"\n1,2\n') == ([(2, "1", "2")], [])


def test_a_header_may_hold_a_quoted_line_break(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,b,"long\nname"\n1,2,3\n')
    assert rows_of(read(path, block_bytes=16)) == [(2, "1", "2")]


def test_a_file_of_only_a_header_has_no_blocks(tmp_path: Path) -> None:
    assert read(write(tmp_path, "a,b")) == []
    assert read(write(tmp_path, "a,b\n\n\n")) == []


@pytest.mark.parametrize("content", [b"", b"\n\n\r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_a_file_without_a_header_is_called_empty(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValidationError, match=r"customers.csv is empty; wanted .*'a', 'b'"):
        read(write(tmp_path, content))


def test_a_missing_column_is_named_beside_what_was_found_and_wanted(tmp_path: Path) -> None:
    with pytest.raises(ValidationError) as caught:
        read(write(tmp_path, "a,c\n1,2\n"))
    message = str(caught.value)
    assert "customers.csv" in message
    assert "lacks 'b'; found 'a', 'c' in line 1; wanted 'a', 'b'" in message


@pytest.mark.parametrize(
    ("separator", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "pipes")]
)
def test_another_separator_is_recognised(tmp_path: Path, separator: str, name: str) -> None:
    text = f'A{separator}b \n1{separator}"2{separator}""x"""\n{separator}\n'
    watch = Watch()
    (block,) = read_csv_blocks(write(tmp_path, text), ("a", "b"), watch=watch)
    assert rows_of([block]) == [(2, "1", f'2{separator}"x"')]
    assert list(watch.facts) == [name]


def test_a_delimiter_that_is_set_may_be_any_ascii_character(tmp_path: Path) -> None:
    written = CsvFormat(header=HeaderOptions("^"))
    (block,) = read_csv_blocks(write(tmp_path, "a^b\n1^2,3\n"), ("a", "b"), csv_format=written)
    assert rows_of([block]) == [(2, "1", "2,3")]
    odd = CsvFormat(header=HeaderOptions("\u00a7"))
    with pytest.raises(ExtractionError, match="cannot separate fields"):
        list(read_csv_blocks(write(tmp_path, "a\u00a7b\n"), ("a", "b"), csv_format=odd))


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n,\n , \n3,4\n",
        "a,b\n1,2\na,b\n\ufeffa,b\n3,4\n",
        "a,b\n---,-\n1,2\n3,4\n\n(2 rows affected)\n",
        "a,b\n1,2\n3,4\n(1 row affected)\n,",
    ],
)
@pytest.mark.parametrize("block_bytes", [20, 2**20])
def test_rows_that_hold_no_record_are_skipped_and_counted(
    tmp_path: Path, text: str, block_bytes: int
) -> None:
    watch = Watch()
    written = CsvFormat(longest_line_bytes=block_bytes)
    path = write(tmp_path, text)
    blocks = list(read_csv_blocks(path, ("a", "b"), csv_format=written, watch=watch))
    assert [row[1:] for row in rows_of(blocks)] == [("1", "2"), ("3", "4")]
    assert malformed_of(blocks) == []
    assert watch.counts["skipped_rows"] == 2


def test_a_row_of_dashes_is_a_record_where_no_header_is_before_it(tmp_path: Path) -> None:
    assert read_text(tmp_path, "a,b\n1,2\n---,--\n")[0] == [(2, "1", "2"), (3, "---", "--")]


def test_lines_above_the_header_are_left_out_and_rows_keep_their_numbers(tmp_path: Path) -> None:
    watch = Watch()
    path = write(tmp_path, "Customers of May\n\nmade by hand;x\na,b\n1,2\n")
    (block,) = read_csv_blocks(path, ("a", "b"), watch=watch)
    assert rows_of([block]) == [(5, "1", "2")]
    assert list(watch.facts) == ["3 lines above the header"]


def test_columns_may_be_renamed_and_missing_ones_have_a_default(tmp_path: Path) -> None:
    path = write(tmp_path, "Kunde,x\n1,2\n3,4\n")
    written = CsvFormat(header=HeaderOptions(rename={"Kunde": "a"}), defaults={"b": "none"})
    watch = Watch()
    (block,) = read_csv_blocks(path, ("a", "b"), csv_format=written, watch=watch)
    assert rows_of([block]) == [(2, "1", "none"), (3, "3", "none")]
    assert list(watch.facts) == ["columns that are not loaded: 'x'"]
    strict = replace(written, refuse_extra=True)
    with pytest.raises(ValidationError, match="columns that the table lacks: 'x'"):
        list(read_csv_blocks(path, ("a", "b"), csv_format=strict))


def test_typographic_quotes_are_named_in_the_reason(tmp_path: Path) -> None:
    (block,) = read_csv_blocks(write(tmp_path, "a,b\n\u201c1,2\u201d,3\n"), ("a", "b"))
    assert "typographic quotes" in block.rejected["reason"][0].as_py()


def test_text_that_is_all_utf8_but_read_as_another_encoding_gives_a_warning(tmp_path: Path) -> None:
    watch = Watch()
    path = write(tmp_path, "a,b\nM\u00fcller,2\n")
    list(read_csv_blocks(path, ("a", "b"), csv_format=CsvFormat("cp1252"), watch=watch))
    assert list(watch.facts) == ["cp1252"]
    assert "valid UTF-8" in next(iter(watch.warnings))
    watch.begin()
    path.write_bytes("a,b\nM\u00fcller,2\n".encode("cp1252"))
    list(read_csv_blocks(path, ("a", "b"), csv_format=CsvFormat("cp1252"), watch=watch))
    assert not watch.warnings


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_file_is_read_and_traced_as_it_lies_there(
    tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    packed, trace = pack(b"a,b\n1,2\n"), FileTrace()
    (block,) = read_csv_blocks(write(tmp_path, packed), ("a", "b"), trace=trace)
    assert rows_of([block]) == [(2, "1", "2")]
    assert trace.bytes == len(packed)
    assert trace.sha256 == hashlib.sha256(packed).hexdigest()


def test_a_missing_file_whose_compressed_twin_is_there_names_it(tmp_path: Path) -> None:
    (tmp_path / "customers.csv.gz").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"customers\.csv\.gz is there"):
        read(tmp_path / "customers.csv")


def test_a_wanted_column_must_not_stand_twice(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="names 'a' more than once"):
        read(write(tmp_path, "a,b, A\n1,2,3\n"))


def test_another_column_may_stand_twice(tmp_path: Path) -> None:
    assert read_text(tmp_path, "x,a,x,b\n1,2,3,4\n")[0] == [(2, "2", "4")]


def test_a_header_with_a_lost_quote_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="header cannot be read: the quote that opens field"):
        read(write(tmp_path, 'a,"b\n1,2\n'))


def test_a_message_lists_only_the_start_of_a_huge_header(tmp_path: Path) -> None:
    header = ",".join(f"column{number}" + "x" * 1000 for number in range(1000))
    with pytest.raises(ValidationError, match="and 980 more") as caught:
        read(write(tmp_path, header))
    assert len(str(caught.value)) < 2000


# ---------------------------------------------------------------- encodings


def test_utf8_may_start_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = write(tmp_path, b'\xef\xbb\xbf"a",b\n\xc3\xbc,2\n')
    for size in (8, 64):
        assert rows_of(read(path, block_bytes=size)) == [(2, "ü", "2")]
    assert rows_of(read(path, encoding="utf-8-sig")) == [(2, "ü", "2")]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "utf-16", "utf-16-le", "utf-32"])
def test_any_encoding_that_python_knows_can_be_read(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path, 'a,b\r\nü,"é\n"\r\n1\r\n'.encode(encoding))
    for size in (9, 64):
        blocks = read(path, encoding=encoding, block_bytes=size)
        assert rows_of(blocks) == [(2, "ü", "é\n")]
        assert [bad.raw_text for bad in malformed_of(blocks)] == ["1"]


def test_a_byte_that_is_no_utf8_is_named_with_its_place(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,b\n"1\n1",2\n\nRené,3\n'.encode("latin-1"))
    for size in (8, 64):
        with pytest.raises(ExtractionError) as caught:
            read(path, block_bytes=size)
        message = str(caught.value)
        assert "customers.csv: byte 0xE9 at offset 16 (row 4) is no utf-8 text" in message
        assert "CSV_ENCODING" in message


def test_a_bad_byte_is_found_in_columns_that_are_left_out_and_in_the_header(
    tmp_path: Path,
) -> None:
    for content, row in ((b"a,b,x\n1,2,\xe9\n", 2), (b"a,b,\xe9\n", 1), (b'a,b\n"\xe9\n', 2)):
        with pytest.raises(ExtractionError, match=rf"byte 0xE9 .*row {row}\)"):
            read(write(tmp_path, content))


def test_a_byte_that_is_not_in_the_configured_encoding_is_named_with_its_place(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, b"a,b\n1,\x81\n")
    for size in (4, 64):
        with pytest.raises(ExtractionError, match="byte 0x81 at offset 6 is no cp1252 text"):
            read(path, encoding="cp1252", block_bytes=size)


def test_a_file_that_ends_within_a_character_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExtractionError, match="offset 16 is no utf-16 text"):
        read(write(tmp_path, "a,b\n1,2\n".encode("utf-16")[:-1]), encoding="utf-16")
    with pytest.raises(ExtractionError, match=r"offset 6 \(row 2\) is no utf-8 text"):
        read(write(tmp_path, "a,b\n1,ü".encode()[:-1]))


def test_an_unknown_encoding_names_the_setting(tmp_path: Path) -> None:
    for encoding in ("utf-9", "hex"):
        with pytest.raises(ExtractionError, match=rf"'{encoding}'.* CSV_ENCODING"):
            read(write(tmp_path, "a,b\n"), encoding=encoding)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_utf16_and_utf32_are_recognised_by_their_mark(tmp_path: Path, encoding: str) -> None:
    assert rows_of(read(write(tmp_path, "a,b\n1,\u00fc\n".encode(encoding)))) == [
        (2, "1", "\u00fc")
    ]


def test_utf16_configured_but_without_its_mark_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExtractionError, match="CSV_ENCODING"):
        read(write(tmp_path, b"a,b\n1,2\n"), encoding="utf-16")


def test_half_a_character_that_an_encoding_can_spell_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExtractionError, match="utf-7, is no character"):
        read(write(tmp_path, b"a,b\n1,+2AA-\n"), encoding="utf-7")


@pytest.mark.parametrize(
    "content",
    [
        b"\x7fELF\x02\x01\x01\x00\x00\n\x00\xff\xfe\x00",
        bytes(5000),
    ],
)
def test_a_binary_file_gets_one_clear_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ExtractionError, match=r"customers.csv is no text: it holds NUL bytes"):
        read(write(tmp_path, content), block_bytes=1000)


# ---------------------------------------------------------------- files


def test_a_missing_file_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*gone.csv. Next: put it there"):
        read(tmp_path / "gone.csv")


def test_a_directory_in_place_of_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExtractionError, match="is a directory, a file is wanted"):
        read(tmp_path)


def test_another_failure_to_open_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExtractionError, match=r"cannot be opened: .+"):
        read(write(tmp_path, "a,b\n") / "below_a_file.csv")


@pytest.fixture
def unreadable(tmp_path: Path) -> Iterator[Path]:
    """A file that this user may not read; root may read all, so it steps down meanwhile."""
    if not hasattr(os, "geteuid"):
        pytest.skip("needs Unix permissions")
    path = write(tmp_path, "a,b\n")
    path.chmod(0)
    user = os.geteuid()
    os.seteuid(NOBODY if user == 0 else user)
    yield path
    os.seteuid(user)
    path.chmod(0o600)


def test_a_file_that_may_not_be_read_is_named(unreadable: Path) -> None:
    with pytest.raises(ExtractionError, match=r"customers.csv may not be read by this user"):
        read(unreadable)


def is_open(path: Path) -> bool:
    """Look for the file among the first descriptors of this process."""
    for descriptor in range(256):
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                return True
    return False


def test_the_file_is_closed_when_the_reading_is_abandoned(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b\n" + "1,2\n" * 100)
    blocks = read_csv_blocks(path, ("a", "b"), csv_format=CsvFormat(longest_line_bytes=64))
    next(blocks)
    assert is_open(path)
    blocks.close()  # type: ignore[attr-defined]  # every generator has it, an Iterator need not
    assert not is_open(path)


def test_the_file_is_closed_after_an_error_and_at_the_end(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b\n1,2\n")
    blocks = read_csv_blocks(path, ("a", "nowhere"))
    with pytest.raises(ValidationError):
        next(blocks)
    assert not is_open(path)
    blocks = read_csv_blocks(path, ("a", "b"))
    assert len(list(blocks)) == 1
    assert not is_open(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")
def test_a_pipe_can_be_read_because_the_file_is_opened_once_and_never_rewound(
    tmp_path: Path,
) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=("a,b\n" + "1,2\n" * 10_000,))
    writer.start()
    blocks = read(path, block_bytes=1000)
    writer.join()
    assert len(rows_of(blocks)) == 10_000


# ---------------------------------------------------------------- blocks


def test_a_line_longer_than_a_block_is_an_error_that_names_its_row(tmp_path: Path) -> None:
    for end in ("", "\n3,4\n"):
        path = write(tmp_path, 'a,b\n"1\n",2\n\n3,' + "x" * 70 + end)
        with pytest.raises(ExtractionError, match=r"row 4 has a line of more than 64 bytes.*CSV"):
            read(path, block_bytes=64)


def test_a_file_without_line_ends_is_not_read_into_memory(tmp_path: Path) -> None:
    path = write(tmp_path, b"x" * 2**23)
    tracemalloc.start()
    with pytest.raises(ExtractionError, match=r"row 1 has a line of more than .* is this a CSV"):
        read(path, block_bytes=2**12)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**18


def test_blank_lines_before_the_header_are_not_kept_in_memory(tmp_path: Path) -> None:
    path = write(tmp_path, b"\n" * 2**20 + b"a,b\n1,2\n")
    tracemalloc.start()
    blocks = read(path, block_bytes=2**10)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows_of(blocks) == [(2**20 + 2, "1", "2")]
    assert peak < 2**18


def test_a_large_file_comes_in_blocks_of_about_the_block_size(tmp_path: Path) -> None:
    blocks = read(write(tmp_path, "a,b\n" + "1,2\n" * 1000), block_bytes=400)
    assert len(blocks) == 11
    assert max(block.records.num_rows for block in blocks) == 100
    assert [row[0] for row in rows_of(blocks)] == list(range(2, 1002))


# ---------------------------------------------------------------- against the model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("model")


def actual(
    path: Path, width: int, encoding: str, block_bytes: int
) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    columns = tuple(HEADERS[width].split(","))
    good: list[tuple[object, ...]] = []
    malformed: list[tuple[object, ...]] = []
    for block in read_csv_blocks(path, columns, csv_format=CsvFormat(encoding, block_bytes)):
        block.records.validate(full=True)
        good += [tuple(row.values()) for row in block.records.to_pylist()]
        malformed += [
            (bad.source_row, bad.raw_text, found_fields(bad.reason))
            for bad in malformed_of_block(block)
        ]
    return good, malformed


def found_fields(reason: str) -> int:
    """Every reason begins with the number of fields found, or names the field at fault."""
    return int(re.findall(r"[0-9]+", reason)[0])


@settings(max_examples=300, deadline=None)
@given(
    tokens=st.lists(st.sampled_from(TOKENS), max_size=60),
    width=st.sampled_from([1, 2, 3]),
    block_bytes=st.integers(16, 64),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_any_text_is_read_as_the_model_reads_it_whatever_the_block_size(
    folder: Path, tokens: list[str], width: int, block_bytes: int, line_end: str
) -> None:
    body = "".join(tokens)
    if line_end == "\r" and body.startswith("\n"):
        body = "x" + body
    text = HEADERS[width] + line_end + body
    expected = model(text, width)
    path = write(folder, text)
    longest = max(len(line.encode()) for line, _ in model_lines(text))
    assert actual(path, width, "utf-8", 2**16) == expected
    assert actual(path, width, "utf-8", max(block_bytes, longest)) == expected


@settings(max_examples=100, deadline=None)
@given(tokens=st.lists(st.sampled_from(TOKENS), max_size=60), block_bytes=st.integers(128, 256))
def test_any_text_is_the_same_in_another_encoding(
    folder: Path, tokens: list[str], block_bytes: int
) -> None:
    text = "a,b\nx" + "".join(tokens)
    longest = max(len(line.encode()) for line, _ in model_lines(text))
    path = write(folder, text.encode("utf-16"))
    assert actual(path, 2, "utf-16", max(block_bytes, longest)) == model(text, 2)


@settings(max_examples=300, deadline=None)
@given(
    lines=st.lists(st.sampled_from(["", "x", '"', 'x,"', '",y', "x,y", '"x","y"']), max_size=200),
    block_bytes=st.integers(16, 400),
)
def test_long_runs_of_lines_are_read_as_the_model_reads_them(
    folder: Path, lines: list[str], block_bytes: int
) -> None:
    text = "\n".join(["a,b", *lines])
    assert actual(write(folder, text), 2, "utf-8", block_bytes) == model(text, 2)


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=200), header=st.booleans(), block_bytes=st.integers(1, 64))
def test_any_bytes_are_read_or_end_in_an_error_of_this_package(
    folder: Path, content: bytes, header: bool, block_bytes: int
) -> None:
    path = write(folder, b"a,b\n" * header + content)
    try:
        blocks = read(path, block_bytes=block_bytes)
    except ExtractionError:
        return
    assert header or b"a" in content.lower()
    assert all(malformed.reason for malformed in malformed_of(blocks))


def test_a_block_of_short_lines_is_cut_before_its_lines_become_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_reader, "MOST_BLOCK_LINES", 10)
    path = tmp_path / "customers.csv"
    path.write_text("a,b\n" + "x\n" * 95 + "1,2\n", encoding="utf-8")
    blocks = list(read_csv_blocks(path, ("a", "b")))
    assert max(block.rejected.num_rows for block in blocks) <= 20
    assert [record.source_row for record in malformed_of(blocks)] == [*range(2, 97)]
    assert blocks[-1].records.to_pylist() == [{"source_row": 97, "a": "1", "b": "2"}]


# ---------------------------------------------------------------- single rows

ROWS_OF_ALL_KINDS = 'a,b\n1,x\n"2\n2",y\n\nbad\n3,"z\nz"\n"open,4\n5,"u""u"\n6,v'


@pytest.mark.parametrize("block_bytes", [12, 2**20])
@pytest.mark.parametrize("only", [[], [2], [3, 9], [3, 5, 6, 7, 8], [4, 99], list(range(1, 12))])
def test_single_rows_are_read_as_they_are_among_all(
    tmp_path: Path, only: list[int], block_bytes: int
) -> None:
    path = write(tmp_path, ROWS_OF_ALL_KINDS)
    wanted_rows = np.array(only, np.int64)
    written = CsvFormat(longest_line_bytes=block_bytes)
    blocks = read_csv_rows(path, ("a", "b"), wanted_rows, csv_format=written)
    wanted = [row for row in rows_of(read(path)) if row[0] in only]
    assert rows_of(list(blocks)) == wanted

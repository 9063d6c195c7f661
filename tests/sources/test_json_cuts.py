"""JSON Lines are cut between records; other documents are one part."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import ETLError
from etl.sources.flat_json import JsonForm, read_flat_json
from etl.sources.json_cuts import cut_json_lines
from etl.sources.json_reader import JsonShape
from etl.sources.pieces import Cut
from etl.sources.several import SourceFile
from etl.sources.watch import Watch

FORM = JsonForm(JsonShape("orders", "id"))
Read = tuple[list[dict[str, Any]], list[dict[str, Any]], int]


def written(folder: Path, text: str) -> Path:
    path = folder / "orders.ndjson"
    path.write_text(text, encoding="utf-8", newline="")
    return path


def read(path: Path, cuts: Sequence[Cut | None]) -> tuple[Read, dict[str, None]]:
    records: list[dict[str, Any]] = []
    rejected: list[dict[str, Any]] = []
    examined, watch = 0, Watch()
    for cut in cuts:
        for block in read_flat_json(SourceFile(path, cut=cut), ("id", "n"), FORM, watch=watch):
            records += block.records.to_pylist()
            rejected += block.rejected.to_pylist()
            examined += block.examined
    return (records, rejected, examined), watch.facts


def cuts_of(path: Path, size: int) -> Sequence[Cut]:
    return cut_json_lines(SourceFile(path), size, FORM.shape)


def test_records_are_numbered_as_in_the_whole_whatever_stands_on_a_line(tmp_path: Path) -> None:
    lines = ['{"id": 1}', "", ' {"id": 2} {"id": "} {"}\t{"id": 4}\r', '{"n": {"id": [1]}}', "  "]
    path = written(tmp_path, "\ufeff" + "\n".join(lines * 3))
    cuts = cuts_of(path, 1)
    assert [cut.first_row for cut in cuts] == [1, 2, 2, 5, 6, 6, 7, 7, 10, 11, 11, 12, 12, 15, 16]
    assert read(path, cuts) == read(path, [None])
    assert sum(cut.rows for cut in cuts) == 15


@pytest.mark.parametrize(
    "text",
    [
        '[{"id": 1},\n{"id": 2}]',
        '{"orders": [\n{"id": 1},\n{"id": 2}\n]}',
        '{"id": 1,\n"n": 2}\n{"id": 3}',  # records over several lines
        '{"id": 1}\n7\n{"id": 3}',
        '{"id": 1}\n{"id": 2} {\n"n": 1}',
        '{"orders": 1}\n{"orders": 2}\n',  # the whole is an error
        "",
    ],
)
def test_another_document_is_one_part(tmp_path: Path, text: str) -> None:
    assert cuts_of(written(tmp_path, text), 1) == ()


def test_a_fault_is_reported_with_its_line_in_the_file(tmp_path: Path) -> None:
    lines = ['{"id": 1}', '{"id": 2}', '{"id": }', '{"id": 4}']
    path = written(tmp_path, "\n".join(lines))
    cuts = cuts_of(path, 1)
    with pytest.raises(ETLError) as whole:
        read(path, [None])
    with pytest.raises(ETLError) as part:
        read(path, [cuts[2]])
    assert str(part.value) == str(whole.value)
    assert "line 3, column 8" in str(whole.value)


VALUES = st.recursive(
    st.integers(0, 9) | st.sampled_from(["a", "} {", "}\n{", '"', "\u2028", "ü{"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abn"), inner),
    max_leaves=4,
)
RECORDS = st.fixed_dictionaries({"id": st.integers(1, 9)}, optional={"n": VALUES, "extra": VALUES})
GLUE = st.sampled_from(["\n", "\n", "\n", "\r\n", " ", "", "\n\n", "\n \n"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("json")


@settings(max_examples=60, deadline=None)
@given(
    records=st.lists(st.tuples(RECORDS, GLUE), min_size=1, max_size=12),
    ascii_only=st.booleans(),
    size=st.integers(1, 60),
    stray=st.sampled_from(["", "", "", "7\n", "{", "}\n{", '"']),
)
def test_any_lines_in_parts_are_read_as_the_whole(
    folder: Path, records: list[tuple[dict[str, Any], str]], ascii_only: bool, size: int, stray: str
) -> None:
    texts = [json.dumps(record, ensure_ascii=ascii_only) + glue for record, glue in records]
    path = written(folder, "".join([*texts[:5], stray, *texts[5:]]))
    cuts = cuts_of(path, size) or (None,)
    try:
        (whole, _) = read(path, [None])
    except ETLError as error:
        with pytest.raises(type(error)):
            read(path, cuts)
        return
    assert read(path, cuts)[0] == whole

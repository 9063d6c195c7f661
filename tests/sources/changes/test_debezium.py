"""Change events in Debezium's shape become changes, one line after the other."""

import base64
import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.rules.blocks import Block
from etl.sources.changes import lines
from etl.sources.changes.debezium import EventForm, names_in_events, read_events
from etl.sources.changes.encodings import declared_decoder
from etl.sources.changes.positions import position_of

FORM = EventForm(("id",))
COLUMNS = ("id", "total", "at", "note")


def event(op: str = "c", lsn: int = 1, **parts: Any) -> dict[str, Any]:
    return {"op": op, "source": {"connector": "postgresql", "lsn": lsn, "ts_ms": 1000}, **parts}


def read(
    folder: Path, *events: Any, form: EventForm = FORM, left_out: Counter[str] | None = None
) -> list[Block]:
    path = folder / "events.jsonl"
    texts = (each if isinstance(each, str) else json.dumps(each) for each in events)
    path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return list(read_events(path, COLUMNS, form, left_out=left_out))


def changes(folder: Path, *events: Any, form: EventForm = FORM) -> list[tuple[Any, ...]]:
    names = ("change_kind", "id", "total", "at", "note")
    return [
        tuple(record[name] for name in names)
        for block in read(folder, *events, form=form)
        for record in block.records.to_pylist()
    ]


def reasons(folder: Path, *events: Any, form: EventForm = FORM) -> list[tuple[int, str, str]]:
    return [
        (record["source_row"], record["error_class"], record["reason"])
        for block in read(folder, *events, form=form)
        for record in block.rejected.to_pylist()
    ]


def test_each_operation_is_a_row_a_removal_or_the_end_of_all_rows(tmp_path: Path) -> None:
    found = changes(
        tmp_path,
        event("c", after={"id": 1, "total": 1.50}),
        event("r", after={"ID": 2, "more": [1]}),
        event("u", before={"id": 1}, after={"id": 1, "note": "é"}),
        event("d", before={"id": 2, "total": None}),
        event("t", before=None, after=None),
    )
    assert found == [
        ("row", "1", "1.5", None, None),
        ("row", "2", None, None, None),
        ("row", "1", None, None, "é"),
        ("removed", "2", None, None, None),
        ("cleared", None, None, None, None),
    ]


def test_a_changed_key_removes_the_old_one(tmp_path: Path) -> None:
    found = changes(tmp_path, event("u", before={"id": 1}, after={"id": 5, "note": "x"}))
    assert found == [("removed", "1", None, None, None), ("row", "5", None, None, "x")]
    (block,) = read(tmp_path, event("u", before={"id": 1}, after={"id": 5}))
    assert len(set(block.records["source_row"].to_pylist())) == 2
    assert block.records["change_time"][0].as_py() == datetime(1970, 1, 1, 0, 0, 1)


def test_schema_key_and_value_may_wrap_an_event(tmp_path: Path) -> None:
    fields = [
        {"field": "total", "type": "bytes", "name": "org.apache.kafka.connect.data.Decimal",
         "parameters": {"scale": "2"}},
        {"field": "at", "type": "int64", "name": "io.debezium.time.MicroTimestamp"},
    ]  # fmt: skip
    schema = {"type": "struct", "fields": [{"field": "after", "fields": fields}]}
    payload = event(after={"id": 1, "total": "BNI=", "at": 1705314600000001})
    wrapped = {"schema": schema, "payload": payload}
    removal = {"key": {"payload": {"id": 9}}, "value": event("d", before=None)}
    as_text = {"key": json.dumps({"id": 1}), "value": json.dumps(wrapped)}
    one = ("row", "1", "12.34", "2024-01-15 10:30:00.000001", None)
    gone = ("removed", "9", None, None, None)
    assert changes(tmp_path, wrapped, removal, as_text) == [one, gone, one]
    assert names_in_events(tmp_path / "events.jsonl") == ("id", "total", "at")


@pytest.mark.parametrize(
    ("encoding", "value", "text"),
    [
        ("decimal(2)", "BNI=", "12.34"),
        ("decimal(0)", base64.b64encode(b"\xff").decode(), "-1"),
        ("days", -1, "1969-12-31"),
        ("seconds", 0, "1970-01-01 00:00:00"),
        ("milliseconds", 1705314600001, "2024-01-15 10:30:00.001000"),
        ("nanoseconds", 1705314600000001999, "2024-01-15 10:30:00.000001"),
        ("time in milliseconds", 3_723_004, "01:02:03.004000"),
        ("time in microseconds", 86_400_000_000, "24:00:00"),
        ("base64", "AAH/", "0001ff"),
        ("bits", "BQ==", "00000101"),
    ],
)
def test_values_are_decoded_as_declared(
    tmp_path: Path, encoding: str, value: object, text: str
) -> None:
    form = EventForm(("id",), encodings={"note": encoding})
    found = changes(tmp_path, event(after={"id": 1, "note": value}), form=form)
    assert found == [("row", "1", None, None, text)]


@given(st.integers())
def test_any_decimal_survives_its_encoding(unscaled: int) -> None:
    size = unscaled.bit_length() // 8 + 1
    encoded = base64.b64encode(unscaled.to_bytes(size, "big", signed=True)).decode()
    text = declared_decoder("decimal(4)")(encoded)
    assert str(text).replace(".", "").lstrip("-").lstrip("0") == str(abs(unscaled)).lstrip("0")
    assert str(text).startswith("-") == (unscaled < 0)


def test_decimals_may_have_a_scale_each_and_be_texts(tmp_path: Path) -> None:
    found = changes(
        tmp_path,
        event(after={"id": 1, "total": {"scale": 3, "value": "BNI="}}),
        event(after={"id": 2, "total": "12.340"}),
    )
    assert [total for _, _, total, _, _ in found] == ["1.234", "12.340"]


def test_what_cannot_be_read_is_rejected_with_its_line_and_reason(tmp_path: Path) -> None:
    unsent = "__debezium_unavailable_value"
    found = reasons(
        tmp_path,
        event(after={"id": 1}),
        '{"op": "c", ',
        "[1]",
        event("x", after={"id": 1}),
        event("u", after=None),
        event("d", before={"total": 1}),
        event("u", before={"id": 1}, after={"id": 1, "note": unsent}),
        event(after={"id": 1, "at": "x"}),
        form=EventForm(("id",), encodings={"at": "days"}),
    )
    assert [(row, kind) for row, kind, _ in found] == [
        (2, "malformed"), (3, "malformed"), (4, "malformed"), (5, "malformed"),
        (6, "missing"), (7, "missing"), (8, "unreadable"),
    ]  # fmt: skip
    texts = [reason for _, _, reason in found]
    assert texts[0].startswith("no JSON: ") and texts[1] == "an event must be an object"
    assert texts[2] == "op 'x' is none of c, u, r, d, t"
    assert texts[3] == "an event with op 'u' without after"
    assert texts[4] == "a removal without id of what was removed"
    assert texts[5].startswith("note was not changed and is not in the event")
    assert texts[6] == 'at cannot be decoded: "x"'


def test_a_value_that_was_not_sent_is_taken_from_the_row_before(tmp_path: Path) -> None:
    after = {"id": 1, "note": "__debezium_unavailable_value"}
    found = changes(tmp_path, event("u", before={"id": 1, "note": "long"}, after=after))
    assert found == [("row", "1", None, None, "long")]


def test_what_is_no_change_of_the_table_is_left_out_and_counted(tmp_path: Path) -> None:
    other, own = {"schema": "public", "table": "items"}, {"schema": "public", "table": "Orders"}
    left_out: Counter[str] = Counter()
    blocks = read(
        tmp_path, "null", "", {"payload": None}, {"status": "BEGIN"}, event("m"),
        {"op": "c", "after": {"id": 1}, "source": other},
        {"op": "c", "after": {"id": 2}, "source": own},
        form=EventForm(("id",), table="public.orders"), left_out=left_out,
    )  # fmt: skip
    assert [block.records["id"].to_pylist() for block in blocks] == [["2"]]
    assert left_out == {
        "tombstones": 2, "events without op": 1, "messages": 1, "other tables": 1
    }  # fmt: skip


def test_a_line_that_is_too_long_costs_only_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MOST_LINE_BYTES", 200)
    monkeypatch.setattr(lines, "_CHUNK_BYTES", 50)
    note = "x" * 1000
    found = read(tmp_path, event(after={"id": 1, "note": note}), event(after={"id": 2}), "y" * 400)
    assert [block.records["id"].to_pylist() for block in found] == [["2"]]
    assert [r["source_row"] for block in found for r in block.rejected.to_pylist()] == [1, 3]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ({"connector": "postgresql", "lsn": 9}, {"connector": "postgresql", "lsn": 10}),
        ({"file": "bin.9", "pos": 5, "row": 1}, {"file": "bin.10", "pos": 4, "row": 0}),
        ({"file": "bin.9", "pos": 5, "row": 1}, {"file": "bin.9", "pos": 5, "row": 2}),
        (
            {"connector": "sqlserver", "commit_lsn": "0:9:1", "change_lsn": None},
            {"connector": "sqlserver", "commit_lsn": "0:9:1", "change_lsn": "0:8:1"},
        ),
        ({"connector": "oracle", "scn": "99"}, {"connector": "oracle", "scn": "100"}),
        ({"ts_ms": 99}, {"ts_ms": 100}),
    ],
)
def test_positions_sort_as_the_log_of_the_source_does(
    earlier: dict[str, Any], later: dict[str, Any]
) -> None:
    assert "" < position_of(earlier) < position_of(later)

"""A source that can no longer meet its reject limit is not read on, and no other one."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import HeldBackError
from etl.rules.blocks import Block
from etl.sources import csv_reader
from etl.sources.csv_format import CsvFormat
from etl.sources.csv_reader import read_csv_blocks
from etl.warehouse import early_gate
from etl.warehouse.early_gate import EarlyGate

# Of three columns; the shortest record that is good, the shortest that is not.
LINES = ("a,b,c", "x,,", '"', '"lost,b,c', "1,2", ",,", "", '"two\nlines",b,c', "a much longer,,c")
FORMAT = CsvFormat(longest_line_bytes=24)  # so much is read at a time


def read(path: Path) -> Iterator[Block]:
    return read_csv_blocks(path, ("a", "b", "c"), csv_format=FORMAT)


def rate_of(blocks: Sequence[Block]) -> float:
    """The slow answer: the whole source is read."""
    examined = sum(block.examined for block in blocks)
    return sum(block.rejected.num_rows for block in blocks) / examined if examined else 0.0


def given_up(blocks: Sequence[Block], limit: float) -> HeldBackError | None:
    gate = EarlyGate("customers", limit)
    return next(filter(None, map(gate.look, blocks)), None)


@settings(deadline=None)
@given(
    lines=st.lists(st.sampled_from(LINES), max_size=60),
    end=st.sampled_from(["\n", "\r\n", "\r"]), closed=st.booleans(), mark=st.booleans(),
    limit=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]),
)  # fmt: skip
def test_none_is_given_up_that_could_still_meet_its_limit(
    lines: list[str], end: str, closed: bool, mark: bool, limit: float
) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(early_gate, "MOST_WANTED", 1)
        path = Path(folder, "customers.csv")
        text = end.join(["a,b,c", *lines]) + end * closed
        path.write_bytes(b"\xef\xbb\xbf" * mark + text.encode())
        blocks = list(read(path))
        for place, block in enumerate(blocks, 1):
            follows = sum(later.examined for later in blocks[place:])
            assert block.most_to_come is not None
            assert follows <= block.most_to_come
        held, too_many = given_up(blocks, limit) is not None, rate_of(blocks) > limit
        assert too_many or not held
        if blocks and not blocks[-1].most_to_come:  # at the very end it is the gate itself
            assert held == too_many


def test_nothing_is_given_up_whose_size_is_unknown_or_whose_faults_are_few(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("a,b,c\n" + '"\n' * 3000)
    blocks = list(read(path))
    assert given_up(blocks, 0.5)
    assert not given_up([replace(block, most_to_come=None) for block in blocks], 0.5)
    assert not given_up(blocks, 1.0)
    path.write_text("a,b,c\n" + '"\n' * (early_gate.MOST_WANTED - 1))
    assert not given_up(list(read(path)), 0.0)


def test_the_size_of_what_is_decoded_or_unpacked_counts_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_text("a,b,c\n1,2,3\n", encoding="utf-16")
    assert [block.most_to_come for block in read(path)] == [None]


def test_a_file_of_nothing_but_malformed_lines_is_left_far_before_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_reader, "MOST_READ_BYTES", 4096)
    path = tmp_path / "customers.csv"
    path.write_text("a,b,c\n" + '"\n' * 500_000)
    blocks = read_csv_blocks(path, ("a", "b", "c"))
    gate = EarlyGate("customers", 0.1)
    assert any(gate.look(block) for block in blocks)
    assert gate.examined < 50_000

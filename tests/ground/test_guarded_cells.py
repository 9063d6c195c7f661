"""Cells of rejected files are no formulas, whatever separates columns, and come back exactly."""

import csv
import io

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.rejects import guarded_cell, guarded_cells, unguarded_cell

TEXTS = st.text(alphabet="=+-@';\t\r\n,x\uff1d", max_size=12)


@given(TEXTS)
def test_a_guarded_cell_comes_back_exactly(text: str) -> None:
    assert unguarded_cell(guarded_cell(text)) == text


@given(TEXTS)
def test_a_column_is_guarded_like_its_cells(text: str) -> None:
    assert guarded_cells(pa.array([text, None])).to_pylist() == [guarded_cell(text), None]


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("text", ["x;=1+1;y", "x\t=1+1", "x\n=1+1;y", "=1;+2;@x", ";-1"])
def test_no_cell_begins_a_formula_when_another_separator_splits_it(
    separator: str, text: str
) -> None:
    line = io.StringIO()
    csv.writer(line).writerow(["a", guarded_cell(text), "b"])
    pieces = line.getvalue().replace("\n", separator).replace("\r", separator).split(separator)
    assert [piece for piece in pieces if piece.startswith(("=", "+", "-", "@"))] == []

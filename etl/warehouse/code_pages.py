"""Columns that hold the letters of one code page alone, as VARCHAR does on SQL Server.

A server puts a question mark in the place of a letter that such a column does not hold, without an
error. So a record with one is rejected before it is staged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from etl.engines.database import DatabaseManager
from etl.rules.columns import by_distinct
from etl.schema.table import Role, Table

_UTF_8 = 65001  # its number among the code pages


@dataclass(frozen=True)
class CodePage:
    """What a column holds: an encoding as Python names it, and bytes; -1 for any number."""

    column: str
    encoding: str
    size: int

    @property
    def reason(self) -> str:
        """Why a record is rejected."""
        size = f" in {self.size} bytes" if self.size > 0 else ""
        return f"{self.column} has letters that its column ({self.encoding}{size}) does not hold"

    def lacks(self, text: str) -> bool:
        """Return whether a text would be changed or cut.

        Example:
            >>> page = CodePage("name", "cp1252", 5)
            >>> page.lacks("Zoë"), page.lacks("漢字"), page.lacks("Müller")
            (False, True, True)
        """
        try:
            size = len(text.encode(self.encoding))
        except UnicodeEncodeError:
            return True
        return 0 <= self.size < size


def code_pages_of(db: DatabaseManager, table: Table) -> tuple[CodePage, ...]:
    """Return the staged columns of a table that do not hold every letter.

    Args:
        db: the warehouse.
        table: the table into which records are merged.
    """
    query = db.dialect.adopts.code_pages
    if not query:
        return ()
    staged = {column.name for column in table.with_role(Role.SOURCE)}
    found = db.query(query.format(table=db.dialect.quoted_place(table.name)))
    return tuple(
        CodePage(name, _encoding(number), size) for name, number, size in found if name in staged
    )


def _encoding(number: int | None) -> str:
    return "utf-8" if number == _UTF_8 else f"cp{number or 1252}"


def without_unfit(
    block: pa.RecordBatch, pages: Sequence[CodePage]
) -> tuple[pa.RecordBatch, list[tuple[pa.RecordBatch, str]]]:
    """Part a block into what its columns hold, and the rest with a reason each.

    Args:
        block: staged columns.
        pages: the columns that do not hold every letter.
    """
    unfit = []
    for page in pages:
        lacking = _lacking(block.column(page.column), page)
        if lacking.true_count:
            unfit.append((block.filter(lacking), page.reason))
            block = block.filter(pc.invert(lacking))
    return block, unfit


def _lacking(texts: pa.Array, page: CodePage) -> pa.Array:
    short = page.size < 0 or (pc.max(pc.binary_length(texts)).as_py() or 0) <= page.size
    if short and pc.all(pc.string_is_ascii(texts)).as_py() is not False:
        return pa.array([False] * len(texts))
    return pc.fill_null(by_distinct(texts, page.lacks, pa.bool_()), False)

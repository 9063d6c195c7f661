"""The types of columns, found in all the texts that they hold.

A type is what every value keeps to: `007` is no number, as its zeros would be lost, and a number
of many digits stays a text where a key or a phone number is meant by it. Where there is no value,
a column is a text.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from etl.rules.columns import clean_text
from etl.rules.dates import AS_FOUND, DAY_FIRST, DateReading, read_timestamps
from etl.rules.frame_types import text_column_width
from etl.rules.texts import NULL_WORDS, TextOptions, prepared
from etl.rules.values import utf16_length
from etl.schema.table import Column, Kind

# Names of columns that distinguish records.
LOOKS_LIKE_KEY = re.compile(r"(?:^|_)(?:id|nr|no|number|key|code|sku|nummer)$")

_MOST_DIGITS = 38
_USUAL_DIGITS = 18  # of decimals, as money is often declared

# A whole part of a number, without zeros in front that would be lost.
_WHOLE = r"(?:0|[1-9][0-9]{0,%d})"


def _all_match(texts: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py())


def _are_dates(texts: pa.Array, dates: DateReading, *, with_time: bool) -> bool:
    if not _all_match(texts, "[0-9]") or (
        not with_time and pc.any(pc.match_substring(texts, ":")).as_py()
    ):
        return False
    readings = [dates] if dates.order else [dates, replace(dates, order=DAY_FIRST)]
    return any(not read_timestamps(texts, each).null_count for each in readings)


_Test = Callable[[pa.Array, DateReading], bool]


def _matching(pattern: str) -> _Test:
    return lambda texts, _dates: _all_match(texts, f"^(?:{pattern})$")


# The first of these that all values pass is the type of a column.
_TESTS: Mapping[Kind, _Test] = {
    Kind.BOOLEAN: _matching("(?i)true|false|yes|no"),
    Kind.INTEGER: _matching(f"-?{_WHOLE % 7}"),
    Kind.BIGINT: _matching(f"-?{_WHOLE % 17}"),
    Kind.DECIMAL: _matching(rf"-?{_WHOLE % 19}(?:\.[0-9]{{1,18}})?"),
    Kind.DOUBLE: _matching(rf"-?{_WHOLE % 17}(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|-?\.[0-9]+"),
    Kind.DATE: partial(_are_dates, with_time=False),
    Kind.TIMESTAMP: partial(_are_dates, with_time=True),
}


@dataclass
class _Found:
    kinds: list[Kind] = field(default_factory=lambda: list(_TESTS))
    has_values: bool = False
    longest: int = 0
    whole: int = 0
    decimals: int = 0

    def look(self, texts: pa.Array, dates: DateReading) -> None:
        if not len(texts):
            return
        self.has_values = True
        self.kinds = [kind for kind in self.kinds if _TESTS[kind](texts, dates)]
        longest = pc.max(pc.utf8_length(texts)).as_py()
        if not pc.all(pc.string_is_ascii(texts)).as_py():
            longest = max(map(utf16_length, texts.to_pylist()))
        self.longest = max(self.longest, longest)
        if Kind.DECIMAL in self.kinds:
            whole = pc.utf8_length(pc.replace_substring_regex(texts, r"^-|\..*$", ""))
            self.whole = max(self.whole, pc.max(whole).as_py())
            fractions = pc.utf8_length(pc.replace_substring_regex(texts, r"^[^.]*\.?", ""))
            self.decimals = max(self.decimals, pc.max(fractions).as_py())


class TypeFinder:
    """Finds the types of columns, block by block.

    Args:
        names: of the columns.
        decimal: the decimal mark of their numbers.
        null_words: texts that stand for a missing value.
        dates: how dates are read.

    Example:
        >>> finder = TypeFinder(["nr", "zip", "total"])
        >>> finder.look(pa.record_batch({"nr": ["1", "2"], "zip": ["01234", ""],
        ...                              "total": ["1.5", "10"]}))
        >>> [(column.name, column.kind.value) for column in finder.columns(["nr"])]
        [('nr', 'integer'), ('zip', 'text'), ('total', 'decimal')]
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        decimal: str = ".",
        null_words: tuple[str, ...] = NULL_WORDS,
        dates: DateReading = AS_FOUND,
    ) -> None:
        self._found = {name: _Found() for name in names}
        self._texts = TextOptions(null_words=null_words, numbers=tuple(names), decimal=decimal)
        self._dates = dates

    def look(self, block: pa.RecordBatch) -> None:
        """Look at the next records, columns of text."""
        block = prepared(block, self._texts).records
        for name, found in self._found.items():
            found.look(pc.drop_null(clean_text(block.column(name))), self._dates)

    def columns(self, key: Sequence[str] = ()) -> tuple[Column, ...]:
        """Return the columns that hold what was seen; those of the key are required."""
        return tuple(_column(name, found, name in key) for name, found in self._found.items())


def _column(name: str, found: _Found, is_key: bool) -> Column:
    kind = found.kinds[0] if found.has_values and found.kinds else Kind.TEXT
    if kind is Kind.DECIMAL:
        digits = min(max(found.whole + found.decimals, _USUAL_DIGITS), _MOST_DIGITS)
        return Column(name, "", kind, precision=digits, scale=found.decimals, required=is_key)
    if kind is Kind.TEXT:
        width = text_column_width(found.longest)
        return Column(name, "", kind, width=width, required=is_key, exact=is_key)
    return Column(name, "", kind, required=is_key)

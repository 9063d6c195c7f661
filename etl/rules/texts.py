"""What exports do to texts, undone before the rules see them: null words, wrapped keys, commas.

Each function takes a column of text and gives one back, so that every source and every rule after
it sees the same text. How many values were touched is counted, because a person should know.
"""

import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from etl.rules.columns import by_distinct, clean_text, no_rows

# What databases, pandas and Python write where there is nothing; compared exactly.
NULL_WORDS = ("NULL", "null", "\\N", "NaN", "nan", "NaT", "None", "<NULL>")
# Null and None are names of people; these are not.
NULL_WORDS_IN_NAMES = ("\\N", "<NULL>")

# A whole number as a spreadsheet shows a long one: its last digits are lost.
_E_NOTATION = r"^[0-9](?:[.,][0-9]+)?[eE]\+?[0-9]+$"
_DECIMAL_COMMA = r"^\s*[+-]?[0-9]*,[0-9]+\s*$"
_FLOAT_ID = r"^[0-9]+\.0$"


@dataclass(frozen=True)
class TextOptions:
    """What stands for what in the texts of a source.

    Attributes:
        null_words: texts that mean a missing value.
        names: columns of people's names, in which only `NULL_WORDS_IN_NAMES` do.
        keys: columns that hold keys.
        numbers: columns that hold numbers.
        decimal: the decimal mark of these numbers.
        whole_ids: whether ids such as `1001.0` are read as whole numbers.
        nan_is_wrong: whether NaN in a number is an error rather than a missing value, as in JSON,
            which has null for that.
    """

    null_words: tuple[str, ...] = NULL_WORDS
    names: Collection[str] = ()
    keys: Collection[str] = ()
    numbers: Collection[str] = ()
    decimal: str = "."
    whole_ids: bool = False
    nan_is_wrong: bool = False


@dataclass(frozen=True)
class Prepared:
    """A block whose texts mean what they say.

    Attributes:
        records: the block with the same columns.
        notes: by what was found, how many values.
    """

    records: pa.RecordBatch
    notes: Mapping[str, int] = field(default_factory=dict)


def prepared(block: pa.RecordBatch, options: TextOptions) -> Prepared:
    """Undo what an export has done to the texts of a block.

    Args:
        block: columns of text, others are left as they are.
        options: what stands for what.

    Example:
        >>> block = pa.record_batch({"id": ['="007"', "NULL"], "price": ["1,50", "2"]})
        >>> found = prepared(block, TextOptions(keys=["id"], numbers=["price"], decimal=","))
        >>> found.records.to_pydict(), dict(found.notes)
        ({'id': ['007', None], 'price': ['1.50', '2']}, {'null_words': 1, 'normalised_keys': 1})
    """
    notes = Counter[str]()
    columns = [
        _prepared_column(name, column, options=options, notes=notes)
        if pa.types.is_string(column.type) else column
        for name, column in zip(block.schema.names, block.columns, strict=True)
    ]  # fmt: skip
    records = pa.RecordBatch.from_arrays(columns, names=block.schema.names)
    return Prepared(records, {name: count for name, count in notes.items() if count})


def _prepared_column(
    name: str, column: pa.Array, *, options: TextOptions, notes: Counter[str]
) -> pa.Array:
    nulls = is_null_word(column, _words_of(name, options))
    if nulls.true_count:
        notes["null_words"] += nulls.true_count
        column = pc.if_else(nulls, None, column)
    if name in options.keys:
        column, changed = normalised_keys(column)
        notes["normalised_keys"] += changed
        column = _looked_at_for_floats(column, options=options, notes=notes)
    if name in options.numbers and options.decimal == ",":
        column = with_decimal_points(column)
    return column


def _looked_at_for_floats(
    column: pa.Array, *, options: TextOptions, notes: Counter[str]
) -> pa.Array:
    if not pc.any(pc.ends_with(column, ".0")).as_py():  # far quicker than the pattern
        return column
    floats = is_float_id(column)
    notes["whole_ids" if options.whole_ids else "float_ids"] += floats.true_count
    if not options.whole_ids:
        return column
    return pc.if_else(floats, pc.utf8_slice_codeunits(column, 0, -2), column)


def _words_of(name: str, options: TextOptions) -> tuple[str, ...]:
    if name in options.names:
        return tuple(word for word in options.null_words if word in NULL_WORDS_IN_NAMES)
    if options.nan_is_wrong and name in options.numbers:
        return tuple(word for word in options.null_words if word.lower() != "nan")
    return options.null_words


def is_null_word(column: pa.Array, words: Collection[str] = NULL_WORDS) -> pa.Array:
    r"""Return which texts, trimmed, are a null word.

    Example:
        >>> is_null_word(pa.array(["NULL", " nan ", "Null", "\\N", None])).to_pylist()
        [True, True, False, True, False]
    """
    none = no_rows(len(column))
    if not words:
        return none
    # with blanks around it a word may be longer; most texts are longer still, or no words at all
    short = pc.fill_null(pc.less_equal(pc.binary_length(column), 2 * max(map(len, words))), False)
    if not short.true_count:
        return none
    found = pc.is_in(clean_text(column.filter(short)), pa.array(list(words), pa.string()))
    return pc.replace_with_mask(none, short, found) if found.true_count else none


def normalised_keys(column: pa.Array) -> tuple[pa.Array, int]:
    """Return keys without what is not seen of them, and how many were changed.

    Marks without a width are removed, letters are composed (NFC), and a wrapping that made a
    spreadsheet keep the text (`="C010"`, `'C010`) is taken off.

    Example:
        >>> normalised_keys(pa.array(["C1", "\u200bC2", '="C3"', "'C4", "Ce\u0301"]))[1]
        4
    """
    odd = pc.invert(pc.match_substring_regex(column, "^[!-&(-<>-~][ -~]*$"))
    odd = pc.fill_null(odd, False)
    if not odd.true_count:
        return column, 0
    before = column.filter(odd)
    after = by_distinct(before, _normalised_key, pa.string())
    trimmed = clean_text(before)  # white space around a key is nothing unusual
    changed = pc.fill_null(pc.not_equal(trimmed, clean_text(after)), False).true_count
    return pc.replace_with_mask(column, odd, after), changed


def _normalised_key(key: str) -> str:
    seen = "".join(c for c in unicodedata.normalize("NFC", key) if unicodedata.category(c) != "Cf")
    before, after = "", unicodedata.normalize("NFC", seen)
    while before != after:  # what is wrapped may be wrapped in itself
        before, after = after, _unwrapped(after.strip())
    return after


def _unwrapped(key: str) -> str:
    if len(key) > len('=""') and key.startswith('="') and key.endswith('"'):
        return key[2:-1]
    return key.removeprefix("'") if len(key) > 1 else key


def has_decimal_comma(column: pa.Array) -> pa.Array:
    """Return which texts are numbers with a decimal comma.

    Example:
        >>> has_decimal_comma(pa.array(["1,5", "1.5", None])).to_pylist()
        [True, False, False]
    """
    if not pa.types.is_string(column.type):
        return no_rows(len(column))
    return pc.fill_null(pc.match_substring_regex(column, _DECIMAL_COMMA), False)


def with_decimal_points(column: pa.Array) -> pa.Array:
    """Return numbers with a decimal comma as numbers with a point; other texts as they are.

    Example:
        >>> with_decimal_points(pa.array(["1,5", "-0,25", "1.299,00", "7", None])).to_pylist()
        ['1.5', '-0.25', '1.299,00', '7', None]
    """
    fits = pc.fill_null(pc.match_substring_regex(column, _DECIMAL_COMMA), False)
    if not fits.true_count:
        return column
    return pc.if_else(fits, pc.replace_substring(column, ",", "."), column)


def in_e_notation(column: pa.Array) -> pa.Array:
    """Return which ids are numbers in E-notation, as a spreadsheet writes long ones.

    Example:
        >>> in_e_notation(pa.array(["7.30012E+11", "7E3", "E7", "C7E3", None])).to_pylist()
        [True, True, False, False, False]
    """
    return pc.fill_null(pc.match_substring_regex(column, _E_NOTATION), False)


def is_float_id(column: pa.Array) -> pa.Array:
    """Return which ids are whole numbers that were written as floats, such as `1001.0`.

    That is what pandas makes of a column of numbers in which one is missing.

    Example:
        >>> is_float_id(pa.array(["1001.0", "1001", "C1.0", None])).to_pylist()
        [True, False, False, False]
    """
    return pc.fill_null(pc.match_substring_regex(column, _FLOAT_ID), False)

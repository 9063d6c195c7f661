"""Cleaning that needs one value alone: named steps over columns of text.

Each step gives the same again when it is applied to its own result, and knows nothing of the other
records, so that it does not matter how a source was cut into blocks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from etl.rules.columns import as_text_column, by_distinct, clean_name, clean_text
from etl.rules.texts import is_null_word
from etl.rules.us_states import STATES

_STATE_CODES = frozenset(STATES.values())


def _trimmed(column: pa.Array) -> pa.Array:
    """Without blanks around, and with one blank in place of several."""
    text = clean_text(column)
    return pc.replace_substring_regex(text, r"\s+", " ")


def _state_code(text: str) -> str:
    """The postal code of a state of the USA; any other text as it is."""
    letters = " ".join(text.replace(".", "").split()).upper()
    return letters if letters in _STATE_CODES else STATES.get(letters, text)


def state_codes(column: pa.Array) -> pa.Array:
    """Return states of the USA as their postal codes; what is none stays as it is.

    Example:
        >>> state_codes(pa.array(["California", "n.y.", " tx ", "Bavaria", None])).to_pylist()
        ['CA', 'NY', 'TX', 'Bavaria', None]
    """
    return by_distinct(clean_text(column), _state_code, pa.string())


# By the name that `pipeline.toml` has for it.
STEPS: Mapping[str, Callable[[pa.Array], pa.Array]] = {
    "trim": _trimmed,
    "lower": lambda column: pc.utf8_lower(clean_text(column)),
    "upper": lambda column: pc.utf8_upper(clean_text(column)),
    "title": clean_name,
    "state_code": state_codes,
}


@dataclass(frozen=True)
class ColumnSteps:
    """What is done to each value of a column.

    Attributes:
        steps: names in `STEPS`, one after the other.
        null_words: texts that stand for a missing value in this column, besides the usual ones.
        constant: the text that replaces a missing value; None leaves it missing.
    """

    steps: tuple[str, ...] = ()
    null_words: tuple[str, ...] = ()
    constant: str | None = None


def stepped(block: pa.RecordBatch, columns: Mapping[str, ColumnSteps]) -> pa.RecordBatch:
    """Return a block with the steps of its columns done, constants aside.

    Example:
        >>> block = pa.record_batch({"state": ["new york ", "?"], "n": ["1", "2"]})
        >>> how = {"state": ColumnSteps(("state_code",), ("?",))}
        >>> stepped(block, how).to_pydict()
        {'state': ['NY', None], 'n': ['1', '2']}
    """
    for name, how in columns.items():
        column = as_text_column(block.column(name))
        column = pc.if_else(is_null_word(column, how.null_words), None, column)
        for step in how.steps:
            column = STEPS[step](column)
        block = block.set_column(block.schema.get_field_index(name), name, column)
    return block


def with_constants(
    block: pa.RecordBatch, columns: Mapping[str, ColumnSteps]
) -> tuple[pa.RecordBatch, Mapping[str, pa.Array]]:
    """Return a block with its constants in place, and by column in which rows they stand."""
    made: dict[str, pa.Array] = {}
    for name, how in columns.items():
        if how.constant is None:
            continue
        missing = pc.is_null(clean_text(block.column(name)))
        made[name] = missing
        filled = pc.if_else(missing, how.constant, block.column(name))
        block = block.set_column(block.schema.get_field_index(name), name, filled)
    return block, made

"""The pattern of a text: what kind of character stands where."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

LONGEST_PATTERN = 40
_MORE = "…"
_UPPER, _LOWER, _DIGITS = (
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    b"abcdefghijklmnopqrstuvwxyz",
    b"0123456789",
)
_PATTERN_OF = np.frombuffer(
    bytes.maketrans(_UPPER + _LOWER + _DIGITS, b"A" * 26 + b"a" * 26 + b"9" * 10), dtype=np.uint8
)
# Letters and digits of all scripts; what has no case is written as a small letter.
_OTHERS = ((r"\p{Ll}|\p{Lm}|\p{Lo}", "a"), (r"\p{Lu}|\p{Lt}", "A"), (r"\p{Nd}", "9"))


def patterns_of(texts: pa.Array) -> pa.Array:
    """Return texts with capital letters as A, other letters as a, digits as 9; all else as it is.

    Args:
        texts: none of them null; of a long one its beginning counts.

    Example:
        >>> patterns_of(pa.array(["AB-12 x", "Émile 7", "(555) 123"])).to_pylist()
        ['AA-99 a', 'Aaaaa 9', '(999) 999']
    """
    long = pc.greater(pc.utf8_length(texts), LONGEST_PATTERN)
    texts = pc.utf8_slice_codeunits(texts, 0, LONGEST_PATTERN)
    plain = pc.string_is_ascii(texts)
    found = _of_ascii(texts)
    if plain.false_count:
        found = pc.replace_with_mask(found, pc.invert(plain), _of_others(texts, plain))
    return pc.binary_join_element_wise(found, pc.if_else(long, _MORE, ""), "")


def _of_ascii(texts: pa.Array) -> pa.Array:
    """Each byte by itself; of a text with other characters that is not the pattern yet."""
    validity, offsets, data = texts.buffers()
    replaced = _PATTERN_OF[np.frombuffer(data or b"", dtype=np.uint8)]
    parts = [validity, offsets, pa.py_buffer(replaced)]
    return pa.Array.from_buffers(texts.type, len(texts), parts, offset=texts.offset)


def _of_others(texts: pa.Array, plain: pa.Array) -> pa.Array:
    found = texts.filter(pc.invert(plain))
    for pattern, mark in _OTHERS:
        found = pc.replace_substring_regex(found, pattern, mark)
    return found

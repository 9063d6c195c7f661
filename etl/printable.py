"""Text from outside, made safe to look at on a terminal or on a page."""

# Control characters move the cursor, end a line or turn text around; a terminal obeys them, and
# so does a browser. Half a surrogate pair cannot be written as UTF-8 at all.
_UNPRINTABLE = (
    *range(0x20),
    *range(0x7F, 0xA0),
    *range(0x2028, 0x202F),  # line and paragraph separator, bidirectional embeddings
    *range(0x2066, 0x206A),  # bidirectional isolates
    *range(0xD800, 0xE000),  # surrogates
)
_ESCAPES = {code: ascii(chr(code))[1:-1] for code in _UNPRINTABLE}


def printable(text: str) -> str:
    r"""The text on one line, with every character that would be obeyed shown as its escape.

    Args:
        text: anything, such as a value from a source or the message of a driver.

    Example:
        >>> printable("cod\u202egpj")
        'cod\\u202egpj'
        >>> printable("naïve 日本")
        'naïve 日本'
    """
    return text.translate(_ESCAPES)

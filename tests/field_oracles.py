"""What an e-mail address is, for one value: slow, obvious, for comparing."""

import re

from etl.rules.values import EMAIL


def is_email(text: str) -> bool:
    """Whether a cleaned text has the form of an e-mail address.

    Example:
        >>> is_email("john.smith@email.com"), is_email("john@localhost")
        (True, False)
    """
    return re.fullmatch(EMAIL, text) is not None

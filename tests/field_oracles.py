"""What an e-mail address and a phone number are, for one value: slow, obvious, for comparing."""

import re

from etl.rules.values import (
    COUNTRY_CODE,
    DIGIT,
    EMAIL,
    FULL_DIGITS,
    FULL_NUMBER,
    LOCAL_DIGITS,
    local_template,
    trimmed,
)


def is_email(text: str) -> bool:
    """Whether a cleaned text has the form of an e-mail address.

    Example:
        >>> is_email("john.smith@email.com"), is_email("john@localhost")
        (True, False)
    """
    return re.fullmatch(EMAIL, text) is not None


def phone_of(text: str, default_area_code: str | None = None) -> tuple[str | None, bool]:
    """The phone number in standard form, and whether it is a full one.

    Args:
        text: in any notation.
        default_area_code: three digits that stand in when there are only seven.

    Returns:
        The number and True; as far as it could be read and False; (None, False) when missing.

    Example:
        >>> phone_of("1-800-555-1234"), phone_of("5551234"), phone_of("5551234", "425")
        (('(800) 555-1234', True), ('555-1234', False), ('(425) 555-1234', True))
        >>> phone_of(" ext. 12 ")
        ('ext. 12', False)
    """
    digits = re.sub("[^0-9]", "", text)
    if len(digits) == FULL_DIGITS + 1:
        digits = digits.removeprefix(COUNTRY_CODE)
    if len(digits) == FULL_DIGITS:
        return _filled_in(FULL_NUMBER, digits), True
    if len(digits) == LOCAL_DIGITS:
        return _filled_in(local_template(default_area_code), digits), bool(default_area_code)
    return trimmed(text), False


def _filled_in(template: str, digits: str) -> str:
    return template.replace(DIGIT, "{}").format(*digits)

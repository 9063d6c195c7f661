"""Rules that columns of usual names keep in nearly every shop: amounts, quantities, addresses."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# How much each score of the quality of records weighs in the overall one.
SCORE_WEIGHTS = {"completeness": 0.4, "validity": 0.4, "consistency": 0.2}

MOST_PIECES = 10_000
HIGHEST_AMOUNT = 10_000_000

_AMOUNTS = ("unit_price", "price", "cost", "total", "total_amount", "amount", "discount_amount")
_PIECES = ("quantity", "item_count", "pieces")
_EMAILS = ("email", "e_mail", "email_address")


@dataclass(frozen=True)
class UsualRule:
    """A condition on a value of one column.

    Attributes:
        column: as the records call it.
        check: SQL over `{value}`, of a number or a text; true for a good value.
        is_number: whether it is about a number.
    """

    name: str
    column: str
    check: str
    is_number: bool = True


# name of the rule, names of the columns, condition, whether it is about a number
_RULES = (
    ("is positive", _PIECES, "{value} > 0", True),
    ("is at most 10,000", _PIECES, f"{{value}} <= {MOST_PIECES}", True),
    ("is not negative", _AMOUNTS, "{value} >= 0", True),
    ("is at most 10,000,000", _AMOUNTS, f"{{value}} <= {HIGHEST_AMOUNT}", True),
    ("is an e-mail address", _EMAILS,
     r"regexp_full_match(trim({value}), '[^@\s]+@[^@\s.]+(\.[^@\s.]+)+')", False),
)  # fmt: skip


def usual_rules(columns: Iterable[str]) -> Iterator[UsualRule]:
    """Yield the rules that apply to columns of these names.

    Example:
        >>> [f"{rule.column} {rule.name}" for rule in usual_rules(["Quantity", "note"])]
        ['Quantity is positive', 'Quantity is at most 10,000']
    """
    for column in columns:
        for name, names, check, is_number in _RULES:
            if column.lower() in names:
                yield UsualRule(name, column, check, is_number)

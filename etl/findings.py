"""What the gate may find in a source, by name: `--accept` lets a finding pass once."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

REJECT_RATE = "reject_rate"
CONFLICTING_DUPLICATES = "conflicting_duplicates"
NO_RECORDS = "no_records"
FEWER_RECORDS = "fewer_records"
REMOVED_ROWS = "removed_rows"
EMPTY_COLUMN = "empty_column"
LEFT_OUT_FOR_STATUS = "left_out_for_status"
PLACEHOLDERS = "placeholders"
FLOAT_IDS = "float_ids"
FINDINGS = (
    REJECT_RATE, CONFLICTING_DUPLICATES, NO_RECORDS, FEWER_RECORDS, REMOVED_ROWS, EMPTY_COLUMN,
    LEFT_OUT_FOR_STATUS, PLACEHOLDERS, FLOAT_IDS,
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """What speaks against loading a source.

    Attributes:
        source: such as customers.
        name: one of `FINDINGS`.
        message: what was counted, and the limit.
        remedy: what to do about it, besides accepting it; not compared.
    """

    source: str
    name: str
    message: str
    remedy: str = field(default="", compare=False)

    @property
    def full_name(self) -> str:
        """What `--accept` takes to let it pass once.

        Example:
            >>> Finding("customers", NO_RECORDS, "no records").full_name
            'customers.no_records'
        """
        return f"{self.source}.{self.name}"

    def is_accepted(self, names: Iterable[str]) -> bool:
        """Whether one of these names lets it pass: its own, or that of its source.

        Example:
            >>> finding = Finding("customers", NO_RECORDS, "no records")
            >>> finding.is_accepted(["customers"]), finding.is_accepted(["sales.no_records"])
            (True, False)
        """
        return not {self.source, self.full_name}.isdisjoint(names)


def unknown_names(names: Iterable[str], sources: Sequence[str]) -> list[str]:
    """Return the names that neither are one of these sources nor a finding of one.

    Example:
        >>> unknown_names(["sales", "sales.no_records", "sales.no_such", "dogs"], ["sales"])
        ['sales.no_such', 'dogs']
    """
    known = {*sources, *(f"{source}.{name}" for source in sources for name in FINDINGS)}
    return [name for name in names if name not in known]

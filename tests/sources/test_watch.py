"""A source is read again only when a proven order reads dates that went before in another way."""

import pyarrow as pa
import pytest

from etl.rules.dates import DAY_FIRST, MONTH_FIRST
from etl.sources.watch import OrderProvenError, Watch


@pytest.mark.parametrize(
    ("before", "proof", "again"),
    [
        ("02/01/2024", "01/13/2024", False),  # slashes are read month first anyway
        ("02/01/2024", "13/01/2024", True),
        ("2.1.2024", "13/01/2024", False),  # dots day first
        ("2.1.2024", "01/13/2024", True),
        ("02/02/2024", "13/01/2024", False),
        ("2024-01-02", "13/01/2024", False),
    ],
)
def test_a_proof_asks_for_another_reading_only_where_it_changes_a_date(
    before: str, proof: str, again: bool
) -> None:
    watch = Watch()
    watch.see_dates("sold", pa.array([before]))
    if again:
        with pytest.raises(OrderProvenError, match=proof):
            watch.see_dates("sold", pa.array([proof]))
    else:
        watch.see_dates("sold", pa.array([proof]))
    assert watch.dates.order == (MONTH_FIRST if proof.startswith("01") else DAY_FIRST)

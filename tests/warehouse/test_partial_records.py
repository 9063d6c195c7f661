"""Records that lack columns: however they are split and repeated, the table ends the same."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from data_loading import DatabaseManager, load_customers

PARTIAL_CUSTOMERS = st.lists(
    st.fixed_dictionaries(
        {"customer_id": st.sampled_from(["C1", "C2", ""])},
        optional={
            "name": st.sampled_from(["Ann", "Bob", None, "x" * 202]),
            "email": st.sampled_from(["a@b.org", None]),
            "registration_date": st.sampled_from(["2024-01-15", "never", None]),
        },
    ),
    max_size=6,
)


@given(records=PARTIAL_CUSTOMERS, size=st.integers(1, 6))
@settings(max_examples=25)
def test_partial_records_load_alike_in_any_chunks_and_twice_is_once(
    records: list[dict[str, Any]], size: int
) -> None:
    found = []
    for chunk in (len(records) or 1, size):
        with DatabaseManager("duckdb:///:memory:") as db:
            for start in range(0, len(records), chunk):
                load_customers(records[start : start + chunk], db)
            rows = "SELECT * EXCLUDE (created_date, updated_date) FROM customer_dim ORDER BY 1"
            found.append(db.query(rows) if records else [])
            again = load_customers(records, db)
            assert again["processed"] == sum(
                again[n] for n in ("inserted", "updated", "unchanged", "failed", "duplicates")
            )
            assert not records or db.query(rows) == found[-1]
    assert found[0] == found[1]

"""Small sources for tests of the gate, whole or with what it looks at."""

from hypothesis import strategies as st
from pipeline_runs import Record


def customers(count: int, **changed: str) -> list[Record]:
    return [
        {
            "customer_id": f"C{n}", "first_name": "Ann", "last_name": "Lee", "email": "a@b.org",
            "phone": "4255550100", "segment": "premium", "registration_date": "2023-01-01",
            **changed,
        }
        for n in range(1, count + 1)
    ]  # fmt: skip


def products(count: int, **changed: str) -> list[Record]:
    return [
        {
            "product_id": f"P{n}", "name": "Lamp", "category": "tech", "brand": "B", "model": "M",
            "price": "20", "cost": "10", "quantity": "5", "warehouse": "W", **changed,
        }
        for n in range(1, count + 1)
    ]  # fmt: skip


def sales(count: int, *, first: int = 1, **changed: str) -> list[Record]:
    return [
        {
            "transaction_id": f"T{n}", "customer_id": f"C{n % 4 + 1}",
            "product_id": f"P{n % 4 + 1}", "quantity": "2", "unit_price": "10",
            "transaction_date": f"2024-01-{n % 28 + 1:02}", "sales_rep_id": "R1", **changed,
        }
        for n in range(first, first + count)
    ]  # fmt: skip


Sources = tuple[list[Record], list[Record], list[Record]]


def drawn(most: int) -> st.SearchStrategy[Sources]:
    """Sources of any size, some of whose records lack a value or their key."""
    lacking = st.sampled_from(({}, {}, {"phone": ""}, {"customer_id": ""}, {"first_name": "Bo"}))
    parts = st.lists(st.tuples(st.integers(0, most), lacking), max_size=2)
    several = parts.map(lambda found: [r for n, change in found for r in customers(n, **change)])
    some_sales = st.tuples(st.integers(0, most), st.sampled_from(("C1", "C9", "C10.0")))
    return st.tuples(
        several,
        st.integers(0, most).map(products),
        some_sales.map(lambda found: sales(found[0], customer_id=found[1])),
    )

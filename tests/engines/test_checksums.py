"""What blocks add up to, figure by figure."""

import hashlib
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.engines.checksums import block_checksum, encoding_of
from etl.schema.arrow import staged_schema
from etl.schema.star import SALES_FACT

SALE = {
    "transaction_id": "T1", "customer_id": "C1", "product_id": "P1", "quantity": 2,
    "unit_price": Decimal("9.99"), "discount_amount": Decimal("0.50"),
    "total_amount": Decimal("19.48"), "commission": Decimal("0.58"), "value_tier": "Low Value",
    "transaction_date": datetime(2000, 1, 3, 0, 0, 1, 5), "sales_rep_id": None,
}  # fmt: skip


def block_of(*records: dict[str, Any]) -> pa.RecordBatch:
    (block,) = pa.Table.from_pylist(list(records), schema=staged_schema(SALES_FACT)).to_batches()
    return block


def test_each_column_has_its_figures() -> None:
    rows, texts, *others = block_checksum(SALES_FACT, block_of(SALE), "utf-16-le")
    digest = hashlib.sha256("T1|C1|P1|Low Value|".encode("utf-16-le")).digest()
    assert rows == 1
    assert texts == int.from_bytes(digest[:4], "big", signed=True)
    # quantity, three amounts in cents and the commission, days since 2000 and microseconds
    assert others == [2, 999, 50, 1948, 58, 2, 1_000_005]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("customer_id", "C2"), ("value_tier", "Low value"), ("sales_rep_id", "?"), ("quantity", 3),
        ("unit_price", Decimal("999.00")), ("transaction_date", datetime(2000, 1, 3, 0, 0, 1)),
        ("transaction_date", None), ("discount_amount", None),
    ],
)  # fmt: skip
def test_a_value_that_changes_on_the_way_changes_them(column: str, value: object) -> None:
    changed = block_of({**SALE, column: value})
    assert block_checksum(SALES_FACT, changed, "utf-8") != block_checksum(
        SALES_FACT, block_of(SALE), "utf-8"
    )


@given(st.lists(st.integers(0, 2_147_483_647), min_size=1, max_size=20), st.integers(0, 20))
def test_the_figures_of_parts_add_up_to_those_of_the_whole(quantities: list[int], cut: int) -> None:
    block = block_of(*({**SALE, "quantity": quantity} for quantity in quantities))
    parts = [block.slice(0, cut), block.slice(cut)]
    figures = [block_checksum(SALES_FACT, part, "utf-8") for part in parts]
    assert [a + b for a, b in zip(*figures, strict=True)] == block_checksum(
        SALES_FACT, block, "utf-8"
    )


def test_the_encoding_that_a_server_hashes_is_found_out_or_refused() -> None:
    text = "a\u00e9\u6f22"
    for encoding in ("utf-16-le", "utf-8"):
        assert encoding_of(text, hashlib.sha256(text.encode(encoding)).digest()) == encoding
    with pytest.raises(LookupError, match="encoding"):
        encoding_of(text, hashlib.sha256(text.encode("utf-7")).digest())

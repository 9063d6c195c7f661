"""Rejected records that are kept in the warehouse, and tried again."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from engines import Engine
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pipeline_runs import Project, read_csv

from etl.engines.database import DatabaseManager
from etl.errors import ConfigurationError, LoadingError
from etl.history.kept_letters import settle_letters
from etl.history.runs import Staged
from etl.history.summary import RunSummary
from etl.warehouse import closing

pytestmark = pytest.mark.usefixtures("every_engine")

PIPELINE = """
[loads.shelves]
source = {{ path = "shelves.csv" }}
table = "shelf"
key = ["shelf_id"]
columns = {{ shelf_id = "text(20)" }}

[loads.stock]
source = {{ path = "stock.csv" }}
table = "stock"
key = ["sku"]
columns = {{ sku = "integer", shelf_id = "text(20)", pieces = "integer", seen = "date" }}
references = {{ shelf_id = "shelf" }}
rules = {{ few = {{ check = "pieces <= {most}" }} }}
"""
COLUMNS = ("sku", "shelf_id", "pieces", "seen")
STATES = '"record_key", "state", "attempts"'

Row = Sequence[object]


class Shop(Project):
    """A project with two declared loads: stock lies on shelves, which must be there."""

    def night(self, *stock: Row, shelves: str = "A", most: int = 10, argv: str = "") -> RunSummary:
        """Delivers records of stock and runs."""
        write(self.input / "shelves.csv", ("shelf_id",), [(each,) for each in shelves])
        write(self.input / "stock.csv", COLUMNS, [(*row, "")[: max(len(row), 4)] for row in stock])
        return self.retry(*argv.split(), most=most)

    def retry(self, *argv: str, most: int = 10) -> RunSummary:
        """Runs with what is there."""
        text = PIPELINE.format(most=most)
        (self.folder / "pipeline.toml").write_text(text, encoding="utf-8")
        only = () if "--reprocess-rejected" in argv else ("--only", "stock", "--only", "shelves")
        return self.run(*argv, *only)

    def letters(self, columns: str = STATES) -> list[tuple[Any, ...]]:
        order = 'ORDER BY "first_run_id", "place"'
        return self.query(f'SELECT {columns} FROM "etl_dead_letter" {order}')

    def stock(self) -> list[tuple[Any, ...]]:
        return self.query('SELECT "sku", "pieces" FROM "stock" ORDER BY "sku"')


def write(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


@pytest.fixture
def shop(tmp_path: Path, every_engine: Engine) -> Shop:
    return new_shop(tmp_path / "shop")


def new_shop(folder: Path) -> Shop:
    given = {"PIPELINE_FILE": str(folder / "pipeline.toml"), "MAX_REJECT_RATE": "1"}
    return Shop(folder, LOG_LEVEL="ERROR", DEAD_LETTERS="table", **given)


def counts(summary: RunSummary, table: str = "stock") -> tuple[int, ...]:
    found = summary["tables"][table]
    return tuple(found[f"rows_{name}"] for name in ("read", "inserted", "updated", "rejected"))


def test_a_record_loads_once_its_parent_is_there_or_its_rule_has_changed(shop: Shop) -> None:
    first = shop.night((1, "B", 3), (2, "A", 99), (3, "A", 4))
    assert counts(first) == (3, 1, 0, 2)
    assert shop.letters() == [("1", "open", 1), ("2", "open", 1)]
    shop.night((3, "A", 4), shelves="AB", argv="--accept stock")
    again = shop.retry("--reprocess-rejected")
    assert counts(again) == (2, 1, 0, 1)
    assert shop.letters() == [("1", "resolved", 2), ("2", "open", 2)]
    last = shop.retry("--reprocess-rejected", most=99)
    assert counts(last) == (1, 1, 0, 0)
    assert shop.stock() == [(1, 3), (2, 99), (3, 4)]
    closed = shop.letters('"state", "first_run_id", "closed_run_id"')
    runs = [each["run_id"] for each in (first, again, last)]
    assert closed == [("resolved", runs[0], runs[1]), ("resolved", runs[0], runs[2])]
    assert counts(shop.retry("--reprocess-rejected"), "customer_dim") == (0, 0, 0, 0)


def test_a_record_that_fails_three_times_stays_for_a_person(shop: Shop) -> None:
    shop.night((1, "A", 99))
    assert shop.retry("--reprocess-rejected")["exit_code"] == 0
    third = shop.retry("--reprocess-rejected")
    assert shop.letters() == [("1", "person", 3)]
    assert third["exit_code"] == 3
    assert "1 could not be loaded in 3 attempts and stay for a person" in third["attention"][0]
    fourth = shop.retry("--reprocess-rejected")
    assert (fourth["sources"], fourth["exit_code"]) == ([], 0)
    (kept,) = fourth["dead_letters"]
    assert (kept["source"], kept["open"], kept["person"]) == ("stock", 0, 1)
    (notice,) = fourth["notices"]
    assert notice.startswith("rejected records of stock: 1 for a person, the oldest ")
    shop.settings["DEAD_LETTER_ATTEMPTS"] = "4"
    shop.retry("--reprocess-rejected", most=99)
    assert shop.letters() == [("1", "resolved", 4)]


@pytest.mark.parametrize("newer", [(1, "A", 5), (1, "A", 98)], ids=["loaded", "rejected too"])
def test_a_record_of_which_a_newer_one_was_read_is_never_loaded(shop: Shop, newer: Row) -> None:
    shop.night((1, "A", 99), (2, "A", 1))
    shop.night(newer, (2, "A", 1))
    shop.retry("--reprocess-rejected", most=99)
    assert shop.letters()[0] == ("1", "superseded", 1)
    assert shop.stock() == [(1, newer[2]), (2, 1)]


def test_of_two_records_in_one_file_the_newer_stays(shop: Shop) -> None:
    shop.night((1, "A", 99), (1, "A", 5), (2, "A", 5), (2, "A", 98))
    assert [state for _, state, _ in shop.letters()] == ["superseded", "open"]
    shop.retry("--reprocess-rejected", most=99)
    assert shop.stock() == [(1, 5), (2, 98)]


def test_a_newer_record_that_loads_first_leaves_the_older_one_behind(shop: Shop) -> None:
    shop.night((1, "B", 9), (1, "A", 99), (2, "A", 1))
    shop.retry("--reprocess-rejected", most=99)
    assert [state for _, state, _ in shop.letters()] == ["superseded", "resolved"]
    shop.night((2, "A", 1), shelves="AB")
    shop.retry("--reprocess-rejected")
    assert shop.stock() == [(1, 99), (2, 1)]


def test_a_record_that_comes_every_night_is_kept_once_and_counts_its_nights(shop: Shop) -> None:
    for _ in range(3):
        shop.night((2, "A", 1), (1, "A", 99))
    assert shop.letters() == [("1", "person", 3)]
    shop.night((1, "A", 9))
    assert shop.letters() == [("1", "superseded", 3)]
    shop.night((1, "A", 99))
    assert shop.letters() == [("1", "open", 1)]


def test_a_record_without_a_key_is_tried_and_what_is_no_record_stays_for_a_person(
    shop: Shop,
) -> None:
    shop.night((2, "A", 1), ("", "A", 3), (3, "A", 1, "", "one too many"))
    assert shop.letters() == [(None, "open", 1), (None, "person", 1)]
    shop.retry("--reprocess-rejected")
    assert shop.letters() == [(None, "open", 2), (None, "person", 1)]


def test_a_full_refresh_decides_of_every_record(shop: Shop) -> None:
    shop.night((1, "A", 99), (2, "A", 1))
    shop.night((2, "A", 1), argv="--full-refresh")
    assert shop.letters() == [("1", "superseded", 1)]
    shop.retry("--reprocess-rejected", most=99)
    assert shop.stock() == [(2, 1)]


def test_dates_are_read_in_the_order_that_their_file_has_proven(shop: Shop) -> None:
    shop.night((1, "A", 99, "03/04/2024"), (2, "A", 1, "13/04/2024"))
    shop.retry("--reprocess-rejected", most=99)
    dates = shop.query('SELECT "sku", CAST("seen" AS VARCHAR(10)) FROM "stock" ORDER BY 1')
    assert dates == [(1, "2024-04-03"), (2, "2024-04-13")]


def test_a_corrected_file_resolves_what_is_kept(shop: Shop) -> None:
    shop.night((1, "A", 99), (2, "A", 1))
    (path,) = (shop.output / "rejected").glob("stock_*.csv")
    path.write_text(path.read_text("utf-8-sig").replace("99", "7"), "utf-8")
    shop.retry("--reprocess-rejected", str(path))
    assert shop.letters() == [("1", "resolved", 1)]
    assert shop.stock() == [(1, 7), (2, 1)]


def test_of_a_source_that_is_held_back_nothing_is_kept(shop: Shop) -> None:
    shop.settings["MAX_REJECT_RATE"] = "0.1"
    shop.night((1, "A", 99), (2, "A", 1))
    assert shop.letters() == []
    assert len(shop.rejected("stock")) == 1
    shop.night((1, "A", 99), (2, "A", 1), argv="--accept stock")
    assert shop.letters() == [("1", "open", 1)]


def test_no_more_are_kept_open_than_is_set(shop: Shop) -> None:
    shop.settings["DEAD_LETTER_LIMIT"] = "2"
    summary = shop.night((1, "A", 99), (2, "A", 99), (3, "A", 99), (4, "A", 1))
    assert [key for key, *_ in shop.letters()] == ["1", "2"]
    assert any("stock: 1 rejected record in the rejected file alone" in line
               for line in summary["notices"])  # fmt: skip
    shop.night((5, "A", 99), (4, "A", 1))
    assert len(shop.letters()) == 2


def test_closed_ones_are_deleted_in_time(shop: Shop) -> None:
    shop.night((1, "A", 99))
    shop.night((1, "A", 1))
    assert [state for _, state, _ in shop.letters()] == ["superseded"]
    shop.settings["DEAD_LETTER_DAYS"] = "0"
    shop.night((1, "A", 2))
    assert shop.letters() == []


def test_only_files_are_kept_unless_it_is_set(shop: Shop) -> None:
    del shop.settings["DEAD_LETTERS"]
    shop.night((1, "A", 99))
    assert shop.letters() == []
    with pytest.raises(ConfigurationError, match="set DEAD_LETTERS=table"):
        shop.retry("--reprocess-rejected")


KEY = "x" * 60  # wider than any column


def test_what_is_kept_of_the_built_in_loads_is_tried_too(shop: Shop) -> None:
    sale = {"transaction_id": "T1", "customer_id": "C1", "product_id": "P1", "quantity": "many",
            "unit_price": "5", "transaction_date": "2024-01-20"}  # fmt: skip
    shop.night()
    good = [sale | {"transaction_id": f"G{n}", "quantity": "1"} for n in range(4)]
    shop.write([{"customer_id": KEY}], [{"product_id": "P1", "price": "-1"}], [sale, *good])
    shop.run("--accept", "customers", "--accept", "products", "--accept", "sales")
    kept = shop.letters('"table_name", "state", "record_key", "field"')
    assert sorted(kept) == [
        ("customer_dim", "open", KEY, "customer_id"),
        ("product_dim", "open", "P1", "price"), ("sales_fact", "open", "T1", "quantity"),
    ]  # fmt: skip
    again = shop.run("--reprocess-rejected")
    assert [counts(again, name) for name in ("customer_dim", "product_dim", "sales_fact")] == [
        (1, 0, 0, 1), (1, 0, 0, 1), (1, 0, 0, 1),
    ]  # fmt: skip
    (again_rejected,) = read_csv(shop.output / "rejected" / f"sales_{again['run_id']}.csv")
    assert again_rejected["quantity"] == "many"


def test_a_key_that_a_new_setting_makes_readable_is_loaded(shop: Shop) -> None:
    toml = shop.folder / "pipeline.toml"
    toml.write_text("", "utf-8")
    accept = ("--accept", "customers", "--only", "customers")
    shop.write([{"customer_id": "NULL", "first_name": "Old"}, {"customer_id": "C1"}])
    shop.run(*accept)
    assert shop.letters() == [(None, "open", 1)]
    toml.write_text('[sources.customers]\nnull_words = ["nil"]\n', "utf-8")
    shop.run("--reprocess-rejected")
    assert shop.letters() == [("NULL", "resolved", 2)]
    assert shop.query("SELECT first_name FROM customer_dim WHERE customer_id = 'NULL'") == [
        ("Old",)
    ]


def test_a_file_that_is_known_already_is_no_attempt(shop: Shop) -> None:
    (shop.folder / "pipeline.toml").write_text("", "utf-8")
    shop.write([{"customer_id": "C1"}, {"customer_id": "", "first_name": "Ann"}])
    shop.run("--only", "customers")
    second = shop.run("--only", "customers")
    assert second["sources"][0]["unchanged_since"]
    assert shop.letters('"run_id", "state", "attempts"') == [(second["run_id"], "open", 1)]
    shop.write([{"customer_id": "C1"}])
    shop.run("--only", "customers")
    assert shop.letters() == [(None, "superseded", 1)]


# --- nights, against a model ------------------------------------------------------------------

STOCK = st.tuples(st.integers(1, 2), st.sampled_from("AB"), st.sampled_from([5, 6, 50]))


@dataclass(frozen=True)
class Night:
    """What is delivered in a night, and what people and machines do after its run."""

    stock: list[tuple[int, str, int]]
    shelves: str
    corrected: bool
    killed: bool
    retried: bool


NIGHTS = st.lists(
    st.builds(Night, st.lists(STOCK, min_size=1, max_size=4), st.sampled_from(["A", "AB"]),
              st.booleans(), st.booleans(), st.booleans()),
    min_size=1, max_size=3,
)  # fmt: skip


def live_through(shop: Shop, night: Night, newest: dict[int, int], known: set[str]) -> None:
    """Does what happens in a night, and notes what is newest of each record, and which shelves."""
    known |= set(night.shelves)
    accept = "--accept stock --accept shelves"
    if night.killed:
        with killed():
            shop.night(*night.stock, shelves=night.shelves, argv=accept)
    shop.night(*night.stock, shelves=night.shelves, argv=accept)
    newest |= {sku: pieces for sku, _, pieces in night.stock}
    rejected = [(sku, pieces) for sku, shelf, pieces in night.stock
                if pieces > 10 or shelf not in known]  # fmt: skip
    if night.corrected and rejected:
        path = sorted((shop.output / "rejected").glob("stock_*.csv"))[-1]
        text = path.read_text("utf-8-sig").replace(",B,", ",A,").replace(",50,", ",7,")
        path.write_text(text, "utf-8")
        shop.retry("--reprocess-rejected", str(path))
        newest |= {sku: min(pieces, 7) for sku, pieces in rejected}
    if night.retried:
        if night.killed:
            with killed():
                shop.retry("--reprocess-rejected")
        shop.retry("--reprocess-rejected")


@contextmanager
def killed() -> Iterator[None]:
    """Runs in it die just before they commit what they have loaded of stock."""
    real = settle_letters

    def dying(db: DatabaseManager, staged: Staged, *others: Any) -> None:
        real(db, staged, *others)
        if staged.table.name == "stock":
            raise LoadingError("the machine went down")

    with patch.object(closing, "settle_letters", dying):
        yield


# an example is several runs
@settings(max_examples=4, phases=[Phase.explicit, Phase.reuse, Phase.generate], deadline=None,
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(nights=NIGHTS)
def test_in_the_end_the_newest_record_of_each_key_is_loaded(
    nights: list[Night], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever was rejected, corrected, tried, killed and repeated on the way."""
    shop = new_shop(tmp_path_factory.mktemp("nights"))
    shop.settings["DEAD_LETTER_ATTEMPTS"] = "99"
    newest, known = dict[int, int](), set[str]()
    for night in nights:
        live_through(shop, night, newest, known)
    shop.night(shelves="AB", argv="--accept stock --accept shelves")
    shop.retry("--reprocess-rejected", most=99)
    assert shop.stock() == sorted(newest.items())
    assert {state for _, state, _ in shop.letters()} <= {"resolved", "superseded"}
    before = shop.letters("*")
    shop.retry("--reprocess-rejected", most=99)
    assert (shop.stock(), shop.letters("*")) == (sorted(newest.items()), before)

"""Loading plain records, validating what was loaded, and keeping what failed."""

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas
import polars
import pyarrow as pa
import pytest
from engines import SQL_SERVER, Engine, current
from pipeline_runs import read_csv

from data_loading import (
    DatabaseManager,
    classify_error,
    handle_loading_errors,
    load_customers,
    load_products,
    load_sales,
    validate_loaded_data,
)
from data_transformation import (
    enrich_product_data,
    process_sales_transactions,
    standardize_customer_data,
)
from etl.errors import LoadingError
from etl.resilience.transient import is_data_error

ANN = {"customer_id": "C1", "first_name": "ann", "last_name": "lee", "email": "A@B.org",
       "phone": "4255550100", "segment": "premium", "registration_date": "2024-01-15"}  # fmt: skip
LAMP = {"product_id": "P1", "name": "Lamp", "category": "tech", "price": 50.0, "cost": 20.0,
        "quantity": 5}  # fmt: skip
SALE = {"transaction_id": "T1", "customer_id": "C1", "product_id": "P1", "quantity": 2,
        "unit_price": 50.0, "discount_amount": 10.0, "transaction_date": "2024-01-20 10:00:00",
        "sales_rep_id": "R1"}  # fmt: skip


pytestmark = pytest.mark.usefixtures("every_engine")


@pytest.fixture
def db(every_engine: Engine) -> Iterator[DatabaseManager]:
    server = every_engine.is_server
    connection = every_engine.new_database() if server else "duckdb:///:memory:"
    with DatabaseManager(connection) as manager:
        yield manager


def counts(result: dict[str, Any]) -> tuple[int, ...]:
    names = ("processed", "inserted", "updated", "unchanged", "failed", "duplicates")
    return tuple(result[name] for name in names)


def test_new_records_are_inserted_changed_ones_updated_equal_ones_left(db: DatabaseManager) -> None:
    bob = ANN | {"customer_id": "C2"}
    assert counts(load_customers(standardize_customer_data([ANN, bob]), db)) == (2, 2, 0, 0, 0, 0)
    moved = bob | {"phone": "4255550199", "email": "new@b.org"}
    result = load_customers(standardize_customer_data([ANN, moved]), db)
    assert counts(result) == (2, 0, 1, 1, 0, 0)
    assert result["changed_columns"] == {"phone": 1, "email": 1}


def test_an_unchanged_row_keeps_its_updated_date(db: DatabaseManager) -> None:
    for email in ("a@b.org", "a@b.org", "c@d.org"):
        load_customers(standardize_customer_data([ANN | {"email": email}]), db)
        (dates,) = db.query("SELECT created_date, updated_date FROM customer_dim")
        assert (dates[0] == dates[1]) == (email == "a@b.org")


def test_of_records_with_one_key_the_last_wins(db: DatabaseManager) -> None:
    records = [{"customer_id": "C1", "name": "First"}, {"customer_id": "C1", "name": "Last"}]
    assert counts(load_customers(records, db)) == (2, 1, 0, 0, 0, 1)
    assert db.query("SELECT name FROM customer_dim") == [("Last",)]


def test_a_record_that_does_not_fit_fails_and_the_others_load(db: DatabaseManager) -> None:
    records: list[dict[str, object]] = [
        {"customer_id": "C1"},
        {"customer_id": " "},
        {"customer_id": "C3", "name": "x" * 202},
        {"customer_id": "C4", "address": "a\0b"},
        {"customer_id": "C5", "name": {"first": "Ann"}},
    ]
    result = load_customers(records, db)
    assert counts(result) == (5, 1, 0, 0, 4, 0)
    failed = [(error["error_class"], error.get("customer_id")) for error in result["errors"]]
    assert failed == [
        ("missing", " "), ("out_of_range", "C3"), ("bad_text", "C4"), ("malformed", "C5"),
    ]  # fmt: skip


def test_floats_arrive_as_exact_money(db: DatabaseManager) -> None:
    load_products(enrich_product_data([LAMP | {"price": 19.99, "cost": 0.1}]), db)
    assert db.query("SELECT price, cost FROM product_dim") == [(Decimal("19.99"), Decimal("0.10"))]


def test_nothing_is_done_with_an_empty_list(db: DatabaseManager) -> None:
    assert counts(load_sales([], db)) == (0, 0, 0, 0, 0, 0)


def test_a_sale_of_unknown_parties_gets_placeholders_which_are_completed_later(
    db: DatabaseManager,
) -> None:
    load_sales(process_sales_transactions([SALE], [], []), db)
    query = "SELECT customer_id, name, is_inferred FROM customer_dim"
    assert db.query(query) == [("C1", None, True)]
    assert db.query("SELECT profit_amount FROM sales_fact") == [(None,)]
    assert counts(load_customers(standardize_customer_data([ANN]), db)) == (1, 0, 1, 0, 0, 0)
    load_products(enrich_product_data([LAMP]), db)
    assert db.query(query) == [("C1", "Ann Lee", False)]
    assert db.query("SELECT profit_amount, profit_margin FROM sales_fact") == [
        (Decimal("50.00"), Decimal("0.5556"))
    ]


def test_an_earlier_sale_that_comes_late_makes_the_known_one_a_repeat(db: DatabaseManager) -> None:
    early = SALE | {"transaction_id": "T0", "transaction_date": "2024-01-19"}
    status = "SELECT transaction_id, customer_status FROM sales_fact ORDER BY transaction_id"
    load_sales(process_sales_transactions([SALE], [ANN], [LAMP]), db)
    assert db.query(status) == [("T1", "First-time")]
    load_sales(process_sales_transactions([early], [ANN], [LAMP]), db)
    assert db.query(status) == [("T0", "First-time"), ("T1", "Repeat")]


def test_a_sale_corrected_to_another_customer_restates_both(db: DatabaseManager) -> None:
    later = SALE | {"transaction_id": "T2", "transaction_date": "2024-01-21"}
    status = "SELECT transaction_id, customer_status FROM sales_fact ORDER BY transaction_id"
    load_sales(process_sales_transactions([SALE, later], [ANN], [LAMP]), db)
    assert db.query(status) == [("T1", "First-time"), ("T2", "Repeat")]
    load_sales(process_sales_transactions([SALE | {"customer_id": "C9"}], [ANN], [LAMP]), db)
    assert db.query(status) == [("T1", "First-time"), ("T2", "First-time")]


def test_a_placeholder_that_no_sale_names_any_more_is_removed(db: DatabaseManager) -> None:
    load_sales(process_sales_transactions([SALE], [], []), db)
    load_sales(process_sales_transactions([SALE | {"customer_id": "C9"}], [], []), db)
    assert db.query("SELECT customer_id FROM customer_dim") == [("C9",)]


def test_the_loads_of_records_are_in_the_history(db: DatabaseManager) -> None:
    load_customers([{"customer_id": "C1"}], db)
    assert db.query("SELECT mode, status FROM etl_run") == [("manual", "success")]
    assert db.query("SELECT table_name, rows_inserted FROM etl_load") == [("customer_dim", 1)]


# --- records of any kind, columns that they do not carry --------------------------------------


def test_a_column_that_a_record_does_not_carry_is_left_as_it_is(db: DatabaseManager) -> None:
    load_customers(standardize_customer_data([ANN]), db)
    result = load_customers([{"customer_id": "C1", "phone": "n/a", "email": None}], db)
    assert result["changed_columns"] == {"phone": 1, "email": 1}
    row = "SELECT name, email, phone, source_segment, is_inferred FROM customer_dim"
    assert db.query(row) == [("Ann Lee", None, "n/a", "premium", False)]


def test_a_sale_known_already_may_lack_columns_that_a_new_one_needs(db: DatabaseManager) -> None:
    load_sales(process_sales_transactions([SALE], [], []), db)
    records = [{"transaction_id": "T1", "sales_rep_id": "R2"}, {"transaction_id": "T9"}]
    result = load_sales(records, db)
    assert counts(result) == (2, 0, 1, 0, 1, 0)
    assert result["errors"] == [
        {"transaction_id": "T9", "error_class": "missing",
         "error": "customer_id: customer_id must not be empty"}
    ]  # fmt: skip
    assert db.query("SELECT quantity, sales_rep_id FROM sales_fact") == [(2, "R2")]


def test_records_of_one_key_build_on_each_other(db: DatabaseManager) -> None:
    records: list[dict[str, object]] = [
        {"customer_id": "C1", "name": "Ann", "phone": "1"},
        {"customer_id": "C1", "address": "x" * 501},  # too long, so nothing builds on it
        {"customer_id": " C1", "phone": None, "email": "a@b.org"},
    ]
    assert counts(load_customers(records, db)) == (3, 1, 0, 0, 1, 1)
    row = "SELECT name, phone, email, address FROM customer_dim"
    assert db.query(row) == [("Ann", None, "a@b.org", None)]


def test_an_unknown_column_is_named_with_the_one_that_was_meant(db: DatabaseManager) -> None:
    with pytest.raises(LoadingError, match=r"customer_dim has no column frist_name") as error:
        load_customers([{"customer_id": "C1"}, {"customer_id": "C2", "frist_name": "Ann"}], db)
    assert "did you mean first_name instead of frist_name" in str(error.value)
    assert "customer_dim" not in db.table_names()


@pytest.mark.parametrize("kind", [pa.Table.from_pylist, pandas.DataFrame, polars.DataFrame])
def test_frames_load_like_lists_of_dicts(db: DatabaseManager, kind: Callable[..., Any]) -> None:
    records: list[dict[str, object]] = [
        {"product_id": "P1", "price": 9.5},
        {"product_id": "P2", "price": None},
    ]
    assert counts(load_products(kind(records), db)) == (2, 2, 0, 0, 0, 0)
    assert counts(load_products(records, db)) == (2, 0, 0, 2, 0, 0)
    price = "SELECT price FROM product_dim ORDER BY product_id"
    assert db.query(price) == [(Decimal("9.50"),), (None,)]


def test_a_batch_has_as_many_rows_as_asked_for(db: DatabaseManager) -> None:
    records = [{"customer_id": f"C{n}"} for n in range(5)]
    assert load_customers(records, db, batch_size=2)["inserted"] == 5
    batches = db.value("SELECT batches FROM etl_load")
    assert batches == (4 if db.dialect.batched else 1)  # the last one closes the load


def test_a_batch_of_no_rows_is_refused(db: DatabaseManager) -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1, not 0"):
        load_customers([], db, batch_size=0)


# --- validation ----------------------------------------------------------------------------


@pytest.fixture
def loaded(db: DatabaseManager) -> DatabaseManager:
    load_customers(standardize_customer_data([ANN]), db)
    load_products(enrich_product_data([LAMP]), db)
    load_sales(process_sales_transactions([SALE], [ANN], [LAMP]), db)
    return db


def test_what_was_loaded_passes_every_check(loaded: DatabaseManager) -> None:
    result = validate_loaded_data(loaded)
    assert result["passed"]
    assert {check["status"] for check in result["checks"]} == {"passed"}
    assert set(result["checks"][0]) == {"name", "status", "value", "threshold", "message"}


def test_a_warehouse_without_tables_can_be_validated(db: DatabaseManager) -> None:
    assert validate_loaded_data(db)["passed"]


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        ("DELETE FROM sales_fact", "sales_fact.row_count"),
        ("INSERT INTO customer_dim SELECT * FROM customer_dim", "customer_dim.unique"),
        ("DELETE FROM product_dim", "sales_fact.product_id"),
        ("DELETE FROM customer_dim", "sales_fact.customer_id"),
        ("UPDATE sales_fact SET total_amount = 1", "sales_fact.total_amount"),
        ("UPDATE sales_fact SET profit_amount = NULL", "sales_fact.profit"),
        ("UPDATE sales_fact SET profit_margin = 0", "sales_fact.profit"),
        ("UPDATE sales_fact SET customer_status = 'Repeat'", "sales_fact.customer_status"),
        ("ALTER TABLE product_dim ALTER {optional};"
         "UPDATE product_dim SET created_date = NULL", "product_dim.required"),
    ],
)  # fmt: skip
def test_damage_done_behind_the_pipeline_is_found_unless_the_server_refuses_it(
    loaded: DatabaseManager, damage: str, check: str
) -> None:
    on_sql_server = current() is SQL_SERVER
    usual, there = "created_date DROP NOT NULL", "COLUMN created_date DATETIME2(6) NULL"
    try:
        loaded.execute(damage.format(optional=there if on_sql_server else usual))
    except LoadingError as error:
        if "not currently supported in Babelfish" in str(error):
            pytest.skip("Babelfish makes no column optional")
        assert is_data_error(error), error
        return
    result = validate_loaded_data(loaded)
    assert not result["passed"]
    failed = {found["name"] for found in result["checks"] if found["status"] == "failed"}
    assert check in failed


# --- failed records ------------------------------------------------------------------------


def test_failed_records_are_written_classified(tmp_path: Path) -> None:
    path = tmp_path / "errors" / "failed.csv"
    failed: list[dict[str, object]] = [
        {"customer_id": "", "error_class": "missing", "error": "customer_id must not be empty"},
        {"customer_id": "C2", "error": "Violation of PRIMARY KEY constraint 'PK'"},
        {"customer_id": "C3", "error_class": "duplicate"},
        {"customer_id": "C4", "error": ConnectionError("reset by peer")},
        {"customer_id": "C5", "error": "who knows"},
    ]
    result = handle_loading_errors(failed, str(path))
    assert result["by_class"] == {
        "constraint_violation": 1, "data_quality": 1, "duplicate": 1, "other": 1, "transient": 1,
    }  # fmt: skip
    written = read_csv(path)
    assert [record["customer_id"] for record in written] == ["", "C2", "C3", "C4", "C5"]
    assert [record["error_type"] for record in written] == [
        "data_quality", "constraint_violation", "duplicate", "transient", "other",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Transaction (Process ID 52) was deadlocked on lock resources", "transient"),
        ("('40001', 'deadlock victim')", "transient"),
        ("[08S01] [Microsoft][ODBC Driver 18] Communication link failure", "transient"),
        ("Query timeout expired", "transient"),
        ("IO Error: database is locked", "transient"),
        ("'23000', 'INSERT conflicted with the FOREIGN KEY'", "constraint_violation"),
        ("Cannot insert duplicate key row in 'dbo.t' (2601)", "constraint_violation"),
        ('violates not-null constraint "x"', "constraint_violation"),
        ("String or binary data would be truncated (2628)", "data_quality"),
        ("value too long for type character varying(50)", "data_quality"),
        ("Conversion failed when converting date", "data_quality"),
        ("Arithmetic overflow error converting numeric (8115)", "data_quality"),
        ("no idea what 508001 means", "other"),
        ("", "other"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["error", "error_message"])
def test_the_text_of_an_error_says_its_class(name: str, text: str, kind: str) -> None:
    assert classify_error({"customer_id": "C1", name: text}) == kind


def test_a_second_call_appends(tmp_path: Path) -> None:
    path = tmp_path / "failed.csv"
    handle_loading_errors([{"customer_id": "C1", "error": "=x"}], str(path))
    handle_loading_errors([{"product_id": "P1", "error_message": "deadlock"}], str(path))
    handle_loading_errors([], str(path))
    assert read_csv(path) == [
        {"error_type": "other", "error_class": "", "error": "'=x", "customer_id": "C1",
         "product_id": ""},
        {"error_type": "transient", "error_class": "", "error": "deadlock", "customer_id": "",
         "product_id": "P1"},
    ]  # fmt: skip


def test_a_formula_in_a_failed_record_is_harmless_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "failed.csv"
    handle_loading_errors([{"name": "=1+1", "quantity": -5, "error": "@x"}], str(path))
    (written,) = read_csv(path)
    assert (written["name"], written["quantity"], written["error"]) == ("'=1+1", "-5", "'@x")


def test_only_recoverable_records_are_tried_again(tmp_path: Path, db: DatabaseManager) -> None:
    failed: list[dict[str, object]] = [
        {"customer_id": "C1", "error": ConnectionError("reset by peer")},
        {"customer_id": "", "error_class": "missing", "error": "no key"},
    ]
    path = str(tmp_path / "failed.csv")
    result = handle_loading_errors(failed, path, retry=lambda records: load_customers(records, db))
    assert (result["retried"], result["recovered"]) == (1, 1)
    assert db.query("SELECT customer_id FROM customer_dim") == [("C1",)]


def test_the_errors_of_a_load_can_be_handed_on(tmp_path: Path, db: DatabaseManager) -> None:
    result = load_customers([{"customer_id": "C1"}, {"name": "nobody"}], db)
    handled = handle_loading_errors(result["errors"], str(tmp_path / "failed.csv"))
    assert handled["by_class"] == {"data_quality": 1}


def test_the_moment_of_a_sale_is_kept_to_the_microsecond(db: DatabaseManager) -> None:
    moment = datetime(2024, 1, 20, 10, 0, 0, 123456)
    load_sales(process_sales_transactions([SALE | {"transaction_date": moment}], [], []), db)
    assert db.query("SELECT transaction_date FROM sales_fact") == [(moment,)]

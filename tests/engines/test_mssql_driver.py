"""mssql-python in the place of pyodbc: what it raises looks like pyodbc's, and it loads alike."""

import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from engines import Engine

from data_loading import load_customers
from etl.engines import mssql_driver
from etl.engines.database import DatabaseManager
from etl.engines.mssql_driver import Error, translated
from etl.engines.odbc import OdbcReader, by_mssql_python, refusal, target_of
from etl.errors import LoadingError
from etl.resilience.transient import is_data_error, is_transient
from etl.schema.table import Column, Kind, Table
from etl.settings.connection_strings import joined, parse

ROOT = Path(__file__).resolve().parents[2]

exceptions = pytest.importorskip("mssql_python.exceptions", reason="no mssql-python")


def raised(state: str, text: str) -> Error:
    return translated(exceptions.sqlstate_to_exception(state, f"[Microsoft][SQL Server]{text}"))


# --- errors ----------------------------------------------------------------------------------


def test_the_numbers_of_the_driver_are_kept() -> None:
    error = translated(ValueError(), [("[42000] (1222)", "Lock request time out"),
                                      ("[01000] (3621)", "terminated")])  # fmt: skip
    assert error.args == (
        "42000", "[42000] Lock request time out (1222); [01000] terminated (3621) (SQLExecDirectW)"
    )  # fmt: skip
    assert is_transient(error)


@pytest.mark.parametrize(
    ("state", "text", "transient", "data"),
    [
        ("08S01", "Communication link failure", True, False),
        ("40001", "was deadlocked", True, False),
        ("HYT00", "Timeout expired", True, False),
        ("23000", "duplicate key", False, True),
        ("22001", "would be truncated", False, True),
        ("42000", "syntax", False, False),
    ],
)
def test_without_numbers_the_words_give_the_state(
    state: str, text: str, transient: bool, data: bool
) -> None:
    error = raised(state, text)
    assert error.args[0] == state
    assert (is_transient(error), is_data_error(error)) == (transient, data)


@pytest.mark.parametrize(
    ("state", "text", "words"),
    [
        ("28000", "Login failed for user 'etl'.", "the login failed"),
        ("42000", 'Cannot open database "dwh" requested by the login.', "no such database"),
        ("08001", "SSL Provider: certificate verify failed", "vouches for the certificate"),
        ("08001", "TCP Provider: Error code 0x2749", "refuses connections"),
        ("HYT00", "Login timeout expired", "did not answer"),
        ("28000", "The password of the account has expired.", "has expired or must be changed"),
    ],
)
def test_a_refusal_is_understood_as_pyodbcs_is(state: str, text: str, words: str) -> None:
    target = target_of(parse("Driver=mssql-python;Server=s;UID=etl;PWD=hunter2"), [])
    assert target.text == "Server=s;UID=etl;PWD=hunter2"
    assert target.where == "the default database on server 's' through mssql-python"
    refused = str(refusal(raised(state, text), target, login_timeout_s=5))
    assert words in refused
    assert "hunter2" not in refused


def test_what_the_package_itself_does_not_take_is_an_error_too() -> None:
    with pytest.raises(Error, match="frob"):
        mssql_driver.connect("Server=s;Frob=1")


def test_it_connects_where_it_is_named_and_nowhere_else() -> None:
    assert by_mssql_python(parse("Server=s;Driver=MSSQL-Python"))
    assert not by_mssql_python(parse("Server=s"))  # pyodbc can be used here
    assert not by_mssql_python(parse("DSN=s"))


# --- on a server -----------------------------------------------------------------------------


@pytest.fixture
def connection(sql_server: Engine) -> str:
    pairs = [p for p in parse(sql_server.new_database()) if p[0].lower() != "driver"]
    return joined([("Driver", mssql_driver.NAME), *pairs])


def test_it_loads_and_its_errors_have_numbers(connection: str) -> None:
    with DatabaseManager(connection) as db:
        assert db.session.facts()["driver"].endswith("(mssql-python)")
        assert load_customers([{"customer_id": "C1", "name": "漢 \U0001f600"}], db)["inserted"] == 1
        assert load_customers([{"customer_id": "C1", "name": "漢 x"}], db)["updated"] == 1
        with pytest.raises(LoadingError) as caught:
            db.execute("INSERT INTO customer_dim (customer_id) VALUES (?)", ("C1",))
        assert "(2627)" in str(caught.value)
        assert is_data_error(caught.value)
        with pytest.raises(LoadingError, match=r"\(8134\)"):
            db.query("SELECT 1 / 0")
        with pytest.raises(LoadingError, match=r"\(8134\)"):
            db.query("SELECT 1; SELECT 1 / 0")


def test_numbers_fill_their_column_to_the_last_digit(connection: str) -> None:
    amounts = [Decimal("9999999999999999.99"), Decimal("-9999999999999999.99"), Decimal("0.01")]
    column = Column("amount", "", Kind.DECIMAL, precision=18, scale=2)
    with DatabaseManager(connection) as db:
        db.execute("CREATE TABLE amounts (amount DECIMAL(18, 2))")
        block = pa.RecordBatch.from_arrays([pa.array(amounts, pa.decimal128(18, 2))], ["amount"])
        db.append(Table("amounts", "", (), (column,)), block)
        assert {row[0] for row in db.query("SELECT amount FROM amounts")} == {*amounts}


def test_sales_are_read_by_it(connection: str) -> None:
    reader = OdbcReader(connection, "SALES_DB_CONNECTION_STRING")
    reader.query("SELECT ? AS a, N'b' AS b", ["é"])
    assert (list(reader.columns), reader.ticks_finer) == (["a", "b"], True)
    assert [tuple(row) for row in reader.fetchmany(2)] == [("é", "b")]
    assert reader.fetchmany(2) == []
    reader.close()


def test_a_server_is_loaded_without_an_odbc_manager(sql_server: Engine) -> None:
    """By pip alone: pyodbc cannot be imported where libodbc is missing."""
    pairs = [p for p in parse(sql_server.new_database()) if p[0].lower() != "driver"]
    code = (
        "import sys; sys.modules['pyodbc'] = None\n"
        "from data_loading import load_customers\n"
        "from etl.engines.database import DatabaseManager\n"
        "with DatabaseManager(sys.argv[1]) as db:\n"
        "    print(load_customers([{'customer_id': 'C1'}], db)['inserted'])\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, joined(pairs)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.strip() == "1"

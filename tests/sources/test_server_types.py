"""Types of SQL Server as a source: read right, or named with what to do."""

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from engines import DUCKDB, Engine, using
from pipeline_runs import Project

from etl.engines.database import DatabaseManager
from etl.engines.odbc_types import offset_time
from etl.errors import ExtractionError
from etl.sources.databases.asked import Asked
from etl.sources.databases.driver import Target
from etl.sources.databases.records import DatabaseRecords
from etl.sources.watch import Watch
from etl.sources.window import EVERYTHING, Window

# The type, the value as T-SQL, and the text that is read.
READ = {
    "DATETIME": ("'2024-01-20 10:11:12.337'", "2024-01-20T10:11:12.337000"),
    "SMALLDATETIME": ("'2024-01-20 10:11'", "2024-01-20T10:11:00"),
    "DATETIME2(7)": ("'2024-01-20 10:11:12.1234561'", "2024-01-20T10:11:12.123456"),
    "DATETIMEOFFSET(6)": ("'2024-01-20 10:11:12.123456 +02:00'", "2024-01-20T09:11:12.123456"),
    "DATE": ("'2024-01-20'", "2024-01-20"),
    "TIME(6)": ("'10:11:12.123456'", "10:11:12.123456"),
    "MONEY": ("19.9900", "19.9900"),
    "SMALLMONEY": ("-1.5", "-1.5000"),
    "DECIMAL(38, 10)": ("12345678901234567890.1234567891", "12345678901234567890.1234567891"),
    "FLOAT": ("19.99", "19.99"),
    "REAL": ("19.99", "19.99"),
    "BIGINT": ("9223372036854775807", "9223372036854775807"),
    "BIT": ("1", "true"),
    "UNIQUEIDENTIFIER": ("'6f9619ff-8b86-d011-b42d-00c04fc964ff'",
                         "6F9619FF-8B86-D011-B42D-00C04FC964FF"),
    "XML": ("N'<a>é</a>'", "<a>é</a>"),
    "NVARCHAR(MAX)": ("N'漢😀'", "漢😀"),
    "VARBINARY(10)": ("0x01ff", "01ff"),
}  # fmt: skip


@pytest.fixture(scope="module")
def shop(sql_server: Engine) -> str:
    return sql_server.new_database()


def read(shop: str, *columns: str, window: Window = EVERYTHING) -> list[Sequence[object]]:
    target = Target(shop, "ERP", zone="Europe/Berlin")
    cursor = "" if window is EVERYTHING else columns[0]
    records = DatabaseRecords(target, "ERP", Asked(table="things", cursor=cursor))
    blocks = [block.records for block in records.blocks(columns, window, Watch())]
    return [tuple(row[name] for name in columns) for b in blocks for row in b.to_pylist()]


def test_each_type_is_read_right(shop: str) -> None:
    names = [f"c{number}" for number in range(len(READ))]
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(names, READ, strict=True))
    values = ", ".join(text for text, _ in READ.values())
    with DatabaseManager(shop) as db:
        db.execute(f"CREATE TABLE things ({columns})")
        db.execute(f"INSERT INTO things VALUES ({values})")
        db.execute(f"INSERT INTO things (c0) VALUES ({READ['DATETIME'][0]})")
    first, second = read(shop, *names)
    assert dict(zip(READ, first, strict=True)) == {kind: text for kind, (_, text) in READ.items()}
    assert set(second[1:]) == {None}


def test_a_type_that_cannot_be_read_is_named_with_its_column(sql_server: Engine) -> None:
    shop = sql_server.new_database()
    with DatabaseManager(shop) as db:
        db.execute("CREATE TABLE things (id INT, extra SQL_VARIANT)")
        db.execute("INSERT INTO things VALUES (1, CAST(N'x' AS NVARCHAR(9)))")
        assert read(shop, "id", "extra") == [("1", "x")]
        db.execute("INSERT INTO things VALUES (2, CAST(5 AS INT))")
    with pytest.raises(ExtractionError, match=r"'extra' is sql_variant, .*CAST\("):
        read(shop, "id", "extra")


def test_a_window_of_a_cursor_with_offsets_is_on_the_clock_of_the_zone(
    sql_server: Engine,
) -> None:
    shop = sql_server.new_database()
    with DatabaseManager(shop) as db:
        db.execute("CREATE TABLE things (at DATETIMEOFFSET(6))")
        for moment in ("2024-01-20 09:59 +01:00", "2024-01-20 09:00 +00:00"):
            db.execute(f"INSERT INTO things VALUES ('{moment}')")
    window = Window(datetime(2024, 1, 20, 10), datetime(2024, 1, 20, 23))
    assert read(shop, "at", window=window) == [("2024-01-20T10:00:00",)]


@pytest.mark.parametrize(
    ("raw", "moment"),
    [
        ("e807 0c00 1f00 1700 3b00 3b00 00389c3b 0000 0000", None),
        ("e807 0c00 1f00 1700 3b00 3b00 18c69a3b f4ff 0000",
         datetime(2024, 12, 31, 23, 59, 59, 999999, timezone(timedelta(hours=-12)))),
        ("0100 0100 0100 0000 0000 0000 00000000 fdff e2ff",
         datetime(1, 1, 1, tzinfo=timezone(-timedelta(hours=3, minutes=30)))),
    ],
)  # fmt: skip
def test_a_time_with_an_offset_is_what_the_driver_sent(raw: str, moment: datetime | None) -> None:
    if moment is None:
        with pytest.raises(ValueError, match="microsecond"):
            offset_time(bytes.fromhex(raw))
        return
    assert offset_time(bytes.fromhex(raw)) == moment


SOLD = [
    ("T1", "2024-01-20 00:30 +02:00"),  # the 19th in Berlin
    ("T2", "2024-01-20 00:30 +01:00"),
    ("T3", "2024-01-20 22:59:59.999999 +00:00"),
    ("T4", "2024-01-20 23:00 +00:00"),  # the 21st
]


def test_days_of_times_with_an_offset_are_those_of_the_zone_that_is_set(
    sql_server: Engine, tmp_path: Path
) -> None:
    shop = sql_server.new_database()
    with DatabaseManager(shop) as db:
        db.execute(
            "CREATE TABLE sales_transactions (transaction_id CHAR(8), customer_id NCHAR(9),"
            " product_id CHAR(8), quantity SMALLINT, unit_price FLOAT,"
            " discount_amount MONEY, transaction_date DATETIMEOFFSET(6),"
            " sales_rep_id UNIQUEIDENTIFIER, status CHAR(12))"
        )
        for key, moment in SOLD:
            db.execute(
                "INSERT INTO sales_transactions VALUES (?, N'C1', 'P1', 1, 19.99, 0.5,"
                f" '{moment}', NULL, 'completed')",
                (key,),
            )
    with using(DUCKDB):
        project = Project(
            tmp_path / "project", SALES_DB_CONNECTION_STRING=shop, SOURCE_TIME_ZONE="Europe/Berlin"
        )
        summary = project.run("--date", "2024-01-20")
        query = "SELECT transaction_id, customer_id, total_amount, transaction_date FROM sales_fact"
        assert sorted(project.query(query)) == [
            ("T2", "C1", Decimal("19.49"), datetime(2024, 1, 20, 0, 30)),
            ("T3", "C1", Decimal("19.49"), datetime(2024, 1, 20, 23, 59, 59, 999999)),
        ]
    assert summary["tables"]["sales_fact"]["rows_read"] == 2

"""Databases of each kind as sources: real servers on loopback, and files."""

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pytest
from bson import Regex
from database_servers import cut_after, free_port, mariadb_server, mongodb_server
from engines import DUCKDB, using
from hypothesis import given, settings
from hypothesis import strategies as st
from order_databases import SERVERS, SHOPS, Order, Shop
from pipeline_runs import Project

from etl.db_ingest import connection_string_of, ingest_from_database
from etl.engines.database import DatabaseManager
from etl.errors import ConfigurationError, ETLError, ExtractionError
from etl.rules.blocks import Block
from etl.sources.databases.asked import Asked
from etl.sources.databases.driver import Target
from etl.sources.databases.records import DatabaseRecords
from etl.sources.databases.registry import driver_of
from etl.sources.window import EVERYTHING, Window
from etl.warehouse.state import forget_state, read_states, state_of

DAY = datetime(2024, 1, 31, 10)
LOAD = """
[loads.sold]
source = { connection = "SHOP_DB", table = "orders" }
table = "sold"
key = ["id"]
"""
TYPED = (
    LOAD
    + """
columns = { id = "integer", note = "text(40)", total = "decimal(12, 2)", changed = "timestamp" }
"""
)
BY_TIME = TYPED + 'cursor = "changed"\nlag_days = 1\n'
BY_ID = TYPED + 'cursor = "id"\nlag_ids = 2\n'


@pytest.fixture(autouse=True)
def embedded() -> Iterator[None]:
    with using(DUCKDB):
        yield


@pytest.fixture(params=SHOPS)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    return SHOPS[request.param](tmp_path)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    return SHOPS[request.param](tmp_path)


def project_of(shop: Shop, folder: Path, declared: str, **more: str) -> Project:
    path = folder / "pipeline.toml"
    path.write_text(declared, encoding="utf-8")
    return Project(
        folder, PIPELINE_FILE=str(path), SHOP_DB=shop.connection, LOG_LEVEL="CRITICAL",
        MAX_RETRIES="0", **more,
    )  # fmt: skip


def source_of(project: Project, *argv: str) -> dict[str, Any]:
    (source,) = project.run("--only", "sold", *argv)["sources"]
    found: dict[str, Any] = source
    return found


def loaded(project: Project) -> list[tuple[Any, ...]]:
    return project.query("SELECT id, note, total, changed FROM sold ORDER BY id")


def order(number: int, at: datetime = DAY, note: str | None = None) -> Order:
    return (number, note, Decimal(number) / 4, at)


def as_loaded(orders: Sequence[Order]) -> list[tuple[Any, ...]]:
    return sorted((n, note or None, total, at) for n, note, total, at in orders)


# --- each kind loads its table -------------------------------------------------------------


ODD: list[Order] = [
    (1, "\u00e9\u6f22 \U0001f600 \"quoted\", 'and'\nmore", Decimal("9999999999.99"), DAY),
    (2, None, None, DAY + timedelta(microseconds=123000)),
    (3, "", Decimal("-0.01"), datetime(1999, 12, 31, 23, 59, 59)),
    (4, "100 % ? \\ `x`", Decimal("0.10"), DAY),
]


def test_each_kind_of_database_loads_its_table(shop: Shop, tmp_path: Path) -> None:
    shop.make(ODD)
    project = project_of(shop, tmp_path, LOAD)
    assert source_of(project)["status"] == "loaded"
    assert loaded(project) == as_loaded(ODD)


def test_a_database_says_the_types_of_a_table_that_is_made(tmp_path: Path) -> None:
    shop = SHOPS["sqlite"](tmp_path)
    shop.make([(7, "7", Decimal(1), DAY)])  # its values alone would be a whole number each
    project = project_of(shop, tmp_path, LOAD)
    assert source_of(project)["status"] == "loaded"
    with duckdb.connect(str(project.output / "warehouse.duckdb"), read_only=True) as connection:
        types = [row[1] for row in connection.execute("DESCRIBE sold").fetchall()]
    assert types[:4] == ["BIGINT", "VARCHAR", "DECIMAL(12,2)", "TIMESTAMP"]


@pytest.mark.parametrize("kind", ["postgresql", "mariadb", "mongodb", "sqlite"])
def test_rows_come_in_blocks_and_not_all_at_once(kind: str, tmp_path: Path) -> None:
    shop = SHOPS[kind](tmp_path)
    shop.make([order(n) for n in range(1, 2500)])
    target = Target(shop.connection, "SHOP_DB", chunk_rows=1000)
    connection = driver_of(shop.connection, "SHOP_DB").connect(target)
    asked = Asked("orders")
    blocks = connection.blocks(asked, connection.columns(asked))
    sizes = [next(blocks).num_rows, *(block.num_rows for block in blocks)]
    connection.close()
    assert sum(sizes) == 2499
    # rows of MariaDB come as the system hands them on, up to 256 KiB
    assert len(sizes) > 1 or kind == "mariadb"


def test_a_window_is_asked_for_in_the_zone_of_the_source(tmp_path: Path) -> None:
    shop = SHOPS["postgresql"](tmp_path)
    shop.run("CREATE TABLE orders (id int, changed timestamptz)", ())
    shop.run("INSERT INTO orders VALUES (1, '2024-07-01 09:59Z'), (2, '2024-07-01 10:00Z')", ())
    noon = Window(datetime(2024, 7, 1, 12), EVERYTHING.end)
    target = Target(shop.connection, "SHOP_DB", zone="Europe/Berlin")
    connection = driver_of(shop.connection, "SHOP_DB").connect(target)
    asked = Asked("orders", cursor="changed").within(noon)
    (block,) = connection.blocks(asked, connection.columns(asked))
    connection.close()
    assert block.to_pylist() == [{"id": "2", "changed": "2024-07-01 12:00:00"}]


# --- MariaDB: what comes over the wire -------------------------------------------------------


def test_long_values_of_mariadb_are_parted_right() -> None:
    server = mariadb_server()
    name = server.new_database()
    lengths = [0, 1, 250, 251, 252, 65535, 65536, 300_000]
    server.execute("CREATE TABLE orders (id INT, note LONGTEXT, raw BLOB, n TEXT)", database=name)
    rows = [(n, "\u6f22" * length, bytes([n, 255]), None) for n, length in enumerate(lengths)]
    server.execute_many("INSERT INTO orders VALUES (%s, %s, %s, %s)", rows, name)
    target = Target(server.url(name), "SHOP_DB", chunk_rows=3)
    connection = driver_of(server.url(name), "SHOP_DB").connect(target)
    asked = Asked("orders")
    columns = connection.columns(asked)
    found = [row for block in connection.blocks(asked, columns) for row in block.to_pylist()]
    connection.close()
    assert [(row["id"], row["note"], row["n"]) for row in found] == [
        (str(n), note, None) for n, note, _, _ in rows
    ]
    assert [row["raw"].lower() for row in found] == [raw.hex() for _, _, raw, _ in rows]


def test_options_of_tls_reach_the_driver(tmp_path: Path) -> None:
    server, authority = mariadb_server(), tmp_path / "ca.pem"
    authority.write_text("no certificate", encoding="ascii")
    url = f"{server.url(server.new_database())}?ssl_ca={authority}"
    with pytest.raises(ExtractionError, match="Next: check ssl_ca, ssl_cert and ssl_key"):
        driver_of(url, "SHOP_DB").connect(Target(url, "SHOP_DB"))
    with pytest.raises(ConfigurationError, match="unknown ssl_nonsense"):
        driver_of(url, "SHOP_DB").connect(Target(f"{url}&ssl_nonsense=1", "SHOP_DB"))


# --- an interrupted sync, repeated ---------------------------------------------------------


def test_a_server_that_closes_in_the_middle_costs_nothing(server: Shop, tmp_path: Path) -> None:
    first = [order(n, note="x" * 30) for n in range(1, 11)]
    later = [order(n, DAY + timedelta(days=2), "y" * 30) for n in range(11, 3000)]
    server.make(first)
    project = project_of(server, tmp_path, BY_TIME, CHUNK_ROWS="500")
    assert source_of(project)["status"] == "loaded"
    server.add(later)
    with cut_after(server.port, 60_000) as port:
        project.settings["SHOP_DB"] = server.through(port)
        source = source_of(project)
    assert source["status"] == "failed"
    assert len(source["error"].splitlines()) == 1
    assert "Next: " in source["error"]
    assert loaded(project) == as_loaded(first)
    project.settings["SHOP_DB"] = server.connection
    assert source_of(project)["status"] == "loaded"
    assert loaded(project) == as_loaded([*first, *later])


def test_an_interrupted_and_repeated_sync_equals_an_undisturbed_one(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights = [[order(n, DAY + timedelta(days=day)) for n in range(9 * day + 1, 9 * day + 10)]
              for day in range(2)]  # fmt: skip
    shop.make()
    project = project_of(shop, tmp_path, BY_ID, CHUNK_ROWS="2")
    whole = DatabaseRecords.blocks

    def breaks(records: DatabaseRecords, *args: Any) -> Iterator[Block]:
        yield next(whole(records, *args))
        raise ExtractionError("the power went off")

    for night in nights:
        shop.add(night)
        with monkeypatch.context() as patched:
            patched.setattr(DatabaseRecords, "blocks", breaks)
            assert source_of(project)["status"] == "failed"
        assert source_of(project)["status"] == "loaded"
    assert loaded(project) == as_loaded([each for night in nights for each in night])
    assert project.query("SELECT largest_number FROM etl_watermark") == [(18,)]


_IDS = st.lists(st.integers(1, 20), max_size=4, unique=True)
_NIGHT = st.tuples(_IDS, st.integers(0, 3), st.booleans())


@settings(max_examples=int(os.environ.get("HISTORIES", "3")))
@given(nights=st.lists(_NIGHT, min_size=1, max_size=4), by_id=st.booleans())
def test_a_cursor_reads_what_a_slow_model_reads(
    nights: list[tuple[list[int], int, bool]], by_id: bool
) -> None:
    """The source is written at random; each night reads what lies above the cursor less its lag."""
    with tempfile.TemporaryDirectory() as folder, using(DUCKDB):
        shop = SHOPS["sqlite"](Path(folder))
        shop.make()
        project = project_of(shop, Path(folder), BY_ID if by_id else BY_TIME)
        draw, written, expected = count(), dict[int, Order](), dict[int, Order]()
        reached: Any = None
        for night, (ids, late_days, fails) in enumerate(nights):
            for number in ids:
                at = DAY + timedelta(days=night - late_days)
                new = (number, str(next(draw)), Decimal(night), at)
                shop.run("DELETE FROM orders WHERE id = ?", [(number,)])
                shop.add([new])
                written[number] = new
            if fails:
                project.settings["SHOP_DB"] = f"sqlite:///{folder}/elsewhere.db"
                source_of(project)
                project.settings["SHOP_DB"] = shop.connection
            source_of(project)
            place: int = 0 if by_id else 3
            lag: Any = 2 if by_id else timedelta(days=1)
            read = [o for o in written.values() if reached is None or o[place] >= reached - lag]
            expected |= {each[0]: each for each in read}
            reached = max([*(each[place] for each in read), *filter(None, [reached])], default=None)
            rows = loaded(project) if expected else []
            assert rows == as_loaded(list(expected.values()))


# --- state, and gaps in numbers ------------------------------------------------------------


def test_the_state_of_a_cursor_of_numbers_is_shown_and_reset(tmp_path: Path) -> None:
    shop = SHOPS["sqlite"](tmp_path)
    shop.make([order(n) for n in (1, 2, 9)])
    project = project_of(shop, tmp_path, BY_ID)
    source_of(project)
    with DatabaseManager.from_config(project.config()) as db:
        state = state_of(read_states(db, project.config()), "sold")
        assert (state.cursor, state.reached, state.next_from) == ("id", 9, 7)
        assert json.loads(json.dumps(state.as_dict()))["reached"] == 9
        forget_state(db, state)
        assert state_of(read_states(db, project.config()), "sold").reached is None


def test_gaps_in_numbers_are_reported_with_their_ranges(tmp_path: Path) -> None:
    shop = SHOPS["sqlite"](tmp_path)
    shop.make([order(n) for n in (3, 4, 7, 9)])
    project = project_of(shop, tmp_path, BY_ID.replace("lag_ids = 2", ""))
    (warning,) = source_of(project)["warnings"]
    assert warning.startswith("id: 3 numbers are missing: 5 to 6, 8. ")
    shop.add([order(12), order(5)])
    (warning,) = source_of(project)["warnings"]
    assert warning.startswith("id: 2 numbers are missing: 10 to 11. ")
    assert source_of(project)["warnings"] == []
    shop.add([order(20)])
    quiet = project_of(shop, tmp_path, BY_ID + "report_gaps = false\n")
    assert source_of(quiet)["warnings"] == []


# --- bad input -----------------------------------------------------------------------------


def test_a_table_that_does_not_exist_is_named(shop: Shop, tmp_path: Path) -> None:
    shop.make([order(1)])
    project = project_of(shop, tmp_path, TYPED.replace('"orders"', '"ordres"'))
    error = source_of(project)["error"]
    assert "ordres" in error
    assert "Next: " in error
    assert project.query("SELECT count(*) FROM sold") == [(0,)]


def test_a_view_without_the_cursor_is_named(tmp_path: Path) -> None:
    for kind in ("postgresql", "mariadb", "sqlite", "duckdb"):
        folder = tmp_path / kind
        folder.mkdir()
        shop = SHOPS[kind](folder)
        shop.make([order(1)])
        shop.run("CREATE VIEW few AS SELECT id, note, total FROM orders", ())
        project = project_of(shop, folder, BY_TIME.replace('"orders"', '"few"'))
        error = source_of(project)["error"]
        assert "'changed'" in error, error
        assert "Next: add the columns" in error


def test_a_schema_that_changes_between_nights_is_named(tmp_path: Path) -> None:
    shop = SHOPS["mariadb"](tmp_path)
    shop.make([order(1)])
    project = project_of(shop, tmp_path, BY_TIME)
    source_of(project)
    shop.run("ALTER TABLE orders RENAME COLUMN total TO gross", ())
    assert "lacks 'total'; found 'id', 'note', 'gross'" in source_of(project)["error"]
    shop.run("ALTER TABLE orders RENAME COLUMN gross TO total", ())
    shop.run("ALTER TABLE orders MODIFY total VARCHAR(20)", ())
    shop.run("INSERT INTO orders VALUES (%s, %s, %s, %s)", [(2, "", "1.50", DAY)])
    shop.run("INSERT INTO orders VALUES (%s, %s, %s, %s)", [(3, "", "a lot", DAY)])
    project.settings["MAX_REJECT_RATE"] = "1"
    assert source_of(project)["status"] == "loaded"
    assert [row[:3] for row in loaded(project)][1:] == [(2, None, Decimal("1.50"))]


@pytest.mark.parametrize(
    ("kind", "statement", "words"),
    [
        ("postgresql", "ALTER TABLE orders ADD COLUMN shape tsvector", "the type tsvector"),
        ("mariadb", "ALTER TABLE orders ADD COLUMN shape POINT", "the type geometry"),
    ],
)  # fmt: skip
def test_a_type_without_a_text_is_named(
    tmp_path: Path, kind: str, statement: str, words: str
) -> None:
    shop = SHOPS[kind](tmp_path)
    shop.make([order(1)])
    shop.run(statement, ())
    project = project_of(shop, tmp_path, TYPED.replace('note = "text(40)"', 'shape = "text(9)"'))
    error = source_of(project)["error"]
    assert f"shape has {words}" in error
    assert "convert it in a query" in error
    assert source_of(project_of(shop, tmp_path, TYPED))["status"] == "loaded"


def test_a_value_of_mongodb_without_a_text_is_named(tmp_path: Path) -> None:
    shop, server = SHOPS["mongodb"](tmp_path), mongodb_server()
    shop.make([order(1)])
    name = shop.connection.rpartition("/")[2]
    server.client[name]["orders"].insert_one({"id": 2, "note": Regex("x"), "changed": DAY})
    error = source_of(project_of(shop, tmp_path, TYPED))["error"]
    assert "note holds a value of type Regex" in error


def test_documents_may_lack_members_and_hold_others(tmp_path: Path) -> None:
    shop, server = SHOPS["mongodb"](tmp_path), mongodb_server()
    shop.make([order(1, note="plain")])
    name = shop.connection.rpartition("/")[2]
    server.client[name]["orders"].insert_many([
        {"id": 2, "buyer": {"name": "Ann"}, "tags": ["a", "b"]}, {"id": 3, "note": 7}
    ])  # fmt: skip
    text = LOAD.replace('"orders" }', '"orders", rename = { "buyer.name" = "buyer" } }')
    columns = '{ id = "integer", note = "text(9)", buyer = "text(9)", tags = "text(20)" }'
    project = project_of(shop, tmp_path, f"{text}columns = {columns}\n")
    assert source_of(project)["status"] == "loaded"
    assert project.query("SELECT * FROM sold ORDER BY id") == [
        (1, "plain", None, None), (2, None, "Ann", '["a", "b"]'), (3, "7", None, None)
    ]  # fmt: skip


def test_wrong_credentials_are_named_and_never_shown(tmp_path: Path) -> None:
    shop, server = SHOPS["mariadb"](tmp_path), mariadb_server()
    shop.make([order(1)])
    project = project_of(shop, tmp_path, TYPED)
    name = shop.connection.rpartition("/")[2]
    project.settings["SHOP_DB"] = server.url(name, password="sesame-is-wrong")  # noqa: S106
    error = source_of(project)["error"]
    assert "Access denied" in error
    assert "correct user or password (SHOP_DB)" in error
    log = "".join(path.read_text("utf-8") for path in (tmp_path / "logs").rglob("*.log"))
    assert "sesame" not in error + log


def test_a_server_that_does_not_run_is_named(server: Shop) -> None:
    url = server.through(free_port())
    url += "?serverSelectionTimeoutMS=200" if server.kind == "mongodb" else ""
    with pytest.raises(ETLError, match="Next: check host and port"):
        ingest_from_database({"connection_string": url}, "orders")


def test_a_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    for kind in ("sqlite", "duckdb"):
        url = f"{kind}:///{tmp_path}/none.db"
        with pytest.raises(FileNotFoundError, match="of SHOP_DB does not exist"):
            driver_of(url, "SHOP_DB").connect(Target(url, "SHOP_DB"))


# --- from scripts --------------------------------------------------------------------------


def test_records_of_each_kind_are_read_into_a_script(shop: Shop) -> None:
    shop.make([order(n, DAY + timedelta(days=n), "x") for n in (1, 2, 3)])
    config = {"connection_string": shop.connection, "cursor": "id", "since": 2}
    records = ingest_from_database(config, "orders", limit=1)
    assert [(record["id"], record["note"]) for record in records] == [(2, "x")]
    assert len(ingest_from_database({"connection_string": shop.connection}, "orders")) == 3


def test_a_configuration_names_its_database() -> None:
    login = {"host": "db1", "database": "shop", "user": "etl", "password": "a b"}
    strings = {
        kind: connection_string_of({"type": kind, **login})
        for kind in ("postgres", "mariadb", "mongodb", "mssql")
    }
    assert strings == {
        "postgres": "postgresql://etl:a%20b@db1/shop", "mariadb": "mysql://etl:a%20b@db1/shop",
        "mongodb": "mongodb://etl:a%20b@db1/shop",
        "mssql": "Server=db1;Database=shop;UID=etl;PWD={a b}",
    }  # fmt: skip
    with pytest.raises(ConfigurationError, match="no type of database 'oracle'"):
        ingest_from_database({"type": "oracle"}, "orders")
    with pytest.raises(ConfigurationError, match="unknown in the configuration"):
        ingest_from_database({"type": "sqlite", "pasword": "x"}, "orders")
    with pytest.raises(ConfigurationError, match="a table or a query"):
        ingest_from_database({"type": "sqlite", "path": "x"})

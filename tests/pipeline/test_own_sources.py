"""Where declared loads read their records, what they take of them, and what is kept of it."""

import csv
import gzip
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from engines import DUCKDB, SQL_SERVER, current
from pipeline_runs import Project, command, read_csv

from etl.engines.database import DatabaseManager
from etl.errors import LoadingError
from etl.files import PART
from etl.history import watermarks
from etl.history.summary import RunSummary

NAMES = ("read", "inserted", "updated", "unchanged", "rejected", "duplicate", "vanished", "removed")
pytestmark = pytest.mark.usefixtures("every_engine")

Load = Callable[..., dict[str, int]]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    settings = {"PIPELINE_FILE": str(tmp_path / "pipeline.toml"), "MAX_REJECT_RATE": "1"}
    return Project(tmp_path, LOG_LEVEL="WARNING", **settings)


def declare(project: Project, text: str) -> None:
    (project.folder / "pipeline.toml").write_text(text, encoding="utf-8")


def counts(summary: RunSummary, table: str) -> dict[str, int]:
    found = summary["tables"][table]
    return {name: found[f"rows_{name}"] for name in NAMES if found[f"rows_{name}"]}


def load(project: Project, name: str, *argv: str) -> dict[str, int]:
    """Runs one load, whose table has its name."""
    summary = project.run("--only", name, *argv)
    (source,) = summary["sources"]
    assert source["status"] in ("loaded", "dry run"), source
    return counts(summary, name)


# --- files -------------------------------------------------------------------------------


def test_json_lines_in_gzip_with_nested_members_are_read(project: Project) -> None:
    declare(project, """
[loads.visit]
source = { path = "visits_*.gz", rename = { "person.id" = "person_id" } }
table = "visit"
key = ["visit_id"]
columns = { visit_id = "integer", person_id = "text(9)", tags = "text(50)", at = "timestamp" }
""")  # fmt: skip
    visits = [
        {"visitId": 1, "person": {"id": "A"}, "tags": ["x", "y"], "at": "2024-01-31T10:00:00Z"},
        {"Visit ID": 2, "person": {"id": "B"}, "at": None},
        {"visit_id": 2, "person": {"id": "C"}, "at": "31/01/2024", "unknown": 1},
        {"visit_id": "x", "person": None},
    ]
    text = "\n".join(map(json.dumps, visits))
    (project.input / "visits_1.json.gz").write_bytes(gzip.compress(text.encode()))
    assert load(project, "visit") == {"read": 4, "inserted": 2, "rejected": 1, "duplicate": 1}
    assert project.query("SELECT * FROM visit ORDER BY visit_id") == [
        (1, "A", '["x", "y"]', datetime(2024, 1, 31, 10)), (2, "C", None, datetime(2024, 1, 31))
    ]  # fmt: skip
    duplicate, unreadable = sorted(project.rejected("visit"), key=lambda row: row["error_class"])
    assert (duplicate["person_id"], duplicate["source_row"]) == ("B", "2")
    assert unreadable["reason"] == "visit_id must be a whole number"


def test_a_csv_file_of_any_form_gives_columns_and_types(project: Project) -> None:
    declare(project, """
[loads.ware]
source = { path = "ware.csv", encoding = "cp1252", decimal = "," }
table = "ware"
key = ["Nr"]
defaults = { brutto = "netto * 1.19" }
columns = {}
""")  # fmt: skip
    text = "Lager\n\nNr;Name;netto;ab;brutto\n007;Stra\u00dfe;1,50;31.01.2024;\n008;NULL;2;;3,00\n"
    (project.input / "ware.csv").write_bytes(text.encode("cp1252"))
    assert load(project, "ware") == {"read": 2, "inserted": 2}
    found = project.query('SELECT "Nr", "Name", netto, CAST(ab AS TEXT), brutto FROM ware')
    assert [tuple(map(str, row)) for row in sorted(found)] == [
        ("007", "Stra\u00dfe", "1.50", "2024-01-31", "1.79"),
        ("008", "None", "2.00", "None", "3.00"),
    ]  # fmt: skip


def test_all_files_that_match_are_one_source(project: Project) -> None:
    declare(project, RULED.replace('"items.csv"', '"items_*"\nsource.which = "all"'))
    (project.input / "items_1.csv").write_text("id,n\n1,1\n2,2\n")
    os.utime(project.input / "items_1.csv", (1, 1))
    (project.input / "items_2.csv").write_text("n;id\n7;2\n3;3\nx;4\n")
    assert load(project, "item") == {"read": 5, "inserted": 3, "rejected": 1, "duplicate": 1}
    assert project.query("SELECT id, n FROM item ORDER BY id") == [(1, 1), (2, 7), (3, 3)]
    found = [(row["source_row"], row["id"], row["n"]) for row in project.rejected("item")]
    assert sorted(found) == [("3", "2", "2"), ("4", "4", "x")]
    files = "SELECT count(*) FROM etl_lineage_file WHERE table_name = 'item'"
    assert project.query(files) == [(2,)]


def test_columns_that_are_new_in_the_source_are_kept_where_that_is_wanted(project: Project) -> None:
    text = '[loads.click]\nsource = {{ path = "c.csv", extra = "{}" }}\ntable = "click"\n'
    declare(project, text.format("keep") + 'key = ["id"]\n')
    (project.input / "c.csv").write_text("id,n\n1,2\n")
    assert load(project, "click") == {"read": 1, "inserted": 1}
    (project.input / "c.csv").write_text("id,n,place,when\n1,2,Ulm,2024-01-31\n2,1,,\n")
    assert load(project, "click") == {"read": 2, "inserted": 1, "updated": 1}
    assert project.query("SELECT id, n, place FROM click ORDER BY id") == [
        (1, 2, "Ulm"), (2, 1, None)
    ]  # fmt: skip
    declare(project, text.format("refuse") + 'key = ["id"]\n')
    (project.input / "c.csv").write_text("id,n,place,when,more\n1,2,Ulm,2024-01-31,x\n")
    (source,) = project.run("--only", "click")["sources"]
    assert "more" in source["error"]


# --- databases ---------------------------------------------------------------------------


class Shop:
    """The database from which a load reads: the engine of the test, in another place."""

    def __init__(self, project: Project) -> None:
        self.file = project.folder / "shop.duckdb"
        embedded = current() is DUCKDB
        self.connection = f"duckdb:///{self.file}" if embedded else current().new_database()
        project.settings["SHOP_DB"] = self.connection

    def execute(self, *statements: str) -> None:
        with self._open() as run:
            for statement in statements:
                run(statement)

    @contextmanager
    def _open(self) -> Iterator[Callable[[str], Any]]:
        if self.connection.startswith("duckdb"):
            with duckdb.connect(str(self.file)) as connection:
                yield connection.execute
        else:
            with DatabaseManager(self.connection) as db:
                yield db.execute


SHOP = """
[loads.sold]
source = { connection = "SHOP_DB", table = "orders", rename = { "no" = "id" } }
table = "sold"
key = ["id"]
cursor = "changed"
lag_days = 2
columns = { id = "integer", note = "text(9)", total = "decimal(9, 2)", changed = "timestamp" }
"""


def orders() -> str:
    """What makes the table; on SQL Server, a TIMESTAMP is the number of a row's version."""
    time = "DATETIME2" if current() is SQL_SERVER else "TIMESTAMP"
    return f"CREATE TABLE orders (no INTEGER, note VARCHAR(9), total DECIMAL(9, 2), changed {time})"


def order(number: int, day: int, note: str = "", total: float = 1.5) -> str:
    return (
        f"INSERT INTO orders VALUES ({number}, NULLIF('{note}', ''), {total},"
        f" '2024-01-{day:02} 10:00:00')"
    )


def change(number: int, day: int, total: float) -> str:
    changed = f"'2024-01-{day:02} 11:00'"
    return f"UPDATE orders SET total = {total}, changed = {changed} WHERE no = {number}"


def test_a_cursor_reads_what_is_new_and_some_days_before(project: Project) -> None:
    shop = Shop(project)
    shop.execute(orders(), *(order(n, n) for n in range(1, 11)))
    declare(project, SHOP)
    assert load(project, "sold") == {"read": 10, "inserted": 10}
    mark = "SELECT watermark FROM etl_watermark WHERE table_name = 'sold'"
    assert project.query(mark) == [(datetime(2024, 1, 10, 10),)]

    shop.execute(order(11, 12, "new"), change(3, 11, 7.5), "DELETE FROM orders WHERE no = 9")
    assert load(project, "sold", "--dry-run")["read"] == 4
    # 8 and 10 lie in the days before, 9 has gone
    assert load(project, "sold") == {
        "read": 4, "inserted": 1, "updated": 1, "unchanged": 2, "vanished": 1
    }  # fmt: skip
    assert load(project, "sold", "--date", "2024-01-05") == {"read": 1, "unchanged": 1}
    assert project.query(mark) == [(datetime(2024, 1, 12, 10),)]
    assert load(project, "sold", "--full-refresh") == {
        "read": 10, "unchanged": 10, "vanished": 1, "removed": 1
    }  # fmt: skip
    asked = "SELECT query FROM etl_lineage WHERE table_name = 'sold' ORDER BY run_id"
    assert project.query(asked)[:2] == [
        ('SELECT * FROM "orders"',), ('SELECT * FROM "orders" WHERE "changed" >= ?',)
    ]  # fmt: skip


ADDED = SHOP.replace('key = ["id"]', 'mode = "append"').replace("lag_days = 2\n", "")


@pytest.mark.parametrize("declared", [SHOP, ADDED], ids=["merge", "append"])
def test_the_watermark_moves_with_its_load_or_not_at_all(
    project: Project, monkeypatch: pytest.MonkeyPatch, declared: str
) -> None:
    shop = Shop(project)
    shop.execute(orders(), order(1, 1))
    declare(project, declared)

    def fails(*_args: object) -> None:
        raise LoadingError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(watermarks, "move_watermark", fails)
        (source,) = project.run("--only", "sold")["sources"]
    assert source["status"] == "failed"
    assert project.query("SELECT * FROM etl_watermark WHERE table_name = 'sold'") == []
    # what has a key is merged there in batches, before the watermark, and read once more
    merged = current() is SQL_SERVER and declared is SHOP
    assert project.query("SELECT id FROM sold") == ([(1,)] if merged else [])
    assert load(project, "sold") == {"read": 1, "unchanged" if merged else "inserted": 1}
    assert project.query("SELECT count(*) FROM sold") == [(1,)]


def test_records_are_added_once_where_a_cursor_says_which_are_new(project: Project) -> None:
    shop = Shop(project)
    shop.execute(orders(), order(1, 1), order(1, 2))
    query = 'query = "SELECT * FROM orders WHERE changed >= ? AND changed < ?"'
    declare(project, ADDED.replace('table = "orders"', query))
    assert load(project, "sold") == {"read": 2, "inserted": 2}
    assert load(project, "sold") == {}
    shop.execute(order(1, 3))
    assert load(project, "sold") == {"read": 1, "inserted": 1}
    nothing = project.run("--only", "sold", "--date", "2024-01-02")
    assert (nothing["sources"], nothing.exit_code) == ([], 0)
    assert load(project, "sold", "--full-refresh") == {"read": 3, "inserted": 3, "removed": 3}
    assert project.query("SELECT count(*) FROM sold") == [(3,)]


NUMBERED = SHOP.replace('cursor = "changed"', 'cursor = "id"').replace("lag_days", "lag_ids")


def test_a_cursor_of_numbers_reads_what_is_new_and_some_numbers_before(project: Project) -> None:
    shop = Shop(project)
    shop.execute(orders(), *(order(n, 1) for n in (1, 2, 3, 5)))
    declare(project, NUMBERED)
    assert load(project, "sold") == {"read": 4, "inserted": 4}
    mark = "SELECT largest_number FROM etl_watermark WHERE table_name = 'sold'"
    assert project.query(mark) == [(5,)]
    shop.execute(order(4, 1), order(9, 1), change(1, 1, 7.5), change(3, 1, 7.5))
    assert load(project, "sold") == {"read": 4, "inserted": 2, "updated": 1, "unchanged": 1}
    assert project.query(mark) == [(9,)]
    assert project.run("--only", "sold", "--date", "2024-01-01")["sources"] == []
    assert load(project, "sold", "--full-refresh") == {"read": 6, "updated": 1, "unchanged": 5}
    asked = "SELECT query FROM etl_lineage WHERE table_name = 'sold' ORDER BY run_id"
    assert project.query(asked)[:2] == [
        ('SELECT * FROM "orders"',), ('SELECT * FROM "orders" WHERE "no" >= ?',)
    ]  # fmt: skip


def test_records_are_added_once_by_number(project: Project) -> None:
    shop = Shop(project)
    shop.execute(orders(), order(1, 1), order(2, 1))
    declare(project, NUMBERED.replace('key = ["id"]', 'mode = "append"').replace("lag_ids = 2", ""))
    assert load(project, "sold") == {"read": 2, "inserted": 2}
    assert load(project, "sold") == {}
    shop.execute(order(3, 1))
    assert load(project, "sold") == {"read": 1, "inserted": 1}
    assert project.query("SELECT count(*) FROM sold") == [(3,)]


def test_columns_and_types_come_from_the_database(project: Project) -> None:
    shop = Shop(project)
    shop.execute(orders(), order(1, 1, "007"), order(2, 2))
    declare(project, SHOP.partition("columns =")[0].replace('{ "no" = "id" }', '{ no = "id" }'))
    assert load(project, "sold") == {"read": 2, "inserted": 2}
    found = project.query("SELECT id, note, total, changed FROM sold ORDER BY id")
    assert (found[0][:2], str(found[0][2])) == ((1, "007"), "1.50")
    assert found[1][1] is None
    assert found[1][3] == datetime(2024, 1, 2, 10)


# --- keys of several columns, references, rules, guards ------------------------------------

VISITS = """
[loads.visit]
source.path = "visits.csv"
table = "visit"
key = ["at", "place", "nr"]
columns = { at = "timestamp", place = "text(60)", nr = "integer", n = "integer" }
"""


def write(project: Project, name: str, rows: Sequence[str]) -> None:
    (project.input / name).write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


@pytest.mark.parametrize("place", ["Ulm", "Ulm " + "x" * 50])
def test_a_rejected_key_of_several_columns_has_not_vanished(project: Project, place: str) -> None:
    declare(project, VISITS)
    header, rows = "at,place,nr,n", [f"2024-01-{day:02} 10:00,{place},07,1" for day in (1, 2, 3)]
    write(project, "visits.csv", [header, *rows])
    assert load(project, "visit") == {"read": 3, "inserted": 3}
    broken = [rows[0], rows[1].replace(",1", ",x").replace("2024-01-02", "02.01.2024")]
    write(project, "visits.csv", [header, *broken])
    assert load(project, "visit") == {"read": 2, "unchanged": 1, "rejected": 1, "vanished": 1}
    (rejected,) = project.rejected("visit")
    assert rejected["record_key"] == f"2024-01-02 10:00:00.000000|{place}|7"


def corrected(rejected: Path, **values: str) -> str:
    records = [row | values for row in read_csv(rejected)]
    path = rejected.parents[2] / "corrected.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, records[0])
        writer.writeheader()
        writer.writerows(records)
    return str(path)


def test_corrected_records_with_a_key_of_several_columns_are_loaded(project: Project) -> None:
    declare(project, VISITS)
    write(project, "visits.csv", ["at,place,nr,n", *(f"2024-01-01,U,{n},x" for n in (1, 2))])
    assert load(project, "visit") == {"read": 2, "rejected": 2}
    (path,) = (project.output / "rejected").glob("visit_*.csv")
    write(project, "visits.csv", ["at,place,nr,n", "2024-01-01,U,2,5", "2024-01-01,U,1,y"])
    assert load(project, "visit") == {"read": 2, "inserted": 1, "rejected": 1}
    # 2 was read since, and 1 was rejected once more
    assert counts(project.run("--reprocess-rejected", corrected(path, n="9")), "visit") == {}
    (later,) = set((project.output / "rejected").glob("visit_*.csv")) - {path}
    summary = project.run("--reprocess-rejected", corrected(later, n="8"))
    assert counts(summary, "visit") == {"read": 1, "inserted": 1}
    assert project.query("SELECT nr, n FROM visit ORDER BY nr") == [(1, 8), (2, 5)]


def test_a_table_may_refer_to_itself(project: Project) -> None:
    declare(project, """
[loads.staff]
source.path = "staff.csv"
table = "staff"
key = ["id"]
columns = { id = "text(9)", boss = "text(9)" }
references = { boss = "staff" }
""")  # fmt: skip
    write(project, "staff.csv", ["id,boss", "a,", "b,a", "c,z", "d,c"])
    assert load(project, "staff") == {"read": 4, "inserted": 2, "rejected": 2}
    reasons = [row["reason"] for row in project.rejected("staff")]
    assert reasons == ["boss z is in no row of staff", "boss c is in no row of staff"]


RULED = """
[loads.item]
source.path = "items.csv"
table = "item"
key = ["id"]
columns = { id = "integer", n = "integer" }
rules.some = { check = "n > 0", severity = "warn" }
"""


def test_a_rule_that_warns_loads_its_records_and_says_so(project: Project) -> None:
    declare(project, RULED)
    write(project, "items.csv", ["id,n", "1,1", "2,0", "3,-1"])
    summary = project.run("--only", "item")
    (source,) = summary["sources"]
    assert counts(summary, "item") == {"read": 3, "inserted": 3}
    assert source["warnings"] == ["2 records broke rule some: n > 0"]


@pytest.mark.parametrize(
    ("declared", "rows", "finding", "argv"),
    [
        ("guards.min_rows_rate = 0.5", ["1,1"], "item.fewer_records", ()),
        ("guards.max_reject_rate = 0.2", ["1,1", "2,2", "x,3"], "item.reject_rate", ()),
        ("guards.max_removed_rate = 0.2", ["1,1", "2,2"], "item.removed_rows", ("--full-refresh",)),
        ("", [f"{n}," for n in range(1, 13)], "item.empty_column", ()),
        ("", [], "item.no_records", ()),
    ],
)
def test_a_guard_holds_a_source_back_until_it_is_accepted(
    project: Project, declared: str, rows: Sequence[str], finding: str, argv: Sequence[str]
) -> None:
    declare(project, RULED + declared + "\n")
    write(project, "items.csv", ["id,n", *(f"{n},{n}" for n in range(1, 4))])
    load(project, "item")
    write(project, "items.csv", ["id,n", *rows])
    (source,) = project.run("--only", "item", *argv)["sources"]
    assert source["status"] == "held back"
    assert f"--accept {finding}" in source["error"]
    assert project.query("SELECT count(*) FROM item") == [(3,)]
    load(project, "item", "--accept", finding, *argv)


# --- what is made of a declared table besides ------------------------------------------------


def test_sources_and_declaration_are_archived_and_the_table_is_exported(project: Project) -> None:
    project.settings["ARCHIVE_DIR"] = str(project.folder / "archive")
    declare(project, RULED)
    write(project, "items.csv", ["id,n", "1,1", "2,2"])
    left = project.output / "rejected" / f"item_20240101T000000.000000Z.csv.abcdefgh{PART}"
    left.parent.mkdir(parents=True)
    left.touch()
    left.rename(left.with_name(f"item_1.abcdefgh{PART}"))
    summary = project.run("--export", "csv")
    kept = {path.name for path in (project.folder / "archive").glob("*/*")}
    assert {"items.csv.gz", "pipeline.toml.gz"} <= kept
    assert str(project.output / "processed" / "item.csv") in summary["exported"]
    assert read_csv(project.output / "processed" / "item.csv") == [
        {"id": "1", "n": "1"}, {"id": "2", "n": "2"}
    ]  # fmt: skip
    assert not list((project.output / "rejected").glob("*"))


def test_the_table_is_in_the_script_and_its_source_in_the_health_checks(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(project, RULED)
    write(project, "items.csv", ["id,n", "1,1"])
    assert command(project, monkeypatch, "--print-schema") == 0
    assert '"item"' in capsys.readouterr().out
    project.run("--only", "item")
    command(project, monkeypatch, "--health-check", "--json")
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["item file"]["status"] == "passed"
    assert checks["tables"]["status"] == "passed"
    declare(project, RULED.replace("n > 0", "m > 0"))
    command(project, monkeypatch, "--health-check", "--json")
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert "loads.item.rules.some" in checks["declared loads"]["message"]

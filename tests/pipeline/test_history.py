"""Loads that keep every version of a row: declared ones, frames, and those of the star schema."""

import shutil
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pipeline_runs import Project, command

from data_loading import DatabaseManager, load_frame
from etl.errors import LoadingError
from etl.history.summary import RunSummary
from etl.settings.sections.section import SettingsError

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "input"
NEVER = datetime(9999, 12, 31)

PIPELINE = """
[loads.shop]
source.path = "shops.csv"
table = "shop"
key = ["shop_id"]
mode = "history"
columns = {{ shop_id = "text(9)", city = "text(20)", mail = "text(20)", since = "date" }}
history = {{ {history} }}
"""
BY_DATE = 'valid_from = "since", types = { mail = 1 }, removed = "close"'
COUNTS = ("read", "inserted", "updated", "unchanged", "rejected", "duplicate", "removed")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    settings = {"MAX_REJECT_RATE": "0.5", "MAX_REMOVED_RATE": "0.5"}
    settings["PIPELINE_FILE"] = str(tmp_path / "pipeline.toml")
    (tmp_path / "pipeline.toml").touch()
    return Project(tmp_path, LOG_LEVEL="WARNING", **settings)


def declare(project: Project, history: str = BY_DATE, path: str = "shops.csv") -> None:
    text = PIPELINE.format(history=history).replace("shops.csv", path)
    (project.folder / "pipeline.toml").write_text(text, encoding="utf-8")


def write(project: Project, *records: str, name: str = "shops.csv") -> None:
    lines = ("shop_id,city,mail,since", *records)
    (project.input / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


def counts(summary: RunSummary, table: str = "shop") -> dict[str, int]:
    found = summary["tables"][table]
    return {name: n for name in COUNTS if (n := found[f"rows_{name}"])}


def versions(project: Project, columns: str = "shop_id, city, mail") -> list[tuple[Any, ...]]:
    query = f"SELECT {columns}, valid_from, valid_to FROM shop ORDER BY shop_id, valid_from"
    return project.query(query)


@pytest.mark.usefixtures("every_engine")
def test_a_declared_load_keeps_versions_from_its_first_run_to_a_full_refresh(
    project: Project,
) -> None:
    declare(project)
    write(project, "A,Ulm,a@x,2024-01-01", "B,Bonn,b@x,2024-01-01", "A,Kiel,a@x,2024-02-01")
    assert counts(project.run("--only", "shop", "--dry-run")) == {"read": 3, "inserted": 3}
    assert counts(project.run("--only", "shop")) == {"read": 3, "inserted": 3}
    january, february, march = (datetime(2024, month, 1) for month in (1, 2, 3))
    assert versions(project) == [
        ("A", "Ulm", "a@x", january, february), ("A", "Kiel", "a@x", february, NEVER),
        ("B", "Bonn", "b@x", january, NEVER),
    ]  # fmt: skip
    assert counts(project.run("--only", "shop")) == {"read": 3, "unchanged": 3}

    # late, corrected, of a kind without versions, without a date, and B is gone
    write(
        project,
        "A,Rom,new@x,2024-01-15",
        "A,Kiel,new@x,2024-03-01",
        "C,Rom,,",
        "A,Ulm,a@x,2024-01-01",
    )
    foreseen = counts(project.run("--only", "shop", "--dry-run"))
    summary = project.run("--only", "shop")
    expected = {"read": 4, "inserted": 1, "updated": 1, "unchanged": 1, "rejected": 1, "removed": 1}
    assert (counts(summary), foreseen) == (expected, expected)
    assert project.rejected("shop")[0]["reason"] == "since must not be empty"
    *of_a, of_b = versions(project)
    assert of_a == [
        ("A", "Ulm", "new@x", january, datetime(2024, 1, 15)),
        ("A", "Rom", "new@x", datetime(2024, 1, 15), february),
        ("A", "Kiel", "new@x", february, NEVER),
    ]  # fmt: skip
    assert of_b[:4] == ("B", "Bonn", "b@x", january)
    assert of_b[4] < NEVER
    seen = project.query("SELECT count(*) FROM shop_observation")
    assert seen == [(6,)]

    before = versions(project, "version_id, shop_id, city, mail, is_current")
    with DatabaseManager(project.connection_string) as db:
        db.execute("UPDATE shop SET valid_to = '2024-01-20' WHERE city = 'Ulm'")
    spoilt = project.run("--only", "shop")
    assert spoilt["exit_code"] == 3
    assert "shop: 1 fault in its versions, which overlap, leave a gap" in spoilt["attention"][0]
    refreshed = project.run("--only", "shop", "--full-refresh")
    assert counts(refreshed) == {"read": 4, "unchanged": 3, "rejected": 1}
    assert versions(project, "version_id, shop_id, city, mail, is_current") == before
    assert march not in [row[3] for row in versions(project)]


def test_files_of_days_are_snapshots_of_these_days_in_any_order(project: Project) -> None:
    declare(project, "types = { since = 1 }", path="shops_{date}.csv")
    write(project, "A,Ulm,a@x,", "B,Bonn,b@x,", name="shops_20240101.csv")
    write(project, "A,Ulm,a@x,", name="shops_20240102.csv")
    write(project, "A,Kiel,a@x,", "B,Bonn,b@x,", name="shops_20240103.csv")
    for day in ("2024-01-03", "2024-01-01", "2024-01-02", "2024-01-01"):
        assert project.run("--only", "shop", "--date", day)["exit_code"] == 0
    days = [datetime(2024, 1, 1) + timedelta(n) for n in range(3)]
    assert versions(project, "shop_id, city") == [
        ("A", "Ulm", days[0], days[2]), ("A", "Kiel", days[2], NEVER),
        ("B", "Bonn", days[0], days[1]), ("B", "Bonn", days[2], NEVER),
    ]  # fmt: skip


def test_a_snapshot_that_lacks_too_much_is_held_back(project: Project) -> None:
    declare(project, "types = { since = 1 }")
    write(project, "A,Ulm,,", "B,Bonn,,", "C,Kiel,,")
    project.run("--only", "shop")
    write(project, "A,Ulm,,", "D,Rom,,")
    held = project.run("--only", "shop")
    assert held["exit_code"] == 3
    assert "load in mode history would remove 2 of 3 rows of shop" in held["attention"][0]
    assert counts(project.run("--only", "shop", "--accept", "shop"))["removed"] == 2
    keep = 'removed = "keep", types = { since = 1 }'
    declare(project, keep)
    write(project, "E,Rom,,")
    assert counts(project.run("--only", "shop")) == {"read": 1, "inserted": 1}
    current = project.query("SELECT shop_id FROM shop WHERE valid_to = '9999-12-31' ORDER BY 1")
    assert current == [("A",), ("D",), ("E",)]


STAR = """
[sources.customers]
history = { types = { phone = 1, phone_valid = 1 } }

[sources.products]
history = true
"""


@pytest.mark.usefixtures("every_engine")
def test_customers_and_products_have_their_versions_beside(project: Project) -> None:
    shutil.copytree(SAMPLE, project.input, dirs_exist_ok=True)
    (project.folder / "pipeline.toml").write_text(STAR, encoding="utf-8")
    project.run()
    real = "SELECT count(*) FROM customer_dim WHERE name IS NOT NULL OR email IS NOT NULL"
    (known,) = project.query(real)
    assert project.query("SELECT count(*) FROM customer_dim_history") == [known]
    load = "SELECT rows_read, rows_inserted FROM etl_load WHERE table_name = '{}' ORDER BY run_id"
    assert project.query(load.format("customer_dim_history")) == [(*known, *known)]

    path = project.input / "customers.csv"
    path.write_bytes(path.read_bytes().replace(b"PREMIUM", b"Standard", 1))
    key = path.read_text(encoding="utf-8").splitlines()[1].split(",")[0]
    again = project.run()
    found = project.query(
        f"SELECT source_segment, valid_to FROM customer_dim_history WHERE customer_id = '{key}' "
        "ORDER BY valid_from"
    )
    assert [segment for segment, _ in found] == ["PREMIUM", "Standard"]
    assert project.query(
        "SELECT count(*) FROM product_dim_history WHERE valid_to < '9999-12-31'"
    ) == [(0,)]
    products = [s for s in again["sources"] if s["source"] == "products"]
    assert products[0]["unchanged_since"]  # its file is recognised all the same
    assert project.run()["exit_code"] == again["exit_code"]
    assert len(project.query("SELECT 1 FROM customer_dim_history")) == known[0] + 1


@pytest.mark.usefixtures("every_engine")
def test_a_frame_is_loaded_as_versions(project: Project) -> None:
    with DatabaseManager(project.connection_string) as db:
        first = [{"id": 1, "city": "Ulm", "on": date(2024, 1, 1)},
                 {"id": 2, "city": "Rom", "on": date(2024, 1, 1)}]  # fmt: skip
        options: dict[str, Any] = {"mode": "history", "valid_from": "on"}
        assert load_frame(first, "place", db, key="id", **options)["inserted"] == 2
        later = [{"id": 1, "city": "Kiel", "on": date(2024, 3, 1)}]
        assert load_frame(later, "place", db, **options)["inserted"] == 1
        assert load_frame(later, "place", db, **options)["unchanged"] == 1
        late = load_frame([{"id": 1, "city": None, "on": date(2024, 2, 1)}], "place", db, **options)
        assert (late["inserted"], late["changed_columns"]) == (1, {"city": 1})
        found = db.query("SELECT city FROM place WHERE id = 1 ORDER BY valid_from")
        assert found == [("Ulm",), (None,), ("Kiel",)]
        gone = load_frame(later, "place", db, removed="close", **options)
        assert (gone["unchanged"], gone["removed"]) == (1, 1)
        with pytest.raises(LoadingError, match="keeps versions"):
            load_frame(later, "place", db)


ORDERS = """
[loads.order]
source.path = "orders.csv"
table = "own_order"
key = ["order_id"]
columns = { order_id = "integer", shop_id = "text(9)" }
references = { shop_id = "shop" }
"""


@pytest.mark.usefixtures("every_engine")
def test_other_tables_refer_to_keys_that_have_versions(project: Project) -> None:
    declare(project)
    path = project.folder / "pipeline.toml"
    path.write_text(path.read_text(encoding="utf-8") + ORDERS, encoding="utf-8")
    write(project, "A,Ulm,,2024-01-01", "A,Kiel,,2024-02-01")
    (project.input / "orders.csv").write_text("order_id,shop_id\n1,A\n2,B\n", encoding="utf-8")
    project.run("--only", "shop", "--only", "order", "--accept", "order")
    assert project.query("SELECT order_id, shop_id FROM own_order") == [(1, "A")]
    assert project.rejected("order")[0]["reason"] == "shop_id B is in no row of shop"


def test_a_dry_run_and_the_script_of_the_schema_know_all_tables(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(SAMPLE, project.input, dirs_exist_ok=True)
    declare(project)
    path = project.folder / "pipeline.toml"
    path.write_text(path.read_text(encoding="utf-8") + STAR, encoding="utf-8")
    write(project, "A,Ulm,,2024-01-01")
    assert counts(project.run("--dry-run")) == {"read": 1, "inserted": 1}
    assert not project.warehouse.exists()
    assert command(project, monkeypatch, "--print-schema") == 0
    script = capsys.readouterr().out
    for name in ("shop", "customer_dim_history", "product_dim_history"):
        assert f'"{name}" (' in script
        assert f'"{name}_observation" (' in script


def test_a_corrected_record_has_its_place_among_the_versions(project: Project) -> None:
    declare(project)
    write(project, "A,Ulm,,2024-01-01", "A,Rom,,soon", "A,Kiel,,2024-03-01")
    project.run("--only", "shop")
    (rejected,) = (project.output / "rejected").glob("shop_*.csv")
    corrected = project.folder / "corrected.csv"
    text = rejected.read_text(encoding="utf-8-sig").replace("soon", "2024-02-01")
    corrected.write_text(text, encoding="utf-8")
    loaded = project.run("--reprocess-rejected", str(corrected))
    assert counts(loaded) == {"read": 1, "inserted": 1}
    assert [city for _, city, *_ in versions(project)] == ["Ulm", "Rom", "Kiel"]


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ('valid_from = "sinc"', "loads.shop.history.valid_from: 'sinc' is no column"),
        ("types = { shop_id = 1 }", "'shop_id' says which version it is, and has no type"),
        ('valid_from = "city"', "'city' is text(20), where a date or a timestamp is needed"),
        ("types = { city = 4 }", "loads.shop.history.types.city"),
    ],
)
def test_what_cannot_be_kept_is_named_with_its_place(
    project: Project, declared: str, problem: str
) -> None:
    declare(project, declared)
    with pytest.raises(SettingsError) as raised:
        project.run("--only", "shop")
    assert problem in str(raised.value)


def test_a_table_without_versions_does_not_become_one_with_them(project: Project) -> None:
    with DatabaseManager(project.connection_string) as db:
        load_frame([{"shop_id": "A", "city": "Ulm"}], "shop", db, key="shop_id")
        with pytest.raises(LoadingError, match="keeps no versions"):
            load_frame([{"shop_id": "A", "city": "Ulm"}], "shop", db, mode="history")

"""Loads that a user declares go the way of the built-in ones."""

import csv
import shutil
from pathlib import Path

import pytest
from pipeline_runs import Project, command, read_csv

from etl.history.summary import RunSummary

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "input"

PIPELINE = """
[loads.item]
source = { path = "items_*.csv", rename = { "Nr" = "item_id" } }
table = "order_item"
key = ["item_id"]
columns = { item_id = "text(20)", order_id = "integer", pieces = "integer" }
references = { order_id = "own_order" }

[loads.order]
source = { path = "orders.csv", defaults = { channel = "web" } }
table = "own_order"
key = ["order_id"]
columns.order_id = "integer"
columns.customer_id = "text(50)"
columns.placed_at = "timestamp"
columns.total = "decimal(12, 2)"
columns.channel = "text(9)"
references = { customer_id = "customer_dim" }
rules = { total_positive = { check = "total >= 0" } }
guards = { max_reject_rate = 0.9 }
"""

ORDERS = """order_id,customer_id,placed_at,total
1,C001,2024-01-15 10:30,19.50
2,C002,2024-01-16,7
3,NEW1,2024-01-16,-1
3,NEW2,2024-01-17,12.25
x,C001,2024-01-18,1
"""
ITEMS = "Nr,order_id,pieces\na,1,2\nb,2,1\nc,99,1\n"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    settings = {"PIPELINE_FILE": str(tmp_path / "pipeline.toml"), "MAX_REJECT_RATE": "0.5"}
    project = Project(tmp_path, LOG_LEVEL="WARNING", **settings)
    shutil.copytree(SAMPLE, project.input, dirs_exist_ok=True)
    write(project, PIPELINE, ORDERS, ITEMS)
    return project


def write(project: Project, pipeline: str, orders: str, items: str) -> None:
    (project.folder / "pipeline.toml").write_text(pipeline, encoding="utf-8")
    (project.input / "orders.csv").write_text(orders, encoding="utf-8")
    (project.input / "items_2.csv").write_text(items, encoding="utf-8")


def counts(summary: RunSummary, table: str) -> dict[str, int]:
    found = summary["tables"][table]
    names = ("read", "inserted", "updated", "unchanged", "rejected", "duplicate", "removed")
    return {name: found[f"rows_{name}"] for name in names if found[f"rows_{name}"]}


@pytest.mark.usefixtures("every_engine")
def test_declared_loads_are_staged_checked_counted_and_rejected(project: Project) -> None:
    summary = project.run()
    assert counts(summary, "own_order") == {"read": 5, "inserted": 3, "rejected": 2}
    assert counts(summary, "order_item") == {"read": 3, "inserted": 2, "rejected": 1}
    reasons = {(r["source_row"], r["reason"]) for r in project.rejected("order")}
    assert reasons == {
        ("4", "rule total_positive is broken: total >= 0"),
        ("6", "order_id must be a whole number"),
    }
    (item,) = project.rejected("item")
    assert item["reason"] == "order_id 99 is in no row of own_order"
    assert (item["field"], item["value"], item["record_key"]) == ("order_id", "99", "c")
    assert project.query("SELECT count(*) FROM customer_dim WHERE customer_id = 'NEW2'") == [(1,)]
    assert project.query("SELECT channel, count(*) FROM own_order GROUP BY channel") == [("web", 3)]
    lineage = "SELECT source, status, rows_read FROM etl_lineage WHERE table_name = 'own_order'"
    assert project.query(lineage) == [("order", "loaded", 5)]

    again = project.run()
    assert counts(again, "own_order") == {"read": 5, "unchanged": 3, "rejected": 2}
    write(project, PIPELINE, ORDERS.replace("2,C002", "5,C002"), ITEMS.replace("b,2", "b,5"))
    refresh = ("--full-refresh", "--accept", "order.removed_rows")  # one of three
    preview = project.run(*refresh, "--dry-run")
    assert counts(preview, "own_order")["inserted"] == 1
    refreshed = project.run(*refresh)
    assert counts(refreshed, "own_order") == {
        "read": 5, "inserted": 1, "unchanged": 2, "rejected": 2, "removed": 1
    }  # fmt: skip
    assert counts(refreshed, "order_item") == {
        "read": 3, "updated": 1, "unchanged": 1, "rejected": 1
    }  # fmt: skip


@pytest.mark.usefixtures("every_engine")
def test_a_dry_run_into_an_empty_warehouse_makes_nothing(project: Project) -> None:
    preview = project.run("--dry-run")
    assert counts(preview, "own_order") == {"read": 5, "inserted": 3, "rejected": 2}
    assert counts(preview, "order_item") == {"read": 3, "inserted": 2, "rejected": 1}
    assert not list(project.output.glob("rejected/*"))


@pytest.mark.usefixtures("every_engine")
@pytest.mark.parametrize("chunk", ["1", "2", "1000"])
def test_any_size_of_batches_and_a_second_run_end_in_the_same(project: Project, chunk: str) -> None:
    project.settings |= {"CHUNK_ROWS": chunk, "BATCH_SIZE": chunk}
    rows = "".join(f"{n % 40},C001,2024-01-15,{n}\n" for n in range(60))
    header = ORDERS.partition("\n")[0]
    write(project, PIPELINE, f"{header}\n{rows}", ITEMS)
    query = "SELECT order_id, total FROM own_order ORDER BY order_id"
    expected = [(n, n + 40 if n < 20 else n) for n in range(40)]
    first = counts(project.run("--only", "order"), "own_order")
    assert first == {"read": 60, "inserted": 40, "duplicate": 20}
    assert project.query(query) == expected
    again = counts(project.run("--only", "order"), "own_order")
    assert again == {"read": 60, "unchanged": 40, "duplicate": 20}
    assert project.query(query) == expected


@pytest.mark.usefixtures("every_engine")
def test_a_corrected_record_of_a_declared_load_is_loaded(project: Project) -> None:
    project.run()
    (rejected,) = (project.output / "rejected").glob("order_*.csv")
    records = read_csv(rejected)
    records[-1]["order_id"] = "7"
    corrected = project.folder / "corrected.csv"
    with corrected.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, records[0])
        writer.writeheader()
        writer.writerows(records)
    loaded = project.run("--reprocess-rejected", str(corrected))
    assert counts(loaded, "own_order") == {"read": 2, "inserted": 1, "rejected": 1}
    assert project.query("SELECT count(*) FROM own_order WHERE order_id = 7") == [(1,)]


@pytest.mark.usefixtures("every_engine")
@pytest.mark.parametrize(
    ("mode", "first", "again"),
    [
        ("append", {"read": 2, "inserted": 2}, {"read": 1, "inserted": 1}),
        ("replace", {"read": 2, "inserted": 2}, {"read": 1, "updated": 1, "removed": 1}),
    ],
)
def test_modes_and_types_from_the_file(
    project: Project, mode: str, first: dict[str, int], again: dict[str, int]
) -> None:
    declared = f'[loads.click]\nsource.path = "clicks.csv"\ntable = "click"\nmode = "{mode}"\n'
    declared += "guards.max_removed_rate = 0.5\n"
    write(project, declared + ('key = ["id"]\n' if mode == "replace" else ""), "", "")
    (project.input / "clicks.csv").write_text("id,day,n\n1,2024-01-01,1\n2,2024-01-02,2\n")
    assert counts(project.run("--only", "click"), "click") == first
    (project.input / "clicks.csv").write_text("id,day,n\n1,2024-01-01,5\n")
    summary = project.run("--only", "click")
    assert counts(summary, "click") == again
    assert [source["source"] for source in summary["sources"]] == ["click"]


def test_the_example_of_the_documentation_loads(project: Project) -> None:
    page = (SAMPLE.parents[1] / "docs" / "your-own-tables.md").read_text(encoding="utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    write(project, example.replace("0.05", "0.5"), "", "")
    orders = ORDERS.replace("order_id", "Nr").replace("\nx,", "\ny,")
    (project.input / "orders_1.csv").write_text(orders, encoding="utf-8")
    loaded = counts(project.run(), "shop_order")
    assert loaded == {"read": 5, "inserted": 4, "rejected": 1}


@pytest.mark.parametrize(
    ("pipeline", "argv", "words"),
    [
        (PIPELINE.replace("key = [", "kye = ["), (), "did you mean 'key'"),
        (PIPELINE.replace("items_*", "itmes_*"), (), "no file matches"),
        (PIPELINE.replace("total >= 0", "totl >= 0"), (),
         "line 19, loads.order.rules.total_positive: is no SQL expression over the columns"),
        (PIPELINE.replace('"own_order" }', '"orders" }'), (),
         "line 7, loads.item.references.order_id: order_id refers to orders, which is no table"),
        (PIPELINE, ("--only", "ordr"), "did you mean order?"),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_out_ends_with_usage(
    project: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    pipeline: str, argv: tuple[str, ...], words: str,
) -> None:  # fmt: skip
    write(project, pipeline, ORDERS, ITEMS)
    assert command(project, monkeypatch, *argv) == 2
    assert words in capfd.readouterr().err


def test_all_that_the_warehouse_shows_to_be_wrong_is_listed_at_once(
    project: Project, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pipeline = """
[loads.click]
source.path = "orders.csv"
table = "click"
key = ["oder_id"]

[loads.visit]
source.path = "orders.csv"
table = "etl_run"
key = ["order_id"]

[loads.view]
source.connection = "NO_SUCH_SETTING"
source.table = "x"
table = "view"
key = ["order_id"]
"""
    write(project, pipeline, ORDERS, ITEMS)
    assert command(project, monkeypatch) == 2
    found = capfd.readouterr().err
    for words in (
        "line 5, loads.click.key: 'oder_id' is no column; did you mean 'order_id'?",
        "line 9, loads.visit.table: 'etl_run' is a table of the program itself",
        "line 12, loads.view: NO_SUCH_SETTING is not set",
    ):
        assert words in found

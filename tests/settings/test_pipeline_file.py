"""`pipeline.toml`: what it declares, and how its faults are reported."""

import json
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from etl.settings.pipeline_file import (
    NO_PIPELINE_FILE,
    PipelineFile,
    json_schema,
)
from etl.settings.pipeline_reading import PipelineFileError, read_pipeline_file

ROOT = Path(__file__).resolve().parents[2]

ORDERS = """
[loads.orders]
source = { path = "orders.ndjson.gz" }
table = "dbo.orders"
key = ["order_id"]
columns = { order_id = "text(50)", customer_id = "text(50)", total = "decimal(12, 2)" }
"""


def read(folder: Path, text: str) -> PipelineFile:
    path = folder / "pipeline.toml"
    path.write_text(text, encoding="utf-8")
    return read_pipeline_file(path)


def problems(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(PipelineFileError) as caught:
        read(folder, text)
    assert caught.value.exit_code == 2
    assert str(folder / "pipeline.toml") in str(caught.value)
    return caught.value.problems


def test_without_a_file_every_source_is_as_it_comes() -> None:
    assert NO_PIPELINE_FILE.loads == {}
    assert NO_PIPELINE_FILE.source("sales").path == ""


def test_a_source_keeps_its_defaults_where_nothing_is_said(tmp_path: Path) -> None:
    declared = read(
        tmp_path,
        '[sources.customers]\npath = "kunden_*.csv"\nrename = { "Kundennummer" = "customer_id" }\n',
    )
    customers = declared.source("customers")
    assert (customers.path, customers.which, customers.encoding) == ("kunden_*.csv", "newest", None)
    assert customers.rename == {"Kundennummer": "customer_id"}
    assert declared.source("products").path == ""


def test_a_load_declares_a_table(tmp_path: Path) -> None:
    load = read(tmp_path, ORDERS).loads["orders"]
    assert (load.table, load.key, load.mode) == ("dbo.orders", ("order_id",), "merge")
    assert load.columns["total"] == "decimal(12, 2)"


def test_loads_come_after_those_they_refer_to(tmp_path: Path) -> None:
    text = """
[loads.lines]
source = { path = "lines.csv" }
table = "order_lines"
references = { order_id = "Orders" }
[loads.orders]
source = { path = "orders.csv" }
table = "orders"
references = { customer_id = "customer_dim" }
"""
    assert list(read(tmp_path, text).loads) == ["orders", "lines"]


def test_a_table_may_refer_to_itself(tmp_path: Path) -> None:
    text = ORDERS.replace("key =", 'references = { customer_id = "dbo.orders" }\nkey =')
    assert list(read(tmp_path, text).loads) == ["orders"]


def test_all_faults_are_reported_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """[sources.custmers]
path = "a.csv"

[sources.sales]
delimeter = ";"
decimal = "x"

[loads.orders]
source = { path = "orders.csv", tabel = "x" }
table = "sales_fact"
key = ["order_nr"]
colums = { a = "int" }

[load.returns]
"""
    assert problems(tmp_path, text) == (
        "line 1, sources.custmers: unknown source; did you mean 'customers'?; a table of your own "
        "is declared as [loads.custmers]",
        "line 5, sources.sales.delimeter: unknown; did you mean 'delimiter'?",
        "line 6, sources.sales.decimal: 'x' is none of '.' or ','",
        "line 9, loads.orders.source.tabel: unknown; did you mean 'table'?",
        "line 12, loads.orders.colums: unknown; did you mean 'columns'?",
        "line 14, load: unknown; did you mean 'loads'?",
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('"text(50)", total', '"varchar(50)", total'), "'varchar(50)' is no type"),
        (('"decimal(12, 2)"', '"decimal(12, 13)"'), "no more of them decimals"),
        (('"text(50)", c', '"text(5000)", c'), "a text has at most 4000 characters"),
        (('key = ["order_id"]', 'key = ["order"]'), "line 5, loads.orders.key: 'order' is no col"),
        (('["order_id"]', '["order_id"]\nreferences = { customer = "x" }'), "'customer' is no col"),
        (('["order_id"]', '["order_id"]\ncursor = "updated"'), "'updated' is no column"),
        (('key = ["order_id"]', ""), "key: missing: mode merge needs"),
        (('"dbo.orders"', '"dbo.Customer_Dim"'), "is loaded by the built-in load customers"),
        (('"dbo.orders"', '"orders; DROP TABLE x"'), "is not table or schema.table"),
        (("[loads.orders]", "[loads.sales]"), "has the name of a built-in load"),
        (('path = "orders.ndjson.gz"', 'table = "o"'), "table needs connection"),
        (('path = "orders.ndjson.gz"', ""), "needs path, connection with table or query"),
        (("[loads.orders]", "[loads.orders"), "it is no TOML"),
        (('["order_id"]', '"order_id"'), "key: 'order_id' is not a list: write [\"order_id\"]"),
        (('["order_id"]', '["order_id"]\nguards.max_reject_rate = 5'), "5 should be less than or"),
        (('"text(50)", total', '"datetime", total'), "no type; did you mean timestamp? Choices: "),
        (('"text(50)", total', '"text", total'), "no type; did you mean text(LENGTH)? Choices: "),
        (('"text(50)", total', '"uuid", total'), "'uuid' is no type. Choices: "),
        (('ndjson.gz"', 'ndjson.gz", whole_ids = "maybe"'), "'maybe' is not true or false"),
        (('ndjson.gz"', 'ndjson.gz", time_zone = "Mars/Base"'), "'Mars/Base' is no time zone"),
        (('ndjson.gz"', 'ndjson.gz", time_zone = "Berlin"'), "'Berlin' is no time zone"),
        (('ndjson.gz"', 'ndjson.gz", encoding = "utf-99"'), "'utf-99' is no encoding"),
    ],
)
def test_a_fault_is_reported_with_its_place(
    tmp_path: Path, change: tuple[str, str], problem: str
) -> None:
    assert ORDERS.replace(*change) != ORDERS
    (found,) = problems(tmp_path, ORDERS.replace(*change))
    assert problem in found


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ('path = "../secrets.csv"', "'../secrets.csv' leads out of INPUT_DIR"),
        ('path = "/etc/passwd"', "'/etc/passwd' leads out of INPUT_DIR"),
        ('path = "in/../../a.csv"', "leads out of INPUT_DIR"),
        ('path = "orders_*.csv"', "no file matches"),
        ('path = "there*.csv"', ""),
        ('path = "not_yet.csv"', ""),
        ('path = "sub/../there.csv"', ""),
    ],
)
def test_a_path_stays_below_the_folder_and_a_pattern_matches(
    tmp_path: Path, declared: str, problem: str
) -> None:
    (tmp_path / "there.csv").touch()
    path = tmp_path / "pipeline.toml"
    path.write_text(ORDERS.replace('path = "orders.ndjson.gz"', declared), encoding="utf-8")
    path.write_text(f"[sources.sales]\n{declared}\n" + path.read_text("utf-8"), encoding="utf-8")
    if not problem:
        assert list(read_pipeline_file(path, tmp_path).loads) == ["orders"]
        return
    with pytest.raises(PipelineFileError) as caught:
        read_pipeline_file(path, tmp_path)
    places = [found.partition(": ")[0] for found in caught.value.problems]
    assert places == ["line 2, sources.sales.path", "line 5, loads.orders.source.path"]
    assert all(problem in found for found in caught.value.problems)


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ('cursor = "total"', "'total' is decimal(12, 2), where a date, a timestamp or"),
        ("lag_days = 2", "needs cursor"),
        ('mode = "replace"\ncursor = "day"', "mode replace reads everything"),
        ('mode = "append"\ncursor = "day"\nlag_days = 2', "would add the same records again"),
        ('defaults = { totl = "1" }', "'totl' is no column; did you mean 'total'?"),
        ('source.rename = { a = "totl" }', "'totl' is no column"),
        ('source.query = "SELECT ?"', "has two question marks"),
    ],
)
def test_what_does_not_go_together_is_reported(tmp_path: Path, more: str, problem: str) -> None:
    declared = ORDERS.replace("total =", 'day = "date", total =').replace(
        'source = { path = "orders.ndjson.gz" }', 'source.path = "orders.csv"'
    )
    found = problems(tmp_path, declared + more + "\n")
    assert any(problem in each for each in found), found


def test_tables_of_two_schemas_are_two_tables(tmp_path: Path) -> None:
    other = ORDERS.replace("loads.orders", "loads.old").replace("dbo.orders", "old.orders")
    assert list(read(tmp_path, ORDERS + other).loads) == ["orders", "old"]


def test_two_loads_into_one_table_are_refused(tmp_path: Path) -> None:
    (found,) = problems(tmp_path, ORDERS + ORDERS.replace("loads.orders", "loads.old_orders"))
    assert found.endswith("loads.old_orders.table: 'dbo.orders' is loaded by [loads.orders]")


def test_a_circle_of_references_is_named(tmp_path: Path) -> None:
    load = (
        '[loads.{0}]\nsource = {{ path = "{0}.csv" }}\ntable = "{0}"\n'
        'references = {{ x = "{1}" }}\n'
    )
    (found,) = problems(tmp_path, load.format("a", "b") + load.format("b", "a"))
    assert "a circle of references: " in found


def test_a_file_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(PipelineFileError, match=r"nowhere\.toml cannot be used:\n- it cannot be"):
        read_pipeline_file(tmp_path / "nowhere.toml")


def test_the_schema_for_editors_knows_every_key() -> None:
    text = json.dumps(json_schema())
    for key in ("rename", "null_words", "which", "references", "max_reject_rate", "statuses"):
        assert f'"{key}"' in text


def test_the_schema_for_editors_takes_what_the_program_takes() -> None:
    validator = Draft202012Validator(json_schema())
    Draft202012Validator.check_schema(json_schema())
    page = (ROOT / "docs" / "your-own-tables.md").read_text(encoding="utf-8")
    examples = [part.partition("```")[0] for part in page.split("```toml\n")[1:]]
    assert len(examples) > 1
    for text in (ORDERS, *examples):
        assert not list(validator.iter_errors(tomllib.loads(text)))
    for change in (("key =", "kye ="), ("decimal(12, 2)", "money"), ('"dbo.orders"', "7")):
        assert list(validator.iter_errors(tomllib.loads(ORDERS.replace(*change))))

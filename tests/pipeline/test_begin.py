"""`init` looks at files and proposes how they are loaded; what it writes loads them."""

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from engines import current

from etl.errors import ConfigurationError
from etl.pipeline.begin import begin_with
from etl.settings.config import Config, load_config
from etl.settings.pipeline_reading import read_pipeline_file
from etl_pipeline import main, run_etl_pipeline

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "input"
EXCEL = (
    "Kundenliste\r\n\r\nKundennummer;Vorname;Nachname;E-Mail;Telefon;Stra\u00dfe;Kundengruppe;"
    "Registriert am;Notiz\r\n"
    "C1;J\u00f6rg;Gro\u00df;a@b.de;+49 30 901820;Weg 1;Standard;13.02.2022;\r\n"
    "C2;Anna;Lehmann;c@d.de;+49 30 901821;Weg 2;Premium;03.12.2022;x\r\n"
)
PRODUCTS = [
    {"sku": "P1", "title": "Ball", "category": "Sports", "list_price": "12.50", "stock": 5},
    {"sku": "P2", "title": "Net", "category": "Sports", "list_price": "99", "brand": "Y"},
]
ORDERS = (
    "Order No.,customer_id,placedAt,total\n1,C1,2024-01-15 10:30,19.50\n2,C2,2024-01-16,7\n"
    "3,C2,2024-01-17,7.25\n"
)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    contents = {
        "kunden.csv": EXCEL.encode("cp1252"),
        "artikel.ndjson": "\n".join(map(json.dumps, PRODUCTS)).encode(),
        "orders_2024.csv.gz": gzip.compress(ORDERS.encode()),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: tmp_path / name for name in contents}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "project"
    found.mkdir()
    return found


def settings(folder: Path) -> Config:
    server = {"DB_CONNECTION_STRING": current().new_database()} if current().is_server else {}
    return load_config("dev", base_dir=folder, environ=server)


def inserted(config: Config, **options: Any) -> Mapping[str, int]:
    summary = run_etl_pipeline(config, **options)
    assert summary.exit_code == 0, summary.attention
    return {name: table["rows_inserted"] for name, table in summary["tables"].items()}


@pytest.mark.usefixtures("every_engine")
def test_files_of_three_kinds_load_in_one_run_after_init(
    folder: Path, files: dict[str, Path]
) -> None:
    said = list(begin_with(folder, list(files.values())))
    assert said[0].endswith("has the columns of customers; not loaded: 'Notiz'")
    config = settings(folder)
    expected = {"customer_dim": 2, "product_dim": 2, "sales_fact": 0, "orders": 3}
    assert inserted(config, dry_run=True) == expected
    assert inserted(config) == expected
    assert set(inserted(config).values()) == {0}
    load = config.pipeline.loads["orders"]
    assert load.key == ("order_no",)
    assert load.columns == {
        "order_no": "integer", "customer_id": "text(50)", "placed_at": "timestamp",
        "total": "decimal(18, 2)",
    }  # fmt: skip
    assert load.references == {"customer_id": "customer_dim"}


def test_init_ends_with_a_dry_run_and_leaves_what_is_there(
    folder: Path,
    files: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for place in ("etl.pipeline.commands.working_folder", "etl.settings.config.working_folder"):
        monkeypatch.setattr(place, lambda: folder)
    names = [str(path) for path in files.values()]
    assert main(["init", *names]) == 0
    out = capsys.readouterr().out
    assert "pipeline.toml: made" in out
    assert "dry run" in out
    assert not list(folder.glob("data/output/*/warehouse*"))
    before = {name: (folder / name).read_text("utf-8") for name in ("pipeline.toml", ".env")}
    (folder / ".env").write_text(before[".env"] + "# mine\n", encoding="utf-8")
    assert main(["init", *names]) == 0
    assert capsys.readouterr().out.count("left as it is") == 2
    assert (folder / ".env").read_text("utf-8") == before[".env"] + "# mine\n"
    assert (folder / "pipeline.toml").read_text("utf-8") == before["pipeline.toml"]
    assert main(["init", "nowhere.csv"]) == 2


def test_the_sample_is_recognised_as_it_is(folder: Path) -> None:
    names = ("customers.csv", "products.json", "sales_transactions.csv")
    list(begin_with(folder, [SAMPLE / name for name in names]))
    declared = read_pipeline_file(folder / "pipeline.toml")
    assert declared.loads == {}
    assert [declared.source(name).path for name in ("customers", "products", "sales")] == [*names]
    assert not any(source.rename or source.defaults for source in declared.sources.values())


def test_a_key_is_what_tells_the_records_apart_and_looks_like_it(folder: Path) -> None:
    source = folder / "in"
    source.mkdir()
    (source / "items.csv").write_text("name,item_no,order_no,n\na,1,7,2\nb,1,8,2\nc,2,7,1\n")
    (source / "order.csv").write_text("order_no;sum\n7;1,5\n8;2\n")
    (source / "clicks.csv").write_text("when\n2024-01-01\n2024-01-01\n")
    list(begin_with(folder, sorted(source.iterdir())))
    loads = read_pipeline_file(folder / "pipeline.toml").loads
    assert loads["order"].key == ("order_no",)
    assert loads["order"].source.decimal == ","
    assert loads["items"].key == ("item_no", "order_no")
    assert loads["items"].references == {"order_no": "order"}
    assert (loads["clicks"].mode, loads["clicks"].key) == ("append", ())


def test_files_beside_the_folder_are_found_where_they_are(folder: Path) -> None:
    beside, known = folder.parent / "exports", folder / "data" / "input"
    beside.mkdir()
    known.mkdir(parents=True)
    (beside / "order.csv").write_text("order_no;sum\n7;1,5\n8;2\n")
    list(begin_with(folder, [known / "../../../exports/order.csv"], known))
    assert f"INPUT_DIR={beside.as_posix()}\n" in (folder / ".env").read_text()
    assert read_pipeline_file(folder / "pipeline.toml").loads["order"].source.path == "order.csv"


def test_a_file_that_cannot_be_read_is_named(folder: Path) -> None:
    broken = folder / "orders.csv.gz"
    broken.write_bytes(gzip.compress(b"a,b\n1,2\n")[:-9])
    with pytest.raises(ConfigurationError, match=r"orders\.csv\.gz cannot be looked at"):
        list(begin_with(folder, [broken]))
    assert not (folder / "pipeline.toml").exists()

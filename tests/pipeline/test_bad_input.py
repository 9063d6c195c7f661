"""Bad input: one clear line on stderr, the right exit code, and the other sources loaded."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pipeline_runs import COMMAND, Project, command

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "input"
HEADER = "customer_id,first_name,last_name,email,phone,address,segment,registration_date\n"
FILES = {
    "customers": "customers.csv",
    "products": "products.json",
    "sales": "sales_transactions.csv",
}
TABLES = {"customers": "customer_dim", "products": "product_dim", "sales": "sales_fact"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path, LOG_LEVEL="ERROR")
    shutil.copytree(SAMPLE, project.input, dirs_exist_ok=True)
    return project


def remove(path: Path) -> None:
    path.unlink()


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def binary(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 64)


def half_utf16(path: Path) -> None:
    path.write_bytes(path.read_text("utf-8-sig").encode("utf-16")[:-1])


def wrong_columns(path: Path) -> None:
    path.write_text("id;name\n1;Ann\n", encoding="utf-8")


def latin1(path: Path) -> None:
    path.write_bytes(path.read_text("utf-8-sig").encode("cp1252", "replace"))


def truncated(path: Path) -> None:
    text = path.read_bytes()
    path.write_bytes(text[: len(text) // 2])


def other_shape(path: Path) -> None:
    path.write_text(json.dumps("P1"), encoding="utf-8")


def no_products(path: Path) -> None:
    path.write_text(json.dumps({"items": 1}), encoding="utf-8")


def two_arrays(path: Path) -> None:
    path.write_text(json.dumps({"new": [{}], "old": [{}]}), encoding="utf-8")


def nested_deeply(path: Path) -> None:
    path.write_text('{"products": [' + "[" * 100_000 + "]" * 100_000 + "]}", encoding="utf-8")


BROKEN: list[tuple[str, Callable[[Path], None], str]] = [
    ("customers", remove, "no file"),
    ("products", remove, "no file"),
    ("sales", remove, "no file"),
    ("customers", make_directory, "directory"),
    ("products", make_directory, "directory"),
    ("sales", make_directory, "directory"),
    ("customers", empty, "empty"),
    ("products", empty, "empty"),
    ("sales", empty, "empty"),
    ("customers", binary, "NUL"),
    ("products", binary, "UTF-8"),
    ("customers", half_utf16, "utf-16"),
    ("products", half_utf16, "utf-16"),
    ("sales", half_utf16, "utf-16"),
    ("customers", latin1, "CSV_ENCODING"),
    ("customers", wrong_columns, "customer_id"),
    ("sales", wrong_columns, "transaction_id"),
    ("products", truncated, "line"),
    ("products", other_shape, "object"),
    ("products", no_products, "products"),
    ("products", two_arrays, "set records"),
    ("products", nested_deeply, "deep"),
]


@pytest.mark.parametrize(
    ("source", "spoil", "reported"), BROKEN, ids=[f"{s}-{f.__name__}" for s, f, _ in BROKEN]
)
def test_a_source_that_cannot_be_read_is_named_and_the_others_load(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: str,
    spoil: Callable[[Path], None],
    reported: str,
) -> None:
    path = project.input / FILES[source]
    spoil(path)
    assert command(project, monkeypatch) == 3
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert path.name in lines[0]
    assert reported in lines[0]
    assert "Traceback" not in lines[0]
    for other, table in TABLES.items():
        (count,) = project.query(f"SELECT count(*) FROM {table} WHERE {real_rows(table)}")[0]
        assert bool(count) == (other != source)


def real_rows(table: str) -> str:
    return "true" if table == "sales_fact" else "NOT is_inferred"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.input / "customers.csv").chmod(0)
    assert command(project, monkeypatch) == 3
    assert "customers.csv" in capsys.readouterr().err


def test_a_header_without_records_is_an_empty_source(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.input / "customers.csv").write_text(HEADER, encoding="utf-8")
    assert command(project, monkeypatch) == 0


def test_a_quote_that_never_closes_costs_one_line(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = "".join(f"C{n},Ann,Lee,a{n}@example.com,5551234567,1 Hill,Basic,\n" for n in range(200))
    broken = 'X1,"Bob,Day,b@example.com,,,Basic,\n'
    (project.input / "customers.csv").write_text(HEADER + good[:5000] + good[5000:], "utf-8")
    lines = (HEADER + good).splitlines(keepends=True)
    lines.insert(100, broken)
    (project.input / "customers.csv").write_text("".join(lines), "utf-8")
    assert command(project, monkeypatch) == 0
    (rejected,) = project.rejected("customers")
    assert rejected["raw_record"] == broken.rstrip("\n")
    assert rejected["source_row"] == "101"
    assert project.query("SELECT count(*) FROM customer_dim WHERE NOT is_inferred") == [(200,)]


def test_too_many_rejects_hold_the_source_back(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.settings["MAX_REJECT_RATE"] = "0.01"
    assert command(project, monkeypatch) == 3  # all sources: nothing failed
    reported = capsys.readouterr()
    assert "7 of 159 records rejected" in reported.err
    assert "MAX_REJECT_RATE" in reported.err
    assert len(project.rejected("customers")) == 11
    assert project.query("SELECT count(*) FROM customer_dim") == [(0,)]


@pytest.mark.parametrize(
    ("argv", "reported"),
    [
        (["--date", "2024-13-01"], "--date '2024-13-01' is no date"),
        (["--date", ""], "--date '' is no date"),
        (["--start-date", "2024-02-01", "--end-date", "2024-01-01"], "after the end date"),
        (["--start-date", "2024-02-01"], "both ends"),
        (["--date", "2024-01-01", "--full-refresh"], "exclude each other"),
        (["--only", "sales", "--skip", "sales"], "--only sales and --skip sales exclude each"),
        (["--dry-run", "--export", "csv"], "--dry-run and --export exclude each other"),
    ],
)
def test_arguments_that_make_no_sense_end_with_code_2(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    reported: str,
) -> None:
    assert command(project, monkeypatch, *argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert reported in line
    assert not project.output.exists()


def test_an_unknown_environment_ends_with_code_2_and_names_the_choices(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        command(project, monkeypatch, "--env", "staging")
    assert exit_info.value.code == 2
    assert "prod" in capsys.readouterr().err


def test_production_without_a_database_ends_with_code_2(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(project, monkeypatch, "--env", "prod") == 2
    assert "DB_CONNECTION_STRING" in capsys.readouterr().err


def test_a_warehouse_that_cannot_be_written_ends_with_code_1(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.warehouse.parent.mkdir(parents=True)
    project.warehouse.mkdir()
    assert command(project, monkeypatch, "--date", "2024-01-20") == 1
    line, log, again = capsys.readouterr().err.splitlines()
    assert "warehouse.duckdb" in line
    assert "Next:" in line
    assert Path(log.removeprefix("the log: ")).is_file()
    assert again == f"then run: python {COMMAND} --env dev --date 2024-01-20"


def test_a_warehouse_that_is_no_database_ends_with_code_1(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.warehouse.parent.mkdir(parents=True)
    project.warehouse.write_text("no database" * 1000)
    assert command(project, monkeypatch) == 1
    assert "warehouse.duckdb" in capsys.readouterr().err


def test_all_sources_failing_ends_with_code_1(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in FILES.values():
        (project.input / name).unlink()
    assert command(project, monkeypatch) == 1
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_a_log_folder_that_cannot_be_made_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.logs.write_text("a file where the folder belongs")
    assert command(project, monkeypatch) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "LOG_DIR" in line

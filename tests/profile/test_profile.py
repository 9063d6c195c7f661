"""A profile counts what a slow model counts, of files and tables, and says what it cannot read."""

import gzip
import json
import math
import statistics
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engines import Engine
from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline_runs import Project, command

from etl.errors import ConfigurationError
from etl.profile.figures import ColumnFigures, Profile
from etl.profile.findings import findings
from etl.profile.look import Counting, profile_file, profile_named

AT = Counting(now=datetime(2026, 1, 1))
COLUMNS = ("order_id", "email", "placed_at", "total")
ORDERS = [
    ("O1", "ann@x.org", "2024-01-15", "19.50"),
    ("O2", " bob@x.org", "2024-01-16", "7.00"),
    ("O2", "", "2024-01-16", "7.00"),
    ("O2", "", "2024-01-16", "7.00"),
    ("O3", "NULL", "2024-01-20", "12.25"),
]


def csv_file(folder: Path, rows: Sequence[Sequence[str]], columns: Sequence[str] = COLUMNS) -> Path:
    path = folder / "orders.csv"
    path.write_text("\n".join(map(",".join, (columns, *rows))) + "\n", encoding="utf-8")
    return path


def column_of(profile: Profile, name: str) -> ColumnFigures:
    found = profile.column(name)
    assert found is not None
    return found


# --- a slow model ----------------------------------------------------------------------------

_MARKS = {**dict.fromkeys("BÉ", "A"), **dict.fromkeys("aé", "a"), **dict.fromkeys("17", "9")}


def model_of_texts(texts: Sequence[str]) -> dict[str, Any]:
    counts = Counter(text for text in texts if text.strip())
    patterns = Counter("".join(_MARKS.get(c, c) for c in t) for t in counts.elements())
    return {
        "nulls": len(texts) - counts.total(),
        "distinct": len(counts),
        "singles": sum(n == 1 for n in counts.values()),
        "padded": sum(n for value, n in counts.items() if value != value.strip()),
        "pattern_count": len(patterns),
        "patterns": tuple(sorted(patterns.items(), key=lambda each: (-each[1], each[0]))[:10]),
    }


def outside(values: Sequence[float], low: float, high: float, margin: float) -> int:
    return sum(not low - margin <= value <= high + margin for value in values)


def model_of_numbers(numbers: Sequence[Decimal]) -> dict[str, Any]:
    floats = sorted(map(float, numbers))
    at = [floats[max(0, math.ceil(per * len(floats) / 100) - 1)] for per in range(101)]
    distances = sorted(abs(value - at[50]) for value in floats)
    median_distance = distances[math.ceil(len(floats) / 2) - 1]
    return {
        "distinct": len(set(floats)),
        "mean": pytest.approx(statistics.fmean(floats)),
        "deviation": pytest.approx(statistics.stdev(floats), abs=1e-9),
        "percentiles": at,
        "outliers": {
            name: outside(floats, low, high, margin)
            for name, (low, high, margin) in {
                "quantile": (at[1], at[99], at[99] - at[1]),
                "iqr": (at[25], at[75], 1.5 * (at[75] - at[25])),
                "median deviation": (at[50], at[50], 3.5 * median_distance / 0.6745),
            }.items()
            if low - margin < high + margin
        },
    }


@settings(max_examples=8)
@given(texts=st.lists(st.text("aBÉé17 -", max_size=6), min_size=1, max_size=30))
def test_texts_are_counted_as_the_model_counts_them(
    texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    texts = [*texts, "aB-"]  # so that they are texts, and no numbers
    path = csv_file(tmp_path_factory.mktemp("texts"), [(t, "x") for t in texts], ("t", "x"))
    found, model = column_of(profile_file(path, counting=AT), "t"), model_of_texts(texts)
    assert {name: getattr(found, name) for name in model} == model


@settings(max_examples=8)
@given(
    numbers=st.lists(
        st.decimals(-999, 999, places=2) | st.sampled_from([Decimal(5), Decimal("7.5")]),
        min_size=2, max_size=150,
    )
)  # fmt: skip
def test_numbers_are_counted_as_the_model_counts_them(
    numbers: list[Decimal], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = csv_file(tmp_path_factory.mktemp("numbers"), [(str(n),) for n in numbers], ("n",))
    found, model = column_of(profile_file(path, counting=AT), "n"), model_of_numbers(numbers)
    said = {name: getattr(found, name) for name in model}
    said |= {"percentiles": [float(value) for value in found.percentiles]}
    # a fence on a value is the same or the next floating-point number
    edges = {name: pytest.approx(n, abs=0) for name, n in model.pop("outliers").items()}
    assert said.pop("outliers").keys() == edges.keys()
    assert said == model


def test_outliers_are_counted_by_each_method(tmp_path: Path) -> None:
    usual = [str(n) for n in range(1, 100)]
    path = csv_file(tmp_path, [(n,) for n in (*usual, "160", "1000")], ("n",))
    found = column_of(profile_file(path, counting=AT), "n").outliers
    model = model_of_numbers([Decimal(n) for n in (*usual, "160", "1000")])
    assert found == model["outliers"] == {"quantile": 1, "iqr": 2, "median deviation": 1}


# --- what a profile says ---------------------------------------------------------------------


def test_a_profile_says_types_gaps_extremes_and_duplicates(tmp_path: Path) -> None:
    found = profile_file(csv_file(tmp_path, ORDERS), counting=AT)
    kinds = {column.name: (column.kind, column.nulls) for column in found.columns}
    assert kinds == {
        "order_id": ("text", 0), "email": ("text", 3), "placed_at": ("date", 0),
        "total": ("decimal", 0),
    }  # fmt: skip
    assert (found.rows, found.key, found.key_assumed) == (5, ("order_id",), True)
    assert (found.key_duplicates, found.record_duplicates) == (2, 1)
    total, placed = column_of(found, "total"), column_of(found, "placed_at")
    assert (total.lowest, total.highest, total.mean) == ("7.00", "19.50", 10.55)
    assert total.frequent[0] == ("7.00", 3)
    assert (placed.quantile("median"), placed.patterns) == ("2024-01-16", (("9999-99-99", 5),))


def test_dates_in_another_order_are_read_as_the_whole_file_proves(tmp_path: Path) -> None:
    path = csv_file(tmp_path, [("03/04/2024",), ("25/12/2023",)], ("day",))
    day = column_of(profile_file(path, counting=AT), "day")
    assert (day.kind, day.lowest, day.highest) == ("date", "2023-12-25", "2024-04-03")


def test_dates_that_contradict_each_other_stay_texts(tmp_path: Path) -> None:
    path = csv_file(tmp_path, [("25/12/2023",), ("12/25/2023",)], ("day",))
    day = column_of(profile_file(path, counting=AT), "day")
    assert (day.kind, day.nulls, day.distinct) == ("text", 0, 2)


def test_a_comma_is_a_decimal_mark_where_semicolons_part_the_fields(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("nr;price\n1;1,50\n2;10,25\n", encoding="utf-8")
    price = column_of(profile_file(path, counting=AT), "price")
    assert (price.kind, price.mean) == ("decimal", 5.875)


def test_csv_json_and_parquet_with_the_same_records_have_the_same_figures(tmp_path: Path) -> None:
    rows = [{"sku": f"A{n}", "stock": n % 3} for n in range(20)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    lines = "\n".join(f"{row['sku']},{row['stock']}" for row in rows)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(f"sku,stock\n{lines}\n".encode()))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    kept = ("nulls", "distinct", "lowest", "highest", "mean", "percentiles", "frequent", "outliers")
    found = [
        [tuple(getattr(column, name) for name in kept) for column in profile_file(path).columns]
        for path in sorted(tmp_path.iterdir())
    ]
    assert found[0] == found[1] == found[2]


def test_a_key_of_several_columns_is_named_by_whoever_asks(tmp_path: Path) -> None:
    found = profile_file(csv_file(tmp_path, ORDERS), key=["placed_at", "TOTAL"], counting=AT)
    assert (found.key, found.key_assumed, found.key_duplicates) == (
        ("placed_at", "total"), False, 2,
    )  # fmt: skip


def test_what_stands_out_is_said_in_words(tmp_path: Path) -> None:
    rows = [(f"A{n}", "x", str(n), "1") for n in range(10, 40)]
    rows += [("A10", "x", "ten", ""), ("A10", "x", "ten", "")]
    path = csv_file(tmp_path, [*rows, ("broken",)], ("sku", "shop", "stock", "rank"))
    assert [(each.column, each.words) for each in findings(profile_file(path, counting=AT))] == [
        ("", "1 line cannot be taken apart"),
        ("", "1 record equal to another one in all columns"),
        ("sku", "2 records with the key of another one, taken for the key by its name"),
        ("shop", "always 'x'"),
        ("stock", "2 values of 32 no number"),
        ("stock", "2 values of 32 not of the form 99"),
        ("rank", "always '1'"),
    ]


# --- what cannot be profiled ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds no header"),
        (b"a,b\n", "has a header and no records"),
        (b"\x7fELF\x02\x01\x00\x00" * 9, "is no file of text"),
        (b"[]", "has no records"),
        (b'[{"a": ', "the file ends too early"),
        (b"PAR1 and no more", "cannot be read"),
    ],
)
def test_bad_input_is_one_clear_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "some.data"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as error:
        profile_file(path)
    assert words in str(error.value) and str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_name_of_nothing_says_what_there_is(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write(customers=[{"customer_id": "C1"}])
    project.run()
    with pytest.raises(ConfigurationError, match=r"no table of the warehouse\. Choices: .*sales"):
        profile_named(project.config(), "costumers")


def test_a_table_without_rows_is_said_to_have_none(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write(customers=[{"customer_id": "C1"}])
    project.run()
    with pytest.raises(ConfigurationError, match="sales_fact has no rows"):
        profile_named(project.config(), "sales_fact")


# --- tables, the command, runs ----------------------------------------------------------------


def _project(folder: Path, **settings: str) -> Project:
    project = Project(folder, **settings)
    names = [("C1", "Ann"), ("C2", "Bob"), ("C3", None)]
    project.write(customers=[{"customer_id": key, "first_name": name} for key, name in names])
    return project


def test_a_table_is_counted_alike_on_every_engine(tmp_path: Path, every_engine: Engine) -> None:
    project = _project(tmp_path)
    project.run()
    found = profile_named(project.config(), "customer_dim")
    first, inferred = column_of(found, "first_name"), column_of(found, "is_inferred")
    assert (found.rows, found.key, found.key_duplicates) == (3, ("customer_id",), 0)
    assert (first.nulls, first.distinct, first.frequent) == (1, 2, (("Ann", 1), ("Bob", 1)))
    assert (inferred.kind, inferred.distinct, inferred.lowest) == ("boolean", 1, "false")
    assert column_of(found, "created_date").kind == "timestamp"


def test_the_command_prints_the_profile_and_writes_both_reports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = _project(tmp_path)
    assert command(project, monkeypatch, "--profile", "customers.csv") == 0
    printed = capsys.readouterr().out
    assert "first_name" in printed and "3 records, 0 equal records" in printed
    folder = project.output / "profile"
    assert Profile.from_dict(json.loads((folder / "customers.csv.json").read_text())).rows == 3
    assert "<script" not in (folder / "customers.csv.html").read_text()


def test_two_files_stand_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = _project(tmp_path)
    dearer = csv_file(tmp_path, [(*row[:3], row[3].replace(".", "0.")) for row in ORDERS])
    dearer.rename(tmp_path / "dearer.csv")
    asked = [
        "--profile",
        str(tmp_path / "dearer.csv"),
        "--against",
        str(csv_file(tmp_path, ORDERS)),
    ]
    assert command(project, monkeypatch, *asked, "--json") == 0
    changes = {c["column"]: c["changes"] for c in json.loads(capsys.readouterr().out)["changes"]}
    assert changes == {
        "order_id": [], "email": [], "placed_at": [],
        "total": ["100% of the records lie elsewhere"],
    }  # fmt: skip


def test_each_load_is_profiled_beside_the_one_before_where_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = _project(tmp_path)
    (tmp_path / "pipeline.toml").write_text("[sources.customers]\nprofile = true\n")
    project.settings["PIPELINE_FILE"] = str(tmp_path / "pipeline.toml")
    first = project.run()
    project.write(customers=[{"customer_id": f"C{n}", "first_name": "Ann"} for n in range(20)])
    second = project.run()
    folder = project.output / "profile"
    kept = {path.name for path in folder.glob("*.json")}
    runs = [f"customer_dim_{run['run_id']}.json" for run in (first, second)]
    assert kept == {"customer_dim.json", *runs}
    assert "Side by side" in (folder / "customer_dim.html").read_text()
    asked = ["--profile", "customer_dim", "--against", first["run_id"], "--json"]
    assert command(project, monkeypatch, *asked) == 0
    changes = {c["column"]: c["changes"] for c in json.loads(capsys.readouterr().out)["changes"]}
    assert changes["first_name"]


def test_an_older_profile_that_is_damaged_is_left_out(tmp_path: Path) -> None:
    project = _project(tmp_path, PROFILE_LOADS="yes")
    folder = project.output / "profile"
    folder.mkdir(parents=True)
    (folder / "customer_dim.json").write_text("{")
    assert project.run()["exit_code"] == 0
    assert json.loads((folder / "customer_dim.json").read_text())["rows"] == 3


def test_the_profiles_of_the_newest_runs_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etl.pipeline.profiling.KEPT_PROFILES", 1)
    project = _project(tmp_path, PROFILE_LOADS="yes")
    project.run()
    newest = project.run("--no-skip")["run_id"]
    kept = [path.stem for path in (project.output / "profile").glob("customer_dim_*.html")]
    assert kept == [f"customer_dim_{newest}"]

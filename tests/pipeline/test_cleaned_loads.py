"""Cleaning that `pipeline.toml` declares: of declared loads, of kept columns, however cut."""

from pathlib import Path

import pytest
from engines import Engine
from pipeline_runs import Project, read_csv

from etl.errors import ConfigurationError

PIPELINE = """
[sources.customers]
enabled = false
[sources.products]
enabled = false
[sources.sales]
enabled = false

[loads.visits]
table = "visit"
key = ["nr"]
source.path = "visits.csv"
columns = { nr = "integer", state = "text(20)", shop = "text(20)", total = "decimal(9, 2)", \
pieces = "integer", note = "text(20)" }
clean.state = { steps = ["trim", "state_code"], null_words = ["?"], impute = "mode" }
clean.shop = { impute = "forward" }
clean.total = { impute = "median", outliers = "iqr", action = "missing" }
clean.pieces = { constant = 1 }
duplicates = { by = ["note"], keep = "first" }
guards = { max_reject_rate = 1.0 }
"""
HEADER = "nr,state,shop,total,pieces,note"
VISITS = [
    "1, new  york ,North,1.00,2,a",
    "2,NY,,3.00,,b",
    "3,?,,,1,",
    "4,Tex.,South,2.00,3,b",
    "5,California,,900.00,4,",
    "6,N.Y.,,3.50,5,c",
    "6,CA,,3.00,5,d",
]
LOADED = [
    (1, "NY", "North", "1.00", 2, "a"),
    (2, "NY", "North", "3.00", 1, "b"),
    (3, "NY", "North", "3.00", 1, None),
    (5, "CA", "North", "3.00", 4, None),
    (6, "CA", "North", "3.00", 5, "d"),
]


def project_of(folder: Path, pipeline: str = PIPELINE, **settings: str) -> Project:
    project = Project(folder, PIPELINE_FILE=str(folder / "pipeline.toml"), **settings)
    (folder / "pipeline.toml").write_text(pipeline, encoding="utf-8")
    lines = "\n".join([HEADER, *VISITS])
    (project.input / "visits.csv").write_text(f"{lines}\n", encoding="utf-8")
    return project


def loaded(project: Project) -> list[tuple[object, ...]]:
    query = 'SELECT "nr", "state", "shop", "total", "pieces", "note" FROM "visit" ORDER BY "nr"'
    return [(*row[:3], str(row[3]), *row[4:]) for row in project.query(query)]


def test_a_load_is_cleaned_as_it_is_declared(tmp_path: Path, every_engine: Engine) -> None:
    project = project_of(tmp_path)
    summary = project.run()
    assert loaded(project) == LOADED
    counts = summary["tables"]["visit"]
    assert (counts["rows_read"], counts["rows_inserted"], counts["rows_duplicate"]) == (7, 5, 2)
    (source,) = summary.sources
    assert source.warnings == (
        "state: 1 value made by mode", "shop: 4 values made by forward",
        "total: 2 values made by median", "pieces: 1 value made by constant 1",
        "total: 1 outlier by iqr, made missing",
    )  # fmt: skip


def test_duplicates_stand_in_the_rejected_file_as_the_source_wrote_them(tmp_path: Path) -> None:
    project = project_of(tmp_path)
    project.run()
    (path,) = (project.output / "rejected").glob("visits_*.csv")
    rejected = {row["source_row"]: row for row in read_csv(path)}
    assert {row["error_class"] for row in rejected.values()} == {"duplicate"}
    assert rejected["5"]["reason"] == "another record of this note took precedence"
    assert (rejected["5"]["state"], rejected["5"]["total"]) == ("Tex.", "2.00")


@pytest.mark.parametrize("rows", ["1", "2"])
def test_it_does_not_matter_how_the_source_is_cut(tmp_path: Path, rows: str) -> None:
    project = project_of(tmp_path, CHUNK_ROWS=rows)
    project.run()
    assert loaded(project) == LOADED


def test_the_same_file_again_changes_nothing(tmp_path: Path) -> None:
    project = project_of(tmp_path)
    project.run()
    counts = project.run()["tables"]["visit"]
    assert (counts["rows_inserted"], counts["rows_updated"], counts["rows_unchanged"]) == (0, 0, 5)


def test_rejected_outliers_stand_in_the_rejected_file_with_their_bounds(tmp_path: Path) -> None:
    project = project_of(tmp_path, PIPELINE.replace('"missing"', '"reject"'))
    summary = project.run()
    assert summary["tables"]["visit"]["rows_rejected"] == 1
    (path,) = (project.output / "rejected").glob("visits_*.csv")
    (rejected,) = (row for row in read_csv(path) if row["error_class"] != "duplicate")
    assert (rejected["field"], rejected["value"]) == ("total", "900.00")
    assert rejected["reason"].startswith("total is an outlier by iqr: it must lie between ")


def test_a_required_column_may_be_made_up(tmp_path: Path) -> None:
    project = project_of(tmp_path, PIPELINE.replace('"nr"', '"nr", "shop"', 1).replace(
        'clean.shop = { impute = "forward" }', ""))  # fmt: skip
    assert project.run()["tables"]["visit"]["rows_rejected"] == 5  # the key is never made up


KEPT = """
[sources.customers]
extra = "keep"
clean.state = { steps = ["state_code"], impute = "mode" }
clean.club = { constant = "none" }
duplicates = { by = ["email"] }
"""


def test_kept_columns_of_a_built_in_source_are_cleaned(tmp_path: Path) -> None:
    project = Project(tmp_path, PIPELINE_FILE=str(tmp_path / "pipeline.toml"))
    (tmp_path / "pipeline.toml").write_text(KEPT, encoding="utf-8")
    lines = [
        "customer_id,first_name,last_name,email,phone,address,segment,registration_date,state,club",
        "C1,Ann,Lee,ann@x.org,,,Basic,2024-01-01,texas,gold",
        "C2,Bob,Lee,bob@x.org,,,Basic,2024-01-01,TX,",
        "C3,Cy,Lee,cy@x.org,,,Basic,2024-01-01,,",
        "C4,Ann,Lee,ANN@x.org,,,Basic,2024-01-01,Utah,",
        ",Di,Lee,di@x.org,,,Basic,2024-01-01,,",
    ]
    (project.input / "customers.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    summary = project.run("--accept", "customers")
    query = 'SELECT "customer_id", "state", "club" FROM "customer_dim" ORDER BY "customer_id"'
    assert project.query(query) == [
        ("C2", "TX", "none"), ("C3", "TX", "none"), ("C4", "UT", "none"),
    ]  # fmt: skip
    warnings = summary.sources[0].warnings
    assert "state: 1 value made by mode" in warnings
    assert "club: 3 values made by constant none" in warnings
    assert summary["tables"]["customer_dim"]["rows_duplicate"] == 1


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ('clean.stat = { steps = ["trim"] }', "'stat' is no column that can be cleaned"),
        ('clean.note = { impute = "mean" }', "note holds no numbers, which impute = 'mean' needs"),
        ('clean.note = { outliers = "iqr" }', "which outliers = 'iqr' needs"),
        ('clean.nr = { impute = "mode" }', "the key distinguishes records"),
        ('clean.note = { impute = "mode", constant = "x" }', "constant and impute: only one"),
        ('clean.note = { action = "clip" }', "action needs outliers"),
        ('duplicates = { by = ["colour"] }', "'colour' is no column"),
        ('clean.note = { steps = ["bleach"] }', "bleach"),
    ],
)
def test_what_cannot_be_cleaned_is_said_with_its_place(
    tmp_path: Path, declared: str, words: str
) -> None:
    start, _, _ = PIPELINE.partition("clean.state")
    project = project_of(tmp_path, f"{start}{declared}\n")
    with pytest.raises(ConfigurationError) as error:
        project.run()
    assert words in str(error.value) and "loads.visits" in str(error.value)


def test_columns_of_a_built_in_source_that_are_not_kept_cannot_be_cleaned(tmp_path: Path) -> None:
    project = project_of(tmp_path, '[sources.customers]\nclean.phone = { steps = ["trim"] }\n')
    with pytest.raises(ConfigurationError, match="'phone' is no column that can be cleaned"):
        project.run()

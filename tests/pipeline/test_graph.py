"""The loads as a graph: a failing one in the middle, a part of them, and how they are drawn."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from engines import Engine
from load_projects import declared, write
from pipeline_runs import Project, command

from etl.errors import ConfigurationError
from etl.history.summary import RunSummary
from etl.pipeline.graph import graph_text

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "input"
#     regions - stores - shifts - hours          suppliers - orders - lines
#                      \ tills
LOADS = {
    "regions": (), "stores": ("regions",), "shifts": ("stores",), "tills": ("stores",),
    "hours": ("shifts",), "suppliers": (), "orders": ("suppliers",),
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, every_engine: Engine) -> Project:
    """Ten loads: the built-in three, and seven that refer to each other."""
    made = Project(tmp_path)
    for path in SAMPLE.iterdir():
        (made.input / path.name).write_bytes(path.read_bytes())
    (tmp_path / "pipeline.toml").write_text(
        "\n".join(declared(*load) for load in LOADS.items()), encoding="utf-8"
    )
    for name, parents in LOADS.items():
        write(made, name, parents, 1)
    return made


def statuses(run: RunSummary) -> dict[str, str]:
    return {source.source: source.status for source in run.sources}


BUILT_IN = dict.fromkeys(("customers", "products", "sales"), "loaded")


@pytest.mark.parametrize("mode", [(), ("--full-refresh",)], ids=["plain", "full refresh"])
def test_what_refers_to_a_failed_load_is_skipped_and_the_rest_goes_on(
    project: Project, mode: tuple[str, ...]
) -> None:
    project.run()
    for name, parents in LOADS.items():
        write(project, name, parents, 2)
    (project.input / "stores.csv").unlink()
    run = project.run(*mode)
    assert statuses(run) == {
        **BUILT_IN, "regions": "loaded", "stores": "failed", "shifts": "skipped",
        "tills": "skipped", "hours": "skipped", "suppliers": "loaded", "orders": "loaded",
    }  # fmt: skip
    assert run.exit_code == 3
    assert "shifts refers to stores, not loaded in this run; the next run loads it" in run.attention
    counts = {name: project.query(f"SELECT count(*) FROM {name}")[0][0] for name in LOADS}
    assert counts == {
        "regions": 2, "stores": 1, "shifts": 1, "tills": 1, "hours": 1, "suppliers": 2,
        "orders": 2,
    }  # fmt: skip

    write(project, "stores", ("regions",), 2)
    again = project.run()
    assert set(statuses(again).values()) == {"loaded"}
    assert again.exit_code == 0
    assert project.query("SELECT count(*) FROM hours") == [(2,)]


def test_one_alert_names_the_load_that_failed_and_none_those_that_were_skipped(
    tmp_path: Path,
) -> None:
    project = small(tmp_path)
    project.run()
    (project.input / "stores.csv").unlink()
    project.run()
    text = (project.logs / "alerts" / "email_alerts.log").read_text(encoding="utf-8")
    subjects = re.findall(r"^Subject: (.*)$", text, re.MULTILINE)
    assert [each for each in subjects if "Stores" in each]
    assert not [each for each in subjects if "Shifts" in each]


def small(folder: Path) -> Project:
    """The declared loads alone, on the embedded engine."""
    project = Project(folder, PIPELINE_FILE=str(folder / "pipeline.toml"))
    off = "".join(f"[sources.{name}]\nenabled = false\n" for name in BUILT_IN)
    declarations = "\n".join(declared(*load) for load in LOADS.items())
    (folder / "pipeline.toml").write_text(off + declarations, encoding="utf-8")
    for name, parents in LOADS.items():
        write(project, name, parents, 1)
    return project


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("--from", "stores"), {"stores", "shifts", "tills", "hours"}),
        (("--from", "shifts", "--from", "orders"), {"shifts", "hours", "orders"}),
        (("--skip", "stores", "--skip", "tills"), {"regions", "shifts", "hours", "suppliers",
                                                   "orders"}),
        (("--only", "regions"), {"regions"}),
        (("--from", "stores", "--skip", "hours"), {"stores", "shifts", "tills"}),
    ],
)  # fmt: skip
def test_a_part_of_the_loads_is_run(
    tmp_path: Path, argv: tuple[str, ...], expected: set[str]
) -> None:
    project = small(tmp_path)
    project.run()
    assert statuses(project.run(*argv)).keys() == expected


@pytest.mark.parametrize("flag", ["--only", "--skip", "--from"])
def test_a_load_that_is_not_there_is_refused(tmp_path: Path, flag: str) -> None:
    with pytest.raises(ConfigurationError, match=r"no source or mart store.*did you mean stores"):
        small(tmp_path).run(flag, "store")


def test_a_load_that_is_skipped_on_purpose_holds_no_other_back(tmp_path: Path) -> None:
    project = small(tmp_path)
    project.run()
    assert set(statuses(project.run("--skip", "stores")).values()) == {"loaded"}


# --- drawn ---------------------------------------------------------------------------------------


def test_the_graph_for_a_scheduler_has_every_load_with_what_it_waits_for(tmp_path: Path) -> None:
    found = json.loads(graph_text(small(tmp_path).config(), "json"))["loads"]
    assert {each["name"]: tuple(each["after"]) for each in found} == LOADS


def test_the_diagram_has_an_arrow_for_each_reference_and_how_the_last_run_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = small(tmp_path)
    project.run()
    (project.input / "stores.csv").unlink()
    project.run()
    assert command(project, monkeypatch, "--graph", "mermaid") == 0
    lines = capsys.readouterr().out.splitlines()
    arrows = {tuple(line.split(" --> ")) for line in map(str.strip, lines) if " --> " in line}
    assert arrows == {(parent, name) for name, parents in LOADS.items() for parent in parents}
    assert '    stores["stores<br/>failed"]:::bad' in lines
    assert '    hours["hours<br/>skipped"]:::warn' in lines
    assert any(line.startswith('    regions["regions<br/>loaded') for line in lines)


def test_the_picture_is_well_formed_and_no_two_boxes_overlap(tmp_path: Path) -> None:
    project = small(tmp_path)
    picture = ET.fromstring(graph_text(project.config(), "svg"))  # noqa: S314  # our own
    rects = [each for each in picture.iter() if each.tag.endswith("rect")]
    corners = {(int(each.attrib["x"]), int(each.attrib["y"])) for each in rects}
    assert len(corners) == len(rects) == len(LOADS)
    wires = [each for each in picture.iter() if each.tag.endswith("path")]
    assert len(wires) == 2 * sum(map(len, LOADS.values()))  # a line and its head


def test_the_page_shows_the_graph(tmp_path: Path) -> None:
    project = small(tmp_path)
    project.run()
    page = (project.output / "dashboard.html").read_text(encoding="utf-8")
    assert "Which load waits for which" in page
    assert page.count('class="node good"') == len(LOADS)


# --- marts ---------------------------------------------------------------------------------------

OWN_MARTS = {
    "stores_per_region": ("SELECT regions_id, count(*) AS n FROM stores GROUP BY 1", ("stores",)),
    "most": ("SELECT max(n) AS n FROM stores_per_region", ("stores_per_region",)),
    "ordered": ("SELECT count(*) AS n FROM orders", ("orders",)),
}
BUNDLED = ("cohorts", "customer_value", "daily_revenue", "monthly_active_customers",
           "product_performance", "sales_wide")  # fmt: skip


def with_marts(folder: Path) -> Project:
    """The declared loads, and three marts that read them, in place of those of the program."""
    project = small(folder)
    (folder / "marts").mkdir()
    for name in BUNDLED:
        (folder / "marts" / f"{name}.sql").write_text("-- not built\n", encoding="utf-8")
    for name, (sql, _) in OWN_MARTS.items():
        (folder / "marts" / f"{name}.sql").write_text(sql, encoding="utf-8")
    return project


def built(run: RunSummary) -> dict[str, str]:
    return {mart.name: mart.status for mart in run.marts}


def test_a_mart_is_skipped_with_what_reads_it_when_its_table_was_not_loaded(
    tmp_path: Path,
) -> None:
    project = with_marts(tmp_path)
    assert set(built(project.run("--marts")).values()) == {"built"}
    (project.input / "stores.csv").unlink()
    run = project.run("--marts")
    assert built(run) == {"stores_per_region": "skipped", "most": "skipped", "ordered": "unchanged"}
    assert "mart stores_per_region skipped: not loaded in this run: stores (failed)" in (
        run.attention
    )
    assert "mart most skipped: it reads stores_per_region" in run.attention
    assert project.query("SELECT n FROM stores_per_region") == [(1,)]
    text = (project.logs / "alerts" / "email_alerts.log").read_text(encoding="utf-8")
    subjects = re.findall(r"^Subject: (.*)$", text, re.MULTILINE)
    assert len(subjects) == 1 and "Stores" in subjects[0]  # the cause alone


@pytest.mark.parametrize(
    ("argv", "loads", "marts"),
    [
        (("--only", "most"), set(), {"most"}),
        (("--only", "regions", "--only", "ordered"), {"regions"}, {"ordered"}),
        (("--only", "regions"), {"regions"}, set()),
        (("--from", "suppliers", "--marts"), {"suppliers", "orders"}, {"ordered"}),
        (("--from", "suppliers"), {"suppliers", "orders"}, set()),
        (("--from", "stores_per_region"), set(), {"stores_per_region", "most"}),
        (("--only", "tills", "--marts", "--skip", "most"), {"tills"},
         {"stores_per_region", "ordered"}),
    ],
)  # fmt: skip
def test_a_part_of_the_marts_is_built(
    tmp_path: Path, argv: tuple[str, ...], loads: set[str], marts: set[str]
) -> None:
    project = with_marts(tmp_path)
    project.run("--marts")
    run = project.run(*argv)
    assert (set(statuses(run)), set(built(run))) == (loads, marts)
    assert run.exit_code == 0


def test_the_drawing_has_the_marts_with_how_they_were_built(tmp_path: Path) -> None:
    project = with_marts(tmp_path)
    project.run("--marts")
    config = project.config()
    lines = [line.strip() for line in graph_text(config, "mermaid", marts=True).splitlines()]
    arrows = {tuple(line.split(" --> ")) for line in lines if " --> " in line}
    assert {(before, name) for name, (_, after) in OWN_MARTS.items() for before in after} <= arrows
    assert any(re.fullmatch(r'most\(\["most<br/>built.*"\]\):::good', line) for line in lines)
    page = (project.output / "dashboard.html").read_text(encoding="utf-8")
    assert page.count('class="node good"') == len(LOADS) + len(OWN_MARTS)
    found = json.loads(graph_text(config, "json", marts=True))
    assert {each["name"]: tuple(each["after"]) for each in found["marts"]}.items() >= {
        name: after for name, (_, after) in OWN_MARTS.items()
    }.items()
    assert "most" not in graph_text(config, "mermaid")

"""The loads as a graph: a failing one in the middle, a part of them, and how they are drawn."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from engines import Engine
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
    (tmp_path / "pipeline.toml").write_text("\n".join(map(declared, LOADS)), encoding="utf-8")
    for name, parents in LOADS.items():
        write(made, name, parents, 1)
    return made


def declared(name: str) -> str:
    references = "".join(f'{parent}_id = "{parent}"' for parent in LOADS[name])
    columns = "".join(f', {parent}_id = "text(10)"' for parent in LOADS[name])
    return f"""[loads.{name}]
source = {{ path = "{name}.csv" }}
table = "{name}"
key = ["id"]
columns = {{ id = "text(10)"{columns} }}
references = {{ {references} }}
"""


def write(project: Project, name: str, parents: tuple[str, ...], rows: int) -> None:
    header = ",".join(("id", *(f"{parent}_id" for parent in parents)))
    lines = (",".join([str(n)] * (1 + len(parents))) for n in range(1, rows + 1))
    (project.input / f"{name}.csv").write_text("\n".join([header, *lines]) + "\n")


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
    declarations = "\n".join(map(declared, LOADS))
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
    with pytest.raises(ConfigurationError, match=r"no source store.*did you mean stores"):
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

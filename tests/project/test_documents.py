"""The documents are what the program does, and lead where they say."""

import doctest
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import render_docs

from etl.findings import FINDINGS
from etl.pipeline.arguments import check_arguments
from etl.pipeline.command_line import build_parser, parse_arguments
from etl.settings.example import env_example_text
from etl.settings.sections.section import declared

ROOT = Path(__file__).resolve().parents[2]

DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (
        *render_docs.DOCUMENTS, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md",
        ROOT / "benchmarks/README.md",
    )
    if path.exists()
}  # fmt: skip
README = DOCUMENTS["README.md"]
TEXT = "\n".join(DOCUMENTS.values())
HEADINGS = """\
## Overview
## Prerequisites
## Installation and Setup
### Environment Setup
### Configuration
## Usage
### Running the Pipeline
### Monitoring and Troubleshooting
## Architecture
### Pipeline Stages
### Error Handling Strategy
### Data Quality Framework
## Performance Considerations
## Maintenance and Operations
"""


def of_each(pattern: str) -> list[tuple[str, str]]:
    """What matches in which document."""
    return [
        (name, found) for name, text in DOCUMENTS.items() for found in re.findall(pattern, text)
    ]


# --- what is rendered ------------------------------------------------------------------------


def test_the_rendered_parts_are_what_the_program_prints() -> None:
    made = render_docs.parts()
    for path in render_docs.DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        assert render_docs.rendered(text, made) == text, f"{path}: run scripts/render_docs.py"


def test_the_example_settings_are_those_that_are_declared() -> None:
    assert (ROOT / ".env.example").read_text(encoding="utf-8") == env_example_text()


def test_the_schema_of_pipeline_toml_is_that_of_its_declaration() -> None:
    assert render_docs.SCHEMA.read_text(encoding="utf-8") == render_docs.schema_text()


# --- the README ------------------------------------------------------------------------------


def test_the_readme_is_short() -> None:
    assert len(README.encode()) <= 12 * 1024


def test_the_readme_keeps_to_the_headings_that_were_asked_for() -> None:
    found = re.findall(r"^#{2,3} .*$", README, re.MULTILINE)
    assert found == HEADINGS.splitlines()


def test_the_test_command_is_the_one_of_continuous_integration() -> None:
    (command,) = re.findall(r"^python3 -m venv .* -m pytest$", README, re.MULTILINE)
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8").replace("--quiet", "-q")
    ci = ci.replace(" --disable-pip-version-check", "")
    steps = command.split(" && ")
    assert [line for line in ci.splitlines() if line in steps] == steps


# --- what can be pasted ----------------------------------------------------------------------


def commands() -> list[str]:
    """Every call of the pipeline in the documents and in --help."""
    text = TEXT + build_parser().format_help()
    calls = re.findall(r"(?:python etl_pipeline\.py|nightly-etl)(?: [^\n`|>]*)?", text)
    return sorted({call for call in calls if " (" not in call and not call.endswith((",", ";"))})


@pytest.mark.parametrize("command", commands())
def test_every_command_can_be_pasted(command: str) -> None:
    words = shlex.split(command)
    argv = words[2:] if words[0] == "python" else words[1:]
    if "--print-completion" not in argv:
        check_arguments(parse_arguments(argv))


@pytest.mark.parametrize(("document", "command"), of_each(r"python -m pytest( [^\n`|&]+)"))
def test_every_call_of_the_tests_names_files_that_exist(document: str, command: str) -> None:
    files = [word for word in shlex.split(command) if word.startswith("tests")]
    assert not [name for name in files if not (ROOT / name.split("::")[0]).exists()], document


@pytest.mark.parametrize(
    "document",
    [
        "library.md",
        "notebook.md",
        "your-own-tables.md",
        "profile.md",
        "transformations.md",
        "history.md",
    ],
)
def test_the_examples_in_python_do_what_is_written_below_them(
    document: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    path = ROOT / "docs" / document
    options = doctest.ELLIPSIS
    failed, tried = doctest.testfile(str(path), module_relative=False, optionflags=options)
    assert (failed, tried > 0) == (0, True)


# --- what is named ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "name"),
    sorted(
        set(of_each(r"`((?:[\w.]+/)*\.?[\w-]+\.(?:py|example|txt|toml|lock|yaml|yml|md|css))`"))
    ),
)
def test_every_file_that_is_named_exists(document: str, name: str) -> None:
    of_the_user = {"pipeline.toml"}
    beside = (ROOT / document).parent / name
    assert name in of_the_user or (ROOT / name).exists() or beside.exists()


def test_every_library_has_its_reason() -> None:
    table = DOCUMENTS["docs/architecture.md"].partition("## Libraries")[2]
    explained = {name for row in re.findall(r"^\| ([^|]+) \|", table, re.M) for name in words(row)}
    files = {path.name: path for path in ROOT.glob("requirements*.txt")}
    of_the_project = files.keys() - {"requirements-dev.txt", "requirements-docs.txt"}
    text = "\n".join(files[name].read_text(encoding="utf-8") for name in of_the_project)
    required = set(re.findall(r"^([A-Za-z][\w-]*)", text, re.MULTILINE))
    assert required == explained - {"Package", "---"}


def words(row: str) -> list[str]:
    """The packages of a row of the table."""
    return re.sub(r"\(.*?\)", "", row).replace(",", " ").split()


def test_every_setting_that_is_named_exists() -> None:
    known = set(declared())
    named = set(re.findall(r"`((?:[A-Z]+_)+[A-Z]+)(?:=[^`]*)?`", TEXT))
    others = {"READ_COMMITTED_SNAPSHOT", "NOT_DELIVERED", "PREVENT_UNSAFE_DB_CONNECTIONS"}
    others |= {"OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_EXPORTER_OTLP_HEADERS"}
    others |= {"PYSPARK_PYTHON", "PYSPARK_SUBMIT_ARGS", "SPARK_CONF_DIR", "HADOOP_CONF_DIR"}
    others |= {"NIGHTLY_ETL_HOME", "NIGHTLY_ETL_PYTHON", "NIGHTLY_ETL_ENV"}  # of the DAG
    ours = {name for name in named - others if not name.startswith("TEST_")}
    assert ours <= known


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub and MkDocs make them."""
    outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#{1,6} (.*)$", outside, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-") for h in headings}


def links() -> Iterator[tuple[str, str]]:
    for name, text in DOCUMENTS.items():
        outside = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        found = re.findall(r"\]\(([^)\s]+)\)|(?:src|srcset|href)=\"([^\"]+)\"", outside)
        for link in sorted({markdown or html for markdown, html in found}):
            if "://" not in link:
                yield name, link


@pytest.mark.parametrize(("document", "link"), list(links()))
def test_every_relative_link_leads_somewhere(document: str, link: str) -> None:
    target, _, anchor = link.partition("#")
    path = (ROOT / document).parent / target if target else ROOT / document
    assert path.exists()
    if anchor:
        assert anchor in anchors(path.read_text(encoding="utf-8"))


def test_every_finding_that_holds_a_source_back_has_its_line() -> None:
    page = DOCUMENTS["docs/your-files.md"]
    assert [name for name in FINDINGS if f"| `{name}` |" not in page] == []


def test_every_page_is_in_the_index_and_in_the_navigation() -> None:
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    index = set(re.findall(r"\]\((\S+\.md)\)", DOCUMENTS["docs/index.md"]))
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    navigation = set(re.findall(r"^  - [^:]+: (\S+\.md)$", site, re.MULTILINE))
    assert index == pages - {"index.md"}
    assert navigation == pages


def test_the_site_needs_no_network_and_names_no_host() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "://" not in text
    assert "font: false" in text

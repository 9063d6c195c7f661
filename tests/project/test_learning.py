"""The pages for people who learn: their commands run, their pointers lead somewhere."""

import ast
import re
from functools import cache

import pytest
from project_copy import ROOT, Copy, blocks_of, copy, sections_of

__all__ = ["copy"]  # a fixture

LEARN = ROOT / "docs" / "learn"
PAGES = sorted(LEARN.glob("*.md"))
EXERCISES = sections_of(LEARN / "exercises.md")


def plain(text: str) -> str:
    """A text without the frames of tables and repeated spaces."""
    return re.sub(r"[\s|│┃]+", " ", text).strip()


def test_the_commands_of_the_night_print_what_the_page_says(copy: Copy) -> None:
    printed = ""
    for language, block in blocks_of((LEARN / "night.md").read_text(encoding="utf-8")):
        if language == "bash":
            printed = copy.bash(block)
            continue
        lines = [plain(line) for line in printed.splitlines()]
        for line in block.splitlines():
            assert plain(line) in lines, f"{line} is not in\n{printed}"


# --- pointers --------------------------------------------------------------------------------


def pointers() -> list[tuple[str, str, str]]:
    """Which page points to which name in which file."""
    return [
        (page.name, name, file)
        for page in PAGES
        for name, file in re.findall(r"`(\w+)`\s+in\s+`([\w/]+\.py)`", page.read_text("utf-8"))
    ]


@cache
def names_in(file: str) -> set[str]:
    """The functions, classes and constants of a module, and the methods of its classes."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    defined = (ast.FunctionDef, ast.ClassDef)
    names = {node.name for node in ast.walk(tree) if isinstance(node, defined)}
    return names | {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}


@pytest.mark.parametrize(("page", "name", "file"), pointers())
def test_a_pointer_leads_to_what_it_names(page: str, name: str, file: str) -> None:
    assert name in names_in(file), page


def test_the_night_points_into_every_part_of_a_run() -> None:
    rooms = {file.split("/")[1] for page, _, file in pointers() if page == "night.md"}
    assert rooms >= {"settings", "pipeline", "rules", "rejects.py", "warehouse", "history",
                     "quality", "monitoring"}  # fmt: skip


# --- exercises -------------------------------------------------------------------------------


def follow(copy: Copy, exercise: str) -> None:
    copy.follow(EXERCISES[exercise])


def test_the_exercises_are_those_that_are_tested() -> None:
    assert list(EXERCISES) == [
        "Add a column", "Change the commission", "Add a rule", "Add a source",
    ]  # fmt: skip


def test_a_column_is_added(copy: Copy) -> None:
    copy.run()
    follow(copy, "Add a column")
    copy.bash(script("Add a column"))
    ((french,),) = copy.query("SELECT count(*) FROM customer_dim WHERE language = 'fr'")
    assert french > 100


def script(exercise: str) -> str:
    """The commands of an exercise."""
    return "".join(block for kind, block in blocks_of(EXERCISES[exercise]) if kind == "bash")


def test_the_commission_is_changed(copy: Copy) -> None:
    copy.run()
    follow(copy, "Change the commission")
    copy.bash(script("Change the commission"))
    rate = "CASE WHEN total_amount >= 500 THEN 0.05 ELSE 0.03 END"
    wrong = f"commission <> round(total_amount * {rate}, 2)"
    assert copy.query(f"SELECT count(*) FROM sales_fact WHERE {wrong}") == [(0,)]
    ((high,),) = copy.query("SELECT count(*) FROM sales_fact WHERE total_amount >= 500")
    assert high > 0


def test_a_rule_is_added(copy: Copy) -> None:
    follow(copy, "Add a rule")
    checks = {check["name"]: check for check in copy.run()["quality"]["checks"]}
    assert checks["sales_fact.discount_high"]["severity"] == "warning"


def test_a_source_is_added(copy: Copy) -> None:
    follow(copy, "Add a source")
    summary = copy.run()
    assert summary["tables"]["store"]["rows_inserted"] == 2
    assert summary["tables"]["store"]["rows_rejected"] == 1
    assert copy.query("SELECT store_id, city FROM store ORDER BY 1") == [
        ("S1", "Lyon"), ("S2", "Oslo"),
    ]  # fmt: skip


def test_every_answer_is_hidden_until_it_is_asked_for() -> None:
    text = (LEARN / "exercises.md").read_text(encoding="utf-8")
    assert text.count("<details") == text.count("</details>") == len(EXERCISES)
    for section in EXERCISES.values():
        task, _, _ = section.partition("<details")
        assert "```diff" not in task

"""The page over the runs: what it shows, and what nobody can make it show."""

import os
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hostile_entries import HOSTILE_TEXTS, damaged_entries, hostile_entry
from sample_journal import sample_journal

from etl.history.audit import FAILED, KILLED
from etl.reports.dashboard import MOST_RUNS, dashboard, write_dashboard
from etl.reports.page_style import STYLE

VOID = {"meta", "br", "wbr"}
TAGS = frozenset(
    re.findall(
        r"[\w-]+",
        """
    html head meta title style body main header h1 h2 h3 nav a section p span small svg path rect
    circle dl div dt dd figure figcaption ul li b table thead tbody tr th td details summary footer
    br wbr bdi
    """,
    )
)
ATTRIBUTES = frozenset(
    re.findall(
        r"[\w-]+",
        """
    lang charset name content http-equiv href id class style aria-label aria-labelledby aria-hidden
    role tabindex scope d x y width height cx cy r rx viewbox preserveaspectratio
    """,
    )
)


RUN_TABLES = ("The latest runs", "Earlier runs")


class Page(HTMLParser):
    """A page taken apart: its elements, its tables, its texts; complains if it is not whole."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.shapes: list[tuple[str, tuple[str, ...]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.texts: list[str] = []
        self.open: list[str] = []
        self._caption = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.shapes.append((tag, tuple(name for name, _ in attrs)))
        if tag not in VOID:
            self.open.append(tag)
        self._caption = dict(attrs).get("aria-label") or self._caption
        if tag == "table":
            self.tables[self._caption] = []
        elif tag == "tr":
            self._rows.append([])
        elif tag in {"td", "th"}:
            self._rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if "table" in self.open and {"td", "th"} & set(self.open):
            self._rows[-1][-1] += data

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    @property
    def _rows(self) -> list[list[str]]:
        return list(self.tables.values())[-1]

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def rows(self, caption: str) -> dict[str, list[str]]:
        """The cells of a table by the first of each row, which stands with its blanks trimmed."""
        return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in self.tables[caption]}


def page_of(entries: Sequence[Any]) -> Page:
    return Page(dashboard(entries))


def number(text: str) -> int:
    return int(text.replace(",", ""))


# --- what it shows ---------------------------------------------------------------------------


@pytest.mark.parametrize("runs", [1, 2, 30, MOST_RUNS])
def test_every_run_is_a_row_with_its_figures(runs: int) -> None:
    journal = sample_journal(runs)
    page = page_of(journal)
    tables = [page.tables[caption] for caption in RUN_TABLES if caption in page.tables]
    shown = [dict(zip(rows[0], row, strict=True)) for rows in tables for row in rows[1:]]
    assert len(shown) == runs
    for cells, entry in zip(shown, reversed(journal), strict=True):
        assert cells["Started, UTC"] == entry["started_at"][:16].replace("T", " ")
        assert cells["Outcome"].strip() == entry["status"].replace("_", " ")
        assert cells["Mode"] == entry["mode"].replace("_", " ")
        for count in ("Read", "Inserted", "Updated", "Rejected"):
            assert cells[count] == read_total(entry, count.lower())
        checks = entry.get("quality", {}).get("checks", [])
        passed = sum(check["status"] == "passed" for check in checks)
        assert cells["Checks"] == (f"{passed} of {len(checks)}" if checks else "unknown")


def test_environments_are_told_apart_where_there_are_several() -> None:
    journal = sample_journal(2)
    assert "Environment" not in page_of(journal).tables["The latest runs"][0]
    several = page_of([journal[0] | {"environment": "test"}, journal[1]])
    assert several.rows("The latest runs")["2025-03-01 02:00"][2] == "test"


def read_total(entry: dict[str, Any], count: str) -> str:
    if "tables" not in entry:
        return "unknown"
    return f"{sum(table[f'rows_{count}'] for table in entry['tables'].values()):,}"


def test_the_counts_of_each_table_are_those_of_the_entry() -> None:
    journal = sample_journal(5)
    rows = page_of(journal).rows("Records by table and what became of them")
    tables = journal[-1]["tables"]
    assert rows[""] == list(tables)
    for word in ("read", "inserted", "updated", "unchanged", "rejected", "restated"):
        assert [number(cell) for cell in rows[word]] == [t[f"rows_{word}"] for t in tables.values()]
    duplicates = [table["rows_duplicate"] for table in tables.values()]
    assert [number(cell) for cell in rows["duplicates"]] == duplicates


def test_the_changed_columns_are_those_of_the_entry() -> None:
    journal = sample_journal(5)
    rows = page_of(journal).rows("Changed columns")
    del rows["column"]
    assert {name: number(cells[0]) for name, cells in rows.items()} == {
        f"{column} {table}": count
        for table, columns in journal[-1]["column_changes"].items()
        for column, count in columns.items()
    }


def test_the_bars_of_the_changed_columns_are_as_long_as_their_counts() -> None:
    journal = sample_journal(5)
    text = dashboard(journal)
    counts = [n for columns in journal[-1]["column_changes"].values() for n in columns.values()]
    drawn = [
        float(width) for width in re.findall(r'class="f-updated" x="0" width="([\d.]+)"', text)
    ]
    assert sorted(drawn) == pytest.approx(sorted(100 * n / max(counts) for n in counts), rel=1e-3)


def test_rejects_are_shown_by_reason_also_those_that_came_only_before() -> None:
    journal = sample_journal(20)
    rows = page_of(journal).rows("Rejects by reason")
    shown = {name: number(cells[0]) for name, cells in list(rows.items())[1:]}
    last = {reason(row): row["rows"] for row in journal[-1]["rejects"]}
    before = {reason(row) for entry in journal for row in entry.get("rejects", [])}
    assert shown == {name: last.get(name, 0) for name in before}


def reason(row: dict[str, Any]) -> str:
    return ", ".join(filter(None, (row["source"], row["error_class"], row["field"])))


def test_lineage_tells_file_size_hash_and_what_became_of_its_records() -> None:
    journal = sample_journal(5)
    text = page_of(journal).text
    for traced in journal[-1]["lineage"]:
        counts = journal[-1]["tables"][traced["target"]]
        assert f"{traced['source']} → {traced['target']}" in text
        assert f"{traced['rows']:,} rows" in text
        assert f"SHA-256 {traced['sha256'][:12]}…" in text
        assert f"{counts['rows_inserted']:,} inserted" in text


def test_failed_checks_are_in_the_open_and_named_at_the_top() -> None:
    journal = sample_journal(5, last="attention")
    page = page_of(journal)
    failed = [c for c in journal[-1]["quality"]["checks"] if c["status"] == "failed"]
    rows = page.rows("Checks to look at")
    assert {name: cells[1] for name, cells in list(rows.items())[1:]} == {
        check["name"]: check["message"] for check in failed
    }
    (notes,) = re.findall(r'<ul class="notes">(.*?)</ul>', dashboard(journal))
    assert journal[-1]["attention"][0] in notes
    assert journal[-1]["anomalies"][0]["message"] in notes
    assert "Loaded, with something to look at" in page.text


def test_a_run_in_use_does_not_lower_the_success_rate() -> None:
    good, waiting = sample_journal(1)[0], sample_journal(1, last="in_use")[0]
    failed = sample_journal(1, last="failed")[0]
    assert "Success rate100%1 clean of the last 1" in page_of([good, waiting]).text
    assert "Success rate50%1 clean of the last 2" in page_of([good, waiting, failed]).text


@pytest.mark.parametrize("status", [FAILED, KILLED, "in_use"])
def test_after_a_run_that_loaded_nothing_the_last_load_is_shown_as_such(status: str) -> None:
    journal = [*sample_journal(3), *sample_journal(1, last=status)]
    page = page_of(journal)
    assert "The latest run loaded nothing. This is the last one that did: 2025-03-03" in page.text
    rows = page.rows("Records by table and what became of them")
    assert number(rows["read"][0]) == journal[2]["tables"]["customer_dim"]["rows_read"]


def test_the_error_of_a_failed_run_stands_at_the_top_line_by_line() -> None:
    text = page_of(sample_journal(3, last="failed")).text
    assert "the warehouse cannot be reached: Login timeout expired (HYT00).\nNext: see" in text


def test_a_summary_without_rejects_or_lineage_shows_its_sources_still() -> None:
    entry = sample_journal(1)[0]
    bare = {name: v for name, v in entry.items() if name not in {"rejects", "lineage"}}
    text = page_of([bare]).text
    assert "customers → customer_dim" in text
    assert "The run does not tell its reasons." in text


def test_without_a_run_the_page_says_so() -> None:
    assert "No run has been written down yet" in page_of([]).text


def test_more_runs_than_fit_leave_the_oldest_out_and_say_so() -> None:
    page = page_of([*sample_journal(7), *sample_journal(MOST_RUNS)])
    assert "7 older runs are in the journal alone" in page.text
    assert len(page.tables["The latest runs"] + page.tables["Earlier runs"]) - 2 == MOST_RUNS


# --- what it is made of ----------------------------------------------------------------------


@pytest.mark.parametrize("runs", [0, 1, 30])
def test_the_page_needs_nothing_from_elsewhere(runs: int) -> None:
    text = dashboard(sample_journal(runs))
    page = Page(text)
    assert not re.search(r"https?:|//[a-z]|url\(|@import|src=|<script|\son\w+=", text)
    assert {value[0] for name, value in page.attributes if name == "href"} <= {"#"}
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_links_within_the_page_arrive_and_ids_are_unique() -> None:
    for last in ("success", "failed"):
        page = page_of(sample_journal(1, last=last))
        ids = [value for name, value in page.attributes if name == "id"]
        assert len(ids) == len(set(ids))
        assert {value[1:] for name, value in page.attributes if name == "href"} <= set(ids)


def test_a_reader_who_sees_no_colour_or_no_picture_is_told_as_much() -> None:
    page = page_of(sample_journal(30))
    assert ("lang", "en") in page.attributes
    assert {"h1", "h2", "h3", "th"} <= page.tags
    pictures = [names for tag, names in page.shapes if tag == "svg"]
    assert all({"aria-label", "aria-hidden"} & set(names) for names in pictures)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_colour_has_enough_contrast(scheme: str) -> None:
    light, dark = re.findall(r":root\{([^}]*)\}", STYLE)[:2]
    colours = colours_of(light) | (colours_of(dark) if scheme == "dark" else {})
    pairs = [(ink, back) for ink in ("ink", "soft", "link") for back in ("page", "card")]
    pairs += [(state, "card") for state in ("good", "warn", "bad", "idle")]
    pairs += [("ink", f"{state}-back") for state in ("good", "warn", "bad", "idle")]
    poor = {p for p in pairs if contrast(colours[p[0]], colours[p[1]]) < 4.5}
    assert poor == set()


def colours_of(rules: str) -> dict[str, str]:
    return dict(re.findall(r"--([\w-]+):(#\w+)", rules))


def contrast(first: str, second: str) -> float:
    """The ratio of WCAG 2."""
    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) > 4 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_its_size_is_bounded() -> None:
    assert len(dashboard(sample_journal(MOST_RUNS)).encode()) < 300_000


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
def test_its_size_is_bounded_by_any_text(text: str) -> None:
    assert len(dashboard([hostile_entry(text)] * MOST_RUNS).encode()) < 300_000


def test_the_same_entries_give_the_same_page() -> None:
    assert dashboard(sample_journal(30)) == dashboard(sample_journal(30))


# --- what nobody can make it show ------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
@pytest.mark.parametrize("status", ["attention", "failed", "own"])
def test_text_from_outside_never_becomes_markup(text: str, status: str) -> None:
    entry = hostile_entry(text, status=text if status == "own" else status)
    page = page_of([*sample_journal(3), entry])
    assert page.tags <= TAGS
    assert {name for name, _ in page.attributes} <= ATTRIBUTES
    harmless = page_of([*sample_journal(3), hostile_entry("x", status=entry["status"])])
    skeleton = [shape for shape in page.shapes if shape[0] not in {"bdi", "wbr", "p"}]
    assert set(skeleton) <= set(harmless.shapes)


@pytest.mark.parametrize("text", HOSTILE_TEXTS[:4])
def test_text_from_outside_is_shown_as_it_is(text: str) -> None:
    assert text in page_of([hostile_entry(text)]).text


def test_characters_that_a_browser_would_obey_are_shown_as_escapes() -> None:
    page = dashboard([hostile_entry(HOSTILE_TEXTS[4])])
    assert "\\x00\\x1b[31m\\u202egpj.exe\\u2066 \\ud800 half a pair" in page
    assert not set("\x00\x1b\u202e\u2066\ud800") & set(page)


def test_damaged_entries_never_raise() -> None:
    damaged = damaged_entries()
    for first in range(0, len(damaged), 7):  # one in seven as the latest, of every kind of damage
        dashboard(damaged[first : first + 7])
    assert "unknown" in dashboard([None])  # type: ignore[list-item]  # as a damaged journal has


# --- how it is written -----------------------------------------------------------------------


def test_the_page_is_written_as_utf_8_into_a_folder_that_need_not_exist(tmp_path: Path) -> None:
    path = tmp_path / "output" / "dashboard.html"
    journal = [hostile_entry(HOSTILE_TEXTS[5])]
    write_dashboard(journal, path)
    assert path.read_bytes().decode("utf-8") == dashboard(journal)


def test_a_page_replaces_the_older_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "dashboard.html"
    write_dashboard([], path)
    write_dashboard(sample_journal(2), path)
    assert path.read_text("utf-8") == dashboard(sample_journal(2))
    assert list(tmp_path.iterdir()) == [path]


def test_a_page_that_cannot_be_put_in_place_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "dashboard.html"
    (path / "kept").mkdir(parents=True)  # a folder stands where the page goes
    with pytest.raises(OSError, match="dashboard"):
        write_dashboard([], path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["dashboard.html"]
    assert (path / "kept").exists()


def test_a_write_that_breaks_off_leaves_the_older_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "dashboard.html"
    write_dashboard([], path)

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        write_dashboard(sample_journal(2), path)
    monkeypatch.undo()
    assert path.read_text("utf-8") == dashboard([])
    assert list(tmp_path.iterdir()) == [path]

"""The page over the runs: what it shows, and what nobody can make it show."""

import os
import re
from collections.abc import Sequence
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hostile_entries import HOSTILE_TEXTS, damaged_entries, hostile_entry
from sample_journal import held_back, sample_business, sample_journal, sample_page

import etl.reports.dashboard as dashboard_module
from etl.history.audit import FAILED, KILLED
from etl.reports.dashboard import MOST_RUNS, dashboard, write_dashboard
from etl.reports.samples import Sample

STYLE = Path(dashboard_module.__file__).with_name("templates").joinpath("style.css").read_text()
VOID = {"meta", "br", "wbr"}
# HTML ends these by itself where the next one begins.
CELLS = {"td", "th"}
TAGS = frozenset(
    re.findall(
        r"[\w-]+",
        """
    html head meta title style body main header h1 h2 h3 nav a section p span small svg path rect
    symbol use g code circle dl div dt dd figure figcaption
    ul li b table thead tbody tr th td details summary footer br wbr bdi
    """,
    )
)
ATTRIBUTES = frozenset(
    re.findall(
        r"[\w-]+",
        """
    lang charset name content http-equiv href id class style aria-label aria-labelledby aria-hidden
    role tabindex scope d x y width height cx cy r rx viewbox preserveaspectratio open
    """,
    )
)


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
        self._end_cells(tag)
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
        if tag != self.open[-1]:
            self._end_cells(tag)
        assert self.open.pop() == tag

    def _end_cells(self, tag: str) -> None:
        """End a cell and a row where HTML ends them by itself."""
        if tag in {"td", "th", "tr", "tbody", "table"} and self.open[-1] in CELLS:
            self.open.pop()
        if tag in {"tr", "tbody", "table"} and self.open[-1] == "tr":
            self.open.pop()

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
def test_every_run_is_in_the_list_and_can_be_opened(runs: int) -> None:
    journal = sample_journal(runs)
    text = dashboard(journal)
    opened = re.findall(
        r'<div class="one" tabindex="0" id="(r\d+)">.*?</div>\n</details>', text, re.DOTALL
    )
    assert opened == ["r" + re.sub(r"\D", "", entry["run_id"]) for entry in reversed(journal)]
    lines = re.findall(r'<details class="run"><summary><span>([^<]*)</span>.*?</summary>', text)
    assert lines == [entry["started_at"][:16].replace("T", " ") for entry in reversed(journal)]


def test_an_opened_run_has_the_counts_of_each_table() -> None:
    journal = sample_journal(3)
    entry = journal[1]
    _, _, after = dashboard(journal).partition(f'id="r{re.sub(r"[^0-9]", "", entry["run_id"])}"')
    rows = re.findall(r"<tr><th scope=row>(.*?)\n", after.partition("</table>")[0])
    names = ("read", "inserted", "updated", "unchanged", "rejected", "duplicate")
    assert [row.replace("<wbr>", "") for row in rows] == [
        "<td>".join([table, *(f"{counts[f'rows_{name}']:,}" for name in names)])
        for table, counts in entry["tables"].items()
    ]


def test_a_failed_run_can_be_opened_and_has_its_error() -> None:
    journal = [*sample_journal(2, last="failed"), *sample_journal(3)[2:]]
    run_id = re.sub(r"\D", "", journal[1]["run_id"])
    _, _, after = dashboard(journal).partition(f'id="r{run_id}"')
    assert "Login timeout expired (HYT00)." in after.partition("</details>")[0]


def test_the_counts_of_each_table_are_those_of_the_entry() -> None:
    journal = sample_journal(5)
    text = page_of(journal).text
    for counts in journal[-1]["tables"].values():
        counted = {word: counts[f"rows_{word}"] for word in ("inserted", "updated", "unchanged")}
        counted |= {"rejected": counts["rows_rejected"]}
        counted |= {"duplicate": counts["rows_duplicate"]}
        for word, rows in counted.items():
            assert (f"{rows:,} {word}" in text) == bool(rows)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "Loaded and clean"),
        ({"rejected": 27}, "Loaded, 27 records rejected"),
        ({"rejected": 1}, "Loaded, 1 record rejected"),
        ({"warnings": 2}, "Loaded, but 2 checks with a warning"),
        (
            {"warnings": 2, "rejected": 27},
            "Loaded, but 2 checks with a warning and 27 records rejected",
        ),
        ({"failed": 1}, "Loaded, but 1 check failed"),
        ({"anomalies": 1}, "Loaded, but 1 unusual figure"),
        ({"noted": 3}, "Loaded and clean"),
    ],
)
def test_the_headline_says_what_a_person_must_know(changes: dict[str, int], line: str) -> None:
    entry = clean_entry(**changes)
    page = page_of([entry])
    assert page.text.count(line) >= 1
    assert ("Loaded and clean" in page.text) == (line == "Loaded and clean")
    colour = "warn" if "but" in line else "good"
    assert ("class", f"state {colour}") in page.attributes


def clean_entry(
    *, rejected: int = 0, warnings: int = 0, failed: int = 0, noted: int = 0, anomalies: int = 0
) -> dict[str, Any]:
    entry = sample_journal(1)[0]
    for counts in entry["tables"].values():
        counts["rows_rejected"] = 0
    entry["tables"]["sales_fact"]["rows_rejected"] = rejected
    statuses = ["failed"] * failed + ["warning"] * warnings + ["info"] * noted
    for check, status in zip(entry["quality"]["checks"], statuses, strict=False):
        check["status"] = status
    found = {"type": "volume", "table": "sales_fact", "severity": "warning", "message": "few rows"}
    return entry | {
        "status": "attention" if failed else "success", "rejects": [],
        "anomalies": [found] * anomalies,
    }  # fmt: skip


def test_a_check_that_was_not_judged_does_not_count() -> None:
    entry = clean_entry(noted=3)
    entry["quality"]["checks"][3]["judged"] = False
    entry["quality"]["checks"][4] |= {"judged": False, "status": "warning"}
    text = page_of([entry]).text
    assert "Checks passed4 of 4all of them" in text.replace("\n", "")
    assert "Loaded and clean" in text


def test_a_source_that_was_held_back_shows_its_true_counts_and_its_file() -> None:
    journal = sample_journal(3, last="attention")
    journal[-1] = held_back(journal[-1])
    counts = journal[-1]["tables"]["customer_dim"]
    text = " ".join(page_of(journal).text.split())
    assert "Loaded, but customers held back" in text
    assert "customers → customer_dim held back" in text
    assert f"{counts['rows_rejected']:,} rejected" in text
    assert f"{counts['rows_read'] - counts['rows_rejected']:,} not loaded" in text
    assert f"All of them are in {journal[-1]['sources'][0]['rejected_file']}" in text


def test_a_finding_of_the_gate_names_its_source_once_and_the_way_to_let_it_pass() -> None:
    entry = sample_journal(2, last="attention")[-1]
    source = entry["sources"][0]
    message = "customers held back: no records. Next: look; --accept customers.no_records"
    source |= {"status": "held back", "error": message}
    entry["attention"] = [message]
    text = " ".join(page_of([entry]).text.split())
    assert "customers: customers" not in text
    assert text.count(message) == 2  # at the top, and in the list of runs


def test_what_a_source_was_like_stands_with_its_records() -> None:
    entry = sample_journal(2)[-1]
    entry["sources"][2] |= {
        "skipped": {"cancelled": 1200, "pending": 3}, "found": ["semicolons", "cp1252"],
        "warnings": ["dates without proof of their order"], "unchanged_since": "R7",
    }  # fmt: skip
    text = " ".join(page_of([entry]).text.split())
    assert "Left out for their status: 1,200 cancelled, 3 pending." in text
    assert "Found: semicolons, cp1252." in text
    assert "dates without proof of their order" in text
    assert "The same file as run R7 loaded" in text


def test_a_stage_that_counts_no_records_has_no_speed() -> None:
    text = page_of(sample_journal(5)).text
    assert "Records per second, loading" in text
    assert "Records per second, validation" not in text


def test_a_run_that_read_nothing_does_not_say_that_nobody_knows() -> None:
    assert "unknown read" not in page_of(sample_journal(30)).text


def test_samples_of_rejected_records_stand_with_the_path_of_their_file() -> None:
    sample = Sample("12", "T1", "quantity", "<b>\u202ezero", "no number")
    entry = sample_journal(2)[-1]
    entry["sources"][2]["rejected_file"] = "/out/rejected/sales_1.csv"
    page = Page(dashboard([entry], samples={"sales": [sample]}))
    assert "All of them are in /out/rejected/sales_1.csv" in page.text
    assert page.rows("Rejected records of sales")["12"] == [
        "T1", "quantity", "<b>\\u202ezero", "no number",
    ]  # fmt: skip


def test_one_message_stands_once_where_it_can_be_acted_upon() -> None:
    entry = sample_journal(5, last="attention")[-1]
    message = "products.json is not valid JSON at line 4"
    entry["sources"][1] |= {"status": "failed", "error": message}
    entry |= {"error": message, "attention": [f"products: {message}", *entry["attention"]]}
    text = dashboard([entry])
    top, _, rest = text.partition('id="lineage"')
    _, _, quality = rest.partition('id="quality"')
    failed = [c["message"] for c in entry["quality"]["checks"] if c["status"] == "failed"]
    assert top.count(message) == 1
    assert message not in quality.partition('id="runs"')[0]
    assert [top.count(each) for each in failed] == [0]
    assert [quality.partition('id="runs"')[0].count(each) for each in failed] == [1]


def test_shares_of_checks_are_percentages_and_counts_are_counts() -> None:
    entry = clean_entry(failed=2)
    entry["quality"]["checks"][0] |= {"value": 0.0213, "threshold": 0.005}
    entry["quality"]["checks"][1] |= {"value": 1234, "threshold": 0}
    rows = page_of([entry]).rows("Checks to look at")
    first, second = [cells[2:] for cells in list(rows.values())[1:]]
    assert (first, second) == (["2.1%", "0.5%"], ["1,234", "0"])


def test_with_one_run_there_is_no_chart_of_a_single_dot() -> None:
    page = page_of(sample_journal(1))
    assert not any("curve" in value or value == "dot" for _, value in page.attributes)
    assert page.rows("Where the time went")["loading"][1].endswith("%")


def test_the_figures_of_the_sales_are_those_of_the_warehouse() -> None:
    business = sample_business(date(2025, 3, 29))
    page = Page(dashboard(sample_journal(2), business=business))
    months = page.rows("The months in figures")
    del months["Month"]
    assert months == {
        month.name: [
            f"{month.revenue:,.2f}", f"{month.sales:,}", f"{month.new:,}", f"{month.returning:,}",
        ]
        for month in business.months
    }  # fmt: skip
    for caption, groups in (
        ("Revenue by category", business.categories),
        ("Revenue by customer segment", business.segments),
    ):
        rows = page.rows(caption)
        assert {group.name: rows[group.name][0] for group in groups} == {
            group.name: f"{group.revenue:,.2f}" for group in groups
        }


def test_the_changed_columns_are_those_of_the_entry() -> None:
    journal = sample_journal(5)
    rows = page_of(journal).rows("Changed columns")
    del rows["Column"]
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


def test_lineage_shows_file_size_hash_and_how_its_records_ended() -> None:
    journal = sample_journal(5)
    text = page_of(journal).text
    for traced in journal[-1]["lineage"]:
        counts = journal[-1]["tables"][traced["target"]]
        assert f"{traced['source']} → {traced['target']}" in text
        assert f"{traced['rows']:,} records" in text
        assert f"SHA-256 {traced['sha256'][:12]}…" in text
        assert f"{counts['rows_inserted']:,} inserted" in text


def test_failed_checks_are_in_the_open_and_named_at_the_top() -> None:
    journal = sample_journal(5, last="attention")
    page = page_of(journal)
    failed = [c for c in journal[-1]["quality"]["checks"] if c["status"] == "failed"]
    rows = page.rows("Checks to look at")
    assert {name: cells[1].partition("\n")[0] for name, cells in list(rows.items())[1:]} == {
        check["name"]: f"{check['message']}for example C00417" for check in failed
    }
    (notes,) = re.findall(r'<ul class="notes">(.*?)</ul>', dashboard(journal), re.DOTALL)
    assert all(check["name"] in notes for check in failed)
    assert journal[-1]["anomalies"][0]["message"] in notes


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
    assert f"{journal[2]['tables']['customer_dim']['rows_read']:,} records" in page.text


def test_the_error_of_a_failed_run_stands_at_the_top_line_by_line() -> None:
    text = page_of(sample_journal(3, last="failed")).text
    assert "the warehouse cannot be reached: Login timeout expired (HYT00).\nNext: see" in text


def test_a_summary_without_rejects_or_lineage_shows_its_sources_still() -> None:
    entry = sample_journal(1)[0]
    bare = {name: v for name, v in entry.items() if name not in {"rejects", "lineage"}}
    text = page_of([bare]).text
    assert "customers → customer_dim" in text
    assert "The run does not say why." in text


def test_without_a_run_the_page_says_so() -> None:
    assert "No run has been written down yet" in page_of([]).text


def test_more_runs_than_fit_leave_the_oldest_out_and_say_so() -> None:
    page = page_of([*sample_journal(7), *sample_journal(MOST_RUNS)])
    assert "7 older runs are in the journal alone" in page.text
    assert sum(value == "run" for name, value in page.attributes if name == "class") == MOST_RUNS


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


def test_a_reader_who_sees_no_colour_or_no_picture_learns_as_much() -> None:
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
    assert len(sample_page(MOST_RUNS).encode()) < 500_000


@pytest.mark.parametrize("text", HOSTILE_TEXTS, ids=range(len(HOSTILE_TEXTS)))
def test_its_size_is_bounded_by_any_text(text: str) -> None:
    assert len(dashboard([hostile_entry(text)] * MOST_RUNS).encode()) < 500_000


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

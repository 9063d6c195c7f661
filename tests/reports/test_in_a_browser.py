"""The pages in a real browser: readable by everybody, whole on a phone, quiet."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import ROOT, Browser, axe_core, chromium
from sample_journal import sample_journal, sample_page

from etl.profile.look import profile_file
from etl.profile.report import profile_page
from etl.reports.dashboard import MOST_RUNS
from etl.reports.quality import html_report

CHROMIUM, AXE = chromium(), axe_core()
NO_BROWSER = "needs Chromium: apt-get install chromium"
NO_AXE = "needs axe-core: npm install --no-save axe-core, or AXE_CORE=path of axe.min.js"
SCREENS = [(1200, "light"), (390, "dark")]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert CHROMIUM is not None
    with Browser(CHROMIUM) as browser:
        yield browser


def quality_report() -> str:
    entry = sample_journal(5, last="attention")[-1]
    report = {"run_id": entry["run_id"], "window": entry["window"], **entry["quality"]}
    return html_report({**report, "anomalies": entry["anomalies"]})


def profile() -> str:
    before, after = (
        profile_file(ROOT / "data" / "input" / f"{name}")
        for name in ("products.json", "customers.csv")
    )
    return profile_page(after, before, scores={"validity": 93.0}, broken=[("a is b", 3)])


PAGES = {
    "no run": lambda: sample_page(0),
    "one run": lambda: sample_page(1),
    "30 runs": lambda: sample_page(30, last="held back"),
    "a failed run": lambda: sample_page(30, last="failed"),
    f"{MOST_RUNS} runs": lambda: sample_page(MOST_RUNS),
    "quality report": quality_report,
    "profile": profile,
}


@pytest.fixture(params=PAGES)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    path = tmp_path / "page.html"
    path.write_text(PAGES[request.param](), encoding="utf-8")
    return path.as_uri()


@pytest.mark.skipif(AXE is None, reason=NO_AXE)
@pytest.mark.parametrize(("width", "scheme"), SCREENS)
def test_nobody_is_shut_out(browser: Browser, address: str, width: int, scheme: str) -> None:
    assert AXE is not None
    browser.show(address, width=width, scheme=scheme)
    browser.value("[...document.querySelectorAll('.run, section > details')].slice(0, 30)"
                  ".forEach(each => each.open = true)")  # fmt: skip
    browser.value(AXE.read_text("utf-8") + ";0")
    found: list[dict[str, Any]] = json.loads(
        browser.value("axe.run().then(found => JSON.stringify(found.violations))")
    )
    assert [(each["id"], each["nodes"][0]["html"]) for each in found] == []


@pytest.mark.parametrize("width", [390, 1200])
def test_no_page_is_wider_than_its_screen(browser: Browser, address: str, width: int) -> None:
    browser.show(address, width=width)
    assert browser.value("document.documentElement.scrollWidth") <= width


def test_no_table_scrolls_on_a_wide_screen(browser: Browser, address: str) -> None:
    browser.show(address, width=1200)
    scrolling = browser.value(
        "[...document.querySelectorAll('.scroll')].filter(each => each.scrollWidth > "
        "each.clientWidth).map(each => each.getAttribute('aria-label'))"
    )
    assert scrolling == []


def test_a_page_runs_and_fetches_nothing(browser: Browser, address: str) -> None:
    browser.show(address)
    assert browser.value("document.scripts.length") == 0
    assert browser.value("performance.getEntriesByType('resource').length") == 0
    assert browser.complaints == []


def test_a_link_to_a_run_opens_it(browser: Browser, tmp_path: Path) -> None:
    journal = sample_journal(60)
    (tmp_path / "page.html").write_text(sample_page(60), encoding="utf-8")
    anchor = "r" + "".join(filter(str.isdigit, journal[3]["run_id"]))
    browser.show(f"{(tmp_path / 'page.html').as_uri()}#{anchor}")
    shown = f"document.getElementById('{anchor}').checkVisibility()"
    assert browser.value(shown)


@pytest.mark.parametrize("width", [390, 1200])
def test_a_flow_is_drawn_in_pixels_so_that_its_bands_keep_their_widths(
    browser: Browser, tmp_path: Path, width: int
) -> None:
    (tmp_path / "page.html").write_text(sample_page(5), encoding="utf-8")
    browser.show((tmp_path / "page.html").as_uri(), width=width)
    flows = browser.value(
        "[...document.querySelectorAll('.flow')].map(flow => [flow.viewBox.baseVal.height,"
        " flow.getBoundingClientRect().height, flow.querySelector('path').getScreenCTM().d])"
    )
    assert len(flows) == 3
    for height, drawn, scale in flows:
        assert (drawn, scale) == pytest.approx((height, 1), rel=1e-3)

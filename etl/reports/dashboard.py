"""The page that every run leaves behind: how it went, and how it went before."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from etl.files import write_atomically
from etl.history.summary import RunSummary
from etl.reports.all_runs import list_of_runs, over_time
from etl.reports.one_run import changes, last_load, lineage, quality, rejects, state
from etl.reports.page import NOTHING, Markup, escaped, isolated, joined, page, section
from etl.reports.run_states import outcome_of
from etl.words import count_words, instant_words

# A year of nights and a month; what is older stays in the journal.
DASHBOARD = "dashboard.html"
MOST_RUNS = 400

_TITLE = "Nightly ETL"


def write_dashboard(entries: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Writes the page over a journal of runs, whole or not at all.

    It shows the latest run and what it did, and up to `MOST_RUNS` runs over time. What an entry
    does not tell, or tells in a damaged form, is shown as unknown.

    Args:
        entries: the runs, oldest first: the summary of each, with when it started and finished.
        path: where the page goes; an older page there is replaced.

    Raises:
        OSError: the page cannot be written; the older one is still there.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     page_path = Path(folder, "dashboard.html")
        ...     write_dashboard([{"run_id": "r1", "status": "success"}], page_path)
        ...     "Loaded and clean" in page_path.read_text("utf-8")
        True
    """
    write_atomically(path, dashboard(entries))


def dashboard(entries: Sequence[Mapping[str, Any]]) -> str:
    """The text of the page.

    Args:
        entries: the runs, oldest first.

    Returns:
        The page; the same entries give the same text.
    """
    runs = [RunSummary.from_dict(entry) for entry in entries[-MOST_RUNS:]]
    if not runs:
        nothing = Markup("<p>No run has been written down yet. The next run fills this page.</p>")
        return page(f"{_TITLE}: no runs", joined([_top([]), section("state", "No runs", nothing)]))
    latest = runs[-1]
    title = f"{_TITLE}: {latest.status}, {instant_words(latest.started_at)} UTC"
    parts = [
        state(latest, runs), over_time(runs), *_about_load(runs), list_of_runs(runs),
        _foot(len(entries), runs),
    ]  # fmt: skip
    links = [("over-time", "Over time"), *_LOAD_LINKS, ("runs", "Runs")]
    shown = links if last_load(runs) else [links[0], links[-1]]
    return page(title, joined([_top(shown), *parts], by="\n"))


_LOAD_LINKS = (
    ("changes", "What changed"),
    ("lineage", "Lineage"),
    ("rejects", "Rejects"),
    ("quality", "Quality"),
)


def _about_load(runs: Sequence[RunSummary]) -> list[Markup]:
    loaded = last_load(runs)
    if loaded is None:
        return []
    lead = NOTHING if loaded is runs[-1] else _of_earlier(loaded)
    return [
        changes(loaded, lead), lineage(loaded, lead), rejects(loaded, runs, lead),
        quality(loaded, runs, lead),
    ]  # fmt: skip


def _of_earlier(loaded: RunSummary) -> Markup:
    outcome = outcome_of(loaded.status).headline.lower()
    return Markup(
        "The latest run loaded nothing. This is the last one that did: "
        f"{escaped(instant_words(loaded.started_at))} UTC, {isolated(outcome)}."
    )


def _top(links: Sequence[tuple[str, str]]) -> Markup:
    anchors = joined(
        (Markup(f'<a href="#{name}">{escaped(text)}</a>') for name, text in links), by="\n"
    )
    nav = Markup(f'<nav aria-label="Parts of this page">{anchors}</nav>') if links else NOTHING
    return Markup(f'<header class="top"><h1>{_TITLE}</h1>{nav}</header>')


def _foot(entries: int, runs: Sequence[RunSummary]) -> Markup:
    older = entries - len(runs)
    more = f" {count_words(older)} older runs are in the journal alone." if older else ""
    words = f"All times are UTC. Counts are records unless they say otherwise.{more}"
    return Markup(f"<footer>{escaped(words)}</footer>")

"""The page that every run leaves behind: how it went, and how it went before."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from etl.files import write_atomically
from etl.history.summary import RunSummary
from etl.history.validation import checks_before_loading
from etl.reports import one_run, trends
from etl.reports.business import BUSINESS
from etl.reports.business_charts import Business, business_charts, read_business, shares
from etl.reports.checks import checks_in_words, scores
from etl.reports.headline import Headline, headline
from etl.reports.load_graph import nodes_of, svg
from etl.reports.page import macro, render
from etl.reports.samples import Samples, samples_of

# A year of nights and a month; what is older stays in the journal.
DASHBOARD = "dashboard.html"
MOST_RUNS = 400

REJECTED = "rejected"
NO_SAMPLES: Samples = {}

_RUNS_SHOWN = 20
_LETTERS_SHOWN = 20
# Runs can be opened one by one as long as they fit; the latest come first.
_BYTES_OF_RUNS = 200_000


def write_dashboard(entries: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write the page over a journal of runs, whole or not at all.

    It shows the latest run and what it did, and up to `MOST_RUNS` runs over time. What an entry
    leaves out, or has in a damaged form, is shown as unknown.

    Args:
        entries: the runs, oldest first, as the journal has them.
        path: where the page goes; an older page there is replaced. The figures of the sales and
            the rejected files are read from the same folder.

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
    write_atomically(path, page_of(entries, path.parent))


def page_of(entries: Sequence[Mapping[str, Any]], folder: Path, *, live: bool = False) -> str:
    """Return the text of the page, with what lies beside the journal.

    Args:
        entries: the runs, oldest first.
        folder: of the environment.
        live: it is served, and refreshes by itself.
    """
    runs = _summaries(entries)
    loaded = one_run.last_load(runs)
    samples = samples_of(loaded, folder / REJECTED) if loaded else {}
    business = read_business(folder / BUSINESS)
    return dashboard(entries, business=business, samples=samples, live=live)


def dashboard(
    entries: Sequence[Mapping[str, Any]],
    *,
    business: Business | None = None,
    samples: Samples = NO_SAMPLES,
    live: bool = False,
) -> str:
    """Return the text of the page; the same arguments give the same text.

    Args:
        entries: the runs, oldest first.
        business: figures of the sales.
        samples: some of the rejected records of the latest load, by source.
        live: it is served, and refreshes by itself.
    """
    runs = _summaries(entries)
    if not runs:
        return str(render("no_runs.html", live=live))
    latest, loaded, groups = runs[-1], one_run.last_load(runs), _groups(runs)
    anchors = {row.anchor for group in groups for row in group.rows}
    page = render(
        "dashboard.html",
        live=live,
        latest=latest,
        headline=headline(latest),
        notes=one_run.notes(latest),
        facts=one_run.facts(latest, runs),
        business=business and _business(business),
        loaded=loaded and _loaded(loaded, runs, samples),
        earlier=headline(loaded) if loaded and loaded is not latest else None,
        over_time=trends.over_time(runs, anchors) if len(runs) > 1 else [],
        first=runs[0],
        count=len(runs),
        groups=groups,
        older=len(entries) - len(runs),
    )
    return str(page)


def _summaries(entries: Sequence[object]) -> list[RunSummary]:
    return [RunSummary.from_dict(entry) for entry in entries[-MOST_RUNS:]]


def _business(business: Business) -> dict[str, Any]:
    return {
        "figures": business, "charts": business_charts(business),
        "categories": shares(business.categories), "segments": shares(business.segments),
    }  # fmt: skip


def _loaded(run: RunSummary, runs: trends.Runs, samples: Samples) -> dict[str, Any]:
    """What the page shows of the latest run that loaded something."""
    # what holds a source back stands at the top
    before = checks_in_words([each for each in checks_before_loading(run) if not each.failed])
    return {
        "before": (*before.broken, *before.others), "before_wrong": len(before.broken),
        "run": run, "graph": _graph(run), "routes": one_run.routes(run),
        "columns": one_run.changed_columns(run),
        "reasons": one_run.reasons(run, runs), "rejects": trends.rejects_trend(runs),
        "letters": run.dead_letters[:_LETTERS_SHOWN],
        "samples": _samples(run, samples), "checks": checks_in_words(run.checks),
        "scores": scores(run.scores, run.dimension_scores),
        "trends": trends.quality_trends(run, runs), "stages": one_run.stages(run),
    }  # fmt: skip


def _graph(run: RunSummary) -> Markup | None:
    """The order of the loads, where one waits for another."""
    nodes = nodes_of(run)
    return svg(nodes) if any(node.after for node in nodes) else None


def _samples(run: RunSummary, samples: Samples) -> list[dict[str, Any]]:
    return [
        {"source": each.source, "path": each.rejected_file, "rows": samples.get(each.source, ())}
        for each in run.sources
        if each.rejected_file
    ]


# --- the list of runs ------------------------------------------------------------------------


@dataclass(frozen=True)
class RunRow:
    """A run in the list; `details` is what can be opened, nothing when it did not fit.

    `anchor` is the id of the details, empty when nothing leads there.
    """

    run: RunSummary
    headline: Headline
    details: Markup | None
    anchor: str


@dataclass(frozen=True)
class Group:
    """Runs that stand together: the latest, then a month each."""

    name: str
    rows: tuple[RunRow, ...]

    @property
    def clean(self) -> int:
        """How many of them ended well."""
        return sum(row.run.status == "success" for row in self.rows)


def _groups(runs: trends.Runs) -> list[Group]:
    rows = list(_rows(list(reversed(runs))))
    months: dict[str, list[RunRow]] = {}
    for row in rows[_RUNS_SHOWN:]:
        started = row.run.started_at
        months.setdefault(f"{started:%B %Y}" if started else "Unknown start", []).append(row)
    latest = Group("", tuple(rows[:_RUNS_SHOWN]))
    return [latest, *(Group(name, tuple(of_month)) for name, of_month in months.items())]


def _rows(newest_first: trends.Runs) -> Iterator[RunRow]:
    details_of, room, taken = macro("run_details.html", "details"), _BYTES_OF_RUNS, {""}
    for run in newest_first:
        anchor = trends.anchor(run)
        own = anchor if anchor not in taken else ""
        details = details_of(run, one_run.notes(run), checks_in_words(run.checks).broken, own)
        room -= len(details.encode("utf-8", "backslashreplace"))
        taken.add(anchor)
        fits = room >= 0
        yield RunRow(run, headline(run), details if fits else None, own if fits else "")

"""Histories of runs: whatever the nights brought, the warehouse is what the records say.

A night is one run of the pipeline over what has arrived by then. The histories are drawn; set
HISTORIES=500 to draw so many of each kind, and to shrink those that fail.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import model
import pytest
import record_strategies as records
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from model_runs import (
    BALANCE,
    BESIDE,
    ENVIRONMENT,
    SETTINGS,
    assert_same_tables,
    numbered,
)
from pipeline_runs import (
    ACCEPT_ALL,
    Project,
    Record,
    read_csv,
    reported,
    unchanged,
    write_csv,
)

from etl.history.summary import RunSummary

pytestmark = pytest.mark.usefixtures("every_engine")

HISTORIES = int(os.environ.get("HISTORIES", "0"))
TABLES = {"customers": "customer_dim", "products": "product_dim", "sales": "sales_fact"}
FILES = {
    "customers": "customers.csv",
    "products": "products.json",
    "sales": "sales_transactions.csv",
}
FIRST_ROWS = {"customers": 2, "products": 1, "sales": 2}  # a spreadsheet's rows, a list's places
EVERYTHING = (datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999))

Sources = Mapping[str, Sequence[Record]]
Counted = dict[str, dict[str, int]]


def histories(examples: int) -> settings:
    """So many examples, unless the environment asks for more."""
    return settings(
        max_examples=HISTORIES or examples,
        deadline=None,
        # a history takes too long to be repeated hundreds of times for a smaller one
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if HISTORIES else [])],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


# --- what is drawn -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Night:
    """One run: its arguments, the sources whose file is not there, and how much has arrived."""

    argv: tuple[str, ...] = ()
    missing: frozenset[str] = frozenset()
    percent: tuple[int, int, int] = (100, 100, 100)  # of each source

    def arrived(self, sources: Sources) -> Sources:
        """The records that stand in the files of this night, from the first on."""
        return {
            name: given[: len(given) * percent // 100]
            for (name, given), percent in zip(sources.items(), self.percent, strict=True)
        }


def days() -> SearchStrategy[str]:
    """The days on which most sales lie, and the ends of the calendar."""
    near = st.integers(0, 5).map(lambda n: str(records.FIRST_DAY + timedelta(days=n)))
    return near | near | near | st.sampled_from(("0001-01-01", "2024-01-15", "9999-12-31"))


def requests() -> SearchStrategy[tuple[str, ...]]:
    """What a run may be asked for."""
    one_day = days().map(lambda day: ("--date", day))
    span = st.lists(days(), min_size=2, max_size=2).map(sorted)
    spans = span.map(lambda ends: ("--start-date", ends[0], "--end-date", ends[1]))
    return st.just(()) | st.just(()) | one_day | spans | st.just(("--full-refresh",))


def nights(*, late: bool = False) -> SearchStrategy[Night]:
    """A run, now and then without a file; when `late`, over a part of the records only."""
    some = st.frozensets(st.sampled_from(tuple(TABLES)), min_size=1)
    missing = st.integers(1, 4).flatmap(lambda n: some if n == 4 else st.just(frozenset()))
    percent = st.sampled_from((100, 60, 30) if late else (100,))
    return st.builds(Night, requests(), missing, st.tuples(percent, percent, percent))


@st.composite
def covering(draw: st.DrawFn) -> list[Night]:
    """Up to three spans that hold every day between them, in any order."""
    later_days = st.dates(records.FIRST_DAY + timedelta(days=1), date(2024, 1, 6))
    starts = sorted({date.min, *draw(st.sets(later_days, max_size=2))})
    ends = [start - timedelta(days=1) for start in starts[1:]] + [date.max]
    spans = [
        Night(("--start-date", str(start), "--end-date", str(end)))
        for start, end in zip(starts, ends, strict=True)
    ]
    return draw(st.permutations(spans))


def sources(sales: SearchStrategy[list[dict[str, str]]]) -> SearchStrategy[Sources]:
    """Records of all three sources."""
    return st.fixed_dictionaries(
        {"customers": records.customers(), "products": records.products(), "sales": sales}
    )


# --- what changes in the sources between runs ----------------------------------------------------

ONE_RECORD: dict[str, SearchStrategy[dict[str, Any]]] = {
    "customers": records.customer(),
    "products": records.product(),
    "sales": records.sale(),
}
# The more other rows depend on a column, the more often it is corrected.
CORRECTED = {
    "customers": ("first_name", "email", "phone", "segment", "registration_date"),
    "products": ("cost", "cost", "cost", "price", "category", "quantity"),
    "sales": (
        *["customer_id"] * 4, *["transaction_date"] * 3, *["product_id"] * 3, *["quantity"] * 2,
        "unit_price", "discount_amount", "sales_rep_id", "status",
    ),
}  # fmt: skip
SPOILT = {
    "customers": {"address": "x" * 501},
    "products": {"price": "for free"},
    "sales": {"quantity": "0"},
}
KINDS = (*["corrected"] * 5, "spoilt", "cancelled", "gone", "new")


@st.composite
def changed(draw: st.DrawFn, before: Sources) -> Sources:
    """The sources on another day: corrections, records that come, go, or become bad."""
    after = {name: list(given) for name, given in before.items()}
    for _ in range(draw(st.integers(4, 16))):
        name = draw(st.sampled_from(("sales", "sales", "sales", "customers", "products")))
        _change(draw, name, after[name])
    return after


def _change(draw: st.DrawFn, name: str, given: list[Record]) -> None:
    kind = draw(st.sampled_from(KINDS)) if given else "new"
    fresh = draw(ONE_RECORD[name])
    if kind == "new":
        given.append(fresh)
        return
    place = draw(st.integers(0, len(given) - 1))
    if kind == "corrected":
        column = draw(st.sampled_from(CORRECTED[name]))
        given[place] = {**given[place], column: fresh.get(column)}
    elif kind == "spoilt":
        given[place] = {**given[place], **SPOILT[name]}
    elif kind == "cancelled" and name == "sales":
        given[place] = {**given[place], "status": "cancelled"}
    else:
        del given[place]


# What mends the column that a rejected record names.
MENDED = {
    "customer_id": "C2", "product_id": "P2", "transaction_id": "T3", "quantity": "3",
    "unit_price": "40", "discount_amount": "", "transaction_date": "2024-01-02 09:00",
    "price": "60", "cost": "10",
}  # fmt: skip


@st.composite
def mended(draw: st.DrawFn, path: Path) -> list[dict[str, str]]:
    """The rows of a rejected file after a person has mended some of them."""
    rows = read_csv(path)
    chosen = draw(st.sets(st.integers(0, len(rows) - 1)))
    for place in chosen:
        field = rows[place]["field"]
        rows[place][field] = MENDED.get(field, "mended")
    return rows


# --- runs, and what they must leave --------------------------------------------------------------


def run_pipeline(project: Project, night: Night, arrived: Sources) -> RunSummary:
    """One run of the pipeline; what holds after every run is checked here."""
    project.write(**arrived)
    for name in night.missing:
        (project.input / FILES[name]).unlink()
    summary = project.run(*night.argv, *ACCEPT_ALL)  # what comes and goes is drawn
    exit_code = {0: 0, len(TABLES): 1}.get(len(night.missing), 3)
    assert summary["exit_code"] == exit_code, summary["sources"]
    assert summary["quality"]["passed"], summary["quality"]["checks"]
    return summary


def assert_audited(project: Project) -> None:
    """What the runs say they did adds up, run by run and table by table."""
    accounted = " + ".join(f"rows_{name}" for name in BALANCE[1:])
    assert project.query(f"SELECT * FROM etl_load WHERE rows_read <> {accounted}") == []
    for table in TABLES.values():
        left = "coalesce(sum(rows_inserted + rows_inferred - rows_removed), 0)"
        audited = f"SELECT {left} FROM etl_load WHERE table_name = '{table}'"
        assert project.query(audited) == project.query(f"SELECT count(*) FROM {table}"), table


def rows_of(sources: Sources) -> dict[str, Any]:
    """The records as the model takes them, each with the row in which it stands."""
    return {name: numbered(sources[name], first_row) for name, first_row in FIRST_ROWS.items()}


def noted(night: Night, arrived: Sources) -> None:
    """Writes the night into the report of a failure."""
    note(f"run {' '.join(night.argv) or '(plain)'}, missing: {', '.join(night.missing) or 'none'}")
    for name, source in arrived.items():
        note(f"  {name}: {[dict(record) for record in source]}")


@dataclass(frozen=True)
class Load:
    """What one run has read of one source."""

    run_id: str
    name: str
    window: model.Window
    read: model.Read
    reprocessed: bool
    full_refresh: bool


def as_entered(cell: str) -> str:
    """The text of a cell, without the apostrophes before what a spreadsheet would compute."""
    kept, begins = "", True  # a cell of a sheet begins there, whatever separates its cells
    for character in cell:
        kept += "" if begins and character == "'" else character
        begins = character in ";\t\r\n"
    return kept


class Twin:
    """A project and its model, which are given the same runs."""

    def __init__(self, folder: Path, lag_days: int) -> None:
        self.project = Project(folder, **ENVIRONMENT, WATERMARK_LAG_DAYS=str(lag_days))
        self.model = model.Warehouse()
        self.lag = timedelta(days=lag_days)
        self.watermark: datetime | None = None
        self.loads: list[Load] = []

    def run(self, night: Night, sources: Sources) -> None:
        """Both run; then they must be the same."""
        window = self._window(night.argv)
        summary = run_pipeline(self.project, night, sources)
        given = {
            name: None if name in night.missing else rows for name, rows in rows_of(sources).items()
        }
        counts = self._run_model(given, night, window)
        reads = _reads(given, window)
        self._move_watermark(reads, night, run_id=summary["run_id"])
        self._remember(reads, window, summary)
        self._assert_same(night, window, counts, summary=summary)

    def reprocess(self, rows: Sequence[dict[str, str]]) -> None:
        """Both load the rows of a mended file; then they must be the same."""
        path, name = self.project.folder / "corrected.csv", rows[0]["source"]
        write_csv(path, tuple(rows[0]), rows)
        night = Night(("--reprocess-rejected", str(path)))
        summary = self.project.run(*night.argv)
        assert summary["exit_code"] == 0, summary
        given = [
            (place, {column: as_entered(cell) for column, cell in row.items()})
            for place, row in enumerate(rows, 2)
            if row["error_class"] != "duplicate"
        ]
        wanted = [(place, row) for place, row in given if not self._was_read_since(row)]
        counts = self.model.reprocess(TABLES[name], wanted, SETTINGS)
        self._remember(_reads({name: wanted}, EVERYTHING), EVERYTHING, summary)
        self._assert_same(night, EVERYTHING, _totals([counts]), summary=summary)

    def _was_read_since(self, row: Mapping[str, str]) -> bool:
        """Whether a run after the one that rejected it has read its key.

        It has when it rejected or reprocessed the key, when it looked where the row stands, and
        when it was a full refresh, which decides of all there is.
        """
        name = row["source"]
        key = model.trim(row[model.KEYS[TABLES[name]]])
        present = self.model.tables[TABLES[name]].get(key or "", {"is_inferred": True})
        return any(
            key in load.read.rejected_keys
            or (load.full_refresh and bool(load.read.read))
            or (key in load.read.accepted if load.reprocessed else _covers(load, present))
            for load in self.loads
            if load.name == name and load.run_id > row["run_id"]
        )

    def _remember(
        self, reads: Mapping[str, model.Read], window: model.Window, summary: RunSummary
    ) -> None:
        kind = (summary["mode"] == "reprocess", summary["mode"] == "full_refresh")
        for name, read in reads.items():
            self.loads.append(Load(summary["run_id"], name, window, read, *kind))

    def _window(self, argv: tuple[str, ...]) -> model.Window:
        """Which sales a run takes: its days, or from the watermark less the lag on."""
        if argv[:1] in (("--date",), ("--start-date",)):
            first, last = date.fromisoformat(argv[1]), date.fromisoformat(argv[-1])
            return datetime(first.year, first.month, first.day), _end_of(last)
        if argv or self.watermark is None or self.watermark - EVERYTHING[0] < self.lag:
            return EVERYTHING
        return self.watermark - self.lag, EVERYTHING[1]

    def _run_model(self, given: Mapping[str, Any], night: Night, window: model.Window) -> Counted:
        """Source by source, as a run commits them; a full refresh as one."""
        full_refresh = night.argv == ("--full-refresh",)
        return _totals(
            self.model.run(
                **{name: rows if name in names else None for name, rows in given.items()},
                settings=SETTINGS,
                window=window,
                full_refresh=full_refresh,
            )
            for names in ([list(given)] if full_refresh else [[name] for name in given])
        )

    def _move_watermark(
        self, reads: Mapping[str, model.Read], night: Night, *, run_id: str
    ) -> None:
        """To the latest sale, up to its start, that a plain run or a full refresh has read."""
        if "sales" not in reads or night.argv not in ((), ("--full-refresh",)):
            return
        started = self._history(run_id, "started_at")[0]
        dates = [sale["transaction_date"] for sale in reads["sales"].accepted.values()]
        reached = [moment for moment in dates if moment <= started]
        self.watermark = max([*reached, *filter(None, [self.watermark])], default=None)

    def _history(self, run_id: str, columns: str) -> tuple[Any, ...]:
        return self.project.query(f"SELECT {columns} FROM etl_run WHERE run_id = '{run_id}'")[0]

    def _assert_same(
        self, night: Night, window: model.Window, counts: Counted, *, summary: RunSummary
    ) -> None:
        assert_same_tables(self.project.tables(), self.model.final_tables())
        assert self._history(summary["run_id"], "window_start, window_end") == window
        compared = [*BALANCE, *BESIDE]
        if night.argv != ("--full-refresh",):  # there a row may be restated on the way and removed
            compared.append("restated")
        columns = ", ".join(f"rows_{name}" for name in compared)
        rows = self.project.query(
            f"SELECT table_name, {columns} FROM etl_load WHERE run_id = '{summary['run_id']}'"
        )
        loads = {table: dict(zip(compared, found, strict=True)) for table, *found in rows}
        for table, expected in counts.items():
            found = loads.get(table, dict.fromkeys(compared, 0))
            assert found == {name: expected[name] for name in compared}, table
            assert summary["column_changes"].get(table, {}) == expected["column_changes"], table


def _covers(load: Load, row: model.Row) -> bool:
    """Whether the load of a whole source took in the place of a row."""
    if load.name == "sales":
        moment = row.get("transaction_date")
        return bool(load.read.read and moment and load.window[0] <= moment <= load.window[1])
    return bool(load.read.read and not row["is_inferred"])


def _end_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 23, 59, 59, 999999)


def _reads(given: Mapping[str, Any], window: model.Window) -> dict[str, model.Read]:
    """What the model reads of the sources that are there."""
    readers = {
        "customers": lambda rows: model.read_customers(rows, SETTINGS),
        "products": lambda rows: model.read_products(rows, SETTINGS),
        "sales": lambda rows: model.read_sales(rows, SETTINGS, window),
    }
    return {name: readers[name](rows) for name, rows in given.items() if rows is not None}


def _totals(loads: Iterable[Mapping[str, model.Counts]]) -> Counted:
    """The counts of several loads, table by table."""
    totals = {table: model.Counts() for table in TABLES.values()}
    for counts in loads:
        totals = {table: _sum(total, counts[table]) for table, total in totals.items()}
    return {table: asdict(total) for table, total in totals.items()}


def _sum(first: model.Counts, second: model.Counts) -> model.Counts:
    """Both together; a run loads a table once, so only one of them has changes of columns."""
    numbers = {
        field.name: getattr(first, field.name) + getattr(second, field.name)
        for field in fields(model.Counts)
        if field.name != "column_changes"
    }
    changes = first.column_changes or second.column_changes
    return model.Counts(**numbers, column_changes=changes)


# --- the same records ----------------------------------------------------------------------------


def assert_like_one_full_refresh(project: Project, folder: Path, given: Sources) -> None:
    """The tables are those of a new project that has loaded everything at once."""
    assert_audited(project)
    fresh = Project(folder, **ENVIRONMENT)
    run_pipeline(fresh, Night(("--full-refresh",)), given)
    expected = model.Warehouse()
    expected.run(**rows_of(given), settings=SETTINGS, full_refresh=True)
    assert_same_tables(fresh.tables(), expected.final_tables())
    assert_same_tables(project.tables(), expected.final_tables())


@histories(2)
@given(st.data())
def test_runs_in_any_order_over_the_same_records_end_like_one_full_refresh(
    data: st.DataObject,
) -> None:
    given = data.draw(sources(records.unique_sales()))
    lag = data.draw(st.sampled_from((0, 1, 3, 3650)))
    early = data.draw(st.lists(nights(late=True), max_size=4))
    with TemporaryDirectory() as folder:
        project = Project(Path(folder, "runs"), **ENVIRONMENT, WATERMARK_LAG_DAYS=str(lag))
        for night in [*early, *data.draw(covering())]:
            noted(night, night.arrived(given))
            run_pipeline(project, night, night.arrived(given))
        assert_like_one_full_refresh(project, Path(folder, "fresh"), given)


@histories(2)
@given(st.data())
def test_plain_runs_miss_no_sale_that_is_late_by_at_most_the_lag(data: st.DataObject) -> None:
    """Night by night, each sale arrives with its own delay; the last nights bring the rest."""
    given = data.draw(sources(records.unique_sales()))
    moments = data.draw(st.lists(records.sale_dates(), min_size=25, max_size=25))
    sales = [
        {**sale, "transaction_date": moment}
        for sale, moment in zip(given["sales"], moments, strict=False)
    ]
    lag = data.draw(st.integers(0, 2))
    delays = data.draw(st.lists(st.integers(0, lag), min_size=25, max_size=25))
    with TemporaryDirectory() as folder:
        project = Project(Path(folder, "runs"), **ENVIRONMENT, WATERMARK_LAG_DAYS=str(lag))
        for today in range(5 + lag):
            arrived = [
                sale
                for sale, delay in zip(sales, delays, strict=False)
                if _day_number(sale) + delay <= today
            ]
            missing = data.draw(nights()).missing if today < 4 + lag else frozenset()
            night = Night((), missing - {"customers", "products"})
            noted(night, {**given, "sales": arrived})
            run_pipeline(project, night, {**given, "sales": arrived})
        assert_like_one_full_refresh(project, Path(folder, "fresh"), {**given, "sales": sales})


def _day_number(sale: Record) -> int:
    moment = model.read_timestamp(sale["transaction_date"])
    assert moment is not None
    return (moment.date() - records.FIRST_DAY).days


# --- records that change -------------------------------------------------------------------------


@histories(3)
@given(st.data())
def test_after_each_run_over_changing_records_the_warehouse_is_the_model(
    data: st.DataObject,
) -> None:
    given = data.draw(sources(records.unique_sales() | records.unique_sales() | records.sales()))
    with TemporaryDirectory() as folder:
        twin = Twin(Path(folder), lag_days=data.draw(st.sampled_from((0, 3, 3650, 3650))))
        noted(Night(), given)
        twin.run(Night(), given)
        for _ in range(data.draw(st.integers(1, 4))):
            given = data.draw(changed(given))
            rejected = sorted((twin.project.output / "rejected").glob("*.csv"))
            if rejected and not data.draw(st.integers(0, 2)):
                rows = data.draw(mended(data.draw(st.sampled_from(rejected))))
                note(f"reprocess {rows}")
                twin.reprocess(rows)
                continue
            night = data.draw(nights())
            noted(night, given)
            twin.run(night, given)
        assert_audited(twin.project)


# --- what such histories have brought to light ---------------------------------------------------

SALE = {
    "transaction_id": "T1", "customer_id": "C1", "product_id": "P1", "quantity": "1",
    "unit_price": "10", "transaction_date": "2024-01-01",
}  # fmt: skip


def run_twice(folder: Path, first: Sources, second: Sources) -> Twin:
    """Two plain runs, each compared with the model."""
    twin = Twin(folder, lag_days=3)
    for night_sources in (first, second):
        twin.run(Night(), night_sources)
    return twin


def with_sales(*sales: Record) -> Sources:
    return {"customers": [], "products": [], "sales": sales}


def test_a_first_sale_whose_quantity_is_corrected_stays_the_first(tmp_path: Path) -> None:
    later = {**SALE, "transaction_id": "T2", "transaction_date": "2024-01-02"}
    run_twice(tmp_path, with_sales(SALE, later), with_sales({**SALE, "quantity": "2"}, later))


@histories(3)
@given(st.data())
def test_histories_end_the_same_with_and_without_skipping(data: st.DataObject) -> None:
    given_sources: Sources = data.draw(sources(records.sales()))
    with TemporaryDirectory() as a, TemporaryDirectory() as b:
        skipping, loading = (Project(Path(folder), **ENVIRONMENT) for folder in (a, b))
        for _ in range(4):
            night: Night = data.draw(nights())
            if data.draw(st.booleans()):
                given_sources = data.draw(changed(given_sources))
            noted(night, given_sources)
            found = run_pipeline(skipping, night, given_sources)
            without = Night((*night.argv, "--no-skip"), night.missing, night.percent)
            wanted = run_pipeline(loading, without, given_sources)
            note(f"skipped: {unchanged(found)}")
            assert reported(found, skipping) == reported(wanted, loading)
            assert skipping.tables() == loading.tables()
            for audit in ("etl_read_key", "etl_watermark", "etl_setting"):
                assert _without_run(skipping, audit) == _without_run(loading, audit)


def _without_run(project: Project, table: str) -> list[tuple[Any, ...]]:
    columns = {
        "etl_read_key": "table_name, record_key",
        "etl_watermark": "table_name, watermark",
        "etl_setting": "table_name, setting, value",
    }[table]
    return sorted(project.query(f"SELECT {columns} FROM {table}"), key=repr)

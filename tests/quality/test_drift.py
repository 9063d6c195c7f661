"""A night whose records are distributed otherwise is reported, ordinary nights are not."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from engines import Engine
from hypothesis import given, settings
from hypothesis import strategies as st
from pipeline_runs import Project

from etl.history.sketches import VALUES, Sketch, Sketching, distance, mean_of
from etl.quality import drift
from etl.quality.drift import drifted
from etl.schema.table import Column, Kind, Table

SALES = Table(
    "sale", "", ("id",),
    (
        Column("id", "", Kind.TEXT, width=9),
        Column("price", "", Kind.DECIMAL, precision=12, scale=2),
        Column("pieces", "", Kind.INTEGER),
        Column("status", "", Kind.TEXT, width=20),
        Column("email", "", Kind.TEXT, width=50),
        Column("rated", "", Kind.BOOLEAN),
    ),
)  # fmt: skip
LIMIT = 0.25


def drawn(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311  # the same nights each time


def night(source: random.Random, number: int, **shifted: Any) -> dict[str, Sketch]:
    """The sales of a night: fewer on weekends, and other ones; prices that grow slowly."""
    weekend = number % 7 in (5, 6)
    rows = source.randint(8, 60) if weekend else source.randint(60, 400)
    growth, statuses = 1 + number / 400, ["paid", "open", "sent", "sent", "sent"]
    columns: dict[str, list[Any]] = {
        "id": [f"S{number}-{row}" for row in range(rows)],
        "price": [round(source.lognormvariate(3.2 if weekend else 3, 1) * growth, 2)
                  for _ in range(rows)],
        "pieces": [source.choice([1, 1, 1, 2, 2, 3]) for _ in range(rows)],
        "status": [source.choice(statuses) for _ in range(rows)],
        "email": [f"{'x' * source.randint(4, 12)}@x.org" if source.random() > 0.1 else None
                  for _ in range(rows)],
        "rated": [source.random() < 0.5 for _ in range(rows)],
    }  # fmt: skip
    columns |= {name: [change(v) for v in columns[name]] for name, change in shifted.items()}
    schema = pa.schema([("id", pa.string()), ("price", pa.float64()), ("pieces", pa.int32()),
                        ("status", pa.string()), ("email", pa.string()),
                        ("rated", pa.bool_())])  # fmt: skip
    counted = Sketching(SALES)
    counted.look(pa.RecordBatch.from_pydict(columns, schema=schema))
    return counted.sketches


def nights(seed: int, count: int = 60) -> Iterator[dict[str, Sketch]]:
    source = drawn(seed)
    return (night(source, number) for number in range(count))


def alerts(now: dict[str, Sketch], earlier: list[dict[str, Sketch]]) -> list[str]:
    return [
        name for name, sketch in now.items()
        if drifted(sketch, [each[name] for each in earlier if name in each][-30:], LIMIT)
    ]  # fmt: skip


@pytest.mark.parametrize("seed", range(5))
def test_sixty_ordinary_nights_raise_no_alert(seed: int) -> None:
    earlier: list[dict[str, Sketch]] = []
    for number, now in enumerate(nights(seed)):
        assert alerts(now, earlier) == [], number
        earlier.append(now)


@pytest.mark.parametrize(
    ("column", "change"),
    [
        ("price", lambda value: value * 100),  # cents in place of euros
        ("price", lambda value: -value),
        ("pieces", lambda value: 0),
        ("status", lambda value: "open"),
        ("status", lambda value: value.upper()),
        ("email", lambda value: None),
        ("email", lambda value: "none"),
        ("rated", lambda value: True),
    ],
)
def test_a_shifted_night_raises_an_alert_for_its_column_alone(column: str, change: Any) -> None:
    earlier = list(nights(7, 30))
    shifted = night(drawn(8), 30, **{column: change})
    assert alerts(shifted, earlier) == [column]


def test_a_shift_that_was_seen_twice_before_is_a_pattern() -> None:
    source = drawn(9)
    earlier = [
        night(source, 7 * n, **({"pieces": lambda value: 9} if n % 5 == 0 else {}))
        for n in range(20)
    ]
    assert alerts(night(source, 140, pieces=lambda value: 9), earlier) == []


def test_before_a_week_of_runs_nothing_is_said() -> None:
    earlier = list(nights(3, 6))
    assert alerts(night(drawn(1), 6, status=lambda value: "gone"), earlier) == []


def test_how_a_large_block_is_sampled_does_not_depend_on_chance() -> None:
    numbers = pa.array(range(50_000), pa.int32())
    names = pa.array(["x"] * 50_000)
    block = pa.record_batch({"id": names, "price": numbers, "pieces": numbers, "status": names,
                             "email": names, "rated": pa.array([True] * 50_000)})  # fmt: skip
    found = [Sketching(SALES) for _ in range(2)]
    for each in found:
        each.look(block)
    assert found[0].sketches == found[1].sketches
    assert found[0].sketches["pieces"].rows == 2000


@settings(max_examples=30)
@given(
    one=st.dictionaries(st.sampled_from("abc"), st.integers(1, 9), min_size=1),
    other=st.dictionaries(st.sampled_from("abc"), st.integers(1, 9), min_size=1),
)
def test_a_distance_is_one_and_lies_between_nothing_and_all(
    one: dict[str, int], other: dict[str, int]
) -> None:
    a, b = (Sketch(VALUES, sum(bins.values()), 0, bins) for bins in (one, other))
    assert distance(a, b) == pytest.approx(distance(b, a))
    assert 0 <= distance(a, b) <= 1 and distance(a, a) == 0
    assert distance(mean_of([a, a]), a) == pytest.approx(0, abs=1e-5)


# --- in a run ---------------------------------------------------------------------------------


def _customers(segment: str, email: str, start: int) -> list[dict[str, str | None]]:
    return [
        {"customer_id": f"C{start + n}", "first_name": "Ann", "last_name": "Lee",
         "email": email and f"{email}{n}@x.org", "segment": segment}
        for n in range(60)
    ]  # fmt: skip


def test_runs_keep_how_their_records_are_distributed_and_report_a_change(
    tmp_path: Path, every_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "MIN_RUNS", 2)
    project = Project(tmp_path)
    for start in (0, 100):
        project.write(customers=_customers("Basic", "ann", start))
        summary = project.run()
        assert [a.kind for a in summary.anomalies if a.kind == "distribution"] == []
    project.write(customers=_customers("Gold", "ann", 200))
    found = [a for a in project.run().anomalies if a.kind == "distribution"]
    assert {(a.table, a.details["metric"], a.severity) for a in found} >= {
        ("customer_dim", "source_segment", "critical")
    }
    (message,) = (a.message for a in found if a.details["metric"] == "source_segment")
    assert message == (
        "customer_dim.source_segment: 100% of the values lie elsewhere than in the 2 runs before"
    )
    kept = project.query('SELECT count(DISTINCT "run_id") FROM "etl_distribution"')
    assert kept == [(3,)]


def test_old_distributions_are_forgotten_and_none_are_kept_where_nothing_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path)
    project.write(customers=_customers("Basic", "ann", 0))
    project.run()
    monkeypatch.setattr(drift, "KEPT_DAYS", 0)
    project.write(customers=_customers("Basic", "ann", 100))
    newest = project.run()["run_id"]
    assert project.query('SELECT DISTINCT "run_id" FROM "etl_distribution"') == [(newest,)]
    off = Project(tmp_path / "off", MAX_DRIFT="0")
    off.write(customers=_customers("Basic", "ann", 0))
    off.run()
    assert off.query('SELECT count(*) FROM "etl_distribution"') == [(0,)]

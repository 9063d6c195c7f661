"""Which loads work when: against one that takes them one after the other, by a clock of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.pipeline.schedule import Planned, lacking, run_in_order, waiting_for
from etl.schema.star import STAR_TABLES
from etl.warehouse.claims import Claim, claim_of

TABLES = "abcd"


@dataclass(frozen=True)
class Job:
    """A load of the tests: what it waits for and needs, touches, how long it takes, if it fails."""

    name: str
    after: tuple[str, ...]
    needs: tuple[str, ...]
    claim: Claim
    seconds: int
    fails: bool

    @property
    def planned(self) -> Planned:
        return Planned(self.name, self.after, self.claim)


@st.composite
def graphs(draw: st.DrawFn) -> list[Job]:
    jobs: list[Job] = []
    names = st.frozensets(st.sampled_from(TABLES), max_size=2)
    for number in range(draw(st.integers(1, 9))):
        earlier = [job.name for job in jobs]
        after = draw(st.sets(st.sampled_from(earlier), max_size=3)) if earlier else set()
        needs = draw(st.sets(st.sampled_from(sorted(after)))) if after else set()
        own = f"table{number}"
        claim = Claim(draw(names) | {own}, draw(names))
        jobs.append(Job(f"job{number}", tuple(sorted(after)), tuple(sorted(needs)), claim,
                        draw(st.integers(1, 5)), draw(st.booleans())))  # fmt: skip
    return jobs


def one_by_one(jobs: Sequence[Job]) -> dict[str, str]:
    """How they fare in their order: the slow and obvious way."""
    fared: dict[str, str] = {}
    for job in jobs:
        if any(fared[name] != "loaded" for name in job.needs):
            fared[job.name] = "skipped"
        else:
            fared[job.name] = "failed" if job.fails else "loaded"
    return fared


def disturbs(one: Job, other: Job) -> bool:
    """Whether a job may write what the other one writes or reads."""
    return any(t in other.claim.writes or t in other.claim.reads for t in one.claim.writes)


@dataclass
class Clock:
    """Does jobs by a clock that jumps to the next end, and looks that none disturbs another."""

    jobs: Mapping[str, Job]
    most: int
    now: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    fared: dict[str, str] = field(default_factory=dict)
    together: int = 0

    def begin(self, name: str) -> None:
        job = self.jobs[name]
        assert {*job.after} <= self.fared.keys(), "begun before what it refers to was over"
        for other in self.ends:
            assert not disturbs(job, self.jobs[other]) and not disturbs(self.jobs[other], job)
        self.ends[name] = self.now + job.seconds
        self.together = max(self.together, len(self.ends))
        assert len(self.ends) <= self.most

    def next_end(self) -> str:
        name = min(self.ends, key=lambda each: (self.ends[each], each))
        self.now = self.ends.pop(name)
        self.fared[name] = self._outcome(self.jobs[name])
        return name

    def _outcome(self, job: Job) -> str:
        if lacking(job.needs, {n: status == "loaded" for n, status in self.fared.items()}):
            return "skipped"
        return "failed" if job.fails else "loaded"


@settings(max_examples=60)
@given(graphs(), st.integers(1, 5))
def test_any_graph_fares_as_one_by_one(jobs: list[Job], most: int) -> None:
    clock = Clock({job.name: job for job in jobs}, most)
    waits = waiting_for([job.planned for job in jobs])
    reported = list(run_in_order(waits, clock, most))
    assert clock.fared == one_by_one(jobs)
    assert reported == [job.name for job in jobs]
    # nobody idles: as many work as may, or all that are left wait for one that works
    assert clock.now <= sum(job.seconds for job in jobs)
    if most == 1:
        assert clock.now == sum(job.seconds for job in jobs)


def job(name: str, *after: str, seconds: int = 1) -> Job:
    return Job(name, after, after, Claim(frozenset({name})), seconds, fails=False)


def test_what_knows_nothing_of_each_other_works_at_once() -> None:
    jobs = [job("a", seconds=4), job("b"), job("c", "b"), job("d", "c")]
    clock = Clock({each.name: each for each in jobs}, most=2)
    reported = list(run_in_order(waiting_for([each.planned for each in jobs]), clock, 2))
    assert (clock.now, clock.together) == (4, 2)
    assert list(clock.fared) == ["b", "c", "d", "a"]
    assert reported == ["a", "b", "c", "d"]


def test_an_error_of_the_run_itself_ends_it() -> None:
    class Broken(Clock):
        def next_end(self) -> str:
            raise KeyboardInterrupt

    broken = Broken({"a": job("a"), "b": job("b")}, most=1)
    with pytest.raises(KeyboardInterrupt):
        list(run_in_order({"a": [], "b": []}, broken, 1))
    assert list(broken.ends) == ["a"]


def test_loads_of_the_star_wait_for_what_they_write_too() -> None:
    claims = {table.name: claim_of(table, STAR_TABLES) for table in STAR_TABLES}
    customers, products, sales = claims.values()
    assert sales.writes == {"sales_fact", "customer_dim", "product_dim"}
    assert customers.excludes(sales) and products.excludes(sales)
    assert products.writes == {"product_dim", "sales_fact"}  # whose profit it restates
    assert not customers.excludes(products)

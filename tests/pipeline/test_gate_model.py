"""What the gate finds, beside a slow model over the records themselves."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from gate_records import Sources, drawn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pipeline_runs import ACCEPT_ALL, Project, Record

JANUARY = ("--start-date", "2024-01-01", "--end-date", "2024-01-31")
NAMES = ("customers", "products", "sales")
KEYS = {"customers": "customer_id", "products": "product_id", "sales": "transaction_id"}
PARENTS = {"customer_id": "customers", "product_id": "products"}


@dataclass(frozen=True)
class Before:
    """What the first load has left: its records by source, and the keys with a placeholder."""

    records: Mapping[str, Sequence[Record]]

    def known(self, source: str) -> set[str | None]:
        """The keys of a dimension's table."""
        column = KEYS[source]
        named = {sale[column] for sale in by_key("sales", self.records["sales"]).values()}
        return {*by_key(source, self.records[source]), *named}


def by_key(source: str, records: Sequence[Record]) -> dict[str | None, Record]:
    """The records that are accepted: the last of each key."""
    return {each[KEYS[source]]: each for each in records if each[KEYS[source]]}


def judged(before: Before, now: Mapping[str, Sequence[Record]], *, whole: bool) -> list[str]:
    """The full names of what is to be found, in the order of the sources."""
    found: list[str] = []
    passed: dict[str, set[str | None]] = {}
    for source in NAMES:
        names = [*of_one(source, before.records[source], now[source], whole=whole)]
        if source == "sales":
            names += of_keys(before, now["sales"], passed)
        if not names:
            passed[source] = {*by_key(source, now[source])}
        found += [f"{source}.{name}" for name in names]
    return found


def of_one(
    source: str, loaded: Sequence[Record], records: Sequence[Record], *, whole: bool
) -> Iterator[str]:
    """What is found in the records of a source alone, beside those loaded before."""
    good, rows = by_key(source, records), by_key(source, loaded)
    faulty = sum(not each[KEYS[source]] for each in records)
    others = sum(each != good[key] for each in records if (key := each[KEYS[source]]))
    if faulty > 0.1 * len(records):
        yield "reject_rate"
    elif faulty + others > 0.1 * len(records):
        yield "conflicting_duplicates"
    if not records and loaded:
        yield "no_records"
    if source != "sales" and 0 < len(records) < 0.5 * len(loaded):
        yield "fewer_records"
    if whole and len(rows.keys() - good.keys()) > 0.2 * len(rows):
        yield "removed_rows"
    if lost_phone(rows.values(), good.values()):
        yield "empty_column"


def lost_phone(rows: Collection[Record], good: Collection[Record]) -> bool:
    had = sum(bool(each.get("phone")) for each in rows)
    return bool(good) and 2 * had > len(rows) and not any(each.get("phone") for each in good)


def of_keys(
    before: Before, records: Sequence[Record], passed: Mapping[str, set[str | None]]
) -> Iterator[str]:
    """What is found in the keys that the sales name."""
    accepted = by_key("sales", records).values()
    known = {name: before.known(name) | passed.get(name, set()) for name in PARENTS.values()}
    is_first = not before.records["sales"]
    needing = [s for s in accepted if any(s[c] not in known[p] for c, p in PARENTS.items())]
    if not is_first and len(needing) > 0.25 * len(accepted):
        yield "placeholders"


def found_by(project: Project, argv: Sequence[str]) -> list[str]:
    sources = project.run(*argv)["sources"]
    return [f"{s['source']}.{finding['name']}" for s in sources for finding in s["findings"]]


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(drawn(9), drawn(9), st.sampled_from((JANUARY, ("--full-refresh",))))
def test_the_gate_finds_what_the_model_finds(
    first: Sources, second: Sources, argv: Sequence[str]
) -> None:
    with TemporaryDirectory() as folder:
        project = Project(Path(folder), LOG_LEVEL="CRITICAL")
        project.write(*first)
        project.run("--full-refresh", *ACCEPT_ALL)
        project.write(*second)
        before = Before(dict(zip(NAMES, first, strict=True)))
        now = dict(zip(NAMES, second, strict=True))
        expected = judged(before, now, whole=argv != JANUARY)
        assert found_by(project, (*argv, "--dry-run")) == expected
        assert found_by(project, argv) == expected

"""Hostile input: whatever stands in the three files, a run ends, adds up and says what is wrong.

HOSTILE=2000 in the environment sets the number of examples per property.
"""

import csv
import io
import json
import logging
import os
import signal
import sys
import traceback
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from model import NULL_WORDS, visible
from pipeline_runs import Project, Record, command, write_customers, write_sales

from etl.engines.database import DatabaseManager
from etl.engines.engine import Access
from etl.errors import ExtractionError, HeldBackError, ValidationError
from etl.rules import values as value_rules
from etl.rules.blocks import Block
from etl.rules.customers import transform_customers
from etl.rules.products import transform_products
from etl.rules.sales import transform_sales
from etl.schema.source_columns import CUSTOMER_COLUMNS, SALES_COLUMNS
from etl.schema.star import STAR_TABLES
from etl.sources.customers import read_customers
from etl.sources.products import read_products
from etl.sources.sales import read_sales
from etl.sources.window import EVERYTHING

EXAMPLES = int(os.environ.get("HOSTILE", "0"))
# A run of these small files takes a fifth of a second; this is what a busy machine may add.
TIME_LIMIT_S = 30
LONGEST_LINE = 2_000  # characters that one message may put on the console
LONGEST_FILE = 2 * 2**20

SOURCES = {
    "customers": "customers.csv",
    "products": "products.json",
    "sales": "sales_transactions.csv",
}
Files = Mapping[str, bytes]
Bytes = SearchStrategy[bytes]
Texts = SearchStrategy[str]


def examples(usual: int) -> settings:
    return settings(
        max_examples=EXAMPLES or usual,
        deadline=None,  # `time_limit` ends what hangs; the deadline only looks afterwards
        # a run takes too long to be repeated hundreds of times for the sake of a smaller example
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


# --- what a run may and may not do ---------------------------------------------------------


class Hang(BaseException):
    """Nothing that the pipeline catches as the failure of one source."""


@contextmanager
def time_limit(seconds: int = TIME_LIMIT_S) -> Iterator[None]:
    """Fails what takes longer, with what each thread was doing."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    except Hang:
        frames = sys._current_frames().values()
        stacks = ["".join(traceback.format_stack(frame)[-8:]) for frame in frames]
        pytest.fail(f"still at work after {seconds} s\n" + "\n---\n".join(stacks), pytrace=False)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def is_clear(error: BaseException) -> bool:
    """Whether a source failed for a reason that the pipeline itself has found and put in words.

    Exactly these classes: a file that cannot be read, one of another shape, and one of which too
    much is rejected. A `LoadingError` would say that the counts do not add up, and every other
    class is somebody else's: an ArrowInvalid, UnicodeError, KeyError, duckdb.Error, OverflowError,
    RecursionError or MemoryError says nothing to the person who has to mend the file. The engine's
    own errors can hide in one sentence, which blames the query for what stands in the file.
    """
    known = type(error) in {ExtractionError, ValidationError, HeldBackError}
    return known and "the sales query failed" not in str(error) and "Next: " in str(error)


class Errors(logging.Handler):
    """Keeps the exceptions that are logged."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1]:
            self.found.append(record.exc_info[1])


@contextmanager
def watched() -> Iterator[list[BaseException]]:
    """Watches the time and collects the errors; those that are not reported fail."""
    errors = Errors()
    logging.getLogger().addHandler(errors)
    try:
        with time_limit():
            yield errors.found
    finally:
        logging.getLogger().removeHandler(errors)
    for error in errors.found:
        assert is_clear(error), "".join(traceback.format_exception(error))


def put(project: Project, files: Files) -> None:
    for source, content in files.items():
        (project.input / SOURCES[source]).write_bytes(content)


@dataclass(frozen=True)
class Ended:
    """A run that has kept the promises which hold for every run, and what it left."""

    summary: Mapping[str, Any]
    tables: Mapping[str, list[tuple[Any, ...]]]


def run(project: Project, *argv: str) -> Ended:
    with watched() as errors:
        summary = project.run(*argv)
    failed = [source for source in summary["sources"] if source["status"] != "loaded"]
    assert summary["quality"]["passed"], summary["quality"]
    assert len(errors) == len(failed)
    assert summary["exit_code"] == EXIT_CODES[len(failed)]
    for source in summary["sources"]:
        counts = summary["tables"][source["table"]]
        assert_balanced(counts)
        assert rejected_rows(source) == counts["rows_rejected"] + counts["rows_duplicate"]
    assert not list(project.output.rglob("*.part"))
    return Ended(summary, recorded(project, summary))


EXIT_CODES = {0: 0, 1: 3, 2: 3, 3: 1}  # by the number of sources that failed


FATES = ("inserted", "updated", "unchanged", "rejected", "duplicate")


def assert_balanced(counts: Mapping[str, Any]) -> None:
    assert counts["rows_read"] == sum(counts[f"rows_{fate}"] for fate in (*FATES, "not_loaded"))
    assert all(count >= 0 for count in counts.values())


def rejected_rows(source: Mapping[str, Any]) -> int:
    if not source["rejected_file"]:
        return 0
    limit = csv.field_size_limit(LONGEST_FILE * 6)  # a byte may have become an escape
    try:
        with Path(source["rejected_file"]).open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file, strict=True))
    finally:
        csv.field_size_limit(limit)
    assert {len(row) for row in rows} == {len(rows[0])}
    return len(rows) - 1


def recorded(project: Project, summary: Mapping[str, Any]) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the star schema; the history beside them says what the summary says."""
    sums = " + ".join(f"rows_{fate}" for fate in FATES)
    with DatabaseManager(f"duckdb:///{project.warehouse}", access=Access(read_only=True)) as db:
        loads = db.query(
            f"SELECT table_name, rows_read, {sums} FROM etl_load WHERE run_id = ?",
            (summary["run_id"],),
        )
        tables = {
            table.name: db.query(f'SELECT * FROM "{table.name}" ORDER BY "{table.key[0]}"')
            for table in STAR_TABLES
        }
    for name, read, accounted in loads:
        assert read == accounted == summary["tables"][name]["rows_read"]
    loaded = {source["table"] for source in summary["sources"] if source["status"] == "loaded"}
    assert {name for name, _, _ in loads} >= loaded
    return tables


def assert_rerun_changes_nothing(project: Project, first: Ended, *argv: str) -> None:
    second = run(project, *argv)
    for name in ("status", "error", "notes"):
        found = [source[name] for source in second.summary["sources"]]
        assert found == [source[name] for source in first.summary["sources"]]
    for table, counts in second.summary["tables"].items():
        for name in ("inserted", "updated", "inferred", "restated", "removed"):
            assert counts[f"rows_{name}"] == 0, name
        assert counts["rows_vanished"] <= first.summary["tables"][table]["rows_vanished"]
    assert second.tables == first.tables


@contextmanager
def new_project(**options: str) -> Iterator[Project]:
    with TemporaryDirectory() as folder:
        yield Project(Path(folder), **{"LOG_LEVEL": "CRITICAL", "MAX_REJECT_RATE": "1", **options})


# --- hostile bytes -------------------------------------------------------------------------

CUSTOMERS = (
    "customer_id,first_name,last_name,email,phone,address,segment,registration_date\r\n"
    'C1,Ann,Lee,ann@example.com,555-123-4567,"1 Main St, Apt 4",Premium,2024-01-15\r\n'
    'C2,"BOB ""Bo""",o\'neil,BOB@EXAMPLE.COM,5551234,"2 Hill\r\nRoad",standard,01/16/2024\r\n'
    "C3,José,Müller,j@x.io,+1 555 123 4567,Straße 3,Basic,17 Jan 2024\r\n"
    "C4,,,,,,,\r\nC1,Anne,Lee,,,,Premium,\r\n,No,Id,,,,,\r\nC5,too,few\r\n\r\n"
    'C6,Zoë,😀,z@x.io,,漢字,Standard,"Jan 18, 2024"\r\n'
).encode()
SALES = (
    b"transaction_id,customer_id,product_id,quantity,unit_price,discount_amount,"
    b"transaction_date,sales_rep_id,status\n"
    b"T1,C1,P1,2,100.00,5.00,2024-01-20 10:30:00,R1,completed\n"
    b"T2,C2,P2,1,19.995,,01/21/2024,R2,completed\n"
    b'T3,C9,P9,3,"250",0,2024-01-22T08:00:00Z,,completed\n'
    b"T4,C1,P1,0,1,0,2024-01-20,R1,completed\n"
    b"T5,C1,P1,1,1,0,2024-01-20,R1,pending\n"
    b"T1,C1,P1,2,100.00,6.00,2024-01-20 10:30:00,R1,completed\n"
    b"T6,C3,P3,1,abc,0,never,R1,completed\n"
    b'T7,C3,P3,1,"12.50",0,"Jan 23, 2024","R ""1""",completed\n'
)
PRODUCTS = json.dumps(
    {
        "metadata": {"version": "1.2", "tags": [1, None, {"a": []}]},
        "products": [
            {"product_id": "P1", "name": "Lamp", "category": "tech",
             "specifications": {"brand": "B", "model": "M", "price": 199.995, "cost": 120},
             "inventory": {"quantity": 12, "warehouse": "WH-001"}},
            {"product_id": "P2", "name": "Stuhl \u00e4 \U0001f600", "category": "Garden",
             "specifications": {"price": "49.99"}, "inventory": None},
            {"product_id": "P1", "inventory": {"quantity": -1}},
            {"product_id": "P3", "specifications": [], "x": 1.5e3},
            None,
        ],
        "after": True,
    },
    indent=1,
).encode()  # fmt: skip
SEEDS = {"customers": CUSTOMERS, "products": PRODUCTS, "sales": SALES}

PIECES: tuple[bytes, ...] = (
    b'"', b'""', b'"""', b'",', b',"', b",", b",,,,,,,", b";", b"\t", b"\n", b"\r", b"\r\n",
    b"\n\r", b"\r\r\n", b"\n\n\n", b'"\n"', b'"\r', b"\0", b"\0\0", b"\x1a", b"\x1b[2J", b"\x7f",
    b" ", b"{", b"}", b"[", b"]", b":", b"[]", b"{}", b"\\", b'\\"', b"\\u", b"\\u00", b"\\ud800",
    b"\\udc00", b"\\ud83d\\ude00", b"\\u0000", b"\\x", b"null", b"true", b"NaN", b"-Infinity",
    b"1e400", b"-1e400", b"1E-400", b"1e9999999999999999999", b"-0", b".5", b"5.", b"01", b"0x10",
    b"1_000", b"--1", b"9" * 400, b"9" * 5_000, b"0." + b"1" * 5_000, b"[" * 500, b"[" * 990,
    b"[" * 20_000, b'{"a":' * 500, b'{"a":' * 20_000, b"]" * 500, b'"products":',
    b'"products":[1],', b'"product_id":"P9",', b'"product_id":[[1]],', b'"specifications":"x",',
    b"//", b"/*", b"#", "\ufeff".encode(), "\u202e\u200b\u2028\u0085".encode(),
    "\u0661\uff11".encode(), "e\u0301\u0345".encode() * 50, b"\xed\xa0\x80", b"\xff", b"\xfe\xff",
    b"\xff\xfe", b"\x80", b"\xc3", b"\xf0\x9f", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\xff\xfe\0\0",
    b"," * 5_000, b"x," * 5_000, b"x" * 70_000, b"' OR '1'='1", b"'; DROP TABLE customer_dim; --",
    b"2024-02-30", b"0000-00-00", b"10000-01-01", b"0001-01-01", b"9999-12-31 23:59:59.999999",
    b"completed", b"\n" * 60, b'"\n' * 60, b'"' * 999, CUSTOMERS[:79], SALES[:112],
)  # fmt: skip

Edit = Callable[[bytes, int, int, bytes], bytes]


def _between(data: bytes, a: int, b: int) -> tuple[int, int]:
    """Two places in the data, in order and most of the time close together."""
    start = a % (len(data) + 1)
    return start, min(len(data), start + (b % 40 if b % 4 else b))


def _insert(data: bytes, a: int, _: int, piece: bytes) -> bytes:
    at = a % (len(data) + 1)
    return data[:at] + piece + data[at:]


def _insert_at_mark(data: bytes, a: int, _: int, piece: bytes) -> bytes:
    """Beside a comma, quote, colon, bracket or line end, where it matters most."""
    places = [at for at, byte in enumerate(data[:10_000]) if byte in b'",:\n\r[]{}'] or [0]
    at = places[a // 2 % len(places)] + a % 2
    return data[:at] + piece + data[at:]


def _replace(data: bytes, a: int, b: int, piece: bytes) -> bytes:
    start, stop = _between(data, a, b)
    return data[:start] + piece + data[stop:]


def _cut(data: bytes, a: int, b: int, _: bytes) -> bytes:
    return _replace(data, a, b, b"")


def _repeat(data: bytes, a: int, b: int, _: bytes) -> bytes:
    start, stop = _between(data, a, b)
    return data[:stop] + data[start:stop] * (2 + b % 50) + data[stop:]


def _move(data: bytes, a: int, b: int, _: bytes) -> bytes:
    start, stop = _between(data, a, b)
    rest = data[:start] + data[stop:]
    at = b % (len(rest) + 1)
    return rest[:at] + data[start:stop] + rest[at:]


def _flip(data: bytes, a: int, b: int, _: bytes) -> bytes:
    at = a % max(1, len(data))
    return data[:at] + bytes([byte ^ 1 << b % 8 for byte in data[at : at + 1]]) + data[at + 1 :]


def _as_utf16(data: bytes, a: int, b: int, _: bytes) -> bytes:
    start, stop = _between(data, a, b)
    wide = data[start:stop].decode("latin-1").encode("utf-16-le")
    return data[:start] + wide + data[stop:]


def _all_as_utf16(data: bytes, a: int, _b: int, _: bytes) -> bytes:
    encoding = ("utf-16", "utf-16-le", "utf-16-be", "utf-32")[a % 4]
    return data.decode("utf-8", "replace").encode(encoding)


def _line_ends(data: bytes, a: int, _b: int, _: bytes) -> bytes:
    ends = (b"\r", b"\n", b"\r\n", b"\n\r", b"\r\r\n", b"\0\n", "\u2028".encode())
    return data.replace(b"\r\n", b"\n").replace(b"\n", ends[a % len(ends)])


def _byte_order_mark(data: bytes, a: int, _b: int, _: bytes) -> bytes:
    marks = (b"\xef\xbb\xbf", b"\xef\xbb\xbf" * 2, b"\xff\xfe", b"\xfe\xff", b"\xff\xfe\0\0")
    return marks[a % len(marks)] + data


def _reverse_lines(data: bytes, *_: object) -> bytes:
    return b"\n".join(reversed(data.split(b"\n")))


def _one_column(data: bytes, *_: object) -> bytes:
    return data.replace(b",", b"")


def _more_columns(data: bytes, a: int, _b: int, _: bytes) -> bytes:
    return data.replace(b"\n", b"," * (1 + a % 3_000) + b"\n")


EDITS: tuple[Edit, ...] = (
    *(_insert, _insert_at_mark, _replace, _cut) * 4,
    *(_repeat, _move, _flip, _as_utf16) * 2,
    _all_as_utf16, _line_ends, _byte_order_mark, _reverse_lines, _one_column, _more_columns,
)  # fmt: skip


def _edited(data: bytes, edits: Sequence[tuple[Edit, int, int, bytes]]) -> bytes:
    for edit, a, b, piece in edits:
        data = edit(data, a, b, piece)[:LONGEST_FILE]
    return data


def mutated(seed: bytes) -> Bytes:
    """A valid file with one to six things done to it."""
    place = st.integers(0, 2**16)
    edit = st.tuples(st.sampled_from(EDITS), place, place, st.sampled_from(PIECES))
    return st.lists(edit, min_size=1, max_size=6).map(partial(_edited, seed))


def arbitrary(seed: bytes) -> Bytes:
    """Any bytes, on their own or after the beginning of a valid file."""
    pieces = st.lists(st.sampled_from(PIECES), max_size=20).map(b"".join)
    free = st.one_of(st.binary(max_size=400), pieces)
    start = st.sampled_from((0, 0, 80, 113, len(seed) // 2))
    return st.builds(lambda end, content: seed[:end] + content, start, free)


def hostile_file(source: str) -> Bytes:
    seed = SEEDS[source]
    return st.one_of(mutated(seed), mutated(seed), arbitrary(seed))


def hostile_files() -> SearchStrategy[dict[str, bytes]]:
    return st.fixed_dictionaries({source: hostile_file(source) for source in SOURCES})


def one_hostile_file() -> SearchStrategy[tuple[str, bytes]]:
    names = st.sampled_from(sorted(SOURCES))
    return names.flatmap(lambda name: st.tuples(st.just(name), hostile_file(name)))


# --- the readers, where most of it must be caught ------------------------------------------


def read_blocks(source: str, path: Path) -> Iterator[Block]:
    if source == "customers":
        return read_customers(path)
    return read_products(path) if source == "products" else read_sales(f"csv:///{path}", EVERYTHING)


TRANSFORMS = {
    "customers": transform_customers,
    "products": transform_products,
    "sales": transform_sales,
}


def read_through(source: str, content: bytes) -> list[tuple[str, str]]:
    """Reads and transforms a file; each record comes out once, or the file is refused.

    Returns error class and field of the rejected records.
    """
    rows: list[int] = []
    rejected: list[tuple[str, str]] = []
    with TemporaryDirectory() as folder, time_limit():
        path = Path(folder, SOURCES[source])
        path.write_bytes(content)
        try:
            for block in read_blocks(source, path):
                found = TRANSFORMS[source](block.records)
                parts = (found.accepted, found.rejected, block.rejected)
                rows += [row for part in parts for row in part.column("source_row").to_pylist()]
                assert sum(part.num_rows for part in parts) == block.rows
                for part in parts:
                    part.validate(full=True)
                for row in (*found.rejected.to_pylist(), *block.rejected.to_pylist()):
                    rejected.append((row["error_class"], row["field"]))
        except ExtractionError as error:
            assert is_clear(error), "".join(traceback.format_exception(error))
    assert len(rows) == len(set(rows))
    return rejected


@examples(66)
@given(hostile_file("customers"))
def test_any_customers_file_is_read_or_refused_for_a_reason(content: bytes) -> None:
    read_through("customers", content)


@examples(66)
@given(hostile_file("products"))
def test_any_products_file_is_read_or_refused_for_a_reason(content: bytes) -> None:
    read_through("products", content)


@examples(20)
@given(hostile_file("sales"))
def test_any_sales_file_is_read_or_refused_for_a_reason(content: bytes) -> None:
    read_through("sales", content)


# --- whole runs over hostile bytes ---------------------------------------------------------

RERUNS = st.sampled_from(((), ("--full-refresh",)))


@examples(4)
@given(hostile_files(), RERUNS)
@example(dict.fromkeys(SOURCES, b""), ())
@example(SEEDS, ("--full-refresh",))
def test_a_run_over_any_bytes_adds_up_and_a_second_changes_nothing(
    files: Files, argv: tuple[str, ...]
) -> None:
    with new_project() as project:
        put(project, files)
        first = run(project)
        for table, rows in first.tables.items():
            counts = first.summary["tables"][table]
            assert len(rows) == counts["rows_inserted"] + counts["rows_inferred"]
        assert_rerun_changes_nothing(project, first, *argv)


@examples(4)
@given(one_hostile_file(), RERUNS)
def test_hostile_bytes_after_a_good_load_leave_a_source_that_cannot_be_read_as_it_was(
    hostile: tuple[str, bytes], argv: tuple[str, ...]
) -> None:
    with new_project() as project:
        put(project, SEEDS)
        good = run(project)
        put(project, dict([hostile]))
        after = run(project, *argv)
        for source in after.summary["sources"]:
            assert source["status"] == "loaded" or source["source"] == hostile[0]
            if source["status"] != "loaded":
                assert after.tables == good.tables
        assert_rerun_changes_nothing(project, after, *argv)


def shown(project: Project, *argv: str) -> tuple[int, list[str]]:
    """What the command itself prints, on both streams, line by line."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        code = command(project, patch, *argv)
    return code, (out.getvalue() + err.getvalue()).split("\n")


def assert_fit_for_a_terminal(lines: Sequence[str]) -> None:
    for line in lines:
        assert len(line) <= LONGEST_LINE
        assert "Traceback" not in line
        acting = [c for c in line if unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"}]
        turning = [c for c in line if unicodedata.bidirectional(c) in BIDI_CONTROLS]
        assert not acting + turning, ascii(line)


BIDI_CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
COMMANDS = st.sampled_from(((), ("--dry-run",), ("--json",), ("--log-level", "DEBUG")))


@examples(5)
@given(hostile_files(), COMMANDS)
def test_the_command_ends_with_a_code_and_lines_fit_for_a_terminal(
    files: Files, argv: tuple[str, ...]
) -> None:
    with new_project(LOG_LEVEL="INFO", MAX_REJECT_RATE="0.5") as project:
        put(project, files)
        with watched() as errors:
            code, lines = shown(project, *argv)
        assert code == EXIT_CODES[len(errors)]
        assert_fit_for_a_terminal(lines)


def test_a_status_of_any_length_takes_one_short_line() -> None:
    status = b"\x1b[2J" + b"x" * 100_000
    with new_project(LOG_LEVEL="INFO") as project:
        put(project, SEEDS | {"sales": SALES.replace(b"pending", status)})
        code, lines = shown(project)
    assert code == 0
    assert sum("sales of another status" in line for line in lines) == 1
    assert_fit_for_a_terminal(lines)


def test_a_header_in_a_script_that_stdout_lacks_ends_with_the_summary_and_not_in_an_error() -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with new_project() as project, pytest.MonkeyPatch.context() as patch, redirect_stdout(out):
        put(project, SEEDS | {"customers": "\u6f22\u5b57,\U0001f600\n1,2\n".encode()})
        assert command(project, patch) == 3
    out.seek(0)
    assert r"found '\u6f22\u5b57', '\U0001f600'" in out.read()


def test_a_name_of_megabytes_with_an_accent_costs_its_record_and_no_time() -> None:
    name = b"a" * 3_000_000 + "\u0301".encode()
    rejected = read_through("customers", CUSTOMERS.replace(b"Ann,", name + b","))
    assert ("out_of_range", "first_name") in rejected


# --- records with hostile values -----------------------------------------------------------

SQL = "'; DROP TABLE customer_dim; --"
TEXTS = (
    SQL, '"; DROP TABLE sales_fact; --', "x'); DELETE FROM product_dim; --", "' OR '1'='1",
    "Robert'); DROP TABLE \"sales_fact\"; --", "/* */ ; SELECT 1", "$1 ? :a @p1 ${x} %(x)s",
    "'", "''", '"', '""', '"""', "`", "\u2018\u2019\u201c\u201d", "\u00ab\u00bb", "''\"'\"\"",
    "%s", "%", "%%d", "{}", "{0.__class__}", "{x!r}", "\\", "\\\\", "\\n", "\n", "a\r\nb", "a\rb",
    "a\tb", "[bold]x[/bold]", "\x1b[31mred", "\x07", "a\x1fb", "a\x85b", "a\u2028b",
    "=cmd|' /C calc'!A0", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1+1", "=HYPERLINK(\"x\")",
    "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\ufe0f",
    "\u05e9\u05dc\u05d5\u05dd", "\u202eevil\u202c", "\u2066x\u2069", "\u200b", "a\u200bb",
    "\ufeff", "\ufeffx", "\u00adx", "Z\u0351\u036b\u0343\u036a\u0302\u0346", "\u0301", "e\u0301",
    "\ufdfa", "\ufb03", "\u0130", "\u1e9e", "\ufffd", "\uffff", "\U0010ffff", "\ue000", "NULL",
    "null", "None", "NaN", "N/A", "true", "undefined", "../../etc/passwd", "C:\\x", "<script>",
    "&amp;", ",", ",,,", ";", "|", "a,b", "# x", "--", "/*", "customer_id", "source_row", "\xa0x",
)  # fmt: skip
NUMBERS = (
    "1", "1e400", "-1e400", "1e-400", "-0", "0", ".5", "5.", "+5", "0x10", "0b1", "0o7", "1_000",
    "1,000", "1.000,50", "\u0661\u0662\u0663", "\uff11\uff12", "\u00b2", "\u00bd", "\u22125", "NaN",
    "Infinity", "-inf", "sNaN", "1e", "e1", "1e1e1", "1" * 400, "0." + "9" * 400, "0" * 400 + "1",
    "1e9999999999999999999", "1e-9999999999999999999", "0e9999999999999999999", "2147483647",
    "2147483648", "-2147483648", "9999999999.99", "9999999999.995", "1e10", "99999999999999999999",
    "1.7976931348623157e308", "5e-324", "$5", "5%", "(5)", "1 000", "1\u00a0000", "--1", "-", "+",
    ".", "", " ", " 7 ", "True", "1/3", "1+1", "=1+1", "\u22121", "1\u200b", "1e+5", "1E5", "0.005",
    "-0.005",
)  # fmt: skip
DATES = (
    "2024-01-15", "2024-02-29", "2024-02-30", "2023-02-29", "0000-00-00", "0000-01-01",
    "0001-01-01", "9999-12-31", "9999-12-31T23:59:59.9999999", "10000-01-01", "-2024-01-15",
    "+2024-01-15", "2024-01-15T24:00", "2024-01-15T23:59:60", "2024-01-15T25:00",
    "2024-01-15T10:30+25:00", "2024-01-15T10:30:00.123456789123456789Z",
    "2024-01-15 10:30:00-99:99", "2024-13-01", "2024-00-01", "01/02/2024", "13/01/2024", "1/1/0001",
    "0/0/0000", "15 Jan 2024", "15 Foo 2024", "Jan 15, 2024", "Jan 15, 0000",
    "\u0662\u0660\u0662\u0664-\u0660\u0661-\u0661\u0665", "\uff12\uff10\uff12\uff14-01-15",
    "2024-01-15\u200b", "2024\u201101\u201115", "2024-W03-1", "2024-015", "20240115", "1705312200",
    "45306", "now", "today", "infinity", "-infinity", "epoch", "T24:00", "2024-01-15T",
    "2024-01-15 BC", "", "2024-01-15" + " " * 300 + "10:30", "2024-01-15T10:30:00." + "9" * 400,
)  # fmt: skip
STATUSES = ("pending", "Completed", "completed\u200b", "completed\0", *TEXTS[:12], "", "x" * 5_000)
# What JSON can hold in the place of a text or a number.
JSON_VALUES = (
    "null", "true", "false", "{}", "[]", "[[[]]]", '{"a": {"b": 1}}', "1", "-0", "-0.0", "0.1",
    "1e400", "-1e400", "1E-400", "1e9999999999999999999", "NaN", "Infinity", "-Infinity", "9" * 400,
    "9" * 5_000, "-" + "9" * 5_000, "0." + "3" * 5_000, '"\\ud800"', '"\\udc00\\ud800"',
    '"a\\ud83d"', '"\\u0000"', '"\\u0031"', '"\\/\\b\\f"', '["\\ud800"]', '{"\\ud800": "\\u0000"}',
    "[" * 100 + "]" * 100,
)  # fmt: skip


def hostile_text() -> Texts:
    free = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    long = st.builds(lambda text, size: text * size, st.sampled_from(TEXTS), st.integers(2, 120))
    return st.one_of(st.sampled_from(TEXTS), st.sampled_from(TEXTS), free, long)


def hostile_value() -> Texts:
    return st.one_of(hostile_text(), st.sampled_from(NUMBERS), st.sampled_from(DATES))


def _keys(letter: str) -> Texts:
    return st.one_of(
        st.integers(1, 5).map(f"{letter}{{}}".format), st.sampled_from(TEXTS), hostile_text()
    )


def _mostly(usual: Texts) -> Texts:
    """Half of the fields good, or next to no record would come to its amounts."""
    return st.one_of(usual, usual, hostile_value())


def hostile_customers() -> SearchStrategy[list[dict[str, str]]]:
    columns = dict.fromkeys(CUSTOMER_COLUMNS, hostile_value()) | {
        "customer_id": _keys("C"),
        "registration_date": st.sampled_from(DATES),
    }
    return st.lists(st.fixed_dictionaries(columns), max_size=12)


def hostile_sales() -> SearchStrategy[list[dict[str, str]]]:
    columns = {
        "transaction_id": _keys("T"),
        "customer_id": _keys("C"),
        "product_id": _keys("P"),
        "quantity": _mostly(st.sampled_from(NUMBERS)),
        "unit_price": _mostly(st.sampled_from(NUMBERS)),
        "discount_amount": _mostly(st.just("")),
        "transaction_date": _mostly(st.sampled_from(DATES)),
        "sales_rep_id": hostile_value(),
        "status": st.one_of(st.just("completed"), st.just("completed"), st.sampled_from(STATUSES)),
    }
    return st.lists(st.fixed_dictionaries(columns), max_size=12)


def _json_text(text: str) -> str:
    return json.dumps(text)


def hostile_products() -> SearchStrategy[list[str]]:
    """Items of the products file as JSON, any kind of value anywhere."""
    value = st.one_of(hostile_value().map(_json_text), st.sampled_from(JSON_VALUES))
    price = st.one_of(st.sampled_from(NUMBERS).map(_json_text), value)
    inside = {
        "specifications": {"brand": value, "model": value, "price": price, "cost": price},
        "inventory": {"quantity": price, "warehouse": value},
    }
    nested = {name: _json_object({}, fields) | value for name, fields in inside.items()}
    key = st.one_of(_keys("P").map(_json_text), _keys("P").map(_json_text), value)
    item = _json_object({"product_id": key}, {"name": value, "category": value, **nested})
    return st.lists(st.one_of(item, item, item, value), max_size=12)


def _json_object(required: Mapping[str, Texts], optional: Mapping[str, Texts]) -> Texts:
    drawn = st.fixed_dictionaries(dict(required), optional=dict(optional))
    return drawn.map(
        lambda fields: "{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}"
    )


def write_items(project: Project, items: Sequence[str]) -> None:
    text = '{"products": [' + ", ".join(items) + "]}"
    (project.input / SOURCES["products"]).write_text(text, encoding="utf-8")


@examples(5)
@given(hostile_customers(), hostile_products(), hostile_sales(), RERUNS)
def test_every_record_with_hostile_values_is_counted_and_reported(
    customers: list[Record], products: list[str], sales: list[Record], argv: tuple[str, ...]
) -> None:
    with new_project() as project:
        write_customers(project.input, customers)
        write_sales(project.input, sales)
        write_items(project, products)
        first = run(project)
        completed = [s for s in sales if (s["status"] or "").strip() == "completed"]
        read = {name: counts["rows_read"] for name, counts in first.summary["tables"].items()}
        malformed = sum(too_many_lines(record) for record in (*customers, *sales))
        if not malformed:  # each line of such a record is looked at on its own
            assert read["customer_dim"] == len(customers)
            assert read["sales_fact"] == len(completed)
        assert read["product_dim"] == len(products)
        assert_rerun_changes_nothing(project, first, *argv)


def too_many_lines(record: Record) -> bool:
    """Whether the record is longer than the reader lets one be, for the sake of lost quotes."""
    return sum(len((value or "").splitlines()) for value in record.values()) > 30


# --- text arrives as it is -----------------------------------------------------------------


def storable_text(width: int = 40) -> Texts:
    letters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    free = st.text(letters, max_size=width // 2)
    return st.one_of(st.sampled_from(TEXTS), free).filter(
        lambda text: value_rules.utf16_length(text) <= width and text.strip() not in NULL_WORDS
    )


def trimmed(text: str) -> str | None:
    return text.strip() or None


@examples(2)
@given(st.lists(st.lists(storable_text(), min_size=6, max_size=6), max_size=8))
@example([[SQL] * 6])
@example([[text] * 6 for text in TEXTS if text.strip() not in NULL_WORDS])
def test_hostile_text_arrives_in_every_column_as_text(rows: list[list[str]]) -> None:
    with new_project() as project:
        keyed = list(enumerate(rows))
        write_customers(project.input, [_customer(n, row) for n, row in keyed])
        write_items(project, [_product(n, row) for n, row in keyed])
        write_sales(project.input, [_sale(n, row) for n, row in keyed])
        first = run(project)
        assert first.summary["exit_code"] == 0
        for counts in first.summary["tables"].values():
            assert counts["rows_inserted"] == counts["rows_read"] == len(rows)
            assert counts["rows_inferred"] == 0
        for table, expected in EXPECTED.items():
            columns = ", ".join(expected(0, [""] * 6))
            found = project.query(f"SELECT {columns} FROM {table}")
            assert set(found) == {tuple(expected(n, row).values()) for n, row in keyed}
        assert_rerun_changes_nothing(project, first)


def visible_key(number: int, text: str) -> str:
    return visible(_key(number, text))


def _key(number: int, text: str) -> str:
    return f"{number} {text}"


def _customer(number: int, row: Sequence[str]) -> Record:
    values = (_key(number, row[0]), row[1], row[2], row[3], "", row[4], row[5], "")
    return dict(zip(CUSTOMER_COLUMNS, values, strict=True))


def _product(number: int, row: Sequence[str]) -> str:
    nested = {
        "product_id": _key(number, row[0]),
        "name": row[1],
        "category": row[2],
        "specifications": {"brand": row[3], "model": row[4], "price": 1},
        "inventory": {"warehouse": row[5]},
    }
    return json.dumps(nested)


def _sale(number: int, row: Sequence[str]) -> Record:
    keys = (_key(number, text) for text in (row[1], row[0], row[0]))
    return dict(
        zip(SALES_COLUMNS, (*keys, "1", "1.00", "", "2024-01-20", row[2]), strict=True),
        status="completed",
    )


EXPECTED: dict[str, Callable[[int, Sequence[str]], dict[str, str | None]]] = {
    "customer_dim": lambda number, row: {
        "customer_id": visible_key(number, row[0]),
        "first_name": value_rules.name_of(row[1]),
        "last_name": value_rules.name_of(row[2]),
        "email": trimmed(row[3].strip().lower()),
        "address": trimmed(row[4]),
        "source_segment": trimmed(row[5]),
    },
    "product_dim": lambda number, row: {
        "product_id": visible_key(number, row[0]),
        "name": trimmed(row[1]),
        "source_category": trimmed(row[2]),
        "brand": trimmed(row[3]),
        "model": trimmed(row[4]),
        "warehouse": trimmed(row[5]),
    },
    "sales_fact": lambda number, row: {
        "transaction_id": visible_key(number, row[1]),
        "customer_id": visible_key(number, row[0]),
        "product_id": visible_key(number, row[0]),
        "sales_rep_id": trimmed(row[2]),
    },
}

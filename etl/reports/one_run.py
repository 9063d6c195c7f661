"""The parts of the dashboard that show one run: its state, changes, rejects, quality, lineage."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from statistics import median

from etl.history.summary import Check, Lineage, Reason, RunSummary, TableCounts
from etl.reports.all_runs import (
    RECENT_RUNS,
    Runs,
    history_curve,
    recent_rated,
    rows_words,
    success_rate,
    usual,
)
from etl.reports.charts import Axis, axis_for, flow, key, share_bar
from etl.reports.page import (
    NOTHING,
    Markup,
    breakable,
    escaped,
    folded,
    isolated,
    joined,
    section,
    shortened,
    table,
)
from etl.reports.run_states import BAD, GOOD, IDLE, WARN, marked, note, outcome_of, sign
from etl.words import (
    UNKNOWN,
    bytes_words,
    count_words,
    instant_words,
    percent_words,
    seconds_words,
)

_MOST_TABLES = 12
_MOST_COLUMNS = 30
_MOST_REASONS = 12
_MOST_NOTES = 20
_MOST_CHECKS = 100
_MOST_SCORES = 8
_BEST_SCORE = 100.0
_SCORE_STEP = 10
_SMALL = 64
_SHORT_HASH = 12
_SHORT_NAME = 60
_SHORT_ORIGIN = 200
_SHORT_MESSAGE = 300

# What a record can come to: name of its count, word, colour. The first three are in the table.
_FATES = (
    ("rows_inserted", "inserted", "f-inserted"),
    ("rows_updated", "updated", "f-updated"),
    ("rows_unchanged", "unchanged", "f-unchanged"),
    ("rows_rejected", "rejected", "f-rejected"),
    ("rows_duplicate", "duplicates", "f-duplicate"),
)
# Counts outside the balance of a run, shown where there are any.
_EXTRAS = (
    ("rows_inferred", "inferred"),
    ("rows_restated", "restated"),
    ("rows_vanished", "vanished"),
    ("rows_removed", "removed"),
)


# --- its state -------------------------------------------------------------------------------


def state(run: RunSummary, runs: Runs) -> Markup:
    """How the latest run ended, what to look at, and its main figures."""
    outcome = outcome_of(run.status)
    body = Markup(f"<p>{_about(run)}</p>{_notes(run)}{_facts(run, runs)}")
    heading = Markup(f"{sign(outcome.state)}<span>{isolated(outcome.headline)}</span>")
    return Markup(
        f'<section id="state" class="state {outcome.state}" aria-labelledby="state-heading">\n'
        f'<h2 id="state-heading">{heading}</h2>\n{body}\n</section>\n'
    )


def _about(run: RunSummary) -> Markup:
    started = f"started {instant_words(run.started_at)} UTC"
    words = (run.mode.replace("_", " "), run.window)
    parts = [*(isolated(shortened(word, _SHORT_NAME)) for word in words), escaped(started)]
    if run.exit_code is not None:
        parts.append(escaped(f"exit code {run.exit_code}"))
    first = joined((part for part in parts if part), by=", ")
    return Markup(
        f'{first}.<br><span class="soft">Run {isolated(shortened(run.run_id, _SHORT_NAME))}, '
        f"environment {isolated(shortened(run.environment, _SHORT_NAME))}, "
        f"warehouse {isolated(run.warehouse)}</span>"
    )


def _notes(run: RunSummary) -> Markup:
    outcome = outcome_of(run.status)
    notes = [note(_state_of_error(outcome.state), _lines(run.error))] if _tells(run) else []
    notes += [note(WARN, _lines(line)) for line in run.attention[:_MOST_NOTES]]
    notes += [_anomaly(run, index) for index in range(min(len(run.anomalies), _MOST_NOTES))]
    return Markup(f'<ul class="notes">{joined(notes)}</ul>') if notes else NOTHING


def _tells(run: RunSummary) -> bool:
    """Whether its error says more than the lines to look at."""
    return bool(run.error) and not any(run.error in line for line in run.attention)


def _state_of_error(outcome: str) -> str:
    return outcome if outcome in (BAD, IDLE) else WARN


def _lines(message: str) -> Markup:
    lines = message.replace("\t", "    ").splitlines()
    return joined((isolated(line) for line in lines), by="\n")


def _anomaly(run: RunSummary, index: int) -> Markup:
    found = run.anomalies[index]
    where = f", {shortened(found.table, _SHORT_NAME)}" if found.table else ""
    kind = shortened(found.kind.replace("_", " "), _SHORT_NAME)
    head = isolated(f"{kind}{where} ({shortened(found.severity, _SHORT_NAME)})")
    return note(WARN, Markup(f"Unusual: {head}: {_lines(found.message)}"))


def _facts(run: RunSummary, runs: Runs) -> Markup:
    facts = [_rate_fact(runs), _duration_fact(run, runs)]
    facts += _load_facts(run, runs) if run.has_loads else [_last_load_fact(runs)]
    return Markup(f'<dl class="facts">{joined(facts)}</dl>')


def _fact(name: str, value: str, detail: str) -> Markup:
    return Markup(
        f'<div><dt>{escaped(name)}</dt><dd class="big">{escaped(value)}</dd>'
        f'<dd class="soft">{escaped(detail)}</dd></div>'
    )


def _rate_fact(runs: Runs) -> Markup:
    recent = recent_rated(runs)
    clean = sum(run.status == "success" for run in recent)
    detail = f"{clean} clean of the last {len(recent)}" if recent else "no run counts yet"
    return _fact("Success rate", percent_words(success_rate(runs)), detail)


def _duration_fact(run: RunSummary, runs: Runs) -> Markup:
    middle = usual(runs, run, attrgetter("seconds"))
    return _fact("Took", seconds_words(run.seconds), _usually(middle, seconds_words))


def _usually(middle: float | None, say: Callable[[float], str]) -> str:
    return f"usually {say(middle)}" if middle is not None else "no earlier run like it"


def _load_facts(run: RunSummary, runs: Runs) -> list[Markup]:
    read, rejected = run.total("rows_read"), run.total("rows_rejected")
    middle = usual(runs, run, lambda one: one.total("rows_read"))
    share = rejected / read if read and rejected is not None else None
    parts = (run.total("rows_inserted"), run.total("rows_updated"))
    written = sum(parts) if None not in parts else None  # type: ignore[arg-type]  # no None left
    return [
        _fact("Records read", count_words(read), _usually(middle, rows_words)),
        _fact(
            "Rows written",
            count_words(written),
            f"{count_words(parts[0])} new, {count_words(parts[1])} changed",
        ),
        _fact("Rejected", count_words(rejected), f"{percent_words(share)} of what was read"),
        _checks_fact(run),
    ]


def _checks_fact(run: RunSummary) -> Markup:
    if not run.checks:
        return _fact("Checks passed", UNKNOWN, "none was run")
    failed = len(run.checks) - run.checks_passed
    detail = f"{count_words(failed)} to look at" if failed else "all of them"
    return _fact("Checks passed", f"{run.checks_passed} of {len(run.checks)}", detail)


def _last_load_fact(runs: Runs) -> Markup:
    loaded = last_load(runs)
    if loaded is None:
        return _fact("Last load", "none", "no run so far has loaded anything")
    day, _, hour = instant_words(loaded.started_at).partition(" ")
    return _fact("Last load", day, f"{hour} UTC, {shortened(loaded.status, _SHORT_NAME)}")


def last_load(runs: Runs) -> RunSummary | None:
    """The latest run that tells what it did to the tables."""
    return next((run for run in reversed(runs) if run.has_loads), None)


# --- what changed ----------------------------------------------------------------------------


def changes(run: RunSummary, lead: Markup) -> Markup:
    """What the run did to each table, and in which columns."""
    counts, columns = _counts_table(run.tables[:_MOST_TABLES]), _changed_columns(run)
    body = Markup(
        f'<div class="pair"><div><h3>Records by table</h3>{counts}</div>'
        f"<div><h3>Changed columns</h3>{columns}</div></div>"
    )
    return section("changes", "What changed", body, lead=lead)


def _counts_table(tables: Sequence[TableCounts]) -> Markup:
    rows = [[escaped("state"), *(_load_state(each) for each in tables)]]
    rows.append([escaped("read"), *(_counted(each, "rows_read") for each in tables)])
    for name, word, colour in _FATES:
        first = Markup(f'<span class="fate">{key(colour)}{word}</span>')
        rows.append([first, *(_counted(each, name) for each in tables)])
    for name, word in _EXTRAS:
        if any(each.count(name) for each in tables):
            rows.append([escaped(word), *(_counted(each, name) for each in tables)])
    rows.append([escaped("took"), *(escaped(seconds_words(each.seconds)) for each in tables)])
    names = [shortened(each.name, _SHORT_NAME) for each in tables]
    return table("Records by table and what became of them", ["", *names], rows)


def _load_state(loaded: TableCounts) -> Markup:
    if loaded.status == UNKNOWN:
        return escaped(UNKNOWN)
    return marked(_state_of_load(loaded.status), shortened(loaded.status, _SHORT_NAME))


def _state_of_load(status: str) -> str:
    return {"loaded": GOOD, "dry run": IDLE}.get(status, BAD)


def _counted(loaded: TableCounts, name: str) -> Markup:
    count = loaded.count(name)
    words = escaped(count_words(count))
    return words if count else Markup(f'<span class="zero">{words}</span>')


def _changed_columns(run: RunSummary) -> Markup:
    changed = [
        (loaded, shortened(column, _SHORT_NAME), rows)
        for loaded, columns in run.column_changes.items()
        for column, rows in columns.items()
        if rows != 0
    ]
    if not changed:
        return Markup('<p class="soft">No row changed in any column.</p>')
    most = max(rows or 0 for _, _, rows in changed) or 1
    rows_of_table = [
        [
            Markup(f"{breakable(column)} <span class='soft'>{breakable(name)}</span>"),
            escaped(count_words(rows)),
            share_bar([("f-updated", (rows or 0) / most)]),
        ]
        for name, column, rows in sorted(changed, key=lambda one: (one[0], -(one[2] or 0), one[1]))
    ]
    shown = table("Changed columns", ["column", "rows changed", ""], rows_of_table[:_MOST_COLUMNS])
    return joined([shown, _more(rows_of_table, _MOST_COLUMNS)])


def _more(things: Sequence[object], shown: int) -> Markup:
    hidden = len(things) - shown
    return Markup(f'<p class="soft">and {count_words(hidden)} more</p>') if hidden > 0 else NOTHING


# --- rejects ---------------------------------------------------------------------------------


def rejects(run: RunSummary, runs: Runs, lead: Markup) -> Markup:
    """Rejected records by reason, compared with the runs before."""
    title = "Rejected records of each run"
    axis = axis_for(map(_rejected, runs), rows_words, summary=title, height=120)
    chart = history_curve("Over time", runs, _rejected, axis=axis)
    reasons = Markup(f"<div><h3>By reason</h3>{_reasons(run, runs)}</div>")
    body = Markup(f'<div class="pair">{reasons}<div>{chart}</div></div>')
    return section("rejects", "Rejected records", body, lead=lead)


def _rejected(run: RunSummary) -> float | None:
    return run.total("rows_rejected")


def _reasons(run: RunSummary, runs: Runs) -> Markup:
    if run.rejects is None:
        return Markup('<p class="soft">The run does not tell its reasons.</p>')
    now = run.rejected_by_reason()
    recent = [r.rejected_by_reason() for r in runs if r.rejects is not None][-RECENT_RUNS:]
    seen = dict.fromkeys([*now, *(reason for tally in recent for reason in tally)])
    ranked = sorted(seen, key=lambda reason: (-now.get(reason, 0), reason))
    if not ranked:
        return Markup('<p class="soft">No record was rejected, in this run or the recent ones.</p>')
    most = max(now.values(), default=0) or 1
    rows = [_reason_row(reason, now, recent, most) for reason in ranked[:_MOST_REASONS]]
    headings = ["source, reason, field", "rows", "", "median", "in runs"]
    shown = table("Rejects by reason", headings, rows)
    over = Markup(f'<p class="soft">Median over the last {count_words(len(recent))} runs.</p>')
    return joined([shown, _more(ranked, _MOST_REASONS), over if len(recent) > 1 else NOTHING])


def _reason_row(
    reason: Reason, now: Mapping[Reason, int], recent: Sequence[Mapping[Reason, int]], most: int
) -> list[Markup]:
    source, error_class, field = (shortened(part, _SHORT_NAME) for part in reason)
    rows = now.get(reason, 0)
    found = sum(reason in tally for tally in recent)
    where = f", {breakable(field)}" if field else ""
    return [
        Markup(f"{isolated(source)}, {isolated(error_class.replace('_', ' '))}{where}"),
        escaped(count_words(rows)),
        share_bar([("f-rejected", rows / most)]),
        escaped(rows_words(float(median(tally.get(reason, 0) for tally in recent)))),
        escaped(f"{found} of {len(recent)}"),
    ]


# --- quality ---------------------------------------------------------------------------------


def quality(run: RunSummary, runs: Runs, lead: Markup) -> Markup:
    """Checks and scores of the run, and how both went before."""
    trends = joined([_checks_trend(runs), *_score_trends(run, runs)])
    body = Markup(f'{_checks(run)}<div class="trio apart">{trends}</div>')
    return section("quality", "Quality", body, lead=lead)


def _checks(run: RunSummary) -> Markup:
    if not run.checks:
        return Markup('<p class="soft">The run made no checks.</p>')
    failed = [check for check in run.checks if not check.passed]
    passed = [check for check in run.checks if check.passed]
    parts = [_checks_table("Checks to look at", failed)] if failed else []
    if passed:
        words = f"{count_words(len(passed))} of {count_words(len(run.checks))} checks passed"
        parts.append(folded(words, _checks_table("Checks that passed", passed)))
    return joined(parts)


def _checks_table(caption: str, checks: Sequence[Check]) -> Markup:
    rows = [
        [
            isolated(shortened(check.name, _SHORT_NAME)),
            marked(_state_of_check(check), shortened(check.status, _SHORT_NAME)),
            isolated(shortened(check.message, _SHORT_MESSAGE)),
        ]
        for check in checks[:_MOST_CHECKS]
    ]
    shown = table(caption, ["check", "state", "finding"], rows, texts=range(3))
    return joined([shown, _more(checks, _MOST_CHECKS)])


def _state_of_check(check: Check) -> str:
    return GOOD if check.passed else WARN if check.status == "warning" else BAD


def _checks_trend(runs: Runs) -> Markup:
    axis = Axis(1.0, percent_words, "Share of checks passed in each run", height=_SMALL)
    return history_curve("Checks passed", runs, _share_passed, axis=axis)


def _share_passed(run: RunSummary) -> float | None:
    return run.checks_passed / len(run.checks) if run.checks else None


def _score_trends(run: RunSummary, runs: Runs) -> list[Markup]:
    names = list(run.scores)[:_MOST_SCORES]
    return [_score_trend(name, runs) for name in names]


def _score_trend(name: str, runs: Runs) -> Markup:
    def score(run: RunSummary) -> float | None:
        return run.scores.get(name)

    title = f"Score, {shortened(name, _SHORT_NAME).replace('_', ' ')}"
    lowest = min(value for run in runs if (value := score(run)) is not None)
    bottom = max(0.0, lowest // _SCORE_STEP * _SCORE_STEP - (lowest == _BEST_SCORE) * _SCORE_STEP)
    axis = Axis(_BEST_SCORE, _score_words, f"{title} of each run", bottom=bottom, height=_SMALL)
    return history_curve(title, runs, score, axis=axis)


def _score_words(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


# --- lineage ---------------------------------------------------------------------------------


def lineage(run: RunSummary, lead: Markup) -> Markup:
    """Where the rows came from and what became of them, as a picture."""
    tables = {each.name: each for each in run.tables}
    by_target = sorted(run.lineage, key=attrgetter("target"))
    targets = [(name, list(group)) for name, group in groupby(by_target, attrgetter("target"))]
    order = {one.target: index for index, one in reversed(list(enumerate(run.lineage)))}
    targets.sort(key=lambda item: order[item[0]])
    routes = [_route(traced, tables.get(name)) for name, traced in targets[:_MOST_TABLES]]
    body = joined([*routes, _more(targets, _MOST_TABLES)])
    if not routes:
        body = Markup('<p class="soft">The run does not tell its sources.</p>')
    return section("lineage", "Where the rows came from", body, lead=lead)


def _route(traced: Sequence[Lineage], loaded: TableCounts | None) -> Markup:
    files = joined(_file(one) for one in traced[:_MOST_TABLES])
    ends = _ends(traced, loaded)
    parts = [(colour, rows) for _, colour, rows in ends if rows]
    across, down = (flow(parts), flow(parts, down=True)) if parts else (NOTHING, NOTHING)
    items = joined(_end(word, colour, rows) for word, colour, rows in ends)
    names = ", ".join(dict.fromkeys(shortened(one.source, _SHORT_NAME) for one in traced))
    target = isolated(shortened(traced[0].target, _SHORT_NAME))
    return Markup(
        f'<h3 class="path">{isolated(names)} <span aria-label="into">→</span> {target}'
        f'{_inferred(loaded)}</h3>\n<div class="route"><div>{files}{_more(traced, _MOST_TABLES)}'
        f'</div>\n<div class="across">{across}</div>\n'
        f'<div class="down">{down}</div>\n<ul class="ends">{items}</ul></div>'
    )


def _end(word: str, colour: str, rows: int) -> Markup:
    words = Markup(f"<b>{escaped(count_words(rows))}</b> {escaped(word)}")
    return Markup(f"<li>{key(colour)}<span>{words}</span></li>")


def _ends(traced: Sequence[Lineage], loaded: TableCounts | None) -> list[tuple[str, str, int]]:
    if loaded is not None:
        fates = [(word, colour, loaded.count(name) or 0) for name, word, colour in _FATES]
        if any(rows for _, _, rows in fates):
            return [fate for fate in fates if fate[2]]
    return [("rows", "f-plain", sum(one.rows or 0 for one in traced))]


def _inferred(loaded: TableCounts | None) -> Markup:
    rows = loaded.count("rows_inferred") if loaded is not None else None
    noun = "placeholder" if rows == 1 else "placeholders"
    words = f"and {count_words(rows)} {noun} for keys that sales name" if rows else ""
    return Markup(f' <small class="soft">{escaped(words)}</small>') if words else NOTHING


def _file(traced: Lineage) -> Markup:
    facts = [f"{count_words(traced.rows)} rows", *_file_facts(traced)]
    origin = isolated(shortened(traced.origin, _SHORT_ORIGIN))
    return Markup(
        f'<div class="file"><p>{origin or isolated(traced.source)}</p>'
        f"<p class='soft'>{escaped(', '.join(facts))}</p></div>"
    )


def _file_facts(traced: Lineage) -> Iterable[str]:
    if traced.size_bytes is not None:
        yield bytes_words(traced.size_bytes)
    if traced.modified_at is not None:
        yield f"modified {instant_words(traced.modified_at)} UTC"
    if traced.sha256:
        yield f"SHA-256 {shortened(traced.sha256, _SHORT_HASH + 1)}"

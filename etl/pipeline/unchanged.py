"""A source file that its table holds already: recognised by its bytes, restated, not loaded.

It is the same when its SHA-256 is, and the rules and settings by which it would be read. What a
load of it would report is reported: its counts, its rejected records in a file of this run, what
was noticed of it. Whether the table is still as it was left is looked at in the transaction that
writes the counts down.
"""

import hashlib
import json
import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from etl.cloud.objects import is_there
from etl.errors import ExtractionError
from etl.history.audit import LOADED
from etl.history.inputs import KnownInput, known_input
from etl.history.outcomes import SourceOutcome
from etl.history.runs import BACKFILL, INCREMENTAL, ONE_DATE, Applied, Input, Staged
from etl.pipeline.context import RunContext
from etl.pipeline.set_aside import load_of
from etl.pipeline.source import Source
from etl.pipeline.stages import LOADING
from etl.rejects import Published, file_name, published, republish
from etl.schema.star import STAR_TABLES
from etl.settings.config import masked_settings
from etl.settings.sections.section import declared
from etl.sources.file_signature import file_signature
from etl.sources.files import FileTrace, trace_file
from etl.warehouse.unchanged_input import load_unchanged

logger = logging.getLogger(__name__)

# A full refresh looks at every record, whatever is known of its file.
_MODES = (INCREMENTAL, ONE_DATE, BACKFILL)
# What a load of a file depends on, besides `pipeline.toml`; where it lies is not among them.
_SETTINGS = ("CSV_ENCODING", *(s.name for s in declared().values() if s.section == "processing"))
# Where it is written how a record is read and what becomes of it.
_RULES = ("rules", "sources", "schema")
_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Recognised:
    """A source whose file was loaded before, and its bytes as they are now."""

    known: KnownInput
    trace: FileTrace


# --- is it the same ----------------------------------------------------------------------


def recognise(run: RunContext, source: Source) -> Recognised | None:
    """Return what is known of a source file that is the one its table was last loaded from.

    A file of another size is not hashed.

    Args:
        run: the run.
        source: the source.
    """
    if run.args.no_skip or not _is_recognisable(run, source):
        return None
    known = run.kept(lambda: known_input(run.db, source.table))
    if known is None or known.input.settings != _reading_of(run, source):
        return None
    path = source.feed.file
    try:
        if file_signature(path).size != known.input.size_bytes:
            return None
        trace = trace_file(path)
    except (OSError, ExtractionError):  # whoever reads it says what is wrong with it
        return None
    return Recognised(known, trace) if trace.sha256 == known.input.sha256 else None


def _is_recognisable(run: RunContext, source: Source) -> bool:
    whole = source.feed.trace is not None and not source.partial
    is_new_day = source.table.history is not None and source.moment is not None
    is_plain = replace(source.table, history=None, logged=None) in STAR_TABLES and not is_new_day
    return whole and is_plain and run.plan.mode in _MODES and not run.args.dry_run


def _reading_of(run: RunContext, source: Source) -> str:
    """Digest of everything besides the file that decides what a load of it does."""
    parts: dict[str, object] = {
        "rules": _rules_digest(),
        "settings": {
            name: text for name, text in masked_settings(run.config).items() if name in _SETTINGS
        },
        "pipeline": repr(run.config.files.pipeline),
    }
    if source.table.window:
        parts |= {"window": repr(source.window), "mode": run.plan.mode}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@cache
def _rules_digest() -> str:
    digest = hashlib.sha256()
    for room in _RULES:
        for path in sorted((_PACKAGE / room).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


# --- what is noted of a load -------------------------------------------------------------


def input_of(
    run: RunContext, source: Source, staged: Staged, notices: Sequence[str]
) -> Input | None:
    """Return what is to be noted of a source that has been staged; None if nothing.

    Args:
        run: the run.
        source: the source, read to its end.
        staged: the same, staged.
        notices: what a person is to know of it.
    """
    trace = source.feed.trace
    if trace is None or trace.sha256 is None or not _is_recognisable(run, source):
        return None
    file = published(_rejected_path(run, source, run.plan.run_id), _set_aside(staged))
    facts = {
        "rejected": asdict(file),
        "reasons": [[*key, n] for key, n in run.ledger.rejects.get(source.name, {}).items()],
        "notices": list(notices),
        "notes": dict(staged.notes),
        "facts": list(source.watch.facts),
        "warnings": list(source.watch.warnings),
        "left_out": dict(source.feed.left_out),
        "extracted_at": trace.extracted_at.isoformat() if trace.extracted_at else None,
    }
    return Input(trace.sha256, trace.bytes or 0, _reading_of(run, source), json.dumps(facts))


def _set_aside(staged: Staged) -> int:
    return staged.rows_rejected + staged.rows_duplicate


def _rejected_path(run: RunContext, source: Source, run_id: str) -> Path:
    return (run.rejected_folder or Path()) / file_name(run_id, source.name)


# --- restating it ------------------------------------------------------------------------


def restate(
    run: RunContext, source: Source, same: Recognised
) -> tuple[SourceOutcome, Applied] | None:
    """Count a recognised source as read, without loading it.

    Args:
        run: the run.
        source: the source.
        same: what is known of it.

    Returns:
        How it fared; None when its table or its rejected file is not as the load had left it, so
        that it must be loaded.
    """
    facts, started = json.loads(same.known.input.facts), time.perf_counter()
    applied = load_unchanged(
        load_of(run), source.table, same.known, lambda: _republished(run, source, same, facts)
    )
    if applied is None:
        logger.info("%s: the same file, but not the same table: loaded again", source.name)
        return None
    _report(run, source, facts=facts, trace=same.trace)
    counts = applied.of(source.table)
    run.metrics.record_totals(read=counts.rows_read, rejected=counts.rows_rejected)
    run.metrics.add(LOADING, seconds=time.perf_counter() - started,
                    record_count=counts.rows_read, error_count=0)  # fmt: skip
    path = _rejected_path(run, source, run.plan.run_id)
    outcome = SourceOutcome(
        source.name, source.table.name, LOADED, counts,
        rejected_file=str(path) if is_there(path) else "", notes=facts["notes"],
        skipped=dict(source.feed.left_out), unchanged_since=same.known.input.since,
    )  # fmt: skip
    return outcome, applied


def _republished(
    run: RunContext, source: Source, same: Recognised, facts: dict[str, Any]
) -> Input | None:
    known = Published(**facts["rejected"])
    if run.rejected_folder is None:
        return None
    again = republish(
        run.rejected_folder, source.name, known, earlier=same.known.run_id, run_id=run.plan.run_id
    )
    if again is None:
        return None
    return replace(same.known.input, facts=json.dumps({**facts, "rejected": asdict(again)}))


def _report(run: RunContext, source: Source, *, facts: dict[str, Any], trace: FileTrace) -> None:
    """Fills in what reading the source would have noticed."""
    source.watch.facts.update(dict.fromkeys(facts["facts"]))
    source.watch.warnings.update(dict.fromkeys(facts["warnings"]))
    source.feed.left_out.update(facts["left_out"])
    run.ledger.notices += facts["notices"]
    reasons = {(error_class, name): n for error_class, name, n in facts["reasons"]}
    run.ledger.rejects[source.name] = Counter(reasons)
    if source.feed.trace is not None:
        for name, value in vars(trace).items():
            setattr(source.feed.trace, name, value)
        made = facts["extracted_at"]
        source.feed.trace.extracted_at = datetime.fromisoformat(made) if made else None

"""What a run reports of the rejected records that are kept."""

from collections.abc import Iterator

from etl.history.kept_letters import count_letters, forget_closed, now_for_a_person
from etl.history.runs import REPROCESS
from etl.pipeline.context import RunContext
from etl.pipeline.summarize import Findings
from etl.words import counted


def report_letters(run: RunContext, findings: Findings) -> None:
    """Delete what has been closed for long, count the others, and note what a person should know.

    Args:
        run: the run, after its loads.
        findings: takes the counts and the lines.
    """
    days = run.config.processing.dead_letter_days
    run.kept(lambda: forget_closed(run.db, run.plan.started_at, days))
    findings.letters = run.kept(lambda: count_letters(run.db))
    findings.attention += run.kept(lambda: list(_given_up(run)))
    findings.notices += _notices(run, findings)


def _given_up(run: RunContext) -> Iterator[str]:
    """Those that this run has tried for the last time; a load of its source says so by counts."""
    rows = now_for_a_person(run.db, run.plan.run_id) if run.plan.mode == REPROCESS else 0
    if rows:
        attempts = run.limits.letter_attempts
        yield (
            f"rejected records: {rows} could not be loaded in {counted(attempts, 'attempt')} and "
            "stay for a person. Next: correct them in the rejected file, or what they lack, and "
            "try them with a larger DEAD_LETTER_ATTEMPTS"
        )


def _notices(run: RunContext, findings: Findings) -> Iterator[str]:
    for each in findings.letters:
        yield f"rejected records of {each.words(run.plan.started_at)}"
    for table, letters in run.ledger.letters.items():
        if letters.left_out:
            yield (
                f"{table}: {counted(letters.left_out, 'rejected record')} in the rejected file "
                "alone, too many or too long to be kept (DEAD_LETTER_LIMIT)"
            )

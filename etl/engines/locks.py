"""Who keeps a lock that was waited for in vain: in a sentence, with what to do."""

from collections.abc import Sequence

from etl.engines.engine import Blocker, Session
from etl.errors import LoadingError

_NAMED = 3


def blocked_by(session: Session, sql: str) -> tuple[str, str]:
    """Return who may have blocked a statement, and what to do about it.

    Args:
        session: on which nothing is open.
        sql: the statement that waited; of the sessions that have locked something, those count
            that have locked a table of it, if there are any.
    """
    try:
        found = session.blockers()
    except LoadingError as error:
        if not error.next_step:
            return "who has it cannot be seen", _WAIT
        return "this login may not see who has it", f"{_WAIT}; to see who it is: {error.next_step}"
    of_statement = [blocker for blocker in found if f'"{blocker.table}"' in sql]
    return _named(of_statement or found)


_WAIT = "wait until whoever has locked the tables is done, and run again"


def _named(found: Sequence[Blocker]) -> tuple[str, str]:
    if not found:
        return "whoever had it has gone meanwhile", "run again"
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    rights = {blocker.right for blocker in found if blocker.right}
    unseen = f"; to see its statement: {', '.join(sorted(rights))}" if rights else ""
    who = "; ".join(map(str, found[:_NAMED]))
    return f"locked by {who}{more}", f"{_WAIT}, or end that session{unseen}"

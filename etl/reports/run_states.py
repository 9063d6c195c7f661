"""How the outcome of a run is shown: a state that says the colour, a sign, and words."""

from dataclasses import dataclass

from etl.history.audit import ATTENTION, FAILED, IN_USE, INTERRUPTED, KILLED, SUCCESS
from etl.reports.page import NOTHING, Markup, escaped
from etl.words import UNKNOWN

GOOD, WARN, BAD, IDLE = "good", "warn", "bad", "idle"


@dataclass(frozen=True)
class Outcome:
    """One way for a run to end."""

    state: str
    headline: str


_OUTCOMES = {
    SUCCESS: Outcome(GOOD, "Loaded and clean"),
    ATTENTION: Outcome(WARN, "Loaded, with something to look at"),
    FAILED: Outcome(BAD, "Failed"),
    INTERRUPTED: Outcome(BAD, "Interrupted"),
    KILLED: Outcome(BAD, "Killed before it could end"),
    IN_USE: Outcome(IDLE, "Did not run: the warehouse was in use"),
}

# Each state has a shape of its own, so that it is told apart without its colour.
_SHAPES = {
    GOOD: '<circle class="in" cx="8" cy="8" r="8"/><path class="off" d="M4.2 8.4l2.6 2.6 5-5.6"/>',
    WARN: '<path class="in" d="M8 .6l7.8 14.4H.2z"/><path class="off" d="M8 5.8v3.8M8 12.4v.1"/>',
    BAD: '<rect class="in" width="16" height="16" rx="3"/>'
    '<path class="off" d="M4.8 4.8l6.4 6.4M11.2 4.8l-6.4 6.4"/>',
    IDLE: '<circle class="in" cx="8" cy="8" r="8"/><path class="off" d="M4.6 8h6.8"/>',
}


def outcome_of(status: str) -> Outcome:
    """What a status means; one that nobody knows is shown as it is.

    Example:
        >>> outcome_of("failed").headline
        'Failed'
    """
    return _OUTCOMES.get(status, Outcome(IDLE, _unknown_headline(status)))


def _unknown_headline(status: str) -> str:
    return "Ended nobody knows how" if status == UNKNOWN else f"Status: {status}"


def sign(state: str) -> Markup:
    """The picture of a state; the word stands beside it.

    Example:
        >>> sign("good").startswith('<svg class="sign good"')
        True
    """
    return Markup(
        f'<svg class="sign {state}" viewBox="0 0 16 16" aria-hidden="true">{_SHAPES[state]}</svg>'
    )


def marked(state: str, words: object) -> Markup:
    """Words with their sign, in the colour of the state."""
    return Markup(f'<span class="mark {state}">{sign(state)} {escaped(words)}</span>')


def note(state: str, words: Markup) -> Markup:
    """An item of a list of things to know."""
    return Markup(f'<li class="{state}">{sign(state)} {words}</li>') if words else NOTHING

"""Which alerts are sent, and which are held back because one of their kind was sent lately."""

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from etl.alerts.folder import DECISIONS_LOG, AlertFiles, AlertState
from etl.errors import ConfigurationError
from etl.settings.sections.alerts import AlertConfig
from etl.words import counted

SENT, THROTTLED, FAILED = "SENT", "THROTTLED", "FAILED"

# Longer than a delivery takes. A process that was killed before it could say whether its alert
# was sent holds the next one back no longer than this; a clock that is put right by less than
# this has not gone back.
_UNDECIDED_S = 60.0
# What is older is forgotten, unless its window is longer.
_REMEMBERED_S = 30 * 24 * 3600.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Entry:
    """What is remembered of the alerts with one key.

    Attributes:
        sent_at: when the last one was let through, in seconds of the Unix clock.
        confirmed: whether it is known to have been sent.
        held_back: how many were held back since the last one that was sent.
    """

    sent_at: float
    confirmed: bool = True
    held_back: int = 0


def _entry(value: object) -> _Entry | None:
    """An entry of the state file, None for anything else: anybody may have edited it."""
    if not isinstance(value, dict):
        return None
    sent_at, held_back = _number(value.get("sent_at")), _number(value.get("held_back", 0))
    if sent_at is None or held_back is None:
        return None
    return _Entry(sent_at, bool(value.get("confirmed")), max(0, int(held_back)))


def _number(value: object) -> float | None:
    # refuses NaN and infinity too
    return float(value) if isinstance(value, int | float) and abs(value) < 2**53 else None


class AlertThrottler:
    """Lets an alert through unless one with its key was sent within the window.

    `should_send_alert` claims the window at once, so that of two processes only one sends.
    `log_alert_sent` confirms the claim; `log_alert_failed` gives it back, because an alert that
    was not delivered holds no other back.

    Args:
        throttle_window_minutes: for how long alerts with one key are not repeated; 0 lets all
            through.
        files: folder in which to remember across processes. Without it the object remembers by
            itself, and the decisions are written to LOG_DIR/alerts of the settings.
        clock: seconds of the Unix clock.

    Attributes:
        throttle_window: the window in seconds.
        recent_alerts: when alerts were let through, by key, in seconds of the Unix clock. It is
            what decides: an entry that is removed or aged has that effect, and what other
            processes sent comes in before each decision.

    Example:
        >>> throttler = AlertThrottler(throttle_window_minutes=30)
        >>> throttler.should_send_alert("database_connection_error")
        True
        >>> throttler.should_send_alert("database_connection_error")
        False
        >>> throttler.recent_alerts.clear()
        >>> throttler.should_send_alert("database_connection_error")
        True
    """

    def __init__(
        self,
        throttle_window_minutes: int = 30,
        *,
        files: AlertFiles | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.throttle_window = throttle_window_minutes * 60
        self.recent_alerts: dict[str, float] = {}
        self._files = files
        self._state = AlertState(files.folder if files else None)
        self._clock = clock
        self._before: dict[str, _Entry | None] = {}
        self._merged: dict[str, float] = {}  # what of the memory is in `recent_alerts` already
        self._lock = threading.Lock()

    def should_send_alert(self, alert_key: str) -> bool:
        """Return whether the alert is to be sent; if so, hold back others with its key.

        Args:
            alert_key: what kind of alert it is, such as "database_connection_error".
        """
        now = self._now()
        with self._lock:
            claimed, before = self._state.change(lambda data: self._claim(data, alert_key, now))
            if claimed:
                self._before[alert_key] = before
        return claimed

    def _claim(
        self, data: dict[str, Any], alert_key: str, now: float
    ) -> tuple[bool, _Entry | None]:
        entries = self._entries(data, now)
        before = _entry(entries.get(alert_key))
        if before is not None and before.sent_at != self._merged.get(alert_key):
            self._remember(alert_key, before.sent_at)  # another process sent it
        if self._holds_back(alert_key, before, now):
            known = before or _Entry(self.recent_alerts[alert_key])
            entries[alert_key] = asdict(replace(known, held_back=known.held_back + 1))
            return False, before
        held_back = before.held_back if before else 0
        entries[alert_key] = asdict(_Entry(now, confirmed=False, held_back=held_back))
        self._remember(alert_key, now)
        return True, before

    def _remember(self, alert_key: str, sent_at: float) -> None:
        self.recent_alerts[alert_key] = self._merged[alert_key] = sent_at

    def _holds_back(self, alert_key: str, before: _Entry | None, now: float) -> bool:
        sent_at = self.recent_alerts.get(alert_key)
        if sent_at is None:
            return False
        undecided = before is not None and not before.confirmed and alert_key not in self._before
        window_s = min(_UNDECIDED_S, self.throttle_window) if undecided else self.throttle_window
        return self._is_recent(sent_at, now, window_s)

    def _is_recent(self, sent_at: float, now: float, window_s: float) -> bool:
        # An alert of the future was sent before the clock went back. It must not silence others
        # until that time comes again.
        return window_s > 0 and -_UNDECIDED_S < now - sent_at < window_s

    def _entries(self, data: dict[str, Any], now: float) -> dict[str, Any]:
        """The part of the memory that is the throttler's, without what is broken or long past."""
        kept = data.get("alerts")
        known = kept if isinstance(kept, dict) else {}
        oldest = now - max(_REMEMBERED_S, self.throttle_window)
        data["alerts"] = {
            key: value
            for key, value in known.items()
            if (entry := _entry(value)) is not None and entry.sent_at > oldest
        }
        entries: dict[str, Any] = data["alerts"]
        return entries

    def held_back(self, alert_key: str) -> int:
        """Return how many were held back before the alert that was let through last."""
        before = self._before.get(alert_key)
        return before.held_back if before else 0

    def log_alert_sent(self, alert_key: str) -> None:
        """Note that the alert was delivered: the window counts, and so does what it reported.

        Args:
            alert_key: as given to `should_send_alert`.
        """
        now, reported = self._now(), self.held_back(alert_key)
        with self._lock:
            sent_at = self.recent_alerts.get(alert_key, now)
            self._remember(alert_key, sent_at)
            self._before.pop(alert_key, None)
            self._state.change(lambda data: self._confirm(data, alert_key, sent_at, reported))
        window = self._window_words()
        reason = f"none within {window}; {reported} held back since the last"
        self.log_alert_decision(alert_key, SENT, reason)

    def _confirm(self, data: dict[str, Any], alert_key: str, sent_at: float, reported: int) -> None:
        entries = self._entries(data, sent_at)
        now_held = _entry(entries.get(alert_key)) or _Entry(sent_at)
        since = max(0, now_held.held_back - reported)  # by others, while it was being sent
        entries[alert_key] = asdict(_Entry(sent_at, held_back=since))

    def log_alert_failed(self, alert_key: str, reason: str) -> None:
        """Note that the alert was not delivered: the next one with its key is sent.

        Args:
            alert_key: as given to `should_send_alert`.
            reason: why it was not.
        """
        now = self._now()
        with self._lock:
            before = self._before.pop(alert_key, None)
            if before is not None:
                self._merged[alert_key] = before.sent_at
            if self.recent_alerts.pop(alert_key, None) is not None:
                self._state.change(lambda data: self._give_back(data, alert_key, before, now))
        self.log_alert_decision(alert_key, FAILED, reason)

    def _give_back(
        self, data: dict[str, Any], alert_key: str, before: _Entry | None, now: float
    ) -> None:
        entries = self._entries(data, now)
        claimed = _entry(entries.pop(alert_key, None))
        held_back = claimed.held_back if claimed else 0
        if before is not None or held_back:
            known = before or _Entry(now - self.throttle_window)
            entries[alert_key] = asdict(replace(known, held_back=held_back))

    def log_alert_throttled(self, alert_key: str, reason: str) -> None:
        """Note that the alert was held back.

        Args:
            alert_key: as given to `should_send_alert`.
            reason: why.
        """
        self.log_alert_decision(alert_key, THROTTLED, reason)

    def log_alert_decision(self, alert_key: str, decision: str, reason: str) -> None:
        """Write one line to `throttling_decisions.log`.

        Args:
            alert_key: what kind of alert it is.
            decision: what was decided, such as "SENT".
            reason: why.
        """
        time_text = f"{datetime.fromtimestamp(self._now(), UTC):%Y-%m-%d %H:%M:%S} UTC"
        parts = (time_text, decision, alert_key, reason)
        files = self._files or _default_files()
        if files is not None:
            files.append(DECISIONS_LOG, " | ".join(" ".join(part.split()) for part in parts))

    def throttled_reason(self, alert_key: str) -> str:
        """Return why an alert was just held back, in words."""
        now = self._now()
        entry = self._state.change(lambda data: _entry(self._entries(data, now).get(alert_key)))
        sent_at = entry.sent_at if entry else self.recent_alerts.get(alert_key, now)
        minutes = math.floor(max(0.0, now - sent_at) / 60)
        count = entry.held_back if entry else 0
        return (
            f"the last one was sent {counted(minutes, 'minute')} ago, the window is "
            f"{self._window_words()}; {count} held back since"
        )

    def _window_words(self) -> str:
        return f"{self.throttle_window / 60:g} minutes"

    def _now(self) -> float:
        return self._clock() if self._clock else time.time()


def _default_files() -> AlertFiles | None:
    try:
        return AlertFiles.of(AlertConfig())
    except ConfigurationError as error:  # whoever loads the settings gets the error
        logger.debug("no decisions are written: %s", error)
        return None

"""How often an interface is asked, and how long it asks to wait."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from typing import Any

from etl.sources.rest.library import library


class Pace:
    """A token bucket: so many calls in so many seconds, and no more; safe to share by threads.

    Args:
        calls: number of calls.
        seconds: in so many seconds.
        clock: a reading in seconds that never goes back.
        sleep: waits for a number of seconds.

    Example:
        >>> waits = []
        >>> pace = Pace(2, 60.0, clock=lambda: sum(waits), sleep=waits.append)
        >>> for _ in range(3):
        ...     pace.wait()
        >>> [round(seconds) for seconds in waits]
        [60]
    """

    def __init__(
        self,
        calls: int,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        limiter = library("pyrate_limiter")
        self._bucket = limiter.InMemoryBucket([limiter.Rate(calls, round(seconds * 1000))])
        self._item: Callable[[int], Any] = lambda now: limiter.RateItem("call", now)
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait until a call may be made, and count it."""
        while (seconds := self._try()) > 0:
            self._sleep(seconds)

    def _try(self) -> float:
        """Count a call, or return the seconds until one is free."""
        with self._lock:
            now = int(self._clock() * 1000)
            self._bucket.leak(now)
            item = self._item(now)
            if self._bucket.put(item):
                return 0.0
            return max(float(self._bucket.waiting(item)) / 1000, 0.001)


@cache
def shared_pace(_origin: str, calls: int, seconds: float) -> Pace:
    """Return the pace at which this process asks an origin, whoever asks."""
    return Pace(calls, seconds)


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Return how many seconds an answer asks to wait; None where it does not say.

    Args:
        header: `Retry-After`, a number of seconds or a date.
        now: the present moment, with its zone.

    Example:
        >>> retry_after_s("120", datetime(2024, 1, 20, tzinfo=UTC))
        120.0
        >>> retry_after_s("Sat, 20 Jan 2024 00:01:00 GMT", datetime(2024, 1, 20, tzinfo=UTC))
        60.0
    """
    text = (header or "").strip()
    if text.replace(".", "", 1).isdecimal() and text.isascii():
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - now).total_seconds(), 0.0)

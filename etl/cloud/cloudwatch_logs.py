"""Log lines sent to CloudWatch, in batches as large as the service takes.

A line waits until its batch is full, a few seconds have passed or the log is closed. What hinders
it is reported once, on stderr, and the rest of the run is not sent: the load is worth more.
"""

import logging
import sys
import time
from collections.abc import Callable
from typing import Any

from etl.cloud.access import CloudAccess
from etl.cloud.aws import aws_client, aws_refusals
from etl.errors import ETLError

# What PutLogEvents takes at most: "CloudWatch Logs quotas" (docs.aws.amazon.com).
MOST_BYTES = 1_048_576
MOST_LINES = 10_000
LONGEST_LINE = 256 * 1024
LINE_OVERHEAD = 26  # bytes that a line counts besides its text
_LONGEST_WAIT_S = 5.0
_ANSWER_S = 5.0
_CUT = " ... (cut)"
# What sending a line logs must not be sent, or there would be no end.
_OF_THE_SENDING = ("botocore", "boto3", "urllib3", "s3transfer", "etl.cloud", "etl.resilience")


class CloudWatchHandler(logging.Handler):
    """Sends log lines to a stream of a log group, both of which are made when missing.

    Args:
        access: how CloudWatch is reached.
        group: the log group.
        stream: the stream in it.
        clock: seconds; only differences between readings are used.
    """

    def __init__(
        self, access: CloudAccess, group: str, stream: str,
        *, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        super().__init__()
        self._access, self._group, self._stream = access, group, stream
        self._clock, self._sent_at = clock, clock()
        self._waiting: list[dict[str, Any]] = []
        self._bytes = 0
        self._client: Any = None
        self._is_off = False

    def emit(self, record: logging.LogRecord) -> None:
        """Put a line to those that wait, and send them where it is time."""
        if self._is_off or record.name.startswith(_OF_THE_SENDING):
            return
        text = _cut(self.format(record))
        size = len(text.encode()) + LINE_OVERHEAD
        if self._bytes + size > MOST_BYTES or len(self._waiting) >= MOST_LINES:
            self.flush()
        self._waiting.append({"timestamp": int(record.created * 1000), "message": text})
        self._bytes += size
        if self._clock() - self._sent_at >= _LONGEST_WAIT_S:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        lines, self._waiting, self._bytes = self._waiting, [], 0
        self._sent_at = self._clock()
        if self._is_off or not lines:
            return
        lines.sort(key=lambda line: line["timestamp"])  # threads log side by side
        try:
            self._send(lines)
        except Exception as error:  # noqa: BLE001  # nothing of it may reach the run
            self._give_up(error)

    def close(self) -> None:
        """Send what waits, and end."""
        self.acquire()
        try:
            self.flush()
        finally:
            self.release()
        super().close()

    def _send(self, lines: list[dict[str, Any]]) -> None:
        place = f"CloudWatch's log group {self._group}"
        with aws_refusals(place):
            self._client = self._client or self._opened()
            self._client.put_log_events(
                logGroupName=self._group, logStreamName=self._stream, logEvents=lines
            )

    def _opened(self) -> Any:
        client = aws_client("logs", self._access, answer_s=_ANSWER_S)
        names = {"logGroupName": self._group, "logStreamName": self._stream}
        try:
            client.create_log_stream(**names)
        except client.exceptions.ResourceNotFoundException:
            client.create_log_group(logGroupName=self._group)
            client.create_log_stream(**names)
        except client.exceptions.ResourceAlreadyExistsException:
            pass
        return client

    def _give_up(self, error: Exception) -> None:
        self._is_off = True
        words = str(error) if isinstance(error, ETLError) else f"{type(error).__name__}: {error}"
        if sys.stderr is not None:  # a Windows service has none
            sys.stderr.write(f"the log is not sent any further: {words}\n")


def _cut(text: str) -> str:
    """The text, as much of it as one line may have; the service refuses an empty one."""
    if len(text) * 4 <= LONGEST_LINE or len(text.encode()) <= LONGEST_LINE - LINE_OVERHEAD:
        return text or " "
    room = LONGEST_LINE - LINE_OVERHEAD - len(_CUT)
    return text.encode()[:room].decode("utf-8", "ignore") + _CUT

"""An alert is not repeated within its window, across runs and processes, and never lost."""

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from etl.alerts import folder as alert_state
from etl.alerts.folder import DECISIONS_LOG, AlertFiles
from etl.alerts.throttling import AlertThrottler

ROOT = Path(__file__).resolve().parents[2]

KEY = "dev_run_LoadingError"
MINUTE = 60.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def run(tmp_path: Path, clock: Clock) -> Callable[[], AlertThrottler]:
    """The throttler of another run, with the memory of those before."""
    return lambda: AlertThrottler(30, files=AlertFiles(tmp_path), clock=clock)


def sent(throttler: AlertThrottler, key: str = KEY) -> bool:
    allowed = throttler.should_send_alert(key)
    if allowed:
        throttler.log_alert_sent(key)
    return allowed


def state(folder: Path) -> Path:
    return folder / alert_state.STATE_FILE


# --- as specified --------------------------------------------------------------------------


def test_the_window_is_kept_in_seconds_and_nothing_was_sent_at_first() -> None:
    throttler = AlertThrottler(throttle_window_minutes=45)
    assert throttler.throttle_window == 45 * 60
    assert throttler.recent_alerts == {}
    assert AlertThrottler().throttle_window == 30 * 60


def test_by_itself_it_remembers_only_for_as_long_as_it_lives() -> None:
    throttler = AlertThrottler()
    assert throttler.should_send_alert("database_connection_error")
    assert not throttler.should_send_alert("database_connection_error")
    assert throttler.should_send_alert("another_error")
    assert AlertThrottler().should_send_alert("database_connection_error")


def test_time_and_memory_can_be_set_from_outside() -> None:
    throttler = AlertThrottler(30)
    with patch("time.time", return_value=1000.0):
        assert throttler.should_send_alert(KEY)
    assert throttler.recent_alerts == {KEY: 1000.0}
    with patch("time.time", return_value=1000.0 + 29 * MINUTE):
        assert not throttler.should_send_alert(KEY)
    throttler.recent_alerts.clear()
    throttler.recent_alerts["x"] = 2000.0
    with patch("time.time", return_value=2000.0 + 10 * MINUTE):
        assert not throttler.should_send_alert("x")


def test_each_decision_is_a_line_with_time_key_and_reason(
    run: Callable[[], AlertThrottler], tmp_path: Path
) -> None:
    throttler = run()
    throttler.should_send_alert(KEY)
    throttler.log_alert_sent(KEY)
    throttler.log_alert_throttled(KEY, "Recently sent similar alert")
    throttler.log_alert_decision("a\nSENT | forged", "THROTTLED", "two\nlines")
    lines = (tmp_path / "throttling_decisions.log").read_text("utf-8").splitlines()
    assert lines == [
        f"2023-11-14 22:13:20 UTC | SENT | {KEY} | none within 30 minutes; "
        "0 held back since the last",
        f"2023-11-14 22:13:20 UTC | THROTTLED | {KEY} | Recently sent similar alert",
        "2023-11-14 22:13:20 UTC | THROTTLED | a SENT | forged | two lines",
    ]


# --- across runs ---------------------------------------------------------------------------


def test_of_twelve_failing_runs_in_an_hour_two_alert_and_the_second_knows_of_the_others(
    run: Callable[[], AlertThrottler], clock: Clock
) -> None:
    reported = []
    for _ in range(13):
        throttler = run()
        if throttler.should_send_alert(KEY):
            reported.append(throttler.held_back(KEY))
            throttler.log_alert_sent(KEY)
        clock.now += 5 * MINUTE
    assert reported == [0, 5, 5]


def test_after_the_window_what_was_held_back_is_reported_once(
    run: Callable[[], AlertThrottler], clock: Clock
) -> None:
    assert sent(run())
    for _ in range(11):
        assert not sent(run())
    clock.now += 31 * MINUTE
    throttler = run()
    assert throttler.should_send_alert(KEY)
    assert throttler.held_back(KEY) == 11
    throttler.log_alert_sent(KEY)
    clock.now += 31 * MINUTE
    throttler = run()
    assert throttler.should_send_alert(KEY)
    assert throttler.held_back(KEY) == 0


def test_the_reason_says_when_and_how_many(run: Callable[[], AlertThrottler], clock: Clock) -> None:
    sent(run())
    clock.now += 12 * MINUTE
    throttler = run()
    assert not throttler.should_send_alert(KEY)
    assert throttler.throttled_reason(KEY) == (
        "the last one was sent 12 minutes ago, the window is 30 minutes; 1 held back since"
    )


def test_a_window_of_nothing_lets_all_through(tmp_path: Path, clock: Clock) -> None:
    for _ in range(3):
        assert sent(AlertThrottler(0, files=AlertFiles(tmp_path), clock=clock))


def test_an_alert_that_was_not_delivered_holds_no_other_back(
    run: Callable[[], AlertThrottler], clock: Clock, tmp_path: Path
) -> None:
    sent(run())
    sent(run())
    clock.now += 31 * MINUTE
    throttler = run()
    assert throttler.should_send_alert(KEY)
    throttler.log_alert_failed(KEY, "connection refused")
    assert "FAILED" in (tmp_path / "throttling_decisions.log").read_text("utf-8")
    assert throttler.should_send_alert(KEY)
    throttler.log_alert_failed(KEY, "connection refused")
    throttler = run()
    assert throttler.should_send_alert(KEY)
    assert throttler.held_back(KEY) == 1


def test_a_run_that_was_killed_while_it_sent_holds_others_back_for_a_minute_only(
    run: Callable[[], AlertThrottler], clock: Clock
) -> None:
    assert run().should_send_alert(KEY)  # and nothing more is heard of it
    clock.now += 30
    assert not run().should_send_alert(KEY)
    clock.now += 31
    throttler = run()
    assert throttler.should_send_alert(KEY)
    assert throttler.held_back(KEY) == 1


@pytest.mark.parametrize("back_s", [2 * MINUTE, 24 * 3600, 10 * 365 * 24 * 3600])
def test_a_clock_that_goes_back_silences_nothing(
    run: Callable[[], AlertThrottler], clock: Clock, back_s: float
) -> None:
    sent(run())
    clock.now -= back_s
    assert sent(run())
    assert not sent(run())


def test_a_clock_that_is_put_right_by_a_second_repeats_nothing(
    run: Callable[[], AlertThrottler], clock: Clock
) -> None:
    sent(run())
    clock.now -= 1
    assert not sent(run())


def test_what_is_long_past_is_forgotten(
    run: Callable[[], AlertThrottler], clock: Clock, tmp_path: Path
) -> None:
    sent(run(), "old")
    clock.now += 31 * 24 * 3600
    sent(run(), "new")
    assert list(json.loads(state(tmp_path).read_text())["alerts"]) == ["new"]


# --- two at once ---------------------------------------------------------------------------

_DECIDE = """
import sys
from pathlib import Path
from etl.alerts.folder import DECISIONS_LOG, AlertFiles
from etl.alerts.throttling import AlertThrottler
throttler = AlertThrottler(30, files=AlertFiles(Path(sys.argv[1])))
print("ready", flush=True)
sys.stdin.readline()
for number in range(50):
    if throttler.should_send_alert(f"key {number}"):
        throttler.log_alert_sent(f"key {number}")
        print(number)
"""


def test_of_two_processes_that_decide_at_once_one_sends(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    deciders = [
        subprocess.Popen(
            [sys.executable, "-c", _DECIDE, str(tmp_path)], env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]  # fmt: skip
    for decider in deciders:
        assert decider.stdout
        assert decider.stdout.readline() == "ready\n"
    outputs: list[str] = []
    threads = [
        threading.Thread(target=lambda d=decider: outputs.append(d.communicate("\n")[0]))
        for decider in deciders
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, "".join(outputs).split())) == list(range(50))
    lines = (tmp_path / "throttling_decisions.log").read_text("utf-8").splitlines()
    assert len(lines) == 50
    kept = json.loads(state(tmp_path).read_text())["alerts"]
    assert {entry["held_back"] for entry in kept.values()} == {1}


def test_what_others_hold_back_while_one_sends_is_counted(
    run: Callable[[], AlertThrottler], clock: Clock
) -> None:
    first, second = run(), run()
    assert first.should_send_alert(KEY)
    assert not second.should_send_alert(KEY)
    first.log_alert_sent(KEY)
    clock.now += 31 * MINUTE
    third = run()
    assert third.should_send_alert(KEY)
    assert third.held_back(KEY) == 1


def test_somebody_who_keeps_the_lock_does_not_keep_alerts_from_being_sent(
    run: Callable[[], AlertThrottler], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_state, "_LOCK_WAIT_S", 0.05)
    with alert_state.locked(tmp_path):
        assert run().should_send_alert(KEY)


# --- recent_alerts is what decides ---------------------------------------------------------


def test_clearing_an_entry_lets_the_next_alert_through(run: Callable[[], AlertThrottler]) -> None:
    throttler = run()
    assert sent(throttler)
    del throttler.recent_alerts[KEY]
    assert sent(throttler)
    assert not sent(throttler)


def test_ageing_an_entry_has_its_effect(run: Callable[[], AlertThrottler]) -> None:
    throttler = run()
    assert sent(throttler)
    throttler.recent_alerts[KEY] -= 29 * MINUTE
    assert not sent(throttler)
    throttler.recent_alerts[KEY] -= 1 * MINUTE
    assert sent(throttler)


def test_an_entry_that_is_added_holds_back(run: Callable[[], AlertThrottler], clock: Clock) -> None:
    throttler = run()
    throttler.recent_alerts[KEY] = clock.now - MINUTE
    assert not sent(throttler)


def test_what_another_process_sent_comes_in_also_after_clearing(
    run: Callable[[], AlertThrottler], clock: Clock
) -> None:
    mine, other = run(), run()
    assert sent(mine)
    mine.recent_alerts.clear()
    clock.now += 31 * MINUTE
    assert sent(other)
    assert not sent(mine)
    assert mine.recent_alerts == {KEY: clock.now}


# --- files that are not what they should be ------------------------------------------------


@pytest.mark.parametrize(
    "damage",
    [
        b"", b"\x00\xff garbage", b"[]", b"{", b"7", b'{"alerts": 7, "runs": []}',
        b'{"alerts": {"dev_run_LoadingError": {"sent_at": "soon"}}}',
        b'{"alerts": {"dev_run_LoadingError": {"sent_at": NaN, "held_back": 1e999}}}',
        b'{"alerts": {"dev_run_LoadingError": [1]}}', b"[" * 100_000,
    ],
    ids=range(10),
)  # fmt: skip
def test_a_damaged_state_file_is_begun_anew(
    run: Callable[[], AlertThrottler], tmp_path: Path, damage: bytes
) -> None:
    sent(run())
    state(tmp_path).write_bytes(damage)
    assert sent(run())
    assert not sent(run())


def test_where_nothing_can_be_remembered_alerts_are_sent(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "alerts").write_text("a file where the folder should be")
    throttler = AlertThrottler(30, files=AlertFiles(tmp_path / "alerts"), clock=clock)
    assert sent(throttler)
    assert not sent(throttler)
    assert sent(AlertThrottler(30, files=AlertFiles(tmp_path / "alerts"), clock=clock))
    assert "alerts may be repeated" in caplog.text


def test_on_a_full_disk_what_was_remembered_still_counts(
    run: Callable[[], AlertThrottler], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    sent(run())
    known = state(tmp_path).read_bytes()
    monkeypatch.setattr(os, "fsync", full_disk)
    assert not sent(run())
    assert state(tmp_path).read_bytes() == known


def test_what_is_remembered_never_follows_a_planted_link(
    run: Callable[[], AlertThrottler], tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for suffix in (".tmp", ".json.part"):
        state(tmp_path).with_suffix(suffix).symlink_to(victim)
    assert sent(run())
    assert victim.read_text() == "precious"
    assert state(tmp_path).is_file()


@pytest.mark.skipif(os.name == "nt", reason="rights of POSIX")
def test_files_of_alerts_are_for_their_owner_alone(
    run: Callable[[], AlertThrottler], tmp_path: Path
) -> None:
    (tmp_path / DECISIONS_LOG).touch(0o644)
    sent(run())
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert set(modes.values()) == {0o600}, modes

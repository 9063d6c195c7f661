"""A circuit opens after failures in a row, refuses, and closes again after a trial that works."""

import threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from pipeline_runs import Project

from etl.engines import duckdb, registry, sql_server
from etl.engines.database import DatabaseManager
from etl.engines.engine import Access, Reader, Session
from etl.errors import (
    CircuitOpenError,
    ConfigurationError,
    ExtractionError,
    LoadingError,
    WarehouseInUseError,
)
from etl.resilience import retry as resilience
from etl.resilience.circuit_breaker import CircuitBreaker
from etl.resilience.retry import retry_with_backoff
from etl.resilience.transient import is_transient

THRESHOLD, RECOVERY_S = 3, 60.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Server:
    """Answers, or fails with its error."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.calls = 0

    def __call__(self, answer: str = "answer") -> str:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return answer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Server:
    return Server()


def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(
        THRESHOLD, RECOVERY_S, name="mail server", clock=clock, counts=is_transient
    )


def fail(circuit: CircuitBreaker, server: Server, times: int = THRESHOLD) -> None:
    server.error = ConnectionRefusedError("connection refused")
    for _ in range(times):
        with pytest.raises(ConnectionRefusedError):
            circuit.call(server)


def test_a_closed_circuit_passes_calls_with_their_arguments_and_answers(
    clock: Clock, server: Server
) -> None:
    assert breaker(clock).call(server, answer="yes") == "yes"


def test_it_opens_at_the_threshold_and_calls_nothing_more(clock: Clock, server: Server) -> None:
    circuit = breaker(clock)
    fail(circuit, server, THRESHOLD - 1)
    assert circuit.state == "closed"
    fail(circuit, server, 1)
    assert circuit.state == "open"
    with pytest.raises(CircuitOpenError):
        circuit.call(server)
    assert server.calls == THRESHOLD


def test_the_refusal_names_the_circuit_the_seconds_left_and_the_last_failure(
    clock: Clock, server: Server
) -> None:
    circuit = breaker(clock)
    fail(circuit, server)
    clock.now += 17.5
    with pytest.raises(CircuitOpenError) as caught:
        circuit.call(server)
    message = str(caught.value)
    assert "mail server" in message
    assert "43 s" in message
    assert "3 failures" in message
    assert "connection refused" in message


def test_only_failures_in_a_row_count(clock: Clock, server: Server) -> None:
    circuit = breaker(clock)
    fail(circuit, server, THRESHOLD - 1)
    server.error = None
    circuit.call(server)
    fail(circuit, server, THRESHOLD - 1)
    assert circuit.state == "closed"


def test_an_error_that_does_not_count_is_an_answer(clock: Clock, server: Server) -> None:
    circuit = breaker(clock)
    fail(circuit, server, THRESHOLD - 1)
    server.error = ValueError("no such table")
    with pytest.raises(ValueError, match="no such table"):
        circuit.call(server)
    fail(circuit, server, THRESHOLD - 1)
    assert circuit.state == "closed"


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_being_asked_to_end_counts_as_nothing(
    clock: Clock, server: Server, end: type[BaseException]
) -> None:
    circuit = breaker(clock)
    fail(circuit, server, THRESHOLD - 1)
    server.error = end()
    with pytest.raises(end):
        circuit.call(server)
    fail(circuit, server, 1)
    assert circuit.state == "open"


def test_an_interrupted_trial_leaves_the_next_call_to_be_the_trial(
    clock: Clock, server: Server
) -> None:
    circuit = breaker(clock)
    fail(circuit, server)
    clock.now += RECOVERY_S
    server.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        circuit.call(server)
    server.error = None
    assert circuit.call(server) == "answer"
    assert circuit.state == "closed"


def test_after_the_recovery_time_a_trial_that_works_closes_it(clock: Clock, server: Server) -> None:
    circuit = breaker(clock)
    fail(circuit, server)
    clock.now += RECOVERY_S
    assert circuit.state == "half-open"
    server.error = None
    assert circuit.call(server) == "answer"
    fail(circuit, server, THRESHOLD - 1)
    assert circuit.state == "closed"


def test_a_trial_that_fails_opens_it_for_the_whole_time_again(clock: Clock, server: Server) -> None:
    circuit = breaker(clock)
    fail(circuit, server)
    clock.now += RECOVERY_S
    fail(circuit, server, 1)
    clock.now += RECOVERY_S - 1
    with pytest.raises(CircuitOpenError, match="1 s are left"):
        circuit.call(server)


def test_while_a_trial_is_under_way_all_others_are_refused(clock: Clock, server: Server) -> None:
    circuit = breaker(clock)
    fail(circuit, server)
    clock.now += RECOVERY_S
    under_way, go_on, trials = threading.Event(), threading.Event(), []

    def slow() -> None:
        trials.append("trial")
        under_way.set()
        assert go_on.wait(10)

    thread = threading.Thread(target=circuit.call, args=(slow,))
    thread.start()
    assert under_way.wait(10)  # and so no lock is held meanwhile
    for _ in range(5):
        with pytest.raises(CircuitOpenError, match="trial call is under way"):
            circuit.call(slow)
    go_on.set()
    thread.join()
    assert trials == ["trial"]
    assert circuit.state == "closed"


def test_threads_that_fail_together_open_it_for_one_recovery_time(clock: Clock) -> None:
    circuit = breaker(clock)
    together = threading.Barrier(8)

    def refused() -> None:
        together.wait(10)
        raise ConnectionResetError

    def caller() -> None:
        with pytest.raises((ConnectionResetError, CircuitOpenError)):
            circuit.call(refused)

    threads = [threading.Thread(target=caller) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with pytest.raises(CircuitOpenError, match=f"after {THRESHOLD} failures"):
        circuit.call(refused)


def test_a_call_that_ends_late_changes_nothing(clock: Clock, server: Server) -> None:
    circuit = breaker(clock)

    def opened_meanwhile() -> str:
        fail(circuit, server)
        return "late"

    assert circuit.call(opened_meanwhile) == "late"
    assert circuit.state == "open"


def test_a_block_is_guarded_like_a_call(clock: Clock, server: Server) -> None:
    circuit = breaker(clock)
    for _ in range(THRESHOLD):
        with pytest.raises(ConnectionResetError), circuit:
            raise ConnectionResetError
    with pytest.raises(CircuitOpenError), circuit:
        server()
    assert server.calls == 0
    clock.now += RECOVERY_S
    with circuit as guard:
        server()
    assert (server.calls, guard, circuit.state) == (1, circuit, "closed")


def test_blocks_may_stand_in_each_other_and_in_threads(clock: Clock) -> None:
    circuit = CircuitBreaker(1, RECOVERY_S, clock=clock)
    with circuit, circuit:
        thread = threading.Thread(target=circuit.call, args=(str,))
        thread.start()
        thread.join()
    assert circuit.state == "closed"
    with suppress(ConnectionResetError), circuit, circuit:
        raise ConnectionResetError
    assert circuit.state == "open"


def test_it_decorates(clock: Clock, server: Server) -> None:
    circuit = breaker(clock)

    @circuit
    def ask(question: str) -> str:
        """Asks."""
        return server(answer=question)

    assert ask("how?") == "how?"
    assert ask.__doc__ == "Asks."
    server.error = TimeoutError()
    for _ in range(THRESHOLD):
        with pytest.raises(TimeoutError):
            ask("how?")
    with pytest.raises(CircuitOpenError):
        ask("how?")


def test_retries_outside_of_it_end_with_its_refusal(clock: Clock, server: Server) -> None:
    circuit, waits = breaker(clock), list[float]()
    server.error = ConnectionRefusedError("connection refused")
    with pytest.raises(CircuitOpenError):
        retry_with_backoff(max_retries=20, sleep=waits.append)(circuit(server))()
    assert server.calls == THRESHOLD
    assert len(waits) == THRESHOLD


def test_a_refusal_is_not_transient_whatever_it_was_raised_from() -> None:
    error = CircuitOpenError("open")
    error.__cause__ = ConnectionRefusedError()
    assert not is_transient(error)


@pytest.mark.parametrize(
    ("threshold", "recovery"), [(0, 1.0), (1.5, 1.0), (1, -1.0), (1, float("nan"))]
)
def test_limits_that_make_no_sense_are_refused(threshold: int, recovery: float) -> None:
    with pytest.raises(ConfigurationError):
        CircuitBreaker(threshold, recovery)


# --- where runs use it ---------------------------------------------------------------------


@pytest.mark.parametrize(("settings", "attempts"), [({}, 5), ({"THRESHOLD": "2"}, 2)])
def test_a_sales_database_that_is_down_is_asked_no_more_often_than_the_setting_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], attempts: int
) -> None:
    calls = []

    def unreachable(*_args: object) -> Reader:
        calls.append("call")
        raise ExtractionError("the server is down") from ConnectionRefusedError()

    down = replace(sql_server.ENGINE, reader=unreachable)
    monkeypatch.setattr(registry, "ENGINES", (duckdb.ENGINE, down))
    monkeypatch.setattr(resilience._RANDOM, "uniform", lambda *_: 0.0)
    given = {f"BREAKER_FAILURE_{name}": value for name, value in settings.items()}
    project = Project(tmp_path, SALES_DB_CONNECTION_STRING="DSN=sales", **given)
    summary = project.run()
    assert len(calls) == attempts
    sales = summary["sources"][2]
    assert sales["status"] == "failed"
    assert (
        f"circuit open: no call to the sales database after {attempts} failures" in sales["error"]
    )
    assert "the server is down" in sales["error"]
    assert summary["exit_code"] == 3


def test_a_warehouse_that_is_down_is_not_called_until_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def refuse(*_args: object) -> Session:
        calls.append("call")
        raise LoadingError("the server is down") from ConnectionRefusedError()

    monkeypatch.setattr(registry, "ENGINES", (replace(sql_server.ENGINE, open=refuse),))
    access = Access(breaker_failures=2, breaker_recovery_s=0.0)
    db = DatabaseManager("Server=s;Database=d", access=access)
    for _ in range(3):  # no time to wait: each is a trial
        with pytest.raises(LoadingError), db:
            pass
    assert len(calls) == 3
    db = DatabaseManager("Server=s;Database=d", access=Access(breaker_failures=2))
    for reason in ("is down", "is down", "circuit open", "circuit open"):
        with pytest.raises(LoadingError, match=reason) as caught, db:
            pass
        assert is_transient(caught.value) == (reason == "is down")
    assert len(calls) == 5


def test_a_warehouse_in_use_is_no_failure_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_use(*_args: object) -> Session:
        raise WarehouseInUseError("in use")

    monkeypatch.setattr(registry, "ENGINES", (replace(sql_server.ENGINE, open=in_use),))
    access = Access(lock_wait_s=20.0, breaker_failures=2)
    waits: list[float] = []
    with pytest.raises(WarehouseInUseError):
        DatabaseManager("Server=s;Database=d", access=access, sleep=waits.append).__enter__()
    assert len(waits) == 20

"""Connecting to SQL Server: connection strings, drivers, and what is said when it fails.

Where Microsoft's driver is at hand it connects for real, to sockets on this machine that answer
with the few packets of the TDS protocol that a login takes.
"""

import ctypes
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from etl.engines.odbc import (
    choose_driver,
    connect,
    driver_in_use,
    library_in,
    pip_driver,
    refusal,
    refuse_unfit,
    server_version,
    target_of,
)
from etl.errors import ConfigurationError, LoadingError
from etl.resilience.transient import is_transient
from etl.settings.connection_strings import braced, joined, masked, parse

ROOT = Path(__file__).resolve().parents[2]

pyodbc = pytest.importorskip(
    "pyodbc", reason="this system has no ODBC manager", exc_type=ImportError
)

DRIVER_17, DRIVER_18 = "ODBC Driver 17 for SQL Server", "ODBC Driver 18 for SQL Server"
SAYS_18 = f"[Microsoft][{DRIVER_18}]"
AWKWARD = "hunter2}x;y"
LOGIN = f"UID=etl_night;PWD={braced(AWKWARD)}"

FREETDS = next(Path("/usr/lib").glob("*/odbc/libtdsodbc.so"), None)


def _why_not() -> str:
    """Why the driver that pip brings cannot be used here; empty when it can."""
    library = pip_driver()
    if library is None:
        return "no driver of Microsoft's (pip install mssql-python)"
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        return f"the driver of Microsoft's cannot be opened: {error}"
    return ""


needs_microsofts = pytest.mark.skipif(bool(_why_not()), reason=_why_not())


sendable = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


def nothing() -> None:
    return None


# ---- connection strings ----


@given(st.lists(sendable, max_size=4))
@example([" a ", "{", "}}", "}"])
def test_braced_values_are_read_back_whatever_they_contain(values: list[str]) -> None:
    text = ";".join(f"K{number}={braced(value)}" for number, value in enumerate(values))
    assert [value for _, value in parse(text)] == values


@given(st.lists(sendable, max_size=4))
def test_what_is_joined_is_read_back(values: list[str]) -> None:
    pairs = tuple((f"K{number}", value) for number, value in enumerate(values))
    assert parse(joined(pairs)) == pairs


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("Server=a;server=b;SERVER={c}", [("Server", "a")]),
        (";; Server = a ;;\n Database={b} ; ", [("Server", "a"), ("Database", "b")]),
        ("Driver = {x y};UID=", [("Driver", "x y"), ("UID", "")]),
        ("Server=tcp:a\\b,1433;App=a=b{c}d", [("Server", "tcp:a\\b,1433"), ("App", "a=b{c}d")]),
        ("PWD= with spaces ;UID= etl ", [("PWD", " with spaces "), ("UID", "etl")]),
        ("PWD={a}};UID=x};UID=etl", [("PWD", "a};UID=x"), ("UID", "etl")]),
        ("", []),
    ],
)
def test_how_a_connection_string_is_read(text: str, pairs: list[tuple[str, str]]) -> None:
    assert list(parse(text)) == pairs


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Server=a;PWD=hunt;er2", "character 19, after the value of PWD"),
        ("Server=a;PWD={hunter2", "character 10, after the value of SERVER"),
        ("Server=a;PWD={hunter2}er2;Encrypt=yes", "character 10, after the value of SERVER"),
        ("PWD={hunt}er2}", "character 1"),
        ("PWD=a;hunter2=b;c", "character 17, after the value of PWD"),
        ("=hunter2", "character 1"),
        ("Server=a;PWD=hunter\ud8002", "character 20"),
        ("Server=a;PWD=hunter\x002", "character 20"),
    ],
)
def test_a_malformed_string_is_located_and_not_shown(text: str, place: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text)
    assert re.search(f"at {place}\\.", str(caught.value))
    assert not re.search("hunt|er2", "".join(traceback.format_exception(caught.value)))


@given(st.text(), st.text(min_size=3), st.text())
@example("{p}}w", "p}w", "")
def test_no_secret_is_left_in_a_masked_text(before: str, word: str, after: str) -> None:
    parts = masked(f"{before}{word}{after}", [word]).split("***")
    assert not any(word in part for part in parts)


def test_a_short_secret_is_masked_only_where_it_stands_alone() -> None:
    assert masked("[08001] sa cannot use message (0)", ["sa", "0"]) == (
        "[08001] *** cannot use message (***)"
    )


# ---- which driver is taken ----


def test_the_newest_driver_of_microsoft_is_taken_by_number() -> None:
    installed = ["ODBC Driver 9 for SQL Server", DRIVER_17, "FreeTDS", DRIVER_18, "SQL Server"]
    assert choose_driver("", installed) == DRIVER_18
    assert choose_driver("", installed[:2]) == DRIVER_17


def test_a_named_driver_goes_before_newer_ones_whatever_its_case() -> None:
    assert choose_driver(DRIVER_17.upper(), [DRIVER_18, DRIVER_17]) == DRIVER_17


def test_a_driver_may_be_named_by_path(tmp_path: Path) -> None:
    library = tmp_path / "libmsodbcsql-18.6.so.2.1"
    library.touch()
    assert choose_driver(str(library), []) == str(library)
    assert choose_driver("libmsodbcsql.so", []) == "libmsodbcsql.so"
    with pytest.raises(LoadingError, match=r"gone\.so' is not there; installed: FreeTDS\."):
        choose_driver(str(tmp_path / "gone.so"), ["FreeTDS"])


def test_without_an_installed_driver_the_one_from_pip_is_taken(tmp_path: Path) -> None:
    library = tmp_path / "libmsodbcsql.18.dylib"
    chosen = choose_driver("", ["FreeTDS", "SQL Server"], from_pip=lambda: library)
    assert chosen == str(library)
    assert choose_driver("", [DRIVER_17], from_pip=lambda: library) == DRIVER_17


def test_without_any_driver_the_choices_are_named() -> None:
    with pytest.raises(LoadingError) as caught:
        choose_driver("", ["SQLite3", "FreeTDS"], from_pip=nothing)
    message = str(caught.value)
    assert "installed: SQLite3, FreeTDS." in message
    for choice in ("pip install mssql-python", "Debian, Ubuntu:", "RHEL:", "macOS:", "Windows:"):
        assert choice in message


def test_a_named_driver_that_is_not_installed_is_named_with_those_that_are() -> None:
    with pytest.raises(LoadingError, match=rf"'{DRIVER_18}' is not there; installed: {DRIVER_17}"):
        choose_driver(DRIVER_18, [DRIVER_17])


@pytest.mark.parametrize(
    ("driver", "why"),
    [
        ("FreeTDS", "fast_executemany crashes"),
        ("freetds", "fast_executemany crashes"),
        ("TDS", "fast_executemany crashes"),
        ("/usr/lib/odbc/libtdsodbc.so", "fast_executemany crashes"),
        ("SQL Server", "does not know DATETIME2"),
        ("SQLSRV32.DLL", "does not know DATETIME2"),
    ],
)
def test_drivers_that_are_not_fit_for_loading_are_refused(driver: str, why: str) -> None:
    with pytest.raises(LoadingError, match=rf"{why}.*pip install mssql-python.*DB_DRIVER"):
        choose_driver(driver, [driver])


@pytest.mark.parametrize("driver", [DRIVER_18, "SQL Server Native Client 11.0", "msodbcsql18.dll"])
def test_other_drivers_are_not_refused(driver: str) -> None:
    refuse_unfit(driver)


LAYOUT = [
    "windows/x64/msodbcsql18.dll",
    "windows/x64/mssql-auth.dll",
    "windows/arm64/msodbcsql18.dll",
    "macos/arm64/lib/libmsodbcsql.18.dylib",
    "macos/arm64/lib/libodbc.2.dylib",
    "macos/x86_64/lib/libmsodbcsql.18.dylib",
    "linux/alpine/x86_64/lib/libmsodbcsql-18.6.so.2.1",
    "linux/debian_ubuntu/arm64/lib/libmsodbcsql-18.6.so.2.1",
    "linux/debian_ubuntu/x86_64/lib/libmsodbcsql-18.6.so.2.1",
    "linux/debian_ubuntu/x86_64/lib/libodbcinst.so.2",
    "linux/rhel/x86_64/lib/libmsodbcsql-18.6.so.2.1",
    "linux/suse/x86_64/lib/libmsodbcsql-18.6.so.2.1",
]


@pytest.mark.parametrize(
    ("system", "machine", "mark", "library"),
    [
        ("Windows", "AMD64", "", LAYOUT[0]),
        ("Windows", "ARM64", "", LAYOUT[2]),
        ("Darwin", "arm64", "", LAYOUT[3]),
        ("Darwin", "x86_64", "", LAYOUT[5]),
        ("Linux", "x86_64", "alpine-release", LAYOUT[6]),
        ("Linux", "aarch64", "", LAYOUT[7]),
        ("Linux", "x86_64", "debian_version", LAYOUT[8]),
        ("Linux", "x86_64", "redhat-release", LAYOUT[10]),
        ("Linux", "x86_64", "SUSE-brand", LAYOUT[11]),
        ("Linux", "aarch64", "SUSE-brand", LAYOUT[7]),
    ],
)
def test_the_library_from_pip_fits_system_and_processor(
    system: str, machine: str, mark: str, library: str, tmp_path: Path
) -> None:
    for path in ("etc/" + (mark or "none"), *LAYOUT):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    found = library_in(tmp_path, system=system, machine=machine, etc=tmp_path / "etc")
    assert found == tmp_path / library


def test_a_package_without_a_library_for_this_system_brings_none(tmp_path: Path) -> None:
    assert library_in(tmp_path, system="Linux", machine="x86_64") is None


def test_the_driver_stands_first_and_nothing_twice_in_what_is_handed_on() -> None:
    pairs = parse(f"Server=a;PWD={braced(AWKWARD)};server=b;driver=;Driver=FreeTDS;Encrypt=strict")
    target = target_of(pairs, [DRIVER_18])
    password = braced(AWKWARD)
    assert target.text == f"Driver={{{DRIVER_18}}};Server=a;PWD={password};Encrypt=strict"
    assert "hunter2" not in repr(target)


def test_a_data_source_brings_its_own_driver() -> None:
    target = target_of(parse("DSN=warehouse;UID=etl;Driver=FreeTDS"), [])
    assert target.text == "DSN=warehouse;UID=etl;Driver=FreeTDS"
    assert target.where == "the default database through the data source 'warehouse'"


# ---- what the driver refuses, as it says it ----


def says(state: str, text: str, number: int, kind: type[Exception] = pyodbc.Error) -> Exception:
    return kind(state, f"[{state}] {text} ({number}) (SQLDriverConnect)")


def server_says(state: str, text: str, number: int) -> Exception:
    return says(state, f"{SAYS_18}[SQL Server]{text}", number, pyodbc.InterfaceError)


MANAGER = "[unixODBC][Driver Manager]"
FAULTS: dict[str, tuple[Exception, str, str]] = {
    "no library": (
        says("01000", f"{MANAGER}Can't open lib '/x.so' : file not found", 0),
        "library of the driver cannot be opened",
        "DB_DRIVER",
    ),
    "no such driver": (
        says("IM002", "[Microsoft][ODBC Driver Manager] Data source name not found", 0),
        "library of the driver cannot be opened",
        "DB_DRIVER",
    ),
    "certificate": (
        says(
            "08001", f"{SAYS_18}SSL Provider: [error:0A000086:SSL routines::certificate verify "
            "failed:self-signed certificate]", -1, pyodbc.OperationalError,
        ),
        "vouches for the certificate",
        "install the certificate.*DB_TRUST_SERVER_CERTIFICATE",
    ),
    "certificate, Windows": (
        says("08001", f"{SAYS_18}SSL-Anbieter: Die Zertifikatkette ...", -2146893019),
        "vouches for the certificate",
        "install the certificate.*DB_TRUST_SERVER_CERTIFICATE",
    ),
    "no encryption": (
        says("08001", f"{SAYS_18}Encryption not supported on SQL Server.", 20),
        "does not encrypt",
        "DB_ENCRYPT",
    ),
    "old encryption": (
        says(
            "08001", f"{SAYS_18}SSL Provider: [error:0A000102:SSL routines::unsupported protocol]",
            -1,
        ),
        "does not encrypt",
        "TLS 1.2.*DB_ENCRYPT",
    ),
    "database": (
        server_says("42000", 'Cannot open database "dwh" requested by the login.', 4060),
        "no such database",
        "DB_DATABASE",
    ),
    "database, and so the login": (
        pyodbc.InterfaceError(
            "28000", f"[28000] {SAYS_18}[SQL Server]Login failed for user 'etl'. (18456) "
            f'(SQLDriverConnect); [28000] {SAYS_18}[SQL Server]Cannot open database "dwh" '
            "requested by the login. The login failed. (4060)",
        ),
        "no such database",
        "DB_DATABASE",
    ),
    "no user in the database": (
        server_says("08004", 'The server principal "etl" is not able to access', 916),
        "the login may not use it",
        "DB_DATABASE",
    ),
    "login": (
        server_says("28000", "Login failed for user 'etl'.", 18456),
        "the login failed",
        "DB_USERNAME and DB_PASSWORD",
    ),
    "password expired": (
        server_says("28000", "Login failed for user 'etl'.  Reason: expired.", 18487),
        "has expired or must be changed",
        "ALTER LOGIN.*DB_PASSWORD",
    ),
    "password to be changed": (
        server_says("28000", "Login failed for user 'etl'.  Reason: change.", 18488),
        "has expired or must be changed",
        "ALTER LOGIN.*DB_PASSWORD",
    ),
    "login locked": (
        server_says("42000", "Login failed for user 'etl' because locked out.", 18486),
        "locked or disabled",
        "ALTER LOGIN.*DB_PASSWORD",
    ),
    "no ticket": (
        says("HY000", f"{SAYS_18}SSPI Provider: No Kerberos credentials available", 458752),
        "has no ticket",
        "DB_USERNAME and DB_PASSWORD.*kinit",
    ),
    "wrong setting": (
        says("08001", f"{SAYS_18}Invalid value specified for ... attribute 'Encrypt'", 0),
        "attribute 'Encrypt'",
        "DB_ENCRYPT",
    ),
    "something else": (
        server_says("HY000", "Logon failed for login 'etl_night' due to trigger.", 17892),
        r"Logon failed for login '\*\*\*' due to trigger",
        "DB_SERVER",
    ),
}  # fmt: skip
PASSING: dict[str, tuple[Exception, str, str]] = {
    "timeout": (
        says("HYT00", f"{SAYS_18}Login timeout expired", 0, pyodbc.OperationalError),
        "did not answer within 7 s",
        "DB_SERVER.*firewall",
    ),
    "refused": (
        says("08001", f"{SAYS_18}TCP Provider: Error code 0x274D", 10061),
        "refuses connections",
        "DB_SERVER.*firewall",
    ),
    "reset": (
        says("08S01", f"{SAYS_18}TCP Provider: Error code 0x2746", 10054),
        "cannot be found",
        "DB_SERVER",
    ),
    "busy": (
        says("08001", f"{SAYS_18}an error was encountered during handshakes before login", 26),
        "too busy",
        "DB_SERVER",
    ),
    "database on its way": (
        server_says("42000", "Database 'dwh' is not currently available.", 40613),
        "not currently available",
        "administrator",
    ),
}


def refused(error: Exception) -> LoadingError:
    pairs = parse(f"Server=sql01,1433;Database=dwh;{LOGIN}")
    return refusal(error, target_of(pairs, [DRIVER_18]), login_timeout_s=7)


@pytest.mark.parametrize(("host", "passes"), [("shop.database.windows.net", True), ("s", False)])
def test_a_database_that_cannot_be_opened_is_tried_again_on_azure_alone(
    host: str, passes: bool
) -> None:
    error = server_says("42000", 'Cannot open database "dwh" requested by the login.', 4060)
    target = target_of(parse(f"Server={host};Database=dwh;{LOGIN}"), [DRIVER_18])
    assert is_transient(refusal(error, target, login_timeout_s=7)) is passes


@pytest.mark.parametrize("name", [*FAULTS, *PASSING])
def test_a_refusal_says_what_happened_where_and_what_to_do(name: str) -> None:
    error, what, next_step = (FAULTS | PASSING)[name]
    message = str(refused(error))
    place = f"cannot connect to database 'dwh' on server 'sql01,1433' through {DRIVER_18}: "
    assert re.fullmatch(f"{place}.*{what}.*\\. Next: .*{next_step}.*\\.", message)
    assert "hunter2" not in message
    assert "etl_night" not in message


@pytest.mark.parametrize("name", PASSING)
def test_what_may_pass_is_distinguished_through_the_cause(name: str) -> None:
    assert is_transient(refused(PASSING[name][0]))


# resilience.py takes the rest of class 08 for passing
@pytest.mark.parametrize(
    "name", sorted(set(FAULTS) - {"no encryption", "old encryption", "wrong setting",
                                  "no user in the database"})
)  # fmt: skip
def test_what_will_not_pass_is_distinguished_through_the_cause(name: str) -> None:
    assert not is_transient(refused(FAULTS[name][0]))


@pytest.mark.parametrize("quoted", [AWKWARD, AWKWARD.replace("}", "}}")])
def test_a_password_that_the_driver_quotes_is_nowhere_in_the_error(quoted: str) -> None:
    text = f"{SAYS_18}TCP Provider: what is PWD={quoted}?"
    error = refused(says("08001", text, 10061, pyodbc.OperationalError))
    assert isinstance(error.__cause__, pyodbc.OperationalError)
    assert is_transient(error)
    everything = "".join(traceback.format_exception(error)) + repr(error.__cause__.args)
    assert "PWD=***?" in everything
    assert "hunter2" not in everything


def test_an_error_without_a_password_stays_the_cause_as_it_is() -> None:
    error = PASSING["refused"][0]
    assert refused(error).__cause__ is error


# ---- the real driver, and servers of a few packets ----


def packet(body: bytes) -> bytes:
    return struct.pack(">BBHHBB", 4, 1, len(body) + 8, 0, 1, 0) + body


def received(client: socket.socket) -> bytes:
    header = client.recv(8, socket.MSG_WAITALL)
    size = struct.unpack(">H", header[2:4])[0] if header else 8
    return client.recv(size - 8, socket.MSG_WAITALL) if size > 8 else b""


def greet(client: socket.socket) -> bytes:
    """Say which version this is and that it does not encrypt; returns the login if one comes."""
    received(client)
    values = [b"\x10\0\x03\xe8\0\0", b"\2", b"\0", b"", b"\0"]
    ends = [sum(map(len, values[:number])) for number in range(len(values))]
    heads = [
        struct.pack(">BHH", number, 26 + end, len(value))
        for number, (end, value) in enumerate(zip(ends, values, strict=True))
    ]
    client.sendall(packet(b"".join(heads) + b"\xff" + b"".join(values)))
    return received(client)


def token(kind: int, body: bytes) -> bytes:
    return struct.pack("<BH", kind, len(body)) + body


def text16(text: str) -> bytes:
    return text.encode("utf-16-le")


DONE = b"\xfd" + struct.pack("<HHQ", 0, 0, 0)


def denying(number: int, text: str) -> Callable[[socket.socket], None]:
    failed = b"\xfd" + struct.pack("<HHQ", 2, 0, 0)
    fact = struct.pack("<iBBH", number, 1, 14, len(text)) + text16(text) + b"\0\0\1\0\0\0"

    def answer(client: socket.socket) -> None:
        greet(client)
        client.sendall(packet(token(0xAA, fact) + failed))
        received(client)

    return answer


def welcoming(logins: list[bytes]) -> Callable[[socket.socket], None]:
    name = "Microsoft SQL Server"
    accepted = b"\1\x74\0\0\4" + bytes([len(name)]) + text16(name) + b"\x10\0\x03\xe8"

    def answer(client: socket.socket) -> None:
        logins.append(greet(client))
        client.sendall(packet(token(0xAD, accepted) + DONE))
        while received(client):
            client.sendall(packet(DONE))

    return answer


@contextmanager
def server(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """Answers every client in its own way; yields what `Server=` takes."""

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):  # the driver hangs up when it has heard enough
            answer(client)

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1,{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def pips(address: str, more: str = "Encrypt=no") -> str:
    return f"Driver={{{pip_driver()}}};Server={address};Database=dwh;{LOGIN};{more}"


def failure(connection_string: str, seconds: int = 5) -> LoadingError:
    started = time.monotonic()
    with pytest.raises(LoadingError) as caught:
        connect(connection_string, login_timeout_s=seconds)
    assert time.monotonic() - started < seconds + 1.5
    error = caught.value
    everything = "".join(traceback.format_exception(error)) + repr(error.__cause__)
    assert "hunter2" not in everything
    assert error.__context__ is None
    return error


@needs_microsofts
def test_a_connection_names_its_driver_and_server_and_commits_by_itself() -> None:
    with server(welcoming([])) as address, closing(connect(pips(address))) as connection:
        assert re.fullmatch(r"libmsodbcsql\S+ 18[.0-9]+", driver_in_use(connection))
        assert server_version(connection) == "Microsoft SQL Server 16.00.1000"
        assert connection.autocommit


@needs_microsofts
def test_the_first_driver_in_the_string_is_the_one_that_connects() -> None:
    # unixODBC by itself takes the last
    with server(welcoming([])) as address:
        connection = connect(f"{pips(address)};Driver=FreeTDS")
    with closing(connection):
        assert "msodbcsql" in driver_in_use(connection)


@needs_microsofts
def test_a_driver_of_microsofts_is_found_for_a_string_that_names_none() -> None:
    with server(welcoming([])) as address:
        connection = connect(f"Server={address};{LOGIN};Encrypt=no")
    with closing(connection):
        assert "msodbcsql" in driver_in_use(connection)


@needs_microsofts
@pytest.mark.parametrize("value", ["plain", AWKWARD, " {a}b; c= ", "}}", "[](),;?*=!@'\"", "ü漢😀"])
def test_the_driver_sends_the_password_that_was_meant(value: str) -> None:
    logins: list[bytes] = []
    with server(welcoming(logins)) as address:
        text = f"Server={address};PWD={braced(value)};UID={braced(value)};Encrypt={{no}};UID=other"
        connect(f"Driver={pip_driver()};{text}").close()
    (login,) = logins
    user, password = (
        login[start : start + 2 * size]
        for start, size in (struct.unpack_from("<HH", login, place) for place in (40, 44))
    )
    # TDS hides a password by swapping half bytes and flipping some bits
    hidden = bytes((byte << 4 & 0xF0 | byte >> 4) ^ 0xA5 for byte in text16(value))
    assert (user, password) == (text16(value), hidden)


@needs_microsofts
@pytest.mark.parametrize(
    ("number", "text", "name"),
    [
        (18456, "Login failed for user 'etl_night'.", "login"),
        (4060, 'Cannot open database "dwh" requested by the login.', "database"),
        (916, "The server principal is not able to access the database.", "database"),
        (18486, "Login failed for user 'etl_night': locked out.", "login locked"),
        (18487, "Login failed for user 'etl_night': expired.", "password expired"),
        (40613, "Database 'dwh' is not currently available.", "database on its way"),
    ],
)
def test_what_a_server_answers_to_a_login_is_understood(number: int, text: str, name: str) -> None:
    with server(denying(number, text)) as address:
        error = failure(pips(address))
    assert re.search((FAULTS | PASSING)[name][1], str(error))
    assert f"on server '{address}' through " in str(error)
    if error.__cause__ and error.__cause__.args[0] != "08004":  # a matter of the retry's rules
        assert is_transient(error) == (name in PASSING)


@needs_microsofts
def test_a_server_that_does_not_encrypt_is_reported_and_nothing_is_sent_to_it() -> None:
    logins: list[bytes] = []
    with server(lambda client: logins.append(greet(client))) as address:
        assert "DB_ENCRYPT" in str(failure(pips(address, "Encrypt=yes")))
    assert not any(logins)


@needs_microsofts
def test_a_server_that_refuses_is_reported_after_the_login_timeout() -> None:
    error = failure(pips("127.0.0.1,1"), 1)
    assert "on server '127.0.0.1,1'" in str(error)
    assert "refuses connections, or did not answer within 1 s" in str(error)
    assert is_transient(error)


@needs_microsofts
def test_a_server_that_never_answers_is_reported_after_the_login_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        error = failure(pips(f"127.0.0.1,{listener.getsockname()[1]}"), 1)
    assert "did not answer within 1 s" in str(error)
    assert is_transient(error)


@needs_microsofts
def test_a_server_that_speaks_something_else_is_reported() -> None:
    with server(lambda client: client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as address:
        error = failure(pips(address))
    assert "does not speak as SQL Server does" in str(error)
    assert not is_transient(error)


def test_a_library_that_is_none_is_reported(tmp_path: Path) -> None:
    library = tmp_path / "libmsodbcsql.so"
    library.write_text("no library")
    error = failure(f"Driver={{{library}}};Server=sql01;{LOGIN}")
    assert f"server 'sql01' through {library}: the library of the driver cannot be" in str(error)
    assert not is_transient(error)


@pytest.mark.skipif(FREETDS is None, reason="no FreeTDS (Debian: tdsodbc)")
def test_an_unfit_driver_behind_another_name_is_refused_once_connected(tmp_path: Path) -> None:
    alias = tmp_path / "libother.so"
    alias.symlink_to(str(FREETDS))
    with server(welcoming([])) as address:
        error = failure(f"Driver={alias};Server={address};TDS_Version=7.4;Encryption=off;{LOGIN}")
    assert "FreeTDS, whose fast_executemany crashes" in str(error)


def test_without_a_driver_manager_it_says_how_to_install_one() -> None:
    code = (
        "import sys; sys.modules['pyodbc'] = None; from etl import errors\n"
        "from etl.engines import mssql_driver, odbc\n"
        "mssql_driver.is_installed = lambda: False\n"
        "try: odbc.connect('Server=sql01;PWD=hunter2')\n"
        "except errors.LoadingError as error: print(error)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.startswith("ODBC cannot be used on this system: ")
    assert "apt install unixodbc" in ran.stdout
    assert "pip install mssql-python" in ran.stdout
    assert "hunter2" not in ran.stdout + ran.stderr


def test_the_driver_from_pip_is_found_without_importing_its_package() -> None:
    code = (
        "import sys; from etl.engines import odbc; odbc.pip_driver()\n"
        "print([name for name in sys.modules if name.startswith('mssql')])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[]"

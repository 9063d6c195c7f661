"""Files that are whole or not at all, private by default, and locks between processes."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from etl.files import AtomicFile, make_private, private_files, write_atomically
from etl.locks import locked

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(sys.platform == "win32", reason="rights and links of POSIX")


@pytest.fixture
def umask_022() -> Iterator[None]:
    former = os.umask(0o022)
    yield
    os.umask(former)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_written_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.html"
    assert write_atomically(path, "a\nb\r\n") == path
    assert path.read_bytes() == b"a\nb\r\n"
    assert [each.name for each in path.parent.iterdir()] == ["page.html"]


def test_half_a_character_becomes_its_escape(tmp_path: Path) -> None:
    assert write_atomically(tmp_path / "a", "x\ud800y").read_text() == "x\\ud800y"


@posix
def test_links_that_others_planted_are_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = tmp_path / "state.json"
    for name in ("state.json", "state.tmp", "state.json.part", f"state.json.{os.getpid()}.part"):
        (tmp_path / name).symlink_to(victim)
    write_atomically(path, "new")
    assert victim.read_text() == "precious"
    assert not path.is_symlink()
    assert path.read_text() == "new"


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), AtomicFile(path) as file:
        file.write(b"half of the ne")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_disk_that_refuses_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "report.json"
    path.write_text("old")
    monkeypatch.setattr({"fsync": os, "replace": Path}[step], step, refuse)
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomically(path, "new")
    assert caught.value.filename == str(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_discarded_or_committed_once(tmp_path: Path) -> None:
    kept, dropped = AtomicFile(tmp_path / "kept"), AtomicFile(tmp_path / "dropped")
    kept.commit()
    kept.discard()
    dropped.discard()
    dropped.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@posix
@pytest.mark.usefixtures("umask_022")
def test_files_are_private_and_open_to_a_group_where_that_is_set(tmp_path: Path) -> None:
    (tmp_path / "wide").touch(0o644)
    assert mode_of(write_atomically(tmp_path / "wide", "now private")) == 0o600
    with private_files(0o640):
        assert mode_of(write_atomically(tmp_path / "sub" / "a", "")) == 0o640
        (tmp_path / "made by a library").touch()
    assert mode_of(tmp_path / "made by a library") == 0o640
    assert mode_of(tmp_path / "sub") == 0o750
    assert mode_of(write_atomically(tmp_path / "afterwards", "")) == 0o600


@posix
@pytest.mark.usefixtures("umask_022")
def test_the_umask_is_restored_also_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), private_files():
        (tmp_path / "inside").mkdir()
        raise ZeroDivisionError
    (tmp_path / "outside").mkdir()
    assert (mode_of(tmp_path / "inside"), mode_of(tmp_path / "outside")) == (0o700, 0o755)


@posix
@pytest.mark.usefixtures("umask_022")
def test_a_file_of_before_loses_the_rights_that_are_too_many(tmp_path: Path) -> None:
    log = tmp_path / "etl.log"
    log.touch(0o644)
    with private_files(0o640):
        make_private(log)
        assert mode_of(log) == 0o640
    make_private(log)
    assert mode_of(log) == 0o600
    make_private(tmp_path / "missing")


def test_a_lock_keeps_other_processes_out_until_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "new" / "alerts.lock"
    attempt = f"""
from pathlib import Path
from etl.locks import locked
try:
    with locked(Path({str(path)!r}), wait_s=0):
        print("mine")
except TimeoutError:
    print("another's")
"""

    def other() -> str:
        command = [sys.executable, "-c", attempt]
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    with locked(path):
        assert other() == "another's\n"
    assert other() == "mine\n"


@posix
def test_a_lock_that_is_a_planted_link_is_refused(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "lock").symlink_to(victim)
    with pytest.raises(OSError, match="lock"), locked(tmp_path / "lock", wait_s=0):
        pass
    assert victim.read_text() == "precious"

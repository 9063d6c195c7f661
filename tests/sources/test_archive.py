"""What a run was fed with can be had back, whole or not at all, and without a secret in it."""

import gzip
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import ETLError, ExtractionError
from etl.settings.config import load_config, masked_settings
from etl.sources.archive import archive_run

ROOT = Path(__file__).resolve().parents[2]
RUN_ID = "20240120T143045.000007Z"
LONG_AGO = 1_705_737_600_000_000_000  # 2024-01-20 08:00 UTC


def source(path: Path, content: bytes = b"customer_id\nC1\n") -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(LONG_AGO, LONG_AGO))
    return path


def keep(folder: Path, *files: Path, **more: Any) -> Path:
    return archive_run(folder, RUN_ID, files=files, settings={"CHUNK_ROWS": "9"}, **more)


def facts_of(kept: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((kept / "settings.json").read_text("utf-8"))
    return facts


# ---------------------------------------------------------------- what is kept


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 3 * 2**20 + 7])
def test_the_bytes_come_back(tmp_path: Path, size: int) -> None:
    content = random.Random(size).randbytes(size)  # noqa: S311 no secret
    kept = keep(tmp_path / "archive", source(tmp_path / "customers.csv", content))
    assert kept == tmp_path / "archive" / RUN_ID
    assert gzip.decompress((kept / "customers.csv.gz").read_bytes()) == content


@pytest.mark.skipif(not shutil.which("gunzip"), reason="needs gunzip")
def test_gunzip_restores_a_file(tmp_path: Path) -> None:
    kept = keep(tmp_path / "archive", source(tmp_path / "customers.csv", b"a,b\n1,2\n"))
    command = [str(shutil.which("gunzip")), str(kept / "customers.csv.gz")]
    subprocess.run(command, check=True)
    assert (kept / "customers.csv").read_bytes() == b"a,b\n1,2\n"


def test_the_settings_tell_what_the_run_had(tmp_path: Path) -> None:
    content = b"customer_id\nC1\n"
    path = source(tmp_path / "customers.csv", content)
    kept = keep(tmp_path / "archive", path, query="SELECT 1 ä", window="all sales")
    assert facts_of(kept) == {
        "run_id": RUN_ID,
        "window": "all sales",
        "query": "SELECT 1 ä",
        "settings": {"CHUNK_ROWS": "9"},
        "files": [
            {
                "path": str(path),
                "copy": "customers.csv.gz",
                "sha256": hashlib.sha256(content).hexdigest(),
                "bytes": len(content),
                "modified": "2024-01-20T08:00:00.000000+00:00",
            }
        ],
    }


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    content = b"customer_id\nC1\n" * 1000
    first = keep(tmp_path / "a", source(tmp_path / "customers.csv", content))
    path = source(tmp_path / "elsewhere" / "customers.csv", content)
    os.utime(path)
    second = keep(tmp_path / "b", path)
    copies = [(kept / "customers.csv.gz").read_bytes() for kept in (first, second)]
    assert copies[0] == copies[1]
    assert b"customers" not in copies[0]


def test_a_file_that_is_not_there_is_noted_as_absent(tmp_path: Path) -> None:
    path = source(tmp_path / "customers.csv")
    kept = keep(tmp_path / "archive", tmp_path / "products.json", path)
    absent, present = facts_of(kept)["files"]
    assert absent == {"path": str(tmp_path / "products.json"), "absent": True}
    assert present["copy"] == "customers.csv.gz"
    assert {p.name for p in kept.iterdir()} == {"customers.csv.gz", "settings.json"}


def test_files_of_one_name_are_all_kept(tmp_path: Path) -> None:
    names = ["c/DATA", "a/data", "b/data", "d/2-data", "e/settings.json", "a/data"]
    files = [source(tmp_path / name, name.encode()) for name in names]
    kept = keep(tmp_path / "archive", *files)
    found = {
        entry["path"]: gzip.decompress((kept / entry["copy"]).read_bytes())
        for entry in facts_of(kept)["files"]
    }
    assert found == {str(tmp_path / name): name.encode() for name in names}
    assert len({p.name.casefold() for p in kept.iterdir()}) == len(set(names)) + 1


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names that are any bytes")
def test_a_path_that_is_no_text_is_noted_all_the_same(tmp_path: Path) -> None:
    path = source(tmp_path / os.fsdecode(b"caf\xe9.csv"))
    assert facts_of(keep(tmp_path / "archive", path))["files"][0]["path"] == str(path)


# ---------------------------------------------------------------- secrets

MARK = "Zq7#"  # stands nowhere else; the text after it may by chance be a word of the archive
ONE_LINE = st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r\n")
SECRETS = st.text(ONE_LINE).map(lambda text: MARK + text)


def settings_with(secret: str, folder: Path) -> dict[str, str]:
    environ = {
        "DB_SERVER": "sql01", "DB_DATABASE": "dwh", "DB_USERNAME": "etl", "DB_PASSWORD": secret,
        "SMTP_USERNAME": "etl", "SMTP_PASSWORD": secret,
        "SLACK_WEBHOOK_URL": "https://hooks.example.com/" + secret.encode().hex(),
    }  # fmt: skip
    return masked_settings(load_config("dev", base_dir=folder, environ=environ))


def texts_of(kept: Path) -> list[str]:
    """All that somebody could read in an archive: the files, and what is packed or escaped."""
    found = [path.read_bytes().decode("latin-1") for path in kept.iterdir()]
    found += [gzip.decompress(p.read_bytes()).decode("latin-1") for p in kept.glob("*.gz")]
    return [*found, *strings_in(facts_of(kept))]


def strings_in(value: object) -> list[str]:
    if isinstance(value, Mapping):
        return [text for item in value.items() for part in item for text in strings_in(part)]
    if isinstance(value, list):
        return [text for part in value for text in strings_in(part)]
    return [str(value)]


@settings(max_examples=30, deadline=None)
@given(secret=SECRETS)
def test_a_secret_is_in_no_file_of_the_archive(secret: str) -> None:
    with TemporaryDirectory() as place:
        folder = Path(place)
        masked = settings_with(secret, folder)
        path = source(folder / "customers.csv")
        kept = archive_run(folder / "archive", RUN_ID, files=[path], settings=masked)
        spellings = {MARK, secret, secret.encode().decode("latin-1"), secret.encode().hex()}
        assert not [text for text in texts_of(kept) for part in spellings if part in text]
        kept_settings = facts_of(kept)["settings"]
    for name in ("DB_PASSWORD", "SMTP_PASSWORD", "SLACK_WEBHOOK_URL"):
        assert kept_settings[name] == "***"
    assert kept_settings["DB_SERVER"] == "sql01"


# ---------------------------------------------------------------- whole or not at all

LIMITED = """
import resource
import sys
from pathlib import Path
from etl.sources.archive import archive_run
from etl.errors import ETLError
folder, source = Path(sys.argv[1]), Path(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
try:
    archive_run(folder, sys.argv[3], files=[source], settings={})
except ETLError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("size", [49_999, 200_000, 5_000_000])
def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path, size: int) -> None:
    content = random.Random(1).randbytes(size)  # noqa: S311 no secret, but cannot be compressed
    path = source(tmp_path / "customers.csv", content)
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "archive"), str(path), RUN_ID]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert f"{RUN_ID} cannot be written, nothing of it is kept: File too large" in done.stdout
    assert "Next: make room there" in done.stdout
    assert not list((tmp_path / "archive").iterdir())


@pytest.mark.parametrize("inside", ["", "deeper", "deeper/still"])
def test_a_file_in_place_of_the_folder_is_reported(tmp_path: Path, inside: str) -> None:
    blocking = source(tmp_path / "archive", b"mine")
    with pytest.raises(ETLError, match=r"cannot be written.*Next: set ARCHIVE_DIR to a folder"):
        keep(blocking / inside, source(tmp_path / "customers.csv"))
    assert blocking.read_bytes() == b"mine"


@pytest.mark.skipif(sys.platform == "win32", reason="needs a folder that may not be written")
def test_a_folder_that_may_not_be_written_is_reported(tmp_path: Path) -> None:
    path, user = source(tmp_path / "customers.csv"), os.geteuid()
    tmp_path.chmod(0o500)
    os.seteuid(65534 if user == 0 else user)
    try:
        with pytest.raises(ETLError, match=r"Next: give the user .* the right to write"):
            keep(tmp_path / "archive", path)
    finally:
        os.seteuid(user)
        tmp_path.chmod(0o700)


def test_a_source_that_cannot_be_read_is_reported_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ExtractionError, match="is a directory"):
        keep(tmp_path / "archive", source(tmp_path / "customers.csv"), tmp_path)
    assert not list((tmp_path / "archive").iterdir())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs a named pipe")
def test_a_pipe_is_refused_before_it_is_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ETLError, match="is a pipe"):
        keep(tmp_path / "archive", tmp_path / "pipe")


def test_leftovers_of_an_earlier_attempt_are_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "archive"
    for name in (f"{RUN_ID}.part", RUN_ID, f"{RUN_ID}.former.part"):
        (folder / name / "deep").mkdir(parents=True)
        source(folder / name / "customers.csv.gz", b"half a fi")
    kept = keep(folder, source(tmp_path / "customers.csv", b"whole"))
    assert [path.name for path in folder.iterdir()] == [RUN_ID]
    assert {path.name for path in kept.iterdir()} == {"customers.csv.gz", "settings.json"}
    assert gzip.decompress((kept / "customers.csv.gz").read_bytes()) == b"whole"


def test_a_failed_attempt_leaves_the_earlier_archive_of_the_run(tmp_path: Path) -> None:
    kept = keep(tmp_path / "archive", source(tmp_path / "customers.csv", b"first"))
    with pytest.raises(ExtractionError):
        keep(tmp_path / "archive", source(tmp_path / "customers.csv", b"second"), tmp_path)
    assert gzip.decompress((kept / "customers.csv.gz").read_bytes()) == b"first"


def test_archives_of_other_runs_stay(tmp_path: Path) -> None:
    path = source(tmp_path / "customers.csv")
    for run_id in ("run-1", "run-2", "run-2"):
        archive_run(tmp_path / "archive", run_id, files=[path], settings={})
    assert sorted(p.name for p in (tmp_path / "archive").iterdir()) == ["run-1", "run-2"]


@pytest.mark.parametrize("run_id", ["", ".", "..", "../elsewhere", "a/b", "a\\b", "C:x", "a\n"])
def test_a_run_id_that_leads_elsewhere_removes_nothing(tmp_path: Path, run_id: str) -> None:
    kept = keep(tmp_path / "archive", source(tmp_path / "customers.csv"))
    with pytest.raises(ETLError, match="run id"):
        archive_run(tmp_path / "archive", run_id, files=[], settings={})
    assert [path.name for path in (tmp_path / "archive").iterdir()] == [kept.name]

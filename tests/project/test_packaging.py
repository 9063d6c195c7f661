"""The package: what the wheel holds, and that it works where it is installed."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from etl import locks
from etl.places import COMMAND, SAMPLE, command, working_folder
from etl.settings import config as settings
from etl.settings.example import env_example_text
from etl.settings.sections import files
from etl.version import VERSION

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BINARIES = "Scripts" if os.name == "nt" else "bin"


@dataclass(frozen=True)
class Installed:
    """The wheel in an environment of its own, and a folder to call it in."""

    wheel: Path
    binaries: Path
    folder: Path

    def run(self, *argv: str, exit_code: int = 0, **environ: str) -> str:
        """Call a program of the environment in the folder, and return what it prints."""
        settings_of_tests = {"PYTHONUTF8": "1", "PATH": os.environ["PATH"]}
        done = subprocess.run(
            [shutil.which(argv[0], path=self.binaries) or argv[0], *argv[1:]],
            cwd=self.folder, env=settings_of_tests | environ, capture_output=True, text=True,
            check=False, encoding="utf-8",
        )  # fmt: skip
        assert done.returncode == exit_code, done.stderr
        return done.stdout


def build_and_install(folder: Path) -> None:
    build = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist")]
    subprocess.run([sys.executable, *build, str(ROOT)], check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = shutil.which("python", path=folder / "venv" / BINARIES) or ""
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    (wheel,) = (folder / "dist").iterdir()
    subprocess.run([*install, str(wheel)], check=True)


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in an environment that sees the libraries of the tests, made once for all."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "installed"
    with locks.locked(folder.with_suffix(".lock"), wait_s=600):
        if not (folder / "complete").exists():
            build_and_install(folder)
            (libraries,) = (folder / "venv").rglob("site-packages")
            ours = sysconfig.get_path("purelib")
            (libraries / "of_the_tests.pth").write_text(ours, encoding="utf-8")
            (folder / "complete").touch()
    return folder


@pytest.fixture
def installed(environment: Path, tmp_path: Path) -> Installed:
    (wheel,) = (environment / "dist").iterdir()
    return Installed(wheel, environment / "venv" / BINARIES, tmp_path)


# --- the wheel -------------------------------------------------------------------------------


def test_the_wheel_holds_the_door_the_rooms_with_their_templates_and_the_sample(
    installed: Installed,
) -> None:
    names = zipfile.ZipFile(installed.wheel).namelist()
    found = {name for name in names if "dist-info" not in name}
    files = [path for path in (ROOT / "etl").rglob("*") if path.is_file()]
    made = [path for path in files if "__pycache__" not in path.parts]
    rooms = {path.relative_to(ROOT).as_posix() for path in made}
    door = {path.name for path in ROOT.glob("*.py")}
    sample = {f"etl/sample/{path.name}" for path in (ROOT / "data/input").iterdir()}
    marts = {f"etl/mart_files/{path.name}" for path in (ROOT / "marts").glob("*.sql")}
    assert marts
    assert door | rooms | sample | marts <= found
    assert {name.split("/")[0] for name in found} == {"etl", *door}
    assert "etl/py.typed" in found


# --- the command -----------------------------------------------------------------------------


def test_in_an_empty_folder_the_command_loads_the_sample_and_leaves_its_results_there(
    installed: Installed,
) -> None:
    summary = json.loads(installed.run(COMMAND, "--json"))
    assert summary["exit_code"] == 0
    assert summary["tables"]["sales_fact"]["rows_inserted"] > 0
    assert {path.name for path in installed.folder.iterdir()} == {"data", "logs"}
    assert (installed.folder / "data/output/dev/warehouse.duckdb").is_file()


def test_marts_of_the_package_and_of_the_current_folder_are_built(installed: Installed) -> None:
    (installed.folder / "marts").mkdir()
    own = "SELECT sum(revenue) AS revenue FROM daily_revenue"
    (installed.folder / "marts" / "all_revenue.sql").write_text(own, encoding="utf-8")
    summary = json.loads(installed.run(COMMAND, "--marts", "--json"))
    built = {each["mart"] for each in summary["marts"] if each["status"] == "built"}
    assert built == {path.stem for path in (ROOT / "marts").glob("*.sql")} | {"all_revenue"}


def test_files_called_like_ours_in_the_current_folder_are_neither_used_nor_changed(
    installed: Installed,
) -> None:
    for name in ("config.py", "tests/__init__.py", "logs/mine.py"):
        path = installed.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("raise SystemExit('a module of somebody else')", encoding="utf-8")
    before = {p: p.read_bytes() for p in installed.folder.rglob("*.py")}
    assert json.loads(installed.run(COMMAND, "--json"))["exit_code"] == 0
    code = "import etl_pipeline; print(etl_pipeline.run_etl_pipeline()['status'])"
    assert installed.run("python", "-c", code).strip() == "success"
    assert {p: p.read_bytes() for p in installed.folder.rglob("*.py")} == before


def test_init_makes_what_one_begins_with_and_never_changes_what_is_there(
    installed: Installed,
) -> None:
    printed = installed.run(COMMAND, "init")
    example = installed.folder / ".env.example"
    assert example.read_text(encoding="utf-8") == env_example_text()
    assert (installed.folder / "data/input").is_dir()
    assert str(example) in printed
    example.write_text("mine", encoding="utf-8")
    assert "left as it is" in installed.run(COMMAND, "init")
    assert example.read_text(encoding="utf-8") == "mine"


def test_help_of_the_installed_command_names_it_and_loads_nothing_heavy(
    installed: Installed,
) -> None:
    printed = installed.run(COMMAND, "--help")
    assert printed.startswith(f"usage: {COMMAND} ")
    assert "etl_pipeline.py" not in printed
    imported = installed.run(
        "python", "-X", "importtime", "-c",
        f"import sys; sys.argv = ['{COMMAND}', '--help']\n"
        "try:\n    import etl_pipeline\nexcept SystemExit:\n    pass\n"
        "sys.stdout.write('|'.join(sys.modules))",
    ).rpartition("\n")[2].split("|")  # fmt: skip
    assert not {"pyarrow", "pandas", "duckdb", "pydantic"} & set(imported)


def test_the_version_is_the_one_of_the_package(installed: Installed) -> None:
    assert installed.run(COMMAND, "--version") == f"{COMMAND} {VERSION}\n"
    assert f"-{VERSION}-" in installed.wheel.name
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", changes, re.MULTILINE)[0] == VERSION


# --- completion ------------------------------------------------------------------------------

WORDS = [("--env", ["--env"]), ("--env ", ["dev", "prod", "test"]), ("in", ["init"])]


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(("typed", "wanted"), WORDS)
def test_bash_completes_options_and_their_choices(
    installed: Installed, typed: str, wanted: list[str]
) -> None:
    script = installed.folder / "completion"
    script.write_text(installed.run(COMMAND, "--print-completion", "bash"), encoding="utf-8")
    words = [COMMAND, *typed.split(" ")]
    given = " ".join(f"'{word}'" for word in words)
    code = (
        f"source {script}; COMP_WORDS=({given}); COMP_CWORD={len(words) - 1}; _nightly_etl; "
        "printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    assert sorted(installed.run("bash", "-c", code).split()) == wanted


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_have_a_script_with_every_option(installed: Installed, shell: str) -> None:
    script = installed.run(COMMAND, "--print-completion", shell)
    options = set(re.findall(r"--([a-z-]+)", installed.run(COMMAND, "--help")))
    assert {name for name in options if name not in script} == set()


# --- which folder, and when the sample is loaded ----------------------------------------------


def test_a_checkout_works_in_its_own_folder() -> None:
    assert working_folder() == ROOT
    assert not SAMPLE.exists()
    assert command() == "python etl_pipeline.py"


@pytest.fixture
def as_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(files, "INSTALLED", True)
    yield tmp_path


def input_of(folder: Path, env: str = "dev", **environ: str) -> Path:
    return settings.load_config(env, base_dir=folder, environ=environ).files.input_dir


def test_the_sample_is_loaded_for_want_of_anything_else(as_installed: Path) -> None:
    assert input_of(as_installed) == SAMPLE
    (as_installed / "data/input").mkdir(parents=True)
    assert input_of(as_installed) == SAMPLE
    (as_installed / "data/input/customers.csv").touch()
    assert input_of(as_installed) == as_installed / "data/input"


@pytest.mark.parametrize(
    ("env", "environ"),
    [
        ("prod", {"DB_CONNECTION_STRING": "duckdb:///w.duckdb"}),
        ("dev", {"DB_CONNECTION_STRING": "duckdb:///w.duckdb"}),
        ("dev", {"DB_SERVER": "sql1", "DB_DATABASE": "nightly"}),
        ("dev", {"SALES_FILE": "mine.csv"}),
        ("dev", {"INPUT_DIR": "data/input"}),
    ],
)
def test_the_sample_never_gets_into_a_warehouse_of_ones_own(
    as_installed: Path, env: str, environ: dict[str, str]
) -> None:
    assert input_of(as_installed, env, **environ) == as_installed / "data/input"


# --- dependencies ----------------------------------------------------------------------------


def requirements(name: str) -> list[str]:
    """The requirements of a file, without comments."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    found = [re.sub(r"(^|\s)#.*", "", line).strip() for line in lines]
    return [line for line in found if line and not line.startswith("-r")]


def test_the_package_asks_for_what_the_requirement_files_list() -> None:
    assert PROJECT["dependencies"] == requirements("requirements.txt")
    extras = PROJECT["optional-dependencies"]
    assert extras == {name: requirements(f"requirements-{name}.txt") for name in extras}
    files = {path.stem for path in ROOT.glob("requirements-*.txt")} - {"requirements-dev"}
    assert {f"requirements-{name}" for name in extras} == files


def locked() -> dict[str, Version]:
    """The versions of the lock file."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = re.findall(r"^(\S+)==([^\s;]+).*?((?: \\\n    --hash=\S+)+)$", text, re.MULTILINE)
    assert len(pins) == len(re.findall(r"^\w", text, re.MULTILINE)), "a pin without hashes"
    return {canonicalize_name(name): Version(version) for name, version, _ in pins}


def test_the_lock_file_pins_everything_that_is_required_in_a_version_that_fits() -> None:
    wanted = [Requirement(line) for line in requirements("requirements.txt")]
    seen: set[str] = set()
    pins = locked()
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        assert requirement.specifier.contains(pins[name]), requirement
        is_here = requirement.marker is None or requirement.marker.evaluate()
        # what the tests need on top may hold a package back; another version says other things
        if is_here and Version(metadata.version(name)) == pins[name]:
            extras = frozenset(requirement.extras)
            if f"{name}{sorted(extras)}" not in seen:
                seen.add(f"{name}{sorted(extras)}")
                wanted += needed_by(name, extras)


def needed_by(name: str, extras: frozenset[str]) -> list[Requirement]:
    """What an installed package needs on this system."""
    found = [Requirement(line) for line in metadata.requires(name) or ()]
    return [
        each
        for each in found
        if each.marker is None
        or any(each.marker.evaluate({"extra": extra}) for extra in extras | {""})
    ]

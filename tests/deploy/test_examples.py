"""What lies in `deploy/` to be copied: well-formed, and true to the package."""

import ast
import configparser
import importlib
import re
from pathlib import Path

import pytest
import yaml

from etl.errors import EXIT_ATTENTION, EXIT_USAGE
from etl.pipeline.command_line import parse_arguments
from etl.settings.sections.section import declared

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
SCRIPTS = sorted(DEPLOY.rglob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.parent.name)
def test_what_an_example_takes_from_the_package_exists(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    ours = [
        node for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("etl", "etl_"))
    ]  # fmt: skip
    for node in ours:
        module = importlib.import_module(node.module or "")
        assert not [name.name for name in node.names if not hasattr(module, name.name)]


def cron_job() -> dict[str, object]:
    text = (DEPLOY / "kubernetes" / "cronjob.yaml").read_text(encoding="utf-8")
    found: dict[str, object] = yaml.safe_load(text)
    return found


def test_the_cron_job_forbids_a_second_run_and_does_not_repeat_wrong_settings() -> None:
    spec = cron_job()["spec"]
    assert isinstance(spec, dict)
    assert spec["concurrencyPolicy"] == "Forbid"
    job = spec["jobTemplate"]["spec"]
    (rule,) = job["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["values"] == [EXIT_USAGE, EXIT_ATTENTION]
    (container,) = job["template"]["spec"]["containers"]
    assert rule["onExitCodes"]["containerName"] == container["name"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in job["template"]["spec"]["volumes"]}
    parse_arguments(container["args"])  # ends the process for an argument that is none


def test_the_image_copies_what_there_is_and_sets_what_is_a_setting() -> None:
    text = (DEPLOY / "kubernetes" / "Dockerfile").read_text(encoding="utf-8")
    for name in re.findall(r"-r (\S+)", text):
        assert (ROOT / name).exists()
    known = set(declared()) | {"PYTHONUNBUFFERED"}
    (variables,) = re.findall(r"^ENV (.*)$", text, re.MULTILINE)
    assert set(re.findall(r"([A-Z_]+)=", variables)) <= known
    assert re.search(r"^USER 10001$", text, re.MULTILINE)


def test_the_units_of_systemd_run_the_command_and_take_3_for_a_success() -> None:
    units = {}
    for name in ("nightly-etl.service", "nightly-etl.timer"):
        units[name] = configparser.ConfigParser(strict=False, interpolation=None)
        units[name].read_string((DEPLOY / "systemd" / name).read_text(encoding="utf-8"))
    service = units["nightly-etl.service"]["Service"]
    assert service["SuccessExitStatus"] == str(EXIT_ATTENTION)
    parse_arguments(service["ExecStart"].split()[2:])
    assert units["nightly-etl.timer"]["Timer"]["OnCalendar"].endswith("02:00:00")

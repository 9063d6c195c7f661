"""What runs elsewhere, on Docker and on GitHub, compared with what it must agree with."""

import re
from pathlib import Path
from typing import Any

import yaml
from engines import SQL_SERVER

ROOT = Path(__file__).resolve().parents[2]

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "sql-server.md").read_text(encoding="utf-8")
COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
WORKFLOW = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
RUNS = (ROOT / "tests" / "pipeline_runs.py").read_text(encoding="utf-8")
BINARIES = "${{ matrix.bin }}"


def server() -> dict[str, Any]:
    """The SQL Server of the compose file."""
    service: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]["sqlserver"]
    return service


def job(name: str) -> dict[str, Any]:
    """A job of the workflow."""
    found: dict[str, Any] = yaml.safe_load(WORKFLOW)["jobs"][name]
    return found


def steps() -> list[dict[str, Any]]:
    """The steps of all jobs."""
    jobs = yaml.safe_load(WORKFLOW)["jobs"].values()
    return [step for each in jobs for step in each["steps"]]


def step_of_tests(name: str) -> dict[str, Any]:
    """The step of a job that runs the tests."""
    (found,) = [step for step in job(name)["steps"] if "-m pytest" in step.get("run", "")]
    return dict(found)


def readme_command() -> str:
    """The command of the README that runs the tests on a fresh clone."""
    (command,) = re.findall(r"^python3 -m venv .* -m pytest$", README, re.MULTILINE)
    return str(command)


# --- the server to try it on -------------------------------------------------------------


def test_only_this_machine_can_reach_the_server() -> None:
    assert server()["ports"] == ["127.0.0.1:1433:1433"]


def test_the_password_comes_from_outside_and_a_missing_one_is_reported() -> None:
    environment = server()["environment"]
    passwords = {value for name, value in environment.items() if "PASSWORD" in name}
    (password,) = passwords
    assert re.fullmatch(r"\$\{MSSQL_SA_PASSWORD:\?set it to [^{}]+\}", password)


def test_the_server_is_ready_when_it_answers_a_query() -> None:
    check = server()["healthcheck"]["test"]
    assert check[0] == "CMD"
    assert check[-2:] == ["-Q", "SELECT 1"]
    assert "-P" not in check


def test_what_the_server_holds_outlives_it() -> None:
    (volume,) = server()["volumes"]
    assert volume.split(":")[0] in yaml.safe_load(COMPOSE)["volumes"]


# --- the workflow ------------------------------------------------------------------------


def test_the_documents_start_the_server_of_the_compose_file() -> None:
    assert "docker compose up --wait" in README
    assert "docker compose up --wait" in PAGE
    assert f"docker compose exec sqlserver {server()['healthcheck']['test'][1]} " in PAGE


def test_duckdb_is_tested_on_each_system_and_python() -> None:
    matrix = job("duckdb")["strategy"]["matrix"]
    assert matrix["os"] == ["ubuntu-latest", "windows-latest"]
    assert matrix["python"] == ["3.11", "3.x"]
    assert {entry["os"] for entry in matrix["include"]} == set(matrix["os"])


def test_both_jobs_call_the_test_command_of_the_readme() -> None:
    calls = [step_of_tests(name)["run"] for name in ("duckdb", "sqlserver")]
    assert [call.replace(BINARIES, ".venv/bin") for call in calls] == [readme_command()] * 2


def test_the_tests_know_the_server() -> None:
    environment = job("sqlserver")["env"]
    assert list(environment) == [SQL_SERVER.variable]
    assert "Driver=" not in environment[SQL_SERVER.variable]
    assert SQL_SERVER.variable in PAGE


def test_each_version_is_tested_with_bulk_copy_and_without_it() -> None:
    matrix = job("sqlserver")["strategy"]["matrix"]
    assert matrix == {"version": ["2019", "2022", "2025"], "bulk": ["no", "yes"]}
    assert step_of_tests("sqlserver")["env"] == {"TEST_SQLSERVER_BULK": "${{ matrix.bulk }}"}
    assert '("BULK", "no")' in RUNS and "TEST_SQLSERVER_{name}" in RUNS


def test_the_table_of_the_benchmark_is_kept() -> None:
    *_, measured, kept = job("sqlserver")["steps"]
    scripts = re.findall(r"benchmarks/\w+\.py", measured["run"])
    assert len(scripts) == 2
    assert all((ROOT / script).exists() for script in scripts)
    assert measured["env"] == {"SQL_SERVER_BULK": "${{ matrix.bulk }}"}
    assert measured["run"].endswith(f"| tee {kept['with']['path']}")
    assert "matrix.version" in kept["with"]["name"]
    assert "matrix.bulk" in kept["with"]["name"]


def test_the_workflow_tests_the_server_of_the_compose_file() -> None:
    service = job("sqlserver")["services"]["sqlserver"]
    version = job("sqlserver")["strategy"]["matrix"]["version"][1]
    assert service["image"].replace("${{ matrix.version }}", version) == server()["image"]
    assert service["ports"] == server()["ports"]
    assert list(service["env"]) == list(server()["environment"])
    tool = server()["healthcheck"]["test"][1].replace("tools18", "tools*")
    assert tool in service["options"]


def test_the_password_is_made_for_one_run() -> None:
    made = "${{ needs.password.outputs.sa }}"
    environment = job("sqlserver")["services"]["sqlserver"]["env"]
    assert {v for name, v in environment.items() if "PASSWORD" in name} == {made}
    assert job("sqlserver")["needs"] == "password"
    assert f"PWD={made};" in job("sqlserver")["env"][SQL_SERVER.variable]
    assert "openssl rand" in job("password")["steps"][0]["run"]


def test_actions_are_pinned_by_digest_with_their_version_beside_it() -> None:
    used = re.findall(r"uses: (.*)", WORKFLOW)
    assert used
    assert not [a for a in used if not re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v[\d.]+", a)]


def test_the_workflow_may_only_read_and_always_ends() -> None:
    workflow = yaml.safe_load(WORKFLOW)
    assert workflow["permissions"] == {"contents": "read"}
    assert all(each["timeout-minutes"] <= 60 for each in workflow["jobs"].values())

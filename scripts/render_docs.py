"""Renders the parts of README.md and docs/ that come from the program: output, help, tables.

    python scripts/render_docs.py

A part stands between `<!-- name -->` and `<!-- /name -->`. The tests check that the documents are
what this renders, times and run ids aside.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from architecture_docs import modules_table, rooms_diagram  # noqa: E402  # needs the path
from rule_docs import rules_markdown  # noqa: E402  # likewise
from schema_docs import dictionary_markdown  # noqa: E402  # likewise
from setting_docs import settings_markdown  # noqa: E402  # likewise

from etl.pipeline.command_line import build_parser  # noqa: E402  # needs the path
from etl.settings.example import env_example_text  # noqa: E402  # likewise
from etl.settings.pipeline_file import json_schema  # noqa: E402  # likewise
from etl.telemetry.prometheus import FAMILIES  # noqa: E402  # likewise

PLACE = "/opt/etl"  # where the documents say that the project lies
SCHEMA = ROOT / "docs" / "pipeline.schema.json"
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))


def run_twice() -> tuple[str, str]:
    """Return what the command prints on the bundled sample, the second time with --verbose."""
    with TemporaryDirectory() as folder:
        output, logs = Path(folder, "data/output"), Path(folder, "logs")
        own = {"OUTPUT_DIR": str(output), "LOG_DIR": str(logs), "PYTHONUTF8": "1"}
        environment = {**os.environ, **own}
        command = [sys.executable, str(ROOT / "etl_pipeline.py"), "--env", "dev"]
        printed = [
            subprocess.run(  # noqa: S603  # our own command
                [*command, *more], env=environment, capture_output=True, text=True, check=True,
                encoding="utf-8",
            ).stdout.replace(folder, PLACE)
            for more in ((), ("--verbose",))
        ]  # fmt: skip
    return fenced(printed[0]), fenced(printed[1])


def copied(folder: str) -> list[str]:
    """Copy the project there, and return the command that runs it."""
    for path in ROOT.glob("*.py"):
        shutil.copy2(path, folder)
    shutil.copytree(ROOT / "etl", Path(folder, "etl"))
    shutil.copytree(ROOT / "data/input", Path(folder, "data/input"))
    return [sys.executable, str(Path(folder, "etl_pipeline.py"))]


def printed_by(command: list[str], *, exit_code: int = 0, **settings: str) -> str:
    """Return what a command of a copied project prints."""
    environment = {**os.environ, **settings, "PYTHONUTF8": "1"}
    done = subprocess.run(  # noqa: S603  # our own command
        command, env=environment, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert done.returncode == exit_code, done.stderr  # noqa: S101  # a script
    return done.stdout


def health_check() -> str:
    """Return what a health check prints in a copy of the project that has run once."""
    with TemporaryDirectory() as folder:
        command = copied(folder)
        printed_by(command)
        return fenced(printed_by([*command, "--health-check"]))


def alerts() -> tuple[str, str]:
    """Return the e-mail and the message to Slack about products that end too early."""
    reported = {
        "ALERT_EMAIL_TO": "data-team@example.com, on-call@example.com",
        "ALERT_EMAIL_FROM": "etl-alerts@example.com",
    }
    with TemporaryDirectory() as folder:
        command = copied(folder)
        printed_by(command)
        products = Path(folder, "data/input/products.json")
        products.write_bytes(products.read_bytes()[:9000])
        printed_by(command, exit_code=3, **reported)
        texts = [
            Path(folder, "logs/alerts", name).read_text("utf-8").replace(folder, PLACE)
            for name in ("email_alerts.log", "slack_notifications.log")
        ]
    email = re.sub(
        r"(Stack Trace:\nTraceback.*\n)(?s:.*)\n(etl\.errors\.)", r"\1  ...\n\2", texts[0]
    )
    return fenced(email), fenced(re.split(r"(?m)^(?==+ SLACK)", texts[1])[-1])


def fenced(text: str) -> str:
    """Return the text as a code block, without spaces at the ends of its lines."""
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    return "\n".join(["```text", *lines, "```"])


def exit_codes() -> str:
    """Return the exit codes that the help names."""
    codes = build_parser().format_help().partition("exit codes:\n")[2].partition("\n\n")[0]
    rows = [line.split(maxsplit=1) for line in codes.splitlines() if line.strip()]
    return "\n".join(["| Exit code | |", "|---|---|", *(f"| {n} | {text} |" for n, text in rows)])


def metrics_table() -> str:
    """Return the metrics that a run leaves for Prometheus."""
    rows = (
        f"| `nightly_etl_{each.name}` | {', '.join(each.labels)} | {each.help} |"
        for each in FAMILIES
    )
    return "\n".join(["| Metric | Labels | |", "|---|---|---|", *rows])


def parts() -> dict[str, str]:
    """Every part that is rendered, by its name."""
    first, second = run_twice()
    email, slack = alerts()
    return {
        "short-run": first,
        "first-run": first,
        "second-run": second,
        "help": fenced(build_parser().format_help()),
        "exit-codes": exit_codes(),
        "health-check": health_check(),
        "email-alert": email,
        "slack-alert": slack,
        "settings": settings_markdown().strip(),
        "checks": rules_markdown(),
        "tables": dictionary_markdown(),
        "metrics": metrics_table(),
        "rooms": rooms_diagram(),
        "modules": modules_table(),
    }


def rendered(document: str, made: Mapping[str, str]) -> str:
    """The text of a document with its parts made anew where more differs than times and run ids.

    Raises:
        KeyError: a part that nothing renders.
    """

    def part(found: re.Match[str]) -> str:
        name, old = found.groups()
        same = without_times(old) == without_times(made[name])
        return f"<!-- {name} -->\n{old if same else made[name]}\n<!-- /{name} -->"

    return re.sub(r"<!-- ([a-z-]+) -->\n(?s:(.*?))\n?<!-- /\1 -->", part, document)


# What differs from run to run: run ids, times, rates, memory, space, ages, versions, hosts.
_VOLATILE = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)? UTC"), "MOMENT"),
    (re.compile(r"(Host|Process ID|Memory Usage|Processing Time Before Failure): .*"), r"\1"),
    (re.compile(r"(Duration:\*) .*"), r"\1"),
    (re.compile(r"(Processing Speed): .*"), r"\1"),
    (re.compile(r"\d{8}T\d{6}\.\d{6}Z"), "RUN"),
    (re.compile(r"\d+\.\d+ ms for a round"), "MS for a round"),
    (re.compile(r"[\d.]+ [KMG]B free"), "SPACE free"),
    (re.compile(r"\d+ days before \d{4}-\d\d-\d\d"), "AGE"),
    (re.compile(r"\d+ (?:minutes|hours|days) (ago|old)"), r"AGE \1"),
    (re.compile(r"DuckDB v[\d.]+, driver duckdb [\d.]+"), "VERSION"),
    (re.compile(r"peak memory: \d+ MB"), "MEMORY"),
    (re.compile(r"in [^,\n]+ s, [\d,]+ records/s"), "TIME"),
    (re.compile(r"^ seconds +\d.*$", re.MULTILINE), "SECONDS"),
    # of the table of stages
    (re.compile(r"^ (\w+ +)\d+\.\d\d (.*%) +[\d,]+$", re.MULTILINE), r"\1 N \2 N"),
    (re.compile(r"^ (\w+ +)\d+\.\d\d ( +\d+)$", re.MULTILINE), r"\1 N \2"),
    (re.compile(r"[┏┓┗┛┡┩├┤└┘┳┻╇┼┴┬─━]+"), "-"),
    (re.compile(r" +"), " "),
)


def without_times(document: str) -> str:
    """Return the text with everything that differs from run to run made equal."""
    for pattern, stand_in in _VOLATILE:
        document = pattern.sub(stand_in, document)
    return document


def schema_text() -> str:
    """Return the JSON Schema of pipeline.toml."""
    return json.dumps(json_schema(), indent=2) + "\n"


def main() -> None:
    """Render all documents."""
    made = parts()
    for path in DOCUMENTS:
        path.write_text(rendered(path.read_text(encoding="utf-8"), made), encoding="utf-8")
    SCHEMA.write_text(schema_text(), encoding="utf-8")
    (ROOT / ".env.example").write_text(env_example_text(), encoding="utf-8")


if __name__ == "__main__":
    main()

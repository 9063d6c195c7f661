"""Renders the parts of README.md that come from the program: output, help, settings, tables.

    python scripts/render_readme.py

The tests check that README.md is what this renders, times and run ids aside.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from schema_docs import dictionary_markdown  # noqa: E402  # likewise
from setting_docs import settings_markdown  # noqa: E402  # likewise

from etl.engines.dialect import DUCKDB  # noqa: E402  # likewise
from etl.pipeline.arguments import build_parser  # noqa: E402  # needs the path
from etl.quality.rules import rules_markdown  # noqa: E402  # likewise

README = ROOT / "README.md"


def run_twice() -> tuple[str, str]:
    """What the command prints on the bundled sample, the first and the second time."""
    with TemporaryDirectory() as folder:
        output, logs = Path(folder, "data/output"), Path(folder, "logs")
        own = {"OUTPUT_DIR": str(output), "LOG_DIR": str(logs), "PYTHONUTF8": "1"}
        environment = {**os.environ, **own}
        command = [sys.executable, str(ROOT / "etl_pipeline.py"), "--env", "dev"]
        printed = [
            subprocess.run(  # noqa: S603  # our own command
                command, env=environment, capture_output=True, text=True, check=True,
                encoding="utf-8",
            ).stdout.replace(f"{folder}/", "")
            for _ in range(2)
        ]  # fmt: skip
    return fenced(printed[0]), fenced(printed[1])


def copied(folder: str) -> list[str]:
    """Copies the project there, and returns the command that runs it."""
    for path in ROOT.glob("*.py"):
        shutil.copy2(path, folder)
    shutil.copytree(ROOT / "etl", Path(folder, "etl"))
    shutil.copytree(ROOT / "data/input", Path(folder, "data/input"))
    return [sys.executable, str(Path(folder, "etl_pipeline.py"))]


def printed_by(command: list[str], *, exit_code: int = 0, **settings: str) -> str:
    """What a command of a copied project prints."""
    environment = {**os.environ, **settings, "PYTHONUTF8": "1"}
    done = subprocess.run(  # noqa: S603  # our own command
        command, env=environment, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    assert done.returncode == exit_code, done.stderr  # noqa: S101  # a script
    return done.stdout


def health_check() -> str:
    """What a health check prints in a copy of the project that has run once."""
    with TemporaryDirectory() as folder:
        command = copied(folder)
        printed_by(command)
        return fenced(printed_by([*command, "--health-check"]))


def alerts() -> tuple[str, str]:
    """The e-mail and the message to Slack about products that end too early."""
    told = {
        "ALERT_EMAIL_TO": "data-team@example.com, on-call@example.com",
        "ALERT_EMAIL_FROM": "etl-alerts@example.com",
    }
    with TemporaryDirectory() as folder:
        command = copied(folder)
        printed_by(command)
        products = Path(folder, "data/input/products.json")
        products.write_bytes(products.read_bytes()[:9000])
        printed_by(command, exit_code=3, **told)
        texts = [
            Path(folder, "logs/alerts", name).read_text("utf-8").replace(f"{folder}/", "")
            for name in ("email_alerts.log", "slack_notifications.log")
        ]
    email = re.sub(
        r"(Stack Trace:\nTraceback.*\n)(?s:.*)\n(etl\.errors\.)", r"\1  ...\n\2", texts[0]
    )
    return fenced(email), fenced(re.split(r"(?m)^(?==+ SLACK)", texts[1])[-1])


def fenced(text: str) -> str:
    """The text as a code block, without spaces at the ends of its lines."""
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    return "\n".join(["```text", *lines, "```"])


def rendered(readme: str) -> str:
    """The README with its rendered parts made anew."""
    first, second = run_twice()
    email, slack = alerts()
    parts = {
        "first-run": first,
        "second-run": second,
        "help": fenced(build_parser().format_help()),
        "health-check": health_check(),
        "email-alert": email,
        "slack-alert": slack,
        "settings": settings_markdown().strip(),
        "checks": rules_markdown(DUCKDB),
        "tables": dictionary_markdown(),
    }
    for name, text in parts.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, rest = readme.split(start)
        readme = f"{before}{start}\n{text}\n{end}{rest.split(end)[1]}"
    return readme


# What differs from run to run: run ids, times, rates, memory, space, ages, versions, hosts.
_VOLATILE = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"), "MOMENT"),
    (re.compile(r"(Host|Process ID|Memory Usage|Processing Time Before Failure): .*"), r"\1"),
    (re.compile(r"(Duration:\*) .*"), r"\1"),
    (re.compile(r"(Processing Speed): .*"), r"\1"),
    (re.compile(r"\d{8}T\d{6}\.\d{6}Z"), "RUN"),
    (re.compile(r"\d+\.\d+ ms for a round"), "MS for a round"),
    (re.compile(r"[\d.]+ [KMG]B free"), "SPACE free"),
    (re.compile(r"\d+ days before \d{4}-\d\d-\d\d"), "AGE"),
    (re.compile(r"\d+ (?:minutes|hours|days) (ago|old)"), r"AGE \1"),
    (re.compile(r"DuckDB v[\d.]+, driver duckdb [\d.]+"), "VERSION"),
    (re.compile(r"\d+\.\d+ s, peak memory \d+ MB"), "TIME"),
    (re.compile(r"^│ seconds .*$", re.MULTILINE), "SECONDS"),
    (re.compile(r"^(│ \w+ +│) +\d+\.\d\d (│.*│) +[\d,]+ │$", re.MULTILINE), r"\1 N \2 N"),
    (re.compile(r"[┏┓┗┛┡┩├┤└┘┳┻╇┼┴┬─━]+"), "-"),
    (re.compile(r" +"), " "),
)


def without_times(readme: str) -> str:
    """The README with everything that differs from run to run made equal."""
    for pattern, stand_in in _VOLATILE:
        readme = pattern.sub(stand_in, readme)
    return readme


if __name__ == "__main__":
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")

"""What a run and the help do not import, since only some callers need it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = f"""
import runpy, sys
sys.argv = ["etl_pipeline.py", *sys.argv[1:]]
sys.path.insert(0, {str(ROOT)!r})
try:
    runpy.run_path({str(ROOT / "etl_pipeline.py")!r}, run_name="__main__")
except SystemExit as end:
    assert end.code in (0, 3, None), end.code
print("imported", *sorted(sys.modules), file=sys.stderr)
"""


# Arrow's own file systems are not among them: DuckDB imports them when it reads Arrow's columns.
CLOUDS = {"pyarrow.parquet", "boto3", "botocore", "azure"}
# What other runs and commands use: interfaces, a cluster, the page in a browser.
OTHER_RUNS = {"pyrate_limiter", "etl.cluster", "http.server", "etl.pipeline.commands"}


@pytest.mark.parametrize(
    ("argument", "unused"),
    [
        ("--dry-run", {"pandas", "polars", "narwhals", "httpx", *CLOUDS, *OTHER_RUNS}),
        ("--full-refresh", {"pandas", "polars", "narwhals", "httpx", *CLOUDS, *OTHER_RUNS}),
        ("--help", {"pandas", "polars", "narwhals", "pyarrow", "duckdb", "pydantic"}),
    ],
)
def test_nothing_is_imported_that_is_not_used(
    argument: str, unused: set[str], tmp_path: Path
) -> None:
    folders = {name: str(tmp_path / name) for name in ("OUTPUT_DIR", "LOG_DIR")}
    done = subprocess.run(  # our own interpreter and code
        [sys.executable, "-c", PROGRAM, argument],
        cwd=tmp_path, env=folders, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    imported = done.stderr.splitlines()[-1].split()
    assert imported[0] == "imported"
    assert unused & set(imported) == set()

"""What the suites that run on servers share: projects over the sample, and what must hold after."""

import shutil
from pathlib import Path
from typing import Any

from pipeline_runs import Project

from etl.schema.star import STAR_TABLES

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "input"
Tables = dict[str, list[dict[str, Any]]]


def project_in(folder: Path, **settings: str) -> Project:
    project = Project(folder, LOG_LEVEL="CRITICAL", RETRY_BACKOFF_FACTOR="0", **settings)
    shutil.copytree(SAMPLE, project.input, dirs_exist_ok=True)
    return project


def assert_balanced(project: Project) -> None:
    assert not project.query(
        "SELECT * FROM etl_load WHERE rows_read <> rows_inserted + rows_updated + rows_unchanged"
        " + rows_rejected + rows_duplicate"
    )
    for table in STAR_TABLES:
        audited = project.query(
            "SELECT sum(rows_inserted + rows_inferred - rows_removed) FROM etl_load"
            f" WHERE table_name = '{table.name}'"
        )
        assert audited == project.query(f"SELECT count(*) FROM {table.name}"), table.name


def staged_rows(project: Project) -> int:
    return sum(
        count
        for table in STAR_TABLES
        for name in (f"stage_{table.name}", f"rejected_{table.name}")
        for ((count,),) in [project.query(f"SELECT count(*) FROM {name}")]
    )

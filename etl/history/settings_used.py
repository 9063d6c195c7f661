"""The settings with which the rows of a table were computed."""

from collections.abc import Mapping

from etl.engines.database import DatabaseManager
from etl.history.audit_rows import write_rows
from etl.history.runs import RunPlan
from etl.schema.audit import ETL_SETTING
from etl.schema.table import Table


def record_settings(
    db: DatabaseManager, plan: RunPlan, table: Table, settings: Mapping[str, str]
) -> None:
    """Record the settings with which a run computes rows of a table.

    A run that computes every row of it anew replaces what earlier runs have recorded.

    Args:
        db: the warehouse, in the transaction of the load.
        plan: the run.
        table: the table.
        settings: by name, the value as text.
    """
    if plan.full_refresh or not (table.window or plan.is_partial):
        db.execute('DELETE FROM "etl_setting" WHERE "table_name" = ?;', (table.name,))
    if not settings:
        return
    same = " OR ".join('("setting" = ? AND "value" = ?)' for _ in settings)
    places = (part for place in settings.items() for part in place)
    db.execute(
        f'DELETE FROM "etl_setting" WHERE "table_name" = ? AND ({same});',  # noqa: S608  # marks
        (table.name, *places),
    )
    write_rows(db, ETL_SETTING, [
        {"table_name": table.name, "setting": setting, "value": value, "run_id": plan.run_id}
        for setting, value in settings.items()
    ])  # fmt: skip


def read_settings(db: DatabaseManager) -> dict[str, dict[str, list[str]]]:
    """Return the settings that computed the rows: by table and setting, the values, oldest first.

    More than one value means that some rows were computed with each of them.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for table_name, setting, value in db.query(
        'SELECT "table_name", "setting", "value" FROM "etl_setting" '
        'ORDER BY "table_name", "setting", "run_id";'
    ):
        found.setdefault(table_name, {}).setdefault(setting, []).append(value)
    return found

"""The tables as documentation: the data dictionary in the README."""

from etl.schema.table import Column, Kind, Table
from etl.schema.tables import ALL_TABLES
from etl.schema.views import HISTORY_VIEWS, VIEWS, View


def dictionary_markdown() -> str:
    """Return the data dictionary, a table per table and view, as it stands in the documentation."""
    parts = [*map(_table_markdown, ALL_TABLES), *map(_view_markdown, (*VIEWS, *HISTORY_VIEWS))]
    return "\n\n".join(parts)


def _view_markdown(view: View) -> str:
    lines = [
        f"**`{view.name}`** (a view): {view.description}",
        "",
        "| Column | Shows |",
        "|---|---|",
    ]
    for shown in view.columns:
        lines.append(f"| `{shown.name}` | `{shown.table.name}.{shown.column.name}` |")
    return "\n".join(lines)


def _table_markdown(table: Table) -> str:
    lines = [f"**`{table.name}`**: {table.description}", "", "| Column | Type | Meaning |",
             "|---|---|---|"]  # fmt: skip
    for column in table.columns:
        mark = " (key)" if column.name in table.key else ""
        lines.append(f"| `{column.name}`{mark} | {_type_words(column)} | {column.description} |")
    return "\n".join(lines)


def _type_words(column: Column) -> str:
    sizes = {
        Kind.TEXT: f"text({column.width})",
        Kind.DECIMAL: f"decimal({column.precision}, {column.scale})",
    }
    words = sizes.get(column.kind, column.kind.value)
    return words if column.required else f"{words}, may be empty"

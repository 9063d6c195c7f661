"""The tables as documentation: the data dictionary in the README."""

from etl.schema.tables import ALL_TABLES, Column, Kind, Table


def dictionary_markdown() -> str:
    """Return the data dictionary, a table per table, as it stands in the documentation."""
    return "\n\n".join(_table_markdown(table) for table in ALL_TABLES)


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

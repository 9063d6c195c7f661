"""The settings as documentation: the table in docs/settings.md."""

from etl.settings.sections.section import declared


def settings_markdown() -> str:
    """Return the table of settings as Markdown."""
    rows = ["| Setting | Default | What it does |", "|---|---|---|"]
    for setting in declared().values():
        default = f"`{setting.default}`" if setting.default else ""
        text = f"{setting.help} (secret)" if setting.secret else setting.help
        rows.append(f"| `{setting.name}` | {default} | {text.replace('<', '&lt;')} |")
    return "\n".join(rows) + "\n"

"""The settings as documentation: `.env.example`, and the table in the README."""

from etl.settings.config import SECTIONS, settings_table

_EXAMPLE_HEAD = """\
# Settings of the pipeline. Copy this file to .env, which all environments read, or to .env.dev,
# .env.test or .env.prod, and take away the # before a setting to change it.
# The process environment wins over .env.<environment>, that over .env, that over the defaults,
# which are shown here. An empty value counts as not set. Values are taken literally, ${...} too;
# put one that contains " #", or begins or ends with a space, into single quotes.
"""


def env_example_text() -> str:
    """The text of `.env.example`."""
    text = _EXAMPLE_HEAD
    for section, fields in SECTIONS.items():
        text += f"\n# ---- {fields.__doc__} ----\n"
        for setting in settings_table():
            if setting.section == section:
                # some readers of .env files take a bare # for the start of a comment
                value = f"'{setting.default}'" if "#" in setting.default else setting.default
                text += f"\n# {setting.help}\n#{setting.name}={value}\n"
    return text


def settings_markdown() -> str:
    """The table of settings for the README."""
    rows = ["| Setting | Default | What it does |", "|---|---|---|"]
    for setting in settings_table():
        default = f"`{setting.default}`" if setting.default else ""
        text = f"{setting.help} (secret)" if setting.secret else setting.help
        rows.append(f"| `{setting.name}` | {default} | {text.replace('<', '&lt;')} |")
    return "\n".join(rows) + "\n"

"""The settings as a file to copy: `.env.example`."""

from etl.settings.sections import SECTIONS
from etl.settings.sections.section import declared

_EXAMPLE_HEAD = """\
# Settings of the pipeline. Copy this file to .env, which all environments read, or to .env.dev,
# .env.test or .env.prod, and take away the # before a setting to change it.
# The process environment wins over .env.<environment>, that over .env, that over the defaults,
# which are shown here. An empty value counts as not set. Values are taken literally, ${...} too;
# put one that contains " #", or begins or ends with a space, into single quotes.
"""


def env_example_text() -> str:
    """Return the text of `.env.example`: every setting with its default and what it does."""
    text = _EXAMPLE_HEAD
    for section, fields in SECTIONS.items():
        text += f"\n# ---- {fields.__doc__} ----\n"
        for setting in declared().values():
            if setting.section == section:
                # some readers of .env files take a bare # for the start of a comment
                value = f"'{setting.default}'" if "#" in setting.default else setting.default
                text += f"\n# {setting.help}\n#{setting.name}={value}\n"
    return text

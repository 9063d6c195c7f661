"""The quality rules as documentation: the table in docs/data-quality.md."""

from etl.engines.duckdb import DUCKDB
from etl.quality.rules import all_rules


def rules_markdown() -> str:
    """Return the table of rules as Markdown; they are the same on every engine."""
    lines = ["| Check | Of | Severity | Passes up to | Counts |", "|---|---|---|---|---|"]
    for rule in all_rules(DUCKDB):
        most = f"{rule.threshold:.0%}" if rule.share else f"{rule.threshold:g}"
        lines.append(
            f"| `{rule.full_name}` | {rule.dimension} | {rule.severity} | {most} | {rule.meaning} |"
        )
    return "\n".join(lines)

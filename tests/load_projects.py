"""Declared loads that refer to each other, and their files."""

from collections.abc import Mapping, Sequence

from pipeline_runs import Project


def declared(name: str, parents: Sequence[str], tables: Mapping[str, str] | None = None) -> str:
    """A load of pipeline.toml with a key and the keys of its parents.

    Args:
        name: of the load, of its file and of its table.
        parents: the loads or tables that it refers to.
        tables: by parent, its table where that has another name.
    """
    known = tables or {}
    references = ", ".join(f'{p}_id = "{known.get(p, p)}"' for p in parents)
    columns = "".join(f', {parent}_id = "text(50)"' for parent in parents)
    return f"""[loads.{name}]
source = {{ path = "{name}.csv" }}
table = "{name}"
key = ["id"]
columns = {{ id = "text(10)"{columns} }}
references = {{ {references} }}
"""


def write(project: Project, name: str, parents: Sequence[str], rows: int) -> None:
    """The file of a load, whose rows refer to those of the same number."""
    header = ",".join(("id", *(f"{parent}_id" for parent in parents)))
    lines = (",".join([str(n)] * (1 + len(parents))) for n in range(1, rows + 1))
    (project.input / f"{name}.csv").write_text("\n".join([header, *lines]) + "\n")

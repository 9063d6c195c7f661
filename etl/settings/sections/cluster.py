"""The settings of work on other machines."""

from etl.settings.kinds import (
    Folder,
    Positive,
    Text,
    WhereRead,
)
from etl.settings.sections.section import Section, setting

# laid out by hand, as a table
# fmt: off


class ClusterConfig(Section):
    """Past one machine: where sources are read, cleaned and staged (docs/scaling.md)."""

    engine: WhereRead = setting(
        "local", "local (this process) or spark (the machines of a Spark cluster): where sources "
        "are read, cleaned and staged; the tables are the same")
    spark_master: Text | None = setting(
        None, "master of the cluster, such as spark://host:7077 or local[*]; unset: as Spark's own "
        "configuration says")
    spark_scratch: Folder | None = setting(
        None, "folder that all machines of the cluster see, for rejected records and for what an "
        "embedded warehouse is to take in; unset: a folder below OUTPUT_DIR")
    spark_piece_mb: Positive = setting(
        64, "about how many megabytes of a source file one task of Spark reads")

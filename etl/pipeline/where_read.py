"""Where the sources of a run are read: in this process, or on the machines of a cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from etl.errors import ConfigurationError
from etl.pipeline.arguments import WHERE_READ, Arguments
from etl.pipeline.context import Starting
from etl.pipeline.reading import start_reading
from etl.settings.config import Config

LOCAL, SPARK = WHERE_READ
# By ENGINE the module whose `opened` begins to read elsewhere; it is imported when it is chosen.
_ELSEWHERE = {SPARK: "etl.pipeline.on_cluster"}


@contextmanager
def where_read(config: Config, args: Arguments, scratch: Path) -> Iterator[Starting]:
    """Return what begins to read sources, where the settings and the arguments want it.

    Args:
        config: the settings.
        args: the arguments, which win.
        scratch: folder of the run's own.

    Raises:
        ConfigurationError: the arguments do not go together, or something is not installed.
    """
    engine = args.engine or config.cluster.engine
    if args.spark_master and engine != SPARK:
        raise ConfigurationError(
            "--spark-master goes with --engine spark", next_step="give both, or set ENGINE=spark"
        )
    if engine == LOCAL:
        yield start_reading
        return
    with import_module(_ELSEWHERE[engine]).opened(config, args, scratch) as start:
        yield start

"""The libraries of the extra `rest`, imported when a source is read over HTTP, and not before."""

import logging
from functools import partial

from etl import libraries

# They log addresses with all their parameters, credentials among them.
for _talkative in ("httpx", "httpcore"):
    logging.getLogger(_talkative).setLevel(logging.WARNING)

library = partial(libraries.library, needed_by="a source of type rest", extra="rest")

"""Lets tests of the pipeline read every source in pieces, as a cluster does:

    python -m pytest -p in_pieces tests/pipeline/test_histories.py

The pieces are small, each is read by a source that was made again, and all that goes to and fro is
pickled; Spark itself takes no part, so that a history costs little more than otherwise.
"""

from typing import Any

import pytest
from pieces_elsewhere import Elsewhere, instead_of_spark
from pipeline_runs import Project

_patch = pytest.MonkeyPatch()
_init = Project.__init__


def _in_pieces(self: Project, folder: Any, **settings: str) -> None:
    _init(self, folder, **{"ENGINE": "spark", **settings})


def pytest_configure() -> None:
    """Puts the pieces in place of the local loop."""
    instead_of_spark(_patch, Elsewhere())
    _patch.setattr(Project, "__init__", _in_pieces)


def pytest_unconfigure() -> None:
    """Takes that back."""
    _patch.undo()

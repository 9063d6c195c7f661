"""The settings of the files: which are read, where from, and where results go."""

from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Self, Sequence

from pydantic import PrivateAttr

from etl.cloud.paths import is_cloud
from etl.places import INSTALLED, SAMPLE
from etl.settings.clouds import access_of, placed, reached_by
from etl.settings.kinds import (
    Encoding,
    FileMode,
    Folder,
    Place,
    SourceFile,
)
from etl.settings.layers import Layers
from etl.settings.pipeline_file import NO_PIPELINE_FILE, PipelineFile
from etl.settings.pipeline_reading import read_pipeline_file
from etl.settings.sections.section import Section, setting
from etl.settings.source_paths import filled, is_dated, matches

# Built-in sources of which a run takes a span of days; the others are snapshots.
WINDOWED = ("sales",)

# laid out by hand, as a table
# fmt: off


def _wants_the_sample(layers: Layers) -> bool:
    """Whether an installed program was given nothing of its user's yet: no file, no database."""
    own = {"INPUT_DIR", "CUSTOMERS_FILE", "PRODUCTS_FILE", "SALES_FILE",
           "SALES_DB_CONNECTION_STRING", "DB_CONNECTION_STRING", "DB_SERVER"}
    if not INSTALLED or layers.environment == "prod" or own & layers.given.keys():
        return False
    return not any(layers.folder("INPUT_DIR").glob("*"))


def pipeline_file_of(layers: Layers) -> Path | None:
    """The file that is set, else the one beside .env, if it is there."""
    if "PIPELINE_FILE" in layers.given:
        return layers.folder("PIPELINE_FILE")
    beside = layers.base_dir / "pipeline.toml"
    return beside if beside.exists() else None


class FileConfig(Section):
    """Files: what is read, and where results go. Relative paths count from the project folder."""

    _pipeline: PipelineFile | None = PrivateAttr(None)
    _days: tuple[date, date] | None = PrivateAttr(None)
    _chosen: Mapping[str, tuple[Path, ...]] = PrivateAttr({})

    input_dir: Place = setting(
        "data/input", "folder of the source files, here or in a cloud: s3://bucket/folder")
    output_dir: Place = setting(
        "data/output", "folder of results; each environment has a folder of its own in it, with "
        "its rejected records, exports, history and embedded warehouse. In a cloud it has the "
        "rejected records and exports, see WORK_DIR")
    work_dir: Folder | None = setting(
        None, "folder on this machine for what needs a disk, where OUTPUT_DIR is in a cloud: "
        "history, page, embedded warehouse, what engines spill; unset: OUTPUT_DIR, or data/output")
    customers_file: SourceFile = setting("customers.csv", "customers, CSV; relative to INPUT_DIR")
    products_file: SourceFile = setting("products.json", "products, JSON; relative to INPUT_DIR")
    sales_file: SourceFile = setting("sales_transactions.csv", "sales, CSV; relative to INPUT_DIR")
    csv_encoding: Encoding = setting(
        "utf-8", "encoding of the CSV files, such as utf-8 (with or without BOM) or cp1252")
    pipeline_file: Folder | None = setting(
        None, "pipeline.toml: how sources differ from what is found by itself, and tables of one's "
        "own; unset: the one beside .env, if it is there")
    archive_dir: Place | None = setting(
        None, "where each run keeps a copy of its sources and settings, secrets masked; unset: no")
    file_mode: FileMode = setting(
        "0600", "rights of the files that a run makes, as chmod takes them; 0640 opens them to the "
        "group, and their folders with them")

    @classmethod
    def _read(cls, layers: Layers) -> tuple[dict[str, Any], set[str]]:
        values, wrong = super()._read(layers)
        if "PIPELINE_FILE" not in layers.given:
            values["pipeline_file"] = pipeline_file_of(layers)
        if _wants_the_sample(layers):
            values["input_dir"] = SAMPLE
        access = access_of(layers)
        return {name: reached_by(access, value) for name, value in values.items()}, wrong

    @property
    def pipeline(self) -> PipelineFile:
        """What PIPELINE_FILE declares; it is read once.

        Raises:
            PipelineFileError: it cannot be used.
        """
        if self._pipeline is None:
            path = self.pipeline_file
            self._pipeline = read_pipeline_file(path, self.input_dir) if path else NO_PIPELINE_FILE
        return self._pipeline

    @property
    def is_sample(self) -> bool:
        """Whether the sample that comes with the installed program is loaded, for want of files."""
        return INSTALLED and self.input_dir == SAMPLE

    @property
    def environment_dir(self) -> Path:
        """Folder of everything that belongs to one environment: it is never shared with another."""
        return self._environment_dir

    @property
    def results_dir(self) -> Path:
        """Folder of the rejected records and exports of one environment, here or in a cloud."""
        folder = self.output_dir
        return folder / self._environment_dir.name if is_cloud(folder) else self._environment_dir

    @property
    def file_permissions(self) -> int:
        """FILE_MODE as the number that os.chmod takes."""
        return int(self.file_mode, 8)

    def paths_of(self, source: str) -> tuple[Path, ...]:
        """Return the files of a built-in source, oldest first; one that is missing, for none.

        Args:
            source: customers, products or sales.
        """
        chosen = self._chosen.get(source)
        return chosen or self._paths(source, getattr(self, f"{source}_file"))

    def place_of(self, source: str) -> Path:
        """Return the path of a built-in source as it is set, for people."""
        return self.at(self._pattern(source, getattr(self, f"{source}_file")))

    def _pattern(self, source: str, name: str) -> str:
        return self.pipeline.source(source).path or name

    def _paths(self, source: str, name: str) -> tuple[Path, ...]:
        pattern, days = self._pattern(source, name), self.days
        found = self.matching(pattern)
        if not found:
            return (self.at(filled(pattern, days[1])),)
        spans = source in WINDOWED and days[0] < days[1] and filled(pattern, days[0]) != pattern
        is_all = spans or self.pipeline.source(source).which == "all"
        return tuple(found if is_all else found[-1:])

    def newest(self, pattern: str) -> Path:
        """Return the newest file that a pattern matches, or its path when there is none."""
        found = self.matching(pattern)
        return found[-1] if found else self.at(filled(pattern, self.days[1]))

    def matching(self, pattern: str) -> list[Path]:
        """Return the files that a pattern matches: of earlier days first, then older ones."""
        folder, below = placed(self.input_dir, pattern, self._access)
        return matches(folder, below, self.days)

    def at(self, path: str) -> Path:
        """Return where a path of a source leads, from INPUT_DIR or to a cloud."""
        folder, below = placed(self.input_dir, path, self._access)
        return folder / below

    def day_of(self, pattern: str) -> datetime | None:
        """Return the day that is part of the name of a file, of several the last; None if none is.

        Args:
            pattern: as it is set.
        """
        return datetime.combine(self.days[1], time.min) if is_dated(pattern) else None

    @property
    def days(self) -> tuple[date, date]:
        """The days that `{date}` in a path means: those of the run, or today, here."""
        today = datetime.now().date()  # the day here
        return self._days or (today, today)

    def for_days(self, first: date, last: date) -> Self:
        """Return the same settings for a run of these days."""
        copy = self.model_copy()
        copy._days = (first, last)
        return copy

    def choosing(self, source: str, paths: Sequence[Path]) -> Self:
        """Return the same settings by which a built-in source has these files, come what may."""
        copy = self.model_copy()
        copy._chosen = {**self._chosen, source: tuple(paths)}
        return copy

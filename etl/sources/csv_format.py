"""How a CSV file is written, as far as it is set, and what is wanted of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from etl.errors import ValidationError
from etl.sources.csv_header import Header, HeaderOptions, listed
from etl.sources.watch import Watch


@dataclass(frozen=True)
class CsvFormat:
    """How a CSV file is written.

    Attributes:
        encoding: how the text is encoded; UTF-8 may start with a byte order mark.
        longest_line_bytes: the longest line that is accepted. So much is read at a time, but no
            more than `MOST_READ_BYTES`.
        set_encoding: how a person gives another encoding, to be followed by its name.
        header: what is known of the header.
        defaults: values of columns that the file may lack.
        numbers: columns of numbers whose decimal mark was not set.
        keep_extra: whether columns that are not wanted are read besides.
        refuse_extra: whether columns that are not wanted are an error.
    """

    encoding: str = "utf-8"
    longest_line_bytes: int = 16 * 2**20
    set_encoding: str = "set CSV_ENCODING to"
    header: HeaderOptions = field(default_factory=HeaderOptions)
    defaults: Mapping[str, str] = field(default_factory=dict)
    numbers: tuple[str, ...] = ()
    refuse_extra: bool = False
    keep_extra: bool = False

    @property
    def other_encoding(self) -> str:
        """What to do when the file is no text in this encoding."""
        return f"{self.set_encoding} the encoding of the file, such as cp1252 or utf-16"


PLAIN = CsvFormat()


@dataclass(frozen=True)
class Target:
    """What is wanted of which file."""

    path: Path
    columns: tuple[str, ...]
    besides: tuple[str, ...]
    csv_format: CsvFormat
    watch: Watch

    @property
    def header_options(self) -> HeaderOptions:
        """What is known of the header; a column with a default may be missing."""
        options = self.csv_format.header
        return replace(options, optional=options.optional | self.csv_format.defaults.keys())

    def report(self, header: Header) -> None:
        """Say what the header is like, or refuse the columns that nobody wants."""
        if header.extra and self.csv_format.refuse_extra:
            what = f"{self.path}: the header has columns that the table lacks: "
            step = 'remove them, or set extra = "report" for this source'
            raise ValidationError(what + listed(header.extra), next_step=step)
        self.watch.facts.update(dict.fromkeys(header.findings))
        self.watch.extra += header.extra
        if header.extra:
            self.watch.facts[f"columns that are not loaded: {listed(header.extra)}"] = None

    @property
    def names(self) -> tuple[str, ...]:
        """All columns that are read."""
        return (*self.columns, *self.besides)

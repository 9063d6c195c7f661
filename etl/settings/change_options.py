"""How changes are read, from files or from a database, as `pipeline.toml` declares them."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

# By type of a feed, the keys below that it has.
FEEDS: Mapping[str, tuple[str, ...]] = {
    "debezium": ("encodings", "changed_at"),
    "postgresql_slot": (
        "slot", "publication", "plugin", "most_changes", "warn_mb", "changed_at",
    ),
    "change_tracking": (),
    "cdc": ("capture",),
    "change_table": ("change_table", "changed_at"),
}  # fmt: skip
FROM_FILES = ("debezium",)

# How values are written that are no plain numbers or texts; N is the scale of a decimal.
ENCODINGS = (
    "decimal(N)", "days", "seconds", "milliseconds", "microseconds", "nanoseconds",
    "time in milliseconds", "time in microseconds", "time in nanoseconds", "base64", "bits",
)  # fmt: skip
_ENCODING = re.compile(
    r"decimal\(\d{1,2}\)|(time in )?(milli|micro|nano)seconds|days|seconds|base64|bits"
)


def _encoding(text: str) -> str:
    if not _ENCODING.fullmatch(text):
        raise ValueError(f"{text!r} is no encoding. Choices: {', '.join(ENCODINGS)}")
    return text


ValueEncoding = Annotated[
    str,
    AfterValidator(_encoding),
    WithJsonSchema({"type": "string", "pattern": f"^({_ENCODING.pattern})$"}),
]
Name = Annotated[str, Field(pattern=r"^([a-z0-9_]{1,63})?$")]


class ChangeOptions(BaseModel):
    """What a source says whose records are changes."""

    model_config = ConfigDict(defer_build=True)

    encodings: Mapping[str, ValueEncoding] = Field(
        default={},
        description="column = how its values are encoded, where the events carry no schema",
    )
    changed_at: str = Field(
        default="", description="column of the load that takes the time of each change, UTC"
    )
    slot: Name = Field(default="", description="replication slot that is read; etl_NAME")
    publication: Name = Field(
        default="", description="publication whose changes the slot gives; etl_NAME"
    )
    plugin: Literal["pgoutput", "test_decoding", "wal2json"] = Field(
        default="pgoutput", description="output plugin of the slot"
    )
    most_changes: Annotated[int, Field(ge=1)] = Field(
        default=10_000_000, description="changes after which a run leaves the others to the next"
    )
    warn_mb: Annotated[int, Field(ge=1)] = Field(
        default=1024, description="megabytes kept for the slot beyond which a run warns"
    )
    capture: str = Field(default="", description="capture instance; schema_table")
    change_table: str = Field(
        default="etl_change", description="table in which triggers or comparisons note changes"
    )

    @property
    def is_feed(self) -> bool:
        """Whether its records are changes."""
        return getattr(self, "type", None) in FEEDS

    @model_validator(mode="after")
    def _belongs_to_a_feed(self) -> Self:
        kind = str(getattr(self, "type", None))
        given = self.model_fields_set & set(ChangeOptions.model_fields)
        for name in sorted(given - set(FEEDS.get(kind, ()))):
            wanted = next(feed for feed, names in FEEDS.items() if name in names)
            raise ValueError(f"{name} belongs to type {wanted!r}")
        return self

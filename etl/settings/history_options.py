"""Which tables keep the versions of their rows, and how, as `pipeline.toml` declares it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from etl.schema.versions import Versions

ColumnName = Annotated[str, Field(pattern=r"^[^\W\d]\w{0,127}$")]
# What a difference in a column does, by the numbers that slowly changing dimensions have.
OVERWRITES, WITH_PREVIOUS = 1, 3


class HistoryOptions(BaseModel):
    """How versions of a row come about."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    valid_from: ColumnName | None = Field(
        default=None,
        description="column that says since when a record holds; the cursor, else the run's time",
    )
    types: Mapping[ColumnName, Literal[1, 2, 3]] = Field(
        default={},
        description="what a difference in a column does: 1 overwrites it, 2 opens a version (the "
        "default), 3 overwrites it and keeps the value before",
    )
    removed: Literal["close", "keep"] | None = Field(
        default=None,
        description="whether the version of a key ends that the source no longer has; close, but "
        "keep where a cursor reads only what is new",
    )

    def versions(self, cursor: str | None = None) -> Versions:
        """Return how the versions come about.

        Args:
            cursor: the column by which the source is read.

        Example:
            >>> HistoryOptions(types={"email": 1}).versions("updated_at")
            Versions(valid_from='updated_at', overwritten=('email',), with_previous=())
        """
        return Versions(
            self.valid_from or cursor or "", self._of(OVERWRITES), self._of(WITH_PREVIOUS)
        )

    def closes(self, cursor: str | None = None) -> bool:
        """Return whether what a reading lacks has ended.

        Example:
            >>> HistoryOptions().closes(), HistoryOptions().closes("updated_at")
            (True, False)
        """
        return (self.removed or ("keep" if cursor else "close")) == "close"

    def _of(self, kind: int) -> tuple[str, ...]:
        return tuple(name for name, number in self.types.items() if number == kind)


def _switch(given: Any) -> Any:
    return {True: {}, False: None}[given] if isinstance(given, bool) else given


class ChangeLogOptions(BaseModel):
    """How long the log of a table's changes is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    days: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="days for which changes are kept; for good when left out"
    )

    @property
    def logged(self) -> int:
        """The same, as `Table.logged` has it."""
        return self.days or 0


# `true` for the options by default, `false` for none.
History = Annotated[HistoryOptions | None, BeforeValidator(_switch, bool | HistoryOptions | None)]
ChangeLog = Annotated[
    ChangeLogOptions | None, BeforeValidator(_switch, bool | ChangeLogOptions | None)
]

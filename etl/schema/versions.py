"""How a table keeps the versions of its rows, as it is declared."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Versions:
    """How the versions of a row come about (slowly changing dimensions, types 1 to 3).

    A difference in any other column opens a new version (type 2).

    Attributes:
        valid_from: the column of the records that says since when they hold; empty: they hold
            from the moment on at which they were seen.
        overwritten: columns that have their latest value in all versions of a key (type 1).
        with_previous: the same, with the value before it in a column beside it (type 3).
    """

    valid_from: str = ""
    overwritten: tuple[str, ...] = ()
    with_previous: tuple[str, ...] = ()

    @property
    def latest(self) -> tuple[str, ...]:
        """The columns of which each version has the latest value."""
        return (*self.overwritten, *self.with_previous)

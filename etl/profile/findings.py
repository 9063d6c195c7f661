"""What stands out in a profile: for a person to look at, never a fault by itself."""

from collections.abc import Iterator
from dataclasses import dataclass

from etl.profile.figures import ColumnFigures, Profile
from etl.words import counted, percent_words

# A form that so many of the values have is the rule, and the others are exceptions.
_RULE_SHARE = 0.9
# With fewer values nothing is a rule.
_FEWEST_VALUES = 20
_MOSTLY_MISSING = 0.5
_SHOWN = 40


@dataclass(frozen=True)
class Finding:
    """Something that stands out; `column` is empty where it is about whole records."""

    column: str
    words: str


def findings(profile: Profile) -> tuple[Finding, ...]:
    """Return what stands out in a profile.

    Example:
        >>> city = ColumnFigures("city", "text", 4, nulls=3, distinct=1, frequent=(("Rome", 1),))
        >>> [found.words for found in findings(Profile("a.csv", "file", "", 4, (city,)))]
        ['75% of the records have no value']
    """
    return (*_of_records(profile), *(f for c in profile.columns for f in _of_column(c)))


def _of_records(profile: Profile) -> Iterator[Finding]:
    if profile.unreadable:
        yield Finding("", f"{counted(profile.unreadable, 'line')} cannot be taken apart")
    if profile.record_duplicates:
        repeated = counted(profile.record_duplicates, "record")
        yield Finding("", f"{repeated} equal to another one in all columns")
    if profile.key_duplicates:
        key = ", ".join(profile.key)
        assumed = ", taken for the key by its name" if profile.key_assumed else ""
        yield Finding(key, f"{counted(profile.key_duplicates, 'record')} with the key of another "
                           f"one{assumed}")  # fmt: skip


def _of_column(column: ColumnFigures) -> Iterator[Finding]:
    for words in (_missing(column), _constant(column), _padded(column), _exceptions(column),
                  _odd_form(column), _outliers(column)):  # fmt: skip
        if words:
            yield Finding(column.name, words)


def _missing(column: ColumnFigures) -> str:
    if column.rows and not column.values:
        return "no record has a value"
    if column.null_share > _MOSTLY_MISSING:
        return f"{percent_words(column.null_share)} of the records have no value"
    return ""


def _constant(column: ColumnFigures) -> str:
    if column.distinct == 1 and column.values >= _FEWEST_VALUES:
        return f"always {_short(column.lowest or '')!r}"
    return ""


def _padded(column: ColumnFigures) -> str:
    return f"{counted(column.padded, 'value')} with blanks around" if column.padded else ""


def _exceptions(column: ColumnFigures) -> str:
    for name, some in (("number", column.numbers), ("date", column.times)):
        is_rule = some >= _RULE_SHARE * column.values >= _RULE_SHARE * _FEWEST_VALUES
        if is_rule and some < column.values:
            return f"{counted(column.values - some, 'value')} of {column.values:,} no {name}"
    return ""


def _odd_form(column: ColumnFigures) -> str:
    if not column.patterns or column.values < _FEWEST_VALUES:
        return ""
    pattern, rows = column.patterns[0]
    others = column.values - rows
    if 0 < others <= (1 - _RULE_SHARE) * column.values:
        return f"{counted(others, 'value')} of {column.values:,} not of the form {_short(pattern)}"
    return ""


def _outliers(column: ColumnFigures) -> str:
    least = min(column.outliers.values(), default=0)
    return f"{counted(least, 'outlier')} by every method" if least else ""


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"

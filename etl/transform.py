"""Reusable transformations of records: lists of dicts, DataFrames or Arrow tables in, the same out.

    from etl.transform import clean_rows, remove_duplicates

    cleaned, report = clean_rows(
        rows, remove_dupes=True, imputation_strategy="mean", validate_rules=True,
        return_quality_report=True,
    )

What is given stays as it is. `pipeline.toml` has the same for loads: docs/transformations.md.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from etl.errors import TransformationError
from etl.rules.cleaning import FIRST, FORWARD, LAST, MEAN, MEDIAN, MODE
from etl.rules.columns import as_text_column, clean_text
from etl.rules.declared import evaluated
from etl.rules.found_types import LOOKS_LIKE_KEY
from etl.rules.record_columns import changed, column_of
from etl.rules.records import Records, records_of
from etl.rules.spreads import METHODS, fence, place_of
from etl.rules.steps import STEPS
from etl.rules.texts import NULL_WORDS, is_null_word
from etl.rules.usual import SCORE_WEIGHTS, UsualRule, usual_rules

DEFAULT, CONSTANT = "default", "constant"
STRATEGIES = (DEFAULT, CONSTANT, MEAN, MEDIAN, MODE, FORWARD)
_MOST_ERRORS = 1000  # that a report lists

Rows = Any  # a list of dicts, a pandas or polars DataFrame, an Arrow table


# --- single values ---------------------------------------------------------------------------


def apply_steps(rows: Rows, steps: Mapping[str, Sequence[str]]) -> Rows:
    """Apply named steps to texts: trim, lower, upper, title, state_code.

    Args:
        rows: the records.
        steps: by column, the steps one after the other; values that are no texts stay.

    Returns:
        The records in the kind that was given.

    Raises:
        TransformationError: there is no such column or step.

    Example:
        >>> apply_steps([{"state": " new  york", "n": 1}], {"state": ["state_code"]})
        [{'state': 'NY', 'n': 1}]
    """
    records = records_of(rows)
    _require(steps, records.names, "column")
    _require([s for names in steps.values() for s in names], STEPS, "step")
    return changed(rows, dict(_changes(records, steps, _stepped(steps))))


def _stepped(steps: Mapping[str, Sequence[str]]) -> Callable[[str, pa.Array], pa.Array]:
    def apply(name: str, values: pa.Array) -> pa.Array:
        for step in steps[name]:
            values = STEPS[step](values)
        return values

    return apply


def _changes(
    records: Records, names: Iterable[str], rule: Callable[[str, pa.Array], pa.Array]
) -> Iterable[tuple[str, tuple[pa.Array, pa.Array]]]:
    """What a rule over texts changes in columns of texts."""
    for name in names:
        values = column_of(records, name)
        if values is not None and _is_text(values):
            values = values.cast(pa.string())
            found = rule(name, values)
            same = pc.or_(
                pc.fill_null(pc.equal(found, values), False),
                pc.and_(pc.is_null(found), pc.is_null(values)),
            )
            yield name, (pc.invert(same), found)


def _is_text(values: pa.Array) -> bool:
    return any(is_kind(values.type) for is_kind in _TEXTS)


_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


def trim_whitespace(rows: Rows, columns: Sequence[str] | None = None) -> Rows:
    """Remove blanks around texts, and leave one of several within; empty texts become missing.

    Args:
        rows: the records.
        columns: all of them when left out.

    Raises:
        TransformationError: there is no such column.
    """
    names = records_of(rows).names if columns is None else columns
    return apply_steps(rows, dict.fromkeys(names, ("trim",)))


def standardize_states(rows: Rows, columns: Sequence[str] = ("state",)) -> Rows:
    """Replace states of the USA by their postal codes; what is none stays as it is.

    Raises:
        TransformationError: there is no such column.
    """
    return apply_steps(rows, dict.fromkeys(columns, ("state_code",)))


def handle_nulls(
    rows: Rows, columns: Sequence[str] | None = None, *, words: Sequence[str] = NULL_WORDS
) -> Rows:
    """Make texts missing that stand for nothing: empty ones, and null words.

    Args:
        rows: the records.
        columns: all of them when left out.
        words: texts that mean a missing value; compared exactly, blanks around aside.

    Raises:
        TransformationError: there is no such column.

    Example:
        >>> handle_nulls([{"city": "NULL", "zip": "?"}, {"city": " "}], words=["NULL", "?"])
        [{'city': None, 'zip': None}, {'city': None}]
    """
    records = records_of(rows)
    names = records.names if columns is None else columns
    _require(names, records.names, "column")

    def without(_name: str, values: pa.Array) -> pa.Array:
        missing = pc.or_(is_null_word(values, words), pc.is_null(clean_text(values)))
        return pc.if_else(missing, None, values)

    return changed(rows, dict(_changes(records, names, without)))


# --- duplicates ------------------------------------------------------------------------------


def remove_duplicates(
    rows: Rows, key_fields: Sequence[str] | None = None, *, keep: str = LAST
) -> Rows:
    """Leave one record of those that are the same.

    Args:
        rows: the records.
        key_fields: the columns by which they are the same; a record without a value in one is
            unlike all others. Left out: all columns, missing values being equal.
        keep: which one stays, the first or the last.

    Returns:
        The records in the kind that was given, in their order.

    Raises:
        TransformationError: there is no such column, or no such choice.

    Example:
        >>> remove_duplicates([{"id": 1, "n": "a"}, {"id": 1, "n": "b"}, {"id": 2}], ["id"])
        [{'id': 1, 'n': 'b'}, {'id': 2}]
    """
    return changed(rows, {}, distinct_rows(rows, key_fields, keep=keep))


def distinct_rows(
    rows: Rows, key_fields: Sequence[str] | None = None, *, keep: str = LAST
) -> list[int]:
    """Return which records `remove_duplicates` leaves, from 0; the arguments are the same."""
    records = records_of(rows)
    _require(key_fields or (), records.names, "column")
    _require([keep], (FIRST, LAST), "choice of keep")
    names = key_fields or records.names
    columns = [_plain(records.column(name)) for name in names]
    places: dict[Any, int] = {}
    for row, key in enumerate(zip(*columns, strict=True)):
        different = key_fields and any(value is None for value in key)
        own = ("row", row) if different else tuple(map(_comparable, key))
        if keep == LAST or own not in places:
            places[own] = row
    return sorted(places.values())


def _plain(values: Any) -> list[Any]:
    return values.to_pylist() if isinstance(values, pa.Array) else list(values)


def _comparable(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    # a number is not the text of it, and true is not 1
    return (type(value).__name__, repr(value)) if isinstance(value, list | dict | bool) else value


# --- values that are made up -----------------------------------------------------------------


@dataclass(frozen=True)
class Imputation:
    """Records whose missing values were made up, and how many there were, by column."""

    rows: Rows
    made: Mapping[str, int]


def impute(
    rows: Rows, strategies: Mapping[str, str], *, constants: Mapping[str, Any] | None = None
) -> Imputation:
    """Make up missing values.

    Args:
        rows: the records.
        strategies: by column: mean, median (of an even number of values the mean of both in the
            middle), mode (of several the one that comes first), forward (the value of the record
            before), constant, or default (0). Numbers that stand as texts are read as numbers.
        constants: by column, the value for `constant`.

    Returns:
        The records in the kind that was given; and by column how many values were made.

    Raises:
        TransformationError: there is no such column or strategy, or a column holds no numbers.

    Example:
        >>> found = impute([{"n": 1.0}, {"n": None}, {"n": 4.0}], {"n": "mean"})
        >>> found.rows, found.made
        ([{'n': 1.0}, {'n': 2.5}, {'n': 4.0}], {'n': 1})
    """
    records = records_of(rows)
    _require(strategies, records.names, "column")
    _require(strategies.values(), STRATEGIES, "strategy")
    changes = {}
    for name, strategy in strategies.items():
        values = column_of(records, name)
        if values is None:
            raise TransformationError(f"{name} holds values of several types")
        given = (constants or {}).get(name)
        changes[name] = _imputed(name, _without_blanks(values), strategy, given)
    made = {name: where.true_count for name, (where, _) in changes.items()}
    return Imputation(changed(rows, changes), made)


def _without_blanks(values: pa.Array) -> pa.Array:
    if not _is_text(values):
        return values
    text = values.cast(pa.string())
    return pc.if_else(pc.is_null(clean_text(text)), None, text)


def _imputed(
    name: str, values: pa.Array, strategy: str, constant: Any
) -> tuple[pa.Array, pa.Array]:
    missing = pc.is_null(values)
    if strategy == FORWARD:
        filled = pc.fill_null_forward(values)
        return pc.and_(missing, pc.is_valid(filled)), filled
    if not missing.true_count or (strategy in (MEAN, MEDIAN, MODE) and not missing.false_count):
        return pc.and_(missing, False), values
    value = constant if strategy == CONSTANT else _made_up(name, values, strategy)
    try:
        return missing, pc.if_else(missing, _as_type(value, values.type), values)
    except (pa.ArrowException, InvalidOperation, ValueError, TypeError) as error:
        raise TransformationError(f"{value!r} is no value for {name}: {error}") from error


def _made_up(name: str, values: pa.Array, strategy: str) -> Any:
    if strategy == MODE:
        (value, _), *_ = Counter(pc.drop_null(values).to_pylist()).most_common(1)
        return value
    if strategy == DEFAULT:
        return 0
    numbers = numbers_in(values)
    if numbers is None:
        raise TransformationError(f"{name} holds no numbers, which {strategy} needs")
    return _mean(numbers) if strategy == MEAN else _median(numbers)


def numbers_in(values: pa.Array) -> list[Any] | None:
    """Return the numbers of a column, those that stand as texts too; None where some are none."""
    known = pc.drop_null(values)
    if not _is_text(values):
        is_number = any(check(values.type) for check in _NUMBERS)
        return known.to_pylist() if is_number else None
    try:
        numbers = [Decimal(text.strip()) for text in known.to_pylist()]
    except InvalidOperation:
        return None
    return numbers if all(number.is_finite() for number in numbers) else None


_NUMBERS = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)


def _mean(numbers: Sequence[Any]) -> Any:
    if isinstance(numbers[0], float):
        return math.fsum(numbers) / len(numbers)
    return sum(map(Decimal, numbers), Decimal(0)) / len(numbers)


def _median(numbers: Sequence[Any]) -> Any:
    ordered, half = sorted(numbers), len(numbers) // 2
    return _mean([ordered[half - 1 + len(numbers) % 2], ordered[half]])


def _as_type(value: Any, kind: pa.DataType) -> pa.Scalar:
    """A value in the type of a column: whole numbers and decimals rounded half away from zero."""
    if isinstance(value, Decimal) and pa.types.is_decimal(kind):
        value = value.quantize(Decimal(1).scaleb(-kind.scale), ROUND_HALF_UP)
    elif isinstance(value, Decimal) and pa.types.is_integer(kind):
        value = int(value.quantize(Decimal(1), ROUND_HALF_UP))
    elif not isinstance(value, str) and pa.types.is_string(kind):
        value = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return pa.scalar(value, kind)


# --- outliers --------------------------------------------------------------------------------


def find_outliers(rows: Rows, column: str, method: str = METHODS[1]) -> list[int]:
    """Return which records hold a number that lies outside, from 0.

    Args:
        rows: the records.
        column: of numbers; as texts too.
        method: quantile, iqr or median deviation; see `docs/profile.md`.

    Raises:
        TransformationError: there is no such column or method, or it holds no numbers.

    Example:
        >>> find_outliers([{"n": n} for n in (1, 2, 2, 3, 90)], "n")
        [4]
    """
    records = records_of(rows)
    _require([column], records.names, "column")
    _require([method], METHODS, "method")
    values = column_of(records, column)
    values = None if values is None else _without_blanks(values)
    found = None if values is None else numbers_in(values)
    if values is None or found is None:
        raise TransformationError(f"{column} holds no numbers")
    numbers = [float(number) for number in found]
    places = pc.indices_nonzero(pc.is_valid(values)).to_pylist()
    ordered = sorted(numbers)

    def distance(middle: float) -> float:
        apart = sorted(abs(number - middle) for number in numbers)
        return apart[place_of(50, len(apart)) - 1]

    bounds = numbers and fence(
        method, lambda per: ordered[place_of(per, len(ordered)) - 1], distance
    )
    if not bounds:
        return []
    pairs = zip(places, numbers, strict=True)
    return [place for place, n in pairs if not bounds.low <= n <= bounds.high]


# --- all of it -------------------------------------------------------------------------------


def clean_rows(
    rows: Rows,
    *,
    remove_dupes: bool = False,
    key_fields: Sequence[str] | None = None,
    imputation_strategy: str | None = None,
    validate_rules: bool = False,
    return_quality_report: bool = False,
) -> Any:
    """Clean records: blanks, null words, duplicates, rules, missing values, in this order.

    Args:
        rows: the records.
        remove_dupes: leave one of the records that are the same.
        key_fields: by which they are the same; all columns when left out.
        imputation_strategy: for missing values: default (0), mean and median of columns of
            numbers; mode and forward of all columns. Columns that are called like keys stay.
        validate_rules: leave out records that break a rule of columns of usual names
            (`etl.rules.usual`): quantities, prices, totals, e-mail addresses.
        return_quality_report: whether to return the report as well.

    Returns:
        The records in the kind that was given; with `return_quality_report` a pair of them and
        of a dict: `total_records`, `valid_records`, `invalid_records`, `duplicate_records`,
        `imputed` and `null_counts` by field, `completeness_score`, `validity_score`,
        `consistency_score`, `overall_score`, `validation_errors` (`row` of the given records
        from 0, `field`, `rule`).

    Raises:
        TransformationError: there is no such column or strategy.

    Example:
        >>> rows = [{"id": "1", "quantity": " 2 "}, {"id": "1", "quantity": "2"},
        ...         {"id": "2", "quantity": "-5"}, {"id": "3", "quantity": None}]
        >>> cleaned, report = clean_rows(rows, remove_dupes=True, imputation_strategy="mean",
        ...                              validate_rules=True, return_quality_report=True)
        >>> cleaned
        [{'id': '1', 'quantity': '2'}, {'id': '3', 'quantity': '2'}]
        >>> report["duplicate_records"], report["invalid_records"], report["imputed"]
        (1, 1, {'quantity': 1})
    """
    given = records_of(rows)
    tidy = handle_nulls(trim_whitespace(rows))
    kept = distinct_rows(tidy, key_fields) if remove_dupes else list(range(len(given)))
    errors = _broken(tidy, kept) if validate_rules else []
    wrong = {error["row"] for error in errors}
    nulls = _null_counts(tidy)
    valid = [row for row in kept if row not in wrong]
    imputed = _impute_all(changed(tidy, {}, valid), imputation_strategy)
    if not return_quality_report:
        return imputed.rows
    counts = (len(given), len(kept), len(valid))
    return imputed.rows, _report(counts, nulls, errors, imputed.made)


def _impute_all(rows: Rows, strategy: str | None) -> Imputation:
    if strategy is None:
        return Imputation(rows, {})
    _require([strategy], STRATEGIES, "strategy")
    records = records_of(rows)
    names = [n for n in records.names if not LOOKS_LIKE_KEY.search(n.lower())]
    if strategy not in (MODE, FORWARD):
        names = [n for n in names if _holds_numbers(column_of(records, n))]
    found = impute(rows, dict.fromkeys(names, strategy))
    return Imputation(found.rows, {name: made for name, made in found.made.items() if made})


def _holds_numbers(values: pa.Array | None) -> bool:
    return values is not None and values.null_count < len(values) and numbers_in(values) is not None


def _broken(rows: Rows, kept: Sequence[int]) -> list[dict[str, Any]]:
    """The rules that are broken, by row of the given records."""
    records = records_of(rows)
    rules = list(usual_rules(records.names))
    columns = {rule.column: column_of(records, rule.column) for rule in rules}
    rules = [rule for rule in rules if columns[rule.column] is not None]
    if not rules:
        return []
    texts = {f"c{n}": as_text_column(columns[rule.column]) for n, rule in enumerate(rules)}
    found = evaluated([_is_false(n, rule) for n, rule in enumerate(rules)],
                      pa.RecordBatch.from_pydict(texts))  # fmt: skip
    wanted = set(kept)
    return [
        {"row": row, "field": rule.column, "rule": rule.name}
        for rule, broken in zip(rules, found, strict=True)
        for row in pc.indices_nonzero(broken).to_pylist()
        if row in wanted
    ]


def _is_false(number: int, rule: UsualRule) -> str:
    value = f"c{number}"
    if not rule.is_number:
        return f"({rule.check.format(value=value)}) IS FALSE"
    as_number = f"TRY_CAST({value} AS DOUBLE)"
    check = rule.check.format(value=as_number)
    return f"{value} IS NOT NULL AND coalesce(NOT ({check}), true)"


def _null_counts(rows: Rows) -> dict[str, int]:
    records = records_of(rows)
    return {
        name: sum(value is None for value in _plain(records.column(name))) for name in records.names
    }


def _report(
    counts: tuple[int, int, int], nulls: Mapping[str, int], errors: Sequence[Mapping[str, Any]],
    made: Mapping[str, int],
) -> dict[str, Any]:  # fmt: skip
    total, distinct, valid = counts
    cells = total * len(nulls)
    scores = {
        "completeness": _score(cells - sum(nulls.values()), cells),
        "validity": _score(valid, distinct),
        "consistency": _score(distinct, total),
    }
    overall = sum(score * SCORE_WEIGHTS[name] for name, score in scores.items())
    return {
        "total_records": total, "valid_records": valid, "invalid_records": distinct - valid,
        "duplicate_records": total - distinct, "null_counts": dict(nulls), "imputed": dict(made),
        **{f"{name}_score": score for name, score in scores.items()},
        "overall_score": round(overall, 2),
        "validation_errors": [dict(error) for error in errors[:_MOST_ERRORS]],
    }  # fmt: skip


def _score(good: int, of: int) -> float:
    return round(100 * good / of, 2) if of else 100.0


def _require(names: Iterable[str], known: Iterable[str], what: str) -> None:
    there = list(known)
    if missing := [name for name in names if name not in there]:
        raise TransformationError(f"no {what} {missing[0]!r}", choices=", ".join(there))

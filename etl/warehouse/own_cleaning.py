"""What `pipeline.toml` says of cleaning, as the rules take it; and what in it cannot be done."""

from collections.abc import Iterator, Sequence

from etl.rules.cleaning import Cleaning, Duplicates, Imputed, Outliers
from etl.rules.steps import ColumnSteps
from etl.schema.table import Role, Table
from etl.settings.pipeline_checks import nearest
from etl.settings.pipeline_file import BuiltInSource, ColumnCleaning, LoadOptions, texts_of
from etl.settings.toml_places import Place
from etl.warehouse.cleaning import require_numbers

Cleaned = BuiltInSource | LoadOptions


def cleaning_of(options: Cleaned) -> Cleaning:
    """Return what is done to the staged whole of a source.

    Example:
        >>> options = BuiltInSource(clean={"rank": ColumnCleaning(impute="mode")})
        >>> cleaning_of(options).imputed
        (Imputed(column='rank', strategy='mode'),)
    """
    by = options.duplicates.by if options.duplicates else ()
    return Cleaning(
        Duplicates(() if by == "content" else tuple(by), options.duplicates.keep)
        if options.duplicates else None,
        tuple(Outliers(n, c.outliers, c.action) for n, c in options.clean.items() if c.outliers),
        tuple(Imputed(n, c.impute) for n, c in options.clean.items() if c.impute),
    )  # fmt: skip


def steps_of(options: Cleaned) -> dict[str, ColumnSteps]:
    """Return what is done to each value, by column."""
    return {
        name: ColumnSteps(each.steps, each.null_words, _constant(each))
        for name, each in options.clean.items()
        if each.steps or each.null_words or each.constant is not None
    }


def _constant(each: ColumnCleaning) -> str | None:
    return None if each.constant is None else texts_of({"": each.constant})[""]


def made_up(options: Cleaned) -> dict[str, str]:
    """Return by column how missing values are made up, in words."""
    found = {n: each.impute for n, each in options.clean.items() if each.impute}
    constants = {n: f"constant {_constant(c)}" for n, c in options.clean.items() if _constant(c)}
    return {**found, **constants}


def problems_of_cleaning(
    options: Cleaned, table: Table, cleanable: Sequence[str]
) -> Iterator[tuple[Place, str]]:
    """Yield what of it does not go together with the columns of a table.

    Args:
        options: what is declared.
        table: of the load.
        cleanable: the columns whose values can be cleaned.
    """
    staged = [column.name for column in table.with_role(Role.SOURCE)]
    by = options.duplicates.by if options.duplicates else ()
    odd = [(("clean",), name, cleanable) for name in options.clean if name not in cleanable]
    odd += [
        (("duplicates",), name, staged)
        for name in (() if by == "content" else by)
        if name not in staged
    ]
    for at, name, known in odd:
        yield at, f"{name!r} is no column that can be cleaned{nearest(name, known)}"
    if odd:
        return
    if table.feed and cleaning_of(options):
        yield (), "a feed of changes is not cleaned as a whole: leave impute, outliers and "\
            "duplicates out"  # fmt: skip
    for name, words in require_numbers(table, cleaning_of(options)):
        yield ("clean", name), f"{name} holds no numbers, which {words} needs"
    for name, each in options.clean.items():
        for words in _odd_column(name, each, table):
            yield ("clean", name), words


def _odd_column(name: str, each: ColumnCleaning, table: Table) -> Iterator[str]:
    if each.impute and name in table.key:
        yield "the key distinguishes records: nothing is made up for it"
    if each.impute and each.constant is not None:
        yield "constant and impute: only one of them"
    if each.action != "count" and not each.outliers:
        yield "action needs outliers, the method by which they are found"

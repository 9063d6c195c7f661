"""The statements that fill a mart, in the SQL of an engine."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from etl.engines.ddl import create_temporary_as
from etl.engines.dialect import Dialect, quoted, quoted_table, temporary, text_literal
from etl.marts.files import MartError
from etl.marts.queries import Query, line_of, sqlglot
from etl.schema.audit import ETL_TOUCHED
from etl.schema.star import SALES_FACT, STAR_TABLES
from etl.schema.table import Table, referrers
from etl.warehouse.touched import PLACES

_SQLGLOT_NAMES = {"DuckDB": "duckdb", "PostgreSQL": "postgres", "SQL Server": "tsql"}
GRAINS = "mart_grain"  # temporary table of the days, customers or products to be built anew
_MOST_DECIMALS = 6  # of a quotient, whose parts have up to 4 of their own


@dataclass(frozen=True)
class Statements:
    """The statements of one mart on one engine.

    Args:
        dialect: the engine's.
        query: of the mart.
        table: of the mart.
    """

    dialect: Dialect
    query: Query
    table: Table

    def clear(self) -> str:
        """Return what removes all rows."""
        return f"DELETE FROM {quoted_table(self.table.name)};"

    def clear_touched(self) -> str:
        """Return what removes the rows of the days, customers or products to be built anew."""
        return f"{self.clear()[:-1]} WHERE {self._touched(quoted(self.query.file.grain))};"

    def count_touched(self) -> str:
        """Return how many rows of the mart those are."""
        target, grain = quoted_table(self.table.name), quoted(self.query.file.grain)
        return f"SELECT count(*) FROM {target} WHERE {self._touched(grain)};"

    def _touched(self, expression: str) -> str:
        return f'{expression} IN (SELECT "grain" FROM {temporary(self.dialect, GRAINS)})'

    def insert(self, *, touched: bool = False) -> str:
        """Return what computes the rows and inserts them.

        Args:
            touched: only those of the days, customers or products to be built anew.

        Raises:
            MartError: the query has something that engines do each in their own way.
        """
        tree = self.query.tree.copy()
        if touched:
            tree = tree.transform(self._only_touched)
        tree = tree.transform(self._as_here)
        names = [column.name for column in self.table.columns]
        insert = sqlglot().exp.insert(tree, "mart_target", columns=names)
        sql = str(
            insert.sql(
                dialect=self._name,
                identify=True,
                comments=False,
                unsupported_level=sqlglot().ErrorLevel.IGNORE,
            )
        )
        return self._quoted_as_here(sql).replace('"mart_target"', quoted_table(self.table.name), 1)

    def create_grains(self, since: str) -> str:
        """Return what makes the table of the days, customers or products to be built anew.

        Args:
            since: the run that has built the mart last.
        """
        return create_temporary_as(self.dialect, GRAINS, self._grains(since))

    def _grains(self, since: str) -> str:
        grain, read = self.query.file.grain, text_literal(since)
        found = (_touched_of(name, grain, read) for name in self.query.tables)
        parts = "\nUNION ALL ".join(dict.fromkeys(found))
        return f"""SELECT DISTINCT "grain" FROM ({parts}) AS found WHERE "grain" IS NOT NULL"""

    # --- translating ---

    @cached_property
    def _named(self) -> frozenset[str]:
        """The names in WITH, which get others that no table has."""
        return frozenset(each.alias for each in self.query.tree.find_all(sqlglot().exp.CTE))

    @property
    def _name(self) -> str:
        return _SQLGLOT_NAMES.get(self.dialect.name, "duckdb")

    def _quoted_as_here(self, sql: str) -> str:
        """In double quotes as all statements here are; a bracket in a text stays one."""
        if self._name != "tsql":
            return sql
        parts = sql.split("'")
        parts[::2] = [part.replace("[", '"').replace("]", '"') for part in parts[::2]]
        return "'".join(parts)

    def _only_touched(self, node: Any) -> Any:
        exp = sqlglot().exp
        if not isinstance(node, exp.Table) or node.name not in PLACES or node.db:
            return node
        place = PLACES[node.name].get(self.query.file.grain)
        if place is None:
            return node
        grain = place.replace("{row}.", "")
        rows = f'(SELECT * FROM "{node.name}" WHERE {self._touched(grain)}) AS "made"'
        subquery = sqlglot().parse_one(f"SELECT 1 FROM {rows}", read="duckdb").find(exp.Subquery)
        # the rows of the table itself are not to be replaced once more
        subquery.set("alias", exp.TableAlias(this=exp.to_identifier(node.alias_or_name)))
        subquery.find(exp.Table).set("this", exp.to_identifier(_OWN + node.name))
        return subquery

    def _as_here(self, node: Any) -> Any:
        exp = sqlglot().exp
        if isinstance(node, exp.CTE):
            node.set("alias", exp.TableAlias(this=exp.to_identifier(_WITH + node.alias)))
        if isinstance(node, exp.Table) and not node.db and node.name in self._named:
            return exp.alias_(exp.table_(_WITH + node.name), node.alias_or_name, table=True)
        if isinstance(node, exp.Identifier) and node.name.startswith(_OWN):
            return exp.to_identifier(node.name.removeprefix(_OWN))
        if isinstance(node, exp.Cast) and isinstance(node.this.unnest(), exp.Div):
            return self._quotient(node)
        if isinstance(node, exp.Div):
            raise MartError(
                self.query.file.path, line_of(node), "a quotient that engines round differently",
                "write CAST(a / b AS DECIMAL(18, 2)), with as many decimals as are wanted",
            )  # fmt: skip
        rewrite = _REWRITTEN.get(self._name, {}).get(type(node).__name__)
        return node if rewrite is None else rewrite(node)

    def _quotient(self, cast: Any) -> Any:
        """A quotient of whole numbers, rounded half away from zero: the same on every engine."""
        sizes = [int(each.name) for each in cast.to.expressions]
        if cast.to.this.name != "DECIMAL" or not sizes or sizes[-1] > _MOST_DECIMALS:
            raise MartError(
                self.query.file.path, line_of(cast), "the type of a quotient is not a DECIMAL",
                f"write CAST(a / b AS DECIMAL(18, 2)), with up to {_MOST_DECIMALS} decimals",
            )  # fmt: skip
        division = cast.this.unnest()
        parts = (self._part(division.this), self._part(division.expression))
        precision, scale = sizes[0], sizes[1] if len(sizes) > 1 else 0
        text = exact_quotient(self.dialect, *parts, precision=precision, scale=scale)
        return sqlglot().parse_one(text, read=self._name)

    def _part(self, node: Any) -> str:
        return str(node.transform(self._as_here).sql(dialect=self._name, identify=True))


_OWN = "own of "
_WITH = "etl_with_"  # statements name no schema before such a name


def _touched_of(table: str, grain: str, since: str) -> str:
    """The query for the grains that changes of a table have touched.

    A record of a customer or product without that grain touches the sales that name it.
    """
    noted = (
        f"FROM {quoted(ETL_TOUCHED.name)} AS t WHERE t.\"table_name\" = '{table}' "
        f'AND t."run_id" > {since}'
    )
    own = PLACES[table]
    if grain in own:
        query = f'SELECT t.{quoted(grain)} AS "grain" {noted}'
        return "\nUNION ALL ".join([query, *_placeholders(table, grain, since)])
    (key,) = own
    place = PLACES[SALES_FACT.name][grain].format(row="s")
    named = f"SELECT t.{quoted(key)} {noted}"
    return (
        f'SELECT {place} AS "grain" FROM {quoted(SALES_FACT.name)} AS s '
        f"WHERE s.{quoted(key)} IN ({named})"
    )


def _placeholders(table: str, grain: str, since: str) -> Iterable[str]:
    """Records that stand for those that sales name come and go with the sales."""
    named = next(each for each in STAR_TABLES if each.name == table)
    for child, _ in referrers(named, STAR_TABLES):
        yield _touched_of(child.name, grain, since)


def exact_quotient(dialect: Dialect, x: str, y: str, *, precision: int, scale: int) -> str:
    """Return x / y, rounded half away from zero; NULL where y is 0.

    Engines divide decimals each in their own way, so it is computed on whole numbers:
    sign(x) * sign(y) * floor((2 * 10**scale * |x| + |y|) / (2 * |y|)) / 10**scale

    Args:
        dialect: the engine's.
        x: SQL of a number with up to 4 decimals.
        y: likewise.
        precision: digits of the result.
        scale: of them, those behind the point.

    Example:
        >>> from etl.engines.database import DatabaseManager
        >>> with DatabaseManager("duckdb:///:memory:") as db:
        ...     text = exact_quotient(db.dialect, "-0.05", "2", precision=9, scale=2)
        ...     db.value(f"SELECT {text}")
        Decimal('-0.03')
    """
    wide = _quotient_of(dialect.whole_number, dialect.quotient, (x, y), (precision, scale))
    if dialect.name not in _SHORT:
        return wide
    short = _quotient_of(_SHORT[dialect.name], dialect.quotient, (x, y), (precision, scale), 18)
    largest = 10 ** min(_MOST_SHORT, _MOST_SHORT_QUOTIENT - scale)
    is_short = f"abs({x}) < {largest} AND abs({y}) < {10**_MOST_SHORT}"
    return f"CASE WHEN {is_short} THEN {short} ELSE {wide} END"


# Engines whose whole numbers of 64 bits are worth a way of their own: ten times as fast on DuckDB.
_SHORT = {"DuckDB": "BIGINT", "Delta Lake": "BIGINT"}
_MOST_SHORT, _MOST_SHORT_QUOTIENT = 9, 12  # digits of what is divided, and with those behind it


def _quotient_of(
    whole: str, quotient: str, parts: tuple[str, str], sizes: tuple[int, int], digits: int = 28
) -> str:
    """The quotient of two numbers in whole numbers of a type, which has at most so many digits."""
    precision, scale = sizes
    of_part = f"CAST(CAST(abs({{}}) AS DECIMAL({min(digits, 22)}, 4)) * 10000 AS {whole})"
    dividend, divisor = map(of_part.format, parts)
    divided = quotient.format(
        x=f"(CAST({2 * 10**scale} AS {whole}) * {dividend} + {divisor})",
        y=f"(2 * NULLIF({divisor}, 0))",
    )
    sign = f"CAST(sign({parts[0]}) * sign({parts[1]}) AS DECIMAL(1, 0))"
    unit = f"{10**-scale:.{scale}f}"
    number = f"{sign} * CAST({divided} AS DECIMAL({digits}, 0)) * {unit}"
    return f"CAST({number} AS DECIMAL({precision}, {scale}))"


# --- what sqlglot writes otherwise than the engines of today have it, or the older of them -------


def _parsed(text: str, dialect: str, **parts: Any) -> Any:
    exp = sqlglot().exp
    tree = sqlglot().parse_one(text, read=dialect)
    return tree.transform(
        lambda node: parts[node.name].copy()
        if isinstance(node, exp.Column) and node.name in parts else node
    )  # fmt: skip


def _truncated_on_sql_server(node: Any) -> Any:
    """DATETRUNC came with SQL Server 2022."""
    texts = {
        "DAY": "CAST(at_ AS DATE)", "YEAR": "DATEFROMPARTS(YEAR(at_), 1, 1)",
        "MONTH": "DATEFROMPARTS(YEAR(at_), MONTH(at_), 1)",
    }  # fmt: skip
    text = texts.get(node.args["unit"].name.upper())
    return node if text is None else _parsed(text, "tsql", at_=node.this)


def _months_between(node: Any) -> Any:
    """The boundaries between two dates; sqlglot would count whole months for PostgreSQL."""
    texts = {
        "DAY": "CAST(end_ AS DATE) - CAST(start_ AS DATE)",
        "MONTH": "CAST((EXTRACT(YEAR FROM end_) - EXTRACT(YEAR FROM start_)) * 12 "
        "+ EXTRACT(MONTH FROM end_) - EXTRACT(MONTH FROM start_) AS BIGINT)",
        "YEAR": "CAST(EXTRACT(YEAR FROM end_) - EXTRACT(YEAR FROM start_) AS BIGINT)",
    }
    text = texts.get(node.args["unit"].name.upper())
    parts = {"end_": node.this, "start_": node.expression}
    return node if text is None else sqlglot().exp.Paren(this=_parsed(text, "postgres", **parts))


def _text_on_sql_server(node: Any) -> Any:
    """A VARCHAR there has no letters but those of a code page."""
    exp = sqlglot().exp
    if node.this not in exp.DataType.TEXT_TYPES:
        return node
    width = node.expressions[0].name if node.expressions else "MAX"
    return exp.DataType.build(f"NVARCHAR({width})", dialect="tsql")


def _text_with_width(node: Any) -> Any:
    exp = sqlglot().exp
    if node.this not in exp.DataType.TEXT_TYPES or not node.expressions:
        return node
    return exp.DataType.build(f"VARCHAR({node.expressions[0].name})", dialect="postgres")


_REWRITTEN: Mapping[str, Mapping[str, Callable[[Any], Any]]] = {
    "tsql": {
        "DateTrunc": _truncated_on_sql_server,
        "TimestampTrunc": _truncated_on_sql_server,
        "DataType": _text_on_sql_server,
    },
    "postgres": {"DateDiff": _months_between, "DataType": _text_with_width},
    "duckdb": {"DataType": _text_with_width},
}

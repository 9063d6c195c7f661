"""Which collation each text of a T-SQL statement has, and where two of them conflict.

SQL Server refuses to compare or to combine texts of two columns whose collations differ (errors
468 and 451, "Collation Precedence" in Microsoft's reference); its relatives, and a parser, do not.
So a database has a collation of its own here: what has no COLLATE clause in its table is of another
one than what has.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlglot import exp

DATABASE = "that of the database"
_TEXTS = ("CHAR", "VARCHAR", "NCHAR", "NVARCHAR", "TEXT", "NTEXT", "SYSNAME")


class Label(NamedTuple):
    """How strongly a text has a collation: 0 as a literal has it, 1 as a column, 2 by a clause."""

    strength: int
    collation: str


LITERAL = Label(0, "")
# Of numbers and times; None.
Labels = Mapping[str, Label | None]


class ConflictError(Exception):
    """Two texts of different collations meet."""


def combined(labels: Iterable[Label | None]) -> Label | None:
    """The collation of what several expressions become together.

    Raises:
        ConflictError: there is none.
    """
    texts = [label for label in labels if label is not None]
    strongest = [label for label in texts if label.strength == max(t.strength for t in texts)]
    if len({label.collation for label in strongest}) > 1:
        names = " and ".join(sorted({label.collation for label in strongest}))
        raise ConflictError(names)
    return strongest[0] if strongest else None


@dataclass
class Collations:
    """The tables that statements have made so far, by name, with the labels of their columns."""

    tables: dict[str, Labels] = field(default_factory=dict)

    def read(self, tree: exp.Expr) -> None:
        """Check a statement, and learn the table that it makes.

        Raises:
            ConflictError: two collations meet in it.
        """
        for create in tree.find_all(exp.Create):
            self._learn(create)
        for named in tree.find_all(exp.CTE):
            self.tables[named.alias] = self._query(named.this, {})
        for query in _outermost(tree):
            labels = self._query(query, {})
            if into := query.args.get("into"):
                self.tables[into.this.name] = _as_columns(labels)
        for change in tree.find_all(exp.Merge, exp.Update, exp.Delete):
            self._change(change)

    def _learn(self, create: exp.Create) -> None:
        if isinstance(create.this, exp.Schema):
            columns = create.this.find_all(exp.ColumnDef)
            self.tables[create.this.this.name] = {c.name: _declared(c) for c in columns}

    def _change(self, change: exp.Expr) -> None:
        scope = self._sources(change)
        for part in ("on", "where", "whens", "expressions"):
            for each in _listed(change.args.get(part)):
                self._walk(each, scope)

    # --- queries -----------------------------------------------------------------------

    def _query(self, query: exp.Query, outer: Mapping[str, Labels]) -> Labels:
        if isinstance(query, exp.Subquery):
            return self._query(query.this, outer)
        if isinstance(query, exp.SetOperation):
            left, right = (self._query(part, outer) for part in (query.this, query.expression))
            pairs = zip(left.values(), right.values(), strict=True)
            return dict(zip(left, map(combined, pairs), strict=True))
        scope = {**outer, **self._sources(query, outer)}
        own = [alias for alias in scope if alias not in outer]
        labels: dict[str, Label | None] = {}
        for column in query.selects:
            labels |= self._selected(column, scope, own)
        for part in ("joins", "where", "group", "having"):
            for each in _listed(query.args.get(part)):
                self._walk(each.args.get("on") if part == "joins" else each, scope)
        return labels

    def _selected(
        self, column: exp.Expr, scope: Mapping[str, Labels], own: Sequence[str]
    ) -> Labels:
        if column.is_star:
            aliases = [column.table] if isinstance(column, exp.Column) else own
            return {name: label for alias in aliases for name, label in scope[alias].items()}
        return {column.output_name: self._walk(column, scope)}

    def _sources(
        self, node: exp.Expr, outer: Mapping[str, Labels] | None = None
    ) -> dict[str, Labels]:
        joins = [join.this for join in node.args.get("joins") or []]
        clause = node.args.get("from_") or node.args.get("from")
        joins += [join.this for join in clause.this.args.get("joins") or []] if clause else []
        first = [clause.this] if clause else []
        merged = [node.this, node.args["using"]] if isinstance(node, exp.Merge) else []
        changed = [node.this] if isinstance(node, exp.Update | exp.Delete) else []
        found = [source for source in (*changed, *first, *joins, *merged) if source is not None]
        return {s.alias_or_name: self._source(s, outer or {}) for s in found}

    def _source(self, source: exp.Expr, outer: Mapping[str, Labels]) -> Labels:
        if isinstance(source, exp.Table):
            return self.tables.get(source.name, {})
        return self._query(source, outer) if isinstance(source, exp.Query) else {}

    # --- expressions -------------------------------------------------------------------

    def _walk(self, node: exp.Expr | None, scope: Mapping[str, Labels]) -> Label | None:
        """The label of an expression; None of one that is no text."""
        if node is None or isinstance(node, exp.DataType | exp.Identifier):
            return None
        if isinstance(node, exp.Query):
            return combined(self._query(node, scope).values()) if len(node.selects) == 1 else None
        if isinstance(node, exp.Exists):
            self._query(node.this, scope)
            return None
        if isinstance(node, exp.Column):
            return self._column(node, scope)
        return self._operator(node, scope)

    def _column(self, column: exp.Column, scope: Mapping[str, Labels]) -> Label | None:
        places = [scope[column.table]] if column.table in scope else list(scope.values())
        for labels in reversed(places):
            if column.name in labels:
                return labels[column.name]
        return None

    def _operator(self, node: exp.Expr, scope: Mapping[str, Labels]) -> Label | None:
        if isinstance(node, exp.Collate):
            self._walk(node.this, scope)
            return Label(2, node.expression.name)
        if isinstance(node, exp.Case):
            return self._case(node, scope)
        if isinstance(node, exp.Literal | exp.Placeholder | exp.Parameter | exp.National):
            is_number = isinstance(node, exp.Literal) and not node.is_string
            return None if is_number else LITERAL
        parts = [self._walk(part, scope) for part in node.iter_expressions()]
        if isinstance(node, exp.Cast):
            return (parts[0] or LITERAL) if _is_text(node.to) else None
        if isinstance(node, exp.Window):
            return None
        label = combined(parts) if _combines(node) else None
        return None if isinstance(node, exp.Predicate | exp.Count | exp.SHA2) else label

    def _case(self, case: exp.Case, scope: Mapping[str, Labels]) -> Label | None:
        branches = [*case.args["ifs"]]
        for branch in branches:
            self._walk(branch.this, scope)
        results = [branch.args["true"] for branch in branches] + [case.args.get("default")]
        return combined(self._walk(each, scope) for each in results)


def _combines(node: exp.Expr) -> bool:
    """Whether the parts of an expression become one text, or are compared with each other."""
    return isinstance(node, exp.Func | exp.Binary | exp.In | exp.Between | exp.Paren | exp.Alias
                      | exp.Distinct) and not isinstance(node, exp.Connector)  # fmt: skip


def _outermost(tree: exp.Expr) -> Iterator[exp.Query]:
    """The queries that lie in no other one, and in no change."""
    inside = (exp.Query, exp.Merge, exp.Update, exp.Delete)
    return (query for query in tree.find_all(exp.Query) if query.find_ancestor(*inside) is None)


def _as_columns(labels: Labels) -> Labels:
    return {name: Label(1, label.collation or DATABASE) if label else None
            for name, label in labels.items()}  # fmt: skip


def _declared(column: exp.ColumnDef) -> Label | None:
    if not _is_text(column.kind):
        return None
    clauses = [
        c.kind for c in column.constraints if isinstance(c.kind, exp.CollateColumnConstraint)
    ]
    return Label(1, clauses[0].this.name if clauses else DATABASE)


def _is_text(kind: exp.Expr | None) -> bool:
    return isinstance(kind, exp.DataType) and kind.this.name in _TEXTS


def _listed(value: object) -> list[exp.Expr]:
    if isinstance(value, exp.Whens):
        return [part for when in value.expressions for part in when.iter_expressions()]
    each = value if isinstance(value, list) else [value]
    return [part for part in each if isinstance(part, exp.Expr)]

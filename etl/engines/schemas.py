"""In which schemas the tables of a warehouse lie, and how statements come to name them.

The package writes the names of its tables without a schema. Where one is set, the statements get it
just before they are sent, so that they mean the same table whatever the login's default is.
"""

import re
from dataclasses import dataclass
from typing import Self

from etl.schema.audit import MART_TABLES
from etl.schema.tables import ALL_TABLES
from etl.settings.config import Config

# A name where a table is named. Columns, aliases and indexes never stand behind these words, and
# what has a schema already is followed by a dot.
_TABLE = re.compile(
    r"\b(?P<before>(?:(?<!DISTINCT )FROM|JOIN|INTO|UPDATE|REFERENCES|USING|VIEW"
    r'|TABLE(?:\s+IF(?:\s+NOT)?\s+EXISTS)?)\s+)"(?P<name>[^"]+)"(?!\.)'
)
_STAGING = ("stage_", "rejected_", "removed_")
_OWN_NAMES = frozenset(table.name for table in (*ALL_TABLES, *MART_TABLES))


@dataclass(frozen=True)
class Schemas:
    """Where tables lie whose names have no schema.

    Attributes:
        own: the schema of all of them; empty: wherever an unqualified name is looked for.
        staging: of the tables in which sources are staged; empty: the same as of the others.
    """

    own: str = ""
    staging: str = ""

    @classmethod
    def of(cls, config: Config) -> Self:
        """Return those that are set."""
        return cls(config.database.db_schema or "", config.database.db_staging_schema or "")

    def __bool__(self) -> bool:
        return bool(self.own or self.staging)

    @property
    def named(self) -> tuple[str, ...]:
        """The schemas, without repetitions."""
        return tuple(dict.fromkeys(filter(None, (self.own, self.staging))))

    def placed(self, name: str) -> str:
        """Return the name of a table with its schema, if it has one; temporary ones have none.

        Example:
            >>> where = Schemas("etl", "etl_stage")
            >>> where.placed("sales_fact"), where.placed("stage_sales_fact")
            ('etl.sales_fact', 'etl_stage.stage_sales_fact')
            >>> where.placed("shop.orders"), where.placed("#restated"), Schemas().placed("orders")
            ('shop.orders', '#restated', 'orders')
        """
        if "." in name or name.startswith("#"):
            return name
        if name.startswith("etl_") and name not in _OWN_NAMES:  # a temporary one of PostgreSQL's
            return name
        schema = self.staging if self.staging and name.startswith(_STAGING) else self.own
        return f"{schema}.{name}" if schema else name

    def qualified(self, sql: str) -> str:
        """Return a statement with the schema before every table that is named without one.

        Example:
            >>> print(Schemas("etl").qualified('SELECT t."orders" FROM "orders" AS t'))
            SELECT t."orders" FROM "etl"."orders" AS t
        """
        return _TABLE.sub(self._qualified, sql) if self else sql

    def _qualified(self, found: re.Match[str]) -> str:
        schema, dot, name = self.placed(found["name"]).rpartition(".")
        return found["before"] + (f'"{schema}".' if dot else "") + f'"{name}"'


NO_SCHEMAS = Schemas()

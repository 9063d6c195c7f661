"""The page on SQL Server: its T-SQL is T-SQL, its commands and settings are ours."""

import re
import shlex
from pathlib import Path

import pytest
import sqlglot
from sqlglot import ErrorLevel, exp

from etl.engines import odbc
from etl.engines.database import DatabaseManager
from etl.engines.sql_server_dialect import SQL_SERVER
from etl.errors import EXIT_OK, LoadingError
from etl.pipeline.arguments import check_arguments
from etl.pipeline.command_line import parse_arguments
from etl.settings.config import Config, load_config
from etl.settings.connection_strings import parse
from etl.settings.sections.section import declared
from etl.sources.sales_queries import sales_query
from etl.warehouse.tables import schema_script

ROOT = Path(__file__).resolve().parents[2]

SECTION = (ROOT / "docs" / "sql-server.md").read_text(encoding="utf-8")
USAGE = (ROOT / "docs" / "usage.md").read_text(encoding="utf-8")

# What sqlglot knows no trees for and passes on unread.
UNREAD = {"CREATE LOGIN", "CREATE USER", "ALTER ROLE", "ALTER DATABASE", "DROP ROLE"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", SECTION, re.MULTILINE | re.DOTALL)


def statements() -> list[exp.Expr]:
    """The statements of all T-SQL in the section."""
    texts = [*blocks("sql"), *re.findall(r"`(CREATE [^`]+)`", SECTION)]
    trees = [sqlglot.parse(text, read="tsql", error_level=ErrorLevel.RAISE) for text in texts]
    return [tree for parsed in trees for tree in parsed if tree is not None]


def arguments() -> list[str]:
    """What follows the command wherever the section calls it."""
    return sorted(set(re.findall(r"etl_pipeline\.py( [^\n`|>'\"]*)?", SECTION)))


def prod(folder: Path) -> Config:
    """The settings of the section as a person copies them."""
    (folder / ".env.prod").write_text("".join(blocks("ini")), encoding="utf-8")
    return load_config("prod", base_dir=folder, environ={})


def sales_source(config: Config) -> dict[str, str]:
    """The keywords and values of the source of sales."""
    text = config.database.sales_db_connection_string
    return dict(parse(text.get_secret_value())) if text else {}


# --- T-SQL -------------------------------------------------------------------------------


def test_the_t_sql_is_understood() -> None:
    unread = [node.sql("tsql") for node in statements() if isinstance(node, exp.Command)]
    assert {" ".join(text.split()[:2]) for text in unread} == UNREAD


def test_the_role_is_the_one_that_the_schema_makes() -> None:
    script = schema_script("Server=x;Database=y")
    assert SQL_SERVER.role in script
    assert SQL_SERVER.role.split()[-1].rstrip(";") == "etl_loader"
    assert "ALTER ROLE etl_loader ADD MEMBER etl;" in SECTION
    rights = set(re.findall(r"GRANT ([A-Z, ]+) ON", script))
    assert rights == {"SELECT, INSERT, UPDATE, DELETE"}
    assert "may select, insert, update and delete in these tables" in SECTION


def test_the_index_covers_the_sales_query() -> None:
    created = [node for node in statements() if isinstance(node, exp.Create)]
    (index,) = [node for node in created if "sales_transactions" in node.sql()]
    query = sqlglot.parse_one(sales_query(), read="tsql")
    (details,) = index.find_all(exp.IndexParameters)
    ordered = [part.name for part in details.args["columns"]]
    included = [part.name for part in details.args["include"]]
    assert ordered == ["transaction_date"]
    assert {*ordered, *included} == {column.name for column in query.find_all(exp.Column)}
    assert [t.name for t in index.find_all(exp.Table)] == ["sales_transactions"]


def test_the_agent_takes_a_clean_load_alone_for_success() -> None:
    assert f"@cmdexec_success_code = {EXIT_OK}," in SECTION


# --- commands and settings ---------------------------------------------------------------


@pytest.mark.parametrize("given", arguments())
def test_every_call_is_one_that_the_command_takes(given: str) -> None:
    check_arguments(parse_arguments(shlex.split(given)))


def test_the_settings_name_sql_server_and_a_source_of_sales(tmp_path: Path) -> None:
    config = prod(tmp_path)
    assert DatabaseManager(config.database.connection_string).dialect is SQL_SERVER
    assert list(sales_source(config)) == ["Server", "Database", "UID", "PWD"]


def test_the_drivers_that_are_said_to_be_refused_are_refused() -> None:
    odbc.refuse_unfit("ODBC Driver 18 for SQL Server")
    for driver in ("FreeTDS", "SQL Server"):
        assert driver in SECTION
        with pytest.raises(LoadingError):
            odbc.refuse_unfit(driver)


def test_every_setting_that_is_named_exists() -> None:
    named = set(re.findall(r"`([A-Z]+_[A-Z_]+)(?:=[^`]*)?`", SECTION)) - {"READ_COMMITTED_SNAPSHOT"}
    named = {name for name in named if not name.startswith("TEST_")}
    assert named
    assert named <= set(declared())


def test_the_end_of_the_summary_is_the_one_that_the_program_prints() -> None:
    (end,) = (re.sub(r"[\d.]+", "N", line) for line in blocks("text")[-1].splitlines())
    printed = USAGE.split("<!-- first-run -->")[1].split("<!-- /first-run -->")[0]
    assert end in re.sub(r"[\d.]+", "N", printed).splitlines()

"""The settings of the databases: the warehouse, and where sales are read from."""

from collections.abc import Iterator, Mapping

from pydantic import SecretStr

from etl.settings.connection_strings import braced, place_of
from etl.settings.kinds import (
    Authentication,
    Connection,
    Days,
    Encrypt,
    Folder,
    Intent,
    SchemaName,
    Secret,
    Switch,
    Text,
    Upsert,
)
from etl.settings.layers import Given
from etl.settings.sections.section import Section, both_or_none, setting

_EMBEDDED = "duckdb:///"  # the warehouse of dev and test where none is named

# laid out by hand, as a table
# fmt: off


class DatabaseConfig(Section):
    """Databases: the warehouse, which prod must name, and where sales are read from."""

    db_connection_string: Connection | None = setting(
        None, "warehouse in one piece: an ODBC string, postgresql://... or duckdb:///path; without "
        "it and DB_SERVER, dev and test use duckdb:///<OUTPUT_DIR>/<environment>/warehouse.duckdb")
    db_server: Text | None = setting(
        None, "SQL Server of the warehouse: host, host,port or host\\instance")
    db_database: Text | None = setting(None, "database on DB_SERVER")
    db_username: Text | None = setting(
        None, "login on DB_SERVER; unset connects as the account that runs the job")
    db_password: Secret | None = setting(None, "password of DB_USERNAME")
    db_authentication: Authentication = setting(
        "sql", "how the login proves who it is: sql (a login of the server, or the account that "
        "runs the job), or by Microsoft Entra ID: entra-password, entra-service-principal, "
        "entra-managed-identity or entra-default (whoever is logged in on this machine)")
    db_tenant_id: Text | None = setting(
        None, "directory (tenant) of Entra ID, for entra-password and entra-service-principal")
    db_application_intent: Intent = setting(
        "ReadWrite", "what is done on an availability group: a warehouse is written, so ReadOnly "
        "is for --health-check on a secondary replica")
    db_multi_subnet_failover: Switch = setting(
        False, "try all addresses of an availability group's listener at once")
    db_driver: Text | None = setting(
        None, "ODBC driver, by name or path; unset takes Microsoft's newest that is installed, or "
        "the one that mssql-python brings")
    db_schema: SchemaName | None = setting(
        None, "schema of all tables that name none, on SQL Server and PostgreSQL; made if it is "
        "missing; unset: the login's default schema (and dbo), or the search path")
    db_staging_schema: SchemaName | None = setting(
        None, "schema of the staging tables (stage_..., rejected_...); unset: that of the others")
    db_encrypt: Encrypt = setting(
        "yes", "encryption of the connection to DB_SERVER: yes, no or strict")
    db_trust_server_certificate: Switch = setting(
        False, "accept a certificate that no authority has signed; only on a network you trust")
    sql_server_bulk: Switch = setting(
        False, "stage rows on SQL Server by bulk copy, if mssql-python is installed; what arrived "
        "is counted and summed up, and on any doubt sent again in the ordinary way")
    sql_server_upsert: Upsert = setting(
        "merge", "how rows are written on SQL Server: merge (one MERGE), or update-insert (an "
        "UPDATE and an INSERT), where MERGE has known defects, which --health-check names")
    read_copy: Folder | None = setting(
        None, "file into which each run copies a DuckDB warehouse at its end, for BI tools: who "
        "has it open stops no run; unset: no copy")
    lake_keep_days: Days = setting(
        30, "days for which a lakehouse keeps what its older versions need; 0: for ever")
    sales_db_connection_string: Connection | None = setting(
        None, "database with the table sales_transactions: an ODBC string (without a driver, one "
        "for SQL Server is chosen), postgresql://... or duckdb:///path; unset reads SALES_FILE "
        "instead")

    @property
    def connection_string(self) -> SecretStr:
        """The warehouse to connect to; an ODBC string names a driver only if DB_DRIVER does."""
        if self.db_connection_string:
            return self.db_connection_string
        if self.db_server:
            return SecretStr(";".join(f"{name}={value}" for name, value in self._odbc_parts()))
        return SecretStr(_EMBEDDED + (self._environment_dir / "warehouse.duckdb").as_posix())

    @property
    def display_name(self) -> str:
        """Where the warehouse is, without anything secret."""
        return place_of(
            self.connection_string.get_secret_value(), "DB_CONNECTION_STRING")

    @property
    def sales_display_name(self) -> str:
        """The same of the database of sales; empty when they come from a file."""
        connection = self.sales_db_connection_string
        return place_of(connection.get_secret_value(), "SALES_DB_CONNECTION_STRING") if (
            connection) else ""

    def _odbc_parts(self) -> Iterator[tuple[str, str]]:
        if self.db_driver:
            yield "Driver", braced(self.db_driver.removeprefix("{").removesuffix("}"))
        yield "Server", braced(self.db_server or "")
        yield "Database", braced(self.db_database or "")
        yield from self._login_parts()
        yield "Encrypt", self.db_encrypt
        yield "TrustServerCertificate", "yes" if self.db_trust_server_certificate else "no"
        if self.db_application_intent == "ReadOnly":
            yield "ApplicationIntent", "ReadOnly"
        if self.db_multi_subnet_failover:
            yield "MultiSubnetFailover", "yes"

    def _login_parts(self) -> Iterator[tuple[str, str]]:
        by_entra = self.db_authentication != "sql"
        if by_entra:
            yield "Authentication", self.db_authentication
            if self.db_tenant_id:
                yield "TenantId", braced(self.db_tenant_id)
        if self.db_username and (self.db_password or by_entra):
            yield "UID", braced(self.db_username)
            if self.db_password:
                yield "PWD", braced(self.db_password.get_secret_value())
        elif not by_entra:
            yield "Trusted_Connection", "yes"

    @classmethod
    def _broken_rules(cls, given: Mapping[str, Given], env: str) -> Iterator[tuple[str, str]]:
        if {"DB_CONNECTION_STRING", "DB_SERVER"} <= given.keys():
            yield "DB_SERVER", "only one of it and DB_CONNECTION_STRING, which is set too"
        if env == "prod" and not {"DB_CONNECTION_STRING", "DB_SERVER"} & given.keys():
            yield "DB_SERVER", "it or DB_CONNECTION_STRING: prod has no database to fall back on"
        if "DB_SERVER" in given:
            yield from both_or_none(given, "DB_SERVER", "DB_DATABASE")
        kind = str(given["DB_AUTHENTICATION"].value) if "DB_AUTHENTICATION" in given else "sql"
        if kind.lower() in ("entra-password", "entra-service-principal"):
            for name in {"DB_TENANT_ID", "DB_USERNAME", "DB_PASSWORD"} - given.keys():
                yield name, f"a value, because DB_AUTHENTICATION is {kind}"
        elif kind.lower() == "sql":
            yield from both_or_none(given, "DB_USERNAME", "DB_PASSWORD")

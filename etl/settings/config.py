"""Every setting of the pipeline: declared once, read in layers, checked before anything starts.

Defaults hold where no layer gives a value. The .env files lie in the project folder and relative
paths count from there, so that a cron line works from any directory.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any, Self

from pydantic import Field, PrivateAttr, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from etl.cloud.access import CloudAccess
from etl.cloud.paths import is_address, is_cloud
from etl.errors import ConfigurationError
from etl.places import INSTALLED, SAMPLE, working_folder
from etl.settings.clouds import access_of, placed, reached_by
from etl.settings.connection_strings import braced, place_of, secrets_in
from etl.settings.kinds import (
    Address,
    Addresses,
    AreaCode,
    Authentication,
    Connection,
    Count,
    Days,
    DeadLetters,
    Encoding,
    Encrypt,
    FileMode,
    Folder,
    Hour,
    Intent,
    Level,
    LineageAddress,
    Memory,
    Mode,
    Number,
    Place,
    Port,
    Positive,
    Rate,
    Ratio,
    Returns,
    SchemaName,
    Secret,
    Share,
    SourceFile,
    Switch,
    Text,
    TimeZone,
    Upsert,
    WebAddress,
    Webhook,
    WhereRead,
    kind_of,
)
from etl.settings.layers import MASK, Given, Layers, Setting, read_layers
from etl.settings.pipeline_file import BUILT_IN_LOADS, NO_PIPELINE_FILE, PipelineFile
from etl.settings.pipeline_reading import (
    PipelineFileError,
    read_pipeline_file,
    settings_named_in,
)
from etl.settings.source_paths import filled, is_dated, matches
from etl.settings.stored_secrets import with_secrets

ENVIRONMENTS = ("dev", "test", "prod")
# Built-in sources of which a run takes a span of days; the others are snapshots.
WINDOWED = ("sales",)
_EMBEDDED = "duckdb:///"  # the warehouse of dev and test where none is named


class SettingsError(ConfigurationError):
    """Settings that cannot be used; `problems` holds a line for each of them."""

    def __init__(self, base_dir: Path, problems: list[str]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        lines = "".join(f"\n- {problem}" for problem in self.problems)
        super().__init__(
            "The settings cannot be used. Correct them in the environment or in the .env files of "
            f"{base_dir}; .env.example explains each:{lines}"
        )


def _setting(default: object, help_text: str) -> Any:
    return Field(default, description=help_text)


class _Section(BaseSettings):
    """A group of settings, all of whose values come through `Layers`."""

    model_config = SettingsConfigDict(frozen=True, allow_inf_nan=False, hide_input_in_errors=True)
    # each declared by one section and built upon by another
    _environment_dir: Path = PrivateAttr()
    _log_dir: Path = PrivateAttr()
    _log_limits: tuple[int, int] = PrivateAttr()
    _secrets: tuple[str, ...] = PrivateAttr()
    _access: CloudAccess = PrivateAttr()

    def __init__(self, *, layers: Layers | None = None, **arguments: object) -> None:
        if unknown := arguments.keys() - type(self).model_fields:
            raise TypeError(f"{type(self).__name__} has no setting {', '.join(sorted(unknown))}")
        layers = layers or _fetched(read_layers(_settings(), base_dir=working_folder()))
        layers = layers.under(arguments)
        values, wrong = self._read(layers)
        try:
            super().__init__(**values)
        except ValidationError as error:
            wrong |= {str(detail["loc"][0]) for detail in error.errors()}
        # raised outside the handler: pydantic's error holds the values, and would be chained
        if problems := [*layers.problems, *self._problems(layers, wrong)]:
            raise SettingsError(layers.base_dir, problems)
        environment = layers.environment or ENVIRONMENTS[0]
        self._environment_dir = _work_dir(layers) / environment
        self._log_dir = layers.folder("LOG_DIR")
        self._log_limits = layers.number("LOG_MAX_BYTES"), layers.number("LOG_BACKUP_COUNT")
        self._secrets = layers.secrets()
        self._access = access_of(layers)

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: Any, *args: Any, **kwargs: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave out the sources that do not keep where a value comes from."""
        return (init_settings,)

    @classmethod
    def _read(cls, layers: Layers) -> tuple[dict[str, Any], set[str]]:
        values: dict[str, Any] = {}
        wrong = set()
        for name, info in cls.model_fields.items():
            given = layers.given.get(name.upper())
            value, kind = given.value if given else info.default, kind_of(info)
            if isinstance(value, str | Path):
                text = str(value) if kind.secret else str(value).strip()
                try:
                    value = kind.read(text, layers.base_dir)
                except (ValueError, LookupError):
                    wrong.add(name)
                    continue
            values[name] = value
        return values, wrong

    @classmethod
    def _problems(cls, layers: Layers, wrong: set[str]) -> Iterator[str]:
        for name, info in cls.model_fields.items():
            if name in wrong:
                yield layers.problem(name.upper(), kind_of(info).words)
        for name, wanted in cls._broken_rules(layers.given, layers.environment):
            yield layers.problem(name, wanted)

    @classmethod
    def _broken_rules(cls, given: Mapping[str, Given], env: str) -> Iterator[tuple[str, str]]:
        """Settings that do not go together: the name of one, and what is wanted of it."""
        yield from ()


def _fetched(layers: Layers) -> Layers:
    """The layers with the secrets that stores hold; without one of them nothing else is checked."""
    layers, problems = with_secrets(layers)
    if problems:
        raise SettingsError(layers.base_dir, [*layers.problems, *problems])
    return layers


def _work_dir(layers: Layers) -> Path:
    """The folder on this machine for what needs a disk."""
    if "WORK_DIR" in layers.given:
        return layers.folder("WORK_DIR")
    given, default = layers.given.get("OUTPUT_DIR"), layers.settings["OUTPUT_DIR"].default
    in_cloud = given is not None and is_address(str(given.value).strip())
    return layers.base_dir / default if in_cloud else layers.folder("OUTPUT_DIR")


def _both_or_none(given: Mapping[str, Given], *names: str) -> Iterator[tuple[str, str]]:
    present = [name for name in names if name in given]
    for name in names:
        if present and name not in present:
            yield name, f"a value, because {present[0]} is set"


# ---- the settings: each class is laid out by hand, as a table ----
# fmt: off


class DatabaseConfig(_Section):
    """Databases: the warehouse, which prod must name, and where sales are read from."""

    db_connection_string: Connection | None = _setting(
        None, "warehouse in one piece: an ODBC string, postgresql://... or duckdb:///path; without "
        "it and DB_SERVER, dev and test use duckdb:///<OUTPUT_DIR>/<environment>/warehouse.duckdb")
    db_server: Text | None = _setting(
        None, "SQL Server of the warehouse: host, host,port or host\\instance")
    db_database: Text | None = _setting(None, "database on DB_SERVER")
    db_username: Text | None = _setting(
        None, "login on DB_SERVER; unset connects as the account that runs the job")
    db_password: Secret | None = _setting(None, "password of DB_USERNAME")
    db_authentication: Authentication = _setting(
        "sql", "how the login proves who it is: sql (a login of the server, or the account that "
        "runs the job), or by Microsoft Entra ID: entra-password, entra-service-principal, "
        "entra-managed-identity or entra-default (whoever is logged in on this machine)")
    db_tenant_id: Text | None = _setting(
        None, "directory (tenant) of Entra ID, for entra-password and entra-service-principal")
    db_application_intent: Intent = _setting(
        "ReadWrite", "what is done on an availability group: a warehouse is written, so ReadOnly "
        "is for --health-check on a secondary replica")
    db_multi_subnet_failover: Switch = _setting(
        False, "try all addresses of an availability group's listener at once")
    db_driver: Text | None = _setting(
        None, "ODBC driver, by name or path; unset takes Microsoft's newest that is installed, or "
        "the one that mssql-python brings")
    db_schema: SchemaName | None = _setting(
        None, "schema of all tables that name none, on SQL Server and PostgreSQL; made if it is "
        "missing; unset: the login's default schema (and dbo), or the search path")
    db_staging_schema: SchemaName | None = _setting(
        None, "schema of the staging tables (stage_..., rejected_...); unset: that of the others")
    db_encrypt: Encrypt = _setting(
        "yes", "encryption of the connection to DB_SERVER: yes, no or strict")
    db_trust_server_certificate: Switch = _setting(
        False, "accept a certificate that no authority has signed; only on a network you trust")
    sql_server_bulk: Switch = _setting(
        False, "stage rows on SQL Server by bulk copy, if mssql-python is installed; what arrived "
        "is counted and summed up, and on any doubt sent again in the ordinary way")
    sql_server_upsert: Upsert = _setting(
        "merge", "how rows are written on SQL Server: merge (one MERGE), or update-insert (an "
        "UPDATE and an INSERT), where MERGE has known defects, which --health-check names")
    read_copy: Folder | None = _setting(
        None, "file into which each run copies a DuckDB warehouse at its end, for BI tools: who "
        "has it open stops no run; unset: no copy")
    lake_keep_days: Days = _setting(
        30, "days for which a lakehouse keeps what its older versions need; 0: for ever")
    sales_db_connection_string: Connection | None = _setting(
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
            yield from _both_or_none(given, "DB_SERVER", "DB_DATABASE")
        kind = str(given["DB_AUTHENTICATION"].value) if "DB_AUTHENTICATION" in given else "sql"
        if kind.lower() in ("entra-password", "entra-service-principal"):
            for name in {"DB_TENANT_ID", "DB_USERNAME", "DB_PASSWORD"} - given.keys():
                yield name, f"a value, because DB_AUTHENTICATION is {kind}"
        elif kind.lower() == "sql":
            yield from _both_or_none(given, "DB_USERNAME", "DB_PASSWORD")


def _wants_the_sample(layers: Layers) -> bool:
    """Whether an installed program was given nothing of its user's yet: no file, no database."""
    own = {"INPUT_DIR", "CUSTOMERS_FILE", "PRODUCTS_FILE", "SALES_FILE",
           "SALES_DB_CONNECTION_STRING", "DB_CONNECTION_STRING", "DB_SERVER"}
    if not INSTALLED or layers.environment == "prod" or own & layers.given.keys():
        return False
    return not any(layers.folder("INPUT_DIR").glob("*"))


def _pipeline_file_of(layers: Layers) -> Path | None:
    """The file that is set, else the one beside .env, if it is there."""
    if "PIPELINE_FILE" in layers.given:
        return layers.folder("PIPELINE_FILE")
    beside = layers.base_dir / "pipeline.toml"
    return beside if beside.exists() else None


class FileConfig(_Section):
    """Files: what is read, and where results go. Relative paths count from the project folder."""

    _pipeline: PipelineFile | None = PrivateAttr(None)
    _days: tuple[date, date] | None = PrivateAttr(None)
    _chosen: Mapping[str, tuple[Path, ...]] = PrivateAttr({})

    input_dir: Place = _setting(
        "data/input", "folder of the source files, here or in a cloud: s3://bucket/folder")
    output_dir: Place = _setting(
        "data/output", "folder of results; each environment has a folder of its own in it, with "
        "its rejected records, exports, history and embedded warehouse. In a cloud it has the "
        "rejected records and exports, see WORK_DIR")
    work_dir: Folder | None = _setting(
        None, "folder on this machine for what needs a disk, where OUTPUT_DIR is in a cloud: "
        "history, page, embedded warehouse, what engines spill; unset: OUTPUT_DIR, or data/output")
    customers_file: SourceFile = _setting("customers.csv", "customers, CSV; relative to INPUT_DIR")
    products_file: SourceFile = _setting("products.json", "products, JSON; relative to INPUT_DIR")
    sales_file: SourceFile = _setting("sales_transactions.csv", "sales, CSV; relative to INPUT_DIR")
    csv_encoding: Encoding = _setting(
        "utf-8", "encoding of the CSV files, such as utf-8 (with or without BOM) or cp1252")
    pipeline_file: Folder | None = _setting(
        None, "pipeline.toml: how sources differ from what is found by itself, and tables of one's "
        "own; unset: the one beside .env, if it is there")
    archive_dir: Place | None = _setting(
        None, "where each run keeps a copy of its sources and settings, secrets masked; unset: no")
    file_mode: FileMode = _setting(
        "0600", "rights of the files that a run makes, as chmod takes them; 0640 opens them to the "
        "group, and their folders with them")

    @classmethod
    def _read(cls, layers: Layers) -> tuple[dict[str, Any], set[str]]:
        values, wrong = super()._read(layers)
        if "PIPELINE_FILE" not in layers.given:
            values["pipeline_file"] = _pipeline_file_of(layers)
        if _wants_the_sample(layers):
            values["input_dir"] = SAMPLE
        access = access_of(layers)
        return {name: reached_by(access, value) for name, value in values.items()}, wrong

    @property
    def pipeline(self) -> PipelineFile:
        """What PIPELINE_FILE declares; it is read once.

        Raises:
            PipelineFileError: it cannot be used.
        """
        if self._pipeline is None:
            path = self.pipeline_file
            self._pipeline = read_pipeline_file(path, self.input_dir) if path else NO_PIPELINE_FILE
        return self._pipeline

    @property
    def is_sample(self) -> bool:
        """Whether the sample that comes with the installed program is loaded, for want of files."""
        return INSTALLED and self.input_dir == SAMPLE

    @property
    def environment_dir(self) -> Path:
        """Folder of everything that belongs to one environment: it is never shared with another."""
        return self._environment_dir

    @property
    def results_dir(self) -> Path:
        """Folder of the rejected records and exports of one environment, here or in a cloud."""
        folder = self.output_dir
        return folder / self._environment_dir.name if is_cloud(folder) else self._environment_dir

    @property
    def file_permissions(self) -> int:
        """FILE_MODE as the number that os.chmod takes."""
        return int(self.file_mode, 8)

    def paths_of(self, source: str) -> tuple[Path, ...]:
        """Return the files of a built-in source, oldest first; one that is missing, for none.

        Args:
            source: customers, products or sales.
        """
        chosen = self._chosen.get(source)
        return chosen or self._paths(source, getattr(self, f"{source}_file"))

    def place_of(self, source: str) -> Path:
        """Return the path of a built-in source as it is set, for people."""
        return self.at(self._pattern(source, getattr(self, f"{source}_file")))

    def _pattern(self, source: str, name: str) -> str:
        return self.pipeline.source(source).path or name

    def _paths(self, source: str, name: str) -> tuple[Path, ...]:
        pattern, days = self._pattern(source, name), self.days
        found = self.matching(pattern)
        if not found:
            return (self.at(filled(pattern, days[1])),)
        spans = source in WINDOWED and days[0] < days[1] and filled(pattern, days[0]) != pattern
        is_all = spans or self.pipeline.source(source).which == "all"
        return tuple(found if is_all else found[-1:])

    def newest(self, pattern: str) -> Path:
        """Return the newest file that a pattern matches, or its path when there is none."""
        found = self.matching(pattern)
        return found[-1] if found else self.at(filled(pattern, self.days[1]))

    def matching(self, pattern: str) -> list[Path]:
        """Return the files that a pattern matches: of earlier days first, then older ones."""
        folder, below = placed(self.input_dir, pattern, self._access)
        return matches(folder, below, self.days)

    def at(self, path: str) -> Path:
        """Return where a path of a source leads, from INPUT_DIR or to a cloud."""
        folder, below = placed(self.input_dir, path, self._access)
        return folder / below

    def day_of(self, pattern: str) -> datetime | None:
        """Return the day that is part of the name of a file, of several the last; None if none is.

        Args:
            pattern: as it is set.
        """
        return datetime.combine(self.days[1], time.min) if is_dated(pattern) else None

    @property
    def days(self) -> tuple[date, date]:
        """The days for which `{date}` stands in a path: those of the run, or today, here."""
        today = datetime.now().date()  # the day here
        return self._days or (today, today)

    def for_days(self, first: date, last: date) -> Self:
        """Return the same settings for a run of these days."""
        copy = self.model_copy()
        copy._days = (first, last)
        return copy

    def choosing(self, source: str, paths: Sequence[Path]) -> Self:
        """Return the same settings by which a built-in source has these files, come what may."""
        copy = self.model_copy()
        copy._chosen = {**self._chosen, source: tuple(paths)}
        return copy


class ShopConfig(_Section):
    """Shops: credentials of those that pipeline.toml reads; it may name further settings."""

    shopify_access_token: Secret | None = _setting(
        None, "access token of a Shopify app, for type = \"shopify\"")
    woocommerce_key: Secret | None = _setting(
        None, "consumer key of WooCommerce's interface, for type = \"woocommerce\"")
    woocommerce_secret: Secret | None = _setting(None, "consumer secret of WOOCOMMERCE_KEY")
    stripe_api_key: Secret | None = _setting(
        None, "secret or restricted key of Stripe, for type = \"stripe\"")


class CloudConfig(_Section):
    """Clouds: how AWS and Azure are reached; without these, as their own libraries find it."""

    aws_region: Text | None = _setting(
        None, "region of the buckets and services, such as eu-central-1")
    aws_endpoint_url: Text | None = _setting(
        None, "address of another service with AWS's interfaces, such as MinIO")
    aws_access_key_id: Secret | None = _setting(
        None, "access key; unset: the profile of this user, or the role of this machine")
    aws_secret_access_key: Secret | None = _setting(None, "secret of AWS_ACCESS_KEY_ID")
    aws_session_token: Secret | None = _setting(
        None, "token of an AWS_ACCESS_KEY_ID that lasts some hours")
    azure_storage_connection_string: Secret | None = _setting(
        None, "connection string of the storage account of abfs:// addresses; unset: the identity "
        "of this machine, or of who is logged in")

    @property
    def access(self) -> CloudAccess:
        """How the clouds are reached."""
        return self._access

    @classmethod
    def _broken_rules(cls, given: Mapping[str, Given], env: str) -> Iterator[tuple[str, str]]:
        yield from _both_or_none(given, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


class ProcessingConfig(_Section):
    """Processing: sizes, retries, and the figures that are the business's to choose."""

    chunk_rows: Positive = _setting(
        50_000, "rows held in memory as one block: some MB, whatever the size of the input")
    batch_size: Positive = _setting(
        1600, "rows per MERGE and transaction on SQL Server: at up to three locks a row below the "
        "5,000 at which it locks the whole table, and little to repeat after an error")
    duckdb_memory_limit: Memory = _setting(
        "384MB", "memory of the embedded engine; beyond it the disk is used, which is slower")
    workers: Count = _setting(
        0, "processors that a run uses: threads for the rules of a source and of the embedded "
        "engine; 0: all that there are. The tables are the same with any number")
    load_workers: Positive = _setting(
        1, "loads that work at the same time on PostgreSQL and SQL Server, each over a connection "
        "of its own; those that may write the same table never do. DuckDB has one writer: there, "
        "in a dry run and in a full refresh they are loaded one after the other")
    max_retries: Count = _setting(
        3, "further attempts after an error that may pass, such as a deadlock")
    retry_backoff_factor: Number = _setting(
        2.0, "how many times longer each wait before another attempt is than the one before")
    breaker_failure_threshold: Positive = _setting(
        5, "failures to connect in a row, repeated attempts among them, after which the circuit of "
        "a database, the mail server or Slack opens: it is not called for a while")
    breaker_recovery_seconds: Number = _setting(
        60, "seconds for which a circuit stays open before one trial call")
    lock_wait_seconds: Number = _setting(
        0, "seconds to wait while another run uses the warehouse; 0 ends at once with exit code 4")
    max_reject_rate: Share = _setting(
        0.1, "largest share of rejected records with which a source is still loaded; duplicates of "
        "a key whose contents differ count too")
    min_rows_rate: Share = _setting(
        0.5, "smallest number of customers or products that is still loaded, as a share of the "
        "last load; 0: any")
    max_removed_rate: Share = _setting(
        0.2, "largest share of a table's rows that a full refresh removes; 1: all of them")
    max_drift: Share = _setting(
        0.25, "share of the records of a run that may lie elsewhere than in the runs before, in "
        "any column, without an alert; 0: not looked for")
    profile_loads: Switch = _setting(
        False, "profile each table after its load, beside what it was before; `profile = true` in "
        "pipeline.toml does so for one source")
    full_check_days: Count = _setting(
        7, "days for which a check of the whole tables is good; until then keys, references, "
        "profit and status are checked of what was written since. 0: the whole tables every time")
    correction_days: Days = _setting(
        400, "days for which it is remembered which keys were rejected: for so long a rejected "
        "file can be corrected and read again")
    dead_letters: DeadLetters = _setting(
        "files", "where rejected records are kept: files alone, or also in the table "
        "etl_dead_letter, from which --reprocess-rejected tries all that are open once more")
    dead_letter_attempts: Positive = _setting(
        3, "runs that try a rejected record before it stays for a person")
    dead_letter_limit: Positive = _setting(
        10000, "most rejected records of a table that are kept open; further ones are in the "
        "rejected file alone, and are reported")
    dead_letter_days: Days = _setting(
        90, "days after which resolved and superseded rejected records are deleted from "
        "etl_dead_letter")
    max_placeholder_rate: Share = _setting(
        0.25, "largest share of the sales of a run whose customer or product nothing is known of; "
        "1: all of them. The first load may have any")
    watermark_lag_days: Days = _setting(
        3, "days before the latest sale that a run reads once more, for sales that arrive late")
    source_time_zone: TimeZone = _setting(
        "UTC", "time zone to which times with an offset are converted, such as Europe/Berlin; "
        "times without one are taken as they are")
    default_area_code: AreaCode | None = _setting(
        None, "area code for phone numbers of seven digits; unset marks them as not valid")
    default_cost_ratio: Ratio | None = _setting(
        None, "cost as a share of the price where a product has none; unset: profit unknown")
    commission_rate: Rate = _setting(
        Decimal("0.03"), "share of a sale's total that the sales representative earns")
    marts: Switch = _setting(
        False, "build the marts after each load: tables for reports, computed by the SQL files in "
        "marts/, those of the program and your own")
    returns: Returns = _setting(
        "reject", "sales of a negative quantity: load takes them as returns, with negative "
        "amounts; reject sets them aside, outside the reject limit")


class ClusterConfig(_Section):
    """Past one machine: where sources are read, cleaned and staged (docs/scaling.md)."""

    engine: WhereRead = _setting(
        "local", "local (this process) or spark (the machines of a Spark cluster): where sources "
        "are read, cleaned and staged; the tables are the same")
    spark_master: Text | None = _setting(
        None, "master of the cluster, such as spark://host:7077 or local[*]; unset: as Spark's own "
        "configuration says")
    spark_scratch: Folder | None = _setting(
        None, "folder that all machines of the cluster see, for rejected records and for what an "
        "embedded warehouse is to take in; unset: a folder below OUTPUT_DIR")
    spark_piece_mb: Positive = _setting(
        64, "about how many megabytes of a source file one task of Spark reads")


class LoggingConfig(_Section):
    """Logging: how much is written, and where."""

    log_dir: Folder = _setting("logs", "folder of the log files and of simulated alerts")
    log_level: Level = _setting("INFO", "least severe messages shown on the console")
    log_max_bytes: Positive = _setting(
        10 * 1024 * 1024, "size at which a log file is rotated; the default is 10 MiB")
    # without at least one backup Python's rotation does nothing, and the file grows for ever
    log_backup_count: Positive = _setting(5, "rotated log files that are kept")


class TelemetryConfig(_Section):
    """Telemetry: what other systems learn of each run; nothing of it happens unless it is set."""

    metrics_file: Folder | None = _setting(
        None, "file into which each run writes its figures for Prometheus, such as "
        "/var/lib/node_exporter/textfile/nightly_etl.prom")
    openlineage_url: LineageAddress | None = _setting(
        None, "where events of OpenLineage go: file:///path, https://server or kafka://broker/topic")
    openlineage_api_key: Secret | None = _setting(None, "key of the server of OPENLINEAGE_URL")
    openlineage_namespace: Text = _setting(
        "nightly-etl", "namespace of the jobs in those events")
    otel_exporter_otlp_endpoint: WebAddress | None = _setting(
        None, "collector of OpenTelemetry, over HTTP, to which a trace of each run is sent, such "
        "as http://localhost:4318; other variables of OpenTelemetry hold too")
    cloudwatch_log_group: Text | None = _setting(
        None, "log group of CloudWatch to which each run's log goes too, a stream a run")
    cloudwatch_namespace: Text | None = _setting(
        None, "namespace of CloudWatch in which the figures of each run are kept")


class AlertConfig(_Section):
    """Alerts: written to files under LOG_DIR, or sent by e-mail and to Slack."""

    alert_mode: Mode = _setting(
        "simulate", "simulate writes alerts to LOG_DIR/alerts; send delivers them, and needs "
        "SMTP_HOST, ALERT_EMAIL_FROM and ALERT_EMAIL_TO, SLACK_WEBHOOK_URL or ALERT_URLS, or all "
        "of them")
    smtp_host: Text | None = _setting(None, "mail server")
    smtp_port: Port = _setting(
        587, "port of the mail server; 587 is the one for submission, 465 is encrypted throughout")
    smtp_username: Text | None = _setting(None, "login on the mail server; unset sends without one")
    smtp_password: Secret | None = _setting(None, "password of SMTP_USERNAME")
    smtp_starttls: Switch = _setting(True, "encrypt the connection to the mail server")
    alert_email_from: Address | None = _setting(None, "sender of alerts")
    alert_email_to: Addresses = _setting((), "receivers of alerts, commas between")
    slack_webhook_url: Webhook | None = _setting(
        None, "incoming webhook of Slack; whoever knows it can post")
    slack_channel: Text = _setting(
        "#data-alerts", "channel that warnings and errors name; Slack keeps to the channel that a "
        "webhook was made for")
    slack_info_channel: Text = _setting(
        "#data-runs", "channel that messages name which ask for nothing: runs that went well")
    slack_mentions: Text = _setting(
        "<@data-team> <@on-call-engineer>", "who is called in errors, the first also in warnings; "
        "Slack itself knows people as <@U024BE7LH> and groups as <!subteam^SAZ94GDB8>")
    alert_throttle_minutes: Count = _setting(
        30, "minutes for which an alert of the same kind is not repeated; 0 repeats every one")

    alert_urls: Secret | None = _setting(
        None, "further services that are sent alerts, blanks between, as Apprise writes them: "
        "msteams://..., pagerduty://..., or jsons://host/path for a webhook")
    sla_time: Hour | None = _setting(
        None, "hour by which every load should have succeeded, such as 06:00, in "
        "SOURCE_TIME_ZONE; --check-sla alerts about those that have not")

    @property
    def alerts_dir(self) -> Path:
        """Folder of simulated alerts and of decisions to throttle."""
        return self._log_dir / "alerts"

    def beside(self, logs: LoggingConfig) -> Self:
        """Return the same settings with the alerts written beside these logs."""
        copy = self.model_copy()
        copy._log_dir = logs.log_dir
        copy._log_limits = logs.log_max_bytes, logs.log_backup_count
        return copy

    @property
    def log_limits(self) -> tuple[int, int]:
        """LOG_MAX_BYTES and LOG_BACKUP_COUNT, which hold for the files of alerts too."""
        return self._log_limits

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be in an alert: every secret setting, the longest first."""
        return self._secrets

    @property
    def service_urls(self) -> tuple[str, ...]:
        """The addresses of ALERT_URLS."""
        return tuple(self.alert_urls.get_secret_value().split()) if self.alert_urls else ()

    @property
    def can_email(self) -> bool:
        """Whether all that an e-mail needs is set."""
        return bool(self.smtp_host and self.alert_email_from and self.alert_email_to)

    @property
    def can_slack(self) -> bool:
        """Whether all that a message to Slack needs is set."""
        return self.slack_webhook_url is not None

    @classmethod
    def _broken_rules(cls, given: Mapping[str, Given], env: str) -> Iterator[tuple[str, str]]:
        yield from _both_or_none(given, "SMTP_USERNAME", "SMTP_PASSWORD")
        mode = str(given["ALERT_MODE"].value) if "ALERT_MODE" in given else ""
        missing = {"SMTP_HOST", "ALERT_EMAIL_FROM", "ALERT_EMAIL_TO"} - given.keys()
        others = ("SLACK_WEBHOOK_URL", "ALERT_URLS")
        if mode.strip().lower() == "send" and missing and not given.keys() & {*others}:
            ways = (", ".join(sorted(missing)), *others)
            yield "ALERT_MODE", f"a way to send: {' or '.join(ways)}"


# fmt: on

SECTIONS: dict[str, type[_Section]] = {
    "database": DatabaseConfig,
    "files": FileConfig,
    "shops": ShopConfig,
    "clouds": CloudConfig,
    "processing": ProcessingConfig,
    "cluster": ClusterConfig,
    "logging": LoggingConfig,
    "alerts": AlertConfig,
    "telemetry": TelemetryConfig,
}


@dataclass(frozen=True)
class Config:
    """The settings of one run, all of them checked.

    Attributes:
        named: settings besides the declared ones that `pipeline.toml` names; all are secret.
    """

    environment: str
    base_dir: Path
    database: DatabaseConfig
    files: FileConfig
    shops: ShopConfig
    clouds: CloudConfig
    processing: ProcessingConfig
    cluster: ClusterConfig
    logging: LoggingConfig
    alerts: AlertConfig
    telemetry: TelemetryConfig
    named: Mapping[str, SecretStr] = field(default_factory=dict)

    @property
    def pipeline(self) -> PipelineFile:
        """What `pipeline.toml` declares."""
        return self.files.pipeline

    @property
    def source_files(self) -> dict[str, tuple[Path, ...]]:
        """The files of the built-in sources that are read from files, by source."""
        sources = {name: self.pipeline.source(name) for name in BUILT_IN_LOADS}
        elsewhere = {name for name, source in sources.items()
                     if source.is_rest or source.connection or not source.enabled}  # fmt: skip
        if self.database.sales_db_connection_string is not None:
            elsewhere.add("sales")
        read = (name for name in BUILT_IN_LOADS if name not in elsewhere)
        return {name: self.files.paths_of(name) for name in read}

    def for_days(self, first: date, last: date) -> "Config":
        """Return the same settings for a run of these days, which `{date}` in a path stands for."""
        return replace(self, files=self.files.for_days(first, last))

    def choosing(self, source: str, paths: Sequence[Path]) -> "Config":
        """Return the same settings by which a built-in source has these files, come what may."""
        return replace(self, files=self.files.choosing(source, paths))

    def secret(self, name: str) -> SecretStr | None:
        """Return the value of a secret setting, declared or named in `pipeline.toml`.

        Args:
            name: of the setting.

        Returns:
            None where it is not set, or not secret.
        """
        declared = _settings().get(name)
        if declared is None or not declared.secret:
            return self.named.get(name)
        value: SecretStr | None = getattr(getattr(self, declared.section), name.lower())
        return value


def load_config(
    env: str = "dev",
    *,
    base_dir: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Config:
    """Read and check all settings.

    Args:
        env: dev, test or prod; chooses `.env.<env>`.
        base_dir: folder of the .env files, from which relative paths count too; the project folder
            of a checkout, or the current folder of an installed package, when left out.
        environ: used in place of the process environment.

    Raises:
        ConfigurationError: no such environment, or settings that cannot be used, all of them
            listed in its message.

    Example:
        >>> load_config("dev", base_dir=Path("/none"), environ={}).processing.chunk_rows
        50000
    """
    if env not in ENVIRONMENTS:
        raise ConfigurationError(f"no environment {env!r}", choices=", ".join(ENVIRONMENTS))
    read = partial(
        read_layers, environment=env, base_dir=base_dir or working_folder(), environ=environ
    )
    named = _named_in_pipeline(read(_settings()))
    layers = _fetched(read({**_settings(), **named}))
    sections: dict[str, Any] = {}
    problems: list[str] = []
    for name, section in SECTIONS.items():
        try:
            sections[name] = section(layers=layers)
        except SettingsError as error:
            problems += error.problems
    try:
        if "files" in sections:
            sections["files"].pipeline  # noqa: B018  # a fault in it is one of the settings
    except PipelineFileError as error:
        problems += [f"PIPELINE_FILE: {problem}" for problem in error.problems]
    if problems:
        raise SettingsError(layers.base_dir, problems)
    given = {name: layers.given[name].value for name in named if name in layers.given}
    secrets = {name: SecretStr(str(value)) for name, value in given.items()}
    return Config(env, layers.base_dir, named=secrets, **sections)


def _named_in_pipeline(layers: Layers) -> dict[str, Setting]:
    """The further settings that `pipeline.toml` names, whatever else is wrong with it."""
    path = _pipeline_file_of(layers)
    further = settings_named_in(path) - _settings().keys() if path else set()
    return {
        name: Setting(name, "text on one line", "", "named in pipeline.toml", True, "")
        for name in sorted(further)
    }


@cache
def _settings() -> dict[str, Setting]:
    return {
        name.upper(): _described(name, info, section)
        for section, fields in SECTIONS.items()
        for name, info in fields.model_fields.items()
    }


def _described(name: str, info: FieldInfo, section: str) -> Setting:
    kind, default = kind_of(info), _as_text(info.default)
    return Setting(name.upper(), kind.words, default, info.description or "", kind.secret, section)


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ", ".join(value)
    return "" if value is None else str(value)


def settings_table() -> list[Setting]:
    """All settings, in the order of their declaration.

    Example:
        >>> [setting.name for setting in settings_table() if setting.section == "logging"]
        ['LOG_DIR', 'LOG_LEVEL', 'LOG_MAX_BYTES', 'LOG_BACKUP_COUNT']
    """
    return list(_settings().values())


def masked_settings(config: Config) -> dict[str, str]:
    """Each setting as text, for logs and archives; a secret that is set is `***`."""
    values = {}
    for setting in settings_table():
        value = getattr(getattr(config, setting.section), setting.name.lower())
        values[setting.name] = MASK if setting.secret and value else _as_text(value)
    return values


def secrets_of(config: Config) -> list[str]:
    """What must not be shown: secret settings, and the passwords inside them; longest first."""
    values = [
        getattr(getattr(config, setting.section), setting.name.lower())
        for setting in settings_table()
        if setting.secret
    ]
    given = (*values, *config.named.values())
    return secrets_in(value.get_secret_value() for value in given if value)

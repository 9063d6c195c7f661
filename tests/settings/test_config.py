"""Settings: declared once, layered, all problems named at once, secrets never shown."""

import os
import shutil
import subprocess
import sys
import traceback
from contextlib import suppress
from dataclasses import FrozenInstanceError
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import setting_docs
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from etl.errors import EXIT_USAGE, ConfigurationError
from etl.settings.config import Config, load_config, masked_settings, secrets_of
from etl.settings.connection_strings import braced, parse
from etl.settings.example import env_example_text
from etl.settings.layers import read_layers
from etl.settings.sections import SECTIONS
from etl.settings.sections.alerts import AlertConfig
from etl.settings.sections.database import DatabaseConfig
from etl.settings.sections.logging import LoggingConfig
from etl.settings.sections.processing import ProcessingConfig
from etl.settings.sections.section import declared

ROOT = Path(__file__).resolve().parents[2]

NAMES = [
    "DB_CONNECTION_STRING",
    "DB_SERVER",
    "DB_DATABASE",
    "DB_USERNAME",
    "DB_PASSWORD",
    "DB_AUTHENTICATION",
    "DB_TENANT_ID",
    "DB_APPLICATION_INTENT",
    "DB_MULTI_SUBNET_FAILOVER",
    "DB_DRIVER",
    "DB_SCHEMA",
    "DB_STAGING_SCHEMA",
    "DB_ENCRYPT",
    "DB_TRUST_SERVER_CERTIFICATE",
    "SQL_SERVER_BULK",
    "SQL_SERVER_UPSERT",
    "READ_COPY",
    "LAKE_KEEP_DAYS",
    "PROFILE_LOADS",
    "MAX_DRIFT",
    "SALES_DB_CONNECTION_STRING",
    "INPUT_DIR",
    "OUTPUT_DIR",
    "ENGINE",
    "SPARK_MASTER",
    "SPARK_SCRATCH",
    "SPARK_PIECE_MB",
    "LOG_DIR",
    "CUSTOMERS_FILE",
    "PRODUCTS_FILE",
    "SALES_FILE",
    "CSV_ENCODING",
    "PIPELINE_FILE",
    "SHOPIFY_ACCESS_TOKEN",
    "WOOCOMMERCE_KEY",
    "WOOCOMMERCE_SECRET",
    "STRIPE_API_KEY",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_CONNECTION_STRING",
    "CLOUDWATCH_LOG_GROUP",
    "CLOUDWATCH_NAMESPACE",
    "WORK_DIR",
    "ARCHIVE_DIR",
    "FILE_MODE",
    "CHUNK_ROWS",
    "BATCH_SIZE",
    "DUCKDB_MEMORY_LIMIT",
    "WORKERS",
    "LOAD_WORKERS",
    "MAX_RETRIES",
    "RETRY_BACKOFF_FACTOR",
    "BREAKER_FAILURE_THRESHOLD",
    "BREAKER_RECOVERY_SECONDS",
    "LOCK_WAIT_SECONDS",
    "MAX_REJECT_RATE",
    "MIN_ROWS_RATE",
    "MAX_REMOVED_RATE",
    "FULL_CHECK_DAYS",
    "CORRECTION_DAYS",
    "DEAD_LETTERS",
    "DEAD_LETTER_ATTEMPTS",
    "DEAD_LETTER_LIMIT",
    "DEAD_LETTER_DAYS",
    "MAX_PLACEHOLDER_RATE",
    "MARTS",
    "RETURNS",
    "WATERMARK_LAG_DAYS",
    "SOURCE_TIME_ZONE",
    "DEFAULT_AREA_CODE",
    "DEFAULT_COST_RATIO",
    "COMMISSION_RATE",
    "LOG_LEVEL",
    "LOG_MAX_BYTES",
    "LOG_BACKUP_COUNT",
    "METRICS_FILE",
    "OPENLINEAGE_URL",
    "OPENLINEAGE_API_KEY",
    "OPENLINEAGE_NAMESPACE",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "ALERT_MODE",
    "SMTP_HOST",
    "SMTP_PORT",
    "SMTP_USERNAME",
    "SMTP_PASSWORD",
    "SMTP_STARTTLS",
    "ALERT_EMAIL_FROM",
    "ALERT_EMAIL_TO",
    "SLACK_WEBHOOK_URL",
    "SLACK_CHANNEL",
    "SLACK_INFO_CHANNEL",
    "SLACK_MENTIONS",
    "ALERT_THROTTLE_MINUTES",
    "ALERT_URLS",
    "SLA_TIME",
]
SECRETS = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_CONNECTION_STRING",
    "SHOPIFY_ACCESS_TOKEN",
    "WOOCOMMERCE_KEY",
    "WOOCOMMERCE_SECRET",
    "STRIPE_API_KEY",
    "DB_CONNECTION_STRING",
    "DB_PASSWORD",
    "SALES_DB_CONNECTION_STRING",
    "SMTP_PASSWORD",
    "SLACK_WEBHOOK_URL",
    "OPENLINEAGE_API_KEY",
    "ALERT_URLS",
}
NOWHERE = Path("/no/such/folder")


def load(base_dir: Path = NOWHERE, env: str = "dev", /, **environ: str) -> Config:
    return load_config(env, base_dir=base_dir, environ=environ)


def problems(base_dir: Path = NOWHERE, env: str = "dev", /, **environ: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(base_dir, env, **environ)
    return str(caught.value).split("\n- ")[1:]


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return folder


def odbc_values(text: str) -> dict[str, str]:
    """Read an ODBC connection string as a driver does: in braces, }} stands for }."""
    values = {}
    while text:
        name, _, text = text.partition("=")
        if not text.startswith("{"):
            values[name], _, text = text.partition(";")
            continue
        end = 1
        while text[end] != "}" or text[end : end + 2] == "}}":
            end += 2 if text[end] == "}" else 1
        values[name], text = text[1:end].replace("}}", "}"), text[end + 1 :].removeprefix(";")
    return values


def odbc(**environ: str) -> dict[str, str]:
    return odbc_values(load(**environ).database.connection_string.get_secret_value())


# ---- what there is ----


def test_every_setting_is_declared_exactly_once() -> None:
    assert sorted(declared()) == sorted(NAMES)


def test_every_setting_has_one_line_of_help_and_says_what_it_can_be() -> None:
    for setting in declared().values():
        assert setting.help, setting.name
        assert setting.type, setting.name
        assert "\n" not in setting.help + setting.type


def test_passwords_webhooks_and_connection_strings_are_secret() -> None:
    assert {setting.name for setting in declared().values() if setting.secret} == SECRETS


def test_each_setting_is_an_attribute_of_its_section() -> None:
    loaded = load()
    for setting in declared().values():
        assert hasattr(getattr(loaded, setting.section), setting.name.lower())


def test_with_nothing_set_the_defaults_hold() -> None:
    loaded = load()
    assert loaded.environment == "dev"
    assert loaded.processing.commission_rate == Decimal("0.03")
    assert isinstance(loaded.processing.commission_rate, Decimal)
    assert loaded.processing.default_cost_ratio is None
    assert loaded.processing.max_reject_rate == 0.1
    assert loaded.logging.log_level == "INFO"
    assert loaded.alerts.alert_mode == "simulate"
    assert loaded.alerts.alert_email_to == ()
    assert loaded.alerts.smtp_starttls is True


def test_texts_are_read_as_their_types() -> None:
    loaded = load(
        COMMISSION_RATE="0.025",
        LOCK_WAIT_SECONDS="1.5",
        CHUNK_ROWS=" 10 ",
        DB_DRIVER=" FreeTDS ",
        SMTP_STARTTLS="no",
        LOG_LEVEL="debug",
        DEFAULT_AREA_CODE="012",
        ALERT_EMAIL_TO="a@x.org, b@y.org",
    )
    assert loaded.processing.commission_rate == Decimal("0.025")
    assert loaded.processing.lock_wait_seconds == 1.5
    assert loaded.processing.chunk_rows == 10
    assert loaded.database.db_driver == "FreeTDS"
    assert loaded.alerts.smtp_starttls is False
    assert loaded.logging.log_level == "DEBUG"
    assert loaded.processing.default_area_code == "012"
    assert loaded.alerts.alert_email_to == ("a@x.org", "b@y.org")


def test_a_loaded_configuration_cannot_be_changed() -> None:
    loaded = load()
    with pytest.raises(FrozenInstanceError):
        loaded.environment = "prod"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        loaded.processing.chunk_rows = 1


# ---- layers ----


def test_process_environment_wins_over_environment_file_over_env_file_over_default(
    tmp_path: Path,
) -> None:
    write(tmp_path, ".env", "CHUNK_ROWS=1\nBATCH_SIZE=1\nMAX_RETRIES=1\n")
    write(tmp_path, ".env.test", "CHUNK_ROWS=2\nBATCH_SIZE=2\n")
    processing = load(tmp_path, "test", CHUNK_ROWS="3").processing
    assert (processing.chunk_rows, processing.batch_size, processing.max_retries) == (3, 2, 1)
    assert processing.watermark_lag_days == 3


def test_the_file_of_another_environment_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, ".env.prod", "CHUNK_ROWS=2\nnonsense\n")
    assert load(tmp_path, "dev").processing.chunk_rows == 50_000


@pytest.mark.parametrize("empty", ["", "  ", "''", '" "'])
def test_an_empty_value_counts_as_not_set(tmp_path: Path, empty: str) -> None:
    write(tmp_path, ".env", "CHUNK_ROWS=1\n")
    write(tmp_path, ".env.dev", f"CHUNK_ROWS={empty}\nDB_SERVER={empty}\n")
    loaded = load(tmp_path, CHUNK_ROWS="")
    assert loaded.processing.chunk_rows == 1
    assert loaded.database.db_server is None


def test_a_windows_env_file_with_bom_export_and_comments_is_read(tmp_path: Path) -> None:
    text = "\ufeffCHUNK_ROWS=7 # rows\r\n\r\nexport SLACK_CHANNEL='#ops'\r\n"
    loaded = load(write(tmp_path, ".env", text))
    assert loaded.processing.chunk_rows == 7
    assert loaded.alerts.slack_channel == "#ops"


def test_dollars_and_spaces_in_a_password_stay_as_they_are(tmp_path: Path) -> None:
    write(tmp_path, ".env", "DB_USERNAME=u\nDB_PASSWORD=' a${HOME}$b#c '\n")
    password = load(tmp_path).database.db_password
    assert password is not None
    assert password.get_secret_value() == " a${HOME}$b#c "


def test_a_folder_named_env_is_a_virtual_environment_and_not_read(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert load(tmp_path).processing.chunk_rows == 50_000


def test_loading_leaves_the_process_environment_alone(tmp_path: Path) -> None:
    before = dict(os.environ)
    load_config("dev", base_dir=write(tmp_path, ".env", "LOG_LEVEL=ERROR\nELSE=1\n"))
    assert dict(os.environ) == before


def test_the_real_process_environment_is_read_when_none_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHUNK_ROWS", "11")
    monkeypatch.setenv("ALERT_EMAIL_TO", "a@x.org,b@x.org")
    loaded = load_config(base_dir=tmp_path)
    assert loaded.processing.chunk_rows == 11
    assert loaded.alerts.alert_email_to == ("a@x.org", "b@x.org")


@pytest.mark.parametrize("section", SECTIONS.values())
def test_each_section_can_be_made_with_no_arguments(
    section: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOG_LEVEL", "CHUNK_ROWS"):
        monkeypatch.setenv(name, {"LOG_LEVEL": "ERROR", "CHUNK_ROWS": "12"}[name])
    made = section()
    assert getattr(made, "log_level", "ERROR") == "ERROR"
    assert getattr(made, "chunk_rows", 12) == 12


def test_a_section_takes_arguments_above_all_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHUNK_ROWS", "12")
    assert ProcessingConfig(chunk_rows=13).chunk_rows == 13
    with pytest.raises(ConfigurationError, match=r"CHUNK_ROWS = 0 \(argument\): wanted a whole"):
        ProcessingConfig(chunk_rows=0)


def test_a_secret_argument_is_checked_and_completed_like_a_setting() -> None:
    made = DatabaseConfig(db_server=None, db_connection_string=SecretStr("duckdb:///x.duckdb"))
    path = (ROOT / "x.duckdb").as_posix()
    assert made.connection_string.get_secret_value() == f"duckdb:///{path}"
    with pytest.raises(ConfigurationError, match=r"DB_CONNECTION_STRING = \*\*\* \(argument\)"):
        DatabaseConfig(db_server=None, db_connection_string=SecretStr("x.duckdb"))


def test_the_argument_none_takes_a_setting_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_SERVER", "sql01")
    monkeypatch.setenv("DB_DATABASE", "dw")
    made = DatabaseConfig(db_server=None, db_database=None)
    assert made.connection_string.get_secret_value().startswith("duckdb:///")
    monkeypatch.setenv("SLACK_WEBHOOK_URL", "https://hooks.slack.com/x")
    with pytest.raises(ConfigurationError, match="wanted a way to send"):
        AlertConfig(alert_mode="send", slack_webhook_url=None, smtp_host=None)


def test_an_argument_that_is_no_setting_is_refused() -> None:
    with pytest.raises(TypeError, match="LoggingConfig has no setting log_levl"):
        LoggingConfig(log_levl="DEBUG")  # type: ignore[call-arg]


# ---- paths ----


def test_files_and_relative_paths_belong_to_the_project_folder_from_any_directory(
    tmp_path: Path,
) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    elsewhere.mkdir()
    shutil.copy(ROOT / "config.py", project)
    shutil.copytree(ROOT / "etl", project / "etl")
    write(project, ".env", "LOG_LEVEL=ERROR\n")
    write(elsewhere, ".env", "LOG_LEVEL=DEBUG\n")
    code = (
        "import config; c = config.load_config(); "
        "print(config.LoggingConfig().log_level, c.files.input_dir)"
    )
    # -P keeps the current directory out of the import path
    answer = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=elsewhere,
        env={"PYTHONPATH": str(project)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.split() == ["ERROR", str(project.resolve() / "data/input")]


def test_relative_paths_count_from_the_base_folder_and_absolute_ones_stay(tmp_path: Path) -> None:
    loaded = load(tmp_path, INPUT_DIR="in", LOG_DIR="/var/log/etl", ARCHIVE_DIR="keep")
    assert loaded.files.input_dir == tmp_path / "in"
    assert loaded.files.output_dir == tmp_path / "data/output"
    assert loaded.files.archive_dir == tmp_path / "keep"
    assert loaded.logging.log_dir == Path("/var/log/etl")


@pytest.mark.parametrize("env", ["dev", "test", "prod"])
def test_each_environment_has_a_folder_of_its_own(tmp_path: Path, env: str) -> None:
    loaded = load(tmp_path, env, OUTPUT_DIR="out", DB_CONNECTION_STRING="DSN=dw")
    assert loaded.files.environment_dir == tmp_path / "out" / env
    assert loaded.files.output_dir == tmp_path / "out"


def test_files_are_their_owner_s_alone_unless_a_group_is_let_in(tmp_path: Path) -> None:
    assert load(tmp_path).files.file_permissions == 0o600
    assert load(tmp_path, FILE_MODE="640").files.file_permissions == 0o640


@pytest.mark.parametrize("text", ["0o600", "0400", "0755", "0666x", "rw-", "06000", "384"])
def test_rights_that_a_run_could_not_work_with_are_refused(tmp_path: Path, text: str) -> None:
    (line,) = problems(tmp_path, FILE_MODE=text)
    assert line.startswith(f"FILE_MODE = {text!r}")


def test_source_files_lie_in_the_input_folder_unless_absolute(tmp_path: Path) -> None:
    files = load(tmp_path, INPUT_DIR="in", CUSTOMERS_FILE="c.csv", SALES_FILE="/srv/s.csv").files
    assert files.paths_of("customers") == (tmp_path / "in/c.csv",)
    assert files.paths_of("products") == (tmp_path / "in/products.json",)
    assert files.paths_of("sales") == (Path("/srv/s.csv"),)


def test_simulated_alerts_lie_in_the_log_folder(tmp_path: Path) -> None:
    assert load(tmp_path, LOG_DIR="l").alerts.alerts_dir == tmp_path / "l/alerts"
    assert AlertConfig().alerts_dir.name == "alerts"


@pytest.mark.parametrize("folder", ["~/in", "${HOME}/in", "in\nput"])
def test_a_folder_that_a_shell_would_have_replaced_is_refused(folder: str) -> None:
    assert problems(INPUT_DIR=folder) == [
        f"INPUT_DIR = {folder!r} (environment): "
        "wanted a folder, spelt out: ~ and ${...} are not replaced; or s3://bucket/folder, or "
        "abfs://container@account.dfs.core.windows.net/folder"
    ]


# ---- the warehouse ----


@pytest.mark.parametrize("env", ["dev", "test"])
def test_without_a_database_dev_and_test_use_an_embedded_file_of_their_own(
    tmp_path: Path, env: str
) -> None:
    database = load(tmp_path, env, OUTPUT_DIR=" out ").database
    expected = f"duckdb:///{tmp_path.as_posix()}/out/{env}/warehouse.duckdb"
    assert database.connection_string.get_secret_value() == expected


def test_prod_must_name_its_database() -> None:
    assert problems(NOWHERE, "prod") == [
        "DB_SERVER = '' (default): wanted it or DB_CONNECTION_STRING: "
        "prod has no database to fall back on"
    ]
    assert load(NOWHERE, "prod", DB_SERVER="s", DB_DATABASE="d").environment == "prod"
    assert load(NOWHERE, "prod", DB_CONNECTION_STRING="DSN=dw").environment == "prod"


def test_a_connection_string_is_used_as_it_is() -> None:
    text = "Driver={ODBC Driver 18 for SQL Server};Server=s;UID=u;PWD={a}}b}"
    assert load(DB_CONNECTION_STRING=text).database.connection_string.get_secret_value() == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("duckdb:///w/x.duckdb", "duckdb:////base/w/x.duckdb"),
        ("duckdb:////srv/x.duckdb", "duckdb:////srv/x.duckdb"),
        ("duckdb:///:memory:", "duckdb:///:memory:"),
        ("postgresql://u:p@h/db", "postgresql://u:p@h/db"),
    ],
)
def test_the_path_of_a_duckdb_file_counts_from_the_base_folder(text: str, expected: str) -> None:
    database = load(
        Path("/base"), DB_CONNECTION_STRING=text, SALES_DB_CONNECTION_STRING=text
    ).database
    assert database.connection_string.get_secret_value() == expected
    assert database.sales_db_connection_string == SecretStr(expected)


@pytest.mark.parametrize(
    "text", ["warehouse.duckdb", "duckdb:///", "duckdb://", "C:/w.duckdb", "://x"]
)
def test_any_other_form_of_connection_string_is_refused_without_showing_it(text: str) -> None:
    (problem,) = problems(DB_CONNECTION_STRING=text)
    assert problem.startswith("DB_CONNECTION_STRING = *** (environment): wanted duckdb:///path, ")


def test_a_server_makes_an_encrypted_odbc_string_that_trusts_nobody() -> None:
    login = {"DB_USERNAME": "etl", "DB_PASSWORD": "p}w"}
    database = load(DB_SERVER="sql01,1433", DB_DATABASE="dw", **login).database
    assert database.connection_string.get_secret_value() == (
        "Server={sql01,1433};Database={dw};UID={etl};PWD={p}}w};"
        "Encrypt=yes;TrustServerCertificate=no"
    )


def test_without_a_user_name_the_connection_is_trusted() -> None:
    values = odbc(DB_SERVER="s", DB_DATABASE="d")
    assert values["Trusted_Connection"] == "yes"
    assert not {"UID", "PWD", "Driver"} & values.keys()


@pytest.mark.parametrize(
    "driver", ["ODBC Driver 18 for SQL Server", "{ODBC Driver 18 for SQL Server}"]
)
def test_a_driver_is_named_when_set_with_or_without_braces(driver: str) -> None:
    values = odbc(DB_SERVER="s", DB_DATABASE="d", DB_DRIVER=driver)
    assert values["Driver"] == "ODBC Driver 18 for SQL Server"


def test_encryption_and_trust_can_be_chosen() -> None:
    values = odbc(
        DB_SERVER="s", DB_DATABASE="d", DB_ENCRYPT="Strict", DB_TRUST_SERVER_CERTIFICATE="true"
    )
    assert (values["Encrypt"], values["TrustServerCertificate"]) == ("strict", "yes")


@given(st.text())
def test_a_braced_value_is_read_back_whatever_it_contains(value: str) -> None:
    assert odbc_values(f"A={braced(value)};PWD={braced(value)};B=c") == {
        "A": value,
        "PWD": value,
        "B": "c",
    }


def test_the_name_to_show_for_a_database_says_where_it_is_without_secrets() -> None:
    server = {"DB_SERVER": "sql01", "DB_DATABASE": "dw"}
    assert load(**server).database.display_name == "database 'dw' on server 'sql01'"
    assert load(Path("/b")).database.display_name == "duckdb:////b/data/output/dev/warehouse.duckdb"
    odbc_string = load(DB_CONNECTION_STRING="Server=s;PWD=hunter2").database
    assert odbc_string.display_name == "the default database on server 's'"
    url = load(DB_CONNECTION_STRING="postgresql://etl:hunter2@pg1:5433/dw?options=x").database
    assert url.display_name == "database 'dw' on server 'pg1:5433'"
    malformed = load(DB_CONNECTION_STRING="Server=s;PWD={hunter2").database
    assert malformed.display_name == "the database of DB_CONNECTION_STRING"


# ---- problems ----


def test_an_unknown_environment_is_answered_with_the_choices() -> None:
    with pytest.raises(ConfigurationError, match=r"'live'.*dev, test, prod") as caught:
        load_config("live")
    assert caught.value.exit_code == EXIT_USAGE


def test_all_problems_of_all_sections_and_files_are_listed_at_once(tmp_path: Path) -> None:
    write(tmp_path, ".env", "\n\nDB_SEVER=x\nCSV_ENCODING=klingon\n")
    write(tmp_path, ".env.prod", "CHUNK_ROWS=many\nDB_USERNAME=etl\nLOG_LEVEL='INFO\n")
    assert problems(tmp_path, "prod", SMTP_PORT="70000", ALERT_MODE="send") == [
        "DB_SEVER in .env line 3 is no setting; did you mean DB_SERVER?",
        ".env.prod line 3 cannot be read: wanted NAME=value, with any quotes closed on that line",
        "DB_SERVER = '' (default): wanted it or DB_CONNECTION_STRING: "
        "prod has no database to fall back on",
        "DB_PASSWORD = '' (default): wanted a value, because DB_USERNAME is set",
        "CSV_ENCODING = 'klingon' (.env line 4): "
        "wanted a text encoding that Python knows, such as utf-8",
        "CHUNK_ROWS = 'many' (.env.prod line 1): wanted a whole number, 1 or more",
        "SMTP_PORT = '70000' (environment): wanted a port number from 1 to 65535",
        "ALERT_MODE = 'send' (environment): "
        "wanted a way to send: ALERT_EMAIL_FROM, ALERT_EMAIL_TO, SMTP_HOST or SLACK_WEBHOOK_URL "
        "or ALERT_URLS",
    ]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("CHUNK_ROWS", ["0", "-1", "1.5", "many"]),
        ("BATCH_SIZE", ["0"]),
        ("MAX_RETRIES", ["-1"]),
        ("RETRY_BACKOFF_FACTOR", ["-0.1", "nan", "inf"]),
        ("BREAKER_FAILURE_THRESHOLD", ["0"]),
        ("BREAKER_RECOVERY_SECONDS", ["-1"]),
        ("LOCK_WAIT_SECONDS", ["-1"]),
        ("MAX_REJECT_RATE", ["-0.1", "1.1", "10%", "nan"]),
        ("MIN_ROWS_RATE", ["-0.1", "1.1"]),
        ("MAX_REMOVED_RATE", ["-0.1", "1.1"]),
        ("MAX_PLACEHOLDER_RATE", ["-0.1", "1.1"]),
        ("RETURNS", ["yes", "loads"]),
        ("WATERMARK_LAG_DAYS", ["-1", "3651"]),
        ("COMMISSION_RATE", ["-0.01", "1.01", "NaN", "0.0000001"]),
        ("DEFAULT_COST_RATIO", ["-0.1", "10.1"]),
        ("SOURCE_TIME_ZONE", ["Nowhere/Town", "+02:00", "../UTC"]),
        ("DEFAULT_AREA_CODE", ["55", "5555", "55a", "\u0665\u0665\u0665"]),
        ("DUCKDB_MEMORY_LIMIT", ["1", "1 potato", "-1GB", "80%"]),
        ("CSV_ENCODING", ["klingon", "base64", "a\0b"]),
        ("DB_ENCRYPT", ["maybe"]),
        ("DB_TRUST_SERVER_CERTIFICATE", ["maybe"]),
        ("DB_SERVER", ["sql\new"]),
        ("LOG_LEVEL", ["LOUD"]),
        ("LOG_MAX_BYTES", ["0"]),
        ("LOG_BACKUP_COUNT", ["0"]),
        ("ALERT_MODE", ["off"]),
        ("SMTP_PORT", ["0", "65536"]),
        ("ALERT_EMAIL_FROM", ["etl"]),
        ("ALERT_EMAIL_TO", ["a@x.org;b@y.org", "a@x.org, b", ","]),
        ("ALERT_THROTTLE_MINUTES", ["-1"]),
        ("SLACK_WEBHOOK_URL", ["hooks.slack.com"]),
    ],
)
def test_a_value_outside_its_limits_is_a_problem(name: str, values: list[str]) -> None:
    for value in values:
        found = problems(**{name: value})
        assert found[0].startswith(f"{name} = "), found


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("MAX_RETRIES", ["0"]),
        ("MAX_REJECT_RATE", ["0", "1"]),
        ("COMMISSION_RATE", ["0", "1"]),
        ("DEFAULT_COST_RATIO", ["0", "10"]),
        ("WATERMARK_LAG_DAYS", ["0"]),
        ("SMTP_PORT", ["1", "65535"]),
        ("DUCKDB_MEMORY_LIMIT", ["1GB", "1.5 GiB", "512mb"]),
        ("CSV_ENCODING", ["cp1252", "UTF-16"]),
    ],
)
def test_a_value_at_its_limits_is_accepted(name: str, values: list[str]) -> None:
    for value in values:
        assert masked_settings(load(**{name: value}))[name]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"DB_SERVER": "s"}, "DB_DATABASE = '' (default): wanted a value, because DB_SERVER is"),
        ({"DB_USERNAME": "u"}, "DB_PASSWORD = '' (default): wanted a value, because DB_USERNAME"),
        ({"DB_PASSWORD": "p"}, "DB_USERNAME = '' (default): wanted a value, because DB_PASSWORD"),
        ({"SMTP_USERNAME": "u"}, "SMTP_PASSWORD = '' (default): wanted a value, because SMTP_U"),
        (
            {"DB_SERVER": "s", "DB_DATABASE": "d", "DB_CONNECTION_STRING": "DSN=x"},
            "DB_SERVER = 's' (environment): wanted only one of it and DB_CONNECTION_STRING",
        ),
        (
            {"ALERT_MODE": "Send", "SMTP_HOST": "h", "ALERT_EMAIL_TO": "a@x.org"},
            "ALERT_MODE = 'Send' (environment): wanted a way to send: ALERT_EMAIL_FROM or SLACK",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_a_problem(
    environ: dict[str, str], expected: str
) -> None:
    (problem,) = problems(**environ)
    assert problem.startswith(expected)


def test_a_broken_rule_is_listed_beside_a_bad_value_of_the_same_section() -> None:
    assert len(problems(DB_ENCRYPT="maybe", DB_USERNAME="u")) == 2


def test_alerts_can_be_sent_when_one_channel_is_complete() -> None:
    mail = {"SMTP_HOST": "h", "ALERT_EMAIL_FROM": "a@x.org", "ALERT_EMAIL_TO": "b@x.org"}
    slack = {"SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T/B/x"}
    by_mail = load(ALERT_MODE="send", **mail).alerts
    assert (by_mail.can_email, by_mail.can_slack) == (True, False)
    for name in mail:
        assert not load(**{**mail, name: ""}).alerts.can_email
    by_slack = load(ALERT_MODE="send", **slack, SMTP_HOST="h").alerts
    assert (by_slack.can_email, by_slack.can_slack) == (False, True)


@pytest.mark.parametrize(
    ("key", "meant"),
    [("DB_SEVER", "DB_SERVER"), ("db_server", "DB_SERVER"), ("CHUNK_ROW", "CHUNK_ROWS")],
)
def test_a_misspelt_setting_in_a_file_is_a_problem(tmp_path: Path, key: str, meant: str) -> None:
    write(tmp_path, ".env", f"# first\n\nLOG_LEVEL=INFO\n\n{key}=1\n")
    assert problems(tmp_path) == [f"{key} in .env line 5 is no setting; did you mean {meant}?"]


def test_foreign_keys_are_nobodys_business(tmp_path: Path) -> None:
    write(tmp_path, ".env", "PATH=/bin\nPYTHONUNBUFFERED=1\nCOMPOSE_PROJECT_NAME=x\n")
    assert load(tmp_path, DB_SEVER="x", EDITOR="vi")


@pytest.mark.parametrize(
    "line", ["DB_SERVER", "DB_PASSWORD='hunter2", 'DB_PASSWORD="hunter2" x', "=1"]
)
def test_a_line_that_cannot_be_read_is_named_but_not_shown(tmp_path: Path, line: str) -> None:
    write(tmp_path, ".env", f"LOG_LEVEL=INFO\n\n{line}\nCHUNK_ROWS=5\n")
    (problem,) = problems(tmp_path)
    assert problem.startswith(".env line 3 cannot be read: wanted NAME=value")
    assert "hunter2" not in problem


def test_a_quote_closed_on_a_later_line_is_a_problem(tmp_path: Path) -> None:
    write(tmp_path, ".env", 'DB_USERNAME=u\nDB_PASSWORD="hunter2\nSMTP_HOST="\n')
    assert problems(tmp_path) == ["DB_PASSWORD = *** (.env line 2): wanted text on one line"]


def test_a_file_in_another_encoding_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("DB_SERVER=sürver\n".encode("latin-1"))
    assert problems(tmp_path) == [".env cannot be read: it is not UTF-8 text"]


def test_one_section_alone_names_its_problems_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "LOUD")
    with pytest.raises(ConfigurationError, match=r"LOG_LEVEL = 'LOUD' \(environment\): wanted DEB"):
        LoggingConfig()


# ---- secrets ----

secrets = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=20
).map(lambda text: f"s3cr3t{text}")


def secret_settings(secret: str) -> dict[str, str]:
    return {
        "DB_CONNECTION_STRING": f"Server=s;PWD={secret}",
        "SALES_DB_CONNECTION_STRING": f"postgresql://u:{secret}@h/db",
        "DB_USERNAME": "u",
        "DB_PASSWORD": secret,
        "SMTP_USERNAME": "u",
        "SMTP_PASSWORD": secret,
        "SLACK_WEBHOOK_URL": f"https://hooks.slack.com/{secret}",
    }


@given(secrets)
def test_a_secret_is_in_no_text_of_a_configuration(secret: str) -> None:
    loaded = load(**secret_settings(secret))
    sections = [getattr(loaded, name) for name in SECTIONS]
    shown = [repr(loaded), str(loaded), str(masked_settings(loaded))]
    shown += [str(section.model_dump()) + section.model_dump_json() for section in sections]
    settings = declared()
    environ = secret_settings(secret)
    shown.append(repr(read_layers(settings, base_dir=ROOT, environ=environ)))
    assert "s3cr3t" not in "".join(shown)


@given(secrets)
def test_a_secret_is_in_no_error(secret: str) -> None:
    unusable = dict.fromkeys(SECRETS, f"{secret}\nx")
    for environ in (unusable, secret_settings(secret) | {"CHUNK_ROWS": "x", "DB_ENCRYPT": "x"}):
        with pytest.raises(ConfigurationError) as caught:
            load(DB_SERVER="s", **environ)
        error = caught.value
        chained = repr(error.__cause__) + repr(error.__context__)
        shown = repr(error) + str(error) + "".join(traceback.format_exception(error)) + chained
        assert "s3cr3t" not in shown
        assert ("DB_PASSWORD = ***" in shown) == (environ is unusable)


def test_the_error_of_a_section_does_not_carry_the_values_along() -> None:
    with pytest.raises(ConfigurationError) as caught:
        ProcessingConfig(chunk_rows=0)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_masked_settings_shows_every_setting_and_which_secrets_are_set() -> None:
    login = {"DB_USERNAME": "u", "DB_PASSWORD": "p"}
    masked = masked_settings(load(**login, ALERT_EMAIL_TO="a@x.org,b@x.org"))
    assert sorted(masked) == sorted(NAMES)
    assert {name for name in SECRETS if masked[name] == "***"} == {"DB_PASSWORD"}
    assert {name for name in SECRETS if not masked[name]} == SECRETS - {"DB_PASSWORD"}
    assert masked["COMMISSION_RATE"] == "0.03"
    assert masked["SMTP_STARTTLS"] == "yes"
    assert masked["ALERT_EMAIL_TO"] == "a@x.org, b@x.org"


# ---- documentation ----


def test_the_example_file_is_what_the_declarations_say() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert text == env_example_text()


def test_the_example_file_with_everything_uncommented_changes_nothing(tmp_path: Path) -> None:
    lines = env_example_text().splitlines()
    text = "\n".join(line.removeprefix("#") for line in lines if not line.startswith("# "))
    assert text.count("=") == len(NAMES)
    assert load(write(tmp_path, ".env", text)) == load(tmp_path)


def test_the_example_file_holds_one_line_of_help_and_one_commented_line_per_setting() -> None:
    blocks = env_example_text().split("\n\n")
    for setting in declared().values():
        (block,) = [block for block in blocks if f"\n#{setting.name}=" in block]
        assert block.startswith(f"# {setting.help}\n")


def test_the_markdown_table_has_a_row_per_setting() -> None:
    head, rule, *rows = setting_docs.settings_markdown().splitlines()
    assert head == "| Setting | Default | What it does |"
    assert rule == "|---|---|---|"
    assert [row.split("`")[1] for row in rows] == list(declared())
    assert all(row.count("|") == 4 for row in rows)
    assert "| `CHUNK_ROWS` | `50000` |" in "\n".join(rows)


# ---- what is shown of a connection string ----

PIECES = ("qz", "wert", "12")
AWKWARD_URLS = [
    "postgresql://etl:qz#wert@db1/dwh",
    "postgresql://etl:qz?wert@db1/dwh",
    "postgresql://etl:12?wert@db1/dwh",
    "postgresql://etl:qz%wert@db1/dwh",
    "postgresql://etl:qz/wert@db1/dwh",
    "postgresql://etl:12/wert@db1/dwh",
    "postgresql://etl:qz@wert@db1/dwh",
    "postgresql://etl:12#wert/qz@db1/dwh",
    "postgresql://etl@db1/dwh?password=qzwert",
]


@pytest.mark.parametrize("url", AWKWARD_URLS)
def test_no_piece_of_a_password_is_taken_for_the_server(url: str) -> None:
    loaded = load(DB_CONNECTION_STRING=url, SALES_DB_CONNECTION_STRING=url).database
    shown = loaded.display_name, loaded.sales_display_name
    assert not [piece for piece in PIECES if piece in shown[0]]
    assert shown[1] in (
        "database 'dwh' on server 'db1'", "the database of SALES_DB_CONNECTION_STRING"
    )  # fmt: skip


@pytest.mark.parametrize("url", AWKWARD_URLS)
def test_the_whole_password_is_masked_wherever_it_ends(url: str) -> None:
    secret = "qzwert" if "?password=" in url else url.partition("etl:")[2].rpartition("@")[0]
    assert secret in secrets_of(load(DB_CONNECTION_STRING=url))


def test_a_url_that_can_be_read_in_one_way_is_shown_without_its_login() -> None:
    url = "postgresql://etl:p%40w@[::1]:5432,db2:5433/dwh?sslmode=require"
    expected = "database 'dwh' on server '[::1]:5432,db2:5433'"
    assert load(DB_CONNECTION_STRING=url).database.display_name == expected


@pytest.mark.parametrize(
    "text", ["a" + " " * 1_000_000, "a=" * 300_000, "a = {" + "}" * 1_000_001, "=" * 1_000_000]
)
def test_a_long_connection_string_is_read_in_one_go(text: str) -> None:
    """Quadratic reading would take hours."""
    with suppress(ConfigurationError):
        parse(text)


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        ("https://hooks.slack.com/services/T0/B0/x", True),
        ("http://127.0.0.1:8080/hook", True),
        ("http://localhost/hook", True),
        ("http://hooks.slack.com/services/T0/B0/x", False),
        ("http://localhost.example.org/hook", False),
        ("http://127.0.0.1@evil.example/hook", False),
    ],
)
def test_a_webhook_is_called_over_https_but_on_this_machine(url: str, taken: bool) -> None:
    if taken:
        assert load(SLACK_WEBHOOK_URL=url).alerts.slack_webhook_url == SecretStr(url)
    else:
        (problem,) = problems(SLACK_WEBHOOK_URL=url)
        assert problem.endswith("wanted an address that begins with https://")

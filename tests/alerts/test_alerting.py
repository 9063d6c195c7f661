"""What alerts say, where they are written, and how they are sent."""

import errno
import logging
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alert_servers import MailServer, Webhook, serving

from etl.alerts import delivery as alert_delivery
from etl.alerts.actions import recommended_actions
from etl.alerts.alert import Alert, alert_of
from etl.alerts.cleaning import cleaned, harmless
from etl.alerts.delivery import Delivery, DeliveryError
from etl.alerts.faults import fault_key
from etl.alerts.notifier import (
    CriticalAlertHandler,
    Notifier,
    email_alert,
    process_quality_alerts,
    simulate_email_alert,
    simulate_slack_notification,
    slack_alert,
)
from etl.errors import (
    CircuitOpenError,
    ConfigurationError,
    ExtractionError,
    HeldBackError,
    LoadingError,
    ValidationError,
    WarehouseInUseError,
)
from etl.monitoring.logs import close_logging, log_context, setup_logging
from etl.resilience.retry import retry_with_backoff
from etl.settings.config import load_config
from etl.settings.sections.alerts import AlertConfig
from etl.settings.sections.logging import LoggingConfig

if sys.platform != "win32":
    import resource

Make = Callable[..., AlertConfig]

DETAILS: dict[str, Any] = {
    "severity": "CRITICAL",
    "subject": "Customer Data Processing",
    "stage": "Data Loading",
    "error_type": "pyodbc.OperationalError",
    "error_message": "[08001] TCP Provider: No connection could be made",
    "records_affected": "1,247 customer records",
    "processing_time": 145.2,
    "stack_trace": "Traceback (most recent call last):\n  File x, line 1",
    "last_successful_run": "2024-01-20 08:00:00 UTC",
    "run_id": "20240120T143045.000000Z",
    "log_file": "logs/etl_pipeline.log",
}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Settings of alerts with their folder in a temporary one."""

    def config(**settings: str) -> AlertConfig:
        environ = {"LOG_DIR": str(tmp_path), **settings}
        return load_config(base_dir=tmp_path, environ=environ).alerts

    return config


@pytest.fixture
def emails(tmp_path: Path) -> Callable[[], str]:
    return lambda: (tmp_path / "alerts" / "email_alerts.log").read_text("utf-8")


@pytest.fixture
def slacks(tmp_path: Path) -> Callable[[], str]:
    return lambda: (tmp_path / "alerts" / "slack_notifications.log").read_text("utf-8")


# --- simulated e-mail ----------------------------------------------------------------------


def test_a_critical_email_says_all_that_is_known(make: Make, emails: Callable[[], str]) -> None:
    config = make(ALERT_EMAIL_TO="team@x.org,call@x.org", ALERT_EMAIL_FROM="etl@x.org")
    assert simulate_email_alert(DETAILS, config)
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\nSev", "NOW\nSev", emails())
    text = re.sub(r"Host: .*\n.*\n.*\n", "Host: HOST\n- Process ID: 1\n- Memory: 1 MB\n", text)
    assert text == (
        "==================== EMAIL ALERT SIMULATION ====================\n"
        "To: team@x.org, call@x.org\n"
        "From: etl@x.org\n"
        "Subject: CRITICAL: ETL Pipeline Failed - Customer Data Processing\n"
        "Timestamp: NOW\n"
        "Severity: CRITICAL\n"
        "\n"
        "ERROR SUMMARY:\n"
        "- Pipeline Stage: Data Loading\n"
        "- Error Type: pyodbc.OperationalError\n"
        "- Records Affected: 1,247 customer records\n"
        "- Processing Time Before Failure: 145.2 seconds\n"
        "\n"
        "ERROR DETAILS:\n"
        "[08001] TCP Provider: No connection could be made\n"
        "\n"
        "SYSTEM CONTEXT:\n"
        "- Host: HOST\n"
        "- Process ID: 1\n"
        "- Memory: 1 MB\n"
        "- Last Successful Run: 2024-01-20 08:00:00 UTC\n"
        "- Run: 20240120T143045.000000Z\n"
        "- Log File: logs/etl_pipeline.log\n"
        "\n"
        "RECOMMENDED ACTIONS:\n"
        "1. Check that the database server runs and answers: "
        "python etl_pipeline.py --health-check\n"
        "2. Check name, port and firewall between this host and the server\n"
        "3. Check that the login is neither locked nor expired\n"
        "4. Run the pipeline again; it loads what is missing: python etl_pipeline.py\n"
        "\n"
        "Stack Trace:\n"
        "Traceback (most recent call last):\n"
        "  File x, line 1\n"
        "================================================================\n"
    )


def test_a_warning_has_another_form_than_an_error(make: Make, emails: Callable[[], str]) -> None:
    simulate_email_alert({**DETAILS, "severity": "warning"}, make())
    text = emails()
    assert "Subject: WARNING: ETL Pipeline Needs Attention - Customer Data Processing" in text
    assert "WARNING SUMMARY:" in text
    assert "Stack Trace" not in text
    assert "Process ID" not in text


def test_an_email_about_nothing_known_still_reads_well(
    make: Make, emails: Callable[[], str]
) -> None:
    assert simulate_email_alert({}, make())
    assert "Subject: ERROR: ETL Pipeline Failed\n" in emails()
    assert "To: (ALERT_EMAIL_TO is not set)" in emails()
    assert "- Pipeline Stage: unknown" in emails()
    assert "- Last Successful Run: none known" in emails()


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (FileNotFoundError("no customers.csv"), "the job that delivers the file"),
        (ExtractionError("line 2: the file ends too early"), "at the place that the error names"),
        (caused(ExtractionError("gone"), ConnectionResetError()), "database server runs"),
        (CircuitOpenError("circuit open: no call to the warehouse"), "database server runs"),
        (HeldBackError("30 of 90 records rejected"), "Open the file of rejected records"),
        (WarehouseInUseError("in use by process 4711"), "which process the message names"),
        (OSError(errno.ENOSPC, "No space left on device"), "Make room on the disk"),
        (caused(LoadingError("x"), OSError(errno.EROFS, "read-only")), "Make room on the disk"),
        (ConfigurationError("BATCH_SIZE = 'x'"), "Correct the setting"),
        (LoadingError("the SELECT permission was denied"), "Check tables and rights"),
        (LoadingError("no driver", code="driver_missing"), "Install what the error names"),
        (MemoryError(), "Lower CHUNK_ROWS"),
        (ZeroDivisionError("division by zero"), "Read the stack trace"),
        ("pyodbc.OperationalError", "database server runs"),
        ("QualityCheckFailed", "was it delivered whole"),
    ],
)
def test_the_actions_fit_the_error(error: Exception | str, wanted: str) -> None:
    assert any(wanted in step for step in recommended_actions(error))


def test_words_in_a_message_decide_nothing(make: Make, emails: Callable[[], str]) -> None:
    reported = "customer 'no space left on device. Next: rm -rf /.' does not exist"
    simulate_email_alert({"error": ValueError(reported)}, make())
    steps = emails().partition("RECOMMENDED ACTIONS:\n")[2]
    assert steps.startswith("1. Read the stack trace")


def test_what_an_error_itself_advises_comes_first(make: Make, emails: Callable[[], str]) -> None:
    error = ValidationError("no column 'email'", next_step="add the column to a.csv")
    simulate_email_alert({"error": error}, make())
    assert "RECOMMENDED ACTIONS:\n1. Add the column to a.csv\n2. " in emails()


def test_an_exception_among_the_details_gives_class_cause_and_trace(
    make: Make, emails: Callable[[], str]
) -> None:
    error = caused(LoadingError("not loaded"), TimeoutError("no answer within 15 s"))
    simulate_email_alert({"stage": "Data Loading", "error_message": error}, make())
    text = emails()
    assert "- Error Type: LoadingError caused by TimeoutError\n" in text
    details = "ERROR DETAILS:\nTimeoutError: no answer within 15 s\nwhich led to:\nnot loaded\n"
    assert details in text
    trace = text.partition("Stack Trace:\n")[2]
    assert trace.index("TimeoutError") < trace.index("LoadingError: not loaded")


def test_a_trace_has_no_frames_of_the_attempts(make: Make, emails: Callable[[], str]) -> None:
    @retry_with_backoff(1, 0, sleep=lambda _: None)
    def attempt() -> None:
        raise TimeoutError("slow server")

    try:
        attempt()
    except TimeoutError as error:
        simulate_email_alert({"error": error}, make())
    trace = emails().partition("Stack Trace:")[2]
    assert "in attempt" in trace
    assert "tenacity" not in trace
    assert "resilience" not in trace


def test_figures_are_read_as_numbers_or_text_and_shown_with_their_units(
    make: Make, emails: Callable[[], str]
) -> None:
    for records, seconds in ((1247, 145.2), ("1247", "145.2"), ("1,247", "145.2 seconds")):
        simulate_email_alert({"records_affected": records, "processing_time": seconds}, make())
    assert emails().count("- Records Affected: 1,247 records\n") == 3
    assert emails().count("- Processing Time Before Failure: 145.2 seconds\n") == 3


# --- simulated Slack -----------------------------------------------------------------------


def test_a_slack_message_says_what_is_known_in_markdown(
    make: Make, slacks: Callable[[], str]
) -> None:
    details = {
        **DETAILS, "records_processed": "1,247 / 2,500", "Success rate": "49.9%",
    }  # fmt: skip
    config = make()
    assert simulate_slack_notification("Database <timeout>", "error", config, details=details)
    text = re.sub(r"Timestamp: .*", "Timestamp: NOW", slacks())
    head, _, rest = text.partition("*Actions Required:*\n")
    assert head == (
        "==================== SLACK NOTIFICATION SIMULATION ====================\n"
        "Channel: #data-alerts\n"
        "Bot Name: ETL Monitor\n"
        "Timestamp: NOW\n"
        "Alert Level: ERROR\n"
        "\n"
        ":warning: *ETL Pipeline Alert - Customer Data Processing*\n"
        "\n"
        "*Status:* FAILED\n"
        "*Stage:* Data Loading\n"
        "*Duration:* 2 minutes 25 seconds\n"
        "*Records Processed:* 1,247 / 2,500\n"
        "\n"
        "*Error Summary:*\n"
        "Database &lt;timeout&gt;\n"
        "\n"
        "*Quick Stats:*\n"
        "• Success rate: 49.9%\n"
        "\n"
    )
    assert rest.startswith("- [ ] Check that the database server runs")
    assert "\n\n<@data-team> <@on-call-engineer>\n\n" in rest
    assert "View logs: `logs/etl_pipeline.log` (run 20240120T143045.000000Z)\n" in rest


@pytest.mark.parametrize(
    ("level", "channel", "mentions"),
    [
        ("critical", "#ops", "<@U1> <!subteam^S2>"),
        ("error", "#ops", "<@U1> <!subteam^S2>"),
        ("warning", "#ops", "<@U1>"),
        ("info", "#runs", ""),
        ("success", "#runs", ""),
    ],
)
def test_channel_and_mentions_depend_on_the_level(
    make: Make, slacks: Callable[[], str], level: str, channel: str, mentions: str
) -> None:
    config = make(
        SLACK_CHANNEL="#ops", SLACK_INFO_CHANNEL="#runs", SLACK_MENTIONS="<@U1> <!subteam^S2>"
    )
    simulate_slack_notification("reported", level, config)
    assert f"Channel: {channel}\n" in slacks()
    assert f"Alert Level: {level.upper()}\n" in slacks()
    assert "".join(re.findall(r"^<.*>$", slacks(), re.MULTILINE)) == mentions


@pytest.mark.parametrize("smuggled", ["<!channel>", "<@U123>", "<https://evil.example|click>"])
def test_no_data_can_mention_anybody_or_link_anywhere(
    make: Make, slacks: Callable[[], str], smuggled: str
) -> None:
    details = dict.fromkeys(
        ("subject", "stage", "status", "log_file", "run_id", smuggled), smuggled
    )
    config = make(SLACK_MENTIONS="<@team>")
    simulate_slack_notification(
        smuggled, "error", config, details={**details, "recommended_actions": [smuggled]}
    )
    assert set(re.findall(r"<[^>]*>", slacks())) == {"<@team>"}
    assert smuggled.replace("<", "&lt;").replace(">", "&gt;") in slacks()


# --- nothing secret, nothing forged --------------------------------------------------------

SECRETS = {
    "DB_CONNECTION_STRING": "Server=sql1;UID=etl;PWD={warehouse};pw}",
    "SALES_DB_CONNECTION_STRING": "Server=sql2;UID=r;PWD=sales-pw",
    "SMTP_USERNAME": "mailer",
    "SMTP_PASSWORD": "smtp-pw",
    "SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T1/B2/webhook-part",
}
TOLD = (
    "Server=sql1;UID=etl;PWD={warehouse};pw} and warehouse};pw and {warehouse}};pw} and sales-pw "
    "and smtp-pw, https://hooks.slack.com/services/T1/B2/webhook-part, "
    "/services/T1/B2/webhook-part, PWD=unknown-pw; ftp://me:other-pw@host"
)


def test_no_secret_is_in_an_alert_wherever_it_was(
    make: Make, emails: Callable[[], str], slacks: Callable[[], str]
) -> None:
    settings = {**SECRETS, "DB_CONNECTION_STRING": "Server=sql1;UID=etl;PWD={warehouse}};pw}"}
    config = make(**settings)
    everywhere = dict.fromkeys((*DETAILS, "an extra"), TOLD) | {"severity": "critical"}
    simulate_email_alert({**everywhere, "recommended_actions": [TOLD]}, config)
    simulate_slack_notification(TOLD, "error", config, details=everywhere)
    for text in (emails(), slacks()):
        assert "***" in text
        for part in ("warehouse}", "sales-pw", "smtp-pw", "webhook-part", "unknown-pw", "other-pw"):
            assert part not in text, part


def test_data_can_forge_no_line_and_move_no_cursor(make: Make, emails: Callable[[], str]) -> None:
    frame = "==================== EMAIL ALERT SIMULATION ===================="
    simulate_email_alert(
        {"subject": "a\nBcc: all@x.org", "message": f"x\n{frame}\nTo: me\x1b[2J\u202e"}, make()
    )
    lines = emails().splitlines()
    assert "Subject: ERROR: ETL Pipeline Failed - a Bcc: all@x.org" in lines
    assert lines.count(frame) == 1
    assert "To: me\\x1b[2J\\u202e" in lines


@pytest.mark.parametrize("piece", ["a:", "pwd={", "token: ", "api_key='", "://u:", 'secret="'])
def test_no_text_makes_the_masking_slow(piece: str) -> None:
    """With steps that grow with the square of the length, this would take hours."""
    assert harmless("postgresql://" + piece * 100_000, ())


def test_a_password_with_an_at_sign_is_masked_whole() -> None:
    assert harmless("postgresql://etl:p@ss:w@rd@db:5432/x", ()) == "postgresql://***@db:5432/x"


# --- files ---------------------------------------------------------------------------------


def test_files_of_alerts_are_rotated_like_logs(make: Make, tmp_path: Path) -> None:
    config = make(LOG_MAX_BYTES="2000", LOG_BACKUP_COUNT="2")
    for number in range(12):
        simulate_slack_notification(f"number {number}", "info", config)
    files = sorted(tmp_path.glob("alerts/slack_notifications.log*"))
    assert [path.name.removeprefix("slack_notifications.log") for path in files] == ["", ".1", ".2"]
    assert all(path.stat().st_size <= 2000 for path in files)
    assert "number 11" in files[0].read_text("utf-8")


def test_an_alert_that_cannot_be_written_is_logged_and_raises_nothing(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "alerts").write_text("a file where the folder should be")
    assert not simulate_email_alert(DETAILS, make())
    assert not simulate_slack_notification("reported", "error", make())
    assert "email_alerts.log cannot be written" in caplog.text
    assert "slack_notifications.log cannot be written" in caplog.text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_on_a_full_disk_an_alert_is_logged_and_raises_nothing(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "alerts").mkdir()
    (tmp_path / "alerts" / "email_alerts.log").symlink_to("/dev/full")
    assert not simulate_email_alert(DETAILS, make())
    assert "No space left on device" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limits of POSIX")
def test_where_an_alert_does_not_fit_no_half_of_it_stays(
    make: Make, emails: Callable[[], str]
) -> None:
    simulate_email_alert({}, make())
    whole = emails()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 100, limits[1]))
    try:
        assert not simulate_email_alert(DETAILS, make())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert emails() == whole


def test_details_of_any_kind_raise_nothing(make: Make) -> None:
    strange: dict[str, Any] = {name: object() for name in DETAILS} | {"stats": 7, "actions": 8}
    assert simulate_email_alert(strange, make())
    assert simulate_slack_notification("reported\ud800", "unheard of", make(), details=strange)


# --- sent for real: e-mail -----------------------------------------------------------------


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with serving(MailServer()) as server:
        yield server


@pytest.fixture
def by_mail(make: Make, mail: MailServer) -> AlertConfig:
    return make(**mail_settings(mail))


def mail_settings(mail: MailServer, **settings: str) -> dict[str, str]:
    return {
        "ALERT_MODE": "send", "SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(mail.port),
        "SMTP_STARTTLS": "no", "ALERT_EMAIL_FROM": "etl@x.org",
        "ALERT_EMAIL_TO": "team@x.org, call@y.org", **settings,
    }  # fmt: skip


def test_an_email_is_sent_with_the_same_content(
    by_mail: AlertConfig, mail: MailServer, tmp_path: Path
) -> None:
    assert simulate_email_alert({**DETAILS, "subject": "Kundendaten für Öl 漢"}, by_mail)
    (message,) = mail.messages
    assert message["Subject"] == "CRITICAL: ETL Pipeline Failed - Kundendaten für Öl 漢"
    assert message["From"] == "etl@x.org"
    assert message["To"] == "team@x.org, call@y.org"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Importance"] == "high"
    assert message["Date"]
    assert message["Message-ID"].endswith("@x.org>")
    body = message.get_content()
    assert "- Pipeline Stage: Data Loading" in body
    assert "RECOMMENDED ACTIONS:" in body
    assert "Stack Trace:" in body
    assert mail.commands.count("RCPT") == 2
    assert not (tmp_path / "alerts" / "email_alerts.log").exists()
    mail.raw[0].decode("ascii")  # what is not ASCII is encoded


def test_no_header_can_be_injected(by_mail: AlertConfig, mail: MailServer) -> None:
    subject = "x\r\nBcc: victim@x.org\r\n\r\nbody\u2028X-Other: 1"
    assert simulate_email_alert({"subject": subject}, by_mail)
    (message,) = mail.messages
    assert message["Bcc"] is None
    assert message["X-Other"] is None
    assert "Bcc: victim@x.org" in message["Subject"]


def test_a_long_subject_stays_one_header(by_mail: AlertConfig, mail: MailServer) -> None:
    simulate_email_alert({"subject": "ä" * 5000}, by_mail)
    assert len(mail.messages[0]["Subject"]) == 200


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate for 127.0.0.1 that vouches for itself."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl to make a certificate")
    path = tmp_path / "certificate.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
        "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", str(path) + ".crt",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.fixture
def encrypted_mail(certificate: Path) -> Iterator[MailServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(MailServer(context)) as server:
        yield server


LOGIN = {"SMTP_STARTTLS": "yes", "SMTP_USERNAME": "mailer", "SMTP_PASSWORD": "p word"}


def test_the_connection_is_encrypted_before_the_login(
    make: Make, encrypted_mail: MailServer, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    settings = mail_settings(encrypted_mail, **LOGIN)
    assert simulate_email_alert(DETAILS, make(**settings))
    assert encrypted_mail.logins == ["\0mailer\0p word"]
    commands = encrypted_mail.commands
    assert commands.index("STARTTLS") < commands.index("AUTH") < commands.index("DATA")


def test_a_server_that_nobody_vouches_for_gets_neither_login_nor_message(
    make: Make, encrypted_mail: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    settings = mail_settings(encrypted_mail, **LOGIN)
    assert not simulate_email_alert(DETAILS, make(**settings))
    assert not encrypted_mail.logins
    assert not encrypted_mail.messages
    assert "certificate verify failed" in caplog.text


def test_a_server_without_encryption_gets_nothing_when_it_is_wanted(
    make: Make, mail: MailServer
) -> None:
    assert not simulate_email_alert(DETAILS, make(**mail_settings(mail, SMTP_STARTTLS="yes")))
    assert "MAIL" not in mail.commands


@pytest.mark.parametrize(
    "refusal",
    [("AUTH", "535 no such login smtp-pw"), ("MAIL", "550 not you"), ("DATA", "554 spam")],
)
def test_a_refusal_is_logged_the_content_kept_and_nothing_raised(
    make: Make,
    mail: MailServer,
    emails: Callable[[], str],
    caplog: pytest.LogCaptureFixture,
    refusal: tuple[str, str],
) -> None:
    login = {"SMTP_USERNAME": "mailer", "SMTP_PASSWORD": "smtp-pw"}
    config = make(**mail_settings(mail, **login, ALERT_EMAIL_TO="team@x.org"))
    mail.answers.update([refusal])
    assert not simulate_email_alert(DETAILS, config)
    assert "was not delivered" in caplog.text
    assert refusal[1].removesuffix(" smtp-pw") in caplog.text
    assert "smtp-pw" not in caplog.text
    assert emails().startswith("==================== EMAIL ALERT NOT DELIVERED ====")


def test_when_one_of_several_receivers_is_refused_the_others_have_it(
    by_mail: AlertConfig, mail: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    mail.answers["RCPT"] = "550 unknown"
    assert simulate_email_alert(DETAILS, by_mail)
    assert len(mail.messages) == 1
    assert "no alerts for team@x.org" in caplog.text


def test_a_server_that_is_busy_for_a_moment_is_asked_once_more(
    by_mail: AlertConfig, mail: MailServer
) -> None:
    mail.answers["MAIL"] = "451 try again later"
    waits: list[float] = []
    assert email_alert(alert_of(DETAILS), by_mail, Delivery(sleep=waits.append))
    assert len(mail.messages) == 1
    assert len(waits) == 1


def test_an_error_after_the_message_was_taken_does_not_undo_it(
    by_mail: AlertConfig, mail: MailServer
) -> None:
    mail.answers["QUIT"] = "hang up"
    assert simulate_email_alert(DETAILS, by_mail)
    assert len(mail.messages) == 1


def test_a_server_that_says_nothing_is_not_waited_for(
    by_mail: AlertConfig, mail: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        config = by_mail.model_copy(update={"smtp_port": silent.getsockname()[1]})
        started = time.monotonic()
        assert not email_alert(alert_of(DETAILS), config, Delivery(delivery_s=0.2))
        assert time.monotonic() - started < 5
    assert "no answer within" in caplog.text or "timed out" in caplog.text


def test_all_deliveries_of_a_run_share_a_time(by_mail: AlertConfig) -> None:
    delivery = Delivery(run_s=0.0)
    with pytest.raises(DeliveryError, match="used up"):
        delivery.send_email(cleaned(alert_of(DETAILS), ()), by_mail)


def test_a_server_that_fails_again_and_again_is_left_alone(
    by_mail: AlertConfig, mail: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    mail.greeting = "554 not today"
    delivery = Delivery(failure_threshold=2)
    for _ in range(4):
        assert not email_alert(alert_of(DETAILS), by_mail, delivery)
    assert caplog.text.count("no call to the mail server") == 2


def test_the_port_for_encryption_throughout_needs_no_starttls(
    make: Make, mail: MailServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alert_delivery, "_SMTPS_PORT", mail.port)
    assert not simulate_email_alert(DETAILS, make(**mail_settings(mail)))
    assert "SSL" in caplog.text  # this server speaks plainly
    assert "EHLO" not in mail.commands


# --- sent for real: Slack ------------------------------------------------------------------


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    monkeypatch.setenv("no_proxy", "*")
    with serving(Webhook()) as server:
        yield server


@pytest.fixture
def by_slack(make: Make, hook: Webhook) -> AlertConfig:
    return make(ALERT_MODE="send", SLACK_WEBHOOK_URL=hook.url)


def test_a_message_is_posted_with_the_same_content(
    by_slack: AlertConfig, hook: Webhook, tmp_path: Path
) -> None:
    details = {"subject": "漢 & Söhne", "stage": "<!here>"}
    assert simulate_slack_notification("refused", "warning", by_slack, details=details)
    (post,) = hook.posts
    assert post["channel"] == "#data-alerts"
    assert post["username"] == "ETL Monitor"
    assert post["parse"] == "none"
    assert post["link_names"] is False
    assert ":large_orange_diamond: *ETL Pipeline Alert - 漢 &amp; Söhne*" in post["text"]
    assert "*Stage:* &lt;!here&gt;" in post["text"]
    assert "*Error Summary:*\nrefused" in post["text"]
    assert not (tmp_path / "alerts" / "slack_notifications.log").exists()


@pytest.mark.parametrize(
    "answer", [(404, "no_service"), (302, "elsewhere"), (403, "invalid_token")]
)
def test_a_webhook_that_refuses_is_reported_with_its_words_and_without_its_address(
    by_slack: AlertConfig, hook: Webhook, caplog: pytest.LogCaptureFixture, answer: tuple[int, str]
) -> None:
    hook.answers = [answer]
    assert not simulate_slack_notification("refused", "error", by_slack)
    assert f"{answer[0]}" in caplog.text
    assert answer[1] in caplog.text
    assert "verysecretpart" not in caplog.text
    assert len(hook.posts) == 1


def test_a_webhook_that_is_busy_is_asked_once_more(by_slack: AlertConfig, hook: Webhook) -> None:
    hook.answers = [(503, "busy")]
    assert slack_alert(Alert(message="x"), by_slack, Delivery(sleep=lambda _: None))
    assert len(hook.posts) == 2


def test_without_a_mail_server_an_email_is_only_written_and_not_taken_for_sent(
    by_slack: AlertConfig, emails: Callable[[], str]
) -> None:
    assert not simulate_email_alert(DETAILS, by_slack)
    assert "EMAIL ALERT SIMULATION" in emails()


# --- reported once -----------------------------------------------------------------------------


def test_one_channel_that_works_is_enough(by_slack: AlertConfig, hook: Webhook) -> None:
    alert = alert_of(DETAILS)
    assert Notifier.of(by_slack).notify("key", email=alert, slack=alert)
    assert not Notifier.of(by_slack).notify("key", email=alert, slack=alert)
    assert len(hook.posts) == 1


def test_an_alert_that_was_not_delivered_is_tried_again_and_knows_of_those_held_back(
    by_slack: AlertConfig, hook: Webhook, tmp_path: Path
) -> None:
    hook.answers = [(404, "no_service")] * 3
    alert = Alert(message="x")
    for _ in range(3):
        assert not Notifier.of(by_slack).notify("key", slack=alert)
    assert Notifier.of(by_slack).notify("key", slack=alert)
    decisions = (tmp_path / "alerts" / "throttling_decisions.log").read_text("utf-8")
    assert [line.split(" | ")[1] for line in decisions.splitlines()] == [*["FAILED"] * 3, "SENT"]


def test_what_was_held_back_is_reported_in_the_next_alert(
    make: Make, emails: Callable[[], str], slacks: Callable[[], str]
) -> None:
    now = [1_700_000_000.0]
    alert = alert_of(DETAILS)

    def notify() -> None:
        notifier = Notifier.of(make())
        notifier.throttler._clock = lambda: now[0]
        notifier.notify("key", email=alert, slack=alert)

    for _ in range(12):
        notify()
    now[0] += 31 * 60
    notify()
    assert emails().count("Subject:") == 2
    reported = "11 alerts of this kind were held back since the last one that was sent"
    assert emails().count(f"Held Back: {reported}") == 1
    assert slacks().count(f"_{reported}_") == 1


def test_a_critical_log_record_becomes_an_email(make: Make, emails: Callable[[], str]) -> None:
    config = make()
    logger = logging.getLogger("etl_pipeline")
    to = LoggingConfig(log_dir=config.alerts_dir.parent)
    setup_logging(to, critical_handler=CriticalAlertHandler(config))
    try:
        with log_context(run_id="r1", stage="Data Loading"):
            logger.error("no alert")
            for _ in range(2):
                try:
                    raise TimeoutError("slow server")  # noqa: TRY301 - it is to have a trace
                except TimeoutError:
                    logger.critical("the load failed", exc_info=True)
    finally:
        close_logging()
    assert emails().count("Subject: CRITICAL: ETL Pipeline Failed") == 1
    assert "ERROR DETAILS:\nthe load failed" in emails()
    assert "- Pipeline Stage: Data Loading" in emails()
    assert "- Run: r1" in emails()
    assert "TimeoutError: slow server" in emails()


def test_different_faults_have_different_keys() -> None:
    faults = [
        LoadingError("no driver", code="driver_missing"),
        LoadingError("no package", code="package_missing"),
        LoadingError("no password"),
        caused(LoadingError("x"), OSError(errno.ENOSPC, "full")),
        caused(LoadingError("x"), OSError(errno.EROFS, "read-only")),
        caused(LoadingError("x"), TimeoutError()),
    ]
    assert len({fault_key(fault) for fault in faults}) == len(faults)
    assert fault_key(LoadingError("row 7")) == fault_key(LoadingError("row 8"))


def test_critical_records_of_different_faults_do_not_silence_each_other(
    make: Make, emails: Callable[[], str]
) -> None:
    handler = CriticalAlertHandler(make())
    for text in ("no key of vault %s", "no clock on %s", "no key of vault %s"):
        handler.handle(logging.LogRecord("etl", logging.CRITICAL, "", 0, text, ("x",), None))
    assert emails().count("Subject:") == 2


# --- quality -------------------------------------------------------------------------------

ANOMALIES: list[dict[str, Any]] = [
    {"type": "volume", "table": "sales_fact", "severity": "critical", "message": "344 -> 3 rows",
     "current": 3, "baseline": 344},
    {"type": "error_rate", "table": "customer_dim", "severity": "warning", "message": "5% -> 9%"},
]  # fmt: skip


def test_a_critical_anomaly_is_mailed_and_posted_others_are_posted(
    make: Make, emails: Callable[[], str], slacks: Callable[[], str], tmp_path: Path
) -> None:
    process_quality_alerts(ANOMALIES, make())
    assert emails().count("Subject:") == 1
    assert "Subject: CRITICAL: ETL Pipeline Data Quality Anomaly - sales_fact" in emails()
    assert "344 -> 3 rows" in emails()
    assert "- Baseline: 344" in emails()
    assert re.findall("Alert Level: (.*)", slacks()) == ["ERROR", "WARNING"]
    decisions = (tmp_path / "alerts" / "throttling_decisions.log").read_text("utf-8")
    assert "SENT | quality_volume_sales_fact |" in decisions
    assert "SENT | quality_error_rate_customer_dim |" in decisions


def test_an_anomaly_of_the_same_kind_is_reported_once_per_window_across_runs(
    make: Make, slacks: Callable[[], str], tmp_path: Path
) -> None:
    for _ in range(3):
        process_quality_alerts(ANOMALIES, make())
    assert slacks().count("Alert Level:") == 2
    decisions = (tmp_path / "alerts" / "throttling_decisions.log").read_text("utf-8")
    assert decisions.count("THROTTLED") == 4


def test_the_window_of_quality_alerts_is_that_of_the_settings(
    make: Make, slacks: Callable[[], str]
) -> None:
    for _ in range(2):
        process_quality_alerts(ANOMALIES, make(ALERT_THROTTLE_MINUTES="0"))
    assert slacks().count("Alert Level:") == 4


def test_an_anomaly_without_the_usual_keys_raises_nothing(
    make: Make, slacks: Callable[[], str]
) -> None:
    process_quality_alerts([{"message": "odd"}, {}], make())
    assert "odd" in slacks()

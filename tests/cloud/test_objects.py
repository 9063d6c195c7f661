"""Objects of S3 and Azure: read piece by piece, listed, written whole or not at all."""

import io
import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
from cloud_servers import (
    AZURITE_ACCOUNT,
    AZURITE_KEY,
    Cloud,
    azurite_string,
    cutting,
    refusing,
    target_of,
    through,
)

from etl.cloud.faults import CloudError
from etl.cloud.matching import matching
from etl.cloud.objects import AtomicObject, delete, info_of, is_there, open_object, send
from etl.cloud.paths import CloudPath
from etl.errors import ExtractionError
from etl.sources.file_signature import file_signature
from etl.sources.files import open_source, trace_file

CONTENT = bytes(n * n % 251 for n in range(1000)) * 3000


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Azure's library waits by itself when an answer was cut."""
    without = SimpleNamespace(sleep=lambda seconds: None)
    monkeypatch.setattr("azure.storage.blob._download.time", without)


@pytest.fixture
def big(cloud: Cloud, bucket: str) -> CloudPath:
    cloud.put(bucket, "in/big.bin", CONTENT)
    return cloud.path(bucket) / "in/big.bin"


def test_an_object_reads_like_a_file_from_any_place(big: CloudPath) -> None:
    """The slow model: the same calls on the bytes in memory."""
    model, places = io.BytesIO(CONTENT), (0, 5, 2_999_990, 1_048_570, 3_000_010, 77_777)
    with open_object(big)[0] as file:
        for place, size in itertools.product(places, (1, 70_000, 2**21)):
            assert file.seek(place) == model.seek(place)
            assert file.read(size) == model.read(size)
            assert file.tell() == model.tell()
        assert file.seek(-5, 2) == model.seek(-5, 2) and file.read() == model.read()


def test_connections_that_are_cut_leave_no_gap_and_no_double(cloud: Cloud, big: CloudPath) -> None:
    with cutting(target_of(cloud), {1, 2, 4}, longest=100_000) as proxy:
        path = replace(big, access=through(cloud, proxy.port).access)
        with open_object(path)[0] as file:
            pieces = iter(lambda: file.read(900_000), b"")
            assert b"".join(pieces) == CONTENT
        assert proxy.cuts == 3


def test_a_connection_that_is_always_cut_is_an_error_of_the_source(
    cloud: Cloud, big: CloudPath
) -> None:
    with cutting(target_of(cloud), set(range(99)), longest=100_000) as proxy:
        path = replace(big, access=through(cloud, proxy.port).access)
        with pytest.raises(ExtractionError, match=r"did not answer as it should.*Next: run again"):
            trace_file(path)


def test_what_was_read_is_traced_like_a_file(tmp_path: Path, big: CloudPath) -> None:
    local = tmp_path / "big.bin"
    local.write_bytes(CONTENT)
    found, wanted = trace_file(big), trace_file(local)
    assert (found.sha256, found.bytes) == (wanted.sha256, wanted.bytes)
    assert found.meter == wanted.meter
    assert found.modified_at is not None
    assert file_signature(big).size == len(CONTENT)


@pytest.mark.parametrize("content", [CONTENT[::-1], b"short"])
def test_an_object_that_is_replaced_while_it_is_read_is_an_error(
    cloud: Cloud, bucket: str, big: CloudPath, content: bytes
) -> None:
    """Also by one of the same size within the same second, of which only the tag differs."""
    with (
        pytest.raises(ExtractionError, match=r"(changed|replaced) while it was read"),
        open_source(big) as file,
    ):
        file.read(10)
        cloud.put(bucket, "in/big.bin", content)
        file.read()


def test_an_object_that_is_removed_while_it_is_read_is_an_error(big: CloudPath) -> None:
    with pytest.raises(ExtractionError, match="can no longer be found"), open_source(big) as file:
        file.read(10)
        delete(big)


def test_a_missing_object_is_a_missing_file(cloud: Cloud, bucket: str) -> None:
    path = cloud.path(bucket) / "in/none.csv"
    assert info_of(path) is None and not is_there(path)
    with (
        pytest.raises(FileNotFoundError, match=r"no file (s3|abfs)://.*none.csv. Next: put it"),
        open_source(path),
    ):
        pass


def test_a_missing_bucket_is_named(cloud: Cloud) -> None:
    path = cloud.path("nosuchbucket") / "in/a.csv"
    with pytest.raises(ExtractionError, match=r"a.csv: there is no such bucket or container"):
        trace_file(path)
    with pytest.raises(CloudError, match="there is no such bucket"), AtomicObject(path) as file:
        file.write(b"x")


NAMES = ["in/s_20240120.csv", "in/s_20240121.csv", "in/deep/s_1.csv", "in/other.txt", "in2/s_2.csv"]


def test_a_pattern_matches_what_it_would_match_in_a_folder(
    cloud: Cloud, bucket: str, tmp_path: Path
) -> None:
    for name in NAMES:
        cloud.put(bucket, name, b"x")
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    for pattern in ("in/*.csv", "in/s_2024012[0-9].csv", "*/s_?.csv", "in/**/*.csv", "x/*.csv"):
        found = {path.key for path in matching(cloud.path(bucket) / pattern)}
        wanted = {str(p.relative_to(tmp_path)) for p in tmp_path.glob(pattern) if p.is_file()}
        assert found == wanted, pattern


@pytest.mark.parametrize("size", [0, 5, 9_000_000])
def test_an_object_is_written_whole(cloud: Cloud, bucket: str, size: int, tmp_path: Path) -> None:
    cloud.put(bucket, "out/a.bin", b"former")
    content = (CONTENT * 3)[:size]
    with AtomicObject(cloud.path(bucket) / "out/a.bin") as file:
        file.write(content)
        assert cloud.get(bucket, "out/a.bin") == b"former"
    assert cloud.get(bucket, "out/a.bin") == content


def test_an_error_while_an_object_is_written_leaves_the_former_one(
    cloud: Cloud, bucket: str
) -> None:
    cloud.put(bucket, "out/a.bin", b"former")
    with (
        pytest.raises(RuntimeError, match="stop"),
        AtomicObject(cloud.path(bucket) / "out/a.bin") as file,
    ):
        file.write(b"half")
        raise RuntimeError("stop")
    assert cloud.get(bucket, "out/a.bin") == b"former"


REFUSALS = [
    (301, "PermanentRedirect", "in another region", "set AWS_REGION"),
    (400, "AuthorizationHeaderMalformed", "in another region", "set AWS_REGION"),
    (400, "ExpiredToken", "have expired", "log in again"),
    (403, "InvalidAccessKeyId", "does not know these credentials", "correct the keys"),
    (403, "SignatureDoesNotMatch", "does not know these credentials", "correct the keys"),
    (403, "AccessDenied", "may not be read or written", "s3:GetObject"),
]


@pytest.mark.parametrize(("status", "code", "words", "step"), REFUSALS)
def test_each_refusal_of_s3_is_one_line_with_the_next_step(
    s3: Cloud, status: int, code: str, words: str, step: str
) -> None:
    with refusing(status, code) as server:
        settings = {**s3.settings, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}
        path = replace(s3, settings=settings).path("shop/in/a.csv")
        with pytest.raises(ExtractionError) as caught:
            trace_file(path)
        asked = server.asked
        assert is_there(path)  # whoever opens it says why it cannot be read
    text = str(caught.value)
    assert text.startswith("s3://shop/in/a.csv: ") and words in text and step in text
    assert "\n" not in text and "not-a-real-secret" not in text
    assert asked == 2  # the object, and the words that an answer about an object lacks


def test_a_busy_service_is_asked_again(s3: Cloud) -> None:
    with refusing(503, "SlowDown") as server:
        settings = {**s3.settings, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}
        with pytest.raises(ExtractionError, match="did not answer as it should"):
            trace_file(replace(s3, settings=settings).path("shop/in/a.csv"))
        assert server.asked == 4


def test_wrong_keys_of_azure_are_one_line(azure: Cloud) -> None:
    settings = {"AZURE_STORAGE_CONNECTION_STRING": azurite_string(target_of(azure)[1], "QUJD")}
    path = replace(azure, settings=settings).path("shop") / "a.csv"
    with pytest.raises(ExtractionError, match=r"a.csv: .*Next: ") as caught:
        trace_file(path)
    assert "\n" not in str(caught.value) and "QUJD" not in str(caught.value)


def test_a_right_that_is_missing_at_azure_is_one_line(azure: Cloud) -> None:
    """A signature that allows to write, and nothing else."""
    azure.new_bucket("writeonly")
    azure.put("writeonly", "a.csv", b"x")
    blobs = import_module("azure.storage.blob")
    signature = blobs.generate_container_sas(
        AZURITE_ACCOUNT, "writeonly", account_key=AZURITE_KEY, permission="w",
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )  # fmt: skip
    text = azurite_string(target_of(azure)[1]).replace(
        f"AccountKey={AZURITE_KEY}", f"SharedAccessSignature={signature}"
    )
    settings = {"AZURE_STORAGE_CONNECTION_STRING": text}
    with pytest.raises(ExtractionError, match=r"may not be read or written.*Data Reader") as caught:
        trace_file(replace(azure, settings=settings).path("writeonly") / "a.csv")
    assert "\n" not in str(caught.value) and "sig=" not in str(caught.value)


def test_without_an_identity_at_azure_that_is_what_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    identity = import_module("azure.identity")

    def nobody(*_scopes: str, **_options: object) -> None:
        raise identity.CredentialUnavailableError("DefaultAzureCredential failed\nin many lines")

    monkeypatch.setattr(identity, "DefaultAzureCredential",
                        lambda: SimpleNamespace(get_token=nobody))  # fmt: skip
    cloud = Cloud("azure", {}, "abfs://{}@nobodys1.dfs.core.windows.net", None)
    with pytest.raises(ExtractionError, match=r"no credentials were found.*Next: give the machine"):
        trace_file(cloud.path("shop") / "a.csv")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nonsense", "AZURE_STORAGE_CONNECTION_STRING cannot be used"),
        (azurite_string(1).replace("devstoreaccount1;", "other;"), "is of the account 'other'"),
    ],
)
def test_a_connection_string_that_cannot_be_used_is_named(text: str, words: str) -> None:
    cloud = Cloud("azure", {"AZURE_STORAGE_CONNECTION_STRING": text},
                  "abfs://{}@devstoreaccount1.dfs.core.windows.net", None)  # fmt: skip
    with pytest.raises(ExtractionError, match=words):
        trace_file(cloud.path("shop") / "a.csv")


def test_an_address_without_an_account_needs_a_connection_string() -> None:
    cloud = Cloud("azure", {}, "abfs://{}", None)
    with pytest.raises(ExtractionError, match="names no storage account"):
        trace_file(cloud.path("shop") / "a.csv")


def test_a_file_is_sent_again_after_a_cut(cloud: Cloud, bucket: str, tmp_path: Path) -> None:
    local = tmp_path / "a.bin"
    local.write_bytes(CONTENT)
    with cutting(target_of(cloud), {1}, longest=20) as proxy:
        path = replace(cloud.path(bucket) / "a.bin", access=through(cloud, proxy.port).access)
        send(local, path)
        assert proxy.cuts == 1
    assert cloud.get(bucket, "a.bin") == CONTENT

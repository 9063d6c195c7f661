"""Addresses of objects: what they are made of, and which of them are refused."""

from pathlib import Path

import pytest

from etl.cloud.paths import cloud_path
from etl.settings.config import load_config
from etl.settings.source_paths import matches

REFUSED = [
    "gs://shop/in", "S3://shop/in", "s3:///in", "s3://shop/../other", "s3://key:secret@shop/in",
    "s3://a@b/in", "abfs://shop:key@account.dfs.core.windows.net/in", "file:///in",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_address_of_a_bucket_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        cloud_path(text)


@pytest.mark.parametrize("text", ["data/in", "/srv/in", "C:/data", "C:\\data", "in:out/a"])
def test_a_folder_of_this_machine_stays_one(text: str) -> None:
    assert cloud_path(text) is None


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("s3://shop", "s3://shop"),
        ("s3://shop/", "s3://shop"),
        ("s3://shop//in/./a.csv", "s3://shop/in/a.csv"),
        ("abfss://c@acc.dfs.core.windows.net/in/", "abfs://c@acc.dfs.core.windows.net/in"),
    ],
)
def test_an_address_is_shown_in_one_form(given: str, shown: str) -> None:
    assert str(cloud_path(given)) == shown


def test_an_address_never_lies_below_a_folder_and_no_folder_below_it() -> None:
    path = cloud_path("s3://shop/in/a.csv")
    assert path is not None
    assert path.is_relative_to(path.parent) and path.is_relative_to(path.bucket)
    assert not path.is_relative_to(Path("s3:/shop/in"))
    assert not path.is_relative_to(cloud_path("s3://shop/i"))


def test_a_plain_name_in_a_bucket_is_not_asked_for_while_settings_are_read() -> None:
    folder = cloud_path("s3://no-such-bucket/in")
    assert folder is not None
    days = (load_config("dev", base_dir=Path("/none"), environ={}).files.days[0],) * 2
    assert [str(path) for path in matches(folder, "customers.csv", days)] == [
        "s3://no-such-bucket/in/customers.csv"
    ]


def test_folders_that_need_a_disk_are_refused_in_a_bucket() -> None:
    for name in ("LOG_DIR", "READ_COPY", "WORK_DIR"):
        with pytest.raises(Exception, match=f"{name} = 's3://b/x'"):
            load_config("dev", base_dir=Path("/none"), environ={name: "s3://b/x"})


def test_with_results_in_a_bucket_what_needs_a_disk_stays_here() -> None:
    environ = {"OUTPUT_DIR": "s3://shop/out"}
    files = load_config("prod", base_dir=Path("/srv"), environ={**environ, "DB_SERVER": "a",
                        "DB_DATABASE": "b"}).files  # fmt: skip
    assert str(files.environment_dir) == "/srv/data/output/prod"
    assert str(files.results_dir) == "s3://shop/out/prod"
    environ["WORK_DIR"] = "/tmp/work"  # noqa: S108  # not made
    files = load_config("dev", base_dir=Path("/srv"), environ=environ).files
    assert str(files.environment_dir) == "/tmp/work/dev"  # noqa: S108

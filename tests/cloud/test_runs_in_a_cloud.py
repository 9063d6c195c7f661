"""Runs whose files come from a bucket and whose results go to one."""

import gzip
import hashlib
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from cloud_servers import Cloud, cutting, target_of, through
from model_runs import ENVIRONMENT
from pipeline_runs import Project, unchanged

from etl_pipeline import pipeline_health_check

CUSTOMERS = [
    {"customer_id": "C1", "first_name": "ann", "last_name": "lee", "email": "a@example.com"},
    {"customer_id": "C1", "first_name": "anna", "last_name": "lee", "email": "a@example.com"},
    {"customer_id": "", "first_name": "nobody"},
    {"customer_id": "C2", "first_name": "bob", "address": "x" * 501},
]
PRODUCTS = [{"product_id": "P1", "name": "desk", "price": "100", "cost": "60"}]
SALE = {
    "transaction_id": "T1", "customer_id": "C1", "product_id": "P1", "quantity": "2",
    "unit_price": "100", "transaction_date": "2024-01-05 10:00",
}  # fmt: skip
SALES = [SALE, {**SALE, "transaction_id": "T2"}, {**SALE, "transaction_id": "T3", "quantity": "0"}]
DAYS = ("--start-date", "2024-01-01", "--end-date", "2024-01-31")
# What does not depend on whose bucket it is, once is enough.
ON_S3 = pytest.mark.parametrize("cloud", ["s3"], indirect=True)
QUICK = {**ENVIRONMENT, "RETRY_BACKOFF_FACTOR": "0"}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Azure's library waits by itself when an answer was cut."""
    without = SimpleNamespace(sleep=lambda seconds: None)
    monkeypatch.setattr("azure.storage.blob._download.time", without)


@pytest.fixture
def local(tmp_path: Path) -> Project:
    project = Project(tmp_path / "local", **QUICK)
    project.write(CUSTOMERS, PRODUCTS, SALES)
    return project


@pytest.fixture
def remote(tmp_path: Path, cloud: Cloud, bucket: str, local: Project) -> Project:
    """The same, from a bucket: customers compressed, sales under a name with a day in it."""
    content = {path.name: path.read_bytes() for path in local.input.iterdir()}
    cloud.put(bucket, "in/customers.csv.gz", gzip.compress(content["customers.csv"], mtime=0))
    cloud.put(bucket, "in/products.json", content["products.json"])
    cloud.put(bucket, "in/2024/sales_20240131.csv", content["sales_transactions.csv"])
    return Project(tmp_path / "remote", **QUICK, **cloud.settings,
        INPUT_DIR=f"{cloud.address.format(bucket)}/in", CUSTOMERS_FILE="customers.csv.gz",
        SALES_FILE="{date:%Y}/sales_{date}.csv")  # fmt: skip


def test_a_run_from_a_bucket_loads_what_a_run_from_files_does(
    cloud: Cloud, bucket: str, local: Project, remote: Project
) -> None:
    wanted, found = local.run(*DAYS), remote.run(*DAYS)
    assert found["exit_code"] == wanted["exit_code"] == 0
    assert remote.tables() == local.tables()
    assert remote.rejected("customers")[0]["reason"] == local.rejected("customers")[0]["reason"]
    read = {each["target"]: each["sha256"] for each in found["lineage"]}
    there = cloud.get(bucket, "in/customers.csv.gz")
    assert read["customer_dim"] == hashlib.sha256(there).hexdigest()
    assert len(read) == 3


@ON_S3
def test_objects_that_were_loaded_before_are_recognised(
    cloud: Cloud, bucket: str, local: Project, remote: Project
) -> None:
    first, again = remote.run(*DAYS), remote.run(*DAYS)
    assert unchanged(again) == dict.fromkeys(("customers", "products", "sales"), first["run_id"])
    local.write([*CUSTOMERS, {"customer_id": "C3"}], PRODUCTS, SALES)
    changed = gzip.compress((local.input / "customers.csv").read_bytes())
    cloud.put(bucket, "in/customers.csv.gz", changed)
    third = remote.run(*DAYS)
    assert set(unchanged(third)) == {"products", "sales"}
    assert third["tables"]["customer_dim"]["rows_inserted"] == 1


def test_results_go_to_a_bucket_and_come_back_corrected(
    cloud: Cloud, bucket: str, local: Project, remote: Project
) -> None:
    out = f"{cloud.address.format(bucket)}/out"
    work = remote.output.parent
    remote.settings |= {"OUTPUT_DIR": out, "WORK_DIR": str(work), "ARCHIVE_DIR": f"{out}/kept"}
    summary = remote.run(*DAYS, "--export", "parquet")
    run_id = summary["run_id"]
    keys = {key.removeprefix("out/") for key in cloud.keys(bucket) if key.startswith("out/")}
    assert keys == {
        "dev/processed/customer_dim.parquet", "dev/processed/product_dim.parquet",
        "dev/processed/sales_fact.parquet", f"dev/rejected/customers_{run_id}.csv",
        f"dev/rejected/sales_{run_id}.csv", f"kept/{run_id}/customers.csv.gz.gz",
        f"kept/{run_id}/products.json.gz", f"kept/{run_id}/sales_20240131.csv.gz",
        f"kept/{run_id}/settings.json",
    }  # fmt: skip
    assert not (work / "dev" / "rejected").exists() and remote.warehouse.exists()
    kept = json.loads(cloud.get(bucket, f"out/kept/{run_id}/settings.json"))
    copy = cloud.get(bucket, f"out/kept/{run_id}/products.json.gz")
    assert gzip.decompress(copy) == (local.input / "products.json").read_bytes()
    assert "AKIATEST" not in str(kept) and "Eby8vdM" not in str(kept)

    name = f"out/dev/rejected/sales_{run_id}.csv"
    cloud.put(bucket, name, cloud.get(bucket, name).replace(b'"0","100"', b'"7","100"'))
    again = remote.run("--reprocess-rejected", cloud.address.format(bucket) + f"/{name}")
    assert again["tables"]["sales_fact"]["rows_inserted"] == 1
    assert {row["transaction_id"] for row in remote.tables()["sales_fact"]} == {"T1", "T2", "T3"}


@ON_S3
def test_rejected_records_of_recognised_objects_are_written_again(
    cloud: Cloud, bucket: str, remote: Project
) -> None:
    remote.settings |= {"OUTPUT_DIR": f"{cloud.address.format(bucket)}/out",
                        "WORK_DIR": str(remote.output.parent)}  # fmt: skip
    first, again = remote.run(*DAYS), remote.run(*DAYS)
    assert len(unchanged(again)) == 3
    both = [
        cloud.get(bucket, f"out/dev/rejected/customers_{run['run_id']}.csv").decode()
        for run in (first, again)
    ]
    assert both[0].replace(first["run_id"], again["run_id"]) == both[1]


def test_an_interrupted_and_repeated_run_equals_an_undisturbed_one(
    cloud: Cloud, local: Project, remote: Project
) -> None:
    """The first run loses its connection for good, the second now and then."""
    many = [{**SALE, "transaction_id": f"T{n}"} for n in range(300)]
    local.write(CUSTOMERS, PRODUCTS, many)
    text = (local.input / "sales_transactions.csv").read_bytes()
    bucket = remote.settings["INPUT_DIR"].partition("//")[2].partition("/")[0].partition("@")[0]
    cloud.put(bucket, "in/2024/sales_20240131.csv", text)
    local.run(*DAYS)
    for cut, loaded in (({*range(99)}, False), ({1}, True)):
        with cutting(target_of(cloud), cut, longest=3000) as proxy:
            remote.settings |= through(cloud, proxy.port).settings
            summary = remote.run(*DAYS)
            assert proxy.cuts
        statuses = {each["source"]: each["status"] for each in summary["sources"]}
        assert (statuses["sales"] == "loaded") is loaded, summary["sources"]
        assert summary["exit_code"] == (0 if loaded else 3)
    assert remote.tables() == local.tables()


@ON_S3
def test_a_source_whose_bucket_is_missing_fails_alone(
    cloud: Cloud, bucket: str, remote: Project
) -> None:
    remote.settings["SALES_FILE"] = cloud.address.format("nosuchbucket") + "/sales_*.csv"
    summary = remote.run(*DAYS)
    assert summary["exit_code"] == 3
    (sales,) = (each for each in summary["sources"] if each["source"] == "sales")
    assert "there is no such bucket or container" in sales["error"]
    assert len(remote.tables()["customer_dim"]) == 1


@ON_S3
def test_the_health_check_names_what_it_found_in_the_bucket(
    cloud: Cloud, bucket: str, remote: Project
) -> None:
    checks = {each["name"]: each for each in pipeline_health_check(remote.config())["checks"]}
    assert checks["customers file"]["status"] == "passed"
    remote.settings["ARCHIVE_DIR"] = cloud.address.format("nosuchbucket")
    checks = {each["name"]: each for each in pipeline_health_check(remote.config())["checks"]}
    assert checks["archive folder"]["status"] == "failed"
    assert "there is no such bucket" in checks["archive folder"]["message"]

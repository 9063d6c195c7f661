"""Inputs as people have them (`tests/cases`) end as their `case.json` says."""

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pipeline_runs import Project

CASES = Path(__file__).resolve().parents[1] / "cases"


@dataclass(frozen=True)
class Ends:
    """How a run ends.

    Attributes:
        exit_code: of the run.
        rows: by table, how many rows there are afterwards.
        says: texts that the summary has.
        rejected: texts that the rejected files of the run have.
        finds: by query, its one row.
    """

    exit_code: int = 0
    rows: Mapping[str, int] = field(default_factory=dict)
    says: Sequence[str] = ()
    rejected: Sequence[str] = ()
    finds: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run of a case: what `pipeline.toml` has, settings besides, and how it ends."""

    name: str
    ends: Ends
    pipeline: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    args: Sequence[str] = ()


ALL = {"customer_dim": 12, "product_dim": 6, "sales_fact": 20}
_OF = "SELECT {} FROM {} WHERE {}"


def of(what: str, table: str, where: str) -> str:
    return _OF.format(what, table, where)


EUROPEAN = """
[sources.customers]
encoding = "cp1252"
[sources.sales]
encoding = "cp1252"
decimal = ","
"""
FIRST_SALE = of(
    "total_amount, CAST(transaction_date AS TEXT)", "sales_fact", "transaction_id = 'T0001'"
)

CASE_RUNS: dict[str, tuple[Run, ...]] = {
    "01_eu_excel": (
        Run("run", Ends(3, says=[
            "encoding in [sources.customers]", "decimal comma: set decimal",
        ])),
        Run("run", Ends(0, ALL, ["semicolons", "cp1252", "decimal comma"], finds={
            of("last_name", "customer_dim", "customer_id = 'C004'"): ("Groß",),
            of("sum(total_amount) > 0, CAST(min(transaction_date) AS TEXT)", "sales_fact", "1 = 1"):
                (True, "2024-01-01 10:01:00"),
            of("CAST(registration_date AS TEXT)", "customer_dim", "customer_id = 'C001'"):
                ("2022-02-11",),
        }), EUROPEAN),
    ),
    "01b_decimal_comma": (
        Run("run", Ends(3, {"customer_dim": 12, "sales_fact": 0}, ["decimal"],
                        ["unit_price", "200,50", "decimal comma"])),
        Run("run", Ends(0, ALL, finds={
            of("total_amount = 401", "sales_fact", "transaction_id = 'T0001'"): (True,),
        }), '[sources.sales]\ndecimal = ","\n'),
    ),
    "03b_mixed_enc": (
        Run("run", Ends(0, ALL, finds={
            of("sales_rep_id", "sales_fact", "transaction_id = 'T0001'"): ("Müller",),
            of("first_name", "customer_dim", "customer_id = 'C003'"): ("Chloé",),
        }), '[sources.sales]\nencoding = "utf-8"\n'),
    ),
    "03c_cp1252_mixed": (
        Run("run", Ends(0, ALL, ["UTF-8"])),
        Run("run", Ends(0, ALL, finds={
            of("sales_rep_id", "sales_fact", "transaction_id = 'T0001'"): ("Müller",),
            of("first_name", "customer_dim", "customer_id = 'C003'"): ("Chloé",),
        }), '[sources.sales]\nencoding = "utf-8"\n', args=["--full-refresh"]),
    ),
    "04_ndjson": (Run("run", Ends(0, ALL, ["JSON Lines"])),),
    "04b_json_dict": (Run("run", Ends(0, ALL)),),
    "04e_json_list": (Run("run", Ends(0, ALL)),),
    "06_mysql": (
        Run("run", Ends(0, {"customer_dim": 12, "sales_fact": 20}, (), ["C006", "quote"], {
            of("email, is_inferred", "customer_dim", "customer_id = 'C003'"): (None, False),
            of("phone", "customer_dim", "customer_id = 'C004'"): (None,),
            of("is_inferred", "customer_dim", "customer_id = 'C006'"): (True,),
            of("discount_amount = 0", "sales_fact", "transaction_id = 'T0005'"): (True,),
        })),
    ),
    "07_null_text": (
        Run("run", Ends(0, {"customer_dim": 12, "sales_fact": 19}, ["null words"], ["T0006"], {
            of("count(*)", "customer_dim", "customer_id IN ('NULL', 'None', 'nan')"): (0,),
            of("count(*)", "customer_dim", "segment = 'Incomplete Profile'"): (7,),
            of("discount_amount = 0", "sales_fact", "transaction_id = 'T0005'"): (True,),
        })),
    ),
    "08_gz": (
        Run("run", Ends(1, says=["customers.csv.gz"])),
        Run("run_g", Ends(0, ALL)),
    ),
    "09_excel_ids": (
        Run("run", Ends(3, {"product_dim": 6}, rejected=["E-notation", "Excel", "44600"])),
    ),
    "10_dmy": (
        Run("run", Ends(0, ALL, ["day first", "date_order", "ambiguous"], finds={
            of("count(*)", "sales_fact", "transaction_date >= '2024-02-01'"): (0,),
        })),
        Run("run", Ends(0, ALL, finds={
            of("CAST(registration_date AS TEXT)", "customer_dim", "customer_id = 'C002'"):
                ("2022-06-02",),
        }), '[sources.customers]\ndate_order = "day first"\n'),
    ),
    "10b_dmy_first12": (
        Run("run", Ends(0, {"customer_dim": 12}, ["ambiguous", "date_order"])),
        Run("run", Ends(0, finds={
            of("count(*)", "sales_fact", "transaction_date >= '2024-02-01'"): (0,),
        }), '[sources.sales]\ndate_order = "day first"\n', args=["--full-refresh"]),
    ),
    "10c_excel_us": (
        Run("run", Ends(0, ALL, finds={
            of("count(*)", "sales_fact", "transaction_date >= '2024-02-01'"): (0,),
        })),
    ),
    "11_header_case": (Run("run", Ends(0, ALL)),),
    "11b_rename_optional": (
        Run("run", Ends(0, ALL)),
        Run("run_night2", Ends(3, ALL, ["'phone'", "phone_number", "'segment'", "rename"], finds={
            of("count(*)", "customer_dim", "phone IS NOT NULL"): (12,),
        })),
    ),
    "11c_reordered_new_cols": (Run("run", Ends(0, ALL, ["loyalty_points"])),),
    "12_offsets": (
        Run("run", Ends(3, {"customer_dim": 12}, rejected=[
            "2024-01-31 24:00:00", "2023-02-29 10:00:00", "1/7/24 10:00", "1704882000",
        ])),
        Run("run", Ends(0, {"sales_fact": 16}, finds={
            of("CAST(transaction_date AS TEXT)", "sales_fact", "transaction_id = 'T0010'"):
                ("2024-01-08 10:00:00",),
            of("CAST(transaction_date AS TEXT)", "sales_fact", "transaction_id = 'T0011'"):
                ("2024-01-09 10:00:00",),
        }), settings={"MAX_REJECT_RATE": "0.3"}),
    ),
    "12b_offsets": (
        Run("run", Ends(0, ALL, finds={
            of("customer_status", "sales_fact", "transaction_id = 'T0002'"): ("First-time",),
            of("customer_status", "sales_fact", "transaction_id = 'T0001'"): ("Repeat",),
        })),
    ),
    "13_money": (
        Run("run", Ends(3, {"sales_fact": 0}, rejected=["$200.50", "1,299.00", "unit_price"])),
    ),
    "14_returns": (
        Run("run", Ends(0, {"sales_fact": 17}, ["3 returns"], ["return"])),
        Run("run", Ends(0, {"sales_fact": 20}, finds={
            of("count(*)", "sales_fact", "value_tier = 'Return' AND total_amount < 0"): (3,),
            of("count(*)", "sales_fact", "quantity < 0 AND customer_status = 'First-time'"): (0,),
        }), settings={"RETURNS": "load"}, args=["--full-refresh"]),
    ),
    "14b_returns_few": (Run("run", Ends(0, {"sales_fact": 18}, ["2 returns"], ["return"])),),
    "15_dated": (
        Run("run", Ends(0, ALL, ["customers_20240120.csv"])),
        Run("run_cron", Ends(0, ALL)),
    ),
    "17_status": (
        Run("run", Ends(0, {"sales_fact": 17}, ["Shipped", "paid", "complete"])),
        Run("run", Ends(0, {"sales_fact": 20}), '[sources.sales]\nstatuses = ["completed", '
            '"complete", "shipped", "PAID"]\n', args=["--full-refresh"]),
    ),
    "18_keys": (
        Run("run", Ends(0, {"sales_fact": 20}, ["normalised keys"], finds={
            of("count(*)", "customer_dim", "customer_id IN ('C003', 'C004', 'C007', 'C008', 'C010')"
               " AND is_inferred = FALSE"): (5,),
            of("count(*)", "customer_dim", "customer_id = 'Cé006' AND is_inferred = FALSE"): (1,),
        })),
    ),
    "19_json_odd": (Run("run", Ends(0, {"customer_dim": 12, "sales_fact": 20})),),
    "24_pandas": (
        Run("run", Ends(3, {"customer_dim": 12, "sales_fact": 0}, ["1001.0", "whole_ids"])),
        Run("run", Ends(0, {"customer_dim": 12, "sales_fact": 19}, ["whole numbers"], ["T0004"]),
            "[sources.sales]\nwhole_ids = true\n"),
    ),
    "32_empty": (
        Run("run", Ends(0, ALL)),
        Run("run_fullrefresh", Ends(3, ALL, ["no records", "--accept"])),
        Run("run_night2", Ends(3, ALL, ["no records"])),
    ),
    "33_future": (
        Run("run", Ends(0, {"sales_fact": 20})),
        Run("run_night2", Ends(0)),
        Run("run_night3", Ends(0, finds={
            of("count(*) > 20", "sales_fact", "1 = 1"): (True,),
        })),
    ),
    "33b_future_now": (
        Run("run", Ends(0)),
        Run("run_night2", Ends(0)),
    ),
    "34_dup_header": (Run("run", Ends(3, {"product_dim": 6}, ["'email' more than once"])),),
    "36_smart_quotes": (
        Run("run", Ends(3, {"product_dim": 6}, rejected=["typographic quotes"])),
    ),
    "37_preamble": (Run("run", Ends(0, ALL, ["3 lines above the header"])),),
    "39_phones": (
        Run("run", Ends(0, ALL, finds={
            of("phone, phone_valid", "customer_dim", "customer_id = 'C002'"):
                ("+49 30 901820", True),
            of("phone, phone_valid", "customer_dim", "customer_id = 'C004'"):
                ("(415) 555-0132", True),
        })),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASE_RUNS)
def test_a_case_ends_as_it_should(case: str, tmp_path: Path) -> None:
    declared = json.loads((CASES / case / "case.json").read_text(encoding="utf-8"))
    by_name = {run["name"]: run for run in declared["runs"]}
    assert by_name.keys() <= {run.name for run in CASE_RUNS[case]} | {"run_cp"}
    for run in CASE_RUNS[case]:
        _check(case, run, by_name[run.name], tmp_path)


def _check(case: str, run: Run, declared: Mapping[str, Any], folder: Path) -> None:
    project = Project(folder, **declared["settings"], **run.settings)
    shutil.rmtree(project.input)
    shutil.copytree(CASES / case / declared["input"], project.input)
    if run.pipeline:
        path = folder / "pipeline.toml"
        path.write_text(run.pipeline, encoding="utf-8")
        project.settings["PIPELINE_FILE"] = str(path)
    summary = project.run(*declared["args"], *run.args)
    said = json.dumps(dict(summary), ensure_ascii=False, default=str)
    assert summary["exit_code"] == run.ends.exit_code, said
    for table, rows in run.ends.rows.items():
        assert project.query(f"SELECT count(*) FROM {table}") == [(rows,)], (table, said)
    assert [text for text in run.ends.says if text not in said] == [], said
    rejected = _rejected(summary)
    assert [text for text in run.ends.rejected if text not in rejected] == [], rejected
    for query, row in run.ends.finds.items():
        assert project.query(query) == [row], query


def _rejected(summary: Mapping[str, Any]) -> str:
    """All that the rejected files of a run say."""
    texts = []
    for source in summary["sources"]:
        if source["rejected_file"]:
            with Path(source["rejected_file"]).open(encoding="utf-8-sig", newline="") as file:
                texts += ["|".join(record) for record in csv.reader(file)]
    return "\n".join(texts)


def test_every_case_is_tried() -> None:
    on_servers = {"40b_pg_money", "40c_pg_tz"}  # tests/engines/test_postgresql.py
    assert {path.parent.name for path in CASES.glob("*/case.json")} == {*CASE_RUNS, *on_servers}

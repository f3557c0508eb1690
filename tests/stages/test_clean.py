"""clean on a small workspace: tables, rejects, report."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

from pipeline import paths
from pipeline.commands.stages import run_stage
from pipeline.errors import UserError
from pipeline.params_file import load

OUTPUTS = ("data/clean/rows.parquet", "data/clean/rejects.parquet", "data/clean/schema.json")
OUTPUTS += ("reports/clean/quality.json", "reports/clean/index.html")


def run(*names):
    params = load(paths.PARAMS)
    for name in names or ("collect", "clean"):
        run_stage(name, params)


def digests():
    return {name: hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in OUTPUTS}


def test_reordered_rows_give_the_same_bytes(small):
    run()
    first = digests()
    pd.read_csv("rows.csv", dtype=str).sample(frac=1, random_state=1).to_csv("rows.csv", index=False)
    run()
    assert digests() == first


def test_rejects_hold_the_raw_values_and_the_reason(small, write_params):
    rows = pd.read_csv("rows.csv", dtype=str)
    rows.loc[3, "age"] = "999"
    pd.concat([rows, rows.head(2)]).to_csv("rows.csv", index=False)
    write_params(clean={"duplicates": "drop", "ranges": {"age": [0, 120]}, "out_of_range": "drop"})
    run()
    rejects = pd.read_parquet("data/clean/rejects.parquet")
    assert sorted(rejects["__reason__"]) == ["age outside [0, 120]", "equal to an earlier row", "equal to an earlier row"]
    assert rejects.set_index("__reason__").loc["age outside [0, 120]", "age"] == "999"
    clean = pd.read_parquet("data/clean/rows.parquet")
    raw = pd.read_parquet("data/raw/rows.parquet")
    assert sorted([*clean["__row_id__"], *rejects["__row_id__"]]) == sorted(raw["__row_id__"])
    assert list(clean["__row_id__"]) == sorted(clean["__row_id__"])
    quality = json.loads(Path("reports/clean/quality.json").read_text())
    assert quality["rows"] == {"read": 402, "kept": 399, "duplicates": 2, "dropped": 3}
    assert quality["rejects"] == {"equal to an earlier row": 2, "age outside [0, 120]": 1}


def test_without_rejects_their_table_is_empty_and_has_the_raw_columns(small):
    run()
    rejects = pd.read_parquet("data/clean/rejects.parquet")
    assert len(rejects) == 0
    assert set(rejects) == {*pd.read_parquet("data/raw/rows.parquet"), "__reason__"}


def test_a_run_that_drops_every_row_says_so_and_leaves_the_earlier_outputs(small, write_params):
    run()
    before = digests()
    write_params(clean={"ranges": {"age": [1000, None]}, "out_of_range": "drop"})
    with pytest.raises(UserError, match=r"^clean: no row is left of 400: 400 age outside \[1000, \]$"):
        run("clean")
    assert digests() == before


def test_report_names_every_column_and_stays_small(small):
    run()
    page = Path("reports/clean/index.html").read_text()
    assert all(f"<h3>{name} <span" in page for name in pd.read_csv("rows.csv").columns)
    assert len(page) < 200_000

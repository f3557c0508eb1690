"""The split stage on a small workspace: what it writes, leaves out, reports and refuses."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import paths
from pipeline.commands.stages import run_stage
from pipeline.errors import UserError
from pipeline.params_file import load


def run(*names):
    params = load(paths.PARAMS)
    for name in names:
        run_stage(name, params)


def side(name):
    return pd.read_parquet(f"data/split/{name}/rows.parquet")


def report():
    return json.loads(Path("reports/split/split.json").read_text())


def digests():
    files = [file for folder in ("data/split", "reports/split") for file in sorted(Path(folder).rglob("*")) if file.is_file()]
    return {file.as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


STRATEGIES = [
    {"strategy": "random", "by": None},
    {"strategy": "stratified", "by": None},
    {"strategy": "group", "by": "customer"},
    {"strategy": "stratified_group", "by": "customer", "folds": 3},
    {"strategy": "time", "by": None, "gap": "3d", "folds": 2},
    {"strategy": "given", "by": "city", "given": {"train": ["Rome", "Bern"], "test": ["Oslo", "Lima"]}},
]


@pytest.mark.parametrize("split", STRATEGIES, ids=lambda split: split["strategy"])
def test_every_clean_row_is_on_one_side_or_in_the_rejects_in_the_stored_order(small, write_params, split):
    rows = pd.read_csv("rows.csv", dtype=str)
    rows.loc[:4, "bought"] = None
    rows.to_csv("rows.csv", index=False)
    write_params(split=split)
    run("collect", "clean", "split")
    found = {name: side(name) for name in (*paths.SIDES, "rejects")}
    clean = pd.read_parquet("data/clean/rows.parquet")
    ids = pd.concat(found.values())["__row_id__"]
    assert sorted(ids) == sorted(clean["__row_id__"])
    assert all(table["__row_id__"].is_monotonic_increasing for table in found.values())
    told = report()
    assert {name: row["rows"] for name, row in told["sides"].items()} == {name: len(found[name]) for name in told["sides"]}
    assert found["rejects"]["__reason__"].value_counts().to_dict() == {"the target is missing": told["unlabelled"]} | told["dropped"]
    assert told["unlabelled"] == 5
    has_fold = {name for name, table in found.items() if "__fold__" in table.columns}
    assert has_fold == ({"train", "validation"} if "folds" in split else set())
    for name in paths.SIDES:
        kept = found[name].drop(columns="__fold__", errors="ignore").reset_index(drop=True)
        pd.testing.assert_frame_equal(kept, clean[clean["__row_id__"].isin(kept["__row_id__"])].reset_index(drop=True))
    first = digests()
    rows.sample(frac=1, random_state=1).to_csv("rows.csv", index=False)
    run("collect", "clean", "split")
    assert digests() == first


def test_spellings_of_a_class_become_one_on_every_side(small, caplog):
    rows = pd.read_csv("rows.csv", dtype=str)
    rows.loc[rows.index % 7 == 0, "bought"] = rows.bought.str.upper()
    rows.to_csv("rows.csv", index=False)
    with caplog.at_level(logging.WARNING):
        run("collect", "clean", "split")
    assert {value for name in paths.SIDES[:3] for value in side(name).bought} == {"yes", "no"}
    assert report()["merged"] == {"no": ["NO"], "yes": ["YES"]}
    assert "'NO' of the target is written 'no' everywhere" in caplog.messages


def test_starts_are_told_and_keep_old_rows_on_their_sides(small, write_params, caplog):
    write_params(split={"strategy": "time", "by": None})
    with caplog.at_level(logging.INFO):
        run("collect", "clean", "split")
    starts = report()["starts"]
    line = f"split.starts: {{validation: {starts['validation']}, test: {starts['test']}}}"
    assert any(line in message for message in caplog.messages)
    before = {name: set(side(name)["__row_id__"]) for name in paths.SIDES[:3]}
    rows = pd.read_csv("rows.csv", dtype=str)
    later = rows.head(100).assign(since="2030-01-01", age=[f"{at}.25" for at in range(100)])
    pd.concat([later, rows]).to_csv("rows.csv", index=False)
    write_params(split={"strategy": "time", "by": None, "starts": starts})
    run("collect", "clean", "split")
    after = {name: set(side(name)["__row_id__"]) for name in paths.SIDES[:3]}
    assert [len(after[name] - before[name]) for name in paths.SIDES[:3]] == [0, 0, 100]
    assert all(before[name] <= after[name] for name in before)


def test_a_leak_ends_the_run_where_asked_once_the_reports_are_written(small, write_params):
    rows = pd.read_csv("rows.csv", dtype=str)
    rows.assign(copy=np.where(rows.bought == "yes", "y", "n")).to_csv("rows.csv", index=False)
    write_params(split={"on_leak": "warn"})
    run("collect", "clean", "split")
    first = digests()
    assert "copy" in first.keys() | {
        finding for f in json.loads(Path("reports/split/leakage.json").read_text())["findings"] for finding in f["columns"]
    }
    write_params(split={"on_leak": "fail", "validation": 0.3})
    with pytest.raises(UserError, match=r"^split: .*copy.* \(see reports/split/leakage.html\)"):
        run("split")
    after = digests()
    assert {name for name in first if first[name] != after[name]} >= {"reports/split/split.json"}
    assert all(first[name] == after[name] for name in first if name.startswith("data/"))


def test_unbalanced_groups_are_told_with_a_seed(small, write_params, caplog):
    rng = np.random.default_rng(0)
    who = np.repeat(np.arange(24), 30)
    lean = rng.random(24).round()[who]
    frame = pd.DataFrame({"who": [f"G{w}" for w in who], "x": rng.normal(size=len(who))})
    frame.assign(bought=np.where(rng.random(len(who)) < 0.1 + 0.8 * lean, "yes", "no")).to_csv("rows.csv", index=False)
    write_params(split={"strategy": "stratified_group", "by": "who"})
    with caplog.at_level(logging.WARNING):
        run("collect", "clean", "split")
    told = report()["balance"]
    assert any(f"seed: {told['better_seed']} would make that" in message for message in caplog.messages)

"""collect, clean, split and normalize on a small workspace."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from pipeline import paths
from pipeline.cli import main
from pipeline.commands.stages import run_stage
from pipeline.errors import UserError
from pipeline.params_file import load

STAGES = ("collect", "clean", "split", "normalize")


def run(*names):
    params = load(paths.PARAMS)
    for name in names:
        run_stage(name, params)


def digests():
    """SHA-256 of every file under data/ and reports/."""
    found = [file for folder in ("data", "reports") for file in sorted(Path(folder).rglob("*")) if file.is_file()]
    return {file.as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in found}


def test_files_appear_and_hold_every_row(small):
    run(*STAGES)
    sides = {f"data/normalized/{side}/{name}.npy" for side in paths.SIDES[:3] for name in ("number", "category", "target", "group")}
    tables = {f"data/{folder}/rows.parquet" for folder in ("raw", "clean", *(f"split/{side}" for side in (*paths.SIDES, "rejects")))}
    fitted = {f"data/normalized/{name}" for name in ("preprocessor.json", "reference.json", "clean.sql", "clean_plain.sql")}
    told = {"data/raw/source.json", "data/clean/schema.json", "data/clean/rejects.parquet"}
    told |= {"reports/clean/quality.json", "reports/clean/index.html"}
    told |= {f"reports/split/{name}" for name in ("split.json", "leakage.json", "leakage.html")}
    assert set(digests()) == sides | tables | fitted | told

    rows = pd.read_csv("rows.csv")
    source = json.loads(Path("data/raw/source.json").read_text())
    assert (source["source"], source["rows"], source["columns"]) == ("rows.csv", 400, list(rows.columns))
    assert source["sha256"] == hashlib.sha256(Path("rows.csv").read_bytes()).hexdigest()
    raw = pd.read_parquet("data/raw/rows.parquet")
    assert sorted(raw.income.dropna().astype(float)) == sorted(rows.income.dropna())

    clean = pd.read_parquet("data/clean/rows.parquet")
    schema = json.loads(paths.SCHEMA.read_text())
    kinds = {column["name"]: column["kind"] for column in schema["columns"]}
    assert kinds == {
        "customer": "category",
        "age": "number",
        "income": "number",
        "city": "category",
        "member": "boolean",
        "since": "datetime",
        "bought": "category",
    }
    quality = json.loads(Path("reports/clean/quality.json").read_text())
    assert quality["rows"] == {"read": 400, "kept": 400, "duplicates": 0, "dropped": 0}
    assert quality["columns"]["income"]["missing"] == rows.income.isna().sum() > 0

    split = {side: pd.read_parquet(f"data/split/{side}/rows.parquet") for side in paths.SIDES}
    assert len(split["production"]) == 0
    assert sorted(pd.concat(split.values())["__row_id__"]) == sorted(clean["__row_id__"])
    told = json.loads(Path("reports/split/split.json").read_text())["sides"]
    assert {side: row["rows"] for side, row in told.items()} == {side: len(split[side]) for side in paths.SIDES[:3]}

    fitted = json.loads(paths.PREPROCESSOR.read_text())
    assert fitted["target"]["classes"] == ["no", "yes"]
    assert "customer" in fitted["set_aside"]
    for side in paths.SIDES[:3]:
        target = np.load(f"data/normalized/{side}/target.npy")
        assert target.tolist() == (split[side].bought == "yes").astype(int).tolist()
        groups = np.load(f"data/normalized/{side}/group.npy")
        assert pd.Series(groups).groupby(split[side].customer).nunique().max() == 1
        assert len(set(groups)) == split[side].customer.nunique()


def test_rerun_gives_identical_bytes_and_so_do_reordered_rows(small):
    run(*STAGES)
    first = digests()
    run(*STAGES)
    assert digests() == first
    pd.read_csv("rows.csv", dtype=str).sample(frac=1, random_state=1).to_csv("rows.csv", index=False)
    run(*STAGES)
    assert {name for name, digest in digests().items() if first[name] != digest} == {"data/raw/source.json"}  # the source's own digest


@pytest.mark.parametrize(
    ("stage", "sections", "message"),
    [
        ("collect", {"data": {"source": "absent.csv"}}, "data.source: absent.csv: no such file or folder"),
        ("collect", {"data": {"source": "empty.csv"}}, "data.source: empty.csv: holds no rows"),
        ("collect", {"data": {"source": "reserved.csv"}}, "data.source: reserved.csv: __row_id__ is a reserved column name"),
        ("clean", {"data": {"target": "sold"}}, "data.target: 'sold' is no column of the source"),
        ("clean", {"data": {"task": "regression"}}, "data.target: 'bought': regression needs numbers"),
        ("split", {"split": {"by": "person"}}, "split.by: no column 'person'"),
        ("split", {"split": {"production": {"column": "city", "in": ["Paris"]}}}, r"split.production.in: no row has city in \['Paris'\]"),
        ("normalize", {"data": {"positive": "ja"}}, "data.positive: 'ja' is no class of bought"),
    ],
)
def test_failing_stage_tells_the_mistake_and_leaves_earlier_outputs_whole(small, write_params, stage, sections, message):
    Path("empty.csv").write_text("a,bought\n")
    Path("reserved.csv").write_text("__row_id__,bought\n1,yes\n")
    run(*STAGES[: STAGES.index(stage) + 1])
    write_params(**sections)
    if stage == "normalize":
        run("clean")
    before = digests()
    with pytest.raises(UserError, match=message):
        run(stage)
    assert digests() == before
    assert not [entry for folder in ("data", "reports") for entry in Path(folder).rglob(".*")]


def test_a_mistake_is_one_line_and_exit_code_2(small, write_params):
    write_params(data={"source": "absent.csv"})
    done = CliRunner().invoke(main, ["-q", "collect"])
    assert done.exit_code == 2
    assert done.output == "data.source: absent.csv: no such file or folder\n"


def test_a_stage_before_its_inputs_are_there_says_so(small):
    done = CliRunner().invoke(main, ["-q", "normalize"])
    assert done.exit_code == 2
    assert done.output == "normalize: data/clean/schema.json is not there yet: run the stages before it, or `pipeline run`\n"


def test_duplicates_are_counted_and_dropped_where_asked(small, write_params):
    rows = pd.read_csv("rows.csv", dtype=str)
    pd.concat([rows, rows.head(30)]).to_csv("rows.csv", index=False)
    for mode, kept in (("keep", 430), ("drop", 400)):
        write_params(clean={"duplicates": mode})
        run("collect", "clean")
        quality = json.loads(Path("reports/clean/quality.json").read_text())
        assert quality["rows"] == {"read": 430, "kept": kept, "duplicates": 30, "dropped": 430 - kept}
        clean = pd.read_parquet("data/clean/rows.parquet")
        assert len(clean) == kept
        assert clean["__row_id__"].is_unique


def test_unreadable_values_stand_in_the_quality_report(small, write_params):
    rows = pd.read_csv("rows.csv", dtype=str)
    rows.loc[:4, "age"] = "unknown"
    rows.to_csv("rows.csv", index=False)
    write_params(data={"columns": {"age": "number"}})
    run("collect", "clean")
    columns = json.loads(Path("reports/clean/quality.json").read_text())["columns"]
    told = {"kind": "number", "reason": "set in data.columns", "missing": 5, "unreadable": 5}
    assert told.items() <= columns["age"].items()
    assert columns["age"]["warnings"][0] == "5 values do not read as number and become missing: 'unknown' (5)"
    assert "unreadable" not in columns["income"]


def test_columns_named_like_words_of_the_code_go_all_the_way(small, write_params):
    rng = np.random.default_rng(0)
    names = ["self", "by", "having", "rows", "values", "a b", 'c"d', "prénom", "it's", "select", "group", "n0", "c0"]
    frame = pd.DataFrame({name: rng.choice(["p", "q", "r"], 300) if at % 2 else rng.normal(size=300) for at, name in enumerate(names)})
    frame["target"] = rng.choice(["no", "yes"], 300)
    frame.to_csv("rows.csv", index=False)
    Path("params.yaml").unlink()
    write_params(data={"target": "target"}, split={"strategy": "random", "by": None})
    run(*STAGES)
    fitted = json.loads(paths.PREPROCESSOR.read_text())
    assert {c["column"] for kind in ("numbers", "categories") for c in fitted[kind]} == set(names)
    assert np.load("data/normalized/train/number.npy").shape[1] == 7


@pytest.mark.parametrize("kind", ["parquet", "load.py"])
def test_typed_sources_give_the_same_arrays_as_csv(small, write_params, kind):
    run(*STAGES)
    fitted, target = (
        json.loads(paths.PREPROCESSOR.read_text()),
        [len(np.load(f"data/normalized/{side}/target.npy")) for side in paths.SIDES[:3]],
    )
    rows = pd.read_csv("rows.csv", parse_dates=["since"])
    rows.to_parquet("rows.parquet")
    if kind == "load.py":
        Path("folder").mkdir()
        Path("folder/load.py").write_text("import pandas as pd\n\ndef load():\n    return pd.read_parquet('rows.parquet')\n")
    write_params(data={"source": "folder" if kind == "load.py" else "rows.parquet"})
    run(*STAGES)
    assert json.loads(paths.SOURCE.read_text())["kind"] == kind
    assert json.loads(paths.PREPROCESSOR.read_text()) == fitted  # split by customer, so the sides are the same too
    assert [len(np.load(f"data/normalized/{side}/target.npy")) for side in paths.SIDES[:3]] == target

"""A preprocessing that the sweep chose gives what params.yaml would have given with the same values, from training to the package."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import SMALL, purchases

from pipeline import paths
from pipeline.commands.stages import run_stage
from pipeline.config import NormalizeParams, SplitParams
from pipeline.data import arrays, prepared
from pipeline.data.fitted import Preprocessor
from pipeline.params_file import load

CHOSEN = {"normalize.numeric": "quantile", "normalize.rare_category": 30, "normalize.dates": "parts"}
LATER = ("evaluate", "register", "monitor")


def stages(*names):
    for name in names:
        run_stage(name, load(paths.PARAMS))


def prepare(**normalize):
    purchases(240).to_csv("rows.csv", index=False)
    params = {**SMALL, "normalize": {**SMALL["normalize"], **normalize}, "tune": {"trials": 0}}
    paths.PARAMS.write_text(yaml.safe_dump(params))
    stages("collect", "clean", "split", "normalize", "tune")


def results():
    return {
        "model": paths.MODEL.read_bytes(),
        "preprocessor": paths.FITTED.read_bytes(),
        "metrics": paths.METRICS.read_bytes(),
        "package": (paths.PACKAGE / "artifacts" / "files" / "preprocessor.json").read_bytes(),
        "windows": json.loads(paths.MONITORED.read_text())["windows"],
    }


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*Any type hint is inferred")  # MLflow's, of the package
def test_values_that_a_sweep_chose_count_as_those_of_params_yaml_do(workspace, monkeypatch):
    folders = [workspace / name for name in ("chosen", "written")]
    for folder in folders:
        folder.mkdir()
    monkeypatch.chdir(folders[0])
    prepare()
    found = yaml.safe_load(paths.BEST.read_text())
    paths.BEST.write_text(yaml.safe_dump({**found, "params": CHOSEN}))
    stages("train", *LATER)
    chosen = results()
    assert chosen["preprocessor"] != paths.PREPROCESSOR.read_bytes()
    assert list((workspace / "chosen" / ".state" / "prepared").iterdir()) == []
    monkeypatch.chdir(folders[1])
    prepare(**{key.split(".")[1]: value for key, value in CHOSEN.items()})
    stages("train", *LATER)
    assert chosen == results()


def test_a_forecast_sees_the_sides_before_its_own(workspace):
    hours = pd.date_range("2024-01-01", periods=400, freq="h")
    values = np.sin(np.arange(400) / 6) + np.random.default_rng(0).normal(0, 0.1, 400)
    pd.DataFrame({"hour": hours, "load": values.round(4)}).to_csv("rows.csv", index=False)
    data = {"source": "rows.csv", "target": "load", "forecast": {"time": "hour", "look_back": 24, "horizon": 6}}
    split = {"strategy": "time", "validation": 0.2, "test": 0.2}
    paths.PARAMS.write_text(yaml.safe_dump({**SMALL, "data": data, "split": split, "normalize": {"numeric": "standard"}}))
    stages("collect", "clean", "split", "normalize")
    standard = {side: arrays.load(side) for side in paths.SIDES[:3]}
    params = SplitParams(**split)
    fitted = prepared.refitted(params, NormalizeParams(numeric="robust"))
    with prepared.sides(fitted, params, paths.SIDES[:3]) as robust:
        for side in paths.SIDES[:3]:
            assert len(robust[side]) == len(standard[side])
            assert not np.array_equal(robust[side].more["series"], standard[side].more["series"])
            assert np.array_equal(robust[side].target, standard[side].target, equal_nan=True)
    same = Preprocessor.from_json(paths.PREPROCESSOR.read_text())
    with prepared.sides(same, params, ["test"]) as sides:
        assert sides["test"].target.filename.is_relative_to(paths.NORMALIZED.resolve())


def test_what_a_killed_process_left_is_taken_away_and_what_a_living_one_needs_is_not(workspace):
    home = paths.state() / "prepared"
    for pid in (2**22 + 1, os.getpid()):  # beyond the largest number of a process, and this one
        (home / f"{pid}-x").mkdir(parents=True)
    prepared._home()
    assert [folder.name for folder in home.iterdir()] == [f"{os.getpid()}-x"]


@pytest.mark.slow
def test_a_sweep_over_keys_of_normalize(workspace):
    prepare()
    space = {"normalize.numeric": {"choice": ["robust", "quantile", "standard"]}, "normalize.rare_category": {"int": [2, 40]}}
    params = yaml.safe_load(paths.PARAMS.read_text())
    paths.PARAMS.write_text(yaml.safe_dump({**params, "tune": {"trials": 6, "space": space}}))
    shutil.rmtree(paths.SPLIT / "test")
    stages("tune")
    found = yaml.safe_load(paths.BEST.read_text())
    stages("train")
    trained = json.loads((paths.REPORTS / "train" / "metrics.json").read_text())
    assert trained["validation_loss"] == pytest.approx(found["from"]["value"], rel=1e-6)

"""What train writes, from the arrays of a small table."""

from __future__ import annotations

import csv
import json
import shutil

import keras
import numpy as np
import pytest
import yaml
from conftest import SMALL, purchases

from pipeline import paths
from pipeline.commands.stages import run_stage
from pipeline.config import ModelParams, NormalizeParams, SplitParams, TrainParams
from pipeline.data import arrays
from pipeline.data.fitted import Preprocessor
from pipeline.models import layers  # noqa: F401  (what a saved network is made of)
from pipeline.models.fit import inputs, outputs
from pipeline.params_file import load
from pipeline.stages import train


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """A workspace whose data stages have run, with three folds, and whose sweep chose params.yaml as it is."""
    folder = tmp_path_factory.mktemp("ready")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DVC_ROOT", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI", "PIPELINE_STATE"):
            patch.delenv(name, raising=False)
        patch.chdir(folder)
        purchases(240).to_csv("rows.csv", index=False)
        changed = {"split": {**SMALL["split"], "folds": 3}, "tune": {"trials": 0}}
        (folder / "params.yaml").write_text(yaml.safe_dump({**SMALL, **changed}))
        for stage in ("collect", "clean", "split", "normalize", "tune"):
            run_stage(stage, load(paths.PARAMS))
    return folder


SPLIT, NORMALIZE = SplitParams(**SMALL["split"], folds=3), NormalizeParams(**SMALL["normalize"])


def model(**keys):
    return ModelParams(**{**SMALL["model"], **keys})


def params(**keys):
    return TrainParams(**{**SMALL["train"], "epochs": 2, **keys})


@pytest.fixture
def here(ready, tmp_path, workspace):
    """A copy of the ready workspace as the current folder."""
    shutil.copytree(ready, workspace, dirs_exist_ok=True)
    return workspace


def read(file):
    return json.loads((paths.REPORTS / "train" / file).read_text())


def answers():
    network = keras.models.load_model(paths.MODEL, compile=False, safe_mode=True)
    fitted = Preprocessor.from_json(paths.PREPROCESSOR.read_text())
    return network, fitted, outputs(network, fitted, inputs(arrays.load("validation"), fitted))


def test_writes_history_with_learning_rate_and_diagnosis_and_leaves_no_checkpoint(here):
    train.run(1, SPLIT, NORMALIZE, model(), params())
    with (paths.REPORTS / "train" / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert float(rows[0]["train/learning_rate"]) == pytest.approx(1e-3)
    assert float(rows[1]["diagnosis/gradient_norm"]) > 0
    found = read("diagnosis.json")
    assert found["words"] == []
    assert [set(look) for look in found["epochs"]] == [{"number_embedding", "hidden_1", "output"}] * 2
    assert not list((paths.state() / "checkpoints").glob("*"))


def test_an_ensemble_answers_with_the_mean_of_its_networks(here):
    train.run(1, SPLIT, NORMALIZE, model(), params(ensemble=2))
    network, fitted, together = answers()
    one, other = (layer for layer in network.layers if isinstance(layer, keras.Model))
    alone = [outputs(part, fitted, inputs(arrays.load("validation"), fitted)) for part in (one, other)]
    assert np.abs(alone[0] - alone[1]).max() > 1e-3
    np.testing.assert_allclose(together, np.mean(alone, axis=0), atol=1e-6)
    assert (paths.REPORTS / "train" / "history_network_1.csv").exists()


def test_cross_validation_predicts_every_row_by_a_network_that_never_saw_it(here):
    train.run(1, SPLIT, NORMALIZE, model(), params(cross_validation=True))
    found = read("cross_validation.json")
    held = {side: np.load(paths.REPORTS / "train" / "out_of_fold" / f"{side}.npy") for side in ("train", "validation")}
    for side, values in held.items():
        assert values.shape == arrays.load(side).target.shape
        assert ((values > 0) & (values < 1)).all()
    assert len(found["folds"]) == 3
    y = np.concatenate([arrays.load(side).target for side in held])
    log_loss = -np.mean(np.log(np.where(y == 1, np.concatenate(list(held.values())), 1 - np.concatenate(list(held.values())))))
    assert found["metrics"]["log_loss"]["out_of_fold"] == pytest.approx(log_loss, rel=1e-6)
    assert found["metrics"]["log_loss"]["mean"] == pytest.approx(np.mean([fold["log_loss"] for fold in found["folds"]]))

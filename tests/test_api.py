"""The Python API: params, stages, reports, models and runs of a project, from any folder."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from pipeline import api, paths
from pipeline.api import Project
from pipeline.errors import UserError
from pipeline.files import read_json


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another current folder than the project's, and no outer settings."""
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI", "PIPELINE_STATE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_a_folder_without_params_is_no_project(tmp_path):
    with pytest.raises(UserError, match=r"expected a folder with params.yaml; `pipeline init FILE` writes one"):
        Project(tmp_path)


def test_params_are_typed_and_change_keeps_comments(small, elsewhere):
    file = small / "params.yaml"
    file.write_text("# mine\n" + file.read_text().replace("epochs: 3", "epochs: 3  # few"), encoding="utf-8")
    project = Project(small)
    assert project.params.train.epochs == 3
    changed = project.change({"train.epochs": 4, "evaluate.protected": ["city"], "data.csv.delimiter": ","})
    assert (changed.train.epochs, changed.evaluate.protected, changed.data.csv.delimiter) == (4, ("city",), ",")
    assert project.params == changed
    assert file.read_text().startswith("# mine\n")
    assert "epochs: 4  # few" in file.read_text()


def test_a_wrong_change_is_told_whole_and_writes_nothing(small, elsewhere):
    before = (small / "params.yaml").read_bytes()
    with pytest.raises(UserError) as caught:
        Project(small).change({"train.epcohs": 4, "split.test": 2})
    assert [message.split(": ", 1)[1] for message in caught.value.messages] == [
        "split.test: expected less than 1, got 2",
        "unknown key train.epcohs; nearest valid key: train.epochs",
    ]
    assert (small / "params.yaml").read_bytes() == before


def test_stages_run_in_this_process_in_their_order_and_leave_the_environment(small, elsewhere):
    project = Project(small)
    with pytest.raises(UserError, match="no stage 'spilt'; stages are collect, clean"):
        project.run("spilt")
    with pytest.raises(UserError, match=r"split: data/clean/.* is not there yet: run the stages before it"):
        project.run("split")
    with pytest.raises(UserError, match="is not there; sides are train, validation, test, production, written by stage split"):
        project.rows()
    before = dict(os.environ)
    project.run("split", "clean", "collect")
    assert dict(os.environ) == before
    assert Path.cwd() == elsewhere
    assert list(elsewhere.iterdir()) == []
    sides = {side: project.rows(side) for side in ("train", "validation", "test")}
    assert sum(map(len, sides.values())) == 400
    assert not set(sides["train"]["customer"]) & set(sides["test"]["customer"])
    raw = project.rows("test", raw=True)
    assert list(raw["__row_id__"]) == list(sides["test"]["__row_id__"])
    assert set(raw["member"]) == {"true", "false"}  # as the file has them


def test_a_stage_may_run_again_in_the_same_process_and_counts_its_own_time(small, write_params, elsewhere):
    write_params(tune={"trials": 0, "space": None})
    project, began = Project(small), time.time()
    project.run("collect", "clean", "split", "normalize", "tune")
    project.run("tune")
    took = time.time() - began
    costs = read_json(next((small / ".state" / "costs").iterdir()))
    assert 0 < sum(costs[stage]["wall_seconds"] for stage in ("collect", "clean", "split", "normalize", "tune")) < took


def test_a_result_that_is_not_there_names_the_file(small):
    with pytest.raises(UserError, match=r"reports/evaluate/intervals.json is not there yet in .*: `pipeline run` writes it"):
        Project(small).result()


def test_the_numbers_of_a_result_are_those_of_the_reports(finished, elsewhere):
    result = Project(finished.folder).result()
    written = read_json(finished.folder / paths.METRICS)
    assert result.value("auc") == written["test"]["auc"] == result.metrics.loc[("network", "auc"), "value"]
    assert result.value("auc", "boosting") == written["baseline"]["boosting"]["auc"]
    low, high = result.interval("auc")
    assert low < result.value("auc") < high
    assert result.differences.loc[("linear", "auc"), "value"] == pytest.approx(result.value("auc") - result.value("auc", "linear"))
    assert list(result.history["epoch"]) == list(range(len(result.history)))
    assert len(result.trials) == 2
    assert len(result.slices) == 0  # 80 test rows are too few for any part of them
    assert set(result.windows["state"]) <= {"ok", "drift", "decay", "insufficient data"}
    assert result.gate["verdict"] == "first"
    assert {finding["severity"] for finding in result.leaks} <= {"error", "warning", "note"}
    assert "<table" in result._repr_html_()
    with pytest.raises(UserError, match="no metric 'acu' of network; there are auc, log_loss"):
        result.value("acu")
    with pytest.raises(UserError, match="no model 'forest' was measured; there are network, prior, linear, boosting"):
        result.interval("auc", "forest")


def test_a_model_answers_raw_rows_as_evaluate_saw_them(finished, elsewhere):
    import numpy as np

    project = Project(finished.folder)
    rows = project.rows("test", raw=True).set_index("__row_id__")
    with project.model() as model:
        answers = model.predict(rows)
        assert "Predicts `bought`" in model.card
        with pytest.raises(UserError, match="column age is missing; it reads"):
            model.predict(rows.drop(columns="age"))
    assert list(answers.index) == list(rows.index)
    assert answers["probability of yes"].to_numpy() == pytest.approx(np.load(finished.folder / paths.OUTPUTS), abs=1e-6)
    assert model._child.process.poll() is not None
    with pytest.raises(UserError, match="expected the folder of a model package"):
        project.model("data")


def test_runs_come_as_a_table(finished, elsewhere):
    project = Project(finished.folder)
    runs = project.runs()
    assert runs.loc[0, "key"] == read_json(finished.folder / paths.RUN)["run"]
    assert runs.loc[0, "metrics.test/auc"] == project.result().value("auc")
    assert len(project.runs(where="test/auc > 2")) == 0
    assert isinstance(runs, pd.DataFrame)


@pytest.mark.slow
def test_reproduce_runs_what_changed_and_shows_it(copied, elsewhere, capfd):
    project = Project(copied.folder)
    before = set(project.result().windows["rows"])
    project.change({"monitor.window": 100})
    result = project.reproduce()
    assert set(result.windows["rows"]) != before
    assert re.search(r"register +unchanged\n(.*\n)*monitor +\d", capfd.readouterr().out)
    with pytest.raises(UserError, match="pipeline run ended with exit code"):
        project.reproduce("--no-such-option")


def test_importing_it_loads_no_heavy_library():
    code = "import sys; import pipeline.api; print([m for m in ('tensorflow', 'keras', 'mlflow', 'pandas', 'duckdb') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_everything_public_says_what_it_does():
    for one in (api.Project, api.Result, api.Model):
        names = [name for name in vars(one) if not name.startswith("_")]
        silent = [name for name in names if callable(getattr(one, name)) or isinstance(vars(one).get(name), property)]
        assert [name for name in silent if not inspect.getdoc(getattr(one, name))] == []


def test_the_committed_reference_is_what_the_command_writes():
    from pipeline.api_reference import reference

    root = Path(__file__).parents[1]
    assert reference() == (root / "docs" / "api.md").read_text(encoding="utf-8"), "stale: python -m pipeline.api_reference > docs/api.md"

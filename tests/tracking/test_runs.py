"""Runs in a real SQLite store in the workspace."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT

from pipeline import paths
from pipeline.config import TrainParams
from pipeline.tracking import runs, store, sweeps

TAGS = {"git.commit": "abc", "stage": "train"}


def found_runs(name="data"):
    client = store.client()
    return client.search_runs([client.get_experiment_by_name(name).experiment_id])


def test_the_store_lies_in_the_state_folder_unless_a_server_is_named(workspace, monkeypatch):
    assert store.uri() == f"sqlite:///{workspace / '.state' / 'mlflow.db'}"
    monkeypatch.setenv("DVC_ROOT", str(workspace / "main"))  # as in the temporary workspace of an experiment
    assert store.uri() == f"sqlite:///{workspace / 'main' / '.state' / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert store.uri() == "http://127.0.0.1:1"


def test_one_process_may_read_the_stores_of_two_projects(workspace, monkeypatch):
    for name in ("one", "other"):
        (workspace / name).mkdir()
        monkeypatch.chdir(workspace / name)
        store.experiment(name)
    assert [found.name for found in store.client().search_experiments() if found.name != "Default"] == ["other"]
    assert "MLFLOW_TRACKING_URI" not in os.environ


def test_a_training_is_one_finished_run_with_params_metrics_inputs_and_files(workspace):
    (workspace / "note.txt").write_text("x")
    with runs.training("data", workspace / "marker", TAGS) as run:
        run.params({"seed": 1, "train": TrainParams(epochs=3)})
        run.inputs([runs.DataInput("data", "data/split/train", "d1", "train", {"rows": 12})])
        for epoch in range(3):
            run.metrics({"train/loss": 1.0 / (epoch + 1), "undefined": float("nan")}, step=epoch)
        run.files([Path("note.txt")])
    (only,) = found_runs()
    assert only.info.status == "FINISHED"
    assert only.data.params["train.epochs"] == "3"
    assert only.data.params["seed"] == "1"
    assert only.data.metrics["train/loss"] == pytest.approx(1 / 3)
    assert "undefined" not in only.data.metrics
    assert [m.step for m in store.client().get_metric_history(run.id, "train/loss")] == [0, 1, 2]
    assert only.inputs.dataset_inputs[0].dataset.digest == "d1"
    assert [f.path for f in store.client().list_artifacts(run.id)] == ["note.txt"]
    assert only.data.tags["mlflow.source.git.commit"] == "abc"
    assert not (workspace / "marker").exists()
    assert not (workspace / "mlruns").exists()


def test_the_system_s_metrics_are_sampled_while_training_lasts(workspace):
    with runs.training("data", workspace / "marker", TAGS) as run:
        until = time.monotonic() + 180  # the first sample waits for a process of its own to start
        name = "system/system_memory_usage_percentage"
        while not (found := run.id and store.client().get_run(run.id).data.metrics.get(name)):
            assert time.monotonic() < until
            time.sleep(0.5)
    assert found > 0


def test_a_failed_training_leaves_a_failed_run(workspace):
    with pytest.raises(ValueError, match="boom"), runs.training("data", workspace / "marker", TAGS):
        raise ValueError("boom")
    assert [run.info.status for run in found_runs()] == ["FAILED"]


def test_a_resumed_training_goes_on_in_the_same_run_and_tells_nothing_twice(workspace):
    killed = f"""
import os, time
from pathlib import Path
from pipeline.tracking import runs
with runs.training("data", Path("marker"), {TAGS}) as run:
    run.params({{"seed": 1}})
    run.metrics({{"train/loss": 1.0, "seconds": 0.1}}, step=0)
    size = run.journal.size
    while run.journal.sent["at"] < size:
        time.sleep(0.05)
    run.journal._events.open("ab").write(b'{{"metrics": {{"train/lo')
    os.kill(os.getpid(), 9)
"""
    done = subprocess.run([sys.executable, "-c", killed], env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == -9
    assert [run.info.status for run in found_runs()] == ["RUNNING"]
    with runs.training("data", workspace / "marker", TAGS) as run:
        run.params({"seed": 1})
        run.metrics({"train/loss": 1.0, "seconds": 0.2}, step=0)
        run.metrics({"train/loss": 0.5, "seconds": 0.2}, step=1)
    (only,) = found_runs()
    assert only.info.status == "FINISHED"
    assert [(m.step, m.value) for m in store.client().get_metric_history(run.id, "train/loss")] == [(0, 1.0), (1, 0.5)]
    assert len(store.client().get_metric_history(run.id, "seconds")) == 2


def test_a_sweep_is_one_run_with_one_below_it_for_each_trial(workspace, monkeypatch):
    def trial(number, state="complete"):
        told = {"number": number, "state": state, "reason": "hopeless", "objective": "loss", "started": 1.0, "ended": 2.0}
        return told | {"params": {"a": number}, "curve": {0: 1.0, 1: 0.5}, "measured": {"auc": 0.7}}

    first = sweeps.Sweep("data", "study-1", {"git.commit": "abc"})
    first.log(trial(0))
    first.close("KILLED", {}, {}, [])
    with monkeypatch.context() as patch:  # killed in the middle of a trial's run
        second = sweeps.Sweep("data", "study-1", {})
        patch.setattr(type(store.client()), "log_batch", lambda *arguments, **keys: (_ for _ in ()).throw(OSError("killed")))
        second.log(trial(1, "pruned"))
        second.close("KILLED", {}, {}, [])
    again = sweeps.Sweep("data", "study-1", {})
    for each in (trial(0), trial(1, "pruned"), trial(2, "failed")):
        again.log(each)
    again.close("FINISHED", {"a": 1}, {"best/validation/loss": 0.5}, [])
    found = found_runs()
    parent = next(run for run in found if run.info.run_id == again.run.id)
    children = {run.data.tags["trial"]: run for run in found if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id}
    assert {number: run.info.status for number, run in children.items()} == {"0": "FINISHED", "1": "FINISHED", "2": "FAILED"}
    assert children["1"].data.tags["state"] == "pruned"
    assert children["1"].data.tags["reason"] == "hopeless"
    assert children["0"].data.metrics == {"validation/loss": 0.5, "best/auc": 0.7}
    assert (parent.info.status, parent.data.tags["best.a"], parent.data.metrics["best/validation/loss"]) == ("FINISHED", "1", 0.5)
    assert len(found) == 4
    assert sweeps.key_of(children["1"].info.run_id) == "study-1"
    assert sweeps.key_of("0" * 32) is None


def test_four_processes_start_on_an_empty_store_without_a_race(workspace):
    code = f"""
from pathlib import Path
import os
from pipeline.tracking import runs
with runs.training("data", Path(f"marker-{{os.getpid()}}"), {TAGS}) as run:
    run.metrics({{"x": 1.0}})
assert run.id
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    children = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    assert len(found_runs()) == 4


def test_state_folder_can_be_named(workspace, monkeypatch):
    monkeypatch.setenv("PIPELINE_STATE", str(workspace / "elsewhere"))
    assert paths.state() == workspace / "elsewhere"

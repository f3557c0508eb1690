"""Promise 3: no run is lost: not by DVC's cache, not in an experiment's workspace, not by a kill, not with the store."""

import copy
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import psutil
import pytest
from repository import Repository

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SPELLINGS = itertools.count()
LONG = {"epochs": 400, "early_stopping": 400, "batch_size": 8}
QUICK = {"tune": {"trials": 0}, "evaluate": {"replicates": 100}}


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository whose pipeline has run as far as evaluate, without a sweep."""
    made = Repository(tmp_path_factory.mktemp("lost") / "work")
    made.write_params({**made.params, **QUICK})
    made.run("git", "commit", "-qam", "params")
    made.dvc("repro", "evaluate")
    made.run("git", "add", "dvc.lock")
    made.run("git", "commit", "-qm", "lock")
    return made


@pytest.fixture
def trained(repository, tmp_path):
    """A copy to change."""
    made = Repository.__new__(Repository)
    made.folder = tmp_path / "copy"
    shutil.copytree(repository.folder, made.folder, symlinks=True)
    return made


def store(repository):
    """A client that sees the file which is there now: MLflow keeps open what an address stood for once."""
    spelling = "./" * next(SPELLINGS)
    return mlflow.MlflowClient(f"sqlite:///{repository.folder}/.state/{spelling}mlflow.db")


def trainings(repository):
    client = store(repository)
    return client.search_runs([client.get_experiment_by_name("rows").experiment_id], "tags.stage = 'train'")


def history(repository, run, metric="validation/loss"):
    client = store(repository)
    return [point.step for point in client.get_metric_history(run.info.run_id, metric)]


def named(repository):
    return json.loads((repository.folder / "models" / "run.json").read_text())


def rate(repository, value):
    repository.write_params({**repository.params, "train": {**repository.params["train"], "learning_rate": value}})


def told(repository, text):
    """How often the journals of a repository hold a text."""
    return sum(file.read_text().count(text) for file in (repository.folder / ".state" / "runs").glob("*/events.jsonl"))


def started(repository, *words):
    """A command in a repository, as a process of its own."""
    outer = {k: v for k, v in os.environ.items() if k not in ("DVC_ROOT", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI", "PIPELINE_STATE")}
    path = os.pathsep.join([str(Path(sys.executable).parent), outer["PATH"]])
    words = [sys.executable, "-m", *words]
    return subprocess.Popen(words, cwd=repository.folder, env={**outer, "PATH": path}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def killed(process, repository, epochs):
    """Kill a process as soon as the journals tell of so many epochs."""
    while told(repository, '"validation/loss"') < epochs:
        assert process.poll() is None, "it ended before its moment came"
        time.sleep(0.02)
    below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    return below


def queued(repository):
    """The states of the experiments that were queued."""
    told = repository.dvc("queue", "status").stdout.splitlines()
    return [line.split()[-1] for line in told if line[:1].strip() and "Worker" not in line]


def test_back_to_earlier_params_means_two_trainings_and_the_earlier_one_s_run(trained):
    first = named(trained)
    rate(trained, 0.005)
    trained.dvc("repro", "evaluate")
    assert named(trained)["run"] != first["run"]
    rate(trained, 0.001)
    told = trained.dvc("repro", "evaluate").stdout
    assert "is cached" in told
    assert named(trained) == first
    found = {run.data.tags["pipeline.run"]: run for run in trainings(trained)}
    assert len(found) == 2
    assert found[first["run"]].data.params["train.learning_rate"] == "0.001"
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    assert all("test/auc" in run.data.metrics for run in found.values())


def test_six_queued_experiments_on_two_workers_and_a_temporary_one_all_arrive_under_their_names(trained):
    """The first two, which run side by side, run all stages."""
    rates = [0.002 + at / 1000 for at in range(6)]
    for at, value in enumerate(rates):
        trained.dvc("exp", "run", "--queue", "-S", f"train.learning_rate={value}", *(["evaluate"] if at > 1 else []))
    trained.dvc("queue", "start", "-j", "2")
    end = time.monotonic() + 600
    ended = lambda: trained.run("git", "for-each-ref", "refs/exps/??/*/*", "refs/exps/celery/failed").stdout  # noqa: E731
    while (told := ended()).count("\n") < 6 and "failed" not in told and time.monotonic() < end:  # cheaper to ask than the queue
        time.sleep(1)
    while {"Queued", "Running"} & set(states := queued(trained)) and time.monotonic() < end:
        time.sleep(3)
    assert states.count("Success") == 6, trained.dvc("queue", "status").stdout
    trained.dvc("exp", "run", "--temp", "-S", "train.learning_rate=0.01", "evaluate")
    names = set(trained.dvc("exp", "list", "--name-only").stdout.split())
    assert len(names) == 7
    found = {run.data.tags["dvc.experiment"]: run for run in trainings(trained) if "dvc.experiment" in run.data.tags}
    assert set(found) == names
    assert {name: run.info.run_name for name, run in found.items()} == {name: name for name in names}
    assert {float(run.data.params["train.learning_rate"]) for run in found.values()} == {*rates, 0.01}
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    assert all(history(trained, run) == [0, 1, 2] and "test/auc" in run.data.metrics for run in found.values())
    assert len(trainings(trained)) == 8


def test_a_training_killed_at_ten_moments_ends_as_one_run_with_the_bytes_of_an_undisturbed_one(trained, tmp_path):
    params = trained.params
    trained.write_params({**params, "train": {**params["train"], **LONG}})
    undisturbed = copy.copy(trained)
    undisturbed.folder = tmp_path / "undisturbed"
    shutil.copytree(trained.folder, undisturbed.folder, symlinks=True)
    undisturbed.pipeline("train")
    before = told(trained, '"validation/loss"')
    for epochs in sorted(random.Random(7).sample(range(390), 10)):
        killed(started(trained, "pipeline", "train"), trained, before + epochs)
    trained.pipeline("train")
    without = ("run.json", "tracked.json")
    assert trained.bytes("models", "reports/train", without=without) == undisturbed.bytes("models", "reports/train", without=without)
    (run,) = [run for run in trainings(trained) if run.data.params["train.epochs"] == "400"]
    assert run.data.tags["pipeline.run"] == named(trained)["run"]
    assert history(trained, run) == list(range(400))
    assert [run.info.status for run in trainings(trained)] == ["FINISHED"] * 2


def test_a_training_that_a_killed_repro_left_behind_is_the_only_one(trained):
    """It lives on; the next repro waits for it, and does not train the same again."""
    trained.write_params({**trained.params, "train": {**trained.params["train"], **LONG, "epochs": 200}})
    before = told(trained, '"validation/loss"')
    below = killed(started(trained, "dvc", "repro", "train"), trained, before + 20)
    trained.dvc("repro", "train")
    assert not [process for process in below if process.is_running()]
    (run,) = [run for run in trainings(trained) if run.data.params["train.epochs"] == "200"]
    assert run.data.tags["pipeline.run"] == named(trained)["run"]
    assert run.info.status == "FINISHED"
    assert history(trained, run) == list(range(200))
    assert "up to date" in trained.dvc("status", "train").stdout


@pytest.mark.parametrize("gone", ["store", "all state"])
def test_a_lost_store_is_made_anew_with_all_that_it_held(trained, gone):
    (before,) = trainings(trained)
    if gone == "store":
        for file in (trained.folder / ".state").glob("mlflow.db*"):
            file.unlink()
        shutil.rmtree(trained.folder / ".state" / "artifacts")
    else:  # as in a clone that pulled the outputs
        shutil.rmtree(trained.folder / ".state")
    assert "1 run sent" in trained.pipeline("sync").stdout
    assert "up to date" in trained.pipeline("sync").stdout
    (run,) = trainings(trained)
    assert run.data.params == before.data.params
    kept = lambda found: {name: value for name, value in found.data.metrics.items() if not name.startswith(("system/", "seconds"))}  # noqa: E731
    assert kept(run) == kept(before)
    assert history(trained, run) == [0, 1, 2]
    assert run.data.tags.get("recreated", "").startswith("from files") == (gone != "store")
    ignored = ("mlflow.", "recreated")
    tags = lambda found: {name: value for name, value in found.data.tags.items() if not name.startswith(ignored)}  # noqa: E731
    assert tags(run) == tags(before)
    client = store(trained)
    assert {"train", "evaluate", "lineage", "model.keras", "params.yaml"} <= {one.path for one in client.list_artifacts(run.info.run_id)}


def kept(repository):
    """All that the store holds of the repository's runs and versions, but for ids and times of MLflow's."""
    client = store(repository)
    where = client.get_experiment_by_name("rows").experiment_id

    def files(run, folder=None):
        for one in client.list_artifacts(run, folder):
            yield from files(run, one.path) if one.is_dir else [(one.path, one.file_size)]

    keys = {run.info.run_id: run.data.tags.get("pipeline.run") or run.data.tags["mlflow.runName"] for run in client.search_runs([where])}
    runs = {
        keys[run.info.run_id]: {
            "status": run.info.status,
            "times": (run.info.start_time, run.info.end_time),
            "params": run.data.params,
            "tags": {**run.data.tags, "mlflow.parentRunId": keys.get(run.data.tags.get("mlflow.parentRunId"))},
            "inputs": sorted((i.dataset.name, i.dataset.digest, i.dataset.source, i.tags[0].value) for i in run.inputs.dataset_inputs),
            "metrics": {name: [(p.step, p.value) for p in client.get_metric_history(run.info.run_id, name)] for name in run.data.metrics},
            "files": sorted(files(run.info.run_id)),
        }
        for run in client.search_runs([where])
    }
    versions = {
        version.version: (version.tags, client.get_model_version(version.name, version.version).aliases, keys[version.run_id])
        for version in client.search_model_versions("name = 'small'")
    }
    return runs, versions


def test_a_lost_store_has_sweep_training_monitoring_and_registered_version_again(copied):
    before = kept(copied)
    for file in (copied.folder / ".state").glob("mlflow.db*"):
        file.unlink()
    shutil.rmtree(copied.folder / ".state" / "artifacts")
    told = copied.pipeline("sync").stdout
    assert "2 runs sent, 2 of them anew" in told
    runs, versions = kept(copied)
    assert runs == before[0]
    assert versions == before[1]


def test_monitoring_is_in_the_run_that_a_clone_without_state_makes_anew(copied):
    key = named(copied)["run"]
    before = kept(copied)[0][key]
    shutil.rmtree(copied.folder / ".state")
    assert "1 run sent" in copied.pipeline("sync").stdout
    (run,) = kept(copied)[0].values()
    clocked = ("system/", "seconds")
    numbers = {name: values for name, values in before["metrics"].items() if not name.startswith(clocked)}
    assert {name.partition("/")[0] for name in numbers} >= {"train", "validation", "test", "monitor"}
    assert run["metrics"] == numbers
    for kind in ("status", "params", "inputs", "files"):
        assert run[kind] == before[kind], kind

"""Promise 3: no run is lost: not by DVC's cache, not in an experiment's workspace, not by a kill, not with the store."""

import itertools
import json
import random
import shutil
import signal
import subprocess
import sys
import time

import mlflow
import pytest
from repository import Repository

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SPELLINGS = itertools.count()
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
def copied(repository, tmp_path):
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


def test_back_to_earlier_params_means_two_trainings_and_the_earlier_one_s_run(copied):
    first = named(copied)
    rate(copied, 0.005)
    copied.dvc("repro", "evaluate")
    assert named(copied)["run"] != first["run"]
    rate(copied, 0.001)
    told = copied.dvc("repro", "evaluate").stdout
    assert "is cached" in told
    assert named(copied) == first
    found = {run.data.tags["pipeline.run"]: run for run in trainings(copied)}
    assert len(found) == 2
    assert found[first["run"]].data.params["train.learning_rate"] == "0.001"
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    assert all("test/auc" in run.data.metrics for run in found.values())


def test_six_queued_experiments_on_two_workers_and_a_temporary_one_all_arrive_under_their_names(copied):
    rates = [0.002 + at / 1000 for at in range(6)]
    for value in rates:
        copied.dvc("exp", "run", "--queue", "-S", f"train.learning_rate={value}")
    copied.dvc("queue", "start", "-j", "2")
    end = time.monotonic() + 600
    while time.monotonic() < end:
        states = [
            line.split()[-1] for line in copied.dvc("queue", "status").stdout.splitlines() if line[:1].strip() and "Worker" not in line
        ]
        if sum(state in ("Success", "Failed") for state in states) == 6:
            break
        time.sleep(3)
    assert states.count("Success") == 6, copied.dvc("queue", "status").stdout
    copied.dvc("exp", "run", "--temp", "-S", "train.learning_rate=0.01")
    names = set(copied.dvc("exp", "list", "--name-only").stdout.split())
    assert len(names) == 7
    found = {run.data.tags["dvc.experiment"]: run for run in trainings(copied) if "dvc.experiment" in run.data.tags}
    assert set(found) == names
    assert {name: run.info.run_name for name, run in found.items()} == {name: name for name in names}
    assert {float(run.data.params["train.learning_rate"]) for run in found.values()} == {*rates, 0.01}
    assert {run.info.status for run in found.values()} == {"FINISHED"}
    assert all(history(copied, run) == [0, 1, 2] and "test/auc" in run.data.metrics for run in found.values())
    assert len(trainings(copied)) == 8


def test_a_training_killed_at_ten_moments_ends_as_one_run_with_the_bytes_of_an_undisturbed_one(copied, tmp_path):
    params = copied.params
    copied.write_params({**params, "train": {**params["train"], "epochs": 400, "early_stopping": 400, "batch_size": 8}})
    undisturbed = Repository.__new__(Repository)
    undisturbed.folder = tmp_path / "undisturbed"
    shutil.copytree(copied.folder, undisturbed.folder, symlinks=True)
    undisturbed.pipeline("train")
    moments, kills = random.Random(7), 0
    for at in range(30):
        process = subprocess.Popen(
            [sys.executable, "-m", "pipeline", "train"], cwd=copied.folder, stderr=subprocess.DEVNULL, start_new_session=at % 2 == 0
        )
        try:
            process.wait(timeout=moments.uniform(3, 9) if kills < 10 else None)
            break
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
    assert process.returncode == 0
    assert kills >= 3  # the rest ended before its moment came
    without = ("run.json", "tracked.json")
    assert copied.bytes("models", "reports/train", without=without) == undisturbed.bytes("models", "reports/train", without=without)
    (run,) = [run for run in trainings(copied) if run.data.params["train.epochs"] == "400"]
    assert run.data.tags["pipeline.run"] == named(copied)["run"]
    assert run.info.status == "FINISHED"
    assert history(copied, run) == list(range(400))
    assert [run.info.status for run in trainings(copied)] == ["FINISHED"] * 2


@pytest.mark.parametrize("gone", ["store", "all state"])
def test_a_lost_store_is_made_anew_with_all_that_it_held(copied, gone):
    (before,) = trainings(copied)
    if gone == "store":
        for file in (copied.folder / ".state").glob("mlflow.db*"):
            file.unlink()
        shutil.rmtree(copied.folder / ".state" / "artifacts")
    else:  # as in a clone that pulled the outputs
        shutil.rmtree(copied.folder / ".state")
    assert "1 run sent" in copied.pipeline("sync").stdout
    assert "up to date" in copied.pipeline("sync").stdout
    (run,) = trainings(copied)
    assert run.data.params == before.data.params
    kept = lambda found: {name: value for name, value in found.data.metrics.items() if not name.startswith(("system/", "cost/", "seconds"))}  # noqa: E731
    assert kept(run) == kept(before)
    assert history(copied, run) == [0, 1, 2]
    assert run.data.tags.get("recreated", "").startswith("from files") == (gone != "store")
    ignored = ("mlflow.", "recreated")
    tags = lambda found: {name: value for name, value in found.data.tags.items() if not name.startswith(ignored)}  # noqa: E731
    assert tags(run) == tags(before)
    client = store(copied)
    assert {"train", "evaluate", "lineage", "model.keras", "params.yaml"} <= {one.path for one in client.list_artifacts(run.info.run_id)}

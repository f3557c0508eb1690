"""A store that refuses, hangs, dies or is lost: it costs seconds, never a result, and gets everything later, once."""

import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import mlflow
import pytest
from conftest import ROOT

from pipeline import files, paths
from pipeline.tracking import journal, runs, sending, store

pytestmark = pytest.mark.usefixtures("sent_here")
TAGS = {"git.commit": "abc", "stage": "train"}


def found_runs(name="data", client=None):
    client = client or store.client()
    found = client.get_experiment_by_name(name)
    return client.search_runs([found.experiment_id]) if found else []


def train(workspace, epochs=3):
    """A training that tells of epochs and a file; its run."""
    (workspace / "note.txt").write_text(f"{epochs}")
    with runs.training("data", workspace / "marker", TAGS) as run:
        run.params({"seed": 1})
        for epoch in range(epochs):
            run.metrics({"train/loss": 1.0 / (epoch + 1)}, step=epoch)
        run.files([Path("note.txt")])
    return run


def complete(found, epochs=3, client=None):
    client = client or store.client()
    history = client.get_metric_history(found.info.run_id, "train/loss")
    return (
        found.info.status == "FINISHED"
        and found.data.params == {"seed": "1"}
        and [m.step for m in history] == list(range(epochs))
        and [f.path for f in client.list_artifacts(found.info.run_id)] == ["note.txt"]
    )


def lose_store():
    """Remove the store, have `pipeline sync` make it anew in a process of its own, and look into it (this process has the old one open)."""
    for file in [*paths.state().glob("mlflow.db*"), paths.state() / "artifacts"]:
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    done = subprocess.run([sys.executable, "-m", "pipeline", "sync"], capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return done.stdout, mlflow.MlflowClient(f"sqlite:///{paths.state()}/./mlflow.db")


@contextmanager
def deaf():
    """The address of a server that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield f"http://me:hushhush@127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("kind", ["refusing", "hanging"])
def test_a_store_out_of_reach_costs_seconds_and_no_result(workspace, monkeypatch, caplog, kind):
    monkeypatch.setattr(sending, "PATIENCE", 2.0)
    with deaf() as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address if kind == "hanging" else "http://me:hushhush@127.0.0.1:9")  # the discard port
        started = time.monotonic()
        run = train(workspace)
        first = time.monotonic() - started
        train(workspace)
        both = time.monotonic() - started
    assert run.id is None
    assert first < 6  # with MLflow's import
    assert both - first < 2
    assert f"run {run.key} is complete in files" in caplog.text
    assert "//me:***@127.0.0.1" in caplog.text
    kept = "".join(file.read_text() for file in paths.state().rglob("*") if file.is_file())
    assert "hushhush" not in caplog.text + kept


def test_what_a_store_missed_is_sent_by_the_next_stage_once(workspace, monkeypatch):
    real = type(store.client())
    with monkeypatch.context() as patch:
        patch.setattr(real, "create_run", lambda *arguments, **keys: (_ for _ in ()).throw(OSError("no")))
        missed = train(workspace)
    assert missed.id is None
    assert found_runs() == []
    other = train(workspace, epochs=2)
    found = {run.data.tags["pipeline.run"]: run for run in found_runs()}
    assert set(found) == {missed.key, other.key}
    (workspace / "note.txt").unlink()  # copies were kept
    assert complete(found[missed.key])
    assert complete(found[other.key], epochs=2)
    assert sending.sync() == (0, 0)
    assert len(found_runs()) == 2
    assert not list((paths.state() / "runs").rglob("note.txt"))  # and are gone


@pytest.mark.parametrize("at", ["create_run", "log_batch", "log_artifact", "set_terminated"])
def test_an_answer_that_got_lost_makes_nothing_twice(workspace, monkeypatch, at):
    """The store did what it was asked, and the connection broke before it could say so."""
    real = getattr(type(store.client()), at)

    def deaf_once(*arguments, **keys):
        monkeypatch.setattr(type(store.client()), at, real)
        real(*arguments, **keys)
        raise OSError("connection reset")

    monkeypatch.setattr(type(store.client()), at, deaf_once)
    train(workspace)
    sending.sync()
    (only,) = found_runs()
    assert complete(only)


def test_a_trial_whose_run_was_made_and_never_noted_has_one_run(workspace, monkeypatch):
    """The process was killed, or the connection broke, between the two."""

    def trial(number):
        about = {"state": "complete", "reason": "", "params": {"rate": number}, "objective": "loss"}
        return about | {"number": number, "curve": {"0": 0.5}, "measured": {}, "started": 1.0, "ended": 2.0}

    tags = {"study": "abcdef", "stage": "tune", "mlflow.runName": "sweep abcdef"}
    sweep = journal.Journal.begin("sweep-abcdef", store=store.meant(), experiment="data", tags=tags)
    sweep.add(trial=trial(0))
    sending.send(sweep)
    real = type(store.client()).create_run

    def deaf_once(*arguments, **keys):
        monkeypatch.setattr(type(store.client()), "create_run", real)
        real(*arguments, **keys)
        raise OSError("connection reset")

    monkeypatch.setattr(type(store.client()), "create_run", deaf_once)
    for number in (1, 2):
        sweep.add(trial=trial(number))
    with pytest.raises(OSError, match="connection reset"):
        sending.send(sweep)
    sending.send(sweep)
    client = store.client()
    below = client.search_runs([store.experiment("data")], f"tags.`mlflow.parentRunId` = '{sweep.sent['run_id']}'")
    assert sorted((run.data.tags["trial"], run.info.status) for run in below) == [(str(at), "FINISHED") for at in range(3)]


def test_a_killed_training_leaves_no_run_that_seems_to_run(workspace):
    code = f"""
import os, time
from pathlib import Path
from pipeline.tracking import runs
with runs.training("data", Path("marker"), {TAGS}) as run:
    run.metrics({{"train/loss": 1.0}})
    size = run.journal.size
    while run.journal.sent["at"] < size:
        time.sleep(0.05)
    os.kill(os.getpid(), 9)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == -9
    assert [run.info.status for run in found_runs()] == ["RUNNING"]
    (workspace / "marker").unlink()  # another training comes next
    run = train(workspace)
    status = {found.data.tags["pipeline.run"]: found.info.status for found in found_runs()}
    assert status.pop(run.key) == "FINISHED"
    assert list(status.values()) == ["KILLED"]


def test_a_lost_store_is_made_anew_from_the_journals_but_not_what_a_person_deleted(workspace):
    kept, deleted = train(workspace), train(workspace)
    store.client().delete_run(deleted.id)
    assert sending.sync() == (0, 0)
    assert len(found_runs()) == 1
    told, client = lose_store()
    assert "2 runs sent, 2 of them anew" in told
    found = {run.data.tags["pipeline.run"]: run for run in found_runs(client=client)}
    assert set(found) == {kept.key, deleted.key}  # which was deleted, nobody knows any more
    assert complete(found[kept.key], client=client)


def test_a_run_is_made_anew_from_the_stages_files_where_there_is_no_journal(workspace):
    run = train(workspace)
    tags = run.journal.head["tags"]
    made = {"run": run.key, "run_id": run.id, "experiment": "data", "started": 1000, "ended": 2000, "tags": tags}
    files.write_json(paths.RUN, made)
    run.save(paths.REPORTS / "train")
    known = {name: store.client().get_run(run.id).data.metrics[name] for name in ("train/loss",)}
    shutil.rmtree(paths.state() / "runs")
    with runs.reopened(paths.RUN, "evaluate") as again:  # the store knows it: nothing is written twice
        again.metrics({"test/auc": 0.7})
    (only,) = found_runs()
    assert only.info.run_id == run.id
    assert "recreated" not in only.data.tags
    assert len(store.client().get_metric_history(run.id, "train/loss")) == 3
    assert only.data.metrics["test/auc"] == 0.7

    shutil.rmtree(paths.state() / "runs")
    told, client = lose_store()
    assert "1 run sent" in told
    (only,) = found_runs(client=client)
    assert complete(only, client=client)
    assert only.data.metrics == known
    assert only.data.tags["recreated"].startswith("from files")
    assert only.data.tags["git.commit"] == "abc"
    assert (only.info.start_time, only.info.end_time) == (1000, 2000)


def test_a_journal_is_meant_for_one_store(workspace, monkeypatch):
    train(workspace)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workspace}/other.db")
    assert sending.sync() == (0, 0)
    assert found_runs() == []
    assert journal.all_of(store.meant()) == []

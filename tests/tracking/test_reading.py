"""Runs are found by any of their names, in the store or in journals that it has not got yet."""

import shutil

import pytest

from pipeline import files, paths
from pipeline.errors import UserError
from pipeline.tracking import reading, runs, store, sweeps

pytestmark = pytest.mark.usefixtures("sent_here")


def train(workspace, name, experiment="data", **metrics):
    with runs.training(experiment, workspace / "marker", {"stage": "train", "dvc.experiment": name, "study": "beef01"}) as run:
        run.params({"seed": 1, "url": "http://me:hushhush@host"})
        run.inputs([runs.DataInput("data", "s3://me:hushhush@host/x", "d1", "train", {"rows": 12})])
        run.metrics({"test/auc": 0.5, **metrics})
    return run


def refuse(monkeypatch):
    """The store takes no new run, as if it were away for a moment."""
    monkeypatch.setattr(type(store.client()), "create_run", lambda *arguments, **keys: (_ for _ in ()).throw(OSError("no")))


def test_what_the_store_and_a_journal_tell_of_a_run_is_the_same(workspace):
    run = train(workspace, "bald-mare")
    (stored,) = reading.all_runs()
    journaled = reading._journaled(run.journal)
    assert stored == journaled
    assert (stored.key, stored.run_id, stored.name, stored.status, stored.sent) == (run.key, run.id, "bald-mare", "FINISHED", True)
    assert stored.inputs[0]["digest"] == "d1"
    assert stored.inputs[0]["profile"] == {"rows": 12}
    assert stored.metrics["test/auc"] == 0.5
    assert stored.end >= stored.start
    assert "hushhush" not in str(stored)
    assert "me:***@host" in stored.params["url"]


def test_runs_come_newest_first_by_stage_and_experiment_and_no_more_than_asked(workspace, monkeypatch):
    first, second, other = train(workspace, "a"), train(workspace, "b"), train(workspace, "c", experiment="other")
    sweeps.Sweep("data", "beef01", {}).close("FINISHED", {"x": 1}, {}, [])
    assert [run.key for run in reading.all_runs()] == [other.key, second.key, first.key]
    assert [run.name for run in reading.all_runs("data", stages=("train", "tune"))] == ["sweep beef01", "b", "a"]
    with pytest.raises(UserError, match=r"no experiment dato; nearest: data$"):
        reading.all_runs("dato")
    asked = []
    real = type(store.client()).search_runs
    monkeypatch.setattr(type(store.client()), "search_runs", lambda *a, **k: asked.append(k["max_results"]) or real(*a, **k))
    assert [run.name for run in reading.all_runs(limit=1)] == ["c"]
    assert asked == [1]
    monkeypatch.setattr(reading, "PAGE", 1)
    assert [run.name for run in reading.all_runs(keep=lambda run: run.name != "b")] == ["c", "a"]
    assert reading.before(reading.one("b")).name == "a"
    assert reading.before(reading.one("a")) is None
    assert reading.sweep(reading.one("b")).key == "sweep-beef01"


def test_a_run_is_found_by_each_of_its_names(workspace):
    run, other = train(workspace, "bald-mare"), train(workspace, "crisp-otter")
    for text in (run.key, run.key[:6], run.id, run.id[:6], "bald-mare"):
        assert reading.one(text).key == run.key
    assert reading.one("last").key == other.key
    with pytest.raises(UserError, match="no run workspace"):
        reading.one("workspace")
    files.write_json(paths.RUN, {"run": run.key})
    assert reading.one("workspace").key == run.key
    with pytest.raises(UserError, match=r"no run bold-mare; nearest: bald-mare$"):
        reading.one("bold-mare")
    with pytest.raises(UserError, match="at least 4 characters"):
        reading.one(run.key[:3])
    with pytest.raises(UserError, match="no run it's; there are"):
        reading.one("it's")
    with pytest.raises(UserError, match="no run %%%%"):  # no pattern of the store's language
        reading.one("%%%%")
    again = train(workspace, "bald-mare")
    with pytest.raises(UserError, match="2 runs are called bald-mare") as told:
        reading.one("bald-mare")
    assert [line.split()[0] for line in told.value.messages[1:]] == [again.key[:12], run.key[:12]]


def test_a_journal_that_the_store_has_not_got_is_listed_once_as_not_sent(workspace, monkeypatch):
    sent = train(workspace, "sent")
    with monkeypatch.context() as patch:
        refuse(patch)
        missed = train(workspace, "missed")
    late = runs.Journal(sent.key)
    late.add(metrics={"test/f1": 0.25}, step=0, time=1)  # told, and not sent yet
    found = reading.all_runs()
    assert [(run.key, run.sent, run.run_id) for run in found] == [(missed.key, False, None), (sent.key, False, sent.id)]
    assert found[1].metrics["test/f1"] == 0.25
    for text in ("missed", missed.key[:5], "last"):
        assert reading.one(text).key == missed.key
    assert reading.artifacts(missed.id) == reading.versions(missed.id) == []


def test_a_store_out_of_reach_leaves_the_journals_with_one_warning(workspace, monkeypatch, caplog):
    train(workspace, "kept")
    (workspace / ".state" / "mlflow.db").write_text("not a database")
    store._client.cache_clear()
    reading._reachable.cache_clear()
    assert [run.name for run in reading.all_runs()] == ["kept"]
    assert reading.one("kept").name == "kept"
    assert reading.artifacts(reading.one("kept").run_id) == []
    assert [record.levelname for record in caplog.records].count("WARNING") == 1
    assert "only runs in this machine's journals are known" in caplog.text


def test_where_nothing_was_ever_run_nothing_is_found_and_no_store_is_made(workspace):
    assert reading.all_runs() == []
    assert not (paths.state() / "mlflow.db").exists()
    with pytest.raises(UserError, match="there are none yet: `pipeline run` makes one"):
        reading.one("last")


def test_trials_are_counted_from_the_journal_or_the_store_and_artifacts_and_versions_are_named(workspace):
    sweep = sweeps.Sweep("data", "beef01", {})
    for number in range(3):
        told = {"number": number, "state": "complete", "reason": "", "objective": "loss", "started": 1.0, "ended": 2.0}
        sweep.log(told | {"params": {}, "curve": {}, "measured": {}})
    (workspace / "note.txt").write_text("x")
    sweep.close("FINISHED", {}, {}, [workspace / "note.txt"])
    found = reading.one("beef")
    assert reading.trials(found) == 3
    shutil.rmtree(paths.state() / "runs")
    assert reading.trials(found) == 3
    assert reading.artifacts(found.run_id) == ["tune/"]
    client = store.client()
    client.create_registered_model("small")
    client.create_model_version("small", "file:///x", found.run_id)
    client.set_registered_model_alias("small", "champion", "1")
    assert reading.versions(found.run_id) == ["small version 1 (champion)"]

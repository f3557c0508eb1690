"""`pipeline status`: what it says of a project, of its latest runs, and of a store that it reads without MLflow."""

from __future__ import annotations

import json
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from pipeline import files, paths
from pipeline.cli import main
from pipeline.health import locks, places
from pipeline.staleness import latest, table
from pipeline.staleness.latest import Champion, Run, Watched
from pipeline.tracking import glance
from pipeline.tracking.journal import Journal, now

FLOW = {"stages": {"collect": {"cmd": "true", "params": ["data"], "deps": ["${data.source}"], "outs": ["data/raw"]}}}
HOUR = 3_600_000


def invoke(*words: str):
    return CliRunner().invoke(main, ["status", *words])


@pytest.fixture
def project(workspace, write_params) -> Path:
    write_params()
    (workspace / "rows.csv").write_text("a\n1\n")
    (workspace / "dvc.yaml").write_text(yaml.safe_dump(FLOW))
    return workspace


def test_a_project_never_run_says_so_and_what_to_do_and_stays_as_it_is(project):
    before = sorted(project.rglob("*"))
    done = invoke()
    assert done.exit_code == 0, done.output
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["stage", "state", "because"],
        ["collect", "never", "run"],
        [],
        ["Never", "run", "here:", "`pipeline", "check`", "reads", "params.yaml,", "`pipeline", "run`", "runs", "it", "all."],
    ]
    assert sorted(project.rglob("*")) == before


def test_json_has_the_stages_and_what_came_of_them(project):
    done = json.loads(invoke("--json").stdout)
    assert done["stages"] == [{"stage": "collect", "state": "never run", "changes": [], "after": [], "running": []}]
    assert {name: done[name] for name in ("run", "champion", "watched", "unsent", "checkpoint", "remote")} == {
        "run": None, "champion": None, "watched": None, "unsent": 0, "checkpoint": None, "remote": []
    }  # fmt: skip


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("dvc.yaml", "dvc.yaml: no such file here; run in the project's root"),
        ("params.yaml", "status: no params.yaml here: `pipeline init` writes one"),
    ],
)
def test_a_folder_that_is_no_project_is_a_mistake_in_one_line(project, file, told):
    (project / file).unlink()
    done = invoke()
    assert (done.exit_code, done.stderr.strip()) == (2, told)


def test_a_source_on_a_server_is_not_asked_and_that_is_said(project, write_params):
    write_params(data={"source": "https://user:secret@example.org/rows.csv"})
    lock = {
        "schema": "2.0",
        "stages": {"collect": {"cmd": "true", "deps": [{"path": "https://user:secret@example.org/rows.csv", "etag": "x"}]}},
    }
    lock["stages"]["collect"]["params"] = {"params.yaml": {"data": yaml.safe_load((project / "params.yaml").read_text())["data"]}}
    lock["stages"]["collect"]["outs"] = []
    (project / "dvc.lock").write_text(yaml.safe_dump(lock))
    (project / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"collect": {**FLOW["stages"]["collect"], "outs": []}}}))
    done = invoke()
    assert "Nothing to run" in done.stdout
    assert "example.org/rows.csv changed: `dvc repro -f collect` reads it anew" in done.stdout
    assert "secret" not in done.stdout + invoke("--json").stdout


def journal(key: str, started: int, **more: dict) -> Journal:
    made = Journal.begin(key, store="own", experiment="e", tags={"stage": "train", "mlflow.runName": f"name-{key}"}, started=started)
    made.add(status="RUNNING", time=started)
    made.add(metrics={"test/auc": 0.7071, "test/auc/low": 0.66, "test/auc/high": 0.75, "baseline/linear/auc": 0.6}, step=0, time=started)
    return made


def test_the_last_run_is_the_newest_training_and_a_killed_one_is_called_so(workspace):
    assert latest.last_run() is None
    journal("old", 1000).add(status="FINISHED", time=2000)
    Journal.begin("sweep-x", store="own", experiment="e", tags={"stage": "tune"}, started=5000)
    found = latest.last_run()
    assert found == Run("old", "name-old", "finished", 1000, "auc 0.707 [0.660, 0.750]")
    journal("new", 3000)
    if locks.LOCKS.exists():
        assert (latest.last_run().key, latest.last_run().status, latest.unsent()) == ("new", "killed", 3)
        from filelock import FileLock

        with FileLock(paths.state_folder() / "locks" / "run-new.lock"):
            assert (latest.last_run().status, latest.unsent()) == ("running", 2)


def test_without_journals_the_last_run_is_that_of_the_models_folder(workspace):
    files.write_json(paths.RUN, {"run": "abc", "started": 7, "tags": {"mlflow.runName": "pulled", "git.commit": "c0ffee"}})
    assert latest.last_run() == Run("abc", "pulled", "finished", 7, "")
    assert latest.commit_of_last_run() == ["c0ffee"]
    assert not (workspace / ".state").exists()


def test_what_was_watched_last_is_a_deployed_model_before_the_rehearsal(workspace):
    assert latest.watched() is None
    windows = [{"kind": "control", "window": "control-01"}, {"kind": "production", "window": "production-01"}]
    told = {
        "model": {"name": "m", "version": "3"},
        "source": "production split",
        "state": "drift",
        "since": "production-01",
        "alarmed": True,
    }
    files.write_json(paths.MONITORED, {**told, "windows": windows})
    found = latest.watched()
    assert (found.source, found.state, found.windows, found.last) == ("production split", "drift", 1, "production-01")
    files.write_json(
        paths.REPORTS / "production" / "m-3" / "summary.json",
        {**told, "source": "log", "state": "ok", "alarmed": False, "windows": windows[1:]},
    )
    found = latest.watched()
    assert (found.source, found.page) == ("m version 3, log", "reports/production/m-3/index.html")


def test_the_facts_read_well(workspace):
    run = Run("3f2a9c1b77", "bald-mare", "finished", 0, "auc 0.7")
    champion = Champion("rand", "champion", 4, "1970-01-01T00:00:00.000000Z", "Ann", "better", "auc 0.7")
    watched = Watched("production split", "decay", "w2", True, 3, "w3", "reports/monitor/index.html", 0)
    rows = dict(table.latest(run, champion, watched, 2, 0, ["https://x.org/a.csv"], now=3 * HOUR))
    assert list(rows) == ["last run", "champion", "alarm", "unfinished", "not asked", "not sent"]
    assert rows["last run"] == "3f2a9c1b bald-mare, 3 h ago, finished: auc 0.7"
    assert rows["champion"].startswith("rand version 4 since 19")
    assert rows["champion"].endswith("(3 h ago), by Ann: better; auc 0.7")
    assert rows["alarm"] == "decay since w2; 3 windows, the last is w3 (production split); reports/monitor/index.html"
    assert dict(table.latest(None, Champion("rand", "best"), None, 0, None, [], now=0)) == {"best": "no version of rand has this place yet"}
    assert "not known: away" in dict(table.latest(None, Champion("rand", "best", unknown="away"), None, 0, None, [], now=0))["best"]


def test_a_store_that_cannot_be_read_is_away_and_one_that_is_not_made_has_no_champion(tmp_path):
    assert glance.holder(f"sqlite:///{tmp_path / 'none.db'}", "m", "champion") is None
    with closing(sqlite3.connect(tmp_path / "other.db")) as made:
        made.execute("create table of_something_else (x)")
    with pytest.raises(glance.Away, match="no such table"):
        glance.holder(f"sqlite:///{tmp_path / 'other.db'}", "m", "champion")
    with pytest.raises(glance.Away, match=r"pipeline versions"):
        glance.holder("postgresql://x/y", "m", "champion")


@pytest.mark.slow
def test_a_finished_project_has_nothing_to_run_and_the_champion_that_the_registry_has(finished, monkeypatch):
    from pipeline.tracking import registry

    monkeypatch.chdir(finished.folder)
    for name in ("DVC_ROOT", "MLFLOW_TRACKING_URI", "PIPELINE_STATE"):
        monkeypatch.delenv(name, raising=False)
    before = finished.run("git", "status", "--porcelain").stdout
    told = finished.pipeline("status").stdout
    assert "Nothing to run" in told
    assert told.count(" ok") == 10
    assert finished.run("git", "status", "--porcelain").stdout == before
    seen = glance.holder(places.store(), "small", "champion")
    known, move = registry.holding("small", "champion"), registry.history("small", "champion")[0]
    assert (seen.version, seen.run_id) == (known.number, known.run_id)
    assert (seen.since, seen.who, seen.why) == (move.when, move.who, move.why)
    assert latest.champion("small", "champion").result.startswith("auc 0.")
    assert latest.last_run().result == latest.champion("small", "champion").result


@pytest.mark.slow
def test_each_kind_of_change_is_told_in_a_real_project(copied):
    def said() -> str:
        return copied.pipeline("status").stdout

    params = copied.params
    copied.write_params({**params, "train": {**params["train"], "epochs": 7}})
    told = said()
    assert told.count("train.epochs 3 → 7") == 3  # tune, train, evaluate
    assert "`pipeline run` runs tune, train and evaluate, then register, monitor and report where what they read changes" in told
    copied.write_params(params)
    code, rows = copied.folder / "pipeline" / "models" / "fit.py", copied.folder / "rows.csv"
    code.write_text(code.read_text() + "\n# changed\n")
    told = said()
    assert "pipeline/models (fit.py)" in told  # a folder of code, told by the commit in which it ran
    assert copied.run("git", "checkout", "-q", "pipeline").returncode == 0
    (copied.folder / "reports" / "evaluate" / "metrics.json").unlink()
    assert "output changed: reports/evaluate (-metrics.json)" in said()
    rows.write_text(rows.read_text() + "\n")
    assert "data changed: rows.csv" in said()


@pytest.mark.slow
def test_a_server_is_asked_over_http(workspace, monkeypatch):
    import urllib.request
    from time import monotonic, sleep

    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--backend-store-uri", "sqlite:///s.db"]
    uri = f"http://127.0.0.1:{port}"
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until = monotonic() + 300
            while monotonic() < until:
                try:
                    seen = glance.look(uri)
                    break
                except glance.Away:
                    sleep(0.5)
            assert seen.what.startswith("MLflow 3.")
            assert glance.holder(uri, "m", "champion") is None

            def post(path: str, **values) -> dict:
                request = urllib.request.Request(
                    f"{uri}/api/2.0/mlflow/{path}", json.dumps(values).encode(), {"Content-Type": "application/json"}
                )
                with urllib.request.urlopen(request, timeout=20) as answer:
                    return json.load(answer)

            run = post("runs/create", experiment_id="0", start_time=1)["run"]["info"]
            run_id = run["run_id"]
            post("runs/log-metric", run_id=run_id, key="test/auc", value=0.75, timestamp=1, step=0)
            post("registered-models/create", name="m")
            tags = [
                {
                    "key": "alias moved 2026-01-02T03:04:05.000006Z",
                    "value": json.dumps({"alias": "champion", "who": "Ann", "why": "better"}),
                }
            ]
            post("model-versions/create", name="m", source=f"{run['artifact_uri']}/model", run_id=run_id, tags=tags)
            post("registered-models/alias", name="m", alias="champion", version="1")
            found = glance.holder(uri, "m", "champion")
            assert found == glance.Holder(1, "2026-01-02T03:04:05.000006Z", "Ann", "better", run_id, {"test/auc": 0.75})
            monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
            assert latest.champion("m", "champion").result == "auc 0.750"
        finally:
            process.terminate()
    assert latest.champion("m", "champion").unknown.startswith(uri)


def test_a_moment_that_is_none_is_left_out():
    assert latest.since("") is None
    assert latest.since("2026-01-02T03:04:05.000006Z").year == 2026
    assert now() > 0

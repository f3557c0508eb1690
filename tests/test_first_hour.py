"""Ten mistakes of the first hour (docs/first-hour.md): each is told with what to do, and doing it works."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from conftest import purchases
from repository import Repository


class Project(Repository):
    """A project in its first hour: nothing has run."""

    def set(self, section: str, **values: object) -> None:
        params = self.params
        params[section] = {**params[section], **values}
        self.write_params(params)

    def refused(self, *words: str) -> str:
        """What a command says of a mistake: no traceback, exit code 2."""
        done = self.pipeline(*words, check=False)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        return done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_wrong_target_name(project):
    project.set("data", target="boughtt")
    told = project.refused("check")
    assert re.search(r"^params.yaml:\d+:\d+: data.target: no column 'boughtt'; did you mean 'bought'\?", told)
    project.set("data", target=re.search(r"did you mean '(\w+)'", told)[1])
    assert "params.yaml: ok" in project.pipeline("check").stdout


def test_a_date_as_text(project):
    rows = purchases(500)
    rows["since"] = rows["since"].dt.strftime("%d/%m/%Y").where(rows.index % 7 > 0, "ask Anna")
    rows.to_csv(project.folder / "rows.csv", index=False)
    told = project.pipeline("check").stderr
    assert re.search(r"data.columns.since: values such as '\d\d/\d\d/\d{4}'.* look like dates, but are read as \w+", told)
    project.set("data", columns=yaml.safe_load(re.search(r"set data\.columns\.(since: datetime)", told)[1]))
    assert "since" not in project.pipeline("check").stderr


def test_three_classes_with_one_member(project):
    rows = purchases(500)
    rows.loc[:2, "bought"] = ["maybe", "later", "never"]
    rows.to_csv(project.folder / "rows.csv", index=False)
    told = project.refused("check")
    assert all(f"'{name}' has 1" in told for name in ("maybe", "later", "never"))
    assert "leave those rows out, merge classes, add rows" in told
    rows[rows["bought"].isin(["yes", "no"])].to_csv(project.folder / "rows.csv", index=False)
    assert "params.yaml: ok" in project.pipeline("check").stdout


def test_a_wrong_delimiter(project):
    purchases(500).to_csv(project.folder / "rows.csv", index=False, sep=";")
    project.set("data", csv={"delimiter": ","})
    told = project.refused("check")
    assert 'set data.csv.delimiter: ";"' in told
    project.set("data", csv=yaml.safe_load(re.search(r'set data\.csv\.(delimiter: ".")', told)[1]))
    assert "params.yaml: ok" in project.pipeline("check").stdout


def test_a_misspelt_key(project):
    project.set("train", epohcs=5)
    told = project.refused("run")  # before DVC touches anything
    assert re.search(r"^params.yaml:\d+:\d+: unknown key train.epohcs; nearest valid key: train.epochs$", told, flags=re.MULTILINE)
    assert not (project.folder / "dvc.lock").exists()


def test_a_gpu_that_is_not_there(project, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")  # hides those of a machine that has some
    project.set("train", device="gpu")
    told = project.refused("check")
    hidden = " (CUDA_VISIBLE_DEVICES hides them)"
    assert f"train.device: gpu is asked for, but this machine shows none{hidden}; set train.device: auto, or cpu" in told
    project.set("train", device="auto")
    assert "params.yaml: ok" in project.pipeline("check").stdout


@pytest.mark.slow
def test_a_full_disk(project):
    if subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount a small disk")
    (project.folder / "data").mkdir(exist_ok=True)
    script = f"mount -t tmpfs -o size=8k none data && exec {sys.executable} -m pipeline run"
    done = project.run("unshare", "-Urm", "sh", "-c", script, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert re.search(r"disk full at data.*free some room.*then run the same command again", done.stderr)
    assert "Traceback" not in done.stdout + done.stderr
    project.pipeline("run", "split")  # with room on the disk


@pytest.mark.slow
def test_a_port_that_is_taken(finished):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = finished.pipeline("serve", "--port", str(port), "--no-log", check=False)
    assert done.returncode == 2
    assert re.search(rf"{port}.*(?:taken|in use)", done.stderr)
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr
    words = [sys.executable, "-m", "pipeline", "serve", "--port", "0", "--no-log"]
    with subprocess.Popen(words, cwd=finished.folder, stderr=subprocess.PIPE, text=True) as process:  # 0 takes a free one
        said = ""
        while "answers at http://127.0.0.1:" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        process.send_signal(signal.SIGTERM)
        process.communicate()


@pytest.mark.slow
def test_a_store_that_is_locked(copied):
    store = copied.folder / ".state" / "mlflow.db"
    copied.write_params({**copied.params, "train": {**copied.params["train"], "epochs": 2}})
    before = len(yaml.safe_load(copied.pipeline("runs", "--json").stdout))
    with sqlite3.connect(store, isolation_level=None) as held:
        held.execute("BEGIN EXCLUSIVE")
        done = copied.pipeline("run")  # no number is lost for it
        held.execute("ROLLBACK")
    assert re.search(r"MLflow store.*locked", done.stdout + done.stderr)
    assert "pipeline sync" in done.stdout + done.stderr
    assert "sent" in copied.pipeline("sync").stdout
    assert len(yaml.safe_load(copied.pipeline("runs", "--json").stdout)) == before + 1


@pytest.mark.slow
def test_an_interrupted_run(project):
    project.set("train", epochs=200, early_stopping=200)
    project.set("tune", trials=0)
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    words = [sys.executable, "-m", "pipeline", "run", "train"]
    heeding = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731  (which a shell's background jobs ignore)
    process = subprocess.Popen(
        words, cwd=project.folder, env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True, preexec_fn=heeding
    )
    checkpoints = project.folder / ".state" / "checkpoints"
    until = time.monotonic() + 300
    while not list(checkpoints.glob("*.npz")) and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "`pipeline run` goes on from there" in told
    assert "Traceback" not in told
    again = project.pipeline("run", "train")
    assert re.search(r"split +unchanged", again.stdout + again.stderr)
    assert (project.folder / "models" / "model.keras").exists()

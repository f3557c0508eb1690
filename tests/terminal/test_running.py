"""`dvc repro` under `pipeline run`: a line a stage, its exit code, its end."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner
from conftest import ROOT

from pipeline.cli import main
from pipeline.terminal.running import Outcome, advice

FLOW = """
stages:
  first:
    cmd: {python} stage.py first
    outs: [first.txt]
  second:
    cmd: {python} stage.py second
    deps: [first.txt, wanted.txt]
    outs: [second.txt]
"""
STAGE = """
import sys, time
from pathlib import Path
from pipeline.terminal.session import session
import logging
name, wanted = sys.argv[1], Path("wanted.txt").read_text().strip()
with session(name, quiet=False, verbose=False, lasting=True) as shown:
    print("planted: printed by a library")
    Path(f"{name}.started").touch()
    logging.getLogger("pipeline").info("what came of it", extra={"summary": True})
    if name == "second" and wanted == "fail":
        shown.say("second: this is wrong: do that", "error")
        sys.exit(2)
    while name == "second" and wanted == "wait":
        time.sleep(0.1)
    Path(f"{name}.txt").write_text(name)
    logging.getLogger("pipeline").info("done", extra={"stage_done": (name, 0.1)})
"""
RUN = """
import sys
from pipeline.terminal import running
from pipeline.terminal.session import session
with session("run", quiet=False, verbose=False, lasting=True) as shown:
    try:
        found = running.repro(sys.argv[1:], shown, quiet=False)
        told, code = running.advice(found, "the log") if found.code else (["done"], 0)
    except KeyboardInterrupt:
        told, code = ["interrupted"], 130
    for line in told:
        shown.say(line)
    print(shown.log.file)
sys.exit(code)
"""


@pytest.fixture
def project(workspace):
    (workspace / "dvc.yaml").write_text(FLOW.format(python=sys.executable))
    (workspace / "stage.py").write_text(STAGE)
    (workspace / "wanted.txt").write_text("end")
    dvc = [sys.executable, "-m", "dvc"]
    subprocess.run([*dvc, "init", "-q", "--no-scm"], check=True)
    (workspace / ".dvc/config").write_text("[core]\n  analytics = false\n  check_update = false\n  no_scm = true\n")
    return workspace


def started(*words: str) -> subprocess.Popen[str]:
    outer = {k: v for k, v in os.environ.items() if k not in ("CI", "PIPELINE_LOG", "PIPELINE_TERMINAL", "PIPELINE_OUTPUT")}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    pipes["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # which a shell's background jobs ignore
    command = [sys.executable, "-P", "-c", RUN, *words]
    return subprocess.Popen(command, env=outer | {"PYTHONPATH": str(ROOT)}, text=True, start_new_session=True, **pipes)


def run(*words: str) -> tuple[int, list[str], str]:
    """The exit code, the lines of standard error, the log."""
    process = started(*words)
    out, told = process.communicate(timeout=120)
    return process.returncode, told.splitlines(), Path(out.strip()).read_text()


def test_each_stage_gets_a_line_and_a_mistake_of_one_is_the_last_word(project):
    code, told, log = run()
    assert (code, told[2:]) == (0, ["done"])
    for line, name in zip(told, ("first", "second"), strict=False):
        assert re.fullmatch(rf"{name} +0\.1 s +what came of it", line)
    assert "planted: printed by a library" in log
    assert "Running stage 'first':" in log

    (project / "wanted.txt").write_text("fail")
    code, told, log = run()
    assert code == 2
    assert re.fullmatch(r"first +unchanged", told[0])
    assert told[1] == "second: this is wrong: do that"
    assert told[2] == "second stopped there: mend that, then `pipeline run` goes on; what came before is kept. Log: the log"
    assert len(told) == 3
    assert "exited with 2" in log


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_told_to_end_leaves_no_process(project, number):
    (project / "wanted.txt").write_text("wait")
    process = started()
    while not (project / "second.started").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    below = psutil.Process(process.pid).children(recursive=True)
    assert len(below) >= 2  # dvc and the stage
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert (process.returncode, told.splitlines()[-1]) == (130, "interrupted")
    assert not [one for one in below if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(
    ("found", "code", "words"),
    [
        (Outcome(255, "train", 2), 2, "mend that"),
        (Outcome(255, "train", 1), 1, "failed with exit code 1"),
        (Outcome(255, "train", 130), 130, "interrupted in train"),
        (Outcome(255, "train", -9), 2, "memory is short"),
        (Outcome(255, "train", 137), 2, "memory is short"),
        (Outcome(255, errors=["Unable to acquire lock. Most likely another DVC process is running"]), 2, "another `dvc` or `pipeline run`"),
        (Outcome(255, errors=["Stage 'trian' not found inside 'dvc.yaml' file"]), 2, "Stage 'trian' not found"),
    ],
)
def test_what_to_do_follows_from_how_it_ended(found, code, words):
    told, given = advice(found, "x.log")
    assert given == code
    assert words in " ".join(told)
    assert code == 130 or (code == 2 and "lock" in " ".join(found.errors)) or "x.log" in " ".join(told)


def test_a_folder_without_stages_is_told_before_anything_is_looked_at(workspace, monkeypatch):
    told = CliRunner().invoke(main, ["run"], prog_name="pipeline")
    assert told.exit_code == 2
    assert told.stderr.startswith(f"run: no dvc.yaml in {workspace}, so that there are no stages to run: clone the repository")
    (workspace / "dvc.yaml").write_text("stages: {}")
    (workspace / "inner").mkdir()
    monkeypatch.chdir(workspace / "inner")
    assert CliRunner().invoke(main, ["run"], prog_name="pipeline").stderr.endswith(f": cd {workspace}\n")

"""What a terminal sees, what a pipe sees, and what only the log file holds: in processes of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from pseudo_terminal import shown

CODE = """
import logging, os, subprocess, sys, time, warnings
from pipeline.terminal import progress, screens
from pipeline.terminal.session import session

screens.PLAIN_EVERY = 0.4
with session("train", quiet="quiet" in sys.argv, verbose="verbose" in sys.argv, lasting=True) as shown:
    os.write(2, b"E0000 planted by C++ code\\n")
    subprocess.run(["sh", "-c", "echo planted by a child >&2"])
    warnings.warn("planted by warnings")
    logging.getLogger("mlflow.store").warning("planted by a logger")
    logging.getLogger("pipeline.stages").info("our own line")
    with progress.step("train"), progress.step("epochs", 4) as step:
        for _ in range(4):
            time.sleep(0.3)
            step.advance(note="loss 0.5")
    logging.getLogger("pipeline").info("train done", extra={"stage_done": ("train", 1.2)})
    print(shown.log.file)
"""
ESCAPE = "\x1b"
OUTER = ("CI", "NO_COLOR", "PIPELINE_LOG", "PIPELINE_TERMINAL", "PIPELINE_OUTPUT", "PIPELINE_STATE", "DVC_ROOT")


def environment(**more: str) -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in OUTER} | {"PYTHONPATH": str(ROOT), "TERM": "xterm"} | more


def piped(*words: str, **more: str) -> tuple[str, str]:
    """What a pipe gets, and what the log holds."""
    done = subprocess.run([sys.executable, "-P", "-c", CODE, *words], env=environment(**more), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr, Path(done.stdout.strip()).read_text()


def in_terminal(words: list[str], **more: str) -> str:
    """What a pseudo-terminal gets."""
    return shown(words, env=environment(**more), stdout=subprocess.DEVNULL, stdin="terminal")


def test_a_pipe_gets_plain_lines_and_the_log_what_libraries_print(workspace):
    told, log = piped()
    assert ESCAPE not in told + log
    assert "planted" not in told
    for planted in ("E0000 planted by C++ code", "planted by a child", "planted by warnings", "WARNING mlflow.store: planted by a logger"):
        assert planted in log
    first, *between, last = told.splitlines()
    assert (first, last) == ("our own line", "train done")
    assert 1 <= len(between) <= 4
    assert all(re.fullmatch(r"train: epochs: \d of 4(, loss 0\.5)?, \d+ s( left)?", line) for line in between), between
    shown = [line for line in log.splitlines() if re.match(r"\d\d:\d\d:\d\d \| ", line)]
    assert len(shown) == len(told.splitlines())


def test_quiet_shows_nothing_and_verbose_the_libraries_too(workspace):
    assert piped("quiet")[0] == ""
    told, _ = piped("verbose")
    for planted in ("E0000 planted by C++ code", "planted by a child", "planted by warnings", "planted by a logger", "our own line"):
        assert planted in told


def test_a_terminal_gets_a_bar_and_no_chatter(workspace):
    drawn = in_terminal([sys.executable, "-P", "-c", CODE])
    assert ESCAPE in drawn
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn)
    assert "planted" not in text
    assert re.search(r"epochs +.+ 2 of 4  loss 0\.5 +.*\d s left", text), text


@pytest.mark.parametrize("variable", [{"CI": "true"}, {"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_of_ci_or_without_colour_gets_plain_lines(workspace, variable):
    assert ESCAPE not in in_terminal([sys.executable, "-P", "-c", CODE], **variable)


def test_a_stage_of_a_whole_run_tells_one_line_of_its_own(workspace):
    told, log = piped(PIPELINE_OUTPUT="brief")
    assert "our own line" not in told
    assert "INFO pipeline.stages: our own line" in log
    assert told.splitlines()[-1] == "train           1.2 s"


def test_the_newest_logs_are_kept_and_an_empty_one_is_not(workspace, monkeypatch):
    from pipeline.terminal import logs

    monkeypatch.setattr(logs, "KEPT", 3)
    for at in range(5):
        log = logs.Log(f"number-{at}", lasting=True)
        log.shown("a line")
        log.close()
    kept = sorted(file.name.split("-")[3] for file in (workspace / ".state/logs").iterdir())
    assert kept == ["2", "3", "4"]
    empty = logs.Log("check", lasting=True)
    empty.close()
    temporary = logs.Log("runs", lasting=False)
    temporary.shown("a line")
    temporary.close()
    assert not empty.file.exists()
    assert not temporary.file.exists()


def test_secrets_are_in_neither(workspace):
    code = CODE.replace("our own line", "postgresql://u:hushhush@host/db").replace("planted by a logger", "password = 'hushhush1'")
    done = subprocess.run([sys.executable, "-P", "-c", code], env=environment(), capture_output=True, text=True)
    assert "hushhush" not in done.stderr + Path(done.stdout.strip()).read_text()

"""The sweep's table in a real (pseudo) terminal, and its lines elsewhere."""

import os
import re
import subprocess
import sys

from conftest import ROOT
from pseudo_terminal import shown

CODE = """
import time
from pipeline.terminal import screens
from pipeline.terminal.session import session
from pipeline.tuning import results, terminal

screens.PLAIN_EVERY = 0.5
with session("tune", quiet=False, verbose=False, lasting=False) as shown:
    with terminal.view(trials=3, epochs=9, objective="loss", lower=True, workers=2) as view:
        view.started("0", 0, {"train.learning_rate": 0.00123, "model.width": 64})
        view.ready("0")
        view.step("0", 2, 3, 0.5)
        time.sleep(0.8)  # it is drawn five times a second
        done = results.Trial(number=0, state=results.COMPLETE, params={}, values=(0.25,), measured={"loss": 0.25}, started=0.0, ended=60.0)
        view.finished(done)
        view.gone("0")
        time.sleep(0.8)
"""


def said(*, terminal):
    outer = {key: value for key, value in os.environ.items() if key not in ("CI", "NO_COLOR")}
    environment = {**outer, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    if not terminal:
        return subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True).stderr
    return shown([sys.executable, "-c", CODE], env=environment)


def test_a_terminal_shows_a_table_of_workers_counts_and_the_best_so_far():
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said(terminal=True))
    assert "learning_rate 0.00123, width 64" in text
    assert "1 complete of 3" in text
    assert "best so far: trial 0, loss 0.25" in text


def test_a_pipe_gets_plain_lines():
    text = said(terminal=False)
    assert "\x1b" not in text
    assert "┃" not in text
    assert "trial 0 of 3: loss 0.25" in text
    assert re.search(r"trials: 1 of 3, best so far: trial 0, loss 0\.25", text)

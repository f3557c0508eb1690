"""The sweep's table in a real (pseudo) terminal, and its lines elsewhere."""

import os
import pty
import re
import subprocess
import sys

import pytest
from conftest import ROOT

CODE = """
import logging, sys, time
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
from pipeline.tuning import results, terminal
view = terminal.view(trials=3, epochs=9, objective="loss", lower=True, workers=2)
view.started("0", 0, {"train.learning_rate": 0.00123, "model.width": 64})
view.ready("0")
view.step("0", 2, 3, 0.5)
view.tick()
time.sleep(0.8)  # it is drawn twice a second
done = results.Trial(number=0, state=results.COMPLETE, params={}, values=(0.25,), measured={"loss": 0.25}, started=0.0, ended=60.0)
view.finished(done)
view.gone("0")
view.close()
print(type(view).__name__, file=sys.stderr)
"""


def said(*, terminal):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "110", "TERM": "xterm"}
    if not terminal:
        return subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True).stderr
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", CODE], env=environment, stderr=theirs)
    os.close(theirs)
    found = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        found += part
    os.close(ours)
    assert process.wait() == 0, found.decode()
    return found.decode()


def test_a_terminal_shows_a_table_of_workers_counts_and_the_best_so_far():
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said(terminal=True))
    assert "learning_rate 0.00123, width 64" in text
    assert "1 complete of 3" in text
    assert "best so far: trial 0, loss 0.25" in text
    assert text.rstrip().endswith("Table")


@pytest.mark.parametrize("mark", ["\x1b", "┃"])
def test_a_pipe_gets_plain_lines(mark):
    text = said(terminal=False)
    assert mark not in text
    assert "trial 0 of 3" in text
    assert text.rstrip().endswith("View")

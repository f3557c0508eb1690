"""A process beside a training: it samples the machine and sends the journal, so that neither MLflow's import nor its answers cost time.

The training asks it at the end what has become of the run.  Where the training is killed, it ends at once: the next one sends the rest.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from pipeline.tracking.journal import Journal, now
from pipeline.tracking.sending import Sender

LOOK = 0.5  # seconds between looks at the journal
NICE = 19  # the training comes first


class Companion:
    """The process as the training sees it: like a `Sender`."""

    def __init__(self, journal: Journal) -> None:
        self.failure = ""
        words = [sys.executable, "-m", "pipeline.tracking.companion", journal.key]
        self._said = journal.folder / "companion.log"
        with self._said.open("w") as said:
            self._process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True)

    def poke(self) -> None:
        """There are new events: it looks for them itself."""

    def settle(self) -> bool:
        """Wait until the store knows the run; False where it is away."""
        return self._ask("settle")

    def close(self) -> bool:
        """Send what is left, and end the process; False, with `failure` set, where the store did not take it."""
        done = self._ask("close")
        with suppress(BrokenPipeError):
            self._process.communicate()
        if done:
            self._said.unlink(missing_ok=True)
        return done

    def _ask(self, what: str) -> bool:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            print(what, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        self.failure = json.loads(answer)["failure"] if answer else "the process that sends it was ended"
        return not self.failure


def main(key: str) -> None:
    """Send the journal as it grows, until the training says `close` or is gone."""
    answers, sys.stdout = sys.stdout, sys.stderr  # libraries may print
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the training sees to it
    os.nice(NICE)
    journal = Journal(key)
    sender = Sender(journal)
    over = threading.Event()
    for work in (lambda: watch(journal, sender, over), lambda: sample(journal, over)):
        threading.Thread(target=work, daemon=True).start()
    for line in sys.stdin:
        asked = line.strip()
        if asked == "close":
            over.set()
        done = sender.settle() if asked == "settle" else sender.close()
        print(json.dumps({"failure": "" if done else sender.failure or "no answer"}), file=answers, flush=True)
        if asked == "close":
            break
    os._exit(0)  # whatever a thread still waits for


def watch(journal: Journal, sender: Sender, over: threading.Event) -> None:
    """Tell the sender of new events."""
    known = -1
    while not over.wait(LOOK):
        if journal.size != known:
            known = journal.size
            sender.poke()


def sample(journal: Journal, over: threading.Event) -> None:
    """Write load of processor, memory, disk, network and GPU to the journal: every second at first, later more seldom."""
    from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
    from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
    from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
    from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

    monitors: list[Any] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
    with suppress(ImportError, RuntimeError):  # no GPU, or no library that knows of it
        monitors.append(GPUMonitor())
    started, due = time.monotonic(), 1.0
    at = sum("system/cpu_utilization_percentage" in event.get("metrics", ()) for event, _ in journal.events())  # of a killed training
    while not over.wait(1.0):
        for monitor in monitors:
            monitor.collect_metrics()
        if time.monotonic() - started < due:
            continue
        found = {f"system/{name}": float(value) for monitor in monitors for name, value in monitor.aggregate_metrics().items()}
        for monitor in monitors:
            monitor.clear_metrics()
        journal.add(metrics=found, step=at, time=now())
        at, due = at + 1, 1.02 * (time.monotonic() - started) + 1


if __name__ == "__main__":
    main(sys.argv[1])

"""A sweep: worker processes run the trials of a study until its budget is spent.

This process alone talks to the study; workers are told what to train, and whether to go on.  Whatever
dies, what was told is kept: a worker that is killed has its trial begun anew, and so have all trials of a killed sweep
when it is called again.
"""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import connection
from multiprocessing.context import SpawnProcess
from typing import Any

from pipeline.config import TuneParams
from pipeline.errors import UserError
from pipeline.tuning import results, worker
from pipeline.tuning.study import Study, Task
from pipeline.tuning.terminal import View

log = logging.getLogger(__name__)
PATIENCE = 1.0  # seconds to wait for news before looking at the clock and at other machines
GRACE = 10.0  # seconds for a worker to end by itself
FEWEST_FAILURES = 10  # before a sweep of nothing but failures is given up


@dataclass
class Worker:
    """A worker process as its parent sees it."""

    name: str
    process: SpawnProcess
    pipe: connection.Connection
    task: Task | None = None
    late: bool = False  # whether its trial was ended since time is up


def run(
    study: Study, setup: worker.Setup, tune: TuneParams, view: View, *, on_finished: Callable[[results.Trial], None] = lambda trial: None
) -> None:
    """Run trials until the budget is spent, those of earlier calls and of other machines included.

    Args:
        on_finished: called with each trial that is over, those of other machines too.

    Raises:
        UserError: a worker cannot start.
        KeyboardInterrupt: of the user's; all that is over is kept, and the rest begun anew by the next call.
    """
    crew = _Crew(study, setup, tune, view, on_finished)
    with _terminable():
        try:
            crew.run()
        finally:
            crew.end()
            study.close()


class _Crew:
    def __init__(
        self, study: Study, setup: worker.Setup, tune: TuneParams, view: View, on_finished: Callable[[results.Trial], None]
    ) -> None:
        self.study, self.setup, self.tune, self.view, self.on_finished = study, setup, tune, view, on_finished
        self.workers: list[Worker] = []
        self.told: set[int] = set()
        self.seats = seats(tune, on_gpus=_on_gpus(setup))
        self.saved = time.monotonic()

    def run(self) -> None:
        self._tell()
        while True:
            self._hand_out()
            busy = [one for one in self.workers if one.task]
            if not busy and (self._over() or not self.study.elsewhere()):
                break
            self._listen(busy)
            if time.monotonic() - self.saved > 5 * PATIENCE:
                self.study.spent(save=True)
                self.saved = time.monotonic()
        self._tell()

    def _over(self) -> bool:
        """Whether no further trial is to begin: time is up, or they all fail."""
        return self._time_is_up() or self.study.failures() >= max(self.tune.trials, FEWEST_FAILURES)

    def _hand_out(self) -> None:
        """Give each seat a trial, as long as there are any."""
        for seat in range(len(self.seats)):
            one = next((w for w in self.workers if w.name == str(seat)), None)
            if one is not None and one.task is not None:
                continue
            if self._over() or (task := self.study.take()) is None:
                return
            one = one or self._hire(seat)
            one.task, one.late = task, False
            self.study.started(task.number, f"{os.uname().nodename}:{one.name}" if self.study.shared else one.name)
            self.view.started(one.name, task.number, task.values)
            with contextlib.suppress(BrokenPipeError):  # it died since: that is seen below
                given = {key: value for key, value in task.values.items() if value is not None}  # what params.yaml leaves open stays so
                one.pipe.send((task.number, {**self.tune.fixed, **given}))

    def _hire(self, seat: int) -> Worker:
        cores, gpu = self.seats[seat]
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=worker.main, args=(theirs, replace(self.setup, cores=cores, gpu=gpu)), name=f"trials {seat}", daemon=True
        )
        process.start()
        theirs.close()
        one = Worker(str(seat), process, ours)
        self.workers.append(one)
        return one

    def _listen(self, busy: Sequence[Worker]) -> None:
        """Take what workers have to say, for a second at most."""
        ready = connection.wait([one.pipe for one in busy] + [one.process.sentinel for one in busy], PATIENCE)
        if not busy:
            time.sleep(PATIENCE)
        for one in busy:
            if one.pipe in ready:
                try:
                    self._hear(one, one.pipe.recv())
                except (EOFError, ConnectionResetError):
                    self._lost(one)
            elif one.process.sentinel in ready and not one.pipe.poll():
                self._lost(one)
        if self.study.shared and not ready:
            self._tell()

    def _hear(self, one: Worker, said: Any) -> None:
        if isinstance(said, worker.Ready):
            log.debug("worker %s computes on %s", one.name, said.device)
            self.view.ready(one.name)
        elif isinstance(said, worker.Broken):
            raise UserError(*said.messages)
        elif isinstance(said, worker.Step):
            goes_on = self.study.report(said.number, said.step, said.value)
            if goes_on and self._time_is_up():
                goes_on, one.late = False, True
            self.view.step(one.name, said.step, said.epochs, said.value)
            with contextlib.suppress(BrokenPipeError):
                one.pipe.send(goes_on)
        elif isinstance(said, worker.Done):
            self._ended(one, said)

    def _time_is_up(self) -> bool:
        """Whether running trials are to end: not before one is complete, since a sweep should have a result."""
        return self.tune.minutes is not None and self.study.spent() > 60 * self.tune.minutes and self.study.done() > 0

    def _ended(self, one: Worker, said: worker.Done) -> None:
        one.task = None
        if said.stopped:
            reason = "time is up" if one.late else f"by {self.tune.pruner} after {said.epochs} epochs"
            self.study.prune(said.number, reason, said.curve, said.epochs)
        elif not said.kind:
            self.study.complete(said.number, said.measured, said.curve, said.epochs)
        else:
            log.debug("trial %d failed:\n%s", said.number, said.details)
            if said.kind == "memory":
                self._dismiss(one)  # what it holds is of no use any more
                self.study.again(said.number, said.kind, f"out of memory: {said.reason}")
            else:
                self.study.fail(said.number, said.kind, said.reason, said.epochs)
        self._tell()

    def _lost(self, one: Worker) -> None:
        """A worker died: killed by someone, or by the system for want of memory."""
        one.process.join(GRACE)
        code = one.process.exitcode
        how = (
            f"killed by signal {-code} ({signal.Signals(-code).name})" if code is not None and code < 0 else f"ended with exit code {code}"
        )
        hint = ", as the system does where memory is short" if code == -signal.SIGKILL else ""
        task = one.task
        self._dismiss(one)
        if task is not None:
            again = self.study.again(task.number, "killed", f"its worker was {how}{hint}")
            log.warning("trial %d: its worker was %s%s; %s", task.number, how, hint, "it is begun anew" if again else "it counts as failed")
            self._tell()

    def _dismiss(self, one: Worker) -> None:
        self.workers.remove(one)
        one.pipe.close()
        one.process.terminate()
        one.process.join(GRACE)
        if one.process.is_alive():
            one.process.kill()
            one.process.join()
        self.view.gone(one.name)

    def _tell(self) -> None:
        """Show and log trials that are over since the last look."""
        for trial in self.study.finished(self.told):
            self.told.add(trial.number)
            self.view.finished(trial)
            self.on_finished(trial)

    def end(self) -> None:
        """Let idle workers go, and end those at work."""
        for one in list(self.workers):
            if one.task is None:
                with contextlib.suppress(BrokenPipeError):
                    one.pipe.send(None)
                one.process.join(GRACE)
            self._dismiss(one)


def seats(tune: TuneParams, *, on_gpus: Sequence[str]) -> list[tuple[tuple[int, ...], str]]:
    """The processor cores and the GPU of each worker; no cores where one worker may have them all.

    Args:
        on_gpus: the GPUs there are; at most one worker has each.
    """
    count = tune.workers
    if on_gpus and count > len(on_gpus):
        log.warning("tune.workers: %d workers are asked for, but %d GPUs are here: one a device", count, len(on_gpus))
        count = len(on_gpus)
    known = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    each = tune.threads or max(1, len(known) // count)
    found = []
    for seat in range(count):
        cores = tuple(known[(seat * each + at) % len(known)] for at in range(min(each, len(known))))
        found.append((() if count == 1 and tune.threads is None else cores, on_gpus[seat] if on_gpus and count > 1 else ""))
    return found


def _on_gpus(setup: worker.Setup) -> list[str]:
    """The GPUs that trials may use, by the numbers that CUDA_VISIBLE_DEVICES takes."""
    if json.loads(setup.sections["train"])["device"] == "cpu":
        return []
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [one for one in visible.split(",") if one not in ("", "-1")]
    try:
        listed = subprocess.run(["nvidia-smi", "--list-gpus"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [str(at) for at, line in enumerate(listed.splitlines()) if line.startswith("GPU")]


@contextmanager
def _terminable() -> Iterator[None]:
    """Inside the block a request to terminate ends the sweep as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

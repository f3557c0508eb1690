"""`dvc repro` as a process whose own words go to the log file, and come back as a line for each stage.

Its stages write to the terminal themselves, where there is one; elsewhere they write to the log, and what they would have shown is
taken from there.  So nothing stands between DVC and its stages that could break when this process is killed.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import IO, Any

import psutil

from pipeline.terminal import logs, progress, screens
from pipeline.terminal.session import OUTPUT, TERMINAL, Session, row

LOOK = 0.1  # seconds between looks at the log
PATIENCE = (10.0, 10.0, 5.0)  # seconds that an interrupted stage has after each signal of ENDING
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
RUNS = re.compile(r"^Running stage '(?:.*:)?(.+)':$")
SKIPS = re.compile(r"^(?:Stage )?'(?:.*:)?(.+)' didn't change, skipping$")
RESTORES = re.compile(r"^Stage '(?:.*:)?(.+)' is cached - skipping run, checking out outputs$")
FAILS = re.compile(r"^ERROR: failed to reproduce '(?:.*:)?(.+?)': failed to run: .*, exited with (-?\d+)$")
WRITES = re.compile(r"^(?:Updating|Generating) lock file ")
ERROR = re.compile(r"^(?:ERROR|dvc: error): (.*)$")
BUSY = re.compile(r"Unable to acquire lock|is busy, it is being (?:read|writ)", re.IGNORECASE)


@dataclass
class Outcome:
    """How `dvc repro` ended: with which exit code, in which stage it failed and with which code, and what DVC said of it."""

    code: int = 0
    stage: str | None = None
    stage_code: int = 0
    errors: list[str] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)


def repro(arguments: Sequence[str], shown: Session, *, quiet: bool) -> Outcome:
    """Run `dvc repro`; show a line for each stage.

    Raises:
        KeyboardInterrupt: of the user's, when all its processes have ended.
    """
    terminal = _device(shown)
    given = {logs.VARIABLE: str(shown.log.file), TERMINAL: terminal, OUTPUT: "quiet" if quiet else "brief", "PYTHONUNBUFFERED": "1"}
    words = [sys.executable, "-m", "dvc", "repro", *arguments]
    found, dry = Outcome(), "--dry" in arguments
    with open(shown.log.file, "rb") as seen, _stoppable():
        seen.seek(0, os.SEEK_END)
        process = subprocess.Popen(words, env=with_path() | given, stdout=shown.log.descriptor, stderr=shown.log.descriptor)
        lines, waiting = _lines(seen), ExitStack()
        hear = partial(_hear, lines, found, shown, waiting, relayed=not terminal, quiet=quiet, dry=dry)
        with waiting:
            waiting.enter_context(progress.step("looking for what has changed"))
            try:
                while process.poll() is None:
                    hear()
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(LOOK)
            except KeyboardInterrupt as stopped:
                waiting.close()
                _end(process, by_keyboard=not isinstance(stopped, Stopped) and _keyboard())
                hear()
                raise
            hear()
    found.code = process.returncode
    return found


def with_path() -> dict[str, str]:
    """This environment, with this Python first on the path for the stages' `python -m pipeline`."""
    return {**os.environ, "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])}


def advice(found: Outcome, log: str) -> tuple[list[str], int]:
    """What to say of a run that failed, and the exit code."""
    if found.stage is not None:
        if found.stage_code == 130:
            return [f"interrupted in {found.stage}: `pipeline run` goes on from there"], 130
        if found.stage_code in (-signal.SIGKILL, 128 + signal.SIGKILL):
            return [
                f"{found.stage} was killed, as the system does where memory is short: close other programs, set `memory` in params.yaml or "
                f"lower train.batch_size or tune.workers; `pipeline run` goes on from there. Log: {log}"
            ], 2
        if found.stage_code == 2:
            return [f"{found.stage} stopped there: mend that, then `pipeline run` goes on; what came before is kept. Log: {log}"], 2
        return [f"{found.stage} failed with exit code {found.stage_code}. Log: {log}"], 1
    told = " ".join(found.errors)
    if BUSY.search(told):
        return ["another `dvc` or `pipeline run` works in this project: wait until it ends, then run again (`pipeline doctor` names it)"], 2
    return [*(found.errors or [f"dvc repro ended with exit code {found.code}"]), f"Nothing was run by DVC. Log: {log}"], 2


def _device(shown: Session) -> str:
    """The terminal that stages may draw on, empty where there is none."""
    if isinstance(shown.screen, screens.Live):
        with suppress(OSError):
            return os.ttyname(shown.screen.stream.fileno())
    return ""


def _lines(seen: IO[bytes]) -> Iterator[str | None]:
    """The whole lines of a file that grows; None when there is none at the moment."""
    rest = b""
    while True:
        rest += seen.read()
        *whole, rest = rest.split(b"\n")
        for line in whole:
            yield line.decode(errors="replace").rstrip("\r")
        yield None


def _hear(
    lines: Iterator[str | None], found: Outcome, shown: Session, waiting: ExitStack, *, relayed: bool, quiet: bool, dry: bool
) -> None:
    """Take what has come into the log; `waiting` shows that DVC is at work, and must have ended when a stage draws."""
    while (line := next(lines)) is not None:
        if told := logs.SHOWN.match(line):
            if relayed:
                shown.screen.pass_on(told[1])
        elif skipped := SKIPS.match(line):
            if not quiet and not skipped[1].endswith(".dvc"):
                shown.screen.pass_on(row(skipped[1], "unchanged"), "quiet")
        elif restored := RESTORES.match(line):
            if not quiet:
                shown.screen.pass_on(row(restored[1], "restored", "from DVC's cache: it ran before with the same inputs"), "quiet")
        elif begun := RUNS.match(line):
            found.ran.append(begun[1])
            waiting.close()
            if dry:
                shown.screen.pass_on(row(begun[1], "would run"))
        elif WRITES.match(line):
            waiting.enter_context(progress.step(f"keeping the outputs of {found.ran[-1] if found.ran else 'a stage'}, looking on"))
        elif failed := FAILS.match(line):
            found.stage, found.stage_code = failed[1], int(failed[2])
        elif error := ERROR.match(line):
            found.errors.append(error[1])


def _end(process: subprocess.Popen[Any], *, by_keyboard: bool) -> None:
    """See to it that DVC and its stages end: a terminal has told them by itself already."""
    for at, (number, patience) in enumerate(zip(ENDING, PATIENCE, strict=True)):
        if at or not by_keyboard:
            with suppress(psutil.NoSuchProcess):
                below = psutil.Process(process.pid).children(recursive=True)
                for one in below if number != signal.SIGKILL else [*below, psutil.Process(process.pid)]:
                    with suppress(psutil.NoSuchProcess):
                        one.send_signal(number)
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(patience)
            return


def _keyboard() -> bool:
    """Whether an interrupt came from the keyboard of the terminal in whose foreground this process is, and so went to its children too."""
    with suppress(OSError), open("/dev/tty", "rb") as terminal:
        return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    return False


class Stopped(KeyboardInterrupt):
    """This process was told to end, and not by a keyboard."""


@contextmanager
def _stoppable() -> Iterator[None]:
    """Inside the block a request to terminate ends the run as Ctrl-C does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise Stopped

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

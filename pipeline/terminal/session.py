"""A command's time in the terminal: what it says is shown, what libraries print goes to the log file.

Standard error is turned to the log file at the level of the process, so that C++ code and child processes are held back as well; the
terminal is reached by a copy of it.  Standard output stays as it is: there stands what was asked for.
"""

from __future__ import annotations

import logging
import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO

from pipeline.secrets import without_secrets
from pipeline.terminal import logs, progress, screens

TERMINAL = "PIPELINE_TERMINAL"  # of a stage under `pipeline run`: the terminal's device, empty where there is none
OUTPUT = "PIPELINE_OUTPUT"  # of a stage under `pipeline run`: brief, quiet or verbose
WIDTH = 10  # of a stage's name
LONGEST = 110  # characters of what came of it
NEVER = logging.CRITICAL + 1


@dataclass
class Session:
    """What a command shows by, and the file that holds the rest."""

    screen: screens.Screen
    log: logs.Log
    keep: bool | None = None  # whether the log stays; None where the command decides

    def say(self, text: str, style: str = "") -> None:
        """Show lines."""
        self.screen.say(without_secrets(text), style)


class Shown(logging.Handler):
    """Shows records on a screen: the pipeline's own, of other loggers where these are asked for.

    Under `pipeline run` (brief) a stage shows its warnings, and one line at its end: its name, its time and the last of its records that
    is marked by `extra={"summary": True}`.
    """

    def __init__(self, screen: screens.Screen, *, ours: int, others: int, brief: bool) -> None:
        """ours, others: the least level of records of the pipeline's loggers, and of other ones, that are shown."""
        super().__init__()
        self.screen, self.ours, self.others, self.brief = screen, ours, others, brief
        self.summary = ""
        self.setFormatter(logs.Lines())

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= (self.ours if record.name.split(".")[0] == "pipeline" else self.others)

    def emit(self, record: logging.LogRecord) -> None:
        style = "error" if record.levelno >= logging.ERROR else "warning" if record.levelno >= logging.WARNING else ""
        text = self.format(record)
        stage, seconds = getattr(record, "stage_done", ("", 0.0))
        if not self.brief or style:
            pass
        elif stage:
            text = row(stage, f"{seconds:.1f} s", self.summary)
        else:
            if getattr(record, "summary", False):
                self.summary = text
            return
        record.shown = True
        self.screen.say(text, style)


def row(stage: str, what: str, summary: str = "") -> str:
    """A stage in one line."""
    told = textwrap.shorten(summary, LONGEST, placeholder=" ...") if summary else ""
    return f"{stage:<{WIDTH}}  {what:>9}  {told}".rstrip()


@contextmanager
def session(command: str, *, quiet: bool, verbose: bool, lasting: bool, held: bool = True) -> Iterator[Session]:
    """A command's session; logging and the process's streams are put back after it.

    Args:
        lasting: whether its log is kept with the state.
        held: whether what libraries print is held back from the terminal.
    """
    output = os.environ.get(OUTPUT, "")
    quiet, verbose = quiet or output == "quiet", verbose or output == "verbose"
    log = logs.Log(command, lasting=lasting)
    with _streams(log, held=held and not verbose) as terminal:
        screen = screens.screen(terminal, note=log.shown, still=quiet)
        found = Session(screen, log)
        ours = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
        others = logging.INFO if verbose else NEVER if held else logging.WARNING
        try:
            with (
                _logging([Shown(screen, ours=ours, others=others, brief=output == "brief"), log.handler()], ours),
                progress.listening(screen),
            ):
                yield found
        finally:
            screen.close()
            log.close(keep=found.keep)


@contextmanager
def _logging(handlers: list[logging.Handler], ours: int) -> Iterator[None]:
    """All records go to `handlers`, the pipeline's from a level `ours` on, and those of INFO for the file."""
    root, mine = logging.getLogger(), logging.getLogger("pipeline")
    before = root.handlers[:], root.level, mine.level
    root.handlers[:] = handlers
    root.setLevel(logging.INFO)
    mine.setLevel(min(ours, logging.INFO))
    try:
        yield
    finally:
        root.handlers[:] = before[0]
        root.setLevel(before[1])
        mine.setLevel(before[2])


@contextmanager
def _streams(log: logs.Log, *, held: bool) -> Iterator[IO[str] | None]:
    """The stream to the terminal, None for none; meanwhile the process's own lead to the log."""
    given = os.environ.get(TERMINAL)
    if not held or not _real(sys.stderr, 2):
        yield sys.stderr
        return
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with _terminal(given, kept) as terminal:
            os.dup2(log.descriptor, 2)
            yield terminal
    finally:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def _terminal(given: str | None, error: int) -> Iterator[IO[str] | None]:
    """Where lines go: the device that `pipeline run` names, nowhere but the log where it names none, else standard error."""
    if given == "":
        yield None
        return
    try:
        descriptor = os.open(given, os.O_WRONLY | os.O_NOCTTY) if given else os.dup(error)
    except OSError:
        yield None
        return
    with open(descriptor, "w", encoding=sys.stderr.encoding or "utf-8", errors="replace", buffering=1) as stream:
        yield stream


def _real(stream: IO[str] | None, number: int) -> bool:
    """Whether a stream of Python's is the process's own, and not a test's or a notebook's."""
    try:
        return stream is not None and stream.fileno() == number
    except (OSError, ValueError):
        return False

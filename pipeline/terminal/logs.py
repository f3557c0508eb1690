"""The log file of a command: all that libraries print and log, and what the terminal showed, in `.state/logs/`."""

from __future__ import annotations

import logging
import os
import re
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from pipeline import paths
from pipeline.secrets import without_secrets

VARIABLE = "PIPELINE_LOG"  # names the file that `pipeline run` keeps, for its stages
KEPT = 20
SHOWN = re.compile(r"^\d\d:\d\d:\d\d \| (.*)$")  # a line of the terminal


class Lines(logging.Formatter):
    """A log's lines, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


class Log:
    """A file that several processes add lines to.

    Args:
        command: what its name ends with.
        lasting: keeps it with the state; else it is a temporary file that `close` removes.
    """

    def __init__(self, command: str, *, lasting: bool) -> None:
        given = os.environ.get(VARIABLE)
        self.lasting = lasting
        self.shared = given is not None
        self.first = not paths.state_folder().exists()
        self.file = Path(given) if given else _fresh(command) if lasting else _temporary()
        self.descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def shown(self, line: str) -> None:
        """Note a line that the terminal shows."""
        self.write(f"{time.strftime('%H:%M:%S')} | {line}")

    def write(self, text: str) -> None:
        """Add lines, in one step."""
        with suppress(OSError):  # a full disk; what is wrong with it is told elsewhere
            os.write(self.descriptor, f"{text}\n".encode(errors="replace"))

    def handler(self) -> logging.Handler:
        """What records of all loggers are given to that no terminal shows."""
        return _Handler(self)

    def close(self, *, keep: bool | None = None) -> None:
        """Close it; one that is not to last, or is empty, is removed, unless `keep` says otherwise."""
        size = os.fstat(self.descriptor).st_size
        os.close(self.descriptor)
        if not self.shared and not (keep if keep is not None else self.lasting and size):
            self.file.unlink(missing_ok=True)
            if self.first and self.lasting:  # the folder is as it was: nothing else is in the state
                with suppress(OSError):
                    for folder in (self.file.parent, paths.state() / "locks", paths.state()):
                        folder.rmdir()


class _Handler(logging.Handler):
    def __init__(self, log: Log) -> None:
        super().__init__()
        self.log = log
        self.setFormatter(Lines("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))

    def emit(self, record: logging.LogRecord) -> None:
        if not getattr(record, "shown", False):
            self.log.write(self.format(record))


def _fresh(command: str) -> Path:
    """A new file with the state, where the oldest beyond KEPT are removed; a temporary one where that cannot be written."""
    try:
        folder = paths.state() / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        for old in sorted(folder.glob("*.log"))[: -KEPT + 1]:
            old.unlink(missing_ok=True)
        file = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{command}-{os.getpid()}.log"
        file.touch(mode=0o600)
    except OSError:
        return _temporary()
    return file


def _temporary() -> Path:
    descriptor, name = tempfile.mkstemp(prefix="pipeline-", suffix=".log")
    os.close(descriptor)
    return Path(name)


def place(file: Path) -> str:
    """The file as a user here would name it."""
    with suppress(ValueError):
        return str(file.relative_to(Path.cwd()))
    return str(file)

"""Who holds a lock on a file, by what the kernel tells (Linux): the lock itself is not touched."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import psutil

LOCKS = Path("/proc/locks")


def holders(file: Path) -> list[int]:
    """The processes that hold a lock on a file; none where there is no such file, or the system does not tell."""
    try:
        inode, told = file.stat().st_ino, LOCKS.read_text(encoding="ascii")
    except OSError:
        return []
    rows = [line.split() for line in told.splitlines() if " -> " not in line]  # these wait
    pids = {int(row[4]) for row in rows if len(row) > 5 and row[5].rpartition(":")[2] == str(inode)}
    return sorted(pid for pid in pids if pid > 0 and _has_open(pid, file))


def _has_open(pid: int, file: Path) -> bool:
    """Whether a process has the file open; another one on another disk may bear the same number."""
    there = str(file.resolve())
    try:
        return any(os.path.realpath(f"/proc/{pid}/fd/{number}") == there for number in os.listdir(f"/proc/{pid}/fd"))
    except PermissionError:
        return True
    except OSError:  # ended meanwhile
        return False


def named(pid: int) -> str:
    """A process in words: its number, command and age."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        words = [Path(word).name if at == 0 else word for at, word in enumerate(process.cmdline())]
        command = " ".join(words) or process.name()
        minutes = int(time.time() - process.create_time()) // 60
        age = f"{minutes // 60} h" if minutes >= 120 else f"{minutes} min" if minutes else "less than a minute"
        return f"process {pid} (`{command if len(command) <= 60 else f'{command[:57]}...'}`, for {age})"
    return f"process {pid}"


def is_orphan(pid: int) -> bool:
    """Whether the process that started this one is gone."""
    with suppress(psutil.Error):
        return psutil.Process(pid).ppid() == 1
    return False

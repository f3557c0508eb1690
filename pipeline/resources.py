"""What of the machine a process may take, and what it took; imports nothing heavy."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import psutil

CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
UNITS = {"MB": 10**6, "GB": 10**9}

_memory: ContextVar[int | None] = ContextVar("memory", default=None)


def machine_memory() -> int:
    """Bytes of memory of this machine, or of its container where that has fewer."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [int(text) for file in CGROUPS if file.is_file() and (text := file.read_text().strip()).isdigit()]
    return min([physical, *limits])


def cores() -> int:
    """Processor cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory() -> int:
    """Bytes that the table engine may take: what `limited` says, else half of the machine's."""
    return _memory.get() or machine_memory() // 2


@contextmanager
def limited(size: str) -> Iterator[None]:
    """Hold the table engine to `size` (`2GB`, `500MB`, or `auto`) inside the block."""
    bytes_ = None if size == "auto" else int(float(size[:-2]) * UNITS[size[-2:]])
    token = _memory.set(bytes_)
    try:
        yield
    finally:
        _memory.reset(token)


@dataclass(frozen=True)
class Cost:
    """What this process has taken, what its children took included; the peak is always that since it started."""

    wall_seconds: float
    cpu_seconds: float
    peak_memory_mb: float


_before: ContextVar[Cost | None] = ContextVar("before", default=None)


@contextmanager
def counted_anew() -> Iterator[None]:
    """Let `cost` count from here inside the block: in a process that does more than one thing, such as a notebook's."""
    token = _before.set(_since_start())
    try:
        yield
    finally:
        _before.reset(token)


def cost() -> Cost:
    """The cost of this process since it started, or since the block of `counted_anew` began."""
    now, before = _since_start(), _before.get()
    if before is None:
        return now
    return Cost(now.wall_seconds - before.wall_seconds, now.cpu_seconds - before.cpu_seconds, now.peak_memory_mb)


def _since_start() -> Cost:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    unit = 1 if os.uname().sysname == "Darwin" else 1024  # bytes there, KiB elsewhere
    return Cost(time.time() - psutil.Process().create_time(), cpu, max(own.ru_maxrss, children.ru_maxrss) * unit / 1e6)

"""What of the machine a process may take; imports nothing heavy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
UNITS = {"MB": 10**6, "GB": 10**9}

_memory: ContextVar[int | None] = ContextVar("memory", default=None)


def machine_memory() -> int:
    """Bytes of memory of this machine, or of its container where that has fewer."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [int(text) for file in CGROUPS if file.is_file() and (text := file.read_text().strip()).isdigit()]
    return min([physical, *limits])


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

"""What goes wrong on the machine, really made to go wrong, is told in a line that says what to do."""

from __future__ import annotations

import errno
import socket
import sqlite3
from contextlib import closing

import pytest

from pipeline.terminal import mishaps


def raised(action) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011  (whatever it is)
        action()
    return caught.value


def full():
    with open("/dev/full", "w", buffering=1) as out:
        out.write("a line\n")


def taken():
    with closing(socket.socket()) as first, closing(socket.socket()) as second:
        first.bind(("127.0.0.1", 0))
        first.listen()
        second.bind(first.getsockname())


def locked(folder):
    with (
        closing(sqlite3.connect(folder / "store.db", timeout=0)) as first,
        closing(sqlite3.connect(folder / "store.db", timeout=0)) as second,
    ):
        first.execute("CREATE TABLE a (b)")
        first.execute("BEGIN EXCLUSIVE")
        second.execute("INSERT INTO a VALUES (1)")


def test_each_is_told_with_what_to_do(workspace):
    assert "disk full" in mishaps.told(raised(full))
    assert "GB free" in mishaps.told(raised(full))
    assert "choose another by --port" in mishaps.told(raised(taken))
    assert "database is locked" in mishaps.told(raised(lambda: locked(workspace)))
    assert "out of memory" in mishaps.told(raised(lambda: bytearray(2**62)))
    refused = PermissionError(errno.EACCES, "Permission denied", "data/raw/rows.parquet")
    assert mishaps.told(refused).startswith("data/raw/rows.parquet: permission denied: ")
    assert "read-only" in mishaps.told(OSError(errno.EROFS, "Read-only file system", "/a"))


def test_what_it_was_raised_from_counts_too():
    outer = RuntimeError("the store failed")
    outer.__cause__ = sqlite3.OperationalError("database is locked")
    assert "locked by another process" in mishaps.told(outer)


def test_a_defect_is_none_of_them():
    for error in (ValueError("a shape"), KeyError("column"), FileNotFoundError(errno.ENOENT, "No such file", "x"), ZeroDivisionError()):
        assert mishaps.told(error) is None

"""The log of a live writer: values, schemas, several writers, torn ends, a disk that fails, limits."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from inference_log_rows import START, table

from pipeline.inference_log import keeping, reading, segments, tables, writing
from pipeline.inference_log.writing import Log, LogFull

FULL = {
    "input__text": pa.array(["é", None, ""]),
    "input__number": pa.array([1.5, None, float("inf")]),
    "input__yes": pa.array([True, None, False]),
    "input__day": pa.array([START, None, START], pa.timestamp("us", "UTC")),
    "input__picture": pa.array([b"\xff\x00", None, b""]),
    "input__list": pa.array([[1.0, None], None, []], pa.list_(pa.float64())),
    "key__order": pa.array(["a", "b", None]),
    "output__prediction": pa.array(["yes", "no", None]),
    "refused": pa.array([None, None, "column age: no"]),
    "unread": pa.nulls(3),
}


def within(seconds: float, true) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ids(folder: Path) -> list[str]:
    return reading.read(folder, labels=False)["request_id"].to_pylist()


def files(folder: Path, ending: str) -> list[Path]:
    return sorted(folder.glob(f"*{ending}"))


@pytest.mark.parametrize("closed", [False, True])
def test_values_come_back_as_they_were_from_growing_and_closed_segments(tmp_path, closed):
    whole = table(0, 3, **FULL)
    log = Log(tmp_path / "a" / "log")
    log.add(whole)
    log.flush()
    if closed:
        log.close()
        log.close()
    assert (len(files(log.folder, ".parquet")), len(files(log.folder, ".arrows"))) == ((1, 0) if closed else (0, 1))
    found = reading.read(log.folder, labels=False)
    assert found.to_pylist() == whole.to_pylist()
    assert found.schema == whole.schema
    for name in whole.column_names:
        assert reading.read(log.folder, columns=[name], labels=False).to_pydict() == {name: whole[name].to_pylist()}
    assert (log.rows, log.waiting, log.failing) == (3, 0, None)
    assert log.bytes > whole.nbytes
    log.close()


def test_null_columns_take_the_type_of_others_before_and_after(tmp_path):
    with closing(Log(tmp_path)) as log:
        for number, value in enumerate([pa.nulls(1), pa.array(["x"]), pa.nulls(1), pa.array(["y"])]):
            log.add(table(number, input__a=value))
            if number < 3:
                log.flush()
    found = reading.read(tmp_path, labels=False)
    assert found["input.a"].to_pylist() == [None, "x", None, "y"]
    assert found.schema.field("input.a").type == pa.string()
    assert len(files(tmp_path, ".parquet")) == 2  # the first one, whose column had no type, and all others


def test_columns_that_come_and_go_share_a_segment_and_unlike_types_do_not(tmp_path):
    with closing(Log(tmp_path)) as log:
        for number in range(40):
            some = [{"input__a": pa.array([number * 1.0])}, {"input__b": pa.array([True])}, {"input__a": pa.array(["text"])}]
            log.add(table(number, **some[number % 3]))
            if number % 5 == 0:
                log.flush()
    found = reading.read(tmp_path, labels=False)
    assert found["request_id"].to_pylist() == [f"r{number}" for number in range(40)]
    assert found["input.a"].to_pylist() == [["text" if n % 3 == 2 else str(n) if n % 3 == 0 else None][0] for n in range(40)]
    assert found["input.b"].to_pylist() == [True if n % 3 == 1 else None for n in range(40)]
    assert len(files(tmp_path, ".parquet")) <= 4


def test_dictionaries_metadata_and_doubled_names_are_made_plain():
    doubled = pa.table([pa.array(["a"]).dictionary_encode(), pa.array([1.0])], names=["x", "x"]).replace_schema_metadata({"a": "b"})
    [found] = tables.joined([doubled, doubled])
    assert tables.conformed(found, tables.plain(found.schema)).to_pydict() == {"x": ["a", "a"], "x (2)": [1.0, 1.0]}
    assert tables.plain(found.schema).metadata is None


def test_a_doubled_name_loses_no_value(tmp_path):
    with closing(Log(tmp_path)) as log:
        log.add(table(0).append_column("input.a", pa.array(["first"])).append_column("input.a", pa.array(["second"])))
    found = reading.read(tmp_path, labels=False)
    assert (found["input.a"].to_pylist(), found["input.a (2)"].to_pylist()) == (["first"], ["second"])


def test_threads_and_logs_share_a_folder(tmp_path):
    with closing(Log(tmp_path, flush=0.01, segment_bytes=20_000)) as one, closing(Log(tmp_path, flush=0.01)) as other:

        def write(first: int) -> None:
            for number in range(first, first + 200):
                (one, other)[number % 2].add(table(number, 2))

        threads = [threading.Thread(target=write, args=[first * 200]) for first in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert Counter(ids(tmp_path)) == {f"r{number}": 2 for number in range(1200)}
    assert one.rows + other.rows == 2400


def test_a_torn_end_of_any_length_leaves_the_batches_before_it(tmp_path):
    with closing(Log(tmp_path / "whole")) as log:
        sizes = []
        for number in range(3):
            log.add(table(number, input__text=pa.array(["long " * number])))
            log.flush()
            [file] = files(log.folder, ".arrows")
            sizes.append(file.stat().st_size)
        content = file.read_bytes()
    torn = tmp_path / "torn" / file.name
    torn.parent.mkdir()
    for length in [*range(0, sizes[0], 61), *range(sizes[0], sizes[2])]:
        torn.write_bytes(content[:length])
        rows = sum(length >= size for size in sizes)
        assert sum(len(batch) for batch in segments.complete(torn)) == rows, length
        if length % 50 == 0:  # the file is grown with zeros where power was lost
            torn.write_bytes(content[:length].ljust(length + 4096, b"\0"))
            assert sum(len(batch) for batch in segments.complete(torn)) in (rows, rows + 1)
            torn.write_bytes(content[:length])
        if length % 97 == 0:
            assert ids(torn.parent) == [f"r{number}" for number in range(rows)]
            assert segments.recover(torn.parent) == (1, [])
            assert [len(pq.read_table(found)) for found in torn.parent.iterdir()] == ([rows] if rows else [])
            for found in torn.parent.iterdir():
                found.unlink()


def broken(folder: Path, way: str) -> None:
    folder.rename(folder.with_name("away"))
    if way == "a file":
        folder.write_text("")


def mended(folder: Path) -> None:
    folder.unlink(missing_ok=True)
    folder.with_name("away").rename(folder)


@pytest.mark.parametrize("way", ["nothing", "a file"])
def test_rows_wait_while_the_folder_is_away_and_are_written_when_it_is_back(tmp_path, way, caplog):
    folder = tmp_path / "log"
    with closing(Log(folder, flush=0.01)) as log:
        log.add(table(0))
        log.flush()
        broken(folder, way)
        for number in range(1, 30):
            log.add(table(number))
            time.sleep(0.005)
        within(5, lambda: log.failing)
        assert str(folder) in log.failing
        assert log.waiting > 0
        with pytest.raises(TimeoutError, match="rows are not on disk"):
            log.flush(timeout=0.1)
        mended(folder)
        log.flush(timeout=10)
        assert (log.failing, log.waiting, log.rows) == (None, 0, 30)
        assert ids(folder) == [f"r{number}" for number in range(30)]
    assert "written again" in caplog.text
    assert len([line for line in caplog.records if line.levelno == logging.ERROR]) <= 3  # told once, not at each flush


@pytest.mark.parametrize("step", ["write", "fdatasync", "rollback"])
def test_half_a_write_is_cut_off_and_its_rows_come_once(tmp_path, step, monkeypatch):
    """The disk takes some bytes of a batch, or all of them but not for sure, and fails to cut them off."""
    failing = threading.Event()
    write, sync, cut = os.write, os.fdatasync, os.ftruncate

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", lambda f, b: (write(f, b[:100]), fail()) if failing.is_set() and step != "fdatasync" else write(f, b))
    monkeypatch.setattr(os, "fdatasync", lambda f: fail() if failing.is_set() else sync(f))
    monkeypatch.setattr(os, "ftruncate", lambda f, n: fail() if failing.is_set() and step == "rollback" else cut(f, n))
    with closing(Log(tmp_path, flush=0.01)) as log:
        log.add(table(0))
        log.flush()
        failing.set()
        log.add(table(1))
        within(5, lambda: log.failing)
        assert "No space left" in log.failing
        log.add(table(2))
        time.sleep(0.05)
        failing.clear()
        log.flush(timeout=10)
        assert log.failing is None
        assert ids(tmp_path) == ["r0", "r1", "r2"]
    assert ids(tmp_path) == ["r0", "r1", "r2"]
    for file in tmp_path.iterdir():
        assert len(pq.read_table(file)) > 0


def test_a_limit_on_file_sizes_is_a_disk_that_is_full(tmp_path):
    script = """
import resource, sys, time
from pathlib import Path
sys.path.append("tests/inference_log")
import pyarrow as pa
from inference_log_rows import table
from pipeline.inference_log.writing import Log
log = Log(Path(sys.argv[1]), flush=0.01)
log.add(table(0)); log.flush()
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
log.add(table(1, input__text=pa.array(["x" * 100_000])))
while not log.failing: time.sleep(0.01)
print(log.failing, log.waiting)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.add(table(2)); log.flush(); print(log.failing, log.waiting); log.close()
"""
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, check=True)
    first, second = done.stdout.splitlines()
    assert "File too large" in first
    assert first.endswith(" 1")
    assert second == "None 0"
    assert ids(tmp_path) == ["r0", "r1", "r2"]
    assert {file.suffix for file in tmp_path.iterdir()} == {".parquet"}


def test_a_full_log_takes_no_more_until_the_disk_does(tmp_path):
    folder = tmp_path / "log"
    with closing(Log(folder, flush=0.01, waiting_bytes=100_000)) as log:
        broken(folder, "nothing")
        taken = 0
        with pytest.raises(LogFull, match=r"log: [0-9,]+ rows wait: .*log"):  # noqa: PT012
            for number in range(10_000):
                log.add(table(number, 10))
                taken += 1
                time.sleep(0.0005)
        assert 30 < taken < 2000
        mended(folder)
        log.flush(timeout=10)
        assert len(ids(folder)) == log.rows == taken * 10
        log.add(table(taken, 10))
    assert len(ids(folder)) == taken * 10 + 10


def test_one_table_larger_than_may_wait_is_refused_and_none_is_taken_after_the_end(tmp_path):
    with closing(Log(tmp_path, waiting_bytes=10_000)) as log:
        with pytest.raises(LogFull):
            log.add(table(0, input__a=pa.array(["x" * 20_000])))
        log.add(table(1).slice(0, 0))
    with pytest.raises(ValueError, match="closed"):
        log.add(table(2))
    assert list(tmp_path.iterdir()) == []


def test_what_the_disk_does_not_take_at_the_end_is_told(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(writing, "LAST", 0.1)
    log = Log(tmp_path / "log", flush=0.01)
    broken(tmp_path / "log", "nothing")
    log.add(table(0, 7))
    log.close()
    assert "7 rows of the inference log are lost" in caplog.text
    with pytest.raises(TimeoutError):
        log.flush()


def test_segments_end_by_size_and_by_age_without_traffic(tmp_path):
    with closing(Log(tmp_path / "size", segment_bytes=4000)) as log:
        for number in range(20):
            log.add(table(number))
            log.flush()
        within(5, lambda: len(files(log.folder, ".parquet")) > 1)
        assert ids(log.folder) == sorted((f"r{number}" for number in range(20)), key=lambda name: int(name[1:]))
    with closing(Log(tmp_path / "age", flush=0.01, segment_seconds=0.1)) as log:
        log.add(table(0))
        log.flush()
        within(5, lambda: files(log.folder, ".parquet") and not files(log.folder, ".arrows"))


def test_names_sort_by_time_and_tell_it():
    names = [segments.stem() for _ in range(50)]
    assert sorted(names, key=lambda name: name[:23]) == names
    assert len(set(names)) == 50
    assert abs(segments.started(Path(f"{names[0]}.parquet")) - datetime.now(UTC)) < timedelta(seconds=60)
    assert segments.started(Path("notes.parquet")) is None


def test_limits_remove_the_oldest_closed_segments_and_nothing_else(tmp_path):
    (tmp_path / "labels").mkdir()
    others = [tmp_path / "labels" / "20200101T000000.000000Z-a-1-b.parquet", tmp_path / "notes.parquet"]
    old = [tmp_path / f"2020010{day}T000000.000000Z-a-1-b.parquet" for day in (1, 2)]
    for file in [*others, *old]:
        pq.write_table(table(0), file)
    with closing(Log(tmp_path, segment_bytes=1, keep_seconds=365 * 86400)) as log:
        within(5, lambda: not any(file.exists() for file in old))
        assert all(file.exists() for file in others)
        assert log.removed == 2
    size = 3 * others[0].stat().st_size
    with closing(Log(tmp_path, segment_bytes=1, keep_bytes=size)) as log:
        for number in range(10):
            log.add(table(number))
            log.flush()
    assert 0 < sum(file.stat().st_size for file in files(tmp_path, ".parquet") if file not in others) <= size
    assert ids(tmp_path)[-1] == "r9"
    assert log.removed == 10 - len(files(tmp_path, ".parquet")) + 1


def test_an_error_of_the_conversion_leaves_the_rows_readable_and_is_told_until_it_is_over(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(keeping, "SWEEP", 0.05)
    convert = segments._parquet

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(segments, "_parquet", fail)
    with closing(Log(tmp_path, flush=0.01, segment_bytes=1)) as log:
        log.add(table(0))
        within(5, lambda: log.failing)
        assert "not converted to Parquet" in log.failing
        assert "not converted to Parquet" in caplog.text
        assert ids(tmp_path) == ["r0"]
        log.add(table(1))
        log.flush(timeout=5)  # which goes on all the same
        monkeypatch.setattr(segments, "_parquet", convert)
        within(5, lambda: log.failing is None and not files(tmp_path, ".arrows"))
    assert ids(tmp_path) == ["r0", "r1"]


def test_a_slow_conversion_keeps_no_flush_waiting(tmp_path, monkeypatch):
    convert, go = segments._parquet, threading.Event()
    monkeypatch.setattr(segments, "_parquet", lambda *files: (go.wait(10), convert(*files))[1])
    with closing(Log(tmp_path, segment_bytes=1)) as log:
        for number in range(5):
            log.add(table(number))
            log.flush(timeout=2)
        assert len(ids(tmp_path)) == 5
        assert not files(tmp_path, ".parquet")
        go.set()
    assert len(ids(tmp_path)) == 5


def test_rows_are_on_disk_when_a_program_ends_without_closing_its_log(tmp_path):
    script = (
        "import sys; from pathlib import Path; sys.path.append('tests/inference_log')\n"
        "from inference_log_rows import table; from pipeline.inference_log.writing import Log\n"
        "log = Log(Path(sys.argv[1]), flush=60)\nlog.add(table(0))\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, check=True)
    assert ids(tmp_path) == ["r0"]
    assert {file.suffix for file in tmp_path.iterdir()} == {".parquet"}

"""Reading a log: order, choice of rows and columns, segments that change under the reader's hands."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from inference_log_rows import START, table

from pipeline.errors import UserError
from pipeline.inference_log import reading, segments
from pipeline.inference_log.writing import Log


def after(seconds: float):
    return START + timedelta(seconds=seconds)


@pytest.fixture
def log(tmp_path) -> Path:
    """Ten requests in five closed segments, and five more in one that grows."""
    with closing(Log(tmp_path / "log", segment_bytes=1)) as log:
        for number in range(9, -1, -1):
            version = {"version": str(number % 2)}
            log.add(table(number, 2, **version, **({"input__a": pa.array([1.0, 2.0])} if number > 5 else {})))
            if number % 2 == 0:
                log.flush()
    with closing(Log(tmp_path / "log")) as log:
        for number in range(10, 15):
            log.add(table(number, model="other", input__b=pa.array(["b"])))
        log.flush()
        yield tmp_path / "log"


def test_rows_are_ordered_by_time_request_and_row(log):
    found = reading.read(log)
    keys = list(zip(*(found[name].to_pylist() for name in ("time", "request_id", "row")), strict=True))
    assert keys == sorted(keys)
    assert len(keys) == 25
    assert found["input.a"].to_pylist() == [None] * 12 + [1.0, 2.0] * 4 + [None] * 5
    assert found["input.b"].to_pylist() == [None] * 20 + ["b"] * 5
    assert found["label"].to_pylist() == found["label_time"].to_pylist() == [None] * 25
    assert found.schema.field("label_time").type == pa.timestamp("us", "UTC")


@pytest.mark.parametrize(
    ("chosen", "numbers"),
    [
        ({"since": after(8)}, [8, 8, 9, 9, 10, 11, 12, 13, 14]),
        ({"until": after(1)}, [0, 0]),
        ({"since": after(1), "until": after(2.5)}, [1, 1, 2, 2]),
        ({"since": after(9).replace(tzinfo=None), "until": after(11)}, [9, 9, 10]),
        ({"since": after(100)}, []),
        ({"model": "other", "until": after(12)}, [10, 11]),
        ({"version": "1", "model": "m", "since": after(5)}, [5, 5, 7, 7, 9, 9]),
        ({"version": "7"}, []),
    ],
)
def test_rows_are_chosen_by_arrival_model_and_version(log, chosen, numbers):
    whole = reading.read(log)
    found = reading.read(log, **chosen)
    assert found["request_id"].to_pylist() == [f"r{number}" for number in numbers]
    assert found.schema == whole.schema
    parts = list(reading.batches(log, **chosen))
    assert Counter(name for part in parts for name in part["request_id"].to_pylist()) == Counter(f"r{number}" for number in numbers)
    assert {part.schema for part in parts} == {whole.schema}


def test_row_groups_out_of_question_are_not_read(log, monkeypatch):
    read, groups = pq.ParquetFile.read_row_group, []
    monkeypatch.setattr(pq.ParquetFile, "read_row_group", lambda self, at, **more: groups.append(at) or read(self, at, **more))
    reading.read(log)
    assert len(groups) == 5
    for chosen, count in (({"since": after(8)}, 1), ({"until": after(2)}, 1), ({"model": "other"}, 0), ({"version": "1"}, 5)):
        groups.clear()
        reading.read(log, **chosen)
        assert len(groups) == count, chosen


def test_columns_are_chosen_and_a_missing_one_is_told(log):
    found = reading.read(log, columns=["input.b", "seconds"], since=after(9))
    assert found.column_names == ["input.b", "seconds", "label", "label_time"]
    assert found["input.b"].to_pylist() == [None, None, *"bbbbb"]
    assert reading.read(log, columns=["input.a"], labels=False).column_names == ["input.a"]
    with pytest.raises(UserError, match=r"log: missing column input\.c; expected one of request_id, .*input\.a"):
        reading.read(log, columns=["input.c"])


def test_a_folder_that_is_not_there_and_one_without_rows(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: expected the folder of an inference log, found nothing"):
        reading.read(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file: expected the folder of an inference log, found a file"):
        list(reading.batches(tmp_path / "file"))
    found = reading.read(tmp_path)
    assert len(found) == 0
    assert found.column_names == ["request_id", "row", "time", "model", "version", "seconds", "label", "label_time"]
    assert reading.read(tmp_path, columns=["input.a"]).column_names == ["input.a", "label", "label_time"]


def test_a_file_that_is_no_parquet_is_told(log):
    (log / f"{segments.stem()}.parquet").write_bytes(b"PAR1 or not")
    with pytest.raises(UserError, match=r"\.parquet: not readable"):
        reading.read(log)


def test_unlike_types_of_a_column_become_text(tmp_path):
    with closing(Log(tmp_path)) as log:
        values = [pa.array(["x"]), pa.array([1.5]), pa.array([True]), pa.array([[1.0]]), pa.array([b"\xff"]), pa.array([START])]
        for number, value in enumerate(values):
            log.add(table(number, input__a=value))
            log.flush()
    found = reading.read(tmp_path)["input.a"].to_pylist()
    assert found[:4] == ["x", "1.5", "true", "[1.0]"]
    assert found[4] == '"ff"'
    assert found[5].startswith("2026-01-01 00:00:00")


def test_numbers_of_two_types_stay_numbers(tmp_path):
    with closing(Log(tmp_path)) as log:
        log.add(table(0, input__a=pa.array([1], pa.int64())))
        log.flush()
        log.add(table(1, input__a=pa.array([0.5])))
    assert reading.read(tmp_path)["input.a"].to_pylist() == [1.0, 0.5]


def test_parquet_wins_over_its_stream_and_a_removed_segment_is_passed(log, monkeypatch):
    [growing] = log.glob("*.arrows")
    closed = sorted(log.glob("*.parquet"))
    (log / f"{closed[0].stem}.arrows").write_bytes(growing.read_bytes())
    assert len(reading.read(log)) == 25
    stems = reading._stems(log)
    monkeypatch.setattr(reading, "_stems", lambda _: stems)
    (log / f"{closed[0].stem}.arrows").unlink()
    closed[0].unlink()
    assert len(reading.read(log)) == 21


def test_a_segment_that_a_listing_passed_under_both_names_is_found(log, monkeypatch):
    looks, listed = [], Path.iterdir

    def first_look_passes_one(folder):
        looks.append(folder)
        found = sorted(listed(folder))
        return iter(found[1:] if len(looks) == 1 else found)

    monkeypatch.setattr(Path, "iterdir", first_look_passes_one)
    assert len(reading.read(log)) == 25


def test_each_row_is_read_once_while_segments_are_converted_and_removed(tmp_path):
    with closing(Log(tmp_path, flush=0.001, segment_bytes=3000)) as log:
        written, done = 0, threading.Event()

        def write() -> None:
            nonlocal written
            while not done.is_set():
                log.add(table(written))
                log.flush()
                written += 1

        writer = threading.Thread(target=write)
        writer.start()
        reads, deadline = 0, time.monotonic() + 3
        try:
            while time.monotonic() < deadline:
                before = written
                found = Counter(reading.read(tmp_path, columns=["request_id"], labels=False)["request_id"].to_pylist())
                assert not found or max(found.values()) == 1
                assert all(f"r{number}" in found for number in range(before))
                reads += 1
        finally:
            done.set()
            writer.join()
    assert reads > 5
    assert written > 50
    assert len(list(tmp_path.glob("*.parquet"))) > 5

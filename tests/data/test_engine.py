"""Row ids, the uniform draw of splits, and Parquet files with the same bytes."""

from __future__ import annotations

import datetime
import hashlib
import os
import platform
import subprocess
import sys
import threading

import ibis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import paths, resources
from pipeline.data.engine import (
    ROW_ID,
    engine,
    footer,
    parquet_rows,
    read,
    sample,
    scratch,
    threshold,
    totals,
    uniform,
    with_row_id,
    write,
)
from pipeline.terminal.progress import listening


@pytest.fixture(scope="module")
def backend():
    with engine() as connection:
        yield connection


def ids(backend, columns):
    """The ids of a table's rows, sorted."""
    table = backend.create_table("t", pa.table(columns), overwrite=True)
    return sorted(backend.to_pyarrow(with_row_id(table))[ROW_ID].to_pylist())


VALUES = st.lists(st.tuples(st.sampled_from(["a", "b", "", None]), st.sampled_from([1, 2, None])), min_size=1, max_size=12)


@settings(derandomize=True, max_examples=25, deadline=None)
@given(VALUES.flatmap(lambda rows: st.tuples(st.just(rows), st.permutations(rows))))
def test_row_ids_do_not_depend_on_the_order_of_rows(orders):
    with engine() as backend:
        found = []
        for name, rows in zip("uv", orders, strict=True):
            columns = {"text": pa.array([r[0] for r in rows], pa.string()), "number": pa.array([r[1] for r in rows], pa.int64())}
            table = backend.to_pyarrow(with_row_id(backend.create_table(name, pa.table(columns)))).to_pylist()
            found.append({row[ROW_ID]: (row["text"], row["number"]) for row in table})
            assert len(found[-1]) == len(rows)  # ids are unique
        assert found[0] == found[1]


def test_equal_rows_are_numbered_from_0(backend):
    found = ids(backend, {"a": ["x", "y", "x", "x"], "b": [1, 1, 1, 1]})
    by_content = {}
    for row_id in found:
        digest, number = row_id.split("-")
        by_content.setdefault(digest, []).append(number)
    assert sorted(by_content.values()) == [["0"], ["0", "1", "2"]]
    assert all(len(digest) == 16 for digest in by_content)


def test_appended_rows_keep_the_ids_of_old_ones(backend):
    assert set(ids(backend, {"a": ["x", "y"]})) < set(ids(backend, {"a": ["x", "y", "x", "z"]}))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([(None, "x")], [("", "x")]),
        ([("", None)], [(None, "")]),
        ([("ab", "c")], [("a", "bc")]),
        ([("a", "b")], [("b", "a")]),
    ],
)
def test_rows_that_differ_have_other_ids(backend, first, second):
    found = [
        ids(backend, {"p": pa.array([r[0] for r in rows], pa.string()), "q": pa.array([r[1] for r in rows], pa.string())})
        for rows in (first, second)
    ]
    assert found[0] != found[1]


def draws(backend, texts, seed):
    table = backend.create_table("texts", pa.table({"text": texts}), overwrite=True)
    found = backend.to_pyarrow(table.select("text", draw=uniform(table.text, seed))).to_pylist()
    return {row["text"]: row["draw"] for row in found}


@pytest.mark.parametrize("share", [0.01, 0.15, 0.5, 0.9])
def test_share_of_draws_below_a_threshold_is_the_share(backend, share):
    values = draws(backend, [f"row {k}" for k in range(20_000)], seed=7).values()
    found = sum(value < threshold(share) for value in values) / 20_000
    assert found == pytest.approx(share, abs=4 * (share * (1 - share) / 20_000) ** 0.5)


def test_thresholds_grow_with_the_share_up_to_all():
    levels = [threshold(share) for share in (0, 0.1, 0.25, 0.5, 1)]
    assert levels == sorted(levels)
    assert levels[0] == "0" * 13
    assert levels[3] == "8" + "0" * 12
    assert levels[4] == "f" * 13


def test_draws_are_fixed_by_seed_and_text_alone(backend):
    first = draws(backend, ["a", "b"], seed=1)
    assert first == draws(backend, ["b", "a"], seed=1)
    assert first["a"] == hashlib.md5(b"1\x1fa").hexdigest()  # what any other engine would give
    other = draws(backend, ["a", "b"], seed=2)
    assert not set(first.values()) & set(other.values())


def test_written_bytes_are_the_same_twice_and_for_reordered_rows(backend, tmp_path):
    rows = [(k % 50, f"name {k % 7}" if k % 3 else None) for k in range(5000)]
    files = []
    for name, order in {"first": rows, "again": rows, "reversed": rows[::-1]}.items():
        content = pa.table({"n": [r[0] for r in order], "t": pa.array([r[1] for r in order], pa.string())})
        files.append(tmp_path / f"{name}.parquet")
        assert write(with_row_id(backend.create_table(name, content)), files[-1]) == 5000
    assert len({hashlib.sha256(file.read_bytes()).hexdigest() for file in files}) == 1
    assert parquet_rows(files[0]) == 5000
    back = backend.to_pyarrow(read(backend, files[0]))
    assert back[ROW_ID].to_pylist() == sorted(back[ROW_ID].to_pylist())
    assert sorted(zip(back["n"].to_pylist(), map(str, back["t"].to_pylist()), strict=True)) == sorted((n, str(t)) for n, t in rows)


def test_time_zone_of_the_machine_changes_nothing(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    with engine() as backend:
        moment = ibis.literal("2020-01-01 12:00:00+00:00").cast("timestamp('UTC')").cast("timestamp")
        assert str(backend.to_pyarrow(moment).as_py()) == "2020-01-01 12:00:00"


def test_scans_filters_and_projections_keep_the_stored_order(backend, tmp_path):
    content = pa.table({"n": range(400_000), "t": [f"name {k % 13}" for k in range(400_000)]})
    first, second = tmp_path / "first.parquet", tmp_path / "second.parquet"
    assert write(with_row_id(backend.create_table("long", content)), first) == 400_000
    table = read(backend, first)
    kept = write(table.filter(table.n % 3 != 0).mutate(u=table.t.upper()), second)
    ids = backend.to_pyarrow(read(backend, second))[ROW_ID].to_pylist()
    assert kept == len(ids) == 266_666
    assert ids == sorted(ids)
    assert backend.to_pyarrow(sample(read(backend, second), 100))[ROW_ID].to_pylist() == ids[:100]


def test_bytes_differ_by_row_though_they_are_the_same_as_text(backend):
    found = [ids(backend, {"image": pa.array([data], pa.binary())}) for data in (b"\x00a", b"\\x00a", b"")]
    assert len({tuple(one) for one in found}) == 3


def test_aggregates_may_have_any_name(backend):
    table = backend.create_table("any", pa.table({"self": [1, 2, 4]}))
    assert totals(backend, table, {"a b:sum": table["self"].sum(), "self": table.count()}) == {"a b:sum": 7, "self": 3}
    assert totals(backend, table, {}) == {}


def test_work_larger_than_the_memory_limit_spills_to_the_state_folder_and_leaves_nothing(workspace):
    with resources.limited("150MB"), engine() as backend:
        limit = backend.raw_sql("SELECT current_setting('memory_limit'), current_setting('temp_directory')").fetchone()
        assert limit[0] == "143.0 MiB"
        assert str(limit[1]).startswith(str(workspace / ".state" / "spill"))
        table = backend.sql("SELECT i, md5(i::VARCHAR) || md5((i + 1)::VARCHAR) AS text FROM range(3000000) t(i)")
        assert write(table.order_by("text"), workspace / "sorted.parquet") == 3_000_000  # some 250 MB of text
    assert list((workspace / ".state" / "spill").iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_a_live_one_uses_is_not(workspace):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    home = paths.state() / "spill"
    left, used, foreign = (
        home / name for name in (f"{platform.node()}-{gone.pid}-a", f"{platform.node()}-{os.getpid()}-b", "elsewhere-1-c")
    )
    for folder in (left, used, foreign):
        folder.mkdir(parents=True)
    with scratch() as mine:
        assert mine.is_dir()
    assert [folder.exists() for folder in (left, used, foreign, mine)] == [False, True, True, False]


class Heard:
    """Who listens to steps, and draws bars."""

    live = True

    def __init__(self):
        self.began_, self.ended_ = [], []

    def began(self, step):
        self.began_.append(step)

    def ended(self, step):
        self.ended_.append(step)


def test_long_work_is_a_step_that_grows_while_the_engine_works(backend, tmp_path):
    heard, seen = Heard(), []
    rows = backend.sql("SELECT range AS x, md5(range::VARCHAR) AS y, hash(range) % 1000 AS z FROM range(1_200_000)")
    many = backend.create_table("many", rows, overwrite=True)
    stop = threading.Event()

    def watch():
        while not stop.wait(0.01):
            seen.extend(step.done for step in heard.began_)

    watching = threading.Thread(target=watch)
    watching.start()
    with listening(heard):
        write(many.order_by("y"), tmp_path / "raw" / "rows.parquet", what="raw")
    stop.set()
    watching.join()
    (step,) = heard.began_
    assert (step.name, step.total, heard.ended_) == ("writing raw", 100, [step])
    assert [done for done in seen if 0 < done < 100]  # DuckDB told how far it was
    assert seen == sorted(seen)


def test_the_footer_of_a_file_tells_what_its_columns_hold(backend, tmp_path):
    moments = [datetime.datetime(2020, 1, day) for day in (3, 1, 2)]
    rows = {"x": [2.5, None, -1.0], "when": moments, "word": ["b", None, "a"], "none": [None] * 3, "steps": [[1.0], None, [2.0, 3.0]]}
    types = {"none": pa.float64(), "steps": pa.list_(pa.float64())}
    table = pa.table({name: pa.array(values, types.get(name)) for name, values in rows.items()})
    write(backend.create_table("footed", table.take(np.tile(range(3), 100_000)), overwrite=True), tmp_path / "rows.parquet")
    assert footer(tmp_path / "rows.parquet") == {
        "x": (200_000, -1.0, 2.5),
        "when": (300_000, min(moments), max(moments)),
        "word": (200_000, "a", "b"),
    }
    write(backend.table("footed").limit(0), tmp_path / "none.parquet")
    assert footer(tmp_path / "none.parquet") == {}

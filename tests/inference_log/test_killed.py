"""What is left when writers are killed: every acknowledged row once, no hole, no file that cannot be read."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from inference_log_rows import table

from pipeline.inference_log import reading, segments
from pipeline.inference_log.writing import Log

WRITER = Path(__file__).with_name("log_writer.py")


def killed(folder: Path, name: str, seconds: float) -> int:
    """Run a writer for a while, kill it, and return the last number that it knew on disk."""
    command = [sys.executable, str(WRITER), str(folder), name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}) as process:
        lines = [process.stdout.readline()]
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().splitlines(keepends=True)
    # the last line may be torn too
    return int([line for line in [*lines, *rest] if line.endswith("\n")][-1])


def numbers(folder: Path) -> dict[str, list[int]]:
    table = reading.read(folder, labels=False)
    found: dict[str, list[int]] = {}
    for name, number in zip(table["model"].to_pylist(), table["input.number"].to_pylist(), strict=True):
        found.setdefault(name, []).append(number)
    return found


def check(found: dict[str, list[int]], acknowledged: dict[str, int]) -> None:
    for name, last in acknowledged.items():
        assert Counter(found[name]).most_common(1)[0][1] == 1, name
        assert sorted(found[name])[: last + 1] == list(range(last + 1)), name
        # Two families of columns are flushed one after the other: behind the last acknowledged row one may be ahead.
        assert max(found[name]) <= last + 25


def test_twenty_kills_under_load_lose_no_acknowledged_row_and_double_none(tmp_path):
    chance, acknowledged = random.Random(5), {}
    for turn in range(5):
        names = [f"{turn}{at}" for at in range(4)]
        with ThreadPoolExecutor(4) as pool:
            lasts = pool.map(lambda name, seconds: killed(tmp_path, name, seconds), names, [chance.uniform(0, 0.4) for _ in names])
            acknowledged |= dict(zip(names, lasts, strict=True))
        check(numbers(tmp_path), acknowledged)  # dead writers' segments as they are, some half converted
    assert len(acknowledged) == 20
    assert list(tmp_path.glob("*.arrows"))
    with closing(Log(tmp_path)) as log:
        pass
    assert log.recovered > 0
    assert log.failing is None
    assert not list(tmp_path.glob("*.arrows"))
    check(numbers(tmp_path), acknowledged)
    for file in tmp_path.glob("*.parquet"):
        assert pq.read_table(file).num_rows > 0


def test_two_processes_recover_at_once_without_a_clash(tmp_path):
    last = killed(tmp_path, "dead", 0.4)
    kept = {file.name: file.read_bytes() for file in tmp_path.glob("*.arrows")}
    script = (
        "import sys; from pathlib import Path; from pipeline.inference_log import segments\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for _ in range(200):\n    done, errors = segments.recover(Path(sys.argv[1])); assert not errors, errors\n    print(done)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "cwd": ROOT}
    both = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    many = {}
    for at in range(40):  # the same dead segments under many names
        for name, content in kept.items():
            stamp, _, rest = name.partition("-")
            many[f"{stamp}-copy{at}-{rest}"] = content
    for name, content in many.items():
        (tmp_path / f".{name}.made").write_bytes(content)
        (tmp_path / f".{name}.made").rename(tmp_path / name)
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    shares = [sum(map(int, output.split())) for output in outputs]
    assert sum(shares) == len(kept) * 41
    assert min(shares) > 0
    found = Counter(numbers(tmp_path)["dead"])
    copied = {n for name in kept for n in pq.read_table((tmp_path / name).with_suffix(".parquet"))["input.number"].to_pylist()}
    assert copied
    for number in range(last + 1):
        assert found[number] == (41 if number in copied else 1)


@pytest.mark.parametrize("step", ["before its name", "between its names"])
def test_a_conversion_that_died_half_way_is_done_again_and_doubles_nothing(tmp_path, step, monkeypatch):
    killed(tmp_path, "dead", 0.0)
    for file in tmp_path.glob("*.parquet"):
        file.unlink()
    before = numbers(tmp_path)
    file = max(tmp_path.glob("*.arrows"), key=lambda file: file.stat().st_size)
    content = file.read_bytes()
    segments.recover(tmp_path)
    file.write_bytes(content)
    if step == "before its name":
        file.with_suffix(".parquet").rename(tmp_path / f".{file.stem}.parquet.new")
    assert numbers(tmp_path) == before
    assert segments.recover(tmp_path) == (1, [])
    assert numbers(tmp_path) == before
    assert not [found for found in tmp_path.iterdir() if found.suffix != ".parquet"]


def test_a_segment_that_another_one_converts_between_opening_and_locking_is_passed(tmp_path, monkeypatch):
    file = tmp_path / f"{segments.stem()}.arrows"
    file.touch()
    lock = segments.fcntl.flock
    monkeypatch.setattr(segments.fcntl, "flock", lambda *how: (file.unlink(), lock(*how))[1])
    assert segments.recover(tmp_path) == (0, [])


def test_a_live_writers_segment_is_left_alone(tmp_path):
    with closing(Log(tmp_path)) as log:
        log.add(table(0))
        log.flush()
        [file] = tmp_path.glob("*.arrows")
        assert segments.recover(tmp_path) == (0, [])
        assert file.exists()
        log.add(table(1))
        log.flush()
        assert reading.read(tmp_path, labels=False)["request_id"].to_pylist() == ["r0", "r1"]


def test_temporary_files_that_nobody_makes_any_more_are_removed(tmp_path):
    kept = [f".{segments.stem()}.arrows.new", ".notes", "notes.new"]
    dropped = [f".{segments.stem()}.arrows.new", f".{segments.stem()}.parquet.new"]
    for name in [*kept, *dropped]:
        (tmp_path / name).touch()
        if name not in kept[:1]:
            os.utime(tmp_path / name, (1, 1))
    assert segments.recover(tmp_path) == (0, [])
    assert {file.name for file in tmp_path.iterdir()} == set(kept)

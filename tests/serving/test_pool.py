"""Requests shared out to processes that speak the package's protocol, and die, hang or refuse as they are asked to."""

from __future__ import annotations

import asyncio
import sys
from contextlib import ExitStack

import pyarrow as pa
import pytest

from pipeline import child
from pipeline.child import Refused
from pipeline.errors import UserError
from pipeline.packaging import Package
from pipeline.serving import pool, process
from pipeline.serving.about import About
from pipeline.serving.pool import Busy, Generation
from pipeline.serving.process import Died

ABOUT = About("m", "1", ("x",), {"x": "text"}, {"x": "text"}, {"x": ()}, {}, {"prediction": "string"}, "multiclass", (), False, ())
WHOLE = About(**{**vars(ABOUT), "whole": True})

SCRIPT = """
import json, os, sys, time
import pyarrow as pa
out = sys.stdout.buffer
while head := sys.stdin.buffer.read(8):
    table = pa.ipc.open_stream(sys.stdin.buffer.read(int.from_bytes(head, "big"))).read_all()
    values = table["x"].to_pylist()
    if "die" in values:
        os.abort()
    if "hang" in values:
        time.sleep(60)
    kind, reply = b"A", b"no table"
    if "no" in values:
        kind, reply = b"E", json.dumps({"row": None, "text": "these rows are not taken"}).encode()
    elif "nonsense" not in values:
        answer = pa.table({"prediction": [f"{value} of {len(values)}" for value in values][: -1 if "short" in values else None]})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, answer.schema) as stream:
            stream.write_table(answer)
        reply = sink.getvalue()
    time.sleep(0.02)
    out.write(kind + len(reply).to_bytes(8, "big"))
    out.write(reply)
    out.flush()
"""


@pytest.fixture
def generation(monkeypatch, tmp_path):
    """Runs `work(generation, seen)` over a pool of such processes; `seen` gets (about, first, rows) of what was answered together."""
    monkeypatch.setattr(child, "command", lambda package: [sys.executable, "-c", SCRIPT])
    monkeypatch.setattr(pool, "PAUSES", (0.0, 0.05))

    def run(work, *, about=ABOUT, warm=(), **more):
        async def main():
            seen = []

            def answered(together, rows, answer):
                seen.append([(one.about, one.first, len(one.table)) for one in together])

            made = Generation(about, Package(tmp_path, about.columns, about.whole), ExitStack(), warm, answered, **more)
            await made.start()
            try:
                return await work(made, seen)
            finally:
                await made.stop(5)

        return asyncio.run(main())

    return run


def rows(*values: str) -> pa.Table:
    return pa.table({"x": pa.array(values, pa.string())})


async def told(made: Generation, *values: str) -> list[str]:
    return (await made.ask(rows(*values), values))["prediction"].to_pylist()


def test_what_waits_is_asked_together_and_each_gets_its_own(generation):
    async def work(made, seen):
        found = await asyncio.gather(*(told(made, f"a{at}", f"b{at}") for at in range(20)))
        for at, (one, other) in enumerate(found):
            assert (one.partition(" ")[0], other.partition(" ")[0]) == (f"a{at}", f"b{at}")
        assert len(seen) < 5
        assert max(len(together) for together in seen) > 10
        assert sorted(about for together in seen for about, _, _ in together) == sorted((f"a{at}", f"b{at}") for at in range(20))

    generation(work)


def test_columns_of_other_types_and_whole_requests_are_not_put_together(generation):
    async def work(made, seen):
        numbers = made.ask(pa.table({"x": pa.array([1], pa.int64())}), "number")
        await asyncio.gather(told(made, "first"), told(made, "a"), numbers, told(made, "b"))
        assert [[about for about, _, _ in together] for together in seen] == [[("first",), ("a",)], ["number"], [("b",)]]

    async def alone(made, seen):
        assert await asyncio.gather(*(told(made, f"a{at}") for at in range(5))) == [[f"a{at} of 1"] for at in range(5)]

    generation(work)
    generation(alone, about=WHOLE)


def test_a_request_that_kills_the_process_is_given_up_alone(generation):
    async def work(made, seen):
        good = [told(made, f"a{at}") for at in range(6)]
        found = await asyncio.gather(
            told(made, "first"), *good, told(made, "die"), *[told(made, f"b{at}") for at in range(6)], return_exceptions=True
        )
        assert [type(one) for one in found].count(Died) == 1
        assert isinstance(found[7], Died)
        assert "was killed by SIGABRT" in str(found[7])
        assert all(isinstance(one, list) for one in found[:7] + found[8:])
        assert (made.restarts, made.ready, made.failure) == (2, 1, "")
        assert await told(made, "after") == ["after of 1"]

    generation(work)


def test_a_request_that_is_refused_harms_no_other(generation):
    async def work(made, seen):
        found = await asyncio.gather(told(made, "first"), told(made, "a"), told(made, "no"), told(made, "b"), return_exceptions=True)
        assert isinstance(found[2], Refused)
        assert [found[1], found[3]] == [["a of 1"], ["b of 1"]]
        assert made.restarts == 0

    generation(work)


@pytest.mark.parametrize(("value", "said"), [("hang", "gave no answer for"), ("nonsense", "cannot be read")])
def test_a_process_that_hangs_or_talks_nonsense_is_replaced(generation, monkeypatch, value, said):
    monkeypatch.setattr(process.Process.ask, "__defaults__", (2.0,))

    async def work(made, seen):
        with pytest.raises(Died, match=said):
            await told(made, value)
        assert await told(made, "after") == ["after of 1"]
        assert made.restarts == 2

    generation(work, warm=[rows("its start takes a while")])


def test_an_answer_of_another_length_is_none(generation):
    async def work(made, seen):
        with pytest.raises(Died, match="expected an answer a row, got 1 for 2 rows"):
            await told(made, "a", "short")
        assert seen == []

    generation(work)


def test_a_large_request_is_asked_in_blocks_and_others_come_in_between(generation, monkeypatch):
    monkeypatch.setattr(pool, "BLOCK", 10)

    async def work(made, seen):
        large = asyncio.create_task(told(made, *(f"v{at}" for at in range(95))))
        await asyncio.sleep(0.03)
        await told(made, "small")
        assert not large.done()
        assert [value.partition(" ")[0] for value in await large] == [f"v{at}" for at in range(95)]
        spans = [(first, count) for together in seen for about, first, count in together if len(about) > 1]
        assert spans == [(at, min(10, 95 - at)) for at in range(0, 95, 10)]

    generation(work)


def test_too_many_waiting_requests_are_told_to_come_again(generation):
    async def work(made, seen):
        found = await asyncio.gather(*(told(made, f"a{at}") for at in range(9)), return_exceptions=True)
        assert sum(isinstance(one, Busy) for one in found) == 4
        assert made.waiting == pool.deque()

    generation(work, most_waiting=5)


def test_who_has_gone_is_not_asked(generation):
    async def work(made, seen):
        first = asyncio.create_task(told(made, "first"))
        await asyncio.sleep(0.005)
        gone = asyncio.create_task(told(made, "gone"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(first, told(made, "b"))
        assert [about for together in seen for about, _, _ in together] == [("first",), ("b",)]

    generation(work)


def test_it_ends_after_its_last_request(generation):
    async def work(made, seen):
        with made:
            ending = asyncio.create_task(made.stop(5))
            await asyncio.sleep(0.05)
            assert not ending.done()
            assert await told(made, "last") == ["last of 1"]
        await ending

    generation(work)


def test_a_package_that_does_not_answer_its_example_does_not_start(generation):
    async def work(made, seen):
        raise AssertionError

    with pytest.raises(UserError, match="was killed by SIGABRT"):
        generation(work, warm=[rows("a"), rows("die")], workers=2)
    with pytest.raises(UserError, match="these rows are not taken"):
        generation(work, warm=[rows("no")])


def test_a_fault_in_recording_ends_nothing(generation, caplog):
    async def work(made, seen):
        made.answered = lambda *_: 1 / 0
        assert await told(made, "a") == ["a of 1"]
        assert await told(made, "b") == ["b of 1"]
        assert "answers could not be recorded" in caplog.text

    generation(work)

"""Steps: what is told of them, and who hears it."""

from __future__ import annotations

import time

import pytest

from pipeline.terminal import progress
from pipeline.terminal.progress import Step


class Heard:
    live = True

    def __init__(self):
        self.told = []

    def began(self, step):
        self.told.append(("began", step.name))

    def ended(self, step):
        self.told.append(("ended", step.name, step.done))


def test_a_listener_hears_steps_inside_its_block_alone_also_of_one_that_fails():
    heard = Heard()
    with progress.listening(heard):
        with progress.step("outer") as outer, progress.step("inner", 3) as inner:
            inner.advance()
            assert outer.drawn_live
        with pytest.raises(ValueError, match="planted"), progress.step("broken"):
            raise ValueError("planted")
    with progress.step("unheard") as unheard:
        unheard.advance()
    assert unheard.done == 1
    assert not unheard.drawn_live
    told = [
        ("began", "outer"),
        ("began", "inner"),
        ("ended", "inner", 1),
        ("ended", "outer", 0),
        ("began", "broken"),
        ("ended", "broken", 0),
    ]
    assert heard.told == told


def test_items_count_when_the_next_is_asked_for():
    heard = Heard()
    with progress.listening(heard):
        assert list(progress.over("abc", "letters", 3)) == ["a", "b", "c"]
    assert heard.told == [("began", "letters"), ("ended", "letters", 3)]


@pytest.mark.parametrize(
    ("step", "told"),
    [
        (Step("epochs", 60, done=12), "12 of 60"),
        (Step("writing", 100, "%", done=42.4), "42%"),
        (Step("fetching", 34_000_000, "B", done=1_234_567), "1.2 of 34.0 MB"),
        (Step("fetching", None, "B", done=2_500), "2.5 kB"),
        (Step("rows", 2_000_000, "rows", done=1_000), "1,000 of 2,000,000 rows"),
        (Step("rows", None, "rows", done=1_000), "1,000 rows"),
        (Step("search"), ""),
    ],
)
def test_how_much_is_done_is_told_in_its_unit(step, told):
    assert progress.count(step) == told


def test_time_left_follows_the_pace_of_this_process():
    began = time.monotonic() - 10
    assert Step("epochs", 60, done=20, began=began).left() == pytest.approx(20, rel=0.05)
    assert Step("epochs", 60, done=40, before=20, began=began).left() == pytest.approx(10, rel=0.05)
    assert Step("epochs", 60, began=began).left() is None
    assert Step("epochs", 60, done=60, began=began).left() is None
    assert Step("search", done=5, began=began).left() is None
    assert progress.words(Step("epochs", 60, done=20, note="loss 0.5", began=began)) == "epochs: 20 of 60, loss 0.5, 20 s left"
    assert progress.words(Step("search", began=began)) == "search: 10 s"


def test_telling_where_nobody_listens_costs_microseconds():
    with progress.step("unheard", 1_000_000) as step:
        began = time.perf_counter()
        for _ in range(20_000):
            step.advance()
    assert (time.perf_counter() - began) / 20_000 < 50e-6

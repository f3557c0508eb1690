"""How far work has come, told by whoever does it to whoever shows it.

Libraries say `with progress.step("bootstrap", total=1000) as step: ... step.advance()`.  Where nobody listens that costs next to nothing;
a screen (`terminal/screens.py`) listens inside `listening(screen)` and looks at the steps when it draws, so that telling is as cheap
as setting a number.  Threads that a library starts are not listened to, unless it gives them a step that it began itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
SUMMARY = {"summary": True}  # `extra` of the record that says in a line what came of a stage


@dataclass
class Step:
    """A piece of work in progress.

    total: how much there is to do, in `unit`s; None where that is not known.  note: a word on how it goes, such as the loss.
    drawn: gives what rich can show in place of a bar, in a terminal.
    """

    name: str
    total: float | None = None
    unit: str = ""
    done: float = 0
    note: str = ""
    drawn: Callable[[], Any] | None = None
    began: float = field(default_factory=time.monotonic)
    before: float = 0  # done by an earlier process, which says nothing of the pace
    drawn_live: bool = False  # whether a bar is drawn, for which it is worth asking how much there is to do

    def advance(self, more: float = 1, note: str | None = None) -> None:
        """So much more is done."""
        self.at(self.done + more, note)

    def at(self, done: float, note: str | None = None) -> None:
        """So much is done now."""
        self.done = done
        self.note = self.note if note is None else note

    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began

    def left(self) -> float | None:
        """Seconds that it will still take at the pace that it had so far; None where that cannot be known."""
        here = self.done - self.before
        if not self.total or here <= 0 or self.done >= self.total:
            return None
        return self.elapsed() * (self.total - self.done) / here


class Listener(Protocol):
    """Who shows steps."""

    live: bool  # whether it draws bars

    def began(self, step: Step) -> None: ...

    def ended(self, step: Step) -> None: ...


_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Inside the block steps are told to `listener`."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextmanager
def step(
    name: str, total: float | None = None, *, unit: str = "", done: float = 0, drawn: Callable[[], Any] | None = None
) -> Iterator[Step]:
    """A step that lasts as long as the block.

    Args:
        done: what an earlier process has done of it.
        drawn: see Step.
    """
    listener, found = _listener.get(), Step(name, total, unit, done, drawn=drawn, before=done)
    if listener is None:
        yield found
        return
    found.drawn_live = listener.live
    listener.began(found)
    try:
        yield found
    finally:
        listener.ended(found)


def over(items: Iterable[T], name: str, total: float | None = None, *, unit: str = "") -> Iterator[T]:
    """The items one by one, each of which counts as one of the step when the next is asked for."""
    with step(name, total, unit=unit) as found:
        for item in items:
            yield item
            found.advance()


def seconds(value: float) -> str:
    """A time in the unit that suits it."""
    return f"{value:.0f} s" if value < 100 else f"{value / 60:.0f} min" if value < 6000 else f"{value / 3600:.1f} h"


def count(step: Step) -> str:
    """How much of a step is done, in words: `12 of 60`, `40%`, `1.2 of 3.4 MB`; nothing where it counts nothing."""
    if step.unit == "%":
        return f"{step.done:.0f}%"
    if step.unit == "B":
        size = step.total or step.done
        power, unit = (9, "GB") if size >= 1e9 else (6, "MB") if size >= 1e6 else (3, "kB")
        amounts = [f"{value / 10**power:.1f}" for value in (step.done, step.total) if value is not None]
        return f"{' of '.join(amounts)} {unit}"
    unit = f" {step.unit}" if step.unit else ""
    if step.total is None:
        return f"{step.done:,.0f}{unit}" if step.done else ""
    return f"{step.done:,.0f} of {step.total:,.0f}{unit}"


def words(step: Step) -> str:
    """A step in a line: its name, how much is done, the note, the time left or taken."""
    left = step.left()
    time_ = f"{seconds(left)} left" if left is not None else f"{seconds(step.elapsed())}"
    return f"{step.name}: " + ", ".join(filter(None, [count(step), step.note, time_]))

"""The sweep in the terminal: a table that is drawn anew where there is one, and a line in the log for each trial."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.terminal import progress
from pipeline.tuning import results

if TYPE_CHECKING:
    from rich.console import RenderableType

log = logging.getLogger(__name__)


@dataclass
class Seat:
    """What a worker is doing."""

    number: int
    values: Mapping[str, Any]
    since: float
    epochs: int = 0
    value: float | None = None


@dataclass
class View:
    """What goes on in a sweep: workers, best so far, counts, time left."""

    trials: int
    epochs: int
    objective: str
    lower: bool
    workers: int = 1
    shown: progress.Step = field(default_factory=lambda: progress.Step("trials"))
    seats: dict[str, Seat] = field(default_factory=dict)
    over: list[results.Trial] = field(default_factory=list)
    took: list[float] = field(default_factory=list)  # seconds of the trials of this call

    def started(self, worker: str, number: int, values: Mapping[str, Any]) -> None:
        """A worker has begun a trial."""
        self.seats[worker] = Seat(number, values, time.monotonic())

    def ready(self, worker: str) -> None:
        """A worker has started, and begins its first trial only now."""
        self.seats[worker].since = time.monotonic()

    def step(self, worker: str, step: int, epochs: int, value: float) -> None:
        """A trial has come to the end of an epoch or fold."""
        self.seats[worker].epochs, self.seats[worker].value = epochs, value

    def finished(self, trial: results.Trial) -> None:
        """A trial is over."""
        self.over.append(trial)
        self.shown.at(sum(one.state != results.FAILED for one in self.over), self._best())
        mine = next((name for name, seat in self.seats.items() if seat.number == trial.number), None)
        if mine is None:  # of an earlier call
            self.shown.before = self.shown.done
        else:
            self.took.append(time.monotonic() - self.seats.pop(mine).since)
            self.say(trial)

    def say(self, trial: results.Trial) -> None:
        """Tell of a trial that is over."""
        outcome = f"{self.objective} {trial.values[0]:.4g}" if trial.values else trial.state
        why = f": {trial.reason}" if trial.reason else f" after {trial.epochs} epochs"
        shown = ", ".join(f"{key} {_short(value)}" for key, value in trial.params.items())
        left = f"; {progress.seconds(seconds)} left" if (seconds := self.left()) else ""
        log.info("trial %d of %d: %s%s (%s)%s", trial.number, self.trials, outcome, why, shown, left)

    def gone(self, worker: str) -> None:
        """A worker is no more."""
        self.seats.pop(worker, None)

    def best(self) -> results.Trial | None:
        """The best trial so far, in the first objective."""
        sign = 1 if self.lower else -1
        able = [trial for trial in self.over if trial.state == results.COMPLETE and trial.feasible]
        return min(able, key=lambda trial: (sign * trial.values[0], trial.number), default=None)

    def left(self) -> float | None:
        """Seconds until the budget is spent, if trials go on as they did; None where that is not known or nothing is left."""
        done = sum(trial.state != results.FAILED for trial in self.over)
        if not self.took or done >= self.trials:
            return None
        return (self.trials - done) * statistics.fmean(self.took) / self.workers

    def drawn(self) -> RenderableType:
        """The table."""
        from rich.table import Table as Grid

        counts = ", ".join(f"{n} {state}" for state in (results.COMPLETE, results.PRUNED, results.FAILED) if (n := self._count(state)))
        left = f", about {progress.seconds(seconds)} left" if (seconds := self.left()) else ""
        grid = Grid(
            title=f"{counts or 'no trial is over yet'} of {self.trials}{left}", title_justify="left", caption=self._best(), expand=True
        )
        for name in ("worker", "trial", "epoch", self.objective, "seconds"):
            grid.add_column(name, justify="right", no_wrap=True)
        grid.add_column("values", ratio=1)
        for name, seat in sorted(dict(self.seats).items()):
            value = "" if seat.value is None else f"{seat.value:.4g}"
            took = f"{time.monotonic() - seat.since:.0f}"
            shown = ", ".join(f"{key.split('.', 1)[1]} {_short(item)}" for key, item in seat.values.items())
            grid.add_row(name, str(seat.number), f"{seat.epochs}", value, took, shown)
        return grid

    def _best(self) -> str:
        best = self.best()
        return f"best so far: trial {best.number}, {self.objective} {best.values[0]:.4g}" if best else ""

    def _count(self, state: str) -> int:
        return sum(trial.state == state for trial in self.over)


@contextmanager
def view(**settings: Any) -> Iterator[View]:
    """What is told of a sweep, shown inside the block."""
    found = View(**settings)
    with progress.step("trials", found.trials, drawn=found.drawn) as found.shown:
        yield found


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_short, value)) + "]"
    return f"{value:.3g}" if isinstance(value, float) else str(value)

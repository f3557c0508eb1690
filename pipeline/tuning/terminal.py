"""The sweep in the terminal: a live table where there is one, a line for each trial elsewhere."""

from __future__ import annotations

import logging
import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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
    """Lines in the log: what a pipe or a file can hold."""

    trials: int
    epochs: int
    objective: str
    lower: bool
    workers: int = 1
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
        mine = next((name for name, seat in self.seats.items() if seat.number == trial.number), None)
        if mine is not None:
            self.took.append(time.monotonic() - self.seats.pop(mine).since)
            self.say(trial)

    def say(self, trial: results.Trial) -> None:
        """Tell of a trial that is over."""
        outcome = f"{self.objective} {trial.values[0]:.4g}" if trial.values else trial.state
        why = f": {trial.reason}" if trial.reason else f" after {trial.epochs} epochs"
        shown = ", ".join(f"{key} {_short(value)}" for key, value in trial.params.items())
        left = f"; {minutes(seconds)} left" if (seconds := self.left()) else ""
        log.info("trial %d of %d: %s%s (%s)%s", trial.number, self.trials, outcome, why, shown, left)

    def gone(self, worker: str) -> None:
        """A worker is no more."""
        self.seats.pop(worker, None)

    def tick(self) -> None:
        """Time has passed."""

    def close(self) -> None:
        """Show no more."""

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


@dataclass
class Table(View):
    """A table that is drawn anew each second: workers, best so far, counts, time left."""

    def __post_init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(self._drawn(), console=Console(stderr=True), refresh_per_second=2, transient=False)
        self._live.start()

    def say(self, trial: results.Trial) -> None:
        self.tick()

    def tick(self) -> None:
        self._live.update(self._drawn())

    def close(self) -> None:
        self.tick()
        self._live.stop()

    def _drawn(self) -> RenderableType:
        from rich.table import Table as Grid

        counts = ", ".join(f"{n} {state}" for state in (results.COMPLETE, results.PRUNED, results.FAILED) if (n := self._count(state)))
        left = f", about {minutes(seconds)} left" if (seconds := self.left()) else ""
        grid = Grid(
            title=f"{counts or 'no trial is over yet'} of {self.trials}{left}", title_justify="left", caption=self._best(), expand=True
        )
        for name in ("worker", "trial", "epoch", self.objective, "seconds"):
            grid.add_column(name, justify="right", no_wrap=True)
        grid.add_column("values", ratio=1)
        for name, seat in sorted(self.seats.items()):
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


def view(**settings: Any) -> View:
    """A table in a terminal, lines elsewhere and where the log shows warnings only."""
    live = sys.stderr.isatty() and log.isEnabledFor(logging.INFO)
    return Table(**settings) if live else View(**settings)


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_short, value)) + "]"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def minutes(seconds: float) -> str:
    """A time in the unit that suits it."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"

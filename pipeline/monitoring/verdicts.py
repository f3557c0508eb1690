"""What is said of a window: its state, what each measure showed, and what could have been seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.monitoring.decay import Decay
from pipeline.monitoring.drift import Aspect

State = Literal["ok", "drift", "decay", "insufficient data"]
MOST_ROWS = 1_000_000  # of a window


@dataclass(frozen=True)
class Power:
    """The chance that a stated shift raises an alarm.

    power: the median over the columns looked at, in windows of `rows` rows; None where no column can shift.
    rows_needed: the smallest window with a power of 0.8, to within 10%; None where 1,000,000 rows are too few.
    """

    shift: float
    rows: int
    power: float | None
    by_column: dict[str, float]
    rows_needed: int | None

    def words(self, rows: int) -> str:
        """Why a window of `rows` rows in which nothing was found says little."""
        needed = f"more than {MOST_ROWS:,}" if self.rows_needed is None else f"about {self.rows_needed:,}"
        return f"{rows:,} rows; {needed} are needed to see a shift of {self.shift:g} deviations in 4 of 5 windows"


@dataclass(frozen=True)
class Observed:
    """One aspect of one column in a window; `observed` is None where there was no value to compare.

    What has drifted and is not `harmful` raises no alarm: the model does not use the column.
    """

    column: str
    aspect: Aspect
    observed: float | None
    threshold: float
    drifted: bool
    harmful: bool = True


@dataclass(frozen=True)
class Verdict:
    """The state of one window; `decay` is None where too few rows are labelled, and `reason` then says so.

    drift: has a harmful measure drifted.  `insufficient data`: too few rows or groups to judge (no measures then), or
    nothing found and `power` below a half; `reason` says how much is needed.
    """

    state: State
    drift: bool
    decayed: bool
    reason: str
    rows: int
    groups: int
    measures: tuple[Observed, ...]
    decay: Decay | None
    power: Power | None = None


def newest(windows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The window of production, among windows as they are told, whose state is the model's: the newest that could be judged, if any."""
    production = [one for one in windows if one["kind"] != "control"]
    judged = [one for one in production if one["state"] and one["state"] != "insufficient data"]
    return next(reversed(judged or production), None)

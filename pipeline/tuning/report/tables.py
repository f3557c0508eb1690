"""The tables on the page of a sweep: the best trial beside params.yaml, and all trials."""

from __future__ import annotations

from typing import Any

from pipeline.tuning.report.facts import amount, directed, keys, level, state, value
from pipeline.tuning.report.formats import Absent, Level, is_number, shown
from pipeline.tuning.results import COMPLETE, Sweep, Trial

ROWS = 500  # of the table of all trials
NONE = "–"
Cell = tuple[str, float | None]  # its text, and the number that it sorts by where it is one


def compared(first: Trial | None, best: Trial | None) -> list[tuple[str, str, str, bool]]:
    """Key, value in params.yaml, value of the best trial, and whether they differ."""
    if first is None or best is None:
        return []
    both = [(key, level(first, key), level(best, key)) for key in dict.fromkeys([*first.params, *best.params])]
    return [(key, shown(old), shown(new), old != new) for key, old, new in both]


def measured(first: Trial | None, best: Trial | None) -> list[tuple[str, str, str]]:
    """Name and value, in params.yaml and in the best trial, of what was measured beside the objectives."""
    if first is None or best is None:
        return []

    def text(trial: Trial, name: str) -> str:
        return amount(name, trial.measured[name]) if name in trial.measured else NONE

    return [(name, text(first, name), text(best, name)) for name in dict.fromkeys([*first.measured, *best.measured])]


def trials(sweep: Sweep) -> dict[str, Any]:
    """Header and rows of the trials, the best first, and how many are left out."""
    names = keys(sweep)
    sign = 1 if not sweep.lower or sweep.lower[0] else -1

    def order(trial: Trial) -> tuple[bool, bool, float, int]:
        found = value(trial, 0) if trial.state == COMPLETE else None
        return (found is None, not trial.feasible, sign * (found or 0.0), trial.number)

    def row(trial: Trial) -> list[Cell]:
        values: list[Cell] = [(amount(*pair), pair[1]) for pair in zip(sweep.objectives, trial.values, strict=False)]
        values = values or [(NONE, None)] * len(sweep.objectives)
        after = (trial.epochs, *(level(trial, key) for key in names), trial.reason)
        return [_cell(trial.number), _cell(state(sweep, trial)), *values, *(_cell(found) for found in after)]

    kept = sorted(sweep.trials, key=order)[:ROWS]
    header = ["trial", "state", *(directed(sweep, k) for k in range(len(sweep.objectives))), "epochs", *names, "reason"]
    return {"header": header, "rows": [(trial.number == sweep.best, row(trial)) for trial in kept], "left": len(sweep.trials) - len(kept)}


def _cell(found: Level) -> Cell:
    return (NONE if found is Absent.ABSENT else shown(found), float(found) if is_number(found) else None)

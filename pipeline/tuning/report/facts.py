"""What the pages ask of a sweep: the keys, levels, values and states of its trials, and the names of its objectives."""

from __future__ import annotations

import math

from pipeline.tuning.report.formats import Absent, Level, shown
from pipeline.tuning.results import COMPLETE, PRUNED, Sweep, Trial

INFEASIBLE = "breaks a constraint"
SPELLED = {"auc": "AUC", "auc_ovr": "AUC (one vs rest)", "f1": "F1", "macro_f1": "macro F1", "rmse": "RMSE", "mae": "MAE", "r2": "R²"}
NOT_VALIDATED = {"latency", "parameters"}  # measured on the network, not on validation rows
UNITS = {"latency": " ms"}


def numbered(sweep: Sweep, number: int | None) -> Trial | None:
    """The trial of that number; nothing where it has not ended."""
    return next((trial for trial in sweep.trials if trial.number == number), None)


def keys(sweep: Sweep) -> list[str]:
    """All keys of the space in the order in which trials bring them."""
    return list(dict.fromkeys(key for trial in sweep.trials for key in trial.params))


def level(trial: Trial, key: str) -> Level:
    """The value of a key."""
    return trial.params.get(key, Absent.ABSENT)


def value(trial: Trial, k: int) -> float | None:
    """Objective k of a complete trial, the last value of the curve of a pruned one; none where that is no finite number."""
    last = trial.curve[max(trial.curve)] if trial.state == PRUNED and trial.curve and k == 0 else None
    found = trial.values[k] if trial.state == COMPLETE else last
    return found if found is not None and math.isfinite(found) else None


def state(sweep: Sweep, trial: Trial) -> str:
    """How a trial ended, and what else it is."""
    marks = [trial.state]
    marks += [INFEASIBLE] if not trial.feasible else []
    front = sweep.front if len(sweep.objectives) > 1 else ()
    marks += ["best"] if trial.number == sweep.best else ["on the front"] if trial.number in front else []
    marks += ["params.yaml"] if trial.number == 0 else []
    return ", ".join(marks)


def name(sweep: Sweep, k: int) -> str:
    """Objective k in words."""
    plain = sweep.objectives[k]
    spelled = SPELLED.get(plain, plain.replace("_", " "))
    return spelled if plain in NOT_VALIDATED else f"validation {spelled}"


def directed(sweep: Sweep, k: int) -> str:
    """Objective k in words, with an arrow to where it is better."""
    return name(sweep, k) + (" ↓" if sweep.lower[k] else " ↑")


def amount(measure: str, found: float) -> str:
    """A value of what is measured, with its unit where it has one: 2.5 ms."""
    return shown(found) + UNITS.get(measure, "")

"""Optuna's trials as plain data: what a study found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from pipeline.config import Interval
from pipeline.tuning import results
from pipeline.tuning.space import suggested

FEWEST = 8  # complete trials that say something of which keys matter
STATES = {TrialState.COMPLETE: results.COMPLETE, TrialState.PRUNED: results.PRUNED, TrialState.FAIL: results.FAILED}
SURPLUS = "surplus"  # the kind of a trial that is one too many
SILENT = {"reason": "its machine gave no sign of life any more"}


def over(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that ended, but for those of no account: one too many, or one that another has taken the place of."""
    replaced = {trial.user_attrs.get("instead_of") for trial in trials}
    of_account = [trial for trial in trials if trial.number not in replaced and trial.user_attrs.get("note", {}).get("kind") != SURPLUS]
    return [trial for trial in of_account if trial.state in STATES]


def told(trial: FrozenTrial, space: Mapping[str, Interval]) -> results.Trial:
    """A trial that is over."""
    note, run = trial.user_attrs.get("note", SILENT), trial.user_attrs.get("run", {})
    end = trial.datetime_complete.timestamp() if trial.datetime_complete else 0.0
    return results.Trial(
        number=trial.number,
        state=STATES[trial.state],
        params=_values(trial, space),
        values=tuple(trial.values) if trial.state == TrialState.COMPLETE else (),
        curve={int(step): value for step, value in note.get("curve", {}).items()} or dict(trial.intermediate_values),
        measured=note.get("measured", {}),
        reason=note.get("reason", ""),
        epochs=note.get("epochs", 0),
        feasible=all(value <= 0 for value in trial.constraints.values()),
        started=run.get("started", end),
        ended=end,
        worker=run.get("worker", ""),
    )


def _values(trial: FrozenTrial, space: Mapping[str, Interval]) -> dict[str, Any]:
    """By key of the space; nothing where the trial ended before all was drawn."""
    try:
        return suggested(space, lambda name, interval: trial.params[name], trial.user_attrs.get("given", {}))
    except KeyError:
        return {}


def front(trials: Sequence[results.Trial], lower: tuple[bool, ...]) -> list[results.Trial]:
    """The trials that no other beats in all objectives."""
    able = [trial for trial in trials if trial.state == results.COMPLETE and trial.feasible]
    return [trial for trial in able if not any(_beats(other.values, trial.values, lower) for other in able)]


def _beats(one: tuple[float, ...], other: tuple[float, ...], lower: tuple[bool, ...]) -> bool:
    """Whether `one` is at least as good in all objectives and better in some."""
    signed = [(a, b) if low else (-a, -b) for a, b, low in zip(one, other, lower, strict=True)]
    return all(a <= b for a, b in signed) and any(a < b for a, b in signed)


def importances(study: optuna.Study) -> dict[str, float]:
    """Each key's share in the differences of the first objective; empty where trials are too few, or all alike."""
    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
    if len(complete) < FEWEST:
        return {}
    sign = 1 if study.directions[0] == optuna.study.StudyDirection.MINIMIZE else -1
    first = (lambda trial: sign * trial.values[0]) if len(study.directions) > 1 else None
    try:
        found = optuna.importance.get_param_importances(study, target=first)
    except (ValueError, RuntimeError):  # no key that all trials have, say
        return {}
    return {name: float(value) for name, value in found.items()} if any(value > 0 for value in found.values()) else {}

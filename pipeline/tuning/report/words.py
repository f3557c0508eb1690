"""What the page of a sweep says: which trial is best, what was tried, what failed, and what not to conclude."""

from __future__ import annotations

import math
from typing import Any

from pipeline.tuning.report.facts import amount, name, numbered, state, value
from pipeline.tuning.report.formats import is_number, listed, many, percent, safe, short, shown
from pipeline.tuning.results import COMPLETE, FAILED, PRUNED, Sweep, Trial

LINES = 24  # of a hover box


def headline(sweep: Sweep) -> str:
    """Which trial is best and how it stands against params.yaml."""
    if not sweep.trials:
        return "No trial has ended yet."
    best = numbered(sweep, sweep.best)
    if best is None or not best.values:
        ended = sweep.count(COMPLETE)
        return (
            f"None of the {ended:,} trials that came to an end keeps the constraints."
            if ended
            else "No trial came to an end, so none is best."
        )
    values = _values(sweep, best)
    leads = "leads the Pareto front" if len(sweep.objectives) > 1 else "is best"
    if best.number == 0:
        return f"params.yaml itself (trial 0) {leads} of {many(len(sweep.trials), 'trial')}: {', '.join(values)}{_runner_up(sweep)}."
    against, beside = _against_first(sweep, best)
    told = "; ".join(text + more for text, more in zip(values, against, strict=True))
    return f"Trial {best.number} of {len(sweep.trials):,} {leads}: {told}{beside}."


def counts(sweep: Sweep) -> str:
    """How trials ended, and the epochs that they took and spared."""
    ended = ", ".join(f"{sweep.count(end):,} {end}" for end in (COMPLETE, PRUNED, FAILED))
    broken = sum(trial.state == COMPLETE and not trial.feasible for trial in sweep.trials)
    constraint = f" ({broken:,} of the complete ones break a constraint)" if broken else ""
    front = f" {many(len(sweep.front), 'trial')} on the Pareto front." if len(sweep.objectives) > 1 else ""
    saved = f"; pruning saved some {sweep.saved:,} ({percent(sweep.saved / (sweep.trained + sweep.saved))})" if sweep.saved else ""
    return f"{many(len(sweep.trials), 'trial')}: {ended}{constraint}.{front} {many(sweep.trained, 'epoch')} trained{saved}."


def caution(sweep: Sweep) -> list[str]:
    """What the reader should not conclude from the page."""
    if sweep.best is None or sweep.count(COMPLETE) + sweep.count(PRUNED) < 2:
        return []
    said = [
        "Validation rows chose the best trial, and the luckiest of many looks better than it is: "
        "the honest figure is that of evaluate on test."
    ]
    several, limited = _above(sweep.details.get("workers"), 1), _above(sweep.details.get("minutes"), 0)
    why = [*(["trials ran side by side"] if several else []), *(["the minutes were limited"] if limited else [])]
    if why:
        said.append(
            f"Since {' and '.join(why)}, a second sweep may try other values. "
            "What can be repeated is best.yaml: its values train the same network again."
        )
    return said


def failures(sweep: Sweep) -> list[tuple[str, str]]:
    """Each reason of failed trials with their numbers, the most frequent first."""
    grouped: dict[str, list[int]] = {}
    for trial in sweep.trials:
        if trial.state == FAILED:
            grouped.setdefault(trial.reason or "no reason given", []).append(trial.number)
    return [(reason, listed(numbers)) for reason, numbers in sorted(grouped.items(), key=lambda item: (-len(item[1]), item[1]))]


def hover(sweep: Sweep, trial: Trial) -> str:
    """Number, state, values and params of a trial in plotly's markup."""
    values, last = _values(sweep, trial), value(trial, 0)
    if not values and last is not None:
        values = [f"last {name(sweep, 0)} {amount(sweep.objectives[0], last)}"]
    params = [f"{key} {shown(level)}" for key, level in trial.params.items()]
    more = [f"and {len(params) - LINES} more"] if len(params) > LINES else []
    reason = [short(trial.reason, 80)] if trial.reason else []
    return "<br>".join([f"<b>trial {trial.number}</b> {safe(state(sweep, trial))}", *map(safe, (*values, *params[:LINES], *more, *reason))])


def _values(sweep: Sweep, trial: Trial) -> list[str]:
    """Each objective with its value."""
    return [f"{name(sweep, k)} {amount(sweep.objectives[k], found)}" for k, found in enumerate(trial.values)]


def _runner_up(sweep: Sweep) -> str:
    """The best of the other trials, in words; nothing where there is none or several objectives have no one order."""
    others = [t for t in sweep.trials if t.number and t.state == COMPLETE and t.feasible and math.isfinite(t.values[0])]
    if len(sweep.objectives) > 1 or not others:
        return ""
    second = (min if sweep.lower[0] else max)(others, key=lambda t: t.values[0])
    return f"; the next is trial {second.number} with {amount(sweep.objectives[0], second.values[0])}"


def _against_first(sweep: Sweep, best: Trial) -> tuple[list[str], str]:
    """How each objective of the best trial stands against trial 0, and what else is to say of trial 0, in words."""
    first, nothing = numbered(sweep, 0), [""] * len(best.values)
    if first is None:
        return nothing, "; trial 0 (params.yaml) has not ended"
    if not first.values:
        return nothing, f"; trial 0 (params.yaml) {'was pruned' if first.state == PRUNED else 'failed'}"
    against = [", " + _difference(*both) for both in zip(sweep.objectives, best.values, first.values, strict=True)]
    against[0] += " of trial 0 (params.yaml)"
    return against, "" if first.feasible else "; trial 0 breaks a constraint"


def _difference(measure: str, found: float, base: float) -> str:
    """How a value differs from another, in percent where that has a meaning: "4.4% less than the 0.5"."""
    if found == base:
        return f"the same as the {amount(measure, base)}"
    size = percent(abs(found - base) / base) if 0 < found < 10 * base else amount(measure, abs(found - base))
    return f"{size} {'less' if found < base else 'more'} than the {amount(measure, base)}"


def _above(found: Any, least: float) -> bool:
    return is_number(found) and found > least

"""The sweep as the page tells it: the trials drawn, the keys that mattered, the values that were chosen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline import summary
from pipeline.data.quality_page import number
from pipeline.run_page.plot import Line, Mark, Plot, cut_first, steps, x_axis, y_axis
from pipeline.run_page.reading import Row, value

STATES = ("complete", "pruned", "failed")


@dataclass(frozen=True)
class Sweep:
    """What the page tells of the sweep."""

    plot: Plot | None
    counts: tuple[tuple[str, int], ...]
    shares: tuple[tuple[str, float], ...]
    """Importance of each key, the largest first, in percent."""
    values: tuple[tuple[str, str, str], ...]
    """Key, its value in params.yaml and in the best trial."""
    best: int | None
    gain: str = ""


def sweep(trials: Sequence[Row], best: Mapping[str, Any], importances: Sequence[Row]) -> Sweep | None:
    """What reports/tune tells; None where there was no sweep."""
    if not trials:
        return None
    about = best.get("from") or {}
    chosen = about.get("best_trial")
    first, last = (next((row for row in trials if value(row, "number") == at), {}) for at in (0, chosen))
    gain = ""
    if chosen and first.get("state") == "complete":
        gain = f"params.yaml as it stands gave {number(value(first, 'value'))}, trial {chosen} {number(value(last, 'value'))}."
    elif chosen == 0:
        gain = "No trial was better than the values of params.yaml, which are kept."
    shares = sorted(((row["key"], value(row, "importance")) for row in importances if "key" in row), key=lambda item: -item[1])
    return Sweep(
        plot=_drawn(trials, chosen, str(about.get("objective") or "value")),
        counts=tuple((state, n) for state in STATES if (n := sum(row["state"] == state for row in trials))),
        shares=tuple((key, round(100 * share, 1)) for key, share in shares if math.isfinite(share)),
        values=tuple((key, shown(first.get(key, "")), shown(str(one))) for key, one in (best.get("params") or {}).items()),
        best=chosen,
        gain=gain,
    )


def _drawn(trials: Sequence[Row], chosen: int | None, objective: str) -> Plot | None:
    """The trials by number, with the best so far; those without a value lie at the foot.  None where no trial has a value."""
    points = [(int(value(row, "number")), row["state"], value(row, "value"), row.get("feasible") != "False") for row in trials]
    done = [(at, found) for at, state, found, feasible in points if state == "complete" and math.isfinite(found) and feasible]
    if not done:
        return None
    top = next((found for at, found in done if at == chosen), done[0][1])
    lower = top <= min(found for _, found in done)
    worst_first = sorted((found for _, found in done), reverse=lower)
    x, y = x_axis(-0.5, max(at for at, *_ in points) + 0.5), y_axis(*_with_foot(cut_first([worst_first])))
    leading: list[tuple[float, float]] = []
    for at, found in done:
        if not leading or (found < leading[-1][1] if lower else found > leading[-1][1]):
            leading.append((at, found))
    marks = []
    for at, state, found, feasible in points:
        if state == "complete" and math.isfinite(found):
            kind = "best" if at == chosen else "dot" if feasible else "off"
            marks.append(Mark(kind, x.at(at), y.at(found), f"trial {at}: {number(found)}{'' if feasible else ', breaks a constraint'}"))
        else:
            marks.append(Mark("bad" if state == "failed" else "off", x.at(at), y.first - 5, f"trial {at} {state}"))
    named = f"validation {summary.SHOWN.get(objective, objective)}"
    key = [("dot", "complete")]
    key += [("off", "pruned, at the foot")] if any(state == "pruned" for _, state, *_ in points) else []
    key += [("bad", "failed, at the foot")] if any(state == "failed" for _, state, *_ in points) else []
    return Plot(
        title="Trials",
        says=f"{len(points)} trials by {named}; the best, trial {chosen}, has {number(top)}",
        x_label="trial",
        y_label="",
        x_ticks=x.ticks(6, whole=True),
        y_ticks=y.ticks(),
        lines=(Line("lead", steps(x, y, leading), "best so far"),),
        marks=tuple(marks),
        note=f"{named}, {'lower' if lower else 'higher'} is better",
        key=tuple(key),
    )


def _with_foot(ends: tuple[float, float]) -> tuple[float, float]:
    """Ends with room for the trials that have no value."""
    return ends[0] - 0.14 * (ends[1] - ends[0]), ends[1]


def shown(text: str) -> str:
    """A value of a table as the page shows it: numbers with few digits."""
    try:
        return f"{float(text):.4g}"
    except ValueError:
        return text

"""How the network stands: its metrics beside baselines, and the paired difference to each, as dots with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline import summary

Rows = Sequence[tuple[str, str, Mapping[str, Any]]]
PANELS = 3  # metrics that are drawn; all of them stand in the table
EDGE = 3.0  # percent of a track that stay free at its ends


@dataclass(frozen=True)
class Dot:
    """A value with its interval as places on a track, in percent; `kind` is its class of CSS."""

    name: str
    kind: str
    at: float
    low: float | None
    high: float | None
    text: str
    range: str


@dataclass(frozen=True)
class Panel:
    """Dots on one track; `zero` is the place of no difference."""

    title: str
    hint: str
    dots: tuple[Dot, ...]
    zero: float | None = None


def panels(found: dict[str, Any]) -> list[Panel]:
    """One for each of the first metrics: the network and its baselines."""
    models = found["test"]["models"]
    drawn = []
    for metric in list(models["network"])[:PANELS]:
        known = {name: of[metric] for name, of in models.items() if of.get(metric) and of[metric]["value"] is not None}
        if not known:
            continue
        better = "lower is better" if metric in summary.LOWER_IS_BETTER else "higher is better"
        rows = [(_name(name), "own" if name == "network" else "other", value) for name, value in known.items()]
        drawn.append(panel(summary.SHOWN.get(metric, metric.replace("_", " ")), better, rows))
    return drawn


def differences(found: dict[str, Any]) -> Panel | None:
    """The network less each baseline in the main metric, on the same rows; None without a baseline."""
    metric = summary.main(found)
    lower = metric in summary.LOWER_IS_BETTER
    rows = []
    for name, of in found["test"]["differences"].items():
        if of[metric]["value"] is not None:
            rows.append((f"against {summary.NAMES.get(name, name)}", sure(of[metric], lower), of[metric]))
    if not rows:
        return None
    title = f"Difference in {summary.SHOWN.get(metric, metric.replace('_', ' '))}"
    return panel(title, f"network less baseline; {'left' if lower else 'right'} of the line is better", rows, zero=True, sign="+")


def panel(title: str, hint: str, rows: Rows, *, zero: bool = False, sign: str = "") -> Panel:
    """Rows of a name, a class of CSS and a value with low and high, on one track; with `zero` it holds 0."""
    return Panel(title, hint, _dots(rows, zero=zero, sign=sign), _place(_ends(rows, True), 0.0) if zero else None)


def sure(difference: Mapping[str, Any], lower: bool) -> str:
    """good, bad or unsure: whether an interval of a difference leaves out 0, and on which side."""
    low, high = difference["low"], difference["high"]
    if low is None or high is None or low <= 0 <= high:
        return "unsure"
    return "good" if (high < 0) == lower else "bad"


def standing(found: dict[str, Any]) -> tuple[str, str]:
    """good, bad or unsure, and the verdict against the strongest baseline, in words."""
    metric = summary.main(found)
    lower = metric in summary.LOWER_IS_BETTER
    strongest = summary.strongest(found)
    if strongest is None:
        return "unsure", "no baseline to compare with"
    return sure(found["test"]["differences"][strongest][metric], lower), summary.against(found, strongest)


def _name(model: str) -> str:
    return "the network" if model == "network" else summary.NAMES.get(model, model)


def _ends(rows: Rows, zero: bool) -> tuple[float, float]:
    values = [row[key] for *_, row in rows for key in ("value", "low", "high") if row[key] is not None and math.isfinite(row[key])]
    values += [0.0] if zero else []
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - (abs(low) or 1) / 10, high + (abs(high) or 1) / 10)


def _place(ends: tuple[float, float], value: float) -> float:
    share = (value - ends[0]) / (ends[1] - ends[0])
    return round(EDGE + (100 - 2 * EDGE) * min(max(share, 0.0), 1.0), 1)


def _dots(rows: Rows, *, zero: bool = False, sign: str = "") -> tuple[Dot, ...]:
    ends = _ends(rows, zero)
    made = []
    for name, kind, row in rows:
        low, high = (None if row[key] is None else _place(ends, row[key]) for key in ("low", "high"))
        text = summary.number(row["value"], sign)
        span = "" if row["low"] is None else f"{summary.number(row['low'], sign)} to {summary.number(row['high'], sign)}"
        made.append(Dot(name, kind, _place(ends, row["value"]), low, high, text, span))
    return tuple(made)

"""The figures on the page of a sweep: history, learning curves, importances, parallel coordinates, slices, Pareto front."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from pipeline.tuning.report.drawing import (
    BLUE,
    GREY,
    HOVER,
    ORANGE,
    RED,
    VIOLET,
    Drawing,
    axis_of,
    drawing,
    marks,
    rounded,
    value_axis,
    whole_axis,
)
from pipeline.tuning.report.facts import UNITS, level, name, value
from pipeline.tuning.report.formats import Level, percent, safe
from pipeline.tuning.report.scales import Scale, scale_of, span, span_of, ticks
from pipeline.tuning.results import COMPLETE, FAILED, Sweep, Trial

RANKS = [[0, GREY], [0.5, "#6d92b4"], [0.85, "#4a88bd"], [0.93, "#c98a3c"], [1, ORANGE]]
POINTS = 24_000  # of all learning curves together


def history(sweep: Sweep, k: int) -> Drawing | None:
    """The value of every trial in their order, the best so far, and marks for those that have none; nothing where none has one."""
    if all(value(trial, k) is None for trial in sweep.trials):
        return None
    kept = [t for t in sweep.trials if t.state == COMPLETE and t.feasible and value(t, k) is not None]
    line = list(itertools.accumulate((t.values[k] for t in kept), min if sweep.lower[k] else max))
    last = sweep.trials[-1:] if kept else []
    steps = go.Scatter(
        x=[t.number for t in (*kept, *last)],
        y=rounded([*line, *line[-1:]]),
        mode="lines",
        line={"shape": "hv", "color": ORANGE, "width": 1.5},
        name="best so far",
        hoverinfo="skip",
    )
    bottom = {t.number for t in sweep.trials if value(t, k) is None and (k == 0 or t.state == FAILED)}
    without = marks(sweep, lambda t: (t.number, 0.02) if t.number in bottom else None, starred=False)
    for trace in without:
        trace.update(yaxis="y2", name=trace.name if trace.name == FAILED else f"{trace.legendgroup} (no value)")
    points = marks(sweep, lambda t: None if (y := value(t, k)) is None else (t.number, y), seen=span_of(sweep, k))
    end = sweep.trials[-1].number
    layout = {
        "xaxis": whole_axis("trial", end) | {"range": [-0.6 - end / 60, end + 0.6 + end / 60]},
        "yaxis": value_axis(sweep, k),
        "yaxis2": {"overlaying": "y", "range": [0, 1], "visible": False, "fixedrange": True},
    }
    return drawing(f"history-{k}", f"{name(sweep, k)} by trial", [steps, *without, *points], layout, height=420)


def curves(sweep: Sweep) -> Drawing | None:
    """Learning curves of all trials, thinned where they are many; nothing where no trial has one."""
    drawn = [trial for trial in sweep.trials if trial.curve]
    if not drawn:
        return None
    most = max(8, POINTS // len(drawn))
    groups = {
        "pruned": (GREY, 1, 0.55),
        "failed": (RED, 1, 0.7),
        "complete": (BLUE, 1, 0.7),
        "params.yaml": (VIOLET, 2.5, 1),
        "best": (ORANGE, 3, 1),
    }
    special = {0: "params.yaml"} | ({sweep.best: "best"} if sweep.best is not None else {})
    step = "fold" if sweep.folds else "epoch"
    traces = []
    for group, (colour, width, opacity) in groups.items():
        some = [trial for trial in drawn if special.get(trial.number, trial.state) == group]
        points = [point for trial in some for point in [*_thinned(trial, most), (None, None, None)]][:-1]
        if points:
            x, y, numbers = (list(column) for column in zip(*points, strict=True))
            trace = go.Scatter(x=x, y=y, customdata=numbers, line={"color": colour, "width": width}, opacity=opacity, name=group)
            mode = "lines+markers" if any(len(trial.curve) == 1 for trial in some) else "lines"
            traces.append(trace.update(mode=mode, marker={"size": 4}, hovertemplate=f"{step} %{{x}}: %{{y:.4g}}<br>{HOVER}"))
    seen = span((v for t in drawn for v in t.curve.values()), lower=sweep.lower[0])
    layout = {"xaxis": whole_axis(step, max(max(t.curve) for t in drawn)), "yaxis": axis_of(seen, name(sweep, 0))}
    return drawing("curves", "Learning curves of all trials", traces, layout, height=420)


def _thinned(trial: Trial, most: int) -> list[tuple[int, float | None, int]]:
    """Epoch from 1, value and trial number of at most that many points of a curve, its first and last among them."""
    at = sorted(trial.curve)
    kept = at if len(at) <= most else [at[round(k * (len(at) - 1) / (most - 1))] for k in range(most)]
    return [(epoch + 1, y, trial.number) for epoch, y in zip(kept, rounded(map(trial.curve.__getitem__, kept)), strict=True)]


def importances(sweep: Sweep) -> Drawing | None:
    """Share of each key in the differences of the first objective, the largest at the top; nothing where they are not known."""
    if not sweep.importances:
        return None
    ordered = sorted(sweep.importances.items(), key=lambda item: (item[1], item[0]))
    bars = go.Bar(
        x=rounded(share for _, share in ordered),
        y=list(range(len(ordered))),
        orientation="h",
        marker={"color": BLUE},
        text=[percent(share) for _, share in ordered],
        textposition="outside",
        cliponaxis=False,
        hoverinfo="skip",
    )
    layout = {
        "xaxis": {"visible": False, "range": [0, max(1e-9, *(1.1 * share for _, share in ordered))], "fixedrange": True},
        "yaxis": {
            "tickvals": list(range(len(ordered))),
            "ticktext": [safe(key) for key, _ in ordered],
            "fixedrange": True,
            "automargin": True,
            "showgrid": False,
            "zeroline": False,
        },
        "showlegend": False,
        "bargap": 0.35,
        "margin": {"l": 10, "r": 60, "t": 5, "b": 5},
    }
    return drawing("importances", "Importance of each key", [bars], layout, height=40 + 27 * len(ordered))


def parallel(sweep: Sweep, keys: Sequence[str]) -> Drawing | None:
    """One line a complete trial over objectives and keys, coloured by its rank; nothing where there is too little to compare."""
    trials = [trial for trial in sweep.trials if trial.state == COMPLETE and all(map(math.isfinite, trial.values))]
    if len(trials) < 2 or not keys:
        return None
    dimensions = [_objective_dimension(sweep, k, [t.values[k] for t in trials]) for k in range(len(sweep.objectives))]
    dimensions += [
        _dimension(safe(key).replace(".", ".<br>", 1), scale_of(sweep, key), [level(trial, key) for trial in trials]) for key in keys
    ]
    sign = -1 if sweep.lower[0] else 1
    order = sorted(trials, key=lambda trial: (trial.feasible, sign * trial.values[0]))  # the worst first
    rank = {trial.number: place / (len(trials) - 1) for place, trial in enumerate(order)}
    line = {"color": rounded(rank[t.number] for t in trials), "colorscale": RANKS, "cmin": 0, "cmax": 1, "showscale": False}
    lines = go.Parcoords(dimensions=dimensions, line=line)
    layout = {"margin": {"l": 60, "r": 60, "t": 60, "b": 25}}
    return drawing("parallel", "Parallel coordinates of all keys", [lines], layout, height=440, width=115 * len(dimensions))


def _objective_dimension(sweep: Sweep, k: int, values: Sequence[float]) -> dict[str, Any]:
    """The axis of objective k, far worse values at its end."""
    seen, unit = span_of(sweep, k), UNITS.get(sweep.objectives[k], "")
    labels = tuple((at, text + unit) for at, text in ticks(*seen.ends, log=seen.log))
    along = Scale(seen.log, False, {}, labels, seen.ends)
    return _dimension(safe(name(sweep, k)).replace(" ", "<br>", 1), along, [seen.inside(found) for found in values])


def _dimension(label: str, along: Scale, levels: Sequence[Level]) -> dict[str, Any]:
    """An axis of the parallel coordinates."""
    return {
        "label": label,
        "values": rounded(map(along.place, levels)),
        "range": list(along.ends),
        "tickvals": rounded(at for at, _ in along.ticks),
        "ticktext": [text for _, text in along.ticks],
    }


def slices(sweep: Sweep, k: int, keys: Sequence[str]) -> list[Drawing]:
    """Objective k over each key; none where fewer than two trials have a value."""
    valued = sum(value(trial, k) is not None for trial in sweep.trials)
    return [_slice(sweep, k, key, f"slice-{k}-{at}") for at, key in enumerate(keys)] if valued > 1 else []


def _slice(sweep: Sweep, k: int, key: str, figure: str) -> Drawing:
    """Objective k over one key; trials on steps are spread a little, so that they do not hide each other."""
    along = scale_of(sweep, key)

    def place(trial: Trial) -> tuple[float, float] | None:
        spread = 0.5 * (trial.number * 0.618034 % 1 - 0.5) if along.steps else 0.0
        y = value(trial, k)
        return None if y is None else (along.place(level(trial, key)) + spread, y)

    x = {"tickvals": rounded(at for at, _ in along.ticks), "ticktext": [safe(text) for _, text in along.ticks], "range": list(along.ends)}
    layout = {
        "xaxis": x | {"zeroline": False, "automargin": True},
        "yaxis": value_axis(sweep, k) | {"title": None, "nticks": 5},
        "showlegend": False,
        "margin": {"l": 50, "r": 10, "t": 30, "b": 30},
        "title": {"text": safe(key) + (" (log)" if along.log else ""), "font": {"size": 13}, "x": 0.02, "y": 0.97, "yanchor": "top"},
    }
    return drawing(figure, f"{name(sweep, k)} over {key}", marks(sweep, place, seen=span_of(sweep, k)), layout, height=240)


def fronts(sweep: Sweep) -> list[Drawing]:
    """Each pair of objectives against each other; none where there is one objective."""
    return [_front(sweep, i, j) for i, j in itertools.combinations(range(len(sweep.objectives)), 2)]


def _front(sweep: Sweep, i: int, j: int) -> Drawing:
    """Complete trials over two objectives; a line joins the front where these two are all."""
    front = sorted((t for t in sweep.trials if t.number in sweep.front and t.values), key=lambda t: (t.values[i], t.values[j]))
    dim = {trial.number for trial in sweep.trials} - set(sweep.front)
    across, up = span_of(sweep, i), span_of(sweep, j)
    finite = {trial.number for trial in sweep.trials if trial.values and all(map(math.isfinite, trial.values))}
    traces = marks(sweep, lambda t: (across.inside(t.values[i]), t.values[j]) if t.number in finite else None, seen=up, dim=dim)
    for trace in traces:
        trace.name = "on the front" if trace.name == COMPLETE else trace.name
    if len(sweep.objectives) == 2 and len(front) > 1:
        x, y = (rounded(t.values[k] for t in front) for k in (i, j))
        line = {"color": BLUE, "width": 1.5, "shape": "hv" if sweep.lower[i] else "vh"}
        traces.insert(0, go.Scatter(x=x, y=y, mode="lines", line=line, showlegend=False, hoverinfo="skip"))
    layout = {"xaxis": value_axis(sweep, i), "yaxis": value_axis(sweep, j)}
    return drawing(f"front-{i}-{j}", f"{name(sweep, i)} against {name(sweep, j)}", traces, layout, height=440)

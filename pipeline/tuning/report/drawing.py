"""What all figures of a sweep share: colours, a point for each trial, axes, and the figure as a page holds it.

Figures are drawn for paper of any colour; the page's script gives axes and words the colours of the reader's scheme, and every
point the text of its trial, whose number is its `customdata`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from pipeline.tuning.report.facts import INFEASIBLE, UNITS, directed
from pipeline.tuning.report.formats import safe
from pipeline.tuning.report.scales import Span, span_of
from pipeline.tuning.results import COMPLETE, FAILED, PRUNED, Sweep, Trial

BLUE, GREY, RED, ORANGE, VIOLET = "#4a88bd", "#8794a1", "#d9534f", "#e07b00", "#8a6fd0"  # readable on white and on near black
DOMINATED = "dominated"
LOOKS: dict[str, dict[str, Any]] = {
    PRUNED: {"color": GREY, "symbol": "circle-open", "opacity": 0.7},
    DOMINATED: {"color": GREY, "symbol": "circle", "opacity": 0.45},
    INFEASIBLE: {"color": RED, "symbol": "circle-x-open", "opacity": 0.8},
    COMPLETE: {"color": BLUE, "symbol": "circle", "opacity": 0.85},
    FAILED: {"color": RED, "symbol": "x", "opacity": 0.9},
    "params.yaml": {"color": VIOLET, "symbol": "diamond", "size": 11},
    "best": {"color": ORANGE, "symbol": "star", "size": 15},
}
NAMES = {PRUNED: "pruned (last value)"}
HOVER = "%{text}<extra></extra>"


@dataclass(frozen=True)
class Drawing:
    """A figure on a page."""

    id: str
    says: str
    """What it shows, for those who do not see it."""
    height: int
    """Pixels."""
    width: int
    """Pixels that it needs at least; the page scrolls it."""
    json: str
    """Data and layout for plotly.js."""


def drawing(name: str, says: str, traces: list[Any], layout: dict[str, Any], *, height: int, width: int = 0) -> Drawing:
    """A figure without colours of its own for paper, axes and words."""
    common = {
        "template": go.layout.Template(),
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": "system-ui, sans-serif", "size": 12},
        "hoverlabel": {"align": "left"},
        "hovermode": "closest",
        "margin": {"l": 60, "r": 15, "t": 35, "b": 45},
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom"},
        "showlegend": True,
    }
    figure = go.Figure(traces, common | layout)
    return Drawing(name, says, height, width, embedded(figure.to_plotly_json()))


def embedded(value: Any) -> str:
    """JSON that ends no script element."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def rounded(values: Iterable[float | None]) -> list[float | None]:
    """Six digits of each, which no eye misses; nothing for what is not finite."""
    return [None if v is None or not math.isfinite(v) else v if isinstance(v, int) else float(f"{v:.6g}") for v in values]


def marks(
    sweep: Sweep,
    place: Callable[[Trial], tuple[float, float] | None],
    *,
    seen: Span | None = None,
    dim: Collection[int] = (),
    starred: bool = True,
) -> list[Any]:
    """A point for every trial that has a place, by kind.

    Args:
        place: x and y of a trial.
        seen: what is shown of y; points beyond stand as triangles at its end.
        dim: numbers of trials that are to stand back.
        starred: whether params.yaml and the best trial have marks of their own.
    """
    special = {0: "params.yaml"} | ({sweep.best: "best"} if sweep.best is not None else {}) if starred else {}
    points: dict[str, list[tuple[float, float, int]]] = {}
    for trial in sweep.trials:
        if (at := place(trial)) is not None:
            points.setdefault(_kind(trial, special, dim), []).append((*at, trial.number))
    size = 7 if len(sweep.trials) <= 200 else 5
    return [trace for kind, look in LOOKS.items() if kind in points for trace in _points(kind, points[kind], {"size": size} | look, seen)]


def _kind(trial: Trial, special: Mapping[int, str], dim: Collection[int]) -> str:
    if trial.state != COMPLETE:
        return trial.state
    plain = INFEASIBLE if not trial.feasible else DOMINATED if trial.number in dim else COMPLETE
    return special.get(trial.number, plain)


def _points(kind: str, points: Sequence[tuple[float, float, int]], look: dict[str, Any], seen: Span | None) -> list[Any]:
    """Points with x, y and number of their trial: those that are shown, and the triangles of those beyond."""
    hollow = "-open" if kind == PRUNED else ""
    traces: list[Any] = []
    for side, symbol in ((0, look["symbol"]), (1, f"triangle-up{hollow}"), (-1, f"triangle-down{hollow}")):
        some = [point for point in points if side == (0 if seen is None else (point[1] > seen.high) - (point[1] < seen.low))]
        if some:
            x, y, numbers = zip(*some, strict=True)
            trace = go.Scatter(
                x=rounded(x), y=rounded(y if seen is None else map(seen.inside, y)), customdata=list(numbers), mode="markers"
            )
            name = NAMES.get(kind, kind)
            traces.append(
                trace.update(marker=look | {"symbol": symbol}, name=name, hovertemplate=HOVER, legendgroup=kind, showlegend=not traces)
            )
    return traces


def value_axis(sweep: Sweep, k: int) -> dict[str, Any]:
    """The axis of objective k."""
    unit = UNITS.get(sweep.objectives[k])
    return axis_of(span_of(sweep, k), directed(sweep, k)) | ({"ticksuffix": unit} if unit else {})


def axis_of(seen: Span, title: str) -> dict[str, Any]:
    """An axis between the ends of what is shown."""
    low, high = seen.ends
    common = {"title": safe(title), "range": rounded((low, high)), "zeroline": False, "automargin": True}
    return common | (
        {"type": "log", "dtick": max(1, round((high - low) / 6)), "exponentformat": "power"} if seen.log else {"exponentformat": "e"}
    )


def whole_axis(title: str, end: int) -> dict[str, Any]:
    """An axis of whole numbers, without ticks between few of them."""
    return {"title": title, "zeroline": False} | ({"dtick": 1} if end < 12 else {})

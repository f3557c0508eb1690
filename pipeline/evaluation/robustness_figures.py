"""Figure of `robustness`: the leading metric along the severity of each kind of disturbance."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipeline.evaluation.disturbing import DISTURBANCES
from pipeline.evaluation.figures import COLOURS, INK, blank, styled, titled, written
from pipeline.evaluation.metrics import Floats
from pipeline.evaluation.robustness import Effect, Robustness, phrase
from pipeline.evaluation.wording import capital, shown, word

SIZE = 11  # points: read on a phone too
LINE, WORST = COLOURS[0], COLOURS[6]  # blue and orange are told apart by all


def robustness(found: Robustness) -> Figure:
    """Returns a panel a kind with the metric over the severity, from the rows as they are (dashed) on; all on one scale of the metric.

    The band is the interval of the difference to the rows as they are, laid around their value; no band where there is none.
    What hurts most is of another colour, with another mark.  Raises ValueError where there is no kind to show.
    """
    kinds = found.kinds
    if not kinds:
        raise ValueError("no disturbance to show")
    columns = min(2, len(kinds))
    lines = -(-len(kinds) // columns)
    figure = blank(1.5 + 2.5 * lines)
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
    worst = found.worst[0]
    worst_kind = worst.kind if found.hurts(worst) else ""
    for at, (axes, kind) in enumerate(zip(panels, kinds, strict=False)):
        styled(axes)
        _along(axes, found, found.of(kind), hurts_most=kind == worst_kind)
        axes.set_title(DISTURBANCES[kind].title, fontsize=SIZE + 1, color=INK, loc="left", fontweight="bold")
        axes.set_xlabel(DISTURBANCES[kind].axis, fontsize=SIZE)
        if at % columns == 0:
            axes.set_ylabel(f"{capital(word(found.metric))} ({'higher' if found.higher_is_better else 'lower'} is better)", fontsize=SIZE)
    for axes in panels[len(kinds) :]:
        axes.remove()
    handles = {label: handle for handle, label in zip(*panels[0].get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower right", ncols=2, frameon=False, fontsize=SIZE, labelcolor=INK)
    return titled(figure, _finding(found))


def _along(axes: Axes, found: Robustness, effects: tuple[Effect, ...], *, hurts_most: bool) -> None:
    colour = WORST if hurts_most else LINE
    severity = np.array([0.0, *(one.severity for one in effects)])
    values = np.array([found.value, *(one.value for one in effects)])
    low, high = (np.array([0.0, *(getattr(one, end) for one in effects)]) for end in ("low", "high"))
    axes.axhline(found.value, color=INK, linewidth=1.2, linestyle="--", label="rows as they are")
    if np.isfinite(low).all() and np.isfinite(high).all():
        label = f"{found.confidence:.0%} interval of the difference"
        axes.fill_between(severity, found.value + low, found.value + high, color=colour, alpha=0.25, linewidth=0, label=label)
    axes.plot(severity, values, color=colour, linewidth=2, marker="s" if hurts_most else "o", markersize=4.5)
    if np.isfinite(values[-1]):
        up = values[-1] > found.value
        ends = [end for end in (values[-1], found.value + low[-1], found.value + high[-1]) if np.isfinite(end)]
        place: dict[str, Any] = {
            "xytext": (0, 7 if up else -7),
            "textcoords": "offset points",
            "ha": "right",
            "va": "bottom" if up else "top",
        }
        beyond = severity[-1], max(ends) if up else min(ends)
        axes.annotate(shown(found.metric, values[-1]), beyond, fontsize=SIZE, color=INK, fontweight="bold", **place)
    axes.margins(y=0.18)
    axes.set_xlim(-0.04 * severity[-1], 1.08 * severity[-1])
    share = DISTURBANCES[effects[0].kind].unit == "share"
    axes.set_xticks(_ticks(severity), [f"{tick:.0%}" if share else f"{tick:g}" for tick in _ticks(severity)])
    axes.tick_params(labelsize=SIZE)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))


def _ticks(severity: Floats) -> list[float]:
    """Returns 0, the severest, and those between them that leave room for their labels."""
    kept = [float(severity[-1])]
    for one in severity[-2::-1].tolist():
        if kept[-1] - one > 0.16 * severity[-1]:
            kept.append(one)
    return kept[::-1]


def _finding(found: Robustness) -> str:
    worst, name = found.worst[0], word(found.metric)
    if not found.hurts(worst):
        return f"{capital(name)} {shown(found.metric, found.value)}: no disturbance's harm is told from 0"
    most = " most" if len(found.kinds) > 1 else ""
    change = f"{shown(found.metric, found.value)} to {shown(found.metric, worst.value)}"
    return f"{capital(phrase(worst))} hurts{most}: {name} from {change}"

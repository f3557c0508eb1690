"""Figures of a forecast: some windows with what was forecast and what came, and the error by step ahead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipeline.evaluation.figures import COLOURS, INK, blank, legend, short, styled, titled, written
from pipeline.evaluation.metrics import Array, Floats

PANELS = 6
SEEN = 2  # horizons of the past that are shown


def examples(past: Floats, y: Array, outputs_by_model: Mapping[str, Array], targets: Sequence[str], *, windows: Array, of: int) -> Figure:
    """Returns some windows with the past, what came, and what two models forecast; of several targets one a panel, in turn.

    Args:
        past: (shown, steps, targets), the end of what each window holds; y and outputs: (shown, horizon, targets).
        outputs_by_model: the model in question first; of the others the one with the least error is shown.
        windows: (shown,) places of the windows among all `of`.
    """
    horizon = y.shape[1]
    first, *others = outputs_by_model
    gaps = {name: float(np.abs(outputs - y).mean()) for name, outputs in outputs_by_model.items()}
    models = [first, *([min(others, key=lambda name: gaps[name])] if others else [])]
    lines = -(-len(y) // 2)
    figure = blank(1.2 + 2.1 * lines)
    panels = figure.subplots(lines, min(2, len(y)), squeeze=False).ravel()
    before, after = np.arange(-past.shape[1] + 1, 1), np.arange(1, horizon + 1)
    for at, (axes, window) in enumerate(zip(panels, windows, strict=False)):
        target = at % len(targets)
        styled(axes)
        axes.axvline(0.5, color="#d9d9d9", linewidth=1)
        axes.plot(before, past[at, :, target], color=COLOURS[4], linewidth=1.2)
        axes.plot(after, y[at, :, target], color=INK, linewidth=1.6, label="what came")
        for name, colour in zip(models, COLOURS, strict=False):
            axes.plot(after, outputs_by_model[name][at, :, target], color=colour, linewidth=1.6, label=name)
        where = f"{short(targets[target])}, " if len(targets) > 1 else ""
        axes.set_title(f"{where}window {window + 1:,} of {of:,}", fontsize=10, color=INK, loc="left")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    for axes in panels[len(y) :]:
        axes.remove()
    for axes in panels[max(len(y) - 2, 0) : len(y)]:
        axes.set_xlabel("Steps from now")
    legend(panels[0], "best")
    rival = f", {models[1]} {written(gaps[models[1]])}" if len(models) > 1 else ""
    return titled(figure, f"Mean absolute error in these windows: {first} {written(gaps[first])}{rival}")


def error_by_step(table: Mapping[str, Array]) -> Figure:
    """Returns the error of each model at each step ahead, of the table that `forecasting.by_step` gives."""
    figure = blank(4.6)
    axes = figure.subplots()
    styled(axes)
    models = [name for name in table if name != "step"]
    style: dict[str, Any] = {"marker": "o", "markersize": 3.5} if len(table["step"]) <= 40 else {}
    for at, (name, colour) in enumerate(zip(models, COLOURS, strict=False)):
        axes.plot(table["step"], table[name], color=colour, linewidth=2.4 if at == 0 else 1.5, label=name, **style)
    axes.set(xlabel="Steps ahead", ylabel="Mean absolute error (train's deviations)", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    legend(axes, "best")
    first = table[models[0]]
    if len(first) == 1:
        return titled(figure, f"Error one step ahead: {models[0]} {first[0]:.3f}")
    return titled(figure, f"Error of the {models[0]}: {first[0]:.3f} one step ahead, {first[-1]:.3f} after {len(first):,} steps")

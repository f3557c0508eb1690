"""Figure of `data_curve`: the leading metric on test over the rows of train."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from pipeline.evaluation.figures import COLOURS, INK, blank, styled, titled, written
from pipeline.evaluation.wording import capital, shown, word
from pipeline.training.data_curve import Curve, sentence

SIZE = 12  # points: read on a phone too
LINE, WORSE = COLOURS[0], COLOURS[6]  # blue and orange are told apart by all; marks differ too
ROOM = 0.13  # of the axis that a tick's label takes


def data_curve(found: Curve) -> Figure:
    """Returns the metric over the rows of train (logarithmic), the band of its intervals, and the network of all rows last.

    A part that is worse than all rows, by the interval of the paired difference, has a square of another colour: the bands of two
    points may overlap where their difference is known.  No band where there is none.
    """
    figure = blank(5.0)
    axes = figure.subplots()
    styled(axes)
    rows = np.array([one.rows for one in found.points], float)
    values, low, high = (np.array([getattr(one, name) for one in found.points]) for name in ("value", "low", "high"))
    if np.isfinite(low).all() and np.isfinite(high).all():
        axes.fill_between(rows, low, high, color=LINE, alpha=0.22, linewidth=0, label=f"{found.confidence:.0%} interval")
    axes.axhline(values[-1], color=INK, linewidth=1.2, linestyle="--")
    axes.plot(rows, values, color=LINE, linewidth=2.2)
    worse = np.array([found.worse(one) for one in found.points])
    alike = ~worse & (rows < rows[-1])
    for which, mark, colour, label in (
        (worse, "s", WORSE, "worse than with all"),
        (alike, "o", LINE, "not told to be worse"),
        (rows == rows[-1], "D", INK, "all rows"),
    ):
        if which.any():
            axes.plot(rows[which], values[which], color=colour, linestyle="", marker=mark, markersize=8, label=label, zorder=3)
    for at in {0, len(rows) - 1}:
        _label(axes, found, rows[at], values[at], low[at], high[at])
    axes.set_xscale("log")
    axes.set_xlim(rows[0] / (rows[-1] / rows[0]) ** 0.09, rows[-1] * (rows[-1] / rows[0]) ** 0.09)
    axes.margins(y=0.2)
    ticks = _ticks(rows)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(rows[ticks], [f"{_count(rows[at])}\n{_share(rows[at] / rows[-1])}" for at in ticks])
    axes.tick_params(labelsize=SIZE)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    axes.set_xlabel("Windows of train, the latest" if found.task == "forecast" else "Rows of train", fontsize=SIZE)
    direction = "higher" if found.higher_is_better else "lower"
    axes.set_ylabel(f"{capital(word(found.metric))} on test ({direction} is better)", fontsize=SIZE)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=SIZE, labelcolor=INK)
    return titled(figure, sentence(found).removesuffix("."))


def _label(axes: Axes, found: Curve, rows: float, value: float, low: float, high: float) -> None:
    """Writes a value beyond its interval, on the side where the curve does not go on."""
    if not np.isfinite(value):
        return
    up = (rows == found.points[-1].rows) == found.higher_is_better
    ends = [end for end in (value, low, high) if np.isfinite(end)]
    axes.annotate(
        shown(found.metric, value),
        (rows, max(ends) if up else min(ends)),
        xytext=(0, 6 if up else -6),
        textcoords="offset points",
        ha="center",
        va="bottom" if up else "top",
        fontsize=SIZE,
        fontweight="bold",
        color=INK,
    )


def _ticks(rows: np.ndarray) -> list[int]:
    """Returns which points have their rows written: the last, and those before it that leave room."""
    at, kept = np.log(rows), [len(rows) - 1]
    for one in range(len(rows) - 2, -1, -1):
        if at[kept[-1]] - at[one] > ROOM * (at[-1] - at[0]):
            kept.append(one)
    return kept[::-1]


def _count(rows: float) -> str:
    return f"{rows:,.0f}" if rows < 10_000 else written(float(f"{rows:.3g}"))


def _share(share: float) -> str:
    return "all" if share == 1 else f"{100 * share:.2g}%"

"""Figures of `influence`: which columns matter, and how the model's output moves along them."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipeline.data.fitted import Task
from pipeline.evaluation.figures import COLOURS, INK, blank, short, styled, titled, written
from pipeline.evaluation.influence import Dependence, Importance, Importances
from pipeline.evaluation.wording import word

BARS = 15
LINE = 26  # characters of a line of a name; names have two
PANELS = 6


def importance(found: Importances) -> Figure:
    """Returns horizontal bars of the increase of the loss with their intervals, at most 15 columns and clusters, the largest on top.

    How much worse the metric becomes stands beside each bar, unless the metric is the loss itself.  Raises ValueError
    where no column was permuted.
    """
    told = sorted((*found.columns, *found.clusters), key=lambda one: -one.loss)
    if not told:
        raise ValueError("no column to show the importance of")
    shown = told[:BARS]
    figure = blank(1.5 + 0.42 * len(shown))
    axes = figure.subplots()
    styled(axes)
    axes.grid(axis="y", visible=False)
    places = np.arange(len(shown))[::-1]
    values, low, high = (np.array([getattr(one, end) for one in shown], np.float64) for end in ("loss", "low", "high"))
    several = np.array([len(one.columns) > 1 for one in shown])
    kinds = (("a column", COLOURS[0], ~several), ("columns that go together", COLOURS[4], several))
    for label, colour, chosen in kinds:
        if chosen.any():
            axes.barh(places[chosen], values[chosen], height=0.62, color=colour, label=label)
    known = ~np.isnan(low)
    ends = np.maximum(np.stack([values - low, high - values]), 0)[:, known]  # a skewed bootstrap may leave the value outside
    axes.errorbar(values[known], places[known], xerr=ends, fmt="none", ecolor=INK, elinewidth=1.1, capsize=2.5)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(places, [_label(one) for one in shown], fontsize=9.5)
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    between = f", with {found.confidence:.0%} intervals" if known.any() else ""
    axes.set_xlabel(f"Increase of {_loss_name(found)} when permuted{between}")
    if word(found.metric_name) != found.loss_name:
        _beside(axes, places, shown, word(found.metric_name))
    if several.any():
        figure.legend(loc="outside lower right", ncols=2, frameon=False, fontsize=10, labelcolor=INK)
    left = f" (the first {BARS} of {len(told)})" if len(told) > BARS else ""
    return titled(figure, _finding(found) + left)


def dependence(found: Sequence[Dependence], task: Task) -> Figure:
    """Returns a panel for each of at most six columns: mean prediction, and the band of 80% of the rows' own curves.

    A category's bar is its band, and its share of the rows stands beside its name.  Ticks below a curve stand at the data's
    quantiles, 5% of the rows between two.  All panels have one scale of outputs.  Raises ValueError where there is nothing
    to show.
    """
    if not found:
        raise ValueError("no column to show the dependence on")
    shown = found[:PANELS]
    columns = min(2, len(shown))
    lines = [shown[at : at + columns] for at in range(0, len(shown), columns)]
    heights = [max(2.2, *(0.5 + 0.22 * len(one.points) if one.kind == "category" else 0.0 for one in line)) for line in lines]
    figure = blank(1.2 + sum(heights))
    panels = figure.subplots(len(lines), columns, squeeze=False, height_ratios=heights).ravel()
    spread = [value for one in shown for value in (*one.low, *one.high, *one.mean)]
    margin = 0.06 * (max(spread) - min(spread)) or 0.05
    limits = min(spread) - margin, max(spread) + margin
    for axes, one in zip(panels, shown, strict=False):
        styled(axes)
        (_along if one.kind == "number" else _across)(axes, one, limits)
        axes.set_title("\n".join(_folded(one.column, LINE - 2)), fontsize=10.5, color=INK, loc="left", fontweight="bold")
        label = _escaped(short(one.response))
        of = f"Probability of {label}" if task != "regression" else f"Predicted {label}"
        (axes.set_ylabel if one.kind == "number" else axes.set_xlabel)(of)
    for axes in panels[len(shown) :]:
        axes.remove()
    moved = max(shown, key=lambda one: max(one.mean) - min(one.mean))
    low, high = (_three(end) if task == "regression" else f"{end:.2f}" for end in (min(moved.mean), max(moved.mean)))
    return titled(figure, f"The mean prediction moves most along {_escaped(_cut(moved.column, 40))}: {low} to {high}")


def _along(axes: Axes, one: Dependence, limits: tuple[float, float]) -> None:
    points = np.array(one.points, np.float64)
    axes.fill_between(points, one.low, one.high, color=COLOURS[0], alpha=0.18, linewidth=0)
    axes.plot(points, one.mean, color=COLOURS[0], linewidth=1.8, marker="o", markersize=3)
    axes.set_ylim(*limits)
    inside = np.clip(one.rug, points[0], points[-1])
    axes.plot(inside, np.full(len(inside), 0.0), "|", color=INK, markersize=9, alpha=0.6, transform=axes.get_xaxis_transform())
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=bool((points % 1 == 0).all()), min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))


def _across(axes: Axes, one: Dependence, limits: tuple[float, float]) -> None:
    places = np.arange(len(one.points))[::-1]
    axes.grid(axis="y", visible=False)
    axes.hlines(places, one.low, one.high, color=COLOURS[0], alpha=0.3, linewidth=6)
    axes.plot(one.mean, places, "o", color=COLOURS[0], markersize=6)
    names = [f"{_escaped(short(str(point)))}  {share:.0%}" for point, share in zip(one.points, one.rug, strict=True)]
    axes.set_yticks(places, names, fontsize=8.5)
    axes.set_ylim(-0.6, len(places) - 0.4)
    axes.set_xlim(*limits)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))


def _beside(axes: Axes, places: Any, shown: Sequence[Importance], metric: str) -> None:
    """Writes the change of the metric at the right of each bar, outside of the axes."""
    style: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "color": INK, "fontsize": 9.5, "ha": "right", "va": "center"}
    for place, one in zip(places, shown, strict=True):
        axes.text(1.13, place, "" if np.isnan(one.metric) else _signed(one.metric), **style)
    axes.text(1.13, len(shown) - 0.2, f"{metric}\nworse by", **{**style, "va": "bottom", "fontsize": 9})


def _finding(found: Importances) -> str:
    first = max((*found.columns, *found.clusters), key=lambda one: one.loss)
    if first.loss <= 0 or first.low <= 0:  # no interval, where it is nan, says nothing against it
        return f"No column's effect on {_loss_name(found)} ({_three(found.loss)}) is told from 0"
    many, squared = len(first.columns) > 1, (found.loss_name, found.metric_name) == ("squared error", "rmse")
    loss, before, after = _loss_name(found), found.loss, found.loss + first.loss
    if squared:
        loss, before, after = "RMSE", np.sqrt(before), np.sqrt(after)
    names = [_escaped(_cut(name, 26 if many else 40)) for name in first.columns]
    rest = names[1] if len(names) == 2 else f"{len(names) - 1} more columns"
    told = f"{names[0]} and {rest} matter most: permuted together, they raise" if many else f"{names[0]} matters most: permuted, it raises"
    return f"{told} {loss} from {_three(before)} to {_three(after)}"


def _loss_name(found: Importances) -> str:
    return f"mean {word(found.loss_name)}"


def _three(value: float) -> str:
    return written(float(f"{value:.3g}"))


def _signed(value: float) -> str:
    return "0" if abs(value) < 5e-4 else f"{'−' if value < 0 else ''}{written(float(f'{abs(value):.2g}'))}"


def _label(one: Importance) -> str:
    """Returns two lines at most: a long name without its middle, of many columns the first and how many more."""
    if len(one.columns) == 1:
        return "\n".join(_folded(one.columns[0], LINE))
    first, *others = one.columns
    rest = others[0] if len(others) == 1 else f"{len(others)} more"
    return f"{_escaped(_cut(first, LINE - 2))}\n+ {_escaped(_cut(rest, LINE - 2))}"


def _folded(name: str, width: int) -> list[str]:
    lines = wrap(name, width) if " " in name else [name[at : at + width] for at in range(0, len(name), width)]
    if len(lines) > 2:
        lines = [name[:width], "…" + name[len(name) - width + 1 :]]
    return [_escaped(line.strip()) for line in lines] or [""]


def _cut(name: str, most: int) -> str:
    """Returns the name without its middle, where it is longer: names of one family often differ in their ends."""
    if len(name) <= most:
        return name
    end = most // 3
    return f"{name[: most - end - 1]}…{name[-end:]}"


def _escaped(name: str) -> str:
    return name.replace("$", r"\$")  # not a formula

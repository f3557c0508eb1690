"""Figures of an evaluation, and the small tables behind its curves.

A figure's title states what was found; its colours are told apart by colour-blind readers (Petroff 2021).  The figures
are made without pyplot and its global state.  Models come as a mapping from name to outputs as the metrics take them,
the model in question first.  Multiclass curves are one-vs-rest for the first model's ten most frequent classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator

from pipeline.evaluation.metrics import Array, Floats, compute, top_label

Table = dict[str, Floats]  # column -> values, all of one length

POINTS = 200
CALIBRATION_BINS = 10
CURVE_CLASSES = 10
CELL_CLASSES = 12  # a larger confusion matrix shows colours without numbers
Z = 1.959964  # 97.5% quantile of the normal distribution
COLOURS = ("#3f90da", "#bd1f01", "#ffa90e", "#832db6", "#94a4a2", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd")
INK, FAINT = "#333333", "#d9d9d9"


def save(figure: Figure, path: Path) -> None:
    """Writes the figure as a PNG of 1,400 pixels' width; the same figure gives the same bytes."""
    figure.savefig(path, format="png", dpi=200, metadata={"Software": None})


def roc_points(y: Array, score: Array) -> Table:
    """Returns `fpr`, `tpr` and `threshold` of at most 200 corners of the ROC curve, from (0, 0) at inf to (1, 1).

    `y` is (rows,) of 0 and 1.  The corners kept lie evenly along the curve, so that the thinned curve is within 0.01 of
    the whole. Rates of a class without rows are nan.
    """
    threshold, true, false = _cumulative_counts(y, score)
    table = {
        "fpr": np.concatenate([[0.0], _ratio(false, false[-1:])]),
        "tpr": np.concatenate([[0.0], _ratio(true, true[-1:])]),
        "threshold": np.concatenate([[np.inf], threshold]),
    }
    length = np.concatenate([[0.0], _ratio(true, max(true[-1], 1)) + _ratio(false, max(false[-1], 1))])
    return _thin(table, length)


def pr_points(y: Array, score: Array) -> Table:
    """Returns `recall`, `precision` and `threshold` of at most 200 points of the curve, evenly along recall.

    `y` is (rows,) of 0 and 1.  The artificial start at recall 0 and precision 1 is left out.  Without positives recall
    is nan.
    """
    threshold, true, false = _cumulative_counts(y, score)
    table = {"recall": _ratio(true, true[-1:]), "precision": _ratio(true, true + false), "threshold": threshold}
    return _thin(table, true)


def calibration_points(y: Array, probability: Array) -> Table:
    """Returns `predicted` (mean), `observed` (share), `low`, `high` and `rows` of at most ten equally filled bins.

    `y` is (rows,) of 0 and 1; equal probabilities share a bin.  `low` and `high` are the 95% interval of Wilson (1927),
    which takes rows as independent.
    """
    edges = np.unique(np.quantile(probability, np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS))
    bins = np.unique(np.searchsorted(edges, probability, side="right"), return_inverse=True)[1]
    rows: Array = np.bincount(bins).astype(np.float64)
    predicted = np.bincount(bins, weights=probability) / rows
    observed = np.bincount(bins, weights=y) / rows
    centre = (observed + Z**2 / (2 * rows)) / (1 + Z**2 / rows)
    half = Z / (1 + Z**2 / rows) * np.sqrt(observed * (1 - observed) / rows + Z**2 / (4 * rows**2))
    low, high = np.minimum(centre - half, observed), np.maximum(centre + half, observed)  # of 0 or 1 they differ by rounding alone
    return {"predicted": predicted, "observed": observed, "low": low, "high": high, "rows": rows}


def roc(y: Array, outputs_by_model: Mapping[str, Array], class_names: Sequence[str] = ()) -> Figure:
    """Returns the ROC curves of the models, or of the classes of the first model (multiclass)."""
    return _curves("auc", "fpr", "tpr", y, outputs_by_model, class_names)


def precision_recall(y: Array, outputs_by_model: Mapping[str, Array], class_names: Sequence[str] = ()) -> Figure:
    """Returns the precision-recall curves of the models, or of the classes of the first model (multiclass)."""
    return _curves("average_precision", "recall", "precision", y, outputs_by_model, class_names)


def calibration(y: Array, outputs_by_model: Mapping[str, Array]) -> Figure:
    """Returns predicted against observed probability, over a histogram of the first model's predictions.

    Multiclass: the probability of the predicted class against how often it is right (top-label calibration, Guo et al.
    2017).
    """
    figure = blank(6.2)
    curve, histogram = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, 1])
    styled(curve)
    styled(histogram)
    curve.plot([0, 1], [0, 1], color=FAINT, zorder=1)
    gaps = {}
    for (name, outputs), colour in zip(outputs_by_model.items(), COLOURS, strict=False):
        event, probability = (y, outputs) if outputs.ndim == 1 else top_label(y, outputs)
        points = calibration_points(event, probability)
        gaps[name] = np.average(np.abs(points["predicted"] - points["observed"]), weights=points["rows"])
        bars = np.stack([points["observed"] - points["low"], points["high"] - points["observed"]])
        style: dict[str, Any] = {"color": colour, "linewidth": 1.8, "marker": "o", "markersize": 5, "capsize": 2.5}
        label = f"{name}  (mean gap {gaps[name]:.3f})"
        curve.errorbar(points["predicted"], points["observed"], bars, elinewidth=1, label=label, **style)
        if len(gaps) == 1:  # of the first model alone: a baseline's few values would flatten it
            histogram.hist(probability, bins=np.linspace(0, 1, 51), color=colour)
    curve.set(ylabel="Observed share", xlim=(0, 1), ylim=(0, 1))
    histogram.set(xlabel="Predicted probability", ylabel="Rows")
    histogram.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    legend(curve, "upper left")
    first = next(iter(gaps))
    return titled(figure, f"Calibration: predicted and observed differ by {gaps[first]:.3f} on average")


def confusion_matrix(counts: Array, class_names: Sequence[str]) -> Figure:
    """Returns the confusion matrix of (classes, classes) `counts`, true class down; colours are shares of the row."""
    counts = np.asarray(counts)
    classes = len(counts)
    shares = _ratio(counts, counts.sum(axis=1, keepdims=True))
    figure = blank(6.0)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    styled(axes, grid=False)
    step = -(-classes // 25)
    ticks = range(0, classes, step)
    labels = [short(class_names[i]) for i in ticks]
    upright = max(len(label) for label in labels) * len(labels) > 60
    axes.set_xticks(ticks, labels, rotation=90 if upright else 0)
    axes.set_yticks(ticks, labels)
    axes.set(xlabel="Predicted", ylabel="True")
    if classes <= CELL_CLASSES:
        for (i, j), share in np.ndenumerate(shares):
            cell = f"{counts[i, j]:,}" + ("" if np.isnan(share) else f"\n{share:.0%}")
            colour = "white" if share > 0.55 else INK
            axes.text(j, i, cell, ha="center", va="center", color=colour, fontsize=9 if classes > 6 else 11)
    bar = figure.colorbar(image, ax=axes, format=lambda share, _: f"{share:.0%}", shrink=0.8)
    bar.set_label("Share of the true class", color=INK)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelcolor=INK)
    title = f"{np.trace(counts) / max(counts.sum(), 1):.1%} of {counts.sum():,} rows correct"
    wrong = counts - np.diag(np.diag(counts))
    if classes > 2 and wrong.any():
        i, j = divmod(int(wrong.argmax()), classes)
        title += f"; most often {short(class_names[i])} is taken for {short(class_names[j])}"
    return titled(figure, title)


def residuals(y: Array, outputs: Array) -> Figure:
    """Returns predictions against targets, and the histogram of the residuals (target minus prediction)."""
    y, outputs = np.asarray(y, np.float64), np.asarray(outputs, np.float64)
    residual = y - outputs
    figure = blank(4.2)
    scatter, histogram = figure.subplots(1, 2)
    styled(scatter)
    styled(histogram)
    # Beyond the outermost 0.5% a few rows would squeeze all others into one spot.
    ends = np.quantile([y, outputs], [0.005, 0.995])
    ends += np.array([-0.05, 0.05]) * max(ends[1] - ends[0], 1e-9)
    if len(y) > 2000:
        extent = (ends[0], ends[1], ends[0], ends[1])
        scatter.hexbin(outputs, y, gridsize=45, extent=extent, bins="log", cmap="Blues", mincnt=1, linewidths=0)
    else:
        scatter.scatter(outputs, y, s=12, color=COLOURS[0], alpha=0.5, linewidths=0)
    scatter.plot(ends, ends, color=COLOURS[1], linewidth=1.2)
    scatter.set(xlabel="Predicted", ylabel="True", xlim=ends, ylim=ends)
    low, high = np.quantile(residual, [0.005, 0.995])
    histogram.hist(np.clip(residual, low, high), bins=int(np.clip(np.sqrt(len(y)), 10, 50)), color=COLOURS[0])
    histogram.axvline(0, color=COLOURS[1], linewidth=1.2)
    histogram.set(xlabel="True minus predicted\n(the outermost 0.5% stand at the ends)", ylabel="Rows")
    for axis in (scatter.xaxis, scatter.yaxis, histogram.xaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    values = compute("regression", y, outputs)
    title = f"RMSE {written(values['rmse'])}, R² {values['r2']:.3f}, mean residual {written(residual.mean())}"
    return titled(figure, title)


def learning_curves(history: Mapping[str, Sequence[float]]) -> Figure:
    """Returns one panel a measure of `history` (name -> a value an epoch), training beside validation.

    The validation values of "auc" are "val_auc", as Keras names them.  The best epoch is that of the least "val_loss",
    else "loss". Raises KeyError without "loss".
    """
    measures = [name for name in history if not name.startswith("val_")]
    judge = "val_loss" if "val_loss" in history else "loss"
    losses = np.asarray(history[judge], np.float64)
    columns = min(len(measures), 2)
    lines = -(-len(measures) // columns)
    figure = blank(1.4 + 2.6 * lines)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    best = int(np.nanargmin(losses)) if np.isfinite(losses).any() else None
    for axes, measure in zip(panels, measures, strict=False):
        styled(axes)
        for key, label, colour in ((measure, "train", COLOURS[4]), (f"val_{measure}", "validation", COLOURS[0])):
            if key in history:
                epochs = np.arange(1, len(history[key]) + 1)
                axes.plot(epochs, history[key], color=colour, linewidth=1.8, marker="o", markersize=2.5, label=label)
        if best is not None:
            axes.axvline(best + 1, color=COLOURS[1], linewidth=1.2, linestyle="--", label=f"best epoch {best + 1}")
        axes.set(xlabel="Epoch", ylabel=measure, xlim=(0.5, len(losses) + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    legend(panels[0], "best")
    for axes in panels[len(measures) :]:
        axes.remove()
    which = "validation loss" if judge == "val_loss" else "loss"
    if best is None:
        return titled(figure, f"No finite {which} in {len(losses)} epochs")
    return titled(figure, f"Best {which} {losses[best]:.4g} in epoch {best + 1} of {len(losses)}")


def _curves(
    metric: Literal["auc", "average_precision"],
    across: str,
    up: str,
    y: Array,
    outputs_by_model: Mapping[str, Array],
    class_names: Sequence[str],
) -> Figure:
    """Draws one curve a model or class with the area below it; the title compares the areas."""
    is_roc = metric == "auc"
    first, outputs = next(iter(outputs_by_model.items()))
    if outputs.ndim == 1:
        curves = [(short(name), y, score) for name, score in outputs_by_model.items()]
    else:
        frequent = np.argsort(-np.bincount(y, minlength=outputs.shape[1]), kind="stable")[:CURVE_CLASSES]
        curves = [(short(class_names[c]), (y == c).astype(np.intp), outputs[:, c]) for c in sorted(frequent.tolist())]
    figure = blank(5.4)
    axes = figure.subplots()
    styled(axes)
    if is_roc:
        axes.plot([0, 1], [0, 1], color=FAINT, zorder=1)
    elif outputs.ndim == 1:
        axes.axhline(float(np.mean(y)), color=FAINT, zorder=1)  # what a random order gives
    areas = []
    for i, (name, positive, score) in enumerate(curves):
        areas.append(compute("binary", positive, score)[metric])
        points = roc_points(positive, score) if is_roc else pr_points(positive, score)
        axes.plot(
            np.append(0.0, points[across]),
            np.append(0.0 if is_roc else points[up][0], points[up]),
            label=f"{name}  {areas[-1]:.3f}",
            color=COLOURS[i % len(COLOURS)],
            linewidth=2.4 if i == 0 and outputs.ndim == 1 else 1.5,
            drawstyle="default" if is_roc else "steps-pre",
        )
    labels = {"fpr": "False positive rate", "tpr": "True positive rate", "recall": "Recall", "precision": "Precision"}
    axes.set(xlabel=labels[across], ylabel=labels[up], xlim=(0, 1), ylim=(0, 1.005))
    legend(axes, "lower right" if is_roc else "best")

    title = "AUC" if is_roc else "Average precision"
    if outputs.ndim == 1:
        title += f": {first} {areas[0]:.3f}"
        if len(areas) > 1:
            rival = 1 + int(np.argmax(areas[1:]))
            title += f", {curves[rival][0]} {areas[rival]:.3f}"
    else:
        title += "" if outputs.shape[1] <= CURVE_CLASSES else f" of the {CURVE_CLASSES} most frequent classes"
        low, high = int(np.argmin(areas)), int(np.argmax(areas))
        title += f" from {areas[low]:.3f} ({curves[low][0]}) to {areas[high]:.3f} ({curves[high][0]})"
    return titled(figure, title)


def _cumulative_counts(y: Array, score: Array) -> tuple[Floats, Floats, Floats]:
    """Returns the distinct scores from the highest down, and the positives and negatives scored at least so."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # of each run of equal scores
    true = np.cumsum(y[order], dtype=np.float64)[last]
    return score[order][last].astype(np.float64), true, last + 1.0 - true


def _thin(table: Table, position: Floats) -> Table:
    """Keeps at most POINTS rows: first, last, and the next after each evenly spaced value of the rising `position`."""
    wanted = np.linspace(position[0], position[-1], POINTS)[1:-1]
    kept = np.unique(np.concatenate([[0], np.searchsorted(position, wanted), [len(position) - 1]]))
    return {name: values[kept] for name, values in table.items()}


def _ratio(part: Array, whole: Any) -> Floats:
    """Divides, with nan for 0 / 0."""
    with np.errstate(invalid="ignore"):
        ratio: Floats = np.asarray(part, np.float64) / whole
    return ratio


def short(name: str) -> str:
    return name if len(name) <= 16 else name[:15] + "…"


def blank(height: float) -> Figure:
    return Figure(figsize=(7.0, height), layout="constrained", facecolor="white")


def titled(figure: Figure, title: str) -> Figure:
    figure.suptitle(fill(title, 66), x=0.01, ha="left", fontsize=12.5, fontweight="bold", color=INK)
    return figure


def written(value: float) -> str:
    """Writes 12,345 as 12.3k and smaller numbers as they are."""
    return EngFormatter(sep="").format_eng(float(f"{value:.4g}")) if abs(value) >= 1e4 else f"{value:.4g}"


def styled(axes: Axes, *, grid: bool = True) -> None:
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=10, labelcolor=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(color="#eeeeee", linewidth=0.8)


def legend(axes: Axes, place: Literal["upper left", "lower right", "best"]) -> None:
    axes.legend(loc=place, frameon=True, framealpha=0.85, edgecolor="none", fontsize=10, labelcolor=INK)

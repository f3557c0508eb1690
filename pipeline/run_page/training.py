"""The course of training as charts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pipeline import summary
from pipeline.run_page.plot import Line, Mark, Plot, cut_first, path, x_axis, y_axis
from pipeline.run_page.reading import Row, value


def training(history: Sequence[Row], best: int, metric: str) -> list[Plot]:
    """The loss of train and validation over the epochs, and the main metric where it was measured; the best epoch is marked."""
    if len(history) < 2:
        return []
    losses = {"train": "train/loss", "validation": "validation/loss"}
    same = all(row.get(f"validation/{metric}") == row.get("validation/loss") for row in history)  # the log loss of classes, mostly
    lead = None if same else _course(summary.SHOWN.get(metric, metric), history, {"validation": f"validation/{metric}"}, best)
    drawn = [_course("Loss", history, losses, best), lead]
    return [plot for plot in drawn if plot is not None]


def _course(title: str, history: Sequence[Row], columns: Mapping[str, str], best: int) -> Plot | None:
    """Columns of the history over the epochs, each by its class of CSS; None where validation was not measured."""
    curves = {kind: [value(row, name) for row in history] for kind, name in columns.items() if name in history[0]}
    if not any(map(math.isfinite, curves.get("validation", ()))):
        return None
    x, y = x_axis(1, len(history)), y_axis(*cut_first(list(curves.values())))
    lines = [Line(kind, path(x, y, list(enumerate(curve, 1))), kind) for kind, curve in curves.items()]
    marks: tuple[Mark, ...] = ()
    reached = ""
    if 0 <= best < len(history) and math.isfinite(at := curves["validation"][best]):
        reached = f"best epoch {best + 1}: {summary.number(at)}"
        lines.insert(0, Line("rule", f"M{x.at(best + 1)} {y.first}V{y.last}"))
        marks = (Mark("best", x.at(best + 1), y.at(at), reached),)
    return Plot(
        title=title,
        says=f"{title} over {len(history)} epochs{'; ' if reached else ''}{reached}",
        x_label="epoch",
        y_label="",
        x_ticks=x.ticks(6, whole=True),
        y_ticks=y.ticks(),
        lines=tuple(lines),
        marks=marks,
        note=reached,
    )

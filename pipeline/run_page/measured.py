"""Charts of what evaluate measured on test rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipeline import summary
from pipeline.data.quality_page import number
from pipeline.run_page.plot import Line, Mark, Plot, area, path, reach, x_axis, y_axis
from pipeline.run_page.reading import Row, value

DOTS = 300  # residuals


def rates(title: str, rows: Sequence[Row], x_name: str, y_name: str, *, labels: tuple[str, str], chance: bool) -> Plot | None:
    """A curve between 0 and 1, such as ROC; `chance` draws the diagonal."""
    points = [(value(row, x_name), value(row, y_name)) for row in rows]
    if len(points) < 2:
        return None
    x, y = x_axis(0, 1), y_axis(0, 1)
    lines = [Line("rule", path(x, y, [(0, 0), (1, 1)]))] if chance else []
    lines.append(Line("validation", path(x, y, points)))
    return Plot(title, f"{title} of the network on test rows", labels[0], labels[1], x.ticks(), y.ticks(), tuple(lines))


def calibration(rows: Sequence[Row]) -> Plot | None:
    """Predicted probability against observed share, with intervals."""
    points = [tuple(value(row, name) for name in ("predicted", "observed", "low", "high", "rows")) for row in rows]
    if not points:
        return None
    x, y = x_axis(0, 1), y_axis(0, 1)
    lines = [Line("rule", path(x, y, [(0, 0), (1, 1)])), Line("validation", path(x, y, [(point[0], point[1]) for point in points]))]
    lines += [Line("span", f"M{x.at(p)} {y.at(low)}V{y.at(high)}") for p, _, low, high, _ in points]
    marks = tuple(Mark("dot", x.at(p), y.at(o), f"told {p:.0%}, happened {o:.0%}, of {n:,.0f} rows") for p, o, _, _, n in points)
    says = "How often what the network gives a probability to happens; on the diagonal it keeps its word"
    return Plot("Calibration", says, "predicted probability", "observed share", x.ticks(), y.ticks(), tuple(lines), marks)


def residuals(rows: Sequence[Row]) -> Plot | None:
    """Error against prediction, for regression."""
    points = [(value(row, "predicted"), value(row, "residual")) for row in rows][:DOTS]
    if not points:
        return None
    x, y = x_axis(*reach(p for p, _ in points)), y_axis(*reach([*(r for _, r in points), 0.0]))
    marks = tuple(Mark("faint", x.at(p), y.at(r), f"predicted {number(p)}, off by {number(r)}") for p, r in points if math.isfinite(p + r))
    says = f"Truth less prediction of {len(points)} test rows"
    lines = (Line("rule", path(x, y, [(x.low, 0), (x.high, 0)])),)
    return Plot("Errors by prediction", says, "predicted", "truth less prediction", x.ticks(), y.ticks(), lines, marks)


def steps_ahead(rows: Sequence[Row]) -> Plot | None:
    """The error of a forecast by step, the network's and the baselines'."""
    if not rows or "step" not in rows[0]:
        return None
    names = [name for name in rows[0] if name not in ("step", "target", "column")]
    at = [value(row, "step") for row in rows]
    curves = {name: [value(row, name) for row in rows] for name in names}
    curves = {name: curve for name, curve in curves.items() if any(map(math.isfinite, curve))}
    if not curves or not any(map(math.isfinite, at)):
        return None
    x, y = x_axis(min(at), max(at)), y_axis(*reach([0.0, *(one for curve in curves.values() for one in curve)]))
    kinds = ("validation", "train", "third", "fourth")
    lines = tuple(
        Line(kind, path(x, y, list(zip(at, curve, strict=True))), "the network" if name == "network" else summary.NAMES.get(name, name))
        for kind, (name, curve) in zip(kinds, curves.items(), strict=False)
    )
    return Plot(
        "Error by step ahead", "Error of the forecast for each step ahead", "steps ahead", "", x.ticks(6, whole=True), y.ticks(), lines
    )


def more_rows(rows: Sequence[Row], metric: str) -> Plot | None:
    """What parts of train would have given."""
    if not rows or not {"rows", "value", "low", "high"} <= set(rows[0]):
        return None
    points = [tuple(value(row, name) for name in ("rows", "value", "low", "high")) for row in rows]
    x, y = x_axis(0, max(p[0] for p in points)), y_axis(*reach(v for p in points for v in p[1:]))
    band = area(x, y, [(p[0], p[2], p[3]) for p in points])
    lines = (Line("band", band), Line("validation", path(x, y, [(p[0], p[1]) for p in points])))
    marks = tuple(Mark("dot", x.at(p[0]), y.at(p[1]), f"{p[0]:,.0f} rows: {number(p[1])}") for p in points if math.isfinite(p[1]))
    named = summary.SHOWN.get(metric, metric)
    return Plot("More rows", f"{named} on test by rows of train", "train rows", named, x.ticks(), y.ticks(), lines, marks)

"""Which curves and figures belong to a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from pipeline.data.fitted import Task
from pipeline.evaluation import figures
from pipeline.evaluation.metrics import Array, Decide, confusion


def curves(task: Task, y: Array, outputs: Array, decide: Decide) -> dict[str, Mapping[str, Array]]:
    """Tables of at most some 200 rows, by name, for DVC's plots; y and outputs as in `metrics`."""
    if task == "binary":
        return {
            "roc": figures.roc_points(y, outputs),
            "precision_recall": figures.pr_points(y, outputs),
            "calibration": figures.calibration_points(y, outputs),
        }
    if task == "multiclass":
        return {"confusion": {"actual": y, "predicted": decide(outputs)}}
    kept = np.linspace(0, len(y) - 1, min(len(y), 200)).astype(int)
    return {"residuals": {"predicted": outputs[kept], "residual": (y - outputs)[kept]}}


def drawn(
    task: Task, y: Array, found: Mapping[str, Array], classes: Sequence[str], decide: Decide, uncalibrated: Mapping[str, Array]
) -> dict[str, Figure]:
    """Figures by name; `found` holds the outputs of each model, the network's first, `uncalibrated` what else calibration shows."""
    network = next(iter(found.values()))
    if task == "regression":
        return {"residuals": figures.residuals(y, network)}
    compared = {name: outputs for name, outputs in found.items() if name != "prior"}
    counts = confusion(y, decide(network), len(classes))
    shown = {
        "roc": figures.roc(y, compared, classes),
        "precision_recall": figures.precision_recall(y, compared, classes),
        "confusion": figures.confusion_matrix(counts, classes),
    }
    return shown | {"calibration": figures.calibration(y, {**compared, **uncalibrated})}

"""Metrics and their values in the sentences and titles of a report."""

from __future__ import annotations

WORDS = {"auc": "AUC", "auc_ovr": "AUC", "rmse": "RMSE", "mae": "mean absolute error", "r2": "R²", "mse_scaled": "scaled squared error"}
UNBOUNDED = ("rmse", "mae", "log_loss", "mse_scaled", "mae_scaled", "mase")


def word(metric: str) -> str:
    """Returns what a sentence calls a metric."""
    return WORDS.get(metric, metric.replace("_", " "))


def shown(metric: str, value: float) -> str:
    """Returns a value of a metric: three decimals where it is a share, else three digits."""
    if metric in UNBOUNDED:
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{round(value, 3) + 0.0:.3f}"  # not -0.000


def capital(text: str) -> str:
    """Returns a text with its first letter large."""
    return text[:1].upper() + text[1:]

"""The run in a few facts, read from its reports: for the end of `pipeline run` and for reports/index.html."""

from __future__ import annotations

import math
from typing import Any

from pipeline import files, paths

LOWER_IS_BETTER = {"log_loss", "brier", "ece", "cost", "rmse", "mae", "mse_scaled", "mae_scaled", "mase"}
SHOWN = {"auc": "AUC", "auc_ovr": "AUC (one vs rest)", "log_loss": "log loss", "brier": "Brier score", "f1": "F1", "macro_f1": "macro F1"}
SHOWN |= {"ece": "ECE", "rmse": "RMSE", "mae": "MAE", "r2": "R²", "average_precision": "average precision"}
SHOWN |= {"mse_scaled": "MSE (scaled)", "mae_scaled": "MAE (scaled)", "mase": "MASE"}
BESIDE = ("boosting", "linear")  # baselines that learn


def facts(*, evaluated: bool = False) -> dict[str, Any]:
    """All reports of the run, or those of the stages up to evaluate."""
    found = {
        "source": files.read_json(paths.SOURCE),
        "quality": files.read_json(paths.REPORTS / "clean" / "quality.json"),
        "schema": files.read_json(paths.SCHEMA),
        "split": files.read_json(paths.REPORTS / "split" / "split.json"),
        "leakage": files.read_json(paths.LEAKAGE.with_suffix(".json")),
        "preprocessor": files.read_json(paths.PREPROCESSOR),
        "trained": files.read_json(paths.REPORTS / "train" / "metrics.json"),
        "run": files.read_json(paths.RUN),
        "test": files.read_json(paths.METRICS.with_name("intervals.json")),
        "parts": files.read_json(paths.METRICS.with_name("slices.json")),
        "answers": files.read_json(paths.METRICS.with_name("quality.json")),
    }
    return found if evaluated else found | {"registered": files.read_json(paths.REGISTERED), "monitored": files.read_json(paths.MONITORED)}


def number(value: float, sign: str = "") -> str:
    """A value with the digits a reader needs: 0.0284, 0.706, 51,258."""
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{round(value, min(digits, 4)) + 0.0:{sign},.{min(digits, 4)}f}"


def spread(low: float, high: float, sign: str = "") -> str:
    """An interval."""
    return f"[{number(low, sign)}, {number(high, sign)}]"


def duration(seconds: float) -> str:
    """0.6 s, 38 s, 2 min 10 s, 3 h 5 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def main(found: dict[str, Any]) -> str:
    """The metric that leads: the first one that evaluate writes."""
    return str(next(iter(found["test"]["models"]["network"])))


def result(found: dict[str, Any]) -> str:
    """The main metric on the test split with its interval, in words."""
    metric = main(found)
    value = found["test"]["models"]["network"][metric]
    what = "windows" if found["schema"]["task"] == "forecast" else "rows"
    interval = f" {spread(value['low'], value['high'])}" if value["low"] is not None else " (too few rows for an interval)"
    return f"{SHOWN.get(metric, metric)} {number(value['value'])}{interval} on {found['test']['rows']:,} test {what}"


def strongest(found: dict[str, Any]) -> str | None:
    """The baseline that does best by the main metric, if any could be compared."""
    metric = main(found)
    ahead = {name: of[metric]["value"] for name, of in found["test"]["differences"].items() if of[metric]["value"] is not None}
    sign = -1 if metric in LOWER_IS_BETTER else 1
    return min(ahead, key=lambda name: sign * ahead[name], default=None)


def against(found: dict[str, Any], other: str) -> str:
    """How the network stands against a baseline, by the interval of the paired difference."""
    metric = main(found)
    difference = found["test"]["differences"][other][metric]
    value, ends = difference["value"], (difference["low"], difference["high"])
    if ends[0] is None:
        return f"{SHOWN.get(metric, metric)} {number(value, '+')} against {NAMES[other]}, with too few rows for an interval"
    better, worse = (ends[0] > 0, ends[1] < 0) if metric not in LOWER_IS_BETTER else (ends[1] < 0, ends[0] > 0)
    verdict = "better than" if better else "worse than" if worse else "not surely different from"
    return f"{verdict} {NAMES[other]} ({SHOWN.get(metric, metric)} {number(value, '+')} {spread(*ends, sign='+')})"


def answered(found: dict[str, Any]) -> str:
    """How the network's outputs become answers, and how well these keep what they say, in words."""
    quality = found["answers"]
    if "method" not in quality:
        if quality["coverage"] is None:
            return "No intervals: validation has too few rows for them."
        coverage, width = (quality[name] for name in ("coverage", "width"))
        ends = "" if coverage["low"] is None else f" [{coverage['low']:.1%}, {coverage['high']:.1%}]"
        return (
            f"Intervals: asked to hold {quality['asked']:.0%} of true values, they hold {coverage['value']:.1%}{ends} of those of test; "
            f"{number(width['value'])} wide on average."
        )
    before, after = (number(quality[when]["ece"]) for when in ("before", "after"))
    if quality["method"] == "none":
        told = f"Probabilities are told as the network gives them, since no calibration surely helped on validation: ECE {after}."
    else:
        by = f"temperature {quality['temperature']:.3g}" if quality["method"] == "temperature" else "isotonic regression"
        told = f"Probabilities are calibrated on validation, by {by}: ECE {after}, {before} without."
    parts = ", ".join(f"{name} {number(quality['after'][name])}" for name in ("reliability", "resolution", "uncertainty"))
    least = f" The second class is answered from {quality['threshold']:.3g} on." if found["schema"]["task"] == "binary" else ""
    of = "" if found["schema"]["task"] == "binary" else ", as far as the answered class goes"
    return f"{told} Parts of the Brier score{of}: {parts}.{least}"


NAMES = {"boosting": "gradient boosting", "linear": "a linear model", "prior": "the prior"}
NAMES |= {"last": "the last value", "seasonal": "the last season"}


def watched(found: dict[str, Any]) -> str:
    """The states of the monitored windows, in words."""
    windows = found["monitored"]["windows"]

    def told(kind: str) -> str:
        states = [w["state"] for w in windows if w["kind"] == kind]
        return ", ".join(f"{states.count(state)} {state}" for state in ("decay", "drift", "ok", "insufficient data") if state in states)

    return f"control windows: {told('control')}; production: {told('production') or 'no rows'}"

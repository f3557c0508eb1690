"""The reports of a run as its stages leave them, small and of any task: what the page of a run is made from."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MAIN = {"binary": "auc", "multiclass": "log_loss", "regression": "rmse", "forecast": "mse_scaled"}


def interval(value: float | None, half: float | None = 0.05) -> dict[str, Any]:
    ends = (None, None) if value is None or half is None else (value - half, value + half)
    return {"value": value, "low": ends[0], "high": ends[1], "undefined": 0}


def number_column(counts: Sequence[int] = (3, 5, 2), **more: Any) -> dict[str, Any]:
    histogram = {"low": 0.0, "high": 9.5, "counts": list(counts), "beyond": 0}
    return {"kind": "number", "reason": "read", "missing": 0, "distinct": 90, "min": 0.0, "max": 9.5, "histogram": histogram, **more}


def category_column(top: Sequence[tuple[str, int]], **more: Any) -> dict[str, Any]:
    return {"kind": "category", "reason": "text", "missing": 0, "distinct": len(top), "top": [list(one) for one in top], **more}


def window(name: str, state: str = "ok", rise: float | None = 0.1, *, kind: str = "production", **more: Any) -> dict[str, Any]:
    decay = None if rise is None else {"difference": rise, "lower": rise - 0.05, "upper": rise + 0.05, "reference_loss": 0.5}
    words = {"window": name, "kind": kind, "state": state, "rows": 100, "headline": f"what {name} tells", "reason": ""}
    return {**words, "report": f"{name}/report.html", "decay": decay, **more}


def write(
    task: str = "binary",
    *,
    target: str = "bought",
    columns: Mapping[str, Mapping[str, Any]] | None = None,
    classes: Sequence[str] = ("no", "yes"),
    windows: Sequence[Mapping[str, Any]] = (),
    trials: Sequence[Mapping[str, Any]] = (),
    best: Mapping[str, Any] | None = None,
    findings: Sequence[Mapping[str, Any]] = (),
    judgement: Mapping[str, Any] | None = None,
    version: int | None = 1,
    known: bool = True,
) -> None:
    """Write all that the report stage depends on, into the current folder; `known`: whether intervals are."""
    metric, half = MAIN[task], 0.05 if known else None
    columns = {"age": number_column(), "city": category_column([("Rome", 70), ("Oslo", 30)])} if columns is None else dict(columns)
    labelled = task in ("binary", "multiclass")
    counts = {name: 100 - at for at, name in enumerate(classes)} if labelled else {}
    rows = sum(counts.values()) or 200
    own = category_column(list(counts.items())) if labelled else number_column()
    about = {"name": target, "task": task, "missing": 0} | ({"classes": counts} if labelled else {"mean": 3.0, "std": 1.0})
    sides = {side: {"rows": rows, "share": 0.3} | ({"classes": counts} if labelled else {"target_mean": 3.0}) for side in ("train", "test")}
    quality: dict[str, Any] = {"rows": {"read": rows, "kept": rows, "duplicates": 4, "dropped": 0}, "rejects": {}, "target": about}
    quality["columns"] = {**columns, target: own}
    models = {"network": {metric: interval(0.7, half), "accuracy": interval(0.8, half)}, "linear": {metric: interval(0.6, half)}}
    models["linear"]["accuracy"] = interval(None)
    differences = {"linear": {metric: interval(0.1, half)}}
    answers: dict[str, Any] = {"asked": 0.9, "coverage": None}
    if labelled:
        parts = {"ece": 0.1, "brier": 0.2, "reliability": 0.1, "resolution": 0.1, "uncertainty": 0.2}
        answers = {"method": "none", "temperature": 1.0, "threshold": 0.5, "before": parts, "after": parts}
    judged = {"verdict": "first", "reasons": [], "accepted": True, "champion_version": None, **(judgement or {})}
    registered: dict[str, Any] = {"name": "small", "rows_replayed": rows, "skew": {"one row at a time": 1e-8}, "judgement": judged}
    registered |= {"latency_ms": 5.0, "size_mb": 0.5} | ({} if version is None else {"version": version, "alias": "champion"})
    retrain = {"suggested": False, "why": ""}
    monitored = {"windows": list(windows), "rows": {}, "false_alarm_rate": 0.05, "retrain": retrain}
    run = {"run": "2f4e", "run_id": None, "experiment": "small", "about": "mlp with 9 parameters.", "tuned": {}}
    told = {"replicates": 100, "confidence": 0.95, "rows": rows, "groups": rows, "definitions": {"linear": "Ridge."}, "meanings": {}}
    table = {"looked_at": 3, "too_small": 1, "worse": [], "named": 0} if task != "forecast" else {}
    ahead = {"look_back": 8, "horizon": 2} if task == "forecast" else None
    _json(
        {
            "data/raw/source.json": {"source": "rows.csv", "rows": rows, "columns": [*columns, target]},
            "data/clean/schema.json": {"target": target, "targets": [target], "task": task},
            "data/normalized/preprocessor.json": {
                "set_aside": {},
                "target": {"classes": list(classes) if labelled else None},
                "forecast": ahead,
            },
            "models/run.json": run,
            "reports/clean/quality.json": quality,
            "reports/split/split.json": {"strategy": "random", "by": None, "sides": sides, "unlabelled": 0},
            "reports/split/leakage.json": {"findings": list(findings)},
            "reports/train/metrics.json": {"epochs": 3, "best_epoch": 1, "train_loss": 0.4, "validation_loss": 0.5},
            "reports/train/network.json": {"parameters": 9, "flops": 20},
            "reports/evaluate/intervals.json": {"models": models, "differences": differences, **told},
            "reports/evaluate/slices.json": table,
            "reports/evaluate/quality.json": answers,
            "reports/register.json": registered,
            "reports/monitor/summary.json": monitored,
        }
    )
    losses = [(0.9, 0.8), (0.5, 0.5), (0.4, 0.6)]
    history = [{"epoch": at, "train/loss": a, "validation/loss": b, f"validation/{metric}": 1 - b} for at, (a, b) in enumerate(losses)]
    table_of("reports/train/history.csv", history)
    table_of("reports/tune/trials.csv", trials)
    Path("reports/tune/best.yaml").write_text(json.dumps({"params": {}, "from": None} if best is None else best))
    if labelled and len(classes) > 2:
        table_of("reports/evaluate/confusion.csv", [{"actual": a, "predicted": int(p >= a)} for a in range(3) for p in range(4)])


def table_of(file: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of equal keys as CSV."""
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    with open(file, "w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)


def _json(files: Mapping[str, Any]) -> None:
    for name, value in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(json.dumps(value), encoding="utf-8")

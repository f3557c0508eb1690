"""The newest window in Prometheus' text format, to be scraped or read by an exporter of text files."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from pipeline.monitoring import verdicts

STATES = {"ok": 0, "insufficient data": 1, "drift": 2, "decay": 3}
HELP = {
    "state": "State of the newest window that could be judged: 0 ok, 1 insufficient data, 2 drift, 3 decay.",
    "alarm": "Whether the monitoring alarms: 0 or 1.",
    "retrain_suggested": "Whether it suggests to train again: 0 or 1.",
    "window_rows": "Rows of that window.",
    "window_labelled_rows": "Rows of that window whose outcome is known.",
    "window_end_timestamp_seconds": "When that window ends, in seconds since 1970.",
    "loss_increase": "Mean loss of that window less that of the reference.",
    "metric": "Metric of that window by its labels.",
    "metric_estimate": "Metric of that window, estimated without labels.",
    "drift_ratio": "Distance to the reference over its threshold, of a column whose drift can harm; above 1 it drifts.",
}


def text(summary: Mapping[str, Any]) -> str:
    """Gauges named pipeline_monitor_*, labelled by model and version; what is not known has no sample.

    The format is version 0.0.4 of Prometheus' text exposition, its label values escaped by prometheus_client.
    """
    registry = CollectorRegistry()
    registry.register(_Gauges(summary))
    return generate_latest(registry).decode()


class _Gauges:
    """What the registry asks of a collector."""

    def __init__(self, summary: Mapping[str, Any]) -> None:
        model = summary["model"] or {}
        self.labels = {name: str(model.get(key) or "") for name, key in {"model": "name", "version": "version"}.items()}
        self.samples = list(samples(summary))

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, told in HELP.items():
            found = {tuple(more.items()): value for other, more, value in self.samples if other == name}
            if found:
                more = [key for key, _ in next(iter(found))]
                gauge = GaugeMetricFamily(f"pipeline_monitor_{name}", told, labels=[*self.labels, *more])
                for pairs, value in found.items():
                    gauge.add_metric([*self.labels.values(), *(label for _, label in pairs)], value)
                yield gauge


def samples(summary: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str], float]]:
    """Name, labels and value of all that is known; a column without values has no distance."""
    newest = verdicts.newest(summary["windows"] or []) or {}
    decay, retrain = newest.get("decay") or {}, summary["retrain"] or {}
    found = {
        "state": STATES.get(summary["state"]),
        "alarm": summary["alarmed"],
        "retrain_suggested": retrain.get("suggested"),
        "window_rows": newest.get("rows"),
        "window_labelled_rows": newest.get("labelled"),
        "window_end_timestamp_seconds": seconds(newest.get("end")),
        "loss_increase": decay.get("difference"),
    }
    for name, value in found.items():
        if value is not None:
            yield name, {}, float(value)
    for name, key in {"metric": "performance", "metric_estimate": "estimate"}.items():
        point = newest.get(key) or {}
        if point.get("value") is not None:
            yield name, {"metric": str(point["metric"] or "")}, float(point["value"])
    for measure in newest.get("measures") or []:
        if measure["harmful"] and measure["observed"] is not None and measure["threshold"] is not None:
            ratio = _ratio(measure["observed"], measure["threshold"])
            yield "drift_ratio", {"column": str(measure["column"]), "aspect": str(measure["aspect"])}, ratio


def seconds(moment: str | None) -> float | None:
    """Seconds since 1970 of an ISO moment, one without a zone in UTC; None where there is none."""
    if not moment:
        return None
    found = datetime.fromisoformat(moment)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _ratio(observed: float, threshold: float) -> float:
    return observed / threshold if threshold else math.inf if observed else 0.0

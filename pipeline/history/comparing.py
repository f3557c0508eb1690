"""In what runs differ, as plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pipeline.config import Params, Section
from pipeline.summary import SHOWN
from pipeline.tracking.reading import Found

ENVIRONMENT = ("version.", "machine.", "gpu", "python", "platform", "lock", "device", "backend")
MEASURED = ("test/", "best/", "baseline/", "cross_validation/", "system/cost/")  # the rest is of one epoch or moment


def differing(runs: Sequence[Found]) -> list[str]:
    """Params whose values differ between runs, those with most values first; runs without any params do not count."""
    told = [run.params for run in runs if run.params]
    values = {name: {params.get(name) for params in told} for name in sorted({name for params in told for name in params})}
    return sorted((name for name in values if len(values[name]) > 1), key=lambda name: -len(values[name]))


def main_metric(run: Found) -> str | None:
    """The test metric that leads: that of the baselines."""
    beside = [name.rpartition("/")[2] for name in run.metrics if name.startswith("baseline/")]
    return next((name for name in [*beside, *SHOWN] if f"test/{name}" in run.metrics), None)


def differences(a: Found, b: Found) -> tuple[dict[str, dict[str, tuple[Any, Any]]], dict[str, int]]:
    """What differs between two runs, and how much is equal: params, code, data, environment, metrics."""
    ours, theirs = _facets(a), _facets(b)
    found: dict[str, dict[str, tuple[Any, Any]]] = {}
    equal = {}
    for facet, mine in ours.items():
        both = {name: (mine.get(name), theirs[facet].get(name)) for name in [*mine, *(n for n in theirs[facet] if n not in mine)]}
        # two runs with uncommitted changes need not have the same ones
        found[facet] = {n: (x, y) for n, (x, y) in both.items() if x != y or (n == "git.dirty" and x == "true")}
        equal[facet] = len(both) - len(found[facet])
    return found, equal


def plain_diff(a: Found, b: Found) -> dict[str, Any]:
    """What differs between two runs, for JSON."""
    found, equal = differences(a, b)
    metrics = {
        name: {"a": x, "b": y, "difference": None if None in (x, y) else y - x, "inside": inside(a, name, y)}
        for name, (x, y) in found["metrics"].items()
    }
    return {"a": a.key, "b": b.key, **found, "metrics": metrics, "equal": equal}


def inside(a: Found, metric: str, value: float | None) -> bool | None:
    """Whether a value lies in a run's interval of the metric; None where there is none."""
    low, high = a.metrics.get(f"{metric}/low"), a.metrics.get(f"{metric}/high")
    return None if low is None or high is None or value is None else low <= value <= high


def beyond_defaults(params: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Params that differ from the schema's defaults: value and default."""
    defaults: dict[str, str] = {}
    for name, field in Params.model_fields.items():
        if isinstance(kind := field.annotation, type) and issubclass(kind, Section):
            values = kind.model_construct().model_dump(mode="json", by_alias=True)
            defaults |= {f"{field.alias or name}.{key}": str(value) for key, value in values.items()}
    return {name: (value, defaults.get(name, "-")) for name, value in params.items() if value != defaults.get(name)}


def plain(run: Found) -> dict[str, Any]:
    """A run for JSON, its times in ISO 8601 UTC."""
    times = {k: None if (ms := getattr(run, k)) is None else moment(ms).isoformat(timespec="milliseconds") for k in ("start", "end")}
    return {**dataclasses.asdict(run), **times}


def _facets(run: Found) -> dict[str, dict[str, Any]]:
    tags = run.tags
    return {
        "params": {**run.params, **{f"tags.{name}": tags[name] for name in ("family", "study") if name in tags}},
        "code": {name: tags[name] for name in ("git.commit", "git.branch", "git.dirty") if name in tags},
        "data": {one["context"]: f"{one['digest']} ({rows_of(one)} rows)" for one in run.inputs},
        "environment": {name: value for name, value in tags.items() if name.startswith(ENVIRONMENT)},
        "metrics": {
            n: v for start in MEASURED for n, v in run.metrics.items() if n.startswith(start) and not n.endswith(("/low", "/high"))
        },
    }


def rows_of(one: Mapping[str, Any]) -> str:
    """The rows of a dataset, in words."""
    rows = one["profile"].get("rows")
    return f"{rows:,}" if isinstance(rows, int) else "?"


def moment(ms: int) -> datetime:
    """A moment in ms since 1970, in UTC."""
    return datetime.fromtimestamp(ms / 1000, UTC)

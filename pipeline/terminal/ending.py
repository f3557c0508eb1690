"""The five lines at the end of `pipeline run`: result, verdict, monitoring, where to look, what to try next."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ruamel.yaml import YAML

from pipeline import paths, summary
from pipeline.config import Interval, Params
from pipeline.params_file import load
from pipeline.tracking import store

EDGE = 0.05  # of a searched range: nearer to an end a better value may lie beyond it
Facts = dict[str, Any]


def lines() -> list[str]:
    """The five lines.

    Raises:
        FileNotFoundError: a stage has not run.
    """
    found = summary.facts()
    best = YAML(typ="safe").load(paths.BEST.read_text(encoding="utf-8"))
    return [
        f"result    {summary.result(found)}",
        f"verdict   {verdict(found)}",
        f"monitor   {summary.watched(found)}",
        f"look at   {paths.INDEX}; all runs: pipeline runs, or mlflow ui --backend-store-uri {store.uri().replace(f'{paths.root()}/', '')}",
        f"try next  {next(suggestions(found, load(paths.PARAMS), best))}",
    ]


def verdict(found: Facts) -> str:
    """How the network stands against the strongest baseline, and what the gate made of it."""
    registered = found["registered"]
    judged, name = registered["judgement"], registered["name"]
    beside = summary.strongest(found)
    against = f"{summary.against(found, beside)}; " if beside else ""
    if "version" not in registered:
        return f"{against}packaged in {paths.PACKAGE}, not registered yet (no MLflow store: `pipeline sync` sends it)"
    version, alias = f"{name} version {registered['version']}", registered.get("alias")
    unmet = [reason for reason in judged["reasons"] if "required is" in reason]  # what holds back one that is better
    why = f": {[*unmet, *judged['reasons']][0]}" if judged["reasons"] else f" ({judged['verdict']})"
    place = f"is {alias}{why}" if judged["accepted"] and alias else f"waits as {alias}{why}" if alias else "moves no alias"
    return f"{against}{version} {place}"


def suggestions(found: Facts, params: Params, best: Mapping[str, Any]) -> Iterator[str]:
    """What may make the result better or surer, the most pressing first; there is always one.

    Args:
        best: reports/tune/best.yaml.
    """
    for finding in found["leakage"]["findings"]:
        if finding["severity"] in ("error", "warning") and finding["kind"] != "covariate_shift":  # which flatters nothing
            yield f"settle the leak first: {finding['title']} {finding['remedy']} ({paths.LEAKAGE})"
    trained, tune = found["trained"], params.section("tune")
    if trained["best_epoch"] == trained["epochs"] - 1:
        yield f"train.epochs: {2 * trained['epochs']}, since the validation loss still fell in the last of {trained['epochs']} epochs"
    metric, better = summary.main(found), found["test"]["higher_is_better"]
    for other in summary.BESIDE:
        if other in found["test"]["differences"] and _surely_worse(found["test"]["differences"][other][metric], better[metric]):
            search = f"tune.trials: {max(20, 2 * tune.trials)} may find a better network"
            yield f"{summary.NAMES[other]} is better here: {search}; if none does, {summary.NAMES[other]} is the model to take"
    yield from _edges(tune.space or {}, best)
    if not tune.trials:
        yield "tune.trials: 20, which lets a sweep look for better settings"
    for sentence in found["parts"].get("worse", [])[:1]:
        yield f"look where it is worse ({paths.METRICS.parent}/slices.csv): {sentence}"
    states = [window["state"] for window in found["monitored"]["windows"] if window["kind"] == "production"]
    if "decay" in states:
        yield f"production has moved away from train: train on rows like it ({paths.MONITORED.with_name('index.html')} says in what)"
    yield "train.ensemble: 5 is often a little better; or put it to use: `pipeline predict new.csv`, `pipeline serve`"


def _surely_worse(difference: Mapping[str, Any], higher_is_better: bool) -> bool:
    end = difference["high"] if higher_is_better else difference["low"]
    return end is not None and math.isfinite(end) and (end < 0 if higher_is_better else end > 0)


def _edges(space: Mapping[str, Interval], best: Mapping[str, Any]) -> Iterator[str]:
    """Ranges at whose end the best trial lies, unless no value can lie beyond."""
    if not best.get("from", {}).get("best_trial"):
        return  # trial 0 is what params.yaml says
    for key, interval in space.items():
        value, ends = best["params"].get(key), interval.log or interval.uniform or interval.int_
        if ends is None or isinstance(value, bool) or not isinstance(value, int | float) or ends[0] == ends[1]:
            continue
        low, high, at = (math.log(x) for x in (*ends, value)) if interval.log else (*ends, value)
        share = (at - low) / (high - low)
        kind = "log" if interval.log else "uniform" if interval.uniform else "int"
        end = "lower" if share < EDGE and ends[0] else "upper" if share > 1 - EDGE else None
        if end:
            wider = f"{{{key}: {{{kind}: {_wider(ends, end, kind)}}}}}"
            yield f"tune.space: {wider}, since the best trial ({value:.3g}) lies at the {end} end of its range"


def _wider(ends: tuple[float, float], end: str, kind: str) -> str:
    """A range that goes on beyond an end."""
    low, high = ends
    if kind == "log":
        low, high = (low / 10, high) if end == "lower" else (low, high * 10)
    else:
        size = high - low
        top = 0.9 if kind == "uniform" and high < 1 else math.inf  # shares, such as dropout
        low, high = (max(0, low - size), high) if end == "lower" else (low, min(high + size, max(top, high)))
    return f"[{low:g}, {high:g}]"

"""Register: package the model, prove that the package answers alike, judge it against the champion.  Run: `python -m pipeline register`."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import card, files, fresh, gate, packaging, paths, summary
from pipeline.config import EvaluateParams, RegisterParams, SplitParams
from pipeline.data import prepared, replaying, splitting
from pipeline.data.arrays import Side
from pipeline.data.engine import engine
from pipeline.data.fitted import Preprocessor
from pipeline.data.schema import Schema
from pipeline.evaluation import calibration, forecasting, metrics, own
from pipeline.models import own_files
from pipeline.models.answers import Answers
from pipeline.monitoring import forecasts, reference
from pipeline.terminal import progress
from pipeline.terminal.progress import SUMMARY
from pipeline.tracking import registry, runs, sending, store

log = logging.getLogger(__name__)
REPLAYED = 20_000  # test rows, at most: as many again would find nothing new
HEAVY_REPLAYED = 1_000  # where rows hold pictures, sounds, texts or sequences
WINDOWS_REPLAYED = 20  # of a forecast
WINDOWS_JUDGED = 200
EXAMPLES = 3  # rows kept in the package as an example of a request
Replayed = tuple[pd.DataFrame, np.ndarray, Any]  # raw rows, the outputs for them, which of all they are


def run(seed: int, split: SplitParams, evaluate: EvaluateParams, register: RegisterParams) -> None:
    """Write models/package, replay raw test rows through it and the champion, register it once per content, write reports/register.json."""
    fitted = Preprocessor.from_json(paths.FITTED.read_text(encoding="utf-8"))
    replayed = _windows(fitted, WINDOWS_REPLAYED) if fitted.forecast else _rows(fitted)
    rows, expected, _ = replayed
    shutil.rmtree(paths.PACKAGE, ignore_errors=True)
    example = rows[list(packaging.columns(fitted))].head(fitted.forecast.look_back if fitted.forecast else EXAMPLES)
    watched = forecasts.reference(fitted) if fitted.forecast else reference.of_rows(fitted, **_drawn(split))
    encoders = own_files.trained(files.read_json(paths.RUN).get("encoders", {}))
    digest = packaging.build(paths.PACKAGE, fitted, example, lambda folder: reference.write(watched, folder), encoders=encoders)
    with progress.step(f"replay of {len(rows):,} test rows in a fresh process"):
        checked = packaging.check(paths.PACKAGE, fitted, rows, expected)
    what = f"{len(expected)} test windows" if fitted.forecast else f"{len(rows)} raw test rows"
    log.info("%s replayed in a fresh process: largest difference %.1e", what, max(checked.skew.values()))
    for why, count in checked.refused.items():
        log.warning("%d of them are refused: %s", count, why)

    costs = {"latency_ms": 1e3 * checked.seconds, "size_mb": packaging.size(paths.PACKAGE)}
    with progress.step("comparison with the champion"):
        champion, judged = _judged(fitted, digest, replayed, costs, seed, split, evaluate, register)
    lacking = _lacking(register, costs)
    accepted = judged.verdict == "same" or (judged.verdict in register.accept and not lacking)
    alias: str | None = register.alias if accepted else register.challenger
    if os.environ.get("DVC_EXP_NAME"):
        alias = None  # an experiment moves no alias
    reasons = [*judged.reasons, *lacking]
    # a rerun of the champion says nothing new of it: its verdict stays
    told = {} if judged.verdict == "same" else {"verdict": judged.verdict, "reasons": "; ".join(reasons)[:4000]}
    about = card.text(fitted, register, summary.facts(evaluated=True), versions=packaging.versions(fitted))
    files.write_text(paths.PACKAGE / paths.CARD, about)
    with runs.reopened(paths.RUN, "register") as tracked:
        over = {"over": champion.number if champion else None, "otherwise": register.challenger}
        tracked.version(
            paths.PACKAGE, name=register.name, digest=digest, alias=alias, tags=told, card=about, when=registry.moment(), **over
        )
        tracked.tags({"register.verdict": judged.verdict})
    version = tracked.version_of(digest)
    found: dict[str, Any] = {"name": register.name, "digest": digest, "run": tracked.key, "run_id": tracked.id, "rows_replayed": len(rows)}
    found |= {"skew": checked.skew, "refused": checked.refused, **costs}
    found |= {"judgement": asdict(judged) | {"reasons": reasons, "accepted": accepted, "champion_version": champion and champion.number}}
    files.write_json(paths.REGISTERED, found | ({"version": version, "alias": alias} if version else {}))
    state = f"version {version}{f', {alias}' if alias else ''}" if version else "is registered once the store is back"
    log.info("%s %s: %s%s", register.name, state, judged.verdict, f" ({'; '.join(reasons)})" if reasons else "", extra=SUMMARY)


def _judged(
    fitted: Preprocessor,
    digest: str,
    replayed: Replayed,
    costs: dict[str, float],
    seed: int,
    split: SplitParams,
    evaluate: EvaluateParams,
    register: RegisterParams,
) -> tuple[registry.Version | None, gate.Judgement]:
    """The champion, and what its comparison with the new model found, both scored anew on the present test rows.

    Args:
        replayed: test rows for which the new package was found to give what evaluate measured; costs: its latency and size.
    """
    champion, reason = None, "it was away lately" if sending.known_away() else ""
    try:
        champion = None if reason else registry.holding(register.name, register.alias)
    except Exception as error:  # sqlite, HTTP and MLflow errors have no common base
        sending.note_away()
        reason = sending.reason(error)
    if reason:
        return None, gate.Judgement("unknown", (f"the store {store.shown()} cannot be asked for the champion: {reason}",))
    if champion is None:
        return None, gate.Judgement("first", ())
    if champion.tags.get("digest") == digest:
        return champion, gate.Judgement("same", ())
    rows, new, some = _windows(fitted, WINDOWS_JUDGED) if fitted.forecast else replayed
    step = fitted.forecast.look_back if fitted.forecast else None
    try:
        with tempfile.TemporaryDirectory(prefix="pipeline-") as folder:
            package = registry.fetch(champion, Path(folder))
            theirs_by = packaging.answers(package, fitted.task)
            names = list(rows.columns)
            answer, *alone = fresh.answers(package, rows, [(names, None, step), *([] if step else [(names, 20, 1)])])
            theirs_cost = {"latency_ms": 1e3 * (alone or [answer])[0].attrs["seconds"], "size_mb": packaging.size(package)}
        theirs = packaging.outputs(fitted, answer)
        if theirs.shape != new.shape:
            raise KeyError(f"{len(theirs)} answers for {len(new)}")
    except (fresh.PackageError, KeyError) as error:
        last = (str(error).splitlines() or [""])[-1]
        return champion, gate.Judgement("unlike", (f"the champion, version {champion.number}, cannot answer for these rows: {last[:300]}",))
    settings: dict[str, Any] = {"replicates": evaluate.replicates, "confidence": evaluate.confidence, "seed": seed}
    owned = own.load(evaluate.metrics, fitted.task)
    with prepared.sides(fitted, split, ("train", "test")) as sides:
        if fitted.forecast:
            mine = tuple(each.of(theirs_by, ()) for each in owned)
            settings["metrics"] = dict.fromkeys(("new", "champion"), (*_forecast_metrics(fitted, sides["train"]), *mine))
            y = forecasting.future(sides["test"], fitted.forecast)[some]
            groups = forecasting.blocks_of(sides["test"], evaluate.block or 2 * fitted.forecast.horizon)[some]
            table = None
        else:
            y, groups = (np.asarray(block)[: len(new)] for block in (sides["test"].target, sides["test"].group))
            schema = Schema.from_json(paths.SCHEMA.read_text(encoding="utf-8"))
            table = pd.read_parquet(paths.SPLIT / "test" / paths.ROWS, columns=schema.compared()).head(len(new))
            ours_by = Answers.read(paths.ANSWERS)
            settings["metrics"] = {
                name: (*calibration.decided(by, ours_by.costs), *(each.of(by, fitted.target.classes) for each in owned))
                for name, by in (("new", ours_by), ("champion", theirs_by))
            }
    both = packaging.answered(answer, theirs) & np.isfinite(new).reshape(len(new), -1).all(axis=1)
    if not both.any():
        return champion, gate.Judgement(
            "unlike", (f"the champion, version {champion.number}, refuses all of these rows: {answer['refused'].iloc[0]}",)
        )
    table = None if table is None else table[both]
    judged = gate.judge(fitted.task, y[both], new[both], theirs[both], groups[both], table, **settings)
    return champion, gate.weighed(judged, {name: {"new": costs[name], "champion": theirs_cost[name]} for name in costs})


def _lacking(register: RegisterParams, costs: dict[str, float]) -> list[str]:
    """What params ask of a champion and this model has not, by the figures of evaluate and what it takes."""
    found = files.read_json(paths.METRICS.with_name("intervals.json"))
    values = {name: interval["value"] for name, interval in found["models"]["network"].items()} | costs
    parts = files.read_json(paths.METRICS.with_name("slices.json"))
    values |= {"worst_slice": parts["worst_slice"]} if "worst_slice" in parts else {}
    better = found["higher_is_better"] | dict.fromkeys((*costs, "worst_slice"), False)
    return gate.unmet(register.require, register.beats, values, found["differences"], better)


def _forecast_metrics(fitted: Preprocessor, train: Side) -> tuple[metrics.Metric, ...]:
    assert fitted.forecast is not None
    scales = forecasting.scales(train, fitted.forecast)
    return tuple(metrics.forecast_metrics(scales.deviation, scales.naive))


def _drawn(split: SplitParams) -> dict[str, str | None]:
    """The columns by which rows belong together, and by which they follow each other."""
    group = split.by if split.strategy in ("group", "stratified_group") else None
    return {"group": group, "time": prepared.time_of(Schema.from_json(paths.SCHEMA.read_text(encoding="utf-8")), split)}


def _rows(fitted: Preprocessor) -> Replayed:
    """Raw test rows, the network's outputs for them as evaluate measured them, and which of all they are."""
    most = REPLAYED if set(fitted.all_columns) == set(fitted.columns) else HEAVY_REPLAYED
    with engine() as backend:
        rows = splitting.raw_rows(backend, paths.RAW / paths.ROWS, paths.SPLIT / "test" / paths.ROWS, most=most)
    return rows, np.load(paths.OUTPUTS, mmap_mode="r")[:most], slice(0, most)


def _windows(fitted: Preprocessor, most: int) -> Replayed:
    """The same for some windows of a forecast, evenly drawn."""
    assert fitted.forecast is not None
    outputs = np.load(paths.OUTPUTS, mmap_mode="r")
    train, validation, test = (paths.SPLIT / side / paths.ROWS for side in paths.SIDES[:3])
    with engine() as backend:
        steps = replaying.steps(backend, test, [train, validation], fitted)
        if len(steps) != len(outputs):
            raise packaging.SkewError(f"evaluate measured {len(outputs)} windows of test, {len(steps)} are found again")
        some = np.unique(np.linspace(0, len(steps) - 1, most).astype(int))
        rows = replaying.window_rows(backend, paths.RAW / paths.ROWS, steps, some, fitted.forecast)
    return rows, outputs[some], some

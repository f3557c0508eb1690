"""Monitor: production rows in windows through the package, judged for drift and decay.  Run: `python -m pipeline monitor`."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd

from pipeline import files, fresh, packaging, paths
from pipeline.config import MonitorParams, SplitParams
from pipeline.data import replaying, splitting
from pipeline.data.engine import ROW_ID, engine, parquet_rows, read
from pipeline.data.fitted import Preprocessor
from pipeline.monitoring import windows
from pipeline.monitoring.judgement import judge, words
from pipeline.tracking import runs

log = logging.getLogger(__name__)
ROWS_A_WINDOW = 10_000  # more tell nothing new, and cost memory and time
HEAVY_ROWS_A_WINDOW = 1_000  # where rows hold pictures, sounds, texts or sequences
FORECAST_WINDOWS = 600  # of a side


def run(seed: int, split: SplitParams, monitor: MonitorParams) -> None:
    """Judge windows of test rows, where nothing changed, and of production, each against the other held-out rows.

    Writes reports/monitor/summary.json and, for each window, a folder with Evidently's report.html and report.json.
    """
    fitted = Preprocessor.from_json(paths.FITTED.read_text(encoding="utf-8"))
    group = split.by if split.strategy in ("group", "stratified_group") else None
    heavy = set(fitted.all_columns) != set(fitted.columns)
    most = monitor.max_windows * (HEAVY_ROWS_A_WINDOW if heavy else ROWS_A_WINDOW)
    (validation, test, production), refused = (_forecasts(fitted), {}) if fitted.forecast else _sides(fitted, group, most)
    control = list(windows.cut(test, monitor.window, most=monitor.max_windows))
    judged = []
    for at, part in enumerate(control, start=1):
        others = [other for other in control if other is not part]
        judged.append((f"control-{at:02d}", windows.reference(validation, others), part))
    for at, part in enumerate(windows.cut(production, monitor.window, most=monitor.max_windows), start=1):
        judged.append((f"production-{at:02d}", windows.reference(validation, control), part))
    with files.replaced(paths.MONITORED.parent) as folder:
        summary = []
        for name, reference, current in judged:
            found = judge(name, reference, current, fitted, monitor, seed, folder / name)
            summary.append(found)
            log.info("%-14s %5d rows  %-6s %s", name, found["rows"], found["state"], words(found))
        there = {side: parquet_rows(paths.SPLIT / side / paths.ROWS) for side in ("test", "production") if not fitted.forecast}
        rows = {
            side: {"judged": len(part), "there": there.get(side, len(part)), "refused": refused.get(side, 0)}
            for side, part in (("test", test), ("production", production))
        }
        for side, count in refused.items():
            if count:
                log.warning("%d of the %s rows looked at are refused by the package", count, side)
        files.write_json(folder / paths.MONITORED.name, {"rows": rows, "windows": summary, "false_alarm_rate": monitor.false_alarm_rate})
    with runs.reopened(paths.RUN, "monitor") as tracked:
        for at, found in enumerate(summary):
            increase = {"monitor/loss_increase": found["decay"]["difference"]} if found["decay"] else {}
            tracked.metrics({"monitor/drift": found["drift"], "monitor/decayed": found["decayed"], **increase}, step=at)
        tracked.files([paths.MONITORED, *(paths.MONITORED.parent / name / "report.html" for name, _, _ in judged)], "monitor")
        tracked.save(paths.MONITORED.parent)


def _sides(fitted: Preprocessor, group: str | None, most: int) -> tuple[list[windows.Window], dict[str, int]]:
    """Validation, test and production, each the first `most` rows, with what the package in a fresh process makes of the raw rows.

    Returns:
        the windows, without rows that the package refuses, and how many it refuses by side.
    """
    tables = [paths.SPLIT / side / paths.ROWS for side in paths.SIDES[1:]]
    with engine() as backend:
        clean = [backend.to_pandas(read(backend, table).order_by(ROW_ID).limit(most)) for table in tables]
        raw = [splitting.raw_rows(backend, paths.RAW / paths.ROWS, table, most=most) for table in tables]
    answer = fresh.predictions(paths.PACKAGE, _joined(raw))
    outputs = packaging.outputs(fitted, answer)
    answered = packaging.answered(answer, outputs)
    whole = windows.window(_joined(clean), outputs, fitted, group=group)  # as one, so that group codes agree over the sides
    places = np.split(np.arange(len(whole)), np.cumsum([len(rows) for rows in raw])[:-1])
    refused = {side: int((~answered[rows]).sum()) for side, rows in zip(paths.SIDES[1:], places, strict=True)}
    return [whole.take(rows[answered[rows]]) for rows in places], refused


def _forecasts(fitted: Preprocessor) -> list[windows.Window]:
    """The same for windows of a forecast: four of them a horizon, of which those that start within one horizon belong together."""
    forecast = fitted.forecast
    assert forecast is not None
    tables = [paths.SPLIT / side / paths.ROWS for side in paths.SIDES]
    sides, asked = [], []
    with engine() as backend:
        for at in range(1, len(tables)):
            steps = replaying.steps(backend, tables[at], tables[:at], fitted)
            stride = max(-(-forecast.horizon // 4), -(-len(steps) // FORECAST_WINDOWS))
            some = np.arange(0, len(steps), stride)
            sides.append((steps, some))
            asked.append(replaying.window_rows(backend, paths.RAW / paths.ROWS, steps, some, forecast))
    answers = fresh.answers(paths.PACKAGE, _joined(asked), [(list(asked[0].columns), None, forecast.look_back)])[0]
    outputs = packaging.outputs(fitted, answers)
    judged = []
    for steps, some in sides:
        own, outputs = outputs[: len(some)], outputs[len(some) :]
        seen = replaying.seen(steps, some, forecast)
        coming = steps.starts[some][:, None] + forecast.look_back + np.arange(forecast.horizon)
        values = {name: steps.frame[name].to_numpy(dtype="float64", na_value=np.nan) for name in {*fitted.columns, *_targets(fitted)}}
        past, truth = (np.stack([values[name][places] for name in _targets(fitted)], axis=-1) for places in (seen, coming))
        groups = steps.series[some] * (len(steps.frame) + 1) + steps.starts[some] // forecast.horizon
        channels = {name: values[name][seen] for name in fitted.columns}
        judged.append(windows.forecast_window(channels, past, truth, own, fitted, groups))
    return judged


def _targets(fitted: Preprocessor) -> list[str]:
    assert fitted.forecast is not None
    return [target.column for target in fitted.forecast.targets]


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all frames; empty ones would blur the columns' types."""
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True)

"""Monitor: production rows in windows through the package, judged for drift and decay.  Run: `python -m pipeline monitor`."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd

from pipeline import files, fresh, packaging, paths, tracking
from pipeline.config import MonitorParams, SplitParams
from pipeline.data import splitting
from pipeline.data.engine import ROW_ID, engine, parquet_rows, read
from pipeline.data.fitted import Preprocessor
from pipeline.monitoring import windows
from pipeline.monitoring.judgement import judge, words

log = logging.getLogger(__name__)
ROWS_A_WINDOW = 10_000  # more tell nothing new, and cost memory and time


def run(seed: int, split: SplitParams, monitor: MonitorParams) -> None:
    """Judge windows of test rows, where nothing changed, and of production, each against the other held-out rows.

    Writes reports/monitor/summary.json and, for each window, a folder with Evidently's report.html and report.json.
    """
    fitted = Preprocessor.from_json(paths.PREPROCESSOR.read_text(encoding="utf-8"))
    group = split.by if split.strategy in ("group", "stratified_group") else None
    validation, test, production = _sides(fitted, group, monitor.max_windows * ROWS_A_WINDOW)
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
        there = {side: parquet_rows(paths.SPLIT / side / paths.ROWS) for side in ("test", "production")}
        rows = {side: {"judged": len(part), "there": there[side]} for side, part in (("test", test), ("production", production))}
        files.write_json(folder / paths.MONITORED.name, {"rows": rows, "windows": summary, "false_alarm_rate": monitor.false_alarm_rate})
    tracked = tracking.Run(files.read_json(paths.RUN)["run_id"])
    for at, found in enumerate(summary):
        increase = {"monitor/loss_increase": found["decay"]["difference"]} if found["decay"] else {}
        tracked.metrics({"monitor/drift": found["drift"], "monitor/decayed": found["decayed"], **increase}, step=at)
    tracked.files([paths.MONITORED, *(paths.MONITORED.parent / name / "report.html" for name, _, _ in judged)], "monitor")


def _sides(fitted: Preprocessor, group: str | None, most: int) -> list[windows.Window]:
    """Validation, test and production, each the first `most` rows, with what the package in a fresh process makes of the raw rows."""
    tables = [paths.SPLIT / side / paths.ROWS for side in paths.SIDES[1:]]
    with engine() as backend:
        clean = [backend.to_pandas(read(backend, table).order_by(ROW_ID).limit(most)) for table in tables]
        raw = [splitting.raw_rows(backend, paths.RAW / paths.ROWS, table, most=most) for table in tables]
    outputs = packaging.outputs(fitted, fresh.predictions(paths.PACKAGE, _joined(raw)))
    whole = windows.window(_joined(clean), outputs, fitted, group=group)  # as one, so that group codes agree over the sides
    return [whole.take(rows) for rows in np.split(np.arange(len(whole)), np.cumsum([len(rows) for rows in raw])[:-1])]


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all frames; empty ones would blur the columns' types."""
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True)

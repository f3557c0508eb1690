"""Monitor: production rows in windows through the package, judged for drift and decay.  Run: `python -m pipeline monitor`."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd

from pipeline import files, fresh, packaging, paths, tracking
from pipeline.config import MonitorParams, SplitParams
from pipeline.data import splitting
from pipeline.data.engine import engine
from pipeline.data.fitted import Preprocessor
from pipeline.monitoring import windows
from pipeline.monitoring.judgement import judge, words

log = logging.getLogger(__name__)


def run(seed: int, split: SplitParams, monitor: MonitorParams) -> None:
    """Judge windows of test rows, where nothing changed, and of production, each against the other held-out rows.

    Writes reports/monitor/summary.json and, for each window, a folder with Evidently's report.html and report.json.
    """
    fitted = Preprocessor.from_json(paths.PREPROCESSOR.read_text(encoding="utf-8"))
    validation, test, production = _sides(fitted, split.by)
    control = list(windows.cut(test, monitor.window))
    judged = []
    for at, part in enumerate(control, start=1):
        others = [other for other in control if other is not part]
        judged.append((f"control-{at:02d}", windows.reference(validation, others), part))
    for at, part in enumerate(windows.cut(production, monitor.window), start=1):
        judged.append((f"production-{at:02d}", windows.reference(validation, control), part))
    with files.replaced(paths.MONITORED.parent) as folder:
        summary = []
        for name, reference, current in judged:
            found = judge(name, reference, current, fitted, monitor, seed, folder / name)
            summary.append(found)
            log.info("%-14s %5d rows  %-6s %s", name, found["rows"], found["state"], words(found))
        files.write_json(folder / paths.MONITORED.name, {"windows": summary, "false_alarm_rate": monitor.false_alarm_rate})
    tracked = tracking.Run(files.read_json(paths.RUN)["run_id"])
    for at, found in enumerate(summary):
        increase = {"monitor/loss_increase": found["decay"]["difference"]} if found["decay"] else {}
        tracked.metrics({"monitor/drift": found["drift"], "monitor/decayed": found["decayed"], **increase}, step=at)
    tracked.files([paths.MONITORED, *(paths.MONITORED.parent / name / "report.html" for name, _, _ in judged)], "monitor")


def _sides(fitted: Preprocessor, group: str | None) -> list[windows.Window]:
    """Validation, test and production rows with the predictions that the package, in a fresh process, makes of the raw rows."""
    tables = [paths.SPLIT / side / paths.ROWS for side in paths.SIDES[1:]]
    clean = [pd.read_parquet(table) for table in tables]
    with engine() as backend:
        raw = [splitting.raw_rows(backend, paths.RAW / paths.ROWS, table) for table in tables]
    outputs = packaging.outputs(fitted, fresh.predictions(paths.PACKAGE, _joined(raw)))
    whole = windows.window(_joined(clean), outputs, fitted, group=group)  # as one, so that group codes agree over the sides
    return [whole.take(rows) for rows in np.split(np.arange(len(whole)), np.cumsum([len(rows) for rows in raw])[:-1])]


def _joined(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all frames; empty ones would blur the columns' types."""
    return pd.concat([frame for frame in frames if len(frame)], ignore_index=True)

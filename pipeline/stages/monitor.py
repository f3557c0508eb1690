"""Monitor: production rows in windows through the package, judged for drift and decay.  Run: `python -m pipeline monitor`."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline import files, fresh, packaging, paths
from pipeline.config import MonitorParams, SplitParams
from pipeline.data import splitting
from pipeline.data.engine import ROW_ID, engine, parquet_rows, read
from pipeline.data.fitted import Preprocessor
from pipeline.errors import UserError
from pipeline.monitoring import embedding, forecasts, overall, page, periods, reference, windows
from pipeline.monitoring.judgement import Asked, Judge, words
from pipeline.monitoring.reference import Reference
from pipeline.monitoring.windows import Window
from pipeline.terminal import progress
from pipeline.terminal.progress import SUMMARY
from pipeline.tracking import runs

log = logging.getLogger(__name__)
ROWS_A_WINDOW = 10_000  # more tell nothing new, and cost memory and time
HEAVY_ROWS_A_WINDOW = 1_000  # where rows hold pictures, sounds, texts or sequences


def run(seed: int, split: SplitParams, monitor: MonitorParams) -> None:
    """Judge windows of test rows, where nothing changed, and of production, by the reference that ships with the package.

    Writes reports/monitor/index.html, summary.json and, for each window, a folder with Evidently's report.html and report.json.
    """
    home = paths.PACKAGE / "artifacts" / "files"
    fitted = Preprocessor.from_json((home / paths.FITTED.name).read_text(encoding="utf-8"))
    kept = reference.read(home).suited(monitor.window, monitor.time)
    judge = Judge(kept, fitted, monitor, seed, packaging.answers(paths.PACKAGE, fitted.task))
    with files.replaced(paths.MONITORED.parent) as folder:
        found, production = list[dict[str, Any]](), list[Window]()
        rows: dict[str, Any] = {"there": 0, "judged": 0, "refused": 0}
        with progress.step("answers for the production rows"):
            windows_asked = [*_control(kept, monitor), *_production(fitted, kept, monitor, rows)]
        for asked in progress.over(windows_asked, "windows", len(windows_asked)):
            before = (found[-1]["window"], production[-1]) if production and asked.kind == "production" else None
            told, _ = judge.judge(asked, folder / asked.name, before=before)
            found.append(told)
            if asked.kind == "production":
                production.append(asked.window)
            log.info("%-14s %5d rows  %-6s %s", asked.name, told["rows"], told["state"], words(told))
        registered = files.read_json(paths.REGISTERED)
        summary = overall.summary(
            found,
            model={"name": registered["name"], "version": str(registered.get("version") or ""), "run": str(registered["run"])},
            source="production split",
            every=monitor.window if isinstance(monitor.window, str) else f"{monitor.window:,} rows",
            reference=kept,
            monitor=monitor,
            measured=overall.measured(judge, production),
        )
        files.write_json(folder / paths.MONITORED.name, summary | {"rows": {"production": rows}})
        page.write(folder, summary | {"rows": {"production": rows}})
    states = Counter(one["state"] for one in found)
    counts = ", ".join(f"{n} {state}" for state, n in states.items())
    log.info("%d %s: %s", len(found), "window" if len(found) == 1 else "windows", counts, extra=SUMMARY)
    if rows["refused"]:
        log.warning("%d of the production rows looked at are refused by the package", rows["refused"])
    with runs.reopened(paths.RUN, "monitor") as tracked:
        for at, one in enumerate(found):
            increase = {"monitor/loss_increase": one["decay"]["difference"]} if one["decay"] else {}
            tracked.metrics({"monitor/drift": one["drift"], "monitor/decayed": one["decayed"], **increase}, step=at)
        reports = [paths.MONITORED.parent / one["report"] for one in found if one["report"]]
        tracked.files([paths.MONITORED, paths.MONITORED.with_name("index.html"), *reports], "monitor")
        tracked.save(paths.MONITORED.parent)


def _control(kept: Reference, monitor: MonitorParams) -> Iterator[Asked]:
    """Windows of test rows, each compared with all other rows of the reference."""
    size = monitor.window if isinstance(monitor.window, int) else max(int(kept.test.sum()) // monitor.max_windows, 1)
    for at, places in enumerate(kept.parts(size, most=monitor.max_windows), start=1):
        yield Asked(f"control-{at:02d}", "control", kept.rows.take(places), len(places), against=kept.without(places))


def _production(fitted: Preprocessor, kept: Reference, monitor: MonitorParams, rows: dict[str, Any]) -> Iterator[Asked]:
    """Windows of the production rows of the split; `rows` is told how many there are, are looked at and are refused."""
    file = paths.SPLIT / "production" / paths.ROWS
    if fitted.forecast:
        (whole, time), answered = forecasts.production(fitted, in_time=_in_time(monitor)), None
        if _in_time(monitor) and time is None:
            raise UserError(f"monitor.window: {monitor.window}: windows of time need dates; {fitted.forecast.time} counts steps by numbers")
        rows |= {"there": len(whole), "judged": len(whole)}
    else:
        rows["there"] = parquet_rows(file)
        whole, time, answered = _answered(file, fitted, kept, monitor)
        rows |= {"judged": len(whole), "refused": int((~answered).sum())}
    if _in_time(monitor) and time is not None:
        assert isinstance(monitor.window, str)
        assert monitor.window != "file"
        starts = periods.starts(time, monitor.window)
        for start in np.unique(starts[~np.isnat(starts)])[-monitor.latest :]:
            places = np.flatnonzero(starts == start)
            ends = periods.told(start), periods.told(periods.end(start, monitor.window))
            yield _asked(periods.name(start, monitor.window), whole, places, answered, *ends)
        return
    size = monitor.window if isinstance(monitor.window, int) else max(len(whole), 1)
    for at, places in enumerate(windows.cut(whole.groups, size, most=monitor.max_windows), start=1):
        yield _asked(f"production-{at:02d}", whole, places, answered)


def _asked(
    name: str, whole: Window, places: np.ndarray, answered: np.ndarray | None, start: str | None = None, end: str | None = None
) -> Asked:
    refused = 0 if answered is None else int((~answered[places]).sum())
    return Asked(name, "production", whole.take(places), len(places), start, end, refused=refused)


def _answered(file: Path, fitted: Preprocessor, kept: Reference, monitor: MonitorParams) -> tuple[Window, np.ndarray | None, np.ndarray]:
    """The first rows (drawn at random, since their order is that of digests), their times, and which ones the package answers."""
    light = set(fitted.all_columns) == set(fitted.columns)
    many = monitor.max_windows if isinstance(monitor.window, int) else monitor.latest
    most = many * (ROWS_A_WINDOW if light else HEAVY_ROWS_A_WINDOW)
    with engine() as backend:
        clean: pd.DataFrame = backend.to_pandas(read(backend, file).order_by(ROW_ID).limit(most))
        raw = splitting.raw_rows(backend, paths.RAW / paths.ROWS, file, most=most)
    time = monitor.time or kept.time
    moments = None
    if time is not None:
        if time not in clean:
            raise UserError(f"monitor.time: no column {time}; columns are {', '.join(map(str, clean.columns))}")
        order = np.argsort(clean[time].to_numpy(), kind="stable")
        clean, raw = clean.iloc[order].reset_index(drop=True), raw.iloc[order].reset_index(drop=True)
        if pd.api.types.is_datetime64_any_dtype(clean[time].dtype):
            moments = clean[time].to_numpy().astype("datetime64[us]")
    if _in_time(monitor) and moments is None:
        raise UserError(f"monitor.window: {monitor.window}: windows of time need monitor.time, a column of dates; got {time}")
    answer = fresh.predictions(paths.PACKAGE, raw) if len(raw) else None
    shape = (0, len(fitted.target.classes)) if fitted.task == "multiclass" else (0,)
    outputs = np.empty(shape) if answer is None else packaging.outputs(fitted, answer)
    answered = np.ones(0, bool) if answer is None else packaging.answered(answer, outputs)
    whole = windows.window(clean, outputs, fitted, group=kept.group)
    if kept.components:
        table = pa.Table.from_pandas(raw, preserve_index=False)
        whole = windows.with_columns(whole, embedding.columns_of(paths.PACKAGE, kept.components, table, fitted))
    return whole, moments, answered


def _in_time(monitor: MonitorParams) -> bool:
    """Whether windows are hours to months."""
    return monitor.window in periods.PERIODS

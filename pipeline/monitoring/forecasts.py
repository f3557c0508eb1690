"""Windows of a forecast as rows that can be watched: some of each side's, a quarter of a horizon apart at least."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from pipeline import fresh, packaging, paths
from pipeline.data import replaying
from pipeline.data.engine import engine
from pipeline.data.fitted import Preprocessor
from pipeline.monitoring import windows
from pipeline.monitoring.reference import Reference, of_windows
from pipeline.monitoring.windows import Window

MOST, MOST_IN_TIME = 600, 2400  # windows of a side, and of one that is cut into hours to months


def reference(fitted: Preprocessor) -> Reference:
    """Windows of validation and test, with what evaluate measured of the network."""
    outputs = {1: np.load(paths.VALIDATION_OUTPUTS, mmap_mode="r"), 2: np.load(paths.OUTPUTS, mmap_mode="r")}

    def measured(at: int) -> Outputs:
        return lambda some, _: np.asarray(outputs[at][some])

    return of_windows(fitted, [_side(fitted, at, measured(at), MOST)[0] for at in (1, 2)])


def production(fitted: Preprocessor, *, in_time: bool) -> tuple[Window, np.ndarray | None]:
    """Windows of production, which the package answers in a fresh process, and the last step that each sees, where steps have dates."""
    assert fitted.forecast is not None
    look_back = fitted.forecast.look_back

    def asked(some: np.ndarray, rows: Callable[[], pd.DataFrame]) -> np.ndarray:
        raw = rows()
        answer = fresh.answers(paths.PACKAGE, raw, [(list(raw.columns), None, look_back)])[0]
        return packaging.outputs(fitted, answer)

    return _side(fitted, 3, asked, MOST_IN_TIME if in_time else MOST)


Outputs = Callable[[np.ndarray, Callable[[], pd.DataFrame]], np.ndarray]


def _side(fitted: Preprocessor, at: int, outputs: Outputs, most: int) -> tuple[Window, np.ndarray | None]:
    """At most so many windows of a side, and the last step that each sees; `outputs` gets which ones, and what reads their raw rows."""
    forecast = fitted.forecast
    assert forecast is not None
    tables = [paths.SPLIT / side / paths.ROWS for side in paths.SIDES]
    with engine() as backend:
        steps = replaying.steps(backend, tables[at], tables[:at], fitted)
        stride = max(-(-forecast.horizon // 4), -(-len(steps) // most))
        some = np.arange(0, len(steps), stride)
        read = lambda: replaying.window_rows(backend, paths.RAW / paths.ROWS, steps, some, forecast)  # noqa: E731
        own = outputs(some, read) if len(some) else np.empty((0, forecast.horizon, len(forecast.targets)))
    seen = replaying.seen(steps, some, forecast)
    coming = steps.starts[some][:, None] + forecast.look_back + np.arange(forecast.horizon)
    targets = [target.column for target in forecast.targets]
    values = {name: steps.frame[name].to_numpy(dtype="float64", na_value=np.nan) for name in {*fitted.columns, *targets}}
    past, truth = (_stacked(values, targets, places) for places in (seen, coming))
    groups = steps.series[some] * (len(steps.frame) + 1) + steps.starts[some] // forecast.horizon
    channels = {name: values[name][seen] for name in fitted.columns}
    time = steps.frame[forecast.time].iloc[seen[:, -1]]
    moments = time.to_numpy().astype("datetime64[us]") if pd.api.types.is_datetime64_any_dtype(time.dtype) else None
    return windows.forecast_window(channels, past, truth, own, fitted, groups), moments


def _stacked(values: dict[str, np.ndarray], names: Sequence[str], places: np.ndarray) -> np.ndarray:
    """(windows, steps, targets)"""
    return np.stack([values[name][places] for name in names], axis=-1)

"""Forecasts that were asked for, or could have been, as rows to be watched: what their files and logs have in common."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.data import asking
from pipeline.data.fitted import Forecast
from pipeline.monitoring import windows
from pipeline.monitoring.watched import Watched


def forecast_of(model: Watched) -> Forecast:
    """What a forecasting model looks at."""
    assert model.fitted.forecast is not None
    return model.fitted.forecast


def window_of(
    model: Watched,
    clean: pd.DataFrame,
    seen: np.ndarray,
    truth: np.ndarray,
    outputs: np.ndarray,
    series: np.ndarray,
    moments: np.ndarray,
) -> windows.Window:
    """Forecasts as rows; those of a series that share a horizon belong together.

    Args:
        seen: (forecasts, look_back) places in `clean` and in `moments`; series: (forecasts,) codes.
    """
    forecast = forecast_of(model)
    values = {name: numbers(clean[name]) for name in model.fitted.columns}
    past = np.stack([values[target.column][seen] for target in forecast.targets], axis=-1)
    gaps = np.diff(moments[seen], axis=1)
    usual = float(np.median(gaps)) if gaps.size else 1.0
    last = moments[seen[:, -1]] if len(seen) else np.empty(0)
    shared = np.floor(last / max(usual * forecast.horizon, 1e-9))
    groups = np.unique(np.column_stack([series, shared]), axis=0, return_inverse=True)[1].reshape(-1)
    return windows.forecast_window({name: values[name][seen] for name in values}, past, truth, outputs, model.fitted, groups)


def numbers(column: pd.Series) -> np.ndarray:
    """A clean column (rows,), nan where it is missing."""
    return column.to_numpy(dtype="float64", na_value=np.nan)


def keys(raw: pa.Table, model: Watched, prefix: str) -> pd.DataFrame:
    """The series (a text) and time of each row."""
    forecast = forecast_of(model)
    column = raw[prefix + forecast.time].to_pandas().rename(forecast.time)
    time = asking.times(column, model.written[forecast.time]).to_numpy()
    series = names_of(raw[prefix + forecast.series]) if forecast.series else ""
    return pd.DataFrame({"series": series, "time": time})


def names_of(series: pa.ChunkedArray) -> np.ndarray:
    """The names of series as texts: a request may have them as numbers."""
    return series.cast(pa.string()).fill_null("").to_numpy()

"""The windows of a stored side as raw rows, to be asked through the package as evaluate asked the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from ibis.backends.duckdb import Backend

from pipeline.data.engine import ROW_ID, read
from pipeline.data.fitted import Forecast, Preprocessor
from pipeline.data.starts import find, ticks


@dataclass(frozen=True)
class Steps:
    """Clean rows in the order of a side's arrays (`windows`), and where its windows start.

    frame: (steps,) row id, time, series, the channels and targets; starts: (windows,); series: (windows,) codes.
    """

    frame: pd.DataFrame
    starts: np.ndarray
    series: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)


def steps(backend: Backend, side: Path, before: Sequence[Path], fitted: Preprocessor) -> Steps:
    """The steps of a side, each series' last look_back earlier rows before its own, and its whole windows."""
    forecast = fitted.forecast
    assert forecast is not None
    by = [forecast.series] if forecast.series else []
    targets = [target.column for target in forecast.targets]
    names = list(dict.fromkeys([ROW_ID, *by, forecast.time, *fitted.columns, *targets]))
    own = backend.to_pandas(read(backend, side).select(names)).assign(__own__=True)
    parts = [backend.to_pandas(read(backend, file).select(names)) for file in before]
    if any(len(part) for part in parts):
        whole = pd.concat([part for part in parts if len(part)], ignore_index=True).sort_values(forecast.time, kind="stable")
        last = whole.groupby(by, dropna=False, sort=False).tail(forecast.look_back) if by else whole.tail(forecast.look_back)
        own = pd.concat([frame for frame in (own, last.assign(__own__=False)) if len(frame)], ignore_index=True)
    frame = own.sort_values([*by, forecast.time], kind="stable", na_position="last").reset_index(drop=True)
    series = frame.groupby(by, dropna=False, sort=True).ngroup().to_numpy() if by else np.zeros(len(frame), np.int64)
    fine = frame["__own__"].to_numpy(dtype=bool) & frame[targets].notna().all(axis=1).to_numpy()
    starts = find(ticks(frame[forecast.time]), series, fine, forecast).starts
    return Steps(frame.drop(columns="__own__"), starts, series[starts])


def window_rows(backend: Backend, raw: Path, found: Steps, windows: np.ndarray, forecast: Forecast) -> pd.DataFrame:
    """The raw rows that these windows see, look_back of them a window, one window after another."""
    ids = found.frame[ROW_ID].to_numpy()[seen(found, windows, forecast).ravel()]
    table = backend.create_table("replayed_ids", pa.table({ROW_ID: pa.array(pd.unique(ids), pa.string())}), temp=True, overwrite=True)
    rows = backend.to_pandas(read(backend, raw).semi_join(table, ROW_ID)).set_index(ROW_ID)
    backend.drop_table("replayed_ids")
    return rows.loc[ids].reset_index(drop=True)


def seen(found: Steps, windows: np.ndarray, forecast: Forecast) -> np.ndarray:
    """The places (windows, look_back) of the steps that windows see."""
    return found.starts[windows][:, None] + np.arange(forecast.look_back)

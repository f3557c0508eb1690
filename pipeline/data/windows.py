"""Windows for a forecast: steps in order as one array, and where each window starts.

A side's folder holds series.npy (steps, channels) float32, the scaled channels in the order of series and time; target.npy
(steps, targets) float32 in the targets' units; start.npy (windows,) int64; group.npy (windows,) int64, the number of the
window's series.  Window k sees the steps start[k] to start[k] + look_back - 1 and predicts the horizon steps that follow.
Those lie wholly in the side; what is seen may reach into earlier sides, whose last steps stand in the arrays too.  The
blocks number and category are there for other readers and hold no column.
"""

from __future__ import annotations

import logging
from pathlib import Path

import ibis
import ibis.expr.types as ir
import numpy as np
from ibis.backends.duckdb import Backend

from pipeline.data import preprocessing
from pipeline.data.arrays import growing
from pipeline.data.encoding import Encoder
from pipeline.data.engine import read
from pipeline.data.fitted import Forecast, Preprocessor
from pipeline.data.starts import find
from pipeline.errors import UserError

log = logging.getLogger(__name__)


def write(backend: Backend, file: Path, before: list[Path], fitted: Preprocessor, folder: Path, *, side: str) -> None:
    """Write the arrays of a side's windows; windows over missing steps or missing targets are left out and counted in the log.

    Raises:
        UserError: two rows of a series have the same time, or no window fits into the side.
    """
    forecast = fitted.forecast
    assert forecast is not None
    table = _steps(backend, file, before, forecast)
    folder.mkdir(parents=True, exist_ok=True)
    rows = int(backend.to_pyarrow(table.count()).as_py())
    kept = {"time": _ticks(table[forecast.time]), "series": _series(table, forecast), "own": table["__own__"]}
    kept |= {f"y{at}": table[target.column].cast("float64") for at, target in enumerate(forecast.targets)}
    order = [ibis._["__series__"], ibis._["__time__"]]
    prepared = preprocessing.input_columns(table, fitted, **kept).order_by(order)
    kinds = {"series": ((len(fitted.numbers),), np.float32), "target": ((len(forecast.targets),), np.float32)}
    encoder, keys = Encoder(fitted), {name: list[np.ndarray]() for name in ("time", "series", "own", "known")}
    with growing(folder, rows, kinds) as out:
        for batch in backend.to_pyarrow_batches(prepared, chunk_size=preprocessing.BATCH):
            out["series"].write(encoder.blocks(batch, ["number"])["number"].tobytes())
            targets = [batch.column(f"__y{at}__").to_numpy(zero_copy_only=False) for at in range(len(forecast.targets))]
            block = np.stack(targets, axis=1).astype(np.float32)
            out["target"].write(block.tobytes())
            keys["known"].append(np.asarray(np.isfinite(block).all(axis=1)))
            for name in ("time", "own"):
                keys[name].append(batch.column(f"__{name}__").to_numpy(zero_copy_only=False))
            keys["series"].append(batch.column("__series__").to_numpy(zero_copy_only=False))
    joined = {name: np.concatenate(parts) if parts else np.empty(0) for name, parts in keys.items()}
    starts, groups = _starts(joined, forecast, side=side)
    np.save(folder / "start.npy", starts)
    np.save(folder / "group.npy", groups)
    np.save(folder / "number.npy", np.empty((len(starts), 0), np.float32))
    np.save(folder / "category.npy", np.empty((len(starts), 0), np.int32))


def _steps(backend: Backend, file: Path, before: list[Path], forecast: Forecast) -> ir.Table:
    """A side's rows and, for each series, the last look_back rows of the earlier sides."""
    own = read(backend, file)
    if not before:
        return own.mutate(__own__=True)
    columns = list(own.columns)
    earlier = read(backend, before[0]).select(columns)
    for other in before[1:]:
        earlier = earlier.union(read(backend, other).select(columns))
    by = [earlier[forecast.series]] if forecast.series else []
    latest = ibis.row_number().over(ibis.window(group_by=by, order_by=ibis.desc(earlier[forecast.time])))
    last = earlier.mutate(__back__=latest).filter(ibis._["__back__"] < forecast.look_back).select(columns)
    return own.mutate(__own__=True).union(last.mutate(__own__=False))


def _ticks(time: ir.Column) -> ir.Value:
    return time.epoch_seconds().cast("float64") if time.type().is_timestamp() else time.cast("float64")


def _series(table: ir.Table, forecast: Forecast) -> ir.Value:
    """The number of a row's series, by name: missing counts as a name."""
    if not forecast.series:
        return ibis.literal(0, "int64")
    return ibis.dense_rank().over(ibis.window(order_by=table[forecast.series]))


def _starts(keys: dict[str, np.ndarray], forecast: Forecast, *, side: str) -> tuple[np.ndarray, np.ndarray]:
    """The start of every whole window, and its series."""
    time, series, own, known = (keys[name] for name in ("time", "series", "own", "known"))
    rows, length = len(time), forecast.look_back + forecast.horizon
    if rows < length:
        raise _none(side, forecast, rows)
    gaps = np.diff(time)
    same = np.diff(series) == 0
    if same.any() and (gaps[same] <= 0).any():
        at = int(np.flatnonzero(same & (gaps <= 0))[0])
        hint = "" if forecast.series else ": if the table holds several series, name their column in data.forecast.series"
        raise UserError(
            f"data.forecast.time: two rows of {side} have the same {forecast.time} (row {at + 1} and the next in order of time){hint}"
        )
    found = find(time, series, own & known, forecast)  # all targets of a window are the side's own and known
    if found.holes:
        where = f"steps are missing at {found.holes} places in {forecast.time}"
        log.warning("%s: %s; %d windows over them are left out", side, where, found.lost)
    if not len(found.starts):
        raise _none(side, forecast, rows)
    return found.starts, series[found.starts].astype(np.int64)


def _none(side: str, forecast: Forecast, rows: int) -> UserError:
    return UserError(
        f"data.forecast: no window of {forecast.look_back} + {forecast.horizon} steps fits into {side} ({rows} steps): "
        "shorten look_back or horizon, or give the side a larger share in split"
    )

"""Forecasts: what is true of each window, plain forecasts that a network has to beat, and the scales of their errors.

Arrays of a side are those of `pipeline.data.windows`; what is true and what is forecast are (windows, horizon, targets)
in the targets' units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.data.arrays import Side, windowed
from pipeline.data.fitted import Forecast
from pipeline.evaluation.metrics import Array, Floats

LINEAR_VALUES = 2**25  # past values that the linear forecast is fitted to, at most: 256 MB
SEASON_WINDOWS = 400  # train windows on which seasons are compared
BLOCK = 4096  # windows gathered at once

DEFINITIONS: Mapping[str, str] = {
    "last": "The last value that the window holds, for every step.",
    "seasonal": "The value one season before, or as many seasons as it takes to reach what the window holds. The season is the number of "
    "steps, from 2 to the look-back, whose forecasts err least on train (of at most 400 windows).",
    "linear": "Ridge regression of every step on the target's past, less the window's last value: one for all targets, each in standard "
    f"deviations of train; fitted to at most {LINEAR_VALUES:,} past values, evenly drawn (NLinear of Zeng et al. 2023, in closed form).",
}

Predict = Callable[[Side], Floats]


@dataclass(frozen=True)
class Scales:
    """Learnt from train: (targets,) means and standard deviations, the season in steps, and the naive error of `forecast_metrics`."""

    mean: Floats
    deviation: Floats
    season: int
    naive: Floats


def future(side: Side, forecast: Forecast, windows: Any = slice(None)) -> Floats:
    """What is true: (windows, horizon, targets)."""
    return windowed(side.target, side.more["start"][windows], forecast.look_back, forecast.horizon).astype(np.float64)


def past(side: Side, forecast: Forecast, windows: Any, mean: Floats) -> Floats:
    """What each window holds of its targets: (windows, look_back, targets); a missing value is the one before, at the start `mean`."""
    steps: Floats = windowed(side.target, side.more["start"][windows], 0, forecast.look_back).astype(np.float64)
    known = ~np.isnan(steps)
    if not known.all():
        at = np.maximum.accumulate(np.where(known, np.arange(forecast.look_back)[:, None], -1), axis=1)
        steps = np.where(at < 0, mean, np.take_along_axis(steps, np.maximum(at, 0), axis=1))
    return steps


def scales(train: Side, forecast: Forecast) -> Scales:
    """The scales of train; a target that does not vary there has deviation and naive error 1."""
    steps = np.asarray(train.target, np.float64)
    mean, deviation = np.nanmean(steps, axis=0), np.nanstd(steps, axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    picked = _even(len(train), SEASON_WINDOWS)
    before, after = past(train, forecast, picked, mean) / deviation, future(train, forecast, picked) / deviation
    candidates = range(2, forecast.look_back + 1)
    errors = [np.abs(after - _repeated(before, season, forecast.horizon)).mean() for season in candidates]
    season = candidates[int(np.argmin(errors))] if errors else 1
    naive = np.zeros(len(deviation))
    for block in _blocks(len(train)):
        naive += np.abs(future(train, forecast, block)[:, 0] - past(train, forecast, block, mean)[:, -season]).sum(axis=0)
    naive /= len(train)
    return Scales(mean, deviation, season, np.where(naive > 0, naive, 1.0))


def fit_forecasts(train: Side, forecast: Forecast, known: Scales) -> dict[str, Predict]:
    """Returns "last", "seasonal" and "linear", each a function from a side to forecasts of all its windows."""
    weights, intercept = _ridge(train, forecast, known)

    def linear(before: Floats) -> Floats:
        last = before[:, -1:]
        centred = ((before - last) / known.deviation).transpose(0, 2, 1)  # (windows, targets, look_back)
        return (centred @ weights + intercept).transpose(0, 2, 1) * known.deviation + last

    rules: dict[str, Callable[[Floats], Floats]] = {
        "last": lambda before: np.repeat(before[:, -1:], forecast.horizon, axis=1),
        "seasonal": lambda before: _repeated(before, known.season, forecast.horizon),
        "linear": linear,
    }

    def over(rule: Callable[[Floats], Floats]) -> Predict:
        return lambda side: np.concatenate([rule(past(side, forecast, block, known.mean)) for block in _blocks(len(side))])

    return {name: over(rule) for name, rule in rules.items()}


def by_step(y: Array, found: Mapping[str, Array], known: Scales) -> dict[str, Array]:
    """The mean absolute error of each model at each step ahead, in standard deviations of train: a table for a plot."""
    steps = {name: np.abs((y - outputs) / known.deviation).mean(axis=(0, 2)) for name, outputs in found.items()}
    return {"step": np.arange(1, y.shape[1] + 1), **steps}


def blocks_of(side: Side, length: int) -> Array:
    """Codes (windows,) of windows that start within the same `length` steps of a series.

    Windows that overlap share what they forecast, so single windows are not independent: blocks of them are drawn
    together (Künsch 1989), and should be some horizons long.
    """
    start, series = np.asarray(side.more["start"]), np.asarray(side.group)
    if not len(start):
        return start
    _, of_series = np.unique(series, return_inverse=True)
    first = np.full(of_series.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, of_series, start)
    numbers = (start - first[of_series]) // length
    codes: Array = np.unique(of_series.astype(np.int64) * (int(numbers.max()) + 1) + numbers, return_inverse=True)[1]
    return codes


def _ridge(train: Side, forecast: Forecast, known: Scales) -> tuple[Floats, Floats]:
    """Weights (look_back, horizon) and intercept (horizon,), by the normal equations; all targets count as rows."""
    targets = len(known.deviation)
    picked = _even(len(train), max(LINEAR_VALUES // (forecast.look_back * targets), 1))
    width = forecast.look_back + 1
    left, right = np.zeros((width, width)), np.zeros((width, forecast.horizon))
    for block in _blocks(len(picked)):
        before, after = past(train, forecast, picked[block], known.mean), future(train, forecast, picked[block])
        last = before[:, -1:]
        x = ((before - last) / known.deviation).transpose(0, 2, 1).reshape(-1, forecast.look_back)
        y = ((after - last) / known.deviation).transpose(0, 2, 1).reshape(-1, forecast.horizon)
        x = np.column_stack([x, np.ones(len(x))])
        left += x.T @ x
        right += x.T @ y
    penalty = np.ones(width)
    penalty[-1] = 0.0  # of the intercept
    solved = np.linalg.lstsq(left + np.diag(penalty), right, rcond=None)[0]
    return np.asarray(solved[:-1], np.float64), np.asarray(solved[-1], np.float64)


def _repeated(before: Floats, season: int, horizon: int) -> Floats:
    """The last season (windows, season, targets) over and over, `horizon` steps of it."""
    return before[:, before.shape[1] - season + np.arange(horizon) % season]


def _even(count: int, most: int) -> Array:
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def _blocks(count: int) -> list[slice]:
    return [slice(start, start + BLOCK) for start in range(0, count, BLOCK)]

"""Forecasts: a window of the past becomes all steps of the horizon at once.

Each target is a row of its own to one network that all share (channel independence: Nie et al. 2023, section 3.1), freed
from its level.  A linear map of its own past (NLinear, Zeng et al. 2023) is what there is without hidden layers; with them
it is added to what an encoder says of that past and of the channels that are no targets (Lai et al. 2018, LSTNet, section
3.6).  The linear map leaves those channels out: with as many weights again for each it fits train and little else.  Where
channels are mixed, everything sees all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from pipeline.config import ModelParams
from pipeline.data.fitted import Forecast, Number, Preprocessor, Target
from pipeline.errors import UserError
from pipeline.models.instance import Freed, FromRows, Level, Restored, ToRows, ToTarget
from pipeline.models.layers import Take
from pipeline.models.members import Members

Encode = Callable[[Any], Any]


def network(series: Any, fitted: Preprocessor, model: ModelParams, *, encode: Encode | None) -> Any:
    """Series (batch, look_back, channels) -> scaled targets (batch, horizon, targets), with members (batch, k, horizon, targets).

    Args:
        encode: (rows, look_back, channels) -> (rows, width), where there are hidden layers.
    """
    forecast = fitted.forecast
    assert forecast is not None
    past, others = _channels(fitted, forecast)
    own = ToTarget([_scale(fitted.numbers[at], at, target) for at, target in zip(past, forecast.targets, strict=True)], name="past")(series)
    level, spread = Level(model.centering, name="level")(own)
    own = Freed(name="freed")(own, level, spread)  # (batch, look_back, targets)
    beside = Take(others, name="others")(series) if others else None
    count = len(past)
    if model.channel_mixing:
        rows = seen = own if beside is None else keras.layers.Concatenate(name="channels")([own, beside])
        outputs = forecast.horizon * count
    else:
        seen = ToRows(name="own")(own)  # (batch * targets, look_back, 1)
        rows = seen if beside is None or encode is None else ToRows(name="rows")(own, beside)  # (batch * targets, look_back, 1 + others)
        outputs = forecast.horizon
    y = _steps(keras.layers.Flatten(name="window")(seen), outputs, model, name="linear")
    if encode is not None:
        y = keras.layers.Add(name="steps")([y, _steps(encode(rows), outputs, model, name="head")])
    members = (model.members,) if model.members > 1 else ()
    if model.channel_mixing:
        y = keras.layers.Reshape((*members, forecast.horizon, count), name="horizon")(y)
    else:
        y = FromRows(count, name="horizon")(y)
    return Restored(name="output")(y, level, spread)


def _steps(x: Any, outputs: int, model: ModelParams, *, name: str) -> Any:
    """(rows, width) -> (rows, [k,] outputs), each member with signs and a map of its own."""
    if model.members == 1:
        return keras.layers.Dense(
            outputs, kernel_initializer="zeros" if name == "linear" else "glorot_uniform", dtype="float32", name=name
        )(x)
    x = Members(model.members, name=f"{name}_members")(x)
    start = keras.initializers.VarianceScaling(model.members, "fan_in")
    equation = ("bkf,kfo->bko", (model.members, outputs))
    return keras.layers.EinsumDense(*equation, bias_axes="ko", kernel_initializer=start, dtype="float32", name=name)(x)


def _channels(fitted: Preprocessor, forecast: Forecast) -> tuple[list[int], list[int]]:
    """The channel of each target's past, and those of everything else."""
    places = {number.column: at for at, number in enumerate(fitted.numbers) if number.part == "value"}
    if lacking := [target.column for target in forecast.targets if target.column not in places]:
        raise UserError(f"data.target: {', '.join(lacking)} is no number column, so its past cannot be seen")
    past = [places[target.column] for target in forecast.targets]
    return past, [at for at in range(len(fitted.numbers)) if at not in past]


def _scale(number: Number, at: int, target: Target) -> dict[str, Any]:
    """What `ToTarget` has to know of a target and the channel of its past."""
    learnt = {name: getattr(number, name) for name in ("center", "scale", "log")}
    learnt |= {"knots": list(number.knots), "ranks": list(number.ranks)}
    wanted = {"transform": target.transform, "mean": target.mean, "std": target.std, "unit": target.unit}
    return {"at": at, **learnt, **wanted, "to_center": target.center, "to_scale": target.scale}

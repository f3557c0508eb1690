"""What the encoders share: initialization, normalization, residual connections with stochastic depth."""

from __future__ import annotations

from typing import Any

import keras

from pipeline.config import ModelParams
from pipeline.errors import UserError
from pipeline.models.steps import StepNormalization


def initializer(model: ModelParams, activation: str | None = None) -> str:
    """The initialization of a kernel before this activation (by default the model's).

    `auto` keeps the variance of signals through layers: He et al. 2015 for rectifiers and their smooth kin, LeCun for
    selu (Klambauer et al. 2017), Glorot & Bengio 2010 else.
    """
    if model.initializer != "auto":
        return model.initializer
    activation = activation or model.activation
    if activation == "selu":
        return "lecun_normal"
    return "he_normal" if activation in ("relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "swish", "mish") else "glorot_uniform"


def widths(model: ModelParams, layers: int, usual: int) -> list[int]:
    """Units of each of so many layers: `model.width` for all, or one each where it is a list.

    Raises:
        UserError: the list has more widths than layers, or fewer.
    """
    if not isinstance(model.width, tuple):
        return [model.width or usual] * layers
    if len(model.width) != layers:
        raise UserError(f"model.width: expected one width, or a list of {layers}, one for each layer, got a list of {len(model.width)}")
    return list(model.width)


def one_width(model: ModelParams, usual: int, *, at: int = 0) -> int:
    """`model.width` where one is needed; of a list the one at a place."""
    if isinstance(model.width, tuple):
        return model.width[at] if model.width else usual
    return model.width or usual


def normalized(x: Any, model: ModelParams, *, auto: str, name: str, mask: Any = None) -> Any:
    """x normalized as `model.normalization` says (auto: as the family does); statistics of a batch are of the steps in the mask."""
    kind = auto if model.normalization == "auto" else model.normalization
    if kind == "none":
        return x
    if kind == "layer":
        return keras.layers.LayerNormalization(epsilon=1e-5, name=name)(x)
    # at 0.9 the moving statistics follow within some tens of steps: small data train for few
    settings = {"momentum": 0.9, "epsilon": 1e-5, "name": name}
    return keras.layers.BatchNormalization(**settings)(x) if mask is None else StepNormalization(**settings)(x, mask=mask)


def activated(x: Any, model: ModelParams, *, name: str) -> Any:
    return keras.layers.Activation(model.activation, name=name)(x)


def dropped(x: Any, model: ModelParams, *, name: str) -> Any:
    """x with `model.dropout` of its units dropped in training."""
    return keras.layers.Dropout(model.dropout, name=name)(x)


def added(x: Any, branch: Any, model: ModelParams, *, at: int, of: int, name: str) -> Any:
    """x + branch, the branch left out for a share of rows that grows to `model.stochastic_depth` (Huang et al. 2016).

    Args:
        at: the number of this block, from 1; of: the number of blocks.
    """
    if rate := model.stochastic_depth * at / of:
        one_a_row = (None, *[1] * (len(branch.shape) - 1))
        branch = keras.layers.Dropout(rate, noise_shape=one_a_row, name=f"{name}_depth")(branch)
    return keras.layers.Add(name=name)([x, branch])

"""The optimizer, and what params.yaml asks of weights: decay, penalties, a moving average."""

from __future__ import annotations

from typing import Any

import keras

from pipeline.config import TrainParams
from pipeline.errors import UserError


def optimizer(params: TrainParams, network: keras.Model) -> keras.optimizers.Optimizer:
    """The optimizer for a network; `schedules` gives its learning rate for each step, decay falls on kernels alone.

    Raises:
        UserError: Keras knows no such optimizer, or it refuses its settings.
    """
    average = {"use_ema": True, "ema_momentum": params.ema} if params.ema else {}
    settings = {"learning_rate": params.learning_rate, "weight_decay": params.weight_decay, "clipnorm": params.clipnorm}
    try:
        if taken := set(params.optimizer_config) & {*settings, "use_ema", "ema_momentum", "gradient_accumulation_steps"}:
            raise ValueError(f"{', '.join(sorted(taken))} of optimizer_config: set the key of train instead")
        config = {**settings, **average, **params.optimizer_config}
        made = keras.optimizers.get({"class_name": params.optimizer, "config": config})
    except (ValueError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"train.optimizer: {params.optimizer!r} cannot be made by Keras {keras.__version__}: {reason}") from None
    if params.weight_decay:
        made.exclude_from_weight_decay(var_list=[v for v in network.trainable_variables if not is_kernel(v)])
    half = any(layer.dtype_policy.name == "mixed_float16" for layer in network._flatten_layers())
    return keras.optimizers.LossScaleOptimizer(made) if half else made


def penalize(network: keras.Model, params: TrainParams) -> None:
    """Put the penalties l1 and l2 on kernels; they stay with the variables and are not saved."""
    if params.l1 or params.l2:
        for variable in filter(is_kernel, network.trainable_variables):
            variable.regularizer = keras.regularizers.L1L2(params.l1, params.l2)


def is_kernel(variable: Any) -> bool:
    """Whether a variable multiplies inputs: not a bias, an embedding, or a normalization's or member's scale."""
    return variable.name.endswith("kernel")

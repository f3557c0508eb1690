"""Settings that compiled steps read from variables, so that trainings which differ in them alone share their graphs (TensorFlow's)."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
from keras import ops

from pipeline.config import ModelParams, TrainParams


class Live:
    """The rate of dropout and the weight decay of a network with its optimizer; what comes of them is the same to the bit."""

    def __init__(self, network: keras.Model, optimizer: Any) -> None:
        # in double precision, rounded where they are used, as numbers in the code would be
        self._rate, self._scale, self._decay = (keras.Variable(0.0, dtype="float64", trainable=False) for _ in range(3))
        for layer in network._flatten_layers():
            if type(layer) is keras.layers.Dropout and layer.noise_shape is None and layer.rate:
                layer.call = partial(self._dropped, layer)
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        if optimizer.weight_decay:
            optimizer.weight_decay = self._decay.value  # not the Keras variable, which would become one of the optimizer's

    def set(self, model: ModelParams, params: TrainParams) -> None:
        """Take the values of these sections."""
        for variable, value in ((self._rate, model.dropout), (self._scale, 1 / (1 - model.dropout)), (self._decay, params.weight_decay)):
            variable.assign(value or 0.0)

    def _dropped(self, layer: Any, inputs: Any, training: bool = False) -> Any:
        """What the layer's own `call` gives."""
        if not training:
            return inputs
        drawn = keras.random.uniform(ops.shape(inputs), dtype=inputs.dtype, seed=layer.seed_generator)
        rate, scale = (ops.cast(value, inputs.dtype) for value in (self._rate, self._scale))
        return ops.where(drawn >= rate, inputs * scale, ops.zeros_like(inputs))

"""Ensembles: several networks that answer as one."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np


def seeds(seed: int, count: int) -> list[int]:
    """A seed for each network, the first being `seed` itself."""
    return [seed, *(int(np.random.SeedSequence((seed, at)).generate_state(1)[0]) >> 1 for at in range(1, count))]


def mean(networks: Sequence[keras.Model]) -> keras.Model:
    """One network of the same inputs that gives the mean of their outputs (Lakshminarayanan et al. 2017); of one, itself."""
    if len(networks) == 1:
        return networks[0]
    inputs = {tensor.name: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=tensor.name) for tensor in networks[0].inputs}
    parts = []
    for at, network in enumerate(networks):
        network.name = f"network_{at}"
        parts.append(network(inputs))
    return keras.Model(inputs, keras.layers.Average(name="ensemble", dtype="float32")(parts), name="model")

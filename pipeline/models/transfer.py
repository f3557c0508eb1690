"""Transfer: start from the weights of another network, keep some of them, or learn only adapters beside them."""

from __future__ import annotations

import fnmatch
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pipeline.config import TrainParams
from pipeline.errors import UserError

log = logging.getLogger(__name__)


def prepare(network: keras.Model, params: TrainParams) -> None:
    """Put in the weights of train.start_from, then freeze layers or give them adapters.

    Raises:
        UserError: the file cannot be read or no layer of it fits, a pattern of train.freeze matches none, or an adapter none.
    """
    if params.start_from:
        _copy(Path(params.start_from), network)
    frozen = []
    for pattern in params.freeze:
        matched = [layer for layer in network.layers if layer.weights and fnmatch.fnmatchcase(layer.name, pattern)]
        if not matched:
            known = ", ".join(layer.name for layer in network.layers if layer.weights)
            raise UserError(f"train.freeze: no layer is called {pattern!r}; the network has {known}")
        frozen += matched
    if params.lora_rank and not frozen:
        raise UserError("train.lora_rank: adapters stand beside frozen layers; name those in train.freeze, as in ['*']")
    for layer in frozen:
        if not (params.lora_rank and _adapt(layer, params.lora_rank)):
            layer.trainable = False
    if params.lora_rank and not any(_adapted(layer) for layer in frozen):
        raise UserError(f"train.lora_rank: none of {', '.join(layer.name for layer in frozen)} can have an adapter")
    if frozen and not network.trainable_variables:
        raise UserError("train.freeze: every layer is frozen, nothing is left to learn; leave out the output or set train.lora_rank")


def _copy(file: Path, network: keras.Model) -> None:
    import pipeline.models.layers  # noqa: F401  (what a saved network is made of)

    try:
        source = keras.models.load_model(file, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"train.start_from: {file} cannot be read as a network: {str(error).splitlines()[0]}") from None
    theirs: dict[str, Any] = {}
    for layer in _layers(source):
        theirs.setdefault(layer.name, layer)
    weighted = [layer for layer in network.layers if layer.weights]
    fitting = [layer for layer in weighted if layer.name in theirs and _shapes(layer) == _shapes(theirs[layer.name])]
    for layer in fitting:
        layer.set_weights(theirs[layer.name].get_weights())
    left = [layer.name for layer in weighted if layer not in fitting]
    if not fitting:
        raise UserError(f"train.start_from: no layer of {file} has the name and shape of one of {', '.join(left)}")
    log.info("%d layers start from %s%s", len(fitting), file, f"; anew: {', '.join(left)}" if left else "")


def _layers(network: keras.Model) -> Iterator[Any]:
    """The layers of a network, those of networks inside it (an ensemble's) included."""
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from _layers(layer)
        else:
            yield layer


def _shapes(layer: Any) -> list[tuple[int, ...]]:
    return [tuple(weight.shape) for weight in layer.weights]


def _adapt(layer: Any, rank: int) -> bool:
    """Put adapters (Hu et al. 2022, "LoRA") beside the kernels of a layer and of those it is made of; they alone learn."""
    able = [part for part in layer._flatten_layers() if hasattr(part, "enable_lora")]
    for part in able:
        part.enable_lora(rank)
    for variable in layer.trainable_variables if able else ():
        variable.trainable = "lora" in variable.name
    return bool(able)


def _adapted(layer: Any) -> bool:
    return any(getattr(part, "lora_enabled", False) for part in layer._flatten_layers())


def weights(network: keras.Model, plain: keras.Model) -> list[np.ndarray]:
    """The weights of a network for `plain`, the same network without adapters: these are merged into the kernels."""
    if not any(_adapted(layer) for layer in network.layers):
        return [np.array(weight) for weight in network.get_weights()]  # copies: training goes on
    with tempfile.TemporaryDirectory() as folder:  # Keras merges when it saves
        file = Path(folder) / "merged.weights.h5"
        network.save_weights(file)
        plain.load_weights(file)
    return plain.get_weights()

"""Encoders of the user's own: `encode(x)` takes the place of a family for one group of inputs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import keras

from pipeline import extensions
from pipeline.errors import UserError
from pipeline.models import own_files
from pipeline.models.own_layers import register

EXAMPLE = "encode(x, *, units=64) or, for inputs of steps, encode(x, mask, *, units=64)"


def encoder(kind: str, path: str) -> extensions.Extension:
    """The user's file for a group of inputs, its layers known to Keras.

    Raises:
        UserError: it is not where encoders lie, fails, or its function takes other arguments.
    """
    file = own_files.placed({kind: path})[kind]
    found = extensions.load(file, "encode", EXAMPLE, given=1, optional=("mask",))
    register(found.module)
    return found


def encoded(found: extensions.Extension, x: Any, mask: Any, options: Mapping[str, Any], *, group: str) -> Any:
    """What the user's function makes of a group of inputs: (batch, width).

    Args:
        mask: (batch, steps) whether a step is there, for texts and sequences.
        group: with its name those of the layers begin.

    Raises:
        UserError: it fails, gives another shape, or makes what cannot be saved.
    """
    given = {"mask": mask} if "mask" in found.options else {}
    y = found(x, **given, **{name: value for name, value in options.items() if name in found.options})
    shape = getattr(y, "shape", None)
    if not isinstance(y, keras.KerasTensor) or len(y.shape) != 2 or y.shape[1] is None:
        came = f"shape {_shown(shape)}" if shape is not None else type(y).__name__
        raise found.mistake(f"expected encode() to return (batch, width), got {came} for {group} inputs of shape {_shown(x.shape)}")
    layers = _layers(y, [x, mask])
    if lambdas := [layer.name for layer in layers if isinstance(layer, keras.layers.Lambda)]:
        raise found.mistake(
            f"the layer {lambdas[0]} is a Lambda, which is not loaded from a saved model; write it as a class of keras.layers.Layer"
        )
    _name(layers, group)
    return y


def check_options(options: Collection[str], encoders: Iterable[extensions.Extension]) -> None:
    """Each setting is one of some encoder's.

    Raises:
        UserError: one is not.
    """
    known = sorted({name for one in encoders for name in one.options} - {"x", "mask"})
    if unknown := sorted(set(options) - set(known)):
        raise UserError(f"model.options.{unknown[0]}: no encoder takes it; theirs are {', '.join(known) or 'none'}")


def check_saved(network: keras.Model, encoders: Iterable[extensions.Extension]) -> None:
    """The network can be made again from what is saved of it.

    Raises:
        UserError: it cannot, mostly since a layer does not tell its settings.
    """
    try:
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network), safe_mode=True)
    except Exception as error:
        files = ", ".join(str(one.file) for one in encoders)
        first = (str(error).strip().splitlines() or [""])[0]
        raise UserError(
            f"{files}: the network cannot be loaded once it is saved ({type(error).__name__}: {first[:300]}); "
            "a layer with settings of its own tells them in get_config()"
        ) from error


def register_trained(told: Mapping[str, Mapping[str, str]]) -> None:
    """Make known what a trained network needs before it is loaded.

    Raises:
        UserError: as `trained`.
    """
    for file in own_files.trained(told).values():
        register(extensions.run(file))


def _layers(y: Any, given: Iterable[Any]) -> list[Any]:
    """The layers between what an encoder was given and what it returned, the last one first."""
    found, todo, seen = [], [y], {id(tensor) for tensor in given}
    while todo:
        tensor = todo.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        operation = tensor._keras_history.operation
        if operation not in found:
            found.append(operation)
        todo += operation._inbound_nodes[tensor._keras_history.node_index].input_tensors
    return found


def _name(layers: Sequence[Any], group: str) -> None:
    """Names that do not depend on what else this process has built: Keras counts layers without a name through a whole process."""
    counts: Counter[str] = Counter()
    for layer in reversed(layers):
        base = re.sub(r"_\d+$", "", layer.name)
        counts[base] += 1
        layer.name = f"{group}_{base}" if counts[base] == 1 else f"{group}_{base}_{counts[base]}"


def _shown(shape: Any) -> str:
    return "(" + ", ".join(["batch", *("?" if size is None else str(size) for size in shape[1:])]) + ("," if len(shape) == 1 else "") + ")"

"""What was built, in figures: parameters, floating-point operations per row, memory of training.

FLOPs count a multiplication and an addition as two, in products with kernels, convolutions and attention alone, as is
usual; what goes element by element is left out.
"""

from __future__ import annotations

import math
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from pipeline.config import ModelParams
from pipeline.data.fitted import Preprocessor
from pipeline.errors import UserError
from pipeline.models.families import groups
from pipeline.models.instance import FromRows, ToRows
from pipeline.models.members import MemberDense
from pipeline.resources import machine_memory

SLOTS = 2  # moments that Adam and its kin keep of each weight
GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}
RUNTIME = 700_000_000  # bytes that TensorFlow itself takes


def explain(network: keras.Model, fitted: Preprocessor, batch_size: int, model: ModelParams | None = None) -> dict[str, Any]:
    """Figures of a network before it is trained.

    Args:
        model: names the encoder of each group of inputs, where given.

    Returns:
        summary (text), parameters, trainable, flops (of one row forward), memory (bytes of training at this batch size:
        weights, gradients, optimizer and best weights; activations forward and back), and its parts; encoders.
    """
    weights = _bytes(network.weights)
    trainable = _bytes(network.trainable_weights)
    row = sum(times * _row_bytes(operation) for operation, times in _repeated(network))
    activations = 2 * batch_size * row  # kept for the way back, and their gradients
    found: dict[str, Any] = {
        "summary": summary(network),
        "parameters": network.count_params(),
        "trainable": sum(map(_size, network.trainable_weights)),
        "flops": flops(network),
        "memory": 2 * weights + (1 + SLOTS) * trainable + activations,
        "memory_weights": 2 * weights + (1 + SLOTS) * trainable,
        "memory_activations": activations,
        "batch_size": batch_size,
    }
    return found | ({"encoders": {group.name: group.read_by for group in groups(fitted, model)}} if model else {})


def summary(network: keras.Model) -> str:
    """A line each layer: name, kind, shape of its output without the batch, parameters, FLOPs a row."""
    lines = [("layer", "kind", "output", "parameters", "flops")]
    for operation, times in _repeated(network):
        shape = "x".join(str(size) for size in operation._inbound_nodes[0].output_tensors[0].shape[1:])
        counts = operation.count_params(), times * _flops(operation)
        lines.append((operation.name, type(operation).__name__, shape, *(f"{count:,}" if count else "" for count in counts)))
    wide = [max(len(line[at]) for line in lines) for at in range(5)]
    shown = [
        "  ".join([*(text.ljust(wide[at]) for at, text in enumerate(line[:3])), *(line[at].rjust(wide[at]) for at in (3, 4))])
        for line in lines
    ]
    return "\n".join(line.rstrip() for line in shown)


def sentence(explained: dict[str, Any]) -> str:
    """The figures in words."""
    read = ", ".join(f"{name} by {family}" for name, family in explained.get("encoders", {}).items())
    return (
        f"{explained['parameters']:,} parameters{f' ({read})' if read else ''}, {_sized(explained['flops'], 'FLOP')} a row, "
        f"{_sized(explained['memory'], 'B')} of memory at batch size {explained['batch_size']}"
    )


def require_memory(explained: dict[str, Any], device: str, *, available: int | None = None) -> None:
    """Refuse a training that cannot fit.

    Args:
        device: what `device.start` gave: cpu, or the name of a GPU.
        available: bytes to fit into; by default those of this machine, or of its first GPU.

    Raises:
        UserError: it cannot fit; told with the sizes.
    """
    have = available if available is not None else machine_memory() - RUNTIME if device == "cpu" else _gpu_memory()
    if have is None or explained["memory"] <= have:
        return
    place = "this machine" if device == "cpu" else device
    fixed, moving = explained["memory_weights"], explained["memory_activations"]
    advice = (
        "train.batch_size, model.width or model.layers" if fixed <= have else "model.width or model.layers (no batch size is small enough)"
    )
    raise UserError(
        f"train: the network needs {_sized(explained['memory'], 'B')} ({_sized(fixed, 'B')} for {explained['parameters']:,} parameters, "
        f"{_sized(moving, 'B')} for a batch of {explained['batch_size']} rows), but {place} has {_sized(have, 'B')}: lower {advice}"
    )


def flops(network: keras.Model) -> int:
    """Floating-point operations for one row forward, by each layer's kernel and the shapes that it is called with."""
    return sum(times * _flops(operation) for operation, times in _repeated(network))


def _repeated(network: keras.Model) -> Iterator[tuple[Any, int]]:
    """The layers in order, each with how many vectors of its batch one row becomes: a forecast's targets are rows of their own."""
    times: dict[str, int] = {}
    for operation in network.operations:
        node = operation._inbound_nodes[0]
        sources = [
            tensor._keras_history.operation.name for tensor in node.input_tensors if tensor._keras_history.operation is not operation
        ]
        many = max((times.get(name, 1) for name in sources), default=1)
        if isinstance(operation, ToRows):
            many = node.input_tensors[0].shape[2]
        times[operation.name] = 1 if isinstance(operation, FromRows) else many
        yield operation, many


def _flops(layer: Any) -> int:
    node = layer._inbound_nodes[0]
    given = [tuple(tensor.shape) for tensor in node.input_tensors]
    out = tuple(node.output_tensors[0].shape)
    name = type(layer).__name__
    if isinstance(layer, keras.layers.Dense | MemberDense):
        return 2 * _rows(given[0]) * math.prod(layer.kernel.shape)
    if isinstance(layer, keras.layers.EinsumDense):
        return 2 * _einsum(layer.equation, given[0], tuple(layer.kernel.shape))
    if isinstance(layer, keras.layers.Conv1D | keras.layers.Conv2D):
        return 2 * math.prod(out[1:-1]) * math.prod(layer.kernel.shape)
    if isinstance(layer, keras.layers.Bidirectional):
        return 2 * _recurrent(layer.forward_layer, given[0])
    if name in GATES:
        return _recurrent(layer, given[0])
    if isinstance(layer, keras.layers.MultiHeadAttention):
        (_, queries, width), keys, wide = given[0], given[1][1], layer.num_heads * layer.key_dim
        return 2 * (2 * queries + 2 * keys) * width * wide + 4 * queries * keys * wide  # four maps, two products of tokens
    return 0


def _rows(shape: Sequence[int | None]) -> int:
    """Vectors of one row that a dense layer maps."""
    return math.prod(size for size in shape[1:-1] if size is not None)


def _recurrent(layer: Any, shape: Sequence[Any]) -> int:
    return 2 * shape[1] * GATES[type(layer).__name__] * layer.units * (shape[2] + layer.units)


def _einsum(equation: str, given: Sequence[int | None], kernel: Sequence[int]) -> int:
    """Multiplications of an einsum: the product of all its letters' sizes, the batch left out."""
    inputs = equation.split("->")[0].split(",")
    sizes = dict(zip(inputs[0], given, strict=True)) | dict(zip(inputs[1], kernel, strict=True))
    return math.prod(size for size in sizes.values() if size is not None)


def _row_bytes(layer: Any) -> int:
    """What one row leaves in memory at a layer: its output, and what recurrence and attention compute on the way."""
    if isinstance(layer, keras.layers.InputLayer | keras.layers.Reshape | keras.layers.Flatten):
        return 0
    node = layer._inbound_nodes[0]
    numbers = sum(_size(tensor) * _itemsize(tensor.dtype) for tensor in node.output_tensors)
    if isinstance(layer, keras.layers.MultiHeadAttention):
        (_, queries, width), keys = node.input_tensors[0].shape, node.input_tensors[1].shape[1]
        return numbers + _itemsize(layer.compute_dtype) * (2 * layer.num_heads * queries * keys + 4 * queries * width)
    inner = layer.forward_layer if isinstance(layer, keras.layers.Bidirectional) else layer
    return numbers * (1 + GATES.get(type(inner).__name__, 0))


def _size(tensor: Any) -> int:
    return math.prod(size for size in tensor.shape if size is not None)


def _bytes(weights: Sequence[Any]) -> int:
    return sum(_size(weight) * _itemsize(weight.dtype) for weight in weights)


def _itemsize(dtype: str) -> int:
    """Bytes of a number; numpy knows no bfloat16."""
    return 2 if dtype == "bfloat16" else np.dtype(dtype).itemsize


def _gpu_memory() -> int | None:
    """Bytes of the first GPU, as its driver tells them; None where it does not."""
    if not (tool := shutil.which("nvidia-smi")):
        return None
    asked = [tool, "--query-gpu=memory.total", "--format=csv,noheader,nounits", "--id=0"]
    told = subprocess.run(asked, capture_output=True, text=True).stdout.strip()
    return int(told) * 2**20 if told.isdigit() else None


def _sized(number: float, unit: str) -> str:
    """Three digits and a prefix: 1.25 GB."""
    for prefix in ("", "k", "M", "G", "T", "P"):
        if abs(number) < 1000 or prefix == "P":
            break
        number /= 1000
    return f"{number:.3g} {prefix}{unit}"

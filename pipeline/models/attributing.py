"""Asking a network what its score for a row rests on: by gradients where the backend is TensorFlow, else by blotting parts out.

`inputs` are arrays by the network's own names; see `evaluation.attribution` for what is made of the values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import keras
import numpy as np
from keras import ops, tree

from pipeline.data.fitted import UNKNOWN, Preprocessor
from pipeline.evaluation.metrics import Array, Floats, Ints

Inputs = Mapping[str, Array]
Kind = Literal["image", "text", "sequence", "forecast"]
Method = Literal["Grad-CAM", "integrated gradients", "occlusion"]
Score = Callable[[Sequence[Any], Any], Any]  # a network's inputs in its order, and the rows' classes -> (rows,) scores

STEPS = (32, 128, 512)  # points of the path from baseline to row: more only for rows whose gap is still too large
CLOSE = 0.02  # gap that needs no more points
VALUES, ROWS = 2**19, 32  # of one input, and rows, that are asked at once
CELLS = 8  # parts of a side of a picture that are blotted out, one after the other
RUNS = 64  # parts of a sequence that are blotted out
NOTHING = 1e-4  # a score that is no more than rounding
TINY = 1e-30  # probability below which log odds stay


@dataclass(frozen=True)
class Attributed:
    """values (rows, ...) and difference (rows,) in the network's own scale, heat not yet from 0 to 1."""

    values: Floats
    method: Method
    difference: Floats


@dataclass(frozen=True)
class Asked:
    """One network, and the rows that it is asked about."""

    network: keras.Model
    fitted: Preprocessor
    inputs: Inputs
    classes: Ints

    def input(self, name: str) -> Any:
        return next(tensor for tensor in self.network.inputs if tensor.name == name)

    def given(self, rows: Ints) -> list[Any]:
        """The inputs of these rows, in the network's order."""
        return [np.asarray(self.inputs[tensor.name])[rows] for tensor in self.network.inputs]

    def from_inputs(self, *beside: Any) -> tuple[Any, Score]:
        """A network from its inputs to `beside` (tensors inside) and its ending; and the score of the ending."""
        ending, score = self._ending()
        return keras.Model(self.network.inputs, [*beside, ending]), score

    def from_inside(self, tensor: Any) -> tuple[Any, Score]:
        """A network from its inputs and a tensor inside, which is no longer computed, to its ending; and the score."""
        ending, score = self._ending()
        return keras.Model([*self.network.inputs, tensor], ending), score

    def _ending(self) -> tuple[Any, Score]:
        """The output, or what a last sigmoid is taken of: close to 1 its probability has no digits and no gradient left."""
        output = self.network.outputs[0]
        for last in self.network.layers if self.fitted.task == "binary" else ():
            if type(last) is keras.layers.Dense and last.output is output and last.activation is keras.activations.sigmoid:
                plain = keras.layers.Dense(last.units, use_bias=last.use_bias, kernel_initializer="zeros", dtype="float32")
                logit = plain(last.input)
                plain.set_weights(last.get_weights())
                return logit, lambda raw, classes: raw[:, 0] * (2.0 * ops.cast(classes, raw.dtype) - 1.0)
        return output, self._score

    def _score(self, raw: Any, classes: Any) -> Any:
        """(rows, ...) outputs -> (rows,); members are averaged first."""
        task = self.fitted.task
        if len(raw.shape) > (3 if task == "forecast" else 2):
            raw = ops.mean(raw, axis=1)
        if not self.fitted.target.classes:
            return ops.mean(ops.reshape(raw, (-1, int(np.prod(raw.shape[1:])))), axis=1)
        p = ops.concatenate([1.0 - raw, raw], axis=1) if task == "binary" else raw
        own = ops.one_hot(classes, p.shape[1], dtype=p.dtype)
        share, rest = ops.sum(p * own, axis=1), ops.sum(p * (1.0 - own), axis=1)  # 1 - share would round to 0
        floor = 1e-7 if task == "binary" else TINY
        return ops.log(ops.maximum(share, floor)) - ops.log(ops.maximum(rest, floor))


def networks(network: keras.Model) -> list[Any]:
    """The networks of an ensemble, else the network itself."""
    inner = [layer for layer in network.layers if isinstance(layer, keras.Model)]
    others = [layer for layer in network.layers if not isinstance(layer, (keras.Model, keras.layers.InputLayer))]
    return inner if inner and [type(layer) for layer in others] == [keras.layers.Average] else [network]


def explain(asked: Asked, kind: Kind, name: str) -> Attributed:
    if keras.backend.backend() == "tensorflow":
        if kind == "image" and (features := _last_map(asked.network, asked.input(name))) is not None:
            return _grad_cam(asked, features, asked.inputs[name].shape[1:3])
        if kind == "text" and (embedded := _embedded(asked.network, asked.input(name))) is not None:
            return _of_tokens(asked, name, embedded)
        if kind in ("sequence", "forecast"):
            return _of_steps(asked, name)
    return {"image": _blotted_picture, "text": _blotted_tokens}.get(kind, _blotted_steps)(asked, name)


def _last_map(network: keras.Model, picture: Any) -> Any | None:
    """The last tensor (batch, height, width, channels) after a convolution, through which all goes that is seen of the picture.

    None where there is none, or where positions are still told apart after it, as by a transformer of patches; and where a
    layer is used more than once: `input` and `output` tell of its first use alone.
    """
    known = {id(tensor) for layer in network.operations for tensor in tree.flatten(layer.output)}
    if any(id(tensor) not in known for layer in network.operations for tensor in tree.flatten(layer.input)):
        return None
    convolved, best = set[int](), None
    for layer in network.operations:
        given, made = tree.flatten(layer.input), tree.flatten(layer.output)
        learns = isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D, keras.layers.SeparableConv2D))
        if any(id(tensor) in convolved for tensor in given) or (learns and _reached(network, picture, given)):
            convolved |= {id(tensor) for tensor in made}
            spatial = [one for one in made if len(one.shape) == 4 and one.shape[1] * one.shape[2] > 1]
            if spatial and not _reached(network, picture, network.outputs, without=spatial[0]):
                best = spatial[0]
    if best is None:
        return None
    places = best.shape[1] * best.shape[2]
    after = [tensor for layer in network.operations for tensor in tree.flatten(layer.output) if _reached(network, best, [tensor])]
    return None if any(len(tensor.shape) == 3 and tensor.shape[1] == places for tensor in after) else best


def _reached(network: keras.Model, start: Any, ends: Sequence[Any], without: Any = None) -> bool:
    """Whether anything of `ends` is computed from `start`, on a way that leaves out one tensor."""
    reached = {id(start)}
    for layer in network.operations:
        if not isinstance(layer, keras.layers.InputLayer) and any(id(tensor) in reached for tensor in tree.flatten(layer.input)):
            reached |= {id(tensor) for tensor in tree.flatten(layer.output) if tensor is not without}
    return any(id(tensor) in reached for tensor in ends)


def _embedded(network: keras.Model, tokens: Any) -> Any | None:
    """What the one embedding of these token ids gives, (batch, tokens, width)."""
    found = [layer.output for layer in network.layers if isinstance(layer, keras.layers.Embedding) and layer.input is tokens]
    return found[0] if len(found) == 1 else None


# -- by gradients


def _gradients(model: Any, score: Score, at: int | None) -> Callable[[list[Any], Ints], tuple[Floats, Floats, Floats]]:
    """A function from a model's inputs and classes to scores (rows,), the point and the gradient there (rows, ...).

    Args:
        at: the input by which is derived; None where the model gives that tensor as its first output.
    """
    import tensorflow as tf

    def asked(given: list[Any], classes: Any) -> Any:
        with tf.GradientTape() as tape:
            if at is not None:
                tape.watch(given[at])
            made = tree.flatten(model(given, training=False))
            point = made[0] if at is None else given[at]
            scores = score(made[-1], classes)
        return scores, point, tape.gradient(scores, point, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    ask = asked if at is None else tf.function(asked)  # a trace pays where many points are asked

    def batched(given: list[Any], classes: Ints) -> tuple[Floats, Floats, Floats]:
        rows, values = len(classes), max(int(np.prod(one.shape[1:])) for one in given)
        size = max(1, min(ROWS, VALUES // max(values, 1)))
        parts = []
        for begin in range(0, rows, size):
            some = np.minimum(np.arange(begin, begin + size), rows - 1)  # the last is as large: one trace does
            made = ask([tf.convert_to_tensor(one[some]) for one in given], tf.convert_to_tensor(classes[some], tf.int32))
            parts.append([np.asarray(one, np.float64)[: rows - begin] for one in made])
        scores, points, gradients = (np.concatenate(some) for some in zip(*parts, strict=True))
        return scores, points, gradients

    return batched


def _grad_cam(asked: Asked, features: Any, size: tuple[int, int]) -> Attributed:
    """The channels of the map, weighed by the mean gradient of the score by them; what is above 0 (equations 1 and 2)."""
    model, score = asked.from_inputs(features)
    rows = np.arange(len(asked.classes))
    _, maps, gradients = _gradients(model, score, None)(asked.given(rows), asked.classes)
    heat = np.maximum(np.einsum("nhwc,nc->nhw", maps, gradients.mean(axis=(1, 2))), 0.0)
    large = ops.image.resize(ops.convert_to_tensor(heat[..., None].astype(np.float32)), size, interpolation="bilinear")
    return Attributed(ops.convert_to_numpy(large)[..., 0].astype(np.float64), "Grad-CAM", np.full(len(rows), np.nan))


def _of_tokens(asked: Asked, name: str, embedded: Any) -> Attributed:
    rows = np.arange(len(asked.classes))
    points = keras.Model(asked.input(name), embedded)(ops.convert_to_tensor(np.asarray(asked.inputs[name])), training=False)
    x = ops.convert_to_numpy(points).astype(np.float32)  # (rows, tokens, width)
    model, score = asked.from_inside(embedded)
    gradients = _gradients(model, score, len(asked.network.inputs))

    def ask(points: Array, rows: Ints) -> tuple[Floats, Floats]:
        scores, _, gradient = gradients([*asked.given(rows), points], asked.classes[rows])
        return scores, gradient

    values, difference = _integrated(ask, x, np.zeros_like(x), rows)
    return Attributed(np.where(asked.inputs[name] != 0, values.sum(axis=2), 0.0), "integrated gradients", difference)


def _of_steps(asked: Asked, name: str) -> Attributed:
    model, score = asked.from_inputs()
    at = [tensor.name for tensor in asked.network.inputs].index(name)
    gradients = _gradients(model, score, at)

    def ask(points: Array, rows: Ints) -> tuple[Floats, Floats]:
        given = asked.given(rows)
        given[at] = points
        scores, _, gradient = gradients(given, asked.classes[rows])
        return scores, gradient

    x = np.asarray(asked.inputs[name], np.float32)
    values, difference = _integrated(ask, x, _baseline(asked, name), np.arange(len(x)))
    return Attributed(values, "integrated gradients", difference)


def _baseline(asked: Asked, name: str) -> Array:
    """Zeros, which are train's center; flags of missing values, and what lies past a sequence's end, as they are."""
    x = np.asarray(asked.inputs[name], np.float32)
    kept = [number.part == "missing" for number in asked.fitted.numbers] if asked.fitted.forecast else [False] * x.shape[2]
    base = np.where(kept, x, np.float32(0))
    if asked.fitted.sequence:
        length = np.asarray(asked.inputs["sequence_length"]).reshape(-1, 1, 1)
        base = np.where(np.arange(x.shape[1])[:, None] < length, base, x)
    return base


def _integrated(ask: Callable[[Array, Ints], tuple[Floats, Floats]], x: Array, base: Array, rows: Ints) -> tuple[Floats, Floats]:
    """Attributions (rows, ...) along the straight path from base to x, and by how much the score changes on it (rows,)."""
    values = np.zeros(x.shape)
    difference = ask(x, rows)[0] - ask(base, rows)[0]
    left = rows
    for steps in STEPS:
        if not len(left):
            break
        places, weights = np.polynomial.legendre.leggauss(steps)
        for row in left.tolist():  # a path at a time: no more than one is held
            shares = ((places + 1) / 2).reshape(-1, *[1] * (x.ndim - 1)).astype(np.float32)
            _, gradient = ask(base[row] + shares * (x[row] - base[row]), np.full(steps, row))
            values[row] = (x[row] - base[row]) * np.tensordot(weights / 2, gradient, axes=1)
        left = rows[gap_of(values, difference) > CLOSE]
    return values, difference


def gap_of(values: Floats, difference: Floats) -> Floats:
    """By how much attributions (rows, ...) miss the difference (rows,), as a share of all that is attributed."""
    flat = values.reshape(len(values), -1)
    whole = np.maximum(np.abs(flat).sum(axis=1), np.abs(difference))
    return np.abs(flat.sum(axis=1) - difference) / np.maximum(whole, NOTHING)


# -- by predictions alone


def _losses(asked: Asked, name: str, changes: Sequence[Callable[[Array], Array]]) -> Floats:
    """What the score loses by each change of an input: (rows, changes)."""
    model, score = asked.from_inputs()
    rows = np.arange(len(asked.classes))
    at = [tensor.name for tensor in asked.network.inputs].index(name)

    def ask(given: list[Any]) -> Floats:
        raw = ops.convert_to_tensor(tree.flatten(model.predict_on_batch(given))[-1])
        return ops.convert_to_numpy(score(raw, ops.convert_to_tensor(asked.classes.astype(np.int32)))).astype(np.float64)

    given = asked.given(rows)
    x, whole = given[at], ask(given)
    return np.stack([whole - ask([*given[:at], change(x), *given[at + 1 :]]) for change in changes], axis=1)


def _blotted_picture(asked: Asked, name: str) -> Attributed:
    x = asked.inputs[name]
    down, across = (edges(side, CELLS) for side in x.shape[1:3])
    mean = x.mean(axis=(1, 2), keepdims=True).astype(x.dtype)

    def without(part: tuple[slice, slice]) -> Callable[[Array], Array]:
        def change(pictures: Array) -> Array:
            changed = np.array(pictures)
            changed[:, part[0], part[1]] = mean
            return changed

        return change

    cells = [(slice(*tall), slice(*wide)) for tall in down for wide in across]
    losses = np.maximum(_losses(asked, name, [without(cell) for cell in cells]), 0.0)
    heat = np.zeros(x.shape[:3])
    for cell, loss in zip(cells, losses.T, strict=True):
        heat[:, cell[0], cell[1]] = loss[:, None, None]
    return Attributed(heat, "occlusion", np.full(len(x), np.nan))


def _blotted_tokens(asked: Asked, name: str) -> Attributed:
    ids = np.asarray(asked.inputs[name])
    last = int((ids != 0).any(axis=0).nonzero()[0].max(initial=-1)) + 1  # no row has more tokens
    here = np.arange(ids.shape[1])
    changes = [lambda given, at=at: np.where((here == at) & (given != 0), np.int32(UNKNOWN), given) for at in range(last)]
    values = np.zeros(ids.shape)
    if changes:
        values[:, :last] = _losses(asked, name, changes)
    return Attributed(np.where(ids != 0, values, 0.0), "occlusion", np.full(len(ids), np.nan))


def _blotted_steps(asked: Asked, name: str) -> Attributed:
    base = _baseline(asked, name)
    runs = edges(base.shape[1], RUNS)

    def without(begin: int, end: int, channel: int) -> Callable[[Array], Array]:
        def change(steps: Array) -> Array:
            changed = np.array(steps)
            changed[:, begin:end, channel] = base[:, begin:end, channel]
            return changed

        return change

    asks = [(begin, end, channel) for begin, end in runs for channel in range(base.shape[2])]
    losses = _losses(asked, name, [without(*one) for one in asks])
    values = np.zeros(base.shape)
    for (begin, end, channel), loss in zip(asks, losses.T, strict=True):
        values[:, begin:end, channel] = loss[:, None] / (end - begin)  # a run's steps have equal parts
    return Attributed(values, "occlusion", np.full(len(base), np.nan))


def edges(length: int, most: int) -> list[tuple[int, int]]:
    """At most `most` parts of nearly equal length, each from its first place to one past its last."""
    at = np.linspace(0, length, min(length, most) + 1).round().astype(int).tolist()
    return list(pairwise(at))

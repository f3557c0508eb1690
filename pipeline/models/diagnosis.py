"""Diagnosis: whether gradients reach the input, weights move at a sane pace, and units answer at all; in numbers and in words."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import ops

from pipeline.models.feeding import Feed
from pipeline.models.optimization import is_kernel
from pipeline.models.stepping import Stepper

PROBED = 256  # rows looked at, at most
VANISHED = 1e-3  # of the largest mean gradient of a layer after it
RESTLESS, STILL = 0.1, 1e-6  # largest ratio of update to weight: beyond, training jumps about or stands
DEAD = 0.5  # share of a layer's units
CONSTANT = 1e-6  # of a unit's largest value: differs less over a batch

Look = dict[str, dict[str, float]]


class Diagnosis:
    """Looks at a network in training, on a few rows that stay the same; nothing changes by it."""

    def __init__(self, network: keras.Model, stepper: Stepper, rows: Feed, *, seed: int) -> None:
        self.network, self.stepper = network, stepper
        few = min(len(rows), PROBED, stepper.batch)
        self.batch = rows.take(np.sort(np.random.default_rng(seed).choice(len(rows), few, replace=False)))
        self.names = [_layer(variable.path) for variable in self.network.trainable_variables]
        self.units = _hidden(self.network)
        ends = [f(output, axis=list(range(len(output.shape) - 1))) for output in self.units.values() for f in (ops.min, ops.max)]
        self._answers = keras.Model(self.network.inputs, ends) if ends else None

    def look(self) -> Look:
        """By layer, in order from the input: norm and root mean square of the gradient of its kernels and their ratio of update to
        weight, and the share of its units that give the same for every row of the batch.
        """
        batch = self.batch
        probe, found = self.stepper.probe(batch.x, batch.y, batch.weight), Look()
        for at, (name, variable) in enumerate(zip(self.names, self.network.trainable_variables, strict=True)):
            if is_kernel(variable):
                norm, ratio = float(probe.gradient[at]), float(probe.update[at] / (probe.weight[at] + 1e-12))
                row = {"gradient_norm": norm, "gradient_rms": norm / float(np.sqrt(np.prod(variable.shape))), "update_ratio": ratio}
                known = found.get(name, row)
                found[name] = {key: max(value, known[key]) for key, value in row.items()}  # a layer of several kernels
        if self._answers is not None:
            answered = self._answers.predict_on_batch(batch.x)
            for name, low, high in zip(self.units, answered[::2], answered[1::2], strict=True):
                same = (high - low) <= CONSTANT * np.maximum(np.abs(low), np.abs(high))
                found.setdefault(name, {})["dead"] = float(same.mean())
        return found


def _layer(path: str) -> str:
    """The layer that holds a variable, as its path says: `hidden_1/kernel`, `block/attention/query/kernel`."""
    return path.rpartition("/")[0]


def _hidden(network: keras.Model) -> dict[str, keras.KerasTensor]:
    """The outputs of layers that end in an activation, by the layers' names, without the network's own outputs."""
    found = {}
    for layer in network.layers:
        activation = getattr(layer, "activation", None)
        bends = isinstance(layer, keras.layers.ReLU | keras.layers.LeakyReLU | keras.layers.ELU) or (
            activation is not None and activation is not keras.activations.linear
        )
        if bends and layer.name not in network.output_names:
            try:
                output = layer.output
            except (AttributeError, ValueError):  # used in several places
                continue
            if isinstance(output, keras.KerasTensor):
                found[layer.name] = output
    return found


def summary(look: Look) -> dict[str, float]:
    """For an epoch's row: the norm of all gradients, the largest ratio of update to weight, the largest share of dead units."""
    columns = {key: [row[key] for row in look.values() if key in row] for key in ("gradient_norm", "update_ratio", "dead")}
    joined: dict[str, Callable[[list[float]], float]] = {
        "gradient_norm": lambda norms: float(np.linalg.norm(norms)),
        "update_ratio": max,
        "dead": max,
    }
    return {f"diagnosis/{key}": joined[key](values) for key, values in columns.items() if values}


def words(looks: Sequence[Look]) -> list[str]:
    """What is wrong with a training, if anything, and what may help; a healthy one gives nothing.

    Args:
        looks: of each epoch.
    """
    if not looks:
        return []
    found = (find(looks) for find in (_exploding, _vanishing, _dead, _still))  # one may cause those after it: the first is told
    return [line for line in found if line][:1]


def _exploding(looks: Sequence[Look]) -> str | None:
    name, most = _fastest(looks)
    if most <= RESTLESS:
        return None
    return f"gradients explode: one step changes {name} by {most:.0%} of its size (some percent are usual); lower train.learning_rate"


def _vanishing(looks: Sequence[Look]) -> str | None:
    found = []
    for look in looks:
        sizes = {name: row["gradient_rms"] for name, row in look.items() if "gradient_rms" in row}
        if len(sizes) > 2:
            first, *others = sizes
            most = max(others, key=lambda name: sizes[name])
            found += [(sizes[first] / sizes[most], first, most)] if sizes[first] and sizes[most] else []  # none at all: dead
    if not found or statistics.median(share for share, *_ in found) >= VANISHED:
        return None
    share, first, most = sorted(found)[len(found) // 2]
    return (
        f"gradients vanish toward the input: {first} gets {share:.0e} of what {most} gets; "
        "try model.residual: true, model.normalization: batch, fewer layers or another activation"
    )


def _dead(looks: Sequence[Look]) -> str | None:
    dead = {name: row["dead"] for name, row in looks[-1].items() if row.get("dead", 0) > DEAD}
    if not dead:
        return None
    worst = max(dead, key=lambda name: dead[name])
    others = f" (and most of {len(dead) - 1} more layers)" if len(dead) > 1 else ""
    return (
        f"units are dead: {dead[worst]:.0%} of {worst}{others} give the same for every row; "
        "try a lower train.learning_rate, model.activation: leaky_relu, or model.normalization: batch"
    )


def _still(looks: Sequence[Look]) -> str | None:
    _, most = _fastest(looks)
    if most >= STILL:
        return None
    return f"weights hardly move: no step changes a layer by more than {most:.0e} of its size; raise train.learning_rate"


def _fastest(looks: Sequence[Look]) -> tuple[str, float]:
    """The layer that one step changed most, and by how much of its size."""
    ratios = [(name, row["update_ratio"]) for look in looks for name, row in look.items() if "update_ratio" in row]
    return max(ratios, key=lambda found: found[1], default=("", STILL))

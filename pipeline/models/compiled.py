"""Networks with compiled steps, kept for trainings that differ in nothing that is compiled: another fold, learning rate or dropout.

Building a small network and tracing its steps takes as long as some epochs of it.  A kept one begins with the values that
its variables had at first, so that a training gives the same bytes with and without.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from pipeline.config import ModelParams, TrainParams
from pipeline.data.fitted import Preprocessor
from pipeline.models.live import Live
from pipeline.models.stepping import Stepper

KEPT = 8  # at a time: each holds a network, its optimizer and its graph
LARGEST = 2_000_000  # parameters of all that are kept, but for the one in use
# keys of train that no graph holds: they decide which rows come when, at which rate, and for how long
OUTSIDE = {"epochs", "learning_rate", "schedule", "warmup_epochs", "patience", "early_stopping", "augment"}
# on TensorFlow a graph reads these from variables; whether they are zero is compiled
LIVE = {"model": {"dropout"}, "train": {"weight_decay"}}


@dataclass(frozen=True)
class Compiled:
    """A network to train, the same without adapters and in full precision to keep, its optimizer, and its steps."""

    network: keras.Model
    plain: keras.Model
    optimizer: Any
    steps: Stepper
    live: Live | None = None
    """Its settings that can change; None where all are compiled."""

    @property
    def state(self) -> list[Any]:
        """Weights, the optimizer's variables, and the random generators of dropout."""
        return [*self.network.variables, *self.optimizer.variables]


class Shelf:
    """The networks compiled last; what `fit` returned holds until it takes the same one again."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Compiled, list[np.ndarray]]] = {}

    def take(self, key: str, make: Callable[[], Compiled]) -> Compiled:
        """The network of that key as it was at first, made where there is none."""
        found = self._kept.pop(key, None)
        if found is None:
            while len(self._kept) >= KEPT or (self._kept and self._parameters() > LARGEST):
                del self._kept[next(iter(self._kept))]
            made = make()
            found = made, [np.array(keras.ops.convert_to_numpy(variable)) for variable in made.state]
        else:
            for variable, value in zip(found[0].state, found[1], strict=True):
                variable.assign(value)
        self._kept[key] = found
        return found[0]

    def clear(self) -> None:
        """Keep none."""
        self._kept.clear()

    def _parameters(self) -> int:
        return sum(made.network.count_params() for made, _ in self._kept.values())


def living() -> bool:
    """Whether compiled steps can read settings from variables."""
    return bool(keras.backend.backend() == "tensorflow")


def key(fitted: Preprocessor, model: ModelParams, params: TrainParams, *, seed: int, batch: int, parts: int) -> str:
    """What is compiled follows from this."""
    sections = {"model": model.model_dump(mode="json"), "train": params.model_dump(mode="json", exclude=OUTSIDE)}
    for name, live in LIVE.items() if living() else ():
        sections[name] |= {setting: bool(sections[name][setting]) for setting in live}
    return json.dumps([fitted.to_json(), sections, seed, batch, parts], sort_keys=True)

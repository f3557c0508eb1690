"""Answers: what is told of a network's outputs, by what was learnt of them on validation.  The model package carries this file.

Three things stand between an output and an answer: calibrated probabilities, the decision for a class, and the interval around a
number.  `evaluation.calibration` fits them; outputs are as `heads.predictions` gives them.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.data.fitted import Task

Array = NDArray[Any]
FLOOR = 1e-7  # of probabilities whose logarithm is taken
THRESHOLD = 0.5
Method = Literal["none", "temperature", "isotonic"]


@dataclass(frozen=True)
class Answers:
    """How outputs become answers.

    temperature: what logits are divided by (Guo et al. 2017).  knots and levels: a line through what the second class's probability
    is and what it stands for (Zadrozny & Elkan 2002).  threshold: from which probability on the second class is answered.  costs:
    of each true class (down) when each is answered (across); with more than two classes the answer of least expected cost is given.
    low and high: what is added to a number for the ends of its interval, by the bin of `edges` in which it lies; for a forecast by step
    and target.  All empty: nothing was learnt, and outputs are told as they are.
    """

    task: Task
    method: Method = "none"
    temperature: float = 1.0
    knots: tuple[float, ...] = ()
    levels: tuple[float, ...] = ()
    threshold: float = THRESHOLD
    costs: tuple[tuple[float, ...], ...] = ()
    coverage: float = 0.9
    edges: tuple[float, ...] = ()
    low: tuple[Any, ...] = ()
    high: tuple[Any, ...] = ()

    def calibrated(self, outputs: Array) -> Array:
        """Outputs with calibrated probabilities, of the same shape."""
        if self.method == "temperature":
            return tempered(outputs, self.temperature)
        return np.interp(outputs, self.knots, self.levels) if self.method == "isotonic" else outputs

    def uncalibrated(self, outputs: Array) -> Array:
        """The inverse of `calibrated`, for what that gives."""
        if self.method == "temperature":
            return tempered(outputs, 1 / self.temperature)
        return np.interp(outputs, self.levels, self.knots) if self.method == "isotonic" else outputs

    def decide(self, outputs: Array) -> Array:
        """(rows,) codes of the classes that are answered, for calibrated outputs; among equals the first, of two classes the second."""
        if self.task == "binary":
            return np.asarray(outputs >= self.threshold).astype(np.intp)
        return np.argmin(outputs @ np.asarray(self.costs), axis=1) if self.costs else np.argmax(outputs, axis=1)

    def between(self, outputs: Array) -> tuple[Array, Array] | None:
        """The ends of the intervals, of the outputs' shape; None where there are none."""
        if not self.low:
            return None
        low, high = np.asarray(self.low), np.asarray(self.high)
        if self.task == "regression":
            bins = np.searchsorted(np.asarray(self.edges), outputs, side="right")
            low, high = low[bins], high[bins]
        return outputs + low, outputs + high

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def read(cls, file: Path) -> Answers:
        """Those that a file holds."""
        raw = json.loads(file.read_text(encoding="utf-8"))
        values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}
        return cls(**values)


def tempered(outputs: Array, temperature: float) -> Array:
    """Probabilities whose logits are divided by the temperature: (rows,) of the second class, or (rows, classes)."""
    logs = np.log(np.clip(outputs, FLOOR, 1 - FLOOR if outputs.ndim == 1 else 1)) / temperature
    if outputs.ndim == 1:
        others = np.log(np.clip(1 - outputs, FLOOR, 1 - FLOOR)) / temperature
        return np.asarray(1 / (1 + np.exp(others - logs)))
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))

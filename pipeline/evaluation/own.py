"""Metrics of the user's own: `metric(true, predicted)` measures the answers beside the task's metrics."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pipeline import extensions
from pipeline.data.fitted import Task
from pipeline.errors import UserError
from pipeline.evaluation.metrics import METRICS, Additive, Array, Evaluate, Floats, Ints, Metric
from pipeline.models.answers import Answers

FOLDER, KEY = "metrics", "evaluate.metrics"
NAMES = ("true", "predicted", "probability", "weight")
EXAMPLE = "metric(true, predicted), with further arguments only of probability and weight"
TAKEN = {metric.name for of_task in METRICS.values() for metric in of_task} | {"cost", "mse_scaled", "mae_scaled", "mase"}


@dataclass(frozen=True)
class Own:
    """A user's file as a metric of any model: `of` gives it for one that answers in its way."""

    name: str
    higher_is_better: bool
    definition: str
    call: extensions.Extension = field(repr=False)

    def of(self, answers: Answers, classes: Sequence[str]) -> Metric:
        """The metric of a model that answers so."""
        return Measured(self.name, self.higher_is_better, self.definition, self, answers, tuple(classes))


@dataclass(frozen=True)
class Measured(Metric):
    """A user's metric of one model's outputs.

    The function gives a number a row, whose mean it is, or one number for all rows.  The first is resampled by sums like the
    task's metrics; the second is asked once a replicate, with the rows drawn for it, or with their weights where it names them.
    """

    own: Own = field(repr=False)
    answers: Answers = field(repr=False)
    classes: tuple[str, ...]

    def prepare(self, y: Array, outputs: Array, units: Ints, n_units: int) -> Evaluate:
        given = self._given(y, outputs)
        weighted = "weight" in self.own.call.options
        whole = self._asked(given, np.ones(len(y)) if weighted else None)
        if whole.ndim:
            mean = Additive(self.name, self.higher_is_better, "", lambda *_: whole[:, None], lambda sums: sums[..., 1] / sums[..., 0])
            return mean.prepare(y, outputs, units, n_units)
        rows = np.arange(len(y))

        def one(weights: Floats) -> float:
            drawn = weights[units]  # how often each row counts
            if weighted:
                return float(self._asked(given, drawn))
            times = drawn.astype(np.intp)
            if not np.array_equal(times, drawn):
                raise ValueError(f"{self.name}: rows count whole times only, unless the function takes weight")
            some = np.repeat(rows, times)
            return float(self._asked({name: values[some] for name, values in given.items()}, None)) if len(some) else float("nan")

        def evaluate(weights: Floats) -> Floats:
            return np.array([float(whole) if (row == 1).all() else one(row) for row in weights])

        return evaluate

    def _given(self, y: Array, outputs: Array) -> dict[str, Array]:
        """What the function may be told, as people know it: names of classes, values in the target's units."""
        if not self.classes:
            return {"true": y, "predicted": outputs}
        names = np.asarray(self.classes, dtype=object)
        return {"true": names[y], "predicted": names[self.answers.decide(outputs)], "probability": outputs}

    def _asked(self, given: dict[str, Array], weight: Floats | None) -> Array:
        call = self.own.call
        told = {**given, **({} if weight is None else {"weight": weight})}
        if lacking := [name for name in call.options if name not in told]:
            raise call.mistake(f"metric() asks for {lacking[0]}, which there is none of for numbers; there are {', '.join(told)}")
        with np.errstate(all="ignore"):  # what is not defined is nan
            found = call(**{name: value for name, value in told.items() if name in call.options})
        rows = len(given["true"])
        try:
            values = np.asarray(found, np.float64)
        except (TypeError, ValueError):
            values = np.empty((0, 0, 0))
        if values.shape not in ((), (rows,)) or found is None:
            came = type(found).__name__ if not isinstance(found, np.ndarray) else f"an array of shape {found.shape}"
            raise call.mistake(f"expected metric() to return a number, or one for each of the {rows} rows, got {came}")
        return values


def load(files: Sequence[str], task: Task) -> tuple[Own, ...]:
    """The metrics that evaluate.metrics names, each called as its file is.

    Raises:
        UserError: a file is not where metrics lie, fails, lacks what a metric needs, or is called like a metric that there is.
    """
    found: list[Own] = []
    for path in files:
        file = extensions.place(KEY, path, FOLDER)
        if file.stem in {*TAKEN, *(one.name for one in found)} or not file.stem.isidentifier():
            raise UserError(f"{KEY}: {path}: the metric would be called {file.stem}, a name that is taken or has signs; rename the file")
        call = extensions.load(file, "metric", EXAMPLE, named=NAMES)
        lower = getattr(call.module, "lower_is_better", None)
        if not isinstance(lower, bool):
            raise UserError(f"{file}: expected lower_is_better = True or False beside metric(), got {lower}")
        told = " ".join((inspect.getdoc(call.function) or "").partition("\n\n")[0].split())
        if not told:
            raise call.mistake("expected a docstring in metric(): reports tell by it what the number means")
        found.append(Own(file.stem, not lower, told, call))
    return tuple(found)

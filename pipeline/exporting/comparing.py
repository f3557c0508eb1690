"""onnxruntime's answers beside the package's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pipeline.data.fitted import Preprocessor, Target
from pipeline.errors import UserError
from pipeline.evaluation.metrics import Array
from pipeline.exporting.conversion import NEAR, last_line
from pipeline.models.answers import Answers

TOLERANCE = 1e-5  # of the scale of the answers: 1 for a probability, else see `_scale`

Compared = tuple[tuple[str, ...], tuple[str, ...], dict[str, float]]


def compared(file: Path, package: Path, fitted: Preprocessor, by: Answers, cases: list[tuple[str, int]], folder: Path) -> Compared:
    """Inputs, outputs, and the largest difference of each case.

    Raises:
        UserError: the file cannot be run, or a difference is too large.
    """
    import onnxruntime

    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(str(file), quiet, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common base
        raise UserError(f"{package}: onnxruntime cannot load its network: {last_line(str(error))}") from None
    inputs, outputs = (tuple(each.name for each in some) for some in (session.get_inputs(), session.get_outputs()))
    largest = dict[str, float]()
    for at, (case, count) in enumerate(cases):
        where = f"for {case} in a batch of {count}"
        with np.load(folder / f"{at}.npz") as blocks:
            given = {name: blocks[f"input {name}"] for name in inputs}
            expected = np.stack([blocks[name] for name in blocks.files if not name.startswith("input ")])
        try:
            found = dict(zip(outputs, session.run(None, given), strict=True))
        except Exception as error:
            raise UserError(f"{package}: its network does not run as ONNX {where}: {last_line(str(error))}") from None
        if wrong := {name: len(values) for name, values in found.items() if len(values) != count}:
            raise UserError(f"{package}: as ONNX its network gives other numbers of answers {where}: {wrong}; no file is written")
        gap, row = _gap(found, fitted, by, expected)
        if not gap <= TOLERANCE:
            much = f"row {row + 1} differs by {gap:.1e} of the answers' scale (at most {TOLERANCE:g} expected)"
            raise UserError(f"{package}: as ONNX its network answers otherwise {where}: {much}; no file is written")
        largest[case] = max(gap, largest.get(case, 0.0))
    return inputs, outputs, largest


def _gap(found: Mapping[str, Array], fitted: Preprocessor, by: Answers, expected: Array) -> tuple[float, int]:
    """How far answers are from the package's, of their scale, and in which row.

    Args:
        expected: (ways, rows, ...); an answer between the least and the largest of them is right.
    """
    if fitted.task in ("regression", "forecast"):
        mine = found["prediction"]
        targets = fitted.forecast.targets if fitted.forecast else ()
        right = expected[0]
        scale = (
            np.stack([_scale(right[..., at], one) for at, one in enumerate(targets)], axis=-1) if targets else _scale(right, fitted.target)
        )
        rule = np.zeros(mine.shape)
        for name, end in zip(("low", "high"), by.between(mine) or (), strict=False):
            rule = np.maximum(rule, np.abs(found[name] - end))
    else:
        mine = found["probabilities"][:, 1] if fitted.task == "binary" else found["probabilities"]
        scale = np.ones(mine.shape)
        rule = _missed(mine, found["class"], by)
    apart = np.maximum(np.maximum(expected.min(axis=0) - mine, mine - expected.max(axis=0)), 0)
    gaps = np.nan_to_num(np.maximum(apart, rule) / scale, nan=np.inf, posinf=np.inf).reshape(len(mine), -1).max(axis=1)
    return (float(gaps.max()), int(gaps.argmax())) if len(gaps) else (0.0, 0)


def _scale(y: Array, target: Target) -> Array:
    """What a deviation of what is learnt, or its distance from the mean if that is larger, is worth in units."""
    if target.transform == "log":
        logs = np.sign(y) * np.log1p(np.abs(y) / target.unit)
        return (np.abs(y) + target.unit) * np.maximum(target.scale, np.abs(logs - target.center))
    return np.maximum(target.std or 1.0, np.abs(y - target.mean))


def _missed(probabilities: Array, codes: Array, by: Answers) -> Array:
    """Infinite where another class is answered than by the rule, but for classes of equal costs; of the shape of probabilities."""
    right = codes == by.decide(probabilities)
    if by.costs and by.task == "multiclass":
        costs = probabilities @ np.asarray(by.costs)
        right |= np.take_along_axis(costs, codes[:, None], axis=1)[:, 0] - costs.min(axis=1) <= NEAR
    missed = np.where(right, 0.0, np.inf)
    return missed if probabilities.ndim == 1 else np.broadcast_to(missed[:, None], probabilities.shape)

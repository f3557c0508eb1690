"""Why the network answers as it does for single rows: which pixels, tokens or steps of a row its answer rests on.

Pictures have Grad-CAM (Selvaraju et al. 2017) on the last map of features that a convolution leaves; texts, sequences and the
windows of forecasts have integrated gradients (Sundararajan, Taly & Yan 2017).  Where the network has no such map (of patches,
of plain pixels), or the backend is not TensorFlow, parts of the row are blotted out instead (Zeiler & Fergus 2014), which
takes predictions alone.  Columns of tables and sounds have nothing here.

What is explained is one score a row: of classes the log odds, ln p / (1 - p), of the most probable one, as the network gives them
before any calibration and whatever threshold or costs an answer goes by; of numbers the prediction, of a forecast its mean over
horizon and targets.  An ensemble's score is the mean of its networks' scores.
Attributions tell what this network computes, not what causes what, and depend on the baseline they start from.

`inputs`, `y` and `outputs` are as in `influence`, of a few rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.data.fitted import Number, Preprocessor
from pipeline.evaluation.influence import Inputs, confident_errors
from pipeline.evaluation.metrics import Array, Floats, Ints, checked, predicted_class
from pipeline.models import heads
from pipeline.models.attributing import Asked, Kind, Method, edges, explain, gap_of, networks

MOST = 12  # rows that are explained at once
SHOWN = {"image": 6, "text": 4, "sequence": 4, "forecast": 4}  # rows of a kind that a figure has room for
TABLE = 16  # cells of a side of a picture in `rows_of`
START = "▁"  # of a token that starts a word


@dataclass(frozen=True, eq=False)
class Attribution:
    """What the answer for one row rests on.

    Attributes:
        row: number of the row, as asked for.
        columns: the column, of a sequence or forecast one a channel.
        target: what is explained: the most probable class, or the target's column.
        truth, prediction: names of classes, or numbers in their units; of a forecast the mean over the horizon, of several
            targets in their standard deviations.
        probability: of the predicted class, None for numbers.
        unit: of the attributions; a heat has none.
        values: image: (height, width) heat from 0 to 1, all 0 where nothing speaks for the answer; text: (tokens,); else
            (steps, channels).  Signed, except for heat: above 0 is for the prediction, or raises it.
        shown: what the network was shown: (height, width, channels) bytes, (tokens,) ids, or (steps, channels) in units.
        tokens: of a text as one reads them; a space before one starts a word.
        difference: the score less that of the baseline, to which integrated gradients add up, else nan.
        gap: by how much they miss it (completeness), as a share of all that is attributed; else nan.
    """

    row: int
    kind: Kind
    columns: tuple[str, ...]
    method: Method
    target: str
    truth: str | float
    prediction: str | float
    probability: float | None
    unit: str
    values: Floats
    shown: Array
    tokens: tuple[str, ...] = ()
    difference: float = np.nan
    gap: float = np.nan


# -- which rows


def chosen(fitted: Preprocessor, y: Array, outputs: Array, groups: Array, *, most: int | None = None) -> Ints:
    """Returns at most `most` row numbers, by default 4, or 6 of pictures alone: the worst errors, then as many right answers.

    Each group gives one row of either sort.  Of classes the worst errors are the surest; right are the surest of each predicted
    class, then the next of each.  Of numbers the largest errors come first, then the smallest, of several targets in their
    standard deviations.  Where there are too few of one sort there are more of the other; of equals the first row is taken.
    Nothing is chosen where nothing can be explained.  Raises ValueError as `metrics.checked`.
    """
    y, outputs = checked(fitted.task, y, outputs)
    groups, kinds = np.asarray(groups), {kind for kind, _, _ in _subjects(fitted)}
    if not kinds or not len(y):
        return np.zeros(0, np.intp)
    most = min(SHOWN[kind] for kind in kinds) if most is None else most
    if fitted.target.classes:
        found = confident_errors(fitted.task, y, outputs, groups, most=len(y))
        wrong: Array = np.array([one.row for one in found], np.intp)
        predicted = predicted_class(fitted.task, outputs)
        sure = np.abs(outputs - 0.5) if outputs.ndim == 1 else outputs.max(axis=1)
        right: Array = _first_of_groups(np.argsort(-sure, kind="stable"), groups)
        right = right[predicted[right] == y[right]]
        turn = np.zeros(len(right), np.intp)  # how many of its class come before it
        for code in np.unique(predicted[right]):
            turn[predicted[right] == code] = np.arange((predicted[right] == code).sum())
        right = right[np.argsort(turn, kind="stable")]
    else:
        spread = [target.std for target in fitted.forecast.targets] if fitted.forecast else [1.0]
        error = np.abs(outputs - y).reshape(len(y), -1, len(spread)) / np.maximum(spread, np.finfo(float).tiny)
        order = np.argsort(-error.mean(axis=(1, 2)), kind="stable")
        wrong = _first_of_groups(order, groups)
        right = _first_of_groups(order[::-1], groups)
    wrong = wrong[: max(most - most // 2, most - len(right))]
    right = right[~np.isin(groups[right], groups[wrong])] if not fitted.target.classes else right
    return np.concatenate([wrong, right[: most - len(wrong)]])


def _first_of_groups(order: Ints, groups: Array) -> Ints:
    return order[np.sort(np.unique(groups[order], return_index=True)[1])]


# -- attributions


def attribute(
    network: Any, fitted: Preprocessor, inputs: Inputs, y: Array, outputs: Array, rows: Array | None = None
) -> tuple[Attribution, ...]:
    """Returns what the answers for at most 12 rows rest on: column after column, each for all rows.

    Integrated gradients run from a baseline: of a text embeddings that are 0, of sequences and forecasts train's center (0 as
    the network reads it), while flags of missing values, lengths and all other columns stay as they are.  They are taken at
    32 points (Gauss-Legendre), of rows whose gap is above 2% at 128 and then 512.  Padding, and what lies past a sequence's
    end, has nothing.  Occlusion puts the picture's mean colour, the unknown token or the baseline in a part's place; a part
    has what the score loses.  The same arguments give the same attributions, and none of them changes.

    Args:
        outputs: the network's answers for these rows, as `heads.predictions` gives them; classes follow from them.
        rows: numbers of the rows, by default 0, 1, ...

    Raises:
        ValueError: too many rows, or as `metrics.checked`.
    """
    y, outputs = checked(fitted.task, y, outputs)
    if len(y) > MOST:
        raise ValueError(f"expected at most {MOST} rows, got {len(y)}")
    if not len(y):
        return ()
    predicted = predicted_class(fitted.task, outputs) if fitted.target.classes else np.zeros(len(y), np.intp)
    parts = networks(network)
    found = list[Attribution]()
    for kind, name, columns in _subjects(fitted):
        explained = [explain(Asked(part, fitted, inputs, predicted), kind, name) for part in parts]
        values = np.mean([one.values for one in explained], axis=0)
        difference = np.mean([one.difference for one in explained], axis=0)
        for at, told in enumerate(_told(fitted, y, outputs, predicted, rows)):
            told |= {"kind": kind, "columns": columns, "method": explained[0].method}
            found.append(Attribution(**told | _cut(fitted, kind, name, values[at], difference[at], inputs, at)))
    return tuple(found)


def rows_of(found: Sequence[Attribution]) -> list[dict[str, Any]]:
    """Returns plain rows for a CSV: one a token, step and channel, or cell of a picture (at most 16 a side, the mean heat).

    `place` counts from 1, cells line by line; `part` is the token, the channel, or the cell's first and last pixels.
    """
    return [
        {"row": one.row, "kind": one.kind, "column": column, "method": one.method, "target": one.target}
        | {"place": place, "part": part, "attribution": value}
        for one in found
        for column, place, part, value in _listed(one)
    ]


def _listed(one: Attribution) -> Iterator[tuple[str, int, str, float]]:
    if one.kind == "text":
        for at, (token, value) in enumerate(zip(one.tokens, one.values.tolist(), strict=True), 1):
            yield one.columns[0], at, token.strip() or START, value
    elif one.kind == "image":
        down, across = (edges(side, TABLE) for side in one.values.shape)
        cells = [(low, high, left, end) for low, high in down for left, end in across]
        for at, (low, high, left, end) in enumerate(cells, 1):
            yield one.columns[0], at, f"y {low}-{high - 1}, x {left}-{end - 1}", float(one.values[low:high, left:end].mean())
    else:
        for (step, channel), value in np.ndenumerate(one.values):
            yield one.columns[channel], step + 1, one.columns[channel], float(value)


def _subjects(fitted: Preprocessor) -> list[tuple[Kind, str, tuple[str, ...]]]:
    """Kind, input and columns of what can be explained."""
    if fitted.forecast:
        return [("forecast", "series", tuple(number.name for number in fitted.numbers))]
    found: list[tuple[Kind, str, tuple[str, ...]]] = [("image", f"image_{at}", (one.column,)) for at, one in enumerate(fitted.images)]
    found += [("text", f"text_{at}", (one.column,)) for at, one in enumerate(fitted.texts)]
    return found + ([("sequence", "sequence", fitted.sequence.columns)] if fitted.sequence else [])


def _told(fitted: Preprocessor, y: Array, outputs: Array, predicted: Ints, rows: Array | None) -> list[dict[str, Any]]:
    """What an attribution says of its row, by the names of its fields."""
    numbers = np.arange(len(y)) if rows is None else np.asarray(rows)
    classes, _, unit = fitted.target.classes, *_unit(fitted)
    if classes:
        sure = np.where(predicted == 1, outputs, 1 - outputs) if outputs.ndim == 1 else outputs.max(axis=1)
        return [
            {"row": int(row), "truth": classes[truth], "prediction": classes[code], "target": classes[code]}
            | {"probability": float(probability), "unit": unit}
            for row, truth, code, probability in zip(numbers, y, predicted, sure, strict=True)
        ]
    if fitted.forecast and len(fitted.forecast.targets) > 1:
        y, outputs = (heads.training_target(values, fitted.forecast.targets) for values in (y, outputs))
    target = ", ".join(one.column for one in fitted.forecast.targets) if fitted.forecast else fitted.target.column
    return [
        {"row": int(row), "truth": float(np.mean(truth)), "prediction": float(np.mean(answer)), "target": target}
        | {"probability": None, "unit": unit}
        for row, truth, answer in zip(numbers, y, outputs, strict=True)
    ]


def _unit(fitted: Preprocessor) -> tuple[float, str]:
    """By what scores are multiplied, and the unit that they are then in."""
    if fitted.target.classes:
        return 1.0, "log odds"
    targets = fitted.forecast.targets if fitted.forecast else (fitted.target,)
    if len(targets) == 1 and targets[0].transform != "log":
        return (targets[0].std if targets[0].transform == "standardize" else 1.0), targets[0].column
    return 1.0, "standard deviations" + (" of the logarithm" if all(one.transform == "log" for one in targets) else "")


def _cut(fitted: Preprocessor, kind: Kind, name: str, values: Floats, difference: float, inputs: Inputs, at: int) -> dict[str, Any]:
    """What one row was shown and what that has, without padding and in units, by the names of an attribution's fields."""
    shown = np.array(inputs[name][at])
    if kind == "image":
        most = values.max()
        return {"values": values / most if most > 0 else np.zeros_like(values), "shown": shown, "unit": ""}
    factor, _ = _unit(fitted)
    told = {"difference": float(difference) * factor, "gap": float(gap_of(values[None], np.array([difference]))[0])}
    if kind == "text":
        kept = np.flatnonzero(shown)
        tokens = _words(fitted.texts[int(name.removeprefix("text_"))].tokenizer, shown[kept].tolist())
        return {"values": values[kept] * factor, "shown": shown[kept], "tokens": tokens, **told}
    if fitted.sequence:
        length = int(inputs["sequence_length"][at])
        values, shown = values[:length], shown[:length] * np.array(fitted.sequence.stds) + fitted.sequence.means
    else:
        shown = np.stack([_units(number, shown[:, k].astype(np.float64)) for k, number in enumerate(fitted.numbers)], axis=1)
    return {"values": values * factor, "shown": shown, **told}


def _words(tokenizer: Mapping[str, Any], ids: list[int]) -> tuple[str, ...]:
    names = {at: token for token, at in tokenizer["model"]["vocab"].items()}
    return tuple(names[at].replace(START, " ") for at in ids)


def _units(number: Number, z: Floats) -> Floats:
    """The inverse of `numeric.encode`, but for what that cuts."""
    if number.smooth_clip:
        z = z / np.sqrt(np.maximum(1 - np.square(z / 3.0), 1e-3))
    z = z * number.scale + number.center
    if number.knots:
        return np.interp(z, number.ranks, number.knots)
    return np.copysign(np.expm1(np.abs(z)) * number.log, z) if number.log else z

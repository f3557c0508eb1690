"""Small data of every kind for networks: what was fitted on them, and rows whose target follows from what they hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from pipeline.data.fitted import GRID, Audio, Category, Forecast, Image, Number, Preprocessor, Sequence, Target, Text

TOKENS, LENGTH, STEPS, PIXELS, HORIZON = 12, 6, 7, 8, 3
CLASSES = {"binary": ("no", "yes"), "multiclass": ("a", "b", "c"), "regression": ()}
SOUND = Audio("sound", 1000, 0.1, 8)  # 11 frames


def fitted(kind: str, task: str) -> Preprocessor:
    """kind: table, text, image, audio, sequence, mixed (all of them), series or exogenous (a series with a channel beside)."""
    if task == "forecast":
        return _forecast(beside=kind == "exogenous")
    grid = tuple(np.linspace(-1, 1, GRID + 1).tolist())
    empty = Preprocessor(task, Target("y", CLASSES[task], mean=10.0, std=2.0), (), (), {})  # type: ignore[arg-type]
    parts: dict[str, dict[str, Any]] = {
        "table": {
            "numbers": tuple(Number(f"x{at}", "value", grid=grid) for at in range(2)),
            "categories": (Category("k0", ("u", "v")), Category("k1", ("p", "q", "r"))),
        },
        "text": {"texts": (Text("words", LENGTH, {"model": {"vocab": {str(at): at for at in range(TOKENS)}}}),)},
        "image": {"images": (Image("photo", PIXELS, PIXELS, 1),)},
        "audio": {"audios": (SOUND,)},
        "sequence": {"sequence": Sequence(("s0", "s1"), STEPS, (0.0, 0.0), (1.0, 1.0))},
    }
    chosen = parts.values() if kind == "mixed" else [parts[kind]]
    for part in chosen:
        empty = replace(empty, **part)
    return empty


def _forecast(*, beside: bool) -> Preprocessor:
    """Two channels scaled robustly whose targets are scaled by mean and deviation, so that the network must translate."""
    targets = (Target("a", mean=5.0, std=2.0), Target("b", mean=-1.0, std=0.5))
    numbers = (Number("a", "value", center=4.0, scale=3.0), Number("b", "value", center=-1.5, scale=0.25))
    others = (Number("z", "value"),) if beside else ()
    forecast = Forecast("t", None, STEPS, HORIZON, targets)
    return Preprocessor("forecast", targets[0], (*others, *numbers), (), {}, forecast=forecast)


def rows(kind: str, task: str, count: int = 64, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Inputs by name, and the target in its units; a score between 0 and 1 is written into every kind of input."""
    rng = np.random.default_rng(seed)
    if task == "forecast":
        return _windows(rng, count, beside=kind == "exogenous")
    score = rng.uniform(0, 1, count)
    made: dict[str, np.ndarray] = {}
    if kind in ("table", "mixed"):
        made["number"] = np.stack([2 * score - 1, rng.uniform(-1, 1, count)], axis=1).astype("float32")
        made["category"] = np.stack([1 + (score > 0.5), rng.integers(0, 4, count)], axis=1).astype("int32")
    if kind in ("text", "mixed"):
        ids = rng.integers(6, TOKENS, (count, LENGTH))
        ids[:, 0] = 2 + np.digitize(score, [0.25, 0.5, 0.75])  # one of four words tells
        length = rng.integers(2, LENGTH + 1, count)
        made["text_0"] = np.where(np.arange(LENGTH) < length[:, None], ids, 0).astype("int32")
    if kind in ("image", "mixed"):
        noise = rng.uniform(0, 60, (count, PIXELS, PIXELS, 1))
        noise[:, 2:5, 2:5] += 190 * score[:, None, None, None]
        made["image_0"] = noise.astype("uint8")
    if kind in ("audio", "mixed"):
        sound = rng.normal(0, 0.3, (count, 11, SOUND.mels))
        sound[:, :, 3] += 4 * score[:, None] - 2
        made["audio_0"] = sound.astype("float32")
    if kind in ("sequence", "mixed"):
        length = rng.integers(2, STEPS + 1, count).astype("int32")
        there = np.arange(STEPS) < length[:, None]
        steps = rng.normal(0, 0.3, (count, STEPS, 2)) + (4 * score - 2)[:, None, None] * [1.0, 0.0]
        made["sequence"] = np.where(there[:, :, None], steps, 0.0).astype("float32")
        made["sequence_length"] = length
    target = {
        "binary": (score > 0.5).astype("int32"),
        "multiclass": np.digitize(score, [0.25, 0.75]).astype("int32"),
        "regression": (10 + 8 * (score - 0.5)).astype("float32"),
    }[task]
    return made, target


def _windows(rng: np.random.Generator, count: int, *, beside: bool) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Straight lines of any level; with a channel beside, the targets jump by it at the first step to come."""
    steps = np.arange(STEPS + HORIZON)
    slope = rng.uniform(-1, 1, (count, 1, 2))
    value = rng.normal(0, 3, (count, 1, 2)) + slope * steps[None, :, None]
    z = rng.normal(0, 1, (count, STEPS, 1))
    if beside:
        value[:, STEPS:] += z[:, -1:]
    units = value * [1.0, 0.25] + [5.0, -1.0]
    series = (units[:, :STEPS] - [4.0, -1.5]) / [3.0, 0.25]
    channels = np.concatenate([z, series], axis=2) if beside else series
    return {"series": channels.astype("float32")}, units[:, STEPS:].astype("float32")

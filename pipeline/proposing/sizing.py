"""Networks and sweeps of such a size that a first result is there within some minutes on this machine.

The costs of an epoch are estimated from multiplications alone; what was measured beside is in docs/performance.md.  The
estimate errs by a factor of two or so, which is enough to choose an order of size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline import resources

SECONDS = 150.0  # of a first result's five minutes for sweep and training; the other stages take the rest
OTHERS = 75.0  # seconds of these on a small table
VALUE = 2e-6  # and for each value that is read, cleaned, split, scaled and looked at
SPEED = 15e9  # multiplications and additions a second and core that networks of this size reach
NARROW = 8  # units of a convolution that reaches that; wider ones are as much faster, since their products are larger
GPU = 100.0  # times that of two cores
ROW = 4e-6  # seconds a row and epoch take beside them
START = 6.0  # seconds until a trial or a training has its network compiled
TYPICAL = 25  # epochs after which a small network usually stops by itself
EPOCHS, FEWEST = 60, 3
PICTURES = 100_000  # pictures seen, again and again, after which a network is worth looking at
TRIALS = 10
STEPS: dict[str, Any] = {"batch_size": 64, "learning_rate": 0.003}  # more and longer steps where epochs of pictures are few
PRUNED = 0.5  # of a training that a trial takes on average, since most are stopped early


@dataclass(frozen=True)
class Extent:
    """What a row asks of a network: table columns, tokens of texts, pixels and channels of a picture, steps and channels of a
    sequence, values of a forecast's windows."""

    columns: int = 0
    tokens: int = 0
    pixels: tuple[int, int] = (0, 0)
    steps: tuple[int, int] = (0, 0)
    window: int = 0


@dataclass(frozen=True)
class Sizes:
    """Keys of normalize, model, train and tune, and what is expected of them."""

    model: dict[str, Any] = field(default_factory=dict)
    normalize: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    epochs: int = EPOCHS
    trials: int = 0
    epoch_seconds: float = 0.0
    trained_fully: bool = True

    @property
    def seconds(self) -> float:
        """Of sweep and training."""
        one = START + self.epoch_seconds * min(self.epochs, TYPICAL)
        return one * (1 + PRUNED * self.trials)


def sized(extent: Extent, rows: int, *, cores: int | None = None, gpu: bool | None = None) -> Sizes:
    """The largest usual network that is trained to its end in the time there is, and the trials that fit beside it.

    Args:
        rows: those of train.
        cores: of the processor; those of this machine by default.
        gpu: whether there is one that trains; by default where this machine has NVIDIA's driver.
    """
    speed = SPEED * (cores or resources.cores())
    if Path("/proc/driver/nvidia/gpus").is_dir() if gpu is None else gpu:
        speed = max(speed, 2 * SPEED * GPU)
    worth = min(TYPICAL, max(FEWEST, PICTURES / rows)) if extent.pixels[0] else TYPICAL / 2
    found: Sizes | None = None
    for model, normalize in _networks(extent):
        pace = speed * max(1, model.get("width", 32) / NARROW) if extent.pixels[0] else speed
        each = rows * (3 * operations(extent, {**model, **normalize}) / pace + ROW)  # forward, and twice that backward
        possible = int((SECONDS - START) / each) if each else EPOCHS
        found = Sizes(model, normalize, {}, max(FEWEST, min(EPOCHS, possible)), 0, each, possible >= TYPICAL)
        if possible >= worth:
            break
    assert found is not None
    one = START + found.epoch_seconds * min(found.epochs, TYPICAL)
    trials = int((SECONDS - one) / (PRUNED * one))
    steps = STEPS if extent.pixels[0] else {}
    return replace(found, train=steps, trials=min(TRIALS, trials) if trials >= 4 else 0)


def _networks(extent: Extent) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Networks from the usual to the smallest that is worth it."""
    if extent.pixels[0]:
        sides: list[dict[str, Any]] = [{}]
        if extent.pixels[0] > 64 * 64:
            sides.append({"image": {"height": 64, "width": 64}})
        models: list[dict[str, Any]] = [{}, {"width": 16}, {"width": 8}]  # fewer layers are worse than fewer units and epochs
        return [(model, side) for side in sides for model in models]
    if extent.tokens:
        lengths: list[dict[str, Any]] = [{}] + [{"text": {"length": most}} for most in (256, 128, 64) if most < extent.tokens]
        return [({}, length) for length in lengths] + [({"layers": 1}, lengths[-1])]
    return [({}, {})]


def operations(extent: Extent, keys: Mapping[str, Any]) -> float:
    """Multiplications and additions of one row going forward through the usual networks, by their shapes."""
    total = 0.0
    if extent.columns:
        total += 2 * (extent.columns * (64 * 8 + 8 * 192) + 2 * 192**2)
    if extent.tokens:
        tokens = min(extent.tokens, keys.get("text", {}).get("length", extent.tokens), 512)
        layers, width = keys.get("layers", 2), 64
        total += tokens * layers * (2 * 8 * width**2 + 4 * tokens * width)
    if extent.pixels[0]:
        pixels, channels = extent.pixels
        if "image" in keys:
            pixels = keys["image"]["height"] * keys["image"]["width"]
        layers, width = keys.get("layers", 3), keys.get("width", 32)
        while pixels > 64 * 64:
            pixels //= 4
        before = channels
        total += 2 * 9 * before * width * pixels
        before = width
        for at in range(layers):
            wide = min(width * 2**at, width * 8)
            pixels = pixels // 4 if at and pixels >= 64 else pixels
            total += 2 * 9 * (before + wide) * wide * pixels
            before = wide
    if extent.steps[0]:
        steps, channels = extent.steps
        total += steps * (2 * 3 * 64 * (64 + channels) + 2e5)  # a step waits for the one before it
    return total + 2 * extent.window

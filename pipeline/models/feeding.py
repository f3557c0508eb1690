"""Feeding: what a network reads of a side, and in which order.

Every epoch has an order of rows of its own, drawn from (seed, epoch), so that a training resumed from a checkpoint ends with
the same bytes as an undisturbed one.  Rows come in chunks of many batches.  A side that fits into IN_MEMORY is shuffled at
random; of a larger one, blocks of consecutive rows are shuffled, and the rows inside a window of such blocks.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from pipeline.config import TrainParams
from pipeline.data.arrays import Side, windowed
from pipeline.data.fitted import Preprocessor
from pipeline.errors import UserError
from pipeline.models import heads
from pipeline.models.augmentation import augment

IN_MEMORY = 512 * 2**20  # bytes of a side that are read once and kept, whatever the machine: one seed, one result
WINDOW = 128 * 2**20  # bytes in which rows of a larger side are mixed
BLOCK = 65_536  # rows read in order
CHUNK = 16 * 2**20  # bytes handed over at once

Inputs = dict[str, np.ndarray]
Item = TypeVar("Item")
END: Any = object()  # follows the last item


@dataclass(frozen=True)
class Chunk:
    """Rows of consecutive batches; only an epoch's last chunk ends with a batch that is not full."""

    x: Inputs
    y: np.ndarray
    weight: np.ndarray | None

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Feed:
    """A side ready to train on: its target as the network learns it, and the weight of each class where they have one."""

    side: Side
    fitted: Preprocessor
    target: np.ndarray
    class_weights: np.ndarray | None
    batch: int  # rows per gradient step
    large: bool  # more than is held in memory

    def __len__(self) -> int:
        return len(self.side)

    def take(self, rows: np.ndarray | slice) -> Chunk:
        """These rows, in this order."""
        y = windowed(self.target, self.side.more["start"][rows], *_ahead(self.fitted)) if self.fitted.forecast else self.target[rows]
        return Chunk(
            inputs(self.side, self.fitted, rows),
            np.asarray(y),
            None if self.class_weights is None else self.class_weights[self.side.target[rows]],
        )

    @property
    def row_bytes(self) -> int:
        """Bytes of one row as the network reads it."""
        first = self.take(slice(0, 1))
        return sum(block.nbytes for block in first.x.values()) + first.y.nbytes


def feed(side: Side, fitted: Preprocessor, params: TrainParams) -> Feed:
    """A side ready to train on, held in memory where it fits.

    Raises:
        UserError: train.class_weight does not fit the classes.
    """
    stored = [side.number, side.category, *side.more.values()]
    large = sum(block.nbytes for block in stored) > IN_MEMORY
    if not large:
        number, category, target, group = map(np.array, (side.number, side.category, side.target, side.group))
        side = Side(number, category, target, group, {name: np.array(block) for name, block in side.more.items()})
    learnt = heads.training_target(np.asarray(side.target), fitted.forecast.targets if fitted.forecast else fitted.target)
    return Feed(side, fitted, learnt, class_weights(side.target, fitted, params), params.batch(len(side)), large)


def inputs(side: Side, fitted: Preprocessor, rows: np.ndarray | slice | None = None) -> Inputs:
    """Arrays of these rows (by default of all) by the names of the network's inputs; a forecast's windows are gathered."""
    chosen = slice(None) if rows is None else rows
    if fitted.forecast:
        return {"series": windowed(side.more["series"], side.more["start"][chosen], 0, fitted.forecast.look_back)}
    blocks = ({"number": side.number} if fitted.numbers else {}) | ({"category": side.category} if fitted.categories else {})
    for name, states in (("text", fitted.texts), ("image", fitted.images), ("audio", fitted.audios)):
        blocks |= {f"{name}_{at}": side.more[f"{name}_{at}"] for at in range(len(states))}
    blocks |= {name: side.more[name] for name in (("sequence", "sequence_length") if fitted.sequence else ())}
    return {name: np.asarray(block[chosen]) for name, block in blocks.items()}


def _ahead(fitted: Preprocessor) -> tuple[int, int]:
    assert fitted.forecast is not None
    return fitted.forecast.look_back, fitted.forecast.horizon


def class_weights(target: np.ndarray, fitted: Preprocessor, params: TrainParams) -> np.ndarray | None:
    """Each class's weight (classes,), for train's rows 1 on average where balanced; none where classes count alike.

    Raises:
        UserError: the target is no class, or the classes named are not those of the target.
    """
    if params.class_weight == "none":
        return None
    if not fitted.target.classes:
        raise UserError(f"train.class_weight: is for classes, but {fitted.task} predicts numbers; set it to none")
    codes, classes = np.asarray(target), fitted.target.classes
    if params.class_weight == "balanced":
        counts = np.bincount(codes, minlength=len(classes))
        return (len(codes) / (len(classes) * np.maximum(counts, 1))).astype("float32")
    if set(params.class_weight) != set(classes):
        came = ", ".join(params.class_weight) or "none"
        raise UserError(f"train.class_weight: expected a weight for each of {', '.join(classes)}, got one for {came}")
    return np.array([params.class_weight[name] for name in classes], "float32")


def chunks(feed: Feed, params: TrainParams, *, seed: int, epoch: int) -> Iterator[Chunk]:
    """An epoch's rows in its own order, augmented, a whole number of batches at a time."""
    width = feed.row_bytes
    size = max(1, CHUNK // (width * feed.batch)) * feed.batch
    rng = np.random.default_rng((seed, epoch))
    # a forecast's windows lie over one another, so that reading them at random reads little
    parts = _mixed_blocks(feed, rng, size, width) if feed.large and not feed.fitted.forecast else _at_random(feed, rng, size)
    for at, chunk in enumerate(parts):
        x, y = augment(chunk.x, chunk.y, np.random.default_rng((seed, epoch, at)), params.augment, feed.fitted)
        yield Chunk(x, y, chunk.weight)


def _at_random(feed: Feed, rng: np.random.Generator, size: int) -> Iterator[Chunk]:
    order = rng.permutation(len(feed))
    for begin in range(0, len(order), size):
        yield feed.take(order[begin : begin + size])


def _mixed_blocks(feed: Feed, rng: np.random.Generator, size: int, width: int) -> Iterator[Chunk]:
    """Windows of shuffled blocks, the rows of each shuffled; what does not fill a chunk goes on with the next window."""
    blocks = rng.permutation(-(-len(feed) // BLOCK))
    held = max(1, WINDOW // (BLOCK * width))
    rest: Chunk | None = None
    for begin in range(0, len(blocks), held):
        read = [feed.take(slice(at * BLOCK, min((at + 1) * BLOCK, len(feed)))) for at in blocks[begin : begin + held]]
        window = _joined([rest, *read] if rest else read)
        del read
        _release(feed.side)
        order = rng.permutation(len(window))
        full = len(order) if begin + held >= len(blocks) else len(order) // size * size
        for start in range(0, full, size):
            yield _picked(window, order[start : min(start + size, full)])
        rest = _picked(window, order[full:])


def _release(side: Side) -> None:
    """Give back the memory of what was read of mapped files; else the whole side would stay in this process's account."""
    for block in (side.number, side.category, *side.more.values()):
        base: Any = block
        while isinstance(base, np.ndarray):
            base = base.base
        if isinstance(base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
            base.madvise(mmap.MADV_DONTNEED)


def _joined(parts: list[Chunk]) -> Chunk:
    y = np.concatenate([part.y for part in parts])
    weight = None if parts[0].weight is None else np.concatenate([part.weight for part in parts if part.weight is not None])
    return Chunk({name: np.concatenate([part.x[name] for part in parts]) for name in parts[0].x}, y, weight)


def _picked(chunk: Chunk, rows: np.ndarray) -> Chunk:
    weight = None if chunk.weight is None else chunk.weight[rows]
    return Chunk({name: block[rows] for name, block in chunk.x.items()}, chunk.y[rows], weight)


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, each made by a thread while the one before it is used; what making one raises is raised here."""
    source = iter(items)
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, source, END)
        while (item := coming.result()) is not END:
            coming = thread.submit(next, source, END)
            yield item

"""Sequence columns as one block of steps and channels."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.data.fitted import Sequence

MOST_STEPS = 1024  # where normalize.sequence.length does not say


def fit(columns: tuple[str, ...], batches: Iterable[pa.RecordBatch], *, length: int | None) -> Sequence:
    """Mean and deviation of each channel over all steps in train, and the longest length, at most MOST_STEPS.

    Args:
        batches: one list column a channel, in the order of `columns`.
    """
    count, total, squares = np.zeros((3, len(columns)))
    shift: list[float | None] = [None] * len(columns)  # a value near the mean, so that squares keep their digits
    longest = 1
    for batch in batches:
        for at in range(len(columns)):
            starts, ends, values = _steps(batch.column(at))
            longest = max(longest, int((ends - starts).max(initial=0)))
            values = values[np.isfinite(values)]
            if len(values):
                if shift[at] is None:
                    shift[at] = float(values[0])
                moved = values - shift[at]
                count[at], total[at], squares[at] = count[at] + len(values), total[at] + moved.sum(), squares[at] + (moved**2).sum()
    known = np.maximum(count, 1)
    deviations = np.sqrt(np.maximum(squares / known - (total / known) ** 2, 0.0))
    means = total / known + np.array([value or 0.0 for value in shift])
    stds = tuple(float(f"{value:.7g}") or 1.0 for value in deviations)
    return Sequence(columns, length or min(longest, MOST_STEPS), tuple(float(f"{value:.7g}") for value in means), stds)


def encode(sequence: Sequence, channels: list[pa.Array]) -> tuple[np.ndarray, np.ndarray]:
    """Steps (rows, length, channels) float32, zeros after a row's last step and where a value is missing, and lengths (rows,) int32."""
    rows = len(channels[0])
    block = np.zeros((rows, sequence.length, len(channels)), np.float32)
    lengths = np.zeros(rows, np.int32)
    for at, channel in enumerate(channels):
        starts, ends, values = _steps(channel)
        kept = np.minimum(ends - starts, sequence.length)
        row = np.repeat(np.arange(rows), kept)
        step = np.arange(kept.sum()) - np.repeat(np.cumsum(kept) - kept, kept)
        scaled = (values[np.repeat(ends - kept, kept) + step] - sequence.means[at]) / sequence.stds[at]
        block[row, step, at] = np.where(np.isfinite(scaled), scaled, 0.0)
        lengths = np.maximum(lengths, kept).astype(np.int32)
    return block, lengths


def _steps(lists: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each row's steps start and end, and the values of all steps; a missing row has none, a missing value is NaN."""
    if isinstance(lists, pa.ChunkedArray):
        lists = lists.combine_chunks()
    values = pc.cast(lists.flatten(), pa.float64()).to_numpy(zero_copy_only=False)
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    ends = np.cumsum(counts)
    return ends - counts, ends, values

"""What is watched of a row: its table columns as they are, and a few numbers that sum up what no distance can be taken of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data import text
from pipeline.data.fitted import Preprocessor, Text
from pipeline.data.media import decode_audio, decode_image

SECONDS = 20.0  # of a sound that are heard
SILENCE = 1e-5  # the least loudness, -100 dB


def features(clean: pd.DataFrame, fitted: Preprocessor) -> pd.DataFrame:
    """The columns to be watched for drift of clean rows: numbers as float64, categories as text or None.

    Of a text its words, the pieces that a word falls into and the share of pieces unknown to the vocabulary; of a picture its
    brightness, contrast and size; of a sound its loudness, pitch and length; of a sequence each channel's mean and deviation,
    and its steps.
    """
    found = {name: plain(clean[name]) for name in fitted.columns}
    for state in fitted.texts:
        found |= _texts(clean[state.column], state)
    for image in fitted.images:
        found |= _summed(clean[image.column], image.column, ("brightness", "contrast", "pixels"), _picture)
    for audio in fitted.audios:
        found |= _summed(clean[audio.column], audio.column, ("loudness", "pitch", "seconds"), _sound)
    for channel in fitted.sequence.columns if fitted.sequence else ():
        found |= _summed(clean[channel], channel, ("mean", "deviation", "steps"), _channel)
    return pd.DataFrame(found, index=clean.index)


def course(steps: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """The same of a forecast's windows, by channel (windows, look_back): deviation, mean step, and how far the end lies from the mean.

    The level itself is not watched: a series that grows leaves it behind for good, and the network is freed from it.
    """
    found = {}
    for name, values in steps.items():
        found[f"{name} (deviation)"] = np.nanstd(values, axis=1)
        found[f"{name} (step)"] = np.nanmean(np.abs(np.diff(values, axis=1)), axis=1) if values.shape[1] > 1 else np.zeros(len(values))
        found[f"{name} (end)"] = values[:, -1] - np.nanmean(values, axis=1)
    return pd.DataFrame(found)


def plain(column: pd.Series) -> pd.Series:
    """Numbers and dates (as days) as float64, all else as text or None."""
    if pd.api.types.is_bool_dtype(column.dtype) or column.dtype == object:
        return column.map(lambda value: None if value is None or value != value else str(value)).astype(object)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return (column - pd.Timestamp(0)).dt.total_seconds() / 86400
    return column.astype("float64")


def _texts(column: pd.Series, state: Text) -> dict[str, pd.Series]:
    """A missing text has no words, and the shares of its pieces are not known."""
    texts = [value if isinstance(value, str) else None for value in column]
    tokenizer = text.load(state)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    pieces = [row.ids for row in tokenizer.encode_batch_fast([(value or "")[: text.CHARACTERS] for value in texts])]
    words = np.array([np.nan if value is None else len(value[: text.CHARACTERS].split()) for value in texts], dtype=np.float64)
    count = np.array([len(ids) for ids in pieces], dtype=np.float64)
    unknown = np.array([ids.count(1) for ids in pieces], dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = {"words": words, "pieces a word": count / words, "unknown": np.where(np.isnan(words), np.nan, unknown / count)}
    return {f"{state.column} ({name})": _series(values, column) for name, values in found.items()}


def _summed(column: pd.Series, name: str, parts: Sequence[str], sums: Callable[[Any], Sequence[float]]) -> dict[str, pd.Series]:
    """One number for each part of each value; missing where the value is, or cannot be read."""
    rows = [sums(value) if value is not None and value is not pd.NA else [np.nan] * len(parts) for value in column]
    block = np.array(rows, dtype=np.float64).reshape(len(column), len(parts))
    return {f"{name} ({part})": _series(block[:, at], column) for at, part in enumerate(parts)}


def _series(values: np.ndarray, column: pd.Series) -> pd.Series:
    return pd.Series(np.where(np.isfinite(values), values, np.nan), index=column.index)


def _picture(data: bytes) -> Sequence[float]:
    try:
        pixels = decode_image(data).astype(np.float64) / 255
    except ValueError:
        return np.nan, np.nan, np.nan
    return pixels.mean(), pixels.std(), pixels.shape[0] * pixels.shape[1]


def _sound(data: bytes) -> Sequence[float]:
    """Loudness in decibels, the centre of the spectrum in hertz, and seconds (of the first 20)."""
    try:
        sound, rate = decode_audio(data, seconds=SECONDS)
    except ValueError:
        return np.nan, np.nan, np.nan
    power = np.abs(np.fft.rfft(sound)) ** 2
    centre = (np.fft.rfftfreq(len(sound), 1 / rate) * power).sum() / max(float(power.sum()), SILENCE**2)
    return 20 * np.log10(max(float(np.sqrt(np.mean(sound**2))), SILENCE)), centre, len(sound) / rate


def _channel(steps: Any) -> Sequence[float]:
    values = np.asarray(steps, dtype=np.float64)
    known = values[np.isfinite(values)]
    return (known.mean(), known.std(), len(values)) if len(known) else (np.nan, np.nan, len(values))

"""Sounds as log-mel spectrograms of one length."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from pipeline.data.fitted import Audio
from pipeline.data.media import decode_audio
from pipeline.errors import UserError

MOST_SECONDS = 10.0  # where normalize.audio.seconds does not say
LOOKED_AT = 1_000  # train sounds that the length and the scale are taken from
MOST_BYTES = 2**27  # of those together
WINDOW, HOP = 0.025, 0.010  # seconds, as is usual for speech and for sounds at large
FLOOR = 1e-6  # power below which all is silence


def fit(column: str, sounds: Iterable[bytes | None], *, sample_rate: int, seconds: float | None, mels: int) -> Audio:
    """Take the length (95th percentile, at most MOST_SECONDS) and mean and deviation of the spectrograms from train's first sounds."""
    heard, size = [], 0
    for data in sounds:
        if data is not None and size <= MOST_BYTES:
            heard.append(data)
            size += len(data)
    if seconds is None:
        lengths = [len(sound) / rate for sound, rate in (_decoded(column, data, 2 * MOST_SECONDS) for data in heard)]
        seconds = round(float(np.clip(np.quantile(lengths, 0.95), WINDOW, MOST_SECONDS)), 3) if lengths else 1.0
    audio = Audio(column, sample_rate, seconds, mels)
    count, total, squares = 0, 0.0, 0.0
    for data in heard:
        spectrogram = encode(audio, [data]).astype(np.float64)
        count += spectrogram.size
        total += float(spectrogram.sum())
        squares += float((spectrogram**2).sum())
    if not count:
        return audio
    mean = total / count
    std = math.sqrt(max(squares / count - mean**2, 0.0))
    return replace(audio, mean=float(f"{mean:.7g}"), std=float(f"{std:.7g}") or 1.0)


def frames(audio: Audio) -> int:
    """Steps of a spectrogram in time."""
    return 1 + round(audio.seconds * audio.sample_rate) // round(HOP * audio.sample_rate)


def encode(audio: Audio, sounds: Sequence[bytes | None]) -> np.ndarray:
    """Log-mel spectrograms (rows, frames, mels) float32; short sounds are followed by silence, a missing one is silence.

    Raises:
        UserError: a sound cannot be read.
    """
    block = np.empty((len(sounds), frames(audio), audio.mels), np.float32)
    samples = round(audio.seconds * audio.sample_rate)
    for at, data in enumerate(sounds):
        wave = np.zeros(samples, np.float32)
        if data is not None:
            sound, rate = _decoded(audio.column, data, audio.seconds)
            sound = _resampled(sound, rate, audio.sample_rate)[:samples]
            wave[: len(sound)] = sound
        block[at] = (_log_mel(wave, audio.sample_rate, audio.mels) - audio.mean) / audio.std
    return block


def _decoded(column: str, data: bytes, seconds: float) -> tuple[np.ndarray, int]:
    try:
        return decode_audio(data, seconds=seconds)
    except ValueError as error:
        raise UserError(f"column {column}: a sound is {error}") from None


def _resampled(sound: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    if rate == wanted:
        return sound
    from scipy.signal import resample_poly

    common = math.gcd(rate, wanted)
    return resample_poly(sound, wanted // common, rate // common).astype(np.float32)


def _log_mel(wave: np.ndarray, rate: int, mels: int) -> np.ndarray:
    """The logarithm of the power in mel bands, frame by frame, the frames centred: (frames, mels)."""
    window, hop = round(WINDOW * rate), round(HOP * rate)
    padded = np.pad(wave, (window // 2, window))
    pieces = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop][: 1 + len(wave) // hop]
    size = 1 << (window - 1).bit_length()
    power = np.abs(np.fft.rfft(pieces * np.hanning(window).astype(np.float32), size)) ** 2 / window
    return np.log(power @ _filters(rate, size, mels) + FLOOR).astype(np.float32)


@cache
def _filters(rate: int, size: int, mels: int) -> np.ndarray:
    """Triangles of equal width on the mel scale (O'Shaughnessy 1987): (size / 2 + 1, mels)."""
    top = 2595 * math.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, mels + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(size, 1 / rate)[:, None]
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)

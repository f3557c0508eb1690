"""Sounds that are made here, not recorded: a tone of one of five kinds, in noise."""

import io

import numpy as np
import pyarrow as pa
import soundfile

RATE, SECONDS, EACH = 8000, 0.5, 160
KINDS = ("falling", "rising", "steady", "trill", "pulse")


def load() -> pa.Table:
    """One row a sound: the bytes of a WAV file, and its kind."""
    rng = np.random.default_rng(0)
    rows = [(wav(sound(kind, rng)), kind) for kind in KINDS for _ in range(EACH)]
    return pa.table({"sound": pa.array([data for data, _ in rows], pa.binary()), "kind": [kind for _, kind in rows]})


def sound(kind: str, rng: np.random.Generator) -> np.ndarray:
    """Half a second of a tone whose pitch, speed, start and loudness are drawn, in noise about as loud as the tone."""
    time = np.arange(int(RATE * SECONDS)) / RATE
    low, high = np.sort(rng.uniform(300, 2500, 2))
    speed = rng.uniform(6, 14)  # of a trill or of pulses, a second
    pitch = {
        "rising": low + (high - low) * time / SECONDS,
        "falling": high - (high - low) * time / SECONDS,
        "trill": low * (1 + 0.15 * np.sign(np.sin(2 * np.pi * speed * time))),
    }.get(kind, np.full(len(time), low))
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / RATE + rng.uniform(0, 2 * np.pi))
    if kind == "pulse":
        tone *= np.sin(2 * np.pi * speed * time) > 0
    start = rng.uniform(0, 0.15)
    tone *= time >= start
    return 0.1 * rng.uniform(0.5, 1.5) * (tone + rng.normal(0, 1.2, len(time)))


def wav(samples: np.ndarray) -> bytes:
    """The bytes of a WAV file of 16 bits."""
    out = io.BytesIO()
    soundfile.write(out, np.clip(samples, -1, 1), RATE, format="WAV", subtype="PCM_16")
    return out.getvalue()

"""Picture, sound and idx files as bytes."""

from __future__ import annotations

import gzip
import io
import struct

import soundfile
from PIL import Image


def png(picture, form="PNG", **options):
    out = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(out, form, **options)
    return out.getvalue()


def wav(samples, rate=8000, form="WAV", subtype=None):
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=form, subtype=subtype)
    return out.getvalue()


def packed(data):
    """Without the time of day: each process that runs tests must name them alike."""
    return gzip.compress(data, mtime=0)


def idx(array, pack=packed):
    return pack(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes())

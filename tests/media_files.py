"""Picture and sound files as bytes."""

from __future__ import annotations

import io

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

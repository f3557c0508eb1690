"""Pictures and sounds from the bytes of their files: the one place that decodes them, for training and serving alike."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np

MAX_PIXELS = 64_000_000  # of a picture: more is a mistake, or a small file made to fill the memory
MAX_SAMPLES = 2**27  # of a sound, all its channels together: 25 minutes of 44.1 kHz stereo
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")  # the others are rare, and some start programs (EPS)
BACKGROUND = 255  # what transparent pixels lie on: white, as on a page


def decode_image(data: bytes) -> np.ndarray:
    """A picture as (height, width, channels) uint8, channels 1 (grey) or 3 (RGB).

    The first frame counts; the picture is turned as its EXIF data say, transparency is laid on white, and 16-bit grey
    becomes 8-bit.

    Raises:
        ValueError: the bytes are no whole picture of a known format, or one of more than MAX_PIXELS.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is lower
            with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    raise ValueError(f"{opened.width} x {opened.height} pixels, at most {MAX_PIXELS:,} are read")
                opened.load()
                return _pixels(ImageOps.exif_transpose(opened))
    except Exception as error:  # decoders raise all kinds on broken bytes
        raise ValueError(f"not readable as a picture: {_told(error)}") from None


def _pixels(picture: Any) -> np.ndarray:
    from PIL import Image

    if picture.mode.startswith("I;16"):
        return (np.asarray(picture).astype(np.uint16) // 257).astype(np.uint8)[:, :, None]
    if picture.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {picture.mode}, expected 8 or 16 bits")
    grey = picture.mode in ("1", "L", "LA", "La")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, (BACKGROUND, BACKGROUND, BACKGROUND, 255)), picture)
    pixels = np.asarray(picture.convert("L" if grey else "RGB"))
    return pixels[:, :, None] if grey else pixels


def decode_audio(data: bytes, *, seconds: float | None = None) -> tuple[np.ndarray, int]:
    """A sound as (samples,) float32 between -1 and 1, its channels averaged, and its sample rate in hertz.

    Args:
        seconds: read no more than these from the start.

    Raises:
        ValueError: the bytes are no whole sound of a known format, too long a one, or hold samples that are not finite.
    """
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as opened:
            rate = int(opened.samplerate)
            frames = opened.frames if seconds is None else min(opened.frames, round(seconds * rate))
            if frames * opened.channels > MAX_SAMPLES:
                raise ValueError(f"{opened.frames / rate:.0f} s of {opened.channels} channels, at most {MAX_SAMPLES:,} samples are read")
            sound = opened.read(frames, dtype="float32", always_2d=True)
    except Exception as error:
        raise ValueError(f"not readable as a sound: {_told(error)}") from None
    if not len(sound):
        raise ValueError("not readable as a sound: it holds no sample")
    if not np.isfinite(sound).all():
        raise ValueError("not readable as a sound: it holds samples that are not finite")
    return sound.mean(axis=1, dtype=np.float32), rate


def problem(kind: str, data: bytes) -> str | None:
    """Why an image or audio file cannot be read; None where it can."""
    from PIL import Image

    try:
        if kind == "audio":
            decode_audio(data)
        else:
            decode_image(data)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                with Image.open(io.BytesIO(data), formats=FORMATS) as opened:
                    opened.verify()  # checksums that decoding alone passes over
    except ValueError as error:
        return str(error)
    except Exception as error:
        return f"not readable as a picture: {_told(error)}"
    return None


def _told(error: Exception) -> str:
    """An error's first line, without the address of the stream in memory that libraries put in."""
    lines = str(error).replace("<_io.BytesIO object at 0x", "\0").splitlines() or [type(error).__name__]
    head, found, tail = lines[0].partition("\0")
    return f"{head}the file{tail.partition('>')[2]}" if found else lines[0]

"""Pictures and sounds decoded from bytes that the tests make."""

from __future__ import annotations

import numpy as np
import pytest
from media_files import png, wav
from PIL import Image

from pipeline.data import media
from pipeline.data.media import decode_audio, decode_image, problem

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF"])
def test_pixels_come_back(form):
    np.testing.assert_array_equal(decode_image(png(GREY, form))[:, :, 0], GREY)
    np.testing.assert_array_equal(decode_image(png(RGB, form)), RGB)


def test_modes_become_grey_or_rgb_of_8_bits():
    deep = decode_image(png(np.array([[0, 257, 65535]], np.uint16)))
    assert deep[0, :, 0].tolist() == [0, 1, 255]
    assert decode_image(png(Image.new("1", (2, 2), 1))).tolist() == [[[255], [255]]] * 2
    assert decode_image(png(Image.new("P", (2, 3)), "GIF")).shape == (3, 2, 3)
    assert decode_image(png(Image.new("CMYK", (2, 2)), "JPEG")).shape == (2, 2, 3)


def test_transparency_lies_on_white():
    assert decode_image(png(Image.new("RGBA", (1, 1), (255, 0, 0, 0))))[0, 0].tolist() == [255, 255, 255]
    assert decode_image(png(Image.new("RGBA", (1, 1), (200, 0, 0, 255))))[0, 0].tolist() == [200, 0, 0]
    assert decode_image(png(Image.new("LA", (1, 1), (10, 0))))[0, 0].tolist() == [255]


def test_a_picture_is_turned_as_exif_says():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter clockwise
    turned = decode_image(png(Image.fromarray(RGB), "PNG", exif=exif))
    np.testing.assert_array_equal(turned, np.rot90(RGB, -1))


@pytest.mark.parametrize("data", [b"", b"abc", b"\x89PNG\r\n\x1a\n", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
def test_what_is_no_picture_is_told_the_same_way_each_time(data):
    with pytest.raises(ValueError, match=r"^not readable as a picture: "):
        decode_image(data)
    assert problem("image", data) == problem("image", data)
    assert "0x" not in problem("image", data)


def test_every_cut_of_a_picture_is_refused_or_whole():
    data = png(RGB)
    assert problem("image", data) is None
    for end in range(0, len(data) - 12, 7):  # the last 12 bytes only say that it ends
        assert problem("image", data[:end]) is not None, end


def test_a_flipped_byte_in_the_pixels_is_found():
    data = bytearray(png(RGB))
    data[data.index(b"IDAT") + 20] ^= 0xFF
    assert problem("image", bytes(data)) is not None


def test_a_small_file_of_many_pixels_is_refused(monkeypatch):
    bomb = png(Image.new("1", (20_000, 20_000)))
    assert len(bomb) < 100_000
    assert "pixels" in problem("image", bomb)
    monkeypatch.setattr(media, "MAX_PIXELS", 34)
    assert problem("image", png(RGB)) == "not readable as a picture: 7 x 5 pixels, at most 34 are read"


@pytest.mark.parametrize("form", ["WAV", "FLAC", "OGG"])
def test_samples_come_back_as_the_mean_of_the_channels(form):
    time = np.arange(8000) / 8000
    stereo = np.stack([np.sin(2 * np.pi * 440 * time), np.zeros(8000)], axis=1) * 0.5
    sound, rate = decode_audio(wav(stereo, form=form))
    assert (rate, sound.dtype) == (8000, np.float32)
    assert sound == pytest.approx(stereo.mean(axis=1), abs=0.02 if form == "OGG" else 1e-4)


def test_only_the_seconds_asked_for_are_read():
    assert len(decode_audio(wav(np.zeros(8000)), seconds=0.25)[0]) == 2000
    assert len(decode_audio(wav(np.zeros(800)), seconds=0.25)[0]) == 800


def test_what_is_no_sound_is_told(monkeypatch):
    for data in (b"", b"RIFFxxxx", wav(np.zeros(10))[:30], png(RGB)):
        assert problem("audio", data).startswith("not readable as a sound: ")
        assert "0x" not in problem("audio", data)
    assert "no sample" in problem("audio", wav(np.zeros(0)))
    assert "not finite" in problem("audio", wav(np.array([0.0, np.nan]), subtype="FLOAT"))
    assert problem("audio", wav(np.zeros(10))) is None
    monkeypatch.setattr(media, "MAX_SAMPLES", 9)
    assert "at most 9 samples" in problem("audio", wav(np.zeros(10)))

"""What is watched of texts, pictures, sounds, sequences and a forecast's windows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from media_files import png, wav

from pipeline.data import text
from pipeline.data.fitted import Audio, Category, Image, Number, Preprocessor, Sequence, Target
from pipeline.monitoring.watching import course, features


def fitted(**parts: object) -> Preprocessor:
    return Preprocessor("binary", Target("y", ("no", "yes")), (), (), {}, **parts)  # type: ignore[arg-type]


def test_table_columns_are_watched_as_they_are() -> None:
    state = Preprocessor("binary", Target("y", ("no", "yes")), (Number("x", "value"), Number("x", "missing")), (Category("k", ("a",)),), {})
    found = features(pd.DataFrame({"x": [1, 2], "k": ["a", None], "other": [0, 0]}), state)
    assert found.to_dict("list") == {"x": [1.0, 2.0], "k": ["a", None]}


def test_a_text_of_other_words_falls_into_more_pieces() -> None:
    learnt = text.fit("words", ["the cat sat on the mat"] * 20, vocabulary=60, length=4)
    found = features(pd.DataFrame({"words": ["the cat sat on the mat", "eht tac 猫", None, ""]}), fitted(texts=(learnt,)))
    assert found["words (words)"].tolist()[:2] == [6, 3]
    assert found["words (pieces a word)"][0] == 1 < found["words (pieces a word)"][1]
    assert found["words (unknown)"][0] == 0 < found["words (unknown)"][1]
    assert found.iloc[2].isna().all()
    assert found["words (words)"][3] == 0


def test_pictures_are_watched_by_light_and_size() -> None:
    half = np.zeros((4, 6), np.uint8)
    half[:2] = 255
    column = [png(half), png(np.full((2, 2), 51, np.uint8)), None, b"broken"]
    found = features(pd.DataFrame({"photo": column}), fitted(images=(Image("photo", 4, 4, 1),)))
    assert found["photo (brightness)"].tolist()[:2] == pytest.approx([0.5, 0.2])
    assert found["photo (contrast)"].tolist()[:2] == pytest.approx([0.5, 0.0])
    assert found["photo (pixels)"].tolist()[:2] == [24, 4]
    assert found.iloc[2:].isna().all(axis=None)


def test_sounds_are_watched_by_loudness_pitch_and_length() -> None:
    time = np.arange(4000) / 8000
    tone = np.sin(2 * np.pi * 1000 * time)
    found = features(pd.DataFrame({"sound": [wav(tone * 0.5), wav(np.zeros(800)), None]}), fitted(audios=(Audio("sound", 8000, 1.0, 8),)))
    assert found["sound (loudness)"].tolist()[:2] == pytest.approx([20 * np.log10(0.5 / np.sqrt(2)), -100], abs=0.01)
    assert found["sound (pitch)"][0] == pytest.approx(1000, abs=5)
    assert found["sound (seconds)"].tolist()[:2] == [0.5, 0.1]
    assert found.iloc[2].isna().all()


def test_sequences_are_watched_by_channel() -> None:
    state = Sequence(("a", "b"), 3, (0.0, 0.0), (1.0, 1.0))
    frame = pd.DataFrame({"a": [np.array([1.0, 3.0]), None], "b": [[np.nan, 4.0], []]})
    found = features(frame, fitted(sequence=state))
    assert found.iloc[0].tolist() == [2, 1, 2, 4, 0, 2]
    assert found["a (mean)"].isna().tolist() == [False, True]
    assert (found["b (steps)"][1], np.isnan(found["b (mean)"][1])) == (0, True)


def test_a_forecast_s_windows_are_watched_apart_from_their_level() -> None:
    values = np.array([[1.0, 2.0, 6.0]])
    found, higher = course({"y": values}), course({"y": values + 1000})
    assert found.iloc[0].tolist() == [pytest.approx(np.std([1, 2, 6])), 2.5, 3.0]
    pd.testing.assert_frame_equal(found, higher)

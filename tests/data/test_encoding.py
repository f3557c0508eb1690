"""Texts, pictures, sounds and sequences as arrays, each learnt from a few values."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from media_files import png, wav

from pipeline.data import audio, image, sequence, text
from pipeline.data.encoding import Encoder
from pipeline.data.fitted import Audio, Category, Image, Number, Preprocessor, Sequence, Target
from pipeline.errors import UserError

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)
RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
TEXTS = ["Win a PRIZE now, win!", "see you at home", "now or never", None, "Wín at home", "you win"] * 4


def test_a_vocabulary_is_the_same_each_time_and_its_ids_start_with_padding_and_unknown():
    states = [text.fit("t", TEXTS, vocabulary=60, length=None) for _ in range(3)]
    assert states[0] == states[1] == states[2]
    vocabulary = states[0].tokenizer["model"]["vocab"]
    assert (vocabulary["[PAD]"], vocabulary["[UNK]"], states[0].vocabulary) == (0, 1, len(vocabulary))
    assert len(vocabulary) <= 60
    assert states[0].length == np.ceil(np.quantile([len(row[row > 0]) for row in encode(states[0], [t for t in TEXTS if t])], 0.95))


def encode(state, texts):
    return text.encode(text.load(state), texts)


def test_texts_are_padded_cut_and_folded():
    state = text.fit("t", TEXTS, vocabulary=60, length=5)
    found = encode(state, ["win", "WIN", "wi\u0301n", "w\u00edn", None, "", "\u65e5\u672c", "now " * 50])
    assert (found.shape, found.dtype) == ((8, 5), np.int32)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[2], found[3])  # one letter, two ways to write it
    assert not found[4:6].any()
    assert 1 in found[6]
    assert (found[7] > 1).all()
    assert encode(state, []).shape == (0, 5)


def test_a_token_knows_where_a_word_starts():
    state = text.fit("t", ["ab cab"] * 5, vocabulary=30, length=4)
    start, inside = encode(state, ["ab", "cab"])
    assert start[0] not in inside


def test_rare_letters_give_way_in_a_small_vocabulary():
    state = text.fit("t", ["aaaa bbbb cccc", "aaaa bbbb", "xyz"] * 3, vocabulary=16, length=4)
    assert state.vocabulary <= 16
    assert 1 in encode(state, ["zzz"])[0]


def test_size_and_colour_of_pictures_come_from_train():
    state = image.fit("i", [png(GREY), None, png(RGB), png(RGB)], height=None, width=None, channels=None)
    assert state == Image("i", 5, 7, 3)
    colourless = np.repeat(GREY[:, :, None], 3, axis=2)
    assert image.fit("i", [png(colourless)], height=None, width=9, channels=None) == Image("i", 3, 9, 1)
    huge = png(np.zeros((300, 10), np.uint8))
    assert image.fit("i", [huge], height=None, width=None, channels=None) == Image("i", 224, 10, 1)


def test_pictures_of_the_size_are_kept_and_others_scaled():
    found = image.encode(Image("i", 5, 7, 3), [png(RGB), None, png(np.full((50, 20), 77, np.uint8))])
    np.testing.assert_array_equal(found[0], RGB)
    assert not found[1].any()
    assert (found[2] == 77).all()
    half = np.zeros((4, 4), np.uint8)
    half[:, :2] = 200
    assert image.encode(Image("i", 2, 2, 1), [png(half)])[0, :, :, 0].tolist() == pytest.approx(np.array([[175, 25]] * 2), abs=30)
    with pytest.raises(UserError, match=r"^column i: a picture is not readable"):
        image.encode(Image("i", 2, 2, 1), [b"no"])


def tone(hertz, rate, seconds=1.0):
    return wav(0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate), rate)


def test_a_tone_lights_its_mel_band_whatever_its_sample_rate():
    state = Audio("a", 8000, 1.0, 20)
    found = audio.encode(state, [tone(500, 8000), tone(500, 22_050), tone(2000, 8000), None])
    assert (found.shape, found.dtype) == ((4, 101, 20), np.float32)
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 4000 / 700), 22) / 2595) - 1)
    for row, hertz in ((0, 500), (1, 500), (2, 2000)):
        band = int(found[row, 50].argmax())
        assert edges[band] < hertz < edges[band + 2]
    assert found[0, 10:90] == pytest.approx(found[1, 10:90], abs=0.5)
    assert found[3] == pytest.approx(np.log(audio.FLOOR))


def test_length_and_scale_of_sounds_come_from_train():
    sounds = [tone(hertz, 8000, 0.5) for hertz in (200, 900, 3000)]
    state = audio.fit("a", [*sounds, None], sample_rate=8000, seconds=None, mels=16)
    assert state.seconds == 0.5
    found = audio.encode(state, sounds).astype(np.float64)
    assert (found.mean(), found.std()) == pytest.approx((0, 1), abs=1e-3)
    assert (
        audio.encode(state, [tone(200, 8000, 0.2)]).shape == audio.encode(state, [tone(200, 8000, 3)]).shape == (1, audio.frames(state), 16)
    )


def batch(*channels):
    return pa.record_batch({f"s{at}": pa.array(values, pa.list_(pa.float64())) for at, values in enumerate(channels)})


def test_sequences_are_scaled_cut_to_their_last_steps_and_padded():
    a, b = [[1.0, 2.0, 3.0], None, [5.0], []], [[0.0, 0.0, 1.0], None, [1.0], []]
    state = sequence.fit(("a", "b"), [batch(a[:2], b[:2]), batch(a[2:], b[2:])], length=2)
    values = np.array([1, 2, 3, 5])
    assert state == Sequence(("a", "b"), 2, (pytest.approx(2.75), 0.5), (pytest.approx(values.std(), rel=1e-6), 0.5))
    block, lengths = sequence.encode(state, batch(a, b).columns)
    assert lengths.tolist() == [2, 0, 1, 0]
    assert block[0, :, 0] == pytest.approx((np.array([2, 3]) - 2.75) / values.std())
    assert block[:, :, 1].tolist() == [[-1, 1], [0, 0], [1, 0], [0, 0]]
    assert not block[1].any()
    assert sequence.fit(("a",), [batch(a)], length=None).length == 3


def test_missing_steps_are_train_s_mean_and_slices_are_read_rightly():
    state = Sequence(("a",), 3, (1.0,), (2.0,))
    whole = pa.array([[9.0], [3.0, None, float("nan")], [5.0]], pa.list_(pa.float64()))
    block, lengths = sequence.encode(state, [whole.slice(1, 2)])
    assert block[:, :, 0].tolist() == [[1, 0, 0], [2, 0, 0]]
    assert lengths.tolist() == [3, 1]


def test_blocks_asked_for_are_those_given_and_shapes_hold():
    fitted = Preprocessor(
        "binary",
        Target("y", ("no", "yes")),
        (Number("x", "value"), Number("q", "value", knots=(0.0, 1.0, 10.0), ranks=(-2.0, 0.0, 2.0))),
        (Category("k", ("Oslo", None), ("oslo", None)),),
        {},
        (text.fit("t", TEXTS, vocabulary=40, length=3),),
        (Image("i", 5, 7, 3),),
        (Audio("a", 8000, 0.1, 8),),
        Sequence(("s",), 2, (0.0,), (1.0,)),
    )
    table = pa.record_batch(
        {
            "x": pa.array([1.5, 2.5]),
            "q": pa.array([None, 5.5]),
            "k": pa.array(["OSLO", None]),
            "t": pa.array(["win", None]),
            "i": pa.array([png(RGB), None]),
            "a": pa.array([None, tone(500, 8000, 0.1)]),
            "s": pa.array([[1.0], [2.0, 3.0]], pa.list_(pa.float64())),
        }
    )
    encoder = Encoder(fitted)
    found = encoder.blocks(table)
    assert {name: (block.shape[1:], block.dtype.type) for name, block in found.items()} == encoder.shapes
    assert found["number"].tolist() == [[1.5, 0.0], [2.5, 1.0]]
    assert found["category"].tolist() == [[1], [2]]
    assert list(encoder.blocks(table, ["category"])) == ["category"]
    assert encoder.columns(["number", "text_0", "sequence"]) == ("x", "q", "t", "s")
    assert encoder.columns(encoder.shapes) == fitted.all_columns == ("x", "q", "k", "t", "i", "a", "s")
    assert Preprocessor.from_json(fitted.to_json()) == fitted

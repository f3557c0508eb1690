"""Build: params and preprocessing become a Keras model."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from pipeline import extensions
from pipeline.config import ModelParams
from pipeline.data import audio
from pipeline.data.fitted import Preprocessor
from pipeline.errors import UserError
from pipeline.models import cnn, columns, forecast, heads, mlp, own, rnn, transformer
from pipeline.models.blocks import dropped, one_width
from pipeline.models.families import Group, groups
from pipeline.models.members import MemberMean, Members
from pipeline.models.steps import LengthMask, Masked, TokenMask

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip archive can hold


def build(fitted: Preprocessor, model: ModelParams, seed: int) -> keras.Model:
    """The network for these inputs; one seed gives one set of initial weights.

    Inputs, each only where the data have such columns: number (batch, N) float32, category (batch, C) int32, text_0.. (batch,
    T) int32, image_0.. (batch, H, W, C) uint8, audio_0.. (batch, frames, mels) float32, sequence (batch, T, channels) float32
    with sequence_length (batch,) int32; for a forecast series (batch, look_back, channels) float32 alone.

    The output, called output: (batch, 1) or (batch, classes), for a forecast (batch, horizon, targets); with several
    members (batch, members, ...), see `serving`.

    Raises:
        UserError: the family cannot read the data, Keras knows no such activation or initializer, or the user's own encoder fails.
    """
    _check(model)
    chosen = groups(fitted, model)
    owned = {group.name: own.encoder(group.kind, group.own) for group in chosen if group.own}
    own.check_options(model.options, owned.values())
    keras.utils.set_random_seed(seed)
    inputs = _inputs(fitted)
    if fitted.forecast:
        outputs = forecast.network(inputs["series"], fitted, model, encode=_forecaster(chosen[0], model, owned))
    else:
        encoded = [_encoded(group, inputs, fitted, model, owned.get(group.name)) for group in chosen]
        outputs = heads.head(_joined(encoded, model), fitted)
    network = keras.Model(inputs, outputs, name="model")
    if owned:
        own.check_saved(network, owned.values())
    return network


def serving(network: keras.Model) -> keras.Model:
    """The network that is saved and asked: it shares the layers of `network`, and its members' answers are averaged."""
    if not any(isinstance(layer, Members) for layer in network.layers):
        return network
    return keras.Model(network.input, MemberMean(dtype="float32", name="mean")(network.output), name="model")


def _check(model: ModelParams) -> None:
    for key, registry in (("activation", keras.activations), ("initializer", keras.initializers)):
        name = getattr(model, key)
        try:
            if name != "auto" and registry.get(name) is None:
                raise ValueError
        except ValueError:
            raise UserError(f"model.{key}: {name!r} is no {key} of Keras {keras.__version__}") from None


def _inputs(fitted: Preprocessor) -> dict[str, Any]:
    shapes: dict[str, tuple[tuple[int, ...], str]] = {}
    if fitted.forecast:
        shapes["series"] = (fitted.forecast.look_back, len(fitted.numbers)), "float32"
    else:
        if fitted.numbers:
            shapes["number"] = (len(fitted.numbers),), "float32"
        if fitted.categories:
            shapes["category"] = (len(fitted.categories),), "int32"
        shapes |= {f"text_{at}": ((text.length,), "int32") for at, text in enumerate(fitted.texts)}
        shapes |= {f"image_{at}": ((image.height, image.width, image.channels), "uint8") for at, image in enumerate(fitted.images)}
        shapes |= {f"audio_{at}": ((audio.frames(sound), sound.mels), "float32") for at, sound in enumerate(fitted.audios)}
        if fitted.sequence:
            shapes["sequence"] = (fitted.sequence.length, len(fitted.sequence.columns)), "float32"
            shapes["sequence_length"] = (), "int32"
    return {name: keras.Input(shape, dtype=kind, name=name) for name, (shape, kind) in shapes.items()}


def _encoded(
    group: Group, inputs: dict[str, Any], fitted: Preprocessor, model: ModelParams, owned: extensions.Extension | None = None
) -> Any:
    """One group of inputs as (batch, width), for a table of several members (batch, k, width)."""
    if owned is not None:
        x, mask = _given(group, inputs, fitted, model)
        return own.encoded(owned, x, mask, model.options, group=group.name)
    family, prefix = {"mlp": mlp, "cnn": cnn, "rnn": rnn, "transformer": transformer}[group.family], f"{group.name}_"
    if group.kind == "table":
        return family.table(inputs, fitted, model)
    x = inputs[group.name]
    if group.kind == "image":
        return family.picture(keras.layers.Rescaling(1 / 255, name=f"{prefix}scaled")(x), model, prefix=prefix)
    if group.kind == "audio":
        if group.family == "cnn":
            return cnn.picture(keras.layers.Reshape((*x.shape[1:], 1), name=f"{prefix}spectrogram")(x), model, prefix=prefix)
        return family.steps(x, None, model, prefix=prefix)
    if group.kind == "sequence":
        mask = LengthMask(x.shape[1], name=f"{prefix}mask")(inputs["sequence_length"])
        x = Masked(name=f"{prefix}there")(x, mask)
        if family is transformer and (size := transformer.patch_of(x.shape[1], model)) > 1:
            mask = LengthMask(-(-x.shape[1] // size), stride=size, name=f"{prefix}patch_mask")(inputs["sequence_length"])
        return family.steps(x, mask, model, prefix=prefix)
    x, mask = _tokens(group, x, fitted, model)
    return (family.text if family in (mlp, transformer) else family.steps)(x, mask, model, prefix=prefix)


def _given(group: Group, inputs: dict[str, Any], fitted: Preprocessor, model: ModelParams) -> tuple[Any, Any]:
    """What an encoder of the user's gets of a group of inputs, with the mask of its steps where rows are of unequal length.

    table (batch, features): the columns as an mlp sees them; text (batch, tokens, width); image (batch, height, width, channels)
    from 0 to 1; audio (batch, frames, mels); sequence (batch, steps, channels).
    """
    if group.kind == "table":
        return columns.features(inputs, fitted, model), None
    x, prefix = inputs[group.name], f"{group.name}_"
    if group.kind == "image":
        return keras.layers.Rescaling(1 / 255, name=f"{prefix}scaled")(x), None
    if group.kind == "sequence":
        mask = LengthMask(x.shape[1], name=f"{prefix}mask")(inputs["sequence_length"])
        return Masked(name=f"{prefix}there")(x, mask), mask
    return _tokens(group, x, fitted, model) if group.kind == "text" else (x, None)


def _tokens(group: Group, x: Any, fitted: Preprocessor, model: ModelParams) -> tuple[Any, Any]:
    """A text's embedded tokens (batch, tokens, width), and which of them are there."""
    text, width = fitted.texts[int(group.name.removeprefix("text_"))], _token_width(group, model)
    start = keras.initializers.RandomNormal(stddev=width**-0.5)
    mask = TokenMask(name=f"{group.name}_mask")(x)
    return keras.layers.Embedding(text.vocabulary, width, embeddings_initializer=start, name=f"{group.name}_embedding")(x), mask


def _token_width(group: Group, model: ModelParams) -> int:
    return transformer.width_of(model) if group.family == "transformer" else one_width(model, transformer.WIDTH)


def _joined(encoded: list[Any], model: ModelParams) -> Any:
    """The encoders' outputs side by side and, of several, one hidden layer over them: what one kind of column says depends on another."""
    several = model.members > 1
    parts = [x if len(x.shape) == 3 or not several else Members(model.members, name=f"members_of_{at}")(x) for at, x in enumerate(encoded)]
    if len(parts) == 1:
        return parts[0]
    x = keras.layers.Concatenate(name="joined")(parts)
    if model.layers == 0:
        return x
    x = mlp.dense(x, one_width(model, mlp.WIDTH, at=-1), model, name="joint", norm="joint_norm")
    return dropped(x, model, name="joint_dropout")


def _forecaster(group: Group, model: ModelParams, owned: Mapping[str, extensions.Extension]) -> forecast.Encode | None:
    """The encoder of a forecast's windows; none where a linear map is all."""
    if one := owned.get(group.name):
        return lambda x: own.encoded(one, x, None, model.options, group=group.name)
    if model.layers == 0 or (group.family == "mlp" and model.layers is None):
        return None
    return {
        "mlp": lambda x: mlp.steps(x, None, model, prefix="series_"),
        "cnn": lambda x: cnn.steps(x, None, model, prefix="series_"),
        "rnn": lambda x: rnn.steps(x, None, model, prefix="series_", forward=True),
        "transformer": lambda x: transformer.steps(x, None, model, prefix="series_", flat=True),
    }[group.family]


def save(model: keras.Model, file: Path) -> None:
    """Save `model` without optimizer, the same bytes for the same weights.

    Keras writes the date, and memory addresses as shared_object_id; here they become constants.
    """
    buffer = io.BytesIO()
    fresh = file.with_name("new.keras")
    model.save(fresh)
    with zipfile.ZipFile(fresh) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in sorted(old.namelist()):
            data = old.read(name)
            if name.endswith(".json"):
                data = json.dumps(_constant(json.loads(data), {}), indent=1).encode()
            new.writestr(zipfile.ZipInfo(name, EPOCH), data, zipfile.ZIP_STORED)
    fresh.unlink()
    file.write_bytes(buffer.getvalue())


def _constant(value: Any, seen: dict[int, int]) -> Any:
    if isinstance(value, dict):
        value = {k: "1980-01-01@00:00:00" if k == "date_saved" else v for k, v in value.items()}
        if isinstance(shared := value.get("shared_object_id"), int):
            value["shared_object_id"] = seen.setdefault(shared, len(seen))
        return {k: _constant(v, seen) for k, v in value.items()}
    return [_constant(inner, seen) for inner in value] if isinstance(value, list) else value

"""The transformer: self-attention over tokens of texts, steps, picture patches or table columns; -> (batch, width)."""

from __future__ import annotations

import math
from typing import Any

import keras

from pipeline.config import ModelParams
from pipeline.data.fitted import Preprocessor
from pipeline.errors import UserError
from pipeline.models import columns
from pipeline.models.blocks import added, dropped, initializer, normalized, one_width, widths
from pipeline.models.steps import ClassToken, Pool, Positions

LAYERS, WIDTH = 2, 64
FEED_FORWARD = 2  # times the width
TOKENS = 64  # that patches keep below


def table(inputs: dict[str, Any], fitted: Preprocessor, model: ModelParams) -> Any:
    """A token a column and one that gathers the row; order means nothing here, so that there are no positions."""
    x = columns.tokens(inputs, fitted, model, width_of(model))
    x = blocks(ClassToken(name="class_token")(x), None, model)
    return keras.layers.Flatten(name="gathered")(keras.layers.Cropping1D((0, x.shape[1] - 1), name="class_only")(x))


def steps(x: Any, mask: Any, model: ModelParams, *, prefix: str, flat: bool = False) -> Any:
    """Steps, a few in a row as one token (Nie et al. 2023, "A Time Series is Worth 64 Words"): -> (batch, width).

    Args:
        mask: of the patches, see `patch_of`.
        flat: all tokens one after the other instead of their mean: what is said depends on where it stood.
    """
    size, width = patch_of(x.shape[1], model), width_of(model)
    if short := -x.shape[1] % size:
        x = keras.layers.ZeroPadding1D((0, short), name=f"{prefix}filled")(x)
    x = keras.layers.Conv1D(width, size, size, kernel_initializer=initializer(model, "linear"), name=f"{prefix}patches")(x)
    return _pooled(blocks(_placed(x, model, prefix), mask, model, prefix=prefix), mask, model, prefix, flat=flat)


def text(x: Any, mask: Any, model: ModelParams, *, prefix: str) -> Any:
    """Embedded token ids (batch, tokens, width) -> (batch, width)."""
    return _pooled(blocks(_placed(x, model, prefix), mask, model, prefix=prefix), mask, model, prefix)


def picture(x: Any, model: ModelParams, *, prefix: str) -> Any:
    """Square patches as tokens (Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words"): -> (batch, width)."""
    size, width = model.patch or max(1, math.ceil(math.sqrt(x.shape[1] * x.shape[2] / TOKENS))), width_of(model)
    start = initializer(model, "linear")
    x = keras.layers.Conv2D(width, size, size, "same", kernel_initializer=start, name=f"{prefix}patches")(x)
    x = keras.layers.Reshape((x.shape[1] * x.shape[2], width), name=f"{prefix}tokens")(x)
    return _pooled(blocks(_placed(x, model, prefix), None, model, prefix=prefix), None, model, prefix)


def width_of(model: ModelParams) -> int:
    """Width of every token.

    Raises:
        UserError: model.width is a list with different widths: blocks add to what they are given.
    """
    given = widths(model, LAYERS if model.layers is None else model.layers, WIDTH) or [one_width(model, WIDTH)]
    if len(set(given)) > 1:
        raise UserError(f"model.width: all blocks of a transformer have one width, got {', '.join(map(str, given))}")
    return given[0]


def patch_of(steps: int, model: ModelParams) -> int:
    """Steps that make one token."""
    return model.patch or math.ceil(steps / TOKENS)


def blocks(x: Any, mask: Any, model: ModelParams, *, prefix: str = "") -> Any:
    """Attention and feed-forward layers, each normalized before it (Xiong et al. 2020) and added: (batch, tokens, width) -> the same.

    Raises:
        UserError: the heads do not divide the width.
    """
    width, count = x.shape[-1], LAYERS if model.layers is None else model.layers
    if width % model.heads:
        raise UserError(f"model.heads: {model.heads} heads do not divide the width {width}; choose a width that is a multiple of them")
    seen = None if mask is None else keras.layers.Reshape((1, x.shape[1]), name=f"{prefix}seen")(mask)  # by every token
    for at in range(1, count + 1):
        name = f"{prefix}block_{at}"
        y = _norm(x, model, name=f"{name}_norm_1", mask=mask)
        start = initializer(model, "linear")
        attention = keras.layers.MultiHeadAttention(model.heads, width // model.heads, kernel_initializer=start, name=f"{name}_attention")
        y = attention(y, y) if seen is None else attention(y, y, attention_mask=seen)
        x = added(x, dropped(y, model, name=f"{name}_dropout_1"), model, at=at, of=count, name=f"{name}_add_1")
        y = _norm(x, model, name=f"{name}_norm_2", mask=mask)
        inner, outer = initializer(model), initializer(model, "linear")
        y = keras.layers.Dense(FEED_FORWARD * width, model.activation, kernel_initializer=inner, name=f"{name}_inner")(y)
        y = keras.layers.Dense(width, kernel_initializer=outer, name=f"{name}_outer")(dropped(y, model, name=f"{name}_dropout_2"))
        x = added(x, dropped(y, model, name=f"{name}_dropout_3"), model, at=at, of=count, name=f"{name}_add_2")
    return _norm(x, model, name=f"{prefix}norm", mask=mask) if count else x


def _norm(x: Any, model: ModelParams, *, name: str, mask: Any) -> Any:
    return normalized(x, model, auto="layer", name=name, mask=mask)


def _placed(x: Any, model: ModelParams, prefix: str) -> Any:
    return dropped(Positions(model.positions, name=f"{prefix}positions")(x), model, name=f"{prefix}dropout")


def _pooled(x: Any, mask: Any, model: ModelParams, prefix: str, *, flat: bool = False) -> Any:
    return keras.layers.Flatten(name=f"{prefix}flat")(x) if flat else Pool(name=f"{prefix}pool")(x, mask)

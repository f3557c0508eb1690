"""The multi-layer perceptron, for table columns and for whatever is made one vector: -> (batch, width)."""

from __future__ import annotations

from typing import Any

import keras

from pipeline.config import ModelParams
from pipeline.data.fitted import Preprocessor
from pipeline.models import columns
from pipeline.models.blocks import activated, added, dropped, initializer, normalized, widths
from pipeline.models.members import MemberDense, Members
from pipeline.models.steps import Pool

LAYERS, WIDTH = 3, 192


def table(inputs: dict[str, Any], fitted: Preprocessor, model: ModelParams) -> Any:
    """Join the encoded columns and send them through the hidden layers; several members see them each in its own way.

    `layers: 0` gives the encoded columns themselves: a linear model.
    """
    x = columns.features(inputs, fitted, model)
    if model.members > 1:
        x = Members(model.members, name="members")(x)
    return hidden(x, model)


def picture(x: Any, model: ModelParams, *, prefix: str) -> Any:
    """All pixels as one vector: (batch, height, width, channels) -> (batch, width)."""
    return hidden(keras.layers.Flatten(name=f"{prefix}pixels")(x), model, prefix=prefix)


def steps(x: Any, mask: Any, model: ModelParams, *, prefix: str) -> Any:
    """All steps as one vector: (batch, steps, channels) -> (batch, width); those past the end are zeros."""
    return hidden(keras.layers.Flatten(name=f"{prefix}steps")(x), model, prefix=prefix)


def text(x: Any, mask: Any, model: ModelParams, *, prefix: str) -> Any:
    """Mean and maximum of the tokens' embeddings: a bag of words (Iyyer et al. 2015, "Deep Unordered Composition")."""
    return hidden(Pool(("mean", "max"), name=f"{prefix}bag")(x, mask), model, prefix=prefix)


def hidden(x: Any, model: ModelParams, *, prefix: str = "", layers: int | None = None) -> Any:
    """The hidden layers: (batch, [k,] features) -> (batch, [k,] width)."""
    count = next(n for n in (layers, model.layers, LAYERS) if n is not None)
    for at, width in enumerate(widths(model, count, WIDTH), 1):
        y = dense(x, width, model, name=f"{prefix}hidden_{at}", norm=f"{prefix}norm_{at}")
        y = dropped(y, model, name=f"{prefix}dropout_{at}")
        # the first layer maps to the width: it has nothing to add to
        adds = model.residual and at > 1 and x.shape == y.shape
        x = added(x, y, model, at=at, of=count, name=f"{prefix}add_{at}") if adds else y
    return x


def dense(x: Any, width: int, model: ModelParams, *, name: str, norm: str) -> Any:
    """One hidden layer, normalized where the params say so: (batch, [k,] features) -> (batch, [k,] width)."""
    kind = keras.layers.Dense if len(x.shape) == 2 else MemberDense
    start = initializer(model)
    if model.normalization in ("auto", "none"):
        return kind(width, model.activation, kernel_initializer=start, name=name)(x)
    y = kind(width, kernel_initializer=start, name=name)(x)
    return activated(normalized(y, model, auto="none", name=norm), model, name=f"{name}_{model.activation}")

"""The convolutional network: residual blocks over pictures and spectrograms, inception modules over steps; -> (batch, width)."""

from __future__ import annotations

from typing import Any

import keras

from pipeline.config import ModelParams
from pipeline.models.blocks import activated, added, dropped, initializer, normalized, one_width, widths
from pipeline.models.steps import Masked, Pool

LAYERS, WIDTH, KERNEL = 3, 32, 3  # of a picture
STEM_SIDE = 64  # pixels that the first block works on at most
SMALLEST_SIDE = 8  # pixels that are halved
WIDEST = 8  # times the first width
MODULES, FILTERS, LONGEST = 3, 32, 40  # of steps: InceptionTime has 6 modules; 3 do for the data of a laptop
POOLED = 3  # steps of the maximum beside the convolutions
REDUCTION = 8  # of squeeze-excite


def picture(x: Any, model: ModelParams, *, prefix: str) -> Any:
    """(batch, height, width, channels) -> (batch, width of the last block); 0 layers give the pixels themselves.

    A ResNet (He et al. 2016): every block but the first halves the picture, as long as it is large enough, and doubles the
    channels.
    """
    blocks, width = LAYERS if model.layers is None else model.layers, one_width(model, WIDTH)
    if not blocks:
        return keras.layers.Flatten(name=f"{prefix}pixels")(x)
    size, at = model.kernel or KERNEL, 0
    stride = 1
    while max(x.shape[1:3]) // stride > STEM_SIDE:
        stride *= 2
    x = _convolution(x, width, max(size, stride), model, stride=stride, name=f"{prefix}stem")
    x = _norm(x, model, name=f"{prefix}stem_norm")
    x = activated(x, model, name=f"{prefix}stem_{model.activation}")
    given = widths(model, blocks, WIDTH) if isinstance(model.width, tuple) else None
    for at in range(1, blocks + 1):
        wide = given[at - 1] if given else min(width * 2 ** (at - 1), width * WIDEST)
        x = _block(x, wide, size, model, at=at, of=blocks, stride=2 if at > 1 and min(x.shape[1:3]) >= SMALLEST_SIDE else 1, prefix=prefix)
    x = keras.layers.GlobalAveragePooling2D(name=f"{prefix}pool")(x)
    return dropped(x, model, name=f"{prefix}dropout")


def _block(x: Any, width: int, size: int, model: ModelParams, *, at: int, of: int, stride: int, prefix: str) -> Any:
    name = f"{prefix}block_{at}"
    y = _convolution(x, width, size, model, stride=stride, name=f"{name}_conv_1")
    y = activated(_norm(y, model, name=f"{name}_norm_1"), model, name=f"{name}_{model.activation}_1")
    y = _norm(_convolution(y, width, size, model, name=f"{name}_conv_2"), model, name=f"{name}_norm_2")
    if model.squeeze_excite:
        whole = keras.layers.GlobalAveragePooling2D(name=f"{name}_squeeze")(y)
        y = _excited(y, whole, (1, 1, width), model, name=name)
    if model.residual is not False:
        if x.shape != y.shape:
            x = _norm(_convolution(x, width, 1, model, stride=stride, name=f"{name}_shortcut"), model, name=f"{name}_shortcut_norm")
        y = added(x, y, model, at=at, of=of, name=f"{name}_add")
    return activated(y, model, name=f"{name}_{model.activation}_2")


def _norm(x: Any, model: ModelParams, *, name: str, mask: Any = None) -> Any:
    return normalized(x, model, auto="batch", name=name, mask=mask)


def _convolution(x: Any, width: int, size: int, model: ModelParams, *, stride: int = 1, name: str) -> Any:
    kind = keras.layers.Conv2D if len(x.shape) == 4 else keras.layers.Conv1D
    bias = model.normalization == "none"  # a normalization that follows has one
    return kind(width, size, stride, "same", use_bias=bias, kernel_initializer=initializer(model), name=name)(x)


def _excited(y: Any, whole: Any, shape: tuple[int, ...], model: ModelParams, *, name: str) -> Any:
    """Each channel times a weight between 0 and 1 that follows from all channels' means."""
    width = shape[-1]
    weight = keras.layers.Dense(max(width // REDUCTION, 1), model.activation, kernel_initializer=initializer(model), name=f"{name}_reduce")(
        whole
    )
    weight = keras.layers.Dense(width, "sigmoid", name=f"{name}_excite")(weight)
    return keras.layers.Multiply(name=f"{name}_weighed")([y, keras.layers.Reshape(shape, name=f"{name}_weights")(weight)])


def steps(x: Any, mask: Any, model: ModelParams, *, prefix: str) -> Any:
    """(batch, steps, channels) -> (batch, 2 * 4 * width): mean and maximum over the steps of the last inception module.

    InceptionTime (Ismail Fawaz et al. 2020): each module joins convolutions of three lengths and a maximum, and every third
    adds what came in before them.
    """
    modules = MODULES if model.layers is None else model.layers
    if not modules:
        return keras.layers.Flatten(name=f"{prefix}steps")(x)
    before = x
    for at, width in enumerate(widths(model, modules, FILTERS), 1):
        x = _module(x, mask, model, width, name=f"{prefix}module_{at}")
        if model.residual is not False and at % 3 == 0:
            if before.shape != x.shape:
                before = _convolution(before, x.shape[-1], 1, model, name=f"{prefix}shortcut_{at}")
                before = _norm(before, model, name=f"{prefix}shortcut_norm_{at}", mask=mask)
            x = added(before, x, model, at=at, of=modules, name=f"{prefix}add_{at}")
            x = before = activated(x, model, name=f"{prefix}{model.activation}_{at}")
    x = Pool(("mean", "max"), name=f"{prefix}pool")(x, mask)
    return dropped(x, model, name=f"{prefix}dropout")


def _module(x: Any, mask: Any, model: ModelParams, width: int, *, name: str) -> Any:
    longest = min(model.kernel or LONGEST, x.shape[1])
    x = x if mask is None else Masked(name=f"{name}_masked")(x, mask)
    narrow = _convolution(x, width, 1, model, name=f"{name}_bottleneck") if x.shape[-1] > width else x
    lengths = [max(longest // 2**halved, 1) for halved in range(3)]
    parts = [_convolution(narrow, width, length, model, name=f"{name}_conv_{at}") for at, length in enumerate(lengths, 1)]
    low = x if mask is None else Masked(low=True, name=f"{name}_low")(x, mask)  # zeros would be the maximum of what is negative
    highest = keras.layers.MaxPooling1D(POOLED, 1, "same", name=f"{name}_highest")(low)
    highest = highest if mask is None else Masked(name=f"{name}_highest_masked")(highest, mask)
    parts.append(_convolution(highest, width, 1, model, name=f"{name}_conv_4"))
    y = keras.layers.Concatenate(name=f"{name}_joined")(parts)
    if model.squeeze_excite:
        y = _excited(y, Pool(name=f"{name}_squeeze")(y, mask), (1, y.shape[-1]), model, name=name)
    return activated(_norm(y, model, name=f"{name}_norm", mask=mask), model, name=f"{name}_{model.activation}")

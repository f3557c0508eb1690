"""The recurrent network over steps: (batch, steps, channels) -> (batch, width)."""

from __future__ import annotations

from typing import Any

import keras

from pipeline.config import ModelParams
from pipeline.models.blocks import added, dropped, initializer, normalized, widths
from pipeline.models.steps import Pool

LAYERS, WIDTH = 1, 64
DEEP = 3  # layers from which they add to what they are given
CELLS = {"simple": keras.layers.SimpleRNN, "gru": keras.layers.GRU, "lstm": keras.layers.LSTM}


def steps(x: Any, mask: Any, model: ModelParams, *, prefix: str, forward: bool = False) -> Any:
    """The steps as one vector: mean and maximum of both directions' outputs; of a forward one the last output too.

    Cells keep tanh and sigmoid, without which they forget or explode and cuDNN has no kernel; their recurrent kernels start
    orthogonal (Saxe et al. 2014), an LSTM's forget gate open (Jozefowicz et al. 2015).  0 layers pool what comes in.

    Args:
        forward: one direction only: what comes last matters most.
    """
    count = LAYERS if model.layers is None else model.layers
    both = model.bidirectional and not forward
    residual = count >= DEEP if model.residual is None else model.residual
    for at, width in enumerate(widths(model, count, WIDTH), 1):
        cell = CELLS[model.cell](
            width,
            return_sequences=True,
            kernel_initializer=initializer(model, "tanh"),
            recurrent_initializer="orthogonal",
            name=f"{prefix}{model.cell}_{at}",
        )
        layer = keras.layers.Bidirectional(cell, name=f"{prefix}both_{at}") if both else cell
        y = layer(x) if mask is None else layer(x, mask=mask)
        y = normalized(y, model, auto="none", name=f"{prefix}norm_{at}", mask=mask)
        y = dropped(y, model, name=f"{prefix}dropout_{at}") if at < count else y
        x = added(x, y, model, at=at, of=count, name=f"{prefix}add_{at}") if residual and x.shape == y.shape else y
    x = Pool(("last",) if forward else ("mean", "max") if both else ("last", "mean", "max"), name=f"{prefix}pool")(x, mask)
    return dropped(x, model, name=f"{prefix}dropout")

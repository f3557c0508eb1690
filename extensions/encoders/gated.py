"""A gated encoder: each unit is let through as far as a second unit says (GLU: Dauphin et al. 2017, section 2).

In params.yaml:

    model:
      encoder: {table: extensions/encoders/gated.py}
      options: {units: 64}
"""

import keras
from keras import layers, ops


class Gate(layers.Layer):
    """The first half of the units times the sigmoid of the second half: (batch, 2 * units) -> (batch, units)."""

    def call(self, x):
        kept, gate = ops.split(x, 2, axis=-1)
        return kept * ops.sigmoid(gate)


def encode(x, *, units=64, depth=2, dropout=0.1):
    """Of a table x is (batch, features): encoded numbers and indicators.  What is returned must be (batch, width)."""
    for _ in range(depth):
        x = layers.Dense(2 * units, kernel_initializer=keras.initializers.GlorotUniform())(x)
        x = layers.Dropout(dropout)(Gate()(x))
    return x

"""Layers that a user's own encoder defines, made known to Keras by name before a network is loaded.

The model package carries this file, and the user's beside the network.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import keras

from pipeline import extensions


def register(module: ModuleType) -> None:
    """Make the layers (and other parts) that a user's file defines known to Keras by name, those that are not already."""
    for name, value in vars(module).items():
        ours = isinstance(value, type) and value.__module__ == module.__name__
        if ours and issubclass(value, keras.layers.Layer | keras.initializers.Initializer | keras.regularizers.Regularizer):
            known = keras.saving.get_registered_name(value)
            if known == value.__name__:
                keras.saving.register_keras_serializable("extensions", name)(value)


def register_packaged(files: Path) -> None:
    """The same for the files that lie in a package."""
    for file in sorted(files.glob(f"{extensions.PACKAGED}*.py")):
        register(extensions.run(file))

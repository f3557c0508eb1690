"""The device that Keras computes on, and Keras' quiet start."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.errors import UserError


def start(device: str = "auto") -> str:
    """Import Keras on `device` and return the device's name; call this before anything else imports Keras.

    Args:
        device: cpu hides the GPUs, auto takes one where there is one, gpu insists on it.

    Raises:
        UserError: a GPU was asked for and there is none.
    """
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    with _chatter_hidden():
        import keras  # noqa: F401
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name))
    if device == "gpu":
        raise UserError("train.device: gpu is asked for, but TensorFlow sees none; install requirements-gpu.lock, or use auto")
    return "cpu"


@contextmanager
def _chatter_hidden() -> Iterator[None]:
    """Hold back what C++ code writes to stderr, which no variable silences; it is shown if the block fails."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        kept = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            held.seek(0)
            shutil.copyfileobj(held, os.fdopen(os.dup(2), "wb"))
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)

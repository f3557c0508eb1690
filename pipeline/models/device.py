"""The device and the library that Keras computes with, and Keras' quiet start."""

from __future__ import annotations

import gc
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pipeline.errors import UserError

BACKENDS = ("tensorflow", "jax")


def start(device: str = "auto", backend: str | None = None) -> str:
    """Import Keras on `device` and return the device's name; call this before anything else imports Keras.

    Args:
        device: cpu hides the GPUs, auto takes one where there is one, gpu insists on it.
        backend: what Keras computes with; by default what KERAS_BACKEND says, else the first of BACKENDS that is installed.

    Raises:
        UserError: a GPU was asked for and there is none, or the backend is not installed.
    """
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ["JAX_PLATFORMS"] = "cpu"
    chosen = backend or os.environ.get("KERAS_BACKEND") or next((name for name in BACKENDS if _installed(name)), BACKENDS[0])
    if not _installed(chosen):
        extra = ": pip install 'experiment-pipeline[jax]'" if chosen == "jax" else ""
        raise UserError(f"train.backend: {chosen} is asked for, but it is not installed{extra}")
    os.environ["KERAS_BACKEND"] = chosen
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # a GPU may be shared
    with _chatter_hidden():
        import keras

        if (now := keras.backend.backend()) != chosen:
            raise UserError(f"train.backend: {chosen} is asked for, but this process has started Keras on {now}")
        found = gpu()
    if found is None and device == "gpu":
        name = "TensorFlow" if chosen == "tensorflow" else "JAX"
        raise UserError(f"train.device: gpu is asked for, but {name} sees none; install requirements-gpu.lock, or use auto")
    return found or "cpu"


def _installed(backend: str) -> bool:
    return importlib.util.find_spec(backend) is not None


def gpu() -> str | None:
    """The name of the GPU that Keras computes on; None where that is the CPU."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return str(jax.devices()[0].device_kind) if jax.default_backend() == "gpu" else None
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name)) if gpus else None


@contextmanager
def precision(wanted: str, *, heavy: bool) -> Iterator[None]:
    """Layers made inside the block compute as train.precision says.

    Args:
        wanted: auto, float32, or mixed: 16 bits for products and activations, 32 for weights.
        heavy: whether auto takes mixed on a GPU; small networks gain nothing by it.
    """
    import keras

    mixed = wanted == "mixed" or (wanted == "auto" and heavy and gpu() is not None)
    before = keras.config.dtype_policy()
    if mixed:
        keras.config.set_dtype_policy("mixed_bfloat16" if _has_bfloat16() else "mixed_float16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _has_bfloat16() -> bool:
    """Whether products of bfloat16 are fast here: on a GPU from compute capability 8.0; a CPU at least has its range."""
    import keras

    if gpu() is None:
        return True
    if keras.backend.backend() == "jax":
        import jax

        return float(getattr(jax.devices()[0], "compute_capability", 8.0)) >= 8.0
    import tensorflow as tf

    found = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    return bool(found.get("compute_capability", (8, 0)) >= (8, 0))


def out_of_memory(error: BaseException) -> bool:
    """Whether the device, or the machine, had too little memory: TensorFlow, JAX and Python each have a word for it."""
    return isinstance(error, MemoryError) or "ResourceExhausted" in type(error).__name__ or "RESOURCE_EXHAUSTED" in str(error)


def free() -> None:
    """Give back the memory of networks that are gone: graphs, and what the allocator keeps for later."""
    import ctypes

    import keras

    _forget_gradients()
    keras.utils.clear_session(free_memory=True)  # collects garbage too
    with suppress(OSError, AttributeError):  # elsewhere than with glibc
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def settle() -> None:
    """Count what is there by now (the libraries) among what stays: `free` then looks for garbage in the rest, in a tenth of the time."""
    gc.collect()
    gc.freeze()


def _forget_gradients() -> None:
    """Let go of graphs that TensorFlow would keep for ever, some megabytes each.

    An activation with a gradient of its own, such as silu, enters that with each graph that it becomes part of in a register
    which nothing leaves, and the gradient holds the graph.  It is looked up while the graph's steps are traced, not later.
    """
    ops = sys.modules.get("tensorflow.python.framework.ops")  # not imported for this: the backend may be another
    with suppress(AttributeError):  # no TensorFlow here, or one that keeps them elsewhere
        register = ops.gradient_registry._registry  # type: ignore[union-attr]
        for name in [name for name in register if name.startswith("CustomGradient-")]:
            del register[name]


@contextmanager
def _chatter_hidden() -> Iterator[None]:
    """Hold back what C++ code writes to stderr, which no variable silences; it is shown if the block fails."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        kept = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:  # any: what was held back may say why, and the error goes on as it is
            held.seek(0)
            with os.fdopen(os.dup(kept), "wb") as out:
                shutil.copyfileobj(held, out)
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)

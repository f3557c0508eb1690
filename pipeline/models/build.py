"""Build: params and preprocessing become a Keras model."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import keras

from pipeline.config import ModelParams
from pipeline.data.fitted import Preprocessor
from pipeline.errors import UserError
from pipeline.models import heads, mlp

EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip archive can hold


def build(fitted: Preprocessor, model: ModelParams, seed: int) -> keras.Model:
    """The network for these inputs; one seed gives one set of initial weights.

    Inputs: number (batch, N) float32 and category (batch, C) int32, each only where the data have such columns.

    Raises:
        UserError: Keras knows no such activation, or the data hold no column that the network reads.
    """
    fitted.require_table()
    try:
        keras.activations.get(model.activation)
    except ValueError:
        raise UserError(f"model.activation: {model.activation!r} is no activation of Keras {keras.__version__}") from None
    keras.utils.set_random_seed(seed)
    inputs: dict[str, Any] = {}
    if fitted.numbers:
        inputs["number"] = keras.Input((len(fitted.numbers),), dtype="float32", name="number")
    if fitted.categories:
        inputs["category"] = keras.Input((len(fitted.categories),), dtype="int32", name="category")
    outputs = heads.head(mlp.encode(inputs, fitted, model), fitted)
    return keras.Model(inputs, outputs, name="model")


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

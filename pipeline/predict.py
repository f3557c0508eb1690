"""Raw rows to predictions, without MLflow: the frozen SQL prepares them, the network answers.

The model package carries this file and what it imports, so it stays free of Ibis, pydantic and the rest.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pandas as pd

import pipeline.models.layers  # noqa: F401  (registers the layers that the network is made of)
from pipeline.data.frozen import Frozen
from pipeline.models import heads

BATCH = 8192


class Model:
    """The files of a package: model.keras, preprocessor.json, schema.json, clean.sql, clean_plain.sql.

    Example:
        >>> Model(Path("models/package/artifacts/files")).predict(rows)  # doctest: +SKIP
    """

    def __init__(self, files: Path) -> None:
        self.frozen = Frozen(files)
        self.fitted = self.frozen.fitted
        self.network = keras.models.load_model(files / "model.keras", compile=False, safe_mode=True)
        self.inputs = [tensor.name for tensor in self.network.inputs]

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Predictions for raw rows, as the source has them; column order and further columns do not matter.

        Returns:
            One row each: `prediction` (the more probable class, or the number in the target's units) and, for classes,
            `probability of <class>`.

        Raises:
            UserError: a column is not there or holds values of another type.
        """
        outputs = self.outputs(rows)
        if self.fitted.task == "regression":
            return pd.DataFrame({"prediction": outputs})
        probabilities = np.column_stack([1 - outputs, outputs]) if self.fitted.task == "binary" else outputs
        classes = self.fitted.target.classes
        # ties go to the second of two classes, as a threshold of 0.5 does
        best = (outputs >= 0.5).astype(int) if self.fitted.task == "binary" else probabilities.argmax(axis=1)
        columns = {f"probability of {name}": probabilities[:, at] for at, name in enumerate(classes)}
        return pd.DataFrame({"prediction": np.asarray(classes, dtype=object)[best], **columns})

    def outputs(self, rows: pd.DataFrame) -> np.ndarray:
        """The network's outputs for raw rows: see `heads.predictions` for shapes and units."""
        inputs = self.frozen.prepare(rows, self.inputs)
        parts = []
        for start in range(0, max(len(rows), 1), BATCH):
            block = {name: values[start : start + BATCH] for name, values in inputs.items()}
            parts.append(keras.ops.convert_to_numpy(self.network(block, training=False)))
        return heads.predictions(np.concatenate(parts), self.fitted)

    def prepare(self, rows: pd.DataFrame) -> dict[str, np.ndarray]:
        """Every input that the data have for raw rows, whether the network reads it or not: see `Encoder.shapes`."""
        return self.frozen.prepare(rows)

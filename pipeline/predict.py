"""Raw rows to predictions, without MLflow: the frozen SQL prepares them, the network answers.

The model package carries this file and what it imports, so it stays free of Ibis, pydantic and the rest.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import duckdb
import keras
import numpy as np
import pandas as pd
import pyarrow as pa

import pipeline.models.layers  # noqa: F401  (registers the layers that the network is made of)
from pipeline.data.fitted import Preprocessor
from pipeline.errors import UserError
from pipeline.models import heads

BATCH = 8192


class Model:
    """The files of a package: model.keras, preprocessor.json, schema.json, clean.sql, features.sql.

    Example:
        >>> Model(Path("models/package/artifacts/files")).predict(rows)  # doctest: +SKIP
    """

    def __init__(self, files: Path) -> None:
        self.fitted = Preprocessor.from_json((files / "preprocessor.json").read_text(encoding="utf-8"))
        schema = json.loads((files / "schema.json").read_text(encoding="utf-8"))
        self.raw = {column["name"]: column["raw"] for column in schema["columns"] if column["name"] in self.fitted.columns}
        self.sql = {name: (files / f"{name}.sql").read_text(encoding="utf-8") for name in ("clean", "features")}
        self.network = keras.models.load_model(files / "model.keras", compile=False, safe_mode=True)
        self.connection = duckdb.connect(config={"threads": 1})

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
        table = self.query("features", rows)
        inputs = {}
        if self.fitted.numbers:
            inputs["number"] = np.column_stack([table[f"n{at}"] for at in range(len(self.fitted.numbers))])
        if self.fitted.categories:
            inputs["category"] = np.column_stack([table[f"c{at}"] for at in range(len(self.fitted.categories))])
        parts = []
        for start in range(0, max(len(rows), 1), BATCH):
            block = {name: values[start : start + BATCH] for name, values in inputs.items()}
            parts.append(keras.ops.convert_to_numpy(self.network(block, training=False)))
        return heads.predictions(np.concatenate(parts), self.fitted)

    def query(self, name: str, rows: pd.DataFrame) -> dict[str, np.ndarray]:
        """The columns that a frozen query gives for raw rows, in their order."""
        cursor = self.connection.cursor()
        cursor.register("rows", self.arrow(rows))
        found: dict[str, np.ndarray] = cursor.execute(self.sql[name]).fetchnumpy()
        return found

    def arrow(self, rows: pd.DataFrame) -> pa.Table:
        """The columns that the model reads, typed as the source had them in training."""
        missing = [name for name in self.raw if name not in rows.columns]
        if missing:
            raise UserError(f"missing column {', '.join(missing)}; the model reads {', '.join(self.raw)}")
        return pa.table({name: _typed(rows[name], name, raw) for name, raw in self.raw.items()})


def _typed(values: pd.Series, name: str, raw: str) -> pa.Array:
    """One raw column: text, number (double), boolean or datetime (timestamp), missing as null."""
    present = values[values.notna()]
    try:
        if raw == "text":
            return pa.array([None if missing else _text(value) for value, missing in zip(values, values.isna(), strict=True)], pa.string())
        if raw == "number":
            return pa.array(pd.to_numeric(values).to_numpy(dtype="float64", na_value=np.nan), pa.float64(), from_pandas=True)
        if raw == "boolean":
            return pa.array(
                [None if missing else _boolean(value) for value, missing in zip(values, values.isna(), strict=True)], pa.bool_()
            )
        return pa.array(pd.to_datetime(values), pa.timestamp("us"), from_pandas=True)
    except (ValueError, TypeError, pa.ArrowException) as error:
        example = next(iter(present), None)
        raise UserError(f"column {name}: expected {raw} values, got for example {example!r} ({error})") from None


def _text(value: Any) -> str:
    """A value as the text a CSV file has for it: 3.0, which pandas makes of 3 beside a missing value, is 3."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _boolean(value: Any) -> bool:
    if isinstance(value, bool | np.bool_):
        return bool(value)
    text = str(value).strip().lower()
    if text in ("true", "t", "1", "1.0"):
        return True
    if text in ("false", "f", "0", "0.0"):
        return False
    raise ValueError(f"{value!r} is neither true nor false")

"""The model package's entry: MLflow runs this file (models from code) and finds `Packaged`."""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd


class Packaged(mlflow.pyfunc.PythonModel):  # type: ignore[name-defined]
    """Raw rows to predictions, by the files that the package carries."""

    def load_context(self, context: Any) -> None:
        from pipeline.predict import Model  # here, so that writing a package does not load TensorFlow

        self.model = Model(Path(context.artifacts["files"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        return self.model.predict(model_input)


mlflow.models.set_model(Packaged())

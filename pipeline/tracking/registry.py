"""Model packages: written as MLflow models, and registered once for each content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.tracking import store


def save_package(
    files: Path, code: Path, columns: Iterable[str], outputs: Mapping[str, str], example: Any, package: Path, versions: Iterable[str]
) -> None:
    """Write an MLflow pyfunc model (models from code) around the folder `files` into `package`.

    Args:
        code: the folder `pipeline` with as much of this package as the model needs.
        columns: raw columns that the model reads.
        outputs: predicted columns and their MLflow types.
        example: a few raw rows, a DataFrame.
        versions: pinned requirements.
    """
    mlflow = store.mlflow()
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    # "any", since MLflow refuses an int64 column where a double is asked for; the model converts, or refuses in words
    inputs = Schema([ColSpec(AnyType(), name) for name in columns])
    signature = ModelSignature(inputs, Schema([ColSpec(kind, name) for name, kind in outputs.items()]))
    mlflow.pyfunc.save_model(
        package,
        python_model=str(Path(__file__).parents[1] / "pyfunc.py"),
        artifacts={"files": str(files)},
        code_paths=[str(code)],
        signature=signature,
        input_example=example,
        pip_requirements=list(versions),
    )


def register(package: Path, *, name: str, digest: str, run_id: str, alias: str | None, experiment_name: str) -> int:
    """Register `package` under `name` unless a version with this digest is there; point `alias`, if any, at it.

    Returns:
        the version's number.
    """
    from mlflow.exceptions import MlflowException

    client = store.client()
    with store.lock("registry"):
        try:
            client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        same = [v for v in client.search_model_versions(f"name = '{name}'") if v.tags.get("digest") == digest]
        version = max(same, key=lambda v: int(v.version), default=None)
        if version is None:
            model = client.create_logged_model(store.experiment(experiment_name), name="model", source_run_id=run_id)
            client.log_model_artifacts(model.model_id, str(package))
            client.finalize_logged_model(model.model_id, "READY")
            # not mlflow.register_model, which prints what it does
            source = f"models:/{model.model_id}"
            version = client.create_model_version(name, source, run_id, tags={"digest": digest}, model_id=model.model_id)
        if alias:
            client.set_registered_model_alias(name, alias, version.version)
    return int(version.version)

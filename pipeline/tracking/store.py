"""The MLflow store: where it is, a client of it, and its experiments."""

from __future__ import annotations

import logging
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from pipeline import paths
from pipeline.errors import masked

if TYPE_CHECKING:
    from mlflow import MlflowClient


def uri() -> str:
    """Where runs are kept: $MLFLOW_TRACKING_URI, else SQLite in `.state/`, the same for every workspace of the project."""
    return os.environ.get("MLFLOW_TRACKING_URI") or _own()


def _own() -> str:
    return f"sqlite:///{paths.state() / 'mlflow.db'}"


def mlflow() -> Any:
    """MLflow, quiet, without telemetry, and giving up on a dead server within seconds; the user's settings win."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    import mlflow as library

    for noisy in ("mlflow", "mlflow.store.db.utils", "mlflow.system_metrics", "alembic"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    before = os.environ.get("MLFLOW_TRACKING_URI")
    library.set_tracking_uri(uri())  # which writes the variable too: `uri` would take this project's store for another one's
    if before is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    return library


def client() -> MlflowClient:
    """A client of the store, which is made first where it is not there yet (one process at a time)."""
    return _client(uri())


@cache
def _client(store: str) -> MlflowClient:
    library = mlflow()
    with lock("store"):
        found: MlflowClient = library.MlflowClient(store)
        found.search_experiments(max_results=1)
    return found


def meant() -> str:
    """The store that a run made now is meant for: the project's own, wherever its folder may be moved, or an address."""
    return "own" if uri() == _own() else shown()


def is_local() -> bool:
    """Whether the store is a file of this machine."""
    return uri().startswith("sqlite:")


def shown() -> str:
    """The store's address without passwords."""
    return masked(uri())


def download(run_id: str, path: str, into: Path) -> Path | None:
    """An artifact of a run (a file or a folder), fetched into `into`; None where the run has none of that name."""
    folder = path.rpartition("/")[0]
    if path not in {found.path for found in client().list_artifacts(run_id, folder or None)}:
        return None
    return Path(client().download_artifacts(run_id, path, str(into)))


def lock(name: str) -> FileLock:
    """A lock between processes that the thread holding it may take again."""
    return FileLock(paths.state() / "locks" / f"{name}.lock", is_singleton=True)


def experiment(name: str) -> str:
    """The id of the experiment called `name`, made where there is none; artifacts lie in `.state/` unless a server keeps them."""
    from mlflow.exceptions import MlflowException

    with lock("store"):
        if found := client().get_experiment_by_name(name):
            return str(found.experiment_id)
        try:
            artifacts = (paths.state() / "artifacts").as_uri() if is_local() else None
            return client().create_experiment(name, artifacts, tags={"mlflow.experimentKind": "custom_model_development"})  # the UI's view
        except MlflowException:  # made by another machine meanwhile
            if found := client().get_experiment_by_name(name):
                return str(found.experiment_id)
            raise


def state_of(run_id: str) -> str | None:
    """Whether a run is `active` or `deleted` in the store; None where the store does not know it."""
    from mlflow.exceptions import MlflowException

    try:
        return str(client().get_run(run_id).info.lifecycle_stage)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None

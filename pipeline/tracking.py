"""MLflow: the only module that talks to it.

Results are files first; what is written here is a copy for comparing runs.  The store is `MLFLOW_TRACKING_URI` or a
SQLite file in `.state/`.  A store that cannot be reached costs a warning, never a result.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from pipeline import paths
from pipeline.errors import masked

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)


def uri() -> str:
    """Where runs are kept: $MLFLOW_TRACKING_URI, else SQLite in `.state/`, the same for every workspace of the project."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{paths.state() / 'mlflow.db'}"


def _mlflow() -> Any:
    """MLflow, quiet, without telemetry, and giving up on a dead server within seconds; the user's settings win."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    import mlflow

    for noisy in ("mlflow", "mlflow.store.db.utils", "mlflow.system_metrics", "alembic"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    mlflow.set_tracking_uri(uri())
    return mlflow


def client() -> MlflowClient:
    """A client of the store, which is made first where it is not there yet (one process at a time)."""
    return _client(uri())


@cache
def _client(store: str) -> MlflowClient:
    mlflow = _mlflow()
    with _lock("store"):
        found: MlflowClient = mlflow.MlflowClient(store)
        found.search_experiments(max_results=1)
    return found


def _lock(name: str) -> FileLock:
    """A lock between processes that the thread holding it may take again."""
    return FileLock(paths.state() / "locks" / f"{name}.lock", is_singleton=True)


def experiment(name: str) -> str:
    """The id of the experiment called `name`, made where there is none; artifacts lie in `.state/` unless a server keeps them."""
    from mlflow.exceptions import MlflowException

    local = uri().startswith("sqlite:")
    with _lock("store"):
        if found := client().get_experiment_by_name(name):
            return str(found.experiment_id)
        try:
            artifacts = (paths.state() / "artifacts").as_uri() if local else None
            return client().create_experiment(name, artifacts, tags={"mlflow.experimentKind": "custom_model_development"})  # the UI's view
        except MlflowException:  # made by another machine meanwhile
            if found := client().get_experiment_by_name(name):
                return str(found.experiment_id)
            raise


def tolerant(function: Any) -> Any:
    """Turn a failure of the store into one warning and None."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:  # sqlite, HTTP and MLflow errors have no common base
            reason = masked((str(error).splitlines() or [""])[0])[:200]
            what = masked(uri()), function.__name__, type(error).__name__, reason
            log.warning("MLflow store %s: %s failed (%s: %s); files are complete", *what)
            return None

    return call


@dataclass(frozen=True)
class DataInput:
    """A dataset as a run's input: where it came from, its digest, its size, and what it was used for."""

    name: str
    source: str
    digest: str
    rows: int
    context: str


@dataclass(frozen=True)
class Run:
    """A run in the store; with id None (the store was out of reach) nothing is logged."""

    id: str | None

    def params(self, sections: Mapping[str, Any]) -> None:
        """Log the keys of each section as `section.key`, and plain values as they are."""
        flat: dict[str, Any] = {}
        for name, section in sections.items():
            values = section.model_dump(mode="json", by_alias=True) if hasattr(section, "model_dump") else None
            flat |= {name: section} if values is None else {f"{name}.{key}": value for key, value in values.items()}
        if self.id:
            _log_params(self.id, flat)

    def inputs(self, inputs: Iterable[DataInput]) -> None:
        """Log datasets."""
        if self.id:
            _log_inputs(self.id, inputs)

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log those values that are numbers, at `step` (the epoch)."""
        if self.id:
            _log_metrics(self.id, values, step)

    def files(self, files: Iterable[Path], folder: str | None = None) -> None:
        """Copy files, or folders with what is in them, into the run's artifacts."""
        if self.id:
            _log_files(self.id, files, folder)

    def tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        if self.id:
            _set_tags(self.id, tags)


@contextmanager
def training(name: str, marker: Path, tags: Mapping[str, str]) -> Iterator[Run]:
    """A run in experiment `name` while the block lasts, with the system's metrics; closed as FINISHED, FAILED or KILLED.

    Args:
        marker: file that remembers the run, so that a training resumed after a kill goes on in the same run.
    """
    run = Run(_start(name, marker.read_text() if marker.exists() else None, tags))
    if run.id:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text(run.id)
    status = "FAILED"
    try:
        with _system_metrics(run.id):
            yield run
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        if run.id:
            _end(run.id, status)
        if status != "KILLED":
            marker.unlink(missing_ok=True)


@tolerant
def _start(name: str, resume: str | None, tags: Mapping[str, str]) -> str:
    from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_RUN_NAME, MLFLOW_SOURCE_NAME, MLFLOW_SOURCE_TYPE, MLFLOW_USER

    if resume and _exists(resume):
        client().update_run(resume, status="RUNNING")
        return resume
    known = {MLFLOW_SOURCE_NAME: "pipeline train", MLFLOW_SOURCE_TYPE: "LOCAL", MLFLOW_USER: os.environ.get("USER", "unknown")}
    known |= {new: tags[old] for old, new in (("git.commit", MLFLOW_GIT_COMMIT), ("dvc.experiment", MLFLOW_RUN_NAME)) if old in tags}
    return str(client().create_run(experiment(name), tags={**known, **tags}).info.run_id)


def _exists(run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    try:
        return bool(client().get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException:
        return False


@tolerant
def _log_params(run_id: str, params: Mapping[str, Any]) -> None:
    from mlflow.entities import Param

    known = client().get_run(run_id).data.params  # a resumed run has them
    client().log_batch(run_id, params=[Param(key, str(value)[:6000]) for key, value in params.items() if key not in known])


@tolerant
def _log_inputs(run_id: str, inputs: Iterable[DataInput]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    sets = [
        DatasetInput(
            Dataset(d.name, d.digest, "local", json.dumps({"uri": d.source}), profile=json.dumps({"rows": d.rows})),
            [InputTag("mlflow.data.context", d.context)],
        )
        for d in inputs
    ]
    client().log_inputs(run_id, datasets=sets)


@tolerant
def _log_metrics(run_id: str, values: Mapping[str, float], step: int) -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    numbers = {key: float(value) for key, value in values.items() if value is not None and value == value}
    client().log_batch(run_id, metrics=[Metric(key, value, now, step) for key, value in numbers.items()])


@tolerant
def _log_files(run_id: str, files: Iterable[Path], folder: str | None) -> None:
    for file in files:
        if file.is_dir():
            client().log_artifacts(run_id, str(file), f"{folder}/{file.name}" if folder else file.name)
        else:
            client().log_artifact(run_id, str(file), folder)


@tolerant
def _set_tags(run_id: str, tags: Mapping[str, str]) -> None:
    for key, value in tags.items():
        client().set_tag(run_id, key, value)


@tolerant
def _end(run_id: str, status: str) -> None:
    client().set_terminated(run_id, status)


@contextmanager
def _system_metrics(run_id: str | None) -> Iterator[None]:
    """Sample processor, memory, disk, network and GPU into the run while the block lasts."""
    if run_id is None:
        yield
        return
    from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

    monitor = SystemMetricsMonitor(run_id, sampling_interval=1, resume_logging=True, tracking_uri=uri())
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


@dataclass(frozen=True)
class Sweep:
    """A sweep in the store: one run for the study, and below it one for each trial that is over.

    A trial is written whole, so that a killed process leaves no run of one that looks as if it still ran.
    """

    id: str | None
    where: str = ""
    key: str = ""
    known: dict[str, tuple[str, str]] = field(default_factory=dict)  # run and its status, by the trial's number

    @classmethod
    def open(cls, name: str, key: str, tags: Mapping[str, str]) -> Sweep:
        """The study's run in experiment `name`, begun where there is none yet; its id is None where the store is out of reach."""
        return _open_sweep(name, key, tags) or cls(None)

    def log(self, trial: Mapping[str, Any]) -> None:
        """Write a trial, once however often this is called.

        Args:
            trial: number, state (complete, pruned, failed), reason, params, curve (the objective by step), its name `objective`,
                measured (metrics on validation) and seconds since 1970 `started`, `ended`.
        """
        if self.id and self.known.get(str(trial["number"]), ("", ""))[1] not in ("FINISHED", "FAILED"):
            _log_trial(self, trial)

    def close(self, status: str, best: Mapping[str, Any], metrics: Mapping[str, float], files: Iterable[Path]) -> None:
        """End the study's run: FINISHED, FAILED or KILLED."""
        if self.id:
            run = Run(self.id)
            run.metrics(metrics)
            run.tags({f"best.{key}": str(value) for key, value in best.items()})
            run.files(files, "tune")
            _end(self.id, status)


@tolerant
def _open_sweep(name: str, key: str, tags: Mapping[str, str]) -> Sweep:
    where = experiment(name)
    found = client().search_runs([where], f"tags.study = '{key}' and tags.stage = 'tune'")
    if found:
        parent = str(found[0].info.run_id)
        client().update_run(parent, status="RUNNING")
    else:
        own = {"study": key, "stage": "tune", "mlflow.runName": f"sweep {key[:6]}", "mlflow.source.name": "pipeline tune"}
        parent = str(client().create_run(where, tags={**own, **tags}).info.run_id)
    known: dict[str, tuple[str, str]] = {}
    token = None
    while found:  # the store gives at most so many at a time
        page = client().search_runs([where], f"tags.`mlflow.parentRunId` = '{parent}'", max_results=1000, page_token=token)
        known |= {run.data.tags["trial"]: (run.info.run_id, run.info.status) for run in page}
        if not (token := page.token):
            break
    return Sweep(parent, where, key, known)


@tolerant
def _log_trial(sweep: Sweep, trial: Mapping[str, Any]) -> None:
    from mlflow.entities import Metric, Param

    number, start, end = str(trial["number"]), round(1000 * trial["started"]), round(1000 * trial["ended"])
    run, _ = sweep.known.get(number, ("", ""))
    if not run:
        tags = {"mlflow.parentRunId": sweep.id, "mlflow.runName": f"sweep {sweep.key[:6]} trial {number}", "study": sweep.key}
        tags |= {"stage": "trial", "trial": number, "state": trial["state"], "mlflow.source.name": "pipeline tune"}
        tags |= {"reason": trial["reason"][:5000]} if trial["reason"] else {}
        run = client().create_run(sweep.where, start_time=start, tags=tags).info.run_id
        sweep.known[number] = (run, "RUNNING")
    curve = [Metric(f"validation/{trial['objective']}", value, start, step) for step, value in trial["curve"].items() if value == value]
    measured = [Metric(f"best/{name}", value, end, 0) for name, value in trial["measured"].items() if value == value]
    client().log_batch(run, metrics=curve + measured, params=[Param(key, str(value)[:6000]) for key, value in trial["params"].items()])
    status = "FAILED" if trial["state"] == "failed" else "FINISHED"
    client().set_terminated(run, status, end)
    sweep.known[number] = (run, status)


def sweep_key(run_id: str) -> str | None:
    """The key of the sweep that this run is, or belongs to; None where there is no such run."""
    found: str | None = _sweep_key(run_id)
    return found


@tolerant
def _sweep_key(run_id: str) -> str | None:
    return client().get_run(run_id).data.tags.get("study") or None


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
    mlflow = _mlflow()
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType

    # "any", since MLflow refuses an int64 column where a double is asked for; the model converts, or refuses in words
    inputs = Schema([ColSpec(AnyType(), name) for name in columns])
    signature = ModelSignature(inputs, Schema([ColSpec(kind, name) for name, kind in outputs.items()]))
    mlflow.pyfunc.save_model(
        package,
        python_model=str(Path(__file__).with_name("pyfunc.py")),
        artifacts={"files": str(files)},
        code_paths=[str(code)],
        signature=signature,
        input_example=example,
        pip_requirements=list(versions),
    )


def register(package: Path, *, name: str, digest: str, run_id: str | None, alias: str | None, experiment_name: str) -> dict[str, Any]:
    """Register `package` under `name` unless a version with this digest is there; point `alias`, if any, at it.

    Returns:
        version (a number) and alias; nothing where the store is out of reach.
    """
    return _register(package, name, digest, run_id, alias, experiment_name) or {}


@tolerant
def _register(package: Path, name: str, digest: str, run_id: str | None, alias: str | None, experiment_name: str) -> dict[str, Any]:
    mlflow = _mlflow()
    from mlflow.exceptions import MlflowException

    with _lock("registry"):
        try:
            client().create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        same = [v for v in client().search_model_versions(f"name = '{name}'") if v.tags.get("digest") == digest]
        version = max(same, key=lambda v: int(v.version), default=None)
        if version is None:
            source = run_id if run_id and _exists(run_id) else None
            model = client().create_logged_model(experiment(experiment_name), name="model", source_run_id=source)
            client().log_model_artifacts(model.model_id, str(package))
            client().finalize_logged_model(model.model_id, "READY")
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # MLflow prints what it did
                version = mlflow.register_model(f"models:/{model.model_id}", name, tags={"digest": digest})
        if alias:
            client().set_registered_model_alias(name, alias, version.version)
    return {"version": int(version.version), "alias": alias}

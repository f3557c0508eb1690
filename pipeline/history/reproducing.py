"""A training had again: its commit with the changes on top, its params, its data, in a folder of their own; then compared.

Nothing of the user's workspace is touched.  The data come from DVC's cache or remote, else from the source if it still holds the same.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline import files, paths
from pipeline.errors import UserError
from pipeline.history import origin
from pipeline.tracking import reading, store
from pipeline.tracking.runs import TRACKED

log = logging.getLogger(__name__)
LINEAGE = "lineage"  # the folder of a run's artifacts that `origin` wrote
STAGES = ("clean", "split", "normalize", "train", "evaluate")  # not tune: its outcome, best.yaml, is restored
COMPARED = {  # artifacts of the run and where the same stands again
    "preprocessor.json": paths.FITTED,
    "train/history.csv": paths.REPORTS / "train" / "history.csv",
    "model.keras": paths.MODEL,
    "evaluate/outputs.npy": paths.OUTPUTS,
    "evaluate/metrics.json": paths.METRICS,
}
MACHINE = ("platform", "machine.processor", "gpu", "device")  # tags that must agree for equal bytes
TOLERANCE = 0.02  # relative, for metrics of another kind of machine or other versions
OUTER = ("DVC_ROOT", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI", "PIPELINE_STATE", "PYTHONSAFEPATH", "PYTHONPATH")


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    folder: Path
    differing: tuple[str, ...]
    """Artifacts whose bytes differ."""
    surroundings: tuple[str, ...]
    """In what machine and versions differ from the run's, in words."""
    inputs: tuple[str, ...]
    """In what code, params or data differ, in words: none, if all could be restored."""
    metrics: Mapping[str, tuple[float, float]]
    """Test metrics, then and now."""

    @property
    def exact(self) -> bool:
        """Whether all is equal to the byte."""
        return not self.differing and not self.inputs

    @property
    def close(self) -> bool:
        """Whether the test metrics agree within the tolerance, on what is not the same kind of machine."""
        return bool(self.surroundings) and not self.inputs and all(math.isclose(*pair, rel_tol=TOLERANCE) for pair in self.metrics.values())


def reproduce(found: reading.Found, folder: Path) -> Outcome:
    """Restore what the run came from in `folder`, train and evaluate there, and compare.

    Raises:
        UserError: something that the run came from is gone; it is named.
    """
    if found.tags.get("stage") != "train" or found.run_id is None:
        raise UserError(f"reproduce: {found.name} is no training of the MLflow store {store.shown()}; `pipeline runs` lists them")
    kept = folder.with_name(f"{folder.name}.run")
    for place in (folder, kept):
        if place.is_relative_to(paths.state() / "reproduced"):
            shutil.rmtree(place, ignore_errors=True)  # an earlier reproduction
        elif place.exists() and not (place.is_dir() and not any(place.iterdir())):
            raise UserError(f"reproduce --into: expected a new or an empty folder, {place} holds something")
    kept.mkdir(parents=True, exist_ok=True)
    if store.download(found.run_id, LINEAGE, kept) is None:
        raise UserError(f"reproduce: run {found.key[:8]} holds no artifact {LINEAGE}/: it was made by an earlier version")
    for told in restore_code(found.tags.get("git.commit", ""), kept / LINEAGE, folder):
        log.warning("%s", told)
    restore_data(kept / LINEAGE, folder)
    for stage in STAGES:
        log.info("reproduce: %s", stage)
        _stage(stage, folder)
    return compare(found, kept, folder)


def restore_code(commit: str, kept: Path, folder: Path) -> Iterator[str]:
    """A clone at the run's commit, with its uncommitted changes, params.yaml and best.yaml; yields what could not be restored."""
    top = _git(paths.root(), "rev-parse", "--show-toplevel").stdout.strip()
    if not commit or _git(Path(top or "."), "cat-file", "-e", f"{commit}^{{commit}}").returncode:
        hint = "; `git fetch` may bring it" if commit else ": it ran outside a git repository"
        raise UserError(f"reproduce: commit {commit[:12] or 'none'} of the run is not in this repository{hint}")
    if paths.root() != Path(top).resolve():
        raise UserError(f"reproduce: the project is a folder of the repository {top}: only one at its top can be reproduced")
    _git(Path(top), "clone", "--quiet", "--shared", "--no-checkout", top, str(folder), check=True)
    _git(folder, "-c", "advice.detachedHead=false", "checkout", "--quiet", "--detach", commit, check=True)
    if (kept / origin.PATCH).stat().st_size:
        done = _git(folder, "apply", "--binary", "--whitespace=nowarn", str((kept / origin.PATCH).resolve()))
        if done.returncode:
            raise UserError(f"reproduce: the run's uncommitted changes do not apply on its commit {commit[:12]}: {done.stderr.strip()}")
    shutil.copyfile(kept / paths.PARAMS, folder / paths.PARAMS)
    if (kept / origin.LOCK).exists():
        shutil.copyfile(kept / origin.LOCK, folder / origin.LOCK)
    (folder / paths.BEST.parent).mkdir(parents=True)
    shutil.copyfile(kept / paths.BEST.name, folder / paths.BEST)
    for name, why in files.read_json(kept / origin.LEFT_OUT).items():
        yield f"reproduce: {name} was changed and not committed, and is not in the run ({why}); the committed one is used, if any"


def restore_data(kept: Path, folder: Path) -> None:
    """data/raw as the run had it: from DVC's cache or remote, else read again from a source that has not changed."""
    _share_cache(folder)
    target = str(paths.RAW)
    for words in (("checkout", "--force", target), ("pull", "--force", target)):
        if not _dvc(folder, *words).returncode and (folder / paths.SOURCE).exists():
            log.info("reproduce: %s by dvc %s", target, words[0])
            return
    then = files.read_json(kept / paths.SOURCE.name)
    source = str(YAML(typ="safe").load((folder / paths.PARAMS).read_text(encoding="utf-8"))["data"]["source"])
    here = paths.root() / source
    if "://" not in source and not (folder / source).exists():
        if not here.exists():
            raise UserError(f"reproduce: data/raw is in neither DVC's cache nor a remote, and its source {source} is gone")
        (folder / source).parent.mkdir(parents=True, exist_ok=True)
        (folder / source).symlink_to(here)
    _stage("collect", folder)
    now = files.read_json(folder / paths.SOURCE)
    if now["rows_sha256"] != then["rows_sha256"]:
        told = f"{then['rows']} rows (sha256 {then['rows_sha256'][:12]}), now {now['rows']} ({now['rows_sha256'][:12]})"
        raise UserError(
            f"reproduce: {source} has changed since the run, and data/raw is in neither DVC's cache nor a remote: it had {told}"
        )
    log.info("reproduce: %s read again from %s, which holds the same", target, source)


def compare(found: reading.Found, kept: Path, folder: Path) -> Outcome:
    """The run beside what is in `folder` now."""
    differing = []
    for name, again in COMPARED.items():
        then = store.download(found.run_id or "", name, kept)
        if then is None or then.read_bytes() != (folder / again).read_bytes():
            differing.append(name)
    trained, evaluated = (files.read_json(folder / paths.REPORTS / stage / TRACKED) for stage in ("train", "evaluate"))
    tags = files.read_json(folder / paths.RUN)["tags"]
    around = {name for name in {*tags, *found.tags} if name.startswith("version.") or name in ("python", "lock", *MACHINE)}
    now = {name: value for name, _, value in evaluated["metrics"]}
    return Outcome(
        folder,
        tuple(differing),
        tuple(_differences(found.tags, tags, around)),
        (
            *(f"params: {told}" for told in _differences(found.params, trained["params"])),
            *(f"data: {told}" for told in _differences(_digests(found.inputs), _digests(trained["inputs"]))),
        ),
        {n: (v, now[n]) for n, v in found.metrics.items() if n.startswith("test/") and n.count("/") == 1 and n in now},
    )


def told(outcome: Outcome, found: reading.Found) -> list[str]:
    """The outcome in lines."""
    lines = [f"metric      {name}: {then:.6g} then, {now:.6g} now" for name, (then, now) in outcome.metrics.items()]
    lines += [f"differs     {difference}" for difference in (*outcome.inputs, *outcome.surroundings)]
    if outcome.exact:
        verdict = f"reproduced to the byte: {', '.join(COMPARED)}"
    elif outcome.close:
        verdict = f"reproduced within {TOLERANCE:.0%} of each test metric, on another kind of machine or other versions"
    else:
        first = (*outcome.inputs, *outcome.surroundings, *(f"the bytes of {name}" for name in outcome.differing))[0]
        verdict = f"NOT reproduced: what differs first is {first}"
    return [*lines, f"run         {found.key[:8]} ({found.name}), again in {outcome.folder}", f"verdict     {verdict}"]


def _digests(inputs: Any) -> dict[str, str]:
    return {one["context"]: one["digest"] for one in inputs}


def _differences(then: Mapping[str, Any], now: Mapping[str, Any], names: set[str] | None = None) -> Iterator[str]:
    for name in sorted(names if names is not None else {*then, *now}):
        if then.get(name) != now.get(name):
            yield f"{name}: {then.get(name, 'nothing')} then, {now.get(name, 'nothing')} now"


def _share_cache(folder: Path) -> None:
    """Let DVC in `folder` use the workspace's cache, and its remotes."""
    local = paths.root() / ".dvc" / "config.local"
    if local.exists():
        shutil.copyfile(local, folder / ".dvc" / "config.local")
    cache = subprocess.run([sys.executable, "-m", "dvc", "cache", "dir"], cwd=paths.root(), capture_output=True, text=True)
    if not cache.returncode:
        _dvc(folder, "cache", "dir", "--local", cache.stdout.strip())


def _stage(name: str, folder: Path) -> None:
    """A stage as the restored code has it, in a process of its own that sees nothing of this workspace."""
    environment = {key: value for key, value in os.environ.items() if key not in OUTER}
    state = {"PIPELINE_STATE": str((folder / ".state").resolve())}
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", name], cwd=folder, env={**environment, **state}, capture_output=True, text=True
    )
    if done.returncode:
        raise UserError(f"reproduce: {name} failed in {folder}: {done.stderr.strip()[-2000:]}")


def _git(folder: Path, *words: str, check: bool = False) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=check)


def _dvc(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key not in OUTER}
    return subprocess.run([sys.executable, "-m", "dvc", *words], cwd=folder, env=environment, capture_output=True, text=True)

"""A git repository with the pipeline and a small project in it, on which real commands are run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml
from conftest import ROOT, SMALL, purchases

COPIED = ("pipeline", "extensions", "dvc.yaml", ".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", "requirements.lock")


ADDRESSES = [("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location")]
ADDRESSES += [("model_versions", "storage_location"), ("model_versions", "source")]


def moved(old: Path, new: Path) -> None:
    """Put what a copied project keeps by its place (its MLflow store, what its stages took) from the old place to the new."""
    with contextlib.closing(sqlite3.connect(new / ".state/mlflow.db")) as store, store:
        for table, column in ADDRESSES:
            store.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(old), str(new)))
    before, after = (new / ".state/costs" / f"{hashlib.sha256(str(at).encode()).hexdigest()[:12]}.json" for at in (old, new))
    if before.exists():
        before.rename(after)


class Repository:
    """Commands in a folder of their own; state and MLflow store lie inside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in COPIED:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(ROOT / name, folder / name)
        rows = purchases(500)
        # production is another city, whose people buy whatever their age
        rows["bought"] = rows["bought"].where(rows["city"] != "Lima", "yes")
        rows.to_csv(folder / "rows.csv", index=False)
        self.write_params(
            {
                **SMALL,
                "evaluate": {**SMALL["evaluate"], "protected": ["city"]},
                "split": {**SMALL["split"], "production": {"column": "city", "in": ["Lima", "Bern"]}},
            }
        )
        self.run("git", "init", "-q")
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "start")

    @classmethod
    def copied(cls, kept: Path, folder: Path, first: Path) -> Repository:
        """A copy in `folder` of the repository that was made in `first`, of which `kept` is a copy."""
        shutil.copytree(kept, folder, symlinks=True)
        moved(first, folder)
        made = cls.__new__(cls)
        made.folder = folder
        return made

    def write_params(self, params: dict) -> None:
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    @property
    def params(self) -> dict:
        return yaml.safe_load((self.folder / "params.yaml").read_text())

    def run(self, *command: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        outer = {k: v for k, v in os.environ.items() if k not in ("DVC_ROOT", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI", "PIPELINE_STATE")}
        path = os.pathsep.join([str(Path(sys.executable).parent), outer["PATH"]])
        identity = {f"GIT_{who}_{what}": "t@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**outer, "PATH": path, **identity, **env},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        assert not check or not done.returncode, f"{command}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    def pipeline(self, *words: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "pipeline", *words, check=check, **env)

    def dvc(self, *words: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "dvc", *words, check=check, **env)

    def bytes(self, *folders: str, without: tuple[str, ...] = ()) -> dict[str, bytes]:
        """The content of every file below `folders`, but for those of the names `without` and what Python compiles."""
        files = [file for folder in folders for file in sorted((self.folder / folder).rglob("*"))]
        files = [file for file in files if file.is_file() and file.suffix != ".pyc"]
        return {str(file.relative_to(self.folder)): file.read_bytes() for file in files if file.name not in without}

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.folder / name)

"""The place of every artifact, relative to the project's root, where DVC runs each stage."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

PARAMS = Path("params.yaml")

RAW = Path("data/raw")
CLEAN = Path("data/clean")
SPLIT = Path("data/split")
NORMALIZED = Path("data/normalized")
MODELS = Path("models")
REPORTS = Path("reports")

ROWS = "rows.parquet"  # the one table in each folder of data/raw, data/clean and data/split/<side>
REJECTS = "rejects.parquet"  # rows that were dropped there, with the reason
SOURCE = RAW / "source.json"
SCHEMA = CLEAN / "schema.json"
PREPROCESSOR = NORMALIZED / "preprocessor.json"
CLEAN_PLAIN_SQL = NORMALIZED / "clean_plain.sql"  # the same, shorter, for rows whose texts are plain ASCII
REFERENCE = NORMALIZED / "reference.json"  # what train's columns hold
CLEAN_SQL = NORMALIZED / "clean.sql"  # raw columns to clean ones, frozen for the model package
QUALITY = REPORTS / "clean" / "index.html"
LEAKAGE = REPORTS / "split" / "leakage.html"
BEST = REPORTS / "tune" / "best.yaml"
MODEL = MODELS / "model.keras"
FITTED = MODELS / "preprocessor.json"  # what the network was trained with: PREPROCESSOR, unless the sweep chose other values
RUN = MODELS / "run.json"
LINEAGE = MODELS / "lineage"  # what the training came from
PACKAGE = MODELS / "package"
CARD = "card.md"  # in a package
METRICS = REPORTS / "evaluate" / "metrics.json"
OUTPUTS = REPORTS / "evaluate" / "outputs.npy"  # of the network, in the order of the test rows
VALIDATION_OUTPUTS = REPORTS / "evaluate" / "validation.npy"  # the same for validation
EMBEDDINGS = REPORTS / "evaluate" / "embeddings.npy"  # what its head reads, for validation and test rows (not of tables and forecasts)
ANSWERS = REPORTS / "evaluate" / "answers.json"  # how the network's outputs become answers, learnt on validation
REGISTERED = REPORTS / "register.json"
MONITORED = REPORTS / "monitor" / "summary.json"
INDEX = REPORTS / "index.html"

SIDES = ("train", "validation", "test", "production")


def root() -> Path:
    """The main workspace: $DVC_ROOT (set by DVC, in temporary experiment workspaces too), else the current folder."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def workspace() -> str:
    """A name of the current folder among those that share a state."""
    return hashlib.sha256(str(Path.cwd()).encode()).hexdigest()[:12]


def costs() -> Path:
    """What the stages of this workspace took."""
    return state() / "costs" / f"{workspace()}.json"


def inference_log(name: str) -> Path:
    """What servers of the model `name` were asked and answered."""
    return state() / "inference" / re.sub(r"[^\w.-]", "_", name)


def state_folder() -> Path:
    """Where `state` is or would be: looking makes no folder."""
    return Path(os.environ.get("PIPELINE_STATE") or root() / ".state").resolve()


def state() -> Path:
    """What outlives a stage, and what one spills: $PIPELINE_STATE, else .state in the main workspace.

    That is the MLflow store, studies, checkpoints, inference logs, locks, and the table engine's temporary files.
    """
    folder = state_folder()
    (folder / "locks").mkdir(parents=True, exist_ok=True)
    return folder

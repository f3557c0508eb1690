"""What params ask of this machine, of the environment and of each other, without importing what would take seconds."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from pathlib import Path

from pipeline.config import Params, TuneParams
from pipeline.errors import UserError
from pipeline.preflight.sampling import Sample
from pipeline.preflight.values import Told

GPUS = ("dev/nvidia[0-9]*", "dev/dxg", "dev/kfd")  # NVIDIA's, Windows' below Linux, AMD's
EXTRA = "pip install 'experiment-pipeline[jax]'"
GROWTH = 12  # times the source's bytes: the rows of each stage, ready arrays, DVC's copies
FIXED = 400e6  # bytes that models, reports and the store take, whatever the data


def asked(params: Params) -> list[Told]:
    """What is not there, or does not go together."""
    return [*_device(params), *_files(params), *_together(params), *_search(params.tune)]


def gpu_there(root: Path = Path("/")) -> bool:
    """Whether the system shows a GPU; CUDA_VISIBLE_DEVICES may hide it."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    if platform.system() == "Darwin":
        return importlib.util.find_spec("tensorflow-plugins") is not None
    return any(any(root.glob(pattern)) for pattern in GPUS)


def room(sample: Sample) -> list[Told]:
    """Whether the disk holds what a run over so much data writes."""
    needed, free = FIXED + GROWTH * sample.bytes, shutil.disk_usage(".").free
    text = f"data.source: a run writes some {needed / 1e9:.1f} GB, but the disk of {Path.cwd()} has {free / 1e9:.1f} GB left: free some"
    return [("error" if free < needed / 2 else "warning", text)] if free < needed else []


def _device(params: Params) -> list[Told]:
    train, found = params.train, list[Told]()
    if train.device == "gpu" and not gpu_there():
        hidden = " (CUDA_VISIBLE_DEVICES hides them)" if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1") else ""
        found.append(("error", f"train.device: gpu is asked for, but this machine shows none{hidden}; set train.device: auto, or cpu"))
    elif train.device == "gpu" and train.backend == "tensorflow" and not _installed("nvidia.cudnn"):
        text = "train.device: there is a GPU, but this environment has no CUDA libraries of its own; if training finds no GPU: "
        found.append(("warning", text + "LOCK=requirements-gpu.lock make run"))
    if train.backend == "jax" and not _installed("jax"):
        found.append(("error", f"train.backend: jax is asked for, but it is not installed: {EXTRA}"))
    return found


def _files(params: Params) -> list[Told]:
    found, data, start = list[Told](), params.data, params.train.start_from
    if data.connection and not os.environ.get(data.connection):
        text = f"data.connection: the environment variable {data.connection} is not set: it must hold a SQLAlchemy URL"
        found.append(("error", text))
    if start is not None and not Path(start).is_file():
        found.append(("error", f"train.start_from: no file {start}; name a .keras file, or set it to null"))
    return found


def _together(params: Params) -> list[Told]:
    found, model, forecast = list[Told](), params.model, params.data.forecast is not None
    width = model.width if isinstance(model.width, int) else None
    if model.family == "transformer" and width and width % model.heads:
        text = f"model.heads: {model.heads} heads do not divide model.width, {width}; choose a width that is a multiple of them"
        found.append(("error", text))
    for key, wanted in (
        ("tune.folds", params.tune.folds and params.tune.trials),
        ("train.cross_validation", params.train.cross_validation),
    ):
        if wanted and (forecast or not params.split.folds):
            found.append(
                ("error", f"{key}: the rows have no folds; {'a forecast has none' if forecast else 'set split.folds to 3 or more'}")
            )
    if params.train.lora_rank and not params.train.freeze:
        found.append(("warning", "train.lora_rank: adapters are for frozen layers, and train.freeze names none"))
    if params.train.freeze and params.train.start_from is None:
        found.append(("warning", "train.freeze: layers keep the weights that they start with, which are random without train.start_from"))
    return found


def _search(tune: TuneParams) -> list[Told]:
    """A sampler or pruner that Optuna does not have; asked of Optuna where it is not the usual one."""
    usual = {key: TuneParams.model_fields[key].default for key in ("sampler", "sampler_config", "pruner", "pruner_config")}
    if not tune.trials or all(getattr(tune, key) == value for key, value in usual.items()):
        return []
    from pipeline.tuning import samplers  # which imports Optuna

    found = list[Told]()
    for make in (
        lambda: samplers.sampler(tune, tune.space or {}, seed=0, number=0),
        lambda: samplers.pruner(tune, steps=1, seed=0),
    ):
        try:
            make()
        except UserError as error:
            found += [("error", message) for message in error.messages]
    return found


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it
        return False

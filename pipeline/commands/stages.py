"""`pipeline <stage>`: each stage by itself.  `dvc repro` calls these."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import logging
import time
from pathlib import Path

import click

from pipeline import files, paths, resources
from pipeline.config import Params
from pipeline.errors import UserError
from pipeline.params_file import load
from pipeline.terminal import progress
from pipeline.terminal.help import Command

STAGES = {
    "collect": "Read data.source into data/raw.",
    "clean": "Type the columns under an inferred schema, into data/clean.",
    "split": "Put rows on train, validation, test and production.",
    "normalize": "Fit preprocessing on train, apply it, into data/normalized.",
    "tune": "Search tune.space with Optuna on the validation split.",
    "train": "Train the network and log the run to MLflow.",
    "evaluate": "Measure it on the test split, beside baselines.",
    "register": "Package it, prove that it answers alike, register it.",
    "monitor": "Watch the production rows for drift and decay.",
    "report": "Write reports/index.html.",
}
OPTIONS = {
    "tune": {
        "join": "Take trials of the sweep that another machine runs in tune.storage; write nothing here.",
        "dry-run": "Tell what would be searched, and how long it would take at most.",
    }
}
log = logging.getLogger("pipeline")


def run_stage(name: str, params: Params, **options: bool) -> None:
    """Run a stage with the sections that its `run` names; without options, alone in this workspace.

    Args:
        options: keywords of its `run` that are no sections; with one that is set it writes nothing here.

    Raises:
        UserError: the stage cannot work with these params and data.
    """
    from filelock import FileLock, Timeout

    module = importlib.import_module(f"pipeline.stages.{name}")
    sections = {
        key: params.section(key) for key, given in inspect.signature(module.run).parameters.items() if given.kind != given.KEYWORD_ONLY
    }
    if any(options.values()):
        with resources.limited(params.memory):
            module.run(**sections, **options)
        return
    lock = FileLock(paths.state() / "locks" / f"{paths.workspace()}-{name}.lock")
    try:
        held = lock.acquire(timeout=0.1)
    except Timeout:  # a stage left behind by a killed dvc must not run beside its successor
        log.warning("%s already runs in this workspace; waiting for it to end", name)
        held = lock.acquire()
    with held, resources.limited(params.memory):
        module.run(**sections, **options)
        _note_cost(name)


def _note_cost(stage: str) -> None:
    """Remember what a stage took and when it ended, for the training that follows from it and for the page of the run."""
    before = files.read_json(paths.costs()) if paths.costs().exists() else {}
    ended = {**before.get("ended", {}), stage: time.time()}
    files.write_json(paths.costs(), {**before, stage: dataclasses.asdict(resources.cost()), "ended": ended})


def as_stage(name: str, **given: bool) -> None:
    started = time.monotonic()
    params = load(paths.PARAMS)
    try:
        with progress.step(name):
            run_stage(name, params, **given)
    except FileNotFoundError as error:
        if error.filename is None or not any(Path(error.filename).is_relative_to(p) for p in ("data", "models", "reports")):
            raise
        raise UserError(f"{name}: {error.filename} is not there yet: run the stages before it, or `pipeline run`") from error
    seconds = time.monotonic() - started
    log.info("%s done in %.1f s", name, seconds, extra={"stage_done": (name, seconds)})


def stage_command(name: str, help: str) -> click.Command:
    options = OPTIONS.get(name, {})

    def call(**given: bool) -> None:
        as_stage(name, **given)

    flags = [click.Option([f"--{flag}"], is_flag=True, help=told) for flag, told in options.items()]
    lines = [f"pipeline {name}", *(f"pipeline {name} --{flag}" for flag in options), *([] if options else [f"pipeline run {name}"])]
    more = "" if options else "\n\nBy itself; `pipeline run` takes the stages before it along, where they are stale."
    return Command(name, callback=call, params=list(flags), help=f"{help}{more}\n\nExamples: {'; '.join(lines)}", short_help=help)

"""What a sweep would do: its space and its time, from two epochs of trial 0."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import click

from pipeline.errors import UserError
from pipeline.terminal.progress import seconds
from pipeline.tuning import space, worker
from pipeline.tuning.plan import Plan

EPOCHS = 2


def tell(plan: Plan) -> None:
    """Print the space, and how long the sweep may take: at most so long as if no trial stopped early.

    Raises:
        UserError: trial 0 cannot be trained.
    """
    tune, epochs = plan.tune, plan.epochs
    width = max(map(len, plan.space), default=0)
    click.echo(f"{len(plan.space)} keys are searched by {tune.sampler}, {tune.trials} trials with {tune.workers} at a time:")
    for key, interval in plan.space.items():
        click.echo(f"  {key:{width}}  {space.told(interval)}  (params.yaml: {plan.defaults[key]})")
    for key, value in tune.fixed.items():
        click.echo(f"  {key:{width}}  {value} in every trial")
    start, took = _timed(replace(plan.setup, folds=False), {**tune.fixed, "train.epochs": EPOCHS})
    first, each = took[0], took[-1]
    longest = first + (epochs - 1) * each
    total = start + tune.trials * longest / tune.workers
    click.echo(f"params.yaml's own network takes {first:.1f} s for the first epoch and {each:.1f} s for the second, {start:.0f} s to start")
    click.echo(f"so {tune.trials} trials of {epochs} epochs take {seconds(total)} at most; early stopping and {tune.pruner} make it less")
    if tune.minutes is not None and tune.minutes * 60 < total:
        click.echo(f"tune.minutes ends it after {tune.minutes:g} min")


def _timed(setup: worker.Setup, values: Mapping[str, Any]) -> tuple[float, list[float]]:
    """Seconds until a worker is ready, and of each epoch of one trial."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=worker.main, args=(theirs, setup), daemon=True)
    began = time.monotonic()
    process.start()
    theirs.close()
    took: list[float] = []
    try:
        said = ours.recv()
        if isinstance(said, worker.Broken):
            raise UserError(*said.messages)
        start = time.monotonic() - began
        ours.send((0, dict(values)))
        before = time.monotonic()
        while isinstance(said := ours.recv(), worker.Step):
            took.append(time.monotonic() - before)
            before = time.monotonic()
            ours.send(True)
        if said.kind:
            raise UserError(f"tune: params.yaml's own network cannot be trained: {said.reason}")
    finally:
        process.terminate()
        process.join()
    return start, took

"""Tune: a sweep finds the values that validation likes best.  Run: `python -m pipeline tune`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline import files, lineage, paths
from pipeline.config import ModelParams, NormalizeParams, SplitParams, TrainParams, TuneParams
from pipeline.errors import UserError
from pipeline.terminal.progress import SUMMARY
from pipeline.tracking import sweeps
from pipeline.tuning import preview, results, stores, study, sweep, terminal
from pipeline.tuning.plan import Plan
from pipeline.tuning.report import pages

log = logging.getLogger(__name__)


def run(
    seed: int,
    split: SplitParams,
    normalize: NormalizeParams,
    model: ModelParams,
    train: TrainParams,
    tune: TuneParams,
    *,
    join: bool = False,
    dry_run: bool = False,
) -> None:
    """Search tune.space on train and validation; write best.yaml, trials.csv and index.html to reports/tune/.

    Args:
        join: take trials of a sweep that another machine runs, until its budget is spent; nothing is written here.
        dry_run: tell what would be searched, and how long it would take.
    """
    if not tune.trials:
        if not (join or dry_run):
            _write(None, {"trials": 0})
        return
    plan = Plan(seed, {"split": split, "normalize": normalize, "model": model, "train": train}, tune)
    if dry_run:
        preview.tell(plan)
        return
    with ExitStack() as stack:
        if tune.storage is None:
            stack.enter_context(_alone(plan))
        found = study.Study(tune, plan.aim, plan.space, seed=seed, store=plan.store, made_from=plan.made_from, join=join)
        stack.callback(found.close)
        objective, lower = next(iter(plan.aim.objectives.items()))
        shape: dict[str, Any] = {"trials": tune.trials, "epochs": plan.epochs, "workers": tune.workers}
        view = stack.enter_context(terminal.view(**shape, objective=objective, lower=lower))
        if join:
            sweep.run(found, plan.setup, tune, view)
            return
        _say_why(plan, begun=found.begin(plan.defaults, plan.first))
        tracked = sweeps.Sweep(plan.source, plan.key, lineage.commit() | lineage.environment())
        try:
            sweep.run(found, plan.setup, tune, view, on_finished=lambda trial: tracked.log({**asdict(trial), "objective": objective}))
        except BaseException as error:
            tracked.close("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED", {}, {}, [])
            if isinstance(error, KeyboardInterrupt):
                log.warning("interrupted: %d of %d trials are kept; the same command goes on with them", found.done(), tune.trials)
            raise
        _finish(found, plan, tune, tracked)


@contextmanager
def _alone(plan: Plan) -> Iterator[None]:
    """Inside the block no other workspace runs this sweep: what it had left running would be taken for cut off."""
    from filelock import FileLock, Timeout

    lock = FileLock(paths.state() / "locks" / f"study-{plan.key}.lock")
    try:
        lock.acquire(timeout=0.1)
    except Timeout:
        log.warning("sweep %s already runs in another workspace; waiting for it to end", plan.key)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _say_why(plan: Plan, *, begun: bool) -> None:
    """Say whether this sweep goes on or begins, and why it is not the last one."""
    last = plan.studies / f"last-{plan.source}.json"
    before = files.read_json(last) if last.exists() else None
    if not begun:
        earlier = before is not None and before["key"] != plan.key
        log.info("sweep %s goes on%s", plan.key, ": an earlier one with the same code, data and params" if earlier else "")
    elif before is not None and before["key"] != plan.key:
        log.info("a new sweep %s, since %s", plan.key, "; ".join(stores.differences(plan.made_from, before)[:5]))
    files.write_json(last, plan.made_from)


def _finish(found: study.Study, plan: Plan, tune: TuneParams, tracked: sweeps.Sweep) -> None:
    pruner = tune.pruner if plan.aim.prunes else "none"
    details = {"sampler": tune.sampler, "pruner": pruner, "workers": tune.workers, "minutes": tune.minutes}
    result = found.result(plan.source, details, epochs=plan.epochs)
    if result.best is None:
        tracked.close("FAILED", {}, {}, [])
        failed = [trial for trial in result.trials if trial.state == results.FAILED]
        first = f"the first: {failed[0].reason}" if failed else "all were pruned, or none keeps tune.constraints"
        raise UserError(f"tune: none of {len(result.trials)} trials came to a good end; {first}")
    best = result.of(result.best)
    first, value = result.objectives[0], best.values[0]
    log.info("best: trial %d of %d, %s %.4f on validation", best.number, len(result.trials), first, value, extra=SUMMARY)
    provenance = {"study": plan.key, "trials": len(result.trials), "best_trial": best.number, "objective": first, "value": value}
    provenance |= {"validation_loss": best.measured["loss"], "reproducible": _reproducible(tune)}
    _write(result, provenance, timeline := plan.studies / f"{plan.key}.html")
    written = [*sorted(paths.BEST.parent.iterdir()), timeline]
    tracked.close("FINISHED", _changed(best), {f"best/validation/{name}": v for name, v in best.measured.items()}, written)
    if tune.storage is None:
        log.info("look at %s, or: optuna-dashboard %s", paths.BEST.with_name("index.html"), os.path.relpath(plan.store))


def _reproducible(tune: TuneParams) -> str:
    if tune.workers > 1 or tune.minutes is not None or tune.storage is not None:
        return "best.yaml gives the same training again; the sweep itself depends on which trial ended first"
    return "the same seed gives the same sweep"


def _changed(best: results.Trial) -> dict[str, Any]:
    """The values of the best trial: none where it is trial 0, params.yaml itself."""
    return dict(best.params) if best.number else {}


def _write(result: results.Sweep | None, provenance: Mapping[str, Any], timeline: Path | None = None) -> None:
    with files.replaced(paths.BEST.parent) as folder:
        chosen = _changed(result.of(result.best)) if result is not None and result.best is not None else {}
        with (folder / paths.BEST.name).open("w", encoding="utf-8") as out:
            YAML().dump({"params": chosen, "from": dict(provenance)}, out)
        files.write_csv(folder / "trials.csv", results.rows(result) if result is not None else [])
        if result is not None and timeline is not None:
            files.write_csv(folder / "importances.csv", [{"key": key, "importance": share} for key, share in result.importances.items()])
            pages.write(result, folder / "index.html")
            pages.timeline(result, timeline)

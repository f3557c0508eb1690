"""How good the default network is: its test AUC over several splits, against logistic regression and gradient boosting.

Run: `python benchmarks/quality.py [--seeds 5]`.  Takes about half a minute a seed.

The model and train sections of params.yaml as they are, without a sweep, on the default example: for each seed the rows
are split anew by person, the 95% plan stays out as production, preprocessing is fitted on train, the network stops on
validation, and all models answer the same test rows.  The first seed is the one in params.yaml, the others follow it.

Differences are the network's AUC minus the other's.  Within a seed they stand with a 95% bootstrap interval that
resamples persons (evaluation.intervals).  Over seeds they stand as a mean with two 95% t intervals: the plain one, which
is too narrow, since the splits share most of their rows, and the corrected one, whose variance is
(1 / seeds + test rows / train rows) times that of the seeds (Nadeau & Bengio 2003, Machine Learning 52).

The last line does the same with rows split at random: persons then stand on both sides, and the AUC flatters.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import workspace

from pipeline import paths
from pipeline.config import Params, SplitParams
from pipeline.data import arrays
from pipeline.data.fitted import Preprocessor
from pipeline.models import device
from pipeline.params_file import load
from pipeline.stages import clean, collect, normalize, split

OVER_LINEAR, OVER_BOOSTING = 0.0, -0.015
MODELS = ("network", "linear", "boosting")
REPLICATES = 1000


@dataclass(frozen=True)
class Found:
    """One split: test AUC by model; the network's difference to each other as (value, low, high); rows of the sides; epochs."""

    auc: dict[str, float]
    over: dict[str, tuple[float, float, float]]
    train: int
    test: int
    epochs: int


def prepare(params: Params) -> None:
    """Read and clean the source into this folder, once for all splits."""
    collect.run(params.data)
    clean.run(params.data, params.clean)


def one(params: Params, split_params: SplitParams, seed: int) -> Found:
    """Split by `seed`, normalize, train the network and the baselines, and compare them on the test rows."""
    from pipeline.evaluation import intervals
    from pipeline.evaluation.baselines import Arrays, fit_baselines
    from pipeline.models.fit import fit, inputs, outputs

    split.run(seed, split_params)
    normalize.run(split_params, params.normalize)
    fitted = Preprocessor.from_json(paths.PREPROCESSOR.read_text(encoding="utf-8"))
    train, validation, test = (arrays.load(side) for side in paths.SIDES[:3])
    trained = fit(fitted, train, validation, model=params.model, params=params.train, seed=seed)
    sizes = tuple(len(category.tokens) + 1 for category in fitted.categories)
    rows = [Arrays(side.number, side.category, sizes, side.target) for side in (train, test)]
    baselines = fit_baselines(fitted.task, rows[0], n_classes=len(fitted.target.classes), seed=seed)
    answers = {"network": outputs(trained.model, fitted, inputs(test, fitted))}
    answers |= {name: baselines[name](rows[1]) for name in MODELS[1:]}
    result = intervals.bootstrap(
        fitted.task, np.asarray(test.target), answers, np.asarray(test.group), replicates=REPLICATES, confidence=0.95, seed=seed
    )
    over = {name: result.differences[name]["auc"] for name in MODELS[1:]}
    return Found(
        auc={name: result.models[name]["auc"].value for name in MODELS},
        over={name: (found.value, found.low, found.high) for name, found in over.items()},
        train=len(train),
        test=len(test),
        epochs=trained.best_epoch + 1,
    )


def t_intervals(found: list[Found], other: str) -> tuple[float, float, float]:
    """The mean difference over seeds, and half the width of its plain and of its corrected 95% t interval."""
    from scipy.stats import t

    values = [each.over[other][0] for each in found]
    if len(values) < 2:
        return values[0], float("nan"), float("nan")
    variance, quantile = statistics.variance(values), float(t.ppf(0.975, len(values) - 1))
    ratio = statistics.mean(each.test / each.train for each in found)
    plain, corrected = ((variance * (1 / len(values) + extra)) ** 0.5 * quantile for extra in (0.0, ratio))
    return statistics.mean(values), plain, corrected


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="number of splits (default 5)")
    seeds = parser.parse_args().seeds
    for name in ("pipeline", "tensorflow"):  # the warnings of the leaky splits are the point here
        logging.getLogger(name).setLevel(logging.ERROR)
    print(f"{seeds} seeds; {workspace.machine()}", flush=True)
    started = time.process_time()
    with workspace.copy() as folder:
        for name in workspace.FOREIGN:
            os.environ.pop(name, None)
        os.chdir(folder)
        device.start("cpu")
        params = load(paths.PARAMS)
        prepare(params)
        at_random = params.split.model_copy(update={"strategy": "random", "by": None})
        head = "".join(f"  {f'network - {name}':24}" for name in MODELS[1:])
        print(f"\n{'seed':>4}  {'network':>7} {'linear':>7} {'boosting':>8}{head}  epoch  test rows")
        found, leaky = [], []
        for seed in range(params.seed, params.seed + seeds):
            found.append(each := one(params, params.split, seed))
            over = "  ".join("{:+.4f} [{:+.4f}, {:+.4f}]".format(*each.over[name]) for name in MODELS[1:])
            auc = each.auc
            print(
                f"{seed:4}  {auc['network']:7.4f} {auc['linear']:7.4f} {auc['boosting']:8.4f}  {over}  {each.epochs:5}  {each.test:9}",
                flush=True,
            )
        for seed in range(params.seed, params.seed + seeds):
            leaky.append(one(params, at_random, seed))
        os.chdir(Path(workspace.ROOT))  # the copy goes away
    mean = {name: statistics.mean(each.auc[name] for each in found) for name in MODELS}
    flattered = {name: statistics.mean(each.auc[name] for each in leaky) for name in MODELS}
    print(f"mean  {mean['network']:7.4f} {mean['linear']:7.4f} {mean['boosting']:8.4f}\n")
    over = {}
    for name in MODELS[1:]:
        over[name], plain, corrected = t_intervals(found, name)
        print(f"network - {name}: mean {over[name]:+.4f}, t interval ±{plain:.4f}, corrected ±{corrected:.4f}")
    told = ", ".join(f"{name} {flattered[name]:.4f} ({flattered[name] - mean[name]:+.4f})" for name in MODELS)
    print(f"the leak, rows split at random: {told}")
    print(f"{time.process_time() - started:.0f} s of CPU")
    workspace.verdict(
        f"mean difference to linear above {OVER_LINEAR:g}, to boosting at least {OVER_BOOSTING:g}",
        over["linear"] > OVER_LINEAR and over["boosting"] >= OVER_BOOSTING,
    )


if __name__ == "__main__":
    main()

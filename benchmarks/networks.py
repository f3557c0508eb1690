"""How good the networks are on public data: every family through the project's own stages and `fit`, on fixed test rows.

Run: `python benchmarks/networks.py [NAME ...] [--seeds 3] [--data ../shared/datasets] [--validation | --folds 5] [--set KEY=VALUE ...]`.
What is trained, and what it is to reach, stands in networks.yaml.  The data are no part of the repository.  Each set goes through collect,
clean, split and normalize once, and is trained from as many seeds as are asked for; a figure stands with its mean over them, its spread,
and the 95% bootstrap interval of the first.  `--validation` shows validation in place of test, `--folds` out-of-fold predictions of train
and validation (better where rows are few): settings are chosen with them.  Ends with exit code 1 where a mean falls short.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import workspace
from ruamel.yaml import YAML

from pipeline import paths
from pipeline.commands.stages import run_stage
from pipeline.config import Params
from pipeline.data import arrays
from pipeline.data.fitted import Preprocessor
from pipeline.models import device
from pipeline.params_file import load

SETS = Path(__file__).with_suffix(".yaml")
LOWER = ("rmse", "mse")  # is better
SECTIONS = ("clean", "normalize", "model", "train", "tune", "evaluate", "register", "monitor")


def source(found: dict[str, Any], data: Path, folder: Path) -> Path:
    """The set's file or folder; where sides or rows are asked for, a copy of the table with them."""
    import pandas as pd
    from sklearn.model_selection import train_test_split

    given, sides = data / found["source"], found.get("sides")
    if not sides and "rows" not in found:
        return given.resolve()
    table = pd.read_csv(given, dtype=str, keep_default_na=False).head(found.get("rows"))
    if sides:
        table = table.drop_duplicates() if sides.get("distinct") else table
        key = table[sides["stratify"]] if "stratify" in sides else None
        rest, test = train_test_split(table, test_size=0.2, random_state=0, stratify=key)
        table.loc[rest.index, "split"], table.loc[test.index, "split"] = "train", "test"
        if share := sides.get("validation"):
            table.loc[train_test_split(rest, test_size=share, random_state=0)[1].index, "split"] = "validation"
    table.to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def prepare(found: dict[str, Any], data: Path, settings: list[str]) -> Params:
    """Write params.yaml here, and run the stages that prepare data."""
    here = Path.cwd()
    params: dict[str, Any] = {name: {} for name in SECTIONS} | found["params"] | {"seed": 0}
    params["data"] = {**params["data"], "source": str(source(found, data, here))}
    params["split"] = {"strategy": "given", "by": "split", **params.get("split", {})}
    for setting in settings:
        *keys, last = setting.split("=", 1)[0].split(".")
        section = params
        for key in keys:
            section = section.setdefault(key, {})
        section[last] = YAML(typ="safe").load(setting.split("=", 1)[1])
    with paths.PARAMS.open("w", encoding="utf-8") as out:
        YAML().dump(params, out)
    made = load(paths.PARAMS)
    for stage in ("collect", "clean", "split", "normalize"):
        run_stage(stage, made)
    return made


def measure(params: Params, found: dict[str, Any], seed: int, side: str) -> tuple[float, tuple[float, float], float]:
    """Train from `seed`: the figure on a side's rows, its bootstrap interval, and the seconds of training."""
    from pipeline.evaluation import intervals
    from pipeline.models.build import serving
    from pipeline.models.fit import actual, fit, measures, outputs
    from pipeline.training import ensembling
    from pipeline.training.crossvalidation import cross_validate

    fitted = Preprocessor.from_json(paths.PREPROCESSOR.read_text(encoding="utf-8"))
    train, validation, asked = (arrays.load(name) for name in ("train", "validation", side))
    started = time.monotonic()
    if params.split.folds:
        crossed = cross_validate(fitted, train, validation, model=params.model, params=params.train, seed=seed)
        return crossed.together[found["metric"]], (float("nan"), float("nan")), time.monotonic() - started
    results = [
        fit(fitted, train, validation, model=params.model, params=params.train, seed=one, on_epoch=_told(started))
        for one in ensembling.seeds(seed, params.train.ensemble)
    ]
    network = ensembling.mean([serving(result.model) for result in results])
    seconds = time.monotonic() - started
    truth, answers, metric = actual(asked, fitted), outputs(network, fitted, asked), found["metric"]
    if fitted.forecast:  # in standard deviations of train, as the papers have it
        return measures(fitted, truth, answers)["validation/loss"], (float("nan"), float("nan")), seconds
    made = intervals.bootstrap(fitted.task, truth, {"network": answers}, np.asarray(asked.group), confidence=0.95, seed=seed)
    interval = made.models["network"][metric]
    return interval.value, (interval.low, interval.high), seconds


def _told(started: float) -> Any:
    def tell(epoch: int, row: Any) -> None:
        logging.getLogger("networks").info(
            "epoch %d: %s (%.0f s)", epoch, {k: round(v, 4) for k, v in row.items()}, time.monotonic() - started
        )

    return tell


def shown(value: float) -> str:
    return f"{value:,.0f}" if value > 100 else f"{value:.4f}"


def main() -> None:
    sets = YAML(typ="safe").load(SETS.read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"sets (default all): {', '.join(sets)}")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each set (default 3)")
    parser.add_argument("--data", type=Path, default=workspace.ROOT.parent / "shared" / "datasets", help="folder of the data sets")
    parser.add_argument("--validation", action="store_true", help="show validation in place of test")
    parser.add_argument("--folds", type=int, default=0, help="show cross-validation of train and validation in place of test")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another value of params, to compare on validation")
    parser.add_argument("--verbose", action="store_true", help="show every epoch")
    asked = parser.parse_args()
    if unknown := sorted(set(asked.names) - set(sets)):
        parser.error(f"no set {', '.join(unknown)}; sets are {', '.join(sets)}")
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    logging.getLogger("networks").setLevel(logging.INFO if asked.verbose else logging.ERROR)
    if asked.folds:
        asked.set.append(f"split.folds={asked.folds}")
    data, side, short = asked.data.resolve(), "validation" if asked.validation or asked.folds else "test", []
    for name in workspace.FOREIGN:
        os.environ.pop(name, None)
    device.start("auto")
    print(f"{workspace.machine()}\n\n| data | {side}: mean of {asked.seeds} | lowest to highest | 95% interval | to reach | s a training |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in asked.names or sets:
        found = sets[name]
        with tempfile.TemporaryDirectory(prefix="pipeline-benchmark-") as folder:
            os.chdir(folder)
            params = prepare(found, data, asked.set)
            results = [measure(params, found, seed, side) for seed in range(asked.seeds)]
            os.chdir(workspace.ROOT)
        values, spent = [value for value, _, _ in results], statistics.median(seconds for _, _, seconds in results)
        low, high = results[0][1]
        mean = statistics.mean(values)
        interval = f"[{shown(low)}, {shown(high)}]" if low == low else ""
        sign = "at most" if found["metric"] in LOWER else "at least"
        print(
            f"| {name} | {found['metric']} {shown(mean)} | {shown(min(values))} to {shown(max(values))} | {interval} "
            f"| {sign} {shown(found['reach'])} | {spent:.0f} |",
            flush=True,
        )
        good = mean <= found["reach"] if found["metric"] in LOWER else mean >= found["reach"]
        good &= spent <= 60 * found.get("minutes", float("inf"))
        short += [] if good else [name]
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")
    if side == "test":
        workspace.verdict(f"every mean reaches its figure{' (short: ' + ', '.join(short) + ')' if short else ''}", not short)


if __name__ == "__main__":
    main()

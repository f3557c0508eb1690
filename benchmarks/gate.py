"""How often the gate is wrong: one network from 100 seeds, each judged against the champion of its moment; harm planted on parts.

Run: `python benchmarks/gate.py [SEEDS]`.  100 seeds take some ten minutes on two cores.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import numpy as np
import pandas as pd
import workspace

BOUND, EPOCHS = 0.05, 12
EVERY = 20  # seeds a harm is planted in every part of the rows of one


def main() -> None:
    """Print the share of seeds that would have become champion, and whether each planted harm was held back."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    print(f"{workspace.machine()}\n")
    with workspace.copy() as folder:
        for stage in ("collect", "clean", "split", "normalize"):
            workspace.cost(folder, "-m", "pipeline", stage)
        os.chdir(folder)
        verdicts(seeds)


def verdicts(seeds: int) -> None:
    """In the current folder, whose arrays are ready."""
    from pipeline import gate, paths
    from pipeline.config import ModelParams, TrainParams
    from pipeline.data import arrays
    from pipeline.data.fitted import Preprocessor
    from pipeline.evaluation import coding
    from pipeline.models import device

    device.start("cpu")
    from pipeline.models.fit import fit, outputs

    fitted = Preprocessor.from_json(paths.PREPROCESSOR.read_text(encoding="utf-8"))
    train, validation, test = (arrays.load(side) for side in ("train", "validation", "test"))
    y, groups = np.asarray(test.target), np.asarray(test.group)
    table = pd.read_parquet(paths.SPLIT / "test" / paths.ROWS, columns=list(fitted.columns))

    def answers(seed: int) -> np.ndarray:
        how = {"model": ModelParams(layers=1, width=64), "params": TrainParams(epochs=EPOCHS)}
        return outputs(fit(fitted, train, validation, seed=seed, **how).model, fitted, test)

    def judge(new: np.ndarray, champion: np.ndarray, seed: int) -> gate.Judgement:
        return gate.judge(fitted.task, y, new, champion, groups, table, replicates=1000, confidence=0.95, seed=seed)

    def parts() -> Iterator[np.ndarray]:
        """Rows of each part that has twice the groups without which it is not looked at."""
        for column in fitted.columns:
            coded = coding.coded(column, table[column], gate.FEWEST)
            yield from (rows for code in range(len(coded.values)) if len(np.unique(groups[rows := coded.codes == code])) >= 2 * gate.FEWEST)

    champion, found, harmed = answers(0), [], []
    for seed in range(1, seeds):
        new = answers(seed)
        found.append(judge(new, champion, seed))
        if seed % EVERY == 0:
            harmed += [judge(np.where(rows, 1 - new, new), champion, seed).verdict for rows in parts()]
            print(f"{seed} of {seeds}", file=sys.stderr, flush=True)
        champion = new if found[-1].verdict == "better" else champion
    aucs, told = [one.new["auc"] for one in found], [one.verdict for one in found]
    promoted, held = told.count("better") / len(told), harmed.count("worse")
    print(f"{len(y):,} test rows of {len(np.unique(groups))} groups; AUC over seeds {np.mean(aucs):.4f}, deviation {np.std(aucs):.4f}")
    print(f"became champion: {told.count('better')} of {len(told)} ({promoted:.1%}, at most {BOUND:.0%}); worse: {told.count('worse')}")
    print(f"probabilities turned round on one part of the rows: {held} of {len(harmed)} held back\n")
    kept = promoted <= BOUND and held == len(harmed)
    workspace.verdict(f"at most {BOUND:.0%} of equal models are promoted, and a harm on a part blocks", kept)


if __name__ == "__main__":
    main()

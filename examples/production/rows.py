"""The rows of the walk-through, from the RAND example's `load.py`.  Run: `python rows.py EXAMPLE FOLDER`, as walkthrough.sh does.

Taken are persons with at most ten rows: the example's key cannot tell apart the many people behind a larger one, and windows of a
few large groups hold too little to judge.  Persons are drawn to one part each, so that no row that the server is asked about
is a year of somebody it was trained on:

    incoming/1a.csv, 1b.csv   plans other than 95%, with the outcome: what the first version learns from
    sent/usual.csv            other people under the same plans
    sent/enrolment.csv        most people under the 95% plan, at once
    sent/everyday.csv         the rest of them among still other people: about the mix that the second version is trained on

`sent/` is what a client knows, in the order in which it asks; `outcomes/` what becomes known later, by the number of the case.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd

TARGET, NEW = "any_visit", "95%"
MOST = 10  # rows of a person
SHARES = {"incoming": 0.5, "usual": 0.2, "everyday": 0.3}  # of the persons under other plans
ENROLLED = 0.7  # of the persons under the 95% plan


def parts(rows: pd.DataFrame, seed: int) -> dict[str, pd.DataFrame]:
    """The rows by part, each in an order drawn at random."""
    rng = np.random.default_rng(seed)
    rows = rows[rows.groupby("person")["plan"].transform("size") <= MOST]
    rows = rows.assign(case=np.arange(1, len(rows) + 1))
    people = rng.permutation(rows.loc[rows["plan"] != NEW, "person"].unique())
    enrolled = rng.permutation(rows.loc[rows["plan"] == NEW, "person"].unique())
    ends = np.round(np.cumsum(list(SHARES.values())) * len(people)).astype(int)
    of = dict(zip(SHARES, np.split(people, ends[:-1]), strict=True))
    some = round(ENROLLED * len(enrolled))
    of |= {"enrolment": enrolled[:some], "everyday": np.concatenate([of["everyday"], enrolled[some:]])}
    return {name: rows[rows["person"].isin(persons)].sample(frac=1, random_state=rng) for name, persons in of.items()}


def write(found: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write all parts below `folder`."""
    for name in ("incoming", "sent", "outcomes"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    source = found["incoming"]
    half = len(source) // 2
    source.iloc[:half].to_csv(folder / "incoming" / "1a.csv", index=False)
    source.iloc[half:].to_csv(folder / "incoming" / "1b.csv", index=False)
    for name in ("usual", "enrolment", "everyday"):
        found[name].drop(columns=TARGET).to_csv(folder / "sent" / f"{name}.csv", index=False)
        found[name][["case", TARGET]].to_csv(folder / "outcomes" / f"{name}.csv", index=False)


if __name__ == "__main__":
    example, folder = map(Path, sys.argv[1:])
    made = parts(runpy.run_path(str(example / "load.py"))["load"]().to_pandas(), seed=5)
    write(made, folder)
    for name, rows in made.items():
        new, visits = (rows["plan"] == NEW).mean(), rows[TARGET].mean()
        print(f"{name:10s} {len(rows):6,d} rows, {new:4.0%} under the {NEW} plan, {visits:.0%} saw a doctor")

"""Do alarms mean something: how often windows alarm when nothing changed, and whether what harms a model is seen.

Run: `python benchmarks/monitoring.py [--part rates|power|estimate|scale] [--windows 200]`.  All parts take about two hours on
one core, most of them for the 100,000-row windows and for Evidently.

Rates: windows of an unchanged population, over several references, since one reference serves many windows.  Beside them
stands Evidently's default on windows of the same population, with a reference as large as the window and with one of 5,000
rows: its tests change at 1,000 rows of the reference.  Power: shifts whose size is found by bisection so that a boosted model
loses 0.02 to 0.03 of AUC on a large sample.  Estimate: the estimate of a window's performance from its outputs alone.
Scale: one large file judged by a fresh process.  Intervals are Wilson's at 95% over windows; windows of one reference are
not independent, so the most that any one reference gave stands beside them.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product

import numpy as np
import pandas as pd
import workspace
from monitoring_scale import scale
from monitoring_shifts import NOTHING, Case, Draw, Floats, Shift, accuracy, area, cases, kinds_of, log_loss
from scipy import stats

from pipeline.monitoring import alarms
from pipeline.monitoring.windows import Window

SIZES = (50, 200, 999, 1_001, 10_000, 100_000)
RATE, REFERENCE_ROWS, REFERENCES = 0.05, 5_000, 10
STEP = 1.1  # windows of persons are worth different numbers of rows: those of the same power of this share thresholds
POWER_ROWS, COST, CAUGHT = 1_000, (0.02, 0.03), 0.9
ESTIMATE_ROWS, ESTIMATE_ERROR, ESTIMATE_SHARE = (1_000, 2_000), 0.03, 0.9
RANKS = 1 / np.arange(1, 201)


def main() -> None:
    """Print the table of each part asked for; end with exit code 1 where a promise is broken."""
    parts = {"rates": rates, "power": power, "estimate": estimate, "scale": scale}
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", choices=parts)
    parser.add_argument("--windows", type=int, default=200)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="rows of the windows of part rates")
    parser.add_argument("--minimum", type=float, nargs="+", default=(0.0, 0.1), help="minimum effects of part rates")
    parser.add_argument("--pairs", type=int, default=40, help="Evidently's reports a cell, half as many from 10,000 rows on")
    options = parser.parse_args()
    print(f"{workspace.machine()}\n", flush=True)
    kept = {name: part(options) for name, part in parts.items() if options.part in (None, name)}
    for promise in [line for lines in kept.values() for line in lines]:
        print(f"promise: {promise[0]}: {'kept' if promise[1] else 'BROKEN'}")
    if not all(holds for lines in kept.values() for _, holds in lines):
        raise SystemExit(1)


# ---- rates


def rates(options: argparse.Namespace) -> list[tuple[str, bool]]:
    """Share of unchanged windows that alarm, of single rows and of persons who return; ours, then Evidently's default."""
    broken = []
    for grouped in (False, True):
        of = "persons who return 1 to 7 times" if grouped else "single rows"
        print(f"unchanged windows of {of}, 20 columns: share of reports that alarm")
        print(f"{'rows':>8}  {'':44} {'share':>7}  {'interval':16} {'reports':>7}  most in one reference")
        for rows in options.sizes:
            for minimum in options.minimum:
                alarmed = unchanged(rows, grouped=grouped, minimum=minimum, windows=options.windows)
                for what, at in (("drift", 0), ("drift or decay", 1)):
                    shares = [np.mean([one[at] for one in of_reference]) for of_reference in alarmed]
                    hits, total = sum(one[at] for each in alarmed for one in each), sum(map(len, alarmed))
                    line(rows, f"{what}, minimum effect {minimum:g}", hits, total, f"{max(shares):.0%}")
                    if wilson(hits, total)[0] > RATE:
                        broken.append(
                            f"{what} at {rows:,} rows{' of persons' if grouped else ''}, minimum effect {minimum:g}: {hits / total:.1%}"
                        )
            pairs = options.pairs if rows < 10_000 else options.pairs // 2
            for of in dict.fromkeys((rows, REFERENCE_ROWS)) if pairs else ():
                flagged = evidently(rows, of, grouped=grouped, pairs=pairs)
                line(rows, f"Evidently, reference {of:,}: any column", sum(count > 0 for count, _ in flagged), pairs)
                line(rows, f"Evidently, reference {of:,}: data set", sum(share >= 0.5 for _, share in flagged), pairs)
        print()
    for found in broken:
        print(f"too often: {found}")
    return [(f"at most {RATE:.0%} of unchanged windows alarm, within sampling error", not broken)]


def unchanged(rows: int, *, grouped: bool, minimum: float, windows: int) -> list[list[tuple[bool, bool]]]:
    """For each reference, for each of its windows: did it drift, did it drift or decay."""
    return [
        list(judged(population(grouped), population(grouped), rows, windows // REFERENCES, seed=[at, rows, grouped], minimum=minimum))
        for at in range(REFERENCES)
    ]


def judged(
    old: Draw,
    new: Draw,
    rows: int,
    windows: int,
    *,
    seed: list[int],
    minimum: float = 0.1,
    used: tuple[str, ...] | None = None,
    of: int = REFERENCE_ROWS,
) -> Iterator[tuple[bool, bool]]:
    """Draw a reference from `old` and windows from `new`; of each window, whether it drifted, and whether it drifted or decayed."""
    rng = np.random.default_rng(seed)
    reference = old(rng, of)
    kinds = kinds_of(reference.frame)

    @cache
    def thresholds(worth: int) -> alarms.Thresholds:
        return alarms.calibrate(
            reference.frame, reference.groups, kinds, rows=worth, false_alarm_rate=RATE, minimum_effect=minimum, seed=seed[0], used=used
        )

    for at in range(windows):
        window = new(rng, rows)
        worth = alarms.comparable_rows(window.groups, reference.groups)
        if worth != len(window):  # the next lower power of STEP, as monitoring does
            worth = int(STEP ** math.floor(math.log(worth, STEP)))
        found = alarms.verdict(
            thresholds(worth),
            reference.frame,
            window.frame,
            reference_groups=reference.groups,
            groups=window.groups,
            reference_losses=reference.losses,
            losses=window.losses,
            seed=at,
        )
        yield found.drift, found.drift or found.decayed


def population(grouped: bool) -> Draw:
    """Windows of at least so many rows: four columns of each of five kinds, and losses of a calibrated model on labels of 30%."""

    def draw(rng: np.random.Generator, rows: int) -> Window:
        persons = np.repeat(np.arange(rows), rng.integers(1, 8, rows)) if grouped else np.arange(rows)
        of_row = persons[persons <= persons[rows - 1]]
        many, noise = int(of_row[-1]) + 1, 0.1 * rng.normal(size=len(of_row)) * grouped
        frame = {}
        for at in range(4):
            frame[f"normal {at}"] = rng.normal(size=many)[of_row] + noise
            frame[f"lognormal {at}"] = np.exp(rng.normal(size=many)[of_row] + noise)
            frame[f"binary {at}"] = np.where(rng.random(many) < 0.03, "yes", "no").astype(object)[of_row]
            frame[f"ten {at}"] = np.array(list("abcdefghij"), dtype=object)[rng.integers(0, 10, many)][of_row]
            names = np.array([f"z{rank}" for rank in range(200)], dtype=object)
            frame[f"zipf {at}"] = names[rng.choice(200, many, p=RANKS / RANKS.sum())][of_row]
        outputs = rng.beta(1.2, 2.8, many)[of_row]
        label = rng.random(many)[of_row] < outputs  # a person's years agree
        return Window(pd.DataFrame(frame), outputs, log_loss(label, outputs), of_row)

    return draw


def evidently(rows: int, of: int, *, grouped: bool, pairs: int) -> list[tuple[int, float]]:
    """Number and share of columns that Evidently's default flags in windows of `rows` rows, each with a reference of its own."""
    draw, rng = population(grouped), np.random.default_rng([rows, of, grouped])
    return [evidently_flags(draw(rng, of).frame, draw(rng, rows).frame) for _ in range(pairs)]


def evidently_flags(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[int, float]:
    """Number and share of drifted columns by `DataDriftPreset` as it comes; its own verdict is a share of 0.5 or more."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset

        kinds = kinds_of(reference)
        definition = DataDefinition(
            numerical_columns=[name for name, kind in kinds.items() if kind == "number"],
            categorical_columns=[name for name, kind in kinds.items() if kind == "category"],
        )
        old, now = (Dataset.from_pandas(side, data_definition=definition) for side in (reference, current))
        told = Report([DataDriftPreset()]).run(now, old).dict()
    value = next(one["value"] for one in told["metrics"] if one["metric_name"].startswith("DriftedColumnsCount"))
    return int(value["count"]), float(value["share"])


# ---- power


def power(options: argparse.Namespace) -> list[tuple[str, bool]]:
    """Share of windows in which a costly shift is seen, by drift alone and with labels; and of windows with a harmless one."""
    missed, raised = [], []
    for case in cases():
        print(f"{case.name}: AUC {area(*case.large()):.3f}; windows of {POWER_ROWS:,} rows, {options.windows} a line")
        print(f"{'shift':56} {'size':>6} {'AUC':>7}  {'drift alone':22} drift or decay, with labels")
        for shift in case.shifts:
            # what shows in the loss alone is as hard to see as AUC is noisy, so larger ones stand beside
            for wanted in (sum(COST) / 2, 0.05, 0.1) if shift.of == "concept" else (sum(COST) / 2,):
                size = case.size(shift, wanted)
                drift, _ = seen(case, shift, size, options.windows)
                if case.cost(shift, size) < COST[0]:
                    print(f"{'':56} cannot cost {COST[0]} of AUC at any size up to {shift.most:g}")
                elif shift.of != "concept" and drift < CAUGHT * options.windows:
                    missed.append(f"{case.name}, {shift.what}: {drift / options.windows:.1%}")
        for shift in case.harmless:
            _, either = seen(case, shift, shift.most, options.windows)
            if wilson(either, options.windows)[0] > RATE:
                raised.append(f"{case.name}, {shift.what}: {either / options.windows:.1%}")
        print("a concept change leaves every input and every prediction as it was: without labels it cannot be seen\n")
    for found in (*missed, *raised):
        print(f"not as promised: {found}")
    return [
        (
            f"shifts of the inputs that cost {COST[0]} AUC are seen without labels in {CAUGHT:.0%} of windows of {POWER_ROWS:,} rows",
            not missed,
        ),
        (f"a shift of a column that the model does not use alarms in at most {RATE:.0%}, within sampling error", not raised),
    ]


def seen(case: Case, shift: Shift, size: float, windows: int) -> tuple[int, int]:
    """How many of the windows drift, and how many drift or decay; four references of 5,000 rows.  Prints its line."""
    new = case.windows(shift, size)
    found = [one for at in range(4) for one in judged(case.windows(), new, POWER_ROWS, -(-windows // 4), seed=[at, 7], used=case.used)][
        :windows
    ]
    drift, either = sum(one for one, _ in found), sum(one for _, one in found)
    print(f"{shift.what:56} {size:>6.3f} {-case.cost(shift, size):>+7.3f}  {share(drift, windows):22} {share(either, windows)}", flush=True)
    return drift, either


# ---- estimate


def estimate(options: argparse.Namespace) -> list[tuple[str, bool]]:
    """Share of windows whose estimated AUC and accuracy are near those that their labels give, and those of the population."""
    short = []
    for case in cases():
        print(f"{case.name}: estimate without labels; share of {options.windows} windows within {ESTIMATE_ERROR} of the truth")
        print(f"{'shift':56} {'rows':>6} {'metric':9} {'truth':>6} {'bias':>7}  {'of the window':22} of the population")
        # what is measured otherwise than in training stands in another relation to the outcome: that is a change of concept
        for shift in (NOTHING, *(shift for shift in case.shifts if shift.of == "population")):
            size = case.size(shift, sum(COST) / 2)
            label, outputs = case.large(shift, size)
            for (metric, measure), rows in product({"auc": area, "accuracy": accuracy}.items(), ESTIMATE_ROWS):
                off = np.array(list(errors(case, shift, size, metric, measure, rows, options.windows)))  # (windows, 2)
                off[:, 1] -= measure(label, outputs)
                of_window, of_population = (int(count) for count in (np.abs(off) <= ESTIMATE_ERROR).sum(axis=0))
                print(
                    f"{shift.what:56} {rows:>6,} {metric:9} {measure(label, outputs):>6.3f} {off[:, 1].mean():>+7.3f}  "
                    f"{share(of_window, options.windows):22} {share(of_population, options.windows)}",
                    flush=True,
                )
                if of_population < ESTIMATE_SHARE * options.windows:
                    short.append(f"{case.name}, {shift.what}, {metric} at {rows:,} rows")
        print()
    for found in short:
        print(f"not as promised: {found}")
    return [
        (f"the estimate without labels is within {ESTIMATE_ERROR} of the population's value in {ESTIMATE_SHARE:.0%} of windows", not short)
    ]


def errors(
    case: Case, shift: Shift, size: float, metric: str, measure: Callable[[Floats, Floats], float], rows: int, windows: int
) -> Iterator[tuple[float, float]]:
    """Of each window: the estimate less what its labels give, and the estimate itself."""
    from pipeline.monitoring.estimate import estimate as estimated

    rng = np.random.default_rng([rows, 3])
    for _ in range(windows):
        frame, label = case.draw(rng, rows, shift, size)
        outputs = case.answer(frame)
        found = estimated("binary", outputs, metric=metric, groups=np.arange(rows), confidence=0.95, seed=0, replicates=2)
        if found is None:
            raise SystemExit(f"there is no estimate of {metric}")
        yield found.value - measure(label, outputs), found.value


# ---- lines


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Wilson's 95% interval of a share."""
    found = stats.binomtest(int(hits), total).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def share(hits: int, total: int) -> str:
    """A share with its interval."""
    low, high = wilson(hits, total)
    return f"{hits / total:>6.1%} [{low:.1%}, {high:.1%}]"


def line(rows: int, what: str, hits: int, total: int, most: str = "") -> None:
    """One line of the table of rates."""
    low, high = wilson(hits, total)
    print(f"{rows:>8,}  {what:44} {hits / total:>7.1%}  {f'[{low:.1%}, {high:.1%}]':16} {total:>7}  {most}", flush=True)


if __name__ == "__main__":
    main()

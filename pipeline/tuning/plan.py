"""What a sweep follows from: params, data and code, and the key that they make together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import files, lineage, paths
from pipeline.config import Section, TrainParams, TuneParams, value_of
from pipeline.data import arrays
from pipeline.data.fitted import Preprocessor, Task
from pipeline.errors import UserError, masked
from pipeline.evaluation import metrics
from pipeline.imports import closure
from pipeline.models import own_files
from pipeline.tracking import sweeps
from pipeline.tuning import space, stores, study, worker

NOT_RESULTS = {"trials", "minutes", "workers", "threads", "retries", "storage", "heartbeat"}  # more of these go on with a study
COSTS = {"parameters": True, "latency": True}  # less is better
WARM = 10  # trials of an earlier sweep that are tried first


class Plan:
    """A sweep before it begins.

    Args:
        sections: split, normalize, model and train.

    Raises:
        UserError: tune names what is not measured or not there.
    """

    def __init__(self, seed: int, sections: Mapping[str, Any], tune: TuneParams) -> None:
        self.seed, self.tune, self.sections = seed, tune, sections
        fitted = Preprocessor.from_json(paths.PREPROCESSOR.read_text(encoding="utf-8"))
        self.space = space.space_of(tune, fitted, sections["model"])
        self.defaults = {key: value_of(sections, key) for key in self.space}
        self.epochs = int(tune.fixed.get("train.epochs", sections["train"].epochs))
        self.source = Path(files.read_json(paths.SOURCE)["source"]).stem
        self.aim = self._aim(fitted.task)
        plain = {name: section.model_dump_json(by_alias=True) for name, section in sections.items()}
        self.setup = worker.Setup(seed, plain, tune.objectives, tuple(tune.constraints), tune.folds)
        self.made_from = self._made_from()
        self.key: str = self.made_from["key"]
        self.studies = paths.state() / "studies"
        self.store = stores.address(tune.storage, self.studies / f"{self.key}.log")

    def _aim(self, task: Task) -> study.Aim:
        tune = self.tune
        lower = {metric.name: not metric.higher_is_better for metric in metrics.METRICS[task]} | {"loss": True} | COSTS
        for key, names in (("objectives", tune.objectives), ("constraints", tuple(tune.constraints))):
            if unknown := [name for name in names if name not in lower]:
                raise UserError(f"tune.{key}: {unknown[0]} is not measured; expected one of {', '.join(lower)}")
        if "normalize.target" in {**self.space, **tune.fixed} and "loss" in (*tune.objectives, *tune.constraints):
            raise UserError(
                "tune.objectives: the unit of loss changes with normalize.target, which is searched; take a metric such as rmse"
            )
        if tune.folds and not (paths.NORMALIZED / "train" / "fold.npy").exists():
            raise UserError(
                "tune.folds: the rows have no folds; " + ("a forecast has none" if task == "forecast" else "set split.folds to 3 or more")
            )
        steps = int(arrays.load("train").more["fold"].max()) + 1 if tune.folds else self.epochs
        bounds = {name: (bound, lower[name]) for name, bound in tune.constraints.items()}
        return study.Aim({name: lower[name] for name in tune.objectives}, bounds, 0 if tune.objectives[0] in COSTS else steps)

    def _made_from(self) -> dict[str, Any]:
        """The study's key, and what it was made from."""
        train: TrainParams = self.sections["train"]
        data = [*arrays.files(*paths.SIDES[:2]), *([Path(train.start_from)] if train.start_from else [])]
        data += own_files.placed(self.sections["model"].encoder).values()
        if any(key.startswith("normalize.") for key in {**self.space, **self.tune.fixed}):
            data += [paths.SCHEMA, *(paths.SPLIT / side / paths.ROWS for side in paths.SIDES[:2])]
        params = {"seed": self.seed, **_flat("model", self.sections["model"]), **_flat("train", train)}
        params |= _flat("tune", self.tune, without=NOT_RESULTS)
        code = lineage.digest(sorted(closure(Path(worker.__file__), Path(space.__file__))))
        made = {"source": self.source, "code": code, "data": lineage.digest(data), "params": params}
        key = lineage.text_digest(json.dumps(made, sort_keys=True, default=str))
        return {"key": key, "commit": lineage.commit().get("git.commit", "")[:12], **made}

    def first(self) -> list[space.Values]:
        """Values to try right after params.yaml's own: those of tune.enqueue, and the best of tune.warm_start.

        Raises:
            UserError: there is no such sweep.
        """
        first: list[space.Values] = [dict(values) for values in self.tune.enqueue]
        if (asked := self.tune.warm_start) is None:
            return first
        for key in (asked, sweeps.key_of(asked) if len(asked) == 32 else None):
            store = self.store if self.tune.storage else str(self.studies / f"{key}.log")
            if key and (found := stores.earlier(store, key, self.space, WARM)) is not None:
                return first + found
        raise UserError(
            f"tune.warm_start: expected the key of a sweep in {masked(self.store)}'s store, or the id of its MLflow run, got {asked}"
        )


def _flat(name: str, section: Section, without: set[str] | None = None) -> dict[str, Any]:
    dumped = section.model_dump(mode="json", by_alias=True, exclude=without or set())
    return {f"{name}.{key}": value for key, value in dumped.items()}

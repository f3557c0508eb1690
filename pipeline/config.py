"""params.yaml as frozen, typed sections.

A stage names the sections it reads as its arguments (`def run(seed, data)`), so what it reads is what dvc.yaml must
list.  The file itself is read by `params_file`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, model_validator
from pydantic_core import PydanticCustomError

Kind = Literal["number", "category", "boolean", "datetime", "text", "id", "ignore"]
Share = Annotated[float, Field(gt=0, lt=1)]
Scalar = str | int | float | bool
Value = TypeVar("Value")
Table = Annotated[Mapping[str, Value], AfterValidator(MappingProxyType), PlainSerializer(dict)]  # a mapping that never changes


class Section(BaseModel):
    """A part of params.yaml: unknown keys are errors and values never change after loading."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True, validate_default=True
    )


class DataParams(Section):
    source: str = Field(min_length=1)
    """Path of a CSV or Parquet file, or of a folder that holds load.py."""
    target: str = Field(min_length=1)
    """Column to predict."""
    task: Literal["auto", "binary", "multiclass", "regression"] = "auto"
    """What to predict; auto infers it from the target's values."""
    positive: str | None = None
    """Class counted as positive in a binary task; by default the second in alphabetical order."""
    encoding: str = "utf-8"
    """Encoding of a CSV file, by Python's name."""
    columns: Table[Kind] = {}
    """Kinds that override the inferred ones, by column."""
    missing: tuple[str, ...] = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "?", "-")
    """Texts that stand for a missing value, after trimming."""


class CleanParams(Section):
    duplicates: Literal["keep", "drop"] = "keep"
    """What to do with rows equal to an earlier row in every column; they are counted either way."""


class ProductionParams(Section):
    column: str
    """Column that tells the rows held back as production."""
    values: tuple[Scalar, ...] = Field(min_length=1, alias="in")
    """Its values on those rows."""


class SplitParams(Section):
    strategy: Literal["random", "stratified", "group"] = "random"
    """Rows at random, at random within each class, or whole groups of rows together."""
    by: str | None = None
    """Column whose equal values stay on one side (strategy group only)."""
    validation: Share = 0.15
    """Share of the rows (or groups) for early stopping and tuning."""
    test: Share = 0.15
    """Share of the rows (or groups) held out for evaluation."""
    production: ProductionParams | None = None
    """Rows held back as a rehearsal of production; they take no part in training or testing."""

    @model_validator(mode="after")
    def _consistent(self) -> SplitParams:
        wrong: list[tuple[tuple[str, ...], str]] = []  # the keys that a mistake lies between, and what it is
        if self.validation + self.test >= 1:
            came = f"{self.validation:g} + {self.test:g}"
            wrong.append((("validation", "test"), "expected validation + test below 1, so that rows are left to train on, got " + came))
        if self.strategy == "group" and self.by is None:
            wrong.append((("strategy", "by"), "strategy group needs by: the column whose equal values stay together"))
        if self.strategy != "group" and self.by is not None:
            wrong.append((("by", "strategy"), f"by is read by strategy group only, but strategy is {self.strategy}"))
        if wrong:
            raise PydanticCustomError("across", "{text}", {"text": "; ".join(text for _, text in wrong), "wrong": wrong})
        return self


class NormalizeParams(Section):
    numeric: Literal["robust", "standard", "none"] = "robust"
    """Scaling of number columns: (x - median) / interquartile range with a smooth clip, z-score, or none."""
    rare_category: int = Field(10, ge=1)
    """Categories with fewer rows than this in train share one code."""
    max_categories: int = Field(1000, ge=2)
    """At most this many categories of a column keep a code of their own, the most frequent ones."""


class ModelParams(Section):
    family: Literal["auto", "mlp"] = "auto"
    """Network family; auto follows the data (tables: mlp)."""
    layers: int = Field(3, ge=0, le=64)
    """Hidden layers; 0 is the linear model."""
    width: int = Field(192, ge=1, le=16384)
    """Units in each hidden layer."""
    activation: str = "silu"
    """Activation of the hidden layers, any name that keras.activations.get knows."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of hidden units dropped in training."""
    bins: int = Field(64, ge=0, le=256)
    """Bins of the piecewise-linear encoding of numbers, on distinct train quantiles; 0 feeds numbers as they are."""
    embedding: int = Field(8, ge=1, le=1024)
    """Width of each number column's embedding after the piecewise-linear encoding."""


class TrainParams(Section):
    epochs: int = Field(60, ge=1)
    """Most epochs to train."""
    batch_size: int = Field(256, ge=1)
    """Rows per gradient step."""
    optimizer: str = "adamw"
    """Any name that keras.optimizers.get knows."""
    learning_rate: float = Field(1e-3, gt=0)
    """Peak learning rate."""
    weight_decay: float = Field(1e-2, ge=0)
    """Decoupled weight decay of kernels (not of biases)."""
    clipnorm: float | None = Field(1.0, gt=0)
    """Bound on the norm of each weight's gradient; null switches it off."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """Course of the learning rate after the warm-up."""
    warmup_epochs: int = Field(1, ge=0)
    """Epochs of linear warm-up from zero."""
    early_stopping: int = Field(10, ge=0)
    """Epochs without a better validation loss before training stops; the best weights are kept. 0 never stops early."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train; auto takes the GPU when there is one, gpu insists on it."""


class Interval(Section):
    """A searched range, one of three forms."""

    log: tuple[float, float] | None = None
    """Real numbers, uniform in the logarithm."""
    uniform: tuple[float, float] | None = None
    """Real numbers, uniform."""
    int_: tuple[int, int] | None = Field(default=None, alias="int")
    """Whole numbers, both ends included."""
    choice: tuple[Scalar, ...] | None = None
    """One of these values."""

    @model_validator(mode="after")
    def _one(self) -> Interval:
        given = {name: value for name, value in self.model_dump(by_alias=True).items() if value is not None}
        if len(given) != 1:
            raise PydanticCustomError("across", "expected exactly one of log, uniform, int, choice")
        ((name, ends),) = given.items()
        if name == "choice":
            if not ends:
                raise PydanticCustomError("across", "choice needs at least one value")
        elif ends[0] >= ends[1]:
            raise PydanticCustomError("across", f"{name} needs [low, high] with low below high, got {list(ends)}")
        if name == "log" and ends[0] <= 0:
            raise PydanticCustomError("across", f"log needs a low end above 0, got {ends[0]:g}")
        return self

    @property
    def ends(self) -> tuple[Scalar, ...]:
        """The values that bound the range (every value of a choice)."""
        return self.log or self.uniform or self.int_ or self.choice or ()


class TuneParams(Section):
    trials: int = Field(10, ge=0)
    """Trials of the sweep; trial 0 is params.yaml itself. 0 trains params.yaml as it is."""
    sampler: str = "TPESampler"
    """Any sampler class of optuna.samplers, by name."""
    pruner: str = "HyperbandPruner"
    """Any pruner class of optuna.pruners, by name."""
    space: Table[Interval] = {
        "train.learning_rate": Interval(log=(3e-4, 1e-2)),
        "train.weight_decay": Interval(log=(1e-4, 1e-1)),
        "model.dropout": Interval(uniform=(0.0, 0.5)),
        "model.width": Interval(choice=(64, 128, 192, 256)),
        "model.layers": Interval(int=(1, 4)),
    }
    """Keys of model and train to search, each with its range."""


class EvaluateParams(Section):
    replicates: int = Field(1000, ge=100)
    """Bootstrap resamples behind each interval."""
    confidence: Share = 0.95
    """Coverage of the intervals."""


class RegisterParams(Section):
    name: str = Field("model", min_length=1, pattern=r"^[^/:]+$")
    """Name of the model in the MLflow registry."""
    alias: str = Field("champion", min_length=1, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")
    """Alias set on the new version (never in an experiment)."""


class MonitorParams(Section):
    window: int = Field(1000, ge=30)
    """Rows per monitored window of production, at least."""
    max_windows: int = Field(6, ge=1, le=100)
    """At most this many windows of test and of production rows; where that is too few, windows are larger."""
    false_alarm_rate: Share = 0.05
    """Share of windows that may alarm with nothing changed."""
    minimum_effect: float = Field(0.1, ge=0)
    """Drift smaller than this (in the unit of Evidently's distance) is no alarm, however certain."""


class Params(Section):
    """The whole of params.yaml; every section must be there, since DVC tracks each by name."""

    seed: int = Field(ge=0, lt=2**31)
    """Seed of every random choice."""
    data: DataParams
    clean: CleanParams
    split: SplitParams
    normalize: NormalizeParams
    model: ModelParams
    train: TrainParams
    tune: TuneParams
    evaluate: EvaluateParams
    register_: RegisterParams = Field(alias="register")
    monitor: MonitorParams

    def section(self, name: str) -> Any:
        """The section (or seed) that params.yaml calls `name`."""
        return getattr(self, "register_" if name == "register" else name)


def override(sections: Mapping[str, Section], values: Mapping[str, Scalar]) -> dict[str, Any]:
    """The sections with dotted keys (`train.learning_rate`) replaced, checked like the file.

    Raises:
        KeyError: no such section.
        ValidationError: a key is unknown or a value is out of its range.
    """
    raw = {name: section.model_dump(mode="json", by_alias=True) for name, section in sections.items()}
    for path, value in values.items():
        name, key = path.split(".")
        raw[name][key] = value
    return {name: type(section).model_validate_json(json.dumps(raw[name])) for name, section in sections.items()}

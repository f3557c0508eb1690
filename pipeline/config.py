"""params.yaml as frozen, typed sections.

`load` reads the file, checks every key and reports everything that is wrong at once, each with
`file:line:column`, what was expected, what came and the nearest valid key.  A stage names the sections it
reads as its arguments (`def run(seed, data)`), so what it reads is what dvc.yaml must list.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from pipeline.errors import UserError

Kind = Literal["number", "category", "boolean", "datetime", "text", "id", "ignore"]
Task = Literal["binary", "multiclass", "regression"]
Share = Annotated[float, Field(gt=0, lt=1)]
Scalar = str | int | float | bool


class Section(BaseModel):
    """A part of params.yaml: unknown keys are errors and values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True)


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
    columns: dict[str, Kind] = {}
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
        wrong = []
        if self.validation + self.test >= 1:
            came = f"{self.validation:g} + {self.test:g}"
            wrong.append("expected validation + test below 1, so that rows are left to train on, got " + came)
        if self.strategy == "group" and self.by is None:
            wrong.append("strategy group needs by: the column whose equal values stay together")
        if self.strategy != "group" and self.by is not None:
            wrong.append(f"by is read by strategy group only, but strategy is {self.strategy}")
        if wrong:
            raise PydanticCustomError("across", "{text}", {"text": "; ".join(wrong)})
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
    int_: tuple[int, int] | None = Field(None, alias="int")
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
    space: dict[str, Interval] = {
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
    """Rows per monitored window of production."""
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


TUNABLE = ("model", "train")
PLACEHOLDER = "\0absent"  # stands in for an absent value while the rest of the file is checked


def load(path: Path) -> Params:
    """Read and check params.yaml.

    Raises:
        UserError: the file is absent, is not YAML, or holds mistakes: one message for each.
    """
    root, raw = _parse(path)
    errors: dict[tuple[str | int, ...], str] = {}
    while True:  # validators across keys run only once the single keys are sound: drop the bad ones and look again
        try:
            params = Params.model_validate_json(json.dumps(raw, default=str))
        except ValidationError as error:
            told = [e for e in error.errors() if e["input"] != PLACEHOLDER]
            found = {(*_inside(root, e["loc"]), e["type"]): e for e in told}
            fresh = {key: e for key, e in found.items() if key not in errors}
            errors.update({key: _message(path, root, e) for key, e in fresh.items()})
            if not fresh or not all([_mend(raw, e) for e in fresh.values()]):
                break
        else:
            errors.update({("tune", "space", key): text for key, text in _space_errors(path, root, params)})
            if not errors:
                return params
            break
    raise UserError(*sorted(errors.values(), key=_place))


def _place(message: str) -> tuple[int, int]:
    line, column = message.split(": ", 1)[0].rsplit(":", 2)[1:]
    return int(line), int(column)


def _parse(path: Path) -> tuple[Node, dict[str, Any]]:
    """The file as a tree of located nodes and as plain values."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run in the project's root, or start from examples/rand_health") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: expected UTF-8 text, byte {error.start} is not: save the file as UTF-8") from None
    try:
        root = YAML(typ="safe", pure=True).compose(text)
        raw = YAML(typ="safe", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        raise UserError(f"{path}{place}: not valid YAML: {error.problem or error.context}") from None
    except YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(raw, dict):
        came = "nothing" if raw is None else type(raw).__name__
        raise UserError(f"{path}:1:1: expected sections such as data: and train:, got {came}")
    for name, value in raw.items():  # `clean:` with nothing below it means the defaults
        if value is None and name in Params.model_fields and name != "seed":
            raw[name] = {}
    return root, raw


def _inside(root: Node, loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """`loc` as far as it names keys of the file (pydantic appends the names of union members)."""
    path: list[str | int] = []
    node: Node | None = root
    for part in loc:
        step = _child(node, part)
        if step is None:
            if isinstance(node, MappingNode) and isinstance(part, str):
                path.append(part)
            break
        path.append(part)
        node = step[1]
    return tuple(path)


def _child(node: Node | None, part: str | int) -> tuple[Node, Node] | None:
    """The (key, value) nodes of one step down, None where the file has no such key."""
    if isinstance(node, MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


def _locate(root: Node, path: tuple[str | int, ...], *, value: bool) -> tuple[int, int]:
    """1-based line and column of a key (or of its value), of its nearest parent where it is absent."""
    mark, node = root.start_mark, root
    for part in path:
        step = _child(node, part)
        if step is None:
            break
        mark, node = (step[1] if value else step[0]).start_mark, step[1]
    return mark.line + 1, mark.column + 1


def _mend(raw: Any, error: ErrorDetails) -> bool:
    """Put something valid where an error was found, so that the rest can be checked; False if that is not possible."""
    *parents, last = error["loc"] or ("",)
    node = raw
    for part in parents:
        if not isinstance(node, dict) or not isinstance(node.get(part), dict):
            last = part
            break
        node = node[part]
    if error["type"] == "missing":
        node[last] = {} if not parents and last != "seed" else 0 if last == "seed" else PLACEHOLDER
    elif not isinstance(node, dict) or last not in node:
        return False
    elif not parents:
        node[last] = 0 if last == "seed" else {}
    else:
        del node[last]
    return True


def _message(path: Path, root: Node, error: ErrorDetails) -> str:
    keys = _inside(root, error["loc"])
    name = ".".join(map(str, keys)) or "params.yaml"
    kind = error["type"]
    line, column = _locate(root, keys, value=kind not in ("extra_forbidden", "missing"))
    if kind == "extra_forbidden":
        text = f"unknown key {name}{_suggest(keys)}"
    elif kind == "missing":
        section = len(keys) == 1 and keys[0] != "seed"
        text = f"missing {'section' if section else 'key'} {name}" + ("" if not section else f"; write `{name}: {{}}` for its defaults")
        text = f"{text}; it has no default" if not section or name == "data" else text
    else:
        came = json.dumps(error["input"], default=str)
        expected = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        expected = {"a valid array": "a list", "an object": "keys below it"}.get(expected, expected)
        near = difflib.get_close_matches(str(error["input"]), error.get("ctx", {}).get("expected", "").split("'")[1::2], n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        text = f"{name}: {expected}" if kind == "across" else f"{name}: expected {expected}, got {came[:80]}{hint}"
    return f"{path}:{line}:{column}: {text}"


def _suggest(keys: tuple[str | int, ...]) -> str:
    """The nearest valid key: of the same section first, then of any."""
    *parents, last = map(str, keys)
    prefix = ".".join(parents)
    every = dict(_fields(Params))
    siblings = [key.rsplit(".", 1)[-1] for key in every if key.rpartition(".")[0] == prefix]
    near = difflib.get_close_matches(last, siblings, n=1, cutoff=0.5)
    if near:
        return f"; nearest valid key: {'.'.join([*parents, near[0]])}"
    elsewhere = [key for key in every if key.rsplit(".", 1)[-1] == last]
    if elsewhere:
        return f"; did you mean {elsewhere[0]}?"
    return f"; valid keys here: {', '.join(siblings)}" if siblings else ""


def _fields(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key of the schema with its field, sections included."""
    for name, field in model.model_fields.items():
        key = prefix + (field.alias or name)
        yield key, field
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, Section):
                yield from _fields(inner, key + ".")


def _space_errors(path: Path, root: Node, params: Params) -> Iterator[tuple[str, str]]:
    """Keys of tune.space that name nothing tunable, or whose range leaves the key's own bounds."""
    known = [key for key, _ in _fields(Params) if key.split(".")[0] in TUNABLE and "." in key]
    for key, interval in params.tune.space.items():
        where = ("tune", "space", key)
        line, column = _locate(root, where, value=False)
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            hint = f"; nearest valid key: {near[0]}" if near else ""
            yield key, f"{path}:{line}:{column}: tune.space: {key} is no key of {' or '.join(TUNABLE)}{hint}"
            continue
        for value in interval.ends:
            try:
                override({name: params.section(name) for name in TUNABLE}, {key: value})
            except ValidationError as error:
                reason = error.errors()[0]["msg"].removeprefix("Input should be ")
                yield key, f"{path}:{line}:{column}: tune.space.{key}: expected {reason}, got {value!r}"
                break

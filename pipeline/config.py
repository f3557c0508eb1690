"""params.yaml as frozen, typed sections.

A stage names the sections it reads as its arguments (`def run(seed, data)`), so what it reads is what dvc.yaml must
list.  The file itself is read by `params_file`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, model_validator
from pydantic_core import PydanticCustomError

Kind = Literal["number", "category", "boolean", "datetime", "text", "image", "audio", "sequence", "id", "ignore"]
Scaling = Literal["auto", "robust", "standard", "quantile", "log", "none"]
Share = Annotated[float, Field(gt=0, lt=1)]
Width = Annotated[int, Field(ge=1, le=16384)]
Scalar = str | int | float | bool
Value = TypeVar("Value")
Table = Annotated[Mapping[str, Value], AfterValidator(MappingProxyType), PlainSerializer(dict)]  # a mapping that never changes


class Section(BaseModel):
    """A part of params.yaml: unknown keys are errors and values never change after loading."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True, validate_default=True
    )


class CsvParams(Section):
    """How a text table is written; what is auto is told from the file and noted in data/raw/source.json."""

    encoding: str = "auto"
    """Python's name of the encoding; auto tells UTF-8, UTF-16, Windows-1252 and Latin-1 apart."""
    delimiter: str = Field(default="auto", min_length=1)
    """Character (or characters) between values."""
    quote: Literal["auto", '"', "'", ""] = "auto"
    """Character around values that hold the delimiter or line ends; empty where nothing is quoted."""
    skip: Literal["auto"] | Annotated[int, Field(ge=0)] = "auto"
    """Lines above the header to leave out."""
    header: Literal["auto"] | Annotated[int, Field(ge=0, le=10)] = "auto"
    """Header lines: 0 names the columns column0, column1, ...; the names of several lines are joined by a blank."""
    comment: str = "auto"
    """Start of lines at the top of the file that are comments; empty where there are none."""
    decimal: Literal["auto", ".", ","] = "auto"
    """Decimal mark of numbers; auto tells it for each column."""
    thousands: Literal["auto", "", ",", ".", " ", "'"] = "auto"
    """Mark between groups of three digits; auto tells it for each column, empty takes none."""
    ragged: Literal["auto", "fail", "reject", "pad"] = "auto"
    """Rows with too few or too many values: fail, write them to the rejects, or pad short ones with missing values; auto
    rejects up to 1% of the rows and fails beyond."""


class SeriesParams(Section):
    """Long rows, one a time step, that become one row a series."""

    id: str
    """Column that names the series."""
    time: str
    """Column that orders its steps."""


class ForecastParams(Section):
    look_back: int = Field(ge=1)
    """Time steps that the network sees."""
    horizon: int = Field(ge=1)
    """Time steps to predict."""
    time: str | None = None
    """Column of the time; by default the only datetime column."""
    series: str | None = None
    """Column that names the series where the table holds several."""


class DataParams(Section):
    source: str = Field(min_length=1)
    """Path or URL (http, https, s3) of a table, an archive or a folder; files and folders are read by what they hold."""
    files: str | None = None
    """Which files of a folder or archive to read, as a pattern such as `*.csv` or `**/*.png`."""
    target: str | tuple[str, ...] = Field(min_length=1)
    """Column to predict (several for a forecast); for folders of classes, idx and .ts files the name that it is to have."""
    task: Literal["auto", "binary", "multiclass", "regression", "forecast"] = "auto"
    """What to predict; auto infers it from the target's values, and a forecast from data.forecast."""
    positive: str | None = None
    """Class counted as positive in a binary task; by default the second in alphabetical order."""
    connection: str | None = None
    """Environment variable that holds the SQLAlchemy URL over which a .sql source runs."""
    csv: CsvParams = CsvParams()
    """How a text table is written."""
    series: SeriesParams | None = None
    """For long rows (series, time step, values): they become one row a series."""
    forecast: ForecastParams | None = None
    """For a forecast: how far back to look and how far ahead to predict."""
    columns: Table[Kind] = {}
    """Kinds that override the inferred ones, by column."""
    missing: tuple[str, ...] = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "?", "-")
    """Texts that stand for a missing value, after trimming."""
    missing_in: Table[tuple[str, ...]] = {}
    """Further values that stand for a missing one, by column, such as `{temperature: ["-200"]}`."""

    @property
    def targets(self) -> tuple[str, ...]:
        """The target columns."""
        return (self.target,) if isinstance(self.target, str) else self.target

    @model_validator(mode="after")
    def _consistent(self) -> DataParams:
        wrong: list[tuple[tuple[str, ...], str]] = []
        if (self.task == "forecast") != (self.forecast is not None) and self.task != "auto":
            text = (
                "task forecast needs forecast: {look_back: ..., horizon: ...}"
                if self.forecast is None
                else f"forecast is read by task forecast only, but task is {self.task}"
            )
            wrong.append((("task", "forecast"), text))
        if len(self.targets) > 1 and self.forecast is None:
            wrong.append((("target",), "several targets are read by a forecast only"))
        if wrong:
            raise PydanticCustomError("across", "{text}", {"text": "; ".join(text for _, text in wrong), "wrong": wrong})
        return self


class CleanParams(Section):
    duplicates: Literal["keep", "drop"] = "keep"
    """What to do with rows equal to an earlier row in every column; they are counted either way."""
    ranges: Table[tuple[float | None, float | None]] = {}
    """Possible values of number columns, such as `{age: [0, 120]}`; null leaves an end open."""
    out_of_range: Literal["missing", "clip", "drop", "keep"] = "missing"
    """What to do with a value outside its range; it is counted either way."""


class ProductionParams(Section):
    column: str
    """Column that tells the rows held back as production."""
    values: tuple[Scalar, ...] = Field(min_length=1, alias="in")
    """Its values on those rows."""


class SplitParams(Section):
    strategy: Literal["random", "stratified", "group", "stratified_group", "time", "given"] = "random"
    """Rows at random, at random within each class, whole groups together (and their balance checked), train before
    validation before test, or as a column says."""
    by: str | None = None
    """The column that names the group, holds the time (by default the only datetime column) or gives the side."""
    validation: Share = 0.15
    """Share of the rows (or groups) for early stopping and tuning."""
    test: Share = 0.15
    """Share of the rows (or groups) held out for evaluation."""
    gap: int | float | str = 0
    """Time left out before validation and before test (strategy time only): `7d`, `12h`, or a number in the column's unit."""
    starts: Table[Scalar] = {}
    """Where validation and test begin (strategy time only), instead of shares: `{validation: 2024-01-01, test: 2024-04-01}`;
    rows appended later then leave every row on its side."""
    given: Table[tuple[Scalar, ...]] = {}
    """Values of the column on each side (strategy given only), by default the sides' usual names; where none is validation,
    that share of train becomes it."""
    folds: int = Field(0, ge=0, le=100)
    """Folds of train and validation for cross-validation, written beside the sides; 0 makes none."""
    min_class_rows: int = Field(1, ge=0)
    """Fewest rows of a class on each side; fewer is an error."""
    production: ProductionParams | None = None
    """Rows held back as a rehearsal of production; they take no part in training or testing."""
    on_leak: Literal["fail", "warn"] = "warn"
    """Whether a leak found by the audit ends the run or is told."""

    @model_validator(mode="after")
    def _consistent(self) -> SplitParams:
        wrong: list[tuple[tuple[str, ...], str]] = []  # the keys that a mistake lies between, and what it is
        if self.validation + self.test >= 1:
            came = f"{self.validation:g} + {self.test:g}"
            wrong.append((("validation", "test"), "expected validation + test below 1, so that rows are left to train on, got " + came))
        needs = {
            "group": "whose equal values stay together",
            "given": "that gives the side",
            "stratified_group": "whose equal values stay together",
        }
        if self.strategy in needs and self.by is None:
            wrong.append((("strategy", "by"), f"strategy {self.strategy} needs by: the column {needs[self.strategy]}"))
        if self.strategy in ("random", "stratified") and self.by is not None:
            wrong.append((("by", "strategy"), f"by is not read by strategy {self.strategy}"))
        for key in ("gap", "starts") if self.strategy != "time" else ():
            if getattr(self, key):
                wrong.append(((key, "strategy"), f"{key} is read by strategy time only, but strategy is {self.strategy}"))
        if self.given and self.strategy != "given":
            wrong.append((("given", "strategy"), f"given is read by strategy given only, but strategy is {self.strategy}"))
        if self.starts and set(self.starts) != {"validation", "test"}:
            wrong.append((("starts",), "expected starts of validation and test, got " + ", ".join(self.starts)))
        if unknown := set(self.given) - {"train", "validation", "test"}:
            wrong.append((("given",), f"expected train, validation and test, got {', '.join(sorted(unknown))}"))
        if self.folds == 1:
            wrong.append((("folds",), "expected 0 or at least 2 folds, got 1"))
        if wrong:
            raise PydanticCustomError("across", "{text}", {"text": "; ".join(text for _, text in wrong), "wrong": wrong})
        return self


class TextParams(Section):
    vocabulary: int = Field(default=8000, ge=16)
    """Most tokens of the vocabulary, learnt from train."""
    length: int | None = Field(default=None, ge=1)
    """Tokens kept of a text; null takes the 95th percentile of train, at most 512."""


class ImageParams(Section):
    height: int | None = Field(default=None, ge=1, le=4096)
    """Pixels; null takes the median of train, at most 224."""
    width: int | None = Field(default=None, ge=1, le=4096)
    """Pixels; null takes the median of train, at most 224."""
    channels: Literal[1, 3] | None = None
    """1 is grey, 3 is RGB; null takes 3 where a train picture has colour."""


class AudioParams(Section):
    sample_rate: int = Field(default=16000, ge=1000, le=192000)
    """Hertz to which sounds are resampled."""
    seconds: float | None = Field(default=None, gt=0)
    """Length to which sounds are cut or padded; null takes the 95th percentile of train, at most 10."""
    mels: int = Field(default=64, ge=8, le=512)
    """Bands of the log-mel spectrogram."""


class SequenceParams(Section):
    length: int | None = Field(default=None, ge=1)
    """Steps kept of a sequence (the last ones); null takes the longest of train, at most 1024."""


class NormalizeParams(Section):
    numeric: Scaling = "robust"
    """Scaling of number columns: (x - median) / interquartile range with a smooth clip, z-score, rank, signed log then robust,
    or none; auto takes log for heavy tails and robust else."""
    columns: Table[Scaling] = {}
    """Scaling of single columns."""
    clip: float = Field(0.0, ge=0, lt=0.5)
    """Share of train at each end beyond which values are clipped; 0 clips none."""
    dates: Literal["cyclic", "parts"] = "cyclic"
    """Month, weekday and hour as sine and cosine, or as plain numbers; both beside the day itself."""
    target: Literal["auto", "standardize", "log", "none"] = "standardize"
    """Transform of a regression's target, inverted in every prediction; auto takes log for positive heavy tails."""
    rare_category: int = Field(10, ge=1)
    """Categories with fewer rows than this in train share one code."""
    max_categories: int = Field(1000, ge=2)
    """At most this many categories of a column keep a code of their own, the most frequent ones."""
    merge_case: bool = True
    """Whether spellings of a category that differ in case alone share one code."""
    text: TextParams = TextParams()
    """Text columns."""
    image: ImageParams = ImageParams()
    """Image columns."""
    audio: AudioParams = AudioParams()
    """Audio columns."""
    sequence: SequenceParams = SequenceParams()
    """Sequence columns."""


class ModelParams(Section):
    family: Literal["auto", "mlp", "cnn", "rnn", "transformer"] = "auto"
    """Network family; auto follows the data: mlp for tables, cnn for pictures and sounds, rnn for sequences, transformer for
    texts, and for a forecast a linear map of each channel. One chosen by name reads every input that it makes sense for."""
    layers: int | None = Field(None, ge=0, le=64)
    """Hidden layers (residual blocks, recurrent layers, attention blocks); 0 is the linear model; null takes the family's
    usual number, 3 for a table."""
    width: Width | tuple[Width, ...] | None = None
    """Units in each hidden layer (channels of the first convolution, width of tokens), or a list with those of each; null takes
    the family's usual one, 192 for a table."""
    activation: str = "silu"
    """Activation of the hidden layers, any name that keras.activations.get knows; cells of an rnn keep their own."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of hidden units dropped in training."""
    normalization: Literal["auto", "none", "batch", "layer"] = "auto"
    """Normalization in the hidden layers; auto is batch for a cnn, layer for a transformer, none else."""
    residual: bool | None = None
    """Whether hidden layers add to what they are given (He et al. 2016); null does so for a cnn and a deep rnn. A transformer
    always does."""
    stochastic_depth: float = Field(0.0, ge=0, lt=1)
    """Share of rows for which the last residual layer is left out in training, less for those before it."""
    initializer: str = "auto"
    """Initialization of kernels, any name that keras.initializers.get knows; auto goes by the activation."""
    members: int = Field(1, ge=1, le=256)
    """Networks that share their kernels and differ by scales, biases and heads (TabM); their answers are averaged. They want
    less dropout than one alone."""
    number_encoding: Literal["piecewise_linear", "periodic", "none"] = "piecewise_linear"
    """How a network for tables sees numbers: by train quantiles, by sines of learnt frequencies, or as they are."""
    bins: int = Field(64, ge=0, le=256)
    """Bins of the piecewise-linear encoding, on distinct train quantiles (frequencies of the periodic one); 0 feeds numbers
    as they are."""
    frequency_scale: float = Field(0.1, gt=0)
    """Standard deviation of the first frequencies of the periodic encoding."""
    embedding: int = Field(8, ge=1, le=1024)
    """Width of each number column's embedding after its encoding."""
    one_hot: int = Field(256, ge=0)
    """Most tokens of a category column that an mlp sees as indicators; a column with more has an embedding."""
    kernel: int | None = Field(None, ge=1, le=255)
    """Steps or pixels that a convolution of a cnn spans; null takes 3 for pictures and up to 40 for series."""
    squeeze_excite: bool = False
    """Whether each block of a cnn weighs its channels by the whole picture (Hu et al. 2018)."""
    cell: Literal["simple", "gru", "lstm"] = "lstm"
    """Cell of an rnn."""
    bidirectional: bool = True
    """Whether an rnn reads from both ends; one for a forecast reads forward only."""
    heads: int = Field(4, ge=1, le=64)
    """Attention heads of a transformer; they must divide its width."""
    patch: int | None = Field(None, ge=1, le=1024)
    """Steps (or pixels a side) that become one token of a transformer; null keeps pictures and series below some 64 tokens."""
    positions: Literal["learned", "sinusoidal"] = "learned"
    """How a transformer knows the order of its tokens."""
    centering: Literal["last", "mean", "standardize", "none"] = "last"
    """What a forecast takes each window less: its last step, its mean, or its mean and over its deviation."""
    channel_mixing: bool = False
    """Whether a forecast of several targets sees them side by side, rather than each as a row of its own."""


class AugmentParams(Section):
    """Random changes of training rows, drawn anew in every epoch; 0 (none) switches one off."""

    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    """Pictures: mirror half of them left to right, upside down, or both; off since digits and signs are not symmetric."""
    shift: float = Field(default=0.05, ge=0, le=0.5)
    """Pictures: move by at most this share of height and width; what comes in repeats the edge."""
    crop: float = Field(default=0.0, ge=0, lt=1)
    """Pictures: cut off at most this share of height and width and enlarge the rest."""
    rotate: float = Field(default=0.0, ge=0, le=180)
    """Pictures: turn by at most this many degrees either way."""
    cutout: float = Field(default=0.0, ge=0, lt=1)
    """Pictures: blank a rectangle of this share of height and width."""
    jitter: float = Field(default=0.0, ge=0)
    """Sequences and forecasts: deviation of noise added to each value, in units of the channel's own."""
    scale: float = Field(default=0.0, ge=0)
    """Sequences: deviation of the factor (about 1) on each channel."""
    mask: float = Field(default=0.0, ge=0, lt=1)
    """Sequences and forecasts: longest span of steps set to the mean, as a share of the length."""
    token_dropout: float = Field(default=0.05, ge=0, lt=1)
    """Texts: share of tokens replaced by the unknown one."""
    time_mask: float = Field(default=0.1, ge=0, lt=1)
    """Sounds: longest span of frames set to the mean, as a share of them."""
    frequency_mask: float = Field(default=0.1, ge=0, lt=1)
    """Sounds: widest band of frequencies set to the mean, as a share of them."""
    mixup: float = Field(default=0.0, ge=0)
    """Rows of every kind but texts: alpha of the Beta distribution by which pairs of rows and their targets are mixed (about 0.2)."""


class TrainParams(Section):
    epochs: int = Field(60, ge=1)
    """Most epochs to train."""
    batch_size: int | None = Field(None, ge=1)
    """Rows per gradient step; null takes a power of two near a fiftieth of the train rows, from 16 to 256."""
    optimizer: str = "adamw"
    """Any name that keras.optimizers.get knows."""
    optimizer_config: Table[Scalar] = {}
    """Further arguments of that optimizer, such as `{momentum: 0.9, nesterov: true}` for sgd."""
    learning_rate: float = Field(1e-3, gt=0)
    """Peak learning rate."""
    weight_decay: float = Field(1e-2, ge=0)
    """Decoupled weight decay of kernels (not of biases, normalizations and embeddings)."""
    l1: float = Field(0.0, ge=0)
    """Penalty on the absolute values of kernels, part of the training loss."""
    l2: float = Field(0.0, ge=0)
    """Penalty on the squares of kernels, part of the training loss."""
    clipnorm: float | None = Field(1.0, gt=0)
    """Bound on the norm of each weight's gradient; null switches it off."""
    schedule: Literal["cosine", "constant", "one_cycle", "plateau"] = "cosine"
    """Course of the learning rate after the warm-up: down to zero along a cosine, level, up over 30% of the steps and down again
    (without warm-up), or halved after every `patience` epochs without a better validation loss."""
    warmup_epochs: int = Field(1, ge=0)
    """Epochs of linear warm-up from zero."""
    patience: int = Field(4, ge=1)
    """Epochs without a better validation loss before schedule plateau halves the learning rate."""
    early_stopping: int = Field(10, ge=0)
    """Epochs without a better validation loss before training stops; the best weights are kept. 0 never stops early."""
    ema: float = Field(0.0, ge=0, lt=1)
    """Decay of a moving average of the weights over steps (about 0.999), which is then validated and kept; 0 keeps none."""
    loss: Literal["auto", "mse", "mae", "huber"] = "auto"
    """Loss of a regression or forecast; auto takes mse for a regression and huber for a forecast. Classes always have cross-entropy."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of each label spread evenly over all classes."""
    focal: float = Field(0.0, ge=0)
    """Exponent by which cross-entropy turns to hard rows (focal loss, about 2); 0 switches it off."""
    class_weight: Literal["none", "balanced"] | Table[Annotated[float, Field(ge=0)]] = "none"
    """Weight of each class in the loss: equal, inverse to its frequency, or given by class as `{no: 1, yes: 5}`."""
    augment: AugmentParams = AugmentParams()
    """Random changes of training rows."""
    ensemble: int = Field(1, ge=1, le=100)
    """Networks trained from different seeds; the saved model gives the mean of their outputs."""
    cross_validation: bool = False
    """Whether to train one more network for each fold of split.folds and to report predictions of the rows that it never saw."""
    start_from: str | None = None
    """A .keras file whose weights the network starts from, layer by layer where name and shape agree."""
    freeze: tuple[str, ...] = ()
    """Layers that keep their weights, by name; `*` stands for any letters, as in `conv_*`."""
    lora_rank: int = Field(0, ge=0)
    """Rank of the adapters through which frozen layers learn (LoRA); they are merged before saving. 0 makes none."""
    precision: Literal["auto", "float32", "mixed"] = "auto"
    """Arithmetic of training; mixed computes in 16 bits, and auto does so on a GPU for pictures, sounds and texts."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train; auto takes the GPU when there is one, gpu insists on it."""
    backend: Literal["tensorflow", "jax"] = "tensorflow"
    """What Keras computes with; jax must be installed."""

    def batch(self, rows: int) -> int:
        """Rows per gradient step for this many train rows: fewer rows go in smaller batches, for enough steps an epoch."""
        return self.batch_size or min(max(2 ** round(math.log2(max(rows, 1) / 50)), 16), 256)


class Interval(Section):
    """A searched range: one of log, uniform, int and choice, and when it counts."""

    log: tuple[float, float] | None = None
    """Real numbers, uniform in the logarithm."""
    uniform: tuple[float, float] | None = None
    """Real numbers, uniform."""
    int_: tuple[int, int] | None = Field(default=None, alias="int")
    """Whole numbers, both ends included."""
    choice: tuple[Scalar, ...] | None = None
    """One of these values."""
    when: Table[tuple[Scalar, ...]] = {}
    """Other keys of the space and the values that they must have for this one to be searched: `{model.family: [rnn]}`."""
    each: str | None = None
    """Another key of the space, a whole number: this one is a list with a value for each, as a width for each of model.layers."""

    @model_validator(mode="after")
    def _one(self) -> Interval:
        given = {name: ends for name in ("log", "uniform", "int_", "choice") if (ends := getattr(self, name)) is not None}
        if len(given) != 1:
            raise PydanticCustomError("across", "expected exactly one of log, uniform, int, choice")
        ((name, ends),) = given.items()
        if name == "choice":
            if not ends:
                raise PydanticCustomError("across", "choice needs at least one value")
        elif ends[0] >= ends[1]:
            raise PydanticCustomError("across", f"{name.rstrip('_')} needs [low, high] with low below high, got {list(ends)}")
        if name == "log" and ends[0] <= 0:
            raise PydanticCustomError("across", f"log needs a low end above 0, got {ends[0]:g}")
        return self

    @property
    def ends(self) -> tuple[Scalar, ...]:
        """The values that bound the range (every value of a choice)."""
        return self.log or self.uniform or self.int_ or self.choice or ()

    def holds(self, value: object) -> bool:
        """Whether a value lies in the range (every item, where it is a list)."""
        if self.each is not None:
            return isinstance(value, list | tuple) and all(self._holds(item) for item in value)
        return self._holds(value)

    def _holds(self, value: object) -> bool:
        if self.choice:
            return any(type(value) is type(one) and value == one for one in self.choice)
        if isinstance(value, bool) or not isinstance(value, int | float) or (self.int_ and value != int(value)):
            return False
        low, high = self.ends
        return bool(low <= value <= high)  # type: ignore[operator]


class TuneParams(Section):
    trials: int = Field(10, ge=0)
    """Trials of the sweep that come to an end or are pruned; trial 0 is params.yaml itself. 0 trains params.yaml as it is."""
    minutes: float | None = Field(None, gt=0)
    """Minutes after which no further trial is begun, those of earlier calls included; null sets no limit."""
    workers: int = Field(1, ge=1, le=1024)
    """Trials at a time, each in a process of its own (on GPUs at most one a device). With one the sweep is reproducible to the
    byte; with more best.yaml is."""
    threads: int | None = Field(None, ge=1)
    """Processor cores of each worker; null shares them evenly."""
    sampler: str = "TPESampler"
    """Any sampler class of optuna.samplers, by name."""
    sampler_config: Table[Scalar] = {}
    """Further arguments of that sampler, such as `{n_startup_trials: 20}`."""
    pruner: str = "SuccessiveHalvingPruner"
    """Any pruner class of optuna.pruners, by name; NopPruner never prunes. With several objectives nothing is pruned."""
    pruner_config: Table[Scalar] = {}
    """Further arguments of that pruner, such as `{reduction_factor: 4}`."""
    objectives: tuple[str, ...] = Field(("loss",), min_length=1)
    """What to optimize on validation: loss, any metric of the task, latency (milliseconds for one row) or parameters; of several
    the Pareto front is shown, and best.yaml takes the trial on it that is best in the first."""
    constraints: Table[float] = {}
    """Bounds that the best trial keeps: at most so much loss, latency or parameters, at least so much auc: `{latency: 2}`."""
    folds: bool = False
    """Whether a trial is measured by cross-validation over split.folds, with pruning between the folds, or on validation alone."""
    space: Table[Interval] | None = None
    """Keys of normalize, model and train to search, each with its range; null takes a space that suits the network."""
    fixed: Table[Scalar] = {}
    """Keys of normalize, model and train that have another value in trials only, such as `{train.epochs: 20}`."""
    enqueue: tuple[Table[Scalar | tuple[Scalar, ...]], ...] = ()
    """Values of keys of the space to try first, after params.yaml itself: `[{train.learning_rate: 0.003}]`."""
    warm_start: str | None = None
    """An earlier sweep whose best ten trials are tried first: its key (as best.yaml has it), or the id of its MLflow run."""
    retries: int = Field(1, ge=0)
    """How often a trial is begun anew after its worker was killed or its memory ran out; then it counts as failed."""
    storage: str | None = None
    """Where trials are kept: null is a file in .state; a database for many machines as its URL, `postgresql+psycopg://...`, or as
    the name of an environment variable that holds it."""
    heartbeat: int = Field(60, ge=1)
    """Seconds without a sign of life after which a machine that shares a database is taken for dead and its trials begin anew."""

    @model_validator(mode="after")
    def _consistent(self) -> TuneParams:
        wrong: list[tuple[tuple[str, ...], str]] = []
        space = self.space or {}
        for key, interval in space.items():
            for other, values in interval.when.items():
                if other not in space or other == key or space[other].each:
                    wrong.append((("space", key, "when"), f"space.{key}.when: {other} is no other key of the space with a single value"))
                elif bad := [value for value in values if not space[other].holds(value)]:
                    wrong.append((("space", key, "when"), f"space.{key}.when: {other} is never {bad[0]}"))
            if (count := interval.each) and (count not in space or count == key or not _counts(space[count])):
                wrong.append((("space", key, "each"), f"space.{key}.each: expected a key of the space with whole numbers, got {count}"))
        if circle := _circle(space):
            wrong.append((("space", circle[0]), f"space: conditions go round in a circle: {', '.join(circle)}"))
        for key in self.fixed:
            if key in space:
                wrong.append((("fixed", key), f"fixed: {key} is searched already"))
        if len(set(self.objectives)) < len(self.objectives):
            wrong.append((("objectives",), "objectives: one is named twice"))
        if wrong:
            raise PydanticCustomError("across", "{text}", {"text": "; ".join(text for _, text in wrong), "wrong": wrong})
        return self


def _counts(interval: Interval) -> bool:
    values = interval.int_ or interval.choice or ()
    return interval.each is None and bool(values) and all(type(value) is int and value >= 0 for value in values)


def _circle(space: Mapping[str, Interval]) -> list[str]:
    """Keys that need each other, directly or through others; none where there are no such."""
    left = {key: {other for other in (*interval.when, interval.each) if other in space} for key, interval in space.items()}
    while free := [key for key, needs in left.items() if not needs & left.keys()]:
        for key in free:
            del left[key]
    return sorted(left)


class EvaluateParams(Section):
    replicates: int = Field(1000, ge=100)
    """Bootstrap resamples behind each interval."""
    confidence: Share = 0.95
    """Coverage of the intervals."""
    block: int | None = Field(None, ge=1)
    """Steps of a forecast's windows that are resampled together, since windows overlap; null takes two horizons."""
    calibration: Literal["auto", "none", "temperature", "isotonic"] = "auto"
    """How probabilities are calibrated on validation: auto keeps the better one (isotonic for two classes alone) where it surely helps."""
    threshold: Annotated[float, Field(ge=0, le=1)] | str = "auto"
    """Of two classes, the probability from which the second is answered; or a metric (f1, accuracy) or cost, by which it is chosen on
    validation; auto goes by costs where there are any, else takes 0.5."""
    costs: Table[Table[float]] = {}
    """What mistakes cost, by true and answered class: `{sick: {healthy: 20}}`; what is not named costs 1. With more than two classes the
    answer of least expected cost is given."""
    coverage: Share = 0.9
    """Of a number's interval in an answer: the share of true values inside."""
    protected: tuple[str, ...] = ()
    """Columns whose categories the network should treat alike, such as sex or region: their rates and gaps are reported."""
    shares: tuple[Share, ...] = ()
    """Shares of train, such as `[0.1, 0.25, 0.5]`, on which the network is trained again, to tell whether more rows would help; of a
    forecast the latest windows. Together they take about the sum of the shares of the time that training took."""


class RegisterParams(Section):
    name: str = Field("model", min_length=1, pattern=r"^[^/:]+$")
    """Name of the model in the MLflow registry."""
    alias: str = Field("champion", min_length=1, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")
    """Alias of the version that serves; an experiment never moves it."""
    challenger: str = Field("challenger", min_length=1, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")
    """Alias of a new version that may not take the champion's place."""
    accept: tuple[Literal["first", "better", "equal", "worse", "unlike", "unknown"], ...] = ("first", "better")
    """Verdicts of the comparison with the champion, on the same held-out rows, by which a new version becomes champion. Worse is also
    one that loses on a part of the rows; unlike: the champion cannot answer for them; unknown: the store cannot be asked."""
    require: Table[float] = {}
    """Bounds of test metrics that a champion keeps, the least or the most by the metric's direction: `{auc: 0.7, log_loss: 0.5}`;
    also latency_ms of one row, size_mb of the package, and worst_slice, the largest loss of a part named worse over that elsewhere."""
    intended_use: str = ""
    """What the model is for and what not, for its card."""
    limits: str = ""
    """What its users must know beyond what the stages find out, for its card."""
    beats: str | None = None
    """A baseline of evaluate's, such as boosting, than which a champion must surely be better; null asks for none."""


class MonitorParams(Section):
    window: Annotated[int, Field(ge=30)] | Literal["hour", "day", "week", "month", "file"] = 1000
    """Rows of a monitored window, at least, or the hour, day, week or month (UTC) that rows lie in, or a window a file."""
    time: str | None = None
    """The column that holds a row's time, for windows of hours to months; the inference log knows the time by itself."""
    max_windows: int = Field(default=6, ge=1, le=100)
    """At most this many windows of test rows, and of production rows where windows are counted in rows: more rows make larger ones."""
    latest: int = Field(default=60, ge=1, le=10_000)
    """At most this many windows of hours to months, and of `pipeline monitor`: the latest ones."""
    false_alarm_rate: Share = 0.05
    """Share of windows that may alarm with nothing changed."""
    minimum_effect: float = Field(default=0.1, ge=0)
    """Drift smaller than this (in the unit of Evidently's distance) is no alarm, however certain."""
    minimum_decay: float = Field(default=0.05, ge=0)
    """A rise of the loss smaller than this share of test's is no alarm, however certain."""
    shift: float = Field(default=0.5, gt=0)
    """The shift of a column, in its deviations, that a window should show; one that is too small for it is told to hold too little."""
    alarm: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (1, 1)
    """`[k, n]`: an alarm is raised where k of the last n windows show drift or decay."""
    fail_on: Literal["never", "drift", "decay"] = "never"
    """What ends `pipeline monitor` with exit code 3: nothing, an alarm of either kind, or of decay alone. The stage never fails so."""
    hook: str | None = None
    """A command that `pipeline monitor` runs where the newest window raises an alarm; it gets the summary as JSON on standard input."""

    @model_validator(mode="after")
    def _consistent(self) -> MonitorParams:
        if self.alarm[0] > self.alarm[1]:
            wrong = [(("alarm",), f"expected [k, n] with k at most n, got [{self.alarm[0]}, {self.alarm[1]}]")]
            raise PydanticCustomError("across", "{text}", {"text": wrong[0][1], "wrong": wrong})
        return self


class ServeParams(Section):
    host: str = "127.0.0.1"
    """Address that `pipeline serve` listens on; 0.0.0.0 is every one of the machine."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port; 0 takes a free one."""
    workers: int = Field(default=1, ge=1, le=256)
    """Processes of the model, each with a copy of it."""
    reload: float = Field(default=10.0, gt=0)
    """Seconds between two looks at the registry for a version that was promoted."""
    body_mb: float = Field(default=32.0, gt=0)
    """Largest body of a request."""
    timeout: float = Field(default=30.0, gt=0)
    """Seconds in which a body must have come, and then an answer must be given."""
    waiting: int = Field(default=1000, ge=1)
    """Requests that may wait; further ones are told to come again."""
    keep: tuple[str, ...] = ()
    """Further columns of a request, such as an order's number, that the inference log keeps as text: labels can be given by them."""
    hashed: tuple[str, ...] = ()
    """Columns of which the inference log keeps a hash in place of the value."""
    omitted: tuple[str, ...] = ()
    """Columns that the inference log leaves out."""
    log_days: float = Field(default=365.0, gt=0)
    """Age at which a part of the inference log is removed."""
    log_gb: float = Field(default=50.0, gt=0)
    """Size of the inference log beyond which its oldest parts are removed."""
    unlogged: Literal["refuse", "answer"] = "refuse"
    """What becomes of requests when the disk has taken nothing for so long that no more can be held in memory."""


class Params(Section):
    """The whole of params.yaml; every section that a stage reads must be there, since DVC tracks each by name."""

    seed: int = Field(ge=0, lt=2**31)
    """Seed of every random choice."""
    memory: str = Field("auto", pattern=r"^(auto|[0-9]+(\.[0-9]+)? ?(MB|GB))$")
    """Memory that the table engine may take before it spills to disk, such as 2GB; auto takes half of the machine's."""
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
    serve: ServeParams = ServeParams()

    def section(self, name: str) -> Any:
        """The section (or seed) that params.yaml calls `name`."""
        return getattr(self, "register_" if name == "register" else name)


def override(sections: Mapping[str, Section], values: Mapping[str, Any]) -> dict[str, Any]:
    """The sections with dotted keys (`train.learning_rate`, `train.augment.shift`) replaced, checked like the file.

    Raises:
        KeyError: no such section.
        ValidationError: a key is unknown or a value is out of its range.
    """
    raw = {name: section.model_dump(mode="json", by_alias=True) for name, section in sections.items()}
    for path, value in values.items():
        name, *parents, last = path.split(".")
        inside = raw[name]
        for parent in parents:
            inside = inside.setdefault(parent, {})
        inside[last] = value
    return {name: type(section).model_validate_json(json.dumps(raw[name])) for name, section in sections.items()}


def value_of(sections: Mapping[str, Section], path: str) -> Any:
    """The value of a dotted key; None where it is not set."""
    name, *keys = path.split(".")
    found: Any = sections[name]
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else getattr(found, key)
    return list(found) if isinstance(found, tuple) else found

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


def _plain(value: Any) -> Any:
    """Mappings that never change as plain ones, at every depth."""
    return {key: _plain(inner) for key, inner in value.items()} if isinstance(value, Mapping) else value


COLUMN, LABEL = "column", "class"  # marks of values, and of tables' keys, that name a column or a class of the data: `marked`
Column = Annotated[str, COLUMN]
Table = Annotated[Mapping[str, Value], AfterValidator(MappingProxyType), PlainSerializer(_plain)]  # a mapping that never changes


class Section(BaseModel):
    """A part of params.yaml: unknown keys are errors and values never change after loading."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True, validate_default=True
    )


class CsvParams(Section):
    """How a text table is written; what is auto is told from the file and noted in data/raw/source.json."""

    encoding: str = "auto"
    """Python's name of the encoding; auto tells UTF-8, UTF-16, Windows-1252 and Latin-1 apart.

    Set it when accents or signs come out wrong: to what the program uses that wrote the file."""
    delimiter: str = Field(default="auto", min_length=1)
    """Character (or characters) between values.

    Set it when the table comes out as one column, or when values hold the character that was taken."""
    quote: Literal["auto", '"', "'", ""] = "auto"
    """Character around values that hold the delimiter or line ends; empty where nothing is quoted.

    Set it when quotes are part of the values, as inches are, or where another character encloses them."""
    skip: Literal["auto"] | Annotated[int, Field(ge=0)] = "auto"
    """Lines above the header to leave out.

    Set it when a title or notes stand above the header and one of them was taken for it."""
    header: Literal["auto"] | Annotated[int, Field(ge=0, le=10)] = "auto"
    """Header lines: 0 names the columns column0, column1, ...; the names of several lines are joined by a blank.

    Set it to 0 for a file without names, to 2 or more where units or groups stand below the names."""
    comment: str = "auto"
    """Start of lines at the top of the file that are comments; empty where there are none.

    Set it when lines that begin with such a mark are data, or where notes begin with an unusual one."""
    decimal: Literal["auto", ".", ","] = "auto"
    """Decimal mark of numbers; auto tells it for each column.

    Set it when every number of a column has three digits after its mark, so that 1,234 may be either."""
    thousands: Literal["auto", "", ",", ".", " ", "'"] = "auto"
    """Mark between groups of three digits; auto tells it for each column, empty takes none.

    Set it when numbers such as 1.234 are read a thousand times too small or too large."""
    ragged: Literal["auto", "fail", "reject", "pad"] = "auto"
    """Rows with too few or too many values: fail, write them to the rejects, or pad short ones with missing values; auto
    rejects up to 1% of the rows and fails beyond.

    Set it to reject or pad once you have looked at the lines that are named; to fail where no row may be lost."""


class SeriesParams(Section):
    """Long rows, one a time step, that become one row a series."""

    id: Column
    """Column that names the series.

    Set it to the column that says which rows belong together: a recording, a patient, a machine's run."""
    time: Column
    """Column that orders its steps.

    Set it to the step's number or moment within a series; rows need not be in order."""


class ForecastParams(Section):
    look_back: int = Field(ge=1)
    """Time steps that the network sees.

    Set it to two or more of the longest season (48 or more hours for a daily one); longer costs memory and time."""
    horizon: int = Field(ge=1)
    """Time steps to predict.

    Set it to how far ahead a decision is made; each further step is harder."""
    time: Column | None = None
    """Column of the time; by default the only datetime column.

    Set it when the table has several datetime columns, or when the time is a number."""
    series: Column | None = None
    """Column that names the series where the table holds several.

    Set it when rows of several shops, sensors or regions share their times."""


class DataParams(Section):
    source: str = Field(min_length=1)
    """Path or URL (http, https, s3) of a table, an archive or a folder; files and folders are read by what they hold.

    Set it first: it is where your data are. A change reruns everything."""
    files: str | None = None
    """Which files of a folder or archive to read, as a pattern such as `*.csv` or `**/*.png`.

    Set it when a folder holds several tables, or files that are none of the data."""
    target: Column | tuple[Column, ...] = Field(min_length=1)
    """Column to predict (several for a forecast); for folders of classes, idx and .ts files the name that it is to have.

    Set it to what you want to know before it happens."""
    task: Literal["auto", "binary", "multiclass", "regression", "forecast"] = "auto"
    """What to predict; auto infers it from the target's values, and a forecast from data.forecast.

    Set it when the guess is wrong: a rating of 1 to 5 may be classes or a number."""
    positive: Annotated[str, LABEL] | None = None
    """Class counted as positive in a binary task; by default the second in alphabetical order.

    Set it when precision, recall and F1 should be about the other class: usually the rare one, or the one you act on."""
    connection: str | None = None
    """Environment variable that holds the SQLAlchemy URL over which a .sql source runs.

    Set it when the source is a .sql file; the address with its password stays out of git."""
    csv: CsvParams = CsvParams()
    """How a text table is written.

    Change it when the log of collect shows that the file was read in another way than it was written."""
    series: SeriesParams | None = None
    """For long rows (series, time step, values): they become one row a series.

    Set it when one example is many rows and the label belongs to all of them together."""
    forecast: ForecastParams | None = None
    """For a forecast: how far back to look and how far ahead to predict.

    Set it when you predict later rows of the same columns rather than a label of each row."""
    columns: Annotated[Table[Kind], COLUMN] = {}
    """Kinds that override the inferred ones, by column.

    Set it when reports/clean/index.html shows a wrong kind: codes read as numbers, or a column that would not be known in time
    (ignore)."""
    missing: tuple[str, ...] = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "?", "-")
    """Texts that stand for a missing value, after trimming.

    Change it when the data write missing values in another way, or when such a text is a real value, as NA is Namibia."""
    missing_in: Annotated[Table[tuple[str, ...]], COLUMN] = {}
    """Further values that stand for a missing one, by column, such as `{temperature: ["-200"]}`.

    Set it for sentinels such as -999 that are possible values of other columns."""

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
    """What to do with rows equal to an earlier row in every column; they are counted either way.

    Set it to drop when a row twice is a slip of the export, not when two cases may be alike."""
    ranges: Annotated[Table[tuple[float | None, float | None]], COLUMN] = {}
    """Possible values of number columns, such as `{age: [0, 120]}`; null leaves an end open.

    Set it when the quality report shows impossible values: negative ages, a humidity of 300."""
    out_of_range: Literal["missing", "clip", "drop", "keep"] = "missing"
    """What to do with a value outside its range; it is counted either way.

    Change it to clip for saturated sensors, to drop where the whole row cannot be trusted."""
    steps: tuple[str, ...] = ()
    """Files of your own that add columns or change them, row by row, after the built-in cleaning: `[extensions/cleaning/household.py]`.

    Set it when a column should be computed from others, at training and for every request alike."""


class ProductionParams(Section):
    column: Column
    """Column that tells the rows held back as production.

    Set it to what separates tomorrow's rows from today's: a year, a region, a plan."""
    values: tuple[Scalar, ...] = Field(min_length=1, alias="in")
    """Its values on those rows.

    Set it to the latest period or to the group you fear most, and see whether monitoring would have told."""


class SplitParams(Section):
    strategy: Literal["random", "stratified", "group", "stratified_group", "time", "given"] = "random"
    """Rows at random, at random within each class, whole groups together (and their balance checked), train before
    validation before test, or as a column says.

    Change it to group when a customer or patient has several rows, to time when you predict the future, to stratified when classes
    are rare."""
    by: Column | None = None
    """The column that names the group, holds the time (by default the only datetime column) or gives the side.

    Set it to the customer, patient, machine or date when strategy needs one."""
    validation: Share = 0.15
    """Share of the rows (or groups) for early stopping and tuning.

    Raise it when the sweep's winner changes with the seed; lower it when rows are scarce and folds are used."""
    test: Share = 0.15
    """Share of the rows (or groups) held out for evaluation.

    Raise it when the intervals in the report are too wide to decide by; lower it when train starves."""
    gap: int | float | str = 0
    """Time left out before validation and before test (strategy time only): `7d`, `12h`, or a number in the column's unit.

    Set it when the label is known only later, or features look back: to the length of that period."""
    starts: Table[Scalar] = {}
    """Where validation and test begin (strategy time only), instead of shares: `{validation: 2024-01-01, test: 2024-04-01}`;
    rows appended later then leave every row on its side.

    Set it when rows are appended regularly and results must stay comparable."""
    given: Table[tuple[Scalar, ...]] = {}
    """Values of the column on each side (strategy given only), by default the sides' usual names; where none is validation,
    that share of train becomes it.

    Set it when the column's values are not called train, validation and test."""
    folds: int = Field(0, ge=0, le=100)
    """Folds of train and validation for cross-validation, written beside the sides; 0 makes none.

    Set it to 5 when there are fewer than some 2,000 rows, for tune.folds or train.cross_validation."""
    min_class_rows: int = Field(1, ge=0)
    """Fewest rows of a class on each side; fewer is an error.

    Raise it to 30 for steady per-class figures; set it to 0 to accept that a side lacks a rare class."""
    production: ProductionParams | None = None
    """Rows held back as a rehearsal of production; they take no part in training or testing.

    Set it to rehearse monitoring before there is production; remove it once you need every row to train on."""
    on_leak: Literal["fail", "warn"] = "warn"
    """Whether a leak found by the audit ends the run or is told.

    Set it to fail in an automatic retraining, where nobody reads the warnings."""

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
    """Most tokens of the vocabulary, learnt from train.

    Raise it for many texts with rare terms; lower it for a few thousand short ones."""
    length: int | None = Field(default=None, ge=1)
    """Tokens kept of a text; null takes the 95th percentile of train, at most 512.

    Set it lower for speed when the first sentences tell all, higher when what matters stands at the end."""


class ImageParams(Section):
    height: int | None = Field(default=None, ge=1, le=4096)
    """Pixels; null takes the median of train, at most 224.

    Raise it when details decide that a person could not see at this size; time grows with the area."""
    width: int | None = Field(default=None, ge=1, le=4096)
    """Pixels; null takes the median of train, at most 224.

    Raise it together with height; set both when pictures differ much in shape."""
    channels: Literal[1, 3] | None = None
    """1 is grey, 3 is RGB; null takes 3 where a train picture has colour.

    Set it to 1 when colour says nothing about the class; it is faster and harder to overfit."""


class AudioParams(Section):
    sample_rate: int = Field(default=16000, ge=1000, le=192000)
    """Hertz to which sounds are resampled.

    Raise it when what matters lies above half of it: birds, cymbals, bearings. Speech needs no more than 16000."""
    seconds: float | None = Field(default=None, gt=0)
    """Length to which sounds are cut or padded; null takes the 95th percentile of train, at most 10.

    Set it when recordings differ much in length and the first seconds tell enough."""
    mels: int = Field(default=64, ge=8, le=512)
    """Bands of the log-mel spectrogram.

    Raise it when classes differ by fine pitch; lower it for speed."""


class SequenceParams(Section):
    length: int | None = Field(default=None, ge=1)
    """Steps kept of a sequence (the last ones); null takes the longest of train, at most 1024.

    Lower it when series are long and the last steps decide: time and memory grow with it."""


class NormalizeParams(Section):
    numeric: Scaling = "robust"
    """Scaling of number columns: (x - median) / interquartile range with a smooth clip, z-score, rank, signed log then robust,
    or none; auto takes log for heavy tails and robust else.

    Change it to quantile when outliers or odd shapes abound, to log for amounts of money or counts."""
    columns: Annotated[Table[Scaling], COLUMN] = {}
    """Scaling of single columns.

    Set it for a column whose shape differs from the others', as income does beside percentages."""
    clip: float = Field(0.0, ge=0, lt=0.5)
    """Share of train at each end beyond which values are clipped; 0 clips none.

    Raise it to 0.001 or so when a few measuring errors stretch a column."""
    dates: Literal["cyclic", "parts"] = "cyclic"
    """Month, weekday and hour as sine and cosine, or as plain numbers; both beside the day itself.

    Change it to parts when a column's trend over the year matters more than its season."""
    target: Literal["auto", "standardize", "log", "none"] = "standardize"
    """Transform of a regression's target, inverted in every prediction; auto takes log for positive heavy tails.

    Change it to log when errors should count in per cent: prices, sales, durations."""
    rare_category: int = Field(10, ge=1)
    """Categories with fewer rows than this in train share one code.

    Raise it when there are many categories and few rows; lower it when rare ones matter."""
    max_categories: int = Field(1000, ge=2)
    """At most this many categories of a column keep a code of their own, the most frequent ones.

    Raise it for columns such as products of which many have rows enough; lower it to save memory."""
    merge_case: bool = True
    """Whether spellings of a category that differ in case alone share one code.

    Set it to false when a and A mean different things, as codes do."""
    text: TextParams = TextParams()
    """Text columns.

    Change it when texts are long or their words unusual."""
    image: ImageParams = ImageParams()
    """Image columns.

    Change it when the size or the colour that was chosen does not suit."""
    audio: AudioParams = AudioParams()
    """Audio columns.

    Change it when recordings are long, high-pitched or of several lengths."""
    sequence: SequenceParams = SequenceParams()
    """Sequence columns.

    Change it when series are long."""


class ModelParams(Section):
    family: Literal["auto", "mlp", "cnn", "rnn", "transformer"] = "auto"
    """Network family; auto follows the data: mlp for tables, cnn for pictures and sounds, rnn for sequences, transformer for
    texts, and for a forecast a linear map of each channel. One chosen by name reads every input that it makes sense for.

    Change it to compare architectures on the same rows; let auto choose the first time."""
    layers: int | None = Field(None, ge=0, le=64)
    """Hidden layers (residual blocks, recurrent layers, attention blocks); 0 is the linear model; null takes the family's
    usual number, 3 for a table.

    Lower it when train is far better than validation; set it to 0 to see what a linear model reaches."""
    width: Width | tuple[Width, ...] | None = None
    """Units in each hidden layer (channels of the first convolution, width of tokens), or a list with those of each; null takes
    the family's usual one, 192 for a table.

    Raise it when train and validation loss are both high; lower it when only train's is low, or for speed."""
    activation: str = "silu"
    """Activation of the hidden layers, any name that keras.activations.get knows; cells of an rnn keep their own.

    Change it to relu for speed on a CPU; other choices rarely decide."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of hidden units dropped in training.

    Raise it when validation loss turns up while train's still falls; lower it when both are high."""
    normalization: Literal["auto", "none", "batch", "layer"] = "auto"
    """Normalization in the hidden layers; auto is batch for a cnn, layer for a transformer, none else.

    Change it when training is unstable or deep; batch wants batches of 32 rows and more."""
    residual: bool | None = None
    """Whether hidden layers add to what they are given (He et al. 2016); null does so for a cnn and a deep rnn. A transformer
    always does.

    Set it to true for tables with five and more layers of one width."""
    stochastic_depth: float = Field(0.0, ge=0, lt=1)
    """Share of rows for which the last residual layer is left out in training, less for those before it.

    Raise it to 0.1 or so for a deep network that overfits."""
    initializer: str = "auto"
    """Initialization of kernels, any name that keras.initializers.get knows; auto goes by the activation.

    Change it when you use an activation of your own, or to repeat a published network."""
    members: int = Field(1, ge=1, le=256)
    """Networks that share their kernels and differ by scales, biases and heads (TabM); their answers are averaged. They want
    less dropout than one alone.

    Raise it to 8 for tables when accuracy is worth about twice the time."""
    number_encoding: Literal["piecewise_linear", "periodic", "none"] = "piecewise_linear"
    """How a network for tables sees numbers: by train quantiles, by sines of learnt frequencies, or as they are.

    Change it to none when effects are near linear or rows are few; to periodic to try another view of numbers."""
    bins: int = Field(64, ge=0, le=256)
    """Bins of the piecewise-linear encoding, on distinct train quantiles (frequencies of the periodic one); 0 feeds numbers
    as they are.

    Raise it to 128 with 20,000 rows and more when effects have sharp steps; lower it with fewer than 1,000 rows."""
    frequency_scale: float = Field(0.1, gt=0)
    """Standard deviation of the first frequencies of the periodic encoding.

    Change it within 0.01 to 1 when number_encoding is periodic; let the sweep search it."""
    embedding: int = Field(8, ge=1, le=1024)
    """Width of each number column's embedding after its encoding.

    Raise it when few columns carry all; lower it for hundreds of number columns."""
    one_hot: int = Field(256, ge=0)
    """Most tokens of a category column that an mlp sees as indicators; a column with more has an embedding.

    Lower it when several columns have hundreds of categories and the first layer grows too large."""
    kernel: int | None = Field(None, ge=1, le=255)
    """Steps or pixels that a convolution of a cnn spans; null takes 3 for pictures and up to 40 for series.

    Raise it when the patterns that matter are longer than the kernel."""
    squeeze_excite: bool = False
    """Whether each block of a cnn weighs its channels by the whole picture (Hu et al. 2018).

    Set it to true when channels differ in worth, as many sensors do; it costs a few per cent of time."""
    cell: Literal["simple", "gru", "lstm"] = "lstm"
    """Cell of an rnn.

    Change it to gru for speed with about the same result."""
    bidirectional: bool = True
    """Whether an rnn reads from both ends; one for a forecast reads forward only.

    Set it to false when only the past may count, or for half of the time."""
    heads: int = Field(4, ge=1, le=64)
    """Attention heads of a transformer; they must divide its width.

    Raise it with the width: about 16 to 32 units a head."""
    patch: int | None = Field(None, ge=1, le=1024)
    """Steps (or pixels a side) that become one token of a transformer; null keeps pictures and series below some 64 tokens.

    Lower it for fine detail, at a cost that grows with the square of the tokens; raise it for speed."""
    positions: Literal["learned", "sinusoidal"] = "learned"
    """How a transformer knows the order of its tokens.

    Change it to sinusoidal when rows are few or lengths differ much."""
    centering: Literal["last", "mean", "standardize", "none"] = "last"
    """What a forecast takes each window less: its last step, its mean, or its mean and over its deviation.

    Change it to mean or standardize when series wander in level or in spread; to none when the level itself tells."""
    channel_mixing: bool = False
    """Whether a forecast sees all columns side by side, rather than each target by itself: without hidden layers from its own past
    alone, with them beside the columns that are no targets.

    Set it to true when one series leads another, as weather leads demand, and there are rows enough; a sweep tries both."""
    encoder: Table[str] = {}
    """Files of your own that read a group of inputs in place of the family: `{table: extensions/encoders/gated.py}`; the groups are
    table, text, image, audio, sequence and, of a forecast, series.

    Set it when you have an architecture that the families do not offer."""
    options: Table[Scalar] = {}
    """Settings of your own encoders: each gets those that its function names, as `{units: 64}`.

    Set it to change an encoder without touching its file, or search it: `tune.space: {model.options.units: {choice: [32, 64]}}`."""

    @model_validator(mode="after")
    def _encoders(self) -> ModelParams:
        kinds = ("table", "text", "image", "audio", "sequence", "series")
        wrong: list[tuple[tuple[str, ...], str]] = [
            (("encoder", kind), f"encoder: expected one of {', '.join(kinds)}, got {kind}") for kind in self.encoder if kind not in kinds
        ]
        if self.options and not self.encoder:
            wrong.append((("options",), "options are read by an encoder of your own only, and encoder names none"))
        if wrong:
            raise PydanticCustomError("across", "{text}", {"text": "; ".join(text for _, text in wrong), "wrong": wrong})
        return self


class AugmentParams(Section):
    """Random changes of training rows, drawn anew in every epoch; 0 (none) switches one off."""

    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    """Pictures: mirror half of them left to right, upside down, or both; off since digits and signs are not symmetric.

    Set it to horizontal for photographs of things that may face either way."""
    shift: float = Field(default=0.05, ge=0, le=0.5)
    """Pictures: move by at most this share of height and width; what comes in repeats the edge.

    Set it to 0 when the place in the picture tells the class; raise it when objects are cut loosely."""
    crop: float = Field(default=0.0, ge=0, lt=1)
    """Pictures: cut off at most this share of height and width and enlarge the rest.

    Raise it to 0.1 to 0.3 for photographs at several distances."""
    rotate: float = Field(default=0.0, ge=0, le=180)
    """Pictures: turn by at most this many degrees either way.

    Raise it to 10 or so for hand-held pictures, to 180 for those without an up, such as cells."""
    cutout: float = Field(default=0.0, ge=0, lt=1)
    """Pictures: blank a rectangle of this share of height and width.

    Raise it to 0.1 or so when train accuracy nears 1 and validation stays behind."""
    jitter: float = Field(default=0.0, ge=0)
    """Sequences and forecasts: deviation of noise added to each value, in units of the channel's own.

    Raise it to 0.03 or so when sensors are noisy and rows few."""
    scale: float = Field(default=0.0, ge=0)
    """Sequences: deviation of the factor (about 1) on each channel.

    Raise it to 0.1 when amplitudes differ by device rather than by class."""
    mask: float = Field(default=0.0, ge=0, lt=1)
    """Sequences and forecasts: longest span of steps set to the mean, as a share of the length.

    Raise it to 0.1 when rows are few and no short span decides alone."""
    token_dropout: float = Field(default=0.05, ge=0, lt=1)
    """Texts: share of tokens replaced by the unknown one.

    Raise it to 0.1 when a text network overfits; lower it when single words decide."""
    time_mask: float = Field(default=0.1, ge=0, lt=1)
    """Sounds: longest span of frames set to the mean, as a share of them.

    Lower it when the class shows in one short event."""
    frequency_mask: float = Field(default=0.1, ge=0, lt=1)
    """Sounds: widest band of frequencies set to the mean, as a share of them.

    Lower it when a narrow band tells the classes apart."""
    mixup: float = Field(default=0.0, ge=0)
    """Rows of every kind but texts: alpha of the Beta distribution by which pairs of rows and their targets are mixed (about 0.2).

    Raise it to 0.2 when pictures or sounds overfit, or labels are noisy."""


class TrainParams(Section):
    epochs: int = Field(60, ge=1)
    """Most epochs to train.

    Raise it when the validation loss still falls at the last epoch; early stopping bounds the cost."""
    batch_size: int | None = Field(None, ge=1)
    """Rows per gradient step; null takes a power of two near a fiftieth of the train rows, from 16 to 256.

    Raise it for speed with many rows or a GPU, the learning rate with it; lower it when rows are few."""
    optimizer: str = "adamw"
    """Any name that keras.optimizers.get knows.

    Change it to repeat a published recipe; adamw is hard to beat otherwise."""
    optimizer_config: Table[Scalar] = {}
    """Further arguments of that optimizer, such as `{momentum: 0.9, nesterov: true}` for sgd.

    Set it when the optimizer that you chose needs more than a rate."""
    learning_rate: float = Field(1e-3, gt=0)
    """Peak learning rate.

    Lower it when the loss jumps or rises; raise it when it falls slowly and evenly. Tune this first."""
    weight_decay: float = Field(1e-2, ge=0)
    """Decoupled weight decay of kernels (not of biases, normalizations and embeddings).

    Raise it when train is better than validation by far; lower it when both are poor."""
    l1: float = Field(0.0, ge=0)
    """Penalty on the absolute values of kernels, part of the training loss.

    Raise it to 0.0001 or so when few of many columns should matter."""
    l2: float = Field(0.0, ge=0)
    """Penalty on the squares of kernels, part of the training loss.

    Use weight_decay instead, unless the optimizer has none."""
    clipnorm: float | None = Field(1.0, gt=0)
    """Bound on the norm of each weight's gradient; null switches it off.

    Lower it when the loss leaps up now and then; set it to null to repeat a recipe without it."""
    schedule: Literal["cosine", "constant", "one_cycle", "plateau"] = "cosine"
    """Course of the learning rate after the warm-up: down to zero along a cosine, level, up over 30% of the steps and down again
    (without warm-up), or halved after every `patience` epochs without a better validation loss.

    Change it to plateau when the number of epochs is unknown, to one_cycle for short trainings at a high rate."""
    warmup_epochs: int = Field(1, ge=0)
    """Epochs of linear warm-up from zero.

    Raise it to 3 or 5 for transformers and large batches when the first epochs are unstable."""
    patience: int = Field(4, ge=1)
    """Epochs without a better validation loss before schedule plateau halves the learning rate.

    Raise it when validation is noisy and the rate falls too early; schedule plateau only."""
    early_stopping: int = Field(10, ge=0)
    """Epochs without a better validation loss before training stops; the best weights are kept. 0 never stops early.

    Raise it when validation loss is noisy or falls in steps; lower it for quick trials."""
    ema: float = Field(0.0, ge=0, lt=1)
    """Decay of a moving average of the weights over steps (about 0.999), which is then validated and kept; 0 keeps none.

    Set it to 0.999 when the validation loss is jagged from epoch to epoch."""
    loss: Literal["auto", "mse", "mae", "huber"] = "auto"
    """Loss of a regression or forecast; auto takes mse for a regression and huber for a forecast. Classes always have cross-entropy.

    Change it to mae or huber when a few extreme targets dominate; mae predicts the median."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of each label spread evenly over all classes.

    Raise it to 0.1 when some labels are wrong or the network is too sure of itself."""
    focal: float = Field(0.0, ge=0)
    """Exponent by which cross-entropy turns to hard rows (focal loss, about 2); 0 switches it off.

    Set it to 2 when easy rows of a common class drown the rare one; probabilities then need calibration."""
    class_weight: Literal["none", "balanced"] | Annotated[Table[Annotated[float, Field(ge=0)]], LABEL] = "none"
    """Weight of each class in the loss: equal, inverse to its frequency, or given by class as `{no: 1, yes: 5}`.

    Set it to balanced when a rare class is missed and ranking matters more than probabilities."""
    augment: AugmentParams = AugmentParams()
    """Random changes of training rows.

    Change it when pictures, sounds, texts or series overfit: each changes what you would not mind changed."""
    ensemble: int = Field(1, ge=1, le=100)
    """Networks trained from different seeds; the saved model gives the mean of their outputs.

    Raise it to 5 for the last bit of accuracy and steadier answers, at as many times the cost."""
    cross_validation: bool = False
    """Whether to train one more network for each fold of split.folds and to report predictions of the rows that it never saw.

    Set it to true when rows are few and one validation side is a matter of luck."""
    start_from: str | None = None
    """A .keras file whose weights the network starts from, layer by layer where name and shape agree.

    Set it when you have weights of the same network from more or similar data."""
    freeze: tuple[str, ...] = ()
    """Layers that keep their weights, by name; `*` stands for any letters, as in `conv_*`.

    Set it with start_from when rows are few: freeze the early layers, train the head."""
    lora_rank: int = Field(0, ge=0)
    """Rank of the adapters through which frozen layers learn (LoRA); they are merged before saving. 0 makes none.

    Set it to 4 or 8 when frozen layers should adapt a little without forgetting."""
    precision: Literal["auto", "float32", "mixed"] = "auto"
    """Arithmetic of training; mixed computes in 16 bits, and auto does so on a GPU for pictures, sounds and texts.

    Set it to mixed on a GPU with large networks; to float32 when the loss becomes NaN."""
    device: Literal["auto", "cpu", "gpu"] = "auto"
    """Where to train; auto takes the GPU when there is one, gpu insists on it.

    Set it to gpu to be told when there is none; to cpu when small networks run slower on the GPU."""
    backend: Literal["tensorflow", "jax"] = "tensorflow"
    """What Keras computes with; jax must be installed.

    Change it to jax to try its speed on your network; results differ in the last digits."""

    def batch(self, rows: int) -> int:
        """Rows per gradient step for this many train rows: fewer rows go in smaller batches, for enough steps an epoch."""
        return self.batch_size or min(max(2 ** round(math.log2(max(rows, 1) / 50)), 16), 256)


class Interval(Section):
    """A searched range: one of log, uniform, int and choice, and when it counts."""

    log: tuple[float, float] | None = None
    """Real numbers, uniform in the logarithm.

    Use it for rates, decays and penalties, whose order of magnitude matters; widen it when the best trials crowd at an end."""
    uniform: tuple[float, float] | None = None
    """Real numbers, uniform.

    Use it for shares such as dropout."""
    int_: tuple[int, int] | None = Field(default=None, alias="int")
    """Whole numbers, both ends included.

    Use it for counts such as layers."""
    choice: tuple[Scalar, ...] | None = None
    """One of these values.

    Use it for names, and for sizes worth trying in steps: [64, 128, 256]."""
    when: Table[tuple[Scalar, ...]] = {}
    """Other keys of the space and the values that they must have for this one to be searched: `{model.family: [rnn]}`.

    Set it when a key means something for one family only, so that trials are not spent on it elsewhere."""
    each: str | None = None
    """Another key of the space, a whole number: this one is a list with a value for each, as a width for each of model.layers.

    Set it when layers should differ in width; it makes the space larger, so raise trials."""

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
    """Trials of the sweep that come to an end or are pruned; trial 0 is params.yaml itself. 0 trains params.yaml as it is.

    Raise it when the best trial is among the last; set it to 0 for a first look at new data. About 10 a key."""
    minutes: float | None = Field(None, gt=0)
    """Minutes after which no further trial is begun, those of earlier calls included; null sets no limit.

    Set it when the time is what is limited; results then depend on the machine's speed."""
    workers: int = Field(1, ge=1, le=1024)
    """Trials at a time, each in a process of its own (on GPUs at most one a device). With one the sweep is reproducible to the
    byte; with more best.yaml is.

    Raise it when there are cores, memory or GPUs to spare: about two cores a worker."""
    threads: int | None = Field(None, ge=1)
    """Processor cores of each worker; null shares them evenly.

    Set it when other programs share the machine."""
    sampler: str = "TPESampler"
    """Any sampler class of optuna.samplers, by name.

    Change it to RandomSampler to be free of assumptions, to GridSampler for a few choices, to NSGAIISampler for several objectives."""
    sampler_config: Table[Scalar] = {}
    """Further arguments of that sampler, such as `{n_startup_trials: 20}`.

    Set it when the sampler's own settings matter, such as how many trials are random at first."""
    pruner: str = "SuccessiveHalvingPruner"
    """Any pruner class of optuna.pruners, by name; NopPruner never prunes. With several objectives nothing is pruned.

    Change it to NopPruner when good configurations start slowly; pruning would end them."""
    pruner_config: Table[Scalar] = {}
    """Further arguments of that pruner, such as `{reduction_factor: 4}`.

    Change it to prune sooner (a higher reduction_factor) or later."""
    objectives: tuple[str, ...] = Field(("loss",), min_length=1)
    """What to optimize on validation: loss, any metric of the task, latency (milliseconds for one row) or parameters; of several
    the Pareto front is shown, and best.yaml takes the trial on it that is best in the first.

    Change it to the metric you are judged by; add latency or parameters when size matters too."""
    constraints: Table[float] = {}
    """Bounds that the best trial keeps: at most so much loss, latency or parameters, at least so much auc: `{latency: 2}`.

    Set it when a model is of no use beyond a bound, however good it is."""
    folds: bool = False
    """Whether a trial is measured by cross-validation over split.folds, with pruning between the folds, or on validation alone.

    Set it to true with split.folds when validation is small; a trial costs as many times more."""
    space: Table[Interval] | None = None
    """Keys of normalize, model and train to search, each with its range; null takes a space that suits the network.

    Set it to search fewer keys with few trials, or to widen a range whose end won."""
    fixed: Table[Scalar] = {}
    """Keys of normalize, model and train that have another value in trials only, such as `{train.epochs: 20}`.

    Set it to make trials cheaper than the training that follows: fewer epochs."""
    enqueue: tuple[Table[Scalar | tuple[Scalar, ...]], ...] = ()
    """Values of keys of the space to try first, after params.yaml itself: `[{train.learning_rate: 0.003}]`.

    Set it when you know values that worked on similar data."""
    warm_start: str | None = None
    """An earlier sweep whose best ten trials are tried first: its key (as best.yaml has it), or the id of its MLflow run.

    Set it when the data grew a little and an earlier sweep's winners are a good start."""
    retries: int = Field(1, ge=0)
    """How often a trial is begun anew after its worker was killed or its memory ran out; then it counts as failed.

    Raise it on machines that may be taken away at any time."""
    storage: str | None = None
    """Where trials are kept: null is a file in .state; a database for many machines as its URL, `postgresql+psycopg://...`, or as
    the name of an environment variable that holds it.

    Set it when several machines should share one sweep."""
    heartbeat: int = Field(60, ge=1)
    """Seconds without a sign of life after which a machine that shares a database is taken for dead and its trials begin anew.

    Raise it when machines pause for minutes, as laptops and busy clusters do."""

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
    """Bootstrap resamples behind each interval.

    Raise it to 5000 for steadier ends of intervals in a publication; lower it for speed with millions of rows."""
    confidence: Share = 0.95
    """Coverage of the intervals.

    Raise it to 0.99 when a wrong promotion is costly."""
    block: int | None = Field(None, ge=1)
    """Steps of a forecast's windows that are resampled together, since windows overlap; null takes two horizons.

    Set it to a season or more when errors of a forecast come in long runs."""
    calibration: Literal["auto", "none", "temperature", "isotonic"] = "auto"
    """How probabilities are calibrated on validation: auto keeps the better one (isotonic for two classes alone) where it surely helps.

    Set it to none to see the network's own probabilities, or to force a method that you must document."""
    threshold: Annotated[float, Field(ge=0, le=1)] | str = "auto"
    """Of two classes, the probability from which the second is answered; or a metric (f1, accuracy) or cost, by which it is chosen on
    validation; auto goes by costs where there are any, else takes 0.5.

    Change it to f1 or cost when answers matter more than probabilities and one class is rare."""
    costs: Annotated[Table[Annotated[Table[float], LABEL]], LABEL] = {}
    """What mistakes cost, by true and answered class: `{sick: {healthy: 20}}`; what is not named costs 1. With more than two classes the
    answer of least expected cost is given.

    Set it when one mistake is worse than another, and you know by about how much."""
    coverage: Share = 0.9
    """Of a number's interval in an answer: the share of true values inside.

    Raise it when a value outside the interval is costly; intervals become wider."""
    protected: tuple[Column, ...] = ()
    """Columns whose categories the network should treat alike, such as sex or region: their rates and gaps are reported.

    Set it when decisions about people follow from the answers."""
    shares: tuple[Share, ...] = ()
    """Shares of train, such as `[0.1, 0.25, 0.5]`, on which the network is trained again, to tell whether more rows would help; of a
    forecast the latest windows. Together they take about the sum of the shares of the time that training took.

    Set it before you pay for more labels: it shows whether more rows would still help."""
    metrics: tuple[str, ...] = ()
    """Files of your own that measure the answers on the test rows, beside the task's metrics: `[extensions/metrics/profit.py]`.

    Set it when success has a unit of its own, such as money; `register.require` can then ask for it."""


class RegisterParams(Section):
    name: str = Field("model", min_length=1, pattern=r"^[^/:]+$")
    """Name of the model in the MLflow registry.

    Set it to what the model answers; one name for each question."""
    alias: str = Field("champion", min_length=1, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")
    """Alias of the version that serves; an experiment never moves it.

    Change it when your servers ask for another, such as production."""
    challenger: str = Field("challenger", min_length=1, pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")
    """Alias of a new version that may not take the champion's place.

    Change it when the registry already uses the word for something else."""
    accept: tuple[Literal["first", "better", "equal", "worse", "unlike", "unknown"], ...] = ("first", "better")
    """Verdicts of the comparison with the champion, on the same held-out rows, by which a new version becomes champion. Worse is also
    one that loses on a part of the rows; unlike: the champion cannot answer for them; unknown: the store cannot be asked.

    Add equal when fresh data matter more than a proven gain; unknown only where nobody can repair the store."""
    require: Table[float] = {}
    """Bounds of test metrics that a champion keeps, the least or the most by the metric's direction: `{auc: 0.7, log_loss: 0.5}`;
    also latency_ms of one row, size_mb of the package, and worst_slice, the largest loss of a part named worse over that elsewhere.

    Set it when a model below a bound must never serve, even if it beats the old one."""
    intended_use: str = ""
    """What the model is for and what not, for its card.

    Set it before anyone else uses the model."""
    limits: str = ""
    """What its users must know beyond what the stages find out, for its card.

    Set it when you know where the data are thin or the answers should not be trusted."""
    beats: str | None = None
    """A baseline of evaluate's, such as boosting, than which a champion must surely be better; null asks for none.

    Set it when a simpler model would do: a network must earn its place."""


class MonitorParams(Section):
    window: Annotated[int, Field(ge=30)] | Literal["hour", "day", "week", "month", "file"] = 1000
    """Rows of a monitored window, at least, or the hour, day, week or month (UTC) that rows lie in, or a window a file.

    Set it to day or week to follow the calendar; raise it when windows are told to hold too little."""
    time: Column | None = None
    """The column that holds a row's time, for windows of hours to months; the inference log knows the time by itself.

    Set it when window is a period and rows come from a table rather than from the server's log."""
    max_windows: int = Field(default=6, ge=1, le=100)
    """At most this many windows of test rows, and of production rows where windows are counted in rows: more rows make larger ones.

    Raise it to see finer when there are many rows; smaller windows show less."""
    latest: int = Field(default=60, ge=1, le=10_000)
    """At most this many windows of hours to months, and of `pipeline monitor`: the latest ones.

    Raise it to look further back; the page grows and takes longer."""
    false_alarm_rate: Share = 0.05
    """Share of windows that may alarm with nothing changed.

    Lower it when alarms wake people; raise it when a missed shift costs more than a look."""
    minimum_effect: float = Field(default=0.1, ge=0)
    """Drift smaller than this (in the unit of Evidently's distance) is no alarm, however certain.

    Raise it when small but certain shifts alarm in very large windows."""
    minimum_decay: float = Field(default=0.05, ge=0)
    """A rise of the loss smaller than this share of test's is no alarm, however certain.

    Raise it when a slightly higher loss is no reason to act."""
    shift: float = Field(default=0.5, gt=0)
    """The shift of a column, in its deviations, that a window should show; one that is too small for it is told to hold too little.

    Lower it when small shifts matter; windows must then be larger to be judged."""
    alarm: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] = (1, 1)
    """`[k, n]`: an alarm is raised where k of the last n windows show drift or decay.

    Change it to [2, 3] when single odd windows, such as holidays, should not alarm."""
    fail_on: Literal["never", "drift", "decay"] = "never"
    """What ends `pipeline monitor` with exit code 3: nothing, an alarm of either kind, or of decay alone. The stage never fails so.

    Set it to drift or decay when a scheduler should see it; decay where drift alone needs no action."""
    hook: str | None = None
    """A command that `pipeline monitor` runs where the newest window raises an alarm; it gets the summary as JSON on standard input.

    Set it to a command that posts to a chat, opens a ticket or starts a retraining."""

    @model_validator(mode="after")
    def _consistent(self) -> MonitorParams:
        if self.alarm[0] > self.alarm[1]:
            wrong = [(("alarm",), f"expected [k, n] with k at most n, got [{self.alarm[0]}, {self.alarm[1]}]")]
            raise PydanticCustomError("across", "{text}", {"text": wrong[0][1], "wrong": wrong})
        return self


class ServeParams(Section):
    host: str = "127.0.0.1"
    """Address that `pipeline serve` listens on; 0.0.0.0 is every one of the machine.

    Set it to 0.0.0.0 in a container or for other machines; put a proxy with TLS and a login before it."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port; 0 takes a free one.

    Change it when the port is taken, or set it to 0 in tests."""
    workers: int = Field(default=1, ge=1, le=256)
    """Processes of the model, each with a copy of it.

    Raise it when one process cannot answer all requests: about one for two cores; memory grows with it."""
    reload: float = Field(default=10.0, gt=0)
    """Seconds between two looks at the registry for a version that was promoted.

    Lower it when a promotion must serve within seconds; raise it to spare a remote registry."""
    body_mb: float = Field(default=32.0, gt=0)
    """Largest body of a request.

    Raise it when clients send many rows or pictures at once."""
    timeout: float = Field(default=30.0, gt=0)
    """Seconds in which a body must have come, and then an answer must be given.

    Raise it for large bodies or slow networks; lower it to shed stuck clients."""
    waiting: int = Field(default=1000, ge=1)
    """Requests that may wait; further ones are told to come again.

    Lower it when a late answer is useless; raise it for bursts."""
    keep: tuple[str, ...] = ()
    """Further columns of a request, such as an order's number, that the inference log keeps as text: labels can be given by them.

    Set it to the number by which you will learn what came true."""
    hashed: tuple[Column, ...] = ()
    """Columns of which the inference log keeps a hash in place of the value.

    Set it for values that identify a person but must still be comparable."""
    omitted: tuple[Column, ...] = ()
    """Columns that the inference log leaves out.

    Set it for values that must never be stored; drift of them cannot be seen then."""
    log_days: float = Field(default=365.0, gt=0)
    """Age at which a part of the inference log is removed.

    Lower it to what your rules on personal data allow."""
    log_gb: float = Field(default=50.0, gt=0)
    """Size of the inference log beyond which its oldest parts are removed.

    Set it to what the disk can spare."""
    unlogged: Literal["refuse", "answer"] = "refuse"
    """What becomes of requests when the disk has taken nothing for so long that no more can be held in memory.

    Set it to answer when an answer without a record is better than none."""


class Params(Section):
    """The whole of params.yaml; every section that a stage reads must be there, since DVC tracks each by name."""

    seed: int = Field(ge=0, lt=2**31)
    """Seed of every random choice.

    Change it to see how much of a result is luck: another seed splits, starts and shuffles anew."""
    memory: str = Field("auto", pattern=r"^(auto|[0-9]+(\.[0-9]+)? ?(MB|GB))$")
    """Memory that the table engine may take before it spills to disk, such as 2GB; auto takes half of the machine's.

    Set it when other programs share the machine, or to let a large table use more."""
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

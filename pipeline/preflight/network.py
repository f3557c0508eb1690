"""What the network reads and how much it computes for a row, before there is one: from params and a look at the data.

The layers are counted as `pipeline/models` makes them at their usual sizes; what does not depend on a row is left out.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass

import ibis.expr.types as ir
from ibis.backends.duckdb import Backend

from pipeline.config import ModelParams, NormalizeParams, Params
from pipeline.data.engine import totals
from pipeline.data.schema import Schema

LOOKED_AT = 20  # pictures, sounds and series
USUAL = {"mlp": (3, 192), "cnn": (3, 32), "rnn": (1, 64), "transformer": (2, 64)}  # layers and width: pipeline/models
CHOSEN = {"image": "cnn", "audio": "cnn", "sequence": "rnn", "text": "transformer"}
FRAMES = 100  # of a spectrogram, a second
TOKENS = 64  # patches of a transformer
CONVOLVED = 0.6  # of a product in a dense layer is what one in a convolution costs: more of them share what is read
NAMES = 0.5  # distinct values a row from which a category is taken for an id, which no network reads


@dataclass(frozen=True)
class Shape:
    """What a row is: number columns, categories of each category column, and the size of its text, picture, sound or series."""

    numbers: int = 0
    categories: tuple[int, ...] = ()
    text: int = 0  # tokens
    picture: tuple[int, int, int] = (0, 0, 0)  # height, width, channels
    steps: tuple[int, int] = (0, 0)  # steps, channels
    outputs: int = 1

    @property
    def columns(self) -> int:
        return self.numbers + len(self.categories) + bool(self.text) + bool(self.picture[0]) + bool(self.steps[0])


@dataclass(frozen=True)
class Load:
    """Of one network and a row: products of numbers, weights, numbers held, and steps that wait for one another."""

    products: float
    weights: float
    held: float
    serial: int = 0


def shape_of(engine: Backend, clean: ir.Table, schema: Schema, params: Params) -> Shape:
    """Sizes from the cleaned rows that were looked at."""
    used = [column for column in schema.columns if column.name not in schema.targets and column.name in clean.columns]
    names = {
        kind: [column.name for column in used if column.kind == kind] for kind in ("number", "datetime", "category", "boolean", "text")
    }
    distinct = totals(engine, clean, {name: clean[name].nunique() for name in names["category"]})
    numbers = len(names["number"]) + len(names["boolean"]) + 7 * len(names["datetime"])  # the day, and six of its cycles
    normalize = params.normalize
    texts = totals(engine, clean, {name: clean[name].length().quantile(0.95) for name in names["text"]})
    tokens = sum(min(normalize.text.length or 512, max(1, int((texts[name] or 0) / 4))) for name in names["text"])
    media = {kind: next((c.name for c in used if c.kind == kind), None) for kind in ("image", "audio", "sequence")}
    picture, steps = (0, 0, 0), (0, 0)
    if media["image"]:
        picture = _picture(_some(engine, clean, media["image"]), normalize)
    if media["audio"]:
        seconds = normalize.audio.seconds or _seconds(_some(engine, clean, media["audio"]))
        picture = (max(int(seconds * FRAMES), 1), normalize.audio.mels, 1)
    if media["sequence"]:
        lengths = [len(value) for value in _some(engine, clean, media["sequence"]) if isinstance(value, list)]
        steps = (normalize.sequence.length or max(lengths, default=1), sum(c.kind == "sequence" for c in used))
    outputs = 1
    if schema.task == "multiclass":
        outputs = int(totals(engine, clean, {"n": clean[schema.target].nunique()})["n"] or 1)
    if schema.forecast:
        steps, outputs = (int(schema.forecast["look_back"]), numbers + 1), int(schema.forecast["horizon"]) * len(schema.targets)
    rows = max(int(totals(engine, clean, {"n": clean.count()})["n"]), 1)
    kept = tuple(min(int(n or 0), normalize.max_categories) for n in distinct.values() if (n or 0) <= NAMES * rows)
    return Shape(numbers, kept, tokens, picture, steps, outputs)


def load_of(shape: Shape, model: ModelParams, *, forecast: bool) -> Load:
    """What the network computes for a row; a sum over the kinds of input, each read by the family that takes it."""
    parts: list[Load] = []
    kinds = {"text": shape.text, "image": shape.picture[0], "sequence": 0 if forecast else shape.steps[0]}
    for kind in (kind for kind, there in kinds.items() if there):
        family = model.family if model.family != "auto" else CHOSEN[kind]
        layers, width = _size(model, family)
        parts.append(_media(kind, family, layers, width, shape))
    if forecast:
        layers, width = _size(model, "mlp" if model.family == "auto" else model.family)
        parts.append(_series(shape, model, layers, width))
    elif shape.numbers or shape.categories:
        family = "transformer" if model.family == "transformer" else "mlp"
        layers, width = _size(model, family)
        parts.append(_table(shape, model, family, layers, width))
    return Load(
        sum(p.products for p in parts), sum(p.weights for p in parts), sum(p.held for p in parts), max((p.serial for p in parts), default=0)
    )


def _size(model: ModelParams, family: str) -> tuple[int, int]:
    layers, width = USUAL[family]
    given = model.width if isinstance(model.width, int) else max(model.width) if model.width else width
    return layers if model.layers is None else model.layers, given


def _table(shape: Shape, model: ModelParams, family: str, layers: int, width: int) -> Load:
    bins = model.bins if model.number_encoding != "none" else 0
    tokens = sum(min(count + 1, model.one_hot) if count <= model.one_hot else model.embedding for count in shape.categories)
    if family == "transformer":
        return _attention(shape.numbers + len(shape.categories) + 1, layers, width)
    features = tokens + shape.numbers * (model.embedding if bins else 1)
    encoding = shape.numbers * bins * model.embedding
    hidden = features * width + max(layers - 1, 0) * width * width if layers else 0
    products = encoding + hidden * model.members
    return Load(products, encoding + hidden, features + shape.numbers * bins + layers * width * model.members)


def _media(kind: str, family: str, layers: int, width: int, shape: Shape) -> Load:
    height, wide, channels = shape.picture
    if kind == "text":
        if family == "rnn":
            return _recurrent(shape.text, width, layers, width)
        return _attention(shape.text, layers, width)
    if kind == "sequence":
        steps, channels = shape.steps
        if family == "transformer":
            return _attention(min(steps, TOKENS), layers, width)
        if family == "cnn":
            products = sum(steps * (4 * width if at else channels) * width * 70 for at in range(layers))
            return Load(products, products / max(steps, 1), layers * steps * width * 8)
        return _recurrent(steps, channels, layers, width)
    if family == "transformer":
        return _attention(min(height * wide, TOKENS), layers, width)
    return _convolved(layers, width, shape.picture)


def _convolved(layers: int, width: int, picture: tuple[int, int, int]) -> Load:
    """Residual blocks over a picture, each half as large as the one before and of twice the channels."""
    height, wide, channels = picture
    stride = 1
    while max(height, wide) // stride > 64:
        stride *= 2
    area, size = float(height * wide // stride**2), 9
    products: float = area * size * stride * channels * width
    weights = float(size * stride * channels * width)
    held, before = area * width, width
    for at in range(layers):
        here = min(width * 2**at, width * 8)
        area = area / 4 if at and area >= 64 else area
        weights += size * here * (before + here)
        products += area * size * here * (before + here)
        held, before = held + 6 * area * here, here
    return Load(CONVOLVED * products, weights, held)


def _series(shape: Shape, model: ModelParams, layers: int, width: int) -> Load:
    steps, channels = shape.steps
    if model.family == "rnn":
        return _recurrent(steps, channels, layers, width)
    if model.family == "transformer":
        return _attention(min(steps, TOKENS), layers, width)
    inner = steps * shape.outputs if model.family == "auto" and model.layers is None else steps * width + layers * width * width
    return Load(inner, inner, steps * channels + shape.outputs)


def _attention(tokens: int, layers: int, width: int) -> Load:
    weights = layers * 8 * width * width
    return Load(tokens * weights + layers * 2 * tokens * tokens * width, weights, layers * (10 * tokens * width + 4 * tokens * tokens))


def _recurrent(steps: int, channels: int, layers: int, width: int) -> Load:
    weights = 8 * width * (channels + width) + max(layers - 1, 0) * 8 * width * 3 * width
    return Load(steps * weights, weights, layers * steps * width * 12, serial=2 * layers * steps)


def _some(engine: Backend, clean: ir.Table, name: str) -> list[object]:
    found: list[object] = engine.to_pyarrow(clean.select(name).limit(LOOKED_AT))[name].to_pylist()
    return found


def _picture(values: Iterable[object], normalize: NormalizeParams) -> tuple[int, int, int]:
    """Height, width and channels as normalize would take them."""
    from PIL import Image, UnidentifiedImageError

    sizes, colour = [], False
    for value in values:
        try:
            with Image.open(io.BytesIO(value) if isinstance(value, bytes) else str(value)) as picture:
                sizes.append(picture.size)
                colour |= picture.mode not in ("1", "L", "I", "F")
        except (OSError, UnidentifiedImageError):
            continue
    sizes = sizes or [(224, 224)]
    median = [sorted(size[at] for size in sizes)[len(sizes) // 2] for at in (1, 0)]
    image = normalize.image
    return image.height or min(median[0], 224), image.width or min(median[1], 224), image.channels or (3 if colour else 1)


def _seconds(values: Iterable[object]) -> float:
    import soundfile

    lengths = []
    for value in values:
        try:
            lengths.append(soundfile.info(io.BytesIO(value) if isinstance(value, bytes) else str(value)).duration)
        except (OSError, RuntimeError):
            continue
    return min(max(lengths, default=1.0), 10.0) if lengths and math.isfinite(max(lengths)) else 1.0

"""What a network makes of pictures, texts, sounds and sequences, watched: other content drifts though brightness or length stay.

The output of the joined encoders, which the head reads, is reduced to its first principal components on the reference's rows
(drift of a pretrained or own representation: Rabanser, Günnemann & Lipton 2019, "Failing Loudly"; PCA: Jolliffe 2002, chapter 2).
They are watched as further number columns, "embedding 1" and so on.  Plain tables and forecasts have none: their columns and
courses are watched themselves.

Of an ensemble the first network is read, and of members that share kernels the first member: what unit 3 stands for differs
from one to the other, so a mean over them would mix unlike things.
"""

from __future__ import annotations

import inspect
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import fresh
from pipeline.data.fitted import Preprocessor

if TYPE_CHECKING:
    from pipeline.data.arrays import Side

COMPONENTS = 4
FEWEST = 30  # rows from which components are learnt
VALUES = 12_500_000  # saved by evaluate, 50 MB; of more rows an even share is saved
BATCH = 256
_DIGITS = 6  # significant ones that are kept, so that the last bits of a sum, which differ between machines, do not matter
_FLAT = 1e-5  # of the largest value: a direction with less deviation is rounding

PARTS = {"brightness": "pictures", "words": "texts", "loudness": "sounds", "deviation": "sequences"}
CHILD = """from __future__ import annotations
import os, sys, warnings
warnings.filterwarnings("ignore")
import mlflow.pyfunc, numpy as np, pyarrow.parquet
package, rows, found, batch = *sys.argv[1:4], int(sys.argv[4])
model = mlflow.pyfunc.load_model(package).unwrap_python_model().model
import pipeline.predict
code = os.path.realpath(pipeline.predict.__file__)
if not code.startswith(package + os.sep):
    sys.exit(f"the package ran {code}, which is not its own")

FUNCTIONS
table, network, parts = pyarrow.parquet.read_table(rows), encoder(model.network), []
for at in range(0, len(table), batch):
    # what is none of its column's type is read as missing, as where the package answers
    inputs = model.frozen.prepare(model._opened(table.slice(at, batch)), model.inputs, look=lambda *_: None)
    parts.append(embedded(network, inputs))
np.save(found, np.concatenate(parts))
"""


@dataclass(frozen=True)
class Components:
    """What turns the encoders' output into watched columns: column i is (x - mean) . directions[i].

    mean: (width,).  directions: (components, width), the one along which the reference varies most first, each divided by the
    deviation along it, so that a column has deviation 1 on the reference.
    """

    mean: tuple[float, ...]
    directions: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Components:
        """What `dataclasses.asdict` gave, as JSON has it."""
        return cls(tuple(told["mean"]), tuple(tuple(one) for one in told["directions"]))

    def columns(self, output: np.ndarray) -> dict[str, np.ndarray]:
        """The watched columns (rows,) float64 of the encoders' output (rows, width); NaN where that is not finite."""
        known = np.isfinite(output).all(axis=1)
        found = (np.where(known[:, None], output, 0.0) - np.array(self.mean)) @ np.array(self.directions).T
        found = np.where(known[:, None], np.round(found, _DIGITS), np.nan)
        return {name: found[:, at] for at, name in enumerate(names(len(self.directions)))}


def names(count: int = COMPONENTS) -> list[str]:
    """The names of the watched columns."""
    return [f"embedding {at}" for at in range(1, count + 1)]


def worth(fitted: Preprocessor) -> bool:
    """Whether a model's embeddings are watched: it reads pictures, texts, sounds or sequences, and is no forecast."""
    return not fitted.forecast and set(fitted.all_columns) != set(fitted.columns)


def encoder(network: Any) -> Any:
    """The network up to what its head, the layer called output, reads: of an ensemble that of the first network."""
    import keras

    inner = [layer for layer in network.layers if isinstance(layer, keras.Model) and any(one.name == "output" for one in layer.layers)]
    first = inner[0] if inner else network
    return keras.Model(first.input, first.get_layer("output").input)


def embedded(network: Any, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """What the encoders give for inputs by name: (rows, width) float32, of members that share kernels the first's."""
    found = np.asarray(network.predict_on_batch(dict(inputs))).astype(np.float32)
    return found[:, 0] if found.ndim == 3 else found


def of_sides(network: Any, sides: Sequence[Side], inputs: Callable[[Side, np.ndarray], Mapping[str, np.ndarray]]) -> np.ndarray:
    """The encoders' output for the rows of `sides`, one side after the other: (rows, width) float32.

    Of more rows than VALUES has room for an even share: see `places`.

    Args:
        inputs: the network's, by name, for some rows of a side.
    """
    part = encoder(network)
    total, room = sum(map(len, sides)), max(VALUES // int(part.output_shape[-1]), FEWEST)
    chosen, before, found = places(total, min(total, room)), 0, []
    for side in sides:
        own = chosen[(chosen >= before) & (chosen < before + len(side))] - before
        found += [embedded(part, inputs(side, own[at : at + BATCH])) for at in range(0, len(own), BATCH)]
        before += len(side)
    return np.concatenate(found) if found else np.empty((0, int(part.output_shape[-1])), np.float32)


def places(total: int, saved: int) -> np.ndarray:
    """Which of `total` rows are `saved`: all, or an even share (rows lie in the order of digests, so that is at random)."""
    return np.arange(total) if saved >= total else np.linspace(0, total - 1, saved).astype(np.int64)


def fit(output: np.ndarray, *, count: int = COMPONENTS) -> Components | None:
    """Learn the principal components of the reference's rows; None where there are too few rows, or they are all alike.

    Args:
        output: (rows, width); rows that are not finite are left out.
        count: of components, at most; directions along which nothing varies are none.
    """
    known = output[np.isfinite(output).all(axis=1)].astype(np.float64)
    if len(known) < FEWEST or not known.shape[1]:
        return None
    mean = _rounded(known.mean(axis=0))
    centred = known - mean
    variances, vectors = np.linalg.eigh(centred.T @ centred / len(known))  # ascending
    deviations = np.sqrt(np.maximum(variances[::-1][:count], 0))
    directions = vectors.T[::-1][:count][deviations > _FLAT * np.abs(known).max()]
    if not len(directions):
        return None
    # a component's sign is arbitrary: its largest entry is positive
    largest = np.take_along_axis(directions, np.abs(_rounded(directions)).argmax(axis=1)[:, None], axis=1)
    scaled = _rounded(directions * np.sign(largest) / deviations[: len(directions), None])
    return Components(tuple(mean.tolist()), tuple(tuple(one) for one in scaled.tolist()))


def _rounded(values: np.ndarray) -> np.ndarray:
    """The first significant digits of each value; what is nothing beside the largest is 0."""
    least = np.abs(values).max(initial=0.0) * 10.0**-_DIGITS
    return np.array([float(f"{value:.{_DIGITS}g}") if abs(value) > least else 0.0 for value in values.ravel()]).reshape(values.shape)


def of_package(package: Path, raw: pa.Table, columns: Sequence[str]) -> np.ndarray:
    """What the encoders of a package give for raw rows, by its own code in a fresh process: (rows, width) float32.

    Args:
        raw: columns as the source has them; what it lacks of `columns`, the model's, is read as missing.

    Raises:
        fresh.PackageError: the process failed, or it ran code from outside the package.
    """
    absent = {name: pa.nulls(len(raw), pa.string()) for name in columns if name not in raw.column_names}
    asked = pa.table({name: absent[name] if name in absent else raw[name] for name in columns})
    code = CHILD.replace("FUNCTIONS", "\n\n".join(inspect.getsource(one) for one in (encoder, embedded)))  # the same lines as here
    with tempfile.TemporaryDirectory(prefix="pipeline-") as name:
        folder = Path(name)
        pq.write_table(asked, folder / "rows.parquet")
        words = fresh.command(code, str(package.resolve()), str(folder / "rows.parquet"), str(folder / "found.npy"), str(BATCH))
        done = subprocess.run(words, capture_output=True, text=True, cwd=folder)
        if done.returncode:
            raise fresh.PackageError(done.stderr.strip()[-2000:])
        found: np.ndarray = np.load(folder / "found.npy")
        return found


def columns_of(package: Path, components: Components, raw: pa.Table, fitted: Preprocessor) -> dict[str, np.ndarray]:
    """The watched columns (rows,) of raw rows.

    Raises:
        fresh.PackageError: as for `of_package`.
    """
    if not len(raw):
        return {name: np.empty(0) for name in names(len(components.directions))}
    return components.columns(of_package(package, raw, fitted.raw_columns))


def among(columns: Sequence[str], watched: Sequence[str]) -> list[str]:
    """Those of `columns` that are embeddings; none where no column of `watched` is a part of a picture, text, sound or sequence."""
    return [name for name in columns if name in names()] if _content(watched) else []


def sentence(columns: Sequence[str], watched: Sequence[str]) -> str:
    """What is said where these embeddings drift.

    Args:
        watched: all columns of the window: their parts tell of which kind the rows are.

    Example:
        >>> sentence(["embedding 3", "embedding 1"], ["photo (brightness)", "embedding 1", "embedding 2", "embedding 3"])
        'the pictures look different to the network (embedding 1 and 3)'
    """
    numbers = sorted(name.rpartition(" ")[2] for name in columns)
    return f"the {_listed(_content(watched)) or 'rows'} look different to the network (embedding {_listed(numbers)})"


def _content(watched: Sequence[str]) -> list[str]:
    ends = {str(name).rpartition(" (")[2].removesuffix(")") for name in watched if str(name).endswith(")")}
    return [word for part, word in PARTS.items() if part in ends]


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)

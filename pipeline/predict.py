"""Raw rows to predictions, without MLflow: the frozen SQL prepares them, the network answers.

The model package carries this file and what it imports, so it stays free of Ibis, pydantic and the rest.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pyarrow as pa

import pipeline.models.layers  # noqa: F401  (registers the layers that the network is made of)
from pipeline.data import asking, contents
from pipeline.data.checking import Checker, Notes
from pipeline.data.frozen import Frozen
from pipeline.errors import UserError
from pipeline.models import heads, own_layers
from pipeline.models.answers import Answers

BATCH = 8192
MOST_ROWS = 1_000_000  # of a request
PREPARED = 2**17  # rows of a table whose inputs are held at once
HEAVY_BATCH = 256  # of pictures, sounds, texts and sequences


class Model:
    """The folder `artifacts/files` of a package: model.keras, answers.json, preprocessor.json, reference.json, schema.json, the SQL.

    Example:
        >>> Model(Path("models/package/artifacts/files")).predict(rows)  # doctest: +SKIP
    """

    def __init__(self, files: Path) -> None:
        contents.verify(files)
        self.frozen = Frozen(files)
        self.fitted = self.frozen.fitted
        self.checker = Checker(files, self.fitted)
        self.written = asking.formats(files)
        self.answers = Answers.read(files / "answers.json")
        own_layers.register_packaged(files)
        self.network = keras.models.load_model(files / "model.keras", compile=False, safe_mode=True)
        self.inputs = [tensor.name for tensor in self.network.inputs]

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Predictions for raw rows, as the source has them; column order and further columns do not matter.

        Pictures and sounds are bytes, base64 text or Path; sequences are lists of numbers, one column a channel.

        Returns:
            One row each: `prediction` (the class answered, or the number in the target's units) and, for classes,
            `probability of <class>`, for numbers `low` and `high`, between which the true value lies with the chance
            `answers.coverage` (nan where validation had too few rows to say).  `refused` says why a row is not answered
            (its answer is missing then), `flags` what is unusual in it, each None where there is nothing to say.  For a
            forecast, whose rows are the last steps of one or several series, the steps that follow: the series, the time,
            and each target in its units, under the columns' own names, with `low of <target>` and `high of <target>`.

        Raises:
            UserError: a column is not there, or there are too many rows; a forecast gets too few rows, or steps are missing.
        """
        return self._forecast(rows) if self.fitted.forecast else pd.DataFrame(self._answered(rows))

    def answer(self, rows: pa.Table) -> pa.Table:
        """`predict` for an Arrow table, which servers have: pandas would take as long as the network. Not for a forecast.

        Raises:
            UserError: as for `predict`.
        """
        return pa.table(self._answered(rows))

    def _answered(self, rows: pd.DataFrame | pa.Table) -> dict[str, np.ndarray]:
        """The columns of an answer."""
        if len(rows) > MOST_ROWS:
            raise UserError(f"{len(rows):,} rows: at most {MOST_ROWS:,} are answered at once; `pipeline predict FILE` takes any number")
        notes = Notes()
        told = self._told(self._outputs(rows, notes))
        if notes.refused:
            lost = sorted(notes.refused)
            for name, values in told.items():
                told[name] = values.copy()
                told[name][lost] = None if values.dtype == object else np.nan
        return told | {name: notes.column(getattr(notes, name), len(rows)) for name in ("refused", "flags")}

    def _told(self, outputs: np.ndarray) -> dict[str, np.ndarray]:
        if self.fitted.task == "regression":
            low, high = self._between(outputs)
            return {"prediction": outputs, "low": low, "high": high}
        probabilities = np.column_stack([1 - outputs, outputs]) if self.fitted.task == "binary" else outputs
        classes = self.fitted.target.classes
        columns = {f"probability of {name}": probabilities[:, at] for at, name in enumerate(classes)}
        return {"prediction": np.asarray(classes, dtype=object)[self.answers.decide(outputs)], **columns}

    def outputs(self, rows: pd.DataFrame) -> np.ndarray:
        """The network's calibrated outputs for raw rows (for a forecast, for the window of each series): see `heads.predictions`."""
        if self.fitted.forecast:
            return self._steps(rows, asking.windows(rows, self.fitted.forecast, self.written))
        return self._outputs(rows, Notes())

    def _outputs(self, rows: pd.DataFrame | pa.Table, notes: Notes) -> np.ndarray:
        rows = self._opened(rows)
        step = PREPARED if set(self.inputs) <= {"number", "category"} else HEAVY_BATCH
        parts = []
        for start in range(0, max(len(rows), 1), step):
            some = rows.slice(start, step) if isinstance(rows, pa.Table) else rows.iloc[start : start + step]
            look = lambda raw, clean, odd, at: self.checker.look(raw, clean, odd, notes, first=start + at)  # noqa: E731, B023
            inputs = self.frozen.prepare(some, self.inputs, look=look)
            batches = range(0, max(len(some), 1), BATCH)
            parts += [self._asked({name: block[at : at + BATCH] for name, block in inputs.items()}) for at in batches]
        return self.answers.calibrated(heads.predictions(np.concatenate(parts), self.fitted))

    def prepare(self, rows: pd.DataFrame) -> dict[str, np.ndarray]:
        """Every input that the data have for raw rows, whether the network reads it or not: see `Encoder.shapes`."""
        return self.frozen.prepare(self._opened(rows))

    def _asked(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        found: np.ndarray = self.network.predict_on_batch(inputs)  # as one graph: layer by layer a row takes ten times as long
        return found

    def _forecast(self, rows: pd.DataFrame) -> pd.DataFrame:
        forecast = self.fitted.forecast
        assert forecast is not None
        asked = asking.windows(rows, forecast, self.written)
        steps = self._steps(rows, asked)  # (windows, horizon, targets)
        answer: dict[str, Any] = {}
        if asked.series is not None:
            answer[str(forecast.series)] = np.repeat(np.asarray(asked.series, dtype=object), forecast.horizon)
        answer[forecast.time] = np.concatenate([np.asarray(coming) for coming in asked.times])
        ends = self._between(steps)
        for at, target in enumerate(forecast.targets):
            answer[target.column] = steps[:, :, at].ravel()
            answer |= {f"{end} of {target.column}": values[:, :, at].ravel() for end, values in zip(("low", "high"), ends, strict=True)}
        return pd.DataFrame(answer)

    def _between(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ends = self.answers.between(outputs)
        return ends if ends is not None else (np.full(outputs.shape, np.nan),) * 2

    def _steps(self, rows: pd.DataFrame, asked: asking.Asked) -> np.ndarray:
        used = np.unique(asked.rows)
        number = self.frozen.prepare(rows.iloc[used], ["number"])["number"]
        place = np.searchsorted(used, asked.rows)  # (windows, look_back)
        parts = [self._asked({"series": number[place[start : start + BATCH]]}) for start in range(0, len(place), BATCH)]
        return heads.predictions(np.concatenate(parts), self.fitted)

    def _opened(self, rows: pd.DataFrame | pa.Table) -> pd.DataFrame | pa.Table:
        """The rows with the bytes of pictures and sounds that come as base64 text or as Path."""
        there = rows.column_names if isinstance(rows, pa.Table) else rows.columns
        media = [name for kind in ("image", "audio") for name in self.fitted.media[kind] if name in there]
        if isinstance(rows, pa.Table):
            for name in media:
                if pa.types.is_string(rows[name].type):
                    values = pa.array([_bytes(value, name) for value in rows[name].to_pylist()], pa.binary())
                    rows = rows.set_column(rows.schema.get_field_index(name), name, values)
            return rows
        told = [name for name in media if rows[name].map(lambda value: isinstance(value, str | Path)).any()]
        return rows.assign(**{name: [_bytes(value, name) for value in rows[name]] for name in told})


def _bytes(value: Any, column: str) -> Any:
    """A text is never a path: who sends rows must not choose which files are read."""
    try:
        if isinstance(value, Path):
            return value.read_bytes()
        return base64.b64decode("".join(value.split()), validate=True) if isinstance(value, str) else value
    except OSError as error:
        raise UserError(f"column {column}: {str(value)[:100]!r} cannot be read ({error.strerror})") from None
    except ValueError:
        raise UserError(f"column {column}: expected bytes, or base64 text, got {value[:100]!r}") from None

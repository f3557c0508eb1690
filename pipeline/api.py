"""The pipeline from Python, for notebooks and scripts: a `Project` is a folder with params.yaml.

    >>> from pipeline.api import Project
    >>> project = Project(".")
    >>> project.change({"train.epochs": 30})             # in params.yaml, checked first
    >>> result = project.reproduce()                     # `dvc repro`
    >>> result.value("auc"), result.interval("auc")
    >>> with project.model() as model:
    ...     model.predict(project.rows("test", raw=True).head())

Nothing happens at import, and heavy libraries come with the call that needs them.  A mistake of the user's is a `UserError`, whose
text is what the command line would print.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, chdir, contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal, Self

from pipeline import files, paths, resources
from pipeline.commands.stages import STAGES, run_stage
from pipeline.config import Params
from pipeline.errors import UserError
from pipeline.params_file import load

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.child import Child

__all__ = ["Model", "Project", "Result", "UserError"]
Side = Literal["train", "validation", "test", "production"]


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Work in `folder`, and leave the environment as it was: stages set variables of their libraries."""
    before = dict(os.environ)
    try:
        with chdir(folder):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Project:
    """A folder with params.yaml, and what its stages have written there.

    Args:
        folder: the project's root.

    Raises:
        UserError: there is no params.yaml in `folder`.
    """

    def __init__(self, folder: str | Path = ".") -> None:
        self.folder = Path(folder).resolve()
        if not (self.folder / paths.PARAMS).is_file():
            raise UserError(f"{self.folder}: expected a folder with {paths.PARAMS}; `pipeline init FILE` writes one")

    def __repr__(self) -> str:
        return f"Project({str(self.folder)!r})"

    @property
    def params(self) -> Params:
        """params.yaml as it is now, frozen and typed: `project.params.train.epochs`.

        Raises:
            UserError: params.yaml holds mistakes: one message for each.
        """
        with chdir(self.folder):
            return load(paths.PARAMS)

    def change(self, changes: Mapping[str, Any]) -> Params:
        """Set keys of params.yaml, comments kept; where one is wrong nothing is written.

        Args:
            changes: values by key, such as `{"train.epochs": 30, "split.strategy": "time"}`; a value may be a mapping or a list.

        Raises:
            UserError: a key is unknown or a value is not possible there.
        """
        from ruamel.yaml import YAML

        yaml = YAML()
        yaml.preserve_quotes, yaml.width = True, 140
        file = self.folder / paths.PARAMS
        content = yaml.load(file.read_text(encoding="utf-8"))
        for key, value in changes.items():
            *sections, last = key.split(".")
            place = content
            for name in sections:
                if not isinstance(place.get(name), dict):
                    place[name] = {}
                place = place[name]
            place[last] = value
        text = StringIO()
        yaml.dump(content, text)
        with TemporaryDirectory(prefix="pipeline-") as name:
            tried = Path(name) / paths.PARAMS
            tried.write_text(text.getvalue(), encoding="utf-8")
            try:
                found = load(tried)
            except UserError as error:
                raise UserError(*(message.replace(str(tried), "changed params") for message in error.messages)) from None
        files.write_text(file, text.getvalue())
        return found

    def run(self, *stages: str) -> None:
        """Run stages in this process, in their order, whatever DVC thinks of them: to look into one, or to go through it by debugger.

        Args:
            stages: names such as "split", "train"; all where none is given.

        Raises:
            UserError: an unknown stage, a stage before them has not run, or one of them cannot work with these params and data.
        """
        if unknown := [name for name in stages if name not in STAGES]:
            raise UserError(f"no stage {unknown[0]!r}; stages are {', '.join(STAGES)}")
        params = self.params
        with _inside(self.folder):
            for name in [name for name in STAGES if name in stages or not stages]:
                try:
                    with resources.counted_anew():
                        run_stage(name, params)
                except FileNotFoundError as error:
                    raise UserError(f"{name}: {error.filename} is not there yet: run the stages before it") from error

    def reproduce(self, *arguments: str) -> Result:
        """Run what a change touches, as `pipeline run` does, in a process of its own; its output is shown.

        Args:
            arguments: of `dvc repro`, such as "--force", "train".

        Raises:
            UserError: it failed; the output says why.
        """
        words = [sys.executable, "-m", "pipeline", "run", *arguments]
        process = subprocess.Popen(words, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout is not None
        with process:
            for line in process.stdout:  # through Python's own output, which a notebook shows
                print(line, end="", flush=True)
        if process.returncode:
            raise UserError(f"pipeline run ended with exit code {process.returncode}: see what it printed")
        return self.result()

    def rows(self, side: Side = "train", *, raw: bool = False) -> pd.DataFrame:
        """The rows of a side of the split, (rows, columns), with their `__row_id__`.

        Args:
            raw: as the source has them, which is what a packaged model takes, rather than clean and typed.

        Raises:
            UserError: the split stage has not run, or holds no such side.
        """
        import pyarrow.parquet as pq

        from pipeline.data.engine import ROW_ID

        file = self.folder / paths.SPLIT / side / paths.ROWS
        if not file.exists():
            raise UserError(f"{paths.SPLIT / side / paths.ROWS} is not there; sides are {', '.join(paths.SIDES)}, written by stage split")
        if not raw:
            return pq.read_table(file).to_pandas()
        ids = pq.read_table(file, columns=[ROW_ID])[ROW_ID]
        found = pq.read_table(self.folder / paths.RAW / paths.ROWS, filters=[(ROW_ID, "in", ids.to_pylist())]).to_pandas()
        return found.set_index(ROW_ID).loc[ids.to_pylist()].reset_index()

    def result(self) -> Result:
        """What the last run of the stages came to.

        Raises:
            UserError: evaluate has not run.
        """
        return Result(self.folder)

    def model(self, name: str | None = None) -> Model:
        """The packaged model, in a process of its own: `with project.model() as model: model.predict(rows)`.

        Args:
            name: `models:/NAME@ALIAS` or `models:/NAME/VERSION` of the registry, or the folder of a package; models/package
                where none is given.

        Raises:
            UserError: there is no such package.
        """
        return Model(name or str(paths.PACKAGE), home=self.folder)

    def runs(self, *, where: str = "", limit: int | None = None) -> pd.DataFrame:
        """Training runs, the newest first: a row each, with params, metrics and tags as columns `params.x`, `metrics.x` and `tags.x`.

        Args:
            where: comparisons joined by `and`, as of `pipeline runs --where`: "test/auc > 0.7 and params.train.optimizer = adamw".
            limit: most rows.

        Raises:
            UserError: `where` cannot be read.
        """
        import pandas as pd

        from pipeline.history import choosing, comparing
        from pipeline.tracking import reading

        with _inside(self.folder):
            terms = choosing.terms(where)
            keep = lambda run: choosing.meets(run, terms)  # noqa: E731
            found = reading.all_runs(limit=limit, condition=choosing.condition(terms), keep=keep)[:limit]
        rows = []
        for run in found:
            plain = comparing.plain(run)
            row = {key: plain[key] for key in ("key", "name", "experiment", "status", "start", "end")}
            rows.append(row | {f"{kind}.{key}": value for kind in ("params", "metrics", "tags") for key, value in plain[kind].items()})
        return pd.DataFrame(rows)


@dataclass(frozen=True)
class Result:
    """The reports of a project, read when they are asked for."""

    folder: Path

    def __post_init__(self) -> None:
        self._json(paths.METRICS.with_name("intervals.json"))

    def _json(self, place: Path) -> Any:
        if not (self.folder / place).exists():
            raise UserError(f"{place} is not there yet in {self.folder}: `pipeline run` writes it")
        return files.read_json(self.folder / place)

    def _table(self, place: Path) -> pd.DataFrame:
        import pandas as pd

        if not (self.folder / place).exists():
            raise UserError(f"{place} is not there yet in {self.folder}: `pipeline run` writes it")
        file = self.folder / place
        return pd.read_csv(file) if file.stat().st_size > 1 else pd.DataFrame()

    @property
    def metrics(self) -> pd.DataFrame:
        """Metrics on the test split: a row for each model (the network first, then baselines) and metric; value, low, high.

        low and high are the ends of the bootstrap interval, nan where there were too few rows for one.
        """
        import pandas as pd

        models = self._json(paths.METRICS.with_name("intervals.json"))["models"]
        rows = [(model, metric, i["value"], i["low"], i["high"]) for model, found in models.items() for metric, i in found.items()]
        return pd.DataFrame(rows, columns=["model", "metric", "value", "low", "high"]).set_index(["model", "metric"]).astype(float)

    @property
    def differences(self) -> pd.DataFrame:
        """The network less each baseline, on the same rows: a row for each baseline and metric; value, low, high."""
        import pandas as pd

        found = self._json(paths.METRICS.with_name("intervals.json"))["differences"]
        rows = [(model, metric, i["value"], i["low"], i["high"]) for model, all_ in found.items() for metric, i in all_.items()]
        return pd.DataFrame(rows, columns=["baseline", "metric", "value", "low", "high"]).set_index(["baseline", "metric"]).astype(float)

    def value(self, metric: str, model: str = "network") -> float:
        """A metric on the test split.

        Raises:
            UserError: no such metric or model.
        """
        return float(self._measured(metric, model)["value"])

    def interval(self, metric: str, model: str = "network") -> tuple[float, float] | None:
        """The bootstrap interval of a metric, None where there were too few rows for one.

        Raises:
            UserError: no such metric or model.
        """
        found = self._measured(metric, model)
        return None if found["low"] is None else (float(found["low"]), float(found["high"]))

    def _measured(self, metric: str, model: str) -> Mapping[str, Any]:
        models = self._json(paths.METRICS.with_name("intervals.json"))["models"]
        if model not in models:
            raise UserError(f"no model {model!r} was measured; there are {', '.join(models)}")
        if metric not in models[model]:
            raise UserError(f"no metric {metric!r} of {model}; there are {', '.join(models[model])}")
        found: Mapping[str, Any] = models[model][metric]
        return found

    @property
    def history(self) -> pd.DataFrame:
        """The training: a row for each epoch, with losses and metrics of train and validation."""
        return self._table(paths.REPORTS / "train" / "history.csv")

    @property
    def trials(self) -> pd.DataFrame:
        """The sweep: a row for each trial, with its state, its value and what it tried; none where tune.trials is 0."""
        return self._table(paths.REPORTS / "tune" / "trials.csv")

    @property
    def slices(self) -> pd.DataFrame:
        """Parts of the test rows: rows, loss there and elsewhere, their ratio, and q, the corrected chance that it is none."""
        return self._table(paths.REPORTS / "evaluate" / "slices.csv")

    @property
    def leaks(self) -> Sequence[Mapping[str, Any]]:
        """What the leakage audit found: severity, columns, title and remedy of each."""
        found: Sequence[Mapping[str, Any]] = self._json(paths.LEAKAGE.with_suffix(".json"))["findings"]
        return found

    @property
    def windows(self) -> pd.DataFrame:
        """The monitored windows: kind, start, end, rows, state (ok, drift, decay, insufficient data), alarm and headline of each."""
        import pandas as pd

        return pd.DataFrame(self._json(paths.MONITORED)["windows"])

    @property
    def gate(self) -> Mapping[str, Any]:
        """The gate's judgement: verdict, reasons, accepted, champion_version."""
        found: Mapping[str, Any] = self._json(paths.REGISTERED)["judgement"]
        return found

    def _repr_html_(self) -> str:
        """The metrics as a table, in a notebook."""
        shown = self.metrics["value"].unstack("metric", sort=False)
        return f"<p>Test split of {self.folder.name}</p>{shown.to_html(float_format='{:.4g}'.format, na_rep='')}"


class Model:
    """A packaged model in a process of its own, so that several, of any version, can be held at once; it ends with the block or `close`."""

    def __init__(self, name: str, *, home: Path) -> None:
        from pipeline import packaging
        from pipeline.child import Child

        self._home = home
        with ExitStack() as stack, _inside(home):
            package = stack.enter_context(packaging.opened(name))
            self._child: Child = stack.enter_context(Child(package))
            self._ends = stack.pop_all()
        self.name = name
        self.columns = package.columns
        """The raw columns that it reads."""
        self._card = package.folder

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End its process."""
        self._ends.close()

    @property
    def card(self) -> str:
        """The model card, in Markdown: what it is for, what it was measured to do, its limits."""
        return next(self._card.rglob(paths.CARD)).read_text(encoding="utf-8")

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Answers for raw rows, (rows, columns), as the source has them; further columns and their order do not matter.

        Returns:
            A row each: `prediction`, with `probability of <class>` or `low` and `high`; `refused` says why a row is not answered,
            `flags` what is unusual in it.  For a forecast, the steps that follow the last rows.

        Raises:
            UserError: a column is missing, or the model does not take the rows.
        """
        import pyarrow as pa

        from pipeline.child import Refused

        if absent := [name for name in self.columns if name not in rows.columns]:
            raise UserError(f"{self.name}: column {absent[0]} is missing; it reads {', '.join(self.columns)}")
        try:
            found: pd.DataFrame = self._child.ask(pa.Table.from_pandas(rows[list(self.columns)], preserve_index=False)).to_pandas()
        except Refused as refused:
            raise UserError(f"{self.name}: {f'row {refused.row}: ' if refused.row is not None else ''}{refused}") from None
        found.index = rows.index if len(found) == len(rows) else found.index
        return found

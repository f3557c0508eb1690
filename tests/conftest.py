"""Workspaces for tests: a folder with params.yaml and a small table, its state kept inside it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from postgres import postgres  # noqa: F401  (a fixture)

from pipeline import paths

ROOT = Path(__file__).parents[1]
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # on busy cores, threads that wait for work would take the time of those that have some

# Files that take a minute and more, by `make test` or `make check`, in the order in which they start: no worker should be left alone
# with a long one at the end, and those that copy `finished` should not wait for who makes it.
LONGEST = (
    *("serving/test_serving", "promises/test_3_no_lost_run", "test_docs", "stages/test_register", "tuning/test_sweep", "test_walkthrough"),
    *("tracking/test_servers", "promises/test_5_had_again", "data/leakage/test_study", "promises/test_4_alarms", "models/test_fit"),
    *("monitoring/test_embedding", "proposing/test_first_run", "test_secrets", "test_dvc", "serving/test_killed", "test_end_to_end"),
    *("serving/test_promotion", "test_workflow", "test_first_hour", "serving/test_fuzz", "monitoring/test_live", "batch/test_predicting"),
    *("promises/test_2_no_skew", "test_api", "test_page", "test_extensions", "exporting/test_writing"),
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SMALL = {
    "seed": 1,
    "data": {"source": "rows.csv", "target": "bought"},
    "clean": {},
    "split": {"strategy": "group", "by": "customer", "validation": 0.2, "test": 0.2},
    "normalize": {"rare_category": 3},
    "model": {"layers": 1, "width": 8, "bins": 4, "embedding": 2},
    "train": {"epochs": 3, "batch_size": 32, "learning_rate": 0.001},
    "tune": {"trials": 2, "space": {"train.learning_rate": {"log": [1e-3, 1e-2]}}},
    "evaluate": {"replicates": 100},
    "register": {"name": "small"},
    "monitor": {"window": 60},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {ROOT / "tests" / f"{name}.py": at for at, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder as the current one, with `.state` inside it and no outer settings."""
    for name in ("DVC_ROOT", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI", "PIPELINE_STATE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    logging.getLogger("pipeline").setLevel(logging.NOTSET)


@pytest.fixture
def write_params(workspace: Path) -> Callable[..., dict]:
    """Write params.yaml: the small default with sections updated, `write_params(split={"test": 0.3})`."""

    def write(**sections: dict) -> dict:
        params = {name: {**value, **sections.get(name, {})} if isinstance(value, dict) else value for name, value in SMALL.items()}
        params |= {name: value for name, value in sections.items() if name not in SMALL or not isinstance(SMALL[name], dict)}
        (workspace / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        return params

    return write


def purchases(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """Rows of customers (3 or so each) with numbers, categories, a date, missing values and a learnable yes/no target."""
    rng = np.random.default_rng(seed)
    customer = np.sort(rng.integers(0, rows // 3, rows))
    age = 20 + 50 * rng.random(rows // 3)[customer]
    income = np.exp(rng.normal(8, 1, rows // 3))[customer]
    city = rng.choice(["Rome", "Oslo", "Bern", "Lima"], rows // 3, p=[0.5, 0.3, 0.15, 0.05])[customer]
    score = (age - 45) / 15 + (city == "Oslo") + rng.normal(0, 0.7, rows)
    frame = pd.DataFrame(
        {
            "customer": [f"C{c:04d}" for c in customer],
            "age": np.round(age, 1),
            "income": np.round(income, 2),
            "city": city,
            "member": rng.choice(["true", "false"], rows),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1000, rows), "D"),
            "bought": np.where(score > 0, "yes", "no"),
        }
    )
    frame.loc[rng.random(rows) < 0.1, "income"] = np.nan
    frame.loc[rng.random(rows) < 0.05, "city"] = None
    return frame


@pytest.fixture
def sent_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A training sends by a thread here, as the other stages do: its store can be made to fail, and MLflow is imported once."""
    from pipeline.tracking import runs, sending

    monkeypatch.setattr(runs, "Companion", sending.Sender)


@pytest.fixture
def small(workspace: Path, write_params: Callable[..., dict]) -> Path:
    """A workspace with rows.csv and params.yaml, ready for the stages."""
    purchases().to_csv(workspace / "rows.csv", index=False)
    write_params()
    return workspace


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium; `make check` installs what drives it, the machine has the browser itself."""
    import shutil

    api = pytest.importorskip("playwright.sync_api")
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on the path")
    with api.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory):
    """A repository in which `pipeline run` has run all ten stages; tests must leave it as it is.

    Where several processes run tests, the first to ask makes it and the others copy it.
    """
    import pickle
    import shutil

    from filelock import FileLock
    from repository import Repository

    folder = tmp_path_factory.mktemp("finished") / "project"
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    kept = tmp_path_factory.getbasetemp().parent / "finished"
    said = kept.with_suffix(".said")
    with FileLock(f"{kept}.lock"):
        if alone or not said.exists():
            made = Repository(folder)
            made.output = made.pipeline("run")
            if not alone:
                shutil.copytree(folder, kept, symlinks=True)
                said.write_bytes(pickle.dumps((folder, made.output)))
            return made
        first, output = pickle.loads(said.read_bytes())
        made = Repository.copied(kept, folder, first)
        made.output = output
    return made


@pytest.fixture(scope="session")
def package(finished) -> Path:
    """The package of the finished repository; tests must leave it as it is."""
    return finished.folder / paths.PACKAGE


@pytest.fixture(scope="session")
def model(package):
    """The same package, loaded in this process."""
    from pipeline.predict import Model

    return Model(package / "artifacts" / "files")


@pytest.fixture
def copied(finished, tmp_path: Path):
    """A copy of the finished repository to change."""
    import copy
    import shutil

    shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True)
    again = copy.copy(finished)
    again.folder = tmp_path / "copy"
    return again

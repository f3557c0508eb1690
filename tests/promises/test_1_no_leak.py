"""Promise 1: preprocessing learns from train alone; tuning and training never see test or production."""

from __future__ import annotations

import hashlib
import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

from pipeline import paths
from pipeline.commands.stages import run_stage
from pipeline.data import preprocessing
from pipeline.data.engine import ROW_ID
from pipeline.data.schema import Column, Schema
from pipeline.params_file import load

KINDS = ("number", "category", "boolean", "datetime", "text", "image", "audio", "sequence")
LEARNT = (paths.PREPROCESSOR, paths.REFERENCE, paths.CLEAN_SQL, paths.CLEAN_PLAIN_SQL)


def run(*names):
    params = load(paths.PARAMS)
    for name in names:
        run_stage(name, params)


def digest(*files):
    return {file.as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def arrays(*sides):
    return digest(*(file for side in sides for file in sorted((paths.NORMALIZED / side).glob("*.npy"))))


WORDS = [f"{a}{b}" for a in ("ba", "ce", "di", "fo", "gu") for b in ("lam", "nor", "pik", "rest", "sum", "tavi")]


def generated(rows, seed):
    """A table of every kind of column; which columns, and how they are spread, is drawn."""
    rng = np.random.default_rng(seed)
    day = pd.Timestamp("2019-01-01")
    makers = [
        lambda: rng.normal(rng.uniform(-9, 9), rng.uniform(0.1, 50), rows).round(4),
        lambda: rng.lognormal(0, rng.uniform(0.5, 2), rows).round(4),
        lambda: rng.poisson(rng.uniform(1, 30), rows),
        lambda: rng.choice([f"k{at}" for at in range(rng.integers(2, 12))], rows),
        lambda: rng.choice(["true", "false"], rows),
        lambda: day + pd.to_timedelta(rng.integers(0, 900, rows), "D"),
        lambda: rng.choice(["Oslo", "OSLO", "oslo", "Rome", "ROME", "Bern"], rows),
        lambda: [" ".join(rng.choice(WORDS, rng.integers(4, 12))) for _ in range(rows)],
    ]
    drawn = [*range(len(makers)), *rng.integers(0, len(makers), 3)]
    frame = pd.DataFrame({f"x{at}": makers[kind]() for at, kind in enumerate(drawn)})
    for name in rng.choice(frame.columns, 4, replace=False):
        frame.loc[rng.random(rows) < 0.15, name] = None
    frame["customer"] = [f"C{c}" for c in rng.integers(0, rows // 3, rows)]
    frame["plan"] = rng.choice(["a", "b", "c"], rows, p=[0.5, 0.3, 0.2])
    frame["y"] = rng.choice(["no", "yes"], rows)
    return frame


def changed(table, rng):
    """Every value replaced within its type, missing ones by a value; row ids stay, the classes of the target are swapped."""
    columns = {}
    for name in table.column_names:
        column, kind = table[name], table[name].type
        values = column.to_pandas()
        if name == ROW_ID:
            columns[name] = column
        elif name in ("y", "bought"):
            columns[name] = pa.array(values.map({"no": "yes", "yes": "no"}), kind)
        elif pa.types.is_floating(kind):
            moved = (values.fillna(0) * 7 + 1000).mask(values.notna() & (rng.random(len(values)) < 0.3))
            columns[name] = pa.array(moved, kind, from_pandas=True)
        elif pa.types.is_boolean(kind):
            columns[name] = pa.array([value is not True for value in values], kind)
        elif pa.types.is_binary(kind):
            made = sound if name == "audio" else picture
            columns[name] = pa.array([made(rng, size=3 * SIZE) for _ in values], kind)
        elif pa.types.is_list(kind):
            columns[name] = pa.array([list(rng.normal(50, 9, 30)) for _ in values], kind)
        elif pa.types.is_timestamp(kind):
            columns[name] = pa.array(values.fillna(pd.Timestamp("2030-01-01")) + pd.Timedelta(days=4000, hours=7), kind)
        else:
            columns[name] = pa.array(
                [None if value is not None and rng.random() < 0.2 else f"new {rng.integers(40)}" for value in values], kind
            )
    return pa.table(columns)


def change(*sides, seed=5):
    rng = np.random.default_rng(seed)
    for side in sides:
        file = paths.SPLIT / side / paths.ROWS
        before = pq.read_table(file)
        after = changed(before, rng)
        for name in before.column_names:
            kept = [a == b for a, b in zip(before[name].to_pylist(), after[name].to_pylist(), strict=True)]
            assert all(kept) if name == ROW_ID else not any(kept), f"{side}: {name}"  # every value has changed, missing ones included
        pq.write_table(after, file)


def prepare(workspace, write_params, seed):
    generated(500, seed).to_csv(workspace / "rows.csv", index=False)
    write_params(data={"target": "y"}, split={"production": {"column": "plan", "in": ["c"]}})
    run("collect", "clean", "split")


@pytest.mark.parametrize("seed", [1, 2])
def test_changed_validation_test_and_production_leave_everything_learnt_as_it_was(workspace, write_params, seed):
    prepare(workspace, write_params, seed)
    run("normalize")
    learnt, train, others = digest(*LEARNT), arrays("train"), arrays("validation", "test")
    change("validation", "test", "production")
    run("normalize")
    assert digest(*LEARNT) == learnt
    assert arrays("train") == train
    now = arrays("validation", "test")
    assert not [name for name in now if now[name] == others[name] and not name.endswith("group.npy")]


def test_the_comparison_fails_where_fit_sees_all_sides(workspace, write_params, monkeypatch):
    """The proof that the test above can fail: the same changes, with a fit that leaks."""
    honest = preprocessing.fit

    def leaky(backend, train, *args, **kwargs):
        sides = [backend.read_parquet(paths.SPLIT / side / paths.ROWS) for side in paths.SIDES[1:3]]
        return honest(backend, train.union(*sides), *args, **kwargs)

    prepare(workspace, write_params, 1)
    monkeypatch.setattr(preprocessing, "fit", leaky)
    run("normalize")
    learnt, train = digest(*LEARNT), arrays("train")
    change("validation", "test", "production")
    run("normalize")
    now = digest(*LEARNT)
    assert now[paths.PREPROCESSOR.as_posix()] != learnt[paths.PREPROCESSOR.as_posix()]
    assert arrays("train") != train


def test_a_changed_train_changes_what_is_learnt(workspace, write_params):
    prepare(workspace, write_params, 1)
    run("normalize")
    learnt = digest(*LEARNT)
    change("train")
    run("normalize")
    assert digest(*LEARNT)[paths.PREPROCESSOR.as_posix()] != learnt[paths.PREPROCESSOR.as_posix()]


def test_changed_test_and_production_leave_train_and_validation_as_they_were(workspace, write_params):
    prepare(workspace, write_params, 4)
    run("normalize")
    seen = arrays("train", "validation") | digest(*LEARNT)
    change("test", "production")
    run("normalize")
    assert arrays("train", "validation") | digest(*LEARNT) == seen


SIZE = 6


def picture(rng, size=SIZE):
    """A PNG of random grey pixels, `size` wide and high, or so."""
    out = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (size, size + rng.integers(3)), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


def sound(rng, size=SIZE):
    """A WAV of noise, `size` hundredths of a second long."""
    out = io.BytesIO()
    soundfile.write(out, rng.uniform(-0.3, 0.3, size * 80), 8000, format="WAV")
    return out.getvalue()


def side_of_every_kind(rows, seed):
    """A split table with a column of each kind, as the stages before would store it."""
    rng = np.random.default_rng(seed)
    moments = (np.datetime64("2019-01-01", "us") + rng.integers(0, 20_000, rows) * np.timedelta64(1, "h")).astype("datetime64[us]")
    return pa.table(
        {
            ROW_ID: [f"{seed:08d}{at:08x}-0" for at in range(rows)],
            "number": rng.lognormal(0, 2, rows),
            "category": rng.choice(["Oslo", "OSLO", "oslo", "Rome"], rows),
            "boolean": rng.random(rows) < 0.5,
            "datetime": pa.array(moments),
            "text": [" ".join(rng.choice(WORDS, 6)) for _ in range(rows)],
            "image": [picture(rng) for _ in range(rows)],
            "audio": [sound(rng) for _ in range(rows)],
            "sequence": [list(rng.normal(3, 2, rng.integers(2, 9))) for _ in range(rows)],
            "y": rng.choice(["no", "yes"], rows),
        }
    )


@pytest.fixture
def every_kind(workspace, write_params):
    """A workspace split already, with a column of each kind."""
    write_params(
        split={"strategy": "random", "by": None}, normalize={"numeric": "auto", "clip": 0.01, "audio": {"sample_rate": 8000, "mels": 8}}
    )
    raw = {"number": "number", "boolean": "boolean", "datetime": "datetime", "image": "binary", "audio": "binary", "sequence": "list"}
    columns = [Column(kind, raw.get(kind, "text"), kind, "made so") for kind in KINDS]
    paths.CLEAN.mkdir(parents=True)
    paths.SCHEMA.write_text(Schema((*columns, Column("y", "text", "category", "target")), "y", "binary", None, ("",)).to_json())
    for at, (side, rows) in enumerate(zip(paths.SIDES, (60, 20, 20, 10), strict=True)):
        (paths.SPLIT / side).mkdir(parents=True)
        pq.write_table(side_of_every_kind(rows, at), paths.SPLIT / side / paths.ROWS)


def test_nothing_learnt_from_any_kind_of_column_depends_on_other_sides(every_kind):
    run("normalize")
    blocks = {file.stem for file in (paths.NORMALIZED / "test").glob("*.npy")}
    assert blocks >= {"number", "category", "text_0", "image_0", "audio_0", "sequence", "sequence_length"}
    learnt, train, others = digest(*LEARNT), arrays("train"), arrays("validation", "test")
    change("validation", "test", "production")
    run("normalize")
    assert digest(*LEARNT) == learnt
    assert arrays("train") == train
    now = arrays("validation", "test")
    assert not [name for name in now if now[name] == others[name] and not name.endswith("group.npy")]


@pytest.mark.parametrize("kind", KINDS)
def test_the_comparison_fails_for_each_kind_of_column_where_fit_sees_all_sides(every_kind, monkeypatch, kind):
    """The proof that the test above can fail, column by column: one column of a changed side leaks into the fit."""
    honest = preprocessing.fit

    def leaky(backend, train, *args, **kwargs):
        other = backend.read_parquet(paths.SPLIT / "test" / paths.ROWS)
        rows = [backend.to_pyarrow(table) for table in (train, other)]
        kept = rows[1].select([name for name in rows[1].column_names if name != kind])
        blank = pa.table({name: kept[name] if name in kept.column_names else rows[1][name] for name in rows[1].column_names})
        for name in kept.column_names:
            blank = blank.set_column(blank.column_names.index(name), name, rows[0][name].slice(0, len(blank)))
        return honest(backend, backend.create_table("leaky", pa.concat_tables([rows[0], blank]), overwrite=True), *args, **kwargs)

    monkeypatch.setattr(preprocessing, "fit", leaky)
    run("normalize")
    learnt = digest(paths.PREPROCESSOR)
    change("validation", "test", "production")
    run("normalize")
    assert digest(paths.PREPROCESSOR) != learnt


@pytest.mark.slow
def test_tune_and_train_pass_without_the_test_files_and_learn_the_same(small):
    run("collect", "clean", "split", "normalize", "tune", "train")
    best, metrics = paths.BEST.read_bytes(), Path("reports/train/metrics.json").read_bytes()
    for folder in (paths.SPLIT, paths.NORMALIZED):
        for side in ("test", "production"):
            shutil.rmtree(folder / side, ignore_errors=True)
    shutil.rmtree(paths.state())
    shutil.rmtree(paths.MODELS)
    run("tune", "train")
    assert paths.MODEL.is_file()
    assert (paths.BEST.read_bytes(), Path("reports/train/metrics.json").read_bytes()) == (best, metrics)


@pytest.mark.slow
def test_answers_are_learnt_of_validation_alone(small, write_params):
    write_params(evaluate={"calibration": "isotonic", "threshold": "f1", "replicates": 100}, tune={"trials": 0})
    run("collect", "clean", "split", "normalize", "tune", "train", "evaluate")
    learnt, measured = digest(paths.ANSWERS), digest(paths.METRICS)
    for sides, same in ((("test", "production"), True), (("validation",), False)):
        fitted = digest(paths.FITTED)
        change(*sides)
        run("normalize", "evaluate")
        assert digest(paths.FITTED) == fitted
        assert digest(paths.METRICS) != measured
        assert (digest(paths.ANSWERS) == learnt) is same


def test_random_split_shares_customers_across_sides_and_a_group_split_none(workspace, write_params):
    generated(500, 6).to_csv("rows.csv", index=False)
    shared = {}
    for strategy, by in (("random", None), ("group", "customer")):
        write_params(data={"target": "y"}, split={"strategy": strategy, "by": by})
        run("collect", "clean", "split")
        customers = {side: set(pd.read_parquet(paths.SPLIT / side / paths.ROWS).customer) for side in paths.SIDES[:3]}
        shared[strategy] = len(customers["train"] & (customers["validation"] | customers["test"]))
    assert shared["group"] == 0
    assert shared["random"] > 30

"""What a network makes of pictures, texts, sounds and sequences, watched."""

from __future__ import annotations

import io
import os
import runpy
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import toys
import yaml
from conftest import ROOT
from PIL import Image

from pipeline import files, packaging, paths
from pipeline.child import Standby
from pipeline.config import ModelParams, MonitorParams
from pipeline.data.arrays import Side
from pipeline.data.fitted import Preprocessor
from pipeline.monitoring import embedding, from_files, judgement, reference, windows
from pipeline.monitoring.judgement import Asked, Judge
from pipeline.monitoring.reference import Reference
from pipeline.monitoring.watched import Rows, Watched
from pipeline.monitoring.windows import Window

# -- components


def planted(rows=400, seed=0):
    """Two directions that vary by 3 and by 1, a little noise, and a unit that is always 0."""
    rng = np.random.default_rng(seed)
    plane = np.linalg.qr(rng.normal(size=(5, 2)))[0].T
    found = 7 + rng.normal(size=(rows, 2)) * [3, 1] @ plane + rng.normal(0, 0.01, (rows, 5))
    return np.hstack([found, np.zeros((rows, 1))]).astype(np.float32), plane


def test_components_are_the_directions_along_which_the_reference_varies_and_have_deviation_1_on_it():
    output, plane = planted()
    fitted = embedding.fit(output, count=2)
    columns = pd.DataFrame(fitted.columns(output))
    assert list(columns) == ["embedding 1", "embedding 2"]
    np.testing.assert_allclose(columns.mean(), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(columns.T, bias=True), np.eye(2), atol=1e-4)
    directions = np.array(fitted.directions)
    np.testing.assert_allclose(1 / np.linalg.norm(directions, axis=1), [3, 1], rtol=0.1)
    aligned = np.abs(directions[:, :5] @ plane.T) / np.linalg.norm(directions, axis=1)[:, None]
    np.testing.assert_allclose(aligned, np.eye(2), atol=0.05)
    assert (directions[:, 5] == 0).all()
    assert (np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1) > 0).all()


def test_new_rows_are_measured_from_the_mean_of_the_reference_in_its_deviations():
    output, _ = planted()
    fitted = embedding.fit(output, count=2)
    direction = np.array(fitted.directions[0])
    moved = np.array(fitted.mean) + 2 * direction / (direction @ direction)
    assert fitted.columns(moved[None])["embedding 1"] == pytest.approx([2], abs=1e-5)


def test_equal_input_gives_equal_components_whose_last_bits_do_not_count():
    output, _ = planted()
    told = asdict(embedding.fit(output))
    assert told == asdict(embedding.fit(output.copy()))
    assert embedding.Components.of(files.json.loads(files.json.dumps(told))) == embedding.fit(output)
    assert all(value == float(f"{value:.6g}") for one in told["directions"] for value in one)


@pytest.mark.parametrize(
    "output",
    [np.zeros((100, 3)), np.full((100, 3), 1e6) + 1e-3, np.random.default_rng(0).normal(size=(29, 3)), np.full((100, 3), np.nan)],
    ids=["nothing", "constant", "few", "missing"],
)
def test_rows_that_are_alike_too_few_or_not_finite_give_no_components(output):
    assert embedding.fit(output.astype(np.float32)) is None


def test_directions_along_which_nothing_varies_are_none():
    line = np.outer(np.random.default_rng(0).normal(size=100), [1, 2, 3]).astype(np.float32)
    assert len(embedding.fit(line).directions) == 1


def test_a_row_that_is_not_finite_is_left_out_of_the_components_and_is_missing():
    output, _ = planted()
    spoilt = np.vstack([output, np.full((1, 6), np.inf), np.full((1, 6), np.nan)])
    fitted = embedding.fit(spoilt)
    assert fitted == embedding.fit(output)
    columns = fitted.columns(spoilt)
    assert all(np.isnan(values[-2:]).all() and np.isfinite(values[:-2]).all() for values in columns.values())


def test_an_even_share_of_the_rows_is_saved_where_there_are_more():
    assert embedding.places(5, 5).tolist() == [0, 1, 2, 3, 4]
    share = embedding.places(1000, 300)
    assert len(np.unique(share)) == 300
    assert (share[0], share[-1]) == (0, 999)
    assert set(np.diff(share)) == {3, 4}


# -- the reference


def held(components):
    output, _ = planted(60)
    frame = pd.DataFrame({windows.PREDICTION: np.linspace(0, 1, 60), "y": np.arange(60) % 2.0})
    rows = windows.with_columns(Window(frame, np.linspace(0, 1, 60), np.ones(60), np.arange(60)), components.columns(output))
    return Reference(rows, np.arange(60) > 20, {"metric": "auc", "loss": 1.0}, [], components=components)


def test_the_reference_keeps_its_components_and_packages_of_before_have_none(tmp_path):
    components = embedding.fit(planted()[0])
    reference.write(held(components), tmp_path)
    found = reference.read(tmp_path)
    assert found.components == components
    pd.testing.assert_frame_equal(found.rows.frame, held(components).rows.frame)
    facts = files.read_json(tmp_path / reference.FACTS)
    del facts["components"]
    files.write_json(tmp_path / reference.FACTS, facts)
    assert reference.read(tmp_path).components is None


def test_embeddings_are_watched_as_numbers():
    components = embedding.fit(planted()[0], count=2)
    found = windows.kinds(held(components).rows, toys.fitted("image", "binary"))
    assert found == {windows.PREDICTION: "number", "embedding 1": "number", "embedding 2": "number"}


def test_of_a_hidden_picture_neither_its_parts_nor_its_embedding_are_watched():
    fitted, rows = toys.fitted("mixed", "binary"), held(embedding.fit(planted()[0], count=2)).rows
    rows = windows.with_columns(rows, {"photo (brightness)": np.ones(60), "words (words)": np.ones(60), "x0": np.ones(60)})
    assert set(windows.kinds(rows, fitted, ["photo"])) == {windows.PREDICTION, "words (words)", "x0"}
    assert set(windows.kinds(rows, fitted, ["x0"])) == {windows.PREDICTION, "photo (brightness)", "words (words)"}
    assert set(windows.kinds(rows, fitted, ["other"])) == set(rows.frame) - {"y"}


# -- what the head reads


def network(kind, count=1, **more):
    from pipeline.models.build import build, serving
    from pipeline.training import ensembling

    params = ModelParams(layers=1, width=8, heads=2, bins=4, embedding=2, **more)
    return ensembling.mean([serving(build(toys.fitted(kind, "multiclass"), params, seed)) for seed in range(1, count + 1)])


def weights(layer):
    return [np.asarray(one) for one in layer.get_weights()]


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


SLOW = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("text", "audio", "sequence", "mixed")]


@pytest.mark.parametrize("kind", ["image", *SLOW])
def test_the_head_alone_makes_the_networks_answer_of_the_embedding_after_loading_too(kind, tmp_path):
    import keras

    from pipeline.models.build import save

    save(network(kind), tmp_path / "model.keras")
    asked = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    inputs, _ = toys.rows(kind, "multiclass", 20)
    found = embedding.embedded(embedding.encoder(asked), inputs)
    assert found.dtype == np.float32
    kernel, bias = weights(asked.get_layer("output"))
    np.testing.assert_allclose(softmax(found @ kernel + bias), asked.predict_on_batch(inputs), atol=1e-5)


def test_of_an_ensemble_the_first_network_is_read(tmp_path):
    import keras

    from pipeline.models.build import save

    inputs, _ = toys.rows("image", "multiclass", 20)
    save(network("image", count=2), tmp_path / "model.keras")
    asked = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    first = embedding.embedded(embedding.encoder(network("image")), inputs)
    np.testing.assert_allclose(embedding.embedded(embedding.encoder(asked), inputs), first, atol=1e-5)


def test_of_members_that_share_kernels_the_first_is_read():
    asked = network("image", members=3)
    inputs, _ = toys.rows("image", "multiclass", 20)
    found = embedding.embedded(embedding.encoder(asked), inputs)
    every = np.asarray(embedding.encoder(asked).predict_on_batch(inputs))
    assert every.shape == (20, 3, found.shape[1])
    kernel, bias = weights(asked.get_layer("output"))
    answers = [softmax(every[:, at] @ kernel[at] + bias[at]) for at in range(3)]
    np.testing.assert_allclose(np.mean(answers, axis=0), asked.predict_on_batch(inputs), atol=1e-5)
    np.testing.assert_array_equal(found, every[:, 0])


def side(inputs):
    rows = len(inputs["image_0"])
    return Side(np.empty((rows, 0), np.float32), np.empty((rows, 0), np.int32), np.zeros(rows), np.arange(rows), dict(inputs))


def test_sides_follow_each_other_and_a_share_of_them_is_the_same_rows(monkeypatch):
    from pipeline.models import feeding

    fitted, asked = toys.fitted("image", "multiclass"), network("image")
    parts = [toys.rows("image", "multiclass", rows, seed)[0] for rows, seed in ((70, 1), (50, 2))]
    read = lambda one, some: feeding.inputs(one, fitted, some)  # noqa: E731
    whole = embedding.of_sides(asked, [side(part) for part in parts], read)
    joint = np.concatenate([part["image_0"] for part in parts])
    np.testing.assert_allclose(whole, embedding.embedded(embedding.encoder(asked), {"image_0": joint}), atol=1e-5)
    monkeypatch.setattr(embedding, "VALUES", 40 * whole.shape[1])
    share = embedding.of_sides(asked, [side(part) for part in parts], read)
    assert len(share) == 40
    np.testing.assert_allclose(share, whole[embedding.places(120, 40)], atol=1e-5)


def test_tables_and_forecasts_have_no_embedding():
    assert {kind: embedding.worth(toys.fitted(kind, "binary")) for kind in ("table", "text", "image", "audio", "sequence", "mixed")} == {
        "table": False, "text": True, "image": True, "audio": True, "sequence": True, "mixed": True,
    }  # fmt: skip
    assert not embedding.worth(toys.fitted("series", "forecast"))


# -- words


def test_one_sentence_tells_of_what_kind_the_rows_are():
    every = ["embedding 1", "embedding 2", "embedding 3"]
    photo, note = "photo (brightness)", "note (1) (words)"
    assert embedding.sentence(every[:1], [photo]) == "the pictures look different to the network (embedding 1)"
    assert embedding.sentence(every[::-1], [photo, note]) == ("the pictures and texts look different to the network (embedding 1, 2 and 3)")
    assert embedding.among(["age", *every], [photo, *every]) == every
    assert embedding.among(every, every) == []  # columns of a plain table that happen to be called so


# -- the digits through the project's stages


def png(picture):
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG")
    return out.getvalue()


def turned(data):
    return png(np.rot90(np.asarray(Image.open(io.BytesIO(data)))).copy())


def run(*stages):
    """Run stages in the current folder, in a process of their own: MLflow warns of what is none of this project's."""
    code = """import sys
from pipeline.commands.stages import load, paths, run_stage
[run_stage(one, load(paths.PARAMS)) for one in sys.argv[1:]]"""
    done = subprocess.run([sys.executable, "-c", code, *stages], env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert not done.returncode, done.stderr[-3000:]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A folder in which a network has learnt 1,000 digits; 797 others, as they are and turned, are kept back as production."""
    folder, before = tmp_path_factory.mktemp("digits"), (Path.cwd(), os.environ.get("PIPELINE_STATE"))
    os.chdir(folder)
    os.environ["PIPELINE_STATE"] = str(folder / ".state")
    table = runpy.run_path(str(ROOT / "examples" / "digits" / "load.py"))["load"]().to_pandas()
    table = table.iloc[np.random.default_rng(0).permutation(len(table))].reset_index(drop=True).assign(part="now")
    table.loc[1000:1199, "part"] = "later"
    table.loc[1200:1399, "part"] = "turned"
    table.loc[1200:1399, "image"] = [turned(data) for data in table.loc[1200:1399, "image"]]
    table.iloc[:1400].to_parquet("rows.parquet")
    table.drop(columns="part").iloc[1400:].to_parquet("later.parquet")
    params = {
        "seed": 1,
        "data": {"source": "rows.parquet", "target": "digit", "task": "multiclass", "columns": {"part": "id"}},
        "clean": {},
        "split": {"strategy": "stratified", "validation": 0.2, "test": 0.4, "production": {"column": "part", "in": ["later", "turned"]}},
        "normalize": {},
        "model": {"layers": 2, "width": 16},
        "train": {"epochs": 12, "batch_size": 32, "learning_rate": 0.005},
        "tune": {"trials": 0},
        "evaluate": {"replicates": 100},
        "register": {"name": "digits"},
        "monitor": {"window": 200, "max_windows": 2},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    run("collect", "clean", "split", "normalize", "tune", "train", "evaluate", "register")
    yield folder
    os.chdir(before[0])
    del os.environ["PIPELINE_STATE"]
    if before[1] is not None:
        os.environ["PIPELINE_STATE"] = before[1]


@pytest.fixture
def watched(digits):
    with packaging.opened(str(paths.PACKAGE)) as package:
        yield Watched.of(package, reference.read(paths.PACKAGE / "artifacts" / "files"))


def read(watched: Watched, frame: pd.DataFrame, file: str = "window.parquet") -> Rows:
    getattr(frame, "to_csv" if file.endswith("csv") else "to_parquet")(file, index=False)
    from pipeline.config import CsvParams

    with Standby(watched.package) as child:
        (one,) = from_files.of_files(watched, child, Path(file), None, time=None, csv=CsvParams(), latest=10)
        return one.load()


def drifted(judge: Judge, rows: Rows, folder: Path) -> set[str]:
    found, _ = judge.judge(Asked("window", "production", rows.window, rows.rows, absent=rows.absent), folder)
    return {one["column"] for one in found["measures"] if one["drifted"]}


@pytest.mark.slow
def test_the_packages_own_network_embeds_raw_rows_as_evaluate_did(watched):
    raw = pd.read_parquet(paths.RAW / paths.ROWS).set_index("__row_id__")
    ids = pd.concat([pd.read_parquet(paths.SPLIT / name / paths.ROWS)["__row_id__"] for name in ("validation", "test")])
    asked = pa.Table.from_pandas(raw.loc[ids], preserve_index=False)
    saved = np.load(paths.EMBEDDINGS)
    np.testing.assert_allclose(embedding.of_package(paths.PACKAGE, asked, ["image"]), saved, atol=1e-5)
    kept = watched.reference
    output = saved[: len(kept.rows)]
    assert len(saved) == len(kept.rows)  # so few that all are kept
    pd.testing.assert_frame_equal(kept.rows.frame[embedding.names()], pd.DataFrame(kept.components.columns(output)))
    again = embedding.of_package(paths.PACKAGE, asked.slice(0, 20).append_column("more", pa.nulls(20)), ["image"])
    np.testing.assert_allclose(again, saved[:20], atol=1e-5)


@pytest.mark.slow
def test_other_digits_and_turned_ones_alarm_where_brightness_and_contrast_do_not_and_unchanged_ones_are_quiet(watched, tmp_path):
    later = pd.read_parquet("later.parquet")
    few = later[later["digit"].astype(int) < 5]
    fitted: Preprocessor = watched.fitted
    judge = Judge(watched.reference, fitted, MonitorParams(), 1, packaging.answers(paths.PACKAGE, fitted.task))
    own = set(embedding.names())
    for name, frame, alarms in (
        ("same", later.iloc[:200], False),
        ("same too", later.iloc[200:], False),
        ("few", few, True),
        ("turned", later.assign(image=[turned(data) for data in later["image"]]), True),
    ):
        found = drifted(judge, read(watched, frame.drop(columns="digit")), tmp_path / name)
        assert bool(found & own) is alarms, (name, found)
        assert not {one for one in found if one.startswith("image")}, (name, found)


@pytest.mark.slow
def test_base64_text_in_a_csv_is_read_as_the_bytes_are(watched):
    import base64

    some = pd.read_parquet("later.parquet").iloc[:40]
    coded = some.assign(image=[base64.b64encode(data).decode() for data in some["image"]])
    bytes_, text = read(watched, some), read(watched, coded, "window.csv")
    names = ["image (brightness)", *embedding.names()]
    assert bytes_.window.frame[names].notna().all(axis=None)
    pd.testing.assert_frame_equal(text.window.frame[names], bytes_.window.frame[names], atol=1e-4)


@pytest.mark.slow
def test_of_many_rows_an_even_share_is_read(watched, monkeypatch):
    from pipeline.monitoring import watched as module

    monkeypatch.setattr(module, "HEAVY_MOST", 50)
    later = pd.read_parquet("later.parquet").iloc[:200]
    found = read(watched, later)
    assert found.rows == 200
    assert 10 <= len(found.window) <= 50
    assert found.window.frame["embedding 1"].notna().all()


@pytest.mark.slow
def test_the_stage_embeds_production_and_says_what_changed_in_words(digits):
    run("monitor")
    found = files.read_json(paths.MONITORED)
    control = [one for one in found["windows"] if one["kind"] == "control"]
    assert [one["drift"] for one in control] == [False] * len(control)
    production = [one for one in found["windows"] if one["kind"] == "production"]
    assert any(one["drift"] for one in production)
    told = " ".join(sentence for one in production for sentence in one["sentences"])
    assert "the pictures look different to the network (embedding" in told
    assert judgement.words(production[0])

"""Files of the user's own: loading them, and each kind through the stages that it touches."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from conftest import ROOT, SMALL, purchases

from pipeline import extensions, paths
from pipeline.config import NormalizeParams
from pipeline.data import arrays, cleaning, own_steps, preprocessing
from pipeline.data.checking import Checker, Notes
from pipeline.data.engine import ROW_ID, engine, read
from pipeline.data.frozen import Frozen
from pipeline.data.schema import Column, Schema
from pipeline.errors import UserError
from pipeline.evaluation import intervals, own
from pipeline.evaluation.metrics import METRICS
from pipeline.models.answers import Answers

EXAMPLES = {
    "cleaning": "extensions/cleaning/household.py",
    "encoders": "extensions/encoders/gated.py",
    "metrics": "extensions/metrics/profit.py",
    "loader": "extensions/loader/load.py",
}


@pytest.fixture
def put(workspace: Path):
    """Write a file of the user's and return its path: `put("metrics", "lower_is_better = ...")`."""

    def write(folder: str, text: str, name: str = "mine") -> str:
        path = Path("extensions", folder, f"{name}.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    return write


def failing(text: str):
    return pytest.raises(UserError, match=re.escape(text))


# -- a file


@pytest.mark.parametrize("path", ["mine.py", "extensions/mine.py", "extensions/cleaning/mine.py", "extensions/metrics/mine.txt"])
def test_a_file_elsewhere_is_refused_since_no_stage_would_see_it_change(put, path):
    put("metrics", "")
    with failing(f"evaluate.metrics: expected a Python file of extensions/metrics/, where a change of it is seen by the stages that read "
                 f"it, got {path}"):  # fmt: skip
        extensions.place("evaluate.metrics", path, "metrics")
    for path in ("/extensions/metrics/mine.py", "extensions/metrics/../metrics/mine.py"):
        with failing("expected a Python file of extensions/metrics/"):
            extensions.place("evaluate.metrics", path, "metrics")


def test_a_file_that_is_not_there_is_told_with_those_that_are(put):
    put("metrics", "", "profit")
    with failing("evaluate.metrics: no such file extensions/metrics/profits.py; extensions/metrics/ holds extensions/metrics/profit.py"):
        extensions.place("evaluate.metrics", "extensions/metrics/profits.py", "metrics")


def test_mistakes_in_a_file_are_told_with_its_line(put):
    file = Path(put("metrics", "def other():\n    return 1\n"))
    with failing(f"{file}: expected a function metric(true); functions there: other"):
        extensions.load(file, "metric", "metric(true)")
    file = Path(put("metrics", "import os\n\ndef metric(:\n"))
    with failing(f"{file}:3: it raised SyntaxError"):
        extensions.load(file, "metric", "metric(true)")
    file = Path(put("metrics", "def metric(true):\n    low = 0\n    return true / low\n"))
    with failing(f"{file}:3: metric() raised ZeroDivisionError: division by zero  [return true / low]"):
        extensions.load(file, "metric", "metric(true)")(1)
    with failing(f"{file}:1: expected clean(table, x), got metric(true)"):
        extensions.load(file, "metric", "clean(table, x)", given=2)


def test_a_changed_file_is_read_anew_and_leaves_nothing_compiled(put):
    file = Path(put("metrics", "VALUE = 1\n"))
    assert extensions.run(file).VALUE == 1
    assert extensions.run(file) is extensions.run(file)
    put("metrics", "VALUE = 2\n")
    assert extensions.run(file).VALUE == 2
    assert [one.name for one in file.parent.iterdir()] == ["mine.py"]


def test_a_dataclass_in_a_file_finds_its_module(put):
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n\n@dataclass\nclass Price:\n    call: float = 3.0\n"
    assert extensions.run(Path(put("metrics", text))).Price().call == 3.0


# -- metrics

HEAD = "lower_is_better = False\n\n\n"
ACCURACY = HEAD + 'def metric(true, predicted):\n    """Share of right answers."""\n    return {}\n'


def outputs(rows: int = 200, seed: int = 0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, rows)
    return y, np.clip(0.3 * y + rng.uniform(0, 0.7, rows), 0, 1), rng.integers(0, 40, rows)


def measured(path: str, y, probability, groups, answers: Answers | None = None):
    (found,) = own.load([path], "binary")
    metrics = [*METRICS["binary"], found.of(answers or Answers("binary"), ("no", "yes"))]
    return intervals.bootstrap("binary", y, {"network": probability}, groups, replicates=200, seed=1, metrics=metrics).models["network"]


@pytest.mark.parametrize("formula", ["true == predicted", "(true == predicted).mean()"])
def test_a_number_a_row_and_one_for_all_rows_have_the_value_and_the_interval_of_the_same_built_in_metric(put, formula):
    found = measured(put("metrics", ACCURACY.format(formula)), *outputs())
    assert found["mine"].value == pytest.approx(found["accuracy"].value)
    assert (found["mine"].low, found["mine"].high) == pytest.approx((found["accuracy"].low, found["accuracy"].high))
    assert found["mine"].low < found["mine"].value < found["mine"].high


def test_a_metric_gets_probabilities_and_weights_where_it_names_them(put):
    text = HEAD + (
        "import numpy as np\n\ndef metric(true, probability, weight):\n"
        '    """Brier score."""\n    return np.average((probability - (true == "yes")) ** 2, weights=weight)\n'
    )
    found = measured(put("metrics", text), *outputs())
    assert found["mine"].value == pytest.approx(found["brier"].value)
    assert (found["mine"].low, found["mine"].high) == pytest.approx((found["brier"].low, found["brier"].high))


def test_a_metric_sees_the_answers_that_the_threshold_gives(put):
    y, probability, groups = outputs()
    path = put("metrics", ACCURACY.format('predicted == "yes"'))
    assert measured(path, y, probability, groups, Answers("binary", threshold=0.9))["mine"].value == np.mean(probability >= 0.9)


def test_a_value_that_is_not_defined_is_nan_and_no_failure(put):
    found = measured(put("metrics", ACCURACY.format('(true[predicted == "never"] == "yes").sum() / np.sum(true == "never")').replace(
        "def", "import numpy as np\n\ndef")), *outputs())["mine"]  # fmt: skip
    assert np.isnan(found.value)
    assert found.undefined == 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('def metric(true, predicted):\n    """Told."""\n', "expected lower_is_better = True or False beside metric(), got None"),
        (HEAD + "def metric(true, predicted):\n    return 1\n", "mine.py:4: expected a docstring in metric()"),
        (HEAD + 'def metric(y, predicted):\n    """Told."""\n', "mine.py:4: expected metric(true, predicted), with further arguments"),
        (HEAD, "expected a function metric(true, predicted)"),
    ],
)
def test_a_metric_that_lacks_something_is_refused_before_anything_is_measured(put, text, message):
    with failing(message):
        own.load([put("metrics", text)], "binary")


@pytest.mark.parametrize("name", ["auc", "cost", "my-metric"])
def test_a_metric_is_called_as_its_file_which_must_be_free(put, name):
    with failing(f"the metric would be called {name}, a name that is taken or has signs"):
        own.load([put("metrics", ACCURACY.format(1), name)], "binary")


@pytest.mark.parametrize(
    ("formula", "came"), [("(true == predicted)[:5]", "an array of shape (5,)"), ("None", "NoneType"), ('"high"', "str"), ("{}", "dict")]
)
def test_a_metric_that_returns_something_else_is_told_what_was_expected(put, formula, came):
    with failing(f"mine.py:4: expected metric() to return a number, or one for each of the 200 rows, got {came}"):
        measured(put("metrics", ACCURACY.format("{}").format(formula) if formula != "{}" else ACCURACY.replace("{}", "{}")), *outputs())


def test_numbers_have_no_probability(put):
    (found,) = own.load([put("metrics", HEAD + 'def metric(true, probability):\n    """Told."""\n    return 0.0\n')], "regression")
    with failing("metric() asks for probability, which there is none of for numbers; there are true, predicted"):
        found.of(Answers("regression"), ())(np.ones(3), np.ones(3))


# -- cleaning

KINDS = {"customer": "id", "age": "number", "income": "number", "city": "category", "member": "boolean", "since": "datetime"}
STEP = "import ibis\n\n\ndef clean(table):\n    return {}\n"


def schema() -> Schema:
    columns = [Column(name, "text", kind, "") for name, kind in KINDS.items()]
    return Schema((*columns, Column("bought", "text", "category", "target")), "bought", "binary", None, ("",))


def raw_rows() -> pd.DataFrame:
    frame = purchases(120)
    texts = frame.assign(since=frame["since"].dt.strftime("%Y-%m-%d")).astype("string")
    return texts.assign(**{ROW_ID: [f"{at:04d}-0" for at in range(len(texts))]})


def applied(backend, steps: list[str], frame: pd.DataFrame | None = None):
    table = backend.create_table("raw", pa.Table.from_pandas(raw_rows() if frame is None else frame, preserve_index=False), overwrite=True)
    typed, loaded = cleaning.clean(table, schema()), own_steps.load(steps)
    found, told = own_steps.applied(typed, schema(), loaded)
    own_steps.check_alone(backend, typed, loaded, told)
    return found, told


def test_steps_change_and_add_columns_each_with_its_kind_and_what_it_is_made_of(put):
    first = put("cleaning", STEP.format("table.mutate(age=table.age + 1, young=table.age < 30, day=table.since.date())"), "first")
    second = put(
        "cleaning", STEP.format('table.mutate(older=table.age * 2, place=table.city.upper() + "!").fill_null({"place": "?"})'), "second"
    )
    with engine() as backend:
        found, told = applied(backend, [first, second])
        frame = backend.to_pandas(found).set_index(ROW_ID)
    rows = raw_rows().set_index(ROW_ID).loc[frame.index]
    age = rows["age"].astype(float)
    assert frame["age"].tolist() == (age + 1).tolist()
    assert frame["older"].tolist() == (2 * (age + 1)).tolist()  # a step sees what the one before it made
    assert frame["young"].tolist() == (age < 30).tolist()
    assert frame["place"].tolist() == [value.upper() + "!" if isinstance(value, str) else "?" for value in rows["city"]]
    made = {column.name: (column.kind, column.reads, column.reason) for column in told.columns if column.sql}
    assert made == {
        "age": ("number", ("age",), f"; changed by {first}"),
        "young": ("boolean", ("age",), f"made by {first}"),
        "day": ("datetime", ("since",), f"made by {first}"),
        "older": ("number", ("age",), f"made by {second}"),
        "place": ("category", ("city",), f"made by {second}"),
    }
    assert Schema.from_json(told.to_json()) == told


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("table.mutate(far=table.age - table.age.mean())", "far: mean looks at other rows"),
        ("table.mutate(at=ibis.row_number())", "looks at other rows"),
        ("table.mutate(before=table.age.lag())", "before: "),
        ("table.mutate(known=table.city.isin(table.view().city))", "looks at other rows"),
        ("table.filter(table.age > 30)", "filter is not row by row: expected columns added or changed by table.mutate(...)"),
        ("table.distinct()", "distinct is not row by row"),
        ("table.order_by('age')", "sort is not row by row"),
        ("table.group_by('city').aggregate(rows=table.count())", "aggregate is not row by row"),
        ("table.mutate(part=table.city.split(' ').unnest())", "unnest makes several rows of one"),
        ("table.mutate(luck=ibis.random())", "luck: randomscalar gives another value each time it is asked"),
        ("table.mutate(now=ibis.now())", "gives another value each time it is asked"),
        ("table.mutate(low=lower(table.city))", "low: lower is a function of Python, which SQL cannot ask"),
        ("table.mutate(luck=luck())", "the engine cannot compute it"),
        ("table.mutate(when=asked())", "a value must depend on its own row alone"),
        ("table.mutate(age=table.age.cast('string'))", "age: a changed column keeps its type, expected float64, got string"),
        ("table.drop('city')", "the column city is lost"),
        ("table.mutate(bought=table.bought.upper())", "bought is what the task is about"),
        ("table.mutate(both=ibis.array([table.age, table.income]))", "both: expected a number, text, true or false, or a time"),
        ("table.mutate(__side__=table.age)", "__side__: names with two underscores are the pipeline's own"),
        ("table", "the table came back as it was"),
        ("table.age", "expected clean() to return a table, got FloatingColumn"),
        ("table.mutate(x=table.ages)", "mine.py:16: clean() raised AttributeError"),
        ("table.mutate(x=table.ages)", "columns are customer, age, income, city, member, since, bought"),
    ],
)
def test_what_is_not_row_by_row_or_not_repeatable_is_refused(put, formula, message):
    functions = (
        "from datetime import datetime\nimport ibis\n\n@ibis.udf.scalar.python\ndef lower(text: str) -> str:\n    return text.lower()\n\n"
        "@ibis.udf.scalar.builtin(name='random')\ndef luck() -> float: ...\n\n"
        "@ibis.udf.scalar.builtin(name='get_current_timestamp')\ndef asked() -> datetime: ...\n\n\n"
    )
    path = put("cleaning", f"{functions}def clean(table):\n    return {formula}\n")
    with engine() as backend, failing(message):
        applied(backend, [path])


@pytest.fixture
def packaged(put, tmp_path: Path):
    """What serves of a step, beside the raw rows and the arrays that were written for them."""
    path = put(
        "cleaning",
        STEP.format(
            'table.mutate(log=table.age.log(), half=table.age.log() / 2, number=table.city.cast("int64"), income=table.income / 2)'
        ),
    )
    folder = tmp_path / "package"
    with engine() as backend:
        typed = cleaning.clean(backend.create_table("raw", pa.Table.from_pandas(raw_rows(), preserve_index=False)), schema())
        _, told = own_steps.write_with(backend, typed, schema(), own_steps.load([path]), folder / "clean.parquet")
        params = NormalizeParams(rare_category=2)
        without = {"city": "only seen by way of what is made of it", "customer": "an id"}
        fitted = preprocessing.fit(backend, read(backend, folder / "clean.parquet"), told, params, without=without)
        arrays.write(preprocessing.batches(backend, folder / "clean.parquet", fitted, group=None), 120, fitted, folder / "arrays")
        from pipeline.data import reference

        about = reference.take(backend, folder / "clean.parquet", told, fitted)
    import json

    (folder / "preprocessor.json").write_text(fitted.to_json())
    (folder / "schema.json").write_text(told.to_json())
    (folder / "reference.json").write_text(json.dumps(about))
    for name, plain in (("clean", False), ("clean_plain", True)):
        (folder / f"{name}.sql").write_text(preprocessing.frozen_sql(told, fitted, plain=plain))
    shutil.rmtree("extensions")  # which serving does not need
    return folder, fitted


def test_the_frozen_sql_makes_the_columns_of_raw_rows_as_the_stage_did(packaged):
    folder, fitted = packaged
    assert "log" in fitted.columns
    assert "log" not in fitted.raw_columns
    assert fitted.raw_columns.count("age") == 1
    rows = raw_rows().sort_values(ROW_ID).drop(columns=[ROW_ID, "bought"])
    frozen = Frozen(folder)
    written = np.load(folder / "arrays" / "number.npy")
    np.testing.assert_allclose(frozen.prepare(rows)["number"], written)
    for at in (0, 7, 119):
        np.testing.assert_allclose(frozen.prepare(rows.iloc[at : at + 1])["number"], written[at : at + 1])
    with failing("missing column age"):
        frozen.prepare(rows.drop(columns="age"))


def test_a_row_on_which_the_engine_fails_has_the_value_missing_and_is_refused_where_training_had_none(packaged):
    folder, fitted = packaged
    rows = raw_rows().drop(columns=[ROW_ID, "bought"]).head(3)
    rows.loc[rows.index[1], "age"] = "0"  # of which there is no logarithm
    frozen, notes = Frozen(folder), Notes()
    checker = Checker(folder, fitted)
    found = frozen.prepare(rows, look=lambda raw, clean, odd, at: checker.look(raw, clean, odd, notes, first=at))["number"]
    assert len(found) == 3
    assert notes.refused == {1: [f"{name} cannot be made of age, which it always could in training" for name in ("log", "half")]}


def test_clean_writes_what_a_step_makes_and_leaves_the_folder_alone_where_it_fails(small, put, write_params):
    from pipeline.commands.stages import run_stage
    from pipeline.params_file import load

    path = put("cleaning", (ROOT / EXAMPLES["cleaning"]).read_text(), "household")
    write_params(clean={"steps": [path]})
    run_stage("collect", load(paths.PARAMS))
    run_stage("clean", load(paths.PARAMS))
    rows = pd.read_parquet(paths.CLEAN / paths.ROWS)
    assert rows["income_by_age"].tolist() == pytest.approx((rows["income"] / (rows["age"] - 17)).tolist(), nan_ok=True)
    assert set(rows["age_group"]) == {"young", "middle", "old"}
    page = (paths.REPORTS / "clean" / "index.html").read_text()
    assert f"made by {path}" in page
    put("cleaning", "def clean(table):\n    return table.limit(3)\n", "household")
    with failing(f"{path}:1: limit is not row by row"):
        run_stage("clean", load(paths.PARAMS))
    assert pd.read_parquet(paths.CLEAN / paths.ROWS).equals(rows)


# -- encoders

ENCODER = "import keras\nfrom keras import layers, ops\n\n\ndef encode(x, *, units=4):\n    return {}\n"
LAYER = (
    "import keras\nfrom keras import layers, ops\n\n\nclass Scaled(layers.Layer):\n    def __init__(self, by, **more):\n"
    "        super().__init__(**more)\n        self.by = {by}\n\n    def call(self, x):\n        return x * self.by.value\n\n\n"
    "class Factor:\n    def __init__(self, value):\n        self.value = value\n\n\n"
    "def encode(x):\n    return layers.Dense(4)(Scaled(Factor(2.0))(x))\n"
)


def network(path: str, kind: str = "table", task: str = "binary", of: str | None = None, **keys):
    sys.path.insert(0, str(ROOT / "tests" / "models"))
    import toys

    from pipeline.config import ModelParams
    from pipeline.models.build import build

    params = {"layers": 1, "width": 8, "bins": 4, "embedding": 2, "encoder": {of or kind: path}} | keys
    return build(toys.fitted(kind, task), ModelParams(**params), seed=1), toys.rows(kind, task)[0]


READING = {
    "table": "layers.Dense(units)(x)",
    "image": "layers.Dense(units)(layers.GlobalAveragePooling2D()(x))",
    "audio": "layers.GRU(units)(x)",
    "text": "layers.Dense(units)(ops.sum(x * ops.cast(mask, x.dtype)[:, :, None], axis=1))",
    "sequence": "layers.Dense(units)(ops.sum(x * ops.cast(mask, x.dtype)[:, :, None], axis=1))",
    "series": "layers.Dense(units)(layers.Flatten()(x))",
}


@pytest.mark.parametrize("kind", READING)
def test_an_encoder_reads_every_kind_of_input_and_is_the_same_again_after_saving(put, kind, tmp_path):
    import keras

    from pipeline.models.build import save

    text = ENCODER.replace("encode(x,", "encode(x, mask,") if "mask" in READING[kind] else ENCODER
    path = put("encoders", text.format(READING[kind]))
    made, x = network(path, kind, "forecast" if kind == "series" else "binary", options={"units": 5})
    again, _ = network(path, kind, "forecast" if kind == "series" else "binary", options={"units": 5})
    assert [layer.name for layer in made.layers] == [layer.name for layer in again.layers]
    for a, b in zip(made.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(5 in weight.shape for weight in made.get_weights())  # the setting arrived
    save(made, tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    np.testing.assert_allclose(loaded.predict_on_batch(x), made.predict_on_batch(x), rtol=1e-6)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("ops.stack([x, x], axis=1)", "mine.py:5: expected encode() to return (batch, width), got shape (batch, 2, "),
        ("[x]", "expected encode() to return (batch, width), got list"),
        ("layers.Lambda(lambda y: y * 2)(x)", "is a Lambda, which is not loaded from a saved model"),
        ("layers.Dense(units)(y)", "mine.py:6: encode() raised NameError: name 'y' is not defined  [return layers.Dense(units)(y)]"),
    ],
)
def test_an_encoder_that_returns_something_else_or_fails_is_told_where(put, body, message):
    with failing(message):
        network(put("encoders", ENCODER.format(body)))


def test_a_layer_that_cannot_be_saved_is_found_before_anything_is_trained(put):
    with failing("extensions/encoders/mine.py: the network cannot be loaded once it is saved"):
        network(put("encoders", LAYER.replace("{by}", "by")))


def test_settings_and_kinds_that_nobody_reads_are_told(put):
    path = put("encoders", ENCODER.format("layers.Dense(units)(x)"))
    with failing("model.options.unit: no encoder takes it; theirs are units"):
        network(path, options={"unit": 3})
    with failing("model.encoder.image: the data have no image inputs; theirs are table"):
        network(path, of="image")
    with failing("mine.py:1: expected encode(x, *, units=64)"):
        network(put("encoders", "def encode(inputs, other):\n    return inputs\n"))
    from pydantic import ValidationError

    with pytest.raises(ValidationError, match="encoder: expected one of table, text, image, audio, sequence, series, got tabular"):
        network(path, of="tabular")
    with pytest.raises(ValidationError, match="options are read by an encoder of your own only"):
        network(path, encoder={}, options={"units": 3})


def test_what_a_file_holds_is_part_of_the_key_of_a_training_and_a_change_after_it_is_told(put):
    from pipeline import lineage
    from pipeline.models import own_files

    path = put("encoders", ENCODER.format("x"))
    told = own_files.described({"table": path})
    before = lineage.fingerprint(code=ROOT / "pipeline/errors.py", data=own_files.placed({"table": path}).values(), params={})
    assert own_files.trained(told) == {"table": Path(path)}
    put("encoders", ENCODER.format("x * 2"))
    assert lineage.fingerprint(code=ROOT / "pipeline/errors.py", data=own_files.placed({"table": path}).values(), params={}) != before
    with failing(f"{path}: was changed since the network was trained with it; train again"):
        own_files.trained(told)


def test_a_file_that_was_not_committed_is_part_of_what_a_run_keeps_of_the_code(put):
    from pipeline import patches

    for words in (["init", "-q"], ["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "--allow-empty", "-m", "start"]):
        subprocess.run(["git", *words], check=True)
    put("encoders", ENCODER.format("layers.Dense(units)(x)"))
    assert b"extensions/encoders/mine.py" in patches.of_workspace().content


def test_a_sweep_over_settings_alone_suits_an_encoder_of_ones_own(put):
    from pipeline.config import ModelParams, TuneParams
    from pipeline.tuning import space

    sys.path.insert(0, str(ROOT / "tests" / "models"))
    import toys

    model = ModelParams(encoder={"table": put("encoders", ENCODER.format("x"))})
    assert set(space.space_of(TuneParams(), toys.fitted("table", "binary"), model)) == {"train.learning_rate", "train.weight_decay"}
    assert "model.dropout" in space.space_of(TuneParams(), toys.fitted("mixed", "binary"), model)  # which the other groups read


# -- docs


def test_the_docs_show_the_examples_as_they_are():
    text = (ROOT / "docs" / "extending.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    for path in EXAMPLES.values():
        assert (ROOT / path).read_text() in blocks, path
    for key in ("clean.steps", "model.encoder", "model.options", "evaluate.metrics", "data.source"):
        assert f"`{key}`" in text


# -- a whole run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A repository with one file of each kind, run to the end."""
    from repository import Repository

    made = Repository(tmp_path_factory.mktemp("extended"))
    params = {
        **SMALL,
        "data": {"source": "extensions/loader", "target": "bought"},
        "clean": {"steps": [EXAMPLES["cleaning"]]},
        "model": {**SMALL["model"], "encoder": {"table": EXAMPLES["encoders"]}, "options": {"units": 8}},
        "tune": {"trials": 2, "space": {"model.options.units": {"choice": [4, 8]}}},
        "evaluate": {**SMALL["evaluate"], "metrics": [EXAMPLES["metrics"]]},
        "register": {"name": "own", "require": {"profit": -3.0}},
    }
    made.write_params(params)
    made.output = made.pipeline("run")
    return made


@pytest.mark.slow
def test_one_file_of_each_kind_runs_to_a_package_that_answers_like_the_files(whole, tmp_path):
    from pipeline import fresh

    told = whole.folder / paths.REGISTERED
    assert max(v for v in yaml.safe_load(told.read_text())["skew"].values()) < 1e-6
    package = shutil.copytree(whole.folder / paths.PACKAGE, tmp_path / "package")  # away from the project: the files go with it
    raw = whole.table("data/raw/rows.parquet").drop(columns=[ROW_ID])
    test = whole.table("data/split/test/rows.parquet")[ROW_ID]
    rows = whole.table("data/raw/rows.parquet").set_index(ROW_ID).loc[test].reset_index(drop=True)
    expected = np.load(whole.folder / paths.OUTPUTS)
    answer = fresh.predictions(package, rows[["income", "age", "member", "since", "city"]])
    np.testing.assert_allclose(answer["probability of yes"], expected, atol=1e-6)
    assert len(raw) == 400
    found = yaml.safe_load((whole.folder / "reports/evaluate/intervals.json").read_text())
    profit = found["models"]["network"]["profit"]
    answered = np.where(answer["prediction"] == "yes", np.where(rows["bought"] == "yes", 7.0, -3.0), 0.0)
    assert profit["value"] == pytest.approx(answered.mean())
    assert profit["low"] <= profit["value"] <= profit["high"]
    assert found["higher_is_better"]["profit"] is True
    assert "Euro earned a customer" in found["meanings"]["profit"]
    assert "profit" in found["differences"]["boosting"]


@pytest.mark.slow
def test_a_changed_file_makes_the_stages_that_read_it_run_again_and_no_others(whole):
    def stale() -> set[str]:
        lines = whole.dvc("status").stdout.splitlines()
        return {line.rstrip(":") for line in lines if line and not line[0].isspace() and line.endswith(":")}

    assert stale() == set()
    for folder, stages in (
        ("cleaning", {"clean"}),
        ("encoders", {"tune", "train", "evaluate", "register"}),
        ("metrics", {"evaluate", "register"}),
    ):
        file = whole.folder / EXAMPLES[folder]
        before = file.read_text()
        file.write_text(before + "# changed\n")
        assert stale() == stages
        file.write_text(before)


@pytest.mark.slow
def test_a_package_whose_encoder_was_changed_is_refused(whole, tmp_path):
    package = shutil.copytree(whole.folder / paths.PACKAGE, tmp_path / "package")
    with (package / "artifacts" / "files" / "encoder_table.py").open("a") as file:
        file.write("# changed\n")
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "predict", "rows.csv", "--model", str(package)], cwd=whole.folder, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "encoder_table.py was changed since it was packaged" in done.stderr

"""A package as an ONNX file: it answers as the package does, or there is no file."""

from __future__ import annotations

import json
import shutil
from contextlib import chdir
from dataclasses import asdict, replace
from math import erfc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import toys
import yaml
from conftest import SMALL, purchases
from package_files import packed

from pipeline import paths
from pipeline.commands.stages import run_stage
from pipeline.config import ModelParams
from pipeline.data.fitted import Preprocessor, Target
from pipeline.errors import UserError
from pipeline.exporting import comparing, conversion, writing
from pipeline.exporting import graph as module
from pipeline.imports import HOME, closure
from pipeline.models import heads
from pipeline.models.answers import Answers
from pipeline.models.build import build, save, serving
from pipeline.models.families import TAKES
from pipeline.params_file import load
from pipeline.predict import Model
from pipeline.training import ensembling

LEARNT = Answers("binary", "temperature", temperature=1.7, threshold=0.55)

STUB = """
from pathlib import Path
import keras, numpy as np
import pipeline.models.layers
from pipeline.data.fitted import Preprocessor
from pipeline.models import heads
from pipeline.models.answers import Answers

class Model:
    def __init__(self, files):
        self.files = files
        self.fitted = Preprocessor.from_json((files / "preprocessor.json").read_text())
        self.answers = Answers.read(files / "answers.json")
        self.network = keras.models.load_model(files / "model.keras", compile=False, safe_mode=True)

    def _asked(self, inputs):
        return self.network.predict_on_batch(inputs)

    def outputs(self, rows):
        found = heads.predictions(self._asked(dict(np.load(self.files / "rows.npz"))), self.fitted)
        return found if self.fitted.forecast else self.answers.calibrated(found)
"""


def carried(package: Path) -> Path:
    """The package's code, and the folder of its files."""
    for file in closure(HOME / "predict.py", HOME / "pyfunc.py"):
        target = package / "code" / "pipeline" / file.relative_to(HOME)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    files = package / "artifacts" / "files"
    files.mkdir(parents=True)
    return files


def shaken(network):
    """Weights as after a training: none are zeros."""
    rng = np.random.default_rng(0)
    for weight in network.trainable_weights:
        weight.assign(weight + 0.2 * rng.normal(size=weight.shape).astype("float32"))
    return network


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A package of the small table, without a run and without MLflow."""
    workspace = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch, chdir(workspace):
        for name in ("DVC_ROOT", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI", "PIPELINE_STATE"):
            patch.delenv(name, raising=False)
        purchases().to_csv("rows.csv", index=False)
        Path("params.yaml").write_text(yaml.safe_dump(SMALL))
        for stage in ("collect", "clean", "split", "normalize"):
            run_stage(stage, load(paths.PARAMS))
        fitted = Preprocessor.from_json(paths.PREPROCESSOR.read_text())
        network = build(fitted, ModelParams(layers=1, width=8, bins=4, embedding=2, members=2), seed=1)
        packed(carried(workspace / "package"), fitted, serving(shaken(network)), LEARNT)
    example = {"columns": list(purchases().columns), "data": json.loads(purchases().head(5).to_json(orient="values", date_format="iso"))}
    (workspace / "package" / "input_example.json").write_text(json.dumps(example))
    return workspace / "package"


@pytest.fixture(scope="module")
def exported(package, tmp_path_factory):
    """A file, the report, and what the child left, so that other tests need no child."""
    kept = tmp_path_factory.mktemp("kept") / "folder"
    real, told = writing.converted, []

    def keeping(package, libraries, rows, folder):
        told.append(real(package, libraries, rows, folder))
        shutil.copytree(folder, kept)
        return told[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writing, "converted", keeping)
        report = writing.onnx(package, kept.parent / "there" / "model.onnx")
    return SimpleNamespace(file=report.file, report=report, kept=kept, told=told[0])


@pytest.fixture
def changed(package, exported, tmp_path, monkeypatch):
    """Export once more, with what the child left changed by a function of the graph, over a file that is there."""
    import onnx

    def again(change):
        def left(package, libraries, rows, folder):
            shutil.copytree(exported.kept, folder, dirs_exist_ok=True)
            model = onnx.load(folder / "network.onnx")
            change(model.graph)
            onnx.save(model, folder / "network.onnx")
            return exported.told

        monkeypatch.setattr(writing, "converted", left)
        (tmp_path / "model.onnx").write_text("before")
        try:
            return writing.onnx(package, tmp_path / "model.onnx", force=True)
        except UserError:
            assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
            assert (tmp_path / "model.onnx").read_text() == "before"
            raise

    return again


def session(file: Path | bytes):
    import onnxruntime

    return onnxruntime.InferenceSession(str(file) if isinstance(file, Path) else file, providers=["CPUExecutionProvider"])


# -- a package


@pytest.mark.slow  # the lock of `make check` has the extra onnx
def test_the_file_answers_as_the_package_does(package, exported):
    model = Model(package / "artifacts" / "files")
    rows = purchases(60, seed=3)
    rows["age"] = rows["age"].clip(30, 60)
    rows.loc[:2, "city"] = "Atlantis"
    told = model.predict(rows)
    inputs = {name: block for name, block in model.prepare(rows).items() if name in model.inputs}
    probabilities, codes = session(exported.file).run(["probabilities", "class"], inputs)
    np.testing.assert_allclose(probabilities, told[["probability of no", "probability of yes"]].to_numpy(), atol=1e-6)
    assert list(np.array(["no", "yes"])[codes]) == list(told["prediction"])
    assert set(told["prediction"]) == {"no", "yes"}, np.sort(probabilities[:, 1])
    assert [file.name for file in exported.file.parent.iterdir()] == ["model.onnx"]


@pytest.mark.slow  # the lock of `make check` has the extra onnx
def test_the_comparison_covers_the_edges_in_several_batch_sizes(exported):
    by_case = {}
    for case, count in exported.told["cases"]:
        by_case.setdefault(case, []).append(count)
    assert by_case == {
        "the rows given": [1, 2, 5],
        "rows of which all is missing": [1, 2, 5],
        "inputs of zeros (unseen categories, no words, no steps)": [1, 2, 7],
        "drawn inputs": [1, 2, 7, 64],
        "drawn inputs far out": [1, 2, 7, 64],
    }
    assert exported.report.differences.keys() == by_case.keys()
    assert max(exported.report.differences.values()) < comparing.TOLERANCE
    with np.load(exported.kept / f"{exported.told['cases'].index(['drawn inputs', 64])}.npz") as blocks:
        assert (blocks["input category"] == 0).any()
        assert len(np.unique(blocks["arr_0"])) == 64
    assert str(exported.report).startswith(f"{exported.file}: category, number -> probabilities, class, 0.1 MB; at most ")


@pytest.mark.slow  # the lock of `make check` has the extra onnx
def test_the_file_says_what_it_is(package, exported):
    found = session(exported.file)
    assert [(each.name, each.shape[0]) for each in (*found.get_inputs(), *found.get_outputs())] == [
        (name, "batch") for name in ("category", "number", "probabilities", "class")
    ]
    told = found.get_modelmeta().custom_metadata_map
    fitted = Preprocessor.from_json(told["preprocessor.json"])
    assert fitted == Preprocessor.from_json((package / "artifacts" / "files" / "preprocessor.json").read_text())
    assert json.loads(told["answers.json"])["temperature"] == LEARNT.temperature
    assert (json.loads(told["classes"]), json.loads(told["targets"]), told["task"]) == (["no", "yes"], ["bought"], "binary")
    inputs = json.loads(told["inputs"])
    assert inputs["number"]["columns"][:2] == ["age", "income"]
    assert inputs["number"]["shape"] == ["batch", len(fitted.numbers)] == ["batch", len(inputs["number"]["columns"])]
    assert inputs["category"]["columns"] == ["city"]
    assert len(told["package"]) == 16


@pytest.mark.slow  # the lock of `make check` has the extra onnx
def test_one_weight_moved_is_refused(changed):
    def moved(graph):
        from onnx import numpy_helper

        largest = max(graph.initializer, key=lambda each: np.prod(each.dims) if each.data_type == 1 else 0)
        values = numpy_helper.to_array(largest).copy()
        values.flat[np.abs(values).argmax()] += 0.01
        largest.CopyFrom(numpy_helper.from_array(values, largest.name))

    assert str(changed(lambda graph: None)).endswith("from the package's answers")
    with pytest.raises(
        UserError, match=r"answers otherwise for .* in a batch of \d+: row \d+ differs by .*e-0\d of .*; no file is written"
    ):
        changed(moved)


@pytest.mark.slow  # the lock of `make check` has the extra onnx
def test_unseen_categories_as_tf2onnx_converts_them_are_refused(changed, monkeypatch):
    monkeypatch.setattr(module, "_mend", lambda graph: None)  # without which -1 lights the last token
    with pytest.raises(UserError, match=r"answers otherwise for .* in a batch of \d+: row \d+ differs by"):
        changed(lambda graph: None)


@pytest.mark.slow  # the lock of `make check` has the extra onnx
@pytest.mark.parametrize("wrong", [{"temperature": 1.0}, {"method": "none"}, {"threshold": 0.3}], ids=str)
def test_answers_by_another_rule_than_the_package_s_are_refused(wrong, changed, monkeypatch):
    classes = module._classes
    monkeypatch.setattr(module, "_classes", lambda tail, x, fitted, by: classes(tail, x, fitted, replace(by, **wrong)))
    with pytest.raises(UserError, match=r"answers otherwise for the rows given in a batch of \d: row \d differs by"):
        changed(lambda graph: None)


@pytest.mark.slow  # the lock of `make check` has the extra onnx
def test_a_fixed_batch_size_is_refused(changed):
    def fixed(graph):
        from onnx import helper, numpy_helper

        zeros = np.zeros((7, 1), "float32")
        graph.initializer.append(numpy_helper.from_array(zeros, "zeros"))
        graph.node.append(helper.make_node("Add", [graph.output[0].name, "zeros"], ["added"]))
        graph.output[0].name = "added"

    with pytest.raises(UserError, match=r"other numbers of answers for the rows given in a batch of 1: .*'class': 7"):
        changed(fixed)


@pytest.mark.slow  # the lock of `make check` has the extra onnx
def test_an_operator_that_onnx_lacks_is_named(changed):
    def unknown(graph):
        next(node for node in graph.node if node.op_type == "MatMul").op_type = "Betainc"

    with pytest.raises(UserError, match="its network cannot become ONNX, which has no Betainc"):
        changed(unknown)


@pytest.mark.slow  # the lock of `make check` has the extra onnx
def test_a_file_that_cannot_be_loaded_is_refused(changed):
    def broken(graph):
        next(node for node in graph.node if node.op_type == "MatMul").input[0] = "nowhere"

    with pytest.raises(UserError, match="onnxruntime cannot load its network"):
        changed(broken)


@pytest.mark.slow  # the lock of `make check` has the extra onnx
def test_what_the_package_says_of_itself_is_passed_on(package, tmp_path):
    shutil.copytree(package, tmp_path / "package")
    (tmp_path / "package" / "artifacts" / "files" / "answers.json").write_text(Answers("binary").to_json())
    with pytest.raises(UserError, match=r"answers\.json was changed since it was packaged"):
        writing.onnx(tmp_path / "package", tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


# -- what needs no conversion


def test_missing_libraries_are_told_with_what_to_install(package, tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "LIBRARIES", ("json", "no_such_library"))
    with pytest.raises(UserError, match=r'an export to ONNX needs no_such_library: pip install "experiment-pipeline\[onnx\]"'):
        writing.onnx(package, tmp_path / "model.onnx")


def test_names_are_checked_before_anything_runs(package, tmp_path):
    with pytest.raises(UserError, match=r"expected a name that ends in \.onnx"):
        writing.onnx(package, tmp_path / "model.h5")
    (tmp_path / "there.onnx").write_text("before")
    with pytest.raises(UserError, match="is there already; --force replaces it"):
        writing.onnx(package, tmp_path / "there.onnx")
    with pytest.raises(UserError, match="expected the folder of a model package"):
        writing.onnx(tmp_path, tmp_path / "model.onnx")


def test_a_class_that_the_rule_does_not_give_is_an_infinite_difference():
    p = np.array([[0.7, 0.2, 0.1], [0.4, 0.4, 0.2]])
    plain = Answers("multiclass")
    assert comparing._missed(p, np.array([0, 0]), plain).max() == 0
    assert comparing._missed(p, np.array([0, 1]), plain)[:, 0].tolist() == [0, np.inf]
    costs = replace(plain, costs=((0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0)))
    assert comparing._missed(p, np.array([0, 1]), costs).max() == 0  # the costs are equal
    assert comparing._missed(p, np.array([2, 1]), costs)[:, 0].tolist() == [np.inf, 0]


def test_the_scale_of_a_number_is_a_deviation_of_what_the_network_learns():
    y = np.array([10.0, 11.0, 30.0])
    assert comparing._scale(y, Target("y", mean=10.0, std=2.0)).tolist() == [2.0, 2.0, 20.0]
    step = 1e-6  # of the learnt scale
    for logs in (0.5, 1.9):  # within a deviation of the center
        ends = heads.units(np.array([(logs - LOG.center) / LOG.scale, (logs - LOG.center) / LOG.scale + step]), replace(LOG, largest=1e9))
        np.testing.assert_allclose(np.diff(ends) / step, comparing._scale(ends[:1], LOG), rtol=1e-4)


# -- what is put behind a network

RISING = tuple(np.sort(np.random.default_rng(0).uniform(0, 1, 12)).tolist())
BINS = {"edges": (5.0, 9.0, 12.0), "low": (-1.0, -2.0, -3.0, -4.0), "high": (0.5, 1.0, 2.0, 3.0)}
COSTS = ((0.0, 1.0, 9.0), (2.0, 0.0, 1.0), (1.0, 5.0, 0.0))
LOG = Target("y", mean=10.0, std=2.0, transform="log", unit=2.0, center=0.5, scale=1.5, largest=3.0)
PLAIN = replace(LOG, transform="none")
WAYS = {
    "plain": Answers("binary"),
    "tempered": LEARNT,
    "sharpened": Answers("binary", "temperature", temperature=0.3),
    "isotonic": Answers("binary", "isotonic", knots=RISING, levels=(0.1, 0.1, *RISING[2:]), threshold=0.6),
    "one knot": Answers("binary", "isotonic", knots=(0.4,), levels=(0.3,)),
    "classes": Answers("multiclass"),
    "tempered classes": Answers("multiclass", "temperature", temperature=2.5),
    "costs": Answers("multiclass", costs=COSTS),
    "numbers": Answers("regression"),
    "intervals": Answers("regression", **BINS),
    "one interval": Answers("regression", low=(-1.0,), high=(2.0,)),
    "steps": Answers("forecast", low=((-1.0, -2.0),) * 3, high=((1.0, 0.5),) * 3),
}
NUMBERS = ("numbers", "intervals", "one interval", "steps")


@pytest.mark.slow  # the lock of `make check` has the extra onnx
@pytest.mark.parametrize(("way", "target"), [(way, None) for way in WAYS] + [(way, to) for way in NUMBERS for to in (LOG, PLAIN)])
def test_answers_in_the_graph_are_those_of_the_package(way, target, tmp_path):
    from onnx import TensorProto, helper

    by = WAYS[way]
    fitted = toys.fitted("series" if by.task == "forecast" else "table", by.task)
    if target and by.task == "forecast":
        fitted = replace(fitted, forecast=replace(fitted.forecast, targets=(fitted.forecast.targets[0], target)))
    elif target:
        fitted = replace(fitted, target=target)
    shape = {"multiclass": (3,), "forecast": (toys.HORIZON, 2)}.get(by.task, (1,))
    raw = np.random.default_rng(1).normal(0, 3, (200, *shape)).astype("float32")
    if by.task == "binary":
        raw = np.concatenate([1 / (1 + np.exp(-4 * raw)), [[0.0], [1.0], [0.5], [np.nextafter(1, 0, dtype="float32")]]]).astype("float32")
        raw = np.concatenate([raw, np.float32(by.knots)[:, None]])
    if by.task == "multiclass":
        raw = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    members = np.stack([raw, raw], axis=1)
    for given in (raw, members):
        place = ["n", *given.shape[1:]]
        graph = helper.make_graph(
            [helper.make_node("Identity", ["number"], ["raw"])],
            "network",
            [helper.make_tensor_value_info("number", TensorProto.FLOAT, place)],
            [helper.make_tensor_value_info("raw", TensorProto.FLOAT, place)],
        )
        opset = helper.make_opsetid("", conversion.OPSET)
        (tmp_path / "network.onnx").write_bytes(helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())
        (tmp_path / "artifacts" / "files").mkdir(parents=True, exist_ok=True)
        (tmp_path / "artifacts" / "files" / "preprocessor.json").write_text(fitted.to_json())
        told = {"rank": given.ndim, "far": heads.FAR}
        asked = session(module.whole(tmp_path / "network.onnx", tmp_path, fitted, by, told))
        found = dict(zip([each.name for each in asked.get_outputs()], asked.run(None, {"number": given}), strict=True))
        expected = heads.predictions(given, fitted)
        if by.task in ("binary", "multiclass"):
            expected = by.calibrated(expected)
            mine = found["probabilities"][:, 1] if by.task == "binary" else found["probabilities"]
            np.testing.assert_allclose(mine, expected, rtol=1e-9, atol=1e-12)
            np.testing.assert_array_equal(found["class"], by.decide(expected))
            assert len(np.unique(found["class"])) > 1 or way == "one knot"
        else:
            np.testing.assert_allclose(found["prediction"], expected, rtol=1e-9, atol=1e-12)
            assert ("low" in found) == bool(by.low)
            for name, end in zip(("low", "high"), by.between(expected) or (), strict=False):
                np.testing.assert_allclose(found[name], end, rtol=1e-9, atol=1e-9)
        assert [each.shape for each in asked.get_outputs()] == [["batch", *values.shape[1:]] for values in found.values()]


def alone(kind: str, inputs: list[np.ndarray], *, mended: bool = True, **attributes):
    """What one node answers."""
    from onnx import TensorProto, helper, numpy_helper

    names = [f"in_{at}" for at in range(len(inputs))]
    graph = helper.make_graph(
        [helper.make_node(kind, names, ["out"], name="asked", **attributes)],
        "one",
        [],
        [helper.make_tensor_value_info("out", attributes.get("out_type", TensorProto.FLOAT), None)],
        [numpy_helper.from_array(values, name) for values, name in zip(inputs, names, strict=True)],
    )
    if mended:
        module._mend(graph)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", conversion.OPSET)], ir_version=8)
    return session(model.SerializeToString()).run(None, {})[0]


@pytest.mark.slow  # the lock of `make check` has the extra onnx
@pytest.mark.parametrize(("kind", "meant"), [("Erfc", np.vectorize(erfc)), ("Expm1", np.expm1), ("Log1p", np.log1p)])
def test_operators_that_tf2onnx_leaves_are_written_with_onnx_s(kind, meant):
    x = np.linspace(-0.9, 3, 50).astype("float32")
    np.testing.assert_allclose(alone(kind, [x]), meant(x), rtol=1e-6, atol=2e-7)


@pytest.mark.slow  # the lock of `make check` has the extra onnx
@pytest.mark.parametrize(("kind", "side"), [("LowerBound", "left"), ("UpperBound", "right")])
def test_places_among_sorted_values_are_those_of_numpy(kind, side):
    bounds = np.array([[-1.0, 0.0, 0.0, 2.0], [0.0, 1.0, 2.0, 3.0]], "float32")
    x = np.array([[-2.0, 0.0, 1.0], [3.0, 4.0, -1.0]], "float32")
    found = alone(kind, [bounds, x], out_type=6)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, [np.searchsorted(b, row, side) for b, row in zip(bounds, x, strict=True)])


@pytest.mark.slow  # the lock of `make check` has the extra onnx
def test_a_code_below_0_lights_nothing():
    inputs = [np.array([0, -1, 2, 5], "int64"), np.array(3, "int64"), np.array([0, 1], "float32")]
    meant = [[1, 0, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0]]
    np.testing.assert_array_equal(alone("OneHot", inputs), meant)
    assert alone("OneHot", inputs, mended=False)[1].tolist() == [0, 0, 1]  # which is why


# -- every kind of network


def toy(folder: Path, fitted: Preprocessor, by: Answers, kind: str, network) -> Path:
    """A package whose raw rows are prepared already."""
    files = carried(folder)
    (folder / "code" / "pipeline" / "predict.py").write_text(STUB)
    (files / "preprocessor.json").write_text(fitted.to_json())
    (files / "answers.json").write_text(by.to_json())
    rows, _ = toys.rows(kind, by.task, 8)
    np.savez(files / "rows.npz", **rows)
    save(network, files / "model.keras")
    return folder


ANY = pd.DataFrame({"x": range(8), "t": range(8)})
SMALLEST = {"layers": 1, "width": 8, "heads": 2, "bins": 4, "embedding": 2, "kernel": 3}
CASES = [(kind, family, {}) for kind in ("mixed", "series") for family in TAKES]  # mixed: of every kind that a family reads
CASES += [
    ("mixed", "auto", {"members": 2}),
    ("ensemble", "mlp", {"members": 2}),
    ("exogenous", "mlp", {}),
    ("table", "mlp", {"number_encoding": "periodic", "activation": "gelu", "normalization": "batch"}),
    ("sequence", "rnn", {"cell": "gru", "layers": 2, "normalization": "layer"}),
    ("sequence", "transformer", {"patch": 2, "positions": "sinusoidal", "layers": 2}),
    ("series", "rnn", {"channel_mixing": True, "centering": "standardize", "members": 2}),
    ("knots", "mlp", {}),
    ("logs", "cnn", {}),
]


@pytest.mark.slow  # the lock of `make check` has the extra onnx
@pytest.mark.parametrize(("kind", "family", "keys"), CASES, ids=str)
def test_every_kind_of_network_becomes_a_file_that_answers_alike(kind, family, keys, tmp_path):
    series = kind in ("series", "exogenous", "knots", "logs")
    task = "forecast" if series else ("binary", "multiclass", "regression")[(len(kind) + len(family)) % 3]
    toy_kind = {"knots": "series", "logs": "series", "ensemble": "table"}.get(kind, kind)
    fitted = toys.fitted(toy_kind, task)
    if kind == "knots":
        line = {"knots": tuple(np.linspace(-5, 15, 20).tolist()), "ranks": tuple(np.linspace(-2, 2, 20).tolist())}
        fitted = replace(fitted, numbers=tuple(replace(number, **line) for number in fitted.numbers))
    if kind == "logs":
        targets = tuple(replace(target, **{**asdict(LOG), "column": target.column}) for target in fitted.forecast.targets)
        numbers = tuple(replace(number, log=1.5) for number in fitted.numbers)
        fitted = replace(fitted, numbers=numbers, forecast=replace(fitted.forecast, targets=targets))
    model = ModelParams(family=family, **SMALLEST | keys)
    network = serving(shaken(build(fitted, model, seed=1)))
    if kind == "ensemble":
        network = ensembling.mean([network, serving(shaken(build(fitted, model, seed=2)))])
    by = {"binary": LEARNT, "multiclass": WAYS["tempered classes"], "regression": WAYS["intervals"], "forecast": WAYS["steps"]}[task]
    report = writing.onnx(toy(tmp_path / "package", fitted, by, toy_kind, network), tmp_path / "model.onnx", ANY)
    assert set(report.inputs) == {tensor.name for tensor in network.inputs}
    assert max(report.differences.values()) <= comparing.TOLERANCE


@pytest.mark.slow  # the lock of `make check` has the extra onnx
def test_a_network_of_16_bits_is_refused(tmp_path):
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        fitted = toys.fitted("table", "binary")
        folder = toy(tmp_path / "package", fitted, Answers("binary"), "table", build(fitted, ModelParams(**SMALLEST), seed=1))
    finally:
        keras.config.set_dtype_policy(before)
    with pytest.raises(UserError, match=r"cannot become ONNX: it computes in float16, .* train it with train\.precision: float32"):
        writing.onnx(folder, tmp_path / "model.onnx", ANY)
    assert not (tmp_path / "model.onnx").exists()

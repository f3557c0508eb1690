"""A package's network as tf2onnx converts it, in a process of the package's own code, with inputs and answers to compare."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import fresh
from pipeline.errors import UserError

LIBRARIES = ("tf2onnx", "onnx", "onnxruntime")
OPSET = 17  # of 2022: runtimes of all years since know it
NEAR = 1e-6  # of an uncalibrated probability: a steep calibration makes more of it
ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}  # cuDNN's cells have no ONNX

CHILD = """
import json, os, sys, warnings
warnings.filterwarnings("ignore")
package, libraries, rows, out, opset, near = sys.argv[1:]
said = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print shall not stand in what is said
sys.path.insert(0, os.path.join(package, "code"))
sys.path.append(libraries)  # which -I may have left out
doing = "load"

def main():
    global doing
    from pathlib import Path
    import numpy as np, pandas
    import pipeline.predict
    from pipeline.models import heads
    if not os.path.realpath(pipeline.predict.__file__).startswith(package + os.sep):
        raise RuntimeError(f"the package ran {pipeline.predict.__file__}, which is not its own")
    model = pipeline.predict.Model(Path(package, "artifacts", "files"))
    fitted, network = model.fitted, model.network
    names = [tensor.name for tensor in network.inputs]
    plain, asked, drawn = model._asked, [], np.random.default_rng(0)

    def record(inputs):
        asked.append(inputs)
        return plain(inputs)

    def prepared(frame):
        model._asked = record
        asked.clear()
        answer = model.outputs(frame)
        model._asked = plain
        return {name: np.concatenate([inputs[name] for inputs in asked]) for name in names}, answer

    def made(name, shape, kind, far):
        if name == "category":
            return drawn.integers(0, [len(category.tokens) + 1 for category in fitted.categories], shape)
        if name == "sequence_length":
            return drawn.integers(0, fitted.sequence.length + 1, shape)
        if name.startswith("text_"):
            return drawn.integers(0, fitted.texts[int(name[5:])].vocabulary, shape)
        return drawn.integers(0, 256, shape) if kind == "uint8" else drawn.normal(0, far, shape)

    def block(count, make):
        shapes = {tensor.name: ((count, *tensor.shape[1:]), tensor.dtype) for tensor in network.inputs}
        return {name: np.asarray(make(name, *shape)).astype(shape[1]) for name, shape in shapes.items()}

    def expected(inputs):
        found = heads.predictions(plain(inputs), fitted)
        if fitted.forecast or not hasattr(model, "answers"):  # which older packages have not
            return [found]
        shifts = (0, -float(near), float(near)) if fitted.task == "binary" else (0,)
        return [model.answers.calibrated(np.clip(found + by, 0, 1) if by else found) for by in shifts]

    frame = pandas.read_parquet(rows)
    keys = (fitted.forecast.time, fitted.forecast.series) if fitted.forecast else ()
    given, answer = prepared(frame)
    cases = {"the rows given": given}
    cases["rows of which all is missing"] = prepared(frame.assign(**{name: None for name in frame if name not in keys}))[0]
    cases["inputs of zeros (unseen categories, no words, no steps)"] = block(7, lambda name, shape, kind: np.zeros(shape))
    cases["drawn inputs"] = block(64, lambda name, shape, kind: made(name, shape, kind, 1))
    cases["drawn inputs far out"] = block(64, lambda name, shape, kind: made(name, shape, kind, 5))
    told = []
    for name, inputs in cases.items():
        whole = len(inputs[names[0]])
        for count in sorted({1, 2, 7, whole}):
            if count <= whole:
                some = {key: values[:count] for key, values in inputs.items()}
                answers = expected(some)
                if name == "the rows given" and count == whole:
                    answers.append(answer)  # of the package as a whole
                np.savez(Path(out, f"{len(told)}.npz"), *answers, **{f"input {key}": values for key, values in some.items()})
                told.append([name, count])
    doing = "convert"
    if half := {layer.compute_dtype for layer in network._flatten_layers()} & {"float16", "bfloat16"}:
        kind = half.pop()
        raise RuntimeError(f"it computes in {kind}, whose roundings no other library repeats; train it with train.precision: float32")
    import logging
    import tensorflow as tf
    import tf2onnx
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    specs = [tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype, name=tensor.name) for tensor in network.inputs]
    asking = tf.function(lambda *blocks: network(dict(zip(names, blocks)), training=False), input_signature=specs)
    converted, _ = tf2onnx.convert.from_function(asking, input_signature=specs, opset=int(opset))
    Path(out, "network.onnx").write_bytes(converted.SerializeToString())
    return {"cases": told, "far": heads.FAR, "rank": len(network.outputs[0].shape)}

try:
    found = main()
except Exception as error:
    found = {"failed": doing, "user": type(error).__name__ == "UserError", "why": str(error) or type(error).__name__}
said.write(json.dumps(found))
said.flush()
"""


def libraries() -> Path:
    """The folder in which the optional libraries lie."""
    found = {name: importlib.util.find_spec(name) for name in LIBRARIES}
    if lacking := [name for name, spec in found.items() if spec is None or spec.origin is None]:
        raise UserError(f'an export to ONNX needs {", ".join(lacking)}: pip install "experiment-pipeline[onnx]"')
    return Path(str(found["tf2onnx"] and found["tf2onnx"].origin)).parents[1]


def example(package: Path) -> pd.DataFrame:
    """The rows that a package carries; MLflow has written bytes as base64."""
    file = package / "input_example.json"
    if not file.is_file():
        raise UserError(f"{package}: {file.name}, the rows to compare on, is not there")
    rows = pd.DataFrame(**json.loads(file.read_text(encoding="utf-8")))
    fitted = json.loads((package / "artifacts" / "files" / "preprocessor.json").read_text(encoding="utf-8"))
    media = [state["column"] for state in (*fitted["images"], *fitted["audios"])]
    return rows.assign(**{name: [value and base64.b64decode(value) for value in rows[name]] for name in media})


def converted(package: Path, libraries: Path, rows: pd.DataFrame, folder: Path) -> dict[str, Any]:
    """What CHILD told, which has put network.onnx and the cases to compare into `folder`."""
    rows.reset_index(drop=True).to_parquet(folder / "rows.parquet")
    given = [str(package.resolve()), str(libraries), str(folder / "rows.parquet"), str(folder), str(OPSET), str(NEAR)]
    done = subprocess.run(fresh.command(CHILD, *given), capture_output=True, text=True, cwd=folder, env=os.environ | ENVIRONMENT)
    if done.returncode or not done.stdout:
        raise UserError(f"{package}: the conversion to ONNX broke off: {last_line(done.stderr)}")
    told: dict[str, Any] = json.loads(done.stdout)
    if "failed" in told:
        if told["user"]:
            raise UserError(told["why"])
        what = "its network cannot become ONNX" if told["failed"] == "convert" else "the package cannot answer in a fresh process"
        raise UserError(f"{package}: {what}: {last_line(told['why'])}")
    return told


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["without a word"])[-1][:300]

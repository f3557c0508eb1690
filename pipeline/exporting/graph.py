"""The converted network with answers behind it (calibration, units, intervals), and what the file says of itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import lineage
from pipeline.data.fitted import Preprocessor, Target
from pipeline.errors import UserError
from pipeline.evaluation.metrics import Array
from pipeline.models.answers import FLOOR, Answers
from pipeline.packaging import FILES

OUTSIDE = "raw rows become inputs as preprocessor.json says; which rows are refused or flagged is told by `pipeline predict` alone"


class Nodes:
    """A list of nodes that grows: `put` adds one and returns the name of its output; numbers and arrays become constants."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.made: list[Any] = []

    def put(self, kind: str, *inputs: str | Array | np.generic | float, named: str = "", **attributes: Any) -> str:
        from onnx import helper

        names = [name if isinstance(name, str) else self._constant(np.asarray(name)) for name in inputs]
        named = named or f"{self.prefix}/{kind}_{len(self.made)}"
        self.made.append(helper.make_node(kind, names, [named], name=named, **attributes))
        return named

    def cast(self, x: str, kind: str, *, named: str = "") -> str:
        """x as a type of `onnx.TensorProto`."""
        from onnx import TensorProto

        return self.put("Cast", x, to=getattr(TensorProto, kind), named=named)

    def count(self, x: str, bounds: tuple[float, ...]) -> str:
        """(batch, 1) -> (batch, 1): how many of the bounds each value reaches."""
        reached = self.cast(self.put("GreaterOrEqual", x, np.asarray(bounds, "float64")), "INT64")
        return self.put("ReduceSum", reached, np.array([1]), keepdims=1)

    def _constant(self, value: Array) -> str:
        from onnx import helper, numpy_helper

        name = f"{self.prefix}/constant_{len(self.made)}"
        self.made.append(helper.make_node("Constant", [], [name], name=name, value=numpy_helper.from_array(value)))
        return name


def whole(network: Path, package: Path, fitted: Preprocessor, by: Answers, told: Mapping[str, Any]) -> bytes:
    """The file's bytes: the converted network with answers behind it, and what it says of itself."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(network)
    graph = model.graph
    _mend(graph)
    if unknown := {node.op_type for node in _nodes(graph) if not onnx.defs.has(node.op_type, node.domain)}:
        raise UserError(f"{package}: its network cannot become ONNX, which has no {', '.join(sorted(unknown))}")
    for each in graph.input:
        each.type.tensor_type.shape.dim[0].dim_param = "batch"
    tail = Nodes("answers")
    x = tail.cast(graph.output[0].name, "DOUBLE")
    if told["rank"] > (3 if fitted.forecast else 2):
        x = tail.put("ReduceMean", x, axes=[1], keepdims=0)
    found = _numbers(tail, x, fitted, by, told["far"]) if fitted.task in ("regression", "forecast") else _classes(tail, x, fitted, by)
    del graph.output[:], graph.value_info[:]
    for name, (value, shape) in found.items():
        tail.put("Identity", value, named=name)
        kind = TensorProto.INT64 if name == "class" else TensorProto.DOUBLE
        graph.output.append(helper.make_tensor_value_info(name, kind, ("batch", *shape)))
    graph.node.extend(tail.made)
    inputs = {each.name: [dim.dim_param or dim.dim_value for dim in each.type.tensor_type.shape.dim] for each in graph.input}
    helper.set_model_props(model, _metadata(package, fitted, by, inputs))
    model.producer_name, model.doc_string = "experiment-pipeline", "what `pipeline predict` tells, from prepared inputs; see metadata_props"
    return bytes(model.SerializeToString())


Outputs = dict[str, tuple[str, tuple[int, ...]]]  # name in the graph and shape of a row, by name


def _classes(tail: Nodes, x: str, fitted: Preprocessor, by: Answers) -> Outputs:
    """As `heads.predictions` and `Answers` have it: (batch, 1) of the second class, or (batch, classes)."""
    if fitted.task == "binary":
        x = _second(tail, x, by)
        code = tail.put("Squeeze", tail.cast(tail.put("GreaterOrEqual", x, by.threshold), "INT64"), np.array([1]))
        x = tail.put("Concat", tail.put("Sub", 1.0, x), x, axis=1)
    else:
        x = _shares(tail, x)
        if by.method == "temperature":
            logs = tail.put("Div", tail.put("Log", tail.put("Clip", x, FLOOR, 1.0)), by.temperature)
            x = _shares(tail, tail.put("Exp", tail.put("Sub", logs, tail.put("ReduceMax", logs, axes=[1], keepdims=1))))
        least = tail.put("MatMul", x, np.asarray(by.costs, "float64")) if by.costs else ""
        code = tail.put("ArgMin" if least else "ArgMax", least or x, axis=1, keepdims=0)
    return {"probabilities": (x, (len(fitted.target.classes),)), "class": (code, ())}


def _shares(tail: Nodes, x: str) -> str:
    return tail.put("Div", x, tail.put("ReduceSum", x, np.array([1]), keepdims=1))


def _second(tail: Nodes, p: str, by: Answers) -> str:
    """The second class's probability, calibrated: (batch, 1)."""
    if by.method == "temperature":
        own, others = (
            tail.put("Div", tail.put("Log", tail.put("Clip", x, FLOOR, 1 - FLOOR)), by.temperature) for x in (p, tail.put("Sub", 1.0, p))
        )
        return tail.put("Div", 1.0, tail.put("Add", 1.0, tail.put("Exp", tail.put("Sub", others, own))))
    if by.method == "isotonic":  # a line through points, flat beyond its ends
        knots, levels = np.asarray(by.knots), np.asarray(by.levels)
        rises, steps = np.diff(levels), np.diff(knots)
        slopes = np.append(np.divide(rises, steps, out=np.zeros_like(rises), where=steps > 0), 0.0)
        last = tail.put("Max", tail.put("Sub", tail.count(p, by.knots), np.int64(1)), np.int64(0))  # point that p has reached
        past = tail.put("Sub", tail.put("Max", p, knots[0]), tail.put("Gather", knots, last))
        return tail.put("Add", tail.put("Gather", levels, last), tail.put("Mul", tail.put("Gather", slopes, last), past))
    return p


def _numbers(tail: Nodes, x: str, fitted: Preprocessor, by: Answers, far: float) -> Outputs:
    """As `heads.units` and `Answers.between` have it: (batch, 1), or (batch, horizon, targets)."""
    if fitted.forecast:
        targets = fitted.forecast.targets
        each = [tail.put("Gather", x, np.array([at]), axis=2) for at in range(len(targets))]
        x = tail.put("Concat", *(_units(tail, one, target, far) for one, target in zip(each, targets, strict=True)), axis=2)
        ends: dict[str, str | Array] = {"low": np.asarray(by.low, "float64"), "high": np.asarray(by.high, "float64")}
    else:
        column = _units(tail, x, fitted.target, far)
        x = tail.put("Squeeze", column, np.array([1]))
        if by.low:
            bins = tail.put("Squeeze", tail.count(column, by.edges), np.array([1])) if by.edges else ""
            tables = {"low": np.asarray(by.low, "float64"), "high": np.asarray(by.high, "float64")}
            ends = {name: tail.put("Gather", table, bins) if bins else table[0] for name, table in tables.items()}
    shape = (fitted.forecast.horizon, len(fitted.forecast.targets)) if fitted.forecast else ()
    found = {"prediction": x} | ({name: tail.put("Add", x, end) for name, end in ends.items()} if by.low else {})
    return {name: (value, shape) for name, value in found.items()}


def _units(tail: Nodes, x: str, target: Target, far: float) -> str:
    if target.transform == "log":
        logs = tail.put("Add", tail.put("Mul", x, target.scale), target.center)
        most = np.log1p(far * target.largest / target.unit)
        size = tail.put("Sub", tail.put("Exp", tail.put("Min", tail.put("Abs", logs), most)), 1.0)
        return tail.put("Mul", tail.put("Mul", tail.put("Sign", logs), size), target.unit)
    return tail.put("Add", tail.put("Mul", x, target.std), target.mean) if target.transform == "standardize" else x


def _inner(node: Any) -> Iterator[Any]:
    """The graphs inside a node, as a loop has them."""
    for attribute in node.attribute:
        yield from [attribute.g] if attribute.HasField("g") else attribute.graphs


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for inner in _inner(node):
            yield from _nodes(inner)


def _mend(graph: Any) -> None:
    nodes = []
    for node in graph.node:
        for inner in _inner(node):
            _mend(inner)
        nodes += _mended(node)
    made = [type(node).FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(made)


def _mended(node: Any) -> list[Any]:
    """A node in ONNX's words, where tf2onnx has left TensorFlow's or means something else by the same word."""
    new, x, one = Nodes(node.output[0]), list(node.input), np.float32(1)
    last: dict[str, str] = {"named": node.output[0]}
    if node.op_type == "Erfc":
        new.put("Sub", one, new.put("Erf", x[0]), **last)
    elif node.op_type == "Expm1":
        new.put("Sub", new.put("Exp", x[0]), one, **last)
    elif node.op_type == "Log1p":
        new.put("Log", new.put("Add", x[0], one), **last)
    elif node.op_type in ("LowerBound", "UpperBound"):  # (batch, bounds), (batch, values) -> (batch, values)
        under = "Less" if node.op_type == "LowerBound" else "LessOrEqual"
        reached = new.put(under, new.put("Unsqueeze", x[0], np.array([1])), new.put("Unsqueeze", x[1], np.array([2])))
        count = new.put("ReduceSum", new.cast(reached, "INT64"), np.array([2]), keepdims=0)
        wide = any(each.name == "out_type" and each.i == 7 for each in node.attribute)
        new.cast(count, "INT64" if wide else "INT32", **last)
    elif node.op_type == "OneHot":  # where ONNX counts -1 from the end, TensorFlow lights nothing
        code = new.cast(x[0], "INT64")
        code = new.put("Where", new.put("Less", code, np.int64(0)), np.int64(2**31 - 1), code)
        new.put("OneHot", code, *x[1:], **last, axis=next((each.i for each in node.attribute if each.name == "axis"), -1))
    return new.made or [node]


def _metadata(package: Path, fitted: Preprocessor, by: Answers, inputs: Mapping[str, list[str | int]]) -> dict[str, str]:
    """What the file says of itself: the package's digest, the shape of each input and what its places hold, what each output means, the
    classes or targets, and answers.json and preprocessor.json as the package has them.
    """
    files, code = package.resolve() / "artifacts" / "files", package.resolve() / "code" / "pipeline"
    named = [files / file.name for file in FILES]
    digest = lineage.digest([file for file in named if file.exists()] + sorted(code.rglob("*.py")))  # that of `packaging.build`
    forecast = fitted.forecast
    classes = {
        "probabilities": "of each of `classes`, calibrated as answers.json says",
        "class": "the place among `classes` of the one that is answered, by the threshold or the costs in answers.json",
    }
    share = f"the true value lies between low and high with the chance {by.coverage:g}"
    numbers = {"prediction": "in the target's units" + (": steps that follow, in the order of `targets`" if forecast else "")}
    numbers |= dict.fromkeys(("low", "high"), share) if by.low else {}
    targets = [target.column for target in forecast.targets] if forecast else [fitted.target.column]
    told = {
        "package": digest,
        "task": fitted.task,
        "targets": targets,
        "classes": list(fitted.target.classes),
        "inputs": {name: {"shape": shape, **_places(fitted, name)} for name, shape in inputs.items()},
        "outputs": classes if fitted.target.classes else numbers,
        "outside": OUTSIDE,
    }
    texts = {key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for key, value in told.items()}
    return texts | {"answers.json": by.to_json(), "preprocessor.json": (files / "preprocessor.json").read_text(encoding="utf-8")}


def _places(fitted: Preprocessor, name: str) -> dict[str, Any]:
    """What an input's places along its last axis hold, as `Encoder.blocks` fills them."""
    kind, _, at = name.partition("_")
    if name in ("number", "series"):
        steps = "; the last steps of a series, the latest last" if name == "series" else ""
        return {"columns": [number.name for number in fitted.numbers], "values": f"scaled as `numbers` of preprocessor.json says{steps}"}
    if name == "category":
        how = "k + 1 for the k-th of `keys` where there are any, else of `tokens` in preprocessor.json, counted from 0; 0 for all else"
        return {"columns": [category.column for category in fitted.categories], "values": how}
    if kind == "sequence":
        assert fitted.sequence is not None
        how = "how many steps there are" if at else "the last steps, scaled as `sequence` of preprocessor.json says, zeros past their end"
        return {"columns": list(fitted.sequence.columns), "values": how}
    values = {
        "text": "token ids of the tokenizer in preprocessor.json; 0 is padding",
        "image": "pixels, 0 to 255: (height, width, channels)",
        "audio": "a log-mel spectrogram (frames, mels), scaled as `audios` of preprocessor.json says",
    }
    return {"columns": [fitted.media[kind][int(at)]], "values": values[kind]}

"""docs/api.md, the reference of the Python API, from its docstrings.  Run: `python -m pipeline.api_reference > docs/api.md`."""

from __future__ import annotations

import inspect
import re
import sys
from typing import Any

from pipeline import api

HEAD = """# Python API

*Made by `python -m pipeline.api_reference > docs/api.md`; do not edit.*

For notebooks and scripts. A `Project` is a folder with `params.yaml`; its numbers are those of the reports, its models answer in a process
of their own, and a mistake is a `UserError` that says what the command line would. Everything here is typed.

<!-- run: rand -->
```python
from pipeline.api import Project

project = Project(".")
project.change({"evaluate.confidence": 0.9})  # in params.yaml, checked first, comments kept
print(project.params.train.epochs, project.params.evaluate.confidence)

result = project.result()  # of the last run; project.reproduce() runs what a change touches
print(result.value("auc"), result.interval("auc"))
print(result.metrics["value"].unstack("metric"))  # the network and the baselines
print(result.differences.xs("auc", level="metric"))  # the network less each baseline, with intervals
result.history.plot(x="epoch", y=["train/loss", "validation/loss"])  # tables are pandas DataFrames
print(result.trials.sort_values("value").head(3))
print(result.windows[["kind", "state", "headline"]])

rows = project.rows("test", raw=True)  # as the source has them: what a model takes
with project.model() as model:  # or project.model("models:/NAME@champion")
    answers = model.predict(rows)
print(answers.join(rows).head())

print(project.runs(where="test/auc > 0.5")[["key", "start", "metrics.test/auc", "params.train.learning_rate"]])
```

To step through a stage with a debugger, run it in the notebook's own process: `project.run("split")`.
"""


def reference() -> str:
    """The reference as Markdown: each class with what it can do."""
    return HEAD + "".join(map(_class, (api.Project, api.Result, api.Model)))


def _class(found: type) -> str:
    parts = [f"\n## {found.__name__}\n\n{_text(found)}\n"]
    for name, member in vars(found).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            parts.append(f"\n### `{name}`\n\n{_text(member)}\n")
        elif inspect.isfunction(member):
            parts.append(f"\n### `{name}{_signature(member)}`\n\n{_text(member)}\n")
    return "".join(parts)


def _signature(function: Any) -> str:
    signature = inspect.signature(function)
    shown = str(signature.replace(parameters=[given for name, given in signature.parameters.items() if name != "self"]))
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", shown)


def _text(found: Any) -> str:
    """A docstring as Markdown: its parts (Args, Returns, Raises) as lists."""
    lines: list[str] = []
    part = ""
    for line in (inspect.getdoc(found) or "").splitlines():
        if title := re.fullmatch(r"(Args|Returns|Raises):", line):
            part = title[1]
            lines += [f"**{part}**", ""]
        elif part and (item := re.fullmatch(r"    (\w+): (.*)", line)) and part != "Returns":
            lines.append(f"- `{item[1]}`: {item[2]}")
        else:
            lines.append(f"  {line.strip()}" if part and part != "Returns" and line.strip() else line.strip())
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(reference())

"""The architecture: imports run one way, heavy libraries stand where they belong, importing does nothing."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.imports import HOME, closure, imported

FILES = sorted(HOME.rglob("*.py"))
HEAVY = {"keras", "tensorflow", "mlflow", "optuna", "evidently"}
DATA_STAGES = ("collect", "clean", "split", "normalize")
COMMANDS = {
    "cli.py",
    "__main__.py",
    "api.py",
    "api_reference.py",
    "commands_reference.py",
    "params_reference.py",
    *(f"commands/{file.name}" for file in HOME.glob("commands/*.py")),
}  # what a user runs; the rest is what these run


def name(file: Path) -> str:
    return file.relative_to(HOME).as_posix()


def libraries(*files: Path) -> set[str]:
    """Top-level packages that files import."""
    return {module.split(".")[0] for file in files for module in imported(file)}


def ours(file: Path) -> set[str]:
    """Files of this package that a file itself imports."""
    modules = {HOME.joinpath(*module.split(".")[1:]).with_suffix(".py") for module in imported(file) if module.startswith("pipeline.")}
    return {name(target) for target in modules if target.is_file()}


def users(library: str) -> set[str]:
    return {name(file) for file in FILES if library in libraries(file)}


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """Some cycle of a graph, empty where there is none."""
    done: set[str] = set()

    def walk(node: str, above: list[str]) -> list[str]:
        if node in above:
            return [*above[above.index(node) :], node]
        if node in done:
            return []
        done.add(node)
        return next((found for target in sorted(graph[node]) if (found := walk(target, [*above, node]))), [])

    return next((found for node in sorted(graph) if (found := walk(node, []))), [])


def test_stages_never_import_stages_and_no_library_imports_a_stage_or_a_command():
    for file in FILES:
        if name(file) not in COMMANDS:
            assert not {target for target in ours(file) if target.startswith("stages/") or target in COMMANDS}, name(file)


def test_config_and_paths_stand_at_the_bottom():
    assert ours(HOME / "config.py") == set()
    assert ours(HOME / "paths.py") == ours(HOME / "errors.py") == ours(HOME / "files.py") == ours(HOME / "imports.py") == set()


def test_no_imports_go_round_in_a_circle():
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]  # the search itself finds one
    assert cycle({name(file): ours(file) for file in FILES}) == []


def test_imports_are_absolute_so_that_the_closure_sees_them():
    relative = [name(f) for f in FILES for node in ast.walk(ast.parse(f.read_text())) if isinstance(node, ast.ImportFrom) and node.level]
    assert relative == []
    dynamic = [name(file) for file in FILES if "importlib" in libraries(file) and "import_module" in file.read_text()]
    assert dynamic == ["commands/stages.py"]  # which is no part of what a stage computes


def test_package_files_hold_nothing_but_a_docstring_so_that_no_stage_depends_on_them():
    for file in FILES:
        if file.name == "__init__.py":
            body = ast.parse(file.read_text()).body
            assert all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body), name(file)


def test_each_library_stands_where_the_design_puts_it():
    assert {file.rpartition("/")[0] or file for file in users("mlflow")} == {"tracking", "pyfunc.py"}
    assert {file.rpartition("/")[0] for file in users("optuna")} == {"tuning"}
    assert {Path(file).parts[0] for file in users("evidently")} == {"monitoring"}
    assert users("tensorflow") <= {"models/attributing.py", "models/device.py", "models/stepping.py"}
    assert {file for file in users("keras") if not file.startswith(("models/", "training/", "stages/"))} == {
        "predict.py",
        "monitoring/embedding.py",  # of which the part that reads a network runs in evaluate, and in the package's own process
    }
    assert users("dvc") == users("statsmodels") == set()


@pytest.mark.parametrize("stage", DATA_STAGES)
def test_a_data_stage_reaches_no_heavy_library(stage):
    assert libraries(*closure(HOME / "stages" / f"{stage}.py")) & HEAVY == set()


def test_what_a_model_package_carries_is_small_and_needs_few_libraries():
    carried = closure(HOME / "predict.py", HOME / "pyfunc.py")
    modalities = {
        f"data/{file}.py"
        for file in (
            "asking",
            "audio",
            "checking",
            "contents",
            "encoding",
            "fitted",
            "frozen",
            "image",
            "media",
            "numeric",
            "sequence",
            "starts",
            "text",
        )
    }
    assert {name(file) for file in carried if file.name != "__init__.py"} == modalities | {
        "predict.py", "pyfunc.py", "errors.py", "extensions.py",
        *(f"models/{file}.py" for file in ("answers", "heads", "instance", "layers", "members", "own_layers", "steps")),
    }  # fmt: skip
    third_party = libraries(*carried) - set(sys.stdlib_module_names) - {"pipeline"}
    only_where_there_are_such_columns = {"PIL", "scipy", "soundfile", "tokenizers"}
    assert third_party == {"duckdb", "keras", "mlflow", "numpy", "pandas", "pyarrow"} | only_where_there_are_such_columns
    assert sum(len(file.read_text().splitlines()) for file in carried) < 2700


SEEN = """
import json, logging, os, sys, threading
from pathlib import Path
environment, handlers, level = dict(os.environ), list(logging.getLogger().handlers), logging.getLogger().level
import importlib
for module in sys.argv[1:]:
    importlib.import_module(module)
ours = [(name, found) for name, found in logging.root.manager.loggerDict.items() if name.split(".")[0] == "pipeline"]
loggers = [name for name, found in ours if getattr(found, "handlers", 0) or getattr(found, "level", 0)]
print(json.dumps({
    "environment": {key: value for key, value in os.environ.items() if environment.get(key) != value},
    "logging": loggers + [str(h) for h in logging.getLogger().handlers if h not in handlers] + [logging.getLogger().level - level],
    "files": [str(path) for path in Path.cwd().rglob("*")],
    "threads": threading.active_count(),
    "libraries": sorted({name.split(".")[0] for name in sys.modules}),
    "ours": sorted(getattr(m, "__file__", None) or "" for name, m in sys.modules.items() if name.split(".")[0] == "pipeline"),
}))
"""


def seen(*modules: str) -> dict:
    """What importing modules does to a fresh process."""
    done = subprocess.run([sys.executable, "-c", SEEN, *modules], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def modules(files: list[Path]) -> list[str]:
    return [".".join(["pipeline", *file.relative_to(HOME).with_suffix("").parts]) for file in files]


def test_importing_the_data_stages_loads_no_heavy_library_and_only_files_of_their_closure(workspace):
    stages = [HOME / "stages" / f"{stage}.py" for stage in DATA_STAGES]
    found = seen(*modules(stages))
    assert set(found["libraries"]) & HEAVY == set()
    assert {Path(file).name for file in found["ours"]} >= {"clean.py", "engine.py", "preprocessing.py"}
    assert {Path(file) for file in found["ours"]} - {file for file in FILES if file.name == "__init__.py"} <= closure(*stages)


def test_importing_the_command_line_loads_no_stage_and_no_heavy_library(workspace):
    found = seen("pipeline.cli")
    assert set(found["libraries"]) & (HEAVY | {"ibis", "duckdb", "pandas", "numpy"}) == set()
    assert not [file for file in found["ours"] if "/stages/" in file]


def quiet(found: dict) -> None:
    assert (found["files"], found["environment"], found["logging"], found["threads"]) == ([], {}, [0], 1)


def test_importing_a_module_without_heavy_libraries_makes_no_file_and_changes_no_setting(workspace):
    light = [file for file in FILES if not libraries(*closure(file)) & HEAVY and file.name != "__main__.py"]
    assert len(light) > 15
    quiet(seen(*modules(light)))


@pytest.mark.slow
def test_importing_the_modules_with_heavy_libraries_makes_no_file_and_configures_no_logging(workspace):
    heavy = [file for file in FILES if libraries(*closure(file)) & HEAVY and file.name != "pyfunc.py"]  # which MLflow runs
    found = seen(*modules(heavy))
    assert set(found["libraries"]) >= {"keras", "tensorflow", "optuna"}
    assert found["files"] == []
    assert not [text for text in found["logging"] if str(text).startswith("pipeline")]


def test_no_module_touches_the_environment_outside_a_function():
    def outside(node: ast.AST) -> list[ast.AST]:
        inner = [
            child for child in ast.iter_child_nodes(node) if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        ]
        return [node, *(found for child in inner for found in outside(child))]

    touching = {"environ", "putenv", "setenv"}
    for file in FILES:
        assert not [node for node in outside(ast.parse(file.read_text())) if getattr(node, "attr", "") in touching], name(file)


def test_the_check_of_imports_finds_a_module_that_acts(workspace, tmp_path, monkeypatch):
    (workspace / "acting.py").write_text(
        "import logging, os\nfrom pathlib import Path\nlogging.basicConfig()\nos.environ['PLANTED'] = '1'\nPath('made').mkdir()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(workspace))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    found = seen("acting")
    assert found["environment"] == {"PLANTED": "1"}
    assert any(path.endswith("made") for path in found["files"])
    with pytest.raises(AssertionError):
        quiet(found)

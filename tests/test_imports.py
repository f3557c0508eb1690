"""The import closure: every file that a file needs, and no other."""

from __future__ import annotations

from pipeline.imports import HOME, closure, imported


def names(*entries: str) -> set[str]:
    return {file.relative_to(HOME).as_posix() for file in closure(*(HOME / entry for entry in entries))}


def test_names_are_read_from_every_form_of_import_wherever_it_stands(tmp_path):
    file = tmp_path / "module.py"
    file.write_text(
        "import os.path as p, json\n"
        "from pipeline.data import engine as e, schema\n"
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import keras\n"
        "def late():\n    from pipeline import files\n    class A:\n        import duckdb\n"
        "text = 'import optuna'  # import mlflow\n"
    )
    assert imported(file) == {
        "os.path", "json", "pipeline.data", "pipeline.data.engine", "pipeline.data.schema", "typing", "typing.TYPE_CHECKING",
        "keras", "pipeline", "pipeline.files", "duckdb",
    }  # fmt: skip


def test_a_file_without_imports_of_this_package_needs_itself_alone(tmp_path):
    file = tmp_path / "alone.py"
    file.write_text("import json, pipelines, pipeline_other\n")
    assert closure(file) == {file}


def test_the_closure_goes_through_modules_packages_and_imports_inside_functions(tmp_path):
    file = tmp_path / "entry.py"
    file.write_text("def late():\n    from pipeline.params_file import load\n")
    assert {path.name for path in closure(file)} == {"entry.py", "__init__.py", "params_file.py", "config.py", "errors.py", "secrets.py"}
    assert names("errors.py") == {"errors.py"}
    assert {"stages/split.py", "__init__.py", "data/__init__.py", "data/splitting.py", "errors.py"} <= names("stages/split.py")
    assert "models/fit.py" in names("stages/train.py")


def test_the_closure_of_several_files_is_the_union_of_theirs():
    assert names("predict.py", "pyfunc.py") == names("predict.py") | names("pyfunc.py")
    assert names() == set()

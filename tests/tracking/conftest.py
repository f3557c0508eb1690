"""A package to register."""

import subprocess
import sys

import pytest

TWICE = """
import mlflow


class Twice(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input, params=None):
        return 2 * model_input


mlflow.models.set_model(Twice())
"""


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A small MLflow model, written by a process of its own, as importing what writes it warns."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "twice.py").write_text(TWICE)
    write = "import mlflow; mlflow.pyfunc.save_model('model', python_model='twice.py', pip_requirements=['mlflow'])"
    subprocess.run([sys.executable, "-W", "ignore", "-c", write], cwd=folder, check=True, capture_output=True)
    return folder / "model"

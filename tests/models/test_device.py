"""Where Keras computes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest_models import preprocessor, side

from pipeline.config import ModelParams, TrainParams
from pipeline.models import device


def test_a_gpu_asked_for_and_absent_is_an_error(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    code = "from pipeline.models import device; print(device.start('auto')); device.start('gpu')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "cpu\n")
    assert "UserError: train.device: gpu is asked for, but TensorFlow sees none" in done.stderr


def test_start_up_is_quiet():
    done = subprocess.run([sys.executable, "-c", "from pipeline.models import device; device.start('cpu')"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_backend_that_is_not_installed_is_an_error():
    hidden = "import sys; sys.modules['jax'] = None"  # as if it were not installed, where it is
    code = f"{hidden}; from pipeline.models import device; device.start('cpu', 'jax')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "UserError: train.backend: jax is asked for, but it is not installed: pip install 'experiment-pipeline[jax]'" in done.stderr


@pytest.mark.slow  # JAX is among the tools of make check
def test_a_backend_cannot_be_changed_once_keras_has_started():
    code = "from pipeline.models import device; device.start('cpu', 'jax'); device.start('cpu', 'tensorflow')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "UserError: train.backend: tensorflow is asked for, but this process has started Keras on jax" in done.stderr


TRAIN = """
import sys
sys.path[:0] = [{tests!r}]
from pipeline.models import device
device.start("cpu", {backend!r})
import keras, numpy as np
from conftest_models import preprocessor, side
from pipeline.config import ModelParams, TrainParams
from pipeline.models.build import save
from pipeline.models.fit import fit, inputs, outputs
from pathlib import Path
fitted, rows = preprocessor("multiclass"), side("multiclass", 128, seed=1)
params = TrainParams(epochs=10, batch_size=32, learning_rate=1e-2)
model = ModelParams(layers=1, width=8, bins=4, embedding=2)
result = fit(fitted, side("multiclass"), rows, model=model, params=params, seed=1, diagnose=True)
save(result.model, Path({backend!r} + ".keras"))
losses = [row["train/loss"] for row in result.history]
assert losses[-1] < 0.8 * losses[0], losses
for file in sorted(Path().glob("*.keras")):
    network = keras.models.load_model(file, compile=False, safe_mode=True)
    np.save({backend!r} + "_of_" + file.stem, outputs(network, fitted, inputs(rows, fitted)))
"""


@pytest.mark.slow  # JAX is among the tools of make check
def test_jax_trains_from_the_same_params_and_both_backends_answer_alike(tmp_path):
    for backend in ("tensorflow", "jax", "tensorflow"):  # once more, for jax' network
        code = TRAIN.format(tests=str(Path(__file__).parent), backend=backend)
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, done.stderr[-2000:]
    for network in ("tensorflow", "jax"):
        one, other = (np.load(tmp_path / f"{backend}_of_{network}.npy") for backend in ("tensorflow", "jax"))
        np.testing.assert_allclose(one, other, atol=1e-4)


@pytest.mark.gpu
def test_a_network_trains_on_the_gpu():
    from pipeline.models.fit import fit

    name = device.start("gpu")
    assert name != "cpu"
    result = fit(
        preprocessor("binary"),
        side("binary", 4096),
        side("binary", 512, seed=1),
        model=ModelParams(),
        params=TrainParams(epochs=5),
        seed=1,
    )
    assert result.best["validation/auc"] > 0.95
    assert all("GPU" in variable.value.device for variable in result.model.trainable_variables)

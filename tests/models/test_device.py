"""Where Keras computes."""

import subprocess
import sys

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

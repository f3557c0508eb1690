"""`pipeline serve` as a process of its own, on a free port of 127.0.0.1."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import requests

STARTED = re.compile(r"answers at (http://\S+) after")
PATIENCE = 120.0


FOREIGN = ("DVC_ROOT", "DVC_EXP_NAME", "MLFLOW_TRACKING_URI", "PIPELINE_STATE")  # settings of an outer run


def environment(**more: str) -> dict[str, str]:
    """This environment for a command of its own."""
    return {name: value for name, value in os.environ.items() if name not in FOREIGN} | more


class Server:
    """A server that runs; as a context it is killed at the end if it still does."""

    def __init__(self, model: Path | str, folder: Path, *words: str, **env: str) -> None:
        self.noise = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed in __exit__)
        command = [sys.executable, "-m", "pipeline", "serve", "--model", str(model), "--port", "0", *words]
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment(**env), stderr=self.noise, stdout=self.noise, stdin=subprocess.DEVNULL
        )
        self.session = requests.Session()
        self.url = ""

    def __enter__(self) -> Server:
        return self.ready()

    def ready(self) -> Server:
        """Wait until it answers."""
        end = time.monotonic() + PATIENCE
        while not (found := STARTED.search(self.said)):
            assert self.process.poll() is None, self.said
            assert time.monotonic() < end, self.said
            time.sleep(0.05)
        self.url = found[1]
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()
        self.kill()
        self.noise.close()

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return os.pread(self.noise.fileno(), 1_000_000, 0).decode()

    @property
    def children(self) -> list[psutil.Process]:
        """The model's processes."""
        return psutil.Process(self.process.pid).children()

    def stop(self) -> int:
        """Tell it to stop, and give its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        """As kill -9 does."""
        self.process.kill()
        self.process.wait()

    def get(self, path: str, **more: Any) -> requests.Response:
        return self.session.get(self.url + path, timeout=30, **more)

    def post(self, body: Any, kind: str = "application/json", **headers: str) -> requests.Response:
        return self.session.post(self.url + "/invocations", data=body, headers={"Content-Type": kind, **headers}, timeout=60)

    def ask(self, rows: Any, **headers: str) -> requests.Response:
        """Rows as a list of objects."""
        return self.session.post(self.url + "/invocations", json={"dataframe_records": rows}, headers=headers, timeout=60)


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON has them."""
    return json.loads(rows.to_json(orient="records"))


def equal(found: Sequence[Mapping[str, Any]], expected: pd.DataFrame) -> None:
    """Answers of a server are those of the package: words alike, probabilities to a millionth."""
    assert len(found) == len(expected) > 0
    assert list(found[0]) == list(expected)
    for name in expected:
        given = [row[name] for row in found]
        if name.startswith("probability"):
            np.testing.assert_allclose(np.array(given, float), expected[name].astype(float), atol=1e-6)
        else:
            assert given == [None if pd.isna(value) else value for value in expected[name]]

"""The pictures of the documentation, taken in a headless Chromium from a finished run of the RAND example: docs/images/*.png.

Run: `python benchmarks/screenshots.py [FOLDER]`.  FOLDER is a project in which `pipeline run` came to its end, and is left as it is;
without one it is made, with two more trainings to compare (some minutes).  Chromium must be on the path; what drives it is in the lock
of `make check`.  Every picture is below 250 KB: 255 colours are enough for pages.  A page that asks something of another site ends it
with exit code 1.
"""

from __future__ import annotations

import io
import json
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import workspace
from PIL import Image

OUT = workspace.ROOT / "docs" / "images"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
LIMIT = 250_000
BESIDE = ("chat_panel.close", "toggle_sidebar_button")  # what MLflow shows beside its page
VARIANTS = ({"tune.trials": 0, "train.learning_rate": 0.003}, {"tune.trials": 0, "model.dropout": 0.4})


@dataclass(frozen=True)
class Shot:
    """A picture: the page below the folder or the MLflow server, the size of the window, and what to show of it."""

    name: str
    page: str
    width: int = 1280
    height: int = 860
    scale: float = 1
    dark: bool = False
    at: str = ""
    """Text of the heading to scroll to."""
    wait: str = ""
    """Selector of what must be there first."""
    click: tuple[str, ...] = ()
    """Selectors of what is clicked first, where it is there: panels to close, switches."""
    part: str = ""
    """Selector of the part to show, in place of the window."""


SHOTS = (
    Shot("rand_report", "reports/index.html", height=1000),
    Shot("rand_report_dark", "reports/index.html", height=1000, dark=True),
    Shot("rand_report_phone", "reports/index.html", width=390, height=844, scale=2, dark=True),
    Shot("rand_monitor", "reports/monitor/index.html", height=1000),
    Shot("rand_monitor_dark", "reports/monitor/index.html", height=1000, dark=True),
    Shot("quality", "reports/clean/index.html"),
    Shot("leakage", "reports/split/leakage.html", height=720),
    Shot("tune", "reports/tune/index.html", height=1000, wait=".main-svg", at="History"),
)


@contextmanager
def finished(folder: Path | None) -> Iterator[Path]:
    """The folder given, or a new project with a run and two more trainings."""
    if folder is not None:
        yield folder.resolve()
        return
    with workspace.copy() as made:
        workspace.cost(made, "-m", "pipeline", "run")
        workspace.git(made, "add", "--all")
        workspace.git(made, "commit", "--quiet", "--message", "run")
        for variant in VARIANTS:
            options = [word for key, value in variant.items() for word in ("-S", f"{key}={value}")]
            workspace.cost(made, "-m", "dvc", "exp", "run", *options, "evaluate")
        workspace.cost(made, "-m", "pipeline", "sync")
        # back to the run itself, whose outputs are in DVC's cache
        workspace.git(made, "checkout", "--force", "--quiet", "HEAD")
        workspace.cost(made, "-m", "dvc", "checkout", "--quiet", "--force")
        yield made


@contextmanager
def mlflow_ui(folder: Path) -> Iterator[str]:
    """The address of MLflow's pages over the store of a folder: a copy of it, so that nothing is written there."""
    with ExitStack() as stack:
        store = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "mlflow.db"
        shutil.copyfile(folder / ".state" / "mlflow.db", store)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        words = [sys.executable, "-m", "mlflow", "ui", f"--backend-store-uri=sqlite:///{store}", f"--port={port}", "--workers=1"]
        server = subprocess.Popen(
            words, cwd=folder, env=workspace.environment(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        stack.callback(server.wait, 30)
        stack.callback(server.terminate)
        address = f"http://127.0.0.1:{port}"
        for _ in range(240):
            try:
                urllib.request.urlopen(address, timeout=2).close()
                break
            except OSError:
                time.sleep(0.5)
        else:
            raise SystemExit("mlflow ui did not start within 2 minutes")
        yield address


def runs(folder: Path) -> tuple[str, list[str]]:
    """The id of the experiment, and the ids of its trainings, the newest first."""
    asked = (
        "select experiment_id, r.run_uuid from runs r join tags t on r.run_uuid = t.run_uuid"
        " where t.key = 'stage' and t.value = 'train' order by start_time desc"
    )
    with sqlite3.connect(f"file:{folder / '.state' / 'mlflow.db'}?mode=ro", uri=True) as store:
        found = store.execute(asked).fetchall()
    return str(found[0][0]), [run for _, run in found]


def mlflow_shots(folder: Path) -> list[Shot]:
    """The list of runs, and where there are several trainings, three of them side by side."""
    experiment, found = runs(folder)
    mlflow: dict[str, Any] = {"click": tuple(f"[data-component-id$='{name}']" for name in BESIDE), "part": "main"}
    listed = Shot("mlflow_runs", f"#/experiments/{experiment}/runs", height=620, wait="text=Run Name", **mlflow)
    if len(found) < 2:
        return [listed]
    chosen = f"runs={quote(json.dumps(found[:3]))}&experiments={quote(json.dumps([experiment]))}"
    differing = {**mlflow, "click": (*mlflow["click"], "text=Visualizations", "text=Show diff only")}
    return [listed, Shot("mlflow_compare", f"#/compare-runs?{chosen}", height=1000, wait="text=Show diff only", **differing)]


def take(browser: Any, shot: Shot, address: str) -> bytes:
    """A picture of a page, as PNG with a palette.

    Raises:
        SystemExit: the page asked something of another site.
    """
    scheme = "dark" if shot.dark else "light"
    size = {"width": shot.width, "height": shot.height}
    page = browser.new_page(viewport=size, device_scale_factor=shot.scale, color_scheme=scheme, reduced_motion="reduce")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    if shot.wait:
        page.wait_for_selector(shot.wait, state="attached", timeout=60_000)
    page.wait_for_timeout(2500)  # for what is drawn by scripts
    for part in shot.click:
        if page.locator(part).count():
            page.locator(part).first.click()
            page.wait_for_timeout(500)
    if shot.at:
        page.get_by_role("heading", name=shot.at).first.evaluate("heading => window.scrollTo(0, heading.offsetTop - 24)")
        page.wait_for_timeout(500)
    data = page.locator(shot.part).first.screenshot() if shot.part else page.screenshot()
    page.close()
    elsewhere = [url for url in asked if not url.startswith(("file:", "data:", "blob:", "http://127.0.0.1"))]
    if elsewhere:
        raise SystemExit(f"{shot.page} asks another site: {elsewhere[0]}")
    return palette(data)


def palette(data: bytes) -> bytes:
    """The same picture in 255 colours or fewer."""
    picture = Image.open(io.BytesIO(data)).convert("RGB").quantize(255, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def main(folder: Path | None) -> None:
    from playwright.sync_api import sync_playwright

    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        raise SystemExit("no Chromium on the path")
    OUT.mkdir(exist_ok=True)
    with finished(folder) as run, sync_playwright() as playwright, mlflow_ui(run) as mlflow:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        shots = [(shot, (run / shot.page).as_uri()) for shot in SHOTS]
        shots += [(shot, f"{mlflow}/{shot.page}") for shot in mlflow_shots(run)]
        for shot, address in shots:
            data = take(browser, shot, address)
            if len(data) > LIMIT:
                raise SystemExit(f"{shot.name}.png: {len(data)} bytes, {LIMIT} are allowed: a smaller window, or fewer colours")
            (OUT / f"{shot.name}.png").write_bytes(data)
            print(f"{shot.name}.png: {shot.width}x{shot.height}, {len(data) / 1000:.0f} KB")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)

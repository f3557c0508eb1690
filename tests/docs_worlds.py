"""The projects in which the blocks of the docs are run: made once a module, copied for each page."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import requests
from conftest import ROOT
from PIL import Image
from repository import moved
from served import environment

SERVERS = ("pipeline serve", "mlflow ui", "mlflow server")  # run until they are stopped
PATIENCE = 180.0
LEFT_OUT = ("tests", "benchmarks", ".github", "site")  # of the checkout, in a project of the docs


@dataclass
class World:
    """A project in a folder: commands run there, servers that go on behind them, and what names of the docs stand for here."""

    folder: Path
    names: dict[str, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        who = {f"GIT_{who}_{what}": "reader@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return environment(PATH=path, PWD=str(self.folder), COLUMNS="140", **who, **self.env)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """What it printed, both ways together, as a reader sees it."""
        process = subprocess.Popen(
            command, cwd=self.folder, env=self.environment(), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        try:
            said, _ = process.communicate()
        except BaseException:  # the test's time is over, or Ctrl-C: nothing is left behind
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        return subprocess.CompletedProcess(command, process.returncode, said)

    def must(self, *command: str) -> str:
        """What it printed; it ended well."""
        done = self.run(*command)
        assert not done.returncode, f"{shlex.join(command)}: {done.stdout[-4000:]}"
        return done.stdout

    def here(self, text: str) -> str:
        """A text of the docs with the names that hold here; longer ones first."""
        for name in sorted(self.names, key=len, reverse=True):
            text = text.replace(name, self.names[name])
        return text

    def back(self, text: str) -> str:
        """An output with the names that the docs use."""
        for name, own in sorted(self.names.items(), key=lambda one: -len(one[1])):
            if own != str(self.folder):
                text = text.replace(own, name)
        return text

    def shell(self, code: str) -> tuple[int, str]:
        """Exit code and output of a shell block; a line that starts a server leaves it running."""
        said, waiting = "", ""
        lines = self.here(code).replace("\\\n", " ").splitlines(keepends=True)
        for line in lines:
            if not line.startswith(SERVERS):
                waiting += line
                continue
            code_, more = self._shell(waiting)
            said, waiting = said + more, ""
            if code_:
                return code_, said
            said += self.serve(line)
        code_, more = self._shell(waiting)
        return code_, said + more

    def _shell(self, code: str) -> tuple[int, str]:
        if not code.strip():
            return 0, ""
        ended = "\n".join(["set -e", code, 'env -0 > "$DOCS_ENV"'])  # what it exports holds for the next blocks
        kept = self.folder.parent / f"{self.folder.name}.env"
        self.env["DOCS_ENV"] = str(kept)
        done = self.run("bash", "-c", ended)
        if not done.returncode:
            own = self.environment()
            new = dict(one.split("=", 1) for one in kept.read_text().split("\0") if "=" in one)
            self.env |= {k: v for k, v in new.items() if own.get(k) != v and k not in ("_", "SHLVL", "PWD", "OLDPWD", "PATH")}
        return done.returncode, done.stdout

    def serve(self, line: str) -> str:
        """Start a server on a free port and wait until it answers there; the address of the docs is its own from then on."""
        words = shlex.split(line, comments=True)
        said_port = next((words[n + 1] for n, word in enumerate(words) if word == "--port"), "8000" if words[0] == "pipeline" else "5000")
        port = free_port()
        if "--port" in words:
            words[words.index("--port") + 1] = str(port)
        else:
            words += ["--port", str(port)]
        if words[0] == "mlflow":
            words += ["--workers", "1"]  # for one reader
        log = self.folder.parent / f"{self.folder.name}.server{len(self.servers)}"
        with log.open("wb") as out:
            process = subprocess.Popen(
                words, cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        self.servers.append(process)
        self.names |= {f"{host}:{said_port}": f"127.0.0.1:{port}" for host in ("127.0.0.1", "localhost")}
        end = time.monotonic() + PATIENCE
        while True:
            assert process.poll() is None, f"{line}{log.read_text()}"
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"http://127.0.0.1:{port}/health", timeout=5).ok:
                    return log.read_text().replace(f":{port}", f":{said_port}")
            assert time.monotonic() < end, f"{line}{log.read_text()}"
            time.sleep(0.2)

    def stop(self) -> None:
        for process in self.servers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.servers.clear()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def project(folder: Path) -> World:
    """The checkout as a clone has it, but for its tests, with a commit of its own; nothing has run."""
    told = subprocess.run(["git", "ls-files", "-zco", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in told.stdout.split("\0"):
        if name and name.split("/")[0] not in LEFT_OUT and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    world = World(folder)
    world.must("git", "init", "-q", "-b", "main")
    (folder / ".git/info/exclude").write_text("/.venv\n")
    world.must("git", "add", "-A")
    world.must("git", "commit", "-qm", "start")
    return world


def rand(folder: Path) -> None:
    """The bundled example, finished; files of new rows as a reader may have them."""
    if ready := os.environ.get("DOCS_RAND"):  # a finished workspace, to save the two minutes while pages are written
        shutil.copytree(ready, folder, symlinks=True)
        moved(Path(ready).resolve(), folder)
        return
    world = project(folder)
    said = world.must("pipeline", "run")
    (folder.parent / "rand.said").write_text(said)
    world.must("git", "add", "dvc.lock")
    world.must("git", "commit", "-qm", "first run")
    columns = [column for column in pd.read_parquet(folder / "data/raw/rows.parquet") if column != "__row_id__"]
    usual, held = (pd.read_parquet(folder / f"data/split/{side}/rows.parquet")[columns] for side in ("test", "production"))
    write(folder / "rows.csv", numbered(usual, "u").drop(columns="any_visit"))
    write(folder / "outcomes.csv", numbered(usual, "u")[["case", "any_visit"]])
    write(folder / "deliveries/january.csv", numbered(usual, "j"))
    write(folder / "deliveries/february.csv", numbered(held, "f"))
    world.must("git", "add", "-A")
    world.must("git", "commit", "-qm", "new rows")


def first(folder: Path) -> None:
    """The bundled example as its first run leaves it: with nothing committed."""
    World(folder).must("git", "reset", "-q", "HEAD~2")


def asked(folder: Path) -> None:
    """A finished project whose champion has served: rows.csv is in its inference log."""
    params = folder / "params.yaml"
    params.write_text(params.read_text() + "\nserve: {keep: [case, person]}\n")
    world = World(folder)
    try:
        world.serve("pipeline serve")
        rows, kind = (
            (folder / "rows.csv").read_bytes(),
            {"Content-Type": "text/csv"},
        )  # `pipeline predict --url` sends the model's columns only
        requests.post(world.here("http://127.0.0.1:8000/invocations"), data=rows, headers=kind, timeout=PATIENCE).raise_for_status()
    finally:
        world.stop()


def churn(folder: Path) -> None:
    """A project with a table of customers, of whom some leave."""
    project(folder)
    rng = np.random.default_rng(0)
    rows = 1500
    months, monthly = rng.integers(0, 72, rows), np.round(rng.gamma(4, 15, rows), 2)
    plan = rng.choice(["month", "year", "two years"], rows, p=[0.5, 0.3, 0.2])
    score = 1.2 * (plan == "month") - months / 30 + monthly / 60 - 0.4 + rng.logistic(0, 0.7, rows)
    table = pd.DataFrame(
        {
            "customer_id": [f"{n:05d}-{rng.integers(1000, 9999)}" for n in range(rows)],
            "plan": plan,
            "months": months,
            "monthly_charge": monthly,
            "region": rng.choice(["north", "south", "east", "west"], rows),
            "newsletter": rng.choice(["yes", "no"], rows),
            "churned": np.where(score > 0, "yes", "no"),
        }
    )
    table.loc[rng.random(rows) < 0.05, "monthly_charge"] = np.nan
    write(folder / "churn.csv", table[:1400])
    write(folder / "new.csv", table[1400:].drop(columns="churned"))


def pets(folder: Path) -> None:
    """A project with a folder of pictures, a folder a class."""
    project(folder)
    rng = np.random.default_rng(0)
    for name, row in {"cat": 0, "dog": 12}.items():
        (folder / "pets" / name).mkdir(parents=True)
        for number in range(60):
            picture = rng.integers(0, 90, (24, 24, 3), dtype=np.uint8)
            picture[row : row + 12] += 120
            Image.fromarray(picture).save(folder / "pets" / name / f"{number}.png")


def series(folder: Path) -> None:
    """A project with daily sales of two shops, and recordings in long rows."""
    project(folder)
    rng = np.random.default_rng(0)
    days = pd.date_range("2023-01-01", periods=700, freq="D")
    shops = []
    for name, level in {"Bern": 80, "Oslo": 50}.items():
        sold = level + 20 * np.sin(2 * np.pi * days.dayofweek / 7) + np.linspace(0, 15, len(days)) + rng.normal(0, 4, len(days))
        shops.append(pd.DataFrame({"day": days.strftime("%Y-%m-%d"), "shop": name, "sold": np.round(sold, 1)}))
    write(folder / "sales.csv", pd.concat(shops))
    long = []
    for number in range(120):
        steps, kind = int(rng.integers(12, 30)), number % 2
        wave = np.sin(np.arange(steps) * (0.4 + 0.5 * kind)) + rng.normal(0, 0.2, steps)
        values = {"recording": f"r{number:03d}", "second": np.arange(steps), "x": np.round(wave, 3), "y": np.round(wave[::-1], 3)}
        long.append(pd.DataFrame({**values, "motion": ["walk", "run"][kind]}))
    write(folder / "motion.csv", pd.concat(long))


def texts(folder: Path) -> None:
    """A project with short messages, some of them complaints."""
    project(folder)
    rng = np.random.default_rng(0)
    words = "thanks great fast happy love friendly perfect / broken late refund angry never wrong missing / the order came my parcel with a"
    good, bad, common = (part.split() for part in f"{words} box from your shop on monday and i wrote to support about it".split("/"))
    rows = []
    for number in range(600):
        told = [*rng.choice(common, rng.integers(6, 20)), *rng.choice(bad if number % 3 == 0 else good, rng.integers(1, 4))]
        rows.append({"message": " ".join(rng.permutation(told)), "team": "complaints" if number % 3 == 0 else "sales"})
    write(folder / "messages.csv", pd.DataFrame(rows))


def write(file: Path, rows: pd.DataFrame) -> None:
    file.parent.mkdir(exist_ok=True)
    rows.to_csv(file, index=False)


def numbered(rows: pd.DataFrame, letter: str) -> pd.DataFrame:
    return rows.assign(case=[f"{letter}{n:05d}" for n in range(len(rows))])


WORLDS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    # name: the one that it is made from, how, and what it is
    "empty": ("", project, "a fresh clone, in which nothing has run"),
    "rand": ("", rand, "the bundled example, finished"),
    "first": ("rand", first, "the same, before anything of it is committed"),
    "asked": ("rand", asked, "rand, after its champion has served rows.csv"),
    "churn": ("", churn, "a clone with churn.csv and new.csv"),
    "pets": ("", pets, "a clone with pets/cat/*.png and pets/dog/*.png"),
    "series": ("", series, "a clone with sales.csv and motion.csv"),
    "texts": ("", texts, "a clone with messages.csv"),
}


class Worlds:
    """The projects of a test module: each made when it is first asked for, and copied for whoever asks."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.made, self.count = folder, dict[str, Path](), 0

    def original(self, name: str) -> Path:
        if name not in self.made:
            base, make, _ = WORLDS[name]
            place = self.folder / name
            if base:
                self._copy(self.original(base), place)
            make(place)
            self.made[name] = place
        return self.made[name]

    def whole_run(self) -> str:
        """What `pipeline run` printed on the bundled example."""
        original = self.original("rand")
        return (Path(os.environ["DOCS_RAND"]) if "DOCS_RAND" in os.environ else original).with_suffix(".said").read_text()

    def _copy(self, old: Path, new: Path) -> None:
        shutil.copytree(old, new, symlinks=True)
        if (new / ".state/mlflow.db").exists():
            moved(old, new)

    def copy(self, name: str) -> World:
        """A project of one's own."""
        self.count += 1
        place = self.folder / f"page{self.count}" / "project"
        self._copy(self.original(name), place)
        return World(place, names(place))


def names(folder: Path) -> dict[str, str]:
    """What the names that the docs use are in this project."""
    found = {name: str(folder.parent / name.rpartition("/")[2]) for name in ("/mnt/team", "/srv/mlflow", "/tmp/walk")}
    found |= {"git@example.com:team/visits.git": str(folder)}
    if (folder / ".state/mlflow.db").exists():
        with contextlib.closing(sqlite3.connect(folder / ".state/mlflow.db")) as store:
            name = store.execute("SELECT name FROM registered_models").fetchone()
            run = json.loads((folder / "models/run.json").read_text())
            (called,) = store.execute("SELECT name FROM runs WHERE run_uuid = ?", (run["run_id"],)).fetchone()
        found |= {"3f2a91c0": run["run"][:8], "bushy-sofa": called}
        found |= {"visits/4": f"{name[0]}/1", "visits-4": f"{name[0]}-1", "visits": name[0]} if name else {}
    return found

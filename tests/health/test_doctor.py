"""`pipeline doctor`: each look is shown a machine, a folder or a service that is amiss, and says how to mend it."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from pipeline import paths
from pipeline.cli import main
from pipeline.health import environment, examining, lines, locks, machine, places, project, services
from pipeline.health.finding import Finding, ok, warn

HOLD = "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)"
linux = pytest.mark.skipif(not locks.LOCKS.exists(), reason="this system does not tell who holds a lock")


@pytest.fixture
def hold(tmp_path):
    """Hold a lock on a file in a process of its own."""
    held: list[subprocess.Popen[str]] = []

    def start(file: Path) -> int:
        file.parent.mkdir(parents=True, exist_ok=True)
        held.append(subprocess.Popen([sys.executable, "-c", HOLD, str(file)], stdout=subprocess.PIPE, text=True))
        assert held[-1].stdout is not None
        assert held[-1].stdout.readline() == "held\n"
        return held[-1].pid

    yield start
    for process in held:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def only(found: list[Finding], what: str) -> Finding:
    (one,) = [each for each in found if each.what == what]
    return one


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(file): (file.stat().st_mtime_ns, file.stat().st_size) for file in [folder, *folder.rglob("*")]}


def tool(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(stat.S_IRWXU)


@pytest.mark.parametrize("project_of", ["nothing", "params", "broken"])
def test_it_changes_nothing_whatever_the_folder_holds(workspace, write_params, project_of):
    if project_of != "nothing":
        write_params()
        (workspace / "rows.csv").write_text("a\n")
        subprocess.run(["git", "init", "-q"], check=True)
        (workspace / ".dvc").mkdir()
    if project_of == "broken":
        (workspace / "params.yaml").write_text("train: [")
        (workspace / "dvc.yaml").write_text("stages: {")
        (workspace / ".dvc" / "config").write_text("no section")
    before = tree(workspace)
    found = examining.examine(workspace)
    assert tree(workspace) == before
    assert {one.what for one in found} >= {"python", "packages", "params", "git", "dvc", "disk", "memory", "cores", "gpu", "store"}
    failing = {one.what for one in found if one.state == "fail"}
    assert failing == ({"params", "dvc"} if project_of == "broken" else set())
    assert not [one for one in found if "could not be looked at" in one.told]


def test_the_command_prints_a_line_each_and_its_exit_code_tells_of_a_failure(workspace):
    done = CliRunner().invoke(main, ["doctor"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0].split()[:2] == ["ok", "python"]
    assert done.stdout.rstrip().splitlines()[-1].startswith("Ready")
    (workspace / "html.py").write_text("")
    done = CliRunner().invoke(main, ["doctor", "--json"])
    assert done.exit_code == 1
    one = next(each for each in json.loads(done.stdout) if each["what"] == "names")
    assert (one["state"], one["told"]) == ("fail", "html.py here hides a library of that name from the stages")
    assert list(workspace.iterdir()) == [workspace / "html.py"]


@pytest.mark.parametrize("command", ["doctor", "status"])
def test_no_heavy_library_is_imported(workspace, write_params, command):
    write_params()
    (workspace / "rows.csv").write_text("a\n")
    (workspace / "dvc.yaml").write_text("stages: {collect: {cmd: 'true', deps: ['${data.source}'], outs: [x]}}")
    code = f"import sys\nfrom pipeline.cli import main\nmain(['{command}'], standalone_mode=False)"
    code = f"import atexit\natexit.register(lambda: print('libraries', *sorted(sys.modules)))\n{code}"
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=workspace)
    assert time.monotonic() - began < 20  # 1 s where nothing else runs
    loaded = set(done.stdout.split("libraries ")[1].split())
    assert loaded & {"tensorflow", "keras", "mlflow", "optuna", "evidently", "pandas", "duckdb", "dvc"} == set(), done.stderr


def test_a_look_that_fails_is_told_and_the_others_go_on(workspace, monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda params: 1 / 0)
    found = examining.examine(workspace)
    assert only(found, "machine").told == "could not be looked at (ZeroDivisionError: division by zero)"
    assert only(found, "store").state == "ok"


# the environment


def test_packages_are_compared_with_the_lock_where_they_are_for_this_machine(workspace, monkeypatch):
    monkeypatch.setattr(environment, "_stamp", lambda: None)
    (workspace / "requirements.lock").write_text(
        "click==0.1 \\\n    --hash=sha256:0\nno-such-package==1.0 \\\n    --hash=sha256:1\n"
        "winonly==2.0 ; sys_platform == 'win32' \\\n-e .\n"
    )
    found = environment.packages(workspace)
    assert found.state == "fail"
    assert found.told.startswith("not as requirements.lock has them; missing: no-such-package; other versions: click ")
    assert found.mend == "make run"
    (workspace / "requirements.lock").write_text("click==0.1\n")
    assert environment.packages(workspace).state == "warn"
    (workspace / "requirements.lock").write_text("pytest>=1\n")
    assert environment.packages(workspace).state == "ok"


def test_the_lock_is_the_one_that_made_the_environment_and_a_stamp_in_the_way_is_named(workspace, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(workspace / ".venv"))
    (workspace / ".venv").mkdir()
    for name in environment.LOCKS:
        (workspace / name).write_text("click==0.1\n")
    assert environment.lock(workspace) == workspace / "requirements.lock"
    (workspace / ".venv" / "requirements-gpu.lock.ready").touch()
    assert environment.lock(workspace) == workspace / "requirements-gpu.lock"
    assert environment.packages(workspace).mend == "rm .venv/requirements-gpu.lock.ready, then LOCK=requirements-gpu.lock make run"


def test_the_locks_of_this_repository_are_read_whole():
    root = Path(__file__).parents[2]
    for name in environment.LOCKS:
        pinned = sum(line[:1].isalnum() for line in (root / name).read_text().splitlines())
        assert 0 < sum(1 for _ in environment.requirements(root / name)) <= pinned
        assert {one.name for one in environment.requirements(root / name)} >= {"keras", "mlflow", "dvc"}


def test_a_python_of_another_environment_first_on_the_path_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert environment.interpreter().state == "ok"
    tool(tmp_path / "bin", "python", "exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    found = environment.interpreter()
    assert (found.state, found.mend) == ("warn", f"source {Path(sys.executable).parent}/activate")
    assert f"`python` on the path is {tmp_path / 'bin' / 'python'}" in found.told


def test_files_that_hide_a_library_are_told(tmp_path):
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "load.py").touch()
    assert list(environment.shadows(tmp_path)) == []
    (tmp_path / "random.py").touch()
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras" / "__init__.py").touch()
    assert [one.told for one in environment.shadows(tmp_path)] == ["random.py, keras/ here hides a library of that name from the stages"]


# the folder


def test_mistakes_in_params_and_a_source_that_is_not_there_fail(workspace, write_params):
    assert project.params(workspace).state == "warn"
    write_params()
    assert project.params(workspace).told == "data.source: rows.csv is not there"
    (workspace / "rows.csv").touch()
    assert project.params(workspace).state == "ok"
    write_params(split={"validation": 2}, train={"epochs": "many"})
    found = project.params(workspace)
    assert found.state == "fail"
    assert found.told.startswith("params.yaml:")
    assert found.told.endswith("and 1 more")


def test_git_is_looked_at_in_each_of_its_states(workspace, monkeypatch):
    for name in ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(workspace.parent))
    assert [one.mend for one in project.git(workspace)] == ["git init && git add -A && git commit -m start"]
    subprocess.run(["git", "init", "-q", "-b", "main"], check=True)
    told = [one.told for one in project.git(workspace)]
    assert told == ["a repository without a commit: runs cannot name their code", "user.name and user.email not set: git refuses to commit"]
    monkeypatch.setenv("GIT_AUTHOR_NAME", "t")
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "t@example.com")
    commit = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "--allow-empty", "-m", "start"]
    subprocess.run(commit, check=True)
    (one,) = project.git(workspace)
    assert one.state == "ok"
    assert one.told.endswith(" on main; all committed")
    (workspace / "new.txt").touch()
    assert next(project.git(workspace)).told.endswith(" on main; 1 uncommitted, kept with each run")
    monkeypatch.setenv("PATH", str(workspace))
    assert [one.mend for one in project.git(workspace)] == ["install git"]


def test_dvc_is_looked_at_with_its_settings_and_files(workspace, write_params):
    assert next(project.dvc(workspace)).mend == "run in the project's root; in a folder of its own: dvc init"
    (workspace / ".dvc").mkdir()
    (workspace / "inner").mkdir()
    assert next(project.dvc(workspace / "inner")).mend == f"cd {workspace}"
    (workspace / ".dvc" / "config").write_text("[cache]\n    type = hardlink\n['remote \"team\"']\n    url = /mnt/team\n")
    cache, flow = project.dvc(workspace)
    assert cache.told.endswith("cache .dvc/cache, by hardlink; remote team")
    assert (flow.state, flow.what) == ("warn", "dvc.yaml")
    write_params()
    (workspace / "dvc.yaml").write_text("stages: {collect: {cmd: 'true', deps: ['${data.source}'], outs: [x]}}")
    assert list(project.dvc(workspace))[1].told.startswith("1 stage, none of which ran")
    (workspace / "dvc.lock").write_text("stages:\n  collect: [\n")
    found = list(project.dvc(workspace))[1]
    assert (found.state, found.told.partition(":")[0]) == ("fail", "dvc.lock")


@linux
def test_who_is_at_work_is_named_and_nobody_is_once_they_ended(workspace, hold):
    assert list(project.at_work(workspace)) == []
    pid = hold(workspace / ".dvc" / "tmp" / "lock")
    (found,) = project.at_work(workspace)
    assert found.told.startswith(f"dvc: process {pid} (`python")
    (workspace / ".dvc" / "tmp" / "rwlock").write_text(json.dumps({"write": {"/x": {"pid": 2**22 + 1, "cmd": "dvc repro"}}}))
    assert len(list(project.at_work(workspace))) == 1  # that process is gone
    lock = paths.state() / "locks" / f"{paths.workspace()}-train.lock"
    other = hold(lock)
    assert places.running(locks.holders) == {"train": [other]}
    assert [one.told.split(" (")[0] for one in project.at_work(workspace)] == [f"dvc: process {pid}", f"train: process {other}"]
    lock.rename(lock.with_name("elsewhere-train.lock"))
    assert places.running(locks.holders) == {}


@linux
def test_a_stage_left_behind_by_a_killed_dvc_is_told(workspace, hold, monkeypatch):
    pid = hold(paths.state() / "locks" / f"{paths.workspace()}-train.lock")
    assert next(project.at_work(workspace)).state == "ok"
    monkeypatch.setattr(locks, "is_orphan", lambda asked: asked == pid)
    assert next(project.at_work(workspace)).mend == f"wait for it: the next run of train does; or kill {pid}"


# the machine


def test_a_disk_that_runs_out_of_room_or_of_files_is_told_once(tmp_path, monkeypatch):
    real = os.statvfs(tmp_path)

    def full(free_bytes: int, files: int) -> None:
        free = free_bytes // real.f_frsize
        shaped = os.statvfs_result(
            [real.f_bsize, real.f_frsize, real.f_blocks, free, free, 10**9, files, files, real.f_flag, real.f_namemax]
        )
        monkeypatch.setattr(os, "statvfs", lambda place: shaped)

    used = {"workspace": tmp_path, "state": tmp_path / "not" / "there"}
    full(100 * machine.GB, 10**6)
    (found,) = machine.disks(used)
    assert found == ok("disk", "100.0 GB free for workspace, state")
    full(2 * machine.GB, 10**6)
    assert [one.state for one in machine.disks(used)] == ["warn"]
    full(machine.GB // 10, 10**6)
    (found,) = machine.disks(used)
    assert (found.state, found.told) == ("fail", "100 MB free for workspace, state")
    full(100 * machine.GB, 10)
    assert next(machine.disks(used)).told.endswith("but only 10 more files (inodes)")
    monkeypatch.setattr(os, "access", lambda place, how: False)
    assert [one.state for one in machine.disks(used)] == ["fail", "fail", "fail"]


def test_memory_is_that_of_the_container_and_what_params_ask_is_held_against_it(tmp_path, monkeypatch):
    limit, used = tmp_path / "max", tmp_path / "current"
    monkeypatch.setattr(machine.resources, "CGROUPS", (limit,))
    monkeypatch.setattr(machine, "USED", (used,))
    limit.write_text(str(2 * machine.GB))
    used.write_text(str(machine.GB // 2))
    (found,) = machine.memory("auto")
    assert found.told == "1.5 GB of 2.0 GB free"
    assert next(machine.memory("auto")).state == "warn"
    assert [one.told for one in machine.memory("64GB")][1] == "params.yaml: memory is 64GB, more than there is"
    limit.write_text(str(machine.GB))
    assert next(machine.memory("auto")).state == "fail"


def test_workers_beyond_the_cores_a_quota_and_a_wrong_clock_are_told(workspace, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    monkeypatch.setattr(machine.resources, "cores", lambda: 4)
    assert machine.cores({"tune": {"workers": 9}}).mend == "tune.workers: 4"
    monkeypatch.setattr(machine, "QUOTA", tmp_path / "cpu.max")
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert machine.cores({}) == ok("cores", "4 cores, of which the container may take 1.5")
    monkeypatch.setattr(os, "getloadavg", lambda: (40.0, 0.0, 0.0))
    assert machine.cores({}).state == "warn"
    (workspace / "params.yaml").touch()
    assert list(machine.clock(workspace)) == []
    os.utime(workspace / "params.yaml", (time.time() + 7200,) * 2)
    assert "params.yaml was written later" in next(machine.clock(workspace)).told


CARD = "echo 'NVIDIA L4, 23034 MiB, 550.54.15'"
GPU_LOCK = "LOCK=requirements-gpu.lock make run"


@pytest.mark.parametrize(
    ("script", "device", "cuda", "hidden", "state", "told", "mend"),
    [
        (CARD, "auto", "", None, "warn", "TensorFlow is installed without CUDA: it computes on the CPU", GPU_LOCK),
        (CARD, "gpu", "", None, "fail", "NVIDIA L4, 23034 MiB, driver 550.54.15, but", GPU_LOCK),
        (CARD, "gpu", "nvidia-cudnn-cu12 9", None, "ok", "NVIDIA L4, 23034 MiB, driver 550.54.15; nvidia-cudnn-cu12 9", ""),
        (f"{CARD}; {CARD}", "auto", "nvidia-cudnn-cu12 9", None, "ok", "2 x NVIDIA L4", ""),
        (CARD, "cpu", "nvidia-cudnn-cu12 9", None, "ok", "unused: train.device is cpu", ""),
        (CARD, "auto", "nvidia-cudnn-cu12 9", "-1", "warn", "hidden by CUDA_VISIBLE_DEVICES='-1'", "unset CUDA_VISIBLE_DEVICES"),
        ("echo 'NVIDIA-SMI has failed: X'; exit 9", "auto", "", None, "warn", "NVIDIA-SMI has failed: X", "see `nvidia-smi`"),
        ("exit 9", "gpu", "", None, "fail", "train.device is gpu, but nvidia-smi: no GPU", "train.device: auto trains on the CPU"),
    ],
)  # fmt: skip
def test_a_gpu_is_held_against_its_driver_the_libraries_and_what_is_asked(
    tmp_path, monkeypatch, script, device, cuda, hidden, state, told, mend
):
    tool(tmp_path / "bin", "nvidia-smi", script)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(machine, "libraries", lambda backend: cuda)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    (found,) = machine.gpu({"train": {"device": device}})
    assert (found.state, found.mend) == (state, mend)
    assert told in found.told


def test_no_gpu_is_fine_unless_one_is_asked_for_and_a_backend_that_is_not_there_fails(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "driver", lambda: ("", ""))
    assert [one.state for one in machine.gpu({})] == ["ok"]
    (found,) = machine.gpu({"train": {"device": "gpu"}})
    assert (found.state, found.mend) == ("fail", "train.device: auto trains on the CPU")
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    backend, _ = machine.gpu({})
    assert (backend.told, backend.mend) == ("torch is asked for; networks run on tensorflow or jax", "unset KERAS_BACKEND")
    assert next(machine.gpu({"train": {"backend": "theano"}})).mend == "train.backend: tensorflow"


def test_cuda_of_the_system_counts_too(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "SYSTEM", ())
    monkeypatch.setattr(machine, "CUDA", ("no-such-package",))
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{tmp_path}")
    assert machine.libraries("tensorflow") == ""
    (tmp_path / "libcudnn.so.9").touch()
    assert machine.libraries("tensorflow") == f"CUDA of the system ({tmp_path}/libcudnn.so.9)"
    assert machine.libraries("jax") == ""


# services


def test_the_store_is_told_as_it_is_and_never_made(workspace, monkeypatch):
    assert services.store() == ok("store", "SQLite in .state, made by the first run")
    assert not (workspace / ".state").exists()
    (workspace / ".state").mkdir()
    with closing(sqlite3.connect(workspace / ".state" / "mlflow.db")) as made:
        made.execute("create table runs (x)")
        made.execute("insert into runs values (1)")
        made.commit()
    assert services.store().told.startswith("SQLite, 1 runs, answers in ")
    (workspace / ".state" / "mlflow.db").write_text("this is no database, and it is long enough to be read as one" * 20)
    assert services.store().state == "warn"
    assert "file is not a database" in services.store().told


@linux
def test_a_store_that_is_locked_names_who_holds_it(workspace, monkeypatch):
    monkeypatch.setattr(services.glance, "PATIENCE", 0.2)
    (workspace / ".state").mkdir()
    file = workspace / ".state" / "mlflow.db"
    with closing(sqlite3.connect(file)) as made:
        made.execute("create table runs (x)")
    code = "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1]); c.execute('begin exclusive')"
    code += "; print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        found = services.store()
        other.kill()
    assert found.state == "warn"
    assert "database is locked" in found.told
    assert f"held by process {other.pid} (`python" in found.told


@pytest.mark.parametrize("scheme", ["http://", "postgresql://user:secret@"])
def test_a_store_that_is_away_is_told_in_seconds_without_its_password(workspace, monkeypatch, scheme):
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"{scheme}127.0.0.1:{taken.getsockname()[1]}/x")
        began = time.monotonic()
        found = services.store()
    assert time.monotonic() - began < 5
    assert found.state == "warn"
    assert "Connection refused" in found.told
    assert "secret" not in found.told


def test_a_server_that_is_not_mlflow_or_says_nothing_is_told(workspace, monkeypatch):
    monkeypatch.setattr(services.glance, "PATIENCE", 0.3)
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert "timed out" in services.store().told


def test_the_database_of_sweeps_is_looked_for(monkeypatch):
    assert list(services.sweeps(None)) == []
    monkeypatch.delenv("SWEEPS", raising=False)
    assert next(services.sweeps("SWEEPS")).mend == "export SWEEPS=postgresql://..."
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        address = f"postgresql+psycopg://u:secret@127.0.0.1:{listening.getsockname()[1]}/db"
        monkeypatch.setenv("SWEEPS", address)
        found = next(services.sweeps("SWEEPS"))
        assert (found.state, "secret" in found.told) == ("fail", False)
        listening.listen()
        assert next(services.sweeps(address)).state == "ok"


def test_a_port_that_is_taken_names_who_has_it():
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        number = listening.getsockname()[1]
        found = next(services.port("127.0.0.1", number))
        assert found.state == "warn"
        assert found.told.startswith(f"{number} is taken by process {os.getpid()} (")
    assert next(services.port("127.0.0.1", number)).state == "ok"
    assert list(services.port("127.0.0.1", 0)) == []


def test_runs_that_wait_to_be_sent_are_counted_unless_someone_is_at_work_on_them(workspace, hold):
    from pipeline.tracking.journal import Journal

    assert list(services.unsent()) == []
    for key in ("one", "two"):
        Journal.begin(key, store="own", experiment="e", tags={"stage": "train"}).add(status="RUNNING", time=None)
    assert next(services.unsent()) == warn("sends", "2 runs of which the MLflow store lacks something", "pipeline sync")
    if locks.LOCKS.exists():
        hold(paths.state() / "locks" / "run-one.lock")
        assert next(services.unsent()).told.startswith("1 run of")


def test_looking_names_the_places_that_the_stages_use(workspace):
    state, store = paths.state_folder(), places.store()
    assert not state.exists()
    from pipeline.tracking.store import uri

    assert (paths.state(), uri()) == (state, store)


def test_what_findings_come_to():
    assert lines.verdict([ok("a", "b")]) == "Ready."
    assert lines.verdict([warn("a", "b"), ok("c", "d")]) == "Ready; 1 thing worth a look."
    assert lines.verdict([Finding("fail", "a", "b")] * 2).startswith("2 things keep the pipeline from running")


def test_params_of_the_project_are_read_raw(workspace):
    (workspace / "params.yaml").write_text(yaml.safe_dump({"train": {"device": "gpu", "epoks": 1}}))
    assert project.raw(workspace)["train"]["device"] == "gpu"
    (workspace / "params.yaml").write_text("- a\n- list\n")
    assert project.raw(workspace) == {}

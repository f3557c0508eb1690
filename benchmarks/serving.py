"""`pipeline serve` beside `mlflow models serve`, with the same package and the same clients, in one run.

Run: `python benchmarks/serving.py` (some ten minutes); `--requests 10000` for a shorter look at memory.

A model of the RAND example is trained here without a sweep.  The clients are one process that keeps its connections, sends raw rows of the
example one a request, and reads each answer; it takes of the same cores.  Every answer is compared with that of the package itself.
"""

from __future__ import annotations

import argparse
import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import workspace

P50, P99, TIMES, START, LOGGED = 15.0, 200.0, 10.0, 20.0, 0.10
GROWTH = 1.05  # of memory while the requests are answered
CLIENTS = 16
ROWS = 500  # different rows that are asked

CLIENT = """
import asyncio, json, sys, time
host, port, clients, seconds, most, file = sys.argv[1:]
asked = json.load(open(file))
bodies = [json.dumps({"dataframe_split": {"columns": asked["columns"], "data": [row]}}).encode() for row in asked["data"]]
head = f"POST /invocations HTTP/1.1\\r\\nHost: {host}\\r\\nContent-Type: application/json\\r\\nContent-Length: "
requests = [f"{head}{len(body)}\\r\\n\\r\\n".encode() + body for body in bodies]
times, wrong, sent = [], 0, 0

async def client(end):
    global wrong, sent
    reader, writer = await asyncio.open_connection(host, int(port))
    while time.perf_counter() < end and sent < int(most):
        at, sent = sent % len(requests), sent + 1
        started = time.perf_counter()
        writer.write(requests[at])
        heads = (await reader.readuntil(b"\\r\\n\\r\\n")).lower()
        body = await reader.readexactly(int(heads.split(b"content-length: ")[1].split(b"\\r")[0]))
        times.append(time.perf_counter() - started)
        told = json.loads(body)["predictions"][0] if heads.split(b" ")[1] == b"200" else {}
        wrong += not all(abs(told.get(name, 9.0) - value) < 1e-6 for name, value in asked["answers"][at].items())
    writer.close()

async def main():
    started = time.perf_counter()
    await asyncio.gather(*(client(started + float(seconds)) for _ in range(int(clients))))
    return time.perf_counter() - started

wall = asyncio.run(main())
times.sort()
at = lambda share: 1000 * times[min(int(share * len(times)), len(times) - 1)]
print(json.dumps({"requests": len(times), "wrong": wrong, "rate": len(times) / wall, "p50": at(0.5), "p99": at(0.99)}))
"""
ANSWERS = """
import json, sys
import mlflow.pyfunc, pandas
package, raw, file, count = sys.argv[1:]
model = mlflow.pyfunc.load_model(package)
names = model.metadata.get_input_schema().input_names()
rows = pandas.read_parquet(raw, columns=names).sample(int(count), random_state=1)
asked = json.loads(rows.to_json(orient="split"))
told = model.predict(pandas.DataFrame(asked["data"], columns=asked["columns"]))
answers = json.loads(told.filter(like="probability").to_json(orient="records", double_precision=15))
json.dump({"columns": asked["columns"], "data": asked["data"], "answers": answers}, open(file, "w"))
"""


@contextmanager
def running(folder: Path, *command: str, port: int, **env: str) -> Iterator[tuple[psutil.Process, float]]:
    """A server of that command once it answers /ping, and the seconds that it took; stopped after the block."""
    with tempfile.TemporaryFile("w+") as noise:
        started = time.monotonic()
        environment = workspace.environment(folder) | env
        process = subprocess.Popen([sys.executable, *command], cwd=folder, env=environment, stdout=noise, stderr=noise)
        try:
            while not _answers(port):
                if process.poll() is not None or time.monotonic() - started > 300:
                    noise.seek(0)
                    raise SystemExit(noise.read())
                time.sleep(0.02)
            yield psutil.Process(process.pid), time.monotonic() - started
        finally:
            process.terminate()
            process.wait()


def _answers(port: int) -> bool:
    try:
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=1).status == 200)
    except OSError:
        return False


def free() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def load(folder: Path, port: int, *, clients: int, seconds: float = 1e6, most: int = 10**9) -> dict[str, Any]:
    """What the clients measured; ends where an answer was wrong or none."""
    words = (str(clients), str(seconds), str(most), str(folder / "asked.json"))
    found: dict[str, Any] = json.loads(workspace.cost(folder, "-c", CLIENT, "127.0.0.1", str(port), *words).output)
    if found["wrong"]:
        raise SystemExit(f"{found['wrong']} of {found['requests']} answers are none or not the package's")
    return found


def shown(name: str, found: dict[str, Any]) -> None:
    print(f"{name:42} {found['requests']:>8,} {found['rate']:>9,.0f} {found['p50']:>8.1f} {found['p99']:>8.1f}", flush=True)


def resident(process: psutil.Process) -> float:
    """MB of a server and its processes."""
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True))) / 1e6


def main() -> None:
    """Print what both servers do, and whether the promises were kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    print(f"{workspace.machine()}\n")
    with workspace.copy() as folder:
        params = folder / "params.yaml"
        params.write_text(re.sub(r"trials: \d+", "trials: 0", params.read_text()))
        workspace.cost(folder, "-m", "dvc", "repro", "register")
        name = "models:/rand_health@champion"
        workspace.cost(folder, "-c", ANSWERS, "models/package", "data/raw/rows.parquet", str(folder / "asked.json"), str(ROWS))
        ours, plain = ("-m", "pipeline", "serve", "--model", name, "--port"), ("-m", "mlflow", "models", "serve", "-m", name)
        print(f"{'':42} {'requests':>8} {'a second':>9} {'p50 ms':>8} {'p99 ms':>8}")
        port = free()
        with running(folder, *ours, str(port), port=port) as (process, start):
            one = load(folder, port, clients=1, seconds=15)
            shown("pipeline serve, 1 client", one)
            many = load(folder, port, clients=CLIENTS, seconds=given.seconds)
            shown(f"pipeline serve, {CLIENTS} clients", many)
            before = resident(process)
            shown(f"pipeline serve, {CLIENTS} clients, memory", load(folder, port, clients=CLIENTS, most=given.requests))
            growth = resident(process) / before
        port = free()
        store = f"sqlite:///{folder / '.state' / 'mlflow.db'}"
        rival = (*plain, "--env-manager", "local", "--port", str(port))
        with running(folder, *rival, port=port, MLFLOW_TRACKING_URI=store) as (_, slow):
            single = load(folder, port, clients=1, seconds=15)
            shown("mlflow models serve, 1 client", single)
            several = load(folder, port, clients=CLIENTS, seconds=30)
            shown(f"mlflow models serve, {CLIENTS} clients", several)
        with_log, without = free(), free()
        pairs = []
        with running(folder, *ours, str(with_log), port=with_log), running(folder, *ours, str(without), "--no-log", port=without):
            for turn in range(6):
                pair = [
                    load(folder, port, clients=CLIENTS, seconds=8)["rate"]
                    for port in ((with_log, without) if turn % 2 else (without, with_log))
                ]
                pairs.append(pair if turn % 2 else pair[::-1])
        cost = 1 - statistics.median(logged / silent for logged, silent in pairs[1:])
    times, alone = many["rate"] / several["rate"], one["rate"] / single["rate"]
    print(f"\nstart to first answer {start:.1f} s (mlflow {slow:.1f})")
    print(f"requests a second: {times:.1f} times ({CLIENTS} clients), {alone:.1f} times (one)")
    print(f"memory {growth:.3f} times after {given.requests:,} requests; the log costs {100 * cost:.1f}% of the requests a second\n")
    workspace.verdict(f"one row: p50 under {P50:g} ms ({one['p50']:.1f})", one["p50"] < P50)
    workspace.verdict(f"at least {TIMES:g} times the requests a second of mlflow models serve ({times:.1f})", times >= TIMES)
    workspace.verdict(f"{CLIENTS} clients: no error, p99 under {P99:g} ms ({many['p99']:.1f})", many["p99"] < P99)
    workspace.verdict(f"memory flat over {given.requests:,} requests (at most {GROWTH} times)", growth <= GROWTH)
    workspace.verdict(f"start to first answer under {START:g} s", start < START)
    workspace.verdict(f"the inference log costs under {100 * LOGGED:g}% of the requests a second", cost < LOGGED)


if __name__ == "__main__":
    main()

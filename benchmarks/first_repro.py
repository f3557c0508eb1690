"""The first `dvc repro`, from nothing, with the default params: wall and CPU seconds of each stage, peak memory.

Run: `python benchmarks/first_repro.py`.  Takes as long as the pipeline itself, some minutes.

A stage's wall time runs from DVC's line "Running stage" to the next one, so it holds the start of Python, all imports and
DVC's hashing of what the stage wrote.  Its CPU time is what DVC's finished children used in between; the line "(dvc)"
has the wall time before the first stage and the CPU time of DVC itself.  Memory is that of
DVC and all processes below it, summed every 0.2 s: as PSS (pages shared by n processes count 1/n in each) where the
system tells it, else as USS (shared pages not counted).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import workspace

SECONDS, GIGABYTES = 300, 2.0
EVERY = 0.2


class Memory(threading.Thread):
    """Samples the memory of a process and all below it, and keeps the peak of each stage in bytes."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process, self.stage, self.peaks, self.kind, self.samples = psutil.Process(pid), "(dvc)", {}, "", 0

    def run(self) -> None:
        while self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE:
            total = 0
            for process in [self.process, *self.process.children(recursive=True)]:
                try:
                    found = process.memory_full_info()
                except psutil.Error:  # it has ended since
                    continue
                self.kind = "PSS" if hasattr(found, "pss") else "USS"
                total += found.pss if self.kind == "PSS" else found.uss
            self.peaks[self.stage] = max(total, self.peaks.get(self.stage, 0))
            self.samples += 1
            time.sleep(EVERY)


def measure(folder: Path) -> tuple[dict[str, tuple[float, float]], Memory, float, float]:
    """Wall and CPU seconds of each stage, the memory sampler, and wall and CPU seconds of it all."""
    command = [sys.executable, "-m", "dvc", "repro"]
    started = time.monotonic()
    process = subprocess.Popen(
        command, cwd=folder, env=workspace.environment(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    memory, dvc = Memory(process.pid), psutil.Process(process.pid)
    memory.start()

    def mark(stage: str) -> tuple[str, float, float]:
        used = dvc.cpu_times()  # still told of a process that has ended and was not waited for
        return stage, time.monotonic() - started, used.children_user + used.children_system

    marks, told = [mark("(dvc)")], []
    for line in process.stdout:
        told.append(line)
        if stage := re.match(r"Running stage '(\w+)'", line):
            marks.append(mark(stage[1]))
            memory.stage = stage[1]
    marks.append(mark("end"))
    _, status, used = os.wait4(process.pid, 0)
    wall, process.returncode = time.monotonic() - started, os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit("".join(told[-40:]))
    stages = {name: (marks[at + 1][1] - start, marks[at + 1][2] - cpu) for at, (name, start, cpu) in enumerate(marks[:-1])}
    cpu = used.ru_utime + used.ru_stime
    stages["(dvc)"] = stages["(dvc)"][0], cpu - marks[-1][2]
    return stages, memory, wall, cpu


def main() -> None:
    with workspace.copy() as folder:
        print(f"dvc repro from nothing; {workspace.machine()}")
        stages, memory, wall, cpu = measure(folder)
    print(f"\n{'stage':10} {'wall s':>8} {'CPU s':>8} {'peak MB':>8}")
    for stage, (seconds, used) in stages.items():
        print(f"{stage:10} {seconds:8.1f} {used:8.1f} {memory.peaks.get(stage, 0) / 1e6:8.0f}")
    peak = max(memory.peaks.values()) / 1e9
    print(f"{'all':10} {wall:8.1f} {cpu:8.1f} {1000 * peak:8.0f}   (summed {memory.kind}, {memory.samples} samples)")
    print(f"load at the end {os.getloadavg()[0]:.1f}")
    workspace.verdict(f"under {SECONDS} s and {GIGABYTES:g} GB", wall < SECONDS and peak < GIGABYTES)


if __name__ == "__main__":
    main()

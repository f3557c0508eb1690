"""The package in a process of its own: tables go to it and answers come back over pipes, each as an Arrow stream behind its length."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from contextlib import suppress
from typing import IO

import pyarrow as pa

from pipeline import fresh
from pipeline.errors import UserError
from pipeline.packaging import Package

CHILD = """
import json, os, re, sys, warnings
answers = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)  # what libraries print shall not stand among the answers
warnings.filterwarnings("ignore")
import mlflow.pyfunc, pandas, pyarrow
package, whole = sys.argv[1], sys.argv[2] == "whole"
model = mlflow.pyfunc.load_model(package).unwrap_python_model()  # without MLflow's look at every value of every column
import pipeline.predict
code = os.path.realpath(pipeline.predict.__file__)
if not code.startswith(package + os.sep):
    sys.exit(f"the package ran {code}, which is not its own")

direct = None if whole else getattr(getattr(model, "model", None), "answer", None)  # which older packages do not have

def answer(table):
    if direct:
        return direct(table)
    found = model.predict(None, table.to_pandas(types_mapper=None if whole else pandas.ArrowDtype))
    return pyarrow.Table.from_pandas(found, preserve_index=False)

def refused(table, error):  # whatever the package's code raises, in any version of it: told for its row
    start, stop = 0, 0 if whole else len(table)
    while stop - start > 1:
        middle = (start + stop) // 2
        try:
            answer(table.slice(start, middle - start))
            start = middle
        except Exception:
            stop = middle
    row = None
    try:
        if stop > start:
            answer(table.slice(start, 1))
    except Exception as alone:
        row, error = start, alone
    text = str(error) if type(error).__name__ == "UserError" else f"{type(error).__name__}: {error}"
    text = re.sub(",? at position [0-9]+", "", text)  # of the row alone, not of the file
    return json.dumps({"row": row, "text": " ".join(text.split())}).encode()

while head := sys.stdin.buffer.read(8):
    table = pyarrow.ipc.open_stream(sys.stdin.buffer.read(int.from_bytes(head, "big"))).read_all()
    try:
        found, kind = answer(table), b"A"
        sink = pyarrow.BufferOutputStream()
        with pyarrow.ipc.new_stream(sink, found.schema) as out:
            out.write_table(found)
        reply = sink.getvalue()
    except Exception as error:
        reply, kind = refused(table, error), b"E"
    answers.write(kind + len(reply).to_bytes(8, "big"))
    answers.write(reply)
    answers.flush()
"""


class Refused(Exception):
    """The package does not take a block: `row` is the place in it of the first row at fault, None where it is no single row's."""

    def __init__(self, row: int | None, text: str) -> None:
        super().__init__(text)
        self.row = row


HEAD = 9  # bytes before a reply: its kind, and how long it is


def command(package: Package) -> list[str]:
    """The command of the package's process."""
    return fresh.command(CHILD, str(package.folder), "whole" if package.whole else "rows")


def message(table: pa.Table) -> list[memoryview | bytes | pa.Buffer]:
    """What is sent to the process for `table`, in parts."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table)
    sent = sink.getvalue()
    return [len(sent).to_bytes(8, "big"), sent]


def expected(head: bytes) -> int:
    """Bytes of the reply that follows a head."""
    return int.from_bytes(head[1:], "big")


def answer(head: bytes, reply: bytes) -> pa.Table:
    """The answers in a reply.

    Raises:
        Refused: the package does not take the rows.
    """
    if head[:1] == b"E":
        told = json.loads(reply)
        raise Refused(told["row"], told["text"])
    return pa.ipc.open_stream(reply).read_all()


def death(package: Package, code: int, noise: IO[bytes]) -> str:
    """What is told of a process that ended with `code`.

    Args:
        noise: what it printed.
    """
    noise.seek(0)
    last = (noise.read().decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
    mistake = last.partition("UserError: ")[2]  # of the package itself, such as a file that was changed
    if mistake:
        return mistake
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}: {last}"
    return f"{package.folder}: the model's process {how}"


class Child:
    """A package in a fresh process, which answers tables one after another; as a context it ends with the block.

    What the process prints is shown only where it dies.
    """

    def __init__(self, package: Package) -> None:
        self.package = package
        self.noise = tempfile.TemporaryFile()  # noqa: SIM115  (closed in __exit__)
        self.process = subprocess.Popen(command(package), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.noise)

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        with suppress(BrokenPipeError):
            self.process.__exit__(None, None, None)
        self.noise.close()

    def ask(self, table: pa.Table) -> pa.Table:
        """The answers for `table`.

        Raises:
            Refused: the package does not take the rows.
            UserError: its process died.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.writelines(message(table))
            self.process.stdin.flush()
        head = self.process.stdout.read(HEAD)
        reply = self.process.stdout.read(expected(head)) if len(head) == HEAD else b""
        if len(head) < HEAD or len(reply) < expected(head):
            raise UserError(death(self.package, self.process.wait(), self.noise))
        return answer(head, reply)


class Standby:
    """A `Child` that begins when it is first asked."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self._child: Child | None = None

    def __enter__(self) -> Standby:
        return self

    def __exit__(self, *_: object) -> None:
        if self._child:
            self._child.__exit__()

    def ask(self, table: pa.Table) -> pa.Table:
        """As `Child.ask`."""
        self._child = self._child or Child(self.package)
        return self._child.ask(table)

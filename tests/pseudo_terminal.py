"""What a command writes where it has a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any


def shown(words: Sequence[str], *, env: Mapping[str, str], code: int = 0, **streams: Any) -> str:
    """What a pseudo-terminal gets of the command's standard error; the command ends with exit code `code`.

    Args:
        streams: further ones, as of `Popen`; "terminal" leads there too.
    """
    ours, theirs = pty.openpty()
    given = {name: theirs if stream == "terminal" else stream for name, stream in streams.items()}
    process = subprocess.Popen(words, env=dict(env), stderr=theirs, **given)
    os.close(theirs)
    found = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        found += part
    os.close(ours)
    assert process.wait(timeout=60) == code, found.decode()
    return found.decode()

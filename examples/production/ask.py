"""A client: asks a server about the rows of a CSV file, 50 a request.  Run: `python ask.py URL FILE`."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import requests

ROWS = 50


def ask(url: str, file: Path) -> Counter[str]:
    """Rows answered, by the version that answered them.

    Raises:
        requests.HTTPError: an answer is none.
    """
    header, *lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    found = Counter[str]()
    with requests.Session() as session:
        for at in range(0, len(lines), ROWS):
            body = (header + "".join(lines[at : at + ROWS])).encode()
            answer = session.post(f"{url}/invocations", data=body, headers={"Content-Type": "text/csv"}, timeout=60)
            answer.raise_for_status()
            found[answer.headers["X-Model-Version"]] += len(answer.json()["predictions"])
    return found


if __name__ == "__main__":
    for version, rows in sorted(ask(sys.argv[1], Path(sys.argv[2])).items()):
        print(f"{rows:,} rows answered by version {version}")

"""kill -9 of a server under load, twenty times over one log: what was on disk stays, and at most the last second is lost."""

from __future__ import annotations

import threading
import time

import pytest
import requests
from served import Server, records

from pipeline.inference_log import reading, segments

KILLS = 20
PROMISED = 1.0  # seconds after which an answer is on disk


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_killed_server_loses_at_most_its_last_second(package, rows, tmp_path):
    asked = records(rows)
    acknowledged, lost, kept = {}, 0, 0
    coming = Server(package, tmp_path, "--log", "log")
    for turn in range(KILLS):
        server, answered, ended = coming.ready(), dict[str, float](), threading.Event()
        if turn + 1 < KILLS:  # the next one starts meanwhile, in the same folder
            coming = Server(package, tmp_path, "--log", "log")

        def ask(client: int, server=server, answered=answered, ended=ended, turn=turn) -> None:
            session, number = requests.Session(), 0
            while not ended.is_set():
                request, number = f"{turn}-{client}-{number}", number + 1
                try:
                    body = {"dataframe_records": asked[number % 100 : number % 100 + 2]}
                    found = session.post(f"{server.url}/invocations", json=body, headers={"X-Request-ID": request}, timeout=60)
                except requests.RequestException:
                    return
                if found.status_code == 200:
                    answered[request] = time.monotonic()

        clients = [threading.Thread(target=ask, args=(at,)) for at in range(4)]
        for client in clients:
            client.start()
        time.sleep(2.0 + 0.1 * turn)
        children = server.children
        killed = time.monotonic()
        server.kill()
        ended.set()
        for client in clients:
            client.join()
        server.noise.close()
        acknowledged |= {request: killed - when for request, when in answered.items()}
        assert len(answered) > 20
        end = time.monotonic() + 20
        while any(child.is_running() and child.status() != "zombie" for child in children):  # nothing is left behind
            assert time.monotonic() < end
            time.sleep(0.05)
        found = reading.read(tmp_path / "log", columns=["request_id", "row"]).to_pandas()
        assert not found.duplicated(["request_id", "row"]).any()
        counts = found.groupby("request_id").size()
        assert set(counts) == {2}  # whole requests
        gone = {request: age for request, age in acknowledged.items() if request not in counts.index}
        assert not [request for request, age in gone.items() if age > PROMISED], gone
        lost, kept = len(gone), len(counts)
        for file in (tmp_path / "log").glob(f"*{segments.GROWING}"):
            list(segments.complete(file))  # readable, whatever was cut
    assert kept > lost
    print(f"{kept} requests kept, {lost} of the last second before {KILLS} kills lost")

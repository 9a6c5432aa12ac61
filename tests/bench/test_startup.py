"""How soon a server started on a bundle answers; `make bench` prints the figures."""

import os
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from policy_server.bundle import Categorical
from tests.bundles import config_text, floats, write_linear_bundle
from tests.ports import free_port

ROUNDS = 7


def seconds_to_first_answer(config: Path) -> tuple[float, float]:
    """Returns the seconds from process start to the first 200 of /predict/, and the process's memory in MiB."""
    port = free_port()
    start = time.perf_counter()
    ports = ["--port", str(port), "--metrics-port", str(free_port()), "--host", "127.0.0.1"]
    command = [sys.executable, "-m", "policy_server", "--config", str(config), *ports]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while True:
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/predict/", b'{"a": 1, "b": 2, "c": 3}', {"Content-Type": "application/json"}
            )
            try:
                with urllib.request.urlopen(request, timeout=30):
                    seconds = time.perf_counter() - start
                    break
            except OSError:
                assert process.poll() is None
                time.sleep(0.005)
        resident = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return seconds, resident / 2**20
    finally:
        process.terminate()
        process.wait()


def python_alone() -> float:
    """Returns the seconds that the interpreter takes to start and to import FastAPI: the floor on this machine."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import fastapi, uvicorn"], check=True)
    return time.perf_counter() - start


def test_a_server_answers_soon_after_its_process_starts(tmp_path: Path) -> None:
    config = tmp_path / "server.json"
    config.write_text(config_text(write_linear_bundle(tmp_path / "bundle", Categorical(size=4)), floats("a", "b", "c")))
    figures = [(*seconds_to_first_answer(config), python_alone()) for _ in range(ROUNDS)]
    seconds, memory, floor = (statistics.median(column) for column in zip(*figures, strict=True))
    print(f"\nfirst answer after {seconds:.2f} s (importing FastAPI alone: {floor:.2f} s); {memory:.0f} MiB resident")
    assert seconds < 15, "ten times what is expected"

"""What serving costs: ``python -m bench.served RECORDING [--seconds 60] [--json FILE]``.

Everything is asked of ``python app.py`` in a process of its own, page and API on one port.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

from bench.texts import PREVIEW, TEXTS

ROOT = Path(__file__).parent.parent
MODEL = "speech-2.8-turbo"
CLONE_PATH = "/v3/minimax-voice-cloning"
N_CLIENTS = 50
N_STARTS = 7
N_CLONES = 7
"""Clones of a start. Equal processes differ by up to 10 %, each for as long as it lives: many starts tell more."""

N_CONNECTIONS = 4
RATE_S = 5.0
N_TURNS = 3
N_PARTS = 4
"""Parts of the crowd's time, with a look at the memory after each."""

WITHIN_S = 300
LONGER = " ".join(TEXTS[:4])
"""Long enough that one client does not meet the rate limit of its key."""

KEYS = [f"bench-key-{i}" for i in range(N_CLIENTS + 1)]
ALONE = """
import sys, time
from pathlib import Path
from bench.served import MODEL
from clone import CloneOptions, CloneOrder, Settings, Studio
studio = Studio(Settings.at(Path(sys.argv[1])))
studio.start()
while not studio.ready: time.sleep(0.1)
print("ready", flush=True)
for line in sys.stdin:
    options = CloneOptions(text=line.strip(), model=MODEL)
    list(studio.clone(CloneOrder("bench", Path(sys.argv[2]), options, consent=True)))
    print("done", flush=True)
"""
BARE = """
import sys, uvicorn
from fastapi import FastAPI
from clone.contract.cloning import CloneRequest
app = FastAPI()
@app.post("/v3/minimax-voice-cloning")
async def clone(body: CloneRequest): return {"voice_id": body.audio_url}
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.served", description="Measure what serving costs.")
    parser.add_argument("recording", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the clients ask")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    recording = arguments.recording.absolute()
    with tempfile.TemporaryDirectory(prefix="timbre-bench-") as home, files(recording.parent) as url:
        audio_url = f"{url}/{recording.name}"
        found |= overhead(audio_url, recording, Path(home))
        with app(Path(home) / "served") as (server, pid):
            found |= requests_per_second(server)
            found |= crowd(server, pid, audio_url, arguments.seconds)
    print(json.dumps(found, indent=2))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def overhead(audio_url: str, recording: Path, home: Path) -> dict[str, float]:
    """Clone with a preview of about 10 s, in turns through HTTP and by the engine in a process of its own."""
    served, alone = [], []
    for start in range(N_STARTS):
        folder = home / f"start-{start}"
        command = [sys.executable, "-c", ALONE, str(folder / "alone"), str(recording)]
        with (
            app(folder / "served") as (server, _),
            subprocess.Popen(command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as engine,
        ):
            assert engine.stdin is not None
            assert engine.stdout is not None
            engine.stdout.readline()
            for turn in range(N_CLONES):
                text = f"{PREVIEW} Take {turn}."  # the same request again would be answered from what is kept
                body = {"audio_url": audio_url, "text": text, "model": MODEL}
                both = [
                    (alone, lambda text=text: said_and_done(engine, text)),
                    (served, lambda body=body: post(server, CLONE_PATH, body, KEYS[-1]).raise_for_status()),
                ]
                for times, ask in both if turn % 2 else reversed(both):  # who goes second finds caches warm
                    begun = time.perf_counter()
                    ask()
                    if turn:  # the first ones warm up
                        times.append(time.perf_counter() - begun)
            engine.stdin.close()
    alone_s, served_s = statistics.median(alone), statistics.median(served)
    return {"alone_s": alone_s, "served_s": served_s, "overhead": served_s / alone_s - 1}


def said_and_done(engine: subprocess.Popen[str], text: str) -> None:
    """Have the engine's process clone once, with this preview."""
    assert engine.stdin is not None
    assert engine.stdout is not None
    print(text, file=engine.stdin, flush=True)
    assert engine.stdout.readline(), "the engine's process ended"


def requests_per_second(server: str) -> dict[str, float]:
    """Ask for what the contract refuses, and a bare FastAPI route for what it takes and for what it refuses."""
    rates: dict[str, list[float]] = {"served": [], "bare": [], "bare_refusing": []}
    good, bad = {"audio_url": "https://example.com/a.mp3"}, {"audio_url": "https://example.com/a.mp3", "accuracy": 2}
    port = free_port()
    command = [sys.executable, "-c", BARE, str(port)]
    with started(command, dict(os.environ), f"http://127.0.0.1:{port}/docs"):
        for _ in range(N_TURNS):
            rates["served"].append(rate(int(server.rpartition(":")[2]), bad))
            rates["bare"].append(rate(port, good))
            rates["bare_refusing"].append(rate(port, bad))
    median = {name: statistics.median(values) for name, values in rates.items()}
    ratio = {"validation_ratio": median["served"] / median["bare"]}
    return {f"{name}_per_s": value for name, value in median.items()} | ratio


def rate(port: int, body: dict[str, Any]) -> float:
    """Return requests per second over a few connections, asked by hand: a client library would be the slower half."""
    sent = json.dumps(body).encode()
    head = (
        "POST /v3/minimax-voice-cloning HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {KEYS[-1]}\r\nContent-Length: {len(sent)}\r\n\r\n"
    )
    counts: list[int] = []
    end = time.perf_counter() + RATE_S
    threads = [
        threading.Thread(target=_ask, args=(port, head.encode() + sent, end, counts)) for _ in range(N_CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / RATE_S


def _ask(port: int, request: bytes, end: float, counts: list[int]) -> None:
    n = 0
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        length = 0
        while time.perf_counter() < end:
            connection.sendall(request)
            answer = connection.recv(65536)
            while not length or len(answer) < length:
                head, _, rest = answer.partition(b"\r\n\r\n")
                if rest and not length:
                    length = len(head) + 4 + int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                if not length or len(answer) < length:
                    answer += connection.recv(65536)
            n += 1
    counts.append(n)


def crowd(server: str, pid: int, audio_url: str, for_s: float) -> dict[str, Any]:
    """Let one client speak for a while, then fifty at once, each with a key and a voice of its own."""
    voices = {}
    for key in KEYS[:N_CLIENTS]:
        voices[key] = post(server, "/v3/minimax-voice-cloning", {"audio_url": audio_url}, key).json()["voice_id"]
    alone = ask_for(server, dict([next(iter(voices.items()))]), for_s)
    memory = [memory_mb(pid)]
    together: Counter[str] = Counter()
    for _ in range(N_PARTS):
        together += ask_for(server, voices, for_s / N_PARTS)
        memory.append(memory_mb(pid))
    return {
        "one_client": dict(alone),
        "fifty_clients": dict(together),
        "calls_ratio": together["200"] / max(1, alone["200"]),
        "memory_mb": memory,
    }


def ask_for(server: str, voices: dict[str, str], for_s: float) -> Counter[str]:
    """Return how many answers of each status came within a time; whoever is told to wait does."""
    statuses: Counter[str] = Counter()
    end = time.perf_counter() + for_s

    def client(key: str, voice_id: str) -> None:
        while time.perf_counter() < end:
            body = {"text": LONGER, "voice_setting": {"voice_id": voice_id}}
            try:
                answer = post(server, f"/v3/minimax-{MODEL}", body, key)
            except requests.RequestException as e:
                statuses[type(e).__name__] += 1
                continue
            if time.perf_counter() < end:
                statuses[str(answer.status_code)] += 1
            wait_s = float(answer.headers.get("Retry-After", 0))
            time.sleep(min(wait_s, max(0.0, end - time.perf_counter())))

    threads = [threading.Thread(target=client, args=each) for each in voices.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def post(server: str, path: str, body: dict[str, Any], key: str) -> requests.Response:
    return requests.post(server + path, json=body, headers={"Authorization": f"Bearer {key}"}, timeout=WITHIN_S)


def memory_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def app(home: Path) -> Iterator[tuple[str, int]]:
    """Start the app; give its URL and the number of its process."""
    port = free_port()
    settings = {"TIMBRE_HOME": str(home), "GRADIO_SERVER_PORT": str(port), "TIMBRE_API_KEYS": ",".join(KEYS)}
    url = f"http://127.0.0.1:{port}"
    with started([sys.executable, "app.py"], os.environ | settings | {"TIMBRE_ALLOW_PRIVATE_URLS": "1"}, url) as pid:
        while not requests.get(f"{url}/healthz", timeout=10).json()["ready"]:
            time.sleep(0.2)
        yield url, pid


@contextmanager
def started(command: list[str], environment: dict[str, str], url: str) -> Iterator[int]:
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                requests.get(url, timeout=5)
                break
            except requests.RequestException:
                time.sleep(0.2)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def files(folder: Path) -> Iterator[str]:
    handler = partial(_Quiet, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


if __name__ == "__main__":
    main()

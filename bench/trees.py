"""An older tree beside this one, in turns: ``python -m bench.trees OLD [--rounds 4]``, each started as it is.

OLD is a checkout, ``git worktree add OLD COMMIT``; both run with this Python and its libraries. Of each figure stand
the median, the least and the most of all rounds, and how many times as much this tree needs.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import requests

from bench.page import ask, free_port
from bench.texts import PREVIEW, TEXTS
from tests.serving import files

NEW = Path(__file__).parent.parent
EXAMPLES = NEW / "assets" / "examples"
KEY = "a-key-of-the-bench-alone"
MODELS = ("speech-02-turbo", "speech-02-hd")
N_ASKED = 100
GAP_S = 0.01
SETTLES_S = 2.0
LOOK_S = 0.03

Figures = dict[str, list[float]]


def memory_mb(pid: int, name: str) -> float:
    """Return VmRSS or VmHWM of a process."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")


def command_s(tree: Path, environment: dict[str, str], *words: str) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "clone", *words], cwd=tree, env=environment, check=True, capture_output=True)
    return time.perf_counter() - begun


def post_s(url: str, body: dict[str, object]) -> tuple[float, requests.Response]:
    begun = time.perf_counter()
    answer = requests.post(url, json=body, headers={"Authorization": f"Bearer {KEY}"}, timeout=200)
    answer.raise_for_status()
    return time.perf_counter() - begun, answer


def measure(tree: Path, recording: str, found: Figures) -> None:
    """Start a tree's commands and its app once, and add what is found."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TIMBRE_", "GRADIO_", "PYTHON"))}
    with tempfile.TemporaryDirectory() as home:
        settings = {"TIMBRE_API_KEYS": KEY, "TIMBRE_ALLOW_PRIVATE_URLS": "1", "GRADIO_SERVER_PORT": str(port)}
        environment = kept | settings | {"TIMBRE_HOME": home}
        for words in ("--help", "voices"):
            found[f"clone {words}, s"].append(command_s(tree, environment, words))
        quiet = subprocess.DEVNULL
        begun = time.perf_counter()
        app = subprocess.Popen([sys.executable, "app.py"], cwd=tree, env=environment, stdout=quiet, stderr=quiet)
        try:
            while not answers(port):
                time.sleep(LOOK_S)
            found["page up, s"].append(time.perf_counter() - begun)
            while not requests.get(f"{url}/healthz", timeout=30).json()["ready"]:
                time.sleep(LOOK_S)
            found["models ready, s"].append(time.perf_counter() - begun)
            time.sleep(SETTLES_S)
            found["when ready, MB"].append(memory_mb(app.pid, "VmRSS"))
            times = []
            for _ in range(N_ASKED):
                times.append(ask(port)[0])
                time.sleep(GAP_S)
            found["GET /, ms"].append(statistics.median(times))
            found["page, kB"].append(ask(port)[1] / 1000)
            for model in MODELS:
                speak(url, model, recording, found)
            time.sleep(SETTLES_S)
            found["afterwards, MB"].append(memory_mb(app.pid, "VmRSS"))
            found["at most, MB"].append(memory_mb(app.pid, "VmHWM"))
        finally:
            app.send_signal(signal.SIGTERM)
            app.wait()


def answers(port: int) -> bool:
    try:
        ask(port)
    except OSError:
        return False
    return True


def speak(url: str, model: str, recording: str, found: Figures) -> None:
    tier = model.rpartition("-")[2]
    asked = {"audio_url": recording, "text": PREVIEW, "model": model}
    took_s, answer = post_s(f"{url}/v3/minimax-voice-cloning", asked)
    found[f"clone, {tier}, s"].append(took_s)
    for text in TEXTS[:2]:
        body = {"text": text, "voice_setting": {"voice_id": answer.json()["voice_id"]}}
        found[f"speak, {tier}, s"].append(post_s(f"{url}/v3/minimax-{model}", body)[0])


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.trees", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("--rounds", type=int, default=4)
    given = parser.parse_args()
    found: dict[Path, Figures] = {given.old.resolve(): defaultdict(list), NEW: defaultdict(list)}
    with files(EXAMPLES) as url:
        for turn in range(given.rounds):
            for tree in list(found)[:: 1 if turn % 2 else -1]:
                measure(tree, f"{url}/ada.m4a", found[tree])
    old, new = found.values()
    for name, values in new.items():
        shown = [f"{statistics.median(v):8.2f} ({min(v):.2f} to {max(v):.2f})" for v in (old[name], values)]
        ratio = statistics.median(values) / statistics.median(old[name])
        print(f"{name:18} {shown[0]:30} {shown[1]:30} {ratio:6.2f}")


if __name__ == "__main__":
    main()

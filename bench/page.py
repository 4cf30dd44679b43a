"""How fast the page answers, beside a bare page of the same framework; when models are warm, and what stays in memory.

``python -m bench.page`` starts both on free ports, asks them in turn and prints medians of the same run.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import sync_playwright

from bench.texts import TEXTS
from tests.browser.driving import choose_turbo

ROOT = Path(__file__).parent.parent
N_ASKED = 200
N_LATE = 20
STARTS_WITHIN_S = 120
N_OPENED = 7
NEW_SOUND = """(before) => {
  const audio = document.querySelector('#take audio');
  return audio && audio.src !== before && audio.currentTime > 0;
}"""
CHROMIUM = "/usr/bin/chromium"
GAP_S = 0.02

BARE = """
import os
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
import gradio as gr
with gr.Blocks() as demo:
    one, two = gr.Audio(), gr.Audio()
    text = gr.Textbox()
    model = gr.Dropdown(["a", "b"])
    gr.Button().click(lambda one, text, model: None, [one, text, model], two)
demo.launch(ssr_mode=False, quiet=True)
"""
SAME = """
import os
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
import tempfile
from pathlib import Path
import gradio as gr
import app
from clone.core.settings import Settings
from clone import Studio
page = app.build(Studio(Settings.at(Path(tempfile.mkdtemp()))), app.SETTINGS)
FOLDERS = {"tabitem": ("label", "id"), "accordion": ("label", "open"), "column": ("visible", "scale")}
def copy(block):
    name = block.get_block_name()
    if name == "form":  # comes by itself
        for child in block.children:
            copy(child)
    elif hasattr(block, "children"):
        with type(block)(**{each: getattr(block, each) for each in FOLDERS.get(name, ())}):
            for child in block.children:
                copy(child)
    elif hasattr(gr, type(block).__name__) and name not in ("state", "browserstate"):
        plain = {"choices": block.choices} if hasattr(block, "choices") else {}
        getattr(gr, type(block).__name__)(**plain, visible=block.visible)
with gr.Blocks() as demo:
    for child in page.children:
        copy(child)
    gr.Button("Ready", elem_id="ready")
demo.launch(ssr_mode=False, quiet=True)
"""
TIMBRE = """
import threading, time
import app
from clone import Studio
class Told(Studio):
    def start(self):
        begun = time.monotonic()
        def tell():
            while not self.ready:
                time.sleep(0.05)
            print(f"warm {time.monotonic() - begun:.1f}", flush=True)
        threading.Thread(target=tell, daemon=True).start()
        super().start()
app.Studio = Told
app.main()
"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def serving(script: str, home: str) -> Iterator[tuple[subprocess.Popen[str], int, float]]:
    """Run a script that serves a page; give its process, port and seconds until it answered."""
    port = free_port()
    environment = dict(os.environ, GRADIO_SERVER_PORT=str(port), TIMBRE_HOME=home, PYTHONUNBUFFERED="1")
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        while True:
            try:
                ask(port)
                break
            except OSError:
                if process.poll() is not None or time.monotonic() - begun > STARTS_WITHIN_S:
                    raise
                time.sleep(0.1)
        yield process, port, time.monotonic() - begun
    finally:
        process.terminate()
        process.wait()


def ask(port: int) -> tuple[float, int]:
    """Return the milliseconds of one GET / on a fresh connection, and the bytes answered."""
    begun = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/")
    answer = connection.getresponse()
    n_bytes = len(answer.read())
    connection.close()
    if answer.status != http.client.OK:
        raise OSError(f"answered {answer.status}")
    return 1000 * (time.perf_counter() - begun), n_bytes


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found.group(1)) / 1024 if found else float("nan")


def until_warm(process: subprocess.Popen[str]) -> float:
    """Return how many seconds after the page's start the models were warm."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("warm "):
            return float(line.split()[1])
    raise RuntimeError("The app ended before its models were warm.")


def interactive(ours: int, bare: int) -> dict[str, float]:
    """Open both pages in Chromium, each in a fresh profile, until their button can be pressed."""
    times: dict[str, list[float]] = {"ours": [], "bare": []}
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for turn in range(N_OPENED + 1):
            for name, port, button in (("ours", ours, "#clone"), ("bare", bare, "#ready")):
                context = chromium.new_context(viewport={"width": 1440, "height": 900})
                page = context.new_page()
                begun = time.perf_counter()
                page.goto(f"http://127.0.0.1:{port}", wait_until="commit")
                page.click(button, trial=True)
                if turn:  # the first one warms up
                    times[name].append(time.perf_counter() - begun)
                context.close()
        chromium.close()
    return {f"{name}_interactive_s": statistics.median(values) for name, values in times.items()}


def first_sound(port: int) -> float:
    """Return how many seconds after a click a long text, spoken by turbo in a voice just cloned, begins to sound."""
    times = []
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--mute-audio", "--autoplay-policy=no-user-gesture-required"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        page = chromium.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"http://127.0.0.1:{port}")
        page.set_input_files("#uploaded input[type=file]", ROOT / "assets" / "examples" / "ben.mp3")
        page.wait_for_selector("#voice-note .tb-ok")
        choose_turbo(page)
        page.check("#consent input")
        page.click("#clone")
        page.click("#again")
        page.wait_for_selector("#speak-voice input")
        choose_turbo(page, "#speak-model")
        for turn in range(N_OPENED + 1):
            page.fill("#speak-text textarea", f"Number {turn}. " + " ".join(TEXTS) * 5)
            page.wait_for_timeout(1000)
            before = page.evaluate("document.querySelector('#take audio')?.src")
            begun = time.perf_counter()
            page.click("#speak")
            page.wait_for_function(NEW_SOUND, arg=before, polling=20)
            if turn:
                times.append(time.perf_counter() - begun)
            page.click("#speak-cancel")
            page.wait_for_selector("#speak")
        chromium.close()
    return statistics.median(times)


def measure() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home, serving(TIMBRE, home) as (process, port, up_s):
        warm_s = until_warm(process)
        with serving(BARE, home) as (_, bare_port, bare_up_s):
            ask(port), ask(bare_port)
            ours, bare = [], []
            for _ in range(N_ASKED):
                ours.append(ask(port)[0])
                time.sleep(GAP_S)
                bare.append(ask(bare_port)[0])
                time.sleep(GAP_S)
            n_bytes, n_bare_bytes = ask(port)[1], ask(bare_port)[1]
        with serving(SAME, home) as (_, same_port, _):
            opened = interactive(port, same_port)
        return opened | {
            "first_sound_s": first_sound(port),
            "interactive_ratio": opened["ours_interactive_s"] / opened["bare_interactive_s"],
            "page_ms": statistics.median(ours),
            "bare_ms": statistics.median(bare),
            "ratio": statistics.median(ours) / statistics.median(bare),
            "page_p95_ms": statistics.quantiles(ours, n=N_LATE)[-1],
            "bare_p95_ms": statistics.quantiles(bare, n=N_LATE)[-1],
            "page_bytes": n_bytes,
            "bare_bytes": n_bare_bytes,
            "first_answer_s": up_s,
            "bare_first_answer_s": bare_up_s,
            "warm_after_s": warm_s,
            "resident_mb": resident_mb(process.pid),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    given = parser.parse_args()
    found = measure()
    print(f"GET /            {found['page_ms']:6.1f} ms   bare page {found['bare_ms']:6.1f} ms   ({N_ASKED} each)")
    print(f"95 of 100 below  {found['page_p95_ms']:6.1f} ms   bare page {found['bare_p95_ms']:6.1f} ms")
    print(f"ratio            {found['ratio']:6.2f}      (at most 1.25)")
    print(
        f"interactive      {found['ours_interactive_s']:6.2f} s    bare page of the same components "
        f"{found['bare_interactive_s']:6.2f} s   ratio {found['interactive_ratio']:.2f} (at most 1.3)"
    )
    print(f"first sound      {found['first_sound_s']:6.2f} s after the click, of a long text with turbo (at most 1)")
    print(f"page             {found['page_bytes'] / 1000:6.1f} kB   bare page {found['bare_bytes'] / 1000:6.1f} kB")
    print(f"first answer     {found['first_answer_s']:6.1f} s    bare page {found['bare_first_answer_s']:6.1f} s")
    print(f"models warm      {found['warm_after_s']:6.1f} s after the page's start")
    print(f"resident         {found['resident_mb']:6.0f} MB with everything loaded")
    if given.json:
        Path(given.json).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
